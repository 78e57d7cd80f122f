/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_ONLINE_LMDB_PUSH_H
#define TFN_ONLINE_LMDB_PUSH_H

/*
 * A push: rows of one or several views, and deletions, that wait in memory (lmdb_push.c) until they
 * are written in one transaction: one of their own, or one that they share with other pushes of the
 * same few milliseconds (lmdb_group.c).
 */

#include "online/lmdb_internal.h"

typedef struct tfn__push tfn__push;

/**
 * Begin a push to a view.
 *
 * @param sync  when tfn__push_commit acknowledges it
 * @param view, fields  as for tfn_lmdb_begin_write
 * @param out   [own] ends with tfn__push_commit or tfn__push_abort
 *
 * Cost     takes no lock of the store, unless its rows outgrow 64 MB: then it writes what it has and
 *          keeps the lock until it ends
 * Threads  any; the push is then used by one thread at a time, and from its first put on by one
 * Errors   as tfn_lmdb_begin_write, but those of the disk
 */
TFN_NODISCARD tfn_code tfn__push_begin(tfn_lmdb *online, tfn_online_sync sync, tfn_str project,
                                       tfn_str view, const tfn_row_field *fields, size_t n_fields,
                                       tfn__push **out, tfn_error *err);

/** tfn_lmdb_next_view. */
TFN_NODISCARD tfn_code tfn__push_next_view(tfn__push *push, tfn_str project, tfn_str view,
                                           const tfn_row_field *fields, size_t n_fields,
                                           tfn_error *err);

/** tfn_lmdb_put; what became of the row is known at the commit. Errors as tfn_lmdb_put. */
TFN_NODISCARD tfn_code tfn__push_put(tfn__push *push, tfn_str key, const tfn_cell *cells,
                                     tfn_instant event, tfn_instant created, tfn_error *err);

/** tfn_lmdb_delete; whether there was a row is known at the commit. Errors as tfn_lmdb_delete. */
TFN_NODISCARD tfn_code tfn__push_delete(tfn__push *push, tfn_str key, tfn_error *err);

/**
 * Make it all durable and visible at once, or nothing of it.
 *
 * @param push   [take, in any case]
 * @param stats  [out, nullable]
 *
 * Errors   as tfn_lmdb_put and tfn_lmdb_commit; of this push only, when it shares a commit, but for
 *          those of the common commit itself
 */
TFN_NODISCARD tfn_code tfn__push_commit(tfn__push *push, tfn_online_stats *stats, tfn_error *err);

/** Forget the push. NULL is fine. Errors none. */
void tfn__push_abort(tfn__push *push);

/**
 * Write what waits, sorted by key, into a transaction.
 *
 * @param write  [borrow] its current view is the push's last one afterwards
 *
 * Errors   as tfn_lmdb_put; the write is of no use then
 */
TFN_NODISCARD tfn_code tfn__push_apply(tfn__push *push, tfn_lmdb_write *write, tfn_error *err);

/** What became of the rows. */
void tfn__push_set_stats(tfn__push *push, tfn_online_stats stats);

/* ---- group commit (lmdb_group.c) ---- */

/** Errors TFN_NO_MEMORY. */
TFN_NODISCARD tfn_code tfn__group_init(tfn__group *group, tfn_error *err);
void tfn__group_deinit(tfn__group *group);

/** Tell that a push has begun that will join, so that others wait for it a moment; or that it will
 * not. */
void tfn__group_enter(tfn__group *group);
void tfn__group_leave(tfn__group *group);

/**
 * Write a push that has entered together with others of this process, and return when it is durable. In order of
 * joining; each is whole or absent by itself.
 *
 * Errors   as tfn__push_commit
 */
TFN_NODISCARD tfn_code tfn__group_commit(tfn__group *group, tfn_lmdb *online, tfn__push *push,
                                         tfn_error *err);

#endif
