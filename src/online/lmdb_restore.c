/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Restore: the rows of a backup become the live generations of their views.
 *
 *   turns of all views
 *   backup --lmdb_copy.c, bounded transactions--> generations being built
 *   one transaction: what was pushed meanwhile is replayed, all views change over
 *
 * Until the last transaction nothing that a reader sees has changed; after it everything has. What
 * was live is each view's previous generation then.
 *
 * Invariants
 *  1. A generation that is loaded is named as being built by its view's record from its first row
 *     on, so pushes are noted for it (lmdb_changes.c) and no sweep removes it.
 *  2. The turns of all views are held, in the order of their names: no load or rollback of one of
 *     them goes on meanwhile. A restore that was killed leaves what a killed load leaves: the next
 *     load, restore or vacuum removes it.
 */

#include "base/mem.h"
#include "online/lmdb_admin.h"
#include "online/lmdb_generation.h"

#include "base/poison.h"

enum {
    ROWS_PER_COMMIT = 16384,
    CHANGES_PER_COMMIT = 16384, /* replayed in one transaction */
    MAX_REPLAY_ROUNDS = 64      /* before the last: writers may be as fast */
};

static const char doing[] = "restoring rows";
static const char stopped[] = "stopped while rows were restored; nothing was changed";

typedef struct view_restore {
    tfn_str name;
    tfn_online_copy *asked;
    tfn__turn run_turn;
    tfn__turn load_turn;
    tfn__view from;      /* in the backup */
    uint32_t generation; /* being built; 0: not begun */
    uint32_t schema_id;
    uint64_t n_rows; /* in it */
} view_restore;

typedef struct restore_run {
    const tfn_lmdb_read *from;
    tfn_lmdb *to;
    tfn_str project;
    view_restore *views; /* in the order of their names */
    size_t n_views;
    tfn_online_watch watch;
    uint64_t n_done;
    int64_t n_total;
} restore_run;

/* ---- turns ---- */

static void sort_views(restore_run *run, tfn_online_copy *views)
{
    for (size_t i = 0; i < run->n_views; i++) {
        size_t k = i;
        for (; k > 0 && tfn_str_compare(views[i].view, run->views[k - 1].name) < 0; k--) {
            run->views[k] = run->views[k - 1];
        }
        run->views[k] = (view_restore){.name = views[i].view, .asked = &views[i]};
    }
}

static tfn_code take_turns(restore_run *run, tfn_error *err)
{
    for (size_t i = 0; i < run->n_views; i++) {
        view_restore *view = &run->views[i];
        bool had_build = false;
        TFN_RETURN_IF_ERROR(tfn__turn_begin(run->to->path, TFN__TURN_RUN, run->project, view->name,
                                            true, &view->run_turn, err));
        TFN_RETURN_IF_ERROR(tfn__turn_begin(run->to->path, TFN__TURN_LOAD, run->project, view->name,
                                            true, &view->load_turn, err));
        TFN_RETURN_IF_ERROR(
            tfn__generation_forget_build(run->to, run->project, view->name, &had_build, err));
    }
    return TFN_OK;
}

static void end_turns(restore_run *run)
{
    for (size_t i = 0; i < run->n_views; i++) {
        tfn__turn_end(&run->views[i].load_turn);
        tfn__turn_end(&run->views[i].run_turn);
    }
}

/* ---- load ---- */

static tfn_code find_views(restore_run *run, tfn_error *err)
{
    for (size_t i = 0; i < run->n_views; i++) {
        tfn__view *record = &run->views[i].from;
        TFN_RETURN_IF_ERROR(tfn__view_get(run->from->env, run->from->txn, run->project,
                                          run->views[i].name, record, err));
        if (record->generation == 0) {
            return TFN_FAIL(err, TFN_CORRUPT, "the backup has no rows of view '%.*s'",
                            TFN_STR_ARG(run->views[i].name));
        }
        run->n_total += (int64_t)record->n_rows;
    }
    return TFN_OK;
}

/* Give the view a generation to build. */
static tfn_code begin_build(restore_run *run, const view_restore *view, const tfn_lmdb_env *env,
                            MDB_txn *txn, uint32_t *generation, tfn_error *err)
{
    tfn__view record = {0};
    TFN_RETURN_IF_ERROR(tfn__view_get(env, txn, run->project, view->name, &record, err));
    TFN_RETURN_IF_ERROR(tfn__meta_take_number(env, txn, "next_generation", generation, err));
    record.building_generation = *generation;
    return tfn__view_put(env, txn, run->project, view->name, &record, err);
}

/* Is what we build still wanted? A project that is dropped takes its views' records along. */
static tfn_code check_build(restore_run *run, const view_restore *view, const tfn_lmdb_env *env,
                            MDB_txn *txn, tfn__view *record, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn__view_get(env, txn, run->project, view->name, record, err));
    if (record->building_generation != view->generation) {
        return TFN_FAIL(err, TFN_CONFLICT,
                        "view '%.*s' was dropped while it was restored; restore it again",
                        TFN_STR_ARG(view->name));
    }
    return TFN_OK;
}

static tfn_code load_in_txn(restore_run *run, view_restore *view, tfn__copy *copy,
                            tfn_lmdb_env *env, MDB_txn *txn, tfn_error *err)
{
    tfn__view record = {0};
    if (copy->to_generation == 0) {
        TFN_RETURN_IF_ERROR(begin_build(run, view, env, txn, &copy->to_generation, err));
    } else {
        TFN_RETURN_IF_ERROR(check_build(run, view, env, txn, &record, err));
    }
    TFN_RETURN_IF_ERROR(tfn__copy_some(copy, env, txn, ROWS_PER_COMMIT, err));
    return copy->is_done
               ? tfn__copy_schema(copy, env, txn, view->from.schema_id, &view->schema_id, err)
               : TFN_OK;
}

static tfn_code load_step(restore_run *run, view_restore *view, tfn__copy *copy, tfn_error *err)
{
    tfn_lmdb_env *env = NULL;
    MDB_txn *txn = NULL;
    TFN_RETURN_IF_ERROR(tfn__write_begin_txn(run->to, &env, &txn, err));
    const tfn_code loaded = load_in_txn(run, view, copy, env, txn, err);
    const tfn_code rc = tfn__write_end_txn(env, txn, loaded, doing, err);
    if (rc == TFN_OK) {
        view->generation = copy->to_generation;
    }
    return rc;
}

static tfn_code load_view(restore_run *run, view_restore *view, tfn_error *err)
{
    tfn__copy copy = {.from = run->from, .generation = view->from.generation};
    tfn_code rc = TFN_OK;
    while (rc == TFN_OK && !copy.is_done) {
        rc = tfn__watch_tell(run->watch, "restoring online rows", run->n_done + copy.n_rows,
                             run->n_total, stopped, err);
        if (rc == TFN_OK) {
            rc = load_step(run, view, &copy, err);
        }
    }
    view->n_rows = copy.n_rows;
    view->asked->n_rows = copy.n_rows;
    run->n_done += copy.n_rows;
    tfn__copy_end(&copy);
    if (rc == TFN_OK && view->n_rows != view->from.n_rows) {
        rc = TFN_FAIL(err, TFN_CORRUPT,
                      "the backup says that view '%.*s' has %llu rows, and holds %llu",
                      TFN_STR_ARG(view->name), (unsigned long long)view->from.n_rows,
                      (unsigned long long)view->n_rows);
    }
    return rc;
}

/* ---- change over ---- */

static tfn_code replay_step(restore_run *run, view_restore *view, uint64_t *n_moved, tfn_error *err)
{
    tfn_lmdb_env *env = NULL;
    MDB_txn *txn = NULL;
    tfn__view record = {0};
    uint64_t n_rows = view->n_rows;
    *n_moved = 0;
    TFN_RETURN_IF_ERROR(tfn__write_begin_txn(run->to, &env, &txn, err));
    tfn_code rc = check_build(run, view, env, txn, &record, err);
    if (rc == TFN_OK) {
        rc = tfn__changes_replay(env, txn, view->generation, CHANGES_PER_COMMIT, &n_rows, n_moved,
                                 err);
    }
    rc = tfn__write_end_txn(env, txn, rc, doing, err);
    if (rc == TFN_OK) {
        view->n_rows = n_rows;
    }
    return rc;
}

/* Replay all but the last of what was pushed meanwhile, so that the change over is short. */
static tfn_code replay(restore_run *run, view_restore *view, tfn_error *err)
{
    uint64_t n_moved = CHANGES_PER_COMMIT;
    for (int i = 0; i < MAX_REPLAY_ROUNDS && n_moved == CHANGES_PER_COMMIT; i++) {
        TFN_RETURN_IF_ERROR(replay_step(run, view, &n_moved, err));
    }
    return TFN_OK;
}

static tfn_code flip_view(restore_run *run, const view_restore *view, const tfn_lmdb_env *env,
                          MDB_txn *txn, tfn_error *err)
{
    tfn__view record = {0};
    uint64_t n_rows = view->n_rows;
    uint64_t n_moved = 0;
    TFN_RETURN_IF_ERROR(check_build(run, view, env, txn, &record, err));
    TFN_RETURN_IF_ERROR(
        tfn__changes_replay(env, txn, view->generation, UINT64_MAX, &n_rows, &n_moved, err));
    view->asked->n_replaced = record.n_rows;
    record.schema_id = view->schema_id;
    return tfn__generation_flip(env, txn, run->project, view->name, &record, view->generation,
                                n_rows, view->asked->mark, err);
}

static tfn_code flip(restore_run *run, tfn_error *err)
{
    tfn_lmdb_env *env = NULL;
    MDB_txn *txn = NULL;
    tfn_code rc = TFN_OK;
    TFN_RETURN_IF_ERROR(tfn__write_begin_txn(run->to, &env, &txn, err));
    for (size_t i = 0; i < run->n_views && rc == TFN_OK; i++) {
        rc = flip_view(run, &run->views[i], env, txn, err);
    }
    return tfn__write_end_txn(env, txn, rc, doing, err);
}

static tfn_code change_over(restore_run *run, tfn_code (*before)(void *context, tfn_error *err),
                            void *before_context, tfn_error *err)
{
    for (size_t i = 0; i < run->n_views; i++) {
        TFN_RETURN_IF_ERROR(replay(run, &run->views[i], err));
    }
    if (before != NULL) {
        TFN_RETURN_IF_ERROR(before(before_context, err));
    }
    return flip(run, err);
}

/* ---- all ---- */

/* After a failure: the views have no build any more. Without success it is the next load's work. */
static void forget_builds(restore_run *run)
{
    tfn_code rc = TFN_OK;
    for (size_t i = 0; i < run->n_views && rc == TFN_OK; i++) {
        bool had_build = false;
        if (run->views[i].generation != 0) {
            rc = tfn__generation_forget_build(run->to, run->project, run->views[i].name, &had_build,
                                              NULL);
        }
    }
}

static tfn_code run_restore(restore_run *run, tfn_code (*before)(void *context, tfn_error *err),
                            void *before_context, tfn_error *err)
{
    tfn_code rc = find_views(run, err);
    if (rc == TFN_OK) {
        rc = take_turns(run, err);
    }
    for (size_t i = 0; i < run->n_views && rc == TFN_OK; i++) {
        rc = load_view(run, &run->views[i], err);
    }
    if (rc == TFN_OK) {
        rc = change_over(run, before, before_context, err);
    }
    if (rc != TFN_OK) {
        forget_builds(run);
    }
    if (tfn__generation_sweep(run->to, NULL, NULL) != TFN_OK) {
        /* What is left has no name: the next load or vacuum removes it. */
        return rc;
    }
    return rc;
}

/* LMDB must not open one file twice; and a store is no backup of itself. */
static tfn_code check_another(tfn_lmdb *backup, tfn_lmdb *to, const char *folder, tfn_error *err)
{
    tfn_lmdb_env *from_env = NULL;
    tfn_lmdb_env *to_env = NULL;
    TFN_RETURN_IF_ERROR(tfn__lmdb_get_env(backup, &from_env, err));
    TFN_RETURN_IF_ERROR(tfn__lmdb_get_env(to, &to_env, err));
    if (from_env == to_env) {
        return TFN_FAIL(err, TFN_INVALID,
                        "'%s' is the online store itself; name the folder of a backup", folder);
    }
    return TFN_OK;
}

tfn_code tfn__lmdb_read_backup(tfn_online *online, const char *folder, tfn_str project,
                               tfn_online_copy *views, size_t n_views, tfn_online_watch watch,
                               tfn_code (*before)(void *context, tfn_error *err),
                               void *before_context, tfn_error *err)
{
    restore_run run = {.project = project, .n_views = n_views, .watch = watch};
    tfn_lmdb *backup = NULL;
    tfn_lmdb_read read = {0};
    void *p = NULL;
    tfn_code rc = TFN_OK;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(n_views, sizeof(view_restore), &p, err));
    run.views = p;
    sort_views(&run, views);
    TFN_GOTO_IF_ERROR(rc, tfn_lmdb_open(folder, TFN_ONLINE_READ, &backup, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__lmdb_engine_get(online, TFN_ONLINE_WRITE, &run.to, err), done);
    TFN_GOTO_IF_ERROR(rc, check_another(backup, run.to, folder, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_lmdb_begin_read(backup, &read, err), done);
    run.from = &read;
    rc = run_restore(&run, before, before_context, err);
done:
    end_turns(&run);
    tfn_lmdb_end_read(&read);
    tfn_lmdb_close(backup);
    tfn_mem_free(run.views);
    return rc;
}
