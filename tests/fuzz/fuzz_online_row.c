/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Rows and row schemas as somebody else may have written them.
 *
 * Input: u16 bytes of the schema | packed schema | row. Whatever opens must be readable to the last
 * item of the last list, and come back from being written again.
 */

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "online/row.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static void read_list(tfn_type type, tfn_str packed)
{
    tfn_list list;
    if (tfn_list_open(type, packed, &list, NULL) != TFN_OK) {
        return;
    }
    for (uint32_t i = 0; i < list.n; i++) {
        const tfn_cell item = tfn_list_get(&list, i);
        uint8_t sum = item.is_null;
        for (size_t k = 0; k < item.bytes.n; k++) {
            sum ^= (uint8_t)item.bytes.p[k];
        }
        volatile const uint8_t seen = sum;
        (void)seen;
    }
}

static void read_cells(const tfn_row *row, tfn_cell *cells)
{
    for (uint32_t i = 0; i < row->schema->n_fields; i++) {
        const tfn_type type = row->schema->fields[i].type;
        tfn_row_get(row, i, &cells[i]);
        if (type.is_list && !cells[i].is_null) {
            read_list(type, cells[i].bytes);
        }
    }
}

/* What was read, written again, reads the same. */
static void write_again(const tfn_row *row, const tfn_cell *cells)
{
    tfn_buf buf = {0};
    tfn_row again;
    const tfn_code rc =
        tfn_row_encode(row->schema, cells, row->event, row->created, row->full_key, &buf, NULL);
    if (rc == TFN_OK) { /* overlapping values may add up to more than a row may have */
        const tfn_code opened = tfn_row_open(row->schema, tfn_buf_get_str(&buf), &again, NULL);
        assert(opened == TFN_OK);
        (void)opened;
        assert(tfn_instant_compare(row->event, again.event) == 0);
        assert(tfn_instant_compare(row->created, again.created) == 0);
        assert(tfn_str_equal(row->full_key, again.full_key));
        for (uint32_t i = 0; i < row->schema->n_fields; i++) {
            tfn_cell cell;
            tfn_row_get(&again, i, &cell);
            assert(cell.is_null == cells[i].is_null && cell.bits == cells[i].bits);
            assert(tfn_str_equal(cell.bytes, cells[i].bytes));
        }
    }
    tfn_buf_deinit(&buf);
}

static void read_row(tfn_row_schema *schema, tfn_str bytes)
{
    tfn_arena arena = {0};
    tfn_row row;
    void *cells = NULL;
    if (tfn_row_get_schema_id(bytes, &schema->id, NULL) == TFN_OK &&
        tfn_row_open(schema, bytes, &row, NULL) == TFN_OK &&
        tfn_arena_alloc(&arena, schema->n_fields, sizeof(tfn_cell), &cells, NULL) == TFN_OK) {
        read_cells(&row, cells);
        write_again(&row, cells);
    }
    tfn_arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    if (n_bytes < 2) {
        return 0;
    }
    size_t n_schema = (size_t)bytes[0] | (size_t)bytes[1] << 8;
    n_schema = n_schema < n_bytes - 2 ? n_schema : n_bytes - 2;
    const tfn_str packed = {(const char *)bytes + 2, n_schema};
    const tfn_str row = {(const char *)bytes + 2 + n_schema, n_bytes - 2 - n_schema};
    tfn_row_schema *schema = NULL;
    if (tfn_row_schema_unpack(packed, &schema, NULL) == TFN_OK) {
        read_row(schema, row);
    }
    tfn_row_schema_destroy(schema);
    return 0;
}
