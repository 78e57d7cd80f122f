/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Locks across fork: the process id beside the mutex says whose it is. In a child exactly one
 * thread swaps its own id in (through 0, so that others wait until the mutex is new).
 *
 * Rejected: pthread_atfork handlers, which would need a list of all locks, that is, a global.
 */

#include "base/lock.h"

#include <sched.h>
#include <unistd.h>

#include "base/poison.h"

void tfn_lock_init(tfn_lock *lock)
{
    (void)pthread_mutex_init(&lock->mutex, NULL); /* cannot fail without attributes */
    atomic_init(&lock->pid, (int)getpid());
}

void tfn_lock_deinit(tfn_lock *lock)
{
    if (atomic_load(&lock->pid) == (int)getpid()) {
        (void)pthread_mutex_destroy(&lock->mutex);
    }
}

static void take_over(tfn_lock *lock, int pid)
{
    int owner = atomic_load(&lock->pid);
    while (owner != pid) {
        if (owner != 0 && atomic_compare_exchange_strong(&lock->pid, &owner, 0)) {
            (void)pthread_mutex_init(&lock->mutex, NULL);
            atomic_store(&lock->pid, pid);
            return;
        }
        (void)sched_yield();
        owner = atomic_load(&lock->pid);
    }
}

void tfn_lock_take(tfn_lock *lock)
{
    const int pid = (int)getpid();
    if (atomic_load_explicit(&lock->pid, memory_order_acquire) != pid) {
        take_over(lock, pid);
    }
    (void)pthread_mutex_lock(&lock->mutex);
}

void tfn_lock_give(tfn_lock *lock)
{
    (void)pthread_mutex_unlock(&lock->mutex);
}
