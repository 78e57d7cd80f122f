/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Materialize: the newest row of every key goes online, view by view.
 *
 *   turn -> window of event (and created) times -> latest per key, in key order -> one load
 *   -> watermark -> turn ended
 *
 * Invariants
 *  1. A view's rows are committed before its watermark: after a crash the next run reads at least
 *     what the watermark does not cover, and reading something twice changes nothing (write rule).
 *  2. It is an upsert: keys outside of the window stay.
 *  3. Everything created up to the watermark's created bound, with an event time up to its end,
 *     was looked at. So the bound moves with the first run, and with one that ends no earlier than
 *     the last and is incremental or covers its start; after any other it is the lower of the two.
 *     A known_at before the old bound lowers it: later runs then look at more than they must, which
 *     changes nothing (1).
 *  4. Two runs of one view, or a run and a rollback, come one after the other: a rollback between
 *     reading the watermark and setting the next would leave a hole that no run fills.
 */

#include "base/json.h"
#include "offline/offline.h"
#include "online/online.h"
#include "store/store_internal.h"

#include "base/poison.h"

enum { ROWS_PER_TICK = 4096 };

typedef struct view_load {
    tfn_store *store;
    const tfn_materialize_request *request;
    const tfn_view_def *view;
    tfn_registry *registry;
    tfn_online *online;
    tfn_arena arena;
    tfn_join_view columns;
    tfn_source *source;
    tfn_latest_window window;
    bool had_watermark;
    bool lost_rows; /* it had one, but the online store holds nothing of the view */
    tfn_watermark old;
    tfn_instant started;
    tfn_instant created_bound; /* this run's: known_at, else the instant it started */
    tfn_online_turn *turn;     /* NULL: nothing is online yet, and nobody to wait for */
    tfn_latest *latest;
    tfn_latest_stats read;
    tfn_online_write *write;
    tfn_online_stats wrote;
    tfn_cell *cells;
    tfn_buf *scratch; /* one per feature: packed lists of the row at hand */
    size_t n_scratch;
    tfn_buf note; /* what the caller should know of this view; mostly empty */
} view_load;

static void deinit(view_load *load)
{
    tfn_online_abort(load->write);
    tfn_latest_destroy(load->latest);
    tfn_source_destroy(load->source);
    for (size_t i = 0; i < load->n_scratch; i++) {
        tfn_buf_deinit(&load->scratch[i]);
    }
    tfn_buf_deinit(&load->note);
    tfn_online_end_turn(load->turn);
    tfn_arena_deinit(&load->arena);
}

/* ---- which rows ---- */

/* A watermark counts only while the rows that it speaks of are online: the online store may have
 * been deleted or moved, or a teardown may have ended half way. */
static tfn_code get_watermark(view_load *load, tfn_error *err)
{
    const tfn_str project = tfn__store_get_project(load->store);
    TFN_RETURN_IF_ERROR(tfn_registry_get_watermark(load->registry, project, load->view->name,
                                                   &load->had_watermark, &load->old, err));
    if (!load->had_watermark) {
        return TFN_OK;
    }
    tfn_online_state state = {0};
    TFN_RETURN_IF_ERROR(tfn_online_get_state(load->online, project, load->view->name, &state, err));
    load->lost_rows = !state.is_known;
    load->had_watermark = state.is_known;
    return TFN_OK;
}

static tfn_instant before(tfn_instant t, int64_t ttl_us)
{
    const int64_t us = tfn_time_sub(tfn_instant_to(t, TFN_UNIT_US), ttl_us);
    return tfn_instant_of(us, TFN_UNIT_US);
}

static void set_start(view_load *load, tfn_instant start)
{
    load->window.has_start = true;
    load->window.start = start;
}

static void choose_window(view_load *load)
{
    const tfn_materialize_request *request = load->request;
    load->window = (tfn_latest_window){.has_end = true, .end = tfn__instant_of_time(request->end)};
    if (request->incremental == 0) {
        if (request->start.is_set != 0) {
            set_start(load, tfn__instant_of_time(request->start));
        }
    } else if (load->had_watermark) {
        set_start(load, load->old.end);
        const bool has_bound = load->old.created_bound.seconds != INT64_MIN;
        if (load->columns.created_column.n > 0 && has_bound) {
            load->window.has_created = true;
            load->window.created_after = load->old.created_bound;
            load->window.created_until = load->created_bound;
        }
    } else if (load->view->ttl_us > 0) {
        set_start(load, before(load->window.end, load->view->ttl_us));
    }
}

static tfn_watermark next_watermark(const view_load *load)
{
    const tfn_instant start = load->window.has_start ? load->window.start : TFN_INSTANT_NONE;
    tfn_watermark next = {start, load->window.end, load->created_bound};
    if (!load->had_watermark) {
        return next;
    }
    const bool covers_start = tfn_instant_compare(start, load->old.start) <= 0;
    const bool covers_end = tfn_instant_compare(next.end, load->old.end) >= 0;
    const bool saw_all = covers_end && (covers_start || load->request->incremental != 0);
    if (!saw_all && tfn_instant_compare(load->old.created_bound, next.created_bound) < 0) {
        next.created_bound = load->old.created_bound;
    }
    next.start = covers_start ? start : load->old.start;
    next.end = covers_end ? next.end : load->old.end;
    return next;
}

/* ---- read ---- */

static tfn_code read_latest(view_load *load, tfn_error *err)
{
    void *p = NULL;
    const size_t n_features = load->view->n_features;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&load->arena, n_features, sizeof(uint32_t), &p, err));
    uint32_t *features = p;
    for (size_t i = 0; i < n_features; i++) {
        features[i] = (uint32_t)i;
    }
    TFN_RETURN_IF_ERROR(tfn__store_compile_view(load->view, features, n_features, &load->arena,
                                                &load->columns, err));
    load->columns.has_known_at = load->request->known_at.is_set != 0;
    load->columns.known_at = tfn__instant_of_time(load->request->known_at);
    choose_window(load);
    TFN_RETURN_IF_ERROR(
        tfn__store_open_source(load->store, load->view->source, &load->source, err));
    const tfn_offline_opts opts = {.n_threads = load->store->n_threads,
                                   .tick = load->request->tick,
                                   .tick_context = load->request->tick_context};
    return tfn_latest_run(&load->columns, load->source, &load->window, &opts, &load->latest,
                          &load->read, err);
}

/* ---- write ---- */

static tfn_code begin_write(view_load *load, tfn_error *err)
{
    const size_t n = load->view->n_features;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&load->arena, n, sizeof(tfn_row_field), &p, err));
    tfn_row_field *fields = p;
    for (size_t i = 0; i < n; i++) {
        fields[i].name = load->view->features[i].name;
        fields[i].type = tfn_column_get_type(tfn_latest_get_column(load->latest, i));
    }
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&load->arena, n, sizeof(tfn_cell), &p, err));
    load->cells = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&load->arena, n, sizeof(tfn_buf), &p, err));
    load->scratch = p;
    load->n_scratch = n;
    tfn_online_view view = {0};
    TFN_RETURN_IF_ERROR(
        tfn__store_describe_online_view(load->store, load->view, &load->arena, &view, err));
    return tfn_online_begin_write(load->online, &view, fields, n, TFN_ONLINE_LOAD,
                                  (uint64_t)tfn_latest_get_n_rows(load->latest), &load->write, err);
}

static tfn_code put_row(view_load *load, int64_t i_row, tfn_error *err)
{
    for (size_t i = 0; i < load->n_scratch; i++) {
        tfn_column *column = tfn_latest_get_column(load->latest, i);
        TFN_RETURN_IF_ERROR(tfn_cell_of_vec(tfn_column_get_vec(column), i_row,
                                            tfn_column_get_type(column), &load->scratch[i],
                                            &load->cells[i], err));
    }
    return tfn_online_put(load->write, tfn_latest_get_key(load->latest, i_row), load->cells,
                          tfn_latest_get_event(load->latest, i_row),
                          tfn_latest_get_created(load->latest, i_row), err);
}

static tfn_code tick(const view_load *load, int64_t n_done, int64_t n_total, tfn_error *err)
{
    const tfn_progress progress = {"writing online", n_done, n_total};
    if (load->request->tick != NULL &&
        load->request->tick(load->request->tick_context, &progress) != 0) {
        return TFN_FAIL(err, TFN_CANCELLED, "stopped while writing online; %s",
                        tfn_online_loads_in_parts(load->online)
                            ? "some rows of this view may be written: run it again"
                            : "nothing of this view was changed");
    }
    return TFN_OK;
}

/* What is live now may become the previous generation: a rollback to it needs its watermark. */
static tfn_code mark_rows(view_load *load, tfn_error *err)
{
    uint8_t mark[TFN_WATERMARK_BYTES];
    if (!load->had_watermark) {
        return TFN_OK;
    }
    tfn_watermark_pack(&load->old, mark);
    return tfn_online_mark(load->write, (tfn_str){(const char *)mark, sizeof mark}, err);
}

static tfn_code write_rows(view_load *load, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(begin_write(load, err));
    TFN_RETURN_IF_ERROR(mark_rows(load, err));
    const int64_t n_rows = tfn_latest_get_n_rows(load->latest);
    for (int64_t i = 0; i < n_rows; i++) {
        if (i % ROWS_PER_TICK == 0) {
            TFN_RETURN_IF_ERROR(tick(load, i, n_rows, err));
        }
        TFN_RETURN_IF_ERROR(put_row(load, i, err));
    }
    tfn_online_write *write = load->write;
    load->write = NULL;
    return tfn_online_commit(write, &load->wrote, err);
}

static tfn_code set_watermark(view_load *load, tfn_error *err)
{
    const tfn_watermark watermark = next_watermark(load);
    const tfn_run run = {
        .start = load->window.has_start ? load->window.start : TFN_INSTANT_NONE,
        .end = load->window.end,
        .created_bound = load->created_bound,
        .started = load->started,
        .finished = tfn_clock_now(&load->store->clock),
        .n_rows_read = load->read.n_rows_read,
        .n_rows_written = (int64_t)load->wrote.n_written,
        .n_rows_ignored = (int64_t)load->wrote.n_older,
    };
    return tfn_registry_set_watermark(load->registry, tfn__store_get_project(load->store),
                                      load->view->name, &watermark, &run, err);
}

/* ---- report ---- */

/* What is out of the ordinary: rows that vanished from the online store; a window without any row,
 * and then which dates there are. Told before anything is written, so that it cannot fail a
 * finished run. */
static tfn_code make_note(view_load *load, tfn_error *err)
{
    tfn_buf *note = &load->note;
    if (load->lost_rows) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(
            note,
            "the online store had lost this view's rows, so it is loaded as if for the first "
            "time",
            err));
    }
    if (load->read.n_rows_eligible > 0) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(note, note->n > 0 ? "; " : "", err));
    bool is_empty = true;
    tfn_instant first = {0};
    tfn_instant last = {0};
    TFN_RETURN_IF_ERROR(tfn_source_get_time_range(load->source, load->columns.timestamp_field,
                                                  &is_empty, &first, &last, err));
    const tfn_str label = tfn_source_get_label(load->source);
    if (is_empty) {
        return tfn_buf_add_format(note, err, "'%.*s' holds no row with a time", TFN_STR_ARG(label));
    }
    char first_text[TFN_TIME_TEXT_BYTES];
    char last_text[TFN_TIME_TEXT_BYTES];
    tfn_instant_format(first, first_text);
    tfn_instant_format(last, last_text);
    return tfn_buf_add_format(note, err,
                              "no row of '%.*s' lies in the window; it holds rows from %s to %s",
                              TFN_STR_ARG(label), first_text, last_text);
}

static void report_view(const view_load *load, double seconds, yyjson_mut_doc *doc)
{
    yyjson_mut_val *views = yyjson_mut_obj_get(yyjson_mut_doc_get_root(doc), "views");
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, views);
    (void)tfn_json_add_str(doc, object, "view", load->view->name);
    (void)tfn_json_add_time(doc, object, "start",
                            load->window.has_start ? load->window.start : TFN_INSTANT_NONE);
    (void)tfn_json_add_time(doc, object, "end", load->window.end);
    (void)tfn_json_add_time(doc, object, "created_bound", load->created_bound);
    (void)yyjson_mut_obj_add_int(doc, object, "rows_read", load->read.n_rows_read);
    (void)yyjson_mut_obj_add_int(doc, object, "rows_late", load->read.n_rows_late);
    (void)yyjson_mut_obj_add_int(doc, object, "keys", load->read.n_keys);
    (void)yyjson_mut_obj_add_uint(doc, object, "rows_written", load->wrote.n_written);
    (void)yyjson_mut_obj_add_uint(doc, object, "rows_older", load->wrote.n_older);
    (void)yyjson_mut_obj_add_uint(doc, object, "rows_same", load->wrote.n_same);
    (void)yyjson_mut_obj_add_real(doc, object, "seconds", seconds);
    (void)tfn_json_add_str(doc, object, "note", tfn_buf_get_str(&load->note));
}

/* ---- all ---- */

static tfn_code load_view(tfn_store *store, const tfn_materialize_request *request,
                          tfn_registry *registry, tfn_online *online, const tfn_view_def *view,
                          yyjson_mut_doc *report, tfn_error *err)
{
    view_load load = {.store = store,
                      .request = request,
                      .view = view,
                      .registry = registry,
                      .online = online,
                      .started = tfn_clock_now(&store->clock)};
    load.created_bound =
        request->known_at.is_set != 0 ? tfn__instant_of_time(request->known_at) : load.started;
    const double started_s = tfn_clock_monotonic_s();
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(
        rc,
        tfn_online_begin_turn(online, tfn__store_get_project(store), view->name, &load.turn, err),
        done);
    TFN_GOTO_IF_ERROR(rc, get_watermark(&load, err), done);
    TFN_GOTO_IF_ERROR(rc, read_latest(&load, err), done);
    TFN_GOTO_IF_ERROR(rc, make_note(&load, err), done);
    TFN_GOTO_IF_ERROR(rc, write_rows(&load, err), done);
    TFN_GOTO_IF_ERROR(rc, set_watermark(&load, err), done);
    report_view(&load, tfn_clock_monotonic_s() - started_s, report);
done:
    deinit(&load);
    if (rc != TFN_OK) {
        tfn_error_prepend(err, "materializing '%.*s': ", TFN_STR_ARG(view->name));
    }
    return rc;
}

static tfn_code check_request(const tfn_materialize_request *request, tfn_error *err)
{
    if (request->struct_size != sizeof *request) {
        return TFN_FAIL(err, TFN_INVALID,
                        "a materialize request of %zu bytes was given; expected %zu",
                        request->struct_size, sizeof *request);
    }
    if (request->end.is_set == 0) {
        return TFN_FAIL(err, TFN_INVALID, "materialize needs an end date");
    }
    const bool has_start = request->start.is_set != 0 && request->incremental == 0;
    if (has_start && tfn_instant_compare(tfn__instant_of_time(request->start),
                                         tfn__instant_of_time(request->end)) > 0) {
        char start[TFN_TIME_TEXT_BYTES];
        char end[TFN_TIME_TEXT_BYTES];
        tfn_instant_format(tfn__instant_of_time(request->start), start);
        tfn_instant_format(tfn__instant_of_time(request->end), end);
        return TFN_FAIL(err, TFN_INVALID,
                        "materialize was asked from %s to %s, which ends before it starts", start,
                        end);
    }
    return TFN_OK;
}

/* "", or why the view or its source can only be kept and shown. */
static tfn_str what_is_missing(const tfn_view_def *view)
{
    return view->missing.n > 0 ? view->missing : view->source->missing;
}

/* The views that were named, or all that are online and can be run; names are resolved before anything is read. */
static tfn_code choose_views(const tfn_materialize_request *request, tfn_snapshot *snapshot,
                             tfn_arena *arena, const tfn_view_def ***out, size_t *n_out,
                             tfn_error *err)
{
    const size_t n_all = tfn_snapshot_count(snapshot, TFN_OBJECT_VIEW);
    const size_t n = request->views == NULL ? n_all : request->n_views;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, n, sizeof(tfn_view_def *), &p, err));
    *out = p;
    *n_out = 0;
    for (size_t i = 0; i < n; i++) {
        const tfn_str name = request->views == NULL
                                 ? tfn_snapshot_get_name(snapshot, TFN_OBJECT_VIEW, i)
                                 : tfn_str_of(request->views[i]);
        const tfn_view_def *view = NULL;
        TFN_RETURN_IF_ERROR(tfn_snapshot_find_view(snapshot, name, &view, err));
        if (!view->online && request->views != NULL) {
            return TFN_FAIL(err, TFN_INVALID,
                            "feature view '%.*s' is defined with online=False, so it cannot be "
                            "materialized",
                            TFN_STR_ARG(name));
        }
        if (request->views != NULL) {
            TFN_RETURN_IF_ERROR(tfn__store_check_runs(view, err));
        }
        bool is_new = true;
        for (size_t k = 0; k < *n_out && request->views != NULL; k++) {
            is_new = is_new && (*out)[k] != view; /* named twice, loaded once */
        }
        if (view->online && is_new && (request->views != NULL || what_is_missing(view).n == 0)) {
            (*out)[(*n_out)++] = view;
        }
    }
    return TFN_OK;
}

/* When all were asked for: those that cannot be run, and why. */
static tfn_code report_passed_over(const tfn_materialize_request *request, tfn_snapshot *snapshot,
                                   yyjson_mut_doc *doc, tfn_error *err)
{
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, yyjson_mut_doc_get_root(doc), "passed_over");
    const size_t n = request->views == NULL ? tfn_snapshot_count(snapshot, TFN_OBJECT_VIEW) : 0;
    for (size_t i = 0; i < n; i++) {
        const tfn_str name = tfn_snapshot_get_name(snapshot, TFN_OBJECT_VIEW, i);
        const tfn_view_def *view = NULL;
        TFN_RETURN_IF_ERROR(tfn_snapshot_find_view(snapshot, name, &view, err));
        if (view->online && what_is_missing(view).n > 0) {
            yyjson_mut_val *item = yyjson_mut_arr_add_obj(doc, list);
            (void)tfn_json_add_str(doc, item, "view", view->name);
            (void)tfn_json_add_str(doc, item, "missing", what_is_missing(view));
        }
    }
    return TFN_OK;
}

tfn_code tfn_store_materialize(tfn_store *store, const tfn_materialize_request *request,
                               char **report, tfn_error *err)
{
    *report = NULL;
    TFN_RETURN_IF_ERROR(check_request(request, err));
    tfn_registry *registry = NULL;
    tfn_snapshot *snapshot = NULL;
    tfn_online *online = NULL;
    yyjson_mut_doc *doc = NULL;
    tfn_arena arena = {0};
    const tfn_view_def **views = NULL;
    size_t n_views = 0;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn__store_get_registry(store, &registry, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__store_get_snapshot(store, TFN_FRESH, &snapshot, err), done);
    TFN_GOTO_IF_ERROR(rc, choose_views(request, snapshot, &arena, &views, &n_views, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__store_get_online(store, &online, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_json_create(&doc, err), done);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    (void)yyjson_mut_obj_add_arr(doc, root, "views");
    TFN_GOTO_IF_ERROR(rc, report_passed_over(request, snapshot, doc, err), done);
    for (size_t i = 0; i < n_views; i++) {
        rc = load_view(store, request, registry, online, views[i], doc, err);
        if (rc != TFN_OK && i > 0) {
            tfn_error_prepend(err, "%zu of %zu views were loaded before this: ", i, n_views);
        }
        if (rc != TFN_OK) {
            goto done;
        }
    }
    TFN_GOTO_IF_ERROR(rc, tfn_json_write(doc, report, err), done);
done:
    tfn_json_destroy(doc);
    tfn_snapshot_release(snapshot);
    tfn_arena_deinit(&arena);
    return rc;
}
