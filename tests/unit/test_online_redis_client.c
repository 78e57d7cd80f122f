/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* The client of Redis against one real server: batches, settings, absences. */

#include "unit/redis_fixture.h"

static test_server plain; /* one for all tests here: each ends with it running */

static int start_plain(void **state)
{
    (void)state;
    server_start(&plain);
    return 0;
}

static int end_plain(void **state)
{
    (void)state;
    server_end(&plain);
    return 0;
}

/* ---- batches ---- */

static void replies_come_in_the_order_of_the_commands(void **state)
{
    (void)state;
    tfn_redis *redis = connect_to((tfn_redis_config){0}, plain.port);
    tfn_redis_batch *batch = NULL;
    tfn_error err = {0};
    assert_ok(tfn_redis_batch_create(redis, &batch, &err), err);
    assert_ok(tfn_redis_batch_run(batch, &err), err); /* empty */
    for (int again = 0; again < 2; again++) {
        tfn_redis_batch_clear(batch);
        assert_ok(add_words(batch, "DEL h s", &err), err);
        const tfn_str with_nul[] = {text("HSET"), text("h"), text("f"), {"a\0\r\n", 4}};
        assert_ok(tfn_redis_batch_add(batch, text("h"), with_nul, 4, &err), err);
        assert_ok(add_words(batch, "HMGET h f none", &err), err);
        assert_ok(add_words(batch, "HGET s s", &err), err);
        assert_ok(add_words(batch, "SET s v", &err), err);
        assert_ok(add_words(batch, "INCR s", &err), err);
        assert_ok(add_words(batch, "EVALSHA 0000000000000000000000000000000000000000 0", &err),
                  err);
        const tfn_str eval[] = {text("EVAL"), text("return {1,{'x',false,{}},'y'}"), text("0")};
        assert_ok(tfn_redis_batch_add(batch, text(""), eval, 3, &err), err);
        assert_int_equal(tfn_redis_batch_get_count(batch), 8);
        assert_ok(tfn_redis_batch_run(batch, &err), err);

        assert_int_equal(tfn_redis_batch_get_reply(batch, 1)->integer, 1);
        const tfn_redis_reply *many = tfn_redis_batch_get_reply(batch, 2);
        assert_int_equal(many->type, TFN_REDIS_ARRAY);
        assert_int_equal(many->n_elements, 2);
        assert_int_equal(many->elements[0].text.n, 4);
        assert_memory_equal(many->elements[0].text.p, "a\0\r\n", 5);
        assert_int_equal(many->elements[1].type, TFN_REDIS_NIL);
        assert_int_equal(tfn_redis_batch_get_reply(batch, 3)->type, TFN_REDIS_NIL);
        assert_int_equal(tfn_redis_batch_get_reply(batch, 4)->type, TFN_REDIS_STATUS);
        assert_int_equal(tfn_redis_batch_get_reply(batch, 5)->type, TFN_REDIS_ERROR);
        assert_text(tfn_redis_batch_get_reply(batch, 6)->text.p, "NOSCRIPT");
        const tfn_redis_reply *nested = tfn_redis_batch_get_reply(batch, 7);
        assert_int_equal(nested->n_elements, 3);
        assert_int_equal(nested->elements[0].integer, 1);
        assert_int_equal(nested->elements[1].n_elements, 3);
        assert_string_equal(nested->elements[1].elements[0].text.p, "x");
        assert_int_equal(nested->elements[1].elements[2].n_elements, 0);
        assert_string_equal(nested->elements[2].text.p, "y");
    }
    tfn_redis_batch_destroy(batch);
    tfn_redis_destroy(redis);
}

static void a_batch_larger_than_all_buffers_arrives(void **state)
{
    (void)state;
    tfn_redis *redis = connect_to((tfn_redis_config){.timeout_ms = 60 * 1000}, plain.port);
    expect_large_batch(redis, 300);
    tfn_redis_destroy(redis);
}

static tfn_code count_keys(void *context, const tfn_str *keys, size_t n_keys, tfn_error *err)
{
    (void)err;
    for (size_t i = 0; i < n_keys; i++) {
        assert_true(tfn_str_starts_with(keys[i], "scan:"));
        ++*(size_t *)context;
    }
    return TFN_OK;
}

static tfn_code refuse_keys(void *context, const tfn_str *keys, size_t n_keys, tfn_error *err)
{
    (void)context;
    (void)keys;
    return n_keys == 0 ? TFN_OK
                       : tfn_error_move(err, &(tfn_error){.code = TFN_CANCELLED, .message = "no"});
}

static void a_scan_goes_through_all_that_match(void **state)
{
    (void)state;
    tfn_redis *redis = connect_to((tfn_redis_config){0}, plain.port);
    tfn_redis_batch *batch = NULL;
    tfn_error err = {0};
    assert_ok(tfn_redis_batch_create(redis, &batch, &err), err);
    for (int i = 0; i < 2500; i++) {
        char words[64];
        (void)snprintf(words, sizeof(words), "SET scan:%d x", i);
        assert_ok(add_words(batch, words, &err), err);
    }
    assert_ok(tfn_redis_batch_run(batch, &err), err);
    size_t n_keys = 0;
    assert_ok(tfn_redis_scan(redis, text("scan:*"), count_keys, &n_keys, &err), err);
    assert_int_equal(n_keys, 2500);
    assert_int_equal(tfn_redis_scan(redis, text("scan:*"), refuse_keys, NULL, &err), TFN_CANCELLED);
    tfn_redis_batch_destroy(batch);
    tfn_redis_destroy(redis);
}

/* ---- settings ---- */

static void settings_that_make_no_sense_are_named(void **state)
{
    (void)state;
    const tfn_redis_address here = {"localhost", 6379};
    const tfn_redis_address no_port = {"localhost", 0};
    const tfn_redis_address no_host = {"", 6379};
    const struct {
        tfn_redis_config config;
        const char *sentence;
    } cases[] = {
        {{0}, "names no server"},
        {{.addresses = &no_port, .n_addresses = 1}, "'localhost' has port 0"},
        {{.addresses = &no_host, .n_addresses = 1}, "address 1 has no host"},
        {{.addresses = &here, .n_addresses = 1, .timeout_ms = -1}, "timeout_ms: -1"},
        {{.addresses = &here, .n_addresses = 1, .connect_timeout_ms = 1LL << 40},
         "connect_timeout_ms: 1099511627776"},
        {{.addresses = &here, .n_addresses = 1, .database = -2}, "db: -2"},
        {{.addresses = &here, .n_addresses = 1, .database = 1, .kind = TFN_REDIS_CLUSTER},
         "cannot be chosen in a cluster"},
        {{.addresses = &here, .n_addresses = 1, .kind = TFN_REDIS_SENTINEL},
         "sentinel_master is missing"},
        {{.addresses = &here, .n_addresses = 1, .username = "u"}, "without password"},
        {{.addresses = &here, .n_addresses = 1, .cert_path = "c"}, "given together"},
        {{.addresses = &here, .n_addresses = 1, .use_tls = true, .ca_path = "/none.pem"},
         "ssl_ca_certs: '/none.pem' is not a PEM file"},
        {{.addresses = &here,
          .n_addresses = 1,
          .use_tls = true,
          .cert_path = "/none.pem",
          .key_path = "/none.key"},
         "ssl_certfile: '/none.pem'"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tfn_redis *redis = NULL;
        tfn_error err = {0};
        assert_int_equal(tfn_redis_create(&cases[i].config, &redis, &err), TFN_INVALID);
        assert_null(redis);
        assert_text(err.message, cases[i].sentence);
    }
}

static void a_database_is_chosen(void **state)
{
    (void)state;
    tfn_redis *zero = connect_to((tfn_redis_config){0}, plain.port);
    tfn_redis *three = connect_to((tfn_redis_config){.database = 3}, plain.port);
    tfn_redis *many = connect_to((tfn_redis_config){.database = 1000}, plain.port);
    assert_answer(zero, "SET where zero", "OK");
    assert_answer(three, "SET where three", "OK");
    assert_answer(zero, "GET where", "zero");
    assert_answer(three, "GET where", "three");
    for (int i = 0; i < 5; i++) { /* a mistake is no absence: always the same sentence */
        tfn_error err = {0};
        char answer[128];
        assert_int_equal(ask(many, "GET where", answer, &err), TFN_INVALID);
        assert_text(err.message, "it has no database 1000 (ERR DB index is out of range)");
    }
    tfn_redis_destroy(zero);
    tfn_redis_destroy(three);
    tfn_redis_destroy(many);
}

static void passwords_are_asked_for_and_never_told(void **state)
{
    (void)state;
    test_server s = {.args = {"--requirepass", "s3cret", "--user", "ann", "on", ">anns-word", "~*",
                              "&*", "+@all"},
                     .n_args = 9};
    server_start(&s);
    const struct {
        tfn_redis_config config;
        const char *sentence; /* NULL: it works */
    } cases[] = {
        {{.password = "s3cret"}, NULL},
        {{.username = "ann", .password = "anns-word"}, NULL},
        {{0}, "asks for a password, and none is configured"},
        {{.database = 1}, "asks for a password, and none is configured"},
        {{.password = "wrong-one"}, "refused the user or the password (WRONGPASS"},
        {{.username = "bob", .password = "s3cret"}, "refused the user or the password (WRONGPASS"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tfn_redis *redis = connect_to(cases[i].config, s.port);
        for (int again = 0; again < 4; again++) {
            char answer[128];
            tfn_error err = {0};
            const tfn_code rc = ask(redis, "SET a b", answer, &err);
            if (cases[i].sentence == NULL) {
                assert_ok(rc, err);
                assert_string_equal(answer, "OK");
            } else {
                assert_int_equal(rc, TFN_INVALID);
                assert_text(err.message, cases[i].sentence);
                assert_text(err.message, "Redis at 127.0.0.1:");
                assert_null(strstr(err.message, "s3cret"));
                assert_null(strstr(err.message, "wrong-one"));
            }
        }
        tfn_redis_destroy(redis);
    }
    server_end(&s);
}

/* ---- absences ---- */

static void what_refuses_is_away_at_once_and_says_since_when(void **state)
{
    (void)state;
    const int port = free_port();
    tfn_redis *redis = connect_to((tfn_redis_config){0}, port);
    char answer[128];
    tfn_error err = {0};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask(redis, "GET a", answer, &err), TFN_UNAVAILABLE);
        assert_text(err.message, "Redis at 127.0.0.1:");
        assert_text(err.message, "is away (check that it runs");
        assert_text(err.message, "Connection refused");
        err = (tfn_error){0};
    }
    assert_int_equal(ask(redis, "GET a", answer, &err), TFN_UNAVAILABLE);
    assert_text(err.message, "has been away for 0.");
    assert_text(err.message, "Connection refused; next try in 0.");
    tfn_redis_destroy(redis);
}

static double seconds_of(tfn_redis *redis, tfn_error *err)
{
    char answer[128];
    *err = (tfn_error){0};
    const double began_s = tfn_clock_monotonic_s();
    assert_int_equal(ask(redis, "GET a", answer, err), TFN_UNAVAILABLE);
    return tfn_clock_monotonic_s() - began_s;
}

static void wait_until_it_answers(tfn_redis *redis)
{
    char answer[128];
    tfn_code rc = TFN_UNAVAILABLE;
    for (int i = 0; i < MAX_WAITS && rc != TFN_OK; i++) {
        rc = ask(redis, "PING", answer, NULL);
        if (rc != TFN_OK) {
            wait_a_little();
        }
    }
    assert_int_equal(rc, TFN_OK);
}

static void what_is_silent_is_waited_for_thrice_and_then_not_at_all(void **state)
{
    (void)state;
    enum { TIMEOUT_MS = 300 };
    tfn_redis *redis = connect_to((tfn_redis_config){.timeout_ms = TIMEOUT_MS}, plain.port);
    wait_until_it_answers(redis);
    server_signal(&plain, SIGSTOP);
    tfn_error err = {0};
    for (int i = 0; i < 3; i++) {
        assert_true(seconds_of(redis, &err) >= TIMEOUT_MS / 1000.0 - 0.001);
        assert_text(err.message, "it did not answer within 300 ms");
    }
    double shortest_s = 1; /* machines are busy: one of some is enough to show it */
    for (int i = 0; i < 3; i++) {
        const double took_s = seconds_of(redis, &err);
        shortest_s = took_s < shortest_s ? took_s : shortest_s;
    }
    assert_true(shortest_s < TIMEOUT_MS / 1000.0 / 10);
    assert_text(err.message, "it did not answer within 300 ms");
    server_signal(&plain, SIGCONT);
    wait_until_it_answers(redis);
    tfn_redis_destroy(redis);
}

static void a_restart_is_not_noticed_once_it_is_over(void **state)
{
    (void)state;
    tfn_redis *redis = connect_to((tfn_redis_config){.timeout_ms = 20 * 1000}, plain.port);
    for (int i = 0; i < 3; i++) {
        wait_until_it_answers(redis);
        server_stop(&plain);
        server_start(&plain);
        assert_answer(redis, "SET a b", "OK");
    }
    server_stop(&plain);
    char answer[128];
    tfn_error err = {0};
    assert_int_equal(ask(redis, "GET a", answer, &err), TFN_UNAVAILABLE);
    server_start(&plain);
    wait_until_it_answers(redis);
    tfn_redis_destroy(redis);
}

/* It is looked at before it is used. */
static void a_connection_that_is_killed_while_idle_is_replaced(void **state)
{
    (void)state;
    tfn_redis *redis = connect_to((tfn_redis_config){0}, plain.port);
    tfn_redis *killer = connect_to((tfn_redis_config){0}, plain.port);
    for (int i = 0; i < 20; i++) {
        assert_answer(redis, "SET a b", "OK");
        char answer[128];
        tfn_error err = {0};
        assert_ok(ask(killer, "CLIENT KILL TYPE normal", answer, &err), err);
        assert_answer(redis, "GET a", "b");
    }
    tfn_redis_destroy(redis);
    tfn_redis_destroy(killer);
}

/* Accepts once, answers with these bytes, and closes. */
static void serve_once(int listener, const char *bytes)
{
    const int fd = accept(listener, NULL, NULL);
    char request[1024];
    (void)!read(fd, request, sizeof(request));
    (void)!write(fd, bytes, strlen(bytes));
    (void)close(fd);
}

static void what_is_not_redis_is_told(void **state)
{
    (void)state;
    const struct {
        const char *bytes;
        tfn_code code;
        const char *sentence;
    } cases[] = {
        {"HTTP/1.1 400 Bad Request\r\n\r\n", TFN_CORRUPT, "does not speak Redis' protocol"},
        {"+OK\r\n+OK\r\n", TFN_CORRUPT, "more replies than it was asked for"},
        {"*99999999\r\n", TFN_CORRUPT, "Multi-bulk length out of range"},
        {"$-5\r\n", TFN_CORRUPT, "protocol"},
        {"+O", TFN_UNAVAILABLE, "it closed the connection"},
        {"", TFN_UNAVAILABLE, "it closed the connection"},
        {"-LOADING soon\r\n", TFN_UNAVAILABLE, ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int port = 0;
        const pid_t pid = spawn_peer(serve_once, cases[i].bytes, &port);
        tfn_redis *redis = connect_to((tfn_redis_config){.timeout_ms = 5000}, port);
        char answer[128];
        tfn_error err = {0};
        assert_int_equal(ask(redis, "GET a", answer, &err), cases[i].code);
        assert_text(err.message, cases[i].sentence);
        assert_text(err.message, "Redis at 127.0.0.1:");
        tfn_redis_destroy(redis);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
    }
}

/* Answers every request with these bytes, for ever. */
static void serve_again(int listener, const char *bytes)
{
    for (;;) {
        const int fd = accept(listener, NULL, NULL);
        char request[1024];
        while (read(fd, request, sizeof(request)) > 0) {
            (void)!write(fd, bytes, strlen(bytes));
        }
        (void)close(fd);
    }
}

static void what_loads_its_data_is_waited_for_thrice_and_then_not_at_all(void **state)
{
    (void)state;
    int port = 0;
    const pid_t pid = spawn_peer(serve_again, "-LOADING the data\r\n", &port);
    tfn_redis *redis =
        connect_to((tfn_redis_config){.timeout_ms = 200, .connect_timeout_ms = 200}, port);
    tfn_error err = {0};
    for (int i = 0; i < 3; i++) {
        assert_true(seconds_of(redis, &err) > 0.25);
        assert_text(err.message, "is not ready: LOADING the data");
    }
    double shortest_s = 1;
    for (int i = 0; i < 3; i++) {
        const double took_s = seconds_of(redis, &err);
        shortest_s = took_s < shortest_s ? took_s : shortest_s;
    }
    assert_true(shortest_s < 0.03);
    tfn_redis_destroy(redis);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Answers once, closes at the second request, and serves the next connection. */
static void serve_and_hang_up(int listener, const char *bytes)
{
    (void)bytes;
    char request[1024];
    int fd = accept(listener, NULL, NULL);
    (void)!read(fd, request, sizeof(request));
    (void)!write(fd, ":1\r\n", 4);
    (void)!read(fd, request, sizeof(request));
    (void)close(fd);
    fd = accept(listener, NULL, NULL);
    (void)!read(fd, request, sizeof(request));
    (void)!write(fd, ":2\r\n", 4);
    (void)!read(fd, request, sizeof(request)); /* until the client ends */
    (void)close(fd);
}

static void a_connection_that_dies_under_a_batch_is_replaced_once(void **state)
{
    (void)state;
    int port = 0;
    const pid_t pid = spawn_peer(serve_and_hang_up, "", &port);
    tfn_redis *redis = connect_to((tfn_redis_config){.timeout_ms = 20 * 1000}, port);
    assert_answer(redis, "INCR a", "1");
    assert_answer(redis, "INCR a", "2");
    tfn_redis_destroy(redis);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void a_child_makes_its_own_connections(void **state)
{
    (void)state;
    tfn_redis *redis = connect_to((tfn_redis_config){0}, plain.port);
    assert_answer(redis, "SET who parent", "OK");
    enum { N_CHILDREN = 4 };
    pid_t pids[N_CHILDREN];
    for (int i = 0; i < N_CHILDREN; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            bool ok = true;
            for (int k = 0; k < 200; k++) { /* crossed replies would show */
                char words[64];
                char answer[128];
                (void)snprintf(words, sizeof(words), "ECHO %d-%d", i, k);
                ok = ok && ask(redis, words, answer, NULL) == TFN_OK &&
                     strcmp(answer, words + 5) == 0;
            }
            tfn_redis_destroy(redis);
            _exit(ok ? 0 : 1);
        }
    }
    for (int k = 0; k < 200; k++) {
        assert_answer(redis, "ECHO parent", "parent");
    }
    for (int i = 0; i < N_CHILDREN; i++) {
        int status = 0;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    assert_answer(redis, "GET who", "parent");
    tfn_redis_destroy(redis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_come_in_the_order_of_the_commands),
        cmocka_unit_test(a_batch_larger_than_all_buffers_arrives),
        cmocka_unit_test(a_scan_goes_through_all_that_match),
        cmocka_unit_test(settings_that_make_no_sense_are_named),
        cmocka_unit_test(a_database_is_chosen),
        cmocka_unit_test(passwords_are_asked_for_and_never_told),
        cmocka_unit_test(what_refuses_is_away_at_once_and_says_since_when),
        cmocka_unit_test(what_is_silent_is_waited_for_thrice_and_then_not_at_all),
        cmocka_unit_test(a_restart_is_not_noticed_once_it_is_over),
        cmocka_unit_test(a_connection_that_is_killed_while_idle_is_replaced),
        cmocka_unit_test(what_loads_its_data_is_waited_for_thrice_and_then_not_at_all),
        cmocka_unit_test(a_connection_that_dies_under_a_batch_is_replaced_once),
        cmocka_unit_test(what_is_not_redis_is_told),
        cmocka_unit_test(a_child_makes_its_own_connections),
    };
    return cmocka_run_group_tests_name("online redis client", tests, start_plain, end_plain);
}
