/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * What the online store holds, view by view.
 *
 * The engine counts everything in its folder; here it is told apart: this project's views with
 * what their definitions say, views of other projects in one sum, and what no view names.
 */

#include "base/json.h"
#include "online/admin.h"
#include "store/store_internal.h"
#include "tiffin/online.h"

#include "base/poison.h"

typedef struct stats_run {
    tfn_store *store;
    tfn_snapshot *snapshot;
    tfn_online_census census;
    tfn_arena arena;
    yyjson_mut_doc *doc;
} stats_run;

static uint64_t bytes_of(const tfn_online_count *count)
{
    return count->n_key_bytes + count->n_value_bytes;
}

/* A generation beside the live one; null when there is none. */
static void add_generation(stats_run *run, yyjson_mut_val *object, const char *name,
                           uint32_t generation, const tfn_online_count *count)
{
    if (generation == 0) {
        (void)yyjson_mut_obj_add_null(run->doc, object, name);
        return;
    }
    yyjson_mut_val *member = yyjson_mut_obj_add_obj(run->doc, object, name);
    (void)yyjson_mut_obj_add_uint(run->doc, member, "generation", generation);
    (void)yyjson_mut_obj_add_uint(run->doc, member, "rows", count->n_rows);
    (void)yyjson_mut_obj_add_uint(run->doc, member, "bytes", bytes_of(count));
}

static void add_view(stats_run *run, yyjson_mut_val *views, const tfn_view_def *definition,
                     const tfn_online_view_count *view)
{
    yyjson_mut_doc *doc = run->doc;
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, views);
    (void)tfn_json_add_str(doc, object, "view", view->view);
    (void)yyjson_mut_obj_add_bool(doc, object, "is_defined", definition != NULL);
    (void)yyjson_mut_obj_add_bool(doc, object, "is_online",
                                  definition != NULL && definition->online);
    (void)yyjson_mut_obj_add_uint(doc, object, "generation", view->generation);
    (void)yyjson_mut_obj_add_uint(doc, object, "rows", view->live.n_rows);
    (void)yyjson_mut_obj_add_uint(doc, object, "bytes", bytes_of(&view->live));
    (void)yyjson_mut_obj_add_uint(doc, object, "key_bytes", view->live.n_key_bytes);
    (void)yyjson_mut_obj_add_uint(doc, object, "value_bytes", view->live.n_value_bytes);
    (void)tfn_json_add_time(doc, object, "oldest", view->live.oldest);
    (void)tfn_json_add_time(doc, object, "newest", view->live.newest);
    add_generation(run, object, "previous", view->previous_generation, &view->previous);
    add_generation(run, object, "building", view->building_generation, &view->building);
}

static const tfn_online_view_count *find_count(const stats_run *run, tfn_str view)
{
    const tfn_str project = tfn__store_get_project(run->store);
    for (size_t i = 0; i < run->census.n_views; i++) {
        const tfn_online_view_count *count = &run->census.views[i];
        if (tfn_str_equal(count->project, project) && tfn_str_equal(count->view, view)) {
            return count;
        }
    }
    return NULL;
}

/* Views that are defined, in the registry's order: those that are online, or have rows all the same. */
static tfn_code add_defined(stats_run *run, yyjson_mut_val *views, tfn_error *err)
{
    for (size_t i = 0; i < tfn_snapshot_count(run->snapshot, TFN_OBJECT_VIEW); i++) {
        const tfn_str name = tfn_snapshot_get_name(run->snapshot, TFN_OBJECT_VIEW, i);
        const tfn_view_def *definition = NULL;
        TFN_RETURN_IF_ERROR(tfn_snapshot_find_view(run->snapshot, name, &definition, err));
        const tfn_online_view_count none = {
            .view = name, .live = {.oldest = TFN_INSTANT_NONE, .newest = TFN_INSTANT_NONE}};
        const tfn_online_view_count *count = find_count(run, name);
        if (count != NULL || definition->online) {
            add_view(run, views, definition, count != NULL ? count : &none);
        }
    }
    return TFN_OK;
}

static bool is_defined(const stats_run *run, tfn_str view)
{
    const tfn_view_def *definition = NULL;
    return tfn_snapshot_find_view(run->snapshot, view, &definition, NULL) == TFN_OK;
}

/* Views that no definition names any more; and the rest of the folder. */
static void add_others(stats_run *run, yyjson_mut_val *root, yyjson_mut_val *views)
{
    const tfn_str project = tfn__store_get_project(run->store);
    uint64_t n_views = 0;
    uint64_t n_rows = 0;
    uint64_t n_bytes = 0;
    for (size_t i = 0; i < run->census.n_views; i++) {
        const tfn_online_view_count *view = &run->census.views[i];
        if (!tfn_str_equal(view->project, project)) {
            n_views++;
            n_rows += view->live.n_rows + view->previous.n_rows + view->building.n_rows;
            n_bytes +=
                bytes_of(&view->live) + bytes_of(&view->previous) + bytes_of(&view->building);
        } else if (!is_defined(run, view->view)) {
            add_view(run, views, NULL, view);
        }
    }
    yyjson_mut_val *orphans = yyjson_mut_obj_add_obj(run->doc, root, "orphans");
    (void)yyjson_mut_obj_add_uint(run->doc, orphans, "generations", run->census.n_orphans);
    (void)yyjson_mut_obj_add_uint(run->doc, orphans, "rows", run->census.orphans.n_rows);
    (void)yyjson_mut_obj_add_uint(run->doc, orphans, "bytes", bytes_of(&run->census.orphans));
    yyjson_mut_val *others = yyjson_mut_obj_add_obj(run->doc, root, "other_projects");
    (void)yyjson_mut_obj_add_uint(run->doc, others, "views", n_views);
    (void)yyjson_mut_obj_add_uint(run->doc, others, "rows", n_rows);
    (void)yyjson_mut_obj_add_uint(run->doc, others, "bytes", n_bytes);
}

static void add_file(stats_run *run, yyjson_mut_val *root)
{
    if (run->census.file_bytes < 0) {
        (void)yyjson_mut_obj_add_null(run->doc, root, "file");
    } else {
        yyjson_mut_val *file = yyjson_mut_obj_add_obj(run->doc, root, "file");
        (void)yyjson_mut_obj_add_int(run->doc, file, "bytes", run->census.file_bytes);
        (void)yyjson_mut_obj_add_int(run->doc, file, "free_bytes", run->census.free_bytes);
        (void)yyjson_mut_obj_add_int(run->doc, file, "change_bytes", run->census.change_bytes);
    }
    yyjson_mut_val *reads = yyjson_mut_obj_add_obj(run->doc, root, "reads");
    (void)yyjson_mut_obj_add_int(run->doc, reads, "open", run->census.n_reads);
    (void)yyjson_mut_obj_add_int(run->doc, reads, "commits_behind", run->census.n_commits_old);
}

static tfn_code make_answer(stats_run *run, char **answer, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_json_create(&run->doc, err));
    yyjson_mut_val *root = yyjson_mut_obj(run->doc);
    yyjson_mut_doc_set_root(run->doc, root);
    yyjson_mut_val *views = yyjson_mut_obj_add_arr(run->doc, root, "views");
    TFN_RETURN_IF_ERROR(add_defined(run, views, err));
    add_others(run, root, views);
    add_file(run, root);
    return tfn_json_write(run->doc, answer, err);
}

tfn_code tfn_store_online_stats(tfn_store *store, tfn_tick_fn tick, void *tick_context,
                                char **answer, tfn_error *err)
{
    stats_run run = {.store = store};
    tfn_online *online = NULL;
    tfn_code rc = TFN_OK;
    *answer = NULL;
    TFN_GOTO_IF_ERROR(rc, tfn__store_get_online(store, &online, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__store_get_snapshot(store, TFN_FRESH, &run.snapshot, err), done);
    const tfn_online_watch watch = {tick, tick_context};
    TFN_GOTO_IF_ERROR(rc, tfn_online_take_census(online, watch, &run.arena, &run.census, err),
                      done);
    TFN_GOTO_IF_ERROR(rc, make_answer(&run, answer, err), done);
done:
    tfn_json_destroy(run.doc);
    tfn_snapshot_release(run.snapshot);
    tfn_arena_deinit(&run.arena);
    return rc;
}
