/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Records: the values of a winner side by side, on their way from a chunk to the answer's columns.
 *
 *   record   | 8-byte fields, {p, n, capacity} | 4-byte | 1-byte | one state byte per field | pad |
 *
 * A winner is written once (two-step join) or whenever a better row comes (one-step join, latest);
 * in both cases all its fields are written together, and read together for each row of the answer.
 * Row by row is one or two cache lines each way; column by column would be one per feature.
 *
 * Invariants
 *  1. A zeroed record is a row of nulls.
 *  2. A value that does not fit its declared type is kept as a misfit and becomes an error only if
 *     it is in the answer. So the outcome does not depend on which rows won for a while.
 *  3. TEXT keeps its room when it is overwritten by something shorter; room grows by doubling, so
 *     what lies unused in the arenas is at most twice what is needed.
 *
 * Rejected: validity bits (two threads would write one byte); tfn_cell per value (24 bytes).
 *
 * Complexity: O(1) per value; the gather reads each record once per block of rows.
 */

#include "offline/values.h"

#include <string.h>

#include "base/parallel.h"
#include "offline/room.h"

#include "base/poison.h"

enum { BLOCK = 1024, PARTS_PER_THREAD = 4, WORTH_THREADS = 1 << 12, FIRST_TEXT_BYTES = 16 };

static tfn__field_form form_of(tfn_type type)
{
    if (type.is_list) {
        return TFN__FIELD_TEXT;
    }
    switch (type.kind) {
    case TFN_KIND_BOOL:
        return TFN__FIELD_1;
    case TFN_KIND_FLOAT32:
        return TFN__FIELD_4;
    case TFN_KIND_STRING:
    case TFN_KIND_BYTES:
        return TFN__FIELD_TEXT;
    default:
        return TFN__FIELD_8;
    }
}

static size_t form_bytes(tfn__field_form form)
{
    static const size_t bytes[] = {1, 4, 8, sizeof(tfn__text)};
    return bytes[form];
}

static void place_fields(tfn__record_plan *plan)
{
    static const tfn__field_form order[] = {TFN__FIELD_TEXT, TFN__FIELD_8, TFN__FIELD_4,
                                            TFN__FIELD_1};
    size_t at = 0;
    for (size_t k = 0; k < sizeof order / sizeof order[0]; k++) {
        for (size_t i = 0; i < plan->n_fields; i++) {
            if (plan->fields[i].form == order[k]) {
                plan->fields[i].at = (uint32_t)at;
                at += form_bytes(order[k]);
            }
        }
    }
    for (size_t i = 0; i < plan->n_fields; i++) {
        plan->fields[i].state_at = (uint32_t)at++;
    }
    plan->stride = at < 8 ? 8 : (at + 7) / 8 * 8;
}

tfn_code tfn__record_plan_init(tfn__record_plan *plan, const tfn_str *names, const tfn_type *types,
                               size_t n_fields, tfn_error *err)
{
    *plan = (tfn__record_plan){.n_fields = n_fields, .names = names};
    TFN_RETURN_IF_ERROR(tfn__room_zero(n_fields, sizeof(tfn__field), &plan->fields, err));
    for (size_t i = 0; i < n_fields; i++) {
        plan->fields[i].type = types[i];
        plan->fields[i].form = (uint8_t)form_of(types[i]);
    }
    place_fields(plan);
    return TFN_OK;
}

void tfn__record_plan_deinit(tfn__record_plan *plan)
{
    tfn_mem_free(plan->fields);
    *plan = (tfn__record_plan){0};
}

void tfn__writer_deinit(tfn__writer *w)
{
    tfn_arena_deinit(&w->arena);
    tfn_buf_deinit(&w->scratch);
}

tfn__way tfn__record_way(const tfn__field *field, const tfn_vec *v)
{
    if (v->layout == TFN_LAYOUT_NONE) {
        return TFN__WAY_NULL;
    }
    const bool is_fixed = v->layout == TFN_LAYOUT_FIXED;
    if (field->type.is_list || v->type.is_list) {
        return TFN__WAY_CELL;
    }
    switch (field->type.kind) {
    case TFN_KIND_BOOL:
        return is_fixed && (v->number == TFN_NUMBER_I8 || v->number == TFN_NUMBER_U8)
                   ? TFN__WAY_COPY_1
                   : TFN__WAY_INT;
    case TFN_KIND_INT32:
    case TFN_KIND_DATE:
        return TFN__WAY_INT;
    case TFN_KIND_INT64:
        return is_fixed && v->number == TFN_NUMBER_I64 ? TFN__WAY_COPY_8 : TFN__WAY_INT;
    case TFN_KIND_FLOAT32:
        return is_fixed && v->number == TFN_NUMBER_F32 ? TFN__WAY_COPY_4 : TFN__WAY_CELL;
    case TFN_KIND_FLOAT64:
        return is_fixed && v->number == TFN_NUMBER_F64 ? TFN__WAY_COPY_8 : TFN__WAY_CELL;
    case TFN_KIND_TIMESTAMP:
        return is_fixed && v->number == TFN_NUMBER_I64 && v->type.unit == field->type.unit
                   ? TFN__WAY_COPY_8
                   : TFN__WAY_CELL;
    case TFN_KIND_STRING:
    case TFN_KIND_BYTES:
        return TFN__WAY_TEXT;
    default:
        return TFN__WAY_CELL;
    }
}

static tfn_code put_text(const tfn__field *field, tfn_str bytes, tfn__state state, char *record,
                         tfn__writer *w, tfn_error *err)
{
    tfn__text text;
    memcpy(&text, record + field->at, sizeof text);
    if (bytes.n > text.capacity) {
        if (bytes.n > UINT32_MAX / 2) {
            return TFN_FAIL(err, TFN_LIMIT, "a value of %zu bytes; the most is 2 GiB", bytes.n);
        }
        size_t capacity = text.capacity < FIRST_TEXT_BYTES ? FIRST_TEXT_BYTES : text.capacity;
        while (capacity < bytes.n) {
            capacity *= 2;
        }
        void *p = NULL;
        TFN_RETURN_IF_ERROR(tfn_arena_alloc(&w->arena, capacity, 1, &p, err));
        text.p = p;
        text.capacity = (uint32_t)capacity;
    }
    if (bytes.n > 0) {
        memcpy(text.p, bytes.p, bytes.n);
    }
    text.n = (uint32_t)bytes.n;
    memcpy(record + field->at, &text, sizeof text);
    record[field->state_at] = (char)state;
    return TFN_OK;
}

static void put_int(const tfn__field *field, const tfn_vec *v, int64_t i, char *record)
{
    const int64_t value = tfn_vec_get_int(v, i);
    const bool is_narrow = field->type.kind == TFN_KIND_INT32 || field->type.kind == TFN_KIND_DATE;
    const bool wrapped = v->number == TFN_NUMBER_U64 && value < 0;
    const bool fits = !is_narrow || (value >= INT32_MIN && value <= INT32_MAX);
    record[field->state_at] = fits ? TFN__STATE_VALUE : TFN__STATE_MISFIT;
    if (wrapped) {
        record[field->state_at] = TFN__STATE_WIDE_UNSIGNED;
    }
    if (field->form == TFN__FIELD_1) {
        record[field->at] = value != 0 ? 1 : 0;
    } else {
        memcpy(record + field->at, &value, sizeof value);
    }
}

static void put_bits(const tfn__field *field, uint64_t bits, char *record)
{
    if (field->form == TFN__FIELD_1) {
        record[field->at] = (char)(bits & 1u);
    } else if (field->form == TFN__FIELD_4) {
        const uint32_t low = (uint32_t)bits;
        memcpy(record + field->at, &low, sizeof low);
    } else {
        memcpy(record + field->at, &bits, sizeof bits);
    }
    record[field->state_at] = TFN__STATE_VALUE;
}

static tfn_code put_cell(const tfn__field *field, const tfn_vec *v, int64_t i, char *record,
                         tfn__writer *w, tfn_error *err)
{
    tfn_cell cell = {0};
    tfn_error misfit = {0};
    const tfn_code rc = tfn_cell_of_vec(v, i, field->type, &w->scratch, &cell, &misfit);
    if (rc == TFN_SCHEMA && field->form == TFN__FIELD_TEXT) {
        return put_text(field, tfn_str_of(misfit.message), TFN__STATE_MISFIT, record, w, err);
    }
    if (rc != TFN_OK) {
        return tfn_error_move(err, &misfit);
    }
    if (field->form == TFN__FIELD_TEXT) {
        return put_text(field, cell.bytes, TFN__STATE_VALUE, record, w, err);
    }
    put_bits(field, cell.bits, record);
    return TFN_OK;
}

static inline const char *fixed_value(const tfn_vec *v, int64_t i, size_t width)
{
    return (const char *)v->data + (size_t)(v->offset + i) * width;
}

tfn_code tfn__record_put(const tfn__field *field, tfn__way way, const tfn_vec *v, int64_t i,
                         char *record, tfn__writer *w, tfn_error *err)
{
    if (way == TFN__WAY_NULL || !tfn_vec_is_valid(v, i)) {
        record[field->state_at] = TFN__STATE_NULL;
        return TFN_OK;
    }
    switch (way) {
    case TFN__WAY_COPY_1:
        record[field->at] = *fixed_value(v, i, 1) != 0 ? 1 : 0;
        break;
    case TFN__WAY_COPY_4:
        memcpy(record + field->at, fixed_value(v, i, 4), 4);
        break;
    case TFN__WAY_COPY_8:
        memcpy(record + field->at, fixed_value(v, i, 8), 8);
        break;
    case TFN__WAY_INT:
        put_int(field, v, i, record);
        return TFN_OK;
    case TFN__WAY_TEXT:
        return put_text(field, tfn_vec_get_str(v, i), TFN__STATE_VALUE, record, w, err);
    default:
        return put_cell(field, v, i, record, w, err);
    }
    record[field->state_at] = TFN__STATE_VALUE;
    return TFN_OK;
}

/* A column being gathered: `values` and `validity`, or a builder for TEXT. */
typedef struct gathering {
    char *values;
    uint8_t *validity;
    tfn_builder *builder;
} gathering;

/* All columns. Jobs: one for each TEXT column, then one for each part of the blocks. */
typedef struct answer {
    tfn_crew *crew;
    const tfn__record_plan *plan;
    int64_t n_rows;
    tfn__locate_fn locate;
    const void *context;
    gathering *columns;
    size_t *texts; /* fields that are TEXT */
    int64_t n_texts;
    int64_t n_parts;
    int64_t *n_null; /* per part and field of fixed width */
} answer;

static tfn_code misfit(const tfn__record_plan *plan, size_t i_field, const char *record,
                       tfn_error *err)
{
    const tfn__field *field = &plan->fields[i_field];
    char declared[TFN_TYPE_TEXT_BYTES];
    tfn_type_format(field->type, declared);
    if (field->form == TFN__FIELD_TEXT) {
        tfn__text text;
        memcpy(&text, record + field->at, sizeof text);
        return TFN_FAIL(err, TFN_SCHEMA, "column '%.*s': %.*s", TFN_STR_ARG(plan->names[i_field]),
                        (int)text.n, text.p);
    }
    int64_t value = 0;
    memcpy(&value, record + field->at, sizeof value);
    if (record[field->state_at] == TFN__STATE_WIDE_UNSIGNED) {
        return TFN_FAIL(err, TFN_SCHEMA, "column '%.*s': value %llu does not fit %s",
                        TFN_STR_ARG(plan->names[i_field]), (unsigned long long)value, declared);
    }
    return TFN_FAIL(err, TFN_SCHEMA,
                    "column '%.*s': value %lld does not fit %s; declare a wider type",
                    TFN_STR_ARG(plan->names[i_field]), (long long)value, declared);
}

static tfn_code gather_text(const tfn__field *field, tfn_builder *builder, int64_t n,
                            const char *const *records, int64_t *i_misfit, tfn_error *err)
{
    for (int64_t i = 0; i < n; i++) {
        tfn_cell cell = {.is_null = true};
        if (records[i] != NULL && records[i][field->state_at] == TFN__STATE_MISFIT) {
            *i_misfit = i;
            return TFN_OK;
        }
        if (records[i] != NULL && records[i][field->state_at] == TFN__STATE_VALUE) {
            tfn__text text;
            memcpy(&text, records[i] + field->at, sizeof text);
            cell = (tfn_cell){.bytes = {text.p, text.n}};
        }
        TFN_RETURN_IF_ERROR(tfn_builder_add(builder, &cell, err));
    }
    return TFN_OK;
}

static inline void copy_value(const tfn__field *field, size_t width, const char *record, char *to)
{
    if (field->form == TFN__FIELD_8 && width == 4) { /* int32, date */
        int64_t wide = 0;
        memcpy(&wide, record + field->at, sizeof wide);
        const int32_t narrow = (int32_t)wide;
        memcpy(to, &narrow, sizeof narrow);
    } else if (field->form == TFN__FIELD_8) {
        memcpy(to, record + field->at, 8);
    } else if (field->form == TFN__FIELD_4) {
        memcpy(to, record + field->at, 4);
    } else {
        *to = record[field->at];
    }
}

/* One block of one fixed-width column; rows begin .. begin + n - 1, begin a multiple of 8. Returns the
 * number of nulls. */
static int64_t gather_fixed(const tfn__field *field, const gathering *g, int64_t begin, int64_t n,
                            const char *const *records, int64_t *i_misfit)
{
    const size_t width = tfn_type_width(field->type);
    char *to = g->values + (size_t)begin * width;
    uint8_t *validity = g->validity + begin / 8;
    uint8_t bits = 0;
    int64_t n_valid = 0;
    for (int64_t i = 0; i < n; i++) {
        const char *record = records[i];
        const char state = record == NULL ? TFN__STATE_NULL : record[field->state_at];
        if (state != TFN__STATE_NULL) {
            copy_value(field, width, record, to + (size_t)i * width);
            bits = (uint8_t)(bits | (1u << (i & 7)));
            n_valid++;
        } else {
            memset(to + (size_t)i * width, 0, width);
        }
        if (state >= TFN__STATE_MISFIT && *i_misfit < 0) {
            *i_misfit = i;
        }
        if ((i & 7) == 7 || i == n - 1) {
            validity[i / 8] = bits;
            bits = 0;
        }
    }
    return n - n_valid;
}

static tfn_code gather_begin(const tfn__field *field, int64_t n_rows, gathering *g, tfn_error *err)
{
    if (field->form == TFN__FIELD_TEXT) {
        return tfn_builder_create(field->type, n_rows, &g->builder, err);
    }
    TFN_RETURN_IF_ERROR(tfn__room((size_t)n_rows, tfn_type_width(field->type), &g->values, err));
    TFN_RETURN_IF_ERROR(tfn__room(((size_t)n_rows + 7) / 8, 1, &g->validity, err));
    return TFN_OK;
}

static tfn_code gather_end(const tfn__field *field, int64_t n_rows, int64_t n_null, gathering *g,
                           tfn_column **out, tfn_error *err)
{
    if (field->form == TFN__FIELD_TEXT) {
        return tfn_builder_finish(&g->builder, out, err);
    }
    if (n_null == 0) {
        tfn_mem_free(g->validity);
        g->validity = NULL;
    }
    TFN_RETURN_IF_ERROR(tfn_column_of_fixed(field->type, n_rows, g->values, g->validity, out, err));
    g->values = NULL;
    g->validity = NULL;
    return TFN_OK;
}

/* All of a TEXT column, in row order: its bytes follow each other. */
static tfn_code gather_text_column(const answer *a, size_t i_field, tfn_error *err)
{
    const char *records[BLOCK];
    for (int64_t begin = 0; begin < a->n_rows; begin += BLOCK) {
        const int64_t n = a->n_rows - begin < BLOCK ? a->n_rows - begin : BLOCK;
        int64_t i_misfit = -1;
        TFN_RETURN_IF_ERROR(tfn_crew_check(a->crew, begin, a->n_rows, err));
        a->locate(a->context, begin, n, records);
        TFN_RETURN_IF_ERROR(gather_text(&a->plan->fields[i_field], a->columns[i_field].builder, n,
                                        records, &i_misfit, err));
        if (i_misfit >= 0) {
            return misfit(a->plan, i_field, records[i_misfit], err);
        }
    }
    return TFN_OK;
}

/* Columns of fixed width, in a part of the blocks. */
static tfn_code gather_part(const answer *a, int64_t i_part, tfn_error *err)
{
    const tfn_part blocks = tfn_part_of((a->n_rows + BLOCK - 1) / BLOCK, i_part, a->n_parts);
    int64_t *n_null = a->n_null + (size_t)i_part * a->plan->n_fields;
    const char *records[BLOCK];
    for (int64_t block = blocks.begin; block < blocks.end; block++) {
        const int64_t begin = block * BLOCK;
        const int64_t n = a->n_rows - begin < BLOCK ? a->n_rows - begin : BLOCK;
        TFN_RETURN_IF_ERROR(tfn_crew_check(a->crew, begin, a->n_rows, err));
        a->locate(a->context, begin, n, records);
        for (size_t i = 0; i < a->plan->n_fields; i++) {
            int64_t i_misfit = -1;
            if (a->plan->fields[i].form != TFN__FIELD_TEXT) {
                n_null[i] +=
                    gather_fixed(&a->plan->fields[i], &a->columns[i], begin, n, records, &i_misfit);
            }
            if (i_misfit >= 0) {
                return misfit(a->plan, i, records[i_misfit], err);
            }
        }
    }
    return TFN_OK;
}

/* A tfn_job_fn. */
static tfn_code gather_job(void *context, int64_t i_job, tfn_error *err)
{
    const answer *a = context;
    return i_job < a->n_texts ? gather_text_column(a, a->texts[i_job], err)
                              : gather_part(a, i_job - a->n_texts, err);
}

static tfn_code gather_all(answer *a, tfn_column **out, tfn_error *err)
{
    const size_t n_fields = a->plan->n_fields;
    const int64_t n_blocks = (a->n_rows + BLOCK - 1) / BLOCK;
    const bool is_large = (size_t)a->n_rows * n_fields >= WORTH_THREADS;
    const int64_t n_threads = is_large ? tfn_parallel_get_n_threads(a->crew->n_threads) : 1;
    const int64_t n_most = n_threads > 1 ? n_threads * PARTS_PER_THREAD : 1;
    a->n_parts = n_blocks < n_most ? n_blocks : n_most;
    TFN_RETURN_IF_ERROR(tfn__room_zero(n_fields, sizeof *a->columns, &a->columns, err));
    TFN_RETURN_IF_ERROR(tfn__room(n_fields, sizeof *a->texts, &a->texts, err));
    TFN_RETURN_IF_ERROR(
        tfn__room_zero((size_t)a->n_parts * n_fields, sizeof *a->n_null, &a->n_null, err));
    for (size_t i = 0; i < n_fields; i++) {
        TFN_RETURN_IF_ERROR(gather_begin(&a->plan->fields[i], a->n_rows, &a->columns[i], err));
        if (a->plan->fields[i].form == TFN__FIELD_TEXT) {
            a->texts[a->n_texts++] = i;
        }
    }
    TFN_RETURN_IF_ERROR(tfn_parallel_run(a->crew, a->n_texts + a->n_parts, gather_job, a, err));
    for (size_t i = 0; i < n_fields; i++) {
        int64_t n_null = 0;
        for (int64_t k = 0; k < a->n_parts; k++) {
            n_null += a->n_null[(size_t)k * n_fields + i];
        }
        TFN_RETURN_IF_ERROR(
            gather_end(&a->plan->fields[i], a->n_rows, n_null, &a->columns[i], &out[i], err));
    }
    return TFN_OK;
}

tfn_code tfn__records_take(const tfn__record_plan *plan, int64_t n_rows, tfn__locate_fn locate,
                           const void *context, tfn_crew *crew, tfn_column **out, tfn_error *err)
{
    for (size_t i = 0; i < plan->n_fields; i++) {
        out[i] = NULL;
    }
    answer a = {.crew = crew, .plan = plan, .n_rows = n_rows, .locate = locate, .context = context};
    const tfn_code rc = gather_all(&a, out, err);
    for (size_t i = 0; i < plan->n_fields && a.columns != NULL; i++) {
        tfn_mem_free(a.columns[i].values);
        tfn_mem_free(a.columns[i].validity);
        tfn_builder_destroy(a.columns[i].builder);
        if (rc != TFN_OK) {
            tfn_column_release(out[i]);
            out[i] = NULL;
        }
    }
    tfn_mem_free(a.columns);
    tfn_mem_free(a.texts);
    tfn_mem_free(a.n_null);
    return rc;
}
