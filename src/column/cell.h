/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_COLUMN_CELL_H
#define TFN_COLUMN_CELL_H

/*
 * A cell: one value in the form in which Tiffin keeps values outside of columns (winners of a
 * one-step join, online rows, messages to Python).
 *
 *   fixed-width types   `bits`: bool 0/1; int32, date sign-extended; float32 its 32 bits; others 64
 *   string, bytes       `bytes`
 *   lists               `bytes`: the packed list below
 *
 * Packed list (docs/formats/online-row.md, little endian):
 *   u32 n | validity, (n + 7) / 8 bytes, bit set = not null | then
 *   fixed width: n values of tfn_type_width bytes
 *   strings, bytes: n + 1 u32 offsets into the bytes that follow | bytes
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "column/vec.h"

typedef struct tfn_cell {
    bool is_null;
    uint64_t bits;
    tfn_str bytes;
} tfn_cell;

/**
 * Row i of a vector as a cell of type `want` (tfn_type_can_read(want, v->type) holds). Timestamps
 * change to want.unit as tfn_time_convert does.
 *
 * @param scratch  a packed list is built here (cleared first); the cell borrows it. Strings are
 *                 borrowed from the vector.
 *
 * Errors   TFN_SCHEMA a value out of the wanted type's range, with the value (the caller adds
 * where) TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_cell_of_vec(const tfn_vec *v, int64_t i, tfn_type want, tfn_buf *scratch,
                                       tfn_cell *out, tfn_error *err);

/** A packed list, checked. Items are read with tfn_list_get. */
typedef struct tfn_list {
    tfn_type item;
    uint32_t n;
    const uint8_t *validity;
    const uint8_t *values; /* fixed-width values, or offsets */
    const char *bytes;     /* strings: behind the offsets */
    size_t n_bytes;
} tfn_list;

/**
 * Check a packed list of `type` (is_list) and make it readable.
 *
 * Errors   TFN_CORRUPT says what does not fit
 */
TFN_NODISCARD tfn_code tfn_list_open(tfn_type type, tfn_str packed, tfn_list *out, tfn_error *err);

/** Item i < n of an opened list; strings borrow the packed bytes. */
tfn_cell tfn_list_get(const tfn_list *list, uint32_t i);

#endif
