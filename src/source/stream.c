/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Sources in memory: an Arrow stream (read once) and a frame (read as often as wanted).
 *
 *      stream --pull--> batch --cut--> chunk of <= 2,048 rows --> consume, on n threads of ours
 *
 * A thread takes the next chunk of the current batch; who finds it used up pulls the next one while
 * the others wait. So a stream of one huge batch keeps all threads busy, as does one of many small
 * ones. Each batch counts its users and ends with the last. A stream's batch is read through a
 * frame of its own, which decodes dictionaries and checks the arrays.
 *
 * Invariants
 *  1. Chunks are handed out in the order of rows; the position of a row is its number.
 *  2. `feed` guards the current batch and the pull; `state` guards the outcome. Lock order: feed,
 *     then state. The caller's thread takes `state` only, so it ticks while a slow producer is
 *     being pulled.
 *  3. The first error wins; `is_stopping` makes the others leave before their next chunk.
 */

#include <errno.h> /* IWYU pragma: keep - ENOMEM */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "source/source_internal.h"

#include "base/poison.h"

enum { CHUNK_ROWS = 2048, TICK_MS = 50, MAX_THREADS = 256 };

typedef struct memory_source {
    tfn_source base;
    tfn_frame *frame;               /* frame source; NULL for a stream */
    struct ArrowArrayStream stream; /* stream source */
    struct ArrowSchema schema;
} memory_source;

/* A stream of the one array of a batch, with a borrowed schema. */
typedef struct one_batch {
    const struct ArrowSchema *schema;
    struct ArrowArray array; /* release NULL: already given */
} one_batch;

typedef struct batch {
    one_batch one;
    tfn_frame *frame;
    int64_t n;
    uint64_t first_position;
    int64_t n_users; /* guarded by feed */
    tfn_vec *cols;
} batch;

typedef struct run {
    memory_source *source;
    const tfn_scan *scan;
    const size_t *indexes;
    pthread_mutex_t feed;
    batch *current; /* feed: holds one use */
    int64_t next_row;
    int64_t i_batch;
    uint64_t next_position;
    bool is_at_end;
    pthread_mutex_t state;
    pthread_cond_t worker_left; /* state */
    int n_active;               /* state */
    bool has_error;             /* state */
    tfn_error error;            /* state */
    _Atomic bool is_stopping;
    _Atomic int64_t n_rows;
} run;

typedef struct worker {
    run *run;
    int index;
    tfn_vec *cols;
    pthread_t thread;
} worker;

/* ---- one batch as a frame ---- */

static void forget_schema(struct ArrowSchema *schema)
{
    schema->release = NULL; /* children stay the stream's */
}

static int give_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    const one_batch *one = stream->private_data;
    *out = *one->schema;
    out->release = forget_schema;
    out->private_data = NULL;
    return 0;
}

static int give_array(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    one_batch *one = stream->private_data;
    *out = one->array;
    one->array.release = NULL;
    return 0;
}

static const char *give_no_error(struct ArrowArrayStream *stream)
{
    (void)stream;
    return NULL;
}

static void end_one(struct ArrowArrayStream *stream)
{
    one_batch *one = stream->private_data;
    if (one->array.release != NULL) {
        one->array.release(&one->array);
    }
    stream->release = NULL;
}

/* A frame of `one`, whose array is gone afterwards. `one` must outlive the frame. */
static tfn_code frame_of_one(one_batch *one, tfn_frame **out, tfn_error *err)
{
    struct ArrowArrayStream stream = {.get_schema = give_schema,
                                      .get_next = give_array,
                                      .get_last_error = give_no_error,
                                      .release = end_one,
                                      .private_data = one};
    const tfn_code rc = tfn_frame_read(&stream, out, err);
    if (rc != TFN_OK && stream.release != NULL) {
        stream.release(&stream);
    }
    return rc;
}

/* ---- batches ---- */

static void batch_destroy(batch *b)
{
    if (b != NULL) {
        tfn_frame_release(b->frame);
        tfn_mem_free(b->cols);
        tfn_mem_free(b);
    }
}

static tfn_code batch_open(const run *r, batch *b, int64_t i_batch, tfn_error *err)
{
    const size_t n_columns = r->scan->n_columns;
    void *cols = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(n_columns, sizeof(tfn_vec), &cols, err));
    b->cols = cols;
    b->n = tfn_frame_get_batch_rows(b->frame, i_batch);
    for (size_t i = 0; i < n_columns; i++) {
        TFN_RETURN_IF_ERROR(tfn_frame_get_vec(b->frame, i_batch, r->indexes[i], &b->cols[i], err));
    }
    return TFN_OK;
}

static const char *text_of_producer(struct ArrowArrayStream *stream)
{
    const char *text = stream->get_last_error(stream);
    return text != NULL ? text : "it gives no reason";
}

static tfn_code code_of_producer(int status)
{
    return status == ENOMEM ? TFN_NO_MEMORY : TFN_IO;
}

/* The next array of the stream into `b->frame`; NULL frame at the end. */
static tfn_code pull_from_stream(memory_source *s, batch *b, tfn_error *err)
{
    const int status = s->stream.get_next(&s->stream, &b->one.array);
    if (status != 0) {
        b->one.array.release = NULL;
        return TFN_FAIL(err, code_of_producer(status), "%.*s: its producer reported an error: %s",
                        TFN_STR_ARG(s->base.label), text_of_producer(&s->stream));
    }
    if (b->one.array.release == NULL) {
        return TFN_OK;
    }
    b->one.schema = &s->schema;
    return frame_of_one(&b->one, &b->frame, err);
}

/* Under feed: the next batch, or NULL at the end. */
static tfn_code pull(run *r, batch **out, tfn_error *err)
{
    *out = NULL;
    memory_source *s = r->source;
    void *memory = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(batch), &memory, err));
    batch *b = memory;
    tfn_code rc = TFN_OK;
    int64_t i_batch = 0;
    if (s->frame == NULL) {
        TFN_GOTO_IF_ERROR(rc, pull_from_stream(s, b, err), done);
    } else if (r->i_batch < tfn_frame_get_n_batches(s->frame)) {
        i_batch = r->i_batch++;
        b->frame = tfn_frame_retain(s->frame);
    }
    if (b->frame == NULL) {
        goto done;
    }
    if (s->frame == NULL && tfn_frame_get_n_batches(b->frame) == 0) {
        b->n = 0; /* an array without rows may have been dropped */
    } else {
        TFN_GOTO_IF_ERROR(rc, batch_open(r, b, i_batch, err), done);
    }
    b->first_position = r->next_position;
    r->next_position += (uint64_t)b->n;
    *out = b;
    b = NULL;
done:
    batch_destroy(b);
    return rc;
}

/* Under feed. */
static void leave_batch(batch *b)
{
    if (b != NULL && --b->n_users == 0) {
        batch_destroy(b);
    }
}

/* Under feed: make `current` a batch with rows left, or NULL at the end. */
static tfn_code advance(run *r, tfn_error *err)
{
    while (!r->is_at_end && (r->current == NULL || r->next_row >= r->current->n)) {
        leave_batch(r->current);
        r->current = NULL;
        r->next_row = 0;
        const tfn_code rc = pull(r, &r->current, err);
        if (r->current == NULL) {
            r->is_at_end = true; /* after an error too: a failed producer is not asked again */
            return rc;
        }
        r->current->n_users = 1;
    }
    return TFN_OK;
}

typedef struct piece {
    batch *batch; /* NULL: nothing is left */
    int64_t begin;
    int64_t n;
} piece;

/* Leave the batch of the piece before, and take the next rows. */
static tfn_code take_piece(run *r, piece *p, tfn_error *err)
{
    pthread_mutex_lock(&r->feed);
    leave_batch(p->batch);
    *p = (piece){0};
    tfn_code rc = TFN_OK;
    if (!atomic_load_explicit(&r->is_stopping, memory_order_relaxed)) {
        rc = advance(r, err);
    }
    if (rc == TFN_OK && r->current != NULL && !r->is_at_end &&
        !atomic_load_explicit(&r->is_stopping, memory_order_relaxed)) {
        const int64_t n_left = r->current->n - r->next_row;
        *p = (piece){r->current, r->next_row, n_left < CHUNK_ROWS ? n_left : CHUNK_ROWS};
        p->batch->n_users++;
        r->next_row += p->n;
    }
    pthread_mutex_unlock(&r->feed);
    return rc;
}

/* ---- workers ---- */

static void stop(run *r, const tfn_error *error)
{
    pthread_mutex_lock(&r->state);
    if (!r->has_error) {
        r->has_error = true;
        r->error = *error;
    }
    pthread_mutex_unlock(&r->state);
    atomic_store_explicit(&r->is_stopping, true, memory_order_relaxed);
}

static tfn_code consume_all(worker *w, tfn_error *err)
{
    run *r = w->run;
    const size_t n_columns = r->scan->n_columns;
    piece p = {0};
    tfn_code rc = take_piece(r, &p, err);
    while (rc == TFN_OK && p.batch != NULL) {
        for (size_t i = 0; i < n_columns; i++) {
            w->cols[i] = tfn_vec_slice(&p.batch->cols[i], p.begin, p.n);
        }
        const tfn_chunk chunk = {.n = p.n,
                                 .n_cols = n_columns,
                                 .cols = w->cols,
                                 .first_position = p.batch->first_position + (uint64_t)p.begin};
        rc = r->scan->consume(r->scan->context, w->index, &chunk, err);
        if (rc == TFN_OK) {
            atomic_fetch_add_explicit(&r->n_rows, p.n, memory_order_relaxed);
            rc = take_piece(r, &p, err);
        }
    }
    if (p.batch != NULL) {
        pthread_mutex_lock(&r->feed);
        leave_batch(p.batch);
        pthread_mutex_unlock(&r->feed);
    }
    return rc;
}

static void *work(void *argument)
{
    worker *w = argument;
    run *r = w->run;
    tfn_error error = {0};
    const tfn_code rc = consume_all(w, &error);
    if (rc != TFN_OK) {
        error.code = rc;
        stop(r, &error);
    }
    pthread_mutex_lock(&r->state);
    r->n_active--;
    pthread_cond_signal(&r->worker_left);
    pthread_mutex_unlock(&r->state);
    return NULL;
}

static void tick(run *r)
{
    const tfn_scan *scan = r->scan;
    if (scan->tick == NULL || atomic_load_explicit(&r->is_stopping, memory_order_relaxed)) {
        return;
    }
    const memory_source *s = r->source;
    const tfn_progress progress = {
        .what = scan->what != NULL ? scan->what : "reading",
        .rows_done = atomic_load_explicit(&r->n_rows, memory_order_relaxed),
        .rows_total = s->frame != NULL ? tfn_frame_get_n_rows(s->frame) : -1};
    if (scan->tick(scan->tick_context, &progress) != 0) {
        tfn_error error = {0};
        (void)TFN_FAIL(&error, TFN_CANCELLED, "%s was stopped", progress.what);
        stop(r, &error);
    }
}

static void wait_for_workers(run *r)
{
    pthread_mutex_lock(&r->state);
    while (r->n_active > 0) {
        struct timespec until;
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += TICK_MS * 1000000L;
        if (until.tv_nsec >= 1000000000L) {
            until.tv_nsec -= 1000000000L;
            until.tv_sec += 1;
        }
        if (pthread_cond_timedwait(&r->worker_left, &r->state, &until) == ETIMEDOUT) {
            pthread_mutex_unlock(&r->state);
            tick(r);
            pthread_mutex_lock(&r->state);
        }
    }
    pthread_mutex_unlock(&r->state);
}

/* Start the workers and wait. A system that gives fewer threads than wanted is no error; one that
 * gives none is. */
static tfn_code run_workers(run *r, worker *workers, int n_workers, tfn_error *err)
{
    int n_started = 0;
    int status = 0;
    r->n_active = n_workers;
    while (n_started < n_workers) {
        status = pthread_create(&workers[n_started].thread, NULL, work, &workers[n_started]);
        if (status != 0) {
            break;
        }
        n_started++;
    }
    pthread_mutex_lock(&r->state);
    r->n_active -= n_workers - n_started;
    pthread_mutex_unlock(&r->state);
    wait_for_workers(r);
    for (int i = 0; i < n_started; i++) {
        (void)pthread_join(workers[i].thread, NULL);
    }
    if (n_started == 0) {
        return TFN_FAIL_SYS(err, status, "%s: no thread could be started",
                            r->scan->what != NULL ? r->scan->what : "reading");
    }
    return r->has_error ? tfn_error_move(err, &r->error) : TFN_OK;
}

/* ---- the source ---- */

static int get_n_workers(const tfn_source *s, int n_threads)
{
    (void)s;
    const long n_cores = sysconf(_SC_NPROCESSORS_ONLN);
    const long n = n_threads > 0 ? n_threads : n_cores;
    return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : (int)n;
}

static bool can_rescan(const tfn_source *s)
{
    return !s->is_once;
}

/* Workers with their vectors, from the arena of one scan. */
static tfn_code make_workers(run *r, int n_workers, tfn_arena *arena, worker **out, tfn_error *err)
{
    void *memory = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc_zero(arena, (size_t)n_workers, sizeof(worker), &memory, err));
    worker *workers = memory;
    for (int i = 0; i < n_workers; i++) {
        TFN_RETURN_IF_ERROR(
            tfn_arena_alloc_zero(arena, r->scan->n_columns + 1, sizeof(tfn_vec), &memory, err));
        workers[i] = (worker){.run = r, .index = i, .cols = memory};
    }
    *out = workers;
    return TFN_OK;
}

static tfn_code scan_memory(tfn_source *base, const tfn_scan *scan, tfn_scan_stats *stats,
                            tfn_error *err)
{
    memory_source *s = (memory_source *)base;
    const int n_workers = get_n_workers(base, scan->n_threads);
    tfn_arena arena = {0};
    run r = {.source = s, .scan = scan};
    worker *workers = NULL;
    void *indexes = NULL;
    tfn_code rc = TFN_OK;
    pthread_mutex_init(&r.feed, NULL);
    pthread_mutex_init(&r.state, NULL);
    pthread_cond_init(&r.worker_left, NULL);
    TFN_GOTO_IF_ERROR(
        rc, tfn_arena_alloc(&arena, scan->n_columns + 1, sizeof(size_t), &indexes, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__source_resolve(base, scan, indexes, err), done);
    r.indexes = indexes;
    TFN_GOTO_IF_ERROR(rc, make_workers(&r, n_workers, &arena, &workers, err), done);
    TFN_GOTO_IF_ERROR(rc, run_workers(&r, workers, n_workers, err), done);
    stats->n_rows_in_files = s->frame != NULL ? tfn_frame_get_n_rows(s->frame) : -1;
done:
    stats->n_rows = atomic_load_explicit(&r.n_rows, memory_order_relaxed);
    if (r.current != NULL) {
        batch_destroy(r.current);
    }
    pthread_cond_destroy(&r.worker_left);
    pthread_mutex_destroy(&r.state);
    pthread_mutex_destroy(&r.feed);
    tfn_arena_deinit(&arena);
    return rc;
}

static tfn_code explain_memory(tfn_source *base, const tfn_scan *scan, tfn_buf *out, tfn_error *err)
{
    const memory_source *s = (const memory_source *)base;
    const long long n_rows = s->frame != NULL ? (long long)tfn_frame_get_n_rows(s->frame) : -1;
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, "{\"source\":", err));
    TFN_RETURN_IF_ERROR(tfn_json_add_text(out, base->label, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_format(out, err,
                                           ",\"reader\":\"%s\",\"files\":0,\"rows\":%lld,",
                                           s->frame != NULL ? "frame" : "stream", n_rows));
    TFN_RETURN_IF_ERROR(tfn__json_add_scan(out, scan, err));
    return tfn_buf_add_text(out, "}", err);
}

static void destroy(tfn_source *base)
{
    memory_source *s = (memory_source *)base;
    tfn_frame_release(s->frame);
    if (s->schema.release != NULL) {
        s->schema.release(&s->schema);
    }
    if (s->stream.release != NULL) {
        s->stream.release(&s->stream);
    }
    tfn__source_deinit(base);
    tfn_mem_free(s);
}

static const tfn_source_verbs memory_verbs = {.get_n_workers = get_n_workers,
                                              .can_rescan = can_rescan,
                                              .scan = scan_memory,
                                              .explain = explain_memory,
                                              .destroy = destroy};

static tfn_code create(tfn_str label, memory_source **out, tfn_error *err)
{
    void *memory = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(memory_source), &memory, err));
    memory_source *s = memory;
    const tfn_code rc = tfn__source_init(&s->base, &memory_verbs, label, err);
    if (rc != TFN_OK) {
        destroy(&s->base);
        return rc;
    }
    *out = s;
    return TFN_OK;
}

/* The column table, from a frame (of no batches, for a stream). A type that Tiffin does not have is
 * known by its Arrow format. */
static tfn_code read_columns(tfn_source *s, const tfn_frame *f, tfn_error *err)
{
    const size_t n = tfn_frame_get_n_cols(f);
    void *memory = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc_zero(&s->arena, n + 1, sizeof(tfn_source_column), &memory, err));
    s->columns = memory;
    for (size_t i = 0; i < n; i++) {
        const tfn_str name = tfn_frame_get_name(f, i);
        const char *copy = NULL;
        TFN_RETURN_IF_ERROR(tfn_arena_copy(&s->arena, name.p, name.n, &copy, err));
        tfn_source_column *c = &s->columns[i];
        c->name = (tfn_str){copy, name.n};
        tfn_error type_error = {0};
        const tfn_code rc = tfn_frame_get_type(f, i, &c->type, &type_error);
        if (rc == TFN_NO_MEMORY) {
            return tfn_error_move(err, &type_error);
        }
        char text[TFN_TYPE_TEXT_BYTES] = "a type of Arrow's";
        if (rc != TFN_OK) {
            c->type = (tfn_type){0};
        } else if (c->type.kind == TFN_KIND_NONE) {
            memcpy(text, TFN__SOURCE_NULL_TYPE, sizeof TFN__SOURCE_NULL_TYPE);
        } else {
            tfn_type_format(c->type, text);
        }
        TFN_RETURN_IF_ERROR(tfn_arena_copy(&s->arena, text, strlen(text), &copy, err));
        c->native_type = tfn_str_of(copy);
        s->n_columns = i + 1;
    }
    return tfn__source_index(s, err);
}

static tfn_code read_stream_schema(memory_source *s, struct ArrowArrayStream *stream,
                                   tfn_error *err)
{
    const int status = stream->get_schema(stream, &s->schema);
    if (status != 0) {
        s->schema.release = NULL;
        return TFN_FAIL(err, code_of_producer(status), "%.*s: its producer gave no schema: %s",
                        TFN_STR_ARG(s->base.label), text_of_producer(stream));
    }
    one_batch none = {.schema = &s->schema};
    tfn_frame *frame = NULL;
    TFN_RETURN_IF_ERROR(frame_of_one(&none, &frame, err));
    const tfn_code rc = read_columns(&s->base, frame, err);
    tfn_frame_release(frame);
    return rc;
}

tfn_code tfn_source_of_stream(struct ArrowArrayStream *stream, tfn_str label, tfn_source **out,
                              tfn_error *err)
{
    *out = NULL;
    if (stream->release == NULL) {
        return TFN_FAIL(err, TFN_INVALID, "%.*s is a stream that was already consumed",
                        TFN_STR_ARG(label));
    }
    memory_source *s = NULL;
    TFN_RETURN_IF_ERROR(create(label, &s, err));
    s->base.is_once = true;
    const tfn_code rc = read_stream_schema(s, stream, err);
    if (rc != TFN_OK) {
        destroy(&s->base);
        return rc;
    }
    s->stream = *stream;
    stream->release = NULL;
    *out = &s->base;
    return TFN_OK;
}

tfn_code tfn_source_of_frame(tfn_frame *f, tfn_str label, tfn_source **out, tfn_error *err)
{
    *out = NULL;
    memory_source *s = NULL;
    TFN_RETURN_IF_ERROR(create(label, &s, err));
    s->frame = tfn_frame_retain(f);
    const tfn_code rc = read_columns(&s->base, f, err);
    if (rc != TFN_OK) {
        destroy(&s->base);
        return rc;
    }
    *out = &s->base;
    return TFN_OK;
}
