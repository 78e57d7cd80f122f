/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_ONLINE_LMDB_QUERY_H
#define TFN_ONLINE_LMDB_QUERY_H

/* Reading rows through the LMDB engine. */

#include "online/engine.h"

/** The three read calls of the engine; contracts as in online.h. */
TFN_NODISCARD tfn_code tfn__lmdb_query_create(tfn_online *online, const tfn_online_view *view,
                                              const tfn_row_field *wanted, size_t n_wanted,
                                              tfn_online_query **out, tfn_error *err);
void tfn__lmdb_query_destroy(tfn_online_query *query);
TFN_NODISCARD tfn_code tfn__lmdb_fetch(tfn_online *online, tfn_online_ask *asks, size_t n_asks,
                                       tfn_arena *arena, tfn_error *err);

#endif
