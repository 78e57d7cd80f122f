/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Types: one table says name and width of each kind; everything else follows from it.
 *
 * Reading data as a declared type (tfn_type_can_read) loses no meaning: integers keep their value
 * or are refused one by one, floats are rounded to the declared width, integers become floats, a
 * date is the instant at its midnight UTC. What would guess (a float as an integer, a number as
 * text, a time cut down to its day) is refused for the whole column.
 */

#include "column/type.h"

#include <stdio.h>
#include <string.h>

#include "base/poison.h"

typedef struct kind_info {
    const char *name;
    size_t width;
} kind_info;

static const kind_info kinds[] = {
    [TFN_KIND_NONE] = {"null", 0},       [TFN_KIND_BOOL] = {"bool", 1},
    [TFN_KIND_INT32] = {"int32", 4},     [TFN_KIND_INT64] = {"int64", 8},
    [TFN_KIND_FLOAT32] = {"float32", 4}, [TFN_KIND_FLOAT64] = {"float64", 8},
    [TFN_KIND_STRING] = {"string", 0},   [TFN_KIND_BYTES] = {"bytes", 0},
    [TFN_KIND_DATE] = {"date", 4},       [TFN_KIND_TIMESTAMP] = {"timestamp", 8},
    [TFN_KIND_UUID] = {"uuid", 0},
};

static const char *const logicals[] = {
    [TFN_LOGICAL_NONE] = "string",         [TFN_LOGICAL_UUID] = "uuid",
    [TFN_LOGICAL_TIME_UUID] = "time_uuid", [TFN_LOGICAL_DECIMAL] = "decimal",
    [TFN_LOGICAL_JSON] = "json",           [TFN_LOGICAL_MAP] = "map",
    [TFN_LOGICAL_STRUCT] = "struct",
};

static const uint8_t N_LOGICALS = sizeof logicals / sizeof logicals[0];

enum { FIRST_KIND = TFN_KIND_BOOL, LAST_KIND = TFN_KIND_TIMESTAMP, N_KINDS = TFN_KIND_UUID + 1 };

size_t tfn_type_width(tfn_type type)
{
    return type.is_list || type.kind >= N_KINDS ? 0 : kinds[type.kind].width;
}

static tfn_kind kind_of_name(tfn_str name)
{
    for (int kind = FIRST_KIND; kind <= LAST_KIND; kind++) {
        if (tfn_str_is(name, kinds[kind].name)) {
            return (tfn_kind)kind;
        }
    }
    return TFN_KIND_NONE;
}

/* The type of one value, or kind NONE. */
static tfn_type item_of_name(tfn_str name)
{
    const tfn_kind kind = kind_of_name(name);
    if (kind != TFN_KIND_NONE) {
        return (tfn_type){.kind = (uint8_t)kind,
                          .unit = kind == TFN_KIND_TIMESTAMP ? TFN_UNIT_US : 0};
    }
    for (uint8_t i = 1; i < N_LOGICALS; i++) {
        if (tfn_str_is(name, logicals[i])) {
            return (tfn_type){.kind = TFN_KIND_STRING, .logical = i};
        }
    }
    return (tfn_type){0};
}

/* Does a text stand between `head` and ">"? Leaves it in *inside. */
static bool is_in(tfn_str text, const char *head, tfn_str *inside)
{
    const size_t n_head = strlen(head);
    if (!tfn_str_starts_with(text, head) || !tfn_str_ends_with(text, ">")) {
        return false;
    }
    *inside = (tfn_str){text.p + n_head, text.n - n_head - 1};
    return true;
}

/* JSON, maps and structs have no order by which two of them are one. */
static bool may_be_in_set(tfn_type item)
{
    return item.logical < TFN_LOGICAL_JSON;
}

tfn_code tfn_type_parse(tfn_str text, tfn_type *out, tfn_error *err)
{
    tfn_str name = text;
    const bool is_set = is_in(text, "set<", &name);
    const bool is_list = is_set || is_in(text, "array<", &name);
    *out = item_of_name(name);
    if (out->kind == TFN_KIND_NONE || (is_set && !may_be_in_set(*out))) {
        *out = (tfn_type){0};
        return TFN_FAIL(err, TFN_INVALID,
                        "'%.*s' is not a type; there are bool, int32, int64, float32, float64, "
                        "string, bytes, timestamp, date, uuid, time_uuid, decimal, json, map, "
                        "struct, array<...> of those, and set<...> of those but the last three",
                        TFN_STR_ARG(text));
    }
    out->is_list = is_list;
    out->is_set = is_set;
    return TFN_OK;
}

void tfn_type_format(tfn_type type, char text[TFN_TYPE_TEXT_BYTES])
{
    const char *name = type.kind < N_KINDS ? kinds[type.kind].name : "unknown";
    if (type.logical != TFN_LOGICAL_NONE && type.logical < N_LOGICALS) {
        name = logicals[type.logical];
    }
    const char *shape = "";
    if (type.is_list) {
        shape = type.is_set ? "set<" : "array<";
    }
    (void)snprintf(text, TFN_TYPE_TEXT_BYTES, "%s%s%s", shape, name, shape[0] != '\0' ? ">" : "");
}

bool tfn_type_is_key(tfn_type type)
{
    if (tfn_type_is_logical(type)) {
        return false;
    }
    switch (type.kind) {
    case TFN_KIND_BOOL:
    case TFN_KIND_INT32:
    case TFN_KIND_INT64:
    case TFN_KIND_STRING:
    case TFN_KIND_BYTES:
    case TFN_KIND_DATE:
    case TFN_KIND_TIMESTAMP:
        return !type.is_list;
    default:
        return false;
    }
}

static bool is_integer(int kind)
{
    return kind == TFN_KIND_INT32 || kind == TFN_KIND_INT64;
}

static bool is_float(int kind)
{
    return kind == TFN_KIND_FLOAT32 || kind == TFN_KIND_FLOAT64;
}

static bool kind_can_read(int declared, int found)
{
    if (declared == found || found == TFN_KIND_NONE) {
        return true;
    }
    if (is_integer(declared)) {
        return is_integer(found);
    }
    if (is_float(declared)) {
        return is_integer(found) || is_float(found);
    }
    return declared == TFN_KIND_TIMESTAMP && found == TFN_KIND_DATE;
}

static bool is_json(uint8_t logical)
{
    return logical == TFN_LOGICAL_JSON || logical == TFN_LOGICAL_MAP ||
           logical == TFN_LOGICAL_STRUCT;
}

static bool is_uuid(uint8_t logical)
{
    return logical == TFN_LOGICAL_UUID || logical == TFN_LOGICAL_TIME_UUID;
}

static bool logical_can_read(uint8_t declared, uint8_t found)
{
    if (declared == found || found == TFN_LOGICAL_NONE) {
        return true;
    }
    if (declared == TFN_LOGICAL_NONE) {
        return is_uuid(found) || found == TFN_LOGICAL_JSON;
    }
    return (is_json(declared) && is_json(found)) || (is_uuid(declared) && is_uuid(found));
}

bool tfn_type_can_read(tfn_type declared, tfn_type found)
{
    if (found.kind == TFN_KIND_NONE && !found.is_list) {
        return true;
    }
    return declared.is_list == found.is_list && kind_can_read(declared.kind, found.kind) &&
           logical_can_read(declared.logical, found.logical);
}

bool tfn_type_can_read_key(tfn_type declared, tfn_type found)
{
    const bool is_integer = declared.kind == TFN_KIND_INT32 || declared.kind == TFN_KIND_INT64;
    const bool is_float = found.kind == TFN_KIND_FLOAT32 || found.kind == TFN_KIND_FLOAT64;
    const bool is_one_value = !declared.is_list && !found.is_list;
    return (is_one_value && is_integer && is_float) || tfn_type_can_read(declared, found);
}
