/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_COLUMN_TYPE_H
#define TFN_COLUMN_TYPE_H

/*
 * The types a feature or a join key may have, in one small value.
 *
 * In text: "bool", "int32", ..., "timestamp", "date", "array<int64>". The unit of a timestamp is a
 * fact about data, not a part of a definition, so the text form does not carry it.
 *
 * A logical type is a kind with a meaning: "uuid", "time_uuid", "decimal", "json", "map" and
 * "struct" are strings whose text is one (maps and structs are JSON objects), "set<int64>" is a list
 * without an order. Files, rows and columns hold the kind; what a value is in Python, and in
 * Feast's messages, follows from the meaning. docs/semantics/types.md has the rules.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "base/time.h"
#include "tiffin/arrow.h"

/* Values are part of stored formats (online rows, key tags): never change one. */
typedef enum tfn_kind {
    TFN_KIND_NONE = 0, /* unknown, or a column of nothing but nulls */
    TFN_KIND_BOOL = 1,
    TFN_KIND_INT32 = 2,
    TFN_KIND_INT64 = 3,
    TFN_KIND_FLOAT32 = 4,
    TFN_KIND_FLOAT64 = 5,
    TFN_KIND_STRING = 6,
    TFN_KIND_BYTES = 7,
    TFN_KIND_DATE = 8,      /* days since 1970-01-01, int32 */
    TFN_KIND_TIMESTAMP = 9, /* int64 in `unit`, UTC */
    TFN_KIND_UUID = 10      /* reserved: key tag only */
} tfn_kind;

/* Meanings of a string; order is that of names in type.c. */
typedef enum tfn_logical {
    TFN_LOGICAL_NONE = 0,
    TFN_LOGICAL_UUID = 1,
    TFN_LOGICAL_TIME_UUID = 2,
    TFN_LOGICAL_DECIMAL = 3,
    TFN_LOGICAL_JSON = 4,
    TFN_LOGICAL_MAP = 5,
    TFN_LOGICAL_STRUCT = 6
} tfn_logical;

typedef struct tfn_type {
    uint8_t kind;    /* tfn_kind */
    bool is_list;    /* array<kind>, or set<kind> */
    uint8_t unit;    /* tfn_unit; 0 unless kind is TIMESTAMP */
    bool is_set;     /* of a list */
    uint8_t logical; /* tfn_logical; NONE unless kind is STRING */
} tfn_type;

/** Is it a type with a meaning beside its kind? */
static inline bool tfn_type_is_logical(tfn_type type)
{
    return type.is_set || type.logical != TFN_LOGICAL_NONE;
}

/** Same kind and listness, so values of one are values of the other; unit and meaning are not
 * compared. */
static inline bool tfn_type_same(tfn_type a, tfn_type b)
{
    return a.kind == b.kind && a.is_list == b.is_list;
}

/** float32, float64, or a list of one? */
static inline bool tfn_type_is_float(tfn_type type)
{
    return type.kind == TFN_KIND_FLOAT32 || type.kind == TFN_KIND_FLOAT64;
}

/** Does it say when: a timestamp or a date, no list? */
static inline bool tfn_type_is_time(tfn_type type)
{
    return !type.is_list && (type.kind == TFN_KIND_TIMESTAMP || type.kind == TFN_KIND_DATE);
}

/** Bytes of one value of a fixed-width type: bool 1, int32/float32/date 4, others 8; 0 for strings,
 * bytes and lists. */
size_t tfn_type_width(tfn_type type);

/**
 * Read "int64", "array<string>" or "set<uuid>"; timestamps get unit us.
 *
 * Errors   TFN_INVALID names the text and the types that exist
 */
TFN_NODISCARD tfn_code tfn_type_parse(tfn_str text, tfn_type *out, tfn_error *err);

enum { TFN_TYPE_TEXT_BYTES = 24 }; /* "array<timestamp>", "array<time_uuid>": 17 */

/** Text form, e.g. "array<timestamp>". */
void tfn_type_format(tfn_type type, char text[TFN_TYPE_TEXT_BYTES]);

/** May a join key have this type? (int32 int64 string bytes bool date timestamp, no lists, and no
 * meaning) */
bool tfn_type_is_key(tfn_type type);

/**
 * May data of type `found` be read as `declared`? Yes among integers (range checked per value),
 * among floats (rounded to the declared width), integer -> float, date -> timestamp, timestamp in
 * any unit, an all-null column -> anything, and element-wise for lists; no otherwise (float ->
 * integer, string <-> number, bytes <-> string, timestamp -> date). Of meanings: a text or list
 * without one has any; uuid and time_uuid are each other, map and struct too; json reads both,
 * and is, as uuids are, a string.
 */
bool tfn_type_can_read(tfn_type declared, tfn_type found);

/**
 * May data of type `found` be read as keys of type `declared`? As tfn_type_can_read, and floats as
 * integers too, as pandas makes floats of integers with nulls: each must be whole (keys.c).
 */
bool tfn_type_can_read_key(tfn_type declared, tfn_type found);

#endif
