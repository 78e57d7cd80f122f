/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Random pushes against the same rows written directly: what prop_online.c holds against the slow
 * twin. Pushes wait in memory, are sorted, go to several views, delete, and share commits in groups
 * of up to MAX_MEMBERS threads, some of which fail; direct writes are made one by one, in the order
 * in which the pushes joined. Both must leave the same rows, and count the same outcomes.
 *
 * TFN_HISTORIES says how many hundredths (10,000: 100 histories), TFN_SEED where to begin. Commits
 * are not synced here.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>

#include "online/lmdb_push.h"
#include "prop/rng.h"
#include "unit/online_fixture.h"

enum { N_VIEWS = 3, N_KEYS = 600, MAX_MEMBERS = 5, MAX_OPS = 400, N_ROUNDS = 12, BAD_KEY = 9999 };

/* One step of a push: a row, a deletion, or another view. */
typedef struct op {
    enum { PUT, DELETE, NEXT_VIEW } what;
    int view;
    int64_t id;
    int64_t value;
    int64_t second;
    size_t n_label;
} op;

typedef struct member {
    pthread_t thread;
    tfn_lmdb *online;
    tfn_online_sync sync;
    bool is_bad; /* its last row cannot be written */
    op ops[MAX_OPS];
    size_t n_ops;
    tfn_code rc;
    tfn_error err;
    tfn_online_stats stats;
} member;

static const char *const views[N_VIEWS] = {"a", "b", "c"};
static char label[3000];

static void make_ops(rng *r, member *m)
{
    m->is_bad = rng_percent(r, 15);
    m->n_ops = 1 + rng_below(r, rng_percent(r, 30) ? MAX_OPS - 1 : 8);
    for (size_t i = 0; i < m->n_ops; i++) {
        const uint64_t what = rng_below(r, 100);
        m->ops[i] = (op){
            .what = i == 0 || what >= 95 ? NEXT_VIEW
                    : what >= 80         ? DELETE
                                         : PUT,
            .view = (int)rng_below(r, N_VIEWS),
            .id = (int64_t)rng_below(r, N_KEYS),
            .value = (int64_t)rng_below(r, 3),
            .second = (int64_t)rng_below(r, 4),
            .n_label = rng_percent(r, 5) ? 2900 : (size_t)rng_below(r, 60),
        };
    }
}

static void cells_of(const op *o, tfn_cell cells[2])
{
    cells[0] = (tfn_cell){.bits = (uint64_t)o->value};
    cells[1] = (tfn_cell){.bytes = {label, o->n_label}};
}

/* ---- the push ---- */

static tfn_code fill_push(member *m, tfn__push *push)
{
    char key[9];
    tfn_cell cells[2];
    for (size_t i = 1; i < m->n_ops; i++) {
        const op *o = &m->ops[i];
        cells_of(o, cells);
        tfn_code rc = TFN_OK;
        if (o->what == NEXT_VIEW) {
            rc = tfn__push_next_view(push, text("pushed"), text(views[o->view]), two_fields, 2,
                                     &m->err);
        } else if (o->what == DELETE) {
            rc = tfn__push_delete(push, key_of(o->id, key), &m->err);
        } else {
            rc = tfn__push_put(push, key_of(o->id, key), cells, at(o->second), no_time, &m->err);
        }
        TFN_RETURN_IF_ERROR(rc);
    }
    if (m->is_bad) {
        cells_of(&m->ops[0], cells);
        TFN_RETURN_IF_ERROR(
            tfn__push_next_view(push, text("pushed"), text("damaged"), two_fields, 2, &m->err));
        TFN_RETURN_IF_ERROR(
            tfn__push_put(push, key_of(BAD_KEY, key), cells, at(9), no_time, &m->err));
    }
    return TFN_OK;
}

static void *push_all(void *arg)
{
    member *m = arg;
    tfn__push *push = NULL;
    m->rc = tfn__push_begin(m->online, m->sync, text("pushed"), text(views[m->ops[0].view]),
                            two_fields, 2, &push, &m->err);
    if (m->rc == TFN_OK) {
        m->rc = fill_push(m, push);
        if (m->rc != TFN_OK) {
            tfn__push_abort(push);
        } else {
            m->rc = tfn__push_commit(push, &m->stats, &m->err);
        }
    }
    return NULL;
}

static void wait_until_joined(tfn__group *group, size_t n)
{
    size_t n_joined = 0;
    while (n_joined < n) {
        (void)sched_yield();
        (void)pthread_mutex_lock(&group->mutex);
        n_joined = group->n_joined;
        (void)pthread_mutex_unlock(&group->mutex);
    }
}

/* All as one group, in order. */
static void push_group(tfn_lmdb *online, member *members, size_t n)
{
    tfn__group *group = &atomic_load(&online->env)->group;
    tfn_lmdb_write *lock = write_begin(online, "lock");
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(pthread_create(&members[i].thread, NULL, push_all, &members[i]), 0);
        wait_until_joined(group, i + 1);
    }
    tfn_lmdb_abort(lock);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(pthread_join(members[i].thread, NULL), 0);
    }
}

/* ---- the same, directly ---- */

static void write_directly(tfn_lmdb *online, const member *m, tfn_online_stats *stats)
{
    tfn_error err = {0};
    char key[9];
    tfn_cell cells[2];
    tfn_lmdb_write *w = NULL;
    ASSERT_OK(tfn_lmdb_begin_write(online, text("direct"), text(views[m->ops[0].view]), two_fields,
                                   2, &w, &err),
              err);
    for (size_t i = 1; i < m->n_ops; i++) {
        const op *o = &m->ops[i];
        cells_of(o, cells);
        if (o->what == NEXT_VIEW) {
            ASSERT_OK(
                tfn_lmdb_next_view(w, text("direct"), text(views[o->view]), two_fields, 2, &err),
                err);
        } else if (o->what == DELETE) {
            ASSERT_OK(tfn_lmdb_delete(w, key_of(o->id, key), NULL, &err), err);
        } else {
            ASSERT_OK(
                tfn_lmdb_put(w, key_of(o->id, key), cells, at(o->second), no_time, NULL, &err),
                err);
        }
    }
    *stats = tfn_lmdb_get_stats(w);
    commit(w);
}

/* ---- compare ---- */

static void compare_rows(const tfn_lmdb_read *read, uint32_t pushed, uint32_t direct)
{
    for (int64_t id = 0; id < N_KEYS; id++) {
        tfn_error err = {0};
        char key[9];
        tfn_row rows[2];
        bool found[2] = {false, false};
        ASSERT_OK(tfn_lmdb_get(read, pushed, key_of(id, key), &rows[0], &found[0], &err), err);
        ASSERT_OK(tfn_lmdb_get(read, direct, key_of(id, key), &rows[1], &found[1], &err), err);
        assert_int_equal(found[0], found[1]);
        if (found[0]) {
            assert_int_equal(rows[0].n_bytes, rows[1].n_bytes);
            assert_memory_equal(rows[0].bytes, rows[1].bytes, rows[0].n_bytes);
        }
    }
}

static void compare_all(tfn_lmdb *online)
{
    tfn_error err = {0};
    tfn_lmdb_read read = read_begin(online);
    for (int i = 0; i < N_VIEWS; i++) {
        uint32_t pushed = 0;
        uint32_t direct = 0;
        uint64_t n_pushed = 0;
        uint64_t n_direct = 0;
        ASSERT_OK(tfn_lmdb_get_live(&read, text("pushed"), text(views[i]), &pushed, &err), err);
        ASSERT_OK(tfn_lmdb_get_live(&read, text("direct"), text(views[i]), &direct, &err), err);
        ASSERT_OK(tfn_lmdb_count(&read, text("pushed"), text(views[i]), &n_pushed, &err), err);
        ASSERT_OK(tfn_lmdb_count(&read, text("direct"), text(views[i]), &n_direct, &err), err);
        assert_int_equal(pushed == 0, direct == 0);
        assert_int_equal(n_pushed, n_direct);
        if (pushed != 0) {
            compare_rows(&read, pushed, direct);
        }
    }
    tfn_lmdb_end_read(&read);
}

/* ---- histories ---- */

/* View "damaged" has a row that no writer accepts. */
static void damage(tfn_lmdb *online)
{
    tfn_error err = {0};
    tfn_lmdb_write *w = NULL;
    ASSERT_OK(
        tfn_lmdb_begin_write(online, text("pushed"), text("damaged"), two_fields, 2, &w, &err),
        err);
    commit(w);
    tfn__view record;
    tfn__row_key row_key;
    char key[9];
    MDB_txn *txn = NULL;
    tfn_lmdb_env *env = NULL;
    ASSERT_OK(tfn__write_begin_txn(online, &env, &txn, &err), err);
    ASSERT_OK(tfn__view_get(env, txn, text("pushed"), text("damaged"), &record, &err), err);
    ASSERT_OK(tfn__row_key_make(record.generation, key_of(BAD_KEY, key), &row_key, &err), err);
    MDB_val mdb_key = tfn__val(row_key.bytes, row_key.n);
    MDB_val value = tfn__val("not a row", 9);
    assert_int_equal(mdb_put(txn, env->rows, &mdb_key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
}

static void run_round(rng *r, tfn_lmdb *online)
{
    static member members[MAX_MEMBERS];
    const size_t n = 1 + rng_below(r, MAX_MEMBERS);
    const bool is_alone = n == 1 && rng_percent(r, 50);
    for (size_t i = 0; i < n; i++) {
        members[i] = (member){
            .online = online,
            .sync = is_alone ? TFN_ONLINE_SYNC_FULL : TFN_ONLINE_SYNC_BATCH,
        };
        make_ops(r, &members[i]);
    }
    if (is_alone) {
        (void)push_all(&members[0]);
    } else {
        push_group(online, members, n);
    }
    for (size_t i = 0; i < n; i++) {
        tfn_online_stats want = {0};
        if (members[i].is_bad) {
            assert_int_equal(members[i].rc, TFN_CORRUPT);
            continue;
        }
        ASSERT_OK(members[i].rc, members[i].err);
        write_directly(online, &members[i], &want);
        assert_memory_equal(&members[i].stats, &want, sizeof want);
    }
    compare_all(online);
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *value = getenv(name);
    return value != NULL ? strtoull(value, NULL, 10) : otherwise;
}

static void pushes_agree_with_direct_writes(void **state)
{
    (void)state;
    const uint64_t n_histories = (setting("TFN_HISTORIES", 10000) + 99) / 100;
    const uint64_t seed = setting("TFN_SEED", 1);
    memset(label, 'l', sizeof label);
    for (uint64_t i = 0; i < n_histories; i++) {
        rng r = {seed + i};
        test_folder folder;
        folder_make(&folder);
        tfn_lmdb *online = store_open(&folder, TFN_ONLINE_WRITE);
        assert_int_equal(mdb_env_set_flags(atomic_load(&online->env)->lmdb, MDB_NOSYNC, 1), 0);
        damage(online);
        print_message("# TFN_SEED=%llu\n", (unsigned long long)(seed + i));
        for (int round = 0; round < N_ROUNDS; round++) {
            run_round(&r, online);
        }
        tfn_lmdb_close(online);
        folder_remove(&folder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pushes_agree_with_direct_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
