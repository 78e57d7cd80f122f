/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The folder of a store: what is there, and making it so that it survives a power cut.
 *
 * A folder is ours to use when it holds data.mdb, or nothing but hidden files and a lock.mdb that a
 * killed process left.
 *
 * Between two looks at a folder another process may make a store in it. So the names of a store are
 * never strangers: a data.mdb that was missing and is among the names now is a maker's who was
 * faster, and the folder counts as the empty one that it was. Making a store there gives way to it.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "online/lmdb_internal.h"

#include "base/poison.h"

enum { MAX_PATH_BYTES = 1 << 20 };

static bool is_ours(const char *name)
{
    return name[0] == '.' || strcmp(name, "data.mdb") == 0 || strcmp(name, "lock.mdb") == 0;
}

static tfn_code check_no_strangers(const char *path, tfn_error *err)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return TFN_FAIL_SYS(err, errno, "online store at '%s': the folder cannot be read", path);
    }
    tfn_code rc = TFN_OK;
    const struct dirent *entry = readdir(folder);
    while (entry != NULL && rc == TFN_OK) {
        if (!is_ours(entry->d_name)) {
            rc = TFN_FAIL(err, TFN_INVALID,
                          "folder '%s' holds '%s' and no online store; name another folder or an "
                          "empty one as online_store.path",
                          path, entry->d_name);
        }
        entry = readdir(folder);
    }
    (void)closedir(folder);
    return rc;
}

static tfn_code stat_data(const char *path, int *what, struct stat *data, tfn_error *err)
{
    tfn_buf file = {.max_bytes = MAX_PATH_BYTES};
    tfn_code rc = tfn_buf_add_format(&file, err, "%s/data.mdb", path);
    if (rc == TFN_OK && stat(file.p, data) == 0) {
        *what = TFN__FOLDER_STORE;
        if (!S_ISREG(data->st_mode)) {
            rc = TFN_FAIL(err, TFN_INVALID, "'%s' is not a file, so '%s' holds no online store",
                          file.p, path);
        }
    } else if (rc == TFN_OK && errno == ENOENT) {
        *what = TFN__FOLDER_EMPTY;
        rc = check_no_strangers(path, err);
    } else if (rc == TFN_OK) {
        rc = TFN_FAIL_SYS(err, errno, "online store at '%s': data.mdb cannot be looked at", path);
    }
    tfn_buf_deinit(&file);
    return rc;
}

tfn_code tfn__folder_inspect(const char *path, int *what, struct stat *data, tfn_error *err)
{
    *what = TFN__FOLDER_MISSING;
    struct stat folder;
    if (stat(path, &folder) != 0) {
        if (errno == ENOENT) {
            return TFN_OK;
        }
        return TFN_FAIL_SYS(err, errno, "online store at '%s': the folder cannot be reached", path);
    }
    if (!S_ISDIR(folder.st_mode)) {
        return TFN_FAIL(
            err, TFN_INVALID,
            "'%s' is a file; an online store is a folder: name one as online_store.path", path);
    }
    return stat_data(path, what, data, err);
}

tfn_code tfn__folder_sync(const char *path, tfn_error *err)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return TFN_FAIL_SYS(err, errno, "folder '%s' cannot be opened", path);
    }
    tfn_code rc = TFN_OK;
    if (fsync(fd) != 0 && errno != EINVAL) { /* EINVAL: a file system without it */
        rc = TFN_FAIL_SYS(err, errno, "folder '%s' cannot be written to the disk", path);
    }
    (void)close(fd);
    return rc;
}

/* Make the folder that `path` names up to byte n, and sync its parent; path is as before after. */
static tfn_code create_one(char *path, size_t n, tfn_error *err)
{
    const char kept = path[n];
    path[n] = '\0';
    tfn_code rc = TFN_OK;
    if (mkdir(path, 0777) == 0) {
        size_t n_parent = n;
        while (n_parent > 0 && path[n_parent - 1] != '/') {
            n_parent--;
        }
        const char first = path[n_parent];
        path[n_parent] = '\0';
        rc = tfn__folder_sync(n_parent == 0 ? "." : path, err);
        path[n_parent] = first;
    } else if (errno != EEXIST) {
        rc = TFN_FAIL_SYS(err, errno, "folder '%s' cannot be made", path);
    }
    path[n] = kept;
    return rc;
}

tfn_code tfn__folder_create(const char *path, tfn_error *err)
{
    char *copy = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_copy_text(path, &copy, err));
    tfn_code rc = TFN_OK;
    const size_t n_path = strlen(path);
    for (size_t n = 1; n <= n_path && rc == TFN_OK; n++) {
        const bool ends_name = (copy[n] == '/' || copy[n] == '\0') && copy[n - 1] != '/';
        if (ends_name) {
            rc = create_one(copy, n, err);
        }
    }
    tfn_mem_free(copy);
    return rc;
}

void tfn__folder_remove_new(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return;
    }
    const int fd = dirfd(folder);
    const struct dirent *entry = readdir(folder);
    while (entry != NULL && fd >= 0) {
        if (strncmp(entry->d_name, TFN__FOLDER_NEW, sizeof TFN__FOLDER_NEW - 1) == 0) {
            (void)unlinkat(fd, entry->d_name, 0);
        }
        entry = readdir(folder);
    }
    (void)closedir(folder);
}
