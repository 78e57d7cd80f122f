/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_TARGETS_H
#define TFN_SERVER_TARGETS_H

/*
 * What writes go to, of one context: the views on a push source, or one view, and what the columns of
 * their frames mean. Read once per commit of the registry, for a write that follows an apply must be
 * read by what was applied.
 */

#include "server/exchange.h"
#include "server/frame_json.h"

/** All texts are those of the target. */
typedef struct tfn_target {
    tfn_push_request request; /* its source or its view */
    const tfn_declared *declared;
    size_t n_declared;
    tfn_str time_column;  /* event time; empty: not known */
    const tfn_str *views; /* that take the rows: those that are online */
    size_t n_views;
} tfn_target;

/** Threads one at a time. Errors none. */
void tfn_targets_destroy(tfn_targets *targets);

/**
 * What is known of a push source or a view.
 *
 * @param out  [borrow until the next call in this context]
 *
 * Threads  one at a time per context
 * Errors   TFN_NOT_FOUND no such source or view . TFN_IO . TFN_CORRUPT . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_targets_get_source(tfn_context *context, const char *name,
                                              const tfn_target **out, tfn_error *err);
TFN_NODISCARD tfn_code tfn_targets_get_view(tfn_context *context, const char *name,
                                            const tfn_target **out, tfn_error *err);

#endif
