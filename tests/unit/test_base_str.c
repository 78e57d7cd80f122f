/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/base_make.h"

#include <stdio.h>

#include "base/str.c"

static void strings_compare_by_bytes_then_length(void **state)
{
    (void)state;
    static const char *const ordered[] = {"", "a", "ab", "b", "\xc3\xa9", "\xff"};
    for (size_t i = 0; i < 6; i++) {
        for (size_t k = 0; k < 6; k++) {
            const tfn_str a = tfn_str_of(ordered[i]);
            const tfn_str b = tfn_str_of(ordered[k]);
            const int order = tfn_str_compare(a, b);
            assert_int_equal((order > 0) - (order < 0), (i > k) - (i < k));
            assert_int_equal(tfn_str_equal(a, b), i == k);
        }
    }
    assert_true(tfn_str_equal((tfn_str){NULL, 0}, tfn_str_of("")));
    assert_true(tfn_str_equal(tfn_str_of(NULL), tfn_str_of("")));
    assert_int_equal(tfn_str_compare((tfn_str){NULL, 0}, tfn_str_of("")), 0);
    assert_false(tfn_str_equal((tfn_str){"a\0b", 3}, (tfn_str){"a\0c", 3}));
}

static void heads_and_tails(void **state)
{
    (void)state;
    const tfn_str name = tfn_str_of("weather.parquet");
    assert_true(tfn_str_is(name, "weather.parquet"));
    assert_false(tfn_str_is(name, "weather"));
    assert_true(tfn_str_starts_with(name, "weather"));
    assert_true(tfn_str_starts_with(name, ""));
    assert_false(tfn_str_starts_with(name, "parquet"));
    assert_true(tfn_str_ends_with(name, ".parquet"));
    assert_false(tfn_str_ends_with(name, ".csv"));
    assert_false(tfn_str_ends_with(tfn_str_of("x"), "xx"));
    assert_false(tfn_str_starts_with(tfn_str_of("x"), "xx"));
}

static void strings_print_without_an_end(void **state)
{
    (void)state;
    char text[20];
    (void)snprintf(text, sizeof text, "[%.*s]", TFN_STR_ARG(((tfn_str){"abc", 2})));
    assert_string_equal(text, "[ab]");
    (void)snprintf(text, sizeof text, "[%.*s]", TFN_STR_ARG(((tfn_str){NULL, 0})));
    assert_string_equal(text, "[]");
}

static void well_formed_utf8_is_told_from_the_rest(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "plain",
                                       "\x7f",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "a\xc3\xa9z"};
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xc2\x41",
                                      "\xe0\x80\x80",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xe2\x82",
                                      "\xf0\x80\x80\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xf8\x88\x80\x80\x80",
                                      "\xff",
                                      "ok\xc3"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(tfn_str_is_utf8(tfn_str_of(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(tfn_str_is_utf8(tfn_str_of(bad[i])));
    }
    assert_true(tfn_str_is_utf8((tfn_str){NULL, 0}));
    assert_true(tfn_str_is_utf8((tfn_str){"a\0b", 3}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_compare_by_bytes_then_length),
        cmocka_unit_test(heads_and_tails),
        cmocka_unit_test(strings_print_without_an_end),
        cmocka_unit_test(well_formed_utf8_is_told_from_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
