/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Pushes that are written alone; those that share commits are in test_online_lmdb_group.c. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/online_fixture.h"

#define TFN_PUSH_MAX_WAITING_BYTES ((size_t)100000)
#include "online/lmdb_push.c"

#include "base/limits.h"

static test_folder folder;

static int open_store(void **state)
{
    folder_make(&folder);
    *state = store_open(&folder, TFN_ONLINE_WRITE);
    return 0;
}

static int close_store(void **state)
{
    tfn_lmdb_close(*state);
    folder_remove(&folder);
    return 0;
}

static tfn__push *begin_push(tfn_lmdb *online, const char *view)
{
    tfn_error err = {0};
    tfn__push *push = NULL;
    ASSERT_OK(tfn__push_begin(online, TFN_ONLINE_SYNC_FULL, text("p"), text(view), two_fields, 2,
                              &push, &err),
              err);
    return push;
}

static void next(tfn__push *push, const char *view)
{
    tfn_error err = {0};
    ASSERT_OK(tfn__push_next_view(push, text("p"), text(view), two_fields, 2, &err), err);
}

static void add(tfn__push *push, int64_t id, int64_t value, tfn_instant event)
{
    tfn_error err = {0};
    char key[9];
    const tfn_cell cells[2] = {{.bits = (uint64_t)value}, {.bytes = {"label", 5}}};
    ASSERT_OK(tfn__push_put(push, key_of(id, key), cells, event, no_time, &err), err);
}

static void take_away(tfn__push *push, int64_t id)
{
    tfn_error err = {0};
    char key[9];
    ASSERT_OK(tfn__push_delete(push, key_of(id, key), &err), err);
}

static tfn_online_stats end(tfn__push *push)
{
    tfn_error err = {0};
    tfn_online_stats stats = {0};
    ASSERT_OK(tfn__push_commit(push, &stats, &err), err);
    return stats;
}

static void sorting_keeps_the_order_within_a_key(void **state)
{
    tfn__push *push = begin_push(*state, "v");
    add(push, 3, 30, at(5));
    add(push, 2, 20, at(5));
    add(push, 3, 31, at(5)); /* a tie: the later one wins */
    add(push, 1, 10, at(5));
    add(push, 2, 21, at(4)); /* older */
    take_away(push, 1);
    add(push, 1, 11, at(1)); /* a first row again */
    take_away(push, 3);
    take_away(push, 9);
    add(push, INT64_MIN, 7, at(5));
    const tfn_online_stats stats = end(push);
    assert_int_equal(stats.n_written, 6);
    assert_int_equal(stats.n_older, 1);
    assert_int_equal(stats.n_same, 0);
    assert_int_equal(stats.n_deleted, 2);
    assert_int_equal(stats.n_absent, 1);
    assert_int_equal(value_now(*state, "v", 1), 11);
    assert_int_equal(value_now(*state, "v", 2), 20);
    assert_int_equal(value_now(*state, "v", 3), NO_ROW);
    assert_int_equal(value_now(*state, "v", INT64_MIN), 7);
    assert_int_equal(count_now(*state, "v"), 3);
}

static void keys_of_all_lengths_are_sorted_and_written(void **state)
{
    tfn_error err = {0};
    static char key[3000];
    memset(key, TFN_KIND_STRING, sizeof key);
    const tfn_cell cells[2] = {{.bits = 77}, {.is_null = true}};
    tfn__push *push = begin_push(*state, "v");
    for (size_t n = 420; n > 0; n -= 10) {
        ASSERT_OK(tfn__push_put(push, (tfn_str){key, n}, cells, at((int64_t)n), no_time, &err),
                  err);
    }
    ASSERT_OK(tfn__push_put(push, (tfn_str){key, 0}, cells, at(1), no_time, &err), err);
    assert_int_equal(end(push).n_written, 43);
    tfn_lmdb_read read = read_begin(*state);
    for (size_t n = 0; n <= 420; n++) {
        tfn_row row;
        bool found = false;
        ASSERT_OK(tfn_lmdb_get(&read, live(&read, "v"), (tfn_str){key, n}, &row, &found, &err),
                  err);
        assert_int_equal(found, n % 10 == 0);
    }
    tfn_lmdb_end_read(&read);
}

static void others_may_write_until_the_commit(void **state)
{
    tfn__push *push = begin_push(*state, "v");
    add(push, 1, 10, at(5));
    (void)put_alone(*state, "v", 1, 11, at(5), no_time);
    (void)put_alone(*state, "v", 2, 20, at(5), no_time);
    (void)end(push);
    assert_int_equal(value_now(*state, "v", 1), 10); /* later committed */
    assert_int_equal(value_now(*state, "v", 2), 20);
}

enum { N_MANY = 3000 };

/* Several times what may wait, in three views, one of them twice. */
static tfn__push *push_many(tfn_lmdb *online)
{
    tfn__push *push = begin_push(online, "a");
    const char *const views[] = {"a", "b", "c", "a"};
    for (int i_view = 0; i_view < 4; i_view++) {
        if (i_view > 0) {
            next(push, views[i_view]);
        }
        for (int64_t id = 0; id < N_MANY; id++) {
            add(push, id * 7919 % N_MANY, id + i_view, at(i_view));
        }
    }
    assert_non_null(push->direct);
    return push;
}

static void a_push_that_outgrows_memory_is_one_commit_all_the_same(void **state)
{
    tfn__push *push = push_many(*state);
    assert_int_equal(count_now(*state, "a"), 0);
    assert_int_equal(end(push).n_written, 4 * N_MANY);
    for (int64_t id = 0; id < N_MANY; id++) {
        const int64_t i = id * 7919 % N_MANY;
        assert_int_equal(value_now(*state, "a", i), id + 3);
        assert_int_equal(value_now(*state, "b", i), id + 1);
        assert_int_equal(value_now(*state, "c", i), id + 2);
    }
    assert_int_equal(count_now(*state, "a"), N_MANY);
}

static void an_aborted_push_leaves_nothing(void **state)
{
    tfn__push_abort(push_many(*state));
    tfn__push_abort(NULL);
    tfn_lmdb_read read = read_begin(*state);
    assert_int_equal(live(&read, "a"), 0);
    tfn_lmdb_end_read(&read);
}

/* A row of view v that no reader accepts, where key `id` has its row. */
static void damage(tfn_lmdb *online, int64_t id)
{
    tfn_error err = {0};
    tfn__view record;
    tfn__row_key row_key;
    char key[9];
    MDB_txn *txn = NULL;
    tfn_lmdb_env *env = NULL;
    ASSERT_OK(tfn__write_begin_txn(online, &env, &txn, &err), err);
    ASSERT_OK(tfn__view_get(env, txn, text("p"), text("v"), &record, &err), err);
    ASSERT_OK(tfn__row_key_make(record.generation, key_of(id, key), &row_key, &err), err);
    MDB_val mdb_key = tfn__val(row_key.bytes, row_key.n);
    MDB_val value = tfn__val("not a row", 9);
    assert_int_equal(mdb_put(txn, env->rows, &mdb_key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
}

static void one_row_that_cannot_be_written_takes_all_with_it(void **state)
{
    tfn_error err = {0};
    (void)put_alone(*state, "v", 1, 10, at(5), no_time);
    damage(*state, 2);
    tfn__push *push = begin_push(*state, "w");
    add(push, 1, 20, at(5));
    next(push, "v");
    add(push, 1, 11, at(6));
    add(push, 2, 21, at(6));
    tfn_online_stats stats = {.n_written = 99};
    ASSERT_FAILS(tfn__push_commit(push, &stats, &err), TFN_CORRUPT, "a header alone has 40", err);
    assert_int_equal(stats.n_written, 0);
    assert_int_equal(value_now(*state, "v", 1), 10);
    assert_int_equal(value_now(*state, "w", 1), NO_ROW);
}

static void after_a_part_failed_nothing_can_be_committed(void **state)
{
    tfn_error err = {0};
    (void)put_alone(*state, "v", 1, 10, at(5), no_time);
    damage(*state, 2);
    tfn__push *push = begin_push(*state, "v");
    tfn_code rc = TFN_OK;
    for (int64_t id = 1; rc == TFN_OK; id++) {
        char key[9];
        const tfn_cell cells[2] = {{.bits = 1}, {.is_null = true}};
        rc = tfn__push_put(push, key_of(id, key), cells, at(6), no_time, &err);
    }
    assert_int_equal(rc, TFN_CORRUPT);
    ASSERT_FAILS(tfn__push_commit(push, NULL, &err), TFN_INVALID, "abort it and write again", err);
    assert_int_equal(value_now(*state, "v", 1), 10);
}

static void a_refused_row_leaves_the_push_alive(void **state)
{
    tfn_error err = {0};
    char key[9];
    tfn__push *push = begin_push(*state, "v");
    const tfn_cell cells[2] = {{.bits = 1}, {.bytes = {"x", TFN_MAX_ONLINE_ROW_BYTES}}};
    ASSERT_FAILS(tfn__push_put(push, key_of(2, key), cells, at(1), no_time, &err), TFN_LIMIT,
                 "TFN_MAX_ONLINE_ROW_BYTES", err);
    ASSERT_FAILS(tfn__push_put(push, key_of(2, key), cells, no_time, no_time, &err), TFN_INVALID,
                 "event time", err);
    const tfn_str long_key = {key, TFN_MAX_KEY_BYTES + 1};
    ASSERT_FAILS(tfn__push_put(push, long_key, cells, at(1), no_time, &err), TFN_LIMIT,
                 "TFN_MAX_KEY_BYTES", err);
    ASSERT_FAILS(tfn__push_delete(push, long_key, &err), TFN_LIMIT, "TFN_MAX_KEY_BYTES", err);
    const tfn_row_field twice[2] = {two_fields[0], two_fields[0]};
    ASSERT_FAILS(tfn__push_next_view(push, text("p"), text("w"), twice, 2, &err), TFN_INVALID,
                 "two features are named 'value'", err);
    ASSERT_FAILS(tfn__push_next_view(push, text("p"), (tfn_str){"a\0b", 3}, two_fields, 2, &err),
                 TFN_INVALID, "of them zero", err);
    add(push, 3, 30, at(1));
    (void)end(push);
    assert_int_equal(value_now(*state, "v", 3), 30);
    assert_int_equal(count_now(*state, "v"), 1);
}

static void a_handle_for_reading_refuses_a_push(void **state)
{
    (void)put_alone(*state, "v", 1, 10, at(5), no_time);
    tfn_error err = {0};
    tfn_lmdb *reader = store_open(&folder, TFN_ONLINE_READ);
    tfn__push *push = NULL;
    ASSERT_FAILS(tfn__push_begin(reader, TFN_ONLINE_SYNC_FULL, text("p"), text("v"), two_fields, 2,
                                 &push, &err),
                 TFN_INVALID, "opened for reading only", err);
    tfn_lmdb_close(reader);
}

/* Pages that a commit replaces are used again by later ones. */
static void many_small_pushes_do_not_grow_the_file(void **state)
{
    enum { N_PUSHES = 20000, N_KEYS = 1000, MAX_FILE_BYTES = 4 * 1024 * 1024 };
    tfn_lmdb_env *env = atomic_load(&((tfn_lmdb *)*state)->env);
    assert_int_equal(mdb_env_set_flags(env->lmdb, MDB_NOSYNC, 1), 0); /* the test's time only */
    for (int64_t i = 0; i < N_PUSHES; i++) {
        tfn__push *push = begin_push(*state, "v");
        add(push, i * 7919 % N_KEYS, i, at(i));
        (void)end(push);
    }
    assert_int_equal(count_now(*state, "v"), N_KEYS);
    char path[400];
    struct stat data;
    (void)snprintf(path, sizeof path, "%s/data.mdb", folder.store);
    assert_int_equal(stat(path, &data), 0);
    if (data.st_size > MAX_FILE_BYTES) {
        fail_msg("the file has %lld bytes", (long long)data.st_size);
    }
}

int main(void)
{
#define IN_STORE(test) cmocka_unit_test_setup_teardown(test, open_store, close_store)
    const struct CMUnitTest tests[] = {
        IN_STORE(sorting_keeps_the_order_within_a_key),
        IN_STORE(keys_of_all_lengths_are_sorted_and_written),
        IN_STORE(others_may_write_until_the_commit),
        IN_STORE(a_push_that_outgrows_memory_is_one_commit_all_the_same),
        IN_STORE(an_aborted_push_leaves_nothing),
        IN_STORE(one_row_that_cannot_be_written_takes_all_with_it),
        IN_STORE(after_a_part_failed_nothing_can_be_committed),
        IN_STORE(a_refused_row_leaves_the_push_alive),
        IN_STORE(a_handle_for_reading_refuses_a_push),
        IN_STORE(many_small_pushes_do_not_grow_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
