/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * An answer as a table: keys, then features, column by column. Numbers are written straight into
 * the memory of their columns; text and lists go through builders.
 *
 * A timestamp's column has the finest unit of its rows, each of which has the unit of its data.
 */

#include <string.h>

#include "base/mem.h"
#include "column/frame.h"
#include "store/lookup.h"

#include "base/poison.h"

typedef struct table {
    tfn_column **columns;
    tfn_str *names;
    size_t n;
    tfn_arena arena;
} table;

/* Add a column [take, in any case] called "<name><suffix>". */
static tfn_code take_column(table *t, tfn_str name, const char *suffix, tfn_column *column,
                            tfn_error *err)
{
    t->columns[t->n] = column;
    tfn_str *full = &t->names[t->n++];
    *full = name;
    if (suffix[0] == '\0') {
        return TFN_OK; /* the plan's name outlives the export, which copies it */
    }
    void *p = NULL;
    full->n = name.n + strlen(suffix);
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&t->arena, full->n + 1, 1, &p, err));
    memcpy(p, name.p, name.n);
    memcpy((char *)p + name.n, suffix, full->n - name.n + 1);
    full->p = p;
    return TFN_OK;
}

static tfn_code add_column(table *t, tfn_str name, const char *suffix, tfn_builder **builder,
                           tfn_error *err)
{
    tfn_column *column = NULL;
    TFN_RETURN_IF_ERROR(tfn_builder_finish(builder, &column, err));
    return take_column(t, name, suffix, column, err);
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
static tfn_type column_type(const tfn__feature_column *column, size_t n_rows)
{
    tfn_type type = column->declared;
    bool has_any = false;
    for (size_t i = 0; i < n_rows && type.kind == TFN_KIND_TIMESTAMP; i++) {
        tfn_cell cell;
        tfn_type found;
        if (tfn__feature_get(column, i, &found, &cell) == TFN_STATUS_PRESENT) {
            type.unit = has_any && type.unit > found.unit ? type.unit : found.unit;
            has_any = true;
        }
    }
    return type;
}

/* A packed list of `found` in the column's unit: packed again, item by item. */
static tfn_code convert_list(tfn_type found, tfn_type want, tfn_buf *scratch, tfn_cell *cell,
                             tfn_error *err)
{
    if (cell->is_null || want.kind != TFN_KIND_TIMESTAMP || found.unit == want.unit) {
        return TFN_OK;
    }
    const tfn_unit from = (tfn_unit)found.unit;
    const tfn_unit to = (tfn_unit)want.unit;
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

/* ---- fixed-width columns: straight into their memory ---- */

static tfn_code begin_validity(size_t n_rows, uint8_t **validity, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_uninit((n_rows + 7) / 8, 1, &p, err));
    memset(p, 0xff, (n_rows + 7) / 8);
    *validity = p;
    return TFN_OK;
}

static void put_fixed(uint8_t *values, size_t i, size_t width, uint64_t bits)
{
    if (width == 8) {
        memcpy(values + i * 8, &bits, 8);
    } else if (width == 4) {
        const uint32_t narrow = (uint32_t)bits;
        memcpy(values + i * 4, &narrow, 4);
    } else {
        values[i] = (uint8_t)bits;
    }
}

static tfn_code fill_fixed(const tfn__feature_column *column, tfn_type type, size_t n_rows,
                           uint8_t *values, uint8_t **validity, tfn_error *err)
{
    const size_t width = tfn_type_width(type);
    for (size_t i = 0; i < n_rows; i++) {
        tfn_type found;
        tfn_cell cell;
        if (tfn__feature_get(column, i, &found, &cell) != TFN_STATUS_PRESENT) {
            if (*validity == NULL) {
                TFN_RETURN_IF_ERROR(begin_validity(n_rows, validity, err));
            }
            (*validity)[i / 8] &= (uint8_t) ~(1u << (i % 8));
            cell.bits = 0;
        } else if (found.unit != type.unit) {
            cell.bits = (uint64_t)tfn_time_convert((int64_t)cell.bits, (tfn_unit)found.unit,
                                                   (tfn_unit)type.unit);
        }
        put_fixed(values, i, width, cell.bits);
    }
    return TFN_OK;
}

static tfn_code make_fixed(const tfn__feature_column *column, tfn_type type, size_t n_rows,
                           tfn_column **out, tfn_error *err)
{
    *out = NULL;
    void *values = NULL;
    uint8_t *validity = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_uninit(n_rows, tfn_type_width(type), &values, err));
    tfn_code rc = fill_fixed(column, type, n_rows, values, &validity, err);
    if (rc == TFN_OK) {
        rc = tfn_column_of_fixed(type, (int64_t)n_rows, values, validity, out, err);
    }
    if (rc != TFN_OK) {
        tfn_mem_free(values);
        tfn_mem_free(validity);
    }
    return rc;
}

/* ---- text and lists: through a builder ---- */

static tfn_code make_variable(const tfn__feature_column *column, tfn_type type, size_t n_rows,
                              tfn_column **out, tfn_error *err)
{
    *out = NULL;
    tfn_buf scratch = {0};
    tfn_builder *builder = NULL;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn_builder_create(type, (int64_t)n_rows, &builder, err), done);
    for (size_t i = 0; i < n_rows; i++) {
        tfn_type found;
        tfn_cell cell;
        (void)tfn__feature_get(column, i, &found, &cell);
        TFN_GOTO_IF_ERROR(rc, convert_list(found, type, &scratch, &cell, err), done);
        TFN_GOTO_IF_ERROR(rc, tfn_builder_add(builder, &cell, err), done);
    }
    TFN_GOTO_IF_ERROR(rc, tfn_builder_finish(&builder, out, err), done);
done:
    tfn_builder_destroy(builder);
    tfn_buf_deinit(&scratch);
    return rc;
}

static tfn_code add_value_column(const tfn_answer *answer, size_t i_output, table *t,
                                 tfn_error *err)
{
    const tfn__feature_column column = tfn__feature_column_of(answer, i_output);
    const tfn_type type = column_type(&column, answer->n_rows);
    const bool is_fixed = !type.is_list && tfn_type_width(type) > 0;
    tfn_column *made = NULL;
    TFN_RETURN_IF_ERROR(is_fixed ? make_fixed(&column, type, answer->n_rows, &made, err)
                                 : make_variable(&column, type, answer->n_rows, &made, err));
    return take_column(t, answer->plan->selection.outputs[i_output].name, "", made, err);
}

static tfn_code add_status_columns(const tfn_answer *answer, size_t i_output, table *t,
                                   tfn_error *err)
{
    const tfn_str name = answer->plan->selection.outputs[i_output].name;
    const tfn__feature_column column = tfn__feature_column_of(answer, i_output);
    const tfn_type status_type = {.kind = TFN_KIND_INT32};
    tfn_type time_type = {.kind = TFN_KIND_TIMESTAMP, .unit = TFN_UNIT_US};
    for (size_t i = 0; i < answer->n_rows; i++) {
        if (column.found[i].row.event.nanos % 1000 != 0) {
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
        const tfn_status status = tfn__feature_get(&column, i, &type, &cell);
        const tfn_found_row *found = &column.found[i];
        const bool has_time = found->i_fields != NULL;
        const tfn_cell status_cell = {.bits = (uint64_t)status};
        const tfn_cell time_cell = {
            .is_null = !has_time,
            .bits = has_time ? (uint64_t)tfn_instant_to(found->row.event, (tfn_unit)time_type.unit)
                             : 0};
        TFN_GOTO_IF_ERROR(rc, tfn_builder_add(statuses, &status_cell, err), done);
        TFN_GOTO_IF_ERROR(rc, tfn_builder_add(times, &time_cell, err), done);
    }
    TFN_GOTO_IF_ERROR(rc, add_column(t, name, "__status", &statuses, err), done);
    TFN_GOTO_IF_ERROR(rc, add_column(t, name, "__event_timestamp", &times, err), done);
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
        TFN_RETURN_IF_ERROR(add_value_column(answer, i, t, err));
        if (with_statuses) {
            TFN_RETURN_IF_ERROR(add_status_columns(answer, i, t, err));
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
