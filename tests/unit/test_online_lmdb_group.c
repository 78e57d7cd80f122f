/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Pushes of many threads that share commits. Runs under ThreadSanitizer too. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>

#include "online/lmdb_push.h"
#include "unit/online_fixture.h"

enum { N_THREADS = 12, N_PUSHES = 40, BAD_KEY = 1000 };

static test_folder folder;
static tfn_lmdb *online;

static int open_store(void **state)
{
    (void)state;
    folder_make(&folder);
    online = store_open(&folder, TFN_ONLINE_WRITE);
    return 0;
}

static int close_store(void **state)
{
    (void)state;
    tfn_lmdb_close(online);
    folder_remove(&folder);
    return 0;
}

static tfn_lmdb_env *get_env(void)
{
    return atomic_load(&online->env);
}

static size_t n_commits(void)
{
    MDB_envinfo info;
    assert_int_equal(mdb_env_info(get_env()->lmdb, &info), 0);
    return info.me_last_txnid;
}

/* One push of one row; threads must not leave through cmocka's asserts, so it gives its code. */
static tfn_code push_row(int64_t id, int64_t value, int64_t second, tfn_online_stats *stats,
                         tfn_error *err)
{
    char key[9];
    tfn__push *push = NULL;
    const tfn_cell cells[2] = {{.bits = (uint64_t)value}, {.is_null = true}};
    tfn_code rc = tfn__push_begin(online, TFN_ONLINE_SYNC_BATCH, text("p"), text("v"), two_fields,
                                  2, &push, err);
    if (rc == TFN_OK) {
        rc = tfn__push_put(push, key_of(id, key), cells, at(second), no_time, err);
        if (rc != TFN_OK) {
            tfn__push_abort(push);
            return rc;
        }
        rc = tfn__push_commit(push, stats, err);
    }
    return rc;
}

typedef struct worker {
    pthread_t thread;
    int64_t id;
    int64_t value;
    int64_t second;
    tfn_code rc;
    tfn_error err;
    tfn_online_stats stats;
    int n_unseen; /* acknowledged rows that were not there */
} worker;

static void *push_once(void *arg)
{
    worker *w = arg;
    w->rc = push_row(w->id, w->value, w->second, &w->stats, &w->err);
    return NULL;
}

static void start(worker *w, void *(*body)(void *))
{
    assert_int_equal(pthread_create(&w->thread, NULL, body, w), 0);
}

static void join_all(worker *workers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    }
}

/* Wait until so many have joined the queue; the caller holds the store's write lock. */
static void wait_until_joined(size_t n)
{
    tfn__group *group = &get_env()->group;
    size_t n_joined = 0;
    while (n_joined < n) {
        (void)sched_yield();
        (void)pthread_mutex_lock(&group->mutex);
        n_joined = group->n_joined;
        (void)pthread_mutex_unlock(&group->mutex);
    }
}

/* Start the workers one after another, so that they join one group in this order. */
static void push_as_one_group(worker *workers, size_t n)
{
    tfn_lmdb_write *lock = write_begin(online, "another");
    for (size_t i = 0; i < n; i++) {
        start(&workers[i], push_once);
        wait_until_joined(i + 1);
    }
    tfn_lmdb_abort(lock);
    join_all(workers, n);
}

static void pushes_of_one_group_share_a_commit_in_their_order(void **state)
{
    (void)state;
    worker workers[N_THREADS] = {0};
    for (int i = 0; i < N_THREADS; i++) { /* one key, equal times: the last to join wins */
        workers[i] = (worker){.id = 1, .value = 100 + i, .second = 5};
    }
    const size_t before = n_commits();
    push_as_one_group(workers, N_THREADS);
    assert_int_equal(n_commits(), before + 1);
    for (int i = 0; i < N_THREADS; i++) {
        ASSERT_OK(workers[i].rc, workers[i].err);
        assert_int_equal(workers[i].stats.n_written, 1);
    }
    assert_int_equal(value_now(online, "v", 1), 100 + N_THREADS - 1);
    assert_int_equal(count_now(online, "v"), 1);
}

static void every_member_follows_the_write_rule(void **state)
{
    (void)state;
    worker workers[3] = {
        {.id = 1, .value = 10, .second = 5},
        {.id = 1, .value = 11, .second = 4},
        {.id = 1, .value = 10, .second = 5},
    };
    push_as_one_group(workers, 3);
    assert_int_equal(workers[0].stats.n_written, 1);
    assert_int_equal(workers[1].stats.n_older, 1);
    assert_int_equal(workers[2].stats.n_same, 1);
    assert_int_equal(value_now(online, "v", 1), 10);
    const size_t before = n_commits();
    push_as_one_group(workers, 3); /* nothing new: the file is left as it is */
    assert_int_equal(n_commits(), before);
}

/* What is under BAD_KEY stops whoever wants to write there. */
static void damage(void)
{
    tfn_error err = {0};
    tfn__view record;
    tfn__row_key row_key;
    char key[9];
    MDB_txn *txn = NULL;
    tfn_lmdb_env *env = NULL;
    (void)put_alone(online, "v", 1, 1, at(1), no_time);
    ASSERT_OK(tfn__write_begin_txn(online, &env, &txn, &err), err);
    ASSERT_OK(tfn__view_get(env, txn, text("p"), text("v"), &record, &err), err);
    ASSERT_OK(tfn__row_key_make(record.generation, key_of(BAD_KEY, key), &row_key, &err), err);
    MDB_val mdb_key = tfn__val(row_key.bytes, row_key.n);
    MDB_val value = tfn__val("not a row", 9);
    assert_int_equal(mdb_put(txn, env->rows, &mdb_key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
}

/* Puts a good row before the bad one: none of it may stay. */
static void *push_good_and_bad(void *arg)
{
    worker *w = arg;
    char key[9];
    tfn__push *push = NULL;
    const tfn_cell cells[2] = {{.bits = 1}, {.is_null = true}};
    w->rc = tfn__push_begin(online, TFN_ONLINE_SYNC_BATCH, text("p"), text("v"), two_fields, 2,
                            &push, &w->err);
    if (w->rc == TFN_OK) {
        w->rc = tfn__push_put(push, key_of(500, key), cells, at(9), no_time, &w->err);
    }
    if (w->rc == TFN_OK) {
        w->rc = tfn__push_put(push, key_of(BAD_KEY, key), cells, at(9), no_time, &w->err);
    }
    if (w->rc == TFN_OK) {
        w->rc = tfn__push_commit(push, &w->stats, &w->err);
    }
    return NULL;
}

static void an_error_is_its_members_own(void **state)
{
    (void)state;
    damage();
    worker workers[5] = {0};
    const size_t before = n_commits();
    tfn_lmdb_write *lock = write_begin(online, "another");
    for (size_t i = 0; i < 5; i++) {
        workers[i] = (worker){.id = (int64_t)(10 + i), .value = (int64_t)i, .second = 5};
        start(&workers[i], i % 2 == 0 ? push_once : push_good_and_bad);
        wait_until_joined(i + 1);
    }
    tfn_lmdb_abort(lock);
    join_all(workers, 5);
    for (size_t i = 0; i < 5; i++) {
        if (i % 2 == 0) {
            ASSERT_OK(workers[i].rc, workers[i].err);
            assert_int_equal(value_now(online, "v", (int64_t)(10 + i)), i);
        } else {
            assert_int_equal(workers[i].rc, TFN_CORRUPT);
            assert_non_null(strstr(workers[i].err.message, "a header alone has 40"));
            assert_int_equal(workers[i].stats.n_written, 0);
        }
    }
    assert_int_equal(value_now(online, "v", 500), NO_ROW);
    assert_int_equal(count_now(online, "v"), 4);
    assert_int_equal(n_commits(), before + 1);
}

static void a_group_of_nothing_but_errors_commits_nothing(void **state)
{
    (void)state;
    damage();
    const size_t before = n_commits();
    worker workers[2] = {0};
    tfn_lmdb_write *lock = write_begin(online, "another");
    for (size_t i = 0; i < 2; i++) {
        start(&workers[i], push_good_and_bad);
        wait_until_joined(i + 1);
    }
    tfn_lmdb_abort(lock);
    join_all(workers, 2);
    assert_int_equal(workers[0].rc, TFN_CORRUPT);
    assert_int_equal(workers[1].rc, TFN_CORRUPT);
    assert_int_equal(n_commits(), before);
    assert_int_equal(value_now(online, "v", 500), NO_ROW);
    tfn_error err = {0};
    ASSERT_OK(push_row(500, 1, 1, NULL, &err), err);
}

/* Whoever was told that a row is written finds it at once. */
static void *push_and_read(void *arg)
{
    worker *w = arg;
    for (int64_t i = 0; i < N_PUSHES && w->rc == TFN_OK; i++) {
        w->rc = push_row(w->id, i, i, NULL, &w->err);
        tfn_lmdb_read read;
        tfn_row row;
        tfn_cell cell = {.bits = UINT64_MAX};
        bool found = false;
        char key[9];
        uint32_t generation = 0;
        if (w->rc != TFN_OK || tfn_lmdb_begin_read(online, &read, &w->err) != TFN_OK) {
            return NULL;
        }
        w->rc = tfn_lmdb_get_live(&read, text("p"), text("v"), &generation, &w->err);
        if (w->rc == TFN_OK) {
            w->rc = tfn_lmdb_get(&read, generation, key_of(w->id, key), &row, &found, &w->err);
        }
        if (found) {
            tfn_row_get(&row, 0, &cell);
        }
        w->n_unseen += cell.bits != (uint64_t)i;
        tfn_lmdb_end_read(&read);
    }
    return NULL;
}

static void what_is_acknowledged_is_seen_at_once(void **state)
{
    (void)state;
    worker workers[N_THREADS] = {0};
    const size_t before = n_commits();
    for (int i = 0; i < N_THREADS; i++) {
        workers[i] = (worker){.id = i};
        start(&workers[i], push_and_read);
    }
    join_all(workers, N_THREADS);
    for (int i = 0; i < N_THREADS; i++) {
        ASSERT_OK(workers[i].rc, workers[i].err);
        assert_int_equal(workers[i].n_unseen, 0);
        assert_int_equal(value_now(online, "v", i), N_PUSHES - 1);
    }
    const size_t n = n_commits() - before;
    print_message("# %d pushes in %zu commits\n", N_THREADS * N_PUSHES, n); /* as threads meet */
    assert_true(n <= N_THREADS * N_PUSHES);
    assert_int_equal(count_now(online, "v"), N_THREADS);
}

static void a_push_that_is_aborted_keeps_nobody_waiting(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn__push *push = NULL;
    ASSERT_OK(tfn__push_begin(online, TFN_ONLINE_SYNC_BATCH, text("p"), text("v"), two_fields, 2,
                              &push, &err),
              err);
    assert_int_equal(get_env()->group.n_open, 1);
    ASSERT_OK(push_row(1, 10, 1, NULL, &err), err); /* after a wait of 2 ms */
    tfn__push_abort(push);
    assert_int_equal(get_env()->group.n_open, 0);
    ASSERT_OK(push_row(1, 11, 2, NULL, &err), err);
    assert_int_equal(get_env()->group.n_open, 0);
    assert_int_equal(value_now(online, "v", 1), 11);
}

int main(void)
{
#define IN_STORE(test) cmocka_unit_test_setup_teardown(test, open_store, close_store)
    const struct CMUnitTest tests[] = {
        IN_STORE(pushes_of_one_group_share_a_commit_in_their_order),
        IN_STORE(every_member_follows_the_write_rule),
        IN_STORE(an_error_is_its_members_own),
        IN_STORE(a_group_of_nothing_but_errors_commits_nothing),
        IN_STORE(what_is_acknowledged_is_seen_at_once),
        IN_STORE(a_push_that_is_aborted_keeps_nobody_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
