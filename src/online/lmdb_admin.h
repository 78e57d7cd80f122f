/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_ONLINE_LMDB_ADMIN_H
#define TFN_ONLINE_LMDB_ADMIN_H

/* What the files share that administer LMDB's store. Contracts of the table's functions: admin.h. */

#include <string.h>

#include "online/bytes.h"
#include "online/engine.h"
#include "online/lmdb_engine.h"
#include "online/lmdb_internal.h"

extern const tfn_online_admin_engine tfn__lmdb_admin; /* lmdb_admin.c */

TFN_NODISCARD tfn_code tfn__lmdb_take_census(tfn_online *online, tfn_online_watch watch,
                                             tfn_arena *arena, tfn_online_census *out,
                                             tfn_error *err);
TFN_NODISCARD tfn_code tfn__lmdb_run_vacuum(tfn_online *online, const tfn_online_vacuum *vacuum,
                                            tfn_arena *arena, tfn_online_vacuumed *out,
                                            tfn_error *err);

TFN_NODISCARD tfn_code tfn__lmdb_write_backup(tfn_online *online, const char *folder,
                                              tfn_str project, tfn_online_copy *views,
                                              size_t n_views, tfn_online_watch watch, char *hash,
                                              int64_t *n_bytes, tfn_error *err);
TFN_NODISCARD tfn_code tfn__lmdb_read_backup(tfn_online *online, const char *folder,
                                             tfn_str project, tfn_online_copy *views,
                                             size_t n_views, tfn_online_watch watch,
                                             tfn_code (*before)(void *context, tfn_error *err),
                                             void *before_context, tfn_error *err);

/** Tell how far it is. Errors TFN_CANCELLED, with the sentence `stopped`. */
TFN_NODISCARD static inline tfn_code tfn__watch_tell(tfn_online_watch watch, const char *what,
                                                     uint64_t n_done, int64_t n_total,
                                                     const char *stopped, tfn_error *err)
{
    const tfn_progress progress = {what, (int64_t)n_done, n_total};
    if (watch.tick != NULL && watch.tick(watch.context, &progress) != 0) {
        return TFN_FAIL(err, TFN_CANCELLED, "%s", stopped);
    }
    return TFN_OK;
}

/* ---- records of views ---- */

/* A record of `views` and whose it is. */
typedef struct tfn__named_view {
    tfn_str project;
    tfn_str view;
    tfn__view record;
} tfn__named_view;

/** All records, of all projects, in the order of their keys; the names are copied to the arena.
 * Errors TFN_CORRUPT, TFN_IO, TFN_NO_MEMORY. */
TFN_NODISCARD tfn_code tfn__views_list(const tfn_lmdb_env *env, MDB_txn *txn, tfn_arena *arena,
                                       tfn__named_view **out, size_t *n_out, tfn_error *err);

/* ---- keys of `rows` ---- */

static inline uint32_t tfn__generation_of(MDB_val key)
{
    return key.mv_size < TFN__GENERATION_BYTES ? 0 : tfn__get_u32_be(key.mv_data);
}

/**
 * Put a cursor in `rows` on the first row of a generation, or of the next one that has rows.
 *
 * @return LMDB's code; MDB_NOTFOUND: there is none
 */
static inline int tfn__seek_generation(MDB_cursor *cursor, uint32_t generation, MDB_val *key,
                                       MDB_val *value)
{
    uint8_t prefix[TFN__GENERATION_BYTES];
    tfn__set_u32_be(prefix, generation);
    *key = tfn__val(prefix, sizeof prefix);
    return mdb_cursor_get(cursor, key, value, MDB_SET_RANGE); /* key points into the map then */
}

/* ---- copying (lmdb_copy.c) ---- */

/** A generation on its way from one environment to another. Ends with tfn__copy_end. */
typedef struct tfn__copy {
    const tfn_lmdb_read *from;
    MDB_cursor *cursor;     /* in from's rows; NULL: not begun, or at the end */
    uint32_t generation;    /* there */
    uint32_t to_generation; /* here */
    uint64_t n_rows;        /* copied so far */
    bool is_done;
    uint32_t *schema_ids; /* pairs (there, here) that were met, the last one first tried */
    size_t n_schemas;
    size_t capacity;
    tfn_buf row;
} tfn__copy;

/** The id here of a schema there, made if it is new. Errors as tfn__copy_some. */
TFN_NODISCARD tfn_code tfn__copy_schema(tfn__copy *copy, tfn_lmdb_env *to, MDB_txn *txn,
                                        uint32_t there, uint32_t *here, tfn_error *err);

/**
 * Copy the next rows, at most n_max and some 32 MiB, in one transaction of the other environment, which must not
 * have a row at or beyond the generation's keys that are still to come.
 *
 * Errors   TFN_CORRUPT . TFN_IO . TFN_LIMIT . TFN_NO_MEMORY; the transaction is then to be aborted
 */
TFN_NODISCARD tfn_code tfn__copy_some(tfn__copy *copy, tfn_lmdb_env *to, MDB_txn *txn,
                                      uint64_t n_max, tfn_error *err);
void tfn__copy_end(tfn__copy *copy);

#endif
