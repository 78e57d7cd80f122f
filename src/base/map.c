/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Open addressing with linear probing; doubled when half full; nothing is ever removed. */

#include "base/map.h"

#include "base/hash.h"
#include "base/mem.h"

#include "base/poison.h"

static const char empty_key[] = ""; /* stands for a key of no bytes, so that p is never NULL */

void tfn_map_deinit(tfn_map *m)
{
    tfn_mem_free(m->cells);
    *m = (tfn_map){0};
}

/* The cell of the key, or the empty cell where it belongs. n_cells > 0. */
static tfn_map_cell *cell_of(const tfn_map *m, tfn_str key, uint32_t hash)
{
    size_t i = hash & (m->n_cells - 1);
    while (m->cells[i].key.p != NULL &&
           (m->cells[i].hash != hash || !tfn_str_equal(m->cells[i].key, key))) {
        i = (i + 1) & (m->n_cells - 1);
    }
    return &m->cells[i];
}

bool tfn_map_get(const tfn_map *m, tfn_str key, uint32_t *value)
{
    *value = 0;
    if (m->n == 0) {
        return false;
    }
    const tfn_map_cell *cell = cell_of(m, key, (uint32_t)tfn_hash64(key.p, key.n));
    if (cell->key.p == NULL) {
        return false;
    }
    *value = cell->value;
    return true;
}

static tfn_code grow(tfn_map *m, tfn_error *err)
{
    tfn_map larger = {.n_cells = m->n_cells == 0 ? 16 : m->n_cells * 2, .n = m->n};
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(larger.n_cells, sizeof *larger.cells, &p, err));
    larger.cells = p;
    for (size_t i = 0; i < m->n_cells; i++) {
        if (m->cells[i].key.p != NULL) {
            *cell_of(&larger, m->cells[i].key, m->cells[i].hash) = m->cells[i];
        }
    }
    tfn_mem_free(m->cells);
    *m = larger;
    return TFN_OK;
}

tfn_code tfn_map_put(tfn_map *m, tfn_str key, uint32_t value, tfn_error *err)
{
    if (m->n * 2 >= m->n_cells) {
        TFN_RETURN_IF_ERROR(grow(m, err));
    }
    const tfn_str stored = key.p == NULL ? (tfn_str){empty_key, 0} : key;
    const uint32_t hash = (uint32_t)tfn_hash64(key.p, key.n);
    tfn_map_cell *cell = cell_of(m, key, hash);
    if (cell->key.p == NULL) {
        *cell = (tfn_map_cell){stored, hash, 0};
        m->n++;
    }
    cell->value = value;
    return TFN_OK;
}
