/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TIFFIN_ONLINE_H
#define TIFFIN_ONLINE_H

/**
 * Administration of a store's online part: count it, clean it, delete keys, back it up, restore it.
 * Reading and writing rows is in store.h. Guide: docs/online.md.
 *
 * Text answers are JSON, UTF-8, owned by the caller and ended with tfn_text_destroy.
 */

#include <stdint.h>

#include "tiffin/arrow.h"
#include "tiffin/error.h"
#include "tiffin/progress.h"
#include "tiffin/store.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- count ---- */

/**
 * Count every row of the online store.
 *
 * @param tick     [NULL allowed] called while it runs
 * @param tick_context  [borrow, nullable] what it is called with
 * @param answer   [own] JSON: {"views": [{"view", "is_defined", "is_online", "generation", "rows",
 *                 "bytes", "key_bytes", "value_bytes", "oldest", "newest", "previous": {"generation",
 *                 "rows", "bytes"} or null, "building": as previous}, ...], "orphans":
 *                 {"generations", "rows", "bytes"}, "other_projects": {"views", "rows", "bytes"},
 *                 "file": {"bytes", "free_bytes", "change_bytes"}, "reads": {"open",
 *                 "commits_behind"}}; bytes of views are those of keys and values, times event
 *                 times. "building" is a load that goes on, or whose process died; an orphan a
 *                 generation that no view names any more. "change_bytes" keep what was pushed since
 *                 previous generations were live, for a rollback
 * @param err      [out, nullable]
 *
 * Units    bytes
 * Nulls    oldest, newest: no rows; file: nothing was ever written
 * Cost     reads the head of every row, in one read transaction, which keeps pages that writes free
 *          meanwhile from being used again
 * Threads  any
 * Errors   TFN_UNSUPPORTED no online store, or not one of type lmdb . TFN_CORRUPT . TFN_IO .
 *          TFN_CANCELLED . TFN_NO_MEMORY
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_online_stats(tfn_store *store, tfn_tick_fn tick,
                                                      void *tick_context, char **answer,
                                                      tfn_error *err);

/* ---- clean ---- */

/** What to remove. Zeroed = defaults; set struct_size. */
typedef struct tfn_vacuum_request {
    size_t struct_size;
    tfn_time at;            /* "now", for the check of age; not set = the clock */
    int32_t is_dry_run;     /* 1: count what would go, change nothing */
    int32_t drops_previous; /* 1: generations before the live ones go too; no rollback afterwards */
    int32_t keeps_expired;  /* 1: rows older than their view's ttl stay */
    int32_t reserved;
    tfn_tick_fn tick; /* [NULL allowed] */
    void *tick_context;
} tfn_vacuum_request;

/**
 * Remove rows that nobody reads any more: rows older than their view's ttl, all rows of views that
 * no definition names or that are online=False now, generations of builds that died. Other projects
 * in the same folder are not touched. In short transactions: pushes go on between them; interrupted
 * it is harmless. The file keeps its size; what was freed is used by later writes.
 *
 * @param request  [borrow]
 * @param report   [own] JSON: {"is_dry_run", "at", "views": [{"view", "is_orphan", "expired",
 *                 "orphaned", "previous"}, ...], "unnamed", "rows", "note"}: numbers of rows; a view
 *                 of which nothing went is not named
 * @param err      [out, nullable]
 *
 * Cost     reads the head of every row of views with a ttl; O(rows removed)
 * Threads  any; writers take turns
 * Errors   TFN_INVALID . TFN_UNSUPPORTED no online store, or not one of type lmdb . TFN_IO (disk
 *          full) . TFN_CORRUPT . TFN_CANCELLED . TFN_NO_MEMORY; what was removed before stays so
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_vacuum_online(tfn_store *store,
                                                       const tfn_vacuum_request *request,
                                                       char **report, tfn_error *err);

/* ---- delete ---- */

/**
 * Delete the rows of some keys of a view: all of them or, after an error, none (Redis: perhaps some;
 * deleting again is harmless). Durable, and gone for every process when it returns. A later write
 * of the key, also of an older row, is kept as if it were the first.
 *
 * @param view    [borrow] name
 * @param keys    [take] the view's join keys, one column each; other columns are passed over
 * @param report  [own] JSON: {"view", "keys", "deleted", "not_there"}
 * @param err     [out, nullable]
 *
 * Nulls    a null key is TFN_INVALID
 * Threads  any; writers take turns
 * Errors   TFN_NOT_FOUND no such view . TFN_SCHEMA a key column is missing, unknown or of another
 *          type . TFN_INVALID . TFN_UNSUPPORTED no online store . TFN_IO . TFN_NO_MEMORY
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_delete_online(tfn_store *store, const char *view,
                                                       struct ArrowArrayStream *keys, char **report,
                                                       tfn_error *err);

/* ---- backup ---- */

/**
 * Write the live rows of all this project's views, as of one instant, and their watermarks, to a
 * folder. Reads and writes go on meanwhile.
 *
 * @param folder  [borrow] not there, or empty
 * @param tick    [NULL allowed]
 * @param tick_context  [borrow, nullable]
 * @param report  [own] what backup.json holds (docs/formats/online-backup.md), and "folder",
 *                "seconds"
 * @param err     [out, nullable]
 *
 * Cost     O(rows); one read transaction
 * Threads  any
 * Errors   TFN_INVALID the folder holds something . TFN_CONFLICT somebody writes a backup there .
 *          TFN_UNSUPPORTED no online store, or not one of
 *          type lmdb . TFN_IO (disk full) . TFN_CORRUPT . TFN_CANCELLED . TFN_NO_MEMORY; then the
 *          folder is as before
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_backup_online(tfn_store *store, const char *folder,
                                                       tfn_tick_fn tick, void *tick_context,
                                                       char **report, tfn_error *err);

/**
 * Bring back the rows and watermarks of a backup: what its views have online now is replaced, in
 * one step that every reader sees whole, and becomes their previous generation. What is pushed or
 * deleted while it runs is done to the restored rows too. Views that the backup does not hold stay as
 * they are; views that no definition names any more are passed over.
 *
 * @param folder  [borrow]
 * @param tick    [NULL allowed]
 * @param tick_context  [borrow, nullable]
 * @param report  [own] JSON: {"created", "views": [{"view", "rows", "replaced"}, ...], "passed_over":
 *                [view, ...], "seconds"}
 * @param err     [out, nullable]
 *
 * Cost     reads the backup twice; O(rows)
 * Threads  any; writers take turns
 * Errors   TFN_NOT_FOUND no backup there, or none of its views is defined . TFN_CORRUPT damaged .
 *          TFN_INVALID another project's . TFN_SCHEMA a view has other join keys now .
 *          TFN_UNSUPPORTED a newer Tiffin's; no online store, or not one of type lmdb . TFN_IO .
 *          TFN_CANCELLED . TFN_NO_MEMORY; then nothing was changed, except perhaps that views
 *          count as not materialized (the next incremental run loads more than it must)
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_restore_online(tfn_store *store, const char *folder,
                                                        tfn_tick_fn tick, void *tick_context,
                                                        char **report, tfn_error *err);

#ifdef __cplusplus
}
#endif

#endif
