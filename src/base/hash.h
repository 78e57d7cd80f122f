/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_BASE_HASH_H
#define TFN_BASE_HASH_H

/*
 * XXH3. Part of stored formats (definition hashes, long online keys), so its outputs never change:
 * XXH3's are frozen since xxHash 0.8.0.
 */

#include <stddef.h>
#include <stdint.h>

typedef struct tfn_hash128 {
    uint8_t bytes[16]; /* canonical form: big endian */
} tfn_hash128;

uint64_t tfn_hash64(const void *bytes, size_t n_bytes);
tfn_hash128 tfn_hash128_of(const void *bytes, size_t n_bytes);

enum { TFN_HASH_TEXT_BYTES = 33 };

/** 32 lower-case hex digits and a NUL. */
void tfn_hash128_format(tfn_hash128 hash, char text[TFN_HASH_TEXT_BYTES]);

/** Well-mixed hash of one integer, for tables in memory only (not part of any format). */
static inline uint64_t tfn_hash_mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    return x;
}

#endif
