/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/base_make.h"

#include "unit/crew_make.h"

#include "base/parallel.c"

enum { JOBS = 1000 };

typedef struct sums {
    int64_t runs[JOBS]; /* how often each job ran */
    int64_t i_bad;      /* this job and those from there on fail */
} sums;

static tfn_code count_run(void *context, int64_t i_job, tfn_error *err)
{
    sums *s = context;
    s->runs[i_job]++;
    if (i_job >= s->i_bad) {
        return TFN_FAIL(err, TFN_INVALID, "job %lld", (long long)i_job);
    }
    return TFN_OK;
}

static void every_job_runs_once_on_any_number_of_threads(void **state)
{
    (void)state;
    static const int n_threads[] = {0, 1, 2, 7, 1000};
    for (size_t k = 0; k < sizeof n_threads / sizeof n_threads[0]; k++) {
        static sums s;
        s = (sums){.i_bad = JOBS};
        tfn_error err = {0};
        assert_ok(
            tfn_parallel_run(&(tfn_crew){.n_threads = n_threads[k]}, JOBS, count_run, &s, &err),
            err);
        for (int i = 0; i < JOBS; i++) {
            assert_int_equal(s.runs[i], 1);
        }
    }
    tfn_error err = {0};
    assert_ok(tfn_parallel_run(&(tfn_crew){.n_threads = 2}, 0, count_run, NULL, &err), err);
}

static void the_error_of_the_first_job_that_fails_is_kept_and_no_more_begin(void **state)
{
    (void)state;
    static const int n_threads[] = {1, 2, 7};
    for (size_t k = 0; k < 3; k++) {
        static sums s;
        s = (sums){.i_bad = 500};
        tfn_error err = {0};
        assert_int_equal(
            tfn_parallel_run(&(tfn_crew){.n_threads = n_threads[k]}, JOBS, count_run, &s, &err),
            TFN_INVALID);
        assert_string_equal(err.message, "job 500");
        assert_int_equal(err.code, TFN_INVALID);
        int64_t n_failed = 0;
        for (int i = 500; i < JOBS; i++) {
            n_failed += s.runs[i];
        }
        assert_true(n_failed <= n_threads[k]);
    }
}

/* The job of the caller's thread ends at once; the others go on until they are told to stop. */
static tfn_code work_until_stopped(void *context, int64_t i_job, tfn_error *err)
{
    tfn_crew *crew = context;
    (void)i_job;
    tfn_code rc = TFN_OK;
    while (!pthread_equal(pthread_self(), crew->caller) && rc == TFN_OK) {
        rc = tfn_crew_check(crew, 0, -1, err);
    }
    return rc;
}

static void a_tick_stops_all_threads_also_while_the_caller_waits(void **state)
{
    (void)state;
    for (int n_threads = 1; n_threads < 6; n_threads++) {
        for (int64_t k = 0; k < 5; k++) {
            tfn_crew crew;
            stopping s;
            tfn_error err = {0};
            make_stopping_crew(&crew, n_threads, k, &s);
            const tfn_code rc = tfn_parallel_run(&crew, n_threads, work_until_stopped, &crew, &err);
            if (rc == TFN_OK) { /* the caller's thread took every job */
                assert_true(s.n_ticks <= k);
                continue;
            }
            assert_int_equal(rc, TFN_CANCELLED);
            assert_string_equal(err.message, "a step was stopped");
            assert_int_equal(s.n_ticks, k + 1);
            assert_int_equal(tfn_crew_check(&crew, 0, -1, &err), TFN_CANCELLED);
            assert_int_equal(s.n_ticks, k + 1);
        }
    }
}

/* A crew of two, and what its ticks told since both were at work. */
typedef struct told {
    tfn_crew crew;
    _Atomic bool is_other_at_work;
    int64_t n_ticks;
    tfn_progress last;
} told;

static int note_progress(void *context, const tfn_progress *progress)
{
    told *t = context;
    t->last = *progress;
    t->n_ticks += atomic_load(&t->is_other_at_work);
    return t->n_ticks > 3 ? 1 : 0;
}

/* The caller's thread says how far it is until the other has begun; that one waits for a stop. */
static tfn_code tell_or_work(void *context, int64_t i_job, tfn_error *err)
{
    told *t = context;
    if (!pthread_equal(pthread_self(), t->crew.caller)) {
        atomic_store(&t->is_other_at_work, true);
        return work_until_stopped(&t->crew, i_job, err);
    }
    tfn_code rc = tfn_crew_check(&t->crew, 7, 9, err);
    while (!atomic_load(&t->is_other_at_work) && rc == TFN_OK) {
        rc = tfn_crew_check(&t->crew, 7, 9, err);
    }
    return rc;
}

static void a_caller_that_waits_tells_how_far_it_was(void **state)
{
    (void)state;
    told t = {.n_ticks = 0};
    tfn_error err = {0};
    tfn_crew_init(&t.crew, 2, note_progress, &t, "a step");
    t.crew.interval_s = 0;
    assert_int_equal(tfn_parallel_run(&t.crew, 2, tell_or_work, &t, &err), TFN_CANCELLED);
    assert_int_equal(t.n_ticks, 4);
    assert_int_equal(t.last.rows_done, 7);
    assert_int_equal(t.last.rows_total, 9);
}

static void parts_cover_everything_once_and_differ_by_at_most_one(void **state)
{
    (void)state;
    for (int64_t n = 0; n < 50; n++) {
        for (int64_t n_jobs = 1; n_jobs < 9; n_jobs++) {
            int64_t at = 0;
            for (int64_t i = 0; i < n_jobs; i++) {
                const tfn_part part = tfn_part_of(n, i, n_jobs);
                assert_int_equal(part.begin, at);
                assert_in_range(part.end - part.begin, n / n_jobs, n / n_jobs + 1);
                at = part.end;
            }
            assert_int_equal(at, n);
        }
    }
}

static void a_number_of_threads_is_at_least_one_and_bounded(void **state)
{
    (void)state;
    assert_true(tfn_parallel_get_n_threads(0) >= 1);
    assert_true(tfn_parallel_get_n_threads(-3) >= 1);
    assert_int_equal(tfn_parallel_get_n_threads(5), 5);
    assert_int_equal(tfn_parallel_get_n_threads(100000), MAX_THREADS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_job_runs_once_on_any_number_of_threads),
        cmocka_unit_test(the_error_of_the_first_job_that_fails_is_kept_and_no_more_begin),
        cmocka_unit_test(a_tick_stops_all_threads_also_while_the_caller_waits),
        cmocka_unit_test(a_caller_that_waits_tells_how_far_it_was),
        cmocka_unit_test(parts_cover_everything_once_and_differ_by_at_most_one),
        cmocka_unit_test(a_number_of_threads_is_at_least_one_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
