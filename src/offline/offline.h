/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_OFFLINE_OFFLINE_H
#define TFN_OFFLINE_OFFLINE_H

/*
 * Training sets and latest values: rows of a source against entity rows, or against each other.
 *
 *   frame --tfn_spine_create--> spine --tfn_join_run(view, source)--> one column per feature
 *                                     source --tfn_latest_run(view)--> one row per key
 *
 * The rule is docs/semantics/point-in-time.md; its slow twins are tests/model/model_join.c and
 * model_latest.c. Times are compared as exact instants, whatever their units.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/parallel.h"
#include "base/time.h"
#include "column/column.h"
#include "column/frame.h"
#include "offline/keyset.h"
#include "source/source.h"
#include "tiffin/progress.h"

/* What of a source is joined, and how. Borrowed for the call. */
typedef struct tfn_join_view {
    tfn_str label;              /* the view's name, for messages */
    size_t n_keys;              /* 0: a view without entities; every row has the same, empty key */
    const tfn_str *key_columns; /* n_keys names in the source, in the order of the spine's keys */
    const tfn_type *key_types;  /* n_keys declared types: the spine's */
    tfn_str timestamp_field;
    tfn_str created_column; /* n == 0: none */
    size_t n_features;
    const tfn_str *feature_columns; /* n_features names in the source; may repeat */
    const tfn_type *feature_types;  /* declared; the unit of a timestamp is the source's own */
    int64_t ttl_us;                 /* 0 = unbounded; never negative */
    bool filter_by_created;         /* join only: created <= the entity row's time */
    bool has_known_at;
    tfn_instant known_at; /* created <= known_at; a missing created is not known */
} tfn_join_view;

/* How to run; a zeroed struct is the defaults. */
typedef struct tfn_offline_opts {
    int n_threads;       /* 0 = as many as there are cores; the answer does not depend on it */
    bool force_one_step; /* read the source once even if rows could be found again */
    int64_t reader_memory_bytes; /* what the reader of files may use; 0 = its default */
    tfn_tick_fn tick;            /* [NULL allowed] */
    void *tick_context;
} tfn_offline_opts;

/* ---- spine ------------------------------------------------------------------------------- */

typedef struct tfn_spine tfn_spine;

/**
 * Index the entity rows of a frame, once for all views that have the same keys.
 *
 * @param frame      [borrow]
 * @param key_cols   [borrow] n_keys column indices of the frame, in the order of the join keys
 * @param key_types  [borrow] n_keys declared types
 * @param time_col   column index of the entity time: timestamp of any unit, or date
 * @param crew       whose threads work on it, and whose tick may stop it. The index does not depend
 *                   on the number of threads
 * @param out        [own] ends with tfn_spine_destroy
 *
 * Nulls    a row with a null in any key column matches nothing
 * Cost     O(n) time: keys are hashed once, times radix-sorted; about 40 bytes per row while it is
 *          built; afterwards 12 bytes per row, and per distinct key its bytes and about 60 more
 * Threads  any; the spine is immutable
 * Errors   TFN_INVALID a null entity time: names the first such row and the column
 *          TFN_SCHEMA a key or time column of a type that cannot be read so: names column and types
 *          TFN_LIMIT more than 2^32 - 2 rows . TFN_CANCELLED . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_spine_create(const tfn_frame *frame, const size_t *key_cols,
                                        const tfn_type *key_types, size_t n_keys, size_t time_col,
                                        tfn_crew *crew, tfn_spine **out, tfn_error *err);
void tfn_spine_destroy(tfn_spine *s);

int64_t tfn_spine_get_n_rows(const tfn_spine *s);
int64_t tfn_spine_get_n_groups(const tfn_spine *s); /* distinct keys */
int64_t tfn_spine_get_n_slots(const tfn_spine *s);  /* distinct keys and times */
/** First and last entity time of rows that have a key; false when there is none. */
bool tfn_spine_get_time_range(const tfn_spine *s, tfn_instant *first, tfn_instant *last);

/* ---- join -------------------------------------------------------------------------------- */

/* What a join did. Every row read is counted under exactly one of the reasons, or as eligible. */
typedef struct tfn_join_stats {
    bool two_step;
    int64_t n_spine_rows;
    int64_t n_spine_rows_without_key; /* a null in a key */
    int64_t n_spine_rows_matched;
    int64_t n_groups;
    int64_t n_slots;
    int64_t n_winners; /* distinct source rows in the answer */
    int64_t n_rows_read;
    int64_t n_rows_without_time; /* null */
    int64_t n_rows_infinite_time;
    int64_t n_rows_without_key; /* null, or not of the declared type's range */
    int64_t n_rows_not_known; /* kept out by known_at, or created missing under a created filter */
    int64_t n_rows_without_match; /* no entity row has this key */
    int64_t n_rows_too_late;      /* after the last entity row of this key */
    int64_t n_rows_expired;       /* older than ttl at the first entity row that could see them */
    int64_t n_rows_eligible;
    int64_t n_rows_saturated;  /* of the known: event time out of range in the entity time's unit */
    int64_t n_slots_looked_at; /* all, or those of evenly spaced keys; of these: */
    int64_t n_slots_won;       /* have a winner */
    int64_t n_slots_expired;   /* have none, but their key had a row, older than the ttl */
    int64_t n_slots_created_later; /* have a winner that was created after the entity time */
    int64_t bytes_index;           /* memory: the spine's, the slots', the winners' values */
    int64_t bytes_slots;
    int64_t bytes_values;
    tfn_scan_stats scans[2]; /* keys and times (or everything); features of winners */
    double seconds_index;    /* the spine's, which views of the same keys share */
    double seconds_scan;
    double seconds_walk;
    double seconds_values; /* second scan */
    double seconds_output;
} tfn_join_stats;

/** Add what another join of the same view did (another part of the entity rows): counts and seconds
 * are summed; bytes are of the larger one. Threads one at a time. Errors none. */
void tfn_join_stats_add(tfn_join_stats *sum, const tfn_join_stats *more);

/**
 * For every row of the spine, the features of the newest source row that it may see.
 *
 * @param spine   [borrow]
 * @param view    [borrow] same number and types of keys as the spine
 * @param source  [borrow] scanned once or twice (a stream can be used for one join only)
 * @param opts    [borrow, NULL = defaults]
 * @param out     [out] view->n_features columns of n spine rows, in spine order: each [own], ends
 *                with tfn_column_release. On error all NULL.
 * @param stats   [out, nullable]
 *
 * Units    ttl_us microseconds; timestamp features in the source's own unit
 * Nulls    null key, no candidate, or candidate older than ttl -> null in every feature
 * Ties     event time, then created time (missing: lowest), then position: greatest wins
 * Cost     O(n + m log g) time, m source rows, g entity times per key; memory O(n) whatever m is
 * Threads  any; one join at a time per source; same output for every n_threads
 * Errors   TFN_INVALID a created filter on a view without created column; a negative ttl; keys
 *          that are not the spine's . TFN_SCHEMA a column of the source is missing or of another
 *          type, or a winner's value does not fit: names source, column, value
 *          TFN_CANCELLED . TFN_IO . TFN_NO_MEMORY and what the source reports; all prefixed with
 *          the view's name
 * Source   docs/semantics/point-in-time.md
 * Model    tests/model/model_join.c
 */
TFN_NODISCARD tfn_code tfn_join_run(const tfn_spine *spine, const tfn_join_view *view,
                                    tfn_source *source, const tfn_offline_opts *opts,
                                    tfn_column **out, tfn_join_stats *stats, tfn_error *err);

/* What a join will do, known before it runs. */
typedef struct tfn_join_plan {
    bool two_step;
    int n_scans;
    int64_t n_spine_rows;
    int64_t n_groups;
    int64_t n_slots;
    int64_t bytes_index;
    int64_t bytes_slots;
    int64_t bytes_values_max; /* fixed parts, if every slot gets a winner of its own */
    int64_t bytes_output;     /* fixed-width parts */
} tfn_join_plan;

/**
 * Plan a join: numbers, and the same with what the source would read as one JSON object:
 * {"view","source","rule":{...},"form","why","passes","rows","groups","slots","memory":{...},
 * "scans":[...]} (docs/formats/explain.md).
 *
 * @param plan  [out, nullable]
 * @param json  [out, nullable] the object is added to it
 *
 * Threads  any
 * Errors   as tfn_join_run for what can be known before reading
 */
TFN_NODISCARD tfn_code tfn_join_explain(const tfn_spine *spine, const tfn_join_view *view,
                                        tfn_source *source, const tfn_offline_opts *opts,
                                        tfn_join_plan *plan, tfn_buf *json, tfn_error *err);

/* ---- latest ------------------------------------------------------------------------------ */

/*
 * Which rows take part: event time in [start, end], or (late data) created in
 * (created_after, created_until] and event time <= end. A zeroed struct: all rows.
 */
typedef struct tfn_latest_window {
    bool has_start;
    bool has_end;
    bool has_created;
    tfn_instant start;
    tfn_instant end;
    tfn_instant created_after;
    tfn_instant created_until;
    const tfn_keyset *keys; /* [borrow, NULL = every key] made for the view's key types */
} tfn_latest_window;

typedef struct tfn_latest_stats {
    int64_t n_rows_read;
    int64_t n_rows_without_time;
    int64_t n_rows_infinite_time;
    int64_t n_rows_without_key;
    int64_t n_rows_not_known; /* kept out by known_at */
    int64_t n_rows_outside;   /* outside of the window */
    int64_t n_rows_not_asked; /* of a key that is not in the key set */
    int64_t n_rows_eligible;
    int64_t n_rows_late; /* of the eligible: only through their created time */
    int64_t n_keys;
    int64_t bytes_values;
    tfn_scan_stats scan;
    double seconds_scan;
    double seconds_sort;
    double seconds_output;
} tfn_latest_stats;

typedef struct tfn_latest tfn_latest;

/**
 * The newest row of every key.
 *
 * @param view    [borrow] ttl_us and filter_by_created are not used (no entity row, no age)
 * @param source  [borrow] scanned once
 * @param window  [borrow, NULL = all rows]
 * @param opts    [borrow, NULL = defaults]
 * @param out     [own] ends with tfn_latest_destroy
 * @param stats   [out, nullable]
 *
 * Shape    one row per key that has a row in the window, ascending by key bytes (column/key.h)
 * Ties     event time, then created time (missing: lowest), then position: greatest wins
 * Cost     O(m + k log k) time, O(k) memory; m rows, k keys
 * Threads  any; same output for every n_threads
 * Errors   TFN_INVALID known_at or a created window on a view without created column
 *          TFN_SCHEMA . TFN_CANCELLED . TFN_IO . TFN_LIMIT more than 2^32 - 2 keys . TFN_NO_MEMORY
 *          as tfn_join_run
 * Model    tests/model/model_latest.c
 */
TFN_NODISCARD tfn_code tfn_latest_run(const tfn_join_view *view, tfn_source *source,
                                      const tfn_latest_window *window, const tfn_offline_opts *opts,
                                      tfn_latest **out, tfn_latest_stats *stats, tfn_error *err);
void tfn_latest_destroy(tfn_latest *l);

int64_t tfn_latest_get_n_rows(const tfn_latest *l);
/** Encoded key of row i; borrowed from the result. */
tfn_str tfn_latest_get_key(const tfn_latest *l, int64_t i);
tfn_instant tfn_latest_get_event(const tfn_latest *l, int64_t i);
/** Created time of row i; TFN_INSTANT_NONE when the view has none or it is missing. */
tfn_instant tfn_latest_get_created(const tfn_latest *l, int64_t i);
/**
 * All of it as columns: keys, event time, created time if the view has one, features.
 *
 * @param view  [borrow] as it was run
 * @param out   [out] that many columns, each [own]; all NULL on error
 *
 * Nulls    a created time that is missing or infinite is null
 * Errors   TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_latest_take(const tfn_latest *l, const tfn_join_view *view,
                                       tfn_column **out, tfn_error *err);
/** Feature column, in key order; borrowed from the result (retain it to keep it). */
tfn_column *tfn_latest_get_column(const tfn_latest *l, size_t i_feature);
/** Units in which the source has its times (the columns above keep their own). */
tfn_unit tfn_latest_get_event_unit(const tfn_latest *l);
tfn_unit tfn_latest_get_created_unit(const tfn_latest *l);

#endif
