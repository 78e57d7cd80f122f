/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Whether entity rows must be cut, and how.
 *
 * What fits is joined at once. Else the number of parts follows from the budget, and the order from
 * how much of the sources all parts together read. A part with entity times from a to b reads, of a
 * view with a ttl, the rows from a - ttl to b; of a view without, everything up to b. With T the
 * time that all rows span and P parts, a view is read
 *
 *   by time   (T + P ttl) / (T + ttl) times
 *   by rows   (sum of what each part of consecutive rows spans + P ttl) / (T + ttl) times
 *   no ttl    P times, either way
 *
 * taking its rows to be spread evenly. The two are equal when the rows ascend in time already; when
 * they come in any order, a part by rows spans nearly all of T. By time costs a copy of keys and
 * times and, because its answers come in another order than they must leave, the way through a
 * file; that is reckoned as half a pass.
 */

#include <stdio.h>

#include "offline/retrieval_internal.h"

#include "base/poison.h"

static const double SPOOL_PASSES = 0.5;

/* ---- indexes ---- */

static bool same_keys(const tfn_retrieval_view *a, const tfn_retrieval_view *b)
{
    bool same = a->join.n_keys == b->join.n_keys;
    for (size_t i = 0; same && i < a->join.n_keys; i++) {
        same = a->key_columns[i] == b->key_columns[i] &&
               tfn_type_same(a->join.key_types[i], b->join.key_types[i]);
    }
    return same;
}

static void number_indexes(tfn_retrieval *r)
{
    for (size_t i = 0; i < r->n_views; i++) {
        size_t k = 0;
        while (k < i && !same_keys(&r->views[k], &r->views[i])) {
            k++;
        }
        r->i_index[i] = k < i ? r->i_index[k] : r->n_indexes++;
    }
}

static void add_part_column(tfn_retrieval *r, size_t column)
{
    for (size_t i = 0; i < r->n_part_columns; i++) {
        if (r->part_columns[i] == column) {
            return;
        }
    }
    r->part_columns[r->n_part_columns++] = column;
}

static tfn_code list_part_columns(tfn_retrieval *r, tfn_error *err)
{
    size_t n = 1;
    for (size_t i = 0; i < r->n_views; i++) {
        n += r->views[i].join.n_keys;
    }
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&r->arena, n, sizeof *r->part_columns, &p, err));
    r->part_columns = p;
    add_part_column(r, r->time_col);
    for (size_t i = 0; i < r->n_views; i++) {
        for (size_t k = 0; k < r->views[i].join.n_keys; k++) {
            add_part_column(r, r->views[i].key_columns[k]);
        }
    }
    return TFN_OK;
}

/* ---- the budget ---- */

static int count_threads(const tfn_retrieval *r)
{
    int n = 1;
    for (size_t i = 0; i < r->n_views; i++) {
        const int n_workers = tfn_source_get_n_workers(r->views[i].source, r->opts.n_threads);
        n = n_workers > n ? n_workers : n;
    }
    return n;
}

static tfn_code reckon(tfn_retrieval *r, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc_zero(&r->arena, r->n_views, sizeof(tfn_budget_view), &p, err));
    tfn_budget_view *views = p;
    for (size_t i = 0; i < r->n_views; i++) {
        views[i] = (tfn_budget_view){.join = &r->views[i].join, .i_index = r->i_index[i]};
    }
    r->plan.budget =
        tfn_budget_of(views, r->n_views, r->n_indexes, r->opts.limit_bytes, count_threads(r));
    return TFN_OK;
}

static double megabytes(int64_t n_bytes)
{
    return (double)n_bytes / 1e6;
}

static tfn_code limit_too_small(const tfn_retrieval *r, int64_t n_rows, tfn_error *err)
{
    const int64_t mb = (tfn_budget_get_least_limit(&r->plan.budget, n_rows) + 999999) / 1000000;
    return TFN_FAIL(
        err, TFN_LIMIT,
        "a memory_limit of %.1f MB is too small for a training set of %zu features from "
        "%zu views; the smallest that would do is %lldMB",
        megabytes(r->opts.limit_bytes), r->n_columns, r->n_views, (long long)mb);
}

/* ---- the order ---- */

/* Passes over the sources, the mean of the views, if n_parts parts span `span` together. */
static double count_passes(const tfn_retrieval *r, const tfn_parts_times *times, double span,
                           double n_parts)
{
    const double all = (double)times->last - (double)times->first;
    double sum = 0;
    for (size_t i = 0; i < r->n_views; i++) {
        const double ttl =
            (double)r->views[i].join.ttl_us / 1e6 * (double)tfn_unit_per_second(times->unit);
        const double passes = ttl > 0 ? (span + n_parts * ttl) / (all + ttl) : n_parts;
        sum += passes < n_parts ? passes : n_parts;
    }
    return r->n_views > 0 ? sum / (double)r->n_views : 0;
}

static tfn_code choose_order(tfn_retrieval *r, tfn_error *err)
{
    const int64_t n_rows = tfn_frame_get_n_rows(r->frame);
    const int64_t part_rows = tfn__retrieval_next_part_rows(r);
    const double n_parts = (double)r->plan.n_parts;
    tfn_parts_times times = {0};
    int64_t span = 0;
    TFN_RETURN_IF_ERROR(tfn_parts_times_read(r->frame, r->time_col, &times, err));
    TFN_RETURN_IF_ERROR(tfn_parts_times_span(r->frame, r->time_col, part_rows, &span, err));
    const double by_rows = count_passes(r, &times, (double)span, n_parts);
    const double by_time =
        count_passes(r, &times, (double)times.last - (double)times.first, n_parts);
    const bool can_spool = n_rows < (int64_t)UINT32_MAX;
    const bool is_by_time = !times.ascends && can_spool && by_time + SPOOL_PASSES < by_rows;
    r->plan.strategy = is_by_time ? TFN_RETRIEVAL_BY_TIME : TFN_RETRIEVAL_BY_ROWS;
    r->plan.passes = is_by_time ? by_time : by_rows;
    if (is_by_time) {
        (void)snprintf(
            r->plan.why, sizeof r->plan.why,
            "parts by time read the sources %.1f times in all; parts of consecutive rows "
            "would read them %.1f times",
            by_time, by_rows);
    } else if (times.ascends) {
        (void)snprintf(r->plan.why, sizeof r->plan.why,
                       "the entity rows ascend in time, so parts of consecutive rows are parts by "
                       "time: they read the sources %.1f times in all",
                       by_rows);
    } else {
        (void)snprintf(
            r->plan.why, sizeof r->plan.why,
            "parts of consecutive rows read the sources %.1f times in all; parts by time "
            "would read them %.1f times and need a temporary file",
            by_rows, by_time);
    }
    return TFN_OK;
}

int64_t tfn__retrieval_most_part_rows(const tfn_retrieval *r)
{
    if (r->opts.force_part_rows > 0) {
        return r->opts.force_part_rows;
    }
    const int64_t most = tfn_budget_get_part_rows(&r->plan.budget);
    return most < TFN_BUDGET_LEAST_ROWS ? TFN_BUDGET_LEAST_ROWS : most;
}

int64_t tfn__retrieval_next_part_rows(const tfn_retrieval *r)
{
    const int64_t n_done = r->parts != NULL ? tfn_parts_get_n_rows_done(r->parts) : 0;
    const int64_t n_left = tfn_frame_get_n_rows(r->frame) - n_done;
    const int64_t most = tfn__retrieval_most_part_rows(r);
    if (r->opts.force_part_rows > 0 || n_left <= most) {
        return most;
    }
    const int64_t n_parts = (n_left + most - 1) / most;
    return (n_left + n_parts - 1) / n_parts;
}

static void force_order(tfn_retrieval *r, int64_t n_rows)
{
    r->plan.n_parts = (n_rows + r->opts.force_part_rows - 1) / r->opts.force_part_rows;
    r->plan.passes = (double)r->plan.n_parts; /* at most: nobody chooses by it */
    r->plan.strategy = r->opts.force_by_time ? TFN_RETRIEVAL_BY_TIME : TFN_RETRIEVAL_BY_ROWS;
    (void)snprintf(r->plan.why, sizeof r->plan.why, "it was asked for");
}

tfn_code tfn__retrieval_plan(tfn_retrieval *r, tfn_error *err)
{
    const int64_t n_rows = tfn_frame_get_n_rows(r->frame);
    number_indexes(r);
    TFN_RETURN_IF_ERROR(reckon(r, err));
    const tfn_budget *b = &r->plan.budget;
    if (r->opts.force_part_rows > 0 && n_rows > 0) {
        force_order(r, n_rows);
        return list_part_columns(r, err);
    }
    if (n_rows == 0 || tfn_budget_fits(b, n_rows)) {
        r->plan.n_parts = 1;
        r->plan.passes = 1;
        (void)snprintf(r->plan.why, sizeof r->plan.why, "all rows fit: they need about %.1f MB",
                       megabytes(b->fixed_bytes + n_rows * b->row_bytes));
        return TFN_OK;
    }
    const int64_t part_rows = tfn_budget_get_part_rows(b);
    if (part_rows < n_rows && part_rows < TFN_BUDGET_LEAST_ROWS) {
        return limit_too_small(r, n_rows, err);
    }
    TFN_RETURN_IF_ERROR(list_part_columns(r, err));
    r->plan.n_parts = (n_rows + part_rows - 1) / part_rows;
    return choose_order(r, err);
}
