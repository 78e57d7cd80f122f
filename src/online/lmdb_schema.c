/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Row schemas of a store. Database `schemas` holds, under
 *   u32 id, big endian             the packed schema (online/row.h)
 *   16 bytes, XXH3-128 of packed   its id, u32 little endian
 *
 * Ids are never given twice and their bytes never change, so a schema read in any transaction is
 * good for all: each is compiled once and kept until the environment closes. Readers find it with
 * two loads; publishing takes a mutex. A schema whose write is aborted is not in the cache, since
 * only readers put one there: a writer may meet rows of schemas that are not committed (its own, or
 * of pushes that share its commit), whose ids mean something else when the commit fails.
 */

#include <assert.h>

#include "base/hash.h"
#include "base/mem.h"
#include "online/bytes.h"
#include "online/lmdb_internal.h"

#include "base/poison.h"

static const uint32_t max_schemas = TFN__ONLINE_SCHEMA_CHUNKS * TFN__ONLINE_CHUNK_SCHEMAS;

static tfn_row_schema *find_cached(tfn_lmdb_env *env, uint32_t id)
{
    if (id >= max_schemas) {
        return NULL;
    }
    tfn__schema_chunk *chunk =
        atomic_load_explicit(&env->chunks[id / TFN__ONLINE_CHUNK_SCHEMAS], memory_order_acquire);
    if (chunk == NULL) {
        return NULL;
    }
    return atomic_load_explicit(&chunk->schemas[id % TFN__ONLINE_CHUNK_SCHEMAS],
                                memory_order_acquire);
}

tfn_code tfn__schema_load(const tfn_lmdb_env *env, MDB_txn *txn, uint32_t id, tfn_row_schema **out,
                          tfn_error *err)
{
    *out = NULL;
    uint8_t bytes[4];
    tfn__set_u32_be(bytes, id);
    MDB_val key = tfn__val(bytes, sizeof bytes);
    MDB_val value = {0};
    const int rc = mdb_get(txn, env->schemas, &key, &value);
    if (rc == MDB_NOTFOUND || id == 0 || id >= max_schemas) {
        return TFN_FAIL(err, TFN_CORRUPT,
                        "online store at '%s': a row names schema %u, which is not there",
                        env->path, (unsigned)id);
    }
    if (rc != 0) {
        return tfn__lmdb_fail(env->path, rc, "reading a row schema", err);
    }
    TFN_RETURN_IF_ERROR(tfn_row_schema_unpack(tfn__val_str(value), out, err));
    (*out)->id = id;
    return TFN_OK;
}

/* Under schema_mutex: keep `*schema`, unless another thread was first; then that one is the answer.
 */
static tfn_code publish(tfn_lmdb_env *env, tfn_row_schema **schema, const tfn_row_schema **out,
                        tfn_error *err)
{
    const uint32_t id = (*schema)->id;
    _Atomic(tfn__schema_chunk *) *link = &env->chunks[id / TFN__ONLINE_CHUNK_SCHEMAS];
    tfn__schema_chunk *chunk = atomic_load_explicit(link, memory_order_acquire);
    if (chunk == NULL) {
        void *p = NULL;
        TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof *chunk, &p, err));
        chunk = p;
        atomic_store_explicit(link, chunk, memory_order_release);
    }
    _Atomic(tfn_row_schema *) *place = &chunk->schemas[id % TFN__ONLINE_CHUNK_SCHEMAS];
    tfn_row_schema *kept = atomic_load_explicit(place, memory_order_acquire);
    if (kept == NULL) {
        kept = *schema;
        *schema = NULL;
        atomic_store_explicit(place, kept, memory_order_release);
    }
    *out = kept;
    return TFN_OK;
}

tfn_code tfn__schema_get(tfn_lmdb_env *env, MDB_txn *txn, uint32_t id, const tfn_row_schema **out,
                         tfn_error *err)
{
    *out = find_cached(env, id);
    if (*out != NULL) {
        return TFN_OK;
    }
    tfn_row_schema *loaded = NULL;
    TFN_RETURN_IF_ERROR(tfn__schema_load(env, txn, id, &loaded, err));
    assert(loaded != NULL);
    (void)pthread_mutex_lock(&env->schema_mutex);
    const tfn_code rc = publish(env, &loaded, out, err);
    (void)pthread_mutex_unlock(&env->schema_mutex);
    tfn_row_schema_destroy(loaded);
    return rc;
}

/* The id that the store has for these bytes, or 0. */
static tfn_code find_id(const tfn_lmdb_env *env, MDB_txn *txn, const tfn_hash128 *hash,
                        tfn_str packed, uint32_t *id, tfn_error *err)
{
    *id = 0;
    MDB_val key = tfn__val(hash->bytes, sizeof hash->bytes);
    MDB_val value = {0};
    int rc = mdb_get(txn, env->schemas, &key, &value);
    if (rc == 0 && value.mv_size == 4) {
        const uint32_t found = tfn__get_u32(value.mv_data);
        uint8_t bytes[4];
        tfn__set_u32_be(bytes, found);
        key = tfn__val(bytes, sizeof bytes);
        rc = mdb_get(txn, env->schemas, &key, &value);
        if (rc == 0 && tfn_str_equal(tfn__val_str(value), packed)) {
            *id = found;
        }
    }
    if (rc != 0 && rc != MDB_NOTFOUND) {
        return tfn__lmdb_fail(env->path, rc, "looking for a row schema", err);
    }
    return TFN_OK;
}

tfn_code tfn__schema_find_id(const tfn_lmdb_env *env, MDB_txn *txn, tfn_row_schema *schema,
                             tfn_error *err)
{
    const tfn_str packed = tfn_buf_get_str(&schema->packed);
    const tfn_hash128 hash = tfn_hash128_of(packed.p, packed.n);
    return find_id(env, txn, &hash, packed, &schema->id, err);
}

tfn_code tfn__schema_assign_id(tfn_lmdb_env *env, MDB_txn *txn, tfn_row_schema *schema,
                               tfn_error *err)
{
    const tfn_str packed = tfn_buf_get_str(&schema->packed);
    const tfn_hash128 hash = tfn_hash128_of(packed.p, packed.n);
    TFN_RETURN_IF_ERROR(find_id(env, txn, &hash, packed, &schema->id, err));
    if (schema->id != 0) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(tfn__meta_take_number(env, txn, "next_schema", &schema->id, err));
    if (schema->id >= max_schemas) {
        return TFN_FAIL(err, TFN_LIMIT, "online store at '%s' has %u row schemas, the most it can",
                        env->path, (unsigned)max_schemas - 1);
    }
    uint8_t id_be[4];
    uint8_t id_le[4];
    tfn__set_u32_be(id_be, schema->id);
    tfn__set_u32(id_le, schema->id);
    MDB_val key = tfn__val(id_be, sizeof id_be);
    MDB_val value = tfn__val(packed.p, packed.n);
    int rc = mdb_put(txn, env->schemas, &key, &value, MDB_NOOVERWRITE);
    if (rc == 0) {
        key = tfn__val(hash.bytes, sizeof hash.bytes);
        value = tfn__val(id_le, sizeof id_le);
        rc = mdb_put(txn, env->schemas, &key, &value, 0);
    }
    return rc == 0 ? TFN_OK : tfn__lmdb_fail(env->path, rc, "writing a row schema", err);
}

void tfn__schema_cache_deinit(tfn_lmdb_env *env)
{
    for (size_t i = 0; i < TFN__ONLINE_SCHEMA_CHUNKS; i++) {
        tfn__schema_chunk *chunk = atomic_load_explicit(&env->chunks[i], memory_order_acquire);
        for (size_t j = 0; chunk != NULL && j < TFN__ONLINE_CHUNK_SCHEMAS; j++) {
            tfn_row_schema_destroy(atomic_load_explicit(&chunk->schemas[j], memory_order_acquire));
        }
        tfn_mem_free(chunk);
    }
}
