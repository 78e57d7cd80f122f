/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TIFFIN_NATIVE_H
#define TIFFIN_NATIVE_H

/*
 * What the files of tiffin._native share.
 *
 * Conventions: a function that returns PyObject * gives a new reference, or NULL with a Python
 * exception set; one that returns int gives 0, or -1 with an exception set. "Without the lock"
 * means that the interpreter lock (GIL) is not needed; everything else needs it.
 */

#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030b0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tiffin/arrow.h"
#include "tiffin/error.h"
#include "tiffin/progress.h"
#include "tiffin/store.h"

/* CPython's tables hold functions as void * and are not const; ISO C converts neither. */
#define NATIVE_SLOT(address) ((void *)(uintptr_t)(address))
#define NATIVE_METHOD(function) ((PyCFunction)(void (*)(void))(function))
#define NATIVE_KEYWORDS(names) ((char **)(uintptr_t)(names))

/* The codes as array indices: those of tfn_code, without gaps. */
enum {
#define NATIVE_CODE_PLACE(name, value, http, grpc, python, meaning) NATIVE_CODE_##name,
    TFN_CODE_MAP(NATIVE_CODE_PLACE)
#undef NATIVE_CODE_PLACE
        NATIVE_N_CODES
};
#define NATIVE_CODE_CHECK(name, value, http, grpc, python, meaning)                                \
    static_assert((value) == (int)NATIVE_CODE_##name, "codes have gaps");
TFN_CODE_MAP(NATIVE_CODE_CHECK)
#undef NATIVE_CODE_CHECK

/* Python objects that a module holds: classes and two instants of `datetime`, then our own types.
 */
#define NATIVE_OBJECTS(X)                                                                          \
    X(date_class)                                                                                  \
    X(datetime_class)                                                                              \
    X(timedelta_class)                                                                             \
    X(epoch_naive)                                                                                 \
    X(epoch_utc)                                                                                   \
    X(store_type)                                                                                  \
    X(lookup_type)                                                                                 \
    X(batches_type)                                                                                \
    X(answer_type)                                                                                 \
    X(push_type)                                                                                   \
    X(stream_type)

/* Attribute names, interned once. */
#define NATIVE_NAMES(X)                                                                            \
    X(__arrow_c_stream__)                                                                          \
    X(__float__)                                                                                   \
    X(__module__)                                                                                  \
    X(days)                                                                                        \
    X(dtype)                                                                                       \
    X(fromordinal)                                                                                 \
    X(keys)                                                                                        \
    X(microseconds)                                                                                \
    X(nanoseconds)                                                                                 \
    X(seconds)                                                                                     \
    X(toordinal)                                                                                   \
    X(tzinfo)                                                                                      \
    X(utcoffset)

/** State of one module object: no variable of this extension lives elsewhere. */
typedef struct native_state {
    PyObject *error_class[NATIVE_N_CODES]; /* by code; that of OK is NULL */
#define NATIVE_MEMBER(name) PyObject *name;
    NATIVE_OBJECTS(NATIVE_MEMBER)
#undef NATIVE_MEMBER
    struct {
#define NATIVE_MEMBER(name) PyObject *name;
        NATIVE_NAMES(NATIVE_MEMBER)
#undef NATIVE_MEMBER
    } name;
} native_state;

/** The state behind an object of one of our types. They are final, so the type is always ours. */
static inline native_state *native_state_of(PyObject *self)
{
    return PyType_GetModuleState(Py_TYPE(self));
}

/* ---- errors.c ---- */

/** Fetch the classes of tiffin.errors into the state. */
int native_load_errors(native_state *state);

/** The constant CODES. */
PyObject *native_make_codes(void);

/** Raise the class of `code` with a sentence of the engine (UTF-8, perhaps cut inside a character).
 */
void native_raise(native_state *state, tfn_code code, const char *sentence);

/** Raise the class of `code`; the format is that of PyUnicode_FromFormat. Always NULL. */
PyObject *native_fail(native_state *state, tfn_code code, const char *format, ...);

/** Raise the class of TFN_SCHEMA: "<format>, not <type of found>". Always -1. */
int native_refuse_type(native_state *state, PyObject *found, const char *format, ...);

/** Fill `err` as the engine does. Without the lock. Returns `code`. */
tfn_code native_set_error(tfn_error *err, tfn_code code, const char *sentence);

/* ---- progress.c ---- */

/** One engine call that runs without the lock. Lives on the stack of the calling thread. */
typedef struct native_call {
    PyThreadState *thread; /* saved while the lock is given up */
    PyObject *progress;    /* [borrow from the arguments] NULL = nobody asks */
    int64_t ticked_ns;     /* when native_call_tick last ran */
    int64_t told_ns;       /* when progress was last called; 0 = never */
    bool is_stopped;       /* an exception is kept below, the engine is asked to stop */
    PyObject *type, *value, *traceback;
} native_call;

/** Give the lock up. `progress`: a callable, None or NULL. */
void native_call_begin(native_call *call, PyObject *progress);

/** A tfn_tick_fn with a native_call as its context. Without the lock, on the thread of `begin`. */
int native_call_tick(void *context, const tfn_progress *progress);

/** Take the lock again and raise what went wrong, a kept exception first. */
int native_call_end(native_call *call, native_state *state, tfn_code rc, const tfn_error *err);

/** native_call_end of a call whose answer is text [take]: a str, or NULL. */
PyObject *native_call_end_text(native_call *call, native_state *state, tfn_code rc, char *answer,
                               const tfn_error *err);
/** The same of one whose answer is n_bytes of anything: a bytes, or NULL. */
PyObject *native_call_end_bytes(native_call *call, native_state *state, tfn_code rc, char *answer,
                                size_t n_bytes, const tfn_error *err);

/** 0 if `progress` is NULL, None or callable. */
int native_check_progress(native_state *state, PyObject *progress);

/* ---- table.c: no Python in it, without the lock ---- */

/** A table in memory, immutable, counted. */
typedef struct native_table native_table;

/** Read `stream` to its end and release it, whatever happens. `out` [own]: native_table_release. */
tfn_code native_table_read(struct ArrowArrayStream *stream, native_call *call, native_table **out,
                           tfn_error *err);

/** All batches that are left of a training set, or only the next one: then `out` is NULL at the end.
 * `out` [own]: native_table_release. */
tfn_code native_table_take(tfn_training *training, bool is_all, native_call *call,
                           native_table **out, tfn_error *err);
void native_table_release(native_table *table);

/** 0, or ENOMEM. What is made shares the table's buffers and keeps them alive. */
int native_table_export_schema(native_table *table, struct ArrowSchema *out);
int native_table_export_stream(native_table *table, struct ArrowArrayStream *out);

/* ---- stream.c ---- */

/** Add the type Stream to the module. */
int native_add_stream(PyObject *module, native_state *state);

/** A Stream. Takes `table`, also when it fails. */
PyObject *native_stream_create(native_state *state, native_table *table);

/** Take the Arrow stream out of an object with __arrow_c_stream__; `what` names the argument. */
int native_take_stream(native_state *state, PyObject *object, const char *what,
                       struct ArrowArrayStream *out);

/** Release a stream that the engine has not taken. Without the lock. */
void native_stream_drop(struct ArrowArrayStream *stream);

/* ---- value.c ---- */

/** Fetch the classes of `datetime` into the state. */
int native_load_datetime(native_state *state);

/**
 * A Python value as one of the engine's. Text points into `*held` [own], which may be NULL.
 * `key` and `i_row` are for the sentence.
 */
int native_value_read(native_state *state, PyObject *object, PyObject *key, Py_ssize_t i_row,
                      tfn_value *out, PyObject **held);

/** One of the engine's values as a Python object; `column` is for the sentence. */
PyObject *native_value_make(native_state *state, const tfn_value *value, PyObject *column);

/** Microseconds since 1970, or None / NULL for "not given". `argument` is for the sentence. */
int native_time_read(native_state *state, PyObject *object, const char *argument, tfn_time *out);

/** Put `item` [own] at place i; if it is NULL or refused, end the tuple and give NULL. */
PyObject *native_tuple_put(PyObject *tuple, Py_ssize_t i, PyObject *item);

/** Names given as a sequence of str. */
typedef struct native_texts {
    PyObject *owner;   /* tuple of str; NULL = none given */
    const char **text; /* n pointers into owner */
    size_t n;
} native_texts;

/** Read names; None or NULL gives n = 0 and text = NULL. `argument` is for the sentence. */
int native_texts_read(native_state *state, PyObject *object, const char *argument,
                      native_texts *out);
void native_texts_deinit(native_texts *texts);

/* ---- rows.c ---- */

enum { NATIVE_BATCH_INLINE = 8 };

/** Entity rows as the engine takes them. The inline places serve requests for a row or a few. */
typedef struct native_batch {
    tfn_value *values; /* n_rows x n_keys, row by row */
    PyObject **held;   /* owner of each value's text, or NULL */
    size_t n_rows;
    size_t n_held; /* values filled so far, in any order: all of held is valid */
    tfn_value values_inline[NATIVE_BATCH_INLINE];
    PyObject *held_inline[NATIVE_BATCH_INLINE];
} native_batch;

/** Read entity rows (a sequence of mappings, or a mapping of sequences). On failure: nothing held.
 */
int native_batch_init(native_batch *batch, native_state *state, PyObject *key_names,
                      PyObject *entity_rows);
void native_batch_deinit(native_batch *batch);

/* ---- lookup.c, answer.c, store.c, batches.c, join.c ---- */

int native_add_lookup(PyObject *module, native_state *state);
int native_add_answer(PyObject *module, native_state *state);
int native_add_store(PyObject *module, native_state *state);
int native_add_batches(PyObject *module, native_state *state);
int native_add_push(PyObject *module, native_state *state);

/** Batches of a training set. Takes `training`, also when it fails. `progress` may be NULL. */
PyObject *native_batches_create(native_state *state, tfn_training *training, PyObject *progress);

/** The engine's store of a Store; borrowed. */
tfn_store *native_store_of(PyObject *self);

/* ---- history.c: methods of Store ---- */

PyObject *native_store_latest(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *native_store_history(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *native_store_events(PyObject *self, PyObject *args, PyObject *kwargs);

/* ---- push.c: methods of Store ---- */

PyObject *native_store_begin_push(PyObject *self, PyObject *args, PyObject *kwargs);

/* ---- online_admin.c: methods of Store ---- */

PyObject *native_store_online_stats(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *native_store_vacuum_online(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *native_store_delete_online(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *native_store_backup_online(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *native_store_restore_online(PyObject *self, PyObject *args, PyObject *kwargs);

/**
 * A Lookup. Takes `lookup`, also when it fails.
 *
 * @param waits  its store is a server: each run gives the interpreter lock up
 */
PyObject *native_lookup_create(native_state *state, tfn_lookup *lookup, bool waits);

/**
 * Names of an answer's columns as Python objects, made once per Lookup: `names` is a tuple of str,
 * `ts_names` of "<name>__ts". Both NULL before the first answer.
 */
typedef struct native_columns {
    PyObject *names;
    PyObject *ts_names;
} native_columns;

/**
 * An Answer. Takes `answer`, also when it fails. `columns` are the caller's; they are replaced if
 * the answer has others.
 */
PyObject *native_answer_create(native_state *state, tfn_answer *answer, native_columns *columns);

PyObject *native_join(PyObject *module, PyObject *args, PyObject *kwargs);
PyObject *native_latest(PyObject *module, PyObject *args, PyObject *kwargs);

/* ---- dataset.c: methods of Store, functions of the module ---- */

PyObject *native_store_make_manifest(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *native_store_verify_dataset(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *native_describe_dataset_files(PyObject *module, PyObject *args, PyObject *kwargs);
PyObject *native_hash_table(PyObject *module, PyObject *args, PyObject *kwargs);
PyObject *native_checksum(PyObject *module, PyObject *args, PyObject *kwargs);

/** Make a type of the module from its spec and add it. */
int native_add_type(PyObject *module, PyType_Spec *spec, PyObject **out);

#endif
