/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The module tiffin._native: multi-phase initialisation over the limited API of Python 3.11.
 *
 * All state is in native_state, one per module object, so subinterpreters do not share anything.
 * The types are heap types made from specs, final and immutable, and hold the module; an object
 * holds its type; so the state outlives every object. Objects hold only strings and engine handles,
 * which cannot form cycles: the types need no garbage collection, the module does (it holds the
 * types).
 */

#include "native.h"

int native_add_type(PyObject *module, PyType_Spec *spec, PyObject **out)
{
    *out = PyType_FromModuleAndSpec(module, spec, NULL);
    return *out != NULL ? PyModule_AddType(module, (PyTypeObject *)*out) : -1;
}

static int load_names(native_state *state)
{
#define NATIVE_INTERN(text)                                                                        \
    state->name.text = PyUnicode_InternFromString(#text);                                          \
    if (state->name.text == NULL) {                                                                \
        return -1;                                                                                 \
    }
    NATIVE_NAMES(NATIVE_INTERN)
#undef NATIVE_INTERN
    return 0;
}

static int add_constants(PyObject *module)
{
    if (PyModule_AddStringConstant(module, "__version__", tfn_version()) != 0) {
        return -1;
    }
    PyObject *codes = native_make_codes();
    if (codes == NULL) {
        return -1;
    }
    const int rc = PyModule_AddObjectRef(module, "CODES", codes);
    Py_DECREF(codes);
    return rc;
}

static int module_exec(PyObject *module)
{
    native_state *state = PyModule_GetState(module);
    const bool is_ready =
        load_names(state) == 0 && native_load_errors(state) == 0 &&
        native_load_datetime(state) == 0 && add_constants(module) == 0 &&
        native_add_stream(module, state) == 0 && native_add_answer(module, state) == 0 &&
        native_add_lookup(module, state) == 0 && native_add_store(module, state) == 0 &&
        native_add_batches(module, state) == 0 && native_add_push(module, state) == 0;
    return is_ready ? 0 : -1;
}

/* Where the state keeps its objects. */
static const size_t places[] = {
#define NATIVE_PLACE(member) offsetof(native_state, member),
    NATIVE_OBJECTS(NATIVE_PLACE)
#undef NATIVE_PLACE
#define NATIVE_PLACE(text) offsetof(native_state, name.text),
        NATIVE_NAMES(NATIVE_PLACE)
#undef NATIVE_PLACE
};

static PyObject **object_at(native_state *state, size_t i_place)
{
    return (PyObject **)(void *)((char *)state + places[i_place]);
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    native_state *state = PyModule_GetState(module);
    for (size_t i = 0; i < NATIVE_N_CODES; i++) {
        Py_VISIT(state->error_class[i]);
    }
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        Py_VISIT(*object_at(state, i));
    }
    return 0;
}

static int module_clear(PyObject *module)
{
    native_state *state = PyModule_GetState(module);
    for (size_t i = 0; i < NATIVE_N_CODES; i++) {
        Py_CLEAR(state->error_class[i]);
    }
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        Py_CLEAR(*object_at(state, i));
    }
    return 0;
}

static void module_free(void *module)
{
    (void)module_clear(module);
}

static const PyMethodDef functions[] = {
    {"join", NATIVE_METHOD(native_join), METH_VARARGS | METH_KEYWORDS,
     "join($module, /, spine, source, *, keys, features, spine_time, source_time, created=None, "
     "ttl_us=0, filter_by_created=False, known_at_us=None, n_threads=0)\n--\n\n"
     "The point-in-time join of two Arrow tables, without a store."},
    {"latest", NATIVE_METHOD(native_latest), METH_VARARGS | METH_KEYWORDS,
     "latest($module, /, source, *, keys, features, source_time, created=None, end_us=None, "
     "known_at_us=None, n_threads=0)\n--\n\n"
     "The newest row of every key of an Arrow table."},
    {"describe_dataset_files", NATIVE_METHOD(native_describe_dataset_files),
     METH_VARARGS | METH_KEYWORDS,
     "describe_dataset_files($module, /, path)\n--\n\n"
     "Sizes and checksums of a Parquet file, or of all in a folder."},
    {"hash_table", NATIVE_METHOD(native_hash_table), METH_VARARGS | METH_KEYWORDS,
     "hash_table($module, /, table)\n--\n\nHash of names, types and values of a table."},
    {"checksum", NATIVE_METHOD(native_checksum), METH_VARARGS | METH_KEYWORDS,
     "checksum($module, /, data)\n--\n\nThe 64-bit checksum of Tiffin's own files."},
    {NULL, NULL, 0, NULL},
};

static const PyModuleDef_Slot slots[] = {
    {Py_mod_exec, NATIVE_SLOT(module_exec)},
    {0, NULL},
};

/* lint: allow mutable-global - CPython numbers and counts the definition of a module in place */
static PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "tiffin._native",
    .m_doc = "The engine: a thin binding of the C headers in include/tiffin.",
    .m_size = sizeof(native_state),
    .m_methods = NATIVE_SLOT(functions),
    .m_slots = NATIVE_SLOT(slots),
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__native(void);

PyMODINIT_FUNC PyInit__native(void)
{
    return PyModuleDef_Init(&definition);
}
