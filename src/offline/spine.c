/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The spine: entity rows grouped by key, each group's times sorted and distinct.
 *
 *   key bytes --keys--> group g       groups:  ... | begin(g), n(g) | ...
 *                                                       |
 *                                     times:   ... | t0 < t1 < t2 | ...      one slot each
 *   row i ----------row_slot-------------------------------^
 *
 * A slot is a distinct (key, time): rows that share both share the answer. The kernel finds the
 * slot of a source row by key and binary search; the walk goes through the slots of a group in
 * order.
 *
 * Building, each step on all threads: keys are numbered and times are read (spine_read.c); rows are
 * counted per group and scattered to their group's place, by parts of rows; groups are sorted and
 * their slots counted, by spans of groups; then every span knows where its slots begin, and writes
 * them.
 *
 * Invariants
 *  1. Rows come back through row_slot in their own order: the spine is never reordered.
 *  2. times[begin .. begin + n) of a group ascends strictly.
 *  3. A group has at least one slot, so tfn__spine_find may read one without asking.
 *  4. A row with a null in its key has slot TFN__NO_SLOT and belongs to no group.
 *  5. The spine does not depend on the number of threads: parts are scattered in row order, sorting is
 *     stable, and slots are numbered by group.
 *
 * Rejected: a global sort on (key bytes, time), which compares strings a million times and misses
 * cache; one hash table on (key, time), which cannot answer "first time not before".
 *
 * Complexity: O(n) with a radix sort per group; n < 2^32 - 1.
 */

#include "offline/spine.h"

#include "base/parallel.h"
#include "offline/radix.h"
#include "offline/room.h"
#include "offline/spine_read.h"
#include "offline/times.h"

#include "base/poison.h"

/* A group of so many rows is sorted by all threads; others are sorted side by side. */
enum { LARGE_GROUP_ROWS = 1 << 16, SPANS_PER_THREAD = 4, CHECK_ROWS = 1 << 15 };

/* Neighbouring groups that one job sorts. */
typedef struct span {
    uint32_t begin; /* first group */
    uint32_t end;
    uint32_t first_slot; /* how many slots it has, then where they begin */
} span;

/* What exists only while a spine is built. */
typedef struct building {
    tfn__spine_rows rows;
    tfn_spine *spine;
    tfn__entry *entries; /* (time, row), group after group */
    uint32_t *begins;    /* n_groups + 1: first entry of each group */
    uint32_t *places;    /* per part and group: where the part's next entry goes */
    span *spans;
    int64_t n_spans;
} building;

static void building_deinit(building *b)
{
    tfn__spine_rows_deinit(&b->rows);
    tfn_mem_free(b->entries);
    tfn_mem_free(b->begins);
    tfn_mem_free(b->places);
    tfn_mem_free(b->spans);
}

static tfn_code check_time_type(building *b, tfn_spine *s, tfn_error *err)
{
    tfn_type type = {0};
    TFN_RETURN_IF_ERROR(tfn_frame_get_type(b->rows.frame, b->rows.time_col, &type, err));
    const bool is_time = type.kind == TFN_KIND_TIMESTAMP || type.kind == TFN_KIND_DATE;
    if (type.is_list || (!is_time && type.kind != TFN_KIND_NONE)) {
        char found[TFN_TYPE_TEXT_BYTES];
        tfn_type_format(type, found);
        return TFN_FAIL(err, TFN_SCHEMA,
                        "entity time column '%.*s': expected timestamp, found %s; convert it first",
                        TFN_STR_ARG(tfn_frame_get_name(b->rows.frame, b->rows.time_col)), found);
    }
    s->unit = tfn__times_unit(type);
    return TFN_OK;
}

static tfn_code check_key_types(building *b, const tfn_spine *s, tfn_error *err)
{
    for (size_t i = 0; i < s->plan.n_parts; i++) {
        tfn_type type = {0};
        TFN_RETURN_IF_ERROR(tfn_frame_get_type(b->rows.frame, b->rows.key_cols[i], &type, err));
        const tfn_type want = s->plan.parts[i];
        if (!tfn_type_can_read_key(want, type)) {
            char expected[TFN_TYPE_TEXT_BYTES];
            char found[TFN_TYPE_TEXT_BYTES];
            tfn_type_format(want, expected);
            tfn_type_format(type, found);
            return TFN_FAIL(err, TFN_SCHEMA,
                            "key column '%.*s' of the entity rows: expected %s, found %s",
                            TFN_STR_ARG(tfn_frame_get_name(b->rows.frame, b->rows.key_cols[i])),
                            expected, found);
        }
    }
    return TFN_OK;
}

/* ---- rows to their groups' places ---- */

/* A tfn_job_fn: count a part's rows per group. */
static tfn_code count_rows(void *context, int64_t i_part, tfn_error *err)
{
    const building *b = context;
    const tfn_part range = tfn_part_of(b->spine->n_rows, i_part, b->rows.n_parts);
    uint32_t *counts = b->places + (size_t)i_part * b->spine->n_groups;
    for (int64_t i = range.begin; i < range.end; i++) {
        if (i % CHECK_ROWS == 0) {
            TFN_RETURN_IF_ERROR(tfn_crew_check(b->rows.crew, i, b->spine->n_rows, err));
        }
        if (b->rows.groups[i] != TFN__NO_ENTRY) {
            counts[b->rows.groups[i]]++;
        }
    }
    return TFN_OK;
}

/* A tfn_job_fn: put a part's rows to their places. */
static tfn_code scatter_rows(void *context, int64_t i_part, tfn_error *err)
{
    const building *b = context;
    const tfn_part range = tfn_part_of(b->spine->n_rows, i_part, b->rows.n_parts);
    uint32_t *places = b->places + (size_t)i_part * b->spine->n_groups;
    for (int64_t i = range.begin; i < range.end; i++) {
        const uint32_t group = b->rows.groups[i];
        if (i % CHECK_ROWS == 0) {
            TFN_RETURN_IF_ERROR(tfn_crew_check(b->rows.crew, i, b->spine->n_rows, err));
        }
        if (group != TFN__NO_ENTRY) {
            b->entries[places[group]++] =
                (tfn__entry){tfn__entry_key(b->rows.times[i]), (uint32_t)i};
        }
    }
    return TFN_OK;
}

static tfn_code group_rows(building *b, tfn_error *err)
{
    const tfn_spine *s = b->spine;
    const size_t n_groups = s->n_groups;
    const size_t n_keyed = (size_t)(s->n_rows - s->n_rows_without_key);
    const int64_t n_parts = b->rows.n_parts;
    TFN_RETURN_IF_ERROR(
        tfn__room_zero((size_t)n_parts * n_groups, sizeof *b->places, &b->places, err));
    TFN_RETURN_IF_ERROR(tfn__room(n_groups + 1, sizeof *b->begins, &b->begins, err));
    TFN_RETURN_IF_ERROR(tfn__room(n_keyed, sizeof *b->entries, &b->entries, err));
    TFN_RETURN_IF_ERROR(tfn_parallel_run(b->rows.crew, n_parts, count_rows, b, err));
    uint32_t place = 0;
    for (size_t g = 0; g < n_groups; g++) {
        if (g % CHECK_ROWS == 0) {
            TFN_RETURN_IF_ERROR(tfn_crew_check(b->rows.crew, place, s->n_rows, err));
        }
        b->begins[g] = place;
        for (int64_t i = 0; i < n_parts; i++) {
            uint32_t *count = &b->places[(size_t)i * n_groups + g];
            const uint32_t n = *count;
            *count = place;
            place += n;
        }
    }
    b->begins[n_groups] = place;
    TFN_RETURN_IF_ERROR(tfn_parallel_run(b->rows.crew, n_parts, scatter_rows, b, err));
    tfn_mem_free(b->rows.times);
    b->rows.times = NULL;
    return TFN_OK;
}

/* ---- groups to slots ---- */

/* Spans of about equally many rows; a large group alone may be one. */
static tfn_code cut_spans(building *b, tfn_error *err)
{
    const uint32_t n_groups = b->spine->n_groups;
    const int64_t n_most = b->rows.n_parts > 1 ? b->rows.n_parts * (int64_t)SPANS_PER_THREAD : 1;
    TFN_RETURN_IF_ERROR(tfn__room((size_t)n_most, sizeof *b->spans, &b->spans, err));
    const int64_t n_rows = b->begins[n_groups];
    uint32_t group = 0;
    for (int64_t i = 0; i < n_most && group < n_groups; i++) {
        const int64_t end_row = tfn_part_of(n_rows, i, n_most).end;
        span *next = &b->spans[b->n_spans++];
        *next = (span){.begin = group};
        while (group < n_groups && (b->begins[group] < end_row || i == n_most - 1)) {
            group++;
        }
        next->end = group;
    }
    return TFN_OK;
}

static uint32_t largest_group(const building *b, uint32_t begin, uint32_t end)
{
    uint32_t n_largest = 0;
    for (uint32_t g = begin; g < end; g++) {
        const uint32_t n = b->begins[g + 1] - b->begins[g];
        n_largest = n > n_largest ? n : n_largest;
    }
    return n_largest;
}

/* Large groups, one after the other, each by all threads; the spans then find them in order. */
static tfn_code sort_large_groups(const building *b, tfn_error *err)
{
    const uint32_t n_largest = largest_group(b, 0, b->spine->n_groups);
    if (n_largest < LARGE_GROUP_ROWS) {
        return TFN_OK;
    }
    tfn__entry *scratch = NULL;
    TFN_RETURN_IF_ERROR(tfn__room(n_largest, sizeof *scratch, &scratch, err));
    tfn_code rc = TFN_OK;
    for (uint32_t g = 0; g < b->spine->n_groups && rc == TFN_OK; g++) {
        const uint32_t n = b->begins[g + 1] - b->begins[g];
        if (n >= LARGE_GROUP_ROWS) {
            rc = tfn__radix_sort_parallel(b->entries + b->begins[g], scratch, n, b->rows.crew, err);
        }
    }
    tfn_mem_free(scratch);
    return rc;
}

/* A tfn_job_fn: sort the groups of a span, count their slots. */
static tfn_code sort_span(void *context, int64_t i_span, tfn_error *err)
{
    const building *b = context;
    span *sp = &b->spans[i_span];
    tfn__entry *scratch = NULL;
    TFN_RETURN_IF_ERROR(
        tfn__room(largest_group(b, sp->begin, sp->end), sizeof *scratch, &scratch, err));
    tfn_code rc = TFN_OK;
    uint32_t next_check = b->begins[sp->begin];
    for (uint32_t g = sp->begin; g < sp->end; g++) {
        tfn__entry *entries = b->entries + b->begins[g];
        const uint32_t n = b->begins[g + 1] - b->begins[g];
        if (b->begins[g] >= next_check) {
            next_check = b->begins[g] + CHECK_ROWS;
            TFN_GOTO_IF_ERROR(rc, tfn_crew_check(b->rows.crew, b->begins[g], b->spine->n_rows, err),
                              done);
        }
        tfn__radix_sort(entries, scratch, n);
        uint32_t n_slots = 1;
        for (uint32_t i = 1; i < n; i++) {
            n_slots += entries[i].key != entries[i - 1].key ? 1 : 0;
        }
        b->spine->groups[g].n = n_slots;
        sp->first_slot += n_slots;
    }
done:
    tfn_mem_free(scratch);
    return rc;
}

/* A tfn_job_fn: write the groups, times and rows' slots of a span. Equal times share a slot. */
static tfn_code number_slots(void *context, int64_t i_span, tfn_error *err)
{
    const building *b = context;
    tfn_spine *s = b->spine;
    uint32_t slot = b->spans[i_span].first_slot;
    uint32_t next_check = b->begins[b->spans[i_span].begin];
    for (uint32_t g = b->spans[i_span].begin; g < b->spans[i_span].end; g++) {
        tfn__group *group = &s->groups[g];
        group->begin = slot;
        if (b->begins[g] >= next_check) {
            next_check = b->begins[g] + CHECK_ROWS;
            TFN_RETURN_IF_ERROR(tfn_crew_check(b->rows.crew, b->begins[g], s->n_rows, err));
        }
        for (uint32_t i = b->begins[g]; i < b->begins[g + 1]; i++) {
            if (i == b->begins[g] || b->entries[i].key != b->entries[i - 1].key) {
                s->times[slot++] = tfn__entry_number(b->entries[i].key);
            }
            b->rows.groups[b->entries[i].value] = slot - 1;
        }
        group->hash = s->keys.hashes[g];
        group->first = s->times[group->begin];
        group->last = s->times[slot - 1];
    }
    return TFN_OK;
}

static tfn_code make_slots(building *b, tfn_error *err)
{
    tfn_spine *s = b->spine;
    TFN_RETURN_IF_ERROR(tfn__room(s->n_groups, sizeof *s->groups, &s->groups, err));
    TFN_RETURN_IF_ERROR(cut_spans(b, err));
    TFN_RETURN_IF_ERROR(sort_large_groups(b, err));
    TFN_RETURN_IF_ERROR(tfn_parallel_run(b->rows.crew, b->n_spans, sort_span, b, err));
    for (int64_t i = 0; i < b->n_spans; i++) {
        const uint32_t n = b->spans[i].first_slot;
        b->spans[i].first_slot = s->n_slots;
        s->n_slots += n;
    }
    TFN_RETURN_IF_ERROR(tfn__room(s->n_slots, sizeof *s->times, &s->times, err));
    TFN_RETURN_IF_ERROR(tfn_parallel_run(b->rows.crew, b->n_spans, number_slots, b, err));
    tfn__keytable_forget_hashes(&s->keys);
    s->row_slot = b->rows.groups;
    b->rows.groups = NULL;
    return TFN_OK;
}

static void find_time_range(tfn_spine *s)
{
    s->time_min = INT64_MAX;
    s->time_max = INT64_MIN;
    for (uint32_t g = 0; g < s->n_groups; g++) {
        s->time_min = s->groups[g].first < s->time_min ? s->groups[g].first : s->time_min;
        s->time_max = s->groups[g].last > s->time_max ? s->groups[g].last : s->time_max;
    }
}

static tfn_code build(building *b, tfn_spine *s, const tfn_type *key_types, size_t n_keys,
                      tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_key_plan_init(&s->plan, key_types, n_keys, err));
    TFN_RETURN_IF_ERROR(check_time_type(b, s, err));
    TFN_RETURN_IF_ERROR(check_key_types(b, s, err));
    s->n_rows = tfn_frame_get_n_rows(b->rows.frame);
    if (s->n_rows >= (int64_t)UINT32_MAX - 1) {
        return TFN_FAIL(err, TFN_LIMIT, "%lld entity rows in one request; the most is 2^32 - 2",
                        (long long)s->n_rows);
    }
    s->has_exact_hash = tfn_key_hash_is_exact(&s->plan);
    tfn_str names[TFN_MAX_KEY_PARTS];
    for (size_t i = 0; i < n_keys; i++) {
        names[i] = tfn_frame_get_name(b->rows.frame, b->rows.key_cols[i]);
    }
    s->plan.names = names;
    const tfn_code rc = tfn__spine_read(&b->rows, s, err);
    s->plan.names = NULL; /* the spine outlives the frame's names */
    TFN_RETURN_IF_ERROR(rc);
    s->n_groups = s->keys.n;
    TFN_RETURN_IF_ERROR(group_rows(b, err));
    TFN_RETURN_IF_ERROR(make_slots(b, err));
    find_time_range(s);
    return TFN_OK;
}

tfn_code tfn_spine_create(const tfn_frame *frame, const size_t *key_cols, const tfn_type *key_types,
                          size_t n_keys, size_t time_col, tfn_crew *crew, tfn_spine **out,
                          tfn_error *err)
{
    *out = NULL;
    void *memory = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_spine), &memory, err));
    tfn_spine *s = memory;
    building b = {
        .rows = {.frame = frame, .key_cols = key_cols, .time_col = time_col, .crew = crew},
        .spine = s};
    const double start = tfn_clock_monotonic_s();
    const tfn_code rc = build(&b, s, key_types, n_keys, err);
    s->build_seconds = tfn_clock_monotonic_s() - start;
    building_deinit(&b);
    if (rc == TFN_OK) {
        *out = s;
    } else {
        tfn_spine_destroy(s);
    }
    return rc;
}

void tfn_spine_destroy(tfn_spine *s)
{
    if (s == NULL) {
        return;
    }
    tfn__keytable_deinit(&s->keys);
    tfn_mem_free(s->groups);
    tfn_mem_free(s->times);
    tfn_mem_free(s->row_slot);
    tfn_mem_free(s);
}

int64_t tfn_spine_get_n_rows(const tfn_spine *s)
{
    return s->n_rows;
}

int64_t tfn_spine_get_n_groups(const tfn_spine *s)
{
    return s->n_groups;
}

int64_t tfn_spine_get_n_slots(const tfn_spine *s)
{
    return s->n_slots;
}

bool tfn_spine_get_time_range(const tfn_spine *s, tfn_instant *first, tfn_instant *last)
{
    *first = tfn__times_instant(s->n_slots > 0 ? s->time_min : 0, s->unit);
    *last = tfn__times_instant(s->n_slots > 0 ? s->time_max : 0, s->unit);
    return s->n_slots > 0;
}

int64_t tfn__spine_get_bytes(const tfn_spine *s)
{
    return tfn__keytable_get_bytes(&s->keys) +
           (int64_t)((size_t)s->n_groups * sizeof *s->groups +
                     (size_t)s->n_slots * sizeof *s->times) +
           s->n_rows * (int64_t)sizeof *s->row_slot;
}
