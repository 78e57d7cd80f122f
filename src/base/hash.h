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

/** A hash of bytes that come piece by piece; how they are cut does not matter. */
typedef struct tfn_hasher {
    _Alignas(64) uint8_t state[576]; /* XXH3's own */
} tfn_hasher;

/**
 * Begin, add, end. The end gives what tfn_hash128_of gives for all pieces in a row; the hasher may
 * then be begun anew. Allocates nothing.
 *
 * Threads  one at a time per hasher
 * Errors   none
 */
void tfn_hasher_begin(tfn_hasher *h);
void tfn_hasher_add(tfn_hasher *h, const void *bytes, size_t n_bytes);
tfn_hash128 tfn_hasher_end(const tfn_hasher *h);

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
