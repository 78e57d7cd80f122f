/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_BASE_TIME_H
#define TFN_BASE_TIME_H

/*
 * Instants. Three forms, each for its place:
 *   int64 in a stated unit   columns and kernels
 *   tfn_instant              stored online and in the registry: seconds and nanoseconds, so that
 *                            9999-12-31 with nanoseconds fits
 *   ISO 8601 text            messages and JSON
 * All are UTC. The clock is an argument, so tests decide what time it is.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

typedef enum tfn_unit {
    TFN_UNIT_S = 0,
    TFN_UNIT_MS = 1,
    TFN_UNIT_US = 2,
    TFN_UNIT_NS = 3
} tfn_unit;

typedef struct tfn_instant {
    int64_t seconds; /* since 1970-01-01T00:00:00Z, floor */
    int32_t nanos;   /* 0 .. 999,999,999 */
} tfn_instant;

/** "No time": lower than every instant (a missing created time). */
static const tfn_instant TFN_INSTANT_NONE = {INT64_MIN, 0};

/** Where "now" comes from. A zeroed struct means the system's clock. */
typedef struct tfn_clock {
    tfn_instant (*now)(void *context); /* NULL = system clock */
    void *context;
} tfn_clock;

tfn_instant tfn_clock_now(const tfn_clock *clock);

/** Seconds of a clock that never goes back, for durations. */
double tfn_clock_monotonic_s(void);

/** Units per second: 1, 1,000, 1,000,000, 1,000,000,000. */
int64_t tfn_unit_per_second(tfn_unit unit);

/**
 * Change the unit of a time. To a finer unit: exact, or saturated to INT64_MIN / INT64_MAX.
 * To a coarser one: floor.
 */
int64_t tfn_time_convert(int64_t value, tfn_unit from, tfn_unit to);

/** a + b and a - b, saturating. */
int64_t tfn_time_add(int64_t a, int64_t b);
int64_t tfn_time_sub(int64_t a, int64_t b);

tfn_instant tfn_instant_of(int64_t value, tfn_unit unit);
/** Floor to the unit; saturates. TFN_INSTANT_NONE gives INT64_MIN. */
int64_t tfn_instant_to(tfn_instant t, tfn_unit unit);
int tfn_instant_compare(tfn_instant a, tfn_instant b);

enum { TFN_TIME_TEXT_BYTES = 40 };

/**
 * ISO 8601 with as many fraction digits as are needed (0, 3, 6 or 9) and 'Z'; years outside
 * 0..9999 as e.g. "+12345-01-01T00:00:00Z". TFN_INSTANT_NONE gives "never".
 */
void tfn_instant_format(tfn_instant t, char text[TFN_TIME_TEXT_BYTES]);

/**
 * Read "2013-01-31", "2013-01-31T10:00", "2013-01-31 10:00:00.123456789", with "Z" or "+01:00"; no
 * zone means UTC.
 *
 * Errors   TFN_INVALID names the text and the form that is expected
 */
TFN_NODISCARD tfn_code tfn_instant_parse(tfn_str text, tfn_instant *out, tfn_error *err);

#endif
