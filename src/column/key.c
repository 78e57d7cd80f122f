/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Keys one by one: plans, hashes, cells to bytes and back. Whole columns of keys are in keys.c.
 *
 * The encoding, and why its byte order is the order of the values, is docs/formats/entity-key.md.
 * A decoded key is exactly one that can be encoded: tags, bools, nanoseconds and escapes are
 * checked and nothing may be left over, so decode-then-encode gives the same bytes (timestamps: in
 * a unit that is fine and wide enough).
 */

#include "column/key.h"

#include <assert.h>

#include "base/hash.h"
#include "column/key_internal.h"

#include "base/poison.h"

enum { NANOS_PER_SECOND = 1000000000 };

tfn_code tfn_key_plan_init(tfn_key_plan *plan, const tfn_type *parts, size_t n_parts,
                           tfn_error *err)
{
    *plan = (tfn_key_plan){.is_fixed = true};
    if (n_parts > TFN_MAX_KEY_PARTS) {
        return TFN_FAIL(err, TFN_LIMIT, "a key of %zu columns; at most %d are allowed", n_parts,
                        TFN_MAX_KEY_PARTS);
    }
    for (size_t i = 0; i < n_parts; i++) {
        if (!tfn_type_is_key(parts[i])) {
            char name[TFN_TYPE_TEXT_BYTES];
            tfn_type_format(parts[i], name);
            return TFN_FAIL(err, TFN_SCHEMA,
                            "a join key cannot be of type %s; it may be int32, int64, string, "
                            "bytes, bool, date or timestamp",
                            name);
        }
        plan->parts[i] = parts[i];
        plan->fixed_bytes += tfn__key_part_bytes(parts[i]);
        plan->is_fixed = plan->is_fixed && tfn__key_part_bytes(parts[i]) > 0;
    }
    plan->n_parts = n_parts;
    plan->fixed_bytes = plan->is_fixed ? plan->fixed_bytes : 0;
    return TFN_OK;
}

static uint32_t get_u32(const char *from)
{
    uint32_t big = 0;
    memcpy(&big, from, sizeof big);
    return __builtin_bswap32(big);
}

static uint64_t get_u64(const char *from)
{
    uint64_t big = 0;
    memcpy(&big, from, sizeof big);
    return __builtin_bswap64(big);
}

static int64_t get_int32(const char *from)
{
    return (int32_t)(get_u32(from) ^ UINT32_C(0x80000000));
}

static int64_t get_int64(const char *from)
{
    return (int64_t)(get_u64(from) ^ UINT64_C(0x8000000000000000));
}

tfn_code tfn__key_fail_long(size_t n_bytes, tfn_error *err)
{
    return TFN_FAIL(err, TFN_LIMIT, "a key of %zu bytes; at most %d are allowed", n_bytes,
                    TFN_MAX_KEY_BYTES);
}

uint64_t tfn_key_hash(const tfn_key_plan *plan, tfn_str key)
{
    if (!tfn__key_is_hashed_by_value(plan)) {
        return tfn_hash64(key.p, key.n);
    }
    switch (plan->parts[0].kind) {
    case TFN_KIND_BOOL:
        return tfn_hash_mix((uint64_t)(unsigned char)key.p[1]);
    case TFN_KIND_INT64:
        return tfn_hash_mix((uint64_t)get_int64(key.p + 1));
    default:
        return tfn_hash_mix((uint64_t)get_int32(key.p + 1));
    }
}

bool tfn_key_hash_is_exact(const tfn_key_plan *plan)
{
    return plan->n_parts == 0 || tfn__key_is_hashed_by_value(plan);
}

tfn_code tfn_key_measure_cells(const tfn_key_plan *plan, const tfn_cell *cells, size_t *n_most,
                               tfn_error *err)
{
    *n_most = plan->fixed_bytes;
    if (plan->is_fixed) {
        return TFN_OK;
    }
    for (size_t k = 0; k < plan->n_parts; k++) {
        assert(!cells[k].is_null);
        const size_t n_fixed = tfn__key_part_bytes(plan->parts[k]);
        if (n_fixed == 0 && cells[k].bytes.n > TFN_MAX_KEY_BYTES) {
            return tfn__key_fail_long(cells[k].bytes.n, err);
        }
        *n_most += n_fixed > 0 ? n_fixed : tfn__key_text_bytes(cells[k].bytes.n);
    }
    return TFN_OK;
}

tfn_code tfn_key_write_cells(const tfn_key_plan *plan, const tfn_cell *cells, char *to,
                             size_t *n_bytes, tfn_error *err)
{
    char *end = to;
    for (size_t k = 0; k < plan->n_parts; k++) {
        const size_t n_fixed = tfn__key_part_bytes(plan->parts[k]);
        if (n_fixed > 0) {
            tfn__key_put_fixed(end, plan->parts[k], (int64_t)cells[k].bits);
            end += n_fixed;
        } else {
            end = tfn__key_put_text(end, plan->parts[k], cells[k].bytes);
        }
    }
    *n_bytes = (size_t)(end - to);
    return *n_bytes > TFN_MAX_KEY_BYTES ? tfn__key_fail_long(*n_bytes, err) : TFN_OK;
}

tfn_code tfn_key_encode_cells(const tfn_key_plan *plan, const tfn_cell *cells, tfn_buf *out,
                              tfn_error *err)
{
    size_t n_most = 0;
    size_t n_bytes = 0;
    char *room = NULL;
    TFN_RETURN_IF_ERROR(tfn_key_measure_cells(plan, cells, &n_most, err));
    const size_t n_before = out->n;
    TFN_RETURN_IF_ERROR(tfn_buf_add_room(out, n_most, &room, err));
    const tfn_code rc = tfn_key_write_cells(plan, cells, room, &n_bytes, err);
    out->n = rc == TFN_OK ? n_before + n_bytes : n_before;
    out->p[out->n] = '\0';
    return rc;
}

/* What is left of a key that is being decoded. */
typedef struct key_reader {
    const char *p;
    size_t n;
} key_reader;

static tfn_code fail_key(size_t i_part, const char *what, tfn_error *err)
{
    return TFN_FAIL(err, TFN_CORRUPT, "an encoded key, part %zu: %s", i_part + 1, what);
}

static tfn_code decode_fixed(key_reader *r, tfn_type type, size_t i_part, tfn_cell *out,
                             tfn_error *err)
{
    const size_t n_bytes = tfn__key_part_bytes(type);
    if (r->n < n_bytes) {
        return fail_key(i_part, "the value is cut short", err);
    }
    const char *from = r->p + TFN__KEY_TAG_BYTES;
    r->p += n_bytes;
    r->n -= n_bytes;
    if (type.kind == TFN_KIND_BOOL) {
        if ((unsigned char)from[0] > 1) {
            return fail_key(i_part, "a bool that is neither 0 nor 1", err);
        }
        out->bits = (uint64_t)from[0];
    } else if (type.kind == TFN_KIND_INT64) {
        out->bits = (uint64_t)get_int64(from);
    } else if (type.kind == TFN_KIND_TIMESTAMP) {
        const uint32_t nanos = get_u32(from + 8);
        if (nanos >= NANOS_PER_SECOND) {
            return fail_key(i_part, "a time of a billion nanoseconds or more", err);
        }
        const tfn_instant t = {get_int64(from), (int32_t)nanos};
        out->bits = (uint64_t)tfn_instant_to(t, (tfn_unit)type.unit);
    } else {
        out->bits = (uint64_t)get_int32(from);
    }
    return TFN_OK;
}

/* Bytes of the text up to its end mark, escapes counted as one; false when it has no proper end. */
static bool measure_text(key_reader r, size_t *n_raw, size_t *n_encoded)
{
    *n_raw = 0;
    size_t i = 0;
    while (i < r.n) {
        if (r.p[i] != 0) {
            i++;
            *n_raw += 1;
            continue;
        }
        if (i + 1 == r.n) {
            return false;
        }
        if (r.p[i + 1] == TFN__KEY_END[1]) {
            *n_encoded = i + TFN__KEY_END_BYTES;
            return true;
        }
        if (r.p[i + 1] != TFN__KEY_ZERO[1]) {
            return false;
        }
        i += TFN__KEY_END_BYTES;
        *n_raw += 1;
    }
    return false;
}

static tfn_code decode_text(key_reader *r, size_t i_part, tfn_arena *arena, tfn_cell *out,
                            tfn_error *err)
{
    r->p += TFN__KEY_TAG_BYTES;
    r->n -= TFN__KEY_TAG_BYTES;
    size_t n_raw = 0;
    size_t n_encoded = 0;
    if (!measure_text(*r, &n_raw, &n_encoded)) {
        return fail_key(i_part, "the text has no proper end", err);
    }
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, n_raw + 1, 1, &p, err));
    char *to = p;
    for (size_t i = 0; i < n_encoded - TFN__KEY_END_BYTES; i++) {
        *to++ = r->p[i];
        i += r->p[i] == 0 ? 1 : 0;
    }
    *to = '\0';
    out->bytes = (tfn_str){p, n_raw};
    r->p += n_encoded;
    r->n -= n_encoded;
    return TFN_OK;
}

tfn_code tfn_key_decode(const tfn_key_plan *plan, tfn_str key, tfn_arena *arena, tfn_cell *cells,
                        tfn_error *err)
{
    key_reader r = {key.p, key.n};
    for (size_t k = 0; k < plan->n_parts; k++) {
        const tfn_type type = plan->parts[k];
        cells[k] = (tfn_cell){0};
        if (r.n == 0 || (unsigned char)r.p[0] != type.kind) {
            return fail_key(k, r.n == 0 ? "missing" : "another type than planned", err);
        }
        if (tfn__key_part_bytes(type) > 0) {
            TFN_RETURN_IF_ERROR(decode_fixed(&r, type, k, &cells[k], err));
        } else {
            TFN_RETURN_IF_ERROR(decode_text(&r, k, arena, &cells[k], err));
        }
    }
    if (r.n > 0) {
        return fail_key(plan->n_parts, "bytes are left over behind the last one", err);
    }
    return TFN_OK;
}
