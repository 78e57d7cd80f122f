/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Paths, settings and secrets of S3; no server and no DuckDB. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "source/s3.c"

static const char *const variables[] = {
    "AWS_ACCESS_KEY_ID",  "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION",
    "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3",   "AWS_ENDPOINT_URL",  "FEAST_S3_ENDPOINT_URL",
};

static int forget_environment(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        unsetenv(variables[i]);
    }
    return 0;
}

static void expect_settings(const char *json, tfn_code code, const char *part)
{
    tfn__s3_settings s;
    tfn_error err = {0};
    assert_int_equal(tfn__s3_settings_init(json, &s, &err), code);
    assert_true(code == TFN_OK || strstr(err.message, part) != NULL);
    assert_null(strstr(err.message, "hidden"));
    tfn__s3_settings_deinit(&s);
}

static void settings_are_checked_without_showing_them(void **state)
{
    (void)state;
    expect_settings(NULL, TFN_OK, "");
    expect_settings("{}", TFN_OK, "");
    expect_settings("{\"region\": null, \"use_ssl\": false, \"retries\": 0}", TFN_OK, "");
    expect_settings("[]", TFN_INVALID, "mapping");
    expect_settings("{\"acces_key\": \"hidden\"}", TFN_INVALID, "s3.acces_key does not exist");
    expect_settings("{\"access_key_id\": \"hidden\"}", TFN_INVALID, "go together");
    expect_settings("{\"session_token\": 5}", TFN_INVALID, "s3.session_token must be a text");
    expect_settings("{\"secret_access_key\": \"hidden\\n\"}", TFN_INVALID, "line break");
    expect_settings("{\"url_style\": \"hidden\"}", TFN_INVALID, "path or vhost");
    expect_settings("{\"timeout_seconds\": 0}", TFN_INVALID, "from 1 to");
    expect_settings("{\"retries\": 21}", TFN_INVALID, "from 0 to 20");
    expect_settings("{\"use_ssl\": \"hidden\"}", TFN_INVALID, "true or false");
}

static tfn__s3_access resolve(const tfn__s3_settings *s, const char *endpoint)
{
    tfn__s3_access access;
    assert_int_equal(tfn__s3_resolve(s, tfn_str_of(endpoint), &access, NULL), TFN_OK);
    return access;
}

static void without_a_word_amazon_is_meant(void **state)
{
    (void)state;
    const tfn__s3_settings s = {0};
    const tfn__s3_access access = resolve(&s, "");
    assert_int_equal(access.endpoint.n, 0);
    assert_int_equal(access.access_key_id.n, 0);
    assert_true(access.use_ssl);
    assert_true(tfn_str_is(access.url_style, "vhost"));
    assert_int_equal(access.timeout_s, 30);
    assert_int_equal(access.n_retries, 3);
}

static void an_endpoint_says_how_to_speak_with_it(void **state)
{
    (void)state;
    const tfn__s3_settings none = {0};
    tfn__s3_access access = resolve(&none, "http://localhost:9000/");
    assert_true(tfn_str_is(access.endpoint, "localhost:9000"));
    assert_false(access.use_ssl);
    assert_true(tfn_str_is(access.url_style, "path"));
    access = resolve(&none, "minio.example");
    assert_true(access.use_ssl);
    const tfn__s3_settings plain = {.use_ssl = -1, .url_style = tfn_str_of("vhost")};
    access = resolve(&plain, "minio.example");
    assert_false(access.use_ssl);
    assert_true(tfn_str_is(access.url_style, "vhost"));
    static const char *const wrong[] = {"ftp://x", "http://", "http://x/y", "a b", "http://k:s@x"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(tfn__s3_resolve(&none, tfn_str_of(wrong[i]), &access, NULL), TFN_INVALID);
    }
}

static void settings_win_over_the_environment_as_a_whole(void **state)
{
    (void)state;
    setenv("AWS_ACCESS_KEY_ID", "k", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "s", 1);
    setenv("AWS_SESSION_TOKEN", "t", 1);
    setenv("AWS_DEFAULT_REGION", "eu-west-1", 1);
    setenv("FEAST_S3_ENDPOINT_URL", "http://feast", 1);
    const tfn__s3_settings none = {0};
    tfn__s3_access access = resolve(&none, "");
    assert_true(tfn_str_is(access.session_token, "t"));
    assert_true(tfn_str_is(access.region, "eu-west-1"));
    assert_true(tfn_str_is(access.endpoint, "feast"));
    setenv("AWS_REGION", "eu-north-1", 1);
    setenv("AWS_ENDPOINT_URL_S3", "http://aws", 1);
    const tfn__s3_settings own = {.access_key_id = tfn_str_of("K"),
                                  .secret_access_key = tfn_str_of("S")};
    access = resolve(&own, "");
    assert_true(tfn_str_is(access.access_key_id, "K"));
    assert_int_equal(access.session_token.n, 0);
    assert_true(tfn_str_is(access.region, "eu-north-1"));
    assert_true(tfn_str_is(access.endpoint, "aws"));
    access = resolve(&own, "http://override");
    assert_true(tfn_str_is(access.endpoint, "override"));
    unsetenv("AWS_SECRET_ACCESS_KEY");
    assert_int_equal(tfn__s3_resolve(&none, (tfn_str){0}, &access, NULL), TFN_INVALID);
    (void)forget_environment(NULL);
}

static void expect_path(const char *path, tfn_code code, const char *expected)
{
    tfn_buf out = {0};
    tfn_error err = {0};
    assert_int_equal(tfn__s3_add_path(&out, tfn_str_of(path), &err), code);
    if (code == TFN_OK) {
        assert_true(tfn_str_is(tfn_buf_get_str(&out), expected));
        assert_true(tfn_str_is(tfn__s3_get_bucket(tfn_buf_get_str(&out)), "b"));
    } else {
        assert_non_null(strstr(err.message, expected));
    }
    tfn_buf_deinit(&out);
}

static void a_path_has_one_form(void **state)
{
    (void)state;
    expect_path("s3://b/k", TFN_OK, "s3://b/k");
    expect_path("s3a://b/d/*.parquet", TFN_OK, "s3://b/d/*.parquet");
    expect_path("s3n://b/k", TFN_OK, "s3://b/k");
    expect_path("s3://b", TFN_INVALID, "s3://bucket/");
    expect_path("s3://b/", TFN_INVALID, "s3://bucket/");
    expect_path("s3:///k", TFN_INVALID, "s3://bucket/");
    expect_path("s3://b*/k", TFN_INVALID, "s3://bucket/");
    expect_path("s3://b'/k", TFN_INVALID, "s3://bucket/");
    expect_path("gs://b/k", TFN_UNSUPPORTED, "'gs://'");
    expect_path("hdfs://n/k", TFN_UNSUPPORTED, "'hdfs://'");
}

static void patterns_match_keys_as_they_match_files(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *key;
        bool is_match;
    } cases[] = {
        {"", "a", true},
        {"", "a/b/c", true},
        {"", "_a", false},
        {"", "a/.b", false},
        {"*", "a", true},
        {"*", "a/b", true},
        {"*.p", "a.p", true},
        {"*.p", "a.p/b.q", true},
        {"*.p", "d/a.p", false},
        {"d/*.p", "d/a.p", true},
        {"d/*.p", "e/a.p", false},
        {"**", "a/b/c", true},
        {"**", "a/_b/c", false},
        {"**/x", "x", true},
        {"**/x", "a/b/x", true},
        {"**/x", "a/b/y", false},
        {"a/**/x", "a/x", true},
        {"a/**/x", "a/b/c/x", true},
        {"a/**/x", "b/x", false},
        {"a/**/x", "a/.b/x", false},
        {"_*", "_a", true},
        {"a/b", "a", false},
        {"a", "a/b", true},
        {"a", "ab", false},
        {"[ab]?", "ax", true},
        {"[ab]?", "cx", false},
        {"**/c/*", "a/c/b/c/d", true},
        {"*", "a/", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(tfn__s3_match(cases[i].pattern, cases[i].key), cases[i].is_match);
    }
}

static void a_secret_is_quoted_and_for_one_bucket(void **state)
{
    (void)state;
    const tfn__s3_access access = {.endpoint = tfn_str_of("h:1"),
                                   .access_key_id = tfn_str_of("k'); DROP"),
                                   .secret_access_key = tfn_str_of("a'b\"c"),
                                   .url_style = tfn_str_of("path")};
    tfn_buf sql = {0};
    assert_int_equal(tfn__s3_add_secret(&sql, &access, tfn_str_of("my.bucket"), NULL), TFN_OK);
    assert_string_equal(sql.p, "CREATE OR REPLACE SECRET \"tiffin_my.bucket\" (TYPE s3, SCOPE "
                               "'s3://my.bucket/', ENDPOINT 'h:1', KEY_ID 'k''); DROP', SECRET "
                               "'a''b\"c', URL_STYLE 'path', USE_SSL false)");
    tfn_buf_deinit(&sql);
}

static void equal_accesses_have_equal_hashes(void **state)
{
    (void)state;
    tfn__s3_access a = {.endpoint = tfn_str_of("h"), .timeout_s = 30};
    tfn__s3_access b = a;
    tfn_hash128 x;
    tfn_hash128 y;
    assert_int_equal(tfn__s3_hash(&a, &x, NULL), TFN_OK);
    assert_int_equal(tfn__s3_hash(&b, &y, NULL), TFN_OK);
    assert_memory_equal(&x, &y, sizeof x);
    b.timeout_s = 31;
    assert_int_equal(tfn__s3_hash(&b, &y, NULL), TFN_OK);
    assert_memory_not_equal(&x, &y, sizeof x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_are_checked_without_showing_them),
        cmocka_unit_test(without_a_word_amazon_is_meant),
        cmocka_unit_test(an_endpoint_says_how_to_speak_with_it),
        cmocka_unit_test(settings_win_over_the_environment_as_a_whole),
        cmocka_unit_test(a_path_has_one_form),
        cmocka_unit_test(patterns_match_keys_as_they_match_files),
        cmocka_unit_test(a_secret_is_quoted_and_for_one_bucket),
        cmocka_unit_test(equal_accesses_have_equal_hashes),
    };
    return cmocka_run_group_tests_name("source/s3", tests, forget_environment, NULL);
}
