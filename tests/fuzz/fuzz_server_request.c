/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Requests as anybody may send them: bodies of Feast's form and of the lean one, and query strings.
 * The first byte says which ('f' and 'l' lookups, 'q' one by its query, 'p' a push, 'w' a write, 'm'
 * and 'i' materializations), the rest is the request. A body of 'm' and 'i' comes behind a query and a
 * '?'.
 *
 * The store is real, with a view or two and some rows, so that what parses is answered too. Whatever
 * comes, there is a reply: a status that the handler may give, and a body that is JSON.
 */

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "registry/registry.h"
#include "server/child.h"
#include "server/feast_protocol.h"
#include "server/host.h"
#include "server/lean.h"
#include "server/lookups.h"
#include "server/metrics.h"
#include "server/targets.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static const char definitions[] =
    "{\"objects\":["
    "{\"kind\":\"entity\",\"name\":\"driver\",\"join_key\":\"driver_id\",\"value_type\":\"int64\"},"
    "{\"kind\":\"entity\",\"name\":\"plane\",\"join_key\":\"tail\",\"value_type\":\"string\"},"
    "{\"kind\":\"entity\",\"name\":\"day\",\"join_key\":\"on_day\",\"value_type\":\"timestamp\"},"
    "{\"kind\":\"data_source\",\"name\":\"s\",\"type\":\"file\",\"path\":\"s.parquet\","
    "\"timestamp_field\":\"t\"},"
    "{\"kind\":\"feature_view\",\"name\":\"d\",\"entities\":[\"driver\"],\"join_keys\":"
    "[\"driver_id\"],\"source\":\"s\",\"ttl_us\":0,\"schema\":[{\"name\":\"a\",\"dtype\":"
    "\"float64\"},{\"name\":\"b\",\"dtype\":\"array<string>\"}]},"
    "{\"kind\":\"feature_view\",\"name\":\"m\",\"entities\":[\"driver\",\"plane\",\"day\"],"
    "\"join_keys\":[\"driver_id\",\"tail\",\"on_day\"],\"source\":\"s\",\"ttl_us\":0,\"schema\":"
    "[{\"name\":\"w\",\"dtype\":\"bytes\"}]},"
    "{\"kind\":\"data_source\",\"name\":\"p\",\"type\":\"push\",\"batch_source\":\"s\"},"
    "{\"kind\":\"feature_view\",\"name\":\"v\",\"entities\":[\"driver\"],\"join_keys\":"
    "[\"driver_id\"],\"source\":\"p\",\"schema\":[{\"name\":\"r\",\"dtype\":\"bytes\"},"
    "{\"name\":\"u\",\"dtype\":\"timestamp\"},{\"name\":\"x\",\"dtype\":\"date\"},"
    "{\"name\":\"l\",\"dtype\":\"array<float64>\"},{\"name\":\"i\",\"dtype\":\"int64\"}]},"
    "{\"kind\":\"feature_service\",\"name\":\"one\",\"features\":[{\"view\":\"d\",\"name_alias\":"
    "\"\",\"features\":[\"a\",\"b\"],\"join_key_map\":{}}]},"
    "{\"kind\":\"feature_service\",\"name\":\"all\",\"features\":[{\"view\":\"m\",\"name_alias\":"
    "\"\",\"features\":[\"w\"],\"join_key_map\":{}}]}]}";

/* One server for all inputs; made at the first one, gone with the process. */
static struct {
    char folder[64];
    char registry_path[128];
    char online_path[128];
    tfn_server_config config;
    tfn_shared shared;
    tfn_context context;
    tfn_reply reply;
} server;

void tfn_host_run(tfn_context *context, const tfn_request *request, tfn_reply *reply)
{
    (void)context;
    (void)request;
    (void)reply;
    abort(); /* nothing here needs Python */
}

void tfn_host_destroy(tfn_host *host)
{
    (void)host;
}

/* Nothing is materialized: what a child would be told is looked at. */
tfn_code tfn_children_materialize(tfn_children *children, const tfn_server_config *config,
                                  const char *request, const tfn_str *views, size_t n_views,
                                  bool wait, bool force, char **answer, tfn_error *err)
{
    (void)children;
    (void)config;
    (void)views;
    (void)wait;
    *answer = NULL;
    yyjson_doc *doc = yyjson_read(request, strlen(request), YYJSON_READ_NOFLAG);
    assert(doc != NULL && n_views > 0);
    (void)n_views;
    yyjson_doc_free(doc);
    return force ? TFN_FAIL(err, TFN_CANCELLED, "the server stops") : TFN_OK;
}

static void check(tfn_code rc, const tfn_error *err)
{
    if (rc != TFN_OK) {
        (void)fprintf(stderr, "fuzz_server_request: %s\n", err->message);
        abort();
    }
}

static void remove_folder(void)
{
    char path[192];
    static const char *const names[] = {"registry.db",
                                        "registry.db-wal",
                                        "registry.db-shm",
                                        "online/data.mdb",
                                        "online/lock.mdb",
                                        "online",
                                        ""};
    tfn_buf_deinit(&server.reply.body);
    tfn_arena_deinit(&server.context.arena);
    tfn_lookups_destroy(server.context.lookups);
    tfn_targets_destroy(server.context.targets);
    tfn_metrics_destroy(server.shared.metrics);
    tfn_store_close(server.shared.store);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", server.folder, names[i]);
        (void)remove(path);
    }
}

static void define(void)
{
    tfn_error err = {0};
    tfn_registry *registry = NULL;
    tfn_buf answer = {0};
    check(tfn_registry_open(server.registry_path, TFN_REGISTRY_CREATE, NULL, &registry, &err),
          &err);
    check(tfn_registry_apply(registry, tfn_str_of("fuzz"), tfn_str_of(definitions), &answer, &err),
          &err);
    tfn_buf_deinit(&answer);
    tfn_registry_close(registry);
}

static void start(void)
{
    tfn_error err = {0};
    (void)snprintf(server.folder, sizeof server.folder, "/tmp/tiffin-fuzz-XXXXXX");
    if (mkdtemp(server.folder) == NULL) {
        abort();
    }
    (void)snprintf(server.registry_path, sizeof server.registry_path, "%s/registry.db",
                   server.folder);
    (void)snprintf(server.online_path, sizeof server.online_path, "%s/online", server.folder);
    define();
    const tfn_store_opts opts = {.struct_size = sizeof opts,
                                 .project = "fuzz",
                                 .registry_path = server.registry_path,
                                 .online_path = server.online_path};
    server.config.limits.max_entity_rows = 100;
    server.config.limits.max_features = 20;
    server.shared.config = &server.config;
    server.context.shared = &server.shared;
    server.context.may_block = true;
    check(tfn_store_open(&opts, &server.shared.store, &err), &err);
    check(tfn_metrics_create(1, &server.shared.metrics, &err), &err);
    check(tfn_lookups_create(&server.context.lookups, &err), &err);
    server.context.counters = tfn_metrics_get_counters(server.shared.metrics, 0);
    (void)atexit(remove_folder);
}

/* A query comes behind the name of a service and a '?', or before a '?' and a body. */
static tfn_request read_request(uint8_t letter, tfn_str input)
{
    const char *mark = input.n == 0 ? NULL : memchr(input.p, '?', input.n);
    const size_t n_rest = mark == NULL ? input.n : (size_t)(mark - input.p);
    const size_t n_skipped = mark == NULL ? n_rest : n_rest + 1;
    if (letter == 'm' || letter == 'i') {
        return (tfn_request){.query = {input.p, n_rest},
                             .body = {input.p + n_skipped, input.n - n_skipped}};
    }
    return (tfn_request){.rest = {input.p, n_rest},
                         .query = {input.p + n_skipped, input.n - n_skipped},
                         .body = input};
}

static tfn_handler *handler_of(uint8_t letter)
{
    switch (letter) {
    case 'q':
        return tfn_handle_lean_get;
    case 'l':
        return tfn_handle_lean_post;
    case 'p':
        return tfn_handle_push;
    case 'w':
        return tfn_handle_write_to_online_store;
    case 'm':
        return tfn_handle_materialize;
    case 'i':
        return tfn_handle_materialize_incremental;
    default:
        return tfn_handle_get_online_features;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    if (server.shared.store == NULL) {
        start();
    }
    if (n_bytes == 0) {
        return 0;
    }
    const tfn_request request =
        read_request(bytes[0], (tfn_str){(const char *)bytes + 1, n_bytes - 1});
    tfn_reply *reply = &server.reply;
    tfn_arena_reset(&server.context.arena);
    tfn_buf_clear(&reply->body);
    const tfn_route_outcome outcome = handler_of(bytes[0])(&server.context, &request, reply);
    assert(outcome == TFN_ROUTE_DONE);
    (void)outcome;
    const int32_t status = reply->status;
    static const int32_t possible[] = {200, 202, 400, 404, 413, 422, 500, 501};
    bool is_possible = status == 503 && reply->retry_after_s > 0;
    for (size_t i = 0; i < sizeof possible / sizeof *possible; i++) {
        is_possible = is_possible || status == possible[i];
    }
    assert(is_possible);
    if (bytes[0] != 'p' || status != 200) { /* a push has no answer */
        yyjson_doc *doc = yyjson_read(reply->body.p, reply->body.n, YYJSON_READ_NOFLAG);
        assert(doc != NULL);
        yyjson_doc_free(doc);
    }
    return 0;
}
