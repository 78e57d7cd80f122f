/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_BASE_ERROR_H
#define TFN_BASE_ERROR_H

/* How errors are set and passed on inside the library. The struct itself is public. */

#include "tiffin/error.h"

#include <stdarg.h>

#define TFN_PRINTF(i_format, i_args) __attribute__((format(printf, i_format, i_args)))

/* Set the error at its origin and yield the code: `return TFN_FAIL(err, TFN_SCHEMA, "...");` */
#define TFN_FAIL(err, code, ...)                                                                   \
    tfn_error_yield((code), tfn_error_set((err), (code), 0, __FILE__, __LINE__, __VA_ARGS__))

/* The same for a failed system call; `sys_errno` is kept and its text appended to the sentence. */
#define TFN_FAIL_SYS(err, sys_errno, ...)                                                          \
    tfn_error_yield(TFN_IO,                                                                        \
                    tfn_error_set((err), TFN_IO, (sys_errno), __FILE__, __LINE__, __VA_ARGS__))

/* What tfn_error_set returns is the code it was given; said here, compiler and analyser see it too. */
static inline tfn_code tfn_error_yield(tfn_code code, tfn_code same)
{
    (void)same;
    return code;
}

/* Owns nothing yet: leave at once. */
#define TFN_RETURN_IF_ERROR(expr)                                                                  \
    do {                                                                                           \
        const tfn_code tfn_rc_ = (expr);                                                           \
        if (tfn_rc_ != TFN_OK) {                                                                   \
            return tfn_rc_;                                                                        \
        }                                                                                          \
    } while (0)

/* Owns something: go to the one label that destroys it. */
#define TFN_GOTO_IF_ERROR(rc, expr, label)                                                         \
    do {                                                                                           \
        (rc) = (expr);                                                                             \
        if ((rc) != TFN_OK) {                                                                      \
            goto label;                                                                            \
        }                                                                                          \
    } while (0)

/**
 * Set `err` (NULL allowed) and return `code`. Called through the macros above.
 *
 * Threads  any
 * Errors   none: returns `code`
 */
tfn_code tfn_error_set(tfn_error *err, tfn_code code, int sys_errno, const char *file, int line,
                       const char *format, ...) TFN_PRINTF(6, 7);

/**
 * Put context before the sentence, e.g. "planning view 'weather': ". No-op for NULL or no error.
 *
 * Threads  any
 * Errors   none
 */
void tfn_error_prepend(tfn_error *err, const char *format, ...) TFN_PRINTF(2, 3);

/**
 * Pass on an error that was collected elsewhere (another thread's struct) and return its code.
 *
 * Threads  any
 * Errors   none: returns `from->code`
 */
tfn_code tfn_error_move(tfn_error *to, const tfn_error *from);

#endif
