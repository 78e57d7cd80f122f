/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Requests that name on-demand views, resolved through the public C API. */

#include "unit/store_fixture.h"

#include <string.h>

static int setup(void **state)
{
    store_fixture *f = malloc(sizeof *f);
    store_setup(f);
    store_define(f, store_on_demand);
    store_open(f, TFN_ONLINE_TTL_IGNORE);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    store_teardown(*state);
    free(*state);
    return 0;
}

static char *resolve(const store_fixture *f, const char *request)
{
    char *answer = NULL;
    assert_ok(tfn_store_resolve(f->store, request, &answer, err));
    return answer;
}

static const char *assert_has(const char *whole, const char *part)
{
    const char *found = strstr(whole, part);
    if (found == NULL) {
        fail_msg("no '%s' in '%s'", part, whole);
    }
    return found;
}

static void assert_refused(const store_fixture *f, const char *request, tfn_code code,
                           const char *part)
{
    char *answer = NULL;
    tfn_error err = {0};
    assert_int_equal(tfn_store_resolve(f->store, request, &answer, &err), code);
    assert_null(answer);
    (void)assert_has(err.message, part);
}

static void a_request_without_on_demand_views_needs_nothing_more(void **state)
{
    char *answer = resolve(*state, "{\"features\":[\"plane_facts:age\"]}");
    assert_string_equal(answer, "{\"commit\":2,\"on_demand\":[]}");
    tfn_text_destroy(answer);
}

static void a_view_is_run_after_those_that_it_reads(void **state)
{
    char *answer = resolve(*state, "{\"features\":[\"chain:z\",\"plane_facts:maker\"]}");
    const char *rates = assert_has(answer, "{\"name\":\"rates\",\"mode\":\"pandas\"");
    const char *chain = assert_has(
        answer, "{\"name\":\"chain\",\"mode\":\"python\",\"singleton\":true,"
                "\"module\":\"features\",\"function\":\"f\",\"hash\":\"" STORE_DIGEST "\"");
    assert_true(rates < chain);
    (void)assert_has(chain, "{\"names\":[\"x\",\"rates__x\"],\"column\":\"rates:x\","
                            "\"is_request\":false,\"dtype\":\"int64\"}");
    (void)assert_has(chain, "{\"names\":[\"km\"],\"column\":\"km\",\"is_request\":true,"
                            "\"dtype\":\"float64\"}");
    (void)assert_has(answer, "\"columns\":[{\"name\":\"z\",\"column\":\"chain:z\"},"
                             "{\"name\":\"maker\",\"column\":\"plane_facts:maker\"}]");
    tfn_text_destroy(answer);
}

static void what_is_read_is_a_request_that_the_reading_verbs_take(void **state)
{
    store_fixture *f = *state;
    char *answer = resolve(f, "{\"features\":[\"rates:x\",\"plane_facts:age\"]}");
    (void)assert_has(answer,
                     "\"request\":{\"projections\":[{\"view\":\"plane_facts\",\"name_alias\":"
                     "\"plane_facts\",\"join_key_map\":{},\"features\":[\"age\",\"maker\"],"
                     "\"names\":[\"plane_facts:age\",\"plane_facts:maker\"]},"
                     "{\"view\":\"plane_facts\",\"name_alias\":\"plane_facts#2\",\"join_key_map\":"
                     "{\"tailnum\":\"other_tailnum\"},\"features\":[\"age\"],"
                     "\"names\":[\"plane_facts#2:age\"]}]}");
    /* Both views have an age, so the function sees it under its full names only. */
    (void)assert_has(answer, "{\"names\":[\"plane_facts__age\"],\"column\":\"plane_facts:age\"");
    (void)assert_has(answer, "{\"names\":[\"other__age\"],\"column\":\"plane_facts#2:age\"");
    (void)assert_has(answer, "{\"names\":[\"maker\",\"plane_facts__maker\"]");
    char *request = strdup(strstr(answer, "{\"projections\""));
    *(strstr(request, "]}]}") + 4) = '\0';
    tfn_lookup *lookup = NULL;
    assert_ok(tfn_store_prepare(f->store, request, &lookup, err));
    assert_string_equal(tfn_lookup_get_key_name(lookup, 1), "other_tailnum");
    tfn_answer *found = NULL;
    const tfn_value keys[] = {text_value("N14228"), text_value("N24211")};
    store_load_planes(f);
    assert_ok(tfn_lookup_run(lookup, keys, 1, NULL, &found, err));
    assert_string_equal(tfn_answer_get_name(found, 2), "plane_facts:age");
    assert_string_equal(tfn_answer_get_name(found, 4), "plane_facts#2:age");
    assert_int_equal(tfn_answer_get_commit(found), 2);
    tfn_value value;
    (void)tfn_answer_get(found, 0, 4, &value);
    assert_int_equal(value.integer, 15);
    tfn_answer_destroy(found);
    tfn_lookup_destroy(lookup);
    free(request);
    tfn_text_destroy(answer);
}

static void a_service_keeps_its_order_and_its_aliases(void **state)
{
    char *answer = resolve(*state, "{\"service\":\"mixed\",\"full_feature_names\":true}");
    (void)assert_has(answer, "\"columns\":[{\"name\":\"chain__z\",\"column\":\"chain:z\"},"
                             "{\"name\":\"plane_facts__age\",\"column\":\"plane_facts:age\"},"
                             "{\"name\":\"r__y\",\"column\":\"rates:y\"}]");
    tfn_text_destroy(answer);
}

static void a_view_of_request_data_alone_reads_nothing(void **state)
{
    char *answer = resolve(*state, "{\"projections\":[{\"view\":\"bare\"}]}");
    (void)assert_has(answer, "\"request\":{\"projections\":[]}");
    (void)assert_has(answer, "\"columns\":[{\"name\":\"w\",\"column\":\"bare:w\"}]");
    tfn_text_destroy(answer);
}

static void what_does_not_exist_or_clashes_is_refused(void **state)
{
    const store_fixture *f = *state;
    assert_refused(f, "{\"features\":[\"rates:q\"]}", TFN_NOT_FOUND,
                   "on-demand feature view 'rates' has no feature 'q'; it has: x, y");
    assert_refused(f, "{\"features\":[\"nothing:q\"]}", TFN_NOT_FOUND, "no feature view 'nothing'");
    assert_refused(f, "{\"features\":[\"rate:x\"]}", TFN_NOT_FOUND,
                   "no feature view 'rate'; did you mean 'rates'");
    assert_refused(f, "{\"features\":[\"plane_facts:q\",\"rates:x\"]}", TFN_NOT_FOUND,
                   "feature view 'plane_facts' has no feature 'q'");
    assert_refused(f, "{\"features\":[\"rates:x\",\"rates:x\"]}", TFN_INVALID,
                   "two features would be called 'x': one of 'rates' and one of 'rates'");
    assert_refused(f,
                   "{\"projections\":[{\"view\":\"rates\",\"join_key_map\":{\"tailnum\":\"t\"}}]}",
                   TFN_INVALID, "on-demand feature view 'rates' has no join keys of its own");
    assert_refused(f, "{\"features\":[]}", TFN_INVALID, "no feature was asked for");
    assert_refused(f, "{\"projections\":[{\"view\":\"plane_facts\",\"names\":[\"a\"]}]}",
                   TFN_INVALID, "1 names for 3 features");
}

static void the_reading_verbs_refuse_what_was_not_resolved(void **state)
{
    const store_fixture *f = *state;
    tfn_lookup *lookup = NULL;
    tfn_error err = {0};
    assert_int_equal(tfn_store_prepare(f->store, "{\"features\":[\"rates:x\"]}", &lookup, &err),
                     TFN_UNSUPPORTED);
    (void)assert_has(err.message,
                     "'rates' is an on-demand feature view, which its caller computes");
    assert_int_equal(tfn_store_prepare(f->store, "{\"service\":\"mixed\"}", &lookup, &err),
                     TFN_UNSUPPORTED);
    assert_null(lookup);
}

static void a_lookup_that_comes_to_need_on_demand_views_says_so(void **state)
{
    const store_fixture *f = *state;
    tfn_lookup *lookup = NULL;
    tfn_answer *answer = NULL;
    const tfn_value key = text_value("N14228");
    assert_ok(tfn_store_prepare(f->store, "{\"service\":\"model\"}", &lookup, err));
    store_define(f, "{\"objects\":[{\"kind\":\"feature_service\",\"name\":\"model\",\"features\":["
                    "{\"view\":\"bare\"}]}]}");
    char *fresh = NULL; /* reads the registry, so that the run sees the new commit */
    assert_ok(tfn_store_get(f->store, "feature_service", "model", -1, &fresh, err));
    tfn_text_destroy(fresh);
    tfn_error why = {0};
    assert_int_equal(tfn_lookup_run(lookup, &key, 1, NULL, &answer, &why), TFN_UNSUPPORTED);
    (void)assert_has(why.message, "'bare' is an on-demand feature view");
    tfn_lookup_destroy(lookup);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_without_on_demand_views_needs_nothing_more),
        TEST(a_view_is_run_after_those_that_it_reads),
        TEST(what_is_read_is_a_request_that_the_reading_verbs_take),
        TEST(a_service_keeps_its_order_and_its_aliases),
        TEST(a_view_of_request_data_alone_reads_nothing),
        TEST(what_does_not_exist_or_clashes_is_refused),
        TEST(the_reading_verbs_refuse_what_was_not_resolved),
        TEST(a_lookup_that_comes_to_need_on_demand_views_says_so),
    };
    return cmocka_run_group_tests_name("store_on_demand", tests, NULL, NULL);
}
