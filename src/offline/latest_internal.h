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
    char **segments; /* TFN__SEGMENT_ROWS records each, in the run's slabs */
    size_t n_segments;
    size_t segment_capacity;
    tfn__writer writer;
} tfn__shard;

/* Memory for segments: of many rows large blocks, so that the system may back them with large pages.
 * Rows find their records at random; most of what that costs on small pages is looking up where they
 * are. */
typedef struct tfn__slabs {
    pthread_mutex_t lock; /* taken under a shard's, for a moment; nothing under it */
    char **blocks;
    size_t n_blocks;
    size_t capacity;
    size_t n_last; /* bytes of the last block */
    size_t n_used; /* of them */
} tfn__slabs;

typedef struct tfn__latest_worker {
    tfn__block block;
    uint32_t ordered[TFN__BLOCK_ROWS]; /* rows by shard */
    uint32_t likely[TFN__BLOCK_ROWS];  /* of the shard at hand: entry that a row probably has + 1 */
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
    tfn__slabs slabs;
    bool has_slabs;
    size_t stride; /* bytes of a rank and a record, one behind the other */
} tfn__latest_run;

/* The rank of the best row of an entry so far; its record is behind it. */
static inline tfn__rank *tfn__latest_get_rank(const tfn__latest_run *r, const tfn__shard *s,
                                              uint32_t entry)
{
    return (tfn__rank *)(void *)(s->segments[entry / TFN__SEGMENT_ROWS] +
                                 (size_t)(entry % TFN__SEGMENT_ROWS) * r->stride);
}

static inline char *tfn__latest_get_record(const tfn__latest_run *r, const tfn__shard *s,
                                           uint32_t entry)
{
    return (char *)(tfn__latest_get_rank(r, s, entry) + 1);
}

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
