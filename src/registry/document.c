/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * One document: shape checked and canonical form written, in one walk.
 *
 * A table per kind of object lists its members in byte order, each with the function that checks
 * its value and writes it (or, for a missing or null value, its default). So the canonical form is
 * what the tables say, and a member that is in no table is refused. What needs other objects is
 * completed from the state that the document will be part of: join keys and entity columns of a
 * view, the features of a projection that names none. Whether references hold is decode.c's
 * question.
 *
 * Format: docs/formats/definitions.md sections 2 and 3.
 */

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "registry/document_walk.h"

#include "base/poison.h"

enum { MAX_MEMBERS = 16, MAX_PROJECTIONS = 65536 };

typedef struct member {
    const char *name;
    tfn__member_fn write;
} member;

/* ---- objects of members ---- */

static tfn_str get_member_name(const void *context, size_t i)
{
    return tfn_str_of(((const member *)context)[i].name);
}

/* Members that readers add (tfn_snapshot_describe); a document that comes back with them is fine.
 */
static bool is_read_only(tfn_str name)
{
    return tfn_str_is(name, "created_timestamp") || tfn_str_is(name, "last_updated_timestamp") ||
           tfn_str_is(name, "hash");
}

static tfn_code fail_unknown(const tfn__walk *w, tfn_str name, const member *members, size_t n,
                             tfn_error *err)
{
    char quoted[TFN__SUBJECT_BYTES];
    char hint[TFN__HINT_BYTES];
    tfn__name_format(name, quoted);
    tfn__hint_format(name, get_member_name, members, n, hint);
    return TFN_FAIL(err, TFN_INVALID, "%s has the member %s, which Tiffin does not know%s",
                    w->subject, quoted, hint);
}

/* Which value stands at which place of the table; null counts as missing. */
static tfn_code place_values(const tfn__walk *w, yyjson_val *object, const member *members,
                             size_t n_members, yyjson_val **values, tfn_error *err)
{
    uint32_t seen = 0;
    yyjson_obj_iter given = yyjson_obj_iter_with(object);
    for (yyjson_val *key = yyjson_obj_iter_next(&given); key != NULL;
         key = yyjson_obj_iter_next(&given)) {
        const tfn_str name = tfn__json_get_str(key);
        size_t i = 0;
        while (i < n_members && !tfn_str_is(name, members[i].name)) {
            i++;
        }
        if (i == n_members) {
            if (object == w->document && is_read_only(name)) {
                continue;
            }
            return fail_unknown(w, name, members, n_members, err);
        }
        if ((seen & 1u << i) != 0) {
            return TFN_FAIL(err, TFN_INVALID, "%s has the member '%s' twice", w->subject,
                            members[i].name);
        }
        seen |= 1u << i;
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        values[i] = yyjson_is_null(value) ? NULL : value;
    }
    return TFN_OK;
}

/* Members that came after the first hashes were taken are left out when empty, so that no hash
 * changes. None of them is the first of its table. */
static bool is_left_out(const char *name, yyjson_val *value)
{
    const bool is_later = strcmp(name, "s3_endpoint_override") == 0 ||
                          strcmp(name, "logging_config") == 0 || strcmp(name, "foreign") == 0;
    return is_later && (value == NULL || yyjson_equals_str(value, ""));
}

static tfn_code write_members(tfn__walk *w, yyjson_val *object, const member *members,
                              size_t n_members, tfn_error *err)
{
    yyjson_val *values[MAX_MEMBERS] = {NULL};
    yyjson_val *parent = w->parent;
    TFN_RETURN_IF_ERROR(place_values(w, object, members, n_members, values, err));
    w->parent = object;
    for (size_t i = 0; i < n_members; i++) {
        if (is_left_out(members[i].name, values[i])) {
            continue;
        }
        TFN_RETURN_IF_ERROR(tfn__member_add(w, i == 0 ? "{\"" : ",\"", err));
        TFN_RETURN_IF_ERROR(tfn__member_add(w, members[i].name, err));
        TFN_RETURN_IF_ERROR(tfn__member_add(w, "\":", err));
        TFN_RETURN_IF_ERROR(members[i].write(w, members[i].name, values[i], err));
    }
    w->parent = parent;
    return tfn__member_add(w, "}", err);
}

/* As write_members, with "<what> 'name' of <subject>" as the subject meanwhile. */
static tfn_code write_part(tfn__walk *w, const char *what, tfn_str name, yyjson_val *object,
                           const member *members, size_t n_members, tfn_error *err)
{
    char quoted[TFN__SUBJECT_BYTES];
    char outer[TFN__WALK_SUBJECT_BYTES];
    tfn__name_format(name, quoted);
    memcpy(outer, w->subject, sizeof outer);
    (void)snprintf(w->subject, sizeof w->subject, "%s %.120s of %.200s", what, quoted, outer);
    const tfn_code rc = write_members(w, object, members, n_members, err);
    memcpy(w->subject, outer, sizeof outer);
    return rc;
}

/* ---- views ---- */

/* Join keys and their types, as far as the entities are there. */
static tfn_code find_keys(tfn__walk *w, tfn_error *err)
{
    w->are_keys_known = true;
    yyjson_arr_iter items = yyjson_arr_iter_with(yyjson_obj_get(w->document, "entities"));
    if (items.max > TFN_MAX_KEY_PARTS) {
        return TFN_FAIL(err, TFN_LIMIT, "%s has %zu entities; a view may have %d", w->subject,
                        items.max, TFN_MAX_KEY_PARTS);
    }
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        tfn__entry *entry = tfn__snapshot_get(w->state, TFN_OBJECT_ENTITY, tfn__json_get_str(item));
        const void *p = NULL;
        if (entry == NULL) {
            w->are_keys_known = false;
            return TFN_OK;
        }
        TFN_RETURN_IF_ERROR(tfn__snapshot_get_def(w->state, entry, &p, err));
        const tfn_entity_def *entity = p;
        w->keys[w->n_keys] = (tfn__walk_key){entity->join_key, entity->type};
        w->n_keys++;
    }
    return TFN_OK;
}

static bool are_given_keys_right(const tfn__walk *w, yyjson_val *value)
{
    bool are_right = yyjson_arr_size(value) == w->n_keys;
    yyjson_arr_iter items = yyjson_arr_iter_with(value);
    for (size_t i = 0; are_right && i < w->n_keys; i++) {
        are_right = tfn_str_equal(tfn__json_get_str(yyjson_arr_iter_next(&items)), w->keys[i].name);
    }
    return are_right;
}

/* The entities decide; what is given must agree with them. */
static tfn_code write_join_keys(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err)
{
    if (!w->are_keys_known || (value != NULL && !yyjson_is_arr(value))) {
        return tfn__member_write_names(w, name, value, err);
    }
    if (yyjson_arr_size(value) > 0 && !are_given_keys_right(w, value)) {
        return TFN_FAIL(
            err, TFN_INVALID,
            "%s: 'join_keys' are not those of its entities; leave them out to have them "
            "filled in",
            w->subject);
    }
    TFN_RETURN_IF_ERROR(tfn__member_add(w, "[", err));
    for (size_t i = 0; i < w->n_keys; i++) {
        TFN_RETURN_IF_ERROR(tfn__member_add(w, i == 0 ? "" : ",", err));
        TFN_RETURN_IF_ERROR(tfn_json_add_text(&w->out, w->keys[i].name, err));
    }
    return tfn__member_add(w, "]", err);
}

static const member field_members[] = {
    {"description", tfn__member_write_text},
    {"dtype", tfn__member_write_type},
    {"name", tfn__member_write_name},
    {"tags", tfn__member_write_map},
};
enum { N_FIELD_MEMBERS = sizeof field_members / sizeof *field_members };

/* A field, entered into `names`. */
static tfn_code write_field(tfn__walk *w, yyjson_val *field, tfn_map *names, tfn_error *err)
{
    uint32_t is_there = 0;
    if (!yyjson_is_obj(field)) {
        return TFN_FAIL(err, TFN_INVALID, "%s: 'schema' must hold objects, not %s", w->subject,
                        tfn__json_type_words(field));
    }
    const tfn_str name = tfn__json_get_str(yyjson_obj_get(field, "name"));
    if (tfn_map_get(names, name, &is_there)) {
        char quoted[TFN__SUBJECT_BYTES];
        tfn__name_format(name, quoted);
        return TFN_FAIL(err, TFN_INVALID, "%s has the field %s twice", w->subject, quoted);
    }
    TFN_RETURN_IF_ERROR(tfn_map_put(names, name, 1, err));
    return write_part(w, "field", name, field, field_members, N_FIELD_MEMBERS, err);
}

static bool has_field(yyjson_val *schema, tfn_str name)
{
    yyjson_arr_iter items = yyjson_arr_iter_with(schema);
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        if (tfn_str_equal(tfn__json_get_str(yyjson_obj_get(item, "name")), name)) {
            return true;
        }
    }
    return false;
}

/* Entity columns that the schema leaves out, in the order of the entities; true in `*wrote` when
 * there was one. */
static tfn_code write_missing_keys(tfn__walk *w, yyjson_val *schema, bool *wrote, tfn_error *err)
{
    for (size_t i = 0; i < w->n_keys && w->are_keys_known; i++) {
        char type[TFN_TYPE_TEXT_BYTES];
        if (w->keys[i].type.kind == TFN_KIND_NONE || has_field(schema, w->keys[i].name)) {
            continue;
        }
        tfn_type_format(w->keys[i].type, type);
        TFN_RETURN_IF_ERROR(tfn_buf_add_format(
            &w->out, err, "%s{\"description\":\"\",\"dtype\":\"%s\",\"name\":", *wrote ? "," : "",
            type));
        TFN_RETURN_IF_ERROR(tfn_json_add_text(&w->out, w->keys[i].name, err));
        TFN_RETURN_IF_ERROR(tfn__member_add(w, ",\"tags\":{}}", err));
        *wrote = true;
    }
    return TFN_OK;
}

static tfn_code write_schema(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err)
{
    tfn_map names = {0};
    bool wrote = false;
    if (value != NULL && !yyjson_is_arr(value)) {
        return tfn__member_fail_type(w, name, "an array of fields", value, err);
    }
    if (yyjson_arr_size(value) > TFN_MAX_FIELDS) {
        return TFN_FAIL(err, TFN_LIMIT, "%s has %zu fields; it may have %d", w->subject,
                        yyjson_arr_size(value), TFN_MAX_FIELDS);
    }
    TFN_RETURN_IF_ERROR(tfn__member_add(w, "[", err));
    tfn_code rc = write_missing_keys(w, value, &wrote, err);
    yyjson_arr_iter items = yyjson_arr_iter_with(value);
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL && rc == TFN_OK;
         item = yyjson_arr_iter_next(&items)) {
        rc = tfn__member_add(w, wrote ? "," : "", err);
        wrote = true;
        if (rc == TFN_OK) {
            rc = write_field(w, item, &names, err);
        }
    }
    tfn_map_deinit(&names);
    return rc == TFN_OK ? tfn__member_add(w, "]", err) : rc;
}

/* ---- services and on-demand views ---- */

/* The features of a service's projection; all of the view's when none is named. */
static tfn_code write_features(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err)
{
    if (value != NULL && (!yyjson_is_arr(value) || yyjson_arr_size(value) > 0)) {
        return tfn__member_write_names(w, name, value, err);
    }
    const void *p = NULL;
    const tfn_str view_name = tfn__json_get_str(yyjson_obj_get(w->parent, "view"));
    tfn__entry *entry = tfn__snapshot_get_view(w->state, view_name);
    tfn_error ignored = {0}; /* a view that is wrong or missing is refused later, once */
    const tfn_code rc =
        entry == NULL ? TFN_NOT_FOUND : tfn__snapshot_get_def(w->state, entry, &p, &ignored);
    if (rc != TFN_OK) {
        return tfn__is_refusal(rc) ? tfn__member_add(w, "[]", err) : tfn_error_move(err, &ignored);
    }
    const bool is_on_demand = entry->kind == TFN_OBJECT_ON_DEMAND_VIEW;
    const tfn_feature_def *features = is_on_demand ? ((const tfn_on_demand_def *)p)->outputs
                                                   : ((const tfn_view_def *)p)->features;
    const size_t n_features = is_on_demand ? ((const tfn_on_demand_def *)p)->n_outputs
                                           : ((const tfn_view_def *)p)->n_features;
    TFN_RETURN_IF_ERROR(tfn__member_add(w, "[", err));
    for (size_t i = 0; i < n_features; i++) {
        TFN_RETURN_IF_ERROR(tfn__member_add(w, i == 0 ? "" : ",", err));
        TFN_RETURN_IF_ERROR(tfn_json_add_text(&w->out, features[i].name, err));
    }
    return tfn__member_add(w, "]", err);
}

static const member projection_members[] = {
    {"features", write_features},
    {"join_key_map", tfn__member_write_name_map},
    {"name_alias", tfn__member_write_alias},
    {"view", tfn__member_write_name},
};
enum { N_PROJECTION_MEMBERS = sizeof projection_members / sizeof *projection_members };

/* What an on-demand view reads. Names of features stay out when none is given: on-demand views may
 * name each other in any order, so a request cannot fill them in. */
static const member input_members[] = {
    {"features", tfn__member_write_names},
    {"join_key_map", tfn__member_write_name_map},
    {"name_alias", tfn__member_write_alias},
    {"view", tfn__member_write_name},
};
static_assert(sizeof input_members == sizeof projection_members, "two forms of one object");

static tfn_code write_projection_array(tfn__walk *w, const char *name, yyjson_val *value,
                                       const member *members, tfn_error *err)
{
    if (yyjson_arr_size(value) > MAX_PROJECTIONS) {
        return TFN_FAIL(err, TFN_LIMIT, "%s has %zu projections; it may have %d", w->subject,
                        yyjson_arr_size(value), MAX_PROJECTIONS);
    }
    TFN_RETURN_IF_ERROR(tfn__member_add(w, "[", err));
    yyjson_arr_iter items = yyjson_arr_iter_with(value);
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        TFN_RETURN_IF_ERROR(tfn__member_add(w, items.idx > 1 ? "," : "", err));
        if (!yyjson_is_obj(item)) {
            return TFN_FAIL(err, TFN_INVALID, "%s: '%s' must hold objects, not %s", w->subject,
                            name, tfn__json_type_words(item));
        }
        const tfn_str view = tfn__json_get_str(yyjson_obj_get(item, "view"));
        TFN_RETURN_IF_ERROR(
            write_part(w, "projection", view, item, members, N_PROJECTION_MEMBERS, err));
    }
    return tfn__member_add(w, "]", err);
}

static tfn_code write_projections(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err)
{
    if (!yyjson_is_arr(value) || yyjson_arr_size(value) == 0) {
        return tfn__member_fail_type(w, name, "an array of at least one projection", value, err);
    }
    return write_projection_array(w, name, value, projection_members, err);
}

static tfn_code write_inputs(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err)
{
    if (value != NULL && !yyjson_is_arr(value)) {
        return tfn__member_fail_type(w, name, "an array of projections", value, err);
    }
    return write_projection_array(w, name, value, input_members, err);
}

static const member function_members[] = {
    {"hash", tfn__member_write_digest},
    {"module", tfn__member_write_module},
    {"name", tfn__member_write_name},
    {"source", tfn__member_write_text},
};
enum { N_FUNCTION_MEMBERS = sizeof function_members / sizeof *function_members };

static tfn_code write_function(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err)
{
    if (!yyjson_is_obj(value)) {
        return tfn__member_fail_type(w, name, "an object", value, err);
    }
    return write_part(w, "function", tfn__json_get_str(yyjson_obj_get(value, "name")), value,
                      function_members, N_FUNCTION_MEMBERS, err);
}

/* ---- what of a service's answers is kept ---- */

static const member destination_members[] = {
    {"partition_by", tfn__member_write_names},
    {"path", tfn__member_write_path},
    {"s3_endpoint_override", tfn__member_write_text},
    {"type", tfn__member_write_destination_type},
};
enum { N_DESTINATION_MEMBERS = sizeof destination_members / sizeof *destination_members };

static tfn_code write_destination(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err)
{
    if (!yyjson_is_obj(value)) {
        return tfn__member_fail_type(w, name, "an object", value, err);
    }
    return write_members(w, value, destination_members, N_DESTINATION_MEMBERS, err);
}

static const member logging_members[] = {
    {"destination", write_destination},
    {"sample_rate_millionths", tfn__member_write_rate},
};
enum { N_LOGGING_MEMBERS = sizeof logging_members / sizeof *logging_members };

static tfn_code write_logging(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err)
{
    if (!yyjson_is_obj(value)) {
        return tfn__member_fail_type(w, name, "an object", value, err);
    }
    return write_members(w, value, logging_members, N_LOGGING_MEMBERS, err);
}

/* ---- objects of Feast's that have no counterpart here ---- */

/* Of a view: its class, what the class has of its own, and what is missing to run it. */
static const member foreign_members[] = {
    {"class", tfn__member_write_name},
    {"content", tfn__member_write_object},
    {"missing", tfn__member_write_text},
};
enum { N_FOREIGN_MEMBERS = sizeof foreign_members / sizeof *foreign_members };

static tfn_code write_foreign(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err)
{
    if (!yyjson_is_obj(value)) {
        return tfn__member_fail_type(w, name, "an object", value, err);
    }
    return write_members(w, value, foreign_members, N_FOREIGN_MEMBERS, err);
}

/* ---- tables, in byte order of the names ---- */

static const member project_members[] = {
    {"description", tfn__member_write_text}, {"kind", tfn__member_write_text},
    {"name", tfn__member_write_name},        {"owner", tfn__member_write_text},
    {"tags", tfn__member_write_map},
};
static const member entity_members[] = {
    {"description", tfn__member_write_text},
    {"join_key", tfn__member_write_join_key},
    {"kind", tfn__member_write_text},
    {"name", tfn__member_write_name},
    {"owner", tfn__member_write_text},
    {"tags", tfn__member_write_map},
    {"value_type", tfn__member_write_value_type},
};
static const member file_members[] = {
    {"created_timestamp_column", tfn__member_write_text},
    {"date_partition_column", tfn__member_write_text},
    {"description", tfn__member_write_text},
    {"field_mapping", tfn__member_write_name_map},
    {"format", tfn__member_write_format},
    {"kind", tfn__member_write_text},
    {"name", tfn__member_write_name},
    {"owner", tfn__member_write_text},
    {"path", tfn__member_write_path},
    {"s3_endpoint_override", tfn__member_write_text},
    {"tags", tfn__member_write_map},
    {"timestamp_field", tfn__member_write_text},
    {"type", tfn__member_write_source_type},
};
static const member push_members[] = {
    {"batch_source", tfn__member_write_name}, {"description", tfn__member_write_text},
    {"kind", tfn__member_write_text},         {"name", tfn__member_write_name},
    {"owner", tfn__member_write_text},        {"tags", tfn__member_write_map},
    {"type", tfn__member_write_source_type},
};
/* A source that this release does not read; with a batch source a stream, whose history that is. */
static const member foreign_source_members[] = {
    {"batch_source", tfn__member_write_text},
    {"class", tfn__member_write_name},
    {"content", tfn__member_write_object},
    {"created_timestamp_column", tfn__member_write_text},
    {"date_partition_column", tfn__member_write_text},
    {"description", tfn__member_write_text},
    {"field_mapping", tfn__member_write_name_map},
    {"kind", tfn__member_write_text},
    {"missing", tfn__member_write_name},
    {"name", tfn__member_write_name},
    {"owner", tfn__member_write_text},
    {"tags", tfn__member_write_map},
    {"timestamp_field", tfn__member_write_text},
    {"type", tfn__member_write_source_type},
};
static const member view_members[] = {
    {"description", tfn__member_write_text},
    {"entities", tfn__member_write_names},
    {"foreign", write_foreign},
    {"inferred", tfn__member_write_names},
    {"join_keys", write_join_keys},
    {"kind", tfn__member_write_text},
    {"name", tfn__member_write_name},
    {"offline", tfn__member_write_offline},
    {"online", tfn__member_write_online},
    {"owner", tfn__member_write_text},
    {"schema", write_schema},
    {"source", tfn__member_write_name},
    {"tags", tfn__member_write_map},
    {"ttl_us", tfn__member_write_ttl},
};
static const member request_members[] = {
    {"description", tfn__member_write_text},
    {"kind", tfn__member_write_text},
    {"name", tfn__member_write_name},
    {"owner", tfn__member_write_text},
    {"schema", write_schema},
    {"tags", tfn__member_write_map},
    {"type", tfn__member_write_source_type},
};
static const member on_demand_members[] = {
    {"aggregations", tfn__member_write_aggregations},
    {"description", tfn__member_write_text},
    {"entities", tfn__member_write_names},
    {"function", write_function},
    {"kind", tfn__member_write_text},
    {"mode", tfn__member_write_mode},
    {"name", tfn__member_write_name},
    {"owner", tfn__member_write_text},
    {"request_sources", tfn__member_write_names},
    {"schema", write_schema},
    {"singleton", tfn__member_write_singleton},
    {"sources", write_inputs},
    {"tags", tfn__member_write_map},
    {"write_to_online_store", tfn__member_write_stored},
};
static const member service_members[] = {
    {"description", tfn__member_write_text}, {"features", write_projections},
    {"kind", tfn__member_write_text},        {"logging_config", write_logging},
    {"name", tfn__member_write_name},        {"owner", tfn__member_write_text},
    {"tags", tfn__member_write_map},
};

static const member saved_dataset_members[] = {
    {"description", tfn__member_write_text},
    {"feature_service", tfn__member_write_text},
    {"features", tfn__member_write_names},
    {"full_feature_names", tfn__member_write_flag},
    {"join_keys", tfn__member_write_names},
    {"kind", tfn__member_write_text},
    {"manifest", tfn__member_write_object},
    {"max_event_timestamp", tfn__member_write_text},
    {"min_event_timestamp", tfn__member_write_text},
    {"name", tfn__member_write_name},
    {"owner", tfn__member_write_text},
    {"path", tfn__member_write_path},
    {"tags", tfn__member_write_map},
};

/* Validation references and permissions. */
static const member kept_members[] = {
    {"content", tfn__member_write_object}, {"description", tfn__member_write_text},
    {"kind", tfn__member_write_text},      {"name", tfn__member_write_name},
    {"owner", tfn__member_write_text},     {"tags", tfn__member_write_map},
};

#define TABLE(members) (members), sizeof(members) / sizeof *(members)

static tfn_code write_source(tfn__walk *w, tfn_error *err)
{
    yyjson_val *type = yyjson_obj_get(w->document, "type");
    const tfn_str text = tfn__json_get_str(type);
    if (tfn_str_is(text, "push")) {
        return write_members(w, w->document, TABLE(push_members), err);
    }
    if (tfn_str_is(text, "request")) {
        return write_members(w, w->document, TABLE(request_members), err);
    }
    if (tfn_str_is(text, "foreign")) {
        return write_members(w, w->document, TABLE(foreign_source_members), err);
    }
    if (type == NULL || yyjson_is_null(type) || tfn_str_is(text, "file")) {
        return write_members(w, w->document, TABLE(file_members), err);
    }
    char quoted[TFN__SUBJECT_BYTES];
    tfn__name_format(text, quoted);
    return TFN_FAIL(err, TFN_INVALID,
                    "%s has the type %s; there are 'file', 'push', 'request' and 'foreign'",
                    w->subject, quoted);
}

static tfn_code write_document(tfn__walk *w, tfn_error *err)
{
    switch (w->kind) {
    case TFN_OBJECT_PROJECT:
        return write_members(w, w->document, TABLE(project_members), err);
    case TFN_OBJECT_ENTITY:
        return write_members(w, w->document, TABLE(entity_members), err);
    case TFN_OBJECT_SOURCE:
        return write_source(w, err);
    case TFN_OBJECT_VIEW:
        TFN_RETURN_IF_ERROR(find_keys(w, err));
        return write_members(w, w->document, TABLE(view_members), err);
    case TFN_OBJECT_ON_DEMAND_VIEW:
        return write_members(w, w->document, TABLE(on_demand_members), err);
    case TFN_OBJECT_SAVED_DATASET:
        return write_members(w, w->document, TABLE(saved_dataset_members), err);
    case TFN_OBJECT_VALIDATION_REFERENCE:
    case TFN_OBJECT_PERMISSION:
        return write_members(w, w->document, TABLE(kept_members), err);
    case TFN_OBJECT_SERVICE:
    default:
        return write_members(w, w->document, TABLE(service_members), err);
    }
}

/* ---- entry points ---- */

tfn_code tfn__document_identify(yyjson_val *document, tfn_object_kind *kind, tfn_str *name,
                                tfn_error *err)
{
    *kind = TFN_OBJECT_NONE;
    *name = (tfn_str){0};
    if (!yyjson_is_obj(document)) {
        return TFN_FAIL(err, TFN_INVALID, "a definition must be an object, not %s",
                        tfn__json_type_words(document));
    }
    yyjson_val *name_value = yyjson_obj_get(document, "name");
    yyjson_val *kind_value = yyjson_obj_get(document, "kind");
    *name = tfn__json_get_str(name_value);
    char quoted[TFN__SUBJECT_BYTES];
    tfn__name_format(*name, quoted);
    if (!yyjson_is_str(kind_value)) {
        return TFN_FAIL(err, TFN_INVALID, "the definition of %s has no 'kind' that is a text",
                        quoted);
    }
    if (tfn_object_kind_parse(tfn__json_get_str(kind_value), kind, err) != TFN_OK) {
        tfn_error_prepend(err, "the definition of %s: ", quoted);
        return TFN_INVALID;
    }
    if (!yyjson_is_str(name_value)) {
        return TFN_FAIL(err, TFN_INVALID, "a definition of kind '%s' has no 'name' that is a text",
                        tfn_object_kind_name(*kind));
    }
    return tfn__name_check(*kind, *name, err);
}

tfn_code tfn__document_canonicalise(yyjson_val *document, tfn_snapshot *state, tfn_arena *a,
                                    tfn__entry *out, tfn_error *err)
{
    tfn__walk w = {.document = document, .state = state};
    tfn_str name = {0};
    *out = (tfn__entry){0};
    TFN_RETURN_IF_ERROR(tfn__document_identify(document, &w.kind, &name, err));
    tfn__subject_format(w.kind, name, w.subject);
    tfn_buf_init(&w.out, TFN_MAX_DOCUMENT_BYTES);
    tfn_code rc = write_document(&w, err);
    if (rc == TFN_OK) {
        out->kind = w.kind;
        out->name.n = name.n;
        out->body.n = w.out.n;
        out->hash = tfn_hash128_of(w.out.p, w.out.n);
        rc = tfn_arena_copy(a, w.out.p, w.out.n, &out->body.p, err);
    }
    if (rc == TFN_OK) {
        rc = tfn_arena_copy(a, name.p, name.n, &out->name.p, err);
    }
    tfn_buf_deinit(&w.out);
    if (rc == TFN_LIMIT && err != NULL && strstr(err->message, w.subject) == NULL) {
        tfn_error_prepend(err, "%s: ", w.subject);
    }
    return rc;
}
