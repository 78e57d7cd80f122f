/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Settings of an online store in Redis.
 *
 *   {"connection_string": "a:6379,b:6379,ssl=true,db=0,password=...", "redis_type": ..., ...}
 *
 * The connection string is Feast's: pieces between commas, addresses without "=", parameters with
 * it. Parameters are those of redis-py that have a meaning here; those that tune that package are
 * passed over; any other is refused, since nobody would notice what it was meant to do.
 *
 * A value may be JSON, as Feast reads it ("db=0", password="a b"); what is none is taken as it is.
 * Messages quote names of parameters and never their values: one of them is the password. Nor, behind
 * a password, an unknown name: it may be what follows a comma in it.
 */

#include "online/redis_config.h"

#include <string.h>

#include "base/json.h"

#include "base/poison.h"

enum { DEFAULT_PORT = 6379, MAX_PORT = 65535, MAX_DATABASE = 1 << 16, MS_PER_SECOND = 1000 };

static const char DEFAULT_CONNECTION[] = "localhost:6379";
static const char DEFAULT_MASTER[] = "mymaster";

/* ---- values ---- */

static tfn_code copy_text(tfn__redis_settings *s, const char *name, tfn_str text, const char **out,
                          tfn_error *err)
{
    if (memchr(text.p, '\0', text.n) != NULL || memchr(text.p, '\n', text.n) != NULL) {
        return TFN_FAIL(err, TFN_INVALID, "online_store: %s holds a line break or a zero byte",
                        name);
    }
    return tfn_arena_copy(&s->arena, text.p, text.n, out, err);
}

/* A whole number without sign; false: it is none, or above the limit. */
static bool read_count(tfn_str text, int64_t max, int64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9') {
            return false;
        }
        *out = *out * 10 + (text.p[i] - '0');
        if (*out > max) {
            return false;
        }
    }
    return text.n > 0;
}

/* Seconds with a fraction, as redis-py has its time-outs, in ms, rounded up. */
static bool read_seconds(tfn_str text, int64_t *out_ms)
{
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)text.p, text.n, 0, &tfn_json_alc, NULL);
    yyjson_val *value = yyjson_doc_get_root(doc);
    const double seconds = yyjson_is_num(value) ? yyjson_get_num(value) : -1;
    yyjson_doc_free(doc);
    const double ms = seconds * (double)MS_PER_SECOND;
    if (!(ms > 0 && ms <= (double)TFN_REDIS_MAX_TIMEOUT_MS)) {
        return false;
    }
    *out_ms = (int64_t)ms;
    *out_ms += (double)*out_ms < ms ? 1 : 0;
    return true;
}

static bool read_bool(tfn_str text, bool *out)
{
    *out = tfn_str_is(text, "true") || tfn_str_is(text, "True") || tfn_str_is(text, "1");
    return *out || tfn_str_is(text, "false") || tfn_str_is(text, "False") || tfn_str_is(text, "0");
}

/* What a parameter says: the text of a JSON string, else the piece as it stands. */
static tfn_code unquote(tfn__redis_settings *s, tfn_str piece, tfn_str *out, tfn_error *err)
{
    *out = piece;
    if (piece.n < 2 || piece.p[0] != '"') {
        return TFN_OK;
    }
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)piece.p, piece.n, 0, &tfn_json_alc, NULL);
    yyjson_val *value = yyjson_doc_get_root(doc);
    tfn_code rc = TFN_OK;
    if (yyjson_is_str(value)) {
        const tfn_str text = tfn_json_get_str(value);
        out->n = text.n;
        rc = tfn_arena_copy(&s->arena, text.p, text.n, &out->p, err);
    }
    yyjson_doc_free(doc);
    return rc;
}

/* ---- the connection string ---- */

static tfn_code refuse_value(const char *name, const char *expected, tfn_error *err)
{
    return TFN_FAIL(err, TFN_INVALID, "online_store.connection_string: the value of %s is not %s",
                    name, expected);
}

static tfn_code take_verify(tfn__redis_settings *s, tfn_str value, tfn_error *err)
{
    if (tfn_str_is(value, "none") || tfn_str_is(value, "null")) {
        s->client.verify = TFN_REDIS_VERIFY_NONE;
    } else if (!tfn_str_is(value, "required") && !tfn_str_is(value, "optional")) {
        return refuse_value("ssl_cert_reqs", "none, optional or required", err);
    }
    return TFN_OK;
}

static tfn_code take_check_hostname(tfn__redis_settings *s, tfn_str value, tfn_error *err)
{
    bool is_checked = false;
    if (!read_bool(value, &is_checked)) {
        return refuse_value("ssl_check_hostname", "true or false", err);
    }
    if (!is_checked && s->client.verify == TFN_REDIS_VERIFY_HOST) {
        s->client.verify = TFN_REDIS_VERIFY_CHAIN;
    }
    return TFN_OK;
}

static tfn_code take_timeout(const char *name, tfn_str value, int64_t *out_ms, tfn_error *err)
{
    return read_seconds(value, out_ms)
               ? TFN_OK
               : refuse_value(name, "a number of seconds above 0 and up to 3600", err);
}

static tfn_code take_database(tfn__redis_settings *s, tfn_str value, tfn_error *err)
{
    int64_t database = 0;
    if (!read_count(value, MAX_DATABASE, &database)) {
        return refuse_value("db", "the number of a database", err);
    }
    s->client.database = (int)database;
    return TFN_OK;
}

/* Parameters of redis-py that say how that package works, not what it talks to. */
static bool is_of_package(const char *name)
{
    static const char *const names[] = {"skip_full_coverage_check",
                                        "require_full_coverage",
                                        "socket_keepalive",
                                        "retry_on_timeout",
                                        "health_check_interval",
                                        "max_connections",
                                        "client_name",
                                        "decode_responses",
                                        "protocol",
                                        "single_connection_client",
                                        "read_from_replicas",
                                        "reinitialize_steps",
                                        "cluster_error_retry_attempts"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static tfn_code take_parameter(tfn__redis_settings *s, tfn_str name, tfn_str value, tfn_error *err)
{
    const struct {
        const char *name;
        const char **out;
    } texts[] = {
        {"username", &s->client.username},      {"password", &s->client.password},
        {"ssl_ca_certs", &s->client.ca_path},   {"ssl_ca_path", &s->client.ca_path},
        {"ssl_certfile", &s->client.cert_path}, {"ssl_keyfile", &s->client.key_path},
    };
    const char *known = NULL;
    TFN_RETURN_IF_ERROR(copy_text(s, "connection_string", name, &known, err));
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(known, texts[i].name) == 0) {
            return value.n == 0 ? TFN_OK : copy_text(s, known, value, texts[i].out, err);
        }
    }
    if (strcmp(known, "ssl") == 0) {
        return read_bool(value, &s->client.use_tls) ? TFN_OK
                                                    : refuse_value("ssl", "true or false", err);
    }
    if (strcmp(known, "db") == 0) {
        return take_database(s, value, err);
    }
    if (strcmp(known, "ssl_cert_reqs") == 0) {
        return take_verify(s, value, err);
    }
    if (strcmp(known, "ssl_check_hostname") == 0) {
        return take_check_hostname(s, value, err);
    }
    if (strcmp(known, "socket_timeout") == 0) {
        return take_timeout(known, value, &s->client.timeout_ms, err);
    }
    if (strcmp(known, "socket_connect_timeout") == 0) {
        return take_timeout(known, value, &s->client.connect_timeout_ms, err);
    }
    if (is_of_package(known)) {
        return TFN_OK;
    }
    /* Behind a password it may be the rest of one that holds a comma. */
    const bool is_shown = s->client.password == NULL;
    return TFN_FAIL(err, TFN_INVALID,
                    "online_store.connection_string: %s%s%s means nothing here; there "
                    "are db, username, password, ssl, ssl_ca_certs, ssl_certfile, ssl_keyfile, "
                    "ssl_cert_reqs, ssl_check_hostname, socket_timeout and socket_connect_timeout "
                    "(a comma ends a value, also a password)",
                    is_shown ? "the parameter '" : "a parameter behind the password",
                    is_shown ? known : "", is_shown ? "'" : "");
}

/* "host", "host:port", "[::1]:port". */
static tfn_code take_address(tfn__redis_settings *s, tfn_str piece, tfn_redis_address *out,
                             tfn_error *err)
{
    const bool has_brackets = piece.n > 0 && piece.p[0] == '[';
    const char *end = has_brackets ? memchr(piece.p, ']', piece.n) : NULL;
    const size_t n_before = end != NULL ? (size_t)(end - piece.p) : 0;
    int64_t port = DEFAULT_PORT;
    const char *colon =
        n_before < piece.n ? memchr(piece.p + n_before, ':', piece.n - n_before) : NULL;
    tfn_str host = {piece.p, colon == NULL ? piece.n : (size_t)(colon - piece.p)};
    const tfn_str digits = {colon == NULL ? "" : colon + 1,
                            colon == NULL ? 0 : piece.n - host.n - 1};
    if (has_brackets && host.n > 2 && host.p[host.n - 1] == ']') {
        host = (tfn_str){host.p + 1, host.n - 2};
    }
    if (host.n == 0 || (colon != NULL && (!read_count(digits, MAX_PORT, &port) || port == 0))) {
        return TFN_FAIL(err, TFN_INVALID,
                        "online_store.connection_string: one of its addresses is not host:port, "
                        "e.g. localhost:6379");
    }
    out->port = (int)port;
    return copy_text(s, "connection_string", host, &out->host, err);
}

static tfn_str next_piece(tfn_str *rest)
{
    const char *comma = memchr(rest->p, ',', rest->n);
    const tfn_str piece = {rest->p, comma == NULL ? rest->n : (size_t)(comma - rest->p)};
    const size_t n_skipped = piece.n + (comma == NULL ? 0 : 1);
    *rest = (tfn_str){rest->p + n_skipped, rest->n - n_skipped};
    return piece;
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

static tfn_code take_piece(tfn__redis_settings *s, tfn_str piece, tfn_redis_address *addresses,
                           tfn_error *err)
{
    const char *equals = memchr(piece.p, '=', piece.n);
    if (equals == NULL) {
        TFN_RETURN_IF_ERROR(take_address(s, piece, &addresses[s->client.n_addresses], err));
        s->client.n_addresses++;
        return TFN_OK;
    }
    const tfn_str name = {piece.p, (size_t)(equals - piece.p)};
    tfn_str value = {equals + 1, piece.n - name.n - 1};
    TFN_RETURN_IF_ERROR(unquote(s, value, &value, err));
    return take_parameter(s, name, value, err);
}

static tfn_code take_connection(tfn__redis_settings *s, tfn_str text, tfn_error *err)
{
    void *p = NULL;
    size_t n_most = 1;
    for (size_t i = 0; i < text.n; i++) {
        n_most += text.p[i] == ',' ? 1 : 0;
    }
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc_zero(&s->arena, n_most, sizeof(tfn_redis_address), &p, err));
    s->client.addresses = p;
    while (text.n > 0) {
        const tfn_str piece = trim(next_piece(&text));
        if (piece.n > 0) {
            TFN_RETURN_IF_ERROR(take_piece(s, piece, p, err));
        }
    }
    if (s->client.n_addresses == 0) {
        return TFN_FAIL(err, TFN_INVALID,
                        "online_store.connection_string names no server; write e.g. %s",
                        DEFAULT_CONNECTION);
    }
    return TFN_OK;
}

/* ---- members ---- */

static tfn_code take_kind(tfn__redis_settings *s, yyjson_val *value, tfn_error *err)
{
    const tfn_str kind = tfn_json_get_str(value);
    if (tfn_str_is(kind, "redis_cluster")) {
        s->client.kind = TFN_REDIS_CLUSTER;
    } else if (tfn_str_is(kind, "redis_sentinel")) {
        s->client.kind = TFN_REDIS_SENTINEL;
    } else if (!tfn_str_is(kind, "redis")) {
        return TFN_FAIL(err, TFN_INVALID,
                        "online_store.redis_type must be redis, redis_cluster or redis_sentinel");
    }
    return TFN_OK;
}

static tfn_code take_member_text(tfn__redis_settings *s, const char *name, yyjson_val *value,
                                 const char **out, tfn_error *err)
{
    if (!yyjson_is_str(value) || yyjson_get_len(value) == 0) {
        return TFN_FAIL(err, TFN_INVALID, "online_store.%s must be a text", name);
    }
    return copy_text(s, name, tfn_json_get_str(value), out, err);
}

static tfn_code take_member_count(const char *name, yyjson_val *value, int64_t max, int64_t *out,
                                  tfn_error *err)
{
    if (!yyjson_is_int(value) || yyjson_get_sint(value) < 1 || yyjson_get_sint(value) > max) {
        return TFN_FAIL(err, TFN_INVALID, "online_store.%s must be a whole number from 1 to %lld",
                        name, (long long)max);
    }
    *out = yyjson_get_sint(value);
    return TFN_OK;
}

static tfn_code take_client(yyjson_val *value, tfn_error *err)
{
    if (!tfn_str_is(tfn_json_get_str(value), "redis") &&
        !tfn_str_is(tfn_json_get_str(value), "glide")) {
        return TFN_FAIL(err, TFN_INVALID,
                        "online_store.client must be redis or glide (Feast's; Tiffin has one "
                        "client of its own)");
    }
    return TFN_OK;
}

static tfn_code take_member(tfn__redis_settings *s, const char *name, yyjson_val *value,
                            tfn_error *err)
{
    if (strcmp(name, "redis_type") == 0) {
        return take_kind(s, value, err);
    }
    if (strcmp(name, "sentinel_master") == 0) {
        return take_member_text(s, name, value, &s->client.sentinel_master, err);
    }
    if (strcmp(name, "sentinel_username") == 0) {
        return take_member_text(s, name, value, &s->client.sentinel_username, err);
    }
    if (strcmp(name, "sentinel_password") == 0) {
        return take_member_text(s, name, value, &s->client.sentinel_password, err);
    }
    if (strcmp(name, "key_ttl_seconds") == 0) {
        return take_member_count(name, value, INT32_MAX, &s->key_ttl_seconds, err);
    }
    if (strcmp(name, "connect_timeout_ms") == 0) {
        return take_member_count(name, value, TFN_REDIS_MAX_TIMEOUT_MS,
                                 &s->client.connect_timeout_ms, err);
    }
    if (strcmp(name, "timeout_ms") == 0) {
        return take_member_count(name, value, TFN_REDIS_MAX_TIMEOUT_MS, &s->client.timeout_ms, err);
    }
    if (strcmp(name, "full_scan_for_deletion") == 0 || strcmp(name, "skip_dedup") == 0) {
        return yyjson_is_bool(value)
                   ? TFN_OK
                   : TFN_FAIL(err, TFN_INVALID, "online_store.%s must be true or false", name);
    }
    if (strcmp(name, "client") == 0) {
        return take_client(value, err);
    }
    return TFN_FAIL(err, TFN_INVALID,
                    "online_store.%s does not exist for type redis; there are connection_string, "
                    "redis_type, sentinel_master, sentinel_username, sentinel_password, "
                    "key_ttl_seconds, connect_timeout_ms, timeout_ms, full_scan_for_deletion and "
                    "skip_dedup",
                    name);
}

static tfn_code take_members(tfn__redis_settings *s, yyjson_val *root, tfn_error *err)
{
    tfn_str connection = tfn_str_of(DEFAULT_CONNECTION);
    if (!yyjson_is_obj(root)) {
        return TFN_FAIL(err, TFN_INVALID,
                        "online_store must be a mapping, e.g. {type: redis, connection_string: "
                        "\"localhost:6379\"}");
    }
    yyjson_obj_iter members = yyjson_obj_iter_with(root);
    for (yyjson_val *key = yyjson_obj_iter_next(&members); key != NULL;
         key = yyjson_obj_iter_next(&members)) {
        const char *name = yyjson_get_str(key);
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        if (yyjson_is_null(value) || strcmp(name, "type") == 0) {
            continue;
        }
        if (strcmp(name, "connection_string") != 0) {
            TFN_RETURN_IF_ERROR(take_member(s, name, value, err));
            continue;
        }
        if (!yyjson_is_str(value)) {
            return TFN_FAIL(err, TFN_INVALID,
                            "online_store.connection_string must be a text, e.g. %s",
                            DEFAULT_CONNECTION);
        }
        connection = tfn_json_get_str(value);
    }
    return take_connection(s, connection, err);
}

static tfn_code check_together(tfn__redis_settings *s, tfn_error *err)
{
    if (s->client.kind == TFN_REDIS_CLUSTER && s->client.database != 0) {
        return TFN_FAIL(err, TFN_INVALID,
                        "online_store.connection_string: a cluster has database 0 only; leave "
                        "db out");
    }
    if (s->client.kind == TFN_REDIS_SINGLE && s->client.n_addresses > 1) {
        s->client.n_addresses = 1; /* as Feast: the first one */
    }
    if (s->client.kind == TFN_REDIS_SENTINEL && s->client.sentinel_master == NULL) {
        s->client.sentinel_master = DEFAULT_MASTER;
    }
    return TFN_OK;
}

tfn_code tfn__redis_settings_init(const char *json, tfn__redis_settings *out, tfn_error *err)
{
    *out = (tfn__redis_settings){0};
    yyjson_doc *doc = NULL;
    TFN_RETURN_IF_ERROR(tfn_json_parse(tfn_str_of(json), "online_store", &doc, err));
    tfn_code rc = take_members(out, yyjson_doc_get_root(doc), err);
    if (rc == TFN_OK) {
        rc = check_together(out, err);
    }
    yyjson_doc_free(doc);
    return rc;
}

void tfn__redis_settings_deinit(tfn__redis_settings *settings)
{
    tfn_arena_deinit(&settings->arena);
}
