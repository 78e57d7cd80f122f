/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Materializations as child processes.
 *
 *   children { list of runs } ; run { pid, channel, views }
 *   caller: enter the list (or a conflict) -> spawn -> first line -> wait for the report
 *                                                  or leave that to a thread -> reap -> leave
 *
 * Invariants
 *  1. A run is in the list from before its process is started until that is reaped; whoever may
 *     kill it does so under the lock, and it is reaped under the lock: no signal meets a pid that
 *     belongs to somebody else by now.
 *  2. A child outlives neither the server (its standard input closes) nor tfn_children_stop.
 *  3. A signal to the terminal's group or to a service's processes does not end a child: a stop
 *     waits for the requests under way first. So each has a group of its own, and starts with
 *     those signals blocked.
 *
 * Views that are being materialized are known to this server only. Another process that loads the
 * same view takes turns with it in the engine.
 *
 * Rejected: threads of the server, whose memory would grow by DuckDB's and stay; a queue of
 * requests, which would hide from a client that it waits for another one's hours.
 */

#include "server/child.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "server/spawn.h"

#include "base/poison.h"

enum {
    MAX_RUNS = 8,
    MAX_REPORT_BYTES = 16 * 1024 * 1024,
    MAX_ARGUMENTS = 12,
    GRACE_S = 1,
    GRACE_STEP_MS = 5
};

typedef struct run {
    struct run *next;
    tfn_children *children;
    tfn_arena arena; /* views and texts */
    tfn_str *views;
    size_t n_views;
    pid_t pid;         /* 0: not started yet, or reaped */
    int channel;       /* its standard input and output; -1: not started yet */
    tfn_buf output;    /* what it has written, from the first byte */
    size_t n_searched; /* of that, for the end of the line at hand */
    int status;        /* of waitpid */
    bool is_stopped;   /* it left while everything was being stopped */
} run;

struct tfn_children {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a run left the list */
    run *first;
    size_t n_runs;
    bool is_stopping;
};

/* A step of the system's time neither shortens nor lengthens a stop. */
static int init_changed(pthread_cond_t *changed)
{
    pthread_condattr_t monotonic;
    int problem = pthread_condattr_init(&monotonic);
    if (problem == 0) {
        problem = pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        problem = problem != 0 ? problem : pthread_cond_init(changed, &monotonic);
        (void)pthread_condattr_destroy(&monotonic);
    }
    return problem;
}

tfn_code tfn_children_create(tfn_children **out, tfn_error *err)
{
    *out = NULL;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_children), &p, err));
    tfn_children *c = p;
    const int problem = pthread_mutex_init(&c->lock, NULL);
    if (problem != 0) {
        tfn_mem_free(c);
        return TFN_FAIL_SYS(err, problem, "a lock could not be made");
    }
    const int other = init_changed(&c->changed);
    if (other != 0) {
        (void)pthread_mutex_destroy(&c->lock);
        tfn_mem_free(c);
        return TFN_FAIL_SYS(err, other, "a condition could not be made");
    }
    *out = c;
    return TFN_OK;
}

/* ---- the list ---- */

/* Its standard input closes; what it writes can still be read. */
static void ask_to_end(const run *r)
{
    if (r->channel >= 0) {
        (void)shutdown(r->channel, SHUT_WR); /* it may have ended already */
    }
}

/* Until no run is left, or the time is over. */
static void wait_for_runs(tfn_children *c, const struct timespec *until)
{
    int problem = 0;
    while (c->n_runs > 0 && problem != ETIMEDOUT) {
        problem = until == NULL ? pthread_cond_wait(&c->changed, &c->lock)
                                : pthread_cond_timedwait(&c->changed, &c->lock, until);
    }
}

void tfn_children_stop(tfn_children *c)
{
    if (c == NULL) {
        return;
    }
    struct timespec until = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += GRACE_S;
    (void)pthread_mutex_lock(&c->lock);
    c->is_stopping = true;
    for (run *r = c->first; r != NULL; r = r->next) {
        ask_to_end(r);
    }
    wait_for_runs(c, &until);
    for (run *r = c->first; r != NULL; r = r->next) {
        if (r->pid > 0) {
            (void)kill(-r->pid, SIGKILL); /* with what it has started */
        }
    }
    wait_for_runs(c, NULL);
    (void)pthread_mutex_unlock(&c->lock);
}

void tfn_children_destroy(tfn_children *c)
{
    if (c != NULL) {
        tfn_children_stop(c);
        (void)pthread_cond_destroy(&c->changed);
        (void)pthread_mutex_destroy(&c->lock);
        tfn_mem_free(c);
    }
}

static void destroy_run(run *r)
{
    if (r != NULL) {
        if (r->channel >= 0) {
            (void)close(r->channel);
        }
        tfn_buf_deinit(&r->output);
        tfn_arena_deinit(&r->arena);
        tfn_mem_free(r);
    }
}

static tfn_code create_run(tfn_children *c, const tfn_str *views, size_t n_views, run **out,
                           tfn_error *err)
{
    void *p = NULL;
    *out = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(run), &p, err));
    run *r = p;
    *r = (run){.children = c, .channel = -1, .output = {.max_bytes = MAX_REPORT_BYTES}};
    tfn_code rc = tfn_arena_alloc_zero(&r->arena, n_views, sizeof(tfn_str), &p, err);
    r->views = p;
    for (size_t i = 0; i < n_views && rc == TFN_OK; i++) {
        rc = tfn_arena_copy(&r->arena, views[i].p, views[i].n, &r->views[i].p, err);
        r->views[i].n = views[i].n;
    }
    if (rc != TFN_OK) {
        destroy_run(r);
        return rc;
    }
    r->n_views = n_views;
    *out = r;
    return TFN_OK;
}

static bool is_under_way(const tfn_children *c, tfn_str view)
{
    for (const run *r = c->first; r != NULL; r = r->next) {
        for (size_t i = 0; i < r->n_views; i++) {
            if (tfn_str_equal(r->views[i], view)) {
                return true;
            }
        }
    }
    return false;
}

/* The views of `r` that are being materialized; TFN_CONFLICT when there are any. */
static tfn_code find_conflicts(const tfn_children *c, const run *r, char **names, tfn_error *err)
{
    tfn_buf list = {0};
    tfn_code rc = TFN_OK;
    for (size_t i = 0; i < r->n_views && rc == TFN_OK; i++) {
        if (is_under_way(c, r->views[i])) {
            rc = tfn_buf_add_text(&list, list.n == 0 ? "[" : ",", err);
            rc = rc == TFN_OK ? tfn_json_add_text(&list, r->views[i], err) : rc;
        }
    }
    if (rc == TFN_OK && list.n > 0) {
        rc = tfn_buf_add_text(&list, "]", err);
        rc = rc == TFN_OK ? tfn_buf_take_text(&list, names, err) : rc;
        if (rc == TFN_OK) {
            rc = TFN_FAIL(err, TFN_CONFLICT,
                          "these feature views are being materialized already: %s; wait until that "
                          "has ended, or ask with ?force=true to have it done once more behind it",
                          *names);
        }
    }
    tfn_buf_deinit(&list);
    return rc;
}

static tfn_code enter_locked(tfn_children *c, run *r, bool force, char **names, tfn_error *err)
{
    if (c->is_stopping) {
        return TFN_FAIL(err, TFN_CANCELLED, "the server stops; ask another one, or later");
    }
    if (!force) {
        TFN_RETURN_IF_ERROR(find_conflicts(c, r, names, err));
    }
    if (c->n_runs >= MAX_RUNS) {
        return TFN_FAIL(err, TFN_UNAVAILABLE,
                        "%d materializations run already, as many as may; ask again when one of "
                        "them has ended",
                        (int)MAX_RUNS);
    }
    r->next = c->first;
    c->first = r;
    c->n_runs++;
    return TFN_OK;
}

static tfn_code enter(tfn_children *c, run *r, bool force, char **names, tfn_error *err)
{
    (void)pthread_mutex_lock(&c->lock);
    const tfn_code rc = enter_locked(c, r, force, names, err);
    (void)pthread_mutex_unlock(&c->lock);
    return rc;
}

/* Reap the process, if there is one, and leave the list. Blocks until it has ended. */
static void leave(run *r)
{
    tfn_children *c = r->children;
    if (r->pid > 0) {
        siginfo_t info;
        while (waitid(P_PID, (id_t)r->pid, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
        }
    }
    (void)pthread_mutex_lock(&c->lock);
    if (r->pid > 0) {
        (void)waitpid(r->pid, &r->status, 0); /* it has ended */
        r->pid = 0;
    }
    r->is_stopped = c->is_stopping; /* once it has left, `c` may be gone */
    run **at = &c->first;
    while (*at != r) {
        at = &(*at)->next;
    }
    *at = r->next;
    c->n_runs--;
    (void)pthread_cond_broadcast(&c->changed);
    (void)pthread_mutex_unlock(&c->lock);
}

static bool has_ended(const run *r)
{
    siginfo_t info = {0};
    const int rc = waitid(P_PID, (id_t)r->pid, &info, WEXITED | WNOHANG | WNOWAIT);
    return rc == 0 ? info.si_pid == r->pid : errno != EINTR;
}

/* What it said is no report, so nobody reads on, and it could wait for that for ever. */
static void end_process(run *r)
{
    const struct timespec step = {0, (long)GRACE_STEP_MS * 1000000};
    tfn_children *c = r->children;
    if (r->pid == 0) {
        return;
    }
    (void)pthread_mutex_lock(&c->lock);
    ask_to_end(r);
    (void)pthread_mutex_unlock(&c->lock);
    for (int32_t ms = 0; ms < GRACE_S * 1000 && !has_ended(r); ms += GRACE_STEP_MS) {
        (void)nanosleep(&step, NULL);
    }
    (void)kill(-r->pid, SIGKILL); /* reaped by this thread only: the number is still its own */
}

/* ---- the process ---- */

/* Whoever may be told to stop meanwhile: then nothing is started. */
static tfn_code start_locked(run *r, const tfn_server_config *config, const char *request,
                             tfn_error *err)
{
    const char *arguments[MAX_ARGUMENTS] = {0};
    size_t n = 0;
    const bool has_python = config->python != NULL;
    arguments[n++] = has_python ? config->python : "tiffin-server";
    if (has_python) {
        arguments[n++] = "-m";
        arguments[n++] = "tiffin.server.materialize";
    }
    arguments[n++] = "--repo";
    arguments[n++] = config->repo_path != NULL ? config->repo_path : ".";
    if (config->yaml_path != NULL) {
        arguments[n++] = "--feature-store-yaml";
        arguments[n++] = config->yaml_path;
    }
    arguments[n++] = "--materialize";
    arguments[n++] = request;
    if (r->children->is_stopping) {
        return TFN_FAIL(err, TFN_CANCELLED, "the server stops; ask another one, or later");
    }
    /* The file that runs, not what has its name by now: an upgrade may have replaced it. */
    return tfn_spawn(has_python ? config->python : "/proc/self/exe", arguments, TFN_SPAWN_STANDARD,
                     &r->channel, &r->pid, err);
}

static tfn_code start(run *r, const tfn_server_config *config, const char *request, tfn_error *err)
{
    tfn_children *c = r->children;
    (void)pthread_mutex_lock(&c->lock);
    const tfn_code rc = start_locked(r, config, request, err);
    (void)pthread_mutex_unlock(&c->lock);
    return rc;
}

/* Read more of what it writes; *is_over at the end. */
static tfn_code read_some(run *r, bool *is_over, tfn_error *err)
{
    char bytes[4096];
    ssize_t n = 0;
    do {
        n = read(r->channel, bytes, sizeof bytes);
    } while (n < 0 && errno == EINTR);
    *is_over = n <= 0;
    if (n < 0) {
        return TFN_FAIL_SYS(err, errno, "the report of a materialization could not be read");
    }
    return tfn_buf_add(&r->output, bytes, (size_t)n, err);
}

/* Lines from *at on: the next whole one. False: it is not there yet. No byte is looked at twice. */
static bool next_line(run *r, size_t *at, tfn_str *line)
{
    const size_t from = r->n_searched > *at ? r->n_searched : *at;
    const char *end =
        r->output.n > from ? memchr(r->output.p + from, '\n', r->output.n - from) : NULL;
    r->n_searched = r->output.n;
    if (end == NULL) {
        return false;
    }
    *line = (tfn_str){r->output.p + *at, (size_t)(end - (r->output.p + *at))};
    *at += line->n + 1;
    r->n_searched = *at;
    return true;
}

static tfn_code read_line(run *r, size_t *at, tfn_str *line, tfn_error *err)
{
    bool is_over = false;
    while (!next_line(r, at, line)) {
        if (is_over) {
            *line = (tfn_str){0};
            return TFN_OK;
        }
        TFN_RETURN_IF_ERROR(read_some(r, &is_over, err));
    }
    return TFN_OK;
}

/* ---- what it says ---- */

static tfn_code code_of(tfn_str name)
{
#define NAME(word, value, http, grpc, python, meaning)                                             \
    if (tfn_str_is(name, #word)) {                                                                 \
        return TFN_##word;                                                                         \
    }
    TFN_CODE_MAP(NAME)
#undef NAME
    return TFN_CORRUPT;
}

/* Its error, if the line is one. */
static tfn_code read_error(yyjson_val *root, tfn_error *err)
{
    yyjson_val *error = yyjson_obj_get(root, "error");
    if (error == NULL) {
        return TFN_OK;
    }
    const tfn_code code = code_of(tfn_json_get_member(error, "code"));
    return TFN_FAIL(err, code == TFN_OK ? TFN_CORRUPT : code, "%.*s",
                    TFN_STR_ARG(tfn_json_get_member(error, "message")));
}

/* One line: the member `what`, as text, or the error that stands there instead. */
static tfn_code take_line(tfn_str line, const char *what, char **out, tfn_error *err)
{
    yyjson_doc *doc = NULL;
    TFN_RETURN_IF_ERROR(tfn_json_parse(line, "what a materialization reports", &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *member = yyjson_obj_get(root, what);
    tfn_code rc = read_error(root, err);
    if (rc == TFN_OK && member == NULL) {
        rc = TFN_FAIL(err, TFN_CORRUPT, "a materialization reported no '%s'", what);
    }
    if (rc == TFN_OK) {
        *out = yyjson_val_write_opts(member, YYJSON_WRITE_NOFLAG, &tfn_json_alc, NULL, NULL);
        rc = *out != NULL
                 ? TFN_OK
                 : TFN_FAIL(err, TFN_NO_MEMORY, "a report could not be kept: memory is exhausted");
    }
    yyjson_doc_free(doc);
    return rc;
}

/* It ended without a word. */
static tfn_code fail_end(const run *r, tfn_error *err)
{
    if (r->is_stopped) {
        return TFN_FAIL(err, TFN_CANCELLED,
                        "the materialization was ended because the server stops; nothing is lost, "
                        "ask again");
    }
    const bool was_killed = WIFSIGNALED(r->status);
    return TFN_FAIL(err, TFN_IO,
                    "the process that materializes ended without a report (%s %d); views that were "
                    "done before are online; its messages are on the server's standard error",
                    was_killed ? "signal" : "exit code",
                    was_killed ? WTERMSIG(r->status) : WEXITSTATUS(r->status));
}

/* After the first line: wait for the report, reap, leave. The run stays the caller's. */
static tfn_code finish(run *r, size_t at, char **report, tfn_error *err)
{
    tfn_str line = {0};
    tfn_code rc = read_line(r, &at, &line, err);
    if (rc != TFN_OK) {
        end_process(r);
    }
    leave(r);
    if (rc == TFN_OK && line.n == 0) {
        rc = fail_end(r, err);
    }
    return rc == TFN_OK ? take_line(line, "report", report, err) : rc;
}

/* ---- without somebody who waits ---- */

typedef struct watch {
    run *r;
    size_t at;
} watch;

static void *watch_run(void *argument)
{
    watch *w = argument;
    tfn_error err = {0};
    char *report = NULL;
    if (finish(w->r, w->at, &report, &err) != TFN_OK && err.code != TFN_CANCELLED) {
        (void)fprintf(stderr, "tiffin-server: a materialization in the background: %s\n",
                      err.message);
    }
    tfn_text_destroy(report);
    destroy_run(w->r);
    tfn_mem_free(w);
    return NULL;
}

/* On TFN_OK a thread has the run. */
static tfn_code leave_to_thread(run *r, size_t at, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(watch), &p, err));
    watch *w = p;
    *w = (watch){r, at};
    pthread_t thread;
    const int problem = pthread_create(&thread, NULL, watch_run, w);
    if (problem != 0) {
        tfn_mem_free(w);
        return TFN_FAIL_SYS(err, problem,
                            "a thread that waits for the materialization could not "
                            "be started");
    }
    (void)pthread_detach(thread);
    return TFN_OK;
}

/* ---- materialize ---- */

/* The first line says whether it runs. */
static tfn_code await_start(run *r, size_t *at, tfn_error *err)
{
    tfn_str line = {0};
    char *started = NULL;
    TFN_RETURN_IF_ERROR(read_line(r, at, &line, err));
    if (line.n == 0) {
        return TFN_OK; /* it is over already: whoever reads the report says so */
    }
    const tfn_code rc = take_line(line, "started", &started, err);
    tfn_text_destroy(started);
    return rc;
}

/* From here on the run is in the list. On TFN_OK without `wait` a thread has it. */
static tfn_code run_child(run *r, const tfn_server_config *config, const char *request, bool wait,
                          char **report, tfn_error *err)
{
    size_t at = 0;
    tfn_code rc = start(r, config, request, err);
    if (rc == TFN_OK) {
        rc = await_start(r, &at, err);
    }
    if (rc == TFN_OK && !wait) {
        rc = leave_to_thread(r, at, err);
        if (rc == TFN_OK) {
            return TFN_OK;
        }
    }
    if (rc == TFN_OK) {
        return finish(r, at, report, err);
    }
    end_process(r);
    leave(r);
    return rc;
}

tfn_code tfn_children_materialize(tfn_children *children, const tfn_server_config *config,
                                  const char *request, const tfn_str *views, size_t n_views,
                                  bool wait, bool force, char **answer, tfn_error *err)
{
    run *r = NULL;
    *answer = NULL;
    TFN_RETURN_IF_ERROR(create_run(children, views, n_views, &r, err));
    tfn_code rc = enter(children, r, force, answer, err);
    if (rc == TFN_OK) {
        rc = run_child(r, config, request, wait, answer, err);
        if (rc == TFN_OK && !wait) {
            return TFN_OK;
        }
    }
    destroy_run(r);
    return rc;
}

/* ---- in the child ---- */

/* Ends the process when its standard input closes: the server is gone, or wants it. */
static void *watch_input(void *argument)
{
    (void)argument;
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char byte = 0;
    for (;;) {
        (void)poll(&input, 1, -1);
        const ssize_t n = read(STDIN_FILENO, &byte, 1);
        if (n == 0) {
            _exit(EXIT_FAILURE);
        }
        if (n < 0 && errno != EINTR && errno != EAGAIN) {
            return NULL; /* it was started without a standard input, by hand */
        }
    }
}

static tfn_code follow_server(tfn_error *err)
{
    pthread_t thread;
    const int problem = pthread_create(&thread, NULL, watch_input, NULL);
    if (problem != 0) {
        return TFN_FAIL_SYS(err, problem, "a thread that watches the server could not be started");
    }
    (void)pthread_detach(thread);
    return TFN_OK;
}

static tfn_time time_of_us(yyjson_val *us)
{
    if (!yyjson_is_int(us)) {
        return (tfn_time){0};
    }
    const tfn_instant t = tfn_instant_of(yyjson_get_sint(us), TFN_UNIT_US);
    return (tfn_time){.seconds = t.seconds, .nanos = t.nanos, .is_set = 1};
}

static tfn_code read_views(yyjson_val *views, tfn_arena *arena, tfn_materialize_request *out,
                           tfn_error *err)
{
    if (!yyjson_is_arr(views)) {
        return TFN_OK;
    }
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, yyjson_arr_size(views), sizeof(char *), &p, err));
    const char **names = p;
    yyjson_arr_iter iter = yyjson_arr_iter_with(views);
    for (yyjson_val *name = yyjson_arr_iter_next(&iter); name != NULL;
         name = yyjson_arr_iter_next(&iter)) {
        if (!yyjson_is_str(name)) {
            return TFN_FAIL(err, TFN_INVALID, "'views' must be a list of names");
        }
        names[out->n_views++] = yyjson_get_str(name);
    }
    out->views = names;
    return TFN_OK;
}

static tfn_code materialize(tfn_store *store, yyjson_val *root, char **report, tfn_error *err)
{
    tfn_arena arena = {0};
    tfn_materialize_request request = {
        .struct_size = sizeof request,
        .start = time_of_us(yyjson_obj_get(root, "start_us")),
        .end = time_of_us(yyjson_obj_get(root, "end_us")),
        .incremental = yyjson_get_bool(yyjson_obj_get(root, "incremental")) ? 1 : 0};
    tfn_code rc = read_views(yyjson_obj_get(root, "views"), &arena, &request, err);
    if (rc == TFN_OK) {
        rc = tfn_store_materialize(store, &request, report, err);
    }
    tfn_arena_deinit(&arena);
    return rc;
}

/* One line: {"member":json}. */
static tfn_code say(const char *member, const char *json, tfn_error *err)
{
    tfn_buf line = {0};
    tfn_code rc = tfn_buf_add_format(&line, err, "{\"%s\":%s}\n", member, json);
    if (rc == TFN_OK && (fputs(line.p, stdout) < 0 || fflush(stdout) != 0)) {
        rc = TFN_FAIL_SYS(err, errno, "standard output cannot be written");
    }
    tfn_buf_deinit(&line);
    return rc;
}

static tfn_code do_request(const tfn_server_config *config, const char *request, tfn_error *err)
{
    tfn_store *store = NULL;
    yyjson_doc *doc = NULL;
    char *report = NULL;
    const char *version = NULL;
    tfn_code rc = follow_server(err);
    if (rc == TFN_OK) {
        rc = tfn_json_parse(tfn_str_of(request), "the request to materialize", &doc, err);
    }
    if (rc == TFN_OK) {
        rc = tfn_store_open(&config->store, &store, err);
    }
    if (rc == TFN_OK) {
        rc = tfn_store_get_duckdb_version(store, &version, err);
    }
    if (rc == TFN_OK) {
        rc = say("started", "true", err);
    }
    if (rc == TFN_OK) {
        rc = materialize(store, yyjson_doc_get_root(doc), &report, err);
    }
    if (rc == TFN_OK) {
        rc = say("report", report, err);
    }
    tfn_text_destroy(report);
    tfn_store_close(store);
    yyjson_doc_free(doc);
    return rc;
}

/* False when not even that can be written. */
static bool say_error(const tfn_error *error)
{
    tfn_buf json = {0};
    tfn_error err = {0};
    const char *name = tfn_code_name(error->code);
    tfn_code rc = tfn_buf_add_format(&json, &err, "{\"code\":\"%s\",\"message\":", name);
    rc = rc == TFN_OK ? tfn_json_add_text(&json, tfn_str_of(error->message), &err) : rc;
    rc = rc == TFN_OK ? tfn_buf_add_text(&json, "}", &err) : rc;
    rc = rc == TFN_OK ? say("error", json.p, &err) : rc;
    tfn_buf_deinit(&json);
    return rc == TFN_OK;
}

int tfn_child_main(const tfn_server_config *config, const char *request)
{
    tfn_error err = {0};
    if (do_request(config, request, &err) == TFN_OK) {
        return EXIT_SUCCESS;
    }
    (void)fprintf(stderr, "tiffin-server: materializing: %s\n", err.message);
    (void)say_error(&err); /* without it the server says that this process ended */
    return EXIT_FAILURE;
}
