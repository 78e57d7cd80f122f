/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_TESTS_SERVER_READ_FIXTURE_H
#define TFN_TESTS_SERVER_READ_FIXTURE_H

/* A context of a server over the store of store_fixture.h, and a Python host that only notes that it
 * was asked. */

#include "unit/store_fixture.h"

#include "server/feast_protocol.h"
#include "server/host.h"
#include "server/lean.h"
#include "server/lookups.h"
#include "server/metrics.h"
#include "server/targets.h"

typedef struct read_fixture {
    store_fixture store;
    tfn_server_config config;
    tfn_shared shared;
    tfn_context context;
    tfn_reply reply;
    tfn_route_outcome outcome;
} read_fixture;

static int host_runs;

void tfn_host_run(tfn_context *context, const tfn_request *request, tfn_reply *reply)
{
    (void)context;
    (void)request;
    host_runs++;
    reply->status = 200;
}

void tfn_host_destroy(tfn_host *host)
{
    (void)host;
}

MAKE_UNUSED static void read_setup(read_fixture *f)
{
    *f = (read_fixture){0};
    store_setup(&f->store);
    store_define(&f->store, store_on_demand);
    store_open(&f->store, TFN_ONLINE_TTL_IGNORE);
    store_load_planes(&f->store);
    f->config.limits.max_entity_rows = 1000;
    f->config.limits.max_features = 10;
    f->shared.config = &f->config;
    f->shared.store = f->store.store;
    assert_ok(tfn_metrics_create(1, &f->shared.metrics, err));
    f->context.shared = &f->shared;
    f->context.counters = tfn_metrics_get_counters(f->shared.metrics, 0);
    assert_ok(tfn_lookups_create(&f->context.lookups, err));
    host_runs = 0;
}

MAKE_UNUSED static void read_teardown(read_fixture *f)
{
    tfn_buf_deinit(&f->reply.body);
    tfn_lookups_destroy(f->context.lookups);
    tfn_targets_destroy(f->context.targets);
    tfn_arena_deinit(&f->context.arena);
    tfn_metrics_destroy(f->shared.metrics);
    store_teardown(&f->store);
}

/* What the handler makes of a request; the reply's body, "" for none. */
MAKE_UNUSED static const char *read_run(read_fixture *f, tfn_handler *handler,
                                        const tfn_request *request)
{
    tfn_arena_reset(&f->context.arena);
    tfn_buf_clear(&f->reply.body);
    f->reply.status = 0;
    f->reply.n_rows = 0;
    f->reply.retry_after_s = 0;
    f->outcome = handler(&f->context, request, &f->reply);
    return f->reply.body.p == NULL ? "" : f->reply.body.p;
}

MAKE_UNUSED static const char *read_post(read_fixture *f, tfn_handler *handler, const char *body)
{
    const tfn_request request = {.body = tfn_str_of(body)};
    return read_run(f, handler, &request);
}

#endif
