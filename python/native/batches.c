/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Batches: a training set that is handed out batch by batch, and computed as far as it is read.
 *
 * Each call is an engine call of its own: it has its own native_call on the stack, so nothing of a
 * call is remembered by the engine when it returns. Whatever ends the training set early - an
 * error, Ctrl-C, close() or the object's death - gives its memory, threads and temporary file back
 * at once.
 *
 * The engine's handle is for one thread at a time; a second caller is told so.
 */

#include "native.h"

typedef struct batches_object {
    PyObject_HEAD tfn_training *training; /* NULL: ended */
    PyObject *progress;                   /* NULL: nobody asks */
    bool is_busy;                         /* a call runs without the lock */
} batches_object;

static batches_object *batches_of(PyObject *self)
{
    return (batches_object *)self;
}

/* End the training set, without the lock. */
static void end_training(batches_object *b)
{
    tfn_training *training = b->training;
    b->training = NULL;
    if (training != NULL) {
        PyThreadState *thread = PyEval_SaveThread();
        tfn_training_end(training);
        PyEval_RestoreThread(thread);
    }
}

PyObject *native_batches_create(native_state *state, tfn_training *training, PyObject *progress)
{
    PyObject *self = PyType_GenericAlloc((PyTypeObject *)state->batches_type, 0);
    if (self == NULL) {
        tfn_training_end(training);
        return NULL;
    }
    batches_of(self)->training = training;
    batches_of(self)->progress = progress != NULL ? Py_NewRef(progress) : NULL;
    return self;
}

static void batches_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    end_training(batches_of(self));
    Py_CLEAR(batches_of(self)->progress);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

/* `progress` may hold what holds the batches. */
static int batches_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(batches_of(self)->progress);
    return 0;
}

static int batches_clear(PyObject *self)
{
    Py_CLEAR(batches_of(self)->progress);
    return 0;
}

static int check_free(PyObject *self)
{
    if (batches_of(self)->is_busy) {
        native_fail(native_state_of(self), TFN_INVALID,
                    "another thread is reading these batches; each thread needs its own");
        return -1;
    }
    return 0;
}

/* ---- methods ---- */

static PyObject *next_batch(PyObject *self, PyObject *Py_UNUSED(unused))
{
    batches_object *b = batches_of(self);
    native_state *state = native_state_of(self);
    if (check_free(self) != 0) {
        return NULL;
    }
    if (b->training == NULL) {
        Py_RETURN_NONE;
    }
    native_table *table = NULL;
    tfn_error err = {0};
    native_call call;
    b->is_busy = true;
    native_call_begin(&call, b->progress);
    const tfn_code rc = native_table_take(b->training, false, &call, &table, &err);
    const int failed = native_call_end(&call, state, rc, &err);
    b->is_busy = false;
    if (failed != 0) {
        PyObject *type = NULL;
        PyObject *value = NULL;
        PyObject *traceback = NULL;
        PyErr_Fetch(&type, &value, &traceback);
        native_table_release(table);
        end_training(b);
        PyErr_Restore(type, value, traceback);
        return NULL;
    }
    if (table == NULL) {
        Py_RETURN_NONE;
    }
    return native_stream_create(state, table);
}

static PyObject *take_report(PyObject *self, PyObject *Py_UNUSED(unused))
{
    batches_object *b = batches_of(self);
    if (check_free(self) != 0) {
        return NULL;
    }
    if (b->training == NULL) {
        return native_fail(native_state_of(self), TFN_INVALID,
                           "these batches have ended; their report is taken once, before");
    }
    char *text = NULL;
    tfn_error err = {0};
    const tfn_code rc = tfn_training_report(b->training, &text, &err);
    end_training(b);
    if (rc != TFN_OK) {
        native_raise(native_state_of(self), rc, err.message);
        return NULL;
    }
    PyObject *report = PyUnicode_FromString(text);
    tfn_text_destroy(text);
    return report;
}

static PyObject *close_batches(PyObject *self, PyObject *Py_UNUSED(unused))
{
    if (check_free(self) != 0) {
        return NULL;
    }
    end_training(batches_of(self));
    Py_RETURN_NONE;
}

/* ---- the type ---- */

static const PyMethodDef methods[] = {
    {"next", next_batch, METH_NOARGS,
     "next($self, /)\n--\n\nThe next batch as a Stream of one; None at the end."},
    {"report", take_report, METH_NOARGS,
     "report($self, /)\n--\n\nWhat was read and done (JSON); ends the batches."},
    {"close", close_batches, METH_NOARGS,
     "close($self, /)\n--\n\nGive memory and temporary files back; may come twice."},
    {NULL, NULL, 0, NULL},
};

int native_add_batches(PyObject *module, native_state *state)
{
    static const char doc[] = "A training set, handed out batch by batch.";
    PyType_Slot slots[] = {
        {Py_tp_doc, NATIVE_SLOT(doc)},
        {Py_tp_dealloc, NATIVE_SLOT(batches_dealloc)},
        {Py_tp_traverse, NATIVE_SLOT(batches_traverse)},
        {Py_tp_clear, NATIVE_SLOT(batches_clear)},
        {Py_tp_methods, NATIVE_SLOT(methods)},
        {0, NULL},
    };
    PyType_Spec spec = {
        .name = "tiffin._native.Batches",
        .basicsize = sizeof(batches_object),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC |
                 Py_TPFLAGS_DISALLOW_INSTANTIATION,
        .slots = slots,
    };
    return native_add_type(module, &spec, &state->batches_type);
}
