/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_BASE_STR_H
#define TFN_BASE_STR_H

/* A borrowed piece of text or bytes, by value. `p` may be NULL only when `n` is 0. */

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct tfn_str {
    const char *p;
    size_t n;
} tfn_str;

/** Format a tfn_str with "%.*s". Texts longer than INT_MAX are cut. */
#define TFN_STR_ARG(s) (int)((s).n > 0x7fffffff ? 0x7fffffff : (s).n), (s).p == NULL ? "" : (s).p

static inline tfn_str tfn_str_of(const char *text)
{
    return (tfn_str){text, text == NULL ? 0 : strlen(text)};
}

static inline bool tfn_str_equal(tfn_str a, tfn_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool tfn_str_is(tfn_str a, const char *text)
{
    return tfn_str_equal(a, tfn_str_of(text));
}

/** Byte order, shorter first on a common prefix. */
static inline int tfn_str_compare(tfn_str a, tfn_str b)
{
    const size_t n = a.n < b.n ? a.n : b.n;
    const int order = n == 0 ? 0 : memcmp(a.p, b.p, n);
    if (order != 0) {
        return order;
    }
    return (a.n > b.n) - (a.n < b.n);
}

static inline bool tfn_str_ends_with(tfn_str a, const char *tail)
{
    const size_t n = strlen(tail);
    return a.n >= n && memcmp(a.p + a.n - n, tail, n) == 0;
}

static inline bool tfn_str_starts_with(tfn_str a, const char *head)
{
    const size_t n = strlen(head);
    return a.n >= n && memcmp(a.p, head, n) == 0;
}

/** True when the bytes are well-formed UTF-8 (no surrogates, no overlong forms). */
bool tfn_str_is_utf8(tfn_str s);

#endif
