/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * From vectors to rows that may take part (docs/semantics/point-in-time.md, "Rows that never take
 * part").
 *
 * Invariants
 *  1. Every row read is either in `rows` or counted under exactly one reason; the order of reasons
 *     is the order of the counts.
 *  2. A created time that is there is greater than TFN__NO_CREATED, so a missing one is lowest.
 *  3. An infinitely late created time is never known; an infinitely early one always is.
 */

#include "offline/block.h"

#include <string.h>

#include "offline/slots.h"

#include "base/poison.h"

void tfn__block_deinit(tfn__block *b)
{
    tfn_keys_deinit(&b->keys);
}

/* Times of a chunk in the unit that the scan agreed on. A coarser one (dates) is multiplied; what
 * then leaves the range saturates, 292,000 years from now. */
static tfn_code read_column(const tfn__block_rule *rule, const tfn_chunk *chunk, size_t i_column,
                            tfn_unit unit, int64_t begin, int64_t n, int64_t *values,
                            uint8_t *states, tfn_error *err)
{
    const tfn_vec *v = &chunk->cols[i_column];
    const tfn_unit found = v->layout == TFN_LAYOUT_NONE ? unit : tfn__times_unit(v->type);
    if (found > unit) {
        return TFN_FAIL(err, TFN_SCHEMA,
                        "source '%.*s', column '%.*s': its time unit is finer than the one that "
                        "the source announced",
                        TFN_STR_ARG(rule->source_label),
                        TFN_STR_ARG(rule->columns->names[i_column]));
    }
    tfn__times_read(v, begin, n, values, states);
    for (int64_t i = 0; i < n && found != unit; i++) {
        values[i] = states[i] == TFN__TIME_OK ? tfn_time_convert(values[i], found, unit) : 0;
    }
    return TFN_OK;
}

static tfn_code read_times(tfn__block *b, const tfn__block_rule *rule, const tfn_chunk *chunk,
                           int64_t begin, int64_t n, tfn_error *err)
{
    const tfn__columns *c = rule->columns;
    TFN_RETURN_IF_ERROR(
        read_column(rule, chunk, c->n_keys, c->event_unit, begin, n, b->event, b->states, err));
    if (!c->has_created) {
        memset(b->created_states, TFN__TIME_NULL, (size_t)n);
        for (int64_t i = 0; i < n; i++) {
            b->created[i] = TFN__NO_CREATED;
        }
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(read_column(rule, chunk, c->i_created, c->created_unit, begin, n,
                                    b->created, b->created_states, err));
    for (int64_t i = 0; i < n; i++) {
        if (b->created_states[i] == TFN__TIME_NULL) {
            b->created[i] = TFN__NO_CREATED;
        } else if (b->created_states[i] == TFN__TIME_PLUS_INFINITY) {
            b->created[i] = INT64_MAX;
        } else if (b->created_states[i] == TFN__TIME_MINUS_INFINITY ||
                   b->created[i] == TFN__NO_CREATED) {
            b->created[i] = TFN__NO_CREATED + 1;
        }
    }
    return TFN_OK;
}

static tfn_code read_keys(tfn__block *b, const tfn__block_rule *rule, const tfn_chunk *chunk,
                          int64_t begin, int64_t n, tfn_error *err)
{
    tfn_vec cols[TFN_MAX_KEY_PARTS];
    for (size_t i = 0; i < rule->columns->n_keys; i++) {
        cols[i] = tfn_vec_slice(&chunk->cols[i], begin, n);
    }
    const tfn_code rc = tfn_keys_encode(&b->keys, rule->keys, cols, n, err);
    if (rc != TFN_OK) {
        tfn_error_prepend(err, "source '%.*s', join keys: ", TFN_STR_ARG(rule->source_label));
    }
    return rc;
}

static bool is_known(const tfn__block *b, const tfn__block_rule *rule, int64_t i)
{
    return b->created_states[i] != TFN__TIME_NULL &&
           b->created_states[i] != TFN__TIME_PLUS_INFINITY &&
           tfn__bounds_hold(&rule->known, b->created[i]);
}

/* Rows with a time, a key, and (if asked for) a known created time. */
static void list_rows(tfn__block *b, const tfn__block_rule *rule)
{
    uint32_t n_rows = 0;
    tfn__block_counts *counts = &b->counts;
    counts->n_read += b->n;
    for (int64_t i = 0; i < b->n; i++) {
        b->rows[n_rows] = (uint32_t)i;
        if (b->states[i] != TFN__TIME_OK) {
            counts->n_without_time += b->states[i] == TFN__TIME_NULL ? 1 : 0;
            counts->n_infinite_time += b->states[i] == TFN__TIME_NULL ? 0 : 1;
        } else if (b->keys.ok[i] == 0) {
            counts->n_without_key++;
        } else if (rule->created_required && !is_known(b, rule, i)) {
            counts->n_not_known++;
        } else {
            n_rows++;
        }
    }
    b->n_rows = n_rows;
}

tfn_code tfn__block_read(tfn__block *b, const tfn__block_rule *rule, const tfn_chunk *chunk,
                         int64_t begin, int64_t n, tfn_error *err)
{
    b->n = n;
    TFN_RETURN_IF_ERROR(read_times(b, rule, chunk, begin, n, err));
    TFN_RETURN_IF_ERROR(read_keys(b, rule, chunk, begin, n, err));
    list_rows(b, rule);
    return TFN_OK;
}
