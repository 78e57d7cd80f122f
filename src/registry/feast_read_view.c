/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Feature views of Feast's registry, of all classes. They share a shape, but each class is a
 * message of its own, so each is first put into the one struct below.
 *
 * What only Feast knows of a view goes to `foreign`, as python/tiffin/registry/feature_view.py and
 * foreign_view.py put it there: a view that has nothing of it, and is a plain FeatureView, has no
 * such member. Reasons why a view cannot be run stand in one order, the first counts.
 *
 * A field of a type that this release does not have is left out of the schema and kept in the
 * content; the view is not run then, so nobody takes the rest for the whole.
 */

#include "registry/feast_read.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "column/type.h"
#include "registry/feast_types.h"

#include "base/poison.h"

enum { SENTENCE_BYTES = 512, NAMED_FIELDS_BYTES = 256, FIVE_MINUTES_US = 300000000 };

/* What the classes share, borrowed. */
typedef struct view {
    const char *class_name;
    const char *name;
    const char *description;
    const char *owner;
    const char *source;
    const char *mode; /* of a transformation */
    const char *version;
    const char *org;
    Feast__Pair **tags;
    size_t n_tags;
    char **entities;
    size_t n_entities;
    Feast__Field **columns; /* of the entities */
    size_t n_columns;
    Feast__Field **features; /* a stream view's have its entity columns, too */
    size_t n_features;
    const Feast__Duration *ttl;
    const Feast__UserFunction *function;
    bool has_other_function; /* a transformation that is no Python */
    bool is_derived;         /* from other views */
    bool has_guessed_keys;   /* a label view: Feast calls a key of an unknown type a text */
    bool online;
    bool offline;
    bool enable_validation;
    bool disabled;
} view;

/* ---- fields ---- */

const char *tfn__feast_field_type(const Feast__Field *field)
{
    tfn_type type = {0};
    const char *text = tfn__feast_type_text(field->value_type);
    return text != NULL && tfn_type_parse(tfn_str_of(text), &type, NULL) == TFN_OK ? text : NULL;
}

void tfn__feast_add_field(tfn__feast_reading *r, yyjson_mut_val *schema, const Feast__Field *field)
{
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(r->doc, schema);
    tfn__feast_put(r, object, "name", field->name);
    tfn__feast_put(r, object, "dtype", tfn__feast_field_type(field));
    tfn__feast_put(r, object, "description", field->description);
    tfn__feast_put_pairs(r, object, "tags", field->tags, field->n_tags);
}

void tfn__feast_name_odd_fields(Feast__Field **fields, size_t n, char *out, size_t n_bytes)
{
    size_t used = strlen(out);
    for (size_t i = 0; i < n; i++) {
        const Feast__Field *field = fields[i];
        if (tfn__feast_field_type(field) != NULL) {
            continue;
        }
        const int added = snprintf(out + used, n_bytes - used, "%s'%.60s' (type %d of Feast)",
                                   used == 0 ? "" : ", ", field->name, (int)field->value_type);
        if (added < 0 || (size_t)added >= n_bytes - used) {
            out[used] = '\0'; /* the first ones are enough */
            return;
        }
        used += (size_t)added;
    }
}

static bool is_dummy_column(const Feast__Field *field)
{
    return strcmp(field->name, "__dummy_id") == 0;
}

static bool is_column(const view *v, const Feast__Field *field)
{
    for (size_t i = 0; i < v->n_columns; i++) {
        if (strcmp(v->columns[i]->name, field->name) == 0) {
            return true;
        }
    }
    return false;
}

/* The type that feature views of the project have for a column of entities, or 0. */
static int32_t type_elsewhere(const tfn__feast_reading *r, const char *column)
{
    for (size_t i = 0; i < r->registry->n_feature_views; i++) {
        const Feast__FeatureViewSpec *spec = r->registry->feature_views[i]->spec;
        if (spec == NULL || !tfn__feast_is_wanted(r, spec->project)) {
            continue;
        }
        for (size_t k = 0; k < spec->n_entity_columns; k++) {
            if (strcmp(spec->entity_columns[k]->name, column) == 0) {
                return spec->entity_columns[k]->value_type;
            }
        }
    }
    return 0;
}

static void put_schema(tfn__feast_reading *r, yyjson_mut_val *object, const view *v)
{
    yyjson_mut_val *schema = yyjson_mut_obj_add_arr(r->doc, object, "schema");
    for (size_t i = 0; i < v->n_columns; i++) {
        Feast__Field column = *v->columns[i]; /* borrows all that it points to */
        const int32_t elsewhere = v->has_guessed_keys ? type_elsewhere(r, column.name) : 0;
        column.value_type = elsewhere == 0 ? column.value_type : elsewhere;
        if (!is_dummy_column(&column) && tfn__feast_field_type(&column) != NULL) {
            tfn__feast_add_field(r, schema, &column);
        }
    }
    for (size_t i = 0; i < v->n_features; i++) {
        if (tfn__feast_field_type(v->features[i]) != NULL && !is_column(v, v->features[i])) {
            tfn__feast_add_field(r, schema, v->features[i]);
        }
    }
}

/* Fields that no schema of ours can have: with everything that Feast says of them but tags that
 * hold their inner type are tags here as well. */
static void put_odd_fields(tfn__feast_reading *r, yyjson_mut_val *content, Feast__Field **fields,
                           size_t n)
{
    yyjson_mut_val *array = NULL;
    for (size_t i = 0; i < n; i++) {
        if (tfn__feast_field_type(fields[i]) != NULL) {
            continue;
        }
        if (array == NULL) {
            array = yyjson_mut_obj_get(content, "fields");
            array = array == NULL ? yyjson_mut_obj_add_arr(r->doc, content, "fields") : array;
        }
        yyjson_mut_val *field = yyjson_mut_arr_add_obj(r->doc, array);
        tfn__feast_put(r, field, "name", fields[i]->name);
        (void)yyjson_mut_obj_add_sint(r->doc, field, "value_type", fields[i]->value_type);
        tfn__feast_put(r, field, "description", fields[i]->description);
        tfn__feast_put_pairs(r, field, "tags", fields[i]->tags, fields[i]->n_tags);
    }
}

/* Fields with a vector index: it is not run, and the field is an ordinary one. */
static void put_vectors(tfn__feast_reading *r, yyjson_mut_val *content, const view *v)
{
    yyjson_mut_val *vectors = NULL;
    for (size_t i = 0; i < v->n_features; i++) {
        const Feast__Field *field = v->features[i];
        if (!field->vector_index && field->vector_length == 0) {
            continue;
        }
        if (vectors == NULL) {
            vectors = yyjson_mut_obj_add_obj(r->doc, content, "vectors");
        }
        yyjson_mut_val *one = yyjson_mut_obj_add_obj(r->doc, vectors, field->name);
        (void)yyjson_mut_obj_add_bool(r->doc, one, "vector_index", field->vector_index);
        (void)yyjson_mut_obj_add_sint(r->doc, one, "vector_length", field->vector_length);
        tfn__feast_put(r, one, "vector_search_metric", field->vector_search_metric);
    }
}

/* ---- what all classes have ---- */

void tfn__feast_put_entities(tfn__feast_reading *r, yyjson_mut_val *object, char **entities,
                             size_t n)
{
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(r->doc, object, "entities");
    for (size_t i = 0; i < n; i++) {
        if (strcmp(entities[i], tfn__feast_dummy_entity) != 0) {
            (void)yyjson_mut_arr_add_str(r->doc, array, entities[i]);
        }
    }
}

static bool is_pinned(const view *v)
{
    return v->version[0] != '\0' && strcasecmp(v->version, "latest") != 0;
}

/* Python keeps what is not false or empty. */
static void put_common_content(tfn__feast_reading *r, yyjson_mut_val *content, const view *v)
{
    if (is_pinned(v)) {
        tfn__feast_put(r, content, "version", v->version);
    }
    if (v->is_derived) {
        tfn__feast_put(r, content, "sink_source", v->source);
    }
    tfn__feast_put_some(r, content, "org", v->org);
    if (v->enable_validation) {
        (void)yyjson_mut_obj_add_bool(r->doc, content, "enable_validation", true);
    }
    if (v->disabled) {
        (void)yyjson_mut_obj_add_bool(r->doc, content, "disabled", true);
    }
    if (v->mode[0] != '\0') {
        yyjson_mut_val *mode = yyjson_mut_strcpy(r->doc, v->mode);
        char *text = (char *)(uintptr_t)yyjson_mut_get_str(mode); /* the document's own copy */
        for (; text != NULL && *text != '\0'; text++) {
            *text = (char)tolower((unsigned char)*text);
        }
        (void)yyjson_mut_obj_add_val(r->doc, content, "mode", mode);
    }
    if (v->function != NULL) {
        yyjson_mut_val *function = yyjson_mut_obj_add_obj(r->doc, content, "function");
        tfn__feast_put_function(r, function, v->function);
    }
    put_odd_fields(r, content, v->columns, v->n_columns);
    put_odd_fields(r, content, v->features, v->n_features);
    put_vectors(r, content, v);
}

/* A join key of a type that no key has here, or NULL. */
static const Feast__Field *find_odd_key(const view *v)
{
    for (size_t i = 0; i < v->n_columns; i++) {
        const char *text = tfn__feast_field_type(v->columns[i]);
        tfn_type type = {0};
        if (text != NULL && tfn_type_parse(tfn_str_of(text), &type, NULL) == TFN_OK &&
            !tfn_type_is_key(type)) {
            return v->columns[i];
        }
    }
    return NULL;
}

/* Why it cannot be run, whatever its class; "" when nothing stands in the way. */
static void find_missing(const view *v, char text[SENTENCE_BYTES])
{
    char odd[NAMED_FIELDS_BYTES] = "";
    const char *found = "";
    tfn__feast_name_odd_fields(v->columns, v->n_columns, odd, sizeof odd);
    tfn__feast_name_odd_fields(v->features, v->n_features, odd, sizeof odd);
    if (v->disabled) {
        found = "it is disabled (enabled=False)";
    } else if (is_pinned(v)) {
        found = "views have no versions here; leave `version` out, and read past states with as_of "
                "(every apply is a commit)";
    } else if (v->is_derived) {
        found = "this release computes no view from another; write its rows to files, and read "
                "these";
    } else if (v->source == tfn__feast_no_source) {
        found = "it has no source of its own; write its rows to files, and read these";
    } else if (v->has_other_function) {
        found = "this release runs no transformation that is not Python; write what it makes to "
                "files with a FeatureView on them";
    }
    (void)snprintf(text, SENTENCE_BYTES, "%s", found);
    const Feast__Field *key = find_odd_key(v);
    if (found[0] == '\0' && key != NULL) {
        (void)snprintf(text, SENTENCE_BYTES,
                       "its join key '%.60s' is %s, which cannot be a key; keys are int32, int64, "
                       "string, bytes, bool, date or timestamp",
                       key->name, tfn__feast_field_type(key));
    } else if (found[0] == '\0' && odd[0] != '\0') {
        (void)snprintf(text, SENTENCE_BYTES,
                       "this release does not have the types of its fields %s; write them to its "
                       "source in another form",
                       odd);
    }
}

/* The document but for `foreign`. */
static yyjson_mut_val *add_view(tfn__feast_reading *r, const view *v)
{
    yyjson_mut_val *object = tfn__feast_add_object(r, "feature_view", v->name, v->description,
                                                   v->owner, v->tags, v->n_tags);
    tfn__feast_put(r, object, "source", v->source);
    tfn__feast_put_entities(r, object, v->entities, v->n_entities);
    put_schema(r, object, v);
    (void)yyjson_mut_obj_add_sint(r->doc, object, "ttl_us", tfn__feast_get_us(v->ttl));
    (void)yyjson_mut_obj_add_bool(r->doc, object, "online", v->online);
    (void)yyjson_mut_obj_add_bool(r->doc, object, "offline", v->offline);
    return object;
}

static void put_foreign(tfn__feast_reading *r, yyjson_mut_val *object, const view *v,
                        yyjson_mut_val *content, const char *missing)
{
    const bool is_plain = strcmp(v->class_name, "FeatureView") == 0;
    if (is_plain && yyjson_mut_obj_size(content) == 0 && missing[0] == '\0') {
        return;
    }
    yyjson_mut_val *foreign = yyjson_mut_obj_add_obj(r->doc, object, "foreign");
    tfn__feast_put(r, foreign, "class", v->class_name);
    (void)yyjson_mut_obj_add_val(r->doc, foreign, "content", content);
    (void)yyjson_mut_obj_add_strcpy(r->doc, foreign, "missing", missing);
}

/* The source that documents name: a stream or push where there is one. */
static const char *source_of(tfn__feast_reading *r, const Feast__DataSource *stream,
                             const Feast__DataSource *batch)
{
    const Feast__DataSource *source = stream != NULL ? stream : batch;
    const char *name = source == NULL ? "" : tfn__feast_source_name(source);
    if (name[0] == '\0') {
        r->lacks_source = true;
        return tfn__feast_no_source;
    }
    return name;
}

/* "this release does not run the function and the aggregations of a stream feature view; ..." */
static void find_undone(const char *kind, bool has_function, bool has_aggregations,
                        const char *instead, char text[SENTENCE_BYTES])
{
    if (text[0] != '\0' || (!has_function && !has_aggregations)) {
        return;
    }
    (void)snprintf(
        text, SENTENCE_BYTES, "this release does not run %s%s%s of a %s feature view; %s",
        has_function ? "the function" : "", has_function && has_aggregations ? " and " : "",
        has_aggregations ? "the aggregations" : "", kind, instead);
}

/* ---- feature views, and batch views, which are stored as such ---- */

const Feast__UserFunction *tfn__feast_get_function(const Feast__Transformation *transformation,
                                                   const Feast__UserFunction *older)
{
    const bool is_python =
        transformation != NULL && transformation->kind_case == FEAST__TRANSFORMATION__KIND_FUNCTION;
    return is_python ? transformation->function : older;
}

static bool is_substrait(const Feast__Transformation *transformation)
{
    return transformation != NULL &&
           transformation->kind_case == FEAST__TRANSFORMATION__KIND_SUBSTRAIT;
}

static void read_view(tfn__feast_reading *r, const Feast__FeatureViewSpec *spec)
{
    char missing[SENTENCE_BYTES] = "";
    const view v = {
        .class_name = spec->transformation == NULL ? "FeatureView" : "BatchFeatureView",
        .name = spec->name,
        .description = spec->description,
        .owner = spec->owner,
        .source = source_of(r, spec->stream_source, spec->batch_source),
        .mode = spec->mode,
        .version = spec->version,
        .org = spec->org,
        .tags = spec->tags,
        .n_tags = spec->n_tags,
        .entities = spec->entities,
        .n_entities = spec->n_entities,
        .columns = spec->entity_columns,
        .n_columns = spec->n_entity_columns,
        .features = spec->features,
        .n_features = spec->n_features,
        .ttl = spec->ttl,
        .function = tfn__feast_get_function(spec->transformation, NULL),
        .has_other_function = is_substrait(spec->transformation),
        .is_derived = spec->n_source_views > 0,
        .online = spec->online,
        .offline = spec->offline,
        .enable_validation = spec->enable_validation,
        .disabled = spec->disabled,
    };
    yyjson_mut_val *object = add_view(r, &v);
    yyjson_mut_val *content = yyjson_mut_obj(r->doc);
    put_common_content(r, content, &v);
    if (v.is_derived) {
        yyjson_mut_val *views = yyjson_mut_obj_add_arr(r->doc, content, "source_views");
        for (size_t i = 0; i < spec->n_source_views; i++) {
            (void)yyjson_mut_arr_add_str(r->doc, views, spec->source_views[i]->name);
        }
    }
    find_missing(&v, missing);
    find_undone("batch", v.function != NULL, false,
                "write what it makes to files with a FeatureView on them", missing);
    put_foreign(r, object, &v, content, missing);
}

/* ---- stream views ---- */

void tfn__feast_put_aggregations(tfn__feast_reading *r, yyjson_mut_val *content,
                                 Feast__Aggregation **aggregations, size_t n)
{
    if (n == 0) {
        return;
    }
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(r->doc, content, "aggregations");
    for (size_t i = 0; i < n; i++) {
        const Feast__Aggregation *found = aggregations[i];
        yyjson_mut_val *one = yyjson_mut_arr_add_obj(r->doc, array);
        tfn__feast_put(r, one, "class", "Aggregation");
        tfn__feast_put(r, one, "column", found->column);
        tfn__feast_put(r, one, "function", found->function);
        tfn__feast_put(r, one, "name", found->name);
        tfn__feast_put_duration(r, one, "time_window", found->time_window);
        tfn__feast_put_duration(r, one, "slide_interval", found->slide_interval);
    }
}

static void put_stream_content(tfn__feast_reading *r, yyjson_mut_val *content,
                               const Feast__StreamViewSpec *spec)
{
    tfn__feast_put_aggregations(r, content, spec->aggregations, spec->n_aggregations);
    tfn__feast_put_some(r, content, "timestamp_field", spec->timestamp_field);
    if (spec->enable_tiling) {
        (void)yyjson_mut_obj_add_bool(r->doc, content, "enable_tiling", true);
    }
    /* Feast writes its default of five minutes when nobody asked for tiles. */
    const int64_t hop_us = tfn__feast_get_us(spec->tiling_hop_size);
    if (hop_us > 0 && (spec->enable_tiling || hop_us != FIVE_MINUTES_US)) {
        tfn__feast_put_duration(r, content, "tiling_hop_size", spec->tiling_hop_size);
    }
}

static void read_stream_view(tfn__feast_reading *r, const Feast__StreamViewSpec *spec)
{
    char missing[SENTENCE_BYTES] = "";
    const view v = {
        .class_name = "StreamFeatureView",
        .name = spec->name,
        .description = spec->description,
        .owner = spec->owner,
        .source = source_of(r, spec->stream_source, spec->batch_source),
        .mode = spec->mode,
        .version = spec->version,
        .org = spec->org,
        .tags = spec->tags,
        .n_tags = spec->n_tags,
        .entities = spec->entities,
        .n_entities = spec->n_entities,
        .columns = spec->entity_columns,
        .n_columns = spec->n_entity_columns,
        .features = spec->features,
        .n_features = spec->n_features,
        .ttl = spec->ttl,
        .function = tfn__feast_get_function(spec->transformation, spec->function),
        .has_other_function = is_substrait(spec->transformation),
        .online = spec->online,
        .enable_validation = spec->enable_validation,
        .disabled = spec->disabled,
    };
    yyjson_mut_val *object = add_view(r, &v);
    yyjson_mut_val *content = yyjson_mut_obj(r->doc);
    put_common_content(r, content, &v);
    put_stream_content(r, content, spec);
    find_missing(&v, missing);
    find_undone("stream", v.function != NULL, spec->n_aggregations > 0,
                "push what it would make to a PushSource with a FeatureView on it", missing);
    put_foreign(r, object, &v, content, missing);
}

/* ---- label views ---- */

static const char *policy_of(int32_t number)
{
    static const char *const names[] = {"LAST_WRITE_WINS", "LABELER_PRIORITY", "MAJORITY_VOTE"};
    return number >= 0 && number < 3 ? names[number] : "";
}

static void read_label_view(tfn__feast_reading *r, const Feast__LabelViewSpec *spec)
{
    char missing[SENTENCE_BYTES] = "";
    const view v = {
        .class_name = "LabelView",
        .name = spec->name,
        .description = spec->description,
        .owner = spec->owner,
        .source = source_of(r, NULL, spec->source),
        .mode = "",
        .version = "",
        .org = "",
        .tags = spec->tags,
        .n_tags = spec->n_tags,
        .entities = spec->entities,
        .n_entities = spec->n_entities,
        .columns = spec->entity_columns,
        .n_columns = spec->n_entity_columns,
        .features = spec->features,
        .n_features = spec->n_features,
        .ttl = spec->ttl,
        .has_guessed_keys = true,
        .online = spec->online,
    };
    yyjson_mut_val *object = add_view(r, &v);
    yyjson_mut_val *content = yyjson_mut_obj(r->doc);
    put_common_content(r, content, &v);
    tfn__feast_put_some(r, content, "labeler_field", spec->labeler_field);
    tfn__feast_put_some(r, content, "conflict_policy", policy_of(spec->conflict_policy));
    tfn__feast_put_some(r, content, "reference_feature_view", spec->reference_feature_view);
    if (spec->retain_history) {
        (void)yyjson_mut_obj_add_bool(r->doc, content, "retain_history", true);
    }
    find_missing(&v, missing);
    if (missing[0] == '\0' && spec->conflict_policy != 0) {
        (void)snprintf(missing, sizeof missing,
                       "among labels of one entity this release knows the last one only; use "
                       "ConflictPolicy.LAST_WRITE_WINS");
    }
    put_foreign(r, object, &v, content, missing);
}

void tfn__feast_read_views(tfn__feast_reading *r)
{
    const Feast__Registry *f = r->registry;
    for (size_t i = 0; i < f->n_feature_views; i++) {
        const Feast__FeatureViewSpec *spec = f->feature_views[i]->spec;
        if (spec != NULL && tfn__feast_is_wanted(r, spec->project)) {
            read_view(r, spec);
        }
    }
    for (size_t i = 0; i < f->n_stream_views; i++) {
        const Feast__StreamViewSpec *spec = f->stream_views[i]->spec;
        if (spec != NULL && tfn__feast_is_wanted(r, spec->project)) {
            read_stream_view(r, spec);
        }
    }
    for (size_t i = 0; i < f->n_label_views; i++) {
        const Feast__LabelViewSpec *spec = f->label_views[i]->spec;
        if (spec != NULL && tfn__feast_is_wanted(r, spec->project)) {
            read_label_view(r, spec);
        }
    }
}
