/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Writing: one LMDB write transaction per write, under docs/semantics/write-rule.md.
 *
 *   put: key -> beyond the last key of the database?  yes: append (no look-up, full pages)
 *                                                     no: look up -> write rule -> put
 *
 * One view at a time: before the next one, and before the commit, what became of a view goes to its
 * record, where the same view finds it if it comes again.
 *
 * Invariants
 *  1. Nothing is visible or durable before commit, and everything is after it (LMDB: pages are
 *     written and synced before the head page that names them).
 *  2. `last_key` is the greatest key of `rows` as this transaction sees it. Generations are
 *     numbered upwards, so sorted rows of a new one are all beyond it, and land in full pages.
 *  3. A write that put nothing new into views that exist ends without a commit: the second of two
 *     identical runs leaves the file as it is. A view that is not there is made by a write that puts
 *     (or means to put, and has no rows), not by one that only deletes.
 *  4. After an error of LMDB the transaction is dead (`is_failed`); refused memory, a wrong time or
 *     a row too large are found before LMDB is touched and leave it alive.
 */

#include <string.h>

#include "base/mem.h"
#include "online/lmdb_internal.h"

#include "base/poison.h"

struct tfn_lmdb_write {
    tfn_lmdb_env *env;
    MDB_txn *txn;
    MDB_cursor *cursor; /* in `rows` */
    tfn_row_schema *schema;
    tfn_buf row;
    tfn_buf names; /* project, then view */
    size_t n_project;
    tfn__view record; /* as it will be */
    tfn_online_origin origin;
    bool has_view; /* false: none was begun yet */
    bool is_new_view;
    bool has_puts;    /* of the view */
    bool has_deletes; /* of the view, in vain or not */
    bool is_changed;  /* the view */
    bool has_changes; /* some view before it; what the transaction holds must be committed */
    bool is_failed;
    tfn__row_key last_key; /* n == 0: `rows` is empty. Deletions may leave it too great */
    tfn_online_stats stats;
};

static tfn_str project_of(const tfn_lmdb_write *w)
{
    return (tfn_str){w->names.p, w->n_project};
}

static tfn_str view_of(const tfn_lmdb_write *w)
{
    return (tfn_str){w->names.p + w->n_project, w->names.n - w->n_project};
}

static tfn_code fail_write(tfn_lmdb_write *w, int lmdb_rc, const char *doing, tfn_error *err)
{
    w->is_failed = true;
    return tfn__lmdb_fail(w->env->path, lmdb_rc, doing, err);
}

/* ---- begin ---- */

/* Counted while it waits for LMDB's lock, so that the environment is not closed meanwhile. */
static int try_begin_txn(tfn_lmdb_env *env, MDB_txn **txn)
{
    (void)atomic_fetch_add_explicit(&env->n_txns, 1, memory_order_seq_cst);
    const int rc = atomic_load_explicit(&env->is_dying, memory_order_seq_cst)
                       ? MDB_PANIC
                       : mdb_txn_begin(env->lmdb, NULL, 0, txn);
    (void)atomic_fetch_sub_explicit(&env->n_txns, 1, memory_order_seq_cst);
    return rc;
}

tfn_code tfn__write_get_env(tfn_lmdb *online, tfn_lmdb_env **env, tfn_error *err)
{
    *env = NULL;
    if (online->mode != TFN_ONLINE_WRITE) {
        return TFN_FAIL(err, TFN_INVALID, "online store at '%s' was opened for reading only",
                        online->path);
    }
    return tfn__lmdb_get_env(online, env, err);
}

tfn_code tfn__write_begin_txn(tfn_lmdb *online, tfn_lmdb_env **env, MDB_txn **txn, tfn_error *err)
{
    *txn = NULL;
    TFN_RETURN_IF_ERROR(tfn__write_get_env(online, env, err));
    int rc = try_begin_txn(*env, txn);
    for (int i = 0; rc == MDB_PANIC && i < TFN__ONLINE_REVIVALS; i++) {
        TFN_RETURN_IF_ERROR(tfn__lmdb_revive(*env, err));
        TFN_RETURN_IF_ERROR(tfn__lmdb_get_env(online, env, err));
        rc = try_begin_txn(*env, txn);
    }
    if (rc != 0) {
        *txn = NULL;
        return tfn__lmdb_fail((*env)->path, rc, "beginning to write", err);
    }
    return TFN_OK;
}

tfn_code tfn__write_end_txn(const tfn_lmdb_env *env, MDB_txn *txn, tfn_code rc, const char *doing,
                            tfn_error *err)
{
    if (rc != TFN_OK) {
        mdb_txn_abort(txn);
        return rc;
    }
    const int lmdb_rc = mdb_txn_commit(txn); /* frees it in any case */
    return lmdb_rc == 0 ? TFN_OK : tfn__lmdb_fail(env->path, lmdb_rc, doing, err);
}

static tfn_code keep_names(tfn_lmdb_write *w, tfn_str project, tfn_str view, tfn_error *err)
{
    tfn_buf_clear(&w->names);
    w->n_project = project.n;
    TFN_RETURN_IF_ERROR(tfn_buf_add_str(&w->names, project, err));
    return tfn_buf_add_str(&w->names, view, err);
}

static tfn_code find_last_key(tfn_lmdb_write *w, tfn_error *err)
{
    MDB_val key = {0};
    MDB_val value = {0};
    const int rc = mdb_cursor_get(w->cursor, &key, &value, MDB_LAST);
    if (rc == MDB_NOTFOUND) {
        return TFN_OK;
    }
    if (rc != 0) {
        return fail_write(w, rc, "looking for its last row", err);
    }
    if (key.mv_size > TFN__ROW_KEY_BYTES) {
        return TFN_FAIL(err, TFN_CORRUPT, "online store at '%s': a key has %zu bytes", w->env->path,
                        key.mv_size);
    }
    memcpy(w->last_key.bytes, key.mv_data, key.mv_size);
    w->last_key.n = key.mv_size;
    return TFN_OK;
}

/* Inside the transaction: the view's generation. */
static tfn_code find_view(tfn_lmdb_write *w, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn__view_get(w->env, w->txn, project_of(w), view_of(w), &w->record, err));
    w->is_new_view = w->record.generation == 0;
    if (w->is_new_view) {
        TFN_RETURN_IF_ERROR(
            tfn__meta_take_number(w->env, w->txn, "next_generation", &w->record.generation, err));
    }
    w->has_puts = false;
    w->has_deletes = false;
    w->is_changed = false;
    return TFN_OK;
}

tfn_code tfn__write_begin_in(tfn_lmdb_env *env, MDB_txn *txn, tfn_lmdb_write **out, tfn_error *err)
{
    *out = NULL;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_lmdb_write), &p, err));
    tfn_lmdb_write *w = p;
    w->env = env;
    w->txn = txn;
    const int lmdb_rc = mdb_cursor_open(w->txn, w->env->rows, &w->cursor);
    const tfn_code rc =
        lmdb_rc == 0 ? find_last_key(w, err) : fail_write(w, lmdb_rc, "beginning to write", err);
    if (rc != TFN_OK) {
        w->txn = NULL; /* the caller's, still */
        if (lmdb_rc == 0) {
            mdb_cursor_close(w->cursor);
        }
        tfn_lmdb_abort(w);
        return rc;
    }
    *out = w;
    return TFN_OK;
}

tfn_code tfn_lmdb_begin_write(tfn_lmdb *online, tfn_str project, tfn_str view,
                              const tfn_row_field *fields, size_t n_fields, tfn_lmdb_write **out,
                              tfn_error *err)
{
    *out = NULL;
    tfn_lmdb_env *env = NULL;
    MDB_txn *txn = NULL;
    tfn_row_schema *schema = NULL;
    tfn_lmdb_write *w = NULL;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn__view_check_names(project, view, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_row_schema_create(fields, n_fields, &schema, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__write_begin_txn(online, &env, &txn, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__write_begin_in(env, txn, &w, err), done);
    txn = NULL;
    TFN_GOTO_IF_ERROR(rc, tfn__write_next_view(w, project, view, &schema, err), done);
    *out = w;
    w = NULL;
done:
    tfn_lmdb_abort(w);
    if (txn != NULL) {
        mdb_txn_abort(txn);
    }
    tfn_row_schema_destroy(schema);
    return rc;
}

/* ---- put ---- */

static tfn_code assign_schema(tfn_lmdb_write *w, tfn_error *err)
{
    const tfn_code rc = tfn__schema_assign_id(w->env, w->txn, w->schema, err);
    w->is_failed |= rc != TFN_OK && rc != TFN_NO_MEMORY;
    return rc;
}

static bool is_beyond(const tfn__row_key *key, const tfn__row_key *last)
{
    const size_t n = key->n < last->n ? key->n : last->n;
    const int order = memcmp(key->bytes, last->bytes, n);
    return order > 0 || (order == 0 && key->n > last->n);
}

static tfn_code append(tfn_lmdb_write *w, const tfn__row_key *key, tfn_str row, tfn_error *err)
{
    MDB_val mdb_key = tfn__val(key->bytes, key->n);
    MDB_val value = tfn__val(row.p, row.n);
    const int rc = mdb_cursor_put(w->cursor, &mdb_key, &value, MDB_APPEND);
    if (rc != 0) {
        return fail_write(w, rc, "writing a row", err);
    }
    memcpy(w->last_key.bytes, key->bytes, key->n);
    w->last_key.n = key->n;
    w->record.n_rows++;
    return TFN_OK;
}

tfn_code tfn__row_fail_same_hash(const tfn_lmdb_env *env, tfn_error *err)
{
    return TFN_FAIL(
        err, TFN_CONFLICT,
        "online store at '%s': two keys of over %d bytes have the same hash; the second "
        "cannot be kept",
        env->path, TFN__ROW_KEY_BYTES);
}

/* Is the row that is there, of whatever schema, that of this key, or of another with its hash? Its
 * schema may be one that is not committed, so it is not had from the cache. */
static tfn_code has_full_key(tfn_lmdb_write *w, MDB_val there, tfn_str key, bool *out,
                             tfn_error *err)
{
    uint32_t schema_id = 0;
    tfn_row row;
    tfn_row_schema *loaded = NULL;
    *out = false;
    TFN_RETURN_IF_ERROR(tfn_row_get_schema_id(tfn__val_str(there), &schema_id, err));
    if (schema_id != w->schema->id) {
        TFN_RETURN_IF_ERROR(tfn__schema_load(w->env, w->txn, schema_id, &loaded, err));
    }
    const tfn_code rc =
        tfn_row_open(loaded != NULL ? loaded : w->schema, tfn__val_str(there), &row, err);
    if (rc == TFN_OK) {
        *out = tfn_str_equal(row.full_key, key);
    }
    tfn_row_schema_destroy(loaded);
    return rc;
}

/* An encoded row that is to be put. */
typedef struct new_row {
    tfn_str key;
    tfn_str bytes;
    tfn_instant event;
    tfn_instant created;
} new_row;

/* The write rule: what becomes of the row, given the one that is there. */
static tfn_code decide(tfn_lmdb_write *w, const new_row *put, bool is_hashed, MDB_val there,
                       tfn_online_outcome *out, tfn_error *err)
{
    tfn_instant event;
    tfn_instant created;
    bool is_same_key = true;
    *out = TFN_ONLINE_WRITTEN;
    if (is_hashed) {
        TFN_RETURN_IF_ERROR(has_full_key(w, there, put->key, &is_same_key, err));
    }
    if (!is_same_key) {
        return tfn__row_fail_same_hash(w->env, err);
    }
    TFN_RETURN_IF_ERROR(tfn_row_get_times(tfn__val_str(there), &event, &created, err));
    int order = tfn_instant_compare(put->event, event);
    order = order != 0 ? order : tfn_instant_compare(put->created, created);
    if (order < 0) {
        *out = TFN_ONLINE_OLDER;
    } else if (order == 0 && tfn_str_equal(tfn__val_str(there), put->bytes)) {
        *out = TFN_ONLINE_SAME;
    }
    return TFN_OK;
}

/* Put at a place that may hold a row already. */
static tfn_code put_inside(tfn_lmdb_write *w, const new_row *put, const tfn__row_key *row_key,
                           tfn_online_outcome *out, tfn_error *err)
{
    MDB_val mdb_key = tfn__val(row_key->bytes, row_key->n);
    MDB_val there = {0};
    int rc = mdb_cursor_get(w->cursor, &mdb_key, &there, MDB_SET);
    if (rc != 0 && rc != MDB_NOTFOUND) {
        return fail_write(w, rc, "looking for a row", err);
    }
    const bool is_new = rc == MDB_NOTFOUND;
    if (!is_new) {
        TFN_RETURN_IF_ERROR(decide(w, put, row_key->is_hashed, there, out, err));
        if (*out != TFN_ONLINE_WRITTEN) {
            return TFN_OK;
        }
    }
    MDB_val value = tfn__val(put->bytes.p, put->bytes.n);
    mdb_key = tfn__val(row_key->bytes, row_key->n);
    rc = mdb_cursor_put(w->cursor, &mdb_key, &value, is_new ? MDB_NOOVERWRITE : MDB_CURRENT);
    if (rc != 0) {
        return fail_write(w, rc, "writing a row", err);
    }
    w->record.n_rows += is_new;
    return TFN_OK;
}

/* Note a put, or (row empty) a deletion, for generations that do not see it. */
static tfn_code log_change(tfn_lmdb_write *w, const tfn__row_key *row_key, tfn_str row,
                           tfn_error *err)
{
    if (!tfn__view_is_logged(&w->record) || w->origin != TFN_ONLINE_PUSH) {
        return TFN_OK;
    }
    bool has_put = false;
    const tfn_code rc = tfn__changes_log(w->env, w->txn, &w->record, w->origin,
                                         tfn__row_key_tail(row_key), row, &has_put, err);
    w->is_failed |= rc != TFN_OK;
    w->is_changed |= has_put; /* the list, whatever the write rule says of the row that is live */
    return rc;
}

static tfn_code check_alive(tfn_lmdb_write *w, const char *doing, tfn_error *err)
{
    return w->is_failed ? tfn__lmdb_fail(w->env->path, MDB_BAD_TXN, doing, err) : TFN_OK;
}

static tfn_code begin_put(tfn_lmdb_write *w, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(check_alive(w, "writing a row", err));
    if (!w->has_puts) {
        TFN_RETURN_IF_ERROR(assign_schema(w, err));
        w->has_puts = true;
    }
    return TFN_OK;
}

static tfn_code put_row(tfn_lmdb_write *w, const new_row *put, const tfn__row_key *row_key,
                        tfn_online_outcome *outcome, tfn_error *err)
{
    tfn_online_outcome result = TFN_ONLINE_WRITTEN;
    if (is_beyond(row_key, &w->last_key)) {
        TFN_RETURN_IF_ERROR(append(w, row_key, put->bytes, err));
    } else {
        TFN_RETURN_IF_ERROR(put_inside(w, put, row_key, &result, err));
    }
    w->is_changed |= result == TFN_ONLINE_WRITTEN;
    TFN_RETURN_IF_ERROR(log_change(w, row_key, put->bytes, err));
    w->stats.n_written += result == TFN_ONLINE_WRITTEN;
    w->stats.n_older += result == TFN_ONLINE_OLDER;
    w->stats.n_same += result == TFN_ONLINE_SAME;
    if (outcome != NULL) {
        *outcome = result;
    }
    return TFN_OK;
}

tfn_code tfn_lmdb_put(tfn_lmdb_write *write, tfn_str key, const tfn_cell *cells, tfn_instant event,
                      tfn_instant created, tfn_online_outcome *outcome, tfn_error *err)
{
    tfn__row_key row_key;
    TFN_RETURN_IF_ERROR(begin_put(write, err));
    TFN_RETURN_IF_ERROR(tfn__row_key_make(write->record.generation, key, &row_key, err));
    const tfn_str full_key = row_key.is_hashed ? key : (tfn_str){0};
    TFN_RETURN_IF_ERROR(
        tfn_row_encode(write->schema, cells, event, created, full_key, &write->row, err));
    const new_row put = {key, tfn_buf_get_str(&write->row), event, created};
    return put_row(write, &put, &row_key, outcome, err);
}

tfn_code tfn__write_put_encoded(tfn_lmdb_write *write, tfn_str key, char *row, size_t n_bytes,
                                tfn_error *err)
{
    tfn__row_key row_key;
    TFN_RETURN_IF_ERROR(begin_put(write, err));
    TFN_RETURN_IF_ERROR(tfn__row_key_make(write->record.generation, key, &row_key, err));
    tfn_row_set_schema_id(row, write->schema->id);
    new_row put = {.key = key, .bytes = {row, n_bytes}};
    TFN_RETURN_IF_ERROR(tfn_row_get_times(put.bytes, &put.event, &put.created, err));
    return put_row(write, &put, &row_key, NULL, err);
}

/* ---- delete ---- */

static tfn_code delete_found(tfn_lmdb_write *w, tfn_error *err)
{
    const int rc = mdb_cursor_del(w->cursor, 0);
    if (rc != 0) {
        return fail_write(w, rc, "deleting a row", err);
    }
    w->record.n_rows--;
    w->is_changed = true;
    return TFN_OK;
}

tfn_code tfn_lmdb_delete(tfn_lmdb_write *write, tfn_str key, bool *was_there, tfn_error *err)
{
    if (was_there != NULL) {
        *was_there = false;
    }
    TFN_RETURN_IF_ERROR(check_alive(write, "deleting a row", err));
    tfn__row_key row_key;
    TFN_RETURN_IF_ERROR(tfn__row_key_make(write->record.generation, key, &row_key, err));
    MDB_val mdb_key = tfn__val(row_key.bytes, row_key.n);
    MDB_val there = {0};
    const int rc = mdb_cursor_get(write->cursor, &mdb_key, &there, MDB_SET);
    if (rc != 0 && rc != MDB_NOTFOUND) {
        return fail_write(write, rc, "looking for a row", err);
    }
    bool is_found = rc == 0;
    if (is_found && row_key.is_hashed) { /* another key may have the hash */
        TFN_RETURN_IF_ERROR(has_full_key(write, there, key, &is_found, err));
    }
    if (is_found) {
        TFN_RETURN_IF_ERROR(delete_found(write, err));
    }
    TFN_RETURN_IF_ERROR(log_change(write, &row_key, (tfn_str){0}, err));
    write->has_deletes = true;
    write->stats.n_deleted += is_found;
    write->stats.n_absent += !is_found;
    if (was_there != NULL) {
        *was_there = is_found;
    }
    return TFN_OK;
}

void tfn__write_set_origin(tfn_lmdb_write *write, tfn_online_origin origin)
{
    write->origin = origin;
}

uint32_t tfn__write_get_generation(const tfn_lmdb_write *write)
{
    return write->record.generation;
}

tfn_online_stats tfn_lmdb_get_stats(const tfn_lmdb_write *write)
{
    return write->stats;
}

/* ---- the next view, the end ---- */

/* What became of the view goes to its record. A view without puts, of a write that means to put, is
 * made all the same: it was materialized, and is empty. */
static tfn_code end_view(tfn_lmdb_write *w, tfn_error *err)
{
    const bool is_made = w->is_new_view && (w->has_puts || !w->has_deletes);
    if (!is_made && !w->is_changed) {
        return TFN_OK;
    }
    if (w->is_new_view && !is_made) { /* deletions, noted for the first load, which is built */
        w->has_changes = true;
        return TFN_OK;
    }
    if (w->has_puts || !w->has_deletes) {
        TFN_RETURN_IF_ERROR(assign_schema(w, err));
        w->record.schema_id = w->schema->id;
    }
    w->has_changes = true;
    const tfn_code rc = tfn__view_put(w->env, w->txn, project_of(w), view_of(w), &w->record, err);
    w->is_failed = rc != TFN_OK;
    return rc;
}

tfn_code tfn__write_next_view(tfn_lmdb_write *write, tfn_str project, tfn_str view,
                              tfn_row_schema **schema, tfn_error *err)
{
    tfn_code rc = check_alive(write, "beginning to write", err);
    if (rc == TFN_OK && write->has_view) {
        rc = end_view(write, err);
    }
    if (rc == TFN_OK) {
        rc = keep_names(write, project, view, err);
    }
    if (rc == TFN_OK) {
        rc = find_view(write, err);
    }
    if (rc == TFN_OK) {
        tfn_row_schema_destroy(write->schema);
        write->schema = *schema;
        *schema = NULL;
        write->has_view = true;
    }
    write->is_failed |= rc != TFN_OK;
    return rc;
}

tfn_code tfn_lmdb_next_view(tfn_lmdb_write *write, tfn_str project, tfn_str view,
                            const tfn_row_field *fields, size_t n_fields, tfn_error *err)
{
    tfn_row_schema *schema = NULL;
    tfn_code rc = tfn__view_check_names(project, view, err);
    if (rc == TFN_OK) {
        rc = tfn_row_schema_create(fields, n_fields, &schema, err);
    }
    if (rc == TFN_OK) {
        rc = tfn__write_next_view(write, project, view, &schema, err);
    }
    tfn_row_schema_destroy(schema);
    write->is_failed |= rc != TFN_OK;
    return rc;
}

tfn_code tfn__write_commit(tfn_lmdb_write *write, bool *has_changed, tfn_error *err)
{
    tfn_code rc = TFN_OK;
    *has_changed = false;
    const bool is_ours = tfn__lmdb_is_ours(write->env);
    if (!is_ours) {
        rc = TFN_FAIL(err, TFN_INVALID, "a write begun before a fork cannot be committed after it");
    } else {
        rc = check_alive(write, "committing", err);
    }
    if (rc == TFN_OK && write->has_view) {
        rc = end_view(write, err);
    }
    if (rc == TFN_OK && write->has_changes) {
        mdb_cursor_close(write->cursor);
        write->cursor = NULL;
        const int lmdb_rc = mdb_txn_commit(write->txn); /* frees it in any case */
        write->txn = NULL;
        rc = lmdb_rc == 0 ? TFN_OK : tfn__lmdb_fail(write->env->path, lmdb_rc, "committing", err);
        *has_changed = rc == TFN_OK;
    }
    tfn_lmdb_abort(write); /* what is left of it */
    return rc;
}

tfn_code tfn_lmdb_commit(tfn_lmdb_write *write, tfn_error *err)
{
    bool has_changed = false;
    return tfn__write_commit(write, &has_changed, err);
}

void tfn_lmdb_abort(tfn_lmdb_write *write)
{
    if (write == NULL) {
        return;
    }
    if (write->txn != NULL && tfn__lmdb_is_ours(write->env)) {
        if (write->cursor != NULL) {
            mdb_cursor_close(write->cursor);
        }
        mdb_txn_abort(write->txn);
    }
    tfn_row_schema_destroy(write->schema);
    tfn_buf_deinit(&write->row);
    tfn_buf_deinit(&write->names);
    tfn_mem_free(write);
}
