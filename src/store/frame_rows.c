/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Frames as rows of a view.
 *
 *   columns by name -> check: keys encoded and kept, times, values that might not fit -> put
 *
 * Two passes, because the second runs under the writer's lock of the online store: whatever can be
 * wrong with a frame is found before, while others write. Unlike in a source, a null key or time is
 * the caller's mistake and an error. A time far ahead of the clock is one as well, because under
 * the write rule its row would hide every honest one until then.
 *
 * The check goes through a column's values only where its type does not say that they all fit
 * (int64 for int32, uint64 for int64, ...), so a frame of the declared types costs what its keys
 * and times cost. Which value of a key is to blame is looked for only after the encoder said no.
 *
 * Rejected: a list of all errors (the first is nearly always the reason of the others), and leaving
 * bad rows out (nobody would know which).
 */

#include "store/frame_rows.h"

#include <inttypes.h>

#include "column/logical.h"

#include "base/poison.h"

enum { SECONDS_PER_DAY = 86400 };

void tfn__frame_rows_deinit(tfn__frame_rows *rows)
{
    for (size_t i = 0; i < rows->n_keys; i++) {
        tfn_keys_deinit(&rows->keys[i]);
    }
    for (size_t i = 0; i < rows->n_scratch; i++) {
        tfn_buf_deinit(&rows->scratch[i]);
    }
    tfn_arena_deinit(&rows->arena);
    *rows = (tfn__frame_rows){0};
}

/* ---- columns ---- */

static tfn_code find_column(const tfn__frame_rows *rows, tfn_str name, int64_t *out, tfn_error *err)
{
    *out = tfn_frame_find(rows->frame, name);
    if (*out == TFN_FRAME_NO_COLUMN) {
        *out = tfn_frame_find(rows->frame, tfn_source_def_get_column(rows->view->source, name));
    }
    if (*out == TFN_FRAME_AMBIGUOUS) {
        return TFN_FAIL(err, TFN_INVALID,
                        "the frame has two columns named '%.*s'; rename one of them",
                        TFN_STR_ARG(name));
    }
    return TFN_OK;
}

static tfn_code require_column(const tfn__frame_rows *rows, tfn_str name, const char *what,
                               size_t *out, tfn_error *err)
{
    int64_t i = -1;
    TFN_RETURN_IF_ERROR(find_column(rows, name, &i, err));
    if (i < 0) {
        return TFN_FAIL(err, TFN_SCHEMA,
                        "the frame has no column '%.*s', the %s of feature view '%.*s'",
                        TFN_STR_ARG(name), what, TFN_STR_ARG(rows->view->name));
    }
    *out = (size_t)i;
    return TFN_OK;
}

static tfn_code fail_type(const tfn__frame_rows *rows, size_t i_column, tfn_type expected,
                          tfn_type found, tfn_error *err)
{
    char expected_text[TFN_TYPE_TEXT_BYTES];
    char found_text[TFN_TYPE_TEXT_BYTES];
    tfn_type_format(expected, expected_text);
    tfn_type_format(found, found_text);
    return TFN_FAIL(err, TFN_SCHEMA, "column '%.*s' of the frame holds %s; expected %s",
                    TFN_STR_ARG(tfn_frame_get_name(rows->frame, i_column)), found_text,
                    expected_text);
}

static tfn_code find_keys(tfn__frame_rows *rows, tfn_error *err)
{
    const tfn_view_def *view = rows->view;
    tfn_type types[TFN_MAX_KEY_PARTS];
    for (size_t i = 0; i < view->n_keys && i < TFN_MAX_KEY_PARTS; i++) {
        types[i] = view->keys[i].type;
        rows->key_names[i] = view->keys[i].name;
        TFN_RETURN_IF_ERROR(
            require_column(rows, view->keys[i].name, "join key", &rows->key_columns[i], err));
        tfn_type found = {0};
        TFN_RETURN_IF_ERROR(tfn_frame_get_type(rows->frame, rows->key_columns[i], &found, err));
        if (!tfn_type_can_read_key(types[i], found)) {
            return fail_type(rows, rows->key_columns[i], types[i], found, err);
        }
    }
    TFN_RETURN_IF_ERROR(tfn_key_plan_init(&rows->key_plan, types, view->n_keys, err));
    rows->key_plan.names = rows->key_names;
    return TFN_OK;
}

static tfn_code find_time(tfn__frame_rows *rows, tfn_str name, const char *what, size_t *out,
                          tfn_error *err)
{
    const tfn_type expected = {.kind = TFN_KIND_TIMESTAMP, .unit = TFN_UNIT_US};
    tfn_type found = {0};
    TFN_RETURN_IF_ERROR(require_column(rows, name, what, out, err));
    TFN_RETURN_IF_ERROR(tfn_frame_get_type(rows->frame, *out, &found, err));
    if (found.kind == TFN_KIND_STRING && !found.is_list) {
        return tfn_frame_read_times(rows->frame, *out, err);
    }
    return tfn_type_can_read(expected, found) ? TFN_OK
                                              : fail_type(rows, *out, expected, found, err);
}

static tfn_code find_times(tfn__frame_rows *rows, tfn_error *err)
{
    const tfn_source_def *source = rows->view->source;
    TFN_RETURN_IF_ERROR(
        find_time(rows, source->timestamp_field, "timestamp_field", &rows->time_column, err));
    rows->created_column = -1;
    if (source->created_timestamp_column.n > 0) {
        size_t i_created = 0;
        TFN_RETURN_IF_ERROR(find_time(rows, source->created_timestamp_column,
                                      "created_timestamp_column", &i_created, err));
        rows->created_column = (int64_t)i_created;
    }
    return TFN_OK;
}

static tfn_code find_features(tfn__frame_rows *rows, tfn_error *err)
{
    const tfn_view_def *view = rows->view;
    size_t n_found = 0;
    for (size_t i = 0; i < view->n_features; i++) {
        const tfn_feature_def *feature = &view->features[i];
        rows->fields[i] = (tfn_row_field){feature->name, feature->type};
        TFN_RETURN_IF_ERROR(find_column(rows, feature->name, &rows->feature_columns[i], err));
        if (rows->feature_columns[i] < 0) {
            continue;
        }
        const size_t i_column = (size_t)rows->feature_columns[i];
        tfn_type found = {0};
        TFN_RETURN_IF_ERROR(tfn_frame_get_type(rows->frame, i_column, &found, err));
        /* As keys: pandas makes floats of integers with nulls. */
        if (!tfn_type_can_read_key(feature->type, found)) {
            return fail_type(rows, i_column, feature->type, found, err);
        }
        if (found.kind == TFN_KIND_TIMESTAMP) {
            rows->fields[i].type.unit = found.unit;
        }
        n_found++;
    }
    if (n_found == 0) {
        return TFN_FAIL(err, TFN_SCHEMA,
                        "the frame has none of the features of feature view '%.*s'",
                        TFN_STR_ARG(view->name));
    }
    return TFN_OK;
}

static tfn_code allocate(tfn__frame_rows *rows, tfn_error *err)
{
    const size_t n = rows->view->n_features;
    const size_t n_batches = (size_t)tfn_frame_get_n_batches(rows->frame);
    tfn_arena *arena = &rows->arena;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, rows->view->n_keys, sizeof(size_t), &p, err));
    rows->key_columns = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, rows->view->n_keys, sizeof(tfn_str), &p, err));
    rows->key_names = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, n, sizeof(int64_t), &p, err));
    rows->feature_columns = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, n, sizeof(tfn_row_field), &p, err));
    rows->fields = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(arena, n, sizeof(tfn_vec), &p, err));
    rows->vecs = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(arena, n, sizeof(tfn_cell), &p, err));
    rows->cells = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(arena, n, sizeof(tfn_buf), &p, err));
    rows->scratch = p;
    rows->n_scratch = n;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(arena, n_batches, sizeof(tfn_keys), &p, err));
    rows->keys = p;
    rows->n_keys = n_batches;
    return TFN_OK;
}

tfn_code tfn__frame_rows_init(tfn__frame_rows *rows, const tfn_view_def *view, tfn_frame *frame,
                              tfn_error *err)
{
    rows->view = view;
    rows->frame = frame;
    TFN_RETURN_IF_ERROR(allocate(rows, err));
    TFN_RETURN_IF_ERROR(find_keys(rows, err));
    TFN_RETURN_IF_ERROR(find_times(rows, err));
    return find_features(rows, err);
}

/* ---- one batch ---- */

typedef struct batch {
    int64_t i;
    int64_t n_rows;
    int64_t first_row; /* of the frame */
    tfn_vec keys[TFN_MAX_KEY_PARTS];
    tfn_vec times;
    tfn_vec created; /* when the source has such a column */
} batch;

/* The features' vectors go to rows->vecs. */
static tfn_code open_batch(tfn__frame_rows *rows, int64_t i, int64_t first_row, batch *out,
                           tfn_error *err)
{
    *out =
        (batch){.i = i, .n_rows = tfn_frame_get_batch_rows(rows->frame, i), .first_row = first_row};
    for (size_t k = 0; k < rows->view->n_keys; k++) {
        TFN_RETURN_IF_ERROR(
            tfn_frame_get_vec(rows->frame, i, rows->key_columns[k], &out->keys[k], err));
    }
    for (size_t k = 0; k < rows->view->n_features; k++) {
        if (rows->feature_columns[k] >= 0) {
            TFN_RETURN_IF_ERROR(tfn_frame_get_vec(rows->frame, i, (size_t)rows->feature_columns[k],
                                                  &rows->vecs[k], err));
        }
    }
    if (rows->created_column >= 0) {
        TFN_RETURN_IF_ERROR(
            tfn_frame_get_vec(rows->frame, i, (size_t)rows->created_column, &out->created, err));
    }
    return tfn_frame_get_vec(rows->frame, i, rows->time_column, &out->times, err);
}

/* Instant of a row in a time column: timestamp or date. */
static tfn_instant instant_at(const tfn_vec *times, int64_t i)
{
    const int64_t value = tfn_vec_get_int(times, i);
    if (times->type.kind == TFN_KIND_DATE) {
        return (tfn_instant){value * SECONDS_PER_DAY, 0}; /* dates are int32 */
    }
    return tfn_instant_of(value, (tfn_unit)times->type.unit);
}

/* "column 'driver_id', row 3 (counted from 0): <what was found>". Returns `code`. */
static tfn_code fail_at(const tfn__frame_rows *rows, const batch *b, int64_t i, size_t i_column,
                        tfn_code code, tfn_error *err)
{
    const int64_t i_row = b->first_row + i;
    tfn_error_prepend(err, "column '%.*s', row %" PRId64 " (counted from 0): ",
                      TFN_STR_ARG(tfn_frame_get_name(rows->frame, i_column)), i_row);
    return code;
}

/* ---- values ---- */

/* A float as a whole number of a declared integer type, or an error without its place. */
static tfn_code read_whole(double value, tfn_type declared, int64_t *out, tfn_error *err)
{
    const double bound = declared.kind == TFN_KIND_INT32 ? 2147483648.0 : 9223372036854775808.0;
    char name[TFN_TYPE_TEXT_BYTES];
    tfn_type_format(declared, name);
    *out = 0;
    if (!(value >= -bound && value < bound)) {
        return TFN_FAIL(err, TFN_SCHEMA, "value %.17g does not fit %s", value, name);
    }
    *out = (int64_t)value;
    if ((double)*out != value) {
        return TFN_FAIL(err, TFN_SCHEMA, "value %.17g is no whole number, as %s must be", value,
                        name);
    }
    return TFN_OK;
}

static bool is_float(const tfn_vec *v)
{
    return !v->type.is_list &&
           (v->type.kind == TFN_KIND_FLOAT32 || v->type.kind == TFN_KIND_FLOAT64);
}

/* Feature k of row i to rows->cells[k]; it has a column. NaN for an integer is null, as pandas
 * says it. */
static tfn_code read_cell(tfn__frame_rows *rows, size_t k, int64_t i, tfn_error *err)
{
    const tfn_vec *v = &rows->vecs[k];
    const tfn_type want = rows->fields[k].type;
    tfn_cell *cell = &rows->cells[k];
    if (!is_float(v) || (want.kind != TFN_KIND_INT32 && want.kind != TFN_KIND_INT64)) {
        return tfn_cell_of_vec(v, i, want, &rows->scratch[k], cell, err);
    }
    *cell = (tfn_cell){.is_null = true};
    const double value = tfn_vec_is_valid(v, i) ? tfn_vec_get_float(v, i) : 0.0;
    if (!tfn_vec_is_valid(v, i) || value != value) {
        return TFN_OK;
    }
    int64_t whole = 0;
    TFN_RETURN_IF_ERROR(read_whole(value, want, &whole, err));
    *cell = (tfn_cell){.bits = (uint64_t)whole};
    return TFN_OK;
}

/* ---- check: keys ---- */

/* One value of a key, or an error without its place. */
static tfn_code check_key_value(const tfn_vec *v, int64_t i, tfn_type declared, tfn_error *err)
{
    char name[TFN_TYPE_TEXT_BYTES];
    tfn_type_format(declared, name);
    if (!tfn_vec_is_valid(v, i)) {
        return TFN_FAIL(err, TFN_INVALID, "null; a join key needs a value");
    }
    if (v->type.kind == TFN_KIND_STRING || v->type.kind == TFN_KIND_BYTES) {
        const size_t n = tfn_vec_get_str(v, i).n;
        return n <= TFN_MAX_KEY_BYTES ? TFN_OK
                                      : TFN_FAIL(err, TFN_LIMIT, "%zu bytes; a key has at most %d",
                                                 n, TFN_MAX_KEY_BYTES);
    }
    int64_t value = 0;
    if (is_float(v)) {
        const double real = tfn_vec_get_float(v, i);
        return real == real ? read_whole(real, declared, &value, err)
                            : TFN_FAIL(err, TFN_INVALID, "NaN; a join key needs a value");
    }
    value = tfn_vec_get_int(v, i);
    if (!tfn_vec_fits(v, i)) {
        return TFN_FAIL(err, TFN_SCHEMA, "value %" PRIu64 " does not fit %s", (uint64_t)value,
                        name);
    }
    const bool is_narrow = declared.kind == TFN_KIND_INT32 || declared.kind == TFN_KIND_DATE;
    if (is_narrow && (value < INT32_MIN || value > INT32_MAX)) {
        return TFN_FAIL(err, TFN_SCHEMA, "value %" PRId64 " does not fit %s", value, name);
    }
    return TFN_OK;
}

/* The encoder said no to a row of these: find the first value to blame. TFN_OK: none was found. */
static tfn_code blame_key(const tfn__frame_rows *rows, const batch *b, tfn_error *err)
{
    for (int64_t i = 0; i < b->n_rows; i++) {
        for (size_t k = 0; k < rows->view->n_keys; k++) {
            const tfn_code rc = check_key_value(&b->keys[k], i, rows->key_plan.parts[k], err);
            if (rc != TFN_OK) {
                return fail_at(rows, b, i, rows->key_columns[k], rc, err);
            }
        }
    }
    return TFN_OK;
}

static tfn_code check_keys(tfn__frame_rows *rows, const batch *b, tfn_error *err)
{
    tfn_keys *keys = &rows->keys[b->i];
    tfn_error refusal = {0};
    tfn_code rc = tfn_keys_encode(keys, &rows->key_plan, b->keys, b->n_rows, &refusal);
    int64_t i = 0;
    while (rc == TFN_OK && i < b->n_rows && keys->ok[i] != 0) {
        i++;
    }
    if (rc == TFN_OK && i == b->n_rows) {
        return TFN_OK;
    }
    if (rc != TFN_NO_MEMORY) {
        TFN_RETURN_IF_ERROR(blame_key(rows, b, err));
    }
    if (rc != TFN_OK) { /* parts that fit alone, but not together; no memory */
        if (err != NULL) {
            *err = refusal;
        }
        return rc;
    }
    return TFN_FAIL(err, TFN_INVALID,
                    "row %" PRId64 " (counted from 0) has no key that can be written",
                    b->first_row + i);
}

/* ---- check: times ---- */

static tfn_code fail_ahead(const tfn__frame_rows *rows, const batch *b, int64_t i,
                           const tfn__ahead *ahead, tfn_error *err)
{
    char text[TFN_TIME_TEXT_BYTES];
    tfn_instant_format(instant_at(&b->times, i), text);
    const tfn_code rc = TFN_FAIL(err, TFN_INVALID,
                                 "%s is more than %" PRId64 " seconds ahead of the clock "
                                 "(online_store.max_ahead_seconds); it would hide every row "
                                 "before it",
                                 text, ahead->max_seconds);
    return fail_at(rows, b, i, rows->time_column, rc, err);
}

static tfn_code check_times(const tfn__frame_rows *rows, const batch *b, const tfn__ahead *ahead,
                            tfn_error *err)
{
    tfn_instant latest = {0};
    if (ahead != NULL) {
        latest = ahead->now;
        latest.seconds += ahead->max_seconds; /* both far from the ends of int64 */
    }
    for (int64_t i = 0; i < b->n_rows; i++) {
        if (!tfn_vec_is_valid(&b->times, i)) {
            const tfn_code rc = TFN_FAIL(err, TFN_INVALID, "null; a row needs its event time");
            return fail_at(rows, b, i, rows->time_column, rc, err);
        }
        if (ahead != NULL && tfn_instant_compare(instant_at(&b->times, i), latest) > 0) {
            return fail_ahead(rows, b, i, ahead, err);
        }
    }
    return TFN_OK;
}

/* ---- check: values ---- */

/* Does the type alone say that every value fits? */
static bool always_fits(const tfn_vec *v, tfn_type want)
{
    const tfn_vec *values = want.is_list && v->child != NULL ? v->child : v;
    if (want.logical != TFN_LOGICAL_NONE) {
        return false;
    }
    switch (want.kind) {
    case TFN_KIND_INT32:
    case TFN_KIND_DATE:
        return values->number == TFN_NUMBER_I8 || values->number == TFN_NUMBER_I16 ||
               values->number == TFN_NUMBER_I32 || values->number == TFN_NUMBER_U8 ||
               values->number == TFN_NUMBER_U16;
    case TFN_KIND_INT64:
        return values->number != TFN_NUMBER_U64 && !is_float(values);
    default:
        return true;
    }
}

static tfn_code check_values(tfn__frame_rows *rows, const batch *b, tfn_error *err)
{
    for (size_t k = 0; k < rows->view->n_features; k++) {
        const tfn_type want = rows->fields[k].type;
        if (rows->feature_columns[k] < 0 || always_fits(&rows->vecs[k], want)) {
            continue;
        }
        for (int64_t i = 0; i < b->n_rows; i++) {
            tfn_code rc = read_cell(rows, k, i, err);
            if (rc == TFN_OK) {
                rc = tfn_logical_check(want, &rows->cells[k], err);
            }
            if (rc != TFN_OK) {
                return fail_at(rows, b, i, (size_t)rows->feature_columns[k], rc, err);
            }
        }
    }
    return TFN_OK;
}

tfn_code tfn__frame_rows_check(tfn__frame_rows *rows, const tfn__ahead *ahead, tfn_error *err)
{
    int64_t first_row = 0;
    for (int64_t i = 0; i < tfn_frame_get_n_batches(rows->frame); i++) {
        batch b;
        TFN_RETURN_IF_ERROR(open_batch(rows, i, first_row, &b, err));
        TFN_RETURN_IF_ERROR(check_keys(rows, &b, err));
        TFN_RETURN_IF_ERROR(check_times(rows, &b, ahead, err));
        TFN_RETURN_IF_ERROR(check_values(rows, &b, err));
        first_row += b.n_rows;
    }
    return TFN_OK;
}

/* ---- put ---- */

static tfn_code put_row(tfn__frame_rows *rows, const batch *b, int64_t i, tfn_online_write *write,
                        tfn_error *err)
{
    for (size_t k = 0; k < rows->view->n_features; k++) {
        rows->cells[k] = (tfn_cell){.is_null = true};
        if (rows->feature_columns[k] >= 0) {
            TFN_RETURN_IF_ERROR(read_cell(rows, k, i, err));
        }
    }
    const bool has_created = rows->created_column >= 0 && tfn_vec_is_valid(&b->created, i);
    const tfn_instant created = has_created ? instant_at(&b->created, i) : TFN_INSTANT_NONE;
    return tfn_online_put(write, tfn_keys_get(&rows->keys[b->i], i), rows->cells,
                          instant_at(&b->times, i), created, err);
}

/* Is it the row, not the store, that is to blame? */
static bool is_of_row(tfn_code code)
{
    return code == TFN_UNSUPPORTED || code == TFN_LIMIT || code == TFN_INVALID ||
           code == TFN_SCHEMA;
}

static tfn_code put_rows(tfn__frame_rows *rows, const batch *b, int64_t begin, int64_t end,
                         tfn_online_write *write, tfn_error *err)
{
    for (int64_t i = begin; i < end; i++) {
        const tfn_code rc = put_row(rows, b, i, write, err);
        if (rc != TFN_OK) {
            if (is_of_row(rc)) {
                tfn_error_prepend(err, "row %" PRId64 " (counted from 0): ", b->first_row + i);
            }
            return rc;
        }
    }
    return TFN_OK;
}

tfn_code tfn__frame_rows_put_some(tfn__frame_rows *rows, tfn__frame_place *place, int64_t max_rows,
                                  tfn_online_write *write, tfn_error *err)
{
    const int64_t n_batches = tfn_frame_get_n_batches(rows->frame);
    while (place->i_batch < n_batches && max_rows > 0) {
        batch b;
        TFN_RETURN_IF_ERROR(open_batch(rows, place->i_batch, place->first_row, &b, err));
        const int64_t n_left = b.n_rows - place->i_row;
        const int64_t n = n_left < max_rows ? n_left : max_rows;
        TFN_RETURN_IF_ERROR(put_rows(rows, &b, place->i_row, place->i_row + n, write, err));
        max_rows -= n;
        place->i_row += n;
        if (n == n_left) {
            *place = (tfn__frame_place){place->i_batch + 1, 0, place->first_row + b.n_rows};
        }
    }
    return TFN_OK;
}

tfn_code tfn__frame_rows_put(tfn__frame_rows *rows, tfn_online_write *write, tfn_error *err)
{
    tfn__frame_place place = {0};
    return tfn__frame_rows_put_some(rows, &place, INT64_MAX, write, err);
}
