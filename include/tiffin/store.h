/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TIFFIN_STORE_H
#define TIFFIN_STORE_H

/**
 * The feature store: open one, change its definitions, build training sets, load and read the
 * online store. Every other surface (Python, command line, servers) calls these verbs and nothing
 * else.
 *
 * Text answers are JSON, UTF-8, owned by the caller and ended with tfn_text_destroy.
 * Times are tfn_time; a zeroed one means "not given".
 */

#include <stddef.h>
#include <stdint.h>

#include "tiffin/arrow.h"
#include "tiffin/error.h"
#include "tiffin/progress.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tfn_store tfn_store;
typedef struct tfn_lookup tfn_lookup;
typedef struct tfn_answer tfn_answer;

/** An instant, UTC. */
typedef struct tfn_time {
    int64_t seconds; /* since 1970-01-01T00:00:00Z, floor */
    int32_t nanos;   /* 0 .. 999,999,999 */
    int32_t is_set;  /* 0 = not given */
} tfn_time;

typedef enum tfn_online_ttl {
    TFN_ONLINE_TTL_ABSENT = 0, /* not said: as IGNORE, and lookups report what would have expired */
    TFN_ONLINE_TTL_IGNORE = 1, /* values are served whatever their age */
    TFN_ONLINE_TTL_ENFORCE = 2 /* older than the view's ttl: null, OUTSIDE_MAX_AGE */
} tfn_online_ttl;

/** How to open a store. Zeroed = defaults; set struct_size, project and registry_path. */
typedef struct tfn_store_opts {
    size_t struct_size;
    const char *project;        /* which project of the registry */
    const char *registry_path;  /* file; made when the first change is applied */
    const char *online_path;    /* folder of the online store (LMDB); NULL = none, or redis */
    const char *base_path;      /* where relative source paths start; NULL = working directory */
    const char *duckdb_library; /* shared library that exports DuckDB's C API; NULL = search */
    size_t duckdb_memory_bytes; /* DuckDB's own buffers; 0 = 256 MB + 128 MB per thread, and at most
                                   half of the memory limit where there is one */
    int64_t memory_limit_bytes; /* of a training set, DuckDB's share included; 0 = a quarter of the
                                   memory that this process may use */
    const char *temp_path;      /* folder of temporary files; NULL = $TMPDIR, else /tmp */
    int32_t n_threads;          /* 0 = one per core */
    int32_t online_ttl;         /* tfn_online_ttl */
    const char *s3;    /* JSON object: how to reach s3:// sources (docs/sources.md); NULL = as the
                       environment says */
    const char *redis; /* JSON object: an online store in Redis (docs/online-redis.md); NULL = no */
    int32_t online_sync; /* writes to LMDB: 0 = each has its fsync, 1 = those of the same few
                            milliseconds share one; either way before they are acknowledged */
    int32_t reserved;
    int64_t online_max_ahead_seconds; /* rows written online by hand may be dated so far ahead of
                                         the clock; 0 = 300 */
} tfn_store_opts;

/**
 * Open a store. Reads nothing yet: the registry is read at the first call that needs it.
 *
 * @param opts  [copy]
 * @param out   [own] ends with tfn_store_close
 * @param err   [out, nullable]
 *
 * Threads  any; the store may then be used by many threads, and after a fork
 * Errors   TFN_INVALID a missing or malformed option . TFN_NO_MEMORY
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_open(const tfn_store_opts *opts, tfn_store **out,
                                              tfn_error *err);

/**
 * Close a store. Lookups and streams made from it stay usable until they are ended.
 *
 * @param store  [take, nullable]
 *
 * Threads  one at a time, when no other call on it runs
 * Errors   none
 */
TFN_API void tfn_store_close(tfn_store *store);

/**
 * End a text answer.
 *
 * @param text  [take, nullable]
 *
 * Threads  any
 * Errors   none
 */
TFN_API void tfn_text_destroy(char *text);

/* ---- definitions ---- */

/**
 * What an apply would do: by object and field, and what is refused and why. Schemas that were left
 * out are inferred from their sources. Changes nothing.
 *
 * @param request  [borrow] JSON: {"objects": [document, ...], "delete": [{"kind", "name"}, ...],
 *                 "delete_missing": false} (docs/formats/definitions.md)
 * @param answer   [own] JSON: {"base_commit", "changes": [...], "refused": [...]}
 * @param err      [out, nullable]
 *
 * Threads  any
 * Errors   TFN_INVALID not such a document . TFN_IO . TFN_CORRUPT . TFN_NO_MEMORY
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_plan(tfn_store *store, const char *request, char **answer,
                                              tfn_error *err);

/**
 * Apply: all of it as one commit, or nothing. Request as for tfn_store_plan, and "expected_commit"
 * (-1 = any) and "message".
 *
 * @param request  [borrow] JSON
 * @param answer   [own] as tfn_store_plan's, and "commit"
 * @param err      [out, nullable]
 *
 * Threads  any; two processes that apply at once both succeed or one gets TFN_CONFLICT
 * Errors   TFN_INVALID, TFN_SCHEMA, TFN_NOT_FOUND something is refused (first reason, and how many
 *          more) . TFN_CONFLICT . TFN_IO . TFN_CORRUPT . TFN_NO_MEMORY
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_apply(tfn_store *store, const char *request, char **answer,
                                               tfn_error *err);

/**
 * Objects of one kind.
 *
 * @param kind    [borrow] "entity", "data_source", "feature_view", "on_demand_feature_view",
 *                "feature_service", "saved_dataset", "project"
 * @param tags    [borrow, nullable] JSON object; only objects that have all these pairs
 * @param commit  which state: a commit number, or -1 = newest
 * @param answer  [own] JSON array of documents
 * @param err     [out, nullable]
 *
 * Threads  any
 * Errors   TFN_INVALID . TFN_NOT_FOUND no such commit . TFN_IO . TFN_NO_MEMORY
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_list(tfn_store *store, const char *kind, const char *tags,
                                              int64_t commit, char **answer, tfn_error *err);

/**
 * One object.
 *
 * @param kind, name  [borrow]
 * @param commit      as tfn_store_list
 * @param answer      [own] the document
 * @param err         [out, nullable]
 *
 * Threads  any
 * Errors   TFN_NOT_FOUND names what exists . TFN_INVALID . TFN_IO . TFN_NO_MEMORY
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_get(tfn_store *store, const char *kind, const char *name,
                                             int64_t commit, char **answer, tfn_error *err);

/**
 * History: the newest `limit` commits (0 = all), newest first.
 *
 * @param answer  [own] JSON array
 * @param err     [out, nullable]
 *
 * Threads  any
 * Errors   TFN_IO . TFN_NO_MEMORY
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_log(tfn_store *store, int64_t limit, char **answer,
                                             tfn_error *err);

/**
 * What one commit changed, by object and field.
 *
 * @param answer  [own] JSON object
 * @param err     [out, nullable]
 *
 * Threads  any
 * Errors   TFN_NOT_FOUND no such commit . TFN_IO . TFN_NO_MEMORY
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_show(tfn_store *store, int64_t commit, char **answer,
                                              tfn_error *err);

/**
 * All projects of the registry.
 *
 * @param answer  [own] JSON array of documents
 * @param err     [out, nullable]
 *
 * Threads  any
 * Errors   TFN_IO . TFN_NO_MEMORY
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_projects(tfn_store *store, char **answer, tfn_error *err);

/**
 * Ask whether the online store answers; a project without one is well, too.
 *
 * @param err  [out, nullable]
 *
 * Cost     Redis: a round trip to one node; none while that node is known to be away. LMDB: none
 * Threads  any
 * Errors   TFN_UNAVAILABLE it is away . TFN_INVALID it refuses us . TFN_NO_MEMORY
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_ping(tfn_store *store, tfn_error *err);

/**
 * State of every view online: live generation, rows, and its watermark (what of the source is online).
 *
 * @param answer  [own] JSON array
 * @param err     [out, nullable]
 *
 * Threads  any
 * Errors   TFN_IO . TFN_NO_MEMORY
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_status(tfn_store *store, char **answer, tfn_error *err);

/**
 * Number of the newest commit: another one means that definitions may have changed.
 *
 * @param commit  [out]
 * @param err     [out, nullable]
 *
 * Threads  any
 * Errors   TFN_NOT_FOUND nothing was ever applied . TFN_IO . TFN_NO_MEMORY
 * Cost     some microseconds
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_get_commit(tfn_store *store, int64_t *commit,
                                                    tfn_error *err);

/**
 * Remove this project: its definitions (as a commit; history stays), its run states and its online
 * rows. Other projects are not touched.
 *
 * @param answer  [own] JSON: what was removed
 * @param err     [out, nullable]
 *
 * Threads  any
 * Errors   TFN_IO . TFN_CONFLICT . TFN_NO_MEMORY
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_teardown(tfn_store *store, char **answer, tfn_error *err);

/**
 * Columns of a data source that need not be applied yet.
 *
 * @param document  [borrow] a data_source document
 * @param answer    [own] JSON: [{"name", "dtype", "native_type"}, ...]; dtype "" = not ours
 * @param err       [out, nullable]
 *
 * Threads  any
 * Errors   TFN_IO, TFN_SCHEMA name the file . TFN_UNSUPPORTED no DuckDB . TFN_NO_MEMORY
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_describe_source(tfn_store *store, const char *document,
                                                         char **answer, tfn_error *err);

/* ---- on-demand feature views ---- */

/**
 * What a request takes that names on-demand feature views, directly or in a service. Their
 * functions are run by the caller; training sets and lookups read what the functions need.
 *
 * @param features  [borrow] JSON as tfn_historical_request.features
 * @param answer    [own] JSON: {"commit", "on_demand": [...]}; when "on_demand" is empty, the request
 *                  needs no more than itself. Otherwise "request" is one for the reading verbs
 *                  (without projections: nothing needs to be read), each of "on_demand" is to be
 *                  run in order ({"name", "mode", "singleton", "module", "function", "hash",
 *                  "inputs": [{"names", "column", "is_request", "dtype"}], "outputs": [{"name",
 *                  "dtype"}]}) and leaves columns "<name>:<output>", and "columns": [{"name",
 *                  "column"}] is what to give out. A column is one that "request" reads, one that
 *                  was computed, or, with "is_request", a field of the entity rows
 * @param err       [out, nullable]
 *
 * Threads  any
 * Errors   TFN_NOT_FOUND . TFN_INVALID . TFN_IO . TFN_NO_MEMORY
 * Source   docs/semantics/on-demand.md
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_resolve(tfn_store *store, const char *features,
                                                 char **answer, tfn_error *err);

/* ---- training sets ---- */

typedef struct tfn_historical_request {
    size_t struct_size;
    const char *features;       /* JSON: {"features": ["view:feature", ...]} or {"service": name} or
                                  {"projections": [...]}; and "full_feature_names": bool */
    const char *time_column;    /* NULL = "event_timestamp", else the only time column */
    int32_t filter_by_created;  /* 1: only rows created at or before the entity time */
    int32_t force_one_step;     /* 1: never scan twice (tests, comparisons) */
    tfn_time known_at;          /* set: only rows created at or before this instant */
    int64_t memory_limit_bytes; /* 0 = the store's */
    int64_t max_batch_rows;     /* of a batch of the answer; 0 = batches as the spine has them */
    tfn_tick_fn tick;           /* [NULL allowed] */
    void *tick_context;
} tfn_historical_request;

/**
 * Point-in-time correct training set: every spine row, once, in order, with all its columns, then
 * the features in the order asked. The rule is docs/semantics/point-in-time.md.
 *
 * What does not fit in the memory limit is joined in parts. Where the parts are runs of rows, `out`
 * computes them as it is read: its errors are then those of a stream (an errno and a sentence), and
 * the report is of what was done before this call returned. tfn_store_begin_training gives both
 * whole.
 *
 * @param request  [borrow] tick_context [borrow until out is released]
 * @param spine    [take] entity rows: join keys, one time column (no nulls), anything else. Taken
 *                 once it has been read, which may be before an error: release it if `release` is
 *                 not NULL
 * @param out      [own, nullable] on TFN_OK a stream of n rows, to be released by the caller;
 *                 NULL = explain only
 * @param report   [own, nullable] JSON: what was (or would be) read and done, and seconds per step
 * @param err      [out, nullable]
 *
 * Shape    spine (n x c) -> n x (c + f)
 * Units    times are compared in the finer unit of spine and source; naive = UTC
 * Nulls    null key, no candidate, candidate older than ttl -> null features
 * Cost     about one scan of each source; memory for spine and winners, within the memory limit
 *          (docs/semantics/memory.md)
 * Threads  any; the result is the same for any number of threads
 * Errors   TFN_NOT_FOUND view, feature, service . TFN_SCHEMA column missing or mistyped .
 * TFN_INVALID null entity time, ambiguous names or time column . TFN_IO . TFN_CANCELLED . TFN_LIMIT
 * . TFN_UNSUPPORTED no DuckDB . TFN_NO_MEMORY
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_historical(tfn_store *store,
                                                    const tfn_historical_request *request,
                                                    struct ArrowArrayStream *spine,
                                                    struct ArrowArrayStream *out, char **report,
                                                    tfn_error *err);

/** A training set that is computed piece by piece. */
typedef struct tfn_training tfn_training;

/**
 * Begin a training set: names are resolved, the spine is read, parts are planned. Nothing is joined
 * yet.
 *
 * @param request  [borrow] tick and tick_context are not used: each call below takes its own
 * @param spine    [take] as tfn_store_historical
 * @param out      [own] ends with tfn_training_end; keeps the store alive
 * @param err      [out, nullable]
 *
 * Threads  any
 * Errors   as tfn_store_historical, but those of reading sources; TFN_LIMIT the memory limit is too
 *          small: says which would do
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_begin_training(tfn_store *store,
                                                        const tfn_historical_request *request,
                                                        struct ArrowArrayStream *spine,
                                                        tfn_training **out, tfn_error *err);

/**
 * Schema of the batches. The first part is joined if it was not yet: only sources know the units of
 * their times.
 *
 * @param tick          [NULL allowed] for this call
 * @param tick_context  [borrow until the call returns]
 * @param schema        [own] a struct: the spine's columns, then the features
 * @param err           [out, nullable]
 *
 * Threads  one at a time
 * Errors   as tfn_training_next
 */
TFN_API TFN_NODISCARD tfn_code tfn_training_get_schema(tfn_training *training, tfn_tick_fn tick,
                                                       void *tick_context,
                                                       struct ArrowSchema *schema, tfn_error *err);

/**
 * The next record batch; the part that it lies in is joined if it was not yet.
 *
 * @param tick          [NULL allowed] for this call
 * @param tick_context  [borrow until the call returns]
 * @param batch         [own] `release` is NULL at the end
 * @param err           [out, nullable]
 *
 * Shape    batches follow each other: together they are the spine's rows, once, in order
 * Threads  one at a time
 * Errors   as tfn_store_historical; the training set can then only be ended
 */
TFN_API TFN_NODISCARD tfn_code tfn_training_next(tfn_training *training, tfn_tick_fn tick,
                                                 void *tick_context, struct ArrowArray *batch,
                                                 tfn_error *err);

/**
 * What was read and done; afterwards the training set can only be ended.
 *
 * @param report  [own] JSON as tfn_store_historical's
 * @param err     [out, nullable]
 *
 * Threads  one at a time
 * Errors   TFN_NO_MEMORY
 */
TFN_API TFN_NODISCARD tfn_code tfn_training_report(tfn_training *training, char **report,
                                                   tfn_error *err);

/**
 * End a training set, finished or not: memory, threads and temporary files are given back. Batches
 * stay usable.
 *
 * @param training  [take, nullable]
 *
 * Threads  one at a time
 * Errors   none
 */
TFN_API void tfn_training_end(tfn_training *training);

/* ---- rows of the past, without entity rows ---- */

typedef struct tfn_rows_request {
    size_t struct_size;
    const char *features; /* JSON as tfn_historical_request.features; of exactly one view */
    tfn_time start;       /* event times, inclusive; not set = from the first row */
    tfn_time end;         /* inclusive; not set = to the last row */
    tfn_time known_at;    /* set: only rows created at or before this instant */
    int64_t max_bytes;    /* history: most memory for rows and answer; 0 = the store's limit */
    tfn_tick_fn tick;     /* [NULL allowed] */
    void *tick_context;
} tfn_rows_request;

/**
 * The newest row of every key as of `end`, whatever its age: what tfn_store_materialize would load.
 * The rule is docs/semantics/point-in-time.md, "The newest row of a key".
 *
 * @param request  [borrow]
 * @param keys     [take, nullable] a table with the join keys as columns: only these keys. NULL =
 *                 all. Taken once it has been read, as the spine of tfn_store_historical
 * @param out      [own] on TFN_OK: join keys, the source's time column and (if it has one) created
 *                 column, features in the order asked; released by the caller
 * @param report   [own, nullable] JSON: rows, keys, and what became of every row read
 * @param err      [out, nullable]
 *
 * Shape    one row per key, ascending by key
 * Units    times in the source's own units, UTC
 * Cost     one scan; memory for one row per key
 * Threads  any; the result is the same for any number of threads
 * Errors   TFN_INVALID several views, a window that ends before it starts, keys of a view without
 *          entities . TFN_NOT_FOUND . TFN_SCHEMA . TFN_IO . TFN_CANCELLED . TFN_LIMIT .
 *          TFN_UNSUPPORTED no DuckDB . TFN_NO_MEMORY
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_latest(tfn_store *store, const tfn_rows_request *request,
                                                struct ArrowArrayStream *keys,
                                                struct ArrowArrayStream *out, char **report,
                                                tfn_error *err);

/**
 * All source rows of one view in a window of event times. The rule is
 * docs/semantics/point-in-time.md, "All rows of a window".
 *
 * @param request  [borrow]
 * @param keys     [take, nullable] as tfn_store_latest
 * @param out      [own] on TFN_OK: columns as tfn_store_latest; released by the caller
 * @param report   [own, nullable] JSON as tfn_store_latest
 * @param err      [out, nullable]
 *
 * Shape    one row per source row with a key and a finite time, ascending by key, event time,
 *          created time (missing: first) and position in the source
 * Nulls    a created time that is missing or infinite is null
 * Cost     one scan; memory for all rows of the answer, at most max_bytes of it
 * Threads  any; the result is the same for any number of threads
 * Errors   TFN_LIMIT more than max_bytes . others as tfn_store_latest
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_history(tfn_store *store, const tfn_rows_request *request,
                                                 struct ArrowArrayStream *keys,
                                                 struct ArrowArrayStream *out, char **report,
                                                 tfn_error *err);

typedef struct tfn_events_request {
    size_t struct_size;
    const char *features;    /* JSON as tfn_historical_request.features */
    tfn_time start;          /* inclusive; not set = end - the longest ttl, or - 30 days */
    tfn_time end;            /* inclusive; not set = now */
    tfn_time known_at;       /* set: only rows created at or before this instant */
    int32_t one_row_per_key; /* 1: every key of the window once, at `end` */
    int32_t reserved;
    int64_t max_bytes; /* most memory for the events of one view; 0 = the store's limit */
    tfn_tick_fn tick;  /* [NULL allowed] */
    void *tick_context;
} tfn_events_request;

/**
 * Entity rows for tfn_store_historical where nobody has any: the events of the views asked for. One
 * view: a row per event. Several: a row per distinct key and event time. Views without entities
 * bring no events, unless there is no other.
 *
 * @param request  [borrow]
 * @param out      [own] on TFN_OK: join keys as the request maps them, "event_timestamp"; released
 *                 by the caller
 * @param err      [out, nullable]
 *
 * Shape    ascending by event time, then by key
 * Units    the finest of the sources' event times, UTC
 * Cost     one scan of keys and times per view
 * Threads  any; the result is the same for any number of threads
 * Errors   TFN_INVALID views of different join keys (names them), a window that ends before it
 *          starts . others as tfn_store_history
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_events(tfn_store *store, const tfn_events_request *request,
                                                struct ArrowArrayStream *out, tfn_error *err);

/**
 * Look for rows of a training set that could know too much: the row that a view gave them was created
 * after the entity time.
 *
 * @param request  [borrow] as for tfn_store_historical
 * @param spine    [take] entity rows, or a finished training set: columns that are neither keys nor
 *                 the time are passed over. Taken once it has been read, as there
 * @param report   [own] JSON: {"rows", "time_column", "keys", "outputs", "views": [{"view",
 *                 "has_created_time", "rows_matched", "created_later": {"rows", "examples"}}]}
 *                 (docs/formats/explain.md)
 * @param err      [out, nullable]
 *
 * Units    times are compared as exact instants
 * Nulls    a missing created time is not later
 * Cost     that of the training set with two features of each view
 * Threads  any
 * Errors   as tfn_store_historical
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_check_leakage(tfn_store *store,
                                                       const tfn_historical_request *request,
                                                       struct ArrowArrayStream *spine,
                                                       char **report, tfn_error *err);

/* ---- the online store ---- */

typedef struct tfn_materialize_request {
    size_t struct_size;
    const char *const *views; /* NULL = every view with online = true */
    size_t n_views;
    tfn_time start;      /* ignored when incremental; not set = the source's first row */
    tfn_time end;        /* required, inclusive */
    tfn_time known_at;   /* set: only rows created at or before this instant */
    int32_t incremental; /* 1: from each view's last end; late rows too where a created column is */
    int32_t reserved;
    tfn_tick_fn tick; /* [NULL allowed] */
    void *tick_context;
} tfn_materialize_request;

/**
 * Load the newest row of every key into the online store, view by view; each view is one
 * transaction.
 *
 * @param request  [borrow]
 * @param report   [own] JSON: {"views": [{"view", "start", "end", "rows_read", "rows_written",
 *                 "rows_older", "rows_same", "seconds", "note"}, ...],
 *                 "passed_over": [{"view", "missing"}, ...]}; the last are views that are kept and
 *                 cannot be run, when all were asked for
 * @param err      [out, nullable]
 *
 * Nulls    rows with a null key part or time are not loaded
 * Threads  any; writers take turns
 * Errors   TFN_INVALID start after end . TFN_NOT_FOUND . TFN_SCHEMA . TFN_IO . TFN_CANCELLED .
 *          TFN_UNSUPPORTED . TFN_NO_MEMORY; views before the failing one are loaded
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_materialize(tfn_store *store,
                                                     const tfn_materialize_request *request,
                                                     char **report, tfn_error *err);

/**
 * Return a view online to what it was before its last large load (docs/semantics/generations.md):
 * a tenth of its rows or more, or more than 65,536 rows. What was live is kept: a second rollback
 * returns to it.
 *
 * @param view         [borrow] name
 * @param drop_pushes  1: what was pushed and deleted since is not replayed
 * @param report       [own] JSON: {"view", "rows", "keys_replayed", "materialized_until"}
 * @param err          [out, nullable]
 *
 * Nulls    materialized_until: those rows came from no materialization
 * Cost     O(keys pushed or deleted since)
 * Threads  any; loads and rollbacks of a view take turns
 * Errors   TFN_NOT_FOUND no such view, or nothing to return to . TFN_UNSUPPORTED by this online
 *          store . TFN_IO . TFN_NO_MEMORY; the view is as before
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_rollback(tfn_store *store, const char *view,
                                                  int32_t drop_pushes, char **report,
                                                  tfn_error *err);

typedef struct tfn_push tfn_push;

/** Where rows go. Zeroed but for struct_size and one of the names. */
typedef struct tfn_push_request {
    size_t struct_size;
    const char *source; /* a push source: all views on it that are online; or */
    const char *view;   /* one view */
    int32_t check_only; /* 1: nothing will be written online: also views that are not online are
                           meant, and times may lie ahead of the clock */
    int32_t rehearse;   /* 1: the online store is asked now, too, whether it takes each row, for
                           those who write elsewhere before the commit; with check_only: no effect */
} tfn_push_request;

/**
 * Begin to write rows online: read a frame, and check all of it for every view that it goes to.
 * Nothing is written, and nobody waits.
 *
 * @param request  [borrow]
 * @param frame    [take] join keys, features (absent ones become null), the source's time column
 *                 and, if it has one, created column, under their names or those of the source;
 *                 other columns are passed over. Times may be texts (ISO 8601; naive is UTC). Taken
 *                 once it has been read, as the spine of tfn_store_historical
 * @param out      [own] ends with tfn_push_commit or tfn_push_abort
 * @param err      [out, nullable]
 *
 * Nulls    in keys and event times: errors; a created time that is null is the lowest
 * Cost     O(rows): keys are encoded, values of other types than declared looked at; a rehearsal
 *          encodes every row, some at a time
 * Threads  any
 * Errors   TFN_NOT_FOUND no such source or view, a source that is no push source, or that no view
 *          reads . TFN_SCHEMA a column is missing, or of another type (names it), a value does not
 *          fit its type . TFN_INVALID a null key or time, a time too far ahead of the clock, a text
 *          that is no time; errors in rows name row (from 0) and column . TFN_UNSUPPORTED no online
 *          store, an on-demand view . TFN_IO . TFN_NO_MEMORY . rehearsed: as tfn_push_commit of
 *          rows that the online store refuses
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_begin_push(tfn_store *store,
                                                    const tfn_push_request *request,
                                                    struct ArrowArrayStream *frame, tfn_push **out,
                                                    tfn_error *err);

/**
 * Write it by the write rule (docs/semantics/write-rule.md): into all its views, or (LMDB) nothing.
 * Every process on this machine reads it once this returns.
 *
 * @param push    [take, in any case]
 * @param report  [own] JSON: {"rows_read", "rows_written", "rows_older", "rows_same", "views"}; what
 *                became of rows is summed over the views
 * @param err     [out, nullable]
 *
 * Threads  one at a time per push; writers take turns
 * Errors   TFN_IO . TFN_LIMIT . TFN_CORRUPT . TFN_NO_MEMORY
 */
TFN_API TFN_NODISCARD tfn_code tfn_push_commit(tfn_push *push, char **report, tfn_error *err);

/**
 * Forget it.
 *
 * @param push  [take, nullable]
 *
 * Threads  one at a time per push
 * Errors   none
 */
TFN_API void tfn_push_abort(tfn_push *push);

/**
 * tfn_store_begin_push of one view and tfn_push_commit in one call.
 *
 * @param view    [borrow] name
 * @param frame   [take] as for tfn_store_begin_push
 * @param report  [own] as of tfn_push_commit
 * @param err     [out, nullable]
 *
 * Threads  any; writers take turns
 * Errors   as tfn_store_begin_push . as tfn_push_commit
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_write_online(tfn_store *store, const char *view,
                                                      struct ArrowArrayStream *frame, char **report,
                                                      tfn_error *err);

/** What a value is. Numbers are those of the stored formats. */
typedef enum tfn_value_kind {
    TFN_VALUE_NULL = 0,
    TFN_VALUE_BOOL = 1,
    TFN_VALUE_INT32 = 2,
    TFN_VALUE_INT64 = 3,
    TFN_VALUE_FLOAT32 = 4,
    TFN_VALUE_FLOAT64 = 5,
    TFN_VALUE_STRING = 6,
    TFN_VALUE_BYTES = 7,
    TFN_VALUE_DATE = 8,      /* `integer`: days since 1970-01-01 */
    TFN_VALUE_TIMESTAMP = 9, /* `integer` in `unit`, UTC */
    TFN_VALUE_LIST = 64      /* `n` items; tfn_value_get_item */
} tfn_value_kind;

/** One value. Text and lists point into the answer (or, as input, into the caller's memory). */
typedef struct tfn_value {
    int32_t kind;      /* tfn_value_kind */
    int32_t unit;      /* timestamps: 0 s, 1 ms, 2 us, 3 ns */
    int64_t integer;   /* BOOL, INT32, INT64, DATE, TIMESTAMP */
    double real;       /* FLOAT32, FLOAT64 */
    const char *text;  /* STRING, BYTES; LIST: opaque */
    size_t n;          /* bytes of text; LIST: items */
    int32_t item_kind; /* LIST: kind of its items */
} tfn_value;

typedef enum tfn_status {
    TFN_STATUS_INVALID = 0,
    TFN_STATUS_PRESENT = 1,
    TFN_STATUS_NULL_VALUE = 2,
    TFN_STATUS_NOT_FOUND = 3,
    TFN_STATUS_OUTSIDE_MAX_AGE = 4
} tfn_status;

/**
 * Resolve a request once: names, views, key columns, order. A later apply is picked up by itself at
 * the next run.
 *
 * @param features  [borrow] JSON as tfn_historical_request.features
 * @param out       [own] ends with tfn_lookup_destroy
 * @param err       [out, nullable]
 *
 * Threads  any
 * Errors   TFN_NOT_FOUND . TFN_INVALID . TFN_UNSUPPORTED no online store, or an on-demand view
 *          (tfn_store_resolve) . TFN_IO . TFN_NO_MEMORY
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_prepare(tfn_store *store, const char *features,
                                                 tfn_lookup **out, tfn_error *err);

/**
 * @param lookup  [take, nullable]
 *
 * Threads  one at a time, when no run of it is under way
 * Errors   none
 */
TFN_API void tfn_lookup_destroy(tfn_lookup *lookup);

/**
 * Join-key columns that a run needs, in order.
 *
 * @return [borrow until the lookup is destroyed] name of key i (NULL past the last one)
 *
 * Threads  any
 * Errors   none
 */
TFN_API const char *tfn_lookup_get_key_name(const tfn_lookup *lookup, size_t i);

/**
 * Declared kind (tfn_value_kind) of key i.
 *
 * @return [copy] TFN_VALUE_NULL past the last one
 *
 * Threads  any
 * Errors   none
 */
TFN_API int32_t tfn_lookup_get_key_kind(const tfn_lookup *lookup, size_t i);

/**
 * Number of views that a run reads: it gets so many rows for each entity row.
 *
 * @return [copy] as of tfn_store_prepare; a later apply may change it for a feature service
 *
 * Threads  any
 * Errors   none
 */
TFN_API size_t tfn_lookup_get_n_views(const tfn_lookup *lookup);

/**
 * Number of features that an answer has, beside the keys.
 *
 * @return [copy] as of tfn_store_prepare; a later apply may change it for a feature service
 *
 * Threads  any
 * Errors   none
 */
TFN_API size_t tfn_lookup_get_n_features(const tfn_lookup *lookup);

/** What a run may be told. Zeroed = defaults; set struct_size. */
typedef struct tfn_lookup_opts {
    size_t struct_size;
    tfn_time at;        /* "now" for the checks of age; not set = the clock */
    int64_t max_age_us; /* rows older than this are null, OUTSIDE_MAX_AGE, whatever online_ttl says;
                           0 = of any age. With online_ttl enforced both limits hold */
} tfn_lookup_opts;

/**
 * Read the newest values of n_rows entities.
 *
 * @param keys  [borrow] n_rows x n_keys, row by row, in the lookup's key order. Integers of any
 * width, text that reads as the declared type, and null are accepted
 * @param opts  [borrow, nullable] NULL = defaults
 * @param out   [own] ends with tfn_answer_destroy
 * @param err   [out, nullable]
 *
 * Nulls    a null key: NOT_FOUND in every feature of the views that use it
 * Cost     one read of the online store per (row, view); equal keys one behind the other are read
 *          once. Allocates the answer and blocks of its memory: nothing per row, view or feature
 * Threads  any
 * Errors   TFN_INVALID a key value that is not of the declared type, a negative max_age . TFN_CONFLICT
 *          a newer apply changed the join keys . TFN_NOT_FOUND a view was removed . TFN_IO .
 *          TFN_CORRUPT . TFN_NO_MEMORY
 */
TFN_API TFN_NODISCARD tfn_code tfn_lookup_run(tfn_lookup *lookup, const tfn_value *keys,
                                              size_t n_rows, const tfn_lookup_opts *opts,
                                              tfn_answer **out, tfn_error *err);

/**
 * @param answer  [take, nullable] it is gone with the last of those that keep it
 *
 * Threads  one at a time per owner
 * Errors   none
 */
TFN_API void tfn_answer_destroy(tfn_answer *answer);

/**
 * Keep an answer beyond the tfn_answer_destroy of whoever has it. An answer never changes, so any
 * number of threads may read it meanwhile.
 *
 * @return [own] the same answer; ends with one more tfn_answer_destroy
 *
 * Threads  any
 * Errors   none
 */
TFN_API tfn_answer *tfn_answer_retain(tfn_answer *answer);

/**
 * @return [copy] bytes of memory that the answer holds
 *
 * Threads  any
 * Errors   none
 */
TFN_API size_t tfn_answer_get_n_bytes(const tfn_answer *answer);

/**
 * @return [copy] rows
 *
 * Threads  any
 * Errors   none
 */
TFN_API size_t tfn_answer_get_n_rows(const tfn_answer *answer);

/**
 * @return [copy] number of the commit whose definitions the answer follows
 *
 * Threads  any
 * Errors   none
 */
TFN_API int64_t tfn_answer_get_commit(const tfn_answer *answer);

/**
 * Key columns first, then features in the order asked.
 *
 * @return [copy] columns, and how many of them are keys
 *
 * Threads  any
 * Errors   none
 */
TFN_API size_t tfn_answer_get_n_columns(const tfn_answer *answer);
TFN_API size_t tfn_answer_get_n_keys(const tfn_answer *answer);

/**
 * @return [borrow until the answer is destroyed] NULL past the last column
 *
 * Threads  any
 * Errors   none
 */
TFN_API const char *tfn_answer_get_name(const tfn_answer *answer, size_t i_column);

enum { TFN_LOGICAL_TYPE_BYTES = 24 };

/**
 * The type of a column that has a meaning beside its values: uuid, time_uuid, decimal, json, map,
 * struct (texts), array<...> of one, set<...> (lists).
 *
 * @param text  [out] NUL-terminated, e.g. "set<uuid>"; untouched if there is none
 * @return      1; 0: its values say it all
 *
 * Cost     without a meaning some nanoseconds
 * Threads  any
 * Errors   none
 */
TFN_API int tfn_answer_get_logical_type(const tfn_answer *answer, size_t i_column,
                                        char text[TFN_LOGICAL_TYPE_BYTES]);

/**
 * The feature view that a column comes from.
 *
 * @param i_read  [out, nullable] which of the views that were read: columns with equal numbers are
 *                of the same rows, and have equal event times
 * @return        [borrow until the answer is destroyed] its name, not an alias; NULL for keys and
 *                past the last column
 *
 * Threads  any
 * Errors   none
 */
TFN_API const char *tfn_answer_get_view(const tfn_answer *answer, size_t i_column, size_t *i_read);

/**
 * One value and its status.
 *
 * @param value  [out] text and lists are borrowed until the answer is destroyed
 * @return [copy] status; past the end TFN_STATUS_INVALID with a null value
 *
 * Threads  any
 * Errors   none
 */
TFN_API tfn_status tfn_answer_get(const tfn_answer *answer, size_t i_row, size_t i_column,
                                  tfn_value *value);

/**
 * Values begin .. begin + n - 1 of one column: tfn_answer_get for many, at a fraction of its cost.
 *
 * @param values    [out] n values, which borrow the answer's memory
 * @param statuses  [out, nullable] n of tfn_status
 *
 * Nulls    rows or a column that are not there: TFN_VALUE_NULL, TFN_STATUS_INVALID
 * Cost     a few nanoseconds a value; allocates nothing
 * Threads  any
 * Errors   none
 */
TFN_API void tfn_answer_get_values(const tfn_answer *answer, size_t i_column, size_t begin,
                                   size_t n, tfn_value *values, int32_t *statuses);

/**
 * Event time of the row that the value came from.
 *
 * @return [copy] not set for keys and for NOT_FOUND
 *
 * Threads  any
 * Errors   none
 */
TFN_API tfn_time tfn_answer_get_event_time(const tfn_answer *answer, size_t i_row, size_t i_column);

/**
 * Item i of a list value.
 *
 * @param list  [borrow] as tfn_answer_get gave it
 * @param item  [out] borrowed as the list is
 *
 * Threads  any
 * Errors   none: past the end, null
 */
TFN_API void tfn_value_get_item(const tfn_value *list, size_t i, tfn_value *item);

/**
 * Things that the caller of a lookup should be told once, e.g. a view that was never materialized.
 *
 * @return [borrow until the answer is destroyed] sentence i, or NULL past the last one
 *
 * Threads  any
 * Errors   none
 */
TFN_API const char *tfn_answer_get_warning(const tfn_answer *answer, size_t i);

/**
 * The answer as a table.
 *
 * @param with_statuses  1: also "<name>__status" (int32) and "<name>__event_timestamp" per feature
 * @param out            [own] on TFN_OK; released by the caller
 * @param err            [out, nullable]
 *
 * Threads  any
 * Errors   TFN_NO_MEMORY
 */
TFN_API TFN_NODISCARD tfn_code tfn_answer_export(const tfn_answer *answer, int32_t with_statuses,
                                                 struct ArrowArrayStream *out, tfn_error *err);

/**
 * Version of DuckDB that this store reads files with.
 *
 * @param version  [borrow until the program ends]
 * @param err      [out, nullable]
 *
 * Threads  any
 * Errors   TFN_UNSUPPORTED not there: says what to install
 */
TFN_API TFN_NODISCARD tfn_code tfn_store_get_duckdb_version(tfn_store *store, const char **version,
                                                            tfn_error *err);

/**
 * @return [borrow until the program ends] version of this library, e.g. "0.1.0"
 *
 * Threads  any
 * Errors   none
 */
TFN_API const char *tfn_version(void);

#ifdef __cplusplus
}
#endif

#endif
