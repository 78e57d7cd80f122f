/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The access log: lines that wait in memory, and one thread that writes them.
 *
 *   note -> a line is made on the caller's stack of buffers -> appended to `waiting` under a short mutex
 *   thread: wakes at the first line, lets others join it for 20 ms, takes all of `waiting` in
 *           exchange for an empty buffer, and writes it in as few calls as the system allows
 *
 * So a request pays for making its line and one copy, wakes the thread at most fifty times a second,
 * and never waits for a disk. At most 1 MiB waits; a line that does not fit is dropped and counted,
 * and so are lines that could not be written.
 *
 * Sampling is even, not random: of n requests, floor(n x rate) are written.
 *
 * Locks: `lock` guards what waits; `file_lock` the file. Never both.
 */

#include "server/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"

#include "base/poison.h"

enum {
    MAX_WAITING_BYTES = 1024 * 1024,
    MAX_LINE_BYTES = 64 * 1024,
    GATHER_NS = 20 * 1000 * 1000,
    FILE_MODE = 0640
};

struct tfn_access_log {
    char *path; /* NULL: standard error */
    double rate;
    _Atomic uint64_t n_seen;
    _Atomic uint64_t n_dropped;
    pthread_mutex_t lock;
    pthread_cond_t is_waiting_cond;
    tfn_buf waiting;
    bool is_stopping;
    pthread_mutex_t file_lock;
    int fd;
    bool has_complained; /* of the file, since it was last written to */
    pthread_t thread;
    bool has_thread;
};

/* ---- lines ---- */

/* As JSON: what is not UTF-8 has a question mark for each byte outside of ASCII. */
static tfn_code add_json(tfn_buf *line, tfn_str text, tfn_error *err)
{
    if (tfn_str_is_utf8(text)) {
        return tfn_json_add_text(line, text, err);
    }
    tfn_buf plain = {0};
    char *room = NULL;
    tfn_code rc = tfn_buf_add_room(&plain, text.n, &room, err);
    for (size_t i = 0; rc == TFN_OK && i < text.n; i++) {
        room[i] = (unsigned char)text.p[i] < 0x80 ? text.p[i] : '?';
    }
    if (rc == TFN_OK) {
        rc = tfn_json_add_text(line, tfn_buf_get_str(&plain), err);
    }
    tfn_buf_deinit(&plain);
    return rc;
}

static tfn_code add_member(tfn_buf *line, const char *name, tfn_str text, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_format(line, err, ",\"%s\":", name));
    return text.n == 0 ? tfn_buf_add_text(line, "null", err) : add_json(line, text, err);
}

static tfn_code write_line(tfn_buf *line, const tfn_access *access, tfn_error *err)
{
    char time[TFN_TIME_TEXT_BYTES];
    tfn_instant_format(tfn_instant_of(access->time_us, TFN_UNIT_US), time);
    TFN_RETURN_IF_ERROR(tfn_buf_add_format(line, err, "{\"time\":\"%s\"", time));
    TFN_RETURN_IF_ERROR(add_member(line, "method", access->method, err));
    TFN_RETURN_IF_ERROR(add_member(line, "path", access->path, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_format(
        line, err,
        ",\"status\":%d,\"microseconds\":%lld,\"rows\":%u,\"bytes_in\":%llu,\"bytes_out\":%llu",
        access->status, (long long)access->took_us, access->n_rows,
        (unsigned long long)access->n_bytes_in, (unsigned long long)access->n_bytes_out));
    TFN_RETURN_IF_ERROR(add_member(line, "key", access->key_id, err));
    TFN_RETURN_IF_ERROR(add_member(line, "peer", access->peer, err));
    return tfn_buf_add_text(line, "}\n", err);
}

static bool is_sampled(tfn_access_log *log)
{
    const uint64_t n = atomic_fetch_add_explicit(&log->n_seen, 1, memory_order_relaxed);
    return (uint64_t)((double)(n + 1) * log->rate) > (uint64_t)((double)n * log->rate);
}

static void count_dropped(tfn_access_log *log, uint64_t n)
{
    (void)atomic_fetch_add_explicit(&log->n_dropped, n, memory_order_relaxed);
}

void tfn_access_log_note(tfn_access_log *log, const tfn_access *access)
{
    if (!is_sampled(log)) {
        return;
    }
    tfn_error ignored = {0};
    tfn_buf line;
    tfn_buf_init(&line, MAX_LINE_BYTES);
    bool is_kept = write_line(&line, access, &ignored) == TFN_OK;
    if (is_kept) {
        (void)pthread_mutex_lock(&log->lock);
        const bool was_empty = log->waiting.n == 0;
        is_kept = tfn_buf_add(&log->waiting, line.p, line.n, &ignored) == TFN_OK;
        if (is_kept && was_empty) {
            (void)pthread_cond_signal(&log->is_waiting_cond);
        }
        (void)pthread_mutex_unlock(&log->lock);
    }
    if (!is_kept) {
        count_dropped(log, 1);
    }
    tfn_buf_deinit(&line);
}

uint64_t tfn_access_log_get_dropped(const tfn_access_log *log)
{
    return atomic_load_explicit(&log->n_dropped, memory_order_relaxed);
}

/* ---- the file ---- */

static tfn_code open_file(const char *path, int *fd, tfn_error *err)
{
    if (path == NULL) {
        *fd = STDERR_FILENO;
        return TFN_OK;
    }
    *fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, FILE_MODE);
    if (*fd < 0) {
        return TFN_FAIL_SYS(err, errno, "the access log '%s' cannot be opened for appending", path);
    }
    return TFN_OK;
}

static void close_file(const tfn_access_log *log, int fd)
{
    if (log->path != NULL && fd >= 0) {
        (void)close(fd);
    }
}

/* Once, until the file takes lines again: a full disk shall not fill another one. The file lock is held. */
static void complain(tfn_access_log *log, const char *what, const char *message)
{
    if (!log->has_complained) {
        (void)fprintf(stderr, "tiffin-server: %s: %s\n", what, message);
    }
    log->has_complained = true;
}

/* The old file stays in use when the new one cannot be opened: lines are not lost by that. */
void tfn_access_log_reopen(tfn_access_log *log)
{
    tfn_error err = {0};
    int fd = -1;
    const tfn_code rc = open_file(log->path, &fd, &err);
    (void)pthread_mutex_lock(&log->file_lock);
    const int old = log->fd;
    if (rc == TFN_OK) {
        log->fd = fd;
    } else {
        complain(log, "the old access log stays in use", err.message);
    }
    (void)pthread_mutex_unlock(&log->file_lock);
    if (rc != TFN_OK) {
        return;
    }
    close_file(log, old);
}

static uint64_t count_lines(tfn_str text)
{
    uint64_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        n += text.p[i] == '\n' ? 1 : 0;
    }
    return n;
}

static void write_all(tfn_access_log *log, tfn_str text)
{
    (void)pthread_mutex_lock(&log->file_lock);
    while (text.n > 0) {
        const ssize_t n = write(log->fd, text.p, text.n);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            tfn_error err = {0};
            (void)TFN_FAIL_SYS(&err, errno, "'%s'", log->path == NULL ? "-" : log->path);
            complain(log, "lines of the access log are lost, and counted in /metrics", err.message);
            break;
        }
        log->has_complained = false;
        text.p += n;
        text.n -= (size_t)n;
    }
    (void)pthread_mutex_unlock(&log->file_lock);
    count_dropped(log, count_lines(text));
}

/* ---- the thread ---- */

/* Wait for lines, then for others that come soon after. False: stopping, and none is left. */
static bool wait_for_lines(tfn_access_log *log)
{
    const struct timespec gather = {.tv_nsec = GATHER_NS};
    (void)pthread_mutex_lock(&log->lock);
    while (log->waiting.n == 0 && !log->is_stopping) {
        (void)pthread_cond_wait(&log->is_waiting_cond, &log->lock);
    }
    const bool is_stopping = log->is_stopping;
    const bool has_lines = log->waiting.n > 0;
    (void)pthread_mutex_unlock(&log->lock);
    if (!is_stopping) {
        (void)nanosleep(&gather, NULL);
    }
    return has_lines;
}

static void *run(void *arg)
{
    tfn_access_log *log = arg;
    tfn_buf taken;
    tfn_buf_init(&taken, MAX_WAITING_BYTES);
    while (wait_for_lines(log)) {
        (void)pthread_mutex_lock(&log->lock);
        const tfn_buf lines = log->waiting;
        log->waiting = taken;
        (void)pthread_mutex_unlock(&log->lock);
        taken = lines;
        write_all(log, tfn_buf_get_str(&taken));
        tfn_buf_clear(&taken);
    }
    tfn_buf_deinit(&taken);
    return NULL;
}

/* ---- making and ending ---- */

void tfn_access_log_destroy(tfn_access_log *log)
{
    if (log == NULL) {
        return;
    }
    if (log->has_thread) {
        (void)pthread_mutex_lock(&log->lock);
        log->is_stopping = true;
        (void)pthread_cond_signal(&log->is_waiting_cond);
        (void)pthread_mutex_unlock(&log->lock);
        (void)pthread_join(log->thread, NULL);
    }
    close_file(log, log->fd);
    (void)pthread_cond_destroy(&log->is_waiting_cond);
    (void)pthread_mutex_destroy(&log->lock);
    (void)pthread_mutex_destroy(&log->file_lock);
    tfn_buf_deinit(&log->waiting);
    tfn_mem_free(log->path);
    tfn_mem_free(log);
}

static tfn_code start(tfn_access_log *log, tfn_error *err)
{
    const int rc = pthread_create(&log->thread, NULL, run, log);
    if (rc != 0) {
        return TFN_FAIL_SYS(err, rc, "the thread of the access log could not be started");
    }
    log->has_thread = true;
    return TFN_OK;
}

tfn_code tfn_access_log_create(const char *path, double rate, tfn_access_log **out, tfn_error *err)
{
    void *p = NULL;
    *out = NULL;
    if (!(rate >= 0 && rate <= 1)) {
        return TFN_FAIL(err, TFN_INVALID,
                        "the access log's rate is %g; it is a share of the requests, 0 .. 1", rate);
    }
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_access_log), &p, err));
    tfn_access_log *log = p;
    tfn_code rc = TFN_OK;
    log->rate = rate;
    log->fd = -1;
    tfn_buf_init(&log->waiting, MAX_WAITING_BYTES);
    (void)pthread_mutex_init(&log->lock, NULL);
    (void)pthread_mutex_init(&log->file_lock, NULL);
    (void)pthread_cond_init(&log->is_waiting_cond, NULL);
    if (strcmp(path, "-") != 0) {
        TFN_GOTO_IF_ERROR(rc, tfn_mem_copy_text(path, &log->path, err), done);
    }
    TFN_GOTO_IF_ERROR(rc, open_file(log->path, &log->fd, err), done);
    TFN_GOTO_IF_ERROR(rc, start(log, err), done);
    *out = log;
    log = NULL;
done:
    tfn_access_log_destroy(log);
    return rc;
}
