/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * One connection: made by libvalkey (all addresses of a name are tried, each within the time-out),
 * then set to non-blocking, then TLS, then AUTH, SELECT and, behind sentinels, ROLE in one round
 * trip. Nothing is sent when none of them is needed.
 *
 * What the peer says to AUTH and SELECT is the caller's mistake (TFN_INVALID), not an absence.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <valkey/valkey.h>

#include "base/mem.h"
#include "base/time.h"
#include "online/redis_client_internal.h"

#include "base/poison.h"

double tfn__redis_seconds(int64_t ms)
{
    return (double)ms / 1000.0;
}

void tfn__redis_connection_destroy(tfn__redis_connection *connection)
{
    if (connection == NULL) {
        return;
    }
    if (connection->context != NULL) {
        valkeyFree(connection->context); /* closes without a word, also where a parent made it */
    }
    tfn_mem_free(connection);
}

bool tfn__redis_connection_is_usable(const tfn__redis_connection *connection)
{
    if (connection->pid != (int)getpid()) {
        return false;
    }
    /* Nothing was asked, so there is nothing to read: not even the end. */
    char byte = 0;
    const ssize_t n = recv(connection->context->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

static tfn_code open_socket(const tfn__redis_node *node, double left_s,
                            tfn__redis_connection *connection, tfn_error *err)
{
    const struct timeval timeout = {.tv_sec = (time_t)left_s,
                                    .tv_usec =
                                        (suseconds_t)((left_s - (double)(time_t)left_s) * 1e6)};
    valkeyOptions options = {.options = VALKEY_OPT_NO_PUSH_AUTOFREE | VALKEY_OPT_PREFER_IP_UNSPEC,
                             .connect_timeout = &timeout};
    VALKEY_OPTIONS_SET_TCP(&options, node->host, node->port);
    valkeyContext *context = valkeyConnectWithOptions(&options);
    if (context == NULL) {
        return TFN_FAIL(err, TFN_NO_MEMORY, "no memory for a connection");
    }
    connection->context = context;
    if (context->err != 0) {
        return TFN_FAIL(err, context->err == VALKEY_ERR_OOM ? TFN_NO_MEMORY : TFN_UNAVAILABLE, "%s",
                        context->errstr);
    }
    if (valkeyEnableKeepAlive(context) !=
        VALKEY_OK) { /* a peer that vanished is noticed while idle */
        return TFN_FAIL(err, TFN_UNAVAILABLE, "%s", context->errstr);
    }
    const int flags = fcntl(context->fd, F_GETFL);
    if (flags < 0 || fcntl(context->fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
        fcntl(context->fd, F_SETFD, FD_CLOEXEC) != 0) {
        return TFN_FAIL_SYS(err, errno, "setting up a socket");
    }
#ifdef SO_NOSIGPIPE
    const int yes = 1;
    (void)setsockopt(context->fd, SOL_SOCKET, SO_NOSIGPIPE, &yes, sizeof(yes));
#endif
    context->flags &= ~VALKEY_BLOCK;
    return TFN_OK;
}

enum { MAX_GREETINGS = 3 };

typedef struct greeting {
    tfn_buf bytes;
    size_t n;
    int i_auth, i_select, i_role; /* place among the replies, or -1 */
} greeting;

static tfn_code write_greeting(const tfn__redis_node *node, greeting *g, tfn_error *err)
{
    const tfn_redis_config *config = &node->redis->config;
    const char *username = node->is_sentinel ? config->sentinel_username : config->username;
    const char *password = node->is_sentinel ? config->sentinel_password : config->password;
    g->i_auth = g->i_select = g->i_role = -1;
    if (password != NULL) {
        const tfn_str with_user[] = {tfn_str_of("AUTH"), tfn_str_of(username),
                                     tfn_str_of(password)};
        const tfn_str without[] = {tfn_str_of("AUTH"), tfn_str_of(password)};
        TFN_RETURN_IF_ERROR(tfn__redis_format(&g->bytes, username != NULL ? with_user : without,
                                              username != NULL ? 3 : 2, err));
        g->i_auth = (int)g->n++;
    }
    if (config->database != 0 && !node->is_sentinel) {
        char number[16];
        (void)snprintf(number, sizeof(number), "%d", config->database);
        const tfn_str args[] = {tfn_str_of("SELECT"), tfn_str_of(number)};
        TFN_RETURN_IF_ERROR(tfn__redis_format(&g->bytes, args, 2, err));
        g->i_select = (int)g->n++;
    }
    if (config->kind == TFN_REDIS_SENTINEL && !node->is_sentinel) {
        const tfn_str args[] = {tfn_str_of("ROLE")};
        TFN_RETURN_IF_ERROR(tfn__redis_format(&g->bytes, args, 1, err));
        g->i_role = (int)g->n++;
    }
    return TFN_OK;
}

static tfn_code judge_greeting(const tfn__redis_node *node, const greeting *g,
                               const tfn_redis_reply *const *replies, tfn_error *err)
{
    if (g->i_auth >= 0 && replies[g->i_auth]->type == TFN_REDIS_ERROR) {
        const tfn_str text = replies[g->i_auth]->text;
        if (tfn_str_starts_with(text, "LOADING") || tfn_str_starts_with(text, "MASTERDOWN")) {
            return TFN_FAIL(err, TFN_UNAVAILABLE, "%.*s", TFN_STR_ARG(text));
        }
        return TFN_FAIL(err, TFN_INVALID,
                        "it refused the user or the password (%.*s); check username and password",
                        TFN_STR_ARG(text));
    }
    for (size_t i = 0; i < g->n; i++) {
        const tfn_str text = replies[i]->text;
        if (replies[i]->type != TFN_REDIS_ERROR) {
            continue;
        }
        if (tfn_str_starts_with(text, "NOAUTH")) {
            return TFN_FAIL(err, TFN_INVALID, "it asks for a password, and none is configured");
        }
        if ((int)i == g->i_select && !tfn_str_starts_with(text, "LOADING")) {
            return TFN_FAIL(err, TFN_INVALID, "it has no database %d (%.*s)",
                            node->redis->config.database, TFN_STR_ARG(text));
        }
        return TFN_FAIL(err, TFN_UNAVAILABLE, "%.*s", TFN_STR_ARG(text));
    }
    const tfn_redis_reply *role = g->i_role >= 0 ? replies[g->i_role] : NULL;
    if (role != NULL && (role->n_elements == 0 || !tfn_str_is(role->elements[0].text, "master"))) {
        return TFN_FAIL(err, TFN_UNAVAILABLE, "it is not the master (any more)");
    }
    return TFN_OK;
}

static tfn_code greet(const tfn__redis_node *node, tfn__redis_connection *connection,
                      double deadline_s, tfn_error *err)
{
    greeting g = {0};
    tfn_arena arena = {0};
    const tfn_redis_reply *replies[MAX_GREETINGS] = {NULL};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, write_greeting(node, &g, err), done);
    if (g.n > 0) {
        tfn__redis_lane lane = {.connection = connection,
                                .request = tfn_buf_get_str(&g.bytes),
                                .n_wanted = g.n,
                                .replies = replies};
        struct pollfd place;
        tfn__redis_exchange(&lane, 1, &place, &arena, deadline_s);
        if (lane.err.code != TFN_OK) {
            rc = tfn_error_move(err, &lane.err);
            goto done;
        }
        TFN_GOTO_IF_ERROR(rc, judge_greeting(node, &g, replies, err), done);
    }
done:
    tfn_buf_deinit(&g.bytes);
    tfn_arena_deinit(&arena);
    return rc;
}

tfn_code tfn__redis_connect(const tfn__redis_node *node, double deadline_s,
                            tfn__redis_connection **out, tfn_error *err)
{
    *out = NULL;
    const double now_s = tfn_clock_monotonic_s();
    const double most_s = tfn__redis_seconds(node->redis->config.connect_timeout_ms);
    const double end_s = deadline_s < now_s + most_s ? deadline_s : now_s + most_s;
    if (end_s - now_s < 1e-3) {
        return TFN_FAIL(err, TFN_UNAVAILABLE, "no time was left to connect");
    }
    void *memory = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn__redis_connection), &memory, err));
    tfn__redis_connection *connection = (tfn__redis_connection *)memory;
    connection->pid = (int)getpid();
    connection->is_fresh = true;

    tfn__redis_sigpipe guard = {0};
    const bool is_tls = node->redis->tls != NULL;
    if (is_tls) {
        tfn__redis_sigpipe_hold(&guard);
    }
    tfn_code rc = open_socket(node, end_s - now_s, connection, err);
    if (rc == TFN_OK && is_tls) {
        rc = tfn__redis_tls_begin(node, connection, end_s, err);
    }
    if (rc == TFN_OK) {
        rc = greet(node, connection, end_s, err);
    }
    if (is_tls) {
        tfn__redis_sigpipe_let(&guard);
    }
    if (rc != TFN_OK) {
        tfn__redis_connection_destroy(connection);
        return rc;
    }
    *out = connection;
    return TFN_OK;
}
