/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Writing rows of a view online, outside of materialize: frames that a caller has in hand.
 *
 * Everything that can be wrong with a frame (columns, keys, times) is found before or while one
 * write transaction is open, and ends in an abort: all rows or none. Unlike materialize, a null key
 * or time is the caller's mistake and an error, and a time far ahead of the clock is refused,
 * because under the write rule it would hide every honest row until then.
 */

#include <string.h>

#include "base/json.h"
#include "column/frame.h"
#include "column/key.h"
#include "online/online.h"
#include "store/store_internal.h"

#include "base/poison.h"

enum { MAX_SECONDS_AHEAD = 300, SECONDS_PER_DAY = 86400 };

typedef struct frame_write {
    tfn_store *store;
    const tfn_view_def *view;
    tfn_frame *frame;
    tfn_arena arena;
    size_t *key_columns;
    tfn_str *key_names;
    int64_t *feature_columns; /* -1: absent, null */
    tfn_row_field *fields;
    size_t time_column;
    int64_t created_column; /* -1: none */
    tfn_key_plan key_plan;
    tfn_keys keys;
    tfn_cell *cells;
    tfn_buf *scratch;
    tfn_online_write *write;
    tfn_instant latest_allowed;
} frame_write;

static void deinit(frame_write *w)
{
    tfn_online_abort(w->write);
    tfn_keys_deinit(&w->keys);
    for (size_t i = 0; w->scratch != NULL && i < w->view->n_features; i++) {
        tfn_buf_deinit(&w->scratch[i]);
    }
    tfn_frame_release(w->frame);
    tfn_arena_deinit(&w->arena);
}

/* ---- columns ---- */

static tfn_code find_column(const frame_write *w, tfn_str name, tfn_str name_in_source,
                            int64_t *out, tfn_error *err)
{
    *out = tfn_frame_find(w->frame, name);
    if (*out == TFN_FRAME_NO_COLUMN) {
        *out = tfn_frame_find(w->frame, name_in_source);
    }
    if (*out == TFN_FRAME_AMBIGUOUS) {
        return TFN_FAIL(err, TFN_INVALID,
                        "the frame has two columns named '%.*s'; rename one of them",
                        TFN_STR_ARG(name));
    }
    return TFN_OK;
}

static tfn_code require_column(const frame_write *w, tfn_str name, const char *what, size_t *out,
                               tfn_error *err)
{
    int64_t i = -1;
    TFN_RETURN_IF_ERROR(
        find_column(w, name, tfn_source_def_get_column(w->view->source, name), &i, err));
    if (i < 0) {
        return TFN_FAIL(err, TFN_SCHEMA,
                        "the frame has no column '%.*s', the %s of feature view '%.*s'",
                        TFN_STR_ARG(name), what, TFN_STR_ARG(w->view->name));
    }
    *out = (size_t)i;
    return TFN_OK;
}

static tfn_code check_type(const frame_write *w, size_t i_column, tfn_type declared,
                           tfn_type *found, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_frame_get_type(w->frame, i_column, found, err));
    if (tfn_type_can_read(declared, *found)) {
        return TFN_OK;
    }
    char expected_text[TFN_TYPE_TEXT_BYTES];
    char found_text[TFN_TYPE_TEXT_BYTES];
    tfn_type_format(declared, expected_text);
    tfn_type_format(*found, found_text);
    return TFN_FAIL(err, TFN_SCHEMA, "column '%.*s' of the frame holds %s; expected %s",
                    TFN_STR_ARG(tfn_frame_get_name(w->frame, i_column)), found_text, expected_text);
}

static tfn_code find_features(frame_write *w, tfn_error *err)
{
    const tfn_view_def *view = w->view;
    size_t n_found = 0;
    for (size_t i = 0; i < view->n_features; i++) {
        const tfn_feature_def *feature = &view->features[i];
        w->fields[i] = (tfn_row_field){feature->name, feature->type};
        TFN_RETURN_IF_ERROR(find_column(w, feature->name,
                                        tfn_source_def_get_column(view->source, feature->name),
                                        &w->feature_columns[i], err));
        if (w->feature_columns[i] < 0) {
            continue;
        }
        tfn_type found = {0};
        TFN_RETURN_IF_ERROR(
            check_type(w, (size_t)w->feature_columns[i], feature->type, &found, err));
        if (found.kind == TFN_KIND_TIMESTAMP) {
            w->fields[i].type.unit = found.unit;
        }
        n_found++;
    }
    if (n_found == 0) {
        return TFN_FAIL(err, TFN_SCHEMA,
                        "the frame has none of the features of feature view '%.*s'",
                        TFN_STR_ARG(view->name));
    }
    return TFN_OK;
}

static tfn_code find_columns(frame_write *w, tfn_error *err)
{
    const tfn_view_def *view = w->view;
    tfn_type types[TFN_MAX_KEY_PARTS];
    for (size_t i = 0; i < view->n_keys && i < TFN_MAX_KEY_PARTS; i++) {
        types[i] = view->keys[i].type;
        w->key_names[i] = view->keys[i].name;
        TFN_RETURN_IF_ERROR(
            require_column(w, view->keys[i].name, "join key", &w->key_columns[i], err));
    }
    TFN_RETURN_IF_ERROR(tfn_key_plan_init(&w->key_plan, types, view->n_keys, err));
    w->key_plan.names = w->key_names;
    TFN_RETURN_IF_ERROR(
        require_column(w, view->source->timestamp_field, "timestamp_field", &w->time_column, err));
    const tfn_type time_type = {.kind = TFN_KIND_TIMESTAMP, .unit = TFN_UNIT_US};
    tfn_type found = {0};
    TFN_RETURN_IF_ERROR(check_type(w, w->time_column, time_type, &found, err));
    w->created_column = -1;
    if (view->source->created_timestamp_column.n > 0) {
        size_t i_created = 0;
        TFN_RETURN_IF_ERROR(require_column(w, view->source->created_timestamp_column,
                                           "created_timestamp_column", &i_created, err));
        TFN_RETURN_IF_ERROR(check_type(w, i_created, time_type, &found, err));
        w->created_column = (int64_t)i_created;
    }
    return find_features(w, err);
}

static tfn_code allocate(frame_write *w, tfn_error *err)
{
    const size_t n = w->view->n_features;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&w->arena, w->view->n_keys, sizeof(size_t), &p, err));
    w->key_columns = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&w->arena, w->view->n_keys, sizeof(tfn_str), &p, err));
    w->key_names = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&w->arena, n, sizeof(int64_t), &p, err));
    w->feature_columns = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&w->arena, n, sizeof(tfn_row_field), &p, err));
    w->fields = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&w->arena, n, sizeof(tfn_cell), &p, err));
    w->cells = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&w->arena, n, sizeof(tfn_buf), &p, err));
    w->scratch = p;
    return TFN_OK;
}

/* ---- rows ---- */

/* Instant of a row in a time column: timestamp or date. */
static tfn_instant instant_at(const tfn_vec *times, int64_t i)
{
    const int64_t value = tfn_vec_get_int(times, i);
    if (times->type.kind == TFN_KIND_DATE) {
        return (tfn_instant){value * SECONDS_PER_DAY, 0}; /* dates are int32 */
    }
    return tfn_instant_of(value, (tfn_unit)times->type.unit);
}

static tfn_code check_row(const frame_write *w, const tfn_vec *times, int64_t i,
                          int64_t row_in_frame, tfn_instant *event, tfn_error *err)
{
    if (w->keys.ok[i] == 0) {
        return TFN_FAIL(
            err, TFN_INVALID,
            "row %lld of the frame has a join key that is null or outside of its type's "
            "range",
            (long long)row_in_frame);
    }
    if (!tfn_vec_is_valid(times, i)) {
        return TFN_FAIL(err, TFN_INVALID, "row %lld of the frame has no time in column '%.*s'",
                        (long long)row_in_frame,
                        TFN_STR_ARG(tfn_frame_get_name(w->frame, w->time_column)));
    }
    *event = instant_at(times, i);
    if (tfn_instant_compare(*event, w->latest_allowed) > 0) {
        char text[TFN_TIME_TEXT_BYTES];
        tfn_instant_format(*event, text);
        return TFN_FAIL(
            err, TFN_INVALID,
            "row %lld of the frame has the time %s, more than %d minutes ahead of the clock; "
            "it would hide every row before it",
            (long long)row_in_frame, text, MAX_SECONDS_AHEAD / 60);
    }
    return TFN_OK;
}

static tfn_code read_cells(frame_write *w, const tfn_vec *vecs, int64_t i, int64_t row_in_frame,
                           tfn_error *err)
{
    for (size_t k = 0; k < w->view->n_features; k++) {
        w->cells[k] = (tfn_cell){.is_null = true};
        if (w->feature_columns[k] < 0) {
            continue;
        }
        const tfn_code rc =
            tfn_cell_of_vec(&vecs[k], i, w->fields[k].type, &w->scratch[k], &w->cells[k], err);
        if (rc != TFN_OK) {
            tfn_error_prepend(err,
                              "row %lld of the frame, column '%.*s': ", (long long)row_in_frame,
                              TFN_STR_ARG(w->fields[k].name));
            return rc;
        }
    }
    return TFN_OK;
}

static tfn_code get_vecs(frame_write *w, int64_t i_batch, tfn_vec *keys, tfn_vec *features,
                         tfn_vec *times, tfn_vec *created, tfn_error *err)
{
    for (size_t k = 0; k < w->view->n_keys; k++) {
        TFN_RETURN_IF_ERROR(tfn_frame_get_vec(w->frame, i_batch, w->key_columns[k], &keys[k], err));
    }
    for (size_t k = 0; k < w->view->n_features; k++) {
        if (w->feature_columns[k] >= 0) {
            TFN_RETURN_IF_ERROR(tfn_frame_get_vec(w->frame, i_batch, (size_t)w->feature_columns[k],
                                                  &features[k], err));
        }
    }
    if (w->created_column >= 0) {
        TFN_RETURN_IF_ERROR(
            tfn_frame_get_vec(w->frame, i_batch, (size_t)w->created_column, created, err));
    }
    return tfn_frame_get_vec(w->frame, i_batch, w->time_column, times, err);
}

static tfn_code write_batch(frame_write *w, int64_t i_batch, int64_t first_row, tfn_vec *features,
                            tfn_error *err)
{
    tfn_vec keys[TFN_MAX_KEY_PARTS];
    tfn_vec times = {0};
    tfn_vec created = {0};
    TFN_RETURN_IF_ERROR(get_vecs(w, i_batch, keys, features, &times, &created, err));
    const int64_t n = tfn_frame_get_batch_rows(w->frame, i_batch);
    TFN_RETURN_IF_ERROR(tfn_keys_encode(&w->keys, &w->key_plan, keys, n, err));
    for (int64_t i = 0; i < n; i++) {
        tfn_instant event = {0};
        TFN_RETURN_IF_ERROR(check_row(w, &times, i, first_row + i, &event, err));
        const bool has_created = w->created_column >= 0 && tfn_vec_is_valid(&created, i);
        const tfn_instant created_at = has_created ? instant_at(&created, i) : TFN_INSTANT_NONE;
        TFN_RETURN_IF_ERROR(read_cells(w, features, i, first_row + i, err));
        TFN_RETURN_IF_ERROR(
            tfn_online_put(w->write, tfn_keys_get(&w->keys, i), w->cells, event, created_at, err));
    }
    return TFN_OK;
}

static tfn_code write_frame(frame_write *w, tfn_error *err)
{
    void *features = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc_zero(&w->arena, w->view->n_features, sizeof(tfn_vec), &features, err));
    int64_t first_row = 0;
    for (int64_t i = 0; i < tfn_frame_get_n_batches(w->frame); i++) {
        TFN_RETURN_IF_ERROR(write_batch(w, i, first_row, features, err));
        first_row += tfn_frame_get_batch_rows(w->frame, i);
    }
    return TFN_OK;
}

/* ---- the whole ---- */

static tfn_code begin_write(frame_write *w, tfn_online *online, tfn_error *err)
{
    tfn_online_view view = {0};
    TFN_RETURN_IF_ERROR(tfn__store_describe_online_view(w->store, w->view, &w->arena, &view, err));
    return tfn_online_begin_write(online, &view, w->fields, w->view->n_features, TFN_ONLINE_PUSH,
                                  (uint64_t)tfn_frame_get_n_rows(w->frame), &w->write, err);
}

static tfn_code report_write(const frame_write *w, tfn_online_stats stats, char **report,
                             tfn_error *err)
{
    yyjson_mut_doc *doc = NULL;
    TFN_RETURN_IF_ERROR(tfn_json_create(&doc, err));
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    (void)yyjson_mut_obj_add_int(doc, root, "rows_read", tfn_frame_get_n_rows(w->frame));
    (void)yyjson_mut_obj_add_uint(doc, root, "rows_written", stats.n_written);
    (void)yyjson_mut_obj_add_uint(doc, root, "rows_older", stats.n_older);
    (void)yyjson_mut_obj_add_uint(doc, root, "rows_same", stats.n_same);
    const tfn_code rc = tfn_json_write(doc, report, err);
    tfn_json_destroy(doc);
    return rc;
}

tfn_code tfn_store_write_online(tfn_store *store, const char *view, struct ArrowArrayStream *frame,
                                char **report, tfn_error *err)
{
    *report = NULL;
    frame_write w = {.store = store, .latest_allowed = tfn_clock_now(&store->clock)};
    w.latest_allowed.seconds += MAX_SECONDS_AHEAD;
    tfn_snapshot *snapshot = NULL;
    tfn_online *online = NULL;
    tfn_online_stats stats = {0};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn__store_get_snapshot(store, TFN_FRESH, &snapshot, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_snapshot_find_view(snapshot, tfn_str_of(view), &w.view, err), done);
    if (!w.view->online) {
        rc = TFN_FAIL(err, TFN_INVALID, "the view is defined with online=False");
        goto done;
    }
    TFN_GOTO_IF_ERROR(rc, tfn_frame_read(frame, &w.frame, err), done);
    TFN_GOTO_IF_ERROR(rc, allocate(&w, err), done);
    TFN_GOTO_IF_ERROR(rc, find_columns(&w, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__store_get_online(store, &online, err), done);
    TFN_GOTO_IF_ERROR(rc, begin_write(&w, online, err), done);
    TFN_GOTO_IF_ERROR(rc, write_frame(&w, err), done);
    tfn_online_write *write = w.write;
    w.write = NULL;
    TFN_GOTO_IF_ERROR(rc, tfn_online_commit(write, &stats, err), done);
    TFN_GOTO_IF_ERROR(rc, report_write(&w, stats, report, err), done);
done:
    deinit(&w);
    tfn_snapshot_release(snapshot);
    if (rc != TFN_OK) {
        tfn_text_destroy(*report);
        *report = NULL;
        tfn_error_prepend(err, "writing to '%s': ", view);
    }
    return rc;
}
