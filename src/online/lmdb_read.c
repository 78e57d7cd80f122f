/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Reading: LMDB's snapshot reads, with finished transactions kept for the next reader.
 *
 * A read transaction costs a malloc and a slot in the shared reader table; one that was ended keeps
 * both, and is renewed with a few loads and stores. The pool is an array of pointers that are taken
 * and put back by exchange: a pointer is either in one place of the array or owned by one reader,
 * so there is no lock and nothing to tear. Each thread begins at a place of its own, so threads
 * rarely meet.
 *
 * One thing LMDB 0.9 leaves open is closed here. It takes the number N of the newest commit, says
 * in its slot that it reads N, and then copies the head page of N - which is also that of N + 2. A
 * reader that is held up in between while N + 1 is committed and the head page of N + 2 is written
 * reads N + 2 under the number N: before it is durable, and before its writer lets others see it,
 * so that the next read may go back to N + 1. (No page is reused too early: the slot says N.) So
 * the newest head page is looked at after the copy: below N + 2, the copy was N's; else the read
 * begins again. At most the two newest are ever on their way, so the second try all but always fits.
 */

#include <assert.h>
#include <sched.h>
#include <stdint.h>

#include "online/lmdb_internal.h"

#include "base/poison.h"

enum { MAX_TRIES = 1000000 };

static size_t own_place(void)
{
    const uint64_t self = (uint64_t)(uintptr_t)pthread_self();
    return (size_t)((self * 0x9e3779b97f4a7c15u) >> 58); /* 64 places */
}
static_assert(TFN__ONLINE_IDLE_READS == 64, "own_place gives 6 bits");

static MDB_txn *take_idle(tfn_lmdb_env *env)
{
    const size_t begin = own_place();
    for (size_t i = 0; i < TFN__ONLINE_IDLE_READS; i++) {
        _Atomic(MDB_txn *) *place = &env->idle[(begin + i) % TFN__ONLINE_IDLE_READS];
        if (atomic_load_explicit(place, memory_order_relaxed) != NULL) {
            MDB_txn *txn = atomic_exchange_explicit(place, NULL, memory_order_acq_rel);
            if (txn != NULL) {
                return txn;
            }
        }
    }
    return NULL;
}

/* False: all places are taken. */
static bool put_idle(tfn_lmdb_env *env, MDB_txn *txn)
{
    const size_t begin = own_place();
    for (size_t i = 0; i < TFN__ONLINE_IDLE_READS; i++) {
        _Atomic(MDB_txn *) *place = &env->idle[(begin + i) % TFN__ONLINE_IDLE_READS];
        MDB_txn *expected = NULL;
        if (atomic_load_explicit(place, memory_order_relaxed) == NULL &&
            atomic_compare_exchange_strong_explicit(place, &expected, txn, memory_order_acq_rel,
                                                    memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

/* Is what the transaction copied the head page of its own number? */
static bool has_own_head(const tfn_lmdb_env *env, MDB_txn *txn)
{
    MDB_envinfo newest;
#ifndef __SANITIZE_THREAD__ /* which does not know fences, nor LMDB's loads that this one orders */
    atomic_thread_fence(memory_order_acquire);
#endif
    (void)mdb_env_info(env->lmdb, &newest); /* loads only */
    return newest.me_last_txnid < mdb_txn_id(txn) + 2;
}

/* Renew until the state is the one that its number says. */
static int settle(const tfn_lmdb_env *env, MDB_txn *txn)
{
    for (int i = 0; i < MAX_TRIES; i++) {
        if (has_own_head(env, txn)) {
            return 0;
        }
        (void)sched_yield(); /* the writer is about to say that the newest commit is there */
        mdb_txn_reset(txn);
        const int rc = mdb_txn_renew(txn);
        if (rc != 0) {
            return rc;
        }
    }
    return MDB_CORRUPTED; /* lock.mdb is not of this data.mdb */
}

/* Who finds is_dying false here is counted before it is looked whether anybody is left: both are
 * sequentially consistent. */
static int begin_new(tfn_lmdb_env *env, MDB_txn **txn)
{
    (void)atomic_fetch_add_explicit(&env->n_txns, 1, memory_order_seq_cst);
    int rc = MDB_PANIC;
    if (!atomic_load_explicit(&env->is_dying, memory_order_seq_cst)) {
        rc = mdb_txn_begin(env->lmdb, NULL, MDB_RDONLY, txn);
        if (rc == MDB_READERS_FULL) { /* slots of processes that were killed can be had back */
            (void)mdb_reader_check(env->lmdb, NULL);
            rc = mdb_txn_begin(env->lmdb, NULL, MDB_RDONLY, txn);
        }
    }
    if (rc != 0) {
        *txn = NULL;
        (void)atomic_fetch_sub_explicit(&env->n_txns, 1, memory_order_seq_cst);
    }
    return rc;
}

static void end_txn(tfn_lmdb_env *env, MDB_txn *txn)
{
    mdb_txn_abort(txn);
    (void)atomic_fetch_sub_explicit(&env->n_txns, 1, memory_order_seq_cst);
}

bool tfn__read_end_idle(tfn_lmdb_env *env)
{
    MDB_txn *txns[TFN__ONLINE_IDLE_READS];
    uint32_t n = 0;
    for (size_t i = 0; i < TFN__ONLINE_IDLE_READS; i++) {
        MDB_txn *txn = atomic_exchange_explicit(&env->idle[i], NULL, memory_order_acq_rel);
        if (txn != NULL) {
            txns[n] = txn;
            n++;
        }
    }
    const bool is_all = n == atomic_load_explicit(&env->n_txns, memory_order_seq_cst);
    for (uint32_t i = 0; i < n; i++) {
        if (is_all || !put_idle(env, txns[i])) {
            end_txn(env, txns[i]);
        }
    }
    return is_all;
}

static int try_begin(tfn_lmdb_env *env, tfn_lmdb_read *out)
{
    MDB_txn *txn = take_idle(env);
    const bool is_new = txn == NULL;
    int rc = is_new ? begin_new(env, &txn) : mdb_txn_renew(txn);
    if (rc == 0) {
        rc = settle(env, txn);
    }
    if (rc == 0) {
        *out = (tfn_lmdb_read){env, txn};
    } else if (txn != NULL) {
        end_txn(env, txn);
    }
    return rc;
}

tfn_code tfn_lmdb_begin_read(tfn_lmdb *online, tfn_lmdb_read *out, tfn_error *err)
{
    *out = (tfn_lmdb_read){0};
    tfn_lmdb_env *env = NULL;
    TFN_RETURN_IF_ERROR(tfn__lmdb_get_env(online, &env, err));
    int rc = try_begin(env, out);
    for (int i = 0; rc == MDB_PANIC && i < TFN__ONLINE_REVIVALS; i++) {
        TFN_RETURN_IF_ERROR(tfn__lmdb_revive(env, err));
        TFN_RETURN_IF_ERROR(tfn__lmdb_get_env(online, &env, err));
        rc = try_begin(env, out);
    }
    return rc == 0 ? TFN_OK : tfn__lmdb_fail(env->path, rc, "beginning to read", err);
}

void tfn_lmdb_end_read(tfn_lmdb_read *read)
{
    if (read->txn != NULL && tfn__lmdb_is_ours(read->env)) {
        mdb_txn_reset(read->txn);
        if (!put_idle(read->env, read->txn)) {
            end_txn(read->env, read->txn);
        }
    }
    *read = (tfn_lmdb_read){0};
}

tfn_code tfn_lmdb_get_live(const tfn_lmdb_read *read, tfn_str project, tfn_str view,
                           uint32_t *generation, tfn_error *err)
{
    tfn__view record;
    const tfn_code rc = tfn__view_get(read->env, read->txn, project, view, &record, err);
    *generation = record.generation;
    return rc;
}

tfn_code tfn_lmdb_count(const tfn_lmdb_read *read, tfn_str project, tfn_str view, uint64_t *n_rows,
                        tfn_error *err)
{
    tfn__view record;
    const tfn_code rc = tfn__view_get(read->env, read->txn, project, view, &record, err);
    *n_rows = record.n_rows;
    return rc;
}

tfn_code tfn__lmdb_open_row(const tfn_lmdb_read *read, tfn_str bytes, tfn_row *row, tfn_error *err)
{
    uint32_t schema_id = 0;
    const tfn_row_schema *schema = NULL;
    TFN_RETURN_IF_ERROR(tfn_row_get_schema_id(bytes, &schema_id, err));
    TFN_RETURN_IF_ERROR(tfn__schema_get(read->env, read->txn, schema_id, &schema, err));
    return tfn_row_open(schema, bytes, row, err);
}

tfn_code tfn__lmdb_find_row(const tfn_lmdb_read *read, const tfn__row_key *key, MDB_val *value,
                            tfn_error *err)
{
    *value = (MDB_val){0};
    MDB_val mdb_key = tfn__val(key->bytes, key->n);
    const int rc = mdb_get(read->txn, read->env->rows, &mdb_key, value);
    if (rc == MDB_NOTFOUND) {
        *value = (MDB_val){0};
        return TFN_OK;
    }
    return rc == 0 ? TFN_OK : tfn__lmdb_fail(read->env->path, rc, "reading a row", err);
}

tfn_code tfn_lmdb_get(const tfn_lmdb_read *read, uint32_t generation, tfn_str key, tfn_row *row,
                      bool *found, tfn_error *err)
{
    *found = false;
    tfn__row_key row_key;
    MDB_val value = {0};
    TFN_RETURN_IF_ERROR(tfn__row_key_make(generation, key, &row_key, err));
    TFN_RETURN_IF_ERROR(tfn__lmdb_find_row(read, &row_key, &value, err));
    if (value.mv_data == NULL) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(tfn__lmdb_open_row(read, tfn__val_str(value), row, err));
    *found = !row_key.is_hashed || tfn_str_equal(row->full_key, key);
    return TFN_OK;
}
