/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The result of latest-per-key: keys in byte order, with their times and columns.
 *
 *   shards' keys --keysort--> order --> keys side by side, events, created, records -> columns
 *
 * Keys and times are copied out, so the result does not hold the shards; columns are gathered from
 * the shards' records in key order.
 */

#include "offline/keysort.h"
#include "offline/latest_internal.h"
#include "offline/room.h"
#include "offline/row_columns.h"

#include "base/poison.h"

struct tfn_latest {
    size_t n;
    char *key_bytes;
    uint64_t *key_ends; /* of key i in key_bytes */
    int64_t *events;
    int64_t *created; /* TFN__NO_CREATED: none */
    tfn_unit event_unit;
    tfn_unit created_unit;
    tfn_column **columns;
    size_t n_columns;
};

/* What exists only while a result is made. */
typedef struct collecting {
    const tfn__latest_run *run;
    size_t n;
    tfn_str *keys;    /* of all shards, one shard after the other */
    uint32_t *starts; /* of each shard in keys */
    tfn__entry *order;
} collecting;

static void collecting_deinit(collecting *c)
{
    tfn_mem_free(c->keys);
    tfn_mem_free(c->starts);
    tfn_mem_free(c->order);
}

static size_t shard_of_index(const collecting *c, uint32_t index)
{
    size_t begin = 0;
    size_t end = c->run->n_shards;
    while (end - begin > 1) {
        const size_t middle = begin + (end - begin) / 2;
        if (c->starts[middle] <= index) {
            begin = middle;
        } else {
            end = middle;
        }
    }
    return begin;
}

static tfn_code sort_keys(collecting *c, tfn_error *err)
{
    const tfn__latest_run *r = c->run;
    TFN_RETURN_IF_ERROR(tfn__room(c->n, sizeof *c->keys, &c->keys, err));
    TFN_RETURN_IF_ERROR(tfn__room(r->n_shards, sizeof *c->starts, &c->starts, err));
    TFN_RETURN_IF_ERROR(tfn__room(c->n, sizeof *c->order, &c->order, err));
    tfn__entry *scratch = NULL;
    TFN_RETURN_IF_ERROR(tfn__room(c->n, sizeof *scratch, &scratch, err));
    uint32_t n = 0;
    for (size_t s = 0; s < r->n_shards; s++) {
        c->starts[s] = n;
        for (uint32_t i = 0; i < r->shards[s].keys.n; i++) {
            c->keys[n++] = tfn__keytable_get(&r->shards[s].keys, i);
        }
    }
    tfn__keysort(c->keys, c->order, scratch, c->n);
    tfn_mem_free(scratch);
    return TFN_OK;
}

static tfn_code copy_keys(const collecting *c, tfn_latest *l, tfn_error *err)
{
    const tfn__latest_run *r = c->run;
    size_t n_bytes = 0;
    for (size_t s = 0; s < r->n_shards; s++) {
        n_bytes += r->shards[s].keys.n_bytes;
    }
    TFN_RETURN_IF_ERROR(tfn__room(n_bytes, 1, &l->key_bytes, err));
    TFN_RETURN_IF_ERROR(tfn__room(c->n, sizeof *l->key_ends, &l->key_ends, err));
    TFN_RETURN_IF_ERROR(tfn__room(c->n, sizeof *l->events, &l->events, err));
    TFN_RETURN_IF_ERROR(tfn__room(c->n, sizeof *l->created, &l->created, err));
    size_t end = 0;
    for (size_t i = 0; i < c->n; i++) {
        const uint32_t index = c->order[i].value;
        const size_t s = shard_of_index(c, index);
        const tfn__rank *best = tfn__latest_get_rank(r, &r->shards[s], index - c->starts[s]);
        const tfn_str key = c->keys[index];
        if (key.n > 0) {
            memcpy(l->key_bytes + end, key.p, key.n);
        }
        end += key.n;
        l->key_ends[i] = end;
        l->events[i] = best->event;
        l->created[i] = best->created;
    }
    l->n = c->n;
    return TFN_OK;
}

/* A tfn__locate_fn: records in key order. */
static void locate(const void *context, int64_t begin, int64_t n, const char **records)
{
    const collecting *c = context;
    for (int64_t i = 0; i < n; i++) {
        const uint32_t index = c->order[begin + i].value;
        const size_t s = shard_of_index(c, index);
        const uint32_t entry = index - c->starts[s];
        records[i] = tfn__latest_get_record(c->run, &c->run->shards[s], entry);
        __builtin_prefetch(records[i]);
    }
}

static tfn_code take_columns(const collecting *c, tfn_latest *l, tfn_error *err)
{
    const size_t n_columns = c->run->plan.n_fields;
    TFN_RETURN_IF_ERROR(tfn__room_zero(n_columns, sizeof *l->columns, &l->columns, err));
    l->n_columns = n_columns;
    tfn_crew crew;
    tfn_crew_init(&crew, c->run->opts.n_threads, c->run->opts.tick, c->run->opts.tick_context,
                  "writing the rows found");
    const tfn_code rc =
        tfn__records_take(&c->run->plan, (int64_t)c->n, locate, c, &crew, l->columns, err);
    if (rc == TFN_SCHEMA) {
        tfn_error_prepend(err, "source '%.*s', ", TFN_STR_ARG(c->run->rule.source_label));
    }
    return rc;
}

static tfn_code collect(collecting *c, tfn_latest *l, tfn_latest_stats *stats, tfn_error *err)
{
    const double start = tfn_clock_monotonic_s();
    uint64_t n = 0;
    for (size_t s = 0; s < c->run->n_shards; s++) {
        n += c->run->shards[s].keys.n;
    }
    if (n >= UINT32_MAX) {
        return TFN_FAIL(err, TFN_LIMIT, "%llu distinct keys; the most in one call is 2^32 - 2",
                        (unsigned long long)n);
    }
    c->n = (size_t)n;
    TFN_RETURN_IF_ERROR(sort_keys(c, err));
    TFN_RETURN_IF_ERROR(copy_keys(c, l, err));
    const double sorted = tfn_clock_monotonic_s();
    TFN_RETURN_IF_ERROR(take_columns(c, l, err));
    stats->seconds_sort = sorted - start;
    stats->seconds_output = tfn_clock_monotonic_s() - sorted;
    return TFN_OK;
}

tfn_code tfn__latest_collect(const tfn__latest_run *r, tfn_latest **out, tfn_latest_stats *stats,
                             tfn_error *err)
{
    *out = NULL;
    tfn_latest *l = NULL;
    TFN_RETURN_IF_ERROR(tfn__room_zero(1, sizeof *l, &l, err));
    l->event_unit = r->columns.event_unit;
    l->created_unit = r->columns.created_unit;
    collecting c = {.run = r};
    const tfn_code rc = collect(&c, l, stats, err);
    collecting_deinit(&c);
    if (rc == TFN_OK) {
        *out = l;
    } else {
        tfn_latest_destroy(l);
    }
    return rc;
}

void tfn_latest_destroy(tfn_latest *l)
{
    if (l == NULL) {
        return;
    }
    for (size_t i = 0; i < l->n_columns; i++) {
        tfn_column_release(l->columns[i]);
    }
    tfn_mem_free(l->columns);
    tfn_mem_free(l->key_bytes);
    tfn_mem_free(l->key_ends);
    tfn_mem_free(l->events);
    tfn_mem_free(l->created);
    tfn_mem_free(l);
}

int64_t tfn_latest_get_n_rows(const tfn_latest *l)
{
    return (int64_t)l->n;
}

tfn_str tfn_latest_get_key(const tfn_latest *l, int64_t i)
{
    const uint64_t begin = i == 0 ? 0 : l->key_ends[i - 1];
    return (tfn_str){l->key_bytes + begin, (size_t)(l->key_ends[i] - begin)};
}

tfn_instant tfn_latest_get_event(const tfn_latest *l, int64_t i)
{
    return tfn__times_instant(l->events[i], l->event_unit);
}

tfn_instant tfn_latest_get_created(const tfn_latest *l, int64_t i)
{
    if (l->created[i] == TFN__NO_CREATED) {
        return TFN_INSTANT_NONE;
    }
    return tfn__times_instant(l->created[i], l->created_unit);
}

tfn_column *tfn_latest_get_column(const tfn_latest *l, size_t i_feature)
{
    return l->columns[i_feature];
}

static tfn_str get_key(const void *context, size_t i)
{
    return tfn_latest_get_key(context, (int64_t)i);
}

static tfn_code take_all(const tfn_latest *l, const tfn_join_view *view, tfn_column **out,
                         tfn_error *err)
{
    tfn_key_plan plan;
    TFN_RETURN_IF_ERROR(tfn_key_plan_init(&plan, view->key_types, view->n_keys, err));
    TFN_RETURN_IF_ERROR(tfn__row_key_columns(&plan, l->n, get_key, l, out, err));
    out += view->n_keys;
    TFN_RETURN_IF_ERROR(tfn__row_event_column(l->event_unit, l->n, l->events, out++, err));
    if (view->created_column.n > 0) {
        TFN_RETURN_IF_ERROR(tfn__row_created_column(l->created_unit, l->n, l->created, out++, err));
    }
    for (size_t i = 0; i < l->n_columns; i++) {
        out[i] = tfn_column_retain(l->columns[i]);
    }
    return TFN_OK;
}

tfn_code tfn_latest_take(const tfn_latest *l, const tfn_join_view *view, tfn_column **out,
                         tfn_error *err)
{
    const size_t n = view->n_keys + 1 + (view->created_column.n > 0 ? 1 : 0) + l->n_columns;
    for (size_t i = 0; i < n; i++) {
        out[i] = NULL;
    }
    const tfn_code rc = take_all(l, view, out, err);
    for (size_t i = 0; i < n && rc != TFN_OK; i++) {
        tfn_column_release(out[i]);
        out[i] = NULL;
    }
    return rc;
}

tfn_unit tfn_latest_get_event_unit(const tfn_latest *l)
{
    return l->event_unit;
}

tfn_unit tfn_latest_get_created_unit(const tfn_latest *l)
{
    return l->created_unit;
}
