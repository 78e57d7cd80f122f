/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Which objects a document names, without resolving them: to know who uses what is to be removed.
 * A projection names a view of either kind: both are listed, and one of them exists.
 */

#include "registry/registry_internal.h"

#include "base/poison.h"

typedef struct reference_list {
    tfn__reference *items;
    size_t n;
} reference_list;

static void add_reference(reference_list *list, tfn_object_kind kind, yyjson_val *name)
{
    if (yyjson_is_str(name)) {
        list->items[list->n] = (tfn__reference){kind, tfn__json_get_str(name)};
        list->n++;
    }
}

static void add_references(reference_list *list, tfn_object_kind kind, yyjson_val *names)
{
    yyjson_arr_iter items = yyjson_arr_iter_with(names);
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        add_reference(list, kind, item);
    }
}

tfn_code tfn__references_get(tfn_arena *a, const tfn__entry *entry, tfn__reference **out, size_t *n,
                             tfn_error *err)
{
    yyjson_val *root = NULL;
    void *p = NULL;
    *out = NULL;
    *n = 0;
    TFN_RETURN_IF_ERROR(tfn__json_read(a, entry->body, "a stored document", &root, err));
    yyjson_val *entities = yyjson_obj_get(root, "entities");
    yyjson_val *requests = yyjson_obj_get(root, "request_sources");
    const bool is_on_demand = entry->kind == TFN_OBJECT_ON_DEMAND_VIEW;
    yyjson_val *projections = yyjson_obj_get(root, is_on_demand ? "sources" : "features");
    const size_t n_most = 2 + yyjson_arr_size(entities) + yyjson_arr_size(requests) +
                          2 * yyjson_arr_size(projections);
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(a, n_most, sizeof(tfn__reference), &p, err));
    reference_list list = {p, 0};
    if (entry->kind == TFN_OBJECT_SOURCE) { /* an empty name is no object's */
        add_reference(&list, TFN_OBJECT_SOURCE, yyjson_obj_get(root, "batch_source"));
    }
    if (entry->kind == TFN_OBJECT_VIEW) {
        add_reference(&list, TFN_OBJECT_SOURCE, yyjson_obj_get(root, "source"));
    }
    if (entry->kind == TFN_OBJECT_VIEW || is_on_demand) {
        add_references(&list, TFN_OBJECT_ENTITY, entities);
        add_references(&list, TFN_OBJECT_SOURCE, requests);
    }
    if (entry->kind == TFN_OBJECT_SERVICE || is_on_demand) {
        yyjson_arr_iter items = yyjson_arr_iter_with(projections);
        for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
             item = yyjson_arr_iter_next(&items)) {
            add_reference(&list, TFN_OBJECT_VIEW, yyjson_obj_get(item, "view"));
            add_reference(&list, TFN_OBJECT_ON_DEMAND_VIEW, yyjson_obj_get(item, "view"));
        }
    }
    *out = list.items;
    *n = list.n;
    return TFN_OK;
}
