/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Values as JSON.
 *
 * Values of a column are alike, so they are written in runs of one kind: room for a whole run is
 * made once, then it is filled without a look at the buffer.
 *
 *   integers, booleans, nulls   two digits at a time from a table
 *   reals                       yyjson's writer has the shortest decimal form that reads back; it
 *                               gets a run as one flat array, whose brackets are left out. Its
 *                               memory is on our stack: MOST_REALS of them at once
 *   texts                       copied piece by piece between characters that need an escape
 *   instants                    the date is computed here, without printf
 *
 * Rejected: one call of yyjson per number (80 ns instead of 30), a number writer of our own (10 kB
 * of tables and a proof).
 */

#include "server/json_write.h"

#include <math.h>
#include <yyjson.h>

#include "base/mem.h"
#include "base/time.h"

#include "base/poison.h"

enum { MOST_INTEGER_BYTES = 21 }; /* with a comma */

static const char two_digits[] = "00010203040506070809101112131415161718192021222324"
                                 "25262728293031323334353637383940414243444546474849"
                                 "50515253545556575859606162636465666768697071727374"
                                 "75767778798081828384858687888990919293949596979899";

static char *put(char *to, const char *text, size_t n)
{
    memcpy(to, text, n);
    return to + n;
}

/* ---- integers ---- */

static char *put_unsigned(char *to, uint64_t value)
{
    char digits[20];
    size_t i = sizeof digits;
    while (value >= 100) {
        const size_t pair = (size_t)(value % 100);
        value /= 100;
        i -= 2;
        memcpy(digits + i, two_digits + 2 * pair, 2);
    }
    if (value >= 10) {
        i -= 2;
        memcpy(digits + i, two_digits + 2 * (size_t)value, 2);
    } else {
        digits[--i] = (char)('0' + value);
    }
    return put(to, digits + i, sizeof digits - i);
}

char *tfn_json_put_integer(char *to, int64_t value)
{
    if (value < 0) {
        *to++ = '-';
        return put_unsigned(to, 0 - (uint64_t)value);
    }
    return put_unsigned(to, (uint64_t)value);
}

tfn_code tfn_json_write_digits(tfn_buf *out, const int32_t *digits, size_t n, tfn_error *err)
{
    size_t n_most = 0;
    char *to = NULL;
    if (!tfn_mem_mul(n, MOST_INTEGER_BYTES, &n_most)) {
        return TFN_FAIL(err, TFN_LIMIT, "%zu numbers are too many for one answer", n);
    }
    TFN_RETURN_IF_ERROR(tfn_buf_add_room(out, n_most, &to, err));
    for (size_t i = 0; i < n; i++) {
        if (digits[i] >= 0 && digits[i] <= 9) {
            *to++ = (char)('0' + digits[i]);
        } else {
            to = tfn_json_put_integer(to, digits[i]);
        }
        *to++ = ',';
    }
    tfn_json_end_room(out, n == 0 ? to : to - 1);
    return TFN_OK;
}

/* ---- instants ---- */

static char *put_pair(char *to, uint32_t value)
{
    return put(to, two_digits + 2 * (size_t)value, 2);
}

static char *put_nanos(char *to, uint32_t nanos)
{
    if (nanos == 0) {
        return to;
    }
    uint32_t n_digits = 9;
    while (n_digits > 3 && nanos % 1000 == 0) {
        nanos /= 1000;
        n_digits -= 3;
    }
    *to = '.';
    for (uint32_t i = n_digits; i > 0; i--, nanos /= 10) {
        to[i] = (char)('0' + nanos % 10);
    }
    return to + n_digits + 1;
}

enum { SECONDS_PER_DAY = 86400, DAYS_BEFORE_1970 = 719468 /* from 0000-03-01 */ };

/* Years 1 to 9999: those that need neither a sign nor a fifth digit. */
static const int64_t first_plain_s = INT64_C(-62135596800);
static const int64_t last_plain_s = INT64_C(253402300799);

/* Date of a day in those years. Days count from a first of March, so that leap days come last. */
static char *put_date(char *to, int64_t days_since_1970)
{
    const uint32_t days = (uint32_t)(days_since_1970 + DAYS_BEFORE_1970);
    const uint32_t era = days / 146097; /* of 400 years */
    const uint32_t of_era = days % 146097;
    const uint32_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const uint32_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const uint32_t from_march = (5 * of_year + 2) / 153;
    const uint32_t month = from_march < 10 ? from_march + 3 : from_march - 9;
    const uint32_t year = era * 400 + year_of_era + (month <= 2 ? 1 : 0);
    to = put_pair(to, year / 100);
    to = put_pair(to, year % 100);
    *to++ = '-';
    to = put_pair(to, month);
    *to++ = '-';
    return put_pair(to, of_year - (153 * from_march + 2) / 5 + 1);
}

static bool is_plain(int64_t seconds)
{
    return seconds >= first_plain_s && seconds <= last_plain_s;
}

static char *put_time_of_day(char *to, uint32_t second)
{
    to = put_pair(to, second / 3600);
    *to++ = ':';
    to = put_pair(to, second / 60 % 60);
    *to++ = ':';
    return put_pair(to, second % 60);
}

char *tfn_json_put_time(char *to, tfn_time t)
{
    if (t.is_set == 0) {
        static const char epoch[] = "\"1970-01-01T00:00:00Z\"";
        return put(to, epoch, sizeof epoch - 1);
    }
    *to++ = '"';
    if (!is_plain(t.seconds)) {
        char text[TFN_TIME_TEXT_BYTES];
        tfn_instant_format((tfn_instant){t.seconds, t.nanos}, text);
        to = put(to, text, strlen(text));
    } else {
        const int64_t from_first = t.seconds - first_plain_s;
        const int64_t first_day = first_plain_s / SECONDS_PER_DAY;
        to = put_date(to, first_day + from_first / SECONDS_PER_DAY);
        *to++ = 'T';
        to = put_time_of_day(to, (uint32_t)(from_first % SECONDS_PER_DAY));
        to = put_nanos(to, (uint32_t)t.nanos);
        *to++ = 'Z';
    }
    *to++ = '"';
    return to;
}

/* "2013-01-31"; a date that has no such form as an instant has: "+12345-01-01". */
static char *put_day(char *to, int64_t day)
{
    *to++ = '"';
    if (day >= first_plain_s / SECONDS_PER_DAY && day <= last_plain_s / SECONDS_PER_DAY) {
        to = put_date(to, day);
    } else {
        char text[TFN_TIME_TEXT_BYTES];
        tfn_instant_format((tfn_instant){day * SECONDS_PER_DAY, 0}, text);
        to = put(to, text, strcspn(text, "T"));
    }
    *to++ = '"';
    return to;
}

static char *put_instant(char *to, const tfn_value *value, tfn_json_times times)
{
    const tfn_instant t = tfn_instant_of(value->integer, (tfn_unit)value->unit);
    if (times == TFN_JSON_TIME_SECONDS) {
        return tfn_json_put_integer(to, t.seconds);
    }
    return tfn_json_put_time(to, (tfn_time){t.seconds, t.nanos, 1});
}

/* ---- values of at most so many bytes ---- */

static bool is_small(const tfn_value *value)
{
    return value->kind <= TFN_VALUE_INT64 || value->kind == TFN_VALUE_DATE ||
           value->kind == TFN_VALUE_TIMESTAMP;
}

static char *put_small(char *to, const tfn_value *value, tfn_json_times times)
{
    switch (value->kind) {
    case TFN_VALUE_INT32:
    case TFN_VALUE_INT64:
        return tfn_json_put_integer(to, value->integer);
    case TFN_VALUE_BOOL:
        return value->integer != 0 ? put(to, "true", 4) : put(to, "false", 5);
    case TFN_VALUE_DATE:
        return put_day(to, value->integer);
    case TFN_VALUE_TIMESTAMP:
        return put_instant(to, value, times);
    default:
        return put(to, "null", 4);
    }
}

/* The small values that `values` begins with, each with a comma behind it. */
static tfn_code write_small(tfn_buf *out, const tfn_value *values, size_t n, tfn_json_times times,
                            size_t *n_done, tfn_error *err)
{
    enum { MOST_SMALL = 1024 }; /* so that room stays small beside what is written */
    char *to = NULL;
    n = n < MOST_SMALL ? n : MOST_SMALL;
    TFN_RETURN_IF_ERROR(tfn_buf_add_room(out, n * (TFN_JSON_TIME_BYTES + 1), &to, err));
    size_t i = 0;
    for (; i < n && is_small(&values[i]); i++) {
        to = put_small(to, &values[i], times);
        *to++ = ',';
    }
    tfn_json_end_room(out, to);
    *n_done = i;
    return TFN_OK;
}

/* ---- reals ---- */

enum { MOST_REALS = 128, REAL_BYTES = 36 /* what yyjson wants for one in an array, and more */ };

/* Memory that yyjson writes a run into: one piece, which is large enough. */
typedef struct real_room {
    _Alignas(max_align_t) char bytes[(MOST_REALS + 4) * REAL_BYTES];
} real_room;

static void *room_alloc(void *context, size_t n_bytes)
{
    real_room *room = context;
    return n_bytes <= sizeof room->bytes ? room->bytes : NULL;
}

static void *room_resize(void *context, void *p, size_t n_old, size_t n_bytes)
{
    (void)p;
    (void)n_old;
    return room_alloc(context, n_bytes);
}

static void room_release(void *context, void *p)
{
    (void)context;
    (void)p;
}

/* `to` holds nothing yet: the checked setters would look at what it is. */
static void set_real(yyjson_val *to, double real)
{
    if (isfinite(real)) {
        unsafe_yyjson_set_real(to, real);
    } else if (isnan(real)) {
        unsafe_yyjson_set_strn(to, "NaN", 3);
    } else {
        unsafe_yyjson_set_str(to, real > 0 ? "Infinity" : "-Infinity");
    }
}

static bool is_real(const tfn_value *value)
{
    return value->kind == TFN_VALUE_FLOAT64 || value->kind == TFN_VALUE_FLOAT32;
}

/* The reals and nulls that `values` begins with, each with a comma behind it. */
static tfn_code write_reals(tfn_buf *out, const tfn_value *values, size_t n, size_t *n_done,
                            tfn_error *err)
{
    yyjson_val items[MOST_REALS + 1]; /* the first is the array itself */
    real_room room;
    const yyjson_alc memory = {room_alloc, room_resize, room_release, &room};
    size_t i = 0;
    for (; i < n && i < MOST_REALS; i++) {
        if (is_real(&values[i])) {
            set_real(&items[i + 1], values[i].real);
        } else if (values[i].kind == TFN_VALUE_NULL) {
            unsafe_yyjson_set_null(&items[i + 1]);
        } else {
            break;
        }
    }
    unsafe_yyjson_set_arr(&items[0], i);
    items[0].uni.ofs = 2 * (i + 1) * sizeof *items; /* twice: it asks for more room at once */
    size_t n_bytes = 0;
    char *text = yyjson_val_write_opts(items, YYJSON_WRITE_NOFLAG, &memory, &n_bytes, NULL);
    if (text == NULL || n_bytes < 2) {
        return TFN_FAIL(err, TFN_CORRUPT, "%zu numbers could not be written as JSON", i);
    }
    text[n_bytes - 1] = ','; /* where its bracket was */
    *n_done = i;
    return tfn_buf_add(out, text + 1, n_bytes - 1, err);
}

/* ---- texts and bytes ---- */

static bool must_escape(char c)
{
    return c == '"' || c == '\\' || (unsigned char)c < 0x20u;
}

static char *put_escape(char *to, char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* pairs: what, and its letter */
    for (size_t i = 0; i < sizeof letters - 1; i += 2) {
        if (letters[i] == c) {
            *to++ = '\\';
            *to++ = letters[i + 1];
            return to;
        }
    }
    to = put(to, "\\u00", 4);
    *to++ = hex[(unsigned char)c >> 4];
    *to++ = hex[(unsigned char)c & 15u];
    return to;
}

static size_t count_escapes(tfn_str text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        n += must_escape(text.p[i]) ? 1 : 0;
    }
    return n;
}

tfn_code tfn_json_write_text(tfn_buf *out, tfn_str text, tfn_error *err)
{
    enum { QUOTES = 2, MORE_PER_ESCAPE = 5 };
    const size_t n_escapes = count_escapes(text);
    char *to = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_buf_add_room(out, text.n + QUOTES + MORE_PER_ESCAPE * n_escapes, &to, err));
    *to++ = '"';
    if (n_escapes == 0) {
        to = text.n == 0 ? to : put(to, text.p, text.n);
    } else {
        for (size_t i = 0; i < text.n; i++) {
            const char c = text.p[i];
            if (must_escape(c)) {
                to = put_escape(to, c);
            } else {
                *to++ = c;
            }
        }
    }
    *to++ = '"';
    tfn_json_end_room(out, to);
    return TFN_OK;
}

static tfn_code write_bytes(tfn_buf *out, tfn_str bytes, tfn_error *err)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = (const unsigned char *)bytes.p;
    char *to = NULL;
    TFN_RETURN_IF_ERROR(tfn_buf_add_room(out, bytes.n / 3 * 4 + 6, &to, err));
    *to++ = '"';
    size_t i = 0;
    for (; i + 2 < bytes.n; i += 3) {
        const uint32_t group = (uint32_t)p[i] << 16 | (uint32_t)p[i + 1] << 8 | (uint32_t)p[i + 2];
        *to++ = alphabet[group >> 18];
        *to++ = alphabet[group >> 12 & 63u];
        *to++ = alphabet[group >> 6 & 63u];
        *to++ = alphabet[group & 63u];
    }
    if (i < bytes.n) {
        const bool has_two = i + 1 < bytes.n;
        const uint32_t group = (uint32_t)p[i] << 16 | (has_two ? (uint32_t)p[i + 1] << 8 : 0);
        *to++ = alphabet[group >> 18];
        *to++ = alphabet[group >> 12 & 63u];
        *to++ = has_two ? alphabet[group >> 6 & 63u] : '=';
        *to++ = '=';
    }
    *to++ = '"';
    tfn_json_end_room(out, to);
    return TFN_OK;
}

/* ---- any value ---- */

/* The values of one list, in runs as those of a column. */
static tfn_code write_list(tfn_buf *out, const tfn_value *list, tfn_json_times times,
                           tfn_error *err)
{
    enum { MOST_ITEMS = 64 };
    tfn_value items[MOST_ITEMS];
    TFN_RETURN_IF_ERROR(tfn_buf_add(out, "[", 1, err));
    for (size_t begin = 0; begin < list->n; begin += MOST_ITEMS) {
        const size_t n = list->n - begin < MOST_ITEMS ? list->n - begin : MOST_ITEMS;
        for (size_t i = 0; i < n; i++) {
            tfn_value_get_item(list, begin + i, &items[i]);
        }
        TFN_RETURN_IF_ERROR(begin == 0 ? TFN_OK : tfn_buf_add(out, ",", 1, err));
        TFN_RETURN_IF_ERROR(tfn_json_write_values(out, items, n, times, err));
    }
    return tfn_buf_add(out, "]", 1, err);
}

/* One text, bytes or list, with a comma behind it. */
static tfn_code write_large(tfn_buf *out, const tfn_value *value, tfn_json_times times,
                            tfn_error *err)
{
    const tfn_str text = {value->text, value->n};
    if (value->kind == TFN_VALUE_STRING) {
        TFN_RETURN_IF_ERROR(tfn_json_write_text(out, text, err));
    } else if (value->kind == TFN_VALUE_BYTES) {
        TFN_RETURN_IF_ERROR(write_bytes(out, text, err));
    } else {
        TFN_RETURN_IF_ERROR(write_list(out, value, times, err));
    }
    return tfn_buf_add(out, ",", 1, err);
}

tfn_code tfn_json_write_values(tfn_buf *out, const tfn_value *values, size_t n,
                               tfn_json_times times, tfn_error *err)
{
    size_t i = 0;
    while (i < n) {
        size_t n_done = 1;
        if (is_real(&values[i])) {
            TFN_RETURN_IF_ERROR(write_reals(out, values + i, n - i, &n_done, err));
        } else if (is_small(&values[i])) {
            TFN_RETURN_IF_ERROR(write_small(out, values + i, n - i, times, &n_done, err));
        } else {
            TFN_RETURN_IF_ERROR(write_large(out, &values[i], times, err));
        }
        i += n_done;
    }
    if (n > 0) {
        tfn_json_end_room(out, out->p + out->n - 1); /* the last comma */
    }
    return TFN_OK;
}
