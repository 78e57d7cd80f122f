/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Backup of the online store: rows of one instant, and watermarks that claim no more than these.
 *
 *   generations -> watermarks -> rows (engine) -> backup.json, last
 *
 * A materialization commits its rows before its watermark. So a watermark that was read before the
 * rows were copied speaks of rows that are in the copy; one that was read after might not. That
 * fails if rows are taken back in between, by a rollback or a restore: then the copy is of another
 * generation than the one that was live before the watermark was read, and the backup keeps none of
 * that view. Restored, the view's next run reads more than it must, which changes nothing.
 *
 * Rejected: holding the views' turns (tfn_online_begin_turn) until the copy's read has begun. A
 * backup would wait for each materialization that runs.
 */

#include "base/hash.h"
#include "base/json.h"
#include "online/admin.h"
#include "online/backup_folder.h"
#include "online/online.h"
#include "store/backup_format.h"
#include "store/store_internal.h"
#include "tiffin/online.h"

#include "base/poison.h"

typedef struct backup_run {
    tfn_store *store;
    const char *folder;
    tfn_snapshot *snapshot;
    const tfn_view_def **views;
    tfn_online_copy *copies;
    tfn_watermark *watermarks;
    bool *has_watermark;
    uint32_t *generations; /* live before the watermarks were read */
    size_t n_views;
    tfn_arena arena;
    tfn_instant created;
    char hash[TFN_HASH_TEXT_BYTES];
    int64_t n_bytes;
    yyjson_mut_doc *doc;
} backup_run;

/* The generation first: see above. */
static tfn_code read_watermark(backup_run *run, tfn_online *online, size_t i, tfn_error *err)
{
    tfn_registry *registry = NULL;
    tfn_online_state state = {0};
    const tfn_str project = tfn__store_get_project(run->store);
    const tfn_str view = run->views[i]->name;
    TFN_RETURN_IF_ERROR(tfn__store_get_registry(run->store, &registry, err));
    TFN_RETURN_IF_ERROR(tfn_online_get_state(online, project, view, &state, err));
    run->generations[i] = state.generation;
    return tfn_registry_get_watermark(registry, project, view, &run->has_watermark[i],
                                      &run->watermarks[i], err);
}

/* Of rows that were exchanged while their watermark was read, none is kept. */
static void drop_doubtful_watermarks(backup_run *run)
{
    for (size_t i = 0; i < run->n_views; i++) {
        run->has_watermark[i] =
            run->has_watermark[i] && run->copies[i].generation == run->generations[i];
    }
}

/* The views that are online, and how far each is materialized. */
static tfn_code choose_views(backup_run *run, tfn_online *online, tfn_error *err)
{
    const size_t n = tfn_snapshot_count(run->snapshot, TFN_OBJECT_VIEW);
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&run->arena, n, sizeof *run->views, &p, err));
    run->views = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&run->arena, n, sizeof *run->copies, &p, err));
    run->copies = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&run->arena, n, sizeof *run->watermarks, &p, err));
    run->watermarks = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&run->arena, n, sizeof *run->has_watermark, &p, err));
    run->has_watermark = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&run->arena, n, sizeof *run->generations, &p, err));
    run->generations = p;
    for (size_t i = 0; i < n; i++) {
        const tfn_str name = tfn_snapshot_get_name(run->snapshot, TFN_OBJECT_VIEW, i);
        const tfn_view_def *view = NULL;
        TFN_RETURN_IF_ERROR(tfn_snapshot_find_view(run->snapshot, name, &view, err));
        if (!view->online) {
            continue;
        }
        const size_t k = run->n_views++;
        run->views[k] = view;
        run->copies[k].view = view->name;
        TFN_RETURN_IF_ERROR(read_watermark(run, online, k, err));
    }
    return TFN_OK;
}

/* ---- backup.json ---- */

static void describe_keys(backup_run *run, yyjson_mut_val *object, const tfn_view_def *view)
{
    yyjson_mut_val *keys = yyjson_mut_obj_add_arr(run->doc, object, "keys");
    for (size_t i = 0; i < view->n_keys; i++) {
        char type[TFN_TYPE_TEXT_BYTES];
        tfn_type_format(view->keys[i].type, type);
        yyjson_mut_val *key = yyjson_mut_arr_add_obj(run->doc, keys);
        (void)tfn_json_add_str(run->doc, key, "name", view->keys[i].name);
        (void)tfn_json_add_str(run->doc, key, "type", tfn_str_of(type));
    }
}

static void describe_view(backup_run *run, yyjson_mut_val *views, size_t i)
{
    yyjson_mut_doc *doc = run->doc;
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, views);
    (void)tfn_json_add_str(doc, object, "view", run->views[i]->name);
    describe_keys(run, object, run->views[i]);
    (void)yyjson_mut_obj_add_uint(doc, object, "rows", run->copies[i].n_rows);
    if (!run->has_watermark[i]) {
        (void)yyjson_mut_obj_add_null(doc, object, "watermark");
        return;
    }
    yyjson_mut_val *watermark = yyjson_mut_obj_add_obj(doc, object, "watermark");
    (void)tfn_json_add_time(doc, watermark, "start", run->watermarks[i].start);
    (void)tfn_json_add_time(doc, watermark, "end", run->watermarks[i].end);
    (void)tfn_json_add_time(doc, watermark, "created_bound", run->watermarks[i].created_bound);
}

static tfn_code describe(backup_run *run, char **text, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_json_create(&run->doc, err));
    yyjson_mut_doc *doc = run->doc;
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    (void)tfn_json_add_str(doc, root, "kind", tfn_str_of(TFN__BACKUP_KIND));
    (void)yyjson_mut_obj_add_int(doc, root, "format", TFN__BACKUP_FORMAT);
    (void)tfn_json_add_str(doc, root, "tiffin", tfn_str_of(tfn_version()));
    (void)tfn_json_add_str(doc, root, "project", tfn__store_get_project(run->store));
    (void)tfn_json_add_time(doc, root, "created", run->created);
    yyjson_mut_val *data = yyjson_mut_obj_add_obj(doc, root, "data");
    (void)yyjson_mut_obj_add_int(doc, data, "bytes", run->n_bytes);
    (void)tfn_json_add_str(doc, data, "xxh3_128", tfn_str_of(run->hash));
    yyjson_mut_val *views = yyjson_mut_obj_add_arr(doc, root, "views");
    for (size_t i = 0; i < run->n_views; i++) {
        if (run->copies[i].is_known) { /* of the others there is nothing to bring back */
            describe_view(run, views, i);
        }
    }
    return tfn_json_write(doc, text, err);
}

static tfn_code write_folder(backup_run *run, tfn_online *online, tfn_online_watch watch,
                             tfn_error *err)
{
    char *text = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_online_write_backup(online, run->folder, tfn__store_get_project(run->store),
                                run->copies, run->n_views, watch, run->hash, &run->n_bytes, err));
    drop_doubtful_watermarks(run);
    TFN_RETURN_IF_ERROR(describe(run, &text, err));
    const tfn_code rc = tfn_backup_folder_seal(run->folder, tfn_str_of(text), err);
    tfn_text_destroy(text);
    return rc;
}

static tfn_code run_backup(backup_run *run, tfn_online_watch watch, tfn_error *err)
{
    tfn_online *online = NULL;
    bool is_made = false;
    int lock = -1;
    TFN_RETURN_IF_ERROR(tfn__store_get_online(run->store, &online, err));
    TFN_RETURN_IF_ERROR(tfn__store_get_snapshot(run->store, TFN_FRESH, &run->snapshot, err));
    TFN_RETURN_IF_ERROR(choose_views(run, online, err));
    TFN_RETURN_IF_ERROR(tfn_backup_folder_make(run->folder, &is_made, &lock, err));
    const tfn_code rc = write_folder(run, online, watch, err);
    if (rc != TFN_OK) {
        tfn_backup_folder_clear(run->folder, is_made);
    }
    tfn_backup_folder_unlock(lock);
    return rc;
}

static tfn_code make_report(const backup_run *run, double seconds, char **report, tfn_error *err)
{
    yyjson_mut_val *root = yyjson_mut_doc_get_root(run->doc);
    (void)tfn_json_add_str(run->doc, root, "folder", tfn_str_of(run->folder));
    (void)yyjson_mut_obj_add_real(run->doc, root, "seconds", seconds);
    return tfn_json_write(run->doc, report, err);
}

tfn_code tfn_store_backup_online(tfn_store *store, const char *folder, tfn_tick_fn tick,
                                 void *tick_context, char **report, tfn_error *err)
{
    *report = NULL;
    backup_run run = {.store = store, .folder = folder, .created = tfn_clock_now(&store->clock)};
    const tfn_online_watch watch = {tick, tick_context};
    const double started_s = tfn_clock_monotonic_s();
    tfn_code rc = run_backup(&run, watch, err);
    if (rc == TFN_OK) {
        rc = make_report(&run, tfn_clock_monotonic_s() - started_s, report, err);
    } else {
        tfn_error_prepend(err, "backing up to '%s': ", folder);
    }
    tfn_json_destroy(run.doc);
    tfn_snapshot_release(run.snapshot);
    tfn_arena_deinit(&run.arena);
    return rc;
}
