/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Answer: what one lookup found, as Python objects.
 *
 * The engine decodes a few values of a column at a time, on the stack; every Python object of the
 * result is made once, where it stays. Names are those of native_columns, which an Answer shares with its
 * Lookup: in the usual case one comparison of bytes per column, and no new string.
 *
 * An Answer is immutable; all its methods may run on any thread.
 */

#include "native.h"

#include <string.h>

typedef struct answer_object {
    PyObject_HEAD tfn_answer *answer;
    PyObject *names;    /* tuple of str, one per column */
    PyObject *ts_names; /* tuple of "<name>__ts" */
} answer_object;

static answer_object *answer_of(PyObject *self)
{
    return (answer_object *)self;
}

/* ---- making one ---- */

static bool are_names_of(PyObject *names, const tfn_answer *answer)
{
    const size_t n = tfn_answer_get_n_columns(answer);
    if (names == NULL || PyTuple_Size(names) != (Py_ssize_t)n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        const char *name = PyUnicode_AsUTF8AndSize(PyTuple_GetItem(names, (Py_ssize_t)i), NULL);
        if (name == NULL) {
            PyErr_Clear();
            return false;
        }
        if (strcmp(name, tfn_answer_get_name(answer, i)) != 0) {
            return false;
        }
    }
    return true;
}

static PyObject *make_name(const char *name, const char *suffix)
{
    PyObject *text = PyUnicode_FromFormat("%s%s", name, suffix);
    if (text != NULL) {
        PyUnicode_InternInPlace(&text);
    }
    return text;
}

static PyObject *make_names(const tfn_answer *answer, const char *suffix)
{
    const size_t n = tfn_answer_get_n_columns(answer);
    PyObject *names = PyTuple_New((Py_ssize_t)n);
    for (size_t i = 0; names != NULL && i < n; i++) {
        PyObject *name = make_name(tfn_answer_get_name(answer, i), suffix);
        names = native_tuple_put(names, (Py_ssize_t)i, name);
    }
    return names;
}

static int refresh_columns(native_columns *columns, const tfn_answer *answer)
{
    if (are_names_of(columns->names, answer)) {
        return 0;
    }
    PyObject *names = make_names(answer, "");
    PyObject *ts_names = make_names(answer, "__ts");
    if (names == NULL || ts_names == NULL) {
        Py_XDECREF(names);
        Py_XDECREF(ts_names);
        return -1;
    }
    const native_columns old = *columns;
    columns->names = names;
    columns->ts_names = ts_names;
    Py_XDECREF(old.names);
    Py_XDECREF(old.ts_names);
    return 0;
}

PyObject *native_answer_create(native_state *state, tfn_answer *answer, native_columns *columns)
{
    PyObject *self = NULL;
    if (refresh_columns(columns, answer) == 0) {
        self = PyType_GenericAlloc((PyTypeObject *)state->answer_type, 0);
    }
    if (self == NULL) {
        tfn_answer_destroy(answer);
        return NULL;
    }
    answer_of(self)->answer = answer;
    answer_of(self)->names = Py_NewRef(columns->names);
    answer_of(self)->ts_names = Py_NewRef(columns->ts_names);
    return self;
}

static void answer_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    tfn_answer_destroy(answer_of(self)->answer);
    Py_XDECREF(answer_of(self)->names);
    Py_XDECREF(answer_of(self)->ts_names);
    PyObject_Free(self);
    Py_DECREF(type);
}

/* ---- dicts of columns ---- */

/* What becomes of a cell. */
typedef enum cell_part {
    CELL_VALUE = 0,
    CELL_STATUS = 1,
    CELL_SECONDS = 2,
    CELL_TIME = 3
} cell_part;

enum { CELLS_AT_ONCE = 32 }; /* that the engine decodes, between two turns of making objects */

/* Feast's shape: whole seconds, 0 where nothing was found. */
static PyObject *make_epoch_seconds(tfn_time at)
{
    return PyLong_FromLongLong(at.is_set != 0 ? at.seconds : 0);
}

static PyObject *make_event_time(tfn_time at)
{
    if (at.is_set == 0) {
        return Py_NewRef(Py_None);
    }
    return PyFloat_FromDouble((double)at.seconds + (double)at.nanos * 1e-9);
}

static PyObject *make_time_cell(const answer_object *own, size_t i_row, size_t i_column,
                                cell_part part)
{
    const tfn_time at = tfn_answer_get_event_time(own->answer, i_row, i_column);
    return part == CELL_SECONDS ? make_epoch_seconds(at) : make_event_time(at);
}

/* Fill items begin .. begin + n - 1 of a column's list with values or statuses. */
static int fill_cells(PyObject *list, native_state *state, const answer_object *own,
                      size_t i_column, size_t begin, size_t n, cell_part part)
{
    tfn_value values[CELLS_AT_ONCE];
    int32_t statuses[CELLS_AT_ONCE];
    PyObject *name = PyTuple_GetItem(own->names, (Py_ssize_t)i_column);
    tfn_answer_get_values(own->answer, i_column, begin, n, values,
                          part == CELL_STATUS ? statuses : NULL);
    for (size_t i = 0; i < n; i++) {
        PyObject *cell = part == CELL_STATUS ? PyLong_FromLong((long)statuses[i])
                                             : native_value_make(state, &values[i], name);
        if (cell == NULL || PyList_SetItem(list, (Py_ssize_t)(begin + i), cell) != 0) {
            return -1;
        }
    }
    return 0;
}

static int fill_times(PyObject *list, const answer_object *own, size_t i_column, size_t n_rows,
                      cell_part part)
{
    for (size_t i_row = 0; i_row < n_rows; i_row++) {
        PyObject *cell = make_time_cell(own, i_row, i_column, part);
        if (cell == NULL || PyList_SetItem(list, (Py_ssize_t)i_row, cell) != 0) {
            return -1;
        }
    }
    return 0;
}

/* The values of a type with a meaning as Python has them (tiffin.column.logical); steals `list`. */
static PyObject *to_objects(PyObject *list, const char *type)
{
    PyObject *module = PyImport_ImportModule("tiffin.column.logical");
    PyObject *made =
        module != NULL ? PyObject_CallMethod(module, "to_objects", "Os", list, type) : NULL;
    Py_XDECREF(module);
    Py_DECREF(list);
    return made;
}

/* columns[name] = [cell of row 0, cell of row 1, ...] */
static int add_column(PyObject *columns, PyObject *name, native_state *state,
                      const answer_object *own, size_t i_column, cell_part part)
{
    const size_t n_rows = tfn_answer_get_n_rows(own->answer);
    PyObject *list = PyList_New((Py_ssize_t)n_rows);
    int rc = list != NULL ? 0 : -1;
    if (rc == 0 && (part == CELL_SECONDS || part == CELL_TIME)) {
        rc = fill_times(list, own, i_column, n_rows, part);
    } else {
        for (size_t i = 0; i < n_rows && rc == 0; i += CELLS_AT_ONCE) {
            const size_t n_left = n_rows - i;
            rc = fill_cells(list, state, own, i_column, i,
                            n_left < CELLS_AT_ONCE ? n_left : CELLS_AT_ONCE, part);
        }
    }
    char type[TFN_LOGICAL_TYPE_BYTES];
    if (rc == 0 && part == CELL_VALUE &&
        tfn_answer_get_logical_type(own->answer, i_column, type) != 0) {
        list = to_objects(list, type);
        rc = list != NULL ? 0 : -1;
    }
    if (rc == 0) {
        rc = PyDict_SetItem(columns, name, list);
    }
    Py_XDECREF(list);
    return rc;
}

/* Columns from `first` on; with `with_times`, "<feature>__ts" behind each feature.
 */
static PyObject *make_columns(PyObject *self, size_t first, cell_part part, bool with_times)
{
    const answer_object *own = answer_of(self);
    native_state *state = native_state_of(self);
    const size_t n_keys = tfn_answer_get_n_keys(own->answer);
    const size_t n_columns = (size_t)PyTuple_Size(own->names);
    PyObject *columns = PyDict_New();
    int rc = columns != NULL ? 0 : -1;
    for (size_t i = first; i < n_columns && rc == 0; i++) {
        PyObject *name = PyTuple_GetItem(own->names, (Py_ssize_t)i);
        rc = add_column(columns, name, state, own, i, part);
        if (rc == 0 && with_times && i >= n_keys) {
            PyObject *ts_name = PyTuple_GetItem(own->ts_names, (Py_ssize_t)i);
            rc = add_column(columns, ts_name, state, own, i, CELL_SECONDS);
        }
    }
    if (rc != 0) {
        Py_XDECREF(columns);
        return NULL;
    }
    return columns;
}

/* ---- methods ---- */

static PyObject *answer_to_dict(PyObject *self, PyObject *const *args, Py_ssize_t n_positional,
                                PyObject *keywords)
{
    const Py_ssize_t n_keywords = keywords != NULL ? PyTuple_Size(keywords) : 0;
    int with_times = 0;
    if (n_positional + n_keywords > 1 ||
        (n_keywords == 1 && PyUnicode_CompareWithASCIIString(PyTuple_GetItem(keywords, 0),
                                                             "include_event_timestamps") != 0)) {
        PyErr_SetString(PyExc_TypeError, "to_dict() takes at most include_event_timestamps");
        return NULL;
    }
    if (n_positional + n_keywords == 1) {
        with_times = PyObject_IsTrue(args[0]);
    }
    return with_times < 0 ? NULL : make_columns(self, 0, CELL_VALUE, with_times != 0);
}

static PyObject *answer_statuses(PyObject *self, PyObject *Py_UNUSED(unused))
{
    return make_columns(self, 0, CELL_STATUS, false);
}

static PyObject *answer_event_timestamps(PyObject *self, PyObject *Py_UNUSED(unused))
{
    return make_columns(self, tfn_answer_get_n_keys(answer_of(self)->answer), CELL_TIME, false);
}

static PyObject *answer_to_stream(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"with_statuses", NULL};
    int with_statuses = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|p:to_stream", NATIVE_KEYWORDS(names),
                                     &with_statuses)) {
        return NULL;
    }
    native_state *state = native_state_of(self);
    struct ArrowArrayStream stream = {0};
    native_table *table = NULL;
    tfn_error err = {0};
    native_call call;
    native_call_begin(&call, NULL);
    tfn_code rc = tfn_answer_export(answer_of(self)->answer, with_statuses, &stream, &err);
    if (rc == TFN_OK) {
        rc = native_table_read(&stream, &call, &table, &err);
    }
    if (native_call_end(&call, state, rc, &err) != 0) {
        native_table_release(table);
        return NULL;
    }
    return native_stream_create(state, table);
}

static PyObject *get_n_rows(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSize_t(tfn_answer_get_n_rows(answer_of(self)->answer));
}

static PyObject *get_n_keys(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSize_t(tfn_answer_get_n_keys(answer_of(self)->answer));
}

static PyObject *get_commit(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromLongLong(tfn_answer_get_commit(answer_of(self)->answer));
}

static PyObject *get_names(PyObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(answer_of(self)->names);
}

static PyObject *get_warnings(PyObject *self, void *Py_UNUSED(closure))
{
    const tfn_answer *answer = answer_of(self)->answer;
    Py_ssize_t n = 0;
    while (tfn_answer_get_warning(answer, (size_t)n) != NULL) {
        n++;
    }
    PyObject *warnings = PyTuple_New(n);
    for (Py_ssize_t i = 0; warnings != NULL && i < n; i++) {
        PyObject *warning = PyUnicode_FromString(tfn_answer_get_warning(answer, (size_t)i));
        warnings = native_tuple_put(warnings, i, warning);
    }
    return warnings;
}

static const PyMethodDef methods[] = {
    {"to_dict", NATIVE_METHOD(answer_to_dict), METH_FASTCALL | METH_KEYWORDS,
     "to_dict($self, /, include_event_timestamps=False)\n--\n\n"
     "Values by column: keys, then features. Timestamps are aware datetimes, cut to microseconds."},
    {"statuses", answer_statuses, METH_NOARGS,
     "statuses($self, /)\n--\n\nFeast's FieldStatus numbers by column."},
    {"event_timestamps", answer_event_timestamps, METH_NOARGS,
     "event_timestamps($self, /)\n--\n\n"
     "Seconds since 1970 of the row behind each feature value; None where nothing was found."},
    {"to_stream", NATIVE_METHOD(answer_to_stream), METH_VARARGS | METH_KEYWORDS,
     "to_stream($self, /, with_statuses=False)\n--\n\nThe answer as an Arrow table, without loss."},
    {NULL, NULL, 0, NULL},
};

static const PyGetSetDef attributes[] = {
    {"n_rows", get_n_rows, NULL, "Rows, one per entity row.", NULL},
    {"n_keys", get_n_keys, NULL, "How many of the columns are keys; they come first.", NULL},
    {"commit", get_commit, NULL, "Commit whose definitions it follows.", NULL},
    {"names", get_names, NULL, "Names of the columns.", NULL},
    {"warnings", get_warnings, NULL, "Sentences that the caller should be told once.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

int native_add_answer(PyObject *module, native_state *state)
{
    static const char doc[] = "What one lookup found.";
    PyType_Slot slots[] = {
        {Py_tp_doc, NATIVE_SLOT(doc)},
        {Py_tp_dealloc, NATIVE_SLOT(answer_dealloc)},
        {Py_tp_methods, NATIVE_SLOT(methods)},
        {Py_tp_getset, NATIVE_SLOT(attributes)},
        {0, NULL},
    };
    PyType_Spec spec = {
        .name = "tiffin._native.Answer",
        .basicsize = sizeof(answer_object),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
        .slots = slots,
    };
    return native_add_type(module, &spec, &state->answer_type);
}
