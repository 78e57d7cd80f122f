/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Which rows of a training set could know too much (docs/semantics/training-warnings.md).
 *
 *   per selected view: the join of the training set, but with the winner's own event and created
 *   time in place of its features -> tfn_leakage_add, batch by batch -> counts and examples
 *
 * Joining times only, the second scan reads two columns, and the answer is what the training set
 * itself would have used: the same names, the same rule, the same filters. Nothing of an earlier
 * run is needed, so a finished table can be checked as well as a request. Outputs and keys are told
 * too, so that a caller knows which columns of such a table are features and which are neither.
 */

#include "offline/leakage.h"
#include "base/limits.h"
#include "store/training_set.h"

#include "base/poison.h"

/* The winner's times as columns: its event time, and its created time if the source has one. */
typedef struct origins {
    tfn_join_view view;
    tfn_str names[2];
    tfn_type types[2];
    tfn_column *columns[2];
} origins;

/* As the source has it, so that no instant is changed; CSV texts are parsed to the microsecond. */
static tfn_type time_type_of(const tfn_source *source, tfn_str column)
{
    size_t n = 0;
    const int64_t i = tfn_source_find_column(source, column);
    const tfn_source_column *columns = tfn_source_get_columns(source, &n);
    if (i >= 0 && tfn_type_is_time(columns[i].type)) {
        return columns[i].type;
    }
    return (tfn_type){.kind = TFN_KIND_TIMESTAMP, .unit = TFN_UNIT_US};
}

static void ask_for_times(origins *o, const tfn_source *source)
{
    o->names[0] = o->view.timestamp_field;
    o->names[1] = o->view.created_column;
    o->view.n_features = o->view.created_column.n > 0 ? 2 : 1;
    for (size_t i = 0; i < o->view.n_features; i++) {
        o->types[i] = time_type_of(source, o->names[i]);
    }
    o->view.feature_columns = o->names;
    o->view.feature_types = o->types;
}

/* Views share keys; each is told once. */
static void report_key(tfn__training_set *t, tfn_str name)
{
    yyjson_mut_val *keys = yyjson_mut_obj_get(yyjson_mut_doc_get_root(t->report), "keys");
    yyjson_mut_arr_iter each = yyjson_mut_arr_iter_with(keys);
    yyjson_mut_val *key = yyjson_mut_arr_iter_next(&each);
    while (key != NULL && !yyjson_mut_equals_strn(key, name.p, name.n)) {
        key = yyjson_mut_arr_iter_next(&each);
    }
    if (key == NULL) {
        (void)yyjson_mut_arr_add_strncpy(t->report, keys, name.p, name.n);
    }
}

static tfn_code create_spine(tfn__training_set *t, const tfn_selected_view *selected,
                             const tfn_type *types, tfn_spine **out, tfn_error *err)
{
    size_t columns[TFN_MAX_KEY_PARTS];
    for (size_t i = 0; i < selected->view->n_keys; i++) {
        const tfn_str name = selected->key_columns[i];
        TFN_RETURN_IF_ERROR(
            tfn__training_find_column(t, name, "which is a join key", &columns[i], err));
        report_key(t, name);
    }
    tfn_crew crew;
    tfn_crew_init(&crew, t->store->n_threads, t->request->tick, t->request->tick_context,
                  "indexing entity rows");
    return tfn_spine_create(t->frame, columns, types, selected->view->n_keys, t->time_column, &crew,
                            out, err);
}

static tfn_code join_times(tfn__training_set *t, const tfn_selected_view *selected, origins *o,
                           tfn_error *err)
{
    const tfn_historical_request *request = t->request;
    tfn_source *source = NULL;
    tfn_spine *spine = NULL;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(
        rc, tfn__store_compile_view(selected->view, NULL, 0, &t->arena, &o->view, err), done);
    o->view.filter_by_created = request->filter_by_created != 0;
    o->view.has_known_at = request->known_at.is_set != 0;
    o->view.known_at = tfn__instant_of_time(request->known_at);
    TFN_GOTO_IF_ERROR(rc, create_spine(t, selected, o->view.key_types, &spine, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__store_open_source(t->store, selected->view->source, &source, err),
                      done);
    ask_for_times(o, source);
    const tfn_offline_opts opts = {.n_threads = t->store->n_threads,
                                   .force_one_step = request->force_one_step != 0,
                                   .tick = request->tick,
                                   .tick_context = request->tick_context};
    TFN_GOTO_IF_ERROR(rc, tfn_join_run(spine, &o->view, source, &opts, o->columns, NULL, err),
                      done);
done:
    tfn_source_destroy(source);
    tfn_spine_destroy(spine);
    return rc;
}

static tfn_code count_rows(const tfn__training_set *t, const origins *o, tfn_leakage *out,
                           tfn_error *err)
{
    int64_t i_row = 0;
    for (int64_t i = 0; i < tfn_frame_get_n_batches(t->frame); i++) {
        const int64_t n = tfn_frame_get_batch_rows(t->frame, i);
        tfn_vec entity;
        tfn_vec created = {0};
        TFN_RETURN_IF_ERROR(tfn_frame_get_vec(t->frame, i, t->time_column, &entity, err));
        const tfn_vec event = tfn_vec_slice(tfn_column_get_vec(o->columns[0]), i_row, n);
        if (o->columns[1] != NULL) {
            created = tfn_vec_slice(tfn_column_get_vec(o->columns[1]), i_row, n);
        }
        tfn_leakage_add(out, &entity, &event, o->columns[1] != NULL ? &created : NULL);
        i_row += n;
    }
    return TFN_OK;
}

/* ---- the report ---- */

static tfn_instant instant_at(const tfn_vec *v, int64_t i)
{
    const int64_t value = tfn_vec_get_int(v, i);
    return v->type.kind == TFN_KIND_DATE ? (tfn_instant){value * 86400, 0}
                                         : tfn_instant_of(value, (tfn_unit)v->type.unit);
}

static tfn_code entity_time_of(const tfn__training_set *t, int64_t i_row, tfn_instant *out,
                               tfn_error *err)
{
    int64_t i_batch = 0;
    while (i_row >= tfn_frame_get_batch_rows(t->frame, i_batch)) {
        i_row -= tfn_frame_get_batch_rows(t->frame, i_batch);
        i_batch++;
    }
    tfn_vec v;
    TFN_RETURN_IF_ERROR(tfn_frame_get_vec(t->frame, i_batch, t->time_column, &v, err));
    *out = instant_at(&v, i_row);
    return TFN_OK;
}

static void add_time_of(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key,
                        tfn_column *column, int64_t i_row)
{
    if (column != NULL && tfn_vec_is_valid(tfn_column_get_vec(column), i_row)) {
        (void)tfn_json_add_time(doc, object, key, instant_at(tfn_column_get_vec(column), i_row));
    }
}

static tfn_code report_rows(tfn__training_set *t, yyjson_mut_val *view, const char *name,
                            const tfn_leakage_rows *rows, const origins *o, tfn_error *err)
{
    yyjson_mut_doc *doc = t->report;
    yyjson_mut_val *object = yyjson_mut_obj_add_obj(doc, view, name);
    (void)yyjson_mut_obj_add_int(doc, object, "rows", rows->n);
    yyjson_mut_val *examples = yyjson_mut_obj_add_arr(doc, object, "examples");
    for (size_t i = 0; i < rows->n_examples; i++) {
        const int64_t i_row = rows->examples[i];
        tfn_instant entity = {0};
        TFN_RETURN_IF_ERROR(entity_time_of(t, i_row, &entity, err));
        yyjson_mut_val *example = yyjson_mut_arr_add_obj(doc, examples);
        (void)yyjson_mut_obj_add_int(doc, example, "row", i_row);
        (void)tfn_json_add_time(doc, example, "entity_time", entity);
        add_time_of(doc, example, "event_time", o->columns[0], i_row);
        add_time_of(doc, example, "created_time", o->columns[1], i_row);
    }
    return TFN_OK;
}

static tfn_code report_view(tfn__training_set *t, const tfn_selected_view *selected,
                            const origins *o, const tfn_leakage *l, tfn_error *err)
{
    yyjson_mut_val *view = yyjson_mut_arr_add_obj(t->report, t->report_views);
    (void)tfn_json_add_str(t->report, view, "view", selected->name);
    (void)yyjson_mut_obj_add_bool(t->report, view, "has_created_time", o->columns[1] != NULL);
    (void)yyjson_mut_obj_add_int(t->report, view, "rows_matched", l->n_matched);
    return report_rows(t, view, "created_later", &l->created_later, o, err);
}

static tfn_code check_view(tfn__training_set *t, const tfn_selected_view *selected, tfn_error *err)
{
    origins o = {0};
    tfn_leakage l = {0};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, join_times(t, selected, &o, err), done);
    TFN_GOTO_IF_ERROR(rc, count_rows(t, &o, &l, err), done);
    TFN_GOTO_IF_ERROR(rc, report_view(t, selected, &o, &l, err), done);
done:
    tfn_column_release(o.columns[0]);
    tfn_column_release(o.columns[1]);
    return rc;
}

static void report_outputs(tfn__training_set *t, yyjson_mut_val *root)
{
    yyjson_mut_val *outputs = yyjson_mut_obj_add_arr(t->report, root, "outputs");
    for (size_t i = 0; i < t->selection.n_outputs; i++) {
        const tfn_selected_output *output = &t->selection.outputs[i];
        yyjson_mut_val *object = yyjson_mut_arr_add_obj(t->report, outputs);
        (void)tfn_json_add_str(t->report, object, "name", output->name);
        (void)tfn_json_add_str(t->report, object, "view", t->selection.views[output->i_view].name);
    }
}

static tfn_code check(tfn__training_set *t, struct ArrowArrayStream *spine, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_json_create(&t->report, err));
    yyjson_mut_val *root = yyjson_mut_obj(t->report);
    yyjson_mut_doc_set_root(t->report, root);
    TFN_RETURN_IF_ERROR(tfn__store_get_snapshot(t->store, TFN_FRESH, &t->snapshot, err));
    TFN_RETURN_IF_ERROR(tfn__selection_init(t->snapshot, t->request->features, &t->selection, err));
    TFN_RETURN_IF_ERROR(tfn_frame_read(spine, &t->frame, err));
    TFN_RETURN_IF_ERROR(tfn__training_find_time(t, err));
    (void)yyjson_mut_obj_add_int(t->report, root, "rows", tfn_frame_get_n_rows(t->frame));
    (void)tfn_json_add_str(t->report, root, "time_column",
                           tfn_frame_get_name(t->frame, t->time_column));
    (void)yyjson_mut_obj_add_arr(t->report, root, "keys");
    report_outputs(t, root);
    t->report_views = yyjson_mut_obj_add_arr(t->report, root, "views");
    for (size_t i = 0; i < t->selection.n_views; i++) {
        TFN_RETURN_IF_ERROR(check_view(t, &t->selection.views[i], err));
    }
    return TFN_OK;
}

tfn_code tfn_store_check_leakage(tfn_store *store, const tfn_historical_request *request,
                                 struct ArrowArrayStream *spine, char **report, tfn_error *err)
{
    *report = NULL;
    if (request->struct_size != sizeof *request || request->features == NULL) {
        return TFN_FAIL(
            err, TFN_INVALID,
            "a check for leaks was asked for without features, or with a request of %zu "
            "bytes (this library's has %zu)",
            request->struct_size, sizeof *request);
    }
    tfn__training_set t = {.store = store, .request = request};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, check(&t, spine, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_json_write(t.report, report, err), done);
done:
    tfn_frame_release(t.frame);
    tfn__selection_deinit(&t.selection);
    tfn_snapshot_release(t.snapshot);
    tfn_json_destroy(t.report);
    tfn_arena_deinit(&t.arena);
    return rc;
}
