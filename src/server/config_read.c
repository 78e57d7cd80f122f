/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * feature_store.yaml, as python/tiffin/store/config.py reads it: the same keys, meanings, defaults and
 * sentences, so that a repo behaves alike whoever opens it. tests/integration/test_server_config.py
 * gives both the same files.
 *
 * Variables of the environment are put into the text before it is YAML, as Python's
 * os.path.expandvars does: $NAME and ${NAME}, ASCII names, what is not set stays as it is.
 *
 * What an S3 or Redis mapping may hold, the engine knows: it is handed on as JSON.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "server/config_internal.h"
#include "server/yaml.h"

#include "base/poison.h"

static const char FILE_NAME[] = "feature_store.yaml";
static const char DEFAULT_REGISTRY[] = "data/registry.db";
static const char DEFAULT_ONLINE[] = "data/online";

enum {
    MAX_JSON_BYTES = 64 * 1024,
    MAX_WHERE_BYTES = 128,
    MAX_EXPANDED_BYTES = 2 * TFN_YAML_MAX_BYTES, /* tfn_yaml_read has the say */
    MAX_TREE_BYTES = 256 * TFN_YAML_MAX_BYTES
};

/* Feast's other stores. Online they run on LMDB, offline they mean the engine; both is said. Not
 * "remote": its data is elsewhere. */
static const char *const feasts_online[] = {"sqlite",
                                            "postgres",
                                            "mysql",
                                            "dynamodb",
                                            "datastore",
                                            "bigtable",
                                            "hybrid",
                                            "cassandra",
                                            "scylladb",
                                            "hbase",
                                            "hazelcast",
                                            "mongodb",
                                            "singlestore",
                                            "elasticsearch",
                                            "aerospike",
                                            "qdrant",
                                            "milvus",
                                            "snowflake.online",
                                            "couchbase.online",
                                            NULL};
static const char *const feasts_offline[] = {
    "bigquery",          "redshift", "postgres", "spark", "trino",  "athena",
    "clickhouse",        "mssql",    "oracle",   "ray",   "hybrid", "snowflake.offline",
    "couchbase.offline", NULL};

/* Feast's other keys: what asks for nothing here (NULL: nothing does), and else what happens. */
typedef struct feasts_key {
    const char *name;
    const char *quiet;
    const char *happens;
} feasts_key;

static const feasts_key feasts_keys[] = {
    {"auth", "no_auth", "is not checked; clients of a server need API keys: see `tiffin keys`"},
    {"batch_engine", "local", "has no effect; the engine computes in this process"},
    {"materialization", NULL, "has no effect; the newest rows of a range are loaded in one pass"},
    {"embedding_model", NULL, "has no effect; vectors are not searched by this release"},
    {"openlineage", NULL, "has no effect; nothing is sent anywhere"},
    {"mlflow", NULL, "has no effect; nothing is sent anywhere"},
    {"data_quality_monitoring", NULL, "has no effect; explain and check_leakage look at data"},
    {"flags", NULL, "has no effect; nothing here waits behind a flag"},
};

typedef struct reading {
    tfn_server_config *config;
    const char *source; /* the file's path, for messages */
    tfn_buf unknown;    /* "'a', 'b.c'" */
    tfn_buf notes;      /* sentences, "; " between them */
    bool is_naive;      /* coerce_tz_aware: false */
} reading;

/* ---- the file ---- */

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* What stands behind a dollar sign: its name, and the bytes it takes; false: no variable. */
static bool find_variable(tfn_str rest, tfn_str *name, size_t *n_taken)
{
    size_t n = 0;
    if (rest.n > 0 && rest.p[0] == '{') {
        const char *end = memchr(rest.p, '}', rest.n);
        *name = (tfn_str){rest.p + 1, end == NULL ? 0 : (size_t)(end - rest.p) - 1};
        *n_taken = name->n + 2;
        return end != NULL;
    }
    while (n < rest.n && is_name_char(rest.p[n])) {
        n++;
    }
    *name = (tfn_str){rest.p, n};
    *n_taken = n;
    return n > 0;
}

static tfn_code add_variable(tfn_str name, tfn_str written, tfn_buf *out, tfn_error *err)
{
    char *terminated = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_copy_bytes(name.p, name.n, &terminated, err));
    const char *value = strlen(terminated) == name.n ? getenv(terminated) : NULL;
    tfn_mem_free(terminated);
    return tfn_buf_add_str(out, value == NULL ? written : tfn_str_of(value), err);
}

/* Once from left to right: what a variable holds is not looked at again. */
static tfn_code expand(tfn_str text, tfn_buf *out, tfn_error *err)
{
    while (text.n > 0) {
        const char *dollar = memchr(text.p, '$', text.n);
        const size_t n_before = dollar == NULL ? text.n : (size_t)(dollar - text.p);
        TFN_RETURN_IF_ERROR(tfn_buf_add(out, text.p, n_before, err));
        text = (tfn_str){text.p + n_before, text.n - n_before};
        if (text.n == 0) {
            break;
        }
        tfn_str name = {0};
        size_t n_taken = 0;
        const bool is_variable = find_variable((tfn_str){text.p + 1, text.n - 1}, &name, &n_taken);
        const tfn_str written = {text.p, 1 + (is_variable ? n_taken : 0)};
        TFN_RETURN_IF_ERROR(is_variable ? add_variable(name, written, out, err)
                                        : tfn_buf_add_str(out, written, err));
        text = (tfn_str){text.p + written.n, text.n - written.n};
    }
    return TFN_OK;
}

static tfn_code fail_open(const char *path, int sys_errno, tfn_error *err)
{
    if (sys_errno != ENOENT) {
        return TFN_FAIL_SYS(err, sys_errno, "cannot read %s", path);
    }
    const char *slash = strrchr(path, '/');
    const tfn_str folder = {slash == NULL ? "." : path, slash == NULL ? 1 : (size_t)(slash - path)};
    return TFN_FAIL(err, TFN_NOT_FOUND,
                    "there is no %s in %.*s; go to the folder that has it, name it with --repo, or "
                    "make one with `tiffin init`",
                    slash == NULL ? path : slash + 1, TFN_STR_ARG(folder));
}

static tfn_code read_file(const char *path, tfn_buf *out, tfn_error *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return fail_open(path, errno, err);
    }
    const tfn_code rc = tfn_buf_add_file(out, fd, path, err);
    (void)close(fd);
    return rc != TFN_LIMIT
               ? rc
               : TFN_FAIL(err, TFN_LIMIT, "%s has more than %d bytes; no configuration has", path,
                          TFN_YAML_MAX_BYTES);
}

/* ---- sentences ---- */

/* "FILE: KEY must be WHAT, not VALUE" */
static tfn_code refuse(const reading *r, const char *key, const char *what, const tfn_yaml *value,
                       tfn_error *err)
{
    tfn_buf shown = {0};
    tfn_code rc = tfn_yaml_add_repr(value, &shown, err);
    if (rc == TFN_OK) {
        rc = TFN_FAIL(err, TFN_INVALID, "%s: %s must be %s, not %s", r->source, key, what, shown.p);
    }
    tfn_buf_deinit(&shown);
    return rc;
}

/* "FILE: BEFORE VALUE AFTER", for what Feast has and this release has not. */
static tfn_code refuse_kind(const reading *r, const char *before, const tfn_yaml *value,
                            const char *after, tfn_error *err)
{
    tfn_buf shown = {0};
    tfn_code rc = tfn_yaml_add_repr(value, &shown, err);
    if (rc == TFN_OK) {
        rc = TFN_FAIL(err, TFN_UNSUPPORTED, "%s: %s %s%s", r->source, before, shown.p, after);
    }
    tfn_buf_deinit(&shown);
    return rc;
}

static tfn_code note_unknown(reading *r, const char *before, tfn_str name, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(&r->unknown, r->unknown.n == 0 ? "'" : ", '", err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(&r->unknown, before, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_str(&r->unknown, name, err));
    return tfn_buf_add_text(&r->unknown, "'", err);
}

/* Note the members of a mapping that are not among `known` (NULL-terminated). */
static tfn_code note_unknowns(reading *r, const char *before, const tfn_yaml *map,
                              const char *const *known, tfn_error *err)
{
    for (size_t i = 0; map != NULL && map->kind == TFN_YAML_MAP && i < map->n; i++) {
        bool is_known = false;
        for (size_t k = 0; known[k] != NULL && !is_known; k++) {
            is_known = tfn_str_is(map->items[i].name, known[k]);
        }
        if (!is_known) {
            TFN_RETURN_IF_ERROR(note_unknown(r, before, map->items[i].name, err));
        }
    }
    return TFN_OK;
}

static bool is_null(const tfn_yaml *value)
{
    return value == NULL || value->kind == TFN_YAML_NULL;
}

static tfn_code keep_text(reading *r, const char *key, const tfn_yaml *value, const char **out,
                          tfn_error *err)
{
    if (memchr(value->text.p, '\0', value->text.n) != NULL) {
        return TFN_FAIL(err, TFN_INVALID, "%s: %s holds a zero byte", r->source, key);
    }
    return tfn_arena_copy(&r->config->arena, value->text.p, value->text.n, out, err);
}

/* A path of the repo. */
static tfn_code keep_path(reading *r, const char *key, const tfn_yaml *value, const char *fallback,
                          const char **out, tfn_error *err)
{
    const char *path = fallback;
    if (value != NULL && !is_null(value) && value->text.n > 0) {
        TFN_RETURN_IF_ERROR(keep_text(r, key, value, &path, err));
    }
    return tfn__join_path(&r->config->arena, r->config->repo_path, tfn_str_of(path), out, err);
}

static tfn_code keep_json(reading *r, const char *key, const tfn_yaml *value, const char **out,
                          tfn_error *err)
{
    tfn_buf json;
    tfn_buf_init(&json, MAX_JSON_BYTES);
    tfn_code rc = tfn_yaml_add_json(value, &json, err);
    if (rc == TFN_OK) {
        rc = tfn_arena_copy(&r->config->arena, json.p, json.n, out, err);
    } else {
        tfn_error_prepend(err, "%s: %s: ", r->source, key);
    }
    tfn_buf_deinit(&json);
    return rc;
}

/* ---- project, registry ---- */

static tfn_code read_project(reading *r, const tfn_yaml *value, tfn_error *err)
{
    if (is_null(value)) {
        return TFN_FAIL(err, TFN_INVALID, "%s: project is missing; write e.g. project: my_project",
                        r->source);
    }
    if (value->kind != TFN_YAML_TEXT || value->text.n == 0) {
        tfn_buf shown = {0};
        tfn_code rc = tfn_yaml_add_repr(value, &shown, err);
        if (rc == TFN_OK) {
            rc = TFN_FAIL(err, TFN_INVALID,
                          "%s: project must be a text, not %s; write e.g. project: my_project",
                          r->source, shown.p);
        }
        tfn_buf_deinit(&shown);
        return rc;
    }
    return keep_text(r, "project", value, &r->config->store.project, err);
}

static tfn_code read_registry_map(reading *r, const tfn_yaml *map, const tfn_yaml **path,
                                  tfn_error *err)
{
    static const char *const known[] = {"path",       "registry_type",        "registry_store_type",
                                        "cache_mode", "purge_feast_metadata", "cache_ttl_seconds",
                                        NULL};
    const tfn_yaml *kind = tfn_yaml_get(map, "registry_type");
    const tfn_yaml *store = tfn_yaml_get(map, "registry_store_type");
    const bool has_store = store != NULL && tfn_yaml_is_true(store);
    if (has_store || (kind != NULL && !tfn_yaml_is_text(kind, "file"))) {
        return refuse_kind(r, "a registry of type", has_store ? store : kind,
                           " does not exist in this release; write registry: data/registry.db",
                           err);
    }
    *path = tfn_yaml_get(map, "path");
    return note_unknowns(r, "registry.", map, known, err);
}

static bool has_scheme(tfn_str text)
{
    for (size_t i = 0; i + 2 < text.n; i++) {
        if (memcmp(text.p + i, "://", 3) == 0) {
            return true;
        }
    }
    return false;
}

static tfn_code read_registry(reading *r, const tfn_yaml *value, tfn_error *err)
{
    if (value != NULL && value->kind == TFN_YAML_MAP) {
        TFN_RETURN_IF_ERROR(read_registry_map(r, value, &value, err));
    }
    if (!is_null(value) && value->kind != TFN_YAML_TEXT) {
        return refuse(r, "registry", "a path or a mapping with a path", value, err);
    }
    if (!is_null(value) && has_scheme(value->text)) {
        return refuse_kind(r, "the registry", value,
                           " is not a local file, and this release has no other; write registry: "
                           "data/registry.db",
                           err);
    }
    return keep_path(r, "registry", value, DEFAULT_REGISTRY, &r->config->store.registry_path, err);
}

/* ---- stores: a mapping with a type, or the type alone ---- */

static tfn_code read_type(const reading *r, const char *key, const tfn_yaml *value,
                          const tfn_yaml **type, tfn_error *err)
{
    *type = NULL;
    if (value == NULL) {
        return TFN_OK;
    }
    if (value->kind == TFN_YAML_TEXT) {
        *type = value;
        return TFN_OK;
    }
    if (value->kind != TFN_YAML_MAP) {
        return refuse(r, key, "a mapping with a type", value, err);
    }
    *type = tfn_yaml_get(value, "type");
    return TFN_OK;
}

static bool is_word(const tfn_yaml *value, const char *word)
{
    bool is_same = value->kind == TFN_YAML_TEXT && value->text.n == strlen(word);
    for (size_t i = 0; is_same && i < value->text.n; i++) {
        is_same = ((unsigned char)value->text.p[i] | ' ') == (unsigned char)word[i];
    }
    return is_same;
}

static tfn_code read_max_ahead(reading *r, const tfn_yaml *value, tfn_error *err)
{
    static const int64_t max = 1000000000000;
    if (value == NULL) {
        return TFN_OK;
    }
    if (value->kind != TFN_YAML_INT || value->integer < 1 || value->integer > max) {
        return refuse(r, "online_store.max_ahead_seconds", "a number of seconds from 1", value,
                      err);
    }
    r->config->store.online_max_ahead_seconds = value->integer;
    return TFN_OK;
}

static tfn_code read_lmdb_at(reading *r, const tfn_yaml *store, const tfn_yaml *path,
                             tfn_error *err)
{
    const tfn_yaml *sync = tfn_yaml_get(store, "sync");
    if (!is_null(path) && path->kind != TFN_YAML_TEXT) {
        return refuse(r, "online_store.path", "a text", path, err);
    }
    if (sync != NULL && !tfn_yaml_is_text(sync, "full") && !tfn_yaml_is_text(sync, "batch")) {
        return refuse(r, "online_store.sync", "full or batch", sync, err);
    }
    r->config->store.online_sync = tfn_yaml_is_text(sync, "batch") ? 1 : 0;
    r->config->online_type = "lmdb";
    return keep_path(r, "online_store.path", path, DEFAULT_ONLINE, &r->config->store.online_path,
                     err);
}

static tfn_code read_lmdb(reading *r, const tfn_yaml *store, tfn_error *err)
{
    static const char *const known[] = {"type", "path", "max_ahead_seconds", "sync", NULL};
    TFN_RETURN_IF_ERROR(note_unknowns(r, "online_store.", store, known, err));
    return read_lmdb_at(r, store, tfn_yaml_get(store, "path"), err);
}

/* The known members but max_ahead_seconds, as JSON; of "redis" alone, its type. */
static tfn_code read_redis(reading *r, const tfn_yaml *store, tfn_error *err)
{
    static const char *const known[] = {"type",
                                        "max_ahead_seconds",
                                        "connection_string",
                                        "redis_type",
                                        "sentinel_master",
                                        "key_ttl_seconds",
                                        "full_scan_for_deletion",
                                        "skip_dedup",
                                        "client",
                                        "sentinel_username",
                                        "sentinel_password",
                                        "connect_timeout_ms",
                                        "timeout_ms",
                                        NULL};
    static const tfn_yaml type = {.kind = TFN_YAML_TEXT, .text = {"redis", 5}};
    tfn_yaml_item items[sizeof known / sizeof *known];
    tfn_yaml kept = {.kind = TFN_YAML_MAP, .items = items};
    items[kept.n++] = (tfn_yaml_item){.name = {"type", 4}, .value = &type};
    for (size_t i = 2; known[i] != NULL; i++) {
        const tfn_yaml *value = tfn_yaml_get(store, known[i]);
        if (value != NULL) {
            items[kept.n++] = (tfn_yaml_item){.name = tfn_str_of(known[i]), .value = value};
        }
    }
    r->config->online_type = "redis";
    TFN_RETURN_IF_ERROR(note_unknowns(r, "online_store.", store, known, err));
    return keep_json(r, "online_store", &kept, &r->config->store.redis, err);
}

/* ---- what only Feast has ---- */

static tfn_code begin_note(reading *r, tfn_error *err)
{
    return tfn_buf_add_format(&r->notes, err, "%s%s: ", r->notes.n == 0 ? "" : "; ", r->source);
}

/* One of the names, or a class of one's own: "my.package.My<ending>". */
static bool is_feasts(const tfn_yaml *type, const char *const *names, const char *ending)
{
    if (type->kind != TFN_YAML_TEXT) {
        return false;
    }
    const tfn_str text = type->text;
    const size_t n_ending = strlen(ending);
    bool is_it = text.n >= n_ending && memchr(text.p, '.', text.n) != NULL &&
                 memcmp(text.p + text.n - n_ending, ending, n_ending) == 0;
    for (size_t i = 0; names[i] != NULL && !is_it; i++) {
        is_it = tfn_str_is(text, names[i]);
    }
    return is_it;
}

/* The folder of a file, and ours in it. */
static tfn_code add_online_beside(tfn_str file, tfn_buf *path, tfn_error *err)
{
    size_t n = file.n;
    while (n > 0 && file.p[n - 1] != '/') {
        n--;
    }
    while (n > 1 && file.p[n - 1] == '/') {
        n--;
    }
    TFN_RETURN_IF_ERROR(tfn_buf_add(path, file.p, n, err));
    return tfn_buf_add_text(path, n == 0 || file.p[n - 1] == '/' ? "online" : "/online", err);
}

/* On LMDB, in the folder of the file that it names. */
static tfn_code read_feasts_online(reading *r, const tfn_yaml *store, const tfn_yaml *type,
                                   tfn_error *err)
{
    tfn_buf path = {0};
    tfn_yaml place = {.kind = TFN_YAML_TEXT};
    const tfn_yaml *file = tfn_yaml_is_text(type, "sqlite") ? tfn_yaml_get(store, "path") : NULL;
    const tfn_yaml *given = file;
    tfn_code rc = TFN_OK;
    if (file != NULL && file->kind == TFN_YAML_TEXT && file->text.n > 0) {
        rc = add_online_beside(file->text, &path, err);
        place.text = tfn_buf_get_str(&path);
        given = &place;
    }
    if (rc == TFN_OK) {
        rc = read_lmdb_at(r, store, given, err);
    }
    if (rc == TFN_OK) {
        rc = begin_note(r, err);
    }
    if (rc == TFN_OK) {
        rc = tfn_buf_add_format(
            &r->notes, err,
            "online_store of type '%.*s' runs on LMDB in %.*s; this release "
            "has lmdb and redis",
            TFN_STR_ARG(type->text),
            TFN_STR_ARG(place.text.n > 0 ? place.text : tfn_str_of(DEFAULT_ONLINE)));
    }
    tfn_buf_deinit(&path);
    return rc;
}

/* A key that asks for something, unless it says `quiet` (as itself or as its type). */
static bool asks_for_something(const tfn_yaml *value, const char *quiet)
{
    const tfn_yaml *kind =
        value != NULL && value->kind == TFN_YAML_MAP ? tfn_yaml_get(value, "type") : value;
    return value != NULL && tfn_yaml_is_true(value) &&
           (quiet == NULL || !tfn_yaml_is_text(kind, quiet));
}

static tfn_code note_feasts_keys(reading *r, const tfn_yaml *root, tfn_error *err)
{
    for (size_t i = 0; i < sizeof feasts_keys / sizeof *feasts_keys; i++) {
        const feasts_key *key = &feasts_keys[i];
        if (asks_for_something(tfn_yaml_get(root, key->name), key->quiet)) {
            TFN_RETURN_IF_ERROR(begin_note(r, err));
            TFN_RETURN_IF_ERROR(
                tfn_buf_add_format(&r->notes, err, "%s %s", key->name, key->happens));
        }
    }
    return TFN_OK;
}

static tfn_code read_online(reading *r, const tfn_yaml *value, tfn_error *err)
{
    const tfn_yaml *type = NULL;
    if (value != NULL &&
        (value->kind == TFN_YAML_NULL || is_word(value, "none") || is_word(value, "null"))) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(read_type(r, "online_store", value, &type, err));
    TFN_RETURN_IF_ERROR(read_max_ahead(r, tfn_yaml_get(value, "max_ahead_seconds"), err));
    if (tfn_yaml_is_text(type, "redis")) {
        return read_redis(r, value, err);
    }
    if (type == NULL || tfn_yaml_is_text(type, "lmdb")) {
        return read_lmdb(r, value, err);
    }
    if (is_feasts(type, feasts_online, "OnlineStore")) {
        return read_feasts_online(r, value, type, err);
    }
    return refuse_kind(r, "an online_store of type", type,
                       tfn_yaml_is_text(type, "valkey")
                           ? " does not exist in this release; write online_store: {type: lmdb, "
                             "path: data/online} or {type: redis, connection_string: "
                             "localhost:6379} (type redis serves Valkey too)"
                           : " does not exist in this release; write online_store: {type: lmdb, "
                             "path: data/online} or {type: redis, connection_string: "
                             "localhost:6379}",
                       err);
}

static tfn_code read_memory_limit(reading *r, const tfn_yaml *value, tfn_error *err)
{
    tfn_buf text = {0};
    int64_t *out = &r->config->store.memory_limit_bytes;
    tfn_code rc = TFN_OK;
    if (is_null(value)) {
        return TFN_OK;
    }
    if (value->kind == TFN_YAML_TEXT) {
        rc = tfn_buf_add_str(&text, value->text, err);
    } else if (value->kind != TFN_YAML_BOOL) {
        rc = tfn_yaml_add_repr(value, &text, err);
    }
    const bool is_size = rc == TFN_OK && tfn__read_size(tfn_buf_get_str(&text), out);
    tfn_buf_deinit(&text);
    if (rc == TFN_OK && !is_size) {
        return refuse(r, "offline_store.memory_limit", "e.g. 512MB", value, err);
    }
    return rc;
}

static tfn_code read_offline(reading *r, const tfn_yaml *value, tfn_error *err)
{
    static const char *const known[] = {"type", "threads", "memory_limit", "temp_directory", NULL};
    const tfn_yaml *type = NULL;
    const tfn_yaml *store = is_null(value) ? NULL : value;
    TFN_RETURN_IF_ERROR(read_type(r, "offline_store", store, &type, err));
    if (type != NULL && is_feasts(type, feasts_offline, "OfflineStore")) {
        TFN_RETURN_IF_ERROR(begin_note(r, err));
        return tfn_buf_add_format(&r->notes, err,
                                  "offline_store of type '%.*s' means the engine here, which reads "
                                  "Parquet, CSV and JSON files",
                                  TFN_STR_ARG(type->text));
    }
    if (type != NULL && !tfn_yaml_is_text(type, "duckdb") && !tfn_yaml_is_text(type, "dask") &&
        !tfn_yaml_is_text(type, "file")) {
        return refuse_kind(r, "an offline_store of type", type,
                           " does not exist in this release; write offline_store: {type: duckdb}, "
                           "which reads Parquet, CSV and JSON",
                           err);
    }
    const tfn_yaml *threads = tfn_yaml_get(store, "threads");
    if (threads != NULL &&
        (threads->kind != TFN_YAML_INT || threads->integer < 0 || threads->integer > INT32_MAX)) {
        return refuse(r, "offline_store.threads", "a count", threads, err);
    }
    r->config->store.n_threads = threads == NULL ? 0 : (int32_t)threads->integer;
    TFN_RETURN_IF_ERROR(read_memory_limit(r, tfn_yaml_get(store, "memory_limit"), err));
    const tfn_yaml *temp = tfn_yaml_get(store, "temp_directory");
    if (!is_null(temp) && temp->kind != TFN_YAML_TEXT) {
        return refuse(r, "offline_store.temp_directory", "a path", temp, err);
    }
    TFN_RETURN_IF_ERROR(note_unknowns(r, "offline_store.", store, known, err));
    if (is_null(temp)) {
        return TFN_OK;
    }
    return keep_path(r, "offline_store.temp_directory", temp, "", &r->config->store.temp_path, err);
}

static tfn_code read_s3(reading *r, const tfn_yaml *value, tfn_error *err)
{
    if (is_null(value)) {
        return TFN_OK;
    }
    if (value->kind != TFN_YAML_MAP) {
        return TFN_FAIL(err, TFN_INVALID, "%s: s3 must be a mapping, e.g. s3: {region: eu-west-1}",
                        r->source);
    }
    return value->n == 0 ? TFN_OK : keep_json(r, "s3", value, &r->config->store.s3, err);
}

static tfn_code read_online_ttl(reading *r, const tfn_yaml *value, tfn_error *err)
{
    if (value == NULL || !tfn_yaml_is_true(value)) {
        return TFN_OK;
    }
    if (is_word(value, "ignore")) {
        r->config->store.online_ttl = TFN_ONLINE_TTL_IGNORE;
    } else if (is_word(value, "enforce")) {
        r->config->store.online_ttl = TFN_ONLINE_TTL_ENFORCE;
    } else {
        return refuse(r, "online_ttl", "enforce or ignore", value, err);
    }
    return TFN_OK;
}

/* ---- feature_server ---- */

/* A number of YAML becomes a text again: settings.c has one parser for both. */
static tfn_code put(reading *r, tfn__setting_group group, const char *before,
                    const tfn_yaml_item *item, tfn_error *err)
{
    char where[MAX_WHERE_BYTES];
    tfn_buf text = {0};
    tfn_buf name = {0};
    const tfn__setting *setting = tfn__setting_find(group, item->name);
    if (setting == NULL) {
        return note_unknown(r, before, item->name, err);
    }
    if (is_null(item->value)) {
        return TFN_OK; /* as if it were not there */
    }
    tfn_code rc = item->value->kind == TFN_YAML_TEXT
                      ? tfn_buf_add_str(&text, item->value->text, err)
                      : tfn_yaml_add_repr(item->value, &text, err);
    if (rc == TFN_OK) {
        rc = tfn_buf_add_format(&name, err, "%s%.*s", before, TFN_STR_ARG(item->name));
    }
    if (rc == TFN_OK) {
        const size_t n = name.n < sizeof where ? name.n : sizeof where - 1;
        memcpy(where, name.p, n);
        where[n] = '\0';
        rc = tfn__setting_put(r->config, setting, tfn_buf_get_str(&text), r->config->repo_path,
                              where, err);
        if (rc != TFN_OK) {
            tfn_error_prepend(err, "%s: ", r->source);
        }
    }
    tfn_buf_deinit(&name);
    tfn_buf_deinit(&text);
    return rc;
}

static tfn_code put_group(reading *r, tfn__setting_group group, const char *key,
                          const tfn_yaml *map, tfn_error *err)
{
    char before[MAX_WHERE_BYTES] = "feature_server.";
    const size_t n_before = strlen(before);
    memcpy(before + n_before, key, strlen(key) + 1); /* one of ours: it fits */
    if (map->kind == TFN_YAML_NULL) {
        return TFN_OK;
    }
    if (map->kind != TFN_YAML_MAP) {
        return refuse(r, before, "a mapping", map, err);
    }
    memcpy(before + n_before + strlen(key), ".", 2);
    for (size_t i = 0; i < map->n; i++) {
        TFN_RETURN_IF_ERROR(put(r, group, before, &map->items[i], err));
    }
    return TFN_OK;
}

/* Feast's, which ask for nothing here: /metrics is always there, feature logs are a service's wish. */
static bool is_quiet(tfn_str name)
{
    static const char *const names[] = {"type",
                                        "enabled",
                                        "metrics",
                                        "feature_logging",
                                        "offline_push_batching_enabled",
                                        "offline_push_batching_batch_size",
                                        "offline_push_batching_batch_interval_seconds",
                                        "transformation_service_endpoint",
                                        "mcp_enabled",
                                        "mcp_server_name",
                                        "mcp_server_version",
                                        "mcp_transport"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (tfn_str_is(name, names[i])) {
            return true;
        }
    }
    return false;
}

static tfn_code read_server_item(reading *r, const tfn_yaml_item *item, tfn_error *err)
{
    if (tfn_str_is(item->name, "limits")) {
        return put_group(r, TFN__SETTING_LIMIT, "limits", item->value, err);
    }
    if (tfn_str_is(item->name, "access_log")) {
        return put_group(r, TFN__SETTING_ACCESS_LOG, "access_log", item->value, err);
    }
    if (tfn_str_is(item->name, "feature_logs")) {
        return put_group(r, TFN__SETTING_FEATURE_LOG, "feature_logs", item->value, err);
    }
    if (is_quiet(item->name)) {
        return TFN_OK;
    }
    return put(r, TFN__SETTING_SERVER, "feature_server.", item, err);
}

static tfn_code read_server(reading *r, const tfn_yaml *value, tfn_error *err)
{
    if (is_null(value)) {
        return TFN_OK;
    }
    if (value->kind != TFN_YAML_MAP) {
        return refuse(r, "feature_server", "a mapping, e.g. {port: 6566}", value, err);
    }
    const tfn_yaml *type = tfn_yaml_get(value, "type");
    if (!is_null(type) && !tfn_yaml_is_text(type, "local") && !tfn_yaml_is_text(type, "mcp")) {
        return refuse_kind(r, "a feature_server of type", type,
                           " does not exist; write feature_server: {type: local}", err);
    }
    for (size_t i = 0; i < value->n; i++) {
        TFN_RETURN_IF_ERROR(read_server_item(r, &value->items[i], err));
    }
    return TFN_OK;
}

/* What nobody named lies beside the registry. */
static tfn_code place_beside_registry(tfn_server_config *config, tfn_error *err)
{
    const char *registry = config->store.registry_path;
    const char *slash = strrchr(registry, '/');
    const char *folder = ".";
    if (slash != NULL) {
        const size_t n = slash == registry ? 1 : (size_t)(slash - registry);
        TFN_RETURN_IF_ERROR(tfn_arena_copy(&config->arena, registry, n, &folder, err));
    }
    if (config->keys_path == NULL) {
        config->has_default_keys = true;
        TFN_RETURN_IF_ERROR(tfn__join_path(&config->arena, folder, tfn_str_of("server_keys.json"),
                                           &config->keys_path, err));
    }
    if (config->feature_log_path == NULL) {
        TFN_RETURN_IF_ERROR(tfn__join_path(&config->arena, folder, tfn_str_of("feature_logs"),
                                           &config->feature_log_path, err));
    }
    return TFN_OK;
}

/* ---- all of it ---- */

static tfn_code note_top_unknowns(reading *r, const tfn_yaml *root, tfn_error *err)
{
    static const char *const known[] = {"project",
                                        "registry",
                                        "provider",
                                        "online_store",
                                        "offline_store",
                                        "entity_key_serialization_version",
                                        "project_description",
                                        "online_ttl",
                                        "s3",
                                        "auth",
                                        "batch_engine",
                                        "materialization",
                                        "embedding_model",
                                        "openlineage",
                                        "mlflow",
                                        "data_quality_monitoring",
                                        "flags",
                                        "coerce_tz_aware",
                                        "feature_server",
                                        "repo_path", /* where the file lies says it */
                                        "source",
                                        NULL};
    return note_unknowns(r, "", root, known, err);
}

static tfn_code read_root(reading *r, const tfn_yaml *root, tfn_error *err)
{
    if (root->kind != TFN_YAML_NULL && root->kind != TFN_YAML_MAP) {
        return TFN_FAIL(err, TFN_INVALID,
                        "%s: keys and values are needed, e.g. project: my_project", r->source);
    }
    TFN_RETURN_IF_ERROR(note_top_unknowns(r, root, err));
    TFN_RETURN_IF_ERROR(read_project(r, tfn_yaml_get(root, "project"), err));
    TFN_RETURN_IF_ERROR(read_registry(r, tfn_yaml_get(root, "registry"), err));
    TFN_RETURN_IF_ERROR(read_online(r, tfn_yaml_get(root, "online_store"), err));
    TFN_RETURN_IF_ERROR(read_offline(r, tfn_yaml_get(root, "offline_store"), err));
    TFN_RETURN_IF_ERROR(read_online_ttl(r, tfn_yaml_get(root, "online_ttl"), err));
    TFN_RETURN_IF_ERROR(read_s3(r, tfn_yaml_get(root, "s3"), err));
    TFN_RETURN_IF_ERROR(read_server(r, tfn_yaml_get(root, "feature_server"), err));
    TFN_RETURN_IF_ERROR(note_feasts_keys(r, root, err));
    const tfn_yaml *coerce = tfn_yaml_get(root, "coerce_tz_aware");
    r->is_naive = coerce != NULL && !tfn_yaml_is_true(coerce);
    return place_beside_registry(r->config, err);
}

static tfn_code write_warning(const reading *r, char **warning, tfn_error *err)
{
    tfn_buf text = {0};
    tfn_code rc = TFN_OK;
    if (warning == NULL || (r->unknown.n == 0 && r->notes.n == 0 && !r->is_naive)) {
        return TFN_OK;
    }
    if (r->unknown.n > 0) {
        rc = tfn_buf_add_format(&text, err,
                                "%s: ignored, because this release knows nothing of it: %s",
                                r->source, r->unknown.p);
    }
    if (rc == TFN_OK && r->notes.n > 0) {
        rc = tfn_buf_add_format(&text, err, "%s%s", text.n == 0 ? "" : "; ", r->notes.p);
    }
    if (rc == TFN_OK && r->is_naive) {
        rc = tfn_buf_add_format(
            &text, err, "%s%s: coerce_tz_aware: false has no effect; times are compared in UTC",
            text.n == 0 ? "" : "; ", r->source);
    }
    if (rc == TFN_OK) {
        rc = tfn_buf_take_text(&text, warning, err);
    }
    tfn_buf_deinit(&text);
    return rc;
}

static tfn_code read_text(reading *r, tfn_str text, char **warning, tfn_error *err)
{
    tfn_buf expanded;
    tfn_arena tree;
    const tfn_yaml *root = NULL;
    tfn_buf_init(&expanded, MAX_EXPANDED_BYTES);
    tfn_arena_init(&tree, MAX_TREE_BYTES);
    tfn_code rc = expand(text, &expanded, err);
    if (rc == TFN_OK) {
        rc = tfn_yaml_read(tfn_buf_get_str(&expanded), r->source, &tree, &root, err);
    }
    if (rc == TFN_OK) {
        rc = read_root(r, root, err);
    }
    if (rc == TFN_OK) {
        rc = write_warning(r, warning, err);
    }
    tfn_buf_deinit(&r->notes);
    tfn_buf_deinit(&r->unknown);
    tfn_arena_deinit(&tree);
    tfn_buf_deinit(&expanded);
    return rc;
}

static tfn_code choose_paths(tfn_server_config *config, const char *repo_path,
                             const char *yaml_path, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(
        tfn_arena_copy(&config->arena, repo_path, strlen(repo_path), &config->repo_path, err));
    config->store.base_path = config->repo_path;
    if (yaml_path == NULL) {
        return tfn__join_path(&config->arena, repo_path, tfn_str_of(FILE_NAME), &config->yaml_path,
                              err);
    }
    return tfn_arena_copy(&config->arena, yaml_path, strlen(yaml_path), &config->yaml_path, err);
}

tfn_code tfn_server_config_read(tfn_server_config *config, const char *repo_path,
                                const char *yaml_path, char **warning, tfn_error *err)
{
    tfn_buf text;
    tfn_buf_init(&text, TFN_YAML_MAX_BYTES);
    if (warning != NULL) {
        *warning = NULL;
    }
    TFN_RETURN_IF_ERROR(choose_paths(config, repo_path, yaml_path, err));
    reading r = {.config = config, .source = config->yaml_path};
    tfn_code rc = read_file(config->yaml_path, &text, err);
    if (rc == TFN_OK) {
        rc = read_text(&r, tfn_buf_get_str(&text), warning, err);
    }
    tfn_buf_deinit(&text);
    return rc;
}
