/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Requests: text in, selection out.
 *
 * References "view:feature" gather under one selected view per view, in order of first mention;
 * projections (and a service is a list of them) are one selected view each, so a view may be joined
 * twice under two aliases. The order of outputs is the order asked.
 *
 * Invariant: output names are distinct; two that would be equal are refused with both origins.
 */

#include "store/request.h"

#include <string.h>

#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"

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

static tfn_code no_such_feature(const tfn_view_def *view, tfn_str feature, tfn_error *err)
{
    char known[512] = "";
    size_t n_known = 0;
    for (size_t i = 0; i < view->n_features; i++) {
        const tfn_str name = view->features[i].name;
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
    return TFN_FAIL(err, TFN_NOT_FOUND, "feature view '%.*s' has no feature '%.*s'; it has: %s",
                    TFN_STR_ARG(view->name), TFN_STR_ARG(feature), known);
}

/* Output name: "feature", or "view__feature" with full names. */
static tfn_code name_output(tfn_selection *s, const tfn_selected_view *view, tfn_str feature,
                            tfn_str *out, tfn_error *err)
{
    if (!s->full_names) {
        out->n = feature.n;
        return tfn_arena_copy(&s->arena, feature.p, feature.n, &out->p, err);
    }
    tfn_buf name = {0};
    tfn_code rc =
        tfn_buf_add_format(&name, err, "%.*s__%.*s", TFN_STR_ARG(view->name), TFN_STR_ARG(feature));
    if (rc == TFN_OK) {
        rc = tfn_arena_copy(&s->arena, name.p, name.n, &out->p, err);
        out->n = name.n;
    }
    tfn_buf_deinit(&name);
    return rc;
}

static tfn_code add_output(tfn_selection *s, size_t i_view, tfn_str feature, tfn_error *err)
{
    tfn_selected_view *view = &s->views[i_view];
    const int64_t i_in_view = tfn_view_find_feature(view->view, feature);
    if (i_in_view < 0) {
        return no_such_feature(view->view, feature, err);
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
        name_output(s, view, view->view->features[i_in_view].name, &output.name, err));
    view->features[view->n_features++] = (uint32_t)i_in_view;
    s->outputs[s->n_outputs++] = output;
    return TFN_OK;
}

/* A new selected view with its key columns, mapped where `map` says so. */
static tfn_code add_view(tfn_selection *s, const tfn_view_def *view, tfn_str alias,
                         const tfn_name_pair *map, size_t n_map, tfn_error *err)
{
    void *p = s->views;
    TFN_RETURN_IF_ERROR(tfn_mem_grow(&p, &s->view_capacity, s->n_views + 1, sizeof *s->views, err));
    s->views = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&s->arena, view->n_keys, sizeof(tfn_str), &p, err));
    tfn_str *key_columns = p;
    for (size_t i = 0; i < view->n_keys; i++) {
        key_columns[i] = view->keys[i].name;
    }
    for (size_t i = 0; i < n_map; i++) {
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
    tfn_str name = view->name;
    if (alias.n > 0) {
        TFN_RETURN_IF_ERROR(tfn_arena_copy(&s->arena, alias.p, alias.n, &name.p, err));
        name.n = alias.n;
    }
    s->views[s->n_views++] =
        (tfn_selected_view){.view = view, .name = name, .key_columns = key_columns};
    return TFN_OK;
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
    size_t i_view = 0;
    while (i_view < s->n_views && !tfn_str_equal(s->views[i_view].view->name, view_name)) {
        i_view++;
    }
    if (i_view == s->n_views) {
        const tfn_view_def *view = NULL;
        TFN_RETURN_IF_ERROR(tfn_snapshot_find_view(s->snapshot, view_name, &view, err));
        TFN_RETURN_IF_ERROR(add_view(s, view, (tfn_str){0}, NULL, 0, err));
    }
    return add_output(s, i_view, feature, err);
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
        const tfn_projection_def *projection = &service->projections[i];
        TFN_RETURN_IF_ERROR(add_view(s, projection->view, projection->name_alias,
                                     projection->join_key_map, projection->n_join_key_map, err));
        for (size_t k = 0; k < projection->n_features; k++) {
            TFN_RETURN_IF_ERROR(add_output(s, s->n_views - 1, projection->features[k], err));
        }
    }
    return TFN_OK;
}

static tfn_code read_join_key_map(tfn_selection *s, yyjson_val *object, tfn_name_pair **pairs,
                                  size_t *n_pairs, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc(&s->arena, yyjson_obj_size(object), sizeof(tfn_name_pair), &p, err));
    *pairs = p;
    *n_pairs = 0;
    size_t i = 0;
    size_t n = 0;
    yyjson_val *key = NULL;
    yyjson_val *value = NULL;
    yyjson_obj_foreach(object, i, n, key, value)
    {
        (*pairs)[(*n_pairs)++] = (tfn_name_pair){tfn_json_get_str(key), tfn_json_get_str(value)};
    }
    return TFN_OK;
}

static tfn_code add_projection(tfn_selection *s, yyjson_val *projection, tfn_error *err)
{
    const tfn_view_def *view = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_snapshot_find_view(s->snapshot, tfn_json_get_member(projection, "view"), &view, err));
    tfn_name_pair *pairs = NULL;
    size_t n_pairs = 0;
    TFN_RETURN_IF_ERROR(
        read_join_key_map(s, yyjson_obj_get(projection, "join_key_map"), &pairs, &n_pairs, err));
    TFN_RETURN_IF_ERROR(
        add_view(s, view, tfn_json_get_member(projection, "name_alias"), pairs, n_pairs, err));
    yyjson_val *features = yyjson_obj_get(projection, "features");
    size_t i = 0;
    size_t n = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(features, i, n, item)
    {
        TFN_RETURN_IF_ERROR(add_output(s, s->n_views - 1, tfn_json_get_str(item), err));
    }
    for (size_t k = 0; features == NULL && k < view->n_features; k++) {
        TFN_RETURN_IF_ERROR(add_output(s, s->n_views - 1, view->features[k].name, err));
    }
    return TFN_OK;
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

static tfn_code check_names(const tfn_selection *s, tfn_error *err)
{
    tfn_map seen = {0};
    tfn_code rc = TFN_OK;
    for (size_t i = 0; i < s->n_outputs; i++) {
        const tfn_selected_output *output = &s->outputs[i];
        uint32_t i_first = 0;
        if (tfn_map_get(&seen, output->name, &i_first)) {
            const tfn_str first = s->views[s->outputs[i_first].i_view].name;
            const tfn_str second = s->views[output->i_view].name;
            rc =
                TFN_FAIL(err, TFN_INVALID,
                         "two features would be called '%.*s': one of '%.*s' and one of '%.*s'; %s",
                         TFN_STR_ARG(output->name), TFN_STR_ARG(first), TFN_STR_ARG(second),
                         s->full_names ? "ask for each once, or give one view another name with "
                                         "with_name()"
                                       : "pass full_feature_names=True, or ask for each once");
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
    if (s->n_outputs == 0) {
        return TFN_FAIL(err, TFN_INVALID, "no feature was asked for; name at least one");
    }
    return check_names(s, err);
}

tfn_code tfn__selection_init(tfn_snapshot *snapshot, const char *request, tfn_selection *out,
                             tfn_error *err)
{
    *out = (tfn_selection){0};
    yyjson_doc *doc = NULL;
    tfn_code rc = tfn_json_parse(tfn_str_of(request), "the feature request", &doc, err);
    if (rc == TFN_OK) {
        out->snapshot = tfn_snapshot_retain(snapshot);
        rc = resolve(out, yyjson_doc_get_root(doc), err);
    }
    yyjson_doc_free(doc);
    return rc;
}
