/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * What names views: feature services, and on-demand views, which read views and each other.
 *
 * A chain of on-demand views is decoded by recursion (decode -> resolve -> decode), so the ones in
 * the work stand on a stack in the snapshot, which its lock guards: meeting one again is a circle,
 * and the stack is its path. The stack's size bounds the depth of the recursion.
 *
 * An on-demand view's function sees its inputs under two names, "feature" and "view__feature"; the
 * first is given only where one source has it. The rest of definitions.md section 4.8 is checked
 * here.
 */

#include <stdio.h>
#include <string.h>

#include "registry/decoder.h"

#include "base/poison.h"

/* ---- projections ---- */

static tfn_str get_feature_name(const void *context, size_t i)
{
    return ((const tfn_feature_def *)context)[i].name;
}

static tfn_str get_key_name(const void *context, size_t i)
{
    return ((const tfn_view_def *)context)->keys[i].name;
}

/* What a projection chooses from. */
typedef struct choice {
    tfn_str view;
    const char *kind;
    const tfn_feature_def *features;
    size_t n_features;
} choice;

static choice get_choice(const tfn_projection_def *p)
{
    if (p->on_demand != NULL) {
        return (choice){p->on_demand->name, "on-demand feature view", p->on_demand->outputs,
                        p->on_demand->n_outputs};
    }
    return (choice){p->view->name, "feature view", p->view->features, p->view->n_features};
}

static tfn_code fail_feature(const tfn__decoder *d, const tfn_projection_def *projection,
                             tfn_str feature, tfn_error *err)
{
    const choice from = get_choice(projection);
    char name[TFN__SUBJECT_BYTES];
    char view[TFN__SUBJECT_BYTES];
    char hint[TFN__HINT_BYTES];
    tfn__name_format(feature, name);
    tfn__name_format(from.view, view);
    if (projection->view != NULL && tfn_view_find_key(projection->view, feature) >= 0) {
        return TFN_FAIL(err, TFN_INVALID,
                        "%s uses %s of the feature view %s, which is a join key and no feature",
                        d->subject, name, view);
    }
    tfn__hint_format(feature, get_feature_name, from.features, from.n_features, hint);
    return TFN_FAIL(err, TFN_NOT_FOUND, "%s uses the feature %s, which the %s %s does not have%s",
                    d->subject, name, from.kind, view, hint);
}

static int64_t find_feature(const choice *from, size_t i_next, tfn_str feature)
{
    if (i_next < from->n_features && tfn_str_equal(from->features[i_next].name, feature)) {
        return (int64_t)i_next; /* names mostly come in the view's order */
    }
    for (size_t i = 0; i < from->n_features; i++) {
        if (tfn_str_equal(from->features[i].name, feature)) {
            return (int64_t)i;
        }
    }
    return -1;
}

static tfn_code check_key_map(const tfn__decoder *d, const tfn_projection_def *projection,
                              tfn_error *err)
{
    for (size_t i = 0; i < projection->n_join_key_map; i++) {
        char name[TFN__SUBJECT_BYTES];
        char view[TFN__SUBJECT_BYTES];
        char hint[TFN__HINT_BYTES];
        const tfn_str key = projection->join_key_map[i].from;
        tfn__name_format(key, name);
        if (projection->on_demand != NULL) {
            tfn__name_format(projection->on_demand->name, view);
            return TFN_FAIL(err, TFN_INVALID,
                            "%s maps the join key %s of the on-demand feature view %s, which has "
                            "none of its own; map it where its source view is named",
                            d->subject, name, view);
        }
        if (tfn_view_find_key(projection->view, key) < 0) {
            tfn__name_format(projection->view->name, view);
            tfn__hint_format(key, get_key_name, projection->view, projection->view->n_keys, hint);
            return TFN_FAIL(err, TFN_INVALID,
                            "%s maps %s, which is no join key of the feature view %s%s", d->subject,
                            name, view, hint);
        }
    }
    return TFN_OK;
}

static tfn_code check_projection(const tfn__decoder *d, const tfn_projection_def *projection,
                                 tfn_error *err)
{
    const choice from = get_choice(projection);
    size_t i_next = 0;
    for (size_t i = 0; i < projection->n_features; i++) {
        const int64_t found = find_feature(&from, i_next, projection->features[i]);
        if (found < 0) {
            return fail_feature(d, projection, projection->features[i], err);
        }
        i_next = (size_t)found + 1;
    }
    return check_key_map(d, projection, err);
}

/* All features of the view, for a projection that names none. */
static tfn_code take_all_features(const tfn__decoder *d, tfn_projection_def *projection,
                                  tfn_error *err)
{
    const choice from = get_choice(projection);
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn__decode_array(d, from.n_features, sizeof(tfn_str), &p, err));
    tfn_str *names = p;
    for (size_t i = 0; i < from.n_features; i++) {
        names[i] = from.features[i].name;
    }
    projection->features = names;
    projection->n_features = from.n_features;
    return TFN_OK;
}

static tfn_code decode_projection(const tfn__decoder *d, yyjson_val *object,
                                  tfn_projection_def *out, tfn_error *err)
{
    const void *p = NULL;
    const tfn_str view = tfn__json_get_str(yyjson_obj_get(object, "view"));
    tfn__entry *entry = tfn__snapshot_get_view(d->s, view);
    if (entry == NULL) {
        return tfn__snapshot_fail_missing_view(d->s, d->subject, view, err);
    }
    TFN_RETURN_IF_ERROR(tfn__snapshot_get_def_locked(d->s, entry, &p, err));
    out->view = entry->kind == TFN_OBJECT_VIEW ? p : NULL;
    out->on_demand = entry->kind == TFN_OBJECT_VIEW ? NULL : p;
    TFN_RETURN_IF_ERROR(
        tfn__decode_str(d, yyjson_obj_get(object, "name_alias"), &out->name_alias, err));
    TFN_RETURN_IF_ERROR(tfn__decode_names(d, yyjson_obj_get(object, "features"), &out->features,
                                          &out->n_features, err));
    TFN_RETURN_IF_ERROR(tfn__decode_pairs(d, yyjson_obj_get(object, "join_key_map"),
                                          &out->join_key_map, &out->n_join_key_map, err));
    return check_projection(d, out, err);
}

static tfn_code decode_projections(const tfn__decoder *d, yyjson_val *array,
                                   tfn_projection_def **out, size_t *n_out, tfn_error *err)
{
    void *p = NULL;
    *n_out = yyjson_arr_size(array);
    TFN_RETURN_IF_ERROR(tfn__decode_array(d, *n_out, sizeof(tfn_projection_def), &p, err));
    *out = p;
    yyjson_arr_iter items = yyjson_arr_iter_with(array);
    for (size_t i = 0; i < *n_out; i++) {
        TFN_RETURN_IF_ERROR(decode_projection(d, yyjson_arr_iter_next(&items), *out + i, err));
    }
    return TFN_OK;
}

tfn_code tfn__decode_service(const tfn__decoder *d, const void **out, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn__decode_array(d, 1, sizeof(tfn_service_def), &p, err));
    tfn_service_def *service = p;
    service->name = d->entry->name;
    service->hash = d->entry->hash;
    tfn_projection_def *projections = NULL;
    TFN_RETURN_IF_ERROR(decode_projections(d, yyjson_obj_get(d->root, "features"), &projections,
                                           &service->n_projections, err));
    service->projections = projections;
    *out = service;
    return TFN_OK;
}

/* ---- on-demand views ---- */

static tfn_code decode_requests(const tfn__decoder *d, tfn_on_demand_def *view, tfn_error *err)
{
    void *p = NULL;
    yyjson_val *array = yyjson_obj_get(d->root, "request_sources");
    view->n_requests = yyjson_arr_size(array);
    TFN_RETURN_IF_ERROR(tfn__decode_array(d, view->n_requests, sizeof(tfn_source_def *), &p, err));
    const tfn_source_def **requests = p;
    view->requests = requests;
    yyjson_arr_iter items = yyjson_arr_iter_with(array);
    for (size_t i = 0; i < view->n_requests; i++) {
        const void *def = NULL;
        const tfn_str name = tfn__json_get_str(yyjson_arr_iter_next(&items));
        TFN_RETURN_IF_ERROR(tfn__decode_resolve(d, TFN_OBJECT_SOURCE, name, &def, err));
        requests[i] = def;
        if (!requests[i]->is_request) {
            char quoted[TFN__SUBJECT_BYTES];
            tfn__name_format(name, quoted);
            return TFN_FAIL(err, TFN_INVALID,
                            "%s takes request data from the data source %s, which is no request "
                            "source; read it through a feature view",
                            d->subject, quoted);
        }
    }
    return TFN_OK;
}

static tfn_code decode_entities(const tfn__decoder *d, tfn_error *err)
{
    yyjson_arr_iter items = yyjson_arr_iter_with(yyjson_obj_get(d->root, "entities"));
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        const void *def = NULL;
        TFN_RETURN_IF_ERROR(
            tfn__decode_resolve(d, TFN_OBJECT_ENTITY, tfn__json_get_str(item), &def, err));
    }
    return TFN_OK;
}

/* A field of a request source, known by its name: index + 1 of the source. */
static tfn_code note_field(const tfn__decoder *d, const tfn_on_demand_def *view, size_t i_request,
                           const tfn_feature_def *field, tfn_map *fields, tfn_error *err)
{
    uint32_t i_other = 0;
    if (!tfn_map_get(fields, field->name, &i_other)) {
        return tfn_map_put(fields, field->name, (uint32_t)i_request, err);
    }
    const tfn_source_def *other = view->requests[i_other];
    for (size_t i = 0; i < other->n_fields; i++) {
        if (tfn_str_equal(other->fields[i].name, field->name) &&
            !tfn_type_same(other->fields[i].type, field->type)) {
            char name[TFN__SUBJECT_BYTES];
            char one[TFN_TYPE_TEXT_BYTES];
            char two[TFN_TYPE_TEXT_BYTES];
            tfn__name_format(field->name, name);
            tfn_type_format(other->fields[i].type, one);
            tfn_type_format(field->type, two);
            return TFN_FAIL(err, TFN_INVALID,
                            "%s has two request sources with the field %s, as %s and as %s",
                            d->subject, name, one, two);
        }
    }
    return TFN_OK;
}

/* No two sources of one name, no feature called like a field of the request. */
static tfn_code check_source(const tfn__decoder *d, const tfn_on_demand_def *view, size_t i_source,
                             const tfn_map *fields, tfn_error *err)
{
    const tfn_projection_def *source = &view->sources[i_source];
    const tfn_str own = source->name_alias.n > 0 ? source->name_alias : get_choice(source).view;
    char quoted[TFN__SUBJECT_BYTES];
    char name[TFN__SUBJECT_BYTES];
    tfn__name_format(own, quoted);
    for (size_t i = 0; i < i_source; i++) {
        const tfn_projection_def *other = &view->sources[i];
        const tfn_str theirs = other->name_alias.n > 0 ? other->name_alias : get_choice(other).view;
        if (tfn_str_equal(own, theirs)) {
            return TFN_FAIL(err, TFN_INVALID,
                            "%s reads %s twice; give one of them another name with with_name()",
                            d->subject, quoted);
        }
    }
    for (size_t i = 0; i < source->n_features; i++) {
        uint32_t is_there = 0;
        if (tfn_map_get(fields, source->features[i], &is_there)) {
            tfn__name_format(source->features[i], name);
            return TFN_FAIL(err, TFN_INVALID,
                            "%s reads %s both from %s and from its request; rename the field of "
                            "the request source",
                            d->subject, name, quoted);
        }
    }
    return TFN_OK;
}

static tfn_code check_inputs(const tfn__decoder *d, const tfn_on_demand_def *view, tfn_error *err)
{
    tfn_map fields = {0};
    tfn_code rc = TFN_OK;
    for (size_t i = 0; i < view->n_requests && rc == TFN_OK; i++) {
        const tfn_source_def *request = view->requests[i];
        for (size_t k = 0; k < request->n_fields && rc == TFN_OK; k++) {
            rc = note_field(d, view, i, &request->fields[k], &fields, err);
        }
    }
    for (size_t i = 0; i < view->n_sources && rc == TFN_OK; i++) {
        rc = check_source(d, view, i, &fields, err);
    }
    tfn_map_deinit(&fields);
    if (rc == TFN_OK && view->n_sources + view->n_requests == 0) {
        rc = TFN_FAIL(err, TFN_INVALID,
                      "%s has no sources; give it feature views or a request source", d->subject);
    }
    return rc;
}

static tfn_code decode_function(const tfn__decoder *d, tfn_on_demand_def *view, tfn_error *err)
{
    yyjson_val *function = yyjson_obj_get(d->root, "function");
    const tfn_str mode = tfn__json_get_str(yyjson_obj_get(d->root, "mode"));
    view->mode = tfn_str_is(mode, "python") ? TFN_ON_DEMAND_PYTHON : TFN_ON_DEMAND_PANDAS;
    view->is_singleton = yyjson_get_bool(yyjson_obj_get(d->root, "singleton"));
    if (view->is_singleton && view->mode != TFN_ON_DEMAND_PYTHON) {
        return TFN_FAIL(err, TFN_INVALID,
                        "%s is a singleton in mode 'pandas'; a function of one row needs the mode "
                        "'python'",
                        d->subject);
    }
    TFN_RETURN_IF_ERROR(tfn__decode_str(d, yyjson_obj_get(function, "module"), &view->module, err));
    TFN_RETURN_IF_ERROR(tfn__decode_str(d, yyjson_obj_get(function, "name"), &view->function, err));
    return tfn__decode_str(d, yyjson_obj_get(function, "hash"), &view->function_hash, err);
}

static tfn_code decode_whole(const tfn__decoder *d, const void **out, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn__decode_array(d, 1, sizeof(tfn_on_demand_def), &p, err));
    tfn_on_demand_def *view = p;
    view->name = d->entry->name;
    view->hash = d->entry->hash;
    TFN_RETURN_IF_ERROR(decode_function(d, view, err));
    TFN_RETURN_IF_ERROR(decode_entities(d, err));
    TFN_RETURN_IF_ERROR(decode_requests(d, view, err));
    tfn_projection_def *sources = NULL;
    TFN_RETURN_IF_ERROR(
        decode_projections(d, yyjson_obj_get(d->root, "sources"), &sources, &view->n_sources, err));
    view->sources = sources;
    for (size_t i = 0; i < view->n_sources; i++) {
        if (sources[i].n_features == 0) {
            TFN_RETURN_IF_ERROR(take_all_features(d, &sources[i], err));
        }
    }
    TFN_RETURN_IF_ERROR(tfn__decode_fields(d, &view->outputs, &view->n_outputs, err));
    TFN_RETURN_IF_ERROR(check_inputs(d, view, err));
    *out = view;
    return TFN_OK;
}

/* "a -> b -> a": from where the entry stands on the stack. */
static tfn_code fail_circle(const tfn__decoder *d, size_t i_first, tfn_error *err)
{
    char path[512] = "";
    size_t n = 0;
    for (size_t i = i_first; i < d->s->n_decoding && n < sizeof path; i++) {
        const tfn_str name = d->s->decoding[i]->name;
        const int wrote = snprintf(path + n, sizeof path - n, "%.*s -> ", TFN_STR_ARG(name));
        n += wrote > 0 ? (size_t)wrote : 0;
    }
    return TFN_FAIL(err, TFN_INVALID, "%s reads itself: %s%.*s; on-demand views form no circle",
                    d->subject, path, TFN_STR_ARG(d->entry->name));
}

tfn_code tfn__decode_on_demand(const tfn__decoder *d, const void **out, tfn_error *err)
{
    tfn_snapshot *s = d->s;
    for (size_t i = 0; i < s->n_decoding; i++) {
        if (s->decoding[i] == d->entry) {
            return fail_circle(d, i, err);
        }
    }
    if (s->n_decoding == TFN__MAX_ON_DEMAND_DEPTH) {
        return TFN_FAIL(err, TFN_LIMIT, "%s stands behind %d others; so deep a chain is refused",
                        d->subject, TFN__MAX_ON_DEMAND_DEPTH);
    }
    s->decoding[s->n_decoding] = d->entry;
    s->n_decoding++;
    const tfn_code rc = decode_whole(d, out, err);
    s->n_decoding--;
    return rc;
}
