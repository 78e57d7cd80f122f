/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * One hash of a table's meaning.
 *
 *   column -> bytes of its values, row by row -> XXH3-128
 *   names, canonical types and hashes of all columns, number of rows -> XXH3-128
 *
 * The bytes of a value say themselves where they end, given the type, so no two tables give the
 * same bytes: a null is 0; anything else is 1, followed by
 *   fixed width       the value, little endian (bool: one byte)
 *   text, bytes       length as 8 bytes, then the bytes
 *   lists, maps       number of items as 8 bytes, then the items
 *   structs           their fields
 *   dictionaries      the value that the index stands for
 *
 * It works on Arrow's own arrays and not on vectors, because entity rows may carry columns of types
 * that Tiffin only passes through (decimals, structs), and those belong to the table too. Bytes go
 * through a small staging buffer, since XXH3 wants pieces that are longer than a value.
 *
 * Rejected: hashing whole buffers. Faster, but offsets, padding, bytes below nulls and batch cuts
 * would count.
 */

#include "column/frame_hash.h"

#include <stdlib.h>
#include <string.h>

#include "column/column_internal.h"

#include "base/poison.h"

enum { STAGED_BYTES = 4096, MAX_DEPTH = 16 };

typedef struct sink {
    tfn_hasher hasher;
    uint8_t staged[STAGED_BYTES];
    size_t n_staged;
    tfn_str column; /* for messages */
} sink;

static void add(sink *s, const void *bytes, size_t n_bytes)
{
    if (n_bytes > STAGED_BYTES - s->n_staged) {
        tfn_hasher_add(&s->hasher, s->staged, s->n_staged);
        s->n_staged = 0;
    }
    if (n_bytes > STAGED_BYTES) {
        tfn_hasher_add(&s->hasher, bytes, n_bytes);
    } else if (n_bytes > 0) {
        memcpy(s->staged + s->n_staged, bytes, n_bytes);
        s->n_staged += n_bytes;
    }
}

static void add_byte(sink *s, uint8_t byte)
{
    add(s, &byte, 1);
}

static void add_size(sink *s, int64_t n)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)((uint64_t)n >> (8 * i));
    }
    add(s, bytes, sizeof bytes);
}

static void begin(sink *s)
{
    tfn_hasher_begin(&s->hasher);
    s->n_staged = 0;
}

static tfn_hash128 end(sink *s)
{
    tfn_hasher_add(&s->hasher, s->staged, s->n_staged);
    return tfn_hasher_end(&s->hasher);
}

/* ---- types ---- */

typedef enum shape {
    SHAPE_NONE = 0, /* not one of ours */
    SHAPE_NULL,
    SHAPE_BITS,
    SHAPE_FIXED,
    SHAPE_TEXT32,
    SHAPE_TEXT64,
    SHAPE_VIEW,
    SHAPE_LIST32,
    SHAPE_LIST64,
    SHAPE_LIST_FIXED,
    SHAPE_STRUCT,
    SHAPE_DICTIONARY
} shape;

typedef struct layout {
    shape shape;
    int64_t width; /* FIXED: bytes of a value; LIST_FIXED: items of a row */
} layout;

static bool starts_with(const char *text, const char *head)
{
    return strncmp(text, head, strlen(head)) == 0;
}

/* The number behind the last `mark` of a format: "w:16", "d:38,9,256". */
static int64_t number_behind(const char *format, char mark)
{
    const char *at = strrchr(format, mark);
    return at == NULL ? 0 : (int64_t)strtol(at + 1, NULL, 10);
}

static int64_t decimal_width(const char *format)
{
    const char *first = strchr(format, ',');
    const bool says_bits = first != NULL && strchr(first + 1, ',') != NULL;
    return says_bits ? number_behind(format, ',') / 8 : 16;
}

/* Bytes of a value of a fixed-width format, or 0. */
static int64_t fixed_width(const char *format)
{
    static const char *const by_width[][8] = {
        {"c", "C", NULL},
        {"s", "S", "e", NULL},
        {"i", "I", "f", "tdD", "tts", "ttm", "tiM", NULL},
        {"l", "L", "g", "tdm", "ttu", "ttn", "tiD", NULL},
        {"tin", NULL},
    };
    for (size_t i = 0; i < sizeof by_width / sizeof *by_width; i++) {
        for (const char *const *name = by_width[i]; *name != NULL; name++) {
            if (strcmp(format, *name) == 0) {
                return INT64_C(1) << i;
            }
        }
    }
    if (starts_with(format, "ts") || starts_with(format, "tD")) {
        return 8;
    }
    if (starts_with(format, "d:")) {
        return decimal_width(format);
    }
    return starts_with(format, "w:") ? number_behind(format, ':') : 0;
}

static layout layout_of(const struct ArrowSchema *schema)
{
    static const struct {
        const char *format;
        shape shape;
    } by_name[] = {
        {"n", SHAPE_NULL},    {"b", SHAPE_BITS},    {"u", SHAPE_TEXT32},  {"z", SHAPE_TEXT32},
        {"U", SHAPE_TEXT64},  {"Z", SHAPE_TEXT64},  {"vu", SHAPE_VIEW},   {"vz", SHAPE_VIEW},
        {"+l", SHAPE_LIST32}, {"+m", SHAPE_LIST32}, {"+L", SHAPE_LIST64}, {"+s", SHAPE_STRUCT},
    };
    if (schema->dictionary != NULL) {
        return (layout){SHAPE_DICTIONARY, 0};
    }
    for (size_t i = 0; i < sizeof by_name / sizeof *by_name; i++) {
        if (strcmp(schema->format, by_name[i].format) == 0) {
            return (layout){by_name[i].shape, 0};
        }
    }
    if (starts_with(schema->format, "+w:")) {
        return (layout){SHAPE_LIST_FIXED, number_behind(schema->format, ':')};
    }
    const int64_t width = fixed_width(schema->format);
    return (layout){width > 0 ? SHAPE_FIXED : SHAPE_NONE, width};
}

/* One word per meaning: twins that differ in layout only have the same. */
static const char *canonical_format(const struct ArrowSchema *schema)
{
    switch (layout_of(schema).shape) {
    case SHAPE_TEXT32:
    case SHAPE_TEXT64:
    case SHAPE_VIEW:
        return strpbrk(schema->format, "uU") != NULL ? "u" : "z";
    case SHAPE_LIST32:
    case SHAPE_LIST64:
    case SHAPE_LIST_FIXED:
        return starts_with(schema->format, "+m") ? "+m" : "+l";
    default:
        return schema->format;
    }
}

static void add_type(sink *s, const struct ArrowSchema *schema)
{
    while (schema->dictionary != NULL) {
        schema = schema->dictionary;
    }
    const char *format = canonical_format(schema);
    add_size(s, (int64_t)strlen(format));
    add(s, format, strlen(format));
    const bool is_struct = layout_of(schema).shape == SHAPE_STRUCT;
    add_size(s, schema->n_children);
    for (int64_t i = 0; i < schema->n_children; i++) {
        const struct ArrowSchema *child = schema->children[i];
        const char *name = is_struct && child->name != NULL ? child->name : "";
        add_size(s, (int64_t)strlen(name)); /* items of lists are called this or that */
        add(s, name, strlen(name));
        add_type(s, child);
    }
}

/* ---- values ---- */

static tfn_code fail_column(const sink *s, const struct ArrowSchema *schema, tfn_code code,
                            const char *what, tfn_error *err)
{
    return TFN_FAIL(err, code, "column '%.*s' of Arrow type '%s' %s", TFN_STR_ARG(s->column),
                    schema->format, what);
}

/* Has the array what its layout needs? */
static tfn_code check_array(const sink *s, const struct ArrowSchema *schema, layout l,
                            const struct ArrowArray *array, tfn_error *err)
{
    static const int64_t n_buffers[] = {
        [SHAPE_BITS] = 2,   [SHAPE_FIXED] = 2,  [SHAPE_TEXT32] = 3,     [SHAPE_TEXT64] = 3,
        [SHAPE_VIEW] = 2,   [SHAPE_LIST32] = 2, [SHAPE_LIST64] = 2,     [SHAPE_LIST_FIXED] = 1,
        [SHAPE_STRUCT] = 1, [SHAPE_NULL] = 0,   [SHAPE_DICTIONARY] = 2,
    };
    if (l.shape == SHAPE_NONE) {
        return fail_column(s, schema, TFN_UNSUPPORTED,
                           "cannot be hashed; leave the column out, or give it another type", err);
    }
    const bool is_list =
        l.shape == SHAPE_LIST32 || l.shape == SHAPE_LIST64 || l.shape == SHAPE_LIST_FIXED;
    bool ok = array != NULL && array->length >= 0 && array->offset >= 0;
    ok = ok && array->n_buffers >= n_buffers[l.shape] && array->n_children == schema->n_children &&
         (!is_list || schema->n_children == 1);
    ok = ok && (l.shape != SHAPE_DICTIONARY || array->dictionary != NULL);
    if (ok && n_buffers[l.shape] > 1 && array->length > 0) {
        ok = array->buffers != NULL && array->buffers[1] != NULL;
    }
    return ok ? TFN_OK
              : fail_column(s, schema, TFN_INVALID, "does not have the buffers of its type", err);
}

static bool bit_at(const void *bits, int64_t i)
{
    return ((((const uint8_t *)bits)[i >> 3] >> (i & 7)) & 1) != 0;
}

static bool is_null(const struct ArrowArray *array, layout l, int64_t at)
{
    return l.shape == SHAPE_NULL ||
           (array->null_count != 0 && array->n_buffers > 0 && array->buffers != NULL &&
            array->buffers[0] != NULL && !bit_at(array->buffers[0], at));
}

/* Offsets at and at + 1 of a text or list array. */
static void get_span(const struct ArrowArray *array, bool is_wide, int64_t at, int64_t *first,
                     int64_t *last)
{
    if (is_wide) {
        memcpy(first, (const int64_t *)array->buffers[1] + at, sizeof *first);
        memcpy(last, (const int64_t *)array->buffers[1] + at + 1, sizeof *last);
        return;
    }
    int32_t pair[2];
    memcpy(pair, (const int32_t *)array->buffers[1] + at, sizeof pair);
    *first = pair[0];
    *last = pair[1];
}

static void add_view(sink *s, const struct ArrowArray *array, int64_t at)
{
    int32_t view[4];
    const char *p = (const char *)array->buffers[1] + (size_t)at * sizeof view;
    memcpy(view, p, sizeof view);
    add_size(s, view[0]);
    if (view[0] <= 12) {
        add(s, p + sizeof view[0], (size_t)view[0]);
    } else {
        add(s, (const char *)array->buffers[2 + view[2]] + view[3], (size_t)view[0]);
    }
}

/* The index of a dictionary-encoded row; -1 when its type is none. */
static int64_t get_index(const struct ArrowSchema *schema, const struct ArrowArray *array,
                         int64_t at)
{
    const int64_t width = fixed_width(schema->format);
    const bool is_signed = strchr("csil", schema->format[0]) != NULL;
    uint64_t value = 0;
    if (width < 1 || width > 8 || strchr("cCsSiIlL", schema->format[0]) == NULL) {
        return -1;
    }
    memcpy(&value, (const char *)array->buffers[1] + at * width, (size_t)width);
    const uint64_t sign = UINT64_C(1) << (8 * width - 1);
    return is_signed && (value & sign) != 0 ? -1 : (int64_t)value;
}

static tfn_code add_rows(sink *s, const struct ArrowSchema *schema, const struct ArrowArray *array,
                         int64_t begin_row, int64_t n_rows, int depth, tfn_error *err);

static tfn_code add_items(sink *s, const struct ArrowSchema *schema, const struct ArrowArray *array,
                          int64_t first, int64_t n, int depth, tfn_error *err)
{
    const struct ArrowArray *items = array->children[0];
    if (first < 0 || n < 0 || items == NULL || first > items->length - n) {
        return fail_column(s, schema, TFN_INVALID, "has a list that ends behind its items", err);
    }
    add_size(s, n);
    return add_rows(s, schema->children[0], items, first, n, depth + 1, err);
}

static tfn_code add_nested(sink *s, const struct ArrowSchema *schema, layout l,
                           const struct ArrowArray *array, int64_t at, int depth, tfn_error *err)
{
    int64_t first = 0;
    int64_t last = 0;
    switch (l.shape) {
    case SHAPE_STRUCT:
        for (int64_t i = 0; i < schema->n_children; i++) {
            TFN_RETURN_IF_ERROR(
                add_rows(s, schema->children[i], array->children[i], at, 1, depth + 1, err));
        }
        return TFN_OK;
    case SHAPE_LIST_FIXED:
        return add_items(s, schema, array, at * l.width, l.width, depth, err);
    default:
        get_span(array, l.shape == SHAPE_LIST64, at, &first, &last);
        return add_items(s, schema, array, first, last - first, depth, err);
    }
}

/* A value that is not null, behind its 1. */
static tfn_code add_value(sink *s, const struct ArrowSchema *schema, layout l,
                          const struct ArrowArray *array, int64_t at, int depth, tfn_error *err)
{
    int64_t first = 0;
    int64_t last = 0;
    switch (l.shape) {
    case SHAPE_BITS:
        add_byte(s, bit_at(array->buffers[1], at) ? 1 : 0);
        return TFN_OK;
    case SHAPE_FIXED:
        add(s, (const char *)array->buffers[1] + at * l.width, (size_t)l.width);
        return TFN_OK;
    case SHAPE_TEXT32:
    case SHAPE_TEXT64:
        get_span(array, l.shape == SHAPE_TEXT64, at, &first, &last);
        if (first < 0 || last < first || (last > first && array->buffers[2] == NULL)) {
            return fail_column(s, schema, TFN_INVALID, "has offsets that go back", err);
        }
        add_size(s, last - first);
        add(s, last > first ? (const char *)array->buffers[2] + first : "", (size_t)(last - first));
        return TFN_OK;
    case SHAPE_VIEW:
        add_view(s, array, at);
        return TFN_OK;
    default:
        return add_nested(s, schema, l, array, at, depth, err);
    }
}

static tfn_code add_encoded(sink *s, const struct ArrowSchema *schema,
                            const struct ArrowArray *array, int64_t at, int depth, tfn_error *err)
{
    const int64_t index = get_index(schema, array, at);
    if (index < 0 || index >= array->dictionary->length) {
        return fail_column(s, schema, TFN_INVALID, "has an index outside its dictionary", err);
    }
    return add_rows(s, schema->dictionary, array->dictionary, index, 1, depth + 1, err);
}

/* Rows begin_row .. of an array, from its own offset on. */
static tfn_code add_rows(sink *s, const struct ArrowSchema *schema, const struct ArrowArray *array,
                         int64_t begin_row, int64_t n_rows, int depth, tfn_error *err)
{
    const layout l = layout_of(schema);
    if (depth > MAX_DEPTH) {
        return fail_column(s, schema, TFN_LIMIT, "is nested too deeply to be hashed", err);
    }
    TFN_RETURN_IF_ERROR(check_array(s, schema, l, array, err));
    for (int64_t i = 0; i < n_rows; i++) {
        const int64_t at = array->offset + begin_row + i;
        if (is_null(array, l, at)) {
            add_byte(s, 0);
        } else if (l.shape == SHAPE_DICTIONARY) {
            TFN_RETURN_IF_ERROR(add_encoded(s, schema, array, at, depth, err));
        } else {
            add_byte(s, 1);
            TFN_RETURN_IF_ERROR(add_value(s, schema, l, array, at, depth, err));
        }
    }
    return TFN_OK;
}

/* ---- the whole ---- */

static tfn_code hash_column(const tfn_frame *f, size_t i_col, sink *s, tfn_hash128 *out,
                            tfn_error *err)
{
    begin(s);
    s->column = tfn_frame_get_name(f, i_col);
    for (size_t i = 0; i < f->n_batches; i++) {
        const struct ArrowArray *array = &f->batches[i].cols[i_col].array;
        TFN_RETURN_IF_ERROR(
            add_rows(s, f->schema.children[i_col], array, 0, array->length, 0, err));
    }
    *out = end(s);
    return TFN_OK;
}

tfn_code tfn_frame_hash(const tfn_frame *f, tfn_hash128 *out, tfn_error *err)
{
    sink whole = {.n_staged = 0};
    sink column = {.n_staged = 0};
    begin(&whole);
    add_size(&whole, f->n_rows);
    for (size_t i = 0; i < f->n_cols; i++) {
        const tfn_str name = tfn_frame_get_name(f, i);
        tfn_hash128 hash;
        add_size(&whole, (int64_t)name.n);
        add(&whole, name.p, name.n);
        add_type(&whole, f->schema.children[i]);
        TFN_RETURN_IF_ERROR(hash_column(f, i, &column, &hash, err));
        add(&whole, hash.bytes, sizeof hash.bytes);
    }
    *out = end(&whole);
    return TFN_OK;
}
