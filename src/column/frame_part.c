/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Parts of frames: a window on consecutive rows, and a copy of chosen ones.
 *
 *   slice  batches[] { view, cols[] { array and vec with a later offset } } -> parent (retained)
 *   take   builder per column <- runs of consecutive rows -> columns -> a frame of one batch
 *
 * A slice is a frame like any other, so whatever reads or exports frames does not know of it. Its
 * arrays point into the parent's; only the small structs are its own.
 */

#include "column/frame.h"

#include "base/mem.h"
#include "column/column_internal.h"

#include "base/poison.h"

/* ---- slices ---- */

/* The window of one column; `from` is whole, `to` shows rows begin .. begin + n - 1 of it. */
static void cut_column(const tfn__frame_col *from, const char *format, int64_t begin, int64_t n,
                       tfn__frame_col *to)
{
    to->array = from->array;
    to->array.offset += begin;
    to->array.length = n;
    if (to->array.null_count != 0) {
        to->array.null_count = format[0] == 'n' ? n : -1;
    }
    to->vec = tfn_vec_slice(&from->vec, begin, n);
}

static tfn_code add_window(tfn_frame *f, const tfn__frame_batch *from, int64_t begin, int64_t n,
                           tfn_error *err)
{
    void *p = f->batches;
    const tfn_code rc =
        tfn_mem_grow(&p, &f->batch_capacity, f->n_batches + 1, sizeof *f->batches, err);
    f->batches = p;
    TFN_RETURN_IF_ERROR(rc);
    tfn__frame_batch *batch = &f->batches[f->n_batches];
    *batch = (tfn__frame_batch){0};
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&f->arena, f->n_cols, sizeof *batch->cols, &p, err));
    batch->cols = p;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc_zero(&f->arena, f->n_cols, sizeof(struct ArrowArray *), &p, err));
    struct ArrowArray **children = p;
    for (size_t i = 0; i < f->n_cols; i++) {
        cut_column(&from->cols[i], f->schema.children[i]->format, begin, n, &batch->cols[i]);
        children[i] = &batch->cols[i].array;
    }
    batch->view = (struct ArrowArray){
        .length = n, .n_buffers = 1, .n_children = (int64_t)f->n_cols, .children = children};
    f->n_batches++;
    f->n_rows += n;
    return TFN_OK;
}

/* The rows of one batch that are wanted, in windows of at most max_rows (0 = any). */
static tfn_code cut_batch(tfn_frame *f, const tfn__frame_batch *from, int64_t begin, int64_t end,
                          int64_t max_rows, tfn_error *err)
{
    while (begin < end) {
        const int64_t n_left = end - begin;
        const int64_t n = max_rows > 0 && max_rows < n_left ? max_rows : n_left;
        TFN_RETURN_IF_ERROR(add_window(f, from, begin, n, err));
        begin += n;
    }
    return TFN_OK;
}

tfn_code tfn_frame_slice(tfn_frame *f, int64_t begin, int64_t n, int64_t max_batch_rows,
                         tfn_frame **out, tfn_error *err)
{
    *out = NULL;
    if (begin < 0 || n < 0 || begin > f->n_rows - n) {
        return TFN_FAIL(err, TFN_INVALID, "%lld rows from row %lld of a table of %lld rows",
                        (long long)n, (long long)begin, (long long)f->n_rows);
    }
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_frame), &p, err));
    tfn_frame *slice = p;
    atomic_init(&slice->n_refs, 1);
    slice->parent = tfn_frame_retain(f);
    slice->schema = f->schema;
    slice->schema.release = NULL;
    slice->n_cols = f->n_cols;
    slice->types = f->types;
    slice->is_readable = f->is_readable;
    int64_t first = 0; /* row of the frame at which a batch begins */
    for (size_t i = 0; i < f->n_batches && first < begin + n; i++) {
        const int64_t n_batch = f->batches[i].view.length;
        const int64_t from = begin > first ? begin - first : 0;
        const int64_t to = begin + n - first < n_batch ? begin + n - first : n_batch;
        const tfn_code rc = cut_batch(slice, &f->batches[i], from, to, max_batch_rows, err);
        if (rc != TFN_OK) {
            tfn_frame_release(slice);
            return rc;
        }
        first += n_batch;
    }
    *out = slice;
    return TFN_OK;
}

/* ---- chosen rows ---- */

/* Append the rows of one column to a builder, run by run. */
static tfn_code add_rows(const tfn_frame *f, size_t i_col, const uint32_t *rows, size_t n_rows,
                         tfn_builder *builder, tfn_error *err)
{
    int64_t first = 0; /* row of the frame at which batch i_batch begins */
    int64_t i_batch = 0;
    size_t i = 0;
    while (i < n_rows) {
        int64_t n_batch = tfn_frame_get_batch_rows(f, i_batch);
        while (rows[i] >= first + n_batch) {
            first += n_batch;
            i_batch++;
            n_batch = tfn_frame_get_batch_rows(f, i_batch);
        }
        size_t n_run = 1;
        while (i + n_run < n_rows && rows[i + n_run] == rows[i] + n_run &&
               rows[i + n_run] < first + n_batch) {
            n_run++;
        }
        tfn_vec v = {0};
        TFN_RETURN_IF_ERROR(tfn_frame_get_vec(f, i_batch, i_col, &v, err));
        TFN_RETURN_IF_ERROR(tfn_builder_add_vec(builder, &v, rows[i] - first, (int64_t)n_run, err));
        i += n_run;
    }
    return TFN_OK;
}

static tfn_code take_column(const tfn_frame *f, size_t i_col, const uint32_t *rows, size_t n_rows,
                            tfn_column **out, tfn_error *err)
{
    tfn_type type = {0};
    tfn_builder *builder = NULL;
    TFN_RETURN_IF_ERROR(tfn_frame_get_type(f, i_col, &type, err));
    TFN_RETURN_IF_ERROR(tfn_builder_create(type, (int64_t)n_rows, &builder, err));
    tfn_code rc = add_rows(f, i_col, rows, n_rows, builder, err);
    if (rc == TFN_OK) {
        rc = tfn_builder_finish(&builder, out, err);
    } else {
        tfn_error_prepend(err, "column '%.*s': ", TFN_STR_ARG(tfn_frame_get_name(f, i_col)));
    }
    tfn_builder_destroy(builder);
    return rc;
}

tfn_code tfn_frame_take(const tfn_frame *f, const size_t *columns, size_t n_columns,
                        const uint32_t *rows, size_t n_rows, tfn_frame **out, tfn_error *err)
{
    *out = NULL;
    struct ArrowArrayStream stream = {.release = NULL};
    tfn_str *names = NULL;
    tfn_column **taken = NULL;
    void *p = NULL;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn_mem_alloc_array(n_columns, sizeof *names, &p, err), done);
    names = p;
    TFN_GOTO_IF_ERROR(rc, tfn_mem_alloc_array(n_columns, sizeof(tfn_column *), &p, err), done);
    taken = p;
    for (size_t i = 0; i < n_columns; i++) {
        names[i] = tfn_frame_get_name(f, columns[i]);
        TFN_GOTO_IF_ERROR(rc, take_column(f, columns[i], rows, n_rows, &taken[i], err), done);
    }
    TFN_GOTO_IF_ERROR(
        rc, tfn_columns_export(names, taken, n_columns, (int64_t)n_rows, 0, &stream, err), done);
    rc = tfn_frame_read(&stream, out, err);
done:
    if (stream.release != NULL) {
        stream.release(&stream);
    }
    for (size_t i = 0; taken != NULL && i < n_columns; i++) {
        tfn_column_release(taken[i]);
    }
    tfn_mem_free(taken);
    tfn_mem_free(names);
    return rc;
}
