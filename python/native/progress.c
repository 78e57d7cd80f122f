/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Engine calls without the interpreter lock, and how Python gets a word in while they run.
 *
 *   Python thread    begin ──────────── engine ───────────────────────── end
 *   lock             given up           tick: taken, given up            taken
 *
 * The engine calls the tick on the thread that called it, so the thread state that `begin` saved is
 * the right one to come back with (also in a subinterpreter). It does so about every 50 ms, in some
 * loops more often; a tick that comes too early does nothing, because taking the lock may have to
 * wait for another thread's switch interval. A tick that counts
 *   1. runs the signal handlers that are due: Ctrl-C works;
 *   2. calls `progress`, the first time at once and then at most every 100 ms;
 *   3. if either raised, sets the exception aside and asks the engine to stop.
 * The exception is set aside, not left on the thread: until the engine is back it may call into
 * Python again (to release an Arrow stream, say), which must not run with an exception pending.
 * `end` puts it back, and it wins over whatever the engine answered: the user's KeyboardInterrupt
 * is never lost, even if the engine was done before it heard of it.
 *
 * The engine holds no lock that another thread's short call (one made with the interpreter lock
 * held, see lookup.c) could wait for while it calls a tick.
 */

#include "native.h"

#include <string.h>
#include <time.h>

enum { TICK_AT_MOST_EVERY_NS = 25000000, TELL_AT_MOST_EVERY_NS = 100000000 };

static int64_t read_clock_ns(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int native_check_progress(native_state *state, PyObject *progress)
{
    if (progress == NULL || Py_IsNone(progress) || PyCallable_Check(progress)) {
        return 0;
    }
    return native_refuse_type(state, progress, "progress must be callable or None");
}

void native_call_begin(native_call *call, PyObject *progress)
{
    *call = (native_call){0};
    if (progress != NULL && !Py_IsNone(progress)) {
        call->progress = progress;
    }
    call->ticked_ns = read_clock_ns();
    call->thread = PyEval_SaveThread();
}

static int tell_progress(native_call *call, const tfn_progress *progress)
{
    if (call->progress == NULL ||
        (call->told_ns != 0 && call->ticked_ns - call->told_ns < TELL_AT_MOST_EVERY_NS)) {
        return 0;
    }
    call->told_ns = call->ticked_ns;
    const char *text = progress->what != NULL ? progress->what : "";
    PyObject *what = PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
    if (what == NULL) {
        return -1;
    }
    PyObject *answer =
        PyObject_CallFunction(call->progress, "OLL", what, (long long)progress->rows_done,
                              (long long)progress->rows_total);
    Py_DECREF(what);
    if (answer == NULL) {
        return -1;
    }
    Py_DECREF(answer);
    return 0;
}

int native_call_tick(void *context, const tfn_progress *progress)
{
    native_call *call = context;
    if (call->is_stopped) {
        return 1;
    }
    const int64_t now_ns = read_clock_ns();
    const bool is_first_told = call->progress != NULL && call->told_ns == 0;
    if (now_ns - call->ticked_ns < TICK_AT_MOST_EVERY_NS && !is_first_told) {
        return 0;
    }
    call->ticked_ns = now_ns;
    PyEval_RestoreThread(call->thread);
    if (PyErr_CheckSignals() != 0 || tell_progress(call, progress) != 0) {
        PyErr_Fetch(&call->type, &call->value, &call->traceback);
        call->is_stopped = true;
    }
    call->thread = PyEval_SaveThread();
    return call->is_stopped ? 1 : 0;
}

int native_call_end(native_call *call, native_state *state, tfn_code rc, const tfn_error *err)
{
    PyEval_RestoreThread(call->thread);
    call->thread = NULL;
    if (call->is_stopped) {
        PyErr_Restore(call->type, call->value, call->traceback);
        call->type = call->value = call->traceback = NULL;
        return -1;
    }
    if (rc != TFN_OK) {
        native_raise(state, rc, err->message);
        return -1;
    }
    return 0;
}

PyObject *native_call_end_text(native_call *call, native_state *state, tfn_code rc, char *answer,
                               const tfn_error *err)
{
    PyObject *text = NULL;
    if (native_call_end(call, state, rc, err) == 0) {
        text = PyUnicode_FromString(answer);
    }
    tfn_text_destroy(answer);
    return text;
}

PyObject *native_call_end_bytes(native_call *call, native_state *state, tfn_code rc, char *answer,
                                size_t n_bytes, const tfn_error *err)
{
    PyObject *bytes = NULL;
    if (native_call_end(call, state, rc, err) == 0) {
        bytes = PyBytes_FromStringAndSize(answer, (Py_ssize_t)n_bytes);
    }
    tfn_text_destroy(answer);
    return bytes;
}
