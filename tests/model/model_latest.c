/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* The specification of latest-per-key; see the header. */

#include "model/model_latest.h"

static bool takes_part(const model_row *row, const model_window *w)
{
    if (row->key < 0 || !row->has_time) {
        return false;
    }
    if (w->has_known_at && (!row->has_created || row->created > w->known_at)) {
        return false;
    }
    if (w->has_end && row->time > w->end) {
        return false;
    }
    const bool is_late = w->has_created && row->has_created && row->created > w->created_after &&
                         row->created <= w->created_until;
    return is_late || !w->has_start || row->time >= w->start;
}

void model_latest(const model_row *source, size_t n_source, const model_window *window,
                  bool *is_latest)
{
    for (size_t i = 0; i < n_source; i++) {
        is_latest[i] = takes_part(&source[i], window);
        for (size_t k = 0; k < n_source && is_latest[i]; k++) {
            if (k == i || source[k].key != source[i].key || !takes_part(&source[k], window)) {
                continue;
            }
            const bool loses =
                k > i ? model_beats(&source[k], &source[i]) : !model_beats(&source[i], &source[k]);
            is_latest[i] = !loses;
        }
    }
}
