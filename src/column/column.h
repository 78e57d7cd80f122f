/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_COLUMN_COLUMN_H
#define TFN_COLUMN_COLUMN_H

/*
 * Columns that Tiffin makes: immutable, reference counted, in Arrow layout; and their builder.
 *
 * Arrow types: bool, int32, int64, float, double, utf8 (large_utf8 above 2 GiB), binary
 * (large_binary), date32, timestamp[unit, UTC], list<item> (large_list above 2^31 items).
 */

#include <stdint.h>

#include "column/cell.h"
#include "column/type.h"
#include "column/vec.h"

typedef struct tfn_column tfn_column;
typedef struct tfn_builder tfn_builder;

tfn_column *tfn_column_retain(tfn_column *c);
void tfn_column_release(tfn_column *c);
int64_t tfn_column_get_n_rows(const tfn_column *c);
tfn_type tfn_column_get_type(const tfn_column *c);
/** Bytes of its buffers, its items' included. */
int64_t tfn_column_get_bytes(const tfn_column *c);
/** Reads like any vector; borrowed from the column. */
const tfn_vec *tfn_column_get_vec(const tfn_column *c);

/**
 * Schema and array of rows begin .. begin + n - 1; they hold a reference to the column. A type with
 * a meaning stands in the schema's metadata, under "tiffin:type", in our words.
 *
 * @param schema, array  [own] on TFN_OK, each released by the caller; either may be NULL
 *
 * Errors   TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_column_export(tfn_column *c, tfn_str name, int64_t begin, int64_t n,
                                         struct ArrowSchema *schema, struct ArrowArray *array,
                                         tfn_error *err);

/**
 * Begin a column. `n_rows_hint` rows are reserved.
 *
 * @param out  [own] ends with tfn_builder_finish or tfn_builder_destroy
 *
 * Errors   TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_builder_create(tfn_type type, int64_t n_rows_hint, tfn_builder **out,
                                          tfn_error *err);
void tfn_builder_destroy(tfn_builder *b);

/** Append one value (a null cell appends null; packed lists are checked). Errors TFN_NO_MEMORY
 * TFN_CORRUPT. */
TFN_NODISCARD tfn_code tfn_builder_add(tfn_builder *b, const tfn_cell *cell, tfn_error *err);
TFN_NODISCARD tfn_code tfn_builder_add_nulls(tfn_builder *b, int64_t n, tfn_error *err);

/** Append rows of a vector, converted to the builder's type as tfn_cell_of_vec does. */
TFN_NODISCARD tfn_code tfn_builder_add_vec(tfn_builder *b, const tfn_vec *v, int64_t begin,
                                           int64_t n, tfn_error *err);

/** End: the column owns what the builder had. The builder is destroyed on success only. */
TFN_NODISCARD tfn_code tfn_builder_finish(tfn_builder **b, tfn_column **out, tfn_error *err);

/**
 * A fixed-width column from memory that the caller filled (offline/ gathers straight into it).
 *
 * @param values    [take] tfn_mem memory: n_rows values of tfn_type_width bytes; bool: 1 byte each
 *                  (packed to bits here)
 * @param validity  [take] bitmap of (n_rows + 7) / 8 bytes or more, or NULL = no nulls
 *
 * Errors   TFN_NO_MEMORY; then the caller still owns both
 */
TFN_NODISCARD tfn_code tfn_column_of_fixed(tfn_type type, int64_t n_rows, void *values,
                                           uint8_t *validity, tfn_column **out, tfn_error *err);

#endif
