/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_BASE_MAP_H
#define TFN_BASE_MAP_H

/*
 * A map from text to a 32-bit number (usually an index into an array). Keys are borrowed: the
 * caller keeps them alive as long as the map. A zeroed struct is an empty map.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

typedef struct tfn_map_cell {
    tfn_str key; /* key.p == NULL: empty cell */
    uint32_t hash;
    uint32_t value;
} tfn_map_cell;

typedef struct tfn_map {
    tfn_map_cell *cells; /* power of two, linear probing, at most half full */
    size_t n_cells;
    size_t n;
} tfn_map;

void tfn_map_deinit(tfn_map *m);

/** True and `*value` when the key is there. Threads any (no writer meanwhile). Errors none. */
bool tfn_map_get(const tfn_map *m, tfn_str key, uint32_t *value);

/**
 * Put key -> value, replacing.
 *
 * @param key  [borrow until tfn_map_deinit]
 *
 * Threads  one at a time
 * Errors   TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_map_put(tfn_map *m, tfn_str key, uint32_t value, tfn_error *err);

#endif
