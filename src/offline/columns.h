/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_OFFLINE_COLUMNS_H
#define TFN_OFFLINE_COLUMNS_H

/* Which columns of a source a view reads, as what, and in which order a scan hands them over:
 * keys | event time | created time (if the view has one) | features. */

#include "offline/offline.h"
#include "offline/times.h"

typedef struct tfn__columns {
    tfn_str *names;  /* n of each; names borrow from the view */
    tfn_type *types; /* what the scan is told; kind NONE: as it is */
    size_t n;
    size_t n_keys; /* also the index of the event time */
    bool has_created;
    size_t i_created;
    size_t i_features; /* first of n_features */
    size_t n_features;
    tfn_unit event_unit; /* the source's own; microseconds for dates and text */
    tfn_unit created_unit;
} tfn__columns;

/**
 * Check a view against its source. Timestamp features get the source's unit.
 *
 * @param view, source  [borrow; the view until deinit]
 *
 * Errors   TFN_SCHEMA a column is missing: names source, column, and what there is
 *          TFN_INVALID known_at or filter_by_created without a created column; a negative ttl
 *          TFN_LIMIT too many keys . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__columns_init(tfn__columns *c, const tfn_join_view *view,
                                         const tfn_source *source, tfn_error *err);
void tfn__columns_deinit(tfn__columns *c);

#endif
