/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/offline_fixture.h"

#include "offline/range_union.c"

static tfn_row_range *range_of(tfn_source *source, bool has_features)
{
    tfn_join_view view = fixture_view();
    view.created_column = (tfn_str){0};
    view.n_features = has_features ? 1 : 0;
    tfn_row_range *r = NULL;
    tfn_error err = {0};
    assert_ok(tfn_range_run(&view, source, NULL, NULL, &r, NULL, &err), err);
    tfn_source_destroy(source);
    return r;
}

/* One range of microseconds, or one in another unit. */
static tfn_row_range *range_in(const char *format, const int64_t *keys, const int64_t *times,
                               int64_t n)
{
    const make_col cols[] = {{.name = "k", .format = "l", .values = keys},
                             {.name = "ts", .format = format, .values = times}};
    return range_of(source_of_cols(cols, 2, n), false);
}

static void expect_rows(const tfn_row_range *const *ranges, size_t n_ranges, tfn_range_union what,
                        const tfn_instant *at, const int64_t (*expected)[2], int64_t n_expected)
{
    tfn_column *columns[2] = {NULL};
    int64_t n_rows = 0;
    tfn_error err = {0};
    assert_ok(tfn_range_unite(ranges, n_ranges, what, at, columns, &n_rows, &err), err);
    assert_int_equal(n_rows, n_expected);
    for (int64_t i = 0; i < n_rows; i++) {
        assert_int_equal(value_at(columns[0], i), expected[i][0]);
        assert_int_equal(value_at(columns[1], i), expected[i][1]);
    }
    tfn_column_release(columns[0]);
    tfn_column_release(columns[1]);
}

static const int64_t KEYS_A[] = {2, 1, 2, 1};
static const int64_t TIMES_A[] = {20, 20, 10, 20};
static const int64_t KEYS_B[] = {3, 1};
static const int64_t TIMES_B[] = {5, 20};

static void each_event_of_one_range_is_a_row_by_time_and_key(void **state)
{
    (void)state;
    tfn_row_range *a = range_in("tsu:UTC", KEYS_A, TIMES_A, 4);
    const tfn_row_range *ranges[] = {a};
    static const int64_t expected[][2] = {{2, 10}, {1, 20}, {1, 20}, {2, 20}};
    expect_rows(ranges, 1, TFN_RANGE_EACH, NULL, expected, 4);
    tfn_range_destroy(a);
}

static void several_ranges_give_each_key_and_time_once(void **state)
{
    (void)state;
    tfn_row_range *a = range_in("tsu:UTC", KEYS_A, TIMES_A, 4);
    tfn_row_range *b = range_in("tsu:UTC", KEYS_B, TIMES_B, 2);
    const tfn_row_range *ranges[] = {a, b};
    static const int64_t expected[][2] = {{3, 5}, {2, 10}, {1, 20}, {2, 20}};
    expect_rows(ranges, 2, TFN_RANGE_TIMES, NULL, expected, 4);
    tfn_range_destroy(a);
    tfn_range_destroy(b);
}

static void or_each_key_once_at_one_time(void **state)
{
    (void)state;
    tfn_row_range *a = range_in("tss:UTC", KEYS_A, TIMES_A, 4);
    tfn_row_range *b = range_in("tsu:UTC", KEYS_B, TIMES_B, 2);
    const tfn_row_range *ranges[] = {a, b};
    const tfn_instant at = {100, 0};
    static const int64_t expected[][2] = {{1, 100000000}, {2, 100000000}, {3, 100000000}};
    expect_rows(ranges, 2, TFN_RANGE_KEYS, &at, expected, 3);
    const tfn_instant precise = {100, 1};
    static const int64_t nanos[][2] = {{1, 100000000001}, {2, 100000000001}, {3, 100000000001}};
    expect_rows(ranges, 2, TFN_RANGE_KEYS, &precise, nanos, 3);
    tfn_range_destroy(a);
    tfn_range_destroy(b);
}

static void the_finest_unit_is_that_of_all_rows(void **state)
{
    (void)state;
    static const int64_t key[] = {1};
    static const int64_t second[] = {1};
    static const int64_t nanos[] = {1000000000};
    tfn_row_range *a = range_in("tss:UTC", key, second, 1);
    tfn_row_range *b = range_in("tsn:UTC", key, nanos, 1);
    const tfn_row_range *ranges[] = {a, b};
    static const int64_t expected[][2] = {{1, 1000000000}};
    expect_rows(ranges, 2, TFN_RANGE_TIMES, NULL, expected, 1);
    tfn_range_destroy(a);
    tfn_range_destroy(b);
}

static void a_time_that_the_finest_unit_cannot_express_is_refused(void **state)
{
    (void)state;
    static const int64_t key[] = {1};
    static const int64_t far[] = {253402214400}; /* 9999-12-31 */
    static const int64_t nanos[] = {1};
    tfn_row_range *a = range_in("tss:UTC", key, far, 1);
    tfn_row_range *b = range_in("tsn:UTC", key, nanos, 1);
    const tfn_row_range *ranges[] = {a, b};
    tfn_column *columns[2] = {NULL};
    int64_t n_rows = 0;
    tfn_error err = {0};
    assert_int_equal(tfn_range_unite(ranges, 2, TFN_RANGE_TIMES, NULL, columns, &n_rows, &err),
                     TFN_LIMIT);
    assert_text(err.message, "view 'stats' has an event at 9999-12-31T00:00:00Z");
    assert_null(columns[0]);
    const tfn_instant at = {5, 0}; /* of keys the times do not matter */
    static const int64_t at_once[][2] = {{1, 5000000}};
    expect_rows(ranges, 2, TFN_RANGE_KEYS, &at, at_once, 1);
    tfn_range_destroy(a);
    tfn_range_destroy(b);
}

static void ranges_without_rows_give_none(void **state)
{
    (void)state;
    tfn_row_range *a = range_in("tsu:UTC", KEYS_A, TIMES_A, 0);
    const tfn_row_range *ranges[] = {a};
    const tfn_instant at = {1, 0};
    expect_rows(ranges, 1, TFN_RANGE_EACH, NULL, NULL, 0);
    expect_rows(ranges, 1, TFN_RANGE_KEYS, &at, NULL, 0);
    tfn_range_destroy(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_event_of_one_range_is_a_row_by_time_and_key),
        cmocka_unit_test(several_ranges_give_each_key_and_time_once),
        cmocka_unit_test(or_each_key_once_at_one_time),
        cmocka_unit_test(the_finest_unit_is_that_of_all_rows),
        cmocka_unit_test(a_time_that_the_finest_unit_cannot_express_is_refused),
        cmocka_unit_test(ranges_without_rows_give_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
