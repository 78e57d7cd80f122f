/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_BASE_BUF_H
#define TFN_BASE_BUF_H

/*
 * A growing byte buffer with a ceiling. All text is built in one of these.
 *
 * The struct may be zeroed (no ceiling). After an error the contents are as before the call.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

typedef struct tfn_buf {
    char *p; /* always NUL-terminated behind n once something was added; NULL before */
    size_t n;
    size_t capacity;
    size_t max_bytes; /* 0 = none */
} tfn_buf;

/** Threads one at a time. Errors none. */
void tfn_buf_init(tfn_buf *b, size_t max_bytes);
void tfn_buf_deinit(tfn_buf *b);
void tfn_buf_clear(tfn_buf *b);

/**
 * Append. Threads one at a time.
 *
 * Errors   TFN_NO_MEMORY . TFN_LIMIT the ceiling would be passed
 */
TFN_NODISCARD tfn_code tfn_buf_add(tfn_buf *b, const void *bytes, size_t n_bytes, tfn_error *err);
TFN_NODISCARD tfn_code tfn_buf_add_text(tfn_buf *b, const char *text, tfn_error *err);
TFN_NODISCARD tfn_code tfn_buf_add_str(tfn_buf *b, tfn_str text, tfn_error *err);
TFN_NODISCARD tfn_code tfn_buf_add_format(tfn_buf *b, tfn_error *err, const char *format, ...)
    TFN_PRINTF(3, 4);

/** Append n_bytes of room to be filled by the caller through `*out`. Errors as tfn_buf_add. */
TFN_NODISCARD tfn_code tfn_buf_add_room(tfn_buf *b, size_t n_bytes, char **out, tfn_error *err);

/**
 * Append what is left of a file.
 *
 * @param fd    [borrow] open for reading; a pipe will do
 * @param what  of which is said that it cannot be read
 *
 * Errors   as tfn_buf_add . TFN_IO
 */
TFN_NODISCARD tfn_code tfn_buf_add_file(tfn_buf *b, int fd, const char *what, tfn_error *err);

/**
 * Take the text out; the buffer is empty afterwards. An empty buffer gives "".
 *
 * @param out  [own] NUL-terminated; ends with tfn_mem_free
 *
 * Errors   TFN_NO_MEMORY (only when nothing was ever added)
 */
TFN_NODISCARD tfn_code tfn_buf_take_text(tfn_buf *b, char **out, tfn_error *err);

/** What is in it, borrowed until the next call that changes it. */
static inline tfn_str tfn_buf_get_str(const tfn_buf *b)
{
    return (tfn_str){b->p, b->n};
}

#endif
