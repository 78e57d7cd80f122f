/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_STORE_DATASET_INTERNAL_H
#define TFN_STORE_DATASET_INTERNAL_H

/* What manifest.c, which writes manifests, and verify.c, which compares them, share. */

#include "base/hash.h"
#include "base/json.h"
#include "source/fingerprint.h"
#include "store/store_internal.h"

/** Read a table and hash it. @param table [take] Errors as tfn_dataset_hash_table. */
TFN_NODISCARD tfn_code tfn__dataset_hash_stream(struct ArrowArrayStream *table, int64_t *n_rows,
                                                char hash[TFN_HASH_TEXT_BYTES], tfn_error *err);

/** A path as a manifest has it: without the store's folder in front. Borrowed from `path`. */
tfn_str tfn__dataset_shorten(const tfn_store *store, tfn_str path);

/**
 * The path that a short one stands for.
 *
 * @param folder  [borrow, nullable] what a relative one starts from
 * @param out     [borrow until the arena is gone]
 */
TFN_NODISCARD tfn_code tfn__dataset_locate(const char *folder, tfn_str path, tfn_arena *arena,
                                           const char **out, tfn_error *err);

/**
 * Fingerprint the files or objects of a source.
 *
 * @param path, format, s3_endpoint  [borrow] as the source has them
 *
 * Errors   as tfn_files_fingerprint, tfn_objects_fingerprint
 */
TFN_NODISCARD tfn_code tfn__dataset_fingerprint(const tfn_store *store, tfn_str path,
                                                tfn_str format, tfn_str s3_endpoint,
                                                const tfn_fingerprint_opts *opts, tfn_arena *arena,
                                                tfn_fingerprint **out, size_t *n_out,
                                                tfn_error *err);

/** {"bytes", "checksum", "path"} into an array. @return [borrow until the document is gone] */
yyjson_mut_val *tfn__dataset_add_file(yyjson_mut_doc *doc, yyjson_mut_val *array,
                                      const tfn_fingerprint *print, tfn_str path);

/** Version of DuckDB, or NULL where there is none. Errors as tfn_duckdb_get_version, but that. */
TFN_NODISCARD tfn_code tfn__dataset_get_duckdb(tfn_store *store, const char **out, tfn_error *err);

#endif
