/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * A least-significant-digit radix sort of (64-bit key, index).
 *
 * Keys of one call usually share their upper bytes (times of a year, positions in a file), so the
 * bytes in which no two keys differ are found first, and only the others cost a pass.
 *
 * On several threads, one pass on the uppermost bits that differ deals entries out to 256 places first,
 * part of entries by part; then places are sorted side by side, as above.
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

#include "base/parallel.h"
#include "offline/room.h"

#include "base/poison.h"

enum { SMALL = 48, WORTH_THREADS = 1000, CHECK_ENTRIES = 1 << 15, DIGITS = 256, KEY_BYTES = 8 };

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

/* ---- on several threads ---- */

typedef struct dealing {
    tfn_crew *crew;
    tfn__entry *entries;
    tfn__entry *scratch;
    size_t n;
    int64_t n_parts;
    uint64_t *differing;       /* per part: bits in which its keys differ from the first entry's */
    size_t (*starts)[DIGITS];  /* per part: how many of each digit, then where the next one goes */
    size_t begins[DIGITS + 1]; /* of each digit */
    unsigned shift;            /* the digit is the eight bits from here on */
} dealing;

static tfn_code find_differing(void *context, int64_t i_part, tfn_error *err)
{
    const dealing *d = context;
    const tfn_part range = tfn_part_of((int64_t)d->n, i_part, d->n_parts);
    uint64_t differing = 0;
    for (int64_t i = range.begin; i < range.end; i++) {
        if (i % CHECK_ENTRIES == 0) {
            TFN_RETURN_IF_ERROR(tfn_crew_check(d->crew, i, (int64_t)d->n, err));
        }
        differing |= d->entries[i].key ^ d->entries[0].key;
    }
    d->differing[i_part] = differing;
    return TFN_OK;
}

static tfn_code count_digits(void *context, int64_t i_part, tfn_error *err)
{
    const dealing *d = context;
    const tfn_part range = tfn_part_of((int64_t)d->n, i_part, d->n_parts);
    for (int64_t i = range.begin; i < range.end; i++) {
        if (i % CHECK_ENTRIES == 0) {
            TFN_RETURN_IF_ERROR(tfn_crew_check(d->crew, i, (int64_t)d->n, err));
        }
        d->starts[i_part][(d->entries[i].key >> d->shift) & (DIGITS - 1)]++;
    }
    return TFN_OK;
}

static tfn_code deal_out(void *context, int64_t i_part, tfn_error *err)
{
    const dealing *d = context;
    const tfn_part range = tfn_part_of((int64_t)d->n, i_part, d->n_parts);
    size_t *starts = d->starts[i_part];
    for (int64_t i = range.begin; i < range.end; i++) {
        if (i % CHECK_ENTRIES == 0) {
            TFN_RETURN_IF_ERROR(tfn_crew_check(d->crew, i, (int64_t)d->n, err));
        }
        d->scratch[starts[(d->entries[i].key >> d->shift) & (DIGITS - 1)]++] = d->entries[i];
    }
    return TFN_OK;
}

/* Entries of one digit lie in `scratch`; their place in `entries` is the room to sort them. */
static tfn_code sort_digit(void *context, int64_t digit, tfn_error *err)
{
    const dealing *d = context;
    TFN_RETURN_IF_ERROR(tfn_crew_check(d->crew, (int64_t)d->begins[digit], (int64_t)d->n, err));
    const size_t begin = d->begins[digit];
    const size_t n = d->begins[digit + 1] - begin;
    tfn__radix_sort(d->scratch + begin, d->entries + begin, n);
    if (n > 0) {
        memcpy(d->entries + begin, d->scratch + begin, n * sizeof *d->entries);
    }
    return TFN_OK;
}

static tfn_code sort_dealt(dealing *d, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_parallel_run(d->crew, d->n_parts, find_differing, d, err));
    uint64_t differing = 0;
    for (int64_t i = 0; i < d->n_parts; i++) {
        differing |= d->differing[i];
    }
    if (differing == 0) {
        return TFN_OK;
    }
    const unsigned n_bits = 64 - (unsigned)__builtin_clzll(differing);
    d->shift = n_bits > 8 ? n_bits - 8 : 0;
    TFN_RETURN_IF_ERROR(tfn_parallel_run(d->crew, d->n_parts, count_digits, d, err));
    size_t start = 0;
    for (size_t digit = 0; digit < DIGITS; digit++) {
        d->begins[digit] = start;
        for (int64_t i = 0; i < d->n_parts; i++) {
            const size_t n_digit = d->starts[i][digit];
            d->starts[i][digit] = start;
            start += n_digit;
        }
    }
    d->begins[DIGITS] = start;
    TFN_RETURN_IF_ERROR(tfn_parallel_run(d->crew, d->n_parts, deal_out, d, err));
    return tfn_parallel_run(d->crew, DIGITS, sort_digit, d, err);
}

tfn_code tfn__radix_sort_parallel(tfn__entry *entries, tfn__entry *scratch, size_t n,
                                  tfn_crew *crew, tfn_error *err)
{
    const int64_t n_parts = tfn_parallel_get_n_threads(crew->n_threads);
    if (n < WORTH_THREADS) {
        tfn__radix_sort(entries, scratch, n);
        return TFN_OK;
    }
    dealing d = {.crew = crew, .entries = entries, .scratch = scratch, .n = n, .n_parts = n_parts};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn__room((size_t)n_parts, sizeof *d.differing, &d.differing, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__room_zero((size_t)n_parts, sizeof *d.starts, &d.starts, err), done);
    rc = sort_dealt(&d, err);
done:
    tfn_mem_free(d.differing);
    tfn_mem_free(d.starts);
    return rc;
}
