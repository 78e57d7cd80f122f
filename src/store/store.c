/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The store itself: its parts and their life.
 *
 * A store is a handful of paths and three parts that are opened when a verb first needs them: the
 * registry, the online store, DuckDB. So opening costs nothing, a serving process never loads
 * DuckDB, and a training job never maps the online store. Parts, once open, stay until the last
 * owner of the store (its user, or a lookup made from it) lets go.
 */

#include "store/store_internal.h"

#include <string.h>

#include "base/machine.h"
#include "base/mem.h"

#include "base/poison.h"

static const int64_t default_max_ahead_s = 300;
static const int64_t greatest_max_ahead_s = INT64_C(1000000000000); /* 30,000 years: no bound */

const char *tfn_version(void)
{
    return TIFFIN_VERSION;
}

void tfn_text_destroy(char *text)
{
    tfn_mem_free(text);
}

tfn_store *tfn__store_retain(tfn_store *store)
{
    atomic_fetch_add_explicit(&store->n_owners, 1, memory_order_relaxed);
    return store;
}

void tfn__store_release(tfn_store *store)
{
    if (store == NULL ||
        atomic_fetch_sub_explicit(&store->n_owners, 1, memory_order_acq_rel) != 1) {
        return;
    }
    tfn_online_close(store->online);
    tfn_registry_close(store->registry);
    tfn_duckdb_destroy(store->duckdb);
    tfn_mem_free(store->project);
    tfn_mem_free(store->registry_path);
    tfn_mem_free(store->base_path);
    tfn_mem_free(store->temp_path);
    tfn_mem_free(store);
}

void tfn_store_close(tfn_store *store)
{
    tfn__store_release(store);
}

static tfn_code copy_optional(const char *text, char **out, tfn_error *err)
{
    *out = NULL;
    return text == NULL ? TFN_OK : tfn_mem_copy_text(text, out, err);
}

static tfn_code check_opts(const tfn_store_opts *opts, tfn_error *err)
{
    if (opts->struct_size != sizeof *opts) {
        return TFN_FAIL(err, TFN_INVALID,
                        "a store was opened with options of %zu bytes; this library's are %zu: set "
                        "struct_size, and rebuild against its headers",
                        opts->struct_size, sizeof *opts);
    }
    if (opts->project == NULL || opts->project[0] == '\0') {
        return TFN_FAIL(err, TFN_INVALID, "a store needs the name of its project");
    }
    if (opts->registry_path == NULL || opts->registry_path[0] == '\0') {
        return TFN_FAIL(err, TFN_INVALID, "a store needs the path of its registry");
    }
    if (opts->online_ttl < TFN_ONLINE_TTL_ABSENT || opts->online_ttl > TFN_ONLINE_TTL_ENFORCE ||
        opts->online_sync < TFN_ONLINE_SYNC_FULL || opts->online_sync > TFN_ONLINE_SYNC_BATCH ||
        opts->n_threads < 0) {
        return TFN_FAIL(err, TFN_INVALID,
                        "online_ttl %d, online_sync %d or n_threads %d is not a value it can have",
                        opts->online_ttl, opts->online_sync, opts->n_threads);
    }
    if (opts->online_path != NULL && opts->redis != NULL) {
        return TFN_FAIL(err, TFN_INVALID,
                        "a store was given the online store '%s' and one in Redis; it has one",
                        opts->online_path);
    }
    if (opts->online_max_ahead_seconds < 0 ||
        opts->online_max_ahead_seconds > greatest_max_ahead_s) {
        return TFN_FAIL(err, TFN_INVALID, "online_max_ahead_seconds is %lld; expected 0 to %lld",
                        (long long)opts->online_max_ahead_seconds, (long long)greatest_max_ahead_s);
    }
    if (opts->memory_limit_bytes < 0) {
        return TFN_FAIL(err, TFN_INVALID, "a memory limit of %lld bytes; it must not be negative",
                        (long long)opts->memory_limit_bytes);
    }
    return TFN_OK;
}

static tfn_code open_online(const tfn_store_opts *opts, tfn_online **out, tfn_error *err)
{
    *out = NULL;
    if (opts->online_path == NULL && opts->redis == NULL) {
        return TFN_OK;
    }
    const tfn_online_opts online = {.lmdb_path = opts->online_path,
                                    .redis = opts->redis,
                                    .sync = (tfn_online_sync)opts->online_sync};
    return tfn_online_open(&online, out, err);
}

tfn_code tfn_store_open(const tfn_store_opts *opts, tfn_store **out, tfn_error *err)
{
    *out = NULL;
    TFN_RETURN_IF_ERROR(check_opts(opts, err));
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_store), &p, err));
    tfn_store *store = p;
    tfn_code rc = TFN_OK;
    atomic_init(&store->n_owners, 1);
    store->n_threads = opts->n_threads;
    store->memory_limit_bytes = opts->memory_limit_bytes;
    store->online_ttl = (tfn_online_ttl)opts->online_ttl;
    store->online_max_ahead_s =
        opts->online_max_ahead_seconds > 0 ? opts->online_max_ahead_seconds : default_max_ahead_s;
    TFN_GOTO_IF_ERROR(rc, copy_optional(opts->project, &store->project, err), done);
    TFN_GOTO_IF_ERROR(rc, copy_optional(opts->registry_path, &store->registry_path, err), done);
    TFN_GOTO_IF_ERROR(rc, open_online(opts, &store->online, err), done);
    TFN_GOTO_IF_ERROR(rc, copy_optional(opts->base_path, &store->base_path, err), done);
    TFN_GOTO_IF_ERROR(rc, copy_optional(opts->temp_path, &store->temp_path, err), done);
    TFN_GOTO_IF_ERROR(rc,
                      tfn_duckdb_create(opts->duckdb_library, opts->duckdb_memory_bytes,
                                        opts->n_threads, &store->duckdb, err),
                      done);
    TFN_GOTO_IF_ERROR(rc, tfn_duckdb_set_s3(store->duckdb, opts->s3, err), done);
    *out = store;
    store = NULL;
done:
    tfn__store_release(store);
    return rc;
}

int64_t tfn__store_get_memory_limit(const tfn_store *store)
{
    return store->memory_limit_bytes > 0 ? store->memory_limit_bytes
                                         : tfn_machine_get_memory_bytes(NULL) / 4;
}

tfn_code tfn__store_get_registry(tfn_store *store, tfn_registry **out, tfn_error *err)
{
    *out = atomic_load_explicit(&store->registry, memory_order_acquire);
    if (*out != NULL) {
        return TFN_OK;
    }
    tfn_registry *opened = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_registry_open(store->registry_path, TFN_REGISTRY_CREATE, &store->clock, &opened, err));
    if (atomic_compare_exchange_strong(&store->registry, out, opened)) {
        *out = opened;
    } else {
        tfn_registry_close(opened); /* somebody was faster; *out is theirs */
    }
    return TFN_OK;
}

tfn_code tfn__store_get_snapshot(tfn_store *store, tfn_freshness freshness, tfn_snapshot **out,
                                 tfn_error *err)
{
    *out = NULL;
    tfn_registry *registry = NULL;
    TFN_RETURN_IF_ERROR(tfn__store_get_registry(store, &registry, err));
    return tfn_registry_get_snapshot(registry, tfn__store_get_project(store), freshness, out, err);
}

tfn_code tfn__store_get_online(const tfn_store *store, tfn_online **out, tfn_error *err)
{
    *out = store->online;
    if (*out == NULL) {
        return TFN_FAIL(err, TFN_UNSUPPORTED,
                        "project '%s' has no online store; set online_store in its configuration",
                        store->project);
    }
    return TFN_OK;
}

tfn_code tfn__store_describe_online_view(const tfn_store *store, const tfn_view_def *view,
                                         tfn_arena *arena, tfn_online_view *out, tfn_error *err)
{
    *out = (tfn_online_view){
        .project = tfn__store_get_project(store), .name = view->name, .n_keys = view->n_keys};
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, view->n_keys, sizeof(tfn_str), &p, err));
    tfn_str *names = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, view->n_keys, sizeof(tfn_type), &p, err));
    tfn_type *types = p;
    for (size_t i = 0; i < view->n_keys; i++) {
        names[i] = view->keys[i].name;
        types[i] = view->keys[i].type;
    }
    out->key_names = names;
    out->key_types = types;
    return TFN_OK;
}

tfn_format tfn__store_format_of(tfn_str format)
{
    if (tfn_str_is(format, "parquet")) {
        return TFN_FORMAT_PARQUET;
    }
    if (tfn_str_is(format, "json")) {
        return TFN_FORMAT_JSON;
    }
    return tfn_str_is(format, "csv") ? TFN_FORMAT_CSV : TFN_FORMAT_AUTO;
}

tfn_code tfn__store_check_runs(const tfn_view_def *view, tfn_error *err)
{
    if (view->missing.n == 0) {
        return TFN_OK;
    }
    return TFN_FAIL(err, TFN_UNSUPPORTED, "feature view '%.*s' cannot be run: %.*s",
                    TFN_STR_ARG(view->name), TFN_STR_ARG(view->missing));
}

tfn_code tfn__store_open_source(tfn_store *store, const tfn_source_def *source, tfn_source **out,
                                tfn_error *err)
{
    if (source->missing.n > 0) {
        return TFN_FAIL(err, TFN_UNSUPPORTED, "data source '%.*s' cannot be read: %.*s",
                        TFN_STR_ARG(source->name), TFN_STR_ARG(source->missing));
    }
    const tfn_format format = tfn__store_format_of(source->format);
    const tfn_code rc =
        source->s3_endpoint.n > 0
            ? tfn_source_of_objects(store->duckdb, source->path, format, source->s3_endpoint, out,
                                    err)
            : tfn_source_of_files(store->duckdb, store->base_path, source->path, format, out, err);
    if (rc != TFN_OK) {
        tfn_error_prepend(err, "data source '%.*s': ", TFN_STR_ARG(source->name));
    }
    return rc;
}

tfn_code tfn__store_compile_view(const tfn_view_def *view, const uint32_t *features,
                                 size_t n_features, tfn_arena *arena, tfn_join_view *out,
                                 tfn_error *err)
{
    *out = (tfn_join_view){.label = view->name, .n_keys = view->n_keys, .n_features = n_features};
    const size_t n_columns = view->n_keys + n_features;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, n_columns, sizeof(tfn_str), &p, err));
    tfn_str *columns = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, n_columns, sizeof(tfn_type), &p, err));
    tfn_type *types = p;
    for (size_t i = 0; i < view->n_keys; i++) {
        columns[i] = tfn_source_def_get_column(view->source, view->keys[i].name);
        types[i] = view->keys[i].type;
    }
    for (size_t i = 0; i < n_features; i++) {
        const tfn_feature_def *feature = &view->features[features[i]];
        columns[view->n_keys + i] = tfn_source_def_get_column(view->source, feature->name);
        types[view->n_keys + i] = feature->type;
    }
    out->key_columns = columns;
    out->key_types = types;
    out->feature_columns = columns + view->n_keys;
    out->feature_types = types + view->n_keys;
    out->timestamp_field = tfn_source_def_get_column(view->source, view->source->timestamp_field);
    out->created_column = view->source->created_timestamp_column;
    if (out->created_column.n > 0) {
        out->created_column = tfn_source_def_get_column(view->source, out->created_column);
    }
    out->ttl_us = view->ttl_us;
    return TFN_OK;
}

tfn_code tfn_store_get_duckdb_version(tfn_store *store, const char **version, tfn_error *err)
{
    return tfn_duckdb_get_version(store->duckdb, version, err);
}
