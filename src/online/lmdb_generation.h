/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_ONLINE_LMDB_GENERATION_H
#define TFN_ONLINE_LMDB_GENERATION_H

/*
 * Generations of views in LMDB: turns of those who replace them, loads that build them, rollback,
 * and the removal of what nobody needs. Rules: docs/semantics/generations.md.
 *
 * Order of locks: TFN__TURN_RUN of a view, TFN__TURN_LOAD of it, LMDB's write lock.
 */

#include "online/engine.h"
#include "online/lmdb_internal.h"

/* ---- turns (lmdb_turn.c) ---- */

enum {
    TFN__TURN_LOAD = 0, /* who replaces the live generation, or adds a load to it */
    TFN__TURN_RUN = 1   /* who reads a watermark, loads by it and sets it */
};

/** Zeroed: not had. */
typedef struct tfn__turn {
    bool is_held;
    int fd;
    pid_t pid; /* whose turn it is: a child that inherited it cannot end it */
} tfn__turn;

/**
 * Wait for a view's turn, among all processes and threads; one whose process dies is free,
 * unless that process was forked meanwhile: then with the last of its children.
 *
 * @param is_patient  false: do not wait; look at out->is_held
 * @param out         [own] ends with tfn__turn_end
 *
 * Errors   TFN_IO . TFN_LIMIT . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__turn_begin(const char *path, int kind, tfn_str project, tfn_str view,
                                       bool is_patient, tfn__turn *out, tfn_error *err);

/** The turn is free, though a child of a fork may have the file open; in such a child the file is
 * closed, and the turn stays its parent's. A zeroed struct is fine. Errors none. */
void tfn__turn_end(tfn__turn *turn);

/* ---- generations (lmdb_generation.c) ---- */

enum { TFN__MARK_BYTES = TFN_ONLINE_MARK_BYTES };

/* What is known of a previous generation. */
typedef struct tfn__generation {
    uint64_t n_rows;
    size_t n_mark;
    uint8_t mark[TFN__MARK_BYTES];
} tfn__generation;

/** Errors TFN_CORRUPT, also when there is none; TFN_IO. */
TFN_NODISCARD tfn_code tfn__generation_get(const tfn_lmdb_env *env, MDB_txn *txn,
                                           uint32_t generation, tfn__generation *out,
                                           tfn_error *err);

/**
 * Make generation `to` of n_rows the live one, and the live one the previous one.
 *
 * @param record  [in, out] as in this transaction; written
 * @param mark    of the generation that is live until now; at most TFN__MARK_BYTES
 *
 * Errors   TFN_IO . TFN_LIMIT; the transaction is of no use then
 */
TFN_NODISCARD tfn_code tfn__generation_flip(const tfn_lmdb_env *env, MDB_txn *txn, tfn_str project,
                                            tfn_str view, tfn__view *record, uint32_t to,
                                            uint64_t n_rows, tfn_str mark, tfn_error *err);

/**
 * Forget a build of this view, whose builder is dead or gave up. The caller has the view's
 * TFN__TURN_LOAD.
 *
 * @param is_changed  [out] there was one
 *
 * Errors   as tfn_lmdb_commit
 */
TFN_NODISCARD tfn_code tfn__generation_forget_build(tfn_lmdb *online, tfn_str project, tfn_str view,
                                                    bool *is_changed, tfn_error *err);

/**
 * Remove rows, changes and records under generation numbers that no view names, in bounded write
 * transactions: others write between them. Interrupted, it has removed some.
 *
 * @param n_rows  [out, nullable] rows removed
 *
 * Cost     O(views + generations), and what is removed
 * Errors   as tfn_lmdb_commit
 */
TFN_NODISCARD tfn_code tfn__generation_sweep(tfn_lmdb *online, uint64_t *n_rows, tfn_error *err);

/** "there is nothing to roll back to": sets TFN_NOT_FOUND. */
TFN_NODISCARD tfn_code tfn__generation_no_previous(tfn_str view, tfn_error *err);

/** tfn__generation_sweep after what succeeded or failed already, and is not to be judged by this:
 * what cannot be removed is left to the next load or vacuum. */
void tfn__generation_try_sweep(tfn_lmdb *online);

/** tfn__generation_forget_build and a sweep, likewise. */
void tfn__generation_try_forget(tfn_lmdb *online, tfn_str project, tfn_str view);

/** What tfn__lmdb_reclaim removed. */
typedef struct tfn__reclaimed {
    uint64_t n_builds; /* of processes that died */
    uint64_t n_rows;   /* theirs, and those of generations before the previous one */
} tfn__reclaimed;

/**
 * Remove what dead builds and replaced generations of all views left: tfn__generation_sweep, after
 * builds whose process died were forgotten. Builds that go on are left alone.
 *
 * @param n_rows  [out, nullable]
 *
 * Threads  any that has no write open
 * Errors   as tfn_lmdb_commit
 */
TFN_NODISCARD tfn_code tfn__lmdb_reclaim(tfn_lmdb *online, tfn__reclaimed *out, tfn_error *err);

/* ---- builds (lmdb_build.c) ---- */

/* How a row goes into a build. */
enum {
    TFN__BUILD_PUT = 0,      /* instead of one that may be there; in key order it is appended */
    TFN__BUILD_IF_ABSENT = 1 /* unless one is there */
};

/* A generation that is being built. A zeroed struct is none. */
typedef struct tfn__build {
    tfn_lmdb *online;
    tfn_lmdb_env *env;
    tfn_str project;
    tfn_str view;
    uint32_t generation; /* 0: there is no build, or it is done */
    bool is_announced;   /* the view's record names it durably */
    uint64_t n_rows;
    MDB_txn *txn;  /* NULL: none is open, others may write */
    tfn_buf batch; /* entries, each followed by its key (with generation) and row */
    uint64_t n_batch;
} tfn__build;

/**
 * Begin to build a generation of a view. The caller has its TFN__TURN_LOAD. When this returns the
 * write lock is held, until the first batch is full or the build is finished: a read that begins
 * before is a read of what the build begins with.
 *
 * @param project, view  [borrow until tfn__build_end]
 * @param schema         of the rows that will be added; gets its id
 *
 * Errors   as tfn_lmdb_begin_write. Ends with tfn__build_end in any case
 */
TFN_NODISCARD tfn_code tfn__build_begin(tfn__build *b, tfn_lmdb *online, tfn_str project,
                                        tfn_str view, tfn_row_schema *schema, tfn_error *err);

/**
 * Add a row.
 *
 * @param row_key  [copy] key in `rows`, of whatever generation
 * @param row      [copy] encoded
 *
 * Errors   TFN_IO . TFN_LIMIT . TFN_CONFLICT the view was dropped . TFN_NO_MEMORY; only
 *          tfn__build_end is of use then
 */
TFN_NODISCARD tfn_code tfn__build_add(tfn__build *b, int how, tfn_str row_key, tfn_str row,
                                      tfn_error *err);

/** Make the generation the live one, with what was pushed since. Errors as tfn__build_add. */
TFN_NODISCARD tfn_code tfn__build_finish(tfn__build *b, uint32_t schema_id, tfn_str mark,
                                         tfn_error *err);

/** "view '...' was removed while it was loaded": sets TFN_CONFLICT. */
tfn_code tfn__build_fail_removed(tfn_str view, tfn_error *err);

/** Forget the build, unless it is finished. A zeroed struct is fine. Errors none. */
void tfn__build_end(tfn__build *b);

/* ---- loads (lmdb_load.c) ---- */

typedef struct tfn_lmdb_load tfn_lmdb_load;

/**
 * Begin to load rows of a view: n_rows in key order, no key twice. Waits for the view's turn.
 *
 * Fewer than a tenth of the view's rows, and at most 65,536, go into its live generation, in one
 * transaction that is begun here. More build a new generation, in short transactions; a load that
 * changes nothing builds none.
 *
 * @param out  [own] ends with tfn_lmdb_load_commit or tfn_lmdb_load_abort
 *
 * Errors   as tfn_lmdb_begin_write
 */
TFN_NODISCARD tfn_code tfn_lmdb_load_begin(tfn_lmdb *online, tfn_str project, tfn_str view,
                                           const tfn_row_field *fields, size_t n_fields,
                                           uint64_t n_rows, tfn_lmdb_load **out, tfn_error *err);

/**
 * How far what is live now is materialized: kept with it when it becomes the previous generation.
 *
 * @param mark  [copy] at most TFN_ONLINE_MARK_BYTES
 *
 * Errors   TFN_LIMIT
 */
TFN_NODISCARD tfn_code tfn_lmdb_load_mark(tfn_lmdb_load *load, tfn_str mark, tfn_error *err);

/**
 * As tfn_lmdb_put. Rows that are not in key order cost a look-up more.
 *
 * Errors   as tfn_lmdb_put, and TFN_CONFLICT the view was dropped meanwhile
 */
TFN_NODISCARD tfn_code tfn_lmdb_load_put(tfn_lmdb_load *load, tfn_str key, const tfn_cell *cells,
                                         tfn_instant event, tfn_instant created,
                                         tfn_online_outcome *outcome, tfn_error *err);

/** Errors none. */
tfn_online_stats tfn_lmdb_load_get_stats(const tfn_lmdb_load *load);

/**
 * Make it all live at once: readers see the state before or after. Then the generation before the
 * previous one is removed; what of it cannot be is left to the next load.
 *
 * @param load  [take, in any case]
 *
 * Errors   as tfn_lmdb_commit, and TFN_CONFLICT the view was dropped meanwhile: it is as before
 */
TFN_NODISCARD tfn_code tfn_lmdb_load_commit(tfn_lmdb_load *load, tfn_error *err);

/** Forget the load. NULL is fine. Errors none: what cannot be removed is left to the next load. */
void tfn_lmdb_load_abort(tfn_lmdb_load *load);

/** A load as a write of online.h. Contract as tfn_online_begin_write with TFN_ONLINE_LOAD. */
TFN_NODISCARD tfn_code tfn__lmdb_begin_load(tfn_lmdb *lmdb, const tfn_online_view *view,
                                            const tfn_row_field *fields, size_t n_fields,
                                            uint64_t n_rows, tfn_online_write **out,
                                            tfn_error *err);

/* ---- rollback (lmdb_rollback.c) ---- */

/** What there is to return to. Errors as tfn_lmdb_get_live. */
TFN_NODISCARD tfn_code tfn_lmdb_get_previous(const tfn_lmdb_read *read, tfn_str project,
                                             tfn_str view, tfn_online_previous *out,
                                             tfn_error *err);

/** Contract as tfn_online_rollback. */
TFN_NODISCARD tfn_code tfn_lmdb_rollback(tfn_lmdb *online, tfn_str project, tfn_str view,
                                         tfn_str mark, tfn_online_pushes pushes,
                                         tfn_online_rolled_back *out, tfn_error *err);

#endif
