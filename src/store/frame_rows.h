/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_STORE_FRAME_ROWS_H
#define TFN_STORE_FRAME_ROWS_H

/*
 * A frame that a caller has in hand, as rows of one view: first everything in it is checked, then
 * it is put into the online store.
 */

#include "base/arena.h"
#include "base/time.h"
#include "column/frame.h"
#include "column/key.h"
#include "online/online.h"
#include "registry/definition.h"

/* Zeroed is empty. Where the columns of a view are in a frame, and the keys of its rows. */
typedef struct tfn__frame_rows {
    const tfn_view_def *view; /* [borrow] */
    tfn_frame *frame;         /* [borrow] */
    tfn_arena arena;          /* all below */
    size_t *key_columns;
    tfn_str *key_names;
    int64_t *feature_columns; /* -1: absent, every value is null */
    tfn_row_field *fields;    /* of the rows that are put */
    size_t time_column;
    int64_t created_column; /* -1: the source has none */
    tfn_key_plan key_plan;
    tfn_keys *keys; /* one per batch, after the check */
    size_t n_keys;
    tfn_vec *vecs; /* of the features, in the batch at hand */
    tfn_cell *cells;
    tfn_buf *scratch; /* one per feature: packed lists of the row at hand */
    size_t n_scratch;
} tfn__frame_rows;

/**
 * Find a view's columns in a frame: under the names of keys and features, or under those that they
 * have in the source. Columns that are none of these are passed over. Times may be texts
 * (tfn_frame_read_times): they are read, and the frame has times from then on.
 *
 * @param frame  [borrow until rows end] not shared yet
 * @param rows   [out] zeroed before; ends with tfn__frame_rows_deinit, also after an error
 *
 * Threads  one at a time
 * Errors   TFN_SCHEMA a column is missing or of another type: names it . TFN_INVALID a name that
 *          two columns have, a text that is no time (row, column, text) . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__frame_rows_init(tfn__frame_rows *rows, const tfn_view_def *view,
                                            tfn_frame *frame, tfn_error *err);
void tfn__frame_rows_deinit(tfn__frame_rows *rows);

/** How far ahead of the clock an event time may lie. */
typedef struct tfn__ahead {
    tfn_instant now;
    int64_t max_seconds;
} tfn__ahead;

/**
 * Check every row: a key whose parts are all there and fit, an event time, values that fit their
 * types. Keeps the encoded keys for tfn__frame_rows_put.
 *
 * @param ahead  [borrow, nullable] NULL: as far as one likes
 *
 * Cost     O(rows); a key's bytes a row
 * Threads  one at a time
 * Errors   TFN_INVALID . TFN_SCHEMA: each names row (from 0), column and what was found .
 *          TFN_LIMIT keys of more than 4 GiB, or a key that is too long . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__frame_rows_check(tfn__frame_rows *rows, const tfn__ahead *ahead,
                                             tfn_error *err);

/** Where the next row is that is to be put. Zeroed: the first one. */
typedef struct tfn__frame_place {
    int64_t i_batch;   /* the number of batches: behind the last row */
    int64_t i_row;     /* in its batch */
    int64_t first_row; /* of the batch, in the frame */
} tfn__frame_place;

/**
 * Put up to `max_rows` rows, in their order, into a write that stands at this view with
 * `rows->fields`, and move `place` behind them.
 *
 * Threads  the one that began the write
 * Errors   as tfn_online_put; what is wrong with a row names it (from 0)
 */
TFN_NODISCARD tfn_code tfn__frame_rows_put_some(tfn__frame_rows *rows, tfn__frame_place *place,
                                                int64_t max_rows, tfn_online_write *write,
                                                tfn_error *err);

/** Put all rows. Contract of tfn__frame_rows_put_some. */
TFN_NODISCARD tfn_code tfn__frame_rows_put(tfn__frame_rows *rows, tfn_online_write *write,
                                           tfn_error *err);

#endif
