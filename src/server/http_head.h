/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_HTTP_HEAD_H
#define TFN_SERVER_HTTP_HEAD_H

/*
 * A request's head: its target, and the few header fields that decide how it goes on. What could be
 * understood in two ways (by us and by a proxy before us) is refused: so are requests smuggled.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

/** Zeroed: nothing was seen. Texts are borrowed as given. */
typedef struct tfn_head {
    tfn_str authorization;
    tfn_str x_api_key;
    uint64_t content_length;
    bool has_length;
    bool is_chunked;
    bool has_host;
    bool expects;        /* Expect: the client waits before it sends its body */
    const char *next;    /* where the next line must begin, or NULL: not known */
    const char *problem; /* a sentence, once there is one */
} tfn_head;

/**
 * Note a header field.
 *
 * With head->next set, also check that the field stands where the line before it ended, and that it
 * ends with CR LF (a parser has put NULs over both): so folded lines, NULs and lone line feeds are
 * seen, which a tolerant parser hides.
 *
 * @return false: head->problem says why the request is refused
 *
 * Threads  any
 * Errors   none
 */
bool tfn_head_add(tfn_head *head, tfn_str name, tfn_str value);

/**
 * After the last field.
 *
 * @param end       where the head ended; not looked at unless head->next is set
 * @param is_1_1    HTTP/1.1, which must name its host
 */
bool tfn_head_finish(tfn_head *head, const char *end, bool is_1_1);

/**
 * Take a target apart: "/path?query" or "http://host/path?query".
 *
 * @param buf    [out] holds the texts; cleared before
 * @param path   [borrow from buf] decoded; query: raw
 *
 * @return TFN_OK . TFN_INVALID with a sentence for the client . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_head_read_target(tfn_str target, tfn_buf *buf, tfn_str *path,
                                            tfn_str *query, tfn_error *err);

#endif
