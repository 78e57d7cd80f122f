/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TIFFIN_JOIN_H
#define TIFFIN_JOIN_H

/**
 * The kernels of the engine over Arrow streams, without a store: the point-in-time join, and the
 * newest row of every key. What a store does with files, these do with whatever produces Arrow.
 *
 * Streams that go in stay the caller's: they are read to their end, and the caller releases them.
 */

#include <stddef.h>
#include <stdint.h>

#include "tiffin/arrow.h"
#include "tiffin/error.h"
#include "tiffin/progress.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tfn_offline_flag {
    TFN_OFFLINE_FILTER_BY_CREATED = 1, /* join: only rows created by the entity row's time */
    TFN_OFFLINE_KNOWN_AT = 2,          /* only rows created by known_at_us */
    TFN_OFFLINE_START = 4,             /* latest: only event times from start_us on */
    TFN_OFFLINE_END = 8                /* latest: only event times up to end_us */
} tfn_offline_flag;

/**
 * What is read of a source, and by which rule. Zeroed = defaults; set struct_size and `time`. All
 * pointers are borrowed for the call.
 */
typedef struct tfn_offline_spec {
    size_t struct_size;      /* sizeof(tfn_offline_spec) */
    const char *const *keys; /* n_keys join-key columns of the source; NULL = one, empty key */
    size_t n_keys;
    const char *time;    /* event time column of the source: timestamp of any unit, or date */
    const char *created; /* created time column; NULL = none */
    const char *const *features; /* n_features columns; NULL = all others, in their order */
    size_t n_features;
    int64_t ttl_us;      /* join: greatest age of a row at the entity row's time; 0 = unbounded */
    uint32_t flags;      /* tfn_offline_flag, or'ed */
    int32_t n_threads;   /* 0 = one per core; the answer does not depend on it */
    int64_t known_at_us; /* times: microseconds since 1970-01-01T00:00:00Z */
    int64_t start_us;    /* inclusive */
    int64_t end_us;      /* inclusive */
    const char *const
        *spine_keys;        /* join: the n_keys columns of the spine; NULL = named as `keys` */
    const char *spine_time; /* join: its time column; NULL = named as `time` */
    const char *prefix;     /* join: put before each feature's name; NULL = nothing */
    tfn_tick_fn tick;       /* progress and cancelling; NULL = none */
    void *tick_context;
} tfn_offline_spec;

/**
 * Attach to every spine row the newest source row that it may see.
 *
 * @param spine   [borrow] stream of n rows: all keys and one time column without nulls; read to its
 *                end
 * @param source  [borrow] stream of m rows, in any order; read to its end, batch by batch
 * @param spec    [borrow]
 * @param out     [own] on TFN_OK: a stream of n rows in spine order; the caller runs out->release.
 * It may outlive both inputs. On error: out->release == NULL
 * @param err     [out, nullable]
 *
 * Shape    spine (n x c columns), source (m x (keys + times + f features)) -> n x (c + f)
 * Units    times of any units are compared as exact instants; feature columns keep their own
 * Nulls    null key, no candidate, or candidate older than ttl -> null in all f columns
 * Ties     event time, then created time (missing: lowest), then position in the stream
 * Cost     O(n + m log g) time, g = spine rows per key; O(n) memory, whatever m is
 * Threads  any; same output for every n_threads
 * Errors   TFN_INVALID null spine time; a bad spec; two output columns of one name
 *          TFN_SCHEMA column missing or mistyped . TFN_IO a producer's error . TFN_CANCELLED
 *          TFN_LIMIT 2^32 - 1 spine rows or more . TFN_NO_MEMORY
 * Source   docs/semantics/point-in-time.md
 * Model    tests/model/model_join.c
 */
TFN_API TFN_NODISCARD tfn_code tfn_offline_join(struct ArrowArrayStream *spine,
                                                struct ArrowArrayStream *source,
                                                const tfn_offline_spec *spec,
                                                struct ArrowArrayStream *out, tfn_error *err);

/**
 * The newest row of every key.
 *
 * @param source  [borrow] stream of m rows, in any order; read to its end, batch by batch
 * @param spec    [borrow] ttl_us, spine_*, prefix and TFN_OFFLINE_FILTER_BY_CREATED must be unset
 * @param out     [own] on TFN_OK: a stream of one row per key that has a row between start and end;
 *                the caller runs out->release. On error: out->release == NULL
 * @param err     [out, nullable]
 *
 * Shape    -> k x (keys + event time + created time, if there is one + f features), by key
 * Units    times and features as in the source (dates as event times: microseconds)
 * Nulls    rows with a null in a key or in the event time take no part
 * Ties     event time, then created time (missing: lowest), then position in the stream
 * Cost     O(m + k log k) time; O(k) memory
 * Threads  any; same output for every n_threads
 * Errors   as tfn_offline_join
 * Source   docs/semantics/point-in-time.md, "The newest row of a key"
 * Model    tests/model/model_latest.c
 */
TFN_API TFN_NODISCARD tfn_code tfn_offline_latest(struct ArrowArrayStream *source,
                                                  const tfn_offline_spec *spec,
                                                  struct ArrowArrayStream *out, tfn_error *err);

#ifdef __cplusplus
}
#endif

#endif
