/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Redis, or Valkey, as an engine of the online store (engine.h), in Feast's own layout, so that
 * Feast and Tiffin serve each other's data (docs/formats/redis.md).
 *
 *   redis_client.c   connections, batches            redis_config.c   settings
 *   redis_key.c      names of hashes and fields      redis_value.c    what is in a field
 *   redis_fetch.c    HMGETs in one round trip        redis_write.c    rows under the write rule,
 *   redis_remove.c   rows that go                    redis_script.c   which runs inside Redis
 *
 * There is nothing on this side to be opened or to get out of date: an engine is a client and
 * a few settings. Redis cannot tell whether a view was ever written, nor count its rows, without a
 * walk through all keys; so states say "known", and no generation.
 */

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "online/redis_config.h"
#include "online/redis_internal.h"
#include "online/redis_value.h"

#include "base/poison.h"

static const tfn_online_engine engine;

/* ---- open ---- */

static void engine_close(tfn_online *online)
{
    redis_engine *own = (redis_engine *)online;
    tfn_redis_batch_destroy(atomic_load_explicit(&own->idle_batch, memory_order_acquire));
    tfn_redis_destroy(own->client);
    tfn_mem_free(own);
}

/* The only randomness is the jitter of back-offs, which needs no more than the clock. */
static uint64_t seed_of_clock(void)
{
    const tfn_instant now = tfn_clock_now(NULL);
    return tfn_hash_mix((uint64_t)now.seconds ^ (uint64_t)now.nanos << 32);
}

tfn_code tfn__redis_engine_open(const tfn_online_opts *opts, tfn_online **out, tfn_error *err)
{
    *out = NULL;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(redis_engine), &p, err));
    redis_engine *own = p;
    own->base.engine = &engine;
    tfn__redis_settings settings;
    tfn_code rc = tfn__redis_settings_init(opts->redis, &settings, err);
    if (rc == TFN_OK) {
        settings.client.seed = seed_of_clock();
        own->key_ttl_seconds = settings.key_ttl_seconds;
        rc = tfn_redis_create(&settings.client, &own->client, err);
    }
    tfn__redis_settings_deinit(&settings);
    if (rc != TFN_OK) {
        engine_close(&own->base);
        return rc;
    }
    *out = &own->base;
    return TFN_OK;
}

/* ---- batches ---- */

tfn_code tfn__redis_take_batch(redis_engine *own, tfn_redis_batch **out, tfn_error *err)
{
    *out = atomic_exchange_explicit(&own->idle_batch, NULL, memory_order_acq_rel);
    if (*out != NULL) {
        return TFN_OK;
    }
    return tfn_redis_batch_create(own->client, out, err);
}

void tfn__redis_give_batch(redis_engine *own, tfn_redis_batch *batch)
{
    tfn_redis_batch *none = NULL;
    if (batch == NULL) {
        return;
    }
    tfn_redis_batch_clear(batch);
    if (!atomic_compare_exchange_strong(&own->idle_batch, &none, batch)) {
        tfn_redis_batch_destroy(batch);
    }
}

/* ---- views ---- */

static tfn_code check_fields(tfn_str view, const tfn_row_field *fields, size_t n_fields,
                             tfn_error *err)
{
    for (size_t i = 0; i < n_fields; i++) {
        if (!tfn__redis_can_keep(fields[i].type)) {
            char text[TFN_TYPE_TEXT_BYTES];
            tfn_type_format(fields[i].type, text);
            return TFN_FAIL(err, TFN_UNSUPPORTED,
                            "feature view '%.*s': its feature '%.*s' is of type %s, which Feast's "
                            "layout in Redis does not keep; declare it as another type (a date as "
                            "a timestamp), or set online=False",
                            TFN_STR_ARG(view), TFN_STR_ARG(fields[i].name), text);
        }
    }
    return TFN_OK;
}

static tfn_code copy_str(tfn_arena *arena, tfn_str text, tfn_str *out, tfn_error *err)
{
    out->n = text.n;
    return tfn_arena_copy(arena, text.p, text.n, &out->p, err);
}

static tfn_code copy_prefixed(tfn_arena *arena, const char *prefix, tfn_str name, tfn_str *out,
                              tfn_error *err)
{
    tfn_buf buf = {0};
    tfn_code rc = tfn_buf_add_text(&buf, prefix, err);
    if (rc == TFN_OK) {
        rc = tfn_buf_add_str(&buf, name, err);
    }
    if (rc == TFN_OK) {
        rc = copy_str(arena, tfn_buf_get_str(&buf), out, err);
    }
    tfn_buf_deinit(&buf);
    return rc;
}

/* Two features of one field would overwrite each other: 32 bits, so it is rare but not never. */
static tfn_code check_apart(const redis_view *view, tfn_error *err)
{
    tfn_map seen = {0};
    tfn_code rc = TFN_OK;
    for (size_t i = 0; i < view->n_fields && rc == TFN_OK; i++) {
        uint32_t other = 0;
        if (tfn_map_get(&seen, view->names[i], &other)) {
            rc = TFN_FAIL(err, TFN_UNSUPPORTED,
                          "feature view '%.*s': Feast's layout in Redis cannot tell its features "
                          "'%.*s' and '%.*s' apart, since their names have the same hash; rename "
                          "one of them",
                          TFN_STR_ARG(view->name), TFN_STR_ARG(view->fields[other].name),
                          TFN_STR_ARG(view->fields[i].name));
        } else {
            rc = tfn_map_put(&seen, view->names[i], (uint32_t)i, err);
        }
    }
    tfn_map_deinit(&seen);
    return rc;
}

static tfn_code copy_fields(const tfn_row_field *fields, tfn_arena *arena, redis_view *out,
                            tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, out->n_fields, sizeof(tfn_row_field), &p, err));
    out->fields = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, out->n_fields, sizeof(tfn_str), &p, err));
    out->names = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, out->n_fields, TFN__REDIS_FIELD_BYTES, &p, err));
    uint8_t *hashes = p;
    tfn_buf scratch = {0};
    tfn_code rc = TFN_OK;
    for (size_t i = 0; i < out->n_fields; i++) {
        uint8_t *hash = hashes + i * TFN__REDIS_FIELD_BYTES;
        out->fields[i].type = fields[i].type;
        out->names[i] = (tfn_str){(const char *)hash, TFN__REDIS_FIELD_BYTES};
        TFN_GOTO_IF_ERROR(rc, copy_str(arena, fields[i].name, &out->fields[i].name, err), done);
        TFN_GOTO_IF_ERROR(rc, tfn__redis_field_of(out->name, fields[i].name, &scratch, hash, err),
                          done);
    }
done:
    tfn_buf_deinit(&scratch);
    return rc;
}

static tfn_code copy_keys(const tfn_online_view *view, tfn_arena *arena, redis_view *out,
                          tfn_error *err)
{
    tfn_online_view kept = *view;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, view->n_keys, sizeof(tfn_str), &p, err));
    tfn_str *names = p;
    for (size_t i = 0; i < view->n_keys; i++) {
        TFN_RETURN_IF_ERROR(copy_str(arena, view->key_names[i], &names[i], err));
    }
    kept.key_names = names;
    kept.name = out->name;
    TFN_RETURN_IF_ERROR(copy_str(arena, view->project, &kept.project, err));
    return tfn__redis_keys_init(&kept, arena, &out->keys, err);
}

tfn_code tfn__redis_view_init(const tfn_online_view *view, const tfn_row_field *fields,
                              size_t n_fields, tfn_arena *arena, redis_view *out, tfn_error *err)
{
    *out = (redis_view){.n_fields = n_fields};
    TFN_RETURN_IF_ERROR(copy_str(arena, view->name, &out->name, err));
    TFN_RETURN_IF_ERROR(copy_keys(view, arena, out, err));
    TFN_RETURN_IF_ERROR(check_fields(view->name, fields, n_fields, err));
    TFN_RETURN_IF_ERROR(copy_fields(fields, arena, out, err));
    TFN_RETURN_IF_ERROR(check_apart(out, err));
    TFN_RETURN_IF_ERROR(copy_prefixed(arena, "_ts:", view->name, &out->time, err));
    return copy_prefixed(arena, "_tc:", view->name, &out->pair, err);
}

static tfn_code check_view(tfn_online *online, const tfn_online_view *view,
                           const tfn_row_field *fields, size_t n_fields, tfn_error *err)
{
    (void)online;
    redis_view probe;
    tfn_arena arena = {0};
    const tfn_code rc = tfn__redis_view_init(view, fields, n_fields, &arena, &probe, err);
    tfn_arena_deinit(&arena);
    return rc;
}

static tfn_code ping(tfn_online *online, tfn_error *err)
{
    redis_engine *own = (redis_engine *)online;
    const tfn_str args[] = {tfn_str_of("PING")};
    tfn_redis_batch *batch = NULL;
    TFN_RETURN_IF_ERROR(tfn__redis_take_batch(own, &batch, err));
    tfn_code rc = tfn_redis_batch_add(batch, (tfn_str){0}, args, 1, err);
    if (rc == TFN_OK) {
        rc = tfn_redis_batch_run(batch, err);
    }
    if (rc == TFN_OK) {
        const tfn_redis_reply *reply = tfn_redis_batch_get_reply(batch, 0);
        if (reply->type == TFN_REDIS_ERROR) {
            rc = TFN_FAIL(err, TFN_INVALID, "Redis refuses a PING: %.*s", TFN_STR_ARG(reply->text));
        }
    }
    tfn__redis_give_batch(own, batch);
    return rc;
}

static tfn_code get_state(tfn_online *online, tfn_str project, tfn_str view, tfn_online_state *out,
                          tfn_error *err)
{
    (void)online;
    (void)project;
    (void)view;
    (void)err;
    *out = (tfn_online_state){.is_known = true, .n_rows = -1};
    return TFN_OK;
}

static const tfn_online_engine engine = {
    .close = engine_close,
    .check_view = check_view,
    .query_create = tfn__redis_query_create,
    .query_destroy = tfn__redis_query_destroy,
    .fetch = tfn__redis_fetch,
    .ping = ping,
    .get_state = get_state,
    .begin_write = tfn__redis_begin_write,
    .put = tfn__redis_put,
    .delete_key = tfn__redis_delete,
    .next_view = tfn__redis_next_view,
    .commit = tfn__redis_commit,
    .abort = tfn__redis_abort,
    .drop_project = tfn__redis_drop_project,
    .loads_in_parts = true,
};
