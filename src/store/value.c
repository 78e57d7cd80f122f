/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Values at the border of the C API. A value says what it is; a cell is told by its type. Key
 * values are converted leniently where nothing is lost (as Feast does: "2" for an integer key), and
 * refused with a sentence where something would be.
 */

#include "store/value.h"

#include <string.h>

#include "base/poison.h"

/* Numbers are those of the stored kinds, so a kind is a cast. */
_Static_assert((int)TFN_VALUE_BOOL == (int)TFN_KIND_BOOL &&
                   (int)TFN_VALUE_INT64 == (int)TFN_KIND_INT64 &&
                   (int)TFN_VALUE_BYTES == (int)TFN_KIND_BYTES &&
                   (int)TFN_VALUE_TIMESTAMP == (int)TFN_KIND_TIMESTAMP,
               "tfn_value_kind follows tfn_kind");

static tfn_code refuse(tfn_type type, tfn_str key, const char *found, tfn_error *err)
{
    char expected[TFN_TYPE_TEXT_BYTES];
    tfn_type_format(type, expected);
    return TFN_FAIL(err, TFN_INVALID, "join key '%.*s' is %s; %s was given", TFN_STR_ARG(key),
                    expected, found);
}

static tfn_code refuse_text(tfn_type type, tfn_str key, tfn_str text, tfn_error *err)
{
    char expected[TFN_TYPE_TEXT_BYTES];
    tfn_type_format(type, expected);
    const int n_shown = text.n > 80 ? 80 : (int)text.n;
    return TFN_FAIL(err, TFN_INVALID, "join key '%.*s' is %s; the text '%.*s' does not read as one",
                    TFN_STR_ARG(key), expected, n_shown, text.p == NULL ? "" : text.p);
}

/* Decimal integer, the whole text; false when it is none or does not fit. */
static bool parse_integer(tfn_str text, int64_t *out)
{
    size_t i = 0;
    const bool is_negative = text.n > 0 && text.p[0] == '-';
    i += is_negative || (text.n > 0 && text.p[0] == '+') ? 1 : 0;
    bool ok = i < text.n;
    int64_t value = 0;
    for (; ok && i < text.n; i++) {
        const int digit = text.p[i] - '0';
        ok = digit >= 0 && digit <= 9 && !__builtin_mul_overflow(value, 10, &value) &&
             !__builtin_sub_overflow(value, digit, &value); /* negative: INT64_MIN fits */
    }
    if (ok && !is_negative) {
        ok = !__builtin_sub_overflow((int64_t)0, value, &value);
    }
    *out = value;
    return ok;
}

static tfn_code to_integer(tfn_type type, tfn_str key, const tfn_value *value, tfn_cell *out,
                           tfn_error *err)
{
    int64_t integer = value->integer;
    switch (value->kind) {
    case TFN_VALUE_INT32:
    case TFN_VALUE_INT64:
        break;
    case TFN_VALUE_FLOAT32:
    case TFN_VALUE_FLOAT64:
        if (!(value->real >= -9.2e18 && value->real <= 9.2e18) ||
            (double)(int64_t)value->real != value->real) {
            return refuse(type, key, "a number that is not whole", err);
        }
        integer = (int64_t)value->real;
        break;
    case TFN_VALUE_STRING: {
        const tfn_str text = {value->text, value->n};
        if (!parse_integer(text, &integer)) {
            return refuse_text(type, key, text, err);
        }
        break;
    }
    default:
        return refuse(type, key, "a value of another type", err);
    }
    if (type.kind == TFN_KIND_INT32 && (integer < INT32_MIN || integer > INT32_MAX)) {
        return refuse(type, key, "a number outside of its range", err);
    }
    out->bits = (uint64_t)integer;
    return TFN_OK;
}

static tfn_code to_bytes(tfn_type type, tfn_str key, const tfn_value *value, tfn_cell *out,
                         tfn_error *err)
{
    const bool is_text = value->kind == TFN_VALUE_STRING;
    const bool fits =
        type.kind == TFN_KIND_STRING ? is_text : is_text || value->kind == TFN_VALUE_BYTES;
    if (!fits) {
        return refuse(type, key, "a value of another type", err);
    }
    out->bytes = (tfn_str){value->text, value->n};
    return TFN_OK;
}

static tfn_code to_bool(tfn_type type, tfn_str key, const tfn_value *value, tfn_cell *out,
                        tfn_error *err)
{
    const tfn_str text = {value->text, value->n};
    const bool is_integer = value->kind == TFN_VALUE_BOOL || value->kind == TFN_VALUE_INT32 ||
                            value->kind == TFN_VALUE_INT64;
    if (is_integer && (value->integer == 0 || value->integer == 1)) {
        out->bits = (uint64_t)value->integer;
    } else if (value->kind == TFN_VALUE_STRING &&
               (tfn_str_is(text, "true") || tfn_str_is(text, "True"))) {
        out->bits = 1;
    } else if (value->kind == TFN_VALUE_STRING &&
               (tfn_str_is(text, "false") || tfn_str_is(text, "False"))) {
        out->bits = 0;
    } else {
        return refuse(type, key, "a value that is neither true nor false", err);
    }
    return TFN_OK;
}

static tfn_code to_time(tfn_type *type, tfn_str key, const tfn_value *value, tfn_cell *out,
                        tfn_error *err)
{
    enum { SECONDS_PER_DAY = 86400 };
    tfn_instant t = {0};
    if (value->kind == TFN_VALUE_DATE && value->integer >= INT32_MIN &&
        value->integer <= INT32_MAX) {
        t.seconds = value->integer * SECONDS_PER_DAY;
    } else if (value->kind == TFN_VALUE_TIMESTAMP) {
        t = tfn_instant_of(value->integer, (tfn_unit)value->unit);
    } else if (value->kind == TFN_VALUE_STRING) {
        const tfn_str text = {value->text, value->n};
        if (tfn_instant_parse(text, &t, NULL) != TFN_OK) {
            return refuse_text(*type, key, text, err);
        }
    } else {
        return refuse(*type, key, "a value that is not a time", err);
    }
    if (type->kind == TFN_KIND_TIMESTAMP) {
        type->unit = t.nanos % 1000 != 0 ? TFN_UNIT_NS : TFN_UNIT_US;
        out->bits = (uint64_t)tfn_instant_to(t, (tfn_unit)type->unit);
        return TFN_OK;
    }
    if (t.nanos != 0 || t.seconds % SECONDS_PER_DAY != 0) {
        return refuse(*type, key, "an instant that is not the beginning of a day", err);
    }
    out->bits = (uint64_t)(t.seconds / SECONDS_PER_DAY);
    return TFN_OK;
}

tfn_code tfn__cell_of_value(tfn_type *type, tfn_str key, const tfn_value *value, tfn_cell *out,
                            tfn_error *err)
{
    *out = (tfn_cell){.is_null = value->kind == TFN_VALUE_NULL};
    if (out->is_null) {
        return TFN_OK;
    }
    switch ((tfn_kind)type->kind) {
    case TFN_KIND_INT32:
    case TFN_KIND_INT64:
        return to_integer(*type, key, value, out, err);
    case TFN_KIND_STRING:
    case TFN_KIND_BYTES:
        return to_bytes(*type, key, value, out, err);
    case TFN_KIND_BOOL:
        return to_bool(*type, key, value, out, err);
    case TFN_KIND_DATE:
    case TFN_KIND_TIMESTAMP:
        return to_time(type, key, value, out, err);
    default:
        return refuse(*type, key, "a value", err);
    }
}

static double real_of_bits(tfn_kind kind, uint64_t bits)
{
    if (kind == TFN_KIND_FLOAT32) {
        const uint32_t narrow = (uint32_t)bits;
        float real = 0;
        memcpy(&real, &narrow, sizeof real);
        return (double)real;
    }
    double real = 0;
    memcpy(&real, &bits, sizeof real);
    return real;
}

void tfn__value_of_cell(tfn_type type, const tfn_cell *cell, tfn_value *out)
{
    *out = (tfn_value){.kind = TFN_VALUE_NULL, .unit = type.unit};
    if (cell->is_null) {
        return;
    }
    if (type.is_list) {
        tfn_list list;
        if (tfn_list_open(type, cell->bytes, &list, NULL) == TFN_OK) {
            out->kind = TFN_VALUE_LIST;
            out->item_kind = type.kind;
            out->text = cell->bytes.p;
            out->n = list.n;
        }
        return;
    }
    out->kind = type.kind;
    if (type.kind == TFN_KIND_STRING || type.kind == TFN_KIND_BYTES) {
        out->text = cell->bytes.p == NULL ? "" : cell->bytes.p;
        out->n = cell->bytes.n;
    } else if (type.kind == TFN_KIND_FLOAT32 || type.kind == TFN_KIND_FLOAT64) {
        out->real = real_of_bits((tfn_kind)type.kind, cell->bits);
    } else {
        out->integer = (int64_t)cell->bits;
    }
}

void tfn_value_get_item(const tfn_value *list, size_t i, tfn_value *item)
{
    *item = (tfn_value){.kind = TFN_VALUE_NULL};
    if (list->kind != TFN_VALUE_LIST || i >= list->n) {
        return;
    }
    /* tfn__value_of_cell has checked the whole list. */
    const tfn_type type = {.kind = (uint8_t)list->item_kind, .unit = (uint8_t)list->unit};
    const uint8_t *validity = (const uint8_t *)list->text + sizeof(uint32_t);
    const uint8_t *values = validity + (list->n + 7) / 8;
    const char *bytes = (const char *)values + (list->n + 1) * sizeof(uint32_t);
    const tfn_list opened = {.item = type,
                             .n = (uint32_t)list->n,
                             .validity = validity,
                             .values = values,
                             .bytes = tfn_type_width(type) == 0 ? bytes : NULL};
    const tfn_cell cell = tfn_list_get(&opened, (uint32_t)i);
    tfn__value_of_cell(type, &cell, item);
}
