/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Engine codes as Python exceptions.
 *
 * The classes are Python code (tiffin.errors.BY_CODE: name of a code -> class), so that they can be
 * documented, subclass what people expect and be caught without importing this module. They are
 * looked up once, when the module is executed; a code without a class is a broken installation and
 * fails the import, not a later call. The message of an exception is the engine's sentence, nothing
 * added. A sentence that filled its struct may end inside a UTF-8 character: it is decoded with
 * replacement, because an error about an error helps nobody.
 */

#include "native.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int native_load_errors(native_state *state)
{
    PyObject *module = PyImport_ImportModule("tiffin.errors");
    if (module == NULL) {
        return -1;
    }
    PyObject *by_code = PyObject_GetAttrString(module, "BY_CODE");
    Py_DECREF(module);
    if (by_code == NULL) {
        return -1;
    }
    int rc = 0;
    for (int i_code = 1; i_code < NATIVE_N_CODES && rc == 0; i_code++) {
        const char *name = tfn_code_name((tfn_code)i_code);
        state->error_class[i_code] = PyMapping_GetItemString(by_code, name);
        if (state->error_class[i_code] == NULL) {
            PyErr_Format(PyExc_ImportError, "tiffin.errors.BY_CODE has no class for the code %s",
                         name);
            rc = -1;
        }
    }
    Py_DECREF(by_code);
    return rc;
}

PyObject *native_make_codes(void)
{
    static const struct {
        const char *name;
        int http;
        const char *python;
    } codes[] = {
#define NATIVE_CODE_ROW(name, value, http, grpc, python, meaning) {#name, http, #python},
        TFN_CODE_MAP(NATIVE_CODE_ROW)
#undef NATIVE_CODE_ROW
    };
    PyObject *all = PyTuple_New(NATIVE_N_CODES - 1);
    for (Py_ssize_t i = 1; all != NULL && i < NATIVE_N_CODES; i++) {
        PyObject *row = Py_BuildValue("(sis)", codes[i].name, codes[i].http, codes[i].python);
        all = native_tuple_put(all, i - 1, row);
    }
    return all;
}

/* Takes `message`; NULL means that an exception is set already. */
static void raise_object(native_state *state, tfn_code code, PyObject *message)
{
    if (message == NULL) {
        return;
    }
    const int i_code = (int)code;
    PyObject *type = NULL;
    if (i_code > 0 && i_code < NATIVE_N_CODES) {
        type = state->error_class[i_code];
    }
    PyErr_SetObject(type != NULL ? type : PyExc_RuntimeError, message);
    Py_DECREF(message);
}

void native_raise(native_state *state, tfn_code code, const char *sentence)
{
    if (sentence[0] == '\0') {
        sentence = tfn_code_meaning(code);
    }
    raise_object(state, code,
                 PyUnicode_DecodeUTF8(sentence, (Py_ssize_t)strlen(sentence), "replace"));
}

PyObject *native_fail(native_state *state, tfn_code code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    PyObject *message = PyUnicode_FromFormatV(format, arguments);
    va_end(arguments);
    raise_object(state, code, message);
    return NULL;
}

int native_refuse_type(native_state *state, PyObject *found, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    PyObject *expected = PyUnicode_FromFormatV(format, arguments);
    va_end(arguments);
    PyObject *type = expected != NULL ? PyType_GetName(Py_TYPE(found)) : NULL;
    if (type != NULL) {
        native_fail(state, TFN_SCHEMA, "%U, not %U", expected, type);
    }
    Py_XDECREF(type);
    Py_XDECREF(expected);
    return -1;
}

tfn_code native_set_error(tfn_error *err, tfn_code code, const char *sentence)
{
    err->code = code;
    err->file = __FILE__;
    err->line = __LINE__;
    (void)snprintf(err->message, sizeof err->message, "%s", sentence);
    return code;
}
