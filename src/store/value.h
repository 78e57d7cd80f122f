/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_STORE_VALUE_H
#define TFN_STORE_VALUE_H

/* Public values <-> cells. */

#include "base/arena.h"
#include "column/cell.h"
#include "tiffin/store.h"

/**
 * A key value as a cell of the declared type. Integers of any width that fit, whole floats, and
 * text that reads as the type are accepted; null gives a null cell.
 *
 * @param type   [in, out] declared; the unit of a timestamp becomes that of the cell: microseconds,
 * or nanoseconds for an instant that needs them (keys of data keep all of its digits)
 * @param key    [borrow] the join key's name, for messages
 * @param value  [borrow as long as the cell] text is not copied
 *
 * Errors   TFN_INVALID names the key, what was given and what is expected
 */
TFN_NODISCARD tfn_code tfn__cell_of_value(tfn_type *type, tfn_str key, const tfn_value *value,
                                          tfn_cell *out, tfn_error *err);

/** A cell as a public value, borrowing the cell's memory. A broken packed list gives null. */
void tfn__value_of_cell(tfn_type type, const tfn_cell *cell, tfn_value *out);

#endif
