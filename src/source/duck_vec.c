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
    {"BOOLEAN", NULL, 1, TFN_NUMBER_U8, TYPE(BOOL)},
    {"TINYINT", NULL, 2, TFN_NUMBER_I8, TYPE(INT32)},
    {"SMALLINT", NULL, 3, TFN_NUMBER_I16, TYPE(INT32)},
    {"INTEGER", NULL, 4, TFN_NUMBER_I32, TYPE(INT32)},
    {"BIGINT", NULL, 5, TFN_NUMBER_I64, TYPE(INT64)},
    {"UTINYINT", NULL, 6, TFN_NUMBER_U8, TYPE(INT32)},
    {"USMALLINT", NULL, 7, TFN_NUMBER_U16, TYPE(INT32)},
    {"UINTEGER", NULL, 8, TFN_NUMBER_U32, TYPE(INT64)},
    {"UBIGINT", NULL, 9, TFN_NUMBER_U64, TYPE(INT64)},
    {"FLOAT", NULL, 10, TFN_NUMBER_F32, TYPE(FLOAT32)},
    {"DOUBLE", NULL, 11, TFN_NUMBER_F64, TYPE(FLOAT64)},
    {"TIMESTAMP", "make_timestamp(%lld)", 12, TFN_NUMBER_I64, TIME(US)},
    {"DATE", "(DATE '1970-01-01' + (%lld)::INTEGER)", 13, TFN_NUMBER_I32, TYPE(DATE)},
    {"VARCHAR", NULL, 17, TFN_NUMBER_NONE, TYPE(STRING)},
    {"BLOB", NULL, 18, TFN_NUMBER_NONE, TYPE(BYTES)},
    {"TIMESTAMP_S", NULL, 20, TFN_NUMBER_I64, TIME(S)},
    {"TIMESTAMP_MS", NULL, 21, TFN_NUMBER_I64, TIME(MS)},
    {"TIMESTAMP_NS", "make_timestamp_ns(%lld)", 22, TFN_NUMBER_I64, TIME(NS)},
    {"TIMESTAMP WITH TIME ZONE", "make_timestamptz(%lld)", 31, TFN_NUMBER_I64, TIME(US)},
    {"TIMESTAMPTZ_NS", "make_timestamp_ns(%lld)::TIMESTAMPTZ_NS", 42, TFN_NUMBER_I64, TIME(NS)},
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

/* Types that a statement turns into text (tfn__sql_add_column). */
static const struct {
    const char *head; /* the whole word, or up to its bracket */
    uint8_t logical;
} texts[] = {
    {"ENUM(", TFN_LOGICAL_NONE},       {"UUID", TFN_LOGICAL_UUID}, {"JSON", TFN_LOGICAL_JSON},
    {"DECIMAL(", TFN_LOGICAL_DECIMAL}, {"MAP(", TFN_LOGICAL_MAP},  {"STRUCT(", TFN_LOGICAL_STRUCT},
};

static tfn_type read_text_type(tfn_str name)
{
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const size_t n = strlen(texts[i].head);
        const bool is_open = texts[i].head[n - 1] == '(';
        if (is_open ? tfn_str_starts_with(name, texts[i].head) && tfn_str_ends_with(name, ")")
                    : tfn_str_is(name, texts[i].head)) {
            return (tfn_type){.kind = TFN_KIND_STRING, .logical = texts[i].logical};
        }
    }
    return (tfn_type){0};
}

tfn_type tfn__duck_type_read(tfn_str name)
{
    tfn_str item = name;
    const bool is_list = tfn_str_ends_with(name, "]");
    bool is_open = is_list; /* "INTEGER[]", "INTEGER[3]": back to the bracket */
    while (is_open && item.n > 0) {
        item.n--;
        is_open = item.p[item.n] != '[';
    }
    const tfn__duck_type *found = tfn__duck_type_find_name(item);
    tfn_type type = found != NULL ? found->type : read_text_type(item);
    type.is_list = is_list && type.kind != TFN_KIND_NONE;
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
