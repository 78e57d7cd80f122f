/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_METRICS_INTERNAL_H
#define TFN_SERVER_METRICS_INTERNAL_H

/* What metrics.c (counting) and metrics_text.c (the text of a scrape) share. */

#include <stdatomic.h>

#include "base/time.h"
#include "server/metrics.h"

enum {
    TFN__METRICS_N_BOUNDS = 17,  /* finite upper bounds of the histogram */
    TFN__METRICS_N_VIEWS = 256,  /* views with a name of their own; the others are one */
    TFN__METRICS_N_CELLS = 1024, /* of the hash table over them, a power of two */
    TFN__METRICS_N_STATUSES = 5, /* values of tfn_status */
    TFN__METRICS_N_CODES = 12,   /* values of tfn_code */
    TFN__METRICS_N_HTTP = 24     /* statuses of HTTP that have a counter, and one for the rest */
};

/** Upper bounds of the buckets in nanoseconds; their texts in seconds are in metrics_text.c. */
extern const int64_t tfn__metrics_bounds_ns[TFN__METRICS_N_BOUNDS];

/** Statuses of HTTP, ascending; 0 stands for any other. */
extern const int32_t tfn__metrics_http[TFN__METRICS_N_HTTP];

/* Requests of one path. */
typedef struct tfn__path_counters {
    _Atomic uint64_t statuses[TFN__METRICS_N_HTTP];
    _Atomic uint64_t buckets[TFN__METRICS_N_BOUNDS + 1]; /* not cumulated; the last: longer */
    _Atomic uint64_t took_ns;
    _Atomic uint64_t n_rows;
} tfn__path_counters;

typedef struct tfn__view_counters {
    char *name; /* NUL-terminated; written before the view is counted in n_views */
    size_t name_bytes;
    _Atomic uint64_t values[TFN__METRICS_N_STATUSES];
    _Atomic uint64_t written;
    _Atomic int64_t newest_us; /* INT64_MIN: none yet */
} tfn__view_counters;

/* Written by one thread at a time, read by scrapes. */
struct tfn_counters {
    const tfn_metrics *metrics;
    tfn__path_counters *paths; /* metrics->n_paths */
    _Atomic uint64_t store_errors[TFN__METRICS_N_CODES];
    tfn__view_counters views[TFN__METRICS_N_VIEWS + 1]; /* the last one: all others */
    _Atomic uint32_t n_views;
    uint16_t cells[TFN__METRICS_N_CELLS]; /* the writer's: 1 + index of a view; 0 = empty */
};

struct tfn_metrics {
    tfn_counters **blocks;
    size_t n_blocks;
    size_t *path_of_route; /* routes that differ by their method only share one */
    const char **paths;    /* n_paths; the last one stands for requests without a route */
    size_t n_paths;
    size_t n_routes;
    _Atomic int64_t n_connections;
    _Atomic uint64_t refused[TFN_N_REFUSALS];
    tfn_instant started;
};

#endif
