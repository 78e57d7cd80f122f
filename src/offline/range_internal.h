/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_OFFLINE_RANGE_INTERNAL_H
#define TFN_OFFLINE_RANGE_INTERNAL_H

/* A range while it is scanned (range.c), ordered and made columns (range_result.c), and united
 * with others (range_union.c). */

#include <stdatomic.h>

#include "offline/block.h"
#include "offline/keytable.h"
#include "offline/radix.h"
#include "offline/range.h"
#include "offline/slots.h"
#include "offline/values.h"

enum { TFN__RANGE_SEGMENT_ROWS = 256 };

/* A row of the answer. */
typedef struct tfn__range_row {
    int64_t event;
    int64_t created; /* TFN__NO_CREATED: missing */
    uint64_t position;
    const char *record; /* NULL: the view has no features */
    uint32_t key;       /* of its worker's keys; after the scan, of the range's */
} tfn__range_row;

typedef struct tfn__range_worker {
    tfn__block block;
    tfn__way *ways; /* per feature */
    tfn__keytable keys;
    tfn__range_row *rows;
    size_t n_rows;
    size_t row_capacity;
    char **segments; /* records, TFN__RANGE_SEGMENT_ROWS each */
    size_t n_segments;
    size_t segment_capacity;
    tfn__writer writer;
    int64_t n_bytes; /* as it was added to the range's */
    int64_t n_outside;
    int64_t n_not_asked;
} tfn__range_worker;

struct tfn_row_range {
    tfn_str label;      /* the view's name */
    tfn_source *source; /* [borrow] while it is scanned */
    tfn_offline_opts opts;
    tfn_range_window window;
    tfn__bounds event_window;
    tfn__columns columns;
    tfn_key_plan plan;
    tfn__record_plan records;
    tfn__block_rule rule;
    tfn__range_worker *workers;
    int n_workers;
    _Atomic int64_t n_bytes; /* of all workers */
    tfn__keytable keys;      /* distinct */
    tfn__range_row *rows;    /* any order */
    size_t n_rows;
    uint32_t *order; /* rows in the order of the answer */
    uint32_t *ranks; /* of each key in byte order */
};

/**
 * After the scan: all workers' rows side by side, their keys numbered together, in order.
 *
 * Errors   TFN_LIMIT . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__range_arrange(tfn_row_range *r, tfn_error *err);

/**
 * Place of each key of a table in byte order.
 *
 * @param ranks  [own] keys->n of them; ends with tfn_mem_free
 *
 * Errors   TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__range_rank_keys(const tfn__keytable *keys, uint32_t **ranks,
                                            tfn_error *err);

/**
 * Columns of the keys of some rows, decoded once per distinct key.
 *
 * @param row_keys  [borrow] n_rows keys of the table
 * @param out       [out] plan->n_parts columns, each [own]; all NULL on error
 *
 * Errors   TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__range_key_columns(const tfn_key_plan *plan, const tfn__keytable *keys,
                                              const uint32_t *row_keys, size_t n_rows,
                                              tfn_column **out, tfn_error *err);

#endif
