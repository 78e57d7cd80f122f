/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* A real cluster of three: slots, redirections while a slot is moved, a node that is away. */

#include "unit/redis_cluster_fixture.h"

#include "online/redis_client_internal.h"

static test_cluster cluster;

static int start_cluster(void **state)
{
    (void)state;
    cluster_start(&cluster);
    return 0;
}

static int end_cluster(void **state)
{
    (void)state;
    cluster_end(&cluster);
    return 0;
}

static tfn_redis *connect_cluster(void)
{
    return connect_to((tfn_redis_config){.kind = TFN_REDIS_CLUSTER, .timeout_ms = 20 * 1000},
                      cluster.nodes[1].port);
}

static void slots_are_those_of_redis(void **state)
{
    (void)state;
    static const char *const keys[] = {"",       "a",      "123456789", "foo{bar}baz", "{}x",
                                       "a{}{b}", "{a}{b}", "x{",        "x}{y}",       "{{a}}"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        tfn_redis_batch *batch = NULL;
        tfn_error err = {0};
        assert_ok(tfn_redis_batch_create(cluster.direct[0], &batch, &err), err);
        const tfn_str args[] = {text("CLUSTER"), text("KEYSLOT"), text(keys[i])};
        assert_ok(tfn_redis_batch_add(batch, text(""), args, 3, &err), err);
        assert_ok(tfn_redis_batch_run(batch, &err), err);
        assert_int_equal(tfn_redis_batch_get_reply(batch, 0)->integer,
                         tfn__redis_slot_of(text(keys[i])));
        tfn_redis_batch_destroy(batch);
    }
    assert_int_equal(tfn__redis_slot_of(text("123456789")), 0x31c3 % N_SLOTS);
}

static void add_set(tfn_redis_batch *batch, int i)
{
    char words[64];
    tfn_error err = {0};
    (void)snprintf(words, sizeof(words), "SET all:%d %d", i, i);
    assert_ok(add_words(batch, words, &err), err);
}

static void add_get(tfn_redis_batch *batch, int i)
{
    char words[64];
    tfn_error err = {0};
    (void)snprintf(words, sizeof(words), "GET all:%d", i);
    assert_ok(add_words(batch, words, &err), err);
}

static tfn_code count_keys(void *context, const tfn_str *keys, size_t n_keys, tfn_error *err)
{
    (void)keys;
    (void)err;
    *(size_t *)context += n_keys;
    return TFN_OK;
}

static void a_batch_goes_to_all_nodes_and_comes_back_in_order(void **state)
{
    (void)state;
    enum { N = 3000 };
    tfn_redis *redis = connect_cluster();
    tfn_redis_batch *batch = NULL;
    tfn_error err = {0};
    assert_ok(tfn_redis_batch_create(redis, &batch, &err), err);
    for (int i = 0; i < N; i++) {
        add_set(batch, i);
    }
    assert_ok(tfn_redis_batch_run(batch, &err), err);
    tfn_redis_batch_clear(batch);
    for (int i = 0; i < N; i++) {
        add_get(batch, i);
    }
    assert_ok(tfn_redis_batch_run(batch, &err), err);
    for (int i = 0; i < N; i++) {
        char expected[16];
        (void)snprintf(expected, sizeof(expected), "%d", i);
        assert_string_equal(tfn_redis_batch_get_reply(batch, (size_t)i)->text.p, expected);
    }
    for (int i = 0; i < N_NODES; i++) { /* each has its share, and asked directly redirects */
        char answer[128];
        assert_ok(ask(cluster.direct[i], "DBSIZE", answer, &err), err);
        assert_true(strtol(answer, NULL, 10) > N / 5);
    }
    size_t n_keys = 0;
    assert_ok(tfn_redis_scan(redis, text("all:*"), count_keys, &n_keys, &err), err);
    assert_int_equal(n_keys, N);
    tfn_redis_batch_destroy(batch);
    tfn_redis_destroy(redis);
}

static void one_kind_is_not_taken_for_the_other(void **state)
{
    (void)state;
    tfn_error err = {0};
    char answer[128];
    assert_int_equal(ask(cluster.direct[0], "GET b", answer, &err),
                     TFN_OK); /* slot 3300: its own */
    assert_int_equal(ask(cluster.direct[0], "GET a", answer, &err), TFN_INVALID);
    assert_text(err.message, "is a node of a cluster; use redis_type: redis_cluster");

    test_server single = {0};
    server_start(&single);
    tfn_redis *redis = connect_to((tfn_redis_config){.kind = TFN_REDIS_CLUSTER}, single.port);
    err = (tfn_error){0};
    assert_int_equal(ask(redis, "GET a", answer, &err), TFN_INVALID);
    assert_text(err.message, "use redis_type: redis");
    tfn_redis_destroy(redis);
    server_end(&single);
}

/* A child reads and writes the slot's keys without a pause; exit 0: never an error, nothing old. */
static void load_slot(int fd_ready)
{
    enum { N = 40 };
    tfn_redis *redis = connect_cluster();
    tfn_redis_batch *batch = NULL;
    bool ok = tfn_redis_batch_create(redis, &batch, NULL) == TFN_OK;
    char stop = 0;
    tfn_error err = {0};
    for (int version = 1; ok && recv(fd_ready, &stop, 1, MSG_DONTWAIT) < 0; version++) {
        tfn_redis_batch_clear(batch);
        char words[64];
        for (int i = 0; ok && i < N; i++) {
            (void)snprintf(words, sizeof(words), "SET {moved}:%d %d", i, version);
            ok = add_words(batch, words, &err) == TFN_OK;
            (void)snprintf(words, sizeof(words), "GET {moved}:%d", i);
            ok = ok && add_words(batch, words, &err) == TFN_OK;
            (void)snprintf(words, sizeof(words), "SET all:%d %d", i, i); /* other nodes as well */
            ok = ok && add_words(batch, words, &err) == TFN_OK;
        }
        ok = ok && tfn_redis_batch_run(batch, &err) == TFN_OK;
        for (size_t i = 0; ok && i < 3 * N; i++) {
            ok = tfn_redis_batch_get_reply(batch, i)->type != TFN_REDIS_ERROR;
        }
        /* Read back in a batch of its own: within one, a command may be repeated after a later. */
        tfn_redis_batch_clear(batch);
        for (int i = 0; ok && i < N; i++) {
            (void)snprintf(words, sizeof(words), "GET {moved}:%d", i);
            ok = add_words(batch, words, &err) == TFN_OK;
        }
        ok = ok && tfn_redis_batch_run(batch, &err) == TFN_OK;
        for (size_t i = 0; ok && i < N; i++) {
            const tfn_redis_reply *r = tfn_redis_batch_get_reply(batch, i);
            ok = r->type == TFN_REDIS_STRING && strtol(r->text.p, NULL, 10) == version;
        }
        if (version == 3) {
            (void)send(fd_ready, "r", 1, MSG_NOSIGNAL);
        }
    }
    if (!ok) {
        (void)fprintf(stderr, "load: %s\n", err.message);
    }
    tfn_redis_batch_destroy(batch);
    tfn_redis_destroy(redis);
    _exit(ok ? 0 : 1);
}

/* How often the nodes refused with an error of this name. */
static long count_refusals(const char *name)
{
    const tfn_str args[] = {text("INFO"), text("errorstats")};
    long n = 0;
    for (int i = 0; i < N_NODES; i++) {
        tfn_redis_batch *batch = NULL;
        tfn_error err = {0};
        assert_ok(tfn_redis_batch_create(cluster.direct[i], &batch, &err), err);
        assert_ok(tfn_redis_batch_add(batch, text(""), args, 2, &err), err);
        assert_ok(tfn_redis_batch_run(batch, &err), err);
        char line[64];
        (void)snprintf(line, sizeof(line), "errorstat_%s:count=", name);
        const char *found = strstr(tfn_redis_batch_get_reply(batch, 0)->text.p, line);
        n += found == NULL ? 0 : strtol(found + strlen(line), NULL, 10);
        tfn_redis_batch_destroy(batch);
    }
    return n;
}

static void a_slot_is_moved_under_load_without_an_error(void **state)
{
    (void)state;
    const int slot = tfn__redis_slot_of(text("moved"));
    int home = slot / (N_SLOTS / N_NODES + 1);
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        load_slot(ends[1]);
    }
    const long n_asked = count_refusals("ASK");
    const long n_moved = count_refusals("MOVED");
    char ready = 0;
    assert_int_equal(recv(ends[0], &ready, 1, 0), 1);
    for (int n_moves = 0; n_moves < 6; n_moves++) {
        const int to = (home + 1) % N_NODES;
        begin_move(&cluster, slot, home, to);
        /* Keys that are made meanwhile go to the new home: at some time the old one has none. */
        while (move_keys(&cluster, slot, home, to) > 0) {
        }
        end_move(&cluster, slot, to);
        home = to;
    }
    assert_int_equal(send(ends[0], "s", 1, 0), 1);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_true(count_refusals("ASK") > n_asked); /* else nothing was tested */
    assert_true(count_refusals("MOVED") > n_moved);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void a_node_that_is_away_is_named_and_the_others_serve(void **state)
{
    (void)state;
    tfn_redis *redis = connect_cluster();
    tfn_redis_batch *batch = NULL;
    tfn_error err = {0};
    char answer[128];
    assert_ok(tfn_redis_batch_create(redis, &batch, &err), err);
    for (int i = 0; i < 100; i++) {
        add_get(batch, i);
    }
    assert_ok(tfn_redis_batch_run(batch, &err), err);
    server_stop(&cluster.nodes[2]);
    for (int i = 0; i < 6; i++) {
        err = (tfn_error){0};
        assert_int_equal(tfn_redis_batch_run(batch, &err), TFN_UNAVAILABLE);
        char address[64];
        (void)snprintf(address, sizeof(address), "Redis at 127.0.0.1:%d ", cluster.nodes[2].port);
        assert_text(err.message, address);
    }
    assert_text(err.message, "has been away for");
    assert_ok(ask(redis, "GET b", answer, &err), err); /* slot 3300: node 0 */
    server_start(&cluster.nodes[2]);
    tfn_code rc = TFN_UNAVAILABLE;
    for (int i = 0; i < MAX_WAITS && rc != TFN_OK; i++) {
        err = (tfn_error){0};
        rc = tfn_redis_batch_run(batch, &err);
        if (rc != TFN_OK) {
            wait_a_little();
        }
    }
    assert_string_equal(err.message, "");
    assert_int_equal(rc, TFN_OK);
    tfn_redis_batch_destroy(batch);
    tfn_redis_destroy(redis);
}

/* Two of three are silent, so whoever asks where the slots are may meet one, too. */
static void a_call_is_over_in_time_also_when_nodes_are_silent(void **state)
{
    (void)state;
    const double connect_s = 1;
    const double timeout_s = 1;
    tfn_redis *redis = connect_to((tfn_redis_config){.kind = TFN_REDIS_CLUSTER,
                                                     .connect_timeout_ms = (int)(1000 * connect_s),
                                                     .timeout_ms = (int)(1000 * timeout_s)},
                                  cluster.nodes[2].port);
    tfn_redis_batch *batch = NULL;
    tfn_error err = {0};
    char answer[128];
    assert_ok(tfn_redis_batch_create(redis, &batch, &err), err);
    for (int i = 0; i < 100; i++) {
        add_get(batch, i);
    }
    assert_ok(tfn_redis_batch_run(batch, &err), err);
    server_signal(&cluster.nodes[0], SIGSTOP);
    server_signal(&cluster.nodes[1], SIGSTOP);
    const double began_s = tfn_clock_monotonic_s();
    const tfn_code rc = tfn_redis_batch_run(batch, &err);
    const double took_s = tfn_clock_monotonic_s() - began_s;
    server_signal(&cluster.nodes[0], SIGCONT);
    server_signal(&cluster.nodes[1], SIGCONT);
    assert_int_equal(rc, TFN_UNAVAILABLE);
    assert_true(took_s < connect_s + timeout_s + 0.5);
    assert_null(strstr(err.message, "no time was left"));
    err = (tfn_error){0};
    assert_ok(ask(redis, "GET a", answer, &err), err); /* slot 15495: node 2 was there all along */
    tfn_redis_batch_destroy(batch);
    tfn_redis_destroy(redis);
}

static tfn_code run_gets(tfn_redis *redis, const char *const *keys, size_t n_keys, tfn_error *err)
{
    char words[64];
    tfn_redis_batch *batch = NULL;
    *err = (tfn_error){0};
    tfn_code rc = tfn_redis_batch_create(redis, &batch, err);
    for (size_t i = 0; i < n_keys && rc == TFN_OK; i++) {
        (void)snprintf(words, sizeof(words), "GET %s", keys[i]);
        rc = add_words(batch, words, err);
    }
    rc = rc == TFN_OK ? tfn_redis_batch_run(batch, err) : rc;
    tfn_redis_batch_destroy(batch);
    return rc;
}

/* Run GETs until the outcome is one in which a node is named (or all is well). */
static void run_until(tfn_redis *redis, const char *const *keys, size_t n_keys, const char *part)
{
    tfn_error err = {0};
    for (int i = 0; i < MAX_WAITS && strstr(err.message, part) == NULL; i++) {
        (void)run_gets(redis, keys, n_keys, &err);
    }
    assert_text(err.message, part);
}

/* The one call that may try a node never asks it, since another node of its batch is away. */
static void a_node_that_is_back_is_not_kept_waiting_by_one_that_is_not(void **state)
{
    (void)state;
    static const char *const both[] = {"b", "a"}; /* slots 3300 and 15495: nodes 0 and 2 */
    char first[64];
    char last[64];
    (void)snprintf(first, sizeof(first), "%d has been away", cluster.nodes[0].port);
    (void)snprintf(last, sizeof(last), "127.0.0.1:%d ", cluster.nodes[2].port);
    tfn_redis *redis = connect_cluster();
    tfn_error err = {0};
    assert_ok(run_gets(redis, both, 2, &err), err);
    server_stop(&cluster.nodes[0]);
    server_stop(&cluster.nodes[2]);
    run_until(redis, &both[0], 1, first);
    run_until(redis, &both[1], 1, "has been away");
    server_start(&cluster.nodes[0]);
    run_until(redis, both, 2, last); /* node 0 might be asked by then */
    assert_ok(run_gets(redis, &both[0], 1, &err), err);
    server_start(&cluster.nodes[2]);
    tfn_redis_destroy(redis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_are_those_of_redis),
        cmocka_unit_test(a_batch_goes_to_all_nodes_and_comes_back_in_order),
        cmocka_unit_test(one_kind_is_not_taken_for_the_other),
        cmocka_unit_test(a_slot_is_moved_under_load_without_an_error),
        cmocka_unit_test(a_node_that_is_away_is_named_and_the_others_serve),
        cmocka_unit_test(a_call_is_over_in_time_also_when_nodes_are_silent),
        cmocka_unit_test(a_node_that_is_back_is_not_kept_waiting_by_one_that_is_not),
    };
    return cmocka_run_group_tests_name("online redis cluster", tests, start_cluster, end_cluster);
}
