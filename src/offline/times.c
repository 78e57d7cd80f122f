/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Times of any unit, compared as the instants they mean (docs/semantics/point-in-time.md, "Times").
 *
 * The entity time, the event time and the created time may each have a unit of its own. Converting
 * all three to the finest one would overflow (year 3000 has no nanoseconds in 64 bits), converting
 * to a coarser one would let a row see the future. So nothing is converted for keeps: searching
 * among entity times uses the first entity-unit time that is not before the source time (rounded
 * up: "event <= t" holds for exactly the t from there on), and differences are compared in 128-bit
 * nanoseconds.
 *
 * Rejected: saturating conversion to the finer unit. It is almost always the same, but a row dated
 * 1500 and a time to live of 400 years then meet at the edge of the range.
 */

#include "offline/times.h"

#include <string.h>

#include "base/poison.h"

enum { SECONDS_PER_DAY = 86400 };

static void mark_nulls(const tfn_vec *v, int64_t begin, int64_t n, uint8_t *states)
{
    memset(states, TFN__TIME_OK, (size_t)n);
    if (v->validity == NULL && v->layout != TFN_LAYOUT_NONE) {
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        states[i] = tfn_vec_is_valid(v, begin + i) ? TFN__TIME_OK : TFN__TIME_NULL;
    }
}

static void mark_infinities(const int64_t *values, int64_t n, uint8_t *states)
{
    for (int64_t i = 0; i < n; i++) {
        if (states[i] == TFN__TIME_OK && values[i] == INT64_MAX) {
            states[i] = TFN__TIME_PLUS_INFINITY;
        } else if (states[i] == TFN__TIME_OK && values[i] == -INT64_MAX) {
            states[i] = TFN__TIME_MINUS_INFINITY;
        }
    }
}

/* DuckDB's infinite dates are the ends of int32. */
static void read_dates(const tfn_vec *v, int64_t begin, int64_t n, int64_t *values, uint8_t *states)
{
    for (int64_t i = 0; i < n; i++) {
        values[i] = 0;
        if (states[i] != TFN__TIME_OK) {
            continue;
        }
        const int64_t days = tfn_vec_get_int(v, begin + i);
        if (v->has_infinity && (days == INT32_MAX || days == -INT32_MAX)) {
            states[i] = days > 0 ? TFN__TIME_PLUS_INFINITY : TFN__TIME_MINUS_INFINITY;
        }
        values[i] = days * SECONDS_PER_DAY;
    }
}

void tfn__times_read(const tfn_vec *v, int64_t begin, int64_t n, int64_t *values, uint8_t *states)
{
    mark_nulls(v, begin, n, states);
    if (v->layout == TFN_LAYOUT_NONE) {
        return;
    }
    if (v->type.kind == TFN_KIND_DATE) {
        read_dates(v, begin, n, values, states);
        return;
    }
    if (v->layout == TFN_LAYOUT_FIXED && v->number == TFN_NUMBER_I64) {
        memcpy(values, (const int64_t *)v->data + v->offset + begin, (size_t)n * sizeof *values);
    } else {
        for (int64_t i = 0; i < n; i++) {
            values[i] = states[i] == TFN__TIME_OK ? tfn_vec_get_int(v, begin + i) : 0;
        }
    }
    if (v->has_infinity) {
        mark_infinities(values, n, states);
    }
}

int64_t tfn__nanos_per_unit(tfn_unit unit)
{
    return tfn_unit_per_second(TFN_UNIT_NS) / tfn_unit_per_second(unit);
}

tfn__rescale tfn__rescale_of(tfn_unit from, tfn_unit to)
{
    const int64_t from_scale = tfn_unit_per_second(from);
    const int64_t to_scale = tfn_unit_per_second(to);
    if (to_scale >= from_scale) {
        return (tfn__rescale){to_scale / from_scale, 1};
    }
    return (tfn__rescale){1, from_scale / to_scale};
}

tfn_instant tfn__times_instant(int64_t value, tfn_unit unit)
{
    const int64_t scale = tfn_unit_per_second(unit);
    const bool is_below = value % scale < 0;
    const int64_t rest = value % scale + (is_below ? scale : 0);
    return (tfn_instant){value / scale - (is_below ? 1 : 0),
                         (int32_t)(rest * tfn__nanos_per_unit(unit))};
}

/* Nanoseconds of an instant; seconds of any int64 fit. */
static tfn__wide wide_of_instant(tfn_instant t)
{
    return (tfn__wide)t.seconds * tfn_unit_per_second(TFN_UNIT_NS) + t.nanos;
}

static tfn__wide floor_divide(tfn__wide a, tfn__wide b)
{
    return a / b - (a % b < 0 ? 1 : 0);
}

tfn__bounds tfn__bounds_of(const tfn_instant *first, const tfn_instant *last, tfn_unit unit)
{
    const tfn__wide scale = tfn__nanos_per_unit(unit);
    tfn__bounds b = {.first = INT64_MIN, .last = INT64_MAX, .is_empty = false};
    if (first != NULL) {
        const tfn__wide up = -floor_divide(-wide_of_instant(*first), scale);
        b.is_empty = b.is_empty || up > INT64_MAX;
        b.first = up < INT64_MIN ? INT64_MIN : (int64_t)up;
    }
    if (last != NULL) {
        const tfn__wide down = floor_divide(wide_of_instant(*last), scale);
        b.is_empty = b.is_empty || down < INT64_MIN;
        b.last = down > INT64_MAX ? INT64_MAX : (int64_t)down;
    }
    return b;
}
