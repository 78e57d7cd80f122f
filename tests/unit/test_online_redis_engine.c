/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* The engine of Redis against a real server, and what it does with hashes that others spoiled. */

#include "unit/redis_engine_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/poison.h"

enum { N_THREADS = 4, N_ROUNDS = 40, N_IDS = 20 };

static test_server server;
static tfn_online *online;
static tfn_redis *redis;

/* The hash of the row whose key is 1. */
static const char KEY[] = "\1\0\0\0\2\0\0\0\1\0\0\0k\4\0\0\0\10\0\0\0\1\0\0\0\0\0\0\0proj";
static const tfn_instant EVENT = {1700000000, 5};
static const tfn_instant CREATED = {1700000001, 6};

static int start(void **state)
{
    (void)state;
    tfn_error err = {0};
    server_start(&server);
    redis = connect_to((tfn_redis_config){0}, server.port);
    assert_ok(open_at(server.port, &online, &err), err);
    return 0;
}

static int end(void **state)
{
    (void)state;
    tfn_online_close(online);
    tfn_redis_destroy(redis);
    server_end(&server);
    return 0;
}

static void a_load_is_said_to_be_seen_in_parts(void **state)
{
    (void)state;
    tfn_online *lmdb = NULL;
    tfn_error err = {0};
    const tfn_online_opts opts = {.lmdb_path = "/nowhere"};
    assert_ok(tfn_online_open(&opts, &lmdb, &err), err);
    assert_false(tfn_online_loads_in_parts(lmdb));
    assert_true(tfn_online_loads_in_parts(online));
    tfn_online_close(lmdb);
}

static int clean(void **state)
{
    (void)state;
    assert_answer(redis, "FLUSHALL", "OK");
    return 0;
}

/* Run one command on the hash of key 1. */
static void spoil(const char *command, const char *field, const char *value)
{
    tfn_error err = {0};
    tfn_redis_batch *batch = NULL;
    const tfn_str key = {KEY, sizeof KEY - 1};
    const tfn_str args[] = {text(command), key, text(field), text(value)};
    assert_ok(tfn_redis_batch_create(redis, &batch, &err), err);
    const size_t n_args = 2u + (field[0] != '\0' ? 1u : 0u) + (value[0] != '\0' ? 1u : 0u);
    assert_ok(tfn_redis_batch_add(batch, key, args, n_args, &err), err);
    assert_ok(tfn_redis_batch_run(batch, &err), err);
    assert_int_not_equal(tfn_redis_batch_get_reply(batch, 0)->type, TFN_REDIS_ERROR);
    tfn_redis_batch_destroy(batch);
}

static void a_row_comes_back_with_both_times(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn_online_stats stats = {0};
    read_one got;
    assert_ok(write_ids(online, "v", 1, 1, EVENT, CREATED, &stats, &err), err);
    assert_int_equal(stats.n_written, 1);
    assert_ok(read_id(online, "v", 1, &got, &err), err);
    assert_true(got.is_found && got.has_a && got.a == 1);
    assert_int_equal(tfn_instant_compare(got.event, EVENT), 0);
    assert_int_equal(tfn_instant_compare(got.created, CREATED), 0);
    assert_ok(read_id(online, "v", 2, &got, &err), err);
    assert_false(got.is_found);
    assert_ok(read_id(online, "other", 1, &got, &err), err);
    assert_false(got.is_found);
}

static void a_field_that_is_missing_is_one_that_the_row_lacks(void **state)
{
    (void)state;
    tfn_error err = {0};
    read_one got;
    assert_ok(write_ids(online, "v", 1, 2, EVENT, CREATED, NULL, &err), err);
    spoil("HDEL", "\xce\x23\x0f\x9a", ""); /* no such field */
    assert_ok(read_id(online, "v", 1, &got, &err), err);
    assert_true(got.has_a);
    spoil("DEL", "", "");
    spoil("HSET", "_ts:v", "\x08\x01");
    assert_ok(read_id(online, "v", 1, &got, &err), err);
    assert_true(got.is_found && !got.has_a);
    assert_int_equal(tfn_instant_compare(got.created, TFN_INSTANT_NONE), 0);
}

static void an_event_time_that_is_none_is_corrupt(void **state)
{
    (void)state;
    tfn_error err = {0};
    read_one got;
    spoil("HSET", "_ts:v", "\xff");
    assert_int_equal(read_id(online, "v", 1, &got, &err), TFN_CORRUPT);
    assert_text(err.message, "event time of 'v' in Redis");
    err = (tfn_error){0};
    assert_int_equal(write_ids(online, "v", 1, 1, EVENT, CREATED, NULL, &err), TFN_IO);
    assert_text(err.message, "Redis refused a row of 'v': ERR _ts:v holds no event time");
}

static void a_key_of_another_kind_is_one_sentence(void **state)
{
    (void)state;
    tfn_error err = {0};
    read_one got;
    spoil("SET", "x", "");
    assert_int_equal(read_id(online, "v", 1, &got, &err), TFN_IO);
    assert_text(err.message, "Redis refused to read feature view 'v': WRONGTYPE");
    err = (tfn_error){0};
    assert_int_equal(write_ids(online, "v", 1, 1, EVENT, CREATED, NULL, &err), TFN_IO);
    assert_text(err.message, "WRONGTYPE");
}

static void a_script_that_was_forgotten_is_sent_again(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn_online_stats stats = {0};
    for (int i = 0; i < 2; i++) {
        const tfn_instant event = {EVENT.seconds + i, 0};
        assert_answer(redis, "SCRIPT FLUSH", "OK");
        assert_ok(write_ids(online, "v", 1, 1500, event, CREATED, &stats, &err), err);
        assert_int_equal(stats.n_written, 1500);
    }
    assert_ok(write_ids(online, "v", 1, 1500, EVENT, CREATED, &stats, &err), err);
    assert_int_equal(stats.n_older, 1500);
}

static void times_that_feast_does_not_have_are_refused_before_anything_is_sent(void **state)
{
    (void)state;
    tfn_error err = {0};
    const tfn_instant far = {253402300800, 0};
    assert_int_equal(write_ids(online, "v", 1, 1, far, CREATED, NULL, &err), TFN_UNSUPPORTED);
    assert_text(err.message, "years 1 to 9999");
    assert_int_equal(write_ids(online, "v", 1, 1, EVENT, far, NULL, &err), TFN_UNSUPPORTED);
    assert_answer(redis, "DBSIZE", "0");
}

static void one_write_may_delete_and_go_on_with_another_view(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn_online_stats stats = {0};
    tfn_online_write *write = NULL;
    tfn_buf key = {0};
    read_one got;
    const tfn_online_view v = view_named("v");
    const tfn_online_view w = view_named("w");
    const tfn_cell cells[] = {{.bits = 7}, {.bytes = text("y")}};
    assert_ok(write_ids(online, "v", 1, 1, EVENT, CREATED, NULL, &err), err);
    assert_ok(encode_id(1, &key, &err), err);
    assert_ok(
        tfn_online_begin_write(online, &v, both_fields(), 2, TFN_ONLINE_PUSH, 0, &write, &err),
        err);
    assert_ok(tfn_online_delete(write, tfn_buf_get_str(&key), &err), err);
    assert_ok(tfn_online_delete(write, tfn_buf_get_str(&key), &err), err);
    assert_ok(tfn_online_next_view(write, &w, both_fields(), 2, 1, &err), err);
    assert_ok(tfn_online_put(write, tfn_buf_get_str(&key), cells, EVENT, CREATED, &err), err);
    assert_ok(read_id(online, "v", 1, &got, &err), err);
    assert_true(got.is_found); /* nothing is sent before the commit */
    assert_ok(tfn_online_commit(write, &stats, &err), err);
    assert_true(stats.n_deleted == 1 && stats.n_absent == 1 && stats.n_written == 1);
    assert_ok(read_id(online, "v", 1, &got, &err), err);
    assert_false(got.is_found);
    assert_ok(read_id(online, "w", 1, &got, &err), err);
    assert_true(got.is_found && got.a == 7);
    assert_ok(
        tfn_online_begin_write(online, &w, both_fields(), 2, TFN_ONLINE_PUSH, 0, &write, &err),
        err);
    assert_ok(tfn_online_delete(write, tfn_buf_get_str(&key), &err), err);
    assert_ok(tfn_online_commit(write, &stats, &err), err);
    assert_answer(redis, "DBSIZE", "0"); /* a hash without fields is no more */
    tfn_buf_deinit(&key);
}

static void dropping_a_project_leaves_others(void **state)
{
    (void)state;
    tfn_error err = {0};
    uint64_t n_rows = 0;
    assert_ok(write_ids(online, "v", 1, 30, EVENT, CREATED, NULL, &err), err);
    assert_ok(write_ids(online, "w", 1, 10, EVENT, CREATED, NULL, &err), err);
    assert_answer(redis, "SET a:proj x", "OK");
    assert_ok(tfn_online_drop_project(online, text("oj"), &n_rows, &err), err);
    assert_int_equal(n_rows, 0);
    assert_ok(tfn_online_drop_project(online, text("proj"), &n_rows, &err), err);
    assert_int_equal(n_rows, 40);
    assert_answer(redis, "DBSIZE", "1");
}

static void *work(void *context)
{
    atomic_int *n_failures = context;
    for (int i = 0; i < N_ROUNDS; i++) {
        tfn_error err = {0};
        read_one got;
        const tfn_instant event = {EVENT.seconds + i, 0};
        const bool failed =
            write_ids(online, "v", 1, N_IDS, event, CREATED, NULL, &err) != TFN_OK ||
            read_id(online, "v", 1 + i % N_IDS, &got, &err) != TFN_OK || !got.is_found ||
            got.event.seconds < event.seconds;
        atomic_fetch_add(n_failures, failed ? 1 : 0);
    }
    return NULL;
}

static void threads_share_a_store(void **state)
{
    (void)state;
    pthread_t threads[N_THREADS];
    atomic_int n_failures = 0;
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, work, &n_failures), 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&n_failures), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_row_comes_back_with_both_times, clean),
        cmocka_unit_test_setup(a_field_that_is_missing_is_one_that_the_row_lacks, clean),
        cmocka_unit_test_setup(an_event_time_that_is_none_is_corrupt, clean),
        cmocka_unit_test_setup(a_key_of_another_kind_is_one_sentence, clean),
        cmocka_unit_test_setup(a_script_that_was_forgotten_is_sent_again, clean),
        cmocka_unit_test_setup(times_that_feast_does_not_have_are_refused_before_anything_is_sent,
                               clean),
        cmocka_unit_test_setup(one_write_may_delete_and_go_on_with_another_view, clean),
        cmocka_unit_test_setup(dropping_a_project_leaves_others, clean),
        cmocka_unit_test_setup(threads_share_a_store, clean),
        cmocka_unit_test(a_load_is_said_to_be_seen_in_parts),
    };
    return cmocka_run_group_tests(tests, start, end);
}
