/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/offline_fixture.h"

#include "offline/retrieval_plan.c"

enum { ROWS = 200000, SPAN = 1000000 };

typedef enum order { UP, BACK_AND_FORTH } order;

static tfn_frame *make_frame(order how)
{
    static int64_t k[ROWS];
    static int64_t t[ROWS];
    for (int64_t i = 0; i < ROWS; i++) {
        k[i] = i;
        t[i] = (how == UP ? i : i * 7919 % ROWS) * (SPAN / ROWS);
    }
    const make_col cols[] = {{.name = "k", .format = "l", .values = k},
                             {.name = "t", .format = "tsu:UTC", .values = t}};
    return frame_of_cols(cols, 2, ROWS);
}

/* The plan for rows in this order, a view of this ttl, and a limit with room for n_parts parts. */
static tfn_retrieval_plan plan_of(order how, int64_t ttl_us, int64_t limit_bytes)
{
    static const size_t key = 0;
    static const int64_t rows[1][4] = {{0, 0, 0, 0}};
    tfn_frame *frame = make_frame(how);
    tfn_source *source = source_of(rows, 1);
    tfn_retrieval_view view = {fixture_view(), &key, source};
    view.join.ttl_us = ttl_us;
    const tfn_retrieval_opts opts = {.n_threads = 1, .limit_bytes = limit_bytes};
    tfn_retrieval *r = NULL;
    tfn_error err = {0};
    assert_ok(tfn_retrieval_create(frame, 1, &view, 1, &opts, &r, &err), err);
    const tfn_retrieval_plan plan = *tfn_retrieval_get_plan(r);
    tfn_retrieval_destroy(r);
    tfn_source_destroy(source);
    tfn_frame_release(frame);
    return plan;
}

enum { MB = 1000000, TIGHT = 24 * MB };

static void what_fits_is_joined_at_once(void **state)
{
    (void)state;
    const tfn_retrieval_plan plan = plan_of(BACK_AND_FORTH, 1000, INT64_C(1000) * MB);
    assert_int_equal(plan.strategy, TFN_RETRIEVAL_WHOLE);
    assert_int_equal(plan.n_parts, 1);
    assert_text(plan.why, "all rows fit");
    assert_int_equal(plan_of(UP, 0, 0).strategy, TFN_RETRIEVAL_WHOLE);
}

static void a_short_ttl_is_cut_by_time(void **state)
{
    (void)state;
    const tfn_retrieval_plan plan = plan_of(BACK_AND_FORTH, SPAN / 100, TIGHT);
    assert_int_equal(plan.strategy, TFN_RETRIEVAL_BY_TIME);
    assert_true(plan.n_parts > 3);
    assert_true(plan.passes < 1.3);
    assert_text(plan.why, "parts by time read the sources 1.");
}

static void rows_that_ascend_are_not_copied(void **state)
{
    (void)state;
    const tfn_retrieval_plan plan = plan_of(UP, SPAN / 100, TIGHT);
    assert_int_equal(plan.strategy, TFN_RETRIEVAL_BY_ROWS);
    assert_true(plan.passes < 1.3);
    assert_text(plan.why, "the entity rows ascend in time");
}

static void without_a_ttl_time_is_no_help(void **state)
{
    (void)state;
    const tfn_retrieval_plan plan = plan_of(BACK_AND_FORTH, 0, TIGHT);
    assert_int_equal(plan.strategy, TFN_RETRIEVAL_BY_ROWS);
    assert_true(plan.passes == (double)plan.n_parts);
    assert_text(plan.why, "parts by time would read them");
}

static void a_ttl_beyond_all_rows_is_no_help_either(void **state)
{
    (void)state;
    assert_int_equal(plan_of(BACK_AND_FORTH, INT64_C(1000) * SPAN, TIGHT).strategy,
                     TFN_RETRIEVAL_BY_ROWS);
}

static void a_limit_that_is_too_small_says_which_would_do(void **state)
{
    (void)state;
    static const size_t key = 0;
    static const int64_t rows[1][4] = {{0, 0, 0, 0}};
    tfn_frame *frame = make_frame(UP);
    tfn_source *source = source_of(rows, 1);
    const tfn_retrieval_view view = {fixture_view(), &key, source};
    tfn_retrieval_opts opts = {.n_threads = 1, .limit_bytes = 5 * MB};
    tfn_retrieval *r = NULL;
    tfn_error err = {0};
    assert_int_equal(tfn_retrieval_create(frame, 1, &view, 1, &opts, &r, &err), TFN_LIMIT);
    assert_null(r);
    assert_text(err.message, "a memory_limit of 5.0 MB is too small for a training set of 1 ");
    const char *told = strstr(err.message, "would do is ");
    assert_non_null(told);
    opts.limit_bytes = strtoll(told + strlen("would do is "), NULL, 10) * MB;
    assert_ok(tfn_retrieval_create(frame, 1, &view, 1, &opts, &r, &err), err);
    tfn_retrieval_destroy(r);
    opts.limit_bytes -= MB;
    assert_int_equal(tfn_retrieval_create(frame, 1, &view, 1, &opts, &r, &err), TFN_LIMIT);
    tfn_source_destroy(source);
    tfn_frame_release(frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_joined_at_once),
        cmocka_unit_test(a_short_ttl_is_cut_by_time),
        cmocka_unit_test(rows_that_ascend_are_not_copied),
        cmocka_unit_test(without_a_ttl_time_is_no_help),
        cmocka_unit_test(a_ttl_beyond_all_rows_is_no_help_either),
        cmocka_unit_test(a_limit_that_is_too_small_says_which_would_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
