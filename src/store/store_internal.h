/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_STORE_INTERNAL_H
#define TFN_STORE_INTERNAL_H

/* What the verbs of the store share: its parts, opened when first needed. */

#include <stdatomic.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/time.h"
#include "offline/offline.h"
#include "online/online.h"
#include "registry/registry.h"
#include "source/files.h"
#include "tiffin/store.h"

/*
 * Reference counted: lookups keep their store alive after tfn_store_close. A part is opened by
 * whoever needs it first and published with one compare-and-swap (a second opener closes its own
 * again), so there is no lock that a fork could leave locked.
 */
struct tfn_store {
    _Atomic int32_t n_owners;
    char *project;
    char *registry_path;
    char *base_path;
    char *temp_path;                  /* NULL: the system's */
    int64_t memory_limit_bytes;       /* 0: a quarter of what the process may use */
    _Atomic(tfn_registry *) registry; /* NULL until first needed */
    tfn_online *online;               /* NULL: none is configured */
    tfn_duckdb *duckdb;
    tfn_clock clock;
    int n_threads;
    tfn_online_ttl online_ttl;
    int64_t online_max_ahead_s;
};

tfn_store *tfn__store_retain(tfn_store *store);
void tfn__store_release(tfn_store *store);

static inline tfn_str tfn__store_get_project(const tfn_store *store)
{
    return tfn_str_of(store->project);
}

/** Memory that a call may take if it is given no limit of its own, in bytes: as configured, else a
 * quarter of what the process may use. */
int64_t tfn__store_get_memory_limit(const tfn_store *store);

/** The registry, opened on first use; borrowed until the store is gone. Errors as
 * tfn_registry_open. */
TFN_NODISCARD tfn_code tfn__store_get_registry(tfn_store *store, tfn_registry **out,
                                               tfn_error *err);

/** The newest state of the store's project; [own] ends with tfn_snapshot_release. */
TFN_NODISCARD tfn_code tfn__store_get_snapshot(tfn_store *store, tfn_freshness freshness,
                                               tfn_snapshot **out, tfn_error *err);

/**
 * The online store; borrowed until the store is gone.
 *
 * Errors   TFN_UNSUPPORTED no online store is configured
 */
TFN_NODISCARD tfn_code tfn__store_get_online(const tfn_store *store, tfn_online **out,
                                             tfn_error *err);

/** A view of this store as online stores see it; names and types go to the arena.
 * Errors TFN_NO_MEMORY. */
TFN_NODISCARD tfn_code tfn__store_describe_online_view(const tfn_store *store,
                                                       const tfn_view_def *view, tfn_arena *arena,
                                                       tfn_online_view *out, tfn_error *err);

/** The format of files that a source definition says. Threads any. Errors none. */
tfn_format tfn__store_format_of(tfn_str format);

/**
 * Can the view be run, or only be kept and shown?
 *
 * Threads  any
 * Errors   TFN_UNSUPPORTED says what is missing
 */
TFN_NODISCARD tfn_code tfn__store_check_runs(const tfn_view_def *view, tfn_error *err);

/** Open the files that a source definition names. [own] ends with tfn_source_destroy.
 * Errors TFN_UNSUPPORTED it cannot be read, and what is missing */
TFN_NODISCARD tfn_code tfn__store_open_source(tfn_store *store, const tfn_source_def *source,
                                              tfn_source **out, tfn_error *err);

/**
 * What offline/ wants to know of a view: names of its columns in the source, and types.
 *
 * @param features  [borrow] n_features indices into view->features
 * @param arena     everything in `out` lives there or in the snapshot
 *
 * Errors   TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__store_compile_view(const tfn_view_def *view, const uint32_t *features,
                                               size_t n_features, tfn_arena *arena,
                                               tfn_join_view *out, tfn_error *err);

static inline tfn_instant tfn__instant_of_time(tfn_time t)
{
    return (tfn_instant){t.seconds, t.nanos};
}

#endif
