/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Metrics and both logs with every allocation refused in turn: a clean error, or all is kept or
 * counted as dropped; no leak (ASan).
 */

#include "unit/store_fixture.h"

#include <sched.h>

#include "base/mem.h"
#include "server/access_log.h"
#include "server/feature_log.h"
#include "server/metrics.h"

enum { N_NOTES = 3, N_ENOUGH = 400 };

static store_fixture fixture;
static char log_folder[96];
static tfn_answer *answer;

static int setup(void **state)
{
    static const char features[] = "{\"service\":\"model\"}";
    const tfn_value keys[] = {text_value("N14228"), text_value("nobody")};
    (void)state;
    store_setup(&fixture);
    store_open(&fixture, TFN_ONLINE_TTL_IGNORE);
    store_load_planes(&fixture);
    (void)snprintf(log_folder, sizeof log_folder, "%s/logs", fixture.folder);
    tfn_lookup *lookup = NULL;
    assert_ok(tfn_store_prepare(fixture.store, features, &lookup, err));
    assert_ok(tfn_lookup_run(lookup, keys, 2, NULL, &answer, err));
    tfn_lookup_destroy(lookup);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tfn_answer_destroy(answer);
    store_teardown(&fixture);
    return 0;
}

static void a_feature_log_keeps_or_counts(void **state)
{
    (void)state;
    const tfn_log_wish wish = {.sample_rate = 1, .service = "model", .hash = "0123"};
    for (int64_t k = 1; k <= N_ENOUGH; k++) {
        tfn_feature_log *log = NULL;
        tfn_error err = {0};
        tfn_mem_fault_arm(k);
        if (tfn_feature_log_create(log_folder, 1 << 20, &log, &err) != TFN_OK) {
            assert_int_equal(err.code, TFN_NO_MEMORY);
            assert_null(log);
            continue;
        }
        for (int64_t i = 0; i < N_NOTES; i++) {
            tfn_feature_log_note(log, &wish, answer, 0, i);
        }
        uint64_t n = 0;
        while (n < N_NOTES) { /* the allocations of its thread are refused as well */
            (void)sched_yield();
            n = tfn_feature_log_get_written(log) + tfn_feature_log_get_dropped(log);
        }
        tfn_mem_fault_arm(0);
        assert_int_equal(n, N_NOTES);
        tfn_feature_log_destroy(log);
        k += k < 30 ? 0 : 36; /* each round waits for a write of the log */
    }
}

static void an_access_log_keeps_or_counts(void **state)
{
    (void)state;
    const tfn_access access = {.path = tfn_str_of("/\xff"), .method = tfn_str_of("GET")};
    char path[128];
    (void)snprintf(path, sizeof path, "%s/access.log", fixture.folder);
    for (int64_t k = 1; k <= 20; k++) {
        tfn_access_log *log = NULL;
        tfn_error err = {0};
        tfn_mem_fault_arm(k);
        if (tfn_access_log_create(path, 1, &log, &err) == TFN_OK) {
            tfn_access_log_note(log, &access);
            tfn_mem_fault_arm(0);
            assert_true(tfn_access_log_get_dropped(log) <= 1);
        } else {
            assert_int_equal(err.code, TFN_NO_MEMORY);
        }
        tfn_mem_fault_arm(0);
        tfn_access_log_destroy(log);
    }
}

static void a_scrape_is_whole_or_an_error(void **state)
{
    (void)state;
    bool is_done = false;
    for (int64_t k = 1; !is_done; k++) {
        tfn_metrics *metrics = NULL;
        tfn_buf text = {0};
        tfn_error err = {0};
        tfn_mem_fault_arm(k);
        tfn_code rc = tfn_metrics_create(2, &metrics, &err);
        if (rc == TFN_OK) {
            const tfn_shared shared = {.store = fixture.store, .metrics = metrics};
            tfn_counters *counters = tfn_metrics_get_counters(metrics, 0);
            tfn_counters_add_values(counters, tfn_str_of("a"), TFN_STATUS_PRESENT, 1, 1);
            rc = tfn_metrics_write(metrics, &shared, &text, &err);
        }
        tfn_mem_fault_arm(0);
        assert_true(rc == TFN_OK || rc == TFN_NO_MEMORY);
        is_done = rc == TFN_OK && strstr(text.p, "tiffin_registry_readable 1\n") != NULL &&
                  strstr(text.p, "view=\"a\"") != NULL && k > 50;
        tfn_buf_deinit(&text);
        tfn_metrics_destroy(metrics);
        assert_true(k < 20000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_feature_log_keeps_or_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(an_access_log_keeps_or_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(a_scrape_is_whole_or_an_error, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
