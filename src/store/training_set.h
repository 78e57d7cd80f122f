/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_STORE_TRAINING_SET_H
#define TFN_STORE_TRAINING_SET_H

/* A training set in the making: shared by historical.c and the training_*.c files. */

#include "base/json.h"
#include "offline/leakage.h"
#include "offline/retrieval.h"
#include "store/request.h"
#include "store/store_internal.h"

typedef struct tfn__training_set {
    tfn_store *store;                      /* retained */
    const tfn_historical_request *request; /* the set's own copy, but for the tick */
    tfn_snapshot *snapshot;
    tfn_selection selection;
    tfn_arena arena;
    tfn_frame *frame;
    size_t time_column;
    tfn_retrieval_view *views; /* one per selected view; sources are owned */
    size_t *first_column;      /* per selected view: its first feature among all columns */
    size_t n_columns;          /* features of all views */
    tfn_likeness *likeness;    /* frame's columns x outputs; NULL before the first comparison */
    int64_t n_rows_compared;   /* entity rows of the pieces that were compared */
    yyjson_mut_doc *report;
    yyjson_mut_val *report_views;
    double seconds; /* spent on it, not counting what the caller did in between */
} tfn__training_set;

/* The public handle: the set, and the piece of it that is being handed out. */
struct tfn_training {
    tfn__training_set set;
    tfn_retrieval *retrieval;
    tfn_column **columns;          /* of a piece, on their way into `piece` */
    struct ArrowArrayStream piece; /* the newest; released with the next, or at the end */
    bool is_at_end;                /* no piece follows */
    bool is_ended;                 /* failed, or reported */
};

/** Make the next piece the current one; is_at_end when there is none. Errors as tfn_training_next.
 */
TFN_NODISCARD tfn_code tfn__training_load_piece(tfn_training *t, tfn_tick_fn tick,
                                                void *tick_context, tfn_error *err);

/** An Arrow stream over a training set of which a piece is loaded. Takes `t`, also when it fails.
 * @param tick_context [borrow until the stream is released]. Errors TFN_NO_MEMORY. */
TFN_NODISCARD tfn_code tfn__training_export(tfn_training *t, tfn_tick_fn tick, void *tick_context,
                                            struct ArrowArrayStream *out, tfn_error *err);

/**
 * Column of the entity rows by name.
 *
 * @param needed_by  [borrow] for the sentence: ", which is a join key"
 *
 * Errors   TFN_SCHEMA there is none: names all . TFN_INVALID two have the name . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__training_find_column(const tfn__training_set *t, tfn_str column,
                                                 const char *needed_by, size_t *out,
                                                 tfn_error *err);

/**
 * Set t->time_column: the one asked for, else "event_timestamp", else the only one that holds times.
 *
 * Errors   TFN_SCHEMA none, or not a time . TFN_INVALID several could be meant: lists them
 */
TFN_NODISCARD tfn_code tfn__training_find_time(tfn__training_set *t, tfn_error *err);

/** Refuse an output that is called like a column of the entity rows. Errors TFN_INVALID. */
TFN_NODISCARD tfn_code tfn__training_check_names(const tfn__training_set *t, tfn_error *err);

/** Add a view with its plan to the report, before it runs (in parts: of the first part), and what should
 * be heard of that. @param out [borrow until the report is written] the view's object. Errors as
 * tfn_join_explain. */
TFN_NODISCARD tfn_code tfn__training_report_plan(tfn__training_set *t, size_t i_view,
                                                 const tfn_spine *spine, const tfn_join_view *view,
                                                 tfn_source *source, const tfn_offline_opts *opts,
                                                 yyjson_mut_val **out, tfn_error *err);

/** Add to a view's object what running it did in so many parts, and what should be heard of that. */
void tfn__training_report_run(tfn__training_set *t, size_t i_view, yyjson_mut_val *report,
                              const tfn_join_stats *s, size_t n_parts);

/**
 * Warnings of the report (docs/semantics/training-warnings.md): those that a view's plan allows, and
 * those that counts of its run allow.
 *
 * Errors   TFN_NO_MEMORY, TFN_SCHEMA as tfn_frame_get_vec; a report that could not be extended is
 *          noticed when it is written
 */
TFN_NODISCARD tfn_code tfn__training_warn_plan(tfn__training_set *t, size_t i_view,
                                               yyjson_mut_val *plan, tfn_error *err);
void tfn__training_warn_run(tfn__training_set *t, size_t i_view, const tfn_join_stats *s,
                            size_t n_parts);

/**
 * Compare the next piece of the answer with the columns of the entity rows, and, after the last piece,
 * warn of features that repeat one of them.
 *
 * @param begin    the piece's first entity row
 * @param columns  [borrow] one per output, each of the piece's rows; NULL = not to be compared
 *
 * Cost     little for columns that are not alike
 * Errors   TFN_NO_MEMORY, TFN_SCHEMA as tfn_frame_get_vec
 */
TFN_NODISCARD tfn_code tfn__training_compare_labels(tfn__training_set *t, int64_t begin,
                                                    tfn_column *const *columns, tfn_error *err);
void tfn__training_warn_labels(tfn__training_set *t);

/** Add to the report how the memory limit was kept: strategy, parts, why, bytes. */
void tfn__training_report_memory(tfn__training_set *t, const tfn_retrieval *r);

#endif
