/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Reaching objects through DuckDB: its extension httpfs, its secrets, and its errors in our words.
 *
 * The extension is looked for where it can be without a network, and only then asked for over it:
 *
 *   1. TIFFIN_DUCKDB_EXTENSIONS/<version>/httpfs.duckdb_extension
 *   2. beside the library, as the package duckdb-extension-httpfs puts it
 *   3. LOAD httpfs: installed for this user before
 *   4. INSTALL httpfs; LOAD httpfs, unless TIFFIN_OFFLINE is set
 *
 * Secrets belong to an instance and are chosen by the longest prefix of a path, so one bucket has
 * one secret at a time. A read holds a lease on its bucket: other credentials for the same endpoint
 * replace the secret (requests under way keep what they began with), another endpoint has to wait
 * until nobody reads, and is told so.
 *
 * The statement that makes a secret is never repeated in a message, nor is what DuckDB says of it.
 *
 * Lock order: an instance's two mutexes are taken one at a time, and never with the table's.
 */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "source/remote.h"

#include "base/poison.h"

enum { MAX_BUCKETS = 1024 };

typedef struct lease {
    char *bucket;
    char *endpoint;
    tfn_hash128 access;
    int n_live;
} lease;

struct tfn__remotes {
    pthread_mutex_t log_mutex; /* guards DuckDB's log of requests; held over requests */
    pthread_mutex_t mutex;     /* guards what follows */
    bool has_httpfs;
    lease *leases;
    size_t n_leases;
    size_t capacity;
};

tfn_code tfn__remotes_create(tfn__remotes **out, tfn_error *err)
{
    void *memory = NULL;
    *out = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn__remotes), &memory, err));
    *out = memory;
    pthread_mutex_init(&(*out)->mutex, NULL);
    pthread_mutex_init(&(*out)->log_mutex, NULL);
    return TFN_OK;
}

void tfn__remotes_destroy(tfn__remotes *r)
{
    if (r != NULL) {
        for (size_t i = 0; i < r->n_leases; i++) {
            tfn_mem_free(r->leases[i].bucket);
            tfn_mem_free(r->leases[i].endpoint);
        }
        tfn_mem_free(r->leases);
        pthread_mutex_destroy(&r->mutex);
        pthread_mutex_destroy(&r->log_mutex);
        tfn_mem_free(r);
    }
}

static tfn_code execute(tfn__duck *duck, duck_connection connection, const char *sql,
                        tfn_error *err)
{
    const tfn__statement s = {.sql = sql, .label = tfn_str_of("DuckDB's httpfs")};
    return tfn__duck_execute(duck, connection, &s, err);
}

/* ---- the extension ---- */

/* TFN_OK and `*is_loaded` false: it is not there. */
static tfn_code try_load(tfn__duck *duck, duck_connection connection, tfn_str folder,
                         const char *middle, bool *is_loaded, tfn_error *err)
{
    tfn_buf path = {0};
    tfn_buf sql = {0};
    tfn_code rc = tfn_buf_add_format(&path, err, "%.*s%s/%s/httpfs.duckdb_extension",
                                     TFN_STR_ARG(folder), middle, duck->api.do_library_version());
    TFN_GOTO_IF_ERROR(rc, rc, done);
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_text(&sql, "LOAD ", err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__sql_add_text(&sql, tfn_buf_get_str(&path), err), done);
    *is_loaded = execute(duck, connection, sql.p, NULL) == TFN_OK;
done:
    tfn_buf_deinit(&path);
    tfn_buf_deinit(&sql);
    return rc;
}

static tfn_code load_httpfs(tfn__duck *duck, duck_connection connection, tfn_error *err)
{
    bool is_loaded = false;
    const char *folder = getenv("TIFFIN_DUCKDB_EXTENSIONS");
    if (folder != NULL && folder[0] != '\0') {
        TFN_RETURN_IF_ERROR(try_load(duck, connection, tfn_str_of(folder), "", &is_loaded, err));
    }
    const char *slash = strrchr(duck->library, '/');
    if (!is_loaded && slash != NULL) {
        const tfn_str beside = {duck->library, (size_t)(slash - duck->library)};
        TFN_RETURN_IF_ERROR(try_load(duck, connection, beside,
                                     "/duckdb_extension_httpfs/extensions", &is_loaded, err));
    }
    is_loaded = is_loaded || execute(duck, connection, "LOAD httpfs", NULL) == TFN_OK;
    const char *offline = getenv("TIFFIN_OFFLINE");
    const bool is_offline = offline != NULL && offline[0] != '\0';
    if (!is_loaded && !is_offline && execute(duck, connection, "INSTALL httpfs", NULL) == TFN_OK) {
        is_loaded = execute(duck, connection, "LOAD httpfs", NULL) == TFN_OK;
    }
    if (is_loaded) {
        return TFN_OK;
    }
    return TFN_FAIL(
        err, TFN_UNSUPPORTED,
        "s3:// needs DuckDB's extension httpfs for its version %s, which is not installed and %s; "
        "with a network it installs itself, without one: pip install duckdb==1.5.5 "
        "duckdb-extension-httpfs==1.5.5, or set TIFFIN_DUCKDB_EXTENSIONS to a folder that holds "
        "%s/httpfs.duckdb_extension",
        duck->api.do_library_version(),
        is_offline ? "may not be fetched (TIFFIN_OFFLINE)" : "could not be fetched",
        duck->api.do_library_version());
}

/* ---- leases ---- */

static lease *find_lease(tfn__remotes *r, tfn_str bucket)
{
    for (size_t i = 0; i < r->n_leases; i++) {
        if (tfn_str_is(bucket, r->leases[i].bucket)) {
            return &r->leases[i];
        }
    }
    return NULL;
}

static tfn_code add_lease(tfn__remotes *r, tfn_str bucket, lease **out, tfn_error *err)
{
    if (r->n_leases >= MAX_BUCKETS) {
        return TFN_FAIL(err, TFN_LIMIT, "more than %d buckets in one process", MAX_BUCKETS);
    }
    void *leases = r->leases;
    const tfn_code rc = tfn_mem_grow(&leases, &r->capacity, r->n_leases + 1, sizeof(lease), err);
    r->leases = leases;
    if (rc != TFN_OK) {
        return rc;
    }
    lease *fresh = &r->leases[r->n_leases];
    *fresh = (lease){0};
    TFN_RETURN_IF_ERROR(tfn_mem_copy_bytes(bucket.p, bucket.n, &fresh->bucket, err));
    r->n_leases++;
    *out = fresh;
    return TFN_OK;
}

/* These belong to the instance, not to a bucket: whoever began last has set them for all. */
static tfn_code set_patience(tfn__duck *duck, duck_connection connection,
                             const tfn__s3_access *access, tfn_error *err)
{
    char sql[64];
    (void)snprintf(sql, sizeof sql, "SET GLOBAL http_timeout=%d", (int)access->timeout_s);
    TFN_RETURN_IF_ERROR(execute(duck, connection, sql, err));
    (void)snprintf(sql, sizeof sql, "SET GLOBAL http_retries=%d", (int)access->n_retries);
    return execute(duck, connection, sql, err);
}

static tfn_code make_secret(tfn__duck *duck, duck_connection connection,
                            const tfn__s3_access *access, tfn_str bucket, tfn_error *err)
{
    tfn_buf sql = {0};
    tfn_code rc = tfn__s3_add_secret(&sql, access, bucket, err);
    if (rc == TFN_OK && execute(duck, connection, sql.p, NULL) != TFN_OK) {
        rc = TFN_FAIL(err, TFN_INVALID,
                      "DuckDB refuses the S3 settings for the bucket '%.*s'; look at s3.endpoint, "
                      "s3.region and s3.url_style",
                      TFN_STR_ARG(bucket));
    }
    if (sql.p != NULL) {
        memset(sql.p, 0, sql.n);
    }
    tfn_buf_deinit(&sql);
    return rc;
}

/* Under the mutex. A secret that is refused leaves the one before, and the lease on it. */
static tfn_code take_lease(tfn__duck *duck, duck_connection connection,
                           const tfn__s3_access *access, tfn_str bucket, tfn_error *err)
{
    tfn__remotes *r = duck->remotes;
    tfn_hash128 hash;
    TFN_RETURN_IF_ERROR(tfn__s3_hash(access, &hash, err));
    lease *l = find_lease(r, bucket);
    if (l == NULL) {
        TFN_RETURN_IF_ERROR(add_lease(r, bucket, &l, err));
    }
    const bool is_known = l->endpoint != NULL;
    if (is_known && memcmp(&l->access, &hash, sizeof hash) == 0) {
        l->n_live++;
        return TFN_OK;
    }
    if (is_known && l->n_live > 0 && !tfn_str_is(access->endpoint, l->endpoint)) {
        return TFN_FAIL(err, TFN_CONFLICT,
                        "the bucket '%.*s' is being read from another endpoint by this process; "
                        "read again when that is done",
                        TFN_STR_ARG(bucket));
    }
    char *endpoint = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_copy_bytes(access->endpoint.p, access->endpoint.n, &endpoint, err));
    const tfn_code rc = make_secret(duck, connection, access, bucket, err);
    if (rc != TFN_OK) {
        tfn_mem_free(endpoint);
        return rc;
    }
    tfn_mem_free(l->endpoint);
    l->endpoint = endpoint;
    l->access = hash;
    l->n_live++;
    return TFN_OK;
}

tfn_code tfn__remote_begin(tfn__duck *duck, duck_connection connection,
                           const tfn__s3_access *access, tfn_str bucket, tfn_error *err)
{
    tfn__remotes *r = duck->remotes;
    pthread_mutex_lock(&r->mutex);
    tfn_code rc = r->has_httpfs ? TFN_OK : load_httpfs(duck, connection, err);
    r->has_httpfs = rc == TFN_OK;
    rc = rc == TFN_OK ? set_patience(duck, connection, access, err) : rc;
    if (rc == TFN_OK) {
        rc = take_lease(duck, connection, access, bucket, err);
    }
    pthread_mutex_unlock(&r->mutex);
    if (rc != TFN_OK) {
        return rc;
    }
    /* A version that lacks a setting does what it would switch on anyhow. */
    (void)execute(duck, connection, "SET disable_parquet_prefetching=false", NULL);
    (void)execute(duck, connection, "RESET read_ahead_depth", NULL);
    return TFN_OK;
}

void tfn__remote_end(tfn__duck *duck, tfn_str bucket)
{
    tfn__remotes *r = duck->remotes;
    pthread_mutex_lock(&r->mutex);
    lease *l = find_lease(r, bucket);
    if (l != NULL && l->n_live > 0) {
        l->n_live--;
    }
    pthread_mutex_unlock(&r->mutex);
}

void tfn__remote_lock_log(tfn__duck *duck)
{
    pthread_mutex_lock(&duck->remotes->log_mutex);
}

void tfn__remote_unlock_log(tfn__duck *duck)
{
    pthread_mutex_unlock(&duck->remotes->log_mutex);
}

/* ---- errors ---- */

bool tfn__remote_is_about(const char *text)
{
    static const char *const signs[] = {"HTTP GET", "HTTP HEAD", "(HTTP ", "ETag on ",
                                        " error for HTTP"};
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        if (strstr(text, signs[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static tfn_str between(const char *text, const char *before, const char *after)
{
    const char *begin = strstr(text, before);
    if (begin == NULL) {
        return (tfn_str){0};
    }
    begin += strlen(before);
    return (tfn_str){begin, strcspn(begin, after)};
}

enum { MAX_OBJECT_BYTES = 1200 };

/* "s3://bucket/key" of the object that a sentence speaks of, else what was read. DuckDB names some
 * by their address: http://host/bucket/key, or http://bucket.host/key. */
static void find_object(const char *text, tfn_str label, char out[MAX_OBJECT_BYTES])
{
    char source[MAX_OBJECT_BYTES];
    (void)snprintf(source, sizeof source, "%.*s", TFN_STR_ARG(label));
    const char *named = strstr(text, "s3://");
    const tfn_str url = between(text, "://", "'?\n");
    const tfn_str bucket = between(source, "://", "/");
    const char *path = url.p != NULL ? memchr(url.p, '/', url.n) : NULL;
    if (named != NULL) {
        (void)snprintf(out, MAX_OBJECT_BYTES, "%.*s", (int)strcspn(named, "'\"\n "), named);
    } else if (path != NULL && bucket.n > 0 && url.p[url.n - 1] != '/') { /* no listing */
        const size_t n_path = url.n - (size_t)(path - url.p);
        const bool has_bucket = n_path > bucket.n && memcmp(path + 1, bucket.p, bucket.n) == 0;
        (void)snprintf(out, MAX_OBJECT_BYTES, "s3:/%s%.*s%.*s", has_bucket ? "" : "/",
                       has_bucket ? 0 : (int)bucket.n, bucket.p, (int)n_path, path);
    } else {
        memcpy(out, source, sizeof source);
    }
}

static tfn_code fail_status(tfn_str status, tfn_str object, tfn_error *err)
{
    if (tfn_str_starts_with(status, "404")) {
        return TFN_FAIL(err, TFN_IO,
                        "'%.*s': there is no such object or bucket at this endpoint (HTTP 404)",
                        TFN_STR_ARG(object));
    }
    if (tfn_str_starts_with(status, "403") || tfn_str_starts_with(status, "401")) {
        return TFN_FAIL(err, TFN_IO,
                        "'%.*s': access is denied (HTTP %.3s); look at s3.access_key_id, "
                        "s3.secret_access_key and s3.region in feature_store.yaml, or at the AWS_* "
                        "variables",
                        TFN_STR_ARG(object), status.p);
    }
    if (tfn_str_starts_with(status, "301") || tfn_str_starts_with(status, "400")) {
        return TFN_FAIL(err, TFN_IO,
                        "'%.*s': the server refuses the request (HTTP %.3s); is s3.region the "
                        "bucket's region?",
                        TFN_STR_ARG(object), status.p);
    }
    return TFN_FAIL(err, TFN_IO,
                    "'%.*s': the server answered HTTP %.3s, also after retries; read again later",
                    TFN_STR_ARG(object), status.p);
}

tfn_code tfn__remote_fail(const char *text, tfn_str label, tfn_error *err)
{
    char line[2 * MAX_OBJECT_BYTES]; /* behind it come the statement and its other objects */
    char name[MAX_OBJECT_BYTES];
    (void)snprintf(line, sizeof line, "%.*s", (int)strcspn(text, "\n"), text);
    text = line;
    find_object(text, label, name);
    const tfn_str object = tfn_str_of(name);
    if (strstr(text, "ETag on ") != NULL) {
        return TFN_FAIL(err, TFN_IO, "'%.*s' changed while it was read; read again",
                        TFN_STR_ARG(object));
    }
    tfn_str status = between(text, "(HTTP ", ")");
    status = status.n > 0 ? status : between(text, "returned HTTP ", " ");
    if (status.n >= 3 && status.p[0] >= '1' && status.p[0] <= '5') {
        return fail_status(status, object, err);
    }
    const char *verb = strstr(text, " error for HTTP");
    if (verb != NULL) {
        const tfn_str reason = {text, (size_t)(verb - text)};
        return TFN_FAIL(err, TFN_IO,
                        "'%.*s': no whole answer came from the server, also after retries (%.*s); "
                        "look at s3.endpoint, s3.use_ssl, s3.timeout_seconds and the network",
                        TFN_STR_ARG(object), TFN_STR_ARG(reason));
    }
    return TFN_FAIL(err, TFN_IO, "%.*s: %s", TFN_STR_ARG(label), text);
}
