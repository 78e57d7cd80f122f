/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The newest row of every key, for loading an online store.
 *
 *   chunk --block--> rows that take part --by hash--> 64 shards, each with a mutex:
 *
 *        keytable: key -> entry --> rank (event, created, position) and record of the best row so
 *                                   far, side by side, 256 to a segment, segments in large slabs
 *
 * A block's rows are ordered by shard first, so a thread takes each lock once per block and finds
 * about 16 rows to do under it; what they will touch is prefetched for all of them first. Values
 * are written whenever a row becomes the best of its key so far. At the end all keys are sorted by
 * their bytes and the records gathered in that order.
 *
 * Invariants
 *  1. A key belongs to one shard; everything of a shard changes under its mutex only (lock "latest
 *     shard": only the slabs' is taken while it is held, for a moment).
 *  2. The winner under a total order does not depend on who comes first.
 *  3. Records do not move: a shard grows by whole segments.
 *
 * Rejected: a table per thread, merged afterwards (as much memory per thread as the answer);
 * lock-free insertion (strings as keys need memory from somewhere); two scans as in the join (most
 * rows of a load become winners anyway).
 *
 * Complexity: O(m) for m rows, one table lookup each; O(k log k) at worst for sorting k keys.
 */

#include "offline/latest_internal.h"

#include <stdio.h>

#include "offline/room.h"

#include "base/poison.h"

enum { WHAT_BYTES = 256 };
#define FIRST_SLAB_BYTES ((size_t)256 << 10) /* each next one is twice as large */
#define MAX_SLAB_BYTES ((size_t)16 << 20)

/* ---- shards ---- */

static unsigned shard_of(uint64_t hash)
{
    return (unsigned)(hash >> (64 - TFN__SHARDS_LOG2));
}

static void shard_deinit(tfn__shard *s)
{
    tfn_mem_free(s->segments);
    tfn__keytable_deinit(&s->keys);
    tfn__writer_deinit(&s->writer);
    (void)pthread_mutex_destroy(&s->lock);
}

static tfn_code shard_init(tfn__shard *s, const tfn_key_plan *plan, tfn_error *err)
{
    if (pthread_mutex_init(&s->lock, NULL) != 0) {
        return TFN_FAIL(err, TFN_NO_MEMORY, "a mutex was asked for; the system has none left");
    }
    const tfn_code rc = tfn__keytable_init(&s->keys, plan, err);
    if (rc != TFN_OK) {
        (void)pthread_mutex_destroy(&s->lock);
    }
    return rc;
}

static size_t next_slab_bytes(size_t n_last, size_t n_needed)
{
    size_t n = n_last == 0 ? FIRST_SLAB_BYTES : 2 * n_last;
    n = n > MAX_SLAB_BYTES ? MAX_SLAB_BYTES : n;
    return n > n_needed ? n : n_needed;
}

/* Zeroed bytes that stay until the run ends. */
static tfn_code take_slab(tfn__slabs *slabs, size_t n_bytes, char **out, tfn_error *err)
{
    tfn_code rc = TFN_OK;
    (void)pthread_mutex_lock(&slabs->lock);
    if (slabs->n_blocks == 0 || slabs->n_last - slabs->n_used < n_bytes) {
        const size_t n_next = next_slab_bytes(slabs->n_last, n_bytes);
        rc = tfn__room_grow(&slabs->blocks, &slabs->capacity, slabs->n_blocks + 1,
                            sizeof *slabs->blocks, err);
        if (rc == TFN_OK) {
            rc = tfn__room(n_next, 1, &slabs->blocks[slabs->n_blocks], err);
        }
        if (rc == TFN_OK) {
            slabs->n_blocks++;
            slabs->n_last = n_next;
            slabs->n_used = 0;
        }
    }
    if (rc == TFN_OK) {
        *out = slabs->blocks[slabs->n_blocks - 1] + slabs->n_used;
        slabs->n_used += n_bytes;
    }
    (void)pthread_mutex_unlock(&slabs->lock);
    if (rc == TFN_OK) {
        memset(*out, 0, n_bytes);
    }
    return rc;
}

static void slabs_deinit(tfn__slabs *slabs)
{
    for (size_t i = 0; i < slabs->n_blocks; i++) {
        tfn_mem_free(slabs->blocks[i]);
    }
    tfn_mem_free(slabs->blocks);
    (void)pthread_mutex_destroy(&slabs->lock);
}

/* Room for entry number `entry`: its rank and its record. */
static tfn_code shard_reserve(tfn__latest_run *r, tfn__shard *s, uint32_t entry, tfn_error *err)
{
    const size_t i_segment = entry / TFN__SEGMENT_ROWS;
    if (i_segment < s->n_segments) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(tfn__room_grow(&s->segments, &s->segment_capacity, i_segment + 1,
                                       sizeof *s->segments, err));
    TFN_RETURN_IF_ERROR(
        take_slab(&r->slabs, TFN__SEGMENT_ROWS * r->stride, &s->segments[s->n_segments], err));
    s->n_segments++;
    return TFN_OK;
}

/* ---- consuming ---- */

/* Which listed rows are in the window; compacts the list. */
static void apply_window(const tfn__latest_run *r, tfn__latest_worker *w)
{
    tfn__block *b = &w->block;
    uint32_t n_kept = 0;
    for (uint32_t i = 0; i < b->n_rows; i++) {
        const uint32_t row = b->rows[i];
        const bool is_inside = tfn__bounds_hold(&r->event_window, b->event[row]);
        const bool is_late = !is_inside && r->has_created_window &&
                             b->created_states[row] != TFN__TIME_NULL &&
                             b->created_states[row] != TFN__TIME_PLUS_INFINITY &&
                             b->created_states[row] != TFN__TIME_MINUS_INFINITY &&
                             tfn__bounds_hold(&r->created_until, b->created[row]) &&
                             !tfn__bounds_hold(&r->created_before, b->created[row]) &&
                             tfn__bounds_hold(&r->event_until, b->event[row]);
        b->rows[n_kept] = row;
        n_kept += is_inside || is_late ? 1 : 0;
        w->n_late += is_late ? 1 : 0;
    }
    w->n_outside += b->n_rows - n_kept;
    b->n_rows = n_kept;
}

/* Which listed rows are of a key that was asked for; compacts the list. */
static void apply_keys(const tfn_keyset *keys, tfn__latest_worker *w)
{
    tfn__block *b = &w->block;
    uint32_t n_kept = 0;
    for (uint32_t i = 0; i < b->n_rows; i++) {
        const uint32_t row = b->rows[i];
        b->rows[n_kept] = row;
        n_kept += tfn_keyset_has(keys, b->keys.hashes[row], tfn_keys_get(&b->keys, row)) ? 1 : 0;
    }
    w->n_not_asked += b->n_rows - n_kept;
    b->n_rows = n_kept;
}

/* Order the listed rows by shard: starts[s] .. starts[s + 1] in w->ordered. */
static void order_by_shard(tfn__latest_worker *w, uint32_t starts[TFN__SHARDS + 1])
{
    const tfn__block *b = &w->block;
    uint32_t next[TFN__SHARDS] = {0};
    for (uint32_t i = 0; i < b->n_rows; i++) {
        next[shard_of(b->keys.hashes[b->rows[i]])]++;
    }
    uint32_t start = 0;
    for (unsigned s = 0; s < TFN__SHARDS; s++) {
        starts[s] = start;
        start += next[s];
        next[s] = starts[s];
    }
    starts[TFN__SHARDS] = start;
    for (uint32_t i = 0; i < b->n_rows; i++) {
        const uint32_t row = b->rows[i];
        w->ordered[next[shard_of(b->keys.hashes[row])]++] = row;
    }
}

static tfn_code put_features(const tfn__latest_run *r, const tfn__latest_worker *w, tfn__shard *s,
                             const tfn_chunk *chunk, int64_t i_row, char *record, tfn_error *err)
{
    for (size_t i = 0; i < r->plan.n_fields; i++) {
        const tfn_vec *v = &chunk->cols[r->columns.i_features + i];
        const tfn_code rc =
            tfn__record_put(&r->plan.fields[i], w->ways[i], v, i_row, record, &s->writer, err);
        if (rc != TFN_OK) {
            tfn_error_prepend(err,
                              "source '%.*s', column '%.*s': ", TFN_STR_ARG(r->rule.source_label),
                              TFN_STR_ARG(r->plan.names[i]));
            return rc;
        }
    }
    return TFN_OK;
}

static tfn__rank rank_of(const tfn__latest_worker *w, const tfn_chunk *chunk, int64_t begin,
                         uint32_t row)
{
    const tfn__block *b = &w->block;
    return (tfn__rank){b->event[row], b->created[row], tfn_chunk_position(chunk, begin + row)};
}

/* Under the shard's lock: one row. */
static tfn_code offer_row(tfn__latest_run *r, tfn__latest_worker *w, tfn__shard *s,
                          const tfn_chunk *chunk, int64_t begin, uint32_t row, tfn_error *err)
{
    const tfn__block *b = &w->block;
    const tfn__rank rank = rank_of(w, chunk, begin, row);
    const uint32_t n_before = s->keys.n;
    TFN_RETURN_IF_ERROR(shard_reserve(r, s, n_before, err));
    uint32_t entry = TFN__NO_ENTRY;
    TFN_RETURN_IF_ERROR(
        tfn__keytable_put(&s->keys, b->keys.hashes[row], tfn_keys_get(&b->keys, row), &entry, err));
    const bool is_new = s->keys.n != n_before;
    tfn__rank *best = tfn__latest_get_rank(r, s, entry);
    if (!is_new && !tfn__rank_beats(rank, *best)) {
        return TFN_OK;
    }
    *best = rank;
    return put_features(r, w, s, chunk, begin + row, (char *)(best + 1), err);
}

/*
 * Under the shard's lock: ask for the memory that offering these rows will read, one dependent load
 * after the other for all of them: bucket, then key and rank, then the whole record of those that
 * win. (Most rows of a long history lose.)
 */
static void prefetch_rows(const tfn__latest_run *r, tfn__latest_worker *w, const tfn__shard *s,
                          const tfn_chunk *chunk, int64_t begin, const uint32_t *rows, uint32_t n)
{
    const uint64_t *hashes = w->block.keys.hashes;
    for (uint32_t i = 0; i < n; i++) {
        __builtin_prefetch(&s->keys.buckets[hashes[rows[i]] & s->keys.mask]);
    }
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t hash = hashes[rows[i]];
        const uint64_t at = tfn__keytable_probe(&s->keys, hash, tfn__keytable_tag(hash));
        const uint32_t entry = s->keys.buckets[at].entry;
        w->likely[i] = entry;
        if (entry != 0) {
            __builtin_prefetch(tfn__keytable_get(&s->keys, entry - 1).p);
            __builtin_prefetch(tfn__latest_get_rank(r, s, entry - 1), 1);
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t entry = w->likely[i];
        const tfn__rank *best = entry != 0 ? tfn__latest_get_rank(r, s, entry - 1) : NULL;
        if (best != NULL && tfn__rank_beats(rank_of(w, chunk, begin, rows[i]), *best)) {
            __builtin_prefetch((const char *)best + r->stride - 1, 1);
        }
    }
}

static tfn_code consume_block(tfn__latest_run *r, tfn__latest_worker *w, int i_worker,
                              const tfn_chunk *chunk, int64_t begin, int64_t n, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn__block_read(&w->block, &r->rule, chunk, begin, n, err));
    if (r->window.keys != NULL) {
        apply_keys(r->window.keys, w);
    }
    apply_window(r, w);
    w->n_eligible += w->block.n_rows;
    uint32_t starts[TFN__SHARDS + 1];
    order_by_shard(w, starts);
    /* Threads start at different shards, so they rarely meet. */
    const unsigned first = (unsigned)i_worker * TFN__SHARDS / (unsigned)r->n_workers;
    for (unsigned k = 0; k < TFN__SHARDS; k++) {
        const unsigned i_shard = (first + k) % TFN__SHARDS;
        tfn__shard *s = &r->shards[i_shard];
        if (starts[i_shard] == starts[i_shard + 1]) {
            continue;
        }
        tfn_code rc = TFN_OK;
        (void)pthread_mutex_lock(&s->lock);
        prefetch_rows(r, w, s, chunk, begin, w->ordered + starts[i_shard],
                      starts[i_shard + 1] - starts[i_shard]);
        for (uint32_t i = starts[i_shard]; i < starts[i_shard + 1] && rc == TFN_OK; i++) {
            rc = offer_row(r, w, s, chunk, begin, w->ordered[i], err);
        }
        (void)pthread_mutex_unlock(&s->lock);
        TFN_RETURN_IF_ERROR(rc);
    }
    return TFN_OK;
}

static tfn_code consume(void *context, int worker, const tfn_chunk *chunk, tfn_error *err)
{
    tfn__latest_run *r = context;
    tfn__latest_worker *w = &r->workers[worker];
    for (size_t i = 0; i < r->plan.n_fields; i++) {
        w->ways[i] = tfn__record_way(&r->plan.fields[i], &chunk->cols[r->columns.i_features + i]);
    }
    for (int64_t begin = 0; begin < chunk->n; begin += TFN__BLOCK_ROWS) {
        const int64_t n_left = chunk->n - begin;
        const int64_t n = n_left < TFN__BLOCK_ROWS ? n_left : TFN__BLOCK_ROWS;
        TFN_RETURN_IF_ERROR(consume_block(r, w, worker, chunk, begin, n, err));
    }
    return TFN_OK;
}

/* ---- a run ---- */

static tfn_code prepare_window(tfn__latest_run *r, const tfn_join_view *view,
                               const tfn_latest_window *window, tfn_error *err)
{
    static const tfn_latest_window all = {0};
    const tfn_latest_window *win = window == NULL ? &all : window;
    if (win->has_created && !r->columns.has_created) {
        return TFN_FAIL(
            err, TFN_INVALID,
            "a window of created times needs a created_timestamp_column, and the source "
            "of this view has none");
    }
    const tfn_instant *start = win->has_start ? &win->start : NULL;
    const tfn_instant *end = win->has_end ? &win->end : NULL;
    const tfn_unit event_unit = r->columns.event_unit;
    const tfn_unit created_unit = r->columns.created_unit;
    r->window = *win;
    r->has_created_window = win->has_created;
    r->event_window = tfn__bounds_of(start, end, event_unit);
    r->event_until = tfn__bounds_of(NULL, end, event_unit);
    r->created_until = tfn__bounds_of(NULL, &win->created_until, created_unit);
    r->created_before = tfn__bounds_of(NULL, &win->created_after, created_unit);
    r->rule = (tfn__block_rule){
        .columns = &r->columns,
        .keys = &r->keys,
        .source_label = tfn_source_get_label(r->source),
        .created_required = view->has_known_at,
        .known = tfn__bounds_of(NULL, view->has_known_at ? &view->known_at : NULL, created_unit),
    };
    return TFN_OK;
}

static tfn_code make_workers(tfn__latest_run *r, tfn_error *err)
{
    const int n_workers = tfn_source_get_n_workers(r->source, r->opts.n_threads);
    TFN_RETURN_IF_ERROR(
        tfn__room_zero((size_t)n_workers, sizeof(tfn__latest_worker), &r->workers, err));
    r->n_workers = n_workers;
    for (int i = 0; i < n_workers; i++) {
        TFN_RETURN_IF_ERROR(
            tfn__room_zero(r->plan.n_fields, sizeof(tfn__way), &r->workers[i].ways, err));
    }
    TFN_RETURN_IF_ERROR(tfn__room_zero(TFN__SHARDS, sizeof(tfn__shard), &r->shards, err));
    if (pthread_mutex_init(&r->slabs.lock, NULL) != 0) {
        return TFN_FAIL(err, TFN_NO_MEMORY, "a mutex was asked for; the system has none left");
    }
    r->has_slabs = true;
    for (; r->n_shards < TFN__SHARDS; r->n_shards++) {
        TFN_RETURN_IF_ERROR(shard_init(&r->shards[r->n_shards], &r->keys, err));
    }
    return TFN_OK;
}

static tfn_code begin(tfn__latest_run *r, const tfn_join_view *view,
                      const tfn_latest_window *window, tfn_error *err)
{
    tfn_join_view used = *view; /* what a join alone uses must not be refused here */
    used.filter_by_created = false;
    used.ttl_us = 0;
    TFN_RETURN_IF_ERROR(tfn__columns_init(&r->columns, &used, r->source, err));
    TFN_RETURN_IF_ERROR(tfn_key_plan_init(&r->keys, view->key_types, view->n_keys, err));
    r->keys.names = view->key_columns;
    TFN_RETURN_IF_ERROR(tfn__record_plan_init(&r->plan, view->feature_columns,
                                              r->columns.types + r->columns.i_features,
                                              view->n_features, err));
    r->stride = (sizeof(tfn__rank) + r->plan.stride + 7) / 8 * 8;
    TFN_RETURN_IF_ERROR(prepare_window(r, view, window, err));
    return make_workers(r, err);
}

static void end(tfn__latest_run *r)
{
    for (int i = 0; i < r->n_workers; i++) {
        tfn__block_deinit(&r->workers[i].block);
        tfn_mem_free(r->workers[i].ways);
    }
    tfn_mem_free(r->workers);
    for (size_t i = 0; i < r->n_shards; i++) {
        shard_deinit(&r->shards[i]);
    }
    tfn_mem_free(r->shards);
    if (r->has_slabs) {
        slabs_deinit(&r->slabs);
    }
    tfn__record_plan_deinit(&r->plan);
    tfn__columns_deinit(&r->columns);
}

static tfn_code scan(tfn__latest_run *r, const tfn_join_view *view, tfn_latest_stats *stats,
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
        .has_time_min = r->window.has_start && !r->has_created_window,
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
    for (int i = 0; i < r->n_workers; i++) {
        const tfn__latest_worker *w = &r->workers[i];
        stats->n_rows_read += w->block.counts.n_read;
        stats->n_rows_without_time += w->block.counts.n_without_time;
        stats->n_rows_infinite_time += w->block.counts.n_infinite_time;
        stats->n_rows_without_key += w->block.counts.n_without_key;
        stats->n_rows_not_known += w->block.counts.n_not_known;
        stats->n_rows_outside += w->n_outside;
        stats->n_rows_not_asked += w->n_not_asked;
        stats->n_rows_eligible += w->n_eligible;
        stats->n_rows_late += w->n_late;
    }
    for (size_t i = 0; i < r->n_shards; i++) {
        const tfn__shard *s = &r->shards[i];
        stats->n_keys += s->keys.n;
        stats->bytes_values +=
            (int64_t)(s->n_segments * TFN__SEGMENT_ROWS * r->stride + s->writer.arena.n_bytes);
    }
    stats->seconds_scan = tfn_clock_monotonic_s() - start;
    return TFN_OK;
}

tfn_code tfn_latest_run(const tfn_join_view *view, tfn_source *source,
                        const tfn_latest_window *window, const tfn_offline_opts *opts,
                        tfn_latest **out, tfn_latest_stats *stats, tfn_error *err)
{
    *out = NULL;
    tfn_latest_stats own_stats;
    if (stats == NULL) {
        stats = &own_stats;
    }
    *stats = (tfn_latest_stats){0};
    tfn__latest_run r = {.source = source};
    if (opts != NULL) {
        r.opts = *opts;
    }
    tfn_code rc = begin(&r, view, window, err);
    if (rc == TFN_OK) {
        rc = scan(&r, view, stats, err);
    }
    if (rc == TFN_OK) {
        rc = tfn__latest_collect(&r, out, stats, err);
    }
    end(&r);
    if (rc != TFN_OK) {
        tfn_error_prepend(err, "view '%.*s': ", TFN_STR_ARG(view->label));
    }
    return rc;
}
