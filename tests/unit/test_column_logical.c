/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/column_make.h"

#include "column/logical.c"

static tfn_code check(const char *type_text, const char *text, tfn_error *err)
{
    tfn_type type;
    assert_int_equal(tfn_type_parse(tfn_str_of(type_text), &type, NULL), TFN_OK);
    const tfn_cell cell = {.bytes = tfn_str_of(text)};
    return tfn_logical_check(type, &cell, err);
}

static void assert_is(const char *type, const char *const *texts, size_t n, bool is)
{
    for (size_t i = 0; i < n; i++) {
        tfn_error err = {0};
        print_message("# %s: %s\n", type, texts[i]);
        assert_int_equal(check(type, texts[i], &err), is ? TFN_OK : TFN_SCHEMA);
    }
}
#define ASSERT_ALL(type, is, ...)                                                                  \
    do {                                                                                           \
        static const char *const texts[] = {__VA_ARGS__};                                          \
        assert_is(type, texts, sizeof texts / sizeof texts[0], is);                                \
    } while (0)

static void uuids_are_digits_in_their_places(void **state)
{
    (void)state;
    ASSERT_ALL("uuid", true, "0a0b0c0d-0000-4000-8000-00000000000F",
               "0a0b0c0d00004000800000000000000f");
    ASSERT_ALL("uuid", false, "", "0a0b0c0d-0000-4000-8000-00000000000",
               "0a0b0c0d-0000-4000-8000-0000000000000", "0a0b0c0d_0000-4000-8000-00000000000f",
               "0a0b0c0d-0000-4000-8000-00000000000g", "0a0b0c0d00004000800000000000000-",
               "{0a0b0c0d-0000-4000-8000-00000000000f}");
    ASSERT_ALL("time_uuid", false, "x");
}

static void decimals_are_what_python_reads(void **state)
{
    (void)state;
    ASSERT_ALL("decimal", true, "0", "-1.50", "+.5", "1.", "1e5", "1E-12", "NaN", "-Infinity",
               "123456789012345678901234567890.1");
    ASSERT_ALL("decimal", false, "", ".", "-", "1,5", "1e", "1e+", "0x1", " 1", "1 ", "e5", "1.2.3",
               "inf");
}

static void json_is_one_value_and_maps_are_objects(void **state)
{
    (void)state;
    ASSERT_ALL("json", true, "{}", "[1,null]", "\"a\"", "1.5", "null");
    ASSERT_ALL("json", false, "", "{", "{} {}", "nul", "{'a':1}", "[1,]");
    ASSERT_ALL("map", true, "{}", "{\"a\":{\"b\":1}}");
    ASSERT_ALL("map", false, "[]", "null", "1", "{");
    ASSERT_ALL("struct", false, "[]");
}

static void other_types_are_not_looked_at(void **state)
{
    (void)state;
    ASSERT_ALL("string", true, "", "{");
    tfn_type type;
    const tfn_cell null = {.is_null = true};
    assert_int_equal(tfn_type_parse(tfn_str_of("uuid"), &type, NULL), TFN_OK);
    assert_int_equal(tfn_logical_check(type, &null, NULL), TFN_OK);
}

static void each_item_of_a_list_is_looked_at(void **state)
{
    (void)state;
    /* two texts: "1" and "x" */
    static const char packed[] = "\2\0\0\0\3\0\0\0\0\1\0\0\0\2\0\0\0"
                                 "1x";
    tfn_type type;
    tfn_error err = {0};
    const tfn_cell cell = {.bytes = {packed, sizeof packed - 1}};
    assert_int_equal(tfn_type_parse(tfn_str_of("set<decimal>"), &type, NULL), TFN_OK);
    assert_int_equal(tfn_logical_check(type, &cell, &err), TFN_SCHEMA);
    assert_text(err.message, "'x' is no decimal number");
    const tfn_cell broken = {.bytes = {packed, 5}};
    assert_int_equal(tfn_logical_check(type, &broken, &err), TFN_CORRUPT);
}

static void a_long_text_is_cut_between_characters(void **state)
{
    (void)state;
    char text[101] = {0};
    for (size_t i = 0; i < 50; i++) {
        text[2 * i] = (char)0xc3;
        text[2 * i + 1] = (char)0xa4;
    }
    text[0] = 'a'; /* so that the limit is within a character */
    memmove(text + 1, text + 2, 98);
    tfn_error err = {0};
    assert_int_equal(check("uuid", text, &err), TFN_SCHEMA);
    assert_text(err.message, "...'");
    assert_true(tfn_str_is_utf8(tfn_str_of(err.message)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uuids_are_digits_in_their_places),
        cmocka_unit_test(decimals_are_what_python_reads),
        cmocka_unit_test(json_is_one_value_and_maps_are_objects),
        cmocka_unit_test(other_types_are_not_looked_at),
        cmocka_unit_test(each_item_of_a_list_is_looked_at),
        cmocka_unit_test(a_long_text_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
