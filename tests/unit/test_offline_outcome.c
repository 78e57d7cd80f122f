/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/offline_fixture.h"

#include "offline/outcome.c"

/* Runs the join in both forms; both count the same. */
static tfn_join_stats stats_of(const tfn_join_view *view, const int64_t (*spine_rows)[2],
                               size_t n_spine, const int64_t (*source_rows)[4], size_t n_source)
{
    tfn_join_stats both[2] = {{0}};
    for (int form = 0; form < 2; form++) {
        tfn_spine *spine = spine_of(spine_rows, n_spine);
        tfn_source *source = source_of(source_rows, n_source);
        const tfn_offline_opts opts = {.n_threads = 1, .force_one_step = form == 1};
        tfn_column *out = NULL;
        tfn_error err = {0};
        assert_ok(tfn_join_run(spine, view, source, &opts, &out, &both[form], &err), err);
        tfn_column_release(out);
        tfn_source_destroy(source);
        tfn_spine_destroy(spine);
    }
    assert_int_equal(both[0].n_slots_looked_at, both[1].n_slots_looked_at);
    assert_int_equal(both[0].n_slots_expired, both[1].n_slots_expired);
    assert_int_equal(both[0].n_slots_created_later, both[1].n_slots_created_later);
    return both[0];
}

static void a_key_whose_row_became_too_old_is_told_from_one_that_never_had_a_row(void **state)
{
    (void)state;
    tfn_join_view view = fixture_view();
    view.ttl_us = 10;
    static const int64_t spine[][2] = {{1, 5}, {1, 20}, {1, 30}, {1, 40}, {2, 30}};
    static const int64_t source[][4] = {{1, 15, 15, 7}};
    const tfn_join_stats stats = stats_of(&view, spine, 5, source, 1);
    assert_int_equal(stats.n_slots_looked_at, 5);
    assert_int_equal(stats.n_slots_expired, 2); /* at 30 and 40; at 5 there was none yet */
    assert_int_equal(stats.n_spine_rows_matched, 1);
}

static void a_winner_that_was_written_after_the_entity_time_is_counted(void **state)
{
    (void)state;
    const tfn_join_view view = fixture_view();
    static const int64_t spine[][2] = {{1, 20}, {1, 25}, {1, 26}, {2, 20}};
    static const int64_t source[][4] = {{1, 10, 25, 7}, {2, 10, NONE, 8}};
    const tfn_join_stats stats = stats_of(&view, spine, 4, source, 2);
    assert_int_equal(stats.n_slots_won, 4);
    assert_int_equal(stats.n_slots_created_later, 1); /* at 20 only: at 25 it is just there */
    assert_int_equal(stats.n_slots_expired, 0);
}

static void of_many_slots_those_of_evenly_spaced_keys_are_looked_at(void **state)
{
    (void)state;
    enum { N = 600000 };
    int64_t *times = test_malloc(N * sizeof *times);
    int64_t *keys = test_malloc(N * sizeof *keys);
    assert_non_null(times);
    assert_non_null(keys);
    for (int64_t i = 0; i < N; i++) {
        keys[i] = i;
        times[i] = 100 + i;
    }
    const make_col cols[] = {{.name = "k", .format = "l", .values = keys},
                             {.name = "t", .format = "tsu:UTC", .values = times}};
    tfn_frame *frame = frame_of_cols(cols, 2, N);
    static const size_t key = 0;
    tfn_spine *spine = NULL;
    tfn_error err = {0};
    assert_ok(tfn_spine_create(frame, &key, &FIXTURE_INT64, 1, 1, &(tfn_crew){.n_threads = 1},
                               &spine, &err),
              err);
    static const int64_t rows[][4] = {{3, 50, 1000000, 7}};
    tfn_source *source = source_of(rows, 1);
    const tfn_join_view view = fixture_view();
    tfn_column *out = NULL;
    tfn_join_stats stats;
    assert_ok(tfn_join_run(spine, &view, source, NULL, &out, &stats, &err), err);
    assert_int_equal(stats.n_slots_looked_at, N / 3);
    assert_int_equal(stats.n_slots_created_later, 1); /* key 3 is among them */
    tfn_column_release(out);
    tfn_source_destroy(source);
    tfn_spine_destroy(spine);
    tfn_frame_release(frame);
    test_free(times);
    test_free(keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_whose_row_became_too_old_is_told_from_one_that_never_had_a_row),
        cmocka_unit_test(a_winner_that_was_written_after_the_entity_time_is_counted),
        cmocka_unit_test(of_many_slots_those_of_evenly_spaced_keys_are_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
