/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Answers: rows as they were found, decoded cell by cell when somebody asks.
 *
 * Status of a feature, in this order: no row -> NOT_FOUND; older than ttl under `enforce` ->
 * OUTSIDE_MAX_AGE, null; the row was written before the feature existed -> NOT_FOUND with the row's
 * time; null -> NULL_VALUE; else PRESENT.
 */

#include <string.h>

#include "base/mem.h"
#include "column/frame.h"
#include "store/lookup.h"
#include "store/value.h"

#include "base/poison.h"

void tfn_answer_destroy(tfn_answer *answer)
{
    if (answer == NULL) {
        return;
    }
    tfn__lookup_plan_release(answer->plan);
    tfn_arena_deinit(&answer->arena);
    tfn_mem_free(answer);
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

const char *tfn_answer_get_warning(const tfn_answer *answer, size_t i)
{
    return i < answer->n_warnings ? answer->warnings[i] : NULL;
}

static const tfn_found_row *found_at(const tfn_answer *answer, size_t i_row,
                                     const tfn_selected_output *output)
{
    return &answer->found[output->i_view * answer->n_rows + i_row];
}

/* A feature's cell, its type (with the unit that the row has), and its status. */
static tfn_status get_cell(const tfn_answer *answer, size_t i_row,
                           const tfn_selected_output *output, tfn_type *type, tfn_cell *cell)
{
    const tfn_found_row *found = found_at(answer, i_row, output);
    *cell = (tfn_cell){.is_null = true};
    *type = answer->plan->views[output->i_view].wanted[output->i_feature].type;
    if (found->i_fields == NULL) {
        return TFN_STATUS_NOT_FOUND;
    }
    if (answer->expired[output->i_view * answer->n_rows + i_row]) {
        return TFN_STATUS_OUTSIDE_MAX_AGE;
    }
    const int32_t i_field = found->i_fields[output->i_feature];
    if (i_field < 0) {
        return TFN_STATUS_NOT_FOUND;
    }
    tfn_row_get(&found->row, (uint32_t)i_field, cell);
    *type = found->row.schema->fields[i_field].type;
    return cell->is_null ? TFN_STATUS_NULL_VALUE : TFN_STATUS_PRESENT;
}

tfn_status tfn_answer_get(const tfn_answer *answer, size_t i_row, size_t i_column, tfn_value *value)
{
    const tfn_lookup_plan *plan = answer->plan;
    *value = (tfn_value){.kind = TFN_VALUE_NULL};
    if (i_row >= answer->n_rows || i_column >= tfn_answer_get_n_columns(answer)) {
        return TFN_STATUS_INVALID;
    }
    if (i_column < plan->n_keys) {
        const size_t i_cell = i_row * plan->n_keys + i_column;
        const tfn_cell *key = &answer->keys[i_cell];
        tfn_type type = plan->keys[i_column].type;
        type.unit = answer->key_units[i_cell];
        tfn__value_of_cell(type, key, value);
        return key->is_null ? TFN_STATUS_NULL_VALUE : TFN_STATUS_PRESENT;
    }
    tfn_type type;
    tfn_cell cell;
    const tfn_selected_output *output = &plan->selection.outputs[i_column - plan->n_keys];
    const tfn_status status = get_cell(answer, i_row, output, &type, &cell);
    tfn__value_of_cell(type, &cell, value);
    return status;
}

tfn_time tfn_answer_get_event_time(const tfn_answer *answer, size_t i_row, size_t i_column)
{
    const tfn_lookup_plan *plan = answer->plan;
    if (i_row >= answer->n_rows || i_column < plan->n_keys ||
        i_column >= tfn_answer_get_n_columns(answer)) {
        return (tfn_time){0};
    }
    const tfn_found_row *found =
        found_at(answer, i_row, &plan->selection.outputs[i_column - plan->n_keys]);
    if (found->i_fields == NULL) {
        return (tfn_time){0};
    }
    return (tfn_time){found->row.event.seconds, found->row.event.nanos, 1};
}

/* ---- as a table ---- */

typedef struct table {
    tfn_column **columns;
    tfn_str *names;
    size_t n;
    tfn_arena arena;
} table;

static tfn_code add_column(table *t, tfn_str name, const char *suffix, tfn_builder **builder,
                           tfn_error *err)
{
    tfn_buf full = {0};
    tfn_code rc = tfn_buf_add_str(&full, name, err);
    if (rc == TFN_OK) {
        rc = tfn_buf_add_text(&full, suffix, err);
    }
    if (rc == TFN_OK) {
        rc = tfn_arena_copy(&t->arena, full.p, full.n, &t->names[t->n].p, err);
        t->names[t->n].n = full.n;
    }
    if (rc == TFN_OK) {
        rc = tfn_builder_finish(builder, &t->columns[t->n], err);
    }
    t->n += rc == TFN_OK ? 1 : 0;
    tfn_buf_deinit(&full);
    return rc;
}

static tfn_code add_key_column(const tfn_answer *answer, size_t i_key, table *t, tfn_error *err)
{
    const tfn_lookup_plan *plan = answer->plan;
    tfn_type type = plan->keys[i_key].type;
    for (size_t i = 0; i < answer->n_rows; i++) { /* the finest unit of them all */
        const uint8_t unit = answer->key_units[i * plan->n_keys + i_key];
        type.unit = unit > type.unit ? unit : type.unit;
    }
    tfn_builder *builder = NULL;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn_builder_create(type, (int64_t)answer->n_rows, &builder, err), done);
    for (size_t i = 0; i < answer->n_rows; i++) {
        const size_t i_cell = i * plan->n_keys + i_key;
        tfn_cell cell = answer->keys[i_cell];
        if (answer->key_units[i_cell] != type.unit) {
            cell.bits = (uint64_t)tfn_time_convert(
                (int64_t)cell.bits, (tfn_unit)answer->key_units[i_cell], (tfn_unit)type.unit);
        }
        TFN_GOTO_IF_ERROR(rc, tfn_builder_add(builder, &cell, err), done);
    }
    TFN_GOTO_IF_ERROR(rc, add_column(t, plan->keys[i_key].name, "", &builder, err), done);
done:
    tfn_builder_destroy(builder);
    return rc;
}

/* The column's type: a timestamp has the finest unit of the rows that were found. */
static tfn_type column_type(const tfn_answer *answer, const tfn_selected_output *output)
{
    tfn_type type = answer->plan->views[output->i_view].wanted[output->i_feature].type;
    bool has_any = false;
    for (size_t i = 0; i < answer->n_rows && type.kind == TFN_KIND_TIMESTAMP; i++) {
        tfn_cell cell;
        tfn_type found;
        if (get_cell(answer, i, output, &found, &cell) == TFN_STATUS_PRESENT) {
            type.unit = has_any && type.unit > found.unit ? type.unit : found.unit;
            has_any = true;
        }
    }
    return type;
}

/* A cell of `found` in the column's unit. A list of times is packed again, item by item. */
static tfn_code convert_cell(tfn_type found, tfn_type want, tfn_buf *scratch, tfn_cell *cell,
                             tfn_error *err)
{
    if (cell->is_null || want.kind != TFN_KIND_TIMESTAMP || found.unit == want.unit) {
        return TFN_OK;
    }
    const tfn_unit from = (tfn_unit)found.unit;
    const tfn_unit to = (tfn_unit)want.unit;
    if (!want.is_list) {
        cell->bits = (uint64_t)tfn_time_convert((int64_t)cell->bits, from, to);
        return TFN_OK;
    }
    tfn_list list;
    TFN_RETURN_IF_ERROR(tfn_list_open(found, cell->bytes, &list, err));
    tfn_buf_clear(scratch);
    TFN_RETURN_IF_ERROR(tfn_buf_add(scratch, cell->bytes.p, cell->bytes.n, err));
    char *values = scratch->p + ((const char *)list.values - cell->bytes.p);
    for (uint32_t i = 0; i < list.n; i++) {
        int64_t value = 0;
        memcpy(&value, values + i * sizeof value, sizeof value);
        value = tfn_time_convert(value, from, to);
        memcpy(values + i * sizeof value, &value, sizeof value);
    }
    cell->bytes = tfn_buf_get_str(scratch);
    return TFN_OK;
}

static tfn_code add_value_column(const tfn_answer *answer, const tfn_selected_output *output,
                                 table *t, tfn_error *err)
{
    const tfn_type type = column_type(answer, output);
    tfn_buf scratch = {0};
    tfn_builder *builder = NULL;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn_builder_create(type, (int64_t)answer->n_rows, &builder, err), done);
    for (size_t i = 0; i < answer->n_rows; i++) {
        tfn_type found;
        tfn_cell cell;
        (void)get_cell(answer, i, output, &found, &cell);
        TFN_GOTO_IF_ERROR(rc, convert_cell(found, type, &scratch, &cell, err), done);
        TFN_GOTO_IF_ERROR(rc, tfn_builder_add(builder, &cell, err), done);
    }
    TFN_GOTO_IF_ERROR(rc, add_column(t, output->name, "", &builder, err), done);
done:
    tfn_builder_destroy(builder);
    tfn_buf_deinit(&scratch);
    return rc;
}

static tfn_code add_status_columns(const tfn_answer *answer, const tfn_selected_output *output,
                                   table *t, tfn_error *err)
{
    const tfn_type status_type = {.kind = TFN_KIND_INT32};
    tfn_type time_type = {.kind = TFN_KIND_TIMESTAMP, .unit = TFN_UNIT_US};
    for (size_t i = 0; i < answer->n_rows; i++) {
        if (found_at(answer, i, output)->row.event.nanos % 1000 != 0) {
            time_type.unit = TFN_UNIT_NS;
        }
    }
    tfn_builder *statuses = NULL;
    tfn_builder *times = NULL;
    tfn_code rc = TFN_OK;
    const int64_t n_rows = (int64_t)answer->n_rows;
    TFN_GOTO_IF_ERROR(rc, tfn_builder_create(status_type, n_rows, &statuses, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_builder_create(time_type, n_rows, &times, err), done);
    for (size_t i = 0; i < answer->n_rows; i++) {
        tfn_type type;
        tfn_cell cell;
        const tfn_status status = get_cell(answer, i, output, &type, &cell);
        const tfn_found_row *found = found_at(answer, i, output);
        const bool has_time = found->i_fields != NULL;
        const tfn_cell status_cell = {.bits = (uint64_t)status};
        const tfn_cell time_cell = {
            .is_null = !has_time,
            .bits = has_time ? (uint64_t)tfn_instant_to(found->row.event, (tfn_unit)time_type.unit)
                             : 0};
        TFN_GOTO_IF_ERROR(rc, tfn_builder_add(statuses, &status_cell, err), done);
        TFN_GOTO_IF_ERROR(rc, tfn_builder_add(times, &time_cell, err), done);
    }
    TFN_GOTO_IF_ERROR(rc, add_column(t, output->name, "__status", &statuses, err), done);
    TFN_GOTO_IF_ERROR(rc, add_column(t, output->name, "__event_timestamp", &times, err), done);
done:
    tfn_builder_destroy(statuses);
    tfn_builder_destroy(times);
    return rc;
}

static tfn_code fill_table(const tfn_answer *answer, bool with_statuses, table *t, tfn_error *err)
{
    const tfn_lookup_plan *plan = answer->plan;
    const size_t n_most = plan->n_keys + 3 * plan->selection.n_outputs;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&t->arena, n_most, sizeof *t->columns, &p, err));
    t->columns = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&t->arena, n_most, sizeof *t->names, &p, err));
    t->names = p;
    for (size_t i = 0; i < plan->n_keys; i++) {
        TFN_RETURN_IF_ERROR(add_key_column(answer, i, t, err));
    }
    for (size_t i = 0; i < plan->selection.n_outputs; i++) {
        const tfn_selected_output *output = &plan->selection.outputs[i];
        TFN_RETURN_IF_ERROR(add_value_column(answer, output, t, err));
        if (with_statuses) {
            TFN_RETURN_IF_ERROR(add_status_columns(answer, output, t, err));
        }
    }
    return TFN_OK;
}

tfn_code tfn_answer_export(const tfn_answer *answer, int32_t with_statuses,
                           struct ArrowArrayStream *out, tfn_error *err)
{
    out->release = NULL;
    table t = {0};
    tfn_code rc = fill_table(answer, with_statuses != 0, &t, err);
    if (rc == TFN_OK) {
        rc = tfn_columns_export(t.names, t.columns, t.n, (int64_t)answer->n_rows, 0, out, err);
    }
    for (size_t i = 0; i < t.n; i++) {
        tfn_column_release(t.columns[i]);
    }
    tfn_arena_deinit(&t.arena);
    return rc;
}
