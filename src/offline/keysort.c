/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * A radix sort of byte strings, eight bytes at a time from the left.
 *
 *   run of keys that agree up to `depth`
 *     skip what all of them share; take the next 8 bytes as a number; sort by that;
 *     each stretch of equal numbers is a run of its own, 8 bytes deeper
 *
 * Invariants
 *  1. Keys of a run agree in all bytes before its depth.
 *  2. Reading behind the end of a key gives zeros. No key is the beginning of another, so two keys
 *     differ in a byte that both have, and zeros never decide.
 *  3. After skipping, the first byte differs within the run; so a run of two or more splits, and
 *     depth of recursion is at most the key length / 1.
 *
 * Rejected: qsort (its comparison calls memcmp through a pointer, and glibc's allocates).
 */

#include "offline/keysort.h"

#include "base/poison.h"

enum { SMALL = 12, PIECE = 8 };

static uint64_t piece_of(tfn_str key, size_t depth)
{
    uint8_t bytes[PIECE] = {0};
    if (depth < key.n) {
        const size_t n = key.n - depth < PIECE ? key.n - depth : PIECE;
        memcpy(bytes, key.p + depth, n);
    }
    uint64_t number = 0;
    for (size_t i = 0; i < PIECE; i++) {
        number = number << 8 | bytes[i];
    }
    return number;
}

static void insertion_sort(const tfn_str *keys, tfn__entry *run, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        const tfn__entry moving = run[i];
        size_t at = i;
        while (at > 0 && tfn_str_compare(keys[run[at - 1].value], keys[moving.value]) > 0) {
            run[at] = run[at - 1];
            at--;
        }
        run[at] = moving;
    }
}

/* Number of bytes in which all keys of a run agree, from `depth` on counted from the beginning. */
static size_t skip_shared(const tfn_str *keys, const tfn__entry *run, size_t n, size_t depth)
{
    const tfn_str first = keys[run[0].value];
    size_t shared = first.n;
    for (size_t i = 1; i < n && shared > depth; i++) {
        const tfn_str key = keys[run[i].value];
        const size_t most = key.n < shared ? key.n : shared;
        size_t k = depth;
        while (k < most && key.p[k] == first.p[k]) {
            k++;
        }
        shared = k;
    }
    return shared;
}

static void sort_run(const tfn_str *keys, tfn__entry *run, tfn__entry *scratch, size_t n,
                     size_t depth)
{
    if (n <= SMALL) {
        insertion_sort(keys, run, n);
        return;
    }
    depth = skip_shared(keys, run, n, depth);
    for (size_t i = 0; i < n; i++) {
        run[i].key = piece_of(keys[run[i].value], depth);
    }
    tfn__radix_sort(run, scratch, n);
    size_t begin = 0;
    for (size_t i = 1; i <= n; i++) {
        if (i == n || run[i].key != run[begin].key) {
            if (i - begin > 1) {
                sort_run(keys, run + begin, scratch + begin, i - begin, depth + PIECE);
            }
            begin = i;
        }
    }
}

void tfn__keysort(const tfn_str *keys, tfn__entry *order, tfn__entry *scratch, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        order[i] = (tfn__entry){0, (uint32_t)i};
    }
    if (n > 0) {
        sort_run(keys, order, scratch, n, 0);
    }
}
