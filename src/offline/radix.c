/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * A least-significant-digit radix sort of (64-bit key, index).
 *
 * Keys of one call usually share their upper bytes (times of a year, positions in a file), so the
 * bytes in which no two keys differ are found first, and only the others cost a pass.
 *
 * Invariants
 *  1. After a pass on byte b, entries are sorted by the bytes 0 .. b: each pass is stable.
 *  2. The result lies in `entries`; after an odd number of passes it is copied back.
 *
 * Rejected: introsort (three times slower on a million positions, and H10's groups of 500 times are
 * already long enough for two or three passes to win); one global sort on (group, time) (five or
 * six passes over all rows from memory, where sorting each group works in cache).
 *
 * Complexity: n * (1 + number of bytes that differ) moves; n^2 / 4 below SMALL.
 */

#include "offline/radix.h"

#include <string.h>

#include "base/poison.h"

enum { SMALL = 48, DIGITS = 256, KEY_BYTES = 8 };

static void insertion_sort(tfn__entry *entries, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        const tfn__entry moving = entries[i];
        size_t at = i;
        while (at > 0 && entries[at - 1].key > moving.key) {
            entries[at] = entries[at - 1];
            at--;
        }
        entries[at] = moving;
    }
}

static void pass(const tfn__entry *from, tfn__entry *to, size_t n, unsigned shift)
{
    size_t starts[DIGITS] = {0};
    for (size_t i = 0; i < n; i++) {
        starts[(from[i].key >> shift) & (DIGITS - 1)]++;
    }
    size_t start = 0;
    for (size_t d = 0; d < DIGITS; d++) {
        const size_t n_digit = starts[d];
        starts[d] = start;
        start += n_digit;
    }
    for (size_t i = 0; i < n; i++) {
        to[starts[(from[i].key >> shift) & (DIGITS - 1)]++] = from[i];
    }
}

void tfn__radix_sort(tfn__entry *entries, tfn__entry *scratch, size_t n)
{
    if (n <= SMALL) {
        insertion_sort(entries, n);
        return;
    }
    uint64_t differing = 0;
    uint64_t is_descending = 0;
    for (size_t i = 1; i < n; i++) {
        differing |= entries[i].key ^ entries[0].key;
        is_descending |= (uint64_t)(entries[i].key < entries[i - 1].key);
    }
    if (is_descending == 0) {
        return;
    }
    tfn__entry *from = entries;
    tfn__entry *to = scratch;
    for (unsigned shift = 0; shift < KEY_BYTES * 8; shift += 8) {
        if (((differing >> shift) & (DIGITS - 1)) == 0) {
            continue;
        }
        pass(from, to, n, shift);
        tfn__entry *swap = from;
        from = to;
        to = swap;
    }
    if (from != entries) {
        memcpy(entries, from, n * sizeof *entries);
    }
}
