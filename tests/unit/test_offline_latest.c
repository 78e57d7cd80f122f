/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/offline_fixture.h"

#include "offline/latest.c"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

static tfn_instant us(int64_t t)
{
    return tfn_instant_of(t, TFN_UNIT_US);
}

/* Run and compare the values, which come in the order of keys. */
static void expect_latest(const tfn_join_view *view, const tfn_latest_window *window,
                          const int64_t (*rows)[4], size_t n_rows, const int64_t *expected,
                          size_t n_expected)
{
    tfn_source *source = source_of(rows, n_rows);
    tfn_latest *l = NULL;
    tfn_error err = {0};
    assert_ok(tfn_latest_run(view, source, window, NULL, &l, NULL, &err), err);
    assert_int_equal(tfn_latest_get_n_rows(l), n_expected);
    for (size_t i = 0; i < n_expected; i++) {
        assert_int_equal(value_at(tfn_latest_get_column(l, 0), (int64_t)i), expected[i]);
    }
    tfn_latest_destroy(l);
    tfn_source_destroy(source);
}

static const int64_t ROWS[][4] = {{-1, 10, 15, 1}, {3, 20, NONE, 2},  {-1, 30, 35, 3},
                                  {3, 20, 25, 4},  {NONE, 99, 99, 5}, {2, NONE, 99, 6},
                                  {3, 20, 25, 7},  {2, 5, 50, 8}};

static void the_newest_row_of_each_key_comes_in_key_order(void **state)
{
    (void)state;
    const tfn_join_view view = fixture_view();
    const int64_t expected[] = {3, 8, 7}; /* keys -1, 2, 3 */
    expect_latest(&view, NULL, ROWS, N(ROWS), expected, 3);
}

static void both_ends_of_the_window_belong_to_it(void **state)
{
    (void)state;
    const tfn_join_view view = fixture_view();
    const tfn_latest_window window = {
        .has_start = true, .start = us(10), .has_end = true, .end = us(20)};
    const int64_t expected[] = {1, 7};
    expect_latest(&view, &window, ROWS, N(ROWS), expected, 2);
}

static void late_rows_come_in_through_their_created_time(void **state)
{
    (void)state;
    const tfn_join_view view = fixture_view();
    tfn_latest_window window = {.has_start = true,
                                .start = us(25),
                                .has_end = true,
                                .end = us(30),
                                .has_created = true,
                                .created_after = us(25),
                                .created_until = us(50)};
    const int64_t expected[] = {3, 8}; /* key 2 was created at 50; key 3 at 25, which is outside */
    expect_latest(&view, &window, ROWS, N(ROWS), expected, 2);
    window.created_until = us(49);
    expect_latest(&view, &window, ROWS, N(ROWS), expected, 1);
    window.created_until = us(50);
    window.end = us(4); /* late rows must not be after the end either */
    expect_latest(&view, &window, ROWS, N(ROWS), NULL, 0);
}

static void nothing_created_after_known_at_is_loaded(void **state)
{
    (void)state;
    tfn_join_view view = fixture_view();
    view.has_known_at = true;
    view.known_at = us(25);
    const int64_t expected[] = {1, 7};
    expect_latest(&view, NULL, ROWS, N(ROWS), expected, 2);
}

static void keys_events_and_created_times_belong_to_the_row(void **state)
{
    (void)state;
    const tfn_join_view view = fixture_view();
    tfn_source *source = source_of(ROWS, 3);
    tfn_latest *l = NULL;
    tfn_latest_stats stats;
    tfn_error err = {0};
    assert_ok(tfn_latest_run(&view, source, NULL, NULL, &l, &stats, &err), err);
    assert_int_equal(tfn_latest_get_n_rows(l), 2);
    const char minus_one[] = "\x03\x7f\xff\xff\xff\xff\xff\xff\xff";
    const tfn_str key = tfn_latest_get_key(l, 0);
    assert_int_equal(key.n, 9);
    assert_memory_equal(key.p, minus_one, 9);
    assert_int_equal(tfn_instant_compare(tfn_latest_get_event(l, 0), us(30)), 0);
    assert_int_equal(tfn_instant_compare(tfn_latest_get_created(l, 0), us(35)), 0);
    assert_int_equal(tfn_instant_compare(tfn_latest_get_created(l, 1), TFN_INSTANT_NONE), 0);
    assert_int_equal(tfn_latest_get_event_unit(l), TFN_UNIT_US);
    assert_int_equal(tfn_latest_get_created_unit(l), TFN_UNIT_US);
    assert_int_equal(stats.n_keys, 2);
    assert_int_equal(stats.n_rows_eligible, 3);
    tfn_latest_destroy(l);
    tfn_latest_destroy(NULL);
    tfn_source_destroy(source);
}

static void no_rows_give_an_empty_result(void **state)
{
    (void)state;
    const tfn_join_view view = fixture_view();
    expect_latest(&view, NULL, ROWS, 0, NULL, 0);
}

static void a_created_window_without_a_created_column_is_refused(void **state)
{
    (void)state;
    tfn_join_view view = fixture_view();
    view.created_column = (tfn_str){0};
    const tfn_latest_window window = {.has_created = true};
    tfn_source *source = source_of(ROWS, 1);
    tfn_latest *l = NULL;
    tfn_error err = {0};
    assert_int_equal(tfn_latest_run(&view, source, &window, NULL, &l, NULL, &err), TFN_INVALID);
    assert_text(err.message, "view 'stats': a window of created times");
    view.has_known_at = true;
    assert_int_equal(tfn_latest_run(&view, source, NULL, NULL, &l, NULL, &err), TFN_INVALID);
    assert_text(err.message, "known_at");
    assert_null(l);
    tfn_source_destroy(source);
}

static void a_value_that_does_not_fit_is_named(void **state)
{
    (void)state;
    static const int64_t rows[][4] = {{1, 10, NONE, 1}, {1, 20, NONE, 5000000000}};
    const tfn_type narrow = {.kind = TFN_KIND_INT32};
    tfn_join_view view = fixture_view();
    view.feature_types = &narrow;
    tfn_source *source = source_of(rows, 2);
    tfn_latest *l = NULL;
    tfn_error err = {0};
    assert_int_equal(tfn_latest_run(&view, source, NULL, NULL, &l, NULL, &err), TFN_SCHEMA);
    assert_text(err.message, "source 'rows.parquet', column 'v': value 5000000000 does not fit");
    tfn_source_destroy(source);
}

/* Enough keys for growing tables and several segments, from seven threads. */
static void many_keys_from_seven_threads_agree_with_one(void **state)
{
    (void)state;
    enum { MANY = 200000, KEYS = 70001 };
    int64_t *k = test_malloc(MANY * sizeof *k);
    int64_t *ts = test_malloc(MANY * sizeof *ts);
    for (int64_t i = 0; i < MANY; i++) {
        k[i] = (i * 7919) % KEYS;
        ts[i] = (i * 31) % 100;
    }
    const make_col cols[] = {{.name = "k", .format = "l", .values = k},
                             {.name = "ts", .format = "tsu:UTC", .values = ts},
                             {.name = "v", .format = "l", .values = k}};
    tfn_join_view view = fixture_view();
    view.created_column = (tfn_str){0};
    tfn_latest *results[2] = {NULL, NULL};
    for (int way = 0; way < 2; way++) {
        struct ArrowArrayStream stream;
        make_stream(cols, 3, MANY, 5000, &stream);
        tfn_source *source = NULL;
        tfn_error err = {0};
        assert_ok(tfn_source_of_stream(&stream, tfn_str_of("many"), &source, &err), err);
        const tfn_offline_opts opts = {.n_threads = way == 0 ? 1 : 7};
        assert_ok(tfn_latest_run(&view, source, NULL, &opts, &results[way], NULL, &err), err);
        tfn_source_destroy(source);
    }
    assert_int_equal(tfn_latest_get_n_rows(results[0]), KEYS);
    assert_int_equal(tfn_latest_get_n_rows(results[1]), KEYS);
    for (int64_t i = 0; i < KEYS; i++) {
        assert_int_equal(value_at(tfn_latest_get_column(results[0], 0), i), i);
        assert_int_equal(value_at(tfn_latest_get_column(results[1], 0), i), i);
        assert_int_equal(tfn_instant_compare(tfn_latest_get_event(results[0], i),
                                             tfn_latest_get_event(results[1], i)),
                         0);
    }
    tfn_latest_destroy(results[0]);
    tfn_latest_destroy(results[1]);
    test_free(k);
    test_free(ts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_row_of_each_key_comes_in_key_order),
        cmocka_unit_test(both_ends_of_the_window_belong_to_it),
        cmocka_unit_test(late_rows_come_in_through_their_created_time),
        cmocka_unit_test(nothing_created_after_known_at_is_loaded),
        cmocka_unit_test(keys_events_and_created_times_belong_to_the_row),
        cmocka_unit_test(no_rows_give_an_empty_result),
        cmocka_unit_test(a_created_window_without_a_created_column_is_refused),
        cmocka_unit_test(a_value_that_does_not_fit_is_named),
        cmocka_unit_test(many_keys_from_seven_threads_agree_with_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
