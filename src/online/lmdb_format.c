/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * What a store's file holds, and how a new one comes to be. The rules are
 * docs/formats/online-store.md.
 *
 * A new store is made under a hidden name and linked to its own once it is complete and synced, so
 * that data.mdb is never half a store, whenever the maker is killed, and of two makers at once one
 * wins and both go on with the same file. (LMDB alone would write two head pages into data.mdb
 * first; cut in between they make a file that it refuses for ever.)
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "online/bytes.h"
#include "online/lmdb_internal.h"

#include "base/poison.h"

enum { FORMAT_BYTES = 12 }; /* 8 of magic, u32 format */

static const uint8_t magic[8] = {'T', 'F', 'N', 'O', 'N', 'L', 'I', 'N'};
static const char format_key[] = "format";

static tfn_code not_ours(const char *path, tfn_error *err)
{
    return TFN_FAIL(err, TFN_INVALID,
                    "folder '%s' holds an LMDB environment that Tiffin did not write; name another "
                    "folder as online_store.path",
                    path);
}

/* Context for errors that do not name the store. */
static tfn_code with_context(const char *path, tfn_code rc, tfn_error *err)
{
    if (rc != TFN_OK) {
        tfn_error_prepend(err, "online store at '%s': ", path);
    }
    return rc;
}

static tfn_code check_format(const char *path, MDB_val value, tfn_error *err)
{
    const uint8_t *p = value.mv_data;
    if (value.mv_size != FORMAT_BYTES || memcmp(p, magic, sizeof magic) != 0) {
        return not_ours(path, err);
    }
    const uint32_t format = tfn__get_u32(p + 8);
    if (format > TFN_ONLINE_FORMAT) {
        return TFN_FAIL(err, TFN_UNSUPPORTED,
                        "online store at '%s' has format %u; this Tiffin reads format %d: upgrade "
                        "tiffin",
                        path, (unsigned)format, TFN_ONLINE_FORMAT);
    }
    if (format != TFN_ONLINE_FORMAT) {
        return TFN_FAIL(err, TFN_CORRUPT, "online store at '%s' says format %u, which never was",
                        path, (unsigned)format);
    }
    return TFN_OK;
}

static int open_databases(tfn_lmdb_env *env, MDB_txn *txn, unsigned flags)
{
    int rc = mdb_dbi_open(txn, "meta", flags, &env->meta);
    if (rc == 0) {
        rc = mdb_dbi_open(txn, "views", flags, &env->views);
    }
    if (rc == 0) {
        rc = mdb_dbi_open(txn, "schemas", flags, &env->schemas);
    }
    if (rc == 0) {
        rc = mdb_dbi_open(txn, "rows", flags, &env->rows);
    }
    if (rc == 0) {
        rc = mdb_dbi_open(txn, "changes", flags, &env->changes);
    }
    if (rc == 0) {
        rc = mdb_dbi_open(txn, "generations", flags, &env->generations);
    }
    return rc;
}

/* Find our databases. *is_empty: there are none, nor anybody else's. */
static tfn_code find_databases(tfn_lmdb_env *env, MDB_txn *txn, bool *is_empty, tfn_error *err)
{
    *is_empty = false;
    MDB_stat stat_main;
    MDB_dbi main_dbi = 0;
    int rc = mdb_dbi_open(txn, NULL, 0, &main_dbi);
    if (rc == 0) {
        rc = mdb_stat(txn, main_dbi, &stat_main);
    }
    if (rc == 0 && stat_main.ms_entries == 0) {
        *is_empty = true;
        return TFN_OK;
    }
    if (rc == 0) {
        rc = open_databases(env, txn, 0);
    }
    if (rc == MDB_NOTFOUND || rc == MDB_INCOMPATIBLE || rc == MDB_DBS_FULL) {
        return not_ours(env->path, err);
    }
    MDB_val key = tfn__val(format_key, sizeof format_key - 1);
    MDB_val value = {0};
    if (rc == 0) {
        rc = mdb_get(txn, env->meta, &key, &value);
    }
    if (rc == MDB_NOTFOUND) {
        return not_ours(env->path, err);
    }
    if (rc != 0) {
        return tfn__lmdb_fail(env->path, rc, "opening it", err);
    }
    return check_format(env->path, value, err);
}

static tfn_code write_format(tfn_lmdb_env *env, MDB_txn *txn, tfn_error *err)
{
    uint8_t bytes[FORMAT_BYTES];
    memcpy(bytes, magic, sizeof magic);
    tfn__set_u32(bytes + 8, TFN_ONLINE_FORMAT);
    MDB_val key = tfn__val(format_key, sizeof format_key - 1);
    MDB_val value = tfn__val(bytes, sizeof bytes);
    int rc = open_databases(env, txn, MDB_CREATE);
    if (rc == 0) {
        rc = mdb_put(txn, env->meta, &key, &value, 0);
    }
    return rc == 0 ? TFN_OK : tfn__lmdb_fail(env->path, rc, "making it", err);
}

/* One look at the databases in a transaction of its own; with MDB_RDONLY nothing is made. */
static tfn_code try_databases(tfn_lmdb_env *env, unsigned txn_flags, bool *is_empty, tfn_error *err)
{
    MDB_txn *txn = NULL;
    const int lmdb_rc = mdb_txn_begin(env->lmdb, NULL, txn_flags, &txn);
    if (lmdb_rc != 0) {
        return tfn__lmdb_fail(env->path, lmdb_rc, "opening it", err);
    }
    tfn_code rc = find_databases(env, txn, is_empty, err);
    if (rc == TFN_OK && *is_empty && txn_flags == 0) {
        rc = write_format(env, txn, err);
    }
    /* A read is committed too: database handles stay only after a commit. */
    return tfn__write_end_txn(env, txn, rc, "opening it", err);
}

/* ---- open ---- */

/* Bytes that the pages of the last commit take. */
static int measure_pages(tfn_lmdb_env *env, off_t *n_bytes)
{
    MDB_envinfo info;
    MDB_stat stat_main;
    int rc = mdb_env_info(env->lmdb, &info);
    if (rc == 0) {
        rc = mdb_env_stat(env->lmdb, &stat_main);
    }
    *n_bytes = rc == 0 ? (off_t)(info.me_last_pgno + 1) * (off_t)stat_main.ms_psize : 0;
    return rc;
}

/*
 * A file that was cut (a copy that was broken off) must be an error, not a signal: reading a mapped
 * page behind the end of a file kills the process. Pages of zeros are what LMDB calls corrupted. A
 * file may be short without harm (pages that were freed before they were written), so being short
 * is no error yet. Under the write lock nobody else changes the length.
 */
static tfn_code fill_up_file(tfn_lmdb_env *env, tfn_error *err)
{
    int fd = -1;
    struct stat data;
    off_t n_bytes = 0;
    MDB_txn *txn = NULL;
    int rc = mdb_env_get_fd(env->lmdb, &fd);
    if (rc == 0) {
        rc = measure_pages(env, &n_bytes);
    }
    if (rc != 0 || fstat(fd, &data) != 0) {
        return tfn__lmdb_fail(env->path, rc != 0 ? rc : errno, "opening it", err);
    }
    if (env->is_read_only || data.st_size >= n_bytes) {
        return TFN_OK;
    }
    rc = mdb_txn_begin(env->lmdb, NULL, 0, &txn);
    if (rc == 0) {
        rc = measure_pages(env, &n_bytes);
        if (rc == 0 && fstat(fd, &data) == 0 && data.st_size < n_bytes) {
            rc = ftruncate(fd, n_bytes) == 0 ? 0 : errno;
        }
        mdb_txn_abort(txn);
    }
    return rc == 0 ? TFN_OK : tfn__lmdb_fail(env->path, rc, "opening it", err);
}

tfn_code tfn__format_open(tfn_lmdb_env *env, tfn_online_mode mode, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(fill_up_file(env, err));
    bool is_empty = false;
    TFN_RETURN_IF_ERROR(try_databases(env, MDB_RDONLY, &is_empty, err));
    if (!is_empty) {
        return TFN_OK;
    }
    if (mode == TFN_ONLINE_READ) {
        return tfn__lmdb_nothing_yet(env->path, err);
    }
    TFN_RETURN_IF_ERROR(try_databases(env, 0, &is_empty, err));
    return with_context(env->path, tfn__folder_sync(env->path, err), err);
}

/* ---- make ---- */

/* A complete, synced store without rows in one file. */
static tfn_code fill_new_file(tfn_lmdb_env *env, tfn_error *err)
{
    int rc = mdb_env_create(&env->lmdb);
    if (rc == 0) {
        rc = mdb_env_set_maxdbs(env->lmdb, TFN__ONLINE_DATABASES);
    }
    if (rc == 0) { /* nobody else knows the file: no lock */
        rc = mdb_env_open(env->lmdb, env->path, MDB_NOSUBDIR | MDB_NOLOCK, 0666);
    }
    bool is_empty = false;
    const tfn_code code = rc == 0 ? try_databases(env, 0, &is_empty, err)
                                  : tfn__lmdb_fail(env->path, rc, "making it", err);
    if (env->lmdb != NULL) {
        mdb_env_close(env->lmdb);
    }
    return code;
}

/* Give the new file its name. */
static tfn_code publish_file(const char *path, const char *from, const char *to, tfn_error *err)
{
    int rc = link(from, to) == 0 ? 0 : errno;
    if (rc == EPERM || rc == ENOTSUP || rc == ENOSYS) { /* a file system without hard links */
        rc = rename(from, to) == 0 ? 0 : errno;
    }
    if (rc != 0) {
        return TFN_FAIL_SYS(err, rc, "online store at '%s': data.mdb cannot be made", path);
    }
    return TFN_OK;
}

static tfn_code make_file(const char *path, char *from, const char *to, tfn_error *err)
{
    tfn_lmdb_env env = {.path = from};
    tfn_error reason = {0};
    (void)unlink(from); /* of a process that was killed and had our number */
    tfn_code rc = fill_new_file(&env, &reason);
    if (rc == TFN_OK) {
        rc = publish_file(path, from, to, &reason);
    }
    if (rc != TFN_OK && access(to, F_OK) != 0) {
        return tfn_error_move(err, &reason);
    }
    /* A failure beside a store means that another maker was first, and may have removed our file.
     */
    tfn__folder_remove_new(path);
    return with_context(path, tfn__folder_sync(path, err), err);
}

tfn_code tfn__format_make(const char *path, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(with_context(path, tfn__folder_create(path, err), err));
    tfn_buf from = {0};
    tfn_buf to = {0};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_format(&to, err, "%s/data.mdb", path), done);
    TFN_GOTO_IF_ERROR(
        rc, tfn_buf_add_format(&from, err, "%s/" TFN__FOLDER_NEW "%ld", path, (long)getpid()),
        done);
    TFN_GOTO_IF_ERROR(rc, make_file(path, from.p, to.p, err), done);
done:
    tfn_buf_deinit(&from);
    tfn_buf_deinit(&to);
    return rc;
}
