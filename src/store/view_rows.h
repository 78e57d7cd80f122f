/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_STORE_VIEW_ROWS_H
#define TFN_STORE_VIEW_ROWS_H

/* One selected view, opened to be read alone: for the newest rows, for all rows of a window
 * (history.c), and for the events that become entity rows (events.c). */

#include "offline/range.h"
#include "store/request.h"
#include "store/store_internal.h"

enum { TFN__EXPORT_BATCH_ROWS = 65536 };

typedef struct tfn__view_rows {
    tfn_join_view view; /* keys in the order that was asked for */
    tfn_source *source;
    const tfn_str *key_names; /* of the answer, as the request maps them; view.n_keys of them */
} tfn__view_rows;

/**
 * Open a selected view's source.
 *
 * @param key_order   [borrow, nullable] names as the request maps them, in the order in which the
 *                    keys are wanted; NULL = the view's
 * @param n_features  0: none are read. Else selected->n_features
 * @param known_at    not set: no bound
 * @param arena       names and types live there
 * @param out         [out] ends with tfn__view_rows_deinit, also after an error
 *
 * Errors   as tfn__store_open_source . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__view_rows_init(tfn_store *store, const tfn_selected_view *selected,
                                           const tfn_str *key_order, size_t n_features,
                                           tfn_time known_at, tfn_arena *arena, tfn__view_rows *out,
                                           tfn_error *err);
void tfn__view_rows_deinit(tfn__view_rows *rows);

/** Refuse a window that ends before it starts. @param what  [borrow] who asks. Errors TFN_INVALID. */
TFN_NODISCARD tfn_code tfn__check_window(const char *what, tfn_time start, tfn_time end,
                                         tfn_error *err);

#endif
