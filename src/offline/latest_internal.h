/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_OFFLINE_LATEST_INTERNAL_H
#define TFN_OFFLINE_LATEST_INTERNAL_H

/* Latest-per-key while it runs (latest.c), and its result (latest_result.c). */

#include <pthread.h>

#include "offline/block.h"
#include "offline/keytable.h"
#include "offline/slots.h"
#include "offline/values.h"

#define TFN__SHARDS_LOG2 6

enum { TFN__SHARDS = 1 << TFN__SHARDS_LOG2, TFN__SEGMENT_ROWS = 256 };

/* Keys whose hashes begin with the same bits. */
typedef struct tfn__shard {
    pthread_mutex_t lock;
    tfn__keytable keys;
    tfn__rank *best; /* per entry */
    size_t best_capacity;
    char **segments; /* records, TFN__SEGMENT_ROWS each */
    size_t n_segments;
    size_t segment_capacity;
    tfn__writer writer;
} tfn__shard;

typedef struct tfn__latest_worker {
    tfn__block block;
    uint32_t ordered[TFN__BLOCK_ROWS]; /* rows by shard */
    tfn__way *ways;                    /* per feature */
    int64_t n_outside;
    int64_t n_not_asked;
    int64_t n_eligible;
    int64_t n_late;
} tfn__latest_worker;

typedef struct tfn__latest_run {
    tfn_source *source;
    tfn_offline_opts opts;
    tfn_latest_window window;
    bool has_created_window;
    tfn__bounds event_window;   /* [start, end] */
    tfn__bounds event_until;    /* <= end */
    tfn__bounds created_until;  /* <= created_until */
    tfn__bounds created_before; /* <= created_after: not late */
    tfn__columns columns;
    tfn_key_plan keys;
    tfn__record_plan plan;
    tfn__block_rule rule;
    tfn__latest_worker *workers;
    int n_workers;
    tfn__shard *shards;
    size_t n_shards;
} tfn__latest_run;

/**
 * After the scan: sort the keys and gather everything.
 *
 * @param out  [own] ends with tfn_latest_destroy
 *
 * Errors   TFN_SCHEMA a value does not fit . TFN_LIMIT . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__latest_collect(const tfn__latest_run *r, tfn_latest **out,
                                           tfn_latest_stats *stats, tfn_error *err);

#endif
