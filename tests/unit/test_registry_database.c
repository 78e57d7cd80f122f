/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/registry_fixture.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "registry/database.c"

/* ---- files that are not ours ---- */

static void put_file(const char *path, const void *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static size_t get_file(const char *path, char *bytes, size_t n_most)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    const size_t n = fread(bytes, 1, n_most, file);
    assert_int_equal(fclose(file), 0);
    return n;
}

static size_t count_files(const char *folder)
{
    size_t n = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    while (readdir(d) != NULL) {
        n++;
    }
    (void)closedir(d);
    return n - 2;
}

/* Opening and applying both refuse it, and it is byte for byte as before, with nothing beside it.
 */
static void assert_foreign(fixture *f, const char *path, const char *part)
{
    static char before[65536];
    static char after[65536];
    tfn_registry *r = NULL;
    const size_t n = get_file(path, before, sizeof before);
    const size_t n_files = count_files(f->folder);
    assert_failed(f, tfn_registry_open(path, TFN_REGISTRY_CREATE, NULL, &r, &f->err), TFN_INVALID,
                  part);
    assert_null(r);
    tfn__database d = {0};
    assert_failed(f, tfn__database_open_writer(&d, path, 10, &f->err), TFN_INVALID,
                  "it is left untouched");
    assert_int_equal(get_file(path, after, sizeof after), n);
    assert_memory_equal(before, after, n);
    assert_int_equal(count_files(f->folder), n_files);
}

static void a_file_of_another_kind_is_refused_and_untouched(void **state)
{
    fixture *f = *state;
    char path[160];
    (void)snprintf(path, sizeof path, "%s/feast.db", f->folder);
    /* The beginning of a registry of Feast: protobuf. */
    put_file(path, "\x0a\x2f\x0a\x2d\x0a\x06\x64\x72\x69\x76\x65\x72", 12);
    assert_foreign(f, path, "is not a Tiffin registry but a file of another kind");
    put_file(path, "x", 1);
    assert_foreign(f, path, "a file of another kind");
    put_file(path, "SQLite format 3\0 but no more", 28);
    assert_foreign(f, path, "an SQLite database of another program");
}

static void a_database_of_another_program_is_refused_and_untouched(void **state)
{
    fixture *f = *state;
    char path[160];
    sqlite3 *db = NULL;
    (void)snprintf(path, sizeof path, "%s/other.db", f->folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db, "PRAGMA journal_mode=WAL; CREATE TABLE t(a)", NULL, NULL, NULL),
        SQLITE_OK);
    (void)sqlite3_close(db);
    assert_foreign(f, path, "is not a Tiffin registry but an SQLite database of another program");
}

static void a_folder_is_refused(void **state)
{
    fixture *f = *state;
    tfn_registry *r = NULL;
    assert_failed(f, tfn_registry_open(f->folder, TFN_REGISTRY_CREATE, NULL, &r, &f->err),
                  TFN_INVALID, "is not a Tiffin registry but a folder");
    assert_failed(f, tfn_registry_open("/dev/null", TFN_REGISTRY_CREATE, NULL, &r, &f->err),
                  TFN_INVALID, "a device or pipe");
}

static void an_empty_file_becomes_a_registry(void **state)
{
    fixture *f = *state;
    char folder[160];
    (void)snprintf(folder, sizeof folder, "%s/data", f->folder);
    assert_int_equal(mkdir(folder, 0777), 0);
    put_file(f->path, "", 0);
    apply(f, EVERYTHING);
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        fail_msg("%s", sqlite3_errmsg(db));
    }
    (void)sqlite3_close(db);
}

static void a_newer_format_is_refused_with_both_versions(void **state)
{
    fixture *f = *state;
    tfn_registry *r = NULL;
    apply(f, EVERYTHING);
    run_sql(f->path, "PRAGMA user_version=7");
    assert_failed(
        f, tfn_registry_open(f->path, TFN_REGISTRY_CREATE, NULL, &r, &f->err), TFN_UNSUPPORTED,
        "has format version 7 and this Tiffin knows versions up to 1; use a newer Tiffin");
    assert_failed(f, try_apply(f, OBJECTS(ENTITY)), TFN_UNSUPPORTED, "format version 7");
}

static void the_file_says_what_it_is(void **state)
{
    fixture *f = *state;
    char header[100];
    apply(f, EVERYTHING);
    tfn_registry_close(f->registry);
    f->registry = NULL;
    assert_int_equal(get_file(f->path, header, sizeof header), sizeof header);
    assert_memory_equal(header, "SQLite format 3", 16);
    assert_memory_equal(header + 18, "\2\2", 2);     /* write-ahead log */
    assert_memory_equal(header + 60, "\0\0\0\1", 4); /* format version */
    assert_memory_equal(header + 68, "TFRN", 4);
    char folder[160];
    (void)snprintf(folder, sizeof folder, "%s/data", f->folder);
    assert_int_equal(count_files(folder), 1); /* closed: no log beside it */
}

static void paths_may_have_any_character(void **state)
{
    fixture *f = *state;
    char path[200];
    tfn_registry *r = NULL;
    tfn_snapshot *s = NULL;
    (void)snprintf(path, sizeof path, "%s/a b%%20?c=d#e/\xc3\xa9.db", f->folder);
    assert_fine(f, tfn_registry_open(path, TFN_REGISTRY_CREATE, NULL, &r, &f->err));
    assert_fine(f, tfn_registry_apply(r, text("flights"), text(EVERYTHING), &f->answer, &f->err));
    assert_fine(f, tfn_registry_get_snapshot(r, text("flights"), TFN_FRESH, &s, &f->err));
    tfn_snapshot_release(s);
    tfn_registry_close(r);
    assert_int_equal(access(path, F_OK), 0);
}

static void a_path_below_a_file_cannot_be(void **state)
{
    fixture *f = *state;
    char path[160];
    tfn_registry *r = NULL;
    (void)snprintf(path, sizeof path, "%s/file", f->folder);
    put_file(path, "x", 1);
    (void)snprintf(path, sizeof path, "%s/file/registry.db", f->folder);
    assert_failed(f, tfn_registry_open(path, TFN_REGISTRY_CREATE, NULL, &r, &f->err), TFN_IO,
                  "cannot be reached");
}

static void damage_is_found(void **state)
{
    fixture *f = *state;
    tfn_snapshot *s = NULL;
    apply(f, EVERYTHING);
    run_sql(f->path, "UPDATE document SET body = replace(body, 'legs', 'lugs') WHERE kind = 4");
    assert_failed(
        f, tfn_registry_get_snapshot(f->registry, text("flights"), TFN_FRESH, &s, &f->err),
        TFN_CORRUPT,
        "the stored document of feature view 'history' (commit 1) does not match its hash");
    run_sql(f->path, "DROP TABLE document");
    assert_failed(f,
                  tfn_registry_get_snapshot(f->registry, text("flights"), TFN_FRESH, &s, &f->err),
                  TFN_CORRUPT, "the file is damaged (no such table: document)");
}

/* ---- locks ---- */

static tfn_code count_row(void *context, sqlite3_stmt *row, tfn_error *err)
{
    (void)row;
    (void)err;
    ++*(int *)context;
    return TFN_OK;
}

/* Closing a descriptor of the file would drop the reader's lock on it, and with it what keeps
 * another process from deleting the log under the reader. */
static void looking_at_the_file_keeps_the_locks_of_a_reader(void **state)
{
    fixture *f = *state;
    tfn__database reader = {0};
    tfn__database second = {0};
    int n = 0;
    apply(f, EVERYTHING);
    assert_fine(f, tfn__database_open_reader(&reader, f->path, 10, &f->err));
    assert_fine(f, tfn__sql_run(&reader, "SELECT * FROM project", NULL, 0, count_row, &n, &f->err));
    assert_int_equal(n, 1);
    assert_fine(f, tfn__database_open_reader(&second, f->path, 10, &f->err));
    tfn__database_close(&second);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        /* The byte range that SQLite's readers lock: free for a writer only if the lock was lost.
         */
        struct flock range = {
            .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0x40000002, .l_len = 510};
        const int fd = open(f->path, O_RDWR);
        const bool is_locked =
            fd >= 0 && fcntl(fd, F_GETLK, &range) == 0 && range.l_type == F_RDLCK;
        _exit(is_locked ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    tfn__database_close(&reader);
}

/* ---- folders that may not be written ---- */

typedef bool (*child_fn)(fixture *f);

/* Run as nobody, whom permissions stop even where the tests run as root. */
static void run_without_privileges(fixture *f, child_fn fn)
{
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const bool is_root = geteuid() == 0;
        const bool is_dropped =
            !is_root || (setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
        _exit(is_dropped && fn(f) ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static bool read_in_child(fixture *f)
{
    tfn_registry *r = NULL;
    tfn_snapshot *s = NULL;
    const bool is_read =
        tfn_registry_open(f->path, TFN_REGISTRY_CREATE, NULL, &r, &f->err) == TFN_OK &&
        tfn_registry_get_snapshot(r, text("flights"), TFN_FRESH, &s, &f->err) == TFN_OK &&
        tfn_snapshot_count(s, TFN_OBJECT_VIEW) == 1;
    if (!is_read) {
        (void)fprintf(stderr, "%s\n", f->err.message);
        return false;
    }
    tfn_snapshot_release(s);
    const tfn_code rc = tfn_registry_apply(r, text("flights"),
                                           text(OBJECTS("{\"kind\":\"entity\",\"name\":\"x\"}")),
                                           &f->answer, &f->err);
    const bool is_refused = rc == TFN_IO && strstr(f->err.message, "must be writable") != NULL;
    if (!is_refused) {
        (void)fprintf(stderr, "%d %s\n", rc, f->err.message);
    }
    tfn_registry_close(r);
    return is_refused;
}

static void a_read_only_folder_is_read_and_not_written(void **state)
{
    fixture *f = *state;
    char folder[160];
    (void)snprintf(folder, sizeof folder, "%s/data", f->folder);
    apply(f, EVERYTHING);
    tfn_registry_close(f->registry);
    f->registry = NULL;
    assert_int_equal(chmod(f->folder, 0755), 0);
    assert_int_equal(chmod(f->path, 0444), 0);
    assert_int_equal(chmod(folder, 0555), 0);
    run_without_privileges(f, read_in_child);
    assert_int_equal(chmod(folder, 0755), 0);
}

static bool fail_to_create(fixture *f)
{
    tfn_registry *r = NULL;
    if (tfn_registry_open(f->path, TFN_REGISTRY_CREATE, NULL, &r, &f->err) != TFN_OK) {
        return false;
    }
    const tfn_code rc =
        tfn_registry_apply(r, text("flights"), text(EVERYTHING), &f->answer, &f->err);
    tfn_registry_close(r);
    return rc == TFN_IO && strstr(f->err.message, "making the folder '") != NULL;
}

static void a_folder_that_cannot_be_made_is_named(void **state)
{
    fixture *f = *state;
    assert_int_equal(chmod(f->folder, 0555), 0);
    run_without_privileges(f, fail_to_create);
    assert_int_equal(chmod(f->folder, 0755), 0);
}

static void an_immutable_file_is_current_until_it_changes(void **state)
{
    fixture *f = *state;
    tfn__file_id now = {0};
    apply(f, EVERYTHING);
    tfn_registry_close(f->registry);
    f->registry = NULL;
    assert_fine(f, tfn__database_look(f->path, &now, &f->err));
    const tfn__database d = {.path = f->path, .id = now, .is_immutable = true};
    assert_true(tfn__database_is_current(&d, &now));
    now.changed_ns++;
    assert_false(tfn__database_is_current(&d, &now));
    now.exists = false;
    assert_false(tfn__database_is_current(&d, &now));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_of_another_kind_is_refused_and_untouched),
        TEST(a_database_of_another_program_is_refused_and_untouched),
        TEST(a_folder_is_refused),
        TEST(an_empty_file_becomes_a_registry),
        TEST(a_newer_format_is_refused_with_both_versions),
        TEST(the_file_says_what_it_is),
        TEST(paths_may_have_any_character),
        TEST(a_path_below_a_file_cannot_be),
        TEST(damage_is_found),
        TEST(looking_at_the_file_keeps_the_locks_of_a_reader),
        TEST(a_read_only_folder_is_read_and_not_written),
        TEST(a_folder_that_cannot_be_made_is_named),
        TEST(an_immutable_file_is_current_until_it_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
