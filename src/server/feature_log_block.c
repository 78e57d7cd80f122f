/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Answers of one definition as columns of bytes.
 *
 *   block  -> times, numbers and row counts of answers; columns
 *   column -> statuses, event times (features only), node
 *   node   -> kind; validity; fixed values, or offsets and bytes, or offsets and a node of items
 *
 * Numbers of every kind have 8 bytes, as integers or as doubles: a view whose int32 became int64
 * still goes into one column, and a reader has three forms to know. Times have one unit for a
 * column, the finest that came; what was added before is converted. The kind is that of the first
 * value that is not null, and the wider of two kinds of one form; a value of another form than its
 * column (a view that changed its type under a service) is left out as null, with its status.
 *
 * Offsets have 32 bits: a column has less than 4 GiB, because its block is written once it has
 * some hundred kilobytes, and one answer is bounded by what a server answers.
 */

#include "server/feature_log_block.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/time.h"

#include "base/poison.h"

enum { SLICE_ROWS = 64, ALIGNMENT = 8 };

typedef struct node {
    int32_t kind; /* tfn_value_kind; NULL: nothing but nulls so far */
    int32_t unit;
    size_t n;
    tfn_buf validity; /* a byte each: 1 = there is a value */
    tfn_buf values;   /* 8 bytes each, or the bytes of texts */
    tfn_buf offsets;  /* texts and lists: n + 1 of uint32 */
    struct node *items;
} node;

typedef struct column {
    tfn_buf statuses; /* a byte each */
    tfn_buf times_us; /* features: 8 bytes each, INT64_MIN = none */
    bool has_times;   /* false: a key, or a feature of the same rows as the column before */
    node values;
} column;

struct tfn__log_block {
    char *service;
    char hash[33];
    int64_t commit;
    size_t n_keys;
    size_t n_columns;
    column *columns;
    size_t n_answers;
    size_t n_rows;
    tfn_buf answer_times_us; /* 8 bytes each */
    tfn_buf sequences;       /* 8 bytes each */
    tfn_buf row_counts;      /* 4 bytes each */
    tfn_buf schema;
};

/* ---- nodes ---- */

typedef enum value_form { FORM_NONE, FORM_INTEGER, FORM_REAL, FORM_TEXT, FORM_LIST } value_form;

static value_form form_of(int32_t kind)
{
    switch (kind) {
    case TFN_VALUE_BOOL:
    case TFN_VALUE_INT32:
    case TFN_VALUE_INT64:
    case TFN_VALUE_DATE:
    case TFN_VALUE_TIMESTAMP:
        return FORM_INTEGER;
    case TFN_VALUE_FLOAT32:
    case TFN_VALUE_FLOAT64:
        return FORM_REAL;
    case TFN_VALUE_STRING:
    case TFN_VALUE_BYTES:
        return FORM_TEXT;
    case TFN_VALUE_LIST:
        return FORM_LIST;
    default:
        return FORM_NONE;
    }
}

static void clear_node(node *v)
{
    v->kind = TFN_VALUE_NULL;
    v->unit = 0;
    v->n = 0;
    tfn_buf_clear(&v->validity);
    tfn_buf_clear(&v->values);
    tfn_buf_clear(&v->offsets);
    if (v->items != NULL) {
        clear_node(v->items);
    }
}

static void deinit_node(node *v)
{
    tfn_buf_deinit(&v->validity);
    tfn_buf_deinit(&v->values);
    tfn_buf_deinit(&v->offsets);
    if (v->items != NULL) {
        deinit_node(v->items);
        tfn_mem_free(v->items);
    }
}

static tfn_code add_zeros(tfn_buf *to, size_t n_bytes, tfn_error *err)
{
    char *room = NULL;
    TFN_RETURN_IF_ERROR(tfn_buf_add_room(to, n_bytes, &room, err));
    memset(room, 0, n_bytes);
    return TFN_OK;
}

/* The first value: what came before it were nulls. */
static tfn_code begin_kind(node *v, const tfn_value *value, tfn_error *err)
{
    const value_form form = form_of(value->kind);
    v->kind = value->kind;
    v->unit = value->unit;
    if (form == FORM_INTEGER || form == FORM_REAL) {
        return add_zeros(&v->values, v->n * 8, err);
    }
    if (form == FORM_LIST && v->items == NULL) {
        void *p = NULL;
        TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(node), &p, err));
        v->items = p;
    }
    return add_zeros(&v->offsets, (v->n + 1) * sizeof(uint32_t), err);
}

/* A kind that takes both; only called for kinds of one form. */
static int32_t wider_of(int32_t a, int32_t b)
{
    if (a == b) {
        return a;
    }
    if (form_of(a) == FORM_REAL) {
        return TFN_VALUE_FLOAT64;
    }
    return form_of(a) == FORM_TEXT ? TFN_VALUE_BYTES : TFN_VALUE_INT64;
}

/* A time in a finer unit than those before it: they are converted. */
static void refine_unit(node *v, int32_t unit)
{
    for (size_t i = 0; i < v->n; i++) {
        int64_t time = 0;
        memcpy(&time, v->values.p + i * 8, 8);
        time = tfn_time_convert(time, (tfn_unit)v->unit, (tfn_unit)unit);
        memcpy(v->values.p + i * 8, &time, 8);
    }
    v->unit = unit;
}

static tfn_code add_integer(node *v, const tfn_value *value, tfn_error *err)
{
    int64_t integer = value->integer;
    if (value->kind == TFN_VALUE_TIMESTAMP && value->unit != v->unit) {
        if (value->unit > v->unit) {
            refine_unit(v, value->unit);
        }
        integer = tfn_time_convert(integer, (tfn_unit)value->unit, (tfn_unit)v->unit);
    }
    return tfn_buf_add(&v->values, &integer, sizeof integer, err);
}

static tfn_code add_offset(node *v, size_t end, tfn_error *err)
{
    if (end > UINT32_MAX) {
        return TFN_FAIL(err, TFN_LIMIT, "a column of the feature log would have 4 GiB");
    }
    const uint32_t offset = (uint32_t)end;
    return tfn_buf_add(&v->offsets, &offset, sizeof offset, err);
}

static tfn_code add_value(node *v, const tfn_value *value, tfn_error *err);

static tfn_code add_list(node *v, const tfn_value *value, tfn_error *err)
{
    for (size_t i = 0; i < value->n; i++) {
        tfn_value item;
        tfn_value_get_item(value, i, &item);
        TFN_RETURN_IF_ERROR(add_value(v->items, &item, err));
    }
    return add_offset(v, v->items->n, err);
}

/* A null takes the place that a value of this form would have. */
static tfn_code add_null(node *v, tfn_error *err)
{
    switch (form_of(v->kind)) {
    case FORM_INTEGER:
    case FORM_REAL:
        return add_zeros(&v->values, 8, err);
    case FORM_TEXT:
        return add_offset(v, v->values.n, err);
    case FORM_LIST:
        return add_offset(v, v->items->n, err);
    case FORM_NONE:
    default:
        return TFN_OK;
    }
}

static tfn_code add_present(node *v, const tfn_value *value, tfn_error *err)
{
    switch (form_of(v->kind)) {
    case FORM_INTEGER:
        return add_integer(v, value, err);
    case FORM_REAL:
        return tfn_buf_add(&v->values, &value->real, sizeof value->real, err);
    case FORM_TEXT:
        TFN_RETURN_IF_ERROR(tfn_buf_add(&v->values, value->text, value->n, err));
        return add_offset(v, v->values.n, err);
    case FORM_LIST:
    default:
        return add_list(v, value, err);
    }
}

static tfn_code add_value(node *v, const tfn_value *value, tfn_error *err)
{
    const value_form form = form_of(value->kind);
    if (v->kind == TFN_VALUE_NULL && form != FORM_NONE) {
        TFN_RETURN_IF_ERROR(begin_kind(v, value, err));
    }
    const bool is_there = form != FORM_NONE && form == form_of(v->kind);
    const char validity = is_there ? 1 : 0;
    TFN_RETURN_IF_ERROR(tfn_buf_add(&v->validity, &validity, 1, err));
    if (is_there) {
        v->kind = wider_of(v->kind, value->kind);
        TFN_RETURN_IF_ERROR(add_present(v, value, err));
    } else {
        TFN_RETURN_IF_ERROR(add_null(v, err));
    }
    v->n++;
    return TFN_OK;
}

static size_t count_node(const node *v)
{
    const size_t n = v->validity.n + v->values.n + v->offsets.n;
    return v->items == NULL ? n : n + count_node(v->items);
}

/* ---- pieces: a length, the bytes, zeros up to the next multiple of eight ---- */

static tfn_code pad(tfn_buf *out, size_t n_bytes, tfn_error *err)
{
    return add_zeros(out, (ALIGNMENT - n_bytes % ALIGNMENT) % ALIGNMENT, err);
}

static tfn_code write_piece(tfn_buf *out, const tfn_buf *bytes, tfn_error *err)
{
    const uint64_t n = bytes->n;
    TFN_RETURN_IF_ERROR(tfn_buf_add(out, &n, sizeof n, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add(out, bytes->p, bytes->n, err));
    return pad(out, bytes->n, err);
}

static tfn_code write_node(tfn_buf *out, const node *v, tfn_error *err)
{
    const uint32_t kind_unit[2] = {(uint32_t)v->kind, (uint32_t)v->unit};
    const uint64_t n = v->n;
    TFN_RETURN_IF_ERROR(tfn_buf_add(out, kind_unit, sizeof kind_unit, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add(out, &n, sizeof n, err));
    TFN_RETURN_IF_ERROR(write_piece(out, &v->validity, err));
    switch (form_of(v->kind)) {
    case FORM_INTEGER:
    case FORM_REAL:
        return write_piece(out, &v->values, err);
    case FORM_TEXT:
        TFN_RETURN_IF_ERROR(write_piece(out, &v->offsets, err));
        return write_piece(out, &v->values, err);
    case FORM_LIST:
        TFN_RETURN_IF_ERROR(write_piece(out, &v->offsets, err));
        return write_node(out, v->items, err);
    case FORM_NONE:
    default:
        return TFN_OK;
    }
}

/* ---- the definition ---- */

static tfn_code write_names(tfn_buf *out, const tfn_answer *answer, size_t begin, size_t end,
                            tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, "[", err));
    for (size_t i = begin; i < end; i++) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, i == begin ? "" : ",", err));
        TFN_RETURN_IF_ERROR(
            tfn_json_add_text(out, tfn_str_of(tfn_answer_get_name(answer, i)), err));
    }
    return tfn_buf_add_text(out, "]", err);
}

/* Padded with spaces, which JSON does not mind. */
static tfn_code write_schema(tfn__log_block *block, const tfn_answer *answer, tfn_error *err)
{
    tfn_buf *out = &block->schema;
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, "{\"service\":", err));
    TFN_RETURN_IF_ERROR(tfn_json_add_text(out, tfn_str_of(block->service), err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_format(out, err, ",\"hash\":\"%s\",\"commit\":%lld,\"keys\":",
                                           block->hash, (long long)block->commit));
    TFN_RETURN_IF_ERROR(write_names(out, answer, 0, block->n_keys, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, ",\"features\":", err));
    TFN_RETURN_IF_ERROR(write_names(out, answer, block->n_keys, block->n_columns, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, "}", err));
    while (out->n % ALIGNMENT != 0) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, " ", err));
    }
    return TFN_OK;
}

/* ---- blocks ---- */

void tfn__log_block_destroy(tfn__log_block *block)
{
    if (block == NULL) {
        return;
    }
    for (size_t i = 0; block->columns != NULL && i < block->n_columns; i++) {
        tfn_buf_deinit(&block->columns[i].statuses);
        tfn_buf_deinit(&block->columns[i].times_us);
        deinit_node(&block->columns[i].values);
    }
    tfn_mem_free(block->columns);
    tfn_buf_deinit(&block->answer_times_us);
    tfn_buf_deinit(&block->sequences);
    tfn_buf_deinit(&block->row_counts);
    tfn_buf_deinit(&block->schema);
    tfn_mem_free(block->service);
    tfn_mem_free(block);
}

/* Then a row has one event time for both. */
static bool is_of_same_rows(const tfn_answer *answer, size_t i_column, size_t i_other)
{
    size_t i_read = 0;
    size_t i_read_other = 0;
    return tfn_answer_get_view(answer, i_column, &i_read) != NULL &&
           tfn_answer_get_view(answer, i_other, &i_read_other) != NULL && i_read == i_read_other;
}

tfn_code tfn__log_block_create(const char *service, const char *hash, const tfn_answer *answer,
                               tfn__log_block **out, tfn_error *err)
{
    void *p = NULL;
    *out = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn__log_block), &p, err));
    tfn__log_block *block = p;
    tfn_code rc = TFN_OK;
    memcpy(block->hash, hash, sizeof block->hash);
    block->commit = tfn_answer_get_commit(answer);
    block->n_keys = tfn_answer_get_n_keys(answer);
    block->n_columns = tfn_answer_get_n_columns(answer);
    TFN_GOTO_IF_ERROR(rc, tfn_mem_copy_text(service, &block->service, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_mem_alloc_array(block->n_columns, sizeof(column), &p, err), done);
    block->columns = p;
    for (size_t i = block->n_keys; i < block->n_columns; i++) {
        block->columns[i].has_times = i == block->n_keys || !is_of_same_rows(answer, i, i - 1);
    }
    TFN_GOTO_IF_ERROR(rc, write_schema(block, answer, err), done);
    *out = block;
    block = NULL;
done:
    tfn__log_block_destroy(block);
    return rc;
}

bool tfn__log_block_takes(const tfn__log_block *block, const char *service, const char *hash,
                          const tfn_answer *answer)
{
    return block->commit == tfn_answer_get_commit(answer) &&
           block->n_keys == tfn_answer_get_n_keys(answer) &&
           block->n_columns == tfn_answer_get_n_columns(answer) && strcmp(block->hash, hash) == 0 &&
           strcmp(block->service, service) == 0;
}

static tfn_code add_times(column *c, const tfn_answer *answer, size_t i_column, tfn_error *err)
{
    char *room = NULL;
    const size_t n_rows = tfn_answer_get_n_rows(answer);
    TFN_RETURN_IF_ERROR(tfn_buf_add_room(&c->times_us, n_rows * 8, &room, err));
    for (size_t i = 0; i < n_rows; i++) {
        const tfn_time time = tfn_answer_get_event_time(answer, i, i_column);
        const tfn_instant instant = {time.seconds, time.nanos};
        const int64_t us = time.is_set != 0 ? tfn_instant_to(instant, TFN_UNIT_US) : INT64_MIN;
        memcpy(room + i * 8, &us, 8);
    }
    return TFN_OK;
}

/* Whether values are numbers that go into the column as they are, or nulls of such a column. */
static bool are_plain_numbers(const node *v, const tfn_value *values, size_t n)
{
    const value_form form = form_of(v->kind);
    bool are_plain = form == FORM_INTEGER || form == FORM_REAL;
    for (size_t i = 0; are_plain && i < n; i++) {
        are_plain = values[i].kind == TFN_VALUE_NULL ||
                    (values[i].kind == v->kind && values[i].unit == v->unit);
    }
    return are_plain;
}

/* What add_value does, for many at once: nearly all that servers answer. */
static tfn_code add_plain_numbers(node *v, const tfn_value *values, size_t n, tfn_error *err)
{
    char *validity = NULL;
    char *numbers = NULL;
    const bool is_real = form_of(v->kind) == FORM_REAL;
    TFN_RETURN_IF_ERROR(tfn_buf_add_room(&v->validity, n, &validity, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_room(&v->values, n * 8, &numbers, err));
    for (size_t i = 0; i < n; i++) {
        const bool is_there = values[i].kind != TFN_VALUE_NULL;
        const int64_t integer = is_there ? values[i].integer : 0;
        const double real = is_there ? values[i].real : 0;
        validity[i] = is_there ? 1 : 0;
        memcpy(numbers + i * 8, is_real ? (const void *)&real : (const void *)&integer, 8);
    }
    v->n += n;
    return TFN_OK;
}

static tfn_code add_values(node *v, const tfn_value *values, size_t n, tfn_error *err)
{
    if (are_plain_numbers(v, values, n)) {
        return add_plain_numbers(v, values, n, err);
    }
    for (size_t i = 0; i < n; i++) {
        TFN_RETURN_IF_ERROR(add_value(v, &values[i], err));
    }
    return TFN_OK;
}

static tfn_code add_statuses(column *c, const int32_t *statuses, size_t n, tfn_error *err)
{
    char *room = NULL;
    TFN_RETURN_IF_ERROR(tfn_buf_add_room(&c->statuses, n, &room, err));
    for (size_t i = 0; i < n; i++) {
        room[i] = (char)statuses[i];
    }
    return TFN_OK;
}

static tfn_code add_column(tfn__log_block *block, const tfn_answer *answer, size_t i_column,
                           tfn_error *err)
{
    column *c = &block->columns[i_column];
    const size_t n_rows = tfn_answer_get_n_rows(answer);
    for (size_t begin = 0; begin < n_rows; begin += SLICE_ROWS) {
        tfn_value values[SLICE_ROWS];
        int32_t statuses[SLICE_ROWS];
        const size_t n = n_rows - begin < SLICE_ROWS ? n_rows - begin : SLICE_ROWS;
        tfn_answer_get_values(answer, i_column, begin, n, values, statuses);
        TFN_RETURN_IF_ERROR(add_statuses(c, statuses, n, err));
        TFN_RETURN_IF_ERROR(add_values(&c->values, values, n, err));
    }
    return c->has_times ? add_times(c, answer, i_column, err) : TFN_OK;
}

tfn_code tfn__log_block_add(tfn__log_block *block, const tfn_answer *answer, int64_t time_us,
                            uint64_t sequence, tfn_error *err)
{
    const size_t n_rows = tfn_answer_get_n_rows(answer);
    if (n_rows > UINT32_MAX - block->n_rows) {
        return TFN_FAIL(err, TFN_LIMIT, "an answer of %zu rows is too large for a feature log",
                        n_rows);
    }
    const uint32_t row_count = (uint32_t)n_rows;
    TFN_RETURN_IF_ERROR(tfn_buf_add(&block->answer_times_us, &time_us, sizeof time_us, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add(&block->sequences, &sequence, sizeof sequence, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add(&block->row_counts, &row_count, sizeof row_count, err));
    for (size_t i = 0; i < block->n_columns; i++) {
        TFN_RETURN_IF_ERROR(add_column(block, answer, i, err));
    }
    block->n_answers++;
    block->n_rows += n_rows;
    return TFN_OK;
}

size_t tfn__log_block_get_n_answers(const tfn__log_block *block)
{
    return block->n_answers;
}

size_t tfn__log_block_get_n_bytes(const tfn__log_block *block)
{
    size_t n = block->answer_times_us.n + block->sequences.n + block->row_counts.n;
    for (size_t i = 0; i < block->n_columns; i++) {
        const column *c = &block->columns[i];
        n += c->statuses.n + c->times_us.n + count_node(&c->values);
    }
    return n;
}

tfn_str tfn__log_block_get_schema(const tfn__log_block *block)
{
    return tfn_buf_get_str(&block->schema);
}

tfn_code tfn__log_block_write(const tfn__log_block *block, tfn_buf *out, tfn_error *err)
{
    const uint32_t counts[2] = {(uint32_t)block->n_answers, (uint32_t)block->n_rows};
    TFN_RETURN_IF_ERROR(tfn_buf_add(out, counts, sizeof counts, err));
    TFN_RETURN_IF_ERROR(write_piece(out, &block->answer_times_us, err));
    TFN_RETURN_IF_ERROR(write_piece(out, &block->sequences, err));
    TFN_RETURN_IF_ERROR(write_piece(out, &block->row_counts, err));
    for (size_t i = 0; i < block->n_columns; i++) {
        const column *c = &block->columns[i];
        TFN_RETURN_IF_ERROR(write_piece(out, &c->statuses, err));
        TFN_RETURN_IF_ERROR(write_piece(out, &c->times_us, err));
        TFN_RETURN_IF_ERROR(write_node(out, &c->values, err));
    }
    return TFN_OK;
}

void tfn__log_block_clear(tfn__log_block *block)
{
    block->n_answers = 0;
    block->n_rows = 0;
    tfn_buf_clear(&block->answer_times_us);
    tfn_buf_clear(&block->sequences);
    tfn_buf_clear(&block->row_counts);
    for (size_t i = 0; i < block->n_columns; i++) {
        tfn_buf_clear(&block->columns[i].statuses);
        tfn_buf_clear(&block->columns[i].times_us);
        clear_node(&block->columns[i].values);
    }
}
