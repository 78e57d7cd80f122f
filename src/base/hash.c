/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* XXH3 behind our own names, inlined from the system's header, so no symbol of it is exported. */

#include "base/hash.h"

#define TFN_ALLOW_MALLOC
#define XXH_INLINE_ALL
#define XXH_NO_STREAM
#include <xxhash.h>

#include "base/poison.h"

uint64_t tfn_hash64(const void *bytes, size_t n_bytes)
{
    return XXH3_64bits(bytes, n_bytes);
}

tfn_hash128 tfn_hash128_of(const void *bytes, size_t n_bytes)
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, n_bytes));
    tfn_hash128 hash;
    for (size_t i = 0; i < sizeof hash.bytes; i++) {
        hash.bytes[i] = canonical.digest[i];
    }
    return hash;
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
