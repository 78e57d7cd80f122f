/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/online_fixture.h"

#include "online/lmdb_stats.c"
#include "unit/online_admin_fixture.h"

static test_folder folder;

static int open_store(void **state)
{
    folder_make(&folder);
    *state = engine_open(&folder);
    return 0;
}

static int close_store(void **state)
{
    tfn_online_close(*state);
    folder_remove(&folder);
    return 0;
}

static void a_store_that_is_not_there_has_no_file(void **state)
{
    tfn_arena arena = {0};
    const tfn_online_census census = census_of(*state, &arena);
    assert_int_equal(census.file_bytes, -1);
    assert_int_equal(census.n_views, 0);
    tfn_arena_deinit(&arena);
    fill(*state, "v", 0, 1, 1, 1); /* close_store expects a store */
}

static void rows_are_counted_by_view_and_generation(void **state)
{
    tfn_error err = {0};
    tfn_arena arena = {0};
    fill(*state, "v", 0, 100, 1, 50);
    fill(*state, "v", 100, 150, 1, 7);
    load(*state, "v", 0, 150, 2, 60);
    ASSERT_OK(fill_rows(*state, "q", "v", TFN_ONLINE_PUSH, 0, 3, 1, 1, &err), err);
    const tfn_online_census census = census_of(*state, &arena);
    assert_int_equal(census.n_views, 2);
    const tfn_online_view_count *v = &census.views[0];
    assert_true(tfn_str_is(v->project, "p") && tfn_str_is(v->view, "v"));
    assert_int_equal(v->live.n_rows, 150);
    assert_int_equal(v->live.n_key_bytes, 150 * 13);
    assert_int_equal(v->live.oldest.seconds, 60);
    assert_int_equal(v->previous.n_rows, 150);
    assert_int_equal(v->previous.oldest.seconds, 7);
    assert_int_equal(v->previous.newest.seconds, 50);
    assert_true(v->generation != v->previous_generation && v->building_generation == 0);
    assert_int_equal(census.views[1].live.n_rows, 3);
    assert_int_equal(census.n_orphans, 0);
    assert_true(census.file_bytes > 0 && census.free_bytes >= 0);
    tfn_arena_deinit(&arena);
}

static void what_no_view_names_is_an_orphan(void **state)
{
    tfn_error err = {0};
    tfn_arena arena = {0};
    tfn_lmdb *lmdb = NULL;
    tfn_lmdb_env *env = NULL;
    MDB_txn *txn = NULL;
    fill(*state, "v", 0, 10, 1, 50);
    fill(*state, "w", 0, 20, 1, 50);
    ASSERT_OK(tfn__lmdb_engine_get(*state, TFN_ONLINE_WRITE, &lmdb, &err), err);
    ASSERT_OK(tfn__write_begin_txn(lmdb, &env, &txn, &err), err);
    ASSERT_OK(tfn__view_remove(env, txn, text("p"), text("w"), &err), err);
    assert_int_equal(mdb_txn_commit(txn), 0);
    const tfn_online_census census = census_of(*state, &arena);
    assert_int_equal(census.n_views, 1);
    assert_int_equal(census.n_orphans, 1);
    assert_int_equal(census.orphans.n_rows, 20);
    tfn_arena_deinit(&arena);
}

static void open_reads_are_counted_with_their_age(void **state)
{
    tfn_error err = {0};
    tfn_arena arena = {0};
    tfn_lmdb_read read = {0};
    fill(*state, "v", 0, 10, 1, 50);
    ASSERT_OK(tfn__lmdb_engine_begin_read(*state, &read, &err), err);
    fill(*state, "v", 0, 10, 2, 51);
    fill(*state, "v", 0, 10, 3, 52);
    tfn_online_census census = census_of(*state, &arena);
    assert_int_equal(census.n_reads, 1);
    assert_int_equal(census.n_commits_old, 2);
    tfn_lmdb_end_read(&read);
    census = census_of(*state, &arena);
    assert_int_equal(census.n_reads, 0);
    ASSERT_OK(tfn__lmdb_engine_begin_read(*state, &read, &err), err);
    census = census_of(*state, &arena); /* its own read is like this one */
    assert_int_equal(census.n_reads, 1);
    assert_int_equal(census.n_commits_old, 0);
    tfn_lmdb_end_read(&read);
    tfn_arena_deinit(&arena);
}

static void counting_may_be_stopped_and_meets_damage(void **state)
{
    tfn_error err = {0};
    tfn_arena arena = {0};
    tfn_online_census census = {0};
    tfn_lmdb *lmdb = NULL;
    tfn_lmdb_env *env = NULL;
    MDB_txn *txn = NULL;
    int left = 1;
    fill(*state, "v", 0, 10, 1, 50);
    const tfn_online_watch watch = {stop_at, &left};
    ASSERT_FAILS(tfn_online_take_census(*state, watch, &arena, &census, &err), TFN_CANCELLED,
                 "stopped while counting", err);
    ASSERT_OK(tfn__lmdb_engine_get(*state, TFN_ONLINE_WRITE, &lmdb, &err), err);
    ASSERT_OK(tfn__write_begin_txn(lmdb, &env, &txn, &err), err);
    MDB_val key = tfn__val("\0\0\0\1x", 5);
    MDB_val value = tfn__val("short", 5);
    assert_int_equal(mdb_put(txn, env->rows, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    ASSERT_FAILS(tfn_online_take_census(*state, no_watch, &arena, &census, &err), TFN_CORRUPT,
                 "online row", err);
    tfn_arena_deinit(&arena);
}

#define IN_STORE(test) cmocka_unit_test_setup_teardown(test, open_store, close_store)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_STORE(a_store_that_is_not_there_has_no_file),
        IN_STORE(rows_are_counted_by_view_and_generation),
        IN_STORE(what_no_view_names_is_an_orphan),
        IN_STORE(open_reads_are_counted_with_their_age),
        IN_STORE(counting_may_be_stopped_and_meets_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
