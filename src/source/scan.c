/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * One scan of files: the statement of scan_sql.c, whose function is the kernel below.
 *
 *   DuckDB's threads -> tfn__duck_kernel -> worker -> positions + vectors -> consumer
 *
 * The consumer must see a worker number that no other call has at the same time. DuckDB moves its
 * own per-thread state between threads, and has none in some versions, so a call takes a free
 * number from a bitmap and gives it back: two atomic operations per 2,048 rows. When DuckDB has
 * more threads than the scan asked for, the others wait here.
 *
 * Rows of a vector come in the order of the file. If the first and last row numbers are as far
 * apart as the rows are many, positions are consecutive and are not written out.
 *
 * The first error of the consumer is kept in the run and wins over DuckDB's own sentence for it.
 */

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "source/files_internal.h"

#include "base/poison.h"

enum { MAX_WORKERS = 256, WORD_BITS = 64 };

/* What one worker needs to hand a chunk on. */
typedef struct worker {
    bool is_ready; /* vectors are described */
    tfn_vec *cols;
    tfn_vec *children;
    uint64_t *positions;
} worker;

struct tfn__run {
    const tfn__files *files;
    const tfn_scan *scan;
    const duck_api *api;
    const tfn__scan_sql *sql;
    worker *workers;
    int n_workers;
    _Atomic uint64_t busy[MAX_WORKERS / WORD_BITS]; /* bit set: worker is taken */
    _Atomic int64_t n_rows;
    _Atomic bool is_stopping;
    pthread_mutex_t mutex; /* guards what follows; taken alone */
    bool has_error;
    tfn_error error;
    uint64_t i_text_file; /* file that the last chunk ended in, and the row at which it began */
    uint64_t text_file_begin;
};

/* ---- workers ---- */

static int try_worker(tfn__run *run)
{
    for (int i_word = 0; i_word * WORD_BITS < run->n_workers; i_word++) {
        const int n_here = run->n_workers - i_word * WORD_BITS;
        const uint64_t all = n_here >= WORD_BITS ? UINT64_MAX : (UINT64_C(1) << n_here) - 1;
        uint64_t busy = atomic_load_explicit(&run->busy[i_word], memory_order_relaxed);
        while ((busy & all) != all) {
            const int bit = __builtin_ctzll(~busy);
            if (atomic_compare_exchange_weak_explicit(&run->busy[i_word], &busy,
                                                      busy | UINT64_C(1) << bit,
                                                      memory_order_acquire, memory_order_relaxed)) {
                return i_word * WORD_BITS + bit;
            }
        }
    }
    return -1;
}

static int take_worker(tfn__run *run)
{
    int i = try_worker(run);
    while (i < 0) {
        (void)sched_yield();
        i = try_worker(run);
    }
    return i;
}

static void leave_worker(tfn__run *run, int i)
{
    atomic_fetch_and_explicit(&run->busy[i / WORD_BITS], ~(UINT64_C(1) << (i % WORD_BITS)),
                              memory_order_release);
}

static void stop_run(tfn__run *run, const tfn_error *error)
{
    pthread_mutex_lock(&run->mutex);
    if (!run->has_error) {
        run->has_error = true;
        run->error = *error;
    }
    pthread_mutex_unlock(&run->mutex);
    atomic_store_explicit(&run->is_stopping, true, memory_order_relaxed);
}

/* ---- the kernel ---- */

static uint64_t file_base(const tfn__scan_sql *sql, uint64_t file_index)
{
    const uint64_t file = sql->chosen != NULL ? sql->chosen[file_index] : file_index;
    return file << TFN__ROW_BITS;
}

/* CSV and JSON: rows are numbered over all files, without gaps. */
static bool is_numbered(const tfn__run *run)
{
    return run->files->list.format != TFN_FORMAT_PARQUET;
}

/* Positions, from row numbers and (NULL = one file) file indexes. */
static void place_rows(const tfn__run *run, worker *w, const int64_t *rows, const uint64_t *indexes,
                       tfn_chunk *chunk)
{
    const int64_t last = chunk->n - 1;
    if (is_numbered(run)) {
        chunk->first_position = (uint64_t)rows[0];
        return;
    }
    const uint64_t first_base =
        indexes != NULL ? file_base(run->sql, indexes[0]) : file_base(run->sql, 0);
    const bool is_one_file = indexes == NULL || indexes[0] == indexes[last];
    if (is_one_file && rows[last] - rows[0] == last) {
        chunk->first_position = first_base + (uint64_t)rows[0];
        return;
    }
    for (int64_t i = 0; i <= last; i++) {
        const uint64_t base = is_one_file ? first_base : file_base(run->sql, indexes[i]);
        w->positions[i] = base + (uint64_t)rows[i];
    }
    chunk->first_position = w->positions[0];
    chunk->positions = w->positions;
}

/* Remember where the file of the chunk's last row began; chunks of text files come in order. */
static void follow_files(tfn__run *run, const tfn_chunk *chunk, const uint64_t *files)
{
    pthread_mutex_lock(&run->mutex);
    for (int64_t i = 0; i < chunk->n; i++) {
        if (files[i] != run->i_text_file) {
            run->i_text_file = files[i];
            run->text_file_begin = tfn_chunk_position(chunk, i);
        }
    }
    pthread_mutex_unlock(&run->mutex);
}

/* Row of its own file that row i of the chunk is; a file that begins in this chunk begins there. */
static uint64_t row_in_file(const tfn__run *run, const tfn_chunk *chunk, const uint64_t *files,
                            int64_t i)
{
    int64_t begin = i;
    while (begin > 0 && files[begin - 1] == files[i]) {
        begin--;
    }
    const uint64_t row = tfn_chunk_position(chunk, i);
    return begin > 0 || files[i] != run->i_text_file ? (uint64_t)(i - begin)
                                                     : row - run->text_file_begin;
}

static tfn_code fail_cell(tfn__run *run, size_t i_column, tfn_str text, uint64_t i_file,
                          uint64_t row, tfn_error *err)
{
    tfn_type want = tfn__scan_get_type(run->scan, i_column);
    char expected[TFN_TYPE_TEXT_BYTES] = "a value";
    if (want.kind != TFN_KIND_NONE) {
        tfn_type_format(want, expected);
    }
    const tfn_str shown = {text.p, text.n < 80 ? text.n : 80};
    return TFN_FAIL(err, TFN_SCHEMA, "'%s', row %llu: column '%.*s': expected %s, found '%.*s'",
                    run->files->list.files[i_file].path.p, (unsigned long long)row + 1,
                    TFN_STR_ARG(run->scan->columns[i_column]), expected, TFN_STR_ARG(shown));
}

/* CSV, JSON: a cell with a text but no value did not parse. */
static tfn_code check_casts(tfn__run *run, const worker *w, duck_chunk input,
                            const tfn_chunk *chunk, const uint64_t *files, tfn_error *err)
{
    assert(files != NULL); /* scans of text files always ask for the file's index */
    const duck_api *api = run->api;
    for (size_t k = 0; k < run->sql->n_casts; k++) {
        const size_t i_column = run->sql->casts[k];
        tfn_vec text = {.type = {.kind = TFN_KIND_STRING}, .layout = TFN_LAYOUT_DUCK_STRING};
        tfn__duck_vec_fill(api, api->do_data_chunk_get_vector(input, 3 + run->scan->n_columns + k),
                           chunk->n, &text, NULL);
        for (int64_t i = 0; i < chunk->n; i++) {
            if (tfn_vec_is_valid(&text, i) && !tfn_vec_is_valid(&w->cols[i_column], i)) {
                return fail_cell(run, i_column, tfn_vec_get_str(&text, i), files[i],
                                 row_in_file(run, chunk, files, i), err);
            }
        }
    }
    follow_files(run, chunk, files);
    return TFN_OK;
}

static tfn_code describe_columns(const tfn__run *run, worker *w, duck_chunk input, uint64_t i_first,
                                 tfn_error *err)
{
    for (size_t i = 0; i < run->scan->n_columns; i++) {
        const duck_vector v = run->api->do_data_chunk_get_vector(input, i_first + i);
        TFN_RETURN_IF_ERROR(tfn__duck_vec_init(run->api, v, &w->cols[i], &w->children[i], err));
    }
    w->is_ready = true;
    return TFN_OK;
}

static tfn_code consume(tfn__run *run, int i_worker, duck_chunk input, int64_t n, tfn_error *err)
{
    const duck_api *api = run->api;
    worker *w = &run->workers[i_worker];
    const uint64_t i_first = run->sql->has_file_index ? 3 : 2;
    if (!w->is_ready) {
        TFN_RETURN_IF_ERROR(describe_columns(run, w, input, i_first, err));
    }
    for (size_t i = 0; i < run->scan->n_columns; i++) {
        tfn__duck_vec_fill(api, api->do_data_chunk_get_vector(input, i_first + i), n, &w->cols[i],
                           &w->children[i]);
    }
    tfn_chunk chunk = {.n = n, .n_cols = run->scan->n_columns, .cols = w->cols};
    const int64_t *rows = api->do_vector_get_data(api->do_data_chunk_get_vector(input, 1));
    const uint64_t *indexes = run->sql->has_file_index
                                  ? api->do_vector_get_data(api->do_data_chunk_get_vector(input, 2))
                                  : NULL;
    place_rows(run, w, rows, indexes, &chunk);
    if (run->sql->n_casts > 0) {
        TFN_RETURN_IF_ERROR(check_casts(run, w, input, &chunk, indexes, err));
    }
    return run->scan->consume(run->scan->context, i_worker, &chunk, err);
}

void tfn__duck_kernel(const duck_api *api, duck_info info, duck_chunk input, duck_vector output)
{
    const int64_t n = (int64_t)api->do_data_chunk_get_size(input);
    memset(api->do_vector_get_data(output), 0, (size_t)n * sizeof(int64_t));
    if (n == 0) {
        return;
    }
    const uint64_t *ids = api->do_vector_get_data(api->do_data_chunk_get_vector(input, 0));
    tfn__run *run = tfn__duck_find_run(ids[0]);
    if (run == NULL || atomic_load_explicit(&run->is_stopping, memory_order_relaxed)) {
        api->do_scalar_function_set_error(info, "the scan was stopped");
        return;
    }
    const int i_worker = take_worker(run);
    tfn_error error = {0};
    const tfn_code rc = consume(run, i_worker, input, n, &error);
    leave_worker(run, i_worker);
    if (rc != TFN_OK) {
        error.code = rc;
        stop_run(run, &error);
        api->do_scalar_function_set_error(info, "the scan was stopped");
        return;
    }
    atomic_fetch_add_explicit(&run->n_rows, n, memory_order_relaxed);
}

/* ---- the scan ---- */

static bool wants_stop(void *context)
{
    tfn__run *run = context;
    const tfn_scan *scan = run->scan;
    if (scan->tick == NULL) {
        return false;
    }
    const tfn_progress progress = {.what = scan->what != NULL ? scan->what : "reading",
                                   .rows_done =
                                       atomic_load_explicit(&run->n_rows, memory_order_relaxed),
                                   .rows_total = run->files->n_rows};
    if (scan->tick(scan->tick_context, &progress) == 0) {
        return false;
    }
    tfn_error error = {0};
    (void)TFN_FAIL(&error, TFN_CANCELLED, "%s was stopped", progress.what);
    stop_run(run, &error);
    return true;
}

static tfn_code make_workers(tfn__run *run, int n_workers, tfn_arena *arena, tfn_error *err)
{
    const size_t n_columns = run->scan->n_columns;
    void *memory = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc_zero(arena, (size_t)n_workers, sizeof(worker), &memory, err));
    run->workers = memory;
    run->n_workers = n_workers;
    for (int i = 0; i < n_workers; i++) {
        worker *w = &run->workers[i];
        TFN_RETURN_IF_ERROR(
            tfn_arena_alloc_zero(arena, 2 * n_columns + 1, sizeof(tfn_vec), &memory, err));
        w->cols = memory;
        w->children = w->cols + n_columns;
        TFN_RETURN_IF_ERROR(
            tfn_arena_alloc(arena, run->api->do_vector_size(), sizeof(uint64_t), &memory, err));
        w->positions = memory;
    }
    return TFN_OK;
}

static tfn_code execute(tfn__run *run, tfn__duck *duck, duck_connection connection,
                        const size_t *indexes, tfn_arena *arena, tfn_error *err)
{
    int id = -1;
    const size_t memory_bytes =
        tfn__duck_get_memory_bytes(run->files->duckdb, run->scan->reader_memory_bytes);
    TFN_RETURN_IF_ERROR(tfn__duck_begin_run(duck, run, run->n_workers, memory_bytes, &id, err));
    tfn__scan_sql sql = {0};
    run->sql = &sql;
    tfn_code rc = tfn__scan_sql_build(run->files, run->scan, indexes, id, arena, &sql, err);
    if (rc == TFN_OK && sql.text.n > 0) {
        const tfn__statement s = {.sql = sql.text.p,
                                  .label = run->files->base.label,
                                  .wants_stop = wants_stop,
                                  .stop_context = run};
        rc = tfn__duck_execute(duck, connection, &s, err);
    }
    tfn__duck_end_run(duck, id);
    run->sql = NULL;
    tfn_buf_deinit(&sql.text);
    return run->has_error ? tfn_error_move(err, &run->error) : rc;
}

static tfn_code scan_connected(tfn__files *f, const tfn_scan *scan, tfn__duck *duck,
                               duck_connection connection, tfn_scan_stats *stats, tfn_error *err)
{
    tfn_arena arena = {0};
    tfn__run run = {.files = f, .scan = scan, .api = &duck->api, .i_text_file = UINT64_MAX};
    void *indexes = NULL;
    tfn_code rc = TFN_OK;
    pthread_mutex_init(&run.mutex, NULL);
    TFN_GOTO_IF_ERROR(
        rc, tfn_arena_alloc(&arena, scan->n_columns + 1, sizeof(size_t), &indexes, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__source_resolve(&f->base, scan, indexes, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__files_count_rows(f, duck, connection, err), done);
    TFN_GOTO_IF_ERROR(
        rc, make_workers(&run, tfn__duck_get_n_threads(f->duckdb, scan->n_threads), &arena, err),
        done);
    rc = execute(&run, duck, connection, indexes, &arena, err);
    if ((rc == TFN_CORRUPT || (rc == TFN_IO && !f->list.is_remote)) && !run.has_error &&
        tfn__files_check(f, duck, connection, NULL) == TFN_OK) {
        const tfn__damage_hint hint = {.indexes = indexes,
                                       .n_indexes = scan->n_columns,
                                       .wants_stop = wants_stop,
                                       .stop_context = &run};
        rc = tfn__files_locate_damage(f, duck, connection, &hint, rc, err);
    }
done:
    stats->n_rows = atomic_load_explicit(&run.n_rows, memory_order_relaxed);
    pthread_mutex_destroy(&run.mutex);
    tfn_arena_deinit(&arena);
    return rc;
}

/* A file that changed is the better explanation of a read that failed. */
static tfn_code check_unchanged(const tfn__files *f, tfn__duck *duck, duck_connection connection,
                                tfn_code rc, tfn_error *err)
{
    if (rc != TFN_OK && rc != TFN_IO && rc != TFN_SCHEMA && rc != TFN_CORRUPT) {
        return rc;
    }
    tfn_error why = {0};
    const tfn_code checked = tfn__files_check(f, duck, connection, &why);
    const bool is_better =
        rc == TFN_OK || strstr(why.message, "changed while") != NULL || !f->list.is_remote;
    return checked != TFN_OK && is_better ? tfn_error_move(err, &why) : rc;
}

tfn_code tfn__files_scan(tfn_source *s, const tfn_scan *scan, tfn_scan_stats *stats, tfn_error *err)
{
    tfn__files *f = (tfn__files *)s;
    tfn__duck *duck = NULL;
    duck_connection connection = NULL;
    TFN_RETURN_IF_ERROR(tfn__files_begin(f, &duck, &connection, err));
    tfn_code rc = scan_connected(f, scan, duck, connection, stats, err);
    rc = check_unchanged(f, duck, connection, rc, err);
    tfn__files_end(f, duck, &connection);
    stats->n_files = (int64_t)f->list.n_files;
    stats->n_bytes_in_files = f->list.n_bytes;
    stats->n_rows_in_files = f->n_rows;
    return rc;
}
