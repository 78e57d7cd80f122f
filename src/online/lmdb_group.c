/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Group commit: pushes of one process that commit at about the same time share one transaction, and
 * so one sync, which is what a small commit costs.
 *
 *   thread: join the queue -> somebody leads?  yes: sleep until told
 *                                              no:  lead
 *   leader: wait for others, 2 ms at most -> take the write lock -> take the queue
 *           -> each push in a transaction of its own, inside of the common one -> commit -> tell all
 *
 * Invariants
 *  1. A push is acknowledged after the commit that holds it was synced, never before.
 *  2. A push that fails is aborted with its inner transaction; the others do not see it. When the
 *     common commit fails, every push of it fails, and the store is as before.
 *  3. Pushes are applied in the order in which they joined.
 *  4. The queue is taken after the write lock was got: while another process writes, or the sync
 *     before goes on, it grows by itself.
 *  5. While a group is written the mutex is free; a member's push and error are the leader's until
 *     `is_done`, and both are seen through the mutex.
 *
 * Nobody waits in vain: the leader waits only while pushes of this process have begun that have not
 * joined, or fewer have joined than the last time; a lone writer goes at once.
 *
 * Rejected: MDB_NOSYNC with a sync now and then (a power cut may leave a torn file); a thread of our
 * own (who starts it after a fork, who ends it?).
 */

#include <time.h>

#include "online/lmdb_push.h"

#include "base/poison.h"

enum { MAX_WAIT_NANOS = 2000000, NANOS = 1000000000 };

/* A push that waits to be written. On the stack of its thread. */
typedef struct tfn__member {
    tfn__push *push;
    tfn_error *err; /* of its caller; may be NULL */
    tfn_code rc;
    bool is_done;
    struct tfn__member *next;
} member;

tfn_code tfn__group_init(tfn__group *group, tfn_error *err)
{
    *group = (tfn__group){0};
    pthread_condattr_t attributes;
    if (pthread_mutex_init(&group->mutex, NULL) != 0) {
        return TFN_FAIL(err, TFN_NO_MEMORY, "memory is exhausted: no mutex can be made");
    }
    /* What follows cannot fail where threads are futexes. */
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&group->has_joined, &attributes);
    (void)pthread_cond_init(&group->is_done, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    group->is_made = true;
    return TFN_OK;
}

void tfn__group_deinit(tfn__group *group)
{
    if (group->is_made) {
        (void)pthread_cond_destroy(&group->has_joined);
        (void)pthread_cond_destroy(&group->is_done);
        (void)pthread_mutex_destroy(&group->mutex);
    }
}

void tfn__group_enter(tfn__group *group)
{
    (void)pthread_mutex_lock(&group->mutex);
    group->n_open++;
    (void)pthread_mutex_unlock(&group->mutex);
}

void tfn__group_leave(tfn__group *group)
{
    (void)pthread_mutex_lock(&group->mutex);
    group->n_open--;
    (void)pthread_cond_signal(&group->has_joined);
    (void)pthread_mutex_unlock(&group->mutex);
}

/* ---- the leader ---- */

/* Under the mutex, which is given up meanwhile. */
static void wait_for_others(tfn__group *group)
{
    struct timespec until = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += MAX_WAIT_NANOS;
    until.tv_sec += until.tv_nsec / NANOS;
    until.tv_nsec %= NANOS;
    int rc = 0;
    while (rc == 0 && (group->n_open > 0 || group->n_joined < group->n_last)) {
        rc = pthread_cond_timedwait(&group->has_joined, &group->mutex, &until);
    }
}

/* Under the mutex. */
static member *take_queue(tfn__group *group)
{
    member *first = group->first;
    group->n_last = group->n_joined;
    group->n_joined = 0;
    group->first = NULL;
    group->last = NULL;
    return first;
}

/* Write one push and end the transaction. True: it was committed, and held something. */
static bool apply(tfn_lmdb_env *env, MDB_txn *txn, member *m)
{
    tfn_lmdb_write *write = NULL;
    bool has_changed = false;
    m->rc = tfn__write_begin_in(env, txn, &write, m->err);
    if (m->rc != TFN_OK) {
        mdb_txn_abort(txn);
        return false;
    }
    m->rc = tfn__push_apply(m->push, write, m->err);
    if (m->rc != TFN_OK) {
        tfn_lmdb_abort(write);
        return false;
    }
    tfn__push_set_stats(m->push, tfn_lmdb_get_stats(write));
    m->rc = tfn__write_commit(write, &has_changed, m->err);
    return has_changed;
}

/* Each push in a transaction of its own, inside of the common one. True: that holds something. */
static bool apply_all(tfn_lmdb_env *env, MDB_txn *common, member *first)
{
    bool has_changed = false;
    for (member *m = first; m != NULL; m = m->next) {
        MDB_txn *txn = NULL;
        const int rc = mdb_txn_begin(env->lmdb, common, 0, &txn);
        if (rc == 0) {
            has_changed |= apply(env, txn, m);
        } else {
            m->rc = tfn__lmdb_fail(env->path, rc, "beginning to write", m->err);
        }
    }
    return has_changed;
}

static void fail_all(member *first, const tfn_error *why)
{
    for (member *m = first; m != NULL; m = m->next) {
        if (m->rc == TFN_OK) {
            m->rc = tfn_error_move(m->err, why);
        }
    }
}

/* Without the mutex: write all that have joined; `*first` are they. The group's environment may have
 * been closed since they began (tfn__lmdb_revive): then they go to the one that is open now. */
static void write_group(tfn__group *group, tfn_lmdb *online, member **first)
{
    tfn_error why = {0};
    MDB_txn *common = NULL;
    tfn_lmdb_env *env = NULL;
    const tfn_code rc = tfn__write_begin_txn(online, &env, &common, &why);
    (void)pthread_mutex_lock(&group->mutex);
    *first = take_queue(group);
    (void)pthread_mutex_unlock(&group->mutex);
    if (rc != TFN_OK) {
        fail_all(*first, &why);
        return;
    }
    if ((*first)->next == NULL) {
        (void)apply(env, common, *first);
        return;
    }
    if (!apply_all(env, common, *first)) {
        mdb_txn_abort(common);
        return;
    }
    const int lmdb_rc = mdb_txn_commit(common);
    if (lmdb_rc != 0) {
        (void)tfn__lmdb_fail(env->path, lmdb_rc, "committing", &why);
        fail_all(*first, &why);
    }
}

/* Under the mutex, which is given up meanwhile. */
static void lead(tfn__group *group, tfn_lmdb *online)
{
    member *first = NULL;
    group->has_leader = true;
    wait_for_others(group);
    (void)pthread_mutex_unlock(&group->mutex);
    write_group(group, online, &first);
    (void)pthread_mutex_lock(&group->mutex);
    group->has_leader = false;
    while (first != NULL) {
        member *next = first->next; /* once it is done, its thread may take it off its stack */
        first->is_done = true;
        first = next;
    }
    (void)pthread_cond_broadcast(&group->is_done);
}

/* ---- everybody ---- */

tfn_code tfn__group_commit(tfn__group *group, tfn_lmdb *online, tfn__push *push, tfn_error *err)
{
    member own = {.push = push, .err = err};
    (void)pthread_mutex_lock(&group->mutex);
    if (group->last != NULL) {
        group->last->next = &own;
    } else {
        group->first = &own;
    }
    group->last = &own;
    group->n_joined++;
    group->n_open--;
    (void)pthread_cond_signal(&group->has_joined);
    while (!own.is_done) {
        if (group->has_leader) {
            (void)pthread_cond_wait(&group->is_done, &group->mutex);
        } else {
            lead(group, online);
        }
    }
    (void)pthread_mutex_unlock(&group->mutex);
    return own.rc;
}
