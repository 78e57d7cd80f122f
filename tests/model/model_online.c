/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* docs/semantics/write-rule.md and generations.md, as simply as it can be said. */

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

model_online_outcome model_online_put_loaded(model_online *m, model_online_row row)
{
    m->is_known[row.view] = true;
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

static void remove_row(model_online *m, int view, int key)
{
    for (int i = 0; i < m->n_rows; i++) {
        if (m->rows[i].view == view && m->rows[i].key == key) {
            m->n_rows--;
            m->rows[i] = m->rows[m->n_rows];
            return;
        }
    }
}

static void note(model_online *m, model_online_row row, bool is_deletion)
{
    if (m->has_previous[row.view]) {
        assert(m->n_changes < MODEL_ONLINE_ROWS);
        m->changes[m->n_changes].row = row;
        m->changes[m->n_changes].is_deletion = is_deletion;
        m->n_changes++;
    }
}

model_online_outcome model_online_put(model_online *m, model_online_row row)
{
    note(m, row, false);
    return model_online_put_loaded(m, row);
}

bool model_online_delete(model_online *m, int view, int key)
{
    const bool was_there = model_online_find(m, view, key) != NULL;
    note(m, (model_online_row){.view = view, .key = key}, true);
    remove_row(m, view, key);
    return was_there;
}

static void drop_rows(model_online *m, int view)
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

static void drop_previous(model_online *m, int view)
{
    int n_kept = 0;
    for (int i = 0; i < m->n_previous; i++) {
        if (m->previous[i].view != view) {
            m->previous[n_kept] = m->previous[i];
            n_kept++;
        }
    }
    m->n_previous = n_kept;
    n_kept = 0;
    for (int i = 0; i < m->n_changes; i++) {
        if (m->changes[i].row.view != view) {
            m->changes[n_kept] = m->changes[i];
            n_kept++;
        }
    }
    m->n_changes = n_kept;
    m->has_previous[view] = false;
}

static void keep_as_previous(model_online *m, const model_online *state, int view)
{
    drop_previous(m, view);
    for (int i = 0; i < state->n_rows; i++) {
        if (state->rows[i].view == view) {
            assert(m->n_previous < MODEL_ONLINE_ROWS);
            m->previous[m->n_previous] = state->rows[i];
            m->n_previous++;
        }
    }
    m->has_previous[view] = true;
}

void model_online_flip(model_online *m, int view, const model_online *built)
{
    if (m->is_known[view]) {
        keep_as_previous(m, m, view);
    }
    drop_rows(m, view);
    for (int i = 0; i < built->n_rows; i++) {
        if (built->rows[i].view == view) {
            (void)model_online_put_loaded(m, built->rows[i]);
        }
    }
    m->is_known[view] = true;
}

bool model_online_rollback(model_online *m, int view, bool drops_pushes)
{
    const model_online before = *m;
    if (!m->has_previous[view]) {
        return false;
    }
    drop_rows(m, view);
    for (int i = 0; i < before.n_previous; i++) {
        if (before.previous[i].view == view) {
            (void)model_online_put_loaded(m, before.previous[i]);
        }
    }
    for (int i = 0; i < before.n_changes && !drops_pushes; i++) {
        const model_online_row row = before.changes[i].row;
        if (row.view != view) {
            continue;
        }
        if (before.changes[i].is_deletion) {
            remove_row(m, view, row.key);
        } else {
            (void)model_online_put_loaded(m, row);
        }
    }
    keep_as_previous(m, &before, view);
    return true;
}

void model_online_drop(model_online *m, int view)
{
    drop_rows(m, view);
    drop_previous(m, view);
    m->is_known[view] = false;
}

int model_online_count(const model_online *m, int view)
{
    int n = 0;
    for (int i = 0; i < m->n_rows; i++) {
        n += m->rows[i].view == view;
    }
    return n;
}
