/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SOURCE_DUCKDB_H
#define TFN_SOURCE_DUCKDB_H

/* The loaded DuckDB: one instance per process and library, its connections, statements and kernel.
 */

#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/str.h"
#include "source/duckdb_api.h"
#include "source/files.h"

enum { TFN__MAX_LIVE_RUNS = 256 };

/* A running scan as the kernel knows it. */
typedef struct tfn__run tfn__run;

/* What an instance knows of buckets (httpfs.c). */
typedef struct tfn__remotes tfn__remotes;

typedef struct tfn__duck {
    char *library;
    pid_t pid;
    duck_api api;
    duck_database database;
    size_t own_memory_bytes; /* while nothing is scanned: for files that are opened */
    int n_threads;           /* guarded by the table's mutex, as all below */
    size_t memory_bytes;     /* DuckDB's limit as it is */
    int n_live;
    size_t live_memory_bytes[TFN__MAX_LIVE_RUNS]; /* by run id; 0 = no run of this instance */
    tfn__remotes *remotes;
} tfn__duck;

/** The instance of a handle in this process, opened if need be. Never ends. Threads any.
 * Errors TFN_UNSUPPORTED . TFN_IO . TFN_NO_MEMORY */
TFN_NODISCARD tfn_code tfn__duck_get(tfn_duckdb *d, tfn__duck **out, tfn_error *err);

/** Threads that scans of this handle use. */
int tfn__duck_get_n_threads(const tfn_duckdb *d, int n_threads);

/** Bytes that DuckDB may use in a scan: the handle's, or less if less is asked for (0 = no). */
size_t tfn__duck_get_memory_bytes(const tfn_duckdb *d, int64_t memory_bytes);

/** A new connection in UTC; ends with tfn__duck_disconnect. Errors TFN_IO . TFN_NO_MEMORY */
TFN_NODISCARD tfn_code tfn__duck_connect(tfn__duck *duck, duck_connection *out, tfn_error *err);
void tfn__duck_disconnect(tfn__duck *duck, duck_connection *connection);

/**
 * Make a run known to the kernel under an id, until tfn__duck_end_run; sets the instance's threads
 * when no other run is live, and its memory to what all live runs may use together. Errors
 * TFN_LIMIT too many scans at once.
 */
TFN_NODISCARD tfn_code tfn__duck_begin_run(tfn__duck *duck, tfn__run *run, int n_threads,
                                           size_t memory_bytes, int *id, tfn_error *err);
/** Takes the run's memory back; after the last one the instance has its own again. */
void tfn__duck_end_run(tfn__duck *duck, int id);

/** The live run of an id, or NULL. Takes no lock. */
tfn__run *tfn__duck_find_run(uint64_t id);

/* One row of an answer: texts, p == NULL for null; borrowed during the call. */
typedef tfn_code (*tfn__row_fn)(void *context, const tfn_str *cells, size_t n, tfn_error *err);

/** The number that a cell begins with; 0 for null and for what is none. */
int64_t tfn__duck_number_of(tfn_str cell);

typedef struct tfn__statement {
    const char *sql;      /* [borrow] one statement */
    tfn_str label;        /* [borrow] source that messages speak of */
    tfn__row_fn take_row; /* nullable; all columns of the answer are VARCHAR */
    void *context;
    bool (*wants_stop)(void *context); /* nullable; asked about every 50 ms on this thread */
    void *stop_context;
} tfn__statement;

/** Run a statement to its end. Errors as tfn__duck_fail. Threads one at a time per connection. */
TFN_NODISCARD tfn_code tfn__duck_execute(tfn__duck *duck, duck_connection connection,
                                         const tfn__statement *statement, tfn_error *err);

/** Turn DuckDB's text into one sentence of ours, and its kind into a code. */
tfn_code tfn__duck_fail(const char *text, tfn_str label, tfn_error *err);

/** Add "name" or 'text' to a statement, quoted. Errors TFN_NO_MEMORY. */
TFN_NODISCARD tfn_code tfn__sql_add_name(tfn_buf *sql, tfn_str name, tfn_error *err);
TFN_NODISCARD tfn_code tfn__sql_add_text(tfn_buf *sql, tfn_str text, tfn_error *err);

/** Errors TFN_NO_MEMORY. */
TFN_NODISCARD tfn_code tfn__remotes_create(tfn__remotes **out, tfn_error *err);
void tfn__remotes_destroy(tfn__remotes *r);

/** The kernel: hands a chunk to the run whose id stands in its first column (scan.c). */
void tfn__duck_kernel(const duck_api *api, duck_info info, duck_chunk input, duck_vector output);

#endif
