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
 * Groups know nothing of each other: parts of them are walked side by side, each lists its winners from
 * its own first slot on, and the lists are then moved together.
 *
 * Invariants
 *  1. What is carried only ever gets better, so a row that was left never comes back: an origin's
 *     slots are neighbours, and it is enough to compare with the last winner to list each once.
 *  2. A carried row that is too old hides nothing: whatever it beat has no greater event time, so
 *     is too old as well.
 */

#include "offline/walk.h"

#include <string.h>

#include "base/parallel.h"

#include "base/poison.h"

enum { PART_SLOTS = 32768, CHECK_SLOTS = 1 << 15, MAX_PARTS = 64 };

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

/* Groups are walked by parts of about equally many slots. */
typedef struct walking {
    tfn_crew *crew;
    const tfn_spine *spine;
    const tfn__slot *slots;
    const tfn__age *age;
    uint32_t *origins;
    tfn__entry *winners; /* of each part from its first slot on: there are no more than slots */
    int64_t n_parts;
    size_t n_winners[MAX_PARTS];
} walking;

/* The first group that begins at or behind a slot. */
static uint32_t group_at(const tfn_spine *spine, int64_t slot)
{
    uint32_t begin = 0;
    uint32_t end = spine->n_groups;
    while (begin < end) {
        const uint32_t middle = begin + (end - begin) / 2;
        if (spine->groups[middle].begin < slot) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    return begin;
}

static size_t first_slot_of(const tfn_spine *spine, uint32_t group)
{
    return group < spine->n_groups ? spine->groups[group].begin : spine->n_slots;
}

/* A tfn_job_fn. */
static tfn_code walk_part(void *context, int64_t i_part, tfn_error *err)
{
    walking *w = context;
    const tfn_part part = tfn_part_of(w->spine->n_slots, i_part, w->n_parts);
    const uint32_t begin = group_at(w->spine, part.begin);
    const uint32_t end = group_at(w->spine, part.end);
    tfn__entry *winners = w->winners == NULL ? NULL : w->winners + first_slot_of(w->spine, begin);
    size_t n_winners = 0;
    uint32_t next_check = 0;
    for (uint32_t g = begin; g < end; g++) {
        if (w->spine->groups[g].begin >= next_check) {
            next_check = w->spine->groups[g].begin + CHECK_SLOTS;
            TFN_RETURN_IF_ERROR(
                tfn_crew_check(w->crew, w->spine->groups[g].begin, w->spine->n_slots, err));
        }
        tfn__entry *next = winners == NULL ? NULL : winners + n_winners;
        n_winners += walk_group(w->spine, w->slots, g, w->age, w->origins, next);
    }
    w->n_winners[i_part] = n_winners;
    return TFN_OK;
}

tfn_code tfn__walk(const tfn_spine *spine, const tfn__slot *slots, const tfn__age *age,
                   tfn_crew *crew, uint32_t *origins, tfn__entry *winners, size_t *n_winners,
                   tfn_error *err)
{
    walking w = {.crew = crew,
                 .spine = spine,
                 .slots = slots,
                 .age = age,
                 .origins = origins,
                 .winners = winners};
    const int64_t n_parts = spine->n_slots / PART_SLOTS;
    const int64_t n_most = tfn_parallel_get_n_threads(crew->n_threads);
    w.n_parts = n_parts < n_most ? n_parts : n_most;
    w.n_parts = w.n_parts < 1 ? 1 : w.n_parts < MAX_PARTS ? w.n_parts : MAX_PARTS;
    *n_winners = 0;
    TFN_RETURN_IF_ERROR(tfn_parallel_run(crew, w.n_parts, walk_part, &w, err));
    for (int64_t i = 0; i < w.n_parts; i++) {
        const int64_t first_slot = tfn_part_of(spine->n_slots, i, w.n_parts).begin;
        const size_t begin = first_slot_of(spine, group_at(spine, first_slot));
        if (winners != NULL && begin != *n_winners) {
            memmove(winners + *n_winners, winners + begin, w.n_winners[i] * sizeof *winners);
        }
        *n_winners += w.n_winners[i];
    }
    return TFN_OK;
}
