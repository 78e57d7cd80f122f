/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * All rows of a window: scan and collect.
 *
 *   chunk --block--> rows that may take part --window, key set--> this thread's rows
 *                                                                  keys  (numbered per thread)
 *                                                                  records (segments of 256)
 *
 * Threads share nothing but a count of bytes, so that a window that is too large ends with a
 * sentence before the memory does. What they collected is put together and ordered afterwards
 * (range_result.c): the order is total, so nobody sees who came first.
 *
 * Invariants
 *  1. Every row read is a row of the answer or counted under one reason.
 *  2. Records do not move: a worker grows by whole segments.
 *
 * Rejected: sorting runs per thread and merging them (the radix sort of all is as fast, and one
 * thing less); two scans as in the join (every row of a window is in the answer).
 *
 * Complexity: O(m) for m rows, a hash and a table lookup for each row of the window.
 */

#include "offline/range_internal.h"

#include <stdio.h>

#include "offline/room.h"

#include "base/poison.h"

enum { WHAT_BYTES = 256 };

/* ---- consuming ---- */

/* Which listed rows are in the window and of a key that was asked for; compacts the list. */
static void apply_window(const tfn_row_range *r, tfn__range_worker *w)
{
    tfn__block *b = &w->block;
    uint32_t n_kept = 0;
    for (uint32_t i = 0; i < b->n_rows; i++) {
        const uint32_t row = b->rows[i];
        const bool is_inside = tfn__bounds_hold(&r->event_window, b->event[row]);
        const bool is_asked = is_inside && (r->window.keys == NULL ||
                                            tfn_keyset_has(r->window.keys, b->keys.hashes[row],
                                                           tfn_keys_get(&b->keys, row)));
        b->rows[n_kept] = row;
        n_kept += is_asked ? 1 : 0;
        w->n_outside += is_inside ? 0 : 1;
        w->n_not_asked += is_inside && !is_asked ? 1 : 0;
    }
    b->n_rows = n_kept;
}

static tfn_code reserve(const tfn_row_range *r, tfn__range_worker *w, tfn_error *err)
{
    const size_t n_wanted = w->n_rows + w->block.n_rows;
    TFN_RETURN_IF_ERROR(tfn__room_grow(&w->rows, &w->row_capacity, n_wanted, sizeof *w->rows, err));
    const size_t n_segments = r->records.n_fields == 0 ? 0
                                                       : (n_wanted + TFN__RANGE_SEGMENT_ROWS - 1) /
                                                             TFN__RANGE_SEGMENT_ROWS;
    TFN_RETURN_IF_ERROR(
        tfn__room_grow(&w->segments, &w->segment_capacity, n_segments, sizeof *w->segments, err));
    for (; w->n_segments < n_segments; w->n_segments++) {
        TFN_RETURN_IF_ERROR(tfn__room_zero(TFN__RANGE_SEGMENT_ROWS, r->records.stride,
                                           &w->segments[w->n_segments], err));
    }
    return TFN_OK;
}

static tfn_code put_features(const tfn_row_range *r, tfn__range_worker *w, const tfn_chunk *chunk,
                             int64_t i_row, char *record, tfn_error *err)
{
    for (size_t i = 0; i < r->records.n_fields; i++) {
        const tfn_vec *v = &chunk->cols[r->columns.i_features + i];
        const tfn_code rc =
            tfn__record_put(&r->records.fields[i], w->ways[i], v, i_row, record, &w->writer, err);
        if (rc != TFN_OK) {
            tfn_error_prepend(err,
                              "source '%.*s', column '%.*s': ", TFN_STR_ARG(r->rule.source_label),
                              TFN_STR_ARG(r->records.names[i]));
            return rc;
        }
    }
    return TFN_OK;
}

static tfn_code add_row(const tfn_row_range *r, tfn__range_worker *w, const tfn_chunk *chunk,
                        int64_t begin, uint32_t row, tfn_error *err)
{
    const tfn__block *b = &w->block;
    tfn__range_row *out = &w->rows[w->n_rows];
    *out = (tfn__range_row){.event = b->event[row],
                            .created = b->created[row],
                            .position = tfn_chunk_position(chunk, begin + row)};
    TFN_RETURN_IF_ERROR(tfn__keytable_put(&w->keys, b->keys.hashes[row],
                                          tfn_keys_get(&b->keys, row), &out->key, err));
    if (r->records.n_fields > 0) {
        char *record = w->segments[w->n_rows / TFN__RANGE_SEGMENT_ROWS] +
                       (w->n_rows % TFN__RANGE_SEGMENT_ROWS) * r->records.stride;
        out->record = record;
        TFN_RETURN_IF_ERROR(put_features(r, w, chunk, begin + row, record, err));
    }
    w->n_rows++;
    return TFN_OK;
}

/* Add what this worker holds now to the count of all, and compare with half of the limit: the answer is
 * written while the rows are still held, and is about as large. */
static tfn_code count_bytes(tfn_row_range *r, tfn__range_worker *w, tfn_error *err)
{
    const int64_t n_bytes = (int64_t)(w->row_capacity * sizeof *w->rows +
                                      w->n_segments * TFN__RANGE_SEGMENT_ROWS * r->records.stride +
                                      w->writer.arena.n_bytes) +
                            tfn__keytable_get_bytes(&w->keys);
    const int64_t n_all =
        atomic_fetch_add_explicit(&r->n_bytes, n_bytes - w->n_bytes, memory_order_relaxed) +
        n_bytes - w->n_bytes;
    w->n_bytes = n_bytes;
    if (r->window.max_bytes > 0 && n_all > r->window.max_bytes / 2) {
        return TFN_FAIL(err, TFN_LIMIT,
                        "the rows of this window and the answer need more than the limit of %lld "
                        "bytes; ask for a "
                        "shorter window, fewer features or some keys, or raise memory_limit",
                        (long long)r->window.max_bytes);
    }
    return TFN_OK;
}

static tfn_code consume_block(tfn_row_range *r, tfn__range_worker *w, const tfn_chunk *chunk,
                              int64_t begin, int64_t n, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn__block_read(&w->block, &r->rule, chunk, begin, n, err));
    apply_window(r, w);
    TFN_RETURN_IF_ERROR(reserve(r, w, err));
    for (uint32_t i = 0; i < w->block.n_rows; i++) {
        TFN_RETURN_IF_ERROR(add_row(r, w, chunk, begin, w->block.rows[i], err));
    }
    return count_bytes(r, w, err);
}

static tfn_code consume(void *context, int worker, const tfn_chunk *chunk, tfn_error *err)
{
    tfn_row_range *r = context;
    tfn__range_worker *w = &r->workers[worker];
    for (size_t i = 0; i < r->records.n_fields; i++) {
        w->ways[i] =
            tfn__record_way(&r->records.fields[i], &chunk->cols[r->columns.i_features + i]);
    }
    for (int64_t begin = 0; begin < chunk->n; begin += TFN__BLOCK_ROWS) {
        const int64_t n_left = chunk->n - begin;
        const int64_t n = n_left < TFN__BLOCK_ROWS ? n_left : TFN__BLOCK_ROWS;
        TFN_RETURN_IF_ERROR(consume_block(r, w, chunk, begin, n, err));
    }
    return TFN_OK;
}

/* ---- a run ---- */

static tfn_code make_workers(tfn_row_range *r, tfn_error *err)
{
    const int n_workers = tfn_source_get_n_workers(r->source, r->opts.n_threads);
    TFN_RETURN_IF_ERROR(
        tfn__room_zero((size_t)n_workers, sizeof(tfn__range_worker), &r->workers, err));
    r->n_workers = n_workers;
    for (int i = 0; i < n_workers; i++) {
        TFN_RETURN_IF_ERROR(tfn__keytable_init(&r->workers[i].keys, &r->plan, err));
        TFN_RETURN_IF_ERROR(
            tfn__room_zero(r->records.n_fields, sizeof(tfn__way), &r->workers[i].ways, err));
    }
    return TFN_OK;
}

static tfn_code begin(tfn_row_range *r, const tfn_join_view *view, tfn_error *err)
{
    tfn_join_view used = *view; /* what a join alone uses must not be refused here */
    used.filter_by_created = false;
    used.ttl_us = 0;
    TFN_RETURN_IF_ERROR(tfn__columns_init(&r->columns, &used, r->source, err));
    TFN_RETURN_IF_ERROR(tfn_key_plan_init(&r->plan, view->key_types, view->n_keys, err));
    r->plan.names = view->key_columns;
    TFN_RETURN_IF_ERROR(tfn__record_plan_init(&r->records, view->feature_columns,
                                              r->columns.types + r->columns.i_features,
                                              view->n_features, err));
    const tfn_range_window *window = &r->window;
    r->event_window = tfn__bounds_of(window->has_start ? &window->start : NULL,
                                     window->has_end ? &window->end : NULL, r->columns.event_unit);
    r->rule = (tfn__block_rule){
        .columns = &r->columns,
        .keys = &r->plan,
        .source_label = tfn_source_get_label(r->source),
        .created_required = view->has_known_at,
        .known = tfn__bounds_of(NULL, view->has_known_at ? &view->known_at : NULL,
                                r->columns.created_unit),
    };
    return make_workers(r, err);
}

static void count_rows(const tfn_row_range *r, tfn_range_stats *stats)
{
    for (int i = 0; i < r->n_workers; i++) {
        const tfn__range_worker *w = &r->workers[i];
        stats->n_rows_read += w->block.counts.n_read;
        stats->n_rows_without_time += w->block.counts.n_without_time;
        stats->n_rows_infinite_time += w->block.counts.n_infinite_time;
        stats->n_rows_without_key += w->block.counts.n_without_key;
        stats->n_rows_not_known += w->block.counts.n_not_known;
        stats->n_rows_outside += w->n_outside;
        stats->n_rows_not_asked += w->n_not_asked;
        stats->bytes_rows += w->n_bytes;
    }
}

static tfn_code scan(tfn_row_range *r, const tfn_join_view *view, tfn_range_stats *stats,
                     tfn_error *err)
{
    const double start = tfn_clock_monotonic_s();
    char what[WHAT_BYTES];
    (void)snprintf(what, sizeof what, "reading %.*s", TFN_STR_ARG(view->label));
    const tfn_scan request = {
        .columns = r->columns.names,
        .n_columns = r->columns.n,
        .types = r->columns.types,
        .i_time = (int64_t)r->columns.n_keys,
        .has_time_min = r->window.has_start,
        .has_time_max = r->window.has_end,
        .time_min = r->window.start,
        .time_max = r->window.end,
        .n_threads = r->opts.n_threads,
        .what = what,
        .consume = consume,
        .context = r,
        .tick = r->opts.tick,
        .tick_context = r->opts.tick_context,
    };
    TFN_RETURN_IF_ERROR(tfn_source_scan(r->source, &request, &stats->scan, err));
    count_rows(r, stats);
    const double scanned = tfn_clock_monotonic_s();
    TFN_RETURN_IF_ERROR(tfn__range_arrange(r, err));
    stats->n_rows = (int64_t)r->n_rows;
    stats->n_keys = r->keys.n;
    stats->seconds_scan = scanned - start;
    stats->seconds_sort = tfn_clock_monotonic_s() - scanned;
    return TFN_OK;
}

tfn_code tfn_range_run(const tfn_join_view *view, tfn_source *source,
                       const tfn_range_window *window, const tfn_offline_opts *opts,
                       tfn_row_range **out, tfn_range_stats *stats, tfn_error *err)
{
    *out = NULL;
    tfn_range_stats own_stats;
    if (stats == NULL) {
        stats = &own_stats;
    }
    *stats = (tfn_range_stats){0};
    tfn_row_range *r = NULL;
    TFN_RETURN_IF_ERROR(tfn__room_zero(1, sizeof *r, &r, err));
    r->label = view->label;
    r->source = source;
    if (window != NULL) {
        r->window = *window;
    }
    if (opts != NULL) {
        r->opts = *opts;
    }
    tfn_code rc = begin(r, view, err);
    if (rc == TFN_OK) {
        rc = scan(r, view, stats, err);
    }
    if (rc != TFN_OK) {
        tfn_error_prepend(err, "view '%.*s': ", TFN_STR_ARG(view->label));
        tfn_range_destroy(r);
        return rc;
    }
    *out = r;
    return TFN_OK;
}

void tfn_range_destroy(tfn_row_range *r)
{
    if (r == NULL) {
        return;
    }
    for (int i = 0; i < r->n_workers; i++) {
        tfn__range_worker *w = &r->workers[i];
        for (size_t s = 0; s < w->n_segments; s++) {
            tfn_mem_free(w->segments[s]);
        }
        tfn_mem_free(w->segments);
        tfn_mem_free(w->rows);
        tfn_mem_free(w->ways);
        tfn__keytable_deinit(&w->keys);
        tfn__writer_deinit(&w->writer);
        tfn__block_deinit(&w->block);
    }
    tfn_mem_free(r->workers);
    tfn__keytable_deinit(&r->keys);
    tfn_mem_free(r->rows);
    tfn_mem_free(r->order);
    tfn_mem_free(r->ranks);
    tfn__record_plan_deinit(&r->records);
    tfn__columns_deinit(&r->columns);
    tfn_mem_free(r);
}

int64_t tfn_range_get_n_rows(const tfn_row_range *r)
{
    return (int64_t)r->n_rows;
}

size_t tfn_range_get_n_columns(const tfn_row_range *r)
{
    return r->plan.n_parts + 1 + (r->columns.has_created ? 1 : 0) + r->records.n_fields;
}
