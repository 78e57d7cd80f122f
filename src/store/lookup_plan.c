/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Plans of lookups: a request compiled against one snapshot.
 *
 *   views      as selected: wanted fields, a query of the online store
 *   keys       distinct key columns over all views: what an entity row consists of
 *   key sets   distinct lists of key columns: views that share one have their keys encoded once
 */

#include "store/lookup.h"

#include <string.h>

#include "base/mem.h"

#include "base/poison.h"

tfn_lookup_plan *tfn__lookup_plan_retain(tfn_lookup_plan *plan)
{
    atomic_fetch_add_explicit(&plan->n_owners, 1, memory_order_relaxed);
    return plan;
}

void tfn__lookup_plan_release(tfn_lookup_plan *plan)
{
    if (plan == NULL || atomic_fetch_sub_explicit(&plan->n_owners, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; plan->views != NULL && i < plan->selection.n_views; i++) {
        tfn_online_query_destroy(plan->views[i].query);
    }
    tfn__selection_deinit(&plan->selection);
    tfn_arena_deinit(&plan->arena);
    tfn__store_release(plan->store);
    tfn_mem_free(plan);
}

/* Index of a key column in the plan, adding it when it is new. Two views that take the same column
 * as keys of two types cannot be asked together. */
static tfn_code add_key(tfn_lookup_plan *plan, tfn_str name, tfn_type type, uint32_t *i_key,
                        tfn_error *err)
{
    for (size_t i = 0; i < plan->n_keys; i++) {
        if (!tfn_str_equal(plan->keys[i].name, name)) {
            continue;
        }
        if (!tfn_type_same(plan->keys[i].type, type)) {
            return TFN_FAIL(
                err, TFN_INVALID,
                "join key '%.*s' has different types in the views that were asked for; ask "
                "for them one by one",
                TFN_STR_ARG(name));
        }
        *i_key = (uint32_t)i;
        return TFN_OK;
    }
    tfn_lookup_key key = {.name = {NULL, name.n}, .type = type};
    TFN_RETURN_IF_ERROR(tfn_arena_copy(&plan->arena, name.p, name.n, &key.name.p, err));
    *i_key = (uint32_t)plan->n_keys;
    plan->keys[plan->n_keys++] = key;
    return TFN_OK;
}

/* The set of these key columns, added when it is new. */
static tfn_code add_key_set(tfn_lookup_plan *plan, const uint32_t *i_keys, const tfn_type *types,
                            size_t n_parts, size_t *i_key_set, tfn_error *err)
{
    for (size_t i = 0; i < plan->n_key_sets; i++) {
        const tfn_lookup_key_set *known = &plan->key_sets[i];
        if (known->key_plan.n_parts == n_parts &&
            (n_parts == 0 || memcmp(known->i_keys, i_keys, n_parts * sizeof *i_keys) == 0)) {
            *i_key_set = i;
            return TFN_OK;
        }
    }
    tfn_lookup_key_set *fresh = &plan->key_sets[plan->n_key_sets];
    fresh->i_keys = i_keys;
    TFN_RETURN_IF_ERROR(tfn_key_plan_init(&fresh->key_plan, types, n_parts, err));
    *i_key_set = plan->n_key_sets++;
    return TFN_OK;
}

/* A sentence about a view, in the plan's arena. */
static tfn_code write_warning(tfn_lookup_plan *plan, tfn_str view, const char *what,
                              const char **out, tfn_error *err)
{
    tfn_buf text = {0};
    tfn_code rc = tfn_buf_add_format(&text, err, "feature view '%.*s' %s", TFN_STR_ARG(view), what);
    if (rc == TFN_OK) {
        rc = tfn_arena_copy(&plan->arena, text.p, text.n, out, err);
    }
    tfn_buf_deinit(&text);
    return rc;
}

static tfn_code write_warnings(tfn_lookup_plan *plan, tfn_str view, tfn_lookup_view *out,
                               tfn_error *err)
{
    TFN_RETURN_IF_ERROR(write_warning(
        plan, view,
        "has no features to be found: nothing was ever written to it; materialize or push",
        &out->warning_of_nothing, err));
    return write_warning(plan, view,
                         "serves values that are older than its ttl; set online_ttl: enforce to "
                         "get nulls for them, or online_ttl: ignore to keep them",
                         &out->warning_of_age, err);
}

static tfn_code compile_view(tfn_lookup_plan *plan, const tfn_selected_view *selected,
                             tfn_lookup_view *out, tfn_error *err)
{
    const tfn_view_def *view = selected->view;
    tfn_type types[TFN_MAX_KEY_PARTS];
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&plan->arena, view->n_keys, sizeof(uint32_t), &p, err));
    uint32_t *i_keys = p;
    for (size_t i = 0; i < view->n_keys && i < TFN_MAX_KEY_PARTS; i++) {
        types[i] = view->keys[i].type;
        TFN_RETURN_IF_ERROR(add_key(plan, selected->key_columns[i], types[i], &i_keys[i], err));
    }
    TFN_RETURN_IF_ERROR(add_key_set(plan, i_keys, types, view->n_keys, &out->i_key_set, err));
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc(&plan->arena, selected->n_features, sizeof(tfn_row_field), &p, err));
    tfn_row_field *wanted = p;
    for (size_t i = 0; i < selected->n_features; i++) {
        const tfn_feature_def *feature = &view->features[selected->features[i]];
        wanted[i] = (tfn_row_field){feature->name, feature->type};
    }
    out->selected = selected;
    out->wanted = wanted;
    TFN_RETURN_IF_ERROR(tfn_arena_copy(&plan->arena, view->name.p, view->name.n, &out->name, err));
    TFN_RETURN_IF_ERROR(write_warnings(plan, view->name, out, err));
    tfn_online_view described = {0};
    TFN_RETURN_IF_ERROR(
        tfn__store_describe_online_view(plan->store, view, &plan->arena, &described, err));
    return tfn_online_query_create(plan->store->online, &described, wanted, selected->n_features,
                                   &out->query, err);
}

static tfn_code compile(tfn_lookup_plan *plan, tfn_snapshot *snapshot, const char *request,
                        tfn_error *err)
{
    plan->generation = tfn_snapshot_get_generation(snapshot);
    TFN_RETURN_IF_ERROR(tfn__selection_init(snapshot, request, &plan->selection, err));
    size_t n_keys_most = 0;
    for (size_t i = 0; i < plan->selection.n_views; i++) {
        n_keys_most += plan->selection.views[i].view->n_keys;
    }
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&plan->arena, n_keys_most, sizeof *plan->keys, &p, err));
    plan->keys = p;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc_zero(&plan->arena, plan->selection.n_views, sizeof *plan->views, &p, err));
    plan->views = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&plan->arena, plan->selection.n_views,
                                             sizeof *plan->key_sets, &p, err));
    plan->key_sets = p;
    for (size_t i = 0; i < plan->selection.n_views; i++) {
        TFN_RETURN_IF_ERROR(compile_view(plan, &plan->selection.views[i], &plan->views[i], err));
    }
    return TFN_OK;
}

tfn_code tfn__lookup_plan_create(tfn_store *store, tfn_snapshot *snapshot, const char *request,
                                 tfn_lookup_plan **out, tfn_error *err)
{
    *out = NULL;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_lookup_plan), &p, err));
    tfn_lookup_plan *plan = p;
    atomic_init(&plan->n_owners, 1);
    plan->store = tfn__store_retain(store);
    const tfn_code rc = compile(plan, snapshot, request, err);
    if (rc != TFN_OK) {
        tfn__lookup_plan_release(plan);
        return rc;
    }
    *out = plan;
    return TFN_OK;
}
