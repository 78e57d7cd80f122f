/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Bodies of Feast's protocol: what is wrong is said as FastAPI says it. The texts that are expected
 * were taken from Feast 0.67 (docs/formats/server-protocol.md). */

#include "unit/base_make.h"

#include <stdio.h>

#include "server/feast_body.c"

static const tfn_body_field fields[] = {
    {.name = "entities", .kind = TFN_BODY_OBJECT_OF_LISTS, .is_required = true},
    {.name = "feature_service", .kind = TFN_BODY_TEXT, .is_nullable = true},
    {.name = "features", .kind = TFN_BODY_LIST_OF_TEXT},
    {.name = "full_feature_names", .kind = TFN_BODY_BOOL},
    {.name = "df", .kind = TFN_BODY_OBJECT},
};

typedef struct outcome {
    bool is_good;
    int32_t status;
    char body[8192];
    bool full_names;
    tfn_query_flag flags[2];
} outcome;

static outcome check_request(const char *query, const char *body, size_t n)
{
    tfn_context context = {0};
    tfn_reply reply = {0};
    const tfn_request request = {.query = tfn_str_of(query), .body = {body, n}};
    yyjson_val *root = NULL;
    outcome out = {.flags = {{.name = "async"}, {.name = "force"}}};
    const tfn_request_form form = {.fields = fields,
                                   .n_fields = sizeof fields / sizeof *fields,
                                   .flags = out.flags,
                                   .n_flags = 2};
    out.is_good = tfn_feast_read_request(&context, &request, &form, &root, &reply);
    out.status = reply.status;
    out.full_names = out.is_good && yyjson_get_bool(yyjson_obj_get(root, "full_feature_names"));
    assert_true(reply.body.n < sizeof out.body);
    memcpy(out.body, reply.body.p, reply.body.n);
    tfn_buf_deinit(&reply.body);
    tfn_arena_deinit(&context.arena);
    return out;
}

static outcome check_bytes(const char *body, size_t n)
{
    return check_request("", body, n);
}

static outcome check(const char *body)
{
    return check_bytes(body, strlen(body));
}

static void expect(const char *body, const char *issue)
{
    const outcome out = check(body);
    assert_false(out.is_good);
    assert_int_equal(out.status, 422);
    assert_text(out.body, issue);
}

static void a_body_that_fits_leaves_no_reply(void **state)
{
    (void)state;
    const outcome out = check("{\"entities\":{\"id\":[1]},\"feature_service\":null,"
                              "\"features\":[\"a:b\"],\"unknown\":1}");
    assert_true(out.is_good);
    assert_string_equal(out.body, "");
}

static void what_is_missing_is_named_with_the_whole_body(void **state)
{
    (void)state;
    expect("{\"features\":[]}",
           "{\"detail\":[{\"type\":\"missing\",\"loc\":[\"body\",\"entities\"],"
           "\"msg\":\"Field required\",\"input\":{\"features\":[]}}]}");
    expect("",
           "[{\"type\":\"missing\",\"loc\":[\"body\"],\"msg\":\"Field required\",\"input\":null}]");
}

static void wrong_types_are_named_in_the_order_of_the_fields(void **state)
{
    (void)state;
    expect("[1]",
           "{\"type\":\"model_attributes_type\",\"loc\":[\"body\"],\"msg\":\"Input should be a "
           "valid dictionary or object to extract fields from\",\"input\":[1]}");
    expect("null", "\"model_attributes_type\",\"loc\":[\"body\"],");
    expect("{\"entities\":[1]}", "{\"type\":\"dict_type\",\"loc\":[\"body\",\"entities\"],\"msg\":"
                                 "\"Input should be a valid dictionary\",\"input\":[1]}");
    expect("{\"entities\":{\"id\":5,\"x\":[]},\"features\":[1,\"a\",null]}",
           "[{\"type\":\"list_type\",\"loc\":[\"body\",\"entities\",\"id\"],\"msg\":\"Input should "
           "be a valid list\",\"input\":5},{\"type\":\"string_type\",\"loc\":[\"body\","
           "\"features\",0],\"msg\":\"Input should be a valid string\",\"input\":1},"
           "{\"type\":\"string_type\",\"loc\":[\"body\",\"features\",2],");
    expect("{\"entities\":{},\"feature_service\":5}",
           "\"feature_service\"],\"msg\":\"Input should be "
           "a valid string\",\"input\":5");
    expect("{\"entities\":{},\"features\":null}", "\"features\"],\"msg\":\"Input should be a valid "
                                                  "list\",\"input\":null");
    expect("{\"entities\":{},\"df\":\"x\"}",
           "\"df\"],\"msg\":\"Input should be a valid dictionary\"");
}

static void words_and_numbers_that_mean_a_bool_become_one(void **state)
{
    (void)state;
    static const char *const trues[] = {"true",     "1",      "1.0",    "\"1\"",
                                        "\"TRUE\"", "\"on\"", "\"Yes\""};
    static const char *const falses[] = {"false", "0", "0.0", "\"f\"", "\"off\"", "\"No\""};
    char body[128];
    for (size_t i = 0; i < sizeof trues / sizeof *trues; i++) {
        (void)snprintf(body, sizeof body, "{\"entities\":{},\"full_feature_names\":%s}", trues[i]);
        assert_true(check(body).full_names);
    }
    for (size_t i = 0; i < sizeof falses / sizeof *falses; i++) {
        (void)snprintf(body, sizeof body, "{\"entities\":{},\"full_feature_names\":%s}", falses[i]);
        assert_true(check(body).is_good);
        assert_false(check(body).full_names);
    }
    expect("{\"entities\":{},\"full_feature_names\":2}", "\"bool_parsing\"");
    expect("{\"entities\":{},\"full_feature_names\":2.0}", "\"bool_parsing\"");
    expect("{\"entities\":{},\"full_feature_names\":1.5}", "\"bool_type\"");
    expect("{\"entities\":{},\"full_feature_names\":\"maybe\"}", "\"bool_parsing\"");
    expect(
        "{\"entities\":{},\"full_feature_names\":[]}",
        "{\"type\":\"bool_type\",\"loc\":[\"body\",\"full_feature_names\"],\"msg\":\"Input should "
        "be a valid boolean\",\"input\":[]}");
    expect("{\"entities\":{},\"full_feature_names\":null}", "\"bool_type\"");
    expect("{\"entities\":{},\"full_feature_names\":1e999}", "\"bool_type\"");
}

static void flags_of_the_query_are_read_as_bools(void **state)
{
    (void)state;
    static const struct {
        const char *query;
        bool is_async, is_forced;
    } cases[] = {{"", false, false},
                 {"async=1&force=TRUE", true, true},
                 {"&&force=on&", false, true},
                 {"async=maybe&async=0&other=x", false, false},
                 {"%61sync=%74rue&force=f", true, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const outcome out = check_request(cases[i].query, "{\"entities\":{}}", 15);
        assert_true(out.is_good);
        assert_int_equal(out.flags[0].value, cases[i].is_async);
        assert_int_equal(out.flags[1].value, cases[i].is_forced);
    }
}

static void what_is_wrong_with_a_query_is_told_before_its_body(void **state)
{
    (void)state;
    const outcome out = check_request("force=+yes&async", "", 0);
    assert_int_equal(out.status, 422);
    assert_string_equal(
        out.body,
        "{\"detail\":[{\"type\":\"bool_parsing\",\"loc\":[\"query\",\"async\"],\"msg\":\"Input "
        "should "
        "be a valid boolean, unable to interpret "
        "input\",\"input\":\"\"},{\"type\":\"bool_parsing\","
        "\"loc\":[\"query\",\"force\"],\"msg\":\"Input should be a valid boolean, unable to "
        "interpret "
        "input\",\"input\":\" yes\"},{\"type\":\"missing\",\"loc\":[\"body\"],\"msg\":\"Field "
        "required\",\"input\":null}]}");
    assert_text(check_request("async=%zz", "{\"entities\":{}}", 15).body, "\"input\":\"%zz\"}]}");
    assert_text(check_request("async=%ff", "{\"entities\":{}}", 15).body, "\"query\",\"async\"]");
    assert_text(check_request("async=maybe", "{", 1).body, "[{\"type\":\"json_invalid\"");
}

static void what_is_no_json_is_told_with_the_byte(void **state)
{
    (void)state;
    expect("{\"entities\":",
           "{\"detail\":[{\"type\":\"json_invalid\",\"loc\":[\"body\",12],\"msg\":"
           "\"JSON decode error\",\"input\":{},\"ctx\":{\"error\":");
    const outcome out = check_bytes("{\"entities\":\"\xff\"}", 15);
    assert_int_equal(out.status, 400);
    assert_text(out.body, "There was an error parsing the body");
    assert_int_equal(check_bytes("{\"a\":\0}", 7).status, 422);
}

static void a_deep_body_is_no_danger(void **state)
{
    (void)state;
    enum { DEPTH = 100000 };
    static char body[2 * DEPTH];
    memset(body, '[', DEPTH);
    memset(body + DEPTH, ']', DEPTH);
    const outcome out = check_bytes(body, 2 * (size_t)DEPTH);
    assert_int_equal(out.status, 422);
    assert_text(out.body, "model_attributes_type"); /* and not all of it is told back */
    assert_text(out.body, "\"input\":null");
}

static void a_wrong_request_makes_no_large_answer(void **state)
{
    (void)state;
    enum { N_ITEMS = 10000 };
    static const char head[] = "{\"entities\":{},\"features\":[1";
    static char body[sizeof head + 2 * N_ITEMS + 2];
    size_t n = sizeof head - 1;
    memcpy(body, head, n);
    for (int i = 0; i < N_ITEMS; i++, n += 2) {
        memcpy(body + n, ",2", 2);
    }
    memcpy(body + n, "]}", 2);
    const outcome out = check_bytes(body, n + 2);
    assert_int_equal(out.status, 422);
    assert_text(out.body, "\"features\",31]");
    assert_null(strstr(out.body, "\"features\",32]"));
}

static void numbers_may_be_huge(void **state)
{
    (void)state;
    assert_true(check("{\"entities\":{\"id\":[1e999,-1e999,1180591620717411303424,NaN]}}").is_good);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_that_fits_leaves_no_reply),
        cmocka_unit_test(what_is_missing_is_named_with_the_whole_body),
        cmocka_unit_test(wrong_types_are_named_in_the_order_of_the_fields),
        cmocka_unit_test(words_and_numbers_that_mean_a_bool_become_one),
        cmocka_unit_test(flags_of_the_query_are_read_as_bools),
        cmocka_unit_test(what_is_wrong_with_a_query_is_told_before_its_body),
        cmocka_unit_test(what_is_no_json_is_told_with_the_byte),
        cmocka_unit_test(a_deep_body_is_no_danger),
        cmocka_unit_test(a_wrong_request_makes_no_large_answer),
        cmocka_unit_test(numbers_may_be_huge),
    };
    return cmocka_run_group_tests_name("server_feast_body", tests, NULL, NULL);
}
