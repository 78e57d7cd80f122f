/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Columns of keys: the hot loop of every join, scan and load.
 *
 * Rows are encoded in blocks of BLOCK_ROWS, column by column, so that a block stays in the L1
 * cache:
 *
 *   load    a fixed-width column -> int64 values (kept in `hashes`, which are not needed yet) and
 *           `ok`; one tight loop per number type
 *   put     values -> bytes at row * fixed_bytes + the part's offset; one loop per part kind
 *   hash    one part of an integer kind: mix of the value; else XXH3 of the row's bytes
 *
 * Plans with strings have rows of different lengths, so they are encoded row by row; the plan of a
 * single string part has a loop of its own.
 *
 * Invariants
 *  1. ok[i] == 0 rows have undefined bytes (fixed plans) or none (others), and undefined hashes.
 *  2. bytes is never NULL after tfn_keys_encode, so that the empty key is a valid tfn_str.
 *  3. tfn_key_hash(plan, tfn_keys_get(keys, i)) == hashes[i] where ok[i].
 */

#include "column/key.h"

#include <assert.h>
#include <inttypes.h>

#include "base/hash.h"
#include "base/mem.h"
#include "column/key_internal.h"

#include "base/poison.h"

enum { BLOCK_ROWS = 1024, SECONDS_PER_DAY = 86400 };

/* ---- load: a fixed-width column to int64 values ---- */

/* ok of rows begin .. begin + n - 1 of a vector: 1 where valid. */
static void load_ok(const tfn_vec *v, int64_t begin, int64_t n, uint8_t *ok)
{
    if (v->validity == NULL) {
        memset(ok, 1, (size_t)n);
        return;
    }
    const uint64_t first = (uint64_t)(v->offset + begin);
    for (uint64_t i = 0; i < (uint64_t)n; i++) {
        const uint64_t at = first + i;
        ok[i] = (v->validity[at >> 3] >> (at & 7u)) & 1u;
    }
}

/* Values of one integer type, widened. */
#define LOAD_LOOP(T)                                                                               \
    for (int64_t i = 0; i < n; i++) {                                                              \
        T value;                                                                                   \
        memcpy(&value, from + (size_t)i * sizeof(T), sizeof(T));                                   \
        values[i] = (int64_t)value;                                                                \
    }                                                                                              \
    return

static void load_numbers(const tfn_vec *v, int64_t begin, int64_t n, int64_t *values)
{
    static const uint8_t widths[] = {
        [TFN_NUMBER_I8] = 1,  [TFN_NUMBER_U8] = 1,  [TFN_NUMBER_I16] = 2,
        [TFN_NUMBER_U16] = 2, [TFN_NUMBER_I32] = 4, [TFN_NUMBER_U32] = 4,
        [TFN_NUMBER_I64] = 8, [TFN_NUMBER_U64] = 8, [TFN_NUMBER_DATE64] = 8};
    const char *from = v->data;
    if (v->layout == TFN_LAYOUT_FIXED && v->number < sizeof widths) {
        from += (size_t)(v->offset + begin) * widths[v->number];
    }
    switch (v->layout == TFN_LAYOUT_FIXED ? v->number : TFN_NUMBER_NONE) {
    case TFN_NUMBER_I8:
        LOAD_LOOP(int8_t);
    case TFN_NUMBER_I16:
        LOAD_LOOP(int16_t);
    case TFN_NUMBER_I32:
        LOAD_LOOP(int32_t);
    case TFN_NUMBER_I64:
        LOAD_LOOP(int64_t);
    case TFN_NUMBER_U8:
        LOAD_LOOP(uint8_t);
    case TFN_NUMBER_U16:
        LOAD_LOOP(uint16_t);
    case TFN_NUMBER_U32:
        LOAD_LOOP(uint32_t);
    default: /* U64 (checked by drop_misfits), DATE64, bits */
        for (int64_t i = 0; i < n; i++) {
            values[i] = tfn_vec_get_int(v, begin + i);
        }
    }
}

/* ok = 0 for what the declared type cannot hold and for infinite times. */
static void drop_misfits(const tfn_vec *v, int64_t begin, int64_t n, tfn_type type,
                         const int64_t *values, uint8_t *ok)
{
    const bool is_narrow = type.kind == TFN_KIND_INT32 || type.kind == TFN_KIND_DATE;
    const bool is_wide = v->number == TFN_NUMBER_I64 || v->number == TFN_NUMBER_U32 ||
                         v->number == TFN_NUMBER_U64 || v->number == TFN_NUMBER_DATE64;
    if (is_narrow && is_wide) {
        for (int64_t i = 0; i < n; i++) {
            ok[i] = (uint8_t)(ok[i] & (values[i] >= INT32_MIN && values[i] <= INT32_MAX));
        }
    }
    if (v->number == TFN_NUMBER_U64) {
        for (int64_t i = 0; i < n; i++) {
            ok[i] = (uint8_t)(ok[i] & tfn_vec_fits(v, begin + i));
        }
    }
    if (v->has_infinity) {
        const int64_t infinity = v->type.kind == TFN_KIND_DATE ? INT32_MAX : INT64_MAX;
        for (int64_t i = 0; i < n; i++) {
            ok[i] = (uint8_t)(ok[i] & (values[i] != infinity && values[i] != -infinity));
        }
    }
}

/* Floats that hold whole numbers: pandas makes them of integers with nulls. */
static tfn_code load_floats(const tfn_vec *v, int64_t begin, int64_t n, tfn_type type,
                            int64_t *values, uint8_t *ok, tfn_error *err)
{
    const bool is_narrow = type.kind == TFN_KIND_INT32;
    const double least = is_narrow ? (double)INT32_MIN : -9223372036854775808.0;
    const double too_much = is_narrow ? 2147483648.0 : 9223372036854775808.0;
    for (int64_t i = 0; i < n; i++) {
        const double value = ok[i] ? tfn_vec_get_float(v, begin + i) : 0.0;
        if (!(value >= least && value < too_much)) { /* NaN, infinities, out of range */
            ok[i] = 0;
            values[i] = 0;
            continue;
        }
        values[i] = (int64_t)value;
        if ((double)values[i] != value) {
            return TFN_FAIL(err, TFN_SCHEMA,
                            "value %.17g is not a whole number, as %s keys must be", value,
                            is_narrow ? "int32" : "int64");
        }
    }
    return TFN_OK;
}

/* Can a column of type `found` be read as a key part of type `declared`? */
static bool key_can_read(tfn_type declared, tfn_type found)
{
    const bool is_integer = declared.kind == TFN_KIND_INT32 || declared.kind == TFN_KIND_INT64;
    const bool from_float = found.kind == TFN_KIND_FLOAT32 || found.kind == TFN_KIND_FLOAT64;
    return tfn_type_can_read(declared, found) || (is_integer && from_float && !found.is_list);
}

/* A fixed-width column of any type that key_can_read accepts. `unit_out` is the unit of timestamps
 * in `values` (dates become seconds). */
static tfn_code load(const tfn_vec *v, int64_t begin, int64_t n, tfn_type type, int64_t *values,
                     uint8_t *ok, uint8_t *unit_out, tfn_error *err)
{
    *unit_out = v->type.unit;
    if (v->layout == TFN_LAYOUT_NONE) {
        memset(ok, 0, (size_t)n);
        memset(values, 0, (size_t)n * sizeof *values);
        return TFN_OK;
    }
    load_ok(v, begin, n, ok);
    if (v->type.kind == TFN_KIND_FLOAT32 || v->type.kind == TFN_KIND_FLOAT64) {
        return load_floats(v, begin, n, type, values, ok, err);
    }
    load_numbers(v, begin, n, values);
    drop_misfits(v, begin, n, type, values, ok);
    if (type.kind == TFN_KIND_TIMESTAMP && v->type.kind == TFN_KIND_DATE) {
        *unit_out = TFN_UNIT_S;
        for (int64_t i = 0; i < n; i++) {
            values[i] *= SECONDS_PER_DAY; /* an int32 of days: no overflow */
        }
    }
    return TFN_OK;
}

/* ---- put: values to rows of bytes ---- */

static void put_column(tfn_type type, const int64_t *values, int64_t n, size_t stride, char *to)
{
    const char tag = (char)type.kind;
    if (type.kind == TFN_KIND_INT64) {
        for (int64_t i = 0; i < n; i++, to += stride) {
            to[0] = tag;
            tfn__key_put_int64(to + 1, values[i]);
        }
        return;
    }
    if (type.kind == TFN_KIND_INT32 || type.kind == TFN_KIND_DATE) {
        for (int64_t i = 0; i < n; i++, to += stride) {
            to[0] = tag;
            tfn__key_put_int32(to + 1, values[i]);
        }
        return;
    }
    for (int64_t i = 0; i < n; i++, to += stride) {
        tfn__key_put_fixed(to, type, values[i]);
    }
}

/* "key column 'driver_id'", or by number when the plan has no names. */
static void prepend_part(size_t i_part, const tfn_key_plan *plan, tfn_error *err)
{
    if (plan->names != NULL) {
        tfn_error_prepend(err, "key column '%.*s': ", TFN_STR_ARG(plan->names[i_part]));
    } else {
        tfn_error_prepend(err, "key column %zu of %zu: ", i_part + 1, plan->n_parts);
    }
}

static tfn_code fail_part(size_t i_part, const tfn_key_plan *plan, tfn_type found, tfn_error *err)
{
    char declared_name[TFN_TYPE_TEXT_BYTES];
    char found_name[TFN_TYPE_TEXT_BYTES];
    tfn_type_format(plan->parts[i_part], declared_name);
    tfn_type_format(found, found_name);
    const tfn_code rc =
        TFN_FAIL(err, TFN_SCHEMA, "declared as %s, found %s", declared_name, found_name);
    prepend_part(i_part, plan, err);
    return rc;
}

static tfn_code fail_in_part(size_t i_part, const tfn_key_plan *plan, tfn_code rc, tfn_error *err)
{
    prepend_part(i_part, plan, err);
    return rc;
}

/* Rows begin .. begin + n - 1 (n <= BLOCK_ROWS) of a plan whose parts are all fixed-width. */
static tfn_code encode_fixed_block(tfn_keys *keys, const tfn_key_plan *plan, const tfn_vec *cols,
                                   int64_t begin, int64_t n, tfn_error *err)
{
    char *rows = keys->bytes + (size_t)begin * plan->fixed_bytes;
    uint64_t *hashes = keys->hashes + begin;
    int64_t *values = (int64_t *)hashes; /* signed and unsigned of one type may alias */
    uint8_t *ok = keys->ok + begin;
    uint8_t part_ok[BLOCK_ROWS];
    size_t offset = 0;
    memset(ok, 1, (size_t)n);
    for (size_t k = 0; k < plan->n_parts; k++) {
        tfn_type type = plan->parts[k];
        uint8_t unit = 0;
        const tfn_code rc = load(&cols[k], begin, n, type, values, part_ok, &unit, err);
        if (rc != TFN_OK) {
            return fail_in_part(k, plan, rc, err);
        }
        type.unit = unit;
        for (int64_t i = 0; i < n; i++) {
            ok[i] &= part_ok[i];
        }
        put_column(type, values, n, plan->fixed_bytes, rows + offset);
        offset += tfn__key_part_bytes(type);
    }
    if (tfn__key_is_hashed_by_value(plan)) {
        for (int64_t i = 0; i < n; i++) {
            hashes[i] = tfn_hash_mix((uint64_t)values[i]);
        }
        return TFN_OK;
    }
    for (int64_t i = 0; i < n; i++) {
        hashes[i] = tfn_hash64(rows + (size_t)i * plan->fixed_bytes, plan->fixed_bytes);
    }
    return TFN_OK;
}

static tfn_code encode_fixed(tfn_keys *keys, const tfn_key_plan *plan, const tfn_vec *cols,
                             int64_t n, tfn_error *err)
{
    for (int64_t begin = 0; begin < n; begin += BLOCK_ROWS) {
        const int64_t n_block = n - begin < BLOCK_ROWS ? n - begin : BLOCK_ROWS;
        TFN_RETURN_IF_ERROR(encode_fixed_block(keys, plan, cols, begin, n_block, err));
    }
    return TFN_OK;
}

/* ---- rows with strings ---- */

/* Room for n_more bytes behind n_used; offsets into bytes must stay below 4 GiB. */
static tfn_code reserve_bytes(tfn_keys *keys, size_t n_used, size_t n_more, tfn_error *err)
{
    size_t n_wanted = 0;
    if (!tfn_mem_add(n_used, n_more, &n_wanted) || n_wanted > UINT32_MAX) {
        return TFN_FAIL(err, TFN_LIMIT, "the keys of one call take more than 4 GiB");
    }
    if (n_wanted <= keys->byte_capacity) {
        return TFN_OK;
    }
    void *p = keys->bytes;
    const tfn_code rc = tfn_mem_grow(&p, &keys->byte_capacity, n_wanted, 1, err);
    keys->bytes = p;
    return rc;
}

/* Room for one text part behind n_used. */
static tfn_code reserve_text(tfn_keys *keys, size_t n_used, tfn_str text, tfn_error *err)
{
    if (text.n > TFN_MAX_KEY_BYTES) {
        return tfn__key_fail_long(text.n, err);
    }
    return reserve_bytes(keys, n_used, tfn__key_text_bytes(text.n), err);
}

/* The plan of one string or bytes part. */
static tfn_code encode_text(tfn_keys *keys, const tfn_key_plan *plan, const tfn_vec *v, int64_t n,
                            tfn_error *err)
{
    const tfn_type type = plan->parts[0];
    size_t n_used = 0;
    for (int64_t i = 0; i < n; i++) {
        keys->ok[i] = tfn_vec_is_valid(v, i);
        if (keys->ok[i]) {
            const tfn_str text = tfn_vec_get_str(v, i);
            TFN_RETURN_IF_ERROR(reserve_text(keys, n_used, text, err));
            char *begin = keys->bytes + n_used;
            const size_t n_bytes = (size_t)(tfn__key_put_text(begin, type, text) - begin);
            if (n_bytes > TFN_MAX_KEY_BYTES) {
                return tfn__key_fail_long(n_bytes, err);
            }
            keys->hashes[i] = tfn_hash64(begin, n_bytes);
            n_used += n_bytes;
        }
        keys->ends[i] = (uint32_t)n_used;
    }
    return TFN_OK;
}

/* Part k of row i behind *n_used; ok_out is 0 when it is null or does not fit. */
static tfn_code encode_part(tfn_keys *keys, const tfn_vec *v, tfn_type type, int64_t i,
                            size_t *n_used, uint8_t *ok_out, tfn_error *err)
{
    const size_t n_fixed = tfn__key_part_bytes(type);
    if (n_fixed == 0) {
        *ok_out = tfn_vec_is_valid(v, i);
        if (*ok_out) {
            const tfn_str text = tfn_vec_get_str(v, i);
            TFN_RETURN_IF_ERROR(reserve_text(keys, *n_used, text, err));
            char *begin = keys->bytes + *n_used;
            *n_used += (size_t)(tfn__key_put_text(begin, type, text) - begin);
        }
        return TFN_OK;
    }
    int64_t value = 0;
    uint8_t unit = 0;
    TFN_RETURN_IF_ERROR(load(v, i, 1, type, &value, ok_out, &unit, err));
    if (*ok_out) {
        TFN_RETURN_IF_ERROR(reserve_bytes(keys, *n_used, n_fixed, err));
        type.unit = unit;
        tfn__key_put_fixed(keys->bytes + *n_used, type, value);
        *n_used += n_fixed;
    }
    return TFN_OK;
}

/* Any plan with a string or bytes part. */
static tfn_code encode_general(tfn_keys *keys, const tfn_key_plan *plan, const tfn_vec *cols,
                               int64_t n, tfn_error *err)
{
    size_t n_used = 0;
    for (int64_t i = 0; i < n; i++) {
        const size_t begin = n_used;
        uint8_t ok = 1;
        for (size_t k = 0; k < plan->n_parts && ok; k++) {
            const tfn_code rc = encode_part(keys, &cols[k], plan->parts[k], i, &n_used, &ok, err);
            if (rc != TFN_OK) {
                return fail_in_part(k, plan, rc, err);
            }
        }
        keys->ok[i] = ok;
        if (ok) {
            if (n_used - begin > TFN_MAX_KEY_BYTES) {
                return tfn__key_fail_long(n_used - begin, err);
            }
            keys->hashes[i] = tfn_hash64(keys->bytes + begin, n_used - begin);
        } else {
            n_used = begin;
        }
        keys->ends[i] = (uint32_t)n_used;
    }
    return TFN_OK;
}

/* ---- the whole ---- */

void tfn_keys_deinit(tfn_keys *keys)
{
    tfn_mem_free(keys->hashes);
    tfn_mem_free(keys->ok);
    tfn_mem_free(keys->ends);
    tfn_mem_free(keys->bytes);
    *keys = (tfn_keys){0};
}

/* Room for n rows, and for `ends` when the plan needs them. On an error all is as before. */
static tfn_code reserve_rows(tfn_keys *keys, size_t n, bool needs_ends, tfn_error *err)
{
    const bool grows = n > keys->row_capacity;
    const size_t n_rows = grows ? n : keys->row_capacity;
    tfn_code rc = TFN_OK;
    void *p = keys->hashes;
    if (grows) {
        rc = tfn_mem_realloc_array(&p, n_rows, sizeof *keys->hashes, err);
        keys->hashes = p;
    }
    p = keys->ok;
    if (rc == TFN_OK && grows) {
        rc = tfn_mem_realloc_array(&p, n_rows, sizeof *keys->ok, err);
        keys->ok = p;
    }
    p = keys->ends;
    if (rc == TFN_OK && (grows ? needs_ends || p != NULL : needs_ends && p == NULL)) {
        rc = tfn_mem_realloc_array(&p, n_rows, sizeof *keys->ends, err);
        keys->ends = p;
    }
    keys->row_capacity = rc == TFN_OK ? n_rows : keys->row_capacity;
    return rc;
}

tfn_code tfn_keys_encode(tfn_keys *keys, const tfn_key_plan *plan, const tfn_vec *cols, int64_t n,
                         tfn_error *err)
{
    assert(n >= 0);
    keys->n = 0;
    keys->is_fixed = plan->is_fixed;
    keys->fixed_bytes = plan->fixed_bytes;
    for (size_t k = 0; k < plan->n_parts; k++) {
        if (!key_can_read(plan->parts[k], cols[k].type)) {
            return fail_part(k, plan, cols[k].type, err);
        }
    }
    TFN_RETURN_IF_ERROR(reserve_rows(keys, n > 0 ? (size_t)n : 1, !plan->is_fixed, err));
    size_t n_bytes = 0;
    if (!tfn_mem_mul((size_t)n, plan->fixed_bytes, &n_bytes)) {
        return TFN_FAIL(err, TFN_NO_MEMORY, "keys of %" PRId64 " rows were asked for", n);
    }
    if (n_bytes > keys->byte_capacity || keys->bytes == NULL) {
        void *p = keys->bytes;
        const tfn_code rc =
            tfn_mem_grow(&p, &keys->byte_capacity, n_bytes > 0 ? n_bytes : 1, 1, err);
        keys->bytes = p;
        TFN_RETURN_IF_ERROR(rc);
    }
    if (plan->is_fixed) {
        TFN_RETURN_IF_ERROR(encode_fixed(keys, plan, cols, n, err));
    } else if (plan->n_parts == 1) {
        TFN_RETURN_IF_ERROR(encode_text(keys, plan, cols, n, err));
    } else {
        TFN_RETURN_IF_ERROR(encode_general(keys, plan, cols, n, err));
    }
    keys->n = n;
    return TFN_OK;
}
