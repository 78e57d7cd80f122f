/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* The transport, with handlers of this test, through real sockets. */

#include "unit/base_make.h"

#include "unit/server_client.h"

#include "server/http.c"

#include "server/listen.h"

/* ---- handlers ---- */

/* A handler that waits holds its job until it is let go. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int n_inside;
    bool is_open;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void gate_set(bool is_open)
{
    pthread_mutex_lock(&gate.lock);
    gate.is_open = is_open;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static void gate_pass(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.n_inside++;
    pthread_cond_broadcast(&gate.changed);
    while (!gate.is_open) {
        pthread_cond_wait(&gate.changed, &gate.lock);
    }
    gate.n_inside--;
    pthread_mutex_unlock(&gate.lock);
}

static void gate_wait_inside(int n)
{
    pthread_mutex_lock(&gate.lock);
    while (gate.n_inside < n) {
        pthread_cond_wait(&gate.changed, &gate.lock);
    }
    pthread_mutex_unlock(&gate.lock);
}

static tfn_route_outcome echo(tfn_context *context, const tfn_request *request, tfn_reply *reply)
{
    void *p = NULL;
    assert_int_equal(tfn_arena_alloc(&context->arena, 1000, 1, &p, NULL), TFN_OK);
    assert_int_equal(tfn_buf_add_str(&reply->body, request->body, NULL), TFN_OK);
    reply->status = 200;
    reply->n_rows = 1;
    return TFN_ROUTE_DONE;
}

static tfn_route_outcome say_target(tfn_context *context, const tfn_request *request,
                                    tfn_reply *reply)
{
    (void)context;
    assert_int_equal(tfn_buf_add_format(&reply->body, NULL, "%.*s|%.*s|%.*s",
                                        TFN_STR_ARG(request->path), TFN_STR_ARG(request->rest),
                                        TFN_STR_ARG(request->query)),
                     TFN_OK);
    reply->content_type = "text/plain";
    reply->status = 200;
    return TFN_ROUTE_DONE;
}

static tfn_route_outcome later(tfn_context *context, const tfn_request *request, tfn_reply *reply)
{
    if (!context->may_block) {
        return TFN_ROUTE_LATER;
    }
    gate_pass();
    return echo(context, request, reply);
}

static const tfn_route routes[] = {{"POST", "/echo", TFN_SCOPE_READ, echo},
                                   {"GET", "/target/", TFN_SCOPE_NONE, say_target},
                                   {"POST", "/later", TFN_SCOPE_WRITE, later}};
enum { N_TEST_ROUTES = sizeof routes / sizeof *routes };

/* These stand in for routes.c. */
const tfn_route *tfn_routes_get(size_t *n)
{
    *n = N_TEST_ROUTES;
    return routes;
}

int32_t tfn_routes_find(tfn_request *request, bool *is_known_path)
{
    *is_known_path = false;
    for (int32_t i = 0; i < N_TEST_ROUTES; i++) {
        const size_t n = strlen(routes[i].path);
        const bool fits = routes[i].path[n - 1] == '/'
                              ? tfn_str_starts_with(request->path, routes[i].path)
                              : tfn_str_is(request->path, routes[i].path);
        *is_known_path = *is_known_path || fits;
        if (fits && tfn_str_is(request->method, routes[i].method)) {
            request->rest = (tfn_str){request->path.p + n, request->path.n - n};
            return i;
        }
    }
    return -1;
}

/* ---- a server ---- */

enum { N_WORKERS = 2, N_JOBS = 2 };

typedef struct server {
    tfn_limits limits;
    tfn_http *http;
    int32_t port;
    tfn_context workers[N_WORKERS];
    tfn_context jobs[N_JOBS];
    _Atomic int n_noted;
    _Atomic int n_open;
    _Atomic int n_refused[TFN_N_REFUSALS];
} server;

static bool admit(void *owner, tfn_scope scope, tfn_caller *caller, tfn_request *request,
                  tfn_reply *reply)
{
    (void)owner;
    (void)scope;
    request->is_admin = tfn_str_is(caller->authorization, "Bearer good");
    if (tfn_str_is(caller->x_api_key, "bad")) {
        tfn_reply_detail(reply, 401, "no such key");
        return false;
    }
    return true;
}

static void count_note(void *owner, tfn_context *context, int32_t i_route, const tfn_access *access)
{
    server *s = owner;
    assert_non_null(context);
    assert_true(i_route < N_TEST_ROUTES);
    assert_true(access->status >= 200 && access->took_us >= 0);
    assert_text(access->peer.p, "127.0.0.1:");
    atomic_fetch_add(&s->n_noted, 1);
}

static void count_open(void *owner, int32_t change)
{
    server *s = owner;
    atomic_fetch_add(&s->n_open, change);
}

static void count_refused(void *owner, tfn_refusal why)
{
    server *s = owner;
    atomic_fetch_add(&s->n_refused[why], 1);
}

static const tfn_limits usual = {.max_body_bytes = 1000000,
                                 .max_bodies_bytes = 2000000,
                                 .max_header_bytes = 16384,
                                 .max_connections = 100,
                                 .max_jobs = 1,
                                 .request_ms = 30000,
                                 .idle_ms = 60000,
                                 .drain_ms = 10000};

static void start(server *s, tfn_limits limits)
{
    *s = (server){.limits = limits};
    int fds[N_WORKERS];
    tfn_error err = {0};
    gate_set(false);
    for (size_t i = 0; i < N_JOBS; i++) {
        s->jobs[i].may_block = true;
    }
    assert_ok(tfn_listen_tcp("127.0.0.1", &s->port, N_WORKERS, fds, &err), err);
    const tfn_http_opts opts = {.limits = &s->limits,
                                .workers = s->workers,
                                .listen_fds = fds,
                                .n_workers = N_WORKERS,
                                .jobs = s->jobs,
                                .n_jobs = N_JOBS,
                                .notes_peers = true,
                                .hooks = {s, admit, count_note, count_open, count_refused}};
    assert_ok(tfn_http_start(&opts, &s->http, &err), err);
    if (s->http == NULL) {
        abort(); /* no test can go on without */
    }
}

static void stop(server *s)
{
    gate_set(true);
    tfn_http_destroy(s->http);
    for (size_t i = 0; i < N_WORKERS; i++) {
        tfn_arena_deinit(&s->workers[i].arena);
    }
    for (size_t i = 0; i < N_JOBS; i++) {
        tfn_arena_deinit(&s->jobs[i].arena);
    }
    assert_int_equal(atomic_load(&s->n_open), 0);
}

static void send_post(client *c, const char *path, const char *body)
{
    char head[256];
    (void)snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n",
                   path, strlen(body));
    client_send(c, head);
    client_send(c, body);
}

/* ---- tests ---- */

static void a_connection_serves_many_requests_with_and_without_bodies(void **state)
{
    (void)state;
    server s;
    start(&s, usual);
    client c = client_dial(s.port);
    for (int i = 0; i < 3; i++) {
        send_post(&c, "/echo", "{\"a\": 1}");
        client_reply r = client_read(&c, false);
        assert_int_equal(r.status, 200);
        assert_string_equal(r.body, "{\"a\": 1}");
        assert_text(r.head, "Content-Type: application/json\r\n");
        client_reply_end(&r);
        client_send(&c, "GET /target/a%20b/%C3%A9?x=%41&y HTTP/1.1\r\nHost: a\r\n\r\n");
        client_expect(&c, 200, "/target/a b/\xc3\xa9|a b/\xc3\xa9|x=%41&y");
        client_send(&c, "HEAD /target/x HTTP/1.1\r\nHost: a\r\n\r\n");
        r = client_read(&c, true);
        assert_int_equal(r.status, 200);
        assert_text(r.head, "Content-Length: 12\r\n");
        client_reply_end(&r);
    }
    client_send(&c, "GET http://example.org/target/?q HTTP/1.1\r\nHost: a\r\n\r\n");
    client_expect(&c, 200, "/target/||q");
    client_close(&c);
    stop(&s);
    assert_int_equal(atomic_load(&s.n_noted), 10);
}

static void requests_in_one_packet_are_answered_in_their_order(void **state)
{
    (void)state;
    server s;
    start(&s, usual);
    client c = client_dial(s.port);
    client_send(&c,
                "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none"
                "GET /target/two HTTP/1.1\r\nHost: a\r\n\r\n"
                "POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nthree"
                "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                "2\r\nfo\r\n2;x=y\r\nur\r\n0\r\nTrailer: x\r\n\r\n"
                "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nConnection: close\r\n\r\n"
                "five");
    client_expect(&c, 200, "one");
    client_expect(&c, 200, "two");
    client_expect(&c, 404, "{\"detail\":\"Not Found\"}");
    client_expect(&c, 200, "four");
    client_expect(&c, 200, "five");
    client_expect_end(&c);
    client_close(&c);
    stop(&s);
}

static void a_request_that_comes_byte_by_byte_is_the_same_request(void **state)
{
    (void)state;
    server s;
    start(&s, usual);
    client c = client_dial(s.port);
    const char *text = "POST /echo?q=1 HTTP/1.1\r\nHost: a\r\nX-A:  b \t\r\nX-Api-Key: good\r\n"
                       "Content-Length: 12\r\n\r\nhello, there";
    const int on = 1;
    assert_int_equal(setsockopt(c.fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on), 0);
    for (const char *p = text; *p != '\0'; p++) {
        client_send_bytes(&c, p, 1);
    }
    client_expect(&c, 200, "hello, there");
    client_close(&c);
    stop(&s);
}

static void what_no_route_takes_is_404_or_405_with_the_methods(void **state)
{
    (void)state;
    server s;
    start(&s, usual);
    client c = client_dial(s.port);
    client_send(&c, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    client_reply r = client_read(&c, false);
    assert_int_equal(r.status, 405);
    assert_string_equal(r.body, "{\"detail\":\"Method Not Allowed\"}");
    assert_text(r.head, "Allow: POST\r\n");
    client_reply_end(&r);
    client_send(&c, "GET /echo/ HTTP/1.1\r\nHost: a\r\n\r\n");
    client_expect(&c, 404, "Not Found");
    client_send(&c, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    client_expect(&c, 404, "Not Found");
    client_send(&c, "GET /target HTTP/1.1\r\nHost: a\r\nX-Api-Key: bad\r\n\r\n");
    client_expect(&c, 404, "Not Found");
    client_send(&c, "GET /target/ HTTP/1.1\r\nHost: a\r\nX-Api-Key: bad\r\n\r\n");
    r = client_read(&c, false);
    assert_int_equal(r.status, 401);
    assert_text(r.head, "WWW-Authenticate: Bearer\r\n");
    client_reply_end(&r);
    send_post(&c, "/echo", "still here");
    client_expect(&c, 200, "still here");
    client_close(&c);
    stop(&s);
}

static void what_could_be_read_in_two_ways_is_refused_and_the_connection_ends(void **state)
{
    (void)state;
    static const char *const forms[] = {
        ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: "
         "chunked\r\n\r\n0\r\n\r\n"),
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n 4\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\nHost: a\r\nX-A: 3\r\n\tb: c\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nX-A: 3\nContent-Length: 3\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
         "chunked\r\n\r\n"
         "0\r\n\r\n"),
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nX-A: b\rc\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nX(A: b\r\n\r\n",
        "GET /target/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /target/ HTTP/1.1\r\n\r\n",
        "GET /target/\t HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /target/%zz HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /target/% HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /target/%00 HTTP/1.1\r\nHost: a\r\n\r\n",
    };
    server s;
    start(&s, usual);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        client c = client_dial(s.port);
        client_send(&c, forms[i]);
        client_send(&c, "GET /target/second HTTP/1.1\r\nHost: a\r\n\r\n");
        client_reply r = client_read(&c, false);
        if (r.status != 400) {
            fail_msg("expected 400, got %d %s for: %s", r.status, r.body, forms[i]);
        }
        client_reply_end(&r);
        while (client_fill(&c)) { /* the library's own refusals may have a tail */
        }
        assert_null(strstr(c.text, "second"));
        client_close(&c);
    }
    client c = client_dial(s.port);
    static const char with_nul[] = "GET /target/ HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n";
    client_send_bytes(&c, with_nul, sizeof with_nul - 1);
    client_expect(&c, 400, "NUL");
    client_expect_end(&c);
    client_close(&c);
    stop(&s);
}

static void bodies_and_heads_beyond_their_limits_are_refused_by_name(void **state)
{
    (void)state;
    server s;
    start(&s, usual);
    enum { LONG = 1500000 };
    static char body[LONG];
    memset(body, 'x', LONG);

    client c = client_dial(s.port); /* said beforehand: answered before it is sent */
    client_send(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000001\r\n\r\n");
    client_expect(&c, 413, "raise the limit max_body");
    client_expect_end(&c);
    client_close(&c);

    c = client_dial(s.port); /* sent nevertheless: the reply is not lost */
    client_send(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1500000\r\n\r\n");
    client_send_bytes(&c, body, LONG);
    (void)tfn_http_tend(s.http);
    client_expect(&c, 413, "larger than 1000000 bytes");
    client_close(&c);

    c = client_dial(s.port); /* not said: counted as it comes */
    client_send(&c,
                "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n16e360\r\n");
    client_send_bytes(&c, body, 1000001);
    client_expect(&c, 413, "larger than 1000000 bytes");
    client_expect_end(&c);
    client_close(&c);

    c = client_dial(s.port);
    client_send(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    client_send_bytes(&c, body, 1000000);
    client_expect(&c, 200, "xxx");
    client_send(&c, "GET /target/ HTTP/1.1\r\nHost: a\r\nX: ");
    client_send_bytes(&c, body, 17000);
    client_send(&c, "\r\n\r\n");
    client_expect(&c, 431, "raise the limit max_header");
    client_expect_end(&c);
    client_close(&c);
    assert_int_equal(atomic_load(&s.n_refused[TFN_REFUSED_LIMIT]), 4);
    stop(&s);
}

static void all_bodies_together_have_a_limit(void **state)
{
    (void)state;
    enum { LONG = 600 * 1000 };
    static const char head[] = " HTTP/1.1\r\nHost: a\r\nContent-Length: 600000\r\n\r\n";
    static char body[LONG];
    tfn_limits limits = usual;
    server s;
    limits.max_bodies_bytes = LONG + 200 * 1000;
    memset(body, 'x', LONG);
    start(&s, limits);
    client held = client_dial(s.port);
    client_send(&held, "POST /later");
    client_send(&held, head);
    client_send_bytes(&held, body, LONG);
    gate_wait_inside(1);

    client c = client_dial(s.port);
    client_send(&c, "POST /echo");
    client_send(&c, head);
    client_send_bytes(&c, body, LONG);
    (void)tfn_http_tend(s.http);
    client_expect(&c, 503, "raise the limit max_bodies");
    client_close(&c);
    assert_int_equal(atomic_load(&s.n_refused[TFN_REFUSED_LIMIT]), 1);

    c = client_dial(s.port); /* small ones are not counted */
    send_post(&c, "/echo", "small");
    client_expect(&c, 200, "small");
    gate_set(true);
    client_expect(&held, 200, "xxx");
    while (atomic_load(&s.http->n_bodies_bytes) > 0) {
        (void)sched_yield();
    }
    client_send(&c, "POST /echo");
    client_send(&c, head);
    client_send_bytes(&c, body, LONG);
    client_expect(&c, 200, "xxx");
    client_close(&c);
    client_close(&held);
    stop(&s);
}

static void a_client_may_ask_before_it_sends_its_body(void **state)
{
    (void)state;
    server s;
    start(&s, usual);
    client c = client_dial(s.port);
    client_send(
        &c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    client_expect(&c, 100, NULL);
    client_send(&c, "ab");
    client_expect(&c, 200, "ab");
    client_send(
        &c, "POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    client_expect(&c, 404, "Not Found");
    client_expect_end(&c);
    client_close(&c);
    stop(&s);
}

/* Tend until a reply is there. */
static void tend_until_readable(server *s, client *c)
{
    char byte = 0;
    const struct timespec pause = {.tv_nsec = 1000000};
    while (c->fd >= 0 && recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0) {
        (void)tfn_http_tend(s->http);
        (void)nanosleep(&pause, NULL);
    }
}

static void slow_senders_are_told_and_silent_ones_sent_away(void **state)
{
    (void)state;
    server s;
    tfn_limits limits = usual;
    limits.request_ms = 30;
    start(&s, limits);
    client c = client_dial(s.port);
    client_send(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    tend_until_readable(&s, &c);
    client_expect(&c, 408, "not complete 30 ms after it began");
    client_expect_end(&c);
    client_close(&c);
    c = client_dial(s.port);
    client_send(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nX-"); /* a head that does not end */
    tend_until_readable(&s, &c);
    client_expect(&c, 408, "not complete");
    client_close(&c);
    stop(&s);
    limits.idle_ms = 20;
    start(&s, limits);
    c = client_dial(s.port);
    client_send(&c, "POST /ec"); /* not even a first line */
    tend_until_readable(&s, &c);
    client_expect_end(&c);
    client_close(&c);
    stop(&s);
}

static void connections_beyond_the_limit_are_answered_503(void **state)
{
    (void)state;
    server s;
    tfn_limits limits = usual;
    limits.max_connections = 2;
    start(&s, limits);
    client held[2] = {client_dial(s.port), client_dial(s.port)};
    for (size_t i = 0; i < 2; i++) {
        send_post(&held[i], "/echo", "x");
        client_expect(&held[i], 200, "x");
    }
    client late = client_dial(s.port);
    send_post(&late, "/echo", "y");
    client_expect(&late, 503, "has its 2 connections already");
    client_expect_end(&late);
    client_close(&late);
    client silent = client_dial(s.port);
    tend_until_readable(&s, &silent);
    client_expect(&silent, 503, "has its 2 connections already");
    client_expect_end(&silent);
    client_close(&silent);
    send_post(&held[0], "/echo", "z");
    client_expect(&held[0], 200, "z");
    client_close(&held[0]);
    client_close(&held[1]);
    stop(&s);
}

static void jobs_run_beside_the_workers_and_a_full_queue_says_so_at_once(void **state)
{
    (void)state;
    server s;
    start(&s, usual);
    client c[N_JOBS + 1];
    for (int i = 0; i < N_JOBS; i++) {
        c[i] = client_dial(s.port);
        send_post(&c[i], "/later", "job");
        gate_wait_inside(i + 1);
    }
    c[N_JOBS] = client_dial(s.port); /* waits */
    send_post(&c[N_JOBS], "/later", "job");
    while (tfn_jobs_get_waiting(s.http->jobs) == 0) {
        (void)sched_yield();
    }
    client full = client_dial(s.port);
    send_post(&full, "/later", "one more");
    client_reply r = client_read(&full, false);
    assert_int_equal(r.status, 503);
    assert_text(r.head, "Retry-After: 1\r\n");
    assert_text(r.body, "raise the limit max_jobs");
    client_reply_end(&r);
    send_post(&full, "/echo", "quick"); /* others are served meanwhile */
    client_expect(&full, 200, "quick");
    gate_set(true);
    for (int i = 0; i < N_JOBS + 1; i++) {
        client_expect(&c[i], 200, "job");
        send_post(&c[i], "/echo", "kept");
        client_expect(&c[i], 200, "kept");
        client_close(&c[i]);
    }
    client_close(&full);
    assert_int_equal(atomic_load(&s.n_refused[TFN_REFUSED_JOBS]), 1);
    stop(&s);
}

static void a_client_that_left_or_half_closed_during_a_job_does_no_harm(void **state)
{
    (void)state;
    server s;
    start(&s, usual);
    client gone = client_dial(s.port);
    send_post(&gone, "/later", "gone");
    gate_wait_inside(1);
    client half = client_dial(s.port);
    send_post(&half, "/later", "half");
    gate_wait_inside(2);
    client_close(&gone);
    assert_int_equal(shutdown(half.fd, SHUT_WR), 0);
    gate_set(true);
    client_expect(&half, 200, "half");
    client_close(&half);
    client c = client_dial(s.port);
    send_post(&c, "/later", "on");
    client_send(&c, "GET /target/next HTTP/1.1\r\nHost: a\r\n\r\n");
    client_expect(&c, 200, "on");
    client_expect(&c, 200, "next");
    client_close(&c);
    stop(&s);
}

static void a_drain_answers_what_is_under_way_and_closes(void **state)
{
    (void)state;
    server s;
    start(&s, usual);
    client idle = client_dial(s.port);
    send_post(&idle, "/echo", "a");
    client_expect(&idle, 200, "a");
    client busy = client_dial(s.port);
    send_post(&busy, "/later", "busy");
    gate_wait_inside(1);
    tfn_http_quiesce(s.http);
    client refused = client_dial(s.port);
    assert_int_equal(refused.fd, -1);
    client_close(&refused);
    send_post(&idle, "/echo", "b"); /* a last one on a connection that was there */
    client_reply r = client_read(&idle, false);
    assert_int_equal(r.status, 200);
    assert_text(r.head, "Connection: close\r\n");
    client_reply_end(&r);
    client_expect_end(&idle);
    assert_true(tfn_peers_count_busy(&s.http->peers, tfn_peers_now_ms(), 0) > 0);
    gate_set(true);
    tfn_http_wait_idle(s.http, 10000);
    client_expect(&busy, 200, "busy");
    client_expect_end(&busy);
    client_close(&busy);
    client_close(&idle);
    stop(&s);
}

static void a_stop_ends_waiting_jobs_with_an_answer(void **state)
{
    (void)state;
    server s;
    start(&s, usual);
    client c[N_JOBS];
    for (int i = 0; i < N_JOBS; i++) {
        c[i] = client_dial(s.port);
        send_post(&c[i], "/later", "under way");
        gate_wait_inside(i + 1);
    }
    client waits = client_dial(s.port);
    send_post(&waits, "/later", "waits");
    while (tfn_jobs_get_waiting(s.http->jobs) == 0) {
        (void)sched_yield();
    }
    stop(&s); /* opens the gate; what is answered in time is, nothing hangs or leaks */
    for (int i = 0; i < N_JOBS; i++) {
        client_close(&c[i]);
    }
    client_close(&waits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_serves_many_requests_with_and_without_bodies),
        cmocka_unit_test(requests_in_one_packet_are_answered_in_their_order),
        cmocka_unit_test(a_request_that_comes_byte_by_byte_is_the_same_request),
        cmocka_unit_test(what_no_route_takes_is_404_or_405_with_the_methods),
        cmocka_unit_test(what_could_be_read_in_two_ways_is_refused_and_the_connection_ends),
        cmocka_unit_test(bodies_and_heads_beyond_their_limits_are_refused_by_name),
        cmocka_unit_test(all_bodies_together_have_a_limit),
        cmocka_unit_test(a_client_may_ask_before_it_sends_its_body),
        cmocka_unit_test(slow_senders_are_told_and_silent_ones_sent_away),
        cmocka_unit_test(connections_beyond_the_limit_are_answered_503),
        cmocka_unit_test(jobs_run_beside_the_workers_and_a_full_queue_says_so_at_once),
        cmocka_unit_test(a_client_that_left_or_half_closed_during_a_job_does_no_harm),
        cmocka_unit_test(a_drain_answers_what_is_under_way_and_closes),
        cmocka_unit_test(a_stop_ends_waiting_jobs_with_an_answer),
    };
    return cmocka_run_group_tests_name("server_http", tests, NULL, NULL);
}
