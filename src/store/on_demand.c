/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * On-demand views in a request: which of them are needed, what they read, in which order they run.
 *
 *   asked for        needed                           read
 *   odfv:output  ->  odfv, after the on-demand   ->   features of views, joined or looked up once
 *   view:feature     views that it reads              each, whoever wants them
 *
 * Functions are the caller's business: the answer of tfn_store_resolve tells it what to read (a
 * request without on-demand views, for the verbs that read), what to run, and what to give out. So
 * training sets and lookups compute on-demand features by one plan, and a request that needs none
 * goes its usual way.
 *
 * The recursion over on-demand views ends: the registry holds no circle, and bounds their chains.
 */

#include "store/on_demand.h"

#include <string.h>

#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "store/store_internal.h"

#include "base/poison.h"

void tfn__resolution_deinit(tfn_resolution *resolution)
{
    tfn_mem_free(resolution->needed);
    tfn_mem_free(resolution->columns);
    *resolution = (tfn_resolution){0};
}

static tfn_str get_view_name(const tfn_projection_def *projection)
{
    if (projection->name_alias.n > 0) {
        return projection->name_alias;
    }
    return projection->on_demand != NULL ? projection->on_demand->name : projection->view->name;
}

/* ---- what a view needs ---- */

/* The working column and the type of one feature of a source; what it takes is added. */
static tfn_code need_feature(tfn_selection *s, const tfn_projection_def *source, tfn_str feature,
                             tfn_str *column, tfn_type *type, tfn_error *err)
{
    if (source->on_demand != NULL) {
        const int64_t i = tfn_on_demand_find_output(source->on_demand, feature);
        if (i < 0) {
            return tfn__selection_fail_feature(source, feature, err);
        }
        *type = source->on_demand->outputs[i].type;
        return tfn__selection_join_names(s, source->on_demand->name, ":", feature, column, err);
    }
    size_t i_view = 0;
    const tfn_selected_output *output = NULL;
    TFN_RETURN_IF_ERROR(tfn__selection_need_view(s, source, &i_view, err));
    TFN_RETURN_IF_ERROR(tfn__selection_need_output(s, i_view, feature, &output, err));
    *column = output->name;
    *type = source->view->features[tfn_view_find_feature(source->view, feature)].type;
    return TFN_OK;
}

static tfn_code need_source(tfn_selection *s, const tfn_projection_def *source,
                            tfn_needed_view *needed, tfn_error *err)
{
    for (size_t i = 0; i < source->n_features; i++) {
        tfn_on_demand_input input = {.name = source->features[i]};
        TFN_RETURN_IF_ERROR(need_feature(s, source, input.name, &input.column, &input.type, err));
        TFN_RETURN_IF_ERROR(tfn__selection_join_names(s, get_view_name(source), "__", input.name,
                                                      &input.full_name, err));
        needed->inputs[needed->n_inputs] = input;
        needed->n_inputs++;
    }
    return TFN_OK;
}

/* Mark names that two sources have; take a field that two request sources have once. */
static tfn_code settle_names(tfn_needed_view *needed, tfn_error *err)
{
    tfn_map seen = {0};
    tfn_code rc = TFN_OK;
    size_t n_kept = 0;
    for (size_t i = 0; i < needed->n_inputs; i++) {
        tfn_on_demand_input input = needed->inputs[i];
        uint32_t i_other = 0;
        const bool is_twin = tfn_map_get(&seen, input.name, &i_other);
        if (is_twin && input.is_request) {
            continue;
        }
        if (is_twin) {
            needed->inputs[i_other].is_ambiguous = true;
            input.is_ambiguous = true;
        } else {
            TFN_GOTO_IF_ERROR(rc, tfn_map_put(&seen, input.name, (uint32_t)n_kept, err), done);
        }
        needed->inputs[n_kept] = input;
        n_kept++;
    }
    needed->n_inputs = n_kept;
done:
    tfn_map_deinit(&seen);
    return rc;
}

static tfn_code collect_inputs(tfn_selection *s, tfn_needed_view *needed, tfn_error *err)
{
    const tfn_on_demand_def *view = needed->view;
    size_t n_most = 0;
    for (size_t i = 0; i < view->n_sources; i++) {
        n_most += view->sources[i].n_features;
    }
    for (size_t i = 0; i < view->n_requests; i++) {
        n_most += view->requests[i]->n_fields;
    }
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&s->arena, n_most, sizeof(tfn_on_demand_input), &p, err));
    needed->inputs = p;
    for (size_t i = 0; i < view->n_sources; i++) {
        TFN_RETURN_IF_ERROR(need_source(s, &view->sources[i], needed, err));
    }
    for (size_t i = 0; i < view->n_requests; i++) {
        for (size_t k = 0; k < view->requests[i]->n_fields; k++) {
            const tfn_feature_def *field = &view->requests[i]->fields[k];
            needed->inputs[needed->n_inputs] = (tfn_on_demand_input){.name = field->name,
                                                                     .column = field->name,
                                                                     .type = field->type,
                                                                     .is_request = true};
            needed->n_inputs++;
        }
    }
    return settle_names(needed, err);
}

/* Enter a view after those that it reads. */
static tfn_code need_on_demand(tfn_selection *s, const tfn_on_demand_def *view, tfn_error *err)
{
    tfn_resolution *r = s->resolution;
    for (size_t i = 0; i < r->n_needed; i++) {
        if (r->needed[i].view == view) {
            return TFN_OK;
        }
    }
    for (size_t i = 0; i < view->n_sources; i++) {
        if (view->sources[i].on_demand != NULL) {
            TFN_RETURN_IF_ERROR(need_on_demand(s, view->sources[i].on_demand, err));
        }
    }
    tfn_needed_view needed = {.view = view};
    TFN_RETURN_IF_ERROR(collect_inputs(s, &needed, err));
    void *p = r->needed;
    TFN_RETURN_IF_ERROR(
        tfn_mem_grow(&p, &r->needed_capacity, r->n_needed + 1, sizeof *r->needed, err));
    r->needed = p;
    r->needed[r->n_needed] = needed;
    r->n_needed++;
    return TFN_OK;
}

/* ---- what is asked for ---- */

static tfn_code ask_feature(tfn_selection *s, const tfn_projection_def *projection, tfn_str feature,
                            tfn_error *err)
{
    tfn_resolution *r = s->resolution;
    tfn_asked_column asked = {.name = feature, .view = get_view_name(projection)};
    tfn_type type;
    TFN_RETURN_IF_ERROR(need_feature(s, projection, feature, &asked.column, &type, err));
    if (s->full_names) {
        TFN_RETURN_IF_ERROR(
            tfn__selection_join_names(s, asked.view, "__", feature, &asked.name, err));
    } else {
        TFN_RETURN_IF_ERROR(tfn_arena_copy(&s->arena, feature.p, feature.n, &asked.name.p, err));
    }
    TFN_RETURN_IF_ERROR(tfn_arena_copy(&s->arena, asked.view.p, asked.view.n, &asked.view.p, err));
    TFN_RETURN_IF_ERROR(tfn__selection_join_names(
        s, projection->on_demand != NULL ? projection->on_demand->name : projection->view->name,
        ":", feature, &asked.reference, err));
    void *p = r->columns;
    TFN_RETURN_IF_ERROR(
        tfn_mem_grow(&p, &r->column_capacity, r->n_columns + 1, sizeof *r->columns, err));
    r->columns = p;
    r->columns[r->n_columns] = asked;
    r->n_columns++;
    return TFN_OK;
}

tfn_code tfn__resolution_ask(tfn_selection *s, const tfn_projection_def *projection, tfn_error *err)
{
    const tfn_on_demand_def *on_demand = projection->on_demand;
    if (on_demand != NULL && projection->n_join_key_map > 0) {
        return TFN_FAIL(err, TFN_INVALID,
                        "on-demand feature view '%.*s' has no join keys of its own to map; map "
                        "them where its source view is named",
                        TFN_STR_ARG(on_demand->name));
    }
    if (on_demand != NULL) {
        TFN_RETURN_IF_ERROR(need_on_demand(s, on_demand, err));
    }
    for (size_t i = 0; i < projection->n_features; i++) {
        TFN_RETURN_IF_ERROR(ask_feature(s, projection, projection->features[i], err));
    }
    return TFN_OK;
}

tfn_code tfn__resolution_check_names(const tfn_selection *s, tfn_error *err)
{
    const tfn_resolution *r = s->resolution;
    tfn_map seen = {0};
    tfn_code rc = TFN_OK;
    for (size_t i = 0; i < r->n_columns; i++) {
        uint32_t i_first = 0;
        if (tfn_map_get(&seen, r->columns[i].name, &i_first)) {
            rc = tfn__selection_fail_twins(s, r->columns[i].name, r->columns[i_first].view,
                                           r->columns[i].view, err);
            break;
        }
        TFN_GOTO_IF_ERROR(rc, tfn_map_put(&seen, r->columns[i].name, (uint32_t)i, err), done);
    }
done:
    tfn_map_deinit(&seen);
    return rc;
}

/* ---- the answer ---- */

static void add_type(yyjson_mut_doc *doc, yyjson_mut_val *object, tfn_type type)
{
    char text[TFN_TYPE_TEXT_BYTES];
    tfn_type_format(type, text);
    (void)tfn_json_add_str(doc, object, "dtype", tfn_str_of(text));
}

/* One selected view as a projection with all names written out. */
static void add_read(yyjson_mut_doc *doc, yyjson_mut_val *projections, const tfn_selection *s,
                     size_t i_view)
{
    const tfn_selected_view *selected = &s->views[i_view];
    const tfn_view_def *view = selected->view;
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, projections);
    (void)tfn_json_add_str(doc, object, "view", view->name);
    (void)tfn_json_add_str(doc, object, "name_alias", selected->name);
    yyjson_mut_val *map = yyjson_mut_obj_add_obj(doc, object, "join_key_map");
    for (size_t i = 0; i < view->n_keys; i++) {
        const tfn_str to = selected->key_columns[i];
        if (!tfn_str_equal(view->keys[i].name, to)) {
            (void)yyjson_mut_obj_add(
                map, yyjson_mut_strncpy(doc, view->keys[i].name.p, view->keys[i].name.n),
                yyjson_mut_strncpy(doc, to.p, to.n));
        }
    }
    yyjson_mut_val *features = yyjson_mut_obj_add_arr(doc, object, "features");
    yyjson_mut_val *names = yyjson_mut_obj_add_arr(doc, object, "names");
    for (size_t i = 0; i < s->n_outputs; i++) {
        if (s->outputs[i].i_view == i_view) {
            const uint32_t i_feature = selected->features[s->outputs[i].i_feature];
            const tfn_str feature = view->features[i_feature].name;
            (void)yyjson_mut_arr_add_strncpy(doc, features, feature.p, feature.n);
            (void)yyjson_mut_arr_add_strncpy(doc, names, s->outputs[i].name.p,
                                             s->outputs[i].name.n);
        }
    }
}

static void add_input(yyjson_mut_doc *doc, yyjson_mut_val *inputs, const tfn_on_demand_input *input)
{
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, inputs);
    yyjson_mut_val *names = yyjson_mut_obj_add_arr(doc, object, "names");
    if (!input->is_ambiguous) {
        (void)yyjson_mut_arr_add_strncpy(doc, names, input->name.p, input->name.n);
    }
    if (input->full_name.n > 0) {
        (void)yyjson_mut_arr_add_strncpy(doc, names, input->full_name.p, input->full_name.n);
    }
    (void)tfn_json_add_str(doc, object, "column", input->column);
    (void)yyjson_mut_obj_add_bool(doc, object, "is_request", input->is_request);
    add_type(doc, object, input->type);
}

static void add_needed(yyjson_mut_doc *doc, yyjson_mut_val *array, const tfn_needed_view *needed)
{
    const tfn_on_demand_def *view = needed->view;
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, array);
    (void)tfn_json_add_str(doc, object, "name", view->name);
    (void)yyjson_mut_obj_add_str(doc, object, "mode",
                                 view->mode == TFN_ON_DEMAND_PYTHON ? "python" : "pandas");
    (void)yyjson_mut_obj_add_bool(doc, object, "singleton", view->is_singleton);
    (void)tfn_json_add_str(doc, object, "module", view->module);
    (void)tfn_json_add_str(doc, object, "function", view->function);
    (void)tfn_json_add_str(doc, object, "hash", view->function_hash);
    yyjson_mut_val *inputs = yyjson_mut_obj_add_arr(doc, object, "inputs");
    for (size_t i = 0; i < needed->n_inputs; i++) {
        add_input(doc, inputs, &needed->inputs[i]);
    }
    yyjson_mut_val *outputs = yyjson_mut_obj_add_arr(doc, object, "outputs");
    for (size_t i = 0; i < view->n_outputs; i++) {
        yyjson_mut_val *output = yyjson_mut_arr_add_obj(doc, outputs);
        (void)tfn_json_add_str(doc, output, "name", view->outputs[i].name);
        add_type(doc, output, view->outputs[i].type);
    }
}

static tfn_code write_answer(const tfn_selection *s, char **answer, tfn_error *err)
{
    const tfn_resolution *r = s->resolution;
    yyjson_mut_doc *doc = NULL;
    TFN_RETURN_IF_ERROR(tfn_json_create(&doc, err));
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    (void)yyjson_mut_obj_add_sint(doc, root, "commit", tfn_snapshot_get_commit(s->snapshot));
    yyjson_mut_val *on_demand = yyjson_mut_obj_add_arr(doc, root, "on_demand");
    if (r->n_needed > 0) {
        for (size_t i = 0; i < r->n_needed; i++) {
            add_needed(doc, on_demand, &r->needed[i]);
        }
        yyjson_mut_val *request = yyjson_mut_obj_add_obj(doc, root, "request");
        yyjson_mut_val *projections = yyjson_mut_obj_add_arr(doc, request, "projections");
        for (size_t i = 0; i < s->n_views; i++) {
            add_read(doc, projections, s, i);
        }
        yyjson_mut_val *columns = yyjson_mut_obj_add_arr(doc, root, "columns");
        for (size_t i = 0; i < r->n_columns; i++) {
            yyjson_mut_val *column = yyjson_mut_arr_add_obj(doc, columns);
            (void)tfn_json_add_str(doc, column, "name", r->columns[i].name);
            (void)tfn_json_add_str(doc, column, "column", r->columns[i].column);
        }
    }
    const tfn_code rc = tfn_json_write(doc, answer, err);
    tfn_json_destroy(doc);
    return rc;
}

tfn_code tfn_store_resolve(tfn_store *store, const char *features, char **answer, tfn_error *err)
{
    *answer = NULL;
    tfn_snapshot *snapshot = NULL;
    tfn_selection selection = {0};
    tfn_resolution resolution = {0};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn__store_get_snapshot(store, TFN_FRESH, &snapshot, err), done);
    TFN_GOTO_IF_ERROR(
        rc, tfn__selection_init_resolved(snapshot, features, &resolution, &selection, err), done);
    TFN_GOTO_IF_ERROR(rc, write_answer(&selection, answer, err), done);
done:
    tfn__selection_deinit(&selection);
    tfn__resolution_deinit(&resolution);
    tfn_snapshot_release(snapshot);
    return rc;
}
