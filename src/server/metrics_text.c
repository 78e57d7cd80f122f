/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The text of a scrape: Prometheus' exposition format 0.0.4.
 *
 *   blocks -> sums by path, view and code -> families, each with HELP, TYPE and its samples
 *
 * What is counted here can always be said. What the store says (the commit, the watermarks) may
 * not be there: then those samples are left out and tiffin_registry_readable is 0, because a scrape
 * that fails says less than one that is short.
 *
 * Samples of views stand in the byte order of their names. Sums are made for one scrape, on the
 * heap: at most 257 views for each block.
 */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "server/access_log.h"
#include "server/feature_log.h"
#include "server/metrics_internal.h"

#include "base/poison.h"

static const char *const bound_texts[TFN__METRICS_N_BOUNDS] = {
    "5e-05", "0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025",
    "0.05",  "0.1",    "0.25",    "0.5",    "1",     "2.5",    "5",     "10",
};

static const char *const value_statuses[TFN__METRICS_N_STATUSES] = {
    "INVALID", "PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE"};

static const char *const refusals[TFN_N_REFUSALS] = {"connections", "jobs", "rate", "key", "limit"};

/* ---- small parts ---- */

static tfn_code begin_family(tfn_buf *out, const char *name, const char *type, const char *help,
                             tfn_error *err)
{
    return tfn_buf_add_format(out, err, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label's value: backslash, quote and newline are escaped. */
static tfn_code add_label(tfn_buf *out, tfn_str text, tfn_error *err)
{
    for (size_t i = 0; i < text.n; i++) {
        const char c = text.p[i];
        if (c == '\\' || c == '"') {
            TFN_RETURN_IF_ERROR(tfn_buf_add(out, "\\", 1, err));
        }
        TFN_RETURN_IF_ERROR(c == '\n' ? tfn_buf_add(out, "\\n", 2, err)
                                      : tfn_buf_add(out, &c, 1, err));
    }
    return TFN_OK;
}

static uint64_t get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static tfn_code add_single(tfn_buf *out, const char *name, const char *type, const char *help,
                           uint64_t value, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(begin_family(out, name, type, help, err));
    return tfn_buf_add_format(out, err, "%s %llu\n", name, (unsigned long long)value);
}

/* ---- requests ---- */

/* One path's counters, of all blocks. */
static void sum_path(const tfn_metrics *metrics, size_t i_path, tfn__path_counters *sum)
{
    memset(sum, 0, sizeof *sum);
    for (size_t b = 0; b < metrics->n_blocks; b++) {
        const tfn__path_counters *path = &metrics->blocks[b]->paths[i_path];
        for (size_t i = 0; i < TFN__METRICS_N_HTTP; i++) {
            sum->statuses[i] += get(&path->statuses[i]);
        }
        for (size_t i = 0; i <= TFN__METRICS_N_BOUNDS; i++) {
            sum->buckets[i] += get(&path->buckets[i]);
        }
        sum->took_ns += get(&path->took_ns);
        sum->n_rows += get(&path->n_rows);
    }
}

static tfn_code add_requests(const tfn_metrics *metrics, tfn_buf *out, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(begin_family(out, "tiffin_requests_total", "counter",
                                     "Requests that were answered, by route and status.", err));
    for (size_t p = 0; p < metrics->n_paths; p++) {
        tfn__path_counters sum;
        sum_path(metrics, p, &sum);
        for (size_t i = 0; i < TFN__METRICS_N_HTTP; i++) {
            char status[16] = "other";
            if (tfn__metrics_http[i] != 0) {
                (void)snprintf(status, sizeof status, "%d", tfn__metrics_http[i]);
            }
            if (sum.statuses[i] > 0) {
                TFN_RETURN_IF_ERROR(tfn_buf_add_format(
                    out, err, "tiffin_requests_total{path=\"%s\",status=\"%s\"} %llu\n",
                    metrics->paths[p], status, (unsigned long long)sum.statuses[i]));
            }
        }
    }
    return TFN_OK;
}

static tfn_code add_histogram(const char *path, const tfn__path_counters *sum, tfn_buf *out,
                              tfn_error *err)
{
    uint64_t n = 0;
    for (size_t i = 0; i <= TFN__METRICS_N_BOUNDS; i++) {
        n += sum->buckets[i];
        TFN_RETURN_IF_ERROR(tfn_buf_add_format(
            out, err, "tiffin_request_seconds_bucket{path=\"%s\",le=\"%s\"} %llu\n", path,
            i < TFN__METRICS_N_BOUNDS ? bound_texts[i] : "+Inf", (unsigned long long)n));
    }
    TFN_RETURN_IF_ERROR(tfn_buf_add_format(out, err,
                                           "tiffin_request_seconds_sum{path=\"%s\"} %.9f\n", path,
                                           (double)sum->took_ns / 1e9));
    return tfn_buf_add_format(out, err, "tiffin_request_seconds_count{path=\"%s\"} %llu\n", path,
                              (unsigned long long)n);
}

static tfn_code add_latencies(const tfn_metrics *metrics, tfn_buf *out, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(
        begin_family(out, "tiffin_request_seconds", "histogram",
                     "Seconds from the first byte of a request to its complete answer.", err));
    for (size_t p = 0; p < metrics->n_paths; p++) {
        tfn__path_counters sum;
        sum_path(metrics, p, &sum);
        TFN_RETURN_IF_ERROR(add_histogram(metrics->paths[p], &sum, out, err));
    }
    TFN_RETURN_IF_ERROR(begin_family(out, "tiffin_rows_total", "counter",
                                     "Entity rows that were answered or written.", err));
    for (size_t p = 0; p < metrics->n_paths; p++) {
        tfn__path_counters sum;
        sum_path(metrics, p, &sum);
        TFN_RETURN_IF_ERROR(tfn_buf_add_format(out, err, "tiffin_rows_total{path=\"%s\"} %llu\n",
                                               metrics->paths[p], (unsigned long long)sum.n_rows));
    }
    return TFN_OK;
}

/* ---- views ---- */

typedef struct view_sum {
    tfn_str name;
    uint64_t values[TFN__METRICS_N_STATUSES];
    uint64_t written;
    int64_t newest_us;
} view_sum;

typedef struct view_sums {
    view_sum *items;
    size_t n;
    size_t capacity;
    tfn_map index;
} view_sums;

/* The sum of a view. `name` is borrowed as long as the sums live. */
static tfn_code get_sum(view_sums *sums, tfn_str name, view_sum **out, tfn_error *err)
{
    uint32_t i = 0;
    if (sums->items == NULL || !tfn_map_get(&sums->index, name, &i)) {
        void *p = sums->items;
        const tfn_code rc =
            tfn_mem_grow(&p, &sums->capacity, sums->n + 1, sizeof *sums->items, err);
        sums->items = p;
        TFN_RETURN_IF_ERROR(rc);
        TFN_RETURN_IF_ERROR(tfn_map_put(&sums->index, name, (uint32_t)sums->n, err));
        i = (uint32_t)sums->n++;
        sums->items[i] = (view_sum){.name = name, .newest_us = INT64_MIN};
    }
    *out = &sums->items[i];
    return TFN_OK;
}

static tfn_code add_view(view_sums *sums, tfn_str name, const tfn__view_counters *view,
                         tfn_error *err)
{
    view_sum *sum = NULL;
    TFN_RETURN_IF_ERROR(get_sum(sums, name, &sum, err));
    for (size_t i = 0; i < TFN__METRICS_N_STATUSES; i++) {
        sum->values[i] += get(&view->values[i]);
    }
    sum->written += get(&view->written);
    const int64_t newest_us = atomic_load_explicit(&view->newest_us, memory_order_relaxed);
    sum->newest_us = newest_us > sum->newest_us ? newest_us : sum->newest_us;
    return TFN_OK;
}

static bool was_counted(const tfn__view_counters *view)
{
    uint64_t n = get(&view->written);
    for (size_t i = 0; i < TFN__METRICS_N_STATUSES; i++) {
        n += get(&view->values[i]);
    }
    return n > 0;
}

static tfn_code sum_views(const tfn_metrics *metrics, view_sums *sums, tfn_error *err)
{
    for (size_t b = 0; b < metrics->n_blocks; b++) {
        const tfn_counters *block = metrics->blocks[b];
        const uint32_t n = atomic_load_explicit(&block->n_views, memory_order_acquire);
        for (uint32_t i = 0; i < n; i++) {
            const tfn__view_counters *view = &block->views[i];
            TFN_RETURN_IF_ERROR(add_view(sums, (tfn_str){view->name, view->name_bytes}, view, err));
        }
        const tfn__view_counters *others = &block->views[TFN__METRICS_N_VIEWS];
        if (was_counted(others)) {
            TFN_RETURN_IF_ERROR(add_view(sums, tfn_str_of("other"), others, err));
        }
    }
    return TFN_OK;
}

static int compare_sums(const void *a, const void *b)
{
    return tfn_str_compare(((const view_sum *)a)->name, ((const view_sum *)b)->name);
}

static tfn_code add_values(const view_sums *sums, tfn_buf *out, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(begin_family(out, "tiffin_values_total", "counter",
                                     "Feature values that were served, by view and status.", err));
    for (size_t v = 0; v < sums->n; v++) {
        for (size_t i = 0; i < TFN__METRICS_N_STATUSES; i++) {
            if (sums->items[v].values[i] == 0) {
                continue;
            }
            TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, "tiffin_values_total{view=\"", err));
            TFN_RETURN_IF_ERROR(add_label(out, sums->items[v].name, err));
            TFN_RETURN_IF_ERROR(tfn_buf_add_format(out, err, "\",status=\"%s\"} %llu\n",
                                                   value_statuses[i],
                                                   (unsigned long long)sums->items[v].values[i]));
        }
    }
    TFN_RETURN_IF_ERROR(begin_family(
        out, "tiffin_rows_written_total", "counter",
        "Rows that were sent to this server for a view and are online, or older than what is.",
        err));
    for (size_t v = 0; v < sums->n; v++) {
        if (sums->items[v].written > 0) {
            TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, "tiffin_rows_written_total{view=\"", err));
            TFN_RETURN_IF_ERROR(add_label(out, sums->items[v].name, err));
            TFN_RETURN_IF_ERROR(tfn_buf_add_format(out, err, "\"} %llu\n",
                                                   (unsigned long long)sums->items[v].written));
        }
    }
    return TFN_OK;
}

static tfn_code add_ages(const view_sums *sums, tfn_buf *out, tfn_error *err)
{
    const int64_t now_us = tfn_instant_to(tfn_clock_now(NULL), TFN_UNIT_US);
    TFN_RETURN_IF_ERROR(begin_family(out, "tiffin_newest_event_age_seconds", "gauge",
                                     "Age of the newest event of a view that is known here.", err));
    for (size_t v = 0; v < sums->n; v++) {
        if (sums->items[v].newest_us != INT64_MIN) {
            TFN_RETURN_IF_ERROR(
                tfn_buf_add_text(out, "tiffin_newest_event_age_seconds{view=\"", err));
            TFN_RETURN_IF_ERROR(add_label(out, sums->items[v].name, err));
            TFN_RETURN_IF_ERROR(
                tfn_buf_add_format(out, err, "\"} %.6f\n",
                                   (double)tfn_time_sub(now_us, sums->items[v].newest_us) / 1e6));
        }
    }
    return TFN_OK;
}

/* ---- what the store says ---- */

typedef struct store_facts {
    yyjson_doc *status; /* names of views are borrowed from it */
    int64_t commit;     /* -1: not known */
    bool is_readable;
} store_facts;

static tfn_code parse_status(const char *status, view_sums *sums, store_facts *facts,
                             tfn_error *err)
{
    TFN_RETURN_IF_ERROR(
        tfn_json_parse(tfn_str_of(status), "the store's status", &facts->status, err));
    yyjson_arr_iter views = yyjson_arr_iter_with(yyjson_doc_get_root(facts->status));
    for (yyjson_val *view = yyjson_arr_iter_next(&views); view != NULL;
         view = yyjson_arr_iter_next(&views)) {
        const tfn_str end = tfn_json_get_member(view, "end");
        tfn_instant time;
        if (end.n == 0) {
            continue;
        }
        TFN_RETURN_IF_ERROR(tfn_instant_parse(end, &time, err));
        view_sum *sum = NULL;
        TFN_RETURN_IF_ERROR(get_sum(sums, tfn_json_get_member(view, "view"), &sum, err));
        const int64_t time_us = tfn_instant_to(time, TFN_UNIT_US);
        sum->newest_us = time_us > sum->newest_us ? time_us : sum->newest_us;
    }
    return TFN_OK;
}

static tfn_code parse_commit(const char *log, store_facts *facts, tfn_error *err)
{
    yyjson_doc *doc = NULL;
    TFN_RETURN_IF_ERROR(tfn_json_parse(tfn_str_of(log), "the registry's log", &doc, err));
    yyjson_val *newest = yyjson_arr_get_first(yyjson_doc_get_root(doc));
    facts->commit = newest == NULL ? 0 : yyjson_get_sint(yyjson_obj_get(newest, "commit"));
    yyjson_doc_free(doc);
    return TFN_OK;
}

/* A store that cannot be read is a fact, too; only the end of memory is an error. */
static tfn_code read_store(tfn_store *store, view_sums *sums, store_facts *facts, tfn_error *err)
{
    char *status = NULL;
    char *log = NULL;
    tfn_error problem = {0};
    tfn_code rc = tfn_store_status(store, &status, &problem);
    if (rc == TFN_OK) {
        rc = tfn_store_log(store, 1, &log, &problem);
    }
    if (rc == TFN_OK) {
        rc = parse_status(status, sums, facts, &problem);
    }
    if (rc == TFN_OK) {
        rc = parse_commit(log, facts, &problem);
    }
    facts->is_readable = rc == TFN_OK;
    tfn_text_destroy(status);
    tfn_text_destroy(log);
    return rc == TFN_NO_MEMORY ? tfn_error_move(err, &problem) : TFN_OK;
}

static tfn_code add_store(const store_facts *facts, tfn_buf *out, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(add_single(out, "tiffin_registry_readable", "gauge",
                                   "1 while the registry and the states of the views can be read.",
                                   facts->is_readable ? 1 : 0, err));
    if (!facts->is_readable) {
        return TFN_OK;
    }
    return add_single(out, "tiffin_registry_commit", "gauge",
                      "Number of the registry's newest commit.", (uint64_t)facts->commit, err);
}

/* ---- the process ---- */

/* A figure of /proc/self/status in bytes; -1: the system does not tell. */
static int64_t read_memory(const char *status, const char *name)
{
    const char *line = strstr(status, name);
    if (line == NULL) {
        return -1;
    }
    return (int64_t)strtoll(line + strlen(name), NULL, 10) * 1024;
}

static tfn_code add_memory(tfn_buf *out, tfn_error *err)
{
    char status[4096] = "";
    FILE *file = fopen("/proc/self/status", "re");
    if (file == NULL) {
        return TFN_OK; /* another system: the family is left out */
    }
    const size_t n = fread(status, 1, sizeof status - 1, file);
    (void)fclose(file);
    status[n] = '\0';
    const int64_t resident = read_memory(status, "VmRSS:");
    const int64_t anonymous = read_memory(status, "RssAnon:");
    TFN_RETURN_IF_ERROR(begin_family(
        out, "tiffin_memory_bytes", "gauge",
        "Memory of this process: all that is resident, and what of it is no file's.", err));
    if (resident >= 0) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_format(
            out, err, "tiffin_memory_bytes{kind=\"resident\"} %lld\n", (long long)resident));
    }
    if (anonymous >= 0) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_format(
            out, err, "tiffin_memory_bytes{kind=\"anonymous\"} %lld\n", (long long)anonymous));
    }
    return TFN_OK;
}

static tfn_code add_open_files(tfn_buf *out, tfn_error *err)
{
    uint64_t n = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL) {
        return TFN_OK; /* another system, or no handle is left to count with */
    }
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        n += entry->d_name[0] != '.' ? 1 : 0;
    }
    (void)closedir(folder);
    return add_single(out, "tiffin_open_files", "gauge", "Open file handles of this process.",
                      n - 1, err); /* one of them was the folder itself */
}

static tfn_code add_process(const tfn_metrics *metrics, tfn_buf *out, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(
        begin_family(out, "tiffin_build_info", "gauge", "1; the version is in the label.", err));
    TFN_RETURN_IF_ERROR(
        tfn_buf_add_format(out, err, "tiffin_build_info{version=\"%s\"} 1\n", tfn_version()));
    TFN_RETURN_IF_ERROR(begin_family(out, "tiffin_start_time_seconds", "gauge",
                                     "When this server started, in seconds since 1970.", err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_format(out, err, "tiffin_start_time_seconds %lld.%06d\n",
                                           (long long)metrics->started.seconds,
                                           metrics->started.nanos / 1000));
    TFN_RETURN_IF_ERROR(add_memory(out, err));
    return add_open_files(out, err);
}

/* ---- the server ---- */

static tfn_code add_errors(const tfn_metrics *metrics, tfn_buf *out, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(begin_family(out, "tiffin_store_errors_total", "counter",
                                     "Calls of the store that failed, by code.", err));
    for (int i = 1; i < TFN__METRICS_N_CODES; i++) {
        uint64_t n = 0;
        for (size_t b = 0; b < metrics->n_blocks; b++) {
            n += get(&metrics->blocks[b]->store_errors[i]);
        }
        TFN_RETURN_IF_ERROR(tfn_buf_add_format(out, err,
                                               "tiffin_store_errors_total{code=\"%s\"} %llu\n",
                                               tfn_code_name((tfn_code)i), (unsigned long long)n));
    }
    TFN_RETURN_IF_ERROR(begin_family(out, "tiffin_refused_total", "counter",
                                     "What was refused before a handler saw it, by reason.", err));
    for (size_t i = 0; i < TFN_N_REFUSALS; i++) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_format(out, err, "tiffin_refused_total{why=\"%s\"} %llu\n",
                                               refusals[i],
                                               (unsigned long long)get(&metrics->refused[i])));
    }
    const int64_t n = atomic_load_explicit(&metrics->n_connections, memory_order_relaxed);
    return add_single(out, "tiffin_connections", "gauge", "Connections that are open.",
                      n > 0 ? (uint64_t)n : 0, err);
}

static tfn_code add_logs(const tfn_shared *shared, tfn_buf *out, tfn_error *err)
{
    const tfn_feature_log *features = shared->feature_log;
    const tfn_access_log *accesses = shared->access_log;
    TFN_RETURN_IF_ERROR(add_single(out, "tiffin_feature_log_records_total", "counter",
                                   "Answers that were written to the feature log.",
                                   features == NULL ? 0 : tfn_feature_log_get_written(features),
                                   err));
    TFN_RETURN_IF_ERROR(add_single(out, "tiffin_feature_log_dropped_total", "counter",
                                   "Answers that the feature log could not keep.",
                                   features == NULL ? 0 : tfn_feature_log_get_dropped(features),
                                   err));
    return add_single(out, "tiffin_access_log_dropped_total", "counter",
                      "Lines that the access log could not keep.",
                      accesses == NULL ? 0 : tfn_access_log_get_dropped(accesses), err);
}

static tfn_code write_families(const tfn_metrics *metrics, const tfn_shared *shared,
                               view_sums *sums, store_facts *facts, tfn_buf *out, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(sum_views(metrics, sums, err));
    TFN_RETURN_IF_ERROR(read_store(shared->store, sums, facts, err));
    if (sums->n > 1) {
        qsort(sums->items, sums->n, sizeof *sums->items, compare_sums);
    }
    TFN_RETURN_IF_ERROR(add_requests(metrics, out, err));
    TFN_RETURN_IF_ERROR(add_latencies(metrics, out, err));
    TFN_RETURN_IF_ERROR(add_values(sums, out, err));
    TFN_RETURN_IF_ERROR(add_ages(sums, out, err));
    TFN_RETURN_IF_ERROR(add_errors(metrics, out, err));
    TFN_RETURN_IF_ERROR(add_logs(shared, out, err));
    TFN_RETURN_IF_ERROR(add_process(metrics, out, err));
    return add_store(facts, out, err);
}

tfn_code tfn_metrics_write(tfn_metrics *metrics, const tfn_shared *shared, tfn_buf *out,
                           tfn_error *err)
{
    view_sums sums = {0};
    store_facts facts = {.commit = -1};
    const tfn_code rc = write_families(metrics, shared, &sums, &facts, out, err);
    yyjson_doc_free(facts.status);
    tfn_map_deinit(&sums.index);
    tfn_mem_free(sums.items);
    return rc;
}

tfn_route_outcome tfn_handle_metrics(tfn_context *context, const tfn_request *request,
                                     tfn_reply *reply)
{
    (void)request;
    const tfn_shared *shared = context->shared;
    tfn_error err = {0};
    if (shared->lookups_block && !context->may_block) {
        return TFN_ROUTE_LATER; /* the states of the views are asked of a server */
    }
    tfn_buf_clear(&reply->body);
    if (tfn_metrics_write(shared->metrics, shared, &reply->body, &err) != TFN_OK) {
        tfn_reply_error(reply, &err);
        return TFN_ROUTE_DONE;
    }
    reply->status = 200;
    reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
    return TFN_ROUTE_DONE;
}
