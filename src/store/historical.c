/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Training sets: a spine and a request in, the spine with features out.
 *
 *   begin   spine stream -> frame; per selected view: names, its source -> retrieval (plan)
 *   next    retrieval -> a piece: some rows and one column per feature -> in the order asked
 *                                                                      -> batches
 *
 * What is decided here is only names: which columns are keys, which one is the time, what the
 * outputs are called. How rows are cut to stay within the memory limit: offline/retrieval.h.
 *
 * A training set outlives the call that began it: it holds its store, its state of the registry and
 * a copy of the request. A tick belongs to one call and is never kept.
 *
 * Rule: docs/semantics/point-in-time.md. The join itself: offline/join.c.
 */

#include <string.h>

#include "base/mem.h"
#include "store/training_set.h"

#include "base/poison.h"

/* ---- the request ---- */

static tfn_code copy_text(tfn__training_set *t, const char **text, tfn_error *err)
{
    return *text == NULL ? TFN_OK : tfn_arena_copy(&t->arena, *text, strlen(*text), text, err);
}

static tfn_code copy_request(tfn__training_set *t, const tfn_historical_request *request,
                             tfn_error *err)
{
    if (request->struct_size != sizeof *request || request->features == NULL) {
        return TFN_FAIL(
            err, TFN_INVALID,
            "a training set was asked for without features, or with a request of %zu bytes "
            "(this library's has %zu)",
            request->struct_size, sizeof *request);
    }
    if (request->memory_limit_bytes < 0 || request->max_batch_rows < 0) {
        return TFN_FAIL(err, TFN_INVALID,
                        "a memory limit of %lld bytes, or batches of %lld rows; neither may be "
                        "negative",
                        (long long)request->memory_limit_bytes, (long long)request->max_batch_rows);
    }
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&t->arena, 1, sizeof *request, &p, err));
    tfn_historical_request *copy = p;
    *copy = *request;
    copy->tick = NULL;
    copy->tick_context = NULL;
    t->request = copy;
    TFN_RETURN_IF_ERROR(copy_text(t, &copy->features, err));
    return copy_text(t, &copy->time_column, err);
}

static int64_t limit_of(const tfn__training_set *t)
{
    if (t->request->memory_limit_bytes > 0) {
        return t->request->memory_limit_bytes;
    }
    return tfn__store_get_memory_limit(t->store);
}

/* ---- views ---- */

static tfn_code prepare_view(tfn__training_set *t, size_t i_view, tfn_error *err)
{
    const tfn_selected_view *selected = &t->selection.views[i_view];
    tfn_retrieval_view *view = &t->views[i_view];
    TFN_RETURN_IF_ERROR(tfn__store_compile_view(selected->view, selected->features,
                                                selected->n_features, &t->arena, &view->join, err));
    view->join.filter_by_created = t->request->filter_by_created != 0;
    view->join.has_known_at = t->request->known_at.is_set != 0;
    view->join.known_at = tfn__instant_of_time(t->request->known_at);
    const size_t n_keys = selected->view->n_keys;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&t->arena, n_keys, sizeof(size_t), &p, err));
    size_t *columns = p;
    for (size_t i = 0; i < n_keys; i++) {
        TFN_RETURN_IF_ERROR(tfn__training_find_column(t, selected->key_columns[i],
                                                      "which is a join key", &columns[i], err));
    }
    view->key_columns = columns;
    t->first_column[i_view] = t->n_columns;
    t->n_columns += selected->n_features;
    return tfn__store_open_source(t->store, selected->view->source, &view->source, err);
}

static tfn_code prepare_views(tfn__training_set *t, tfn_error *err)
{
    const size_t n_views = t->selection.n_views;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&t->arena, n_views, sizeof *t->views, &p, err));
    t->views = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&t->arena, n_views, sizeof *t->first_column, &p, err));
    t->first_column = p;
    for (size_t i = 0; i < n_views; i++) {
        TFN_RETURN_IF_ERROR(prepare_view(t, i, err));
    }
    return TFN_OK;
}

/* ---- begin and end ---- */

static tfn_code prepare(tfn__training_set *t, struct ArrowArrayStream *spine, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_json_create(&t->report, err));
    yyjson_mut_val *root = yyjson_mut_obj(t->report);
    yyjson_mut_doc_set_root(t->report, root);
    t->report_views = yyjson_mut_obj_add_arr(t->report, root, "views");
    TFN_RETURN_IF_ERROR(tfn__store_get_snapshot(t->store, TFN_FRESH, &t->snapshot, err));
    TFN_RETURN_IF_ERROR(tfn__selection_init(t->snapshot, t->request->features, &t->selection, err));
    TFN_RETURN_IF_ERROR(tfn_frame_read(spine, &t->frame, err));
    TFN_RETURN_IF_ERROR(tfn__training_find_time(t, err));
    (void)tfn_json_add_str(t->report, root, "time_column",
                           tfn_frame_get_name(t->frame, t->time_column));
    TFN_RETURN_IF_ERROR(tfn__training_check_names(t, err));
    return prepare_views(t, err);
}

static tfn_code begin(tfn_training *t, const tfn_historical_request *request,
                      struct ArrowArrayStream *spine, tfn_error *err)
{
    tfn__training_set *set = &t->set;
    TFN_RETURN_IF_ERROR(copy_request(set, request, err));
    TFN_RETURN_IF_ERROR(prepare(set, spine, err));
    void *p = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc_zero(&set->arena, set->n_columns, sizeof(tfn_column *), &p, err));
    t->columns = p;
    const tfn_retrieval_opts opts = {.n_threads = set->store->n_threads,
                                     .force_one_step = request->force_one_step != 0,
                                     .limit_bytes = limit_of(set),
                                     .spool_folder = set->store->temp_path,
                                     .piece_rows = request->max_batch_rows};
    return tfn_retrieval_create(set->frame, set->time_column, set->views, set->selection.n_views,
                                &opts, &t->retrieval, err);
}

tfn_code tfn_store_begin_training(tfn_store *store, const tfn_historical_request *request,
                                  struct ArrowArrayStream *spine, tfn_training **out,
                                  tfn_error *err)
{
    *out = NULL;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_training), &p, err));
    tfn_training *t = p;
    const double begin_s = tfn_clock_monotonic_s();
    t->set.store = tfn__store_retain(store);
    const tfn_code rc = begin(t, request, spine, err);
    t->set.seconds = tfn_clock_monotonic_s() - begin_s;
    if (rc != TFN_OK) {
        tfn_training_end(t);
        return rc;
    }
    *out = t;
    return TFN_OK;
}

static void deinit_set(tfn__training_set *t)
{
    for (size_t i = 0; t->views != NULL && i < t->selection.n_views; i++) {
        tfn_source_destroy(t->views[i].source);
    }
    tfn_frame_release(t->frame);
    tfn__selection_deinit(&t->selection);
    tfn_snapshot_release(t->snapshot);
    tfn_json_destroy(t->report);
    tfn_arena_deinit(&t->arena);
    tfn__store_release(t->store);
}

void tfn_training_end(tfn_training *t)
{
    if (t == NULL) {
        return;
    }
    if (t->piece.release != NULL) {
        t->piece.release(&t->piece);
    }
    tfn_retrieval_destroy(t->retrieval);
    deinit_set(&t->set);
    tfn_mem_free(t);
}

/* ---- the report ---- */

/* A tfn_retrieval_look_fn: a view's plan into the report. */
static tfn_code report_view(void *context, size_t i_view, const tfn_spine *spine,
                            const tfn_offline_opts *opts, tfn_error *err)
{
    tfn__training_set *t = context;
    const tfn_retrieval_view *view = &t->views[i_view];
    yyjson_mut_val *unused = NULL;
    return tfn__training_report_plan(t, i_view, spine, &view->join, view->source, opts, &unused,
                                     err);
}

static tfn_code write_report(tfn_training *t, bool ran, char **report, tfn_error *err)
{
    tfn__training_set *set = &t->set;
    yyjson_mut_val *root = yyjson_mut_doc_get_root(set->report);
    size_t n_parts = 0;
    (void)tfn_retrieval_get_parts(t->retrieval, &n_parts);
    for (size_t i = 0; ran && i < yyjson_mut_arr_size(set->report_views); i++) {
        tfn__training_report_run(set, i, yyjson_mut_arr_get(set->report_views, i),
                                 tfn_retrieval_get_stats(t->retrieval, i), n_parts);
    }
    if (ran) {
        tfn__training_warn_labels(set);
    }
    (void)yyjson_mut_obj_add_int(set->report, root, "rows", tfn_frame_get_n_rows(set->frame));
    (void)yyjson_mut_obj_add_bool(set->report, root, "ran", ran);
    (void)yyjson_mut_obj_add_real(set->report, root, "seconds", set->seconds);
    tfn__training_report_memory(set, t->retrieval);
    return tfn_json_write(set->report, report, err);
}

tfn_code tfn_training_report(tfn_training *t, char **report, tfn_error *err)
{
    *report = NULL;
    if (t->is_ended) {
        return TFN_FAIL(err, TFN_INVALID, "a training set that has ended has no report");
    }
    t->is_ended = true;
    return write_report(t, true, report, err);
}

/* ---- pieces and batches ---- */

/* Columns of the piece, in the order asked, beside its rows; compared with them on the way. */
static tfn_code export_piece(tfn_training *t, tfn_frame *rows, struct ArrowArrayStream *out,
                             tfn_error *err)
{
    tfn__training_set *set = &t->set;
    const size_t n = set->selection.n_outputs;
    tfn_str *names = NULL;
    tfn_column **columns = NULL;
    void *p = NULL;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn_mem_alloc_array(n, sizeof *names, &p, err), done);
    names = p;
    TFN_GOTO_IF_ERROR(rc, tfn_mem_alloc_array(n, sizeof(tfn_column *), &p, err), done);
    columns = p;
    for (size_t i = 0; i < n; i++) {
        const tfn_selected_output *output = &set->selection.outputs[i];
        names[i] = output->name;
        columns[i] = t->columns[set->first_column[output->i_view] + output->i_feature];
    }
    TFN_GOTO_IF_ERROR(rc, tfn__training_compare_labels(set, set->n_rows_compared, columns, err),
                      done);
    set->n_rows_compared += tfn_frame_get_n_rows(rows);
    rc = tfn_frame_export(rows, names, columns, n, out, err);
done:
    tfn_mem_free(columns);
    tfn_mem_free(names);
    return rc;
}

/* Texts of a part beyond 2 GiB have another Arrow type than those of smaller parts. */
static tfn_code check_same_types(struct ArrowArrayStream *before, struct ArrowArrayStream *now,
                                 tfn_error *err)
{
    struct ArrowSchema a = {.release = NULL};
    struct ArrowSchema b = {.release = NULL};
    tfn_code rc = TFN_OK;
    if (before->get_schema(before, &a) != 0 || now->get_schema(now, &b) != 0) {
        rc = TFN_FAIL(err, TFN_NO_MEMORY, "no memory for the schema of a part");
    }
    for (int64_t i = 0; rc == TFN_OK && i < a.n_children; i++) {
        if (strcmp(a.children[i]->format, b.children[i]->format) != 0) {
            rc =
                TFN_FAIL(err, TFN_LIMIT,
                         "column '%s' has more than 2 GiB of text in one part and less in another; "
                         "lower memory_limit, or raise it until all rows fit",
                         a.children[i]->name);
        }
    }
    if (a.release != NULL) {
        a.release(&a);
    }
    if (b.release != NULL) {
        b.release(&b);
    }
    return rc;
}

static tfn_code load_piece(tfn_training *t, tfn_tick_fn tick, void *tick_context, tfn_error *err)
{
    const tfn_retrieval_watch watch = {tick, tick_context, report_view, &t->set};
    struct ArrowArrayStream next = {.release = NULL};
    tfn_frame *rows = NULL;
    tfn_code rc = tfn_retrieval_next(t->retrieval, &watch, &rows, t->columns, err);
    t->is_at_end = rc == TFN_OK && rows == NULL;
    if (rc == TFN_OK && rows != NULL) {
        rc = export_piece(t, rows, &next, err);
    }
    if (rc == TFN_OK && rows != NULL && t->piece.release != NULL) {
        rc = check_same_types(&t->piece, &next, err);
        t->piece.release(&t->piece);
    }
    if (rc == TFN_OK && rows != NULL) {
        t->piece = next;
        next.release = NULL;
    }
    if (next.release != NULL) {
        next.release(&next);
    }
    for (size_t i = 0; i < t->set.n_columns; i++) {
        tfn_column_release(t->columns[i]);
        t->columns[i] = NULL;
    }
    tfn_frame_release(rows);
    return rc;
}

tfn_code tfn__training_load_piece(tfn_training *t, tfn_tick_fn tick, void *tick_context,
                                  tfn_error *err)
{
    if (t->is_ended) {
        return TFN_FAIL(err, TFN_INVALID, "a training set that has ended gives no batches");
    }
    const double begin_s = tfn_clock_monotonic_s();
    const tfn_code rc = load_piece(t, tick, tick_context, err);
    t->set.seconds += tfn_clock_monotonic_s() - begin_s;
    t->is_ended = rc != TFN_OK;
    return rc;
}

static tfn_code fail_piece(tfn_training *t, tfn_error *err)
{
    t->is_ended = true;
    const char *sentence = t->piece.get_last_error(&t->piece);
    return TFN_FAIL(err, TFN_NO_MEMORY, "%s",
                    sentence != NULL ? sentence : "no memory for a batch");
}

tfn_code tfn_training_get_schema(tfn_training *t, tfn_tick_fn tick, void *tick_context,
                                 struct ArrowSchema *schema, tfn_error *err)
{
    *schema = (struct ArrowSchema){.release = NULL};
    if (t->piece.release == NULL) {
        TFN_RETURN_IF_ERROR(tfn__training_load_piece(t, tick, tick_context, err));
    }
    return t->piece.get_schema(&t->piece, schema) == 0 ? TFN_OK : fail_piece(t, err);
}

tfn_code tfn_training_next(tfn_training *t, tfn_tick_fn tick, void *tick_context,
                           struct ArrowArray *batch, tfn_error *err)
{
    *batch = (struct ArrowArray){.release = NULL};
    while (!t->is_at_end) {
        if (t->piece.release != NULL && t->piece.get_next(&t->piece, batch) != 0) {
            return fail_piece(t, err);
        }
        if (batch->release != NULL) {
            return TFN_OK;
        }
        TFN_RETURN_IF_ERROR(tfn__training_load_piece(t, tick, tick_context, err));
    }
    return TFN_OK;
}

/* ---- in one call ---- */

static tfn_code explain(tfn_training *t, char **report, tfn_error *err)
{
    const double begin_s = tfn_clock_monotonic_s();
    TFN_RETURN_IF_ERROR(tfn_retrieval_explain(t->retrieval, report_view, &t->set, err));
    t->set.seconds += tfn_clock_monotonic_s() - begin_s;
    return report != NULL ? write_report(t, false, report, err) : TFN_OK;
}

tfn_code tfn_store_historical(tfn_store *store, const tfn_historical_request *request,
                              struct ArrowArrayStream *spine, struct ArrowArrayStream *out,
                              char **report, tfn_error *err)
{
    if (out != NULL) {
        out->release = NULL;
    }
    if (report != NULL) {
        *report = NULL;
    }
    tfn_training *t = NULL;
    TFN_RETURN_IF_ERROR(tfn_store_begin_training(store, request, spine, &t, err));
    tfn_code rc = TFN_OK;
    if (out == NULL) {
        rc = explain(t, report, err);
    } else {
        TFN_GOTO_IF_ERROR(
            rc, tfn__training_load_piece(t, request->tick, request->tick_context, err), done);
        if (report != NULL) {
            TFN_GOTO_IF_ERROR(rc, write_report(t, true, report, err), done);
        }
        rc = tfn__training_export(t, request->tick, request->tick_context, out, err);
        t = NULL;
    }
done:
    tfn_training_end(t);
    if (rc != TFN_OK && report != NULL) {
        tfn_text_destroy(*report);
        *report = NULL;
    }
    return rc;
}
