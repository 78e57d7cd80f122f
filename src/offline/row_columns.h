/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_OFFLINE_ROW_COLUMNS_H
#define TFN_OFFLINE_ROW_COLUMNS_H

/* Keys and times of source rows as columns: what latest-per-key, ranges and entity rows made of
 * events have in common. */

#include "column/column.h"
#include "column/key.h"

/** Encoded key i of whatever the context is; borrowed. */
typedef tfn_str (*tfn__key_fn)(const void *context, size_t i);

/**
 * Decode n keys into one column per part.
 *
 * @param out  [out] plan->n_parts columns, each [own]; all NULL on error
 *
 * Threads  any
 * Errors   TFN_CORRUPT bytes that are no key of this plan . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__row_key_columns(const tfn_key_plan *plan, size_t n, tfn__key_fn get_key,
                                            const void *context, tfn_column **out, tfn_error *err);

/** A column of n times, none missing. @param out  [own]. Errors TFN_NO_MEMORY. */
TFN_NODISCARD tfn_code tfn__row_event_column(tfn_unit unit, size_t n, const int64_t *times,
                                             tfn_column **out, tfn_error *err);

/** A column of n created times (block.h); missing and infinite ones are null, and the ends of the
 * unit count as infinite. @param out  [own]. Errors TFN_NO_MEMORY. */
TFN_NODISCARD tfn_code tfn__row_created_column(tfn_unit unit, size_t n, const int64_t *times,
                                               tfn_column **out, tfn_error *err);

#endif
