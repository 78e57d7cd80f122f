/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* The specification of rows of a window; see the header. */

#include "model/model_range.h"

bool model_range_takes(const model_row *row, const model_window *w)
{
    if (row->key < 0 || !row->has_time) {
        return false;
    }
    if (w->has_known_at && (!row->has_created || row->created > w->known_at)) {
        return false;
    }
    return (!w->has_start || row->time >= w->start) && (!w->has_end || row->time <= w->end);
}

bool model_range_before(const model_row *source, size_t i, size_t k, int key_order, bool by_time)
{
    const model_row *a = &source[i];
    const model_row *b = &source[k];
    if (by_time && a->time != b->time) {
        return a->time < b->time;
    }
    if (key_order != 0) {
        return key_order < 0;
    }
    if (a->time != b->time) {
        return a->time < b->time;
    }
    if (a->has_created != b->has_created) {
        return !a->has_created;
    }
    if (a->has_created && a->created != b->created) {
        return a->created < b->created;
    }
    return i < k;
}
