/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Feature services for Feast, and projections, which services and on-demand views have. A projection
 * of Feast's repeats the fields of its view and the batch source behind it; both come from what the
 * view is now.
 *
 * Feast writes the created column of the source as the projection's time column. It never reads
 * that; it is written alike, so that objects compare equal.
 */

#include "registry/feast_write.h"

#include <string.h>

#include "registry/registry_internal.h"

#include "base/poison.h"

static const double million = 1e6;

/* ---- projections ---- */

static Feast__Field *find_seen(const tfn__feast_seen *view, size_t hint, tfn_str name)
{
    for (size_t i = 0; i < view->n_features; i++) { /* asked in order, it is the next one */
        Feast__Field *field = view->features[(hint + i) % view->n_features];
        if (tfn_str_is(name, field->name)) {
            return field;
        }
    }
    return NULL;
}

static tfn_code fail_missing(yyjson_val *projection, tfn_str feature, tfn_error *err)
{
    char view[TFN__SUBJECT_BYTES];
    char name[TFN__SUBJECT_BYTES];
    tfn__name_format(tfn__json_get_str(yyjson_obj_get(projection, "view")), view);
    tfn__name_format(feature, name);
    return TFN_FAIL(err, TFN_INVALID,
                    feature.n == 0 ? "the documents name the view %s and do not have it%.0s"
                                   : "the documents name a feature of view %s that it does not "
                                     "have: %s",
                    view, name);
}

static tfn_code write_features(tfn__feast_writer *w, yyjson_val *projection,
                               const tfn__feast_seen *view, Feast__Projection *to, tfn_error *err)
{
    yyjson_val *names = yyjson_obj_get(projection, "features");
    yyjson_arr_iter items = yyjson_arr_iter_with(names);
    Feast__Field **list = NULL;
    size_t n = 0;
    if (yyjson_arr_size(names) == 0) {
        to->features = view->features;
        to->n_features = view->n_features;
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(tfn__feast_alloc(w, yyjson_arr_size(names), sizeof *list, &list, err));
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        list[n] = find_seen(view, n, tfn__json_get_str(item));
        if (list[n] == NULL) {
            return fail_missing(projection, tfn__json_get_str(item), err);
        }
        n++;
    }
    to->features = list;
    to->n_features = n;
    return TFN_OK;
}

static tfn_code write_source(tfn__feast_writer *w, const tfn__feast_seen *view,
                             Feast__Projection *to, tfn_error *err)
{
    yyjson_val *source = view->source;
    char *created = tfn__feast_member(w, source, "created_timestamp_column");
    if (strcmp(to->timestamp_field, to->created_timestamp_column) == 0) {
        to->timestamp_field = created;
    }
    to->created_timestamp_column = created;
    to->date_partition_column = tfn__feast_member(w, source, "date_partition_column");
    if (source == NULL) {
        to->batch_source = NULL;
        return TFN_OK;
    }
    return tfn__feast_write_source(w, source, TFN__FEAST_INNER, to->batch_source, &to->batch_source,
                                   err);
}

tfn_code tfn__feast_write_projection(tfn__feast_writer *w, yyjson_val *projection,
                                     const Feast__Projection *base, Feast__Projection **out,
                                     tfn_error *err)
{
    uint32_t place = 0;
    char *view = tfn__feast_member(w, projection, "view");
    char *alias = tfn__feast_member(w, projection, "name_alias");
    Feast__Projection *to = NULL;
    if (!tfn_map_get(&w->views, tfn_str_of(view), &place)) {
        return fail_missing(projection, (tfn_str){0}, err);
    }
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, base, &feast__projection__descriptor, &to, err));
    to->view = view;
    if (alias[0] != '\0' || strcmp(to->name_alias, view) != 0) {
        to->name_alias = alias; /* else it is its name, which says the same as none */
    }
    if (base == NULL) {
        to->view_type = (char *)(uintptr_t)w->seen[place].type;
    }
    TFN_RETURN_IF_ERROR(write_features(w, projection, &w->seen[place], to, err));
    TFN_RETURN_IF_ERROR(tfn__feast_set_pairs(w, yyjson_obj_get(projection, "join_key_map"),
                                             &to->join_key_map, &to->n_join_key_map, err));
    *out = to;
    return write_source(w, &w->seen[place], to, err);
}

/* ---- services ---- */

static const Feast__Projection *find_projection(const Feast__FeatureServiceSpec *spec, size_t hint,
                                                yyjson_val *projection)
{
    for (size_t i = 0; i < spec->n_features; i++) {
        const Feast__Projection *found = spec->features[(hint + i) % spec->n_features];
        const char *alias = strcmp(found->name_alias, found->view) == 0 ? "" : found->name_alias;
        if (yyjson_equals_str(yyjson_obj_get(projection, "view"), found->view) &&
            yyjson_equals_str(yyjson_obj_get(projection, "name_alias"), alias)) {
            return found;
        }
    }
    return NULL;
}

static tfn_code write_projections(tfn__feast_writer *w, yyjson_val *document,
                                  Feast__FeatureServiceSpec *spec, tfn_error *err)
{
    yyjson_val *features = yyjson_obj_get(document, "features");
    yyjson_arr_iter items = yyjson_arr_iter_with(features);
    Feast__Projection **list = NULL;
    size_t n = 0;
    TFN_RETURN_IF_ERROR(
        tfn__feast_alloc(w, yyjson_arr_size(features) + 1, sizeof *list, &list, err));
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        TFN_RETURN_IF_ERROR(
            tfn__feast_write_projection(w, item, find_projection(spec, n, item), &list[n], err));
        n++;
    }
    spec->features = list;
    spec->n_features = n;
    return TFN_OK;
}

static int64_t millionths_of(float rate)
{
    return (int64_t)((double)rate * million + 0.5);
}

static tfn_code write_logging(tfn__feast_writer *w, yyjson_val *document,
                              Feast__LoggingConfig **out, tfn_error *err)
{
    yyjson_val *config = yyjson_obj_get(document, "logging_config");
    yyjson_val *destination = yyjson_obj_get(config, "destination");
    const bool has_file = *out != NULL && (*out)->file != NULL;
    if (!yyjson_is_obj(config)) {
        *out = has_file ? NULL : *out; /* other destinations are in no document */
        return TFN_OK;
    }
    Feast__LoggingConfig *to = NULL;
    TFN_RETURN_IF_ERROR(
        tfn__feast_copy(w, has_file ? *out : NULL, &feast__logging_config__descriptor, &to, err));
    TFN_RETURN_IF_ERROR(
        tfn__feast_copy(w, to->file, &feast__file_destination__descriptor, &to->file, err));
    const int64_t rate = yyjson_get_sint(yyjson_obj_get(config, "sample_rate_millionths"));
    const bool is_share = to->sample_rate >= 0 && to->sample_rate <= 1;
    if (!is_share || millionths_of(to->sample_rate) != rate) {
        to->sample_rate = (float)((double)rate / million);
    }
    to->file->path = tfn__feast_member(w, destination, "path");
    to->file->s3_endpoint_override = tfn__feast_member(w, destination, "s3_endpoint_override");
    *out = to;
    return tfn__feast_set_texts(w, yyjson_obj_get(destination, "partition_by"),
                                &to->file->partition_by, &to->file->n_partition_by, err);
}

tfn_code tfn__feast_make_service(tfn__feast_writer *w, yyjson_val *document, const void *base,
                                 void **out, tfn_error *err)
{
    const Feast__FeatureService *before = base;
    Feast__FeatureService *to = NULL;
    bool is_same = false;
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, before, &feast__feature_service__descriptor, &to, err));
    TFN_RETURN_IF_ERROR(
        tfn__feast_copy(w, to->spec, &feast__feature_service_spec__descriptor, &to->spec, err));
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, to->meta, &feast__times__descriptor, &to->meta, err));
    to->spec->name = tfn__feast_member(w, document, "name");
    to->spec->project = w->project;
    to->spec->description = tfn__feast_member(w, document, "description");
    to->spec->owner = tfn__feast_member(w, document, "owner");
    TFN_RETURN_IF_ERROR(tfn__feast_set_pairs(w, yyjson_obj_get(document, "tags"), &to->spec->tags,
                                             &to->spec->n_tags, err));
    TFN_RETURN_IF_ERROR(write_projections(w, document, to->spec, err));
    TFN_RETURN_IF_ERROR(write_logging(w, document, &to->spec->logging_config, err));
    TFN_RETURN_IF_ERROR(tfn__feast_is_same(w, before == NULL ? NULL : (const void *)before->spec,
                                           &to->spec->base, &is_same, err));
    *out = to;
    return tfn__feast_set_times(w, document, !is_same, &to->meta->created, &to->meta->last_updated,
                                err);
}
