/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Keys and fields as Feast names them (docs/formats/redis.md).
 *
 *   u32 number of join keys | per join key: u32 2, u32 bytes, name | per value: u32 type, u32
 *   bytes, value | project, to the end
 *
 * All little endian; join keys are sorted by name, which is the same for all rows of a view: the
 * part before the values is made once. Nothing separates the project from the last value, so
 * whether a key belongs to a project is found by walking through it.
 *
 * A view without entities has in Feast one join key "__dummy_id" whose value is the empty string.
 *
 * Cost: a decode of our key and a copy, about 0.1 microseconds.
 */

#include "online/redis_key.h"

#include <string.h>

#include "online/bytes.h"

#include "base/poison.h"

/* feast.types.ValueType. */
enum {
    FEAST_BYTES = 1,
    FEAST_STRING = 2,
    FEAST_INT32 = 3,
    FEAST_INT64 = 4,
    FEAST_UNIX_TIMESTAMP = 8
};

enum { INT_BYTES = 4, LONG_BYTES = 8, PAIR_BYTES = 8 };

static uint32_t feast_type_of(tfn_type type)
{
    switch (type.is_list ? TFN_KIND_NONE : type.kind) {
    case TFN_KIND_BYTES:
        return FEAST_BYTES;
    case TFN_KIND_STRING:
        return FEAST_STRING;
    case TFN_KIND_INT32:
        return FEAST_INT32;
    case TFN_KIND_INT64:
        return FEAST_INT64;
    case TFN_KIND_TIMESTAMP:
        return FEAST_UNIX_TIMESTAMP;
    default:
        return 0;
    }
}

bool tfn__redis_can_be_key(tfn_type type)
{
    return feast_type_of(type) != 0;
}

/* ---- what all keys of a view share ---- */

static tfn_code add_u32(tfn_buf *out, uint32_t x, tfn_error *err)
{
    uint8_t bytes[INT_BYTES];
    tfn__set_u32(bytes, x);
    return tfn_buf_add(out, bytes, sizeof bytes, err);
}

/* A type or length, then so many bytes. */
static tfn_code add_typed(tfn_buf *out, uint32_t type, const void *bytes, size_t n_bytes,
                          tfn_error *err)
{
    TFN_RETURN_IF_ERROR(add_u32(out, type, err));
    TFN_RETURN_IF_ERROR(add_u32(out, (uint32_t)n_bytes, err));
    return tfn_buf_add(out, bytes, n_bytes, err);
}

static void sort_by_name(const tfn_online_view *view, uint32_t *order)
{
    for (uint32_t i = 0; i < view->n_keys; i++) {
        uint32_t at = i;
        while (at > 0 && tfn_str_compare(view->key_names[order[at - 1]], view->key_names[i]) > 0) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = i;
    }
}

static tfn_code make_head(const tfn_online_view *view, const uint32_t *order, tfn_buf *out,
                          tfn_error *err)
{
    static const char dummy[] = "__dummy_id";
    TFN_RETURN_IF_ERROR(add_u32(out, view->n_keys == 0 ? 1 : (uint32_t)view->n_keys, err));
    if (view->n_keys == 0) {
        TFN_RETURN_IF_ERROR(add_typed(out, FEAST_STRING, dummy, sizeof dummy - 1, err));
        return add_typed(out, FEAST_STRING, "", 0, err);
    }
    for (size_t i = 0; i < view->n_keys; i++) {
        const tfn_str name = view->key_names[order[i]];
        TFN_RETURN_IF_ERROR(add_typed(out, FEAST_STRING, name.p, name.n, err));
    }
    return TFN_OK;
}

tfn_code tfn__redis_keys_init(const tfn_online_view *view, tfn_arena *arena, tfn__redis_keys *out,
                              tfn_error *err)
{
    *out = (tfn__redis_keys){.project = view->project};
    for (size_t i = 0; i < view->n_keys; i++) {
        if (!tfn__redis_can_be_key(view->key_types[i])) {
            char text[TFN_TYPE_TEXT_BYTES];
            tfn_type_format(view->key_types[i], text);
            return TFN_FAIL(err, TFN_UNSUPPORTED,
                            "feature view '%.*s': its join key '%.*s' is of type %s, and Feast's "
                            "layout in Redis keeps join keys of types int32, int64, string, bytes "
                            "and timestamp only; give it one of these, or set online=False",
                            TFN_STR_ARG(view->name), TFN_STR_ARG(view->key_names[i]), text);
        }
    }
    TFN_RETURN_IF_ERROR(tfn_key_plan_init(&out->plan, view->key_types, view->n_keys, err));
    for (size_t i = 0; i < view->n_keys && i < TFN_MAX_KEY_PARTS; i++) {
        if (out->plan.parts[i].kind == TFN_KIND_TIMESTAMP) {
            out->plan.parts[i].unit = TFN_UNIT_S;
            out->has_times = true;
        }
    }
    sort_by_name(view, out->order);
    tfn_buf head = {0};
    tfn_code rc = make_head(view, out->order, &head, err);
    if (rc == TFN_OK) {
        out->head.n = head.n;
        rc = tfn_arena_copy(arena, head.p, head.n, &out->head.p, err);
    }
    tfn_buf_deinit(&head);
    return rc;
}

/* ---- one key ---- */

static tfn_code add_value(tfn_type type, const tfn_cell *cell, tfn_buf *out, tfn_error *err)
{
    uint8_t bytes[LONG_BYTES];
    const uint32_t feast_type = feast_type_of(type);
    if (feast_type == FEAST_BYTES || feast_type == FEAST_STRING) {
        return add_typed(out, feast_type, cell->bytes.p, cell->bytes.n, err);
    }
    if (feast_type == FEAST_INT32) {
        tfn__set_u32(bytes, (uint32_t)cell->bits);
        return add_typed(out, feast_type, bytes, INT_BYTES, err);
    }
    tfn__set_u64(bytes, cell->bits);
    return add_typed(out, feast_type, bytes, LONG_BYTES, err);
}

/* Times were decoded as whole seconds: is this still the same key? */
static tfn_code check_seconds(const tfn__redis_keys *keys, tfn_str key, const tfn_cell *cells,
                              tfn_buf *scratch, bool *is_kept, tfn_error *err)
{
    const size_t n_before = scratch->n;
    TFN_RETURN_IF_ERROR(tfn_key_encode_cells(&keys->plan, cells, scratch, err));
    *is_kept = tfn_str_equal(key, (tfn_str){scratch->p + n_before, scratch->n - n_before});
    scratch->n = n_before;
    return TFN_OK;
}

static tfn_code add_key(const tfn__redis_keys *keys, tfn_str key, const tfn_cell *cells,
                        tfn_buf *out, bool *is_kept, tfn_error *err)
{
    if (keys->has_times) {
        TFN_RETURN_IF_ERROR(check_seconds(keys, key, cells, out, is_kept, err));
    }

    TFN_RETURN_IF_ERROR(tfn_buf_add_str(out, keys->head, err));
    for (size_t i = 0; i < keys->plan.n_parts; i++) {
        const uint32_t part = keys->order[i];
        TFN_RETURN_IF_ERROR(add_value(keys->plan.parts[part], &cells[part], out, err));
    }
    return tfn_buf_add_str(out, keys->project, err);
}

tfn_code tfn__redis_keys_add(const tfn__redis_keys *keys, tfn_str key, tfn_arena *scratch,
                             tfn_buf *out, bool *is_kept, tfn_error *err)
{
    tfn_cell cells[TFN_MAX_KEY_PARTS];
    const size_t n_before = out->n;
    *is_kept = true;
    tfn_code rc = tfn_key_decode(&keys->plan, key, scratch, cells, err);
    if (rc == TFN_OK) {
        rc = add_key(keys, key, cells, out, is_kept, err);
    }
    if ((rc != TFN_OK || !*is_kept) && out->p != NULL) {
        out->n = n_before;
    }
    return rc;
}

/* ---- whose is a key? ---- */

/* Go behind a type and so many bytes; false: it is cut short. */
static bool skip_typed(tfn_str *rest, bool must_be_text)
{
    const uint8_t *p = (const uint8_t *)rest->p;
    if (rest->n < PAIR_BYTES || (must_be_text && tfn__get_u32(p) != FEAST_STRING)) {
        return false;
    }
    const size_t n_bytes = tfn__get_u32(p + INT_BYTES);
    if (rest->n - PAIR_BYTES < n_bytes) {
        return false;
    }
    *rest = (tfn_str){rest->p + PAIR_BYTES + n_bytes, rest->n - PAIR_BYTES - n_bytes};
    return true;
}

bool tfn__redis_key_is_of(tfn_str redis_key, tfn_str project)
{
    if (redis_key.n < INT_BYTES) {
        return false;
    }
    const uint32_t n_keys = tfn__get_u32((const uint8_t *)redis_key.p);
    tfn_str rest = {redis_key.p + INT_BYTES, redis_key.n - INT_BYTES};
    for (uint64_t i = 0; i < 2 * (uint64_t)n_keys; i++) {
        if (!skip_typed(&rest, i < n_keys)) {
            return false;
        }
    }
    return n_keys > 0 && tfn_str_equal(rest, project);
}

/* ---- fields ---- */

static uint32_t rotate(uint32_t x, unsigned n_bits)
{
    return x << n_bits | x >> (32 - n_bits);
}

static uint32_t murmur_mix(uint32_t k)
{
    return rotate(k * 0xcc9e2d51u, 15) * 0x1b873593u;
}

static uint32_t murmur3_32(tfn_str text)
{
    const uint8_t *p = (const uint8_t *)text.p;
    uint32_t h = 0;
    size_t i = 0;
    for (; i + INT_BYTES <= text.n; i += INT_BYTES) {
        h = rotate(h ^ murmur_mix(tfn__get_u32(p + i)), 13) * 5 + 0xe6546b64u;
    }
    uint32_t tail = 0;
    for (size_t k = text.n; k > i; k--) {
        tail = tail << 8 | p[k - 1];
    }
    h ^= murmur_mix(tail);
    h ^= (uint32_t)text.n;
    h = (h ^ h >> 16) * 0x85ebca6bu;
    h = (h ^ h >> 13) * 0xc2b2ae35u;
    return h ^ h >> 16;
}

tfn_code tfn__redis_field_of(tfn_str view, tfn_str feature, tfn_buf *scratch,
                             uint8_t out[TFN__REDIS_FIELD_BYTES], tfn_error *err)
{
    tfn_buf_clear(scratch);
    TFN_RETURN_IF_ERROR(
        tfn_buf_add_format(scratch, err, "%.*s:%.*s", TFN_STR_ARG(view), TFN_STR_ARG(feature)));
    tfn__set_u32(out, murmur3_32(tfn_buf_get_str(scratch)));
    return TFN_OK;
}
