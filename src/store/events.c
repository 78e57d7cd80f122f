/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Entity rows for a training set that was asked for without any: the events of its views.
 *
 *   request --selection--> views with keys --tfn_range_run each (keys and times only)-->
 *     tfn_range_unite --> join keys | event_timestamp
 *
 * Views without entities bring no events: every entity row sees them whatever its key. If all are
 * without entities, theirs are taken.
 *
 * Invariant: the keys of all ranges are in the order of the first view that has keys, so that equal
 * keys have equal bytes.
 */

#include "store/view_rows.h"

#include "base/poison.h"

enum { DEFAULT_WINDOW_DAYS = 30, SECONDS_PER_DAY = 86400 };

typedef struct gathering {
    tfn_store *store;
    const tfn_events_request *request;
    tfn_snapshot *snapshot;
    tfn_selection selection;
    tfn_arena arena;
    tfn_time start; /* as asked, or the default */
    tfn_time end;
    const tfn_selected_view *first; /* its keys are the entity rows' */
    tfn_row_range **ranges;
    size_t n_ranges;
    tfn_str *names;
    tfn_column **columns; /* keys, then the time */
    size_t n_columns;
    int64_t n_rows;
} gathering;

static void deinit(gathering *g)
{
    for (size_t i = 0; g->columns != NULL && i < g->n_columns; i++) {
        tfn_column_release(g->columns[i]);
    }
    for (size_t i = 0; i < g->n_ranges; i++) {
        tfn_range_destroy(g->ranges[i]);
    }
    tfn__selection_deinit(&g->selection);
    tfn_snapshot_release(g->snapshot);
    tfn_arena_deinit(&g->arena);
}

/* ---- the window ---- */

static tfn_time time_of(tfn_instant t)
{
    return (tfn_time){.seconds = t.seconds, .nanos = t.nanos, .is_set = 1};
}

/* The end is now; the start lies the longest ttl before the end, or 30 days where no view has one. */
static tfn_code choose_window(gathering *g, tfn_error *err)
{
    g->start = g->request->start;
    g->end = g->request->end;
    if (g->end.is_set == 0) {
        g->end = time_of(tfn_clock_now(&g->store->clock));
    }
    if (g->start.is_set == 0) {
        int64_t ttl_us = 0;
        for (size_t i = 0; i < g->selection.n_views; i++) {
            const int64_t own_us = g->selection.views[i].view->ttl_us;
            ttl_us = own_us > ttl_us ? own_us : ttl_us;
        }
        if (ttl_us == 0) {
            ttl_us = (int64_t)DEFAULT_WINDOW_DAYS * SECONDS_PER_DAY * 1000000;
        }
        const int64_t end_us = tfn_instant_to(tfn__instant_of_time(g->end), TFN_UNIT_US);
        g->start = time_of(tfn_instant_of(tfn_time_sub(end_us, ttl_us), TFN_UNIT_US));
        g->start.nanos += g->end.nanos % 1000; /* exact where the end has nanoseconds */
    }
    return tfn__check_window("events were asked for", g->start, g->end, err);
}

/* ---- the keys ---- */

static tfn_code add_keys(tfn_buf *text, const tfn_selected_view *selected, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_format(text, err, "'%.*s' has", TFN_STR_ARG(selected->name)));
    for (size_t i = 0; i < selected->view->n_keys; i++) {
        char type[TFN_TYPE_TEXT_BYTES];
        tfn_type_format(selected->view->keys[i].type, type);
        TFN_RETURN_IF_ERROR(tfn_buf_add_format(text, err, "%s %.*s (%s)", i == 0 ? "" : ",",
                                               TFN_STR_ARG(selected->key_columns[i]), type));
    }
    return TFN_OK;
}

static tfn_code refuse_keys(const tfn_selected_view *a, const tfn_selected_view *b, tfn_error *err)
{
    tfn_buf text = {0};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, add_keys(&text, a, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_text(&text, ", ", err), done);
    TFN_GOTO_IF_ERROR(rc, add_keys(&text, b, err), done);
    rc = TFN_FAIL(
        err, TFN_INVALID,
        "without entity rows all views must have the same join keys, but %.*s; ask for one "
        "of them, or pass entity rows",
        TFN_STR_ARG(tfn_buf_get_str(&text)));
done:
    tfn_buf_deinit(&text);
    return rc;
}

static bool has_key(const tfn_selected_view *selected, tfn_str name, tfn_type type)
{
    for (size_t i = 0; i < selected->view->n_keys; i++) {
        if (tfn_str_equal(selected->key_columns[i], name)) {
            return tfn_type_same(selected->view->keys[i].type, type);
        }
    }
    return false;
}

static tfn_code check_keys(gathering *g, tfn_error *err)
{
    g->first = &g->selection.views[0];
    for (size_t i = 0; i < g->selection.n_views && g->first->view->n_keys == 0; i++) {
        g->first = &g->selection.views[i];
    }
    for (size_t i = 0; i < g->selection.n_views; i++) {
        const tfn_selected_view *other = &g->selection.views[i];
        bool is_same = other->view->n_keys == g->first->view->n_keys;
        for (size_t k = 0; is_same && k < other->view->n_keys; k++) {
            is_same = has_key(g->first, other->key_columns[k], other->view->keys[k].type);
        }
        if (!is_same && other->view->n_keys > 0) {
            return refuse_keys(g->first, other, err);
        }
    }
    return TFN_OK;
}

/* ---- the events ---- */

static tfn_code read_view(gathering *g, const tfn_selected_view *selected, tfn_error *err)
{
    const tfn_events_request *request = g->request;
    const int64_t limit_bytes =
        request->max_bytes > 0 ? request->max_bytes : tfn__store_get_memory_limit(g->store);
    const tfn_range_window window = {.has_start = true,
                                     .has_end = true,
                                     .start = tfn__instant_of_time(g->start),
                                     .end = tfn__instant_of_time(g->end),
                                     .max_bytes = limit_bytes,
                                     .order = TFN_RANGE_BY_TIME};
    const tfn_offline_opts opts = {.n_threads = g->store->n_threads,
                                   .tick = request->tick,
                                   .tick_context = request->tick_context};
    tfn__view_rows rows;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc,
                      tfn__view_rows_init(g->store, selected, g->first->key_columns, 0,
                                          request->known_at, &g->arena, &rows, err),
                      done);
    TFN_GOTO_IF_ERROR(
        rc,
        tfn_range_run(&rows.view, rows.source, &window, &opts, &g->ranges[g->n_ranges], NULL, err),
        done);
    g->n_ranges++;
done:
    tfn__view_rows_deinit(&rows);
    return rc;
}

static tfn_code read_views(gathering *g, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc_zero(&g->arena, g->selection.n_views, sizeof *g->ranges, &p, err));
    g->ranges = p;
    for (size_t i = 0; i < g->selection.n_views; i++) {
        const tfn_selected_view *selected = &g->selection.views[i];
        if (selected->view->n_keys == g->first->view->n_keys) {
            TFN_RETURN_IF_ERROR(read_view(g, selected, err));
        }
    }
    return TFN_OK;
}

static tfn_code unite(gathering *g, tfn_error *err)
{
    const size_t n_keys = g->first->view->n_keys;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&g->arena, n_keys + 1, sizeof *g->names, &p, err));
    g->names = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&g->arena, n_keys + 1, sizeof *g->columns, &p, err));
    g->columns = p;
    g->n_columns = n_keys + 1;
    for (size_t i = 0; i < n_keys; i++) {
        g->names[i] = g->first->key_columns[i];
    }
    g->names[n_keys] = tfn_str_of("event_timestamp");
    const tfn_instant at = tfn__instant_of_time(g->end);
    tfn_range_union what = g->n_ranges == 1 ? TFN_RANGE_EACH : TFN_RANGE_TIMES;
    if (g->request->one_row_per_key != 0) {
        what = TFN_RANGE_KEYS;
    }
    return tfn_range_unite((const tfn_row_range *const *)g->ranges, g->n_ranges, what, &at,
                           g->columns, &g->n_rows, err);
}

static tfn_code gather(gathering *g, tfn_error *err)
{
    const tfn_events_request *request = g->request;
    if (request->struct_size != sizeof *request || request->features == NULL) {
        return TFN_FAIL(err, TFN_INVALID,
                        "events were asked for without features, or with a request of %zu bytes "
                        "(this library's has %zu)",
                        request->struct_size, sizeof *request);
    }
    TFN_RETURN_IF_ERROR(tfn__store_get_snapshot(g->store, TFN_FRESH, &g->snapshot, err));
    TFN_RETURN_IF_ERROR(tfn__selection_init(g->snapshot, request->features, &g->selection, err));
    TFN_RETURN_IF_ERROR(choose_window(g, err));
    TFN_RETURN_IF_ERROR(check_keys(g, err));
    TFN_RETURN_IF_ERROR(read_views(g, err));
    return unite(g, err);
}

tfn_code tfn_store_events(tfn_store *store, const tfn_events_request *request,
                          struct ArrowArrayStream *out, tfn_error *err)
{
    out->release = NULL;
    gathering g = {.store = store, .request = request};
    tfn_code rc = gather(&g, err);
    if (rc == TFN_OK) {
        rc = tfn_columns_export(g.names, g.columns, g.n_columns, g.n_rows, TFN__EXPORT_BATCH_ROWS,
                                out, err);
    }
    deinit(&g);
    return rc;
}
