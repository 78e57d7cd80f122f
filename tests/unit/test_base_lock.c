/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/lock.h"

enum { N_THREADS = 4, N_ROUNDS = 5000 };

typedef struct counter {
    tfn_lock lock;
    long n;
} counter;

static void *count(void *context)
{
    counter *c = context;
    for (int i = 0; i < N_ROUNDS; i++) {
        tfn_lock_take(&c->lock);
        c->n++;
        tfn_lock_give(&c->lock);
    }
    return NULL;
}

static void threads_take_turns(void **state)
{
    (void)state;
    counter c = {.n = 0};
    tfn_lock_init(&c.lock);
    pthread_t threads[N_THREADS];
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count, &c), 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(c.n, (long)N_THREADS * N_ROUNDS);
    tfn_lock_deinit(&c.lock);
}

static void a_lock_that_was_held_at_a_fork_is_free_in_the_child(void **state)
{
    (void)state;
    tfn_lock lock;
    tfn_lock_init(&lock);
    tfn_lock_take(&lock);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)alarm(20); /* a deadlock ends the child by signal, which the parent sees */
        tfn_lock_take(&lock);
        tfn_lock_give(&lock);
        tfn_lock_take(&lock);
        tfn_lock_give(&lock);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    tfn_lock_give(&lock);
    tfn_lock_deinit(&lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_take_turns),
        cmocka_unit_test(a_lock_that_was_held_at_a_fork_is_free_in_the_child),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
