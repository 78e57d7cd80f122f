/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Counting.
 *
 *   metrics -> block of a context { paths, views, errors }     one writer each
 *
 * A counter has one writer, so adding is a relaxed load and a relaxed store: no locked instruction,
 * no line of memory that two writers share (blocks are allocated one by one, with a line of padding
 * at both ends). Sums of a scrape may lag behind one another by what is being counted meanwhile;
 * each of them only ever grows.
 *
 * Views are found by their names in a small hash table of the block. A name is published by the
 * release of n_views, after which it never changes, so a scrape reads views[0 .. n_views) without a
 * lock. Beyond 256 views, and when there is no memory for a name, "other" is counted.
 *
 * Rejected: one block with atomic additions. 70 ns where eight workers count the same request.
 */

#include "server/metrics_internal.h"

#include <assert.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

#include "base/poison.h"

const int64_t tfn__metrics_bounds_ns[TFN__METRICS_N_BOUNDS] = {
    INT64_C(50000),       INT64_C(100000),     INT64_C(250000),     INT64_C(500000),
    INT64_C(1000000),     INT64_C(2500000),    INT64_C(5000000),    INT64_C(10000000),
    INT64_C(25000000),    INT64_C(50000000),   INT64_C(100000000),  INT64_C(250000000),
    INT64_C(500000000),   INT64_C(1000000000), INT64_C(2500000000), INT64_C(5000000000),
    INT64_C(10000000000),
};

const int32_t tfn__metrics_http[TFN__METRICS_N_HTTP] = {
    0,   200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 408,
    409, 411, 413, 415, 422, 429, 431, 500, 501, 502, 503, 504,
};

enum { LINE_BYTES = 64 }; /* of the cache; what two threads write is not in the same one */

static void add(_Atomic uint64_t *counter, uint64_t n)
{
    const uint64_t old = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, old + n, memory_order_relaxed);
}

static void raise_to(_Atomic int64_t *newest_us, int64_t time_us)
{
    if (time_us > atomic_load_explicit(newest_us, memory_order_relaxed)) {
        atomic_store_explicit(newest_us, time_us, memory_order_relaxed);
    }
}

/* ---- making and ending ---- */

/* Which routes share a path, and the names of the paths. */
static tfn_code index_paths(tfn_metrics *metrics, tfn_error *err)
{
    void *p = NULL;
    const tfn_route *routes = tfn_routes_get(&metrics->n_routes);
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(metrics->n_routes, sizeof(size_t), &p, err));
    metrics->path_of_route = p;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(metrics->n_routes + 1, sizeof(char *), &p, err));
    metrics->paths = p;
    for (size_t i = 0; i < metrics->n_routes; i++) {
        size_t i_path = 0;
        while (i_path < metrics->n_paths && strcmp(metrics->paths[i_path], routes[i].path) != 0) {
            i_path++;
        }
        metrics->path_of_route[i] = i_path;
        if (i_path == metrics->n_paths) {
            metrics->paths[metrics->n_paths++] = routes[i].path;
        }
    }
    metrics->paths[metrics->n_paths++] = "other";
    return TFN_OK;
}

/* Room of its own: nothing that somebody else writes is within a line of it. */
static tfn_code alloc_apart(size_t n, size_t size, void **out, tfn_error *err)
{
    size_t n_bytes = 0;
    *out = NULL;
    if (!tfn_mem_mul(n, size, &n_bytes) ||
        !tfn_mem_add(n_bytes, (size_t)2 * LINE_BYTES, &n_bytes)) {
        return TFN_FAIL(err, TFN_NO_MEMORY, "%zu blocks of counters were asked for", n);
    }
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(n_bytes, 1, out, err));
    *out = (char *)*out + LINE_BYTES;
    return TFN_OK;
}

static void free_apart(void *p)
{
    if (p != NULL) {
        tfn_mem_free((char *)p - LINE_BYTES);
    }
}

static tfn_code create_block(tfn_metrics *metrics, tfn_counters **out, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(alloc_apart(1, sizeof(tfn_counters), &p, err));
    tfn_counters *block = p;
    *out = block;
    block->metrics = metrics;
    for (size_t i = 0; i <= TFN__METRICS_N_VIEWS; i++) {
        atomic_init(&block->views[i].newest_us, INT64_MIN);
    }
    TFN_RETURN_IF_ERROR(alloc_apart(metrics->n_paths, sizeof(tfn__path_counters), &p, err));
    block->paths = p;
    return TFN_OK;
}

static void destroy_block(tfn_counters *block)
{
    if (block == NULL) {
        return;
    }
    for (size_t i = 0; i < TFN__METRICS_N_VIEWS; i++) {
        tfn_mem_free(block->views[i].name);
    }
    free_apart(block->paths);
    free_apart(block);
}

void tfn_metrics_destroy(tfn_metrics *metrics)
{
    if (metrics == NULL) {
        return;
    }
    for (size_t i = 0; i < metrics->n_blocks; i++) {
        destroy_block(metrics->blocks[i]);
    }
    tfn_mem_free((void *)metrics->blocks);
    tfn_mem_free((void *)metrics->paths);
    tfn_mem_free(metrics->path_of_route);
    tfn_mem_free(metrics);
}

tfn_code tfn_metrics_create(size_t n_contexts, tfn_metrics **out, tfn_error *err)
{
    void *p = NULL;
    *out = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_metrics), &p, err));
    tfn_metrics *metrics = p;
    tfn_code rc = TFN_OK;
    metrics->started = tfn_clock_now(NULL);
    TFN_GOTO_IF_ERROR(rc, index_paths(metrics, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_mem_alloc_array(n_contexts, sizeof(tfn_counters *), &p, err), done);
    metrics->blocks = p;
    metrics->n_blocks = n_contexts;
    for (size_t i = 0; i < n_contexts; i++) {
        TFN_GOTO_IF_ERROR(rc, create_block(metrics, &metrics->blocks[i], err), done);
    }
    *out = metrics;
    metrics = NULL;
done:
    tfn_metrics_destroy(metrics);
    return rc;
}

tfn_counters *tfn_metrics_get_counters(tfn_metrics *metrics, size_t i)
{
    assert(i < metrics->n_blocks);
    return metrics->blocks[i];
}

/* ---- requests ---- */

/* By halving: the statuses are ascending. */
static size_t find_http(int32_t status)
{
    size_t begin = 0;
    size_t end = TFN__METRICS_N_HTTP;
    while (end - begin > 1) {
        const size_t middle = begin + (end - begin) / 2;
        if (status < tfn__metrics_http[middle]) {
            end = middle;
        } else {
            begin = middle;
        }
    }
    return tfn__metrics_http[begin] == status ? begin : 0;
}

static size_t find_bucket(int64_t took_ns)
{
    size_t i = 0;
    while (i < TFN__METRICS_N_BOUNDS && took_ns > tfn__metrics_bounds_ns[i]) {
        i++;
    }
    return i;
}

void tfn_counters_add_request(tfn_counters *counters, int32_t i_route, int32_t status,
                              int64_t took_ns, uint32_t n_rows)
{
    const tfn_metrics *metrics = counters->metrics;
    const bool has_route = i_route >= 0 && (size_t)i_route < metrics->n_routes;
    const size_t i_path = has_route ? metrics->path_of_route[i_route] : metrics->n_paths - 1;
    tfn__path_counters *path = &counters->paths[i_path];
    took_ns = took_ns > 0 ? took_ns : 0; /* clocks of two cores may differ */
    add(&path->statuses[find_http(status)], 1);
    add(&path->buckets[find_bucket(took_ns)], 1);
    add(&path->took_ns, (uint64_t)took_ns);
    add(&path->n_rows, n_rows);
}

void tfn_counters_add_store_error(tfn_counters *counters, tfn_code code)
{
    const size_t i = (size_t)code;
    if (i < TFN__METRICS_N_CODES) {
        add(&counters->store_errors[i], 1);
    }
}

/* ---- views ---- */

static tfn__view_counters *get_others(tfn_counters *counters)
{
    return &counters->views[TFN__METRICS_N_VIEWS];
}

/* Enter a view that was not seen before; its cell is known. */
static tfn__view_counters *enter_view(tfn_counters *counters, tfn_str name, size_t i_cell)
{
    const uint32_t n = atomic_load_explicit(&counters->n_views, memory_order_relaxed);
    tfn_error ignored = {0}; /* without memory it is one of the others */
    char *copy = NULL;
    if (n == TFN__METRICS_N_VIEWS ||
        tfn_mem_copy_bytes(name.p, name.n, &copy, &ignored) != TFN_OK) {
        return get_others(counters);
    }
    counters->views[n].name = copy;
    counters->views[n].name_bytes = name.n;
    counters->cells[i_cell] = (uint16_t)(n + 1);
    atomic_store_explicit(&counters->n_views, n + 1, memory_order_release);
    return &counters->views[n];
}

static tfn__view_counters *find_view(tfn_counters *counters, tfn_str name)
{
    size_t i_cell = (size_t)tfn_hash64(name.p, name.n) % TFN__METRICS_N_CELLS;
    while (counters->cells[i_cell] != 0) {
        tfn__view_counters *view = &counters->views[counters->cells[i_cell] - 1];
        if (tfn_str_equal(name, (tfn_str){view->name, view->name_bytes})) {
            return view;
        }
        i_cell = (i_cell + 1) % TFN__METRICS_N_CELLS;
    }
    return enter_view(counters, name, i_cell);
}

void tfn_counters_add_values(tfn_counters *counters, tfn_str view, int32_t status, uint64_t n,
                             int64_t newest_us)
{
    tfn__view_counters *found = find_view(counters, view);
    const bool is_known = status >= 0 && status < TFN__METRICS_N_STATUSES;
    add(&found->values[is_known ? status : 0], n);
    raise_to(&found->newest_us, newest_us);
}

void tfn_counters_add_written(tfn_counters *counters, tfn_str view, uint64_t n_rows,
                              int64_t newest_us)
{
    tfn__view_counters *found = find_view(counters, view);
    add(&found->written, n_rows);
    raise_to(&found->newest_us, newest_us);
}

/* ---- of the whole server ---- */

void tfn_metrics_connection(tfn_metrics *metrics, int32_t change)
{
    (void)atomic_fetch_add_explicit(&metrics->n_connections, change, memory_order_relaxed);
}

void tfn_metrics_refused(tfn_metrics *metrics, tfn_refusal why)
{
    if ((size_t)why < TFN_N_REFUSALS) {
        (void)atomic_fetch_add_explicit(&metrics->refused[why], 1, memory_order_relaxed);
    }
}
