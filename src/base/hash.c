/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* XXH3 behind our own names, inlined from the system's header, so no symbol of it is exported. */

#include "base/hash.h"

#include <assert.h>
#include <stdalign.h>

#define TFN_ALLOW_MALLOC
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/poison.h"

uint64_t tfn_hash64(const void *bytes, size_t n_bytes)
{
    return XXH3_64bits(bytes, n_bytes);
}

static_assert(sizeof(XXH3_state_t) == sizeof(tfn_hasher), "room for XXH3's state");
static_assert(alignof(XXH3_state_t) <= alignof(tfn_hasher), "XXH3's state is aligned");

static tfn_hash128 make_canonical(XXH128_hash_t found)
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, found);
    tfn_hash128 hash;
    for (size_t i = 0; i < sizeof hash.bytes; i++) {
        hash.bytes[i] = canonical.digest[i];
    }
    return hash;
}

tfn_hash128 tfn_hash128_of(const void *bytes, size_t n_bytes)
{
    return make_canonical(XXH3_128bits(bytes, n_bytes));
}

/* XXH3 documents that its state may lie in any memory of its size and alignment. */
static XXH3_state_t *get_state(tfn_hasher *h)
{
    return (XXH3_state_t *)(void *)h->state;
}

void tfn_hasher_begin(tfn_hasher *h)
{
    XXH3_INITSTATE(get_state(h));
    (void)XXH3_128bits_reset(get_state(h));
}

void tfn_hasher_add(tfn_hasher *h, const void *bytes, size_t n_bytes)
{
    if (n_bytes > 0) {
        (void)XXH3_128bits_update(get_state(h), bytes, n_bytes);
    }
}

tfn_hash128 tfn_hasher_end(const tfn_hasher *h)
{
    return make_canonical(XXH3_128bits_digest((const XXH3_state_t *)(const void *)h->state));
}

void tfn_hash128_format(tfn_hash128 hash, char text[TFN_HASH_TEXT_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof hash.bytes; i++) {
        text[2 * i] = digits[hash.bytes[i] >> 4];
        text[2 * i + 1] = digits[hash.bytes[i] & 15u];
    }
    text[32] = '\0';
}
