/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_ONLINE_LMDB_INTERNAL_H
#define TFN_ONLINE_LMDB_INTERNAL_H

/* What the files of this module share. LMDB is known here and below, nowhere else in Tiffin. */

#include "online/lmdb.h"

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- environments (lmdb_env.c) ---- */

enum {
    TFN__ONLINE_IDLE_READS = 64,      /* finished read transactions kept for reuse */
    TFN__ONLINE_SCHEMA_CHUNKS = 1024, /* x schemas of a chunk = row schemas a store may have */
    TFN__ONLINE_CHUNK_SCHEMAS = 1024
};

typedef struct tfn__schema_chunk {
    _Atomic(tfn_row_schema *) schemas[TFN__ONLINE_CHUNK_SCHEMAS];
} tfn__schema_chunk;

/* Pushes of this process that share commits (lmdb_group.c). The mutex guards all of it. */
typedef struct tfn__group {
    pthread_mutex_t mutex;
    pthread_cond_t has_joined; /* the leader waits for it */
    pthread_cond_t is_done;    /* the others do */
    struct tfn__member *first; /* in the order of joining */
    struct tfn__member *last;
    size_t n_joined; /* in this queue */
    size_t n_last;   /* in the one before */
    size_t n_open;   /* pushes that have begun, and neither joined nor ended */
    bool has_leader;
    bool is_made;
} tfn__group;

/* One LMDB environment of this process. Lives as long as a handle or, after a fork, for ever. */
typedef struct tfn_lmdb_env {
    struct tfn_lmdb_env *next; /* in the process-wide table; guarded by its mutex, as n_handles */
    dev_t device;
    ino_t inode; /* of data.mdb */
    pid_t pid;
    _Atomic uint32_t epoch; /* number of forks before it was opened; TFN__ONLINE_BURIED */
    uint32_t n_handles;
    _Atomic bool is_dying;   /* no transaction is begun any more (tfn__lmdb_revive) */
    _Atomic uint32_t n_txns; /* of reads, idle ones too, and of writes that are being begun */
    bool is_read_only;
    char *path;
    MDB_env *lmdb;
    MDB_dbi meta;
    MDB_dbi views;
    MDB_dbi schemas;
    MDB_dbi rows;
    MDB_dbi changes;
    MDB_dbi generations;
    _Atomic(MDB_txn *) idle[TFN__ONLINE_IDLE_READS];
    tfn__group group;
    pthread_mutex_t schema_mutex; /* lock 4 of ARCHITECTURE.md; guards publishing, not reading */
    _Atomic(tfn__schema_chunk *) chunks[TFN__ONLINE_SCHEMA_CHUNKS];
} tfn_lmdb_env;

struct tfn_lmdb {
    char *path;
    tfn_online_mode mode;
    _Atomic(tfn_lmdb_env *) env; /* replaced at the first use after a fork */
};

/** The handle's environment in this process, opened anew after a fork. Errors as tfn_lmdb_open.
 */
TFN_NODISCARD tfn_code tfn__lmdb_get_env(tfn_lmdb *online, tfn_lmdb_env **out, tfn_error *err);

/**
 * After MDB_PANIC: close the environment once its reads have ended, so that the handle's next
 * tfn__lmdb_get_env opens the file anew. Waits a second for them at most. `env` itself stays in
 * memory, as a parent's does after a fork.
 *
 * Threads  any; takes lock 3, and LMDB's write lock under it
 * Errors   TFN_IO reads are still open
 */
TFN_NODISCARD tfn_code tfn__lmdb_revive(tfn_lmdb_env *env, tfn_error *err);

/** False in a child for what its parent opened, and for what was closed by tfn__lmdb_revive: such
 * things are forgotten, never touched. */
bool tfn__lmdb_is_ours(const tfn_lmdb_env *env);

enum {
    TFN__ONLINE_BURIED = -1,   /* an epoch that never is */
    TFN__ONLINE_REVIVALS = 100 /* the next environment may die before one comes to use it */
};

/* ---- reading (lmdb_read.c) ---- */

/** End all idle reads, if there are no others. False: there are, and nothing was done. */
bool tfn__read_end_idle(tfn_lmdb_env *env);

/* ---- what the file holds (lmdb_format.c) ---- */

enum { TFN__ONLINE_DATABASES = 8 }; /* at most; 6 of them are used */

/** Make an empty store in a folder that holds none, and the folder. Errors TFN_IO, TFN_NO_MEMORY.
 */
TFN_NODISCARD tfn_code tfn__format_make(const char *path, tfn_error *err);

/**
 * Check the format of an opened environment and find its databases.
 *
 * Errors   TFN_NOT_FOUND reading, and there are none . TFN_INVALID somebody else's .
 * TFN_UNSUPPORTED . TFN_CORRUPT . TFN_IO
 */
TFN_NODISCARD tfn_code tfn__format_open(tfn_lmdb_env *env, tfn_online_mode mode, tfn_error *err);

/* ---- folders (folder.c) ---- */

enum { TFN__FOLDER_MISSING = 0, TFN__FOLDER_EMPTY = 1, TFN__FOLDER_STORE = 2 };

/**
 * What a path holds: nothing, an empty folder, or a folder with an LMDB data file (whose identity
 * and size go to *data).
 *
 * Errors   TFN_INVALID it is a file, or a folder that holds something else . TFN_IO
 */
struct stat;
TFN_NODISCARD tfn_code tfn__folder_inspect(const char *path, int *what, struct stat *data,
                                           tfn_error *err);

/** Make a folder and its parents, durably. Errors TFN_IO, TFN_NO_MEMORY. */
TFN_NODISCARD tfn_code tfn__folder_create(const char *path, tfn_error *err);

/* Hidden names of stores that are being made: this and a process number. */
#define TFN__FOLDER_NEW ".new-store-"

/** Remove what makers left that were killed. Threads any. Errors none: what cannot be removed
 * stays. */
void tfn__folder_remove_new(const char *path);

/** fsync of a folder, so that the names in it survive. Errors TFN_IO. */
TFN_NODISCARD tfn_code tfn__folder_sync(const char *path, tfn_error *err);

/* ---- errors of LMDB (lmdb_error.c) ---- */

/** Turn LMDB's code into ours. `doing` completes "online store at '...': <doing>: ...". */
tfn_code tfn__lmdb_error(const char *path, int lmdb_rc, const char *doing, tfn_error *err);

/* Steps that only remove: what those before have committed stays, which the sentence says. */
#define TFN__DOING_VACUUM "vacuuming"
#define TFN__DOING_SWEEP "removing old generations"

/* The same, never TFN_OK: what readers of the code, and checkers, may rely on. */
static inline tfn_code tfn__lmdb_fail(const char *path, int lmdb_rc, const char *doing,
                                      tfn_error *err)
{
    const tfn_code code = tfn__lmdb_error(path, lmdb_rc, doing, err);
    return code == TFN_OK ? TFN_IO : code;
}

/** "nothing was materialized yet": sets TFN_NOT_FOUND. */
tfn_code tfn__lmdb_nothing_yet(const char *path, tfn_error *err);

/* ---- keys (row_key.c) ---- */

enum { TFN__ROW_KEY_BYTES = 400, TFN__GENERATION_BYTES = 4 };

typedef struct tfn__row_key {
    size_t n;
    bool is_hashed; /* the row must hold the full key */
    uint8_t bytes[TFN__ROW_KEY_BYTES];
} tfn__row_key;

/** Key of a row in database `rows`. Errors TFN_LIMIT. */
TFN_NODISCARD tfn_code tfn__row_key_make(uint32_t generation, tfn_str key, tfn__row_key *out,
                                         tfn_error *err);

/* A row's key without its generation. */
static inline tfn_str tfn__row_key_tail(const tfn__row_key *key)
{
    return (tfn_str){(const char *)key->bytes + TFN__GENERATION_BYTES,
                     key->n - TFN__GENERATION_BYTES};
}

/** True for a key of `rows` that is a hash. */
bool tfn__row_key_is_hashed(tfn_str row_key);

/* ---- reading (lmdb_read.c) ---- */

/** The bytes of a row, in LMDB's memory until the read ends; mv_data NULL: no such key. */
TFN_NODISCARD tfn_code tfn__lmdb_find_row(const tfn_lmdb_read *read, const tfn__row_key *key,
                                          MDB_val *value, tfn_error *err);

/** Find the schema of a row's bytes (in any memory) and check them. Errors as tfn_lmdb_get. */
TFN_NODISCARD tfn_code tfn__lmdb_open_row(const tfn_lmdb_read *read, tfn_str bytes, tfn_row *row,
                                          tfn_error *err);

/* ---- row schemas of a store (lmdb_schema.c) ---- */

/**
 * The schema of that id, as `txn` sees it.
 *
 * @param out  [own] ends with tfn_row_schema_destroy
 *
 * Cost     O(fields)
 * Threads  the one that has the transaction
 * Errors   TFN_CORRUPT . TFN_UNSUPPORTED . TFN_IO . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__schema_load(const tfn_lmdb_env *env, MDB_txn *txn, uint32_t id,
                                        tfn_row_schema **out, tfn_error *err);

/**
 * The schema of that id, from the cache or through `txn`.
 *
 * @param txn  for reading: what a write transaction sees may be aborted, and the cache keeps it
 * @param out  [borrow until the environment closes]
 *
 * Threads  any
 * Errors   TFN_CORRUPT . TFN_UNSUPPORTED . TFN_IO . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__schema_get(tfn_lmdb_env *env, MDB_txn *txn, uint32_t id,
                                       const tfn_row_schema **out, tfn_error *err);

/** Give a schema the id of its equal in the store, or 0. Errors TFN_IO. */
TFN_NODISCARD tfn_code tfn__schema_find_id(const tfn_lmdb_env *env, MDB_txn *txn,
                                           tfn_row_schema *schema, tfn_error *err);

/** Give a fresh schema the id of its equal in the store, or a new one. Errors as tfn_lmdb_put. */
TFN_NODISCARD tfn_code tfn__schema_assign_id(tfn_lmdb_env *env, MDB_txn *txn,
                                             tfn_row_schema *schema, tfn_error *err);

void tfn__schema_cache_deinit(tfn_lmdb_env *env);

/* ---- views of a store (lmdb_view.c) ---- */

/* What database `views` says of one (project, view). Zeroed: never materialized. */
typedef struct tfn__view {
    uint32_t generation;          /* live; 0: none yet, the first is being built */
    uint32_t schema_id;           /* of the last write */
    uint64_t n_rows;              /* of the live generation */
    uint32_t previous_generation; /* what a rollback returns to; 0: none */
    uint32_t building_generation; /* of the load that goes on, or died; 0: none */
} tfn__view;

/* True when what is written to the live generation must also be noted (tfn__changes_log). */
static inline bool tfn__view_is_logged(const tfn__view *view)
{
    return view->previous_generation != 0 || view->building_generation != 0;
}

/** Errors TFN_INVALID a zero byte in a name, TFN_LIMIT one too long. */
TFN_NODISCARD tfn_code tfn__view_check_names(tfn_str project, tfn_str view, tfn_error *err);

/** Errors TFN_CORRUPT, TFN_IO. A view that is not there: zeroed. Allocates nothing. */
TFN_NODISCARD tfn_code tfn__view_get(const tfn_lmdb_env *env, MDB_txn *txn, tfn_str project,
                                     tfn_str view, tfn__view *out, tfn_error *err);

TFN_NODISCARD tfn_code tfn__view_put(const tfn_lmdb_env *env, MDB_txn *txn, tfn_str project,
                                     tfn_str view, const tfn__view *record, tfn_error *err);

/** Take the next number of a counter in database `meta`, e.g. "next_generation". First is 1. */
TFN_NODISCARD tfn_code tfn__meta_take_number(const tfn_lmdb_env *env, MDB_txn *txn,
                                             const char *counter, uint32_t *out, tfn_error *err);

/** Remove a view's record. One that is not there is fine. Errors TFN_IO, TFN_LIMIT. */
TFN_NODISCARD tfn_code tfn__view_remove(const tfn_lmdb_env *env, MDB_txn *txn, tfn_str project,
                                        tfn_str view, tfn_error *err);

/** One record of `views` after another; the names borrow the transaction. */
typedef tfn_code tfn__view_visit(void *context, tfn_str project, tfn_str view,
                                 const tfn__view *record, tfn_error *err);

/** Visit all views, in the order of their keys. Errors TFN_CORRUPT, TFN_IO, the visitor's. */
TFN_NODISCARD tfn_code tfn__view_each(const tfn_lmdb_env *env, MDB_txn *txn, tfn__view_visit *visit,
                                      void *context, tfn_error *err);

/* ---- change lists (lmdb_changes.c) ---- */

/**
 * Note what a caller's hand did to the live generation of a view: in the list of its previous
 * generation and of the one that is being built, if there are such. To be called for each row that
 * was put, whatever the write rule made of it in the live generation, and for each key that was
 * deleted, in the transaction that did it.
 *
 * @param view     [borrow] as it is in this transaction
 * @param origin   rows of a load are not noted: a rollback takes them back, and loads take turns
 * @param row_key  key in database `rows` without its generation
 * @param row      encoded row; empty: the key was deleted
 * @param has_put  [out] false: the lists are as they were
 *
 * Cost     a get and a put per list
 * Threads  the one that has the transaction
 * Errors   TFN_IO . TFN_LIMIT . TFN_CORRUPT; the transaction is of no use then
 */
TFN_NODISCARD tfn_code tfn__changes_log(const tfn_lmdb_env *env, MDB_txn *txn,
                                        const tfn__view *view, tfn_online_origin origin,
                                        tfn_str row_key, tfn_str row, bool *has_put,
                                        tfn_error *err);

/**
 * Move the changes of a generation's list into its rows, under the write rule.
 *
 * @param max_changes  at most so many
 * @param n_rows       [in, out] rows of the generation
 * @param n_moved      [out] fewer than max_changes: the list is empty now
 *
 * Cost     O(changes); keys come in order
 * Errors   TFN_IO . TFN_LIMIT . TFN_CORRUPT . TFN_NO_MEMORY; the transaction is of no use then
 */
TFN_NODISCARD tfn_code tfn__changes_replay(const tfn_lmdb_env *env, MDB_txn *txn,
                                           uint32_t generation, uint64_t max_changes,
                                           uint64_t *n_rows, uint64_t *n_moved, tfn_error *err);

/* ---- writing (lmdb_write.c) ---- */

/** The environment of a handle that may write. Errors as tfn__write_begin_txn. */
TFN_NODISCARD tfn_code tfn__write_get_env(tfn_lmdb *online, tfn_lmdb_env **env, tfn_error *err);

/** Begin a write transaction, refusing handles and folders that are for reading only. */
TFN_NODISCARD tfn_code tfn__write_begin_txn(tfn_lmdb *online, tfn_lmdb_env **env, MDB_txn **txn,
                                            tfn_error *err);

/**
 * End a transaction: commit it if all went well in it, else abort it.
 *
 * @param rc     what came of the work in it; anything but TFN_OK is returned as it is
 * @param doing  for the sentence of an error, e.g. "restoring rows"
 *
 * Errors   as tfn_lmdb_commit
 */
TFN_NODISCARD tfn_code tfn__write_end_txn(const tfn_lmdb_env *env, MDB_txn *txn, tfn_code rc,
                                          const char *doing, tfn_error *err);

/**
 * Begin a write in a transaction, which may be one inside of another.
 *
 * @param txn  [take, on success] committed or aborted with the write
 * @param out  [own] no view is begun yet
 *
 * Errors   TFN_IO . TFN_CORRUPT . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__write_begin_in(tfn_lmdb_env *env, MDB_txn *txn, tfn_lmdb_write **out,
                                           tfn_error *err);

/**
 * tfn_lmdb_next_view, also for the first one.
 *
 * @param schema  [take, on success] borrowed until the next view, or the end
 */
TFN_NODISCARD tfn_code tfn__write_next_view(tfn_lmdb_write *write, tfn_str project, tfn_str view,
                                            tfn_row_schema **schema, tfn_error *err);

/**
 * tfn_lmdb_put of a row that is encoded.
 *
 * @param row  [borrow] n_bytes, of the view's schema; the schema's id is set in it. A key that
 *             stands for itself by its hash is in the row (tfn_row_encode, full_key)
 */
TFN_NODISCARD tfn_code tfn__write_put_encoded(tfn_lmdb_write *write, tfn_str key, char *row,
                                              size_t n_bytes, tfn_error *err);

/** tfn_lmdb_commit. `has_changed`: [out] false, the transaction held nothing and was dropped. */
TFN_NODISCARD tfn_code tfn__write_commit(tfn_lmdb_write *write, bool *has_changed, tfn_error *err);

/** Where the rows come from that will be put: of a load they are not noted in change lists. */
void tfn__write_set_origin(tfn_lmdb_write *write, tfn_online_origin origin);

/** The generation that its current view has, or will have. */
uint32_t tfn__write_get_generation(const tfn_lmdb_write *write);

/** Sets TFN_CONFLICT. */
tfn_code tfn__row_fail_same_hash(const tfn_lmdb_env *env, tfn_error *err);

static inline MDB_val tfn__val(const void *p, size_t n)
{
    union {
        const void *in;
        void *out;
    } same = {p}; /* LMDB takes keys and values as non-const, and does not write to them */
    return (MDB_val){n, same.out};
}

static inline tfn_str tfn__val_str(MDB_val v)
{
    return (tfn_str){v.mv_data, v.mv_size};
}

#endif
