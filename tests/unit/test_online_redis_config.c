/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/online_fixture.h"

#include "online/redis_config.c"

static tfn__redis_settings settings;

static const tfn_redis_config *read_settings(const char *json)
{
    tfn_error err = {0};
    ASSERT_OK(tfn__redis_settings_init(json, &settings, &err), err);
    return &settings.client;
}

static void refuse(const char *json, const char *sentence)
{
    tfn_error err = {0};
    ASSERT_FAILS(tfn__redis_settings_init(json, &settings, &err), TFN_INVALID, sentence, err);
    assert_null(strstr(err.message, "s3cret"));
    tfn__redis_settings_deinit(&settings);
}

static void defaults_are_feasts(void **state)
{
    (void)state;
    const tfn_redis_config *c = read_settings("{\"type\": \"redis\"}");
    assert_int_equal(c->kind, TFN_REDIS_SINGLE);
    assert_int_equal(c->n_addresses, 1);
    assert_string_equal(c->addresses[0].host, "localhost");
    assert_int_equal(c->addresses[0].port, 6379);
    assert_false(c->use_tls);
    assert_null(c->password);
    assert_int_equal(settings.key_ttl_seconds, 0);
    tfn__redis_settings_deinit(&settings);
}

static void a_connection_string_is_read_as_feast_reads_it(void **state)
{
    (void)state;
    const tfn_redis_config *c =
        read_settings("{\"redis_type\": \"redis_sentinel\", \"connection_string\": "
                      "\"one:1,two,[::1]:3, ssl=true,db=4,username=ada,password=\\\"s3 cret\\\","
                      "ssl_cert_reqs=none,socket_timeout=0.25,skip_full_coverage_check=true\","
                      "\"key_ttl_seconds\": 60, \"connect_timeout_ms\": 7, \"skip_dedup\": true}");
    assert_int_equal(c->kind, TFN_REDIS_SENTINEL);
    assert_int_equal(c->n_addresses, 3);
    assert_string_equal(c->addresses[0].host, "one");
    assert_int_equal(c->addresses[0].port, 1);
    assert_string_equal(c->addresses[1].host, "two");
    assert_int_equal(c->addresses[1].port, 6379);
    assert_string_equal(c->addresses[2].host, "::1");
    assert_int_equal(c->addresses[2].port, 3);
    assert_true(c->use_tls);
    assert_int_equal(c->verify, TFN_REDIS_VERIFY_NONE);
    assert_int_equal(c->database, 4);
    assert_string_equal(c->username, "ada");
    assert_string_equal(c->password, "s3 cret");
    assert_string_equal(c->sentinel_master, "mymaster");
    assert_int_equal(c->timeout_ms, 250);
    assert_int_equal(c->connect_timeout_ms, 7);
    assert_int_equal(settings.key_ttl_seconds, 60);
    tfn__redis_settings_deinit(&settings);
}

static void a_single_server_is_the_first_address(void **state)
{
    (void)state;
    const tfn_redis_config *c =
        read_settings("{\"connection_string\": \"a:1,b:2,password=,ssl_check_hostname=false\"}");
    assert_int_equal(c->n_addresses, 1);
    assert_null(c->password);
    assert_int_equal(c->verify, TFN_REDIS_VERIFY_CHAIN);
    tfn__redis_settings_deinit(&settings);
}

static void what_makes_no_sense_is_refused_without_its_value(void **state)
{
    (void)state;
    refuse("[]", "must be a mapping");
    refuse("{", "online_store");
    refuse("{\"connection_string\": 5}", "connection_string must be a text");
    refuse("{\"connection_string\": \"password=s3cret\"}", "names no server");
    refuse("{\"connection_string\": \"a:1,password=abc,s3cret=def,ssl=true\"}",
           "a parameter behind the password means nothing here");
    refuse("{\"connection_string\": \"a:s3cret\"}", "not host:port");
    refuse("{\"connection_string\": \"a:70000\"}", "not host:port");
    refuse("{\"connection_string\": \"a:1,passwort=s3cret\"}", "parameter 'passwort'");
    refuse("{\"connection_string\": \"a:1,db=s3cret\"}", "the value of db");
    refuse("{\"connection_string\": \"a:1,ssl=s3cret\"}", "the value of ssl");
    refuse("{\"connection_string\": \"a:1,socket_timeout=-1\"}", "socket_timeout");
    refuse("{\"connection_string\": \"a:1,ssl_cert_reqs=s3cret\"}", "ssl_cert_reqs");
    refuse("{\"connection_string\": \"a:1,password=s3cret\\n\"}", "line break");
    refuse("{\"redis_type\": \"valkey\"}", "redis_type must be");
    refuse("{\"redis_type\": \"redis_cluster\", \"connection_string\": \"a:1,db=1\"}",
           "database 0 only");
    refuse("{\"key_ttl_seconds\": 0}", "key_ttl_seconds must be a whole number");
    refuse("{\"key_ttl_seconds\": 1.5}", "key_ttl_seconds must be a whole number");
    refuse("{\"timeout_ms\": \"5\"}", "timeout_ms must be a whole number");
    refuse("{\"skip_dedup\": 1}", "skip_dedup must be true or false");
    refuse("{\"path\": \"x\"}", "online_store.path does not exist for type redis");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_feasts),
        cmocka_unit_test(a_connection_string_is_read_as_feast_reads_it),
        cmocka_unit_test(a_single_server_is_the_first_address),
        cmocka_unit_test(what_makes_no_sense_is_refused_without_its_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
