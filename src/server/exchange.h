/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_EXCHANGE_H
#define TFN_SERVER_EXCHANGE_H

/*
 * One request, its reply, and the context it runs in. Handlers see these and nothing of HTTP's
 * transport, so that they can be tested, fuzzed and timed without a socket.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "server/config.h"
#include "tiffin/store.h"

typedef struct tfn_lookups tfn_lookups;         /* lookups.h */
typedef struct tfn_targets tfn_targets;         /* targets.h */
typedef struct tfn_host tfn_host;               /* host.h: one Python process */
typedef struct tfn_counters tfn_counters;       /* metrics.h: of one context */
typedef struct tfn_metrics tfn_metrics;         /* metrics.h: of the server */
typedef struct tfn_feature_log tfn_feature_log; /* feature_log.h */
typedef struct tfn_access_log tfn_access_log;   /* access_log.h */
typedef struct tfn_children tfn_children;       /* child.h: materializations under way */

/** What all contexts share. Immutable once the server runs; the pointed-to things guard themselves. */
typedef struct tfn_shared {
    const tfn_server_config *config;
    tfn_store *store;
    tfn_metrics *metrics;
    tfn_feature_log *feature_log; /* NULL: no service is logged */
    tfn_access_log *access_log;   /* NULL: off */
    tfn_children *children;
    bool lookups_block;              /* the online store is a server of its own (Redis) */
    bool has_python;                 /* a host can be started */
    const _Atomic bool *is_draining; /* a graceful stop has begun */
    const _Atomic bool *is_stopping; /* nobody waits any longer; NULL: never */
} tfn_shared;

/** What a handler runs in; one per worker and per job thread, never shared. */
typedef struct tfn_context {
    const tfn_shared *shared;
    tfn_arena arena;        /* of one request; reset behind it */
    tfn_lookups *lookups;   /* [own] */
    tfn_targets *targets;   /* [own] NULL until something is written */
    tfn_counters *counters; /* [borrow from shared->metrics] */
    tfn_host *host;         /* [own] NULL in workers, and until a job needs it */
    bool may_block;         /* a job thread */
} tfn_context;

/** Texts are [borrow until the handler returns]. */
typedef struct tfn_request {
    tfn_str method; /* "GET", "POST", ... */
    tfn_str path;   /* decoded, without the query: "/get-online-features" */
    tfn_str rest;   /* what follows the path of a route that ends with a slash, else empty */
    tfn_str query;  /* raw, without '?' */
    tfn_str body;
    bool is_admin; /* the caller may do everything (scope admin, or no keys are asked for) */
} tfn_request;

typedef struct tfn_reply {
    int32_t status;           /* HTTP; 0 only together with TFN_ROUTE_LATER */
    int32_t retry_after_s;    /* > 0: that header */
    const char *content_type; /* static; NULL = application/json */
    tfn_buf body;             /* kept between requests and cleared before each; its ceiling is the
                                 limit max_answer */
    uint32_t n_rows;          /* entity rows that were answered or written, for metrics and logs */
} tfn_reply;

typedef enum tfn_route_outcome {
    TFN_ROUTE_DONE = 0,
    TFN_ROUTE_LATER =
        1 /* it may block, and this context may not: run it again in a job. Nothing was
                           done */
} tfn_route_outcome;

/**
 * Answer a request.
 *
 * @param reply  [out] complete unless TFN_ROUTE_LATER; an exhausted memory leaves status 503, and
 *               what is wrong or no body
 *
 * Threads  one at a time per context
 * Errors   none: they are replies
 */
typedef tfn_route_outcome tfn_handler(tfn_context *context, const tfn_request *request,
                                      tfn_reply *reply);

/** Scopes of API keys, from the least; a key has one or more (bits). */
typedef enum tfn_scope {
    TFN_SCOPE_NONE = 0, /* open: health */
    TFN_SCOPE_READ = 1,
    TFN_SCOPE_WRITE = 2,
    TFN_SCOPE_ADMIN = 4 /* includes the others */
} tfn_scope;

typedef struct tfn_route {
    const char *method;
    const char *path; /* one that ends with '/' takes whatever follows */
    tfn_scope scope;
    tfn_handler *handler;
} tfn_route;

/** All routes, in a fixed order (metrics count by index). Threads any. Errors none. */
const tfn_route *tfn_routes_get(size_t *n);

/**
 * Find the route of a request, and set request->rest.
 *
 * @return index into tfn_routes_get, or -1; then *is_known_path says whether another method would do
 *
 * Threads  any
 * Errors   none
 */
int32_t tfn_routes_find(tfn_request *request, bool *is_known_path);

/**
 * A reply whose body is {"detail": sentence}: what HTTP itself refuses (unknown path, limits, keys).
 * Feast's framework answers so, too.
 *
 * Threads  one at a time per reply
 * Errors   none: as tfn_reply_without_body
 */
void tfn_reply_detail(tfn_reply *reply, int32_t status, const char *format, ...) TFN_PRINTF(3, 4);

/** A reply whose body is {"error": {"code", "message"}}: our own protocols; status by the one table
 * of codes (tiffin/error.h). Threads one at a time per reply. Errors none: as tfn_reply_detail. */
void tfn_reply_error(tfn_reply *reply, const tfn_error *err);

/**
 * The reply when its body cannot be written: none, and without memory 503 with Retry-After, because
 * nobody could tell what another status means.
 *
 * @param why  of writing it
 *
 * Threads  one at a time per reply
 * Errors   none
 */
void tfn_reply_without_body(tfn_reply *reply, tfn_code why);

/**
 * Name the limit max_answer when writing an answer met it.
 *
 * @param rc  of writing into a reply's body; TFN_LIMIT sets err anew, all else passes
 *
 * @return rc
 *
 * Threads  any
 */
TFN_NODISCARD tfn_code tfn_reply_name_limit(const tfn_server_config *config, tfn_code rc,
                                            tfn_error *err);

#endif
