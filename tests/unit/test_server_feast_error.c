/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Error bodies of Feast's protocol. */

#include "unit/base_make.h"

#include "server/feast_error.c"

static void an_exception_of_feasts_is_json_inside_of_json(void **state)
{
    (void)state;
    tfn_reply reply = {0};
    const tfn_error err = {.code = TFN_NOT_FOUND, .message = "project p has no feature view \"v\""};
    tfn_feast_reply_error(&reply, &err);
    assert_int_equal(reply.status, 404);
    assert_string_equal(reply.body.p, "\"{\\\"module\\\": \\\"feast.errors\\\", \\\"class\\\": "
                                      "\\\"FeatureViewNotFoundException\\\", \\\"message\\\": "
                                      "\\\"project p has no feature view \\\\\\\"v\\\\\\\"\\\"}\"");
    tfn_feast_reply_exception(&reply, 422, "PushSourceNotFoundException", tfn_str_of("no"));
    assert_int_equal(reply.status, 422);
    assert_text(reply.body.p, "PushSourceNotFoundException");
    tfn_buf_deinit(&reply.body);
}

static void other_exceptions_are_their_message(void **state)
{
    (void)state;
    static const struct {
        tfn_code code;
        int32_t status;
        int32_t retry_after_s;
    } cases[] = {{TFN_INVALID, 500, 0},     {TFN_SCHEMA, 500, 0},      {TFN_CONFLICT, 500, 0},
                 {TFN_IO, 500, 0},          {TFN_CORRUPT, 500, 0},     {TFN_LIMIT, 413, 0},
                 {TFN_UNSUPPORTED, 501, 0}, {TFN_UNAVAILABLE, 503, 1}, {TFN_NO_MEMORY, 503, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tfn_reply reply = {0};
        const tfn_error err = {.code = cases[i].code, .message = "why"};
        tfn_feast_reply_error(&reply, &err);
        assert_int_equal(reply.status, cases[i].status);
        assert_int_equal(reply.retry_after_s, cases[i].retry_after_s);
        assert_string_equal(reply.body.p, "\"why\"");
        tfn_buf_deinit(&reply.body);
    }
}

static void without_memory_there_is_a_status_and_no_body(void **state)
{
    (void)state;
    tfn_reply reply = {.body = {.max_bytes = 8}};
    tfn_feast_reply_exception(&reply, 404, "FeatureViewNotFoundException", tfn_str_of("why"));
    assert_int_equal(reply.status, 404);
    assert_int_equal(reply.body.n, 0);
    tfn_buf_deinit(&reply.body);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exception_of_feasts_is_json_inside_of_json),
        cmocka_unit_test(other_exceptions_are_their_message),
        cmocka_unit_test(without_memory_there_is_a_status_and_no_body),
    };
    return cmocka_run_group_tests_name("server_feast_error", tests, NULL, NULL);
}
