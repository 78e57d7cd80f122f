/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_COLUMN_FRAME_H
#define TFN_COLUMN_FRAME_H

/*
 * A frame: a whole Arrow stream in memory, batch by batch, readable as vectors.
 *
 * Used for the spine, for frames that are pushed, and for answers. Immutable and reference counted:
 * an exported stream shares its buffers. Dictionary columns have a decoded twin for reading; export
 * gives back what came in.
 */

#include <stdint.h>

#include "column/column.h"
#include "column/vec.h"

typedef struct tfn_frame tfn_frame;

/**
 * Read a stream to its end.
 *
 * @param stream  [take] struct-typed (record batches). After an error the caller still owns it: it
 *                may have been read in part and can only be released. Batches of no rows are
 * dropped.
 * @param out     [own] ends with tfn_frame_release
 *
 * Cost     no copy but of dictionary columns
 * Threads  any
 * Errors   TFN_INVALID the stream is released, is not of struct type, or breaks the protocol
 *          TFN_IO its producer reports an error (with its text) . TFN_NO_MEMORY
 *          (types that Tiffin does not have are accepted: they pass through; reading such a column
 *          with tfn_frame_get_vec is what fails)
 */
TFN_NODISCARD tfn_code tfn_frame_read(struct ArrowArrayStream *stream, tfn_frame **out,
                                      tfn_error *err);

tfn_frame *tfn_frame_retain(tfn_frame *f);
void tfn_frame_release(tfn_frame *f);

int64_t tfn_frame_get_n_rows(const tfn_frame *f);
int64_t tfn_frame_get_n_batches(const tfn_frame *f);
int64_t tfn_frame_get_batch_rows(const tfn_frame *f, int64_t i_batch);
size_t tfn_frame_get_n_cols(const tfn_frame *f);
tfn_str tfn_frame_get_name(const tfn_frame *f, size_t i_col);

enum { TFN_FRAME_NO_COLUMN = -1, TFN_FRAME_AMBIGUOUS = -2 };

/** Index of the column with this name; TFN_FRAME_NO_COLUMN, or TFN_FRAME_AMBIGUOUS when several
 * columns have it. */
int64_t tfn_frame_find(const tfn_frame *f, tfn_str name);

/** Type of a column as Tiffin reads it. Errors TFN_SCHEMA names column and Arrow type. */
TFN_NODISCARD tfn_code tfn_frame_get_type(const tfn_frame *f, size_t i_col, tfn_type *out,
                                          tfn_error *err);

/** Vector of one column in one batch; borrowed from the frame. Errors as tfn_frame_get_type, and
 * TFN_INVALID when the batch contradicts the schema. */
TFN_NODISCARD tfn_code tfn_frame_get_vec(const tfn_frame *f, int64_t i_batch, size_t i_col,
                                         tfn_vec *out, tfn_error *err);

/**
 * Read a column of texts as times from now on (tfn_instant_parse; naive = UTC): readers see
 * timestamps in microseconds, or in nanoseconds where a text has them. Export gives the texts.
 *
 * Nulls    stay null
 * Threads  one at a time, before the frame is shared
 * Errors   TFN_SCHEMA no column of texts . TFN_INVALID a text that is no time: names column, row
 *          and text . TFN_NO_MEMORY; then the frame is as it was
 */
TFN_NODISCARD tfn_code tfn_frame_read_times(tfn_frame *f, size_t i_col, tfn_error *err);

/**
 * Rows begin .. begin + n - 1 of a frame as a frame: a window, nothing is copied.
 *
 * @param f               [borrow] retained by the slice
 * @param max_batch_rows  batches are the frame's, cut where they are longer; 0 = not cut
 * @param out             [own] ends with tfn_frame_release
 *
 * Cost     O(batches x columns)
 * Threads  any
 * Errors   TFN_INVALID the frame does not have these rows . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_frame_slice(tfn_frame *f, int64_t begin, int64_t n,
                                       int64_t max_batch_rows, tfn_frame **out, tfn_error *err);

/**
 * Some rows and columns of a frame, copied to a new one of one batch.
 *
 * @param columns  [borrow] n_columns > 0 indices; each of a type that Tiffin reads
 * @param rows     [borrow] n_rows ascending row numbers
 * @param out      [own] ends with tfn_frame_release
 *
 * Errors   TFN_SCHEMA a column that cannot be read, or a value that its type cannot hold: names the
 *          column . TFN_INVALID a batch contradicts the schema . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_frame_take(const tfn_frame *f, const size_t *columns, size_t n_columns,
                                      const uint32_t *rows, size_t n_rows, tfn_frame **out,
                                      tfn_error *err);

/**
 * A stream of the frame's columns, unchanged and in order, followed by `extra` columns (each of as
 * many rows as the frame). Batches are the frame's (an empty frame gives no batch).
 *
 * @param f      [borrow] retained by the stream
 * @param names, extra  [borrow] n_extra of them; retained by the stream; names are copied
 * @param out    [own] on TFN_OK; released by the caller; may outlive everything else
 *
 * Errors   TFN_INVALID a column's length differs . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_frame_export(tfn_frame *f, const tfn_str *names,
                                        tfn_column *const *extra, size_t n_extra,
                                        struct ArrowArrayStream *out, tfn_error *err);

/** A stream of these columns alone, in batches of at most `batch_rows` rows (0 = one batch). */
TFN_NODISCARD tfn_code tfn_columns_export(const tfn_str *names, tfn_column *const *columns,
                                          size_t n_columns, int64_t n_rows, int64_t batch_rows,
                                          struct ArrowArrayStream *out, tfn_error *err);

#endif
