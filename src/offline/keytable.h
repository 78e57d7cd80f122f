/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_OFFLINE_KEYTABLE_H
#define TFN_OFFLINE_KEYTABLE_H

/*
 * A table of distinct keys: encoded key bytes -> 0, 1, 2, ... in the order of first appearance.
 *
 * Keys are hashed once, by column/key.h; a bucket holds the upper half of the hash, so bytes are
 * compared about once per lookup. The two halves of a lookup are separate functions, so that a
 * kernel can prefetch for a whole block of rows between them.
 *
 * Threads  readers any, while nobody puts; one writer
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "base/str.h"
#include "column/key.h"

#define TFN__NO_ENTRY UINT32_MAX

typedef struct tfn__bucket {
    uint32_t tag;   /* upper 32 bits of the hash */
    uint32_t entry; /* index + 1; 0 = empty */
} tfn__bucket;

typedef struct tfn__keytable {
    tfn__bucket *buckets; /* power of two, linear probing, at most half full */
    uint64_t mask;
    uint32_t n; /* distinct keys */
    bool is_fixed;
    size_t fixed_bytes;
    char *bytes;      /* fixed: key i at i * fixed_bytes; else from begins[i] to begins[i + 1] */
    uint64_t *begins; /* variable keys only; n + 1 of them */
    uint64_t *hashes; /* of key i, so that growing needs no bytes */
    size_t n_bytes;
    size_t byte_capacity;
    size_t begin_capacity;
    size_t hash_capacity;
} tfn__keytable;

/** An empty table for keys of `plan`. Errors TFN_NO_MEMORY; then deinit is still allowed. */
TFN_NODISCARD tfn_code tfn__keytable_init(tfn__keytable *t, const tfn_key_plan *plan,
                                          tfn_error *err);
void tfn__keytable_deinit(tfn__keytable *t);

/**
 * Index of a key, adding it when it is new (then `*entry == t->n - 1` afterwards).
 *
 * Errors   TFN_LIMIT 2^31 keys . TFN_NO_MEMORY; the table is as it was
 */
TFN_NODISCARD tfn_code tfn__keytable_put(tfn__keytable *t, uint64_t hash, tfn_str key,
                                         uint32_t *entry, tfn_error *err);

/** Give back what only a put needs: nothing may be put from then on. Errors none. */
void tfn__keytable_forget_hashes(tfn__keytable *t);

/** Bytes held from the heap. */
int64_t tfn__keytable_get_bytes(const tfn__keytable *t);

static inline tfn_str tfn__keytable_get(const tfn__keytable *t, uint32_t entry)
{
    if (t->is_fixed) {
        return (tfn_str){t->bytes + (size_t)entry * t->fixed_bytes, t->fixed_bytes};
    }
    return (tfn_str){t->bytes + t->begins[entry],
                     (size_t)(t->begins[entry + 1] - t->begins[entry])};
}

static inline uint32_t tfn__keytable_tag(uint64_t hash)
{
    return (uint32_t)(hash >> 32);
}

/* First half of a lookup: the first bucket from `at` on whose tag fits, or an empty one. */
static inline uint64_t tfn__keytable_probe(const tfn__keytable *t, uint64_t at, uint32_t tag)
{
    at &= t->mask;
    while (t->buckets[at].entry != 0 && t->buckets[at].tag != tag) {
        at = (at + 1) & t->mask;
    }
    return at;
}

/* Equality of n bytes, without a call for the keys of one number that most views have. */
static inline bool tfn__keytable_same(const char *a, const char *b, size_t n)
{
    if (n < 8 || n > 16) {
        return n == 0 || memcmp(a, b, n) == 0;
    }
    uint64_t first[2];
    uint64_t last[2]; /* overlaps the first */
    memcpy(&first[0], a, 8);
    memcpy(&first[1], b, 8);
    memcpy(&last[0], a + n - 8, 8);
    memcpy(&last[1], b + n - 8, 8);
    return ((first[0] ^ first[1]) | (last[0] ^ last[1])) == 0;
}

/* Second half: compare bytes, go on probing when they differ. TFN__NO_ENTRY: the key is not there.
 */
static inline uint32_t tfn__keytable_confirm(const tfn__keytable *t, uint64_t at, uint32_t tag,
                                             tfn_str key)
{
    while (t->buckets[at].entry != 0) {
        const uint32_t entry = t->buckets[at].entry - 1;
        const tfn_str known = tfn__keytable_get(t, entry);
        if (known.n == key.n && tfn__keytable_same(known.p, key.p, key.n)) {
            return entry;
        }
        at = tfn__keytable_probe(t, at + 1, tag);
    }
    return TFN__NO_ENTRY;
}

#endif
