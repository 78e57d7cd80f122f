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
} tfn__age;

static inline bool tfn__age_expired(const tfn__age *a, int64_t event, int64_t entity_time)
{
    return a->ttl_nanos != 0 && tfn__wide_of(event, a->event_nanos) <
                                    tfn__wide_of(entity_time, a->entity_nanos) - a->ttl_nanos;
}

/**
 * Carry the best row of each group forward.
 *
 * @param slots    [borrow] as many as the spine has
 * @param origins  [out] per slot: the slot whose row it gets, or TFN__NO_SLOT
 * @param winners  [out] room for as many entries as slots, or NULL: (position, origin) of every row
 *                 that is in the answer, each once
 * @return         number of winners
 *
 * Cost     one pass over the slots
 * Threads  any
 * Errors   none
 */
size_t tfn__walk(const tfn_spine *spine, const tfn__slot *slots, const tfn__age *age,
                 uint32_t *origins, tfn__entry *winners);

#endif
