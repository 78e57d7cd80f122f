/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Backup: the live rows of one project's views, in a store of their own.
 *
 *   one read of the store --lmdb_copy.c--> .new-backup/data.mdb --sync, hash, rename--> .new-data.mdb
 *
 * Reads and writes go on: a read transaction keeps the state of one instant, and the copy takes no
 * lock. Its price is that pages which writes free meanwhile are used again only afterwards.
 *
 * Rejected: mdb_env_copy2. It copies the whole file: rows of other projects in the same folder,
 * generations that nobody reads, and views that no definition names; and it can neither tell how far
 * it is nor be stopped. Restoring needs this copy of rows anyway.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"
#include "online/backup_folder.h"
#include "online/lmdb_admin.h"

#include "base/poison.h"

enum { ROWS_PER_COMMIT = 65536, BLOCK_BYTES = 1 << 20 };

static const char stopped[] = "stopped while the backup was written; nothing is left of it";

/* ---- paths ---- */

typedef struct backup_paths {
    tfn_buf temp;      /* folder/.new-backup: the store that is being made */
    tfn_buf temp_data; /* its files */
    tfn_buf temp_lock;
    tfn_buf data; /* what it becomes */
} backup_paths;

static void deinit_paths(backup_paths *paths)
{
    tfn_buf_deinit(&paths->temp);
    tfn_buf_deinit(&paths->temp_data);
    tfn_buf_deinit(&paths->temp_lock);
    tfn_buf_deinit(&paths->data);
}

static tfn_code make_paths(const char *folder, backup_paths *paths, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_format(&paths->temp, err, "%s/.new-backup", folder));
    TFN_RETURN_IF_ERROR(tfn_buf_add_format(&paths->temp_data, err, "%s/data.mdb", paths->temp.p));
    TFN_RETURN_IF_ERROR(tfn_buf_add_format(&paths->temp_lock, err, "%s/lock.mdb", paths->temp.p));
    return tfn_buf_add_format(&paths->data, err, "%s/" TFN_BACKUP_NEW_DATA, folder);
}

/* Also of a backup that was killed. What cannot be removed stays, hidden. */
static void remove_temp(const backup_paths *paths)
{
    tfn__folder_remove_new(paths->temp.p);
    (void)unlink(paths->temp_data.p);
    (void)unlink(paths->temp_lock.p);
    (void)rmdir(paths->temp.p);
}

/* ---- rows ---- */

typedef struct backup_run {
    const tfn_lmdb_read *from;
    tfn_lmdb *to;
    tfn_online_watch watch;
    tfn_str project;
    uint64_t n_done;
    int64_t n_total;
} backup_run;

/* One transaction: some rows, and at the end the view's record. */
static tfn_code copy_step(backup_run *run, tfn__copy *copy, tfn_str view, const tfn__view *record,
                          tfn_error *err)
{
    tfn_lmdb_env *env = NULL;
    MDB_txn *txn = NULL;
    tfn_code rc = TFN_OK;
    tfn__view here = {0};
    TFN_RETURN_IF_ERROR(tfn__write_begin_txn(run->to, &env, &txn, err));
    if (copy->to_generation == 0) {
        rc = tfn__meta_take_number(env, txn, "next_generation", &copy->to_generation, err);
    }
    if (rc == TFN_OK) {
        rc = tfn__copy_some(copy, env, txn, ROWS_PER_COMMIT, err);
    }
    if (rc == TFN_OK && copy->is_done) {
        here.generation = copy->to_generation;
        here.n_rows = copy->n_rows;
        rc = tfn__copy_schema(copy, env, txn, record->schema_id, &here.schema_id, err);
        if (rc == TFN_OK) {
            rc = tfn__view_put(env, txn, run->project, view, &here, err);
        }
    }
    return tfn__write_end_txn(env, txn, rc, "writing a backup", err);
}

static tfn_code copy_view(backup_run *run, tfn_online_copy *view, tfn_error *err)
{
    tfn__view record = {0};
    TFN_RETURN_IF_ERROR(
        tfn__view_get(run->from->env, run->from->txn, run->project, view->view, &record, err));
    view->generation = record.generation;
    view->is_known = record.generation != 0;
    tfn__copy copy = {
        .from = run->from, .generation = record.generation, .is_done = !view->is_known};
    tfn_code rc = TFN_OK;
    while (rc == TFN_OK && !copy.is_done) {
        rc = tfn__watch_tell(run->watch, "copying online rows", run->n_done + copy.n_rows,
                             run->n_total, stopped, err);
        if (rc == TFN_OK) {
            rc = copy_step(run, &copy, view->view, &record, err);
        }
    }
    view->n_rows = copy.n_rows;
    run->n_done += copy.n_rows;
    tfn__copy_end(&copy);
    return rc;
}

static tfn_code count_total(backup_run *run, const tfn_online_copy *views, size_t n_views,
                            tfn_error *err)
{
    for (size_t i = 0; i < n_views; i++) {
        tfn__view record = {0};
        TFN_RETURN_IF_ERROR(tfn__view_get(run->from->env, run->from->txn, run->project,
                                          views[i].view, &record, err));
        run->n_total += (int64_t)record.n_rows;
    }
    return TFN_OK;
}

/* The commits in between need not survive a power cut: the file has no name yet. */
static tfn_code copy_views(backup_run *run, tfn_online_copy *views, size_t n_views, tfn_error *err)
{
    tfn_lmdb_env *env = NULL;
    TFN_RETURN_IF_ERROR(tfn__lmdb_get_env(run->to, &env, err));
    int rc = mdb_env_set_flags(env->lmdb, MDB_NOSYNC, 1);
    if (rc != 0) {
        return tfn__lmdb_fail(env->path, rc, "writing a backup", err);
    }
    TFN_RETURN_IF_ERROR(count_total(run, views, n_views, err));
    for (size_t i = 0; i < n_views; i++) {
        TFN_RETURN_IF_ERROR(copy_view(run, &views[i], err));
    }
    rc = mdb_env_sync(env->lmdb, 1);
    return rc == 0 ? TFN_OK : tfn__lmdb_fail(env->path, rc, "writing a backup", err);
}

static tfn_code write_temp(tfn_online *online, const backup_paths *paths, tfn_str project,
                           tfn_online_copy *views, size_t n_views, tfn_online_watch watch,
                           tfn_error *err)
{
    tfn_lmdb_read read = {0};
    tfn_lmdb *to = NULL;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn_lmdb_open(paths->temp.p, TFN_ONLINE_WRITE, &to, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__lmdb_engine_begin_read(online, &read, err), done);
    if (read.txn != NULL) {
        backup_run run = {.from = &read, .to = to, .watch = watch, .project = project};
        TFN_GOTO_IF_ERROR(rc, copy_views(&run, views, n_views, err), done);
    }
done:
    tfn_lmdb_end_read(&read);
    tfn_lmdb_close(to);
    return rc;
}

/* ---- the file ---- */

static tfn_code hash_open_file(int fd, const char *path, tfn_online_watch watch, char *hash,
                               int64_t *n_bytes, tfn_error *err)
{
    void *block = NULL;
    tfn_hasher hasher;
    tfn_code rc = TFN_OK;
    *n_bytes = 0;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_uninit(BLOCK_BYTES, 1, &block, err));
    tfn_hasher_begin(&hasher);
    ssize_t n = 1;
    while (rc == TFN_OK && n > 0) {
        n = read(fd, block, BLOCK_BYTES);
        if (n < 0 && errno == EINTR) {
            n = 1;
            continue;
        }
        if (n < 0) {
            rc = TFN_FAIL_SYS(err, errno, "'%s' cannot be read", path);
        } else {
            tfn_hasher_add(&hasher, block, (size_t)n);
            *n_bytes += n;
            rc = tfn__watch_tell(watch, "checking the backup's bytes", (uint64_t)*n_bytes, -1,
                                 "stopped while the backup was checked; nothing was changed", err);
        }
    }
    tfn_mem_free(block);
    tfn_hash128_format(tfn_hasher_end(&hasher), hash);
    return rc;
}

static tfn_code hash_file(const char *path, tfn_online_watch watch, char *hash, int64_t *n_bytes,
                          tfn_error *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        return TFN_FAIL(err, TFN_NOT_FOUND, "'%s' is not there", path);
    }
    if (fd < 0) {
        return TFN_FAIL_SYS(err, errno, "'%s' cannot be opened", path);
    }
    const tfn_code rc = hash_open_file(fd, path, watch, hash, n_bytes, err);
    (void)close(fd);
    return rc;
}

tfn_code tfn__lmdb_write_backup(tfn_online *online, const char *folder, tfn_str project,
                                tfn_online_copy *views, size_t n_views, tfn_online_watch watch,
                                char *hash, int64_t *n_bytes, tfn_error *err)
{
    backup_paths paths = {0};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, make_paths(folder, &paths, err), done);
    remove_temp(&paths);
    TFN_GOTO_IF_ERROR(rc, write_temp(online, &paths, project, views, n_views, watch, err), done);
    TFN_GOTO_IF_ERROR(rc, hash_file(paths.temp_data.p, watch, hash, n_bytes, err), done);
    if (rename(paths.temp_data.p, paths.data.p) != 0) {
        rc = TFN_FAIL_SYS(err, errno, "'%s' cannot be made", paths.data.p);
        goto done;
    }
    rc = tfn__folder_sync(folder, err);
done:
    if (paths.temp_lock.p != NULL) {
        remove_temp(&paths);
    }
    deinit_paths(&paths);
    return rc;
}

tfn_code tfn_online_check_backup(const char *folder, const char *hash, int64_t n_bytes,
                                 tfn_online_watch watch, tfn_error *err)
{
    tfn_buf data = {0};
    char found_hash[TFN_HASH_TEXT_BYTES];
    int64_t n_found = 0;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_format(&data, err, "%s/data.mdb", folder), done);
    TFN_GOTO_IF_ERROR(rc, hash_file(data.p, watch, found_hash, &n_found, err), done);
    if (n_found != n_bytes) {
        rc = TFN_FAIL(err, TFN_CORRUPT, "'%s' has %lld bytes; the backup was written with %lld",
                      data.p, (long long)n_found, (long long)n_bytes);
    } else if (strcmp(found_hash, hash) != 0) {
        rc = TFN_FAIL(err, TFN_CORRUPT,
                      "'%s' has been changed or damaged: its checksum is %s, the backup was "
                      "written with %s",
                      data.p, found_hash, hash);
    }
done:
    tfn_buf_deinit(&data);
    return rc;
}
