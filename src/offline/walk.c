/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The walk: from "best of what became eligible here" to "best of all that is eligible".
 *
 *   slots of a group   t0      t1      t2      t3
 *   offered            a       -       b       -       a < b
 *   carried            a       a       b       b
 *   answer             a     (a too old)  b    b
 *
 * A source row is offered to the first entity time of its key that may see it; every later one may
 * see it too. So the best row for a slot is the best of its own and of what was carried so far.
 *
 * Invariants
 *  1. What is carried only ever gets better, so a row that was left never comes back: an origin's
 *     slots are neighbours, and it is enough to compare with the last winner to list each once.
 *  2. A carried row that is too old hides nothing: whatever it beat has no greater event time, so
 *     is too old as well.
 */

#include "offline/walk.h"

#include "base/poison.h"

tfn__age tfn__age_of(tfn_unit event_unit, tfn_unit entity_unit, int64_t ttl_us)
{
    enum { NANOS_PER_MICRO = 1000 };
    const tfn__wide ttl_nanos = (tfn__wide)ttl_us * NANOS_PER_MICRO;
    const tfn__wide ttl_units = ttl_nanos / tfn__nanos_per_unit(entity_unit);
    return (tfn__age){.event_nanos = tfn__nanos_per_unit(event_unit),
                      .entity_nanos = tfn__nanos_per_unit(entity_unit),
                      .ttl_nanos = ttl_nanos,
                      .has_one_unit = event_unit == entity_unit && ttl_units <= INT64_MAX,
                      .ttl_units = (int64_t)ttl_units};
}

static size_t walk_group(const tfn_spine *spine, const tfn__slot *slots, uint32_t group,
                         const tfn__age *age, uint32_t *origins, tfn__entry *winners)
{
    size_t n_winners = 0;
    uint32_t origin = TFN__NO_SLOT;
    tfn__rank best = {INT64_MIN, TFN__NO_CREATED, TFN_POSITION_NONE};
    uint32_t listed = TFN__NO_SLOT;
    const tfn__group *g = &spine->groups[group];
    for (uint32_t i = g->begin; i < g->begin + g->n; i++) {
        const tfn__rank own = tfn__slot_get(&slots[i]);
        if (own.position != TFN_POSITION_NONE &&
            (origin == TFN__NO_SLOT || tfn__rank_beats(own, best))) {
            best = own;
            origin = i;
        }
        const bool wins =
            origin != TFN__NO_SLOT && !tfn__age_expired(age, best.event, spine->times[i]);
        origins[i] = wins ? origin : TFN__NO_SLOT;
        if (wins && listed != origin) {
            if (winners != NULL) {
                winners[n_winners] = (tfn__entry){best.position, origin};
            }
            n_winners++;
            listed = origin;
        }
    }
    return n_winners;
}

size_t tfn__walk(const tfn_spine *spine, const tfn__slot *slots, const tfn__age *age,
                 uint32_t *origins, tfn__entry *winners)
{
    size_t n_winners = 0;
    for (uint32_t g = 0; g < spine->n_groups; g++) {
        tfn__entry *next = winners == NULL ? NULL : winners + n_winners;
        n_winners += walk_group(spine, slots, g, age, origins, next);
    }
    return n_winners;
}
