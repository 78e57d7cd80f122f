/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_METRICS_H
#define TFN_SERVER_METRICS_H

/*
 * What /metrics says, in Prometheus' text form. Every context counts into a block of its own, with
 * relaxed stores that nobody else writes: counting costs nanoseconds and takes no lock. A scrape
 * adds the blocks up.
 */

#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "server/exchange.h"

/** @param n_contexts  how many blocks. Errors TFN_NO_MEMORY. [own] ends with tfn_metrics_destroy */
TFN_NODISCARD tfn_code tfn_metrics_create(size_t n_contexts, tfn_metrics **out, tfn_error *err);
void tfn_metrics_destroy(tfn_metrics *metrics);
/** Block i, of context i. Threads any. Errors none. */
tfn_counters *tfn_metrics_get_counters(tfn_metrics *metrics, size_t i);

/* ---- counting: threads one at a time per block; errors none ---- */

/** A request was answered. i_route < 0: no route. */
void tfn_counters_add_request(tfn_counters *counters, int32_t i_route, int32_t status,
                              int64_t took_ns, uint32_t n_rows);
/** n values of a view got a status (tfn_status); newest_us: newest event time among their rows, or
 * INT64_MIN. Views beyond the first 256 are counted as "other". */
void tfn_counters_add_values(tfn_counters *counters, tfn_str view, int32_t status, uint64_t n,
                             int64_t newest_us);
/** Rows of a view were written: online now, or older than what is (newest_us as above). */
void tfn_counters_add_written(tfn_counters *counters, tfn_str view, uint64_t n_rows,
                              int64_t newest_us);
/** The store failed with this code. */
void tfn_counters_add_store_error(tfn_counters *counters, tfn_code code);

/* ---- of the whole server: any thread ---- */

void tfn_metrics_connection(tfn_metrics *metrics, int32_t change); /* +1, -1 */
typedef enum tfn_refusal {
    TFN_REFUSED_CONNECTIONS,
    TFN_REFUSED_JOBS,
    TFN_REFUSED_RATE,
    TFN_REFUSED_KEY,
    TFN_REFUSED_LIMIT,
    TFN_N_REFUSALS
} tfn_refusal;
void tfn_metrics_refused(tfn_metrics *metrics, tfn_refusal why);

/**
 * Write everything, this process's memory and open file handles included, and the age of the newest
 * event of each view: of what was served or written here and what its watermark says.
 *
 * Threads  any
 * Errors   as tfn_buf_add . as tfn_store_status
 */
TFN_NODISCARD tfn_code tfn_metrics_write(tfn_metrics *metrics, const tfn_shared *shared,
                                         tfn_buf *out, tfn_error *err);

/** GET /metrics. */
tfn_handler tfn_handle_metrics;

#endif
