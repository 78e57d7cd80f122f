/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Requests: text in, selection out.
 *
 * References "view:feature" gather under one selected view per view, in order of first mention;
 * projections (and a service is a list of them) are one selected view each, so a view may be joined
 * twice under two aliases. The order of outputs is the order asked.
 *
 * On-demand views are another matter (on_demand.c): for them the outputs are what must be read, and
 * what is asked for is kept apart. Without such a resolution they are refused here.
 *
 * Invariant: output names are distinct; two that would be equal are refused with both origins.
 */

#include "store/request.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "store/on_demand.h"
#include "store/store_internal.h"

#include "base/poison.h"

void tfn__selection_deinit(tfn_selection *selection)
{
    for (size_t i = 0; i < selection->n_views; i++) {
        tfn_mem_free(selection->views[i].features);
    }
    tfn_mem_free(selection->views);
    tfn_mem_free(selection->outputs);
    tfn_snapshot_release(selection->snapshot);
    tfn_arena_deinit(&selection->arena);
    *selection = (tfn_selection){0};
}

tfn_code tfn__selection_fail_feature(const tfn_projection_def *projection, tfn_str feature,
                                     tfn_error *err)
{
    const tfn_on_demand_def *on_demand = projection->on_demand;
    const tfn_str view = on_demand != NULL ? on_demand->name : projection->view->name;
    const tfn_feature_def *features =
        on_demand != NULL ? on_demand->outputs : projection->view->features;
    const size_t n_features =
        on_demand != NULL ? on_demand->n_outputs : projection->view->n_features;
    char known[512] = "";
    size_t n_known = 0;
    for (size_t i = 0; i < n_features; i++) {
        const tfn_str name = features[i].name;
        if (n_known + name.n + 8 > sizeof known) {
            memcpy(known + n_known, ", ...", 6);
            break;
        }
        if (i > 0) {
            memcpy(known + n_known, ", ", 2);
            n_known += 2;
        }
        memcpy(known + n_known, name.p, name.n);
        n_known += name.n;
        known[n_known] = '\0';
    }
    return TFN_FAIL(err, TFN_NOT_FOUND, "%sfeature view '%.*s' has no feature '%.*s'; it has: %s",
                    on_demand != NULL ? "on-demand " : "", TFN_STR_ARG(view), TFN_STR_ARG(feature),
                    known);
}

tfn_code tfn__selection_join_names(tfn_selection *s, tfn_str view, const char *between,
                                   tfn_str feature, tfn_str *out, tfn_error *err)
{
    tfn_buf name = {0};
    tfn_code rc = tfn_buf_add_format(&name, err, "%.*s%s%.*s", TFN_STR_ARG(view), between,
                                     TFN_STR_ARG(feature));
    if (rc == TFN_OK) {
        rc = tfn_arena_copy(&s->arena, name.p, name.n, &out->p, err);
        out->n = name.n;
    }
    tfn_buf_deinit(&name);
    return rc;
}

/* Output name: the one given, else "feature", or "view__feature" with full names. */
static tfn_code name_output(tfn_selection *s, const tfn_selected_view *view, tfn_str feature,
                            tfn_str given, tfn_str *out, tfn_error *err)
{
    if (s->full_names && given.n == 0) {
        return tfn__selection_join_names(s, view->name, "__", feature, out, err);
    }
    const tfn_str name = given.n > 0 ? given : feature;
    out->n = name.n;
    return tfn_arena_copy(&s->arena, name.p, name.n, &out->p, err);
}

static tfn_code add_output(tfn_selection *s, size_t i_view, tfn_str feature, tfn_str name,
                           tfn_error *err)
{
    tfn_selected_view *view = &s->views[i_view];
    const int64_t i_in_view = tfn_view_find_feature(view->view, feature);
    if (i_in_view < 0) {
        const tfn_projection_def projection = {.view = view->view};
        return tfn__selection_fail_feature(&projection, feature, err);
    }
    void *p = view->features;
    TFN_RETURN_IF_ERROR(tfn_mem_grow(&p, &view->feature_capacity, view->n_features + 1,
                                     sizeof *view->features, err));
    view->features = p;
    p = s->outputs;
    TFN_RETURN_IF_ERROR(
        tfn_mem_grow(&p, &s->output_capacity, s->n_outputs + 1, sizeof *s->outputs, err));
    s->outputs = p;
    tfn_selected_output output = {.i_view = (uint32_t)i_view,
                                  .i_feature = (uint32_t)view->n_features};
    TFN_RETURN_IF_ERROR(
        name_output(s, view, view->view->features[i_in_view].name, name, &output.name, err));
    view->features[view->n_features++] = (uint32_t)i_in_view;
    s->outputs[s->n_outputs++] = output;
    return TFN_OK;
}

/* The key columns of a view, mapped where the projection says so. */
static tfn_code map_keys(tfn_selection *s, const tfn_projection_def *projection,
                         const tfn_str **out, tfn_error *err)
{
    const tfn_view_def *view = projection->view;
    const tfn_name_pair *map = projection->join_key_map;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&s->arena, view->n_keys, sizeof(tfn_str), &p, err));
    tfn_str *key_columns = p;
    for (size_t i = 0; i < view->n_keys; i++) {
        key_columns[i] = view->keys[i].name;
    }
    for (size_t i = 0; i < projection->n_join_key_map; i++) {
        const int64_t i_key = tfn_view_find_key(view, map[i].from);
        if (i_key < 0) {
            return TFN_FAIL(
                err, TFN_INVALID,
                "join_key_map of feature view '%.*s' names '%.*s', which is not one of its "
                "join keys",
                TFN_STR_ARG(view->name), TFN_STR_ARG(map[i].from));
        }
        const char *copy = NULL;
        TFN_RETURN_IF_ERROR(tfn_arena_copy(&s->arena, map[i].to.p, map[i].to.n, &copy, err));
        key_columns[i_key] = (tfn_str){copy, map[i].to.n};
    }
    *out = key_columns;
    return TFN_OK;
}

/* A new selected view. */
static tfn_code add_view(tfn_selection *s, const tfn_projection_def *projection,
                         const tfn_str *key_columns, tfn_error *err)
{
    void *p = s->views;
    TFN_RETURN_IF_ERROR(tfn_mem_grow(&p, &s->view_capacity, s->n_views + 1, sizeof *s->views, err));
    s->views = p;
    const tfn_view_def *view = projection->view;
    const tfn_str alias = projection->name_alias;
    tfn_str name = view->name;
    TFN_RETURN_IF_ERROR(tfn__store_check_runs(view, err));
    if (alias.n > 0) {
        TFN_RETURN_IF_ERROR(tfn_arena_copy(&s->arena, alias.p, alias.n, &name.p, err));
        name.n = alias.n;
    }
    s->views[s->n_views++] =
        (tfn_selected_view){.view = view, .name = name, .key_columns = key_columns};
    return TFN_OK;
}

static tfn_code refuse_on_demand(const tfn_on_demand_def *view, tfn_error *err)
{
    return TFN_FAIL(err, TFN_UNSUPPORTED,
                    "'%.*s' is an on-demand feature view, which its caller computes; resolve the "
                    "request first (tfn_store_resolve)",
                    TFN_STR_ARG(view->name));
}

/* All that a projection asks for; `names` is NULL, or has a name for each feature. */
static tfn_code add_projected(tfn_selection *s, const tfn_projection_def *projection,
                              const tfn_str *names, tfn_error *err)
{
    const tfn_str *key_columns = NULL;
    if (s->resolution != NULL) {
        return tfn__resolution_ask(s, projection, err);
    }
    if (projection->on_demand != NULL) {
        return refuse_on_demand(projection->on_demand, err);
    }
    TFN_RETURN_IF_ERROR(map_keys(s, projection, &key_columns, err));
    TFN_RETURN_IF_ERROR(add_view(s, projection, key_columns, err));
    for (size_t i = 0; i < projection->n_features; i++) {
        const tfn_str name = names != NULL ? names[i] : (tfn_str){0};
        TFN_RETURN_IF_ERROR(add_output(s, s->n_views - 1, projection->features[i], name, err));
    }
    return TFN_OK;
}

static bool same_texts(const tfn_str *a, const tfn_str *b, size_t n)
{
    bool same = true;
    for (size_t i = 0; i < n && same; i++) {
        same = tfn_str_equal(a[i], b[i]);
    }
    return same;
}

tfn_code tfn__selection_need_view(tfn_selection *s, const tfn_projection_def *projection,
                                  size_t *i_view, tfn_error *err)
{
    const tfn_view_def *view = projection->view;
    const tfn_str *key_columns = NULL;
    TFN_RETURN_IF_ERROR(map_keys(s, projection, &key_columns, err));
    size_t n_twins = 0;
    for (size_t i = 0; i < s->n_views; i++) {
        const bool is_same = s->views[i].view == view;
        if (is_same && same_texts(s->views[i].key_columns, key_columns, view->n_keys)) {
            *i_view = i;
            return TFN_OK;
        }
        n_twins += is_same ? 1 : 0;
    }
    tfn_projection_def plain = {.view = view};
    if (n_twins > 0) { /* the outputs' names begin with it, so it must be another one */
        char number[24];
        (void)snprintf(number, sizeof number, "%zu", n_twins + 1);
        TFN_RETURN_IF_ERROR(tfn__selection_join_names(s, view->name, "#", tfn_str_of(number),
                                                      &plain.name_alias, err));
    }
    TFN_RETURN_IF_ERROR(add_view(s, &plain, key_columns, err));
    *i_view = s->n_views - 1;
    return TFN_OK;
}

tfn_code tfn__selection_need_output(tfn_selection *s, size_t i_view, tfn_str feature,
                                    const tfn_selected_output **out, tfn_error *err)
{
    tfn_str name = {0};
    for (size_t i = 0; i < s->n_outputs; i++) {
        const tfn_selected_output *output = &s->outputs[i];
        const tfn_selected_view *view = &s->views[i_view];
        if (output->i_view == i_view &&
            tfn_str_equal(view->view->features[view->features[output->i_feature]].name, feature)) {
            *out = output;
            return TFN_OK;
        }
    }
    TFN_RETURN_IF_ERROR(
        tfn__selection_join_names(s, s->views[i_view].name, ":", feature, &name, err));
    TFN_RETURN_IF_ERROR(add_output(s, i_view, feature, name, err));
    *out = &s->outputs[s->n_outputs - 1];
    return TFN_OK;
}

/* One feature of a view whose references gather. */
static tfn_code add_gathered(tfn_selection *s, const tfn_projection_def *projection, tfn_error *err)
{
    size_t i_view = 0;
    while (i_view < s->n_views && s->views[i_view].view != projection->view) {
        i_view++;
    }
    if (i_view == s->n_views) {
        return add_projected(s, projection, NULL, err);
    }
    return add_output(s, i_view, projection->features[0], (tfn_str){0}, err);
}

static tfn_code add_reference(tfn_selection *s, tfn_str reference, tfn_error *err)
{
    const char *colon = reference.n > 0 ? memchr(reference.p, ':', reference.n) : NULL;
    if (colon == NULL) {
        return TFN_FAIL(err, TFN_INVALID,
                        "'%.*s' is not a feature reference; write it as view:feature",
                        TFN_STR_ARG(reference));
    }
    const tfn_str view_name = {reference.p, (size_t)(colon - reference.p)};
    const tfn_str feature = {colon + 1, reference.n - view_name.n - 1};
    tfn_projection_def projection = {.features = &feature, .n_features = 1};
    TFN_RETURN_IF_ERROR(tfn_snapshot_find_any_view(s->snapshot, view_name, &projection.view,
                                                   &projection.on_demand, err));
    return projection.on_demand != NULL || s->resolution != NULL
               ? add_projected(s, &projection, NULL, err)
               : add_gathered(s, &projection, err);
}

static tfn_code add_references(tfn_selection *s, yyjson_val *list, tfn_error *err)
{
    size_t i = 0;
    size_t n = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(list, i, n, item)
    {
        if (!yyjson_is_str(item)) {
            return TFN_FAIL(err, TFN_INVALID, "features must be texts such as 'view:feature'");
        }
        TFN_RETURN_IF_ERROR(add_reference(s, tfn_json_get_str(item), err));
    }
    return TFN_OK;
}

static tfn_code add_service(tfn_selection *s, tfn_str name, tfn_error *err)
{
    const tfn_service_def *service = NULL;
    TFN_RETURN_IF_ERROR(tfn_snapshot_find_service(s->snapshot, name, &service, err));
    for (size_t i = 0; i < service->n_projections; i++) {
        TFN_RETURN_IF_ERROR(add_projected(s, &service->projections[i], NULL, err));
    }
    return TFN_OK;
}

static tfn_code read_join_key_map(tfn_selection *s, yyjson_val *object, tfn_projection_def *out,
                                  tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc(&s->arena, yyjson_obj_size(object), sizeof(tfn_name_pair), &p, err));
    tfn_name_pair *pairs = p;
    out->join_key_map = pairs;
    size_t i = 0;
    size_t n = 0;
    yyjson_val *key = NULL;
    yyjson_val *value = NULL;
    yyjson_obj_foreach(object, i, n, key, value)
    {
        pairs[out->n_join_key_map++] =
            (tfn_name_pair){tfn_json_get_str(key), tfn_json_get_str(value)};
    }
    return TFN_OK;
}

static tfn_code read_texts(tfn_selection *s, yyjson_val *array, const tfn_str **out, size_t *n_out,
                           tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc(&s->arena, yyjson_arr_size(array), sizeof(tfn_str), &p, err));
    tfn_str *texts = p;
    *out = texts;
    *n_out = yyjson_arr_size(array);
    size_t i = 0;
    size_t n = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(array, i, n, item)
    {
        texts[i] = tfn_json_get_str(item);
    }
    return TFN_OK;
}

/* All features of the view, for a projection that names none. */
static tfn_code take_all_features(tfn_selection *s, tfn_projection_def *projection, tfn_error *err)
{
    const tfn_on_demand_def *on_demand = projection->on_demand;
    const tfn_feature_def *features =
        on_demand != NULL ? on_demand->outputs : projection->view->features;
    const size_t n = on_demand != NULL ? on_demand->n_outputs : projection->view->n_features;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&s->arena, n, sizeof(tfn_str), &p, err));
    tfn_str *names = p;
    for (size_t i = 0; i < n; i++) {
        names[i] = features[i].name;
    }
    projection->features = names;
    projection->n_features = n;
    return TFN_OK;
}

static tfn_code add_projection(tfn_selection *s, yyjson_val *object, tfn_error *err)
{
    tfn_projection_def projection = {.name_alias = tfn_json_get_member(object, "name_alias")};
    TFN_RETURN_IF_ERROR(tfn_snapshot_find_any_view(s->snapshot, tfn_json_get_member(object, "view"),
                                                   &projection.view, &projection.on_demand, err));
    TFN_RETURN_IF_ERROR(
        read_join_key_map(s, yyjson_obj_get(object, "join_key_map"), &projection, err));
    yyjson_val *features = yyjson_obj_get(object, "features");
    const tfn_str *names = NULL;
    size_t n_names = 0;
    TFN_RETURN_IF_ERROR(read_texts(s, yyjson_obj_get(object, "names"), &names, &n_names, err));
    if (features == NULL) {
        TFN_RETURN_IF_ERROR(take_all_features(s, &projection, err));
    } else {
        TFN_RETURN_IF_ERROR(
            read_texts(s, features, &projection.features, &projection.n_features, err));
    }
    if (n_names > 0 && n_names != projection.n_features) {
        return TFN_FAIL(err, TFN_INVALID, "a projection has %zu names for %zu features", n_names,
                        projection.n_features);
    }
    return add_projected(s, &projection, n_names > 0 ? names : NULL, err);
}

static tfn_code add_projections(tfn_selection *s, yyjson_val *list, tfn_error *err)
{
    size_t i = 0;
    size_t n = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(list, i, n, item)
    {
        TFN_RETURN_IF_ERROR(add_projection(s, item, err));
    }
    return TFN_OK;
}

tfn_code tfn__selection_fail_twins(const tfn_selection *s, tfn_str name, tfn_str first,
                                   tfn_str second, tfn_error *err)
{
    return TFN_FAIL(err, TFN_INVALID,
                    "two features would be called '%.*s': one of '%.*s' and one of '%.*s'; %s",
                    TFN_STR_ARG(name), TFN_STR_ARG(first), TFN_STR_ARG(second),
                    s->full_names ? "ask for each once, or give one view another name with "
                                    "with_name()"
                                  : "pass full_feature_names=True, or ask for each once");
}

static tfn_code check_names(const tfn_selection *s, tfn_error *err)
{
    tfn_map seen = {0};
    tfn_code rc = TFN_OK;
    for (size_t i = 0; i < s->n_outputs; i++) {
        const tfn_selected_output *output = &s->outputs[i];
        uint32_t i_first = 0;
        if (tfn_map_get(&seen, output->name, &i_first)) {
            rc = tfn__selection_fail_twins(s, output->name,
                                           s->views[s->outputs[i_first].i_view].name,
                                           s->views[output->i_view].name, err);
            break;
        }
        TFN_GOTO_IF_ERROR(rc, tfn_map_put(&seen, output->name, (uint32_t)i, err), done);
    }
done:
    tfn_map_deinit(&seen);
    return rc;
}

static tfn_code resolve(tfn_selection *s, yyjson_val *root, tfn_error *err)
{
    yyjson_val *features = yyjson_obj_get(root, "features");
    yyjson_val *service = yyjson_obj_get(root, "service");
    yyjson_val *projections = yyjson_obj_get(root, "projections");
    s->full_names = yyjson_get_bool(yyjson_obj_get(root, "full_feature_names"));
    if (yyjson_is_arr(features)) {
        TFN_RETURN_IF_ERROR(add_references(s, features, err));
    } else if (yyjson_is_str(service)) {
        TFN_RETURN_IF_ERROR(add_service(s, tfn_json_get_str(service), err));
    } else if (yyjson_is_arr(projections)) {
        TFN_RETURN_IF_ERROR(add_projections(s, projections, err));
    } else {
        return TFN_FAIL(err, TFN_INVALID,
                        "a request needs \"features\", \"service\" or \"projections\"");
    }
    const size_t n_asked = s->resolution != NULL ? s->resolution->n_columns : s->n_outputs;
    if (n_asked == 0) {
        return TFN_FAIL(err, TFN_INVALID, "no feature was asked for; name at least one");
    }
    return s->resolution != NULL ? tfn__resolution_check_names(s, err) : check_names(s, err);
}

tfn_code tfn__selection_init(tfn_snapshot *snapshot, const char *request, tfn_selection *out,
                             tfn_error *err)
{
    return tfn__selection_init_resolved(snapshot, request, NULL, out, err);
}

tfn_code tfn__selection_init_resolved(tfn_snapshot *snapshot, const char *request,
                                      struct tfn_resolution *resolution, tfn_selection *out,
                                      tfn_error *err)
{
    *out = (tfn_selection){.resolution = resolution};
    yyjson_doc *doc = NULL;
    tfn_code rc = tfn_json_parse(tfn_str_of(request), "the feature request", &doc, err);
    if (rc == TFN_OK) {
        out->snapshot = tfn_snapshot_retain(snapshot);
        rc = resolve(out, yyjson_doc_get_root(doc), err);
    }
    yyjson_doc_free(doc);
    return rc;
}
