/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Copying a generation from one environment to another: what backup and restore are made of.
 *
 *   key:  generation there | entity key    ->   generation here | entity key
 *   row:  ... schema id there ...          ->   ... schema id here ...
 *
 * Nothing is decoded: a row is the same but for the id of its schema, which each environment numbers
 * itself. Rows come in key order, so in an environment where the new generation is the highest they
 * are appended to full pages. Where a higher one was made meanwhile they are put inside.
 *
 * The source is one read transaction, from the first row to the last; the copy goes in as many write
 * transactions as the caller likes.
 */

#include <assert.h>

#include "base/mem.h"
#include "online/lmdb_admin.h"

#include "base/poison.h"

enum { MAX_COPY_BYTES = 32 << 20 }; /* of rows in one transaction: its pages are in memory */
enum { AT_SCHEMA_ID = 4, SCHEMA_ID_BYTES = 4 }; /* docs/formats/online-row.md, "Header" */

static tfn_code fail_read(const tfn__copy *copy, int lmdb_rc, tfn_error *err)
{
    return tfn__lmdb_fail(copy->from->env->path, lmdb_rc, "copying rows", err);
}

void tfn__copy_end(tfn__copy *copy)
{
    if (copy->cursor != NULL && tfn__lmdb_is_ours(copy->from->env)) {
        mdb_cursor_close(copy->cursor);
    }
    copy->cursor = NULL;
    tfn_mem_free(copy->schema_ids);
    copy->schema_ids = NULL;
    tfn_buf_deinit(&copy->row);
}

/* ---- schemas ---- */

/* Give a schema of the source its id in the target. */
static tfn_code assign_schema(tfn__copy *copy, tfn_lmdb_env *to, MDB_txn *txn, uint32_t there,
                              uint32_t *here, tfn_error *err)
{
    const tfn_row_schema *schema = NULL;
    tfn_row_schema *twin = NULL;
    TFN_RETURN_IF_ERROR(tfn__schema_get(copy->from->env, copy->from->txn, there, &schema, err));
    TFN_RETURN_IF_ERROR(tfn_row_schema_unpack(tfn_buf_get_str(&schema->packed), &twin, err));
    const tfn_code rc = tfn__schema_assign_id(to, txn, twin, err);
    *here = twin->id;
    tfn_row_schema_destroy(twin);
    return rc;
}

static tfn_code map_schema(tfn__copy *copy, tfn_lmdb_env *to, MDB_txn *txn, uint32_t there,
                           uint32_t *here, tfn_error *err)
{
    for (size_t i = copy->n_schemas; i > 0; i--) {
        if (copy->schema_ids[2 * i - 2] == there) {
            *here = copy->schema_ids[2 * i - 1];
            return TFN_OK;
        }
    }
    void *p = copy->schema_ids;
    TFN_RETURN_IF_ERROR(
        tfn_mem_grow(&p, &copy->capacity, 2 * copy->n_schemas + 2, sizeof *copy->schema_ids, err));
    copy->schema_ids = p;
    TFN_RETURN_IF_ERROR(assign_schema(copy, to, txn, there, here, err));
    copy->schema_ids[2 * copy->n_schemas] = there;
    copy->schema_ids[2 * copy->n_schemas + 1] = *here;
    copy->n_schemas++;
    return TFN_OK;
}

/* ---- rows ---- */

/* The row as the target writes it; borrows `value` or copy->row. */
static tfn_code translate_row(tfn__copy *copy, tfn_lmdb_env *to, MDB_txn *txn, MDB_val value,
                              MDB_val *out, tfn_error *err)
{
    uint32_t there = 0;
    uint32_t here = 0;
    *out = value;
    TFN_RETURN_IF_ERROR(tfn_row_get_schema_id(tfn__val_str(value), &there, err));
    TFN_RETURN_IF_ERROR(map_schema(copy, to, txn, there, &here, err));
    if (here == there) {
        return TFN_OK;
    }
    tfn_buf_clear(&copy->row);
    TFN_RETURN_IF_ERROR(tfn_buf_add(&copy->row, value.mv_data, value.mv_size, err));
    static_assert(AT_SCHEMA_ID + SCHEMA_ID_BYTES <= TFN_ROW_HEADER_BYTES, "it is in the header");
    tfn__set_u32((uint8_t *)copy->row.p + AT_SCHEMA_ID, here);
    *out = tfn__val(copy->row.p, copy->row.n);
    return TFN_OK;
}

static tfn_code put_row(tfn__copy *copy, tfn_lmdb_env *to, MDB_txn *txn, MDB_cursor *target,
                        MDB_val key, MDB_val value, tfn_error *err)
{
    uint8_t bytes[TFN__ROW_KEY_BYTES];
    if (key.mv_size > sizeof bytes) {
        return TFN_FAIL(err, TFN_CORRUPT, "online store at '%s': a key has %zu bytes",
                        copy->from->env->path, key.mv_size);
    }
    memcpy(bytes, key.mv_data, key.mv_size);
    tfn__set_u32_be(bytes, copy->to_generation);
    MDB_val to_key = tfn__val(bytes, key.mv_size);
    MDB_val to_value;
    TFN_RETURN_IF_ERROR(translate_row(copy, to, txn, value, &to_value, err));
    int rc = mdb_cursor_put(target, &to_key, &to_value, MDB_APPEND);
    if (rc == MDB_KEYEXIST) { /* not the highest generation any more */
        rc = mdb_cursor_put(target, &to_key, &to_value, MDB_NOOVERWRITE);
    }
    return rc == 0 ? TFN_OK : tfn__lmdb_fail(to->path, rc, "copying rows", err);
}

static tfn_code copy_rows(tfn__copy *copy, tfn_lmdb_env *to, MDB_txn *txn, MDB_cursor *target,
                          uint64_t n_max, tfn_error *err)
{
    MDB_val key = {0};
    MDB_val value = {0};
    int rc = copy->n_rows == 0 ? tfn__seek_generation(copy->cursor, copy->generation, &key, &value)
                               : mdb_cursor_get(copy->cursor, &key, &value, MDB_GET_CURRENT);
    uint64_t n_bytes = 0;
    for (uint64_t i = 0; rc == 0 && tfn__generation_of(key) == copy->generation; i++) {
        if (i == n_max || n_bytes > MAX_COPY_BYTES) {
            return TFN_OK; /* the cursor stands on the next row to copy */
        }
        TFN_RETURN_IF_ERROR(put_row(copy, to, txn, target, key, value, err));
        copy->n_rows++;
        n_bytes += value.mv_size;
        rc = mdb_cursor_get(copy->cursor, &key, &value, MDB_NEXT);
    }
    copy->is_done = true;
    return rc == 0 || rc == MDB_NOTFOUND ? TFN_OK : fail_read(copy, rc, err);
}

tfn_code tfn__copy_schema(tfn__copy *copy, tfn_lmdb_env *to, MDB_txn *txn, uint32_t there,
                          uint32_t *here, tfn_error *err)
{
    return map_schema(copy, to, txn, there, here, err);
}

tfn_code tfn__copy_some(tfn__copy *copy, tfn_lmdb_env *to, MDB_txn *txn, uint64_t n_max,
                        tfn_error *err)
{
    MDB_cursor *target = NULL;
    if (copy->cursor == NULL) {
        const int rc = mdb_cursor_open(copy->from->txn, copy->from->env->rows, &copy->cursor);
        if (rc != 0) {
            copy->cursor = NULL;
            return fail_read(copy, rc, err);
        }
    }
    const int rc = mdb_cursor_open(txn, to->rows, &target);
    if (rc != 0) {
        return tfn__lmdb_fail(to->path, rc, "copying rows", err);
    }
    const tfn_code code = copy_rows(copy, to, txn, target, n_max, err);
    mdb_cursor_close(target);
    return code;
}
