/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The SQLite file: is it ours, opening it for reading and for writing, making its tables.
 *
 * A file that is not ours is never given to SQLite, which might replay a journal into it or leave
 * files beside it. So the first 100 bytes are read here: they carry SQLite's magic and our
 * application id. That works because the file is made in rollback-journal mode, in one transaction
 * that writes id, version and tables together, and only then switched to write-ahead logging.
 *
 * States of the path, as tfn__database_look sees them
 *   missing or 0 bytes    no registry yet (SQLite makes an empty file first, so two processes that
 *                         create at once see this, and the loser of the lock finds the tables made)
 *   magic and id          ours; the version is asked through SQLite, as it may be in the log
 *   anything else         refused
 *
 * A reader in a folder where nothing may be written cannot make SQLite's helper files. When there
 * is no log with contents either, the file is whole by itself and is read as immutable; a later
 * change shows in its size or time (tfn__database_is_current).
 */

#include "registry/registry_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#include "base/poison.h"

enum { HEADER_BYTES = 100, APPLICATION_ID_AT = 68, MAX_PATH_BYTES = 4096 };

static const char schema[] =
    "CREATE TABLE project(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, head INTEGER NOT "
    "NULL);"
    "CREATE TABLE commits(project INTEGER NOT NULL, number INTEGER NOT NULL, time_s INTEGER NOT "
    "NULL,"
    " time_ns INTEGER NOT NULL, message TEXT NOT NULL, n_added INTEGER NOT NULL,"
    " n_changed INTEGER NOT NULL, n_removed INTEGER NOT NULL,"
    " PRIMARY KEY(project, number)) WITHOUT ROWID;"
    "CREATE TABLE document(id INTEGER PRIMARY KEY, project INTEGER NOT NULL, kind INTEGER NOT NULL,"
    " name TEXT NOT NULL, first_commit INTEGER NOT NULL, end_commit INTEGER,"
    " created_s INTEGER NOT NULL, created_ns INTEGER NOT NULL, updated_s INTEGER NOT NULL,"
    " updated_ns INTEGER NOT NULL, hash BLOB NOT NULL, body TEXT NOT NULL);"
    "CREATE UNIQUE INDEX document_head ON document(project, kind, name) WHERE end_commit IS NULL;"
    "CREATE INDEX document_first ON document(project, first_commit);"
    "CREATE INDEX document_end ON document(project, end_commit) WHERE end_commit IS NOT NULL;"
    "CREATE TABLE watermark(project INTEGER NOT NULL, view TEXT NOT NULL, start_s INTEGER,"
    " start_ns INTEGER, end_s INTEGER, end_ns INTEGER, created_s INTEGER, created_ns INTEGER,"
    " PRIMARY KEY(project, view)) WITHOUT ROWID;"
    "CREATE TABLE run(id INTEGER PRIMARY KEY, project INTEGER NOT NULL, view TEXT NOT NULL,"
    " start_s INTEGER, start_ns INTEGER, end_s INTEGER, end_ns INTEGER, created_s INTEGER,"
    " created_ns INTEGER, started_s INTEGER, started_ns INTEGER, finished_s INTEGER,"
    " finished_ns INTEGER, n_read INTEGER NOT NULL, n_written INTEGER NOT NULL,"
    " n_ignored INTEGER NOT NULL);"
    "CREATE INDEX run_view ON run(project, view);";

/* A sentence about what SQLite answered while it was busy with `what`. */
static tfn_code fail_sqlite(const tfn__database *d, int code, const char *what, tfn_error *err)
{
    const int kind = code & 0xff;
    const char *why = d->db != NULL ? sqlite3_errmsg(d->db) : sqlite3_errstr(code);
    if (kind == SQLITE_NOMEM || code == SQLITE_IOERR_NOMEM) {
        return TFN_FAIL(err, TFN_NO_MEMORY, "%s the registry '%s': memory is exhausted", what,
                        d->path);
    }
    if (kind == SQLITE_BUSY || kind == SQLITE_LOCKED) {
        return TFN_FAIL(err, TFN_CONFLICT,
                        "%s the registry '%s': another process holds it; try again when it is done",
                        what, d->path);
    }
    if (kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB || kind == SQLITE_CONSTRAINT ||
        kind == SQLITE_ERROR || kind == SQLITE_MISMATCH) {
        return TFN_FAIL(err, TFN_CORRUPT, "%s the registry '%s': the file is damaged (%s)", what,
                        d->path, why);
    }
    if (kind == SQLITE_READONLY || kind == SQLITE_CANTOPEN || kind == SQLITE_PERM) {
        return TFN_FAIL(err, TFN_IO,
                        "%s the registry '%s': %s; the file and its folder must be writable", what,
                        d->path, why);
    }
    const int sys_errno = d->db != NULL ? sqlite3_system_errno(d->db) : 0;
    return TFN_FAIL_SYS(err, sys_errno, "%s the registry '%s': %s", what, d->path, why);
}

static tfn_code fail_foreign(const char *path, const char *found, tfn_error *err)
{
    return TFN_FAIL(err, TFN_INVALID,
                    "'%s' is not a Tiffin registry but %s; it is left untouched: give another path "
                    "as `registry`",
                    path, found);
}

static bool has_magic(const unsigned char *header)
{
    static const char magic[] = "SQLite format 3";
    return memcmp(header, magic, sizeof magic) == 0;
}

/* What a short file lacks reads as zeros. */
static tfn_code check_header(const char *path, const unsigned char *header, tfn_error *err)
{
    if (!has_magic(header)) {
        return fail_foreign(path, "a file of another kind (and no registry of Feast)", err);
    }
    const unsigned char *p = header + APPLICATION_ID_AT;
    const uint32_t id =
        (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
    if (id != TFN__APPLICATION_ID) {
        return fail_foreign(path, "an SQLite database of another program", err);
    }
    return TFN_OK;
}

/*
 * Through SQLite's file layer, not open(2): closing any descriptor of a file drops all POSIX locks
 * that the process has on it, also those of connections that are in use. SQLite's layer knows of
 * them and closes later. It reads bytes only; nothing of the file is interpreted.
 */
static int read_bytes(const char *path, unsigned char *header, size_t n_bytes, void *memory)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    sqlite3_file *file = memory;
    char full[MAX_PATH_BYTES];
    int rc = vfs->mxPathname < MAX_PATH_BYTES ? vfs->xFullPathname(vfs, path, MAX_PATH_BYTES, full)
                                              : SQLITE_CANTOPEN;
    if (rc != SQLITE_OK && rc != SQLITE_OK_SYMLINK) {
        return rc;
    }
    /* The cast: const only since SQLite 3.40. */
    char *name = (char *)(uintptr_t)sqlite3_create_filename(full, "", "", 0, NULL);
    if (name == NULL) {
        return SQLITE_NOMEM;
    }
    rc = vfs->xOpen(vfs, name, file, SQLITE_OPEN_READONLY | SQLITE_OPEN_MAIN_DB, NULL);
    if (rc == SQLITE_OK) {
        rc = file->pMethods->xRead(file, header, (int)n_bytes, 0);
    }
    if (file->pMethods != NULL) {
        (void)file->pMethods->xClose(file);
    }
    sqlite3_free_filename(name);
    return rc == SQLITE_IOERR_SHORT_READ ? SQLITE_OK : rc;
}

static tfn_code read_header(const tfn__database *d, unsigned char header[HEADER_BYTES],
                            tfn_error *err)
{
    void *memory = NULL;
    memset(header, 0, HEADER_BYTES);
    if (sqlite3_initialize() != SQLITE_OK) {
        return fail_sqlite(d, SQLITE_NOMEM, "opening", err);
    }
    const int n_file = sqlite3_vfs_find(NULL)->szOsFile;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, (size_t)n_file, &memory, err));
    const int rc = read_bytes(d->path, header, HEADER_BYTES, memory);
    tfn_mem_free(memory);
    return rc == SQLITE_OK ? TFN_OK : fail_sqlite(d, rc, "opening", err);
}

static tfn_code check_is_ours(const tfn__database *d, tfn_error *err)
{
    unsigned char header[HEADER_BYTES];
    TFN_RETURN_IF_ERROR(read_header(d, header, err));
    return check_header(d->path, header, err);
}

tfn_code tfn__database_is_sqlite(const char *path, bool *is_sqlite, tfn_error *err)
{
    unsigned char header[HEADER_BYTES];
    tfn__database d = {.path = path};
    *is_sqlite = false;
    TFN_RETURN_IF_ERROR(tfn__database_look(path, &d.id, err));
    if (d.id.exists) {
        TFN_RETURN_IF_ERROR(read_header(&d, header, err));
        *is_sqlite = has_magic(header);
    }
    return TFN_OK;
}

tfn_code tfn__database_look(const char *path, tfn__file_id *out, tfn_error *err)
{
    *out = (tfn__file_id){0};
    struct stat found;
    if (stat(path, &found) != 0) {
        if (errno == ENOENT) {
            return TFN_OK;
        }
        return TFN_FAIL_SYS(err, errno, "the registry '%s' cannot be reached", path);
    }
    if (S_ISDIR(found.st_mode)) {
        return fail_foreign(path, "a folder", err);
    }
    if (!S_ISREG(found.st_mode)) {
        return fail_foreign(path, "a device or pipe", err);
    }
    if (found.st_size == 0) {
        return TFN_OK;
    }
    *out = (tfn__file_id){
        .exists = true,
        .device = (uint64_t)found.st_dev,
        .inode = (uint64_t)found.st_ino,
        .size = (int64_t)found.st_size,
        .changed_ns = (int64_t)found.st_mtim.tv_sec * 1000000000 + found.st_mtim.tv_nsec,
    };
    return TFN_OK;
}

/* Is there a write-ahead log with something in it? */
static bool has_log(const char *path)
{
    tfn_buf name = {0};
    struct stat found;
    bool is_there = true; /* when in doubt */
    if (tfn_buf_add_format(&name, NULL, "%s-wal", path) == TFN_OK) {
        is_there = stat(name.p, &found) == 0 && found.st_size > 0;
    }
    tfn_buf_deinit(&name);
    return is_there;
}

/* May files be made in the folder of the path? */
static bool can_make_files(const char *path)
{
    tfn_buf folder = {0};
    bool can = true; /* when in doubt */
    const char *slash = strrchr(path, '/');
    const size_t n = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    if (tfn_buf_add(&folder, n > 0 ? path : "./", n > 0 ? n : 2, NULL) == TFN_OK) {
        can = access(folder.p, W_OK) == 0;
    }
    tfn_buf_deinit(&folder);
    return can;
}

bool tfn__database_is_current(const tfn__database *d, const tfn__file_id *now)
{
    if (!now->exists || d->id.device != now->device || d->id.inode != now->inode) {
        return false;
    }
    if (!d->is_immutable) {
        return true;
    }
    return d->id.size == now->size && d->id.changed_ns == now->changed_ns && !has_log(d->path);
}

void tfn__database_close(tfn__database *d)
{
    if (d->db != NULL) {
        (void)sqlite3_close_v2(d->db);
    }
    d->db = NULL;
}

tfn_code tfn__sql_prepare(tfn__database *d, const char *sql, sqlite3_stmt **out, tfn_error *err)
{
    *out = NULL;
    const int rc = sqlite3_prepare_v2(d->db, sql, -1, out, NULL);
    return rc == SQLITE_OK ? TFN_OK : fail_sqlite(d, rc, "reading", err);
}

static int bind_value(sqlite3_stmt *statement, int i, const tfn__sql_value *value)
{
    const char *p = value->s.p == NULL ? "" : value->s.p;
    switch (value->type) {
    case 'i':
        return sqlite3_bind_int64(statement, i, value->i);
    case 't':
        return sqlite3_bind_text64(statement, i, p, value->s.n, SQLITE_STATIC, SQLITE_UTF8);
    case 'b':
        return sqlite3_bind_blob64(statement, i, p, value->s.n, SQLITE_STATIC);
    default:
        return sqlite3_bind_null(statement, i);
    }
}

tfn_code tfn__sql_run_prepared(tfn__database *d, sqlite3_stmt *statement,
                               const tfn__sql_value *values, size_t n_values,
                               tfn__sql_row_fn on_row, void *context, tfn_error *err)
{
    const char *what = sqlite3_stmt_readonly(statement) ? "reading" : "writing";
    for (size_t i = 0; i < n_values; i++) {
        const int bound = bind_value(statement, (int)i + 1, &values[i]);
        if (bound != SQLITE_OK) {
            return fail_sqlite(d, bound, what, err);
        }
    }
    tfn_code rc = TFN_OK;
    int step = sqlite3_step(statement);
    while (step == SQLITE_ROW && rc == TFN_OK) {
        if (on_row != NULL) {
            rc = on_row(context, statement, err);
        }
        if (rc == TFN_OK) {
            step = sqlite3_step(statement);
        }
    }
    if (rc == TFN_OK && step != SQLITE_DONE) {
        rc = fail_sqlite(d, step, what, err);
    }
    (void)sqlite3_reset(statement);
    return rc;
}

tfn_code tfn__sql_run(tfn__database *d, const char *sql, const tfn__sql_value *values,
                      size_t n_values, tfn__sql_row_fn on_row, void *context, tfn_error *err)
{
    sqlite3_stmt *statement = NULL;
    tfn_code rc = tfn__sql_prepare(d, sql, &statement, err);
    if (rc == TFN_OK) {
        rc = tfn__sql_run_prepared(d, statement, values, n_values, on_row, context, err);
    }
    (void)sqlite3_finalize(statement);
    return rc;
}

tfn_str tfn__sql_get_str(sqlite3_stmt *row, int column)
{
    const void *p = sqlite3_column_blob(row, column);
    const int n = sqlite3_column_bytes(row, column);
    return p == NULL ? (tfn_str){0} : (tfn_str){p, (size_t)n};
}

tfn_instant tfn__sql_get_instant(sqlite3_stmt *row, int column)
{
    if (sqlite3_column_type(row, column) == SQLITE_NULL) {
        return TFN_INSTANT_NONE;
    }
    return (tfn_instant){sqlite3_column_int64(row, column), sqlite3_column_int(row, column + 1)};
}

void tfn__sql_rollback(tfn__database *d)
{
    if (d->db != NULL && !sqlite3_get_autocommit(d->db)) {
        (void)sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
    }
}

static tfn_code store_int(void *context, sqlite3_stmt *row, tfn_error *err)
{
    (void)err;
    *(int64_t *)context = sqlite3_column_int64(row, 0);
    return TFN_OK;
}

static tfn_code check_version(tfn__database *d, int64_t *version, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn__sql_run(d, "PRAGMA user_version", NULL, 0, store_int, version, err));
    if (*version > TFN__FORMAT_VERSION) {
        return TFN_FAIL(
            err, TFN_UNSUPPORTED,
            "the registry '%s' has format version %lld and this Tiffin knows versions up "
            "to %d; use a newer Tiffin",
            d->path, (long long)*version, TFN__FORMAT_VERSION);
    }
    return TFN_OK;
}

/* "file:" and the path, with what a URI gives a meaning to escaped. */
static tfn_code format_uri(const char *path, const char *options, tfn_buf *out, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, path[0] == '/' ? "file://" : "file:", err));
    for (const char *c = path; *c != '\0'; c++) {
        if (*c == '%' || *c == '?' || *c == '#') {
            TFN_RETURN_IF_ERROR(
                tfn_buf_add_format(out, err, "%%%02X", (unsigned)(unsigned char)*c));
        } else {
            TFN_RETURN_IF_ERROR(tfn_buf_add(out, c, 1, err));
        }
    }
    return tfn_buf_add_text(out, options, err);
}

static tfn_code open_file(tfn__database *d, int flags, const char *options, int busy_ms,
                          tfn_error *err)
{
    tfn_buf uri = {0};
    tfn_code rc = format_uri(d->path, options, &uri, err);
    if (rc == TFN_OK) {
        const int opened = sqlite3_open_v2(
            uri.p, &d->db, flags | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE,
            NULL);
        if (opened != SQLITE_OK) {
            rc = fail_sqlite(d, opened, "opening", err);
        }
    }
    tfn_buf_deinit(&uri);
    if (rc == TFN_OK) {
        (void)sqlite3_extended_result_codes(d->db, 1);
        (void)sqlite3_busy_timeout(d->db, busy_ms);
    } else {
        tfn__database_close(d);
    }
    return rc;
}

static tfn_code read_version(tfn__database *d, int busy_ms, tfn_error *err)
{
    int64_t version = 0;
    const char *options = d->is_immutable ? "?immutable=1" : "";
    tfn_code rc = open_file(d, SQLITE_OPEN_READONLY, options, busy_ms, err);
    if (rc == TFN_OK) {
        rc = check_version(d, &version, err);
    }
    if (rc != TFN_OK || version == 0) { /* 0: its creation was cut off and undone just now */
        tfn__database_close(d);
    }
    return rc;
}

tfn_code tfn__database_open_reader(tfn__database *d, const char *path, int busy_ms, tfn_error *err)
{
    tfn_error first = {0};
    *d = (tfn__database){.path = path};
    TFN_RETURN_IF_ERROR(tfn__database_look(path, &d->id, err));
    TFN_RETURN_IF_ERROR(check_is_ours(d, err));
    tfn_code rc = read_version(d, busy_ms, &first);
    if (rc == TFN_IO && !can_make_files(path) && !has_log(path)) {
        d->is_immutable = true;
        rc = read_version(d, busy_ms, &first);
    }
    return rc == TFN_OK ? TFN_OK : tfn_error_move(err, &first);
}

/* Make the folders above a path. */
static tfn_code make_folders(const char *path, tfn_error *err)
{
    tfn_buf folder = {0};
    tfn_code rc = tfn_buf_add_text(&folder, path, err);
    for (size_t i = 1; rc == TFN_OK && i < folder.n; i++) {
        if (folder.p[i] != '/') {
            continue;
        }
        folder.p[i] = '\0';
        if (mkdir(folder.p, 0777) != 0 && errno != EEXIST && errno != EISDIR) {
            const int mkdir_errno = errno;
            struct stat found;
            if (stat(folder.p, &found) != 0) {
                rc = TFN_FAIL_SYS(err, mkdir_errno, "making the folder '%s' for the registry '%s'",
                                  folder.p, path);
            }
        }
        folder.p[i] = '/';
    }
    tfn_buf_deinit(&folder);
    return rc;
}

static tfn_code run_script(tfn__database *d, const char *sql, tfn_error *err)
{
    const int rc = sqlite3_exec(d->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? TFN_OK : fail_sqlite(d, rc, "writing", err);
}

static tfn_code create_tables(tfn__database *d, tfn_error *err)
{
    int64_t version = 0;
    char marks[96];
    (void)sqlite3_snprintf(sizeof marks, marks, "PRAGMA application_id=%d; PRAGMA user_version=%d",
                           (int)TFN__APPLICATION_ID, (int)TFN__FORMAT_VERSION);
    TFN_RETURN_IF_ERROR(run_script(d, "BEGIN EXCLUSIVE", err));
    TFN_RETURN_IF_ERROR(check_version(d, &version, err));
    if (version == 0) { /* else another process was faster */
        TFN_RETURN_IF_ERROR(run_script(d, schema, err));
        TFN_RETURN_IF_ERROR(run_script(d, marks, err));
    }
    return run_script(d, "COMMIT", err);
}

/* Switching needs the file for a moment alone, and SQLite does not wait for that by itself. */
static tfn_code switch_to_log(tfn__database *d, tfn_error *err)
{
    int rc = SQLITE_BUSY;
    for (int i = 0; i < 50 && (rc & 0xff) == SQLITE_BUSY; i++) {
        if (i > 0) {
            (void)sqlite3_sleep(10);
        }
        rc = sqlite3_exec(d->db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL);
    }
    /* Still busy: the file works in either mode, and the next writer tries again. */
    return rc == SQLITE_OK || (rc & 0xff) == SQLITE_BUSY ? TFN_OK
                                                         : fail_sqlite(d, rc, "writing", err);
}

static tfn_code prepare_writer(tfn__database *d, tfn_error *err)
{
    int64_t version = 0;
    TFN_RETURN_IF_ERROR(run_script(d, "PRAGMA synchronous=FULL", err));
    TFN_RETURN_IF_ERROR(check_version(d, &version, err));
    if (version == 0) {
        TFN_RETURN_IF_ERROR(create_tables(d, err));
    }
    return switch_to_log(d, err);
}

tfn_code tfn__database_open_writer(tfn__database *d, const char *path, int busy_ms, tfn_error *err)
{
    *d = (tfn__database){.path = path};
    TFN_RETURN_IF_ERROR(tfn__database_look(path, &d->id, err));
    if (d->id.exists) {
        TFN_RETURN_IF_ERROR(check_is_ours(d, err));
    } else {
        TFN_RETURN_IF_ERROR(make_folders(path, err));
    }
    TFN_RETURN_IF_ERROR(open_file(d, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "", busy_ms, err));
    const tfn_code rc = prepare_writer(d, err);
    if (rc != TFN_OK) {
        tfn__sql_rollback(d);
        tfn__database_close(d);
    }
    return rc;
}
