/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_COLUMN_VEC_H
#define TFN_COLUMN_VEC_H

/*
 * A vector: some rows of one column, borrowed from whoever made them, Arrow or DuckDB alike.
 *
 * Readers hand out vectors; kernels consume them without knowing where they come from. Nothing is
 * copied to make one: `layout` says how values lie in memory, and the accessors below hide it.
 *
 *   layout      data points to                                    used for
 *   BITS        1 bit per value, least significant first          Arrow bool
 *   FIXED       values of `number`                                numbers, dates, times, DuckDB
 * bool OFFSET32    int32 offsets, n + 1 of them; bytes in `bytes`    Arrow utf8, binary, list
 *   OFFSET64    int64 offsets                                     Arrow large_*
 *   ARROW_VIEW  16-byte views; long values in `buffers[i]`        Arrow utf8_view, binary_view
 *   DUCK_STRING 16-byte duckdb_string_t with inline or pointer    DuckDB VARCHAR, BLOB
 *   DUCK_LIST   {uint64 offset, uint64 length}, any order         DuckDB LIST
 *   FIXED_LIST  nothing; `list_width` children per row            Arrow fixed_size_list, DuckDB
 * ARRAY FIXED_BYTES `list_width` bytes per row                        Arrow fixed_size_binary NONE
 * nothing; every row is null                        Arrow null
 *
 * Row i of the vector is element `offset + i` of data and of `validity` (for FIXED_LIST: children
 * (offset + i) * list_width ...). Children of lists have their own offset. Values need not be
 * aligned to their width.
 *
 * Threads  any: vectors are read-only
 */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/str.h"
#include "column/type.h"

typedef enum tfn_layout {
    TFN_LAYOUT_NONE = 0,
    TFN_LAYOUT_BITS,
    TFN_LAYOUT_FIXED,
    TFN_LAYOUT_OFFSET32,
    TFN_LAYOUT_OFFSET64,
    TFN_LAYOUT_ARROW_VIEW,
    TFN_LAYOUT_DUCK_STRING,
    TFN_LAYOUT_DUCK_LIST,
    TFN_LAYOUT_FIXED_LIST,
    TFN_LAYOUT_FIXED_BYTES
} tfn_layout;

/* How one value of a FIXED vector lies in memory. Wider than tfn_kind: an int16 column reads as
 * int32, a uint32 column as int64 (see tfn_vec.type). */
typedef enum tfn_number {
    TFN_NUMBER_NONE = 0,
    TFN_NUMBER_I8,
    TFN_NUMBER_I16,
    TFN_NUMBER_I32,
    TFN_NUMBER_I64,
    TFN_NUMBER_U8,
    TFN_NUMBER_U16,
    TFN_NUMBER_U32,
    TFN_NUMBER_U64, /* values above INT64_MAX are TFN_SCHEMA errors when read (tfn_vec_fits) */
    TFN_NUMBER_F16,
    TFN_NUMBER_F32,
    TFN_NUMBER_F64,
    TFN_NUMBER_DATE64 /* int64 milliseconds of whole days; reads as date */
} tfn_number;

typedef struct tfn_vec {
    tfn_type type; /* what the values mean, widened to one of ours */
    uint8_t layout;
    uint8_t number;
    bool has_infinity;       /* times: the greatest value and its negative (+-INT64_MAX; dates
                                +-INT32_MAX) mean +-infinity (DuckDB) */
    int32_t list_width;      /* FIXED_LIST: children per row; FIXED_BYTES: bytes per row */
    int64_t n;               /* rows */
    int64_t offset;          /* of row 0 in data and validity */
    const uint8_t *validity; /* bit set = not null, least significant first; NULL = no nulls */
    const void *data;
    const char *bytes;           /* OFFSET32/64 of strings */
    const void *const *buffers;  /* ARROW_VIEW */
    const struct tfn_vec *child; /* lists */
} tfn_vec;

static inline bool tfn_vec_is_valid(const tfn_vec *v, int64_t i)
{
    if (v->layout == TFN_LAYOUT_NONE) {
        return false;
    }
    const uint64_t at = (uint64_t)(v->offset + i);
    return v->validity == NULL || ((v->validity[at >> 3] >> (at & 7u)) & 1u) != 0;
}

/** False for the U64 values that int64 cannot hold; true for all else. Valid rows only. */
static inline bool tfn_vec_fits(const tfn_vec *v, int64_t i)
{
    if (v->number != TFN_NUMBER_U64) {
        return true;
    }
    uint64_t value = 0;
    memcpy(&value, (const char *)v->data + (size_t)(v->offset + i) * sizeof value, sizeof value);
    return value <= (uint64_t)INT64_MAX;
}

/* The rarer numbers of tfn_vec_get_int. */
int64_t tfn__vec_get_int_other(const tfn_vec *v, int64_t i);

/** Integer value of a valid row: bool (0/1), integers, dates (days), timestamps (in type.unit).
 * FIXED and BITS layouts with an integer `number` only. U64 above INT64_MAX wraps: check before
 * with tfn_vec_fits. */
static inline int64_t tfn_vec_get_int(const tfn_vec *v, int64_t i)
{
    if (v->number == TFN_NUMBER_I64) {
        int64_t value = 0;
        memcpy(&value, (const char *)v->data + (size_t)(v->offset + i) * sizeof value,
               sizeof value);
        return value;
    }
    return tfn__vec_get_int_other(v, i);
}

/** Float value of a valid row; F16 and F32 widen exactly, integers convert. */
double tfn_vec_get_float(const tfn_vec *v, int64_t i);

/** Bytes of a valid row of a string or bytes vector; borrowed as long as the vector's memory. */
tfn_str tfn_vec_get_str(const tfn_vec *v, int64_t i);

/** Range of children of a valid row of a list vector: child rows begin .. begin + n - 1 of
 * `v->child`. */
typedef struct tfn_range {
    int64_t begin;
    int64_t n;
} tfn_range;

tfn_range tfn_vec_get_list(const tfn_vec *v, int64_t i);

/** Rows begin .. begin + n - 1 of a vector, as a vector. */
static inline tfn_vec tfn_vec_slice(const tfn_vec *v, int64_t begin, int64_t n)
{
    tfn_vec slice = *v;
    slice.offset += begin;
    slice.n = n;
    return slice;
}

/** True when a valid row of a date or timestamp vector means +-infinity. */
static inline bool tfn_vec_is_infinite(const tfn_vec *v, int64_t i)
{
    if (!v->has_infinity) {
        return false;
    }
    const int64_t value = tfn_vec_get_int(v, i);
    const int64_t infinity = v->type.kind == TFN_KIND_DATE ? INT32_MAX : INT64_MAX;
    return value == infinity || value == -infinity;
}

/**
 * The vector of an Arrow array. Children (lists) are allocated in the arena.
 *
 * @param schema, array  [borrow until the vector is no longer used] dictionaries must have been
 *                       decoded before (column/frame.h does)
 * @param name           for messages
 *
 * Errors   TFN_SCHEMA a type that Tiffin does not have, named with its column
 *          TFN_INVALID the array contradicts its schema (buffers missing, negative length)
 *          TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_vec_of_arrow(const struct ArrowSchema *schema,
                                        const struct ArrowArray *array, tfn_str name,
                                        tfn_arena *arena, tfn_vec *out, tfn_error *err);

/** The type that an Arrow schema reads as. Errors as tfn_vec_of_arrow. */
TFN_NODISCARD tfn_code tfn_type_of_arrow(const struct ArrowSchema *schema, tfn_str name,
                                         tfn_type *out, tfn_error *err);

#endif
