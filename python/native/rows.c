/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Entity rows: a sequence of mappings, or a mapping of sequences, into the engine's key values.
 *
 *   [{"tailnum": "N1", "x": 1}, ...]        values  row 0: key 0, key 1, ... | row 1: ...
 *   {"tailnum": ["N1", ...], "x": [...]} →  held    the Python object behind each value's text
 *
 * 1. Columns that are no join keys are ignored, but all rows must have the same ones, as in Feast.
 * 2. Conversion may run Python code (an __index__, a lazy mapping), which may change the caller's
 * lists and dicts. So items are fetched one by one with a check of the bound, and a mapping is
 * either a dict that we ask for one key at a time or a private copy.
 * 3. Small requests (a row of up to eight keys) need no memory but the caller's stack.
 */

#include "native.h"

/* ---- the batch ---- */

static int batch_reserve(native_batch *batch, native_state *state, Py_ssize_t n_rows,
                         Py_ssize_t n_keys)
{
    batch->n_rows = (size_t)n_rows;
    batch->n_held = 0;
    batch->values = batch->values_inline;
    batch->held = batch->held_inline;
    const size_t n_columns = (size_t)(n_keys > 0 ? n_keys : 1);
    if (batch->n_rows > (SIZE_MAX / 2) / sizeof *batch->values / n_columns) {
        native_fail(state, TFN_LIMIT, "%zd entity rows are too many for one request", n_rows);
        return -1;
    }
    const size_t n_values = batch->n_rows * (size_t)n_keys;
    if (n_values > NATIVE_BATCH_INLINE) {
        batch->values = PyMem_Calloc(n_values, sizeof *batch->values);
        batch->held = PyMem_Calloc(n_values, sizeof(PyObject *));
        if (batch->values == NULL || batch->held == NULL) {
            native_batch_deinit(batch);
            native_fail(state, TFN_NO_MEMORY, "no memory for the keys of %zd entity rows", n_rows);
            return -1;
        }
    } else {
        for (size_t i = 0; i < n_values; i++) {
            batch->held_inline[i] = NULL;
        }
    }
    batch->n_held = n_values;
    return 0;
}

void native_batch_deinit(native_batch *batch)
{
    for (size_t i = 0; i < batch->n_held; i++) {
        Py_XDECREF(batch->held[i]);
    }
    if (batch->values != batch->values_inline) {
        PyMem_Free(batch->values);
    }
    if (batch->held != batch->held_inline) {
        PyMem_Free(NATIVE_SLOT(batch->held));
    }
    batch->values = NULL;
    batch->held = NULL;
    batch->n_held = 0;
}

/* ---- errors ---- */

/* Takes nothing; `found` is a dict. */
static int fail_missing(native_state *state, PyObject *key, PyObject *found)
{
    PyObject *given = PyDict_Keys(found);
    if (given != NULL) {
        native_fail(state, TFN_INVALID, "entity rows need the join key '%U'; they have %R", key,
                    given);
        Py_DECREF(given);
    }
    return -1;
}

static int fail_different(native_state *state, PyObject *first, PyObject *row, Py_ssize_t i_row)
{
    PyObject *expected = PyDict_Keys(first);
    PyObject *found = PyDict_Keys(row);
    if (expected != NULL && found != NULL) {
        native_fail(state, TFN_INVALID,
                    "All entity rows must have the same columns. Row 0 has %R, row %zd has %R.",
                    expected, i_row, found);
    }
    Py_XDECREF(expected);
    Py_XDECREF(found);
    return -1;
}

/* ---- mappings ---- */

static bool is_mapping(native_state *state, PyObject *object)
{
    return PyDict_Check(object) || (!PyList_Check(object) && !PyTuple_Check(object) &&
                                    PyObject_HasAttr(object, state->name.keys));
}

/* A dict with the pairs of a mapping: the dict itself, or a copy. */
static PyObject *dict_of(PyObject *mapping)
{
    if (PyDict_Check(mapping)) {
        return Py_NewRef(mapping);
    }
    PyObject *copy = PyDict_New();
    if (copy != NULL && PyDict_Update(copy, mapping) != 0) {
        Py_CLEAR(copy);
    }
    return copy;
}

/* ---- a sequence of mappings ---- */

/* What the first row says about all of them. */
typedef struct shape {
    PyObject *first; /* dict */
    PyObject *extra; /* list: its columns that are no join keys; NULL until there is a second row */
    Py_ssize_t n_columns;
} shape;

/* Rows after the first: as many columns, the same extra ones; the keys are checked as they are
 * read. */
static int check_columns(native_state *state, shape *rows, PyObject *key_names, PyObject *row,
                         Py_ssize_t i_row)
{
    if (PyDict_Size(row) != rows->n_columns) {
        return fail_different(state, rows->first, row, i_row);
    }
    if (rows->extra == NULL) {
        rows->extra = PyDict_Keys(rows->first);
        if (rows->extra == NULL) {
            return -1;
        }
        for (Py_ssize_t i = PyList_Size(rows->extra) - 1; i >= 0; i--) {
            const int is_key = PySequence_Contains(key_names, PyList_GetItem(rows->extra, i));
            if (is_key < 0 || (is_key > 0 && PySequence_DelItem(rows->extra, i) != 0)) {
                return -1;
            }
        }
    }
    const Py_ssize_t n_extra = PyList_Size(rows->extra);
    for (Py_ssize_t i = 0; i < n_extra; i++) {
        const int has = PyDict_Contains(row, PyList_GetItem(rows->extra, i));
        if (has <= 0) {
            return has < 0 ? -1 : fail_different(state, rows->first, row, i_row);
        }
    }
    return 0;
}

static int read_row(native_batch *batch, native_state *state, PyObject *key_names,
                    const shape *rows, PyObject *row, Py_ssize_t i_row)
{
    const Py_ssize_t n_keys = PyTuple_Size(key_names);
    for (Py_ssize_t i_key = 0; i_key < n_keys; i_key++) {
        PyObject *key = PyTuple_GetItem(key_names, i_key);
        PyObject *object = PyDict_GetItemWithError(row, key);
        if (object == NULL) {
            if (PyErr_Occurred() != NULL) {
                return -1;
            }
            return i_row == 0 ? fail_missing(state, key, row)
                              : fail_different(state, rows->first, row, i_row);
        }
        const Py_ssize_t i = i_row * n_keys + i_key;
        Py_INCREF(object);
        const int rc =
            native_value_read(state, object, key, i_row, &batch->values[i], &batch->held[i]);
        Py_DECREF(object);
        if (rc != 0) {
            return -1;
        }
    }
    return 0;
}

/* Row i as a dict, a new reference. */
static PyObject *fetch_row(native_state *state, PyObject *rows, Py_ssize_t i_row)
{
    PyObject *row = PySequence_GetItem(rows, i_row);
    if (row == NULL) {
        return NULL;
    }
    PyObject *dict = NULL;
    if (is_mapping(state, row)) {
        dict = dict_of(row);
    } else {
        (void)native_refuse_type(state, row, "entity row %zd must be a mapping of columns", i_row);
    }
    Py_DECREF(row);
    return dict;
}

static int read_rows(native_batch *batch, native_state *state, PyObject *key_names, PyObject *list)
{
    const Py_ssize_t n_rows = PySequence_Size(list);
    if (n_rows < 0 || batch_reserve(batch, state, n_rows, PyTuple_Size(key_names)) != 0) {
        return -1;
    }
    shape rows = {0};
    int rc = 0;
    for (Py_ssize_t i_row = 0; i_row < n_rows && rc == 0; i_row++) {
        PyObject *row = fetch_row(state, list, i_row);
        if (row == NULL) {
            rc = -1;
        } else if (i_row == 0) {
            rows.first = Py_NewRef(row);
            rows.n_columns = PyDict_Size(row);
        } else {
            rc = check_columns(state, &rows, key_names, row, i_row);
        }
        if (rc == 0) {
            rc = read_row(batch, state, key_names, &rows, row, i_row);
        }
        Py_XDECREF(row);
    }
    Py_XDECREF(rows.first);
    Py_XDECREF(rows.extra);
    if (rc != 0) {
        native_batch_deinit(batch);
    }
    return rc;
}

/* ---- a mapping of sequences ---- */

/* Length of one column, or -1. Text is a sequence too, but nobody means its characters. */
static Py_ssize_t length_of(native_state *state, PyObject *name, PyObject *column)
{
    const bool is_text = PyUnicode_Check(column) || PyBytes_Check(column);
    const Py_ssize_t n = is_text || PyDict_Check(column) ? -1 : PyObject_Size(column);
    if (n < 0 && (PyErr_Occurred() == NULL || PyErr_ExceptionMatches(PyExc_TypeError))) {
        PyErr_Clear();
        (void)native_refuse_type(state, column, "entity column %R must be a sequence of values",
                                 name);
    }
    return n;
}

/* All lengths must be equal; `columns` is our own copy, so it does not change under us. */
static int count_rows(native_state *state, PyObject *columns, Py_ssize_t *out)
{
    PyObject *name = NULL;
    PyObject *column = NULL;
    PyObject *first = NULL;
    Py_ssize_t at = 0;
    *out = 0;
    while (PyDict_Next(columns, &at, &name, &column)) {
        const Py_ssize_t n = length_of(state, name, column);
        if (n < 0) {
            return -1;
        }
        if (first == NULL) {
            first = name;
            *out = n;
        } else if (n != *out) {
            native_fail(
                state, TFN_INVALID,
                "All entity rows must have the same columns. Column %R has %zd rows, column "
                "%R has %zd.",
                first, *out, name, n);
            return -1;
        }
    }
    if (first == NULL) {
        native_fail(state, TFN_INVALID,
                    "entity rows without a column say no number of rows; for one row pass [{}]");
        return -1;
    }
    return 0;
}

static int read_column(native_batch *batch, native_state *state, PyObject *key_names,
                       Py_ssize_t i_key, PyObject *column)
{
    PyObject *key = PyTuple_GetItem(key_names, i_key);
    const Py_ssize_t n_keys = PyTuple_Size(key_names);
    const Py_ssize_t n_rows = (Py_ssize_t)batch->n_rows;
    PyObject *items = PySequence_Fast(column, "an entity column must be a sequence");
    if (items == NULL) {
        return -1;
    }
    int rc = 0;
    if (PySequence_Size(items) != n_rows) {
        native_fail(state, TFN_INVALID, "entity column '%U' changed its length while it was read",
                    key);
        rc = -1;
    }
    for (Py_ssize_t i_row = 0; i_row < n_rows && rc == 0; i_row++) {
        PyObject *object = PySequence_GetItem(items, i_row);
        if (object == NULL) {
            rc = -1;
        } else {
            const Py_ssize_t i = i_row * n_keys + i_key;
            rc = native_value_read(state, object, key, i_row, &batch->values[i], &batch->held[i]);
            Py_DECREF(object);
        }
    }
    Py_DECREF(items);
    return rc;
}

static int read_columns(native_batch *batch, native_state *state, PyObject *key_names,
                        PyObject *mapping)
{
    PyObject *columns = PyDict_New();
    if (columns == NULL) {
        return -1;
    }
    Py_ssize_t n_rows = 0;
    const Py_ssize_t n_keys = PyTuple_Size(key_names);
    int rc = PyDict_Update(columns, mapping);
    if (rc == 0) {
        rc = count_rows(state, columns, &n_rows);
    }
    if (rc == 0) {
        rc = batch_reserve(batch, state, n_rows, n_keys);
    }
    for (Py_ssize_t i_key = 0; i_key < n_keys && rc == 0; i_key++) {
        PyObject *key = PyTuple_GetItem(key_names, i_key);
        PyObject *column = PyDict_GetItemWithError(columns, key);
        if (column != NULL) {
            rc = read_column(batch, state, key_names, i_key, column);
        } else {
            rc = PyErr_Occurred() != NULL ? -1 : fail_missing(state, key, columns);
        }
    }
    Py_DECREF(columns);
    if (rc != 0) {
        native_batch_deinit(batch);
    }
    return rc;
}

int native_batch_init(native_batch *batch, native_state *state, PyObject *key_names,
                      PyObject *entity_rows)
{
    /* The inline places stay as they are: what counts is set when a value is read. */
    batch->values = batch->values_inline;
    batch->held = batch->held_inline;
    batch->n_rows = 0;
    batch->n_held = 0;
    if (is_mapping(state, entity_rows)) {
        return read_columns(batch, state, key_names, entity_rows);
    }
    if (PyUnicode_Check(entity_rows) || PyBytes_Check(entity_rows) ||
        !PySequence_Check(entity_rows)) {
        return native_refuse_type(state, entity_rows,
                                  "entity_rows must be a list of dicts or a dict of lists");
    }
    PyObject *list = PySequence_Fast(entity_rows, "entity_rows cannot be iterated");
    if (list == NULL) {
        return -1;
    }
    const int rc = read_rows(batch, state, key_names, list);
    Py_DECREF(list);
    return rc;
}
