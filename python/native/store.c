/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Store: one method per verb of tiffin/store.h, in the header's order, and nothing of its own.
 *
 * Every method has the same shape: read the arguments, give the lock up, call the engine, take the
 * lock, raise or return. Text arguments point into the str objects that the caller's argument tuple
 * keeps alive, so they outlive the call without the lock.
 *
 * A Store is opened by its constructor and closed by its destructor; there is no state between. It
 * can not be closed while a call runs, because whoever calls a method holds a reference. The type
 * is final and opens in __new__, so __init__ cannot run twice and there is no half-made Store.
 */

#include "native.h"

#include <string.h>

#include "tiffin/feast.h"

typedef struct store_object {
    PyObject_HEAD tfn_store *store;
    bool waits; /* the online store is a server, not a file */
} store_object;

static tfn_store *store_of(PyObject *self)
{
    return ((store_object *)self)->store;
}

tfn_store *native_store_of(PyObject *self)
{
    return store_of(self);
}

/* Ends a call whose answer is text. Takes `answer`. */
static PyObject *finish_text(PyObject *self, native_call *call, tfn_code rc, char *answer,
                             const tfn_error *err)
{
    return native_call_end_text(call, native_state_of(self), rc, answer, err);
}

/* ---- opening ---- */

/* Converter "O&": str, bytes or os.PathLike into bytes; None leaves NULL. */
static int read_path(PyObject *object, void *out)
{
    PyObject **path = out;
    if (object == NULL) { /* CPython: a later argument failed */
        Py_CLEAR(*path);
        return 1;
    }
    if (Py_IsNone(object)) {
        return Py_CLEANUP_SUPPORTED;
    }
    return PyUnicode_FSConverter(object, path);
}

static const char *path_text(PyObject *path)
{
    return path != NULL ? PyBytes_AsString(path) : NULL;
}

static int read_online_ttl(native_state *state, const char *word, int32_t *out)
{
    static const char *const words[] = {"", "ignore", "enforce"};
    for (int32_t i = 0; i < 3; i++) {
        if (strcmp(word, words[i]) == 0) {
            *out = i;
            return 0;
        }
    }
    native_fail(state, TFN_INVALID, "online_ttl must be '', 'ignore' or 'enforce', not '%s'", word);
    return -1;
}

static PyObject *open_store(PyTypeObject *type, native_state *state, const tfn_store_opts *opts)
{
    tfn_store *store = NULL;
    tfn_error err = {0};
    native_call call;
    native_call_begin(&call, NULL);
    const tfn_code rc = tfn_store_open(opts, &store, &err);
    if (native_call_end(&call, state, rc, &err) != 0) {
        return NULL;
    }
    PyObject *self = PyType_GenericAlloc(type, 0);
    if (self == NULL) {
        tfn_store_close(store);
        return NULL;
    }
    ((store_object *)self)->store = store;
    ((store_object *)self)->waits = opts->redis != NULL;
    return self;
}

static const char *const store_names[] = {"project",
                                          "registry_path",
                                          "online_path",
                                          "base_path",
                                          "duckdb_library",
                                          "duckdb_memory_bytes",
                                          "n_threads",
                                          "online_ttl",
                                          "memory_limit_bytes",
                                          "temp_path",
                                          "s3",
                                          "redis",
                                          "online_sync",
                                          "online_max_ahead_seconds",
                                          NULL};

static PyObject *store_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    native_state *state = PyType_GetModuleState(type);
    tfn_store_opts opts = {.struct_size = sizeof opts};
    const char *online_ttl = "";
    Py_ssize_t memory_bytes = 0;
    int n_threads = 0;
    PyObject *registry = NULL;
    PyObject *online = NULL;
    PyObject *base = NULL;
    PyObject *duckdb = NULL;
    PyObject *temp = NULL;
    PyObject *self = NULL;
    long long limit_bytes = 0;
    long long ahead_seconds = 0;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "|$sO&O&O&O&nisLO&zziL:Store", NATIVE_KEYWORDS(store_names),
            &opts.project, read_path, &registry, read_path, &online, read_path, &base, read_path,
            &duckdb, &memory_bytes, &n_threads, &online_ttl, &limit_bytes, read_path, &temp,
            &opts.s3, &opts.redis, &opts.online_sync, &ahead_seconds)) {
        return NULL; /* the converters have cleaned up */
    }
    opts.registry_path = path_text(registry);
    opts.online_path = path_text(online);
    opts.base_path = path_text(base);
    opts.duckdb_library = path_text(duckdb);
    opts.duckdb_memory_bytes = (size_t)memory_bytes;
    opts.n_threads = n_threads;
    opts.memory_limit_bytes = limit_bytes;
    opts.online_max_ahead_seconds = ahead_seconds;
    opts.temp_path = path_text(temp);
    if (opts.project == NULL || registry == NULL) {
        PyErr_SetString(PyExc_TypeError, "Store() needs project and registry_path");
    } else if (memory_bytes < 0 || n_threads < 0) {
        native_fail(state, TFN_INVALID, "duckdb_memory_bytes and n_threads must not be negative");
    } else if (read_online_ttl(state, online_ttl, &opts.online_ttl) == 0) {
        self = open_store(type, state, &opts);
    }
    Py_XDECREF(registry);
    Py_XDECREF(online);
    Py_XDECREF(base);
    Py_XDECREF(duckdb);
    Py_XDECREF(temp);
    return self;
}

static void store_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyThreadState *thread = PyEval_SaveThread();
    tfn_store_close(store_of(self));
    PyEval_RestoreThread(thread);
    PyObject_Free(self);
    Py_DECREF(type);
}

/* ---- definitions ---- */

typedef tfn_code (*text_to_text_fn)(tfn_store *, const char *, char **, tfn_error *);
typedef tfn_code (*number_to_text_fn)(tfn_store *, int64_t, char **, tfn_error *);
typedef tfn_code (*to_text_fn)(tfn_store *, char **, tfn_error *);

static PyObject *call_with_text(PyObject *self, text_to_text_fn verb, const char *text)
{
    char *answer = NULL;
    tfn_error err = {0};
    native_call call;
    native_call_begin(&call, NULL);
    const tfn_code rc = verb(store_of(self), text, &answer, &err);
    return finish_text(self, &call, rc, answer, &err);
}

static PyObject *call_with_number(PyObject *self, number_to_text_fn verb, int64_t number)
{
    char *answer = NULL;
    tfn_error err = {0};
    native_call call;
    native_call_begin(&call, NULL);
    const tfn_code rc = verb(store_of(self), number, &answer, &err);
    return finish_text(self, &call, rc, answer, &err);
}

static PyObject *call_plain(PyObject *self, to_text_fn verb)
{
    char *answer = NULL;
    tfn_error err = {0};
    native_call call;
    native_call_begin(&call, NULL);
    const tfn_code rc = verb(store_of(self), &answer, &err);
    return finish_text(self, &call, rc, answer, &err);
}

static PyObject *store_plan(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"request", NULL};
    const char *request = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s:plan", NATIVE_KEYWORDS(names), &request)) {
        return NULL;
    }
    return call_with_text(self, tfn_store_plan, request);
}

static PyObject *store_apply(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"request", NULL};
    const char *request = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s:apply", NATIVE_KEYWORDS(names), &request)) {
        return NULL;
    }
    return call_with_text(self, tfn_store_apply, request);
}

/* ---- registry files of Feast ---- */

static PyObject *store_feast_projects(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"file", NULL};
    const char *bytes = NULL;
    Py_ssize_t n_bytes = 0;
    char *answer = NULL;
    tfn_error err = {0};
    native_call call;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y#:feast_projects", NATIVE_KEYWORDS(names),
                                     &bytes, &n_bytes)) {
        return NULL;
    }
    native_call_begin(&call, NULL);
    const tfn_code rc =
        tfn_store_list_feast_projects(store_of(self), bytes, (size_t)n_bytes, &answer, &err);
    return finish_text(self, &call, rc, answer, &err);
}

typedef tfn_code (*feast_fn)(tfn_store *store, const void *bytes, size_t n_bytes,
                             const char *project, char **answer, tfn_error *err);

static PyObject *call_with_feast_file(PyObject *self, PyObject *args, PyObject *kwargs,
                                      const char *format, feast_fn verb)
{
    static const char *const names[] = {"file", "project", NULL};
    const char *bytes = NULL;
    const char *project = NULL;
    Py_ssize_t n_bytes = 0;
    char *answer = NULL;
    tfn_error err = {0};
    native_call call;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, format, NATIVE_KEYWORDS(names), &bytes, &n_bytes,
                                     &project)) {
        return NULL;
    }
    native_call_begin(&call, NULL);
    const tfn_code rc = verb(store_of(self), bytes, (size_t)n_bytes, project, &answer, &err);
    return finish_text(self, &call, rc, answer, &err);
}

static PyObject *store_plan_feast(PyObject *self, PyObject *args, PyObject *kwargs)
{
    return call_with_feast_file(self, args, kwargs, "y#|z:plan_feast", tfn_store_plan_feast);
}

static PyObject *store_import_feast(PyObject *self, PyObject *args, PyObject *kwargs)
{
    return call_with_feast_file(self, args, kwargs, "y#|z:import_feast", tfn_store_import_feast);
}

static PyObject *store_export_feast(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"random", "functions", "base", NULL};
    tfn_feast_export options = {.struct_size = sizeof options};
    const char *random = NULL;
    const char *base = NULL;
    Py_ssize_t n_random = 0;
    Py_ssize_t n_base = 0;
    char *bytes = NULL;
    size_t n_bytes = 0;
    tfn_error err = {0};
    native_call call;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y#|zz#:export_feast", NATIVE_KEYWORDS(names),
                                     &random, &n_random, &options.functions, &base, &n_base)) {
        return NULL;
    }
    if ((size_t)n_random != sizeof options.random) {
        PyErr_Format(PyExc_ValueError, "random has %zd bytes; give %zu", n_random,
                     sizeof options.random);
        return NULL;
    }
    memcpy(options.random, random, sizeof options.random);
    options.base = base;
    options.n_base_bytes = (size_t)n_base;
    native_call_begin(&call, NULL);
    const tfn_code rc = tfn_store_export_feast(store_of(self), &options, &bytes, &n_bytes, &err);
    return native_call_end_bytes(&call, native_state_of(self), rc, bytes, n_bytes, &err);
}

static PyObject *store_list(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"kind", "tags", "commit", NULL};
    const char *kind = NULL;
    const char *tags = NULL;
    long long commit = -1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s|zL:list", NATIVE_KEYWORDS(names), &kind,
                                     &tags, &commit)) {
        return NULL;
    }
    char *answer = NULL;
    tfn_error err = {0};
    native_call call;
    native_call_begin(&call, NULL);
    const tfn_code rc = tfn_store_list(store_of(self), kind, tags, commit, &answer, &err);
    return finish_text(self, &call, rc, answer, &err);
}

static PyObject *store_get(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"kind", "name", "commit", NULL};
    const char *kind = NULL;
    const char *name = NULL;
    long long commit = -1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "ss|L:get", NATIVE_KEYWORDS(names), &kind, &name,
                                     &commit)) {
        return NULL;
    }
    char *answer = NULL;
    tfn_error err = {0};
    native_call call;
    native_call_begin(&call, NULL);
    const tfn_code rc = tfn_store_get(store_of(self), kind, name, commit, &answer, &err);
    return finish_text(self, &call, rc, answer, &err);
}

static PyObject *store_log(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"limit", NULL};
    long long limit = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|L:log", NATIVE_KEYWORDS(names), &limit)) {
        return NULL;
    }
    return call_with_number(self, tfn_store_log, limit);
}

static PyObject *store_show(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"commit", NULL};
    long long commit = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "L:show", NATIVE_KEYWORDS(names), &commit)) {
        return NULL;
    }
    return call_with_number(self, tfn_store_show, commit);
}

static PyObject *store_projects(PyObject *self, PyObject *Py_UNUSED(unused))
{
    return call_plain(self, tfn_store_projects);
}

static PyObject *store_status(PyObject *self, PyObject *Py_UNUSED(unused))
{
    return call_plain(self, tfn_store_status);
}

static PyObject *store_teardown(PyObject *self, PyObject *Py_UNUSED(unused))
{
    return call_plain(self, tfn_store_teardown);
}

static PyObject *store_describe_source(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"document", NULL};
    const char *document = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s:describe_source", NATIVE_KEYWORDS(names),
                                     &document)) {
        return NULL;
    }
    return call_with_text(self, tfn_store_describe_source, document);
}

/* ---- on-demand feature views ---- */

static PyObject *store_resolve(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"features", NULL};
    const char *features = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s:resolve", NATIVE_KEYWORDS(names),
                                     &features)) {
        return NULL;
    }
    return call_with_text(self, tfn_store_resolve, features);
}

/* ---- training sets ---- */

/* What the training verbs have in common. */
typedef struct training_arguments {
    tfn_historical_request request;
    PyObject *spine;
    PyObject *progress; /* NULL or None: nobody asks */
} training_arguments;

static int read_training(PyObject *self, PyObject *args, PyObject *kwargs, const char *format,
                         training_arguments *out)
{
    static const char *const names[] = {"features",           "spine",
                                        "time_column",        "filter_by_created",
                                        "known_at_us",        "force_one_step",
                                        "memory_limit_bytes", "max_batch_rows",
                                        "progress",           NULL};
    native_state *state = native_state_of(self);
    *out = (training_arguments){.request = {.struct_size = sizeof out->request}};
    tfn_historical_request *request = &out->request;
    PyObject *known_at_us = NULL;
    long long limit_bytes = 0;
    long long batch_rows = 0;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, format, NATIVE_KEYWORDS(names), &request->features, &out->spine,
            &request->time_column, &request->filter_by_created, &known_at_us,
            &request->force_one_step, &limit_bytes, &batch_rows, &out->progress) ||
        native_check_progress(state, out->progress) != 0 ||
        native_time_read(state, known_at_us, "known_at_us", &request->known_at) != 0) {
        return -1;
    }
    request->memory_limit_bytes = limit_bytes;
    request->max_batch_rows = batch_rows;
    return 0;
}

/* Begin a training set, without the lock. */
static int begin_training(PyObject *self, const training_arguments *arguments, tfn_training **out)
{
    native_state *state = native_state_of(self);
    struct ArrowArrayStream in = {0};
    if (native_take_stream(state, arguments->spine, "spine", &in) != 0) {
        return -1;
    }
    tfn_error err = {0};
    native_call call;
    native_call_begin(&call, NULL);
    const tfn_code rc =
        tfn_store_begin_training(store_of(self), &arguments->request, &in, out, &err);
    native_stream_drop(&in);
    return native_call_end(&call, state, rc, &err);
}

/* All of a training set and its report. Takes `training`. */
static PyObject *collect_training(PyObject *self, tfn_training *training, PyObject *progress)
{
    native_state *state = native_state_of(self);
    native_table *table = NULL;
    char *text = NULL;
    tfn_error err = {0};
    native_call call;
    native_call_begin(&call, progress);
    tfn_code rc = native_table_take(training, true, &call, &table, &err);
    if (rc == TFN_OK) {
        rc = tfn_training_report(training, &text, &err);
    }
    tfn_training_end(training);
    PyObject *report = finish_text(self, &call, rc, text, &err);
    if (report == NULL) {
        native_table_release(table);
        return NULL;
    }
    PyObject *stream = native_stream_create(state, table);
    PyObject *answer = stream != NULL ? PyTuple_Pack(2, stream, report) : NULL;
    Py_XDECREF(stream);
    Py_DECREF(report);
    return answer;
}

static PyObject *store_historical(PyObject *self, PyObject *args, PyObject *kwargs)
{
    training_arguments arguments;
    tfn_training *training = NULL;
    if (read_training(self, args, kwargs, "sO|$zpOpLLO:historical", &arguments) != 0 ||
        begin_training(self, &arguments, &training) != 0) {
        return NULL;
    }
    return collect_training(self, training, arguments.progress);
}

static PyObject *store_batches(PyObject *self, PyObject *args, PyObject *kwargs)
{
    training_arguments arguments;
    tfn_training *training = NULL;
    if (read_training(self, args, kwargs, "sO|$zpOpLLO:batches", &arguments) != 0 ||
        begin_training(self, &arguments, &training) != 0) {
        return NULL;
    }
    return native_batches_create(native_state_of(self), training, arguments.progress);
}

static PyObject *store_explain(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {
        "features",           "spine", "time_column", "filter_by_created", "known_at_us",
        "memory_limit_bytes", NULL};
    native_state *state = native_state_of(self);
    tfn_historical_request request = {.struct_size = sizeof request};
    PyObject *spine = NULL;
    PyObject *known_at_us = NULL;
    long long limit_bytes = 0;
    struct ArrowArrayStream in = {0};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO|$zpOL:explain", NATIVE_KEYWORDS(names),
                                     &request.features, &spine, &request.time_column,
                                     &request.filter_by_created, &known_at_us, &limit_bytes) ||
        native_time_read(state, known_at_us, "known_at_us", &request.known_at) != 0 ||
        native_take_stream(state, spine, "spine", &in) != 0) {
        return NULL;
    }
    request.memory_limit_bytes = limit_bytes;
    char *report = NULL;
    tfn_error err = {0};
    native_call call;
    native_call_begin(&call, NULL);
    const tfn_code rc = tfn_store_historical(store_of(self), &request, &in, NULL, &report, &err);
    native_stream_drop(&in);
    return finish_text(self, &call, rc, report, &err);
}

static PyObject *check_leakage(PyObject *self, tfn_historical_request *request, PyObject *spine,
                               PyObject *progress)
{
    struct ArrowArrayStream in = {0};
    if (native_take_stream(native_state_of(self), spine, "spine", &in) != 0) {
        return NULL;
    }
    char *report = NULL;
    tfn_error err = {0};
    native_call call;
    request->tick = native_call_tick;
    request->tick_context = &call;
    native_call_begin(&call, progress);
    const tfn_code rc = tfn_store_check_leakage(store_of(self), request, &in, &report, &err);
    native_stream_drop(&in);
    return finish_text(self, &call, rc, report, &err);
}

static PyObject *store_check_leakage(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {
        "features", "spine", "time_column", "filter_by_created", "known_at_us", "progress", NULL};
    tfn_historical_request request = {.struct_size = sizeof request};
    PyObject *spine = NULL;
    PyObject *known_at_us = NULL;
    PyObject *progress = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO|$zpOO:check_leakage", NATIVE_KEYWORDS(names),
                                     &request.features, &spine, &request.time_column,
                                     &request.filter_by_created, &known_at_us, &progress) ||
        native_check_progress(native_state_of(self), progress) != 0 ||
        native_time_read(native_state_of(self), known_at_us, "known_at_us", &request.known_at) !=
            0) {
        return NULL;
    }
    return check_leakage(self, &request, spine, progress);
}

/* ---- the online store ---- */

static PyObject *store_materialize(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"end_us",      "start_us", "views", "known_at_us",
                                        "incremental", "progress", NULL};
    native_state *state = native_state_of(self);
    tfn_materialize_request request = {.struct_size = sizeof request};
    PyObject *end_us = NULL;
    PyObject *start_us = NULL;
    PyObject *views = NULL;
    PyObject *known_at_us = NULL;
    PyObject *progress = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OOOOpO:materialize", NATIVE_KEYWORDS(names),
                                     &end_us, &start_us, &views, &known_at_us, &request.incremental,
                                     &progress) ||
        native_check_progress(native_state_of(self), progress) != 0 ||
        native_time_read(state, end_us, "end_us", &request.end) != 0 ||
        native_time_read(state, start_us, "start_us", &request.start) != 0 ||
        native_time_read(state, known_at_us, "known_at_us", &request.known_at) != 0) {
        return NULL;
    }
    if (request.end.is_set == 0) {
        PyErr_SetString(PyExc_TypeError, "materialize() needs end_us");
        return NULL;
    }
    native_texts texts = {0};
    if (native_texts_read(state, views, "views", &texts) != 0) {
        return NULL;
    }
    request.views = texts.text;
    request.n_views = texts.n;
    char *report = NULL;
    tfn_error err = {0};
    native_call call;
    request.tick = native_call_tick;
    request.tick_context = &call;
    native_call_begin(&call, progress);
    const tfn_code rc = tfn_store_materialize(store_of(self), &request, &report, &err);
    PyObject *text = finish_text(self, &call, rc, report, &err);
    native_texts_deinit(&texts);
    return text;
}

static PyObject *store_rollback(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"view", "drop_pushes", NULL};
    const char *view = NULL;
    int drop_pushes = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s|$p:rollback", NATIVE_KEYWORDS(names), &view,
                                     &drop_pushes)) {
        return NULL;
    }
    char *report = NULL;
    tfn_error err = {0};
    native_call call;
    native_call_begin(&call, NULL);
    const tfn_code rc = tfn_store_rollback(store_of(self), view, drop_pushes, &report, &err);
    return finish_text(self, &call, rc, report, &err);
}

static PyObject *store_prepare(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {"features", NULL};
    const char *features = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s:prepare", NATIVE_KEYWORDS(names),
                                     &features)) {
        return NULL;
    }
    tfn_lookup *lookup = NULL;
    tfn_error err = {0};
    native_call call;
    native_call_begin(&call, NULL);
    const tfn_code rc = tfn_store_prepare(store_of(self), features, &lookup, &err);
    if (native_call_end(&call, native_state_of(self), rc, &err) != 0) {
        tfn_lookup_destroy(lookup);
        return NULL;
    }
    return native_lookup_create(native_state_of(self), lookup, ((store_object *)self)->waits);
}

static PyObject *store_duckdb_version(PyObject *self, PyObject *Py_UNUSED(unused))
{
    const char *version = NULL;
    tfn_error err = {0};
    native_call call;
    native_call_begin(&call, NULL);
    const tfn_code rc = tfn_store_get_duckdb_version(store_of(self), &version, &err);
    if (native_call_end(&call, native_state_of(self), rc, &err) != 0) {
        return NULL;
    }
    return PyUnicode_FromString(version);
}

/* ---- the type ---- */

static const PyMethodDef methods[] = {
    {"plan", NATIVE_METHOD(store_plan), METH_VARARGS | METH_KEYWORDS,
     "plan($self, /, request)\n--\n\nWhat an apply would do."},
    {"apply", NATIVE_METHOD(store_apply), METH_VARARGS | METH_KEYWORDS,
     "apply($self, /, request)\n--\n\nChange definitions: all of it as one commit, or nothing."},
    {"feast_projects", NATIVE_METHOD(store_feast_projects), METH_VARARGS | METH_KEYWORDS,
     "feast_projects($self, /, file)\n--\n\nProjects of a registry file of Feast."},
    {"plan_feast", NATIVE_METHOD(store_plan_feast), METH_VARARGS | METH_KEYWORDS,
     "plan_feast($self, /, file, project=None)\n--\n\nWhat import_feast would do."},
    {"import_feast", NATIVE_METHOD(store_import_feast), METH_VARARGS | METH_KEYWORDS,
     "import_feast($self, /, file, project=None)\n--\n\nTake over a registry file of Feast."},
    {"export_feast", NATIVE_METHOD(store_export_feast), METH_VARARGS | METH_KEYWORDS,
     "export_feast($self, /, random, functions=None, base=None)\n--\n\n"
     "The project as a registry file of Feast."},
    {"list", NATIVE_METHOD(store_list), METH_VARARGS | METH_KEYWORDS,
     "list($self, /, kind, tags=None, commit=-1)\n--\n\nObjects of one kind."},
    {"get", NATIVE_METHOD(store_get), METH_VARARGS | METH_KEYWORDS,
     "get($self, /, kind, name, commit=-1)\n--\n\nOne object."},
    {"log", NATIVE_METHOD(store_log), METH_VARARGS | METH_KEYWORDS,
     "log($self, /, limit=0)\n--\n\nHistory, newest first; 0 = all."},
    {"show", NATIVE_METHOD(store_show), METH_VARARGS | METH_KEYWORDS,
     "show($self, /, commit)\n--\n\nWhat one commit changed."},
    {"projects", store_projects, METH_NOARGS,
     "projects($self, /)\n--\n\nAll projects of the registry."},
    {"status", store_status, METH_NOARGS, "status($self, /)\n--\n\nState of every view online."},
    {"teardown", store_teardown, METH_NOARGS, "teardown($self, /)\n--\n\nRemove this project."},
    {"describe_source", NATIVE_METHOD(store_describe_source), METH_VARARGS | METH_KEYWORDS,
     "describe_source($self, /, document)\n--\n\nColumns of a data source."},
    {"resolve", NATIVE_METHOD(store_resolve), METH_VARARGS | METH_KEYWORDS,
     "resolve($self, /, features)\n--\n\nWhat a request with on-demand views reads and runs."},
    {"historical", NATIVE_METHOD(store_historical), METH_VARARGS | METH_KEYWORDS,
     "historical($self, /, features, spine, *, time_column=None, filter_by_created=False, "
     "known_at_us=None, force_one_step=False, memory_limit_bytes=0, max_batch_rows=0, "
     "progress=None)\n--\n\nThe training set and the report of how it was made."},
    {"batches", NATIVE_METHOD(store_batches), METH_VARARGS | METH_KEYWORDS,
     "batches($self, /, features, spine, *, time_column=None, filter_by_created=False, "
     "known_at_us=None, force_one_step=False, memory_limit_bytes=0, max_batch_rows=0, "
     "progress=None)\n--\n\nThe training set, computed as far as it is read."},
    {"explain", NATIVE_METHOD(store_explain), METH_VARARGS | METH_KEYWORDS,
     "explain($self, /, features, spine, *, time_column=None, filter_by_created=False, "
     "known_at_us=None, memory_limit_bytes=0)\n--\n\nThe report alone, of what would be done."},
    {"latest", NATIVE_METHOD(native_store_latest), METH_VARARGS | METH_KEYWORDS,
     "latest($self, /, features, *, keys=None, start_us=None, end_us=None, known_at_us=None, "
     "max_bytes=0, progress=None)\n--\n\nThe newest row of every key, and what was read."},
    {"history", NATIVE_METHOD(native_store_history), METH_VARARGS | METH_KEYWORDS,
     "history($self, /, features, *, keys=None, start_us=None, end_us=None, known_at_us=None, "
     "max_bytes=0, progress=None)\n--\n\nAll rows of a window, and what was read."},
    {"events", NATIVE_METHOD(native_store_events), METH_VARARGS | METH_KEYWORDS,
     "events($self, /, features, *, start_us=None, end_us=None, known_at_us=None, "
     "one_row_per_key=False, max_bytes=0, progress=None)\n--\n\n"
     "Entity rows made of the events of views."},
    {"check_leakage", NATIVE_METHOD(store_check_leakage), METH_VARARGS | METH_KEYWORDS,
     "check_leakage($self, /, features, spine, *, time_column=None, filter_by_created=False, "
     "known_at_us=None, progress=None)\n--\n\n"
     "Counts and examples of rows that could know too much."},
    {"make_manifest", NATIVE_METHOD(native_store_make_manifest), METH_VARARGS | METH_KEYWORDS,
     "make_manifest($self, /, features, spine, *, time_column=None, filter_by_created=False, "
     "known_at_us=None, writer=None, names_only=False, progress=None)\n--\n\n"
     "What a training set asks for, and what it would be made from now."},
    {"verify_dataset", NATIVE_METHOD(native_store_verify_dataset), METH_VARARGS | METH_KEYWORDS,
     "verify_dataset($self, /, name, spine=None, *, writer=None, progress=None)\n--\n\n"
     "What has changed since a saved dataset was made."},
    {"materialize", NATIVE_METHOD(store_materialize), METH_VARARGS | METH_KEYWORDS,
     "materialize($self, /, *, end_us, start_us=None, views=None, known_at_us=None, "
     "incremental=False, progress=None)\n--\n\nLoad the newest row of every key online."},
    {"rollback", NATIVE_METHOD(store_rollback), METH_VARARGS | METH_KEYWORDS,
     "rollback($self, /, view, *, drop_pushes=False)\n--\n\n"
     "Return a view online to its previous generation."},
    {"begin_push", NATIVE_METHOD(native_store_begin_push), METH_VARARGS | METH_KEYWORDS,
     "begin_push($self, /, frame, *, source=None, view=None, check_only=False, "
     "rehearse=False)\n--\n\nCheck rows that are to be written online."},
    {"online_stats", NATIVE_METHOD(native_store_online_stats), METH_VARARGS | METH_KEYWORDS,
     "online_stats($self, /, *, progress=None)\n--\n\nCount every row of the online store."},
    {"vacuum_online", NATIVE_METHOD(native_store_vacuum_online), METH_VARARGS | METH_KEYWORDS,
     "vacuum_online($self, /, *, at_us=None, dry_run=False, drop_previous=False, "
     "keep_expired=False, progress=None)\n--\n\nRemove rows that nobody reads any more."},
    {"delete_online", NATIVE_METHOD(native_store_delete_online), METH_VARARGS | METH_KEYWORDS,
     "delete_online($self, /, view, keys)\n--\n\nDelete the rows of some keys of a view."},
    {"backup_online", NATIVE_METHOD(native_store_backup_online), METH_VARARGS | METH_KEYWORDS,
     "backup_online($self, /, folder, *, progress=None)\n--\n\nCopy all online rows."},
    {"restore_online", NATIVE_METHOD(native_store_restore_online), METH_VARARGS | METH_KEYWORDS,
     "restore_online($self, /, folder, *, progress=None)\n--\n\nBring back a backup's rows."},
    {"prepare", NATIVE_METHOD(store_prepare), METH_VARARGS | METH_KEYWORDS,
     "prepare($self, /, features)\n--\n\nResolve an online request once."},
    {"duckdb_version", store_duckdb_version, METH_NOARGS,
     "duckdb_version($self, /)\n--\n\nVersion of DuckDB that files are read with."},
    {NULL, NULL, 0, NULL},
};

int native_add_store(PyObject *module, native_state *state)
{
    static const char doc[] =
        "Store(*, project, registry_path, online_path=None, base_path=None, duckdb_library=None, "
        "duckdb_memory_bytes=0, n_threads=0, online_ttl='', memory_limit_bytes=0, "
        "temp_path=None, s3=None, redis=None, online_sync=0, online_max_ahead_seconds=0)\n--\n\n"
        "A feature store at explicit paths.";
    PyType_Slot slots[] = {
        {Py_tp_doc, NATIVE_SLOT(doc)},
        {Py_tp_new, NATIVE_SLOT(store_new)},
        {Py_tp_dealloc, NATIVE_SLOT(store_dealloc)},
        {Py_tp_methods, NATIVE_SLOT(methods)},
        {0, NULL},
    };
    PyType_Spec spec = {
        .name = "tiffin._native.Store",
        .basicsize = sizeof(store_object),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
        .slots = slots,
    };
    return native_add_type(module, &spec, &state->store_type);
}
