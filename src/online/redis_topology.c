/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Which node a command goes to.
 *
 *   single     the one that is configured
 *   sentinel   the master that the first sentinel that answers names; asked for again when it fails,
 *              or says that it is no master any more
 *   cluster    the owner of the key's slot; the map is asked for again after MOVED or a failure
 *
 * Asking again is done at most every 50 ms, so that callers who meet a node that is away do not
 * flood those who know where it went. Each of those who are asked has its share of the time that is
 * left: a silent one keeps nobody from asking the next.
 */

#include <assert.h>

#include "base/time.h"
#include "online/redis_client_internal.h"

#include "base/poison.h"

static const double MIN_REFRESH_S = 0.05;

/* Until when the first of n_left may answer. */
static double share_of(double deadline_s, size_t n_left)
{
    const double now_s = tfn_clock_monotonic_s();
    return now_s + (deadline_s - now_s) / (double)n_left;
}

/* ---- sentinels ---- */

static tfn_code ask_sentinel(tfn_redis *redis, const tfn_redis_address *address, double deadline_s,
                             bool *is_known, tfn_error *err)
{
    tfn_arena arena = {0};
    tfn__redis_node *sentinel = NULL;
    const tfn_redis_reply *reply = NULL;
    const tfn_str args[] = {tfn_str_of("SENTINEL"), tfn_str_of("get-master-addr-by-name"),
                            tfn_str_of(redis->config.sentinel_master)};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(
        rc,
        tfn__redis_get_node(redis, tfn_str_of(address->host), address->port, true, &sentinel, err),
        done);
    TFN_GOTO_IF_ERROR(rc, tfn__redis_node_ask(sentinel, args, 3, deadline_s, &arena, &reply, err),
                      done);
    if (reply->type == TFN_REDIS_ERROR) {
        rc = TFN_FAIL(err, TFN_INVALID, "%s:%d is no sentinel, or refuses to answer: %.*s",
                      address->host, address->port, TFN_STR_ARG(reply->text));
        goto done;
    }
    *is_known = reply->type == TFN_REDIS_ARRAY && reply->n_elements == 2;
    if (*is_known) {
        int port = 0;
        const tfn_str digits = reply->elements[1].text;
        for (size_t i = 0; i < digits.n && port < 65536; i++) {
            const char digit = digits.p[i];
            port = digit >= '0' && digit <= '9' ? port * 10 + (digit - '0') : 65536;
        }
        if (port < 1 || port > 65535 || reply->elements[0].text.n == 0) {
            rc = TFN_FAIL(err, TFN_CORRUPT, "the sentinel at %s:%d names a master without address",
                          address->host, address->port);
            goto done;
        }
        tfn__redis_node *master = NULL;
        TFN_GOTO_IF_ERROR(
            rc, tfn__redis_get_node(redis, reply->elements[0].text, port, false, &master, err),
            done);
        tfn_lock_take(&redis->lock);
        redis->master = master;
        tfn_lock_give(&redis->lock);
    }
done:
    tfn_arena_deinit(&arena);
    return rc;
}

static tfn_code find_master(tfn_redis *redis, double deadline_s, tfn_error *err)
{
    tfn_error last = {0};
    bool is_answered = false;
    for (size_t i = 0; i < redis->config.n_addresses; i++) {
        bool is_known = false;
        tfn_error failure = {0};
        const double end_s = share_of(deadline_s, redis->config.n_addresses - i);
        const tfn_code rc =
            ask_sentinel(redis, &redis->config.addresses[i], end_s, &is_known, &failure);
        if (rc == TFN_OK && is_known) {
            return TFN_OK;
        }
        if (rc == TFN_NO_MEMORY) {
            return tfn_error_move(err, &failure);
        }
        is_answered = is_answered || rc == TFN_OK;
        last = rc == TFN_OK ? last : failure;
    }
    if (is_answered) {
        return TFN_FAIL(err, TFN_INVALID,
                        "the sentinels know no master named '%s'; check sentinel_master",
                        redis->config.sentinel_master);
    }
    tfn_error_prepend(&last,
                      "none of %zu sentinels answered; the last: ", redis->config.n_addresses);
    return tfn_error_move(err, &last);
}

/* ---- clusters ---- */

static tfn_code ask_slots(tfn_redis *redis, tfn__redis_node *node, double deadline_s,
                          tfn_error *err)
{
    tfn_arena arena = {0};
    const tfn_redis_reply *reply = NULL;
    tfn__redis_slots *slots = NULL;
    const tfn_str args[] = {tfn_str_of("CLUSTER"), tfn_str_of("SLOTS")};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn__redis_node_ask(node, args, 2, deadline_s, &arena, &reply, err),
                      done);
    if (reply->type == TFN_REDIS_ERROR) {
        const bool is_single = tfn_str_starts_with(reply->text, "ERR This instance has cluster");
        rc = TFN_FAIL(err, is_single ? TFN_INVALID : TFN_UNAVAILABLE, "Redis at %s:%d: %.*s%s",
                      node->host, node->port, TFN_STR_ARG(reply->text),
                      is_single ? "; use redis_type: redis" : "");
        goto done;
    }
    TFN_GOTO_IF_ERROR(rc, tfn__redis_slots_create(redis, node, reply, &slots, err), done);
    tfn_lock_take(&redis->lock);
    tfn__redis_slots *before = redis->slots;
    redis->slots = slots;
    tfn_lock_give(&redis->lock);
    tfn__redis_slots_release(before);
done:
    tfn_arena_deinit(&arena);
    return rc;
}

static tfn__redis_slots *retain_slots(tfn_redis *redis)
{
    tfn_lock_take(&redis->lock);
    tfn__redis_slots *slots = redis->slots;
    if (slots != NULL) {
        (void)atomic_fetch_add_explicit(&slots->n_references, 1, memory_order_relaxed);
    }
    tfn_lock_give(&redis->lock);
    return slots;
}

/* Any node will do: those that were masters last, then those that are configured. */
static tfn_code find_slots(tfn_redis *redis, double deadline_s, tfn_error *err)
{
    tfn__redis_slots *known = retain_slots(redis);
    tfn_error last = {0};
    tfn_code rc = TFN_UNAVAILABLE;
    size_t n_left = redis->config.n_addresses + (known == NULL ? 0 : known->n_masters);
    for (size_t i = 0; known != NULL && i < known->n_masters && rc != TFN_OK; i++) {
        last = (tfn_error){0};
        rc = ask_slots(redis, known->masters[i], share_of(deadline_s, n_left--), &last);
    }
    tfn__redis_slots_release(known);
    for (size_t i = 0; i < redis->config.n_addresses && rc != TFN_OK; i++) {
        const tfn_redis_address *address = &redis->config.addresses[i];
        tfn__redis_node *node = NULL;
        last = (tfn_error){0};
        rc = tfn__redis_get_node(redis, tfn_str_of(address->host), address->port, false, &node,
                                 &last);
        rc = rc == TFN_OK ? ask_slots(redis, node, share_of(deadline_s, n_left--), &last) : rc;
    }
    return rc == TFN_OK ? TFN_OK : tfn_error_move(err, &last);
}

/* ---- both ---- */

static tfn_code find(tfn_redis *redis, double deadline_s, tfn_error *err)
{
    const tfn_code rc = redis->config.kind == TFN_REDIS_SENTINEL
                            ? find_master(redis, deadline_s, err)
                            : find_slots(redis, deadline_s, err);
    tfn_lock_take(&redis->lock);
    redis->refreshed_s = tfn_clock_monotonic_s();
    tfn_lock_give(&redis->lock);
    return rc;
}

tfn_code tfn__redis_topology_refresh(tfn_redis *redis, double deadline_s, tfn_error *err)
{
    if (redis->config.kind == TFN_REDIS_SINGLE) {
        return TFN_OK;
    }
    const double now_s = tfn_clock_monotonic_s();
    tfn_lock_take(&redis->lock);
    const bool is_due = now_s - redis->refreshed_s >= MIN_REFRESH_S;
    if (is_due) {
        redis->refreshed_s = now_s; /* others need not ask meanwhile */
    }
    tfn_lock_give(&redis->lock);
    return is_due ? find(redis, deadline_s, err) : TFN_OK;
}

tfn_code tfn__redis_topology_get(tfn_redis *redis, double deadline_s, tfn__redis_topology *out,
                                 tfn_error *err)
{
    *out = (tfn__redis_topology){0};
    const tfn_redis_config *config = &redis->config;
    for (int attempt = 0; attempt < 2; attempt++) {
        if (config->kind == TFN_REDIS_CLUSTER) {
            out->slots = retain_slots(redis);
        } else {
            tfn_lock_take(&redis->lock);
            out->only = redis->master;
            tfn_lock_give(&redis->lock);
        }
        if (out->slots != NULL || out->only != NULL || attempt > 0) {
            break;
        }
        TFN_RETURN_IF_ERROR(find(redis, deadline_s, err));
    }
    assert(out->slots != NULL || out->only != NULL);
    return TFN_OK;
}

void tfn__redis_topology_release(tfn__redis_topology *topology)
{
    tfn__redis_slots_release(topology->slots);
    *topology = (tfn__redis_topology){0};
}
