/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Administration of LMDB's store: the table of its functions, and what several of them need. */

#include "online/lmdb_admin.h"

#include "base/poison.h"

const tfn_online_admin_engine tfn__lmdb_admin = {
    .take_census = tfn__lmdb_take_census,
    .run_vacuum = tfn__lmdb_run_vacuum,
    .write_backup = tfn__lmdb_write_backup,
    .read_backup = tfn__lmdb_read_backup,
};

typedef struct view_list {
    tfn_arena *arena;
    tfn__named_view *views;
    size_t n;
    size_t capacity;
} view_list;

static tfn_code add_view(void *context, tfn_str project, tfn_str view, const tfn__view *record,
                         tfn_error *err)
{
    view_list *list = context;
    if (list->n == list->capacity) { /* never: one transaction */
        return TFN_FAIL(err, TFN_CORRUPT, "database 'views' holds more than it says");
    }
    tfn__named_view *out = &list->views[list->n++];
    *out = (tfn__named_view){project, view, *record};
    TFN_RETURN_IF_ERROR(tfn_arena_copy(list->arena, project.p, project.n, &out->project.p, err));
    return tfn_arena_copy(list->arena, view.p, view.n, &out->view.p, err);
}

tfn_code tfn__views_list(const tfn_lmdb_env *env, MDB_txn *txn, tfn_arena *arena,
                         tfn__named_view **out, size_t *n_out, tfn_error *err)
{
    MDB_stat stat;
    void *p = NULL;
    *out = NULL;
    *n_out = 0;
    const int rc = mdb_stat(txn, env->views, &stat);
    if (rc != 0) {
        return tfn__lmdb_fail(env->path, rc, "listing views", err);
    }
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, stat.ms_entries, sizeof **out, &p, err));
    view_list list = {.arena = arena, .views = p, .capacity = stat.ms_entries};
    TFN_RETURN_IF_ERROR(tfn__view_each(env, txn, add_view, &list, err));
    *out = list.views;
    *n_out = list.n;
    return TFN_OK;
}
