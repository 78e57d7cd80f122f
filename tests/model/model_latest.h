/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_TESTS_MODEL_LATEST_H
#define TFN_TESTS_MODEL_LATEST_H

/* Latest-per-key as it is defined: a row is in the result if it takes part and no row of its key
 * that takes part is better. */

#include "model/model_join.h"

typedef struct model_window {
    bool has_start;
    bool has_end;
    bool has_created;
    bool has_known_at;
    model_time start;         /* inclusive */
    model_time end;           /* inclusive */
    model_time created_after; /* exclusive */
    model_time created_until; /* inclusive */
    model_time known_at;
} model_window;

/* is_latest[k]: whether source row k is in the result. */
void model_latest(const model_row *source, size_t n_source, const model_window *window,
                  bool *is_latest);

#endif
