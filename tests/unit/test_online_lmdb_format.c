/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* (What other folders and files are taken for is tested with lmdb_env.c, which asks.) */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/online_fixture.h"

#include "online/lmdb_format.c"

static void data_path(const test_folder *f, char to[400])
{
    (void)snprintf(to, 400, "%s/data.mdb", f->store);
}

static void a_new_store_is_complete_and_leaves_nothing_beside_it(void **state)
{
    (void)state;
    tfn_error err = {0};
    test_folder f;
    folder_make(&f);
    ASSERT_OK(tfn__format_make(f.store, &err), err);
    tfn_lmdb *online = store_open(&f, TFN_ONLINE_READ); /* reading finds a store, with no rows */
    assert_int_equal(count_now(online, "v"), 0);
    tfn_lmdb_close(online);
    folder_remove(&f); /* fails if there is anything else in the folder */
}

static void making_a_store_where_one_is_keeps_it(void **state)
{
    (void)state;
    tfn_error err = {0};
    test_folder f;
    folder_make(&f);
    tfn_lmdb *online = store_open(&f, TFN_ONLINE_WRITE);
    (void)put_alone(online, "v", 1, 5, at(1), no_time);
    ASSERT_OK(tfn__format_make(f.store, &err), err); /* as a second maker who comes late */
    assert_int_equal(value_now(online, "v", 1), 5);
    tfn_lmdb_close(online);
    online = store_open(&f, TFN_ONLINE_READ);
    assert_int_equal(value_now(online, "v", 1), 5);
    tfn_lmdb_close(online);
    folder_remove(&f);
}

static void what_a_killed_maker_left_is_removed(void **state)
{
    (void)state;
    tfn_error err = {0};
    test_folder f;
    folder_make(&f);
    ASSERT_OK(tfn__folder_create(f.store, &err), err);
    char left[400];
    (void)snprintf(left, sizeof left, "%s/" TFN__FOLDER_NEW "12345", f.store);
    write_file(left, "half a store", 12);
    (void)snprintf(left, sizeof left, "%s/" TFN__FOLDER_NEW "%ld", f.store, (long)getpid());
    write_file(left, "half a store", 12);
    tfn_lmdb *online = store_open(&f, TFN_ONLINE_WRITE);
    (void)put_alone(online, "v", 1, 5, at(1), no_time);
    tfn_lmdb_close(online);
    folder_remove(&f);
}

/* Everything that can be asked of a store; an answer or a sentence, never a signal. */
static void use_damaged(const test_folder *f)
{
    tfn_error err = {0};
    tfn_lmdb *online = NULL;
    tfn_code rc = tfn_lmdb_open(f->store, TFN_ONLINE_WRITE, &online, &err);
    if (rc != TFN_OK) {
        assert_true(rc == TFN_CORRUPT || rc == TFN_INVALID);
        return;
    }
    tfn_lmdb_read read = read_begin(online);
    uint32_t generation = 0;
    rc = tfn_lmdb_get_live(&read, text("p"), text("v"), &generation, &err);
    for (int64_t id = 0; rc == TFN_OK && id < 2000; id++) {
        char key[9];
        tfn_row row;
        bool found = false;
        const tfn_code got = tfn_lmdb_get(&read, generation, key_of(id, key), &row, &found, &err);
        assert_true(got == TFN_OK || got == TFN_CORRUPT);
    }
    tfn_lmdb_end_read(&read);
    tfn_lmdb_write *w = NULL;
    rc = tfn_lmdb_begin_write(online, text("p"), text("v"), two_fields, 2, &w, &err);
    assert_true(rc == TFN_OK || rc == TFN_CORRUPT);
    tfn_lmdb_abort(w);
    tfn_lmdb_close(online);
}

static void a_file_cut_anywhere_is_an_error_and_not_a_signal(void **state)
{
    (void)state;
    test_folder f;
    folder_make(&f);
    tfn_lmdb *online = store_open(&f, TFN_ONLINE_WRITE);
    tfn_lmdb_write *w = write_begin(online, "v");
    for (int64_t id = 0; id < 2000; id++) {
        (void)put(w, id, id, "a label", at(1), no_time);
    }
    commit(w);
    tfn_lmdb_close(online);
    char path[400];
    data_path(&f, path);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    static char whole[1 << 20];
    const size_t n = fread(whole, 1, sizeof whole, file);
    assert_true(n > 100000 && n < sizeof whole);
    assert_int_equal(fclose(file), 0);
    for (size_t n_kept = 1; n_kept < n; n_kept += n_kept < 20000 ? 1999 : 4096) {
        write_file(path, whole, n_kept);
        use_damaged(&f);
    }
    write_file(path, whole, n);
    online = store_open(&f, TFN_ONLINE_READ);
    assert_int_equal(value_now(online, "v", 1999), 1999);
    tfn_lmdb_close(online);
    folder_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_store_is_complete_and_leaves_nothing_beside_it),
        cmocka_unit_test(making_a_store_where_one_is_keeps_it),
        cmocka_unit_test(what_a_killed_maker_left_is_removed),
        cmocka_unit_test(a_file_cut_anywhere_is_an_error_and_not_a_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
