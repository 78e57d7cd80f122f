/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_OFFLINE_VALUES_H
#define TFN_OFFLINE_VALUES_H

/*
 * Winners' values, kept row by row until they become columns: one record per winner.
 *
 * A record of zero bytes is a row of nulls. Records are the caller's memory; bytes of strings and
 * lists lie in an arena.
 */

#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/parallel.h"
#include "column/column.h"
#include "column/vec.h"

/* How a field lies in a record. */
typedef enum tfn__field_form {
    TFN__FIELD_1 = 0,   /* bool: one byte */
    TFN__FIELD_4 = 1,   /* float32 */
    TFN__FIELD_8 = 2,   /* everything else of fixed width; int32 and date as int64 */
    TFN__FIELD_TEXT = 3 /* strings, bytes, packed lists: tfn__text */
} tfn__field_form;

typedef struct tfn__field {
    tfn_type type;
    uint8_t form;
    uint32_t at;       /* of the value in the record */
    uint32_t state_at; /* of its tfn__state byte */
} tfn__field;

typedef enum tfn__state {
    TFN__STATE_NULL = 0,
    TFN__STATE_VALUE = 1,
    TFN__STATE_MISFIT = 2, /* does not fit the declared type: an error if it is in the answer */
    TFN__STATE_WIDE_UNSIGNED = 3 /* the same, an unsigned value above INT64_MAX */
} tfn__state;

/* Value of a TEXT field. Of a misfit: what is wrong with it. */
typedef struct tfn__text {
    char *p;
    uint32_t n;
    uint32_t capacity;
} tfn__text;

typedef struct tfn__record_plan {
    size_t n_fields;
    tfn__field *fields;
    const tfn_str *names; /* [borrow] of the fields, for messages */
    size_t stride;        /* bytes of a record; a multiple of 8, at least 8 */
} tfn__record_plan;

/**
 * Lay out records of these types.
 *
 * @param names, types  [borrow; names until deinit] n_fields of each
 *
 * Errors   TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__record_plan_init(tfn__record_plan *plan, const tfn_str *names,
                                             const tfn_type *types, size_t n_fields,
                                             tfn_error *err);
void tfn__record_plan_deinit(tfn__record_plan *plan);

/* How values of one vector get into a field; found once per chunk. */
typedef enum tfn__way {
    TFN__WAY_NULL = 0, /* the vector is all null */
    TFN__WAY_COPY_1,
    TFN__WAY_COPY_4,
    TFN__WAY_COPY_8,
    TFN__WAY_INT, /* through int64, range checked */
    TFN__WAY_TEXT,
    TFN__WAY_CELL /* anything else, through tfn_cell_of_vec */
} tfn__way;

tfn__way tfn__record_way(const tfn__field *field, const tfn_vec *v);

/* Where a writer keeps what it needs; one per thread. */
typedef struct tfn__writer {
    tfn_arena arena; /* bytes of TEXT fields; lives as long as the records */
    tfn_buf scratch; /* packed lists on their way */
} tfn__writer;

void tfn__writer_deinit(tfn__writer *w);

/**
 * Write row i of a vector into a field of a record, over what was there.
 *
 * @param way  of this field and vector
 *
 * Cost     no allocation but for TEXT that is longer than what was there before
 * Threads  one at a time per record and per writer
 * Errors   TFN_NO_MEMORY . TFN_LIMIT a value of 4 GiB or more. A value that does not fit is not an
 *          error yet: it becomes TFN__STATE_MISFIT
 */
TFN_NODISCARD tfn_code tfn__record_put(const tfn__field *field, tfn__way way, const tfn_vec *v,
                                       int64_t i, char *record, tfn__writer *w, tfn_error *err);

/** Fill records[0 .. n - 1] with the records of rows begin .. begin + n - 1; NULL = all null.
 * Called from several threads at once. */
typedef void (*tfn__locate_fn)(const void *context, int64_t begin, int64_t n, const char **records);

/**
 * Gather records into columns, one per field: blocks of rows of the fields of fixed width, and columns of
 * TEXT, side by side on the threads of a crew.
 *
 * @param out  [out] plan->n_fields columns of n_rows rows, each [own]; all NULL on error
 *
 * Errors   TFN_SCHEMA a value in the answer does not fit: names column and value (the same whatever
 *          the number of threads) . TFN_CANCELLED . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__records_take(const tfn__record_plan *plan, int64_t n_rows,
                                         tfn__locate_fn locate, const void *context, tfn_crew *crew,
                                         tfn_column **out, tfn_error *err);

#endif
