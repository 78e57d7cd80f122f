/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_OFFLINE_SPOOL_H
#define TFN_OFFLINE_SPOOL_H

/*
 * A spool: columns of rows that do not fit in memory, written part by part to a file without a name
 * and read again row by row, each part in its own order.
 *
 *   begin_part, add*            for each part
 *   begin_reading               once
 *   take(part) -> builders      any number of times, parts in any order
 *
 * The file is unlinked before anything is written: whatever ends the process, nothing is left.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "column/column.h"

typedef struct tfn_spool tfn_spool;

/** As write(2); tests have one that refuses. */
typedef ssize_t (*tfn_spool_write_fn)(int fd, const void *bytes, size_t n_bytes);

/**
 * An empty spool.
 *
 * @param folder     [copy, NULL = $TMPDIR, else /tmp] where the file lies
 * @param n_columns  columns of every row
 * @param write      [NULL = write(2)]
 * @param out        [own] ends with tfn_spool_destroy
 *
 * Errors   TFN_IO the folder cannot be written to: names it . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_spool_create(const char *folder, size_t n_columns,
                                        tfn_spool_write_fn write, tfn_spool **out, tfn_error *err);
void tfn_spool_destroy(tfn_spool *s);

/** From here on rows belong to the next part (0, 1, ...). Errors TFN_NO_MEMORY. */
TFN_NODISCARD tfn_code tfn_spool_begin_part(tfn_spool *s, tfn_error *err);

/**
 * Append rows begin .. begin + n - 1 of the columns to the part.
 *
 * @param columns  [borrow] as many as the spool has; of one type each in all calls
 *
 * Cost     one write per megabyte
 * Threads  one at a time
 * Errors   TFN_IO the disk is full or refuses: says where and how much was written . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_spool_add(tfn_spool *s, tfn_column *const *columns, int64_t begin,
                                     int64_t n, tfn_error *err);

/**
 * End writing; give each part a buffer to be read through.
 *
 * @param buffers_bytes  of all parts together; a part gets 4 KiB to 256 KiB of it, more where a row
 *                       is longer
 *
 * Errors   as tfn_spool_add
 */
TFN_NODISCARD tfn_code tfn_spool_begin_reading(tfn_spool *s, int64_t buffers_bytes, tfn_error *err);

/**
 * Append the next row of a part to builders of the columns' types.
 *
 * @param builders  [borrow] one per column; after an error they can only be destroyed
 *
 * Threads  one at a time
 * Errors   TFN_IO . TFN_NO_MEMORY . TFN_CORRUPT the part has no row left, or the file is not what
 *          was written
 */
TFN_NODISCARD tfn_code tfn_spool_take(tfn_spool *s, uint32_t part, tfn_builder *const *builders,
                                      tfn_error *err);

/** Bytes written so far. */
int64_t tfn_spool_get_bytes(const tfn_spool *s);

#endif
