/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_OFFLINE_WALK_H
#define TFN_OFFLINE_WALK_H

/* After the scan: which row each slot's entity rows get. */

#include "offline/radix.h"
#include "offline/slots.h"
#include "offline/spine.h"
#include "offline/times.h"

/* "Is a row of this event time too old for an entity row of this time?", in exact arithmetic. */
typedef struct tfn__age {
    int64_t event_nanos; /* nanoseconds per unit of the event time */
    int64_t entity_nanos;
    tfn__wide ttl_nanos; /* 0 = nothing is ever too old */
    bool has_one_unit;   /* both times have the same, and ttl whole units of it fit */
    int64_t ttl_units;   /* then: ttl in it, rounded down, which decides the same of whole units */
} tfn__age;

/** ttl_us: 0 = unbounded. */
tfn__age tfn__age_of(tfn_unit event_unit, tfn_unit entity_unit, int64_t ttl_us);

static inline bool tfn__age_expired(const tfn__age *a, int64_t event, int64_t entity_time)
{
    if (a->has_one_unit) {
        int64_t oldest = 0;
        return a->ttl_nanos != 0 && !__builtin_sub_overflow(entity_time, a->ttl_units, &oldest) &&
               event < oldest;
    }
    return a->ttl_nanos != 0 && tfn__wide_of(event, a->event_nanos) <
                                    tfn__wide_of(entity_time, a->entity_nanos) - a->ttl_nanos;
}

/**
 * Carry the best row of each group forward.
 *
 * @param slots      [borrow] as many as the spine has
 * @param crew       whose threads walk, and whose tick may stop them
 * @param origins    [out] per slot: the slot whose row it gets, or TFN__NO_SLOT
 * @param winners    [out] room for as many entries as slots, or NULL: (position, origin) of every row
 *                   that is in the answer, each once, by origin
 * @param n_winners  [out] their number
 *
 * Cost     one pass over the slots
 * Threads  any
 * Errors   TFN_CANCELLED
 */
TFN_NODISCARD tfn_code tfn__walk(const tfn_spine *spine, const tfn__slot *slots,
                                 const tfn__age *age, tfn_crew *crew, uint32_t *origins,
                                 tfn__entry *winners, size_t *n_winners, tfn_error *err);

#endif
