/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_BASE_PARALLEL_H
#define TFN_BASE_PARALLEL_H

/* Jobs over threads: for steps that work in memory, where no reader's threads are at hand. */

#include <stdint.h>

#include "base/error.h"

/** Threads that `wanted` stands for: 0 = as many as there are cores; at most 256. */
int tfn_parallel_get_n_threads(int wanted);

/* One job. Jobs run at the same time, in any order: what they share is read only. */
typedef tfn_code (*tfn_job_fn)(void *context, int64_t i_job, tfn_error *err);

/**
 * Run job(context, 0 .. n_jobs - 1, err), each once, on up to n_threads threads, the caller's being one
 * of them; return when all have ended. What jobs wrote is visible to the caller.
 *
 * @param n_threads  as tfn_parallel_get_n_threads; 1 runs them in order. A system that gives fewer
 *                   threads is no error
 *
 * Cost     a thread is made and joined for each but the caller's: some 50 us
 * Threads  any
 * Errors   of the failed jobs, the one with the least number; jobs that have not begun by then do
 *          not run
 */
TFN_NODISCARD tfn_code tfn_parallel_run(int n_threads, int64_t n_jobs, tfn_job_fn job,
                                        void *context, tfn_error *err);

/* Items begin .. end - 1 of n that job i_job of n_jobs takes: neighbours, parts of equal size. */
typedef struct tfn_part {
    int64_t begin;
    int64_t end;
} tfn_part;

static inline tfn_part tfn_part_of(int64_t n, int64_t i_job, int64_t n_jobs)
{
    const int64_t size = n / n_jobs;
    const int64_t n_larger = n % n_jobs; /* the first parts have one more */
    const int64_t begin = i_job * size + (i_job < n_larger ? i_job : n_larger);
    return (tfn_part){begin, begin + size + (i_job < n_larger ? 1 : 0)};
}

#endif
