/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The methods of Store that administer its online part: stats, vacuum, delete, backup, restore.
 *
 * Same shape as all methods (store.c): read the arguments, give the lock up, call, take it again.
 */

#include "native.h"

#include "tiffin/online.h"

PyObject *native_store_online_stats(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"progress", NULL};
    native_state *state = native_state_of(self);
    PyObject *progress = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$O:online_stats", NATIVE_KEYWORDS(names),
                                     &progress) ||
        native_check_progress(state, progress) != 0) {
        return NULL;
    }
    char *answer = NULL;
    tfn_error err = {0};
    native_call call;
    native_call_begin(&call, progress);
    const tfn_code rc =
        tfn_store_online_stats(native_store_of(self), native_call_tick, &call, &answer, &err);
    return native_call_end_text(&call, state, rc, answer, &err);
}

PyObject *native_store_vacuum_online(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"at_us",        "dry_run",  "drop_previous",
                                        "keep_expired", "progress", NULL};
    native_state *state = native_state_of(self);
    tfn_vacuum_request request = {.struct_size = sizeof request};
    PyObject *at_us = NULL;
    PyObject *progress = NULL;
    int is_dry_run = 0;
    int drops_previous = 0;
    int keeps_expired = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OpppO:vacuum_online", NATIVE_KEYWORDS(names),
                                     &at_us, &is_dry_run, &drops_previous, &keeps_expired,
                                     &progress) ||
        native_check_progress(state, progress) != 0 ||
        native_time_read(state, at_us, "at_us", &request.at) != 0) {
        return NULL;
    }
    char *report = NULL;
    tfn_error err = {0};
    native_call call;
    request.is_dry_run = is_dry_run;
    request.drops_previous = drops_previous;
    request.keeps_expired = keeps_expired;
    request.tick = native_call_tick;
    request.tick_context = &call;
    native_call_begin(&call, progress);
    const tfn_code rc = tfn_store_vacuum_online(native_store_of(self), &request, &report, &err);
    return native_call_end_text(&call, state, rc, report, &err);
}

PyObject *native_store_delete_online(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"view", "keys", NULL};
    native_state *state = native_state_of(self);
    const char *view = NULL;
    PyObject *keys = NULL;
    struct ArrowArrayStream rows = {0};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO:delete_online", NATIVE_KEYWORDS(names),
                                     &view, &keys) ||
        native_take_stream(state, keys, "keys", &rows) != 0) {
        return NULL;
    }
    char *report = NULL;
    tfn_error err = {0};
    native_call call;
    native_call_begin(&call, NULL);
    const tfn_code rc = tfn_store_delete_online(native_store_of(self), view, &rows, &report, &err);
    native_stream_drop(&rows);
    return native_call_end_text(&call, state, rc, report, &err);
}

typedef tfn_code (*folder_fn)(tfn_store *, const char *, tfn_tick_fn, void *, char **, tfn_error *);

static PyObject *with_folder(PyObject *self, PyObject *args, PyObject *kwargs, folder_fn verb,
                             const char *format)
{
    static const char *const names[] = {"folder", "progress", NULL};
    native_state *state = native_state_of(self);
    const char *folder = NULL;
    PyObject *progress = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, format, NATIVE_KEYWORDS(names), &folder,
                                     &progress) ||
        native_check_progress(state, progress) != 0) {
        return NULL;
    }
    char *report = NULL;
    tfn_error err = {0};
    native_call call;
    native_call_begin(&call, progress);
    const tfn_code rc = verb(native_store_of(self), folder, native_call_tick, &call, &report, &err);
    return native_call_end_text(&call, state, rc, report, &err);
}

PyObject *native_store_backup_online(PyObject *self, PyObject *args, PyObject *kwargs)
{
    return with_folder(self, args, kwargs, tfn_store_backup_online, "s|$O:backup_online");
}

PyObject *native_store_restore_online(PyObject *self, PyObject *args, PyObject *kwargs)
{
    return with_folder(self, args, kwargs, tfn_store_restore_online, "s|$O:restore_online");
}
