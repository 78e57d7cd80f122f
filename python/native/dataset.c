/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Saved datasets: tiffin/dataset.h as two methods of Store and three functions of the module.
 *
 * Same shape as store.c: read the arguments, give the lock up, call the engine, take the lock,
 * raise or return. Streams that the engine has not taken are released before the lock comes back.
 */

#include "native.h"

#include "tiffin/dataset.h"

PyObject *native_store_make_manifest(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"features",          "spine",       "time_column",
                                        "filter_by_created", "known_at_us", "writer",
                                        "names_only",        "progress",    NULL};
    native_state *state = native_state_of(self);
    tfn_manifest_request request = {.struct_size = sizeof request};
    PyObject *spine = NULL;
    PyObject *known_at_us = NULL;
    PyObject *progress = NULL;
    struct ArrowArrayStream in = {0};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO|$zpOzpO:make_manifest",
                                     NATIVE_KEYWORDS(names), &request.features, &spine,
                                     &request.time_column, &request.filter_by_created, &known_at_us,
                                     &request.writer, &request.names_only, &progress) ||
        native_check_progress(state, progress) != 0 ||
        native_time_read(state, known_at_us, "known_at_us", &request.known_at) != 0 ||
        native_take_stream(state, spine, "spine", &in) != 0) {
        return NULL;
    }
    char *answer = NULL;
    tfn_error err = {0};
    native_call call;
    request.tick = native_call_tick;
    request.tick_context = &call;
    native_call_begin(&call, progress);
    const tfn_code rc =
        tfn_store_make_manifest(native_store_of(self), &request, &in, &answer, &err);
    native_stream_drop(&in);
    return native_call_end_text(&call, state, rc, answer, &err);
}

PyObject *native_store_verify_dataset(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"name", "spine", "writer", "progress", NULL};
    native_state *state = native_state_of(self);
    tfn_verify_request request = {.struct_size = sizeof request};
    PyObject *spine = NULL;
    PyObject *progress = NULL;
    struct ArrowArrayStream in = {0};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s|O$zO:verify_dataset", NATIVE_KEYWORDS(names),
                                     &request.name, &spine, &request.writer, &progress) ||
        native_check_progress(state, progress) != 0) {
        return NULL;
    }
    const bool has_spine = spine != NULL && !Py_IsNone(spine);
    if (has_spine && native_take_stream(state, spine, "spine", &in) != 0) {
        return NULL;
    }
    char *answer = NULL;
    tfn_error err = {0};
    native_call call;
    request.tick = native_call_tick;
    request.tick_context = &call;
    native_call_begin(&call, progress);
    const tfn_code rc = tfn_store_verify_dataset(native_store_of(self), &request,
                                                 has_spine ? &in : NULL, &answer, &err);
    native_stream_drop(&in);
    return native_call_end_text(&call, state, rc, answer, &err);
}

PyObject *native_describe_dataset_files(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"path", NULL};
    PyObject *path = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&:describe_dataset_files",
                                     NATIVE_KEYWORDS(names), PyUnicode_FSConverter, &path)) {
        return NULL;
    }
    char *answer = NULL;
    tfn_error err = {0};
    native_call call;
    native_call_begin(&call, NULL);
    const tfn_code rc = tfn_dataset_describe_files(PyBytes_AsString(path), &answer, &err);
    PyObject *text = native_call_end_text(&call, PyModule_GetState(module), rc, answer, &err);
    Py_DECREF(path);
    return text;
}

PyObject *native_hash_table(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"table", NULL};
    native_state *state = PyModule_GetState(module);
    PyObject *table = NULL;
    struct ArrowArrayStream in = {0};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:hash_table", NATIVE_KEYWORDS(names),
                                     &table) ||
        native_take_stream(state, table, "table", &in) != 0) {
        return NULL;
    }
    char *hash = NULL;
    tfn_error err = {0};
    native_call call;
    native_call_begin(&call, NULL);
    const tfn_code rc = tfn_dataset_hash_table(&in, &hash, &err);
    native_stream_drop(&in);
    return native_call_end_text(&call, state, rc, hash, &err);
}

PyObject *native_checksum(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"data", NULL};
    Py_buffer data;
    (void)module;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*:checksum", NATIVE_KEYWORDS(names), &data)) {
        return NULL;
    }
    uint64_t checksum = 0;
    Py_BEGIN_ALLOW_THREADS /* what is exported does not change meanwhile, or is the caller's bug */
        checksum = tfn_bytes_checksum(data.buf, (size_t)data.len);
    Py_END_ALLOW_THREADS PyBuffer_Release(&data);
    return PyLong_FromUnsignedLongLong(checksum);
}
