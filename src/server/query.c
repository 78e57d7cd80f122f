/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* The one parser of query strings; what a parameter means is the handlers' affair. */

#include "server/query.h"

#include "base/poison.h"

bool tfn_query_take_part(tfn_str *query, tfn_query_part *out)
{
    *out = (tfn_query_part){0};
    while (query->n > 0) {
        const char *end = memchr(query->p, '&', query->n);
        const tfn_str part = {query->p, end == NULL ? query->n : (size_t)(end - query->p)};
        const size_t n_taken = end == NULL ? part.n : part.n + 1;
        *query = (tfn_str){query->p + n_taken, query->n - n_taken};
        if (part.n > 0) {
            const char *equals = memchr(part.p, '=', part.n);
            const size_t n_name = equals == NULL ? part.n : (size_t)(equals - part.p);
            const size_t n_skipped = equals == NULL ? n_name : n_name + 1;
            *out = (tfn_query_part){.name = {part.p, n_name},
                                    .value = {part.p + n_skipped, part.n - n_skipped}};
            return true;
        }
    }
    return false;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    const char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* At most text.n bytes are written; *n_out of them. */
static tfn_code decode(tfn_str text, char *out, size_t *n_out, tfn_error *err)
{
    char *to = out;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '%') {
            const int high = i + 2 < text.n ? digit_of(text.p[i + 1]) : -1;
            const int low = i + 2 < text.n ? digit_of(text.p[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return TFN_FAIL(err, TFN_INVALID,
                                "'%%' in the query must have two hexadecimal digits behind it; "
                                "write %%25 for the character itself");
            }
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        *to++ = c;
    }
    *n_out = (size_t)(to - out);
    return TFN_OK;
}

tfn_code tfn_query_decode(tfn_str text, tfn_arena *arena, tfn_str *out, tfn_error *err)
{
    *out = text;
    if (text.n > 0 &&
        (memchr(text.p, '%', text.n) != NULL || memchr(text.p, '+', text.n) != NULL)) {
        void *p = NULL;
        TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, text.n, 1, &p, err));
        out->p = p;
        TFN_RETURN_IF_ERROR(decode(text, p, &out->n, err));
    }
    return tfn_str_is_utf8(*out) ? TFN_OK : TFN_FAIL(err, TFN_INVALID, "the query is not UTF-8");
}
