/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SOURCE_REMOTE_H
#define TFN_SOURCE_REMOTE_H

/* Objects read by DuckDB: its extension, its secrets, and lists of objects. */

#include "source/duckdb.h"
#include "source/file_list.h"
#include "source/s3.h"

/** Settings of a handle; empty until tfn_duckdb_set_s3. Borrowed as long as the handle. */
const tfn__s3_settings *tfn__duck_get_s3(const tfn_duckdb *d);

/**
 * Make a connection ready to read one bucket, until tfn__remote_end: DuckDB's httpfs is loaded, a
 * secret with the access is there, and reading ahead is on (unlike on local disks, it pays).
 *
 * Threads  any; several at once may use one bucket, if they use the same endpoint
 * Errors   TFN_UNSUPPORTED no httpfs: says how to get it . TFN_CONFLICT the bucket is being read
 *          with another endpoint . TFN_INVALID settings that DuckDB refuses . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__remote_begin(tfn__duck *duck, duck_connection connection,
                                         const tfn__s3_access *access, tfn_str bucket,
                                         tfn_error *err);
void tfn__remote_end(tfn__duck *duck, tfn_str bucket);

/** DuckDB's log of requests is one per instance: who switches it on holds this. */
void tfn__remote_lock_log(tfn__duck *duck);
void tfn__remote_unlock_log(tfn__duck *duck);

/** Is DuckDB's sentence one about a request over the network? Then fail with one of ours. */
bool tfn__remote_is_about(const char *text);
tfn_code tfn__remote_fail(const char *text, tfn_str label, tfn_error *err);

/**
 * List the objects that a path in its one form stands for, with their identities.
 *
 * @param list  [out] zeroed before, but for its format; ends with tfn__file_list_deinit
 *
 * Errors   as tfn__file_list_init
 */
TFN_NODISCARD tfn_code tfn__remote_list_init(tfn__file_list *list, tfn__duck *duck,
                                             duck_connection connection, tfn_str path,
                                             tfn_error *err);

/** Errors TFN_IO an object changed or vanished since the list was taken: names it. */
TFN_NODISCARD tfn_code tfn__remote_list_check(const tfn__file_list *list, tfn__duck *duck,
                                              duck_connection connection, tfn_error *err);

#endif
