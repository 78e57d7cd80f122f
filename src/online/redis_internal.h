/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_ONLINE_REDIS_INTERNAL_H
#define TFN_ONLINE_REDIS_INTERNAL_H

/* What the files of the Redis engine share: the handle, the names of a view, and its calls. */

#include <stdatomic.h>

#include "online/engine.h"
#include "online/redis_client.h"
#include "online/redis_key.h"

typedef struct redis_engine {
    tfn_online base;
    tfn_redis *client;
    int64_t key_ttl_seconds;               /* 0: for ever */
    _Atomic(tfn_redis_batch *) idle_batch; /* NULL: in use, or none was made yet */
} redis_engine;

/** Everything in Redis that has to do with one view. In an arena, immutable. */
typedef struct redis_view {
    tfn_str name;
    tfn__redis_keys keys;
    tfn_row_field *fields; /* no two of one name; times in seconds if so asked */
    size_t n_fields;
    tfn_str *names; /* per field: its name in the hash */
    tfn_str time;   /* "_ts:<view>" */
    tfn_str pair;   /* "_tc:<view>" */
} redis_view;

/**
 * Prepare a view; everything is copied.
 *
 * @param fields  [copy] names and types as data has them
 *
 * Threads  any
 * Errors   TFN_UNSUPPORTED a type of a join key or feature that Feast's layout does not keep; two
 *          features whose names Feast's hash cannot tell apart . TFN_LIMIT . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__redis_view_init(const tfn_online_view *view,
                                            const tfn_row_field *fields, size_t n_fields,
                                            tfn_arena *arena, redis_view *out, tfn_error *err);

/** A batch to use, cleared: the idle one, or a new one. Give it back, NULL is fine. Threads any.
 * Errors TFN_NO_MEMORY. */
TFN_NODISCARD tfn_code tfn__redis_take_batch(redis_engine *own, tfn_redis_batch **out,
                                             tfn_error *err);
void tfn__redis_give_batch(redis_engine *own, tfn_redis_batch *batch);

/* The calls of engine.h. redis_fetch.c: */
TFN_NODISCARD tfn_code tfn__redis_query_create(tfn_online *online, const tfn_online_view *view,
                                               const tfn_row_field *wanted, size_t n_wanted,
                                               tfn_online_query **out, tfn_error *err);
void tfn__redis_query_destroy(tfn_online_query *query);
TFN_NODISCARD tfn_code tfn__redis_fetch(tfn_online *online, tfn_online_ask *asks, size_t n_asks,
                                        tfn_arena *arena, tfn_error *err);

/* redis_write.c: */
TFN_NODISCARD tfn_code tfn__redis_begin_write(tfn_online *online, const tfn_online_view *view,
                                              const tfn_row_field *fields, size_t n_fields,
                                              tfn_online_origin origin, uint64_t n_rows,
                                              tfn_online_write **out, tfn_error *err);
TFN_NODISCARD tfn_code tfn__redis_put(tfn_online_write *write, tfn_str key, const tfn_cell *cells,
                                      tfn_instant event, tfn_instant created, tfn_error *err);
TFN_NODISCARD tfn_code tfn__redis_delete(tfn_online_write *write, tfn_str key, tfn_error *err);
TFN_NODISCARD tfn_code tfn__redis_next_view(tfn_online_write *write, const tfn_online_view *view,
                                            const tfn_row_field *fields, size_t n_fields,
                                            uint64_t n_rows, tfn_error *err);
TFN_NODISCARD tfn_code tfn__redis_commit(tfn_online_write *write, tfn_online_stats *stats,
                                         tfn_error *err);
void tfn__redis_abort(tfn_online_write *write);

/* redis_remove.c: */
TFN_NODISCARD tfn_code tfn__redis_drop_project(tfn_online *online, tfn_str project,
                                               uint64_t *n_rows, tfn_error *err);

#endif
