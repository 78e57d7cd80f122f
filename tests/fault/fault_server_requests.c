/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Each handler of the server with every allocation refused in turn: the reply that it gives with
 * memory, or 503 and either a body of JSON or none; no leak (ASan), and the next request is answered.
 */

#include "unit/server_read_fixture.h"

#include <yyjson.h>

#include "base/mem.h"
#include "server/child.h"

/* A request with the reply that it has while nothing is refused. */
typedef struct expectation {
    tfn_handler *handler;
    tfn_request request;
    int32_t status;
    const char *words; /* of the body */
} expectation;

static read_fixture fixture;

/* Materializations need DuckDB; what is asked of the child is made here all the same. */
tfn_code tfn_children_materialize(tfn_children *children, const tfn_server_config *config,
                                  const char *request, const tfn_str *views, size_t n_views,
                                  bool wait, bool force, char **answer, tfn_error *err)
{
    (void)children;
    (void)config;
    (void)views;
    (void)n_views;
    (void)wait;
    (void)force;
    return tfn_mem_copy_text(request, answer, err);
}

static int setup(void **state)
{
    (void)state;
    read_setup(&fixture);
    store_define(&fixture.store,
                 "{\"objects\":["
                 "{\"kind\":\"data_source\",\"name\":\"planes_push\",\"type\":\"push\","
                 "\"batch_source\":\"planes\"},"
                 "{\"kind\":\"feature_view\",\"name\":\"aged\",\"entities\":[\"plane\"],"
                 "\"join_keys\":[\"tailnum\"],\"source\":\"planes_push\",\"schema\":["
                 "{\"name\":\"age\",\"dtype\":\"int64\"},{\"name\":\"raw\",\"dtype\":\"bytes\"}]},"
                 "{\"kind\":\"feature_view\",\"name\":\"made\",\"entities\":[\"plane\"],"
                 "\"join_keys\":[\"tailnum\"],\"source\":\"planes_push\",\"schema\":["
                 "{\"name\":\"maker\",\"dtype\":\"string\"}]}]}");
    fixture.context.may_block = true;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    read_teardown(&fixture);
    return 0;
}

/* As a server that has just started, so that nothing was allocated by a request before. */
static void start_anew(read_fixture *f)
{
    tfn_buf_deinit(&f->reply.body);
    tfn_arena_deinit(&f->context.arena);
    tfn_lookups_destroy(f->context.lookups);
    tfn_targets_destroy(f->context.targets);
    f->context.targets = NULL;
    f->reply = (tfn_reply){0};
    f->context.arena = (tfn_arena){0};
    assert_ok(tfn_lookups_create(&f->context.lookups, err));
}

static void check_refusal(const tfn_reply *reply)
{
    assert_int_equal(reply->status, 503);
    if (reply->body.n > 0) {
        yyjson_doc *doc = yyjson_read(reply->body.p, reply->body.n, YYJSON_READ_NOFLAG);
        assert_non_null(doc);
        yyjson_doc_free(doc);
    }
}

static void check_answer(const expectation *expected, const tfn_reply *reply)
{
    if (reply->status != expected->status) {
        fail_msg("status %d, not %d: %.*s", reply->status, expected->status, (int)reply->body.n,
                 reply->body.n == 0 ? "" : reply->body.p);
    }
    const char *body = reply->body.n == 0 ? "" : reply->body.p;
    if (strstr(body, expected->words) == NULL) {
        fail_msg("'%s' is not in '%s' (status %d)", expected->words, body, reply->status);
    }
}

static void sweep(const expectation *expected)
{
    read_fixture *f = &fixture;
    int64_t n = 0; /* allocations of a run that nothing is refused */
    int64_t n_refused = 0;
    start_anew(f);
    (void)read_run(f, expected->handler, &expected->request); /* opens what is opened once */
    check_answer(expected, &f->reply);
    for (int64_t k = 1; n == 0; k++) {
        start_anew(f);
        tfn_mem_fault_arm(k);
        (void)read_run(f, expected->handler, &expected->request);
        const int64_t n_made = tfn_mem_fault_count();
        tfn_mem_fault_arm(0);
        assert_int_equal(f->outcome, TFN_ROUTE_DONE);
        if (f->reply.status == 503) {
            check_refusal(&f->reply);
            n_refused++;
        } else { /* nothing was refused, or one that the answer does not need */
            check_answer(expected, &f->reply);
            n = n_made < k ? n_made : 0;
        }
        assert_true(k < 5000);
    }
    assert_true(n_refused > 0);
    (void)read_run(f, expected->handler, &expected->request);
    check_answer(expected, &f->reply);
}

#define ENTITIES "\"entities\":{\"tailnum\":[\"N14228\",\"nobody\"]}"
#define FRAME                                                                                      \
    "\"df\":{\"tailnum\":[\"N1\",\"N2\"],\"event_timestamp\":[\"2024-01-01T00:00:00Z\","           \
    "\"2024-01-01T00:00:00Z\"],\"created\":[null,\"2024-01-01\"],\"age\":[1,null],"                \
    "\"raw\":[\"AP8=\",null],\"maker\":[\"a\",\"\"],\"lists\":[[1],[]]}"

static tfn_request post(const char *body)
{
    return (tfn_request){.body = tfn_str_of(body)};
}

static void a_lookup_is_answered_or_refused(void **state)
{
    (void)state;
    const expectation all[] = {
        {tfn_handle_get_online_features,
         post("{\"features\":[\"plane_facts:age\",\"plane_facts:delays\"]," ENTITIES
              ",\"include_feature_view_version_metadata\":true}"),
         200, "\"feature_view_metadata\":[{\"name\":\"plane_facts\"}]}}"},
        {tfn_handle_get_online_features, post("{\"feature_service\":\"model\"," ENTITIES "}"), 200,
         "\"feature_names\":[\"tailnum\",\"maker\",\"age\"]}}"},
        {tfn_handle_lean_post,
         post("{\"service\":\"model\"," ENTITIES ",\"with\":[\"statuses\",\"event_times\"]}"), 200,
         "\"event_times\":[["},
        {tfn_handle_lean_get,
         {.rest = {"model", 5}, .query = tfn_str_of("tailnum=N%31%34228&tailnum=no+body")},
         200,
         "\"statuses\":[[1,3],[1,3]]}"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        sweep(&all[i]);
    }
}

static void a_wrong_lookup_is_told_or_refused(void **state)
{
    (void)state;
    const expectation all[] = {
        {tfn_handle_get_online_features, post("{\"features\":[\"plane_facts:zz\"]," ENTITIES "}"),
         500, "has no feature 'zz'"},
        {tfn_handle_get_online_features, post("{\"features\":[\"zz:age\"]," ENTITIES "}"), 404,
         "FeatureViewNotFoundException"},
        {tfn_handle_get_online_features, post("{\"feature_service\":\"zz\"," ENTITIES "}"), 404,
         "FeatureServiceNotFoundException"},
        {tfn_handle_get_online_features, post("{\"features\":[1],\"entities\":3}"), 422,
         "\"dict_type\""},
        {tfn_handle_get_online_features, post("{\"features\":"), 422, "json_invalid"},
        {tfn_handle_lean_post, post("{\"service\":\"zz\"}"), 404, "\"NOT_FOUND\""},
        {tfn_handle_lean_get,
         {.rest = {"model", 5}, .query = tfn_str_of("tailnum=%zz")},
         400,
         "hexadecimal"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        sweep(&all[i]);
    }
}

static void a_write_is_done_or_refused(void **state)
{
    (void)state;
    const expectation all[] = {
        {tfn_handle_push, post("{\"push_source_name\":\"planes_push\"," FRAME "}"), 200, ""},
        {tfn_handle_push, post("{\"push_source_name\":\"nobody\"," FRAME "}"), 422,
         "PushSourceNotFoundException"},
        {tfn_handle_write_to_online_store, post("{\"feature_view_name\":\"aged\"," FRAME "}"), 200,
         "null"},
        {tfn_handle_write_to_online_store, post("{\"feature_view_name\":\"zz\"," FRAME "}"), 404,
         "FeastObjectNotFoundException"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        sweep(&all[i]);
    }
}

static void a_materialization_is_asked_for_or_refused(void **state)
{
    (void)state;
    tfn_request bad = post("{\"start_ts\":3}");
    bad.query = tfn_str_of("async=%6daybe");
    const expectation all[] = {
        {tfn_handle_materialize, post("{\"start_ts\":\"2024-01-01\",\"end_ts\":\"2024-01-02\"}"),
         200, "null"},
        {tfn_handle_materialize_incremental,
         post("{\"end_ts\":\"2024-01-02\",\"feature_views\":[\"aged\"]}"), 200, "null"},
        {tfn_handle_materialize_incremental,
         post("{\"end_ts\":\"2024-01-02\",\"feature_views\":[\"zz\"]}"), 404,
         "FeatureViewNotFoundException"},
        {tfn_handle_materialize, bad, 422, "\"input\":\"maybe\""}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        sweep(&all[i]);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_lookup_is_answered_or_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wrong_lookup_is_told_or_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_write_is_done_or_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_materialization_is_asked_for_or_refused, setup, teardown),
    };
    return cmocka_run_group_tests_name("fault_server_requests", tests, NULL, NULL);
}
