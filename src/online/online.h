/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_ONLINE_ONLINE_H
#define TFN_ONLINE_ONLINE_H

/*
 * The online store: the latest row of each key of each view, whatever engine keeps it.
 *
 *   LMDB (lmdb.h)     embedded, in a folder; the default
 *   Redis (redis_engine.c)  a server, a cluster or one behind sentinels; in Feast's own layout
 *
 * A read asks for many keys of many views at once (tfn_online_fetch), so that an engine that is far
 * away answers in one round trip. Whatever the engine, what was found is an online row (row.h).
 *
 * Rule     docs/semantics/write-rule.md, the same for all engines
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "base/time.h"
#include "column/cell.h"
#include "column/type.h"
#include "online/row.h"

typedef struct tfn_online tfn_online;
typedef struct tfn_online_write tfn_online_write;
typedef struct tfn_online_query tfn_online_query;

/** When a write is acknowledged. Either way it is durable then. */
typedef enum tfn_online_sync {
    TFN_ONLINE_SYNC_FULL = 0, /* after an fsync of its own */
    TFN_ONLINE_SYNC_BATCH =
        1 /* after one that it shares with writes of the same few milliseconds */
} tfn_online_sync;

/** Which store. Exactly one of lmdb_path and redis is not NULL. */
typedef struct tfn_online_opts {
    const char *lmdb_path; /* folder */
    const char *redis;     /* JSON object: online_store as configured (docs/online-redis.md) */
    tfn_online_sync sync;
} tfn_online_opts;

/** A view as online stores see it. Borrowed by the calls that take one. */
typedef struct tfn_online_view {
    tfn_str project;
    tfn_str name;
    const tfn_str *key_names; /* join keys, in the order of the encoded key */
    const tfn_type *key_types;
    size_t n_keys;
} tfn_online_view;

/* ---- open ---- */

/**
 * Make a handle of an online store. Nothing is opened or asked yet: whoever first reads or writes
 * does that, and writing makes what is missing.
 *
 * @param opts  [copy]
 * @param out   [own] ends with tfn_online_close; may be shared by all threads, and used after a fork
 *
 * Threads  any
 * Errors   TFN_INVALID options that make no sense . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_online_open(const tfn_online_opts *opts, tfn_online **out,
                                       tfn_error *err);

/** NULL is fine. All its queries and writes have ended. Threads one at a time. Errors none. */
void tfn_online_close(tfn_online *online);

/**
 * Can the engine keep this view? Asked by apply, so that a view that it cannot is refused there;
 * begin_write asks it again.
 *
 * @param fields  [borrow] features
 *
 * Cost     O(fields); asks no engine
 * Threads  any
 * Errors   TFN_UNSUPPORTED names the view and the key or feature whose type the engine does not
 *          keep . TFN_LIMIT . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_online_check_view(tfn_online *online, const tfn_online_view *view,
                                             const tfn_row_field *fields, size_t n_fields,
                                             tfn_error *err);

/**
 * May rows of a load (TFN_ONLINE_LOAD) be there before it is committed, and stay when it is aborted?
 * LMDB: no. Redis: yes, since a load may be larger than memory; loading again is harmless.
 *
 * Threads any. Errors none.
 */
bool tfn_online_loads_in_parts(const tfn_online *online);

/* ---- read ---- */

/**
 * Compile what will be asked of one view.
 *
 * @param view    [copy]
 * @param wanted  [copy] fields, in the order in which found.i_fields will name them
 * @param out     [own] ends with tfn_online_query_destroy, before the store is closed
 *
 * Cost     O(fields); asks no engine
 * Threads  any; the query may be shared by all threads
 * Errors   TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_online_query_create(tfn_online *online, const tfn_online_view *view,
                                               const tfn_row_field *wanted, size_t n_wanted,
                                               tfn_online_query **out, tfn_error *err);

/** NULL is fine. Threads one at a time. Errors none. */
void tfn_online_query_destroy(tfn_online_query *query);

/** What a view has for one key. Zeroed: nothing. */
typedef struct tfn_found_row {
    const int32_t *i_fields; /* [borrow until the query ends] per wanted field, where it is in the
                                row, or -1: the row has none such. NULL: no row */
    tfn_row row;             /* bytes in the arena of the fetch; schema until the query ends */
} tfn_found_row;

/** Some keys of one view. */
typedef struct tfn_online_ask {
    tfn_online_query *query;
    const tfn_str
        *keys; /* [borrow] n_keys encoded keys (column/key.h); p == NULL: passed over. Asks
                            may share them; equal ones in a row may be one string, read once */
    size_t n_keys;
    tfn_found_row *found; /* [out] n_keys, zeroed by the caller */
    bool is_known;        /* [out] false: nothing was ever written to this view */
} tfn_online_ask;

/**
 * Read. All of it is one state of the store (LMDB); each row is one state (Redis).
 *
 * @param arena  [borrow] where the rows go
 *
 * Cost     LMDB: a get a key, and O(1) a view; allocates in the arena only. Redis: one round trip;
 *          one per 4,096 keys, counted over all asks, if there are more
 * Threads  any, for one store; one at a time per ask and arena
 * Errors   TFN_CORRUPT . TFN_IO . TFN_LIMIT . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_online_fetch(tfn_online *online, tfn_online_ask *asks, size_t n_asks,
                                        tfn_arena *arena, tfn_error *err);

/**
 * Ask whether the store answers.
 *
 * Cost     LMDB: nothing. Redis: a round trip to one node; none while its breaker is open
 * Threads  any
 * Errors   TFN_UNAVAILABLE it is away . TFN_INVALID it refuses us . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_online_ping(tfn_online *online, tfn_error *err);

/** State of one view. */
typedef struct tfn_online_state {
    bool is_known;       /* something was written to it; an engine that cannot tell says true */
    uint32_t generation; /* of the rows that are read; 0: the engine has none */
    int64_t n_rows;      /* -1: the engine cannot tell without reading them all */
} tfn_online_state;

/** Cost O(1). Threads any. Errors as tfn_online_fetch. */
TFN_NODISCARD tfn_code tfn_online_get_state(tfn_online *online, tfn_str project, tfn_str view,
                                            tfn_online_state *out, tfn_error *err);

/* ---- write ---- */

/** What became of a row (docs/semantics/write-rule.md). */
typedef enum tfn_online_outcome {
    TFN_ONLINE_WRITTEN = 0,
    TFN_ONLINE_OLDER = 1, /* the store holds a greater (event, created): not written */
    TFN_ONLINE_SAME = 2   /* the store holds exactly this row: not written */
} tfn_online_outcome;

typedef struct tfn_online_stats {
    uint64_t n_written;
    uint64_t n_older;
    uint64_t n_same;
    uint64_t n_deleted; /* keys that had a row and have none now */
    uint64_t n_absent;  /* keys that were to be deleted and had no row */
} tfn_online_stats;

/** Where rows come from. */
typedef enum tfn_online_origin {
    TFN_ONLINE_PUSH = 0, /* a caller's hand; few rows in any order */
    TFN_ONLINE_LOAD = 1  /* a source: n_rows in key order, no key twice */
} tfn_online_origin;

/**
 * Begin to write rows of one view, or (tfn_online_next_view) of several.
 *
 * @param fields  [copy] names and types of the cells that will be put. A write that only deletes
 *                names them too: Redis deletes the fields of the view that it is told; LMDB needs
 *                none then (n_fields 0)
 * @param n_rows  about how many rows will be put; an engine may choose its way by it
 * @param out     [own] ends with tfn_online_commit or tfn_online_abort
 *
 * Threads  any; the write is then used, committed or aborted by the thread that began it, which
 *          must not begin a second one meanwhile
 * Errors   as tfn_lmdb_begin_write
 */
TFN_NODISCARD tfn_code tfn_online_begin_write(tfn_online *online, const tfn_online_view *view,
                                              const tfn_row_field *fields, size_t n_fields,
                                              tfn_online_origin origin, uint64_t n_rows,
                                              tfn_online_write **out, tfn_error *err);

/**
 * Put one row under the write rule.
 *
 * @param key      [borrow] encoded by column/key.h
 * @param cells    [borrow] one per field, of its type
 * @param created  TFN_INSTANT_NONE when there is none
 *
 * Threads  the one that began the write
 * Errors   as tfn_lmdb_put
 */
TFN_NODISCARD tfn_code tfn_online_put(tfn_online_write *write, tfn_str key, const tfn_cell *cells,
                                      tfn_instant event, tfn_instant created, tfn_error *err);

/**
 * Remove the row of a key, whatever its times. What was put to the key before, in this write too,
 * is gone; what is put after is kept. Whether there was one is counted by the commit.
 *
 * @param key  [borrow] encoded by column/key.h
 *
 * Threads  the one that began the write
 * Errors   as tfn_online_put
 */
TFN_NODISCARD tfn_code tfn_online_delete(tfn_online_write *write, tfn_str key, tfn_error *err);

/**
 * Go on with rows of another view: what is put or deleted from now on is that view's. One commit
 * makes all of it durable and visible, of all views. A view may come more than once.
 *
 * @param view, fields, n_rows  as for tfn_online_begin_write
 *
 * Threads  the one that began the write
 * Errors   as tfn_online_begin_write; after one only tfn_online_abort is of use
 */
TFN_NODISCARD tfn_code tfn_online_next_view(tfn_online_write *write, const tfn_online_view *view,
                                            const tfn_row_field *fields, size_t n_fields,
                                            uint64_t n_rows, tfn_error *err);

/**
 * Make it all durable and visible. LMDB: at once, or nothing of it. Redis: row by row; after an
 * error some rows may be there, and writing all again is harmless.
 *
 * @param write  [take, in any case]
 * @param stats  [out, nullable] what became of the rows, of all views together
 *
 * Errors   TFN_IO . TFN_LIMIT . TFN_CORRUPT . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_online_commit(tfn_online_write *write, tfn_online_stats *stats,
                                         tfn_error *err);

/** Forget the write. NULL is fine. Threads the one that began it. Errors none. */
void tfn_online_abort(tfn_online_write *write);

/* ---- generations (docs/semantics/generations.md) ---- */

enum { TFN_ONLINE_MARK_BYTES = 60 };

/**
 * Wait until nobody else loads this view by its watermark, or rolls it back, and keep others from
 * it. Taken before the watermark is read, ended when the new one is set. Where nothing was ever
 * written there is no turn to take, and nothing to spoil.
 *
 * @param out  [own] ends with tfn_online_end_turn; NULL: none is needed
 *
 * Threads  any; ends with the process that took it
 * Errors   TFN_IO . TFN_LIMIT . TFN_NO_MEMORY
 */
typedef struct tfn_online_turn tfn_online_turn;
TFN_NODISCARD tfn_code tfn_online_begin_turn(tfn_online *online, tfn_str project, tfn_str view,
                                             tfn_online_turn **out, tfn_error *err);

/** NULL is fine. Errors none. */
void tfn_online_end_turn(tfn_online_turn *turn);

/**
 * Say of a load how far the rows that are live until it is committed are materialized: the engine
 * keeps it with them, if it keeps them (tfn_online_get_previous).
 *
 * @param mark  [copy] at most TFN_ONLINE_MARK_BYTES, of a meaning that only the caller knows
 *
 * Threads  the one that began the write
 * Errors   TFN_LIMIT
 */
TFN_NODISCARD tfn_code tfn_online_mark(tfn_online_write *write, tfn_str mark, tfn_error *err);

/** What a rollback would return to. Zeroed: there is none. */
typedef struct tfn_online_previous {
    uint32_t generation;
    uint64_t n_rows;
    size_t n_mark;
    uint8_t mark[TFN_ONLINE_MARK_BYTES];
} tfn_online_previous;

/** Cost O(1). Threads any. Errors as tfn_online_fetch, and TFN_UNSUPPORTED by this engine. */
TFN_NODISCARD tfn_code tfn_online_get_previous(tfn_online *online, tfn_str project, tfn_str view,
                                               tfn_online_previous *out, tfn_error *err);

/** What becomes of rows that were pushed, and keys deleted, since the previous generation. */
typedef enum tfn_online_pushes { TFN_ONLINE_REPLAY = 0, TFN_ONLINE_DROP = 1 } tfn_online_pushes;

typedef struct tfn_online_rolled_back {
    uint32_t generation; /* live now */
    uint64_t n_rows;     /* in it */
    uint64_t n_replayed; /* keys that were pushed or deleted since */
} tfn_online_rolled_back;

/**
 * Return to the previous generation, at once and durably. The one that was live becomes the
 * previous one: a second rollback returns to it.
 *
 * @param mark  [copy] of the rows that are live until now, as in tfn_online_mark
 *
 * Cost     O(keys pushed since)
 * Threads  any that has no write open
 * Errors   TFN_NOT_FOUND there is no previous generation . TFN_UNSUPPORTED by this engine . as
 *          tfn_online_commit: the view is as before
 */
TFN_NODISCARD tfn_code tfn_online_rollback(tfn_online *online, tfn_str project, tfn_str view,
                                           tfn_str mark, tfn_online_pushes pushes,
                                           tfn_online_rolled_back *out, tfn_error *err);

/* ---- remove ---- */

/**
 * Remove all rows of a project, also of views that no definition names any more, durably.
 *
 * @param n_rows  [out, nullable] rows removed
 *
 * Cost     O(rows of the project) (LMDB), O(keys of the server) (Redis)
 * Threads  any that has no write open
 * Errors   as tfn_online_commit
 */
TFN_NODISCARD tfn_code tfn_online_drop_project(tfn_online *online, tfn_str project,
                                               uint64_t *n_rows, tfn_error *err);

#endif
