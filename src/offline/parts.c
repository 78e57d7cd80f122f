/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Cutting entity rows into parts.
 *
 * By time the rows are thought of in the order of (time, row), which has no ties, so that a million
 * rows of one instant can be cut as well. A cut is such a pair; part k has the rows from cut k - 1
 * up to, not including, cut k:
 *
 *   sample, sorted:  | . . . | . . . | . .        16,384 rows, spread evenly over the frame
 *   cuts:                    c0      c1           every so many of the sample
 *
 * Cuts are chosen one at a time, because how many rows fit is known better after each part. The
 * sample only proposes: a pass over the times collects the rows of the part, and when they are more
 * than allowed the cut is moved back. Rejected: sorting all rows (12 bytes a row, which is what the
 * limit forbids) and a histogram of times (one row of the year 9999 spoils it).
 *
 * Invariants
 *  1. Every row is in exactly one part; parts by rows follow each other, parts by time keep the
 *     order of rows within.
 *  2. Cuts ascend strictly; the last is above every row.
 */

#include "offline/parts.h"

#include "offline/radix.h"
#include "offline/room.h"
#include "offline/times.h"

#include "base/poison.h"

enum { BLOCK = 1024, SAMPLE = 16384 };

/* ---- reading times ---- */

/* A walk over the times of a frame, block by block. */
typedef struct walk {
    const tfn_frame *frame;
    size_t time_col;
    int64_t i_batch;
    int64_t i_in_batch;
    int64_t i_row; /* of the block that comes next */
    int64_t end;
    int64_t times[BLOCK];
    uint8_t states[BLOCK];
} walk;

static void begin_walk(walk *w, const tfn_frame *frame, size_t time_col, int64_t begin, int64_t end)
{
    w->frame = frame;
    w->time_col = time_col;
    w->i_batch = 0;
    w->i_in_batch = begin;
    w->i_row = begin;
    w->end = end;
    while (begin < end && w->i_in_batch >= tfn_frame_get_batch_rows(frame, w->i_batch)) {
        w->i_in_batch -= tfn_frame_get_batch_rows(frame, w->i_batch);
        w->i_batch++;
    }
}

static tfn_code null_time(const walk *w, int64_t i_row, tfn_error *err)
{
    return TFN_FAIL(err, TFN_INVALID,
                    "entity time column '%.*s' is null in row %lld (counted from 0); every entity "
                    "row needs a time",
                    TFN_STR_ARG(tfn_frame_get_name(w->frame, w->time_col)), (long long)i_row);
}

/* Read the next block into w->times; *n = 0 at the end. Its first row is w->i_row - *n. */
static tfn_code next_block(walk *w, int64_t *n, tfn_error *err)
{
    *n = 0;
    if (w->i_row >= w->end) {
        return TFN_OK;
    }
    tfn_vec v = {0};
    TFN_RETURN_IF_ERROR(tfn_frame_get_vec(w->frame, w->i_batch, w->time_col, &v, err));
    int64_t n_block = v.n - w->i_in_batch < BLOCK ? v.n - w->i_in_batch : BLOCK;
    n_block = w->end - w->i_row < n_block ? w->end - w->i_row : n_block;
    tfn__times_read(&v, w->i_in_batch, n_block, w->times, w->states);
    for (int64_t i = 0; i < n_block; i++) {
        if (w->states[i] != TFN__TIME_OK) {
            return null_time(w, w->i_row + i, err);
        }
    }
    w->i_row += n_block;
    w->i_in_batch += n_block;
    if (w->i_in_batch == v.n) {
        w->i_batch++;
        w->i_in_batch = 0;
    }
    *n = n_block;
    return TFN_OK;
}

static tfn_code read_unit(const tfn_frame *frame, size_t time_col, tfn_unit *out, tfn_error *err)
{
    tfn_type type = {0};
    TFN_RETURN_IF_ERROR(tfn_frame_get_type(frame, time_col, &type, err));
    if (!tfn_type_is_time(type)) {
        char found[TFN_TYPE_TEXT_BYTES];
        tfn_type_format(type, found);
        return TFN_FAIL(err, TFN_SCHEMA,
                        "entity time column '%.*s': expected timestamp, found %s; convert it first",
                        TFN_STR_ARG(tfn_frame_get_name(frame, time_col)), found);
    }
    *out = tfn__times_unit(type);
    return TFN_OK;
}

tfn_code tfn_parts_times_read(const tfn_frame *frame, size_t time_col, tfn_parts_times *out,
                              tfn_error *err)
{
    *out = (tfn_parts_times){.ascends = true};
    TFN_RETURN_IF_ERROR(read_unit(frame, time_col, &out->unit, err));
    walk w;
    begin_walk(&w, frame, time_col, 0, tfn_frame_get_n_rows(frame));
    int64_t before = INT64_MIN;
    int64_t n = 0;
    TFN_RETURN_IF_ERROR(next_block(&w, &n, err));
    if (n > 0) {
        out->first = w.times[0];
        out->last = w.times[0];
    }
    while (n > 0) {
        for (int64_t i = 0; i < n; i++) {
            const int64_t time = w.times[i];
            out->first = time < out->first ? time : out->first;
            out->last = time > out->last ? time : out->last;
            out->ascends = out->ascends && time >= before;
            before = time;
        }
        TFN_RETURN_IF_ERROR(next_block(&w, &n, err));
    }
    return TFN_OK;
}

/* *sum += last - first, saturated. */
static void add_span(int64_t first, int64_t last, int64_t *sum)
{
    int64_t span = 0;
    if (__builtin_sub_overflow(last, first, &span) || __builtin_add_overflow(*sum, span, sum)) {
        *sum = INT64_MAX;
    }
}

tfn_code tfn_parts_times_span(const tfn_frame *frame, size_t time_col, int64_t part_rows,
                              int64_t *span, tfn_error *err)
{
    *span = 0;
    const int64_t n_rows = tfn_frame_get_n_rows(frame);
    walk w;
    for (int64_t begin = 0; begin < n_rows; begin += part_rows) {
        const int64_t end = n_rows - begin < part_rows ? n_rows : begin + part_rows;
        begin_walk(&w, frame, time_col, begin, end);
        int64_t first = INT64_MAX;
        int64_t last = INT64_MIN;
        int64_t n = 0;
        TFN_RETURN_IF_ERROR(next_block(&w, &n, err));
        while (n > 0) {
            for (int64_t i = 0; i < n; i++) {
                first = w.times[i] < first ? w.times[i] : first;
                last = w.times[i] > last ? w.times[i] : last;
            }
            TFN_RETURN_IF_ERROR(next_block(&w, &n, err));
        }
        add_span(first, last, span);
    }
    return TFN_OK;
}

/* ---- parts ---- */

/* A place in the order of (time, row). */
typedef struct cut {
    int64_t time;
    int64_t row;
} cut;

static bool is_before(int64_t time, int64_t row, cut c)
{
    return time != c.time ? time < c.time : row < c.row;
}

struct tfn_parts {
    tfn_frame *frame;
    size_t time_col;
    tfn_parts_order order;
    size_t *columns;
    size_t n_columns;
    int64_t n_rows;
    int64_t n_rows_done;
    tfn__entry *sample; /* by time: ascending by (time, row) */
    size_t n_sample;
    size_t at; /* first of the sample that is in no part yet */
    cut *cuts; /* by time: where part k ends */
    size_t n_cuts;
    size_t cut_capacity;
    uint32_t *rows; /* by time: of the part that is being made */
    size_t n_part;
    size_t row_capacity;
};

void tfn_parts_destroy(tfn_parts *p)
{
    if (p == NULL) {
        return;
    }
    tfn_frame_release(p->frame);
    tfn_mem_free(p->columns);
    tfn_mem_free(p->sample);
    tfn_mem_free(p->cuts);
    tfn_mem_free(p->rows);
    tfn_mem_free(p);
}

/* A number that looks random, the same in every run. */
static uint64_t mix(uint64_t i)
{
    i = (i + UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xbf58476d1ce4e5b9);
    i = (i ^ (i >> 27)) * UINT64_C(0x94d049bb133111eb);
    return i ^ (i >> 31);
}

/* Row of the frame that the i-th of the sample is: one out of each of n_sample equal stretches. */
static int64_t sampled_row(const tfn_parts *p, size_t i)
{
    const uint64_t n = (uint64_t)p->n_rows; /* below 2^32: the products fit */
    const uint64_t begin = i * n / p->n_sample;
    const uint64_t end = (i + 1) * n / p->n_sample;
    return (int64_t)(begin + mix(i) % (end - begin));
}

static tfn_code read_sample(tfn_parts *p, tfn_error *err)
{
    walk w;
    begin_walk(&w, p->frame, p->time_col, 0, p->n_rows);
    size_t i = 0;
    int64_t n = 0;
    do {
        TFN_RETURN_IF_ERROR(next_block(&w, &n, err));
        const int64_t first = w.i_row - n;
        for (; i < p->n_sample && sampled_row(p, i) < w.i_row; i++) {
            const int64_t row = sampled_row(p, i);
            p->sample[i] = (tfn__entry){tfn__entry_key(w.times[row - first]), (uint32_t)row};
        }
    } while (n > 0);
    return TFN_OK;
}

static tfn_code make_sample(tfn_parts *p, tfn_error *err)
{
    if (p->n_rows >= (int64_t)UINT32_MAX) {
        return TFN_FAIL(err, TFN_LIMIT, "%lld entity rows in one request; the most is 2^32 - 2",
                        (long long)p->n_rows);
    }
    p->n_sample = p->n_rows < SAMPLE ? (size_t)p->n_rows : SAMPLE;
    tfn__entry *scratch = NULL;
    TFN_RETURN_IF_ERROR(tfn__room(p->n_sample, sizeof *p->sample, &p->sample, err));
    TFN_RETURN_IF_ERROR(read_sample(p, err));
    TFN_RETURN_IF_ERROR(tfn__room(p->n_sample, sizeof *scratch, &scratch, err));
    tfn__radix_sort(p->sample, scratch, p->n_sample); /* stable: by row where times are equal */
    tfn_mem_free(scratch);
    return TFN_OK;
}

tfn_code tfn_parts_create(tfn_frame *frame, size_t time_col, tfn_parts_order order,
                          const size_t *columns, size_t n_columns, tfn_parts **out, tfn_error *err)
{
    *out = NULL;
    tfn_parts *p = NULL;
    TFN_RETURN_IF_ERROR(tfn__room_zero(1, sizeof *p, &p, err));
    p->frame = tfn_frame_retain(frame);
    p->time_col = time_col;
    p->order = order;
    p->n_columns = n_columns;
    p->n_rows = tfn_frame_get_n_rows(frame);
    tfn_code rc = TFN_OK;
    if (order == TFN_PARTS_BY_TIME) {
        TFN_GOTO_IF_ERROR(rc, tfn__room(n_columns, sizeof *p->columns, &p->columns, err), done);
        for (size_t i = 0; i < n_columns; i++) {
            p->columns[i] = columns[i];
        }
        TFN_GOTO_IF_ERROR(rc, make_sample(p, err), done);
    }
    *out = p;
    p = NULL;
done:
    tfn_parts_destroy(p);
    return rc;
}

/* Collect the rows from `begin` up to `end`; stops at more than max_rows. */
static tfn_code collect(tfn_parts *p, const cut *begin, const cut *end, size_t max_rows,
                        tfn_error *err)
{
    walk w;
    begin_walk(&w, p->frame, p->time_col, 0, p->n_rows);
    p->n_part = 0;
    int64_t n = 0;
    TFN_RETURN_IF_ERROR(next_block(&w, &n, err));
    while (n > 0 && p->n_part <= max_rows) {
        TFN_RETURN_IF_ERROR(tfn__room_grow(&p->rows, &p->row_capacity, p->n_part + (size_t)n,
                                           sizeof *p->rows, err));
        for (int64_t i = 0; i < n; i++) {
            const int64_t row = w.i_row - n + i;
            const bool is_below = begin != NULL && is_before(w.times[i], row, *begin);
            const bool is_above = end != NULL && !is_before(w.times[i], row, *end);
            p->rows[p->n_part] = (uint32_t)row;
            p->n_part += is_below || is_above ? 0 : 1;
        }
        TFN_RETURN_IF_ERROR(next_block(&w, &n, err));
    }
    return TFN_OK;
}

static cut cut_of(tfn__entry sampled)
{
    return (cut){tfn__entry_number(sampled.key), sampled.value};
}

/* How many of the sample make a part of so many rows. */
static size_t step_of(const tfn_parts *p, int64_t n_wanted)
{
    const size_t n_left = p->n_sample - p->at;
    if (n_wanted >= p->n_rows - p->n_rows_done) {
        return n_left;
    }
    const double n_step = (double)n_wanted / (double)p->n_rows * (double)p->n_sample + 0.5;
    if (n_step >= (double)n_left) {
        return n_left;
    }
    return n_step < 1 ? 1 : (size_t)n_step;
}

/* Find the next cut and the rows below it. */
static tfn_code cut_by_time(tfn_parts *p, int64_t n_wanted, int64_t max_rows, tfn_error *err)
{
    const size_t n_left = p->n_sample - p->at;
    size_t n_step = step_of(p, n_wanted);
    const cut *begin = p->n_cuts > 0 ? &p->cuts[p->n_cuts - 1] : NULL;
    cut end = {INT64_MAX, INT64_MAX};
    for (;;) {
        const bool is_last = n_step == n_left;
        end = is_last ? (cut){INT64_MAX, INT64_MAX} : cut_of(p->sample[p->at + n_step]);
        const size_t most = n_step == 1 ? SIZE_MAX - 1 : (size_t)max_rows;
        TFN_RETURN_IF_ERROR(collect(p, begin, is_last ? NULL : &end, most, err));
        if (p->n_part <= most) {
            break;
        }
        n_step -= n_step / 16 > 0 ? n_step / 16 : 1;
    }
    TFN_RETURN_IF_ERROR(
        tfn__room_grow(&p->cuts, &p->cut_capacity, p->n_cuts + 1, sizeof *p->cuts, err));
    p->cuts[p->n_cuts++] = end;
    p->at += n_step;
    return TFN_OK;
}

tfn_code tfn_parts_next(tfn_parts *p, int64_t n_wanted, int64_t max_rows, tfn_frame **out,
                        tfn_error *err)
{
    *out = NULL;
    if (p->n_rows_done == p->n_rows) {
        return TFN_OK;
    }
    if (p->order == TFN_PARTS_BY_ROWS) {
        const int64_t n_left = p->n_rows - p->n_rows_done;
        const int64_t n = n_wanted < n_left ? n_wanted : n_left;
        TFN_RETURN_IF_ERROR(tfn_frame_slice(p->frame, p->n_rows_done, n, 0, out, err));
        p->n_rows_done += n;
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(cut_by_time(p, n_wanted, max_rows, err));
    const tfn_code rc =
        tfn_frame_take(p->frame, p->columns, p->n_columns, p->rows, p->n_part, out, err);
    p->n_rows_done += (int64_t)p->n_part;
    tfn_mem_free(p->rows); /* the join has better use for it */
    p->rows = NULL;
    p->row_capacity = 0;
    return rc;
}

int64_t tfn_parts_get_n_rows_done(const tfn_parts *p)
{
    return p->n_rows_done;
}

static uint32_t part_of(const tfn_parts *p, int64_t time, int64_t row)
{
    size_t first = 0;
    size_t n = p->n_cuts - 1; /* the last part has what no cut is above */
    while (n > 0) {
        const size_t half = n / 2;
        if (is_before(time, row, p->cuts[first + half])) {
            n = half;
        } else {
            first += half + 1;
            n -= half + 1;
        }
    }
    return (uint32_t)first;
}

tfn_code tfn_parts_route(const tfn_parts *p, int64_t begin, int64_t n, uint32_t *out,
                         tfn_error *err)
{
    walk w;
    begin_walk(&w, p->frame, p->time_col, begin, begin + n);
    int64_t n_block = 0;
    TFN_RETURN_IF_ERROR(next_block(&w, &n_block, err));
    while (n_block > 0) {
        const int64_t first = w.i_row - n_block;
        for (int64_t i = 0; i < n_block; i++) {
            out[first - begin + i] = part_of(p, w.times[i], first + i);
        }
        TFN_RETURN_IF_ERROR(next_block(&w, &n_block, err));
    }
    return TFN_OK;
}
