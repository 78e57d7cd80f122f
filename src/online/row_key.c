/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Keys of database `rows`:
 *
 *   u32 generation, big endian | encoded key (column/key.h)            up to 400 bytes in all
 *   u32 generation, big endian | 0xFF | XXH3-128 of the encoded key    above
 *
 * An encoded key is empty or begins with a type tag below 0x20, so the two forms cannot meet. Rows
 * of a generation lie together, plain ones in key order. LMDB's own limit is 511 bytes.
 */

#include <string.h>

#include "base/hash.h"
#include "base/limits.h"
#include "online/bytes.h"
#include "online/lmdb_internal.h"

#include "base/poison.h"

enum { GENERATION_BYTES = 4, HASHED_MARK = 0xFF };

bool tfn__row_key_is_hashed(tfn_str row_key)
{
    return row_key.n > GENERATION_BYTES && (uint8_t)row_key.p[GENERATION_BYTES] == HASHED_MARK;
}

tfn_code tfn__row_key_make(uint32_t generation, tfn_str key, tfn__row_key *out, tfn_error *err)
{
    if (key.n > TFN_MAX_KEY_BYTES) {
        return TFN_FAIL(err, TFN_LIMIT,
                        "an entity key has %zu bytes; at most TFN_MAX_KEY_BYTES = %d are allowed",
                        key.n, TFN_MAX_KEY_BYTES);
    }
    tfn__set_u32_be(out->bytes, generation);
    out->is_hashed = GENERATION_BYTES + key.n > TFN__ROW_KEY_BYTES;
    if (out->is_hashed) {
        const tfn_hash128 hash = tfn_hash128_of(key.p, key.n);
        out->bytes[GENERATION_BYTES] = HASHED_MARK;
        memcpy(out->bytes + GENERATION_BYTES + 1, hash.bytes, sizeof hash.bytes);
        out->n = GENERATION_BYTES + 1 + sizeof hash.bytes;
        return TFN_OK;
    }
    if (key.n > 0) {
        memcpy(out->bytes + GENERATION_BYTES, key.p, key.n);
    }
    out->n = GENERATION_BYTES + key.n;
    return TFN_OK;
}
