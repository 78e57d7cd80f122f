/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Values of an answer as JSON. */

#include "unit/base_make.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "server/json_write.c"

static const char *write_values(tfn_buf *out, const tfn_value *values, size_t n,
                                tfn_json_times times)
{
    tfn_error err = {0};
    tfn_buf_clear(out);
    assert_ok(tfn_json_write_values(out, values, n, times, &err), err);
    return out->p == NULL ? "" : out->p;
}

static tfn_value integer(int64_t value)
{
    return (tfn_value){.kind = TFN_VALUE_INT64, .integer = value};
}

static tfn_value real(double value)
{
    return (tfn_value){.kind = TFN_VALUE_FLOAT64, .real = value};
}

static tfn_value text_of(int32_t kind, const char *text, size_t n)
{
    return (tfn_value){.kind = kind, .text = text, .n = n};
}

static void integers_of_every_length_are_written(void **state)
{
    (void)state;
    tfn_buf out = {0};
    const tfn_value values[] = {
        integer(0),         integer(-7),        integer(10),
        integer(99),        integer(100),       integer(123456789),
        integer(INT64_MAX), integer(INT64_MIN), {.kind = TFN_VALUE_INT32, .integer = -2147483648}};
    assert_string_equal(write_values(&out, values, 9, TFN_JSON_TIME_SECONDS),
                        "0,-7,10,99,100,123456789,9223372036854775807,-9223372036854775808,"
                        "-2147483648");
    tfn_buf_deinit(&out);
}

static void nothing_is_written_for_no_values(void **state)
{
    (void)state;
    tfn_buf out = {0};
    assert_string_equal(write_values(&out, NULL, 0, TFN_JSON_TIME_SECONDS), "");
    tfn_buf_deinit(&out);
}

/* Leave bytes where the next call has its locals: as yyjson's tags they are objects. */
static __attribute__((noinline)) uint64_t leave_bytes_on_the_stack(void)
{
    enum { N_BYTES = 16384, TAG_OF_OBJECT = 7 };
    volatile unsigned char bytes[N_BYTES];
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = TAG_OF_OBJECT;
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        sum += bytes[i];
    }
    return sum;
}

static void what_was_on_the_stack_before_is_not_looked_at(void **state)
{
    (void)state;
    tfn_buf out = {0};
    const tfn_value values[] = {real(NAN), real(1.5), real(-INFINITY), real(INFINITY)};
    assert_true(leave_bytes_on_the_stack() > 0);
    assert_string_equal(write_values(&out, values, 4, TFN_JSON_TIME_SECONDS),
                        "\"NaN\",1.5,\"-Infinity\",\"Infinity\"");
    tfn_buf_deinit(&out);
}

static void reals_keep_their_type_and_what_json_lacks_is_text(void **state)
{
    (void)state;
    tfn_buf out = {0};
    const tfn_value values[] = {real(2.0),       real(-0.0),
                                real(0.1),       {.kind = TFN_VALUE_NULL},
                                real(NAN),       real(INFINITY),
                                real(-INFINITY), {.kind = TFN_VALUE_FLOAT32, .real = (double)0.1F},
                                real(5e-324),    real(1.7976931348623157e308)};
    assert_string_equal(write_values(&out, values, 10, TFN_JSON_TIME_SECONDS),
                        "2.0,-0.0,0.1,null,\"NaN\",\"Infinity\",\"-Infinity\",0.10000000149011612,"
                        "5e-324,1.7976931348623157e308");
    tfn_buf_deinit(&out);
}

static void every_real_reads_back_as_it_was(void **state)
{
    (void)state;
    enum { N = 5000 };
    static tfn_value values[N];
    tfn_buf out = {0};
    for (size_t i = 0; i < N; i++) {
        const uint64_t bits = tfn_hash_mix(i + 1);
        double value = 0;
        memcpy(&value, &bits, sizeof value);
        values[i] = real(isfinite(value) ? value : (double)i);
    }
    const char *at = write_values(&out, values, N, TFN_JSON_TIME_SECONDS);
    for (size_t i = 0; i < N; i++) {
        char *end = NULL;
        assert_true(strtod(at, &end) == values[i].real);
        assert_true(*end == (i + 1 < N ? ',' : '\0'));
        at = end + 1;
    }
    tfn_buf_deinit(&out);
}

static void texts_are_escaped_where_json_wants_it(void **state)
{
    (void)state;
    tfn_buf out = {0};
    const tfn_value values[] = {text_of(TFN_VALUE_STRING, "plain", 5),
                                text_of(TFN_VALUE_STRING, "", 0),
                                text_of(TFN_VALUE_STRING, "q\"\\\n\t\b\f\r\x01\0z", 11),
                                text_of(TFN_VALUE_STRING, "caf\xc3\xa9 \xe2\x80\xa8", 9)};
    assert_string_equal(write_values(&out, values, 4, TFN_JSON_TIME_SECONDS),
                        "\"plain\",\"\",\"q\\\"\\\\\\n\\t\\b\\f\\r\\u0001\\u0000z\","
                        "\"caf\xc3\xa9 \xe2\x80\xa8\"");
    tfn_buf_deinit(&out);
}

static void bytes_are_base64(void **state)
{
    (void)state;
    tfn_buf out = {0};
    const tfn_value values[] = {text_of(TFN_VALUE_BYTES, "", 0), text_of(TFN_VALUE_BYTES, "a", 1),
                                text_of(TFN_VALUE_BYTES, "ab", 2),
                                text_of(TFN_VALUE_BYTES, "abc", 3),
                                text_of(TFN_VALUE_BYTES, "\x00\xff\xfe\xfd", 4)};
    assert_string_equal(write_values(&out, values, 5, TFN_JSON_TIME_SECONDS),
                        "\"\",\"YQ==\",\"YWI=\",\"YWJj\",\"AP/+/Q==\"");
    tfn_buf_deinit(&out);
}

static void kinds_may_be_mixed_in_any_order(void **state)
{
    (void)state;
    tfn_buf out = {0};
    const tfn_value values[] = {{.kind = TFN_VALUE_NULL},
                                real(1.5),
                                {.kind = TFN_VALUE_BOOL, .integer = 1},
                                text_of(TFN_VALUE_STRING, "x", 1),
                                {.kind = TFN_VALUE_BOOL},
                                {.kind = TFN_VALUE_NULL}};
    assert_string_equal(write_values(&out, values, 6, TFN_JSON_TIME_SECONDS),
                        "null,1.5,true,\"x\",false,null");
    tfn_buf_deinit(&out);
}

static void times_are_seconds_or_text(void **state)
{
    (void)state;
    tfn_buf out = {0};
    const tfn_value values[] = {
        {.kind = TFN_VALUE_TIMESTAMP, .unit = 2, .integer = INT64_C(1768075200123000)},
        {.kind = TFN_VALUE_TIMESTAMP, .unit = 3, .integer = -1},
        {.kind = TFN_VALUE_TIMESTAMP, .unit = 0, .integer = -62135596801},
        {.kind = TFN_VALUE_TIMESTAMP, .unit = 0, .integer = INT64_C(253402300800)},
        {.kind = TFN_VALUE_DATE, .integer = 19752},
        {.kind = TFN_VALUE_DATE, .integer = -719163},
        {.kind = TFN_VALUE_DATE, .integer = INT32_MAX}};
    assert_string_equal(write_values(&out, values, 7, TFN_JSON_TIME_SECONDS),
                        "1768075200,-1,-62135596801,253402300800,\"2024-01-30\",\"0000-12-31\","
                        "\"+5881580-07-11\"");
    assert_string_equal(write_values(&out, values, 4, TFN_JSON_TIME_TEXT),
                        "\"2026-01-10T20:00:00.123Z\",\"1969-12-31T23:59:59.999999999Z\","
                        "\"0000-12-31T23:59:59Z\",\"+10000-01-01T00:00:00Z\"");
    tfn_buf_deinit(&out);
}

static void an_instant_is_what_the_slow_way_writes(void **state)
{
    (void)state;
    static const int32_t nanos[] = {0, 1, 1000, 999999999, 123000000, 123456000};
    for (size_t i = 0; i < 20000; i++) {
        const uint64_t bits = tfn_hash_mix(i + 77);
        const int64_t seconds = (int64_t)(bits % UINT64_C(400000000000)) - INT64_C(80000000000);
        const int32_t part = nanos[i % 6];
        char slow[TFN_TIME_TEXT_BYTES];
        char fast[TFN_JSON_TIME_BYTES + 1];
        char quoted[TFN_TIME_TEXT_BYTES + 2];
        tfn_instant_format((tfn_instant){seconds, part}, slow);
        *tfn_json_put_time(fast, (tfn_time){seconds, part, 1}) = '\0';
        (void)snprintf(quoted, sizeof quoted, "\"%s\"", slow);
        assert_string_equal(fast, quoted);
    }
    char none[TFN_JSON_TIME_BYTES + 1];
    *tfn_json_put_time(none, (tfn_time){0}) = '\0';
    assert_string_equal(none, "\"1970-01-01T00:00:00Z\"");
}

static void digits_may_be_any_number(void **state)
{
    (void)state;
    tfn_buf out = {0};
    tfn_error err = {0};
    const int32_t digits[] = {1, 4, -3, 12};
    assert_ok(tfn_json_write_digits(&out, digits, 4, &err), err);
    assert_string_equal(out.p, "1,4,-3,12");
    assert_ok(tfn_json_write_digits(&out, digits, 0, &err), err);
    assert_string_equal(out.p, "1,4,-3,12");
    tfn_buf_deinit(&out);
}

static void a_ceiling_is_an_error_and_no_overrun(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn_buf out = {.max_bytes = 100};
    static const tfn_value values[64] = {{.kind = TFN_VALUE_FLOAT64, .real = 0.1}};
    assert_int_equal(tfn_json_write_values(&out, values, 64, TFN_JSON_TIME_SECONDS, &err),
                     TFN_LIMIT);
    tfn_buf_deinit(&out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_of_every_length_are_written),
        cmocka_unit_test(nothing_is_written_for_no_values),
        cmocka_unit_test(reals_keep_their_type_and_what_json_lacks_is_text),
        cmocka_unit_test(what_was_on_the_stack_before_is_not_looked_at),
        cmocka_unit_test(every_real_reads_back_as_it_was),
        cmocka_unit_test(texts_are_escaped_where_json_wants_it),
        cmocka_unit_test(bytes_are_base64),
        cmocka_unit_test(kinds_may_be_mixed_in_any_order),
        cmocka_unit_test(times_are_seconds_or_text),
        cmocka_unit_test(an_instant_is_what_the_slow_way_writes),
        cmocka_unit_test(digits_may_be_any_number),
        cmocka_unit_test(a_ceiling_is_an_error_and_no_overrun),
    };
    return cmocka_run_group_tests_name("server_json_write", tests, NULL, NULL);
}
