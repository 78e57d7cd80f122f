/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_HOST_H
#define TFN_SERVER_HOST_H

/*
 * A Python process beside the server: `<python> -m tiffin.server.host`, with one end of a socket
 * pair as its file 3. It answers what only Python can: lookups with on-demand views, writes to
 * offline stores. A process of its own, so that a function that crashes, hangs or leaks takes
 * nothing with it: it is ended after limits.request_ms, and the next request starts another.
 *
 * Both ways: 4 bytes length of the head, 4 bytes length of the body (little-endian), head (JSON),
 * body. The request's head: {"route": "/get-online-features", "method", "rest", "query"}; the
 * reply's: {"status", "n_rows"}. Bodies of replies are JSON, or empty.
 */

#include "server/exchange.h"

/**
 * Run a request in the context's host, which is started when there is none.
 *
 * @param context  a job's
 * @param reply    [out] complete: the host's, or 501 (there is no interpreter), 503 (it could not
 *                 be started, or died), 504 (it took longer than limits.request_ms). Their bodies
 *                 are those of the request's protocol: the lean one's below /v1/, else Feast's
 *
 * Threads  one at a time per context
 * Errors   none: they are replies
 */
void tfn_host_run(tfn_context *context, const tfn_request *request, tfn_reply *reply);

/** End the process, if there is one: asked first, killed after a second. */
void tfn_host_destroy(tfn_host *host);

#endif
