/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Arrow streams in and out of Python: the Arrow PyCapsule protocol.
 *
 * In: any object with __arrow_c_stream__ (pyarrow, Polars, pandas, nanoarrow, DuckDB, our Stream).
 * Its capsule owns a heap struct; we move the struct out and leave `release == NULL` behind, so
 * that the capsule's destructor has nothing to do, and a second reader of the same capsule is told
 * so.
 *
 * Out: Stream holds a table (table.c) and makes a new capsule for each caller. Nothing here depends
 * on pyarrow. `requested_schema` is a wish that a producer may leave unfulfilled; ours always does:
 * the types of a result are part of its meaning.
 */

#include "native.h"

typedef struct stream_object {
    PyObject_HEAD native_table *table;
} stream_object;

static native_table *table_of(PyObject *self)
{
    return ((stream_object *)self)->table;
}

PyObject *native_stream_create(native_state *state, native_table *table)
{
    PyObject *self = PyType_GenericAlloc((PyTypeObject *)state->stream_type, 0);
    if (self == NULL) {
        native_table_release(table);
        return NULL;
    }
    ((stream_object *)self)->table = table;
    return self;
}

static void stream_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    native_table_release(table_of(self));
    PyObject_Free(self);
    Py_DECREF(type);
}

/* ---- out ---- */

static void end_stream_capsule(PyObject *capsule)
{
    struct ArrowArrayStream *stream = PyCapsule_GetPointer(capsule, "arrow_array_stream");
    native_stream_drop(stream);
    PyMem_Free(stream);
}

static void end_schema_capsule(PyObject *capsule)
{
    struct ArrowSchema *schema = PyCapsule_GetPointer(capsule, "arrow_schema");
    if (schema->release != NULL) {
        schema->release(schema);
    }
    PyMem_Free(schema);
}

static PyObject *export_stream(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"requested_schema", NULL};
    PyObject *requested_schema = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:__arrow_c_stream__", NATIVE_KEYWORDS(names),
                                     &requested_schema)) {
        return NULL;
    }
    struct ArrowArrayStream *stream = PyMem_Calloc(1, sizeof *stream);
    if (stream == NULL || native_table_export_stream(table_of(self), stream) != 0) {
        PyMem_Free(stream);
        return PyErr_NoMemory();
    }
    PyObject *capsule = PyCapsule_New(stream, "arrow_array_stream", end_stream_capsule);
    if (capsule == NULL) {
        native_stream_drop(stream);
        PyMem_Free(stream);
    }
    return capsule;
}

static PyObject *export_schema(PyObject *self, PyObject *Py_UNUSED(unused))
{
    struct ArrowSchema *schema = PyMem_Calloc(1, sizeof *schema);
    if (schema == NULL || native_table_export_schema(table_of(self), schema) != 0) {
        PyMem_Free(schema);
        return PyErr_NoMemory();
    }
    PyObject *capsule = PyCapsule_New(schema, "arrow_schema", end_schema_capsule);
    if (capsule == NULL) {
        schema->release(schema);
        PyMem_Free(schema);
    }
    return capsule;
}

/* ---- in ---- */

/* The capsule that `object` offers. */
static PyObject *ask_for_capsule(native_state *state, PyObject *object, const char *what)
{
    PyObject *method = PyObject_GetAttr(object, state->name.__arrow_c_stream__);
    if (method == NULL) {
        if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
            PyErr_Clear();
            (void)native_refuse_type(state, object,
                                     "%s must be a table that offers __arrow_c_stream__ (pyarrow, "
                                     "pandas, Polars and others do)",
                                     what);
        }
        return NULL;
    }
    PyObject *capsule = PyObject_CallNoArgs(method);
    Py_DECREF(method);
    if (capsule != NULL && !PyCapsule_IsValid(capsule, "arrow_array_stream")) {
        (void)native_refuse_type(
            state, capsule, "%s: __arrow_c_stream__() must give a capsule named arrow_array_stream",
            what);
        Py_CLEAR(capsule);
    }
    return capsule;
}

int native_take_stream(native_state *state, PyObject *object, const char *what,
                       struct ArrowArrayStream *out)
{
    *out = (struct ArrowArrayStream){0};
    PyObject *capsule = ask_for_capsule(state, object, what);
    if (capsule == NULL) {
        return -1;
    }
    struct ArrowArrayStream *stream = PyCapsule_GetPointer(capsule, "arrow_array_stream");
    if (stream->release != NULL) {
        *out = *stream;
        stream->release = NULL;
    }
    Py_DECREF(capsule);
    if (out->release == NULL) {
        native_fail(state, TFN_INVALID,
                    "%s: this Arrow stream was already consumed; pass a table, or a new reader",
                    what);
        return -1;
    }
    return 0;
}

/* ---- the type ---- */

static const PyMethodDef methods[] = {
    {"__arrow_c_stream__", NATIVE_METHOD(export_stream), METH_VARARGS | METH_KEYWORDS,
     "__arrow_c_stream__($self, /, requested_schema=None)\n--\n\n"
     "A new capsule named arrow_array_stream; requested_schema is not followed."},
    {"__arrow_c_schema__", export_schema, METH_NOARGS,
     "__arrow_c_schema__($self, /)\n--\n\nA new capsule named arrow_schema."},
    {NULL, NULL, 0, NULL},
};

int native_add_stream(PyObject *module, native_state *state)
{
    static const char doc[] = "A table made by the engine; may be exported any number of times.";
    PyType_Slot slots[] = {
        {Py_tp_doc, NATIVE_SLOT(doc)},
        {Py_tp_dealloc, NATIVE_SLOT(stream_dealloc)},
        {Py_tp_methods, NATIVE_SLOT(methods)},
        {0, NULL},
    };
    PyType_Spec spec = {
        .name = "tiffin._native.Stream",
        .basicsize = sizeof(stream_object),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
        .slots = slots,
    };
    return native_add_type(module, &spec, &state->stream_type);
}
