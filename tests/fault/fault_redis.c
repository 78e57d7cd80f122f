/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The client of Redis when memory is refused: every allocation in turn, libvalkey's own included.
 * The call says so, nothing leaks, and the same client answers the next time: a refusal is no
 * absence of the server.
 */

#include "unit/redis_fixture.h"

#include <valkey/alloc.h>

#include "base/mem.h"

enum { N_COMMANDS = 30, MAX_ALLOCATIONS = 10 * 1000 };

/* ---- libvalkey's memory, refused as ours is ---- */

static void *refusable_malloc(size_t n_bytes)
{
    void *p = NULL;
    return tfn_mem_alloc_uninit(n_bytes, 1, &p, NULL) == TFN_OK ? p : NULL;
}

static void *refusable_calloc(size_t n, size_t size)
{
    void *p = NULL;
    return tfn_mem_alloc_array(n, size, &p, NULL) == TFN_OK ? p : NULL;
}

static void *refusable_realloc(void *p, size_t n_bytes)
{
    return tfn_mem_realloc_array(&p, n_bytes, 1, NULL) == TFN_OK ? p : NULL;
}

static char *refusable_strdup(const char *s)
{
    char *p = NULL;
    return tfn_mem_copy_text(s, &p, NULL) == TFN_OK ? p : NULL;
}

static test_server single;
static test_server cluster; /* of one node */

static int start_all(void **state)
{
    (void)state;
    server_start(&single);
    cluster = (test_server){.args = {"--cluster-enabled", "yes"}, .n_args = 2};
    server_start(&cluster);
    tfn_redis *redis = connect_to((tfn_redis_config){0}, cluster.port);
    assert_answer(redis, "CLUSTER ADDSLOTSRANGE 0 16383", "OK");
    tfn_redis_destroy(redis);
    valkeyAllocFuncs functions = {.mallocFn = refusable_malloc,
                                  .callocFn = refusable_calloc,
                                  .reallocFn = refusable_realloc,
                                  .strdupFn = refusable_strdup,
                                  .freeFn = tfn_mem_free};
    (void)valkeySetAllocators(&functions);
    return 0;
}

static int end_all(void **state)
{
    (void)state;
    valkeyResetAllocators();
    server_end(&single);
    server_end(&cluster);
    return 0;
}

static tfn_code take_keys(void *context, const tfn_str *keys, size_t n_keys, tfn_error *err)
{
    (void)keys;
    (void)err;
    *(size_t *)context += n_keys;
    return TFN_OK;
}

static tfn_code fill(tfn_redis_batch *batch, tfn_error *err)
{
    tfn_redis_batch_clear(batch);
    for (int i = 0; i < N_COMMANDS; i++) {
        char words[64];
        (void)snprintf(words, sizeof(words), "HSET key:%d f %d", i, i);
        TFN_RETURN_IF_ERROR(add_words(batch, words, err));
        (void)snprintf(words, sizeof(words), "HMGET key:%d f none", i);
        TFN_RETURN_IF_ERROR(add_words(batch, words, err));
    }
    return TFN_OK;
}

static void check_replies(const tfn_redis_batch *batch)
{
    for (size_t i = 0; i < N_COMMANDS; i++) {
        const tfn_redis_reply *r = tfn_redis_batch_get_reply(batch, 2 * i + 1);
        assert_int_equal(r->n_elements, 2);
        assert_int_equal(strtol(r->elements[0].text.p, NULL, 10), (long)i);
    }
}

/* All that a client does, from its first connection to its end. */
static tfn_code use(const tfn_redis_config *config, tfn_error *err)
{
    tfn_redis *redis = NULL;
    tfn_redis_batch *batch = NULL;
    size_t n_keys = 0;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn_redis_create(config, &redis, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_redis_batch_create(redis, &batch, err), done);
    TFN_GOTO_IF_ERROR(rc, fill(batch, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_redis_batch_run(batch, err), done);
    check_replies(batch);
    TFN_GOTO_IF_ERROR(rc, tfn_redis_scan(redis, text("key:*"), take_keys, &n_keys, err), done);
    assert_int_equal(n_keys, N_COMMANDS);
done:
    tfn_redis_batch_destroy(batch);
    tfn_redis_destroy(redis);
    return rc;
}

static void refuse_each(tfn_redis_kind kind, int port)
{
    const tfn_redis_address address = {"127.0.0.1", port};
    const tfn_redis_config config = {
        .kind = kind, .addresses = &address, .n_addresses = 1, .timeout_ms = 20 * 1000};
    tfn_error err = {0};
    assert_ok(use(&config, &err), err);
    int64_t k = 1;
    for (bool was_refused = true; was_refused && k < MAX_ALLOCATIONS; k++) {
        err = (tfn_error){0};
        tfn_mem_fault_arm(k);
        const tfn_code rc = use(&config, &err);
        was_refused = tfn_mem_fault_count() >= k;
        tfn_mem_fault_arm(0);
        if (rc != TFN_OK && rc != TFN_NO_MEMORY) {
            fail_msg("allocation %lld refused: %s", (long long)k, err.message);
        }
    }
    assert_true(k < MAX_ALLOCATIONS);
    assert_true(k > 20);
}

static void each_allocation_is_refused_to_a_client_of_one_server(void **state)
{
    (void)state;
    refuse_each(TFN_REDIS_SINGLE, single.port);
}

static void each_allocation_is_refused_to_a_client_of_a_cluster(void **state)
{
    (void)state;
    refuse_each(TFN_REDIS_CLUSTER, cluster.port);
}

static void a_refusal_is_no_absence(void **state)
{
    (void)state;
    tfn_redis *redis = connect_to((tfn_redis_config){.timeout_ms = 20 * 1000}, single.port);
    tfn_redis_batch *batch = NULL;
    tfn_error err = {0};
    assert_ok(tfn_redis_batch_create(redis, &batch, &err), err);
    assert_ok(fill(batch, &err), err);
    assert_ok(tfn_redis_batch_run(batch, &err), err);
    for (int64_t k = 1; k < 10; k++) {
        tfn_mem_fault_arm(k);
        const tfn_code rc = tfn_redis_batch_run(batch, &err);
        tfn_mem_fault_arm(0);
        assert_true(rc == TFN_OK || rc == TFN_NO_MEMORY);
        assert_ok(tfn_redis_batch_run(batch, &err), err);
        check_replies(batch);
    }
    tfn_redis_batch_destroy(batch);
    tfn_redis_destroy(redis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_is_refused_to_a_client_of_one_server),
        cmocka_unit_test(each_allocation_is_refused_to_a_client_of_a_cluster),
        cmocka_unit_test(a_refusal_is_no_absence),
    };
    return cmocka_run_group_tests_name("fault redis", tests, start_all, end_all);
}
