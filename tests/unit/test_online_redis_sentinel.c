/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* A master, a replica, a sentinel, all real; and a failover. */

#include "unit/redis_fixture.h"

static test_server master;
static test_server replica;
static test_server sentinel;
static char sentinel_file[128];
static char replica_of[64];

static void write_sentinel_file(void)
{
    sentinel.port = free_port();
    (void)snprintf(sentinel.folder, sizeof(sentinel.folder), "/tmp/tiffin-redis-XXXXXX");
    assert_non_null(mkdtemp(sentinel.folder));
    (void)snprintf(sentinel_file, sizeof(sentinel_file), "%s/sentinel.conf", sentinel.folder);
    FILE *file = fopen(sentinel_file, "w");
    assert_non_null(file);
    (void)fprintf(file,
                  "sentinel monitor first 127.0.0.1 %d 1\n"
                  "sentinel down-after-milliseconds first 500\n"
                  "sentinel failover-timeout first 3000\n",
                  master.port);
    assert_int_equal(fclose(file), 0);
}

static int start_all(void **state)
{
    (void)state;
    server_start(&master);
    (void)snprintf(replica_of, sizeof(replica_of), "127.0.0.1 %d", master.port);
    replica.args[0] = "--replicaof";
    replica.args[1] = "127.0.0.1";
    replica.args[2] = strchr(replica_of, ' ') + 1;
    replica.n_args = 3;
    server_start(&replica);
    write_sentinel_file();
    char port[16];
    (void)snprintf(port, sizeof(port), "%d", sentinel.port);
    const char *const argv[] = {"redis-server", sentinel_file, "--sentinel", "--port",
                                port,           "--bind",      "127.0.0.1",  NULL};
    sentinel.pid = spawn(argv);
    for (int i = 0; i < MAX_WAITS && !listens(sentinel.port); i++) {
        wait_a_little();
    }
    return 0;
}

static int end_all(void **state)
{
    (void)state;
    server_end(&sentinel);
    server_end(&replica);
    server_end(&master);
    return 0;
}

static tfn_redis *connect_behind(const char *name)
{
    return connect_to((tfn_redis_config){.kind = TFN_REDIS_SENTINEL, .sentinel_master = name},
                      sentinel.port);
}

static void the_sentinels_name_the_master(void **state)
{
    (void)state;
    tfn_redis *redis = connect_behind("first");
    assert_answer(redis, "SET a before", "OK");
    tfn_redis *direct = connect_to((tfn_redis_config){0}, master.port);
    assert_answer(direct, "GET a", "before");
    tfn_redis_destroy(direct);
    tfn_redis_destroy(redis);
}

static void mistakes_are_told(void **state)
{
    (void)state;
    char answer[128];
    tfn_error err = {0};
    tfn_redis *unknown = connect_behind("second");
    assert_int_equal(ask(unknown, "GET a", answer, &err), TFN_INVALID);
    assert_text(err.message, "the sentinels know no master named 'second'");
    tfn_redis_destroy(unknown);

    err = (tfn_error){0};
    tfn_redis *no_sentinel = connect_to(
        (tfn_redis_config){.kind = TFN_REDIS_SENTINEL, .sentinel_master = "first"}, master.port);
    assert_int_equal(ask(no_sentinel, "GET a", answer, &err), TFN_INVALID);
    assert_text(err.message, "is no sentinel");
    tfn_redis_destroy(no_sentinel);

    err = (tfn_error){0};
    tfn_redis *nobody = connect_to(
        (tfn_redis_config){.kind = TFN_REDIS_SENTINEL, .sentinel_master = "first"}, free_port());
    assert_int_equal(ask(nobody, "GET a", answer, &err), TFN_UNAVAILABLE);
    assert_text(err.message, "none of 1 sentinels answered; the last: the sentinel at 127.0.0.1:");
    tfn_redis_destroy(nobody);
}

static void wait_for(tfn_redis *redis, const char *words, const char *expected)
{
    char answer[128] = "";
    for (int i = 0; i < MAX_WAITS && strcmp(answer, expected) != 0; i++) {
        if (ask(redis, words, answer, NULL) != TFN_OK || strcmp(answer, expected) != 0) {
            wait_a_little();
        }
    }
    assert_string_equal(answer, expected);
}

/* The sentinel must have seen the replica, or there is nobody to promote. */
static void wait_for_replica(void)
{
    tfn_redis *direct = connect_to((tfn_redis_config){0}, sentinel.port);
    wait_for(direct, "SENTINEL REPLICAS first", "[1]");
    tfn_redis_destroy(direct);
    direct = connect_to((tfn_redis_config){0}, replica.port);
    wait_for(direct, "GET a", "before");
    tfn_redis_destroy(direct);
}

static void after_a_failover_the_new_master_is_asked(void **state)
{
    (void)state;
    tfn_redis *redis = connect_behind("first");
    assert_answer(redis, "GET a", "before");
    wait_for_replica();
    server_stop(&master);
    char answer[128];
    tfn_error err = {0};
    assert_int_equal(ask(redis, "SET a between", answer, &err), TFN_UNAVAILABLE);
    wait_for(redis, "SET a after", "OK");
    assert_answer(redis, "GET a", "after");
    tfn_redis *direct = connect_to((tfn_redis_config){0}, replica.port);
    assert_answer(direct, "GET a", "after");
    tfn_redis_destroy(direct);
    tfn_redis_destroy(redis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sentinels_name_the_master),
        cmocka_unit_test(mistakes_are_told),
        cmocka_unit_test(after_a_failover_the_new_master_is_asked),
    };
    return cmocka_run_group_tests_name("online redis sentinel", tests, start_all, end_all);
}
