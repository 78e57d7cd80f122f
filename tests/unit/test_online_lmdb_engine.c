/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* The engine-neutral calls (online/online.h), with LMDB behind them. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "online/online.h"
#include "unit/online_fixture.h"

static test_folder folder;

static int open_online(void **state)
{
    tfn_error err = {0};
    tfn_online *online = NULL;
    folder_make(&folder);
    const tfn_online_opts opts = {.lmdb_path = folder.store};
    ASSERT_OK(tfn_online_open(&opts, &online, &err), err);
    *state = online;
    return 0;
}

static int close_online(void **state)
{
    tfn_online_close(*state);
    folder_remove(&folder);
    return 0;
}

static tfn_online_view view_of(const char *name)
{
    static const tfn_str key_name = {"id", 2};
    static const tfn_type key_type = {.kind = TFN_KIND_INT64};
    return (tfn_online_view){text("p"), text(name), &key_name, &key_type, 1};
}

static tfn_online_write *begin(tfn_online *online, const char *name)
{
    tfn_error err = {0};
    tfn_online_write *w = NULL;
    const tfn_online_view view = view_of(name);
    ASSERT_OK(tfn_online_begin_write(online, &view, two_fields, 2, TFN_ONLINE_PUSH, 1, &w, &err),
              err);
    return w;
}

static void go_on(tfn_online_write *w, const char *name)
{
    tfn_error err = {0};
    const tfn_online_view view = view_of(name);
    ASSERT_OK(tfn_online_next_view(w, &view, two_fields, 2, 1, &err), err);
}

static void put_value(tfn_online_write *w, int64_t id, int64_t value, int64_t second)
{
    tfn_error err = {0};
    char key[9];
    const tfn_cell cells[2] = {{.bits = (uint64_t)value}, {.is_null = true}};
    ASSERT_OK(tfn_online_put(w, key_of(id, key), cells, at(second), no_time, &err), err);
}

static void delete_id(tfn_online_write *w, int64_t id)
{
    tfn_error err = {0};
    char key[9];
    ASSERT_OK(tfn_online_delete(w, key_of(id, key), &err), err);
}

static tfn_online_stats end(tfn_online_write *w)
{
    tfn_error err = {0};
    tfn_online_stats stats = {0};
    ASSERT_OK(tfn_online_commit(w, &stats, &err), err);
    return stats;
}

/* What one fetch finds for a key in a view; NO_ROW. */
static int64_t fetch_value(tfn_online *online, const char *name, int64_t id)
{
    tfn_error err = {0};
    tfn_arena arena = {0};
    tfn_online_query *query = NULL;
    char bytes[9];
    const tfn_online_view view = view_of(name);
    const tfn_str key = key_of(id, bytes);
    tfn_found_row found = {0};
    ASSERT_OK(tfn_online_query_create(online, &view, two_fields, 1, &query, &err), err);
    tfn_online_ask ask = {.query = query, .keys = &key, .n_keys = 1, .found = &found};
    ASSERT_OK(tfn_online_fetch(online, &ask, 1, &arena, &err), err);
    int64_t value = NO_ROW;
    if (found.i_fields != NULL) {
        assert_int_equal(found.i_fields[0], 0);
        value = value_in(&found.row);
    }
    tfn_online_query_destroy(query);
    tfn_arena_deinit(&arena);
    return value;
}

static void one_commit_writes_several_views_and_counts_all_of_them(void **state)
{
    tfn_online_write *w = begin(*state, "v");
    put_value(w, 2, 10, 5);
    put_value(w, 1, 11, 5);
    go_on(w, "w");
    put_value(w, 2, 20, 5);
    put_value(w, 2, 20, 5);
    put_value(w, 2, 21, 4);
    go_on(w, "v");
    put_value(w, 2, 12, 6);
    delete_id(w, 1);
    delete_id(w, 7);
    assert_int_equal(fetch_value(*state, "v", 2), NO_ROW);
    const tfn_online_stats stats = end(w);
    assert_int_equal(stats.n_written, 4);
    assert_int_equal(stats.n_same, 1);
    assert_int_equal(stats.n_older, 1);
    assert_int_equal(stats.n_deleted, 1);
    assert_int_equal(stats.n_absent, 1);
    assert_int_equal(fetch_value(*state, "v", 2), 12);
    assert_int_equal(fetch_value(*state, "v", 1), NO_ROW);
    assert_int_equal(fetch_value(*state, "w", 2), 20);
}

static void an_aborted_write_leaves_nothing(void **state)
{
    tfn_online_write *w = begin(*state, "v");
    put_value(w, 1, 10, 5);
    go_on(w, "w");
    put_value(w, 1, 10, 5);
    tfn_online_abort(w);
    tfn_online_abort(NULL);
    assert_int_equal(fetch_value(*state, "v", 1), NO_ROW);
    assert_int_equal(fetch_value(*state, "w", 1), NO_ROW);
}

static void a_load_that_fails_counts_nothing(void **state)
{
    tfn_error err = {0};
    tfn_online_write *w = begin(*state, "v");
    put_value(w, 1, 10, 5);
    (void)end(w);
    const tfn_online_view view = view_of("v");
    ASSERT_OK(tfn_online_begin_write(*state, &view, two_fields, 2, TFN_ONLINE_LOAD, 2, &w, &err),
              err);
    put_value(w, 1, 11, 4); /* older */
    ASSERT_OK(tfn_online_drop_project(*state, text("p"), NULL, &err), err);
    tfn_online_stats stats = {.n_written = 77};
    ASSERT_FAILS(tfn_online_commit(w, &stats, &err), TFN_CONFLICT, "while it was loaded", err);
    assert_int_equal(stats.n_written, 0);
    assert_int_equal(stats.n_older, 0);
}

int main(void)
{
#define IN_STORE(test) cmocka_unit_test_setup_teardown(test, open_online, close_online)
    const struct CMUnitTest tests[] = {
        IN_STORE(one_commit_writes_several_views_and_counts_all_of_them),
        IN_STORE(an_aborted_write_leaves_nothing),
        IN_STORE(a_load_that_fails_counts_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
