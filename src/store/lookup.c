/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Lookups: the request path of serving.
 *
 *   prepare   request text -> plan: views, key columns, wanted fields (again after a commit)
 *   run       keys -> key bytes -> one fetch of all views (online/online.h)
 *                  -> rows in the answer's arena
 *
 * A run takes one short mutex (to retain the plan) and touches the registry only to compare a
 * generation number; values are decoded when they are asked for (answer.c).
 *
 * Invariants
 *  1. A plan is immutable once published.
 *  2. A lookup's key names and kinds never change; a commit that would change them makes runs fail
 *     with TFN_CONFLICT, so that no caller sends keys in an order that no longer holds.
 */

#include "store/lookup.h"

#include <string.h>

#include "base/mem.h"
#include "store/value.h"

#include "base/poison.h"

struct tfn_lookup {
    tfn_store *store; /* [own] one reference */
    char *request;
    tfn_lookup_plan *first; /* names that callers have borrowed */
    tfn_lock lock;          /* guards `plan`; lock 2 of ARCHITECTURE.md */
    tfn_lookup_plan *plan;
};

/* ---- plans ---- */

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
    TFN_RETURN_IF_ERROR(tfn_key_plan_init(&out->key_plan, types, view->n_keys, err));
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc(&plan->arena, selected->n_features, sizeof(tfn_row_field), &p, err));
    tfn_row_field *wanted = p;
    for (size_t i = 0; i < selected->n_features; i++) {
        const tfn_feature_def *feature = &view->features[selected->features[i]];
        wanted[i] = (tfn_row_field){feature->name, feature->type};
    }
    out->selected = selected;
    out->i_keys = i_keys;
    out->wanted = wanted;
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
    for (size_t i = 0; i < plan->selection.n_views; i++) {
        TFN_RETURN_IF_ERROR(compile_view(plan, &plan->selection.views[i], &plan->views[i], err));
    }
    return TFN_OK;
}

static tfn_code create_plan(tfn_store *store, tfn_snapshot *snapshot, const char *request,
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

static tfn_code check_same_keys(const tfn_lookup_plan *first, const tfn_lookup_plan *plan,
                                tfn_error *err)
{
    bool same = first->n_keys == plan->n_keys;
    for (size_t i = 0; same && i < plan->n_keys; i++) {
        same = tfn_str_equal(first->keys[i].name, plan->keys[i].name) &&
               tfn_type_same(first->keys[i].type, plan->keys[i].type);
    }
    if (!same) {
        return TFN_FAIL(
            err, TFN_CONFLICT,
            "the join keys of this request changed with a newer apply; prepare it again");
    }
    return TFN_OK;
}

static tfn_lookup_plan *retain_current(tfn_lookup *lookup)
{
    tfn_lock_take(&lookup->lock);
    tfn_lookup_plan *plan = tfn__lookup_plan_retain(lookup->plan);
    tfn_lock_give(&lookup->lock);
    return plan;
}

/* Make a plan the current one, unless somebody has made a newer one meanwhile. */
static void publish(tfn_lookup *lookup, tfn_lookup_plan *fresh)
{
    tfn_lock_take(&lookup->lock);
    tfn_lookup_plan *old = NULL;
    if (lookup->plan->generation < fresh->generation) {
        old = lookup->plan;
        lookup->plan = tfn__lookup_plan_retain(fresh);
    }
    tfn_lock_give(&lookup->lock);
    tfn__lookup_plan_release(old);
}

/* The plan for the newest state of the registry; retained. A new one is compiled outside of the
 * lock: two threads may do it at once, and both plans are right. */
static tfn_code get_plan(tfn_lookup *lookup, tfn_lookup_plan **out, tfn_error *err)
{
    *out = NULL;
    tfn_snapshot *snapshot = NULL;
    TFN_RETURN_IF_ERROR(tfn__store_get_snapshot(lookup->store, TFN_CACHED, &snapshot, err));
    tfn_lookup_plan *plan = retain_current(lookup);
    tfn_code rc = TFN_OK;
    if (plan->generation < tfn_snapshot_get_generation(snapshot)) {
        tfn__lookup_plan_release(plan);
        plan = NULL;
        TFN_GOTO_IF_ERROR(rc, create_plan(lookup->store, snapshot, lookup->request, &plan, err),
                          done);
        TFN_GOTO_IF_ERROR(rc, check_same_keys(lookup->first, plan, err), done);
        publish(lookup, plan);
    }
    *out = plan;
    plan = NULL;
done:
    tfn__lookup_plan_release(plan);
    tfn_snapshot_release(snapshot);
    return rc;
}

/* ---- prepare ---- */

void tfn_lookup_destroy(tfn_lookup *lookup)
{
    if (lookup == NULL) {
        return;
    }
    tfn__lookup_plan_release(lookup->plan);
    tfn__lookup_plan_release(lookup->first);
    tfn_lock_deinit(&lookup->lock);
    tfn_mem_free(lookup->request);
    tfn__store_release(lookup->store);
    tfn_mem_free(lookup);
}

tfn_code tfn_store_prepare(tfn_store *store, const char *features, tfn_lookup **out, tfn_error *err)
{
    *out = NULL;
    tfn_online *online = NULL;
    TFN_RETURN_IF_ERROR(tfn__store_get_online(store, &online, err));
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_lookup), &p, err));
    tfn_lookup *lookup = p;
    tfn_snapshot *snapshot = NULL;
    tfn_code rc = TFN_OK;
    tfn_lock_init(&lookup->lock);
    lookup->store = tfn__store_retain(store);
    TFN_GOTO_IF_ERROR(rc, tfn_mem_copy_text(features, &lookup->request, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__store_get_snapshot(store, TFN_FRESH, &snapshot, err), done);
    TFN_GOTO_IF_ERROR(rc, create_plan(store, snapshot, features, &lookup->plan, err), done);
    lookup->first = tfn__lookup_plan_retain(lookup->plan);
    *out = lookup;
    lookup = NULL;
done:
    tfn_snapshot_release(snapshot);
    tfn_lookup_destroy(lookup);
    return rc;
}

const char *tfn_lookup_get_key_name(const tfn_lookup *lookup, size_t i)
{
    return i < lookup->first->n_keys ? lookup->first->keys[i].name.p : NULL;
}

int32_t tfn_lookup_get_key_kind(const tfn_lookup *lookup, size_t i)
{
    return i < lookup->first->n_keys ? lookup->first->keys[i].type.kind : TFN_VALUE_NULL;
}

/* ---- run ---- */

/* What one run needs while it reads; everything else is in the answer. */
typedef struct lookup_run {
    tfn_lookup_plan *plan; /* [borrow] the answer owns it */
    tfn_answer *answer;
    tfn_online_ask *asks; /* one per view */
    tfn_buf key;
    tfn_instant now;
} lookup_run;

/* At most one warning per view: read_view ends with it. */
static tfn_code warn(lookup_run *run, tfn_str view, const char *what, tfn_error *err)
{
    tfn_answer *answer = run->answer;
    if (answer->warnings == NULL) {
        void *p = NULL;
        TFN_RETURN_IF_ERROR(
            tfn_arena_alloc(&answer->arena, run->plan->selection.n_views, sizeof(char *), &p, err));
        answer->warnings = p;
    }
    tfn_buf text = {0};
    tfn_code rc = tfn_buf_add_format(&text, err, "feature view '%.*s' %s", TFN_STR_ARG(view), what);
    if (rc == TFN_OK) {
        rc = tfn_arena_copy(&answer->arena, text.p, text.n, &answer->warnings[answer->n_warnings],
                            err);
        answer->n_warnings += rc == TFN_OK ? 1 : 0;
    }
    tfn_buf_deinit(&text);
    return rc;
}

static tfn_code read_keys(lookup_run *run, const tfn_value *keys, tfn_error *err)
{
    const tfn_lookup_plan *plan = run->plan;
    tfn_answer *answer = run->answer;
    size_t n_cells = 0;
    if (!tfn_mem_mul(answer->n_rows, plan->n_keys, &n_cells)) {
        return TFN_FAIL(err, TFN_LIMIT, "%zu entity rows are too many for one call",
                        answer->n_rows);
    }
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&answer->arena, n_cells, sizeof(tfn_cell), &p, err));
    answer->keys = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&answer->arena, n_cells, sizeof(uint8_t), &p, err));
    answer->key_units = p;
    for (size_t i = 0; i < n_cells; i++) {
        const tfn_lookup_key *key = &plan->keys[i % plan->n_keys];
        tfn_cell *cell = &answer->keys[i];
        tfn_type type = key->type;
        TFN_RETURN_IF_ERROR(tfn__cell_of_value(&type, key->name, &keys[i], cell, err));
        answer->key_units[i] = type.unit;
        if (cell->bytes.n > 0) { /* the caller's memory ends with the call */
            TFN_RETURN_IF_ERROR(
                tfn_arena_copy(&answer->arena, cell->bytes.p, cell->bytes.n, &cell->bytes.p, err));
        }
    }
    return TFN_OK;
}

/* Key bytes of one entity row for one view; false: a part is null, so there is no key. */
static tfn_code encode_key(lookup_run *run, const tfn_lookup_view *view, size_t i_row,
                           bool *has_key, tfn_error *err)
{
    tfn_cell parts[TFN_MAX_KEY_PARTS];
    const size_t i_first = i_row * run->plan->n_keys;
    bool has_units = true; /* the plan's own */
    *has_key = true;
    for (size_t k = 0; k < view->key_plan.n_parts; k++) {
        const size_t i_cell = i_first + view->i_keys[k];
        parts[k] = run->answer->keys[i_cell];
        *has_key = *has_key && !parts[k].is_null;
        has_units = has_units && run->answer->key_units[i_cell] == view->key_plan.parts[k].unit;
    }
    if (!*has_key) {
        return TFN_OK;
    }
    tfn_buf_clear(&run->key);
    if (has_units) {
        return tfn_key_encode_cells(&view->key_plan, parts, &run->key, err);
    }
    tfn_key_plan plan = view->key_plan;
    for (size_t k = 0; k < plan.n_parts; k++) {
        plan.parts[k].unit = run->answer->key_units[i_first + view->i_keys[k]];
    }
    return tfn_key_encode_cells(&plan, parts, &run->key, err);
}

static bool is_expired(const tfn_view_def *view, tfn_instant event, tfn_instant now)
{
    if (view->ttl_us == 0) {
        return false;
    }
    const int64_t limit_us = tfn_time_sub(tfn_instant_to(now, TFN_UNIT_US), view->ttl_us);
    tfn_instant limit = tfn_instant_of(limit_us, TFN_UNIT_US);
    limit.nanos += now.nanos % 1000; /* what the microseconds lost */
    return tfn_instant_compare(event, limit) < 0;
}

/* The keys of a view, in the answer's arena. */
static tfn_code make_ask(lookup_run *run, size_t i_view, tfn_error *err)
{
    const tfn_lookup_view *view = &run->plan->views[i_view];
    tfn_answer *answer = run->answer;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc_zero(&answer->arena, answer->n_rows, sizeof(tfn_str), &p, err));
    tfn_str *keys = p;
    for (size_t i = 0; i < answer->n_rows; i++) {
        bool has_key = false;
        TFN_RETURN_IF_ERROR(encode_key(run, view, i, &has_key, err));
        if (has_key && run->key.n > 0) {
            TFN_RETURN_IF_ERROR(
                tfn_arena_copy(&answer->arena, run->key.p, run->key.n, &keys[i].p, err));
            keys[i].n = run->key.n;
        } else if (has_key) {
            keys[i] = tfn_str_of(""); /* a view without entities */
        }
    }
    run->asks[i_view] = (tfn_online_ask){.query = view->query,
                                         .keys = keys,
                                         .n_keys = answer->n_rows,
                                         .found = answer->found + i_view * answer->n_rows};
    return TFN_OK;
}

static tfn_code judge_view(lookup_run *run, size_t i_view, tfn_error *err)
{
    const tfn_view_def *view = run->plan->views[i_view].selected->view;
    const tfn_online_ttl online_ttl = run->plan->store->online_ttl;
    const tfn_online_ask *ask = &run->asks[i_view];
    bool *expired = run->answer->expired + i_view * run->answer->n_rows;
    if (!ask->is_known) {
        return warn(run, view->name,
                    "was never materialized, so none of its features is found; run "
                    "materialize",
                    err);
    }
    bool any_expired = false;
    for (size_t i = 0; i < ask->n_keys; i++) {
        if (ask->found[i].i_fields != NULL && is_expired(view, ask->found[i].row.event, run->now)) {
            any_expired = true;
            expired[i] = online_ttl == TFN_ONLINE_TTL_ENFORCE;
        }
    }
    if (any_expired && online_ttl == TFN_ONLINE_TTL_ABSENT) {
        return warn(run, view->name,
                    "serves values that are older than its ttl; set online_ttl: enforce "
                    "to get nulls for them, or online_ttl: ignore to keep them",
                    err);
    }
    return TFN_OK;
}

static tfn_code read_views(lookup_run *run, tfn_error *err)
{
    const size_t n_views = run->plan->selection.n_views;
    tfn_arena *arena = &run->answer->arena;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(arena, n_views, sizeof *run->asks, &p, err));
    run->asks = p;
    for (size_t i = 0; i < n_views; i++) {
        TFN_RETURN_IF_ERROR(make_ask(run, i, err));
    }
    TFN_RETURN_IF_ERROR(tfn_online_fetch(run->plan->store->online, run->asks, n_views, arena, err));
    for (size_t i = 0; i < n_views; i++) {
        TFN_RETURN_IF_ERROR(judge_view(run, i, err));
    }
    return TFN_OK;
}

static tfn_code create_answer(tfn_lookup_plan *plan, size_t n_rows, tfn_answer **out,
                              tfn_error *err)
{
    *out = NULL;
    size_t n_found = 0;
    if (!tfn_mem_mul(plan->selection.n_views, n_rows, &n_found)) {
        return TFN_FAIL(err, TFN_LIMIT, "%zu entity rows are too many for one call", n_rows);
    }
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_answer), &p, err));
    tfn_answer *answer = p;
    answer->plan = tfn__lookup_plan_retain(plan);
    answer->n_rows = n_rows;
    tfn_code rc = tfn_arena_alloc_zero(&answer->arena, n_found, sizeof(tfn_found_row), &p, err);
    answer->found = p;
    if (rc == TFN_OK) {
        rc = tfn_arena_alloc_zero(&answer->arena, n_found, sizeof(bool), &p, err);
        answer->expired = p;
    }
    if (rc != TFN_OK) {
        tfn_answer_destroy(answer);
        return rc;
    }
    *out = answer;
    return TFN_OK;
}

tfn_code tfn_lookup_run(tfn_lookup *lookup, const tfn_value *keys, size_t n_rows,
                        const tfn_time *at, tfn_answer **out, tfn_error *err)
{
    *out = NULL;
    lookup_run run = {0};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, get_plan(lookup, &run.plan, err), done);
    TFN_GOTO_IF_ERROR(rc, create_answer(run.plan, n_rows, &run.answer, err), done);
    run.now = at != NULL && at->is_set != 0 ? tfn__instant_of_time(*at)
                                            : tfn_clock_now(&lookup->store->clock);
    TFN_GOTO_IF_ERROR(rc, read_keys(&run, keys, err), done);
    TFN_GOTO_IF_ERROR(rc, read_views(&run, err), done);
    *out = run.answer;
    run.answer = NULL;
done:
    tfn_buf_deinit(&run.key);
    tfn_answer_destroy(run.answer);
    tfn__lookup_plan_release(run.plan);
    return rc;
}
