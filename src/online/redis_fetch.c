/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Reading from Redis: one HMGET per key and view, all of them in one round trip.
 *
 *   ask -> HMGET hash field... _ts:view _tc:view -> reply -> cells -> online row (row.h)
 *
 * A row is what one HMGET saw, so it is one state of the hash. Without an event time there is no
 * row. Each row gets the query's own row schema; a field that is not in the hash, or holds a value
 * of another type, is one that the row does not have: rows of one set of such fields share a map
 * from wanted fields to the schema's. Maps are made at the first sight of a set, published with
 * one compare-and-swap, and kept until the query goes; there are about as many as a view had
 * definitions.
 */

#include <string.h>

#include "base/mem.h"
#include "online/redis_internal.h"
#include "online/redis_value.h"

#include "base/poison.h"

typedef struct field_map {
    struct field_map *next;
    uint8_t *is_present; /* per field of the view, 0 or 1 */
    int32_t i_fields[];  /* per wanted field */
} field_map;

typedef struct redis_query {
    tfn_online_query base;
    tfn_arena arena;
    redis_view view; /* fields: what is wanted, each once */
    tfn_row_schema *schema;
    uint32_t *i_wanted; /* per wanted field: which of the view's */
    size_t n_wanted;
    _Atomic(field_map *) maps;
} redis_query;

/* So many go out at once; more of them take more round trips, and no more memory. */
enum { MAX_COMMANDS = 4096 };

/* A command that was added, and where its row goes. */
typedef struct asked_row {
    redis_query *query;
    tfn_found_row *found;
} asked_row;

/* Memory of one fetch, shared by its rows. */
typedef struct fetch_run {
    tfn_redis_batch *batch;
    asked_row *asked; /* per command of the batch */
    size_t n_asked;
    tfn_arena *arena;  /* the caller's */
    tfn_arena scratch; /* of the row at hand */
    tfn_buf bytes;     /* a key, a row */
    tfn_str *args;
    tfn_cell *cells;
    uint8_t *is_present;
} fetch_run;

/* ---- queries ---- */

void tfn__redis_query_destroy(tfn_online_query *query)
{
    redis_query *own = (redis_query *)query;
    field_map *map = atomic_load_explicit(&own->maps, memory_order_relaxed);
    while (map != NULL) {
        field_map *next = map->next;
        tfn_mem_free(map);
        map = next;
    }
    tfn_row_schema_destroy(own->schema);
    tfn_arena_deinit(&own->arena);
    tfn_mem_free(own);
}

/* The distinct fields among those wanted; times as Feast keeps them, in seconds. */
static tfn_code choose_fields(redis_query *query, const tfn_row_field *wanted,
                              tfn_row_field **fields, size_t *n_fields, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&query->arena, query->n_wanted, sizeof(uint32_t), &p, err));
    query->i_wanted = p;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc(&query->arena, query->n_wanted, sizeof(tfn_row_field), &p, err));
    *fields = p;
    tfn_map seen = {0};
    tfn_code rc = TFN_OK;
    for (size_t i = 0; i < query->n_wanted && rc == TFN_OK; i++) {
        if (tfn_map_get(&seen, wanted[i].name, &query->i_wanted[i])) {
            continue;
        }
        query->i_wanted[i] = (uint32_t)*n_fields;
        (*fields)[*n_fields] = wanted[i];
        (*fields)[*n_fields].type.unit = TFN_UNIT_S;
        rc = tfn_map_put(&seen, wanted[i].name, (uint32_t)*n_fields, err);
        (*n_fields)++;
    }
    tfn_map_deinit(&seen);
    return rc;
}

static tfn_code fill_query(redis_query *query, const tfn_online_view *view,
                           const tfn_row_field *wanted, tfn_error *err)
{
    tfn_row_field *fields = NULL;
    size_t n_fields = 0;
    TFN_RETURN_IF_ERROR(choose_fields(query, wanted, &fields, &n_fields, err));
    TFN_RETURN_IF_ERROR(
        tfn__redis_view_init(view, fields, n_fields, &query->arena, &query->view, err));
    return tfn_row_schema_create(query->view.fields, n_fields, &query->schema, err);
}

tfn_code tfn__redis_query_create(tfn_online *online, const tfn_online_view *view,
                                 const tfn_row_field *wanted, size_t n_wanted,
                                 tfn_online_query **out, tfn_error *err)
{
    *out = NULL;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(redis_query), &p, err));
    redis_query *query = p;
    query->base.engine = online->engine;
    query->n_wanted = n_wanted;
    const tfn_code rc = fill_query(query, view, wanted, err);
    if (rc != TFN_OK) {
        tfn__redis_query_destroy(&query->base);
        return rc;
    }
    *out = &query->base;
    return TFN_OK;
}

/* Where the wanted fields are in rows that have these. */
static tfn_code get_field_map(redis_query *query, const uint8_t *is_present, const int32_t **out,
                              tfn_error *err)
{
    const size_t n_fields = query->view.n_fields;
    field_map *head = atomic_load_explicit(&query->maps, memory_order_acquire);
    for (const field_map *map = head; map != NULL; map = map->next) {
        if (memcmp(map->is_present, is_present, n_fields) == 0) {
            *out = map->i_fields;
            return TFN_OK;
        }
    }
    void *p = NULL;
    const size_t n_bytes = sizeof(field_map) + query->n_wanted * sizeof(int32_t) + n_fields;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, n_bytes, &p, err));
    field_map *fresh = p;
    fresh->is_present = (uint8_t *)(fresh->i_fields + query->n_wanted);
    memcpy(fresh->is_present, is_present, n_fields);
    for (size_t i = 0; i < query->n_wanted; i++) {
        const uint32_t i_field = query->i_wanted[i];
        fresh->i_fields[i] = is_present[i_field] != 0 ? (int32_t)i_field : -1;
    }
    /* Two threads may add the same set; then the older twin is never reached again. */
    do {
        fresh->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&query->maps, &head, fresh,
                                                    memory_order_release, memory_order_acquire));
    *out = fresh->i_fields;
    return TFN_OK;
}

/* ---- ask ---- */

static tfn_code add_key(fetch_run *run, const redis_view *view, tfn_str key, bool *is_asked,
                        tfn_error *err)
{
    static const char command[] = "HMGET";
    tfn_arena_reset(&run->scratch);
    tfn_buf_clear(&run->bytes);
    TFN_RETURN_IF_ERROR(
        tfn__redis_keys_add(&view->keys, key, &run->scratch, &run->bytes, is_asked, err));
    if (!*is_asked) {
        return TFN_OK; /* a key that was never written */
    }
    size_t n = 0;
    run->args[n++] = (tfn_str){command, sizeof command - 1};
    run->args[n++] = tfn_buf_get_str(&run->bytes);
    for (size_t i = 0; i < view->n_fields; i++) {
        run->args[n++] = view->names[i];
    }
    run->args[n++] = view->time;
    run->args[n++] = view->pair;
    return tfn_redis_batch_add(run->batch, run->args[1], run->args, n, err);
}

/* ---- answer ---- */

static tfn_code read_field(fetch_run *run, const redis_view *view, size_t i,
                           const tfn_redis_reply *reply, tfn_error *err)
{
    bool is_type = false;
    run->cells[i] = (tfn_cell){.is_null = true};
    if (reply->type == TFN_REDIS_STRING) {
        const tfn_code rc = tfn__redis_value_read(view->fields[i].type, reply->text, &run->scratch,
                                                  &run->cells[i], &is_type, err);
        if (rc != TFN_OK) {
            tfn_error_prepend(err, "feature '%.*s' of '%.*s' in Redis: ",
                              TFN_STR_ARG(view->fields[i].name), TFN_STR_ARG(view->name));
            return rc;
        }
    }
    run->is_present[i] = is_type ? 1 : 0;
    return TFN_OK;
}

static tfn_code read_times(const redis_view *view, const tfn_redis_reply *replies,
                           tfn_instant *event, tfn_instant *created, tfn_error *err)
{
    const tfn_code rc = tfn__redis_time_read(replies[0].text, event, err);
    if (rc != TFN_OK) {
        tfn_error_prepend(err, "event time of '%.*s' in Redis: ", TFN_STR_ARG(view->name));
        return rc;
    }
    *created = replies[1].type == TFN_REDIS_STRING ? tfn__redis_pair_read(replies[1].text, *event)
                                                   : TFN_INSTANT_NONE;
    return TFN_OK;
}

static tfn_code read_row(fetch_run *run, redis_query *query, const tfn_redis_reply *replies,
                         tfn_found_row *found, tfn_error *err)
{
    const redis_view *view = &query->view;
    const char *copy = NULL;
    tfn_arena_reset(&run->scratch);
    for (size_t i = 0; i < view->n_fields; i++) {
        TFN_RETURN_IF_ERROR(read_field(run, view, i, &replies[i], err));
    }
    tfn_row *row = &found->row;
    row->schema = query->schema;
    TFN_RETURN_IF_ERROR(
        read_times(view, replies + view->n_fields, &row->event, &row->created, err));
    TFN_RETURN_IF_ERROR(tfn_row_encode(query->schema, run->cells, row->event, row->created,
                                       (tfn_str){0}, &run->bytes, err));
    TFN_RETURN_IF_ERROR(tfn_arena_copy(run->arena, run->bytes.p, run->bytes.n, &copy, err));
    row->bytes = (const uint8_t *)copy;
    row->n_bytes = run->bytes.n;
    return get_field_map(query, run->is_present, &found->i_fields, err);
}

static tfn_code read_reply(fetch_run *run, redis_query *query, const tfn_redis_reply *reply,
                           tfn_found_row *found, tfn_error *err)
{
    const size_t n_fields = query->view.n_fields;
    if (reply->type == TFN_REDIS_ERROR) {
        return TFN_FAIL(err, TFN_IO, "Redis refused to read feature view '%.*s': %.*s",
                        TFN_STR_ARG(query->view.name), TFN_STR_ARG(reply->text));
    }
    if (reply->type != TFN_REDIS_ARRAY || reply->n_elements != n_fields + 2) {
        return TFN_FAIL(err, TFN_CORRUPT,
                        "Redis answered an HMGET of %zu fields with something else than so many "
                        "values",
                        n_fields + 2);
    }
    if (reply->elements[n_fields].type != TFN_REDIS_STRING) {
        return TFN_OK; /* no event time: no row */
    }
    const tfn_code rc = read_row(run, query, reply->elements, found, err);
    if (rc != TFN_OK) {
        *found = (tfn_found_row){0};
    }
    return rc;
}

/* ---- fetch ---- */

static tfn_code init_run(fetch_run *run, redis_engine *engine, const tfn_online_ask *asks,
                         size_t n_asks, tfn_error *err)
{
    size_t n_fields = 1;
    size_t n_keys = 0;
    for (size_t i = 0; i < n_asks; i++) {
        const size_t n = ((const redis_query *)asks[i].query)->view.n_fields;
        n_fields = n > n_fields ? n : n_fields;
        n_keys += asks[i].n_keys < MAX_COMMANDS ? asks[i].n_keys : MAX_COMMANDS;
    }
    n_keys = n_keys < MAX_COMMANDS ? n_keys : MAX_COMMANDS;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(run->arena, n_fields + 4, sizeof(tfn_str), &p, err));
    run->args = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(run->arena, n_fields, sizeof(tfn_cell), &p, err));
    run->cells = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(run->arena, n_fields, sizeof(uint8_t), &p, err));
    run->is_present = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(run->arena, n_keys, sizeof(asked_row), &p, err));
    run->asked = p;
    return tfn__redis_take_batch(engine, &run->batch, err);
}

/* One round trip for what was asked so far. */
static tfn_code flush(fetch_run *run, tfn_error *err)
{
    if (run->n_asked == 0) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(tfn_redis_batch_run(run->batch, err));
    for (size_t i = 0; i < run->n_asked; i++) {
        TFN_RETURN_IF_ERROR(read_reply(run, run->asked[i].query,
                                       tfn_redis_batch_get_reply(run->batch, i),
                                       run->asked[i].found, err));
    }
    tfn_redis_batch_clear(run->batch);
    run->n_asked = 0;
    return TFN_OK;
}

static tfn_code ask_view(fetch_run *run, tfn_online_ask *ask, tfn_error *err)
{
    redis_query *query = (redis_query *)ask->query;
    ask->is_known = true;
    for (size_t i = 0; i < ask->n_keys; i++) {
        bool is_asked = false;
        if (ask->keys[i].p == NULL) {
            continue;
        }
        TFN_RETURN_IF_ERROR(add_key(run, &query->view, ask->keys[i], &is_asked, err));
        if (is_asked) {
            run->asked[run->n_asked++] = (asked_row){query, &ask->found[i]};
        }
        if (run->n_asked == MAX_COMMANDS) {
            TFN_RETURN_IF_ERROR(flush(run, err));
        }
    }
    return TFN_OK;
}

tfn_code tfn__redis_fetch(tfn_online *online, tfn_online_ask *asks, size_t n_asks, tfn_arena *arena,
                          tfn_error *err)
{
    redis_engine *engine = (redis_engine *)online;
    fetch_run run = {.arena = arena};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, init_run(&run, engine, asks, n_asks, err), done);
    for (size_t i = 0; i < n_asks; i++) {
        TFN_GOTO_IF_ERROR(rc, ask_view(&run, &asks[i], err), done);
    }
    TFN_GOTO_IF_ERROR(rc, flush(&run, err), done);
done:
    tfn__redis_give_batch(engine, run.batch);
    tfn_buf_deinit(&run.bytes);
    tfn_arena_deinit(&run.scratch);
    return rc;
}
