/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#include "unit/base_make.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

#include "server/config.h"

static tfn_server_config config;

static int set_up(void **state)
{
    (void)state;
    tfn_server_config_init(&config);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tfn_server_config_deinit(&config);
    return 0;
}

static tfn_code parse(const char *const *argv, tfn_error *err)
{
    int argc = 0;
    while (argv[argc] != NULL) {
        argc++;
    }
    return tfn_server_config_parse(&config, argc, (char *const *)(uintptr_t)argv, err);
}

#define PARSE(err, ...) parse((const char *const[]){__VA_ARGS__, NULL}, (err))

static void refuse(const char *option, const char *value, const char *sentence)
{
    tfn_error err = {0};
    assert_int_equal(PARSE(&err, option, value), TFN_INVALID);
    assert_text(err.message, sentence);
    assert_int_equal(config.task, TFN_SERVER_NOTHING);
}

static void defaults_are_those_of_the_help(void **state)
{
    (void)state;
    assert_string_equal(config.host, "127.0.0.1");
    assert_int_equal(config.port, 6566);
    assert_int_equal(config.n_workers, 1);
    assert_int_equal(config.n_jobs, 4);
    assert_int_equal(config.limits.max_body_bytes, 16 << 20);
    assert_int_equal(config.limits.max_answer_bytes, 64 << 20);
    assert_int_equal(config.limits.max_header_bytes, 8 << 10);
    assert_int_equal(config.limits.request_ms, 30000);
    assert_null(config.access_log_path);
    assert_text(tfn_server_config_help(), "port (6566)");
}

static void every_option_is_understood(void **state)
{
    (void)state;
    tfn_error err = {0};
    assert_ok(PARSE(&err, "-c", "repo", "-f", "x.yaml", "--host=::1", "--port", "0", "--workers",
                    "3", "--jobs=7", "--unix-socket", "run/s", "--tls-key", "k", "--tls-cert", "c",
                    "--keys", "keys.json", "--insecure", "--python", "/usr/bin/python3",
                    "--access-log", "-", "--access-log-rate", "0.25", "--feature-logs", "logs"),
              err);
    assert_int_equal(config.task, TFN_SERVER_RUN);
    assert_string_equal(config.host, "::1");
    assert_int_equal(config.port, 0);
    assert_int_equal(config.n_workers, 3);
    assert_int_equal(config.n_jobs, 7);
    assert_string_equal(config.unix_path, "run/s");
    assert_string_equal(config.tls_key, "k");
    assert_string_equal(config.tls_cert, "c");
    assert_string_equal(config.keys_path, "keys.json");
    assert_true(config.is_insecure);
    assert_string_equal(config.python, "/usr/bin/python3");
    assert_string_equal(config.access_log_path, "-");
    assert_true(config.access_log_rate == 0.25);
    assert_string_equal(config.feature_log_path, "logs");
    assert_ok(PARSE(&err, "--no-access-log"), err);
    assert_null(config.access_log_path);
}

static void limits_are_put_by_name(void **state)
{
    (void)state;
    tfn_error err = {0};
    assert_ok(PARSE(&err, "--limit", "max_body=1.5MiB", "--limit=max_entity_rows=7", "--limit",
                    "max_features=8", "--limit", "max_header=2KiB", "--limit", "max_connections=9",
                    "--limit", "max_jobs=10", "--limit", "max_answer=1MiB", "--limit",
                    "request_seconds=0.25", "--limit", "idle_seconds=1", "--limit",
                    "drain_seconds=0"),
              err);
    assert_int_equal(config.limits.max_body_bytes, 3 << 19);
    assert_int_equal(config.limits.max_answer_bytes, 1 << 20);
    assert_int_equal(config.limits.max_entity_rows, 7);
    assert_int_equal(config.limits.max_features, 8);
    assert_int_equal(config.limits.max_header_bytes, 2048);
    assert_int_equal(config.limits.max_connections, 9);
    assert_int_equal(config.limits.max_jobs, 10);
    assert_int_equal(config.limits.request_ms, 250);
    assert_int_equal(config.limits.idle_ms, 1000);
    assert_int_equal(config.limits.drain_ms, 0);
}

static void what_makes_no_sense_is_named(void **state)
{
    (void)state;
    refuse("--prot", "1", "there is no option '--prot'; see tiffin-server --help");
    refuse("serve", "", "there is no option 'serve'");
    refuse("--port", "65536", "--port must be a whole number from 0 to 65535, not '65536'");
    refuse("--port", "-1", "not '-1'");
    refuse("--port", "", "not ''");
    refuse("--port", "99999999999999999999", "not '99999999999999999999'");
    refuse("--workers", "0", "--workers must be a whole number from 1 to 256, not '0'");
    refuse("--access-log-rate", "1.01", "--access-log-rate must be a share from 0 to 1");
    refuse("--access-log-rate", "nan", "not 'nan'");
    refuse("--host", "", "--host must be a name of 1 to 255 bytes");
    refuse("--host", "\xff", "of UTF-8");
    refuse("--repo", "", "--repo must be a path");
    refuse("--limit", "max_rows=1",
           "there are max_body, max_bodies, max_answer, max_entity_rows, max_features");
    refuse("--limit", "max_body", "--limit must be NAME=VALUE");
    refuse("--limit", "max_body=5", "--limit max_body must be a size from 1024 bytes to 1 TiB");
    refuse("--limit", "request_seconds=0",
           "--limit request_seconds must be a number of seconds above 0");
    refuse("--limit", "request_seconds=1e99", "up to 86400");
    refuse("--insecure=1", "--check", "--insecure takes no value");
    refuse("--check", "--port", "--port needs a value");
}

static void a_unix_socket_replaces_the_address_unless_one_is_given(void **state)
{
    (void)state;
    tfn_error err = {0};
    char too_long[200];
    memset(too_long, 'a', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = '\0';
    refuse("--unix-socket", too_long, "--unix-socket must be a path of 1 to 107 bytes");
    assert_ok(PARSE(&err, "--unix-socket", "s"), err);
    assert_null(config.host);
    assert_ok(PARSE(&err, "--unix-socket", "s", "--port", "1"), err);
    assert_string_equal(config.host, "127.0.0.1");
    assert_ok(PARSE(&err, "--port", "1", "--unix-socket", "s"), err);
    assert_string_equal(config.host, "127.0.0.1");
}

static void the_task_is_what_was_asked_for(void **state)
{
    (void)state;
    tfn_error err = {0};
    assert_ok(PARSE(&err, "--check"), err);
    assert_int_equal(config.task, TFN_SERVER_CHECK);
    assert_ok(PARSE(&err, "--print-config"), err);
    assert_int_equal(config.task, TFN_SERVER_PRINT_CONFIG);
    assert_ok(PARSE(&err, "--materialize", "{}"), err);
    assert_int_equal(config.task, TFN_SERVER_MATERIALIZE);
    assert_string_equal(config.request, "{}");
    assert_ok(PARSE(&err, "--check", "-h"), err);
    assert_int_equal(config.task, TFN_SERVER_HELP);
    assert_ok(
        tfn_server_config_load(&config, 1, (char *[]){(char *)(uintptr_t) "--version"}, NULL, &err),
        err);
    assert_int_equal(config.task, TFN_SERVER_VERSION);
}

/* The server that started it was let in with --insecure or keys, which it is not told. */
static void a_child_that_materializes_asks_for_no_keys(void **state)
{
    (void)state;
    char folder[] = "/tmp/tiffin_config_XXXXXX";
    char path[64];
    tfn_error err = {0};
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/feature_store.yaml", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs("project: p\nregistry: reg/registry.db\nprovider: local\n"
                      "feature_server: {host: 0.0.0.0}\n",
                      file) >= 0);
    assert_int_equal(fclose(file), 0);
    const char *const argv[] = {"--repo", folder, "--materialize", "{}"};
    char *warning = NULL;
    const tfn_code serves =
        tfn_server_config_load(&config, 2, (char *const *)(uintptr_t)argv, &warning, &err);
    tfn_text_destroy(warning);
    assert_int_equal(serves, TFN_INVALID);
    assert_text(err.message, "can be reached from elsewhere");
    tfn_server_config_deinit(&config);
    tfn_server_config_init(&config);
    const tfn_code rc =
        tfn_server_config_load(&config, 4, (char *const *)(uintptr_t)argv, &warning, &err);
    tfn_text_destroy(warning);
    (void)unlink(path);
    assert_int_equal(rmdir(folder), 0);
    assert_ok(rc, err);
    assert_int_equal(config.task, TFN_SERVER_MATERIALIZE);
}

/* ---- who may reach it ---- */

static void only_loopback_is_open_without_keys(void **state)
{
    (void)state;
    static const char *const open[] = {"127.0.0.1", "127.9.9.9", "::1", "localhost",
                                       "::ffff:127.0.0.1"};
    static const char *const reachable[] = {
        "0.0.0.0", "::", "10.0.0.1", "::ffff:10.0.0.1", "example.org", "127.0.0.1.example.org"};
    tfn_error err = {0};
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        config.host = open[i];
        assert_ok(tfn_server_config_check(&config, &err), err);
        assert_false(tfn_server_config_needs_keys(&config));
    }
    config.keys_path = "/nonexistent/keys.json";
    config.has_default_keys = true;
    for (size_t i = 0; i < sizeof reachable / sizeof *reachable; i++) {
        config.host = reachable[i];
        assert_true(tfn_server_config_needs_keys(&config));
        assert_int_equal(tfn_server_config_check(&config, &err), TFN_INVALID);
        assert_text(err.message, "there are no API keys in /nonexistent/keys.json; make one with "
                                 "`tiffin keys create NAME --scope read`");
    }
    config.is_insecure = true;
    assert_ok(tfn_server_config_check(&config, &err), err);
    assert_false(tfn_server_config_needs_keys(&config));
}

/* Else a mistyped name would open the server to everybody on this machine. */
static void keys_that_are_named_must_be_there(void **state)
{
    (void)state;
    tfn_error err = {0};
    config.host = "127.0.0.1";
    config.keys_path = "/nonexistent/keys.json";
    assert_int_equal(tfn_server_config_check(&config, &err), TFN_NOT_FOUND);
    assert_text(err.message, "there is no file of API keys at /nonexistent/keys.json");
    config.has_default_keys = true;
    assert_ok(tfn_server_config_check(&config, &err), err);
}

static void a_key_opens_another_interface(void **state)
{
    (void)state;
    static const char json[] =
        "{\"version\": 1, \"keys\": [{\"id\": \"a\", \"name\": \"n\", \"scopes\": [\"read\"], "
        "\"sha256\": \"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"}]}";
    char path[] = "/tmp/tiffin_keys_XXXXXX";
    const int fd = mkstemp(path);
    assert_int_equal(write(fd, json, sizeof json - 1), sizeof json - 1);
    (void)close(fd);
    tfn_error err = {0};
    config.host = "0.0.0.0";
    config.keys_path = path;
    assert_ok(tfn_server_config_check(&config, &err), err);
    assert_true(tfn_server_config_needs_keys(&config));
    (void)unlink(path);
}

static void tls_needs_both_files(void **state)
{
    (void)state;
    tfn_error err = {0};
    config.tls_key = "k";
    assert_int_equal(tfn_server_config_check(&config, &err), TFN_INVALID);
    assert_text(err.message, "only the key was given; give --tls-cert too");
    config.host = NULL;
    assert_int_equal(tfn_server_config_check(&config, &err), TFN_INVALID);
    assert_text(err.message, "nothing to listen on");
}

static void secrets_are_not_shown(void **state)
{
    (void)state;
    tfn_error err = {0};
    char *json = NULL;
    config.store.redis = "{\"connection_string\": \"a:1,password=s3cret,tail,ssl=true\", "
                         "\"sentinel_password\": \"s3cret\", \"redis_type\": \"redis\"}";
    config.store.s3 = "{\"access_key_id\": \"s3cret\", \"secret_access_key\": \"s3cret\", "
                      "\"session_token\": \"s3cret\", \"region\": \"eu\"}";
    assert_ok(tfn_server_config_print(&config, &json, &err), err);
    assert_null(strstr(json, "s3cret"));
    assert_null(strstr(json, "tail"));
    assert_text(json, "\"a:1,password=...,ssl=true\"");
    assert_text(json, "\"region\":\"eu\"");
    tfn_mem_free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defaults_are_those_of_the_help, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_option_is_understood, set_up, tear_down),
        cmocka_unit_test_setup_teardown(limits_are_put_by_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_makes_no_sense_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_unix_socket_replaces_the_address_unless_one_is_given,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_task_is_what_was_asked_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_child_that_materializes_asks_for_no_keys, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(only_loopback_is_open_without_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keys_that_are_named_must_be_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_key_opens_another_interface, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tls_needs_both_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(secrets_are_not_shown, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
