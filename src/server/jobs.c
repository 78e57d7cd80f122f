/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * A ring of items under one mutex, and threads that wait for it. The ring is made once, so adding
 * allocates nothing. Items leave in the order in which they came.
 *
 * Invariant: each item that was taken is run once, by a thread or by tfn_jobs_stop.
 */

#include "server/jobs.h"

#include <pthread.h>

#include "base/mem.h"

#include "base/poison.h"

typedef struct worker {
    tfn_jobs *jobs;
    tfn_context *context;
    pthread_t thread;
} worker;

struct tfn_jobs {
    tfn_job_runner *run;
    void *owner;
    worker *workers;
    size_t n_workers; /* that were started */
    pthread_mutex_t lock;
    pthread_cond_t more;
    void **ring; /* under the lock, as all that follows */
    size_t capacity;
    size_t i_first;
    size_t n_waiting;
    bool is_stopping;
};

/* The next item; waits for one. NULL: none will come. */
static void *take(tfn_jobs *jobs)
{
    void *item = NULL;
    pthread_mutex_lock(&jobs->lock);
    while (jobs->n_waiting == 0 && !jobs->is_stopping) {
        pthread_cond_wait(&jobs->more, &jobs->lock);
    }
    if (!jobs->is_stopping) {
        item = jobs->ring[jobs->i_first];
        jobs->i_first = (jobs->i_first + 1) % jobs->capacity;
        jobs->n_waiting--;
    }
    pthread_mutex_unlock(&jobs->lock);
    return item;
}

static void *work(void *arg)
{
    const worker *w = arg;
    for (;;) {
        void *item = take(w->jobs);
        if (item == NULL) {
            return NULL;
        }
        w->jobs->run(w->jobs->owner, w->context, item);
    }
}

static tfn_code start_workers(tfn_jobs *jobs, tfn_context *contexts, size_t n, tfn_error *err)
{
    for (size_t i = 0; i < n; i++) {
        worker *w = &jobs->workers[i];
        *w = (worker){.jobs = jobs, .context = &contexts[i]};
        const int problem = pthread_create(&w->thread, NULL, work, w);
        if (problem != 0) {
            return TFN_FAIL_SYS(err, problem,
                                "cannot start thread %zu of %zu for requests that block "
                                "(--jobs)",
                                i + 1, n);
        }
        jobs->n_workers++;
    }
    return TFN_OK;
}

tfn_code tfn_jobs_create(tfn_context *contexts, size_t n_contexts, size_t max_waiting,
                         tfn_job_runner *run, void *owner, tfn_jobs **out, tfn_error *err)
{
    *out = NULL;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_jobs), &p, err));
    tfn_jobs *jobs = p;
    jobs->run = run;
    jobs->owner = owner;
    jobs->capacity = max_waiting;
    pthread_mutex_init(&jobs->lock, NULL);
    pthread_cond_init(&jobs->more, NULL);
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(
        rc, tfn_mem_alloc_array(max_waiting, sizeof *jobs->ring, (void **)&jobs->ring, err), done);
    TFN_GOTO_IF_ERROR(
        rc, tfn_mem_alloc_array(n_contexts, sizeof *jobs->workers, (void **)&jobs->workers, err),
        done);
    TFN_GOTO_IF_ERROR(rc, start_workers(jobs, contexts, n_contexts, err), done);
    *out = jobs;
    jobs = NULL;
done:
    tfn_jobs_destroy(jobs);
    return rc;
}

bool tfn_jobs_try_add(tfn_jobs *jobs, void *item)
{
    pthread_mutex_lock(&jobs->lock);
    const bool is_taken = !jobs->is_stopping && jobs->n_waiting < jobs->capacity;
    if (is_taken) {
        jobs->ring[(jobs->i_first + jobs->n_waiting) % jobs->capacity] = item;
        jobs->n_waiting++;
        pthread_cond_signal(&jobs->more);
    }
    pthread_mutex_unlock(&jobs->lock);
    return is_taken;
}

size_t tfn_jobs_get_waiting(tfn_jobs *jobs)
{
    pthread_mutex_lock(&jobs->lock);
    const size_t n = jobs->n_waiting;
    pthread_mutex_unlock(&jobs->lock);
    return n;
}

void tfn_jobs_stop(tfn_jobs *jobs)
{
    if (jobs == NULL) {
        return;
    }
    pthread_mutex_lock(&jobs->lock);
    jobs->is_stopping = true;
    pthread_cond_broadcast(&jobs->more);
    pthread_mutex_unlock(&jobs->lock);
    for (size_t i = 0; i < jobs->n_workers; i++) {
        pthread_join(jobs->workers[i].thread, NULL);
    }
    jobs->n_workers = 0;
    pthread_mutex_lock(&jobs->lock);
    const size_t n_left = jobs->n_waiting;
    jobs->n_waiting = 0;
    pthread_mutex_unlock(&jobs->lock);
    for (size_t i = 0; i < n_left; i++) { /* nobody writes to the ring any more */
        jobs->run(jobs->owner, NULL, jobs->ring[(jobs->i_first + i) % jobs->capacity]);
    }
}

void tfn_jobs_destroy(tfn_jobs *jobs)
{
    if (jobs == NULL) {
        return;
    }
    tfn_jobs_stop(jobs);
    pthread_cond_destroy(&jobs->more);
    pthread_mutex_destroy(&jobs->lock);
    tfn_mem_free(jobs->ring);
    tfn_mem_free(jobs->workers);
    tfn_mem_free(jobs);
}
