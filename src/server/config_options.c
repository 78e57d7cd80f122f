/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The command line of tiffin-server.
 *
 * One table of options: "--name VALUE" and "--name=VALUE" are the same, a letter takes its value from
 * the next argument, the last of two equal options wins. It is walked twice: first everything is looked
 * at (so that a mistake is told before a file is read) and the repo is found, then, over what the file
 * said, the settings are put.
 */

#include <string.h>

#include "server/config_internal.h"

#include "base/poison.h"

typedef enum act {
    ACT_SETTING, /* `setting` of `group` */
    ACT_LIMIT,   /* NAME=VALUE */
    ACT_REPO,
    ACT_YAML,
    ACT_INSECURE,
    ACT_NO_ACCESS_LOG,
    ACT_MATERIALIZE,
    ACT_TASK /* `task` */
} act;

typedef struct option {
    const char *name;
    char letter; /* 0: none */
    bool takes_value;
    act act;
    tfn_server_task task;
    tfn__setting_group group;
    const char *setting;
} option;

#define SETTING(option, setting)                                                                   \
    {                                                                                              \
        option, 0, true, ACT_SETTING, TFN_SERVER_RUN, TFN__SETTING_SERVER, setting                 \
    }
#define TASK(option, letter, task)                                                                 \
    {                                                                                              \
        option, letter, false, ACT_TASK, task, TFN__SETTING_SERVER, ""                             \
    }

static const option OPTIONS[] = {
    {"--repo", 'c', true, ACT_REPO, TFN_SERVER_RUN, TFN__SETTING_SERVER, ""},
    {"--feature-store-yaml", 'f', true, ACT_YAML, TFN_SERVER_RUN, TFN__SETTING_SERVER, ""},
    SETTING("--host", "host"),
    SETTING("--port", "port"),
    SETTING("--workers", "workers"),
    SETTING("--jobs", "jobs"),
    SETTING("--unix-socket", "unix_socket"),
    SETTING("--tls-key", "tls_key"),
    SETTING("--tls-cert", "tls_cert"),
    SETTING("--keys", "keys"),
    SETTING("--python", "python"),
    {"--insecure", 0, false, ACT_INSECURE, TFN_SERVER_RUN, TFN__SETTING_SERVER, ""},
    {"--access-log", 0, true, ACT_SETTING, TFN_SERVER_RUN, TFN__SETTING_ACCESS_LOG, "path"},
    {"--access-log-rate", 0, true, ACT_SETTING, TFN_SERVER_RUN, TFN__SETTING_ACCESS_LOG,
     "sample_rate"},
    {"--no-access-log", 0, false, ACT_NO_ACCESS_LOG, TFN_SERVER_RUN, TFN__SETTING_SERVER, ""},
    {"--feature-logs", 0, true, ACT_SETTING, TFN_SERVER_RUN, TFN__SETTING_FEATURE_LOG, "path"},
    {"--limit", 0, true, ACT_LIMIT, TFN_SERVER_RUN, TFN__SETTING_LIMIT, ""},
    {"--materialize", 0, true, ACT_MATERIALIZE, TFN_SERVER_MATERIALIZE, TFN__SETTING_SERVER, ""},
    TASK("--check", 0, TFN_SERVER_CHECK),
    TASK("--print-config", 0, TFN_SERVER_PRINT_CONFIG),
    TASK("--version", 0, TFN_SERVER_VERSION),
    TASK("--help", 'h', TFN_SERVER_HELP),
};

enum { N_OPTIONS = sizeof OPTIONS / sizeof *OPTIONS, MAX_WHERE_BYTES = 64 };

static const char HELP[] =
    "usage: tiffin-server [OPTION]...\n"
    "\n"
    "Serve the features of a repo over HTTP: Feast's protocol, and a lean one beside it. What the\n"
    "store is, feature_store.yaml says; its mapping feature_server has the settings below, too,\n"
    "and the command line wins.\n"
    "\n"
    "Which store\n"
    "  -c, --repo DIR                 folder of the repo (.)\n"
    "  -f, --feature-store-yaml FILE  its configuration (DIR/feature_store.yaml)\n"
    "\n"
    "Where to listen\n"
    "      --host ADDRESS             interface (127.0.0.1); any but loopback needs API keys\n"
    "      --port N                   port (6566); 0 = any free one, which is printed\n"
    "      --unix-socket PATH         a Unix socket; with --host or --port beside them, else "
    "instead\n"
    "      --tls-key FILE             private key and certificate (PEM): HTTPS\n"
    "      --tls-cert FILE\n"
    "\n"
    "Who may ask\n"
    "      --keys FILE                API keys (server_keys.json beside the registry); made with\n"
    "                                 `tiffin keys create NAME`\n"
    "      --insecure                 serve other machines without keys\n"
    "\n"
    "How\n"
    "      --workers N                threads that answer (1)\n"
    "      --jobs N                   threads for what may block: writes, Redis, Python (4)\n"
    "      --python PATH              interpreter that has tiffin, for on-demand features and "
    "writes\n"
    "                                 to offline stores; without it they are refused\n"
    "      --limit NAME=VALUE         max_body (16MiB), max_bodies (256MiB),\n"
    "                                 max_answer (64MiB), max_entity_rows (10000), max_features "
    "(1000),\n"
    "                                 max_header (8KiB), max_connections (1000), max_jobs "
    "(1000),\n"
    "                                 request_seconds (30), idle_seconds (60), drain_seconds (10)\n"
    "\n"
    "What is noted\n"
    "      --access-log FILE          one JSON line per request; - = standard error (off)\n"
    "      --access-log-rate R        share of requests in it, 0 to 1 (1)\n"
    "      --no-access-log            none, whatever the configuration says\n"
    "      --feature-logs DIR         what was served to feature services that log\n"
    "                                 (feature_logs beside the registry)\n"
    "\n"
    "Instead of serving\n"
    "      --check                    read and check the settings, and exit\n"
    "      --print-config             print the effective settings as JSON\n"
    "      --version\n"
    "  -h, --help\n"
    "\n"
    "SIGTERM: finish what was accepted, then exit 0. SIGHUP: open log files again.\n"
    "Exit code: 0 done, 1 failed, 2 the command line makes no sense.\n";

const char *tfn_server_config_help(void)
{
    return HELP;
}

/* ---- one argument after the other ---- */

typedef struct walk {
    int argc;
    char *const *argv;
    int i;
    const option *option;
    tfn_str value;
} walk;

static const option *find_option(tfn_str name)
{
    for (size_t i = 0; i < N_OPTIONS; i++) {
        const bool is_letter = name.n == 2 && name.p[0] == '-' && OPTIONS[i].letter != 0 &&
                               name.p[1] == OPTIONS[i].letter;
        if (is_letter || tfn_str_is(name, OPTIONS[i].name)) {
            return &OPTIONS[i];
        }
    }
    return NULL;
}

/* Read the option at walk->i, and go behind it. */
static tfn_code next_option(walk *w, tfn_error *err)
{
    const tfn_str argument = tfn_str_of(w->argv[w->i++]);
    const char *equals = memchr(argument.p, '=', argument.n);
    const bool is_long = tfn_str_starts_with(argument, "--");
    tfn_str name = argument;
    if (is_long && equals != NULL) {
        name.n = (size_t)(equals - argument.p);
    }
    w->option = find_option(name);
    if (w->option == NULL) {
        return TFN_FAIL(err, TFN_INVALID, "there is no option '%.*s'; see tiffin-server --help",
                        TFN_STR_ARG(name));
    }
    const bool has_value = name.n < argument.n;
    if (has_value && !w->option->takes_value) {
        return TFN_FAIL(err, TFN_INVALID, "%s takes no value", w->option->name);
    }
    w->value = has_value ? tfn_str_of(equals + 1) : (tfn_str){0};
    if (w->option->takes_value && !has_value) {
        if (w->i == w->argc) {
            return TFN_FAIL(err, TFN_INVALID, "%s needs a value; see tiffin-server --help",
                            w->option->name);
        }
        w->value = tfn_str_of(w->argv[w->i++]);
    }
    return TFN_OK;
}

static tfn_code put_limit(tfn_server_config *config, tfn_str value, tfn_error *err)
{
    char where[MAX_WHERE_BYTES] = "--limit ";
    const size_t n_before = strlen(where);
    const char *equals = value.n == 0 ? NULL : memchr(value.p, '=', value.n);
    const tfn_str name = {value.p, equals == NULL ? value.n : (size_t)(equals - value.p)};
    const tfn__setting *setting = tfn__setting_find(TFN__SETTING_LIMIT, name);
    if (equals == NULL || setting == NULL) {
        const char *names = "";
        TFN_RETURN_IF_ERROR(tfn__setting_list(TFN__SETTING_LIMIT, &config->arena, &names, err));
        return TFN_FAIL(err, TFN_INVALID,
                        "--limit must be NAME=VALUE, e.g. max_body=16MiB, not '%.*s'; there are %s",
                        TFN_STR_ARG(value), names);
    }
    memcpy(where + n_before, name.p, name.n); /* one of ours: it fits */
    where[n_before + name.n] = '\0';
    return tfn__setting_put(config, setting, tfn_str_of(equals + 1), NULL, where, err);
}

static tfn_code apply(tfn_server_config *config, const walk *w, tfn_error *err)
{
    const option *o = w->option;
    switch (o->act) {
    case ACT_SETTING:
        return tfn__setting_put(config, tfn__setting_find(o->group, tfn_str_of(o->setting)),
                                w->value, NULL, o->name, err);
    case ACT_LIMIT:
        return put_limit(config, w->value, err);
    case ACT_INSECURE:
        config->is_insecure = true;
        return TFN_OK;
    case ACT_NO_ACCESS_LOG:
        config->access_log_path = NULL;
        return TFN_OK;
    case ACT_MATERIALIZE:
        return tfn_arena_copy(&config->arena, w->value.p, w->value.n, &config->request, err);
    case ACT_REPO:
    case ACT_YAML:
    case ACT_TASK:
        break; /* look_through's */
    }
    return TFN_OK;
}

/* What has to be known before any file is read. */
typedef struct place {
    const char *repo_path; /* "." unless it was named */
    const char *yaml_path;
    tfn_server_task task;
} place;

static tfn_code look_through(int argc, char *const *argv, place *out, tfn_error *err)
{
    walk w = {.argc = argc, .argv = argv};
    *out = (place){.repo_path = ".", .task = TFN_SERVER_RUN};
    while (w.i < argc) {
        TFN_RETURN_IF_ERROR(next_option(&w, err));
        if (w.option->act == ACT_REPO || w.option->act == ACT_YAML) {
            if (w.value.n == 0 || !tfn_str_is_utf8(w.value)) {
                return TFN_FAIL(err, TFN_INVALID, "%s must be a path in UTF-8, not '%.*s'",
                                w.option->name, TFN_STR_ARG(w.value));
            }
            *(w.option->act == ACT_REPO ? &out->repo_path : &out->yaml_path) = w.value.p;
        }
        /* --help beside anything else is a wish for help. */
        out->task = w.option->task > out->task ? w.option->task : out->task;
        if (w.option->task == TFN_SERVER_HELP || w.option->task == TFN_SERVER_VERSION) {
            out->task = w.option->task;
            return TFN_OK;
        }
    }
    return TFN_OK;
}

static tfn_code apply_all(tfn_server_config *config, int argc, char *const *argv, tfn_error *err)
{
    walk w = {.argc = argc, .argv = argv};
    while (w.i < argc) {
        TFN_RETURN_IF_ERROR(next_option(&w, err));
        TFN_RETURN_IF_ERROR(apply(config, &w, err));
    }
    return TFN_OK;
}

static bool reads_nothing(tfn_server_task task)
{
    return task == TFN_SERVER_HELP || task == TFN_SERVER_VERSION;
}

tfn_code tfn_server_config_parse(tfn_server_config *config, int argc, char *const *argv,
                                 tfn_error *err)
{
    place where;
    config->task = TFN_SERVER_NOTHING;
    TFN_RETURN_IF_ERROR(look_through(argc, argv, &where, err));
    if (!reads_nothing(where.task)) {
        TFN_RETURN_IF_ERROR(apply_all(config, argc, argv, err));
    }
    config->task = where.task;
    return TFN_OK;
}

tfn_code tfn_server_config_load(tfn_server_config *config, int argc, char *const *argv,
                                char **warning, tfn_error *err)
{
    place where;
    if (warning != NULL) {
        *warning = NULL;
    }
    TFN_RETURN_IF_ERROR(tfn_server_config_parse(config, argc, argv, err));
    if (reads_nothing(config->task)) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(look_through(argc, argv, &where, err));
    TFN_RETURN_IF_ERROR(
        tfn_server_config_read(config, where.repo_path, where.yaml_path, warning, err));
    TFN_RETURN_IF_ERROR(tfn_server_config_parse(config, argc, argv, err));
    /* A child listens nowhere: who may reach the server is the server's to check, which knows options
     * (--insecure, --host) that its child is not given. */
    return config->task == TFN_SERVER_MATERIALIZE ? TFN_OK : tfn_server_config_check(config, err);
}
