/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Paths of objects, and what it takes to reach them.
 *
 *      settings of the store -+
 *      environment -----------+-> access -> a secret of DuckDB, for one bucket
 *      endpoint of the source +
 *
 * Who says something wins whole: a key id from the settings never meets a secret or a session token
 * from the environment. Without a key requests are not signed, as public buckets want it.
 *
 * An endpoint of one's own (MinIO, Ceph, R2, a test server) is addressed by path,
 * host/bucket/key, unless said otherwise; Amazon's by host, bucket.host/key.
 *
 * Values of secrets leave this file in one text only, the statement that DuckDB gets; messages name
 * members and never their values.
 */

#include "source/s3.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "source/duckdb.h"

#include "base/poison.h"

enum { DEFAULT_TIMEOUT_S = 30, DEFAULT_RETRIES = 3, MAX_TIMEOUT_S = 3600, MAX_RETRIES = 20 };

/* ---- settings ---- */

static tfn_code take_text(tfn__s3_settings *s, const char *name, yyjson_val *value, tfn_str *out,
                          tfn_error *err)
{
    if (!yyjson_is_str(value)) {
        return TFN_FAIL(err, TFN_INVALID, "s3.%s must be a text", name);
    }
    const tfn_str text = tfn_json_get_str(value);
    if (memchr(text.p, '\0', text.n) != NULL || memchr(text.p, '\n', text.n) != NULL) {
        return TFN_FAIL(err, TFN_INVALID, "s3.%s holds a line break or a zero byte", name);
    }
    const char *copy = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_copy(&s->arena, text.p, text.n, &copy, err));
    *out = (tfn_str){copy, text.n};
    return TFN_OK;
}

static tfn_code take_count(const char *name, yyjson_val *value, int min, int max, int32_t *out,
                           tfn_error *err)
{
    if (!yyjson_is_int(value) || yyjson_get_sint(value) < min || yyjson_get_sint(value) > max) {
        return TFN_FAIL(err, TFN_INVALID, "s3.%s must be a whole number from %d to %d", name, min,
                        max);
    }
    *out = (int32_t)yyjson_get_sint(value);
    return TFN_OK;
}

static tfn_code take_member(tfn__s3_settings *s, const char *name, yyjson_val *value,
                            tfn_error *err)
{
    const struct {
        const char *name;
        tfn_str *out;
    } texts[] = {
        {"endpoint", &s->endpoint},           {"region", &s->region},
        {"access_key_id", &s->access_key_id}, {"secret_access_key", &s->secret_access_key},
        {"session_token", &s->session_token}, {"url_style", &s->url_style},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(name, texts[i].name) == 0) {
            return take_text(s, name, value, texts[i].out, err);
        }
    }
    if (strcmp(name, "use_ssl") == 0) {
        s->use_ssl = yyjson_is_true(value) ? 1 : -1;
        return yyjson_is_bool(value)
                   ? TFN_OK
                   : TFN_FAIL(err, TFN_INVALID, "s3.use_ssl must be true or false");
    }
    if (strcmp(name, "timeout_seconds") == 0) {
        return take_count(name, value, 1, MAX_TIMEOUT_S, &s->timeout_s, err);
    }
    if (strcmp(name, "retries") == 0) {
        s->has_retries = true;
        return take_count(name, value, 0, MAX_RETRIES, &s->n_retries, err);
    }
    return TFN_FAIL(err, TFN_INVALID,
                    "s3.%s does not exist; there are endpoint, region, access_key_id, "
                    "secret_access_key, session_token, url_style, use_ssl, timeout_seconds and "
                    "retries",
                    name);
}

static tfn_code take_members(tfn__s3_settings *s, yyjson_val *root, tfn_error *err)
{
    if (!yyjson_is_obj(root)) {
        return TFN_FAIL(err, TFN_INVALID, "s3 must be a mapping, e.g. s3: {region: eu-west-1}");
    }
    yyjson_obj_iter members = yyjson_obj_iter_with(root);
    for (yyjson_val *key = yyjson_obj_iter_next(&members); key != NULL;
         key = yyjson_obj_iter_next(&members)) {
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        if (!yyjson_is_null(value)) {
            TFN_RETURN_IF_ERROR(take_member(s, yyjson_get_str(key), value, err));
        }
    }
    const bool has_style = s->url_style.n > 0;
    if (has_style && !tfn_str_is(s->url_style, "path") && !tfn_str_is(s->url_style, "vhost")) {
        return TFN_FAIL(err, TFN_INVALID, "s3.url_style must be path or vhost");
    }
    if ((s->access_key_id.n > 0) != (s->secret_access_key.n > 0)) {
        return TFN_FAIL(err, TFN_INVALID,
                        "s3.access_key_id and s3.secret_access_key go together; one is missing");
    }
    return TFN_OK;
}

tfn_code tfn__s3_settings_init(const char *json, tfn__s3_settings *out, tfn_error *err)
{
    *out = (tfn__s3_settings){0};
    if (json == NULL) {
        return TFN_OK;
    }
    yyjson_doc *doc = NULL;
    TFN_RETURN_IF_ERROR(tfn_json_parse(tfn_str_of(json), "the s3 settings", &doc, err));
    const tfn_code rc = take_members(out, yyjson_doc_get_root(doc), err);
    yyjson_doc_free(doc);
    return rc;
}

void tfn__s3_settings_deinit(tfn__s3_settings *s)
{
    tfn_arena_deinit(&s->arena);
}

/* ---- access ---- */

static tfn_str first_variable(const char *const *names)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        const char *value = getenv(names[i]);
        if (value != NULL && value[0] != '\0') {
            return tfn_str_of(value);
        }
    }
    return (tfn_str){0};
}

static tfn_code resolve_keys(const tfn__s3_settings *s, tfn__s3_access *out, tfn_error *err)
{
    if (s->access_key_id.n > 0) {
        out->access_key_id = s->access_key_id;
        out->secret_access_key = s->secret_access_key;
        out->session_token = s->session_token;
        return TFN_OK;
    }
    out->access_key_id = first_variable((const char *const[]){"AWS_ACCESS_KEY_ID", NULL});
    out->secret_access_key = first_variable((const char *const[]){"AWS_SECRET_ACCESS_KEY", NULL});
    out->session_token = first_variable((const char *const[]){"AWS_SESSION_TOKEN", NULL});
    if ((out->access_key_id.n > 0) != (out->secret_access_key.n > 0)) {
        return TFN_FAIL(err, TFN_INVALID,
                        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together; one is not set");
    }
    return TFN_OK;
}

/* "http://host:port/" -> "host:port"; the scheme says whether to encrypt, if nobody else does. */
static tfn_code resolve_endpoint(const tfn__s3_settings *s, tfn_str given, tfn__s3_access *out,
                                 tfn_error *err)
{
    tfn_str scheme = {0};
    tfn_str host = given;
    out->use_ssl = s->use_ssl >= 0;
    if (tfn__path_get_scheme(given, &scheme)) {
        host = (tfn_str){given.p + scheme.n + 3, given.n - scheme.n - 3};
        if (!tfn_str_is(scheme, "http") && !tfn_str_is(scheme, "https")) {
            return TFN_FAIL(err, TFN_INVALID,
                            "the S3 endpoint '%.*s' is no address; write e.g. "
                            "http://localhost:9000",
                            TFN_STR_ARG(given));
        }
        out->use_ssl = s->use_ssl != 0 ? s->use_ssl > 0 : tfn_str_is(scheme, "https");
    }
    while (host.n > 0 && host.p[host.n - 1] == '/') {
        host.n--;
    }
    const bool is_host = given.n == 0 || (host.n > 0 && memchr(host.p, '/', host.n) == NULL &&
                                          memchr(host.p, ' ', host.n) == NULL &&
                                          memchr(host.p, '@', host.n) == NULL);
    if (!is_host) {
        return TFN_FAIL(err, TFN_INVALID,
                        "the S3 endpoint must be a host, with a port or without, e.g. "
                        "http://localhost:9000");
    }
    out->endpoint = host;
    return TFN_OK;
}

tfn_code tfn__s3_resolve(const tfn__s3_settings *s, tfn_str endpoint, tfn__s3_access *out,
                         tfn_error *err)
{
    *out = (tfn__s3_access){.timeout_s = s->timeout_s > 0 ? s->timeout_s : DEFAULT_TIMEOUT_S,
                            .n_retries = s->has_retries ? s->n_retries : DEFAULT_RETRIES,
                            .region = s->region,
                            .url_style = s->url_style};
    if (out->region.n == 0) {
        out->region =
            first_variable((const char *const[]){"AWS_REGION", "AWS_DEFAULT_REGION", NULL});
    }
    endpoint = endpoint.n > 0 ? endpoint : s->endpoint;
    if (endpoint.n == 0) {
        endpoint = first_variable((const char *const[]){"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL",
                                                        "FEAST_S3_ENDPOINT_URL", NULL});
    }
    TFN_RETURN_IF_ERROR(resolve_endpoint(s, endpoint, out, err));
    if (out->url_style.n == 0) {
        out->url_style = tfn_str_of(endpoint.n > 0 ? "path" : "vhost");
    }
    return resolve_keys(s, out, err);
}

/* ---- paths ---- */

bool tfn__path_get_scheme(tfn_str path, tfn_str *scheme)
{
    for (size_t i = 0; i + 2 < path.n && path.p[i] != '/'; i++) {
        if (memcmp(path.p + i, "://", 3) == 0) {
            *scheme = (tfn_str){path.p, i};
            return true;
        }
    }
    return false;
}

tfn_code tfn__s3_add_path(tfn_buf *out, tfn_str path, tfn_error *err)
{
    tfn_str scheme = {0};
    const bool has_scheme = tfn__path_get_scheme(path, &scheme);
    if (!has_scheme ||
        (!tfn_str_is(scheme, "s3") && !tfn_str_is(scheme, "s3a") && !tfn_str_is(scheme, "s3n"))) {
        return TFN_FAIL(err, TFN_UNSUPPORTED,
                        "'%.*s': sources on '%.*s://' cannot be read yet; s3:// can, and so can "
                        "local files",
                        TFN_STR_ARG(path), TFN_STR_ARG(scheme));
    }
    const tfn_str rest = {path.p + scheme.n + 3, path.n - scheme.n - 3};
    const char *slash = memchr(rest.p, '/', rest.n);
    const size_t n_bucket = slash != NULL ? (size_t)(slash - rest.p) : rest.n;
    bool is_bucket = n_bucket > 0 && n_bucket + 1 < rest.n;
    for (size_t i = 0; i < n_bucket; i++) {
        is_bucket = is_bucket && strchr("*?[\"'", rest.p[i]) == NULL;
    }
    if (!is_bucket) {
        return TFN_FAIL(err, TFN_INVALID, "'%.*s' must be s3://bucket/ and the path of an object",
                        TFN_STR_ARG(path));
    }
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, "s3://", err));
    return tfn_buf_add_str(out, rest, err);
}

tfn_str tfn__s3_get_bucket(tfn_str path)
{
    const char *begin = path.p + 5;
    const char *slash = memchr(begin, '/', path.n - 5);
    return (tfn_str){begin, slash != NULL ? (size_t)(slash - begin) : path.n - 5};
}

/* Match one segment against one name. */
static bool match_name(const char *segment, size_t n_segment, const char *name, size_t n_name)
{
    const bool is_hidden = name[0] == '.' || name[0] == '_';
    const bool asks_hidden = n_segment > 0 && (segment[0] == '.' || segment[0] == '_');
    char a[1025];
    char b[1025];
    if (n_segment >= sizeof a || n_name >= sizeof b || (is_hidden && !asks_hidden)) {
        return false; /* keys have at most 1,024 bytes */
    }
    memcpy(a, segment, n_segment);
    memcpy(b, name, n_name);
    a[n_segment] = '\0';
    b[n_name] = '\0';
    return fnmatch(a, b, 0) == 0;
}

bool tfn__s3_match(const char *pattern, const char *key)
{
    /* After `**`: where to try again, one folder further, when what follows does not match. */
    const char *again_pattern = NULL;
    const char *again_key = NULL;
    for (;;) {
        const size_t n_segment = strcspn(pattern, "/");
        const size_t n_name = strcspn(key, "/");
        const bool is_any = n_segment == 2 && memcmp(pattern, "**", 2) == 0;
        const bool is_below = n_segment == 0; /* the pattern ended: everything below matches */
        if (n_name == 0) {
            return false; /* a "folder" object, or an empty name */
        }
        if (is_any && pattern[2] == '/') {
            pattern += 3;
            again_pattern = pattern;
            again_key = key;
            continue;
        }
        const bool is_match = is_any || is_below ? match_name("*", 1, key, n_name)
                                                 : match_name(pattern, n_segment, key, n_name);
        const bool is_last = key[n_name] == '\0';
        const bool is_file_wanted = is_any || is_below || pattern[n_segment] == '\0';
        if (is_match && is_last && is_file_wanted) {
            return true;
        }
        if (is_match && !is_last) {
            key += n_name + 1;
            pattern += is_any || is_below ? 0 : n_segment + (pattern[n_segment] == '/' ? 1 : 0);
            continue;
        }
        if (again_key == NULL || again_key[strcspn(again_key, "/")] == '\0' ||
            !match_name("*", 1, again_key, strcspn(again_key, "/"))) {
            return false;
        }
        again_key += strcspn(again_key, "/") + 1;
        pattern = again_pattern;
        key = again_key;
    }
}

/* ---- the secret ---- */

static tfn_code add_option(tfn_buf *sql, const char *name, tfn_str value, tfn_error *err)
{
    if (value.n == 0) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(tfn_buf_add_format(sql, err, ", %s ", name));
    return tfn__sql_add_text(sql, value, err);
}

tfn_code tfn__s3_add_secret(tfn_buf *sql, const tfn__s3_access *access, tfn_str bucket,
                            tfn_error *err)
{
    tfn_buf text = {0};
    tfn_code rc = tfn_buf_add_format(&text, err, "tiffin_%.*s", TFN_STR_ARG(bucket));
    TFN_GOTO_IF_ERROR(rc, rc, done);
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_text(sql, "CREATE OR REPLACE SECRET ", err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__sql_add_name(sql, tfn_buf_get_str(&text), err), done);
    tfn_buf_clear(&text);
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_format(&text, err, "s3://%.*s/", TFN_STR_ARG(bucket)), done);
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_text(sql, " (TYPE s3", err), done);
    TFN_GOTO_IF_ERROR(rc, add_option(sql, "SCOPE", tfn_buf_get_str(&text), err), done);
    TFN_GOTO_IF_ERROR(rc, add_option(sql, "ENDPOINT", access->endpoint, err), done);
    TFN_GOTO_IF_ERROR(rc, add_option(sql, "REGION", access->region, err), done);
    TFN_GOTO_IF_ERROR(rc, add_option(sql, "KEY_ID", access->access_key_id, err), done);
    TFN_GOTO_IF_ERROR(rc, add_option(sql, "SECRET", access->secret_access_key, err), done);
    TFN_GOTO_IF_ERROR(rc, add_option(sql, "SESSION_TOKEN", access->session_token, err), done);
    TFN_GOTO_IF_ERROR(rc, add_option(sql, "URL_STYLE", access->url_style, err), done);
    TFN_GOTO_IF_ERROR(
        rc, tfn_buf_add_format(sql, err, ", USE_SSL %s)", access->use_ssl ? "true" : "false"),
        done);
done:
    tfn_buf_deinit(&text);
    return rc;
}

tfn_code tfn__s3_hash(const tfn__s3_access *access, tfn_hash128 *out, tfn_error *err)
{
    tfn_buf text = {0};
    tfn_code rc = tfn__s3_add_secret(&text, access, tfn_str_of("b"), err);
    if (rc == TFN_OK) {
        rc =
            tfn_buf_add_format(&text, err, "%d %d", (int)access->timeout_s, (int)access->n_retries);
    }
    if (rc == TFN_OK) {
        *out = tfn_hash128_of(text.p, text.n);
    }
    tfn_buf_deinit(&text);
    return rc;
}
