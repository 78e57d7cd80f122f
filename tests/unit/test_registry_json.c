/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/registry_fixture.h"

#include "registry/json.c"

static void texts_are_escaped_in_one_way(void **state)
{
    (void)state;
    tfn_buf b = {0};
    const tfn_str all = {"\0\1\b\t\n\f\r\x1f\"\\/\x7f\xc3\xa9", 14};
    assert_int_equal(tfn_json_add_text(&b, all, NULL), TFN_OK);
    assert_string_equal(b.p, "\"\\u0000\\u0001\\b\\t\\n\\f\\r\\u001f\\\"\\\\/\x7f\xc3\xa9\"");
    tfn_buf_clear(&b);
    assert_int_equal(tfn_json_add_text(&b, (tfn_str){0}, NULL), TFN_OK);
    assert_string_equal(b.p, "\"\"");
    tfn_buf_deinit(&b);
}

static void canonical_values_come_back_as_they_were(void **state)
{
    (void)state;
    const char *values[] = {"null",
                            "true",
                            "false",
                            "-9223372036854775808",
                            "\"\"",
                            "[]",
                            "[1,[],{}]",
                            "9223372036854775807",
                            "{}",
                            "[null]",
                            "{\"a\":[{\"b\":\"c\"}]}"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        tfn_arena a = {0};
        tfn_buf b = {0};
        yyjson_val *root = NULL;
        assert_int_equal(tfn__json_read(&a, text(values[i]), "it", &root, NULL), TFN_OK);
        assert_int_equal(tfn__json_add_value(&b, root, NULL), TFN_OK);
        assert_string_equal(b.p, values[i]);
        tfn_buf_deinit(&b);
        tfn_arena_deinit(&a);
    }
}

static void what_is_not_json_is_placed(void **state)
{
    fixture *f = *state;
    tfn_arena a = {0};
    yyjson_val *root = NULL;
    assert_failed(f, tfn__json_read(&a, text("{\"a\":}"), "the request", &root, &f->err),
                  TFN_INVALID, "the request is not JSON: ");
    assert_failed(f, tfn__json_read(&a, text("[1,2"), "it", &root, &f->err), TFN_INVALID,
                  "at byte 4 of 4");
    assert_failed(f, tfn__json_read(&a, (tfn_str){0}, "it", &root, &f->err), TFN_INVALID, "of 0");
    assert_failed(f, tfn__json_read(&a, text("\"\xff\""), "it", &root, &f->err), TFN_INVALID,
                  "it is");
    tfn_arena_deinit(&a);
}

static void kinds_of_values_have_words(void **state)
{
    (void)state;
    tfn_arena a = {0};
    yyjson_val *root = NULL;
    const char *const words[] = {
        "null",   "true or false", "a whole number", "a number with a fraction",
        "a text", "an array",      "an object"};
    assert_int_equal(tfn__json_read(&a, text("[null,true,1,1.5,\"\",[],{}]"), "it", &root, NULL),
                     TFN_OK);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        assert_string_equal(tfn__json_type_words(yyjson_arr_get(root, i)), words[i]);
    }
    assert_string_equal(tfn__json_type_words(NULL), "nothing");
    tfn_arena_deinit(&a);
}

static void no_time_is_null(void **state)
{
    (void)state;
    tfn_buf b = {0};
    assert_int_equal(tfn__json_add_instant(&b, TFN_INSTANT_NONE, NULL), TFN_OK);
    assert_int_equal(tfn__json_add_instant(&b, (tfn_instant){0, 1000000}, NULL), TFN_OK);
    assert_string_equal(b.p, "null\"1970-01-01T00:00:00.001Z\"");
    tfn_buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_escaped_in_one_way),
        cmocka_unit_test(canonical_values_come_back_as_they_were),
        TEST(what_is_not_json_is_placed),
        cmocka_unit_test(kinds_of_values_have_words),
        cmocka_unit_test(no_time_is_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
