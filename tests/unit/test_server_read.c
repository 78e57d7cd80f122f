/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Lookups in Feast's form and in the lean one, from the request to the bytes of the reply. */

#include "unit/server_read_fixture.h"

static int setup(void **state)
{
    read_fixture *f = malloc(sizeof *f);
    assert_non_null(f);
    read_setup(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    read_teardown(*state);
    free(*state);
    return 0;
}

static const char *feast(read_fixture *f, const char *body)
{
    return read_post(f, tfn_handle_get_online_features, body);
}

static const char *lean(read_fixture *f, const char *body)
{
    return read_post(f, tfn_handle_lean_post, body);
}

static const char *get(read_fixture *f, const char *service, const char *query)
{
    const tfn_request request = {.rest = tfn_str_of(service), .query = tfn_str_of(query)};
    return read_run(f, tfn_handle_lean_get, &request);
}

#define assert_part(text, part)                                                                    \
    do {                                                                                           \
        const char *text_ = (text);                                                                \
        if (strstr(text_, (part)) == NULL) {                                                       \
            fail_msg("'%s' is not in: %s", (part), text_);                                         \
        }                                                                                          \
    } while (0)

/* ---- Feast's form ---- */

static void an_answer_has_keys_first_and_the_features_in_the_order_asked(void **state)
{
    read_fixture *f = *state;
    const char *body =
        feast(f, "{\"features\":[\"plane_facts:maker\",\"plane_facts:age\",\"plane_facts:delays\"],"
                 "\"entities\":{\"x\":[0,0,0],\"tailnum\":[\"N14228\",\"N619AA\",\"?\"]}}");
    assert_int_equal(f->outcome, TFN_ROUTE_DONE);
    assert_string_equal(
        body,
        "{\"results\":["
        "{\"values\":[\"N14228\",\"N619AA\",\"?\"],\"statuses\":[\"PRESENT\",\"PRESENT\","
        "\"PRESENT\"],\"event_timestamps\":[\"1970-01-01T00:00:00Z\",\"1970-01-01T00:00:00Z\","
        "\"1970-01-01T00:00:00Z\"]},"
        "{\"values\":[\"BOEING\",null,null],\"statuses\":[\"PRESENT\",\"NULL_VALUE\",\"NOT_FOUND\"]"
        ","
        "\"event_timestamps\":[\"2013-01-01T00:00:00Z\",\"2013-01-01T00:02:00Z\","
        "\"1970-01-01T00:00:00Z\"]},"
        "{\"values\":[14,null,null],\"statuses\":[\"PRESENT\",\"NULL_VALUE\",\"NOT_FOUND\"],"
        "\"event_timestamps\":[\"2013-01-01T00:00:00Z\",\"2013-01-01T00:02:00Z\","
        "\"1970-01-01T00:00:00Z\"]},"
        "{\"values\":[[1.5,-2.5],[4.0],null],\"statuses\":[\"PRESENT\",\"PRESENT\",\"NOT_FOUND\"],"
        "\"event_timestamps\":[\"2013-01-01T00:00:00Z\",\"2013-01-01T00:02:00Z\","
        "\"1970-01-01T00:00:00Z\"]}],"
        "\"metadata\":{\"feature_names\":[\"tailnum\",\"maker\",\"age\",\"delays\"]}}");
    assert_int_equal(f->reply.status, 200);
    assert_int_equal(f->reply.n_rows, 3);
}

static void key_columns_come_in_the_order_of_the_request(void **state)
{
    read_fixture *f = *state;
    const char *body = feast(f, "{\"features\":[\"never_loaded:width\",\"plane_facts:age\"],"
                                "\"entities\":{\"seat_id\":[\"7\"],\"tailnum\":[\"N24211\"]}}");
    assert_part(body, "{\"results\":[{\"values\":[7],");
    assert_part(body, "\"feature_names\":[\"seat_id\",\"tailnum\",\"width\",\"age\"]");
    assert_part(body, "{\"values\":[null],\"statuses\":[\"NOT_FOUND\"],\"event_timestamps\":"
                      "[\"1970-01-01T00:00:00Z\"]},{\"values\":[15],\"statuses\":[\"PRESENT\"],"
                      "\"event_timestamps\":[\"2013-01-01T00:01:00Z\"]}");
    body = feast(f, "{\"features\":[\"never_loaded:width\",\"plane_facts:age\"],"
                    "\"entities\":{\"tailnum\":[\"N24211\"],\"seat_id\":[7]}}");
    assert_part(body, "\"feature_names\":[\"tailnum\",\"seat_id\",\"width\",\"age\"]");
}

static void services_full_names_and_views_are_told(void **state)
{
    read_fixture *f = *state;
    const char *body =
        feast(f, "{\"feature_service\":\"model\",\"features\":[\"ignored\"],\"full_feature_names\":"
                 "true,\"include_feature_view_version_metadata\":true,\"entities\":{\"tailnum\":"
                 "[\"N14228\",null]}}");
    assert_part(body, "\"metadata\":{\"feature_names\":[\"tailnum\",\"plane_facts__maker\","
                      "\"plane_facts__age\"],\"feature_view_metadata\":[{\"name\":"
                      "\"plane_facts\"}]}}");
    assert_part(body, "{\"values\":[\"N14228\",null],\"statuses\":[\"PRESENT\",\"NULL_VALUE\"]");
    assert_part(feast(f, "{\"feature_service\":\"\",\"features\":[\"plane_facts:age\"],"
                         "\"entities\":{\"tailnum\":[\"N14228\"]}}"),
                "[14]");
}

static void no_rows_are_an_answer_without_values(void **state)
{
    read_fixture *f = *state;
    assert_string_equal(
        feast(f, "{\"features\":[\"plane_facts:age\"],\"entities\":{\"tailnum\":[]}}"),
        "{\"results\":[{\"values\":[],\"statuses\":[],\"event_timestamps\":[]},{\"values\":[],"
        "\"statuses\":[],\"event_timestamps\":[]}],\"metadata\":{\"feature_names\":[\"tailnum\","
        "\"age\"]}}");
}

static void expect_feast(read_fixture *f, const char *body, int32_t status, const char *part)
{
    const char *text = feast(f, body);
    assert_int_equal(f->reply.status, status);
    assert_int_equal(f->reply.n_rows, 0);
    assert_part(text, part);
}

static void wrong_requests_have_the_status_that_feast_gives(void **state)
{
    read_fixture *f = *state;
    static const struct {
        const char *body;
        int32_t status;
        const char *part;
    } cases[] = {
        {"", 422, "\"Field required\""},
        {"{\"features\":[\"plane_facts:age\"]}", 422, "[\"body\",\"entities\"]"},
        {"{\"entities\":{\"tailnum\":[\"a\"]}}", 500, "\"No features specified for retrieval\""},
        {"{\"features\":[],\"entities\":{\"tailnum\":[\"a\"]}}", 500, "\"No features"},
        {"{\"features\":[\"age\"],\"entities\":{\"tailnum\":[\"a\"]}}", 500, "age"},
        {"{\"features\":[\"zz:age\"],\"entities\":{\"tailnum\":[\"a\"]}}", 404,
         "\\\"class\\\": \\\"FeatureViewNotFoundException\\\""},
        {"{\"features\":[\"plane_facts:zz\"],\"entities\":{\"tailnum\":[\"a\"]}}", 500,
         "\"feature view 'plane_facts' has no feature 'zz'"},
        {"{\"feature_service\":\"zz\",\"entities\":{\"tailnum\":[\"a\"]}}", 404,
         "\\\"class\\\": \\\"FeatureServiceNotFoundException\\\""},
        {"{\"features\":[\"plane_facts\\u0000:age\"],\"entities\":{\"tailnum\":[\"a\"]}}", 404,
         "FeatureViewNotFoundException"},
        {"{\"features\":[\"plane_facts:age\",\"plane_facts:age\"],\"entities\":{\"tailnum\":"
         "[\"a\"]}}",
         500, "\\\"class\\\": \\\"FeatureNameCollisionError\\\""},
        {"{\"features\":[\"plane_facts:age\"],\"entities\":{\"x\":[1]}}", 500,
         "need the join key 'tailnum', which is not among their columns: x\""},
        {"{\"features\":[\"plane_facts:age\"],\"entities\":{}}", 500, "has no column"},
        {"{\"features\":[\"plane_facts:age\"],\"entities\":{\"tailnum\":[\"a\"],\"x\":[1,2]}}", 500,
         "of equal length; 'tailnum' has 1 values and 'x' has 2"},
        {"{\"features\":[\"plane_facts:age\"],\"entities\":{\"tailnum\":[[1]]}}", 500, "is a list"},
        {"{\"features\":[\"plane_facts:age\"],\"entities\":{\"tailnum\":[{}]}}", 500,
         "is an object"},
        {"{\"features\":[\"never_loaded:width\"],\"entities\":{\"tailnum\":[\"a\"],\"seat_id\":"
         "[1180591620717411303424]}}",
         500, "join key 'seat_id' is int64"},
        {"{\"features\":[\"never_loaded:width\"],\"entities\":{\"tailnum\":[\"a\"],\"seat_id\":"
         "[9223372036854775808]}}",
         500, "join key 'seat_id' is int64"},
        {"{\"features\":[\"never_loaded:width\"],\"entities\":{\"tailnum\":[\"a\"],\"seat_id\":"
         "[1e999]}}",
         500, "join key 'seat_id' is int64"},
        {"{\"features\":[\"never_loaded:width\"],\"entities\":{\"tailnum\":[\"a\"],\"seat_id\":"
         "[\"x\"]}}",
         500, "the text 'x' does not read as one"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect_feast(f, cases[i].body, cases[i].status, cases[i].part);
    }
}

static void keys_are_cast_as_feast_casts_them(void **state)
{
    read_fixture *f = *state;
    const char *body = feast(f, "{\"features\":[\"never_loaded:width\"],\"entities\":{\"tailnum\":"
                                "[5,-6,\"x\",null],\"seat_id\":[\"2\",3.0,true,null]}}");
    assert_int_equal(f->reply.status, 200);
    assert_part(body, "{\"values\":[\"5\",\"-6\",\"x\",null]");
    assert_part(body, "{\"values\":[2,3,1,null]");
}

static void an_answer_has_a_ceiling(void **state)
{
    read_fixture *f = *state;
    enum { N_ROWS = 900, MAX_ANSWER = 4096 };
    char body[8 * N_ROWS] = "{\"features\":[\"plane_facts:age\"],\"entities\":{\"tailnum\":[0";
    size_t n = strlen(body);
    for (int i = 1; i < N_ROWS; i++) {
        n += (size_t)snprintf(body + n, sizeof body - n, ",%d", i);
    }
    (void)snprintf(body + n, sizeof body - n, "]}}");
    f->config.limits.max_answer_bytes = MAX_ANSWER;
    f->reply.body.max_bytes = MAX_ANSWER;
    expect_feast(f, body, 413,
                 "{\"detail\":\"the answer has more than 4096 bytes, as many as this server allows "
                 "(setting max_answer)");
    assert_int_equal(f->reply.n_rows, 0);
    f->reply.body.max_bytes = 0;
    (void)feast(f, body);
    assert_int_equal(f->reply.status, 200);
}

static void limits_name_themselves_and_their_setting(void **state)
{
    read_fixture *f = *state;
    f->config.limits.max_entity_rows = 2;
    expect_feast(f, "{\"features\":[\"plane_facts:age\"],\"entities\":{\"tailnum\":[1,2,3]}}", 413,
                 "{\"detail\":\"the request asks for 3 entity rows; this server allows 2 (setting "
                 "max_entity_rows)");
    f->config.limits.max_features = 1;
    expect_feast(f, "{\"features\":[\"plane_facts:age\",\"a:b\"],\"entities\":{\"tailnum\":[1]}}",
                 413, "asks for 2 features; this server allows 1 (setting max_features)");
    expect_feast(f, "{\"feature_service\":\"model\",\"entities\":{\"tailnum\":[1]}}", 413,
                 "asks for 2 features");
    (void)lean(f, "{\"service\":\"model\",\"entities\":{\"tailnum\":[1]}}");
    assert_int_equal(f->reply.status, 413);
    f->config.limits.max_features = 10;
    f->reply.body.max_bytes = 40; /* what an answer may take */
    (void)feast(f, "{\"features\":[\"plane_facts:age\"],\"entities\":{\"tailnum\":[1]}}");
    assert_int_equal(f->reply.status, 413);
    f->reply.body.max_bytes = 0;
}

/* ---- what may not run here ---- */

static void on_demand_views_are_left_to_python(void **state)
{
    read_fixture *f = *state;
    static const char body[] = "{\"feature_service\":\"mixed\",\"entities\":{\"tailnum\":[\"a\"],"
                               "\"other_tailnum\":[\"a\"],\"km\":[1.0]}}";
    expect_feast(f, body, 501, "is an on-demand feature view, which is computed in Python");
    assert_part(f->reply.body.p, "tiffin serve");
    assert_part(lean(f, "{\"service\":\"mixed\"}"), "{\"error\":{\"code\":\"UNSUPPORTED\"");
    assert_int_equal(f->reply.status, 501);
    f->shared.has_python = true;
    (void)feast(f, body);
    assert_int_equal(f->outcome, TFN_ROUTE_LATER);
    assert_int_equal(host_runs, 0);
    f->context.may_block = true;
    (void)feast(f, body);
    assert_int_equal(f->outcome, TFN_ROUTE_DONE);
    assert_int_equal(host_runs, 1);
    assert_int_equal(f->reply.status, 200);
}

static void a_store_that_is_a_server_is_read_in_a_job(void **state)
{
    read_fixture *f = *state;
    static const char body[] =
        "{\"features\":[\"plane_facts:age\"],\"entities\":{\"tailnum\":[\"N14228\"]}}";
    f->shared.lookups_block = true;
    (void)feast(f, body);
    assert_int_equal(f->outcome, TFN_ROUTE_LATER);
    (void)lean(f, body);
    assert_int_equal(f->outcome, TFN_ROUTE_LATER);
    (void)get(f, "model", "tailnum=a");
    assert_int_equal(f->outcome, TFN_ROUTE_LATER);
    f->context.may_block = true;
    assert_part(feast(f, body), "[14]");
    assert_int_equal(f->outcome, TFN_ROUTE_DONE);
}

/* ---- the lean form ---- */

static void a_lean_answer_has_one_array_per_feature(void **state)
{
    read_fixture *f = *state;
    assert_string_equal(
        lean(f, "{\"features\":[\"plane_facts:maker\",\"plane_facts:age\"],\"entities\":"
                "{\"tailnum\":[\"N14228\",\"N619AA\",\"?\"]}}"),
        "{\"names\":[\"maker\",\"age\"],\"columns\":[[\"BOEING\",null,null],[14,null,null]],"
        "\"statuses\":[[1,2,3],[1,2,3]]}");
    assert_int_equal(f->reply.n_rows, 3);
    assert_string_equal(
        lean(f, "{\"service\":\"model\",\"full_feature_names\":true,\"with\":[\"event_times\"],"
                "\"entities\":{\"tailnum\":[\"N24211\",\"?\"]}}"),
        "{\"names\":[\"plane_facts__maker\",\"plane_facts__age\"],\"columns\":[[\"AIRBUS "
        "INDUSTRIE\",null],[15,null]],\"event_times\":[[1356998460000000,null],"
        "[1356998460000000,null]]}");
    assert_string_equal(lean(f, "{\"service\":\"model\",\"max_age_seconds\":60,\"with\":["
                                "\"statuses\"],\"entities\":{\"tailnum\":[\"N24211\"]}}"),
                        "{\"names\":[\"maker\",\"age\"],\"columns\":[[null],[null]],\"statuses\":"
                        "[[4],[4]]}");
}

static void a_query_names_join_keys(void **state)
{
    read_fixture *f = *state;
    assert_string_equal(
        get(f, "model", "tailnum=N14228&tailnum=N24211&tailnum=N%36%319AA&tailnum=a+b"),
        "{\"names\":[\"maker\",\"age\"],\"columns\":[[\"BOEING\",\"AIRBUS INDUSTRIE\",null,null],"
        "[14,15,null,null]],\"statuses\":[[1,1,2,3],[1,1,2,3]]}");
    assert_string_equal(get(f, "model",
                            "tailnum=N24211&with=event_times,statuses&"
                            "full_feature_names=true&max_age_seconds=1e12&&"),
                        "{\"names\":[\"plane_facts__maker\",\"plane_facts__age\"],\"columns\":"
                        "[[\"AIRBUS INDUSTRIE\"],[15]],\"statuses\":[[1],[1]],\"event_times\":"
                        "[[1356998460000000],[1356998460000000]]}");
}

static void wrong_lean_requests_say_what_would_be_right(void **state)
{
    read_fixture *f = *state;
    static const struct {
        const char *body;
        int32_t status;
        const char *part;
    } cases[] = {
        {"", 400, "is not JSON"},
        {"[1", 400, "is not JSON"},
        {"[1]", 400, "give an object"},
        {"{}", 400, "there is neither"},
        {"{\"service\":\"model\",\"features\":[\"a:b\"]}", 400, "there are both"},
        {"{\"service\":5}", 400, "\\\"service\\\", uint"},
        {"{\"features\":\"a\"}", 400, "is string; give a list of texts"},
        {"{\"features\":[1]}", 400, "item 0 of"},
        {"{\"service\":\"model\",\"entities\":[]}", 400, "is array; give an object"},
        {"{\"service\":\"model\",\"entities\":{\"tailnum\":1}}", 400, "give a list"},
        {"{\"service\":\"model\",\"with\":[\"x\"]}", 400, "names 'x'"},
        {"{\"service\":\"model\",\"with\":\"x\"}", 400, "give a list"},
        {"{\"service\":\"model\",\"max_age_seconds\":-1}", 400, "seconds above 0"},
        {"{\"service\":\"model\",\"max_age_seconds\":1e999}", 400, "seconds above 0"},
        {"{\"service\":\"model\",\"rows\":1}", 400, "the request has \\\"rows\\\""},
        {"{\"service\":\"model\",\"entities\":{\"tailnum\":[\"a\"],\"x\":[1]}}", 400,
         "'x' is no join key of what was asked for; its join keys are: tailnum"},
        {"{\"service\":\"model\"}", 400, "need the join key 'tailnum'"},
        {"{\"service\":\"zz\"}", 404, "zz"},
        {"{\"features\":[\"plane_facts:zz\"],\"entities\":{\"tailnum\":[\"a\"]}}", 404, "zz"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *body = lean(f, cases[i].body);
        assert_part(body, cases[i].part);
        assert_part(body, "{\"error\":{\"code\":");
        assert_int_equal(f->reply.status, cases[i].status);
    }
    static const char *const queries[][2] = {{"tailnum=%4", "hexadecimal"},
                                             {"tailnum=%zz", "hexadecimal"},
                                             {"tailnum=%ff", "UTF-8"},
                                             {"tailnum=a&full_feature_names=1", "true or false"},
                                             {"tailnum=a&max_age_seconds=x", "number of seconds"},
                                             {"tailnum=a&with=x", "names 'x'"},
                                             {"tailnum=a&tail=b&tail=c", "of equal length"},
                                             {"tail=b", "is no join key"}};
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        assert_part(get(f, "model", queries[i][0]), queries[i][1]);
        assert_int_equal(f->reply.status, 400);
    }
    assert_part(get(f, "", "tailnum=a"), "names no feature service");
    char query[1024] = "";
    for (int i = 0; i < 65; i++) {
        (void)snprintf(query + strlen(query), sizeof query - strlen(query), "p%d=1&", i);
    }
    assert_part(get(f, "model", query), "more than 64 different parameters");
}

/* ---- what changes while it runs ---- */

/* What the server's housekeeping does: the registry is read again. */
static void notice_commit(read_fixture *f)
{
    tfn_lookup *lookup = NULL;
    assert_ok(
        tfn_store_prepare(f->store.store, "{\"features\":[\"plane_facts:age\"]}", &lookup, err));
    tfn_lookup_destroy(lookup);
}

static void definitions_that_change_are_followed(void **state)
{
    read_fixture *f = *state;
    static const char body[] =
        "{\"feature_service\":\"model\",\"entities\":{\"tailnum\":[\"N14228\"],\"seat_id\":[1]}}";
    static const char wider[] =
        "{\"objects\":[{\"kind\":\"feature_service\",\"name\":\"model\",\"features\":["
        "{\"view\":\"plane_facts\",\"name_alias\":\"\",\"features\":[\"age\"],\"join_key_map\":{}},"
        "{\"view\":\"never_loaded\",\"name_alias\":\"\",\"features\":[\"width\"],\"join_key_map\":"
        "{}}]}]}";
    static const char computed[] =
        "{\"objects\":[{\"kind\":\"feature_service\",\"name\":\"model\",\"features\":["
        "{\"view\":\"bare\"}]}]}";
    assert_part(feast(f, body), "[\"tailnum\",\"maker\",\"age\"]");
    store_define(&f->store, wider); /* other join keys */
    notice_commit(f);
    assert_part(feast(f, body), "[\"tailnum\",\"seat_id\",\"age\",\"width\"]");
    store_define(&f->store, computed);
    notice_commit(f);
    assert_part(feast(f, body), "on-demand feature view");
    assert_int_equal(f->reply.status, 501);
}

static void what_is_served_is_counted_by_view_and_status(void **state)
{
    read_fixture *f = *state;
    tfn_buf out = {0};
    (void)feast(f,
                "{\"features\":[\"plane_facts:maker\",\"never_loaded:width\",\"plane_facts:age\"],"
                "\"entities\":{\"tailnum\":[\"N14228\",\"N619AA\",\"?\"],\"seat_id\":[1,2,3]}}");
    (void)lean(f, "{\"service\":\"model\",\"entities\":{\"tailnum\":[\"N14228\"]}}");
    assert_ok(tfn_metrics_write(f->shared.metrics, &f->shared, &out, err));
    assert_part(out.p, "tiffin_values_total{view=\"plane_facts\",status=\"PRESENT\"} 4\n");
    assert_part(out.p, "tiffin_values_total{view=\"plane_facts\",status=\"NULL_VALUE\"} 2\n");
    assert_part(out.p, "tiffin_values_total{view=\"plane_facts\",status=\"NOT_FOUND\"} 2\n");
    assert_part(out.p, "tiffin_values_total{view=\"never_loaded\",status=\"NOT_FOUND\"} 3\n");
    tfn_buf_deinit(&out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(an_answer_has_keys_first_and_the_features_in_the_order_asked),
        TEST(key_columns_come_in_the_order_of_the_request),
        TEST(services_full_names_and_views_are_told),
        TEST(no_rows_are_an_answer_without_values),
        TEST(wrong_requests_have_the_status_that_feast_gives),
        TEST(keys_are_cast_as_feast_casts_them),
        TEST(an_answer_has_a_ceiling),
        TEST(limits_name_themselves_and_their_setting),
        TEST(on_demand_views_are_left_to_python),
        TEST(a_store_that_is_a_server_is_read_in_a_job),
        TEST(a_lean_answer_has_one_array_per_feature),
        TEST(a_query_names_join_keys),
        TEST(wrong_lean_requests_say_what_would_be_right),
        TEST(definitions_that_change_are_followed),
        TEST(what_is_served_is_counted_by_view_and_status),
#undef TEST
    };
    return cmocka_run_group_tests_name("server_read", tests, NULL, NULL);
}
