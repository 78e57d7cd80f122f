/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_COLUMN_INTERNAL_H
#define TFN_COLUMN_INTERNAL_H

/* What the files of column/ share among themselves. */

#include <stdatomic.h>

#include "base/arena.h"
#include "column/column.h"
#include "column/frame.h"
#include "column/vec.h"

/**
 * How tfn__vec_of_arrow reads a dictionary-encoded array: `out` gets a plain vector whose memory
 * the context keeps.
 */
typedef tfn_code (*tfn__dictionary_fn)(void *context, const struct ArrowSchema *schema,
                                       const struct ArrowArray *array, tfn_str name,
                                       tfn_arena *arena, tfn_vec *out, tfn_error *err);

/** tfn_vec_of_arrow with dictionaries, at any depth, read by `decode` (NULL: TFN_INVALID). */
TFN_NODISCARD tfn_code tfn__vec_of_arrow(const struct ArrowSchema *schema,
                                         const struct ArrowArray *array, tfn_str name,
                                         tfn__dictionary_fn decode, void *context, tfn_arena *arena,
                                         tfn_vec *out, tfn_error *err);

/*
 * A column. `vec` reads its memory; a list's items are a column of their own, so that an exported
 * child array can outlive the array it was exported with.
 */
struct tfn_column {
    _Atomic int64_t n_refs;
    tfn_type type;
    int64_t n_rows;
    int64_t n_nulls;
    uint8_t *validity; /* NULL when n_nulls is 0 or the type is NONE */
    void *data;        /* values, bits or offsets; NULL for NONE */
    char *bytes;       /* strings */
    bool wide;         /* data are 64-bit offsets */
    tfn_column *item;  /* lists */
    tfn_vec vec;
};

/** Last step of making a column: one reference, and `vec` from the other fields. */
void tfn__column_seal(tfn_column *c);

/** Bits that are 0 among bits begin .. begin + n - 1. */
int64_t tfn__bits_count_unset(const uint8_t *bits, int64_t begin, int64_t n);

/* One column of one batch: the batch's offset, length and nulls applied. */
typedef struct tfn__frame_col {
    struct ArrowArray array; /* borrows the batch's memory: release is NULL */
    tfn_vec vec;             /* zero when Tiffin does not have the type */
} tfn__frame_col;

typedef struct tfn__frame_batch {
    struct ArrowArray taken; /* as it came in */
    struct ArrowArray view;  /* the same with offset 0 and no nulls (and no buffers) of its own; its
                                children are the arrays of `cols` */
    tfn__frame_col *cols;
} tfn__frame_batch;

struct tfn_frame {
    _Atomic int64_t n_refs;
    struct ArrowSchema schema;
    size_t n_cols;
    tfn_type *types;
    bool *is_readable;
    tfn__frame_batch *batches;
    size_t n_batches;
    size_t batch_capacity;
    int64_t n_rows;
    tfn_column **decoded; /* dictionary columns, any order */
    size_t n_decoded;
    size_t decoded_capacity;
    tfn_arena arena; /* what batches point to beside Arrow's memory; fixed once the frame is read */
    tfn_frame *parent; /* a slice: the frame whose memory it shows, retained; `schema`, `types` and
                          the arrays of batches are then the parent's and are not released */
};

#endif
