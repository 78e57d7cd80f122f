/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Restore of an online backup.
 *
 *   backup.json read and checked -> bytes of data.mdb checked -> rows loaded beside the live ones
 *   -> watermarks forgotten -> all views change over at once -> watermarks set
 *
 * Whenever the process dies, a view's watermark claims no more than its rows hold: before the change
 * over it is forgotten (the next incremental run then loads more than it must), and it is set only
 * after. Everything that can be wrong with a backup is found before anything is written.
 */

#include "base/json.h"
#include "online/admin.h"
#include "online/backup_folder.h"
#include "store/backup_format.h"
#include "store/store_internal.h"
#include "tiffin/online.h"

#include "base/poison.h"

typedef struct kept_watermark {
    bool is_set; /* in the backup */
    tfn_watermark at;
    bool was_set; /* of the rows that are replaced */
    tfn_watermark before;
    uint8_t mark[TFN_WATERMARK_BYTES]; /* the same, for a rollback */
} kept_watermark;

typedef struct restore_run {
    tfn_store *store;
    const char *folder;
    tfn_registry *registry;
    tfn_snapshot *snapshot;
    tfn_arena arena;
    tfn_buf text;
    yyjson_doc *doc; /* backup.json */
    tfn_online_copy *copies;
    kept_watermark *watermarks;
    size_t n_views;
    tfn_str *passed_over;
    size_t n_passed_over;
} restore_run;

/* ---- backup.json ---- */

static tfn_code fail_description(const restore_run *run, const char *what, tfn_error *err)
{
    return TFN_FAIL(err, TFN_CORRUPT, "'%s/backup.json' is damaged: %s", run->folder, what);
}

static tfn_code read_description(restore_run *run, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_backup_folder_read(run->folder, &run->text, err));
    tfn_error why = {0};
    const tfn_str text = run->text.n == 0 ? tfn_str_of("") : tfn_buf_get_str(&run->text);
    if (tfn_json_parse(text, "backup.json", &run->doc, &why) != TFN_OK) {
        return fail_description(run, why.message, err);
    }
    yyjson_val *root = yyjson_doc_get_root(run->doc);
    yyjson_val *format = yyjson_obj_get(root, "format");
    if (!tfn_str_is(tfn_json_get_member(root, "kind"), TFN__BACKUP_KIND)) {
        return TFN_FAIL(err, TFN_INVALID,
                        "'%s/backup.json' was not written by tiffin online backup", run->folder);
    }
    if (yyjson_is_int(format) && yyjson_get_sint(format) > TFN__BACKUP_FORMAT) {
        return TFN_FAIL(err, TFN_UNSUPPORTED,
                        "the backup has format %lld; this Tiffin reads format %d: upgrade tiffin",
                        (long long)yyjson_get_sint(format), TFN__BACKUP_FORMAT);
    }
    if (!yyjson_is_int(format) || yyjson_get_sint(format) != TFN__BACKUP_FORMAT ||
        !yyjson_is_arr(yyjson_obj_get(root, "views"))) {
        return fail_description(run, "format or views are missing", err);
    }
    const tfn_str project = tfn_json_get_member(root, "project");
    if (!tfn_str_equal(project, tfn__store_get_project(run->store))) {
        return TFN_FAIL(err, TFN_INVALID, "the backup is of project '%.*s', this is project '%s'",
                        TFN_STR_ARG(project), run->store->project);
    }
    return TFN_OK;
}

static tfn_code check_data(const restore_run *run, tfn_online_watch watch, tfn_error *err)
{
    yyjson_val *data = yyjson_obj_get(yyjson_doc_get_root(run->doc), "data");
    yyjson_val *bytes = yyjson_obj_get(data, "bytes");
    const char *hash = yyjson_get_str(yyjson_obj_get(data, "xxh3_128"));
    if (!yyjson_is_int(bytes) || hash == NULL) {
        return fail_description(run, "it does not say what data.mdb is", err);
    }
    return tfn_online_check_backup(run->folder, hash, yyjson_get_sint(bytes), watch, err);
}

/* ---- views ---- */

static bool has_same_keys(yyjson_val *keys, const tfn_view_def *view)
{
    bool is_same = yyjson_is_arr(keys) && yyjson_arr_size(keys) == view->n_keys;
    for (size_t i = 0; i < view->n_keys && is_same; i++) {
        char type[TFN_TYPE_TEXT_BYTES];
        yyjson_val *key = yyjson_arr_get(keys, i);
        tfn_type_format(view->keys[i].type, type);
        is_same = tfn_str_equal(tfn_json_get_member(key, "name"), view->keys[i].name) &&
                  tfn_str_is(tfn_json_get_member(key, "type"), type);
    }
    return is_same;
}

static tfn_code read_instant(const restore_run *run, yyjson_val *object, const char *name,
                             tfn_instant *out, tfn_error *err)
{
    yyjson_val *value = yyjson_obj_get(object, name);
    *out = TFN_INSTANT_NONE;
    if (yyjson_is_null(value)) {
        return TFN_OK;
    }
    if (!yyjson_is_str(value) || tfn_instant_parse(tfn_json_get_str(value), out, NULL) != TFN_OK) {
        return fail_description(run, "a watermark has no time", err);
    }
    return TFN_OK;
}

static tfn_code read_watermark(const restore_run *run, yyjson_val *object, kept_watermark *out,
                               tfn_error *err)
{
    yyjson_val *watermark = yyjson_obj_get(object, "watermark");
    *out = (kept_watermark){0};
    if (yyjson_is_null(watermark)) {
        return TFN_OK;
    }
    if (!yyjson_is_obj(watermark)) {
        return fail_description(run, "a view has no watermark", err);
    }
    out->is_set = true;
    TFN_RETURN_IF_ERROR(read_instant(run, watermark, "start", &out->at.start, err));
    TFN_RETURN_IF_ERROR(read_instant(run, watermark, "end", &out->at.end, err));
    return read_instant(run, watermark, "created_bound", &out->at.created_bound, err);
}

static tfn_code choose_view(restore_run *run, yyjson_val *object, tfn_error *err)
{
    const tfn_str name = tfn_json_get_member(object, "view");
    const tfn_view_def *view = NULL;
    tfn_error why = {0};
    if (name.n == 0) {
        return fail_description(run, "a view has no name", err);
    }
    const tfn_code rc = tfn_snapshot_find_view(run->snapshot, name, &view, &why);
    if (rc == TFN_NOT_FOUND || (rc == TFN_OK && !view->online)) {
        run->passed_over[run->n_passed_over++] = name;
        return TFN_OK;
    }
    if (rc != TFN_OK) {
        return tfn_error_move(err, &why);
    }
    if (!has_same_keys(yyjson_obj_get(object, "keys"), view)) {
        return TFN_FAIL(err, TFN_SCHEMA,
                        "feature view '%.*s' has other join keys now than in the backup; apply the "
                        "definitions of then, or materialize it anew",
                        TFN_STR_ARG(name));
    }
    run->copies[run->n_views].view = name;
    TFN_RETURN_IF_ERROR(read_watermark(run, object, &run->watermarks[run->n_views], err));
    run->n_views++;
    return TFN_OK;
}

static tfn_code choose_views(restore_run *run, tfn_error *err)
{
    yyjson_val *views = yyjson_obj_get(yyjson_doc_get_root(run->doc), "views");
    const size_t n = yyjson_arr_size(views);
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&run->arena, n, sizeof *run->copies, &p, err));
    run->copies = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&run->arena, n, sizeof *run->watermarks, &p, err));
    run->watermarks = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&run->arena, n, sizeof *run->passed_over, &p, err));
    run->passed_over = p;
    size_t i = 0;
    size_t n_views = 0;
    yyjson_val *object = NULL;
    yyjson_arr_foreach(views, i, n_views, object)
    {
        TFN_RETURN_IF_ERROR(choose_view(run, object, err));
    }
    if (run->n_views == 0 && run->n_passed_over > 0) {
        return TFN_FAIL(err, TFN_NOT_FOUND,
                        "none of the backup's %zu views is defined and online in project '%s'; run "
                        "tiffin apply first",
                        run->n_passed_over, run->store->project);
    }
    return TFN_OK;
}

/* ---- rows and watermarks ---- */

/* Nothing but this restore replaces rows of the views now: the engine holds their turns. */
static tfn_code forget_watermarks(void *context, tfn_error *err)
{
    const restore_run *run = context;
    const tfn_str project = tfn__store_get_project(run->store);
    for (size_t i = 0; i < run->n_views; i++) {
        kept_watermark *kept = &run->watermarks[i];
        const tfn_str view = run->copies[i].view;
        TFN_RETURN_IF_ERROR(tfn_registry_get_watermark(run->registry, project, view, &kept->was_set,
                                                       &kept->before, err));
        if (kept->was_set) {
            tfn_watermark_pack(&kept->before, kept->mark);
            run->copies[i].mark = (tfn_str){(const char *)kept->mark, sizeof kept->mark};
            TFN_RETURN_IF_ERROR(tfn_registry_forget_watermark(run->registry, project, view, err));
        }
    }
    return TFN_OK;
}

/* The rows stay as they are, so their watermarks are true again. One that cannot be set stays
 * forgotten, which is true as well; one that somebody set meanwhile speaks of more rows. */
static void bring_back_watermarks(const restore_run *run)
{
    const tfn_str project = tfn__store_get_project(run->store);
    tfn_code rc = TFN_OK;
    for (size_t i = 0; i < run->n_views && rc == TFN_OK; i++) {
        const kept_watermark *kept = &run->watermarks[i];
        bool is_set = false;
        tfn_watermark now;
        if (!kept->was_set) {
            continue;
        }
        rc = tfn_registry_get_watermark(run->registry, project, run->copies[i].view, &is_set, &now,
                                        NULL);
        if (rc == TFN_OK && !is_set) {
            rc = tfn_registry_set_watermark(run->registry, project, run->copies[i].view,
                                            &kept->before, NULL, NULL);
        }
    }
}

static tfn_code set_watermarks(const restore_run *run, tfn_error *err)
{
    for (size_t i = 0; i < run->n_views; i++) {
        if (!run->watermarks[i].is_set) {
            continue;
        }
        const tfn_code rc =
            tfn_registry_set_watermark(run->registry, tfn__store_get_project(run->store),
                                       run->copies[i].view, &run->watermarks[i].at, NULL, err);
        if (rc != TFN_OK) {
            tfn_error_prepend(err, "the rows are restored, the watermark of '%.*s' is not: ",
                              TFN_STR_ARG(run->copies[i].view));
            return rc;
        }
    }
    return TFN_OK;
}

static tfn_code run_restore(restore_run *run, tfn_online_watch watch, tfn_error *err)
{
    tfn_online *online = NULL;
    TFN_RETURN_IF_ERROR(tfn__store_get_online(run->store, &online, err));
    TFN_RETURN_IF_ERROR(tfn__store_get_registry(run->store, &run->registry, err));
    TFN_RETURN_IF_ERROR(read_description(run, err));
    TFN_RETURN_IF_ERROR(tfn__store_get_snapshot(run->store, TFN_FRESH, &run->snapshot, err));
    TFN_RETURN_IF_ERROR(choose_views(run, err));
    TFN_RETURN_IF_ERROR(check_data(run, watch, err));
    if (run->n_views == 0) {
        return TFN_OK; /* of a store without rows */
    }
    const tfn_code rc =
        tfn_online_read_backup(online, run->folder, tfn__store_get_project(run->store), run->copies,
                               run->n_views, watch, forget_watermarks, run, err);
    if (rc != TFN_OK) {
        bring_back_watermarks(run);
        return rc;
    }
    return set_watermarks(run, err);
}

static tfn_code make_report(const restore_run *run, double seconds, char **report, tfn_error *err)
{
    yyjson_mut_doc *doc = NULL;
    TFN_RETURN_IF_ERROR(tfn_json_create(&doc, err));
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    (void)tfn_json_add_str(doc, root, "created",
                           tfn_json_get_member(yyjson_doc_get_root(run->doc), "created"));
    yyjson_mut_val *views = yyjson_mut_obj_add_arr(doc, root, "views");
    for (size_t i = 0; i < run->n_views; i++) {
        yyjson_mut_val *view = yyjson_mut_arr_add_obj(doc, views);
        (void)tfn_json_add_str(doc, view, "view", run->copies[i].view);
        (void)yyjson_mut_obj_add_uint(doc, view, "rows", run->copies[i].n_rows);
        (void)yyjson_mut_obj_add_uint(doc, view, "replaced", run->copies[i].n_replaced);
    }
    yyjson_mut_val *passed_over = yyjson_mut_obj_add_arr(doc, root, "passed_over");
    for (size_t i = 0; i < run->n_passed_over; i++) {
        (void)yyjson_mut_arr_add_strncpy(doc, passed_over, run->passed_over[i].p,
                                         run->passed_over[i].n);
    }
    (void)yyjson_mut_obj_add_real(doc, root, "seconds", seconds);
    const tfn_code rc = tfn_json_write(doc, report, err);
    tfn_json_destroy(doc);
    return rc;
}

tfn_code tfn_store_restore_online(tfn_store *store, const char *folder, tfn_tick_fn tick,
                                  void *tick_context, char **report, tfn_error *err)
{
    *report = NULL;
    restore_run run = {.store = store, .folder = folder};
    const tfn_online_watch watch = {tick, tick_context};
    const double started_s = tfn_clock_monotonic_s();
    tfn_code rc = run_restore(&run, watch, err);
    if (rc == TFN_OK) {
        rc = make_report(&run, tfn_clock_monotonic_s() - started_s, report, err);
    } else {
        tfn_error_prepend(err, "restoring from '%s': ", folder);
    }
    yyjson_doc_free(run.doc);
    tfn_buf_deinit(&run.text);
    tfn_snapshot_release(run.snapshot);
    tfn_arena_deinit(&run.arena);
    return rc;
}
