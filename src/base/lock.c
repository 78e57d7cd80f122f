/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Locks across fork: the process id beside the mutex says whose it is. In a child exactly one
 * thread swaps its own id in (through 0, so that others wait until the mutex is new).
 *
 * The id is asked for once in a process: getpid is a system call, and a lookup of one row would
 * spend a fiftieth of its time on it. A child begins without the id of its parent.
 *
 * Rejected: pthread_atfork handlers that free the locks, which would need a list of all locks.
 */

#include "base/lock.h"

#include <sched.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/poison.h"

/* lint: allow mutable-global - what the process knows of itself (ARCHITECTURE.md) */
static struct {
    pthread_once_t once;
    bool is_watched; /* forks are; set once */
    _Atomic int id;  /* 0: not asked for yet */
} process = {.once = PTHREAD_ONCE_INIT};

static void forget_id(void)
{
    atomic_store_explicit(&process.id, 0, memory_order_relaxed);
}

static void watch_forks(void)
{
    process.is_watched = pthread_atfork(NULL, NULL, forget_id) == 0;
}

static int get_pid(void)
{
    int pid = atomic_load_explicit(&process.id, memory_order_relaxed);
    if (pid == 0) {
        pid = (int)getpid();
        (void)pthread_once(&process.once, watch_forks);
        if (process.is_watched) { /* else every call asks */
            atomic_store_explicit(&process.id, pid, memory_order_relaxed);
        }
    }
    return pid;
}

void tfn_lock_init(tfn_lock *lock)
{
    (void)pthread_mutex_init(&lock->mutex, NULL); /* cannot fail without attributes */
    atomic_init(&lock->pid, get_pid());
}

void tfn_lock_deinit(tfn_lock *lock)
{
    if (atomic_load(&lock->pid) == get_pid()) {
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
    const int pid = get_pid();
    if (atomic_load_explicit(&lock->pid, memory_order_acquire) != pid) {
        take_over(lock, pid);
    }
    (void)pthread_mutex_lock(&lock->mutex);
}

void tfn_lock_give(tfn_lock *lock)
{
    (void)pthread_mutex_unlock(&lock->mutex);
}
