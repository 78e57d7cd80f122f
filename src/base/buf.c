/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Byte buffer with a ceiling.
 *
 * Invariants
 *  1. p == NULL or capacity >= n + 1 and p[n] == '\0'.
 *  2. n <= max_bytes when max_bytes > 0.
 */

#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#include "base/poison.h"

void tfn_buf_init(tfn_buf *b, size_t max_bytes)
{
    *b = (tfn_buf){.max_bytes = max_bytes};
}

void tfn_buf_deinit(tfn_buf *b)
{
    tfn_mem_free(b->p);
    b->p = NULL;
    b->n = 0;
    b->capacity = 0;
}

void tfn_buf_clear(tfn_buf *b)
{
    b->n = 0;
    if (b->p != NULL) {
        b->p[0] = '\0';
    }
}

static tfn_code reserve(tfn_buf *b, size_t n_more, tfn_error *err)
{
    size_t n_total = 0;
    size_t n_with_nul = 0;
    if (!tfn_mem_add(b->n, n_more, &n_total) || !tfn_mem_add(n_total, 1, &n_with_nul)) {
        return TFN_FAIL(err, TFN_NO_MEMORY, "%zu more bytes were asked for", n_more);
    }
    if (b->max_bytes > 0 && n_total > b->max_bytes) {
        return TFN_FAIL(err, TFN_LIMIT,
                        "a text of %zu bytes was being built; at most %zu are allowed", n_total,
                        b->max_bytes);
    }
    void *p = b->p;
    const tfn_code rc = tfn_mem_grow(&p, &b->capacity, n_with_nul, 1, err);
    b->p = p;
    return rc;
}

tfn_code tfn_buf_add_room(tfn_buf *b, size_t n_bytes, char **out, tfn_error *err)
{
    *out = NULL;
    TFN_RETURN_IF_ERROR(reserve(b, n_bytes, err));
    *out = b->p + b->n;
    b->n += n_bytes;
    b->p[b->n] = '\0';
    return TFN_OK;
}

tfn_code tfn_buf_add(tfn_buf *b, const void *bytes, size_t n_bytes, tfn_error *err)
{
    char *room = NULL;
    TFN_RETURN_IF_ERROR(tfn_buf_add_room(b, n_bytes, &room, err));
    if (n_bytes > 0) {
        memcpy(room, bytes, n_bytes);
    }
    return TFN_OK;
}

tfn_code tfn_buf_add_text(tfn_buf *b, const char *text, tfn_error *err)
{
    return tfn_buf_add(b, text, strlen(text), err);
}

tfn_code tfn_buf_add_str(tfn_buf *b, tfn_str text, tfn_error *err)
{
    return tfn_buf_add(b, text.p, text.n, err);
}

tfn_code tfn_buf_add_format(tfn_buf *b, tfn_error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0) {
        return TFN_FAIL(err, TFN_INVALID, "a text could not be formatted with '%s'", format);
    }
    TFN_RETURN_IF_ERROR(reserve(b, (size_t)n, err));
    va_start(args, format);
    (void)vsnprintf(b->p + b->n, (size_t)n + 1, format, args);
    va_end(args);
    b->n += (size_t)n;
    return TFN_OK;
}

tfn_code tfn_buf_add_file(tfn_buf *b, int fd, const char *what, tfn_error *err)
{
    enum { STEP_BYTES = 16 * 1024 };
    const size_t n_before = b->n;
    char bytes[STEP_BYTES];
    tfn_code rc = TFN_OK;
    ssize_t n = 1;
    while (rc == TFN_OK && n != 0) {
        n = read(fd, bytes, sizeof bytes);
        if (n > 0) {
            rc = tfn_buf_add(b, bytes, (size_t)n, err);
        } else if (n < 0 && errno != EINTR) {
            rc = TFN_FAIL_SYS(err, errno, "cannot read %s", what);
        }
    }
    if (rc != TFN_OK && b->p != NULL) {
        b->n = n_before;
        b->p[n_before] = '\0';
    }
    return rc;
}

tfn_code tfn_buf_take_text(tfn_buf *b, char **out, tfn_error *err)
{
    *out = NULL;
    TFN_RETURN_IF_ERROR(reserve(b, 0, err));
    b->p[b->n] = '\0';
    *out = b->p;
    *b = (tfn_buf){.max_bytes = b->max_bytes};
    return TFN_OK;
}
