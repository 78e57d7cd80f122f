/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/online_fixture.h"

#include "online/lmdb_query.c"

typedef struct fixture {
    test_folder folder;
    tfn_lmdb *lmdb;
    tfn_online *online;
    tfn_online_query *query;
    tfn_arena arena;
} fixture;

static int setup(void **state)
{
    static fixture one;
    fixture *f = &one;
    one = (fixture){0};
    tfn_error err = {0};
    folder_make(&f->folder);
    const tfn_online_opts opts = {.lmdb_path = f->folder.store};
    ASSERT_OK(tfn_online_open(&opts, &f->online, &err), err);
    const tfn_online_view view = {.project = text("p"), .name = text("v")};
    ASSERT_OK(tfn_online_query_create(f->online, &view, two_fields, 1, &f->query, &err), err);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    tfn_arena_deinit(&f->arena);
    tfn_online_query_destroy(f->query);
    tfn_online_close(f->online);
    tfn_lmdb_close(f->lmdb);
    folder_remove(&f->folder);
    return 0;
}

/* Value of one key through the query, or NO_ROW. */
static int64_t value_through(fixture *f, int64_t id)
{
    char bytes[9];
    const tfn_str key = key_of(id, bytes);
    tfn_found_row found = {0};
    tfn_online_ask ask = {.query = f->query, .keys = &key, .n_keys = 1, .found = &found};
    tfn_error err = {0};
    ASSERT_OK(tfn_online_fetch(f->online, &ask, 1, &f->arena, &err), err);
    return found.i_fields == NULL ? NO_ROW : value_in(&found.row);
}

static void a_query_follows_every_commit(void **state)
{
    fixture *f = *state;
    assert_int_equal(value_through(f, 1), NO_ROW); /* there is no store */
    f->lmdb = store_open(&f->folder, TFN_ONLINE_WRITE);
    assert_int_equal(value_through(f, 1), NO_ROW); /* there is no view */
    (void)put_alone(f->lmdb, "w", 1, 7, at(1), no_time);
    assert_int_equal(value_through(f, 1), NO_ROW);
    (void)put_alone(f->lmdb, "v", 1, 10, at(1), no_time);
    assert_int_equal(value_through(f, 1), 10);
    assert_int_equal(value_through(f, 1), 10); /* now by the remembered generation */
    (void)put_alone(f->lmdb, "v", 1, 11, at(2), no_time);
    assert_int_equal(value_through(f, 1), 11);
    tfn_error err = {0};
    ASSERT_OK(tfn_lmdb_drop_view(f->lmdb, text("p"), text("v"), NULL, &err), err);
    assert_int_equal(value_through(f, 1), NO_ROW);
    (void)put_alone(f->lmdb, "v", 1, 12, at(1), no_time); /* another generation */
    assert_int_equal(value_through(f, 1), 12);
}

static void what_is_remembered_belongs_to_one_commit_of_one_environment(void **state)
{
    (void)state;
    known_live known = {0};
    uint32_t generation = 0;
    remember_live(&known, 1, 7, 3);
    assert_true(recall_live(&known, 1, 7, &generation));
    assert_int_equal(generation, 3);
    assert_false(recall_live(&known, 1, 8, &generation));
    assert_false(recall_live(&known, 2, 7, &generation));
    remember_live(&known, 1, 8, 4);
    assert_true(recall_live(&known, 1, 8, &generation));
    assert_int_equal(generation, 4);
    atomic_fetch_add(&known.turn, 1); /* somebody is writing, or was when this process forked */
    assert_false(recall_live(&known, 1, 8, &generation));
    remember_live(&known, 1, 9, 5);
    assert_false(recall_live(&known, 1, 9, &generation));
}

static void many_keys_come_back_in_their_order(void **state)
{
    enum { N_KEYS = 4 * KEYS_AT_ONCE + 3 };
    fixture *f = *state;
    f->lmdb = store_open(&f->folder, TFN_ONLINE_WRITE);
    tfn_lmdb_write *w = write_begin(f->lmdb, "v");
    for (int64_t id = 0; id < N_KEYS; id += 2) {
        (void)put(w, id, 100 + id, id % 3 == 0 ? NULL : "some text", at(id), no_time);
    }
    commit(w);
    char bytes[N_KEYS][9];
    tfn_str keys[N_KEYS];
    tfn_found_row found[N_KEYS] = {0};
    for (int64_t i = 0; i < N_KEYS; i++) { /* every fifth is passed over */
        keys[i] = i % 5 == 0 ? (tfn_str){0} : key_of(N_KEYS - 1 - i, bytes[i]);
    }
    tfn_online_ask ask = {.query = f->query, .keys = keys, .n_keys = N_KEYS, .found = found};
    tfn_error err = {0};
    ASSERT_OK(tfn_online_fetch(f->online, &ask, 1, &f->arena, &err), err);
    assert_true(ask.is_known);
    for (int64_t i = 0; i < N_KEYS; i++) {
        const int64_t id = N_KEYS - 1 - i;
        const bool is_there = i % 5 != 0 && id % 2 == 0;
        assert_int_equal(found[i].i_fields != NULL, is_there);
        if (is_there) {
            assert_int_equal(value_in(&found[i].row), 100 + id);
            assert_int_equal(found[i].row.event.seconds, id);
        }
    }
}

static void equal_keys_of_one_address_share_a_row(void **state)
{
    enum { N_KEYS = 2 * KEYS_AT_ONCE };
    fixture *f = *state;
    f->lmdb = store_open(&f->folder, TFN_ONLINE_WRITE);
    (void)put_alone(f->lmdb, "v", 1, 10, at(1), no_time);
    char bytes[9];
    char others[9];
    tfn_str keys[N_KEYS];
    tfn_found_row found[N_KEYS] = {0};
    for (size_t i = 0; i < N_KEYS; i++) {
        keys[i] = i < N_KEYS - 2 ? key_of(1, bytes) : key_of(2, others);
    }
    tfn_online_ask ask = {.query = f->query, .keys = keys, .n_keys = N_KEYS, .found = found};
    tfn_error err = {0};
    ASSERT_OK(tfn_online_fetch(f->online, &ask, 1, &f->arena, &err), err);
    for (size_t i = 0; i < N_KEYS - 2; i++) {
        assert_ptr_equal(found[i].row.bytes, found[0].row.bytes);
        assert_int_equal(value_in(&found[i].row), 10);
    }
    assert_null(found[N_KEYS - 2].i_fields);
    assert_null(found[N_KEYS - 1].i_fields);
}

static void keys_that_are_stored_as_hashes_are_compared_whole(void **state)
{
    enum { N_BYTES = 1000 };
    fixture *f = *state;
    f->lmdb = store_open(&f->folder, TFN_ONLINE_WRITE);
    static char long_key[N_BYTES];
    memset(long_key, 'k', sizeof long_key);
    long_key[0] = TFN_KIND_STRING;
    const tfn_str keys[2] = {{long_key, N_BYTES}, {long_key, N_BYTES - 1}};
    tfn_lmdb_write *w = write_begin(f->lmdb, "v");
    const tfn_cell cells[2] = {{.bits = 5}, {.is_null = true}};
    tfn_error err = {0};
    ASSERT_OK(tfn_lmdb_put(w, keys[0], cells, at(1), no_time, NULL, &err), err);
    commit(w);
    tfn_found_row found[2] = {0};
    tfn_online_ask ask = {.query = f->query, .keys = keys, .n_keys = 2, .found = found};
    ASSERT_OK(tfn_online_fetch(f->online, &ask, 1, &f->arena, &err), err);
    assert_int_equal(value_in(&found[0].row), 5);
    assert_null(found[1].i_fields);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define QUERY_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        QUERY_TEST(a_query_follows_every_commit),
        cmocka_unit_test(what_is_remembered_belongs_to_one_commit_of_one_environment),
        QUERY_TEST(many_keys_come_back_in_their_order),
        QUERY_TEST(equal_keys_of_one_address_share_a_row),
        QUERY_TEST(keys_that_are_stored_as_hashes_are_compared_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
