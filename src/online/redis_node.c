/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * One server: idle connections, a stack, so that the warm ones are used and the others go stale;
 * and the breaker. The lock is held for a few assignments only, never during I/O.
 *
 * A connection that rested may have been closed by the server; it is looked at before it is used.
 * After a fork those of the parent are closed, which sends nothing.
 */

#include <string.h>

#include "base/mem.h"
#include "base/time.h"
#include "online/redis_client_internal.h"

#include "base/poison.h"

/* splitmix64: enough for jitter. */
static double next_jitter(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15U;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static tfn_code create_node(tfn_redis *redis, tfn_str host, int port, bool is_sentinel,
                            tfn__redis_node **out, tfn_error *err)
{
    void *memory = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn__redis_node), &memory, err));
    tfn__redis_node *node = (tfn__redis_node *)memory;
    const tfn_code rc = tfn_mem_copy_bytes(host.p, host.n, &node->host, err);
    if (rc != TFN_OK) {
        tfn_mem_free(node);
        return rc;
    }
    node->redis = redis;
    node->port = port;
    node->is_sentinel = is_sentinel;
    node->random = redis->config.seed + (uint64_t)port;
    tfn_lock_init(&node->lock);
    *out = node;
    return TFN_OK;
}

static tfn__redis_node *find_node(tfn_redis *redis, tfn_str host, int port, bool is_sentinel)
{
    tfn__redis_node *node = redis->nodes;
    while (node != NULL && (node->port != port || node->is_sentinel != is_sentinel ||
                            !tfn_str_is(host, node->host))) {
        node = node->next;
    }
    return node;
}

tfn_code tfn__redis_get_node(tfn_redis *redis, tfn_str host, int port, bool is_sentinel,
                             tfn__redis_node **out, tfn_error *err)
{
    tfn_lock_take(&redis->lock);
    *out = find_node(redis, host, port, is_sentinel);
    tfn_lock_give(&redis->lock);
    if (*out != NULL) {
        return TFN_OK;
    }
    tfn__redis_node *made = NULL;
    TFN_RETURN_IF_ERROR(create_node(redis, host, port, is_sentinel, &made, err));
    tfn_lock_take(&redis->lock);
    *out = find_node(redis, host, port, is_sentinel);
    if (*out == NULL) { /* nobody else made it meanwhile */
        made->next = redis->nodes;
        redis->nodes = made;
        *out = made;
        made = NULL;
    }
    tfn_lock_give(&redis->lock);
    tfn__redis_node_destroy(made);
    return TFN_OK;
}

static void destroy_all(tfn__redis_connection *connection)
{
    while (connection != NULL) {
        tfn__redis_connection *next = connection->next;
        tfn__redis_connection_destroy(connection);
        connection = next;
    }
}

void tfn__redis_node_destroy(tfn__redis_node *node)
{
    if (node == NULL) {
        return;
    }
    destroy_all(node->idle);
    tfn_lock_deinit(&node->lock);
    tfn_mem_free(node->host);
    tfn_mem_free(node);
}

static tfn__redis_connection *take_all_idle(tfn__redis_node *node)
{
    tfn_lock_take(&node->lock);
    tfn__redis_connection *idle = node->idle;
    node->idle = NULL;
    node->n_idle = 0;
    tfn_lock_give(&node->lock);
    return idle;
}

static tfn__redis_connection *take_idle(tfn__redis_node *node)
{
    tfn_lock_take(&node->lock);
    tfn__redis_connection *connection = node->idle;
    if (connection != NULL) {
        node->idle = connection->next;
        node->n_idle -= node->n_idle > 0;
    }
    tfn_lock_give(&node->lock);
    return connection;
}

static const char *what_is(const tfn__redis_node *node)
{
    return node->is_sentinel ? "the sentinel" : "Redis";
}

static void note_failure(tfn__redis_node *node, const char *reason)
{
    tfn_lock_take(&node->lock);
    tfn__redis_breaker_note_failure(&node->breaker, tfn_clock_monotonic_s(),
                                    next_jitter(&node->random), reason);
    tfn_lock_give(&node->lock);
}

void tfn__redis_node_note_late(tfn__redis_node *node, const tfn_error *why)
{
    /* The breaker's sentence names the node itself. */
    const char *reason = strstr(why->message, "is not ready");
    note_failure(node, reason == NULL ? why->message : reason);
}

static void name_node(const tfn__redis_node *node, tfn_error *err)
{
    const tfn_code code = err->code;
    if (code != TFN_NO_MEMORY) {
        tfn_error_prepend(err, "%s at %s:%d%s: ", what_is(node), node->host, node->port,
                          code == TFN_CORRUPT       ? " does not speak Redis' protocol"
                          : code == TFN_UNAVAILABLE ? " is away (check that it runs, and that "
                                                      "online_store names it)"
                                                    : "");
    }
}

tfn_code tfn__redis_node_fail(tfn__redis_node *node, tfn_error *err)
{
    const tfn_code code = err->code;
    if (code == TFN_UNAVAILABLE || code == TFN_IO || code == TFN_CORRUPT) {
        note_failure(node, err->message);
    }
    if (code == TFN_INVALID) { /* it answered: it is there */
        tfn_lock_take(&node->lock);
        tfn__redis_breaker_note_reply(&node->breaker);
        tfn_lock_give(&node->lock);
    }
    name_node(node, err);
    return code;
}

void tfn__redis_node_put_off_trial(tfn__redis_node *node)
{
    tfn_lock_take(&node->lock);
    tfn__redis_breaker_note_untried(&node->breaker, tfn_clock_monotonic_s());
    tfn_lock_give(&node->lock);
}

/* As tfn__redis_node_fail, of a try that had to end at deadline_s. One that had less than half of
 * the time of a connection says nothing of the node: others had used up the caller's. */
static void fail_try(tfn__redis_node *node, double began_s, double deadline_s, tfn_error *err)
{
    const double least_s = tfn__redis_seconds(node->redis->config.connect_timeout_ms) / 2;
    const bool is_cut = err->code == TFN_UNAVAILABLE && deadline_s - began_s < least_s &&
                        tfn_clock_monotonic_s() > deadline_s - 1e-3;
    if (is_cut) {
        tfn__redis_node_put_off_trial(node);
        name_node(node, err);
    } else {
        (void)tfn__redis_node_fail(node, err);
    }
}

/* TFN_OK: the caller may try. */
static tfn_code ask_breaker(tfn__redis_node *node, tfn_error *err)
{
    const tfn_redis_config *config = &node->redis->config;
    const double try_s = tfn__redis_seconds(config->connect_timeout_ms + config->timeout_ms);
    const double now_s = tfn_clock_monotonic_s();
    tfn_lock_take(&node->lock);
    const bool is_allowed = tfn__redis_breaker_allows(&node->breaker, now_s, try_s);
    tfn__redis_breaker breaker = {0};
    if (!is_allowed) {
        breaker = node->breaker;
    }
    tfn_lock_give(&node->lock);
    return is_allowed ? TFN_OK
                      : TFN_FAIL(err, TFN_UNAVAILABLE,
                                 "%s at %s:%d has been away for %.1f s: %s; next try in %.1f s",
                                 what_is(node), node->host, node->port, now_s - breaker.since_s,
                                 breaker.reason, breaker.next_try_s - now_s);
}

tfn_code tfn__redis_node_take(tfn__redis_node *node, bool is_fresh, double deadline_s,
                              tfn__redis_connection **out, tfn_error *err)
{
    *out = NULL;
    const double began_s = tfn_clock_monotonic_s();
    TFN_RETURN_IF_ERROR(ask_breaker(node, err));
    if (is_fresh) {
        destroy_all(take_all_idle(node));
    }
    for (;;) {
        tfn__redis_connection *idle = take_idle(node);
        if (idle == NULL) {
            break;
        }
        if (tfn__redis_connection_is_usable(idle)) {
            idle->is_fresh = false;
            *out = idle;
            return TFN_OK;
        }
        tfn__redis_connection_destroy(idle);
    }
    tfn_error reason = {0};
    if (tfn__redis_connect(node, deadline_s, out, &reason) == TFN_OK) {
        return TFN_OK;
    }
    fail_try(node, began_s, deadline_s, &reason);
    return tfn_error_move(err, &reason);
}

void tfn__redis_node_put_back(tfn__redis_node *node, tfn__redis_connection *connection)
{
    tfn_lock_take(&node->lock);
    const bool is_kept = node->n_idle < TFN__REDIS_MAX_IDLE;
    if (is_kept) {
        connection->next = node->idle;
        node->idle = connection;
        node->n_idle++;
    }
    tfn_lock_give(&node->lock);
    if (!is_kept) {
        tfn__redis_connection_destroy(connection);
    }
}

void tfn__redis_node_give(tfn__redis_node *node, tfn__redis_connection *connection, bool is_whole)
{
    if (!is_whole) {
        tfn__redis_connection_destroy(connection);
        return;
    }
    tfn_lock_take(&node->lock);
    tfn__redis_breaker_note_reply(&node->breaker);
    tfn_lock_give(&node->lock);
    tfn__redis_node_put_back(node, connection);
}

static tfn_code ask_once(tfn__redis_node *node, tfn_str request, bool is_fresh, double deadline_s,
                         tfn_arena *arena, const tfn_redis_reply **reply, bool *is_stale,
                         tfn_error *err)
{
    const tfn_redis_config *config = &node->redis->config;
    const double timeout_s = tfn__redis_seconds(config->timeout_ms);
    const double began_s = tfn_clock_monotonic_s();
    double end_s = began_s + tfn__redis_seconds(config->connect_timeout_ms) + timeout_s;
    end_s = end_s < deadline_s ? end_s : deadline_s;
    tfn__redis_lane lane = {.node = node, .request = request, .n_wanted = 1, .replies = reply};
    TFN_RETURN_IF_ERROR(tfn__redis_node_take(node, is_fresh, end_s, &lane.connection, err));
    struct pollfd place;
    const double reply_s = tfn_clock_monotonic_s() + timeout_s;
    tfn__redis_exchange(&lane, 1, &place, arena, reply_s < end_s ? reply_s : end_s);
    *is_stale = lane.is_dead && !lane.connection->is_fresh;
    tfn__redis_node_give(node, lane.connection, lane.err.code == TFN_OK);
    if (lane.err.code == TFN_OK) {
        return TFN_OK;
    }
    if (!*is_stale) {
        fail_try(node, began_s, end_s, &lane.err);
    }
    return tfn_error_move(err, &lane.err);
}

tfn_code tfn__redis_node_ask(tfn__redis_node *node, const tfn_str *args, size_t n_args,
                             double deadline_s, tfn_arena *arena, const tfn_redis_reply **reply,
                             tfn_error *err)
{
    *reply = NULL;
    tfn_buf bytes = {0};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn__redis_format(&bytes, args, n_args, err), done);
    bool is_stale = false;
    tfn_error first = {0};
    const tfn_str request = tfn_buf_get_str(&bytes);
    rc = ask_once(node, request, false, deadline_s, arena, reply, &is_stale, &first);
    if (rc != TFN_OK && is_stale) { /* it was idle and closed: says nothing of the node */
        first = (tfn_error){0};
        rc = ask_once(node, request, true, deadline_s, arena, reply, &is_stale, &first);
    }
    if (rc != TFN_OK) {
        (void)tfn_error_move(err, &first);
    }
done:
    tfn_buf_deinit(&bytes);
    return rc;
}
