/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SOURCE_FILE_LIST_H
#define TFN_SOURCE_FILE_LIST_H

/* The files that a path stands for, and who they were when the list was taken. */

#include "base/arena.h"
#include "base/hash.h"
#include "base/str.h"
#include "source/files.h"

/* Size, time and place of a file, or ETag of an object: a change of any means that it is another
 * one now. */
typedef struct tfn__identity {
    int64_t size;
    int64_t mtime_ns;
    uint64_t device;
    uint64_t inode;
    tfn_hash128 etag; /* objects: hash of the ETag, if it is known */
    bool has_etag;
} tfn__identity;

typedef struct tfn__file {
    tfn_str path; /* absolute, or "s3://bucket/key"; NUL-terminated */
    tfn__identity identity;
} tfn__file;

typedef struct tfn__file_list {
    tfn_arena arena;
    tfn__file *files; /* byte-sorted by path */
    size_t n_files;
    size_t capacity;
    tfn_format format;   /* never AUTO on return */
    size_t root_bytes;   /* of each path, the part above which names are not looked at */
    tfn_str *hive_names; /* keys of the folders `key=value` below the root, in order */
    size_t n_hive;
    int64_t n_bytes;
    bool is_remote; /* objects: remote_list.c made it */
} tfn__file_list;

/**
 * List a local file, folder or glob (see tfn_source_of_files; remote.h has the same for objects). Parquet files are checked for their magic
 * bytes, so that what is wrong with them is said in our words.
 *
 * @param list  [out] zeroed before; ends with tfn__file_list_deinit, also after an error
 *
 * Errors   TFN_IO . TFN_INVALID . TFN_LIMIT . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__file_list_init(tfn__file_list *list, const char *base_path,
                                           tfn_str path, tfn_format format, tfn_error *err);
void tfn__file_list_deinit(tfn__file_list *list);

/** Steps that lists of files and of objects share: byte order, without duplicates; the one format of
 * what was found (`n_found` by format); the keys of Hive folders. */
void tfn__file_list_sort(tfn__file_list *list);
TFN_NODISCARD tfn_code tfn__file_list_settle(tfn__file_list *list, const size_t *n_found,
                                             const char *path, bool is_glob, tfn_error *err);
TFN_NODISCARD tfn_code tfn__file_list_find_hive(tfn__file_list *list, tfn_error *err);

/** "parquet", "csv" or "json". */
const char *tfn__format_get_name(tfn_format format);

/** The format that a name's extension stands for; AUTO when it stands for none. */
tfn_format tfn__format_of_name(tfn_str name);

/** Errors TFN_IO a file changed since the list was taken: names it. */
TFN_NODISCARD tfn_code tfn__file_list_check(const tfn__file_list *list, tfn_error *err);

#endif
