/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * What a check for leaks refuses, up to the opening of the source, for which DuckDB is needed: from
 * there on it is tested by tests/integration/test_leakage.py, and its counts by test_offline_leakage.c.
 */

#include "unit/store_fixture.h"

static const char facts[] = "{\"features\":[\"plane_facts:age\"]}";

static void make_spine(const char *key, struct ArrowArrayStream *out)
{
    static const char *keys[] = {"N14228", "N24211"};
    static const int64_t times[] = {STORE_T0_S, STORE_T0_S};
    const make_col columns[] = {{.name = key, .format = "u", .values = keys},
                                {.name = "event_timestamp", .format = "tss:UTC", .values = times}};
    make_stream(columns, 2, 2, 0, out);
}

static void expect(store_fixture *f, const char *features, const char *key, tfn_code code,
                   const char *part)
{
    struct ArrowArrayStream spine;
    char *report = NULL;
    tfn_error err = {0};
    const tfn_historical_request request = {.struct_size = sizeof request, .features = features};
    make_spine(key, &spine);
    assert_int_equal(tfn_store_check_leakage(f->store, &request, &spine, &report, &err), code);
    if (strstr(err.message, part) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.message, part);
    }
    assert_null(report);
    if (spine.release != NULL) {
        spine.release(&spine);
    }
}

static void what_cannot_be_checked_is_refused_as_a_training_set_is(void **state)
{
    (void)state;
    store_fixture f;
    store_setup(&f);
    store_open(&f, TFN_ONLINE_TTL_IGNORE);
    expect(&f, NULL, "tailnum", TFN_INVALID, "without features");
    expect(&f, "{\"features\":[\"nothing:age\"]}", "tailnum", TFN_NOT_FOUND, "nothing");
    expect(&f, facts, "plane", TFN_SCHEMA, "no column 'tailnum', which is a join key");
    expect(&f, facts, "tailnum", TFN_IO, "planes.parquet");
    store_teardown(&f);
}

static void a_request_of_another_release_is_refused(void **state)
{
    (void)state;
    store_fixture f;
    store_setup(&f);
    store_open(&f, TFN_ONLINE_TTL_IGNORE);
    const tfn_historical_request request = {.struct_size = 8, .features = facts};
    struct ArrowArrayStream spine;
    char *report = NULL;
    tfn_error err = {0};
    make_spine("tailnum", &spine);
    assert_int_equal(tfn_store_check_leakage(f.store, &request, &spine, &report, &err),
                     TFN_INVALID);
    assert_non_null(strstr(err.message, "a request of 8 bytes"));
    spine.release(&spine);
    store_teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_checked_is_refused_as_a_training_set_is),
        cmocka_unit_test(a_request_of_another_release_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
