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

#include "store/training_set.h"

#include "base/poison.h"

/* ---- spines ---- */

static bool same_keys(const tfn__shared_spine *spine, const size_t *columns, const tfn_type *types,
                      size_t n_keys)
{
    bool same = spine->n_keys == n_keys;
    for (size_t i = 0; same && i < n_keys; i++) {
        same = spine->columns[i] == columns[i] && tfn_type_same(spine->types[i], types[i]);
    }
    return same;
}

static tfn_code get_spine(tfn__training_set *t, const tfn_selected_view *selected,
                          const tfn_type *types, const tfn_spine **out, tfn_error *err)
{
    const size_t n_keys = selected->view->n_keys;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&t->arena, n_keys, sizeof(size_t), &p, err));
    size_t *columns = p;
    for (size_t i = 0; i < n_keys; i++) {
        TFN_RETURN_IF_ERROR(tfn__training_find_column(t, selected->key_columns[i],
                                                      "which is a join key", &columns[i], err));
    }
    for (size_t i = 0; i < t->n_spines; i++) {
        if (same_keys(&t->spines[i], columns, types, n_keys)) {
            *out = t->spines[i].spine;
            return TFN_OK;
        }
    }
    tfn__shared_spine *fresh = &t->spines[t->n_spines];
    TFN_RETURN_IF_ERROR(tfn_spine_create(t->frame, columns, types, n_keys, t->time_column,
                                         t->store->n_threads, &fresh->spine, err));
    fresh->n_keys = n_keys;
    fresh->columns = columns;
    fresh->types = types;
    t->n_spines++;
    *out = fresh->spine;
    return TFN_OK;
}

/* ---- one view ---- */

static void place_columns(tfn__training_set *t, size_t i_view, tfn_column *const *columns)
{
    for (size_t i = 0; i < t->selection.n_outputs; i++) {
        const tfn_selected_output *output = &t->selection.outputs[i];
        if (output->i_view == i_view) {
            t->columns[i] = columns[output->i_feature];
        }
    }
}

static tfn_code join_view(tfn__training_set *t, size_t i_view, bool run, tfn_error *err)
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
    TFN_GOTO_IF_ERROR(
        rc, tfn__training_report_plan(t, i_view, spine, &view, source, &opts, &report, err), done);
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
        tfn__training_report_run(t, i_view, report, &stats);
    }
done:
    tfn_source_destroy(source);
    return rc;
}

/* ---- the whole ---- */

static tfn_code prepare(tfn__training_set *t, struct ArrowArrayStream *spine, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_json_create(&t->report, err));
    yyjson_mut_val *root = yyjson_mut_obj(t->report);
    yyjson_mut_doc_set_root(t->report, root);
    t->report_views = yyjson_mut_obj_add_arr(t->report, root, "views");
    TFN_RETURN_IF_ERROR(tfn__store_get_snapshot(t->store, TFN_FRESH, &t->snapshot, err));
    TFN_RETURN_IF_ERROR(tfn__selection_init(t->snapshot, t->request->features, &t->selection, err));
    TFN_RETURN_IF_ERROR(tfn_frame_read(spine, &t->frame, err));
    TFN_RETURN_IF_ERROR(tfn__training_find_time(t, err));
    (void)tfn_json_add_str(t->report, root, "time_column",
                           tfn_frame_get_name(t->frame, t->time_column));
    TFN_RETURN_IF_ERROR(tfn__training_check_names(t, err));
    void *p = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc_zero(&t->arena, t->selection.n_views, sizeof *t->spines, &p, err));
    t->spines = p;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc_zero(&t->arena, t->selection.n_outputs, sizeof *t->columns, &p, err));
    t->columns = p;
    return TFN_OK;
}

static tfn_code export_set(tfn__training_set *t, struct ArrowArrayStream *out, tfn_error *err)
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

static void deinit(tfn__training_set *t)
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
    tfn__training_set t = {.store = store, .request = request};
    tfn_code rc = TFN_OK;
    const double started_s = tfn_clock_monotonic_s();
    TFN_GOTO_IF_ERROR(rc, prepare(&t, spine, err), done);
    for (size_t i = 0; i < t.selection.n_views; i++) {
        TFN_GOTO_IF_ERROR(rc, join_view(&t, i, out != NULL, err), done);
    }
    if (out != NULL) {
        TFN_GOTO_IF_ERROR(rc, tfn__training_compare_labels(&t, 0, t.columns, err), done);
        tfn__training_warn_labels(&t);
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
