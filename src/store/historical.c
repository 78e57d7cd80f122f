/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Training sets: a spine and a request in, the spine with features out.
 *
 *   spine stream -> frame -> (one index per distinct set of key columns, shared by views)
 *   per selected view: open its source, join -> one column per feature
 *   frame + columns, in the order asked -> stream
 *
 * The joins run one view after the other; each uses all threads. What is decided here is only
 * names: which columns are keys, which one is the time, what the outputs are called.
 *
 * Rule: docs/semantics/point-in-time.md. The join itself: offline/join.c.
 */

#include <string.h>

#include "base/json.h"
#include "offline/offline.h"
#include "store/request.h"
#include "store/store_internal.h"

#include "base/poison.h"

/* An index over the frame, and what it was made from. */
typedef struct shared_spine {
    tfn_spine *spine;
    size_t n_keys;
    const size_t *columns;
    const tfn_type *types;
} shared_spine;

typedef struct training_set {
    tfn_store *store;
    const tfn_historical_request *request;
    tfn_snapshot *snapshot;
    tfn_selection selection;
    tfn_arena arena;
    tfn_frame *frame;
    size_t time_column;
    shared_spine *spines; /* one per distinct key columns; at most one per selected view */
    size_t n_spines;
    tfn_column **columns; /* one per output */
    yyjson_mut_doc *report;
    yyjson_mut_val *report_views;
} training_set;

/* ---- names ---- */

static tfn_code list_columns(const tfn_frame *frame, tfn_buf *out, tfn_error *err)
{
    for (size_t i = 0; i < tfn_frame_get_n_cols(frame); i++) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, i == 0 ? "" : ", ", err));
        TFN_RETURN_IF_ERROR(tfn_buf_add_str(out, tfn_frame_get_name(frame, i), err));
    }
    return TFN_OK;
}

static tfn_code no_such_column(const training_set *t, tfn_str column, const char *needed_by,
                               tfn_error *err)
{
    tfn_buf columns = {0};
    const tfn_code rc = list_columns(t->frame, &columns, err);
    if (rc == TFN_OK) {
        (void)TFN_FAIL(err, TFN_SCHEMA,
                       "the entity rows have no column '%.*s', %s; they have: %.*s",
                       TFN_STR_ARG(column), needed_by, TFN_STR_ARG(tfn_buf_get_str(&columns)));
    }
    tfn_buf_deinit(&columns);
    return rc == TFN_OK ? TFN_SCHEMA : rc;
}

static tfn_code find_column(const training_set *t, tfn_str column, const char *needed_by,
                            size_t *out, tfn_error *err)
{
    const int64_t i = tfn_frame_find(t->frame, column);
    if (i == TFN_FRAME_AMBIGUOUS) {
        return TFN_FAIL(err, TFN_INVALID,
                        "the entity rows have two columns named '%.*s'; rename one of them",
                        TFN_STR_ARG(column));
    }
    if (i < 0) {
        return no_such_column(t, column, needed_by, err);
    }
    *out = (size_t)i;
    return TFN_OK;
}

static bool is_time(const training_set *t, size_t i_column)
{
    tfn_type type = {0};
    return tfn_frame_get_type(t->frame, i_column, &type, NULL) == TFN_OK && tfn_type_is_time(type);
}

static tfn_code check_time_column(const training_set *t, tfn_error *err)
{
    if (is_time(t, t->time_column)) {
        return TFN_OK;
    }
    tfn_type type = {0};
    TFN_RETURN_IF_ERROR(tfn_frame_get_type(t->frame, t->time_column, &type, err));
    char text[TFN_TYPE_TEXT_BYTES];
    tfn_type_format(type, text);
    return TFN_FAIL(
        err, TFN_SCHEMA,
        "the entity rows' time column '%.*s' holds %s; expected timestamp or date (convert "
        "it, e.g. with pandas.to_datetime)",
        TFN_STR_ARG(tfn_frame_get_name(t->frame, t->time_column)), text);
}

/* "event_timestamp", else the only column that holds times. */
static tfn_code find_time_column(training_set *t, tfn_error *err)
{
    if (t->request->time_column != NULL) {
        TFN_RETURN_IF_ERROR(find_column(t, tfn_str_of(t->request->time_column),
                                        "which was named as the time column", &t->time_column,
                                        err));
        return check_time_column(t, err);
    }
    const tfn_str usual = tfn_str_of("event_timestamp");
    if (tfn_frame_find(t->frame, usual) != TFN_FRAME_NO_COLUMN) {
        TFN_RETURN_IF_ERROR(find_column(t, usual, "", &t->time_column, err));
        return check_time_column(t, err);
    }
    size_t n_found = 0;
    tfn_buf candidates = {0};
    tfn_code rc = TFN_OK;
    for (size_t i = 0; i < tfn_frame_get_n_cols(t->frame); i++) {
        if (is_time(t, i)) {
            t->time_column = i;
            TFN_GOTO_IF_ERROR(rc,
                              tfn_buf_add_format(&candidates, err, "%s%.*s",
                                                 n_found == 0 ? "" : ", ",
                                                 TFN_STR_ARG(tfn_frame_get_name(t->frame, i))),
                              done);
            n_found++;
        }
    }
    if (n_found == 0) {
        rc = no_such_column(t, usual, "and no other column that holds times", err);
    } else if (n_found > 1) {
        rc = TFN_FAIL(
            err, TFN_INVALID,
            "the entity rows have several columns that hold times (%.*s); call the one that "
            "is meant 'event_timestamp'",
            TFN_STR_ARG(tfn_buf_get_str(&candidates)));
    }
done:
    tfn_buf_deinit(&candidates);
    return rc;
}

static tfn_code check_output_names(const training_set *t, tfn_error *err)
{
    for (size_t i = 0; i < t->selection.n_outputs; i++) {
        const tfn_str name = t->selection.outputs[i].name;
        if (tfn_frame_find(t->frame, name) != TFN_FRAME_NO_COLUMN) {
            return TFN_FAIL(
                err, TFN_INVALID,
                "the entity rows already have a column '%.*s', and a feature would get the "
                "same name; rename the column%s",
                TFN_STR_ARG(name),
                t->selection.full_names ? "" : ", or pass full_feature_names=True");
        }
    }
    return TFN_OK;
}

/* ---- spines ---- */

static bool same_keys(const shared_spine *spine, const size_t *columns, const tfn_type *types,
                      size_t n_keys)
{
    bool same = spine->n_keys == n_keys;
    for (size_t i = 0; same && i < n_keys; i++) {
        same = spine->columns[i] == columns[i] && tfn_type_same(spine->types[i], types[i]);
    }
    return same;
}

static tfn_code get_spine(training_set *t, const tfn_selected_view *selected, const tfn_type *types,
                          const tfn_spine **out, tfn_error *err)
{
    const size_t n_keys = selected->view->n_keys;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&t->arena, n_keys, sizeof(size_t), &p, err));
    size_t *columns = p;
    for (size_t i = 0; i < n_keys; i++) {
        TFN_RETURN_IF_ERROR(
            find_column(t, selected->key_columns[i], "which is a join key", &columns[i], err));
    }
    for (size_t i = 0; i < t->n_spines; i++) {
        if (same_keys(&t->spines[i], columns, types, n_keys)) {
            *out = t->spines[i].spine;
            return TFN_OK;
        }
    }
    shared_spine *fresh = &t->spines[t->n_spines];
    TFN_RETURN_IF_ERROR(
        tfn_spine_create(t->frame, columns, types, n_keys, t->time_column, &fresh->spine, err));
    fresh->n_keys = n_keys;
    fresh->columns = columns;
    fresh->types = types;
    t->n_spines++;
    *out = fresh->spine;
    return TFN_OK;
}

/* ---- one view ---- */

static void report_scan(training_set *t, yyjson_mut_val *scans, const char *what,
                        const tfn_scan_stats *scan)
{
    yyjson_mut_doc *doc = t->report;
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, scans);
    (void)yyjson_mut_obj_add_str(doc, object, "reads", what);
    (void)yyjson_mut_obj_add_int(doc, object, "files", scan->n_files);
    (void)yyjson_mut_obj_add_int(doc, object, "rows", scan->n_rows);
    (void)yyjson_mut_obj_add_int(doc, object, "rows_in_files", scan->n_rows_in_files);
    (void)yyjson_mut_obj_add_int(doc, object, "bytes_in_files", scan->n_bytes_in_files);
    (void)yyjson_mut_obj_add_real(doc, object, "seconds", scan->seconds);
}

static void report_rows(yyjson_mut_doc *doc, yyjson_mut_val *view, const tfn_join_stats *s)
{
    yyjson_mut_val *rows = yyjson_mut_obj_add_obj(doc, view, "source_rows");
    (void)yyjson_mut_obj_add_int(doc, rows, "read", s->n_rows_read);
    (void)yyjson_mut_obj_add_int(doc, rows, "eligible", s->n_rows_eligible);
    (void)yyjson_mut_obj_add_int(doc, rows, "no_entity_row_has_this_key", s->n_rows_without_match);
    (void)yyjson_mut_obj_add_int(doc, rows, "after_the_last_entity_row", s->n_rows_too_late);
    (void)yyjson_mut_obj_add_int(doc, rows, "expired", s->n_rows_expired);
    (void)yyjson_mut_obj_add_int(doc, rows, "not_known_yet", s->n_rows_not_known);
    (void)yyjson_mut_obj_add_int(doc, rows, "null_key", s->n_rows_without_key);
    (void)yyjson_mut_obj_add_int(doc, rows, "null_time", s->n_rows_without_time);
    (void)yyjson_mut_obj_add_int(doc, rows, "infinite_time", s->n_rows_infinite_time);
    (void)yyjson_mut_obj_add_int(doc, rows, "saturated_time", s->n_rows_saturated);
    yyjson_mut_val *spine = yyjson_mut_obj_add_obj(doc, view, "entity_rows");
    (void)yyjson_mut_obj_add_int(doc, spine, "rows", s->n_spine_rows);
    (void)yyjson_mut_obj_add_int(doc, spine, "null_key", s->n_spine_rows_without_key);
    (void)yyjson_mut_obj_add_int(doc, spine, "matched", s->n_spine_rows_matched);
    (void)yyjson_mut_obj_add_int(doc, spine, "keys", s->n_groups);
    (void)yyjson_mut_obj_add_int(doc, spine, "slots", s->n_slots);
    (void)yyjson_mut_obj_add_int(doc, spine, "winners", s->n_winners);
}

static void report_run(training_set *t, yyjson_mut_val *view, const tfn_join_stats *s)
{
    yyjson_mut_doc *doc = t->report;
    report_rows(doc, view, s);
    yyjson_mut_val *scans = yyjson_mut_obj_add_arr(doc, view, "scans_done");
    report_scan(t, scans, s->two_step ? "keys and times" : "all columns", &s->scans[0]);
    if (s->two_step) {
        report_scan(t, scans, "features of winners", &s->scans[1]);
    }
    yyjson_mut_val *memory = yyjson_mut_obj_add_obj(doc, view, "bytes_used");
    (void)yyjson_mut_obj_add_int(doc, memory, "index", s->bytes_index);
    (void)yyjson_mut_obj_add_int(doc, memory, "slots", s->bytes_slots);
    (void)yyjson_mut_obj_add_int(doc, memory, "values", s->bytes_values);
    yyjson_mut_val *seconds = yyjson_mut_obj_add_obj(doc, view, "seconds");
    (void)yyjson_mut_obj_add_real(doc, seconds, "scan", s->seconds_scan);
    (void)yyjson_mut_obj_add_real(doc, seconds, "walk", s->seconds_walk);
    (void)yyjson_mut_obj_add_real(doc, seconds, "values", s->seconds_values);
    (void)yyjson_mut_obj_add_real(doc, seconds, "output", s->seconds_output);
}

/* The plan is written before the join runs, so that it is there when only it was asked for. */
static tfn_code report_plan(training_set *t, const tfn_spine *spine, const tfn_join_view *view,
                            tfn_source *source, const tfn_offline_opts *opts, yyjson_mut_val **out,
                            tfn_error *err)
{
    tfn_buf json = {0};
    tfn_code rc = tfn_join_explain(spine, view, source, opts, NULL, &json, err);
    if (rc == TFN_OK) {
        *out = yyjson_mut_arr_add_obj(t->report, t->report_views);
        (void)tfn_json_add_str(t->report, *out, "view", view->label);
        yyjson_mut_val *plan = yyjson_mut_rawncpy(t->report, json.p, json.n);
        (void)yyjson_mut_obj_add_val(t->report, *out, "plan", plan);
    }
    tfn_buf_deinit(&json);
    return rc;
}

static void place_columns(training_set *t, size_t i_view, tfn_column *const *columns)
{
    for (size_t i = 0; i < t->selection.n_outputs; i++) {
        const tfn_selected_output *output = &t->selection.outputs[i];
        if (output->i_view == i_view) {
            t->columns[i] = columns[output->i_feature];
        }
    }
}

static tfn_code join_view(training_set *t, size_t i_view, bool run, tfn_error *err)
{
    const tfn_selected_view *selected = &t->selection.views[i_view];
    const tfn_historical_request *request = t->request;
    tfn_source *source = NULL;
    tfn_join_view view;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc,
                      tfn__store_compile_view(selected->view, selected->features,
                                              selected->n_features, &t->arena, &view, err),
                      done);
    view.filter_by_created = request->filter_by_created != 0;
    view.has_known_at = request->known_at.is_set != 0;
    view.known_at = tfn__instant_of_time(request->known_at);
    const tfn_spine *spine = NULL;
    TFN_GOTO_IF_ERROR(rc, get_spine(t, selected, view.key_types, &spine, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__store_open_source(t->store, selected->view->source, &source, err),
                      done);
    const tfn_offline_opts opts = {.n_threads = t->store->n_threads,
                                   .force_one_step = request->force_one_step != 0,
                                   .tick = request->tick,
                                   .tick_context = request->tick_context};
    yyjson_mut_val *report = NULL;
    TFN_GOTO_IF_ERROR(rc, report_plan(t, spine, &view, source, &opts, &report, err), done);
    if (run) {
        void *columns = NULL;
        tfn_join_stats stats = {0};
        TFN_GOTO_IF_ERROR(
            rc,
            tfn_arena_alloc_zero(&t->arena, view.n_features, sizeof(tfn_column *), &columns, err),
            done);
        TFN_GOTO_IF_ERROR(rc, tfn_join_run(spine, &view, source, &opts, columns, &stats, err),
                          done);
        place_columns(t, i_view, columns);
        report_run(t, report, &stats);
    }
done:
    tfn_source_destroy(source);
    return rc;
}

/* ---- the whole ---- */

static tfn_code prepare(training_set *t, struct ArrowArrayStream *spine, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_json_create(&t->report, err));
    yyjson_mut_val *root = yyjson_mut_obj(t->report);
    yyjson_mut_doc_set_root(t->report, root);
    t->report_views = yyjson_mut_obj_add_arr(t->report, root, "views");
    TFN_RETURN_IF_ERROR(tfn__store_get_snapshot(t->store, TFN_FRESH, &t->snapshot, err));
    TFN_RETURN_IF_ERROR(tfn__selection_init(t->snapshot, t->request->features, &t->selection, err));
    TFN_RETURN_IF_ERROR(tfn_frame_read(spine, &t->frame, err));
    TFN_RETURN_IF_ERROR(find_time_column(t, err));
    TFN_RETURN_IF_ERROR(check_output_names(t, err));
    void *p = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc_zero(&t->arena, t->selection.n_views, sizeof *t->spines, &p, err));
    t->spines = p;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc_zero(&t->arena, t->selection.n_outputs, sizeof *t->columns, &p, err));
    t->columns = p;
    return TFN_OK;
}

static tfn_code export_set(training_set *t, struct ArrowArrayStream *out, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc(&t->arena, t->selection.n_outputs, sizeof(tfn_str), &p, err));
    tfn_str *names = p;
    for (size_t i = 0; i < t->selection.n_outputs; i++) {
        names[i] = t->selection.outputs[i].name;
    }
    return tfn_frame_export(t->frame, names, t->columns, t->selection.n_outputs, out, err);
}

static void deinit(training_set *t)
{
    for (size_t i = 0; t->columns != NULL && i < t->selection.n_outputs; i++) {
        tfn_column_release(t->columns[i]);
    }
    for (size_t i = 0; i < t->n_spines; i++) {
        tfn_spine_destroy(t->spines[i].spine);
    }
    tfn_frame_release(t->frame);
    tfn__selection_deinit(&t->selection);
    tfn_snapshot_release(t->snapshot);
    tfn_json_destroy(t->report);
    tfn_arena_deinit(&t->arena);
}

tfn_code tfn_store_historical(tfn_store *store, const tfn_historical_request *request,
                              struct ArrowArrayStream *spine, struct ArrowArrayStream *out,
                              char **report, tfn_error *err)
{
    if (out != NULL) {
        out->release = NULL;
    }
    if (report != NULL) {
        *report = NULL;
    }
    if (request->struct_size != sizeof *request || request->features == NULL) {
        return TFN_FAIL(
            err, TFN_INVALID,
            "a training set was asked for without features, or with a request of %zu bytes "
            "(this library's has %zu)",
            request->struct_size, sizeof *request);
    }
    training_set t = {.store = store, .request = request};
    tfn_code rc = TFN_OK;
    const double started_s = tfn_clock_monotonic_s();
    TFN_GOTO_IF_ERROR(rc, prepare(&t, spine, err), done);
    for (size_t i = 0; i < t.selection.n_views; i++) {
        TFN_GOTO_IF_ERROR(rc, join_view(&t, i, out != NULL, err), done);
    }
    if (report != NULL) {
        yyjson_mut_val *root = yyjson_mut_doc_get_root(t.report);
        (void)yyjson_mut_obj_add_int(t.report, root, "rows", tfn_frame_get_n_rows(t.frame));
        (void)yyjson_mut_obj_add_bool(t.report, root, "ran", out != NULL);
        (void)yyjson_mut_obj_add_real(t.report, root, "seconds",
                                      tfn_clock_monotonic_s() - started_s);
        TFN_GOTO_IF_ERROR(rc, tfn_json_write(t.report, report, err), done);
    }
    if (out != NULL) {
        TFN_GOTO_IF_ERROR(rc, export_set(&t, out, err), done);
    }
done:
    deinit(&t);
    if (rc != TFN_OK && report != NULL) {
        tfn_text_destroy(*report);
        *report = NULL;
    }
    return rc;
}
