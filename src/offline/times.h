/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_OFFLINE_TIMES_H
#define TFN_OFFLINE_TIMES_H

/*
 * Time columns as plain int64, and comparisons of times of different units that are exact: nothing
 * is truncated, and nothing overflows.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/time.h"
#include "column/vec.h"

/* Wide enough for any int64 time in nanoseconds. */
__extension__ typedef __int128 tfn__wide;

typedef enum tfn__time_state {
    TFN__TIME_OK = 0,
    TFN__TIME_NULL = 1,
    TFN__TIME_PLUS_INFINITY = 2,
    TFN__TIME_MINUS_INFINITY = 3
} tfn__time_state;

/** Unit in which tfn__times_read gives the values of a timestamp or date column. */
static inline tfn_unit tfn__times_unit(tfn_type type)
{
    return type.kind == TFN_KIND_TIMESTAMP ? (tfn_unit)type.unit : TFN_UNIT_S;
}

/**
 * Rows begin .. begin + n - 1 of a timestamp or date vector (dates: their midnight, in seconds).
 *
 * @param states  tfn__time_state per row; the value of a row that is not OK is undefined
 *
 * Threads  any
 * Errors   none
 */
void tfn__times_read(const tfn_vec *v, int64_t begin, int64_t n, int64_t *values, uint8_t *states);

/* How to turn a time of one unit into the least time of another that is not before it. */
typedef struct tfn__rescale {
    int64_t multiply; /* to a finer unit; 1 = no */
    int64_t divide;   /* to a coarser one; 1 = no */
} tfn__rescale;

tfn__rescale tfn__rescale_of(tfn_unit from, tfn_unit to);

/** Smallest time in the new unit that is >= value. False when it is outside of int64's range:
 * `*out` is then INT64_MIN or INT64_MAX. */
static inline bool tfn__rescale_up(tfn__rescale r, int64_t value, int64_t *out)
{
    if (r.divide != 1) {
        *out = value / r.divide + (value % r.divide > 0 ? 1 : 0);
        return true;
    }
    if (__builtin_mul_overflow(value, r.multiply, out)) {
        *out = value < 0 ? INT64_MIN : INT64_MAX;
        return false;
    }
    return true;
}

/** A time in nanoseconds. */
static inline tfn__wide tfn__wide_of(int64_t value, int64_t nanos_per_unit)
{
    return (tfn__wide)value * nanos_per_unit;
}

int64_t tfn__nanos_per_unit(tfn_unit unit);

/** The instant of a time; exact for every int64. */
tfn_instant tfn__times_instant(int64_t value, tfn_unit unit);

/* A bound on times, inclusive, in a column's own unit; `is_empty`: no int64 time satisfies it. */
typedef struct tfn__bounds {
    int64_t first;
    int64_t last;
    bool is_empty;
} tfn__bounds;

/** Times t with first <= t <= last, both exact; either may be NULL = no bound. */
tfn__bounds tfn__bounds_of(const tfn_instant *first, const tfn_instant *last, tfn_unit unit);

static inline bool tfn__bounds_hold(const tfn__bounds *b, int64_t value)
{
    return value >= b->first && value <= b->last && !b->is_empty;
}

#endif
