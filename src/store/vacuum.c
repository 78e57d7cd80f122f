/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Vacuum: which rows nobody reads any more. The engine removes them.
 *
 *   another project's view                 kept, whatever it holds: its definitions are not ours to
 *                                          know
 *   no definition names it                 all of it goes
 *   defined with online=False              all of it goes: no lookup may read it, nothing may write
 *                                          it; online again, it is loaded as if for the first time
 *   a ttl                                  rows that a lookup at `at` calls expired go
 *
 * A view is judged by the newest definitions each time the engine asks, so that one which is applied
 * while a vacuum runs is safe.
 */

#include "base/json.h"
#include "online/admin.h"
#include "store/store_internal.h"
#include "tiffin/online.h"

#include "base/poison.h"

typedef struct vacuum_call {
    tfn_store *store;
    const tfn_vacuum_request *request;
    tfn_instant now;
} vacuum_call;

/* The event time from which on rows are not expired: as lookups have it (lookup.c). */
static tfn_instant keep_from(const vacuum_call *call, const tfn_view_def *view)
{
    if (view->ttl_us == 0 || call->request->keeps_expired != 0) {
        return TFN_INSTANT_NONE;
    }
    const int64_t limit_us = tfn_time_sub(tfn_instant_to(call->now, TFN_UNIT_US), view->ttl_us);
    tfn_instant limit = tfn_instant_of(limit_us, TFN_UNIT_US);
    limit.nanos += call->now.nanos % 1000; /* what the microseconds lost */
    return limit;
}

static tfn_code judge(void *context, tfn_str project, tfn_str view, tfn_online_verdict *out,
                      tfn_error *err)
{
    const vacuum_call *call = context;
    tfn_snapshot *snapshot = NULL;
    const tfn_view_def *definition = NULL;
    *out = (tfn_online_verdict){.keep_from = TFN_INSTANT_NONE};
    if (!tfn_str_equal(project, tfn__store_get_project(call->store))) {
        out->is_kept = true;
        return TFN_OK;
    }
    tfn_error why = {0};
    TFN_RETURN_IF_ERROR(tfn__store_get_snapshot(call->store, TFN_FRESH, &snapshot, err));
    tfn_code rc = tfn_snapshot_find_view(snapshot, view, &definition, &why);
    if (rc == TFN_NOT_FOUND || (rc == TFN_OK && !definition->online)) {
        out->is_orphan = true;
        rc = TFN_OK;
    } else if (rc == TFN_OK) {
        out->keep_from = keep_from(call, definition);
    } else {
        rc = tfn_error_move(err, &why);
    }
    tfn_snapshot_release(snapshot);
    return rc;
}

/* A view that is gone online is materialized from its beginning, should it come back. */
static tfn_code forget_watermarks(const vacuum_call *call, const tfn_online_vacuumed *done,
                                  tfn_error *err)
{
    tfn_registry *registry = NULL;
    TFN_RETURN_IF_ERROR(tfn__store_get_registry(call->store, &registry, err));
    for (size_t i = 0; i < done->n_views; i++) {
        bool found = false;
        tfn_watermark watermark;
        const tfn_online_vacuumed_view *view = &done->views[i];
        if (!view->is_orphan || call->request->is_dry_run != 0) {
            continue;
        }
        TFN_RETURN_IF_ERROR(tfn_registry_get_watermark(
            registry, tfn__store_get_project(call->store), view->view, &found, &watermark, err));
        if (found) {
            TFN_RETURN_IF_ERROR(tfn_registry_forget_watermark(
                registry, tfn__store_get_project(call->store), view->view, err));
        }
    }
    return TFN_OK;
}

/* ---- report ---- */

static void add_view(yyjson_mut_doc *doc, yyjson_mut_val *views,
                     const tfn_online_vacuumed_view *view)
{
    if (!view->is_orphan && view->n_expired + view->n_orphaned + view->n_previous == 0) {
        return;
    }
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, views);
    (void)tfn_json_add_str(doc, object, "view", view->view);
    (void)yyjson_mut_obj_add_bool(doc, object, "is_orphan", view->is_orphan);
    (void)yyjson_mut_obj_add_uint(doc, object, "expired", view->n_expired);
    (void)yyjson_mut_obj_add_uint(doc, object, "orphaned", view->n_orphaned);
    (void)yyjson_mut_obj_add_uint(doc, object, "previous", view->n_previous);
}

static tfn_code make_report(const vacuum_call *call, const tfn_online_vacuumed *done, char **report,
                            tfn_error *err)
{
    static const char note[] =
        "online_ttl is not \"enforce\", so lookups serve expired rows as long as they are there; "
        "those that were removed are not found any more";
    static const char dry_note[] =
        "online_ttl is not \"enforce\", so lookups serve expired rows as long as they are there; "
        "after a vacuum they would not be found any more";
    yyjson_mut_doc *doc = NULL;
    TFN_RETURN_IF_ERROR(tfn_json_create(&doc, err));
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    const bool is_dry_run = call->request->is_dry_run != 0;
    (void)yyjson_mut_obj_add_bool(doc, root, "is_dry_run", is_dry_run);
    (void)tfn_json_add_time(doc, root, "at", call->now);
    yyjson_mut_val *views = yyjson_mut_obj_add_arr(doc, root, "views");
    uint64_t n_rows = done->n_unnamed;
    uint64_t n_expired = 0;
    for (size_t i = 0; i < done->n_views; i++) {
        const tfn_online_vacuumed_view *view = &done->views[i];
        add_view(doc, views, view);
        n_expired += view->n_expired;
        n_rows += view->n_expired + view->n_orphaned + view->n_previous;
    }
    (void)yyjson_mut_obj_add_uint(doc, root, "unnamed", done->n_unnamed);
    (void)yyjson_mut_obj_add_uint(doc, root, "rows", n_rows);
    const bool is_served = n_expired > 0 && call->store->online_ttl != TFN_ONLINE_TTL_ENFORCE;
    (void)tfn_json_add_str(doc, root, "note",
                           is_served ? tfn_str_of(is_dry_run ? dry_note : note) : tfn_str_of(""));
    const tfn_code rc = tfn_json_write(doc, report, err);
    tfn_json_destroy(doc);
    return rc;
}

/* How far it came, for the sentence of an error. */
static void add_progress(const tfn_online_vacuumed *done, tfn_error *err)
{
    uint64_t n_rows = done->n_unnamed;
    for (size_t i = 0; i < done->n_views; i++) {
        n_rows += done->views[i].n_expired + done->views[i].n_orphaned + done->views[i].n_previous;
    }
    if (n_rows > 0) {
        tfn_error_prepend(err, "%llu rows were removed before this: ", (unsigned long long)n_rows);
    }
}

/* Without any definition every row would be an orphan: that is a wrong registry, or a teardown. */
static tfn_code check_definitions(tfn_store *store, tfn_error *err)
{
    tfn_snapshot *snapshot = NULL;
    TFN_RETURN_IF_ERROR(tfn__store_get_snapshot(store, TFN_FRESH, &snapshot, err));
    const size_t n_views = tfn_snapshot_count(snapshot, TFN_OBJECT_VIEW);
    tfn_snapshot_release(snapshot);
    if (n_views == 0) {
        return TFN_FAIL(err, TFN_INVALID,
                        "registry '%s' has no feature view of project '%s', so all its online rows "
                        "would count as orphaned; run tiffin apply first, or tiffin teardown to "
                        "remove them all",
                        store->registry_path, store->project);
    }
    return TFN_OK;
}

tfn_code tfn_store_vacuum_online(tfn_store *store, const tfn_vacuum_request *request, char **report,
                                 tfn_error *err)
{
    *report = NULL;
    if (request->struct_size != sizeof *request) {
        return TFN_FAIL(err, TFN_INVALID, "a vacuum request of %zu bytes was given; expected %zu",
                        request->struct_size, sizeof *request);
    }
    vacuum_call call = {.store = store,
                        .request = request,
                        .now = request->at.is_set != 0 ? tfn__instant_of_time(request->at)
                                                       : tfn_clock_now(&store->clock)};
    const tfn_online_vacuum vacuum = {.judge = judge,
                                      .judge_context = &call,
                                      .is_dry_run = request->is_dry_run != 0,
                                      .drops_previous = request->drops_previous != 0,
                                      .watch = {request->tick, request->tick_context}};
    tfn_online *online = NULL;
    tfn_arena arena = {0};
    tfn_online_vacuumed removed = {0};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn__store_get_online(store, &online, err), done);
    TFN_GOTO_IF_ERROR(rc, check_definitions(store, err), done);
    rc = tfn_online_run_vacuum(online, &vacuum, &arena, &removed, err);
    if (rc != TFN_OK) {
        add_progress(&removed, err);
        goto done;
    }
    TFN_GOTO_IF_ERROR(rc, forget_watermarks(&call, &removed, err), done);
    TFN_GOTO_IF_ERROR(rc, make_report(&call, &removed, report, err), done);
done:
    tfn_arena_deinit(&arena);
    return rc;
}
