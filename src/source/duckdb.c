/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The loaded DuckDB: one in-memory instance per process and library.
 *
 * The instances stand in a process-wide table, one of the two mutable globals that the project
 * allows: DuckDB's threads and buffers belong to the process, and a second instance would double
 * both. An instance is never closed. It belongs to the process that opened it: after a fork its
 * threads are gone, and using or closing it would hang, so the child forgets it and opens its own
 * (the table is keyed by pid, and its mutex is held over a fork so that the child finds it free).
 *
 * One scalar function, tiffin_scan, is registered per instance. Its first argument is the id of a
 * live run, an index into the table's `live`; so several scans share the function, and a wrong id
 * is an error and not a wild pointer. DuckDB calls it without saying which instance calls, and
 * reading the arguments takes that instance's own functions; so each place in the table has a
 * kernel of its own.
 *
 * An instance has one limit of memory, for all that runs in it. While scans are live it is what they
 * may use together, so that a scan with a small limit does not starve another's; else it is the
 * instance's own, so that opening a file never meets the limit of a call that has ended.
 *
 * Lock order: the table's mutex is taken alone.
 */

#include "source/duckdb.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "source/remote.h"

#include "base/poison.h"

enum { MAX_THREADS = 256, MAX_INSTANCES = 8, MEMORY_TEXT_BYTES = 40 };

struct tfn_duckdb {
    char *library;
    size_t memory_limit_bytes;
    int n_threads;
    tfn__s3_settings s3;
};

/* lint: allow mutable-global - the loaded DuckDB, see above */
static struct {
    pthread_once_t once;
    pthread_mutex_t mutex;
    tfn__duck *instances[MAX_INSTANCES];          /* NULL: free */
    _Atomic(tfn__run *) live[TFN__MAX_LIVE_RUNS]; /* written under the mutex */
} table = {.once = PTHREAD_ONCE_INIT, .mutex = PTHREAD_MUTEX_INITIALIZER};

static void lock_table(void)
{
    pthread_mutex_lock(&table.mutex);
}

static void unlock_table(void)
{
    pthread_mutex_unlock(&table.mutex);
}

/* In the child: the parent's scans do not run here. */
static void forget_runs(void)
{
    for (int i = 0; i < TFN__MAX_LIVE_RUNS; i++) {
        atomic_store_explicit(&table.live[i], NULL, memory_order_relaxed);
    }
    unlock_table();
}

static void watch_forks(void)
{
    (void)pthread_atfork(lock_table, unlock_table, forget_runs);
}

/* ---- the handle ---- */

static const char *find_library(const char *library)
{
    if (library != NULL && library[0] != '\0') {
        return library;
    }
    const char *from_environment = getenv("TIFFIN_DUCKDB_LIBRARY");
    if (from_environment != NULL && from_environment[0] != '\0') {
        return from_environment;
    }
    return "libduckdb.so";
}

tfn_code tfn_duckdb_create(const char *library, size_t memory_limit_bytes, int n_threads,
                           tfn_duckdb **out, tfn_error *err)
{
    *out = NULL;
    void *memory = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_duckdb), &memory, err));
    tfn_duckdb *d = memory;
    d->memory_limit_bytes = memory_limit_bytes;
    d->n_threads = n_threads;
    const tfn_code rc = tfn_mem_copy_text(find_library(library), &d->library, err);
    if (rc != TFN_OK) {
        tfn_duckdb_destroy(d);
        return rc;
    }
    *out = d;
    return TFN_OK;
}

void tfn_duckdb_destroy(tfn_duckdb *d)
{
    if (d != NULL) {
        tfn__s3_settings_deinit(&d->s3);
        tfn_mem_free(d->library);
        tfn_mem_free(d);
    }
}

tfn_code tfn_duckdb_set_s3(tfn_duckdb *d, const char *settings, tfn_error *err)
{
    tfn__s3_settings_deinit(&d->s3);
    return tfn__s3_settings_init(settings, &d->s3, err);
}

const tfn__s3_settings *tfn__duck_get_s3(const tfn_duckdb *d)
{
    return &d->s3;
}

tfn_code tfn_duckdb_get_version(tfn_duckdb *d, const char **out, tfn_error *err)
{
    *out = NULL;
    tfn__duck *duck = NULL;
    TFN_RETURN_IF_ERROR(tfn__duck_get(d, &duck, err));
    const char *version = duck->api.do_library_version();
    *out = version[0] == 'v' ? version + 1 : version;
    return TFN_OK;
}

int tfn__duck_get_n_threads(const tfn_duckdb *d, int n_threads)
{
    long n = n_threads > 0 ? n_threads : d->n_threads;
    n = n > 0 ? n : sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : (int)n;
}

size_t tfn__duck_get_memory_bytes(const tfn_duckdb *d, int64_t memory_bytes)
{
    const size_t mb = (size_t)1024 * 1024;
    const size_t own = d->memory_limit_bytes > 0
                           ? d->memory_limit_bytes
                           : (256 + 128 * (size_t)tfn__duck_get_n_threads(d, 0)) * mb;
    return memory_bytes > 0 && (size_t)memory_bytes < own ? (size_t)memory_bytes : own;
}

/* ---- one kernel per place in the table ---- */

#define KERNELS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)

#define DEFINE_KERNEL(i)                                                                           \
    static void kernel_##i(duck_info info, duck_chunk input, duck_vector output)                   \
    {                                                                                              \
        tfn__duck_kernel(&table.instances[i]->api, info, input, output);                           \
    }
KERNELS(DEFINE_KERNEL)
#undef DEFINE_KERNEL

#define LIST_KERNEL(i) kernel_##i,
static const duck_kernel kernels[MAX_INSTANCES] = {KERNELS(LIST_KERNEL)};
#undef LIST_KERNEL

/* ---- opening ---- */

static void write_memory(size_t bytes, char text[MEMORY_TEXT_BYTES])
{
    (void)snprintf(text, MEMORY_TEXT_BYTES, "%zuKiB", bytes / 1024 > 0 ? bytes / 1024 : 1);
}

static tfn_code configure(const duck_api *api, duck_config config, const tfn_duckdb *d,
                          tfn_error *err)
{
    const int n_threads = tfn__duck_get_n_threads(d, 0);
    char threads[16];
    char memory[MEMORY_TEXT_BYTES];
    (void)snprintf(threads, sizeof threads, "%d", n_threads);
    write_memory(tfn__duck_get_memory_bytes(d, 0), memory);
    const char *const options[][2] = {
        {"threads", threads},
        {"memory_limit", memory},
        {"temp_directory", ""},
        {"custom_user_agent", "tiffin"},
        {"autoinstall_known_extensions", "false"},
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (api->do_set_config(config, options[i][0], options[i][1]) != DUCK_SUCCESS) {
            return TFN_FAIL(err, TFN_IO, "DuckDB refused the setting %s = '%s'", options[i][0],
                            options[i][1]);
        }
    }
    return TFN_OK;
}

static tfn_code open_database(tfn__duck *duck, const tfn_duckdb *d, tfn_error *err)
{
    const duck_api *api = &duck->api;
    duck_config config = NULL;
    if (api->do_create_config(&config) != DUCK_SUCCESS) {
        return TFN_FAIL(err, TFN_NO_MEMORY, "DuckDB could not make a configuration");
    }
    tfn_code rc = configure(api, config, d, err);
    if (rc == TFN_OK) {
        char *text = NULL;
        if (api->do_open_ext(NULL, &duck->database, config, &text) != DUCK_SUCCESS) {
            rc = TFN_FAIL(err, TFN_IO, "DuckDB at '%s' could not be opened: %s", duck->library,
                          text != NULL ? text : "it gives no reason");
        }
        api->do_free(text);
    }
    api->do_destroy_config(&config);
    return rc;
}

static tfn_code register_kernel(tfn__duck *duck, duck_kernel kernel, tfn_error *err)
{
    const duck_api *api = &duck->api;
    duck_connection connection = NULL;
    TFN_RETURN_IF_ERROR(tfn__duck_connect(duck, &connection, err));
    duck_function f = api->do_create_scalar_function();
    api->do_scalar_function_set_name(f, "tiffin_scan");
    duck_type any = api->do_create_logical_type(DUCK_TYPE_ANY);
    api->do_scalar_function_set_varargs(f, any);
    api->do_destroy_logical_type(&any);
    duck_type bigint = api->do_create_logical_type(DUCK_TYPE_BIGINT);
    api->do_scalar_function_set_return_type(f, bigint);
    api->do_destroy_logical_type(&bigint);
    api->do_scalar_function_set_function(f, kernel);
    api->do_scalar_function_set_special_handling(f);
    api->do_scalar_function_set_volatile(f);
    const int status = api->do_register_scalar_function(connection, f);
    api->do_destroy_scalar_function(&f);
    tfn__duck_disconnect(duck, &connection);
    if (status != DUCK_SUCCESS) {
        return TFN_FAIL(err, TFN_UNSUPPORTED, "DuckDB at '%s' (version %s) refused our function",
                        duck->library, api->do_library_version());
    }
    return TFN_OK;
}

/* A failure leaves the library loaded and, at worst, an instance that nobody uses. */
static tfn_code open_instance(const tfn_duckdb *d, duck_kernel kernel, tfn__duck **out,
                              tfn_error *err)
{
    void *memory = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn__duck), &memory, err));
    tfn__duck *duck = memory;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn_mem_copy_text(d->library, &duck->library, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__remotes_create(&duck->remotes, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__duck_api_load(duck->library, &duck->api, err), done);
    TFN_GOTO_IF_ERROR(rc, open_database(duck, d, err), done);
    duck->pid = getpid();
    duck->n_threads = tfn__duck_get_n_threads(d, 0);
    duck->own_memory_bytes = tfn__duck_get_memory_bytes(d, 0);
    duck->memory_bytes = duck->own_memory_bytes;
    TFN_GOTO_IF_ERROR(rc, register_kernel(duck, kernel, err), done);
    *out = duck;
    duck = NULL;
done:
    if (duck != NULL) {
        tfn__remotes_destroy(duck->remotes);
        tfn_mem_free(duck->library);
        tfn_mem_free(duck);
    }
    return rc;
}

/* Under the table's mutex: the place of this process's instance of a library, or one that is free
 * or held by an instance of another pid (which is forgotten, not freed), or -1. */
static int find_instance(const char *library, bool *is_there)
{
    const pid_t pid = getpid();
    int free_place = -1;
    *is_there = false;
    for (int i = 0; i < MAX_INSTANCES; i++) {
        const tfn__duck *duck = table.instances[i];
        if (duck == NULL || duck->pid != pid) {
            free_place = free_place < 0 ? i : free_place;
        } else if (strcmp(duck->library, library) == 0) {
            *is_there = true;
            return i;
        }
    }
    return free_place;
}

tfn_code tfn__duck_get(tfn_duckdb *d, tfn__duck **out, tfn_error *err)
{
    *out = NULL;
    (void)pthread_once(&table.once, watch_forks);
    lock_table();
    bool is_there = false;
    const int i = find_instance(d->library, &is_there);
    tfn_code rc = TFN_OK;
    if (i < 0) {
        rc =
            TFN_FAIL(err, TFN_LIMIT, "more than %d DuckDB libraries in one process", MAX_INSTANCES);
    } else if (!is_there) {
        tfn__duck *duck = NULL;
        rc = open_instance(d, kernels[i], &duck, err);
        table.instances[i] = rc == TFN_OK ? duck : table.instances[i];
    }
    *out = rc == TFN_OK ? table.instances[i] : NULL;
    unlock_table();
    return rc;
}

/* ---- connections and runs ---- */

/*
 * Naive times are UTC. And no reading ahead: DuckDB 2.0 holds whole row groups in memory for disks that
 * are far away; ours are local, where it costs 300 MB and gains nothing (10 M rows x 13 columns:
 * 500 MB without these settings, 210 MB with them, at equal or better time; docs/decisions/005). A
 * version that lacks a setting does not do what it switches off.
 */
static tfn_code set_up(tfn__duck *duck, duck_connection connection, tfn_error *err)
{
    static const char *const optional[] = {"SET disable_parquet_prefetching=true",
                                           "SET read_ahead_depth=0"};
    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++) {
        const tfn__statement set = {.sql = optional[i], .label = tfn_str_of("DuckDB")};
        tfn_error why = {0};
        if (tfn__duck_execute(duck, connection, &set, &why) == TFN_NO_MEMORY) {
            return tfn_error_move(err, &why);
        }
    }
    const tfn__statement utc = {.sql = "SET TimeZone='UTC'", .label = tfn_str_of("DuckDB")};
    return tfn__duck_execute(duck, connection, &utc, err);
}

tfn_code tfn__duck_connect(tfn__duck *duck, duck_connection *out, tfn_error *err)
{
    *out = NULL;
    if (duck->api.do_connect(duck->database, out) != DUCK_SUCCESS) {
        return TFN_FAIL(err, TFN_IO, "DuckDB gave no connection");
    }
    const tfn_code rc = set_up(duck, *out, err);
    if (rc != TFN_OK) {
        tfn__duck_disconnect(duck, out);
    }
    return rc;
}

void tfn__duck_disconnect(tfn__duck *duck, duck_connection *connection)
{
    if (*connection != NULL) {
        duck->api.do_disconnect(connection);
        *connection = NULL;
    }
}

static tfn_code run_setting(tfn__duck *duck, const char *sql, tfn_error *err)
{
    duck_connection connection = NULL;
    TFN_RETURN_IF_ERROR(tfn__duck_connect(duck, &connection, err));
    const tfn__statement set = {.sql = sql, .label = tfn_str_of("DuckDB")};
    const tfn_code rc = tfn__duck_execute(duck, connection, &set, err);
    tfn__duck_disconnect(duck, &connection);
    return rc;
}

static tfn_code set_threads(tfn__duck *duck, int n_threads, tfn_error *err)
{
    if (duck->n_threads == n_threads) {
        return TFN_OK;
    }
    char sql[40];
    (void)snprintf(sql, sizeof sql, "SET threads=%d", n_threads);
    TFN_RETURN_IF_ERROR(run_setting(duck, sql, err));
    duck->n_threads = n_threads;
    return TFN_OK;
}

static tfn_code set_memory(tfn__duck *duck, size_t memory_bytes, tfn_error *err)
{
    if (duck->memory_bytes == memory_bytes) {
        return TFN_OK;
    }
    char memory[MEMORY_TEXT_BYTES];
    char sql[MEMORY_TEXT_BYTES + 32];
    write_memory(memory_bytes, memory);
    (void)snprintf(sql, sizeof sql, "SET memory_limit='%s'", memory);
    TFN_RETURN_IF_ERROR(run_setting(duck, sql, err));
    duck->memory_bytes = memory_bytes;
    return TFN_OK;
}

/*
 * Set the memory to what the live runs may use together: no more than the instance's own, or than
 * the largest. DuckDB refuses less than other runs hold at the moment; then it stays as it is until
 * the next run begins or ends.
 */
static tfn_code share_memory(tfn__duck *duck, tfn_error *err)
{
    size_t most = duck->own_memory_bytes;
    size_t sum = 0;
    for (int i = 0; i < TFN__MAX_LIVE_RUNS; i++) {
        const size_t n = duck->live_memory_bytes[i];
        most = n > most ? n : most;
        sum = n > SIZE_MAX - sum ? SIZE_MAX : sum + n;
    }
    const size_t shared = sum == 0 || sum > most ? most : sum;
    if (duck->n_live > 0 && shared < duck->memory_bytes) {
        (void)set_memory(duck, shared, NULL);
        return TFN_OK;
    }
    return set_memory(duck, shared, err);
}

/* Under the table's mutex: a free place in `live`, or -1. */
static int find_place(void)
{
    for (int i = 0; i < TFN__MAX_LIVE_RUNS; i++) {
        if (atomic_load_explicit(&table.live[i], memory_order_relaxed) == NULL) {
            return i;
        }
    }
    return -1;
}

tfn_code tfn__duck_begin_run(tfn__duck *duck, tfn__run *run, int n_threads, size_t memory_bytes,
                             int *id, tfn_error *err)
{
    *id = -1;
    lock_table();
    tfn_code rc = TFN_OK;
    if (duck->n_live == 0) {
        rc = set_threads(duck, n_threads, err);
    }
    const int place = find_place();
    if (rc == TFN_OK && place < 0) {
        rc = TFN_FAIL(err, TFN_LIMIT, "more than %d scans at once in one process",
                      TFN__MAX_LIVE_RUNS);
    }
    if (rc == TFN_OK) {
        duck->live_memory_bytes[place] = memory_bytes;
        rc = share_memory(duck, err);
        duck->live_memory_bytes[place] = rc == TFN_OK ? memory_bytes : 0;
    }
    if (rc == TFN_OK) {
        duck->n_live++;
        atomic_store_explicit(&table.live[place], run, memory_order_release);
        *id = place;
    }
    unlock_table();
    return rc;
}

void tfn__duck_end_run(tfn__duck *duck, int id)
{
    if (id < 0) {
        return;
    }
    lock_table();
    duck->n_live--;
    duck->live_memory_bytes[id] = 0;
    (void)share_memory(duck, NULL); /* refused: the next run tries again */
    atomic_store_explicit(&table.live[id], NULL, memory_order_release);
    unlock_table();
}

tfn__run *tfn__duck_find_run(uint64_t id)
{
    return id < TFN__MAX_LIVE_RUNS ? atomic_load_explicit(&table.live[id], memory_order_acquire)
                                   : NULL;
}
