/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TIFFIN_DATASET_H
#define TIFFIN_DATASET_H

/**
 * Saved datasets: what a training set was made from, and what of it has changed since.
 *
 * The rows are written by the caller (Python writes Parquet); the definition, with its manifest, is
 * applied like any other (kind "saved_dataset"). Format: docs/formats/saved-dataset.md.
 */

#include <stddef.h>
#include <stdint.h>

#include "tiffin/store.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tfn_manifest_request {
    size_t struct_size;
    const char *features;    /* JSON, as tfn_historical_request.features */
    const char *time_column; /* NULL = as tfn_store_historical chooses it */
    const char *writer;      /* what writes the rows, with its version; NULL = "" */
    int32_t filter_by_created;
    int32_t names_only; /* 1: only "asked"; no source file is looked at and nothing hashed */
    tfn_time known_at;
    tfn_tick_fn tick; /* [NULL allowed] */
    void *tick_context;
} tfn_manifest_request;

/**
 * What a training set asks for, and what it would be made from now. On-demand views may be asked for:
 * their definitions, which hold the hashes of their functions, are part of the manifest.
 *
 * @param request  [borrow]
 * @param spine    [take] entity rows, as tfn_store_historical
 * @param answer   [own] JSON: {"asked": {"feature_service", "features": ["view:feature", ...],
 *                 "full_feature_names", "join_keys": [...], "max_event_timestamp",
 *                 "min_event_timestamp", "rows", "time_column"}, "manifest": {...}}; the manifest
 *                 has "hash": equal hashes mean equal bytes, once written by the same writer
 * @param err      [out, nullable]
 *
 * Nulls    no entity row: both times are null
 * Cost     one pass over the entity rows; reads source files up to 64 MiB, footers of larger ones;
 *          of objects on S3 a list, and one request each
 * Threads  any
 * Errors   TFN_NOT_FOUND view, feature, service . TFN_SCHEMA, TFN_INVALID the request or the time
 *          column . TFN_IO a source file . TFN_UNSUPPORTED entity rows with a column that cannot be
 *          hashed, an object whose ETag is not known . TFN_CANCELLED . TFN_NO_MEMORY
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_make_manifest(tfn_store *store,
                                                       const tfn_manifest_request *request,
                                                       struct ArrowArrayStream *spine,
                                                       char **answer, tfn_error *err);

typedef struct tfn_verify_request {
    size_t struct_size;
    const char *name;   /* of the saved dataset */
    const char *writer; /* as tfn_manifest_request.writer, now */
    tfn_tick_fn tick;   /* [NULL allowed] */
    void *tick_context;
} tfn_verify_request;

/**
 * What has changed since a saved dataset was made: its own files, definitions, source files, entity
 * rows, engine.
 *
 * @param request  [borrow]
 * @param spine    [take, nullable] the entity rows, which are not kept; NULL = "unavailable"
 * @param answer   [own] JSON: {"dataset", "is_intact": its files are as written,
 *                 "inputs_are_same": a new run would give the same rows, "checked": counts,
 *                 "data_files", "definitions", "source_files": [{..., "status"}] of those that are
 *                 not the same, "entity_rows": {"status"}, "engine": [{"what", "then", "now"}]}
 * @param err      [out, nullable]
 *
 * Cost     reads the dataset's files, and what tfn_store_make_manifest reads of the sources
 * Threads  any
 * Errors   TFN_NOT_FOUND no such dataset . TFN_INVALID it has no manifest . TFN_CANCELLED .
 *          TFN_IO . TFN_NO_MEMORY
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_verify_dataset(tfn_store *store,
                                                        const tfn_verify_request *request,
                                                        struct ArrowArrayStream *spine,
                                                        char **answer, tfn_error *err);

/**
 * Sizes and checksums of the rows of a dataset: the "files" of a manifest's "data".
 *
 * @param path    [borrow] absolute: a file (called "" in the answer), or a folder of Parquet files
 * @param answer  [own] JSON: [{"bytes", "checksum", "path"}, ...]
 * @param err     [out, nullable]
 *
 * Threads  any
 * Errors   TFN_IO . TFN_NO_MEMORY
 */
TFN_API TFN_NODISCARD tfn_code tfn_dataset_describe_files(const char *path, char **answer,
                                                          tfn_error *err);

/**
 * Hash of a table: names, types and values, whatever its batches (docs/formats/saved-dataset.md).
 *
 * @param table  [take]
 * @param hash   [own] 32 hex digits; ends with tfn_text_destroy
 * @param err    [out, nullable]
 *
 * Threads  any
 * Errors   TFN_UNSUPPORTED a column that cannot be hashed . TFN_INVALID . TFN_IO . TFN_NO_MEMORY
 */
TFN_API TFN_NODISCARD tfn_code tfn_dataset_hash_table(struct ArrowArrayStream *table, char **hash,
                                                      tfn_error *err);

/**
 * The checksum of Tiffin's own files: XXH3, 64 bits, seed 0.
 *
 * @param bytes  [borrow]
 * @return [copy] the checksum
 *
 * Threads  any
 * Errors   none
 */
TFN_API uint64_t tfn_bytes_checksum(const void *bytes, size_t n_bytes);

#ifdef __cplusplus
}
#endif

#endif
