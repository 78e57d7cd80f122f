/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* A load as a write of online.h: the same calls as for a caller's writes, another table. */

#include "base/mem.h"
#include "online/lmdb_generation.h"

#include "base/poison.h"

typedef struct load_write {
    tfn_online_write base;
    tfn_lmdb_load *load;
} load_write;

static tfn_code put(tfn_online_write *write, tfn_str key, const tfn_cell *cells, tfn_instant event,
                    tfn_instant created, tfn_error *err)
{
    return tfn_lmdb_load_put(((load_write *)write)->load, key, cells, event, created, NULL, err);
}

static tfn_code delete_key(tfn_online_write *write, tfn_str key, tfn_error *err)
{
    (void)write;
    (void)key;
    return TFN_FAIL(err, TFN_INVALID, "a load puts rows; keys are deleted by a write of their own");
}

static tfn_code next_view(tfn_online_write *write, const tfn_online_view *view,
                          const tfn_row_field *fields, size_t n_fields, uint64_t n_rows,
                          tfn_error *err)
{
    (void)write;
    (void)fields;
    (void)n_fields;
    (void)n_rows;
    return TFN_FAIL(err, TFN_INVALID, "a load is of one view; begin another for view '%.*s'",
                    TFN_STR_ARG(view->name));
}

static tfn_code mark(tfn_online_write *write, tfn_str bytes, tfn_error *err)
{
    return tfn_lmdb_load_mark(((load_write *)write)->load, bytes, err);
}

static tfn_code commit(tfn_online_write *write, tfn_online_stats *stats, tfn_error *err)
{
    load_write *own = (load_write *)write;
    const tfn_online_stats done = tfn_lmdb_load_get_stats(own->load);
    const tfn_code rc = tfn_lmdb_load_commit(own->load, err);
    if (stats != NULL) {
        *stats = rc == TFN_OK ? done : (tfn_online_stats){0};
    }
    tfn_mem_free(own);
    return rc;
}

static void abort_load(tfn_online_write *write)
{
    tfn_lmdb_load_abort(((load_write *)write)->load);
    tfn_mem_free(write);
}

static const tfn_online_engine engine = {.put = put,
                                         .delete_key = delete_key,
                                         .next_view = next_view,
                                         .commit = commit,
                                         .abort = abort_load,
                                         .mark = mark};

tfn_code tfn__lmdb_begin_load(tfn_lmdb *lmdb, const tfn_online_view *view,
                              const tfn_row_field *fields, size_t n_fields, uint64_t n_rows,
                              tfn_online_write **out, tfn_error *err)
{
    *out = NULL;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(load_write), &p, err));
    load_write *own = p;
    own->base.engine = &engine;
    const tfn_code rc = tfn_lmdb_load_begin(lmdb, view->project, view->name, fields, n_fields,
                                            n_rows, &own->load, err);
    if (rc != TFN_OK) {
        tfn_mem_free(own);
        return rc;
    }
    *out = &own->base;
    return TFN_OK;
}
