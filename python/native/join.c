/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The kernels over Arrow tables, without a store: tiffin/join.h as two functions.
 *
 * Both read their options into one tfn_offline_spec, move the streams out of their owners, and run
 * without the interpreter lock until the result is a table. The kernels borrow their inputs; so do
 * not confuse them with the verbs of a store, which take a stream on success: here it is always
 * ours to release, and that happens before the lock is taken again, because a producer written in
 * Python needs the lock to end.
 *
 * join() looks for the keys under the same names on both sides; latest() takes what the header
 * calls the source alone.
 */

#include "native.h"

#include "tiffin/join.h"

/* What both functions are given as Python objects. */
typedef struct options {
    PyObject *spine; /* NULL: latest() */
    PyObject *source;
    PyObject *keys;
    PyObject *features;
    PyObject *known_at_us;
    PyObject *end_us;
} options;

/* An instant as the spec has it: microseconds, and a flag that says that they are given. */
static int read_bound(native_state *state, PyObject *object, const char *argument, uint32_t flag,
                      int64_t *micros, uint32_t *flags)
{
    tfn_time at = {0};
    if (native_time_read(state, object, argument, &at) != 0) {
        return -1;
    }
    if (at.is_set != 0) {
        *micros = at.seconds * 1000000 + at.nanos / 1000;
        *flags |= flag;
    }
    return 0;
}

static int take_streams(native_state *state, const options *given, struct ArrowArrayStream *spine,
                        struct ArrowArrayStream *source)
{
    if (given->spine != NULL && native_take_stream(state, given->spine, "spine", spine) != 0) {
        return -1;
    }
    if (native_take_stream(state, given->source, "source", source) != 0) {
        native_stream_drop(spine);
        return -1;
    }
    return 0;
}

static PyObject *run_spec(native_state *state, const options *given, tfn_offline_spec *spec)
{
    struct ArrowArrayStream spine = {0};
    struct ArrowArrayStream source = {0};
    struct ArrowArrayStream out = {0};
    if (take_streams(state, given, &spine, &source) != 0) {
        return NULL;
    }
    native_table *table = NULL;
    tfn_error err = {0};
    native_call call;
    spec->tick = native_call_tick;
    spec->tick_context = &call;
    native_call_begin(&call, NULL);
    tfn_code rc = given->spine != NULL ? tfn_offline_join(&spine, &source, spec, &out, &err)
                                       : tfn_offline_latest(&source, spec, &out, &err);
    if (rc == TFN_OK) {
        rc = native_table_read(&out, &call, &table, &err);
    }
    native_stream_drop(&spine);
    native_stream_drop(&source);
    if (native_call_end(&call, state, rc, &err) != 0) {
        native_table_release(table);
        return NULL;
    }
    return native_stream_create(state, table);
}

static PyObject *run(native_state *state, const options *given, tfn_offline_spec *spec)
{
    native_texts keys = {0};
    native_texts features = {0};
    PyObject *stream = NULL;
    if (read_bound(state, given->known_at_us, "known_at_us", TFN_OFFLINE_KNOWN_AT,
                   &spec->known_at_us, &spec->flags) == 0 &&
        read_bound(state, given->end_us, "end_us", TFN_OFFLINE_END, &spec->end_us, &spec->flags) ==
            0 &&
        native_texts_read(state, given->keys, "keys", &keys) == 0 &&
        native_texts_read(state, given->features, "features", &features) == 0) {
        spec->keys = keys.text;
        spec->n_keys = keys.n;
        spec->features = features.text;
        spec->n_features = features.n;
        stream = run_spec(state, given, spec);
    }
    native_texts_deinit(&keys);
    native_texts_deinit(&features);
    return stream;
}

PyObject *native_join(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {
        "spine",   "source", "keys",        "features",          "spine_time", "source_time",
        "created", "ttl_us", "known_at_us", "filter_by_created", "n_threads",  NULL};
    tfn_offline_spec spec = {.struct_size = sizeof spec};
    options given = {0};
    long long ttl_us = 0;
    int filter_by_created = 0;
    int n_threads = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|$OOsszLOpi:join", NATIVE_KEYWORDS(names),
                                     &given.spine, &given.source, &given.keys, &given.features,
                                     &spec.spine_time, &spec.time, &spec.created, &ttl_us,
                                     &given.known_at_us, &filter_by_created, &n_threads)) {
        return NULL;
    }
    if (given.keys == NULL || given.features == NULL || spec.spine_time == NULL ||
        spec.time == NULL) {
        PyErr_SetString(PyExc_TypeError, "join() needs keys, features, spine_time and source_time");
        return NULL;
    }
    spec.ttl_us = ttl_us;
    spec.n_threads = n_threads;
    spec.flags = filter_by_created != 0 ? TFN_OFFLINE_FILTER_BY_CREATED : 0;
    return run(PyModule_GetState(module), &given, &spec);
}

PyObject *native_latest(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"source",      "keys",      "features",
                                        "source_time", "created",   "end_us",
                                        "known_at_us", "n_threads", NULL};
    tfn_offline_spec spec = {.struct_size = sizeof spec};
    options given = {0};
    int n_threads = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$OOszOOi:latest", NATIVE_KEYWORDS(names),
                                     &given.source, &given.keys, &given.features, &spec.time,
                                     &spec.created, &given.end_us, &given.known_at_us,
                                     &n_threads)) {
        return NULL;
    }
    if (given.keys == NULL || given.features == NULL || spec.time == NULL) {
        PyErr_SetString(PyExc_TypeError, "latest() needs keys, features and source_time");
        return NULL;
    }
    spec.n_threads = n_threads;
    return run(PyModule_GetState(module), &given, &spec);
}
