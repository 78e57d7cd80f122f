/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/base_make.h"

#include <errno.h>

#include "base/error.c"

static void an_error_is_set_once_with_place_and_sentence(void **state)
{
    (void)state;
    tfn_error err = {0};
    assert_int_equal(TFN_FAIL(&err, TFN_SCHEMA, "column '%s' is missing", "fare"), TFN_SCHEMA);
    assert_int_equal(err.code, TFN_SCHEMA);
    assert_int_equal(err.sys_errno, 0);
    assert_string_equal(err.message, "column 'fare' is missing");
    assert_text(err.file, "test_base_error.c");
    assert_true(err.line > 0);
}

static void nobody_needs_to_want_the_error(void **state)
{
    (void)state;
    assert_int_equal(TFN_FAIL(NULL, TFN_LIMIT, "too much"), TFN_LIMIT);
    tfn_error_prepend(NULL, "x");
    const tfn_error from = {.code = TFN_IO};
    assert_int_equal(tfn_error_move(NULL, &from), TFN_IO);
}

static void a_system_error_says_why(void **state)
{
    (void)state;
    tfn_error err = {0};
    assert_int_equal(TFN_FAIL_SYS(&err, ENOENT, "reading '%s'", "a.parquet"), TFN_IO);
    assert_int_equal(err.sys_errno, ENOENT);
    assert_string_equal(err.message, "reading 'a.parquet': No such file or directory");
}

static void context_goes_before_the_sentence(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn_error_prepend(&err, "nothing happened: ");
    assert_string_equal(err.message, "");
    (void)TFN_FAIL(&err, TFN_SCHEMA, "column missing");
    tfn_error_prepend(&err, "view '%s': ", "weather");
    tfn_error_prepend(&err, "planning: ");
    assert_string_equal(err.message, "planning: view 'weather': column missing");
}

static void long_sentences_are_cut_at_a_character(void **state)
{
    (void)state;
    enum { N_ROOM = TFN_ERROR_MESSAGE_BYTES - 1 };
    static const char *const letters[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (size_t kind = 0; kind < 3; kind++) {
        const size_t n_letter = strlen(letters[kind]);
        for (size_t n_before = 0; n_before < n_letter; n_before++) {
            char text[2 * TFN_ERROR_MESSAGE_BYTES] = "";
            memset(text, 'a', n_before);
            for (size_t at = n_before; at < N_ROOM + 8; at += n_letter) {
                memcpy(text + at, letters[kind], n_letter);
            }
            tfn_error err = {0};
            (void)TFN_FAIL(&err, TFN_INVALID, "%s", text);
            const size_t n = strlen(err.message);
            assert_int_equal(n, n_before + (N_ROOM - n_before) / n_letter * n_letter);
            tfn_error_prepend(&err, "x");
            assert_int_equal(err.message[0], 'x');
            assert_int_equal((strlen(err.message) - 1 - n_before) % n_letter, 0);
        }
    }
}

static void context_that_fills_all_room_drops_the_end(void **state)
{
    (void)state;
    char long_context[2 * TFN_ERROR_MESSAGE_BYTES];
    memset(long_context, 'c', sizeof long_context - 1);
    long_context[sizeof long_context - 1] = '\0';
    tfn_error err = {0};
    (void)TFN_FAIL(&err, TFN_INVALID, "sentence");
    tfn_error_prepend(&err, "%s", long_context);
    assert_int_equal(strlen(err.message), TFN_ERROR_MESSAGE_BYTES - 1);
    assert_int_equal(err.message[TFN_ERROR_MESSAGE_BYTES - 2], 'c');
    (void)TFN_FAIL_SYS(&err, EIO, "%s", long_context);
    assert_int_equal(strlen(err.message), TFN_ERROR_MESSAGE_BYTES - 1);
}

static void an_error_moves_whole(void **state)
{
    (void)state;
    tfn_error from = {0};
    tfn_error to = {0};
    (void)TFN_FAIL_SYS(&from, EIO, "disk");
    assert_int_equal(tfn_error_move(&to, &from), TFN_IO);
    assert_memory_equal(&from, &to, sizeof from);
    assert_int_equal(tfn_error_move(&to, &to), TFN_IO);
}

static void every_code_has_a_name_a_meaning_and_a_status(void **state)
{
    (void)state;
    for (int code = TFN_OK; code <= TFN_UNAVAILABLE; code++) {
        assert_string_not_equal(tfn_code_name((tfn_code)code), "UNKNOWN");
        assert_string_not_equal(tfn_code_meaning((tfn_code)code), "unknown code");
        assert_in_range(tfn_code_http_status((tfn_code)code), 200, 599);
    }
    assert_string_equal(tfn_code_name(TFN_NOT_FOUND), "NOT_FOUND");
    assert_int_equal(tfn_code_http_status(TFN_NOT_FOUND), 404);
    const int unknown = 999;
    assert_string_equal(tfn_code_name((tfn_code)unknown), "UNKNOWN");
    assert_string_equal(tfn_code_meaning((tfn_code)unknown), "unknown code");
    assert_int_equal(tfn_code_http_status((tfn_code)unknown), 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_is_set_once_with_place_and_sentence),
        cmocka_unit_test(nobody_needs_to_want_the_error),
        cmocka_unit_test(a_system_error_says_why),
        cmocka_unit_test(context_goes_before_the_sentence),
        cmocka_unit_test(long_sentences_are_cut_at_a_character),
        cmocka_unit_test(context_that_fills_all_room_drops_the_end),
        cmocka_unit_test(an_error_moves_whole),
        cmocka_unit_test(every_code_has_a_name_a_meaning_and_a_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
