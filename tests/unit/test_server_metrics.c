/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Counting, and the text of a scrape. */

#include "unit/store_fixture.h"

#include <pthread.h>

#include "base/json.h"

#include "server/metrics.c"

typedef struct metrics_fixture {
    store_fixture store;
    tfn_shared shared;
    tfn_metrics *metrics;
    tfn_buf text;
} metrics_fixture;

static int setup(void **state)
{
    static metrics_fixture fixture;
    metrics_fixture *f = &fixture;
    *f = (metrics_fixture){0};
    store_setup(&f->store);
    store_open(&f->store, TFN_ONLINE_TTL_IGNORE);
    assert_ok(tfn_metrics_create(3, &f->metrics, err));
    f->shared.store = f->store.store;
    f->shared.metrics = f->metrics;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    metrics_fixture *f = *state;
    tfn_buf_deinit(&f->text);
    tfn_metrics_destroy(f->metrics);
    store_teardown(&f->store);
    return 0;
}

static void scrape(metrics_fixture *f)
{
    tfn_buf_clear(&f->text);
    assert_ok(tfn_metrics_write(f->metrics, &f->shared, &f->text, err));
}

static void assert_has(const metrics_fixture *f, const char *line)
{
    if (strstr(f->text.p, line) == NULL) {
        fail_msg("there is no '%s' in:\n%s", line, f->text.p);
    }
}

static void assert_has_not(const metrics_fixture *f, const char *line)
{
    if (strstr(f->text.p, line) != NULL) {
        fail_msg("there is '%s' in:\n%s", line, f->text.p);
    }
}

static int32_t find_route(const char *path)
{
    size_t n = 0;
    const tfn_route *routes = tfn_routes_get(&n);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(routes[i].path, path) == 0) {
            return (int32_t)i;
        }
    }
    fail_msg("there is no route '%s'", path);
    return -1;
}

static void requests_of_all_blocks_are_added_up_by_path_and_status(void **state)
{
    metrics_fixture *f = *state;
    const int32_t route = find_route("/metrics");
    tfn_counters_add_request(tfn_metrics_get_counters(f->metrics, 0), route, 200, 50000, 1);
    tfn_counters_add_request(tfn_metrics_get_counters(f->metrics, 1), route, 200, 50001, 100);
    tfn_counters_add_request(tfn_metrics_get_counters(f->metrics, 2), route, 422, -5, 0);
    tfn_counters_add_request(tfn_metrics_get_counters(f->metrics, 2), -1, 404, 1, 0);
    tfn_counters_add_request(tfn_metrics_get_counters(f->metrics, 2), 9999, 299, INT64_MAX / 2, 0);
    scrape(f);
    assert_has(f, "\ntiffin_requests_total{path=\"/metrics\",status=\"200\"} 2\n");
    assert_has(f, "\ntiffin_requests_total{path=\"/metrics\",status=\"422\"} 1\n");
    assert_has(f, "\ntiffin_requests_total{path=\"other\",status=\"404\"} 1\n");
    assert_has(f, "\ntiffin_requests_total{path=\"other\",status=\"other\"} 1\n");
    assert_has(f, "\ntiffin_rows_total{path=\"/metrics\"} 101\n");
    assert_has(f, "\ntiffin_request_seconds_bucket{path=\"/metrics\",le=\"5e-05\"} 2\n");
    assert_has(f, "\ntiffin_request_seconds_bucket{path=\"/metrics\",le=\"0.0001\"} 3\n");
    assert_has(f, "\ntiffin_request_seconds_bucket{path=\"/metrics\",le=\"+Inf\"} 3\n");
    assert_has(f, "\ntiffin_request_seconds_count{path=\"/metrics\"} 3\n");
    assert_has(f, "\ntiffin_request_seconds_sum{path=\"/metrics\"} 0.000100001\n");
    assert_has(f, "\ntiffin_request_seconds_bucket{path=\"other\",le=\"10\"} 1\n");
    assert_has(f, "\ntiffin_request_seconds_bucket{path=\"other\",le=\"+Inf\"} 2\n");
}

static void every_status_of_http_finds_its_counter(void **state)
{
    (void)state;
    for (size_t i = 1; i < TFN__METRICS_N_HTTP; i++) {
        assert_true(tfn__metrics_http[i] > tfn__metrics_http[i - 1]);
        assert_int_equal(find_http(tfn__metrics_http[i]), i);
    }
    assert_int_equal(find_http(-1), 0);
    assert_int_equal(find_http(299), 0);
    assert_int_equal(find_http(599), 0);
}

static void values_are_counted_by_view_and_status(void **state)
{
    metrics_fixture *f = *state;
    tfn_counters *a = tfn_metrics_get_counters(f->metrics, 0);
    tfn_counters *b = tfn_metrics_get_counters(f->metrics, 1);
    tfn_counters_add_values(a, tfn_str_of("plane_facts"), TFN_STATUS_PRESENT, 10, 1000000);
    tfn_counters_add_values(b, tfn_str_of("plane_facts"), TFN_STATUS_PRESENT, 5, INT64_MIN);
    tfn_counters_add_values(b, tfn_str_of("plane_facts"), TFN_STATUS_NOT_FOUND, 2, INT64_MIN);
    tfn_counters_add_values(b, tfn_str_of("a\"b\\c\nd"), TFN_STATUS_NULL_VALUE, 1, INT64_MIN);
    tfn_counters_add_values(b, tfn_str_of("odd"), 77, 3, INT64_MIN);
    tfn_counters_add_written(a, tfn_str_of("plane_facts"), 7, INT64_MIN);
    scrape(f);
    assert_has(f, "\ntiffin_values_total{view=\"plane_facts\",status=\"PRESENT\"} 15\n");
    assert_has(f, "\ntiffin_values_total{view=\"plane_facts\",status=\"NOT_FOUND\"} 2\n");
    assert_has(f, "\ntiffin_values_total{view=\"a\\\"b\\\\c\\nd\",status=\"NULL_VALUE\"} 1\n");
    assert_has(f, "\ntiffin_values_total{view=\"odd\",status=\"INVALID\"} 3\n");
    assert_has(f, "\ntiffin_rows_written_total{view=\"plane_facts\"} 7\n");
    assert_has(f, "\ntiffin_newest_event_age_seconds{view=\"plane_facts\"} ");
    assert_has_not(f, "tiffin_newest_event_age_seconds{view=\"odd\"}");
}

static void views_beyond_the_table_are_one(void **state)
{
    metrics_fixture *f = *state;
    tfn_counters *counters = tfn_metrics_get_counters(f->metrics, 0);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < TFN__METRICS_N_VIEWS + 10; i++) {
            char name[16];
            (void)snprintf(name, sizeof name, "v%d", i);
            tfn_counters_add_values(counters, tfn_str_of(name), TFN_STATUS_PRESENT, 1, 1);
        }
    }
    scrape(f);
    assert_has(f, "\ntiffin_values_total{view=\"v255\",status=\"PRESENT\"} 2\n");
    assert_has_not(f, "view=\"v256\"");
    assert_has(f, "\ntiffin_values_total{view=\"other\",status=\"PRESENT\"} 20\n");
}

static void the_server_is_told_about_refusals_connections_and_errors(void **state)
{
    metrics_fixture *f = *state;
    tfn_metrics_refused(f->metrics, TFN_REFUSED_KEY);
    tfn_metrics_refused(f->metrics, TFN_REFUSED_KEY);
    tfn_metrics_connection(f->metrics, 1);
    tfn_metrics_connection(f->metrics, 1);
    tfn_metrics_connection(f->metrics, -1);
    tfn_counters_add_store_error(tfn_metrics_get_counters(f->metrics, 1), TFN_CONFLICT);
    scrape(f);
    assert_has(f, "\ntiffin_refused_total{why=\"key\"} 2\n");
    assert_has(f, "\ntiffin_refused_total{why=\"connections\"} 0\n");
    assert_has(f, "\ntiffin_connections 1\n");
    assert_has(f, "\ntiffin_store_errors_total{code=\"CONFLICT\"} 1\n");
    assert_has(f, "\ntiffin_registry_readable 1\n");
    assert_has(f, "\ntiffin_registry_commit 1\n");
    assert_has(f, "\ntiffin_feature_log_dropped_total 0\n");
    assert_has(f, "\ntiffin_build_info{version=\"");
}

static void a_registry_that_cannot_be_read_is_a_fact_and_no_failure(void **state)
{
    metrics_fixture *f = *state;
    const tfn_store_opts opts = {
        .struct_size = sizeof opts, .project = "fleet", .registry_path = "/nowhere/registry.db"};
    tfn_store *store = NULL;
    assert_ok(tfn_store_open(&opts, &store, err));
    f->shared.store = store;
    scrape(f);
    assert_has(f, "\ntiffin_registry_readable 0\n");
    assert_has_not(f, "tiffin_registry_commit");
    tfn_store_close(store);
}

static void the_handler_answers_text_and_leaves_blocking_stores_to_a_job(void **state)
{
    metrics_fixture *f = *state;
    tfn_context context = {.shared = &f->shared};
    const tfn_request request = {.method = tfn_str_of("GET"), .path = tfn_str_of("/metrics")};
    tfn_reply reply = {0};
    f->shared.lookups_block = true;
    assert_int_equal(tfn_handle_metrics(&context, &request, &reply), TFN_ROUTE_LATER);
    context.may_block = true;
    assert_int_equal(tfn_handle_metrics(&context, &request, &reply), TFN_ROUTE_DONE);
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.content_type, "text/plain; version=0.0.4; charset=utf-8");
    assert_non_null(strstr(reply.body.p, "# TYPE tiffin_requests_total counter\n"));
    tfn_buf_deinit(&reply.body);
}

enum { N_ROUNDS = 20000 };

static void *count_much(void *arg)
{
    for (int i = 0; i < N_ROUNDS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "v%d", i % 300);
        tfn_counters_add_request(arg, 0, 200, i, 1);
        tfn_counters_add_values(arg, tfn_str_of(name), TFN_STATUS_PRESENT, 1, i);
    }
    return NULL;
}

static void scrapes_run_beside_counting(void **state)
{
    metrics_fixture *f = *state;
    pthread_t threads[3];
    char line[96];
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(
            pthread_create(&threads[i], NULL, count_much, tfn_metrics_get_counters(f->metrics, i)),
            0);
    }
    for (int i = 0; i < 20; i++) {
        scrape(f);
    }
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    scrape(f);
    (void)snprintf(line, sizeof line, "\ntiffin_rows_total{path=\"%s\"} %d\n",
                   tfn_routes_get(&(size_t){0})[0].path, 3 * N_ROUNDS);
    assert_has(f, line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define METRICS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        METRICS_TEST(requests_of_all_blocks_are_added_up_by_path_and_status),
        METRICS_TEST(every_status_of_http_finds_its_counter),
        METRICS_TEST(values_are_counted_by_view_and_status),
        METRICS_TEST(views_beyond_the_table_are_one),
        METRICS_TEST(the_server_is_told_about_refusals_connections_and_errors),
        METRICS_TEST(a_registry_that_cannot_be_read_is_a_fact_and_no_failure),
        METRICS_TEST(the_handler_answers_text_and_leaves_blocking_stores_to_a_job),
        METRICS_TEST(scrapes_run_beside_counting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
