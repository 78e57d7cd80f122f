/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Answers: rows as they were found, decoded when somebody asks. As a table: answer_table.c.
 *
 * Status of a feature (tfn__feature_get of lookup.h), in this order: no row -> NOT_FOUND; older than the run's max_age,
 * or than ttl under `enforce` -> OUTSIDE_MAX_AGE, null; the row was written before the feature existed -> NOT_FOUND with the row's
 * time; null -> NULL_VALUE; else PRESENT.
 */

#include "base/mem.h"
#include "store/lookup.h"
#include "store/value.h"

#include "base/poison.h"

void tfn_answer_destroy(tfn_answer *answer)
{
    if (answer == NULL ||
        atomic_fetch_sub_explicit(&answer->n_owners, 1, memory_order_acq_rel) > 1) {
        return;
    }
    tfn__lookup_plan_release(answer->plan);
    tfn_arena_deinit(&answer->arena);
    tfn_mem_free(answer);
}

tfn_answer *tfn_answer_retain(tfn_answer *answer)
{
    (void)atomic_fetch_add_explicit(&answer->n_owners, 1, memory_order_relaxed);
    return answer;
}

size_t tfn_answer_get_n_bytes(const tfn_answer *answer)
{
    return sizeof *answer + answer->arena.n_bytes;
}

size_t tfn_answer_get_n_rows(const tfn_answer *answer)
{
    return answer->n_rows;
}

size_t tfn_answer_get_n_keys(const tfn_answer *answer)
{
    return answer->plan->n_keys;
}

int64_t tfn_answer_get_commit(const tfn_answer *answer)
{
    return tfn_snapshot_get_commit(answer->plan->selection.snapshot);
}

size_t tfn_answer_get_n_columns(const tfn_answer *answer)
{
    return answer->plan->n_keys + answer->plan->selection.n_outputs;
}

const char *tfn_answer_get_name(const tfn_answer *answer, size_t i_column)
{
    const tfn_lookup_plan *plan = answer->plan;
    if (i_column < plan->n_keys) {
        return plan->keys[i_column].name.p;
    }
    i_column -= plan->n_keys;
    return i_column < plan->selection.n_outputs ? plan->selection.outputs[i_column].name.p : NULL;
}

int tfn_answer_get_logical_type(const tfn_answer *answer, size_t i_column,
                                char text[TFN_LOGICAL_TYPE_BYTES])
{
    const tfn_lookup_plan *plan = answer->plan;
    if (i_column < plan->n_keys || i_column - plan->n_keys >= plan->selection.n_outputs) {
        return 0;
    }
    const tfn_selected_output *output = &plan->selection.outputs[i_column - plan->n_keys];
    const tfn_type type = plan->views[output->i_view].wanted[output->i_feature].type;
    if (!tfn_type_is_logical(type)) {
        return 0;
    }
    tfn_type_format(type, text);
    return 1;
}

const char *tfn_answer_get_view(const tfn_answer *answer, size_t i_column, size_t *i_read)
{
    const tfn_lookup_plan *plan = answer->plan;
    if (i_column < plan->n_keys || i_column - plan->n_keys >= plan->selection.n_outputs) {
        return NULL;
    }
    const size_t i_view = plan->selection.outputs[i_column - plan->n_keys].i_view;
    if (i_read != NULL) {
        *i_read = i_view;
    }
    return plan->views[i_view].name;
}

const char *tfn_answer_get_warning(const tfn_answer *answer, size_t i)
{
    return i < answer->n_warnings ? answer->warnings[i] : NULL;
}

/* A cell as a public value. Common kinds first; the rest goes the long way. */
static void put_value(tfn_type type, const tfn_cell *cell, tfn_value *out)
{
    const bool is_integer = type.kind == TFN_KIND_INT64 || type.kind == TFN_KIND_INT32;
    if (is_integer && !type.is_list && !cell->is_null) {
        *out = (tfn_value){.kind = type.kind, .unit = type.unit, .integer = (int64_t)cell->bits};
    } else {
        tfn__value_of_cell(type, cell, out);
    }
}

static tfn_status get_key(const tfn_answer *answer, size_t i_row, size_t i_key, tfn_value *value)
{
    const tfn_lookup_plan *plan = answer->plan;
    const size_t i_cell = i_row * plan->n_keys + i_key;
    const tfn_cell *key = &answer->keys[i_cell];
    tfn_type type = plan->keys[i_key].type;
    type.unit = answer->key_units[i_cell];
    put_value(type, key, value);
    return key->is_null ? TFN_STATUS_NULL_VALUE : TFN_STATUS_PRESENT;
}

static tfn_status get_value(const tfn__feature_column *column, size_t i_row, tfn_value *value)
{
    tfn_type type;
    tfn_cell cell;
    const tfn_status status = tfn__feature_get(column, i_row, &type, &cell);
    put_value(type, &cell, value);
    return status;
}

tfn_status tfn_answer_get(const tfn_answer *answer, size_t i_row, size_t i_column, tfn_value *value)
{
    int32_t status = TFN_STATUS_INVALID;
    tfn_answer_get_values(answer, i_column, i_row, 1, value, &status);
    return (tfn_status)status;
}

void tfn_answer_get_values(const tfn_answer *answer, size_t i_column, size_t begin, size_t n,
                           tfn_value *values, int32_t *statuses)
{
    const size_t n_keys = answer->plan->n_keys;
    const bool is_there = i_column < tfn_answer_get_n_columns(answer);
    const bool is_key = i_column < n_keys;
    tfn__feature_column column = {0};
    if (is_there && !is_key) {
        column = tfn__feature_column_of(answer, i_column - n_keys);
    }
    for (size_t i = 0; i < n; i++) {
        tfn_status status = TFN_STATUS_INVALID;
        if (!is_there || i >= answer->n_rows || begin >= answer->n_rows - i) {
            values[i] = (tfn_value){.kind = TFN_VALUE_NULL};
        } else if (is_key) {
            status = get_key(answer, begin + i, i_column, &values[i]);
        } else {
            status = get_value(&column, begin + i, &values[i]);
        }
        if (statuses != NULL) {
            statuses[i] = (int32_t)status;
        }
    }
}

tfn_time tfn_answer_get_event_time(const tfn_answer *answer, size_t i_row, size_t i_column)
{
    const tfn_lookup_plan *plan = answer->plan;
    if (i_row >= answer->n_rows || i_column < plan->n_keys ||
        i_column >= tfn_answer_get_n_columns(answer)) {
        return (tfn_time){0};
    }
    const tfn__feature_column column = tfn__feature_column_of(answer, i_column - plan->n_keys);
    const tfn_found_row *found = &column.found[i_row];
    if (found->i_fields == NULL) {
        return (tfn_time){0};
    }
    return (tfn_time){found->row.event.seconds, found->row.event.nanos, 1};
}
