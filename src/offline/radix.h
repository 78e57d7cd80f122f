/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_OFFLINE_RADIX_H
#define TFN_OFFLINE_RADIX_H

/* Sorting numbers that carry an index: times of a group, positions of winners. */

#include <stddef.h>
#include <stdint.h>

#include "base/parallel.h"

typedef struct tfn__entry {
    uint64_t key;
    uint32_t value;
} tfn__entry;

/** A signed number as a key of the same order. */
static inline uint64_t tfn__entry_key(int64_t number)
{
    return (uint64_t)number ^ (UINT64_C(1) << 63);
}

static inline int64_t tfn__entry_number(uint64_t key)
{
    return (int64_t)(key ^ (UINT64_C(1) << 63));
}

/**
 * Sort n entries ascending by key, stable.
 *
 * @param scratch  n entries of room; contents undefined afterwards
 *
 * Cost     O(n) per byte in which keys differ; insertion sort below 48 entries; allocates nothing
 * Threads  any
 * Errors   none
 */
void tfn__radix_sort(tfn__entry *entries, tfn__entry *scratch, size_t n);

/**
 * The same, by a crew; worth it from some ten thousand entries on.
 *
 * Errors   TFN_NO_MEMORY; entries are then as they were . TFN_CANCELLED; they are in no order then
 */
TFN_NODISCARD tfn_code tfn__radix_sort_parallel(tfn__entry *entries, tfn__entry *scratch, size_t n,
                                                tfn_crew *crew, tfn_error *err);

#endif
