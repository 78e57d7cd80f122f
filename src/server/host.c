/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The Python process of one job thread.
 *
 *   tfn_host_run -> is it there? else start -> head and body out -> head and body in -> reply
 *
 * Invariants
 *  1. Behind every call the channel is between two messages, or the process is gone: after a
 *     failure of any kind it is killed with whatever it has started, so nobody reads the rest of
 *     an answer that somebody else waited for.
 *  2. A request is sent once. A process that died while it was idle is seen before anything is
 *     sent; one that dies later may have written to files, so that the client decides.
 *  3. A process that dies before its first answer is started again later and later (a tenth of a
 *     second, doubled up to half a minute); until then requests are refused at once.
 *
 * Every wait has the request's one deadline, and starting counts: a client does not care why it
 * waits. A wait looks every STEP_MS whether the server stops: so a stop takes no longer than that for
 * a function that computes, and no file is spent on telling it.
 *
 * Rejected: Python inside of the server. One function that loops, crashes or leaks would take all
 * requests with it, and all of them would take turns (docs/decisions/020-python-beside-the-server.md).
 */

#include "server/host.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/time.h"
#include "server/feast_protocol.h"
#include "server/spawn.h"

#include "base/poison.h"

enum {
    PREFIX_BYTES = 8,
    MAX_HEAD_BYTES = 4096,
    MAX_BODY_BYTES = 1024 * 1024 * 1024,
    FIRST_PAUSE_MS = 100,
    MAX_PAUSE_MS = 30000,
    GRACE_MS = 1000,
    DEATH_MS = 100, /* between the end of a channel and that of its process */
    GRACE_STEP_MS = 5,
    STEP_MS = 50,
    DISCARD_BYTES = 4096
};

struct tfn_host {
    pid_t pid; /* 0: there is none */
    int channel;
    const _Atomic bool *is_stopping; /* of the server; NULL: never */
    bool has_answered;               /* since it was started */
    int32_t pause_ms;                /* before the next start; 0: none */
    int64_t start_at_ms;             /* not before */
    tfn_buf head;                    /* kept between requests */
};

/* What became of a request that has no answer of the process. */
typedef enum outcome {
    OUTCOME_ANSWERED = 0,
    OUTCOME_AWAY = 1,   /* 503 */
    OUTCOME_LATE = 2,   /* 504 */
    OUTCOME_LARGE = 3,  /* 413; the whole of it was taken from the channel */
    OUTCOME_STOPPED = 4 /* 503: the server ends */
} outcome;

static int64_t now_ms(void)
{
    return (int64_t)(tfn_clock_monotonic_s() * 1000.0);
}

/* ---- the process ---- */

/* Has it ended within `grace_ms`? It is left to be reaped, so that its number stays its own. */
static bool has_ended(const tfn_host *h, int32_t grace_ms)
{
    const struct timespec step = {0, (long)GRACE_STEP_MS * 1000000};
    for (int32_t waited_ms = 0;; waited_ms += GRACE_STEP_MS) {
        siginfo_t info = {0};
        const int rc = waitid(P_PID, (id_t)h->pid, &info, WEXITED | WNOHANG | WNOWAIT);
        if ((rc == 0 && info.si_pid == h->pid) || (rc != 0 && errno != EINTR)) {
            return true;
        }
        if (waited_ms >= grace_ms) {
            return false;
        }
        (void)nanosleep(&step, NULL);
    }
}

/*
 * With what it has started: it has a group of its own. The group is killed also when the process has
 * ended by itself, and before it is reaped: afterwards the number could be another group's.
 */
static void end(tfn_host *h, int32_t grace_ms, int *status)
{
    *status = 0;
    if (h->channel >= 0) {
        (void)close(h->channel);
        h->channel = -1;
    }
    if (h->pid > 0) {
        (void)has_ended(h, grace_ms); /* whether or not, what is left is killed */
        (void)kill(-h->pid, SIGKILL);
        while (waitpid(h->pid, status, 0) < 0 && errno == EINTR) {
        }
        h->pid = 0;
    }
}

/* After a failure; the next start may have to wait. */
static void end_failed(tfn_host *h, int32_t grace_ms, int *status)
{
    end(h, grace_ms, status);
    if (h->has_answered) {
        h->pause_ms = 0;
        return;
    }
    const int32_t next_ms = h->pause_ms == 0 ? FIRST_PAUSE_MS : h->pause_ms * 2;
    h->pause_ms = next_ms < MAX_PAUSE_MS ? next_ms : MAX_PAUSE_MS;
    h->start_at_ms = now_ms() + h->pause_ms;
}

void tfn_host_destroy(tfn_host *host)
{
    if (host != NULL) {
        int status = 0;
        end(host, GRACE_MS, &status);
        tfn_buf_deinit(&host->head);
        tfn_mem_free(host);
    }
}

static tfn_code start(tfn_host *h, const tfn_server_config *config, tfn_error *err)
{
    const int64_t wait_ms = h->start_at_ms - now_ms();
    if (h->pause_ms > 0 && wait_ms > 0) {
        return TFN_FAIL(err, TFN_UNAVAILABLE,
                        "the Python process ends before it answers; it is started again in %" PRId64
                        " ms. Its messages are on the server's standard error",
                        wait_ms);
    }
    const char *arguments[8] = {config->python, "-m", "tiffin.server.host", "--repo",
                                config->repo_path != NULL ? config->repo_path : "."};
    if (config->yaml_path != NULL) {
        arguments[5] = "--feature-store-yaml";
        arguments[6] = config->yaml_path;
    }
    h->has_answered = false;
    return tfn_spawn(config->python, arguments, TFN_SPAWN_FILE_3, &h->channel, &h->pid, err);
}

/* An idle process says nothing: if there is something to read, that is its end. */
static bool is_alive(const tfn_host *h)
{
    struct pollfd channel = {.fd = h->channel, .events = POLLIN};
    return h->pid > 0 && poll(&channel, 1, 0) == 0;
}

static tfn_code get_host(tfn_context *context, tfn_host **out, tfn_error *err)
{
    if (context->host == NULL) {
        void *p = NULL;
        TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_host), &p, err));
        context->host = p;
        context->host->channel = -1;
        context->host->is_stopping = context->shared->is_stopping;
    }
    tfn_host *h = context->host;
    *out = h;
    if (is_alive(h)) {
        return TFN_OK;
    }
    if (h->pid > 0) {
        int status = 0;
        end_failed(h, DEATH_MS, &status);
    }
    return start(h, context->shared->config, err);
}

/* ---- the channel ---- */

static bool is_stopping(const tfn_host *h)
{
    return h->is_stopping != NULL && atomic_load_explicit(h->is_stopping, memory_order_relaxed);
}

/* Until it can be read or written. */
static outcome await(const tfn_host *h, short events, int64_t deadline_ms)
{
    for (;;) {
        const int64_t left_ms = deadline_ms - now_ms();
        struct pollfd channel = {.fd = h->channel, .events = events};
        if (left_ms <= 0) {
            return OUTCOME_LATE;
        }
        const int n = poll(&channel, 1, left_ms < STEP_MS ? (int)left_ms : STEP_MS);
        if (n > 0) {
            return OUTCOME_ANSWERED;
        }
        if (n < 0 && errno != EINTR) {
            return OUTCOME_AWAY;
        }
        if (is_stopping(h)) {
            return OUTCOME_STOPPED;
        }
    }
}

static outcome send_all(const tfn_host *h, const void *bytes, size_t n_bytes, int64_t deadline_ms)
{
    const char *p = bytes;
    while (n_bytes > 0) {
        const outcome o = await(h, POLLOUT, deadline_ms);
        if (o != OUTCOME_ANSWERED) {
            return o;
        }
        const ssize_t n = send(h->channel, p, n_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EINTR && errno != EAGAIN) {
            return OUTCOME_AWAY;
        }
        p += n > 0 ? n : 0;
        n_bytes -= n > 0 ? (size_t)n : 0;
    }
    return OUTCOME_ANSWERED;
}

static outcome receive_all(const tfn_host *h, void *bytes, size_t n_bytes, int64_t deadline_ms)
{
    char *p = bytes;
    while (n_bytes > 0) {
        const outcome o = await(h, POLLIN, deadline_ms);
        if (o != OUTCOME_ANSWERED) {
            return o;
        }
        const ssize_t n = recv(h->channel, p, n_bytes, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) {
            return OUTCOME_AWAY;
        }
        p += n > 0 ? n : 0;
        n_bytes -= n > 0 ? (size_t)n : 0;
    }
    return OUTCOME_ANSWERED;
}

static void store_u32(unsigned char *p, size_t value)
{
    for (int i = 0; i < 4; i++) {
        p[i] = (unsigned char)(value >> (8 * i) & 255);
    }
}

static size_t load_u32(const unsigned char *p)
{
    return (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
}

static tfn_code add_member(tfn_buf *head, const char *name, tfn_str text, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_format(head, err, "%s\"%s\":", head->n == 0 ? "{" : ",", name));
    return tfn_json_add_text(head, text, err);
}

static tfn_code write_head(tfn_buf *head, const tfn_request *request, tfn_error *err)
{
    tfn_buf_clear(head);
    TFN_RETURN_IF_ERROR(add_member(head, "route", request->path, err));
    TFN_RETURN_IF_ERROR(add_member(head, "method", request->method, err));
    TFN_RETURN_IF_ERROR(add_member(head, "rest", request->rest, err));
    TFN_RETURN_IF_ERROR(add_member(head, "query", request->query, err));
    return tfn_buf_add_text(head, "}", err);
}

static outcome send_request(tfn_host *h, tfn_str body, int64_t deadline_ms)
{
    unsigned char prefix[PREFIX_BYTES];
    store_u32(prefix, h->head.n);
    store_u32(prefix + 4, body.n);
    outcome o = send_all(h, prefix, sizeof prefix, deadline_ms);
    o = o == OUTCOME_ANSWERED ? send_all(h, h->head.p, h->head.n, deadline_ms) : o;
    return o == OUTCOME_ANSWERED ? send_all(h, body.p, body.n, deadline_ms) : o;
}

/* The status and rows of a reply's head; false: it is none. */
static bool read_head(const char *head, size_t n_bytes, tfn_reply *reply)
{
    yyjson_doc *doc = NULL;
    if (tfn_json_parse((tfn_str){head, n_bytes}, "the head", &doc, NULL) != TFN_OK) {
        return false;
    }
    yyjson_val *root = yyjson_doc_get_root(doc);
    const int64_t status = yyjson_get_sint(yyjson_obj_get(root, "status"));
    const int64_t n_rows = yyjson_get_sint(yyjson_obj_get(root, "n_rows"));
    yyjson_doc_free(doc);
    if (status < 200 || status > 599 || n_rows < 0 || n_rows > UINT32_MAX) {
        return false;
    }
    reply->status = (int32_t)status;
    reply->n_rows = (uint32_t)n_rows;
    return true;
}

/* Take it from the channel, where the next answer follows it. */
static outcome discard(const tfn_host *h, size_t n_bytes, int64_t deadline_ms)
{
    char bytes[DISCARD_BYTES];
    outcome o = OUTCOME_ANSWERED;
    while (n_bytes > 0 && o == OUTCOME_ANSWERED) {
        const size_t n = n_bytes < sizeof bytes ? n_bytes : sizeof bytes;
        o = receive_all(h, bytes, n, deadline_ms);
        n_bytes -= n;
    }
    return o;
}

/* What is no message of the protocol ends the process as its death would. */
static outcome receive_reply(const tfn_host *h, tfn_reply *reply, int64_t deadline_ms)
{
    unsigned char prefix[PREFIX_BYTES];
    char head[MAX_HEAD_BYTES];
    outcome o = receive_all(h, prefix, sizeof prefix, deadline_ms);
    if (o != OUTCOME_ANSWERED) {
        return o;
    }
    const size_t n_head = load_u32(prefix);
    const size_t n_body = load_u32(prefix + 4);
    const size_t max_body = reply->body.max_bytes;
    char *room = NULL;
    if (n_head > sizeof head || n_body > MAX_BODY_BYTES) {
        return OUTCOME_AWAY;
    }
    if (max_body > 0 && n_body > max_body) {
        o = discard(h, n_head + n_body, deadline_ms);
        return o == OUTCOME_ANSWERED ? OUTCOME_LARGE : o;
    }
    if (tfn_buf_add_room(&reply->body, n_body, &room, NULL) != TFN_OK) {
        return OUTCOME_AWAY;
    }
    o = receive_all(h, head, n_head, deadline_ms);
    o = o == OUTCOME_ANSWERED ? receive_all(h, room, n_body, deadline_ms) : o;
    if (o != OUTCOME_ANSWERED) {
        return o;
    }
    return read_head(head, n_head, reply) ? OUTCOME_ANSWERED : OUTCOME_AWAY;
}

/* ---- a request ---- */

/* In the form of the request's protocol. */
static void reply_error(const tfn_request *request, const tfn_error *err, int32_t status,
                        tfn_reply *reply)
{
    if (tfn_str_starts_with(request->path, "/v1/")) {
        tfn_reply_error(reply, err);
    } else {
        tfn_feast_reply_error(reply, err);
    }
    reply->n_rows = 0;
    if (reply->body.n > 0) { /* else there is no memory for a sentence, and that is told */
        reply->status = status;
        reply->retry_after_s = status == 503 ? 1 : 0;
    }
}

static void reply_failure(const tfn_request *request, outcome o, int status, int32_t limit_ms,
                          tfn_reply *reply)
{
    tfn_error err = {0};
    if (o == OUTCOME_LATE) {
        (void)TFN_FAIL(&err, TFN_UNAVAILABLE,
                       "Python took longer than limits.request_seconds (%" PRId32
                       " ms) for this request and was ended; make the function faster, ask for "
                       "fewer entities, or raise the limit",
                       limit_ms);
        reply_error(request, &err, 504, reply);
        return;
    }
    if (o == OUTCOME_STOPPED) {
        (void)TFN_FAIL(&err, TFN_UNAVAILABLE,
                       "the server was stopped while Python computed this request; send it again");
        reply_error(request, &err, 503, reply);
        return;
    }
    const bool was_killed = WIFSIGNALED(status);
    (void)TFN_FAIL(&err, TFN_UNAVAILABLE,
                   "the Python process ended while it answered this request (%s %d); the next "
                   "request starts another. Its messages are on the server's standard error",
                   was_killed ? "signal" : "exit code",
                   was_killed ? WTERMSIG(status) : WEXITSTATUS(status));
    reply_error(request, &err, 503, reply);
}

void tfn_host_run(tfn_context *context, const tfn_request *request, tfn_reply *reply)
{
    const int32_t limit_ms = context->shared->config->limits.request_ms;
    const int64_t deadline_ms = now_ms() + limit_ms;
    tfn_error err = {0};
    tfn_host *h = NULL;
    tfn_buf_clear(&reply->body);
    reply->content_type = NULL;
    if (context->shared->config->python == NULL) {
        (void)TFN_FAIL(&err, TFN_UNSUPPORTED,
                       "this request needs Python, and this server runs without it; start it with "
                       "--python (`tiffin serve` does)");
        reply_error(request, &err, 501, reply);
        return;
    }
    if (get_host(context, &h, &err) != TFN_OK || write_head(&h->head, request, &err) != TFN_OK) {
        reply_error(request, &err, 503, reply);
        return;
    }
    outcome o = send_request(h, request->body, deadline_ms);
    o = o == OUTCOME_ANSWERED ? receive_reply(h, reply, deadline_ms) : o;
    if (o == OUTCOME_ANSWERED || o == OUTCOME_LARGE) {
        h->has_answered = true;
        h->pause_ms = 0;
        if (o == OUTCOME_LARGE &&
            tfn_reply_name_limit(context->shared->config, TFN_LIMIT, &err) != TFN_OK) {
            reply_error(request, &err, 413, reply);
        }
        return;
    }
    int status = 0;
    end_failed(h, o == OUTCOME_AWAY ? DEATH_MS : 0, &status);
    reply_failure(request, o, status, limit_ms, reply);
}
