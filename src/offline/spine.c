/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The spine: entity rows grouped by key, each group's times sorted and distinct.
 *
 *   key bytes --groups--> group g     group_begin: ... | b(g) | b(g+1) | ...
 *                                                         |        |
 *                                     times:      ... | t0 < t1 < t2 | ...     one slot each
 *   row i ----------row_slot---------------------------------^
 *
 * A slot is a distinct (key, time): rows that share both share the answer. The kernel finds the
 * slot of a source row by key and binary search; the walk goes through the slots of a group in
 * order.
 *
 * Building: keys are encoded and numbered batch by batch (times are read along); rows are counted
 * per group and scattered to their group's place; each group is sorted; equal times become one
 * slot.
 *
 * Invariants
 *  1. Rows come back through row_slot in their own order: the spine is never reordered.
 *  2. times[group_begin[g] .. group_begin[g + 1]) ascends strictly, for every g.
 *  3. A group has at least one slot, so tfn__spine_find may read one without asking.
 *  4. A row with a null in its key has slot TFN__NO_SLOT and belongs to no group.
 *
 * Rejected: a global sort on (key bytes, time), which compares strings a million times and misses
 * cache; one hash table on (key, time), which cannot answer "first time not before".
 *
 * Complexity: O(n) with a radix sort per group; n < 2^32 - 1.
 */

#include "offline/spine.h"

#include "offline/radix.h"
#include "offline/room.h"
#include "offline/times.h"

#include "base/poison.h"

enum { BLOCK = 2048, MAX_KEYS = TFN_MAX_KEY_PARTS };

/* What exists only while a spine is built. */
typedef struct building {
    const tfn_frame *frame;
    const size_t *key_cols;
    size_t time_col;
    tfn_keys keys;
    uint32_t *row_group; /* TFN__NO_ENTRY: no key; becomes row_slot */
    int64_t *row_time;
    tfn__entry *entries; /* (time, row), group after group */
    tfn__entry *scratch;
    uint32_t *place; /* per group: where its next entry goes */
} building;

static void building_deinit(building *b)
{
    tfn_keys_deinit(&b->keys);
    tfn_mem_free(b->row_group);
    tfn_mem_free(b->row_time);
    tfn_mem_free(b->entries);
    tfn_mem_free(b->scratch);
    tfn_mem_free(b->place);
}

static tfn_code check_time_type(building *b, tfn_spine *s, tfn_error *err)
{
    tfn_type type = {0};
    TFN_RETURN_IF_ERROR(tfn_frame_get_type(b->frame, b->time_col, &type, err));
    const bool is_time = type.kind == TFN_KIND_TIMESTAMP || type.kind == TFN_KIND_DATE;
    if (type.is_list || (!is_time && type.kind != TFN_KIND_NONE)) {
        char found[TFN_TYPE_TEXT_BYTES];
        tfn_type_format(type, found);
        return TFN_FAIL(err, TFN_SCHEMA,
                        "entity time column '%.*s': expected timestamp, found %s; convert it first",
                        TFN_STR_ARG(tfn_frame_get_name(b->frame, b->time_col)), found);
    }
    s->unit = tfn__times_unit(type);
    return TFN_OK;
}

static tfn_code check_key_types(building *b, const tfn_spine *s, tfn_error *err)
{
    for (size_t i = 0; i < s->plan.n_parts; i++) {
        tfn_type type = {0};
        TFN_RETURN_IF_ERROR(tfn_frame_get_type(b->frame, b->key_cols[i], &type, err));
        const tfn_type want = s->plan.parts[i];
        const bool is_whole_float =
            (want.kind == TFN_KIND_INT32 || want.kind == TFN_KIND_INT64) && !type.is_list &&
            (type.kind == TFN_KIND_FLOAT32 || type.kind == TFN_KIND_FLOAT64);
        if (!is_whole_float && !tfn_type_can_read(want, type)) {
            char expected[TFN_TYPE_TEXT_BYTES];
            char found[TFN_TYPE_TEXT_BYTES];
            tfn_type_format(want, expected);
            tfn_type_format(type, found);
            return TFN_FAIL(
                err, TFN_SCHEMA, "key column '%.*s' of the entity rows: expected %s, found %s",
                TFN_STR_ARG(tfn_frame_get_name(b->frame, b->key_cols[i])), expected, found);
        }
    }
    return TFN_OK;
}

static tfn_code null_time(const building *b, int64_t i_row, tfn_error *err)
{
    return TFN_FAIL(err, TFN_INVALID,
                    "entity time column '%.*s' is null in row %lld (counted from 0); every entity "
                    "row needs a time",
                    TFN_STR_ARG(tfn_frame_get_name(b->frame, b->time_col)), (long long)i_row);
}

/* Number the keys of n rows that are encoded in b->keys; rows start at i_row. */
static tfn_code number_keys(building *b, tfn_spine *s, int64_t i_row, int64_t n, tfn_error *err)
{
    for (int64_t i = 0; i < n; i++) {
        __builtin_prefetch(&s->groups.buckets[b->keys.hashes[i] & s->groups.mask]);
    }
    for (int64_t i = 0; i < n; i++) {
        uint32_t group = TFN__NO_ENTRY;
        if (b->keys.ok[i] != 0) {
            TFN_RETURN_IF_ERROR(tfn__keytable_put(&s->groups, b->keys.hashes[i],
                                                  tfn_keys_get(&b->keys, i), &group, err));
        } else {
            s->n_rows_without_key++;
        }
        b->row_group[i_row + i] = group;
    }
    return TFN_OK;
}

static tfn_code read_block(building *b, tfn_spine *s, const tfn_vec *time, const tfn_vec *keys,
                           int64_t i_row, tfn_error *err)
{
    uint8_t states[BLOCK];
    tfn__times_read(time, 0, time->n, b->row_time + i_row, states);
    for (int64_t i = 0; i < time->n; i++) {
        if (states[i] != TFN__TIME_OK) {
            return null_time(b, i_row + i, err);
        }
    }
    const tfn_code rc = tfn_keys_encode(&b->keys, &s->plan, keys, time->n, err);
    if (rc != TFN_OK) {
        tfn_error_prepend(err, "keys of the entity rows: ");
        return rc;
    }
    return number_keys(b, s, i_row, time->n, err);
}

static tfn_code read_batch(building *b, tfn_spine *s, int64_t i_batch, int64_t i_row,
                           tfn_error *err)
{
    tfn_vec time = {0};
    tfn_vec keys[MAX_KEYS];
    TFN_RETURN_IF_ERROR(tfn_frame_get_vec(b->frame, i_batch, b->time_col, &time, err));
    for (size_t i = 0; i < s->plan.n_parts; i++) {
        TFN_RETURN_IF_ERROR(tfn_frame_get_vec(b->frame, i_batch, b->key_cols[i], &keys[i], err));
    }
    const int64_t n = tfn_frame_get_batch_rows(b->frame, i_batch);
    for (int64_t begin = 0; begin < n; begin += BLOCK) {
        const int64_t n_block = n - begin < BLOCK ? n - begin : BLOCK;
        const tfn_vec block_time = tfn_vec_slice(&time, begin, n_block);
        tfn_vec block_keys[MAX_KEYS];
        for (size_t i = 0; i < s->plan.n_parts; i++) {
            block_keys[i] = tfn_vec_slice(&keys[i], begin, n_block);
        }
        TFN_RETURN_IF_ERROR(read_block(b, s, &block_time, block_keys, i_row + begin, err));
    }
    return TFN_OK;
}

static tfn_code read_frame(building *b, tfn_spine *s, tfn_error *err)
{
    const size_t n = (size_t)s->n_rows;
    TFN_RETURN_IF_ERROR(tfn__room(n, sizeof *b->row_group, &b->row_group, err));
    TFN_RETURN_IF_ERROR(tfn__room(n, sizeof *b->row_time, &b->row_time, err));
    int64_t i_row = 0;
    const int64_t n_batches = tfn_frame_get_n_batches(b->frame);
    for (int64_t i = 0; i < n_batches; i++) {
        TFN_RETURN_IF_ERROR(read_batch(b, s, i, i_row, err));
        i_row += tfn_frame_get_batch_rows(b->frame, i);
    }
    return TFN_OK;
}

/* Put every row with a key to its group's place. group_begin counts rows here, slots later. */
static tfn_code scatter_rows(building *b, tfn_spine *s, tfn_error *err)
{
    const size_t n_groups = s->groups.n;
    const size_t n_keyed = (size_t)(s->n_rows - s->n_rows_without_key);
    TFN_RETURN_IF_ERROR(tfn__room_zero(n_groups + 1, sizeof *s->group_begin, &s->group_begin, err));
    TFN_RETURN_IF_ERROR(tfn__room(n_groups, sizeof *b->place, &b->place, err));
    TFN_RETURN_IF_ERROR(tfn__room(n_keyed, sizeof *b->entries, &b->entries, err));
    for (int64_t i = 0; i < s->n_rows; i++) {
        if (b->row_group[i] != TFN__NO_ENTRY) {
            s->group_begin[b->row_group[i] + 1]++;
        }
    }
    for (size_t g = 0; g < n_groups; g++) {
        s->group_begin[g + 1] += s->group_begin[g];
        b->place[g] = s->group_begin[g];
    }
    for (int64_t i = 0; i < s->n_rows; i++) {
        if (b->row_group[i] != TFN__NO_ENTRY) {
            b->entries[b->place[b->row_group[i]]++] =
                (tfn__entry){tfn__entry_key(b->row_time[i]), (uint32_t)i};
        }
    }
    return TFN_OK;
}

/* Sort each group and give equal times one slot. */
static tfn_code make_slots(building *b, tfn_spine *s, tfn_error *err)
{
    const size_t n_keyed = (size_t)(s->n_rows - s->n_rows_without_key);
    size_t n_largest = 0;
    for (size_t g = 0; g < s->groups.n; g++) {
        const size_t n = s->group_begin[g + 1] - s->group_begin[g];
        n_largest = n > n_largest ? n : n_largest;
    }
    TFN_RETURN_IF_ERROR(tfn__room(n_largest, sizeof *b->scratch, &b->scratch, err));
    TFN_RETURN_IF_ERROR(tfn__room(n_keyed, sizeof *s->times, &s->times, err));
    uint32_t n_slots = 0;
    size_t begin = 0;
    for (size_t g = 0; g < s->groups.n; g++) {
        const size_t end = s->group_begin[g + 1];
        tfn__radix_sort(b->entries + begin, b->scratch, end - begin);
        s->group_begin[g] = n_slots;
        for (size_t i = begin; i < end; i++) {
            if (i == begin || b->entries[i].key != b->entries[i - 1].key) {
                s->times[n_slots++] = tfn__entry_number(b->entries[i].key);
            }
            b->row_group[b->entries[i].value] = n_slots - 1;
        }
        begin = end;
    }
    s->group_begin[s->groups.n] = n_slots;
    s->n_slots = n_slots;
    s->row_slot = b->row_group;
    b->row_group = NULL;
    return TFN_OK;
}

static void find_time_range(tfn_spine *s)
{
    s->time_min = INT64_MAX;
    s->time_max = INT64_MIN;
    for (uint32_t g = 0; g < s->groups.n; g++) {
        const int64_t first = s->times[s->group_begin[g]];
        const int64_t last = s->times[s->group_begin[g + 1] - 1];
        s->time_min = first < s->time_min ? first : s->time_min;
        s->time_max = last > s->time_max ? last : s->time_max;
    }
}

static tfn_code build(building *b, tfn_spine *s, const tfn_type *key_types, size_t n_keys,
                      tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_key_plan_init(&s->plan, key_types, n_keys, err));
    TFN_RETURN_IF_ERROR(check_time_type(b, s, err));
    TFN_RETURN_IF_ERROR(check_key_types(b, s, err));
    s->n_rows = tfn_frame_get_n_rows(b->frame);
    if (s->n_rows >= (int64_t)UINT32_MAX - 1) {
        return TFN_FAIL(err, TFN_LIMIT, "%lld entity rows in one request; the most is 2^32 - 2",
                        (long long)s->n_rows);
    }
    TFN_RETURN_IF_ERROR(tfn__keytable_init(&s->groups, &s->plan, err));
    tfn_str names[TFN_MAX_KEY_PARTS];
    for (size_t i = 0; i < n_keys; i++) {
        names[i] = tfn_frame_get_name(b->frame, b->key_cols[i]);
    }
    s->plan.names = names;
    const tfn_code rc = read_frame(b, s, err);
    s->plan.names = NULL; /* the spine outlives the frame's names */
    TFN_RETURN_IF_ERROR(rc);
    TFN_RETURN_IF_ERROR(scatter_rows(b, s, err));
    TFN_RETURN_IF_ERROR(make_slots(b, s, err));
    find_time_range(s);
    return TFN_OK;
}

tfn_code tfn_spine_create(const tfn_frame *frame, const size_t *key_cols, const tfn_type *key_types,
                          size_t n_keys, size_t time_col, int n_threads, tfn_spine **out,
                          tfn_error *err)
{
    (void)n_threads;
    *out = NULL;
    building b = {.frame = frame, .key_cols = key_cols, .time_col = time_col};
    tfn_spine *s = NULL;
    TFN_RETURN_IF_ERROR(tfn__room_zero(1, sizeof *s, &s, err));
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
    tfn__keytable_deinit(&s->groups);
    tfn_mem_free(s->group_begin);
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
    return s->groups.n;
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
    const int64_t n_keyed = s->n_rows - s->n_rows_without_key;
    return tfn__keytable_get_bytes(&s->groups) +
           (int64_t)(((size_t)s->groups.n + 1) * sizeof *s->group_begin) +
           n_keyed * (int64_t)sizeof *s->times + s->n_rows * (int64_t)sizeof *s->row_slot;
}
