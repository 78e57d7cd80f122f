/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * A running server.
 *
 * Contexts stand in one array: those of the workers, those of the jobs, and one of the refresher. Two
 * threads keep house: one sends away connections that overstay and must never wait; the other reads
 * the registry and the file of keys again, which may, on a slow disk. So a commit is seen within a
 * second even when nobody asks, and no request pays for the look.
 *
 * What is started first ends last; destroying a half-made server is the same walk.
 */

#include "server/server.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "server/access_log.h"
#include "server/child.h"
#include "server/exchange.h"
#include "server/feature_log.h"
#include "server/host.h"
#include "server/http.h"
#include "server/keys.h"
#include "server/listen.h"
#include "server/lookups.h"
#include "server/metrics.h"
#include "server/targets.h"

#include "base/poison.h"

enum { REFRESH_EVERY_MS = 250, MAX_LISTENERS = 2 };

/* A thread that does something now and then. */
typedef struct keeper {
    tfn_server *server;
    int32_t (*keep)(tfn_server *server); /* returns milliseconds until the next time */
    pthread_t thread;
    bool is_running;
} keeper;

struct tfn_server {
    const tfn_server_config *config;
    tfn_shared shared;
    tfn_keys *keys;
    tfn_access_log *access_log;
    tfn_context *contexts;
    size_t n_workers;
    size_t n_jobs;
    int *listen_fds; /* one per worker; the transport's once it has started */
    int32_t port;
    bool has_unix_socket;
    struct stat unix_socket; /* which file it is */
    tfn_http *http;
    keeper tender;
    keeper refresher;
    pthread_mutex_t lock;
    pthread_cond_t stop;
    bool is_stopping; /* under the lock */
    _Atomic bool is_draining;
    _Atomic bool is_ending; /* jobs wait no longer */
    _Atomic bool has_had_keys;
};

/* ---- what the transport asks ---- */

static bool refuse_key(tfn_server *s, tfn_reply *reply, int32_t status, const char *sentence)
{
    tfn_metrics_refused(s->shared.metrics, status == 429 ? TFN_REFUSED_RATE : TFN_REFUSED_KEY);
    tfn_reply_detail(reply, status, "%s", sentence);
    return false;
}

static int64_t monotonic_ns(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Once there was a key, for good: a file that is lost, or a last key that is revoked, opens nothing. */
static bool asks_for_keys(tfn_server *s)
{
    if (atomic_load_explicit(&s->has_had_keys, memory_order_relaxed)) {
        return true;
    }
    if (!tfn_keys_any(s->keys)) {
        return tfn_server_config_needs_keys(s->config);
    }
    atomic_store_explicit(&s->has_had_keys, true, memory_order_relaxed);
    return true;
}

static bool admit(void *owner, tfn_scope scope, tfn_caller *caller, tfn_request *request,
                  tfn_reply *reply)
{
    tfn_server *s = owner;
    if (scope == TFN_SCOPE_NONE) {
        return true;
    }
    if (!asks_for_keys(s)) {
        request->is_admin = true;
        return true;
    }
    const tfn_verdict verdict =
        tfn_keys_check(s->keys, caller->authorization, caller->x_api_key, scope, monotonic_ns(),
                       &request->is_admin, &reply->retry_after_s);
    if (verdict != TFN_KEY_MISSING && verdict != TFN_KEY_WRONG) {
        caller->key_id = tfn_keys_get_id(caller->authorization, caller->x_api_key);
    }
    switch (verdict) {
    case TFN_KEY_GOOD:
        return true;
    case TFN_KEY_MISSING:
        return refuse_key(s, reply, 401,
                          "This server asks for an API key; send the header 'Authorization: Bearer "
                          "KEY' with one that `tiffin keys create` made.");
    case TFN_KEY_WRONG:
        return refuse_key(s, reply, 401,
                          "The API key is unknown or was revoked; ask for a new one.");
    case TFN_KEY_SCOPE:
        return refuse_key(s, reply, 403,
                          "The API key may not do this; use one whose scopes (read, write, admin) "
                          "include it.");
    case TFN_KEY_RATE:
        break;
    }
    return refuse_key(
        s, reply, 429,
        "The API key has used up its requests of this second; send fewer, or ask for a "
        "key with a higher rate.");
}

static void note(void *owner, tfn_context *context, int32_t i_route, const tfn_access *access)
{
    tfn_server *s = owner;
    tfn_counters_add_request(context->counters, i_route, access->status, access->took_us * 1000,
                             access->n_rows);
    if (s->access_log != NULL) {
        tfn_access_log_note(s->access_log, access);
    }
}

static void count_connection(void *owner, int32_t change)
{
    tfn_server *s = owner;
    tfn_metrics_connection(s->shared.metrics, change);
}

static void count_refused(void *owner, tfn_refusal why)
{
    tfn_server *s = owner;
    tfn_metrics_refused(s->shared.metrics, why);
}

/* ---- keeping house ---- */

/* Wait so long, or until the server stops; true then. */
static bool wait_for_stop(tfn_server *s, int32_t ms)
{
    struct timespec until = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    const int64_t ns = until.tv_nsec + (int64_t)ms * 1000000;
    until.tv_sec += (time_t)(ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    pthread_mutex_lock(&s->lock);
    int rc = 0;
    while (!s->is_stopping && rc == 0) {
        rc = pthread_cond_timedwait(&s->stop, &s->lock, &until);
    }
    const bool is_stopping = s->is_stopping;
    pthread_mutex_unlock(&s->lock);
    return is_stopping;
}

static void *keep_house(void *arg)
{
    const keeper *k = arg;
    int32_t ms = 0;
    while (!wait_for_stop(k->server, ms)) {
        ms = k->keep(k->server);
    }
    return NULL;
}

static tfn_code start_keeper(tfn_server *s, keeper *k, int32_t (*keep)(tfn_server *),
                             tfn_error *err)
{
    k->server = s;
    k->keep = keep;
    const int problem = pthread_create(&k->thread, NULL, keep_house, k);
    if (problem != 0) {
        return TFN_FAIL_SYS(err, problem, "a thread that keeps house cannot be started");
    }
    k->is_running = true;
    return TFN_OK;
}

static void stop_keepers(tfn_server *s)
{
    pthread_mutex_lock(&s->lock);
    s->is_stopping = true;
    pthread_cond_broadcast(&s->stop);
    pthread_mutex_unlock(&s->lock);
    keeper *const keepers[] = {&s->tender, &s->refresher};
    for (size_t i = 0; i < sizeof keepers / sizeof *keepers; i++) {
        if (keepers[i]->is_running) {
            pthread_join(keepers[i]->thread, NULL);
            keepers[i]->is_running = false;
        }
    }
}

static int32_t tend(tfn_server *s)
{
    return tfn_http_tend(s->http);
}

/* A registry that cannot be read is counted here; what it means for a request, that request says. */
static int32_t refresh(tfn_server *s)
{
    tfn_error err = {0};
    char *answer = NULL;
    const tfn_code rc = tfn_store_list(s->shared.store, "project", NULL, -1, &answer, &err);
    tfn_text_destroy(answer);
    if (rc != TFN_OK && rc != TFN_NOT_FOUND) {
        tfn_counters_add_store_error(s->contexts[s->n_workers + s->n_jobs].counters, rc);
    }
    tfn_keys_refresh(s->keys);
    return REFRESH_EVERY_MS;
}

/* ---- start ---- */

/* As many files as the system lets us have: each connection is one. */
static void raise_file_limit(void)
{
    struct rlimit limit = {0};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* else the lower limit is the one there is */
    }
}

static tfn_code make_contexts(tfn_server *s, tfn_error *err)
{
    const size_t n = s->n_workers + s->n_jobs + 1;
    TFN_RETURN_IF_ERROR(tfn_metrics_create(n, &s->shared.metrics, err));
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(n, sizeof *s->contexts, (void **)&s->contexts, err));
    for (size_t i = 0; i < n; i++) {
        s->contexts[i].shared = &s->shared;
        s->contexts[i].counters = tfn_metrics_get_counters(s->shared.metrics, i);
        s->contexts[i].may_block = i >= s->n_workers;
        TFN_RETURN_IF_ERROR(tfn_lookups_create(&s->contexts[i].lookups, err));
    }
    return TFN_OK;
}

static tfn_code open_parts(tfn_server *s, tfn_error *err)
{
    const tfn_server_config *config = s->config;
    s->shared.config = config;
    s->shared.is_draining = &s->is_draining;
    s->shared.is_stopping = &s->is_ending;
    s->shared.lookups_block = config->store.redis != NULL;
    s->shared.has_python = config->python != NULL;
    TFN_RETURN_IF_ERROR(tfn_store_open(&config->store, &s->shared.store, err));
    TFN_RETURN_IF_ERROR(tfn_keys_open(config->keys_path, &s->keys, err));
    if (config->access_log_path != NULL) {
        TFN_RETURN_IF_ERROR(tfn_access_log_create(config->access_log_path, config->access_log_rate,
                                                  &s->access_log, err));
        s->shared.access_log = s->access_log;
    }
    if (config->feature_log_path != NULL) {
        TFN_RETURN_IF_ERROR(tfn_feature_log_create(config->feature_log_path,
                                                   config->feature_log_queue_bytes,
                                                   &s->shared.feature_log, err));
    }
    TFN_RETURN_IF_ERROR(tfn_children_create(&s->shared.children, err));
    return make_contexts(s, err);
}

static tfn_code listen_all(tfn_server *s, tfn_error *err)
{
    const tfn_server_config *config = s->config;
    const size_t n_each = (size_t)config->n_workers;
    TFN_RETURN_IF_ERROR(
        tfn_mem_alloc_array(s->n_workers, sizeof *s->listen_fds, (void **)&s->listen_fds, err));
    for (size_t i = 0; i < s->n_workers; i++) {
        s->listen_fds[i] = -1;
    }
    size_t n = 0;
    if (config->host != NULL) {
        s->port = config->port;
        TFN_RETURN_IF_ERROR(tfn_listen_tcp(config->host, &s->port, n_each, s->listen_fds, err));
        n += n_each;
    }
    if (config->unix_path != NULL) {
        TFN_RETURN_IF_ERROR(tfn_listen_unix(config->unix_path, n_each, s->listen_fds + n, err));
        s->has_unix_socket = lstat(config->unix_path, &s->unix_socket) == 0;
    }
    return TFN_OK;
}

static tfn_code start_http(tfn_server *s, tfn_error *err)
{
    const tfn_http_opts opts = {
        .limits = &s->config->limits,
        .workers = s->contexts,
        .listen_fds = s->listen_fds,
        .n_workers = s->n_workers,
        .jobs = s->contexts + s->n_workers,
        .n_jobs = s->n_jobs,
        .tls_key = s->config->tls_key,
        .tls_cert = s->config->tls_cert,
        .notes_peers = s->access_log != NULL,
        .hooks = {s, admit, note, count_connection, count_refused},
    };
    const tfn_code rc = tfn_http_start(&opts, &s->http, err);
    tfn_mem_free(s->listen_fds); /* the sockets were taken */
    s->listen_fds = NULL;
    return rc;
}

static tfn_code init_waiting(tfn_server *s, tfn_error *err)
{
    pthread_condattr_t monotonic;
    int problem = pthread_condattr_init(&monotonic);
    if (problem == 0) {
        problem = pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        problem = problem != 0 ? problem : pthread_cond_init(&s->stop, &monotonic);
        pthread_condattr_destroy(&monotonic);
    }
    if (problem == 0) {
        problem = pthread_mutex_init(&s->lock, NULL);
    }
    return problem == 0 ? TFN_OK : TFN_FAIL_SYS(err, problem, "a lock cannot be made");
}

tfn_code tfn_server_start(const tfn_server_config *config, tfn_server **out, tfn_error *err)
{
    *out = NULL;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_server), &p, err));
    tfn_server *s = p;
    const tfn_code locked = init_waiting(s, err);
    if (locked != TFN_OK) {
        tfn_mem_free(s);
        return locked;
    }
    const size_t n_listeners = (size_t)(config->host != NULL) + (config->unix_path != NULL);
    s->config = config;
    s->n_workers = n_listeners * (size_t)config->n_workers;
    s->n_jobs = (size_t)config->n_jobs;
    raise_file_limit();
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, open_parts(s, err), done);
    TFN_GOTO_IF_ERROR(rc, listen_all(s, err), done);
    TFN_GOTO_IF_ERROR(rc, start_http(s, err), done);
    TFN_GOTO_IF_ERROR(rc, start_keeper(s, &s->tender, tend, err), done);
    TFN_GOTO_IF_ERROR(rc, start_keeper(s, &s->refresher, refresh, err), done);
    *out = s;
    s = NULL;
done:
    tfn_server_destroy(s);
    return rc;
}

int32_t tfn_server_get_port(const tfn_server *server)
{
    return server->port;
}

/* ---- stop ---- */

/* Nobody can connect to it any more. One that another server has put there since is left alone: the
 * file goes before ours is closed, so that no other server takes it for one that nobody answers on. */
static void remove_unix_socket(tfn_server *s)
{
    if (s->has_unix_socket) {
        struct stat now = {0};
        if (lstat(s->config->unix_path, &now) == 0 && now.st_ino == s->unix_socket.st_ino &&
            now.st_dev == s->unix_socket.st_dev) {
            (void)unlink(s->config->unix_path); /* it may be gone already */
        }
        s->has_unix_socket = false;
    }
}

void tfn_server_drain(tfn_server *server)
{
    atomic_store_explicit(&server->is_draining, true, memory_order_relaxed);
    remove_unix_socket(server);
    tfn_http_quiesce(server->http);
    tfn_http_wait_idle(server->http, server->config->limits.drain_ms);
}

void tfn_server_reopen_logs(tfn_server *server)
{
    if (server->access_log != NULL) {
        tfn_access_log_reopen(server->access_log);
    }
}

static void close_sockets(tfn_server *s)
{
    for (size_t i = 0; s->listen_fds != NULL && i < s->n_workers; i++) {
        if (s->listen_fds[i] >= 0) {
            (void)close(s->listen_fds[i]);
        }
    }
    tfn_mem_free(s->listen_fds);
}

static void end_contexts(tfn_server *s)
{
    for (size_t i = 0; s->contexts != NULL && i < s->n_workers + s->n_jobs + 1; i++) {
        tfn_host_destroy(s->contexts[i].host);
        tfn_lookups_destroy(s->contexts[i].lookups);
        tfn_targets_destroy(s->contexts[i].targets);
        tfn_arena_deinit(&s->contexts[i].arena);
    }
    tfn_mem_free(s->contexts);
}

void tfn_server_destroy(tfn_server *server)
{
    if (server == NULL) {
        return;
    }
    tfn_server *s = server;
    stop_keepers(s);
    remove_unix_socket(s);
    close_sockets(s);
    atomic_store_explicit(&s->is_ending, true, memory_order_relaxed);
    tfn_children_stop(s->shared.children); /* jobs that wait for one are answered now */
    tfn_http_destroy(s->http);
    end_contexts(s);
    tfn_children_destroy(s->shared.children);
    tfn_feature_log_destroy(s->shared.feature_log);
    tfn_access_log_destroy(s->access_log);
    tfn_metrics_destroy(s->shared.metrics);
    tfn_keys_destroy(s->keys);
    tfn_store_close(s->shared.store);
    pthread_cond_destroy(&s->stop);
    pthread_mutex_destroy(&s->lock);
    tfn_mem_free(s);
}
