/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * What a lookup costs in a worker of the server, without HTTP: a handler in a loop.
 *
 *   server_handler REGISTRY ONLINE PROJECT KEY N_KEYS FORM N_ROWS N_REQUESTS FEATURE...
 *
 * FORM is feast, lean or query (which asks for the service FEATURE). Keys are random among 0 ..
 * N_KEYS - 1. Bodies are made before the clock starts. Prints one line of JSON: CPU nanoseconds of a
 * request (median and best of five rounds)
 * and bytes of an answer.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/feast_protocol.h"
#include "server/host.h"
#include "server/lean.h"
#include "server/lookups.h"
#include "server/metrics.h"

enum { N_BODIES = 512, N_ROUNDS = 5, N_ARGS = 8 };

static void fail(const char *what, const char *why)
{
    (void)fprintf(stderr, "server_handler: %s: %s\n", what, why);
    exit(1);
}

static void check(tfn_code rc, const tfn_error *err)
{
    if (rc != TFN_OK) {
        fail(tfn_code_name(rc), err->message);
    }
}

static uint64_t draw(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

typedef struct question {
    const char *form;
    const char *key;
    uint64_t n_keys;
    size_t n_rows;
    char **features;
    int n_features;
} question;

static void add(tfn_buf *out, const char *text)
{
    tfn_error err = {0};
    check(tfn_buf_add_text(out, text, &err), &err);
}

static void add_keys(const question *q, uint64_t *state, tfn_buf *out)
{
    const bool is_query = strcmp(q->form, "query") == 0;
    tfn_error err = {0};
    for (size_t i = 0; i < q->n_rows; i++) {
        add(out, i == 0 ? "" : is_query ? "&" : ",");
        if (is_query) {
            check(tfn_buf_add_format(out, &err, "%s=", q->key), &err);
        }
        check(tfn_buf_add_format(out, &err, "%llu", (unsigned long long)(draw(state) % q->n_keys)),
              &err);
    }
}

static tfn_request make_request(const question *q, uint64_t *state, tfn_buf *out)
{
    tfn_error err = {0};
    if (strcmp(q->form, "query") == 0) {
        add_keys(q, state, out);
        return (tfn_request){.rest = tfn_str_of(q->features[0]), .query = tfn_buf_get_str(out)};
    }
    add(out, "{\"features\":[");
    for (int i = 0; i < q->n_features; i++) {
        check(tfn_buf_add_format(out, &err, "%s\"%s\"", i == 0 ? "" : ",", q->features[i]), &err);
    }
    check(tfn_buf_add_format(out, &err, "],\"entities\":{\"%s\":[", q->key), &err);
    add_keys(q, state, out);
    add(out, "]}}");
    return (tfn_request){.body = tfn_buf_get_str(out)};
}

static tfn_handler *handler_of(const char *form)
{
    if (strcmp(form, "query") == 0) {
        return tfn_handle_lean_get;
    }
    return strcmp(form, "lean") == 0 ? tfn_handle_lean_post : tfn_handle_get_online_features;
}

static int64_t cpu_ns(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void run(tfn_context *context, tfn_handler *handler, const tfn_request *requests, size_t n,
                tfn_reply *reply)
{
    for (size_t i = 0; i < n; i++) {
        tfn_arena_reset(&context->arena);
        tfn_buf_clear(&reply->body);
        (void)handler(context, &requests[i % N_BODIES], reply);
        if (reply->status != 200) {
            fail("a request was refused", reply->body.p);
        }
    }
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(tfn_context *context, const question *q, size_t n_requests)
{
    static tfn_request requests[N_BODIES];
    static tfn_buf texts[N_BODIES];
    uint64_t state = 42;
    double ns[N_ROUNDS];
    tfn_reply reply = {0};
    for (size_t i = 0; i < N_BODIES; i++) {
        requests[i] = make_request(q, &state, &texts[i]);
    }
    run(context, handler_of(q->form), requests, N_BODIES, &reply);
    for (size_t i = 0; i < N_ROUNDS; i++) {
        const int64_t begin_ns = cpu_ns();
        run(context, handler_of(q->form), requests, n_requests, &reply);
        ns[i] = (double)(cpu_ns() - begin_ns) / (double)n_requests;
    }
    qsort(ns, N_ROUNDS, sizeof *ns, compare);
    (void)printf("{\"form\": \"%s\", \"rows\": %zu, \"median_ns\": %.0f, \"best_ns\": %.0f, "
                 "\"answer_bytes\": %zu}\n",
                 q->form, q->n_rows, ns[N_ROUNDS / 2], ns[0], reply.body.n);
    for (size_t i = 0; i < N_BODIES; i++) {
        tfn_buf_deinit(&texts[i]);
    }
    tfn_buf_deinit(&reply.body);
}

int main(int argc, char **argv)
{
    tfn_error err = {0};
    tfn_shared shared = {0};
    tfn_context context = {.shared = &shared};
    tfn_server_config config = {.limits = {.max_entity_rows = 10000, .max_features = 1000}};
    if (argc < N_ARGS + 2) {
        fail("usage", "REGISTRY ONLINE PROJECT KEY N_KEYS FORM N_ROWS N_REQUESTS FEATURE...");
    }
    const tfn_store_opts opts = {.struct_size = sizeof opts,
                                 .registry_path = argv[1],
                                 .online_path = argv[2],
                                 .project = argv[3],
                                 .online_ttl = TFN_ONLINE_TTL_IGNORE};
    const question q = {.key = argv[4],
                        .n_keys = strtoull(argv[5], NULL, 10),
                        .form = argv[6],
                        .n_rows = strtoull(argv[7], NULL, 10),
                        .features = argv + N_ARGS + 1,
                        .n_features = argc - N_ARGS - 1};
    shared.config = &config;
    check(tfn_store_open(&opts, &shared.store, &err), &err);
    check(tfn_metrics_create(1, &shared.metrics, &err), &err);
    check(tfn_lookups_create(&context.lookups, &err), &err);
    context.counters = tfn_metrics_get_counters(shared.metrics, 0);
    measure(&context, &q, strtoull(argv[N_ARGS], NULL, 10));
    tfn_lookups_destroy(context.lookups);
    tfn_arena_deinit(&context.arena);
    tfn_metrics_destroy(shared.metrics);
    tfn_store_close(shared.store);
    return 0;
}
