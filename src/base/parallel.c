/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Jobs over threads.
 *
 *   next job: 0 1 2 3 ...  <- every thread takes the next number until none is left
 *
 * Threads live as long as the call. A pool would save their start, which is nothing against steps of
 * milliseconds, but would be state that outlives a call and does not survive a fork.
 *
 * Invariants
 *  1. A job number is given out once.
 *  2. After an error no job begins; the error kept is that of the least job number, so that it does
 *     not depend on which thread was faster (jobs of lesser numbers began before, and end).
 *
 * Rejected: a queue per thread with stealing (jobs are few and of equal size).
 */

#include "base/parallel.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/poison.h"

enum { MAX_THREADS = 256 };

typedef struct team {
    tfn_job_fn job;
    void *context;
    int64_t n_jobs;
    _Atomic int64_t next;
    _Atomic bool is_stopping;
    pthread_mutex_t mutex; /* guards what follows; taken alone */
    int64_t i_failed;      /* n_jobs: none */
    tfn_error error;
} team;

int tfn_parallel_get_n_threads(int wanted)
{
    const long n = wanted > 0 ? wanted : sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : (int)n;
}

static void note_failure(team *t, int64_t i_job, tfn_code rc, const tfn_error *error)
{
    pthread_mutex_lock(&t->mutex);
    if (i_job < t->i_failed) {
        t->i_failed = i_job;
        t->error = *error;
        t->error.code = rc;
    }
    pthread_mutex_unlock(&t->mutex);
    atomic_store_explicit(&t->is_stopping, true, memory_order_relaxed);
}

static void *work(void *argument)
{
    team *t = argument;
    while (!atomic_load_explicit(&t->is_stopping, memory_order_relaxed)) {
        const int64_t i_job = atomic_fetch_add_explicit(&t->next, 1, memory_order_relaxed);
        if (i_job >= t->n_jobs) {
            break;
        }
        tfn_error error = {0};
        const tfn_code rc = t->job(t->context, i_job, &error);
        if (rc != TFN_OK) {
            note_failure(t, i_job, rc, &error);
        }
    }
    return NULL;
}

tfn_code tfn_parallel_run(int n_threads, int64_t n_jobs, tfn_job_fn job, void *context,
                          tfn_error *err)
{
    team t = {.job = job, .context = context, .n_jobs = n_jobs, .i_failed = n_jobs};
    pthread_t threads[MAX_THREADS];
    const int n_useful = tfn_parallel_get_n_threads(n_threads);
    pthread_mutex_init(&t.mutex, NULL);
    int n_started = 0;
    while (n_started + 1 < n_useful && n_started + 1 < n_jobs &&
           pthread_create(&threads[n_started], NULL, work, &t) == 0) {
        n_started++;
    }
    (void)work(&t);
    for (int i = 0; i < n_started; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    pthread_mutex_destroy(&t.mutex);
    return t.i_failed < n_jobs ? tfn_error_move(err, &t.error) : TFN_OK;
}
