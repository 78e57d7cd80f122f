/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_CONFIG_H
#define TFN_SERVER_CONFIG_H

/*
 * Settings of the server, with their defaults. They come from feature_store.yaml (what the store is;
 * its mapping `feature_server`) and from the command line, which wins. docs/server.md names each.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "tiffin/store.h"

/** What a client may ask for; whoever passes one reads its name and value in the 4xx sentence. */
typedef struct tfn_limits {
    int64_t max_body_bytes; /* 16 MiB; 413 */
    int64_t
        max_bodies_bytes; /* 256 MiB of all bodies that are being received or worked on, beyond the
                                 64 KiB that each connection may keep; 503 */
    int64_t max_answer_bytes; /* 64 MiB of one answer; 413 */
    int64_t max_entity_rows;  /* 10,000 of one request; 413 */
    int64_t max_features;     /* 1,000 of one request; 413 */
    int64_t max_header_bytes; /* 8 KiB, request line included; 431 */
    int32_t max_connections;  /* 1,000; 503 */
    int32_t max_jobs;         /* 1,000 that wait; 503 with Retry-After */
    int32_t
        request_ms;   /* 30,000 from the first byte of the header to the last of the body; 408. Also
                                 how long Python may compute; 504 */
    int32_t idle_ms;  /* 60,000 that a connection may be silent; closed */
    int32_t drain_ms; /* 10,000 that a graceful stop waits for what is in flight */
} tfn_limits;

/** What the command line asks of the program. */
typedef enum tfn_server_task {
    TFN_SERVER_NOTHING = 0, /* the command line was not understood: exit code 2 */
    TFN_SERVER_RUN = 1,
    TFN_SERVER_CHECK = 2,        /* --check: read and check the settings, and exit */
    TFN_SERVER_PRINT_CONFIG = 3, /* --print-config */
    TFN_SERVER_VERSION = 4,      /* --version; nothing else was read */
    TFN_SERVER_HELP = 5,         /* --help; nothing else was read */
    TFN_SERVER_MATERIALIZE = 6   /* --materialize REQUEST, a child of a server: tfn_child_main */
} tfn_server_task;

typedef struct tfn_server_config {
    tfn_store_opts store; /* texts live in `arena` */
    const char *repo_path;
    const char *yaml_path;
    const char *online_type; /* "lmdb" or "redis"; NULL: none */

    const char *host;      /* "127.0.0.1"; NULL with unix_path only */
    int32_t port;          /* 6566; 0 = any free one */
    const char *unix_path; /* NULL: none */
    int32_t n_workers;     /* 1 */
    int32_t n_jobs;        /* 4 threads for what may block */
    const char *tls_key;   /* PEM files; both or none */
    const char *tls_cert;
    const char *keys_path; /* API keys; "<registry's folder>/server_keys.json" */
    bool has_default_keys; /* nobody named keys_path: it need not be there */
    bool is_insecure;      /* serve others than this machine without keys */
    const char
        *python; /* interpreter that has tiffin; NULL: no on-demand views, no offline writes */
    const char *access_log_path;  /* NULL: off; "-" = standard error */
    double access_log_rate;       /* 0 .. 1, share of requests that is written; 1 */
    const char *feature_log_path; /* folder of segments; "<registry's folder>/feature_logs" */
    int64_t
        feature_log_queue_bytes; /* 16 MiB in memory; beyond it records are dropped and counted */
    tfn_limits limits;
    tfn_server_task task;
    const char *request;  /* of --materialize */
    bool is_address_said; /* host or port was given: a Unix socket does not replace them */
    tfn_arena arena;
} tfn_server_config;

/** Defaults. Threads one at a time. Errors none. */
void tfn_server_config_init(tfn_server_config *config);
void tfn_server_config_deinit(tfn_server_config *config);

/**
 * Read feature_store.yaml: the same keys and meanings as the Python SDK's RepoConfig, and the
 * mapping `feature_server`. What is not known is named in one warning.
 *
 * @param repo_path  [borrow] folder that relative paths start at
 * @param yaml_path  [borrow, nullable] NULL = <repo_path>/feature_store.yaml
 * @param warning    [own, nullable] a sentence, or NULL; ends with tfn_text_destroy
 *
 * Threads  one at a time per config
 * Errors   TFN_NOT_FOUND no such file . TFN_INVALID not YAML (with the line), or a value that makes
 *          no sense . TFN_UNSUPPORTED a store that this release does not have . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_server_config_read(tfn_server_config *config, const char *repo_path,
                                              const char *yaml_path, char **warning,
                                              tfn_error *err);

/**
 * Apply the command line of tiffin-server (without the program's name) to what is there; sets
 * config->task. Paths are taken as they are: relative ones start at the working directory.
 *
 * Threads  one at a time per config
 * Errors   TFN_INVALID an option that makes no sense (names it); then task is TFN_SERVER_NOTHING
 *          TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_server_config_parse(tfn_server_config *config, int argc,
                                               char *const *argv, tfn_error *err);

/**
 * Check what must hold between settings: among them that another interface than loopback needs API
 * keys or --insecure. Reads the file of keys.
 *
 * Threads  one at a time per config
 * Errors   TFN_INVALID a refused combination . as tfn_keys_open
 */
TFN_NODISCARD tfn_code tfn_server_config_check(const tfn_server_config *config, tfn_error *err);

/**
 * All of the above in the order that main() wants: the repo is found on the command line (-c, -f), its
 * file is read, the command line applied on top, and the whole checked. With --help and --version
 * nothing is read.
 *
 * @param warning  [own, nullable] as tfn_server_config_read
 *
 * Threads  one at a time per config
 * Errors   as tfn_server_config_parse (task is TFN_SERVER_NOTHING), _read and _check
 */
TFN_NODISCARD tfn_code tfn_server_config_load(tfn_server_config *config, int argc,
                                              char *const *argv, char **warning, tfn_error *err);

/**
 * Whether requests need a key even when there is none (any more): the server can be reached from
 * elsewhere and was not started with --insecure. On loopback keys are asked for once there are some.
 *
 * Threads  any
 * Errors   none
 */
bool tfn_server_config_needs_keys(const tfn_server_config *config);

/**
 * Effective settings as JSON; secrets of S3 and Redis as "...".
 *
 * @param json  [own] ends with tfn_mem_free
 *
 * Errors   TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_server_config_print(const tfn_server_config *config, char **json,
                                               tfn_error *err);

/** What --help prints. Threads any. Errors none. */
const char *tfn_server_config_help(void);

#endif
