/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * A client: its settings, checked once and copied; and what goes to every master. What is where:
 * redis_client_internal.h.
 */

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/time.h"
#include "online/redis_client_internal.h"

#include "base/poison.h"

/* ---- settings ---- */

static tfn_code check_timeout(const char *name, int64_t *ms, int64_t otherwise, tfn_error *err)
{
    if (*ms < 0 || *ms > TFN_REDIS_MAX_TIMEOUT_MS) {
        return TFN_FAIL(err, TFN_INVALID, "%s: %lld is not between 1 and %d milliseconds", name,
                        (long long)*ms, TFN_REDIS_MAX_TIMEOUT_MS);
    }
    *ms = *ms == 0 ? otherwise : *ms;
    return TFN_OK;
}

static tfn_code check_addresses(const tfn_redis_config *config, tfn_error *err)
{
    if (config->n_addresses == 0) {
        return TFN_FAIL(err, TFN_INVALID,
                        "connection_string names no server; give it one, e.g. localhost:6379");
    }
    for (size_t i = 0; i < config->n_addresses; i++) {
        const tfn_redis_address *address = &config->addresses[i];
        if (address->host == NULL || address->host[0] == '\0') {
            return TFN_FAIL(err, TFN_INVALID, "connection_string: address %zu has no host", i + 1);
        }
        if (address->port < 1 || address->port > 65535) {
            return TFN_FAIL(err, TFN_INVALID,
                            "connection_string: '%s' has port %d; it must be between 1 and 65535",
                            address->host, address->port);
        }
    }
    return TFN_OK;
}

static tfn_code check(tfn_redis_config *config, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(check_addresses(config, err));
    TFN_RETURN_IF_ERROR(check_timeout("connect_timeout_ms", &config->connect_timeout_ms,
                                      TFN_REDIS_CONNECT_TIMEOUT_MS, err));
    TFN_RETURN_IF_ERROR(
        check_timeout("timeout_ms", &config->timeout_ms, TFN_REDIS_TIMEOUT_MS, err));
    if (config->database < 0) {
        return TFN_FAIL(err, TFN_INVALID, "db: %d is not a number of a database; they begin at 0",
                        config->database);
    }
    if (config->kind == TFN_REDIS_CLUSTER && config->database != 0) {
        return TFN_FAIL(err, TFN_INVALID, "db: %d cannot be chosen in a cluster, which has 0 only",
                        config->database);
    }
    if (config->kind == TFN_REDIS_SENTINEL &&
        (config->sentinel_master == NULL || config->sentinel_master[0] == '\0')) {
        return TFN_FAIL(err, TFN_INVALID,
                        "sentinel_master is missing; it names what the sentinels watch");
    }
    if (config->username != NULL && config->password == NULL) {
        return TFN_FAIL(err, TFN_INVALID, "username is given without password");
    }
    if ((config->cert_path == NULL) != (config->key_path == NULL)) {
        return TFN_FAIL(err, TFN_INVALID, "ssl_certfile and ssl_keyfile are given together");
    }
    return TFN_OK;
}

static tfn_code copy_text(tfn_arena *arena, const char **text, tfn_error *err)
{
    if (*text == NULL) {
        return TFN_OK;
    }
    return tfn_arena_copy(arena, *text, strlen(*text), text, err);
}

static tfn_code copy_texts(tfn_redis *redis, tfn_error *err)
{
    tfn_redis_config *config = &redis->config;
    const char **texts[] = {
        &config->username,          &config->password,          &config->sentinel_master,
        &config->sentinel_username, &config->sentinel_password, &config->ca_path,
        &config->cert_path,         &config->key_path,
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        TFN_RETURN_IF_ERROR(copy_text(&redis->arena, texts[i], err));
    }
    void *memory = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&redis->arena, config->n_addresses,
                                        sizeof(tfn_redis_address), &memory, err));
    tfn_redis_address *addresses = (tfn_redis_address *)memory;
    for (size_t i = 0; i < config->n_addresses; i++) {
        addresses[i] = config->addresses[i];
        TFN_RETURN_IF_ERROR(copy_text(&redis->arena, &addresses[i].host, err));
    }
    config->addresses = addresses;
    return TFN_OK;
}

/* ---- client ---- */

tfn_code tfn_redis_create(const tfn_redis_config *config, tfn_redis **out, tfn_error *err)
{
    *out = NULL;
    tfn_redis_config checked = *config;
    TFN_RETURN_IF_ERROR(check(&checked, err));
    void *memory = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_redis), &memory, err));
    tfn_redis *redis = (tfn_redis *)memory;
    redis->config = checked;
    tfn_lock_init(&redis->lock);
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, copy_texts(redis, err), done);
    if (redis->config.use_tls) {
        TFN_GOTO_IF_ERROR(rc, tfn__redis_tls_create(&redis->config, &redis->tls, err), done);
    }
    if (redis->config.kind == TFN_REDIS_SINGLE) {
        const tfn_redis_address *address = &redis->config.addresses[0];
        TFN_GOTO_IF_ERROR(rc,
                          tfn__redis_get_node(redis, tfn_str_of(address->host), address->port,
                                              false, &redis->master, err),
                          done);
    }
done:
    if (rc != TFN_OK) {
        tfn_redis_destroy(redis);
        return rc;
    }
    *out = redis;
    return TFN_OK;
}

void tfn_redis_destroy(tfn_redis *redis)
{
    if (redis == NULL) {
        return;
    }
    tfn__redis_slots_release(redis->slots);
    while (redis->nodes != NULL) {
        tfn__redis_node *next = redis->nodes->next;
        tfn__redis_node_destroy(redis->nodes);
        redis->nodes = next;
    }
    tfn__redis_tls_destroy(redis->tls);
    tfn_arena_deinit(&redis->arena);
    tfn_lock_deinit(&redis->lock);
    tfn_mem_free(redis);
}

/* ---- all masters ---- */

typedef tfn_code (*each_master_fn)(tfn__redis_node *node, void *context, tfn_error *err);

static tfn_code for_each_master(tfn_redis *redis, each_master_fn fn, void *context, tfn_error *err)
{
    const double end_s =
        tfn_clock_monotonic_s() +
        tfn__redis_seconds(redis->config.connect_timeout_ms + redis->config.timeout_ms);
    if (redis->config.kind == TFN_REDIS_CLUSTER) {
        /* Who serves no slot any more should not be asked, nor a new one be forgotten. */
        TFN_RETURN_IF_ERROR(tfn__redis_topology_refresh(redis, end_s, err));
    }
    tfn__redis_topology topology;
    TFN_RETURN_IF_ERROR(tfn__redis_topology_get(redis, end_s, &topology, err));
    tfn_code rc = TFN_OK;
    if (topology.only != NULL) {
        rc = fn(topology.only, context, err);
    }
    for (size_t i = 0; rc == TFN_OK && topology.slots != NULL && i < topology.slots->n_masters;
         i++) {
        rc = fn(topology.slots->masters[i], context, err);
    }
    tfn__redis_topology_release(&topology);
    return rc;
}

static tfn_code fail_reply(const tfn__redis_node *node, tfn_str command,
                           const tfn_redis_reply *reply, tfn_error *err)
{
    const bool is_later = tfn_str_starts_with(reply->text, "LOADING") ||
                          tfn_str_starts_with(reply->text, "MASTERDOWN") ||
                          tfn_str_starts_with(reply->text, "CLUSTERDOWN");
    return TFN_FAIL(err,
                    is_later                                     ? TFN_UNAVAILABLE
                    : tfn_str_starts_with(reply->text, "NOAUTH") ? TFN_INVALID
                                                                 : TFN_IO,
                    "Redis at %s:%d answered to %.*s: %.*s", node->host, node->port,
                    TFN_STR_ARG(command), TFN_STR_ARG(reply->text));
}

typedef struct scan_state {
    tfn_str pattern;
    tfn_redis_keys_fn fn;
    void *context;
    tfn_arena arena;
} scan_state;

/* One page: the keys are handed on; `cursor` becomes the next one's. */
static tfn_code scan_page(tfn__redis_node *node, scan_state *scan, tfn_buf *cursor, tfn_error *err)
{
    tfn_arena_reset(&scan->arena);
    const tfn_str args[] = {tfn_str_of("SCAN"), tfn_buf_get_str(cursor), tfn_str_of("MATCH"),
                            scan->pattern,      tfn_str_of("COUNT"),     tfn_str_of("1000")};
    const tfn_redis_reply *reply = NULL;
    TFN_RETURN_IF_ERROR(tfn__redis_node_ask(node, args, 6, INFINITY, &scan->arena, &reply, err));
    if (reply->type == TFN_REDIS_ERROR) {
        return fail_reply(node, args[0], reply, err);
    }
    if (reply->type != TFN_REDIS_ARRAY || reply->n_elements != 2 ||
        reply->elements[0].type != TFN_REDIS_STRING || reply->elements[1].type != TFN_REDIS_ARRAY) {
        return TFN_FAIL(err, TFN_CORRUPT, "Redis at %s:%d answered to SCAN with something else",
                        node->host, node->port);
    }
    tfn_buf_clear(cursor);
    TFN_RETURN_IF_ERROR(tfn_buf_add_str(cursor, reply->elements[0].text, err));
    const size_t n_keys = reply->elements[1].n_elements;
    if (n_keys == 0) {
        return TFN_OK;
    }
    void *memory = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&scan->arena, n_keys, sizeof(tfn_str), &memory, err));
    tfn_str *keys = (tfn_str *)memory;
    for (size_t i = 0; i < n_keys; i++) {
        keys[i] = reply->elements[1].elements[i].text;
    }
    return scan->fn(scan->context, keys, n_keys, err);
}

static tfn_code scan_master(tfn__redis_node *node, void *context, tfn_error *err)
{
    scan_state *scan = (scan_state *)context;
    tfn_buf cursor = {0};
    tfn_code rc = tfn_buf_add_text(&cursor, "0", err);
    do {
        rc = rc == TFN_OK ? scan_page(node, scan, &cursor, err) : rc;
    } while (rc == TFN_OK && !tfn_str_is(tfn_buf_get_str(&cursor), "0"));
    tfn_buf_deinit(&cursor);
    return rc;
}

tfn_code tfn_redis_scan(tfn_redis *redis, tfn_str pattern, tfn_redis_keys_fn fn, void *context,
                        tfn_error *err)
{
    scan_state scan = {.pattern = pattern, .fn = fn, .context = context};
    const tfn_code rc = for_each_master(redis, scan_master, &scan, err);
    tfn_arena_deinit(&scan.arena);
    return rc;
}
