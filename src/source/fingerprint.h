/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SOURCE_FINGERPRINT_H
#define TFN_SOURCE_FINGERPRINT_H

/*
 * Which files were these? What a saved dataset keeps of the files and objects that it was made from,
 * and compares later. Only objects need DuckDB.
 */

#include "base/arena.h"
#include "base/hash.h"
#include "base/time.h"
#include "source/files.h"
#include "tiffin/progress.h"

/* What a checksum was taken of. Stored as words: never change one. */
typedef enum tfn_checksum_of {
    TFN_CHECKSUM_OF_NOTHING = 0, /* "nothing": only the size is known */
    TFN_CHECKSUM_OF_CONTENT = 1, /* "content": all bytes */
    TFN_CHECKSUM_OF_FOOTER = 2,  /* "footer": of a Parquet file, the footer and what follows it */
    TFN_CHECKSUM_OF_ETAG = 3     /* "etag": of an object, the server's ETag */
} tfn_checksum_of;

typedef struct tfn_fingerprint {
    tfn_str path; /* absolute, or as given when there is no base path; NUL-terminated */
    int64_t n_bytes;
    tfn_instant modified;
    tfn_checksum_of checksum_of;
    tfn_hash128 checksum;
} tfn_fingerprint;

/* A Parquet file above this size is known by its footer: sizes, offsets and statistics of all its
 * pages, but not every value. Text files are always read whole. */
enum { TFN_FINGERPRINT_CONTENT_BYTES = 64 * 1024 * 1024 };

/** Which checksums are wanted. */
typedef enum tfn_fingerprint_depth {
    TFN_FINGERPRINT_NAMES = 0, /* none: names and sizes */
    TFN_FINGERPRINT_USUAL = 1, /* content, or the footer of a large Parquet file */
    TFN_FINGERPRINT_WHOLE = 2  /* content, whatever the size */
} tfn_fingerprint_depth;

typedef struct tfn_fingerprint_opts {
    tfn_fingerprint_depth depth;
    tfn_tick_fn tick; /* [NULL allowed] asked before each block of 1 MiB */
    void *tick_context;
} tfn_fingerprint_opts;

/** The stored word. Threads any. Errors none. */
const char *tfn_checksum_of_name(tfn_checksum_of of);
/** The value of a stored word; NOTHING for all else. */
tfn_checksum_of tfn_checksum_of_parse(tfn_str word);

/**
 * Fingerprint every file that a path stands for (file, folder, glob), byte-sorted. That no file
 * changed meanwhile is checked at the end.
 *
 * @param base_path, path, format  [borrow] as tfn_source_of_files
 * @param arena  what `out` lives in
 * @param out    [out] n_out of them
 *
 * Cost     reads what it hashes
 * Threads  any
 * Errors   as tfn_source_of_files, but those of DuckDB . TFN_UNSUPPORTED a remote path .
 *          TFN_CANCELLED
 */
TFN_NODISCARD tfn_code tfn_files_fingerprint(const char *base_path, tfn_str path, tfn_format format,
                                             const tfn_fingerprint_opts *opts, tfn_arena *arena,
                                             tfn_fingerprint **out, size_t *n_out, tfn_error *err);

/** Is it a path of objects ("s3://...")? Threads any. Errors none. */
bool tfn_path_is_remote(tfn_str path);

/**
 * Fingerprint every object that a remote path stands for, byte-sorted.
 *
 * @param d            [borrow]
 * @param path, format, s3_endpoint  [borrow] as tfn_source_of_objects
 * @param opts         names, or else ETags
 * @param arena        what `out` lives in
 * @param out          [out] n_out of them
 *
 * Cost     one list, and one HEAD request per object
 * Threads  any
 * Errors   as tfn_source_of_objects . TFN_UNSUPPORTED an object whose ETag is not known: names it
 */
TFN_NODISCARD tfn_code tfn_objects_fingerprint(tfn_duckdb *d, tfn_str path, tfn_format format,
                                               tfn_str s3_endpoint,
                                               const tfn_fingerprint_opts *opts, tfn_arena *arena,
                                               tfn_fingerprint **out, size_t *n_out,
                                               tfn_error *err);

/**
 * Fingerprint one file as it was fingerprinted before.
 *
 * @param path  [borrow] kept in `out`
 * @param of    what to take the checksum of; not ETAG
 *
 * Threads  any
 * Errors   TFN_NOT_FOUND there is no such file . TFN_IO cut short, unreadable . TFN_CANCELLED
 */
TFN_NODISCARD tfn_code tfn_file_fingerprint(const char *path, tfn_checksum_of of,
                                            const tfn_fingerprint_opts *opts, tfn_fingerprint *out,
                                            tfn_error *err);

#endif
