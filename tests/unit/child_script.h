/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_TESTS_CHILD_SCRIPT_H
#define TFN_TESTS_CHILD_SCRIPT_H

/* A shell script in the place of an interpreter. Include it behind what is tested. */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef struct child_script {
    char folder[32];
    char path[64];
} child_script;

static inline void make_script(child_script *s)
{
    (void)snprintf(s->folder, sizeof s->folder, "/tmp/tiffin_child_XXXXXX");
    assert_non_null(mkdtemp(s->folder));
    (void)snprintf(s->path, sizeof s->path, "%s/python", s->folder);
}

static inline void remove_script(const child_script *s)
{
    char path[64];
    (void)snprintf(path, sizeof path, "%s/pid", s->folder);
    (void)unlink(path);
    (void)unlink(s->path);
    assert_int_equal(rmdir(s->folder), 0);
}

/* In one step: a shell that reads the old one keeps it. */
static inline void write_script(const child_script *s, const char *text)
{
    char path[64];
    (void)snprintf(path, sizeof path, "%s/next", s->folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fprintf(file, "#!/bin/sh\n%s", text) > 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0700), 0);
    assert_int_equal(rename(path, s->path), 0);
}

/* What the script wrote into the file `pid`. */
static inline pid_t read_pid(const child_script *s)
{
    char path[64];
    char text[32] = "";
    (void)snprintf(path, sizeof path, "%s/pid", s->folder);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof text, file));
    assert_int_equal(fclose(file), 0);
    return (pid_t)strtol(text, NULL, 10);
}

/* Within five seconds: gone, or dead and not reaped yet by whoever inherited it. */
static inline bool is_gone(pid_t pid)
{
    const struct timespec step = {0, 10000000};
    for (int i = 0; i < 500; i++) {
        char path[64];
        char text[256] = "";
        (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        FILE *file = fopen(path, "r");
        const bool is_there = file != NULL && fgets(text, sizeof text, file) != NULL;
        if (file != NULL) {
            (void)fclose(file);
        }
        if (!is_there || strstr(text, ") Z ") != NULL) {
            return true;
        }
        (void)nanosleep(&step, NULL);
    }
    return false;
}

#endif
