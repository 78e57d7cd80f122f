/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Deleting keys of a view online: one write that only deletes, so all of them go or none.
 *
 *   frame -> join-key columns -> encoded keys (column/key.h) -> one write -> counts
 *
 * Keys are read as everywhere: other integer widths and whole floats count, and a column of texts is
 * parsed if the key is no text (a command line has nothing else). A null is the caller's mistake,
 * since it could be meant as "all"; a number that the key's type cannot hold is in no store. Of a
 * view that nothing was written to, keys are checked and counted, and nothing is made.
 */

#include "base/json.h"
#include "base/limits.h"
#include "column/frame.h"
#include "column/key.h"
#include "online/online.h"
#include "store/store_internal.h"
#include "store/value.h"
#include "tiffin/online.h"

#include "base/poison.h"

typedef struct key_delete {
    tfn_store *store;
    const tfn_view_def *view;
    tfn_frame *frame;
    tfn_arena arena;
    size_t columns[TFN_MAX_KEY_PARTS];
    tfn_str names[TFN_MAX_KEY_PARTS];
    bool is_text[TFN_MAX_KEY_PARTS]; /* texts, to be parsed */
    bool has_text;
    tfn_key_plan plan;
    tfn_keys keys;
    tfn_buf key;
    tfn_buf scratch;
    tfn_online_write *write; /* NULL: nothing was ever written to the view */
    uint64_t n_impossible;   /* keys that no row has, as is known without a look */
} key_delete;

static void deinit(key_delete *d)
{
    tfn_online_abort(d->write);
    tfn_keys_deinit(&d->keys);
    tfn_buf_deinit(&d->key);
    tfn_buf_deinit(&d->scratch);
    tfn_frame_release(d->frame);
    tfn_arena_deinit(&d->arena);
}

/* ---- columns ---- */

static tfn_code find_column(key_delete *d, size_t k, tfn_error *err)
{
    const tfn_str name = d->view->keys[k].name;
    const int64_t i = tfn_frame_find(d->frame, name);
    if (i == TFN_FRAME_AMBIGUOUS) {
        return TFN_FAIL(err, TFN_INVALID, "the keys have two columns named '%.*s'",
                        TFN_STR_ARG(name));
    }
    if (i < 0) {
        return TFN_FAIL(err, TFN_SCHEMA, "the keys have no column '%.*s', a join key of the view",
                        TFN_STR_ARG(name));
    }
    tfn_type found = {0};
    TFN_RETURN_IF_ERROR(tfn_frame_get_type(d->frame, (size_t)i, &found, err));
    d->columns[k] = (size_t)i;
    d->names[k] = name;
    d->is_text[k] = found.kind == TFN_KIND_STRING && !found.is_list &&
                    d->view->keys[k].type.kind != TFN_KIND_STRING;
    d->has_text = d->has_text || d->is_text[k];
    return TFN_OK;
}

static tfn_code find_columns(key_delete *d, tfn_error *err)
{
    tfn_type types[TFN_MAX_KEY_PARTS];
    for (size_t k = 0; k < d->view->n_keys && k < TFN_MAX_KEY_PARTS; k++) {
        types[k] = d->view->keys[k].type;
        TFN_RETURN_IF_ERROR(find_column(d, k, err));
    }
    TFN_RETURN_IF_ERROR(tfn_key_plan_init(&d->plan, types, d->view->n_keys, err));
    d->plan.names = d->names;
    return TFN_OK;
}

/* ---- rows ---- */

static tfn_code fail_null(const key_delete *d, size_t k, int64_t i_row, tfn_error *err)
{
    return TFN_FAIL(err, TFN_INVALID, "row %lld of the keys has no value of '%.*s'",
                    (long long)i_row, TFN_STR_ARG(d->names[k]));
}

static tfn_code delete_key(key_delete *d, tfn_str key, tfn_error *err)
{
    if (d->write == NULL) {
        d->n_impossible++;
        return TFN_OK;
    }
    return tfn_online_delete(d->write, key, err);
}

/* A row with texts in it, value by value. */
static tfn_code delete_parsed(key_delete *d, const tfn_vec *vecs, int64_t i, int64_t i_row,
                              tfn_error *err)
{
    tfn_key_plan plan = d->plan;
    tfn_cell cells[TFN_MAX_KEY_PARTS];
    for (size_t k = 0; k < plan.n_parts; k++) {
        tfn_cell text = {0};
        const tfn_type as = d->is_text[k] ? vecs[k].type : plan.parts[k];
        if (!tfn_vec_is_valid(&vecs[k], i)) {
            return fail_null(d, k, i_row, err);
        }
        if (!d->is_text[k] && !tfn_type_can_read(as, vecs[k].type)) {
            return TFN_FAIL(err, TFN_SCHEMA,
                            "column '%.*s' of the keys is not of the join key's type",
                            TFN_STR_ARG(d->names[k]));
        }
        TFN_RETURN_IF_ERROR(
            tfn_cell_of_vec(&vecs[k], i, as, &d->scratch, d->is_text[k] ? &text : &cells[k], err));
        if (d->is_text[k]) {
            const tfn_value value = {
                .kind = TFN_VALUE_STRING, .text = text.bytes.p, .n = text.bytes.n};
            TFN_RETURN_IF_ERROR(
                tfn__cell_of_value(&plan.parts[k], d->names[k], &value, &cells[k], err));
        }
    }
    tfn_buf_clear(&d->key);
    TFN_RETURN_IF_ERROR(tfn_key_encode_cells(&plan, cells, &d->key, err));
    return delete_key(d, tfn_buf_get_str(&d->key), err);
}

static tfn_code delete_encoded(key_delete *d, const tfn_vec *vecs, int64_t i, int64_t i_row,
                               tfn_error *err)
{
    for (size_t k = 0; d->keys.ok[i] == 0 && k < d->plan.n_parts; k++) {
        if (!tfn_vec_is_valid(&vecs[k], i)) {
            return fail_null(d, k, i_row, err);
        }
    }
    if (d->keys.ok[i] == 0) {
        d->n_impossible++;
        return TFN_OK;
    }
    return delete_key(d, tfn_keys_get(&d->keys, i), err);
}

static tfn_code delete_batch(key_delete *d, int64_t i_batch, int64_t first_row, tfn_error *err)
{
    tfn_vec vecs[TFN_MAX_KEY_PARTS] = {0};
    const int64_t n = tfn_frame_get_batch_rows(d->frame, i_batch);
    for (size_t k = 0; k < d->plan.n_parts; k++) {
        TFN_RETURN_IF_ERROR(tfn_frame_get_vec(d->frame, i_batch, d->columns[k], &vecs[k], err));
    }
    if (!d->has_text) {
        TFN_RETURN_IF_ERROR(tfn_keys_encode(&d->keys, &d->plan, vecs, n, err));
    }
    for (int64_t i = 0; i < n; i++) {
        TFN_RETURN_IF_ERROR(d->has_text ? delete_parsed(d, vecs, i, first_row + i, err)
                                        : delete_encoded(d, vecs, i, first_row + i, err));
    }
    return TFN_OK;
}

static tfn_code begin_write(key_delete *d, tfn_error *err)
{
    tfn_online *online = NULL;
    tfn_online_view view = {0};
    tfn_online_state state = {0};
    void *p = NULL;
    const size_t n_fields = d->view->n_features;
    TFN_RETURN_IF_ERROR(tfn__store_get_online(d->store, &online, err));
    TFN_RETURN_IF_ERROR(
        tfn_online_get_state(online, tfn__store_get_project(d->store), d->view->name, &state, err));
    if (!state.is_known) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(tfn__store_describe_online_view(d->store, d->view, &d->arena, &view, err));
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&d->arena, n_fields, sizeof(tfn_row_field), &p, err));
    tfn_row_field *fields = p; /* Redis keeps each in a place of its own, and deletes it there */
    for (size_t i = 0; i < n_fields; i++) {
        fields[i] = (tfn_row_field){d->view->features[i].name, d->view->features[i].type};
    }
    return tfn_online_begin_write(online, &view, fields, n_fields, TFN_ONLINE_PUSH,
                                  (uint64_t)tfn_frame_get_n_rows(d->frame), &d->write, err);
}

static tfn_code delete_frame(key_delete *d, tfn_online_stats *stats, tfn_error *err)
{
    int64_t first_row = 0;
    TFN_RETURN_IF_ERROR(begin_write(d, err));
    for (int64_t i = 0; i < tfn_frame_get_n_batches(d->frame); i++) {
        TFN_RETURN_IF_ERROR(delete_batch(d, i, first_row, err));
        first_row += tfn_frame_get_batch_rows(d->frame, i);
    }
    tfn_online_write *write = d->write;
    d->write = NULL;
    return write != NULL ? tfn_online_commit(write, stats, err) : TFN_OK;
}

/* ---- the whole ---- */

static tfn_code make_report(const key_delete *d, tfn_online_stats stats, char **report,
                            tfn_error *err)
{
    yyjson_mut_doc *doc = NULL;
    TFN_RETURN_IF_ERROR(tfn_json_create(&doc, err));
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    (void)tfn_json_add_str(doc, root, "view", d->view->name);
    (void)yyjson_mut_obj_add_int(doc, root, "keys", tfn_frame_get_n_rows(d->frame));
    (void)yyjson_mut_obj_add_uint(doc, root, "deleted", stats.n_deleted);
    (void)yyjson_mut_obj_add_uint(doc, root, "not_there", stats.n_absent + d->n_impossible);
    const tfn_code rc = tfn_json_write(doc, report, err);
    tfn_json_destroy(doc);
    return rc;
}

tfn_code tfn_store_delete_online(tfn_store *store, const char *view, struct ArrowArrayStream *keys,
                                 char **report, tfn_error *err)
{
    *report = NULL;
    key_delete d = {.store = store};
    tfn_snapshot *snapshot = NULL;
    tfn_online_stats stats = {0};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn__store_get_snapshot(store, TFN_FRESH, &snapshot, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_snapshot_find_view(snapshot, tfn_str_of(view), &d.view, err), done);
    for (size_t i = 0; i < d.view->n_keys; i++) {
        if (d.view->keys[i].type.kind == TFN_KIND_NONE) { /* it never ran: nothing is there */
            TFN_GOTO_IF_ERROR(rc, tfn__store_check_runs(d.view, err), done);
        }
    }
    TFN_GOTO_IF_ERROR(rc, tfn_frame_read(keys, &d.frame, err), done);
    TFN_GOTO_IF_ERROR(rc, find_columns(&d, err), done);
    if (tfn_frame_get_n_rows(d.frame) > 0) {
        TFN_GOTO_IF_ERROR(rc, delete_frame(&d, &stats, err), done);
    }
    TFN_GOTO_IF_ERROR(rc, make_report(&d, stats, report, err), done);
done:
    deinit(&d);
    tfn_snapshot_release(snapshot);
    if (rc != TFN_OK) {
        tfn_error_prepend(err, "deleting from '%s': ", view);
    }
    return rc;
}
