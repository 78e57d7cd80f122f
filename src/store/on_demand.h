/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_STORE_ON_DEMAND_H
#define TFN_STORE_ON_DEMAND_H

/*
 * A request that may name on-demand views, resolved: what must be read, what is computed of it and
 * in which order, and what is given out under which name.
 *
 * Between reading and giving out, every value has a *working column*. Its name says where it comes
 * from, and contains a colon, which no view's name does: "view:feature" is read (an output of the
 * selection), "on-demand view:output" is computed. What a request brings along is known by the name
 * of its field.
 */

#include "store/request.h"

/* What a function sees in one column. */
typedef struct tfn_on_demand_input {
    tfn_str name;      /* of the feature; not given to the function when `is_ambiguous` */
    tfn_str full_name; /* view__feature; empty for a field of the request */
    tfn_str column;    /* working column */
    tfn_type type;
    bool is_request;
    bool is_ambiguous; /* two sources have a feature of that name */
} tfn_on_demand_input;

/* An on-demand view that has to be computed, once, however often it is asked for. */
typedef struct tfn_needed_view {
    const tfn_on_demand_def *view;
    tfn_on_demand_input *inputs;
    size_t n_inputs;
} tfn_needed_view;

/* One column of the answer. */
typedef struct tfn_asked_column {
    tfn_str name;      /* "feature" or "view__feature" */
    tfn_str column;    /* working column */
    tfn_str view;      /* alias, else name: for sentences */
    tfn_str reference; /* "view:feature", by the view's own name */
} tfn_asked_column;

typedef struct tfn_resolution {
    tfn_needed_view *needed; /* each after those that it reads */
    size_t n_needed;
    size_t needed_capacity;
    tfn_asked_column *columns; /* in the order asked */
    size_t n_columns;
    size_t column_capacity;
} tfn_resolution;

void tfn__resolution_deinit(tfn_resolution *resolution);

/**
 * Add what a projection asks for to s->resolution, and what it takes to the selection.
 *
 * @param projection  [borrow] of a view of either kind, with features
 *
 * Errors   TFN_NOT_FOUND no such feature . TFN_INVALID join keys that are none . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__resolution_ask(tfn_selection *s, const tfn_projection_def *projection,
                                           tfn_error *err);

/** Refuse two columns of one name. Errors TFN_INVALID names both views . TFN_NO_MEMORY */
TFN_NODISCARD tfn_code tfn__resolution_check_names(const tfn_selection *s, tfn_error *err);

#endif
