/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Kinds of objects by name, and the small questions that decoded definitions answer. */

#include "registry/definition.h"

#include "registry/registry_internal.h"

#include "base/poison.h"

typedef struct kind_info {
    const char *name;
    const char *words;
} kind_info;

static const kind_info kinds[TFN__N_KINDS] = {
    [0] = {"object", "object"},
    [TFN_OBJECT_PROJECT] = {"project", "project"},
    [TFN_OBJECT_ENTITY] = {"entity", "entity"},
    [TFN_OBJECT_SOURCE] = {"data_source", "data source"},
    [TFN_OBJECT_VIEW] = {"feature_view", "feature view"},
    [TFN_OBJECT_SERVICE] = {"feature_service", "feature service"},
    [TFN_OBJECT_SAVED_DATASET] = {"saved_dataset", "saved dataset"},
    [TFN_OBJECT_ON_DEMAND_VIEW] = {"on_demand_feature_view", "on-demand feature view"},
    [TFN_OBJECT_VALIDATION_REFERENCE] = {"validation_reference", "validation reference"},
    [TFN_OBJECT_PERMISSION] = {"permission", "permission"},
};

const tfn_object_kind tfn__kinds_in_order[TFN__N_KINDS - 1] = {
    TFN_OBJECT_PROJECT,        TFN_OBJECT_ENTITY,
    TFN_OBJECT_SOURCE,         TFN_OBJECT_VIEW,
    TFN_OBJECT_ON_DEMAND_VIEW, TFN_OBJECT_SERVICE,
    TFN_OBJECT_SAVED_DATASET,  TFN_OBJECT_VALIDATION_REFERENCE,
    TFN_OBJECT_PERMISSION,
};

static size_t index_of(tfn_object_kind kind)
{
    const int i = (int)kind;
    return i > 0 && i < TFN__N_KINDS && kinds[i].name != NULL ? (size_t)i : 0;
}

const char *tfn_object_kind_name(tfn_object_kind kind)
{
    return kinds[index_of(kind)].name;
}

const char *tfn_object_kind_words(tfn_object_kind kind)
{
    return kinds[index_of(kind)].words;
}

tfn_code tfn_object_kind_parse(tfn_str text, tfn_object_kind *out, tfn_error *err)
{
    *out = TFN_OBJECT_NONE;
    for (size_t i = 1; i < TFN__N_KINDS; i++) {
        if (kinds[i].name != NULL && tfn_str_is(text, kinds[i].name)) {
            *out = (tfn_object_kind)i;
            return TFN_OK;
        }
    }
    char quoted[TFN__SUBJECT_BYTES];
    tfn__name_format(text, quoted);
    return TFN_FAIL(err, TFN_INVALID,
                    "there is no kind of object %s; there are project, entity, data_source, "
                    "feature_view, on_demand_feature_view, feature_service, saved_dataset, "
                    "validation_reference and permission",
                    quoted);
}

tfn_str tfn_source_def_get_column(const tfn_source_def *source, tfn_str name)
{
    for (size_t i = 0; i < source->n_field_mapping; i++) {
        if (tfn_str_equal(source->field_mapping[i].to, name)) {
            return source->field_mapping[i].from;
        }
    }
    return name;
}

int64_t tfn_view_find_feature(const tfn_view_def *view, tfn_str name)
{
    for (size_t i = 0; i < view->n_features; i++) {
        if (tfn_str_equal(view->features[i].name, name)) {
            return (int64_t)i;
        }
    }
    return -1;
}

int64_t tfn_view_find_key(const tfn_view_def *view, tfn_str name)
{
    for (size_t i = 0; i < view->n_keys; i++) {
        if (tfn_str_equal(view->keys[i].name, name)) {
            return (int64_t)i;
        }
    }
    return -1;
}

int64_t tfn_on_demand_find_output(const tfn_on_demand_def *view, tfn_str name)
{
    for (size_t i = 0; i < view->n_outputs; i++) {
        if (tfn_str_equal(view->outputs[i].name, name)) {
            return (int64_t)i;
        }
    }
    return -1;
}
