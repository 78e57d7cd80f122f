/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_REGISTRY_SNAPSHOT_H
#define TFN_REGISTRY_SNAPSHOT_H

/*
 * One state of one project: immutable, reference counted, shared by threads. Documents are decoded
 * when first asked for and stay decoded until the last reference goes.
 */

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "registry/definition.h"

typedef struct tfn_snapshot tfn_snapshot;

/** One more owner. Returns its argument. Threads any. Errors none. */
tfn_snapshot *tfn_snapshot_retain(tfn_snapshot *snapshot);

/** One owner less; the last one frees it. NULL is fine. Threads any. Errors none. */
void tfn_snapshot_release(tfn_snapshot *snapshot);

/** Number of the commit that made this state (0 = nothing was applied yet). Threads any. */
int64_t tfn_snapshot_get_commit(const tfn_snapshot *snapshot);

/**
 * A number that no other state loaded through the same registry handle has: compare it to know
 * whether something compiled from an earlier snapshot still holds. Threads any. Errors none.
 */
uint64_t tfn_snapshot_get_generation(const tfn_snapshot *snapshot);

/** [borrow until released] Threads any. Errors none. */
tfn_str tfn_snapshot_get_project(const tfn_snapshot *snapshot);

/**
 * Find one definition by its exact name.
 *
 * @param name  [borrow]
 * @param out   [borrow until the snapshot is released]
 *
 * Cost     the first call for an object decodes it (some microseconds); later ones about 50 ns
 * Threads  any
 * Errors   TFN_NOT_FOUND names the project and the nearest names that exist
 *          TFN_CORRUPT a stored document does not decode . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_snapshot_find_project(tfn_snapshot *snapshot,
                                                 const tfn_project_def **out, tfn_error *err);
TFN_NODISCARD tfn_code tfn_snapshot_find_entity(tfn_snapshot *snapshot, tfn_str name,
                                                const tfn_entity_def **out, tfn_error *err);
TFN_NODISCARD tfn_code tfn_snapshot_find_source(tfn_snapshot *snapshot, tfn_str name,
                                                const tfn_source_def **out, tfn_error *err);
TFN_NODISCARD tfn_code tfn_snapshot_find_view(tfn_snapshot *snapshot, tfn_str name,
                                              const tfn_view_def **out, tfn_error *err);
/** A view of either kind: it is put into one of the two outputs, and the other is NULL. */
TFN_NODISCARD tfn_code tfn_snapshot_find_any_view(tfn_snapshot *snapshot, tfn_str name,
                                                  const tfn_view_def **view,
                                                  const tfn_on_demand_def **on_demand,
                                                  tfn_error *err);
TFN_NODISCARD tfn_code tfn_snapshot_find_service(tfn_snapshot *snapshot, tfn_str name,
                                                 const tfn_service_def **out, tfn_error *err);
TFN_NODISCARD tfn_code tfn_snapshot_find_saved_dataset(tfn_snapshot *snapshot, tfn_str name,
                                                       const tfn_saved_dataset_def **out,
                                                       tfn_error *err);

/** How many objects of a kind there are. Threads any. Errors none. */
size_t tfn_snapshot_count(const tfn_snapshot *snapshot, tfn_object_kind kind);

/**
 * Name of the i-th object of a kind, in byte order of the names; i < tfn_snapshot_count.
 *
 * @return [borrow until the snapshot is released]
 *
 * Threads  any
 * Errors   none
 */
tfn_str tfn_snapshot_get_name(const tfn_snapshot *snapshot, tfn_object_kind kind, size_t i);

/**
 * The canonical document, as its hash was taken.
 *
 * @param out  [borrow until the snapshot is released]
 *
 * Threads  any
 * Errors   TFN_NOT_FOUND as tfn_snapshot_find_view
 */
TFN_NODISCARD tfn_code tfn_snapshot_get_document(tfn_snapshot *snapshot, tfn_object_kind kind,
                                                 tfn_str name, tfn_str *out, tfn_error *err);

/**
 * As tfn_snapshot_get_document, with the read-only members "created_timestamp",
 * "last_updated_timestamp" (ISO 8601) and "hash" (32 hex digits) added at the end.
 *
 * @param out  [out] one JSON object is appended
 *
 * Threads  any (one at a time per buffer)
 * Errors   TFN_NOT_FOUND . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_snapshot_describe(tfn_snapshot *snapshot, tfn_object_kind kind,
                                             tfn_str name, tfn_buf *out, tfn_error *err);

/**
 * All objects of a kind as a JSON array of what tfn_snapshot_describe gives, in byte order of
 * names.
 *
 * @param tags  [borrow] JSON object of texts; only objects that have every pair come. Empty = all
 * @param out   [out] the array is appended
 *
 * Threads  any (one at a time per buffer)
 * Errors   TFN_INVALID `tags` is not an object of texts . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_snapshot_list(tfn_snapshot *snapshot, tfn_object_kind kind, tfn_str tags,
                                         tfn_buf *out, tfn_error *err);

#endif
