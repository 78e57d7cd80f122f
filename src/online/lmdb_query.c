/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Reading rows from LMDB: many keys of many views in one read transaction.
 *
 *   query   a view's name, the wanted fields, where they lie in rows of each schema seen, and the
 *           view's live generation as of the last commit that was looked at
 *   fetch   per view one comparison of commit numbers; per key one get; rows are copied, since
 *           LMDB's memory is valid only inside the transaction, and an open one would keep the
 *           store from reusing space
 *
 * What a lookup costs beyond its gets must not grow with the views. So a view's record is read once
 * after a commit, not once a fetch: LMDB numbers its commits, and a record belongs to one number.
 *
 * Keys are taken a few at a time: first all their gets, which find where the rows lie, then the
 * rows. Between the two the processor fetches the rows' memory, which would be waited for otherwise
 * (`__builtin_prefetch`).
 *
 * Equal keys that follow each other with the same address (a user beside each of a hundred items)
 * are read once.
 */

#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "online/lmdb_internal.h"
#include "online/lmdb_query.h"

#include "online/lmdb_engine.h"

#include "base/poison.h"

enum {
    KEYS_AT_ONCE = 16,
    CACHE_LINE_BYTES = 64,
    PREFETCH_BYTES = 256, /* of a row; what is beyond comes by itself, being read in order */
    ROW_ALIGN_BYTES = 8
};

/* Where the wanted fields lie in rows of one row schema. Made at the first sight of a schema,
 * published with one compare-and-swap, kept until the query goes. */
typedef struct field_map {
    const tfn_row_schema *schema;
    struct field_map *next;
    int32_t i_fields[];
} field_map;

/* The live generation as of one commit of one environment (a fork's child has its own). Written by
 * whoever makes `turn` odd; one that finds it odd goes without. A reader believes what it read if
 * `turn` was even and has not moved meanwhile. */
typedef struct known_live {
    _Atomic uint32_t turn;
    _Atomic uint32_t generation;
    _Atomic uintptr_t env;
    _Atomic uint64_t commit; /* 0: nothing is known */
} known_live;

typedef struct lmdb_query {
    tfn_online_query base;
    tfn_arena arena;
    tfn_str project;
    tfn_str view;
    tfn_row_field *wanted;
    size_t n_wanted;
    _Atomic(field_map *) maps;
    known_live live;
} lmdb_query;

/* ---- queries ---- */

void tfn__lmdb_query_destroy(tfn_online_query *query)
{
    lmdb_query *own = (lmdb_query *)query;
    field_map *map = atomic_load_explicit(&own->maps, memory_order_relaxed);
    while (map != NULL) {
        field_map *next = map->next;
        tfn_mem_free(map);
        map = next;
    }
    tfn_arena_deinit(&own->arena);
    tfn_mem_free(own);
}

static tfn_code copy_str(tfn_arena *arena, tfn_str text, tfn_str *out, tfn_error *err)
{
    out->n = text.n;
    return tfn_arena_copy(arena, text.p, text.n, &out->p, err);
}

static tfn_code fill_query(lmdb_query *query, const tfn_online_view *view,
                           const tfn_row_field *wanted, size_t n_wanted, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(copy_str(&query->arena, view->project, &query->project, err));
    TFN_RETURN_IF_ERROR(copy_str(&query->arena, view->name, &query->view, err));
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&query->arena, n_wanted, sizeof *wanted, &p, err));
    query->wanted = p;
    query->n_wanted = n_wanted;
    for (size_t i = 0; i < n_wanted; i++) {
        query->wanted[i].type = wanted[i].type;
        TFN_RETURN_IF_ERROR(copy_str(&query->arena, wanted[i].name, &query->wanted[i].name, err));
    }
    return TFN_OK;
}

tfn_code tfn__lmdb_query_create(tfn_online *online, const tfn_online_view *view,
                                const tfn_row_field *wanted, size_t n_wanted,
                                tfn_online_query **out, tfn_error *err)
{
    *out = NULL;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(lmdb_query), &p, err));
    lmdb_query *own = p;
    own->base.engine = online->engine;
    const tfn_code rc = fill_query(own, view, wanted, n_wanted, err);
    if (rc != TFN_OK) {
        tfn__lmdb_query_destroy(&own->base);
        return rc;
    }
    *out = &own->base;
    return TFN_OK;
}

/* Where the wanted features lie in this row: known for the schema, or made now. */
static tfn_code get_field_map(lmdb_query *query, const tfn_row_schema *schema, const int32_t **out,
                              tfn_error *err)
{
    field_map *head = atomic_load_explicit(&query->maps, memory_order_acquire);
    for (const field_map *map = head; map != NULL; map = map->next) {
        if (map->schema == schema) {
            *out = map->i_fields;
            return TFN_OK;
        }
    }
    void *p = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_mem_alloc_array(1, sizeof(field_map) + query->n_wanted * sizeof(int32_t), &p, err));
    field_map *fresh = p;
    fresh->schema = schema;
    tfn_row_schema_map(schema, query->wanted, query->n_wanted, fresh->i_fields);
    /* Two threads may add the same schema; then the older twin is never reached again. */
    do {
        fresh->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&query->maps, &head, fresh,
                                                    memory_order_release, memory_order_acquire));
    *out = fresh->i_fields;
    return TFN_OK;
}

/* ---- the live generation ---- */

static bool recall_live(known_live *known, uintptr_t env, uint64_t commit, uint32_t *generation)
{
    const uint32_t turn = atomic_load_explicit(&known->turn, memory_order_acquire);
    const bool is_it = atomic_load_explicit(&known->commit, memory_order_acquire) == commit &&
                       atomic_load_explicit(&known->env, memory_order_acquire) == env;
    *generation = atomic_load_explicit(&known->generation, memory_order_acquire);
    return is_it && turn % 2 == 0 &&
           atomic_load_explicit(&known->turn, memory_order_relaxed) == turn;
}

static void remember_live(known_live *known, uintptr_t env, uint64_t commit, uint32_t generation)
{
    uint32_t turn = atomic_load_explicit(&known->turn, memory_order_relaxed);
    if (turn % 2 != 0 ||
        !atomic_compare_exchange_strong_explicit(&known->turn, &turn, turn + 1,
                                                 memory_order_acq_rel, memory_order_relaxed)) {
        return;
    }
    atomic_store_explicit(&known->env, env, memory_order_release);
    atomic_store_explicit(&known->generation, generation, memory_order_release);
    atomic_store_explicit(&known->commit, commit, memory_order_release);
    atomic_store_explicit(&known->turn, turn + 2, memory_order_release);
}

static tfn_code get_live(const tfn_lmdb_read *read, lmdb_query *query, uint32_t *generation,
                         tfn_error *err)
{
    const uint64_t commit = mdb_txn_id(read->txn);
    const uintptr_t env = (uintptr_t)read->env;
    if (recall_live(&query->live, env, commit, generation)) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(tfn_lmdb_get_live(read, query->project, query->view, generation, err));
    remember_live(&query->live, env, commit, *generation);
    return TFN_OK;
}

/* ---- fetch ---- */

/* A few keys of one ask: begin .. begin + n - 1. */
typedef struct key_run {
    const tfn_lmdb_read *read;
    lmdb_query *query;
    tfn_online_ask *ask;
    size_t begin;
    size_t n;
    MDB_val values[KEYS_AT_ONCE]; /* in LMDB's memory; mv_data NULL: no row */
    bool is_twin[KEYS_AT_ONCE];   /* as the key before it */
    bool is_hashed[KEYS_AT_ONCE];
} key_run;

static void prefetch(MDB_val value)
{
    const char *bytes = value.mv_data;
    for (size_t at = 0; at < value.mv_size && at < PREFETCH_BYTES; at += CACHE_LINE_BYTES) {
        __builtin_prefetch(bytes + at);
    }
}

/* One string, not only an equal one. */
static bool is_same(tfn_str a, tfn_str b)
{
    return a.p == b.p && a.n == b.n;
}

/* Get all keys of the run; bytes that their rows take, each aligned. */
static tfn_code find_rows(key_run *run, uint32_t generation, size_t *n_bytes, tfn_error *err)
{
    *n_bytes = 0;
    for (size_t i = 0; i < run->n; i++) {
        const size_t i_key = run->begin + i;
        const tfn_str key = run->ask->keys[i_key];
        run->values[i] = (MDB_val){0};
        run->is_twin[i] = i_key > 0 && is_same(key, run->ask->keys[i_key - 1]);
        if (key.p == NULL || run->is_twin[i]) {
            continue;
        }
        tfn__row_key row_key;
        TFN_RETURN_IF_ERROR(tfn__row_key_make(generation, key, &row_key, err));
        run->is_hashed[i] = row_key.is_hashed;
        TFN_RETURN_IF_ERROR(tfn__lmdb_find_row(run->read, &row_key, &run->values[i], err));
        if (run->values[i].mv_data != NULL) {
            prefetch(run->values[i]);
            *n_bytes += (run->values[i].mv_size + ROW_ALIGN_BYTES - 1) & ~(size_t)7;
        }
    }
    return TFN_OK;
}

/* Copy the rows that were found to `to`, and open the copies. */
static tfn_code take_rows(key_run *run, char *to, tfn_error *err)
{
    for (size_t i = 0; i < run->n; i++) {
        const size_t i_key = run->begin + i;
        tfn_found_row *found = &run->ask->found[i_key];
        const size_t n = run->values[i].mv_size;
        if (run->is_twin[i]) {
            *found = run->ask->found[i_key - 1];
            continue;
        }
        if (run->values[i].mv_data == NULL) {
            continue;
        }
        memcpy(to, run->values[i].mv_data, n);
        tfn_row row;
        TFN_RETURN_IF_ERROR(tfn__lmdb_open_row(run->read, (tfn_str){to, n}, &row, err));
        if (!run->is_hashed[i] || tfn_str_equal(row.full_key, run->ask->keys[i_key])) {
            TFN_RETURN_IF_ERROR(get_field_map(run->query, row.schema, &found->i_fields, err));
            found->row = row;
        }
        to += (n + ROW_ALIGN_BYTES - 1) & ~(size_t)7;
    }
    return TFN_OK;
}

static tfn_code fetch_view(const tfn_lmdb_read *read, tfn_online_ask *ask, tfn_arena *arena,
                           tfn_error *err)
{
    key_run run; /* its arrays are filled as far as they are read */
    run.read = read;
    run.query = (lmdb_query *)ask->query;
    run.ask = ask;
    uint32_t generation = 0;
    TFN_RETURN_IF_ERROR(get_live(read, run.query, &generation, err));
    ask->is_known = generation != 0;
    for (run.begin = 0; run.begin < ask->n_keys && ask->is_known; run.begin += run.n) {
        const size_t n_left = ask->n_keys - run.begin;
        size_t n_bytes = 0;
        void *p = NULL;
        run.n = n_left < KEYS_AT_ONCE ? n_left : KEYS_AT_ONCE;
        TFN_RETURN_IF_ERROR(find_rows(&run, generation, &n_bytes, err));
        TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, n_bytes, 1, &p, err));
        TFN_RETURN_IF_ERROR(take_rows(&run, p, err));
    }
    return TFN_OK;
}

tfn_code tfn__lmdb_fetch(tfn_online *online, tfn_online_ask *asks, size_t n_asks, tfn_arena *arena,
                         tfn_error *err)
{
    tfn_lmdb_read read = {0};
    TFN_RETURN_IF_ERROR(tfn__lmdb_engine_begin_read(online, &read, err));
    tfn_code rc = TFN_OK;
    for (size_t i = 0; i < n_asks && rc == TFN_OK && read.txn != NULL; i++) {
        rc = fetch_view(&read, &asks[i], arena, err);
    }
    tfn_lmdb_end_read(&read);
    return rc;
}
