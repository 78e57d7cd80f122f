/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SOURCE_FILES_H
#define TFN_SOURCE_FILES_H

/*
 * Files read by DuckDB. Only this module knows that DuckDB exists.
 */

#include "source/source.h"

typedef struct tfn_duckdb tfn_duckdb;

/**
 * Find and load DuckDB: `library` if given, else TIFFIN_DUCKDB_LIBRARY, else libduckdb.so. Nothing
 * is loaded until the first source is opened; one instance per process and library, kept until
 * exit; a fork makes its own. See docs/decisions/005-duckdb-at-run-time.md.
 *
 * @param library       [copy, nullable] path of a shared library that exports DuckDB's C API
 * @param memory_limit_bytes  for DuckDB's own buffers; 0 = 256 MB + 128 MB per thread
 * @param n_threads     0 = as many as there are cores
 * @param out           [own] ends with tfn_duckdb_destroy
 *
 * Threads  any
 * Errors   TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_duckdb_create(const char *library, size_t memory_limit_bytes,
                                         int n_threads, tfn_duckdb **out, tfn_error *err);
void tfn_duckdb_destroy(tfn_duckdb *d);

/** "2.0.0", loading it if need be. Errors TFN_UNSUPPORTED says what to install. */
TFN_NODISCARD tfn_code tfn_duckdb_get_version(tfn_duckdb *d, const char **out, tfn_error *err);

/**
 * Say how to reach objects on S3 (docs/sources.md, "S3"). What is not said comes from the
 * environment.
 *
 * @param settings  [copy, nullable] JSON: {"endpoint", "region", "access_key_id",
 *                  "secret_access_key", "session_token", "url_style", "use_ssl", "timeout_seconds",
 *                  "retries"}, all optional
 *
 * Threads  before the first source is opened
 * Errors   TFN_INVALID names the member . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_duckdb_set_s3(tfn_duckdb *d, const char *settings, tfn_error *err);

typedef enum tfn_format {
    TFN_FORMAT_AUTO = 0,
    TFN_FORMAT_PARQUET = 1,
    TFN_FORMAT_CSV = 2,
    TFN_FORMAT_JSON = 3 /* one object a line */
} tfn_format;

/**
 * Open files, or objects on S3 (s3://bucket/...), as one source: a file, a folder (all files of the format below it; Hive partitions
 * `key=value` become columns), or a glob. The list is taken once, byte-sorted; position = file in
 * that order, then row.
 *
 * @param base_path  [borrow, nullable] what relative paths start from
 * @param path       [borrow]
 * @param out        [own]
 *
 * Threads  any
 * Errors   TFN_IO no such path, no file matches, unreadable, not of the format (names the file)
 *          TFN_SCHEMA files disagree on a column (names file, column, both types)
 *          TFN_INVALID the format cannot be told from the name; a column is named file_row_number
 * or file_index; duplicate column names TFN_LIMIT too many files . TFN_UNSUPPORTED no DuckDB, or a
 * remote path that is not s3:// . TFN_CONFLICT the bucket is being read from another endpoint
 *          TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_source_of_files(tfn_duckdb *d, const char *base_path, tfn_str path,
                                           tfn_format format, tfn_source **out, tfn_error *err);

/** The same for objects at an endpoint of their own, e.g. "http://localhost:9000"; empty = that of
 * the settings. */
TFN_NODISCARD tfn_code tfn_source_of_objects(tfn_duckdb *d, tfn_str path, tfn_format format,
                                             tfn_str s3_endpoint, tfn_source **out, tfn_error *err);

/* First and last time of a column over all files (statistics or a scan), for "which dates the
 * source holds" and for views that start at their first row. */
TFN_NODISCARD tfn_code tfn_source_get_time_range(tfn_source *s, tfn_str column, bool *is_empty,
                                                 tfn_instant *first, tfn_instant *last,
                                                 tfn_error *err);

#endif
