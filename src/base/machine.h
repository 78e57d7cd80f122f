/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_BASE_MACHINE_H
#define TFN_BASE_MACHINE_H

/* What the machine has, as far as this process may use it. */

#include <stdint.h>

/* Where the system tells; tests have files of their own. */
typedef struct tfn_machine_paths {
    const char *meminfo;       /* "/proc/meminfo" */
    const char *cgroups;       /* "/proc/self/cgroup" */
    const char *cgroup_folder; /* "/sys/fs/cgroup" */
} tfn_machine_paths;

/**
 * Memory that this process may use: the machine's, or less where a control group (version 1 or 2,
 * its own or one above it) says so.
 *
 * @param paths  [borrow, NULL = this system's]
 * @return       bytes; 0 = the system does not tell
 *
 * Cost     a few small files are read; keep the answer
 * Threads  any
 * Errors   none: a file that is not there says nothing
 */
int64_t tfn_machine_get_memory_bytes(const tfn_machine_paths *paths);

#endif
