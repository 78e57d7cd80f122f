/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * DuckDB's types and vectors as ours. Nothing is copied: a vector of DuckDB's is flat when the
 * kernel sees it, and its memory is described once per worker and pointed at anew for every chunk.
 *
 * Times stay in the unit in which DuckDB holds them: casts between units round in some versions.
 */

#include <string.h>

#include "source/files_internal.h"

#include "base/poison.h"

#define TYPE(k)                                                                                    \
    {                                                                                              \
        .kind = TFN_KIND_##k                                                                       \
    }
#define TIME(u)                                                                                    \
    {                                                                                              \
        .kind = TFN_KIND_TIMESTAMP, .unit = TFN_UNIT_##u                                           \
    }

static const tfn__duck_type types[] = {
    {1, "BOOLEAN", TYPE(BOOL), TFN_NUMBER_U8, NULL},
    {2, "TINYINT", TYPE(INT32), TFN_NUMBER_I8, NULL},
    {3, "SMALLINT", TYPE(INT32), TFN_NUMBER_I16, NULL},
    {4, "INTEGER", TYPE(INT32), TFN_NUMBER_I32, NULL},
    {5, "BIGINT", TYPE(INT64), TFN_NUMBER_I64, NULL},
    {6, "UTINYINT", TYPE(INT32), TFN_NUMBER_U8, NULL},
    {7, "USMALLINT", TYPE(INT32), TFN_NUMBER_U16, NULL},
    {8, "UINTEGER", TYPE(INT64), TFN_NUMBER_U32, NULL},
    {9, "UBIGINT", TYPE(INT64), TFN_NUMBER_U64, NULL},
    {10, "FLOAT", TYPE(FLOAT32), TFN_NUMBER_F32, NULL},
    {11, "DOUBLE", TYPE(FLOAT64), TFN_NUMBER_F64, NULL},
    {12, "TIMESTAMP", TIME(US), TFN_NUMBER_I64, "make_timestamp(%lld)"},
    {13, "DATE", TYPE(DATE), TFN_NUMBER_I32, "(DATE '1970-01-01' + (%lld)::INTEGER)"},
    {17, "VARCHAR", TYPE(STRING), TFN_NUMBER_NONE, NULL},
    {18, "BLOB", TYPE(BYTES), TFN_NUMBER_NONE, NULL},
    {20, "TIMESTAMP_S", TIME(S), TFN_NUMBER_I64, NULL},
    {21, "TIMESTAMP_MS", TIME(MS), TFN_NUMBER_I64, NULL},
    {22, "TIMESTAMP_NS", TIME(NS), TFN_NUMBER_I64, "make_timestamp_ns(%lld)"},
    {31, "TIMESTAMP WITH TIME ZONE", TIME(US), TFN_NUMBER_I64, "make_timestamptz(%lld)"},
    {42, "TIMESTAMPTZ_NS", TIME(NS), TFN_NUMBER_I64, "make_timestamp_ns(%lld)::TIMESTAMPTZ_NS"},
};

#undef TYPE
#undef TIME

enum { N_TYPES = sizeof types / sizeof types[0] };

const tfn__duck_type *tfn__duck_type_find(int id)
{
    for (size_t i = 0; i < N_TYPES; i++) {
        if (types[i].id == id) {
            return &types[i];
        }
    }
    return NULL;
}

const tfn__duck_type *tfn__duck_type_find_name(tfn_str name)
{
    for (size_t i = 0; i < N_TYPES; i++) {
        if (tfn_str_is(name, types[i].name)) {
            return &types[i];
        }
    }
    return NULL;
}

tfn_type tfn__duck_type_read(tfn_str name)
{
    if (tfn_str_starts_with(name, "ENUM(") && tfn_str_ends_with(name, ")")) {
        return (tfn_type){.kind = TFN_KIND_STRING}; /* cast in the statement */
    }
    tfn_str item = name;
    const bool is_list = tfn_str_ends_with(name, "]");
    bool is_open = is_list; /* "INTEGER[]", "INTEGER[3]": back to the bracket */
    while (is_open && item.n > 0) {
        item.n--;
        is_open = item.p[item.n] != '[';
    }
    const tfn__duck_type *found = tfn__duck_type_find_name(item);
    if (found == NULL) {
        return (tfn_type){0};
    }
    tfn_type type = found->type;
    type.is_list = is_list;
    return type;
}

/* ---- vectors ---- */

static tfn_code init_scalar(int id, tfn_vec *out, tfn_error *err)
{
    *out = (tfn_vec){0};
    if (id == DUCK_TYPE_SQLNULL) {
        return TFN_OK;
    }
    const tfn__duck_type *t = tfn__duck_type_find(id);
    if (t == NULL) {
        return TFN_FAIL(err, TFN_SCHEMA, "DuckDB returned values of its type %d", id);
    }
    out->type = t->type;
    out->number = (uint8_t)t->number;
    out->layout = t->number != TFN_NUMBER_NONE ? TFN_LAYOUT_FIXED : TFN_LAYOUT_DUCK_STRING;
    out->has_infinity = t->type.kind == TFN_KIND_TIMESTAMP || t->type.kind == TFN_KIND_DATE;
    return TFN_OK;
}

tfn_code tfn__duck_vec_init(const duck_api *api, duck_vector v, tfn_vec *out, tfn_vec *child,
                            tfn_error *err)
{
    duck_type type = api->do_vector_get_column_type(v);
    const int id = api->do_get_type_id(type);
    tfn_code rc = TFN_OK;
    if (id == DUCK_TYPE_LIST || id == DUCK_TYPE_ARRAY) {
        duck_type item = id == DUCK_TYPE_LIST ? api->do_list_type_child_type(type)
                                              : api->do_array_type_child_type(type);
        rc = init_scalar(api->do_get_type_id(item), child, err);
        api->do_destroy_logical_type(&item);
        *out =
            (tfn_vec){.type = child->type,
                      .layout = id == DUCK_TYPE_LIST ? TFN_LAYOUT_DUCK_LIST : TFN_LAYOUT_FIXED_LIST,
                      .child = child};
        out->type.is_list = true;
        if (id == DUCK_TYPE_ARRAY) {
            out->list_width = (int32_t)api->do_array_type_array_size(type);
        }
    } else {
        rc = init_scalar(id, out, err);
    }
    api->do_destroy_logical_type(&type);
    return rc;
}

static void fill_scalar(const duck_api *api, duck_vector v, int64_t n, tfn_vec *out)
{
    out->n = n;
    out->validity = (const uint8_t *)api->do_vector_get_validity(v);
    out->data = api->do_vector_get_data(v);
}

void tfn__duck_vec_fill(const duck_api *api, duck_vector v, int64_t n, tfn_vec *out, tfn_vec *child)
{
    fill_scalar(api, v, n, out);
    if (out->layout == TFN_LAYOUT_DUCK_LIST) {
        fill_scalar(api, api->do_list_vector_get_child(v), (int64_t)api->do_list_vector_get_size(v),
                    child);
    } else if (out->layout == TFN_LAYOUT_FIXED_LIST) {
        fill_scalar(api, api->do_array_vector_get_child(v), n * out->list_width, child);
    }
}
