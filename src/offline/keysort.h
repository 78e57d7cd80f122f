/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_OFFLINE_KEYSORT_H
#define TFN_OFFLINE_KEYSORT_H

/* Sorting encoded keys by their bytes. */

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "offline/radix.h"

/**
 * Order of n distinct keys, of which none is the beginning of another (as is true of encoded keys).
 *
 * @param keys     [borrow] n keys
 * @param order    [out] n entries: `value` is the index of the key that comes there; `key`
 * undefined
 * @param scratch  n entries of room
 *
 * Cost     O(n) per 8 bytes in which neighbours differ; allocates nothing
 * Threads  any
 * Errors   none
 */
void tfn__keysort(const tfn_str *keys, tfn__entry *order, tfn__entry *scratch, size_t n);

#endif
