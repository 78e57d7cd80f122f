/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * HTTP through libmicrohttpd.
 *
 *   on_target    first line read: an exchange is taken from the worker's pool
 *   on_request   1. head read: limits, forms that hide requests, route, key
 *                2. body, piece by piece, into the exchange's buffer
 *                3. all read: the handler runs here; or (TFN_ROUTE_LATER) the connection is parked, and
 *                   a job thread runs it and resumes the connection
 *                4. resumed: the reply is sent
 *   on_completed sent, or the client is gone: back to the pool
 *
 * The pool is one thread's and a stack, so a worker that answers inline uses one exchange, whose
 * buffers have grown to what its requests need; nothing is allocated here after that.
 *
 * What the library does, and we rely on:
 *  - A reply that is queued before the body was read closes the connection afterwards. So we refuse
 *    early only what has a long body, and read a short one to its end.
 *  - In the midst of a body no reply can be queued: tfn_peer_refuse writes it.
 *  - A connection may not be suspended when its daemon is stopped: jobs are stopped first.
 *  - A parked connection is suspended one turn of the loop later (PARKING): else the library would read
 *    once more when it is resumed, and take a client that has closed its sending half for one that left.
 *
 * Invariants
 *  1. An exchange is one thread's: its worker's, or from tfn_jobs_try_add until MHD_resume_connection
 *     the job's.
 *  2. Each exchange that was taken is given back by on_completed.
 */

#include "server/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "server/http_head.h"
#include "server/jobs.h"
#include "server/peers.h"

#include "base/poison.h"

enum {
    KEPT_BYTES = 1 << 20, /* of a buffer between two requests; a larger one is given back */
    DISCARD_MAX_BYTES = 64 * 1024, /* of a body that nobody will read */
    LARGE_BYTES = 64 * 1024,       /* of a reply that the kernel may not take at once */
    POOL_MIN_BYTES = 12 * 1024,    /* the library's memory of one connection */
    SPARE_CONNECTIONS = 256,       /* beyond the limit: those are told so */
    PEM_MAX_BYTES = 1 << 20,
    WAIT_STEP_NS = 10000000,
    QUIET_MS = 500,              /* a connection that is silent so long has no request under way */
    UNCOUNTED_BYTES = 64 * 1024, /* of each body: the limit of connections bounds them */
    ALLOW_BYTES = 64,
    RETRY_AFTER_S = 1,
    LOG_BYTES = 256
};

typedef enum exchange_state {
    HEAD = 0,    /* the head was not looked at yet */
    BODY = 1,    /* pieces of the body come */
    PARKING = 2, /* it will be a job's, from the next turn of the loop on */
    PARKED = 3,  /* a job's; called again: it is done */
    SENT = 4     /* the reply is queued */
} exchange_state;

typedef struct worker worker;

typedef struct exchange {
    struct exchange *next; /* in the pool */
    worker *worker;
    tfn_peer *peer;
    struct MHD_Connection *mhd;
    exchange_state state;
    int32_t i_route;
    const tfn_route *route; /* NULL: the reply is there */
    tfn_request request;
    tfn_reply reply;
    tfn_buf target; /* path and query */
    tfn_buf body;
    tfn_caller caller;
    uint64_t n_body_bytes; /* that came, kept or not */
    int64_t n_counted;     /* of them in the server's n_bodies_bytes */
    int64_t began_ns;      /* monotonic */
    int64_t ended_ns;      /* when its reply was complete */
    int64_t began_us;      /* since 1970; 0 unless there is an access log */
    bool must_close;
    char allow[ALLOW_BYTES]; /* of 405 */
} exchange;

struct worker {
    tfn_http *http;
    tfn_context *context;
    struct MHD_Daemon *daemon;
    exchange *pool;
};

struct tfn_http {
    tfn_http_hooks hooks;
    const tfn_limits *limits;
    worker *workers;
    size_t n_workers;
    tfn_jobs *jobs;
    tfn_peers peers;
    bool is_tls;
    bool notes_peers;
    pthread_t starter;
    bool
        has_strict_parser; /* libmicrohttpd 1.0 and later refuse by themselves what hides requests */
    _Atomic bool is_draining;
    _Atomic int64_t n_bodies_bytes; /* of all exchanges, beyond KEPT_BYTES of each */
    tfn_buf tls_key;
    tfn_buf tls_cert;
    char log[LOG_BYTES]; /* what the library said last, while it was started */
};

#define BODY_TOO_LARGE                                                                             \
    "The request's body is larger than %lld bytes; send fewer rows at once, or raise the limit "   \
    "max_body."

static int64_t nanoseconds_of(clockid_t clock)
{
    struct timespec now = {0};
    (void)clock_gettime(clock, &now); /* cannot fail with these clocks */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- exchanges ---- */

static void destroy_exchange(exchange *x)
{
    tfn_buf_deinit(&x->target);
    tfn_buf_deinit(&x->body);
    tfn_buf_deinit(&x->reply.body);
    tfn_mem_free(x);
}

/* NULL without memory. */
static exchange *take_exchange(worker *w)
{
    exchange *x = w->pool;
    if (x == NULL) {
        void *p = NULL;
        if (tfn_mem_alloc_array(1, sizeof(exchange), &p, NULL) != TFN_OK) {
            return NULL;
        }
        x = p;
        x->worker = w;
    } else {
        w->pool = x->next;
    }
    x->next = NULL;
    x->state = HEAD;
    x->i_route = -1;
    x->route = NULL;
    x->request = (tfn_request){0};
    x->caller = (tfn_caller){0};
    x->n_body_bytes = 0;
    x->must_close = false;
    x->allow[0] = '\0';
    x->reply.status = 0;
    x->reply.retry_after_s = 0;
    x->reply.content_type = NULL;
    x->reply.n_rows = 0;
    return x;
}

static void clear_buf(tfn_buf *buf)
{
    if (buf->capacity > KEPT_BYTES) {
        tfn_buf_deinit(buf);
    } else {
        tfn_buf_clear(buf);
    }
}

static void give_exchange(exchange *x)
{
    if (x->n_counted > 0) {
        (void)atomic_fetch_sub_explicit(&x->worker->http->n_bodies_bytes, x->n_counted,
                                        memory_order_relaxed);
        x->n_counted = 0;
    }
    clear_buf(&x->target);
    clear_buf(&x->body);
    clear_buf(&x->reply.body);
    x->next = x->worker->pool;
    x->worker->pool = x;
}

/* ---- replies ---- */

static void name_peer(tfn_peer *peer, struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info == NULL ? NULL : info->client_addr;
    if (address == NULL || (address->sa_family != AF_INET && address->sa_family != AF_INET6)) {
        (void)snprintf(peer->name, sizeof peer->name, "unix");
        return;
    }
    const bool is_v6 = address->sa_family == AF_INET6;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    char host[INET6_ADDRSTRLEN] = "?";
    (void)inet_ntop(address->sa_family,
                    is_v6 ? (const void *)&v6->sin6_addr : (const void *)&v4->sin_addr, host,
                    sizeof host); /* it has room for any */
    (void)snprintf(peer->name, sizeof peer->name, is_v6 ? "[%s]:%u" : "%s:%u", host,
                   (unsigned)ntohs(is_v6 ? v6->sin6_port : v4->sin_port));
}

/* Tell metrics and the access log; the connection takes its reply from now on. */
static void note(exchange *x)
{
    tfn_http *http = x->worker->http;
    x->ended_ns = nanoseconds_of(CLOCK_MONOTONIC);
    (void)tfn_peer_set(x->peer, TFN_PEER_TAKING, x->ended_ns / 1000000);
    if (http->notes_peers && x->peer->name[0] == '\0') {
        name_peer(x->peer, x->mhd);
    }
    const tfn_access access = {
        .time_us = x->began_us,
        .took_us = (x->ended_ns - x->began_ns) / 1000,
        .method = x->request.method,
        .path = x->request.path,
        .peer = tfn_str_of(x->peer->name),
        .key_id = x->caller.key_id,
        .status = x->reply.status,
        .n_rows = x->reply.n_rows,
        .n_bytes_in = x->n_body_bytes,
        .n_bytes_out = x->reply.body.n,
    };
    http->hooks.note(http->hooks.owner, x->worker->context, x->i_route, &access);
}

static bool add_header(struct MHD_Response *response, const char *name, const char *value)
{
    return MHD_add_response_header(response, name, value) == MHD_YES;
}

static bool add_headers(const exchange *x, struct MHD_Response *response)
{
    const tfn_reply *reply = &x->reply;
    char seconds[16] = "";
    if (reply->retry_after_s > 0) {
        (void)snprintf(seconds, sizeof seconds, "%d", (int)reply->retry_after_s);
    }
    const char *type = reply->content_type == NULL ? "application/json" : reply->content_type;
    const bool closes =
        x->must_close || atomic_load_explicit(&x->worker->http->is_draining, memory_order_relaxed);
    return (reply->body.n == 0 || add_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type)) &&
           (seconds[0] == '\0' || add_header(response, MHD_HTTP_HEADER_RETRY_AFTER, seconds)) &&
           (x->allow[0] == '\0' || add_header(response, MHD_HTTP_HEADER_ALLOW, x->allow)) &&
           (reply->status != MHD_HTTP_UNAUTHORIZED ||
            add_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer")) &&
           (!closes || add_header(response, MHD_HTTP_HEADER_CONNECTION, "close"));
}

/* Queue the reply. MHD_NO closes the connection. */
static enum MHD_Result send_reply(exchange *x)
{
    tfn_reply *reply = &x->reply;
    if (reply->status < 200) {
        tfn_reply_detail(reply, 500,
                         "The server has no answer to this request: a defect of its own.");
    }
    x->state = SENT;
    note(x);
    struct MHD_Response *response = MHD_create_response_from_buffer(
        reply->body.n, reply->body.n == 0 ? (void *)(uintptr_t) "" : reply->body.p,
        MHD_RESPMEM_PERSISTENT);
    if (response == NULL) {
        return MHD_NO;
    }
    enum MHD_Result rc = MHD_NO;
    if (add_headers(x, response)) {
        rc = MHD_queue_response(x->mhd, (unsigned)reply->status, response);
    }
    MHD_destroy_response(response);
    return rc;
}

/* ---- jobs ---- */

static void run_handler(exchange *x, tfn_context *context, tfn_route_outcome *outcome)
{
    tfn_buf_clear(&x->reply.body);
    x->reply.body.max_bytes = (size_t)x->worker->http->limits->max_answer_bytes;
    *outcome = x->route->handler(context, &x->request, &x->reply);
    if (context->arena.n_bytes > KEPT_BYTES) {
        tfn_arena_deinit(&context->arena);
    } else {
        tfn_arena_reset(&context->arena);
    }
}

/* On a job's thread; without a context when the server stops. */
static void run_job(void *owner, tfn_context *context, void *item)
{
    (void)owner;
    exchange *x = item;
    if (context == NULL) {
        tfn_reply_detail(&x->reply, 503, "The server is being stopped; send the request again.");
        x->reply.retry_after_s = RETRY_AFTER_S;
    } else {
        tfn_route_outcome outcome = TFN_ROUTE_DONE;
        run_handler(x, context, &outcome);
    }
    MHD_resume_connection(x->mhd); /* the worker's from here on */
}

/* Suspend the connection, and let a job go on; a full queue is answered at once. */
static enum MHD_Result park(exchange *x)
{
    tfn_http *http = x->worker->http;
    x->state = PARKED;
    MHD_suspend_connection(x->mhd);
    if (tfn_jobs_try_add(http->jobs, x)) {
        return MHD_YES;
    }
    tfn_reply_detail(
        &x->reply, 503,
        "All of this server's %d places for requests that must wait are taken; send it again "
        "in a second, or raise the limit max_jobs.",
        (int)http->limits->max_jobs);
    x->reply.retry_after_s = RETRY_AFTER_S;
    http->hooks.count_refused(http->hooks.owner, TFN_REFUSED_JOBS);
    MHD_resume_connection(x->mhd);
    return MHD_YES;
}

/* ---- the head ---- */

static void allow_methods(exchange *x)
{
    size_t n_routes = 0;
    const tfn_route *routes = tfn_routes_get(&n_routes);
    size_t n = 0;
    for (size_t i = 0; i < n_routes; i++) {
        tfn_request asked = x->request;
        asked.method = tfn_str_of(routes[i].method);
        bool is_known = false;
        const bool is_new = strstr(x->allow, routes[i].method) == NULL;
        if (is_new && tfn_routes_find(&asked, &is_known) >= 0 && n < sizeof x->allow) {
            n += (size_t)snprintf(x->allow + n, sizeof x->allow - n, "%s%s", n > 0 ? ", " : "",
                                  routes[i].method);
        }
    }
}

/* False: the reply says that there is no such route. */
static bool find_route(exchange *x)
{
    bool is_known = false;
    x->i_route = tfn_routes_find(&x->request, &is_known);
    if (x->i_route >= 0) {
        size_t n_routes = 0;
        x->route = &tfn_routes_get(&n_routes)[x->i_route];
        return true;
    }
    if (is_known) {
        allow_methods(x);
        tfn_reply_detail(&x->reply, 405, "Method Not Allowed");
    } else {
        tfn_reply_detail(&x->reply, 404, "Not Found");
    }
    return false;
}

/* Of a request that says beforehand how long it is. */
static void refuse_body(exchange *x)
{
    const tfn_http *http = x->worker->http;
    tfn_reply_detail(&x->reply, 413, BODY_TOO_LARGE, (long long)http->limits->max_body_bytes);
    x->route = NULL;
    http->hooks.count_refused(http->hooks.owner, TFN_REFUSED_LIMIT);
}

static enum MHD_Result add_field(void *cls, enum MHD_ValueKind kind, const char *name,
                                 size_t n_name, const char *value, size_t n_value)
{
    (void)kind;
    const tfn_str text = {value == NULL ? "" : value, value == NULL ? 0 : n_value};
    return tfn_head_add(cls, (tfn_str){name, n_name}, text) ? MHD_YES : MHD_NO;
}

/* Look at the header's fields; false: the reply refuses the request, and its connection ends. */
static bool read_head(exchange *x, const char *method, const char *version, tfn_head *head)
{
    const tfn_http *http = x->worker->http;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    const size_t n_bytes = info == NULL ? 0 : info->header_size;
    x->must_close = true;
    if ((int64_t)n_bytes > http->limits->max_header_bytes) {
        tfn_reply_detail(
            &x->reply, 431,
            "The request's head has %zu bytes, and %lld are allowed; send fewer or shorter "
            "header fields, or raise the limit max_header.",
            n_bytes, (long long)http->limits->max_header_bytes);
        http->hooks.count_refused(http->hooks.owner, TFN_REFUSED_LIMIT);
        return false;
    }
    *head = (tfn_head){.next = http->has_strict_parser ? NULL : version + strlen(version) + 2};
    (void)MHD_get_connection_values_n(x->mhd, MHD_HEADER_KIND, add_field, head);
    if (head->problem != NULL ||
        !tfn_head_finish(head, method + n_bytes, strcmp(version, MHD_HTTP_VERSION_1_1) == 0)) {
        tfn_reply_detail(&x->reply, 400, "%s", head->problem);
        return false;
    }
    x->must_close = false;
    return true;
}

/* The request's head is here. Leaves x->route, or a reply. */
static void judge(exchange *x, const tfn_head *head)
{
    tfn_http *http = x->worker->http;
    if (x->peer->is_one_too_many) {
        x->must_close = true;
        http->hooks.count_refused(http->hooks.owner, TFN_REFUSED_CONNECTIONS);
        tfn_reply_detail(
            &x->reply, 503,
            "This server has its %d connections already; try again later, or raise the limit "
            "max_connections.",
            (int)http->limits->max_connections);
        x->reply.retry_after_s = RETRY_AFTER_S;
        return;
    }
    if (!find_route(x)) {
        return;
    }
    x->caller.authorization = head->authorization;
    x->caller.x_api_key = head->x_api_key;
    if (!http->hooks.admit(http->hooks.owner, x->route->scope, &x->caller, &x->request,
                           &x->reply)) {
        x->route = NULL;
        return;
    }
    if (head->has_length && head->content_length > (uint64_t)http->limits->max_body_bytes) {
        refuse_body(x);
    }
}

static enum MHD_Result begin(exchange *x, const char *method, const char *version)
{
    tfn_head head = {0};
    x->request.method = tfn_str_of(method);
    const bool is_well_formed = x->reply.status == 0 && read_head(x, method, version, &head);
    if (is_well_formed) {
        if (tfn_str_is(x->request.method, "HEAD")) {
            x->request.method = tfn_str_of("GET"); /* the library leaves the body out */
        }
        judge(x, &head);
    }
    x->state = BODY;
    const bool has_long_body = head.is_chunked || head.content_length > DISCARD_MAX_BYTES ||
                               (head.expects && head.content_length > 0);
    if (x->route != NULL || (is_well_formed && !has_long_body)) {
        return MHD_YES; /* what is refused is answered in its turn, and the connection stays */
    }
    x->must_close = true;
    tfn_peers_linger(&x->worker->http->peers, x->peer->fd);
    return send_reply(x);
}

/* ---- the body ---- */

/* End a request whose body is still coming. */
static enum MHD_Result cut_off(exchange *x, int32_t status, const char *sentence)
{
    tfn_reply_detail(&x->reply, status, "%s", sentence);
    x->state = SENT;
    note(x);
    tfn_peer_refuse(x->peer, status, sentence);
    tfn_peers_linger(&x->worker->http->peers, x->peer->fd);
    return MHD_NO;
}

/* Count what a large body holds; false: all together hold too much. */
static bool count_body(exchange *x)
{
    tfn_http *http = x->worker->http;
    const int64_t n_more = (int64_t)x->n_body_bytes - UNCOUNTED_BYTES - x->n_counted;
    if (n_more <= 0) {
        return true;
    }
    x->n_counted += n_more;
    const int64_t n_before =
        atomic_fetch_add_explicit(&http->n_bodies_bytes, n_more, memory_order_relaxed);
    return n_before + n_more <= http->limits->max_bodies_bytes;
}

static enum MHD_Result gather(exchange *x, const char *data, size_t *n_data)
{
    const tfn_http *http = x->worker->http;
    const size_t n = *n_data;
    char sentence[TFN_ERROR_MESSAGE_BYTES / 2];
    *n_data = 0;
    x->n_body_bytes += n;
    if (x->route == NULL) {
        return MHD_YES; /* the reply is there already */
    }
    if (x->n_body_bytes > (uint64_t)http->limits->max_body_bytes) {
        (void)snprintf(sentence, sizeof sentence, BODY_TOO_LARGE,
                       (long long)http->limits->max_body_bytes);
        http->hooks.count_refused(http->hooks.owner, TFN_REFUSED_LIMIT);
        return cut_off(x, 413, sentence);
    }
    if (!count_body(x)) {
        (void)snprintf(sentence, sizeof sentence,
                       "The bodies of all requests together are larger than %lld bytes; send this "
                       "one again in a second, or raise the limit max_bodies.",
                       (long long)http->limits->max_bodies_bytes);
        http->hooks.count_refused(http->hooks.owner, TFN_REFUSED_LIMIT);
        return cut_off(x, 503, sentence);
    }
    if (tfn_buf_add(&x->body, data, n, NULL) != TFN_OK) {
        return cut_off(x, 503, "The server has no memory for this request; try again later.");
    }
    return MHD_YES;
}

static enum MHD_Result finish(exchange *x)
{
    if (!tfn_peer_set(x->peer, TFN_PEER_WAITING, x->began_ns / 1000000)) {
        return MHD_NO; /* it was late, and was told so */
    }
    if (x->route != NULL) {
        tfn_route_outcome outcome = TFN_ROUTE_DONE;
        x->request.body = tfn_buf_get_str(&x->body);
        run_handler(x, x->worker->context, &outcome);
        if (outcome == TFN_ROUTE_LATER) {
            x->state = PARKING;
            return MHD_YES;
        }
    }
    return send_reply(x);
}

/* ---- what the library calls ---- */

/*
 * Let the library see no query: it would make a record of each parameter in the connection's memory,
 * and where that is too small (some hundred parameters) neither answer nor go on. The target is in its
 * own buffer, and has been copied.
 */
static void hide_query(const char *target)
{
    const char *mark = strchr(target, '?');
    if (mark != NULL) {
        ((char *)(uintptr_t)mark)[1] = '\0';
    }
}

static void *on_target(void *cls, const char *target, struct MHD_Connection *mhd)
{
    worker *w = cls;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    tfn_peer *peer = info == NULL ? NULL : info->socket_context;
    exchange *x = peer == NULL ? NULL : take_exchange(w);
    if (x == NULL) {
        return NULL;
    }
    x->peer = peer;
    x->mhd = mhd;
    x->began_ns = nanoseconds_of(CLOCK_MONOTONIC);
    x->ended_ns = x->began_ns;
    x->began_us = w->http->notes_peers ? nanoseconds_of(CLOCK_REALTIME) / 1000 : 0;
    if (!tfn_peer_set(peer, TFN_PEER_SENDING, x->began_ns / 1000000)) {
        give_exchange(x);
        return NULL;
    }
    tfn_error err = {0};
    const tfn_code rc = tfn_head_read_target(tfn_str_of(target), &x->target, &x->request.path,
                                             &x->request.query, &err);
    if (rc != TFN_OK) {
        x->must_close = true;
        tfn_reply_detail(&x->reply, rc == TFN_INVALID ? 400 : 503, "%s", err.message);
    }
    hide_query(target);
    return x;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *n_data, void **request)
{
    (void)cls;
    (void)mhd;
    (void)url;
    exchange *x = *request;
    if (x == NULL) {
        return MHD_NO; /* no memory, or it was sent away */
    }
    switch (x->state) {
    case HEAD:
        return begin(x, method, version);
    case BODY:
        return *n_data > 0 ? gather(x, data, n_data) : finish(x);
    case PARKING:
        return park(x);
    case PARKED:
        return send_reply(x);
    case SENT:
        break;
    }
    *n_data = 0;
    return MHD_YES;
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **request,
                         enum MHD_RequestTerminationCode why)
{
    (void)cls;
    (void)mhd;
    (void)why;
    exchange *x = *request;
    *request = NULL;
    if (x == NULL) {
        return;
    }
    const bool took_time = x->reply.body.n > LARGE_BYTES;
    /* It may have been sent away: then it is being closed. */
    (void)tfn_peer_set(x->peer, TFN_PEER_SILENT,
                       took_time ? tfn_peers_now_ms() : x->ended_ns / 1000000);
    give_exchange(x);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    worker *w = cls;
    tfn_http *http = w->http;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        tfn_peer *peer = *context;
        *context = NULL;
        if (peer != NULL) {
            tfn_peers_remove(&http->peers, peer);
            tfn_mem_free(peer);
            http->hooks.count_connection(http->hooks.owner, -1);
        }
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    void *p = NULL;
    if (info == NULL || tfn_mem_alloc_array(1, sizeof(tfn_peer), &p, NULL) != TFN_OK) {
        return; /* its first request closes it */
    }
    tfn_peer *peer = p;
    peer->fd = info->connect_fd;
    peer->is_tls = http->is_tls;
    tfn_peers_add(&http->peers, peer);
    http->hooks.count_connection(http->hooks.owner, +1);
    *context = peer;
}

static void on_log(void *cls, const char *format, va_list args) TFN_PRINTF(2, 0);

/* What the library says of its start; of clients it says nothing that their replies do not. */
static void on_log(void *cls, const char *format, va_list args)
{
    tfn_http *http = cls;
    if (pthread_equal(pthread_self(), http->starter)) {
        (void)vsnprintf(http->log, sizeof http->log, format, args);
        size_t n = strlen(http->log); /* a line of its own; here it ends a sentence of ours */
        while (n > 0 && strchr(" .\n", http->log[n - 1]) != NULL) {
            http->log[--n] = '\0';
        }
    }
}

/* ---- start and stop ---- */

static tfn_code read_pem(const char *path, tfn_buf *out, tfn_error *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return TFN_FAIL_SYS(err, errno, "the PEM file '%s' cannot be read", path);
    }
    tfn_buf_init(out, PEM_MAX_BYTES);
    const tfn_code rc = tfn_buf_add_file(out, fd, path, err);
    (void)close(fd);
    return rc != TFN_LIMIT
               ? rc
               : TFN_FAIL(err, TFN_INVALID, "'%s' is no PEM file: it is larger than 1 MiB", path);
}

static tfn_code read_tls(tfn_http *http, const tfn_http_opts *opts, tfn_error *err)
{
    http->is_tls = opts->tls_key != NULL;
    if (!http->is_tls) {
        return TFN_OK;
    }
    if (MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES) {
        return TFN_FAIL(err, TFN_UNSUPPORTED,
                        "this libmicrohttpd (%s) was built without TLS; install one "
                        "with it, or let a proxy speak TLS",
                        MHD_get_version());
    }
    TFN_RETURN_IF_ERROR(read_pem(opts->tls_key, &http->tls_key, err));
    return read_pem(opts->tls_cert, &http->tls_cert, err);
}

static tfn_code start_worker(tfn_http *http, worker *w, const tfn_http_opts *opts, int listen_fd,
                             tfn_error *err)
{
    /* A head somewhat beyond the limit still fits, to be refused by its name. The library clears this
     * memory after each request, so it is no larger than it must be. */
    const int64_t wanted = http->limits->max_header_bytes + http->limits->max_header_bytes / 2;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_KEY, 0, http->tls_key.p},
        {MHD_OPTION_HTTPS_MEM_CERT, 0, http->tls_cert.p},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t) "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1"},
        {MHD_OPTION_END, 0, NULL}};
    w->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
            (http->is_tls ? MHD_USE_TLS : 0U),
        0, NULL, NULL, on_request, w, MHD_OPTION_EXTERNAL_LOGGER, on_log, (void *)http,
        MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, (void *)w,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, (void *)w, MHD_OPTION_URI_LOG_CALLBACK,
        on_target, (void *)w, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)(wanted > POOL_MIN_BYTES ? wanted : POOL_MIN_BYTES), MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)http->limits->max_connections + SPARE_CONNECTIONS, MHD_OPTION_ARRAY,
        http->is_tls ? tls : &tls[sizeof tls / sizeof *tls - 1], MHD_OPTION_END);
    if (w->daemon == NULL && http->is_tls) {
        return TFN_FAIL(
            err, TFN_INVALID,
            "TLS cannot be served with the key '%s' and the certificate '%s'; both must "
            "be PEM, and made for each other: %s",
            opts->tls_key, opts->tls_cert,
            http->log[0] != '\0' ? http->log : "the library does not say more");
    }
    if (w->daemon == NULL) {
        return TFN_FAIL_SYS(err, errno, "a thread that answers requests cannot be started: %s",
                            http->log);
    }
    return TFN_OK;
}

static tfn_code start_workers(tfn_http *http, const tfn_http_opts *opts, tfn_error *err)
{
    for (size_t i = 0; i < opts->n_workers; i++) {
        worker *w = &http->workers[i];
        *w = (worker){.http = http, .context = &opts->workers[i]};
        TFN_RETURN_IF_ERROR(start_worker(http, w, opts, opts->listen_fds[i], err));
        http->n_workers++;
    }
    return TFN_OK;
}

tfn_code tfn_http_start(const tfn_http_opts *opts, tfn_http **out, tfn_error *err)
{
    *out = NULL;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_http), &p, err));
    tfn_http *http = p;
    http->starter = pthread_self();
    http->hooks = opts->hooks;
    http->limits = opts->limits;
    http->notes_peers = opts->notes_peers;
    http->has_strict_parser = MHD_get_version()[0] != '0';
    tfn_peers_init(&http->peers, opts->limits);
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, read_tls(http, opts, err), done);
    TFN_GOTO_IF_ERROR(
        rc,
        tfn_mem_alloc_array(opts->n_workers, sizeof *http->workers, (void **)&http->workers, err),
        done);
    TFN_GOTO_IF_ERROR(rc,
                      tfn_jobs_create(opts->jobs, opts->n_jobs, (size_t)opts->limits->max_jobs,
                                      run_job, http, &http->jobs, err),
                      done);
    TFN_GOTO_IF_ERROR(rc, start_workers(http, opts, err), done);
    *out = http;
    return TFN_OK;
done:
    for (size_t i = http->n_workers; i < opts->n_workers; i++) {
        (void)close(opts->listen_fds[i]);
    }
    tfn_http_destroy(http);
    return rc;
}

/* Hand what the kernel has accepted for a socket to its worker, then close it. */
static void empty_backlog(worker *w, int fd)
{
    for (;;) {
        struct sockaddr_storage address = {0};
        socklen_t n = sizeof address;
        const int peer = accept(fd, (struct sockaddr *)&address, &n);
        if (peer < 0 && (errno == EINTR || errno == ECONNABORTED)) {
            continue;
        }
        if (peer < 0) {
            break;
        }
        if (fcntl(peer, F_SETFD, FD_CLOEXEC) != 0 || fcntl(peer, F_SETFL, O_NONBLOCK) != 0) {
            (void)close(peer);
            continue;
        }
        /* It takes the socket, or closes it. */
        (void)MHD_add_connection(w->daemon, peer, (const struct sockaddr *)&address, n);
    }
    (void)close(fd);
}

void tfn_http_quiesce(tfn_http *http)
{
    atomic_store_explicit(&http->is_draining, true, memory_order_relaxed);
    for (size_t i = 0; i < http->n_workers; i++) {
        worker *w = &http->workers[i];
        const int fd = MHD_quiesce_daemon(w->daemon);
        if (fd != MHD_INVALID_SOCKET) {
            empty_backlog(w, fd);
        }
    }
}

void tfn_http_wait_idle(tfn_http *http, int32_t max_ms)
{
    const struct timespec pause = {.tv_nsec = WAIT_STEP_NS};
    const int64_t end_ms = tfn_peers_now_ms() + max_ms;
    /* Connections from the backlog are counted once their workers have seen them. */
    int64_t now_ms = tfn_peers_now_ms();
    const int64_t seen_ms = now_ms + QUIET_MS;
    while (now_ms < end_ms &&
           (now_ms < seen_ms || tfn_peers_count_busy(&http->peers, now_ms, QUIET_MS) > 0)) {
        (void)nanosleep(&pause, NULL);
        now_ms = tfn_peers_now_ms();
    }
}

int32_t tfn_http_tend(tfn_http *http)
{
    uint32_t n_late = 0;
    const int32_t next_ms = tfn_peers_tend(&http->peers, tfn_peers_now_ms(), &n_late);
    for (uint32_t i = 0; i < n_late; i++) {
        http->hooks.count_refused(http->hooks.owner, TFN_REFUSED_LIMIT);
    }
    return next_ms;
}

void tfn_http_destroy(tfn_http *http)
{
    if (http == NULL) {
        return;
    }
    tfn_jobs_stop(http->jobs); /* resumes every connection that is suspended */
    for (size_t i = 0; i < http->n_workers; i++) {
        worker *w = &http->workers[i];
        MHD_stop_daemon(w->daemon);
        for (exchange *x = w->pool; x != NULL; x = w->pool) {
            w->pool = x->next;
            destroy_exchange(x);
        }
    }
    tfn_jobs_destroy(http->jobs);
    tfn_peers_deinit(&http->peers);
    tfn_buf_deinit(&http->tls_key);
    tfn_buf_deinit(&http->tls_cert);
    tfn_mem_free(http->workers);
    tfn_mem_free(http);
}
