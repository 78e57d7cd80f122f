/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The program tiffin-server: settings, one line when it is ready, signals.
 *
 * Signals are blocked in every thread and fetched by one, so nothing runs inside of a signal handler.
 * SIGTERM and SIGINT drain; a second one, or a stop that takes too long, ends the program at once.
 * SIGHUP opens logs again.
 */

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "server/child.h"
#include "server/config.h"
#include "server/listen.h"
#include "server/server.h"
#include "server/supervisor.h"

#include "base/poison.h"

enum { EXIT_OK = 0, EXIT_PROBLEM = 1, EXIT_USAGE = 2 };

enum { STOP_GRACE_MS = 5000 /* for jobs that run when the drain is over */ };

static int say_problem(const tfn_error *err, int code)
{
    (void)fprintf(stderr, "tiffin-server: %s\n", err->message);
    return code;
}

/* Standard output may be a full disk or a closed pipe: then the program says so. */
static int say(const char *text)
{
    if (fputs(text, stdout) < 0 || fflush(stdout) != 0) {
        (void)fputs("tiffin-server: standard output cannot be written to\n", stderr);
        return EXIT_PROBLEM;
    }
    return EXIT_OK;
}

/* A supervisor that cannot be told is no reason not to serve. */
static void tell_supervisor(const char *state)
{
    tfn_error err = {0};
    if (tfn_supervisor_tell(state, &err) != TFN_OK) {
        (void)say_problem(&err, EXIT_OK);
    }
}

/* ---- signals ---- */

static sigset_t wanted_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    return set;
}

/* A stop that is under way, and how long it may take. */
typedef struct stopping {
    sigset_t signals;
    int64_t max_ms;
} stopping;

/* Whoever asks again does not want to wait for the stop; and nobody waits for ever. What was
 * acknowledged is on disk by then, so ending at once loses only what has no answer yet. */
static void *end_at_once(void *arg)
{
    const stopping s = *(const stopping *)arg;
    const struct timespec patience = {.tv_sec = (time_t)(s.max_ms / 1000) + 1};
    int which = SIGHUP;
    while (which == SIGHUP || (which < 0 && errno == EINTR)) {
        which = sigtimedwait(&s.signals, NULL, &patience);
    }
    if (which < 0) {
        (void)fprintf(stderr,
                      "tiffin-server: requests were still under way %lld ms after the stop began; "
                      "they are given up\n",
                      (long long)s.max_ms);
    }
    _exit(EXIT_PROBLEM);
}

/* Until the first SIGTERM or SIGINT. */
static void serve(tfn_server *server, const sigset_t *set)
{
    int which = 0;
    while (sigwait(set, &which) == 0 && which == SIGHUP) {
        tfn_server_reopen_logs(server);
    }
}

static void stop(tfn_server *server, stopping *how)
{
    pthread_t impatient;
    if (pthread_create(&impatient, NULL, end_at_once, how) == 0) {
        pthread_detach(impatient);
    }
    tfn_server_drain(server);
    tfn_server_destroy(server);
}

/* ---- running ---- */

static int say_ready(const tfn_server *server, const tfn_server_config *config)
{
    char line[2048];
    const char *scheme = config->tls_key == NULL ? "http" : "https";
    const bool has_tcp = config->host != NULL;
    const bool is_v6 = has_tcp && strchr(config->host, ':') != NULL;
    char address[512] = "";
    if (has_tcp) {
        (void)snprintf(address, sizeof address, is_v6 ? "%s://[%s]:%d" : "%s://%s:%d", scheme,
                       config->host, (int)tfn_server_get_port(server));
    }
    (void)snprintf(line, sizeof line, "tiffin-server %s is listening on %s%s%s%s (project %s)\n",
                   tfn_version(), address, has_tcp && config->unix_path != NULL ? " and " : "",
                   config->unix_path != NULL ? "unix:" : "",
                   config->unix_path != NULL ? config->unix_path : "", config->store.project);
    return say(line);
}

/* Two servers on one port are how an upgrade leaves no gap (docs/production.md), or a mistake. */
static void say_shared(const tfn_server_config *config)
{
    (void)fprintf(stderr,
                  "tiffin-server: another server of yours listens on port %d as well, and each "
                  "connection goes to either; stop one of them, or choose another port (--port)\n",
                  (int)config->port);
}

static int run(const tfn_server_config *config)
{
    stopping how = {.signals = wanted_signals(),
                    .max_ms = (int64_t)config->limits.drain_ms + STOP_GRACE_MS};
    (void)signal(SIGPIPE, SIG_IGN); /* cannot fail; a client that left is an error of its write */
    (void)pthread_sigmask(SIG_BLOCK, &how.signals, NULL);
    tfn_error err = {0};
    tfn_server *server = NULL;
    const bool is_shared = config->host != NULL && tfn_listen_is_taken(config->host, config->port);
    if (tfn_server_start(config, &server, &err) != TFN_OK) {
        return say_problem(&err, EXIT_PROBLEM);
    }
    if (is_shared) {
        say_shared(config);
    }
    const int code = say_ready(server, config);
    if (code != EXIT_OK) {
        tfn_server_destroy(server);
        return code;
    }
    tell_supervisor("READY=1");
    serve(server, &how.signals);
    tell_supervisor("STOPPING=1");
    stop(server, &how);
    return EXIT_OK;
}

static int say_version(void)
{
    char line[64];
    (void)snprintf(line, sizeof line, "tiffin-server %s\n", tfn_version());
    return say(line);
}

static int print_config(const tfn_server_config *config)
{
    tfn_error err = {0};
    char *json = NULL;
    if (tfn_server_config_print(config, &json, &err) != TFN_OK) {
        return say_problem(&err, EXIT_PROBLEM);
    }
    int code = say(json);
    code = code == EXIT_OK ? say("\n") : code;
    tfn_mem_free(json);
    return code;
}

static int do_task(const tfn_server_config *config)
{
    switch (config->task) {
    case TFN_SERVER_CHECK:
        return EXIT_OK;
    case TFN_SERVER_PRINT_CONFIG:
        return print_config(config);
    case TFN_SERVER_VERSION:
        return say_version();
    case TFN_SERVER_HELP:
        return say(tfn_server_config_help());
    case TFN_SERVER_RUN:
        return run(config);
    case TFN_SERVER_MATERIALIZE:
        return tfn_child_main(config, config->request);
    case TFN_SERVER_NOTHING:
        break;
    }
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    tfn_server_config config;
    tfn_error err = {0};
    char *warning = NULL;
    tfn_server_config_init(&config);
    const tfn_code rc = tfn_server_config_load(&config, argc - 1, argv + 1, &warning, &err);
    if (warning != NULL) {
        (void)fprintf(stderr, "tiffin-server: %s\n", warning);
    }
    tfn_text_destroy(warning);
    int code = EXIT_OK;
    if (rc != TFN_OK) {
        code = say_problem(&err, config.task == TFN_SERVER_NOTHING ? EXIT_USAGE : EXIT_PROBLEM);
    } else {
        code = do_task(&config);
    }
    tfn_server_config_deinit(&config);
    return code;
}
