/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_ONLINE_ROW_H
#define TFN_ONLINE_ROW_H

/*
 * One online row: all features of a view for one key, as bytes that are read in place.
 *
 * A row names its row schema by id; a row schema is the list of (feature name, type) that it was
 * written with. A view whose definition changed still reads its old rows: readers map the features
 * that they want to fields of the row's own schema (tfn_row_schema_map).
 *
 * Format    docs/formats/online-row.md
 */

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/map.h"
#include "base/time.h"
#include "column/cell.h"
#include "column/type.h"
#include "online/bytes.h"

enum { TFN_ROW_VERSION = 1, TFN_ROW_HEADER_BYTES = 40 };

/** What a schema is made from; borrowed. Timestamps carry the unit of their data. */
typedef struct tfn_row_field {
    tfn_str name;
    tfn_type type;
} tfn_row_field;

/** Where one field lies in a row. */
typedef struct tfn_row_slot {
    uint32_t offset; /* of the fixed-width slot, from the beginning of the row */
    uint8_t width;   /* 1, 4 or 8; variable-length: 8 (u32 offset, u32 length) */
    bool is_variable;
} tfn_row_slot;

/** A compiled row schema. Immutable, so any number of threads may read it. */
typedef struct tfn_row_schema {
    uint32_t id; /* 0 until an online store gave it one */
    uint32_t n_fields;
    uint32_t n_variable;
    uint32_t fixed_bytes;  /* header, null bitmap and slots */
    tfn_row_field *fields; /* names borrow `packed` */
    tfn_row_slot *slots;
    uint32_t *variable; /* indexes of the variable-length fields */
    tfn_map by_name;
    tfn_buf packed; /* the bytes that are stored */
} tfn_row_schema;

/**
 * Compile a row schema.
 *
 * @param fields  [borrow] n_fields (0 allowed) with distinct names and storable types
 * @param out     [own] ends with tfn_row_schema_destroy
 *
 * Cost     O(fields)
 * Threads  any
 * Errors   TFN_INVALID two fields of one name, or a type that no row can hold . TFN_LIMIT too many
 *          fields, or a name too long . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_row_schema_create(const tfn_row_field *fields, size_t n_fields,
                                             tfn_row_schema **out, tfn_error *err);

/**
 * Compile a row schema from its stored bytes.
 *
 * @param packed  [copy] as in tfn_row_schema.packed
 * @param out     [own] ends with tfn_row_schema_destroy
 *
 * Threads  any
 * Errors   TFN_CORRUPT says what does not fit . TFN_UNSUPPORTED written by a newer Tiffin .
 *          TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_row_schema_unpack(tfn_str packed, tfn_row_schema **out, tfn_error *err);

/** NULL is fine. Threads one at a time. Errors none. */
void tfn_row_schema_destroy(tfn_row_schema *schema);

/**
 * Field of that name and kind (a timestamp's unit may differ: it is fields[i].type.unit), or -1.
 *
 * Threads  any
 * Errors   none
 */
int32_t tfn_row_schema_find(const tfn_row_schema *schema, tfn_str name, tfn_type type);

/**
 * tfn_row_schema_find for many: i_fields[i] is the field of wanted[i], or -1 = missing. Callers
 * keep the answer per (request, schema): it never changes.
 *
 * Threads  any
 * Errors   none
 */
void tfn_row_schema_map(const tfn_row_schema *schema, const tfn_row_field *wanted, size_t n_wanted,
                        int32_t *i_fields);

/** A checked row. Borrows the schema and the bytes; made on the caller's stack. */
typedef struct tfn_row {
    const tfn_row_schema *schema;
    const uint8_t *bytes;
    size_t n_bytes;
    tfn_instant event;
    tfn_instant created; /* TFN_INSTANT_NONE when the row has none */
    tfn_str full_key;    /* encoded key; only when it was too long to be the key in the store */
} tfn_row;

/**
 * Write one row.
 *
 * @param cells     [borrow] schema->n_fields cells of the schema's types (lists packed,
 * column/cell.h)
 * @param created   TFN_INSTANT_NONE: no created time
 * @param full_key  [borrow] encoded key to keep in the row; empty = not kept
 * @param out       [out] cleared first; equal arguments give equal bytes
 *
 * Cost     O(bytes); allocates only when a row is larger than all before in `out`
 * Threads  one at a time per `out`
 * Errors   TFN_INVALID no event time, or nanoseconds out of range . TFN_LIMIT larger than
 *          TFN_MAX_ONLINE_ROW_BYTES . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_row_encode(const tfn_row_schema *schema, const tfn_cell *cells,
                                      tfn_instant event, tfn_instant created, tfn_str full_key,
                                      tfn_buf *out, tfn_error *err);

/**
 * Give an encoded row the id of its schema, when that was not known yet as it was encoded.
 *
 * @param row  [borrow] made by tfn_row_encode
 *
 * Threads  any
 * Errors   none
 */
void tfn_row_set_schema_id(char *row, uint32_t id);

/**
 * The schema id in a row's header.
 *
 * Errors   TFN_CORRUPT shorter than a header . TFN_UNSUPPORTED a row layout of a newer Tiffin
 */
TFN_NODISCARD tfn_code tfn_row_get_schema_id(tfn_str bytes, uint32_t *out, tfn_error *err);

/**
 * The times in a row's header: what the write rule compares.
 *
 * @param created  [out] TFN_INSTANT_NONE: none
 *
 * Errors   as tfn_row_get_schema_id
 */
TFN_NODISCARD tfn_code tfn_row_get_times(tfn_str bytes, tfn_instant *event, tfn_instant *created,
                                         tfn_error *err);

/**
 * Check a row once: version, flags, schema id, size, times, and that every variable-length value
 * lies inside. (What is inside a packed list is checked by tfn_list_open.)
 *
 * @param schema  [borrow as long as the row]
 * @param bytes   [borrow as long as the row] any alignment
 *
 * Cost     O(variable-length fields); allocates nothing
 * Threads  any
 * Errors   TFN_CORRUPT says what does not fit . TFN_UNSUPPORTED a row layout of a newer Tiffin
 */
TFN_NODISCARD tfn_code tfn_row_open(const tfn_row_schema *schema, tfn_str bytes, tfn_row *out,
                                    tfn_error *err);

/** Is field i of these bytes of a row null? */
static inline bool tfn_row_is_null(const uint8_t *row, uint32_t i)
{
    return (((unsigned)row[TFN_ROW_HEADER_BYTES + i / 8] >> (i % 8)) & 1u) == 0;
}

/**
 * Field i < n_fields of a row; strings and packed lists borrow the row's bytes. Inline: a lookup
 * calls it once a value.
 *
 * Cost     O(1); allocates nothing
 * Threads  any
 * Errors   none: the row was checked when it was opened
 */
static inline void tfn_row_get(const tfn_row *row, uint32_t i_field, tfn_cell *out)
{
    assert(i_field < row->schema->n_fields);
    *out = (tfn_cell){.is_null = tfn_row_is_null(row->bytes, i_field)};
    if (out->is_null) {
        return;
    }
    const tfn_row_slot slot = row->schema->slots[i_field];
    const uint8_t *from = row->bytes + slot.offset;
    if (slot.is_variable) {
        out->bytes =
            (tfn_str){(const char *)row->bytes + tfn__get_u32(from), tfn__get_u32(from + 4)};
    } else if (slot.width == 8) {
        out->bits = tfn__get_u64(from);
    } else if (slot.width == 4) { /* sign-extended; float32 is its bits (column/cell.h) */
        const uint32_t x = tfn__get_u32(from);
        const bool is_real = row->schema->fields[i_field].type.kind == TFN_KIND_FLOAT32;
        out->bits = is_real ? x : (uint64_t)(int64_t)(int32_t)x;
    } else {
        out->bits = from[0] != 0;
    }
}

#endif
