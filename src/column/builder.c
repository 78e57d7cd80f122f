/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Builder of columns.
 *
 *   data      values, bits, or offsets (n + 1 of them, from the start); offsets are 32-bit until an
 *             end passes `narrow_max`, then once for all 64-bit
 *   validity  made at the first null; before that all rows are valid
 *   bytes     of strings; `item` a builder of the items of lists
 *
 * Invariants
 *  1. A call that fails leaves rows, bytes and items as they were (`begin_change`, `undo`); bits
 *     behind the last row may be anything, because put_bit both sets and clears.
 *  2. Null rows have value 0, and no bytes or items.
 */

#include "column/column.h"

#include <assert.h>

#include "base/mem.h"
#include "column/column_internal.h"

#include "base/poison.h"

struct tfn_builder {
    tfn_type type;
    int64_t n;
    int64_t n_nulls;
    void *data;
    size_t data_capacity; /* bytes */
    uint8_t *validity;    /* NULL: no null so far */
    size_t validity_capacity;
    char *bytes;
    size_t n_bytes;
    size_t byte_capacity;
    bool wide;
    int64_t narrow_max; /* greatest end of a 32-bit offset; smaller in tests */
    tfn_builder *item;
    tfn_buf scratch;
};

/* What a failed call goes back to. */
typedef struct mark {
    int64_t n;
    int64_t n_nulls;
    size_t n_bytes;
    int64_t n_items;
    int64_t n_item_nulls;
    size_t n_item_bytes;
} mark;

static mark begin_change(const tfn_builder *b)
{
    const tfn_builder *item = b->item;
    return (mark){.n = b->n,
                  .n_nulls = b->n_nulls,
                  .n_bytes = b->n_bytes,
                  .n_items = item == NULL ? 0 : item->n,
                  .n_item_nulls = item == NULL ? 0 : item->n_nulls,
                  .n_item_bytes = item == NULL ? 0 : item->n_bytes};
}

static void undo(tfn_builder *b, mark m)
{
    b->n = m.n;
    b->n_nulls = m.n_nulls;
    b->n_bytes = m.n_bytes;
    if (b->item != NULL) {
        b->item->n = m.n_items;
        b->item->n_nulls = m.n_item_nulls;
        b->item->n_bytes = m.n_item_bytes;
    }
}

static bool is_text(tfn_type type)
{
    return !type.is_list && (type.kind == TFN_KIND_STRING || type.kind == TFN_KIND_BYTES);
}

static bool has_offsets(const tfn_builder *b)
{
    return b->type.is_list || is_text(b->type);
}

static bool is_bits(const tfn_builder *b)
{
    return !b->type.is_list && b->type.kind == TFN_KIND_BOOL;
}

/* Bytes of `data` for n rows. Rows are bounded by memory, so n + 1 does not overflow; products are
 * checked. */
static bool data_bytes(const tfn_builder *b, size_t n, size_t *out)
{
    if (has_offsets(b)) {
        return tfn_mem_mul(n + 1, b->wide ? sizeof(int64_t) : sizeof(int32_t), out);
    }
    if (is_bits(b)) {
        *out = n / 8 + 1;
        return true;
    }
    return tfn_mem_mul(n, tfn_type_width(b->type), out);
}

static tfn_code grow_validity(tfn_builder *b, size_t n_rows, tfn_error *err)
{
    void *p = b->validity;
    const tfn_code rc = tfn_mem_grow(&p, &b->validity_capacity, n_rows / 8 + 1, 1, err);
    b->validity = p;
    return rc;
}

/* Room for n_more rows in data and, when it is there, validity. */
static tfn_code reserve(tfn_builder *b, int64_t n_more, tfn_error *err)
{
    size_t n_rows = 0;
    size_t n_bytes = 0;
    if (n_more < 0 || !tfn_mem_add((size_t)b->n, (size_t)n_more, &n_rows) ||
        n_rows > INT64_MAX / 16 || !data_bytes(b, n_rows, &n_bytes)) {
        return TFN_FAIL(err, TFN_NO_MEMORY, "a column of %lld more rows was asked for",
                        (long long)n_more);
    }
    void *p = b->data;
    const tfn_code rc = tfn_mem_grow(&p, &b->data_capacity, n_bytes, 1, err);
    b->data = p;
    if (rc != TFN_OK || b->validity == NULL) {
        return rc;
    }
    return grow_validity(b, n_rows, err);
}

static void put_bit(uint8_t *bits, int64_t i, bool value)
{
    const uint8_t mask = (uint8_t)(1u << (i & 7));
    if ((i & 7) == 0) {
        bits[i >> 3] = value; /* first use of this byte */
    } else {
        bits[i >> 3] = (uint8_t)(value ? bits[i >> 3] | mask : bits[i >> 3] & ~mask);
    }
}

/* Validity of rows n .. n + n_more - 1; room was reserved. */
static void put_validity(tfn_builder *b, int64_t n_more, bool valid)
{
    for (int64_t i = 0; b->validity != NULL && i < n_more; i++) {
        put_bit(b->validity, b->n + i, valid);
    }
}

/* Make the validity bitmap, with room for n_more rows; rows so far are valid. */
static tfn_code begin_validity(tfn_builder *b, int64_t n_more, tfn_error *err)
{
    if (b->validity != NULL) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(grow_validity(b, (size_t)b->n + (size_t)n_more, err));
    memset(b->validity, 0xff, (size_t)b->n / 8 + 1);
    return TFN_OK;
}

/* ---- offsets ---- */

static void put_offset(tfn_builder *b, int64_t i, int64_t value)
{
    if (b->wide) {
        ((int64_t *)b->data)[i] = value;
    } else {
        ((int32_t *)b->data)[i] = (int32_t)value;
    }
}

static int64_t last_offset(const tfn_builder *b)
{
    return b->wide ? ((const int64_t *)b->data)[b->n] : ((const int32_t *)b->data)[b->n];
}

/* Change to 64-bit offsets when `end` needs it. */
static tfn_code widen_for(tfn_builder *b, int64_t end, tfn_error *err)
{
    if (b->wide || end <= b->narrow_max) {
        return TFN_OK;
    }
    const size_t n_items = b->data_capacity / sizeof(int32_t);
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_uninit(n_items, sizeof(int64_t), &p, err));
    int64_t *to = p;
    for (int64_t i = 0; i <= b->n; i++) {
        to[i] = ((const int32_t *)b->data)[i];
    }
    tfn_mem_free(b->data);
    b->data = p;
    b->data_capacity = n_items * sizeof(int64_t);
    b->wide = true;
    return TFN_OK;
}

/* One valid row that ends at `end`; bytes or items are already there. */
static tfn_code end_row(tfn_builder *b, int64_t end, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(widen_for(b, end, err));
    TFN_RETURN_IF_ERROR(reserve(b, 1, err));
    put_validity(b, 1, true);
    put_offset(b, b->n + 1, end);
    b->n++;
    return TFN_OK;
}

static tfn_code add_text(tfn_builder *b, tfn_str text, tfn_error *err)
{
    size_t n_bytes = 0;
    if (!tfn_mem_add(b->n_bytes, text.n, &n_bytes)) {
        return TFN_FAIL(err, TFN_NO_MEMORY, "a text of %zu bytes was added", text.n);
    }
    void *p = b->bytes;
    const tfn_code rc = tfn_mem_grow(&p, &b->byte_capacity, n_bytes, 1, err);
    b->bytes = p;
    TFN_RETURN_IF_ERROR(rc);
    TFN_RETURN_IF_ERROR(end_row(b, (int64_t)n_bytes, err));
    if (text.n > 0) {
        memcpy(b->bytes + b->n_bytes, text.p, text.n);
    }
    b->n_bytes = n_bytes;
    return TFN_OK;
}

/* ---- making and ending ---- */

static tfn_code create(tfn_type type, int64_t n_rows_hint, tfn_builder **out, tfn_error *err)
{
    *out = NULL;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_builder), &p, err));
    tfn_builder *b = p;
    b->type = type;
    b->narrow_max = INT32_MAX;
    const tfn_code rc = reserve(b, n_rows_hint > 0 ? n_rows_hint : 1, err);
    if (rc != TFN_OK) {
        tfn_mem_free(b);
        return rc;
    }
    if (has_offsets(b)) {
        put_offset(b, 0, 0);
    }
    *out = b;
    return TFN_OK;
}

tfn_code tfn_builder_create(tfn_type type, int64_t n_rows_hint, tfn_builder **out, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(create(type, n_rows_hint, out, err));
    if (!type.is_list) {
        return TFN_OK;
    }
    const tfn_type item = {.kind = type.kind, .unit = type.unit};
    const tfn_code rc = create(item, n_rows_hint, &(*out)->item, err);
    if (rc != TFN_OK) {
        tfn_builder_destroy(*out);
        *out = NULL;
    }
    return rc;
}

void tfn_builder_destroy(tfn_builder *b)
{
    if (b == NULL) {
        return;
    }
    tfn_builder_destroy(b->item);
    tfn_buf_deinit(&b->scratch);
    tfn_mem_free(b->data);
    tfn_mem_free(b->validity);
    tfn_mem_free(b->bytes);
    tfn_mem_free(b);
}

/* Give back unused room when it is worth a call; to keep it is no failure. */
static void shrink(void **p, size_t capacity, size_t n_used)
{
    const size_t worth_bytes = (size_t)64 * 1024;
    if (*p != NULL && capacity - n_used > worth_bytes) {
        (void)!tfn_mem_realloc_array(p, n_used, 1, NULL);
    }
}

static void move_memory(tfn_builder *b, tfn_column *c)
{
    size_t n_bytes = 0;
    (void)data_bytes(b, (size_t)b->n, &n_bytes);
    shrink(&b->data, b->data_capacity, n_bytes);
    void *bytes = b->bytes;
    shrink(&bytes, b->byte_capacity, b->n_bytes);
    c->type = b->type;
    c->n_rows = b->n;
    c->n_nulls = b->n_nulls;
    c->data = b->data;
    c->bytes = bytes;
    c->wide = b->wide;
    b->data = NULL;
    b->bytes = NULL;
    if (b->n_nulls > 0 && b->validity != NULL) {
        c->validity = b->validity;
        b->validity = NULL;
    }
}

tfn_code tfn_builder_finish(tfn_builder **b, tfn_column **out, tfn_error *err)
{
    *out = NULL;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_column), &p, err));
    tfn_column *c = p;
    if ((*b)->item != NULL) {
        const tfn_code rc = tfn_builder_finish(&(*b)->item, &c->item, err);
        if (rc != TFN_OK) {
            tfn_mem_free(c);
            return rc;
        }
    }
    move_memory(*b, c);
    tfn__column_seal(c);
    tfn_builder_destroy(*b);
    *b = NULL;
    *out = c;
    return TFN_OK;
}

/* ---- rows from cells ---- */

tfn_code tfn_builder_add_nulls(tfn_builder *b, int64_t n, tfn_error *err)
{
    if (n == 0) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(reserve(b, n, err));
    if (b->type.kind == TFN_KIND_NONE && !b->type.is_list) {
        b->n += n;
        b->n_nulls += n;
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(begin_validity(b, n, err));
    put_validity(b, n, false);
    const size_t width = tfn_type_width(b->type);
    if (has_offsets(b)) {
        const int64_t end = last_offset(b);
        for (int64_t i = 1; i <= n; i++) {
            put_offset(b, b->n + i, end);
        }
    } else if (is_bits(b)) {
        for (int64_t i = 0; i < n; i++) {
            put_bit(b->data, b->n + i, false);
        }
    } else {
        memset((char *)b->data + (size_t)b->n * width, 0, (size_t)n * width);
    }
    b->n += n;
    b->n_nulls += n;
    return TFN_OK;
}

static tfn_code add_fixed(tfn_builder *b, uint64_t bits, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(reserve(b, 1, err));
    put_validity(b, 1, true);
    if (is_bits(b)) {
        put_bit(b->data, b->n, bits != 0);
    } else {
        const size_t width = tfn_type_width(b->type);
        memcpy((char *)b->data + (size_t)b->n * width, &bits, width); /* little endian */
    }
    b->n++;
    return TFN_OK;
}

static tfn_code add_list(tfn_builder *b, tfn_str packed, tfn_error *err)
{
    tfn_list list;
    TFN_RETURN_IF_ERROR(tfn_list_open(b->type, packed, &list, err));
    const mark before = begin_change(b);
    tfn_code rc = TFN_OK;
    for (uint32_t i = 0; i < list.n && rc == TFN_OK; i++) {
        const tfn_cell item = tfn_list_get(&list, i);
        rc = tfn_builder_add(b->item, &item, err);
    }
    rc = rc == TFN_OK ? end_row(b, b->item->n, err) : rc;
    if (rc != TFN_OK) {
        undo(b, before);
    }
    return rc;
}

tfn_code tfn_builder_add(tfn_builder *b, const tfn_cell *cell, tfn_error *err)
{
    if (cell->is_null) {
        return tfn_builder_add_nulls(b, 1, err);
    }
    assert(b->type.kind != TFN_KIND_NONE);
    if (b->type.is_list) {
        return add_list(b, cell->bytes, err);
    }
    return is_text(b->type) ? add_text(b, cell->bytes, err) : add_fixed(b, cell->bits, err);
}

/* ---- rows from vectors ---- */

/* Do values of the vector lie in memory as those of the column? */
static bool is_same_memory(const tfn_builder *b, const tfn_vec *v)
{
    if (v->layout != TFN_LAYOUT_FIXED || v->type.kind != b->type.kind) {
        return false;
    }
    switch (b->type.kind) {
    case TFN_KIND_INT32:
    case TFN_KIND_DATE:
        return v->number == TFN_NUMBER_I32;
    case TFN_KIND_INT64:
        return v->number == TFN_NUMBER_I64;
    case TFN_KIND_TIMESTAMP:
        return v->number == TFN_NUMBER_I64 && v->type.unit == b->type.unit;
    case TFN_KIND_FLOAT32:
        return v->number == TFN_NUMBER_F32;
    case TFN_KIND_FLOAT64:
        return v->number == TFN_NUMBER_F64;
    default:
        return false;
    }
}

static tfn_code copy_rows(tfn_builder *b, const tfn_vec *v, int64_t begin, int64_t n,
                          tfn_error *err)
{
    const size_t width = tfn_type_width(b->type);
    TFN_RETURN_IF_ERROR(reserve(b, n, err));
    if (v->validity != NULL) {
        TFN_RETURN_IF_ERROR(begin_validity(b, n, err));
    }
    char *to = (char *)b->data + (size_t)b->n * width;
    memcpy(to, (const char *)v->data + (size_t)(v->offset + begin) * width, (size_t)n * width);
    if (v->validity == NULL) {
        put_validity(b, n, true);
    } else {
        for (int64_t i = 0; i < n; i++) {
            const bool valid = tfn_vec_is_valid(v, begin + i);
            put_bit(b->validity, b->n + i, valid);
            if (!valid) {
                memset(to + (size_t)i * width, 0, width);
                b->n_nulls++;
            }
        }
    }
    b->n += n;
    return TFN_OK;
}

/* One row of a list vector, its items appended to the item builder. */
static tfn_code add_list_row(tfn_builder *b, const tfn_vec *v, int64_t i, tfn_error *err)
{
    if (!tfn_vec_is_valid(v, i)) {
        return tfn_builder_add_nulls(b, 1, err);
    }
    const tfn_range range = tfn_vec_get_list(v, i);
    TFN_RETURN_IF_ERROR(tfn_builder_add_vec(b->item, v->child, range.begin, range.n, err));
    return end_row(b, b->item->n, err);
}

static tfn_code add_rows(tfn_builder *b, const tfn_vec *v, int64_t begin, int64_t n, tfn_error *err)
{
    for (int64_t i = begin; i < begin + n; i++) {
        if (b->type.is_list) {
            TFN_RETURN_IF_ERROR(add_list_row(b, v, i, err));
        } else {
            tfn_cell cell;
            TFN_RETURN_IF_ERROR(tfn_cell_of_vec(v, i, b->type, &b->scratch, &cell, err));
            TFN_RETURN_IF_ERROR(tfn_builder_add(b, &cell, err));
        }
    }
    return TFN_OK;
}

tfn_code tfn_builder_add_vec(tfn_builder *b, const tfn_vec *v, int64_t begin, int64_t n,
                             tfn_error *err)
{
    assert(begin >= 0 && n >= 0 && begin + n <= v->n);
    assert(tfn_type_can_read(b->type, v->type));
    if (n == 0) {
        return TFN_OK;
    }
    if (v->layout == TFN_LAYOUT_NONE) {
        return tfn_builder_add_nulls(b, n, err);
    }
    if (!b->type.is_list && is_same_memory(b, v)) {
        return copy_rows(b, v, begin, n, err);
    }
    const mark before = begin_change(b);
    const tfn_code rc = add_rows(b, v, begin, n, err);
    if (rc != TFN_OK) {
        undo(b, before);
    }
    return rc;
}
