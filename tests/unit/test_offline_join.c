/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* The sentences of docs/semantics/point-in-time.md, one example each; errors; threads. */

#include "unit/offline_fixture.h"

#include "offline/join.c"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

static void every_entity_row_comes_back_in_order(void **state)
{
    (void)state;
    const tfn_join_view view = fixture_view();
    const int64_t spine[][2] = {{2, 30}, {1, 10}, {9, 10}, {1, 10}, {2, 20}, {1, 5}};
    const int64_t source[][4] = {{1, 10, NONE, 100}, {2, 20, NONE, 200}, {2, 25, NONE, 201}};
    const int64_t expected[] = {201, 100, NONE, 100, 200, NONE};
    expect_join(&view, spine, N(spine), source, N(source), expected);
}

static void no_entity_rows_give_empty_columns(void **state)
{
    (void)state;
    const tfn_join_view view = fixture_view();
    const int64_t spine[][2] = {{0, 0}};
    const int64_t source[][4] = {{1, 10, NONE, 100}};
    expect_join(&view, spine, 0, source, N(source), NULL);
}

static void a_null_key_never_matches(void **state)
{
    (void)state;
    const tfn_join_view view = fixture_view();
    const int64_t spine[][2] = {{NONE, 30}, {1, 30}};
    const int64_t source[][4] = {{NONE, 10, NONE, 100}, {1, 5, NONE, 101}};
    const int64_t expected[] = {NONE, 101};
    expect_join(&view, spine, N(spine), source, N(source), expected);
}

static void a_row_at_the_very_time_is_seen_and_one_after_it_is_not(void **state)
{
    (void)state;
    const tfn_join_view view = fixture_view();
    const int64_t spine[][2] = {{1, 99}, {1, 100}, {1, 101}};
    const int64_t source[][4] = {{1, 100, NONE, 7}};
    const int64_t expected[] = {NONE, 7, 7};
    expect_join(&view, spine, N(spine), source, N(source), expected);
}

static void a_row_exactly_ttl_old_is_seen_and_an_older_one_is_not(void **state)
{
    (void)state;
    tfn_join_view view = fixture_view();
    view.ttl_us = 50;
    const int64_t spine[][2] = {{1, 149}, {1, 150}, {1, 151}};
    const int64_t source[][4] = {{1, 100, NONE, 7}};
    const int64_t expected[] = {7, 7, NONE};
    expect_join(&view, spine, N(spine), source, N(source), expected);
    view.ttl_us = 0; /* unbounded */
    const int64_t unbounded[] = {7, 7, 7};
    expect_join(&view, spine, N(spine), source, N(source), unbounded);
}

static void a_row_created_after_the_entity_time_waits_for_a_later_one(void **state)
{
    (void)state;
    tfn_join_view view = fixture_view();
    const int64_t spine[][2] = {{1, 100}, {1, 119}, {1, 120}};
    const int64_t source[][4] = {{1, 50, 60, 1}, {1, 90, 120, 2}, {1, 95, NONE, 3}};
    const int64_t unfiltered[] = {3, 3, 3};
    expect_join(&view, spine, N(spine), source, N(source), unfiltered);
    view.filter_by_created = true;
    const int64_t filtered[] = {1, 1, 2};
    expect_join(&view, spine, N(spine), source, N(source), filtered);
}

static void nothing_created_after_known_at_is_seen(void **state)
{
    (void)state;
    tfn_join_view view = fixture_view();
    view.has_known_at = true;
    view.known_at = tfn_instant_of(70, TFN_UNIT_US);
    const int64_t spine[][2] = {{1, 100}};
    const int64_t source[][4] = {{1, 50, 70, 1}, {1, 60, 71, 2}, {1, 65, NONE, 3}};
    const int64_t expected[] = {1};
    expect_join(&view, spine, N(spine), source, N(source), expected);
}

static void the_greatest_event_time_wins_in_any_order(void **state)
{
    (void)state;
    const tfn_join_view view = fixture_view();
    const int64_t spine[][2] = {{1, 100}};
    const int64_t source[][4] = {{1, 40, 99, 1}, {1, 60, 1, 2}, {1, 50, 99, 3}};
    const int64_t expected[] = {2};
    expect_join(&view, spine, N(spine), source, N(source), expected);
}

static void among_equal_event_times_the_greatest_created_wins(void **state)
{
    (void)state;
    const tfn_join_view view = fixture_view();
    const int64_t spine[][2] = {{1, 100}, {2, 100}};
    const int64_t source[][4] = {{1, 50, 61, 1},
                                 {1, 50, 62, 2},
                                 {1, 50, 60, 3},
                                 {2, 50, INT64_MIN + 5, 4},
                                 {2, 50, NONE, 5}};
    const int64_t expected[] = {2, 4};
    expect_join(&view, spine, N(spine), source, N(source), expected);
}

static void among_equal_times_the_last_row_of_the_source_wins(void **state)
{
    (void)state;
    const tfn_join_view view = fixture_view();
    const int64_t spine[][2] = {{1, 100}, {2, 100}};
    const int64_t source[][4] = {
        {1, 50, 60, 1}, {1, 50, 60, 2}, {2, 50, NONE, 3}, {2, 50, NONE, 4}};
    const int64_t expected[] = {2, 4};
    expect_join(&view, spine, N(spine), source, N(source), expected);
}

static void rows_without_event_time_are_ignored_and_counted(void **state)
{
    (void)state;
    const tfn_join_view view = fixture_view();
    const int64_t spine_rows[][2] = {{1, 100}};
    const int64_t source_rows[][4] = {{1, NONE, 60, 1}, {1, 50, NONE, 2},  {NONE, 50, NONE, 3},
                                      {7, 50, NONE, 4}, {1, 101, NONE, 5}, {1, NONE, NONE, 6}};
    tfn_spine *spine = spine_of(spine_rows, 1);
    tfn_source *source = source_of(source_rows, N(source_rows));
    tfn_column *out = NULL;
    tfn_join_stats stats;
    tfn_error err = {0};
    assert_ok(tfn_join_run(spine, &view, source, NULL, &out, &stats, &err), err);
    assert_int_equal(value_at(out, 0), 2);
    assert_int_equal(stats.n_rows_read, 6);
    assert_int_equal(stats.n_rows_without_time, 2);
    assert_int_equal(stats.n_rows_without_key, 1);
    assert_int_equal(stats.n_rows_without_match, 1);
    assert_int_equal(stats.n_rows_too_late, 1);
    assert_int_equal(stats.n_rows_eligible, 1);
    assert_int_equal(stats.n_winners, 1);
    assert_int_equal(stats.n_spine_rows_matched, 1);
    assert_true(stats.two_step);
    tfn_column_release(out);
    tfn_source_destroy(source);
    tfn_spine_destroy(spine);
}

static void a_null_in_the_winner_is_not_filled_from_an_older_row(void **state)
{
    (void)state;
    const tfn_join_view view = fixture_view();
    const int64_t spine[][2] = {{1, 100}};
    const int64_t source[][4] = {{1, 50, NONE, 1}, {1, 60, NONE, NONE}};
    const int64_t expected[] = {NONE};
    expect_join(&view, spine, N(spine), source, N(source), expected);
}

/* Entity rows in one unit, one source row in another, one key. */
static int64_t join_units(const char *spine_format, int64_t t, const char *source_format,
                          int64_t event, int64_t ttl_us, int64_t *n_saturated)
{
    const int64_t one = 1;
    const int64_t v = 7;
    const make_col spine_cols[] = {{.name = "k", .format = "l", .values = &one},
                                   {.name = "t", .format = spine_format, .values = &t}};
    const make_col source_cols[] = {{.name = "k", .format = "l", .values = &one},
                                    {.name = "ts", .format = source_format, .values = &event},
                                    {.name = "v", .format = "l", .values = &v}};
    tfn_frame *frame = frame_of_cols(spine_cols, 2, 1);
    tfn_source *source = source_of_cols(source_cols, 3, 1);
    tfn_join_view view = fixture_view();
    view.created_column = (tfn_str){0};
    view.ttl_us = ttl_us;
    const size_t key = 0;
    tfn_spine *spine = NULL;
    tfn_column *out = NULL;
    tfn_join_stats stats;
    tfn_error err = {0};
    assert_ok(tfn_spine_create(frame, &key, &FIXTURE_INT64, 1, 1, &(tfn_crew){.n_threads = 0},
                               &spine, &err),
              err);
    assert_ok(tfn_join_run(spine, &view, source, NULL, &out, &stats, &err), err);
    const int64_t found = value_at(out, 0);
    *n_saturated = stats.n_rows_saturated;
    tfn_column_release(out);
    tfn_spine_destroy(spine);
    tfn_source_destroy(source);
    tfn_frame_release(frame);
    return found;
}

static void times_of_different_units_compare_as_instants(void **state)
{
    (void)state;
    int64_t n_saturated = 0;
    /* 5,001 ns is after 5 us: flooring it would show the future. */
    assert_int_equal(join_units("tsu:UTC", 5, "tsn:UTC", 5001, 0, &n_saturated), NONE);
    assert_int_equal(join_units("tsu:UTC", 6, "tsn:UTC", 5001, 0, &n_saturated), 7);
    assert_int_equal(join_units("tsn:UTC", 1999999999, "tss:UTC", 2, 0, &n_saturated), NONE);
    assert_int_equal(join_units("tsn:UTC", 2000000000, "tss:UTC", 2, 0, &n_saturated), 7);
    assert_int_equal(join_units("tsn:UTC", -1, "tsm:UTC", -1, 0, &n_saturated), 7);
    assert_int_equal(join_units("tsm:UTC", -1, "tsn:UTC", -999999, 0, &n_saturated), NONE);
    assert_int_equal(n_saturated, 0);
}

static void a_far_future_row_never_wins_and_never_fails(void **state)
{
    (void)state;
    int64_t n_saturated = 0;
    /* The year 9999 has no nanoseconds in 64 bits. */
    const int64_t year_9999_s = 253402300799;
    assert_int_equal(join_units("tsn:UTC", INT64_MAX, "tss:UTC", year_9999_s, 0, &n_saturated),
                     NONE);
    assert_int_equal(n_saturated, 1);
    assert_int_equal(join_units("tss:UTC", INT64_MAX, "tsn:UTC", INT64_MAX, 0, &n_saturated), 7);
    assert_int_equal(join_units("tsn:UTC", INT64_MIN, "tss:UTC", INT64_MIN, 0, &n_saturated), 7);
    assert_int_equal(n_saturated, 1);
    /* Dated 1500, seen from 1970 with a time to live of 400 years, then of 500. */
    const int64_t year_us = INT64_C(31556952000000);
    const int64_t year_1500_s = -470 * INT64_C(31556952);
    assert_int_equal(join_units("tsn:UTC", 0, "tss:UTC", year_1500_s, 400 * year_us, &n_saturated),
                     NONE);
    assert_int_equal(join_units("tsn:UTC", 0, "tss:UTC", year_1500_s, 500 * year_us, &n_saturated),
                     7);
    assert_int_equal(join_units("tsu:UTC", 5, "tsu:UTC", 4, INT64_MAX, &n_saturated), 7);
}

/* ---- errors ---- */

static void expect_error(const tfn_join_view *view, tfn_code code, const char *part,
                         const char *other_part)
{
    const int64_t spine_rows[][2] = {{1, 100}};
    const int64_t source_rows[][4] = {{1, 50, 60, 5000000000}};
    tfn_spine *spine = spine_of(spine_rows, 1);
    for (int form = 0; form < 2; form++) {
        tfn_source *source = source_of(source_rows, 1);
        const tfn_offline_opts opts = {.n_threads = 1, .force_one_step = form == 1};
        tfn_column *out = NULL;
        tfn_error err = {0};
        assert_int_equal(tfn_join_run(spine, view, source, &opts, &out, NULL, &err), code);
        assert_text(err.message, part);
        assert_text(err.message, other_part);
        assert_text(err.message, "view 'stats'");
        assert_null(out);
        tfn_source_destroy(source);
    }
    tfn_spine_destroy(spine);
}

static void a_created_filter_without_a_created_column_is_refused(void **state)
{
    (void)state;
    tfn_join_view view = fixture_view();
    view.created_column = (tfn_str){0};
    view.filter_by_created = true;
    expect_error(&view, TFN_INVALID, "filter_by_created", "created_timestamp_column");
    view.filter_by_created = false;
    view.has_known_at = true;
    expect_error(&view, TFN_INVALID, "known_at", "created_timestamp_column");
}

static void a_negative_ttl_is_refused(void **state)
{
    (void)state;
    tfn_join_view view = fixture_view();
    view.ttl_us = -1;
    expect_error(&view, TFN_INVALID, "ttl is -1 microseconds", "0 (unbounded)");
}

static void a_missing_column_is_named_with_what_there_is(void **state)
{
    (void)state;
    const tfn_str wrong = tfn_str_of("speed");
    tfn_join_view view = fixture_view();
    view.feature_columns = &wrong;
    expect_error(&view, TFN_SCHEMA, "rows.parquet",
                 "no column 'speed' (a feature); it has 'k', 'ts'");
}

static void a_column_of_another_type_is_named_with_both(void **state)
{
    (void)state;
    const tfn_type text = {.kind = TFN_KIND_STRING};
    tfn_join_view view = fixture_view();
    view.feature_types = &text;
    expect_error(&view, TFN_SCHEMA, "rows.parquet", "'v': expected string, found int64");
    view.ttl_us = 10; /* nobody wins, and the column is wrong all the same */
    expect_error(&view, TFN_SCHEMA, "rows.parquet", "'v': expected string, found int64");
}

static void a_winner_that_does_not_fit_is_named_with_its_value(void **state)
{
    (void)state;
    const tfn_type narrow = {.kind = TFN_KIND_INT32};
    tfn_join_view view = fixture_view();
    view.feature_types = &narrow;
    expect_error(&view, TFN_SCHEMA, "rows.parquet",
                 "column 'v': value 5000000000 does not fit int32");
}

static void a_value_that_does_not_fit_and_does_not_win_is_no_error(void **state)
{
    (void)state;
    const tfn_type narrow = {.kind = TFN_KIND_INT32};
    tfn_join_view view = fixture_view();
    view.feature_types = &narrow;
    const int64_t spine[][2] = {{1, 100}};
    const int64_t source[][4] = {{1, 50, NONE, 5000000000}, {1, 60, NONE, 6}};
    const int64_t expected[] = {6};
    expect_join(&view, spine, N(spine), source, N(source), expected);
}

static void keys_of_another_spine_are_refused(void **state)
{
    (void)state;
    const tfn_type text = {.kind = TFN_KIND_STRING};
    tfn_join_view view = fixture_view();
    view.key_types = &text;
    expect_error(&view, TFN_INVALID, "keys are not those", "entity rows");
}

static void a_reader_is_told_which_times_can_matter(void **state)
{
    (void)state;
    const int64_t spine_rows[][2] = {{1, 3000000}, {1, 7000000}, {NONE, 99000000}};
    const int64_t source_rows[][4] = {{1, 50, 60, 7}};
    tfn_spine *spine = spine_of(spine_rows, N(spine_rows));
    tfn_source *source = source_of(source_rows, 1);
    tfn_join_view view = fixture_view();
    tfn__join j;
    tfn_error err = {0};
    assert_ok(tfn__join_begin(&j, spine, &view, source, NULL, &err), err);
    assert_false(tfn__join_first_scan(&j).has_time_min);
    view.ttl_us = 3500001;
    const tfn_scan scan = tfn__join_first_scan(&j);
    const tfn_instant earliest = {-1, 499999000}; /* 3 s - 3.500001 s */
    const tfn_instant last = {7, 0};
    assert_true(scan.has_time_min && scan.has_time_max);
    assert_int_equal(tfn_instant_compare(scan.time_min, earliest), 0);
    assert_int_equal(tfn_instant_compare(scan.time_max, last), 0);
    assert_int_equal(scan.i_time, 1);
    assert_int_equal(scan.n_columns, 3); /* no features in the first of two steps */
    assert_int_equal(tfn__join_second_scan(&j).n_columns, 1);
    assert_int_equal(tfn__join_second_scan(&j).i_time, -1);
    tfn__join_end(&j);
    tfn_source_destroy(source);
    tfn_spine_destroy(spine);
}

static int stop_at_once(void *context, const tfn_progress *progress)
{
    (void)context;
    assert_text(progress->what, "reading stats");
    return 1;
}

/* ---- many rows ---- */

enum { MANY = 60000, MANY_ENTITIES = 40 };

typedef struct many {
    int64_t k[MANY];
    int64_t ts[MANY];
    int64_t created[MANY];
    int64_t v[MANY];
} many;

static tfn_source *many_rows(many *m, int64_t batch_rows)
{
    for (int64_t i = 0; i < MANY; i++) {
        m->k[i] = i % 3;
        m->ts[i] = (i * 7919) % 500;
        m->created[i] = (i * 104729) % 300;
        m->v[i] = i;
    }
    const make_col cols[] = {{.name = "k", .format = "l", .values = m->k},
                             {.name = "ts", .format = "tsu:UTC", .values = m->ts},
                             {.name = "created", .format = "tsu:UTC", .values = m->created},
                             {.name = "v", .format = "l", .values = m->v}};
    struct ArrowArrayStream stream;
    make_stream(cols, 4, MANY, batch_rows, &stream);
    tfn_source *source = NULL;
    tfn_error err = {0};
    assert_ok(tfn_source_of_stream(&stream, tfn_str_of("many"), &source, &err), err);
    return source;
}

static void seven_threads_fighting_for_few_slots_agree_with_one(void **state)
{
    (void)state;
    static const int threads[] = {1, 2, 7};
    many *m = test_malloc(sizeof *m);
    int64_t spine_rows[MANY_ENTITIES][2];
    int64_t expected[MANY_ENTITIES];
    for (int64_t i = 0; i < MANY_ENTITIES; i++) {
        spine_rows[i][0] = i % 3;
        spine_rows[i][1] = i * 13;
    }
    tfn_spine *spine = spine_of((const int64_t(*)[2])spine_rows, MANY_ENTITIES);
    const tfn_join_view view = fixture_view();
    for (size_t k = 0; k < N(threads); k++) {
        tfn_source *source = many_rows(m, 300);
        const tfn_offline_opts opts = {.n_threads = threads[k]};
        tfn_column *out = NULL;
        tfn_error err = {0};
        assert_ok(tfn_join_run(spine, &view, source, &opts, &out, NULL, &err), err);
        for (int64_t i = 0; i < MANY_ENTITIES; i++) {
            if (k == 0) {
                expected[i] = value_at(out, i);
            }
            assert_int_equal(value_at(out, i), expected[i]);
        }
        tfn_column_release(out);
        tfn_source_destroy(source);
    }
    tfn_spine_destroy(spine);
    test_free(m);
}

static void a_tick_that_says_stop_cancels(void **state)
{
    (void)state;
    const int64_t spine_rows[][2] = {{1, 1000}};
    many *m = test_malloc(sizeof *m);
    tfn_spine *spine = spine_of(spine_rows, 1);
    const tfn_join_view view = fixture_view();
    const tfn_offline_opts opts = {.n_threads = 1, .tick = stop_at_once};
    tfn_code rc = TFN_OK;
    for (int i = 0; i < 200 && rc == TFN_OK; i++) { /* a short scan may end before the first tick */
        tfn_source *source = many_rows(m, 1);
        tfn_column *out = NULL;
        tfn_error err = {0};
        rc = tfn_join_run(spine, &view, source, &opts, &out, NULL, &err);
        assert_true((rc == TFN_OK) == (out != NULL));
        tfn_column_release(out);
        tfn_source_destroy(source);
    }
    assert_int_equal(rc, TFN_CANCELLED);
    tfn_spine_destroy(spine);
    test_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entity_row_comes_back_in_order),
        cmocka_unit_test(no_entity_rows_give_empty_columns),
        cmocka_unit_test(a_null_key_never_matches),
        cmocka_unit_test(a_row_at_the_very_time_is_seen_and_one_after_it_is_not),
        cmocka_unit_test(a_row_exactly_ttl_old_is_seen_and_an_older_one_is_not),
        cmocka_unit_test(a_row_created_after_the_entity_time_waits_for_a_later_one),
        cmocka_unit_test(nothing_created_after_known_at_is_seen),
        cmocka_unit_test(the_greatest_event_time_wins_in_any_order),
        cmocka_unit_test(among_equal_event_times_the_greatest_created_wins),
        cmocka_unit_test(among_equal_times_the_last_row_of_the_source_wins),
        cmocka_unit_test(rows_without_event_time_are_ignored_and_counted),
        cmocka_unit_test(a_null_in_the_winner_is_not_filled_from_an_older_row),
        cmocka_unit_test(times_of_different_units_compare_as_instants),
        cmocka_unit_test(a_far_future_row_never_wins_and_never_fails),
        cmocka_unit_test(a_created_filter_without_a_created_column_is_refused),
        cmocka_unit_test(a_negative_ttl_is_refused),
        cmocka_unit_test(a_missing_column_is_named_with_what_there_is),
        cmocka_unit_test(a_column_of_another_type_is_named_with_both),
        cmocka_unit_test(a_winner_that_does_not_fit_is_named_with_its_value),
        cmocka_unit_test(a_value_that_does_not_fit_and_does_not_win_is_no_error),
        cmocka_unit_test(keys_of_another_spine_are_refused),
        cmocka_unit_test(a_reader_is_told_which_times_can_matter),
        cmocka_unit_test(seven_threads_fighting_for_few_slots_agree_with_one),
        cmocka_unit_test(a_tick_that_says_stop_cancels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
