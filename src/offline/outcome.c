/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Two questions that a person has about a training set, and that only slots can answer:
 *
 *   expired         the key had a row by then, but it was too old: is the ttl too short?
 *   created later   the winner was written after the entity's time: would it have been there?
 *
 * Both are asked between the walk, which says who wins, and the release of the slots, which know
 * created times. The walk itself is left alone: it runs over every slot, and a share is enough here.
 * Groups stand in no order of their keys' values, so every n-th one is a fair sample; a group is
 * looked at whole, because "had a row by then" needs its earlier slots.
 */

#include "offline/outcome.h"

#include "base/poison.h"

enum { MAX_LOOKED_AT = 262144 };

static bool is_created_later(tfn__rank winner, tfn__rescale created, int64_t entity_time)
{
    int64_t needed = 0;
    if (winner.created == TFN__NO_CREATED) {
        return false;
    }
    (void)tfn__rescale_up(created, winner.created, &needed); /* saturates to the right side */
    return needed > entity_time;
}

static void count_group(const tfn_spine *spine, uint32_t group, const tfn__slot *slots,
                        const uint32_t *origins, tfn__rescale created, tfn_join_stats *stats)
{
    bool had_row = false;
    const tfn__group *g = &spine->groups[group];
    for (uint32_t i = g->begin; i < g->begin + g->n; i++) {
        had_row = had_row || tfn__slot_get(&slots[i]).position != TFN_POSITION_NONE;
        stats->n_slots_looked_at++;
        if (origins[i] == TFN__NO_SLOT) {
            stats->n_slots_expired += had_row ? 1 : 0;
            continue;
        }
        const tfn__rank winner = tfn__slot_get(&slots[origins[i]]);
        stats->n_slots_won++;
        stats->n_slots_created_later += is_created_later(winner, created, spine->times[i]) ? 1 : 0;
    }
}

void tfn__outcome_count(const tfn_spine *spine, const tfn__slot *slots, const uint32_t *origins,
                        tfn__rescale created, tfn_join_stats *stats)
{
    stats->n_slots_looked_at = 0;
    stats->n_slots_won = 0;
    stats->n_slots_expired = 0;
    stats->n_slots_created_later = 0;
    const uint32_t step = spine->n_slots / MAX_LOOKED_AT + 1;
    for (uint64_t g = 0; g < spine->n_groups; g += step) {
        count_group(spine, (uint32_t)g, slots, origins, created, stats);
    }
}
