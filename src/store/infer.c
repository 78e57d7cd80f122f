/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Inference: definitions meet their files before the registry sees them.
 *
 * Four passes over the request, because each needs the one before:
 *   1. data sources   the file is there; the time column is named, or is the only one
 *   2. entities       a type left out comes from the first view that has the join key
 *   3. feature views  a schema left out is every column that is not a key or a time; one that is
 *                     given must be readable from the file
 *   4. feature views  those that are online: can the online store keep their types?
 * Each path is opened once, however many views read it (1,000 views over one file cost one footer).
 *
 * A problem with one object refuses that object and goes on, so that `plan` can list them all.
 */

#include "store/infer.h"

#include <string.h>

#include "base/mem.h"
#include "store/source_facts.h"

#include "base/poison.h"

void tfn__inference_deinit(tfn_inference *in)
{
    for (size_t i = 0; i < in->n_opened; i++) {
        if (in->opened[i].owns_source) {
            tfn_source_destroy(in->opened[i].source);
        }
        tfn_mem_free(in->opened[i].name);
        tfn_mem_free(in->opened[i].path);
        tfn_mem_free(in->opened[i].format);
        tfn_mem_free(in->opened[i].s3_endpoint);
    }
    tfn_mem_free(in->opened);
    tfn_mem_free(in->refusals);
    tfn_mem_free(in->objects);
    tfn_map_deinit(&in->sources);
    tfn_map_deinit(&in->entities);
}

/* ---- members of documents ---- */

static tfn_code set_member(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key,
                           yyjson_mut_val *value, tfn_error *err)
{
    (void)yyjson_mut_obj_remove_key(object, key);
    if (value == NULL || !yyjson_mut_obj_add_val(doc, object, key, value)) {
        return TFN_FAIL(err, TFN_NO_MEMORY, "'%s' could not be filled in: memory is exhausted",
                        key);
    }
    return TFN_OK;
}

static tfn_code set_text(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, tfn_str text,
                         tfn_error *err)
{
    return set_member(doc, object, key, yyjson_mut_strncpy(doc, text.p, text.n), err);
}

static tfn_code refuse(tfn_inference *in, yyjson_mut_val *object, const tfn_error *why,
                       tfn_error *err)
{
    void *p = in->refusals;
    TFN_RETURN_IF_ERROR(
        tfn_mem_grow(&p, &in->refusal_capacity, in->n_refusals + 1, sizeof *in->refusals, err));
    in->refusals = p;
    in->refusals[in->n_refusals++] =
        (tfn_refusal){tfn__member(object, "kind"), tfn__member(object, "name"), *why};
    return TFN_OK;
}

static tfn_code index_objects(tfn_inference *in, tfn_error *err)
{
    yyjson_mut_val *objects = yyjson_mut_obj_get(yyjson_mut_doc_get_root(in->request), "objects");
    void *p = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_mem_alloc_array(yyjson_mut_arr_size(objects), sizeof *in->objects, &p, err));
    in->objects = p;
    size_t i = 0;
    size_t n = 0;
    yyjson_mut_val *object = NULL;
    yyjson_mut_arr_foreach(objects, i, n, object)
    {
        const tfn_str kind = tfn__member(object, "kind");
        const tfn_str name = tfn__member(object, "name");
        tfn_map *map = tfn_str_is(kind, "data_source") ? &in->sources
                       : tfn_str_is(kind, "entity")    ? &in->entities
                                                       : NULL;
        uint32_t i_first = 0;
        if (map != NULL && !tfn_map_get(map, name, &i_first)) {
            TFN_RETURN_IF_ERROR(tfn_map_put(map, name, (uint32_t)i, err));
        }
        in->objects[in->n_objects++] = object;
    }
    return TFN_OK;
}

/* ---- pass 1: data sources ---- */

static tfn_code infer_time_column(tfn_inference *in, yyjson_mut_val *object,
                                  const tfn_source_facts *facts, const tfn_source *source,
                                  tfn_error *err)
{
    size_t n_columns = 0;
    const tfn_source_column *columns = tfn_source_get_columns(source, &n_columns);
    const tfn_source_column *found = NULL;
    size_t n_found = 0;
    for (size_t i = 0; i < n_columns; i++) {
        const bool is_created =
            tfn_str_equal(tfn__mapped_name(facts, columns[i].name), facts->created);
        if (columns[i].type.kind == TFN_KIND_TIMESTAMP && !columns[i].type.is_list && !is_created) {
            found = &columns[i];
            n_found++;
        }
    }
    if (n_found != 1) {
        const tfn_str label = tfn_source_get_label(source);
        return TFN_FAIL(
            err, TFN_INVALID,
            "data source '%.*s' has no timestamp_field, and '%.*s' has %zu timestamp columns "
            "to choose from; name the one that says when a row was true",
            TFN_STR_ARG(facts->name), TFN_STR_ARG(label), n_found);
    }
    return set_text(in->request, object, "timestamp_field", found->name, err);
}

static tfn_code infer_source(tfn_inference *in, yyjson_mut_val *object, tfn_error *why,
                             tfn_error *err)
{
    tfn_source_facts facts;
    if (!tfn_str_is(tfn__member(object, "type"), "file") ||
        !tfn__find_source(in, tfn__member(object, "name"), &facts)) {
        return TFN_OK; /* nothing to read, or the registry says what is wrong */
    }
    tfn_opened_source opened;
    TFN_RETURN_IF_ERROR(tfn__open_source(in, &facts, &opened, err));
    if (opened.source == NULL) {
        *why = opened.error;
        return TFN_OK;
    }
    if (facts.timestamp_field.n == 0) {
        (void)infer_time_column(in, object, &facts, opened.source, why);
    } else {
        (void)tfn__check_time_column(&facts, opened.source, facts.timestamp_field,
                                     "timestamp_field", why);
    }
    if (why->code == TFN_OK && facts.created.n > 0) {
        (void)tfn__check_time_column(&facts, opened.source, facts.created,
                                     "created_timestamp_column", why);
    }
    return TFN_OK;
}

/* ---- pass 2: entities ---- */

static tfn_str join_key_of(yyjson_mut_val *entity)
{
    const tfn_str join_key = tfn__member(entity, "join_key");
    return join_key.n > 0 ? join_key : tfn__member(entity, "name");
}

static bool array_has(yyjson_mut_val *array, tfn_str text)
{
    size_t i = 0;
    size_t n = 0;
    yyjson_mut_val *item = NULL;
    yyjson_mut_arr_foreach(array, i, n, item)
    {
        if (tfn_str_equal(tfn__text_of(item), text)) {
            return true;
        }
    }
    return false;
}

static yyjson_mut_val *find_field(yyjson_mut_val *view, tfn_str name)
{
    yyjson_mut_val *schema = yyjson_mut_obj_get(view, "schema");
    size_t i = 0;
    size_t n = 0;
    yyjson_mut_val *field = NULL;
    yyjson_mut_arr_foreach(schema, i, n, field)
    {
        if (tfn_str_equal(tfn__member(field, "name"), name)) {
            return field;
        }
    }
    return NULL;
}

/* Type of a join key as one view has it: from its schema, else from its file. */
static tfn_code key_type_in_view(tfn_inference *in, yyjson_mut_val *view, tfn_str join_key,
                                 tfn_type *out, tfn_error *err)
{
    *out = (tfn_type){0};
    yyjson_mut_val *field = find_field(view, join_key);
    if (field != NULL) {
        /* A type that does not exist is refused by the registry; here it is only unknown. */
        if (tfn_type_parse(tfn__member(field, "dtype"), out, NULL) != TFN_OK) {
            *out = (tfn_type){0};
        }
        return TFN_OK;
    }
    tfn_source_facts facts;
    if (!tfn__find_source(in, tfn__member(view, "source"), &facts)) {
        return TFN_OK;
    }
    tfn_opened_source opened;
    TFN_RETURN_IF_ERROR(tfn__open_source(in, &facts, &opened, err));
    const int64_t i =
        opened.source == NULL ? -1 : tfn__find_column(&facts, opened.source, join_key);
    if (i >= 0) {
        *out = tfn__column_at(opened.source, (size_t)i)->type;
    }
    return TFN_OK;
}

/* A uuid of a file is the text of a key. */
static tfn_type as_key(tfn_type type)
{
    if (type.logical == TFN_LOGICAL_UUID && !type.is_list) {
        type.logical = TFN_LOGICAL_NONE;
    }
    return type;
}

static tfn_code infer_entity(tfn_inference *in, yyjson_mut_val *entity, tfn_error *err)
{
    const tfn_str declared = tfn__member(entity, "value_type");
    if (declared.n > 0 && !tfn_str_is(declared, "unknown")) {
        return TFN_OK;
    }
    for (size_t i = 0; i < in->n_objects; i++) {
        yyjson_mut_val *view = in->objects[i];
        if (!tfn_str_is(tfn__member(view, "kind"), "feature_view") ||
            !array_has(yyjson_mut_obj_get(view, "entities"), tfn__member(entity, "name"))) {
            continue;
        }
        tfn_type type = {0};
        TFN_RETURN_IF_ERROR(key_type_in_view(in, view, join_key_of(entity), &type, err));
        type = as_key(type);
        if (type.kind != TFN_KIND_NONE) {
            char text[TFN_TYPE_TEXT_BYTES];
            tfn_type_format(type, text);
            return set_text(in->request, entity, "value_type", tfn_str_of(text), err);
        }
    }
    return TFN_OK; /* still unknown: the registry refuses it with a sentence */
}

/* ---- pass 3: feature views ---- */

static bool is_join_key(const tfn_inference *in, yyjson_mut_val *view, tfn_str column)
{
    if (array_has(yyjson_mut_obj_get(view, "join_keys"), column)) {
        return true;
    }
    yyjson_mut_val *entities = yyjson_mut_obj_get(view, "entities");
    size_t i = 0;
    size_t n = 0;
    yyjson_mut_val *item = NULL;
    yyjson_mut_arr_foreach(entities, i, n, item)
    {
        const tfn_str name = tfn__text_of(item);
        yyjson_mut_val *entity = tfn__find_object(in, &in->entities, name);
        const tfn_entity_def *stored = NULL;
        if (entity != NULL && tfn_str_equal(join_key_of(entity), column)) {
            return true;
        }
        if (entity == NULL && in->snapshot != NULL &&
            tfn_snapshot_find_entity(in->snapshot, name, &stored, NULL) == TFN_OK &&
            tfn_str_equal(stored->join_key, column)) {
            return true;
        }
    }
    return false;
}

static tfn_code add_field(tfn_inference *in, yyjson_mut_val *schema, tfn_str name, tfn_type type,
                          tfn_error *err)
{
    char text[TFN_TYPE_TEXT_BYTES];
    tfn_type_format(type, text);
    yyjson_mut_val *field = yyjson_mut_arr_add_obj(in->request, schema);
    if (!tfn_json_add_str(in->request, field, "name", name) ||
        !tfn_json_add_str(in->request, field, "dtype", tfn_str_of(text))) {
        return TFN_FAIL(err, TFN_NO_MEMORY, "a schema could not be filled in: memory is exhausted");
    }
    return TFN_OK;
}

static bool is_time_of_source(const tfn_source_facts *facts, tfn_str name, tfn_str column)
{
    return tfn_str_equal(name, facts->timestamp_field) ||
           tfn_str_equal(column, facts->timestamp_field) ||
           (facts->created.n > 0 &&
            (tfn_str_equal(name, facts->created) || tfn_str_equal(column, facts->created))) ||
           (facts->partition.n > 0 && tfn_str_equal(column, facts->partition));
}

/* Every column that is not a time becomes a field; all but the keys are told as inferred. */
static tfn_code infer_schema(tfn_inference *in, yyjson_mut_val *view, const tfn_source_facts *facts,
                             const tfn_source *source, tfn_error *why, tfn_error *err)
{
    yyjson_mut_val *schema = yyjson_mut_arr(in->request);
    yyjson_mut_val *inferred = yyjson_mut_arr(in->request);
    size_t n_columns = 0;
    const tfn_source_column *columns = tfn_source_get_columns(source, &n_columns);
    for (size_t i = 0; i < n_columns; i++) {
        const tfn_str name = tfn__mapped_name(facts, columns[i].name);
        if (is_time_of_source(facts, name, columns[i].name)) {
            continue;
        }
        if (columns[i].type.kind == TFN_KIND_NONE) {
            (void)tfn__wrong_type(
                facts, source, &columns[i],
                "a type that Tiffin has; name the wanted features in schema=[...]", why);
            return TFN_OK;
        }
        const bool is_key = is_join_key(in, view, name);
        TFN_RETURN_IF_ERROR(
            add_field(in, schema, name, is_key ? as_key(columns[i].type) : columns[i].type, err));
        if (!is_key) {
            yyjson_mut_val *text = yyjson_mut_strncpy(in->request, name.p, name.n);
            (void)yyjson_mut_arr_append(inferred, text);
        }
    }
    TFN_RETURN_IF_ERROR(set_member(in->request, view, "schema", schema, err));
    return set_member(in->request, view, "inferred", inferred, err);
}

static tfn_code check_field(yyjson_mut_val *field, const tfn_source_facts *facts,
                            const tfn_source *source, tfn_error *err)
{
    const tfn_str name = tfn__member(field, "name");
    tfn_type declared = {0};
    if (tfn_type_parse(tfn__member(field, "dtype"), &declared, NULL) != TFN_OK) {
        return TFN_OK; /* the registry refuses the type by name */
    }
    const int64_t i = tfn__find_column(facts, source, name);
    if (i < 0) {
        return tfn__no_such_column(facts, source, name, "field", err);
    }
    const tfn_source_column *column = tfn__column_at(source, (size_t)i);
    if (tfn_source_column_can_read(column, declared)) {
        return TFN_OK;
    }
    char expected[TFN_TYPE_TEXT_BYTES];
    tfn_type_format(declared, expected);
    return tfn__wrong_type(facts, source, column, expected, err);
}

/* Declared type of a join key: of the entity in the request or in the registry; NONE = unknown. */
static tfn_type declared_key_type(const tfn_inference *in, yyjson_mut_val *view, tfn_str join_key)
{
    tfn_type type = {0};
    yyjson_mut_val *entities = yyjson_mut_obj_get(view, "entities");
    size_t i = 0;
    size_t n = 0;
    yyjson_mut_val *item = NULL;
    yyjson_mut_arr_foreach(entities, i, n, item)
    {
        const tfn_str name = tfn__text_of(item);
        yyjson_mut_val *entity = tfn__find_object(in, &in->entities, name);
        const tfn_entity_def *stored = NULL;
        if (entity != NULL) {
            if (tfn_str_equal(join_key_of(entity), join_key) &&
                tfn_type_parse(tfn__member(entity, "value_type"), &type, NULL) != TFN_OK) {
                type = (tfn_type){0};
            }
        } else if (in->snapshot != NULL &&
                   tfn_snapshot_find_entity(in->snapshot, name, &stored, NULL) == TFN_OK &&
                   tfn_str_equal(stored->join_key, join_key)) {
            type = stored->type;
        }
    }
    return type;
}

/* A join key must be in the file, as a type that reads as the entity's. */
static tfn_code check_join_key(const tfn_inference *in, yyjson_mut_val *view, tfn_str join_key,
                               const tfn_source_facts *facts, const tfn_source *source,
                               tfn_error *err)
{
    const int64_t i = tfn__find_column(facts, source, join_key);
    if (i < 0) {
        return tfn__no_such_column(facts, source, join_key, "join key", err);
    }
    const tfn_type declared = declared_key_type(in, view, join_key);
    const tfn_source_column *column = tfn__column_at(source, (size_t)i);
    if (declared.kind == TFN_KIND_NONE || tfn_type_can_read_key(declared, column->type) ||
        tfn_source_column_can_read(column, declared)) {
        return TFN_OK;
    }
    char expected[TFN_TYPE_TEXT_BYTES];
    tfn_type_format(declared, expected);
    return tfn__wrong_type(facts, source, column, expected, err);
}

/* The view's own fields and its join keys must be in the file. */
static void check_schema(const tfn_inference *in, yyjson_mut_val *view,
                         const tfn_source_facts *facts, const tfn_source *source, tfn_error *why)
{
    size_t i = 0;
    size_t n = 0;
    yyjson_mut_val *item = NULL;
    yyjson_mut_val *schema = yyjson_mut_obj_get(view, "schema");
    yyjson_mut_arr_foreach(schema, i, n, item)
    {
        if (check_field(item, facts, source, why) != TFN_OK) {
            return;
        }
    }
    yyjson_mut_val *join_keys = yyjson_mut_obj_get(view, "join_keys");
    yyjson_mut_arr_foreach(join_keys, i, n, item)
    {
        const tfn_str name = tfn__text_of(item);
        if (check_join_key(in, view, name, facts, source, why) != TFN_OK) {
            return;
        }
    }
}

static tfn_code infer_view(tfn_inference *in, yyjson_mut_val *view, tfn_error *why, tfn_error *err)
{
    tfn_source_facts facts;
    if (tfn__member(yyjson_mut_obj_get(view, "foreign"), "missing").n > 0) {
        return TFN_OK; /* its features are not the columns of its source */
    }
    if (!tfn__find_source(in, tfn__member(view, "source"), &facts)) {
        return TFN_OK; /* the registry says that there is no such source, or none to look into */
    }
    tfn_opened_source opened;
    TFN_RETURN_IF_ERROR(tfn__open_source(in, &facts, &opened, err));
    if (opened.source == NULL) {
        *why = opened.error;
        return TFN_OK;
    }
    if (yyjson_mut_arr_size(yyjson_mut_obj_get(view, "schema")) == 0) {
        TFN_RETURN_IF_ERROR(infer_schema(in, view, &facts, opened.source, why, err));
    }
    if (why->code == TFN_OK) {
        check_schema(in, view, &facts, opened.source, why);
    }
    return TFN_OK;
}

/* ---- pass 4: what the online store keeps ---- */

/* A view as the online store would see it; what is unknown or wrong is the registry's to refuse. */
typedef struct online_probe {
    tfn_arena arena;
    tfn_online_view view;
    tfn_row_field *fields;
    size_t n_fields;
} online_probe;

static tfn_code probe_keys(tfn_inference *in, yyjson_mut_val *view, online_probe *probe,
                           tfn_error *err)
{
    yyjson_mut_val *entities = yyjson_mut_obj_get(view, "entities");
    const size_t n_most = yyjson_mut_arr_size(entities);
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&probe->arena, n_most, sizeof(tfn_str), &p, err));
    tfn_str *names = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&probe->arena, n_most, sizeof(tfn_type), &p, err));
    tfn_type *types = p;
    size_t i = 0;
    size_t n = 0;
    yyjson_mut_val *item = NULL;
    yyjson_mut_arr_foreach(entities, i, n, item)
    {
        const tfn_str entity_name = tfn__text_of(item);
        yyjson_mut_val *entity = tfn__find_object(in, &in->entities, entity_name);
        const tfn_entity_def *stored = NULL;
        if (entity == NULL &&
            (in->snapshot == NULL ||
             tfn_snapshot_find_entity(in->snapshot, entity_name, &stored, NULL) != TFN_OK)) {
            continue;
        }
        const tfn_str name = entity != NULL ? join_key_of(entity) : stored->join_key;
        tfn_type type = declared_key_type(in, view, name);
        if (type.kind == TFN_KIND_NONE) {
            TFN_RETURN_IF_ERROR(key_type_in_view(in, view, name, &type, err));
        }
        if (tfn_type_is_key(type) && probe->view.n_keys < TFN_MAX_KEY_PARTS) {
            names[probe->view.n_keys] = name;
            types[probe->view.n_keys++] = type;
        }
    }
    probe->view.key_names = names;
    probe->view.key_types = types;
    return TFN_OK;
}

static tfn_code probe_fields(const tfn_inference *in, yyjson_mut_val *view, online_probe *probe,
                             tfn_error *err)
{
    yyjson_mut_val *schema = yyjson_mut_obj_get(view, "schema");
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&probe->arena, yyjson_mut_arr_size(schema),
                                        sizeof(tfn_row_field), &p, err));
    probe->fields = p;
    size_t i = 0;
    size_t n = 0;
    yyjson_mut_val *item = NULL;
    yyjson_mut_arr_foreach(schema, i, n, item)
    {
        tfn_row_field field = {.name = tfn__member(item, "name")};
        if (!is_join_key(in, view, field.name) &&
            tfn_type_parse(tfn__member(item, "dtype"), &field.type, NULL) == TFN_OK) {
            probe->fields[probe->n_fields++] = field;
        }
    }
    return TFN_OK;
}

static bool was_refused(const tfn_inference *in, yyjson_mut_val *view)
{
    const tfn_str name = tfn__member(view, "name");
    for (size_t i = 0; i < in->n_refusals; i++) {
        if (tfn_str_is(in->refusals[i].kind, "feature_view") &&
            tfn_str_equal(in->refusals[i].name, name)) {
            return true;
        }
    }
    return false;
}

static tfn_code check_online(tfn_inference *in, yyjson_mut_val *view, tfn_error *why,
                             tfn_error *err)
{
    yyjson_mut_val *online = yyjson_mut_obj_get(view, "online");
    if ((online != NULL && !yyjson_mut_is_true(online)) || was_refused(in, view)) {
        return TFN_OK;
    }
    online_probe probe = {
        .view = {.project = tfn__store_get_project(in->store), .name = tfn__member(view, "name")}};
    tfn_code rc = probe_keys(in, view, &probe, err);
    if (rc == TFN_OK) {
        rc = probe_fields(in, view, &probe, err);
    }
    if (rc == TFN_OK) {
        /* The error is the view's, unless memory ran out. */
        rc = tfn_online_check_view(in->store->online, &probe.view, probe.fields, probe.n_fields,
                                   why);
        if (rc == TFN_NO_MEMORY) {
            rc = tfn_error_move(err, why);
        } else {
            rc = TFN_OK;
        }
    }
    tfn_arena_deinit(&probe.arena);
    return rc;
}

/* ---- all ---- */

typedef tfn_code (*infer_fn)(tfn_inference *in, yyjson_mut_val *object, tfn_error *why,
                             tfn_error *err);

static tfn_code infer_entity_quietly(tfn_inference *in, yyjson_mut_val *object, tfn_error *why,
                                     tfn_error *err)
{
    (void)why;
    return infer_entity(in, object, err);
}

static tfn_code run_pass(tfn_inference *in, const char *kind, infer_fn infer, tfn_error *err)
{
    for (size_t i = 0; i < in->n_objects; i++) {
        if (!tfn_str_is(tfn__member(in->objects[i], "kind"), kind)) {
            continue;
        }
        tfn_error why = {0};
        TFN_RETURN_IF_ERROR(infer(in, in->objects[i], &why, err));
        if (why.code != TFN_OK) {
            TFN_RETURN_IF_ERROR(refuse(in, in->objects[i], &why, err));
        }
    }
    return TFN_OK;
}

tfn_code tfn__infer(tfn_inference *in, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(index_objects(in, err));
    TFN_RETURN_IF_ERROR(run_pass(in, "data_source", infer_source, err));
    TFN_RETURN_IF_ERROR(run_pass(in, "entity", infer_entity_quietly, err));
    TFN_RETURN_IF_ERROR(run_pass(in, "feature_view", infer_view, err));
    return in->store->online == NULL ? TFN_OK : run_pass(in, "feature_view", check_online, err);
}
