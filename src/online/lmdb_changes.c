/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Change lists: what callers' hands (pushes, deletions) did to a view's live generation, kept for
 * each generation that does not see it: the previous one, and the one that is being built.
 *
 *   changes   key     u32 generation that lacks it, big endian | key of the row without generation
 *             value   u8 flags | row, if it has one
 *
 * The key is the one that the row has in database `rows` of that generation, so replaying walks
 * both trees in one order.
 *
 * Invariants
 *  1. A generation with its list is the state that it would be in if the changes had been made to
 *     it: docs/semantics/generations.md, rule 5. So a list keeps per key the greatest row by the
 *     write rule among those put since the key was last deleted, and whether it was deleted; rows
 *     that are older than what is live count too, since the generation may hold still older ones.
 *  2. A list has at most one entry per key, however long it is kept.
 */

#include <string.h>

#include "online/bytes.h"
#include "online/lmdb_internal.h"

#include "base/poison.h"

enum { WAS_DELETED = 1, HAS_ROW = 2, ALL_FLAGS = 3, FLAG_BYTES = 1 };

typedef struct change {
    uint8_t flags;
    tfn_str row;
} change;

static tfn_code parse_change(const char *path, MDB_val value, change *out, tfn_error *err)
{
    const uint8_t *p = value.mv_data;
    const uint8_t flags = value.mv_size > 0 ? p[0] : 0;
    if (flags == 0 || (flags & ~ALL_FLAGS) != 0 ||
        ((flags & HAS_ROW) != 0) != (value.mv_size > FLAG_BYTES)) {
        return TFN_FAIL(
            err, TFN_CORRUPT,
            "online store at '%s': an entry of a change list has flags %u and %zu bytes", path,
            (unsigned)flags, value.mv_size);
    }
    *out = (change){flags, {(const char *)p + FLAG_BYTES, value.mv_size - FLAG_BYTES}};
    return TFN_OK;
}

/* By the write rule: below zero when `row` is older than `there`. */
static tfn_code compare(tfn_str row, tfn_str there, int *order, tfn_error *err)
{
    tfn_instant event[2];
    tfn_instant created[2];
    TFN_RETURN_IF_ERROR(tfn_row_get_times(row, &event[0], &created[0], err));
    TFN_RETURN_IF_ERROR(tfn_row_get_times(there, &event[1], &created[1], err));
    *order = tfn_instant_compare(event[0], event[1]);
    *order = *order != 0 ? *order : tfn_instant_compare(created[0], created[1]);
    return TFN_OK;
}

/* ---- note ---- */

static int put_change(const tfn_lmdb_env *env, MDB_txn *txn, MDB_val key, uint8_t flags,
                      tfn_str row)
{
    MDB_val value = {FLAG_BYTES + row.n, NULL};
    const int rc = mdb_put(txn, env->changes, &key, &value, MDB_RESERVE);
    if (rc == 0) {
        uint8_t *to = value.mv_data;
        to[0] = flags;
        if (row.n > 0) {
            memcpy(to + FLAG_BYTES, row.p, row.n);
        }
    }
    return rc;
}

/* The entry under a key; none: zeroed. */
static tfn_code get_change(const tfn_lmdb_env *env, MDB_txn *txn, MDB_val key, change *out,
                           tfn_error *err)
{
    MDB_val value = {0};
    *out = (change){0};
    const int rc = mdb_get(txn, env->changes, &key, &value);
    if (rc == MDB_NOTFOUND) {
        return TFN_OK;
    }
    return rc == 0 ? parse_change(env->path, value, out, err)
                   : tfn__lmdb_fail(env->path, rc, "reading a change list", err);
}

static tfn_code log_one(const tfn_lmdb_env *env, MDB_txn *txn, uint32_t generation, tfn_str row_key,
                        tfn_str row, bool *has_put, tfn_error *err)
{
    uint8_t bytes[TFN__ROW_KEY_BYTES];
    tfn__set_u32_be(bytes, generation);
    if (row_key.n > 0) {
        memcpy(bytes + TFN__GENERATION_BYTES, row_key.p, row_key.n);
    }
    const MDB_val key = tfn__val(bytes, TFN__GENERATION_BYTES + row_key.n);
    change there = {0};
    int order = 0;
    uint8_t flags = WAS_DELETED;
    TFN_RETURN_IF_ERROR(get_change(env, txn, key, &there, err));
    if (row.n > 0) {
        flags = (uint8_t)((there.flags & WAS_DELETED) | HAS_ROW);
    }
    if (row.n > 0 && (there.flags & HAS_ROW) != 0) {
        TFN_RETURN_IF_ERROR(compare(row, there.row, &order, err));
    }
    if (order < 0 || (flags == there.flags && tfn_str_equal(row, there.row))) {
        return TFN_OK;
    }
    const int rc = put_change(env, txn, key, flags, row);
    *has_put = *has_put || rc == 0;
    return rc == 0 ? TFN_OK : tfn__lmdb_fail(env->path, rc, "writing a change list", err);
}

tfn_code tfn__changes_log(const tfn_lmdb_env *env, MDB_txn *txn, const tfn__view *view,
                          tfn_online_origin origin, tfn_str row_key, tfn_str row, bool *has_put,
                          tfn_error *err)
{
    *has_put = false;
    if (origin == TFN_ONLINE_LOAD) {
        return TFN_OK;
    }
    if (view->previous_generation != 0) {
        TFN_RETURN_IF_ERROR(
            log_one(env, txn, view->previous_generation, row_key, row, has_put, err));
    }
    if (view->building_generation != 0) {
        TFN_RETURN_IF_ERROR(
            log_one(env, txn, view->building_generation, row_key, row, has_put, err));
    }
    return TFN_OK;
}

/* ---- replay ---- */

typedef struct replay {
    const tfn_lmdb_env *env;
    MDB_cursor *changes;
    MDB_cursor *rows;
    MDB_val key; /* in `copy`, as the value: LMDB's memory is good until the next update only */
    tfn_buf copy;
    uint64_t n_rows;
} replay;

static int remove_row(replay *r)
{
    MDB_val key = r->key;
    MDB_val value = {0};
    int rc = mdb_cursor_get(r->rows, &key, &value, MDB_SET);
    if (rc == 0) {
        rc = mdb_cursor_del(r->rows, 0);
        r->n_rows -= rc == 0;
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static tfn_code put_row(replay *r, tfn_str row, tfn_error *err)
{
    MDB_val key = r->key;
    MDB_val there = {0};
    int rc = mdb_cursor_get(r->rows, &key, &there, MDB_SET);
    const bool is_new = rc == MDB_NOTFOUND;
    if (rc == 0) {
        int order = 0;
        TFN_RETURN_IF_ERROR(compare(row, tfn__val_str(there), &order, err));
        if (order < 0 || tfn_str_equal(row, tfn__val_str(there))) {
            return TFN_OK;
        }
    }
    if (rc == 0 || is_new) {
        MDB_val value = tfn__val(row.p, row.n);
        key = r->key;
        rc = mdb_cursor_put(r->rows, &key, &value, 0);
        r->n_rows += is_new && rc == 0;
    }
    return rc == 0 ? TFN_OK : tfn__lmdb_fail(r->env->path, rc, "replaying changes", err);
}

/* Apply the change at the cursor and take it from the list. */
static tfn_code move_change(replay *r, MDB_val key, MDB_val value, tfn_error *err)
{
    tfn_buf_clear(&r->copy);
    TFN_RETURN_IF_ERROR(tfn_buf_add(&r->copy, key.mv_data, key.mv_size, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add(&r->copy, value.mv_data, value.mv_size, err));
    r->key = tfn__val(r->copy.p, key.mv_size);
    change c = {0};
    TFN_RETURN_IF_ERROR(
        parse_change(r->env->path, tfn__val(r->copy.p + key.mv_size, value.mv_size), &c, err));
    int rc = 0;
    if ((c.flags & WAS_DELETED) != 0) {
        rc = remove_row(r);
    }
    if (rc == 0 && (c.flags & HAS_ROW) != 0) {
        TFN_RETURN_IF_ERROR(put_row(r, c.row, err));
    }
    if (rc == 0) {
        rc = mdb_cursor_del(r->changes, 0);
    }
    return rc == 0 ? TFN_OK : tfn__lmdb_fail(r->env->path, rc, "replaying changes", err);
}

static tfn_code move_changes(replay *r, uint32_t generation, uint64_t max_changes,
                             uint64_t *n_moved, tfn_error *err)
{
    uint8_t prefix[TFN__GENERATION_BYTES];
    tfn__set_u32_be(prefix, generation);
    MDB_val key = tfn__val(prefix, sizeof prefix);
    MDB_val value = {0};
    int rc = mdb_cursor_get(r->changes, &key, &value, MDB_SET_RANGE);
    while (rc == 0 && *n_moved < max_changes && key.mv_size >= sizeof prefix &&
           memcmp(key.mv_data, prefix, sizeof prefix) == 0) {
        TFN_RETURN_IF_ERROR(move_change(r, key, value, err));
        *n_moved += 1;
        rc = mdb_cursor_get(r->changes, &key, &value, MDB_NEXT); /* the one behind the deleted */
    }
    return rc == 0 || rc == MDB_NOTFOUND
               ? TFN_OK
               : tfn__lmdb_fail(r->env->path, rc, "reading a change list", err);
}

tfn_code tfn__changes_replay(const tfn_lmdb_env *env, MDB_txn *txn, uint32_t generation,
                             uint64_t max_changes, uint64_t *n_rows, uint64_t *n_moved,
                             tfn_error *err)
{
    *n_moved = 0;
    replay r = {.env = env, .n_rows = *n_rows};
    tfn_code rc = TFN_OK;
    int lmdb_rc = mdb_cursor_open(txn, env->changes, &r.changes);
    if (lmdb_rc == 0) {
        lmdb_rc = mdb_cursor_open(txn, env->rows, &r.rows);
    }
    rc = lmdb_rc == 0 ? move_changes(&r, generation, max_changes, n_moved, err)
                      : tfn__lmdb_fail(env->path, lmdb_rc, "replaying changes", err);
    if (r.rows != NULL) {
        mdb_cursor_close(r.rows);
    }
    if (r.changes != NULL) {
        mdb_cursor_close(r.changes);
    }
    tfn_buf_deinit(&r.copy);
    *n_rows = r.n_rows;
    return rc;
}
