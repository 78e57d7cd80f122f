/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The folder of a backup on the disk.
 *
 *   .new-data.mdb    written, synced (lmdb_backup.c)
 *   .new-backup.json written, synced: how large the data is and what it hashes to
 *   data.mdb         the first one's name from here on
 *   backup.json      the second one's: it is a backup now
 *
 * So whenever the writer is killed, the folder is a whole backup or none. What it left is known by
 * its names, and the next backup removes it: a data.mdb beside .new-backup.json is a backup's that
 * was killed just then; without it, it may be somebody's online store, and stays.
 *
 * From the first look to the last name the folder itself is locked (flock), so what is taken for a
 * killed backup's is no running one's.
 */

#include "online/backup_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "online/lmdb_internal.h"

#include "base/poison.h"

enum { MAX_DESCRIPTION_BYTES = 64 << 20, BLOCK_BYTES = 65536 };

static const char sealed[] = "backup.json";
static const char unsealed[] = ".new-backup.json";
static const char data[] = "data.mdb";
static const char new_data[] = TFN_BACKUP_NEW_DATA;
static const char temp_folder[] = ".new-backup"; /* of lmdb_backup.c, which removes it itself */

static bool is_left_over(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, unsealed) == 0 ||
           strcmp(name, new_data) == 0 || strcmp(name, temp_folder) == 0;
}

static void remove_in(const char *folder, const char *name)
{
    tfn_buf path = {0};
    if (tfn_buf_add_format(&path, NULL, "%s/%s", folder, name) == TFN_OK) {
        (void)unlink(path.p);
    }
    tfn_buf_deinit(&path);
}

static tfn_code exists_in(const char *folder, const char *name, bool *is_there, tfn_error *err)
{
    tfn_buf path = {0};
    const tfn_code rc = tfn_buf_add_format(&path, err, "%s/%s", folder, name);
    *is_there = rc == TFN_OK && access(path.p, F_OK) == 0;
    tfn_buf_deinit(&path);
    return rc;
}

/* A backup that was killed while its files got their names. */
static tfn_code remove_half_sealed(const char *folder, tfn_error *err)
{
    bool is_sealed = false;
    bool is_sealing = false;
    TFN_RETURN_IF_ERROR(exists_in(folder, sealed, &is_sealed, err));
    TFN_RETURN_IF_ERROR(exists_in(folder, unsealed, &is_sealing, err));
    if (is_sealing && !is_sealed) {
        remove_in(folder, data);
        remove_in(folder, unsealed);
    }
    return TFN_OK;
}

static tfn_code check_empty(const char *folder, tfn_error *err)
{
    DIR *listing = opendir(folder);
    if (listing == NULL) {
        return TFN_FAIL_SYS(err, errno, "folder '%s' cannot be read", folder);
    }
    tfn_code rc = TFN_OK;
    const struct dirent *entry = readdir(listing);
    while (entry != NULL && rc == TFN_OK) {
        if (!is_left_over(entry->d_name)) {
            rc = TFN_FAIL(err, TFN_INVALID,
                          "folder '%s' holds '%s'; name a folder that is empty or not there",
                          folder, entry->d_name);
        }
        entry = readdir(listing);
    }
    (void)closedir(listing);
    return rc;
}

/* Is the opened folder the one of that name? A backup that fails removes the folder it made. */
static bool is_still_there(const char *folder, int fd)
{
    struct stat named;
    struct stat opened;
    return stat(folder, &named) == 0 && fstat(fd, &opened) == 0 && named.st_dev == opened.st_dev &&
           named.st_ino == opened.st_ino;
}

/* Of two backups to one folder, the second is refused. */
static tfn_code lock_folder(const char *folder, int *lock, tfn_error *err)
{
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOTDIR) {
        return TFN_FAIL(err, TFN_INVALID, "'%s' is a file; a backup is a folder", folder);
    }
    if (fd < 0) {
        return TFN_FAIL_SYS(err, errno, "folder '%s' cannot be read", folder);
    }
    const int rc = flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
    if (rc == EWOULDBLOCK || (rc == 0 && !is_still_there(folder, fd))) {
        (void)close(fd);
        return TFN_FAIL(err, TFN_CONFLICT, "another backup is being written to folder '%s'",
                        folder);
    }
    if (rc != 0) {
        (void)close(fd);
        return TFN_FAIL_SYS(err, rc, "folder '%s' cannot be locked", folder);
    }
    *lock = fd;
    return TFN_OK;
}

/* A child of a fork has the descriptor too, so closing alone would not free the lock. */
void tfn_backup_folder_unlock(int lock)
{
    if (lock >= 0) {
        (void)flock(lock, LOCK_UN);
        (void)close(lock);
    }
}

tfn_code tfn_backup_folder_make(const char *folder, bool *is_made, int *lock, tfn_error *err)
{
    struct stat found;
    *is_made = false;
    *lock = -1;
    if (folder[0] == '\0') {
        return TFN_FAIL(err, TFN_INVALID, "the folder of a backup has no name");
    }
    if (stat(folder, &found) != 0) {
        if (errno != ENOENT) {
            return TFN_FAIL_SYS(err, errno, "folder '%s' cannot be reached", folder);
        }
        *is_made = true;
        TFN_RETURN_IF_ERROR(tfn__folder_create(folder, err));
    }
    TFN_RETURN_IF_ERROR(lock_folder(folder, lock, err));
    tfn_code rc = remove_half_sealed(folder, err);
    if (rc == TFN_OK) {
        rc = check_empty(folder, err);
    }
    if (rc != TFN_OK) {
        tfn_backup_folder_unlock(*lock);
        *lock = -1;
    }
    return rc;
}

/* ---- files ---- */

void tfn_backup_folder_clear(const char *folder, bool is_made)
{
    remove_in(folder, sealed);
    remove_in(folder, unsealed);
    remove_in(folder, data);
    remove_in(folder, new_data);
    if (is_made) {
        (void)rmdir(folder);
    }
}

static tfn_code write_file(const char *path, tfn_str text, tfn_error *err)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        return TFN_FAIL_SYS(err, errno, "'%s' cannot be made", path);
    }
    int failed = 0;
    size_t n_written = 0;
    while (n_written < text.n && failed == 0) {
        const ssize_t n = write(fd, text.p + n_written, text.n - n_written);
        if (n > 0) {
            n_written += (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            failed = n == 0 ? ENOSPC : errno;
        }
    }
    if (failed == 0 && fsync(fd) != 0) {
        failed = errno;
    }
    if (close(fd) != 0 && failed == 0) {
        failed = errno;
    }
    return failed == 0 ? TFN_OK : TFN_FAIL_SYS(err, failed, "'%s' cannot be written", path);
}

static tfn_code rename_in(const char *folder, const char *from, const char *to, tfn_error *err)
{
    tfn_buf old = {0};
    tfn_buf new = {0};
    tfn_code rc = tfn_buf_add_format(&old, err, "%s/%s", folder, from);
    if (rc == TFN_OK) {
        rc = tfn_buf_add_format(&new, err, "%s/%s", folder, to);
    }
    if (rc == TFN_OK && rename(old.p, new.p) != 0) {
        rc = TFN_FAIL_SYS(err, errno, "'%s' cannot be made", new.p);
    }
    tfn_buf_deinit(&old);
    tfn_buf_deinit(&new);
    return rc;
}

tfn_code tfn_backup_folder_seal(const char *folder, tfn_str description, tfn_error *err)
{
    tfn_buf path = {0};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_format(&path, err, "%s/%s", folder, unsealed), done);
    TFN_GOTO_IF_ERROR(rc, write_file(path.p, description, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__folder_sync(folder, err), done);
    TFN_GOTO_IF_ERROR(rc, rename_in(folder, new_data, data, err), done);
    TFN_GOTO_IF_ERROR(rc, rename_in(folder, unsealed, sealed, err), done);
    rc = tfn__folder_sync(folder, err);
done:
    tfn_buf_deinit(&path);
    return rc;
}

static tfn_code read_all(int fd, const char *path, tfn_buf *out, tfn_error *err)
{
    char block[BLOCK_BYTES];
    ssize_t n = 1;
    while (n > 0) {
        n = read(fd, block, sizeof block);
        if (n < 0 && errno != EINTR) {
            return TFN_FAIL_SYS(err, errno, "'%s' cannot be read", path);
        }
        if (n > 0 && out->n + (size_t)n > MAX_DESCRIPTION_BYTES) {
            return TFN_FAIL(err, TFN_CORRUPT, "'%s' is longer than %d MiB, so it is no backup's",
                            path, MAX_DESCRIPTION_BYTES >> 20);
        }
        if (n > 0) {
            TFN_RETURN_IF_ERROR(tfn_buf_add(out, block, (size_t)n, err));
        }
        n = n < 0 ? 1 : n; /* interrupted: again */
    }
    return TFN_OK;
}

tfn_code tfn_backup_folder_read(const char *folder, tfn_buf *out, tfn_error *err)
{
    tfn_buf path = {0};
    tfn_code rc = tfn_buf_add_format(&path, err, "%s/%s", folder, sealed);
    const int fd = rc == TFN_OK ? open(path.p, O_RDONLY | O_CLOEXEC) : -1;
    if (rc == TFN_OK && fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        rc = TFN_FAIL(err, TFN_NOT_FOUND, "there is no backup at '%s': it has no %s", folder,
                      sealed);
    } else if (rc == TFN_OK && fd < 0) {
        rc = TFN_FAIL_SYS(err, errno, "'%s' cannot be opened", path.p);
    } else if (rc == TFN_OK) {
        rc = read_all(fd, path.p, out, err);
        (void)close(fd);
    }
    tfn_buf_deinit(&path);
    return rc;
}
