/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_ONLINE_LMDB_H
#define TFN_ONLINE_LMDB_H

/*
 * The online store: the latest row of each key of each view, embedded, in an LMDB environment.
 *
 * Readers never block and see one commit from begin_read to end_read; there is one writer at a time
 * among all processes; each commit is on disk before the call returns, and is whole or absent after
 * a crash. Rows of a view live under a generation number; (project, view) maps to the live one.
 *
 * A process holds each environment once, however often it is opened. After a fork the child's first
 * call opens its own; reads and writes begun before the fork stay the parent's (the child may only
 * end or abort them, which forgets them).
 *
 * Formats  docs/formats/online-store.md, docs/formats/online-row.md, docs/formats/entity-key.md
 * Rule     docs/semantics/write-rule.md
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "base/time.h"
#include "column/cell.h"
#include "online/online.h"
#include "online/row.h"

enum { TFN_ONLINE_FORMAT = 1 };

typedef struct tfn_lmdb tfn_lmdb;
typedef struct tfn_lmdb_write tfn_lmdb_write;

typedef enum tfn_online_mode {
    TFN_ONLINE_READ = 0, /* the store must exist */
    TFN_ONLINE_WRITE = 1 /* made if missing, parent folders too */
} tfn_online_mode;

/* ---- open ---- */

/**
 * Open the store in a folder.
 *
 * @param path  [copy] the folder
 * @param out   [own] ends with tfn_lmdb_close; may be shared by all threads
 *
 * Cost     the first handle of a store in a process maps it (about 0.1 ms); others are a lookup
 * Threads  any
 * Errors   TFN_NOT_FOUND reading, and nothing was materialized yet . TFN_INVALID the folder holds
 *          something else . TFN_UNSUPPORTED written by a newer Tiffin . TFN_CORRUPT . TFN_IO the
 * folder cannot be made, read or (mode WRITE) written . TFN_LIMIT no address space . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_lmdb_open(const char *path, tfn_online_mode mode, tfn_lmdb **out,
                                     tfn_error *err);

/** NULL is fine. All its reads and writes have ended. Threads one at a time. Errors none. */
void tfn_lmdb_close(tfn_lmdb *online);

/* ---- read ---- */

/** One consistent state of the store, from begin_read to end_read. A zeroed struct is "none". */
typedef struct tfn_lmdb_read {
    struct tfn_lmdb_env *env;
    struct MDB_txn *txn;
} tfn_lmdb_read;

/**
 * Begin to read the newest commit. Many may be open at once, in any threads (at most 1,024 on the
 * machine). A long one keeps the store from reusing space: end it soon.
 *
 * @param out  [own] ends with tfn_lmdb_end_read; used by one thread at a time
 *
 * Cost     about 0.1 microseconds; no lock, and no allocation in the steady state
 * Threads  any
 * Errors   TFN_LIMIT too many readers, or the store outgrew this process's address space . TFN_IO .
 *          TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_lmdb_begin_read(tfn_lmdb *online, tfn_lmdb_read *out, tfn_error *err);

/** Rows got through it are gone. A zeroed struct is fine. Threads one at a time. Errors none. */
void tfn_lmdb_end_read(tfn_lmdb_read *read);

/**
 * The generation that holds a view's rows; 0 = the view was never materialized.
 *
 * Cost     one get in a small tree; allocates nothing
 * Threads  one at a time per read
 * Errors   TFN_CORRUPT . TFN_IO
 */
TFN_NODISCARD tfn_code tfn_lmdb_get_live(const tfn_lmdb_read *read, tfn_str project, tfn_str view,
                                         uint32_t *generation, tfn_error *err);

/** Number of rows of a view (0 when never materialized). As tfn_lmdb_get_live. */
TFN_NODISCARD tfn_code tfn_lmdb_count(const tfn_lmdb_read *read, tfn_str project, tfn_str view,
                                      uint64_t *n_rows, tfn_error *err);

/**
 * The row of a key.
 *
 * @param generation  of tfn_lmdb_get_live in the same read; 0 finds nothing
 * @param key         [borrow] encoded by column/key.h
 * @param row         [borrow until end_read; its schema until close] undefined when not found
 * @param found       [out] false: no such key
 *
 * Cost     one mdb_get and the check of the row; allocates only at the first sight of a schema
 * Threads  one at a time per read
 * Errors   TFN_CORRUPT . TFN_UNSUPPORTED . TFN_LIMIT key too long . TFN_IO . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_lmdb_get(const tfn_lmdb_read *read, uint32_t generation, tfn_str key,
                                    tfn_row *row, bool *found, tfn_error *err);

/* ---- write ---- */

/**
 * Begin to write rows of one view; waits until other writers, in all processes, are done. The view
 * gets a generation if it has none, unless all that is done to it are deletions.
 *
 * @param fields  [copy] names and types of the cells that will be put
 * @param out     [own] ends with tfn_lmdb_commit or tfn_lmdb_abort
 *
 * Threads  any; the write is then used, committed or aborted by the thread that began it, which
 *          must not begin a second one meanwhile
 * Errors   TFN_IO the store was opened for reading only, or its folder is read-only . TFN_INVALID a
 *          name with a zero byte, fields as in tfn_row_schema_create . TFN_LIMIT . TFN_CORRUPT .
 *          TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_lmdb_begin_write(tfn_lmdb *online, tfn_str project, tfn_str view,
                                            const tfn_row_field *fields, size_t n_fields,
                                            tfn_lmdb_write **out, tfn_error *err);

/**
 * Put one row under the write rule. Rows in key order are fastest; into an empty generation they
 * are appended.
 *
 * @param key      [borrow] encoded by column/key.h
 * @param cells    [borrow] one per field, of its type
 * @param created  TFN_INSTANT_NONE when there is none
 * @param outcome  [out, nullable]
 *
 * Threads  the one that began the write
 * Errors   TFN_LIMIT key or row too large, or the map is full . TFN_INVALID no event time .
 *          TFN_CONFLICT two keys above 400 bytes with one hash . TFN_IO . TFN_CORRUPT .
 * TFN_NO_MEMORY. After TFN_NO_MEMORY, TFN_INVALID or a row too large nothing has changed and the
 * write may go on; after others only abort is of use
 */
TFN_NODISCARD tfn_code tfn_lmdb_put(tfn_lmdb_write *write, tfn_str key, const tfn_cell *cells,
                                    tfn_instant event, tfn_instant created,
                                    tfn_online_outcome *outcome, tfn_error *err);

/**
 * Remove the row of a key, whatever its times.
 *
 * @param key        [borrow] encoded by column/key.h
 * @param was_there  [out, nullable] false: there was no row, nothing is done
 *
 * Threads  the one that began the write
 * Errors   as tfn_lmdb_put
 */
TFN_NODISCARD tfn_code tfn_lmdb_delete(tfn_lmdb_write *write, tfn_str key, bool *was_there,
                                       tfn_error *err);

/**
 * Go on with rows of another view (or the same again), in the same transaction.
 *
 * @param fields  [copy] names and types of the cells that will be put
 *
 * Threads  the one that began the write
 * Errors   as tfn_lmdb_begin_write; after one only abort is of use
 */
TFN_NODISCARD tfn_code tfn_lmdb_next_view(tfn_lmdb_write *write, tfn_str project, tfn_str view,
                                          const tfn_row_field *fields, size_t n_fields,
                                          tfn_error *err);

/** What was put and deleted so far, in all views. Threads the one that began the write. Errors none. */
tfn_online_stats tfn_lmdb_get_stats(const tfn_lmdb_write *write);

/**
 * Make it all durable and visible at once. A write that changed nothing leaves the file untouched.
 *
 * @param write  [take, in any case] NULL is not allowed
 *
 * Errors   TFN_IO disk full or failing: the store is as before the write . TFN_LIMIT the map is
 * full
 */
TFN_NODISCARD tfn_code tfn_lmdb_commit(tfn_lmdb_write *write, tfn_error *err);

/** Forget the write. NULL is fine. Threads the one that began it. Errors none. */
void tfn_lmdb_abort(tfn_lmdb_write *write);

/* ---- remove ---- */

/**
 * Remove a view's rows and mapping, durably. A view that is not there is fine.
 *
 * @param n_rows  [out, nullable] rows removed
 *
 * Cost     O(rows)
 * Threads  any that has no write open
 * Errors   as tfn_lmdb_begin_write and tfn_lmdb_commit
 */
TFN_NODISCARD tfn_code tfn_lmdb_drop_view(tfn_lmdb *online, tfn_str project, tfn_str view,
                                          uint64_t *n_rows, tfn_error *err);

/** tfn_lmdb_drop_view for all views of a project, also those that no definition names any more.
 */
TFN_NODISCARD tfn_code tfn_lmdb_drop_project(tfn_lmdb *online, tfn_str project, uint64_t *n_rows,
                                             tfn_error *err);

#endif
