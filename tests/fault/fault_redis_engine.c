/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * An online store in Redis when memory is short: the k-th allocation of opening, writing and reading
 * refused, for every k. Each call ends well or with TFN_NO_MEMORY, nothing leaks (ASan), and the
 * same handle goes on.
 */

#include "unit/redis_engine_fixture.h"

#include "base/mem.h"

#include "base/poison.h"

static test_server server;

static int start(void **state)
{
    (void)state;
    server_start(&server);
    return 0;
}

static int end(void **state)
{
    (void)state;
    server_end(&server);
    return 0;
}

static tfn_code run(int64_t second, tfn_error *err)
{
    tfn_online *online = NULL;
    read_one got = {0};
    const tfn_instant time = {second, 0};
    tfn_code rc = open_at(server.port, &online, err);
    if (rc == TFN_OK) {
        rc = write_ids(online, "v", 1, 3, time, time, NULL, err);
    }
    if (rc == TFN_OK) {
        rc = read_id(online, "v", 2, &got, err);
    }
    if (rc == TFN_OK) {
        rc = tfn_online_drop_project(online, text("another"), NULL, err);
    }
    if (rc == TFN_OK) {
        assert_true(got.is_found && got.event.seconds == second);
    } else {
        tfn_error again = {0};
        tfn_mem_fault_arm(0);
        if (online != NULL) { /* the same handle goes on */
            assert_ok(write_ids(online, "v", 1, 3, time, time, NULL, &again), again);
            assert_ok(read_id(online, "v", 2, &got, &again), again);
            assert_true(got.is_found && got.event.seconds == second);
        }
    }
    tfn_online_close(online);
    return rc;
}

static void every_allocation_may_be_refused(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn_mem_fault_arm(0);
    assert_ok(run(1, &err), err);
    const int64_t n = tfn_mem_fault_count();
    assert_true(n > 20);
    for (int64_t k = 1; k <= n; k++) {
        err = (tfn_error){0};
        tfn_mem_fault_arm(k);
        const tfn_code rc = run(1 + k, &err);
        tfn_mem_fault_arm(0);
        if (rc != TFN_OK && (rc != TFN_NO_MEMORY || err.code != TFN_NO_MEMORY)) {
            fail_msg("allocation %lld refused: %s", (long long)k, err.message);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_be_refused),
    };
    return cmocka_run_group_tests(tests, start, end);
}
