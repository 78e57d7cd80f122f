/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Settings of the server: their defaults, what must hold between them, and how they are shown.
 *
 * Every text is static or lives in config->arena, so that settings are given back in one piece and a
 * later source may replace what an earlier one said. Paths that depend on the registry's folder (keys,
 * feature logs) are set once the registry is known, unless somebody named them.
 *
 * Who may reach the server is decided here: a host is loopback when it is 127.0.0.0/8, ::1 (also as
 * ::ffff:127.x.y.z) or the name localhost. Names are not looked up: what "db.internal" means may
 * change while the server runs, so any other name counts as reachable from elsewhere.
 */

#include "server/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "server/keys.h"

#include "base/poison.h"

enum {
    DEFAULT_PORT = 6566,
    HEADER_BYTES = 8 * 1024,
    BODY_BYTES = 16 * 1024 * 1024,
    BODIES_BYTES = 256 * 1024 * 1024,
    QUEUE_BYTES = 16 * 1024 * 1024,
    ANSWER_BYTES = 64 * 1024 * 1024,
    MAX_ARENA_BYTES = 64 * 1024 * 1024
};

void tfn_server_config_init(tfn_server_config *config)
{
    *config = (tfn_server_config){
        .store = {.struct_size = sizeof(tfn_store_opts), .online_max_ahead_seconds = 300},
        .host = "127.0.0.1",
        .port = DEFAULT_PORT,
        .n_workers = 1,
        .n_jobs = 4,
        .access_log_rate = 1,
        .feature_log_queue_bytes = QUEUE_BYTES,
        .limits = {.max_body_bytes = BODY_BYTES,
                   .max_bodies_bytes = BODIES_BYTES,
                   .max_answer_bytes = ANSWER_BYTES,
                   .max_entity_rows = 10000,
                   .max_features = 1000,
                   .max_header_bytes = HEADER_BYTES,
                   .max_connections = 1000,
                   .max_jobs = 1000,
                   .request_ms = 30000,
                   .idle_ms = 60000,
                   .drain_ms = 10000},
    };
    tfn_arena_init(&config->arena, MAX_ARENA_BYTES);
}

void tfn_server_config_deinit(tfn_server_config *config)
{
    tfn_arena_deinit(&config->arena);
    *config = (tfn_server_config){0};
}

/* ---- who may reach it ---- */

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (strcmp(host, "localhost") == 0) {
        return true;
    }
    if (inet_pton(AF_INET, host, &v4) == 1) {
        return ntohl(v4.s_addr) >> 24 == 127;
    }
    if (inet_pton(AF_INET6, host, &v6) == 1) {
        return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
    }
    return false;
}

bool tfn_server_config_needs_keys(const tfn_server_config *config)
{
    return config->host != NULL && !is_loopback(config->host) && !config->is_insecure;
}

static tfn_code check_keys(const tfn_server_config *config, tfn_error *err)
{
    tfn_keys *keys = NULL;
    if (config->keys_path == NULL) {
        return TFN_OK;
    }
    /* A name that is mistyped must not open the server to all. */
    if (!config->has_default_keys && access(config->keys_path, F_OK) != 0 && errno == ENOENT) {
        return TFN_FAIL(err, TFN_NOT_FOUND,
                        "there is no file of API keys at %s; correct the name (--keys, or `keys` "
                        "of feature_server), or make a key with `tiffin keys create NAME --scope "
                        "read`",
                        config->keys_path);
    }
    TFN_RETURN_IF_ERROR(tfn_keys_open(config->keys_path, &keys, err));
    const bool has_keys = tfn_keys_any(keys);
    tfn_keys_destroy(keys);
    if (has_keys || !tfn_server_config_needs_keys(config)) {
        return TFN_OK;
    }
    return TFN_FAIL(
        err, TFN_INVALID,
        "the address %s can be reached from elsewhere, and there are no API keys in %s; "
        "make one with `tiffin keys create NAME --scope read`, or listen on 127.0.0.1 "
        "only, or let anybody in with --insecure",
        config->host, config->keys_path);
}

tfn_code tfn_server_config_check(const tfn_server_config *config, tfn_error *err)
{
    if (config->host == NULL && config->unix_path == NULL) {
        return TFN_FAIL(err, TFN_INVALID,
                        "there is nothing to listen on; give --host or --unix-socket");
    }
    if ((config->tls_key == NULL) != (config->tls_cert == NULL)) {
        return TFN_FAIL(err, TFN_INVALID,
                        "TLS needs a key and a certificate, and only the %s was given; give %s too",
                        config->tls_key == NULL ? "certificate" : "key",
                        config->tls_key == NULL ? "--tls-key" : "--tls-cert");
    }
    if (config->keys_path == NULL && tfn_server_config_needs_keys(config)) {
        return TFN_FAIL(err, TFN_INVALID,
                        "the address %s can be reached from elsewhere, and no file of API keys is "
                        "named; give --keys FILE, or let anybody in with --insecure",
                        config->host);
    }
    return check_keys(config, err);
}

/* ---- shown ---- */

/* Null when there is none. */
static void show_text(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key,
                      const char *text)
{
    if (text == NULL) {
        (void)yyjson_mut_obj_add_null(doc, object, key);
    } else {
        (void)tfn_json_add_str(doc, object, key, tfn_str_of(text));
    }
}

/* Parameters of a connection string that mean something (redis_config.c): what ends a password. */
static bool is_parameter(tfn_str name)
{
    static const char *const names[] = {"db",
                                        "username",
                                        "password",
                                        "ssl",
                                        "ssl_ca_certs",
                                        "ssl_ca_path",
                                        "ssl_certfile",
                                        "ssl_keyfile",
                                        "ssl_cert_reqs",
                                        "ssl_check_hostname",
                                        "socket_timeout",
                                        "socket_connect_timeout"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (tfn_str_is(name, names[i])) {
            return true;
        }
    }
    return false;
}

static tfn_str trim(tfn_str text)
{
    while (text.n > 0 && text.p[0] == ' ') {
        text = (tfn_str){text.p + 1, text.n - 1};
    }
    while (text.n > 0 && text.p[text.n - 1] == ' ') {
        text.n--;
    }
    return text;
}

/* A connection string as it may be shown. A comma ends a password, for the engine too; whoever wrote
   one into it meant the rest, so nothing is shown until a parameter follows. */
static tfn_code hide_password(tfn_str text, tfn_buf *out, tfn_error *err)
{
    bool is_secret = false;
    bool is_first = true;
    const char *end = text.p + text.n;
    for (const char *p = text.p; p <= end;) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        const tfn_str piece = {p, (size_t)((comma == NULL ? end : comma) - p)};
        const char *equals = piece.n == 0 ? NULL : memchr(piece.p, '=', piece.n);
        const tfn_str name = trim((tfn_str){p, equals == NULL ? 0 : (size_t)(equals - p)});
        const bool begins = equals != NULL && is_parameter(name);
        is_secret = begins ? tfn_str_is(name, "password") : is_secret;
        if (begins || !is_secret) {
            const tfn_str shown = is_secret ? tfn_str_of("password=...") : piece;
            TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, is_first ? "" : ",", err));
            TFN_RETURN_IF_ERROR(tfn_buf_add_str(out, shown, err));
            is_first = false;
        }
        p = piece.p + piece.n + 1;
    }
    return TFN_OK;
}

static bool is_secret_name(tfn_str name)
{
    static const char *const names[] = {"access_key_id", "secret_access_key", "session_token",
                                        "sentinel_password"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (tfn_str_is(name, names[i])) {
            return true;
        }
    }
    return false;
}

static tfn_code show_member(yyjson_mut_doc *doc, yyjson_mut_val *to, yyjson_val *key,
                            yyjson_val *value, tfn_error *err)
{
    const tfn_str name = tfn_json_get_str(key);
    yyjson_mut_val *shown = NULL;
    if (is_secret_name(name)) {
        shown = yyjson_mut_str(doc, "...");
    } else if (tfn_str_is(name, "connection_string") && yyjson_is_str(value)) {
        tfn_buf text = {0};
        const tfn_code rc = hide_password(tfn_json_get_str(value), &text, err);
        shown = yyjson_mut_strncpy(doc, text.p == NULL ? "" : text.p, text.n);
        tfn_buf_deinit(&text);
        TFN_RETURN_IF_ERROR(rc);
    } else {
        shown = yyjson_val_mut_copy(doc, value);
    }
    (void)yyjson_mut_obj_add(to, yyjson_mut_strncpy(doc, name.p, name.n), shown);
    return TFN_OK;
}

/* A JSON text among the settings, as an object without its secrets; null when there is none. */
static tfn_code show_object(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key,
                            const char *json, tfn_error *err)
{
    yyjson_doc *parsed = NULL;
    yyjson_val *name = NULL;
    tfn_code rc = TFN_OK;
    if (json == NULL) {
        show_text(doc, object, key, NULL);
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(tfn_json_parse(tfn_str_of(json), key, &parsed, err));
    yyjson_mut_val *shown = yyjson_mut_obj_add_obj(doc, object, key);
    yyjson_obj_iter members = yyjson_obj_iter_with(yyjson_doc_get_root(parsed));
    while (rc == TFN_OK && (name = yyjson_obj_iter_next(&members)) != NULL) {
        rc = show_member(doc, shown, name, yyjson_obj_iter_get_val(name), err);
    }
    yyjson_doc_free(parsed);
    return rc;
}

static tfn_code show_store(yyjson_mut_doc *doc, yyjson_mut_val *root,
                           const tfn_server_config *config, tfn_error *err)
{
    static const char *const ttls[] = {"", "ignore", "enforce"};
    const tfn_store_opts *s = &config->store;
    show_text(doc, root, "project", s->project);
    show_text(doc, root, "repo_path", config->repo_path);
    show_text(doc, root, "feature_store_yaml", config->yaml_path);
    show_text(doc, root, "registry_path", s->registry_path);
    show_text(doc, root, "base_path", s->base_path);
    show_text(doc, root, "online_type", config->online_type);
    show_text(doc, root, "online_path", s->online_path);
    show_text(doc, root, "online_sync", s->online_sync == 0 ? "full" : "batch");
    show_text(doc, root, "online_ttl", ttls[s->online_ttl]);
    (void)yyjson_mut_obj_add_sint(doc, root, "max_ahead_seconds", s->online_max_ahead_seconds);
    (void)yyjson_mut_obj_add_sint(doc, root, "threads", s->n_threads);
    (void)yyjson_mut_obj_add_sint(doc, root, "memory_limit_bytes", s->memory_limit_bytes);
    show_text(doc, root, "temp_path", s->temp_path);
    show_text(doc, root, "duckdb_library", s->duckdb_library);
    TFN_RETURN_IF_ERROR(show_object(doc, root, "redis", s->redis, err));
    return show_object(doc, root, "s3", s->s3, err);
}

static void show_limits(yyjson_mut_doc *doc, yyjson_mut_val *to, const tfn_limits *l)
{
    yyjson_mut_val *o = yyjson_mut_obj_add_obj(doc, to, "limits");
    (void)yyjson_mut_obj_add_sint(doc, o, "max_body", l->max_body_bytes);
    (void)yyjson_mut_obj_add_sint(doc, o, "max_bodies", l->max_bodies_bytes);
    (void)yyjson_mut_obj_add_sint(doc, o, "max_answer", l->max_answer_bytes);
    (void)yyjson_mut_obj_add_sint(doc, o, "max_entity_rows", l->max_entity_rows);
    (void)yyjson_mut_obj_add_sint(doc, o, "max_features", l->max_features);
    (void)yyjson_mut_obj_add_sint(doc, o, "max_header", l->max_header_bytes);
    (void)yyjson_mut_obj_add_sint(doc, o, "max_connections", l->max_connections);
    (void)yyjson_mut_obj_add_sint(doc, o, "max_jobs", l->max_jobs);
    (void)yyjson_mut_obj_add_real(doc, o, "request_seconds", l->request_ms / 1000.0);
    (void)yyjson_mut_obj_add_real(doc, o, "idle_seconds", l->idle_ms / 1000.0);
    (void)yyjson_mut_obj_add_real(doc, o, "drain_seconds", l->drain_ms / 1000.0);
}

static void show_server(yyjson_mut_doc *doc, yyjson_mut_val *root, const tfn_server_config *config)
{
    yyjson_mut_val *o = yyjson_mut_obj_add_obj(doc, root, "feature_server");
    show_text(doc, o, "host", config->host);
    if (config->host == NULL) {
        (void)yyjson_mut_obj_add_null(doc, o, "port");
    } else {
        (void)yyjson_mut_obj_add_sint(doc, o, "port", config->port);
    }
    show_text(doc, o, "unix_socket", config->unix_path);
    (void)yyjson_mut_obj_add_sint(doc, o, "workers", config->n_workers);
    (void)yyjson_mut_obj_add_sint(doc, o, "jobs", config->n_jobs);
    show_text(doc, o, "tls_key", config->tls_key);
    show_text(doc, o, "tls_cert", config->tls_cert);
    show_text(doc, o, "keys", config->keys_path);
    (void)yyjson_mut_obj_add_bool(doc, o, "insecure", config->is_insecure);
    show_text(doc, o, "python", config->python);
    yyjson_mut_val *access = yyjson_mut_obj_add_obj(doc, o, "access_log");
    show_text(doc, access, "path", config->access_log_path);
    (void)yyjson_mut_obj_add_real(doc, access, "sample_rate", config->access_log_rate);
    yyjson_mut_val *features = yyjson_mut_obj_add_obj(doc, o, "feature_logs");
    show_text(doc, features, "path", config->feature_log_path);
    (void)yyjson_mut_obj_add_sint(doc, features, "queue", config->feature_log_queue_bytes);
    show_limits(doc, o, &config->limits);
}

tfn_code tfn_server_config_print(const tfn_server_config *config, char **json, tfn_error *err)
{
    yyjson_mut_doc *doc = NULL;
    *json = NULL;
    TFN_RETURN_IF_ERROR(tfn_json_create(&doc, err));
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    tfn_code rc = show_store(doc, root, config, err);
    if (rc == TFN_OK) {
        show_server(doc, root, config);
        rc = tfn_json_write(doc, json, err); /* tells whether memory was refused before */
    }
    tfn_json_destroy(doc);
    return rc;
}
