/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Pushes: rows that a caller has in hand go online, into one view or into all views on a push
 * source.
 *
 *   begin   names -> views; the frame read; every view's columns, keys, times and values checked
 *           (frame_rows.c); when asked, every row put into writes that are aborted, since an online
 *           store refuses rows by rules of its own
 *   commit  one write: view by view, row by row; then all of it is there, or nothing
 *
 * Begin and commit are two calls because a push may go to files as well: what is wrong with it for
 * any view is known before the first byte is written anywhere, and the files are written between
 * the two.
 *
 * Definitions are those of the moment of begin. An apply in between is harmless: rows carry the
 * names of their fields.
 */

#include "base/json.h"
#include "base/mem.h"
#include "column/frame.h"
#include "online/online.h"
#include "store/frame_rows.h"
#include "store/store_internal.h"

#include "base/poison.h"

struct tfn_push {
    tfn_store *store;
    tfn_snapshot *snapshot;
    tfn_frame *frame;
    tfn__frame_rows *rows; /* one per view; none when the frame has no rows */
    const tfn_view_def **views;
    size_t n_views;
    tfn_arena arena;
    bool is_check_only;
};

/* A rehearsal puts so many rows at a time, and forgets them: little memory, and few enough for a
 * store that writes what waits when it becomes too much. */
enum { REHEARSED_ROWS = 256 };

void tfn_push_abort(tfn_push *push)
{
    if (push == NULL) {
        return;
    }
    for (size_t i = 0; push->rows != NULL && i < push->n_views; i++) {
        tfn__frame_rows_deinit(&push->rows[i]);
    }
    tfn_frame_release(push->frame);
    tfn_snapshot_release(push->snapshot);
    tfn_arena_deinit(&push->arena);
    tfn__store_release(push->store);
    tfn_mem_free(push);
}

/* ---- which views ---- */

static tfn_code choose_view(tfn_push *push, tfn_str name, tfn_error *err)
{
    const tfn_view_def *view = NULL;
    const tfn_on_demand_def *on_demand = NULL;
    TFN_RETURN_IF_ERROR(tfn_snapshot_find_any_view(push->snapshot, name, &view, &on_demand, err));
    if (on_demand != NULL) {
        return TFN_FAIL(err, TFN_UNSUPPORTED,
                        "'%.*s' is an on-demand feature view: its values are made when they are "
                        "asked for, and this release writes none of them; write to the views that "
                        "it reads",
                        TFN_STR_ARG(name));
    }
    TFN_RETURN_IF_ERROR(tfn__store_check_runs(view, err));
    if (!view->online && !push->is_check_only) {
        return TFN_FAIL(err, TFN_INVALID, "the view is defined with online=False");
    }
    push->views[push->n_views++] = view;
    return TFN_OK;
}

/* The push source is there, but is no target: say why. */
static tfn_code refuse_source(const tfn_source_def *source, bool is_read, tfn_error *err)
{
    const tfn_str name = source->name;
    if (!source->is_push) {
        return TFN_FAIL(err, TFN_NOT_FOUND,
                        "data source '%.*s' is no push source; put a PushSource before it, or name "
                        "a view in write_to_online_store or write_to_offline_store",
                        TFN_STR_ARG(name));
    }
    if (is_read) {
        return TFN_FAIL(err, TFN_INVALID,
                        "every feature view on push source '%.*s' is defined with online=False",
                        TFN_STR_ARG(name));
    }
    return TFN_FAIL(err, TFN_NOT_FOUND, "no feature view has the push source '%.*s'",
                    TFN_STR_ARG(name));
}

static tfn_code choose_views_of(tfn_push *push, tfn_str source_name, tfn_error *err)
{
    const tfn_source_def *source = NULL;
    TFN_RETURN_IF_ERROR(tfn_snapshot_find_source(push->snapshot, source_name, &source, err));
    if (source->missing.n > 0) {
        return TFN_FAIL(err, TFN_UNSUPPORTED, "rows cannot be pushed to data source '%.*s': %.*s",
                        TFN_STR_ARG(source->name), TFN_STR_ARG(source->missing));
    }
    const size_t n = tfn_snapshot_count(push->snapshot, TFN_OBJECT_VIEW);
    bool is_read = false;
    for (size_t i = 0; source->is_push && i < n; i++) {
        const tfn_view_def *view = NULL;
        const tfn_str name = tfn_snapshot_get_name(push->snapshot, TFN_OBJECT_VIEW, i);
        TFN_RETURN_IF_ERROR(tfn_snapshot_find_view(push->snapshot, name, &view, err));
        if (view->push_source == source) {
            is_read = true;
            if (view->online || push->is_check_only) {
                TFN_RETURN_IF_ERROR(tfn__store_check_runs(view, err));
                push->views[push->n_views++] = view;
            }
        }
    }
    return push->n_views > 0 ? TFN_OK : refuse_source(source, is_read, err);
}

static tfn_code choose_views(tfn_push *push, const tfn_push_request *request, tfn_error *err)
{
    void *p = NULL;
    const size_t n = tfn_snapshot_count(push->snapshot, TFN_OBJECT_VIEW) + 1;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&push->arena, n, sizeof(tfn_view_def *), &p, err));
    push->views = p;
    return request->view != NULL ? choose_view(push, tfn_str_of(request->view), err)
                                 : choose_views_of(push, tfn_str_of(request->source), err);
}

/* ---- begin ---- */

static tfn_code check_request(const tfn_push_request *request, tfn_error *err)
{
    if (request->struct_size != sizeof *request) {
        return TFN_FAIL(err, TFN_INVALID, "a push request of %zu bytes was given; expected %zu",
                        request->struct_size, sizeof *request);
    }
    if ((request->source == NULL) == (request->view == NULL)) {
        return TFN_FAIL(err, TFN_INVALID, "a push needs a push source or a view, and not both");
    }
    return TFN_OK;
}

static tfn_code check_rows(tfn_push *push, tfn_error *err)
{
    const tfn__ahead ahead = {tfn_clock_now(&push->store->clock), push->store->online_max_ahead_s};
    void *p = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc_zero(&push->arena, push->n_views, sizeof(tfn__frame_rows), &p, err));
    push->rows = p;
    for (size_t i = 0; i < push->n_views; i++) {
        tfn_code rc = tfn__frame_rows_init(&push->rows[i], push->views[i], push->frame, err);
        if (rc == TFN_OK) {
            rc = tfn__frame_rows_check(&push->rows[i], push->is_check_only ? NULL : &ahead, err);
        }
        if (rc != TFN_OK) {
            tfn_error_prepend(err, "writing to '%.*s': ", TFN_STR_ARG(push->views[i]->name));
            return rc;
        }
    }
    return TFN_OK;
}

/* Would the online store take every row of view i? */
static tfn_code rehearse_view(tfn_push *push, size_t i, tfn_online *online, tfn_error *err)
{
    tfn__frame_rows *rows = &push->rows[i];
    tfn_online_view view = {0};
    tfn__frame_place place = {0};
    TFN_RETURN_IF_ERROR(
        tfn__store_describe_online_view(push->store, rows->view, &push->arena, &view, err));
    while (place.i_batch < tfn_frame_get_n_batches(push->frame)) {
        tfn_online_write *write = NULL;
        TFN_RETURN_IF_ERROR(tfn_online_begin_write(online, &view, rows->fields,
                                                   rows->view->n_features, TFN_ONLINE_PUSH,
                                                   REHEARSED_ROWS, &write, err));
        const tfn_code rc = tfn__frame_rows_put_some(rows, &place, REHEARSED_ROWS, write, err);
        tfn_online_abort(write);
        TFN_RETURN_IF_ERROR(rc);
    }
    return TFN_OK;
}

static tfn_code rehearse(tfn_push *push, tfn_online *online, tfn_error *err)
{
    for (size_t i = 0; i < push->n_views; i++) {
        const tfn_code rc = rehearse_view(push, i, online, err);
        if (rc != TFN_OK) {
            tfn_error_prepend(err, "writing to '%.*s': ", TFN_STR_ARG(push->views[i]->name));
            return rc;
        }
    }
    return TFN_OK;
}

static tfn_code begin_push(tfn_push *push, const tfn_push_request *request,
                           struct ArrowArrayStream *frame, tfn_error *err)
{
    tfn_online *online = NULL;
    TFN_RETURN_IF_ERROR(tfn__store_get_snapshot(push->store, TFN_FRESH, &push->snapshot, err));
    const tfn_code rc = choose_views(push, request, err);
    if (rc != TFN_OK) {
        tfn_error_prepend(
            err, "writing to '%s': ", request->view != NULL ? request->view : request->source);
        return rc;
    }
    if (!push->is_check_only) {
        TFN_RETURN_IF_ERROR(tfn__store_get_online(push->store, &online, err));
    }
    TFN_RETURN_IF_ERROR(tfn_frame_read(frame, &push->frame, err));
    if (tfn_frame_get_n_rows(push->frame) == 0) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(check_rows(push, err));
    return request->rehearse != 0 && online != NULL ? rehearse(push, online, err) : TFN_OK;
}

tfn_code tfn_store_begin_push(tfn_store *store, const tfn_push_request *request,
                              struct ArrowArrayStream *frame, tfn_push **out, tfn_error *err)
{
    *out = NULL;
    TFN_RETURN_IF_ERROR(check_request(request, err));
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_push), &p, err));
    tfn_push *push = p;
    push->store = tfn__store_retain(store);
    push->is_check_only = request->check_only != 0;
    const tfn_code rc = begin_push(push, request, frame, err);
    if (rc != TFN_OK) {
        tfn_push_abort(push);
        return rc;
    }
    *out = push;
    return TFN_OK;
}

/* ---- commit ---- */

/* Stand at view i in the write, beginning it with the first. */
static tfn_code enter_view(tfn_push *push, size_t i, tfn_online *online, tfn_online_write **write,
                           tfn_error *err)
{
    const tfn__frame_rows *rows = &push->rows[i];
    const size_t n_fields = rows->view->n_features;
    const uint64_t n_rows = (uint64_t)tfn_frame_get_n_rows(push->frame);
    tfn_online_view view = {0};
    TFN_RETURN_IF_ERROR(
        tfn__store_describe_online_view(push->store, rows->view, &push->arena, &view, err));
    return i == 0 ? tfn_online_begin_write(online, &view, rows->fields, n_fields, TFN_ONLINE_PUSH,
                                           n_rows, write, err)
                  : tfn_online_next_view(*write, &view, rows->fields, n_fields, n_rows, err);
}

static tfn_code write_views(tfn_push *push, tfn_online_stats *stats, tfn_error *err)
{
    tfn_online *online = NULL;
    tfn_online_write *write = NULL;
    TFN_RETURN_IF_ERROR(tfn__store_get_online(push->store, &online, err));
    for (size_t i = 0; i < push->n_views; i++) {
        tfn_code rc = enter_view(push, i, online, &write, err);
        if (rc == TFN_OK) {
            rc = tfn__frame_rows_put(&push->rows[i], write, err);
        }
        if (rc != TFN_OK) {
            tfn_online_abort(write);
            tfn_error_prepend(err, "writing to '%.*s': ", TFN_STR_ARG(push->views[i]->name));
            return rc;
        }
    }
    const tfn_code rc = tfn_online_commit(write, stats, err);
    if (rc != TFN_OK && push->n_views > 0) {
        tfn_error_prepend(err,
                          push->n_views == 1 ? "writing to '%.*s': "
                                             : "writing to '%.*s' and the source's other views: ",
                          TFN_STR_ARG(push->views[0]->name));
    }
    return rc;
}

static tfn_code report_push(const tfn_push *push, const tfn_online_stats *stats, char **report,
                            tfn_error *err)
{
    yyjson_mut_doc *doc = NULL;
    TFN_RETURN_IF_ERROR(tfn_json_create(&doc, err));
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    (void)yyjson_mut_obj_add_int(doc, root, "rows_read", tfn_frame_get_n_rows(push->frame));
    (void)yyjson_mut_obj_add_uint(doc, root, "rows_written", stats->n_written);
    (void)yyjson_mut_obj_add_uint(doc, root, "rows_older", stats->n_older);
    (void)yyjson_mut_obj_add_uint(doc, root, "rows_same", stats->n_same);
    yyjson_mut_val *views = yyjson_mut_obj_add_arr(doc, root, "views");
    for (size_t i = 0; i < push->n_views; i++) {
        const tfn_str name = push->views[i]->name;
        (void)yyjson_mut_arr_add_strn(doc, views, name.p, name.n);
    }
    const tfn_code rc = tfn_json_write(doc, report, err);
    tfn_json_destroy(doc);
    return rc;
}

tfn_code tfn_push_commit(tfn_push *push, char **report, tfn_error *err)
{
    *report = NULL;
    tfn_online_stats stats = {0};
    tfn_code rc = TFN_OK;
    if (tfn_frame_get_n_rows(push->frame) > 0 && !push->is_check_only) {
        rc = write_views(push, &stats, err);
    }
    if (rc == TFN_OK) {
        rc = report_push(push, &stats, report, err);
    }
    tfn_push_abort(push); /* what is committed is; this frees */
    return rc;
}

tfn_code tfn_store_write_online(tfn_store *store, const char *view, struct ArrowArrayStream *frame,
                                char **report, tfn_error *err)
{
    *report = NULL;
    const tfn_push_request request = {.struct_size = sizeof request, .view = view};
    tfn_push *push = NULL;
    TFN_RETURN_IF_ERROR(tfn_store_begin_push(store, &request, frame, &push, err));
    return tfn_push_commit(push, report, err);
}
