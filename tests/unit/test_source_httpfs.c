/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* DuckDB's sentences about requests, as ours; and the leases of buckets. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "source/httpfs.c"

static void expect(const char *text, const char *expected)
{
    tfn_error err = {0};
    assert_true(tfn__remote_is_about(text));
    assert_int_equal(tfn__remote_fail(text, tfn_str_of("s3://b/d/*.parquet"), &err), TFN_IO);
    assert_non_null(strstr(err.message, expected));
    assert_null(strchr(err.message, '\n'));
}

static void each_kind_of_failure_is_a_sentence(void **state)
{
    (void)state;
    expect("HTTP GET error reading 's3://b/k' in region '' (HTTP 404 Not Found)\n\nLINE 1: x",
           "'s3://b/k': there is no such object");
    expect("HTTP GET error reading 's3://b/k' (HTTP 403 Forbidden)\n\nAuthentication Failure",
           "access is denied (HTTP 403)");
    expect("HTTP GET error on 's3://b/k' (HTTP 301 Moved)", "s3.region");
    expect("HTTP GET error on 's3://b/k' (HTTP 503 Slow Down)", "answered HTTP 503");
    expect("ETag on reading file \"s3://b/k\" was initially \"x\" and now it returned \"y\"",
           "'s3://b/k' changed while it was read");
    expect("Could not establish connection error for HTTP HEAD to 'http://h:9/b/k'",
           "also after retries (Could not establish connection)");
}

static void an_address_is_turned_back_into_a_path(void **state)
{
    (void)state;
    expect("Request returned HTTP 500 for HTTP HEAD to 'http://h:9/b/d/k.parquet'",
           "'s3://b/d/k.parquet': the server answered HTTP 500");
    expect("Request returned HTTP 500 for HTTP HEAD to 'https://b.s3.amazonaws.com/d/k'",
           "'s3://b/d/k': the server answered HTTP 500");
}

static void objects_of_the_statement_are_not_taken_for_the_one_that_failed(void **state)
{
    (void)state;
    expect("Transferred a partial file error for HTTP GET to 'http://h:9/b/f/2.json'\n\n"
           "LINE 1: SELECT 1 FROM read_json(['s3://b/f/1.json','s3://b/f/2.json'])",
           "'s3://b/f/2.json': no whole answer came");
}

static void other_sentences_are_left_alone(void **state)
{
    (void)state;
    assert_false(tfn__remote_is_about("No magic bytes found at end of file '/d/a.parquet'"));
    assert_false(tfn__remote_is_about("Malformed JSON in file \"/d/a.json\", at byte 8 in line 3"));
}

static void a_bucket_has_one_lease(void **state)
{
    (void)state;
    tfn__remotes *r = NULL;
    lease *l = NULL;
    assert_int_equal(tfn__remotes_create(&r, NULL), TFN_OK);
    assert_int_equal(add_lease(r, tfn_str_of("b"), &l, NULL), TFN_OK);
    assert_ptr_equal(find_lease(r, tfn_str_of("b")), l);
    assert_null(find_lease(r, tfn_str_of("bb")));
    l->n_live = 1;
    tfn__duck duck = {.remotes = r};
    tfn__remote_end(&duck, tfn_str_of("b"));
    tfn__remote_end(&duck, tfn_str_of("b"));
    tfn__remote_end(&duck, tfn_str_of("c"));
    assert_int_equal(l->n_live, 0);
    tfn__remotes_destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_failure_is_a_sentence),
        cmocka_unit_test(an_address_is_turned_back_into_a_path),
        cmocka_unit_test(objects_of_the_statement_are_not_taken_for_the_one_that_failed),
        cmocka_unit_test(other_sentences_are_left_alone),
        cmocka_unit_test(a_bucket_has_one_lease),
    };
    return cmocka_run_group_tests_name("source/httpfs", tests, NULL, NULL);
}
