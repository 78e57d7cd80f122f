/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * A view's columns, found in its source before anything is read, so that a mistake costs no scan.
 *
 * Invariants
 *  1. Vectors of a scan come in the order of `names`; everybody finds his by the indices here.
 *  2. `types` of features are the declared ones, but for the unit of timestamps: that is the
 *     source's, so values are copied and never rounded.
 *  3. Types are checked by the scan, which knows whether a reader parses text as declared.
 */

#include "offline/columns.h"

#include "base/limits.h"
#include "offline/room.h"

#include "base/poison.h"

enum { MAX_NAMES_SHOWN = 12 };

static tfn_code missing_column(const tfn_source *source, tfn_str name, const char *role,
                               tfn_error *err)
{
    size_t n = 0;
    const tfn_source_column *columns = tfn_source_get_columns(source, &n);
    tfn_buf names = {0};
    bool is_listed = true;
    for (size_t i = 0; i < n && i < MAX_NAMES_SHOWN && is_listed; i++) {
        is_listed = tfn_buf_add_format(&names, NULL, "%s'%.*s'", i == 0 ? "" : ", ",
                                       TFN_STR_ARG(columns[i].name)) == TFN_OK;
    }
    const tfn_str list = tfn_buf_get_str(&names);
    const tfn_code rc =
        TFN_FAIL(err, TFN_SCHEMA, "source '%.*s' has no column '%.*s' (%s); it has %.*s%s",
                 TFN_STR_ARG(tfn_source_get_label(source)), TFN_STR_ARG(name), role,
                 TFN_STR_ARG(list), n > MAX_NAMES_SHOWN ? ", ..." : "");
    tfn_buf_deinit(&names);
    return rc;
}

/* pandas makes floats of integers with nulls: such a key column is read as it is. */
static bool is_float_for_integer(tfn_type declared, tfn_type found)
{
    const bool is_integer = declared.kind == TFN_KIND_INT32 || declared.kind == TFN_KIND_INT64;
    const bool is_float = found.kind == TFN_KIND_FLOAT32 || found.kind == TFN_KIND_FLOAT64;
    return is_integer && is_float && !found.is_list;
}

/* Append one column to the list. */
static tfn_code add_column(tfn__columns *c, const tfn_source *source, tfn_str name,
                           tfn_type declared, const char *role, tfn_error *err)
{
    const int64_t at = tfn_source_find_column(source, name);
    if (at < 0) {
        return missing_column(source, name, role, err);
    }
    size_t n_columns = 0;
    const tfn_type found = tfn_source_get_columns(source, &n_columns)[at].type;
    const bool is_key = c->n < c->n_keys;
    if (is_key && is_float_for_integer(declared, found)) {
        declared = (tfn_type){.kind = TFN_KIND_NONE};
    }
    if (declared.kind == TFN_KIND_TIMESTAMP && found.kind == TFN_KIND_TIMESTAMP) {
        declared.unit = found.unit;
    }
    c->names[c->n] = name;
    c->types[c->n] = declared;
    c->n++;
    return TFN_OK;
}

static tfn_code add_all(tfn__columns *c, const tfn_join_view *view, const tfn_source *source,
                        tfn_error *err)
{
    static const tfn_type time_type = {.kind = TFN_KIND_TIMESTAMP, .unit = TFN_UNIT_US};
    for (size_t i = 0; i < view->n_keys; i++) {
        TFN_RETURN_IF_ERROR(
            add_column(c, source, view->key_columns[i], view->key_types[i], "a join key", err));
    }
    TFN_RETURN_IF_ERROR(
        add_column(c, source, view->timestamp_field, time_type, "the event time", err));
    c->event_unit = (tfn_unit)c->types[c->n_keys].unit;
    if (c->has_created) {
        c->i_created = c->n;
        TFN_RETURN_IF_ERROR(
            add_column(c, source, view->created_column, time_type, "the created time", err));
        c->created_unit = (tfn_unit)c->types[c->i_created].unit;
    }
    c->i_features = c->n;
    for (size_t i = 0; i < view->n_features; i++) {
        TFN_RETURN_IF_ERROR(add_column(c, source, view->feature_columns[i], view->feature_types[i],
                                       "a feature", err));
    }
    return TFN_OK;
}

static tfn_code check_view(const tfn_join_view *view, tfn_error *err)
{
    if (view->n_keys > TFN_MAX_KEY_PARTS) {
        return TFN_FAIL(err, TFN_LIMIT, "%zu join keys; the most is %d", view->n_keys,
                        TFN_MAX_KEY_PARTS);
    }
    if (view->ttl_us < 0) {
        return TFN_FAIL(err, TFN_INVALID,
                        "ttl is %lld microseconds; it must be 0 (unbounded) or more",
                        (long long)view->ttl_us);
    }
    if (view->created_column.n == 0 && (view->filter_by_created || view->has_known_at)) {
        return TFN_FAIL(err, TFN_INVALID,
                        "%s needs a created time, and the source of this view has no "
                        "created_timestamp_column",
                        view->filter_by_created ? "filter_by_created_timestamp" : "known_at");
    }
    return TFN_OK;
}

tfn_code tfn__columns_init(tfn__columns *c, const tfn_join_view *view, const tfn_source *source,
                           tfn_error *err)
{
    *c = (tfn__columns){.n_keys = view->n_keys,
                        .n_features = view->n_features,
                        .has_created = view->created_column.n > 0};
    TFN_RETURN_IF_ERROR(check_view(view, err));
    const size_t n_most = view->n_keys + 2 + view->n_features;
    TFN_RETURN_IF_ERROR(tfn__room_zero(n_most, sizeof *c->names, &c->names, err));
    TFN_RETURN_IF_ERROR(tfn__room_zero(n_most, sizeof *c->types, &c->types, err));
    return add_all(c, view, source, err);
}

void tfn__columns_deinit(tfn__columns *c)
{
    tfn_mem_free(c->names);
    tfn_mem_free(c->types);
    *c = (tfn__columns){0};
}
