/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Finding winners again by their position.
 *
 *   positions (sorted)   3   17 18   402   9000 ...       winner = index
 *   chunk [0, 2048)      |---------------|                one binary search, then side by side
 *
 * A chunk's rows ascend in position as a rule, so after one search for its first row both lists are
 * merged; where a reader hands out positions in another order, each break costs one more search.
 *
 * Invariants
 *  1. Each position occurs in at most one chunk, so no two threads write one record.
 *  2. Rows of a chunk that are not winners are not touched.
 *
 * Rejected: a bitmap over all positions (files start at multiples of 2^row_bits); a hash table (a
 * cache miss per source row, where the merge reads a few neighbours per chunk).
 *
 * Complexity: O(log w) per chunk + rows of the chunk + values of its winners.
 */

#include "offline/pick.h"

#include "offline/room.h"

#include "base/poison.h"

/* A row group of usual size: reading on across a smaller gap costs less than another range. */
#define FIRST_GAP UINT64_C(65536)

tfn_code tfn__pick_init(tfn__pick *p, int n_workers, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(
        tfn__room_zero((size_t)n_workers, sizeof(tfn__pick_worker), &p->workers, err));
    p->n_workers = n_workers;
    return TFN_OK;
}

void tfn__pick_deinit(tfn__pick *p)
{
    for (int i = 0; i < p->n_workers; i++) {
        tfn_mem_free(p->workers[i].rows);
        tfn_mem_free(p->workers[i].ranks);
        tfn__writer_deinit(&p->workers[i].writer);
    }
    tfn_mem_free(p->workers);
    p->workers = NULL;
    p->n_workers = 0;
}

int64_t tfn__pick_get_n_found(const tfn__pick *p)
{
    int64_t n_found = 0;
    for (int i = 0; i < p->n_workers; i++) {
        n_found += p->workers[i].n_found;
    }
    return n_found;
}

/* Index of the first winner at or behind a position. */
static size_t find_winner(const tfn__pick *p, uint64_t position)
{
    size_t begin = 0;
    size_t end = p->n_winners;
    while (begin < end) {
        const size_t middle = begin + (end - begin) / 2;
        if (p->positions[middle] < position) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    return begin;
}

/* Winners of a chunk without gaps: every winner in its range is there. */
static size_t match_run(const tfn__pick *p, tfn__pick_worker *w, const tfn_chunk *chunk)
{
    const uint64_t first = chunk->first_position;
    size_t n = 0;
    for (size_t rank = find_winner(p, first);
         rank < p->n_winners && p->positions[rank] - first < (uint64_t)chunk->n; rank++) {
        w->rows[n] = (uint32_t)(p->positions[rank] - first);
        w->ranks[n] = (uint32_t)rank;
        n++;
    }
    return n;
}

/* Winners of a chunk whose rows were chosen by the reader. */
static size_t match_positions(const tfn__pick *p, tfn__pick_worker *w, const tfn_chunk *chunk)
{
    size_t n = 0;
    size_t rank = find_winner(p, chunk->positions[0]);
    uint64_t last = chunk->positions[0];
    for (int64_t i = 0; i < chunk->n; i++) {
        const uint64_t position = chunk->positions[i];
        if (position < last) {
            rank = find_winner(p, position);
        }
        last = position;
        while (rank < p->n_winners && p->positions[rank] < position) {
            rank++;
        }
        if (rank < p->n_winners && p->positions[rank] == position) {
            w->rows[n] = (uint32_t)i;
            w->ranks[n] = (uint32_t)rank;
            n++;
        }
    }
    return n;
}

static tfn_code copy_column(const tfn__pick *p, tfn__pick_worker *w, const tfn_vec *v,
                            const tfn__field *field, size_t n, tfn_error *err)
{
    const tfn__way way = tfn__record_way(field, v);
    for (size_t i = 0; i < n; i++) {
        char *record = p->records + (size_t)w->ranks[i] * p->plan->stride;
        TFN_RETURN_IF_ERROR(tfn__record_put(field, way, v, w->rows[i], record, &w->writer, err));
    }
    return TFN_OK;
}

tfn_code tfn__pick_consume(void *context, int worker, const tfn_chunk *chunk, tfn_error *err)
{
    const tfn__pick *p = context;
    tfn__pick_worker *w = &p->workers[worker];
    TFN_RETURN_IF_ERROR(
        tfn__room_grow(&w->rows, &w->row_capacity, (size_t)chunk->n, sizeof *w->rows, err));
    TFN_RETURN_IF_ERROR(
        tfn__room_grow(&w->ranks, &w->rank_capacity, (size_t)chunk->n, sizeof *w->ranks, err));
    const size_t n =
        chunk->positions == NULL ? match_run(p, w, chunk) : match_positions(p, w, chunk);
    w->n_found += (int64_t)n;
    for (size_t i = 0; i < p->plan->n_fields; i++) {
        const tfn_code rc = copy_column(p, w, &chunk->cols[i], &p->plan->fields[i], n, err);
        if (rc != TFN_OK) {
            tfn_error_prepend(err, "source '%.*s', column '%.*s': ", TFN_STR_ARG(p->source_label),
                              TFN_STR_ARG(p->plan->names[i]));
            return rc;
        }
    }
    return TFN_OK;
}

static size_t join_within(const uint64_t *positions, size_t n, uint64_t gap,
                          tfn_position_range *ranges)
{
    size_t n_ranges = 0;
    for (size_t i = 0; i < n; i++) {
        if (n_ranges > 0 && positions[i] - ranges[n_ranges - 1].last <= gap) {
            ranges[n_ranges - 1].last = positions[i];
            continue;
        }
        if (n_ranges == TFN__PICK_MAX_RANGES) {
            return n_ranges + 1;
        }
        ranges[n_ranges++] = (tfn_position_range){positions[i], positions[i]};
    }
    return n_ranges;
}

size_t tfn__pick_ranges(const uint64_t *positions, size_t n_winners, tfn_position_range *ranges)
{
    uint64_t gap = FIRST_GAP;
    size_t n = join_within(positions, n_winners, gap, ranges);
    while (n > TFN__PICK_MAX_RANGES) {
        gap *= 2;
        n = join_within(positions, n_winners, gap, ranges);
    }
    return n;
}
