/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_TESTS_MODEL_RANGE_H
#define TFN_TESTS_MODEL_RANGE_H

/*
 * All rows of a window as they are defined (docs/semantics/point-in-time.md, "All rows of a
 * window"): which take part, and which of two comes first.
 */

#include "model/model_latest.h"

/* Does a row of any key take part? `w->has_created` is not used. */
bool model_range_takes(const model_row *row, const model_window *w);

/*
 * Does source row i come before source row k? `key_order` says how their keys compare (by bytes,
 * which the model does not know): < 0, 0, > 0.
 */
bool model_range_before(const model_row *source, size_t i, size_t k, int key_order, bool by_time);

#endif
