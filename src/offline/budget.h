/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_OFFLINE_BUDGET_H
#define TFN_OFFLINE_BUDGET_H

/*
 * What a training set needs in memory, reckoned before anything is read: a pure function of the
 * request. docs/decisions/010-memory-limit.md has the formula and what was measured.
 *
 * The entity rows themselves are the caller's and are not counted.
 */

#include <stdint.h>

#include "offline/offline.h"

/* Rows of the smallest part; with fewer, every part would cost a scan for next to nothing. */
enum { TFN_BUDGET_LEAST_ROWS = 1024 };

typedef struct tfn_budget_view {
    const tfn_join_view *join; /* [borrow] */
    size_t i_index;            /* views with equal keys share an index: equal numbers, from 0 on */
} tfn_budget_view;

typedef struct tfn_budget {
    int64_t limit_bytes;         /* 0 = none */
    int64_t reader_bytes;        /* what the reader of files may use */
    int64_t usual_reader_bytes;  /* that without a limit; with one at most half of it */
    int64_t fixed_bytes;         /* that and what does not grow with the rows */
    int64_t row_bytes;           /* per entity row, if all are joined at once */
    int64_t part_row_bytes;      /* per entity row of a part: the part before may still be in use */
    int64_t part_row_more_bytes; /* by how much */
} tfn_budget;

/* What joining some rows really took. */
typedef struct tfn_budget_use {
    int64_t n_rows;
    int64_t index_bytes; /* of all indexes */
    int64_t work_bytes;  /* of the view that took most */
    int64_t output_bytes;
} tfn_budget_use;

/**
 * @param views        [borrow] n_views of them
 * @param n_indexes    distinct i_index
 * @param limit_bytes  0 = none
 * @param n_threads    that read
 *
 * Units    bytes; texts and lists are taken to have 64 each, and text keys 32
 * Cost     O(features)
 * Threads  any
 * Errors   none
 */
tfn_budget tfn_budget_of(const tfn_budget_view *views, size_t n_views, size_t n_indexes,
                         int64_t limit_bytes, int n_threads);

/** Rows that one part may have; below min(n_rows, TFN_BUDGET_LEAST_ROWS) the limit is too small. */
int64_t tfn_budget_get_part_rows(const tfn_budget *b);

/** Do n_rows fit all at once? */
bool tfn_budget_fits(const tfn_budget *b, int64_t n_rows);

/** The smallest limit with which n_rows can be joined in parts. */
int64_t tfn_budget_get_least_limit(const tfn_budget *b, int64_t n_rows);

/** Note what joining one view took: work and index are raised to it where it is more. */
void tfn_budget_use_view(tfn_budget_use *use, const tfn_join_stats *stats);

/** Put what a part really took in the place of what was reckoned. */
void tfn_budget_learn(tfn_budget *b, const tfn_budget_use *use);

#endif
