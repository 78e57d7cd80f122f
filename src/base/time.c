/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Instants, units and ISO 8601, with saturation in place of overflow.
 *
 * Days <-> dates use the proleptic Gregorian calendar through eras of 400 years (146,097 days),
 * counted from 0000-03-01 so that the leap day is the last day of a year.
 */

#include "base/time.h"

#include <stdio.h>
#include <time.h>

#include "base/poison.h"

enum { NANOS_PER_SECOND = 1000000000, DAYS_PER_ERA = 146097, SECONDS_PER_DAY = 86400 };

tfn_instant tfn_clock_now(const tfn_clock *clock)
{
    if (clock != NULL && clock->now != NULL) {
        return clock->now(clock->context);
    }
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (tfn_instant){now.tv_sec, (int32_t)now.tv_nsec};
}

double tfn_clock_monotonic_s(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / (double)NANOS_PER_SECOND;
}

int64_t tfn_unit_per_second(tfn_unit unit)
{
    static const int64_t per_second[] = {1, 1000, 1000000, NANOS_PER_SECOND};
    return per_second[unit];
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0 ? 1 : 0);
}

/* What floor_div leaves: 0 .. b - 1. */
static int64_t floor_mod(int64_t a, int64_t b)
{
    return a % b + (a % b < 0 ? b : 0);
}

static int64_t multiply_saturating(int64_t a, int64_t b)
{
    int64_t product = 0;
    if (__builtin_mul_overflow(a, b, &product)) {
        return a < 0 ? INT64_MIN : INT64_MAX;
    }
    return product;
}

int64_t tfn_time_convert(int64_t value, tfn_unit from, tfn_unit to)
{
    const int64_t from_scale = tfn_unit_per_second(from);
    const int64_t to_scale = tfn_unit_per_second(to);
    if (to_scale >= from_scale) {
        return multiply_saturating(value, to_scale / from_scale);
    }
    return floor_div(value, from_scale / to_scale);
}

int64_t tfn_time_add(int64_t a, int64_t b)
{
    int64_t sum = 0;
    if (__builtin_add_overflow(a, b, &sum)) {
        return b < 0 ? INT64_MIN : INT64_MAX;
    }
    return sum;
}

int64_t tfn_time_sub(int64_t a, int64_t b)
{
    int64_t difference = 0;
    if (__builtin_sub_overflow(a, b, &difference)) {
        return b < 0 ? INT64_MAX : INT64_MIN;
    }
    return difference;
}

tfn_instant tfn_instant_of(int64_t value, tfn_unit unit)
{
    const int64_t scale = tfn_unit_per_second(unit);
    const int64_t seconds = floor_div(value, scale);
    const int64_t rest = floor_mod(value, scale);
    return (tfn_instant){seconds, (int32_t)(rest * (NANOS_PER_SECOND / scale))};
}

int64_t tfn_instant_to(tfn_instant t, tfn_unit unit)
{
    const int64_t scale = tfn_unit_per_second(unit);
    const int64_t rest = t.nanos / (NANOS_PER_SECOND / scale);
    if (t.seconds == INT64_MIN) {
        return INT64_MIN;
    }
    if (t.seconds >= 0) {
        return tfn_time_add(multiply_saturating(t.seconds, scale), rest);
    }
    /* From the next second down, because the whole seconds alone may lie below INT64_MIN. */
    return tfn_time_sub(multiply_saturating(t.seconds + 1, scale), scale - rest);
}

int tfn_instant_compare(tfn_instant a, tfn_instant b)
{
    if (a.seconds != b.seconds) {
        return a.seconds < b.seconds ? -1 : 1;
    }
    return (a.nanos > b.nanos) - (a.nanos < b.nanos);
}

typedef struct date {
    int64_t year;
    int month;
    int day;
} date;

static date date_of_days(int64_t days_since_1970)
{
    const int64_t days = days_since_1970 + 719468; /* days from 0000-03-01 to 1970-01-01 */
    const int64_t era = floor_div(days, DAYS_PER_ERA);
    const int64_t day_of_era = days - era * DAYS_PER_ERA;
    const int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t month_from_march = (5 * day_of_year + 2) / 153;
    const int month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    return (date){.year = era * 400 + year_of_era + (month <= 2 ? 1 : 0),
                  .month = month,
                  .day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1)};
}

static int64_t days_of_date(date d)
{
    const int64_t year = d.month <= 2 ? d.year - 1 : d.year;
    const int64_t era = floor_div(year, 400);
    const int64_t year_of_era = year - era * 400;
    const int64_t month_from_march = d.month > 2 ? d.month - 3 : d.month + 9;
    const int64_t day_of_year = (153 * month_from_march + 2) / 5 + d.day - 1;
    const int64_t day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_PER_ERA + day_of_era - 719468;
}

void tfn_instant_format(tfn_instant t, char text[TFN_TIME_TEXT_BYTES])
{
    if (t.seconds == INT64_MIN) {
        (void)snprintf(text, TFN_TIME_TEXT_BYTES, "never");
        return;
    }
    const int64_t days = floor_div(t.seconds, SECONDS_PER_DAY);
    const int seconds = (int)floor_mod(t.seconds, SECONDS_PER_DAY);
    const date d = date_of_days(days);
    const char *sign = d.year > 9999 ? "+" : d.year < 0 ? "-" : "";
    int n = snprintf(text, TFN_TIME_TEXT_BYTES, "%s%04lld-%02d-%02dT%02d:%02d:%02d", sign,
                     (long long)(d.year < 0 ? -d.year : d.year), d.month, d.day, seconds / 3600,
                     seconds / 60 % 60, seconds % 60);
    const size_t at = (size_t)n;
    const size_t room = TFN_TIME_TEXT_BYTES - at;
    if (t.nanos == 0) {
        (void)snprintf(text + at, room, "Z");
    } else if (t.nanos % 1000000 == 0) {
        (void)snprintf(text + at, room, ".%03dZ", t.nanos / 1000000);
    } else if (t.nanos % 1000 == 0) {
        (void)snprintf(text + at, room, ".%06dZ", t.nanos / 1000);
    } else {
        (void)snprintf(text + at, room, ".%09dZ", t.nanos);
    }
}

typedef struct reader {
    const char *p;
    const char *end;
    bool ok;
} reader;

static int read_digits(reader *r, int n_digits)
{
    int value = 0;
    for (int i = 0; i < n_digits; i++) {
        if (r->p == r->end || *r->p < '0' || *r->p > '9') {
            r->ok = false;
            return 0;
        }
        value = value * 10 + (*r->p - '0');
        r->p++;
    }
    return value;
}

static bool read_char(reader *r, char c)
{
    if (r->p < r->end && *r->p == c) {
        r->p++;
        return true;
    }
    return false;
}

static void expect_char(reader *r, char c)
{
    r->ok = read_char(r, c) && r->ok;
}

static int32_t read_fraction(reader *r)
{
    int32_t nanos = 0;
    int n_digits = 0;
    while (r->p < r->end && *r->p >= '0' && *r->p <= '9') {
        if (n_digits < 9) {
            nanos = nanos * 10 + (*r->p - '0');
        }
        n_digits++;
        r->p++;
    }
    r->ok = r->ok && n_digits > 0;
    for (int i = n_digits; i < 9; i++) {
        nanos *= 10;
    }
    return nanos;
}

static int64_t read_zone_seconds(reader *r)
{
    if (r->p == r->end || read_char(r, 'Z') || read_char(r, 'z')) {
        return 0;
    }
    const bool east = read_char(r, '+');
    if (!east) {
        expect_char(r, '-');
    }
    const int hours = read_digits(r, 2);
    (void)read_char(r, ':');
    const int minutes = r->p < r->end ? read_digits(r, 2) : 0;
    const int64_t offset = hours * 3600 + minutes * 60;
    r->ok = r->ok && hours < 24 && minutes < 60;
    return east ? offset : -offset;
}

static int days_in_month(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

tfn_code tfn_instant_parse(tfn_str text, tfn_instant *out, tfn_error *err)
{
    *out = (tfn_instant){0, 0};
    reader r = {text.p, text.p + text.n, text.n > 0};
    date d = {.year = read_digits(&r, 4)};
    expect_char(&r, '-');
    d.month = read_digits(&r, 2);
    expect_char(&r, '-');
    d.day = read_digits(&r, 2);
    r.ok = r.ok && d.month >= 1 && d.month <= 12 && d.day >= 1;
    r.ok = r.ok && d.day <= days_in_month(d.year, d.month);
    int64_t seconds = 0;
    int32_t nanos = 0;
    if (r.ok && (read_char(&r, 'T') || read_char(&r, ' '))) {
        const int hour = read_digits(&r, 2);
        expect_char(&r, ':');
        const int minute = read_digits(&r, 2);
        const int second = read_char(&r, ':') ? read_digits(&r, 2) : 0;
        nanos = read_char(&r, '.') ? read_fraction(&r) : 0;
        r.ok = r.ok && hour < 24 && minute < 60 && second < 60;
        seconds = hour * 3600 + minute * 60 + second - read_zone_seconds(&r);
    }
    if (!r.ok || r.p != r.end) {
        return TFN_FAIL(
            err, TFN_INVALID,
            "'%.*s' is not a time; write it as 2013-01-31T10:00:00Z (no zone means UTC)",
            TFN_STR_ARG(text));
    }
    *out = (tfn_instant){days_of_date(d) * SECONDS_PER_DAY + seconds, nanos};
    return TFN_OK;
}
