/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_TESTS_CREW_MAKE_H
#define TFN_TESTS_CREW_MAKE_H

/* A crew whose every check ticks, and whose k-th tick says stop. Include it after cmocka. */

#include "base/parallel.h"

typedef struct stopping {
    int64_t k; /* counted from 0 */
    int64_t n_ticks;
} stopping;

static int stop_at_k(void *context, const tfn_progress *progress)
{
    stopping *s = context;
    assert_string_equal(progress->what, "a step");
    assert_true(s->n_ticks <= s->k); /* none follows a stop */
    assert_true(progress->rows_done >= 0 && progress->rows_total >= -1);
    return s->n_ticks++ == s->k ? 1 : 0;
}

static void make_stopping_crew(tfn_crew *crew, int n_threads, int64_t k, stopping *s)
{
    *s = (stopping){.k = k};
    tfn_crew_init(crew, n_threads, stop_at_k, s, "a step");
    crew->interval_s = 0;
}

#endif
