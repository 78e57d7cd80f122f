/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * A registry file of Feast -> a request that makes a project of ours so.
 *
 * Documents say what Python objects of ours would say when they are made with the arguments that
 * Feast's were (python/tiffin/registry), as far as the file has them: then applying the repo's
 * files after an import changes nothing. Sentences are therefore the same here and there, and
 * tests/integration compares them. What cannot be run is written as `foreign`, with its sentence;
 * what no document has a place for (versions, intervals, pickled functions, other destinations of
 * logs) stays in the bytes of the file, which the registry keeps beside.
 *
 * Format: docs/formats/feast-registry.md.
 */

#include "registry/feast_read.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "registry/feast_file.h"
#include "registry/feast_types.h"
#include "registry/registry_internal.h"

#include "base/poison.h"

const char tfn__feast_dummy_entity[] = "__dummy";

/* ---- members ---- */

bool tfn__feast_is_wanted(const tfn__feast_reading *r, const char *project)
{
    return tfn_str_is(r->project, project);
}

void tfn__feast_put(tfn__feast_reading *r, yyjson_mut_val *object, const char *key,
                    const char *text)
{
    (void)yyjson_mut_obj_add_str(r->doc, object, key, text);
}

void tfn__feast_put_some(tfn__feast_reading *r, yyjson_mut_val *object, const char *key,
                         const char *text)
{
    if (text[0] != '\0') {
        tfn__feast_put(r, object, key, text);
    }
}

static int compare_pairs(const void *a, const void *b)
{
    return strcmp((*(Feast__Pair *const *)a)->key, (*(Feast__Pair *const *)b)->key);
}

/* Maps have no order in protobuf, and may come in another from write to write. */
void tfn__feast_put_pairs(tfn__feast_reading *r, yyjson_mut_val *object, const char *key,
                          Feast__Pair **pairs, size_t n)
{
    if (n > 0) {
        qsort((void *)pairs, n, sizeof *pairs, compare_pairs);
    }
    yyjson_mut_val *map = yyjson_mut_obj_add_obj(r->doc, object, key);
    for (size_t i = 0; i < n; i++) {
        (void)yyjson_mut_obj_add(map, yyjson_mut_str(r->doc, pairs[i]->key),
                                 yyjson_mut_str(r->doc, pairs[i]->value));
    }
}

void tfn__feast_put_texts(tfn__feast_reading *r, yyjson_mut_val *object, const char *key,
                          char **texts, size_t n)
{
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(r->doc, object, key);
    for (size_t i = 0; i < n; i++) {
        (void)yyjson_mut_arr_add_str(r->doc, array, texts[i]);
    }
}

int64_t tfn__feast_get_us(const Feast__Duration *duration)
{
    enum { US_PER_S = 1000000, NS_PER_US = 1000 };
    int64_t us = 0;
    if (duration == NULL) {
        return 0;
    }
    if (__builtin_mul_overflow(duration->seconds, (int64_t)US_PER_S, &us) ||
        __builtin_add_overflow(us, (int64_t)(duration->nanos / NS_PER_US), &us)) {
        return duration->seconds < 0 ? INT64_MIN : INT64_MAX;
    }
    return us;
}

void tfn__feast_put_duration(tfn__feast_reading *r, yyjson_mut_val *object, const char *key,
                             const Feast__Duration *duration)
{
    if (duration == NULL) {
        (void)yyjson_mut_obj_add_null(r->doc, object, key);
        return;
    }
    yyjson_mut_val *value = yyjson_mut_obj_add_obj(r->doc, object, key);
    (void)yyjson_mut_obj_add_sint(r->doc, value, "microseconds", tfn__feast_get_us(duration));
}

yyjson_mut_val *tfn__feast_add_object(tfn__feast_reading *r, const char *kind, const char *name,
                                      const char *description, const char *owner,
                                      Feast__Pair **tags, size_t n_tags)
{
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(r->doc, r->objects);
    tfn__feast_put(r, object, "kind", kind);
    tfn__feast_put(r, object, "name", name);
    tfn__feast_put(r, object, "description", description);
    tfn__feast_put(r, object, "owner", owner);
    tfn__feast_put_pairs(r, object, "tags", tags, n_tags);
    return object;
}

/* ---- projects and entities ---- */

static void read_projects(tfn__feast_reading *r)
{
    for (size_t i = 0; i < r->registry->n_projects; i++) {
        const Feast__ProjectSpec *spec = r->registry->projects[i]->spec;
        if (spec != NULL && tfn__feast_is_wanted(r, spec->name)) {
            (void)tfn__feast_add_object(r, "project", spec->name, spec->description, spec->owner,
                                        spec->tags, spec->n_tags);
        }
    }
}

/* A key's type; what cannot be a key is left to the views, which say that they cannot be run. */
static const char *key_type_of(int value_type)
{
    const char *text = tfn__feast_type_text(value_type);
    tfn_type type = {0};
    const bool is_key = text != NULL && tfn_type_parse(tfn_str_of(text), &type, NULL) == TFN_OK &&
                        tfn_type_is_key(type);
    return is_key ? text : "unknown";
}

static void read_entities(tfn__feast_reading *r)
{
    for (size_t i = 0; i < r->registry->n_entities; i++) {
        const Feast__EntitySpec *spec = r->registry->entities[i]->spec;
        if (spec == NULL || !tfn__feast_is_wanted(r, spec->project) ||
            strcmp(spec->name, tfn__feast_dummy_entity) == 0) {
            continue;
        }
        yyjson_mut_val *object = tfn__feast_add_object(r, "entity", spec->name, spec->description,
                                                       spec->owner, spec->tags, spec->n_tags);
        tfn__feast_put(r, object, "join_key",
                       spec->join_key[0] == '\0' ? spec->name : spec->join_key);
        tfn__feast_put(r, object, "value_type", key_type_of(spec->value_type));
    }
}

/* ---- what is kept and not run ---- */

/* ISO 8601 as Python writes it, or "" for none. */
static void put_time(tfn__feast_reading *r, yyjson_mut_val *object, const char *key,
                     const Feast__Timestamp *time)
{
    char text[TFN_TIME_TEXT_BYTES] = "";
    if (time != NULL && time->nanos >= 0 && time->nanos < 1000000000) {
        tfn_instant_format((tfn_instant){time->seconds, time->nanos}, text);
        text[strlen(text) - 1] = '\0'; /* the Z */
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "+00:00");
    }
    (void)yyjson_mut_obj_add_strcpy(r->doc, object, key, text);
}

/* Those in files; others have no place in a document, and stay in Feast's bytes alone. */
static void read_saved_datasets(tfn__feast_reading *r)
{
    for (size_t i = 0; i < r->registry->n_saved_datasets; i++) {
        const Feast__SavedDatasetSpec *spec = r->registry->saved_datasets[i]->spec;
        const Feast__SavedDatasetMeta *meta = r->registry->saved_datasets[i]->meta;
        if (spec == NULL || !tfn__feast_is_wanted(r, spec->project) || spec->storage == NULL ||
            spec->storage->file == NULL || spec->storage->file->uri[0] == '\0') {
            continue;
        }
        yyjson_mut_val *object = tfn__feast_add_object(
            r, "saved_dataset", spec->name, spec->description, "", spec->tags, spec->n_tags);
        tfn__feast_put(r, object, "path", spec->storage->file->uri);
        tfn__feast_put_texts(r, object, "features", spec->features, spec->n_features);
        tfn__feast_put_texts(r, object, "join_keys", spec->join_keys, spec->n_join_keys);
        (void)yyjson_mut_obj_add_bool(r->doc, object, "full_feature_names",
                                      spec->full_feature_names);
        tfn__feast_put(r, object, "feature_service", spec->feature_service_name);
        put_time(r, object, "min_event_timestamp", meta == NULL ? NULL : meta->min_event);
        put_time(r, object, "max_event_timestamp", meta == NULL ? NULL : meta->max_event);
    }
}

static void read_validation_references(tfn__feast_reading *r)
{
    for (size_t i = 0; i < r->registry->n_validation_references; i++) {
        const Feast__ValidationReference *found = r->registry->validation_references[i];
        if (!tfn__feast_is_wanted(r, found->project)) {
            continue;
        }
        yyjson_mut_val *object =
            tfn__feast_add_object(r, "validation_reference", found->name, found->description, "",
                                  found->tags, found->n_tags);
        yyjson_mut_val *content = yyjson_mut_obj_add_obj(r->doc, object, "content");
        tfn__feast_put(r, content, "dataset_name", found->dataset_name);
    }
}

static const char *const resource_types[] = {
    "FeatureView",  "OnDemandFeatureView", "BatchFeatureView", "StreamFeatureView",
    "Entity",       "FeatureService",      "DataSource",       "ValidationReference",
    "SavedDataset", "Permission",          "Project",          "LabelView",
};
static const char *const actions[] = {
    "CREATE",      "DESCRIBE",     "UPDATE",       "DELETE",
    "READ_ONLINE", "READ_OFFLINE", "WRITE_ONLINE", "WRITE_OFFLINE",
};

/* Numbers as names; one that is newer than this list keeps its number. */
static void put_numbers(tfn__feast_reading *r, yyjson_mut_val *object, const char *key,
                        const int32_t *numbers, size_t n, const char *const *names, size_t n_names)
{
    yyjson_mut_val *array = yyjson_mut_obj_add_arr(r->doc, object, key);
    for (size_t i = 0; i < n; i++) {
        if (numbers[i] >= 0 && (size_t)numbers[i] < n_names) {
            (void)yyjson_mut_arr_add_str(r->doc, array, names[numbers[i]]);
        } else {
            (void)yyjson_mut_arr_add_sint(r->doc, array, numbers[i]);
        }
    }
}

static void put_policy(tfn__feast_reading *r, yyjson_mut_val *content, const Feast__Policy *policy)
{
    yyjson_mut_val *object = yyjson_mut_obj_add_obj(r->doc, content, "policy");
    switch (policy == NULL ? FEAST__POLICY__KIND__NOT_SET : policy->kind_case) {
    case FEAST__POLICY__KIND_ROLES:
        tfn__feast_put(r, object, "class", "RoleBasedPolicy");
        tfn__feast_put_texts(r, object, "roles", policy->roles->names, policy->roles->n_names);
        break;
    case FEAST__POLICY__KIND_GROUPS:
        tfn__feast_put(r, object, "class", "GroupBasedPolicy");
        tfn__feast_put_texts(r, object, "groups", policy->groups->names, policy->groups->n_names);
        break;
    case FEAST__POLICY__KIND_NAMESPACES:
        tfn__feast_put(r, object, "class", "NamespaceBasedPolicy");
        tfn__feast_put_texts(r, object, "namespaces", policy->namespaces->names,
                             policy->namespaces->n_names);
        break;
    case FEAST__POLICY__KIND_GROUPS_AND_NAMESPACES:
        tfn__feast_put(r, object, "class", "CombinedGroupNamespacePolicy");
        tfn__feast_put_texts(r, object, "groups", policy->groups_and_namespaces->groups,
                             policy->groups_and_namespaces->n_groups);
        tfn__feast_put_texts(r, object, "namespaces", policy->groups_and_namespaces->namespaces,
                             policy->groups_and_namespaces->n_namespaces);
        break;
    default:
        tfn__feast_put(r, object, "class", "AllowAll");
        break;
    }
}

static void read_permissions(tfn__feast_reading *r)
{
    for (size_t i = 0; i < r->registry->n_permissions; i++) {
        const Feast__PermissionSpec *spec = r->registry->permissions[i]->spec;
        if (spec == NULL || !tfn__feast_is_wanted(r, spec->project)) {
            continue;
        }
        yyjson_mut_val *object =
            tfn__feast_add_object(r, "permission", spec->name, "", "", spec->tags, spec->n_tags);
        yyjson_mut_val *content = yyjson_mut_obj_add_obj(r->doc, object, "content");
        put_numbers(r, content, "types", spec->types, spec->n_types, resource_types,
                    sizeof resource_types / sizeof *resource_types);
        tfn__feast_put_texts(r, content, "name_patterns", spec->name_patterns,
                             spec->n_name_patterns);
        put_numbers(r, content, "actions", spec->actions, spec->n_actions, actions,
                    sizeof actions / sizeof *actions);
        put_policy(r, content, spec->policy);
        tfn__feast_put_pairs(r, content, "required_tags", spec->required_tags,
                             spec->n_required_tags);
    }
}

/* ---- projects of a file ---- */

typedef struct names {
    tfn_map seen;
    const char **list; /* borrowed from the message */
    size_t n;
    size_t capacity;
} names;

static tfn_code add_name(names *all, const char *name, tfn_error *err)
{
    uint32_t i = 0;
    void *p = (void *)(uintptr_t)all->list;
    if (name[0] == '\0' || tfn_map_get(&all->seen, tfn_str_of(name), &i)) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(tfn_mem_grow(&p, &all->capacity, all->n + 1, sizeof *all->list, err));
    all->list = p;
    TFN_RETURN_IF_ERROR(tfn_map_put(&all->seen, tfn_str_of(name), (uint32_t)all->n, err));
    all->list[all->n] = name;
    all->n++;
    return TFN_OK;
}

#define ADD_ALL(objects, spec_of)                                                                  \
    for (size_t i = 0; i < f->n_##objects; i++) {                                                  \
        if (f->objects[i]->spec != NULL) {                                                         \
            TFN_RETURN_IF_ERROR(add_name(all, f->objects[i]->spec->spec_of, err));                 \
        }                                                                                          \
    }

static tfn_code find_projects_of_views(const Feast__Registry *f, names *all, tfn_error *err)
{
    ADD_ALL(feature_views, project)
    ADD_ALL(stream_views, project)
    ADD_ALL(label_views, project)
    ADD_ALL(on_demand_views, project)
    ADD_ALL(feature_services, project)
    return TFN_OK;
}

static tfn_code find_projects(const Feast__Registry *f, names *all, tfn_error *err)
{
    ADD_ALL(projects, name)
    ADD_ALL(entities, project)
    ADD_ALL(saved_datasets, project)
    ADD_ALL(permissions, project)
    TFN_RETURN_IF_ERROR(find_projects_of_views(f, all, err));
    for (size_t i = 0; i < f->n_project_metadata; i++) {
        TFN_RETURN_IF_ERROR(add_name(all, f->project_metadata[i]->project, err));
    }
    for (size_t i = 0; i < f->n_data_sources; i++) {
        TFN_RETURN_IF_ERROR(add_name(all, f->data_sources[i]->project, err));
    }
    for (size_t i = 0; i < f->n_validation_references; i++) {
        TFN_RETURN_IF_ERROR(add_name(all, f->validation_references[i]->project, err));
    }
    return TFN_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static tfn_code get_projects(const Feast__Registry *f, names *all, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(find_projects(f, all, err));
    if (all->n > 0) {
        qsort((void *)(uintptr_t)all->list, all->n, sizeof *all->list, compare_names);
    }
    return TFN_OK;
}

tfn_code tfn__feast_get_projects(const Feast__Registry *registry, const char ***out, size_t *n,
                                 tfn_error *err)
{
    names all = {0};
    const tfn_code rc = get_projects(registry, &all, err);
    *out = all.list;
    *n = all.n;
    tfn_map_deinit(&all.seen);
    return rc;
}

static void deinit_names(names *all)
{
    tfn_map_deinit(&all->seen);
    tfn_mem_free((void *)(uintptr_t)all->list);
}

static tfn_code write_projects(const names *all, tfn_buf *out, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, "[", err));
    for (size_t i = 0; i < all->n; i++) {
        TFN_RETURN_IF_ERROR(tfn_buf_add(out, ",", i == 0 ? 0 : 1, err));
        TFN_RETURN_IF_ERROR(tfn_json_add_text(out, tfn_str_of(all->list[i]), err));
    }
    return tfn_buf_add_text(out, "]", err);
}

tfn_code tfn_feast_list_projects(tfn_str bytes, tfn_buf *out, tfn_error *err)
{
    tfn__feast_message message;
    names all = {0};
    tfn_code rc = tfn__feast_message_init(&message, bytes, err);
    if (rc == TFN_OK) {
        rc = get_projects(message.registry, &all, err);
    }
    if (rc == TFN_OK) {
        rc = write_projects(&all, out, err);
    }
    deinit_names(&all);
    tfn__feast_message_deinit(&message);
    return rc;
}

/* ---- one project ---- */

static tfn_str get_listed(const void *context, size_t i)
{
    return tfn_str_of(((const names *)context)->list[i]);
}

static tfn_code check_project(const Feast__Registry *f, tfn_str project, tfn_error *err)
{
    names all = {0};
    uint32_t i = 0;
    tfn_code rc = get_projects(f, &all, err);
    if (rc == TFN_OK && !tfn_map_get(&all.seen, project, &i)) {
        char quoted[TFN__SUBJECT_BYTES];
        char hint[TFN__HINT_BYTES];
        tfn__name_format(project, quoted);
        tfn__hint_format(project, get_listed, &all, all.n, hint);
        rc = TFN_FAIL(err, TFN_NOT_FOUND, "Feast's registry has no project %s%s", quoted, hint);
    }
    deinit_names(&all);
    return rc;
}

static void read_all(tfn__feast_reading *r)
{
    read_projects(r);
    read_entities(r);
    tfn__feast_read_sources(r);
    tfn__feast_read_views(r);
    tfn__feast_read_on_demand(r);
    tfn__feast_read_no_source(r);
    tfn__feast_read_services(r);
    read_saved_datasets(r);
    read_validation_references(r);
    read_permissions(r);
}

static int compare_objects(const void *a, const void *b)
{
    yyjson_mut_val *one = *(yyjson_mut_val *const *)a;
    yyjson_mut_val *other = *(yyjson_mut_val *const *)b;
    const int order = strcmp(yyjson_mut_get_str(yyjson_mut_obj_get(one, "kind")),
                             yyjson_mut_get_str(yyjson_mut_obj_get(other, "kind")));
    return order != 0 ? order
                      : strcmp(yyjson_mut_get_str(yyjson_mut_obj_get(one, "name")),
                               yyjson_mut_get_str(yyjson_mut_obj_get(other, "name")));
}

/* By kind and name: Feast moves an object to the end of its list whenever it touches it, and two
 * files that say the same must give the same request. Only when nothing was refused: then every
 * object has both members. */
static tfn_code sort_objects(tfn__feast_reading *r, tfn_error *err)
{
    void *p = NULL;
    const size_t n = yyjson_mut_arr_size(r->objects);
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(n, sizeof(yyjson_mut_val *), &p, err));
    yyjson_mut_val **objects = p;
    bool are_whole = true;
    yyjson_mut_arr_iter items = yyjson_mut_arr_iter_with(r->objects);
    for (size_t i = 0; i < n; i++) {
        objects[i] = yyjson_mut_arr_iter_next(&items);
        are_whole = are_whole && yyjson_mut_is_str(yyjson_mut_obj_get(objects[i], "kind")) &&
                    yyjson_mut_is_str(yyjson_mut_obj_get(objects[i], "name"));
    }
    if (n > 0 && are_whole) {
        qsort((void *)objects, n, sizeof *objects, compare_objects);
        (void)yyjson_mut_arr_clear(r->objects);
        for (size_t i = 0; i < n; i++) {
            (void)yyjson_mut_arr_append(r->objects, objects[i]);
        }
    }
    tfn_mem_free(p);
    return TFN_OK;
}

static tfn_code write_request(tfn__feast_reading *r, const char *message, tfn_buf *request,
                              tfn_error *err)
{
    char *text = NULL;
    yyjson_mut_val *root = yyjson_mut_obj(r->doc);
    yyjson_mut_doc_set_root(r->doc, root);
    r->objects = yyjson_mut_obj_add_arr(r->doc, root, "objects");
    (void)yyjson_mut_obj_add_bool(r->doc, root, "delete_missing", true);
    if (message != NULL) {
        tfn__feast_put(r, root, "message", message);
    }
    read_all(r);
    if (r->was_refused) {
        return TFN_FAIL(err, TFN_NO_MEMORY,
                        "Feast's registry could not be read: memory is exhausted");
    }
    TFN_RETURN_IF_ERROR(sort_objects(r, err));
    tfn_code rc = tfn_json_write(r->doc, &text, err);
    if (rc == TFN_OK) {
        rc = tfn_buf_add_text(request, text, err);
    }
    tfn_mem_free(text);
    return rc;
}

tfn_code tfn__feast_read_project(const Feast__Registry *registry, tfn_str project,
                                 const char *message, tfn_buf *request, tfn_error *err)
{
    tfn__feast_reading r = {.registry = registry, .project = project};
    tfn_code rc = check_project(registry, project, err);
    if (rc == TFN_OK) {
        rc = tfn_json_create(&r.doc, err);
    }
    if (rc == TFN_OK) {
        rc = write_request(&r, message, request, err);
    }
    tfn_map_deinit(&r.sources);
    tfn_map_deinit(&r.views);
    tfn_json_destroy(r.doc);
    return rc;
}

tfn_code tfn_feast_read(tfn_str bytes, tfn_str project, tfn_buf *request, tfn_error *err)
{
    tfn__feast_message message;
    tfn_code rc = tfn__feast_message_init(&message, bytes, err);
    if (rc == TFN_OK) {
        rc = tfn__feast_read_project(message.registry, project, NULL, request, err);
    }
    tfn__feast_message_deinit(&message);
    return rc;
}
