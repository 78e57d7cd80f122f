/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_OFFLINE_RANGE_H
#define TFN_OFFLINE_RANGE_H

/*
 * All rows of a window of event times, in an order that does not depend on threads; and the entity
 * rows that the events of some views make.
 *
 *   source --tfn_range_run(view)--> range --tfn_range_take--> keys | event | created | features
 *                                   range, range, ... --tfn_range_unite--> keys | event
 *
 * The rule is docs/semantics/point-in-time.md, "All rows of a window"; its slow twin is
 * tests/model/model_range.c.
 */

#include "offline/keyset.h"
#include "offline/offline.h"

typedef enum tfn_range_order {
    TFN_RANGE_BY_KEY = 0, /* key bytes, event time, created time (missing: lowest), position */
    TFN_RANGE_BY_TIME = 1 /* event time, key bytes, created time, position */
} tfn_range_order;

/* Which rows, and in which order. A zeroed struct: all rows, by key. */
typedef struct tfn_range_window {
    bool has_start;
    bool has_end;
    tfn_instant start;      /* inclusive */
    tfn_instant end;        /* inclusive */
    const tfn_keyset *keys; /* [borrow, NULL = every key] made for the view's key types */
    int64_t max_bytes;      /* rows, values and the answer; 0 = no limit */
    tfn_range_order order;
} tfn_range_window;

/* Every row read is counted under exactly one of the reasons, or is in the answer. */
typedef struct tfn_range_stats {
    int64_t n_rows_read;
    int64_t n_rows_without_time;
    int64_t n_rows_infinite_time;
    int64_t n_rows_without_key;
    int64_t n_rows_not_known; /* kept out by known_at */
    int64_t n_rows_outside;   /* outside of the window */
    int64_t n_rows_not_asked; /* of a key that is not in the key set */
    int64_t n_rows;
    int64_t n_keys; /* distinct */
    int64_t bytes_rows;
    tfn_scan_stats scan;
    double seconds_scan;
    double seconds_sort;
} tfn_range_stats;

typedef struct tfn_row_range tfn_row_range;

/**
 * Collect the rows of a window.
 *
 * @param view    [borrow until tfn_range_destroy] ttl_us and filter_by_created are not used (no
 *                entity row, no age)
 * @param source  [borrow until the last tfn_range_take] scanned once
 * @param window  [borrow, NULL = all rows, by key]
 * @param opts    [borrow, NULL = defaults]
 * @param out     [own] ends with tfn_range_destroy
 * @param stats   [out, nullable]
 *
 * Shape    one row per source row that has a key and a finite time in the window
 * Cost     O(m + r log r) time; 60 bytes per row of the answer, its key if it is the first with it,
 *          and its features
 * Threads  any; same output for every n_threads
 * Errors   TFN_INVALID known_at on a view without created column . TFN_LIMIT max_bytes, or 2^32 - 2
 *          rows . TFN_SCHEMA . TFN_CANCELLED . TFN_IO . TFN_NO_MEMORY as tfn_join_run
 * Source   docs/semantics/point-in-time.md
 * Model    tests/model/model_range.c
 */
TFN_NODISCARD tfn_code tfn_range_run(const tfn_join_view *view, tfn_source *source,
                                     const tfn_range_window *window, const tfn_offline_opts *opts,
                                     tfn_row_range **out, tfn_range_stats *stats, tfn_error *err);
void tfn_range_destroy(tfn_row_range *r);

int64_t tfn_range_get_n_rows(const tfn_row_range *r);

/** Keys, event time, created time if the view has one, features: how many columns that is. */
size_t tfn_range_get_n_columns(const tfn_row_range *r);

/**
 * Make the columns.
 *
 * @param out  [out] tfn_range_get_n_columns of them, each [own]; all NULL on error
 *
 * Units    times in the source's own units
 * Nulls    a created time that is missing or infinite is null
 * Threads  one at a time per range
 * Errors   TFN_SCHEMA a value does not fit its declared type: names column and value
 *          TFN_CANCELLED the tick of the run asked to stop . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_range_take(const tfn_row_range *r, tfn_column **out, tfn_error *err);

/* Which entity rows the events of ranges make. */
typedef enum tfn_range_union {
    TFN_RANGE_EACH = 0,  /* one per event; one range only */
    TFN_RANGE_TIMES = 1, /* one per distinct key and event time */
    TFN_RANGE_KEYS = 2   /* one per distinct key, at `at` */
} tfn_range_union;

/**
 * Entity rows: keys and a time.
 *
 * @param ranges  [borrow] n_ranges > 0, of the same key types in the same order
 * @param at      [borrow, NULL unless TFN_RANGE_KEYS] time of all rows
 * @param out     [out] one column per key part, then the time, each [own]; all NULL on error
 * @param n_rows  [out]
 *
 * Shape    ascending by time, then by key bytes
 * Units    the finest of the ranges' event times
 * Threads  any
 * Errors   TFN_LIMIT 2^32 - 2 rows; a time that the finest unit cannot express . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_range_unite(const tfn_row_range *const *ranges, size_t n_ranges,
                                       tfn_range_union what, const tfn_instant *at,
                                       tfn_column **out, int64_t *n_rows, tfn_error *err);

#endif
