/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Two canonical documents of one object -> its change, field by field.
 *
 * Members are walked in step, as both documents have them sorted. Three kinds of members are taken
 * apart further, so that a plan says what changed and not that something did:
 *   maps (tags, field_mapping)    "tags.team"
 *   schema, by name of the field  "schema.delay" (added or removed: its type), "schema.delay.dtype"
 *   features of a service, by the alias or name of the view  "features.weather.features"
 * Arrays that differ in order only are shown as their names, old and new.
 */

#include "registry/registry_internal.h"

#include "base/poison.h"

typedef struct differ {
    tfn_buf *out;
    tfn_arena *scratch;
    bool is_first;
} differ;

/* A field's path: up to three names with dots between. */
typedef struct path {
    tfn_str parts[3];
    size_t n;
} path;

static path extend(const path *base, tfn_str part)
{
    path longer = *base;
    longer.parts[longer.n] = part;
    longer.n++;
    return longer;
}

static tfn_code add_path(const differ *d, const path *at, tfn_error *err)
{
    tfn_buf text = {0};
    tfn_code rc = TFN_OK;
    for (size_t i = 0; i < at->n && rc == TFN_OK; i++) {
        rc = tfn_buf_add(&text, ".", i == 0 ? 0 : 1, err);
        if (rc == TFN_OK) {
            rc = tfn_buf_add_str(&text, at->parts[i], err);
        }
    }
    if (rc == TFN_OK) {
        rc = tfn_json_add_text(d->out, tfn_buf_get_str(&text), err);
    }
    tfn_buf_deinit(&text);
    return rc;
}

static tfn_code add_difference(differ *d, const path *at, yyjson_val *before, yyjson_val *after,
                               tfn_error *err)
{
    TFN_RETURN_IF_ERROR(
        tfn_buf_add_text(d->out, d->is_first ? "{\"field\":" : ",{\"field\":", err));
    d->is_first = false;
    TFN_RETURN_IF_ERROR(add_path(d, at, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(d->out, ",\"old\":", err));
    TFN_RETURN_IF_ERROR(tfn__json_add_value(d->out, before, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(d->out, ",\"new\":", err));
    TFN_RETURN_IF_ERROR(tfn__json_add_value(d->out, after, err));
    return tfn_buf_add(d->out, "}", 1, err);
}

/* ---- objects with sorted members ---- */

typedef tfn_code (*member_fn)(differ *d, const path *at, yyjson_val *before, yyjson_val *after,
                              tfn_error *err);

/* Call `on_pair` for each member that differs; a side that lacks it is NULL. */
static tfn_code walk_members(differ *d, const path *base, yyjson_val *before, yyjson_val *after,
                             member_fn on_pair, tfn_error *err)
{
    yyjson_obj_iter olds = yyjson_obj_iter_with(before);
    yyjson_obj_iter news = yyjson_obj_iter_with(after);
    yyjson_val *old = yyjson_obj_iter_next(&olds);
    yyjson_val *new = yyjson_obj_iter_next(&news);
    while (old != NULL || new != NULL) {
        int order = old == NULL ? 1 : -1;
        if (old != NULL && new != NULL) {
            order = tfn_str_compare(tfn__json_get_str(old), tfn__json_get_str(new));
        }
        yyjson_val *old_value = order <= 0 ? yyjson_obj_iter_get_val(old) : NULL;
        yyjson_val *new_value = order >= 0 ? yyjson_obj_iter_get_val(new) : NULL;
        const path at = extend(base, tfn__json_get_str(order <= 0 ? old : new));
        if (!tfn__json_equal(old_value, new_value)) {
            TFN_RETURN_IF_ERROR(on_pair(d, &at, old_value, new_value, err));
        }
        old = order <= 0 ? yyjson_obj_iter_next(&olds) : old;
        new = order >= 0 ? yyjson_obj_iter_next(&news) : new;
    }
    return TFN_OK;
}

/* ---- arrays of objects with a name ---- */

static tfn_str get_item_name(yyjson_val *item)
{
    const tfn_str alias = tfn__json_get_str(yyjson_obj_get(item, "name_alias"));
    if (alias.n > 0) {
        return alias;
    }
    yyjson_val *name = yyjson_obj_get(item, "name");
    return tfn__json_get_str(name != NULL ? name : yyjson_obj_get(item, "view"));
}

/* What stands for a whole item: the type of a field, the features of a projection. */
static yyjson_val *get_summary(yyjson_val *item)
{
    yyjson_val *type = yyjson_obj_get(item, "dtype");
    return type != NULL ? type : yyjson_obj_get(item, "features");
}

/* Name -> index + 1 of the array; false in `*is_unique` when a name stands twice. */
static tfn_code index_items(yyjson_val *array, tfn_map *index, bool *is_unique, tfn_error *err)
{
    yyjson_arr_iter items = yyjson_arr_iter_with(array);
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        uint32_t i = 0;
        if (tfn_map_get(index, get_item_name(item), &i)) {
            *is_unique = false;
        }
        TFN_RETURN_IF_ERROR(tfn_map_put(index, get_item_name(item), (uint32_t)items.idx, err));
    }
    return TFN_OK;
}

static tfn_code list_items(differ *d, yyjson_val *array, yyjson_val ***out, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc(d->scratch, yyjson_arr_size(array) + 1, sizeof(yyjson_val *), &p, err));
    *out = p;
    yyjson_arr_iter items = yyjson_arr_iter_with(array);
    for (size_t i = 0; i < items.max; i++) {
        (*out)[i] = yyjson_arr_iter_next(&items);
    }
    return TFN_OK;
}

/* Items of `from` that `to` lacks; and, when both have them, what differs inside. */
static tfn_code add_items(differ *d, const path *at, yyjson_val *old_array,
                          const tfn_map *old_index, yyjson_val *new_array, const tfn_map *new_index,
                          tfn_error *err)
{
    yyjson_val **olds = NULL;
    TFN_RETURN_IF_ERROR(list_items(d, old_array, &olds, err));
    yyjson_arr_iter items = yyjson_arr_iter_with(new_array);
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        uint32_t i = 0;
        const path inner = extend(at, get_item_name(item));
        if (!tfn_map_get(old_index, get_item_name(item), &i)) {
            TFN_RETURN_IF_ERROR(add_difference(d, &inner, NULL, get_summary(item), err));
        } else {
            TFN_RETURN_IF_ERROR(walk_members(d, &inner, olds[i - 1], item, add_difference, err));
        }
    }
    items = yyjson_arr_iter_with(old_array);
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        uint32_t i = 0;
        const path inner = extend(at, get_item_name(item));
        if (!tfn_map_get(new_index, get_item_name(item), &i)) {
            TFN_RETURN_IF_ERROR(add_difference(d, &inner, get_summary(item), NULL, err));
        }
    }
    return TFN_OK;
}

static tfn_code add_item_names(differ *d, yyjson_val *array, tfn_error *err)
{
    yyjson_arr_iter items = yyjson_arr_iter_with(array);
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(d->out, items.idx == 1 ? "[" : ",", err));
        TFN_RETURN_IF_ERROR(tfn_json_add_text(d->out, get_item_name(item), err));
    }
    return tfn_buf_add_text(d->out, "]", err);
}

/* The same items in another order. */
static tfn_code add_reorder(differ *d, const path *at, yyjson_val *before, yyjson_val *after,
                            tfn_error *err)
{
    TFN_RETURN_IF_ERROR(
        tfn_buf_add_text(d->out, d->is_first ? "{\"field\":" : ",{\"field\":", err));
    d->is_first = false;
    TFN_RETURN_IF_ERROR(add_path(d, at, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(d->out, ",\"old\":", err));
    TFN_RETURN_IF_ERROR(add_item_names(d, before, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(d->out, ",\"new\":", err));
    TFN_RETURN_IF_ERROR(add_item_names(d, after, err));
    return tfn_buf_add(d->out, "}", 1, err);
}

static tfn_code add_array(differ *d, const path *at, yyjson_val *before, yyjson_val *after,
                          tfn_error *err)
{
    tfn_map old_index = {0};
    tfn_map new_index = {0};
    bool is_unique = true;
    const size_t n_before = d->out->n;
    tfn_code rc = index_items(before, &old_index, &is_unique, err);
    if (rc == TFN_OK) {
        rc = index_items(after, &new_index, &is_unique, err);
    }
    if (rc == TFN_OK && !is_unique) {
        rc = add_difference(d, at, before, after, err);
    } else if (rc == TFN_OK) {
        rc = add_items(d, at, before, &old_index, after, &new_index, err);
    }
    if (rc == TFN_OK && d->out->n == n_before) {
        rc = add_reorder(d, at, before, after, err);
    }
    tfn_map_deinit(&old_index);
    tfn_map_deinit(&new_index);
    return rc;
}

/* ---- a document ---- */

static bool is_array_of_objects(yyjson_val *value)
{
    return yyjson_is_arr(value) && yyjson_is_obj(yyjson_arr_get_first(value));
}

/* A member of the document itself. */
static tfn_code add_member(differ *d, const path *at, yyjson_val *before, yyjson_val *after,
                           tfn_error *err)
{
    if (yyjson_is_obj(before) && yyjson_is_obj(after)) {
        return walk_members(d, at, before, after, add_difference, err);
    }
    if (is_array_of_objects(before) && is_array_of_objects(after)) {
        return add_array(d, at, before, after, err);
    }
    return add_difference(d, at, before, after, err);
}

static const char *action_name(tfn_str before, tfn_str after)
{
    if (before.n == 0) {
        return "add";
    }
    return after.n == 0 ? "remove" : "change";
}

static tfn_code read_document(tfn_arena *scratch, tfn_str text, yyjson_val **out, tfn_error *err)
{
    *out = NULL;
    return text.n == 0 ? TFN_OK : tfn__json_read(scratch, text, "a stored document", out, err);
}

tfn_code tfn__diff_add_change(tfn_buf *b, tfn_arena *scratch, tfn_object_kind kind, tfn_str name,
                              tfn_str before, tfn_str after, tfn_error *err)
{
    yyjson_val *old = NULL;
    yyjson_val *new = NULL;
    const path nothing = {.n = 0};
    differ d = {b, scratch, true};
    TFN_RETURN_IF_ERROR(read_document(scratch, before, &old, err));
    TFN_RETURN_IF_ERROR(read_document(scratch, after, &new, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_format(b, err, "{\"action\":\"%s\",\"kind\":\"%s\",\"name\":",
                                           action_name(before, after), tfn_object_kind_name(kind)));
    TFN_RETURN_IF_ERROR(tfn_json_add_text(b, name, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(b, ",\"inferred\":", err));
    yyjson_val *inferred = yyjson_obj_get(new, "inferred");
    if (inferred == NULL) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(b, "[]", err));
    } else {
        TFN_RETURN_IF_ERROR(tfn__json_add_value(b, inferred, err));
    }
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(b, ",\"fields\":[", err));
    if (old != NULL && new != NULL) {
        TFN_RETURN_IF_ERROR(walk_members(&d, &nothing, old, new, add_member, err));
    }
    return tfn_buf_add_text(b, "]}", err);
}
