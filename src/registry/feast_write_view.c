/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Feature views for Feast: three messages that share most of their fields, which are filled through
 * pointers to them.
 *
 * Fields are found by name among those of before, so what no document says of a field (a vector
 * index) stays with it. A field of a type that no schema of ours can have stands in the content of
 * the view; it goes back to the place that it had.
 */

#include "registry/feast_write.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "registry/feast_read.h"
#include "registry/feast_types.h"
#include "registry/registry_internal.h"

#include "base/poison.h"

enum { SENTENCE_BYTES = 512, STRING = 2, FIVE_MINUTES_US = 300000000 };

/* ---- fields ---- */

tfn_code tfn__feast_write_field(tfn__feast_writer *w, yyjson_val *document, yyjson_val *field,
                                const Feast__Field *base, Feast__Field **out, tfn_error *err)
{
    const tfn_str type = tfn__json_get_str(yyjson_obj_get(field, "dtype"));
    const int number = tfn__feast_type_number(type);
    Feast__Field *to = NULL;
    if (number == 0) {
        char sentence[SENTENCE_BYTES];
        (void)snprintf(sentence, sizeof sentence,
                       "its field '%.100s' is of the type %.*s, which Feast does not have",
                       tfn__feast_member(w, field, "name"), (int)(type.n < 100 ? type.n : 100),
                       type.n == 0 ? "" : type.p);
        return tfn__feast_refuse(document, sentence, err);
    }
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, base, &feast__field__descriptor, &to, err));
    to->name = tfn__feast_member(w, field, "name");
    to->value_type = number;
    to->description = tfn__feast_member(w, field, "description");
    *out = to;
    return tfn__feast_set_pairs(w, yyjson_obj_get(field, "tags"), &to->tags, &to->n_tags, err);
}

/* Places of names among the fields of before: columns, then features. */
static tfn_code map_fields(const tfn__feast_fields base[2], tfn_map *map, tfn_error *err)
{
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < base[k].n; i++) {
            TFN_RETURN_IF_ERROR(tfn_map_put(map, tfn_str_of(base[k].list[i]->name),
                                            (uint32_t)(k * base[0].n + i), err));
        }
    }
    return TFN_OK;
}

static const Feast__Field *find_field(const tfn__feast_fields base[2], const tfn_map *map,
                                      tfn_str name)
{
    uint32_t i = 0;
    if (!tfn_map_get(map, name, &i)) {
        return NULL;
    }
    return i < base[0].n ? base[0].list[i] : base[1].list[i - base[0].n];
}

static bool is_among(yyjson_val *names, yyjson_val *name)
{
    yyjson_arr_iter items = yyjson_arr_iter_with(names);
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        if (yyjson_equals(item, name)) {
            return true;
        }
    }
    return false;
}

static tfn_code write_fields(tfn__feast_writer *w, yyjson_val *document, yyjson_val *keys,
                             const tfn__feast_fields base[2], const tfn_map *map,
                             tfn__feast_fields out[2], tfn_error *err)
{
    yyjson_val *schema = yyjson_obj_get(document, "schema");
    yyjson_arr_iter items = yyjson_arr_iter_with(schema);
    for (size_t k = 0; k < 2; k++) {
        TFN_RETURN_IF_ERROR(tfn__feast_alloc(w, yyjson_arr_size(schema) + 1, sizeof(Feast__Field *),
                                             &out[k].list, err));
    }
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        yyjson_val *name = yyjson_obj_get(item, "name");
        tfn__feast_fields *to = &out[is_among(keys, name) ? 0 : 1];
        TFN_RETURN_IF_ERROR(tfn__feast_write_field(w, document, item,
                                                   find_field(base, map, tfn__json_get_str(name)),
                                                   &to->list[to->n], err));
        to->n++;
    }
    return TFN_OK;
}

tfn_code tfn__feast_write_schema(tfn__feast_writer *w, yyjson_val *document, yyjson_val *keys,
                                 const tfn__feast_fields base[2], tfn__feast_fields out[2],
                                 tfn_error *err)
{
    tfn_map map = {0};
    tfn_code rc = map_fields(base, &map, err);
    if (rc == TFN_OK) {
        rc = write_fields(w, document, keys, base, &map, out, err);
    }
    tfn_map_deinit(&map);
    return rc;
}

/* ---- fields that only the content of a view has ---- */

static tfn_code make_odd_field(tfn__feast_writer *w, yyjson_val *field, const Feast__Field *base,
                               Feast__Field **out, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, base, &feast__field__descriptor, out, err));
    (*out)->name = tfn__feast_member(w, field, "name");
    (*out)->value_type = (int32_t)yyjson_get_sint(yyjson_obj_get(field, "value_type"));
    (*out)->description = tfn__feast_member(w, field, "description");
    return tfn__feast_set_pairs(w, yyjson_obj_get(field, "tags"), &(*out)->tags, &(*out)->n_tags,
                                err);
}

static void insert(tfn__feast_fields *fields, size_t place, Feast__Field *field)
{
    place = place > fields->n ? fields->n : place;
    memmove(&fields->list[place + 1], &fields->list[place],
            (fields->n - place) * sizeof *fields->list);
    fields->list[place] = field;
    fields->n++;
}

static size_t place_of(const tfn__feast_fields *fields, const char *name)
{
    size_t i = 0;
    while (i < fields->n && strcmp(fields->list[i]->name, name) != 0) {
        i++;
    }
    return i;
}

/* Each at the place that it had; a new one at the end. */
static tfn_code add_odd_fields(tfn__feast_writer *w, yyjson_val *content,
                               const tfn__feast_fields base[2], tfn__feast_fields out[2],
                               tfn_error *err)
{
    yyjson_val *odd = yyjson_obj_get(content, "fields");
    yyjson_arr_iter items = yyjson_arr_iter_with(odd);
    const size_t n_odd = yyjson_arr_size(odd);
    for (size_t k = 0; k < 2 && n_odd > 0; k++) {
        Feast__Field **longer = NULL;
        TFN_RETURN_IF_ERROR(
            tfn__feast_alloc(w, out[k].n + n_odd + 1, sizeof *longer, &longer, err));
        if (out[k].n > 0) {
            memcpy(longer, out[k].list, out[k].n * sizeof *longer);
        }
        out[k].list = longer;
    }
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        const char *name = tfn__feast_member(w, item, "name");
        const size_t k = place_of(&base[0], name) < base[0].n ? 0 : 1;
        const size_t place = place_of(&base[k], name);
        Feast__Field *field = NULL;
        TFN_RETURN_IF_ERROR(
            make_odd_field(w, item, place < base[k].n ? base[k].list[place] : NULL, &field, err));
        insert(&out[k], place, field);
    }
    return TFN_OK;
}

/* Where nothing was before, the content says which fields had a vector index. */
static void set_vectors(tfn__feast_writer *w, yyjson_val *content, tfn__feast_fields *features)
{
    yyjson_val *vectors = yyjson_obj_get(content, "vectors");
    for (size_t i = 0; i < features->n && vectors != NULL; i++) {
        Feast__Field *field = features->list[i];
        yyjson_val *found = yyjson_obj_get(vectors, field->name);
        if (yyjson_is_obj(found)) {
            field->vector_index = yyjson_get_bool(yyjson_obj_get(found, "vector_index"));
            field->vector_length = (int32_t)yyjson_get_sint(yyjson_obj_get(found, "vector_length"));
            field->vector_search_metric = tfn__feast_member(w, found, "vector_search_metric");
        }
    }
}

/* ---- entities ---- */

tfn_code tfn__feast_write_entities(tfn__feast_writer *w, yyjson_val *names, char ***entities,
                                   size_t *n, tfn_error *err)
{
    if (yyjson_arr_size(names) > 0) {
        return tfn__feast_set_texts(w, names, entities, n, err);
    }
    TFN_RETURN_IF_ERROR(tfn__feast_alloc(w, 1, sizeof(char *), entities, err));
    (*entities)[0] = (char *)(uintptr_t)tfn__feast_dummy_entity;
    *n = 1;
    return TFN_OK;
}

tfn_code tfn__feast_write_dummy_column(tfn__feast_writer *w, const tfn__feast_fields *base,
                                       tfn__feast_fields *out, tfn_error *err)
{
    static const char name[] = "__dummy_id";
    if (base->n > 0 && strcmp(base->list[0]->name, name) == 0) {
        *out = *base;
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(tfn__feast_alloc(w, 1, sizeof(Feast__Field *), &out->list, err));
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, NULL, &feast__field__descriptor, &out->list[0], err));
    out->list[0]->name = (char *)(uintptr_t)name;
    out->list[0]->value_type = STRING;
    out->n = 1;
    return TFN_OK;
}

/* ---- what only Feast knows ---- */

tfn_code tfn__feast_write_aggregations(tfn__feast_writer *w, yyjson_val *content,
                                       Feast__Aggregation ***list, size_t *n, tfn_error *err)
{
    yyjson_val *array = yyjson_obj_get(content, "aggregations");
    yyjson_arr_iter items = yyjson_arr_iter_with(array);
    Feast__Aggregation **made = NULL;
    size_t i = 0;
    TFN_RETURN_IF_ERROR(
        tfn__feast_alloc(w, yyjson_arr_size(array) + 1, sizeof(Feast__Aggregation *), &made, err));
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        const Feast__Aggregation *before = i < *n ? (*list)[i] : NULL;
        TFN_RETURN_IF_ERROR(
            tfn__feast_copy(w, before, &feast__aggregation__descriptor, &made[i], err));
        Feast__Aggregation *to = made[i++];
        to->column = tfn__feast_member(w, item, "column");
        to->function = tfn__feast_member(w, item, "function");
        to->name = tfn__feast_member(w, item, "name");
        TFN_RETURN_IF_ERROR(
            tfn__feast_set_duration(w, yyjson_obj_get(item, "time_window"), &to->time_window, err));
        TFN_RETURN_IF_ERROR(tfn__feast_set_duration(w, yyjson_obj_get(item, "slide_interval"),
                                                    &to->slide_interval, err));
    }
    *list = made;
    *n = i;
    return TFN_OK;
}

/* "" and "latest" say the same, and so do modes in small and large letters. */
void tfn__feast_write_switches(tfn__feast_writer *w, yyjson_val *content,
                               const tfn__feast_switches *to)
{
    static const char latest[] = "latest";
    char *version = tfn__feast_member(w, content, "version");
    char *mode = tfn__feast_member(w, content, "mode");
    if (version[0] != '\0') {
        *to->version = version;
    } else if ((*to->version)[0] == '\0' || strcasecmp(*to->version, latest) != 0) {
        *to->version = (char *)(uintptr_t)latest;
    }
    if (to->mode != NULL && strcasecmp(*to->mode, mode) != 0) {
        *to->mode = mode;
    }
    *to->org = tfn__feast_member(w, content, "org");
    *to->disabled = yyjson_get_bool(yyjson_obj_get(content, "disabled"));
    if (to->enable_validation != NULL) {
        *to->enable_validation = yyjson_get_bool(yyjson_obj_get(content, "enable_validation"));
    }
}

/* ---- what the classes share ---- */

/* Places in the spec that is filled. */
typedef struct view {
    char **name;
    char **project;
    char **description;
    char **owner;
    Feast__Pair ***tags;
    size_t *n_tags;
    char ***entities;
    size_t *n_entities;
    Feast__Field ***columns;
    size_t *n_columns;
    Feast__Field ***features;
    size_t *n_features;
    Feast__Duration **ttl;
    protobuf_c_boolean *online;
    bool has_columns_among_features;
} view;

#define VIEW_OF(spec, is_stream)                                                                   \
    {                                                                                              \
        .name = &(spec)->name, .project = &(spec)->project, .description = &(spec)->description,   \
        .owner = &(spec)->owner, .tags = &(spec)->tags, .n_tags = &(spec)->n_tags,                 \
        .entities = &(spec)->entities, .n_entities = &(spec)->n_entities,                          \
        .columns = &(spec)->entity_columns, .n_columns = &(spec)->n_entity_columns,                \
        .features = &(spec)->features, .n_features = &(spec)->n_features, .ttl = &(spec)->ttl,     \
        .online = &(spec)->online, .has_columns_among_features = (is_stream)                       \
    }

/* A stream view lists its columns among its features, too: in front, where it has none there yet. */
static tfn_code join_lists(tfn__feast_writer *w, const tfn__feast_fields base[2],
                           tfn__feast_fields lists[2], tfn_error *err)
{
    Feast__Field **all = NULL;
    size_t n = 0;
    TFN_RETURN_IF_ERROR(tfn__feast_alloc(w, lists[0].n + lists[1].n + 1, sizeof *all, &all, err));
    for (size_t i = 0; i < lists[1].n; i++) {
        all[n++] = lists[1].list[i];
    }
    lists[1] = (tfn__feast_fields){all, n};
    for (size_t i = 0; i < lists[0].n; i++) {
        const size_t place = place_of(&base[1], lists[0].list[i]->name);
        insert(&lists[1], place < base[1].n ? place : i, lists[0].list[i]);
    }
    return TFN_OK;
}

static tfn_code write_lists(tfn__feast_writer *w, yyjson_val *document, yyjson_val *content,
                            const view *v, tfn_error *err)
{
    const tfn__feast_fields base[2] = {{*v->columns, *v->n_columns},
                                       {*v->features, *v->n_features}};
    yyjson_val *entities = yyjson_obj_get(document, "entities");
    tfn__feast_fields lists[2] = {{0}};
    TFN_RETURN_IF_ERROR(tfn__feast_write_schema(w, document, yyjson_obj_get(document, "join_keys"),
                                                base, lists, err));
    TFN_RETURN_IF_ERROR(add_odd_fields(w, content, base, lists, err));
    set_vectors(w, content, &lists[1]);
    if (yyjson_arr_size(entities) == 0) {
        TFN_RETURN_IF_ERROR(tfn__feast_write_dummy_column(w, &base[0], &lists[0], err));
    }
    if (v->has_columns_among_features) {
        TFN_RETURN_IF_ERROR(join_lists(w, base, lists, err));
    }
    *v->columns = lists[0].list;
    *v->n_columns = lists[0].n;
    *v->features = lists[1].list;
    *v->n_features = lists[1].n;
    return tfn__feast_write_entities(w, entities, v->entities, v->n_entities, err);
}

static tfn_code write_shared(tfn__feast_writer *w, yyjson_val *document, yyjson_val *content,
                             const view *v, tfn_error *err)
{
    const int64_t ttl_us = yyjson_get_sint(yyjson_obj_get(document, "ttl_us"));
    *v->name = tfn__feast_member(w, document, "name");
    *v->project = w->project;
    *v->description = tfn__feast_member(w, document, "description");
    *v->owner = tfn__feast_member(w, document, "owner");
    *v->online = yyjson_get_bool(yyjson_obj_get(document, "online"));
    TFN_RETURN_IF_ERROR(
        tfn__feast_set_pairs(w, yyjson_obj_get(document, "tags"), v->tags, v->n_tags, err));
    TFN_RETURN_IF_ERROR(tfn__feast_set_us(w, ttl_us, v->ttl, err));
    return write_lists(w, document, content, v, err);
}

/* A push or stream and what stands behind it; or the source itself. */
static tfn_code write_sources(tfn__feast_writer *w, yyjson_val *document,
                              Feast__DataSource **stream, Feast__DataSource **batch, tfn_error *err)
{
    yyjson_val *source =
        tfn__feast_document(w, &w->sources, tfn__feast_member(w, document, "source"));
    yyjson_val *behind = tfn__feast_batch_of(w, source);
    Feast__DataSource *before[2] = {*stream, *batch};
    *stream = NULL;
    *batch = NULL;
    if (source == NULL || yyjson_equals_str(yyjson_obj_get(source, "name"), tfn__feast_no_source)) {
        return TFN_OK;
    }
    if (behind == NULL) {
        return tfn__feast_write_source(w, source, TFN__FEAST_IN_VIEW, before[1], batch, err);
    }
    TFN_RETURN_IF_ERROR(
        tfn__feast_write_source(w, source, TFN__FEAST_IN_VIEW, before[0], stream, err));
    return tfn__feast_write_source(w, behind, TFN__FEAST_IN_VIEW, before[1], batch, err);
}

static yyjson_val *content_of(yyjson_val *document)
{
    return yyjson_obj_get(yyjson_obj_get(document, "foreign"), "content");
}

/* ---- feature views ---- */

static tfn_code write_transformation(tfn__feast_writer *w, yyjson_val *document,
                                     yyjson_val *content, const char *mode,
                                     Feast__Transformation **out, tfn_error *err)
{
    yyjson_val *function = yyjson_obj_get(content, "function");
    const Feast__UserFunction *before = tfn__feast_get_function(*out, NULL);
    if (function == NULL && (*out == NULL || before == NULL)) {
        return TFN_OK; /* one that is no function is in no document */
    }
    if (function == NULL) {
        *out = NULL;
        return TFN_OK;
    }
    Feast__UserFunction *made = NULL;
    TFN_RETURN_IF_ERROR(tfn__feast_write_function(w, document, function, before, mode, &made, err));
    if (made == before) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, *out, &feast__transformation__descriptor, out, err));
    (*out)->kind_case = FEAST__TRANSFORMATION__KIND_FUNCTION;
    (*out)->function = made;
    return TFN_OK;
}

static tfn_code write_view(tfn__feast_writer *w, yyjson_val *document, Feast__FeatureViewSpec *spec,
                           tfn_error *err)
{
    yyjson_val *content = content_of(document);
    const view v = VIEW_OF(spec, false);
    const tfn__feast_switches switches = {&spec->version, &spec->org, &spec->mode, &spec->disabled,
                                          &spec->enable_validation};
    if (yyjson_get_len(yyjson_obj_get(content, "sink_source")) > 0 && spec->n_source_views == 0) {
        return tfn__feast_refuse(document,
                                 "it is computed from other views, and which is not kept here; "
                                 "export into the file of Feast that has it",
                                 err);
    }
    TFN_RETURN_IF_ERROR(write_shared(w, document, content, &v, err));
    spec->offline = yyjson_get_bool(yyjson_obj_get(document, "offline"));
    tfn__feast_write_switches(w, content, &switches);
    TFN_RETURN_IF_ERROR(write_sources(w, document, &spec->stream_source, &spec->batch_source, err));
    return write_transformation(w, document, content, spec->mode, &spec->transformation, err);
}

tfn_code tfn__feast_make_view(tfn__feast_writer *w, yyjson_val *document, const void *base,
                              void **out, tfn_error *err)
{
    const Feast__FeatureView *before = base;
    Feast__FeatureView *to = NULL;
    bool is_same = false;
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, before, &feast__feature_view__descriptor, &to, err));
    TFN_RETURN_IF_ERROR(
        tfn__feast_copy(w, to->spec, &feast__feature_view_spec__descriptor, &to->spec, err));
    TFN_RETURN_IF_ERROR(
        tfn__feast_copy(w, to->meta, &feast__view_meta__descriptor, &to->meta, err));
    TFN_RETURN_IF_ERROR(write_view(w, document, to->spec, err));
    TFN_RETURN_IF_ERROR(tfn__feast_is_same(w, before == NULL ? NULL : (const void *)before->spec,
                                           &to->spec->base, &is_same, err));
    *out = to;
    return tfn__feast_set_times(w, document, !is_same, &to->meta->created, &to->meta->last_updated,
                                err);
}

/* ---- stream views ---- */

static tfn_code write_tiling(tfn__feast_writer *w, yyjson_val *content, Feast__StreamViewSpec *spec,
                             tfn_error *err)
{
    yyjson_val *hop = yyjson_obj_get(content, "tiling_hop_size");
    spec->enable_tiling = yyjson_get_bool(yyjson_obj_get(content, "enable_tiling"));
    if (hop == NULL && tfn__feast_get_us(spec->tiling_hop_size) == FIVE_MINUTES_US) {
        return TFN_OK; /* Feast's default, which reading leaves out */
    }
    return tfn__feast_set_duration(w, hop, &spec->tiling_hop_size, err);
}

/* Feast writes the function twice: as it was before there were transformations, too. */
static tfn_code write_stream_function(tfn__feast_writer *w, yyjson_val *document,
                                      yyjson_val *content, Feast__StreamViewSpec *spec,
                                      tfn_error *err)
{
    const bool has = yyjson_obj_get(content, "function") != NULL;
    if (has && spec->transformation == NULL && spec->function != NULL) {
        return tfn__feast_write_function(w, document, yyjson_obj_get(content, "function"),
                                         spec->function, "", &spec->function, err);
    }
    const Feast__UserFunction *before = tfn__feast_get_function(spec->transformation, NULL);
    TFN_RETURN_IF_ERROR(write_transformation(w, document, content, "", &spec->transformation, err));
    Feast__UserFunction *made =
        (Feast__UserFunction *)(uintptr_t)tfn__feast_get_function(spec->transformation, NULL);
    if (made != before || !has) {
        spec->function = made;
    }
    return TFN_OK;
}

static tfn_code write_stream(tfn__feast_writer *w, yyjson_val *document,
                             Feast__StreamViewSpec *spec, tfn_error *err)
{
    yyjson_val *content = content_of(document);
    const view v = VIEW_OF(spec, true);
    const tfn__feast_switches switches = {&spec->version, &spec->org, &spec->mode, &spec->disabled,
                                          &spec->enable_validation};
    TFN_RETURN_IF_ERROR(write_shared(w, document, content, &v, err));
    tfn__feast_write_switches(w, content, &switches);
    spec->timestamp_field = tfn__feast_member(w, content, "timestamp_field");
    TFN_RETURN_IF_ERROR(write_sources(w, document, &spec->stream_source, &spec->batch_source, err));
    TFN_RETURN_IF_ERROR(
        tfn__feast_write_aggregations(w, content, &spec->aggregations, &spec->n_aggregations, err));
    TFN_RETURN_IF_ERROR(write_tiling(w, content, spec, err));
    return write_stream_function(w, document, content, spec, err);
}

tfn_code tfn__feast_make_stream_view(tfn__feast_writer *w, yyjson_val *document, const void *base,
                                     void **out, tfn_error *err)
{
    const Feast__StreamView *before = base;
    Feast__StreamView *to = NULL;
    bool is_same = false;
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, before, &feast__stream_view__descriptor, &to, err));
    TFN_RETURN_IF_ERROR(
        tfn__feast_copy(w, to->spec, &feast__stream_view_spec__descriptor, &to->spec, err));
    TFN_RETURN_IF_ERROR(
        tfn__feast_copy(w, to->meta, &feast__view_meta__descriptor, &to->meta, err));
    TFN_RETURN_IF_ERROR(write_stream(w, document, to->spec, err));
    TFN_RETURN_IF_ERROR(tfn__feast_is_same(w, before == NULL ? NULL : (const void *)before->spec,
                                           &to->spec->base, &is_same, err));
    *out = to;
    return tfn__feast_set_times(w, document, !is_same, &to->meta->created, &to->meta->last_updated,
                                err);
}

/* ---- label views ---- */

static int32_t policy_of(tfn_str name)
{
    static const char *const names[] = {"LAST_WRITE_WINS", "LABELER_PRIORITY", "MAJORITY_VOTE"};
    for (int32_t i = 0; i < 3; i++) {
        if (tfn_str_is(name, names[i])) {
            return i;
        }
    }
    return -1;
}

static tfn_code write_labels(tfn__feast_writer *w, yyjson_val *document, Feast__LabelViewSpec *spec,
                             tfn_error *err)
{
    yyjson_val *content = content_of(document);
    const view v = VIEW_OF(spec, false);
    const int32_t policy = policy_of(tfn__json_get_str(yyjson_obj_get(content, "conflict_policy")));
    yyjson_val *source =
        tfn__feast_document(w, &w->sources, tfn__feast_member(w, document, "source"));
    TFN_RETURN_IF_ERROR(write_shared(w, document, content, &v, err));
    spec->labeler_field = tfn__feast_member(w, content, "labeler_field");
    spec->conflict_policy = policy < 0 ? spec->conflict_policy : policy; /* a newer one stays */
    spec->reference_feature_view = tfn__feast_member(w, content, "reference_feature_view");
    if (source == NULL || yyjson_equals_str(yyjson_obj_get(source, "name"), tfn__feast_no_source)) {
        spec->source = NULL;
        return TFN_OK;
    }
    return tfn__feast_write_source(w, source, TFN__FEAST_IN_VIEW, spec->source, &spec->source, err);
}

tfn_code tfn__feast_make_label_view(tfn__feast_writer *w, yyjson_val *document, const void *base,
                                    void **out, tfn_error *err)
{
    const Feast__LabelView *before = base;
    Feast__LabelView *to = NULL;
    bool is_same = false;
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, before, &feast__label_view__descriptor, &to, err));
    TFN_RETURN_IF_ERROR(
        tfn__feast_copy(w, to->spec, &feast__label_view_spec__descriptor, &to->spec, err));
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, to->meta, &feast__times__descriptor, &to->meta, err));
    TFN_RETURN_IF_ERROR(write_labels(w, document, to->spec, err));
    TFN_RETURN_IF_ERROR(tfn__feast_is_same(w, before == NULL ? NULL : (const void *)before->spec,
                                           &to->spec->base, &is_same, err));
    *out = to;
    return tfn__feast_set_times(w, document, !is_same, &to->meta->created, &to->meta->last_updated,
                                err);
}
