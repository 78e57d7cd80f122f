/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Building a generation: rows come in key order, are collected in memory and written in short
 * transactions; the last one makes the generation the live one.
 *
 *   add -> batch (memory) -> append, a transaction each -.
 *   pushes -> live generation and change list --replay---+--> flip, the last transaction
 *
 * Invariants
 *  1. The record that names the build is committed with its first rows: from then on pushes are
 *     noted for it. The first transaction holds the write lock from the beginning of the build.
 *  2. Nothing of the build is seen before the flip, and the flip is one record.
 *  3. Generations are numbered upwards, so rows are appended in full pages, unless a later
 *     generation of another view came meanwhile: then they are put.
 *  4. At most BATCH_BYTES and one row are in memory; after the first, a transaction holds the write
 *     lock for as long as it takes to put a batch and sync it.
 *  5. Each transaction looks whether the view's record still names the build: it may have been
 *     dropped.
 */

#include <assert.h>
#include <string.h>

#include "online/bytes.h"
#include "online/lmdb_generation.h"

#include "base/poison.h"

#ifndef TFN_BUILD_BATCH_BYTES
#define TFN_BUILD_BATCH_BYTES ((size_t)8 << 20)
#endif
enum { BATCH_ROWS = 65536 }; /* others wait for the lock some 30 ms */
#ifndef TFN_BUILD_REPLAY_CHANGES
#define TFN_BUILD_REPLAY_CHANGES 20000 /* so many are replayed in one transaction */
#endif

typedef struct batch_entry {
    uint32_t n_row;
    uint16_t n_key;
    uint8_t how;
    uint8_t zero;
} batch_entry;
static_assert((int)TFN__ROW_KEY_BYTES <= (int)UINT16_MAX, "the size of a key fits");

tfn_code tfn__build_fail_removed(tfn_str view, tfn_error *err)
{
    return TFN_FAIL(err, TFN_CONFLICT,
                    "view '%.*s' was removed from the online store while it was loaded; nothing of "
                    "the load is kept: load it again if it is still wanted",
                    TFN_STR_ARG(view));
}

/* ---- transactions ---- */

/* Begin a write transaction, unless one is open, and see that the build is still wanted. */
static tfn_code begin_txn(tfn__build *b, tfn__view *record, tfn_error *err)
{
    if (b->txn == NULL) {
        TFN_RETURN_IF_ERROR(tfn__write_begin_txn(b->online, &b->env, &b->txn, err));
    }
    TFN_RETURN_IF_ERROR(tfn__view_get(b->env, b->txn, b->project, b->view, record, err));
    return record->building_generation == b->generation ? TFN_OK
                                                        : tfn__build_fail_removed(b->view, err);
}

static tfn_code commit_txn(tfn__build *b, const char *doing, tfn_error *err)
{
    MDB_txn *txn = b->txn;
    b->txn = NULL;
    const int rc = mdb_txn_commit(txn); /* frees it in any case */
    b->is_announced = b->is_announced || rc == 0;
    return rc == 0 ? TFN_OK : tfn__lmdb_fail(b->env->path, rc, doing, err);
}

tfn_code tfn__build_begin(tfn__build *b, tfn_lmdb *online, tfn_str project, tfn_str view,
                          tfn_row_schema *schema, tfn_error *err)
{
    tfn__view record;
    *b = (tfn__build){.online = online, .project = project, .view = view};
    TFN_RETURN_IF_ERROR(tfn__write_begin_txn(online, &b->env, &b->txn, err));
    TFN_RETURN_IF_ERROR(tfn__view_get(b->env, b->txn, project, view, &record, err));
    TFN_RETURN_IF_ERROR(
        tfn__meta_take_number(b->env, b->txn, "next_generation", &b->generation, err));
    TFN_RETURN_IF_ERROR(tfn__schema_assign_id(b->env, b->txn, schema, err));
    record.building_generation = b->generation;
    return tfn__view_put(b->env, b->txn, project, view, &record, err);
}

/* ---- batches ---- */

static int put_entry(MDB_cursor *cursor, const batch_entry *entry, const char *bytes,
                     tfn__row_key *last, bool *is_new)
{
    const tfn_str last_key = {(const char *)last->bytes, last->n};
    MDB_val key = tfn__val(bytes, entry->n_key);
    MDB_val row = tfn__val(bytes + entry->n_key, entry->n_row);
    *is_new = true;
    if (tfn_str_compare(tfn__val_str(key), last_key) > 0) {
        memcpy(last->bytes, bytes, entry->n_key);
        last->n = entry->n_key;
        return mdb_cursor_put(cursor, &key, &row, MDB_APPEND);
    }
    int rc = mdb_cursor_put(cursor, &key, &row, MDB_NOOVERWRITE);
    if (rc != MDB_KEYEXIST) {
        return rc;
    }
    *is_new = false;
    if (entry->how == TFN__BUILD_IF_ABSENT) {
        return 0;
    }
    row = tfn__val(bytes + entry->n_key, entry->n_row); /* (LMDB had put the old row there) */
    return mdb_cursor_put(cursor, &key, &row, 0);
}

static int find_last(MDB_cursor *cursor, tfn__row_key *last)
{
    MDB_val key = {0};
    MDB_val value = {0};
    last->n = 0;
    const int rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
    if (rc != 0) {
        return rc == MDB_NOTFOUND ? 0 : rc;
    }
    if (key.mv_size > sizeof last->bytes) {
        return MDB_CORRUPTED;
    }
    memcpy(last->bytes, key.mv_data, key.mv_size);
    last->n = key.mv_size;
    return 0;
}

/* Put the batch into the open transaction. */
static tfn_code put_batch(tfn__build *b, tfn_error *err)
{
    tfn__row_key last = {0};
    MDB_cursor *cursor = NULL;
    int rc = mdb_cursor_open(b->txn, b->env->rows, &cursor);
    if (rc == 0) {
        rc = find_last(cursor, &last);
    }
    size_t i = 0;
    while (i < b->batch.n && rc == 0) {
        batch_entry entry;
        bool is_new = false;
        memcpy(&entry, b->batch.p + i, sizeof entry);
        rc = put_entry(cursor, &entry, b->batch.p + i + sizeof entry, &last, &is_new);
        b->n_rows += is_new;
        i += sizeof entry + entry.n_key + entry.n_row;
    }
    if (cursor != NULL) {
        mdb_cursor_close(cursor);
    }
    tfn_buf_clear(&b->batch);
    b->n_batch = 0;
    return rc == 0 ? TFN_OK : tfn__lmdb_fail(b->env->path, rc, "building a generation", err);
}

static tfn_code flush(tfn__build *b, tfn_error *err)
{
    tfn__view record;
    TFN_RETURN_IF_ERROR(begin_txn(b, &record, err));
    TFN_RETURN_IF_ERROR(put_batch(b, err));
    return commit_txn(b, "building a generation", err);
}

tfn_code tfn__build_add(tfn__build *b, int how, tfn_str row_key, tfn_str row, tfn_error *err)
{
    if (b->n_batch == BATCH_ROWS || b->batch.n >= TFN_BUILD_BATCH_BYTES) {
        TFN_RETURN_IF_ERROR(flush(b, err));
    }
    const batch_entry entry = {
        .n_row = (uint32_t)row.n, .n_key = (uint16_t)row_key.n, .how = (uint8_t)how};
    char *to = NULL;
    TFN_RETURN_IF_ERROR(tfn_buf_add_room(&b->batch, sizeof entry + row_key.n + row.n, &to, err));
    memcpy(to, &entry, sizeof entry);
    to += sizeof entry;
    memcpy(to, row_key.p, row_key.n);
    tfn__set_u32_be((uint8_t *)to, b->generation);
    memcpy(to + row_key.n, row.p, row.n);
    b->n_batch++;
    return TFN_OK;
}

/* ---- end ---- */

/* Replay what came meanwhile, until one transaction can take the rest: it is left open. */
static tfn_code catch_up(tfn__build *b, tfn_error *err)
{
    /* Before the first commit nobody could note anything. */
    uint64_t n_moved = b->is_announced ? TFN_BUILD_REPLAY_CHANGES : 0;
    while (n_moved == TFN_BUILD_REPLAY_CHANGES) {
        tfn__view record;
        TFN_RETURN_IF_ERROR(begin_txn(b, &record, err));
        TFN_RETURN_IF_ERROR(tfn__changes_replay(
            b->env, b->txn, b->generation, TFN_BUILD_REPLAY_CHANGES, &b->n_rows, &n_moved, err));
        if (n_moved == TFN_BUILD_REPLAY_CHANGES) {
            TFN_RETURN_IF_ERROR(commit_txn(b, "replaying changes", err));
        }
    }
    return TFN_OK;
}

tfn_code tfn__build_finish(tfn__build *b, uint32_t schema_id, tfn_str mark, tfn_error *err)
{
    tfn__view record;
    TFN_RETURN_IF_ERROR(begin_txn(b, &record, err));
    TFN_RETURN_IF_ERROR(put_batch(b, err));
    TFN_RETURN_IF_ERROR(catch_up(b, err));
    TFN_RETURN_IF_ERROR(begin_txn(b, &record, err));
    record.schema_id = schema_id;
    TFN_RETURN_IF_ERROR(tfn__generation_flip(b->env, b->txn, b->project, b->view, &record,
                                             b->generation, b->n_rows, mark, err));
    TFN_RETURN_IF_ERROR(commit_txn(b, "committing", err));
    b->generation = 0; /* nobody's to remove any more */
    return TFN_OK;
}

void tfn__build_end(tfn__build *b)
{
    const bool is_ours = b->env != NULL && tfn__lmdb_is_ours(b->env);
    if (b->txn != NULL && is_ours) {
        mdb_txn_abort(b->txn);
    }
    if (b->generation != 0 && b->is_announced && is_ours) {
        tfn__generation_try_forget(b->online, b->project, b->view);
    }
    tfn_buf_deinit(&b->batch);
    *b = (tfn__build){0};
}
