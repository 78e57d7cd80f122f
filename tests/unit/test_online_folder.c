/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>

#include "unit/online_fixture.h"

/* What a process does between another's look for data.mdb and its look at the names: nothing, or
 * make that file. */
static const char *made_meanwhile;

static DIR *opendir_later(const char *path)
{
    if (made_meanwhile != NULL) {
        write_file(made_meanwhile, "x", 1);
        made_meanwhile = NULL;
    }
    return opendir(path);
}

#define opendir opendir_later
#include "online/folder.c"
#undef opendir

static int look(const char *path)
{
    tfn_error err = {0};
    int what = -1;
    struct stat data;
    ASSERT_OK(tfn__folder_inspect(path, &what, &data, &err), err);
    return what;
}

static void a_path_may_be_missing_empty_or_a_store(void **state)
{
    (void)state;
    tfn_error err = {0};
    test_folder f;
    folder_make(&f);
    assert_int_equal(look(f.store), TFN__FOLDER_MISSING);
    ASSERT_OK(tfn__folder_create(f.store, &err), err);
    assert_int_equal(look(f.store), TFN__FOLDER_EMPTY);
    char file[400];
    (void)snprintf(file, sizeof file, "%s/data.mdb", f.store);
    write_file(file, "x", 1);
    assert_int_equal(look(f.store), TFN__FOLDER_STORE);
    folder_remove(&f);
}

static void hidden_files_and_a_left_over_lock_do_not_matter(void **state)
{
    (void)state;
    test_folder f;
    folder_make(&f);
    char file[400];
    (void)snprintf(file, sizeof file, "%s/.gitkeep", f.root);
    write_file(file, "", 0);
    (void)snprintf(file, sizeof file, "%s/lock.mdb", f.root);
    write_file(file, "x", 1);
    assert_int_equal(look(f.root), TFN__FOLDER_EMPTY);
    remove_in(f.root, ".gitkeep");
    remove_in(f.root, "lock.mdb");
    folder_remove(&f);
}

static void a_folder_of_other_things_is_refused_by_name(void **state)
{
    (void)state;
    tfn_error err = {0};
    test_folder f;
    folder_make(&f);
    char file[400];
    (void)snprintf(file, sizeof file, "%s/flights.parquet", f.root);
    write_file(file, "x", 1);
    int what = 0;
    struct stat data;
    ASSERT_FAILS(tfn__folder_inspect(f.root, &what, &data, &err), TFN_INVALID, "flights.parquet",
                 err);
    ASSERT_FAILS(tfn__folder_inspect(file, &what, &data, &err), TFN_INVALID, "is a file", err);
    remove_in(f.root, "flights.parquet");
    folder_remove(&f);
}

static void a_store_that_another_makes_meanwhile_is_no_stranger(void **state)
{
    (void)state;
    test_folder f;
    folder_make(&f);
    char file[400];
    (void)snprintf(file, sizeof file, "%s/data.mdb", f.root);
    made_meanwhile = file;
    assert_int_equal(look(f.root), TFN__FOLDER_EMPTY);
    assert_int_equal(look(f.root), TFN__FOLDER_STORE);
    remove_in(f.root, "data.mdb");
    folder_remove(&f);
}

static void data_mdb_must_be_a_file(void **state)
{
    (void)state;
    tfn_error err = {0};
    test_folder f;
    folder_make(&f);
    char folder[400];
    (void)snprintf(folder, sizeof folder, "%s/data.mdb", f.root);
    assert_int_equal(mkdir(folder, 0777), 0);
    int what = 0;
    struct stat data;
    ASSERT_FAILS(tfn__folder_inspect(f.root, &what, &data, &err), TFN_INVALID, "not a file", err);
    assert_int_equal(rmdir(folder), 0);
    folder_remove(&f);
}

static void parents_are_made_and_what_exists_is_kept(void **state)
{
    (void)state;
    tfn_error err = {0};
    test_folder f;
    folder_make(&f);
    ASSERT_OK(tfn__folder_create(f.store, &err), err);
    ASSERT_OK(tfn__folder_create(f.store, &err), err);
    char slashes[400];
    (void)snprintf(slashes, sizeof slashes, "%s//data///online/", f.root);
    ASSERT_OK(tfn__folder_create(slashes, &err), err);
    char below_file[400];
    (void)snprintf(below_file, sizeof below_file, "%s/file", f.root);
    write_file(below_file, "x", 1);
    (void)snprintf(below_file, sizeof below_file, "%s/file/online", f.root);
    ASSERT_FAILS(tfn__folder_create(below_file, &err), TFN_IO, "cannot be made: Not a directory",
                 err);
    remove_in(f.root, "file");
    folder_remove(&f);
}

static void relative_paths_work(void **state)
{
    (void)state;
    tfn_error err = {0};
    test_folder f;
    folder_make(&f);
    char before[1024];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(f.root), 0);
    ASSERT_OK(tfn__folder_create("data/online", &err), err);
    assert_int_equal(look("data/online"), TFN__FOLDER_EMPTY);
    assert_int_equal(chdir(before), 0);
    folder_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_may_be_missing_empty_or_a_store),
        cmocka_unit_test(hidden_files_and_a_left_over_lock_do_not_matter),
        cmocka_unit_test(a_folder_of_other_things_is_refused_by_name),
        cmocka_unit_test(a_store_that_another_makes_meanwhile_is_no_stranger),
        cmocka_unit_test(data_mdb_must_be_a_file),
        cmocka_unit_test(parents_are_made_and_what_exists_is_kept),
        cmocka_unit_test(relative_paths_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
