/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_FEATURE_LOG_SEGMENT_H
#define TFN_SERVER_FEATURE_LOG_SEGMENT_H

/*
 * Segments: append-only files of framed bytes, one writing process each
 * (docs/formats/feature-log.md). An open one is called *.open and locked with flock() by its writer;
 * a finished one is synced and called *.closed.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

typedef struct tfn__segment {
    int fd;     /* -1: none is open */
    char *path; /* of the open one */
    uint64_t id;
    uint64_t n_bytes; /* of whole frames, the header included */
    int64_t start_us;
} tfn__segment;

typedef enum tfn__frame_kind {
    TFN__FRAME_SCHEMA = 1, /* a definition: JSON */
    TFN__FRAME_BLOCK = 2   /* answers of the definition with the same number */
} tfn__frame_kind;

/**
 * Make a segment in a folder.
 *
 * @param counter  of this process; makes names differ that were made in the same microsecond
 *
 * Threads  one at a time per segment
 * Errors   TFN_IO names the file . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__segment_open(const char *folder, int64_t now_us, uint32_t counter,
                                         tfn__segment *segment, tfn_error *err);

/**
 * Append a frame.
 *
 * @param frame  [borrow] room for the frame's head (TFN__FRAME_HEAD_BYTES), then the payload, a
 *               multiple of eight bytes; the head is written here
 *
 * Errors   TFN_IO: the segment ends before the frame, as if nothing had been asked; where that was
 *          not possible either, readers leave the torn frame out
 */
enum { TFN__FRAME_HEAD_BYTES = 24, TFN__SEGMENT_HEAD_BYTES = 64 };
TFN_NODISCARD tfn_code tfn__segment_append(tfn__segment *segment, tfn__frame_kind kind,
                                           uint32_t i_schema, tfn_buf *frame, tfn_error *err);

/**
 * Sync, and give it the name of a finished one. Nothing to do without an open one.
 *
 * Errors   TFN_IO: the file keeps its name, and is adopted by whoever flushes
 */
TFN_NODISCARD tfn_code tfn__segment_close(tfn__segment *segment, tfn_error *err);

#endif
