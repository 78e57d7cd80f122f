/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_COLUMN_FRAME_HASH_H
#define TFN_COLUMN_FRAME_HASH_H

/* Which table is this? One hash of names, types and values, whatever memory they lie in. */

#include "base/hash.h"
#include "column/frame.h"

/**
 * XXH3-128 of a frame: names, types and values of its columns, in order. Part of a stored format
 * (docs/formats/saved-dataset.md section 3), so it never changes.
 *
 * Equal for tables that hold the same, however they are cut into batches, sliced, dictionary
 * encoded, or laid out (utf8, large utf8 and utf8 views are one type; so are their binary twins and
 * the lists). Different names, types (also units and time zones), orders or values differ.
 *
 * @param f    [borrow]
 * @param out  [out] set on TFN_OK only
 *
 * Nulls    a null is a value of its own; what lies below it does not count
 * Units    floats by their bits, so -0.0 and 0.0 differ
 * Cost     one pass; allocates nothing
 * Threads  any
 * Errors   TFN_UNSUPPORTED a column of unions, run ends or an unknown Arrow type: names it
 *          TFN_INVALID a column that contradicts its type
 */
TFN_NODISCARD tfn_code tfn_frame_hash(const tfn_frame *f, tfn_hash128 *out, tfn_error *err);

#endif
