/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * A request's head.
 *
 * libmicrohttpd before 1.0 joins a folded line to the *name* of the field before it, takes "Name :"
 * for a name, ends lines at a lone line feed and values at a NUL, reads the first of two
 * Content-Lengths, and ignores one beside Transfer-Encoding. Each is a way to hide a request inside of
 * another from whatever stands in front. It keeps the head in one piece, however, and only puts NULs
 * over colons and line ends. So we check that the fields, as it tells them, cover the whole head: then
 * nothing was hidden.
 */

#include "server/http_head.h"

#include <strings.h>

#include "base/poison.h"

/* What an HTTP token may have (RFC 9110, 5.6.2): a bit for each ASCII character. */
static bool is_token(unsigned char c)
{
    static const uint64_t tokens[2] = {0x3ff6cfa00000000U, 0x57ffffffc7fffffeU};
    return c < 128 && ((tokens[c >> 6] >> (c & 63)) & 1) != 0;
}

static bool refuse(tfn_head *head, const char *sentence)
{
    head->problem = sentence;
    return false;
}

/* Both look at every character without leaving early, which compilers make fast. */
static bool is_name(tfn_str name)
{
    bool is_good = name.n > 0;
    for (size_t i = 0; i < name.n; i++) {
        is_good &= is_token((unsigned char)name.p[i]);
    }
    return is_good;
}

static bool is_value(tfn_str value)
{
    bool is_good = true;
    for (size_t i = 0; i < value.n; i++) {
        const unsigned char c = (unsigned char)value.p[i];
        is_good &= (c >= ' ' || c == '\t') && c != 0x7f;
    }
    return is_good;
}

/* Whether the field fills its line from head->next on; then moves there. */
static bool fills_line(tfn_head *head, tfn_str name, tfn_str value)
{
    if (name.p != head->next || value.p <= name.p + name.n) {
        return false;
    }
    for (const char *p = name.p + name.n + 1; p < value.p; p++) {
        if (*p != ' ' && *p != '\t') {
            return false;
        }
    }
    const char *end = value.p + value.n;
    head->next = end + 2;
    return end[0] == '\0' && end[1] == '\0';
}

static bool equals(tfn_str text, const char *lower)
{
    return text.n == strlen(lower) && strncasecmp(text.p, lower, text.n) == 0;
}

static tfn_str trim(tfn_str value)
{
    while (value.n > 0 && (value.p[value.n - 1] == ' ' || value.p[value.n - 1] == '\t')) {
        value.n--;
    }
    return value;
}

static bool add_length(tfn_head *head, tfn_str value)
{
    if (head->has_length) {
        return refuse(head, "The request has two Content-Length fields; send one.");
    }
    head->has_length = true;
    for (size_t i = 0; i < value.n; i++) {
        uint64_t longer = 0;
        if (value.p[i] < '0' || value.p[i] > '9' ||
            __builtin_mul_overflow(head->content_length, 10U, &longer) ||
            __builtin_add_overflow(longer, (uint64_t)(value.p[i] - '0'), &head->content_length)) {
            return refuse(head, "Content-Length is not a number of bytes.");
        }
    }
    return value.n > 0 || refuse(head, "Content-Length is empty.");
}

static bool add_coding(tfn_head *head, tfn_str value)
{
    if (head->is_chunked || !equals(value, "chunked")) {
        return refuse(head, "Transfer-Encoding may be 'chunked', once, and nothing else.");
    }
    head->is_chunked = true;
    return true;
}

static bool add_host(tfn_head *head)
{
    if (head->has_host) {
        return refuse(head, "The request has two Host fields; send one.");
    }
    head->has_host = true;
    return true;
}

bool tfn_head_add(tfn_head *head, tfn_str name, tfn_str value)
{
    if (head->next != NULL && !fills_line(head, name, value)) {
        return refuse(head,
                      "A header field is folded over lines, has a NUL byte, or does not end with "
                      "CR LF; send each field on one line.");
    }
    if (!is_name(name) || !is_value(value)) {
        return refuse(head,
                      "A header field has a name or a value with characters that HTTP does not "
                      "allow there.");
    }
    switch (name.n) {
    case 4:
        return !equals(name, "host") || add_host(head);
    case 6:
        head->expects = head->expects || equals(name, "expect");
        return true;
    case 9:
        if (equals(name, "x-api-key")) {
            head->x_api_key = trim(value);
        }
        return true;
    case 13:
        if (equals(name, "authorization")) {
            head->authorization = trim(value);
        }
        return true;
    case 14:
        return !equals(name, "content-length") || add_length(head, trim(value));
    case 17:
        return !equals(name, "transfer-encoding") || add_coding(head, trim(value));
    default:
        return true;
    }
}

bool tfn_head_finish(tfn_head *head, const char *end, bool is_1_1)
{
    if (head->next != NULL && (end != head->next + 2 || head->next[0] != '\0')) {
        return refuse(head, "The request's head does not end with an empty line of CR LF.");
    }
    if (head->is_chunked && head->has_length) {
        return refuse(head, "The request has both Content-Length and Transfer-Encoding; send one.");
    }
    if (head->is_chunked && !is_1_1) {
        return refuse(head, "HTTP/1.0 has no Transfer-Encoding; send Content-Length.");
    }
    return head->has_host || !is_1_1 || refuse(head, "The request has no Host field.");
}

/* ---- targets ---- */

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Append `raw` with its %XX decoded. */
static tfn_code add_decoded(tfn_buf *buf, tfn_str raw, tfn_error *err)
{
    char *out = NULL;
    const size_t begin = buf->n;
    TFN_RETURN_IF_ERROR(tfn_buf_add_room(buf, raw.n, &out, err));
    size_t n = 0;
    for (size_t i = 0; i < raw.n; i++) {
        char c = raw.p[i];
        if (c == '%') {
            const int high = i + 2 < raw.n ? digit_of(raw.p[i + 1]) : -1;
            const int low = high >= 0 ? digit_of(raw.p[i + 2]) : -1;
            if (low < 0 || (high == 0 && low == 0)) {
                return TFN_FAIL(err, TFN_INVALID,
                                "The path has a '%%' that two hexadecimal digits other "
                                "than 00 must follow.");
            }
            c = (char)(high * 16 + low);
            i += 2;
        }
        out[n++] = c;
    }
    buf->n = begin + n;
    buf->p[buf->n] = '\0';
    return TFN_OK;
}

/* Cut "http://host" off, if the target has it. */
static tfn_str without_host(tfn_str target)
{
    const char *scheme_end = target.n > 0 && target.p[0] != '/' ? strstr(target.p, "://") : NULL;
    if (scheme_end == NULL) {
        return target;
    }
    const char *path = strchr(scheme_end + 3, '/');
    if (path == NULL) {
        return (tfn_str){"/", 1};
    }
    return (tfn_str){path, target.n - (size_t)(path - target.p)};
}

tfn_code tfn_head_read_target(tfn_str target, tfn_buf *buf, tfn_str *path, tfn_str *query,
                              tfn_error *err)
{
    *path = (tfn_str){0};
    *query = (tfn_str){0};
    tfn_buf_clear(buf);
    for (size_t i = 0; i < target.n; i++) {
        const unsigned char c = (unsigned char)target.p[i];
        if (c <= ' ' || c == 0x7f) {
            return TFN_FAIL(err, TFN_INVALID,
                            "The request's target has a space or a control character; "
                            "encode it as %%20 and the like.");
        }
    }
    const tfn_str origin = without_host(target);
    const char *mark = origin.n > 0 ? memchr(origin.p, '?', origin.n) : NULL;
    const size_t n_raw = mark == NULL ? origin.n : (size_t)(mark - origin.p);
    const size_t n_query = mark == NULL ? 0 : origin.n - n_raw - 1;
    TFN_RETURN_IF_ERROR(add_decoded(buf, (tfn_str){origin.p, n_raw}, err));
    const size_t n_path = buf->n;
    if (n_query > 0) {
        TFN_RETURN_IF_ERROR(tfn_buf_add(buf, mark + 1, n_query, err));
    }
    *path = (tfn_str){buf->p, n_path};
    *query = (tfn_str){n_query > 0 ? buf->p + n_path : NULL, n_query};
    return TFN_OK;
}
