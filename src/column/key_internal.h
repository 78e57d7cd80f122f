/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_COLUMN_KEY_INTERNAL_H
#define TFN_COLUMN_KEY_INTERNAL_H

/*
 * One value of a key to bytes. key.c (single keys) and keys.c (columns of keys) both write through
 * these, so that there is one encoding; inline, because keys.c calls them once per row.
 */

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "column/key.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "put and get swap bytes");

enum { TFN__KEY_TAG_BYTES = 1, TFN__KEY_END_BYTES = 2 };

/* What a zero byte of a text becomes, and what ends a text. */
static const char TFN__KEY_ZERO[2] = {0x00, (char)0xFF};
static const char TFN__KEY_END[TFN__KEY_END_BYTES] = {0x00, 0x01};

/* Encoded size of a part, tag included; 0 when it depends on the value. */
static inline size_t tfn__key_part_bytes(tfn_type type)
{
    switch (type.kind) {
    case TFN_KIND_BOOL:
        return TFN__KEY_TAG_BYTES + 1;
    case TFN_KIND_INT32:
    case TFN_KIND_DATE:
        return TFN__KEY_TAG_BYTES + 4;
    case TFN_KIND_INT64:
        return TFN__KEY_TAG_BYTES + 8;
    case TFN_KIND_TIMESTAMP:
        return TFN__KEY_TAG_BYTES + 12;
    default:
        return 0;
    }
}

/* Most bytes that a text of n bytes takes as a part. */
static inline size_t tfn__key_text_bytes(size_t n)
{
    return TFN__KEY_TAG_BYTES + 2 * n + TFN__KEY_END_BYTES;
}

/* Is the hash a mix of the value instead of XXH3 of the bytes? */
static inline bool tfn__key_is_hashed_by_value(const tfn_key_plan *plan)
{
    return plan->n_parts == 1 && plan->is_fixed && plan->parts[0].kind != TFN_KIND_TIMESTAMP;
}

static inline void tfn__key_put_u32(char *to, uint32_t value)
{
    const uint32_t big = __builtin_bswap32(value);
    memcpy(to, &big, sizeof big);
}

static inline void tfn__key_put_u64(char *to, uint64_t value)
{
    const uint64_t big = __builtin_bswap64(value);
    memcpy(to, &big, sizeof big);
}

static inline void tfn__key_put_int32(char *to, int64_t value)
{
    tfn__key_put_u32(to, (uint32_t)value ^ UINT32_C(0x80000000));
}

static inline void tfn__key_put_int64(char *to, int64_t value)
{
    tfn__key_put_u64(to, (uint64_t)value ^ UINT64_C(0x8000000000000000));
}

static inline void tfn__key_put_instant(char *to, tfn_instant t)
{
    tfn__key_put_int64(to, t.seconds);
    tfn__key_put_u32(to + 8, (uint32_t)t.nanos);
}

/* One fixed-width part behind its tag; timestamps are in type.unit. */
static inline void tfn__key_put_fixed(char *to, tfn_type type, int64_t value)
{
    to[0] = (char)type.kind;
    switch (type.kind) {
    case TFN_KIND_BOOL:
        to[1] = value != 0;
        return;
    case TFN_KIND_INT64:
        tfn__key_put_int64(to + 1, value);
        return;
    case TFN_KIND_TIMESTAMP:
        tfn__key_put_instant(to + 1, tfn_instant_of(value, (tfn_unit)type.unit));
        return;
    default:
        tfn__key_put_int32(to + 1, value);
        return;
    }
}

/* Text behind its tag, zeros escaped and ended; returns the end. `to` has room for
 * tfn__key_text_bytes(text.n). */
static inline char *tfn__key_put_text(char *to, tfn_type type, tfn_str text)
{
    *to++ = (char)type.kind;
    const char *from = text.p;
    size_t n_left = text.n;
    while (n_left > 0) {
        const char *zero = memchr(from, 0, n_left);
        const size_t n = zero == NULL ? n_left : (size_t)(zero - from);
        memcpy(to, from, n);
        to += n;
        from += n;
        n_left -= n;
        if (zero != NULL) {
            memcpy(to, TFN__KEY_ZERO, TFN__KEY_END_BYTES);
            to += TFN__KEY_END_BYTES;
            from++;
            n_left--;
        }
    }
    memcpy(to, TFN__KEY_END, TFN__KEY_END_BYTES);
    return to + TFN__KEY_END_BYTES;
}

/** TFN_LIMIT: a key of n_bytes is too long. */
tfn_code tfn__key_fail_long(size_t n_bytes, tfn_error *err);

#endif
