/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_ONLINE_LMDB_ENGINE_H
#define TFN_ONLINE_LMDB_ENGINE_H

/* How the other files of the LMDB engine come from its handle to the folder behind it. */

#include "online/engine.h"
#include "online/lmdb.h"

/** The folder, opened at its first use. Threads any. Errors as tfn_lmdb_open. */
TFN_NODISCARD tfn_code tfn__lmdb_engine_get(tfn_online *online, tfn_online_mode mode,
                                            tfn_lmdb **out, tfn_error *err);

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
