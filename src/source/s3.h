/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SOURCE_S3_H
#define TFN_SOURCE_S3_H

/* What is to be known to reach objects: paths, settings, and DuckDB's statement for them. Nothing
 * here calls DuckDB or the network. */

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/str.h"

/* What the user says (docs/sources.md, "S3"); empty texts and zeros: not said. */
typedef struct tfn__s3_settings {
    tfn_arena arena;
    tfn_str endpoint;
    tfn_str region;
    tfn_str access_key_id;
    tfn_str secret_access_key;
    tfn_str session_token;
    tfn_str url_style; /* "path" or "vhost" */
    int8_t use_ssl;    /* 0 = not said, 1 = yes, -1 = no */
    int32_t timeout_s; /* of one request; 0 = 30 */
    int32_t n_retries; /* after the first try of a request, if has_retries; else 3 */
    bool has_retries;
} tfn__s3_settings;

/* The same with the environment, and with nothing left open; texts are borrowed from both. */
typedef struct tfn__s3_access {
    tfn_str endpoint; /* host[:port]; empty = Amazon's */
    tfn_str region;
    tfn_str access_key_id; /* empty = requests are not signed */
    tfn_str secret_access_key;
    tfn_str session_token;
    tfn_str url_style;
    bool use_ssl;
    int32_t timeout_s;
    int32_t n_retries;
} tfn__s3_access;

/**
 * Read settings.
 *
 * @param json  [borrow, nullable] object of the members above
 * @param out   [out] ends with tfn__s3_settings_deinit, also after an error
 *
 * Errors   TFN_INVALID names the member, never its value . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__s3_settings_init(const char *json, tfn__s3_settings *out,
                                             tfn_error *err);
void tfn__s3_settings_deinit(tfn__s3_settings *s);

/**
 * Settings, then the usual variables of the environment, then defaults.
 *
 * @param endpoint  [borrow] of one source; not empty: wins over all others
 * @param out       [out] borrows from all three
 *
 * Errors   TFN_INVALID an endpoint that is none, a key without its secret
 */
TFN_NODISCARD tfn_code tfn__s3_resolve(const tfn__s3_settings *s, tfn_str endpoint,
                                       tfn__s3_access *out, tfn_error *err);

/** Is it a path with a scheme ("s3://...")? `scheme` without "://". */
bool tfn__path_get_scheme(tfn_str path, tfn_str *scheme);

/**
 * The path of objects in its one form, "s3://bucket/key" (s3a and s3n mean the same).
 *
 * Errors   TFN_INVALID no bucket . TFN_UNSUPPORTED another scheme . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__s3_add_path(tfn_buf *out, tfn_str path, tfn_error *err);

/** The bucket of a path in its one form. */
tfn_str tfn__s3_get_bucket(tfn_str path);

/** "CREATE OR REPLACE SECRET ..." for one bucket. Errors TFN_NO_MEMORY. */
TFN_NODISCARD tfn_code tfn__s3_add_secret(tfn_buf *sql, const tfn__s3_access *access,
                                          tfn_str bucket, tfn_error *err);

/** Equal when two accesses are. */
TFN_NODISCARD tfn_code tfn__s3_hash(const tfn__s3_access *access, tfn_hash128 *out, tfn_error *err);

/** Does a key match a pattern? Segment by segment; `**` is any number of folders; what lies below a
 * match matches; names that begin with '.' or '_' only if the segment does. */
bool tfn__s3_match(const char *pattern, const char *key);

#endif
