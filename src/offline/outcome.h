/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_OFFLINE_OUTCOME_H
#define TFN_OFFLINE_OUTCOME_H

/* What the walk decided, counted for the warnings of a report. */

#include "offline/offline.h"
#include "offline/slots.h"
#include "offline/spine.h"
#include "offline/times.h"

/**
 * Count slots by what became of them: the members `n_slots_looked_at`,
 * `n_slots_won`, `n_slots_expired` and `n_slots_created_later` of the statistics. Of many slots, those of evenly spaced keys are looked
 * at, so that the cost is bounded.
 *
 * @param slots    [borrow] as the scan left them
 * @param origins  [borrow] as tfn__walk made them: per slot the slot of its winner
 * @param created  from the created time's unit to the spine's
 * @param stats    [out] the four members are set
 *
 * Nulls    a winner without created time is not created later
 * Cost     a few nanoseconds for each of about 262,144 slots, or of one key's, if that has more
 * Threads  any
 * Errors   none
 */
void tfn__outcome_count(const tfn_spine *spine, const tfn__slot *slots, const uint32_t *origins,
                        tfn__rescale created, tfn_join_stats *stats);

#endif
