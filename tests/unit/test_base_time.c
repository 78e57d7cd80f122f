/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/base_make.h"

#include "base/time.c"

static void times_convert_exactly_or_saturate_or_floor(void **state)
{
    (void)state;
    assert_int_equal(tfn_time_convert(5, TFN_UNIT_S, TFN_UNIT_NS), 5000000000);
    assert_int_equal(tfn_time_convert(-5, TFN_UNIT_MS, TFN_UNIT_US), -5000);
    assert_int_equal(tfn_time_convert(7, TFN_UNIT_US, TFN_UNIT_US), 7);
    assert_int_equal(tfn_time_convert(INT64_MAX, TFN_UNIT_S, TFN_UNIT_MS), INT64_MAX);
    assert_int_equal(tfn_time_convert(INT64_MIN, TFN_UNIT_S, TFN_UNIT_NS), INT64_MIN);
    assert_int_equal(tfn_time_convert(1999, TFN_UNIT_MS, TFN_UNIT_S), 1);
    assert_int_equal(tfn_time_convert(-1, TFN_UNIT_NS, TFN_UNIT_S), -1);
    assert_int_equal(tfn_time_convert(-1000, TFN_UNIT_MS, TFN_UNIT_S), -1);
    assert_int_equal(tfn_time_convert(INT64_MIN, TFN_UNIT_NS, TFN_UNIT_S), -9223372037);
    assert_int_equal(tfn_unit_per_second(TFN_UNIT_US), 1000000);
}

static void sums_and_differences_saturate(void **state)
{
    (void)state;
    assert_int_equal(tfn_time_add(2, 3), 5);
    assert_int_equal(tfn_time_add(INT64_MAX, 1), INT64_MAX);
    assert_int_equal(tfn_time_add(INT64_MIN, -1), INT64_MIN);
    assert_int_equal(tfn_time_sub(2, 3), -1);
    assert_int_equal(tfn_time_sub(INT64_MIN, 1), INT64_MIN);
    assert_int_equal(tfn_time_sub(INT64_MAX, -1), INT64_MAX);
    assert_int_equal(tfn_time_sub(0, INT64_MIN), INT64_MAX);
}

static void instants_come_back_in_their_unit(void **state)
{
    (void)state;
    static const int64_t values[] = {INT64_MIN,
                                     INT64_MIN + 1,
                                     INT64_MIN + 999999999,
                                     -1000000001,
                                     -1000000000,
                                     -999999999,
                                     -1,
                                     0,
                                     1,
                                     999,
                                     1000000000,
                                     INT64_MAX - 1,
                                     INT64_MAX};
    for (int unit = TFN_UNIT_S; unit <= TFN_UNIT_NS; unit++) {
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
            const tfn_instant t = tfn_instant_of(values[i], (tfn_unit)unit);
            assert_in_range(t.nanos, 0, 999999999);
            assert_int_equal(tfn_instant_to(t, (tfn_unit)unit), values[i]);
        }
    }
    const tfn_instant before = tfn_instant_of(-1, TFN_UNIT_NS);
    assert_int_equal(before.seconds, -1);
    assert_int_equal(before.nanos, 999999999);
}

static void instants_floor_and_saturate_in_another_unit(void **state)
{
    (void)state;
    const tfn_instant late = {253402300799, 999999999}; /* 9999-12-31T23:59:59.999999999Z */
    assert_int_equal(tfn_instant_to(late, TFN_UNIT_S), 253402300799);
    assert_int_equal(tfn_instant_to(late, TFN_UNIT_US), 253402300799999999);
    assert_int_equal(tfn_instant_to(late, TFN_UNIT_NS), INT64_MAX);
    const tfn_instant early = {-62135596800, 1}; /* year 1 */
    assert_int_equal(tfn_instant_to(early, TFN_UNIT_S), -62135596800);
    assert_int_equal(tfn_instant_to(early, TFN_UNIT_NS), INT64_MIN);
    const tfn_instant minus = {-1, 1};
    assert_int_equal(tfn_instant_to(minus, TFN_UNIT_MS), -1000);
    for (int unit = TFN_UNIT_S; unit <= TFN_UNIT_NS; unit++) {
        assert_int_equal(tfn_instant_to(TFN_INSTANT_NONE, (tfn_unit)unit), INT64_MIN);
    }
}

static void instants_are_ordered(void **state)
{
    (void)state;
    const tfn_instant ordered[] = {TFN_INSTANT_NONE, {-1, 0}, {-1, 5}, {0, 0}, {0, 1}, {7, 0}};
    for (int i = 0; i < 6; i++) {
        for (int k = 0; k < 6; k++) {
            assert_int_equal(tfn_instant_compare(ordered[i], ordered[k]), (i > k) - (i < k));
        }
    }
}

static void instants_are_written_with_the_digits_they_need(void **state)
{
    (void)state;
    static const struct {
        tfn_instant t;
        const char *text;
    } cases[] = {
        {{0, 0}, "1970-01-01T00:00:00Z"},
        {{-1, 0}, "1969-12-31T23:59:59Z"},
        {{1359626400, 0}, "2013-01-31T10:00:00Z"},
        {{951782400, 500000000}, "2000-02-29T00:00:00.500Z"},
        {{951782400, 1000}, "2000-02-29T00:00:00.000001Z"},
        {{951782400, 1}, "2000-02-29T00:00:00.000000001Z"},
        {{253402300799, 999999999}, "9999-12-31T23:59:59.999999999Z"},
        {{253402300800, 0}, "+10000-01-01T00:00:00Z"},
        {{-62167219200, 0}, "0000-01-01T00:00:00Z"},
        {{-62167219201, 0}, "-0001-12-31T23:59:59Z"},
        {{INT64_MAX, 999999999}, "+292277026596-12-04T15:30:07.999999999Z"},
        {{INT64_MIN + 1, 0}, "-292277022657-01-27T08:29:53Z"},
        {{INT64_MIN, 0}, "never"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[TFN_TIME_TEXT_BYTES];
        tfn_instant_format(cases[i].t, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void texts_are_read_as_instants(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds;
        int32_t nanos;
    } cases[] = {
        {"1970-01-01", 0, 0},
        {"2013-01-31", 1359590400, 0},
        {"2013-01-31T10:00", 1359626400, 0},
        {"2013-01-31 10:00:00", 1359626400, 0},
        {"2013-01-31T10:00:00Z", 1359626400, 0},
        {"2013-01-31T10:00:00z", 1359626400, 0},
        {"2013-01-31T11:00:00+01:00", 1359626400, 0},
        {"2013-01-31T11:00:00+0100", 1359626400, 0},
        {"2013-01-31T11:00:00+01", 1359626400, 0},
        {"2013-01-31T04:30:00-05:30", 1359626400, 0},
        {"2013-01-31T10:00:00.5Z", 1359626400, 500000000},
        {"2013-01-31T10:00:00.123456789", 1359626400, 123456789},
        {"2013-01-31T10:00:00.1234567891", 1359626400, 123456789},
        {"1969-12-31T23:59:59.999999999Z", -1, 999999999},
        {"2000-02-29", 951782400, 0},
        {"0000-01-01T00:00:00Z", -62167219200, 0},
        {"9999-12-31T23:59:59Z", 253402300799, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tfn_instant t;
        tfn_error err = {0};
        assert_ok(tfn_instant_parse(tfn_str_of(cases[i].text), &t, &err), err);
        assert_int_equal(t.seconds, cases[i].seconds);
        assert_int_equal(t.nanos, cases[i].nanos);
    }
}

static void other_texts_are_refused_and_shown(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "2013",
                                        "2013-1-31",
                                        "2013-13-01",
                                        "2013-00-01",
                                        "2013-02-29",
                                        "1900-02-29",
                                        "2013-01-32",
                                        "2013-01-31T",
                                        "2013-01-31T24:00",
                                        "2013-01-31T10:60",
                                        "2013-01-31T10:00:60",
                                        "2013-01-31T10:00:00.",
                                        "2013-01-31T10:00:00Zx",
                                        "2013-01-31x",
                                        "2013-01-31T10:00:00+1:00",
                                        "2013-01-31T10:00:00+24:00",
                                        "yesterday",
                                        "2013-01-31T10:00:00+"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        tfn_instant t;
        tfn_error err = {0};
        assert_int_equal(tfn_instant_parse(tfn_str_of(texts[i]), &t, &err), TFN_INVALID);
        assert_text(err.message, texts[i]);
        assert_text(err.message, "2013-01-31T10:00:00Z");
    }
}

static void every_day_of_800_years_comes_back(void **state)
{
    (void)state;
    for (int64_t day = -200000; day < 100000; day++) {
        const tfn_instant t = {day * SECONDS_PER_DAY, 0};
        char text[TFN_TIME_TEXT_BYTES];
        tfn_instant back;
        tfn_instant_format(t, text);
        assert_int_equal(tfn_instant_parse(tfn_str_of(text), &back, NULL), TFN_OK);
        assert_int_equal(back.seconds, t.seconds);
    }
}

static tfn_instant noon(void *context)
{
    return *(const tfn_instant *)context;
}

static void the_clock_is_an_argument(void **state)
{
    (void)state;
    tfn_instant t = {43200, 5};
    const tfn_clock fixed = {.now = noon, .context = &t};
    const tfn_clock zeroed = {0};
    assert_int_equal(tfn_instant_compare(tfn_clock_now(&fixed), t), 0);
    assert_true(tfn_clock_now(&zeroed).seconds > 1700000000);
    assert_true(tfn_clock_now(NULL).seconds > 1700000000);
    const double before = tfn_clock_monotonic_s();
    assert_true(tfn_clock_monotonic_s() >= before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_convert_exactly_or_saturate_or_floor),
        cmocka_unit_test(sums_and_differences_saturate),
        cmocka_unit_test(instants_come_back_in_their_unit),
        cmocka_unit_test(instants_floor_and_saturate_in_another_unit),
        cmocka_unit_test(instants_are_ordered),
        cmocka_unit_test(instants_are_written_with_the_digits_they_need),
        cmocka_unit_test(texts_are_read_as_instants),
        cmocka_unit_test(other_texts_are_refused_and_shown),
        cmocka_unit_test(every_day_of_800_years_comes_back),
        cmocka_unit_test(the_clock_is_an_argument),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
