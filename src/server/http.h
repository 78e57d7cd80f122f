/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_HTTP_H
#define TFN_SERVER_HTTP_H

/*
 * HTTP/1.1 through libmicrohttpd, which is known to http.c alone: connections, bodies, limits, replies.
 * One thread per worker, each with its own listening socket and context; nothing is shared between
 * them but the list of connections.
 */

#include "server/access_log.h"
#include "server/exchange.h"
#include "server/metrics.h"

typedef struct tfn_http tfn_http;

/** Who asks, from the request's head. Texts are [borrow until the request is answered]. */
typedef struct tfn_caller {
    tfn_str authorization;
    tfn_str x_api_key;
    tfn_str key_id; /* [out] of the key that was shown, for the access log */
} tfn_caller;

/** What the transport asks of the server that it is a part of. All are called from any worker. */
typedef struct tfn_http_hooks {
    void *owner;
    /** May this caller do it? Sets request->is_admin. False: reply says why not. */
    bool (*admit)(void *owner, tfn_scope scope, tfn_caller *caller, tfn_request *request,
                  tfn_reply *reply);
    /** A request was answered. i_route < 0: none was found. */
    void (*note)(void *owner, tfn_context *context, int32_t i_route, const tfn_access *access);
    void (*count_connection)(void *owner, int32_t change);
    void (*count_refused)(void *owner, tfn_refusal why);
} tfn_http_hooks;

typedef struct tfn_http_opts {
    const tfn_limits *limits; /* [borrow until destroyed] as all that follows */
    tfn_context *workers;     /* one per listening socket */
    const int *listen_fds;    /* [take] */
    size_t n_workers;
    tfn_context *jobs; /* one per thread for what may block */
    size_t n_jobs;
    const char *tls_key; /* PEM files; NULL: no TLS */
    const char *tls_cert;
    bool notes_peers; /* the access log is on: peers' addresses are wanted */
    tfn_http_hooks hooks;
} tfn_http_opts;

/**
 * Start to answer.
 *
 * @param out  [own] ends with tfn_http_destroy
 *
 * Threads  one at a time
 * Errors   TFN_IO key or certificate unreadable, no thread . TFN_INVALID they do not fit, or are no
 *          PEM . TFN_UNSUPPORTED this libmicrohttpd has no TLS . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_http_start(const tfn_http_opts *opts, tfn_http **out, tfn_error *err);

/**
 * Take no new connection, but those that the kernel has accepted already; from now on every answer
 * closes its connection.
 *
 * Threads  one at a time, once
 * Errors   none
 */
void tfn_http_quiesce(tfn_http *http);

/** Wait until nobody waits for an answer, at most so long. Threads one at a time. Errors none. */
void tfn_http_wait_idle(tfn_http *http, int32_t max_ms);

/**
 * Send away who overstays. To be called again and again, by one thread.
 *
 * @return milliseconds until the next call
 *
 * Threads  one at a time
 * Errors   none
 */
int32_t tfn_http_tend(tfn_http *http);

/** Stop: jobs that run are finished, everything else is dropped. NULL is fine. */
void tfn_http_destroy(tfn_http *http);

#endif
