/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_REGISTRY_INTERNAL_H
#define TFN_REGISTRY_INTERNAL_H

/*
 * What the files of registry/ share. In the order in which an apply passes through them:
 *
 *   json.c       text -> values in an arena; canonical text of a value
 *   document.c   one document: its members checked and written in canonical form
 *   snapshot.c   all documents of a project; decode.c gives the structs of definition.h
 *   proposal.c   request -> the state it asks for, beside the state that is; check.c judges it
 *   diff.c       two states -> changes by object and field
 *   commit.c     plan, apply, teardown;  history.c  log, show;  watermark.c  operational rows
 *   database.c   the SQLite file;  registry.c  the handle and its cached snapshots
 *   feast_import.c  files of Feast: imported, or followed
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>
#include <yyjson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/map.h"
#include "base/str.h"
#include "base/time.h"
#include "registry/registry.h"

/* ---- json.c ---- */

/**
 * Parse into an arena; texts and values live as long as it.
 *
 * @param what  [borrow] named in the sentence: "the apply request"
 *
 * Errors   TFN_INVALID not JSON: says where . TFN_NO_MEMORY . TFN_LIMIT (the arena's)
 */
TFN_NODISCARD tfn_code tfn__json_read(tfn_arena *a, tfn_str text, const char *what,
                                      yyjson_val **out, tfn_error *err);

/** Text of a string value, or of any other value as nothing. Borrowed from the value. */
tfn_str tfn__json_get_str(yyjson_val *value);

/** "an object", "a text", "a whole number", ... for sentences. */
const char *tfn__json_type_words(yyjson_val *value);

/** An instant as ISO 8601 in quotes; TFN_INSTANT_NONE as null. */
TFN_NODISCARD tfn_code tfn__json_add_instant(tfn_buf *b, tfn_instant t, tfn_error *err);

/** A value of a canonical document as it stands there (numbers are whole). NULL as null. */
TFN_NODISCARD tfn_code tfn__json_add_value(tfn_buf *b, yyjson_val *value, tfn_error *err);

/** An object or array of texts, members in byte order of names. Texts only. */
bool tfn__json_equal(yyjson_val *a, yyjson_val *b);

/* ---- suggest.c ---- */

enum { TFN__SUBJECT_BYTES = 192 };

/** "feature view 'plane_history'", long names cut. */
void tfn__subject_format(tfn_object_kind kind, tfn_str name, char text[TFN__SUBJECT_BYTES]);

/** A name in quotes, long ones cut at a character: for sentences with several names. */
void tfn__name_format(tfn_str name, char text[TFN__SUBJECT_BYTES]);

enum { TFN__HINT_BYTES = 320 };

/**
 * How a sentence about an unknown name goes on: "; did you mean 'a' or 'b'?", "; there are 'a' and
 * 'b'", or "; there are none".
 *
 * @param get   [borrow] i -> name, i < n
 */
typedef tfn_str (*tfn__name_fn)(const void *context, size_t i);
void tfn__hint_format(tfn_str wanted, tfn__name_fn get, const void *context, size_t n,
                      char text[TFN__HINT_BYTES]);

/* ---- snapshot.c ---- */

enum { TFN__N_KINDS = TFN_OBJECT_PERMISSION + 1 };

/* Kinds in the order in which they may use each other (definition.c); their numbers are older. */
extern const tfn_object_kind tfn__kinds_in_order[TFN__N_KINDS - 1];

/* On-demand views may use each other; this bounds the recursion that decodes them. */
enum { TFN__MAX_ON_DEMAND_DEPTH = 32 };

/* One object of a state. Texts live in the snapshot's arena, or in a parent's. */
typedef struct tfn__entry {
    tfn_object_kind kind;
    tfn_str name;
    tfn_str body; /* canonical document */
    tfn_hash128 hash;
    tfn_instant created;
    tfn_instant updated;
    _Atomic(const void *) def;       /* NULL until decoded; then a struct of definition.h */
    const struct tfn__entry *before; /* proposals: the same object in the head; NULL = new */
    bool is_removed;                 /* proposals */
    bool is_refused;                 /* proposals: it stands in `refusals` */
    bool is_blocked;                 /* proposals: it only fails because of something refused */
    bool is_named;                   /* proposals: in the head, and the request has it */
    bool is_put;                     /* proposals: the request's document is in place */
} tfn__entry;

struct tfn_snapshot {
    _Atomic int64_t n_owners;
    tfn_str project; /* in `arena` */
    int64_t commit;
    uint64_t generation;
    uint64_t file_serial; /* of the connection that loaded it */
    tfn__entry *entries;  /* loaded: by kind, then by name; proposals: new ones at the end */
    size_t n_entries;
    size_t capacity;
    tfn_map index[TFN__N_KINDS]; /* name -> place in entries */
    size_t first[TFN__N_KINDS];  /* loaded: where a kind begins */
    size_t count[TFN__N_KINDS];  /* loaded */
    pthread_mutex_t lock;        /* leaf lock; guards the two arenas and makes each def once */
    tfn_arena arena;
    tfn_arena scratch;
    const tfn__entry *decoding[TFN__MAX_ON_DEMAND_DEPTH]; /* on-demand views in the work */
    size_t n_decoding;
};

/**
 * An empty state to be filled by tfn__snapshot_add; then private to its maker.
 *
 * @param out  [own] ends with tfn_snapshot_release
 */
TFN_NODISCARD tfn_code tfn__snapshot_create(tfn_str project, int64_t commit, tfn_snapshot **out,
                                            tfn_error *err);

/** Add one object; its texts are borrowed as long as the snapshot. The name must be new. */
TFN_NODISCARD tfn_code tfn__snapshot_add(tfn_snapshot *s, const tfn__entry *entry, tfn_error *err);

/** The object, or NULL. Removed ones are not there. */
tfn__entry *tfn__snapshot_get(const tfn_snapshot *s, tfn_object_kind kind, tfn_str name);

/** The view of that name, of either kind, or NULL. */
tfn__entry *tfn__snapshot_get_view(const tfn_snapshot *s, tfn_str name);

/** TFN_NOT_FOUND "project 'p' has no feature view 'x'; did you mean ...?" with an optional user in
 * front: "feature view 'v' uses the entity 'x', but project 'p' has no such entity; ...". */
tfn_code tfn__snapshot_fail_missing(const tfn_snapshot *s, const char *user, tfn_object_kind kind,
                                    tfn_str name, tfn_error *err);

/** The same for a name that a view of either kind might have. */
tfn_code tfn__snapshot_fail_missing_view(const tfn_snapshot *s, const char *user, tfn_str name,
                                         tfn_error *err);

/** Decode on first use. The caller does not hold the lock; the _locked form is for decode.c. */
TFN_NODISCARD tfn_code tfn__snapshot_get_def(tfn_snapshot *s, tfn__entry *entry, const void **out,
                                             tfn_error *err);
TFN_NODISCARD tfn_code tfn__snapshot_get_def_locked(tfn_snapshot *s, tfn__entry *entry,
                                                    const void **out, tfn_error *err);

/** Describe one entry (tfn_snapshot_describe). */
TFN_NODISCARD tfn_code tfn__snapshot_describe_entry(const tfn__entry *entry, tfn_buf *out,
                                                    tfn_error *err);

/* ---- document.c ---- */

/**
 * Check the shape of one document and write it in canonical form: members sorted, defaults filled,
 * join keys and entity columns of a view and features of a service completed from `state`.
 *
 * @param state  [borrow] the entities (for a view) and views (for a service) that it may name
 * @param a      canonical text and name are put there
 * @param out    [out] kind, name, body, hash
 *
 * Errors   TFN_INVALID, TFN_SCHEMA, TFN_LIMIT: one sentence that names object and member
 */
TFN_NODISCARD tfn_code tfn__document_canonicalise(yyjson_val *document, tfn_snapshot *state,
                                                  tfn_arena *a, tfn__entry *out, tfn_error *err);

/** Kind and name alone, checked; texts borrowed from the document. */
TFN_NODISCARD tfn_code tfn__document_identify(yyjson_val *document, tfn_object_kind *kind,
                                              tfn_str *name, tfn_error *err);

/** May an object (a project) be called so? Errors TFN_INVALID */
TFN_NODISCARD tfn_code tfn__name_check(tfn_object_kind kind, tfn_str name, tfn_error *err);

/* ---- decode.c ---- */

/** Decode a canonical document into s->arena, resolving what it names. The lock is held (or the
 * snapshot is private). Errors one sentence about `entry`: the rules of definitions.md section 4 */
TFN_NODISCARD tfn_code tfn__definition_decode(tfn_snapshot *s, const tfn__entry *entry,
                                              const void **out, tfn_error *err);

/* ---- references.c ---- */

/* One name that a document uses. */
typedef struct tfn__reference {
    tfn_object_kind kind;
    tfn_str name;
} tfn__reference;

/** All objects that a canonical document names, in an arena. */
TFN_NODISCARD tfn_code tfn__references_get(tfn_arena *a, const tfn__entry *entry,
                                           tfn__reference **out, size_t *n, tfn_error *err);

/* ---- proposal.c ---- */

/* One refused object; texts in the proposal's arena. */
typedef struct tfn__refusal {
    tfn_object_kind kind; /* NONE: it did not say */
    tfn_str name;
    tfn_code code;
    tfn_str reason;
} tfn__refusal;

/* What a request asks for. */
typedef struct tfn__proposal {
    tfn_arena arena;
    tfn_snapshot *state; /* head and request merged; borrows texts from head and arena */
    tfn__refusal *refusals;
    size_t n_refusals;
    size_t refusal_capacity;
    tfn_str message;
    int64_t expected_commit;
    const tfn__entry **changed; /* by kind, then name; refused ones left out */
    size_t n_changed;
    int64_t n_by_action[3]; /* added, changed, removed */
} tfn__proposal;

/**
 * Read a request against a head. A zeroed proposal may be deinit'ed.
 *
 * @param head  [borrow until the proposal is deinit'ed]
 *
 * Errors   TFN_INVALID not such a request; what is wrong with single objects goes to refusals
 */
TFN_NODISCARD tfn_code tfn__proposal_init(tfn__proposal *p, const tfn_snapshot *head,
                                          tfn_str request, tfn_error *err);
/** The proposal to remove everything. */
TFN_NODISCARD tfn_code tfn__proposal_init_teardown(tfn__proposal *p, const tfn_snapshot *head,
                                                   tfn_str message, tfn_error *err);
void tfn__proposal_deinit(tfn__proposal *p);

/** Refuse an object with the code and sentence of `why`. Errors TFN_NO_MEMORY */
TFN_NODISCARD tfn_code tfn__proposal_refuse(tfn__proposal *p, tfn_object_kind kind, tfn_str name,
                                            const tfn_error *why, tfn_error *err);

/** True for errors that say something about the request, not about this machine. */
bool tfn__is_refusal(tfn_code code);

/* ---- check.c ---- */

/** Judge the whole state: names, references, removals. Refusals are added. */
TFN_NODISCARD tfn_code tfn__proposal_check(tfn__proposal *p, tfn_error *err);

/* ---- diff.c ---- */

typedef enum tfn__action { TFN__ADD = 0, TFN__CHANGE = 1, TFN__REMOVE = 2 } tfn__action;

/** One element of "changes" in an answer. `before` or `after` is empty for add and remove. */
TFN_NODISCARD tfn_code tfn__diff_add_change(tfn_buf *b, tfn_arena *scratch, tfn_object_kind kind,
                                            tfn_str name, tfn_str before, tfn_str after,
                                            tfn_error *err);

/* ---- database.c ---- */

enum { TFN__FORMAT_VERSION = 1, TFN__APPLICATION_ID = 0x5446524e /* "TFRN" */ };

/* Which file a connection has open. */
typedef struct tfn__file_id {
    bool exists;
    uint64_t device;
    uint64_t inode;
    int64_t size;
    int64_t changed_ns;
} tfn__file_id;

typedef struct tfn__database {
    sqlite3 *db; /* NULL = not open */
    const char *path;
    tfn__file_id id;
    uint64_t serial; /* readers: counts how often the handle opened another file; see registry.c */
    bool is_immutable; /* read-only folder: SQLite may not make its helper files */
} tfn__database;

/** Is there a registry at the path? Reads the first bytes only, never through SQLite. Errors as
 * tfn_registry_open */
TFN_NODISCARD tfn_code tfn__database_look(const char *path, tfn__file_id *out, tfn_error *err);

/** Open for reading; the file must exist (tfn__database_look). TFN_OK and db == NULL: no tables
 * yet. */
TFN_NODISCARD tfn_code tfn__database_open_reader(tfn__database *d, const char *path, int busy_ms,
                                                 tfn_error *err);
/** Open for writing; folder, file and tables are made when missing. */
TFN_NODISCARD tfn_code tfn__database_open_writer(tfn__database *d, const char *path, int busy_ms,
                                                 tfn_error *err);
void tfn__database_close(tfn__database *d);

/** Does a file begin like one of SQLite's? False when there is none. Never interpreted. Errors as
 * tfn__database_look */
TFN_NODISCARD tfn_code tfn__database_is_sqlite(const char *path, bool *is_sqlite, tfn_error *err);

/** False when the path no longer holds the file that is open. */
bool tfn__database_is_current(const tfn__database *d, const tfn__file_id *now);

/* A parameter of a statement: a whole number, a text, bytes, or null. */
typedef struct tfn__sql_value {
    char type; /* 'i', 't', 'b', 'n' */
    int64_t i;
    tfn_str s;
} tfn__sql_value;

static inline tfn__sql_value tfn__sql_int(int64_t i)
{
    return (tfn__sql_value){'i', i, {0}};
}

static inline tfn__sql_value tfn__sql_text(tfn_str s)
{
    return (tfn__sql_value){'t', 0, s};
}

static inline tfn__sql_value tfn__sql_bytes(tfn_str s)
{
    return (tfn__sql_value){'b', 0, s};
}

/** Called for each row; texts from sqlite3_column_* are borrowed for the call. */
typedef tfn_code (*tfn__sql_row_fn)(void *context, sqlite3_stmt *row, tfn_error *err);

/**
 * Run one statement. `on_row` may be NULL when no row is wanted.
 *
 * Errors   TFN_CONFLICT somebody held the file for too long . TFN_IO . TFN_CORRUPT . TFN_NO_MEMORY
 *          and what on_row returns
 */
TFN_NODISCARD tfn_code tfn__sql_run(tfn__database *d, const char *sql, const tfn__sql_value *values,
                                    size_t n_values, tfn__sql_row_fn on_row, void *context,
                                    tfn_error *err);

/** The same in two steps, for statements that run many times. Ends with sqlite3_finalize. */
TFN_NODISCARD tfn_code tfn__sql_prepare(tfn__database *d, const char *sql, sqlite3_stmt **out,
                                        tfn_error *err);
TFN_NODISCARD tfn_code tfn__sql_run_prepared(tfn__database *d, sqlite3_stmt *statement,
                                             const tfn__sql_value *values, size_t n_values,
                                             tfn__sql_row_fn on_row, void *context, tfn_error *err);

/** Text or bytes of a column; empty for null. Borrowed for the row. */
tfn_str tfn__sql_get_str(sqlite3_stmt *row, int column);
/** Two columns, seconds and nanoseconds. */
tfn_instant tfn__sql_get_instant(sqlite3_stmt *row, int column);

/** Undo what is open; never fails. */
void tfn__sql_rollback(tfn__database *d);

/* ---- state.c: rows of the file -> snapshots ---- */

typedef struct tfn__head {
    int64_t project; /* 0 = the project has no commit */
    int64_t commit;
} tfn__head;

/** Row and head of a project. */
TFN_NODISCARD tfn_code tfn__state_get_head(tfn__database *d, tfn_str project, tfn__head *out,
                                           tfn_error *err);

/** Load the state after a commit (0 = before the first). `out` [own]. */
TFN_NODISCARD tfn_code tfn__state_load(tfn__database *d, tfn_str project, int64_t project_row,
                                       int64_t commit, bool is_head, tfn_snapshot **out,
                                       tfn_error *err);

/* ---- commit.c ---- */

/** A request that would be refused makes no file where there is none. Errors what it is refused
 * with */
TFN_NODISCARD tfn_code tfn__registry_try_on_nothing(tfn_registry *r, tfn_str project,
                                                    tfn_str request, tfn_error *err);

/** Apply inside a transaction that writes. Errors as tfn_registry_apply; then it must be undone */
TFN_NODISCARD tfn_code tfn__registry_apply_inside(tfn_registry *r, tfn__database *d,
                                                  tfn_str project, tfn_str request, tfn_buf *answer,
                                                  tfn_error *err);

/** Commit, or undo all; then the answer is as it was at `n_before`. Returns rc, or what failed. */
TFN_NODISCARD tfn_code tfn__registry_finish(tfn_registry *r, tfn__database *d, tfn_code rc,
                                            tfn_buf *answer, size_t n_before, tfn_error *err);

/* ---- registry.c ---- */

typedef struct tfn__cached {
    tfn_snapshot *snapshot; /* [own] */
    uint64_t write_seq;     /* of the registry, when it was looked at */
    double next_look_s;     /* monotonic clock */
} tfn__cached;

/* A project of Feast's file that was refused: whoever wants its newest state gets the reason. */
typedef struct tfn__feast_failure {
    char *project; /* [own] */
    tfn_error why;
} tfn__feast_failure;

/* A registry file of Feast whose contents are taken over; guarded by reader_lock. */
typedef struct tfn__feast_followed {
    tfn__feast_failure *failures; /* [own] of the file as it was seen last */
    size_t n_failures;
    size_t failures_capacity;
    char *path;          /* NULL: none; set once, at open */
    tfn__file_id seen;   /* as it was when its contents were found to be ours */
    tfn__file_id failed; /* as it was when that could not be done */
} tfn__feast_followed;

struct tfn_registry {
    char *path;       /* of our own file */
    char *given_path; /* as it was opened */
    tfn__feast_followed feast;
    tfn_registry_mode mode;
    tfn_clock clock;
    int busy_ms;                /* how long to wait for other processes */
    _Atomic uint64_t write_seq; /* commits made through this handle */
    _Atomic uint64_t n_generations;
    _Atomic int64_t owner_pid;   /* process that may use the reader; see registry.c */
    pthread_mutex_t reader_lock; /* first lock: guards `reader` */
    tfn__database reader;
    uint64_t n_readers;          /* opened so far */
    _Atomic uint32_t cache_lock; /* second lock, a few instructions: guards what follows */
    tfn__cached *cached;
    size_t n_cached;
    size_t cached_capacity;
};

/**
 * Take the reading connection, opened on the file that is there now. `*exists` false: there is no
 * file (nothing is locked then). Ends with tfn__registry_end_read.
 */
TFN_NODISCARD tfn_code tfn__registry_begin_read(tfn_registry *r, bool *exists, tfn__database **out,
                                                tfn_error *err);
void tfn__registry_end_read(tfn_registry *r);

/** tfn__registry_begin_read for a project that must be there. After an error nothing is locked. */
TFN_NODISCARD tfn_code tfn__registry_begin_project(tfn_registry *r, tfn_str project,
                                                   tfn__database **out, tfn__head *head,
                                                   tfn_error *err);

/** Refuse when opened TFN_REGISTRY_READ; otherwise a writing connection inside BEGIN IMMEDIATE.
 * Ends with tfn__registry_commit or tfn__registry_abort, which close it. */
TFN_NODISCARD tfn_code tfn__registry_begin_write(tfn_registry *r, tfn__database *d, tfn_error *err);
TFN_NODISCARD tfn_code tfn__registry_commit(tfn_registry *r, tfn__database *d, tfn_error *err);
void tfn__registry_abort(tfn__database *d);

/** tfn__registry_begin_write also with TFN_REGISTRY_READ: for what is ours alone. */
TFN_NODISCARD tfn_code tfn__registry_begin_own_write(tfn_registry *r, tfn__database *d,
                                                     tfn_error *err);

/** Take over what Feast's file says, if the registry follows one: before a write to a project.
 * Errors as tfn_registry_open; what the project was refused with */
TFN_NODISCARD tfn_code tfn__registry_follow(tfn_registry *r, tfn_str project, tfn_error *err);

/** TFN_NOT_FOUND "nothing was ever applied ...". */
tfn_code tfn__registry_fail_unknown_project(tfn_registry *r, tfn__database *d, tfn_str project,
                                            tfn_error *err);

/** The same unless there is a file: for writers that would only make an empty one. */
TFN_NODISCARD tfn_code tfn__registry_require_file(tfn_registry *r, tfn_str project, tfn_error *err);

/* ---- feast_import.c ---- */

/** Decide, at open, whether the path is one of Feast's: then r->feast.path is it, and r->path lies
 * beside it. r->path is given_path before. Errors as tfn__database_look */
TFN_NODISCARD tfn_code tfn__feast_find(tfn_registry *r, tfn_error *err);

/**
 * Take over what Feast's file says, if it has changed. With reader_lock held.
 *
 * @param is_lenient  a failure that is remembered, or that says something of the file, leaves our
 *                    state as it is: for looks that serve an older state else
 *
 * Errors   as tfn_registry_open; our file is as it was then
 */
TFN_NODISCARD tfn_code tfn__feast_follow(tfn_registry *r, bool is_lenient, tfn_error *err);

/** The reason why a project of Feast's file was refused, if it was. With reader_lock held. Errors
 * that reason */
TFN_NODISCARD tfn_code tfn__feast_check(const tfn_registry *r, tfn_str project, tfn_error *err);

/** Forget what was refused. */
void tfn__feast_forget_failures(tfn_registry *r);

#endif
