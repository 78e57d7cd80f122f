/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_QUERY_H
#define TFN_SERVER_QUERY_H

/* Query strings: "driver_id=1&driver_id=2&full_feature_names=true", percent-encoded. */

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

/** One "name=value"; a name alone has an empty value. Both are encoded. */
typedef struct tfn_query_part {
    tfn_str name;
    tfn_str value;
} tfn_query_part;

/**
 * The next part of a query; empty ones are passed over.
 *
 * @param query  what is left of it; the part is taken off
 * @param out    [borrow of the query]
 * @return       false: there is none
 *
 * Threads  any
 * Errors   none
 */
bool tfn_query_take_part(tfn_str *query, tfn_query_part *out);

/**
 * Undo percent-encoding, and '+' for a space; into the arena only where there is something to undo.
 *
 * @param out  [borrow until the arena is reset, or of the text]
 *
 * Threads  any
 * Errors   TFN_INVALID a '%' without two hexadecimal digits, no UTF-8 . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_query_decode(tfn_str text, tfn_arena *arena, tfn_str *out,
                                        tfn_error *err);

#endif
