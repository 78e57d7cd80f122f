/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_SPAWN_H
#define TFN_SERVER_SPAWN_H

/*
 * Starting the processes beside the server: hosts (host.c) and materializations (child.c).
 *
 * Each has a process group of its own and begins with SIGINT, SIGTERM and SIGHUP blocked, so that a
 * signal to the server's group or service does not end it before the requests under way are
 * answered. It learns of the server's end because its channel closes. It inherits standard error
 * and the environment, and no file that was opened with O_CLOEXEC.
 */

#include <sys/types.h>

#include "base/error.h"

/** Which files of the process are its end of the channel. */
typedef enum tfn_spawn_wiring {
    TFN_SPAWN_STANDARD = 0, /* standard input and output */
    TFN_SPAWN_FILE_3 = 1    /* file 3. What it prints goes to standard error, where it cannot damage
                               what it answers; its standard input is empty */
} tfn_spawn_wiring;

/**
 * Start a program with one end of a socket pair.
 *
 * @param path       [borrow] looked up in PATH unless it has a slash
 * @param arguments  [borrow] the first is its name; NULL behind the last
 * @param channel    [own] the other end; -1 on error
 * @param pid        [own] to be reaped by the caller; 0 on error
 *
 * Threads  any
 * Errors   TFN_IO names the program
 */
TFN_NODISCARD tfn_code tfn_spawn(const char *path, const char *const *arguments,
                                 tfn_spawn_wiring wiring, int *channel, pid_t *pid, tfn_error *err);

#endif
