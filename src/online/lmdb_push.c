/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Pushes: a caller's rows wait in memory, encoded, and are written in one go.
 *
 *   put -> check, encode -> row in the arena          (no lock: others write meanwhile)
 *   commit -> sort by key -> apply -> one transaction (the store's write lock)
 *
 * Why wait: the write lock is held for the writing alone, not while the caller's rows are converted;
 * rows in key order touch each page once, one after another; and pushes of the same moment can share
 * a commit (lmdb_group.c), which needs them whole.
 *
 * Invariants
 *  1. Rows of one key keep their order (the sort is stable), so the write rule's ties and deletions
 *     come out as if each had been applied at once.
 *  2. What is wrong with a row by itself is found when it is put, before the lock is taken.
 *  3. Row schemas get their ids inside the transaction; rows are encoded with 0 before, and the id
 *     is set as they are written.
 *  4. After an error while rows were written only an abort is of use: a part may be in `direct`.
 *  5. `views` are those whose rows wait. The last one is being filled; it may have been handed to
 *     `direct` with rows that are written already.
 *
 * Memory: the rows. Above MAX_WAITING_BYTES the push begins a transaction of its own (`direct`),
 * writes what waits, and goes on; all of it is still one commit.
 */

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/mem.h"
#include "online/lmdb_push.h"

#include "base/poison.h"

#ifndef TFN_PUSH_MAX_WAITING_BYTES /* a test makes it small */
#define TFN_PUSH_MAX_WAITING_BYTES ((size_t)64 << 20)
#endif

typedef struct push_row {
    uint64_t prefix; /* first bytes of the key, as a number: most comparisons end with it */
    char *bytes;     /* key, then encoded row */
    uint32_t n_key;
    uint32_t n_row; /* 0: the key is to be deleted */
    size_t i;       /* place in the order of puts */
} push_row;

typedef struct push_view {
    char *names; /* project, then view; NULL: begun in `direct` already */
    size_t n_project;
    size_t n_view;
    tfn_row_schema *schema; /* owned while names is not NULL */
    size_t first_row;
} push_view;

struct tfn__push {
    tfn_lmdb *online;
    tfn_lmdb_env *env;
    pid_t pid; /* that began it: once `env` was closed, it does not say so any more */
    tfn_online_sync sync;
    push_view *views;
    size_t n_views;
    size_t views_capacity;
    push_row *rows;
    size_t n_rows;
    size_t rows_capacity;
    tfn_arena arena; /* keys and rows */
    tfn_buf row;
    tfn_lmdb_write *direct; /* NULL: nothing was written yet */
    bool is_awaited;        /* by the leader of a group */
    bool is_failed;         /* some of it could not be written */
    tfn_online_stats stats;
};

/* ---- begin, end ---- */

static void destroy_view(push_view *view)
{
    if (view->names != NULL) {
        tfn_row_schema_destroy(view->schema);
        tfn_mem_free(view->names);
    }
}

tfn_code tfn__push_next_view(tfn__push *push, tfn_str project, tfn_str view,
                             const tfn_row_field *fields, size_t n_fields, tfn_error *err)
{
    void *p = push->views;
    TFN_RETURN_IF_ERROR(tfn__view_check_names(project, view, err));
    TFN_RETURN_IF_ERROR(
        tfn_mem_grow(&p, &push->views_capacity, push->n_views + 1, sizeof(push_view), err));
    push->views = p;
    push_view fresh = {.n_project = project.n, .n_view = view.n, .first_row = push->n_rows};
    TFN_RETURN_IF_ERROR(tfn_row_schema_create(fields, n_fields, &fresh.schema, err));
    tfn_code rc = tfn_mem_alloc_array(project.n + view.n + 1, 1, &p, err);
    if (rc != TFN_OK) {
        tfn_row_schema_destroy(fresh.schema);
        return rc;
    }
    fresh.names = p;
    if (project.n > 0) {
        memcpy(fresh.names, project.p, project.n);
    }
    if (view.n > 0) {
        memcpy(fresh.names + project.n, view.p, view.n);
    }
    push->views[push->n_views] = fresh;
    push->n_views++;
    return TFN_OK;
}

tfn_code tfn__push_begin(tfn_lmdb *online, tfn_online_sync sync, tfn_str project, tfn_str view,
                         const tfn_row_field *fields, size_t n_fields, tfn__push **out,
                         tfn_error *err)
{
    *out = NULL;
    tfn_lmdb_env *env = NULL;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn__write_get_env(online, &env, err));
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn__push), &p, err));
    tfn__push *push = p;
    push->online = online;
    push->env = env;
    push->pid = getpid();
    push->sync = sync;
    push->is_awaited = sync == TFN_ONLINE_SYNC_BATCH;
    if (push->is_awaited) {
        tfn__group_enter(&env->group);
    }
    const tfn_code rc = tfn__push_next_view(push, project, view, fields, n_fields, err);
    if (rc != TFN_OK) {
        tfn__push_abort(push);
        return rc;
    }
    *out = push;
    return TFN_OK;
}

static void leave_group(tfn__push *push)
{
    if (push->is_awaited && tfn__lmdb_is_ours(push->env)) {
        tfn__group_leave(&push->env->group);
    }
    push->is_awaited = false;
}

void tfn__push_abort(tfn__push *push)
{
    if (push == NULL) {
        return;
    }
    leave_group(push);
    tfn_lmdb_abort(push->direct);
    for (size_t i = 0; i < push->n_views; i++) {
        destroy_view(&push->views[i]);
    }
    tfn_mem_free(push->views);
    tfn_mem_free(push->rows);
    tfn_arena_deinit(&push->arena);
    tfn_buf_deinit(&push->row);
    tfn_mem_free(push);
}

/* ---- write ---- */

static int compare_rows(const void *a, const void *b)
{
    const push_row *x = a;
    const push_row *y = b;
    if (x->prefix != y->prefix) {
        return x->prefix < y->prefix ? -1 : 1;
    }
    const size_t n = x->n_key < y->n_key ? x->n_key : y->n_key;
    const int order = memcmp(x->bytes, y->bytes, n);
    if (order != 0) {
        return order;
    }
    if (x->n_key != y->n_key) {
        return x->n_key < y->n_key ? -1 : 1;
    }
    return (x->i > y->i) - (x->i < y->i);
}

static void sort_rows(push_row *rows, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        if (compare_rows(&rows[i - 1], &rows[i]) > 0) {
            qsort(rows, n, sizeof *rows, compare_rows);
            return;
        }
    }
}

static tfn_code apply_rows(tfn_lmdb_write *write, push_row *rows, size_t n, tfn_error *err)
{
    sort_rows(rows, n);
    for (size_t i = 0; i < n; i++) {
        const push_row *row = &rows[i];
        const tfn_str key = {row->bytes, row->n_key};
        TFN_RETURN_IF_ERROR(
            row->n_row == 0
                ? tfn_lmdb_delete(write, key, NULL, err)
                : tfn__write_put_encoded(write, key, row->bytes + row->n_key, row->n_row, err));
    }
    return TFN_OK;
}

tfn_code tfn__push_apply(tfn__push *push, tfn_lmdb_write *write, tfn_error *err)
{
    for (size_t i = 0; i < push->n_views; i++) {
        push_view *view = &push->views[i];
        const size_t end = i + 1 < push->n_views ? push->views[i + 1].first_row : push->n_rows;
        if (view->names != NULL) {
            const tfn_str project = {view->names, view->n_project};
            const tfn_str name = {view->names + view->n_project, view->n_view};
            tfn_row_schema *schema = view->schema;
            TFN_RETURN_IF_ERROR(tfn__write_next_view(write, project, name, &schema, err));
            tfn_mem_free(view->names);
            view->names = NULL;
        }
        TFN_RETURN_IF_ERROR(
            apply_rows(write, push->rows + view->first_row, end - view->first_row, err));
    }
    return TFN_OK;
}

static tfn_code begin_direct(tfn__push *push, tfn_error *err)
{
    tfn_lmdb_env *env = NULL;
    MDB_txn *txn = NULL;
    leave_group(push);
    TFN_RETURN_IF_ERROR(tfn__write_begin_txn(push->online, &env, &txn, err));
    const tfn_code rc = tfn__write_begin_in(env, txn, &push->direct, err);
    if (rc != TFN_OK) {
        mdb_txn_abort(txn);
    }
    return rc;
}

/* Write what waits into a transaction that this push holds until it ends. */
static tfn_code write_directly(tfn__push *push, tfn_error *err)
{
    tfn_code rc = push->direct == NULL ? begin_direct(push, err) : TFN_OK;
    if (rc == TFN_OK) {
        rc = tfn__push_apply(push, push->direct, err);
    }
    if (rc != TFN_OK) {
        push->is_failed = true;
        return rc;
    }
    assert(push->n_views > 0);
    push->views[0] = push->views[push->n_views - 1];
    push->views[0].first_row = 0;
    push->n_views = 1;
    push->n_rows = 0;
    tfn_arena_reset(&push->arena);
    return TFN_OK;
}

/* ---- put ---- */

static uint64_t prefix_of(tfn_str key)
{
    uint64_t prefix = 0;
    for (size_t i = 0; i < 8; i++) {
        prefix = prefix << 8 | (i < key.n ? (uint8_t)key.p[i] : 0);
    }
    return prefix;
}

static tfn_code add_row(tfn__push *push, tfn_str key, tfn_str row, tfn_error *err)
{
    void *p = push->rows;
    TFN_RETURN_IF_ERROR(
        tfn_mem_grow(&p, &push->rows_capacity, push->n_rows + 1, sizeof(push_row), err));
    push->rows = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&push->arena, key.n + row.n, 1, &p, err));
    char *bytes = p;
    if (key.n > 0) {
        memcpy(bytes, key.p, key.n);
    }
    if (row.n > 0) {
        memcpy(bytes + key.n, row.p, row.n);
    }
    push->rows[push->n_rows] = (push_row){
        .prefix = prefix_of(key),
        .bytes = bytes,
        .n_key = (uint32_t)key.n,
        .n_row = (uint32_t)row.n,
        .i = push->n_rows,
    };
    push->n_rows++;
    return push->arena.n_bytes > TFN_PUSH_MAX_WAITING_BYTES ? write_directly(push, err) : TFN_OK;
}

tfn_code tfn__push_put(tfn__push *push, tfn_str key, const tfn_cell *cells, tfn_instant event,
                       tfn_instant created, tfn_error *err)
{
    tfn__row_key row_key;
    TFN_RETURN_IF_ERROR(tfn__row_key_make(0, key, &row_key, err));
    const tfn_row_schema *schema = push->views[push->n_views - 1].schema;
    const tfn_str full_key = row_key.is_hashed ? key : (tfn_str){0};
    TFN_RETURN_IF_ERROR(tfn_row_encode(schema, cells, event, created, full_key, &push->row, err));
    return add_row(push, key, tfn_buf_get_str(&push->row), err);
}

tfn_code tfn__push_delete(tfn__push *push, tfn_str key, tfn_error *err)
{
    tfn__row_key row_key;
    TFN_RETURN_IF_ERROR(tfn__row_key_make(0, key, &row_key, err));
    return add_row(push, key, (tfn_str){0}, err);
}

/* ---- commit ---- */

static tfn_code commit_alone(tfn__push *push, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(write_directly(push, err));
    push->stats = tfn_lmdb_get_stats(push->direct);
    tfn_lmdb_write *write = push->direct;
    push->direct = NULL;
    return tfn_lmdb_commit(write, err);
}

void tfn__push_set_stats(tfn__push *push, tfn_online_stats stats)
{
    push->stats = stats;
}

tfn_code tfn__push_commit(tfn__push *push, tfn_online_stats *stats, tfn_error *err)
{
    tfn_code rc = TFN_OK;
    if (push->pid != getpid()) {
        rc = TFN_FAIL(err, TFN_INVALID, "a write begun before a fork cannot be committed after it");
    } else if (push->is_failed) {
        rc = TFN_FAIL(err, TFN_INVALID,
                      "a part of this write could not be written; abort it and write again");
    } else if (push->sync == TFN_ONLINE_SYNC_BATCH && push->direct == NULL) {
        push->is_awaited = false; /* the group counts it as joined */
        rc = tfn__group_commit(&push->env->group, push->online, push, err);
    } else {
        rc = commit_alone(push, err);
    }
    if (stats != NULL) {
        *stats = rc == TFN_OK ? push->stats : (tfn_online_stats){0};
    }
    tfn__push_abort(push); /* what is left of it */
    return rc;
}
