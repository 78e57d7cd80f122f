/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_ONLINE_REDIS_VALUE_H
#define TFN_ONLINE_REDIS_VALUE_H

/*
 * What stands in the fields of a hash in Redis: Feast's values (message feast.types.Value), its
 * event times (google.protobuf.Timestamp), and our pair of event and created time.
 *
 * Format    docs/formats/redis.md, "Values" and "Times"
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/time.h"
#include "column/cell.h"
#include "column/type.h"

/** Does Feast's message have this type in one member? All but dates, maps and structs, and lists of
 * them. */
bool tfn__redis_can_keep(tfn_type type);

/**
 * Append one value. A null appends nothing, as Feast writes an empty field; but that of a time is a
 * time that cannot be, -2^63 seconds.
 *
 * @param cell  [borrow] of this type, which can be kept. Times lose what is finer than a second
 *
 * Nulls    TFN_UNSUPPORTED: a list that holds one (the caller adds the feature's name)
 * Threads  one at a time per buffer
 * Errors   TFN_UNSUPPORTED . TFN_CORRUPT not a packed list . TFN_LIMIT . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__redis_value_add(tfn_type type, const tfn_cell *cell, tfn_buf *out,
                                            tfn_error *err);

/**
 * Read one value.
 *
 * @param bytes    [borrow as long as the cell] empty: a null
 * @param type     a timestamp's unit must be TFN_UNIT_S
 * @param arena    [borrow] packed lists go there
 * @param out      [out] strings borrow `bytes`
 * @param is_type  [out] false: a value of another type, as it was written before the definition
 *                 changed; then *out is null. int32 reads as int64 and float32 as float64
 *
 * Cost     O(bytes); allocates for lists only, a multiple of their bytes
 * Threads  one at a time per arena
 * Errors   TFN_CORRUPT no such message, or a string that is not UTF-8 . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__redis_value_read(tfn_type type, tfn_str bytes, tfn_arena *arena,
                                             tfn_cell *out, bool *is_type, tfn_error *err);

enum { TFN__REDIS_TIME_MAX_BYTES = 22, TFN__REDIS_PAIR_BYTES = 25 };

/**
 * Write an event time as Feast does.
 *
 * @return bytes written, at most TFN__REDIS_TIME_MAX_BYTES; 0 for 1970-01-01T00:00:00Z
 *
 * Threads  any
 * Errors   none: an instant outside of years 1 to 9999 is the caller's to refuse
 */
size_t tfn__redis_time_write(tfn_instant time, uint8_t out[TFN__REDIS_TIME_MAX_BYTES]);

/** Does Feast's form of times hold it: years 1 to 9999? Threads any. Errors none. */
bool tfn__redis_time_fits(tfn_instant time);

/** Errors TFN_CORRUPT no such message, or nanoseconds out of range. Threads any. */
TFN_NODISCARD tfn_code tfn__redis_time_read(tfn_str bytes, tfn_instant *out, tfn_error *err);

/** Write the pair of event and created time. Threads any. Errors none. */
void tfn__redis_pair_write(tfn_instant event, tfn_instant created,
                           uint8_t out[TFN__REDIS_PAIR_BYTES]);

/** The created time of a pair, if it goes with this event time; else TFN_INSTANT_NONE, also for
 * bytes that are no pair (of a newer Tiffin). Threads any. Errors none. */
tfn_instant tfn__redis_pair_read(tfn_str bytes, tfn_instant event);

#endif
