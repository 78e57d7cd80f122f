/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/offline_fixture.h"

#include <math.h>

#include "offline/leakage.c"

static tfn_vec vec_of(const tfn_frame *frame, size_t i_col)
{
    tfn_vec v;
    tfn_error err = {0};
    assert_ok(tfn_frame_get_vec(frame, 0, i_col, &v, &err), err);
    return v;
}

static void rows_created_later_are_listed(void **state)
{
    (void)state;
    /* seconds; microseconds; nanoseconds: compared as instants */
    static const int64_t entity[] = {10, 10, 10, 10, 10};
    static const int64_t event[] = {10000000, 9999999, 9000000, 9000000, 0};
    static const int64_t created[] = {INT64_C(10000000001), INT64_C(10000000000), 0,
                                      INT64_C(11000000000), INT64_C(11000000000)};
    static const uint8_t event_ok[] = {1, 1, 1, 1, 0};
    static const uint8_t created_ok[] = {1, 1, 0, 1, 1};
    const make_col cols[] = {
        {.name = "t", .format = "tss:UTC", .values = entity},
        {.name = "e", .format = "tsu:UTC", .values = event, .valid = event_ok},
        {.name = "c", .format = "tsn:UTC", .values = created, .valid = created_ok}};
    tfn_frame *frame = frame_of_cols(cols, 3, 5);
    const tfn_vec t = vec_of(frame, 0);
    const tfn_vec e = vec_of(frame, 1);
    const tfn_vec c = vec_of(frame, 2);
    tfn_leakage l = {0};
    tfn_leakage_add(&l, &t, &e, &c);
    assert_int_equal(l.n_rows, 5);
    assert_int_equal(l.n_matched, 4);
    assert_int_equal(l.created_later.n, 2); /* by a nanosecond; by a second */
    assert_int_equal(l.created_later.examples[0], 0);
    assert_int_equal(l.created_later.examples[1], 3);
    tfn_leakage_add(&l, &t, &e, NULL);
    tfn_leakage_add(&l, &t, &e, &c);
    assert_int_equal(l.n_rows, 15);
    assert_int_equal(l.created_later.n, 4);
    assert_int_equal(l.created_later.examples[2], 10);
    tfn_leakage_add(&l, &t, &e, &c);
    assert_int_equal(l.created_later.n, 6);
    assert_int_equal(l.created_later.n_examples, TFN_LEAKAGE_MAX_EXAMPLES);
    tfn_frame_release(frame);
}

static void a_date_is_its_midnight(void **state)
{
    (void)state;
    static const int32_t entity[] = {1, 1};
    static const int64_t created[] = {86400000, 86400001};
    const make_col cols[] = {{.name = "t", .format = "tdD", .values = entity},
                             {.name = "c", .format = "tsm:UTC", .values = created}};
    tfn_frame *frame = frame_of_cols(cols, 2, 2);
    const tfn_vec t = vec_of(frame, 0);
    const tfn_vec c = vec_of(frame, 1);
    tfn_leakage l = {0};
    tfn_leakage_add(&l, &t, &c, &c);
    assert_int_equal(l.created_later.n, 1);
    tfn_frame_release(frame);
}

/* Likeness of two columns of five rows, with room for `max_different`. */
static tfn_likeness likeness_of(const make_col *a, const make_col *b, int64_t max_different)
{
    const make_col cols[] = {*a, *b};
    tfn_frame *frame = frame_of_cols(cols, 2, 5);
    const tfn_vec left = vec_of(frame, 0);
    const tfn_vec right = vec_of(frame, 1);
    assert_true(tfn_likeness_is_possible(left.type, right.type));
    tfn_likeness l = {.max_different = max_different};
    const bool goes_on = tfn_likeness_add(&l, &left, &right);
    assert_int_equal(goes_on, l.n_different <= max_different);
    tfn_frame_release(frame);
    return l;
}

static void numbers_are_compared_by_value_and_nulls_passed_over(void **state)
{
    (void)state;
    static const int64_t whole[] = {1, 2, 3, 4, 5};
    static const double real[] = {1.0, 2.0, 9.0, NAN, 5.0};
    static const uint8_t ok[] = {1, 1, 1, 1, 0};
    const make_col a = {.name = "a", .format = "l", .values = whole};
    const make_col b = {.name = "b", .format = "g", .values = real, .valid = ok};
    tfn_likeness l = likeness_of(&a, &b, 5);
    assert_int_equal(l.n_both, 3);
    assert_int_equal(l.n_different, 1);
    assert_true(l.varies);
    l = likeness_of(&b, &a, 0);
    assert_int_equal(l.n_different, 1); /* and no more was looked at */
}

/* A value that more than half of the rows have tells nothing where both have it. */
static void rows_of_the_most_common_value_tell_nothing(void **state)
{
    (void)state;
    static const int64_t label[] = {1, 0, 0, 0, 0};
    static const int64_t feature[] = {0, 1, 0, 0, 0};
    static const int64_t many[] = {1, 2, 3, 4, 5};
    const make_col a = {.name = "a", .format = "l", .values = label};
    const make_col b = {.name = "b", .format = "l", .values = feature};
    const make_col c = {.name = "c", .format = "l", .values = many};
    const tfn_likeness rare = likeness_of(&a, &b, 5);
    assert_int_equal(tfn_likeness_get_n_telling(&rare), 2);
    const tfn_likeness none = likeness_of(&c, &c, 5);
    assert_int_equal(tfn_likeness_get_n_telling(&none), 5);
}

static void what_float32_cannot_tell_apart_is_the_same(void **state)
{
    (void)state;
    static const double wide[] = {0.1, 0.2, 0.3, 1e300, 1.0};
    static const float narrow[] = {0.1F, 0.2F, 0.3F, 0.4F, 1.0F};
    const make_col a = {.name = "a", .format = "g", .values = wide};
    const make_col b = {.name = "b", .format = "f", .values = narrow};
    assert_int_equal(likeness_of(&a, &b, 5).n_different, 1);
}

static void texts_times_and_a_constant(void **state)
{
    (void)state;
    static const char *texts[] = {"x", "x", "x", NULL, "x"};
    const make_col text = {.name = "a", .format = "u", .values = texts};
    const make_col wide_text = {.name = "b", .format = "U", .values = texts};
    const tfn_likeness l = likeness_of(&text, &wide_text, 5);
    assert_int_equal(l.n_both, 4);
    assert_int_equal(l.n_different, 0);
    assert_false(l.varies);
    static const int32_t days[] = {0, 1, 2, 3, 4};
    static const int64_t seconds[] = {0, 86400, 1, 259200, 345600};
    const make_col a = {.name = "a", .format = "tdD", .values = days};
    const make_col b = {.name = "b", .format = "tss:UTC", .values = seconds};
    assert_int_equal(likeness_of(&a, &b, 5).n_different, 1);
}

static void what_cannot_be_the_same_is_not_compared(void **state)
{
    (void)state;
    const tfn_type number = {.kind = TFN_KIND_INT64};
    const tfn_type flag = {.kind = TFN_KIND_BOOL};
    const tfn_type text = {.kind = TFN_KIND_STRING};
    const tfn_type list = {.kind = TFN_KIND_INT64, .is_list = true};
    const tfn_type none = {.kind = TFN_KIND_NONE};
    assert_true(tfn_likeness_is_possible(number, flag));
    assert_false(tfn_likeness_is_possible(number, text));
    assert_false(tfn_likeness_is_possible(list, list));
    assert_false(tfn_likeness_is_possible(none, none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_created_later_are_listed),
        cmocka_unit_test(a_date_is_its_midnight),
        cmocka_unit_test(numbers_are_compared_by_value_and_nulls_passed_over),
        cmocka_unit_test(rows_of_the_most_common_value_tell_nothing),
        cmocka_unit_test(what_float32_cannot_tell_apart_is_the_same),
        cmocka_unit_test(texts_times_and_a_constant),
        cmocka_unit_test(what_cannot_be_the_same_is_not_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
