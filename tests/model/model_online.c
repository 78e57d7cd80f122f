/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* docs/semantics/write-rule.md, as simply as it can be said. */

#include "model/model_online.h"

#include <assert.h>
#include <stddef.h>

static int compare_times(model_online_time a, model_online_time b)
{
    if (a.is_missing || b.is_missing) {
        return (int)b.is_missing - (int)a.is_missing; /* missing is lowest */
    }
    if (a.seconds != b.seconds) {
        return a.seconds < b.seconds ? -1 : 1;
    }
    if (a.nanos != b.nanos) {
        return a.nanos < b.nanos ? -1 : 1;
    }
    return 0;
}

const model_online_row *model_online_find(const model_online *m, int view, int key)
{
    for (int i = 0; i < m->n_rows; i++) {
        if (m->rows[i].view == view && m->rows[i].key == key) {
            return &m->rows[i];
        }
    }
    return NULL;
}

model_online_outcome model_online_put(model_online *m, model_online_row row)
{
    for (int i = 0; i < m->n_rows; i++) {
        model_online_row *there = &m->rows[i];
        if (there->view != row.view || there->key != row.key) {
            continue;
        }
        int order = compare_times(row.event, there->event);
        if (order == 0) {
            order = compare_times(row.created, there->created);
        }
        if (order < 0) {
            return MODEL_ONLINE_OLDER;
        }
        if (order == 0 && row.features == there->features) {
            return MODEL_ONLINE_SAME;
        }
        *there = row;
        return MODEL_ONLINE_WRITTEN;
    }
    assert(m->n_rows < MODEL_ONLINE_ROWS);
    m->rows[m->n_rows] = row;
    m->n_rows++;
    return MODEL_ONLINE_WRITTEN;
}

void model_online_drop(model_online *m, int view)
{
    int n_kept = 0;
    for (int i = 0; i < m->n_rows; i++) {
        if (m->rows[i].view != view) {
            m->rows[n_kept] = m->rows[i];
            n_kept++;
        }
    }
    m->n_rows = n_kept;
}

int model_online_count(const model_online *m, int view)
{
    int n = 0;
    for (int i = 0; i < m->n_rows; i++) {
        n += m->rows[i].view == view;
    }
    return n;
}
