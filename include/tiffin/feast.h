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

#ifdef __cplusplus
}
#endif

#endif
