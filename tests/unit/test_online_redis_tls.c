/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* TLS to a real server, with certificates that `openssl` makes. */

#include "unit/redis_fixture.h"

static char folder[] = "/tmp/tiffin-tls-XXXXXX";
static char authority[64], authority_key[64], cert[64], key[64];
static test_server server;

static void run_openssl(const char *const *args)
{
    const char *argv[40] = {"openssl"};
    size_t n = 1;
    while (*args != NULL) {
        argv[n++] = *args++;
    }
    const int fd = open("/dev/null", O_WRONLY);
    const int kept = dup(2);
    (void)dup2(fd, 2); /* it tells its progress there */
    const int rc = run_program(argv);
    (void)dup2(kept, 2);
    (void)close(fd);
    (void)close(kept);
    assert_int_equal(rc, 0);
}

/* An authority, and a certificate of it for 127.0.0.1. */
static int make_all(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    char request[64], names[64];
    (void)snprintf(authority, sizeof(authority), "%s/ca.pem", folder);
    (void)snprintf(authority_key, sizeof(authority_key), "%s/ca.key", folder);
    (void)snprintf(cert, sizeof(cert), "%s/cert.pem", folder);
    (void)snprintf(key, sizeof(key), "%s/cert.key", folder);
    (void)snprintf(request, sizeof(request), "%s/cert.csr", folder);
    (void)snprintf(names, sizeof(names), "%s/names", folder);
    FILE *file = fopen(names, "w");
    assert_non_null(file);
    assert_true(fputs("subjectAltName=IP:127.0.0.1\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    run_openssl((const char *const[]){
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
        "2", "-subj", "/CN=authority", "-keyout", authority_key, "-out", authority, NULL});
    run_openssl((const char *const[]){"req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                                      "-nodes", "-subj", "/CN=server", "-keyout", key, "-out",
                                      request, NULL});
    run_openssl((const char *const[]){"x509", "-req", "-in", request, "-CA", authority, "-CAkey",
                                      authority_key, "-CAcreateserial", "-days", "2", "-extfile",
                                      names, "-out", cert, NULL});
    server =
        (test_server){.args = {"--port", "0", "--tls-cert-file", cert, "--tls-key-file", key,
                               "--tls-ca-cert-file", authority, "--tls-auth-clients", "optional"},
                      .n_args = 10,
                      .has_tls = true};
    return 0;
}

static int end_all(void **state)
{
    (void)state;
    server_end(&server);
    const char *const argv[] = {"rm", "-rf", folder, NULL};
    assert_int_equal(run_program(argv), 0);
    return 0;
}

static tfn_redis_config tls(void)
{
    return (tfn_redis_config){
        .use_tls = true, .ca_path = authority, .timeout_ms = 20 * 1000, .connect_timeout_ms = 5000};
}

static void a_certificate_that_is_trusted_is_enough(void **state)
{
    (void)state;
    tfn_redis *redis = connect_to(tls(), server.port);
    for (int i = 0; i < 100; i++) {
        assert_answer(redis, "ECHO x", "x");
    }
    tfn_redis_destroy(redis);
}

static void a_batch_larger_than_all_buffers_arrives(void **state)
{
    (void)state;
    tfn_redis *redis = connect_to(tls(), server.port);
    expect_large_batch(redis, 100);
    tfn_redis_destroy(redis);
}

static void expect_refusal(tfn_redis_config config, const char *host, int port,
                           const char *sentence)
{
    const tfn_redis_address address = {host, port};
    config.addresses = &address;
    config.n_addresses = 1;
    tfn_redis *redis = NULL;
    tfn_error err = {0};
    char answer[128];
    assert_ok(tfn_redis_create(&config, &redis, &err), err);
    assert_int_equal(ask(redis, "GET a", answer, &err), TFN_UNAVAILABLE);
    assert_text(err.message, sentence);
    tfn_redis_destroy(redis);
}

static void who_is_not_trusted_is_told_why(void **state)
{
    (void)state;
    tfn_redis_config config = tls();
    config.ca_path = NULL; /* the system's: do not know ours */
    expect_refusal(config, "127.0.0.1", server.port, "its certificate is not trusted (");
    /* The certificate is for 127.0.0.1, not for this name. */
    expect_refusal(tls(), "localhost", server.port, "hostname mismatch");
    const tfn_redis_config plain = {.timeout_ms = 20 * 1000};
    expect_refusal(plain, "127.0.0.1", server.port, "Redis at 127.0.0.1:");

    test_server without = {0};
    server_start(&without);
    config = tls();
    config.connect_timeout_ms = 500; /* it waits for a line of its own protocol */
    expect_refusal(config, "127.0.0.1", without.port, "check that it speaks TLS");
    server_end(&without);
}

static void what_is_checked_is_a_setting(void **state)
{
    (void)state;
    const tfn_redis_address by_name = {"localhost", server.port};
    tfn_redis_config config = tls();
    config.addresses = &by_name;
    config.n_addresses = 1;
    for (int i = 0; i < 2; i++) {
        config.verify = i == 0 ? TFN_REDIS_VERIFY_CHAIN : TFN_REDIS_VERIFY_NONE;
        config.ca_path = i == 0 ? authority : NULL;
        tfn_redis *redis = NULL;
        tfn_error err = {0};
        assert_ok(tfn_redis_create(&config, &redis, &err), err);
        assert_answer(redis, "ECHO x", "x");
        tfn_redis_destroy(redis);
    }
}

static void a_client_certificate_is_shown(void **state)
{
    (void)state;
    tfn_redis *direct = connect_to(tls(), server.port);
    assert_answer(direct, "CONFIG SET tls-auth-clients yes", "OK");
    tfn_redis_config config = tls();
    expect_refusal(config, "127.0.0.1", server.port, "Redis at 127.0.0.1:");
    config.cert_path = cert;
    config.key_path = key;
    tfn_redis *redis = connect_to(config, server.port);
    assert_answer(redis, "ECHO x", "x");
    assert_answer(redis, "CONFIG SET tls-auth-clients optional", "OK");
    tfn_redis_destroy(redis);
    tfn_redis_destroy(direct);
    config.key_path = authority_key;
    const tfn_redis_address address = {"127.0.0.1", server.port};
    config.addresses = &address;
    config.n_addresses = 1;
    tfn_error err = {0};
    assert_int_equal(tfn_redis_create(&config, &redis, &err), TFN_INVALID);
    assert_text(err.message, "is not the key of");
}

/* Nobody handles SIGPIPE here: were it let through, this program would end. */
static void a_peer_that_is_gone_does_not_end_the_program(void **state)
{
    (void)state;
    tfn_redis *redis = connect_to(tls(), server.port);
    for (int i = 0; i < 3; i++) {
        assert_answer(redis, "ECHO x", "x");
        server_stop(&server);
        char answer[128];
        tfn_error err = {0};
        assert_int_equal(ask(redis, "ECHO x", answer, &err), TFN_UNAVAILABLE);
        server_start(&server);
        tfn_code rc = TFN_UNAVAILABLE;
        for (int k = 0; k < MAX_WAITS && rc != TFN_OK; k++) {
            rc = ask(redis, "ECHO x", answer, &err);
            if (rc != TFN_OK) {
                wait_a_little();
            }
        }
        assert_int_equal(rc, TFN_OK);
    }
    tfn_redis_destroy(redis);
}

static int start(void **state)
{
    (void)make_all(state);
    server_start(&server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_that_is_trusted_is_enough),
        cmocka_unit_test(a_batch_larger_than_all_buffers_arrives),
        cmocka_unit_test(who_is_not_trusted_is_told_why),
        cmocka_unit_test(what_is_checked_is_a_setting),
        cmocka_unit_test(a_client_certificate_is_shown),
        cmocka_unit_test(a_peer_that_is_gone_does_not_end_the_program),
    };
    return cmocka_run_group_tests_name("online redis tls", tests, start, end_all);
}
