/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * A canonical document -> a struct of definition.h, with what it names resolved.
 *
 * This is the one place that knows which definitions hold together, so it serves twice: a snapshot
 * decodes with it what it stores, and an apply judges with it the state that it would make.
 *
 * What is decoded of other objects (the entities and the source of a view, the views of a service)
 * lives in the same snapshot, so plain pointers between definitions are safe. Kinds form levels
 * (entity, file source < push source < view < on-demand view < service), so the recursion ends; but
 * for on-demand views, which may use each other: decode_on_demand.c bounds that.
 *
 * Rules: docs/formats/definitions.md section 4.
 */

#include <stdio.h>
#include <string.h>

#include "registry/decoder.h"

#include "base/poison.h"

/* ---- reading canonical values ---- */

/* The values die with scratch; what a definition keeps is copied, NUL-terminated. */
tfn_code tfn__decode_str(const tfn__decoder *d, yyjson_val *value, tfn_str *out, tfn_error *err)
{
    const tfn_str text = tfn__json_get_str(value);
    out->n = text.n;
    return tfn_arena_copy(&d->s->arena, text.p, text.n, &out->p, err);
}

tfn_code tfn__decode_member(const tfn__decoder *d, const char *name, tfn_str *out, tfn_error *err)
{
    return tfn__decode_str(d, yyjson_obj_get(d->root, name), out, err);
}

tfn_code tfn__decode_array(const tfn__decoder *d, size_t n, size_t size, void **out, tfn_error *err)
{
    return tfn_arena_alloc_zero(&d->s->arena, n, size, out, err);
}

tfn_code tfn__decode_pairs(const tfn__decoder *d, yyjson_val *object, const tfn_name_pair **out,
                           size_t *n_out, tfn_error *err)
{
    void *p = NULL;
    *n_out = yyjson_obj_size(object);
    TFN_RETURN_IF_ERROR(tfn__decode_array(d, *n_out, sizeof(tfn_name_pair), &p, err));
    tfn_name_pair *pairs = p;
    yyjson_obj_iter members = yyjson_obj_iter_with(object);
    for (size_t i = 0; i < *n_out; i++) {
        yyjson_val *key = yyjson_obj_iter_next(&members);
        TFN_RETURN_IF_ERROR(tfn__decode_str(d, key, &pairs[i].from, err));
        TFN_RETURN_IF_ERROR(tfn__decode_str(d, yyjson_obj_iter_get_val(key), &pairs[i].to, err));
    }
    *out = pairs;
    return TFN_OK;
}

tfn_code tfn__decode_names(const tfn__decoder *d, yyjson_val *array, const tfn_str **out,
                           size_t *n_out, tfn_error *err)
{
    void *p = NULL;
    *n_out = yyjson_arr_size(array);
    TFN_RETURN_IF_ERROR(tfn__decode_array(d, *n_out, sizeof(tfn_str), &p, err));
    tfn_str *names = p;
    yyjson_arr_iter items = yyjson_arr_iter_with(array);
    for (size_t i = 0; i < *n_out; i++) {
        TFN_RETURN_IF_ERROR(tfn__decode_str(d, yyjson_arr_iter_next(&items), &names[i], err));
    }
    *out = names;
    return TFN_OK;
}

tfn_code tfn__decode_fields(const tfn__decoder *d, const tfn_feature_def **out, size_t *n_out,
                            tfn_error *err)
{
    void *p = NULL;
    yyjson_val *schema = yyjson_obj_get(d->root, "schema");
    *n_out = yyjson_arr_size(schema);
    TFN_RETURN_IF_ERROR(tfn__decode_array(d, *n_out, sizeof(tfn_feature_def), &p, err));
    tfn_feature_def *fields = p;
    yyjson_arr_iter items = yyjson_arr_iter_with(schema);
    for (size_t i = 0; i < *n_out; i++) {
        yyjson_val *item = yyjson_arr_iter_next(&items);
        const tfn_str type = tfn__json_get_str(yyjson_obj_get(item, "dtype"));
        TFN_RETURN_IF_ERROR(tfn_type_parse(type, &fields[i].type, err));
        TFN_RETURN_IF_ERROR(tfn__decode_str(d, yyjson_obj_get(item, "name"), &fields[i].name, err));
    }
    if (*n_out == 0) {
        return TFN_FAIL(err, TFN_INVALID, "%s has no fields; its schema must name at least one",
                        d->subject);
    }
    *out = fields;
    return TFN_OK;
}

/* The definition of an object that this one names. */
tfn_code tfn__decode_resolve(const tfn__decoder *d, tfn_object_kind kind, tfn_str name,
                             const void **out, tfn_error *err)
{
    tfn__entry *entry = tfn__snapshot_get(d->s, kind, name);
    if (entry == NULL) {
        return tfn__snapshot_fail_missing(d->s, d->subject, kind, name, err);
    }
    return tfn__snapshot_get_def_locked(d->s, entry, out, err);
}

/* ---- projects, entities, sources ---- */

static tfn_code decode_project(const tfn__decoder *d, const void **out, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn__decode_array(d, 1, sizeof(tfn_project_def), &p, err));
    tfn_project_def *def = p;
    def->name = d->entry->name;
    def->hash = d->entry->hash;
    TFN_RETURN_IF_ERROR(tfn__decode_member(d, "description", &def->description, err));
    TFN_RETURN_IF_ERROR(tfn__decode_member(d, "owner", &def->owner, err));
    *out = def;
    return TFN_OK;
}

static tfn_code decode_entity(const tfn__decoder *d, const void **out, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn__decode_array(d, 1, sizeof(tfn_entity_def), &p, err));
    tfn_entity_def *def = p;
    const tfn_str type = tfn__json_get_str(yyjson_obj_get(d->root, "value_type"));
    def->name = d->entry->name;
    def->hash = d->entry->hash;
    TFN_RETURN_IF_ERROR(tfn__decode_member(d, "join_key", &def->join_key, err));
    if (!tfn_str_is(type, "unknown")) {
        TFN_RETURN_IF_ERROR(tfn_type_parse(type, &def->type, err));
    }
    *out = def;
    return TFN_OK;
}

static bool is_source_of(yyjson_val *root, const char *type)
{
    return tfn_str_is(tfn__json_get_str(yyjson_obj_get(root, "type")), type);
}

/* A source of Feast's that stands before a batch source, e.g. Kafka. */
static bool is_stream(yyjson_val *root)
{
    return is_source_of(root, "foreign") &&
           tfn__json_get_str(yyjson_obj_get(root, "batch_source")).n > 0;
}

/* Looks at the batch source without decoding it, so a circle of push sources cannot recurse. */
static tfn_code check_batch_source(const tfn__decoder *d, const tfn_source_def *push,
                                   tfn_error *err)
{
    yyjson_val *root = NULL;
    const tfn__entry *batch = tfn__snapshot_get(d->s, TFN_OBJECT_SOURCE, push->batch_source);
    if (batch == NULL) {
        return tfn__snapshot_fail_missing(d->s, d->subject, TFN_OBJECT_SOURCE, push->batch_source,
                                          err);
    }
    TFN_RETURN_IF_ERROR(tfn__json_read(&d->s->scratch, batch->body, "a data source", &root, err));
    const bool is_request = is_source_of(root, "request");
    if (is_request || is_source_of(root, "push") || is_stream(root)) {
        char quoted[TFN__SUBJECT_BYTES];
        tfn__name_format(push->batch_source, quoted);
        return TFN_FAIL(
            err, TFN_INVALID,
            "%s has the batch_source %s, which is a %s source; it must be a file source",
            d->subject, quoted,
            is_request        ? "request"
            : is_stream(root) ? "stream"
                              : "push");
    }
    return TFN_OK;
}

static tfn_code decode_file(const tfn__decoder *d, tfn_source_def *def, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn__decode_member(d, "path", &def->path, err));
    TFN_RETURN_IF_ERROR(tfn__decode_member(d, "format", &def->format, err));
    TFN_RETURN_IF_ERROR(tfn__decode_member(d, "s3_endpoint_override", &def->s3_endpoint, err));
    TFN_RETURN_IF_ERROR(tfn__decode_member(d, "timestamp_field", &def->timestamp_field, err));
    TFN_RETURN_IF_ERROR(
        tfn__decode_member(d, "created_timestamp_column", &def->created_timestamp_column, err));
    TFN_RETURN_IF_ERROR(
        tfn__decode_member(d, "date_partition_column", &def->date_partition_column, err));
    TFN_RETURN_IF_ERROR(tfn__decode_pairs(d, yyjson_obj_get(d->root, "field_mapping"),
                                          &def->field_mapping, &def->n_field_mapping, err));
    if (def->timestamp_field.n > 0 &&
        tfn_str_equal(def->timestamp_field, def->created_timestamp_column)) {
        char quoted[TFN__SUBJECT_BYTES];
        tfn__name_format(def->timestamp_field, quoted);
        return TFN_FAIL(
            err, TFN_INVALID,
            "%s has %s as timestamp_field and as created_timestamp_column; they must differ",
            d->subject, quoted);
    }
    return TFN_OK;
}

static tfn_code decode_source(const tfn__decoder *d, const void **out, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn__decode_array(d, 1, sizeof(tfn_source_def), &p, err));
    tfn_source_def *def = p;
    def->name = d->entry->name;
    def->hash = d->entry->hash;
    def->is_push = is_source_of(d->root, "push") || is_stream(d->root);
    def->is_request = is_source_of(d->root, "request");
    TFN_RETURN_IF_ERROR(tfn__decode_member(d, "missing", &def->missing, err));
    if (def->is_request) {
        TFN_RETURN_IF_ERROR(tfn__decode_fields(d, &def->fields, &def->n_fields, err));
    } else if (def->is_push) {
        TFN_RETURN_IF_ERROR(tfn__decode_member(d, "batch_source", &def->batch_source, err));
        TFN_RETURN_IF_ERROR(check_batch_source(d, def, err));
    } else {
        TFN_RETURN_IF_ERROR(decode_file(d, def, err));
    }
    *out = def;
    return TFN_OK;
}

/* ---- views ---- */

static tfn_code resolve_keys(const tfn__decoder *d, tfn_view_def *view, tfn_error *err)
{
    void *p = NULL;
    yyjson_val *entities = yyjson_obj_get(d->root, "entities");
    TFN_RETURN_IF_ERROR(
        tfn__decode_array(d, yyjson_arr_size(entities), sizeof(tfn_key_def), &p, err));
    tfn_key_def *keys = p;
    view->keys = keys;
    yyjson_arr_iter items = yyjson_arr_iter_with(entities);
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        const void *def = NULL;
        TFN_RETURN_IF_ERROR(
            tfn__decode_resolve(d, TFN_OBJECT_ENTITY, tfn__json_get_str(item), &def, err));
        const tfn_entity_def *entity = def;
        const int64_t i_same = tfn_view_find_key(view, entity->join_key);
        if (i_same >= 0) {
            char key[TFN__SUBJECT_BYTES];
            char one[TFN__SUBJECT_BYTES];
            char other[TFN__SUBJECT_BYTES];
            tfn__name_format(entity->join_key, key);
            tfn__name_format(keys[i_same].entity, one);
            tfn__name_format(entity->name, other);
            return TFN_FAIL(err, TFN_INVALID, "%s has two entities with the join key %s: %s and %s",
                            d->subject, key, one, other);
        }
        keys[view->n_keys] = (tfn_key_def){entity->join_key, entity->type, entity->name};
        view->n_keys++;
    }
    return TFN_OK;
}

static tfn_code resolve_source(const tfn__decoder *d, tfn_view_def *view, tfn_error *err)
{
    const void *p = NULL;
    const tfn_str name = tfn__json_get_str(yyjson_obj_get(d->root, "source"));
    TFN_RETURN_IF_ERROR(tfn__decode_resolve(d, TFN_OBJECT_SOURCE, name, &p, err));
    view->source = p;
    if (view->source->is_request) {
        char quoted[TFN__SUBJECT_BYTES];
        tfn__name_format(name, quoted);
        return TFN_FAIL(err, TFN_INVALID,
                        "%s reads the data source %s, which is a request source and holds no rows; "
                        "only on-demand feature views use those",
                        d->subject, quoted);
    }
    if (view->source->is_push) {
        view->push_source = view->source;
        TFN_RETURN_IF_ERROR(
            tfn__decode_resolve(d, TFN_OBJECT_SOURCE, view->push_source->batch_source, &p, err));
        view->source = p;
    }
    if (view->source->timestamp_field.n == 0 && view->source->missing.n == 0) {
        char quoted[TFN__SUBJECT_BYTES];
        tfn__name_format(view->source->name, quoted);
        return TFN_FAIL(
            err, TFN_INVALID,
            "%s reads the data source %s, which has no timestamp_field; say which of its "
            "columns is the event time",
            d->subject, quoted);
    }
    return TFN_OK;
}

/* An entity column: its type must be the entity's, or become it. */
static tfn_code set_key_type(const tfn__decoder *d, tfn_key_def *key, tfn_type type, tfn_error *err)
{
    if (key->type.kind == TFN_KIND_NONE) {
        key->type = type;
        return TFN_OK;
    }
    if (tfn_type_same(key->type, type)) {
        return TFN_OK;
    }
    char name[TFN__SUBJECT_BYTES];
    char entity[TFN__SUBJECT_BYTES];
    char in_schema[TFN_TYPE_TEXT_BYTES];
    char in_entity[TFN_TYPE_TEXT_BYTES];
    tfn__name_format(key->name, name);
    tfn__name_format(key->entity, entity);
    tfn_type_format(type, in_schema);
    tfn_type_format(key->type, in_entity);
    return TFN_FAIL(err, TFN_SCHEMA,
                    "%s has the join key %s as %s in its schema, but the entity %s is %s",
                    d->subject, name, in_schema, entity, in_entity);
}

static tfn_code check_feature_name(const tfn__decoder *d, const tfn_source_def *source,
                                   tfn_str name, tfn_error *err)
{
    const bool is_time = tfn_str_equal(name, source->timestamp_field);
    char feature[TFN__SUBJECT_BYTES];
    char other[TFN__SUBJECT_BYTES];
    if (is_time || (name.n > 0 && tfn_str_equal(name, source->created_timestamp_column))) {
        tfn__name_format(name, feature);
        tfn__name_format(source->name, other);
        return TFN_FAIL(
            err, TFN_INVALID,
            "%s has the feature %s, which is the %s of its data source %s; leave it out, or "
            "map the column to another name",
            d->subject, feature, is_time ? "timestamp_field" : "created_timestamp_column", other);
    }
    for (size_t i = 0; i < source->n_field_mapping; i++) {
        const tfn_name_pair *pair = &source->field_mapping[i];
        if (tfn_str_equal(pair->from, name) && !tfn_str_equal(pair->to, name) &&
            tfn_str_equal(tfn_source_def_get_column(source, name), name)) {
            tfn__name_format(name, feature);
            tfn__name_format(pair->to, other);
            return TFN_FAIL(
                err, TFN_INVALID,
                "%s has the feature %s, which the field_mapping of its data source renames "
                "to %s; use that name",
                d->subject, feature, other);
        }
    }
    return TFN_OK;
}

/* Fields named like a join key are entity columns, all others features. */
static tfn_code split_schema(const tfn__decoder *d, tfn_view_def *view, tfn_error *err)
{
    void *p = NULL;
    yyjson_val *schema = yyjson_obj_get(d->root, "schema");
    TFN_RETURN_IF_ERROR(
        tfn__decode_array(d, yyjson_arr_size(schema), sizeof(tfn_feature_def), &p, err));
    tfn_feature_def *features = p;
    /* The keys were made by resolve_keys for this view alone. */
    tfn_key_def *keys = (tfn_key_def *)(uintptr_t)view->keys;
    view->features = features;
    yyjson_arr_iter items = yyjson_arr_iter_with(schema);
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        tfn_type type = {0};
        const tfn_str name = tfn__json_get_str(yyjson_obj_get(item, "name"));
        const int64_t i_key = tfn_view_find_key(view, name);
        TFN_RETURN_IF_ERROR(
            tfn_type_parse(tfn__json_get_str(yyjson_obj_get(item, "dtype")), &type, err));
        if (i_key >= 0) {
            TFN_RETURN_IF_ERROR(set_key_type(d, &keys[i_key], type, err));
            continue;
        }
        TFN_RETURN_IF_ERROR(check_feature_name(d, view->source, name, err));
        tfn_feature_def *feature = &features[view->n_features];
        TFN_RETURN_IF_ERROR(tfn__decode_str(d, yyjson_obj_get(item, "name"), &feature->name, err));
        feature->type = type;
        view->n_features++;
    }
    return TFN_OK;
}

static tfn_code check_key_types(const tfn__decoder *d, const tfn_view_def *view, tfn_error *err)
{
    for (size_t i = 0; i < view->n_keys; i++) {
        char key[TFN__SUBJECT_BYTES];
        char entity[TFN__SUBJECT_BYTES];
        char type[TFN_TYPE_TEXT_BYTES];
        if (tfn_type_is_key(view->keys[i].type)) {
            continue;
        }
        tfn__name_format(view->keys[i].name, key);
        tfn__name_format(view->keys[i].entity, entity);
        if (view->keys[i].type.kind == TFN_KIND_NONE) {
            return TFN_FAIL(err, TFN_SCHEMA,
                            "%s: the type of the join key %s is not known; give the entity %s a "
                            "value_type, or put the key into the schema",
                            d->subject, key, entity);
        }
        tfn_type_format(view->keys[i].type, type);
        return TFN_FAIL(err, TFN_SCHEMA,
                        "%s: the join key %s is %s, which cannot be a key; keys are int32, int64, "
                        "string, bytes, bool, date or timestamp",
                        d->subject, key, type);
    }
    if (view->n_features == 0) {
        return TFN_FAIL(err, TFN_INVALID, "%s has no features: its schema names %s", d->subject,
                        view->n_keys > 0 ? "join keys only" : "no field");
    }
    return TFN_OK;
}

/* Why the view cannot be run: what it says itself, or a source that cannot be read and whose facts
 * would have been needed. */
static tfn_code decode_missing(const tfn__decoder *d, tfn_view_def *view, tfn_error *err)
{
    bool is_whole = view->n_features > 0 && view->source->timestamp_field.n > 0;
    for (size_t i = 0; i < view->n_keys; i++) {
        is_whole = is_whole && view->keys[i].type.kind != TFN_KIND_NONE;
    }
    if (!is_whole) {
        view->missing = view->source->missing;
    }
    yyjson_val *missing = yyjson_obj_get(yyjson_obj_get(d->root, "foreign"), "missing");
    return yyjson_get_len(missing) == 0 ? TFN_OK : tfn__decode_str(d, missing, &view->missing, err);
}

static tfn_code add_layout(tfn_buf *b, char what, tfn_str name, tfn_type type, tfn_error *err)
{
    char text[TFN_TYPE_TEXT_BYTES];
    tfn_type_format(type, text);
    TFN_RETURN_IF_ERROR(tfn_buf_add(b, &what, 1, err));
    TFN_RETURN_IF_ERROR(tfn_json_add_text(b, name, err));
    return tfn_buf_add_format(b, err, "%s\n", text);
}

/* Lines `k"name"type` and `f"name"type`, in order. */
static tfn_code hash_layout(tfn_view_def *view, tfn_error *err)
{
    tfn_buf text = {0};
    tfn_code rc = TFN_OK;
    for (size_t i = 0; i < view->n_keys && rc == TFN_OK; i++) {
        rc = add_layout(&text, 'k', view->keys[i].name, view->keys[i].type, err);
    }
    for (size_t i = 0; i < view->n_features && rc == TFN_OK; i++) {
        rc = add_layout(&text, 'f', view->features[i].name, view->features[i].type, err);
    }
    view->layout = tfn_hash128_of(text.p, text.n);
    tfn_buf_deinit(&text);
    return rc;
}

static tfn_code decode_view(const tfn__decoder *d, const void **out, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn__decode_array(d, 1, sizeof(tfn_view_def), &p, err));
    tfn_view_def *view = p;
    view->name = d->entry->name;
    view->hash = d->entry->hash;
    view->ttl_us = yyjson_get_sint(yyjson_obj_get(d->root, "ttl_us"));
    view->online = yyjson_get_bool(yyjson_obj_get(d->root, "online"));
    view->offline = yyjson_get_bool(yyjson_obj_get(d->root, "offline"));
    TFN_RETURN_IF_ERROR(resolve_keys(d, view, err));
    TFN_RETURN_IF_ERROR(resolve_source(d, view, err));
    TFN_RETURN_IF_ERROR(split_schema(d, view, err));
    TFN_RETURN_IF_ERROR(decode_missing(d, view, err));
    if (view->missing.n == 0) {
        TFN_RETURN_IF_ERROR(check_key_types(d, view, err));
    }
    TFN_RETURN_IF_ERROR(hash_layout(view, err));
    *out = view;
    return TFN_OK;
}

/* ---- saved datasets ---- */

/* What it was made from may be gone: it says so when it is verified, and stays. */
static tfn_code decode_saved_dataset(const tfn__decoder *d, const void **out, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn__decode_array(d, 1, sizeof(tfn_saved_dataset_def), &p, err));
    tfn_saved_dataset_def *def = p;
    def->name = d->entry->name;
    def->hash = d->entry->hash;
    TFN_RETURN_IF_ERROR(tfn__decode_member(d, "path", &def->path, err));
    *out = def;
    return TFN_OK;
}

static tfn_code decode_kept(const tfn__decoder *d, const void **out, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn__decode_array(d, 1, sizeof(tfn_kept_def), &p, err));
    tfn_kept_def *def = p;
    def->name = d->entry->name;
    def->hash = d->entry->hash;
    *out = def;
    return TFN_OK;
}

tfn_code tfn__definition_decode(tfn_snapshot *s, const tfn__entry *entry, const void **out,
                                tfn_error *err)
{
    tfn__decoder d = {.s = s, .entry = entry};
    *out = NULL;
    tfn__subject_format(entry->kind, entry->name, d.subject);
    TFN_RETURN_IF_ERROR(tfn__json_read(&s->scratch, entry->body, d.subject, &d.root, err));
    switch (entry->kind) {
    case TFN_OBJECT_PROJECT:
        return decode_project(&d, out, err);
    case TFN_OBJECT_ENTITY:
        return decode_entity(&d, out, err);
    case TFN_OBJECT_SOURCE:
        return decode_source(&d, out, err);
    case TFN_OBJECT_VIEW:
        return decode_view(&d, out, err);
    case TFN_OBJECT_SAVED_DATASET:
        return decode_saved_dataset(&d, out, err);
    case TFN_OBJECT_VALIDATION_REFERENCE:
    case TFN_OBJECT_PERMISSION:
        return decode_kept(&d, out, err);
    case TFN_OBJECT_ON_DEMAND_VIEW:
        return tfn__decode_on_demand(&d, out, err);
    case TFN_OBJECT_SERVICE:
    default:
        return tfn__decode_service(&d, out, err);
    }
}
