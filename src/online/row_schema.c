/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Row schemas: which features a row was written with, and where each lies in it.
 *
 * Stored form (docs/formats/online-row.md, "Row schema"), little endian:
 *
 *   0 u8 version (1) | 1 three zero bytes | 4 u32 number of fields | then per field
 *   u8 kind | u8 is_list | u8 unit | u8 zero | u32 bytes of the name | name
 *
 * A schema is always compiled from its stored form, also a fresh one: what we write is what we can
 * read, and equal lists of fields have equal bytes, by which the store finds a schema's id again.
 * Slots follow each other without padding in field order, since rows are read with unaligned loads.
 */

#include "online/row.h"

#include "base/limits.h"
#include "base/mem.h"
#include "online/bytes.h"

#include "base/poison.h"

enum {
    SCHEMA_VERSION = 1,
    SCHEMA_HEADER_BYTES = 8,
    SCHEMA_FIELD_BYTES = 8, /* before the name */
    VARIABLE_SLOT_BYTES = 8
};

static bool can_store(tfn_type type)
{
    return type.kind >= TFN_KIND_BOOL && type.kind <= TFN_KIND_TIMESTAMP &&
           type.unit <= (type.kind == TFN_KIND_TIMESTAMP ? TFN_UNIT_NS : 0);
}

static tfn_code check_field(const tfn_row_field *field, tfn_error *err)
{
    if (!can_store(field->type)) {
        return TFN_FAIL(err, TFN_INVALID,
                        "feature '%.*s' is of kind %u, which an online row cannot hold",
                        TFN_STR_ARG(field->name), (unsigned)field->type.kind);
    }
    if (field->name.n > TFN_MAX_NAME_BYTES) {
        return TFN_FAIL(
            err, TFN_LIMIT,
            "a feature's name has %zu bytes; at most TFN_MAX_NAME_BYTES = %d are allowed",
            field->name.n, TFN_MAX_NAME_BYTES);
    }
    return TFN_OK;
}

static tfn_code pack_field(const tfn_row_field *field, tfn_buf *out, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(check_field(field, err));
    uint8_t head[SCHEMA_FIELD_BYTES] = {field->type.kind, field->type.is_list, field->type.unit, 0};
    tfn__set_u32(head + 4, (uint32_t)field->name.n);
    TFN_RETURN_IF_ERROR(tfn_buf_add(out, head, sizeof head, err));
    return tfn_buf_add_str(out, field->name, err);
}

static tfn_code pack(const tfn_row_field *fields, size_t n_fields, tfn_buf *out, tfn_error *err)
{
    if (n_fields > TFN_MAX_FIELDS) {
        return TFN_FAIL(err, TFN_LIMIT,
                        "a view has %zu features; at most TFN_MAX_FIELDS = %d are allowed",
                        n_fields, TFN_MAX_FIELDS);
    }
    uint8_t head[SCHEMA_HEADER_BYTES] = {SCHEMA_VERSION};
    tfn__set_u32(head + 4, (uint32_t)n_fields);
    TFN_RETURN_IF_ERROR(tfn_buf_add(out, head, sizeof head, err));
    for (size_t i = 0; i < n_fields; i++) {
        TFN_RETURN_IF_ERROR(pack_field(&fields[i], out, err));
    }
    return TFN_OK;
}

/* Read the field at *at, which lies behind what was read before; move *at behind it. */
static tfn_code unpack_field(tfn_str packed, size_t *at, tfn_row_field *out, tfn_error *err)
{
    const uint8_t *p = (const uint8_t *)packed.p + *at;
    if (packed.n - *at < SCHEMA_FIELD_BYTES ||
        packed.n - *at - SCHEMA_FIELD_BYTES < tfn__get_u32(p + 4)) {
        return TFN_FAIL(err, TFN_CORRUPT, "row schema: cut short at byte %zu of %zu", *at,
                        packed.n);
    }
    const tfn_type type = {.kind = p[0], .is_list = p[1] == 1, .unit = p[2]};
    const uint32_t n_name = tfn__get_u32(p + 4);
    if (!can_store(type) || p[1] > 1 || p[3] != 0 || n_name > TFN_MAX_NAME_BYTES) {
        return TFN_FAIL(err, TFN_CORRUPT, "row schema: no field can begin as at byte %zu", *at);
    }
    *out = (tfn_row_field){{packed.p + *at + SCHEMA_FIELD_BYTES, n_name}, type};
    *at += SCHEMA_FIELD_BYTES + n_name;
    return TFN_OK;
}

static tfn_code check_head(tfn_str packed, tfn_error *err)
{
    const uint8_t *p = (const uint8_t *)packed.p;
    if (packed.n < SCHEMA_HEADER_BYTES) {
        return TFN_FAIL(err, TFN_CORRUPT, "row schema: %zu bytes are too few", packed.n);
    }
    if (p[0] > SCHEMA_VERSION) {
        return TFN_FAIL(err, TFN_UNSUPPORTED,
                        "row schema: written in version %u, this Tiffin reads version %d; upgrade "
                        "tiffin",
                        (unsigned)p[0], SCHEMA_VERSION);
    }
    const uint32_t n_fields = tfn__get_u32(p + 4);
    if (p[0] != SCHEMA_VERSION || p[1] != 0 || p[2] != 0 || p[3] != 0 ||
        n_fields > TFN_MAX_FIELDS ||
        n_fields > (packed.n - SCHEMA_HEADER_BYTES) / SCHEMA_FIELD_BYTES) {
        return TFN_FAIL(err, TFN_CORRUPT, "row schema: its header does not fit its %zu bytes",
                        packed.n);
    }
    return TFN_OK;
}

/* The three arrays are one allocation, which `fields` owns. */
static tfn_code alloc_arrays(tfn_row_schema *s, tfn_error *err)
{
    const size_t n_bytes = sizeof *s->fields + sizeof *s->slots + sizeof *s->variable;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(s->n_fields, n_bytes, &p, err));
    s->fields = p;
    s->slots = (tfn_row_slot *)(s->fields + s->n_fields);
    s->variable = (uint32_t *)(s->slots + s->n_fields);
    return TFN_OK;
}

/* Give field i the next place in the row. */
static void place_field(tfn_row_schema *s, uint32_t i)
{
    const size_t width = tfn_type_width(s->fields[i].type);
    s->slots[i] = (tfn_row_slot){
        .offset = s->fixed_bytes,
        .width = (uint8_t)(width == 0 ? VARIABLE_SLOT_BYTES : width),
        .is_variable = width == 0,
    };
    s->fixed_bytes += s->slots[i].width;
    if (width == 0) {
        s->variable[s->n_variable] = i;
        s->n_variable++;
    }
}

/* Fill a schema from s->packed. `twice` is the code for two fields of one name. */
static tfn_code compile(tfn_row_schema *s, tfn_code twice, tfn_error *err)
{
    const tfn_str packed = tfn_buf_get_str(&s->packed);
    TFN_RETURN_IF_ERROR(check_head(packed, err));
    s->n_fields = tfn__get_u32((const uint8_t *)packed.p + 4);
    s->fixed_bytes = TFN_ROW_HEADER_BYTES + (s->n_fields + 7) / 8;
    TFN_RETURN_IF_ERROR(alloc_arrays(s, err));
    size_t at = SCHEMA_HEADER_BYTES;
    for (uint32_t i = 0; i < s->n_fields; i++) {
        TFN_RETURN_IF_ERROR(unpack_field(packed, &at, &s->fields[i], err));
        uint32_t i_first = 0;
        if (tfn_map_get(&s->by_name, s->fields[i].name, &i_first)) {
            return TFN_FAIL(err, twice, "row schema: two features are named '%.*s'",
                            TFN_STR_ARG(s->fields[i].name));
        }
        TFN_RETURN_IF_ERROR(tfn_map_put(&s->by_name, s->fields[i].name, i, err));
        place_field(s, i);
    }
    if (at != packed.n) {
        return TFN_FAIL(err, TFN_CORRUPT, "row schema: %zu bytes are left over", packed.n - at);
    }
    return TFN_OK;
}

static tfn_code create_empty(tfn_row_schema **out, tfn_error *err)
{
    *out = NULL;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof **out, &p, err));
    *out = p;
    return TFN_OK;
}

tfn_code tfn_row_schema_create(const tfn_row_field *fields, size_t n_fields, tfn_row_schema **out,
                               tfn_error *err)
{
    *out = NULL;
    tfn_row_schema *s = NULL;
    TFN_RETURN_IF_ERROR(create_empty(&s, err));
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, pack(fields, n_fields, &s->packed, err), done);
    TFN_GOTO_IF_ERROR(rc, compile(s, TFN_INVALID, err), done);
    *out = s;
    s = NULL;
done:
    tfn_row_schema_destroy(s);
    return rc;
}

tfn_code tfn_row_schema_unpack(tfn_str packed, tfn_row_schema **out, tfn_error *err)
{
    *out = NULL;
    tfn_row_schema *s = NULL;
    TFN_RETURN_IF_ERROR(create_empty(&s, err));
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_str(&s->packed, packed, err), done);
    TFN_GOTO_IF_ERROR(rc, compile(s, TFN_CORRUPT, err), done);
    *out = s;
    s = NULL;
done:
    tfn_row_schema_destroy(s);
    return rc;
}

void tfn_row_schema_destroy(tfn_row_schema *schema)
{
    if (schema == NULL) {
        return;
    }
    tfn_mem_free(schema->fields);
    tfn_map_deinit(&schema->by_name);
    tfn_buf_deinit(&schema->packed);
    tfn_mem_free(schema);
}

int32_t tfn_row_schema_find(const tfn_row_schema *schema, tfn_str name, tfn_type type)
{
    uint32_t i = 0;
    if (!tfn_map_get(&schema->by_name, name, &i) || !tfn_type_same(schema->fields[i].type, type)) {
        return -1;
    }
    return (int32_t)i;
}

void tfn_row_schema_map(const tfn_row_schema *schema, const tfn_row_field *wanted, size_t n_wanted,
                        int32_t *i_fields)
{
    for (size_t i = 0; i < n_wanted; i++) {
        i_fields[i] = tfn_row_schema_find(schema, wanted[i].name, wanted[i].type);
    }
}
