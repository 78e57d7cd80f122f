/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_TESTS_FAULT_KILL_WRITER_H
#define TFN_TESTS_FAULT_KILL_WRITER_H

/*
 * A writer that is killed at a random moment: a child that writes for ever and acknowledges each
 * write through a pipe once it is committed. Include after cmocka.h.
 */

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "prop/rng.h"

enum { MAX_ACKNOWLEDGED_BYTES = 64 };

typedef struct killed_writer {
    /* In the child: write, then acknowledge, until killed; returns only when a write failed. */
    void (*write_for_ever)(const void *context, int to);
    const void *context;
    uint64_t max_acknowledged; /* waited for, at most, before the moment is drawn */
    uint64_t max_moment_ns;
} killed_writer;

/* From the environment, such as TFN_KILLS. */
static inline uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *value = getenv(name);
    return value != NULL ? strtoull(value, NULL, 10) : otherwise;
}

/* Start the writer, wait for some acknowledgements and a moment more, kill it. The last thing that
 * it acknowledged, n bytes, is copied to `last`, which stays as it is if there was none. */
static inline void kill_writer(rng *r, const killed_writer *writer, void *last, size_t n)
{
    char done[MAX_ACKNOWLEDGED_BYTES];
    int ends[2];
    int status = 0;
    assert_true(n <= sizeof done);
    assert_int_equal(pipe(ends), 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(ends[0]);
        writer->write_for_ever(writer->context, ends[1]);
        _exit(1);
    }
    (void)close(ends[1]);
    uint64_t n_wanted = rng_below(r, writer->max_acknowledged + 1);
    const struct timespec moment = {0, (long)rng_below(r, writer->max_moment_ns)};
    while (n_wanted > 0 && read(ends[0], done, n) == (ssize_t)n) {
        memcpy(last, done, n);
        n_wanted--;
    }
    (void)nanosleep(&moment, NULL); /* not to wait for something: to choose when to kill */
    assert_int_equal(kill(pid, SIGKILL), 0);
    while (read(ends[0], done, n) == (ssize_t)n) {
        memcpy(last, done, n);
    }
    (void)close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

#endif
