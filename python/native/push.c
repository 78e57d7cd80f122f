/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Pushes: rows into the online store, checked in one call and written in a second.
 *
 * A Push is made by Store.begin_push, holds the frame (so nothing of the caller's is looked at
 * later) and is used up by commit; dropping it unused forgets it. Two threads that commit one Push:
 * the lock is held while it is taken out of the object, so the second finds none.
 */

#include "native.h"

typedef struct push_object {
    PyObject_HEAD tfn_push *push; /* NULL: committed */
} push_object;

static void push_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    tfn_push_abort(((push_object *)self)->push);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyObject *commit_push(PyObject *self, PyObject *Py_UNUSED(unused))
{
    native_state *state = native_state_of(self);
    tfn_push *push = ((push_object *)self)->push;
    if (push == NULL) {
        return native_fail(state, TFN_INVALID, "this push was committed before");
    }
    ((push_object *)self)->push = NULL;
    char *report = NULL;
    tfn_error err = {0};
    native_call call;
    native_call_begin(&call, NULL);
    const tfn_code rc = tfn_push_commit(push, &report, &err);
    return native_call_end_text(&call, state, rc, report, &err);
}

PyObject *native_store_begin_push(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"frame", "source", "view", "check_only", "rehearse", NULL};
    native_state *state = native_state_of(self);
    tfn_push_request request = {.struct_size = sizeof request};
    PyObject *frame = NULL;
    int check_only = 0;
    int rehearse = 0;
    struct ArrowArrayStream rows = {0};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$zzpp:begin_push", NATIVE_KEYWORDS(names),
                                     &frame, &request.source, &request.view, &check_only,
                                     &rehearse) ||
        native_take_stream(state, frame, "frame", &rows) != 0) {
        return NULL;
    }
    request.check_only = check_only;
    request.rehearse = rehearse;
    tfn_push *push = NULL;
    tfn_error err = {0};
    native_call call;
    native_call_begin(&call, NULL);
    const tfn_code rc = tfn_store_begin_push(native_store_of(self), &request, &rows, &push, &err);
    native_stream_drop(&rows);
    if (native_call_end(&call, state, rc, &err) != 0) {
        tfn_push_abort(push);
        return NULL;
    }
    PyObject *object = PyType_GenericAlloc((PyTypeObject *)state->push_type, 0);
    if (object == NULL) {
        tfn_push_abort(push);
        return NULL;
    }
    ((push_object *)object)->push = push;
    return object;
}

/* ---- the type ---- */

static const PyMethodDef methods[] = {
    {"commit", commit_push, METH_NOARGS,
     "commit($self, /)\n--\n\nWrite all of it, once; what became of the rows (JSON)."},
    {NULL, NULL, 0, NULL},
};

int native_add_push(PyObject *module, native_state *state)
{
    static const char doc[] = "Checked rows on their way into the online store.";
    PyType_Slot slots[] = {
        {Py_tp_doc, NATIVE_SLOT(doc)},
        {Py_tp_dealloc, NATIVE_SLOT(push_dealloc)},
        {Py_tp_methods, NATIVE_SLOT(methods)},
        {0, NULL},
    };
    PyType_Spec spec = {
        .name = "tiffin._native.Push",
        .basicsize = sizeof(push_object),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
        .slots = slots,
    };
    return native_add_type(module, &spec, &state->push_type);
}
