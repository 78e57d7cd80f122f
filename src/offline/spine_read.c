/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * From a frame to numbered keys and times.
 *
 *   rows      |---- part 0 ----|---- part 1 ----|---- part 2 ----|     a thread each
 *   keys        table 0           table 1          table 2            numbered within the part
 *   merge       table 0  <- new keys of table 1, then of table 2      one thread, distinct keys only
 *   renumber                   |---- part 1 ----|---- part 2 ----|    a thread each
 *
 * Each part numbers its keys in the order of their first appearance, and tables are merged in the order
 * of the parts: so numbers are those that one thread would have given.
 *
 * Invariants
 *  1. An error is that of the first row that has one: parts are in row order, and of several errors
 *     the one of the first part is kept.
 *  2. Every row's group is written once by its part, and once more when parts are renumbered.
 *
 * Rejected: a table per slice of the hash (no merge, but the kernel would look into one of several
 * tables for each source row, and key bytes of all rows would have to be kept to be dealt out); one
 * table with atomic inserts (numbers would depend on who was first).
 *
 * Cost: O(n / threads + distinct keys of all parts but the first).
 */

#include "offline/spine_read.h"

#include "base/parallel.h"
#include "offline/room.h"
#include "offline/times.h"

#include "base/poison.h"

enum {
    BLOCK = 2048,
    CHECK_ROWS = 1 << 15,
    MAX_KEYS = TFN_MAX_KEY_PARTS,
    PART_ROWS = 32768,
    MAX_PARTS = 8,
    AHEAD = 16
};

/* What one part has until it is merged. */
typedef struct part {
    tfn__keytable table;
    tfn_keys keys;     /* of the block that is being read */
    uint32_t *numbers; /* of the table's entries in the merged one */
    int64_t n_without_key;
} part;

typedef struct reading {
    tfn__spine_rows *rows;
    const tfn_spine *spine;
    part *parts;
} reading;

void tfn__spine_rows_deinit(tfn__spine_rows *rows)
{
    tfn_mem_free(rows->groups);
    tfn_mem_free(rows->times);
    rows->groups = NULL;
    rows->times = NULL;
}

static void reading_deinit(reading *r)
{
    for (int64_t i = 0; r->parts != NULL && i < r->rows->n_parts; i++) {
        tfn__keytable_deinit(&r->parts[i].table);
        tfn_keys_deinit(&r->parts[i].keys);
        tfn_mem_free(r->parts[i].numbers);
    }
    tfn_mem_free(r->parts);
}

/* ---- one part ---- */

static tfn_code null_time(const tfn__spine_rows *rows, int64_t i_row, tfn_error *err)
{
    return TFN_FAIL(err, TFN_INVALID,
                    "entity time column '%.*s' is null in row %lld (counted from 0); every entity "
                    "row needs a time",
                    TFN_STR_ARG(tfn_frame_get_name(rows->frame, rows->time_col)), (long long)i_row);
}

/* Number the n keys that are encoded in p->keys; rows start at i_row. */
static tfn_code number_keys(const reading *r, part *p, int64_t i_row, int64_t n, tfn_error *err)
{
    for (int64_t i = 0; i < n; i++) {
        __builtin_prefetch(&p->table.buckets[p->keys.hashes[i] & p->table.mask]);
    }
    for (int64_t i = 0; i < n; i++) {
        uint32_t group = TFN__NO_ENTRY;
        if (p->keys.ok[i] != 0) {
            TFN_RETURN_IF_ERROR(tfn__keytable_put(&p->table, p->keys.hashes[i],
                                                  tfn_keys_get(&p->keys, i), &group, err));
        } else {
            p->n_without_key++;
        }
        r->rows->groups[i_row + i] = group;
    }
    return TFN_OK;
}

static tfn_code read_block(const reading *r, part *p, const tfn_vec *time, const tfn_vec *keys,
                           int64_t i_row, tfn_error *err)
{
    uint8_t states[BLOCK];
    tfn__times_read(time, 0, time->n, r->rows->times + i_row, states);
    for (int64_t i = 0; i < time->n; i++) {
        if (states[i] != TFN__TIME_OK) {
            return null_time(r->rows, i_row + i, err);
        }
    }
    const tfn_code rc = tfn_keys_encode(&p->keys, &r->spine->plan, keys, time->n, err);
    if (rc != TFN_OK) {
        tfn_error_prepend(err, "keys of the entity rows: ");
        return rc;
    }
    return number_keys(r, p, i_row, time->n, err);
}

/* Rows begin .. end - 1 of a batch, whose row `begin` is the frame's row i_row. */
static tfn_code read_batch(const reading *r, part *p, int64_t i_batch, int64_t begin, int64_t end,
                           int64_t i_row, tfn_error *err)
{
    const tfn__spine_rows *rows = r->rows;
    tfn_vec time = {0};
    tfn_vec keys[MAX_KEYS];
    TFN_RETURN_IF_ERROR(tfn_frame_get_vec(rows->frame, i_batch, rows->time_col, &time, err));
    for (size_t i = 0; i < r->spine->plan.n_parts; i++) {
        TFN_RETURN_IF_ERROR(
            tfn_frame_get_vec(rows->frame, i_batch, rows->key_cols[i], &keys[i], err));
    }
    for (int64_t at = begin; at < end; at += BLOCK) {
        TFN_RETURN_IF_ERROR(tfn_crew_check(rows->crew, i_row + at - begin, r->spine->n_rows, err));
        const int64_t n_block = end - at < BLOCK ? end - at : BLOCK;
        const tfn_vec block_time = tfn_vec_slice(&time, at, n_block);
        tfn_vec block_keys[MAX_KEYS];
        for (size_t i = 0; i < r->spine->plan.n_parts; i++) {
            block_keys[i] = tfn_vec_slice(&keys[i], at, n_block);
        }
        TFN_RETURN_IF_ERROR(read_block(r, p, &block_time, block_keys, i_row + at - begin, err));
    }
    return TFN_OK;
}

/* A tfn_job_fn. */
static tfn_code read_part(void *context, int64_t i_part, tfn_error *err)
{
    const reading *r = context;
    part *p = &r->parts[i_part];
    TFN_RETURN_IF_ERROR(tfn__keytable_init(&p->table, &r->spine->plan, err));
    const tfn_part range = tfn_part_of(r->spine->n_rows, i_part, r->rows->n_parts);
    const int64_t n_batches = tfn_frame_get_n_batches(r->rows->frame);
    int64_t batch_begin = 0;
    for (int64_t i = 0; i < n_batches && batch_begin < range.end; i++) {
        const int64_t batch_end = batch_begin + tfn_frame_get_batch_rows(r->rows->frame, i);
        const int64_t begin = batch_begin > range.begin ? batch_begin : range.begin;
        const int64_t end = batch_end < range.end ? batch_end : range.end;
        if (begin < end) {
            TFN_RETURN_IF_ERROR(
                read_batch(r, p, i, begin - batch_begin, end - batch_begin, begin, err));
        }
        batch_begin = batch_end;
    }
    return TFN_OK;
}

/* ---- all parts ---- */

static tfn_code merge_part(tfn_crew *crew, tfn__keytable *all, part *p, tfn_error *err)
{
    const tfn__keytable *t = &p->table;
    TFN_RETURN_IF_ERROR(tfn__room(t->n, sizeof *p->numbers, &p->numbers, err));
    for (uint32_t i = 0; i < t->n; i++) {
        if (i % CHECK_ROWS == 0) {
            TFN_RETURN_IF_ERROR(tfn_crew_check(crew, i, t->n, err));
        }
        if (i + AHEAD < t->n) {
            __builtin_prefetch(&all->buckets[t->hashes[i + AHEAD] & all->mask]);
        }
        TFN_RETURN_IF_ERROR(
            tfn__keytable_put(all, t->hashes[i], tfn__keytable_get(t, i), &p->numbers[i], err));
    }
    return TFN_OK;
}

/* A tfn_job_fn: part i_job + 1 (the first one has its numbers). */
static tfn_code renumber_part(void *context, int64_t i_job, tfn_error *err)
{
    const reading *r = context;
    const tfn_part range = tfn_part_of(r->spine->n_rows, i_job + 1, r->rows->n_parts);
    const uint32_t *numbers = r->parts[i_job + 1].numbers;
    uint32_t *groups = r->rows->groups;
    for (int64_t i = range.begin; i < range.end; i++) {
        if (i % CHECK_ROWS == 0) {
            TFN_RETURN_IF_ERROR(tfn_crew_check(r->rows->crew, i, r->spine->n_rows, err));
        }
        groups[i] = groups[i] == TFN__NO_ENTRY ? TFN__NO_ENTRY : numbers[groups[i]];
    }
    return TFN_OK;
}

static tfn_code read_parts(reading *r, tfn_spine *s, tfn_error *err)
{
    tfn__spine_rows *rows = r->rows;
    TFN_RETURN_IF_ERROR(tfn__room_zero((size_t)rows->n_parts, sizeof(part), &r->parts, err));
    TFN_RETURN_IF_ERROR(tfn_parallel_run(rows->crew, rows->n_parts, read_part, r, err));
    s->keys = r->parts[0].table;
    r->parts[0].table = (tfn__keytable){0};
    for (int64_t i = 0; i < rows->n_parts; i++) {
        s->n_rows_without_key += r->parts[i].n_without_key;
        if (i > 0) {
            TFN_RETURN_IF_ERROR(merge_part(rows->crew, &s->keys, &r->parts[i], err));
        }
    }
    return tfn_parallel_run(rows->crew, rows->n_parts - 1, renumber_part, r, err);
}

tfn_code tfn__spine_read(tfn__spine_rows *rows, tfn_spine *s, tfn_error *err)
{
    const int64_t n_threads = tfn_parallel_get_n_threads(rows->crew->n_threads);
    const int64_t n_most = n_threads < MAX_PARTS ? n_threads : MAX_PARTS;
    const int64_t n_parts = s->n_rows / PART_ROWS;
    rows->n_parts = n_parts < 1 ? 1 : n_parts < n_most ? n_parts : n_most;
    TFN_RETURN_IF_ERROR(tfn__room((size_t)s->n_rows, sizeof *rows->groups, &rows->groups, err));
    TFN_RETURN_IF_ERROR(tfn__room((size_t)s->n_rows, sizeof *rows->times, &rows->times, err));
    reading r = {.rows = rows, .spine = s};
    const tfn_code rc = read_parts(&r, s, err);
    reading_deinit(&r);
    return rc;
}
