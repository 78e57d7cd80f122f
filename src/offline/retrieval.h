/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_OFFLINE_RETRIEVAL_H
#define TFN_OFFLINE_RETRIEVAL_H

/*
 * A retrieval: several views joined to the same entity rows within a memory limit.
 *
 *   create -> plan        whole | by rows | by time (offline/parts.h)
 *   next, next, ...       pieces: some entity rows, in order, and the columns of all views for them
 *
 * Where the plan is by rows, a piece is computed when it is asked for, and the first one leaves before
 * the last is begun. By time, the first call joins all parts to a spool, and pieces are read from
 * there.
 */

#include "offline/budget.h"
#include "offline/offline.h"
#include "offline/spool.h"

typedef enum tfn_retrieval_strategy {
    TFN_RETRIEVAL_WHOLE = 0,
    TFN_RETRIEVAL_BY_ROWS = 1,
    TFN_RETRIEVAL_BY_TIME = 2
} tfn_retrieval_strategy;

typedef struct tfn_retrieval_view {
    tfn_join_view join;
    const size_t *key_columns; /* [borrow] join.n_keys columns of the entity rows */
    tfn_source *source;        /* [borrow] scanned once or twice per part */
} tfn_retrieval_view;

/* How to run; a zeroed struct is the defaults. */
typedef struct tfn_retrieval_opts {
    int n_threads;
    bool force_one_step;
    int64_t limit_bytes;      /* 0 = none */
    const char *spool_folder; /* [copy, NULL = $TMPDIR, else /tmp] */
    int64_t piece_rows;       /* most rows of a batch of a piece; 0 = batches as they came in */
    int64_t force_part_rows;  /* > 0: cut into parts of so many rows, whatever fits (tests) */
    bool force_by_time;       /* with it: by time, not by rows */
} tfn_retrieval_opts;

typedef struct tfn_retrieval_plan {
    tfn_retrieval_strategy strategy;
    int64_t n_parts; /* expected; parts adapt to what the one before took */
    tfn_budget budget;
    double passes; /* over the sources, all parts together */
    char why[256]; /* one sentence */
} tfn_retrieval_plan;

/* What a part did. */
typedef struct tfn_retrieval_part {
    int64_t n_rows;
    int64_t bytes; /* index, work and answers */
    double seconds;
} tfn_retrieval_part;

typedef struct tfn_retrieval tfn_retrieval;

/* Told before a view of the first part is joined. */
typedef tfn_code (*tfn_retrieval_look_fn)(void *context, size_t i_view, const tfn_spine *spine,
                                          const tfn_offline_opts *opts, tfn_error *err);

/**
 * Plan.
 *
 * @param frame  [borrow] retained: the entity rows
 * @param views  [borrow until destroyed] n_views
 * @param opts   [borrow, NULL = defaults]
 * @param out    [own] ends with tfn_retrieval_destroy
 *
 * Cost     nothing if all fits; else a pass or two over the entity times
 * Errors   TFN_LIMIT the limit is too small for any part: says which would do
 *          TFN_INVALID a null entity time (found here only when rows must be cut) . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_retrieval_create(tfn_frame *frame, size_t time_col,
                                            const tfn_retrieval_view *views, size_t n_views,
                                            const tfn_retrieval_opts *opts, tfn_retrieval **out,
                                            tfn_error *err);
void tfn_retrieval_destroy(tfn_retrieval *r);

/** Borrowed from the retrieval. */
const tfn_retrieval_plan *tfn_retrieval_get_plan(const tfn_retrieval *r);

/** Index the first part and show each view's index, without joining: for explain. May only come
 * before tfn_retrieval_next, and afterwards the retrieval can only be asked for its plan and
 * destroyed: its first part is used up. Errors as there. */
TFN_NODISCARD tfn_code tfn_retrieval_explain(tfn_retrieval *r, tfn_retrieval_look_fn look,
                                             void *look_context, tfn_error *err);

/* How one call of next is watched. Zeroed: not at all. */
typedef struct tfn_retrieval_watch {
    tfn_tick_fn tick; /* [NULL allowed] */
    void *tick_context;
    tfn_retrieval_look_fn look; /* [NULL allowed] */
    void *look_context;
} tfn_retrieval_watch;

/**
 * The next piece.
 *
 * @param watch    [borrow, NULL = none] for this call
 * @param rows     [own, NULL = the end] entity rows with all their columns; ends with
 *                 tfn_frame_release
 * @param columns  [out] all views' features, view after view; each [own], ends with
 *                 tfn_column_release. On error and at the end all NULL.
 *
 * Shape    pieces follow each other: together they are the entity rows, once, in order
 * Threads  one at a time
 * Errors   as tfn_join_run and tfn_spool_add; the retrieval can then only be destroyed
 */
TFN_NODISCARD tfn_code tfn_retrieval_next(tfn_retrieval *r, const tfn_retrieval_watch *watch,
                                          tfn_frame **rows, tfn_column **columns, tfn_error *err);

/** Sum over the parts so far (bytes and groups: of the largest). Borrowed. */
const tfn_join_stats *tfn_retrieval_get_stats(const tfn_retrieval *r, size_t i_view);
/** The parts so far. Borrowed until the next call. */
const tfn_retrieval_part *tfn_retrieval_get_parts(const tfn_retrieval *r, size_t *n_parts);
/** Bytes that went through the spool. */
int64_t tfn_retrieval_get_spool_bytes(const tfn_retrieval *r);

#endif
