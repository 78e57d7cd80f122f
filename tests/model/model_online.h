/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_TESTS_MODEL_ONLINE_H
#define TFN_TESTS_MODEL_ONLINE_H

/*
 * The slow twin of the online store: an array of rows, searched from the front, and the write rule
 * of docs/semantics/write-rule.md word for word. It uses nothing of the engine and is never made
 * faster. A row's features are one number here: equal numbers stand for equal features.
 */

#include <stdbool.h>
#include <stdint.h>

enum { MODEL_ONLINE_ROWS = 512 };

typedef struct model_online_time {
    int64_t seconds;
    int32_t nanos;
    bool is_missing; /* created times only */
} model_online_time;

typedef struct model_online_row {
    int view;
    int key;
    model_online_time event;
    model_online_time created;
    uint64_t features;
} model_online_row;

typedef enum model_online_outcome {
    MODEL_ONLINE_WRITTEN,
    MODEL_ONLINE_OLDER,
    MODEL_ONLINE_SAME
} model_online_outcome;

/* A zeroed struct is an empty store. Copy it to remember a state. */
typedef struct model_online {
    int n_rows;
    model_online_row rows[MODEL_ONLINE_ROWS];
} model_online;

const model_online_row *model_online_find(const model_online *m, int view, int key);
model_online_outcome model_online_put(model_online *m, model_online_row row);
void model_online_drop(model_online *m, int view);
int model_online_count(const model_online *m, int view);

#endif
