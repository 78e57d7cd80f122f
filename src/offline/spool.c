/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The spool of a training set whose parts do not come in the order of its rows.
 *
 *   file    part 0: row | row | ...   part 1: row | row | ...
 *   row     u64 bytes that follow | one cell per column
 *   cell    u8 0: null . u8 1, u64 bits: fixed width . u8 2, u64 n, n bytes: texts and packed lists
 *
 * Row by row and not column by column: a reader of many parts takes one row here and one there, and
 * must not hold a block of each. Numbers are in the machine's own byte order, because no other
 * process ever reads the file.
 *
 * Writing goes through one buffer; reading through one buffer per part, filled front to back, so
 * every byte is written once and read once.
 */

#include "offline/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "offline/room.h"

#include "base/poison.h"

enum {
    WRITE_BYTES = 1 << 20,
    LEAST_READ_BYTES = 4 << 10,
    MOST_READ_BYTES = 256 << 10,
    FOLDER_BYTES = 4096
};

typedef enum cell_form { CELL_NULL = 0, CELL_BITS = 1, CELL_BYTES = 2 } cell_form;

/* One part; its buffer holds bytes at - n_in_buffer .. at of the file once it is read. */
typedef struct part {
    int64_t at;  /* of the file: next byte to be read */
    int64_t end; /* of the part in the file */
    char *buffer;
    size_t capacity;
    size_t begin; /* in the buffer: bytes not yet taken are begin .. n */
    size_t n;
} part;

struct tfn_spool {
    char folder[FOLDER_BYTES];
    int fd;
    tfn_spool_write_fn write;
    size_t n_columns;
    tfn_buf pending; /* written when it is full */
    tfn_buf scratch; /* a packed list */
    int64_t n_bytes; /* in the file */
    part *parts;
    size_t n_parts;
    size_t part_capacity;
    size_t read_bytes; /* of a part's buffer */
};

void tfn_spool_destroy(tfn_spool *s)
{
    if (s == NULL) {
        return;
    }
    if (s->fd >= 0) {
        (void)close(s->fd);
    }
    for (size_t i = 0; i < s->n_parts; i++) {
        tfn_mem_free(s->parts[i].buffer);
    }
    tfn_mem_free(s->parts);
    tfn_buf_deinit(&s->pending);
    tfn_buf_deinit(&s->scratch);
    tfn_mem_free(s);
}

/* ---- the file ---- */

static const char *folder_of(const char *folder)
{
    if (folder != NULL && folder[0] != '\0') {
        return folder;
    }
    const char *from_environment = getenv("TMPDIR");
    return from_environment != NULL && from_environment[0] != '\0' ? from_environment : "/tmp";
}

static tfn_code open_file(tfn_spool *s, const char *folder, tfn_error *err)
{
    char path[FOLDER_BYTES + 32];
    const int n = snprintf(s->folder, sizeof s->folder, "%s", folder_of(folder));
    if (n < 0 || (size_t)n >= sizeof s->folder) {
        return TFN_FAIL(err, TFN_INVALID, "the folder for temporary files has a name of %d bytes",
                        n);
    }
    (void)snprintf(path, sizeof path, "%s/tiffin-spool-XXXXXX", s->folder);
    s->fd = mkstemp(path);
    if (s->fd < 0) {
        return TFN_FAIL_SYS(err, errno,
                            "a training set larger than its memory_limit needs a temporary file in "
                            "'%s', which cannot be made; set temp_directory, or raise memory_limit",
                            s->folder);
    }
    (void)unlink(path);
    (void)fcntl(s->fd, F_SETFD, FD_CLOEXEC);
    return TFN_OK;
}

tfn_code tfn_spool_create(const char *folder, size_t n_columns, tfn_spool_write_fn write_bytes,
                          tfn_spool **out, tfn_error *err)
{
    *out = NULL;
    tfn_spool *s = NULL;
    TFN_RETURN_IF_ERROR(tfn__room_zero(1, sizeof *s, &s, err));
    s->fd = -1;
    s->write = write_bytes != NULL ? write_bytes : write;
    s->n_columns = n_columns;
    const tfn_code rc = open_file(s, folder, err);
    if (rc != TFN_OK) {
        tfn_spool_destroy(s);
        return rc;
    }
    *out = s;
    return TFN_OK;
}

int64_t tfn_spool_get_bytes(const tfn_spool *s)
{
    return s->n_bytes;
}

/* ---- writing ---- */

static tfn_code flush(tfn_spool *s, tfn_error *err)
{
    const tfn_str bytes = tfn_buf_get_str(&s->pending);
    size_t n = 0;
    while (n < bytes.n) {
        const ssize_t n_written = s->write(s->fd, bytes.p + n, bytes.n - n);
        if (n_written < 0 && errno == EINTR) {
            continue;
        }
        if (n_written <= 0) {
            return TFN_FAIL_SYS(err, n_written < 0 ? errno : ENOSPC,
                                "the temporary file of a training set in '%s' could not be written "
                                "beyond %lld bytes; make room there, set temp_directory to another "
                                "folder, or raise memory_limit",
                                s->folder, (long long)s->n_bytes);
        }
        n += (size_t)n_written;
        s->n_bytes += n_written;
    }
    tfn_buf_clear(&s->pending);
    return TFN_OK;
}

/* Bytes of the file and of the buffer before it. */
static int64_t written_end(const tfn_spool *s)
{
    return s->n_bytes + (int64_t)tfn_buf_get_str(&s->pending).n;
}

static void end_part(tfn_spool *s)
{
    if (s->n_parts > 0) {
        s->parts[s->n_parts - 1].end = written_end(s);
    }
}

tfn_code tfn_spool_begin_part(tfn_spool *s, tfn_error *err)
{
    end_part(s);
    TFN_RETURN_IF_ERROR(
        tfn__room_grow(&s->parts, &s->part_capacity, s->n_parts + 1, sizeof *s->parts, err));
    s->parts[s->n_parts] = (part){.at = written_end(s)};
    s->n_parts++;
    return TFN_OK;
}

static tfn_code add_number(tfn_buf *b, uint64_t value, tfn_error *err)
{
    return tfn_buf_add(b, &value, sizeof value, err);
}

static bool is_bytes(tfn_type type)
{
    return type.is_list || type.kind == TFN_KIND_STRING || type.kind == TFN_KIND_BYTES;
}

static tfn_code add_cell(tfn_spool *s, tfn_column *column, int64_t i, tfn_error *err)
{
    const tfn_type type = tfn_column_get_type(column);
    const tfn_vec *v = tfn_column_get_vec(column);
    tfn_cell cell = {.is_null = true};
    if (tfn_vec_is_valid(v, i)) {
        TFN_RETURN_IF_ERROR(tfn_cell_of_vec(v, i, type, &s->scratch, &cell, err));
    }
    uint8_t form = is_bytes(type) ? CELL_BYTES : CELL_BITS;
    form = cell.is_null ? CELL_NULL : form;
    TFN_RETURN_IF_ERROR(tfn_buf_add(&s->pending, &form, 1, err));
    if (form == CELL_BITS) {
        return add_number(&s->pending, cell.bits, err);
    }
    if (form == CELL_BYTES) {
        TFN_RETURN_IF_ERROR(add_number(&s->pending, cell.bytes.n, err));
        return tfn_buf_add_str(&s->pending, cell.bytes, err);
    }
    return TFN_OK;
}

static tfn_code add_row(tfn_spool *s, tfn_column *const *columns, int64_t i, tfn_error *err)
{
    const size_t head = tfn_buf_get_str(&s->pending).n;
    char *room = NULL;
    TFN_RETURN_IF_ERROR(tfn_buf_add_room(&s->pending, sizeof(uint64_t), &room, err));
    for (size_t k = 0; k < s->n_columns; k++) {
        TFN_RETURN_IF_ERROR(add_cell(s, columns[k], i, err));
    }
    const uint64_t n = tfn_buf_get_str(&s->pending).n - head - sizeof n;
    memcpy(s->pending.p + head, &n, sizeof n);
    return TFN_OK;
}

tfn_code tfn_spool_add(tfn_spool *s, tfn_column *const *columns, int64_t begin, int64_t n,
                       tfn_error *err)
{
    for (int64_t i = begin; i < begin + n; i++) {
        TFN_RETURN_IF_ERROR(add_row(s, columns, i, err));
        if (tfn_buf_get_str(&s->pending).n >= WRITE_BYTES) {
            TFN_RETURN_IF_ERROR(flush(s, err));
        }
    }
    return TFN_OK;
}

/* ---- reading ---- */

tfn_code tfn_spool_begin_reading(tfn_spool *s, int64_t buffers_bytes, tfn_error *err)
{
    end_part(s);
    TFN_RETURN_IF_ERROR(flush(s, err));
    tfn_buf_deinit(&s->pending);
    const int64_t share = s->n_parts > 0 ? buffers_bytes / (int64_t)s->n_parts : 0;
    s->read_bytes = share < LEAST_READ_BYTES ? LEAST_READ_BYTES : (size_t)share;
    s->read_bytes = s->read_bytes > MOST_READ_BYTES ? MOST_READ_BYTES : s->read_bytes;
    return TFN_OK;
}

static tfn_code damaged(const tfn_spool *s, tfn_error *err)
{
    return TFN_FAIL(err, TFN_CORRUPT,
                    "the temporary file of a training set in '%s' does not have what was written "
                    "to it",
                    s->folder);
}

/* Make `n_wanted` bytes of the part be in its buffer. */
static tfn_code fill(tfn_spool *s, part *p, size_t n_wanted, tfn_error *err)
{
    if (p->n - p->begin >= n_wanted) {
        return TFN_OK;
    }
    if ((int64_t)(n_wanted - (p->n - p->begin)) > p->end - p->at) {
        return damaged(s, err);
    }
    const size_t n_kept = p->n - p->begin;
    if (n_kept > 0) {
        memmove(p->buffer, p->buffer + p->begin, n_kept);
    }
    p->begin = 0;
    p->n = n_kept;
    const size_t n_room = n_wanted > s->read_bytes ? n_wanted : s->read_bytes;
    if (p->capacity < n_room) {
        TFN_RETURN_IF_ERROR(tfn__room_grow(&p->buffer, &p->capacity, n_room, 1, err));
    }
    while (p->n < n_wanted) {
        const int64_t n_left = p->end - p->at;
        const size_t n_free = p->capacity - p->n;
        const size_t n_asked = (int64_t)n_free < n_left ? n_free : (size_t)n_left;
        const ssize_t n_read = pread(s->fd, p->buffer + p->n, n_asked, p->at);
        if (n_read < 0 && errno == EINTR) {
            continue;
        }
        if (n_read <= 0) {
            return n_read == 0 ? damaged(s, err)
                               : TFN_FAIL_SYS(err, errno,
                                              "the temporary file of a training set in '%s' could "
                                              "not be read at byte %lld",
                                              s->folder, (long long)p->at);
        }
        p->n += (size_t)n_read;
        p->at += n_read;
    }
    return TFN_OK;
}

static uint64_t number_at(const char *p)
{
    uint64_t value = 0;
    memcpy(&value, p, sizeof value);
    return value;
}

/* Append the cell at *p to a builder and move *p behind it. */
static tfn_code take_cell(const tfn_spool *s, const char **p, const char *end, tfn_builder *builder,
                          tfn_error *err)
{
    const size_t n_left = (size_t)(end - *p);
    const uint8_t form = n_left > 0 ? (uint8_t) * *p : UINT8_MAX;
    *p += n_left > 0 ? 1 : 0;
    if (form == CELL_NULL) {
        return tfn_builder_add_nulls(builder, 1, err);
    }
    if ((form != CELL_BITS && form != CELL_BYTES) || n_left < 1 + sizeof(uint64_t)) {
        return damaged(s, err);
    }
    const uint64_t number = number_at(*p);
    *p += sizeof number;
    tfn_cell cell = {.bits = number};
    if (form == CELL_BYTES) {
        if (number > (uint64_t)(end - *p)) {
            return damaged(s, err);
        }
        cell = (tfn_cell){.bytes = {*p, (size_t)number}};
        *p += number;
    }
    return tfn_builder_add(builder, &cell, err);
}

tfn_code tfn_spool_take(tfn_spool *s, uint32_t i_part, tfn_builder *const *builders, tfn_error *err)
{
    if (i_part >= s->n_parts) {
        return damaged(s, err);
    }
    part *p = &s->parts[i_part];
    TFN_RETURN_IF_ERROR(fill(s, p, sizeof(uint64_t), err));
    const uint64_t n = number_at(p->buffer + p->begin);
    if (n > (uint64_t)(p->end - p->at) + (p->n - p->begin)) {
        return damaged(s, err);
    }
    TFN_RETURN_IF_ERROR(fill(s, p, sizeof n + (size_t)n, err));
    const char *at = p->buffer + p->begin + sizeof n;
    const char *end = at + n;
    for (size_t i = 0; i < s->n_columns; i++) {
        TFN_RETURN_IF_ERROR(take_cell(s, &at, end, builders[i], err));
    }
    p->begin += sizeof n + (size_t)n;
    return at == end ? TFN_OK : damaged(s, err);
}
