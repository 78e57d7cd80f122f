/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The point-in-time join, from the spine and a source to columns (docs/semantics/point-in-time.md).
 *
 *   two steps (rows can be found again)          one step (streams, CSV)
 *   scan keys, times -> slots                    scan everything -> slots + a record per slot
 *   walk: slot -> winning slot                   walk: slot -> winning slot
 *   sort winners by position
 *   scan features -> a record per winner
 *   row -> slot -> winner -> record -> columns   row -> slot -> winning slot -> record -> columns
 *
 * Two steps copy each winner once and never touch the features of a row that loses; one step reads
 * the source once. Both give the same answer, and tests hold them against each other.
 *
 * Invariants
 *  1. Nothing is read before view, spine and source are known to fit.
 *  2. After the walk, `answer[slot]` is the number of the record that the slot's entity rows get.
 *  3. Slots and winners' positions are given back as soon as the next step does not need them, so
 *     the peak is spine + max(slots + winners, records + answer).
 *
 * Complexity: one or two scans; O(spine) memory.
 */

#include "offline/join_internal.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/parallel.h"
#include "offline/outcome.h"
#include "offline/room.h"

#include "base/poison.h"

enum { PART_ROWS = 32768, CHECK_ROWS = 1 << 15 };

static bool keys_are_spines(const tfn_spine *spine, const tfn_join_view *view)
{
    if (spine->plan.n_parts != view->n_keys) {
        return false;
    }
    for (size_t i = 0; i < view->n_keys; i++) {
        if (!tfn_type_same(spine->plan.parts[i], view->key_types[i])) {
            return false;
        }
    }
    return true;
}

tfn_code tfn__join_begin(tfn__join *j, const tfn_spine *spine, const tfn_join_view *view,
                         tfn_source *source, const tfn_offline_opts *opts, tfn_error *err)
{
    *j = (tfn__join){.spine = spine, .view = view, .source = source};
    if (opts != NULL) {
        j->opts = *opts;
    }
    (void)snprintf(j->what, sizeof j->what, "joining %.*s", TFN_STR_ARG(view->label));
    tfn_crew_init(&j->crew, j->opts.n_threads, j->opts.tick, j->opts.tick_context, j->what);
    TFN_RETURN_IF_ERROR(tfn__columns_init(&j->columns, view, source, err));
    if (!keys_are_spines(spine, view)) {
        return TFN_FAIL(err, TFN_INVALID,
                        "the view's keys are not those of the entity rows' index");
    }
    j->keys = spine->plan;
    j->keys.names = view->key_columns;
    j->two_step = tfn_source_can_rescan(source) && !j->opts.force_one_step;
    /* The second scan is left out if nothing wins; a wrong column is an error all the same. */
    const tfn_scan features = tfn__join_second_scan(j);
    TFN_RETURN_IF_ERROR(tfn_source_check(source, &features, err));
    TFN_RETURN_IF_ERROR(tfn__record_plan_init(&j->plan, view->feature_columns,
                                              j->columns.types + j->columns.i_features,
                                              view->n_features, err));
    return TFN_OK;
}

void tfn__join_end(tfn__join *j)
{
    tfn_mem_free(j->slots);
    tfn_mem_free(j->answer);
    tfn_mem_free(j->winners);
    tfn_mem_free(j->positions);
    tfn_mem_free(j->records);
    tfn__kernel_deinit(&j->kernel);
    tfn__pick_deinit(&j->pick);
    tfn__record_plan_deinit(&j->plan);
    tfn__columns_deinit(&j->columns);
}

/* t - ttl of the first entity row; nothing older can ever be seen. */
static tfn_instant earliest_event(const tfn_spine *spine, int64_t ttl_us)
{
    tfn_instant t = tfn__times_instant(spine->time_min, spine->unit);
    t.seconds = tfn_time_sub(t.seconds, ttl_us / 1000000);
    t.nanos -= (int32_t)(ttl_us % 1000000 * 1000);
    if (t.nanos < 0) {
        t.nanos += 1000000000;
        t.seconds = tfn_time_sub(t.seconds, 1);
    }
    return t;
}

tfn_scan tfn__join_first_scan(const tfn__join *j)
{
    const tfn_spine *spine = j->spine;
    return (tfn_scan){
        .columns = j->columns.names,
        .n_columns = j->two_step ? j->columns.i_features : j->columns.n,
        .types = j->columns.types,
        .i_time = (int64_t)j->columns.n_keys,
        .has_time_min = j->view->ttl_us > 0,
        .has_time_max = true,
        .time_min = earliest_event(spine, j->view->ttl_us),
        .time_max = tfn__times_instant(spine->time_max, spine->unit),
        .n_threads = j->opts.n_threads,
        .reader_memory_bytes = j->opts.reader_memory_bytes,
        .tick = j->opts.tick,
        .tick_context = j->opts.tick_context,
    };
}

tfn_scan tfn__join_second_scan(const tfn__join *j)
{
    return (tfn_scan){
        .columns = j->columns.names + j->columns.i_features,
        .n_columns = j->columns.n_features,
        .types = j->columns.types + j->columns.i_features,
        .i_time = -1,
        .n_threads = j->opts.n_threads,
        .reader_memory_bytes = j->opts.reader_memory_bytes,
        .tick = j->opts.tick,
        .tick_context = j->opts.tick_context,
    };
}

static void prepare_kernel(tfn__join *j)
{
    const tfn_spine *spine = j->spine;
    const tfn_join_view *view = j->view;
    tfn__kernel *k = &j->kernel;
    k->spine = spine;
    k->slots = j->slots;
    k->rule = (tfn__block_rule){
        .columns = &j->columns,
        .keys = &j->keys,
        .source_label = tfn_source_get_label(j->source),
        .created_required = view->filter_by_created || view->has_known_at,
        .known = tfn__bounds_of(NULL, view->has_known_at ? &view->known_at : NULL,
                                j->columns.created_unit),
    };
    k->filter_by_created = view->filter_by_created;
    k->event_up = tfn__rescale_of(j->columns.event_unit, spine->unit);
    k->created_up = tfn__rescale_of(j->columns.created_unit, spine->unit);
    k->age = tfn__age_of(j->columns.event_unit, spine->unit, view->ttl_us);
    k->plan = j->two_step ? NULL : &j->plan;
    k->records = j->records;
}

static tfn_code run_scan(tfn__join *j, tfn_scan *scan, tfn_chunk_fn consume, void *context,
                         tfn_scan_stats *stats, tfn_error *err)
{
    char what[TFN__JOIN_WHAT_BYTES];
    (void)snprintf(what, sizeof what, "reading %.*s", TFN_STR_ARG(j->view->label));
    /* Readers tick while they wait; a scan that is over at once is told of, and can be stopped, too. */
    const tfn_progress progress = {.what = what, .rows_done = 0, .rows_total = -1};
    if (scan->tick != NULL && scan->tick(scan->tick_context, &progress) != 0) {
        return TFN_FAIL(err, TFN_CANCELLED, "%s was stopped", what);
    }
    scan->what = what;
    scan->consume = consume;
    scan->context = context;
    return tfn_source_scan(j->source, scan, stats, err);
}

static void add_counts(const tfn__kernel *k, tfn_join_stats *stats)
{
    for (int i = 0; i < k->n_workers; i++) {
        const tfn__kernel_worker *w = &k->workers[i];
        stats->n_rows_read += w->block.counts.n_read;
        stats->n_rows_without_time += w->block.counts.n_without_time;
        stats->n_rows_infinite_time += w->block.counts.n_infinite_time;
        stats->n_rows_without_key += w->block.counts.n_without_key;
        stats->n_rows_not_known += w->block.counts.n_not_known;
        stats->n_rows_without_match += w->n_without_match;
        stats->n_rows_too_late += w->n_too_late;
        stats->n_rows_expired += w->n_expired;
        stats->n_rows_eligible += w->n_eligible;
        stats->n_rows_saturated += w->n_saturated;
        stats->bytes_values += (int64_t)w->writer.arena.n_bytes;
    }
}

static tfn_code fill_slots(tfn__join *j, tfn_join_stats *stats, tfn_error *err)
{
    const double start = tfn_clock_monotonic_s();
    TFN_RETURN_IF_ERROR(tfn__slots_create(j->spine->n_slots, &j->slots, err));
    if (!j->two_step) {
        TFN_RETURN_IF_ERROR(tfn__room_zero(j->spine->n_slots, j->plan.stride, &j->records, err));
        stats->bytes_values = (int64_t)((size_t)j->spine->n_slots * j->plan.stride);
    }
    prepare_kernel(j);
    const int n_workers = tfn_source_get_n_workers(j->source, j->opts.n_threads);
    TFN_RETURN_IF_ERROR(tfn__kernel_init(&j->kernel, n_workers, err));
    tfn_scan scan = tfn__join_first_scan(j);
    TFN_RETURN_IF_ERROR(run_scan(j, &scan, tfn__kernel_consume, &j->kernel, &stats->scans[0], err));
    add_counts(&j->kernel, stats);
    stats->bytes_slots = (int64_t)((size_t)j->spine->n_slots * sizeof(tfn__slot));
    stats->seconds_scan = tfn_clock_monotonic_s() - start;
    return TFN_OK;
}

static tfn_code walk(tfn__join *j, tfn_join_stats *stats, tfn_error *err)
{
    const double start = tfn_clock_monotonic_s();
    const size_t n_slots = j->spine->n_slots;
    TFN_RETURN_IF_ERROR(tfn__room(n_slots, sizeof *j->answer, &j->answer, err));
    if (j->two_step) {
        TFN_RETURN_IF_ERROR(tfn__room(n_slots, sizeof *j->winners, &j->winners, err));
    }
    TFN_RETURN_IF_ERROR(tfn__walk(j->spine, j->slots, &j->kernel.age, &j->crew, j->answer,
                                  j->winners, &j->n_winners, err));
    stats->n_winners = (int64_t)j->n_winners;
    tfn__outcome_count(j->spine, j->slots, j->answer, j->kernel.created_up, stats);
    tfn_mem_free(j->slots);
    j->slots = NULL;
    stats->seconds_walk = tfn_clock_monotonic_s() - start;
    return TFN_OK;
}

/* Into how many parts slots and rows are cut: one where there are few. */
static int64_t n_parts_of(const tfn__join *j)
{
    const int64_t n_threads = tfn_parallel_get_n_threads(j->opts.n_threads);
    const int64_t n_parts = j->spine->n_rows / PART_ROWS;
    return n_parts < 1 ? 1 : n_parts < n_threads ? n_parts : n_threads;
}

static tfn_code sort_winners(tfn__join *j, tfn_error *err)
{
    tfn__entry *scratch = NULL;
    TFN_RETURN_IF_ERROR(tfn__room(j->n_winners, sizeof *scratch, &scratch, err));
    const tfn_code rc = tfn__radix_sort_parallel(j->winners, scratch, j->n_winners, &j->crew, err);
    tfn_mem_free(scratch);
    return rc;
}

/* Winners are numbered by position; `ranks` are those numbers by slot. */
typedef struct numbering {
    tfn__join *join;
    uint32_t *ranks;
    int64_t n_parts;
} numbering;

/* A tfn_job_fn over winners. */
static tfn_code rank_winners(void *context, int64_t i_part, tfn_error *err)
{
    const numbering *n = context;
    tfn__join *j = n->join;
    const tfn_part part = tfn_part_of((int64_t)j->n_winners, i_part, n->n_parts);
    for (int64_t i = part.begin; i < part.end; i++) {
        if (i % CHECK_ROWS == 0) {
            TFN_RETURN_IF_ERROR(tfn_crew_check(&j->crew, i, (int64_t)j->n_winners, err));
        }
        j->positions[i] = j->winners[i].key;
        n->ranks[j->winners[i].value] = (uint32_t)i;
    }
    return TFN_OK;
}

/* A tfn_job_fn over slots: `answer` speaks of those numbers from now on. */
static tfn_code rank_answers(void *context, int64_t i_part, tfn_error *err)
{
    const numbering *n = context;
    uint32_t *answer = n->join->answer;
    const tfn_part part = tfn_part_of(n->join->spine->n_slots, i_part, n->n_parts);
    for (int64_t i = part.begin; i < part.end; i++) {
        if (i % CHECK_ROWS == 0) {
            TFN_RETURN_IF_ERROR(tfn_crew_check(&n->join->crew, i, n->join->spine->n_slots, err));
        }
        answer[i] = answer[i] == TFN__NO_SLOT ? TFN__NO_SLOT : n->ranks[answer[i]];
    }
    return TFN_OK;
}

static tfn_code number_winners(tfn__join *j, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(sort_winners(j, err));
    TFN_RETURN_IF_ERROR(tfn__room(j->n_winners, sizeof *j->positions, &j->positions, err));
    numbering n = {.join = j, .n_parts = n_parts_of(j)};
    TFN_RETURN_IF_ERROR(tfn__room(j->spine->n_slots, sizeof *n.ranks, &n.ranks, err));
    tfn_code rc = tfn_parallel_run(&j->crew, n.n_parts, rank_winners, &n, err);
    if (rc == TFN_OK) {
        rc = tfn_parallel_run(&j->crew, n.n_parts, rank_answers, &n, err);
    }
    tfn_mem_free(n.ranks);
    TFN_RETURN_IF_ERROR(rc);
    tfn_mem_free(j->winners);
    j->winners = NULL;
    return TFN_OK;
}

static tfn_code scan_winners(tfn__join *j, tfn_join_stats *stats, tfn_error *err)
{
    tfn__pick *pick = &j->pick;
    *pick = (tfn__pick){.positions = j->positions,
                        .n_winners = j->n_winners,
                        .plan = &j->plan,
                        .records = j->records,
                        .columns = &j->columns,
                        .source_label = tfn_source_get_label(j->source)};
    const int n_workers = tfn_source_get_n_workers(j->source, j->opts.n_threads);
    TFN_RETURN_IF_ERROR(tfn__pick_init(pick, n_workers, err));
    tfn_position_range ranges[TFN__PICK_MAX_RANGES];
    tfn_scan scan = tfn__join_second_scan(j);
    scan.n_ranges = tfn__pick_ranges(j->positions, j->n_winners, ranges);
    scan.ranges = ranges;
    TFN_RETURN_IF_ERROR(run_scan(j, &scan, tfn__pick_consume, pick, &stats->scans[1], err));
    for (int i = 0; i < pick->n_workers; i++) {
        stats->bytes_values += (int64_t)pick->workers[i].writer.arena.n_bytes;
    }
    const int64_t n_found = tfn__pick_get_n_found(pick);
    if (n_found != (int64_t)j->n_winners) {
        return TFN_FAIL(
            err, TFN_IO,
            "source '%.*s': %lld rows were wanted again and %lld came; it changed while "
            "it was read",
            TFN_STR_ARG(pick->source_label), (long long)j->n_winners, (long long)n_found);
    }
    return TFN_OK;
}

static tfn_code pick_values(tfn__join *j, tfn_join_stats *stats, tfn_error *err)
{
    const double start = tfn_clock_monotonic_s();
    TFN_RETURN_IF_ERROR(number_winners(j, err));
    TFN_RETURN_IF_ERROR(tfn__room_zero(j->n_winners, j->plan.stride, &j->records, err));
    stats->bytes_values = (int64_t)(j->n_winners * j->plan.stride);
    if (j->n_winners > 0 && j->plan.n_fields > 0) {
        TFN_RETURN_IF_ERROR(scan_winners(j, stats, err));
    }
    tfn_mem_free(j->positions);
    j->positions = NULL;
    stats->seconds_values = tfn_clock_monotonic_s() - start;
    return TFN_OK;
}

/* A tfn__locate_fn: records of entity rows. */
static void locate(const void *context, int64_t begin, int64_t n, const char **records)
{
    const tfn__join *j = context;
    for (int64_t i = 0; i < n; i++) {
        const uint32_t slot = j->spine->row_slot[begin + i];
        const uint32_t record = slot == TFN__NO_SLOT ? TFN__NO_SLOT : j->answer[slot];
        records[i] = record == TFN__NO_SLOT ? NULL : j->records + (size_t)record * j->plan.stride;
        __builtin_prefetch(records[i]);
    }
}

typedef struct matching {
    tfn__join *join;
    int64_t n_parts;
    _Atomic int64_t n_matched;
} matching;

/* A tfn_job_fn over rows. */
static tfn_code count_matched(void *context, int64_t i_part, tfn_error *err)
{
    matching *m = context;
    const tfn_spine *spine = m->join->spine;
    const tfn_part part = tfn_part_of(spine->n_rows, i_part, m->n_parts);
    int64_t n_matched = 0;
    for (int64_t i = part.begin; i < part.end; i++) {
        if (i % CHECK_ROWS == 0) {
            TFN_RETURN_IF_ERROR(tfn_crew_check(&m->join->crew, i, spine->n_rows, err));
        }
        const uint32_t slot = spine->row_slot[i];
        n_matched += slot != TFN__NO_SLOT && m->join->answer[slot] != TFN__NO_SLOT ? 1 : 0;
    }
    atomic_fetch_add_explicit(&m->n_matched, n_matched, memory_order_relaxed);
    return TFN_OK;
}

static tfn_code take_columns(tfn__join *j, tfn_column **out, tfn_join_stats *stats, tfn_error *err)
{
    const double start = tfn_clock_monotonic_s();
    matching m = {.join = j, .n_parts = n_parts_of(j)};
    TFN_RETURN_IF_ERROR(tfn_parallel_run(&j->crew, m.n_parts, count_matched, &m, err));
    stats->n_spine_rows_matched = m.n_matched;
    const tfn_code rc =
        tfn__records_take(&j->plan, j->spine->n_rows, locate, j, &j->crew, out, err);
    if (rc == TFN_SCHEMA) {
        tfn_error_prepend(err, "source '%.*s', ", TFN_STR_ARG(tfn_source_get_label(j->source)));
    }
    stats->seconds_output = tfn_clock_monotonic_s() - start;
    return rc;
}

static tfn_code run(tfn__join *j, tfn_column **out, tfn_join_stats *stats, tfn_error *err)
{
    stats->two_step = j->two_step;
    stats->n_spine_rows = j->spine->n_rows;
    stats->n_spine_rows_without_key = j->spine->n_rows_without_key;
    stats->n_groups = j->spine->n_groups;
    stats->n_slots = j->spine->n_slots;
    stats->bytes_index = tfn__spine_get_bytes(j->spine);
    stats->seconds_index = j->spine->build_seconds;
    if (j->spine->n_slots > 0) {
        TFN_RETURN_IF_ERROR(fill_slots(j, stats, err));
        TFN_RETURN_IF_ERROR(walk(j, stats, err));
        if (j->two_step) {
            TFN_RETURN_IF_ERROR(pick_values(j, stats, err));
        }
    }
    return take_columns(j, out, stats, err);
}

tfn_code tfn_join_run(const tfn_spine *spine, const tfn_join_view *view, tfn_source *source,
                      const tfn_offline_opts *opts, tfn_column **out, tfn_join_stats *stats,
                      tfn_error *err)
{
    for (size_t i = 0; i < view->n_features; i++) {
        out[i] = NULL;
    }
    tfn_join_stats own_stats;
    if (stats == NULL) {
        stats = &own_stats;
    }
    *stats = (tfn_join_stats){0};
    tfn__join j;
    tfn_code rc = tfn__join_begin(&j, spine, view, source, opts, err);
    if (rc == TFN_OK) {
        rc = run(&j, out, stats, err);
    }
    tfn__join_end(&j);
    if (rc != TFN_OK) {
        tfn_error_prepend(err, "view '%.*s': ", TFN_STR_ARG(view->label));
    }
    return rc;
}
