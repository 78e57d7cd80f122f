/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Rollback: the previous generation becomes the live one and the other way round, in one
 * transaction, after what was pushed and deleted meanwhile is replayed into it (or its list is
 * dropped). What was live keeps all its rows, and begins a list of its own: going back again is the
 * same thing once more.
 */

#include <string.h>

#include "online/bytes.h"
#include "online/lmdb_generation.h"

#include "base/poison.h"

tfn_code tfn_lmdb_get_previous(const tfn_lmdb_read *read, tfn_str project, tfn_str view,
                               tfn_online_previous *out, tfn_error *err)
{
    *out = (tfn_online_previous){0};
    tfn__view record;
    tfn__generation previous;
    TFN_RETURN_IF_ERROR(tfn__view_get(read->env, read->txn, project, view, &record, err));
    if (record.previous_generation == 0) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(
        tfn__generation_get(read->env, read->txn, record.previous_generation, &previous, err));
    out->generation = record.previous_generation;
    out->n_rows = previous.n_rows;
    out->n_mark = previous.n_mark;
    memcpy(out->mark, previous.mark, previous.n_mark);
    return TFN_OK;
}

/* Forget what the previous generation lacks. */
static tfn_code drop_changes(const tfn_lmdb_env *env, MDB_txn *txn, uint32_t generation,
                             tfn_error *err)
{
    uint8_t prefix[TFN__GENERATION_BYTES];
    MDB_cursor *cursor = NULL;
    MDB_val value = {0};
    tfn__set_u32_be(prefix, generation);
    MDB_val key = tfn__val(prefix, sizeof prefix);
    int rc = mdb_cursor_open(txn, env->changes, &cursor);
    if (rc != 0) {
        return tfn__lmdb_fail(env->path, rc, "dropping changes", err);
    }
    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (rc == 0 && key.mv_size >= sizeof prefix &&
           memcmp(key.mv_data, prefix, sizeof prefix) == 0) {
        rc = mdb_cursor_del(cursor, 0);
        if (rc == 0) {
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT); /* the one behind the deleted */
        }
    }
    mdb_cursor_close(cursor);
    return rc == 0 || rc == MDB_NOTFOUND ? TFN_OK
                                         : tfn__lmdb_fail(env->path, rc, "dropping changes", err);
}

tfn_code tfn__generation_no_previous(tfn_str view, tfn_error *err)
{
    return TFN_FAIL(
        err, TFN_NOT_FOUND,
        "view '%.*s' has no previous generation online, so there is nothing to roll "
        "back to; one is kept by each load of a tenth of the view's rows or more, or of "
        "more than 65,536 rows",
        TFN_STR_ARG(view));
}

static tfn_code roll_back_in_txn(const tfn_lmdb_env *env, MDB_txn *txn, tfn_str project,
                                 tfn_str view, tfn_str mark, tfn_online_pushes pushes,
                                 tfn_online_rolled_back *out, tfn_error *err)
{
    tfn__view record;
    tfn__generation previous;
    TFN_RETURN_IF_ERROR(tfn__view_get(env, txn, project, view, &record, err));
    const uint32_t to = record.previous_generation;
    if (to == 0) {
        return tfn__generation_no_previous(view, err);
    }
    TFN_RETURN_IF_ERROR(tfn__generation_get(env, txn, to, &previous, err));
    if (pushes == TFN_ONLINE_DROP) {
        TFN_RETURN_IF_ERROR(drop_changes(env, txn, to, err));
    } else {
        TFN_RETURN_IF_ERROR(
            tfn__changes_replay(env, txn, to, UINT64_MAX, &previous.n_rows, &out->n_replayed, err));
    }
    TFN_RETURN_IF_ERROR(
        tfn__generation_flip(env, txn, project, view, &record, to, previous.n_rows, mark, err));
    out->generation = to;
    out->n_rows = previous.n_rows;
    return TFN_OK;
}

static tfn_code roll_back(tfn_lmdb *online, tfn_str project, tfn_str view, tfn_str mark,
                          tfn_online_pushes pushes, tfn_online_rolled_back *out, tfn_error *err)
{
    bool had_build = false;
    TFN_RETURN_IF_ERROR(tfn__generation_forget_build(online, project, view, &had_build, err));
    tfn_lmdb_env *env = NULL;
    MDB_txn *txn = NULL;
    TFN_RETURN_IF_ERROR(tfn__write_begin_txn(online, &env, &txn, err));
    tfn_code rc = roll_back_in_txn(env, txn, project, view, mark, pushes, out, err);
    rc = tfn__write_end_txn(env, txn, rc, "rolling back", err);
    if (rc == TFN_OK && had_build) {
        tfn__generation_try_sweep(online);
    }
    return rc;
}

tfn_code tfn_lmdb_rollback(tfn_lmdb *online, tfn_str project, tfn_str view, tfn_str mark,
                           tfn_online_pushes pushes, tfn_online_rolled_back *out, tfn_error *err)
{
    *out = (tfn_online_rolled_back){0};
    if (mark.n > TFN__MARK_BYTES) {
        return TFN_FAIL(err, TFN_LIMIT, "a mark of %zu bytes was given; %d fit", mark.n,
                        TFN__MARK_BYTES);
    }
    tfn__turn turn = {0};
    tfn_online_rolled_back result = {0};
    TFN_RETURN_IF_ERROR(
        tfn__turn_begin(online->path, TFN__TURN_LOAD, project, view, true, &turn, err));
    const tfn_code rc = roll_back(online, project, view, mark, pushes, &result, err);
    tfn__turn_end(&turn);
    if (rc == TFN_OK) {
        *out = result;
    }
    return rc;
}
