/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * From what threads collected to rows in order, and to columns.
 *
 *   workers' keys --numbered together--> keys --keysort--> ranks
 *   workers' rows --side by side-------> rows --radix, last criterion first--> order
 *   order -> keys (decoded once each), times, records -> columns
 *
 * Invariants
 *  1. Positions are distinct, so the order is total and does not depend on threads.
 *  2. The radix sort is stable: after the pass of the first criterion all others are in place.
 *
 * Cost: a pass is O(n) per byte in which values differ; created times and ranks of few values are
 * nearly free.
 */

#include "offline/keysort.h"
#include "offline/range_internal.h"
#include "offline/room.h"
#include "offline/row_columns.h"

#include "base/poison.h"

/* ---- stopping ---- */

/* Between two steps of which none takes long: may the call go on? */
static tfn_code tick(const tfn_row_range *r, int64_t n_done, tfn_error *err)
{
    const tfn_progress progress = {"ordering rows", n_done, (int64_t)r->n_rows};
    if (r->opts.tick != NULL && r->opts.tick(r->opts.tick_context, &progress) != 0) {
        return TFN_FAIL(err, TFN_CANCELLED, "stopped while rows were put in order");
    }
    return TFN_OK;
}

/* ---- order ---- */

tfn_code tfn__range_rank_keys(const tfn__keytable *keys, uint32_t **ranks, tfn_error *err)
{
    *ranks = NULL;
    const size_t n = keys->n;
    tfn_str *texts = NULL;
    tfn__entry *order = NULL;
    tfn__entry *scratch = NULL;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn__room(n, sizeof *texts, &texts, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__room(n, sizeof *order, &order, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__room(n, sizeof *scratch, &scratch, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__room(n, sizeof **ranks, ranks, err), done);
    for (uint32_t i = 0; i < n; i++) {
        texts[i] = tfn__keytable_get(keys, i);
    }
    tfn__keysort(texts, order, scratch, n);
    for (uint32_t i = 0; i < n; i++) {
        (*ranks)[order[i].value] = i;
    }
done:
    tfn_mem_free(texts);
    tfn_mem_free(order);
    tfn_mem_free(scratch);
    return rc;
}

/* Put a worker's keys among those of all. @param numbers  [own] new number of each of its keys */
static tfn_code number_keys(tfn_row_range *r, const tfn__keytable *keys, uint32_t **numbers,
                            tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn__room(keys->n, sizeof **numbers, numbers, err));
    for (uint32_t i = 0; i < keys->n; i++) {
        TFN_RETURN_IF_ERROR(tfn__keytable_put(&r->keys, keys->hashes[i], tfn__keytable_get(keys, i),
                                              &(*numbers)[i], err));
    }
    return TFN_OK;
}

/* Move a worker's rows to those of all; its own list is given back. */
static tfn_code move_rows(tfn_row_range *r, tfn__range_worker *w, tfn_error *err)
{
    uint32_t *numbers = NULL;
    const tfn_code rc = number_keys(r, &w->keys, &numbers, err);
    for (size_t i = 0; i < w->n_rows && rc == TFN_OK; i++) {
        tfn__range_row row = w->rows[i];
        row.key = numbers[row.key];
        r->rows[r->n_rows++] = row;
    }
    tfn_mem_free(numbers);
    tfn_mem_free(w->rows);
    w->rows = NULL;
    w->n_rows = 0;
    tfn__keytable_deinit(&w->keys);
    w->keys = (tfn__keytable){0};
    return rc;
}

typedef enum criterion { BY_POSITION, BY_CREATED, BY_EVENT, BY_RANK } criterion;

static uint64_t value_of(const tfn_row_range *r, const tfn__range_row *row, criterion by)
{
    switch (by) {
    case BY_POSITION:
        return row->position;
    case BY_CREATED:
        return tfn__entry_key(row->created);
    case BY_EVENT:
        return tfn__entry_key(row->event);
    case BY_RANK:
    default:
        return r->ranks[row->key];
    }
}

static tfn_code sort_rows(tfn_row_range *r, tfn_error *err)
{
    static const criterion by_key[] = {BY_POSITION, BY_CREATED, BY_EVENT, BY_RANK};
    static const criterion by_time[] = {BY_POSITION, BY_CREATED, BY_RANK, BY_EVENT};
    const criterion *criteria = r->window.order == TFN_RANGE_BY_TIME ? by_time : by_key;
    tfn__entry *entries = NULL;
    tfn__entry *scratch = NULL;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn__room(r->n_rows, sizeof *entries, &entries, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__room(r->n_rows, sizeof *scratch, &scratch, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__room(r->n_rows, sizeof *r->order, &r->order, err), done);
    for (size_t i = 0; i < r->n_rows; i++) {
        entries[i].value = (uint32_t)i;
    }
    for (size_t pass = 0; pass < 4; pass++) {
        TFN_GOTO_IF_ERROR(rc, tick(r, (int64_t)(r->n_rows * pass / 4), err), done);
        for (size_t i = 0; i < r->n_rows; i++) {
            entries[i].key = value_of(r, &r->rows[entries[i].value], criteria[pass]);
        }
        tfn__radix_sort(entries, scratch, r->n_rows);
    }
    for (size_t i = 0; i < r->n_rows; i++) {
        r->order[i] = entries[i].value;
    }
done:
    tfn_mem_free(entries);
    tfn_mem_free(scratch);
    return rc;
}

tfn_code tfn__range_arrange(tfn_row_range *r, tfn_error *err)
{
    size_t n = 0;
    for (int i = 0; i < r->n_workers; i++) {
        n += r->workers[i].n_rows;
    }
    if (n >= UINT32_MAX) {
        return TFN_FAIL(err, TFN_LIMIT, "%zu rows in the window; the most in one call is 2^32 - 2",
                        n);
    }
    TFN_RETURN_IF_ERROR(tfn__keytable_init(&r->keys, &r->plan, err));
    TFN_RETURN_IF_ERROR(tfn__room(n, sizeof *r->rows, &r->rows, err));
    for (int i = 0; i < r->n_workers; i++) {
        TFN_RETURN_IF_ERROR(move_rows(r, &r->workers[i], err));
    }
    TFN_RETURN_IF_ERROR(tfn__range_rank_keys(&r->keys, &r->ranks, err));
    return sort_rows(r, err);
}

/* ---- columns ---- */

static tfn_str get_key(const void *context, size_t i)
{
    return tfn__keytable_get(context, (uint32_t)i);
}

static tfn_code spread_key(const tfn_column *distinct, const uint32_t *row_keys, size_t n_rows,
                           tfn_column **out, tfn_error *err)
{
    tfn_builder *builder = NULL;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(
        rc, tfn_builder_create(tfn_column_get_type(distinct), (int64_t)n_rows, &builder, err),
        done);
    for (size_t i = 0; i < n_rows; i++) {
        TFN_GOTO_IF_ERROR(
            rc, tfn_builder_add_vec(builder, tfn_column_get_vec(distinct), row_keys[i], 1, err),
            done);
    }
    TFN_GOTO_IF_ERROR(rc, tfn_builder_finish(&builder, out, err), done);
done:
    tfn_builder_destroy(builder);
    return rc;
}

tfn_code tfn__range_key_columns(const tfn_key_plan *plan, const tfn__keytable *keys,
                                const uint32_t *row_keys, size_t n_rows, tfn_column **out,
                                tfn_error *err)
{
    tfn_column *distinct[TFN_MAX_KEY_PARTS] = {0};
    for (size_t k = 0; k < plan->n_parts; k++) {
        out[k] = NULL;
    }
    tfn_code rc = tfn__row_key_columns(plan, keys->n, get_key, keys, distinct, err);
    for (size_t k = 0; k < plan->n_parts && rc == TFN_OK; k++) {
        rc = spread_key(distinct[k], row_keys, n_rows, &out[k], err);
    }
    for (size_t k = 0; k < plan->n_parts; k++) {
        tfn_column_release(distinct[k]);
        if (rc != TFN_OK) {
            tfn_column_release(out[k]);
            out[k] = NULL;
        }
    }
    return rc;
}

static tfn_code take_keys(const tfn_row_range *r, tfn_column **out, tfn_error *err)
{
    uint32_t *row_keys = NULL;
    TFN_RETURN_IF_ERROR(tfn__room(r->n_rows, sizeof *row_keys, &row_keys, err));
    for (size_t i = 0; i < r->n_rows; i++) {
        row_keys[i] = r->rows[r->order[i]].key;
    }
    const tfn_code rc = tfn__range_key_columns(&r->plan, &r->keys, row_keys, r->n_rows, out, err);
    tfn_mem_free(row_keys);
    return rc;
}

static tfn_code take_times(const tfn_row_range *r, tfn_column **out, tfn_error *err)
{
    int64_t *times = NULL;
    TFN_RETURN_IF_ERROR(tfn__room(r->n_rows, sizeof *times, &times, err));
    for (size_t i = 0; i < r->n_rows; i++) {
        times[i] = r->rows[r->order[i]].event;
    }
    tfn_code rc = tfn__row_event_column(r->columns.event_unit, r->n_rows, times, &out[0], err);
    if (rc == TFN_OK && r->columns.has_created) {
        for (size_t i = 0; i < r->n_rows; i++) {
            times[i] = r->rows[r->order[i]].created;
        }
        rc = tfn__row_created_column(r->columns.created_unit, r->n_rows, times, &out[1], err);
    }
    tfn_mem_free(times);
    return rc;
}

/* A tfn__locate_fn: records in order. */
static void locate(const void *context, int64_t begin, int64_t n, const char **records)
{
    const tfn_row_range *r = context;
    for (int64_t i = 0; i < n; i++) {
        records[i] = r->rows[r->order[begin + i]].record;
        __builtin_prefetch(records[i]);
    }
}

static tfn_code take_all(const tfn_row_range *r, tfn_column **out, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tick(r, (int64_t)r->n_rows, err));
    TFN_RETURN_IF_ERROR(take_keys(r, out, err));
    TFN_RETURN_IF_ERROR(tick(r, (int64_t)r->n_rows, err));
    out += r->plan.n_parts;
    TFN_RETURN_IF_ERROR(take_times(r, out, err));
    TFN_RETURN_IF_ERROR(tick(r, (int64_t)r->n_rows, err));
    out += r->columns.has_created ? 2 : 1;
    tfn_crew crew;
    tfn_crew_init(&crew, r->opts.n_threads, r->opts.tick, r->opts.tick_context,
                  "writing the rows found");
    const tfn_code rc =
        tfn__records_take(&r->records, (int64_t)r->n_rows, locate, r, &crew, out, err);
    if (rc == TFN_SCHEMA) {
        tfn_error_prepend(err, "source '%.*s', ", TFN_STR_ARG(r->rule.source_label));
    }
    return rc;
}

tfn_code tfn_range_take(const tfn_row_range *r, tfn_column **out, tfn_error *err)
{
    const size_t n_columns = tfn_range_get_n_columns(r);
    for (size_t i = 0; i < n_columns; i++) {
        out[i] = NULL;
    }
    const tfn_code rc = take_all(r, out, err);
    for (size_t i = 0; i < n_columns && rc != TFN_OK; i++) {
        tfn_column_release(out[i]);
        out[i] = NULL;
    }
    return rc;
}
