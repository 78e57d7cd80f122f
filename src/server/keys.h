/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_KEYS_H
#define TFN_SERVER_KEYS_H

/*
 * API keys: "tfk_<id>_<secret>" in the header Authorization: Bearer ... (or X-Api-Key). A file keeps of each its id, name,
 * scopes, rate limit and the SHA-256 of the whole key: a secret is 256 random bits, so no slow hash
 * is needed (docs/formats/server-keys.md). `tiffin keys` writes the file; the server reads it again
 * within a second after it changed.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "server/exchange.h"

typedef struct tfn_keys tfn_keys;

/**
 * @param path  [copy] a file that is missing has no keys
 * @param out   [own] ends with tfn_keys_destroy
 *
 * Errors   TFN_CORRUPT, TFN_IO name the file . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_keys_open(const char *path, tfn_keys **out, tfn_error *err);
void tfn_keys_destroy(tfn_keys *keys);

/** Whether there is any key. Threads any. Errors none. */
bool tfn_keys_any(const tfn_keys *keys);

typedef enum tfn_verdict {
    TFN_KEY_GOOD = 0,
    TFN_KEY_MISSING, /* 401 */
    TFN_KEY_WRONG,   /* 401: unknown or revoked; takes as long as a good one */
    TFN_KEY_SCOPE,   /* 403 */
    TFN_KEY_RATE     /* 429; *retry_after_s is set */
} tfn_verdict;

/**
 * Judge a request. Compares in constant time; a key's rate is a token bucket of one second's
 * requests.
 *
 * @param authorization  [borrow, may be empty] value of that header
 * @param x_api_key      [borrow, may be empty] likewise
 * @param now_ns         monotonic
 * @param is_admin       [out] its scopes include admin
 *
 * Threads  any; takes no lock unless the file has changed
 * Errors   none: a file that became unreadable leaves the keys as they were, and is said once
 */
tfn_verdict tfn_keys_check(tfn_keys *keys, tfn_str authorization, tfn_str x_api_key,
                           tfn_scope scope, int64_t now_ns, bool *is_admin, int32_t *retry_after_s);

/**
 * The id within a key that a request presents; empty when it presents none. For logs, and only behind
 * TFN_KEY_GOOD or TFN_KEY_SCOPE or TFN_KEY_RATE: anybody may write an id.
 *
 * @return [borrow from the headers]
 *
 * Threads  any
 * Errors   none
 */
tfn_str tfn_keys_get_id(tfn_str authorization, tfn_str x_api_key);

/** Look whether the file changed; the server's housekeeping calls it. Threads one at a time. */
void tfn_keys_refresh(tfn_keys *keys);

#endif
