/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The public kernels (tiffin/join.h): Arrow streams in, an Arrow stream out.
 *
 *   spec + source's columns --> tfn_join_view     (types are the source's own; nothing is declared)
 *   spine stream --> frame --> spine              source stream --> stream source
 *   tfn_join_run / tfn_latest_run --> columns --> stream
 *
 * Invariants
 *  1. Streams stay the caller's: what is handed on is a loan, whose release does nothing.
 *  2. A spec of an older, shorter struct is completed with zeros; a longer one is refused, because
 *     what it asks for is not known here.
 *  3. Names of the output are distinct, or nothing is read of the source.
 */

#include "tiffin/join.h"

#include "base/limits.h"
#include "offline/offline.h"
#include "offline/room.h"
#include "offline/times.h"

#include "base/poison.h"

/* A call while it runs. */
typedef struct call {
    tfn_offline_spec spec;
    tfn_source *source;
    tfn_frame *frame; /* join: the spine */
    tfn_spine *spine;
    tfn_latest *latest;
    tfn_str *names; /* key columns, then features */
    tfn_type *types;
    tfn_join_view view;
    size_t n_columns; /* of `columns` and `out_names` */
    tfn_column **columns;
    tfn_str *out_names;
    tfn_buf text; /* names with prefix */
} call;

static void call_deinit(call *c)
{
    for (size_t i = 0; c->columns != NULL && i < c->n_columns; i++) {
        tfn_column_release(c->columns[i]);
    }
    tfn_mem_free(c->columns);
    tfn_mem_free(c->out_names);
    tfn_mem_free(c->names);
    tfn_mem_free(c->types);
    tfn_buf_deinit(&c->text);
    tfn_latest_destroy(c->latest);
    tfn_spine_destroy(c->spine);
    tfn_frame_release(c->frame);
    tfn_source_destroy(c->source);
}

/* ---- streams on loan ---- */

static int loan_get_schema(struct ArrowArrayStream *loan, struct ArrowSchema *out)
{
    struct ArrowArrayStream *owner = loan->private_data;
    return owner->get_schema(owner, out);
}

static int loan_get_next(struct ArrowArrayStream *loan, struct ArrowArray *out)
{
    struct ArrowArrayStream *owner = loan->private_data;
    return owner->get_next(owner, out);
}

static const char *loan_get_last_error(struct ArrowArrayStream *loan)
{
    struct ArrowArrayStream *owner = loan->private_data;
    return owner->get_last_error(owner);
}

static void loan_release(struct ArrowArrayStream *loan)
{
    loan->release = NULL;
}

static tfn_code lend(struct ArrowArrayStream *owner, const char *what, struct ArrowArrayStream *out,
                     tfn_error *err)
{
    if (owner == NULL || owner->release == NULL) {
        return TFN_FAIL(err, TFN_INVALID, "the stream of the %s was given back before", what);
    }
    *out = (struct ArrowArrayStream){.get_schema = loan_get_schema,
                                     .get_next = loan_get_next,
                                     .get_last_error = loan_get_last_error,
                                     .release = loan_release,
                                     .private_data = owner};
    return TFN_OK;
}

/* ---- the spec ---- */

static tfn_code read_spec(call *c, const tfn_offline_spec *spec, uint32_t allowed, tfn_error *err)
{
    size_t n_bytes = sizeof spec->struct_size;
    if (spec != NULL && spec->struct_size > n_bytes) {
        n_bytes = spec->struct_size;
    }
    if (spec == NULL || n_bytes > sizeof c->spec) {
        return TFN_FAIL(err, TFN_INVALID,
                        "the spec is of %zu bytes; set struct_size to sizeof(tfn_offline_spec), at "
                        "most %zu here",
                        spec == NULL ? (size_t)0 : n_bytes, sizeof c->spec);
    }
    memcpy(&c->spec, spec, n_bytes);
    if (c->spec.time == NULL) {
        return TFN_FAIL(err, TFN_INVALID, "the spec names no time column");
    }
    if ((c->spec.flags & ~allowed) != 0) {
        return TFN_FAIL(err, TFN_INVALID, "flags %u: %u mean nothing in this call", c->spec.flags,
                        c->spec.flags & ~allowed);
    }
    return TFN_OK;
}

static bool is_key_or_time(const call *c, tfn_str name)
{
    bool is_one = tfn_str_is(name, c->spec.time) ||
                  (c->spec.created != NULL && tfn_str_is(name, c->spec.created));
    for (size_t i = 0; i < c->spec.n_keys; i++) {
        is_one = is_one || tfn_str_is(name, c->spec.keys[i]);
    }
    return is_one;
}

static tfn_type type_in_source(const call *c, tfn_str name)
{
    size_t n = 0;
    const tfn_source_column *columns = tfn_source_get_columns(c->source, &n);
    const int64_t at = tfn_source_find_column(c->source, name);
    return at < 0 ? (tfn_type){0} : columns[at].type;
}

/* Key and feature names and the types that the source gives them. */
static tfn_code list_columns(call *c, tfn_error *err)
{
    size_t n_source = 0;
    const tfn_source_column *columns = tfn_source_get_columns(c->source, &n_source);
    const size_t n_most =
        c->spec.n_keys + (c->spec.features == NULL ? n_source : c->spec.n_features);
    TFN_RETURN_IF_ERROR(tfn__room_zero(n_most, sizeof *c->names, &c->names, err));
    TFN_RETURN_IF_ERROR(tfn__room_zero(n_most, sizeof *c->types, &c->types, err));
    size_t n = 0;
    for (; n < c->spec.n_keys; n++) {
        c->names[n] = tfn_str_of(c->spec.keys[n]);
        c->types[n] = type_in_source(c, c->names[n]);
    }
    if (c->spec.features != NULL) {
        for (size_t i = 0; i < c->spec.n_features; i++) {
            c->names[n++] = tfn_str_of(c->spec.features[i]);
        }
    } else {
        for (size_t i = 0; i < n_source; i++) {
            if (!is_key_or_time(c, columns[i].name)) {
                c->names[n++] = columns[i].name;
            }
        }
    }
    for (size_t i = c->spec.n_keys; i < n; i++) {
        c->types[i] = type_in_source(c, c->names[i]);
        if (c->types[i].kind == TFN_KIND_NONE) { /* all null; foreign types fail in the scan */
            c->types[i].kind = TFN_KIND_STRING;
        }
    }
    c->view = (tfn_join_view){
        .label = tfn_str_of("source"),
        .n_keys = c->spec.n_keys,
        .key_columns = c->names,
        .key_types = c->types,
        .timestamp_field = tfn_str_of(c->spec.time),
        .created_column = tfn_str_of(c->spec.created),
        .n_features = n - c->spec.n_keys,
        .feature_columns = c->names + c->spec.n_keys,
        .feature_types = c->types + c->spec.n_keys,
        .ttl_us = c->spec.ttl_us,
        .filter_by_created = (c->spec.flags & TFN_OFFLINE_FILTER_BY_CREATED) != 0,
        .has_known_at = (c->spec.flags & TFN_OFFLINE_KNOWN_AT) != 0,
        .known_at = tfn__times_instant(c->spec.known_at_us, TFN_UNIT_US),
    };
    return TFN_OK;
}

static tfn_code open_source(call *c, struct ArrowArrayStream *source, tfn_error *err)
{
    struct ArrowArrayStream loan;
    TFN_RETURN_IF_ERROR(lend(source, "source", &loan, err));
    TFN_RETURN_IF_ERROR(tfn_source_of_stream(&loan, tfn_str_of("the source"), &c->source, err));
    return list_columns(c, err);
}

static tfn_offline_opts opts_of(const call *c)
{
    return (tfn_offline_opts){
        .n_threads = c->spec.n_threads, .tick = c->spec.tick, .tick_context = c->spec.tick_context};
}

/* ---- join ---- */

static tfn_code find_in_spine(const call *c, const char *name, size_t *out, tfn_error *err)
{
    const int64_t at = tfn_frame_find(c->frame, tfn_str_of(name));
    if (at == -1) {
        return TFN_FAIL(err, TFN_SCHEMA, "the spine has no column '%s'", name);
    }
    if (at < 0) {
        return TFN_FAIL(err, TFN_INVALID, "the spine has more than one column '%s'", name);
    }
    *out = (size_t)at;
    return TFN_OK;
}

static tfn_code open_spine(call *c, struct ArrowArrayStream *spine, tfn_error *err)
{
    struct ArrowArrayStream loan;
    TFN_RETURN_IF_ERROR(lend(spine, "spine", &loan, err));
    TFN_RETURN_IF_ERROR(tfn_frame_read(&loan, &c->frame, err));
    size_t keys[TFN_MAX_KEY_PARTS] = {0};
    size_t time = 0;
    if (c->spec.n_keys > TFN_MAX_KEY_PARTS) {
        return TFN_FAIL(err, TFN_LIMIT, "%zu join keys; the most is %d", c->spec.n_keys,
                        TFN_MAX_KEY_PARTS);
    }
    for (size_t i = 0; i < c->spec.n_keys; i++) {
        const char *const *names = c->spec.spine_keys != NULL ? c->spec.spine_keys : c->spec.keys;
        TFN_RETURN_IF_ERROR(find_in_spine(c, names[i], &keys[i], err));
        if (!tfn_type_is_key(c->types[i])) { /* missing, all null, or floats of whole numbers */
            TFN_RETURN_IF_ERROR(tfn_frame_get_type(c->frame, keys[i], &c->types[i], err));
        }
    }
    const char *name = c->spec.spine_time != NULL ? c->spec.spine_time : c->spec.time;
    TFN_RETURN_IF_ERROR(find_in_spine(c, name, &time, err));
    tfn_crew crew;
    tfn_crew_init(&crew, c->spec.n_threads, c->spec.tick, c->spec.tick_context,
                  "indexing entity rows");
    return tfn_spine_create(c->frame, keys, c->types, c->spec.n_keys, time, &crew, &c->spine, err);
}

static tfn_code check_names(const call *c, tfn_error *err)
{
    for (size_t i = 0; i < c->n_columns; i++) {
        bool is_taken = c->frame != NULL && tfn_frame_find(c->frame, c->out_names[i]) != -1;
        for (size_t k = 0; k < i; k++) {
            is_taken = is_taken || tfn_str_equal(c->out_names[k], c->out_names[i]);
        }
        if (is_taken) {
            return TFN_FAIL(err, TFN_INVALID,
                            "two columns of the answer would be named '%.*s'; choose features or a "
                            "prefix",
                            TFN_STR_ARG(c->out_names[i]));
        }
    }
    return TFN_OK;
}

static tfn_code name_features(call *c, tfn_error *err)
{
    const tfn_str prefix = tfn_str_of(c->spec.prefix);
    c->n_columns = c->view.n_features;
    TFN_RETURN_IF_ERROR(tfn__room_zero(c->n_columns, sizeof *c->columns, &c->columns, err));
    TFN_RETURN_IF_ERROR(tfn__room_zero(c->n_columns, sizeof *c->out_names, &c->out_names, err));
    for (size_t i = 0; i < c->n_columns; i++) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_str(&c->text, prefix, err));
        TFN_RETURN_IF_ERROR(tfn_buf_add_str(&c->text, c->view.feature_columns[i], err));
    }
    size_t at = 0; /* the text does not move any more */
    for (size_t i = 0; i < c->n_columns; i++) {
        const size_t n = prefix.n + c->view.feature_columns[i].n;
        c->out_names[i] = (tfn_str){c->text.p + at, n};
        at += n;
    }
    return check_names(c, err);
}

static tfn_code join(call *c, struct ArrowArrayStream *spine, struct ArrowArrayStream *source,
                     struct ArrowArrayStream *out, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(open_source(c, source, err));
    TFN_RETURN_IF_ERROR(open_spine(c, spine, err));
    TFN_RETURN_IF_ERROR(name_features(c, err));
    const tfn_offline_opts opts = opts_of(c);
    TFN_RETURN_IF_ERROR(tfn_join_run(c->spine, &c->view, c->source, &opts, c->columns, NULL, err));
    return tfn_frame_export(c->frame, c->out_names, c->columns, c->n_columns, out, err);
}

tfn_code tfn_offline_join(struct ArrowArrayStream *spine, struct ArrowArrayStream *source,
                          const tfn_offline_spec *spec, struct ArrowArrayStream *out,
                          tfn_error *err)
{
    static const uint32_t allowed = TFN_OFFLINE_FILTER_BY_CREATED | TFN_OFFLINE_KNOWN_AT;
    *out = (struct ArrowArrayStream){0};
    call c = {0};
    tfn_code rc = read_spec(&c, spec, allowed, err);
    if (rc == TFN_OK) {
        rc = join(&c, spine, source, out, err);
    }
    call_deinit(&c);
    return rc;
}

/* ---- latest ---- */

static tfn_code name_latest(call *c, tfn_error *err)
{
    c->n_columns = c->view.n_keys + 1 + (c->spec.created != NULL ? 1 : 0) + c->view.n_features;
    TFN_RETURN_IF_ERROR(tfn__room_zero(c->n_columns, sizeof *c->columns, &c->columns, err));
    TFN_RETURN_IF_ERROR(tfn__room_zero(c->n_columns, sizeof *c->out_names, &c->out_names, err));
    size_t n = 0;
    for (size_t i = 0; i < c->view.n_keys; i++) {
        c->out_names[n++] = c->view.key_columns[i];
    }
    c->out_names[n++] = c->view.timestamp_field;
    if (c->spec.created != NULL) {
        c->out_names[n++] = c->view.created_column;
    }
    for (size_t i = 0; i < c->view.n_features; i++) {
        c->out_names[n++] = c->view.feature_columns[i];
    }
    return check_names(c, err);
}

static tfn_code latest(call *c, struct ArrowArrayStream *source, struct ArrowArrayStream *out,
                       tfn_error *err)
{
    TFN_RETURN_IF_ERROR(open_source(c, source, err));
    TFN_RETURN_IF_ERROR(name_latest(c, err));
    const tfn_latest_window window = {
        .has_start = (c->spec.flags & TFN_OFFLINE_START) != 0,
        .has_end = (c->spec.flags & TFN_OFFLINE_END) != 0,
        .start = tfn__times_instant(c->spec.start_us, TFN_UNIT_US),
        .end = tfn__times_instant(c->spec.end_us, TFN_UNIT_US),
    };
    const tfn_offline_opts opts = opts_of(c);
    TFN_RETURN_IF_ERROR(tfn_latest_run(&c->view, c->source, &window, &opts, &c->latest, NULL, err));
    TFN_RETURN_IF_ERROR(tfn_latest_take(c->latest, &c->view, c->columns, err));
    return tfn_columns_export(c->out_names, c->columns, c->n_columns,
                              tfn_latest_get_n_rows(c->latest), 0, out, err);
}

tfn_code tfn_offline_latest(struct ArrowArrayStream *source, const tfn_offline_spec *spec,
                            struct ArrowArrayStream *out, tfn_error *err)
{
    static const uint32_t allowed = TFN_OFFLINE_KNOWN_AT | TFN_OFFLINE_START | TFN_OFFLINE_END;
    *out = (struct ArrowArrayStream){0};
    call c = {0};
    tfn_code rc = read_spec(&c, spec, allowed, err);
    if (rc == TFN_OK) {
        rc = latest(&c, source, out, err);
    }
    call_deinit(&c);
    return rc;
}
