/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_COLUMN_LOGICAL_H
#define TFN_COLUMN_LOGICAL_H

/* Is a text what the meaning of its type says? docs/semantics/types.md */

#include "column/cell.h"
#include "column/type.h"

/**
 * Check a value that somebody writes against the meaning of its type, each item of a list alone:
 *
 *   uuid, time_uuid   32 hexadecimal digits, as 8-4-4-4-12 or in one piece
 *   decimal           digits with a sign, a point and an exponent where wanted; NaN, Infinity
 *   json              one JSON value
 *   map, struct       one JSON object
 *
 * A null is fine, and so is every value of a type without a meaning.
 *
 * @param cell  [borrow] of `type`
 *
 * Cost     one pass over the text
 * Threads  any
 * Errors   TFN_SCHEMA quotes the text; the caller adds where it stands . TFN_CORRUPT a packed list
 *          that is none . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_logical_check(tfn_type type, const tfn_cell *cell, tfn_error *err);

#endif
