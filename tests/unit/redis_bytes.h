/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_TEST_REDIS_BYTES_H
#define TFN_TEST_REDIS_BYTES_H

/* Bytes as hex digits, so that tests show them as Feast's own package printed them. Include after
 * cmocka.h. */

#include <stdio.h>
#include <string.h>

#include "base/str.h"

static inline void assert_hex(tfn_str bytes, const char *hex)
{
    char text[1024] = "";
    assert_true(bytes.n < sizeof text / 2);
    for (size_t i = 0; i < bytes.n; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", (unsigned)(unsigned char)bytes.p[i]);
    }
    assert_string_equal(text, hex);
}

/* The bytes of hex digits; borrowed until the next call but three. */
static inline tfn_str of_hex(const char *hex)
{
    static char pool[4][512];
    static size_t i_pool;
    char *bytes = pool[i_pool++ % 4];
    size_t n = 0;
    for (; hex[2 * n] != '\0'; n++) {
        static const char digits[] = "0123456789abcdef";
        const size_t high = (size_t)(strchr(digits, hex[2 * n]) - digits);
        const size_t low = (size_t)(strchr(digits, hex[2 * n + 1]) - digits);
        bytes[n] = (char)(high << 4 | low);
    }
    return (tfn_str){bytes, n};
}

#endif
