/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Source facts: a definition that is being applied may not be in the registry yet, and may change
 * one that is. So a name is looked up in the request first, then in the registry; either way what
 * comes out is the same small struct.
 */

#include "store/source_facts.h"

#include <string.h>

#include "base/mem.h"

#include "base/poison.h"

/* The object of the request that a map names, or NULL. */
yyjson_mut_val *tfn__find_object(const tfn_inference *in, const tfn_map *map, tfn_str name)
{
    uint32_t i = 0;
    return tfn_map_get(map, name, &i) ? in->objects[i] : NULL;
}

/* Find a source by name and follow a push source to its batch source; false: no such source (the
 * registry says so). */
bool tfn__find_source(const tfn_inference *in, tfn_str name, tfn_source_facts *out)
{
    *out = (tfn_source_facts){0};
    yyjson_mut_val *object = tfn__find_object(in, &in->sources, name);
    if (object != NULL && (tfn_str_is(tfn__member(object, "type"), "push") ||
                           tfn__member(object, "batch_source").n > 0)) {
        name = tfn__member(object, "batch_source");
        object = tfn__find_object(in, &in->sources, name);
    }
    if (object != NULL) {
        *out = (tfn_source_facts){.name = name,
                                  .path = tfn__member(object, "path"),
                                  .format = tfn__member(object, "format"),
                                  .s3_endpoint = tfn__member(object, "s3_endpoint_override"),
                                  .timestamp_field = tfn__member(object, "timestamp_field"),
                                  .created = tfn__member(object, "created_timestamp_column"),
                                  .partition = tfn__member(object, "date_partition_column"),
                                  .mapping = yyjson_mut_obj_get(object, "field_mapping")};
        return out->path.n > 0;
    }
    const tfn_source_def *stored = NULL;
    if (in->snapshot == NULL ||
        tfn_snapshot_find_source(in->snapshot, name, &stored, NULL) != TFN_OK) {
        return false;
    }
    if (stored->is_push &&
        tfn_snapshot_find_source(in->snapshot, stored->batch_source, &stored, NULL) != TFN_OK) {
        return false;
    }
    *out = (tfn_source_facts){.name = stored->name,
                              .path = stored->path,
                              .format = stored->format,
                              .s3_endpoint = stored->s3_endpoint,
                              .timestamp_field = stored->timestamp_field,
                              .created = stored->created_timestamp_column,
                              .partition = stored->date_partition_column,
                              .stored = stored};
    return stored->path.n > 0;
}

/* Name of the feature that a column of the file becomes. */
tfn_str tfn__mapped_name(const tfn_source_facts *facts, tfn_str column)
{
    if (facts->mapping != NULL) {
        size_t i = 0;
        size_t n = 0;
        yyjson_mut_val *key = NULL;
        yyjson_mut_val *value = NULL;
        yyjson_mut_obj_foreach(facts->mapping, i, n, key, value)
        {
            const tfn_str from = {yyjson_mut_get_str(key), yyjson_mut_get_len(key)};
            if (tfn_str_equal(from, column)) {
                return (tfn_str){yyjson_mut_get_str(value), yyjson_mut_get_len(value)};
            }
        }
    }
    for (size_t i = 0; facts->stored != NULL && i < facts->stored->n_field_mapping; i++) {
        if (tfn_str_equal(facts->stored->field_mapping[i].from, column)) {
            return facts->stored->field_mapping[i].to;
        }
    }
    return column;
}

/* Index of the file's column that holds this feature, key or time, or -1. */
int64_t tfn__find_column(const tfn_source_facts *facts, const tfn_source *source, tfn_str name)
{
    size_t n_columns = 0;
    const tfn_source_column *columns = tfn_source_get_columns(source, &n_columns);
    for (size_t i = 0; i < n_columns; i++) {
        if (tfn_str_equal(tfn__mapped_name(facts, columns[i].name), name)) {
            return (int64_t)i;
        }
    }
    return tfn_source_find_column(source, name);
}

static tfn_code add_opened(tfn_inference *in, const tfn_source_facts *facts,
                           tfn_opened_source **out, tfn_error *err)
{
    void *p = in->opened;
    TFN_RETURN_IF_ERROR(
        tfn_mem_grow(&p, &in->opened_capacity, in->n_opened + 1, sizeof *in->opened, err));
    in->opened = p;
    tfn_opened_source *fresh = &in->opened[in->n_opened++];
    *fresh = (tfn_opened_source){0};
    *out = fresh;
    TFN_RETURN_IF_ERROR(tfn_mem_copy_bytes(facts->name.p, facts->name.n, &fresh->name, err));
    TFN_RETURN_IF_ERROR(tfn_mem_copy_bytes(facts->path.p, facts->path.n, &fresh->path, err));
    TFN_RETURN_IF_ERROR(
        tfn_mem_copy_bytes(facts->s3_endpoint.p, facts->s3_endpoint.n, &fresh->s3_endpoint, err));
    return tfn_mem_copy_bytes(facts->format.p, facts->format.n, &fresh->format, err);
}

/* Open a source, once per definition and once per path. Why it cannot be is kept, and told to
 * everybody who asks for it. */
tfn_code tfn__open_source(tfn_inference *in, const tfn_source_facts *facts, tfn_opened_source *out,
                          tfn_error *err)
{
    const tfn_opened_source *twin = NULL;
    for (size_t i = 0; i < in->n_opened; i++) {
        const bool same_path = tfn_str_is(facts->path, in->opened[i].path) &&
                               tfn_str_is(facts->format, in->opened[i].format) &&
                               tfn_str_is(facts->s3_endpoint, in->opened[i].s3_endpoint);
        if (same_path && tfn_str_is(facts->name, in->opened[i].name)) {
            *out = in->opened[i];
            return TFN_OK;
        }
        twin = same_path ? &in->opened[i] : twin;
    }
    tfn_source *shared = twin == NULL ? NULL : twin->source;
    tfn_opened_source *fresh = NULL;
    TFN_RETURN_IF_ERROR(add_opened(in, facts, &fresh, err));
    fresh->source = shared;
    if (shared == NULL) {
        const tfn_source_def definition = {.name = facts->name,
                                           .path = facts->path,
                                           .format = facts->format,
                                           .s3_endpoint = facts->s3_endpoint};
        fresh->owns_source =
            tfn__store_open_source(in->store, &definition, &fresh->source, &fresh->error) == TFN_OK;
    }
    *out = *fresh;
    return fresh->error.code == TFN_NO_MEMORY ? tfn_error_move(err, &fresh->error) : TFN_OK;
}

/* ---- columns ---- */

const tfn_source_column *tfn__column_at(const tfn_source *source, size_t i)
{
    size_t n_columns = 0;
    return tfn_source_get_columns(source, &n_columns) + i;
}

tfn_code tfn__no_such_column(const tfn_source_facts *facts, const tfn_source *source,
                             tfn_str column, const char *what, tfn_error *err)
{
    size_t n_columns = 0;
    const tfn_source_column *columns = tfn_source_get_columns(source, &n_columns);
    tfn_buf names = {0};
    tfn_buf_init(&names, 512);
    for (size_t i = 0; i < n_columns; i++) {
        if (tfn_buf_add_format(&names, NULL, "%s%.*s", i == 0 ? "" : ", ",
                               TFN_STR_ARG(columns[i].name)) != TFN_OK) {
            break; /* enough to help */
        }
    }
    const tfn_str label = tfn_source_get_label(source);
    const tfn_code rc = TFN_FAIL(
        err, TFN_SCHEMA, "data source '%.*s': %s '%.*s' is not a column of '%.*s', which has: %.*s",
        TFN_STR_ARG(facts->name), what, TFN_STR_ARG(column), TFN_STR_ARG(label),
        TFN_STR_ARG(tfn_buf_get_str(&names)));
    tfn_buf_deinit(&names);
    return rc;
}

tfn_code tfn__wrong_type(const tfn_source_facts *facts, const tfn_source *source,
                         const tfn_source_column *column, const char *expected, tfn_error *err)
{
    const tfn_str label = tfn_source_get_label(source);
    char found[TFN_TYPE_TEXT_BYTES] = "";
    tfn_type_format(column->type, found);
    const tfn_str native = column->native_type;
    const bool is_ours = column->type.kind != TFN_KIND_NONE || native.n == 0;
    return TFN_FAIL(
        err, TFN_SCHEMA, "data source '%.*s': column '%.*s' of '%.*s' holds %.*s; expected %s",
        TFN_STR_ARG(facts->name), TFN_STR_ARG(column->name), TFN_STR_ARG(label),
        is_ours ? (int)strlen(found) : (int)native.n, is_ours ? found : native.p, expected);
}

tfn_code tfn__check_time_column(const tfn_source_facts *facts, const tfn_source *source,
                                tfn_str column, const char *what, tfn_error *err)
{
    const int64_t i = tfn__find_column(facts, source, column);
    if (i < 0) {
        return tfn__no_such_column(facts, source, column, what, err);
    }
    const tfn_source_column *found = tfn__column_at(source, (size_t)i);
    return tfn_type_is_time(found->type) || tfn_source_column_is_null(found)
               ? TFN_OK
               : tfn__wrong_type(facts, source, found, "timestamp or date", err);
}
