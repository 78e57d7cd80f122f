/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_ONLINE_LMDB_QUERY_H
#define TFN_ONLINE_LMDB_QUERY_H

/* What lmdb_query.c (reading rows) and lmdb_engine.c (the rest of the engine) have of each other. */

#include "online/engine.h"
#include "online/lmdb.h"

/** The three read calls of the engine; contracts as in online.h. */
TFN_NODISCARD tfn_code tfn__lmdb_query_create(tfn_online *online, const tfn_online_view *view,
                                              const tfn_row_field *wanted, size_t n_wanted,
                                              tfn_online_query **out, tfn_error *err);
void tfn__lmdb_query_destroy(tfn_online_query *query);
TFN_NODISCARD tfn_code tfn__lmdb_fetch(tfn_online *online, tfn_online_ask *asks, size_t n_asks,
                                       tfn_arena *arena, tfn_error *err);

/**
 * Begin to read, if there is something: read->txn is NULL where nothing was ever written.
 *
 * @param read  [own] ends with tfn_lmdb_end_read
 *
 * Threads  any
 * Errors   as tfn_lmdb_open and tfn_lmdb_begin_read, but for TFN_NOT_FOUND
 */
TFN_NODISCARD tfn_code tfn__lmdb_engine_begin_read(tfn_online *online, tfn_lmdb_read *read,
                                                   tfn_error *err);

#endif
