/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_OFFLINE_KEYSET_H
#define TFN_OFFLINE_KEYSET_H

/* The keys that somebody asked for: rows of other keys take no part. */

#include <stdbool.h>
#include <stdint.h>

#include "column/frame.h"
#include "column/key.h"

typedef struct tfn_keyset tfn_keyset;

/**
 * The distinct keys of a frame.
 *
 * @param frame     [borrow]
 * @param key_cols  [borrow] one column index per part of the plan
 * @param plan      [borrow] declared types, in the order of the view's keys
 * @param out       [own] ends with tfn_keyset_destroy
 *
 * Nulls    a row with a null in any part adds nothing
 * Cost     O(n) time; memory for the distinct keys
 * Threads  any; the set is immutable
 * Errors   TFN_SCHEMA a column that cannot be read as declared: names column and types
 *          TFN_LIMIT 2^31 keys . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_keyset_create(const tfn_frame *frame, const size_t *key_cols,
                                         const tfn_key_plan *plan, tfn_keyset **out,
                                         tfn_error *err);
void tfn_keyset_destroy(tfn_keyset *s);

/** Distinct keys in it. */
int64_t tfn_keyset_get_n(const tfn_keyset *s);

/** Is a key in it? @param hash, key  as tfn_keys_encode gives them for the same declared types. */
bool tfn_keyset_has(const tfn_keyset *s, uint64_t hash, tfn_str key);

#endif
