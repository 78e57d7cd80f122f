/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Columns and their Arrow export. A column's memory never changes after it was made, so every
 * exported array is a window (offset, length) on the same buffers, and holds one reference.
 *
 *   ArrowArray -> array_node { column (reference), buffers[3], child }      one per exported array
 *                                                   `-> array_node of the items' column
 *
 * Invariants
 *  1. Each array node holds its own reference, so a consumer may move a child out and release its
 *     parent first, as the C data interface allows.
 *  2. validity == NULL exactly when n_nulls == 0 or the type is NONE.
 */

#include "column/column.h"

#include <assert.h>

#include "base/mem.h"
#include "column/column_internal.h"

#include "base/poison.h"

tfn_column *tfn_column_retain(tfn_column *c)
{
    if (c != NULL) {
        atomic_fetch_add_explicit(&c->n_refs, 1, memory_order_relaxed);
    }
    return c;
}

void tfn_column_release(tfn_column *c)
{
    if (c == NULL || atomic_fetch_sub_explicit(&c->n_refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    tfn_column_release(c->item);
    tfn_mem_free(c->validity);
    tfn_mem_free(c->data);
    tfn_mem_free(c->bytes);
    tfn_mem_free(c);
}

int64_t tfn_column_get_n_rows(const tfn_column *c)
{
    return c->n_rows;
}

tfn_type tfn_column_get_type(const tfn_column *c)
{
    return c->type;
}

static int64_t last_offset(const tfn_column *c)
{
    if (c->data == NULL) {
        return 0;
    }
    return c->wide ? ((const int64_t *)c->data)[c->n_rows] : ((const int32_t *)c->data)[c->n_rows];
}

int64_t tfn_column_get_bytes(const tfn_column *c)
{
    int64_t n_bytes = c->validity == NULL ? 0 : c->n_rows / 8 + 1;
    const bool is_text = c->type.kind == TFN_KIND_STRING || c->type.kind == TFN_KIND_BYTES;
    if (c->type.is_list || is_text) {
        n_bytes += (c->n_rows + 1) * (int64_t)(c->wide ? sizeof(int64_t) : sizeof(int32_t));
        n_bytes += c->item == NULL ? last_offset(c) : tfn_column_get_bytes(c->item);
    } else if (c->type.kind == TFN_KIND_BOOL) {
        n_bytes += c->n_rows / 8 + 1;
    } else if (c->type.kind != TFN_KIND_NONE) {
        n_bytes += c->n_rows * (int64_t)tfn_type_width(c->type);
    }
    return n_bytes;
}

const tfn_vec *tfn_column_get_vec(const tfn_column *c)
{
    return &c->vec;
}

static uint8_t number_of(tfn_type type)
{
    switch (type.kind) {
    case TFN_KIND_INT32:
    case TFN_KIND_DATE:
        return TFN_NUMBER_I32;
    case TFN_KIND_INT64:
    case TFN_KIND_TIMESTAMP:
        return TFN_NUMBER_I64;
    case TFN_KIND_FLOAT32:
        return TFN_NUMBER_F32;
    case TFN_KIND_FLOAT64:
        return TFN_NUMBER_F64;
    default:
        return TFN_NUMBER_NONE;
    }
}

static uint8_t layout_of(const tfn_column *c)
{
    if (c->type.is_list || c->type.kind == TFN_KIND_STRING || c->type.kind == TFN_KIND_BYTES) {
        return c->wide ? TFN_LAYOUT_OFFSET64 : TFN_LAYOUT_OFFSET32;
    }
    if (c->type.kind == TFN_KIND_BOOL) {
        return TFN_LAYOUT_BITS;
    }
    return c->type.kind == TFN_KIND_NONE ? TFN_LAYOUT_NONE : TFN_LAYOUT_FIXED;
}

void tfn__column_seal(tfn_column *c)
{
    atomic_init(&c->n_refs, 1);
    c->vec = (tfn_vec){.type = c->type,
                       .layout = layout_of(c),
                       .number = c->type.is_list ? TFN_NUMBER_NONE : number_of(c->type),
                       .n = c->n_rows,
                       .validity = c->validity,
                       .data = c->data,
                       .bytes = c->bytes == NULL ? "" : c->bytes,
                       .child = c->item == NULL ? NULL : &c->item->vec};
}

int64_t tfn__bits_count_unset(const uint8_t *bits, int64_t begin, int64_t n)
{
    int64_t n_set = 0;
    int64_t i = begin;
    const int64_t end = begin + n;
    for (; i < end && (i & 7) != 0; i++) {
        n_set += (bits[i >> 3] >> (i & 7)) & 1;
    }
    for (; i + 64 <= end; i += 64) {
        uint64_t word = 0;
        memcpy(&word, bits + (i >> 3), sizeof word);
        n_set += __builtin_popcountll(word);
    }
    for (; i < end; i++) {
        n_set += (bits[i >> 3] >> (i & 7)) & 1;
    }
    return n - n_set;
}

/* Bytes of 0/1 to bits, in place: byte j of the result is written after its 8 sources were read. */
static void pack_bools(uint8_t *values, int64_t n)
{
    for (int64_t i = 0; i < n; i += 8) {
        const int64_t n_bits = n - i < 8 ? n - i : 8;
        unsigned packed = 0;
        for (int64_t k = 0; k < n_bits; k++) {
            packed |= (values[i + k] != 0 ? 1u : 0u) << k;
        }
        values[i / 8] = (uint8_t)packed;
    }
}

tfn_code tfn_column_of_fixed(tfn_type type, int64_t n_rows, void *values, uint8_t *validity,
                             tfn_column **out, tfn_error *err)
{
    *out = NULL;
    assert(tfn_type_width(type) > 0 && n_rows >= 0);
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_column), &p, err));
    tfn_column *c = p;
    c->type = type;
    c->n_rows = n_rows;
    c->data = values;
    if (type.kind == TFN_KIND_BOOL) {
        pack_bools(values, n_rows);
        /* Seven eighths are free now; to keep them is no failure. */
        (void)!tfn_mem_realloc_array(&c->data, (size_t)(n_rows + 7) / 8, 1, NULL);
    }
    c->n_nulls = validity == NULL ? 0 : tfn__bits_count_unset(validity, 0, n_rows);
    if (c->n_nulls > 0) {
        c->validity = validity;
    } else {
        tfn_mem_free(validity);
    }
    tfn__column_seal(c);
    *out = c;
    return TFN_OK;
}

/* ---- export ---- */

static const char metadata_key[] = "tiffin:type";
enum { METADATA_BYTES = 3 * sizeof(int32_t) + sizeof metadata_key + TFN_TYPE_TEXT_BYTES };

typedef struct schema_node {
    char *name;
    struct ArrowSchema *children[1];
    struct ArrowSchema child;
    char metadata[METADATA_BYTES];
} schema_node;

typedef struct array_node {
    tfn_column *column;
    const void *buffers[3];
    struct ArrowArray *children[1];
    struct ArrowArray child;
} array_node;

static const char *format_of(tfn_type type, bool wide)
{
    static const char *const times[] = {"tss:UTC", "tsm:UTC", "tsu:UTC", "tsn:UTC"};
    static const char *const formats[] = {
        [TFN_KIND_NONE] = "n",   [TFN_KIND_BOOL] = "b",    [TFN_KIND_INT32] = "i",
        [TFN_KIND_INT64] = "l",  [TFN_KIND_FLOAT32] = "f", [TFN_KIND_FLOAT64] = "g",
        [TFN_KIND_STRING] = "u", [TFN_KIND_BYTES] = "z",   [TFN_KIND_DATE] = "tdD",
    };
    if (type.is_list) {
        return wide ? "+L" : "+l";
    }
    if (type.kind == TFN_KIND_TIMESTAMP) {
        return times[type.unit];
    }
    if (wide) {
        return type.kind == TFN_KIND_STRING ? "U" : "Z";
    }
    return formats[type.kind];
}

/* Metadata as Arrow's C data interface lays them out: a number of pairs, and before each text the
 * number of its bytes. One pair: the type in our words, of a type with a meaning. */
static void write_metadata(tfn_type type, char out[METADATA_BYTES])
{
    char text[TFN_TYPE_TEXT_BYTES];
    tfn_type_format(type, text);
    const int32_t n_pairs = 1;
    const int32_t n_key = sizeof metadata_key - 1;
    const int32_t n_text = (int32_t)strlen(text);
    size_t n = 0;
    memcpy(out, &n_pairs, sizeof n_pairs);
    n += sizeof n_pairs;
    memcpy(out + n, &n_key, sizeof n_key);
    n += sizeof n_key;
    memcpy(out + n, metadata_key, (size_t)n_key);
    n += (size_t)n_key;
    memcpy(out + n, &n_text, sizeof n_text);
    n += sizeof n_text;
    memcpy(out + n, text, (size_t)n_text);
}

static void release_schema(struct ArrowSchema *schema)
{
    schema_node *node = schema->private_data;
    if (node->child.release != NULL) {
        node->child.release(&node->child);
    }
    tfn_mem_free(node->name);
    tfn_mem_free(node);
    schema->release = NULL;
}

static tfn_code export_schema(const tfn_column *c, tfn_str name, struct ArrowSchema *out,
                              tfn_error *err)
{
    *out = (struct ArrowSchema){0};
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(schema_node), &p, err));
    schema_node *node = p;
    tfn_code rc = tfn_mem_copy_bytes(name.p, name.n, &node->name, err);
    if (rc == TFN_OK && c->item != NULL) {
        rc = export_schema(c->item, tfn_str_of("item"), &node->child, err);
    }
    if (rc != TFN_OK) {
        tfn_mem_free(node->name);
        tfn_mem_free(node);
        return rc;
    }
    node->children[0] = &node->child;
    *out = (struct ArrowSchema){.format = format_of(c->type, c->wide),
                                .name = node->name,
                                .flags = ARROW_FLAG_NULLABLE,
                                .n_children = c->item != NULL,
                                .children = c->item != NULL ? node->children : NULL,
                                .release = release_schema,
                                .private_data = node};
    return TFN_OK;
}

static void release_array(struct ArrowArray *array)
{
    array_node *node = array->private_data;
    if (node->child.release != NULL) {
        node->child.release(&node->child);
    }
    tfn_column_release(node->column);
    tfn_mem_free(node);
    array->release = NULL;
}

static int64_t count_nulls(const tfn_column *c, int64_t begin, int64_t n)
{
    if (c->type.kind == TFN_KIND_NONE && !c->type.is_list) {
        return n;
    }
    return c->validity == NULL ? 0 : tfn__bits_count_unset(c->validity, begin, n);
}

static int64_t n_buffers_of(const tfn_column *c)
{
    switch (c->vec.layout) {
    case TFN_LAYOUT_NONE:
        return 0;
    case TFN_LAYOUT_OFFSET32:
    case TFN_LAYOUT_OFFSET64:
        return c->type.is_list ? 2 : 3;
    default:
        return 2;
    }
}

static tfn_code export_array(tfn_column *c, int64_t begin, int64_t n, struct ArrowArray *out,
                             tfn_error *err)
{
    *out = (struct ArrowArray){0};
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(array_node), &p, err));
    array_node *node = p;
    if (c->item != NULL) {
        const tfn_code rc = export_array(c->item, 0, c->item->n_rows, &node->child, err);
        if (rc != TFN_OK) {
            tfn_mem_free(node);
            return rc;
        }
    }
    const int64_t n_nulls = count_nulls(c, begin, n);
    node->column = tfn_column_retain(c);
    node->children[0] = &node->child;
    node->buffers[0] = n_nulls > 0 ? c->validity : NULL;
    node->buffers[1] = c->data;
    node->buffers[2] = c->vec.bytes;
    *out = (struct ArrowArray){.length = n,
                               .null_count = n_nulls,
                               .offset = begin,
                               .n_buffers = n_buffers_of(c),
                               .n_children = c->item != NULL,
                               .buffers = node->buffers,
                               .children = c->item != NULL ? node->children : NULL,
                               .release = release_array,
                               .private_data = node};
    return TFN_OK;
}

tfn_code tfn_column_export(tfn_column *c, tfn_str name, int64_t begin, int64_t n,
                           struct ArrowSchema *schema, struct ArrowArray *array, tfn_error *err)
{
    assert(begin >= 0 && n >= 0 && begin + n <= c->n_rows);
    if (schema != NULL) {
        TFN_RETURN_IF_ERROR(export_schema(c, name, schema, err));
        if (tfn_type_is_logical(c->type)) {
            schema_node *node = schema->private_data;
            write_metadata(c->type, node->metadata);
            schema->metadata = node->metadata;
        }
    }
    if (array == NULL) {
        return TFN_OK;
    }
    const tfn_code rc = export_array(c, begin, n, array, err);
    if (rc != TFN_OK && schema != NULL) {
        schema->release(schema);
    }
    return rc;
}
