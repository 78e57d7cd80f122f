/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Arrow schemas and arrays as our types and vectors.
 *
 * A schema's format string decides type, layout and number (`reading`). An array is then checked as
 * far as its own numbers go: buffer count, buffers that must not be missing, lengths, the first and
 * last offset against a list's child. Offsets in between and view contents are not checked: the C
 * data interface cannot carry the sizes of buffers, so an array is trusted memory like any pointer.
 *
 * Rejected: reading decimals as float64 and durations as int64. Both lose what the column says.
 */

#include "column/vec.h"

#include <string.h>

#include "column/column_internal.h"

#include "base/poison.h"

/* How a format is read. */
typedef struct reading {
    tfn_type type; /* lists: is_list, kind from the child */
    uint8_t layout;
    uint8_t number;
    int32_t width; /* FIXED_LIST, FIXED_BYTES */
    bool is_known;
} reading;

static reading read_fixed(tfn_kind kind, tfn_number number)
{
    return (reading){.type = {.kind = (uint8_t)kind},
                     .layout = TFN_LAYOUT_FIXED,
                     .number = (uint8_t)number,
                     .is_known = true};
}

static reading read_strings(tfn_kind kind, tfn_layout layout)
{
    return (reading){.type = {.kind = (uint8_t)kind}, .layout = (uint8_t)layout, .is_known = true};
}

static reading read_list(tfn_layout layout, int32_t width)
{
    return (reading){
        .type = {.is_list = true}, .layout = (uint8_t)layout, .width = width, .is_known = true};
}

/* One-letter formats. */
static reading reading_of_letter(char letter)
{
    switch (letter) {
    case 'n':
        return read_strings(TFN_KIND_NONE, TFN_LAYOUT_NONE);
    case 'b':
        return (reading){
            .type = {.kind = TFN_KIND_BOOL}, .layout = TFN_LAYOUT_BITS, .is_known = true};
    case 'c':
        return read_fixed(TFN_KIND_INT32, TFN_NUMBER_I8);
    case 'C':
        return read_fixed(TFN_KIND_INT32, TFN_NUMBER_U8);
    case 's':
        return read_fixed(TFN_KIND_INT32, TFN_NUMBER_I16);
    case 'S':
        return read_fixed(TFN_KIND_INT32, TFN_NUMBER_U16);
    case 'i':
        return read_fixed(TFN_KIND_INT32, TFN_NUMBER_I32);
    case 'I':
        return read_fixed(TFN_KIND_INT64, TFN_NUMBER_U32);
    case 'l':
        return read_fixed(TFN_KIND_INT64, TFN_NUMBER_I64);
    case 'L':
        return read_fixed(TFN_KIND_INT64, TFN_NUMBER_U64);
    case 'e':
        return read_fixed(TFN_KIND_FLOAT32, TFN_NUMBER_F16);
    case 'f':
        return read_fixed(TFN_KIND_FLOAT32, TFN_NUMBER_F32);
    case 'g':
        return read_fixed(TFN_KIND_FLOAT64, TFN_NUMBER_F64);
    case 'u':
        return read_strings(TFN_KIND_STRING, TFN_LAYOUT_OFFSET32);
    case 'U':
        return read_strings(TFN_KIND_STRING, TFN_LAYOUT_OFFSET64);
    case 'z':
        return read_strings(TFN_KIND_BYTES, TFN_LAYOUT_OFFSET32);
    case 'Z':
        return read_strings(TFN_KIND_BYTES, TFN_LAYOUT_OFFSET64);
    default:
        return (reading){0};
    }
}

/* The number behind "w:" or "+w:"; false unless it is 0 .. INT32_MAX and nothing follows. */
static bool parse_width(const char *digits, int32_t *out)
{
    int64_t width = 0;
    size_t n = 0;
    while (digits[n] >= '0' && digits[n] <= '9' && width <= INT32_MAX) {
        width = width * 10 + (digits[n] - '0');
        n++;
    }
    *out = (int32_t)(width <= INT32_MAX ? width : 0);
    return n > 0 && digits[n] == '\0' && width <= INT32_MAX;
}

/* "tss:", "tsm:", "tsu:", "tsn:" with any zone behind: Arrow's values are UTC instants, and without
 * a zone we take them as UTC. */
static reading reading_of_time(const char *format)
{
    static const char units[] = "smun";
    if (strcmp(format, "tdD") == 0) {
        return read_fixed(TFN_KIND_DATE, TFN_NUMBER_I32);
    }
    if (strcmp(format, "tdm") == 0) {
        return read_fixed(TFN_KIND_DATE, TFN_NUMBER_DATE64);
    }
    if (strncmp(format, "ts", 2) != 0 || format[2] == '\0' || format[3] != ':') {
        return (reading){0};
    }
    const char *unit = strchr(units, format[2]);
    reading r = read_fixed(TFN_KIND_TIMESTAMP, TFN_NUMBER_I64);
    r.type.unit = unit == NULL ? 0 : (uint8_t)(unit - units);
    r.is_known = unit != NULL;
    return r;
}

static reading reading_of_format(const char *format)
{
    int32_t width = 0;
    if (format[0] != '\0' && format[1] == '\0') {
        return reading_of_letter(format[0]);
    }
    if (format[0] == 't') {
        return reading_of_time(format);
    }
    if (strcmp(format, "vu") == 0) {
        return read_strings(TFN_KIND_STRING, TFN_LAYOUT_ARROW_VIEW);
    }
    if (strcmp(format, "vz") == 0) {
        return read_strings(TFN_KIND_BYTES, TFN_LAYOUT_ARROW_VIEW);
    }
    if (strcmp(format, "+l") == 0) {
        return read_list(TFN_LAYOUT_OFFSET32, 0);
    }
    if (strcmp(format, "+L") == 0) {
        return read_list(TFN_LAYOUT_OFFSET64, 0);
    }
    if (strncmp(format, "+w:", 3) == 0 && parse_width(format + 3, &width)) {
        return read_list(TFN_LAYOUT_FIXED_LIST, width);
    }
    if (strncmp(format, "w:", 2) == 0 && parse_width(format + 2, &width)) {
        reading r = read_strings(TFN_KIND_BYTES, TFN_LAYOUT_FIXED_BYTES);
        r.width = width;
        return r;
    }
    return (reading){0};
}

/* What people call a format that we do not read. */
static const char *arrow_name(const char *format)
{
    static const char *const names[][2] = {
        {"d:", "decimal"},   {"tt", "time of day"}, {"tD", "duration"}, {"ti", "interval"},
        {"+s", "struct"},    {"+m", "map"},         {"+u", "union"},    {"+r", "run-end encoded"},
        {"+v", "list view"}, {"+l", "list"},        {"+L", "list"},     {"+w", "list"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strncmp(format, names[i][0], strlen(names[i][0])) == 0) {
            return names[i][1];
        }
    }
    return "unknown";
}

static tfn_code fail_type(tfn_str name, const char *format, bool in_list, tfn_error *err)
{
    return TFN_FAIL(err, TFN_SCHEMA,
                    "column '%.*s' is of Arrow type %s%s ('%s'); Tiffin reads booleans, integers, "
                    "floats, strings, bytes, timestamps, dates and lists of those",
                    TFN_STR_ARG(name), in_list ? "list of " : "", arrow_name(format), format);
}

/* The format of a schema inside of a column's; "", which is none, where the producer left it out. */
static const char *format_of(const struct ArrowSchema *schema)
{
    return schema->format == NULL ? "" : schema->format;
}

/* The reading of a schema, dictionaries replaced by their values' type. `item` is set for lists. */
static tfn_code reading_of_schema(const struct ArrowSchema *schema, tfn_str name, reading *out,
                                  reading *item, tfn_error *err)
{
    *item = (reading){0};
    while (schema->dictionary != NULL) {
        schema = schema->dictionary;
    }
    *out = reading_of_format(format_of(schema));
    if (!out->is_known) {
        return fail_type(name, format_of(schema), false, err);
    }
    if (!out->type.is_list) {
        return TFN_OK;
    }
    if (schema->n_children != 1 || schema->children == NULL || schema->children[0] == NULL) {
        return TFN_FAIL(err, TFN_INVALID, "column '%.*s': a list has %lld children, not 1",
                        TFN_STR_ARG(name), (long long)schema->n_children);
    }
    const struct ArrowSchema *child = schema->children[0];
    while (child->dictionary != NULL) {
        child = child->dictionary;
    }
    *item = reading_of_format(format_of(child));
    if (!item->is_known || item->type.is_list) {
        return fail_type(name, format_of(child), true, err);
    }
    out->type.kind = item->type.kind;
    out->type.unit = item->type.unit;
    return TFN_OK;
}

tfn_code tfn_type_of_arrow(const struct ArrowSchema *schema, tfn_str name, tfn_type *out,
                           tfn_error *err)
{
    *out = (tfn_type){0};
    reading r = {0};
    reading item = {0};
    TFN_RETURN_IF_ERROR(reading_of_schema(schema, name, &r, &item, err));
    *out = r.type;
    return TFN_OK;
}

/* ---- arrays ---- */

static int64_t buffers_of_layout(uint8_t layout, bool is_list)
{
    switch (layout) {
    case TFN_LAYOUT_NONE:
        return 0;
    case TFN_LAYOUT_FIXED_LIST:
        return 1;
    case TFN_LAYOUT_OFFSET32:
    case TFN_LAYOUT_OFFSET64:
        return is_list ? 2 : 3;
    case TFN_LAYOUT_ARROW_VIEW:
        return 3; /* at least: validity, views, sizes of the data buffers */
    default:
        return 2;
    }
}

static tfn_code check_counts(const reading *r, const struct ArrowArray *array, tfn_str name,
                             tfn_error *err)
{
    int64_t end = 0;
    if (array->length < 0 || array->offset < 0 ||
        __builtin_add_overflow(array->length, array->offset, &end)) {
        return TFN_FAIL(err, TFN_INVALID, "column '%.*s': an array of length %lld at offset %lld",
                        TFN_STR_ARG(name), (long long)array->length, (long long)array->offset);
    }
    const int64_t n_wanted = buffers_of_layout(r->layout, r->type.is_list);
    const bool is_view = r->layout == TFN_LAYOUT_ARROW_VIEW;
    if (is_view ? array->n_buffers < n_wanted : array->n_buffers != n_wanted) {
        /* Arrow before 1.0 gave the null type one (empty) buffer. */
        if (r->layout != TFN_LAYOUT_NONE || array->n_buffers != 1) {
            return TFN_FAIL(err, TFN_INVALID, "column '%.*s': an array has %lld buffers, not %lld",
                            TFN_STR_ARG(name), (long long)array->n_buffers, (long long)n_wanted);
        }
    }
    if (n_wanted > 0 && array->buffers == NULL) {
        return TFN_FAIL(err, TFN_INVALID, "column '%.*s': an array has no buffers",
                        TFN_STR_ARG(name));
    }
    if (array->length > 0 && n_wanted > 1 && array->buffers[1] == NULL &&
        !(r->layout == TFN_LAYOUT_FIXED_BYTES && r->width == 0)) {
        return TFN_FAIL(err, TFN_INVALID, "column '%.*s': an array of %lld values has no data",
                        TFN_STR_ARG(name), (long long)array->length);
    }
    if (n_wanted > 0 && array->null_count > 0 && array->buffers[0] == NULL) {
        return TFN_FAIL(err, TFN_INVALID,
                        "column '%.*s': an array says that %lld values are null but not which",
                        TFN_STR_ARG(name), (long long)array->null_count);
    }
    return TFN_OK;
}

/* The offset behind the last row of an offset layout. */
static int64_t last_offset(const tfn_vec *v)
{
    int32_t narrow = 0;
    int64_t wide = 0;
    const size_t at = (size_t)(v->offset + v->n);
    if (v->n == 0) {
        return 0;
    }
    if (v->layout == TFN_LAYOUT_OFFSET32) {
        memcpy(&narrow, (const char *)v->data + at * sizeof narrow, sizeof narrow);
        return narrow;
    }
    memcpy(&wide, (const char *)v->data + at * sizeof wide, sizeof wide);
    return wide;
}

static tfn_code check_list(const tfn_vec *v, tfn_str name, tfn_error *err)
{
    const int64_t n_children = v->child->n;
    int64_t n_needed = 0;
    bool fits = true;
    if (v->layout == TFN_LAYOUT_FIXED_LIST) {
        fits = !__builtin_mul_overflow(v->offset + v->n, (int64_t)v->list_width, &n_needed);
        n_needed = v->n == 0 ? 0 : n_needed;
    } else {
        n_needed = last_offset(v);
    }
    if (!fits || n_needed < 0 || n_needed > n_children) {
        return TFN_FAIL(err, TFN_INVALID,
                        "column '%.*s': lists reach up to item %lld of only %lld items",
                        TFN_STR_ARG(name), (long long)n_needed, (long long)n_children);
    }
    return TFN_OK;
}

/* Everything but children. */
static tfn_code vec_of_buffers(const reading *r, const struct ArrowArray *array, tfn_str name,
                               tfn_vec *out, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(check_counts(r, array, name, err));
    *out = (tfn_vec){.type = r->type,
                     .layout = r->layout,
                     .number = r->number,
                     .list_width = r->width,
                     .n = array->length,
                     .offset = array->offset};
    const int64_t n_buffers = buffers_of_layout(r->layout, r->type.is_list);
    if (n_buffers > 0 && array->null_count != 0) {
        out->validity = array->buffers[0];
    }
    if (n_buffers > 1) {
        out->data = array->buffers[1];
    }
    if (r->layout == TFN_LAYOUT_ARROW_VIEW) {
        out->buffers = array->buffers + 2;
    } else if (n_buffers > 2) {
        out->bytes = array->buffers[2] == NULL ? "" : array->buffers[2];
        if (array->buffers[2] == NULL && last_offset(out) != 0) {
            return TFN_FAIL(err, TFN_INVALID, "column '%.*s': an array of strings has no bytes",
                            TFN_STR_ARG(name));
        }
    }
    return TFN_OK;
}

/* One array without children: of a plain or of a dictionary type. */
static tfn_code vec_of_flat(const reading *r, const struct ArrowSchema *schema,
                            const struct ArrowArray *array, tfn_str name, tfn__dictionary_fn decode,
                            void *context, tfn_arena *arena, tfn_vec *out, tfn_error *err)
{
    if (schema->dictionary == NULL) {
        return vec_of_buffers(r, array, name, out, err);
    }
    if (decode == NULL || array->dictionary == NULL) {
        return TFN_FAIL(err, TFN_INVALID, "column '%.*s': a dictionary array %s", TFN_STR_ARG(name),
                        decode == NULL ? "was not decoded" : "comes without its dictionary");
    }
    return decode(context, schema, array, name, arena, out, err);
}

tfn_code tfn__vec_of_arrow(const struct ArrowSchema *schema, const struct ArrowArray *array,
                           tfn_str name, tfn__dictionary_fn decode, void *context, tfn_arena *arena,
                           tfn_vec *out, tfn_error *err)
{
    *out = (tfn_vec){0};
    reading r = {0};
    reading item = {0};
    TFN_RETURN_IF_ERROR(reading_of_schema(schema, name, &r, &item, err));
    TFN_RETURN_IF_ERROR(vec_of_flat(&r, schema, array, name, decode, context, arena, out, err));
    if (!r.type.is_list || schema->dictionary != NULL) {
        return TFN_OK;
    }
    if (array->n_children != 1 || array->children == NULL || array->children[0] == NULL) {
        return TFN_FAIL(err, TFN_INVALID, "column '%.*s': a list array has %lld children, not 1",
                        TFN_STR_ARG(name), (long long)array->n_children);
    }
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, 1, sizeof(tfn_vec), &p, err));
    tfn_vec *child = p;
    TFN_RETURN_IF_ERROR(vec_of_flat(&item, schema->children[0], array->children[0], name, decode,
                                    context, arena, child, err));
    out->child = child;
    return check_list(out, name, err);
}

tfn_code tfn_vec_of_arrow(const struct ArrowSchema *schema, const struct ArrowArray *array,
                          tfn_str name, tfn_arena *arena, tfn_vec *out, tfn_error *err)
{
    return tfn__vec_of_arrow(schema, array, name, NULL, NULL, arena, out, err);
}
