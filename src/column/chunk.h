/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_COLUMN_CHUNK_H
#define TFN_COLUMN_CHUNK_H

/*
 * A chunk: the same rows of several columns, as a reader hands them to a kernel.
 *
 * A row's position says where it stands in its source: file (in byte-sorted path order), then row
 * in the file; or row in the stream. Positions decide ties and find rows again in a second scan.
 * They fit in 56 bits: (file << row_bits) | row, with row_bits chosen by the reader.
 */

#include <stdint.h>

#include "column/vec.h"

#define TFN_POSITION_BITS 56
#define TFN_POSITION_NONE ((UINT64_C(1) << TFN_POSITION_BITS) - 1)

typedef struct tfn_chunk {
    int64_t n; /* rows, > 0 */
    size_t n_cols;
    const tfn_vec *cols;       /* n_cols vectors of n rows, in the order that was asked for */
    uint64_t first_position;   /* of row 0 */
    const uint64_t *positions; /* n of them, or NULL: row i is at first_position + i */
} tfn_chunk;

static inline uint64_t tfn_chunk_position(const tfn_chunk *c, int64_t i)
{
    return c->positions != NULL ? c->positions[i] : c->first_position + (uint64_t)i;
}

/**
 * Consumer of chunks. Called from several threads at once with distinct chunks in any order; memory
 * of the chunk is valid during the call only. An error stops the scan.
 *
 * @param worker  0 .. n_workers - 1; two calls at the same time have different workers
 */
typedef tfn_code (*tfn_chunk_fn)(void *context, int worker, const tfn_chunk *chunk, tfn_error *err);

#endif
