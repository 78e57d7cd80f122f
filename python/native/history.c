/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The methods of Store that read rows of the past without entity rows: latest, history, events.
 *
 * Same shape as all methods (store.c): read the arguments, give the lock up, call, take it again.
 */

#include "native.h"

typedef tfn_code (*rows_fn)(tfn_store *, const tfn_rows_request *, struct ArrowArrayStream *,
                            struct ArrowArrayStream *, char **, tfn_error *);

/* What all three take, as Python has it. */
typedef struct window {
    PyObject *start_us;
    PyObject *end_us;
    PyObject *known_at_us;
    PyObject *progress;
} window;

static int read_window(native_state *state, const window *given, tfn_time *start, tfn_time *end,
                       tfn_time *known_at)
{
    const bool is_read = native_check_progress(state, given->progress) == 0 &&
                         native_time_read(state, given->start_us, "start_us", start) == 0 &&
                         native_time_read(state, given->end_us, "end_us", end) == 0 &&
                         native_time_read(state, given->known_at_us, "known_at_us", known_at) == 0;
    return is_read ? 0 : -1;
}

/* (Stream, report) [own], or NULL with the exception set. Takes `table` and `report`. */
static PyObject *make_answer(PyObject *self, native_table *table, char *report)
{
    PyObject *stream = native_stream_create(native_state_of(self), table);
    PyObject *text = stream != NULL ? PyUnicode_FromString(report) : NULL;
    PyObject *answer = text != NULL ? PyTuple_Pack(2, stream, text) : NULL;
    Py_XDECREF(stream);
    Py_XDECREF(text);
    tfn_text_destroy(report);
    return answer;
}

static PyObject *run_rows(PyObject *self, rows_fn verb, tfn_rows_request *request, PyObject *keys,
                          PyObject *progress)
{
    native_state *state = native_state_of(self);
    struct ArrowArrayStream in = {0};
    struct ArrowArrayStream out = {0};
    const bool has_keys = keys != NULL && !Py_IsNone(keys);
    if (has_keys && native_take_stream(state, keys, "keys", &in) != 0) {
        return NULL;
    }
    native_table *table = NULL;
    char *report = NULL;
    tfn_error err = {0};
    native_call call;
    request->tick = native_call_tick;
    request->tick_context = &call;
    native_call_begin(&call, progress);
    tfn_code rc = verb(native_store_of(self), request, has_keys ? &in : NULL, &out, &report, &err);
    if (rc == TFN_OK) {
        rc = native_table_read(&out, &call, &table, &err);
    }
    native_stream_drop(&in);
    if (native_call_end(&call, state, rc, &err) != 0) {
        native_table_release(table);
        tfn_text_destroy(report);
        return NULL;
    }
    return make_answer(self, table, report);
}

static PyObject *rows(PyObject *self, PyObject *args, PyObject *kwargs, rows_fn verb,
                      const char *format)
{
    static const char *const names[] = {"features",    "keys",      "start_us", "end_us",
                                        "known_at_us", "max_bytes", "progress", NULL};
    tfn_rows_request request = {.struct_size = sizeof request};
    window given = {0};
    PyObject *keys = NULL;
    long long max_bytes = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, format, NATIVE_KEYWORDS(names),
                                     &request.features, &keys, &given.start_us, &given.end_us,
                                     &given.known_at_us, &max_bytes, &given.progress) ||
        read_window(native_state_of(self), &given, &request.start, &request.end,
                    &request.known_at) != 0) {
        return NULL;
    }
    request.max_bytes = max_bytes;
    return run_rows(self, verb, &request, keys, given.progress);
}

PyObject *native_store_latest(PyObject *self, PyObject *args, PyObject *kwargs)
{
    return rows(self, args, kwargs, tfn_store_latest, "s|$OOOOLO:latest");
}

PyObject *native_store_history(PyObject *self, PyObject *args, PyObject *kwargs)
{
    return rows(self, args, kwargs, tfn_store_history, "s|$OOOOLO:history");
}

static PyObject *run_events(PyObject *self, tfn_events_request *request, PyObject *progress)
{
    native_state *state = native_state_of(self);
    struct ArrowArrayStream out = {0};
    native_table *table = NULL;
    tfn_error err = {0};
    native_call call;
    request->tick = native_call_tick;
    request->tick_context = &call;
    native_call_begin(&call, progress);
    tfn_code rc = tfn_store_events(native_store_of(self), request, &out, &err);
    if (rc == TFN_OK) {
        rc = native_table_read(&out, &call, &table, &err);
    }
    if (native_call_end(&call, state, rc, &err) != 0) {
        native_table_release(table);
        return NULL;
    }
    return native_stream_create(state, table);
}

PyObject *native_store_events(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"features",        "start_us",  "end_us",   "known_at_us",
                                        "one_row_per_key", "max_bytes", "progress", NULL};
    tfn_events_request request = {.struct_size = sizeof request};
    window given = {0};
    int one_row_per_key = 0;
    long long max_bytes = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s|$OOOpLO:events", NATIVE_KEYWORDS(names),
                                     &request.features, &given.start_us, &given.end_us,
                                     &given.known_at_us, &one_row_per_key, &max_bytes,
                                     &given.progress) ||
        read_window(native_state_of(self), &given, &request.start, &request.end,
                    &request.known_at) != 0) {
        return NULL;
    }
    request.one_row_per_key = one_row_per_key;
    request.max_bytes = max_bytes;
    return run_events(self, &request, given.progress);
}
