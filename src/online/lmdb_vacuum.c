/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Vacuum: rows that nobody reads any more are removed.
 *
 *   expired     rows of a live generation with an event time before the verdict's keep_from
 *   orphaned    all of a view that no definition names: its record goes, in one transaction
 *   previous    generations before the live ones, if asked for: their views' records forget them
 *   unnamed     generations that no view names, after the two steps before; builds that died.
 *               They are what lmdb_generation.c sweeps
 *
 * Invariants
 *  1. Each write transaction removes a bounded number of rows, so a push waits for one of them at
 *     most. Between them all is consistent: what is half removed, no record names.
 *  2. An expired row is looked at again under the write lock: a newer one that was pushed since stays.
 *  3. An orphan is judged again under the write lock: whoever writes to it after a new apply has to
 *     wait for that lock, and finds no record.
 *  4. A build that goes on is never removed: its view's record names it, and its builder has the
 *     view's turn.
 *  5. Removing expired rows is no change of a view's history: it is not in the change lists, and
 *     rows may come back from a rollback, or from a build that read them before. The next vacuum
 *     finds them.
 *
 * The file keeps its size; freed pages are used by the next writes.
 */

#include "online/lmdb_admin.h"
#include "online/lmdb_generation.h"

#include "base/poison.h"

enum {
    SCAN_ROWS = 65536, /* looked at in one read transaction, which keeps pages */
    EXPIRE_ROWS = 4096 /* removed in one write transaction, anywhere in the tree */
};

static const char stopped[] = "stopped while vacuuming; what was removed until then stays removed";

typedef struct vacuum_run {
    tfn_online *online;
    tfn_lmdb *lmdb; /* for writing; NULL in a dry run */
    const tfn_online_vacuum *vacuum;
    tfn_arena *arena;
    tfn_online_vacuumed *out;
    uint64_t n_done; /* rows looked at or removed, for the tick */
} vacuum_run;

/* ---- generations that no view names ---- */

static bool is_named(const tfn__named_view *views, size_t n, uint32_t generation)
{
    bool is_found = false;
    for (size_t i = 0; i < n && !is_found; i++) {
        is_found = views[i].record.generation == generation ||
                   views[i].record.previous_generation == generation ||
                   views[i].record.building_generation == generation;
    }
    return is_found;
}

/* Builds whose builder is dead have no name. */
static tfn_code forget_dead_builds(const vacuum_run *run, tfn__named_view *views, size_t n,
                                   tfn_error *err)
{
    tfn_lmdb *lmdb = NULL;
    TFN_RETURN_IF_ERROR(tfn__lmdb_engine_get(run->online, TFN_ONLINE_READ, &lmdb, err));
    for (size_t i = 0; i < n; i++) {
        tfn__turn turn = {0};
        if (views[i].record.building_generation == 0) {
            continue;
        }
        TFN_RETURN_IF_ERROR(tfn__turn_begin(lmdb->path, TFN__TURN_LOAD, views[i].project,
                                            views[i].view, false, &turn, err));
        if (turn.is_held) {
            views[i].record.building_generation = 0;
        }
        tfn__turn_end(&turn);
    }
    return TFN_OK;
}

/* Rows that a sweep would remove, counted. */
static tfn_code count_unnamed(const tfn_lmdb_read *read, const tfn__named_view *views, size_t n,
                              uint64_t *n_rows, tfn_error *err)
{
    MDB_cursor *cursor = NULL;
    MDB_val key = {0};
    MDB_val value = {0};
    int rc = mdb_cursor_open(read->txn, read->env->rows, &cursor);
    if (rc != 0) {
        return tfn__lmdb_fail(read->env->path, rc, TFN__DOING_VACUUM, err);
    }
    rc = tfn__seek_generation(cursor, 1, &key, &value);
    while (rc == 0) {
        const uint32_t generation = tfn__generation_of(key);
        if (!is_named(views, n, generation)) {
            *n_rows += 1;
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        } else if (generation == UINT32_MAX) {
            rc = MDB_NOTFOUND;
        } else {
            rc = tfn__seek_generation(cursor, generation + 1, &key, &value);
        }
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? TFN_OK
                              : tfn__lmdb_fail(read->env->path, rc, TFN__DOING_VACUUM, err);
}

static tfn_code look_for_unnamed(vacuum_run *run, tfn_error *err)
{
    tfn_lmdb_read read = {0};
    tfn__named_view *views = NULL;
    size_t n = 0;
    TFN_RETURN_IF_ERROR(tfn__lmdb_engine_begin_read(run->online, &read, err));
    if (read.txn == NULL) {
        return TFN_OK;
    }
    tfn_code rc = tfn__views_list(read.env, read.txn, run->arena, &views, &n, err);
    if (rc == TFN_OK) {
        rc = forget_dead_builds(run, views, n, err);
    }
    if (rc == TFN_OK) {
        rc = count_unnamed(&read, views, n, &run->out->n_unnamed, err);
    }
    tfn_lmdb_end_read(&read);
    return rc;
}

/* Of what the sweep removes, some is known by name already: it was dropped in the steps before. */
static tfn_code vacuum_unnamed(vacuum_run *run, tfn_error *err)
{
    tfn__reclaimed reclaimed = {0};
    uint64_t n_counted = 0;
    if (run->lmdb == NULL) {
        return look_for_unnamed(run, err);
    }
    TFN_RETURN_IF_ERROR(tfn__lmdb_reclaim(run->lmdb, &reclaimed, err));
    for (size_t i = 0; i < run->out->n_views; i++) {
        n_counted += run->out->views[i].n_orphaned + run->out->views[i].n_previous;
    }
    run->out->n_unnamed = reclaimed.n_rows > n_counted ? reclaimed.n_rows - n_counted : 0;
    return TFN_OK;
}

/* ---- orphaned views, previous generations ---- */

static tfn_code count_previous(const tfn_lmdb_env *env, MDB_txn *txn, const tfn__view *record,
                               uint64_t *n_rows, tfn_error *err)
{
    tfn__generation previous = {0};
    if (record->previous_generation != 0) {
        TFN_RETURN_IF_ERROR(
            tfn__generation_get(env, txn, record->previous_generation, &previous, err));
    }
    *n_rows = previous.n_rows;
    return TFN_OK;
}

/* Under the write lock: what becomes of a view's record, and what that removes. */
static tfn_code change_record(vacuum_run *run, const tfn_lmdb_env *env, MDB_txn *txn,
                              const tfn__named_view *view, tfn_online_vacuumed_view *out,
                              bool *is_changed, tfn_error *err)
{
    tfn__view record = {0};
    tfn_online_verdict verdict = {0};
    uint64_t n_previous = 0;
    *is_changed = false;
    TFN_RETURN_IF_ERROR(
        run->vacuum->judge(run->vacuum->judge_context, view->project, view->view, &verdict, err));
    TFN_RETURN_IF_ERROR(tfn__view_get(env, txn, view->project, view->view, &record, err));
    TFN_RETURN_IF_ERROR(count_previous(env, txn, &record, &n_previous, err));
    out->is_orphan = verdict.is_orphan;
    if (verdict.is_orphan) {
        out->n_orphaned = record.n_rows;
        out->n_previous = n_previous;
        *is_changed = record.generation != 0 || record.building_generation != 0;
        return run->lmdb == NULL ? TFN_OK
                                 : tfn__view_remove(env, txn, view->project, view->view, err);
    }
    if (!run->vacuum->drops_previous || record.previous_generation == 0) {
        return TFN_OK;
    }
    out->n_previous = n_previous;
    *is_changed = true;
    record.previous_generation = 0;
    return run->lmdb == NULL ? TFN_OK
                             : tfn__view_put(env, txn, view->project, view->view, &record, err);
}

static tfn_code vacuum_record(vacuum_run *run, const tfn__named_view *view,
                              tfn_online_vacuumed_view *out, tfn_error *err)
{
    tfn_lmdb_env *env = NULL;
    MDB_txn *txn = NULL;
    tfn_online_vacuumed_view changed = *out;
    bool is_changed = false;
    if (run->lmdb == NULL) {
        tfn_lmdb_read read = {0};
        TFN_RETURN_IF_ERROR(tfn__lmdb_engine_begin_read(run->online, &read, err));
        const tfn_code rc =
            read.txn == NULL ? TFN_OK
                             : change_record(run, read.env, read.txn, view, out, &is_changed, err);
        tfn_lmdb_end_read(&read);
        return rc;
    }
    TFN_RETURN_IF_ERROR(tfn__write_begin_txn(run->lmdb, &env, &txn, err));
    tfn_code rc = change_record(run, env, txn, view, &changed, &is_changed, err);
    if (rc == TFN_OK && !is_changed) {
        mdb_txn_abort(txn);
        return TFN_OK;
    }
    rc = tfn__write_end_txn(env, txn, rc, TFN__DOING_VACUUM, err);
    if (rc == TFN_OK) {
        *out = changed;
    }
    return rc;
}

/* ---- expired rows ---- */

/* Keys, one behind the other: u32 bytes, then the key. */
typedef struct key_list {
    tfn_buf bytes;
    uint64_t n;
    tfn_buf last; /* key of the last row that was looked at; empty: none yet */
    bool is_end;  /* there are no more rows */
} key_list;

static tfn_code add_key(key_list *keys, MDB_val key, tfn_error *err)
{
    const uint32_t n = (uint32_t)key.mv_size;
    TFN_RETURN_IF_ERROR(tfn_buf_add(&keys->bytes, &n, sizeof n, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add(&keys->bytes, key.mv_data, key.mv_size, err));
    keys->n++;
    return TFN_OK;
}

/* Behind the row that was last looked at, or at the first one. */
static int seek_next(MDB_cursor *cursor, const key_list *keys, uint32_t generation, MDB_val *key,
                     MDB_val *value)
{
    if (keys->last.n == 0) {
        return tfn__seek_generation(cursor, generation, key, value);
    }
    *key = tfn__val(keys->last.p, keys->last.n);
    int rc = mdb_cursor_get(cursor, key, value, MDB_SET_RANGE);
    if (rc == 0 && tfn_str_equal(tfn__val_str(*key), tfn_buf_get_str(&keys->last))) {
        rc = mdb_cursor_get(cursor, key, value, MDB_NEXT);
    }
    return rc;
}

static tfn_code scan_rows(MDB_cursor *cursor, const char *path, uint32_t generation,
                          tfn_instant keep_from, key_list *keys, tfn_error *err)
{
    MDB_val key = {0};
    MDB_val value = {0};
    MDB_val last = {0};
    int rc = seek_next(cursor, keys, generation, &key, &value);
    for (uint64_t i = 0;
         rc == 0 && i < SCAN_ROWS && keys->n < EXPIRE_ROWS && tfn__generation_of(key) == generation;
         i++) {
        tfn_instant event = TFN_INSTANT_NONE;
        tfn_instant created = TFN_INSTANT_NONE;
        TFN_RETURN_IF_ERROR(tfn_row_get_times(tfn__val_str(value), &event, &created, err));
        if (tfn_instant_compare(event, keep_from) < 0) {
            TFN_RETURN_IF_ERROR(add_key(keys, key, err));
        }
        last = key;
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    keys->is_end = rc == MDB_NOTFOUND || (rc == 0 && tfn__generation_of(key) != generation);
    if (rc != 0 && rc != MDB_NOTFOUND) {
        return tfn__lmdb_fail(path, rc, TFN__DOING_VACUUM, err);
    }
    if (last.mv_size > 0) {
        tfn_buf_clear(&keys->last);
        return tfn_buf_add(&keys->last, last.mv_data, last.mv_size, err);
    }
    return TFN_OK;
}

/* One read transaction: expired rows among the next ones of the view's live generation. */
static tfn_code find_expired(vacuum_run *run, const tfn__named_view *view, tfn_instant keep_from,
                             uint32_t *generation, key_list *keys, tfn_error *err)
{
    tfn_lmdb_read read = {0};
    tfn__view record = {0};
    MDB_cursor *cursor = NULL;
    tfn_buf_clear(&keys->bytes);
    keys->n = 0;
    keys->is_end = true;
    TFN_RETURN_IF_ERROR(tfn__lmdb_engine_begin_read(run->online, &read, err));
    if (read.txn == NULL) {
        return TFN_OK;
    }
    tfn_code rc = tfn__view_get(read.env, read.txn, view->project, view->view, &record, err);
    if (rc == TFN_OK && record.generation != *generation) { /* the first time, or it was replaced */
        *generation = record.generation;
        tfn_buf_clear(&keys->last);
    }
    if (rc == TFN_OK && record.generation != 0) {
        const int lmdb_rc = mdb_cursor_open(read.txn, read.env->rows, &cursor);
        rc = lmdb_rc != 0 ? tfn__lmdb_fail(read.env->path, lmdb_rc, TFN__DOING_VACUUM, err)
                          : scan_rows(cursor, read.env->path, *generation, keep_from, keys, err);
        if (lmdb_rc == 0) {
            mdb_cursor_close(cursor);
        }
    }
    tfn_lmdb_end_read(&read);
    return rc;
}

static tfn_code remove_if_expired(const tfn_lmdb_env *env, MDB_txn *txn, MDB_val key,
                                  tfn_instant keep_from, uint64_t *n_removed, tfn_error *err)
{
    MDB_val value = {0};
    tfn_instant event = TFN_INSTANT_NONE;
    tfn_instant created = TFN_INSTANT_NONE;
    int rc = mdb_get(txn, env->rows, &key, &value);
    if (rc == MDB_NOTFOUND) {
        return TFN_OK;
    }
    if (rc == 0) {
        TFN_RETURN_IF_ERROR(tfn_row_get_times(tfn__val_str(value), &event, &created, err));
        if (tfn_instant_compare(event, keep_from) >= 0) {
            return TFN_OK; /* pushed since */
        }
        rc = mdb_del(txn, env->rows, &key, NULL);
    }
    *n_removed += rc == 0;
    return rc == 0 ? TFN_OK : tfn__lmdb_fail(env->path, rc, TFN__DOING_VACUUM, err);
}

static tfn_code remove_in_txn(const tfn_lmdb_env *env, MDB_txn *txn, const tfn__named_view *view,
                              uint32_t generation, tfn_instant keep_from, const key_list *keys,
                              uint64_t *n_removed, tfn_error *err)
{
    tfn__view record = {0};
    TFN_RETURN_IF_ERROR(tfn__view_get(env, txn, view->project, view->view, &record, err));
    if (record.generation != generation) {
        return TFN_OK; /* the next look finds the new one */
    }
    const char *p = keys->bytes.p;
    for (uint64_t i = 0; i < keys->n; i++) {
        uint32_t n = 0;
        memcpy(&n, p, sizeof n);
        TFN_RETURN_IF_ERROR(
            remove_if_expired(env, txn, tfn__val(p + sizeof n, n), keep_from, n_removed, err));
        p += sizeof n + n;
    }
    record.n_rows -= *n_removed < record.n_rows ? *n_removed : record.n_rows;
    return tfn__view_put(env, txn, view->project, view->view, &record, err);
}

static tfn_code remove_expired(vacuum_run *run, const tfn__named_view *view, uint32_t generation,
                               tfn_instant keep_from, const key_list *keys, uint64_t *n_rows,
                               tfn_error *err)
{
    tfn_lmdb_env *env = NULL;
    MDB_txn *txn = NULL;
    uint64_t n_removed = 0;
    if (keys->n == 0 || run->lmdb == NULL) {
        *n_rows += keys->n;
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(tfn__write_begin_txn(run->lmdb, &env, &txn, err));
    tfn_code rc = remove_in_txn(env, txn, view, generation, keep_from, keys, &n_removed, err);
    if (rc == TFN_OK && n_removed == 0) {
        mdb_txn_abort(txn);
        return TFN_OK;
    }
    rc = tfn__write_end_txn(env, txn, rc, TFN__DOING_VACUUM, err);
    if (rc == TFN_OK) {
        *n_rows += n_removed;
    }
    return rc;
}

static tfn_code vacuum_expired(vacuum_run *run, const tfn__named_view *view, tfn_instant keep_from,
                               uint64_t *n_rows, tfn_error *err)
{
    key_list keys = {0};
    uint32_t generation = 0;
    tfn_code rc = TFN_OK;
    while (rc == TFN_OK && !keys.is_end) {
        rc = tfn__watch_tell(run->vacuum->watch, "looking for expired rows", run->n_done, -1,
                             stopped, err);
        if (rc == TFN_OK) {
            rc = find_expired(run, view, keep_from, &generation, &keys, err);
        }
        if (rc == TFN_OK) {
            run->n_done += keys.n;
            rc = remove_expired(run, view, generation, keep_from, &keys, n_rows, err);
        }
    }
    tfn_buf_deinit(&keys.bytes);
    tfn_buf_deinit(&keys.last);
    return rc;
}

/* ---- all ---- */

static tfn_code vacuum_view(vacuum_run *run, const tfn__named_view *view, tfn_error *err)
{
    tfn_online_verdict verdict = {.keep_from = TFN_INSTANT_NONE};
    TFN_RETURN_IF_ERROR(
        run->vacuum->judge(run->vacuum->judge_context, view->project, view->view, &verdict, err));
    if (verdict.is_kept) {
        return TFN_OK;
    }
    tfn_online_vacuumed_view *out = &run->out->views[run->out->n_views++];
    *out = (tfn_online_vacuumed_view){.project = view->project, .view = view->view};
    if (verdict.is_orphan || run->vacuum->drops_previous) {
        TFN_RETURN_IF_ERROR(vacuum_record(run, view, out, err));
    }
    if (verdict.is_orphan || tfn_instant_compare(verdict.keep_from, TFN_INSTANT_NONE) == 0) {
        return TFN_OK;
    }
    return vacuum_expired(run, view, verdict.keep_from, &out->n_expired, err);
}

tfn_code tfn__lmdb_run_vacuum(tfn_online *online, const tfn_online_vacuum *vacuum, tfn_arena *arena,
                              tfn_online_vacuumed *out, tfn_error *err)
{
    vacuum_run run = {.online = online, .vacuum = vacuum, .arena = arena, .out = out};
    tfn_lmdb_read read = {0};
    tfn__named_view *views = NULL;
    size_t n = 0;
    void *p = NULL;
    *out = (tfn_online_vacuumed){0};
    TFN_RETURN_IF_ERROR(tfn__lmdb_engine_begin_read(online, &read, err));
    if (read.txn == NULL) {
        return TFN_OK;
    }
    const tfn_code rc = tfn__views_list(read.env, read.txn, arena, &views, &n, err);
    tfn_lmdb_end_read(&read);
    TFN_RETURN_IF_ERROR(rc);
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(arena, n, sizeof *out->views, &p, err));
    out->views = p;
    if (!vacuum->is_dry_run) {
        TFN_RETURN_IF_ERROR(tfn__lmdb_engine_get(online, TFN_ONLINE_WRITE, &run.lmdb, err));
    }
    for (size_t i = 0; i < n; i++) {
        TFN_RETURN_IF_ERROR(vacuum_view(&run, &views[i], err));
    }
    return vacuum_unnamed(&run, err);
}
