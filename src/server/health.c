/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Whether the server lives (/health), whether it should get requests (/ready), and POST /refresh.
 *
 * Each reads the registry anew: an answer from memory would say that all is well while the disk is
 * gone.
 */

#include "server/feast_protocol.h"
#include "server/metrics.h"

#include "base/poison.h"

/* Read the registry's newest state; a project without any is read, too. */
static tfn_code look_at_registry(tfn_context *context, tfn_error *err)
{
    char *answer = NULL;
    const tfn_code rc = tfn_store_list(context->shared->store, "project", NULL, -1, &answer, err);
    tfn_text_destroy(answer);
    return rc;
}

static tfn_route_outcome reply_unwell(tfn_context *context, tfn_reply *reply, const tfn_error *err)
{
    tfn_counters_add_store_error(context->counters, err->code);
    tfn_reply_detail(reply, 503, "%s", err->message);
    return TFN_ROUTE_DONE;
}

tfn_route_outcome tfn_handle_health(tfn_context *context, const tfn_request *request,
                                    tfn_reply *reply)
{
    (void)request;
    tfn_error err = {0};
    const tfn_code rc = look_at_registry(context, &err);
    if (rc != TFN_OK && rc != TFN_NOT_FOUND) {
        return reply_unwell(context, reply, &err);
    }
    reply->status = 200;
    return TFN_ROUTE_DONE;
}

tfn_route_outcome tfn_handle_ready(tfn_context *context, const tfn_request *request,
                                   tfn_reply *reply)
{
    (void)request;
    const tfn_shared *shared = context->shared;
    if (atomic_load_explicit(shared->is_draining, memory_order_relaxed)) {
        tfn_reply_detail(reply, 503, "The server is being stopped; send requests to another.");
        return TFN_ROUTE_DONE;
    }
    if (shared->lookups_block && !context->may_block) {
        return TFN_ROUTE_LATER;
    }
    tfn_error err = {0};
    char *answer = NULL;
    tfn_code rc = tfn_store_status(shared->store, &answer, &err);
    tfn_text_destroy(answer);
    if (rc == TFN_OK) {
        rc = tfn_store_ping(shared->store, &err);
    }
    if (rc != TFN_OK) {
        return reply_unwell(context, reply, &err);
    }
    reply->status = 200;
    return TFN_ROUTE_DONE;
}

tfn_route_outcome tfn_handle_refresh(tfn_context *context, const tfn_request *request,
                                     tfn_reply *reply)
{
    (void)request;
    tfn_error err = {0};
    if (look_at_registry(context, &err) != TFN_OK) {
        tfn_counters_add_store_error(context->counters, err.code);
        tfn_reply_error(reply, &err);
        return TFN_ROUTE_DONE;
    }
    reply->status = 200;
    return TFN_ROUTE_DONE;
}
