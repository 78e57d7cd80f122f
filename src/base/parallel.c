/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Jobs over threads.
 *
 *   next job: 0 1 2 3 ...  <- every thread takes the next number until none is left
 *
 * Threads live as long as the call. A pool would save their start, which is nothing against steps of
 * milliseconds, but would be state that outlives a call and does not survive a fork.
 *
 * A tick may be called on the caller's thread only, and every thread has to end when it says so:
 * tfn_crew_check, which all of them call, ticks on the one and looks at a flag on the others. The
 * caller's thread has no more jobs while the last ones end; it then sleeps and ticks, with the counts
 * of its own last check: a tick tells how far the step is, and never "unknown".
 *
 * Invariants
 *  1. A job number is given out once.
 *  2. After an error no job begins; the error kept is that of the least job number, so that it does
 *     not depend on which thread was faster (jobs of lesser numbers began before, and end).
 *  3. Once a tick said stop no tick follows, and every check of the crew fails.
 *
 * Rejected: a queue per thread with stealing (jobs are few and of equal size).
 */

#include "base/parallel.h"

#include <time.h>
#include <unistd.h>

#include "base/time.h"

#include "base/poison.h"

enum { MAX_THREADS = 256, WAIT_NANOS = 10 * 1000 * 1000, NANOS = 1000 * 1000 * 1000 };

#define TICK_INTERVAL_S 0.02

typedef struct team {
    tfn_crew *crew;
    tfn_job_fn job;
    void *context;
    int64_t n_jobs;
    _Atomic int64_t next;
    _Atomic bool is_stopping;
    pthread_mutex_t mutex;  /* guards what follows; taken alone */
    pthread_cond_t is_done; /* n_working is 0 */
    int n_working;          /* threads but the caller's */
    int64_t i_failed;       /* n_jobs: none */
    tfn_error error;
} team;

int tfn_parallel_get_n_threads(int wanted)
{
    const long n = wanted > 0 ? wanted : sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : (int)n;
}

void tfn_crew_init(tfn_crew *crew, int n_threads, tfn_tick_fn tick, void *tick_context,
                   const char *what)
{
    crew->n_threads = n_threads;
    crew->tick = tick;
    crew->tick_context = tick_context;
    crew->what = what;
    crew->interval_s = TICK_INTERVAL_S;
    crew->caller = pthread_self();
    crew->due_s = tfn_clock_monotonic_s() + TICK_INTERVAL_S;
    crew->n_done = 0;
    crew->n_total = -1;
    atomic_init(&crew->is_stopped, false);
}

tfn_code tfn_crew_check(tfn_crew *crew, int64_t n_done, int64_t n_total, tfn_error *err)
{
    bool is_stopped = atomic_load_explicit(&crew->is_stopped, memory_order_relaxed);
    if (!is_stopped && crew->tick != NULL && pthread_equal(pthread_self(), crew->caller)) {
        const double now_s = tfn_clock_monotonic_s();
        crew->n_done = n_done;
        crew->n_total = n_total;
        if (crew->interval_s <= 0 || now_s >= crew->due_s) {
            const tfn_progress progress = {crew->what, n_done, n_total};
            crew->due_s = now_s + crew->interval_s;
            is_stopped = crew->tick(crew->tick_context, &progress) != 0;
            atomic_store_explicit(&crew->is_stopped, is_stopped, memory_order_relaxed);
        }
    }
    return is_stopped ? TFN_FAIL(err, TFN_CANCELLED, "%s was stopped", crew->what) : TFN_OK;
}

/* The caller's thread, when it has no rows of its own in hand. */
static tfn_code check_again(tfn_crew *crew, tfn_error *err)
{
    return tfn_crew_check(crew, crew->n_done, crew->n_total, err);
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

static void work(team *t)
{
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
}

static void *work_on_thread(void *argument)
{
    team *t = argument;
    work(t);
    pthread_mutex_lock(&t->mutex);
    if (--t->n_working == 0) {
        pthread_cond_signal(&t->is_done);
    }
    pthread_mutex_unlock(&t->mutex);
    return NULL;
}

/* Tick while others still work. What is found is kept by the crew: their checks see it. */
static void wait_for_others(team *t)
{
    tfn_error ignored = {0};
    pthread_mutex_lock(&t->mutex);
    while (t->n_working > 0) {
        pthread_mutex_unlock(&t->mutex);
        const tfn_code rc = check_again(t->crew, &ignored);
        struct timespec until = {0};
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += WAIT_NANOS;
        until.tv_sec += until.tv_nsec / NANOS;
        until.tv_nsec %= NANOS;
        pthread_mutex_lock(&t->mutex);
        if (rc != TFN_OK) {
            break;
        }
        if (t->n_working > 0) {
            (void)pthread_cond_timedwait(&t->is_done, &t->mutex, &until);
        }
    }
    pthread_mutex_unlock(&t->mutex);
}

static void team_init(team *t)
{
    pthread_condattr_t attributes;
    pthread_mutex_init(&t->mutex, NULL);
    pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&t->is_done, &attributes);
    pthread_condattr_destroy(&attributes);
}

tfn_code tfn_parallel_run(tfn_crew *crew, int64_t n_jobs, tfn_job_fn job, void *context,
                          tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_crew_check(crew, 0, -1, err));
    team t = {.crew = crew, .job = job, .context = context, .n_jobs = n_jobs, .i_failed = n_jobs};
    pthread_t threads[MAX_THREADS];
    const int n_useful = tfn_parallel_get_n_threads(crew->n_threads);
    team_init(&t);
    int n_started = 0;
    pthread_mutex_lock(&t.mutex); /* a thread that ends at once counts down after this */
    while (n_started + 1 < n_useful && n_started + 1 < n_jobs &&
           pthread_create(&threads[n_started], NULL, work_on_thread, &t) == 0) {
        n_started++;
    }
    t.n_working = n_started;
    pthread_mutex_unlock(&t.mutex);
    work(&t);
    wait_for_others(&t);
    for (int i = 0; i < n_started; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    pthread_cond_destroy(&t.is_done);
    pthread_mutex_destroy(&t.mutex);
    TFN_RETURN_IF_ERROR(t.i_failed < n_jobs ? tfn_error_move(err, &t.error) : TFN_OK);
    return check_again(crew, err);
}
