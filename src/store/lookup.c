/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Lookups: the request path of serving.
 *
 *   prepare   request text -> plan: views, key columns, wanted fields (again after a commit)
 *   run       key values -> key bytes, once per set of key columns -> one fetch of all views
 *                  (online/online.h) -> rows in the answer's arena -> how old they are
 *
 * What a run allocates: the answer, and blocks of its arena. Their number follows the bytes of the
 * rows, not how many rows, views or features there are.
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

/* ---- plans: the newest one ---- */

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
        TFN_GOTO_IF_ERROR(
            rc, tfn__lookup_plan_create(lookup->store, snapshot, lookup->request, &plan, err),
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
    TFN_GOTO_IF_ERROR(rc, tfn__lookup_plan_create(store, snapshot, features, &lookup->plan, err),
                      done);
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

size_t tfn_lookup_get_n_views(const tfn_lookup *lookup)
{
    return lookup->first->selection.n_views;
}

size_t tfn_lookup_get_n_features(const tfn_lookup *lookup)
{
    return lookup->first->selection.n_outputs;
}

/* ---- run ---- */

/* What one run needs while it reads; everything else is in the answer. */
typedef struct lookup_run {
    tfn_lookup_plan *plan; /* [borrow] the answer owns it */
    tfn_answer *answer;
    tfn_online_ask *asks; /* one per view */
    const tfn_str **keys; /* one array of encoded keys per key set */
    tfn_instant now;
    int64_t max_age_us; /* 0: any */
} lookup_run;

/* At most one warning per view: judge_view ends with it. */
static tfn_code warn(lookup_run *run, const char *sentence, tfn_error *err)
{
    tfn_answer *answer = run->answer;
    if (answer->warnings == NULL) {
        void *p = NULL;
        TFN_RETURN_IF_ERROR(
            tfn_arena_alloc(&answer->arena, run->plan->selection.n_views, sizeof(char *), &p, err));
        answer->warnings = p;
    }
    answer->warnings[answer->n_warnings++] = sentence;
    return TFN_OK;
}

/* Key values as cells, column by column. Text is the caller's still. */
static tfn_code read_key_column(lookup_run *run, const tfn_value *values, size_t i_key,
                                size_t *n_bytes, tfn_error *err)
{
    tfn_answer *answer = run->answer;
    const tfn_lookup_key *key = &run->plan->keys[i_key];
    const size_t n_keys = run->plan->n_keys;
    for (size_t i = i_key; i < answer->n_rows * n_keys; i += n_keys) {
        tfn_type type = key->type;
        if (type.kind == TFN_KIND_INT64 && values[i].kind == TFN_VALUE_INT64) {
            answer->keys[i] = (tfn_cell){.bits = (uint64_t)values[i].integer}; /* as a rule */
        } else {
            TFN_RETURN_IF_ERROR(
                tfn__cell_of_value(&type, key->name, &values[i], &answer->keys[i], err));
        }
        answer->key_units[i] = type.unit;
        *n_bytes += answer->keys[i].bytes.n;
    }
    return TFN_OK;
}

static tfn_code read_keys(lookup_run *run, const tfn_value *values, tfn_error *err)
{
    tfn_answer *answer = run->answer;
    const size_t n_cells = answer->n_rows * run->plan->n_keys; /* create_answer has checked it */
    size_t n_bytes = 0;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&answer->arena, n_cells, sizeof(tfn_cell), &p, err));
    answer->keys = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&answer->arena, n_cells, sizeof(uint8_t), &p, err));
    answer->key_units = p;
    for (size_t k = 0; k < run->plan->n_keys; k++) {
        TFN_RETURN_IF_ERROR(read_key_column(run, values, k, &n_bytes, err));
    }
    if (n_bytes == 0) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&answer->arena, n_bytes, 1, &p, err));
    char *to = p; /* the caller's memory ends with the call */
    for (size_t i = 0; i < n_cells; i++) {
        tfn_str *text = &answer->keys[i].bytes;
        if (text->n > 0) {
            text->p = memcpy(to, text->p, text->n);
            to += text->n;
        }
    }
    return TFN_OK;
}

/* The cells of one entity row that are its key by a set, and the set's plan (`own` when the row has
 * other units); false: one of them is null, so there is no key. */
static bool gather_parts(const lookup_run *run, const tfn_lookup_key_set *set, size_t i_row,
                         tfn_cell *parts, tfn_key_plan *own, const tfn_key_plan **plan)
{
    const size_t i_first = i_row * run->plan->n_keys;
    bool has_units = true;
    *plan = &set->key_plan;
    for (size_t k = 0; k < set->key_plan.n_parts; k++) {
        const size_t i_cell = i_first + set->i_keys[k];
        parts[k] = run->answer->keys[i_cell];
        if (parts[k].is_null) {
            return false;
        }
        has_units = has_units && run->answer->key_units[i_cell] == set->key_plan.parts[k].unit;
    }
    if (!has_units) {
        *own = set->key_plan;
        for (size_t k = 0; k < own->n_parts; k++) {
            own->parts[k].unit = run->answer->key_units[i_first + set->i_keys[k]];
        }
        *plan = own;
    }
    return true;
}

/* Most bytes that the keys of all rows can take. */
static tfn_code measure_keys(const lookup_run *run, const tfn_lookup_key_set *set, size_t *n_most,
                             tfn_error *err)
{
    const size_t n_rows = run->answer->n_rows;
    *n_most = 0;
    if (set->key_plan.is_fixed) {
        *n_most = n_rows * set->key_plan.fixed_bytes;
        return TFN_OK;
    }
    for (size_t i = 0; i < n_rows; i++) {
        tfn_cell parts[TFN_MAX_KEY_PARTS];
        tfn_key_plan own;
        const tfn_key_plan *plan = NULL;
        size_t n = 0;
        if (gather_parts(run, set, i, parts, &own, &plan)) {
            TFN_RETURN_IF_ERROR(tfn_key_measure_cells(plan, parts, &n, err));
            *n_most += n; /* a key is bounded, and as many cells have found room */
        }
    }
    return TFN_OK;
}

/* Encode the keys of all rows by one set. A key that equals the one before it is the same text. */
static tfn_code encode_keys(lookup_run *run, size_t i_key_set, tfn_error *err)
{
    const tfn_lookup_key_set *set = &run->plan->key_sets[i_key_set];
    tfn_answer *answer = run->answer;
    size_t n_most = 0;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&answer->arena, answer->n_rows, sizeof(tfn_str), &p, err));
    tfn_str *keys = p;
    TFN_RETURN_IF_ERROR(measure_keys(run, set, &n_most, err));
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&answer->arena, n_most, 1, &p, err));
    char *to = p;
    tfn_str last = {0};
    for (size_t i = 0; i < answer->n_rows; i++) {
        tfn_cell parts[TFN_MAX_KEY_PARTS];
        tfn_key_plan own;
        const tfn_key_plan *plan = NULL;
        keys[i] = (tfn_str){0};
        if (!gather_parts(run, set, i, parts, &own, &plan)) {
            continue;
        }
        tfn_str key = {to, 0};
        TFN_RETURN_IF_ERROR(tfn_key_write_cells(plan, parts, to, &key.n, err));
        if (last.p == NULL || !tfn_str_equal(key, last)) {
            to += key.n;
            last = key;
        }
        keys[i] = last;
    }
    run->keys[i_key_set] = keys;
    return TFN_OK;
}

/* ---- how old is too old ---- */

/* The oldest event time that an age leaves. */
static tfn_instant oldest_of(tfn_instant now, int64_t age_us)
{
    const int64_t limit_us = tfn_time_sub(tfn_instant_to(now, TFN_UNIT_US), age_us);
    tfn_instant limit = tfn_instant_of(limit_us, TFN_UNIT_US);
    limit.nanos += now.nanos % 1000; /* what the microseconds lost */
    return limit;
}

static tfn_code judge_view(lookup_run *run, size_t i_view, tfn_error *err)
{
    const tfn_view_def *view = run->plan->views[i_view].selected->view;
    const tfn_online_ttl online_ttl = run->plan->store->online_ttl;
    const tfn_online_ask *ask = &run->asks[i_view];
    bool *expired = run->answer->expired + i_view * run->answer->n_rows;
    if (!ask->is_known) {
        return warn(run, run->plan->views[i_view].warning_of_nothing, err);
    }
    const bool has_ttl = view->ttl_us != 0 && online_ttl != TFN_ONLINE_TTL_IGNORE;
    const bool has_max_age = run->max_age_us != 0;
    if (!has_ttl && !has_max_age) {
        return TFN_OK;
    }
    const tfn_instant by_ttl = oldest_of(run->now, view->ttl_us);
    const tfn_instant by_max_age = oldest_of(run->now, run->max_age_us);
    bool is_old_served = false;
    for (size_t i = 0; i < ask->n_keys; i++) {
        if (ask->found[i].i_fields == NULL) {
            continue;
        }
        const tfn_instant event = ask->found[i].row.event;
        const bool is_past_ttl = has_ttl && tfn_instant_compare(event, by_ttl) < 0;
        expired[i] = (has_max_age && tfn_instant_compare(event, by_max_age) < 0) ||
                     (is_past_ttl && online_ttl == TFN_ONLINE_TTL_ENFORCE);
        is_old_served = is_old_served || (is_past_ttl && !expired[i]);
    }
    if (is_old_served) {
        return warn(run, run->plan->views[i_view].warning_of_age, err);
    }
    return TFN_OK;
}

/* ---- all of it ---- */

static tfn_code read_views(lookup_run *run, tfn_error *err)
{
    const size_t n_views = run->plan->selection.n_views;
    tfn_answer *answer = run->answer;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc(&answer->arena, run->plan->n_key_sets, sizeof *run->keys, &p, err));
    run->keys = p;
    for (size_t i = 0; i < run->plan->n_key_sets; i++) {
        TFN_RETURN_IF_ERROR(encode_keys(run, i, err));
    }
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&answer->arena, n_views, sizeof *run->asks, &p, err));
    run->asks = p;
    for (size_t i = 0; i < n_views; i++) {
        const tfn_lookup_view *view = &run->plan->views[i];
        run->asks[i] = (tfn_online_ask){.query = view->query,
                                        .keys = run->keys[view->i_key_set],
                                        .n_keys = answer->n_rows,
                                        .found = answer->found + i * answer->n_rows};
    }
    TFN_RETURN_IF_ERROR(
        tfn_online_fetch(run->plan->store->online, run->asks, n_views, &answer->arena, err));
    for (size_t i = 0; i < n_views; i++) {
        TFN_RETURN_IF_ERROR(judge_view(run, i, err));
    }
    return TFN_OK;
}

/* Bytes that an answer surely takes, and a guess at its rows; later blocks are larger. */
static size_t guess_bytes(const tfn_lookup_plan *plan, size_t n_rows)
{
    enum { ROW_BYTES = 128, KEY_BYTES = 32, SMALL_BYTES = 512, MOST_BYTES = 1024 * 1024 };
    const size_t of_view = sizeof(tfn_found_row) + sizeof(bool) + ROW_BYTES;
    const size_t of_key = sizeof(tfn_cell) + sizeof(uint8_t);
    const size_t of_set = sizeof(tfn_str) + KEY_BYTES;
    const size_t a_row =
        1 + plan->selection.n_views * of_view + plan->n_keys * of_key + plan->n_key_sets * of_set;
    const size_t fixed = SMALL_BYTES + plan->selection.n_views * sizeof(tfn_online_ask);
    return n_rows < MOST_BYTES / a_row ? fixed + n_rows * a_row : MOST_BYTES;
}

static tfn_code create_answer(tfn_lookup_plan *plan, size_t n_rows, tfn_answer **out,
                              tfn_error *err)
{
    enum { MOST_KEY_BYTES = TFN_MAX_KEY_PARTS * 64 }; /* of fixed width, and more than a cell's */
    *out = NULL;
    size_t n_found = 0;
    size_t n_cells = 0;
    size_t n_key_bytes = 0;
    if (!tfn_mem_mul(plan->selection.n_views, n_rows, &n_found) ||
        !tfn_mem_mul(plan->n_keys, n_rows, &n_cells) ||
        !tfn_mem_mul(MOST_KEY_BYTES, n_rows, &n_key_bytes)) {
        return TFN_FAIL(err, TFN_LIMIT, "%zu entity rows are too many for one call", n_rows);
    }
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_answer), &p, err));
    tfn_answer *answer = p;
    atomic_init(&answer->n_owners, 1);
    answer->plan = tfn__lookup_plan_retain(plan);
    answer->n_rows = n_rows;
    tfn_code rc = tfn_arena_reserve(&answer->arena, guess_bytes(plan, n_rows), err);
    if (rc == TFN_OK) {
        rc = tfn_arena_alloc_zero(&answer->arena, n_found, sizeof(tfn_found_row), &p, err);
        answer->found = p;
    }
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
                        const tfn_lookup_opts *opts, tfn_answer **out, tfn_error *err)
{
    static const tfn_lookup_opts defaults = {.struct_size = sizeof defaults};
    *out = NULL;
    lookup_run run = {0};
    tfn_code rc = TFN_OK;
    opts = opts != NULL ? opts : &defaults;
    if (opts->struct_size < sizeof *opts) {
        return TFN_FAIL(err, TFN_INVALID,
                        "tfn_lookup_opts.struct_size is %zu; set it to sizeof(tfn_lookup_opts)",
                        opts->struct_size);
    }
    if (opts->max_age_us < 0) {
        return TFN_FAIL(err, TFN_INVALID,
                        "max_age is %lld microseconds; give a positive age, or none",
                        (long long)opts->max_age_us);
    }
    run.max_age_us = opts->max_age_us;
    run.now = opts->at.is_set != 0 ? tfn__instant_of_time(opts->at)
                                   : tfn_clock_now(&lookup->store->clock);
    TFN_GOTO_IF_ERROR(rc, get_plan(lookup, &run.plan, err), done);
    TFN_GOTO_IF_ERROR(rc, create_answer(run.plan, n_rows, &run.answer, err), done);
    TFN_GOTO_IF_ERROR(rc, read_keys(&run, keys, err), done);
    TFN_GOTO_IF_ERROR(rc, read_views(&run, err), done);
    *out = run.answer;
    run.answer = NULL;
done:
    tfn_answer_destroy(run.answer);
    tfn__lookup_plan_release(run.plan);
    return rc;
}
