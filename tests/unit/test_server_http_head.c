/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/base_make.h"

#include "server/http_head.c"

static tfn_str path;
static tfn_str query;

static tfn_code read_target(const char *target, tfn_buf *buf)
{
    tfn_error err = {0};
    return tfn_head_read_target(tfn_str_of(target), buf, &path, &query, &err);
}

static void targets_are_taken_apart_and_their_paths_decoded(void **state)
{
    (void)state;
    static const struct {
        const char *target, *path, *query;
    } cases[] = {
        {"/", "/", ""},
        {"/a/b", "/a/b", ""},
        {"/a?", "/a", ""},
        {"/a?b=%20&c?d", "/a", "b=%20&c?d"},
        {"/%41%c3%A9+", "/A\xc3\xa9+", ""},
        {"/a%2Fb", "/a/b", ""},
        {"/%25", "/%", ""},
        {"http://h:80/x?y", "/x", "y"},
        {"http://h", "/", ""},
        {"*", "*", ""},
        {"", "", ""},
        {"/a://b/c", "/a://b/c", ""},
    };
    tfn_buf buf = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(read_target(cases[i].target, &buf), TFN_OK);
        assert_true(tfn_str_is(path, cases[i].path));
        assert_true(tfn_str_is(query, cases[i].query));
    }
    static const char *const bad[] = {"/%",   "/%4",  "/%4g",  "/%g4",
                                      "/%00", "/a b", "/a\tb", "/\x7f"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(read_target(bad[i], &buf), TFN_INVALID);
    }
    tfn_buf_deinit(&buf);
}

static bool add(tfn_head *head, const char *name, const char *value)
{
    return tfn_head_add(head, tfn_str_of(name), tfn_str_of(value));
}

static void fields_that_decide_are_found_whatever_their_case(void **state)
{
    (void)state;
    tfn_head head = {0};
    assert_true(add(&head, "HOST", "a"));
    assert_true(add(&head, "content-Length", "0123 "));
    assert_true(add(&head, "X-API-KEY", "k \t"));
    assert_true(add(&head, "authorization", "Bearer x"));
    assert_true(add(&head, "Expect", "100-continue"));
    assert_true(add(&head, "X-Other", "\xc3\xa9\t"));
    assert_true(tfn_head_finish(&head, NULL, true));
    assert_int_equal(head.content_length, 123);
    assert_true(tfn_str_is(head.x_api_key, "k"));
    assert_true(tfn_str_is(head.authorization, "Bearer x"));
    assert_true(head.expects && !head.is_chunked);
}

static void lengths_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "-1", "+1", "1 2", "1,1", "0x10", "18446744073709551616", "99999999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tfn_head head = {0};
        assert_false(add(&head, "Content-Length", bad[i]));
        assert_non_null(head.problem);
    }
    tfn_head head = {0};
    assert_true(add(&head, "Content-Length", "18446744073709551615"));
    assert_true(head.content_length == UINT64_MAX);
}

/* A head as the parser leaves it: NULs over colons and line ends. */
static bool cover(const char *text, size_t n, size_t n_fields)
{
    tfn_head head = {.next = text};
    const char *p = text;
    for (size_t i = 0; i < n_fields; i++) {
        const tfn_str name = tfn_str_of(p);
        const char *value = p + name.n + 1;
        while (*value == ' ') {
            value++;
        }
        if (!tfn_head_add(&head, name, tfn_str_of(value))) {
            return false;
        }
        p = value + strlen(value) + 2;
    }
    return tfn_head_finish(&head, text + n, false);
}

#define COVER(text, n_fields) cover("" text, sizeof text - 1, n_fields)

static void fields_must_cover_the_whole_head(void **state)
{
    (void)state;
    assert_true(COVER("\0\0", 0));
    assert_true(COVER("A\0 b\0\0\0\0", 1));
    assert_true(COVER("A\0b\0\0B\0\0\0\0\0", 2));
    assert_false(COVER("A\0 b\0\0hidden\0\0\0\0", 1)); /* a line that was not told */
    assert_false(COVER("A\0 b\0B\0 c\0\0\0\0", 1));    /* a lone line feed */
    assert_false(COVER("A\0 b\0c\0\0\0\0", 1));        /* a NUL in a value */
    tfn_head head = {.next = "A\0 b"}; /* a folded line moves the name away from its value */
    assert_false(tfn_head_add(&head, tfn_str_of("Ac"), (tfn_str){head.next + 3, 1}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_are_taken_apart_and_their_paths_decoded),
        cmocka_unit_test(fields_that_decide_are_found_whatever_their_case),
        cmocka_unit_test(lengths_that_are_none_are_refused),
        cmocka_unit_test(fields_must_cover_the_whole_head),
    };
    return cmocka_run_group_tests_name("server_http_head", tests, NULL, NULL);
}
