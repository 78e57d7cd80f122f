/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Running a retrieval: part by part, and in a part view by view.
 *
 *   whole, by rows    part -> indexes -> joins -> columns -> out
 *   by time           part -> indexes -> joins -> columns -> spool      (all parts, then)
 *                     for each row: its part's next row of the spool -> columns -> out
 *
 * All views of a part are joined before the next part is begun, so an answer leaves whole. Indexes
 * are shared by the views of a part that have equal keys and end with the part.
 *
 * Invariants
 *  1. Nothing of a part is alive when the next one begins but what the caller still holds.
 *  2. After a part the budget knows what it took, and the next one is cut by that.
 *  3. An error ends the retrieval: no piece follows one that is missing.
 */

#include <assert.h>
#include <stdio.h>

#include "base/limits.h"
#include "offline/retrieval_internal.h"
#include "offline/room.h"

#include "base/poison.h"

enum { SPOOL_PIECE_ROWS = 16384, SPOOL_BUFFERS_BYTES = 8 << 20, WHAT_BYTES = 320 };

/* ---- beginning and end ---- */

static tfn_code prepare(tfn_retrieval *r, const tfn_retrieval_opts *opts, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&r->arena, r->n_views, sizeof *r->i_index, &p, err));
    r->i_index = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&r->arena, r->n_views, sizeof *r->stats, &p, err));
    r->stats = p;
    for (size_t i = 0; i < r->n_views; i++) {
        r->n_columns += r->views[i].join.n_features;
    }
    if (opts != NULL) {
        r->opts = *opts;
    }
    if (r->opts.spool_folder != NULL) {
        const tfn_str folder = tfn_str_of(r->opts.spool_folder);
        TFN_RETURN_IF_ERROR(
            tfn_arena_copy(&r->arena, folder.p, folder.n, &r->opts.spool_folder, err));
    }
    TFN_RETURN_IF_ERROR(tfn__retrieval_plan(r, err));
    if (r->plan.strategy == TFN_RETRIEVAL_WHOLE) {
        return TFN_OK;
    }
    const bool is_by_time = r->plan.strategy == TFN_RETRIEVAL_BY_TIME;
    return tfn_parts_create(r->frame, r->time_col,
                            is_by_time ? TFN_PARTS_BY_TIME : TFN_PARTS_BY_ROWS, r->part_columns,
                            r->n_part_columns, &r->parts, err);
}

tfn_code tfn_retrieval_create(tfn_frame *frame, size_t time_col, const tfn_retrieval_view *views,
                              size_t n_views, const tfn_retrieval_opts *opts, tfn_retrieval **out,
                              tfn_error *err)
{
    *out = NULL;
    tfn_retrieval *r = NULL;
    TFN_RETURN_IF_ERROR(tfn__room_zero(1, sizeof *r, &r, err));
    r->frame = tfn_frame_retain(frame);
    r->time_col = time_col;
    r->views = views;
    r->n_views = n_views;
    const tfn_code rc = prepare(r, opts, err);
    if (rc != TFN_OK) {
        tfn_retrieval_destroy(r);
        return rc;
    }
    *out = r;
    return TFN_OK;
}

void tfn_retrieval_destroy(tfn_retrieval *r)
{
    if (r == NULL) {
        return;
    }
    tfn_parts_destroy(r->parts);
    tfn_spool_destroy(r->spool);
    tfn_frame_release(r->frame);
    tfn_mem_free(r->parts_done);
    tfn_arena_deinit(&r->arena);
    tfn_mem_free(r);
}

const tfn_retrieval_plan *tfn_retrieval_get_plan(const tfn_retrieval *r)
{
    return &r->plan;
}

const tfn_join_stats *tfn_retrieval_get_stats(const tfn_retrieval *r, size_t i_view)
{
    return &r->stats[i_view];
}

const tfn_retrieval_part *tfn_retrieval_get_parts(const tfn_retrieval *r, size_t *n_parts)
{
    *n_parts = r->n_parts_done;
    return r->parts_done;
}

int64_t tfn_retrieval_get_spool_bytes(const tfn_retrieval *r)
{
    return r->spool == NULL ? 0 : tfn_spool_get_bytes(r->spool);
}

/* ---- one part ---- */

static tfn_code tell(tfn_tick_fn tick, void *tick_context, const char *what, int64_t n_done,
                     int64_t n_rows, tfn_error *err)
{
    const tfn_progress progress = {what, n_done, n_rows};
    if (tick != NULL && tick(tick_context, &progress) != 0) {
        return TFN_FAIL(err, TFN_CANCELLED, "%s was stopped", what);
    }
    return TFN_OK;
}

/* A part while it is joined. */
typedef struct joining {
    tfn_retrieval *r;
    tfn_frame *rows;
    bool is_copy; /* by time: its columns are r->part_columns */
    tfn_spine **spines;
    tfn_offline_opts opts;
    const tfn_retrieval_watch *watch;
    char what[WHAT_BYTES];
} joining;

/* "part 2 of 7: reading weather" */
static void name_part(const tfn_retrieval *r, size_t i_part, const char *what, char out[WHAT_BYTES])
{
    const long long n_expected = (long long)r->plan.n_parts;
    const long long n_parts = n_expected > (long long)i_part ? n_expected : (long long)i_part + 1;
    (void)snprintf(out, WHAT_BYTES, "part %zu of %lld: %s", i_part + 1, n_parts, what);
}

/* A tfn_tick_fn that says which part it is. */
static int tick_part(void *context, const tfn_progress *progress)
{
    joining *j = context;
    name_part(j->r, j->r->n_parts_done, progress->what != NULL ? progress->what : "", j->what);
    const tfn_progress told = {j->what, progress->rows_done, progress->rows_total};
    return j->watch->tick(j->watch->tick_context, &told);
}

static tfn_code begin_joining(joining *j, tfn_retrieval *r, const tfn_retrieval_watch *watch,
                              tfn_error *err)
{
    *j = (joining){.r = r, .watch = watch};
    j->opts = (tfn_offline_opts){.n_threads = r->opts.n_threads,
                                 .force_one_step = r->opts.force_one_step,
                                 .reader_memory_bytes =
                                     r->opts.limit_bytes > 0 ? r->plan.budget.reader_bytes : 0,
                                 .tick = watch->tick,
                                 .tick_context = watch->tick_context};
    TFN_RETURN_IF_ERROR(tfn__room_zero(r->n_indexes, sizeof(tfn_spine *), &j->spines, err));
    if (r->plan.strategy == TFN_RETRIEVAL_WHOLE) {
        return tfn_frame_slice(r->frame, 0, tfn_frame_get_n_rows(r->frame), 0, &j->rows, err);
    }
    if (watch->tick != NULL) {
        j->opts.tick = tick_part;
        j->opts.tick_context = j;
    }
    j->is_copy = r->plan.strategy == TFN_RETRIEVAL_BY_TIME;
    return tfn_parts_next(r->parts, tfn__retrieval_next_part_rows(r),
                          tfn__retrieval_most_part_rows(r), &j->rows, err);
}

static void end_spines(joining *j)
{
    for (size_t i = 0; j->spines != NULL && i < j->r->n_indexes; i++) {
        tfn_spine_destroy(j->spines[i]);
    }
    tfn_mem_free(j->spines);
    j->spines = NULL;
}

/* Column of the part's rows that is this column of the entity rows. */
static size_t part_column(const joining *j, size_t column)
{
    size_t i = 0;
    while (j->is_copy && j->r->part_columns[i] != column) {
        i++;
    }
    return j->is_copy ? i : column;
}

static tfn_code get_spine(joining *j, size_t i_view, const tfn_spine **out, tfn_error *err)
{
    const tfn_retrieval_view *view = &j->r->views[i_view];
    tfn_spine **spine = &j->spines[j->r->i_index[i_view]];
    if (*spine == NULL) {
        size_t columns[TFN_MAX_KEY_PARTS];
        for (size_t i = 0; i < view->join.n_keys; i++) {
            columns[i] = part_column(j, view->key_columns[i]);
        }
        tfn_crew crew;
        tfn_crew_init(&crew, j->opts.n_threads, j->opts.tick, j->opts.tick_context,
                      "indexing entity rows");
        TFN_RETURN_IF_ERROR(tfn_spine_create(j->rows, columns, view->join.key_types,
                                             view->join.n_keys, part_column(j, j->r->time_col),
                                             &crew, spine, err));
    }
    *out = *spine;
    return TFN_OK;
}

static tfn_code join_views(joining *j, tfn_column **columns, tfn_budget_use *use, tfn_error *err)
{
    tfn_retrieval *r = j->r;
    size_t i_column = 0;
    for (size_t i = 0; i < r->n_views; i++) {
        const tfn_retrieval_view *view = &r->views[i];
        const tfn_spine *spine = NULL;
        TFN_RETURN_IF_ERROR(get_spine(j, i, &spine, err));
        if (j->watch->look != NULL && r->n_parts_done == 0) {
            TFN_RETURN_IF_ERROR(j->watch->look(j->watch->look_context, i, spine, &j->opts, err));
        }
        if (columns == NULL) {
            continue; /* explain only */
        }
        tfn_join_stats stats = {0};
        TFN_RETURN_IF_ERROR(tfn_join_run(spine, &view->join, view->source, &j->opts,
                                         columns + i_column, &stats, err));
        tfn_join_stats_add(&r->stats[i], &stats);
        tfn_budget_use_view(use, &stats);
        for (size_t k = 0; k < view->join.n_features; k++) {
            use->output_bytes += tfn_column_get_bytes(columns[i_column + k]);
        }
        i_column += view->join.n_features;
    }
    use->index_bytes *= (int64_t)r->n_indexes; /* of the largest */
    return TFN_OK;
}

static void release_columns(const tfn_retrieval *r, tfn_column **columns)
{
    for (size_t i = 0; columns != NULL && i < r->n_columns; i++) {
        tfn_column_release(columns[i]);
        columns[i] = NULL;
    }
}

static tfn_code record_part(tfn_retrieval *r, const tfn_budget_use *use, double seconds,
                            tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn__room_grow(&r->parts_done, &r->part_capacity, r->n_parts_done + 1,
                                       sizeof *r->parts_done, err));
    r->parts_done[r->n_parts_done++] =
        (tfn_retrieval_part){.n_rows = use->n_rows,
                             .bytes = use->index_bytes + use->work_bytes + use->output_bytes,
                             .seconds = seconds};
    tfn_budget_learn(&r->plan.budget, use);
    r->is_done =
        r->parts == NULL || tfn_parts_get_n_rows_done(r->parts) == tfn_frame_get_n_rows(r->frame);
    return TFN_OK;
}

/* Join the next part. *rows [own]: the part's; columns: of all views. */
static tfn_code join_part(tfn_retrieval *r, const tfn_retrieval_watch *watch, tfn_frame **rows,
                          tfn_column **columns, tfn_error *err)
{
    const double begin_s = tfn_clock_monotonic_s();
    joining j;
    tfn_budget_use use = {0};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, begin_joining(&j, r, watch, err), done);
    if (r->parts != NULL) {
        TFN_GOTO_IF_ERROR(rc,
                          tell(j.opts.tick, j.opts.tick_context, "entity rows",
                               tfn_parts_get_n_rows_done(r->parts) - tfn_frame_get_n_rows(j.rows),
                               tfn_frame_get_n_rows(r->frame), err),
                          done);
    }
    TFN_GOTO_IF_ERROR(rc, join_views(&j, columns, &use, err), done);
    use.n_rows = tfn_frame_get_n_rows(j.rows);
    end_spines(&j);
    TFN_GOTO_IF_ERROR(rc, record_part(r, &use, tfn_clock_monotonic_s() - begin_s, err), done);
    *rows = j.rows;
    j.rows = NULL;
done:
    end_spines(&j);
    tfn_frame_release(j.rows);
    if (rc != TFN_OK) {
        release_columns(r, columns);
        r->is_done = true;
    }
    return rc;
}

tfn_code tfn_retrieval_explain(tfn_retrieval *r, tfn_retrieval_look_fn look, void *look_context,
                               tfn_error *err)
{
    const tfn_retrieval_watch watch = {.look = look, .look_context = look_context};
    joining j;
    tfn_budget_use use = {0};
    assert(r->n_parts_done == 0 && !r->is_explained);
    r->is_explained = true;
    r->is_done = true;
    tfn_code rc = begin_joining(&j, r, &watch, err);
    if (rc == TFN_OK) {
        rc = join_views(&j, NULL, &use, err);
    }
    end_spines(&j);
    tfn_frame_release(j.rows);
    return rc;
}

/* ---- by time: through the spool ---- */

static tfn_code spool_columns(tfn_retrieval *r, const tfn_retrieval_watch *watch, int64_t n_rows,
                              tfn_column **columns, tfn_error *err)
{
    char what[WHAT_BYTES];
    name_part(r, r->n_parts_done - 1, "writing its answers to a file", what);
    TFN_RETURN_IF_ERROR(tfn_spool_begin_part(r->spool, err));
    for (int64_t i = 0; i < n_rows; i += SPOOL_PIECE_ROWS) {
        const int64_t n = n_rows - i < SPOOL_PIECE_ROWS ? n_rows - i : SPOOL_PIECE_ROWS;
        TFN_RETURN_IF_ERROR(tfn_spool_add(r->spool, columns, i, n, err));
        TFN_RETURN_IF_ERROR(tell(watch->tick, watch->tick_context, what, i + n, n_rows, err));
    }
    return TFN_OK;
}

static tfn_code begin_spool(tfn_retrieval *r, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&r->arena, r->n_columns, sizeof *r->types, &p, err));
    r->types = p;
    return tfn_spool_create(r->opts.spool_folder, r->n_columns, NULL, &r->spool, err);
}

static tfn_code spool_parts(tfn_retrieval *r, const tfn_retrieval_watch *watch,
                            tfn_column **columns, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(begin_spool(r, err));
    while (!r->is_done) {
        tfn_frame *rows = NULL;
        TFN_RETURN_IF_ERROR(join_part(r, watch, &rows, columns, err));
        const int64_t n_rows = tfn_frame_get_n_rows(rows);
        tfn_frame_release(rows);
        for (size_t i = 0; i < r->n_columns; i++) {
            r->types[i] = tfn_column_get_type(columns[i]);
        }
        const tfn_code rc = spool_columns(r, watch, n_rows, columns, err);
        release_columns(r, columns);
        TFN_RETURN_IF_ERROR(rc);
    }
    return tfn_spool_begin_reading(r->spool, SPOOL_BUFFERS_BYTES, err);
}

/* The spool's rows of entity rows begin .. begin + n - 1, into builders. */
static tfn_code take_rows(tfn_retrieval *r, int64_t begin, int64_t n, tfn_builder **builders,
                          tfn_error *err)
{
    uint32_t *part_of_row = NULL;
    TFN_RETURN_IF_ERROR(tfn__room((size_t)n, sizeof *part_of_row, &part_of_row, err));
    tfn_code rc = tfn_parts_route(r->parts, begin, n, part_of_row, err);
    for (int64_t i = 0; i < n && rc == TFN_OK; i++) {
        rc = tfn_spool_take(r->spool, part_of_row[i], builders, err);
    }
    tfn_mem_free(part_of_row);
    return rc;
}

static tfn_code take_columns(tfn_retrieval *r, int64_t n, tfn_column **columns, tfn_error *err)
{
    tfn_builder **builders = NULL;
    tfn_code rc = TFN_OK;
    TFN_RETURN_IF_ERROR(tfn__room_zero(r->n_columns, sizeof(tfn_builder *), &builders, err));
    for (size_t i = 0; i < r->n_columns; i++) {
        TFN_GOTO_IF_ERROR(rc, tfn_builder_create(r->types[i], n, &builders[i], err), done);
    }
    TFN_GOTO_IF_ERROR(rc, take_rows(r, r->n_rows_out, n, builders, err), done);
    for (size_t i = 0; i < r->n_columns; i++) {
        TFN_GOTO_IF_ERROR(rc, tfn_builder_finish(&builders[i], &columns[i], err), done);
    }
done:
    for (size_t i = 0; i < r->n_columns; i++) {
        tfn_builder_destroy(builders[i]);
    }
    tfn_mem_free(builders);
    return rc;
}

static tfn_code next_of_spool(tfn_retrieval *r, const tfn_retrieval_watch *watch, tfn_frame **rows,
                              tfn_column **columns, tfn_error *err)
{
    if (r->spool == NULL) {
        TFN_RETURN_IF_ERROR(spool_parts(r, watch, columns, err));
    }
    const int64_t n_rows = tfn_frame_get_n_rows(r->frame);
    const int64_t n_left = n_rows - r->n_rows_out;
    const int64_t n = n_left < SPOOL_PIECE_ROWS ? n_left : SPOOL_PIECE_ROWS;
    if (n == 0) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(take_columns(r, n, columns, err));
    TFN_RETURN_IF_ERROR(tfn_frame_slice(r->frame, r->n_rows_out, n, r->opts.piece_rows, rows, err));
    r->n_rows_out += n;
    return tell(watch->tick, watch->tick_context, "reading the answers of all parts", r->n_rows_out,
                n_rows, err);
}

/* ---- pieces ---- */

static tfn_code next_of_parts(tfn_retrieval *r, const tfn_retrieval_watch *watch, tfn_frame **rows,
                              tfn_column **columns, tfn_error *err)
{
    if (r->is_done) {
        return TFN_OK;
    }
    tfn_frame *part = NULL;
    TFN_RETURN_IF_ERROR(join_part(r, watch, &part, columns, err));
    const int64_t n = tfn_frame_get_n_rows(part);
    tfn_frame_release(part);
    TFN_RETURN_IF_ERROR(tfn_frame_slice(r->frame, r->n_rows_out, n, r->opts.piece_rows, rows, err));
    r->n_rows_out += n;
    return TFN_OK;
}

tfn_code tfn_retrieval_next(tfn_retrieval *r, const tfn_retrieval_watch *watch, tfn_frame **rows,
                            tfn_column **columns, tfn_error *err)
{
    static const tfn_retrieval_watch unwatched = {0};
    assert(!r->is_explained);
    *rows = NULL;
    for (size_t i = 0; i < r->n_columns; i++) {
        columns[i] = NULL;
    }
    watch = watch != NULL ? watch : &unwatched;
    const tfn_code rc = r->plan.strategy == TFN_RETRIEVAL_BY_TIME
                            ? next_of_spool(r, watch, rows, columns, err)
                            : next_of_parts(r, watch, rows, columns, err);
    if (rc != TFN_OK) {
        release_columns(r, columns);
        tfn_frame_release(*rows);
        *rows = NULL;
    }
    return rc;
}
