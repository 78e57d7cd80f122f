/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_TESTS_MODEL_ONLINE_H
#define TFN_TESTS_MODEL_ONLINE_H

/*
 * The slow twin of the online store: an array of rows, searched from the front, and the write rule
 * of docs/semantics/write-rule.md word for word; for a rollback (docs/semantics/generations.md) the
 * rows as they were, and everything that was pushed and deleted since, in order. It uses nothing of
 * the engine and is never made faster. A row's features are one number here: equal numbers stand
 * for equal features.
 */

#include <stdbool.h>
#include <stdint.h>

enum { MODEL_ONLINE_ROWS = 512, MODEL_ONLINE_VIEWS = 8 };

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
    bool is_known[MODEL_ONLINE_VIEWS];
    bool has_previous[MODEL_ONLINE_VIEWS];
    int n_previous;
    model_online_row previous[MODEL_ONLINE_ROWS]; /* of all views that have a previous state */
    int n_changes;
    struct {
        model_online_row row;
        bool is_deletion;
    } changes[MODEL_ONLINE_ROWS]; /* of all such views, since; in order */
} model_online;

const model_online_row *model_online_find(const model_online *m, int view, int key);

/* A caller's hand puts a row, or deletes a key. */
model_online_outcome model_online_put(model_online *m, model_online_row row);
bool model_online_delete(model_online *m, int view, int key);

/* A row of a load that is small goes into the rows as they are: put, without being noted. */
model_online_outcome model_online_put_loaded(model_online *m, model_online_row row);

/* A large load is done: the view's rows become those of `built`, which was copied from `*m` when
 * the load began to change something, then had the load's rows put, then everything that was pushed
 * and deleted since. What they were is the previous state. */
void model_online_flip(model_online *m, int view, const model_online *built);

/* False: there is no previous state. */
bool model_online_rollback(model_online *m, int view, bool drops_pushes);

void model_online_drop(model_online *m, int view);
int model_online_count(const model_online *m, int view);

#endif
