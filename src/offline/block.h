/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_OFFLINE_BLOCK_H
#define TFN_OFFLINE_BLOCK_H

/*
 * A block: up to 1,024 rows of a chunk with times and keys read, and the rows that may take part
 * listed. What the join and latest-per-key have in common.
 */

#include "column/chunk.h"
#include "column/key.h"
#include "offline/columns.h"
#include "offline/times.h"

enum { TFN__BLOCK_ROWS = 1024 };

/* Rows that do not take part, each under the first reason that holds; summed over workers later. */
typedef struct tfn__block_counts {
    int64_t n_read;
    int64_t n_without_time;
    int64_t n_infinite_time;
    int64_t n_without_key;
    int64_t n_not_known;
} tfn__block_counts;

/* How blocks of one scan are read. */
typedef struct tfn__block_rule {
    const tfn__columns *columns;
    const tfn_key_plan *keys;
    tfn_str source_label;  /* for messages */
    bool created_required; /* rows without created time are not known */
    tfn__bounds known;     /* on created times, in their unit; used when created_required */
} tfn__block_rule;

typedef struct tfn__block {
    int64_t n;
    int64_t event[TFN__BLOCK_ROWS];
    int64_t created[TFN__BLOCK_ROWS]; /* TFN__NO_CREATED when missing */
    uint8_t states[TFN__BLOCK_ROWS];
    uint8_t created_states[TFN__BLOCK_ROWS]; /* all TFN__TIME_NULL without a created column */
    uint32_t rows[TFN__BLOCK_ROWS];          /* the n_rows rows that may take part, ascending */
    uint32_t n_rows;
    tfn_keys keys;
    tfn__block_counts counts;
} tfn__block;

void tfn__block_deinit(tfn__block *b);

/**
 * Read rows begin .. begin + n - 1 of a chunk, n <= TFN__BLOCK_ROWS.
 *
 * Cost     allocates only while key buffers grow
 * Threads  one at a time per block
 * Errors   TFN_SCHEMA a key cannot be read as declared, or a time's unit changed: names source and
 *          column . TFN_LIMIT . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__block_read(tfn__block *b, const tfn__block_rule *rule,
                                       const tfn_chunk *chunk, int64_t begin, int64_t n,
                                       tfn_error *err);

#endif
