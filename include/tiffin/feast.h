/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TIFFIN_FEAST_H
#define TIFFIN_FEAST_H

/**
 * Registry files of Feast: one protobuf message that holds many projects. What becomes of each
 * member: docs/formats/feast-registry.md.
 *
 * A store whose registry is such a file needs none of this: what the file says is taken over as it
 * changes.
 */

#include <stddef.h>

#include "tiffin/store.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The projects of a registry file of Feast: JSON ["a", "b"], in byte order.
 *
 * @param bytes    [borrow] the file
 * @param n_bytes  its size
 * @param answer   [own] JSON
 * @param err      [out, nullable]
 *
 * Threads  any
 * Errors   TFN_CORRUPT no such file . TFN_LIMIT . TFN_NO_MEMORY
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_list_feast_projects(tfn_store *store, const void *bytes,
                                                             size_t n_bytes, char **answer,
                                                             tfn_error *err);

/**
 * What tfn_store_import_feast would change, and what it would refuse. Changes nothing.
 *
 * @param bytes    [borrow] the file
 * @param n_bytes  its size
 * @param project  [borrow, nullable = the store's] one of the file's
 * @param answer   [own] as tfn_store_plan's
 * @param err      [out, nullable]
 *
 * Threads  any
 * Errors   TFN_CORRUPT no such file . TFN_NOT_FOUND no such project in it . TFN_LIMIT . TFN_IO
 *          TFN_NO_MEMORY
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_plan_feast(tfn_store *store, const void *bytes,
                                                    size_t n_bytes, const char *project,
                                                    char **answer, tfn_error *err);

/**
 * Make a project of the registry what a registry file of Feast says of it, as one commit
 * (docs/formats/feast-registry.md). The file is kept, so that nothing of it is lost.
 *
 * @param bytes    [borrow] the file
 * @param n_bytes  its size
 * @param project  [borrow, nullable = the store's] one of the file's; it has this name here, too
 * @param answer   [own] as tfn_store_apply's
 * @param err      [out, nullable]
 *
 * Threads  any
 * Errors   as tfn_store_plan_feast and tfn_store_apply . TFN_UNSUPPORTED the store's registry is
 *          Feast's own
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_import_feast(tfn_store *store, const void *bytes,
                                                      size_t n_bytes, const char *project,
                                                      char **answer, tfn_error *err);

/* What tfn_store_export_feast takes. All-zero but for struct_size: as fields say. */
typedef struct tfn_feast_export {
    size_t struct_size;
    const void *base;      /* registry file of Feast whose other contents stay; NULL: the one that
                              the project was imported from, if it was */
    size_t n_base_bytes;   /* its size */
    const char *functions; /* JSON: view -> {"body": base64 of Feast's pickle of its function,
                              "source": its text} or {"missing": why there is none}; NULL: none */
    unsigned char random[32]; /* for the ids of the file and of a project that is new in it */
} tfn_feast_export;

/**
 * A registry file of Feast that says what the newest state says of the store's project
 * (docs/formats/feast-registry.md). Nothing is written to any file.
 *
 * @param options  [borrow]
 * @param bytes    [own] the file; ends with tfn_text_destroy
 * @param n_bytes  [out] its size
 * @param err      [out, nullable]
 *
 * Threads  any
 * Errors   TFN_CORRUPT the base is no such file . TFN_UNSUPPORTED names what Feast cannot express,
 *          or a view whose function is in neither place . TFN_LIMIT . TFN_IO . TFN_NO_MEMORY
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_export_feast(tfn_store *store,
                                                      const tfn_feast_export *options, char **bytes,
                                                      size_t *n_bytes, tfn_error *err);

#ifdef __cplusplus
}
#endif

#endif
