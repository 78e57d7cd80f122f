/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The feature log.
 *
 *   request: sampled? -> keep the answer (a reference), append it to a list under a short mutex
 *   thread:  list -> blocks, one per definition -> frames of the segment -> segment closed by size or age
 *
 * A request copies nothing: an answer never changes, so the thread reads its values later and gives
 * it back. What waits is bounded by the memory that the kept answers hold; what does not fit is
 * dropped and counted.
 *
 * Blocks are written when they have 256 KiB, and at least four times a second while there are
 * answers. A segment is closed when it has 64 MiB or is a minute old, so what was served can be
 * flushed a minute later at the latest. Segments are made when there is something to write.
 *
 * A segment that cannot be written costs the answers of the block at hand; they are counted as
 * dropped. What a crash of this process costs is what was not written: a quarter of a second.
 *
 * Rejected: encoding on the request path. 1,000 values cost some 30 us there (and cost them here, on
 * another core); keeping an answer costs about 0.3, and its memory comes back cold.
 */

#include "server/feature_log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/json.h"
#include "base/mem.h"
#include "server/feature_log_block.h"
#include "server/feature_log_segment.h"

#include "base/poison.h"

enum {
    N_BLOCKS = 32, /* definitions at a time */
    BLOCK_BYTES = 256 * 1024,
    SEGMENT_BYTES = 64 * 1024 * 1024,
    SEGMENT_AGE_MS = 60 * 1000,
    WRITE_MS = 250,
    GATHER_NS = 1000 * 1000,
    FOLDER_MODE = 0750,
    PARENT_MODE = 0777
};

/* An answer that waits. */
typedef struct note {
    struct note *next;
    tfn_answer *answer; /* [own] a reference */
    size_t n_bytes;
    int64_t time_us;
    char hash[33];
    char service[]; /* NUL-terminated */
} note;

typedef struct open_block {
    tfn__log_block *block;
    bool is_declared; /* its definition is in the segment at hand, under its index here */
} open_block;

struct tfn_feature_log {
    char *folder;
    size_t max_bytes;
    _Atomic uint64_t n_dropped;
    _Atomic uint64_t n_written;

    pthread_mutex_t lock; /* guards what follows, up to the thread's own */
    pthread_cond_t wake;
    note *first;
    note *last;
    size_t n_bytes;
    bool is_stopping;

    pthread_t thread; /* what follows is its own */
    bool has_thread;
    open_block blocks[N_BLOCKS];
    size_t n_blocks;
    tfn__segment segment;
    uint32_t n_segments;
    uint64_t sequence;
    tfn_buf frame;
    bool has_unwritten;
    bool has_complained; /* since it was last written to */
};

static void count(_Atomic uint64_t *counter, uint64_t n)
{
    (void)atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

uint64_t tfn_feature_log_get_dropped(const tfn_feature_log *log)
{
    return atomic_load_explicit(&log->n_dropped, memory_order_relaxed);
}

uint64_t tfn_feature_log_get_written(const tfn_feature_log *log)
{
    return atomic_load_explicit(&log->n_written, memory_order_relaxed);
}

/* ---- the request's side ---- */

static void destroy_note(note *n)
{
    if (n != NULL) {
        tfn_answer_destroy(n->answer);
        tfn_mem_free(n);
    }
}

static note *create_note(const tfn_log_wish *wish, tfn_answer *answer, int64_t now_us)
{
    void *p = NULL;
    tfn_error ignored = {0}; /* counted by the caller */
    const size_t n_name = strlen(wish->service) + 1;
    if (tfn_mem_alloc_uninit(sizeof(note) + n_name, 1, &p, &ignored) != TFN_OK) {
        return NULL;
    }
    note *n = p;
    n->next = NULL;
    n->answer = tfn_answer_retain(answer);
    n->n_bytes = sizeof(note) + n_name + tfn_answer_get_n_bytes(answer);
    n->time_us = now_us;
    memcpy(n->hash, wish->hash, sizeof n->hash);
    memcpy(n->service, wish->service, n_name);
    return n;
}

/* False: the queue is full. */
static bool enqueue(tfn_feature_log *log, note *n)
{
    (void)pthread_mutex_lock(&log->lock);
    const bool has_room = n->n_bytes <= log->max_bytes - log->n_bytes;
    if (has_room) {
        const bool was_empty = log->first == NULL;
        *(was_empty ? &log->first : &log->last->next) = n;
        log->last = n;
        log->n_bytes += n->n_bytes;
        if (was_empty) {
            (void)pthread_cond_signal(&log->wake);
        }
    }
    (void)pthread_mutex_unlock(&log->lock);
    return has_room;
}

void tfn_feature_log_note(tfn_feature_log *log, const tfn_log_wish *wish, tfn_answer *answer,
                          double random, int64_t now_us)
{
    if (!(random < wish->sample_rate)) {
        return;
    }
    note *n = create_note(wish, answer, now_us);
    if (n == NULL || !enqueue(log, n)) {
        destroy_note(n);
        count(&log->n_dropped, 1);
    }
}

/* ---- segments ---- */

static int64_t now_us(void)
{
    return tfn_instant_to(tfn_clock_now(NULL), TFN_UNIT_US);
}

static tfn_code need_segment(tfn_feature_log *log, tfn_error *err)
{
    if (log->segment.fd >= 0) {
        return TFN_OK;
    }
    for (size_t i = 0; i < log->n_blocks; i++) {
        log->blocks[i].is_declared = false;
    }
    return tfn__segment_open(log->folder, now_us(), log->n_segments++, &log->segment, err);
}

static tfn_code begin_frame(tfn_feature_log *log, tfn_error *err)
{
    char *head = NULL;
    tfn_buf_clear(&log->frame);
    TFN_RETURN_IF_ERROR(tfn_buf_add_room(&log->frame, TFN__FRAME_HEAD_BYTES, &head, err));
    memset(head, 0, TFN__FRAME_HEAD_BYTES);
    return TFN_OK;
}

static tfn_code write_block(tfn_feature_log *log, size_t i, tfn_error *err)
{
    open_block *b = &log->blocks[i];
    const uint32_t i_schema = (uint32_t)i;
    TFN_RETURN_IF_ERROR(need_segment(log, err));
    if (!b->is_declared) {
        TFN_RETURN_IF_ERROR(begin_frame(log, err));
        TFN_RETURN_IF_ERROR(tfn_buf_add_str(&log->frame, tfn__log_block_get_schema(b->block), err));
        TFN_RETURN_IF_ERROR(
            tfn__segment_append(&log->segment, TFN__FRAME_SCHEMA, i_schema, &log->frame, err));
        b->is_declared = true;
    }
    TFN_RETURN_IF_ERROR(begin_frame(log, err));
    TFN_RETURN_IF_ERROR(tfn__log_block_write(b->block, &log->frame, err));
    return tfn__segment_append(&log->segment, TFN__FRAME_BLOCK, i_schema, &log->frame, err);
}

/* Once, until something is written again: a full disk shall not fill another one. */
static void complain(tfn_feature_log *log, const tfn_error *err)
{
    if (!log->has_complained) {
        (void)fprintf(stderr, "tiffin-server: feature logs are lost, and counted in /metrics: %s\n",
                      err->message);
    }
    log->has_complained = true;
}

static void close_segment(tfn_feature_log *log)
{
    tfn_error err = {0};
    if (tfn__segment_close(&log->segment, &err) != TFN_OK) {
        complain(log, &err); /* the file keeps its name, and is adopted by whoever flushes */
    }
}

/* Written or lost: either way the block is empty, and its answers are counted. */
static void empty_block(tfn_feature_log *log, size_t i)
{
    tfn__log_block *block = log->blocks[i].block;
    const size_t n = tfn__log_block_get_n_answers(block);
    if (n == 0) {
        return;
    }
    tfn_error err = {0};
    const bool is_written = write_block(log, i, &err) == TFN_OK;
    if (is_written) {
        log->has_complained = false;
    } else {
        complain(log, &err);
    }
    count(is_written ? &log->n_written : &log->n_dropped, n);
    tfn__log_block_clear(block);
    if (log->segment.n_bytes >= SEGMENT_BYTES) {
        close_segment(log);
    }
}

static void empty_blocks(tfn_feature_log *log)
{
    for (size_t i = 0; i < log->n_blocks; i++) {
        empty_block(log, i);
    }
    log->has_unwritten = false;
}

/* ---- blocks ---- */

/* Definitions come and go; when there are too many, all begin anew. A number is not used for two
 * definitions within a segment, so the segment ends, too. */
static void forget_blocks(tfn_feature_log *log)
{
    empty_blocks(log);
    close_segment(log);
    for (size_t i = 0; i < log->n_blocks; i++) {
        tfn__log_block_destroy(log->blocks[i].block);
    }
    log->n_blocks = 0;
}

static tfn_code find_block(tfn_feature_log *log, const note *n, size_t *out, tfn_error *err)
{
    for (size_t i = 0; i < log->n_blocks; i++) {
        if (tfn__log_block_takes(log->blocks[i].block, n->service, n->hash, n->answer)) {
            *out = i;
            return TFN_OK;
        }
    }
    if (log->n_blocks == N_BLOCKS) {
        forget_blocks(log);
    }
    *out = log->n_blocks;
    open_block *b = &log->blocks[log->n_blocks];
    *b = (open_block){0};
    TFN_RETURN_IF_ERROR(tfn__log_block_create(n->service, n->hash, n->answer, &b->block, err));
    log->n_blocks++;
    return TFN_OK;
}

static void take(tfn_feature_log *log, const note *n)
{
    tfn_error ignored = {0};
    size_t i = 0;
    if (find_block(log, n, &i, &ignored) != TFN_OK) {
        count(&log->n_dropped, 1);
        return;
    }
    tfn__log_block *block = log->blocks[i].block;
    if (tfn__log_block_add(block, n->answer, n->time_us, log->sequence, &ignored) != TFN_OK) {
        count(&log->n_dropped, tfn__log_block_get_n_answers(block) + 1);
        tfn__log_block_clear(block);
        return;
    }
    log->sequence++;
    log->has_unwritten = true;
    if (tfn__log_block_get_n_bytes(block) >= BLOCK_BYTES) {
        empty_block(log, i);
    }
}

/* ---- the thread ---- */

/* By the clock that nobody sets: the condition's. */
static struct timespec in_ms(int64_t ms)
{
    struct timespec at = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &at); /* cannot fail with this clock */
    const int64_t nanos = at.tv_nsec + ms % 1000 * INT64_C(1000000);
    at.tv_sec += (time_t)(ms / 1000 + nanos / 1000000000);
    at.tv_nsec = (long)(nanos % 1000000000);
    return at;
}

/* When something must be done although no answer comes; 0: never. */
static int64_t get_wait_ms(const tfn_feature_log *log)
{
    if (log->has_unwritten) {
        return WRITE_MS;
    }
    return log->segment.fd >= 0 ? SEGMENT_AGE_MS : 0;
}

/* What waits, after letting others join it; NULL: it is time for something else, or to stop. */
static note *wait_for_notes(tfn_feature_log *log, bool *is_stopping)
{
    const struct timespec gather = {.tv_nsec = GATHER_NS};
    const int64_t wait_ms = get_wait_ms(log);
    const struct timespec due = in_ms(wait_ms);
    int rc = 0;
    (void)pthread_mutex_lock(&log->lock);
    while (log->first == NULL && !log->is_stopping && rc != ETIMEDOUT) {
        rc = wait_ms > 0 ? pthread_cond_timedwait(&log->wake, &log->lock, &due)
                         : pthread_cond_wait(&log->wake, &log->lock);
    }
    if (log->first != NULL && !log->is_stopping) {
        (void)pthread_mutex_unlock(&log->lock);
        (void)nanosleep(&gather, NULL);
        (void)pthread_mutex_lock(&log->lock);
    }
    note *first = log->first;
    log->first = NULL;
    log->last = NULL;
    *is_stopping = log->is_stopping;
    (void)pthread_mutex_unlock(&log->lock);
    return first;
}

static void take_all(tfn_feature_log *log, note *first)
{
    while (first != NULL) {
        note *next = first->next;
        const size_t n_bytes = first->n_bytes;
        take(log, first);
        destroy_note(first);
        (void)pthread_mutex_lock(&log->lock);
        log->n_bytes -= n_bytes; /* only now: it was memory until here */
        (void)pthread_mutex_unlock(&log->lock);
        first = next;
    }
}

static void *run(void *arg)
{
    tfn_feature_log *log = arg;
    bool is_stopping = false;
    double written_s = tfn_clock_monotonic_s();
    while (!is_stopping) {
        take_all(log, wait_for_notes(log, &is_stopping));
        const double now_s = tfn_clock_monotonic_s();
        if (is_stopping || (now_s - written_s) * 1000 >= (double)WRITE_MS) {
            empty_blocks(log);
            written_s = now_s;
        }
        const bool is_old = now_us() - log->segment.start_us >= SEGMENT_AGE_MS * INT64_C(1000);
        if (is_stopping || (log->segment.fd >= 0 && is_old)) {
            close_segment(log);
        }
    }
    return NULL;
}

/* ---- making and ending ---- */

void tfn_feature_log_destroy(tfn_feature_log *log)
{
    if (log == NULL) {
        return;
    }
    if (log->has_thread) {
        (void)pthread_mutex_lock(&log->lock);
        log->is_stopping = true;
        (void)pthread_cond_signal(&log->wake);
        (void)pthread_mutex_unlock(&log->lock);
        (void)pthread_join(log->thread, NULL);
    }
    for (size_t i = 0; i < log->n_blocks; i++) {
        tfn__log_block_destroy(log->blocks[i].block);
    }
    (void)pthread_cond_destroy(&log->wake);
    (void)pthread_mutex_destroy(&log->lock);
    tfn_buf_deinit(&log->frame);
    tfn_mem_free(log->folder);
    tfn_mem_free(log);
}

/* 0, or why there is no such folder. */
static int make_one(const char *path, mode_t mode)
{
    const int problem = mkdir(path, mode) == 0 ? 0 : errno;
    struct stat found;
    const bool is_there = problem == 0 || (stat(path, &found) == 0 && S_ISDIR(found.st_mode));
    return is_there ? 0 : problem;
}

/* With those above it, which are missing before the first `tiffin apply`. */
static tfn_code make_folder(const char *folder, tfn_error *err)
{
    tfn_buf path = {0};
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(&path, folder, err));
    for (size_t i = 1; i < path.n; i++) {
        if (path.p[i] == '/') {
            path.p[i] = '\0';
            (void)make_one(path.p, PARENT_MODE); /* where one is missing, the last will not do */
            path.p[i] = '/';
        }
    }
    tfn_buf_deinit(&path);
    const int problem = make_one(folder, FOLDER_MODE);
    return problem == 0 ? TFN_OK
                        : TFN_FAIL_SYS(err, problem,
                                       "the folder of feature logs '%s' cannot be made; make it, "
                                       "or name another with --feature-logs",
                                       folder);
}

static tfn_code start(tfn_feature_log *log, tfn_error *err)
{
    const int rc = pthread_create(&log->thread, NULL, run, log);
    if (rc != 0) {
        return TFN_FAIL_SYS(err, rc, "the thread of the feature log could not be started");
    }
    log->has_thread = true;
    return TFN_OK;
}

/* None of these fails on Linux. */
static void init_wake(pthread_cond_t *wake)
{
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(wake, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

tfn_code tfn_feature_log_create(const char *folder, int64_t queue_bytes, tfn_feature_log **out,
                                tfn_error *err)
{
    void *p = NULL;
    *out = NULL;
    if (queue_bytes <= 0) {
        return TFN_FAIL(err, TFN_INVALID,
                        "the feature log's queue has %lld bytes; give a positive number",
                        (long long)queue_bytes);
    }
    TFN_RETURN_IF_ERROR(make_folder(folder, err));
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_feature_log), &p, err));
    tfn_feature_log *log = p;
    tfn_code rc = TFN_OK;
    log->max_bytes = (size_t)queue_bytes;
    log->segment.fd = -1;
    (void)pthread_mutex_init(&log->lock, NULL);
    init_wake(&log->wake);
    TFN_GOTO_IF_ERROR(rc, tfn_mem_copy_text(folder, &log->folder, err), done);
    TFN_GOTO_IF_ERROR(rc, start(log, err), done);
    *out = log;
    log = NULL;
done:
    tfn_feature_log_destroy(log);
    return rc;
}

/* ---- wishes ---- */

static tfn_code read_wish(yyjson_val *service, const char *name, tfn_arena *arena,
                          tfn_log_wish *out, tfn_error *err)
{
    yyjson_val *logging = yyjson_obj_get(service, "logging_config");
    const tfn_str hash = tfn_json_get_member(service, "hash");
    if (!yyjson_is_obj(logging)) {
        return TFN_OK;
    }
    if (hash.n != sizeof out->hash - 1) {
        return TFN_FAIL(err, TFN_CORRUPT, "feature service '%s' has a hash of %zu digits, not 32",
                        name, hash.n);
    }
    TFN_RETURN_IF_ERROR(tfn_arena_copy(arena, name, strlen(name), &out->service, err));
    memcpy(out->hash, hash.p, hash.n);
    out->hash[hash.n] = '\0';
    const int64_t millionths = yyjson_get_sint(yyjson_obj_get(logging, "sample_rate_millionths"));
    out->sample_rate = (double)millionths / 1e6;
    return TFN_OK;
}

tfn_code tfn_log_wish_read(tfn_store *store, const char *service, tfn_arena *arena,
                           tfn_log_wish *out, tfn_error *err)
{
    char *document = NULL;
    yyjson_doc *doc = NULL;
    *out = (tfn_log_wish){0};
    TFN_RETURN_IF_ERROR(tfn_store_get(store, "feature_service", service, -1, &document, err));
    tfn_code rc = tfn_json_parse(tfn_str_of(document), "a feature service", &doc, err);
    if (rc == TFN_OK) {
        rc = read_wish(yyjson_doc_get_root(doc), service, arena, out, err);
    }
    yyjson_doc_free(doc);
    tfn_text_destroy(document);
    return rc;
}
