/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Keys are decoded one by one, times copied side by side.
 *
 * Cost: O(bytes of the keys) + 8 bytes per time.
 */

#include "offline/row_columns.h"

#include "offline/room.h"
#include "offline/slots.h"

#include "base/poison.h"

static tfn_code decode(const tfn_key_plan *plan, size_t n, tfn__key_fn get_key, const void *context,
                       tfn_builder **builders, tfn_arena *arena, tfn_error *err)
{
    for (size_t k = 0; k < plan->n_parts; k++) {
        TFN_RETURN_IF_ERROR(tfn_builder_create(plan->parts[k], (int64_t)n, &builders[k], err));
    }
    for (size_t i = 0; i < n; i++) {
        tfn_cell cells[TFN_MAX_KEY_PARTS];
        tfn_arena_reset(arena);
        TFN_RETURN_IF_ERROR(tfn_key_decode(plan, get_key(context, i), arena, cells, err));
        for (size_t k = 0; k < plan->n_parts; k++) {
            TFN_RETURN_IF_ERROR(tfn_builder_add(builders[k], &cells[k], err));
        }
    }
    return TFN_OK;
}

tfn_code tfn__row_key_columns(const tfn_key_plan *plan, size_t n, tfn__key_fn get_key,
                              const void *context, tfn_column **out, tfn_error *err)
{
    tfn_builder *builders[TFN_MAX_KEY_PARTS] = {0};
    tfn_arena arena = {0};
    for (size_t k = 0; k < plan->n_parts; k++) {
        out[k] = NULL;
    }
    tfn_code rc = decode(plan, n, get_key, context, builders, &arena, err);
    for (size_t k = 0; k < plan->n_parts && rc == TFN_OK; k++) {
        rc = tfn_builder_finish(&builders[k], &out[k], err);
    }
    for (size_t k = 0; k < plan->n_parts; k++) {
        tfn_builder_destroy(builders[k]);
        if (rc != TFN_OK) {
            tfn_column_release(out[k]);
            out[k] = NULL;
        }
    }
    tfn_arena_deinit(&arena);
    return rc;
}

static tfn_code make_times(tfn_unit unit, size_t n, int64_t *values, uint8_t *valid,
                           tfn_column **out, tfn_error *err)
{
    const tfn_type type = {.kind = TFN_KIND_TIMESTAMP, .unit = (uint8_t)unit};
    const tfn_code rc = tfn_column_of_fixed(type, (int64_t)n, values, valid, out, err);
    if (rc != TFN_OK) {
        tfn_mem_free(values);
        tfn_mem_free(valid);
    }
    return rc;
}

tfn_code tfn__row_event_column(tfn_unit unit, size_t n, const int64_t *times, tfn_column **out,
                               tfn_error *err)
{
    *out = NULL;
    int64_t *values = NULL;
    TFN_RETURN_IF_ERROR(tfn__room(n, sizeof *values, &values, err));
    if (n > 0) {
        memcpy(values, times, n * sizeof *values);
    }
    return make_times(unit, n, values, NULL, out, err);
}

tfn_code tfn__row_created_column(tfn_unit unit, size_t n, const int64_t *times, tfn_column **out,
                                 tfn_error *err)
{
    *out = NULL;
    int64_t *values = NULL;
    uint8_t *valid = NULL;
    TFN_RETURN_IF_ERROR(tfn__room(n, sizeof *values, &values, err));
    const tfn_code rc = tfn__room_zero(n / 8 + 1, 1, &valid, err);
    if (rc != TFN_OK) {
        tfn_mem_free(values);
        return rc;
    }
    for (size_t i = 0; i < n; i++) {
        const bool is_there = times[i] > TFN__NO_CREATED + 1 && times[i] != INT64_MAX;
        values[i] = is_there ? times[i] : 0;
        valid[i / 8] = (uint8_t)(valid[i / 8] | (is_there ? 1u : 0u) << (i % 8));
    }
    return make_times(unit, n, values, valid, out, err);
}
