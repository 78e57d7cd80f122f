/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_FEATURE_LOG_H
#define TFN_SERVER_FEATURE_LOG_H

/*
 * What was served, kept for training: keys, values, statuses and event times of answers to feature
 * services that ask for it (FeatureService.logging_config). The request path samples, writes one record
 * into a bounded queue and goes on; a thread appends to segments (docs/formats/feature-log.md).
 * `tiffin logs flush` makes Parquet of finished segments. What does not fit in the queue is dropped and counted.
 */

#include "server/exchange.h"

/** What a service wants logged; part of a cached lookup (lookups.h). Zeroed: nothing. */
typedef struct tfn_log_wish {
    double sample_rate;  /* 0 .. 1 */
    const char *service; /* name */
    char hash[33];       /* of the service's definition, hex */
} tfn_log_wish;

TFN_NODISCARD tfn_code tfn_feature_log_create(const char *folder, int64_t queue_bytes,
                                              tfn_feature_log **out, tfn_error *err);
/** Writes what waits, and syncs. */
void tfn_feature_log_destroy(tfn_feature_log *log);

/** Read a service's wish from the registry. Errors as tfn_store_get. */
TFN_NODISCARD tfn_code tfn_log_wish_read(tfn_store *store, const char *service, tfn_arena *arena,
                                         tfn_log_wish *out, tfn_error *err);

/**
 * Note an answer, if this one is sampled.
 *
 * @param random  uniform in 0 .. 1
 * @param now_us  since 1970
 *
 * Threads  any
 * Cost     nothing when it is not sampled; else the answer is kept (tfn_answer_retain), and
 *          nothing is copied
 * Errors   none: what cannot be kept is counted
 */
void tfn_feature_log_note(tfn_feature_log *log, const tfn_log_wish *wish, tfn_answer *answer,
                          double random, int64_t now_us);
uint64_t tfn_feature_log_get_dropped(const tfn_feature_log *log);
uint64_t tfn_feature_log_get_written(const tfn_feature_log *log);

#endif
