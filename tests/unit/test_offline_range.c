/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/offline_fixture.h"

#include "offline/range.c"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

static tfn_instant us(int64_t t)
{
    return tfn_instant_of(t, TFN_UNIT_US);
}

/* key, event, created, v */
static const int64_t ROWS[][4] = {{2, 20, 25, 1},   {1, 30, NONE, 2},  {1, 10, 15, 3},
                                  {2, 20, NONE, 4}, {NONE, 20, 20, 5}, {1, NONE, 20, 6},
                                  {2, 20, 25, 7},   {-1, 20, 21, 8}};

/* Run and compare the values of the one feature, the last column. */
static void expect_range(const tfn_join_view *view, const tfn_range_window *window,
                         const int64_t *expected, int64_t n_expected)
{
    tfn_source *source = source_of(ROWS, N(ROWS));
    tfn_row_range *r = NULL;
    tfn_error err = {0};
    tfn_column *columns[4] = {NULL};
    assert_ok(tfn_range_run(view, source, window, NULL, &r, NULL, &err), err);
    assert_int_equal(tfn_range_get_n_rows(r), n_expected);
    assert_int_equal(tfn_range_get_n_columns(r), 4);
    assert_ok(tfn_range_take(r, columns, &err), err);
    for (int64_t i = 0; i < n_expected; i++) {
        assert_int_equal(value_at(columns[3], i), expected[i]);
    }
    for (size_t i = 0; i < 4; i++) {
        tfn_column_release(columns[i]);
    }
    tfn_range_destroy(r);
    tfn_source_destroy(source);
}

static void rows_come_by_key_event_created_and_position(void **state)
{
    (void)state;
    const tfn_join_view view = fixture_view();
    const int64_t expected[] = {8, 3, 2, 4, 1, 7};
    expect_range(&view, NULL, expected, 6);
}

static void or_by_event_key_created_and_position(void **state)
{
    (void)state;
    const tfn_join_view view = fixture_view();
    const tfn_range_window window = {.order = TFN_RANGE_BY_TIME};
    const int64_t expected[] = {3, 8, 4, 1, 7, 2};
    expect_range(&view, &window, expected, 6);
}

static void both_ends_of_the_window_belong_to_it(void **state)
{
    (void)state;
    const tfn_join_view view = fixture_view();
    tfn_range_window window = {.has_start = true, .start = us(10), .has_end = true, .end = us(20)};
    const int64_t inside[] = {8, 3, 4, 1, 7};
    expect_range(&view, &window, inside, 5);
    window.start = us(11);
    window.end = us(19);
    expect_range(&view, &window, NULL, 0);
}

static void nothing_created_after_known_at_is_there(void **state)
{
    (void)state;
    tfn_join_view view = fixture_view();
    view.has_known_at = true;
    view.known_at = us(21);
    const int64_t expected[] = {8, 3};
    expect_range(&view, NULL, expected, 2);
}

static void only_keys_that_were_asked_for_come(void **state)
{
    (void)state;
    const tfn_join_view view = fixture_view();
    static const int32_t asked[] = {1, 9, 1};
    const make_col cols[] = {{.name = "k", .format = "i", .values = asked}};
    tfn_frame *frame = frame_of_cols(cols, 1, 3);
    const size_t key_col = 0;
    tfn_key_plan plan;
    tfn_keyset *keys = NULL;
    tfn_error err = {0};
    assert_ok(tfn_key_plan_init(&plan, view.key_types, 1, &err), err);
    assert_ok(tfn_keyset_create(frame, &key_col, &plan, &keys, &err), err);
    tfn_frame_release(frame);
    const tfn_range_window window = {.keys = keys};
    const int64_t expected[] = {3, 2};
    expect_range(&view, &window, expected, 2);
    tfn_keyset_destroy(keys);
}

static void keys_and_times_belong_to_the_row_and_every_row_is_counted(void **state)
{
    (void)state;
    const tfn_join_view view = fixture_view();
    tfn_source *source = source_of(ROWS, N(ROWS));
    tfn_row_range *r = NULL;
    tfn_range_stats stats;
    tfn_error err = {0};
    tfn_column *columns[4] = {NULL};
    const tfn_range_window window = {.has_start = true, .start = us(15)};
    assert_ok(tfn_range_run(&view, source, &window, NULL, &r, &stats, &err), err);
    assert_ok(tfn_range_take(r, columns, &err), err);
    static const int64_t expected[][3] = {
        {-1, 20, 21}, {1, 30, NONE}, {2, 20, NONE}, {2, 20, 25}, {2, 20, 25}};
    for (int64_t i = 0; i < 5; i++) {
        for (size_t c = 0; c < 3; c++) {
            assert_int_equal(value_at(columns[c], i), expected[i][c]);
        }
    }
    assert_int_equal(stats.n_rows_read, 8);
    assert_int_equal(stats.n_rows_without_key, 1);
    assert_int_equal(stats.n_rows_without_time, 1);
    assert_int_equal(stats.n_rows_outside, 1);
    assert_int_equal(stats.n_rows, 5);
    assert_int_equal(stats.n_keys, 3);
    assert_true(stats.bytes_rows > 0);
    for (size_t i = 0; i < 4; i++) {
        tfn_column_release(columns[i]);
    }
    tfn_range_destroy(r);
    tfn_range_destroy(NULL);
    tfn_source_destroy(source);
}

static void a_view_without_keys_and_features_has_times(void **state)
{
    (void)state;
    tfn_join_view view = fixture_view();
    view.n_keys = 0;
    view.n_features = 0;
    view.created_column = (tfn_str){0};
    tfn_source *source = source_of(ROWS, 3);
    tfn_row_range *r = NULL;
    tfn_error err = {0};
    tfn_column *column = NULL;
    assert_ok(tfn_range_run(&view, source, NULL, NULL, &r, NULL, &err), err);
    assert_int_equal(tfn_range_get_n_columns(r), 1);
    assert_ok(tfn_range_take(r, &column, &err), err);
    for (int64_t i = 0; i < 3; i++) {
        assert_int_equal(value_at(column, i), 10 + 10 * i);
    }
    tfn_column_release(column);
    tfn_range_destroy(r);
    tfn_source_destroy(source);
}

static void a_window_that_is_too_large_is_refused(void **state)
{
    (void)state;
    const tfn_join_view view = fixture_view();
    const tfn_range_window window = {.max_bytes = 100};
    tfn_source *source = source_of(ROWS, N(ROWS));
    tfn_row_range *r = NULL;
    tfn_error err = {0};
    assert_int_equal(tfn_range_run(&view, source, &window, NULL, &r, NULL, &err), TFN_LIMIT);
    assert_text(err.message, "need more than the limit of 100 bytes; ask for a shorter window");
    assert_null(r);
    tfn_source_destroy(source);
}

static void a_value_that_does_not_fit_is_named(void **state)
{
    (void)state;
    static const int64_t rows[][4] = {{1, 10, NONE, 5000000000}};
    const tfn_type narrow = {.kind = TFN_KIND_INT32};
    tfn_join_view view = fixture_view();
    view.feature_types = &narrow;
    tfn_source *source = source_of(rows, 1);
    tfn_row_range *r = NULL;
    tfn_error err = {0};
    tfn_column *columns[4] = {NULL};
    assert_ok(tfn_range_run(&view, source, NULL, NULL, &r, NULL, &err), err);
    assert_int_equal(tfn_range_take(r, columns, &err), TFN_SCHEMA);
    assert_text(err.message, "source 'rows.parquet', column 'v': value 5000000000 does not fit");
    assert_null(columns[0]);
    tfn_range_destroy(r);
    tfn_source_destroy(source);
}

static void known_at_without_a_created_column_is_refused(void **state)
{
    (void)state;
    tfn_join_view view = fixture_view();
    view.created_column = (tfn_str){0};
    view.has_known_at = true;
    tfn_source *source = source_of(ROWS, 1);
    tfn_row_range *r = NULL;
    tfn_error err = {0};
    assert_int_equal(tfn_range_run(&view, source, NULL, NULL, &r, NULL, &err), TFN_INVALID);
    assert_text(err.message, "view 'stats': ");
    tfn_source_destroy(source);
}

/* Says yes once, at the n-th question. */
static int stop_at(void *context, const tfn_progress *progress)
{
    (void)progress;
    int *n_left = context;
    return --*n_left == 0 ? 1 : 0;
}

static void a_run_may_be_stopped_at_every_step(void **state)
{
    (void)state;
    const tfn_join_view view = fixture_view();
    tfn_code rc = TFN_CANCELLED;
    int n_questions = 0;
    while (rc != TFN_OK) {
        int n_left = ++n_questions;
        const tfn_offline_opts opts = {.tick = stop_at, .tick_context = &n_left};
        tfn_source *source = source_of(ROWS, N(ROWS));
        tfn_row_range *r = NULL;
        tfn_error err = {0};
        tfn_column *columns[4] = {NULL};
        rc = tfn_range_run(&view, source, NULL, &opts, &r, NULL, &err);
        if (rc == TFN_OK) {
            rc = tfn_range_take(r, columns, &err);
        }
        assert_true(rc == TFN_OK || rc == TFN_CANCELLED);
        for (size_t i = 0; i < 4; i++) {
            assert_true((columns[i] != NULL) == (rc == TFN_OK));
            tfn_column_release(columns[i]);
        }
        tfn_range_destroy(r);
        tfn_source_destroy(source);
    }
    assert_true(n_questions > 7); /* four passes and three steps of columns, at least */
}

/* More rows than a segment holds, from seven threads. */
static void seven_threads_agree_with_one(void **state)
{
    (void)state;
    enum { MANY = 100000, KEYS = 501 };
    int64_t *k = test_malloc(MANY * sizeof *k);
    int64_t *ts = test_malloc(MANY * sizeof *ts);
    for (int64_t i = 0; i < MANY; i++) {
        k[i] = (i * 7919) % KEYS;
        ts[i] = (i * 31) % 100;
    }
    const make_col cols[] = {{.name = "k", .format = "l", .values = k},
                             {.name = "ts", .format = "tsu:UTC", .values = ts},
                             {.name = "v", .format = "l", .values = ts}};
    tfn_join_view view = fixture_view();
    view.created_column = (tfn_str){0};
    tfn_row_range *results[2] = {NULL, NULL};
    for (int way = 0; way < 2; way++) {
        struct ArrowArrayStream stream;
        make_stream(cols, 3, MANY, 5000, &stream);
        tfn_source *source = NULL;
        tfn_error err = {0};
        assert_ok(tfn_source_of_stream(&stream, tfn_str_of("many"), &source, &err), err);
        const tfn_offline_opts opts = {.n_threads = way == 0 ? 1 : 7};
        assert_ok(tfn_range_run(&view, source, NULL, &opts, &results[way], NULL, &err), err);
        tfn_source_destroy(source);
    }
    assert_int_equal(results[0]->n_rows, MANY);
    assert_int_equal(results[1]->n_rows, MANY);
    for (size_t i = 0; i < MANY; i++) {
        const tfn__range_row *a = &results[0]->rows[results[0]->order[i]];
        const tfn__range_row *b = &results[1]->rows[results[1]->order[i]];
        assert_int_equal(a->position, b->position);
    }
    tfn_range_destroy(results[0]);
    tfn_range_destroy(results[1]);
    test_free(k);
    test_free(ts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_by_key_event_created_and_position),
        cmocka_unit_test(or_by_event_key_created_and_position),
        cmocka_unit_test(both_ends_of_the_window_belong_to_it),
        cmocka_unit_test(nothing_created_after_known_at_is_there),
        cmocka_unit_test(only_keys_that_were_asked_for_come),
        cmocka_unit_test(keys_and_times_belong_to_the_row_and_every_row_is_counted),
        cmocka_unit_test(a_view_without_keys_and_features_has_times),
        cmocka_unit_test(a_window_that_is_too_large_is_refused),
        cmocka_unit_test(a_value_that_does_not_fit_is_named),
        cmocka_unit_test(known_at_without_a_created_column_is_refused),
        cmocka_unit_test(a_run_may_be_stopped_at_every_step),
        cmocka_unit_test(seven_threads_agree_with_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
