/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_BASE_LOCK_H
#define TFN_BASE_LOCK_H

/*
 * A short lock that a fork cannot leave locked in the child.
 *
 * A thread that does not survive a fork may hold a lock at that instant. The child's first taker
 * sees that the lock is another process's and begins with a free one. So what a lock guards must be
 * whole at every instant (a pointer that is swapped), and nothing long is done under it.
 */

#include <pthread.h>
#include <stdatomic.h>

typedef struct tfn_lock {
    pthread_mutex_t mutex;
    _Atomic int pid; /* process that the mutex belongs to; 0 while one takes it over */
} tfn_lock;

/** Threads one at a time. Errors none. */
void tfn_lock_init(tfn_lock *lock);
void tfn_lock_deinit(tfn_lock *lock);

/** Threads any. Errors none. Cost an uncontended mutex. */
void tfn_lock_take(tfn_lock *lock);
void tfn_lock_give(tfn_lock *lock);

#endif
