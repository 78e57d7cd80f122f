/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_OFFLINE_RETRIEVAL_INTERNAL_H
#define TFN_OFFLINE_RETRIEVAL_INTERNAL_H

/* A retrieval, as its two files see it: retrieval_plan.c decides, retrieval.c runs. */

#include "base/arena.h"
#include "offline/parts.h"
#include "offline/retrieval.h"

struct tfn_retrieval {
    tfn_arena arena;
    tfn_frame *frame;
    size_t time_col;
    const tfn_retrieval_view *views;
    size_t n_views;
    size_t n_columns; /* features of all views */
    tfn_retrieval_opts opts;
    tfn_retrieval_plan plan;
    size_t *i_index; /* per view: which index of the entity rows it uses */
    size_t n_indexes;
    size_t *part_columns; /* by time: columns of the entity rows that a part has */
    size_t n_part_columns;
    tfn_parts *parts; /* NULL: all at once */
    tfn_join_stats *stats;
    tfn_retrieval_part *parts_done;
    size_t n_parts_done;
    size_t part_capacity;
    bool is_done;      /* nothing is left to be joined */
    bool is_explained; /* the first part went into an explanation */
    tfn_spool *spool;
    tfn_type *types; /* by time: of the columns, once a part was joined */
    int64_t n_rows_out;
};

/** Fill plan and what it rests on (indexes, part columns). Errors as tfn_retrieval_create. */
TFN_NODISCARD tfn_code tfn__retrieval_plan(tfn_retrieval *r, tfn_error *err);

/** Rows that the next part may have, and should have so that all that are left are alike. */
int64_t tfn__retrieval_most_part_rows(const tfn_retrieval *r);
int64_t tfn__retrieval_next_part_rows(const tfn_retrieval *r);

#endif
