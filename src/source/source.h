/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SOURCE_SOURCE_H
#define TFN_SOURCE_SOURCE_H

/*
 * Where rows come from: one interface, two implementations.
 *
 *   files    Parquet and CSV through DuckDB (source/files.h); Parquet again by position
 *   stream   an Arrow stream (below); read once, in order, by as many threads as are wanted
 *
 * A scan pushes chunks to a consumer from several threads at once. It returns when every chunk was
 * consumed, or with the first error.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/time.h"
#include "column/chunk.h"
#include "column/frame.h"
#include "tiffin/progress.h"

typedef struct tfn_source tfn_source;

/* A column as the source has it. */
typedef struct tfn_source_column {
    tfn_str name;
    tfn_type type;       /* kind NONE: a type that Tiffin does not have (see native_type) */
    tfn_str native_type; /* the reader's own word for it, e.g. "DECIMAL(10,2)" */
    bool is_text;        /* cells are text (CSV), and `type` is a guess: they are parsed as what is
                            declared, and a cell that does not parse is an error of the scan */
} tfn_source_column;

/* Rows whose position p has first <= p <= last. */
typedef struct tfn_position_range {
    uint64_t first;
    uint64_t last;
} tfn_position_range;

typedef struct tfn_scan {
    const tfn_str *columns; /* [borrow] source names, in the order in which vectors are wanted; the
                               same name may stand twice */
    size_t n_columns;
    const tfn_type *types; /* [borrow, NULL = any] declared type of each column (kind NONE = any):
                              a column that cannot be read so is TFN_SCHEMA */
    int64_t i_time; /* index in `columns` of the time that the bounds below speak of; -1 = none */
    bool has_time_min; /* rows below (above) may be left out by the reader; they may also come */
    bool has_time_max;
    tfn_instant time_min; /* inclusive */
    tfn_instant time_max; /* inclusive */
    const tfn_position_range
        *ranges; /* [borrow] ascending, disjoint; only rows inside need come, but
                    others may. n_ranges 0 = all. Re-scannable sources only */
    size_t n_ranges;
    int n_threads;               /* 0 = as many as there are cores */
    int64_t reader_memory_bytes; /* files: what their reader may use; 0 = its default */
    const char *what;            /* [borrow] for progress, e.g. "reading weather" */
    tfn_chunk_fn consume;        /* called from up to tfn_source_get_n_workers() threads at once */
    void *context;
    tfn_tick_fn tick; /* [NULL allowed] */
    void *tick_context;
} tfn_scan;

/* What a scan did, for explain. */
typedef struct tfn_scan_stats {
    int64_t n_files;
    int64_t n_rows;          /* rows handed to the consumer */
    int64_t n_rows_in_files; /* -1 = unknown */
    int64_t n_bytes_in_files;
    double seconds;
} tfn_scan_stats;

/** Highest number of workers that a scan with n_threads uses (consumers size per-worker state). */
int tfn_source_get_n_workers(const tfn_source *s, int n_threads);

/** True when rows can be found again by position in a second scan (two-step joins). */
bool tfn_source_can_rescan(const tfn_source *s);

/** Columns, in the source's order; borrowed until the source is released. */
const tfn_source_column *tfn_source_get_columns(const tfn_source *s, size_t *n_columns);

/** Index of a column by exact name, or -1. */
int64_t tfn_source_find_column(const tfn_source *s, tfn_str name);

/** True for a column of nothing but nulls, of which nobody knows the type: it reads as any type. */
bool tfn_source_column_is_null(const tfn_source_column *c);

/**
 * Can a column be read as a type (kind NONE = as what it is)? As tfn_type_can_read says; and where
 * cells are text, also by parsing them.
 */
bool tfn_source_column_can_read(const tfn_source_column *c, tfn_type declared);

/** What to call it in messages: path, or "the frame". Borrowed. */
tfn_str tfn_source_get_label(const tfn_source *s);

/** Would a scan find its columns, readable as declared? Reads nothing. Errors TFN_SCHEMA and
 * TFN_INVALID as tfn_source_scan. @param scan [borrow] */
TFN_NODISCARD tfn_code tfn_source_check(const tfn_source *s, const tfn_scan *scan, tfn_error *err);

/**
 * Read. The identity of every file is taken when the source is opened and checked after each scan.
 *
 * @param scan   [borrow]
 * @param stats  [out, nullable]
 *
 * Threads  one scan at a time per source; the consumer runs on the reader's threads
 * Errors   TFN_SCHEMA a column is missing or cannot be read as declared: file, column, expected,
 * found TFN_IO unreadable, truncated or changed while read: names the file TFN_CORRUPT a page cannot be
 * decoded: names file and row group TFN_CANCELLED the tick
 * asked to stop . TFN_INVALID a second scan of a stream TFN_UNSUPPORTED DuckDB is not there: says
 * what to install . TFN_NO_MEMORY and whatever the consumer returns
 */
TFN_NODISCARD tfn_code tfn_source_scan(tfn_source *s, const tfn_scan *scan, tfn_scan_stats *stats,
                                       tfn_error *err);

/** What a scan would read, as one JSON object added to `out` (files, rows, bytes, columns,
 * predicate). Errors TFN_NO_MEMORY . TFN_IO */
TFN_NODISCARD tfn_code tfn_source_explain(tfn_source *s, const tfn_scan *scan, tfn_buf *out,
                                          tfn_error *err);

void tfn_source_destroy(tfn_source *s);

/**
 * A source over an Arrow stream: batches are pulled under a lock and cut into chunks of at most
 * 2,048 rows, which n_threads threads of ours consume. Position = row in the stream.
 *
 * @param stream  [take]
 * @param label   [copy] for messages
 * @param out     [own] ends with tfn_source_destroy
 *
 * Errors   TFN_INVALID not a stream of record batches . TFN_IO its producer's error . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_source_of_stream(struct ArrowArrayStream *stream, tfn_str label,
                                            tfn_source **out, tfn_error *err);

/** A source over a frame in memory; can be scanned again. @param f [borrow] retained. */
TFN_NODISCARD tfn_code tfn_source_of_frame(tfn_frame *f, tfn_str label, tfn_source **out,
                                           tfn_error *err);

#endif
