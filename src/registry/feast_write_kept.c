/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Projects and entities for Feast, and what neither side of ours runs: saved datasets, validation
 * references, permissions. These have their content under the names that reading gives it
 * (feast_read.c).
 */

#include "registry/feast_write.h"

#include <string.h>

#include "registry/feast_types.h"
#include "registry/registry_internal.h"

#include "base/poison.h"

/* ---- projects and entities ---- */

tfn_code tfn__feast_make_project(tfn__feast_writer *w, yyjson_val *document, const void *base,
                                 void **out, tfn_error *err)
{
    const Feast__Project *before = base;
    Feast__Project *to = NULL;
    bool is_same = false;
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, before, &feast__project__descriptor, &to, err));
    TFN_RETURN_IF_ERROR(
        tfn__feast_copy(w, to->spec, &feast__project_spec__descriptor, &to->spec, err));
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, to->meta, &feast__times__descriptor, &to->meta, err));
    to->spec->name = w->project;
    to->spec->description = tfn__feast_member(w, document, "description");
    to->spec->owner = tfn__feast_member(w, document, "owner");
    TFN_RETURN_IF_ERROR(tfn__feast_set_pairs(w, yyjson_obj_get(document, "tags"), &to->spec->tags,
                                             &to->spec->n_tags, err));
    TFN_RETURN_IF_ERROR(tfn__feast_is_same(w, before == NULL ? NULL : (const void *)before->spec,
                                           &to->spec->base, &is_same, err));
    *out = to;
    return tfn__feast_set_times(w, document, !is_same, &to->meta->created, &to->meta->last_updated,
                                err);
}

/* A type that no key of ours can have is `unknown` in the document, and stays what it is. */
static void set_key_type(yyjson_val *document, Feast__EntitySpec *spec)
{
    const tfn_str text = tfn__json_get_str(yyjson_obj_get(document, "value_type"));
    const char *known = tfn__feast_type_text(spec->value_type);
    tfn_type type = {0};
    const bool was_key = known != NULL &&
                         tfn_type_parse(tfn_str_of(known), &type, NULL) == TFN_OK &&
                         tfn_type_is_key(type);
    if (!tfn_str_is(text, "unknown")) {
        spec->value_type = tfn__feast_type_number(text);
    } else if (was_key) {
        spec->value_type = 0;
    }
}

tfn_code tfn__feast_make_entity(tfn__feast_writer *w, yyjson_val *document, const void *base,
                                void **out, tfn_error *err)
{
    const Feast__Entity *before = base;
    Feast__Entity *to = NULL;
    bool is_same = false;
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, before, &feast__entity__descriptor, &to, err));
    TFN_RETURN_IF_ERROR(
        tfn__feast_copy(w, to->spec, &feast__entity_spec__descriptor, &to->spec, err));
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, to->meta, &feast__times__descriptor, &to->meta, err));
    to->spec->name = tfn__feast_member(w, document, "name");
    to->spec->project = w->project;
    to->spec->join_key = tfn__feast_member(w, document, "join_key");
    to->spec->description = tfn__feast_member(w, document, "description");
    to->spec->owner = tfn__feast_member(w, document, "owner");
    set_key_type(document, to->spec);
    TFN_RETURN_IF_ERROR(tfn__feast_set_pairs(w, yyjson_obj_get(document, "tags"), &to->spec->tags,
                                             &to->spec->n_tags, err));
    TFN_RETURN_IF_ERROR(tfn__feast_is_same(w, before == NULL ? NULL : (const void *)before->spec,
                                           &to->spec->base, &is_same, err));
    *out = to;
    return tfn__feast_set_times(w, document, !is_same, &to->meta->created, &to->meta->last_updated,
                                err);
}

/* ---- saved datasets ---- */

static tfn_code write_dataset(tfn__feast_writer *w, yyjson_val *document,
                              Feast__SavedDatasetSpec *spec, tfn_error *err)
{
    spec->name = tfn__feast_member(w, document, "name");
    spec->project = w->project;
    spec->description = tfn__feast_member(w, document, "description");
    spec->full_feature_names = yyjson_get_bool(yyjson_obj_get(document, "full_feature_names"));
    spec->feature_service_name = tfn__feast_member(w, document, "feature_service");
    TFN_RETURN_IF_ERROR(tfn__feast_set_texts(w, yyjson_obj_get(document, "features"),
                                             &spec->features, &spec->n_features, err));
    TFN_RETURN_IF_ERROR(tfn__feast_set_texts(w, yyjson_obj_get(document, "join_keys"),
                                             &spec->join_keys, &spec->n_join_keys, err));
    TFN_RETURN_IF_ERROR(
        tfn__feast_set_pairs(w, yyjson_obj_get(document, "tags"), &spec->tags, &spec->n_tags, err));
    TFN_RETURN_IF_ERROR(
        tfn__feast_copy(w, spec->storage, &feast__storage__descriptor, &spec->storage, err));
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, spec->storage->file, &feast__file_options__descriptor,
                                        &spec->storage->file, err));
    spec->storage->file->uri = tfn__feast_member(w, document, "path");
    return TFN_OK;
}

tfn_code tfn__feast_make_saved_dataset(tfn__feast_writer *w, yyjson_val *document, const void *base,
                                       void **out, tfn_error *err)
{
    const Feast__SavedDataset *before = base;
    Feast__SavedDataset *to = NULL;
    bool is_same = false;
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, before, &feast__saved_dataset__descriptor, &to, err));
    TFN_RETURN_IF_ERROR(
        tfn__feast_copy(w, to->spec, &feast__saved_dataset_spec__descriptor, &to->spec, err));
    TFN_RETURN_IF_ERROR(
        tfn__feast_copy(w, to->meta, &feast__saved_dataset_meta__descriptor, &to->meta, err));
    TFN_RETURN_IF_ERROR(write_dataset(w, document, to->spec, err));
    TFN_RETURN_IF_ERROR(
        tfn__feast_set_time(w, document, "min_event_timestamp", &to->meta->min_event, err));
    TFN_RETURN_IF_ERROR(
        tfn__feast_set_time(w, document, "max_event_timestamp", &to->meta->max_event, err));
    TFN_RETURN_IF_ERROR(tfn__feast_is_same(w, before == NULL ? NULL : (const void *)before->spec,
                                           &to->spec->base, &is_same, err));
    *out = to;
    return tfn__feast_set_times(w, document, !is_same, &to->meta->created, &to->meta->last_updated,
                                err);
}

/* ---- validation references ---- */

tfn_code tfn__feast_make_validation_reference(tfn__feast_writer *w, yyjson_val *document,
                                              const void *base, void **out, tfn_error *err)
{
    const Feast__ValidationReference *before = base;
    Feast__ValidationReference *to = NULL;
    if (before == NULL) { /* Feast opens no file that has one without a profiler */
        return tfn__feast_refuse(
            document,
            "Feast stores its profiler as a pickle, and only Feast makes that; "
            "export into the file of Feast that has it, or delete it here",
            err);
    }
    TFN_RETURN_IF_ERROR(
        tfn__feast_copy(w, before, &feast__validation_reference__descriptor, &to, err));
    to->name = tfn__feast_member(w, document, "name");
    to->project = w->project;
    to->description = tfn__feast_member(w, document, "description");
    to->dataset_name = tfn__feast_member(w, yyjson_obj_get(document, "content"), "dataset_name");
    *out = to;
    return tfn__feast_set_pairs(w, yyjson_obj_get(document, "tags"), &to->tags, &to->n_tags, err);
}

/* ---- permissions ---- */

static const char *const resource_types[] = {
    "FeatureView",  "OnDemandFeatureView", "BatchFeatureView", "StreamFeatureView",
    "Entity",       "FeatureService",      "DataSource",       "ValidationReference",
    "SavedDataset", "Permission",          "Project",          "LabelView",
};
static const char *const actions[] = {
    "CREATE",      "DESCRIBE",     "UPDATE",       "DELETE",
    "READ_ONLINE", "READ_OFFLINE", "WRITE_ONLINE", "WRITE_OFFLINE",
};

/* Names as numbers; a number is one that is newer than the list. False: a name that is not in it. */
static bool number_of(yyjson_val *item, const char *const *names, size_t n_names, int32_t *out)
{
    if (yyjson_is_int(item)) {
        *out = (int32_t)yyjson_get_sint(item);
        return true;
    }
    for (size_t i = 0; i < n_names; i++) {
        if (yyjson_equals_str(item, names[i])) {
            *out = (int32_t)i;
            return true;
        }
    }
    return false;
}

static tfn_code set_numbers(tfn__feast_writer *w, yyjson_val *document, const char *key,
                            const char *const *names, size_t n_names, int32_t **numbers, size_t *n,
                            tfn_error *err)
{
    yyjson_val *array = yyjson_obj_get(yyjson_obj_get(document, "content"), key);
    yyjson_arr_iter items = yyjson_arr_iter_with(array);
    int32_t *list = NULL;
    size_t i = 0;
    TFN_RETURN_IF_ERROR(tfn__feast_alloc(w, yyjson_arr_size(array) + 1, sizeof *list, &list, err));
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        if (!number_of(item, names, n_names, &list[i])) {
            return tfn__feast_refuse(document, "it names a type or an action that Feast lacks",
                                     err);
        }
        i++;
    }
    *numbers = list;
    *n = i;
    return TFN_OK;
}

static tfn_code set_names(tfn__feast_writer *w, yyjson_val *policy, const char *key,
                          Feast__Policy__KindCase kind, Feast__Policy *to, tfn_error *err)
{
    const bool has = to->kind_case == kind;
    to->kind_case = kind;
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, has ? to->roles : NULL, &feast__names__descriptor,
                                        &to->roles, err)); /* one place for all of the union */
    return tfn__feast_set_texts(w, yyjson_obj_get(policy, key), &to->roles->names,
                                &to->roles->n_names, err);
}

static tfn_code set_both(tfn__feast_writer *w, yyjson_val *policy, Feast__Policy *to,
                         tfn_error *err)
{
    const bool has = to->kind_case == FEAST__POLICY__KIND_GROUPS_AND_NAMESPACES;
    to->kind_case = FEAST__POLICY__KIND_GROUPS_AND_NAMESPACES;
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, has ? to->groups_and_namespaces : NULL,
                                        &feast__groups_and_namespaces__descriptor,
                                        &to->groups_and_namespaces, err));
    Feast__GroupsAndNamespaces *both = to->groups_and_namespaces;
    TFN_RETURN_IF_ERROR(tfn__feast_set_texts(w, yyjson_obj_get(policy, "groups"), &both->groups,
                                             &both->n_groups, err));
    return tfn__feast_set_texts(w, yyjson_obj_get(policy, "namespaces"), &both->namespaces,
                                &both->n_namespaces, err);
}

static tfn_code write_policy(tfn__feast_writer *w, yyjson_val *document, Feast__Policy **out,
                             tfn_error *err)
{
    yyjson_val *policy = yyjson_obj_get(yyjson_obj_get(document, "content"), "policy");
    yyjson_val *class = yyjson_obj_get(policy, "class");
    Feast__Policy *to = NULL;
    if (*out == NULL && yyjson_equals_str(class, "AllowAll")) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, *out, &feast__policy__descriptor, &to, err));
    *out = to;
    if (yyjson_equals_str(class, "RoleBasedPolicy")) {
        return set_names(w, policy, "roles", FEAST__POLICY__KIND_ROLES, to, err);
    }
    if (yyjson_equals_str(class, "GroupBasedPolicy")) {
        return set_names(w, policy, "groups", FEAST__POLICY__KIND_GROUPS, to, err);
    }
    if (yyjson_equals_str(class, "NamespaceBasedPolicy")) {
        return set_names(w, policy, "namespaces", FEAST__POLICY__KIND_NAMESPACES, to, err);
    }
    if (yyjson_equals_str(class, "CombinedGroupNamespacePolicy")) {
        return set_both(w, policy, to, err);
    }
    to->kind_case = FEAST__POLICY__KIND__NOT_SET; /* anybody, or a kind among the unknown fields */
    return TFN_OK;
}

static tfn_code write_permission(tfn__feast_writer *w, yyjson_val *document,
                                 Feast__PermissionSpec *spec, tfn_error *err)
{
    yyjson_val *content = yyjson_obj_get(document, "content");
    spec->name = tfn__feast_member(w, document, "name");
    spec->project = w->project;
    TFN_RETURN_IF_ERROR(set_numbers(w, document, "types", resource_types,
                                    sizeof resource_types / sizeof *resource_types, &spec->types,
                                    &spec->n_types, err));
    TFN_RETURN_IF_ERROR(set_numbers(w, document, "actions", actions,
                                    sizeof actions / sizeof *actions, &spec->actions,
                                    &spec->n_actions, err));
    TFN_RETURN_IF_ERROR(tfn__feast_set_texts(w, yyjson_obj_get(content, "name_patterns"),
                                             &spec->name_patterns, &spec->n_name_patterns, err));
    TFN_RETURN_IF_ERROR(tfn__feast_set_pairs(w, yyjson_obj_get(content, "required_tags"),
                                             &spec->required_tags, &spec->n_required_tags, err));
    TFN_RETURN_IF_ERROR(
        tfn__feast_set_pairs(w, yyjson_obj_get(document, "tags"), &spec->tags, &spec->n_tags, err));
    return write_policy(w, document, &spec->policy, err);
}

tfn_code tfn__feast_make_permission(tfn__feast_writer *w, yyjson_val *document, const void *base,
                                    void **out, tfn_error *err)
{
    const Feast__Permission *before = base;
    Feast__Permission *to = NULL;
    bool is_same = false;
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, before, &feast__permission__descriptor, &to, err));
    TFN_RETURN_IF_ERROR(
        tfn__feast_copy(w, to->spec, &feast__permission_spec__descriptor, &to->spec, err));
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, to->meta, &feast__times__descriptor, &to->meta, err));
    TFN_RETURN_IF_ERROR(write_permission(w, document, to->spec, err));
    TFN_RETURN_IF_ERROR(tfn__feast_is_same(w, before == NULL ? NULL : (const void *)before->spec,
                                           &to->spec->base, &is_same, err));
    *out = to;
    return tfn__feast_set_times(w, document, !is_same, &to->meta->created, &to->meta->last_updated,
                                err);
}
