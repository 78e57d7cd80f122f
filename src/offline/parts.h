/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_OFFLINE_PARTS_H
#define TFN_OFFLINE_PARTS_H

/*
 * Cutting entity rows into parts that are joined one after the other. Rows of a spine do not know
 * of each other, so every cut gives the same answer; what differs is how much of a source a part
 * reads.
 *
 *   by rows   a part is a run of consecutive rows: a window, nothing is copied
 *   by time   a part is a stretch of time: a copy of its rows' keys and times, in their order
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/time.h"
#include "column/frame.h"

typedef enum tfn_parts_order { TFN_PARTS_BY_ROWS = 0, TFN_PARTS_BY_TIME = 1 } tfn_parts_order;

/* The times of a frame's rows, looked at once. */
typedef struct tfn_parts_times {
    tfn_unit unit;
    int64_t first; /* in `unit`; of no rows: 0 */
    int64_t last;
    bool ascends; /* no row is before the row above it */
} tfn_parts_times;

/**
 * Look at the entity times.
 *
 * @param frame     [borrow]
 * @param time_col  column of times or dates
 *
 * Cost     one pass over the column
 * Threads  any
 * Errors   TFN_INVALID a null time: names row and column . TFN_SCHEMA not a time column
 */
TFN_NODISCARD tfn_code tfn_parts_times_read(const tfn_frame *frame, size_t time_col,
                                            tfn_parts_times *out, tfn_error *err);

/**
 * Time that parts of n consecutive rows span, all parts together: sum of last - first, in the unit
 * of the times, saturated.
 *
 * Errors   as tfn_parts_times_read
 */
TFN_NODISCARD tfn_code tfn_parts_times_span(const tfn_frame *frame, size_t time_col,
                                            int64_t part_rows, int64_t *span, tfn_error *err);

typedef struct tfn_parts tfn_parts;

/**
 * Begin to cut.
 *
 * @param frame    [borrow] retained
 * @param columns  [copy] n_columns > 0 columns that a part by time has, in this order; not used by
 *                 rows (a window has all)
 * @param out      [own] ends with tfn_parts_destroy
 *
 * Cost     by time: one pass over the times, and 400 KB
 * Errors   as tfn_parts_times_read . TFN_LIMIT by time: 2^32 - 1 rows or more . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_parts_create(tfn_frame *frame, size_t time_col, tfn_parts_order order,
                                        const size_t *columns, size_t n_columns, tfn_parts **out,
                                        tfn_error *err);
void tfn_parts_destroy(tfn_parts *p);

/**
 * The next part.
 *
 * @param n_wanted  > 0: rows that it should have; by time it may have a few more or less
 * @param max_rows  >= n_wanted: never more, unless rows lie closer together than the sample sees
 *                  (then at most rows / 16,384 more)
 * @param out       [own, NULL = there is none left] ends with tfn_frame_release
 *
 * Cost     by time: a pass over the times of all rows, or a few
 * Errors   TFN_NO_MEMORY and as tfn_frame_take
 */
TFN_NODISCARD tfn_code tfn_parts_next(tfn_parts *p, int64_t n_wanted, int64_t max_rows,
                                      tfn_frame **out, tfn_error *err);

/** Rows that the parts so far have. */
int64_t tfn_parts_get_n_rows_done(const tfn_parts *p);

/**
 * By time, after the last part: which part each of the rows begin .. begin + n - 1 is in. Within a
 * part rows keep their order.
 *
 * @param out  [out] n part numbers
 *
 * Errors   as tfn_parts_times_read
 */
TFN_NODISCARD tfn_code tfn_parts_route(const tfn_parts *p, int64_t begin, int64_t n, uint32_t *out,
                                       tfn_error *err);

#endif
