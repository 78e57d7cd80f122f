/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/registry_fixture.h"

#include "registry/feast_types.c"

static void numbers_are_those_of_feast(void **state)
{
    (void)state;
    assert_string_equal(tfn__feast_type_text(1), "bytes");
    assert_string_equal(tfn__feast_type_text(5), "float64");
    assert_string_equal(tfn__feast_type_text(8), "timestamp");
    assert_string_equal(tfn__feast_type_text(18), "array<timestamp>");
    assert_string_equal(tfn__feast_type_text(21), "array<map>");
    assert_string_equal(tfn__feast_type_text(29), "set<timestamp>");
    assert_string_equal(tfn__feast_type_text(33), "array<json>");
    assert_string_equal(tfn__feast_type_text(41), "set<time_uuid>");
    assert_string_equal(tfn__feast_type_text(46), "set<decimal>");
}

static void every_text_comes_back_as_its_number(void **state)
{
    (void)state;
    int n_types = 0;
    for (int number = 0; number < 100; number++) {
        const char *found = tfn__feast_type_text(number);
        if (found != NULL) {
            assert_int_equal(tfn__feast_type_number(text(found)), number);
            n_types++;
        }
    }
    assert_int_equal(n_types, 39);
}

static void what_has_no_type_of_ours_has_no_text(void **state)
{
    (void)state;
    const int none[] = {-2147483647, -1, 0, 9, 10, 19, 30, 31, 42, 43, 47, 48, 49, 2147483647};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        assert_null(tfn__feast_type_text(none[i]));
    }
    assert_int_equal(tfn__feast_type_number(text("")), 0);
    assert_int_equal(tfn__feast_type_number(text("float")), 0);
    assert_int_equal(tfn__feast_type_number(text("array<array<int32>>")), 0);
}

static void dates_travel_as_timestamps(void **state)
{
    (void)state;
    assert_int_equal(tfn__feast_type_number(text("date")), 8);
    assert_int_equal(tfn__feast_type_number(text("array<date>")), 18);
    assert_int_equal(tfn__feast_type_number(text("set<date>")), 29);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_those_of_feast),
        cmocka_unit_test(every_text_comes_back_as_its_number),
        cmocka_unit_test(what_has_no_type_of_ours_has_no_text),
        cmocka_unit_test(dates_travel_as_timestamps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
