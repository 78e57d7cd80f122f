/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Text that comes from outside is checked for well-formed UTF-8 once, at the border. */

#include "base/str.h"

#include <stdint.h>

#include "base/poison.h"

/* Length of the well-formed sequence that begins at p (n > 0 bytes left), or 0. */
static size_t sequence_bytes(const unsigned char *p, size_t n)
{
    if (p[0] < 0x80) {
        return 1;
    }
    size_t n_want = 0;
    uint32_t value = 0;
    uint32_t least = 0;
    if ((p[0] & 0xE0u) == 0xC0u) {
        n_want = 2;
        value = p[0] & 0x1Fu;
        least = 0x80;
    } else if ((p[0] & 0xF0u) == 0xE0u) {
        n_want = 3;
        value = p[0] & 0x0Fu;
        least = 0x800;
    } else if ((p[0] & 0xF8u) == 0xF0u) {
        n_want = 4;
        value = p[0] & 0x07u;
        least = 0x10000;
    } else {
        return 0;
    }
    if (n < n_want) {
        return 0;
    }
    for (size_t i = 1; i < n_want; i++) {
        if ((p[i] & 0xC0u) != 0x80u) {
            return 0;
        }
        value = (value << 6) | (p[i] & 0x3Fu);
    }
    const int is_surrogate = value >= 0xD800 && value <= 0xDFFF;
    return value < least || value > 0x10FFFF || is_surrogate ? 0 : n_want;
}

bool tfn_str_is_utf8(tfn_str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t i = 0;
    while (i < s.n) {
        const size_t n = sequence_bytes(p + i, s.n - i);
        if (n == 0) {
            return false;
        }
        i += n;
    }
    return true;
}
