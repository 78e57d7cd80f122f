/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Rollback: a view's rows online as they were before its last large load.
 *
 *   turn -> watermark lowered -> rows flipped -> watermark of those rows -> turn ended
 *
 * The watermark of a generation is kept beside its rows, in the record that the flip writes
 * (tfn_online_mark): what is online and how far it goes are found together or not at all.
 *
 * Invariants
 *  1. At each instant the watermark claims no more than what is online: it is lowered to what both
 *     states hold before the flip and raised after it. A process that dies in between leaves a view
 *     that the next run reads more of than it must, which changes nothing (write rule).
 *  2. Nobody reads the watermark for a run, or sets it, meanwhile: runs and rollbacks of a view
 *     take turns (tfn_online_begin_turn).
 */

#include "base/json.h"
#include "online/online.h"
#include "store/store_internal.h"

#include "base/poison.h"

typedef struct view_rollback {
    tfn_registry *registry;
    tfn_online *online;
    tfn_str project;
    tfn_str view;
    bool had_watermark;
    tfn_watermark now; /* of the rows that are live */
    bool has_target;
    tfn_watermark target; /* of those that will be */
    tfn_online_rolled_back done;
} view_rollback;

/* ---- watermarks ---- */

static tfn_code read_watermarks(view_rollback *r, tfn_error *err)
{
    tfn_online_previous previous = {0};
    TFN_RETURN_IF_ERROR(tfn_registry_get_watermark(r->registry, r->project, r->view,
                                                   &r->had_watermark, &r->now, err));
    TFN_RETURN_IF_ERROR(tfn_online_get_previous(r->online, r->project, r->view, &previous, err));
    const tfn_str mark = {(const char *)previous.mark, previous.n_mark};
    r->has_target = previous.generation != 0 && tfn_watermark_unpack(mark, &r->target);
    if (previous.generation == 0) { /* the sentence is the engine's */
        const tfn_str none = {0};
        return tfn_online_rollback(r->online, r->project, r->view, none, TFN_ONLINE_REPLAY,
                                   &r->done, err);
    }
    return TFN_OK;
}

static tfn_instant lower(tfn_instant a, tfn_instant b)
{
    return tfn_instant_compare(a, b) < 0 ? a : b;
}

static tfn_instant higher(tfn_instant a, tfn_instant b)
{
    return tfn_instant_compare(a, b) > 0 ? a : b;
}

/* What both states hold. */
static tfn_code lower_watermark(const view_rollback *r, tfn_error *err)
{
    if (!r->had_watermark) {
        return TFN_OK;
    }
    if (!r->has_target) {
        return tfn_registry_forget_watermark(r->registry, r->project, r->view, err);
    }
    const tfn_watermark both = {
        .start = higher(r->now.start, r->target.start),
        .end = lower(r->now.end, r->target.end),
        .created_bound = lower(r->now.created_bound, r->target.created_bound),
    };
    return tfn_registry_set_watermark(r->registry, r->project, r->view, &both, NULL, err);
}

static tfn_code set_target(const view_rollback *r, tfn_error *err)
{
    if (!r->has_target) {
        return TFN_OK;
    }
    const tfn_code rc =
        tfn_registry_set_watermark(r->registry, r->project, r->view, &r->target, NULL, err);
    if (rc != TFN_OK) { /* the lowered one stays, which is true */
        tfn_error_prepend(err, "the rows are rolled back, the watermark is not: ");
    }
    return rc;
}

/* The rows stay as they are, so their watermark is true again. If it cannot be set, the lower one
 * stays, which is true as well. */
static void restore_watermark(const view_rollback *r)
{
    tfn_error second = {0};
    if (r->had_watermark) {
        const tfn_code rc =
            tfn_registry_set_watermark(r->registry, r->project, r->view, &r->now, NULL, &second);
        (void)rc;
    }
}

/* ---- all ---- */

static tfn_code roll_back(view_rollback *r, tfn_online_pushes pushes, tfn_error *err)
{
    uint8_t packed[TFN_WATERMARK_BYTES];
    tfn_str mark = {0};
    TFN_RETURN_IF_ERROR(read_watermarks(r, err));
    if (r->had_watermark) {
        tfn_watermark_pack(&r->now, packed);
        mark = (tfn_str){(const char *)packed, sizeof packed};
    }
    TFN_RETURN_IF_ERROR(lower_watermark(r, err));
    const tfn_code rc =
        tfn_online_rollback(r->online, r->project, r->view, mark, pushes, &r->done, err);
    if (rc != TFN_OK) {
        restore_watermark(r);
        return rc;
    }
    return set_target(r, err);
}

static tfn_code write_report(const view_rollback *r, char **report, tfn_error *err)
{
    yyjson_mut_doc *doc = NULL;
    TFN_RETURN_IF_ERROR(tfn_json_create(&doc, err));
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    (void)tfn_json_add_str(doc, root, "view", r->view);
    (void)yyjson_mut_obj_add_uint(doc, root, "rows", r->done.n_rows);
    (void)yyjson_mut_obj_add_uint(doc, root, "keys_replayed", r->done.n_replayed);
    (void)tfn_json_add_time(doc, root, "materialized_until",
                            r->has_target ? r->target.end : TFN_INSTANT_NONE);
    const tfn_code rc = tfn_json_write(doc, report, err);
    tfn_json_destroy(doc);
    return rc;
}

tfn_code tfn_store_rollback(tfn_store *store, const char *view, int32_t drop_pushes, char **report,
                            tfn_error *err)
{
    *report = NULL;
    view_rollback r = {.project = tfn__store_get_project(store), .view = tfn_str_of(view)};
    const tfn_view_def *def = NULL;
    tfn_snapshot *snapshot = NULL;
    tfn_online_turn *turn = NULL;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn__store_get_registry(store, &r.registry, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__store_get_snapshot(store, TFN_FRESH, &snapshot, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_snapshot_find_view(snapshot, r.view, &def, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__store_get_online(store, &r.online, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_online_begin_turn(r.online, r.project, r.view, &turn, err), done);
    TFN_GOTO_IF_ERROR(
        rc, roll_back(&r, drop_pushes != 0 ? TFN_ONLINE_DROP : TFN_ONLINE_REPLAY, err), done);
    TFN_GOTO_IF_ERROR(rc, write_report(&r, report, err), done);
done:
    tfn_online_end_turn(turn);
    tfn_snapshot_release(snapshot);
    if (rc != TFN_OK) {
        tfn_error_prepend(err, "rolling back '%s': ", view);
    }
    return rc;
}
