/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/offline_fixture.h"

#include "offline/explain.c"

static const int64_t SPINE[][2] = {{1, 100}, {1, 100}, {2, 50}, {NONE, 7}};
static const int64_t SOURCE[][4] = {{1, 50, 60, 1}};

static void numbers_and_scans_are_known_before_anything_is_read(void **state)
{
    (void)state;
    tfn_join_view view = fixture_view();
    view.label = tfn_str_of("sta\"ts\n");
    view.ttl_us = 10;
    tfn_spine *spine = spine_of(SPINE, 4);
    tfn_source *source = source_of(SOURCE, 1);
    tfn_join_plan plan;
    tfn_buf json = {0};
    tfn_error err = {0};
    assert_ok(tfn_join_explain(spine, &view, source, NULL, &plan, &json, &err), err);
    assert_true(plan.two_step);
    assert_int_equal(plan.n_scans, 2);
    assert_int_equal(plan.n_spine_rows, 4);
    assert_int_equal(plan.n_groups, 2);
    assert_int_equal(plan.n_slots, 2);
    assert_int_equal(plan.bytes_slots, 48);
    assert_int_equal(plan.bytes_values_max, 2 * 16);
    assert_int_equal(plan.bytes_output, 4 * 8 + 1);
    assert_text(json.p, "{\"view\":\"sta\\\"ts\\u000a\",\"source\":\"rows.parquet\"");
    assert_text(json.p, "\"rule\":{\"ttl_us\":10,\"filter_by_created\":false}");
    assert_text(json.p, "\"form\":\"two-step\",\"why\":\"rows are found again by their position");
    assert_text(json.p, "\"passes\":2,\"rows\":4,\"groups\":2,\"slots\":2");
    assert_text(json.p, "\"scans\":[{");
    tfn_buf_deinit(&json);
    const tfn_offline_opts opts = {.force_one_step = true};
    view.has_known_at = true;
    view.known_at = (tfn_instant){3600, 0};
    json = (tfn_buf){0};
    assert_ok(tfn_join_explain(spine, &view, source, &opts, &plan, &json, &err), err);
    assert_false(plan.two_step);
    assert_int_equal(plan.n_scans, 1);
    assert_text(json.p, "\"known_at\":\"1970-01-01T01:00:00Z\"}");
    assert_text(json.p, "\"why\":\"one step was asked for\"");
    tfn_buf_deinit(&json);
    tfn_source_destroy(source);
    tfn_spine_destroy(spine);
}

static void a_spine_without_keys_reads_nothing(void **state)
{
    (void)state;
    const tfn_join_view view = fixture_view();
    tfn_spine *spine = spine_of(SPINE, 0);
    tfn_source *source = source_of(SOURCE, 1);
    tfn_join_plan plan;
    tfn_buf json = {0};
    tfn_error err = {0};
    assert_ok(tfn_join_explain(spine, &view, source, NULL, &plan, &json, &err), err);
    assert_int_equal(plan.n_scans, 0);
    assert_text(json.p, "\"scans\":[]}");
    tfn_buf_deinit(&json);
    tfn_source_destroy(source);
    tfn_spine_destroy(spine);
}

static void what_would_be_refused_is_refused_here_too(void **state)
{
    (void)state;
    tfn_join_view view = fixture_view();
    view.ttl_us = -5;
    tfn_spine *spine = spine_of(SPINE, 4);
    tfn_source *source = source_of(SOURCE, 1);
    tfn_join_plan plan;
    tfn_error err = {0};
    assert_int_equal(tfn_join_explain(spine, &view, source, NULL, &plan, NULL, &err), TFN_INVALID);
    assert_text(err.message, "view 'stats': ttl is -5");
    tfn_source_destroy(source);
    tfn_spine_destroy(spine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_and_scans_are_known_before_anything_is_read),
        cmocka_unit_test(a_spine_without_keys_reads_nothing),
        cmocka_unit_test(what_would_be_refused_is_refused_here_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
