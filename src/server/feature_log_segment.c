/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Segments of the feature log: bytes in files.
 *
 *   <start, 16 hex digits>-<pid>-<counter>.open     while it is written, locked by its writer
 *   <the same>.closed                               complete and synced
 *
 * A frame is one write, and carries its length and a checksum of everything behind the checksum, so
 * that a frame which a crash cut short is noticed. Whoever flushes may take *.closed as they are,
 * and an *.open whose lock nobody holds: its process is gone, whatever number it had.
 *
 * Rejected: a pid in the name as the proof of life (numbers are used again, and differ between
 * containers that share a folder).
 */

#include "server/feature_log_segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"

#include "base/poison.h"

enum { FILE_MODE = 0640, VERSION = 1 };

static const char magic[8] = {'T', 'F', 'N', 'F', 'L', 'O', 'G', '1'};
static const char open_suffix[] = ".open";
static const char closed_suffix[] = ".closed";

static tfn_code write_all(const tfn__segment *segment, const char *bytes, size_t n_bytes,
                          tfn_error *err)
{
    while (n_bytes > 0) {
        const ssize_t n = write(segment->fd, bytes, n_bytes);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return TFN_FAIL_SYS(err, errno, "the feature log's segment '%s' cannot be written",
                                segment->path);
        }
        bytes += n;
        n_bytes -= (size_t)n;
    }
    return TFN_OK;
}

static void put64(char *to, uint64_t value)
{
    memcpy(to, &value, sizeof value);
}

static void put32(char *to, uint32_t value)
{
    memcpy(to, &value, sizeof value);
}

static tfn_code write_head(tfn__segment *segment, tfn_error *err)
{
    char head[TFN__SEGMENT_HEAD_BYTES] = {0};
    memcpy(head, magic, sizeof magic);
    put32(head + 8, VERSION);
    put32(head + 12, TFN__SEGMENT_HEAD_BYTES);
    put64(head + 16, (uint64_t)segment->start_us);
    put64(head + 24, segment->id);
    put64(head + 32, (uint64_t)getpid());
    put64(head + 56, tfn_hash64(head, 56));
    segment->n_bytes = sizeof head;
    return write_all(segment, head, sizeof head, err);
}

static tfn_code make_path(const char *folder, int64_t now_us, uint32_t counter, char **out,
                          tfn_error *err)
{
    tfn_buf path = {0};
    tfn_code rc =
        tfn_buf_add_format(&path, err, "%s/%016llx-%lld-%u%s", folder, (unsigned long long)now_us,
                           (long long)getpid(), counter, open_suffix);
    if (rc == TFN_OK) {
        rc = tfn_buf_take_text(&path, out, err);
    }
    tfn_buf_deinit(&path);
    return rc;
}

/* Without the file: a process that makes segments ends with none of its own. */
static void forget(tfn__segment *segment)
{
    if (segment->fd >= 0) {
        (void)close(segment->fd);
    }
    tfn_mem_free(segment->path);
    *segment = (tfn__segment){.fd = -1};
}

tfn_code tfn__segment_open(const char *folder, int64_t now_us, uint32_t counter,
                           tfn__segment *segment, tfn_error *err)
{
    *segment = (tfn__segment){.fd = -1, .start_us = now_us};
    TFN_RETURN_IF_ERROR(make_path(folder, now_us, counter, &segment->path, err));
    segment->id = tfn_hash64(segment->path, strlen(segment->path));
    tfn_code rc = TFN_OK;
    segment->fd =
        open(segment->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, FILE_MODE);
    if (segment->fd < 0 || flock(segment->fd, LOCK_EX | LOCK_NB) != 0) {
        rc = TFN_FAIL_SYS(err, errno, "the feature log's segment '%s' cannot be made",
                          segment->path);
    }
    if (rc == TFN_OK) {
        rc = write_head(segment, err);
    }
    if (rc != TFN_OK) {
        if (segment->fd >= 0) {
            (void)unlink(segment->path); /* nothing is in it */
        }
        forget(segment);
    }
    return rc;
}

tfn_code tfn__segment_append(tfn__segment *segment, tfn__frame_kind kind, uint32_t i_schema,
                             tfn_buf *frame, tfn_error *err)
{
    put32(frame->p + 8, (uint32_t)kind);
    put32(frame->p + 12, i_schema);
    put64(frame->p + 16, frame->n - TFN__FRAME_HEAD_BYTES);
    put64(frame->p, tfn_hash64(frame->p + 8, frame->n - 8));
    const tfn_code rc = write_all(segment, frame->p, frame->n, err);
    if (rc == TFN_OK) {
        segment->n_bytes += frame->n;
        return TFN_OK;
    }
    if (ftruncate(segment->fd, (off_t)segment->n_bytes) != 0) {
        forget(segment); /* what it has is adopted; the next frame begins another */
    }
    return rc;
}

/* The folder's entry must be on disk as well, or a finished segment could be found unfinished. */
static tfn_code sync_folder(const char *path, tfn_error *err)
{
    char *folder = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_copy_text(path, &folder, err));
    *strrchr(folder, '/') = '\0';
    tfn_code rc = TFN_OK;
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        rc = TFN_FAIL_SYS(err, errno, "the feature log's folder '%s' cannot be synced", folder);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    tfn_mem_free(folder);
    return rc;
}

static tfn_code finish(const tfn__segment *segment, const char *closed, tfn_error *err)
{
    if (fsync(segment->fd) != 0) {
        return TFN_FAIL_SYS(err, errno, "the feature log's segment '%s' cannot be synced",
                            segment->path);
    }
    if (rename(segment->path, closed) != 0) {
        return TFN_FAIL_SYS(err, errno, "the feature log's segment '%s' cannot be renamed to '%s'",
                            segment->path, closed);
    }
    return sync_folder(closed, err);
}

tfn_code tfn__segment_close(tfn__segment *segment, tfn_error *err)
{
    if (segment->fd < 0) {
        return TFN_OK;
    }
    tfn_buf closed = {0};
    const size_t n_stem = strlen(segment->path) - (sizeof open_suffix - 1);
    tfn_code rc = tfn_buf_add(&closed, segment->path, n_stem, err);
    if (rc == TFN_OK) {
        rc = tfn_buf_add_text(&closed, closed_suffix, err);
    }
    if (rc == TFN_OK) {
        rc = finish(segment, closed.p, err);
    }
    tfn_buf_deinit(&closed);
    forget(segment);
    return rc;
}
