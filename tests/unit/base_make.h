/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_TESTS_BASE_MAKE_H
#define TFN_TESTS_BASE_MAKE_H

/* What the tests of base/ share. Include it first: cmocka wants its headers in this order. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define assert_text(text, part) assert_non_null(strstr((text), (part)))
#define assert_ok(expr, err)                                                                       \
    do {                                                                                           \
        if ((expr) != TFN_OK) {                                                                    \
            fail_msg("%s: %s", #expr, (err).message);                                              \
        }                                                                                          \
    } while (0)

#endif
