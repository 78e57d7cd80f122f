/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_OFFLINE_PICK_H
#define TFN_OFFLINE_PICK_H

/* The second scan of a two-step join: copy the features of the rows that won. */

#include "column/chunk.h"
#include "offline/columns.h"
#include "offline/radix.h"
#include "offline/values.h"
#include "source/source.h"

typedef struct tfn__pick_worker {
    uint32_t *rows;  /* of a chunk: the rows that won, ascending */
    uint32_t *ranks; /* and their winners */
    size_t row_capacity;
    size_t rank_capacity;
    int64_t n_found;
    tfn__writer writer;
} tfn__pick_worker;

typedef struct tfn__pick {
    const uint64_t *positions; /* [borrow] n_winners, ascending, distinct */
    size_t n_winners;
    const tfn__record_plan *plan;
    char *records; /* [borrow] one per winner, zeroed */
    const tfn__columns *columns;
    tfn_str source_label;
    tfn__pick_worker *workers;
    int n_workers;
} tfn__pick;

/** Make workers; the other members are the caller's. Errors TFN_NO_MEMORY; deinit all the same. */
TFN_NODISCARD tfn_code tfn__pick_init(tfn__pick *p, int n_workers, tfn_error *err);
void tfn__pick_deinit(tfn__pick *p);

/**
 * A tfn_chunk_fn for a scan of the feature columns alone; context is the tfn__pick.
 *
 * Errors   TFN_NO_MEMORY . TFN_LIMIT
 */
TFN_NODISCARD tfn_code tfn__pick_consume(void *context, int worker, const tfn_chunk *chunk,
                                         tfn_error *err);

/** Rows found so far, over all workers; n_winners when the source is what it was. */
int64_t tfn__pick_get_n_found(const tfn__pick *p);

enum { TFN__PICK_MAX_RANGES = 1024 };

/**
 * Ranges of positions that hold all winners, few enough to be handed to a reader: neighbours closer
 * than a row group are one range.
 *
 * @param ranges  [out] room for TFN__PICK_MAX_RANGES
 * @return        number of ranges
 *
 * Cost     O(n_winners) per doubling of the gap
 * Threads  any
 * Errors   none
 */
size_t tfn__pick_ranges(const uint64_t *positions, size_t n_winners, tfn_position_range *ranges);

#endif
