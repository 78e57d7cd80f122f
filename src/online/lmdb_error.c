/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* LMDB's and the system's codes as sentences that say what to do. */

#include <errno.h> /* IWYU pragma: keep */
#include <string.h>

#include "online/lmdb_internal.h"

#include "base/poison.h"

/* What became of the store, and what to do. A write is whole or not there; what only removes goes
 * in steps, and keeps those that were committed. */
static const char *tail_of(const char *doing)
{
    static const char *const in_steps[] = {TFN__DOING_VACUUM, TFN__DOING_SWEEP};
    for (size_t i = 0; i < sizeof in_steps / sizeof in_steps[0]; i++) {
        if (strcmp(doing, in_steps[i]) == 0) {
            return "what was removed before this step stays removed, this step is undone: free "
                   "space on the disk or raise the limit, and run it again";
        }
    }
    return "the store is as before this write, of which nothing was kept: free space on the disk, "
           "or in the store with tiffin online vacuum, and write again";
}

static tfn_code fail_system(const char *path, int lmdb_rc, const char *doing, tfn_error *err)
{
    switch (lmdb_rc) {
    case ENOMEM:
        return TFN_FAIL(err, TFN_NO_MEMORY, "online store at '%s': %s: memory is exhausted", path,
                        doing);
    case ENOSPC:
    case EDQUOT:
        return TFN_FAIL_SYS(err, lmdb_rc, "online store at '%s': %s: the disk is full; %s", path,
                            doing, tail_of(doing));
    case EFBIG:
        return TFN_FAIL_SYS(err, lmdb_rc,
                            "online store at '%s': %s: its file may not grow any more (ulimit -f); "
                            "%s",
                            path, doing, tail_of(doing));
    case EIO: /* also what LMDB says when the system took a part of a write only */
        return TFN_FAIL_SYS(err, lmdb_rc,
                            "online store at '%s': %s: the disk did not take all of it, so it is "
                            "full, its file may not grow (ulimit -f), or it fails; %s",
                            path, doing, tail_of(doing));
    case EACCES:
    case EPERM:
    case EROFS:
        return TFN_FAIL_SYS(err, lmdb_rc, "online store at '%s': %s: not permitted", path, doing);
    default:
        return TFN_FAIL_SYS(err, lmdb_rc, "online store at '%s': %s", path, doing);
    }
}

tfn_code tfn__lmdb_error(const char *path, int lmdb_rc, const char *doing, tfn_error *err)
{
    switch (lmdb_rc) {
    case MDB_MAP_FULL:
        return TFN_FAIL(
            err, TFN_LIMIT,
            "online store at '%s': %s: it fills all address space that this process may "
            "map; raise the limit (ulimit -v) and open it again",
            path, doing);
    case MDB_MAP_RESIZED:
        return TFN_FAIL(err, TFN_LIMIT,
                        "online store at '%s': %s: it outgrew the address space that this process "
                        "mapped; raise the limit (ulimit -v) and open it again",
                        path, doing);
    case MDB_READERS_FULL:
        return TFN_FAIL(err, TFN_LIMIT,
                        "online store at '%s': %s: 1,024 reads are open on this machine, the most "
                        "that there can be",
                        path, doing);
    case MDB_TXN_FULL:
        return TFN_FAIL(err, TFN_LIMIT, "online store at '%s': %s: too many changes in one write",
                        path, doing);
    case MDB_BAD_TXN:
        return TFN_FAIL(err, TFN_IO,
                        "online store at '%s': %s: a step before failed, so this write can only be "
                        "aborted",
                        path, doing);
    case MDB_PANIC:
        return TFN_FAIL(
            err, TFN_IO,
            "online store at '%s': %s: writing to the disk failed before, and reads of that time "
            "are still open; end them and try again",
            path, doing);
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
        return TFN_FAIL(
            err, TFN_CORRUPT,
            "online store at '%s': %s: its data.mdb is not an LMDB file that this build "
            "reads (%s)",
            path, doing, mdb_strerror(lmdb_rc));
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
        return TFN_FAIL(err, TFN_CORRUPT,
                        "online store at '%s': %s: data.mdb is damaged (%s); remove the folder and "
                        "materialize again",
                        path, doing, mdb_strerror(lmdb_rc));
    default:
        break;
    }
    if (lmdb_rc > 0) {
        return fail_system(path, lmdb_rc, doing, err);
    }
    return TFN_FAIL(err, TFN_IO, "online store at '%s': %s: %s", path, doing,
                    mdb_strerror(lmdb_rc));
}

tfn_code tfn__lmdb_nothing_yet(const char *path, tfn_error *err)
{
    return TFN_FAIL(
        err, TFN_NOT_FOUND,
        "nothing was materialized yet: there is no online store at '%s'; run materialize "
        "first",
        path);
}
