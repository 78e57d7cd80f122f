/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_FRAME_JSON_H
#define TFN_SERVER_FRAME_JSON_H

/* Columns of JSON values, {"driver_id": [1, 2], "rate": [0.5, null]}, as an Arrow stream. */

#include <stdint.h>

#include <yyjson.h>

#include "base/error.h"
#include "base/str.h"
#include "tiffin/arrow.h"
#include "tiffin/store.h"

/** A column whose declared type says what a text or a number in it means. */
typedef struct tfn_declared {
    tfn_str name;
    tfn_value_kind kind; /* of its values, or of the items of its lists */
} tfn_declared;

/**
 * Read columns. Types are those of the values:
 *
 *   true, false    bool                         null alone     null
 *   whole numbers  int64; where TIMESTAMP is declared, seconds since 1970
 *   numbers        float64, when at least one has a fraction or lies beyond int64
 *   texts          string; where declared, BYTES from base64, TIMESTAMP and DATE from ISO 8601
 *   lists          lists of one of these
 *
 * Any value may be null. A whole number that float64 cannot hold is refused beside a fraction: it
 * would become another one.
 *
 * @param columns   [borrow] an object
 * @param declared  [borrow] by name; of two with one name the first counts
 * @param n_rows    [out]
 * @param out       [own] on TFN_OK: one batch, to be released by the caller or whoever takes it
 *
 * Threads  any
 * Errors   TFN_INVALID what is wrong, with column, row (from 0) and item . TFN_LIMIT too many
 *          columns . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_frame_json_read(yyjson_val *columns, const tfn_declared *declared,
                                           size_t n_declared, struct ArrowArrayStream *out,
                                           int64_t *n_rows, tfn_error *err);

#endif
