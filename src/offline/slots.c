/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The slots of a join, one per distinct (key, entity time).
 *
 *   +----------------+----------------+---------------------+------+
 *   | event   int64  | created int64  | position    56 bits | lock |   24 bytes
 *   +----------------+----------------+---------------------+------+
 *
 * A row that is older than what a slot holds is turned away by one relaxed load; only a row that
 * may win takes the lock. The winner under a total order does not depend on who comes first, so the
 * answer is the same for any number of threads.
 *
 * Invariants
 *  1. `event` grows only (an empty slot holds INT64_MIN), so a stale read never turns away a
 *     winner.
 *  2. `created`, the position and the values of a slot change only under its lock; taking it is an
 *     acquire, giving it back a release.
 *  3. A slot is empty exactly while its position is TFN_POSITION_NONE.
 *
 * Rejected: a 128-bit compare-and-swap (event, created and position do not fit; values need a lock
 * in any case); one mutex per slot (40 bytes); striped mutexes (a second cache line per row).
 */

#include "offline/slots.h"

#include "offline/room.h"

#include "base/poison.h"

tfn_code tfn__slots_create(uint32_t n, tfn__slot **out, tfn_error *err)
{
    *out = NULL;
    tfn__slot *slots = NULL;
    TFN_RETURN_IF_ERROR(tfn__room(n, sizeof *slots, &slots, err));
    for (uint32_t i = 0; i < n; i++) {
        atomic_init(&slots[i].event, INT64_MIN);
        slots[i].created = TFN__NO_CREATED;
        atomic_init(&slots[i].position_and_lock, TFN_POSITION_NONE << 8);
    }
    *out = slots;
    return TFN_OK;
}
