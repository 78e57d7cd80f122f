/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Which handler answers which path. */

#include <string.h>

#include "server/exchange.h"
#include "server/feast_protocol.h"
#include "server/lean.h"
#include "server/metrics.h"

#include "base/poison.h"

static const tfn_route ROUTES[] = {
    /* method, path, scope, handler: one a line */
    {"POST", "/get-online-features", TFN_SCOPE_READ, tfn_handle_get_online_features},
    {"POST", "/v1/features", TFN_SCOPE_READ, tfn_handle_lean_post},
    {"GET", "/v1/features/", TFN_SCOPE_READ, tfn_handle_lean_get},
    {"POST", "/push", TFN_SCOPE_WRITE, tfn_handle_push},
    {"POST", "/write-to-online-store", TFN_SCOPE_WRITE, tfn_handle_write_to_online_store},
    {"POST", "/materialize", TFN_SCOPE_WRITE, tfn_handle_materialize},
    {"POST", "/materialize-incremental", TFN_SCOPE_WRITE, tfn_handle_materialize_incremental},
    {"GET", "/metrics", TFN_SCOPE_READ, tfn_handle_metrics},
    {"GET", "/health", TFN_SCOPE_NONE, tfn_handle_health},
    {"GET", "/ready", TFN_SCOPE_NONE, tfn_handle_ready},
    {"POST", "/refresh", TFN_SCOPE_ADMIN, tfn_handle_refresh},
    {NULL, NULL, TFN_SCOPE_NONE, NULL},
};

enum { N_ROUTES = sizeof ROUTES / sizeof *ROUTES - 1 };

const tfn_route *tfn_routes_get(size_t *n)
{
    *n = N_ROUTES;
    return ROUTES;
}

/* Whether a route takes the path; then `rest` is what its own path leaves over. */
static bool takes(const tfn_route *route, tfn_str path, tfn_str *rest)
{
    const size_t n = strlen(route->path);
    const bool is_prefix = route->path[n - 1] == '/';
    if (path.n < n || memcmp(path.p, route->path, n) != 0 || (path.n > n && !is_prefix)) {
        return false;
    }
    *rest = (tfn_str){path.p + n, path.n - n};
    return true;
}

int32_t tfn_routes_find(tfn_request *request, bool *is_known_path)
{
    *is_known_path = false;
    for (int32_t i = 0; i < N_ROUTES; i++) {
        tfn_str rest = {0};
        if (!takes(&ROUTES[i], request->path, &rest)) {
            continue;
        }
        *is_known_path = true;
        if (tfn_str_equal(request->method, tfn_str_of(ROUTES[i].method))) {
            request->rest = rest;
            return i;
        }
    }
    return -1;
}
