/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/online_fixture.h"

#include "online/lmdb_view.c"

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

/* Write n rows with value `value`; keys 0 .. n - 1. */
static void fill(tfn_lmdb *online, tfn_str project, tfn_str view, int64_t n, int64_t value)
{
    tfn_error err = {0};
    tfn_lmdb_write *w = NULL;
    ASSERT_OK(tfn_lmdb_begin_write(online, project, view, two_fields, 2, &w, &err), err);
    for (int64_t id = 0; id < n; id++) {
        (void)put(w, id, value, "x", at(1), no_time);
    }
    commit(w);
}

static uint64_t count_of(tfn_lmdb *online, tfn_str project, tfn_str view)
{
    tfn_error err = {0};
    tfn_lmdb_read read = read_begin(online);
    uint64_t n_rows = 0;
    ASSERT_OK(tfn_lmdb_count(&read, project, view, &n_rows, &err), err);
    tfn_lmdb_end_read(&read);
    return n_rows;
}

static uint32_t live_of(tfn_lmdb *online, tfn_str project, tfn_str view)
{
    tfn_error err = {0};
    tfn_lmdb_read read = read_begin(online);
    uint32_t generation = 0;
    ASSERT_OK(tfn_lmdb_get_live(&read, project, view, &generation, &err), err);
    tfn_lmdb_end_read(&read);
    return generation;
}

/* All rows in the file, of whatever generation. */
static size_t rows_in_file(tfn_lmdb *online)
{
    tfn_lmdb_env *env = atomic_load(&online->env);
    tfn_lmdb_read read = read_begin(online);
    MDB_stat stat;
    assert_int_equal(mdb_stat(read.txn, env->rows, &stat), 0);
    tfn_lmdb_end_read(&read);
    return stat.ms_entries;
}

static void views_and_projects_do_not_mix(void **state)
{
    fill(*state, text("p"), text("v"), 3, 1);
    fill(*state, text("p"), text("w"), 4, 2);
    fill(*state, text("q"), text("v"), 5, 3);
    assert_int_equal(count_of(*state, text("p"), text("v")), 3);
    assert_int_equal(count_of(*state, text("p"), text("w")), 4);
    assert_int_equal(count_of(*state, text("q"), text("v")), 5);
    assert_int_equal(value_now(*state, "v", 0), 1);
    assert_int_equal(value_now(*state, "w", 0), 2);
}

static void names_that_look_alike_when_joined_are_different_views(void **state)
{
    fill(*state, text("a"), text("bc"), 1, 1);
    assert_int_equal(live_of(*state, text("ab"), text("c")), 0);
    assert_int_equal(live_of(*state, text("a"), text("b")), 0);
    /* As asked by somebody who passes zero bytes: not found rather than another view. */
    assert_int_equal(live_of(*state, (tfn_str){"a\0bc", 4}, text("")), 0);
    assert_int_equal(live_of(*state, text(""), (tfn_str){"a\0bc", 4}), 0);
}

static void names_may_have_a_thousand_bytes_each(void **state)
{
    static char project[TFN_MAX_NAME_BYTES];
    static char view[TFN_MAX_NAME_BYTES];
    memset(project, 'p', sizeof project);
    memset(view, 'v', sizeof view);
    const tfn_str p = {project, sizeof project};
    fill(*state, p, (tfn_str){view, sizeof view}, 3, 1);
    fill(*state, p, (tfn_str){view, sizeof view - 1}, 4, 1);
    assert_int_equal(count_of(*state, p, (tfn_str){view, sizeof view}), 3);
    assert_int_equal(count_of(*state, p, (tfn_str){view, sizeof view - 1}), 4);
    assert_int_equal(count_of(*state, p, (tfn_str){view, sizeof view - 2}), 0);
    tfn_error err = {0};
    uint64_t n_rows = 0;
    ASSERT_OK(tfn_lmdb_drop_project(*state, p, &n_rows, &err), err);
    assert_int_equal(n_rows, 7);
}

static void dropping_a_view_removes_its_rows_and_no_others(void **state)
{
    tfn_error err = {0};
    fill(*state, text("p"), text("u"), 10, 1);
    fill(*state, text("p"), text("v"), 20000, 2);
    fill(*state, text("p"), text("w"), 10, 3);
    uint64_t n_rows = 0;
    ASSERT_OK(tfn_lmdb_drop_view(*state, text("p"), text("v"), &n_rows, &err), err);
    assert_int_equal(n_rows, 20000);
    assert_int_equal(rows_in_file(*state), 20);
    assert_int_equal(live_of(*state, text("p"), text("v")), 0);
    assert_int_equal(count_of(*state, text("p"), text("u")), 10);
    for (int64_t id = 0; id < 10; id++) {
        assert_int_equal(value_now(*state, "u", id), 1);
        assert_int_equal(value_now(*state, "v", id), NO_ROW);
        assert_int_equal(value_now(*state, "w", id), 3);
    }
}

static void dropping_what_is_not_there_is_fine(void **state)
{
    tfn_error err = {0};
    uint64_t n_rows = 99;
    ASSERT_OK(tfn_lmdb_drop_view(*state, text("p"), text("v"), &n_rows, &err), err);
    assert_int_equal(n_rows, 0);
    ASSERT_OK(tfn_lmdb_drop_project(*state, text("p"), NULL, &err), err);
}

static void a_generation_is_never_used_twice(void **state)
{
    tfn_error err = {0};
    fill(*state, text("p"), text("v"), 3, 1);
    const uint32_t first = live_of(*state, text("p"), text("v"));
    ASSERT_OK(tfn_lmdb_drop_view(*state, text("p"), text("v"), NULL, &err), err);
    fill(*state, text("p"), text("v"), 2, 2);
    assert_true(live_of(*state, text("p"), text("v")) > first);
    assert_int_equal(count_of(*state, text("p"), text("v")), 2);
    assert_int_equal(value_now(*state, "v", 2), NO_ROW);
}

static void dropping_a_project_leaves_the_others(void **state)
{
    tfn_error err = {0};
    char view[16];
    for (int i = 0; i < 50; i++) {
        (void)snprintf(view, sizeof view, "v%d", i);
        fill(*state, text("p"), text(view), 3, 1);
        fill(*state, text("q"), text(view), 2, 1);
    }
    uint64_t n_rows = 0;
    ASSERT_OK(tfn_lmdb_drop_project(*state, text("p"), &n_rows, &err), err);
    assert_int_equal(n_rows, 150);
    assert_int_equal(rows_in_file(*state), 100);
    ASSERT_OK(tfn_lmdb_drop_project(*state, text("q"), &n_rows, &err), err);
    assert_int_equal(n_rows, 100);
    assert_int_equal(rows_in_file(*state), 0);
    fill(*state, text("p"), text("v"), 1, 1);
}

static void a_read_begun_before_a_drop_still_sees_the_rows(void **state)
{
    tfn_error err = {0};
    fill(*state, text("p"), text("v"), 3, 1);
    tfn_lmdb_read read = read_begin(*state);
    ASSERT_OK(tfn_lmdb_drop_view(*state, text("p"), text("v"), NULL, &err), err);
    tfn_row row;
    assert_true(find(&read, "v", 2, &row));
    tfn_lmdb_end_read(&read);
}

static void overwrite_record(tfn_lmdb *online, const void *bytes, size_t n)
{
    tfn_lmdb_env *env = atomic_load(&online->env);
    MDB_txn *txn = NULL;
    assert_int_equal(mdb_txn_begin(env->lmdb, NULL, 0, &txn), 0);
    MDB_val key = tfn__val("p\0v", 3);
    MDB_val value = tfn__val(bytes, n);
    assert_int_equal(mdb_put(txn, env->views, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
}

static void a_damaged_record_is_an_error(void **state)
{
    tfn_error err = {0};
    uint8_t bytes[AT_NAMES + 2] = {1};
    bytes[AT_PROJECT_BYTES] = 1;
    bytes[AT_VIEW_BYTES] = 1;
    const struct {
        size_t n;
        size_t i_byte;
        uint8_t value;
    } damages[] = {{AT_NAMES + 1, 0, 1},
                   {AT_NAMES - 1, 0, 1},
                   {0, 0, 1},
                   {AT_NAMES + 2, AT_GENERATION, 0},
                   {AT_NAMES + 2, AT_PROJECT_BYTES + 3, 0xff}};
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        uint8_t damaged[sizeof bytes];
        memcpy(damaged, bytes, sizeof bytes);
        damaged[damages[i].i_byte] = damages[i].value;
        overwrite_record(*state, damaged, damages[i].n);
        tfn_lmdb_read read = read_begin(*state);
        uint32_t generation = 0;
        ASSERT_FAILS(tfn_lmdb_get_live(&read, text("p"), text("v"), &generation, &err), TFN_CORRUPT,
                     "a view's record", err);
        tfn_lmdb_end_read(&read);
    }
}

static void a_damaged_counter_is_an_error(void **state)
{
    tfn_error err = {0};
    tfn_lmdb *online = *state;
    tfn_lmdb_env *env = atomic_load(&online->env);
    const char *values[] = {"\0\0\0\0", "\xff\xff\xff\xff", "12345"};
    for (size_t i = 0; i < 3; i++) {
        MDB_txn *txn = NULL;
        assert_int_equal(mdb_txn_begin(env->lmdb, NULL, 0, &txn), 0);
        MDB_val key = tfn__val("next_generation", 15);
        MDB_val value = tfn__val(values[i], i == 2 ? 5 : 4);
        assert_int_equal(mdb_put(txn, env->meta, &key, &value, 0), 0);
        assert_int_equal(mdb_txn_commit(txn), 0);
        tfn_lmdb_write *w = NULL;
        ASSERT_FAILS(tfn_lmdb_begin_write(online, text("p"), text("v"), two_fields, 2, &w, &err),
                     TFN_CORRUPT, "counter 'next_generation'", err);
    }
}

int main(void)
{
#define IN_STORE(test) cmocka_unit_test_setup_teardown(test, open_store, close_store)
    const struct CMUnitTest tests[] = {
        IN_STORE(views_and_projects_do_not_mix),
        IN_STORE(names_that_look_alike_when_joined_are_different_views),
        IN_STORE(names_may_have_a_thousand_bytes_each),
        IN_STORE(dropping_a_view_removes_its_rows_and_no_others),
        IN_STORE(dropping_what_is_not_there_is_fine),
        IN_STORE(a_generation_is_never_used_twice),
        IN_STORE(dropping_a_project_leaves_the_others),
        IN_STORE(a_read_begun_before_a_drop_still_sees_the_rows),
        IN_STORE(a_damaged_record_is_an_error),
        IN_STORE(a_damaged_counter_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
