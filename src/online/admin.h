/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_ONLINE_ADMIN_H
#define TFN_ONLINE_ADMIN_H

/*
 * What one does with an online store beside reading and writing rows: count it, clean it, copy it.
 *
 * An engine that does not offer this has no table here (engine.h), and every call answers
 * TFN_UNSUPPORTED with one sentence.
 *
 * Long calls take a tick (tiffin/progress.h) and may be stopped at any of them; what was done until
 * then stays, and doing all of it again is harmless.
 */

#include "online/online.h"
#include "tiffin/progress.h"

/** Whom a long call tells how far it is. Zeroed: nobody. */
typedef struct tfn_online_watch {
    tfn_tick_fn tick; /* [NULL allowed] */
    void *context;
} tfn_online_watch;

/* ---- count ---- */

/** Rows of one generation. */
typedef struct tfn_online_count {
    uint64_t n_rows;
    uint64_t n_key_bytes;
    uint64_t n_value_bytes;
    tfn_instant oldest; /* event times; TFN_INSTANT_NONE without rows */
    tfn_instant newest;
} tfn_online_count;

/** One view, whatever project it is of. */
typedef struct tfn_online_view_count {
    tfn_str project;
    tfn_str view;
    uint32_t generation;
    uint32_t previous_generation; /* what a rollback returns to; 0: none */
    uint32_t building_generation; /* of a load that goes on, or died; 0: none */
    tfn_online_count live;
    tfn_online_count previous;
    tfn_online_count building;
} tfn_online_view_count;

/** All that there is. Text and arrays live in the arena of the call. */
typedef struct tfn_online_census {
    tfn_online_view_count *views;
    size_t n_views;
    size_t n_orphans; /* generations that no view names: nobody needs them any more */
    tfn_online_count orphans;
    int64_t file_bytes;    /* -1: nothing was ever written, there is no file */
    int64_t free_bytes;    /* of them: pages that the next writes use before the file grows */
    int64_t change_bytes;  /* of them: lists of what was pushed and deleted since previous
                              generations were live, for a rollback */
    int64_t n_reads;       /* reads open now, of all processes, but this call's */
    int64_t n_commits_old; /* how many commits ago the oldest of them began; its pages are kept */
} tfn_online_census;

/**
 * Count every row: one state of the store.
 *
 * @param out  [out] in the arena
 *
 * Cost     reads the head of every row, some million a second from memory. One read is open
 *          all the time, and keeps pages that writes free meanwhile from being used again
 * Threads  any
 * Errors   TFN_UNSUPPORTED . TFN_CORRUPT . TFN_IO . TFN_CANCELLED . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_online_take_census(tfn_online *online, tfn_online_watch watch,
                                              tfn_arena *arena, tfn_online_census *out,
                                              tfn_error *err);

/* ---- clean ---- */

/** What the caller knows of a view. */
typedef struct tfn_online_verdict {
    bool is_kept;          /* another project's: it is not touched */
    bool is_orphan;        /* no definition names it: all of it goes */
    tfn_instant keep_from; /* rows with earlier event times go; TFN_INSTANT_NONE: none goes */
} tfn_online_verdict;

/**
 * Judge a view. Called before anything of it is removed and, for a view that is dropped, once more
 * under the store's write lock: an orphan that was defined again meanwhile is kept.
 */
typedef tfn_code (*tfn_online_judge_fn)(void *context, tfn_str project, tfn_str view,
                                        tfn_online_verdict *out, tfn_error *err);

typedef struct tfn_online_vacuum {
    tfn_online_judge_fn judge;
    void *judge_context;
    bool is_dry_run;     /* count what would go, and change nothing */
    bool drops_previous; /* generations before the live ones, too: no rollback afterwards */
    tfn_online_watch watch;
} tfn_online_vacuum;

/** What went of one view. */
typedef struct tfn_online_vacuumed_view {
    tfn_str project;
    tfn_str view;
    bool is_orphan;      /* dropped whole */
    uint64_t n_expired;  /* rows */
    uint64_t n_orphaned; /* rows of a view that was dropped */
    uint64_t n_previous; /* rows of its previous generation */
} tfn_online_vacuumed_view;

typedef struct tfn_online_vacuumed {
    tfn_online_vacuumed_view *views; /* those that were judged and not kept */
    size_t n_views;
    uint64_t n_unnamed; /* rows of generations that no view names, and of builds that died */
} tfn_online_vacuumed;

/**
 * Remove what nobody reads any more, in short write transactions, so that pushes go on between
 * them. Interrupted it is harmless: the next one goes on.
 *
 * @param out  [out] in the arena; true also after an error, of what was done until then
 *
 * Cost     reads the head of every row of the views with a keep_from; O(rows removed)
 * Threads  any that has no write open
 * Errors   TFN_UNSUPPORTED . TFN_CORRUPT . TFN_IO . TFN_CANCELLED . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_online_run_vacuum(tfn_online *online, const tfn_online_vacuum *vacuum,
                                             tfn_arena *arena, tfn_online_vacuumed *out,
                                             tfn_error *err);

/* ---- copy ---- */

/** A view to copy, and how many rows it had. */
typedef struct tfn_online_copy {
    tfn_str view;
    tfn_str mark;        /* restore: how far the rows that it has now are materialized
                            (tfn_online_mark); kept with them, for a rollback */
    uint64_t n_rows;     /* [out] rows copied */
    uint64_t n_replaced; /* [out] restore: rows that the view had before */
    uint32_t generation; /* [out] backup: the one that was copied (tfn_online_get_state) */
    bool is_known;       /* [out] backup: something was written to it */
} tfn_online_copy;

/**
 * Copy the live rows of some views of a project, all as of one instant, into a file of their own: a
 * store in the same format, packed, synced. Reads and writes go on meanwhile.
 *
 * @param folder   [borrow] of tfn_backup_folder_make, and still locked; gets TFN_BACKUP_NEW_DATA,
 *                 for tfn_backup_folder_seal
 * @param hash     [out] XXH3-128 of the file, 32 hex digits and a NUL
 * @param n_bytes  [out] size of the file
 *
 * Threads  any
 * Errors   TFN_UNSUPPORTED . TFN_IO (disk full) . TFN_CORRUPT . TFN_CANCELLED . TFN_NO_MEMORY;
 *          then the folder is as before
 */
TFN_NODISCARD tfn_code tfn_online_write_backup(tfn_online *online, const char *folder,
                                               tfn_str project, tfn_online_copy *views,
                                               size_t n_views, tfn_online_watch watch, char *hash,
                                               int64_t *n_bytes, tfn_error *err);

/**
 * Does a sealed folder hold what was written? Reads the whole file.
 *
 * @param hash, n_bytes  [borrow] as tfn_online_write_backup gave them
 *
 * Threads  any
 * Errors   TFN_NOT_FOUND no data.mdb . TFN_CORRUPT another size or hash . TFN_IO . TFN_CANCELLED
 */
TFN_NODISCARD tfn_code tfn_online_check_backup(const char *folder, const char *hash,
                                               int64_t n_bytes, tfn_online_watch watch,
                                               tfn_error *err);

/**
 * Replace the rows of some views by those of a backup: they are loaded beside the live ones in
 * bounded transactions, then all views change over at once. Reads see old or new, never a mixture.
 * What is pushed and deleted meanwhile is done to the restored rows too, under the write rule. What
 * was live is then each view's previous generation: a rollback returns to it. Loads of these views
 * wait.
 *
 * @param before  [borrow, nullable] called once all rows are loaded, before the views change over;
 *                an error ends the restore, and nothing is changed
 *
 * Threads  any that has no write open
 * Errors   TFN_UNSUPPORTED . TFN_INVALID the backup is this very store . TFN_CORRUPT it lacks a
 *          view . TFN_IO (disk full) . TFN_CANCELLED . TFN_CONFLICT . TFN_NO_MEMORY; then the
 *          views are as before
 */
TFN_NODISCARD tfn_code tfn_online_read_backup(tfn_online *online, const char *folder,
                                              tfn_str project, tfn_online_copy *views,
                                              size_t n_views, tfn_online_watch watch,
                                              tfn_code (*before)(void *context, tfn_error *err),
                                              void *before_context, tfn_error *err);

#endif
