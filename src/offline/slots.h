/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_OFFLINE_SLOTS_H
#define TFN_OFFLINE_SLOTS_H

/*
 * Slots: for each distinct (key, entity time), the best source row among those that become eligible
 * exactly there. Many threads offer rows at once; a slot is 24 bytes, with its lock inside.
 */

#include <assert.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "column/chunk.h"

/* Created time of a row that has none: lower than any that is there (those are kept above it). */
#define TFN__NO_CREATED INT64_MIN

/* What decides between two source rows: compared in this order, greatest wins. */
typedef struct tfn__rank {
    int64_t event;
    int64_t created; /* TFN__NO_CREATED, or greater */
    uint64_t position;
} tfn__rank;

static inline bool tfn__rank_beats(tfn__rank a, tfn__rank b)
{
    if (a.event != b.event) {
        return a.event > b.event;
    }
    if (a.created != b.created) {
        return a.created > b.created;
    }
    return a.position > b.position;
}

/* `event` may be read without the lock: it only ever grows, so what loses against an old value
 * loses. */
typedef struct tfn__slot {
    _Atomic int64_t event;
    int64_t created;
    _Atomic uint64_t position_and_lock; /* position in the upper 56 bits, lock in the lower 8 */
} tfn__slot;

static_assert(sizeof(tfn__slot) == 24, "a slot is three words");

#define TFN__SLOT_LOCKED UINT64_C(1)

/**
 * n empty slots.
 *
 * @param out  [own] ends with tfn_mem_free
 *
 * Errors   TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__slots_create(uint32_t n, tfn__slot **out, tfn_error *err);

static inline uint64_t tfn__slot_lock(tfn__slot *s)
{
    for (int n_tries = 0;; n_tries++) {
        uint64_t old = atomic_load_explicit(&s->position_and_lock, memory_order_relaxed);
        if ((old & TFN__SLOT_LOCKED) == 0 &&
            atomic_compare_exchange_weak_explicit(&s->position_and_lock, &old,
                                                  old | TFN__SLOT_LOCKED, memory_order_acquire,
                                                  memory_order_relaxed)) {
            return old >> 8;
        }
        if (n_tries % 64 == 63) {
            (void)sched_yield();
        }
    }
}

static inline void tfn__slot_unlock(tfn__slot *s, uint64_t position)
{
    atomic_store_explicit(&s->position_and_lock, position << 8, memory_order_release);
}

/* Offer a row. True: it is the best so far, is written, and the slot is still locked (the caller
 * may write what belongs to it, then unlocks). False: it lost; nothing is locked. */
static inline bool tfn__slot_offer(tfn__slot *s, tfn__rank row)
{
    if (row.event < atomic_load_explicit(&s->event, memory_order_relaxed)) {
        return false;
    }
    const uint64_t position = tfn__slot_lock(s);
    const tfn__rank best = {atomic_load_explicit(&s->event, memory_order_relaxed), s->created,
                            position};
    if (position != TFN_POSITION_NONE && !tfn__rank_beats(row, best)) {
        tfn__slot_unlock(s, position);
        return false;
    }
    atomic_store_explicit(&s->event, row.event, memory_order_relaxed);
    s->created = row.created;
    return true;
}

/* The best row of a slot; position TFN_POSITION_NONE: there is none. After the scan only. */
static inline tfn__rank tfn__slot_get(const tfn__slot *s)
{
    return (tfn__rank){atomic_load_explicit(&s->event, memory_order_relaxed), s->created,
                       atomic_load_explicit(&s->position_and_lock, memory_order_relaxed) >> 8};
}

#endif
