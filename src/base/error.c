/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Errors: one struct on the caller's stack, set once at the origin, prefixed on the way up.
 *
 * Invariants
 *  1. message is always NUL-terminated and valid UTF-8 up to a cut at a character boundary.
 *  2. tfn_error_prepend never loses the beginning of the sentence: what does not fit is cut at the
 *     end.
 */

#include "base/error.h"

#include <stdio.h>
#include <string.h>

#include "base/poison.h"

const char *tfn_code_name(tfn_code code)
{
    switch (code) {
#define TFN_CODE_NAME(name, value, http, grpc, python, meaning)                                    \
    case TFN_##name:                                                                               \
        return #name;
        TFN_CODE_MAP(TFN_CODE_NAME)
#undef TFN_CODE_NAME
    }
    return "UNKNOWN";
}

const char *tfn_code_meaning(tfn_code code)
{
    switch (code) {
#define TFN_CODE_MEANING(name, value, http, grpc, python, meaning)                                 \
    case TFN_##name:                                                                               \
        return meaning;
        TFN_CODE_MAP(TFN_CODE_MEANING)
#undef TFN_CODE_MEANING
    }
    return "unknown code";
}

int tfn_code_http_status(tfn_code code)
{
    switch (code) {
#define TFN_CODE_HTTP(name, value, http, grpc, python, meaning)                                    \
    case TFN_##name:                                                                               \
        return http;
        TFN_CODE_MAP(TFN_CODE_HTTP)
#undef TFN_CODE_HTTP
    }
    return 500;
}

/* Drop a UTF-8 sequence that a cut at the end of the buffer left incomplete. */
static void trim_cut_character(char *text, size_t n_bytes)
{
    size_t i = n_bytes;
    size_t n_continuation = 0;
    while (i > 0 && n_continuation < 4 && ((unsigned char)text[i - 1] & 0xC0u) == 0x80u) {
        i--;
        n_continuation++;
    }
    if (i == 0) {
        return;
    }
    const unsigned char lead = (unsigned char)text[i - 1];
    const size_t want = lead >= 0xF0u ? 3u : lead >= 0xE0u ? 2u : lead >= 0xC0u ? 1u : 0u;
    if (n_continuation < want) {
        text[i - 1] = '\0';
    }
}

TFN_PRINTF(3, 0)
static void format_into(char *to, size_t max_bytes, const char *format, va_list args)
{
    const int n = vsnprintf(to, max_bytes, format, args);
    if (n < 0) {
        to[0] = '\0';
    } else if ((size_t)n >= max_bytes) {
        trim_cut_character(to, max_bytes - 1);
    }
}

static void append_errno(tfn_error *err)
{
    char reason[128] = "";
    if (strerror_r(err->sys_errno, reason, sizeof reason) != 0) {
        (void)snprintf(reason, sizeof reason, "error %d", err->sys_errno);
    }
    const size_t n_bytes = strlen(err->message);
    (void)snprintf(err->message + n_bytes, sizeof err->message - n_bytes, ": %s", reason);
}

tfn_code tfn_error_set(tfn_error *err, tfn_code code, int sys_errno, const char *file, int line,
                       const char *format, ...)
{
    if (err == NULL) {
        return code;
    }
    err->code = code;
    err->sys_errno = sys_errno;
    err->file = file;
    err->line = line;
    va_list args;
    va_start(args, format);
    format_into(err->message, sizeof err->message, format, args);
    va_end(args);
    if (sys_errno != 0) {
        append_errno(err);
    }
    return code;
}

void tfn_error_prepend(tfn_error *err, const char *format, ...)
{
    if (err == NULL || err->code == TFN_OK) {
        return;
    }
    char context[sizeof err->message];
    va_list args;
    va_start(args, format);
    format_into(context, sizeof context, format, args);
    va_end(args);
    const size_t n_context = strlen(context);
    const size_t n_message = strlen(err->message);
    const size_t n_room = sizeof err->message - 1 - n_context;
    const size_t n_kept = n_message < n_room ? n_message : n_room;
    memmove(err->message + n_context, err->message, n_kept);
    memcpy(err->message, context, n_context);
    err->message[n_context + n_kept] = '\0';
    if (n_kept < n_message) {
        trim_cut_character(err->message, n_context + n_kept);
    }
}

tfn_code tfn_error_move(tfn_error *to, const tfn_error *from)
{
    if (to != NULL && to != from) {
        *to = *from;
    }
    return from->code;
}
