/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Writing to Redis: each row is one call of a script that applies the write rule where the row
 * lies (redis_script.c), so that it holds among any number of writers without a lock and without
 * reading first. Some hundred rows are one round trip.
 *
 *   put -> checked and encoded: key, times, values -> waiting rows -> EVALSHA... -> outcomes
 *   delete -> key -> waiting rows -> HDEL of the view's fields; a hash without fields is no more
 *
 * A push waits until it is committed, whatever views it writes: what is wrong with one of its rows
 * is found before any of them is sent. A load streams, since it may be larger than memory; whoever repeats one that broke
 * changes nothing (write rule).
 *
 * A server that does not know the script (it was restarted, or is new) says NOSCRIPT: rows are sent
 * again from the first one that was not written, so that rows of one key keep their order, and with
 * the script's text (EVAL), which whoever answers then knows. SCRIPT LOAD on all nodes was rejected:
 * a node that is just being given its first slot is in nobody's map, and one that is away would stop
 * writes to the others. Rows that were written stay so in the counts.
 */

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "online/bytes.h"
#include "online/redis_internal.h"
#include "online/redis_script.h"
#include "online/redis_value.h"

#include "base/poison.h"

enum {
    CHUNK_ROWS = 512,           /* one round trip: at most so many rows ... */
    CHUNK_BYTES = 1024 * 1024,  /* ... and, but for a single row, so many bytes */
    STREAM_BYTES = 1024 * 1024, /* a load sends when so much waits */
    N_HEAD_ARGS = 8,            /* EVALSHA sha (EVAL text) 1 key ttl pair time-field time */
    N_PAIR_ARGS = 2,
    DELETED = 3, /* outcomes beyond tfn_online_outcome */
    ABSENT = 4,
    ROW_HEAD_BYTES = 5, /* of a waiting row: number of the view, is it put */
    NOT_WRITTEN = 255
};

/* A view that is written, and room for the words of a command. */
typedef struct written_view {
    struct written_view *next; /* newer first */
    redis_view view;
    tfn_str *args;
    uint32_t number; /* by which waiting rows know it */
} written_view;

typedef struct redis_write {
    tfn_online_write base;
    redis_engine *engine;
    tfn_arena arena;
    tfn_arena scratch;     /* of the row at hand */
    written_view *current; /* what is put is this one's */
    written_view *sent;    /* whose row was sent last */
    bool streams;
    bool sends_text; /* of the script: a server did not know it */
    char ttl[24];
    tfn_buf rows; /* those that wait: u32 number of the view, u8 is it put; then u32 bytes and bytes
                     of the key and, if it is put, of time, pair, values */
    size_t n_rows;
    tfn_redis_batch *batch;
    tfn_online_stats stats;
} redis_write;

/* ---- begin ---- */

static tfn_code add_view(redis_write *w, const tfn_online_view *view, const tfn_row_field *fields,
                         size_t n_fields, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&w->arena, 1, sizeof(written_view), &p, err));
    written_view *added = p;
    TFN_RETURN_IF_ERROR(tfn__redis_view_init(view, fields, n_fields, &w->arena, &added->view, err));
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&w->arena, N_HEAD_ARGS + 2 * n_fields + N_PAIR_ARGS,
                                        sizeof(tfn_str), &p, err));
    added->args = p;
    added->next = w->current;
    added->number = w->current == NULL ? 0 : w->current->number + 1;
    w->current = added;
    return TFN_OK;
}

static tfn_code fill_write(redis_write *w, const tfn_online_view *view, const tfn_row_field *fields,
                           size_t n_fields, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(add_view(w, view, fields, n_fields, err));
    (void)snprintf(w->ttl, sizeof w->ttl, "%lld", (long long)w->engine->key_ttl_seconds);
    return tfn__redis_take_batch(w->engine, &w->batch, err);
}

tfn_code tfn__redis_begin_write(tfn_online *online, const tfn_online_view *view,
                                const tfn_row_field *fields, size_t n_fields,
                                tfn_online_origin origin, uint64_t n_rows, tfn_online_write **out,
                                tfn_error *err)
{
    *out = NULL;
    (void)n_rows;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(redis_write), &p, err));
    redis_write *w = p;
    w->base.engine = online->engine;
    w->engine = (redis_engine *)online;
    w->streams = origin == TFN_ONLINE_LOAD;
    const tfn_code rc = fill_write(w, view, fields, n_fields, err);
    if (rc != TFN_OK) {
        tfn__redis_abort(&w->base);
        return rc;
    }
    *out = &w->base;
    return TFN_OK;
}

tfn_code tfn__redis_next_view(tfn_online_write *write, const tfn_online_view *view,
                              const tfn_row_field *fields, size_t n_fields, uint64_t n_rows,
                              tfn_error *err)
{
    (void)n_rows;
    return add_view((redis_write *)write, view, fields, n_fields, err);
}

void tfn__redis_abort(tfn_online_write *write)
{
    redis_write *w = (redis_write *)write;
    tfn__redis_give_batch(w->engine, w->batch);
    tfn_buf_deinit(&w->rows);
    tfn_arena_deinit(&w->scratch);
    tfn_arena_deinit(&w->arena);
    tfn_mem_free(w);
}

/* ---- put: encode ---- */

static tfn_code check_time(const char *what, tfn_instant time, tfn_error *err)
{
    if (!tfn__redis_time_fits(time)) {
        char text[TFN_TIME_TEXT_BYTES];
        tfn_instant_format(time, text);
        return TFN_FAIL(err, TFN_UNSUPPORTED,
                        "a row has the %s time %s; Feast's layout in Redis keeps times of years 1 "
                        "to 9999",
                        what, text);
    }
    return TFN_OK;
}

/* Room for a number of bytes; where it is, since the buffer may move. */
static tfn_code begin_part(tfn_buf *rows, size_t *at, tfn_error *err)
{
    const uint8_t zero[4] = {0};
    *at = rows->n;
    return tfn_buf_add(rows, zero, sizeof zero, err);
}

static void end_part(tfn_buf *rows, size_t at)
{
    tfn__set_u32((uint8_t *)rows->p + at, (uint32_t)(rows->n - at - 4));
}

static tfn_code add_part(tfn_buf *rows, const void *bytes, size_t n_bytes, tfn_error *err)
{
    size_t at = 0;
    TFN_RETURN_IF_ERROR(begin_part(rows, &at, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add(rows, bytes, n_bytes, err));
    end_part(rows, at);
    return TFN_OK;
}

/* What a waiting row begins with. */
static tfn_code add_key(redis_write *w, tfn_str key, bool is_put, bool *is_kept, tfn_error *err)
{
    size_t at = 0;
    uint8_t head[ROW_HEAD_BYTES] = {[ROW_HEAD_BYTES - 1] = is_put};
    tfn__set_u32(head, w->current->number);
    tfn_arena_reset(&w->scratch);
    TFN_RETURN_IF_ERROR(tfn_buf_add(&w->rows, head, sizeof head, err));
    TFN_RETURN_IF_ERROR(begin_part(&w->rows, &at, err));
    TFN_RETURN_IF_ERROR(
        tfn__redis_keys_add(&w->current->view.keys, key, &w->scratch, &w->rows, is_kept, err));
    end_part(&w->rows, at);
    return TFN_OK;
}

static tfn_code add_times(redis_write *w, tfn_instant event, tfn_instant created, tfn_error *err)
{
    uint8_t time[TFN__REDIS_TIME_MAX_BYTES];
    uint8_t pair[TFN__REDIS_PAIR_BYTES];
    const bool has_created = tfn_instant_compare(created, TFN_INSTANT_NONE) != 0;
    TFN_RETURN_IF_ERROR(check_time("event", event, err));
    TFN_RETURN_IF_ERROR(add_part(&w->rows, time, tfn__redis_time_write(event, time), err));
    if (has_created) {
        TFN_RETURN_IF_ERROR(check_time("created", created, err));
        tfn__redis_pair_write(event, created, pair);
    }
    return add_part(&w->rows, pair, has_created ? sizeof pair : 0, err);
}

static tfn_code add_values(redis_write *w, const tfn_cell *cells, tfn_error *err)
{
    const redis_view *view = &w->current->view;
    for (size_t i = 0; i < view->n_fields; i++) {
        size_t at = 0;
        TFN_RETURN_IF_ERROR(begin_part(&w->rows, &at, err));
        const tfn_code rc = tfn__redis_value_add(view->fields[i].type, &cells[i], &w->rows, err);
        if (rc != TFN_OK) {
            tfn_error_prepend(err, "feature '%.*s': ", TFN_STR_ARG(view->fields[i].name));
            return rc;
        }
        end_part(&w->rows, at);
    }
    return TFN_OK;
}

static tfn_code add_row(redis_write *w, tfn_str key, const tfn_cell *cells, tfn_instant event,
                        tfn_instant created, tfn_error *err)
{
    const size_t n_before = w->rows.n;
    bool is_kept = false;
    TFN_RETURN_IF_ERROR(add_key(w, key, true, &is_kept, err));
    if (!is_kept) {
        return TFN_FAIL(err, TFN_UNSUPPORTED,
                        "a join key is a time with a fraction of a second, which Feast's keys in "
                        "Redis do not have; round it to seconds in the source");
    }
    TFN_RETURN_IF_ERROR(add_times(w, event, created, err));
    TFN_RETURN_IF_ERROR(add_values(w, cells, err));
    if (w->rows.n - n_before > TFN_MAX_ONLINE_ROW_BYTES) {
        return TFN_FAIL(err, TFN_LIMIT,
                        "an online row may have TFN_MAX_ONLINE_ROW_BYTES = %d bytes; this one has "
                        "%zu",
                        TFN_MAX_ONLINE_ROW_BYTES, w->rows.n - n_before);
    }
    return TFN_OK;
}

/* ---- send ---- */

static tfn_str take_part(const tfn_buf *rows, size_t *at)
{
    const size_t n_bytes = tfn__get_u32((const uint8_t *)rows->p + *at);
    const tfn_str part = {rows->p + *at + 4, n_bytes};
    *at += 4 + n_bytes;
    return part;
}

static tfn_code add_put(redis_write *w, const written_view *written, tfn_str key, size_t *at,
                        tfn_error *err)
{
    const redis_view *view = &written->view;
    tfn_str *args = written->args;
    const tfn_str time = take_part(&w->rows, at);
    const tfn_str pair = take_part(&w->rows, at);
    size_t n = 0;
    args[n++] = tfn_str_of(w->sends_text ? "EVAL" : "EVALSHA");
    args[n++] = tfn_str_of(w->sends_text ? TFN__REDIS_WRITE_SCRIPT : TFN__REDIS_WRITE_SHA1);
    args[n++] = tfn_str_of("1");
    args[n++] = key;
    args[n++] = tfn_str_of(w->ttl);
    args[n++] = view->pair;
    args[n++] = view->time;
    args[n++] = time;
    for (size_t i = 0; i < view->n_fields; i++) {
        args[n++] = view->names[i];
        args[n++] = take_part(&w->rows, at);
    }
    if (pair.n > 0) {
        args[n++] = view->pair;
        args[n++] = pair;
    }
    return tfn_redis_batch_add(w->batch, key, args, n, err);
}

/* Whether there was a row is whether there was an event time, so that goes alone and first. */
static tfn_code add_delete(redis_write *w, const written_view *written, tfn_str key, tfn_error *err)
{
    const redis_view *view = &written->view;
    tfn_str *args = written->args;
    size_t n = 0;
    args[n++] = tfn_str_of("EVAL");
    args[n++] = tfn_str_of(TFN__REDIS_DELETE_SCRIPT);
    args[n++] = tfn_str_of("1");
    args[n++] = key;
    args[n++] = view->time;
    args[n++] = view->pair;
    for (size_t i = 0; i < view->n_fields; i++) {
        args[n++] = view->names[i];
    }
    return tfn_redis_batch_add(w->batch, key, args, n, err);
}

/* Rows of a view mostly follow each other. */
static const written_view *view_of(redis_write *w, uint32_t number)
{
    written_view *view = w->sent != NULL && w->sent->number == number ? w->sent : w->current;
    while (view->number != number) {
        view = view->next;
    }
    w->sent = view;
    return view;
}

/* Add the command of the row at *at, which moves behind it. */
static tfn_code add_command(redis_write *w, size_t *at, tfn_error *err)
{
    const uint8_t *head = (const uint8_t *)w->rows.p + *at;
    const written_view *view = view_of(w, tfn__get_u32(head));
    const bool is_put = head[ROW_HEAD_BYTES - 1] != 0;
    *at += ROW_HEAD_BYTES;
    const tfn_str key = take_part(&w->rows, at);
    return is_put ? add_put(w, view, key, at, err) : add_delete(w, view, key, err);
}

static bool is_missing_script(const tfn_redis_reply *reply)
{
    return reply->type == TFN_REDIS_ERROR && tfn_str_starts_with(reply->text, "NOSCRIPT");
}

/* Outcomes of the n rows in the batch, up to the first that Redis lacked the script for. */
static tfn_code read_outcomes(const redis_write *w, const tfn_str *views, size_t n,
                              uint8_t *outcomes, size_t *n_done, tfn_error *err)
{
    *n_done = n;
    for (size_t i = 0; i < n; i++) {
        const tfn_redis_reply *reply = tfn_redis_batch_get_reply(w->batch, i);
        if (!w->sends_text && is_missing_script(reply)) {
            *n_done = i < *n_done ? i : *n_done;
            continue;
        }
        if (reply->type == TFN_REDIS_ERROR) {
            return TFN_FAIL(err, TFN_IO, "Redis refused a row of '%.*s': %.*s",
                            TFN_STR_ARG(views[i]), TFN_STR_ARG(reply->text));
        }
        if (reply->type != TFN_REDIS_INTEGER || reply->integer < TFN_ONLINE_WRITTEN ||
            reply->integer > ABSENT) {
            return TFN_FAIL(err, TFN_CORRUPT,
                            "Redis answered a write of '%.*s' with something else than an outcome",
                            TFN_STR_ARG(views[i]));
        }
        /* A row sent again because of one before it is the same as it was. */
        const bool is_repeated =
            (outcomes[i] == TFN_ONLINE_WRITTEN && reply->integer == TFN_ONLINE_SAME) ||
            (outcomes[i] == DELETED && reply->integer == ABSENT);
        outcomes[i] = is_repeated ? outcomes[i] : (uint8_t)reply->integer;
    }
    return TFN_OK;
}

static void count(redis_write *w, uint8_t outcome)
{
    w->stats.n_written += outcome == TFN_ONLINE_WRITTEN ? 1 : 0;
    w->stats.n_older += outcome == TFN_ONLINE_OLDER ? 1 : 0;
    w->stats.n_same += outcome == TFN_ONLINE_SAME ? 1 : 0;
    w->stats.n_deleted += outcome == DELETED ? 1 : 0;
    w->stats.n_absent += outcome == ABSENT ? 1 : 0;
}

/* Send rows from *at on, in one round trip; *at and *n_rows move behind those that are done.
 * `outcomes` are of these rows from an earlier try. */
static tfn_code send_chunk(redis_write *w, size_t *at, size_t *n_rows, uint8_t *outcomes,
                           tfn_error *err)
{
    size_t ends[CHUNK_ROWS];
    tfn_str views[CHUNK_ROWS];
    size_t n = 0;
    size_t end = *at;
    tfn_redis_batch_clear(w->batch);
    while (n < CHUNK_ROWS && n < *n_rows && (n == 0 || end - *at < CHUNK_BYTES)) {
        TFN_RETURN_IF_ERROR(add_command(w, &end, err));
        views[n] = w->sent->view.name;
        ends[n++] = end;
    }
    size_t n_done = 0;
    TFN_RETURN_IF_ERROR(tfn_redis_batch_run(w->batch, err));
    TFN_RETURN_IF_ERROR(read_outcomes(w, views, n, outcomes, &n_done, err));
    for (size_t i = 0; i < n_done; i++) {
        count(w, outcomes[i]);
    }
    memmove(outcomes, outcomes + n_done, n - n_done);
    memset(outcomes + n - n_done, NOT_WRITTEN, CHUNK_ROWS - (n - n_done));
    *at = n_done == 0 ? *at : ends[n_done - 1];
    *n_rows -= n_done;
    w->sends_text = n_done < n; /* never twice in a row: with its text all rows are done */
    return TFN_OK;
}

static tfn_code send_rows(redis_write *w, tfn_error *err)
{
    uint8_t outcomes[CHUNK_ROWS];
    size_t at = 0;
    memset(outcomes, NOT_WRITTEN, sizeof outcomes);
    while (w->n_rows > 0) {
        TFN_RETURN_IF_ERROR(send_chunk(w, &at, &w->n_rows, outcomes, err));
    }
    tfn_buf_clear(&w->rows);
    return TFN_OK;
}

tfn_code tfn__redis_put(tfn_online_write *write, tfn_str key, const tfn_cell *cells,
                        tfn_instant event, tfn_instant created, tfn_error *err)
{
    redis_write *w = (redis_write *)write;
    const size_t n_before = w->rows.n;
    const tfn_code rc = add_row(w, key, cells, event, created, err);
    if (rc != TFN_OK) {
        w->rows.n = n_before;
        return rc;
    }
    w->n_rows++;
    return w->streams && w->rows.n >= STREAM_BYTES ? send_rows(w, err) : TFN_OK;
}

tfn_code tfn__redis_delete(tfn_online_write *write, tfn_str key, tfn_error *err)
{
    redis_write *w = (redis_write *)write;
    const size_t n_before = w->rows.n;
    bool is_kept = false;
    const tfn_code rc = add_key(w, key, false, &is_kept, err);
    if (rc != TFN_OK || !is_kept) {
        w->rows.n = n_before;
        w->stats.n_absent += rc == TFN_OK ? 1 : 0; /* no row can have such a key */
        return rc;
    }
    w->n_rows++;
    return w->streams && w->rows.n >= STREAM_BYTES ? send_rows(w, err) : TFN_OK;
}

tfn_code tfn__redis_commit(tfn_online_write *write, tfn_online_stats *stats, tfn_error *err)
{
    redis_write *w = (redis_write *)write;
    const tfn_code rc = send_rows(w, err);
    if (stats != NULL) {
        *stats = w->stats;
    }
    tfn__redis_abort(write);
    return rc;
}
