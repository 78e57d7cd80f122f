/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Cells out of vectors, and the packed list.
 *
 *   u32 n | validity bits | fixed width:  n values
 *                         | strings:      u32 offsets[n + 1] | bytes
 *
 * A null item has value 0 (or no bytes), and bits of the validity behind n are 0, so equal lists
 * have equal bytes. Values are not aligned; all access is through memcpy. The format is little
 * endian and written as the machine's own: the assertion below keeps big-endian machines out.
 */

#include "column/cell.h"

#include <assert.h>
#include <inttypes.h>

#include "base/poison.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "packed lists are written as in memory");

enum { SECONDS_PER_DAY = 86400, OFFSET_BYTES = 4, COUNT_BYTES = 4 };

static tfn_code fail_range(const tfn_vec *v, int64_t i, tfn_type want, tfn_error *err)
{
    char name[TFN_TYPE_TEXT_BYTES];
    tfn_type_format((tfn_type){.kind = want.kind}, name);
    const int64_t value = tfn_vec_get_int(v, i);
    if (tfn_vec_fits(v, i)) {
        return TFN_FAIL(err, TFN_SCHEMA, "value %" PRId64 " does not fit %s", value, name);
    }
    return TFN_FAIL(err, TFN_SCHEMA, "value %" PRIu64 " does not fit %s", (uint64_t)value, name);
}

static int64_t time_of(const tfn_vec *v, int64_t i, tfn_unit unit)
{
    const int64_t value = tfn_vec_get_int(v, i);
    if (tfn_vec_is_infinite(v, i)) {
        return value > 0 ? INT64_MAX : -INT64_MAX;
    }
    if (v->type.kind == TFN_KIND_DATE) {
        return tfn_time_convert(value * SECONDS_PER_DAY, TFN_UNIT_S, unit);
    }
    return tfn_time_convert(value, (tfn_unit)v->type.unit, unit);
}

/* A valid value of a fixed-width vector as the bits of a cell of kind want.kind. */
static tfn_code bits_of(const tfn_vec *v, int64_t i, tfn_type want, uint64_t *out, tfn_error *err)
{
    *out = 0;
    if (want.kind == TFN_KIND_FLOAT64) {
        const double value = tfn_vec_get_float(v, i);
        memcpy(out, &value, sizeof value);
        return TFN_OK;
    }
    if (want.kind == TFN_KIND_FLOAT32) {
        const float value = (float)tfn_vec_get_float(v, i);
        memcpy(out, &value, sizeof value);
        return TFN_OK;
    }
    if (want.kind == TFN_KIND_TIMESTAMP) {
        *out = (uint64_t)time_of(v, i, (tfn_unit)want.unit);
        return TFN_OK;
    }
    const int64_t value = tfn_vec_get_int(v, i);
    const bool is_narrow = want.kind == TFN_KIND_INT32 || want.kind == TFN_KIND_DATE;
    if (!tfn_vec_fits(v, i) || (is_narrow && (value < INT32_MIN || value > INT32_MAX))) {
        return fail_range(v, i, want, err);
    }
    *out = want.kind == TFN_KIND_BOOL ? (uint64_t)(value != 0) : (uint64_t)value;
    return TFN_OK;
}

/* ---- packing ---- */

static size_t validity_bytes(uint64_t n)
{
    return (size_t)((n + 7) / 8);
}

static void set_bit(uint8_t *bits, int64_t i)
{
    bits[i >> 3] = (uint8_t)(bits[i >> 3] | 1u << (i & 7));
}

/* Room for a list of n items with n_behind bytes behind the validity, zeroed up to there. */
static tfn_code begin_list(int64_t n, size_t n_behind, tfn_buf *scratch, uint8_t **validity,
                           char **behind, tfn_error *err)
{
    char *room = NULL;
    const size_t n_head = COUNT_BYTES + validity_bytes((uint64_t)n);
    TFN_RETURN_IF_ERROR(tfn_buf_add_room(scratch, n_head + n_behind, &room, err));
    memset(room, 0, n_head);
    const uint32_t count = (uint32_t)n;
    memcpy(room, &count, sizeof count);
    *validity = (uint8_t *)room + COUNT_BYTES;
    *behind = room + n_head;
    return TFN_OK;
}

static tfn_code pack_fixed(const tfn_vec *items, tfn_range range, tfn_type want, tfn_buf *scratch,
                           tfn_error *err)
{
    const size_t width = tfn_type_width(want);
    uint8_t *validity = NULL;
    char *values = NULL;
    TFN_RETURN_IF_ERROR(
        begin_list(range.n, (size_t)range.n * width, scratch, &validity, &values, err));
    for (int64_t k = 0; k < range.n; k++) {
        uint64_t bits = 0;
        if (tfn_vec_is_valid(items, range.begin + k)) {
            TFN_RETURN_IF_ERROR(bits_of(items, range.begin + k, want, &bits, err));
            set_bit(validity, k);
        }
        memcpy(values + (size_t)k * width, &bits, width); /* little endian: the low bytes */
    }
    return TFN_OK;
}

static tfn_code pack_strings(const tfn_vec *items, tfn_range range, tfn_buf *scratch,
                             tfn_error *err)
{
    uint64_t n_bytes = 0;
    for (int64_t k = 0; k < range.n; k++) {
        if (tfn_vec_is_valid(items, range.begin + k)) {
            n_bytes += tfn_vec_get_str(items, range.begin + k).n;
        }
    }
    if (n_bytes > UINT32_MAX) {
        return TFN_FAIL(err, TFN_LIMIT, "a list holds %" PRIu64 " bytes of text; at most 4 GiB fit",
                        n_bytes);
    }
    const size_t n_offsets = ((size_t)range.n + 1) * OFFSET_BYTES;
    uint8_t *validity = NULL;
    char *offsets = NULL;
    TFN_RETURN_IF_ERROR(
        begin_list(range.n, n_offsets + (size_t)n_bytes, scratch, &validity, &offsets, err));
    char *bytes = offsets + n_offsets;
    uint32_t end = 0;
    memcpy(offsets, &end, sizeof end);
    for (int64_t k = 0; k < range.n; k++) {
        if (tfn_vec_is_valid(items, range.begin + k)) {
            const tfn_str item = tfn_vec_get_str(items, range.begin + k);
            if (item.n > 0) {
                memcpy(bytes + end, item.p, item.n);
            }
            end += (uint32_t)item.n;
            set_bit(validity, k);
        }
        memcpy(offsets + (size_t)(k + 1) * OFFSET_BYTES, &end, sizeof end);
    }
    return TFN_OK;
}

static tfn_code pack_list(const tfn_vec *v, int64_t i, tfn_type want, tfn_buf *scratch,
                          tfn_error *err)
{
    const tfn_range range = tfn_vec_get_list(v, i);
    const tfn_type item = {.kind = want.kind, .unit = want.unit};
    if ((uint64_t)range.n > UINT32_MAX) {
        return TFN_FAIL(err, TFN_LIMIT, "a list has %" PRId64 " items; at most 4,294,967,295 fit",
                        range.n);
    }
    tfn_buf_clear(scratch);
    if (item.kind == TFN_KIND_STRING || item.kind == TFN_KIND_BYTES) {
        return pack_strings(v->child, range, scratch, err);
    }
    return pack_fixed(v->child, range, item, scratch, err);
}

tfn_code tfn_cell_of_vec(const tfn_vec *v, int64_t i, tfn_type want, tfn_buf *scratch,
                         tfn_cell *out, tfn_error *err)
{
    *out = (tfn_cell){.is_null = true};
    if (!tfn_vec_is_valid(v, i)) {
        return TFN_OK;
    }
    assert(tfn_type_can_read(want, v->type));
    if (want.is_list) {
        TFN_RETURN_IF_ERROR(pack_list(v, i, want, scratch, err));
        out->bytes = tfn_buf_get_str(scratch);
    } else if (want.kind == TFN_KIND_STRING || want.kind == TFN_KIND_BYTES) {
        out->bytes = tfn_vec_get_str(v, i);
    } else {
        TFN_RETURN_IF_ERROR(bits_of(v, i, want, &out->bits, err));
    }
    out->is_null = false;
    return TFN_OK;
}

/* ---- reading packed lists ---- */

static uint32_t load_u32(const void *p, size_t i)
{
    uint32_t value = 0;
    memcpy(&value, (const char *)p + i * sizeof value, sizeof value);
    return value;
}

static tfn_code check_offsets(const tfn_list *list, tfn_error *err)
{
    uint32_t last = 0;
    for (size_t i = 0; i <= list->n; i++) {
        const uint32_t offset = load_u32(list->values, i);
        if (offset < last || (i == 0 && offset != 0)) {
            return TFN_FAIL(err, TFN_CORRUPT,
                            "a packed list: item %zu begins at byte %u, where %u is the least", i,
                            offset, last);
        }
        last = offset;
    }
    if (last != list->n_bytes) {
        return TFN_FAIL(err, TFN_CORRUPT, "a packed list: its items end at byte %u of %zu", last,
                        list->n_bytes);
    }
    return TFN_OK;
}

tfn_code tfn_list_open(tfn_type type, tfn_str packed, tfn_list *out, tfn_error *err)
{
    assert(type.is_list);
    *out = (tfn_list){.item = {.kind = type.kind, .unit = type.unit}};
    if (packed.n < COUNT_BYTES) {
        return TFN_FAIL(err, TFN_CORRUPT, "a packed list of %zu bytes has no room for its count",
                        packed.n);
    }
    const uint64_t n = load_u32(packed.p, 0);
    const bool is_text = type.kind == TFN_KIND_STRING || type.kind == TFN_KIND_BYTES;
    const uint64_t n_head = COUNT_BYTES + validity_bytes(n);
    const uint64_t n_fixed =
        n_head + (is_text ? (n + 1) * OFFSET_BYTES : n * tfn_type_width(out->item));
    if (packed.n < n_fixed || (!is_text && packed.n != n_fixed)) {
        return TFN_FAIL(err, TFN_CORRUPT,
                        "a packed list of %" PRIu64 " items has %zu bytes, not %" PRIu64, n,
                        packed.n, n_fixed);
    }
    out->n = (uint32_t)n;
    out->validity = (const uint8_t *)packed.p + COUNT_BYTES;
    out->values = (const uint8_t *)packed.p + n_head;
    if (!is_text) {
        return TFN_OK;
    }
    out->bytes = packed.p + n_fixed;
    out->n_bytes = packed.n - (size_t)n_fixed;
    return check_offsets(out, err);
}

tfn_cell tfn_list_get(const tfn_list *list, uint32_t i)
{
    assert(i < list->n);
    tfn_cell cell = {.is_null = (((unsigned)list->validity[i >> 3] >> (i & 7u)) & 1u) == 0};
    if (cell.is_null) {
        return cell;
    }
    if (list->bytes != NULL) {
        const uint32_t begin = load_u32(list->values, i);
        cell.bytes = (tfn_str){list->bytes + begin, load_u32(list->values, (size_t)i + 1) - begin};
        return cell;
    }
    const size_t width = tfn_type_width(list->item);
    memcpy(&cell.bits, list->values + (size_t)i * width, width);
    if (list->item.kind == TFN_KIND_INT32 || list->item.kind == TFN_KIND_DATE) {
        cell.bits = (uint64_t)(int64_t)(int32_t)(uint32_t)cell.bits;
    } else if (list->item.kind == TFN_KIND_BOOL) {
        cell.bits = cell.bits != 0;
    }
    return cell;
}
