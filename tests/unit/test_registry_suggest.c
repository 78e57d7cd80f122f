/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/registry_fixture.h"

#include "registry/suggest.c"

static const char *const some[] = {"plane_history", "plane_facts", "weather", "route"};

static tfn_str get_name(const void *context, size_t i)
{
    return text(((const char *const *)context)[i]);
}

static void assert_hint(const char *wanted, const char *const *names, size_t n,
                        const char *expected)
{
    char hint[TFN__HINT_BYTES];
    tfn__hint_format(text(wanted), get_name, names, n, hint);
    assert_string_equal(hint, expected);
}

static void near_names_are_offered_nearest_first(void **state)
{
    (void)state;
    assert_hint("plane_histroy", some, 4, "; did you mean 'plane_history'?");
    assert_hint("Weather", some, 4, "; did you mean 'weather'?");
    assert_hint("plane_fact", some, 4, "; did you mean 'plane_facts'?");
    const char *const close[] = {"abcdefgh1", "abcdefgh", "abcdefg12", "abcdef123", "x"};
    assert_hint("abcdefghi", close, 5, "; did you mean 'abcdefgh1', 'abcdefgh' or 'abcdefg12'?");
}

static void without_a_near_name_the_first_are_shown(void **state)
{
    (void)state;
    assert_hint("zzz", some, 0, "; there are none");
    assert_hint("zzz", some, 1, "; there is 'plane_history'");
    assert_hint("zzz", some, 2, "; there are 'plane_history' and 'plane_facts'");
    assert_hint("zzz", some, 4, "; there are 'plane_history', 'plane_facts', 'weather' and 1 more");
    assert_hint("", some, 2, "; there are 'plane_history' and 'plane_facts'");
}

static void edits_are_counted(void **state)
{
    (void)state;
    assert_int_equal(distance_between(text("abc"), text("abc")), 0);
    assert_int_equal(distance_between(text("abc"), text("ABC")), 0);
    assert_int_equal(distance_between(text("abc"), text("acb")), 1);
    assert_int_equal(distance_between(text("abc"), text("ab")), 1);
    assert_int_equal(distance_between(text(""), text("ab")), 2);
    assert_int_equal(distance_between(text("kitten"), text("sitting")), 3);
}

static void long_names_are_cut_at_a_character(void **state)
{
    (void)state;
    char name[400];
    char quoted[TFN__SUBJECT_BYTES];
    for (size_t i = 0; i + 1 < sizeof name; i += 2) {
        memcpy(name + i, "\xc3\xa9", 2);
    }
    name[0] = 'x'; /* so that byte 100 is inside a character */
    name[1] = 'y';
    memmove(name + 1, name + 2, sizeof name - 2);
    tfn__name_format((tfn_str){name, 301}, quoted);
    assert_true(tfn_str_is_utf8(text(quoted)));
    assert_true(strlen(quoted) < 110);
    assert_has(quoted, "...'");
    tfn__subject_format(TFN_OBJECT_VIEW, (tfn_str){name, 301}, quoted);
    assert_true(tfn_str_is_utf8(text(quoted)));
    assert_has(quoted, "feature view 'x");
    const char *const many[] = {name, name, name};
    assert_hint("zzz", some, 1, "; there is 'plane_history'");
    char hint[TFN__HINT_BYTES];
    name[sizeof name - 1] = '\0';
    tfn__hint_format(text("q"), get_name, many, 3, hint);
    assert_true(tfn_str_is_utf8(text(hint)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(near_names_are_offered_nearest_first),
        cmocka_unit_test(without_a_near_name_the_first_are_shown),
        cmocka_unit_test(edits_are_counted),
        cmocka_unit_test(long_names_are_cut_at_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
