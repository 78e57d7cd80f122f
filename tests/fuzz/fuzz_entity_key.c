/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Arbitrary bytes as an entity key (docs/formats/entity-key.md): the first byte chooses a plan, the
 * rest is the key. What decodes must encode to the same bytes and hash; everything else must be
 * refused as corrupt.
 */

#include <stdint.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "column/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_PARTS = 4 };

typedef struct plan_case {
    size_t n_parts;
    uint8_t kinds[MAX_PARTS];
} plan_case;

static const plan_case plans[] = {
    {0, {0}},
    {1, {TFN_KIND_INT64}},
    {1, {TFN_KIND_STRING}},
    {1, {TFN_KIND_TIMESTAMP}},
    {2, {TFN_KIND_BOOL, TFN_KIND_INT32}},
    {2, {TFN_KIND_STRING, TFN_KIND_BYTES}},
    {3, {TFN_KIND_DATE, TFN_KIND_STRING, TFN_KIND_INT64}},
    {4, {TFN_KIND_BYTES, TFN_KIND_TIMESTAMP, TFN_KIND_STRING, TFN_KIND_BOOL}},
};

/* Seconds near the ends of int64 nanoseconds saturate: such times cannot come back. */
static bool has_saturated_time(const tfn_key_plan *plan, const tfn_cell *cells)
{
    for (size_t k = 0; k < plan->n_parts; k++) {
        const int64_t value = (int64_t)cells[k].bits;
        if (plan->parts[k].kind == TFN_KIND_TIMESTAMP &&
            (value == INT64_MIN || value == INT64_MAX)) {
            return true;
        }
    }
    return false;
}

static void check(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void decode_and_encode(const tfn_key_plan *plan, tfn_str key)
{
    tfn_arena arena = {0};
    tfn_cell cells[MAX_PARTS];
    tfn_buf again = {0};
    const tfn_code rc = tfn_key_decode(plan, key, &arena, cells, NULL);
    check(rc == TFN_OK || rc == TFN_CORRUPT);
    if (rc == TFN_OK && !has_saturated_time(plan, cells)) {
        const tfn_code encoded = tfn_key_encode_cells(plan, cells, &again, NULL);
        check(encoded == (key.n > TFN_MAX_KEY_BYTES ? TFN_LIMIT : TFN_OK));
        check(encoded != TFN_OK || tfn_str_equal(tfn_buf_get_str(&again), key));
        check(encoded != TFN_OK ||
              tfn_key_hash(plan, key) == tfn_key_hash(plan, tfn_buf_get_str(&again)));
    }
    tfn_buf_deinit(&again);
    tfn_arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    const plan_case *chosen = &plans[data[0] % (sizeof plans / sizeof plans[0])];
    tfn_type parts[MAX_PARTS] = {{0}};
    for (size_t k = 0; k < chosen->n_parts; k++) {
        parts[k].kind = chosen->kinds[k];
        parts[k].unit = chosen->kinds[k] == TFN_KIND_TIMESTAMP ? TFN_UNIT_NS : 0;
    }
    tfn_key_plan plan;
    check(tfn_key_plan_init(&plan, parts, chosen->n_parts, NULL) == TFN_OK);
    decode_and_encode(&plan, (tfn_str){(const char *)data + 1, size - 1});
    return 0;
}
