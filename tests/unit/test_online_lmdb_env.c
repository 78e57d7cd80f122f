/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/wait.h>

#include "unit/online_fixture.h"

static size_t test_map_bytes = (size_t)1 << 40;
#define TFN_ONLINE_MAP_BYTES test_map_bytes
#include "online/lmdb_env.c"

static tfn_lmdb_env *env_of(tfn_lmdb *online)
{
    return atomic_load(&online->env);
}

static void a_process_opens_a_store_once(void **state)
{
    (void)state;
    tfn_error err = {0};
    test_folder f;
    folder_make(&f);
    tfn_lmdb *one = store_open(&f, TFN_ONLINE_WRITE);
    tfn_lmdb *two = store_open(&f, TFN_ONLINE_READ);
    char link[400];
    (void)snprintf(link, sizeof link, "%s/link", f.root);
    assert_int_equal(symlink(f.store, link), 0);
    tfn_lmdb *three = NULL;
    ASSERT_OK(tfn_lmdb_open(link, TFN_ONLINE_READ, &three, &err), err);
    assert_ptr_equal(env_of(one), env_of(two));
    assert_ptr_equal(env_of(one), env_of(three));
    assert_int_equal(env_of(one)->n_handles, 3);
    tfn_lmdb_close(one);
    tfn_lmdb_close(three);
    assert_int_equal(env_of(two)->n_handles, 1);
    tfn_lmdb_close(two);
    assert_null(table.first);
    remove_in(f.root, "link");
    folder_remove(&f);
}

static void two_stores_are_two_environments(void **state)
{
    (void)state;
    test_folder f[2];
    tfn_lmdb *online[2];
    for (int i = 0; i < 2; i++) {
        folder_make(&f[i]);
        online[i] = store_open(&f[i], TFN_ONLINE_WRITE);
        (void)put_alone(online[i], "v", 1, i, at(1), no_time);
    }
    assert_ptr_not_equal(env_of(online[0]), env_of(online[1]));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(value_now(online[i], "v", 1), i);
        tfn_lmdb_close(online[i]);
        folder_remove(&f[i]);
    }
}

static void reading_where_nothing_was_written_says_so(void **state)
{
    (void)state;
    tfn_error err = {0};
    test_folder f;
    folder_make(&f);
    tfn_lmdb *online = NULL;
    ASSERT_FAILS(tfn_lmdb_open(f.store, TFN_ONLINE_READ, &online, &err), TFN_NOT_FOUND,
                 "nothing was materialized yet", err);
    assert_null(online);
    ASSERT_OK(tfn__folder_create(f.store, &err), err);
    ASSERT_FAILS(tfn_lmdb_open(f.store, TFN_ONLINE_READ, &online, &err), TFN_NOT_FOUND,
                 "nothing was materialized yet", err);
    char file[400];
    (void)snprintf(file, sizeof file, "%s/data.mdb", f.store);
    write_file(file, "", 0); /* as a process leaves it that is killed while it makes the store */
    ASSERT_FAILS(tfn_lmdb_open(f.store, TFN_ONLINE_READ, &online, &err), TFN_NOT_FOUND,
                 "nothing was materialized yet", err);
    struct stat status;
    assert_int_equal(stat(file, &status), 0);
    assert_int_equal(status.st_size, 0);
    online = store_open(&f, TFN_ONLINE_WRITE);
    tfn_lmdb_close(online);
    folder_remove(&f);
}

static void what_was_written_is_there_when_opened_again(void **state)
{
    (void)state;
    test_folder f;
    folder_make(&f);
    tfn_lmdb *online = store_open(&f, TFN_ONLINE_WRITE);
    (void)put_alone(online, "v", 1, 42, at(1), no_time);
    tfn_lmdb_close(online);
    online = store_open(&f, TFN_ONLINE_READ);
    assert_int_equal(value_now(online, "v", 1), 42);
    tfn_lmdb_close(online);
    folder_remove(&f);
}

static void a_store_made_anew_in_the_same_place_is_another(void **state)
{
    (void)state;
    test_folder f;
    folder_make(&f);
    tfn_lmdb *old = store_open(&f, TFN_ONLINE_WRITE);
    (void)put_alone(old, "v", 1, 1, at(1), no_time);
    store_remove(f.store);
    tfn_lmdb *new = store_open(&f, TFN_ONLINE_WRITE);
    (void)put_alone(new, "v", 1, 2, at(1), no_time);
    assert_int_equal(value_now(old, "v", 1), 1);
    assert_int_equal(value_now(new, "v", 1), 2);
    tfn_lmdb_close(old);
    tfn_lmdb_close(new);
    folder_remove(&f);
}

/* ---- what is not a store ---- */

static void bytes_that_are_not_lmdb_are_refused(void **state)
{
    (void)state;
    tfn_error err = {0};
    test_folder f;
    folder_make(&f);
    ASSERT_OK(tfn__folder_create(f.store, &err), err);
    char file[400];
    (void)snprintf(file, sizeof file, "%s/data.mdb", f.store);
    static char rubbish[9000];
    memset(rubbish, 'r', sizeof rubbish);
    write_file(file, rubbish, sizeof rubbish);
    tfn_lmdb *online = NULL;
    ASSERT_FAILS(tfn_lmdb_open(f.store, TFN_ONLINE_READ, &online, &err), TFN_CORRUPT,
                 "not an LMDB file", err);
    ASSERT_FAILS(tfn_lmdb_open(f.store, TFN_ONLINE_WRITE, &online, &err), TFN_CORRUPT,
                 "not an LMDB file", err);
    assert_null(table.first);
    folder_remove(&f);
}

/* Put one value into an LMDB environment, as another program would. */
static void write_raw(const char *path, const char *database, const char *name, const void *bytes,
                      size_t n)
{
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    MDB_dbi dbi = 0;
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 8), 0);
    assert_int_equal(mdb_env_open(env, path, 0, 0666), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, database, database == NULL ? 0 : MDB_CREATE, &dbi), 0);
    MDB_val key = tfn__val(name, strlen(name));
    MDB_val value = tfn__val(bytes, n);
    assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void an_environment_of_another_program_is_refused_and_kept(void **state)
{
    (void)state;
    const struct {
        const char *database;
        const char *key;
    } others[] = {{"bookmarks", "a"}, {NULL, "a"}, {NULL, "meta"}, {"meta", "format"}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        tfn_error err = {0};
        test_folder f;
        folder_make(&f);
        ASSERT_OK(tfn__folder_create(f.store, &err), err);
        write_raw(f.store, others[i].database, others[i].key, "theirs, not ours", 16);
        tfn_lmdb *online = NULL;
        ASSERT_FAILS(tfn_lmdb_open(f.store, TFN_ONLINE_WRITE, &online, &err), TFN_INVALID,
                     "that Tiffin did not write", err);
        ASSERT_FAILS(tfn_lmdb_open(f.store, TFN_ONLINE_READ, &online, &err), TFN_INVALID,
                     "that Tiffin did not write", err);
        folder_remove(&f);
    }
}

static void a_newer_format_is_refused(void **state)
{
    (void)state;
    tfn_error err = {0};
    test_folder f;
    folder_make(&f);
    tfn_lmdb *online = store_open(&f, TFN_ONLINE_WRITE);
    tfn_lmdb_close(online);
    write_raw(f.store, "meta", "format", "TFNONLIN\x02\0\0\0", 12);
    ASSERT_FAILS(tfn_lmdb_open(f.store, TFN_ONLINE_READ, &online, &err), TFN_UNSUPPORTED,
                 "has format 2; this Tiffin reads format 1: upgrade", err);
    ASSERT_FAILS(tfn_lmdb_open(f.store, TFN_ONLINE_WRITE, &online, &err), TFN_UNSUPPORTED,
                 "has format 2", err);
    write_raw(f.store, "meta", "format", "TFNONLIN\0\0\0\0", 12);
    ASSERT_FAILS(tfn_lmdb_open(f.store, TFN_ONLINE_READ, &online, &err), TFN_CORRUPT, "format 0",
                 err);
    folder_remove(&f);
}

static void an_empty_path_and_a_file_are_refused(void **state)
{
    (void)state;
    tfn_error err = {0};
    test_folder f;
    folder_make(&f);
    tfn_lmdb *online = NULL;
    ASSERT_FAILS(tfn_lmdb_open("", TFN_ONLINE_WRITE, &online, &err), TFN_INVALID, "is empty", err);
    char file[400];
    (void)snprintf(file, sizeof file, "%s/file", f.root);
    write_file(file, "x", 1);
    ASSERT_FAILS(tfn_lmdb_open(file, TFN_ONLINE_WRITE, &online, &err), TFN_INVALID, "is a file",
                 err);
    remove_in(f.root, "file");
    folder_remove(&f);
}

/* ---- address space ---- */

static void the_map_is_halved_until_it_fits(void **state)
{
    (void)state;
    test_folder f;
    folder_make(&f);
    test_map_bytes = (size_t)1 << 60; /* more than any machine of today can address */
    tfn_lmdb *online = store_open(&f, TFN_ONLINE_WRITE);
    test_map_bytes = (size_t)1 << 40;
    (void)put_alone(online, "v", 1, 5, at(1), no_time);
    assert_int_equal(value_now(online, "v", 1), 5);
    tfn_lmdb_close(online);
    folder_remove(&f);
}

static void a_full_map_is_a_sentence_and_loses_nothing(void **state)
{
    (void)state;
    tfn_error err = {0};
    test_folder f;
    folder_make(&f);
    test_map_bytes = (size_t)1 << 20;
    tfn_lmdb *online = store_open(&f, TFN_ONLINE_WRITE);
    test_map_bytes = (size_t)1 << 40;
    (void)put_alone(online, "v", 1, 5, at(1), no_time);
    tfn_lmdb_write *w = write_begin(online, "v");
    tfn_code rc = TFN_OK;
    char key[9];
    const tfn_cell cells[2] = {{.bits = 6}, {.bytes = {"a label of some length", 22}}};
    for (int64_t id = 0; rc == TFN_OK && id < 100000; id++) {
        rc = tfn_lmdb_put(w, key_of(id, key), cells, at(2), no_time, NULL, &err);
    }
    assert_int_equal(rc, TFN_LIMIT);
    assert_non_null(strstr(err.message, "address space"));
    ASSERT_FAILS(tfn_lmdb_put(w, key_of(1, key), cells, at(3), no_time, NULL, &err), TFN_IO,
                 "can only be aborted", err);
    ASSERT_FAILS(tfn_lmdb_commit(w, &err), TFN_IO, "can only be aborted", err);
    assert_int_equal(value_now(online, "v", 1), 5);
    assert_int_equal(count_now(online, "v"), 1);
    (void)put_alone(online, "v", 1, 7, at(3), no_time); /* and small writes go on */
    assert_int_equal(value_now(online, "v", 1), 7);
    tfn_lmdb_close(online);
    folder_remove(&f);
}

/* Run `body` in a child; its answer is the child's exit code. */
static int in_child(int (*body)(const test_folder *f), const test_folder *f)
{
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(body(f));
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static int grow_far(const test_folder *f)
{
    tfn_error err = {0};
    tfn_lmdb *online = NULL;
    tfn_lmdb_write *w = NULL;
    char key[9];
    const tfn_cell cells[2] = {{.bits = 6}, {.bytes = {"a label of some length", 22}}};
    test_map_bytes = (size_t)1 << 30;
    tfn_code rc = tfn_lmdb_open(f->store, TFN_ONLINE_WRITE, &online, &err);
    if (rc == TFN_OK) {
        rc = tfn_lmdb_begin_write(online, text("p"), text("v"), two_fields, 2, &w, &err);
    }
    for (int64_t id = 0; rc == TFN_OK && id < 50000; id++) {
        rc = tfn_lmdb_put(w, key_of(id, key), cells, at(2), no_time, NULL, &err);
    }
    if (rc == TFN_OK) {
        rc = tfn_lmdb_commit(w, &err);
    }
    tfn_lmdb_close(online);
    return rc == TFN_OK ? 0 : 1;
}

static void a_store_that_outgrew_our_map_says_so(void **state)
{
    (void)state;
    tfn_error err = {0};
    test_folder f;
    folder_make(&f);
    test_map_bytes = (size_t)1 << 20;
    tfn_lmdb *online = store_open(&f, TFN_ONLINE_WRITE);
    test_map_bytes = (size_t)1 << 40;
    (void)put_alone(online, "v", 1, 5, at(1), no_time);
    assert_int_equal(in_child(grow_far, &f), 0);
    tfn_lmdb_read read;
    tfn_lmdb_write *w = NULL;
    ASSERT_FAILS(tfn_lmdb_begin_read(online, &read, &err), TFN_LIMIT, "outgrew", err);
    ASSERT_FAILS(tfn_lmdb_begin_write(online, text("p"), text("v"), two_fields, 2, &w, &err),
                 TFN_LIMIT, "outgrew", err);
    tfn_lmdb_close(online);
    online = store_open(&f, TFN_ONLINE_READ);
    assert_int_equal(value_now(online, "v", 49999), 6);
    tfn_lmdb_close(online);
    folder_remove(&f);
}

/* ---- permissions: as somebody who is not root ---- */

static bool become_nobody(void)
{
    return geteuid() != 0 || (setgid(65534) == 0 && setuid(65534) == 0);
}

static void set_modes(const test_folder *f, mode_t folder, mode_t data, mode_t lock)
{
    char path[400];
    (void)snprintf(path, sizeof path, "%s/data.mdb", f->store);
    assert_int_equal(chmod(path, data), 0);
    (void)snprintf(path, sizeof path, "%s/lock.mdb", f->store);
    if (lock != 0) {
        assert_int_equal(chmod(path, lock), 0);
    } else {
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(chmod(f->store, folder), 0);
    assert_int_equal(chmod(f->root, 0755), 0);
}

static int reads_but_cannot_write(const test_folder *f)
{
    tfn_error err = {0};
    tfn_lmdb *online = NULL;
    tfn_lmdb *writer = NULL;
    tfn_lmdb_write *w = NULL;
    if (!become_nobody() || tfn_lmdb_open(f->store, TFN_ONLINE_READ, &online, &err) != TFN_OK) {
        (void)fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    if (value_now(online, "v", 1) != 5) {
        return 2;
    }
    if (tfn_lmdb_begin_write(online, text("p"), text("v"), two_fields, 2, &w, &err) !=
            TFN_INVALID ||
        strstr(err.message, "for reading only") == NULL) {
        return 3;
    }
    if (tfn_lmdb_open(f->store, TFN_ONLINE_WRITE, &writer, &err) != TFN_IO ||
        strstr(err.message, "may only read it") == NULL) {
        (void)fprintf(stderr, "%s\n", err.message);
        return 4;
    }
    tfn_lmdb_close(online);
    if (tfn_lmdb_open(f->store, TFN_ONLINE_WRITE, &writer, &err) != TFN_IO ||
        strstr(err.message, "not permitted: Permission denied") == NULL) {
        (void)fprintf(stderr, "%s\n", err.message);
        return 5;
    }
    return 0;
}

static int is_told_about_the_lock(const test_folder *f)
{
    tfn_error err = {0};
    tfn_lmdb *online = NULL;
    return become_nobody() && tfn_lmdb_open(f->store, TFN_ONLINE_READ, &online, &err) == TFN_IO &&
                   strstr(err.message, "lock.mdb cannot be written") != NULL
               ? 0
               : 1;
}

static int cannot_make_a_store(const test_folder *f)
{
    tfn_error err = {0};
    tfn_lmdb *online = NULL;
    char path[400];
    (void)snprintf(path, sizeof path, "%s/new/online", f->root);
    return become_nobody() && tfn_lmdb_open(path, TFN_ONLINE_WRITE, &online, &err) == TFN_IO &&
                   strstr(err.message, "cannot be made: Permission denied") != NULL
               ? 0
               : 1;
}

static void a_read_only_store_can_be_read_and_refuses_writes(void **state)
{
    (void)state;
    test_folder f;
    folder_make(&f);
    tfn_lmdb *online = store_open(&f, TFN_ONLINE_WRITE);
    (void)put_alone(online, "v", 1, 5, at(1), no_time);
    tfn_lmdb_close(online);
    set_modes(&f, 0555, 0444, 0666); /* others write it, we may read */
    assert_int_equal(in_child(reads_but_cannot_write, &f), 0);
    set_modes(&f, 0555, 0444, 0444);
    assert_int_equal(in_child(is_told_about_the_lock, &f), 0);
    assert_int_equal(chmod(f.store, 0755), 0);
    folder_remove(&f);
}

static void a_copy_in_a_read_only_folder_can_be_read(void **state)
{
    (void)state;
    test_folder f;
    folder_make(&f);
    tfn_lmdb *online = store_open(&f, TFN_ONLINE_WRITE);
    (void)put_alone(online, "v", 1, 5, at(1), no_time);
    tfn_lmdb_close(online);
    set_modes(&f, 0555, 0444, 0);
    assert_int_equal(in_child(reads_but_cannot_write, &f), 0);
    assert_int_equal(chmod(f.root, 0555), 0);
    assert_int_equal(in_child(cannot_make_a_store, &f), 0);
    assert_int_equal(chmod(f.root, 0755), 0);
    assert_int_equal(chmod(f.store, 0755), 0);
    folder_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_opens_a_store_once),
        cmocka_unit_test(two_stores_are_two_environments),
        cmocka_unit_test(reading_where_nothing_was_written_says_so),
        cmocka_unit_test(what_was_written_is_there_when_opened_again),
        cmocka_unit_test(a_store_made_anew_in_the_same_place_is_another),
        cmocka_unit_test(bytes_that_are_not_lmdb_are_refused),
        cmocka_unit_test(an_environment_of_another_program_is_refused_and_kept),
        cmocka_unit_test(a_newer_format_is_refused),
        cmocka_unit_test(an_empty_path_and_a_file_are_refused),
        cmocka_unit_test(the_map_is_halved_until_it_fits),
        cmocka_unit_test(a_full_map_is_a_sentence_and_loses_nothing),
        cmocka_unit_test(a_store_that_outgrew_our_map_says_so),
        cmocka_unit_test(a_read_only_store_can_be_read_and_refuses_writes),
        cmocka_unit_test(a_copy_in_a_read_only_folder_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
