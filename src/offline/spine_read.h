/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_OFFLINE_SPINE_READ_H
#define TFN_OFFLINE_SPINE_READ_H

/* First half of building a spine: keys are numbered and times are read, part of rows by part. */

#include "offline/spine.h"

/* The entity rows while a spine is built; parts are tfn_part_of(s->n_rows, i, n_parts). */
typedef struct tfn__spine_rows {
    const tfn_frame *frame;
    const size_t *key_cols;
    size_t time_col;
    tfn_crew *crew;
    int64_t n_parts;
    uint32_t *groups; /* of each row; TFN__NO_ENTRY: no key */
    int64_t *times;
} tfn__spine_rows;

void tfn__spine_rows_deinit(tfn__spine_rows *rows);

/**
 * Read a frame: rows->groups, rows->times, and of the spine its keys and n_rows_without_key. Keys are
 * numbered in the order of their first appearance, whatever the number of threads.
 *
 * @param rows  frame, columns and crew are set
 * @param s     plan, unit and n_rows are set
 *
 * Errors   as tfn_spine_create; deinit is needed all the same
 */
TFN_NODISCARD tfn_code tfn__spine_read(tfn__spine_rows *rows, tfn_spine *s, tfn_error *err);

#endif
