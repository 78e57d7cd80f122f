/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Distinct keys, numbered.
 *
 *   hash --low bits--> buckets  [tag|entry] [tag|entry] [ empty ] ...      8 bytes each
 *                                    |
 *                          entry i   v
 *                       hashes[i], bytes[begins[i] .. begins[i+1])  (or i * fixed_bytes)
 *
 * Invariants
 *  1. At most half of the buckets are used, so every probe ends at an empty one.
 *  2. Entries are numbered 0 .. n - 1 in the order in which their keys first came.
 *  3. A failed put leaves n, n_bytes and all buckets as they were: room is made before anything is
 *     written.
 *
 * Rejected: keys inside the buckets (24 bytes and more per bucket: twice the cache misses on the
 * miss path, and two layouts for fixed and variable keys); chaining (a dependent load per step).
 *
 * Complexity: a put or lookup reads one bucket line and one key; growing moves 8 bytes per bucket
 * and rehashes nothing.
 */

#include "offline/keytable.h"

#include "offline/room.h"

#include "base/poison.h"

enum { FIRST_BUCKETS = 64, MAX_KEYS_LOG2 = 31 };

tfn_code tfn__keytable_init(tfn__keytable *t, const tfn_key_plan *plan, tfn_error *err)
{
    *t = (tfn__keytable){.is_fixed = plan->is_fixed, .fixed_bytes = plan->fixed_bytes};
    TFN_RETURN_IF_ERROR(tfn__room_zero(FIRST_BUCKETS, sizeof(tfn__bucket), &t->buckets, err));
    t->mask = FIRST_BUCKETS - 1;
    return TFN_OK;
}

void tfn__keytable_deinit(tfn__keytable *t)
{
    tfn_mem_free(t->buckets);
    tfn_mem_free(t->bytes);
    tfn_mem_free(t->begins);
    tfn_mem_free(t->hashes);
    *t = (tfn__keytable){0};
}

void tfn__keytable_forget_hashes(tfn__keytable *t)
{
    tfn_mem_free(t->hashes);
    t->hashes = NULL;
    t->hash_capacity = 0;
}

int64_t tfn__keytable_get_bytes(const tfn__keytable *t)
{
    const size_t n_buckets = t->buckets == NULL ? 0 : (size_t)t->mask + 1;
    return (int64_t)(n_buckets * sizeof(tfn__bucket) + t->byte_capacity +
                     (t->begin_capacity + t->hash_capacity) * sizeof(uint64_t));
}

static void place(tfn__bucket *buckets, uint64_t mask, uint64_t hash, uint32_t entry)
{
    uint64_t at = hash & mask;
    while (buckets[at].entry != 0) {
        at = (at + 1) & mask;
    }
    buckets[at] = (tfn__bucket){tfn__keytable_tag(hash), entry + 1};
}

static tfn_code double_buckets(tfn__keytable *t, tfn_error *err)
{
    const size_t n_buckets = ((size_t)t->mask + 1) * 2;
    tfn__bucket *buckets = NULL;
    TFN_RETURN_IF_ERROR(tfn__room_zero(n_buckets, sizeof *buckets, &buckets, err));
    for (uint32_t i = 0; i < t->n; i++) {
        place(buckets, n_buckets - 1, t->hashes[i], i);
    }
    tfn_mem_free(t->buckets);
    t->buckets = buckets;
    t->mask = n_buckets - 1;
    return TFN_OK;
}

/* Room for one key more, of n_bytes. */
static tfn_code reserve(tfn__keytable *t, size_t n_bytes, tfn_error *err)
{
    if (t->n >= (UINT32_C(1) << MAX_KEYS_LOG2) - 1) {
        return TFN_FAIL(err, TFN_LIMIT, "more than 2^31 distinct keys; split the request");
    }
    const size_t n = t->n;
    TFN_RETURN_IF_ERROR(
        tfn__room_grow(&t->hashes, &t->hash_capacity, n + 1, sizeof(uint64_t), err));
    size_t n_wanted = 0;
    if (!tfn_mem_add(t->n_bytes, n_bytes, &n_wanted)) {
        return TFN_FAIL(err, TFN_NO_MEMORY, "keys of more bytes than memory has addresses");
    }
    n_wanted = n_wanted > 0 ? n_wanted : 1; /* the empty key has an address too */
    TFN_RETURN_IF_ERROR(tfn__room_grow(&t->bytes, &t->byte_capacity, n_wanted, 1, err));
    if (!t->is_fixed) {
        TFN_RETURN_IF_ERROR(
            tfn__room_grow(&t->begins, &t->begin_capacity, n + 2, sizeof(uint64_t), err));
    }
    if ((n + 1) * 2 > t->mask + 1) {
        TFN_RETURN_IF_ERROR(double_buckets(t, err));
    }
    return TFN_OK;
}

tfn_code tfn__keytable_put(tfn__keytable *t, uint64_t hash, tfn_str key, uint32_t *entry,
                           tfn_error *err)
{
    const uint32_t tag = tfn__keytable_tag(hash);
    *entry = tfn__keytable_confirm(t, tfn__keytable_probe(t, hash, tag), tag, key);
    if (*entry != TFN__NO_ENTRY) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(reserve(t, key.n, err));
    if (key.n > 0) {
        memcpy(t->bytes + t->n_bytes, key.p, key.n);
    }
    if (!t->is_fixed) {
        t->begins[t->n] = t->n_bytes;
        t->begins[t->n + 1] = t->n_bytes + key.n;
    }
    t->n_bytes += key.n;
    t->hashes[t->n] = hash;
    place(t->buckets, t->mask, hash, t->n);
    *entry = t->n;
    t->n++;
    return TFN_OK;
}
