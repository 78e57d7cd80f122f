/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_COLUMN_KEY_H
#define TFN_COLUMN_KEY_H

/*
 * Keys: the join-key values of a row as bytes whose memcmp order is the values' order.
 *
 * One encoding serves the point-in-time join, latest-per-key and the online store (where these
 * bytes follow the generation number), documented in docs/formats/entity-key.md:
 *
 *   each value: tag (1 byte, tfn_kind) then
 *     bool       1 byte
 *     int32      4 bytes big endian, sign bit flipped       date likewise (days)
 *     int64      8 bytes big endian, sign bit flipped
 *     timestamp  8 bytes seconds (as int64), 4 bytes nanoseconds, both big endian: one form for all
 *                units
 *     string, bytes   bytes with 0x00 written as 0x00 0xFF, ended by 0x00 0x01
 *   values of a composite key follow each other in the order of the view's join keys.
 *
 * A view without entities has the empty key (0 parts, 0 bytes), which every row matches.
 * A row with a null in any part has no key: `ok` is 0 and it never matches.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/limits.h"
#include "column/cell.h"
#include "column/vec.h"

typedef struct tfn_key_plan {
    size_t n_parts;
    tfn_type parts[TFN_MAX_KEY_PARTS]; /* declared types: data of other integer widths, and floats
                                          that hold integers, are converted */
    size_t fixed_bytes;                /* encoded size when every part is fixed-width, else 0 */
    bool is_fixed;                     /* (0 parts: fixed, 0 bytes) */
    const tfn_str *names;              /* [borrow] n_parts names for messages; NULL: by number */
} tfn_key_plan;

/**
 * Errors   TFN_LIMIT too many parts . TFN_SCHEMA a type that cannot be a key
 */
TFN_NODISCARD tfn_code tfn_key_plan_init(tfn_key_plan *plan, const tfn_type *parts, size_t n_parts,
                                         tfn_error *err);

/* Encoded keys of some rows. A zeroed struct is empty; reused from chunk to chunk. */
typedef struct tfn_keys {
    int64_t n;
    uint64_t *hashes; /* as tfn_key_hash. Undefined where !ok */
    uint8_t *ok;      /* 0: a part is null (or cannot be the declared type): matches nothing */
    uint32_t *ends;   /* variable plans: end of row i in bytes (begin = ends[i-1] or 0) */
    char *bytes;      /* fixed plans: row i at i * fixed_bytes */
    size_t fixed_bytes;
    bool is_fixed;
    size_t row_capacity;
    size_t byte_capacity;
} tfn_keys;

void tfn_keys_deinit(tfn_keys *keys);

static inline tfn_str tfn_keys_get(const tfn_keys *k, int64_t i)
{
    if (k->is_fixed) {
        return (tfn_str){k->bytes + (size_t)i * k->fixed_bytes, k->fixed_bytes};
    }
    const uint32_t begin = i == 0 ? 0 : k->ends[i - 1];
    return (tfn_str){k->bytes + begin, k->ends[i] - begin};
}

/**
 * Encode the keys of n rows.
 *
 * @param cols  [borrow] plan->n_parts vectors of n rows each, in plan order. May be of other
 * integer widths than declared (out of range: the row cannot match, ok = 0), of float type holding
 * whole numbers (NaN is a null; a fraction: TFN_SCHEMA), date for timestamp. An infinite date or
 * time matches nothing.
 *
 * Cost     O(bytes); allocates only when a chunk is larger than all before
 * Threads  one at a time per tfn_keys
 * Errors   TFN_SCHEMA part i cannot be read as its declared type . TFN_LIMIT a key longer than
 *          TFN_MAX_KEY_BYTES, or more than 4 GiB in one call . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_keys_encode(tfn_keys *keys, const tfn_key_plan *plan,
                                       const tfn_vec *cols, int64_t n, tfn_error *err);

/**
 * The hash of an encoded key: equal keys of one plan have equal hashes. XXH3-64 of the bytes, or a
 * mix of the value when the plan is one bool, int32, int64 or date. For tables in memory only.
 *
 * @param key  [borrow] as encoded by this plan
 *
 * Threads  any
 * Errors   none
 */
uint64_t tfn_key_hash(const tfn_key_plan *plan, tfn_str key);

/** True when keys of equal hashes are equal: the hash is a mix of one value, which loses nothing; or
 * there is but one key. Threads any. Errors none. */
bool tfn_key_hash_is_exact(const tfn_key_plan *plan);

/**
 * Encode one key from cells (of the declared types; none null; timestamps in the plan's unit).
 *
 * @param out  the key is appended
 *
 * Errors   TFN_LIMIT a key longer than TFN_MAX_KEY_BYTES . TFN_NO_MEMORY; then `out` is as it was
 */
TFN_NODISCARD tfn_code tfn_key_encode_cells(const tfn_key_plan *plan, const tfn_cell *cells,
                                            tfn_buf *out, tfn_error *err);

/**
 * The same into memory of the caller: first the most bytes that a key can take, then its bytes.
 *
 * @param cells    [borrow] as tfn_key_encode_cells
 * @param to       [borrow] room for n_most bytes
 * @param n_bytes  [out] written
 *
 * Cost     O(bytes); allocates nothing
 * Errors   TFN_LIMIT a key longer than TFN_MAX_KEY_BYTES
 */
TFN_NODISCARD tfn_code tfn_key_measure_cells(const tfn_key_plan *plan, const tfn_cell *cells,
                                             size_t *n_most, tfn_error *err);
TFN_NODISCARD tfn_code tfn_key_write_cells(const tfn_key_plan *plan, const tfn_cell *cells,
                                           char *to, size_t *n_bytes, tfn_error *err);

/**
 * Decode one key. Strings are unescaped into the arena. Timestamps come back in `plan`'s unit.
 *
 * @param cells  [out] plan->n_parts cells
 *
 * Errors   TFN_CORRUPT wrong tag, cut short, bytes left over . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_key_decode(const tfn_key_plan *plan, tfn_str key, tfn_arena *arena,
                                      tfn_cell *cells, tfn_error *err);

#endif
