/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/offline_fixture.h"

#include "offline/times.c"

static int64_t up(tfn_unit from, tfn_unit to, int64_t value, bool *fits)
{
    int64_t out = 0;
    *fits = tfn__rescale_up(tfn__rescale_of(from, to), value, &out);
    return out;
}

static void a_coarser_unit_rounds_up_and_a_finer_one_saturates(void **state)
{
    (void)state;
    bool fits = false;
    assert_int_equal(up(TFN_UNIT_NS, TFN_UNIT_US, 5001, &fits), 6);
    assert_int_equal(up(TFN_UNIT_NS, TFN_UNIT_US, 5000, &fits), 5);
    assert_int_equal(up(TFN_UNIT_NS, TFN_UNIT_US, -5001, &fits), -5);
    assert_int_equal(up(TFN_UNIT_NS, TFN_UNIT_S, INT64_MIN, &fits), -9223372036);
    assert_true(fits);
    assert_int_equal(up(TFN_UNIT_S, TFN_UNIT_NS, 3, &fits), 3000000000);
    assert_true(fits);
    assert_int_equal(up(TFN_UNIT_S, TFN_UNIT_NS, 9223372037, &fits), INT64_MAX);
    assert_false(fits);
    assert_int_equal(up(TFN_UNIT_MS, TFN_UNIT_US, INT64_MIN, &fits), INT64_MIN);
    assert_false(fits);
}

static void bounds_hold_for_exactly_the_times_between_two_instants(void **state)
{
    (void)state;
    const tfn_instant first = {1, 1};
    const tfn_instant last = {2, 999999999};
    const tfn__bounds b = tfn__bounds_of(&first, &last, TFN_UNIT_MS);
    assert_int_equal(b.first, 1001); /* 1.000 is before 1.000000001 */
    assert_int_equal(b.last, 2999);
    assert_true(tfn__bounds_hold(&b, 1001) && tfn__bounds_hold(&b, 2999));
    assert_false(tfn__bounds_hold(&b, 1000) || tfn__bounds_hold(&b, 3000));
    const tfn__bounds all = tfn__bounds_of(NULL, NULL, TFN_UNIT_NS);
    assert_true(tfn__bounds_hold(&all, INT64_MIN) && tfn__bounds_hold(&all, INT64_MAX));
    const tfn_instant before = {-2, 500000000}; /* -1.5 s */
    const tfn__bounds negative = tfn__bounds_of(&before, &before, TFN_UNIT_S);
    assert_false(tfn__bounds_hold(&negative, -2) || tfn__bounds_hold(&negative, -1));
}

static void bounds_beyond_the_range_hold_for_all_or_for_none(void **state)
{
    (void)state;
    const tfn_instant year_9999 = {253402300799, 0};
    const tfn_instant year_1 = {-62135596800, 0};
    const tfn__bounds none = tfn__bounds_of(&year_9999, NULL, TFN_UNIT_NS);
    assert_false(tfn__bounds_hold(&none, INT64_MAX));
    const tfn__bounds nothing = tfn__bounds_of(NULL, &year_1, TFN_UNIT_NS);
    assert_false(tfn__bounds_hold(&nothing, INT64_MIN));
    const tfn__bounds everything = tfn__bounds_of(&year_1, &year_9999, TFN_UNIT_NS);
    assert_true(tfn__bounds_hold(&everything, INT64_MIN));
    assert_true(tfn__bounds_hold(&everything, INT64_MAX));
}

static void every_time_of_every_unit_has_its_instant(void **state)
{
    (void)state;
    static const int64_t values[] = {INT64_MIN, -1000000001, -1, 0, 1, 999, INT64_MAX};
    for (unsigned unit = TFN_UNIT_S; unit <= TFN_UNIT_NS; unit++) {
        for (size_t i = 0; i < 7; i++) {
            const tfn_instant t = tfn__times_instant(values[i], (tfn_unit)unit);
            assert_in_range(t.nanos, 0, 999999999);
            assert_true(wide_of_instant(t) ==
                        tfn__wide_of(values[i], tfn__nanos_per_unit((tfn_unit)unit)));
        }
    }
}

static void duckdbs_infinities_are_told_from_times(void **state)
{
    (void)state;
    const int64_t values[] = {5, INT64_MAX, -INT64_MAX, INT64_MAX};
    const uint8_t validity = 7; /* the last one is null */
    tfn_vec v = {.type = {.kind = TFN_KIND_TIMESTAMP, .unit = TFN_UNIT_US},
                 .layout = TFN_LAYOUT_FIXED,
                 .number = TFN_NUMBER_I64,
                 .has_infinity = true,
                 .n = 4,
                 .validity = &validity,
                 .data = values};
    int64_t out[4];
    uint8_t states[4];
    tfn__times_read(&v, 0, 4, out, states);
    static const uint8_t expected[] = {TFN__TIME_OK, TFN__TIME_PLUS_INFINITY,
                                       TFN__TIME_MINUS_INFINITY, TFN__TIME_NULL};
    assert_memory_equal(states, expected, 4);
    v.has_infinity = false; /* Arrow: an ordinary, far time */
    tfn__times_read(&v, 1, 2, out, states);
    assert_int_equal(states[0], TFN__TIME_OK);
    assert_int_equal(out[0], INT64_MAX);
}

static void dates_are_their_midnight_in_seconds(void **state)
{
    (void)state;
    const int32_t days[] = {0, -1, INT32_MAX, -INT32_MAX, INT32_MIN};
    const tfn_vec v = {.type = {.kind = TFN_KIND_DATE},
                       .layout = TFN_LAYOUT_FIXED,
                       .number = TFN_NUMBER_I32,
                       .has_infinity = true,
                       .n = 5,
                       .data = days};
    int64_t out[5];
    uint8_t states[5];
    tfn__times_read(&v, 0, 5, out, states);
    assert_int_equal(out[0], 0);
    assert_int_equal(out[1], -86400);
    assert_int_equal(states[2], TFN__TIME_PLUS_INFINITY);
    assert_int_equal(states[3], TFN__TIME_MINUS_INFINITY);
    assert_int_equal(out[4], (int64_t)INT32_MIN * 86400);
    assert_int_equal(tfn__times_unit(v.type), TFN_UNIT_S);
}

static void a_column_of_nothing_but_nulls_has_no_times(void **state)
{
    (void)state;
    const tfn_vec v = {.layout = TFN_LAYOUT_NONE, .n = 2};
    int64_t out[2];
    uint8_t states[2];
    tfn__times_read(&v, 0, 2, out, states);
    assert_int_equal(states[0], TFN__TIME_NULL);
    assert_int_equal(states[1], TFN__TIME_NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_coarser_unit_rounds_up_and_a_finer_one_saturates),
        cmocka_unit_test(bounds_hold_for_exactly_the_times_between_two_instants),
        cmocka_unit_test(bounds_beyond_the_range_hold_for_all_or_for_none),
        cmocka_unit_test(every_time_of_every_unit_has_its_instant),
        cmocka_unit_test(duckdbs_infinities_are_told_from_times),
        cmocka_unit_test(dates_are_their_midnight_in_seconds),
        cmocka_unit_test(a_column_of_nothing_but_nulls_has_no_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
