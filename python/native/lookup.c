/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Lookup: a resolved online request, and its hot path `run`.
 *
 *   entity rows ──rows.c──→ tfn_value[] ──tfn_lookup_run──→ tfn_answer ──answer.c──→ dict
 *
 * What does not change between runs is made once: the key names (interned, so that finding them in
 * the caller's dict compares pointers) and the names of the columns (native_columns, shared with
 * every Answer; replaced when an apply changed the columns of a feature service).
 *
 * The interpreter lock. A run of 64 rows of 10 features takes about 11 us; longer ones give the
 * lock up, shorter ones keep it. Without contention giving it up costs 0.1 us a run. With
 * contention it may cost a switch interval (5 ms): beside a computing thread, keeping it
 * gave 1.6, 1.4 and 1.2 times the calls at 1, 8 and 64 rows. Two threads that look up saw no
 * difference up to 64 rows, and keeping gave 0.8 and 0.6 times the calls at 256 and 1,000. The
 * contended figures are medians of 7 pairs on a busy machine, whose ranges all include 1: they give
 * the direction, the limit is the 10 us rule. A run that asks a server always gives it up: it waits
 * for the network, and for a server that is away as long as the time-outs say.
 *
 * Threads: `columns` is changed only with the lock held, and no pointer into it is kept across a
 * call.
 */

#include "native.h"

enum { ROWS_WITH_LOCK = 64 };

typedef struct lookup_object {
    PyObject_HEAD tfn_lookup *lookup;
    PyObject *key_names; /* tuple of str */
    native_columns columns;
    bool waits; /* the online store is a server: a run of any size waits for the network */
} lookup_object;

static lookup_object *lookup_of(PyObject *self)
{
    return (lookup_object *)self;
}

static PyObject *make_key_names(const tfn_lookup *lookup)
{
    Py_ssize_t n = 0;
    while (tfn_lookup_get_key_name(lookup, (size_t)n) != NULL) {
        n++;
    }
    PyObject *names = PyTuple_New(n);
    for (Py_ssize_t i = 0; names != NULL && i < n; i++) {
        PyObject *name = PyUnicode_InternFromString(tfn_lookup_get_key_name(lookup, (size_t)i));
        names = native_tuple_put(names, i, name);
    }
    return names;
}

PyObject *native_lookup_create(native_state *state, tfn_lookup *lookup, bool waits)
{
    PyObject *self = PyType_GenericAlloc((PyTypeObject *)state->lookup_type, 0);
    if (self == NULL) {
        tfn_lookup_destroy(lookup);
        return NULL;
    }
    lookup_of(self)->lookup = lookup;
    lookup_of(self)->waits = waits;
    lookup_of(self)->key_names = make_key_names(lookup);
    if (lookup_of(self)->key_names == NULL) {
        Py_CLEAR(self);
    }
    return self;
}

static void lookup_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    lookup_object *own = lookup_of(self);
    tfn_lookup_destroy(own->lookup);
    Py_XDECREF(own->key_names);
    Py_XDECREF(own->columns.names);
    Py_XDECREF(own->columns.ts_names);
    PyObject_Free(self);
    Py_DECREF(type);
}

/* run(entity_rows, at_us=None, max_age_us=None) from the vector that CPython passes. */
enum { ENTITY_ROWS = 0, AT_US = 1, MAX_AGE_US = 2, N_ARGUMENTS = 3 };

static int place_of(PyObject *keyword)
{
    static const char *const names[N_ARGUMENTS] = {"entity_rows", "at_us", "max_age_us"};
    for (int i = 0; i < N_ARGUMENTS; i++) {
        if (PyUnicode_CompareWithASCIIString(keyword, names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

static int parse_run(PyObject *const *args, Py_ssize_t n_positional, PyObject *keywords,
                     PyObject *given[N_ARGUMENTS])
{
    const Py_ssize_t n_keywords = keywords != NULL ? PyTuple_Size(keywords) : 0;
    bool is_wrong = n_positional > N_ARGUMENTS;
    for (Py_ssize_t i = 0; i < n_positional && !is_wrong; i++) {
        given[i] = args[i];
    }
    for (Py_ssize_t i = 0; i < n_keywords && !is_wrong; i++) {
        const int place = place_of(PyTuple_GetItem(keywords, i));
        is_wrong = place < 0 || given[place] != NULL;
        if (!is_wrong) {
            given[place] = args[n_positional + i];
        }
    }
    if (is_wrong || given[ENTITY_ROWS] == NULL) {
        PyErr_SetString(PyExc_TypeError,
                        "run() takes entity_rows and, optionally, at_us and max_age_us");
        return -1;
    }
    return 0;
}

static int read_max_age(native_state *state, PyObject *object, int64_t *out)
{
    *out = 0;
    if (object == NULL || Py_IsNone(object)) {
        return 0;
    }
    int overflow = 0;
    const long long age_us =
        PyLong_Check(object) ? PyLong_AsLongLongAndOverflow(object, &overflow) : -1;
    if (age_us <= 0 || overflow != 0) {
        PyErr_Clear();
        native_fail(state, TFN_INVALID,
                    "max_age_us must be a positive int of 64 bits (microseconds) or None, not %R",
                    object);
        return -1;
    }
    *out = age_us;
    return 0;
}

static PyObject *lookup_run(PyObject *self, PyObject *const *args, Py_ssize_t n_positional,
                            PyObject *keywords)
{
    lookup_object *own = lookup_of(self);
    native_state *state = native_state_of(self);
    PyObject *given[N_ARGUMENTS] = {NULL};
    tfn_lookup_opts opts = {.struct_size = sizeof opts};
    if (parse_run(args, n_positional, keywords, given) != 0 ||
        native_time_read(state, given[AT_US], "at_us", &opts.at) != 0 ||
        read_max_age(state, given[MAX_AGE_US], &opts.max_age_us) != 0) {
        return NULL;
    }
    native_batch batch;
    if (native_batch_init(&batch, state, own->key_names, given[ENTITY_ROWS]) != 0) {
        return NULL;
    }
    tfn_answer *answer = NULL;
    tfn_error err = {0};
    int failed = 0;
    if (!own->waits && batch.n_rows <= ROWS_WITH_LOCK) {
        const tfn_code rc =
            tfn_lookup_run(own->lookup, batch.values, batch.n_rows, &opts, &answer, &err);
        failed = rc != TFN_OK;
        if (failed) {
            native_raise(state, rc, err.message);
        }
    } else {
        native_call call;
        native_call_begin(&call, NULL);
        const tfn_code rc =
            tfn_lookup_run(own->lookup, batch.values, batch.n_rows, &opts, &answer, &err);
        failed = native_call_end(&call, state, rc, &err);
    }
    native_batch_deinit(&batch);
    return failed ? NULL : native_answer_create(state, answer, &own->columns);
}

static PyObject *get_key_names(PyObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(lookup_of(self)->key_names);
}

static PyObject *get_n_views(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSize_t(tfn_lookup_get_n_views(lookup_of(self)->lookup));
}

/* Columns of an answer to no rows, by the newest definitions. */
static PyObject *get_names(PyObject *self, void *Py_UNUSED(closure))
{
    lookup_object *own = lookup_of(self);
    native_state *state = native_state_of(self);
    tfn_answer *answer = NULL;
    tfn_error err = {0};
    native_call call;
    native_call_begin(&call, NULL);
    const tfn_code rc = tfn_lookup_run(own->lookup, NULL, 0, NULL, &answer, &err);
    if (native_call_end(&call, state, rc, &err) != 0) {
        return NULL;
    }
    PyObject *made = native_answer_create(state, answer, &own->columns);
    if (made == NULL) {
        return NULL;
    }
    Py_DECREF(made);
    return Py_NewRef(own->columns.names);
}

/* The face of a lookup with on-demand views (tiffin/compute/lookup.py), which says true. */
static PyObject *get_computes(PyObject *Py_UNUSED(self), void *Py_UNUSED(closure))
{
    return Py_NewRef(Py_False);
}

static const PyMethodDef methods[] = {
    {"run", NATIVE_METHOD(lookup_run), METH_FASTCALL | METH_KEYWORDS,
     "run($self, /, entity_rows, at_us=None, max_age_us=None)\n--\n\n"
     "The newest values of these entities: a list of dicts, or a dict of lists."},
    {NULL, NULL, 0, NULL},
};

static const PyGetSetDef attributes[] = {
    {"key_names", get_key_names, NULL, "Join keys that every entity row must have.", NULL},
    {"names", get_names, NULL, "Columns of an answer: join keys, then features in order.", NULL},
    {"n_views", get_n_views, NULL, "Views that are read, when it was prepared.", NULL},
    {"computes", get_computes, NULL, "Whether Python functions run: False.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

int native_add_lookup(PyObject *module, native_state *state)
{
    static const char doc[] = "A resolved online request; follows later applies by itself.";
    PyType_Slot slots[] = {
        {Py_tp_doc, NATIVE_SLOT(doc)},
        {Py_tp_dealloc, NATIVE_SLOT(lookup_dealloc)},
        {Py_tp_methods, NATIVE_SLOT(methods)},
        {Py_tp_getset, NATIVE_SLOT(attributes)},
        {0, NULL},
    };
    PyType_Spec spec = {
        .name = "tiffin._native.Lookup",
        .basicsize = sizeof(lookup_object),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
        .slots = slots,
    };
    return native_add_type(module, &spec, &state->lookup_type);
}
