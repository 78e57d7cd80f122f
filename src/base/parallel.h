/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_BASE_PARALLEL_H
#define TFN_BASE_PARALLEL_H

/*
 * Jobs over threads: for steps that work in memory, where no reader's threads are at hand. Every such
 * step can be stopped: whoever works calls tfn_crew_check every few thousand rows.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "tiffin/progress.h"

/** Threads that `wanted` stands for: 0 = as many as there are cores; at most 256. */
int tfn_parallel_get_n_threads(int wanted);

/* Who works on a call: its threads, and the tick of its caller, which may stop them all. Lives as long
 * as the call; after a stop every check fails. */
typedef struct tfn_crew {
    int n_threads;    /* as tfn_parallel_get_n_threads */
    tfn_tick_fn tick; /* [NULL allowed] called on the caller's thread only */
    void *tick_context;
    const char *what;  /* [borrow] what is being done, e.g. "indexing entity rows" */
    double interval_s; /* between two ticks; 0: every check ticks */
    pthread_t caller;
    double due_s;
    int64_t n_done; /* as its caller's thread last said; kept by that thread */
    int64_t n_total;
    _Atomic bool is_stopped;
} tfn_crew;

/** A crew of the calling thread; it ticks every 20 ms at most. */
void tfn_crew_init(tfn_crew *crew, int n_threads, tfn_tick_fn tick, void *tick_context,
                   const char *what);

/**
 * Go on? Ticks where a tick is due and this is the caller's thread.
 *
 * @param n_done   for the tick: so far, not negative
 * @param n_total  for the tick; -1 = unknown
 *
 * Cost     a look at the clock: some 30 ns
 * Threads  those of the crew, at the same time
 * Errors   TFN_CANCELLED the tick asked to stop
 */
TFN_NODISCARD tfn_code tfn_crew_check(tfn_crew *crew, int64_t n_done, int64_t n_total,
                                      tfn_error *err);

/* One job. Jobs run at the same time, in any order: what they share is read only. */
typedef tfn_code (*tfn_job_fn)(void *context, int64_t i_job, tfn_error *err);

/**
 * Run job(context, 0 .. n_jobs - 1, err), each once, on up to crew->n_threads threads, the caller's
 * being one of them; return when all have ended. What jobs wrote is visible to the caller.
 *
 * @param crew  of this thread; of one thread: jobs run in order. A system that gives fewer threads is
 *              no error. The caller's thread ticks also while it waits for the others
 *
 * Cost     a thread is made and joined for each but the caller's: some 50 us
 * Threads  any
 * Errors   of the failed jobs, the one with the least number; jobs that have not begun by then do
 *          not run . TFN_CANCELLED the tick asked to stop
 */
TFN_NODISCARD tfn_code tfn_parallel_run(tfn_crew *crew, int64_t n_jobs, tfn_job_fn job,
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
