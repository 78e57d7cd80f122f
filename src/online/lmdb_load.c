/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Loads: rows of a source, in key order, into a view.
 *
 *   few      (under a tenth of the view's rows, and TFN_LOAD_MAX_IN_PLACE_ROWS at most)
 *            -> the live generation, one transaction (lmdb_write.c)
 *   many     compare: each row with the live one of a read; nothing is written while all of them
 *            are older or the same
 *            build: from the first row on that changes something, live rows and new ones are merged
 *            in key order into a new generation
 *
 *   live rows (a read transaction) -.
 *                                    >- merge -> lmdb_build.c
 *   new rows (put) -----------------'
 *
 * Invariants
 *  1. The read that gives the live rows begins while the build's first transaction holds the write
 *     lock: each push is either in the read or in the build's change list.
 *  2. Keys too long to be keys of LMDB lie under hashes, behind all others and in another order:
 *     their rows are compared one by one, go into the build as they come, and the live ones follow
 *     at the end where no new row was put (`put if absent`). So do rows that are out of order.
 *  3. The load has the view's turn from begin to end, so the live generation is changed by pushes
 *     and deletions only; where it is another one all the same, the view was dropped, and the load is
 *     an error. A build looks in each transaction, the others where they end or get the write lock.
 */

#include <string.h>

#include "base/mem.h"
#include "online/bytes.h"
#include "online/lmdb_generation.h"

#include "base/poison.h"

/* A load of under this part of a view's rows goes into its live generation, if its one transaction
 * does not keep others from writing for longer than a batch of a build does (lmdb_build.c). */
enum { SMALL_LOAD_PART = 10 };
#ifndef TFN_LOAD_MAX_IN_PLACE_ROWS
#define TFN_LOAD_MAX_IN_PLACE_ROWS 65536
#endif

struct tfn_lmdb_load {
    tfn_lmdb *online;
    tfn_lmdb_env *env;
    tfn__turn turn;
    tfn_lmdb_write *in_place; /* few rows: not NULL, and what follows is not used */
    tfn_buf names;            /* project, then view */
    size_t n_project;
    tfn_row_schema *schema;
    tfn_buf row;
    tfn_lmdb_read snapshot;
    tfn__view base;     /* the view's record in the snapshot */
    MDB_cursor *cursor; /* in its live rows; NULL: there are none */
    MDB_val live_key;   /* the next live row; mv_data == NULL: no more */
    MDB_val live_row;
    tfn__row_key last; /* greatest key that was put in order; n == 0: none */
    tfn__build build;
    tfn_online_stats stats;
    size_t n_mark;
    uint8_t mark[TFN__MARK_BYTES];
    bool is_failed;
};

static tfn_str project_of(const tfn_lmdb_load *l)
{
    return (tfn_str){l->names.p, l->n_project};
}

static tfn_str view_of(const tfn_lmdb_load *l)
{
    return (tfn_str){l->names.p + l->n_project, l->names.n - l->n_project};
}

/* ---- live rows ---- */

static void end_snapshot(tfn_lmdb_load *l)
{
    if (l->cursor != NULL && tfn__lmdb_is_ours(l->env)) {
        mdb_cursor_close(l->cursor);
    }
    l->cursor = NULL;
    tfn_lmdb_end_read(&l->snapshot);
    l->live_key = (MDB_val){0};
}

static tfn_code take_live(tfn_lmdb_load *l, int lmdb_rc, tfn_error *err)
{
    if (lmdb_rc == 0 && l->live_key.mv_size >= TFN__GENERATION_BYTES &&
        l->live_key.mv_size <= TFN__ROW_KEY_BYTES) {
        if (tfn__get_u32_be(l->live_key.mv_data) != l->base.generation) {
            l->live_key = (MDB_val){0};
        }
        return TFN_OK;
    }
    l->live_key = (MDB_val){0};
    return lmdb_rc == MDB_NOTFOUND
               ? TFN_OK
               : tfn__lmdb_fail(l->env->path, lmdb_rc == 0 ? MDB_CORRUPTED : lmdb_rc,
                                "reading live rows", err);
}

static tfn_code next_live(tfn_lmdb_load *l, tfn_error *err)
{
    return take_live(l, mdb_cursor_get(l->cursor, &l->live_key, &l->live_row, MDB_NEXT), err);
}

/* Begin to read the newest commit, at the first live row. */
static tfn_code begin_snapshot(tfn_lmdb_load *l, tfn_error *err)
{
    end_snapshot(l);
    TFN_RETURN_IF_ERROR(tfn_lmdb_begin_read(l->online, &l->snapshot, err));
    l->env = l->snapshot.env; /* another one, when the one before had to be closed */
    TFN_RETURN_IF_ERROR(
        tfn__view_get(l->env, l->snapshot.txn, project_of(l), view_of(l), &l->base, err));
    if (l->base.generation == 0) {
        return TFN_OK;
    }
    uint8_t prefix[TFN__GENERATION_BYTES];
    tfn__set_u32_be(prefix, l->base.generation);
    const int rc = mdb_cursor_open(l->snapshot.txn, l->env->rows, &l->cursor);
    if (rc != 0) {
        return tfn__lmdb_fail(l->env->path, rc, "reading live rows", err);
    }
    l->live_key = tfn__val(prefix, sizeof prefix);
    return take_live(l, mdb_cursor_get(l->cursor, &l->live_key, &l->live_row, MDB_SET_RANGE), err);
}

/* begin_snapshot, of a load that goes on. */
static tfn_code renew_snapshot(tfn_lmdb_load *l, tfn_error *err)
{
    const uint32_t before = l->base.generation;
    TFN_RETURN_IF_ERROR(begin_snapshot(l, err));
    return before == 0 || l->base.generation == before ? TFN_OK
                                                       : tfn__build_fail_removed(view_of(l), err);
}

/* The next live row's key against `key`, without generations; no more live rows: greater. */
static int compare_live(const tfn_lmdb_load *l, const tfn__row_key *key)
{
    if (l->live_key.mv_data == NULL) {
        return 1;
    }
    const tfn_str live = {(const char *)l->live_key.mv_data + TFN__GENERATION_BYTES,
                          l->live_key.mv_size - TFN__GENERATION_BYTES};
    return tfn_str_compare(live, tfn__row_key_tail(key));
}

/* ---- the write rule ---- */

static tfn_code decide(const tfn_lmdb_load *l, tfn_str there, tfn_instant event,
                       tfn_instant created, tfn_online_outcome *out, tfn_error *err)
{
    tfn_instant its_event;
    tfn_instant its_created;
    TFN_RETURN_IF_ERROR(tfn_row_get_times(there, &its_event, &its_created, err));
    int order = tfn_instant_compare(event, its_event);
    order = order != 0 ? order : tfn_instant_compare(created, its_created);
    *out = TFN_ONLINE_WRITTEN;
    if (order < 0) {
        *out = TFN_ONLINE_OLDER;
    } else if (order == 0 && l->schema->id != 0 && tfn_str_equal(there, tfn_buf_get_str(&l->row))) {
        *out = TFN_ONLINE_SAME;
    }
    return TFN_OK;
}

static tfn_code check_full_key(const tfn_lmdb_load *l, tfn_str key, tfn_str there, tfn_error *err)
{
    uint32_t schema_id = 0;
    tfn_row row;
    const tfn_row_schema *schema = NULL;
    TFN_RETURN_IF_ERROR(tfn_row_get_schema_id(there, &schema_id, err));
    TFN_RETURN_IF_ERROR(tfn__schema_get(l->env, l->snapshot.txn, schema_id, &schema, err));
    TFN_RETURN_IF_ERROR(tfn_row_open(schema, there, &row, err));
    return tfn_str_equal(row.full_key, key) ? TFN_OK : tfn__row_fail_same_hash(l->env, err);
}

/* A row that cannot be merged: look its live one up. */
static tfn_code decide_alone(const tfn_lmdb_load *l, tfn_str key, tfn__row_key *row_key,
                             tfn_instant event, tfn_instant created, tfn_online_outcome *out,
                             tfn_error *err)
{
    *out = TFN_ONLINE_WRITTEN;
    if (l->base.generation == 0) {
        return TFN_OK;
    }
    tfn__set_u32_be(row_key->bytes, l->base.generation);
    MDB_val mdb_key = tfn__val(row_key->bytes, row_key->n);
    MDB_val there = {0};
    const int rc = mdb_get(l->snapshot.txn, l->env->rows, &mdb_key, &there);
    if (rc == MDB_NOTFOUND) {
        return TFN_OK;
    }
    if (rc != 0) {
        return tfn__lmdb_fail(l->env->path, rc, "looking for a row", err);
    }
    if (row_key->is_hashed) {
        TFN_RETURN_IF_ERROR(check_full_key(l, key, tfn__val_str(there), err));
    }
    return decide(l, tfn__val_str(there), event, created, out, err);
}

/* ---- merge ---- */

static tfn_code add_live(tfn_lmdb_load *l, tfn_error *err)
{
    const tfn_str key = tfn__val_str(l->live_key);
    const bool is_hashed = tfn__row_key_is_hashed(key);
    TFN_RETURN_IF_ERROR(tfn__build_add(&l->build, is_hashed ? TFN__BUILD_IF_ABSENT : TFN__BUILD_PUT,
                                       key, tfn__val_str(l->live_row), err));
    return next_live(l, err);
}

/* Pass the live rows before `key` (NULL: all), which go into the build, if there is one. */
static tfn_code pass_live(tfn_lmdb_load *l, const tfn__row_key *key, tfn_error *err)
{
    while (l->live_key.mv_data != NULL && (key == NULL || compare_live(l, key) < 0)) {
        TFN_RETURN_IF_ERROR(l->build.generation != 0 ? add_live(l, err) : next_live(l, err));
    }
    return TFN_OK;
}

/* The first row that changes something: from here on there is a build. Everything up to the last
 * row that was put in order comes from the live rows. */
static tfn_code begin_build(tfn_lmdb_load *l, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(
        tfn__build_begin(&l->build, l->online, project_of(l), view_of(l), l->schema, err));
    TFN_RETURN_IF_ERROR(renew_snapshot(l, err)); /* under the write lock: invariant 1 */
    if (l->last.n == 0) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(pass_live(l, &l->last, err));
    return compare_live(l, &l->last) == 0 ? add_live(l, err) : TFN_OK;
}

/* What becomes of the encoded row, and, if it is written and there is a build, its way into that.
 * In order, the live row of its key is passed as well. */
static tfn_code merge(tfn_lmdb_load *l, tfn_str key, tfn__row_key *row_key, bool is_in_order,
                      tfn_instant event, tfn_instant created, tfn_online_outcome *out,
                      tfn_error *err)
{
    *out = TFN_ONLINE_WRITTEN;
    const tfn_str row_key_text = {(const char *)row_key->bytes, row_key->n};
    if (!is_in_order) {
        TFN_RETURN_IF_ERROR(decide_alone(l, key, row_key, event, created, out, err));
        return *out == TFN_ONLINE_WRITTEN && l->build.generation != 0
                   ? tfn__build_add(&l->build, TFN__BUILD_PUT, row_key_text,
                                    tfn_buf_get_str(&l->row), err)
                   : TFN_OK;
    }
    TFN_RETURN_IF_ERROR(pass_live(l, row_key, err));
    const bool has_live = compare_live(l, row_key) == 0;
    if (has_live) {
        TFN_RETURN_IF_ERROR(decide(l, tfn__val_str(l->live_row), event, created, out, err));
    }
    if (*out == TFN_ONLINE_WRITTEN && l->build.generation == 0) {
        return TFN_OK; /* decided again once there is a build */
    }
    if (*out == TFN_ONLINE_WRITTEN) {
        TFN_RETURN_IF_ERROR(
            tfn__build_add(&l->build, TFN__BUILD_PUT, row_key_text, tfn_buf_get_str(&l->row), err));
    } else if (l->build.generation != 0) {
        return add_live(l, err);
    }
    return has_live ? next_live(l, err) : TFN_OK;
}

static tfn_code encode(tfn_lmdb_load *l, tfn_str key, const tfn__row_key *row_key,
                       const tfn_cell *cells, tfn_instant event, tfn_instant created,
                       tfn_error *err)
{
    const tfn_str full_key = row_key->is_hashed ? key : (tfn_str){0};
    return tfn_row_encode(l->schema, cells, event, created, full_key, &l->row, err);
}

static tfn_code put_row(tfn_lmdb_load *l, tfn_str key, const tfn_cell *cells, tfn_instant event,
                        tfn_instant created, tfn_online_outcome *out, tfn_error *err)
{
    tfn__row_key row_key;
    TFN_RETURN_IF_ERROR(tfn__row_key_make(0, key, &row_key, err));
    TFN_RETURN_IF_ERROR(encode(l, key, &row_key, cells, event, created, err));
    const bool is_in_order =
        !row_key.is_hashed && (l->last.n == 0 || tfn_str_compare(tfn__row_key_tail(&row_key),
                                                                 tfn__row_key_tail(&l->last)) > 0);
    l->is_failed = true; /* until it is done */
    TFN_RETURN_IF_ERROR(merge(l, key, &row_key, is_in_order, event, created, out, err));
    if (*out == TFN_ONLINE_WRITTEN && l->build.generation == 0) {
        TFN_RETURN_IF_ERROR(begin_build(l, err));
        TFN_RETURN_IF_ERROR(encode(l, key, &row_key, cells, event, created, err)); /* with its id */
        TFN_RETURN_IF_ERROR(merge(l, key, &row_key, is_in_order, event, created, out, err));
    }
    if (is_in_order) {
        memcpy(l->last.bytes, row_key.bytes, row_key.n);
        l->last.n = row_key.n;
    }
    l->is_failed = false;
    return TFN_OK;
}

tfn_code tfn_lmdb_load_put(tfn_lmdb_load *load, tfn_str key, const tfn_cell *cells,
                           tfn_instant event, tfn_instant created, tfn_online_outcome *outcome,
                           tfn_error *err)
{
    tfn_online_outcome result = TFN_ONLINE_WRITTEN;
    if (load->in_place != NULL) {
        return tfn_lmdb_put(load->in_place, key, cells, event, created, outcome, err);
    }
    if (load->is_failed || !tfn__lmdb_is_ours(load->env)) {
        return tfn__lmdb_fail(load->env->path, MDB_BAD_TXN, "writing a row", err);
    }
    TFN_RETURN_IF_ERROR(put_row(load, key, cells, event, created, &result, err));
    load->stats.n_written += result == TFN_ONLINE_WRITTEN;
    load->stats.n_older += result == TFN_ONLINE_OLDER;
    load->stats.n_same += result == TFN_ONLINE_SAME;
    if (outcome != NULL) {
        *outcome = result;
    }
    return TFN_OK;
}

tfn_online_stats tfn_lmdb_load_get_stats(const tfn_lmdb_load *load)
{
    return load->in_place != NULL ? tfn_lmdb_get_stats(load->in_place) : load->stats;
}

tfn_code tfn_lmdb_load_mark(tfn_lmdb_load *load, tfn_str mark, tfn_error *err)
{
    if (mark.n > TFN__MARK_BYTES) {
        return TFN_FAIL(err, TFN_LIMIT, "a mark of %zu bytes was given; %d fit", mark.n,
                        TFN__MARK_BYTES);
    }
    if (mark.n > 0) {
        memcpy(load->mark, mark.p, mark.n);
    }
    load->n_mark = mark.n;
    return TFN_OK;
}

/* ---- begin ---- */

static tfn_code keep_names(tfn_lmdb_load *l, tfn_str project, tfn_str view, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn__view_check_names(project, view, err));
    l->n_project = project.n;
    TFN_RETURN_IF_ERROR(tfn_buf_add_str(&l->names, project, err));
    return tfn_buf_add_str(&l->names, view, err);
}

/* Whoever had the turn before may have died between its commit and telling readers of it, which is
 * made up for by the next one that gets the write lock: us, before we look at what is there. */
static tfn_code find_last_commit(tfn_lmdb_load *l, tfn_error *err)
{
    MDB_txn *txn = NULL;
    TFN_RETURN_IF_ERROR(tfn__write_begin_txn(l->online, &l->env, &txn, err));
    mdb_txn_abort(txn);
    return TFN_OK;
}

/* A build that is recorded while we have the turn is of a process that died. */
static tfn_code reclaim_own(tfn_lmdb_load *l, tfn_error *err)
{
    bool is_changed = false;
    if (l->base.building_generation == 0) {
        return TFN_OK;
    }
    end_snapshot(l);
    TFN_RETURN_IF_ERROR(
        tfn__generation_forget_build(l->online, project_of(l), view_of(l), &is_changed, err));
    TFN_RETURN_IF_ERROR(tfn__generation_sweep(l->online, NULL, err));
    return begin_snapshot(l, err);
}

static tfn_code choose_way(tfn_lmdb_load *l, uint64_t n_rows, const tfn_row_field *fields,
                           size_t n_fields, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(find_last_commit(l, err));
    tfn__generation_try_sweep(l->online); /* of others that died; without any it takes no lock */
    TFN_RETURN_IF_ERROR(begin_snapshot(l, err));
    TFN_RETURN_IF_ERROR(reclaim_own(l, err));
    const uint64_t part =
        l->base.n_rows / SMALL_LOAD_PART + (l->base.n_rows % SMALL_LOAD_PART != 0);
    if (l->base.generation == 0 || n_rows >= part || n_rows > TFN_LOAD_MAX_IN_PLACE_ROWS) {
        return tfn__schema_find_id(l->env, l->snapshot.txn, l->schema, err);
    }
    end_snapshot(l);
    TFN_RETURN_IF_ERROR(tfn_lmdb_begin_write(l->online, project_of(l), view_of(l), fields, n_fields,
                                             &l->in_place, err));
    tfn__write_set_origin(l->in_place, TFN_ONLINE_LOAD);
    return tfn__write_get_generation(l->in_place) == l->base.generation
               ? TFN_OK
               : tfn__build_fail_removed(view_of(l), err);
}

tfn_code tfn_lmdb_load_begin(tfn_lmdb *online, tfn_str project, tfn_str view,
                             const tfn_row_field *fields, size_t n_fields, uint64_t n_rows,
                             tfn_lmdb_load **out, tfn_error *err)
{
    *out = NULL;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_lmdb_load), &p, err));
    tfn_lmdb_load *l = p;
    tfn_code rc = TFN_OK;
    l->online = online;
    TFN_GOTO_IF_ERROR(rc, tfn__lmdb_get_env(online, &l->env, err), done);
    TFN_GOTO_IF_ERROR(rc, keep_names(l, project, view, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_row_schema_create(fields, n_fields, &l->schema, err), done);
    TFN_GOTO_IF_ERROR(
        rc, tfn__turn_begin(online->path, TFN__TURN_LOAD, project, view, true, &l->turn, err),
        done);
    TFN_GOTO_IF_ERROR(rc, choose_way(l, n_rows, fields, n_fields, err), done);
    *out = l;
    l = NULL;
done:
    tfn_lmdb_load_abort(l);
    return rc;
}

/* ---- end ---- */

static tfn_code commit_build(tfn_lmdb_load *l, tfn_error *err)
{
    if (!tfn__lmdb_is_ours(l->env)) {
        return TFN_FAIL(err, TFN_INVALID,
                        "a load begun before a fork cannot be committed after it");
    }
    if (l->is_failed) {
        return tfn__lmdb_fail(l->env->path, MDB_BAD_TXN, "committing", err);
    }
    if (l->build.generation == 0 && l->base.generation != 0) {
        return renew_snapshot(l, err);
    }
    if (l->build.generation == 0) { /* a view without rows: known from now on */
        TFN_RETURN_IF_ERROR(begin_build(l, err));
    }
    TFN_RETURN_IF_ERROR(pass_live(l, NULL, err));
    end_snapshot(l);
    const tfn_str mark = {(const char *)l->mark, l->n_mark};
    TFN_RETURN_IF_ERROR(tfn__build_finish(&l->build, l->schema->id, mark, err));
    tfn__generation_try_sweep(l->online);
    return TFN_OK;
}

tfn_code tfn_lmdb_load_commit(tfn_lmdb_load *load, tfn_error *err)
{
    tfn_lmdb_write *in_place = load->in_place;
    load->in_place = NULL;
    const tfn_code rc = in_place != NULL ? tfn_lmdb_commit(in_place, err) : commit_build(load, err);
    tfn_lmdb_load_abort(load); /* what is left of it */
    return rc;
}

void tfn_lmdb_load_abort(tfn_lmdb_load *load)
{
    if (load == NULL) {
        return;
    }
    tfn_lmdb_abort(load->in_place);
    if (load->env != NULL) {
        end_snapshot(load);
    }
    tfn__build_end(&load->build);
    tfn__turn_end(&load->turn);
    tfn_row_schema_destroy(load->schema);
    tfn_buf_deinit(&load->row);
    tfn_buf_deinit(&load->names);
    tfn_mem_free(load);
}
