/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_JSON_WRITE_H
#define TFN_SERVER_JSON_WRITE_H

/*
 * Values of an answer as JSON, straight into a reply's body.
 *
 * How a value is written (docs/formats/server-protocol.md, "Values"): numbers by their shortest
 * decimal form, a float32 as the double that it is; numbers that JSON has not as the texts "NaN",
 * "Infinity", "-Infinity"; bytes in base64; a date as "2013-01-31"; lists as arrays.
 */

#include "base/buf.h"
#include "base/str.h"
#include "tiffin/store.h"

/** Give back what was not used of room at the buffer's end (tfn_buf_add_room). */
static inline void tfn_json_end_room(tfn_buf *out, char *end)
{
    out->n = (size_t)(end - out->p);
    *end = '\0';
}

/** How instants are written as values. */
typedef enum tfn_json_times {
    TFN_JSON_TIME_SECONDS = 0, /* whole seconds since 1970, floor: as Feast */
    TFN_JSON_TIME_TEXT = 1     /* ISO 8601, exact */
} tfn_json_times;

/**
 * Append n values with commas between them.
 *
 * @param values  [borrow] as tfn_answer_get_values gave them
 *
 * Cost     some nanoseconds a value; a double about 30. Allocates nothing but the buffer's growth
 * Threads  one at a time per buffer
 * Errors   as tfn_buf_add; what was appended before the error stays
 */
TFN_NODISCARD tfn_code tfn_json_write_values(tfn_buf *out, const tfn_value *values, size_t n,
                                             tfn_json_times times, tfn_error *err);

/** Append n small integers with commas between them. Errors as tfn_buf_add. */
TFN_NODISCARD tfn_code tfn_json_write_digits(tfn_buf *out, const int32_t *digits, size_t n,
                                             tfn_error *err);

/** Append a text in quotes, escaped where JSON wants it. Errors as tfn_buf_add. */
TFN_NODISCARD tfn_code tfn_json_write_text(tfn_buf *out, tfn_str text, tfn_error *err);

enum { TFN_JSON_TIME_BYTES = 42 };

/**
 * An instant in quotes, as tfn_instant_format writes it, at a fraction of its cost; one that is not
 * set is 1970-01-01T00:00:00Z.
 *
 * @param to  [out] room for TFN_JSON_TIME_BYTES
 * @return    end of what was written
 */
char *tfn_json_put_time(char *to, tfn_time t);

/** A decimal integer, at most 20 bytes. Returns the end of what was written. */
char *tfn_json_put_integer(char *to, int64_t value);

#endif
