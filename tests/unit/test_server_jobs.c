/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/base_make.h"

#include <sched.h>

#include "server/jobs.c"

enum { N_THREADS = 3, N_ITEMS = 5000, MAX_WAITING = 16 };

typedef struct item {
    _Atomic int n_run;
} item;

typedef struct counts {
    item items[N_ITEMS];
    _Atomic int n_stopped;
    _Atomic bool is_held;
    _Atomic int n_inside;
} counts;

static void run(void *owner, tfn_context *context, void *arg)
{
    counts *c = owner;
    if (context == NULL) {
        atomic_fetch_add(&c->n_stopped, 1);
    } else {
        assert_true(context->may_block);
    }
    atomic_fetch_add(&c->n_inside, 1);
    while (context != NULL && atomic_load(&c->is_held)) {
        (void)sched_yield();
    }
    atomic_fetch_sub(&c->n_inside, 1);
    item *one = arg;
    atomic_fetch_add(&one->n_run, 1);
}

static tfn_jobs *make(counts *c, tfn_context *contexts)
{
    tfn_jobs *jobs = NULL;
    tfn_error err = {0};
    for (size_t i = 0; i < N_THREADS; i++) {
        contexts[i] = (tfn_context){.may_block = true};
    }
    assert_ok(tfn_jobs_create(contexts, N_THREADS, MAX_WAITING, run, c, &jobs, &err), err);
    return jobs;
}

static void every_item_runs_once_and_a_full_queue_says_no(void **state)
{
    (void)state;
    static counts c;
    tfn_context contexts[N_THREADS];
    tfn_jobs *jobs = make(&c, contexts);
    for (int i = 0; i < N_ITEMS; i++) {
        while (!tfn_jobs_try_add(jobs, &c.items[i])) {
            (void)sched_yield();
        }
    }
    while (tfn_jobs_get_waiting(jobs) > 0) {
        (void)sched_yield();
    }
    tfn_jobs_destroy(jobs);
    for (int i = 0; i < N_ITEMS; i++) {
        assert_int_equal(atomic_load(&c.items[i].n_run), 1);
    }
    assert_int_equal(atomic_load(&c.n_stopped), 0);
}

static void what_waits_when_it_stops_is_told_so_and_nothing_more_is_taken(void **state)
{
    (void)state;
    static counts c;
    tfn_context contexts[N_THREADS];
    atomic_store(&c.is_held, true);
    tfn_jobs *jobs = make(&c, contexts);
    for (int i = 0; i < N_THREADS; i++) {
        assert_true(tfn_jobs_try_add(jobs, &c.items[i]));
    }
    while (atomic_load(&c.n_inside) < N_THREADS) {
        (void)sched_yield();
    }
    for (int i = 0; i < MAX_WAITING; i++) {
        assert_true(tfn_jobs_try_add(jobs, &c.items[N_THREADS + i]));
    }
    assert_false(tfn_jobs_try_add(jobs, &c.items[N_THREADS + MAX_WAITING]));
    assert_int_equal(tfn_jobs_get_waiting(jobs), MAX_WAITING);
    pthread_mutex_lock(&jobs->lock); /* so that no thread takes what waits */
    jobs->is_stopping = true;
    pthread_mutex_unlock(&jobs->lock);
    atomic_store(&c.is_held, false);
    tfn_jobs_stop(jobs);
    assert_false(tfn_jobs_try_add(jobs, &c.items[0]));
    tfn_jobs_destroy(jobs);
    for (int i = 0; i < N_THREADS + MAX_WAITING; i++) {
        assert_int_equal(atomic_load(&c.items[i].n_run), 1);
    }
    assert_int_equal(atomic_load(&c.n_stopped), MAX_WAITING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_runs_once_and_a_full_queue_says_no),
        cmocka_unit_test(what_waits_when_it_stops_is_told_so_and_nothing_more_is_taken),
    };
    return cmocka_run_group_tests_name("server_jobs", tests, NULL, NULL);
}
