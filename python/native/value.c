/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Python values <-> tfn_value.
 *
 * In. What a value *means* for a key (may 5.0 be an int64?) is the engine's decision; here a value
 * is only named by its kind. Common types are asked for first. Missing is None, a NaN float,
 * pandas.NaT, pandas.NA and numpy's NaT; pandas and numpy are recognised by the names of their
 * types, so neither is imported.
 *
 * Text is not copied: tfn_value points into the Python object, and `held` keeps a reference while
 * the engine reads (another thread may change the caller's list as soon as the lock is given up).
 *
 * Instants without the C API of `datetime`, which the limited API does not have:
 *     t - datetime(1970, 1, 1[, tzinfo=utc])  gives  timedelta(days, seconds, microseconds)
 * is integer arithmetic, so exact to the microsecond, and to the nanosecond for pandas.Timestamp,
 * whose difference also has `nanoseconds`. `datetime.timestamp()` is a float and would not be. A
 * naive instant is UTC.
 *
 * Out. Timestamps become aware datetimes in UTC. Python's datetime ends at microseconds and at the
 * years 1 and 9999: nanoseconds are cut (towards the past); what lies outside is an error that
 * names the column, not a wrong answer. `Answer.to_stream()` keeps both.
 */

#include "native.h"

#include <math.h>
#include <string.h>

enum {
    ORDINAL_OF_1970 = 719163, /* date(1970, 1, 1).toordinal() */
    SECONDS_PER_DAY = 86400,
};

static const int64_t units_per_second[] = {1, 1000, 1000000, 1000000000};

int native_load_datetime(native_state *state)
{
    PyObject *module = PyImport_ImportModule("datetime");
    if (module == NULL) {
        return -1;
    }
    PyObject *zones = PyObject_GetAttrString(module, "timezone");
    PyObject *utc = zones != NULL ? PyObject_GetAttrString(zones, "utc") : NULL;
    state->date_class = PyObject_GetAttrString(module, "date");
    state->datetime_class = PyObject_GetAttrString(module, "datetime");
    state->timedelta_class = PyObject_GetAttrString(module, "timedelta");
    if (utc != NULL && state->datetime_class != NULL) {
        state->epoch_naive = PyObject_CallFunction(state->datetime_class, "iii", 1970, 1, 1);
        state->epoch_utc =
            PyObject_CallFunction(state->datetime_class, "iiiiiiiO", 1970, 1, 1, 0, 0, 0, 0, utc);
    }
    Py_XDECREF(utc);
    Py_XDECREF(zones);
    Py_DECREF(module);
    const bool is_complete = state->date_class != NULL && state->timedelta_class != NULL &&
                             state->epoch_naive != NULL && state->epoch_utc != NULL;
    return is_complete ? 0 : -1;
}

/* ---- in ---- */

/* Where a value stands, for sentences. */
typedef struct place {
    native_state *state;
    PyObject *key;
    Py_ssize_t i_row;
} place;

static int refuse(const place *at, const char *found, PyObject *object)
{
    native_fail(at->state, TFN_INVALID, "join key '%U' in entity row %zd: %s: %R", at->key,
                at->i_row, found, object);
    return -1;
}

/* Is the type of `object` called `name` or `other`? 1, 0, or -1 on an exception. */
static int is_named(PyObject *object, const char *name, const char *other)
{
    PyObject *own = PyType_GetName(Py_TYPE(object));
    if (own == NULL) {
        return -1;
    }
    const bool is = PyUnicode_CompareWithASCIIString(own, name) == 0 ||
                    PyUnicode_CompareWithASCIIString(own, other) == 0;
    Py_DECREF(own);
    return is ? 1 : 0;
}

/* The same for types of numpy. */
static int is_numpy(native_state *state, PyObject *object, const char *name, const char *other)
{
    const int named = is_named(object, name, other);
    if (named <= 0) {
        return named;
    }
    PyObject *module = PyObject_GetAttr((PyObject *)Py_TYPE(object), state->name.__module__);
    if (module == NULL) {
        return -1;
    }
    const bool is =
        PyUnicode_Check(module) && PyUnicode_CompareWithASCIIString(module, "numpy") == 0;
    Py_DECREF(module);
    return is ? 1 : 0;
}

static int read_integer(const place *at, PyObject *object, tfn_value *out)
{
    int overflow = 0;
    const long long number = PyLong_AsLongLongAndOverflow(object, &overflow);
    if (overflow != 0) {
        return refuse(at, "this integer does not fit into 64 bits", object);
    }
    if (number == -1 && PyErr_Occurred() != NULL) {
        return -1;
    }
    out->kind = TFN_VALUE_INT64;
    out->integer = number;
    return 0;
}

static void set_real(double real, tfn_value *out)
{
    if (!isnan(real)) {
        out->kind = TFN_VALUE_FLOAT64;
        out->real = real;
    }
}

static int read_text(const place *at, PyObject *object, tfn_value *out, PyObject **held)
{
    Py_ssize_t n = 0;
    const char *text = PyUnicode_AsUTF8AndSize(object, &n);
    if (text == NULL) {
        if (PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) {
            PyErr_Clear();
            return refuse(at, "this text is not valid Unicode", object);
        }
        return -1;
    }
    out->kind = TFN_VALUE_STRING;
    out->text = text;
    out->n = (size_t)n;
    *held = Py_NewRef(object);
    return 0;
}

/* An attribute that is a small integer. */
static int read_part(PyObject *object, PyObject *name, int64_t *out)
{
    PyObject *part = PyObject_GetAttr(object, name);
    if (part == NULL) {
        return -1;
    }
    *out = PyLong_AsLongLong(part);
    Py_DECREF(part);
    return *out == -1 && PyErr_Occurred() != NULL ? -1 : 0;
}

/* 1 if a datetime has no offset from UTC, 0 if it has one, -1 on an exception. */
static int is_naive(native_state *state, PyObject *instant)
{
    PyObject *zone = PyObject_GetAttr(instant, state->name.tzinfo);
    if (zone == NULL) {
        return -1;
    }
    const bool has_zone = !Py_IsNone(zone);
    Py_DECREF(zone);
    if (!has_zone) {
        return 1;
    }
    PyObject *offset = PyObject_CallMethodObjArgs(instant, state->name.utcoffset, NULL);
    if (offset == NULL) {
        return -1;
    }
    const int naive = Py_IsNone(offset) ? 1 : 0;
    Py_DECREF(offset);
    return naive;
}

/* instant - epoch; a zone that gives no offset makes an instant naive, and subtraction refuse it.
 */
static PyObject *subtract_epoch(native_state *state, PyObject *instant)
{
    const int naive = is_naive(state, instant);
    if (naive < 0) {
        return NULL;
    }
    return PyNumber_Subtract(instant, naive != 0 ? state->epoch_naive : state->epoch_utc);
}

static int read_instant(const place *at, PyObject *instant, tfn_value *out)
{
    const native_state *state = at->state;
    PyObject *since = subtract_epoch(at->state, instant);
    if (since == NULL) {
        return -1;
    }
    int64_t days = 0;
    int64_t seconds = 0;
    int64_t micros = 0;
    int64_t nanos = 0;
    int rc = read_part(since, state->name.days, &days);
    if (rc == 0) {
        rc = read_part(since, state->name.seconds, &seconds);
    }
    if (rc == 0) {
        rc = read_part(since, state->name.microseconds, &micros);
    }
    if (rc == 0 && !Py_IS_TYPE(since, (PyTypeObject *)state->timedelta_class) &&
        PyObject_HasAttr(since, state->name.nanoseconds)) {
        rc = read_part(since, state->name.nanoseconds, &nanos);
    }
    Py_DECREF(since);
    if (rc != 0) {
        return -1;
    }
    /* The years 1 to 9999 in microseconds are far inside 64 bits; nanoseconds only come from
     * pandas, which has them in 64 bits itself. */
    const int64_t total_us = (days * SECONDS_PER_DAY + seconds) * 1000000 + micros;
    out->kind = TFN_VALUE_TIMESTAMP;
    out->unit = nanos != 0 ? 3 : 2;
    out->integer = nanos != 0 ? total_us * 1000 + nanos : total_us;
    return 0;
}

static int read_date(const place *at, PyObject *date, tfn_value *out)
{
    PyObject *ordinal = PyObject_CallMethodObjArgs(date, at->state->name.toordinal, NULL);
    if (ordinal == NULL) {
        return -1;
    }
    const long long days = PyLong_AsLongLong(ordinal);
    Py_DECREF(ordinal);
    if (days == -1 && PyErr_Occurred() != NULL) {
        return -1;
    }
    out->kind = TFN_VALUE_DATE;
    out->integer = days - ORDINAL_OF_1970;
    return 0;
}

/* numpy.datetime64 in a unit that the engine has: as it is; in any other: as microseconds. */
static int read_numpy_instant(const place *at, PyObject *object, tfn_value *out)
{
    static const struct {
        const char *dtype;
        int32_t kind;
        int32_t unit;
    } known[] = {
        {"datetime64[ns]", TFN_VALUE_TIMESTAMP, 3}, {"datetime64[us]", TFN_VALUE_TIMESTAMP, 2},
        {"datetime64[ms]", TFN_VALUE_TIMESTAMP, 1}, {"datetime64[s]", TFN_VALUE_TIMESTAMP, 0},
        {"datetime64[D]", TFN_VALUE_DATE, 0},
    };
    PyObject *dtype = PyObject_GetAttr(object, at->state->name.dtype);
    PyObject *text = dtype != NULL ? PyObject_Str(dtype) : NULL;
    PyObject *number = NULL;
    int rc = -1;
    if (text == NULL) {
        goto done;
    }
    out->kind = TFN_VALUE_TIMESTAMP;
    out->unit = 2;
    bool is_known = false;
    for (size_t i = 0; i < sizeof known / sizeof known[0] && !is_known; i++) {
        is_known = PyUnicode_CompareWithASCIIString(text, known[i].dtype) == 0;
        if (is_known) {
            out->kind = known[i].kind;
            out->unit = known[i].unit;
        }
    }
    PyObject *exact =
        is_known ? Py_NewRef(object) : PyObject_CallMethod(object, "astype", "s", "datetime64[us]");
    if (exact == NULL) {
        goto done;
    }
    number = PyObject_CallMethod(exact, "astype", "s", "int64");
    Py_DECREF(exact);
    PyObject *index = number != NULL ? PyNumber_Index(number) : NULL;
    if (index == NULL) {
        goto done;
    }
    out->integer = PyLong_AsLongLong(index);
    Py_DECREF(index);
    rc = out->integer == -1 && PyErr_Occurred() != NULL ? -1 : 0;
    if (rc == 0 && out->integer == INT64_MIN) {
        *out = (tfn_value){0}; /* NaT */
    }
done:
    Py_XDECREF(number);
    Py_XDECREF(text);
    Py_XDECREF(dtype);
    return rc;
}

/* What is left: times, missing values of pandas, scalars of numpy. */
static int read_rare(const place *at, PyObject *object, tfn_value *out)
{
    native_state *state = at->state;
    int is = is_named(object, "NaTType", "NAType");
    if (is != 0) {
        return is < 0 ? -1 : 0;
    }
    is = PyObject_IsInstance(object, state->datetime_class);
    if (is != 0) {
        return is < 0 ? -1 : read_instant(at, object, out);
    }
    is = PyObject_IsInstance(object, state->date_class);
    if (is != 0) {
        return is < 0 ? -1 : read_date(at, object, out);
    }
    is = is_numpy(state, object, "datetime64", "datetime64");
    if (is != 0) {
        return is < 0 ? -1 : read_numpy_instant(at, object, out);
    }
    is = is_numpy(state, object, "bool", "bool_");
    if (is != 0) {
        out->kind = TFN_VALUE_BOOL;
        out->integer = is > 0 ? PyObject_IsTrue(object) : -1;
        return out->integer < 0 ? -1 : 0;
    }
    if (PyIndex_Check(object)) {
        PyObject *index = PyNumber_Index(object);
        const int rc = index != NULL ? read_integer(at, index, out) : -1;
        Py_XDECREF(index);
        return rc;
    }
    if (PyObject_HasAttr(object, state->name.__float__)) {
        const double real = PyFloat_AsDouble(object);
        if (real == -1.0 && PyErr_Occurred() != NULL) {
            return -1;
        }
        set_real(real, out);
        return 0;
    }
    return refuse(at, "expected a bool, int, float, str, bytes, datetime or date", object);
}

int native_value_read(native_state *state, PyObject *object, PyObject *key, Py_ssize_t i_row,
                      tfn_value *out, PyObject **held)
{
    const place at = {.state = state, .key = key, .i_row = i_row};
    *out = (tfn_value){0};
    *held = NULL;
    if (PyUnicode_Check(object)) {
        return read_text(&at, object, out, held);
    }
    if (Py_IsNone(object)) {
        return 0;
    }
    if (PyBool_Check(object)) {
        out->kind = TFN_VALUE_BOOL;
        out->integer = Py_IsTrue(object);
        return 0;
    }
    if (PyLong_Check(object)) {
        return read_integer(&at, object, out);
    }
    if (PyFloat_Check(object)) {
        set_real(PyFloat_AsDouble(object), out);
        return 0;
    }
    if (PyBytes_Check(object)) {
        char *bytes = NULL;
        Py_ssize_t n = 0;
        if (PyBytes_AsStringAndSize(object, &bytes, &n) != 0) {
            return -1;
        }
        out->kind = TFN_VALUE_BYTES;
        out->text = bytes;
        out->n = (size_t)n;
        *held = Py_NewRef(object);
        return 0;
    }
    return read_rare(&at, object, out);
}

/* ---- out ---- */

/* Say which column the OverflowError of `datetime` is about. */
static PyObject *explain_overflow(native_state *state, const tfn_value *value, PyObject *column)
{
    if (!PyErr_ExceptionMatches(PyExc_OverflowError) && !PyErr_ExceptionMatches(PyExc_ValueError)) {
        return NULL;
    }
    static const char *const units[] = {"seconds", "milliseconds", "microseconds", "nanoseconds"};
    PyErr_Clear();
    return native_fail(
        state, TFN_INVALID,
        "column '%U' holds %lld %s since 1970, which is outside of the years 1 to 9999 "
        "that Python's datetime has; read it as an Arrow table",
        column, (long long)value->integer,
        value->kind == TFN_VALUE_DATE ? "days" : units[value->unit & 3]);
}

static PyObject *make_instant(native_state *state, const tfn_value *value)
{
    const int64_t per_second = units_per_second[value->unit & 3];
    int64_t seconds = value->integer / per_second;
    int64_t rest = value->integer % per_second;
    if (rest < 0) {
        rest += per_second;
        seconds--;
    }
    const int64_t micros = per_second > 1000000 ? rest / 1000 : rest * (1000000 / per_second);
    PyObject *since = PyObject_CallFunction(state->timedelta_class, "iLL", 0, (long long)seconds,
                                            (long long)micros);
    if (since == NULL) {
        return NULL;
    }
    PyObject *instant = PyNumber_Add(state->epoch_utc, since);
    Py_DECREF(since);
    return instant;
}

static PyObject *make_date(native_state *state, const tfn_value *value)
{
    PyObject *ordinal = PyLong_FromLongLong((long long)value->integer + ORDINAL_OF_1970);
    if (ordinal == NULL) {
        return NULL;
    }
    PyObject *date =
        PyObject_CallMethodObjArgs(state->date_class, state->name.fromordinal, ordinal, NULL);
    Py_DECREF(ordinal);
    return date;
}

static PyObject *make_scalar(native_state *state, const tfn_value *value)
{
    switch (value->kind) {
    case TFN_VALUE_NULL:
        return Py_NewRef(Py_None);
    case TFN_VALUE_BOOL:
        return PyBool_FromLong(value->integer != 0);
    case TFN_VALUE_INT32:
    case TFN_VALUE_INT64:
        return PyLong_FromLongLong(value->integer);
    case TFN_VALUE_FLOAT32:
    case TFN_VALUE_FLOAT64:
        return PyFloat_FromDouble(value->real);
    case TFN_VALUE_STRING:
        return PyUnicode_DecodeUTF8(value->text, (Py_ssize_t)value->n, NULL);
    case TFN_VALUE_BYTES:
        return PyBytes_FromStringAndSize(value->text, (Py_ssize_t)value->n);
    case TFN_VALUE_DATE:
        return make_date(state, value);
    case TFN_VALUE_TIMESTAMP:
        return make_instant(state, value);
    default:
        return native_fail(state, TFN_CORRUPT, "the engine gave a value of the unknown kind %d",
                           (int)value->kind);
    }
}

PyObject *native_value_make(native_state *state, const tfn_value *value, PyObject *column)
{
    if (value->kind != TFN_VALUE_LIST) {
        PyObject *object = make_scalar(state, value);
        const bool is_time = value->kind == TFN_VALUE_DATE || value->kind == TFN_VALUE_TIMESTAMP;
        return object == NULL && is_time ? explain_overflow(state, value, column) : object;
    }
    PyObject *list = PyList_New((Py_ssize_t)value->n);
    int rc = list != NULL ? 0 : -1;
    for (size_t i = 0; i < value->n && rc == 0; i++) {
        tfn_value item = {0};
        tfn_value_get_item(value, i, &item);
        PyObject *object = native_value_make(state, &item, column);
        rc = object != NULL ? PyList_SetItem(list, (Py_ssize_t)i, object) : -1;
    }
    if (rc != 0) {
        Py_XDECREF(list);
        return NULL;
    }
    return list;
}

PyObject *native_tuple_put(PyObject *tuple, Py_ssize_t i, PyObject *item)
{
    if (item != NULL && PyTuple_SetItem(tuple, i, item) == 0) {
        return tuple;
    }
    Py_DECREF(tuple);
    return NULL;
}

/* ---- other arguments ---- */

int native_time_read(native_state *state, PyObject *object, const char *argument, tfn_time *out)
{
    *out = (tfn_time){0};
    if (object == NULL || Py_IsNone(object)) {
        return 0;
    }
    if (!PyLong_Check(object)) {
        return native_refuse_type(state, object,
                                  "%s must be an int (microseconds since 1970) or None", argument);
    }
    int overflow = 0;
    const int64_t micros = PyLong_AsLongLongAndOverflow(object, &overflow);
    if (overflow != 0) {
        native_fail(state, TFN_INVALID, "%s does not fit into 64 bits: %R", argument, object);
        return -1;
    }
    int64_t seconds = micros / 1000000;
    int64_t rest = micros % 1000000;
    if (rest < 0) {
        rest += 1000000;
        seconds--;
    }
    *out = (tfn_time){.seconds = seconds, .nanos = (int32_t)(rest * 1000), .is_set = 1};
    return 0;
}

/* One name: str, valid, without a NUL inside. */
static const char *read_name(native_state *state, PyObject *name, const char *argument)
{
    if (!PyUnicode_Check(name)) {
        (void)native_refuse_type(state, name, "%s must hold names (str)", argument);
        return NULL;
    }
    Py_ssize_t n = 0;
    const char *text = PyUnicode_AsUTF8AndSize(name, &n);
    if (text != NULL && strlen(text) != (size_t)n) {
        native_fail(state, TFN_INVALID, "%s: a name holds a NUL character: %R", argument, name);
        return NULL;
    }
    return text;
}

int native_texts_read(native_state *state, PyObject *object, const char *argument,
                      native_texts *out)
{
    *out = (native_texts){0};
    if (object == NULL || Py_IsNone(object)) {
        return 0;
    }
    if (PyUnicode_Check(object) || PyBytes_Check(object) || !PySequence_Check(object)) {
        return native_refuse_type(state, object, "%s must be a sequence of names", argument);
    }
    out->owner = PySequence_Tuple(object);
    if (out->owner == NULL) {
        return -1;
    }
    const Py_ssize_t n = PyTuple_Size(out->owner);
    out->text = PyMem_Calloc((size_t)n + 1, sizeof *out->text);
    if (out->text == NULL) {
        native_texts_deinit(out);
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        out->text[i] = read_name(state, PyTuple_GetItem(out->owner, i), argument);
        if (out->text[i] == NULL) {
            native_texts_deinit(out);
            return -1;
        }
    }
    out->n = (size_t)n;
    return 0;
}

void native_texts_deinit(native_texts *texts)
{
    PyMem_Free(NATIVE_SLOT(texts->text));
    Py_XDECREF(texts->owner);
    *texts = (native_texts){0};
}
