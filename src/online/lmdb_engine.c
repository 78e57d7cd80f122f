/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * LMDB as an engine of the online store (engine.h): opening, writing, removing. Reading rows is
 * lmdb_query.c. A caller's rows are a push (lmdb_push.c), a source's a load
 * (lmdb_load_engine.c).
 */

#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "online/engine.h"
#include "online/lmdb_admin.h"
#include "online/lmdb_engine.h"
#include "online/lmdb_generation.h"
#include "online/lmdb_push.h"
#include "online/lmdb_query.h"

#include "base/poison.h"

/* The folder is opened when it is first used: for reading, since it may not exist before something
 * is written; for writing, since a serving process may lack the permission. */
typedef struct lmdb_engine {
    tfn_online base;
    char *path;
    tfn_online_sync sync;
    _Atomic(tfn_lmdb *) reader;
    _Atomic(tfn_lmdb *) writer;
} lmdb_engine;

/* A push: it waits in memory until it is committed. Loads have calls of their own (lmdb_load_engine.c). */
typedef struct engine_write {
    tfn_online_write base;
    tfn__push *push;
} engine_write;

static const tfn_online_engine engine;

/* ---- open ---- */

static void engine_close(tfn_online *online)
{
    lmdb_engine *own = (lmdb_engine *)online;
    tfn_lmdb_close(atomic_load_explicit(&own->reader, memory_order_acquire));
    tfn_lmdb_close(atomic_load_explicit(&own->writer, memory_order_acquire));
    tfn_mem_free(own->path);
    tfn_mem_free(own);
}

tfn_code tfn__lmdb_engine_open(const tfn_online_opts *opts, tfn_online **out, tfn_error *err)
{
    *out = NULL;
    if (opts->lmdb_path[0] == '\0') {
        return TFN_FAIL(err, TFN_INVALID, "online_store.path is empty; name a folder");
    }
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(lmdb_engine), &p, err));
    lmdb_engine *own = p;
    own->base.engine = &engine;
    own->sync = opts->sync;
    const tfn_code rc = tfn_mem_copy_text(opts->lmdb_path, &own->path, err);
    if (rc != TFN_OK) {
        engine_close(&own->base);
        return rc;
    }
    *out = &own->base;
    return TFN_OK;
}

/* Published with one compare-and-swap, so that there is no lock which a fork could leave locked. */
tfn_code tfn__lmdb_engine_get(tfn_online *online, tfn_online_mode mode, tfn_lmdb **out,
                              tfn_error *err)
{
    lmdb_engine *own = (lmdb_engine *)online;
    _Atomic(tfn_lmdb *) *part = mode == TFN_ONLINE_WRITE ? &own->writer : &own->reader;
    *out = atomic_load_explicit(part, memory_order_acquire);
    if (*out != NULL) {
        return TFN_OK;
    }
    tfn_lmdb *opened = NULL;
    TFN_RETURN_IF_ERROR(tfn_lmdb_open(own->path, mode, &opened, err));
    if (atomic_compare_exchange_strong(part, out, opened)) {
        *out = opened;
    } else {
        tfn_lmdb_close(opened); /* somebody was faster; *out is theirs */
    }
    return TFN_OK;
}

tfn_code tfn__lmdb_engine_begin_read(tfn_online *online, tfn_lmdb_read *read, tfn_error *err)
{
    *read = (tfn_lmdb_read){0};
    tfn_lmdb *lmdb = NULL;
    tfn_error why = {0};
    const tfn_code rc = tfn__lmdb_engine_get(online, TFN_ONLINE_READ, &lmdb, &why);
    if (rc == TFN_NOT_FOUND) {
        return TFN_OK;
    }
    return rc == TFN_OK ? tfn_lmdb_begin_read(lmdb, read, err) : tfn_error_move(err, &why);
}

/* Every type of key and feature that a definition can have fits. */
static tfn_code check_view(tfn_online *online, const tfn_online_view *view,
                           const tfn_row_field *fields, size_t n_fields, tfn_error *err)
{
    (void)online;
    (void)view;
    (void)fields;
    (void)n_fields;
    (void)err;
    return TFN_OK;
}

/* ---- read (the rest is lmdb_query.c) ---- */

static tfn_code get_state(tfn_online *online, tfn_str project, tfn_str view, tfn_online_state *out,
                          tfn_error *err)
{
    *out = (tfn_online_state){0};
    tfn_lmdb_read read = {0};
    uint64_t n_rows = 0;
    TFN_RETURN_IF_ERROR(tfn__lmdb_engine_begin_read(online, &read, err));
    if (read.txn == NULL) {
        return TFN_OK;
    }
    tfn_code rc = tfn_lmdb_get_live(&read, project, view, &out->generation, err);
    if (rc == TFN_OK) {
        rc = tfn_lmdb_count(&read, project, view, &n_rows, err);
    }
    tfn_lmdb_end_read(&read);
    out->is_known = out->generation != 0;
    out->n_rows = (int64_t)n_rows;
    return rc;
}

/* ---- write ---- */

static tfn_code begin_write(tfn_online *online, const tfn_online_view *view,
                            const tfn_row_field *fields, size_t n_fields, tfn_online_origin origin,
                            uint64_t n_rows, tfn_online_write **out, tfn_error *err)
{
    *out = NULL;
    tfn_lmdb *lmdb = NULL;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn__lmdb_engine_get(online, TFN_ONLINE_WRITE, &lmdb, err));
    if (origin == TFN_ONLINE_LOAD) {
        return tfn__lmdb_begin_load(lmdb, view, fields, n_fields, n_rows, out, err);
    }
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(engine_write), &p, err));
    engine_write *own = p;
    own->base.engine = online->engine;
    const tfn_online_sync sync = ((const lmdb_engine *)online)->sync;
    const tfn_code rc =
        tfn__push_begin(lmdb, sync, view->project, view->name, fields, n_fields, &own->push, err);
    if (rc != TFN_OK) {
        tfn_mem_free(own);
        return rc;
    }
    *out = &own->base;
    return TFN_OK;
}

static tfn_code put(tfn_online_write *write, tfn_str key, const tfn_cell *cells, tfn_instant event,
                    tfn_instant created, tfn_error *err)
{
    return tfn__push_put(((engine_write *)write)->push, key, cells, event, created, err);
}

static tfn_code delete_key(tfn_online_write *write, tfn_str key, tfn_error *err)
{
    return tfn__push_delete(((engine_write *)write)->push, key, err);
}

static tfn_code next_view(tfn_online_write *write, const tfn_online_view *view,
                          const tfn_row_field *fields, size_t n_fields, uint64_t n_rows,
                          tfn_error *err)
{
    (void)n_rows;
    return tfn__push_next_view(((engine_write *)write)->push, view->project, view->name, fields,
                               n_fields, err);
}

static tfn_code commit(tfn_online_write *write, tfn_online_stats *stats, tfn_error *err)
{
    const tfn_code rc = tfn__push_commit(((engine_write *)write)->push, stats, err);
    tfn_mem_free(write);
    return rc;
}

static void abort_write(tfn_online_write *write)
{
    tfn__push_abort(((engine_write *)write)->push);
    tfn_mem_free(write);
}

/* Before opening it for writing, which would make it. */
static tfn_code probe_store(tfn_online *online, bool *is_there, tfn_error *err)
{
    *is_there = false;
    tfn_lmdb_read probe = {0};
    TFN_RETURN_IF_ERROR(tfn__lmdb_engine_begin_read(online, &probe, err));
    *is_there = probe.txn != NULL;
    tfn_lmdb_end_read(&probe);
    return TFN_OK;
}

static tfn_code drop_project(tfn_online *online, tfn_str project, uint64_t *n_rows, tfn_error *err)
{
    if (n_rows != NULL) {
        *n_rows = 0;
    }
    bool is_there = false;
    TFN_RETURN_IF_ERROR(probe_store(online, &is_there, err));
    if (!is_there) {
        return TFN_OK;
    }
    tfn_lmdb *lmdb = NULL;
    TFN_RETURN_IF_ERROR(tfn__lmdb_engine_get(online, TFN_ONLINE_WRITE, &lmdb, err));
    return tfn_lmdb_drop_project(lmdb, project, n_rows, err);
}

/* ---- generations ---- */

typedef struct engine_turn {
    tfn_online_turn base;
    tfn__turn turn;
} engine_turn;

static tfn_code begin_turn(tfn_online *online, tfn_str project, tfn_str view, tfn_online_turn **out,
                           tfn_error *err)
{
    *out = NULL;
    tfn_lmdb *lmdb = NULL;
    tfn_error why = {0};
    const tfn_code opened = tfn__lmdb_engine_get(online, TFN_ONLINE_READ, &lmdb, &why);
    if (opened == TFN_NOT_FOUND) {
        return TFN_OK;
    }
    if (opened != TFN_OK) {
        return tfn_error_move(err, &why);
    }
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(engine_turn), &p, err));
    engine_turn *own = p;
    own->base.engine = online->engine;
    const tfn_code rc = tfn__turn_begin(((lmdb_engine *)online)->path, TFN__TURN_RUN, project, view,
                                        true, &own->turn, err);
    if (rc != TFN_OK) {
        tfn_mem_free(own);
        return rc;
    }
    *out = &own->base;
    return TFN_OK;
}

static void end_turn(tfn_online_turn *turn)
{
    tfn__turn_end(&((engine_turn *)turn)->turn);
    tfn_mem_free(turn);
}

static tfn_code get_previous(tfn_online *online, tfn_str project, tfn_str view,
                             tfn_online_previous *out, tfn_error *err)
{
    *out = (tfn_online_previous){0};
    tfn_lmdb_read read = {0};
    TFN_RETURN_IF_ERROR(tfn__lmdb_engine_begin_read(online, &read, err));
    const tfn_code rc =
        read.txn != NULL ? tfn_lmdb_get_previous(&read, project, view, out, err) : TFN_OK;
    tfn_lmdb_end_read(&read);
    return rc;
}

static tfn_code rollback(tfn_online *online, tfn_str project, tfn_str view, tfn_str mark,
                         tfn_online_pushes pushes, tfn_online_rolled_back *out, tfn_error *err)
{
    *out = (tfn_online_rolled_back){0};
    bool is_there = false;
    tfn_lmdb *lmdb = NULL;
    TFN_RETURN_IF_ERROR(probe_store(online, &is_there, err));
    if (!is_there) {
        return tfn__generation_no_previous(view, err);
    }
    TFN_RETURN_IF_ERROR(tfn__lmdb_engine_get(online, TFN_ONLINE_WRITE, &lmdb, err));
    return tfn_lmdb_rollback(lmdb, project, view, mark, pushes, out, err);
}

static const tfn_online_engine engine = {
    .close = engine_close,
    .query_create = tfn__lmdb_query_create,
    .query_destroy = tfn__lmdb_query_destroy,
    .fetch = tfn__lmdb_fetch,
    .check_view = check_view,
    .get_state = get_state,
    .begin_write = begin_write,
    .put = put,
    .delete_key = delete_key,
    .next_view = next_view,
    .commit = commit,
    .abort = abort_write,
    .drop_project = drop_project,
    .begin_turn = begin_turn,
    .end_turn = end_turn,
    .get_previous = get_previous,
    .rollback = rollback,
    .admin = &tfn__lmdb_admin,
};
