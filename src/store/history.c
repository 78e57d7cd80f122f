/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Rows of one view, without entity rows: the newest of each key, or all of a window.
 *
 *   request --selection--> one view --keys (if some were asked for): frame -> key set-->
 *     tfn_latest_run, or tfn_range_run --> keys | event time | created time | features
 *
 * What is decided here is only names. The rules: docs/semantics/point-in-time.md, "The newest row
 * of a key" and "All rows of a window".
 */

#include "base/json.h"
#include "store/view_rows.h"

#include "base/poison.h"

/* A call while it runs. */
typedef struct view_call {
    tfn_store *store;
    const tfn_rows_request *request;
    tfn_snapshot *snapshot;
    tfn_selection selection;
    const tfn_selected_view *selected;
    tfn_arena arena;
    tfn__view_rows rows;
    tfn_frame *key_frame;
    tfn_keyset *keys; /* NULL = every key */
    tfn_latest *latest;
    tfn_row_range *range;
    tfn_str *names;
    tfn_column **columns; /* n_columns, in the engine's order: features as selected->features */
    size_t n_columns;
    int64_t n_rows;
    yyjson_mut_doc *report;
} view_call;

static void deinit(view_call *c)
{
    for (size_t i = 0; c->columns != NULL && i < c->n_columns; i++) {
        tfn_column_release(c->columns[i]);
    }
    tfn_latest_destroy(c->latest);
    tfn_range_destroy(c->range);
    tfn_keyset_destroy(c->keys);
    tfn_frame_release(c->key_frame);
    tfn__view_rows_deinit(&c->rows);
    tfn__selection_deinit(&c->selection);
    tfn_snapshot_release(c->snapshot);
    tfn_json_destroy(c->report);
    tfn_arena_deinit(&c->arena);
}

/* ---- what is asked ---- */

static tfn_code find_key_columns(const view_call *c, size_t *columns, tfn_error *err)
{
    for (size_t i = 0; i < c->rows.view.n_keys; i++) {
        const tfn_str name = c->rows.key_names[i];
        const int64_t at = tfn_frame_find(c->key_frame, name);
        if (at == TFN_FRAME_AMBIGUOUS) {
            return TFN_FAIL(err, TFN_INVALID, "the keys asked for have two columns named '%.*s'",
                            TFN_STR_ARG(name));
        }
        if (at < 0) {
            return TFN_FAIL(
                err, TFN_SCHEMA,
                "the keys asked for have no column '%.*s', which is a join key of '%.*s'",
                TFN_STR_ARG(name), TFN_STR_ARG(c->selected->name));
        }
        columns[i] = (size_t)at;
    }
    return TFN_OK;
}

static tfn_code read_keys(view_call *c, struct ArrowArrayStream *keys, tfn_error *err)
{
    if (c->rows.view.n_keys == 0) {
        return TFN_FAIL(err, TFN_INVALID,
                        "keys were asked for of '%.*s', which is a view without entities",
                        TFN_STR_ARG(c->selected->name));
    }
    TFN_RETURN_IF_ERROR(tfn_frame_read(keys, &c->key_frame, err));
    size_t columns[TFN_MAX_KEY_PARTS];
    tfn_key_plan plan;
    TFN_RETURN_IF_ERROR(tfn_key_plan_init(&plan, c->rows.view.key_types, c->rows.view.n_keys, err));
    TFN_RETURN_IF_ERROR(find_key_columns(c, columns, err));
    return tfn_keyset_create(c->key_frame, columns, &plan, &c->keys, err);
}

/* Keys, times and features, and no name twice. */
static tfn_code name_columns(view_call *c, tfn_error *err)
{
    const tfn_source_def *source = c->selected->view->source;
    const size_t n_keys = c->rows.view.n_keys;
    const bool has_created = c->rows.view.created_column.n > 0;
    const size_t n = n_keys + 1 + (has_created ? 1 : 0) + c->selection.n_outputs;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&c->arena, n, sizeof *c->names, &p, err));
    c->names = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&c->arena, n, sizeof *c->columns, &p, err));
    c->columns = p;
    c->n_columns = n;
    size_t at = 0;
    for (; at < n_keys; at++) {
        c->names[at] = c->rows.key_names[at];
    }
    c->names[at++] = source->timestamp_field;
    if (has_created) {
        c->names[at++] = source->created_timestamp_column;
    }
    for (size_t i = 0; i < c->selection.n_outputs; i++) {
        c->names[at + c->selection.outputs[i].i_feature] = c->selection.outputs[i].name;
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++) {
            if (tfn_str_equal(c->names[i], c->names[k])) {
                return TFN_FAIL(err, TFN_INVALID,
                                "two columns of the answer would be called '%.*s'; leave out the "
                                "feature, or pass full_feature_names=True",
                                TFN_STR_ARG(c->names[i]));
            }
        }
    }
    return TFN_OK;
}

static tfn_code prepare(view_call *c, const char *verb, struct ArrowArrayStream *keys,
                        tfn_error *err)
{
    const tfn_rows_request *request = c->request;
    if (request->struct_size != sizeof *request || request->features == NULL) {
        return TFN_FAIL(err, TFN_INVALID,
                        "rows were asked for without a view, or with a request of %zu bytes (this "
                        "library's has %zu)",
                        request->struct_size, sizeof *request);
    }
    TFN_RETURN_IF_ERROR(tfn__check_window(verb, request->start, request->end, err));
    TFN_RETURN_IF_ERROR(tfn_json_create(&c->report, err));
    yyjson_mut_doc_set_root(c->report, yyjson_mut_obj(c->report));
    TFN_RETURN_IF_ERROR(tfn__store_get_snapshot(c->store, TFN_FRESH, &c->snapshot, err));
    TFN_RETURN_IF_ERROR(tfn__selection_init(c->snapshot, request->features, &c->selection, err));
    if (c->selection.n_views != 1) {
        return TFN_FAIL(err, TFN_INVALID, "%s is of one feature view, and %zu were asked for", verb,
                        c->selection.n_views);
    }
    c->selected = &c->selection.views[0];
    TFN_RETURN_IF_ERROR(tfn__view_rows_init(c->store, c->selected, NULL, c->selected->n_features,
                                            request->known_at, &c->arena, &c->rows, err));
    TFN_RETURN_IF_ERROR(name_columns(c, err));
    return keys == NULL ? TFN_OK : read_keys(c, keys, err);
}

static tfn_offline_opts opts_of(const view_call *c)
{
    return (tfn_offline_opts){.n_threads = c->store->n_threads,
                              .tick = c->request->tick,
                              .tick_context = c->request->tick_context};
}

/* ---- what was done ---- */

typedef struct row_counts {
    int64_t n_read;
    int64_t n_without_time;
    int64_t n_infinite_time;
    int64_t n_without_key;
    int64_t n_not_known;
    int64_t n_outside;
    int64_t n_not_asked;
    int64_t n_keys;
} row_counts;

static void report(const view_call *c, const row_counts *counts, double seconds)
{
    yyjson_mut_doc *doc = c->report;
    yyjson_mut_val *root = yyjson_mut_doc_get_root(doc);
    (void)tfn_json_add_str(doc, root, "view", c->selected->name);
    (void)tfn_json_add_str(doc, root, "source", tfn_source_get_label(c->rows.source));
    (void)yyjson_mut_obj_add_int(doc, root, "rows", c->n_rows);
    (void)yyjson_mut_obj_add_int(doc, root, "keys", counts->n_keys);
    yyjson_mut_val *rows = yyjson_mut_obj_add_obj(doc, root, "source_rows");
    (void)yyjson_mut_obj_add_int(doc, rows, "read", counts->n_read);
    (void)yyjson_mut_obj_add_int(doc, rows, "outside", counts->n_outside);
    (void)yyjson_mut_obj_add_int(doc, rows, "key_not_asked", counts->n_not_asked);
    (void)yyjson_mut_obj_add_int(doc, rows, "not_known_yet", counts->n_not_known);
    (void)yyjson_mut_obj_add_int(doc, rows, "null_key", counts->n_without_key);
    (void)yyjson_mut_obj_add_int(doc, rows, "null_time", counts->n_without_time);
    (void)yyjson_mut_obj_add_int(doc, rows, "infinite_time", counts->n_infinite_time);
    (void)yyjson_mut_obj_add_real(doc, root, "seconds", seconds);
}

static tfn_code finish(const view_call *c, struct ArrowArrayStream *out, char **text,
                       tfn_error *err)
{
    if (text != NULL) {
        TFN_RETURN_IF_ERROR(tfn_json_write(c->report, text, err));
    }
    const tfn_code rc = tfn_columns_export(c->names, c->columns, c->n_columns, c->n_rows,
                                           TFN__EXPORT_BATCH_ROWS, out, err);
    if (rc != TFN_OK && text != NULL) {
        tfn_text_destroy(*text);
        *text = NULL;
    }
    return rc;
}

/* ---- the newest rows ---- */

static tfn_code run_latest(view_call *c, tfn_error *err)
{
    const tfn_rows_request *request = c->request;
    const double started_s = tfn_clock_monotonic_s();
    const tfn_latest_window window = {.has_start = request->start.is_set != 0,
                                      .has_end = request->end.is_set != 0,
                                      .start = tfn__instant_of_time(request->start),
                                      .end = tfn__instant_of_time(request->end),
                                      .keys = c->keys};
    const tfn_offline_opts opts = opts_of(c);
    tfn_latest_stats s = {0};
    TFN_RETURN_IF_ERROR(
        tfn_latest_run(&c->rows.view, c->rows.source, &window, &opts, &c->latest, &s, err));
    TFN_RETURN_IF_ERROR(tfn_latest_take(c->latest, &c->rows.view, c->columns, err));
    c->n_rows = tfn_latest_get_n_rows(c->latest);
    const row_counts counts = {.n_read = s.n_rows_read,
                               .n_without_time = s.n_rows_without_time,
                               .n_infinite_time = s.n_rows_infinite_time,
                               .n_without_key = s.n_rows_without_key,
                               .n_not_known = s.n_rows_not_known,
                               .n_outside = s.n_rows_outside,
                               .n_not_asked = s.n_rows_not_asked,
                               .n_keys = s.n_keys};
    report(c, &counts, tfn_clock_monotonic_s() - started_s);
    return TFN_OK;
}

/* ---- all rows of a window ---- */

static tfn_code run_range(view_call *c, tfn_error *err)
{
    const tfn_rows_request *request = c->request;
    const double started_s = tfn_clock_monotonic_s();
    const int64_t limit_bytes =
        request->max_bytes > 0 ? request->max_bytes : tfn__store_get_memory_limit(c->store);
    const tfn_range_window window = {.has_start = request->start.is_set != 0,
                                     .has_end = request->end.is_set != 0,
                                     .start = tfn__instant_of_time(request->start),
                                     .end = tfn__instant_of_time(request->end),
                                     .keys = c->keys,
                                     .max_bytes = limit_bytes};
    const tfn_offline_opts opts = opts_of(c);
    tfn_range_stats s = {0};
    TFN_RETURN_IF_ERROR(
        tfn_range_run(&c->rows.view, c->rows.source, &window, &opts, &c->range, &s, err));
    TFN_RETURN_IF_ERROR(tfn_range_take(c->range, c->columns, err));
    c->n_rows = tfn_range_get_n_rows(c->range);
    const row_counts counts = {.n_read = s.n_rows_read,
                               .n_without_time = s.n_rows_without_time,
                               .n_infinite_time = s.n_rows_infinite_time,
                               .n_without_key = s.n_rows_without_key,
                               .n_not_known = s.n_rows_not_known,
                               .n_outside = s.n_rows_outside,
                               .n_not_asked = s.n_rows_not_asked,
                               .n_keys = s.n_keys};
    report(c, &counts, tfn_clock_monotonic_s() - started_s);
    return TFN_OK;
}

/* ---- the two verbs ---- */

static tfn_code answer(view_call *c, const char *verb, tfn_code (*run)(view_call *, tfn_error *),
                       struct ArrowArrayStream *keys, struct ArrowArrayStream *out, char **text,
                       tfn_error *err)
{
    tfn_code rc = TFN_OK;
    out->release = NULL;
    if (text != NULL) {
        *text = NULL;
    }
    TFN_GOTO_IF_ERROR(rc, prepare(c, verb, keys, err), done);
    TFN_GOTO_IF_ERROR(rc, run(c, err), done);
    TFN_GOTO_IF_ERROR(rc, finish(c, out, text, err), done);
done:
    deinit(c);
    return rc;
}

tfn_code tfn_store_latest(tfn_store *store, const tfn_rows_request *request,
                          struct ArrowArrayStream *keys, struct ArrowArrayStream *out, char **text,
                          tfn_error *err)
{
    view_call c = {.store = store, .request = request};
    return answer(&c, "the latest", run_latest, keys, out, text, err);
}

tfn_code tfn_store_history(tfn_store *store, const tfn_rows_request *request,
                           struct ArrowArrayStream *keys, struct ArrowArrayStream *out, char **text,
                           tfn_error *err)
{
    view_call c = {.store = store, .request = request};
    return answer(&c, "a history", run_range, keys, out, text, err);
}
