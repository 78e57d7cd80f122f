/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Frames: reading a stream and looking at it.
 *
 *   frame -> batches[] { taken: the array as it came | view: sliced | cols[] { array, vec } }
 *         -> arena: cols, merged validity bitmaps, list children of vectors
 *         -> decoded[]: plain columns for dictionary-encoded ones
 *
 * A batch is itself a struct array, so it may have an offset, a length shorter than its children's
 * and nulls of its own. All three are pushed down into the columns once, when the batch is read:
 * `cols[i].array` is a window on the child, with a merged validity bitmap if the struct has nulls.
 * Vectors and exports are then made from `cols` alone.
 *
 * Invariants
 *  1. After tfn_frame_read nothing in a frame changes but n_refs, so any thread may look.
 *  2. Every batch has rows.
 */

#include "column/frame.h"

#include <errno.h> /* IWYU pragma: keep - ENOMEM */
#include <string.h>

#include "base/mem.h"
#include "column/column_internal.h"

#include "base/poison.h"

tfn_frame *tfn_frame_retain(tfn_frame *f)
{
    if (f != NULL) {
        atomic_fetch_add_explicit(&f->n_refs, 1, memory_order_relaxed);
    }
    return f;
}

void tfn_frame_release(tfn_frame *f)
{
    if (f == NULL || atomic_fetch_sub_explicit(&f->n_refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; i < f->n_batches; i++) {
        if (f->batches[i].taken.release != NULL) {
            f->batches[i].taken.release(&f->batches[i].taken);
        }
    }
    for (size_t i = 0; i < f->n_decoded; i++) {
        tfn_column_release(f->decoded[i]);
    }
    if (f->schema.release != NULL) {
        f->schema.release(&f->schema);
    }
    tfn_mem_free(f->batches);
    tfn_mem_free(f->decoded);
    tfn_arena_deinit(&f->arena);
    tfn_frame_release(f->parent);
    tfn_mem_free(f);
}

/* ---- looking ---- */

int64_t tfn_frame_get_n_rows(const tfn_frame *f)
{
    return f->n_rows;
}

int64_t tfn_frame_get_n_batches(const tfn_frame *f)
{
    return (int64_t)f->n_batches;
}

int64_t tfn_frame_get_batch_rows(const tfn_frame *f, int64_t i_batch)
{
    return f->batches[i_batch].view.length;
}

size_t tfn_frame_get_n_cols(const tfn_frame *f)
{
    return f->n_cols;
}

tfn_str tfn_frame_get_name(const tfn_frame *f, size_t i_col)
{
    const char *name = f->schema.children[i_col]->name;
    return tfn_str_of(name == NULL ? "" : name);
}

int64_t tfn_frame_find(const tfn_frame *f, tfn_str name)
{
    int64_t found = -1;
    for (size_t i = 0; i < f->n_cols; i++) {
        if (tfn_str_equal(tfn_frame_get_name(f, i), name)) {
            if (found >= 0) {
                return -2;
            }
            found = (int64_t)i;
        }
    }
    return found;
}

tfn_code tfn_frame_get_type(const tfn_frame *f, size_t i_col, tfn_type *out, tfn_error *err)
{
    *out = f->types[i_col];
    if (f->is_readable[i_col]) {
        return TFN_OK;
    }
    return tfn_type_of_arrow(f->schema.children[i_col], tfn_frame_get_name(f, i_col), out, err);
}

tfn_code tfn_frame_get_vec(const tfn_frame *f, int64_t i_batch, size_t i_col, tfn_vec *out,
                           tfn_error *err)
{
    *out = (tfn_vec){0};
    tfn_type type;
    TFN_RETURN_IF_ERROR(tfn_frame_get_type(f, i_col, &type, err));
    *out = f->batches[i_batch].cols[i_col].vec;
    return TFN_OK;
}

/* ---- dictionaries ---- */

/* Rows of `values` that `indices` name, as a new column. */
static tfn_code gather_dictionary(const tfn_vec *indices, const tfn_vec *values, tfn_str name,
                                  tfn_builder *builder, tfn_error *err)
{
    for (int64_t i = 0; i < indices->n; i++) {
        if (!tfn_vec_is_valid(indices, i)) {
            TFN_RETURN_IF_ERROR(tfn_builder_add_nulls(builder, 1, err));
            continue;
        }
        const int64_t at = tfn_vec_get_int(indices, i);
        if (at < 0 || at >= values->n || !tfn_vec_fits(indices, i)) {
            return TFN_FAIL(err, TFN_INVALID,
                            "column '%.*s': dictionary index %lld of a dictionary of %lld values",
                            TFN_STR_ARG(name), (long long)at, (long long)values->n);
        }
        TFN_RETURN_IF_ERROR(tfn_builder_add_vec(builder, values, at, 1, err));
    }
    return TFN_OK;
}

/* Finish the builder into a column that the frame keeps; borrowed. */
static tfn_code keep_column(tfn_frame *f, tfn_builder **builder, tfn_column **out, tfn_error *err)
{
    *out = NULL;
    void *p = f->decoded;
    const tfn_code rc =
        tfn_mem_grow(&p, &f->decoded_capacity, f->n_decoded + 1, sizeof(tfn_column *), err);
    f->decoded = p;
    TFN_RETURN_IF_ERROR(rc);
    TFN_RETURN_IF_ERROR(tfn_builder_finish(builder, out, err));
    f->decoded[f->n_decoded++] = *out;
    return TFN_OK;
}

/* tfn__dictionary_fn; the context is the frame. */
static tfn_code decode(void *context, const struct ArrowSchema *schema,
                       const struct ArrowArray *array, tfn_str name, tfn_arena *arena, tfn_vec *out,
                       tfn_error *err)
{
    struct ArrowSchema index_schema = *schema;
    index_schema.dictionary = NULL;
    tfn_vec indices;
    tfn_vec values;
    TFN_RETURN_IF_ERROR(tfn_vec_of_arrow(&index_schema, array, name, arena, &indices, err));
    if (indices.type.is_list ||
        (indices.type.kind != TFN_KIND_INT32 && indices.type.kind != TFN_KIND_INT64)) {
        return TFN_FAIL(err, TFN_INVALID, "column '%.*s': dictionary indices of Arrow type '%s'",
                        TFN_STR_ARG(name), schema->format);
    }
    TFN_RETURN_IF_ERROR(tfn__vec_of_arrow(schema->dictionary, array->dictionary, name, decode,
                                          context, arena, &values, err));
    tfn_builder *builder = NULL;
    tfn_column *column = NULL;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn_builder_create(values.type, indices.n, &builder, err), done);
    TFN_GOTO_IF_ERROR(rc, gather_dictionary(&indices, &values, name, builder, err), done);
    TFN_GOTO_IF_ERROR(rc, keep_column(context, &builder, &column, err), done);
    *out = *tfn_column_get_vec(column);
done:
    tfn_builder_destroy(builder);
    return rc;
}

/* ---- batches ---- */

static bool bit_at(const uint8_t *bits, int64_t i)
{
    return ((bits[i >> 3] >> (i & 7)) & 1) != 0;
}

/* The validity bitmap of a struct array that has null rows; NULL when it has none. */
static const uint8_t *nulls_of_batch(const struct ArrowArray *batch)
{
    if (batch->null_count == 0 || batch->n_buffers < 1 || batch->buffers == NULL ||
        batch->buffers[0] == NULL) {
        return NULL;
    }
    const uint8_t *bits = batch->buffers[0];
    return tfn__bits_count_unset(bits, batch->offset, batch->length) > 0 ? bits : NULL;
}

/* Has this Arrow type a validity bitmap? (nulls, unions and run-end encoded arrays have none) */
static bool has_validity(const char *format)
{
    return format[0] != 'n' && strncmp(format, "+u", 2) != 0 && strncmp(format, "+r", 2) != 0;
}

/* Null rows of the struct become nulls of the column's window. */
static tfn_code merge_nulls(tfn_frame *f, const uint8_t *struct_bits, int64_t struct_offset,
                            struct ArrowArray *col, tfn_error *err)
{
    void *p = NULL;
    const size_t n_buffers = (size_t)col->n_buffers;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&f->arena, n_buffers, sizeof col->buffers[0], &p, err));
    const void **buffers = p;
    const size_t n_bits = (size_t)(col->offset + col->length);
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&f->arena, n_bits / 8 + 1, 1, &p, err));
    uint8_t *merged = p;
    const uint8_t *own = col->null_count == 0 ? NULL : col->buffers[0];
    int64_t n_nulls = 0;
    for (int64_t i = 0; i < col->length; i++) {
        const int64_t at = col->offset + i;
        if (bit_at(struct_bits, struct_offset + i) && (own == NULL || bit_at(own, at))) {
            merged[at >> 3] = (uint8_t)(merged[at >> 3] | 1u << (at & 7));
        } else {
            n_nulls++;
        }
    }
    memcpy(buffers, col->buffers, n_buffers * sizeof col->buffers[0]);
    buffers[0] = merged;
    col->buffers = buffers;
    col->null_count = n_nulls;
    return TFN_OK;
}

/* Has an array the children, buffers and dictionary that its schema promises, all the way down? What
 * we cannot read is handed on, so this holds for every column. */
static bool is_whole_array(const struct ArrowSchema *schema, const struct ArrowArray *array)
{
    if (array->n_children != schema->n_children || array->n_buffers < 0 ||
        (array->n_children > 0 && array->children == NULL) ||
        (array->n_buffers > 1 && array->buffers == NULL) ||
        (array->dictionary == NULL) != (schema->dictionary == NULL)) {
        return false;
    }
    for (int64_t i = 0; i < array->n_children; i++) {
        if (array->children[i] == NULL ||
            !is_whole_array(schema->children[i], array->children[i])) {
            return false;
        }
    }
    return array->dictionary == NULL || is_whole_array(schema->dictionary, array->dictionary);
}

/* The window of one child that a batch's rows are. */
static tfn_code window_of(tfn_frame *f, const struct ArrowArray *batch, size_t i_col,
                          struct ArrowArray *out, tfn_error *err)
{
    const struct ArrowArray *child = batch->children[i_col];
    const tfn_str name = tfn_frame_get_name(f, i_col);
    if (child == NULL || child->length < batch->offset + batch->length || child->offset < 0) {
        return TFN_FAIL(err, TFN_INVALID,
                        "column '%.*s': an array of %lld rows in a batch of %lld at offset %lld",
                        TFN_STR_ARG(name), child == NULL ? 0LL : (long long)child->length,
                        (long long)batch->length, (long long)batch->offset);
    }
    if (!is_whole_array(f->schema.children[i_col], child)) {
        return TFN_FAIL(err, TFN_INVALID,
                        "column '%.*s': an array lacks children, buffers or the dictionary that "
                        "its type has",
                        TFN_STR_ARG(name));
    }
    *out = *child;
    out->release = NULL;
    out->private_data = NULL;
    out->length = batch->length;
    int64_t end = 0;
    if (__builtin_add_overflow(child->offset, batch->offset, &out->offset) ||
        __builtin_add_overflow(out->offset, out->length, &end)) {
        return TFN_FAIL(err, TFN_INVALID, "column '%.*s': offset %lld", TFN_STR_ARG(name),
                        (long long)child->offset);
    }
    const bool is_whole = batch->offset == 0 && batch->length == child->length;
    const char *format = f->schema.children[i_col]->format;
    if (!is_whole && child->null_count != 0) {
        out->null_count = format[0] == 'n' ? out->length : -1;
    }
    const uint8_t *struct_bits = nulls_of_batch(batch);
    if (struct_bits == NULL || !has_validity(format) || child->n_buffers < 1 ||
        child->buffers == NULL) {
        return TFN_OK;
    }
    return merge_nulls(f, struct_bits, batch->offset, out, err);
}

static tfn_code prepare_batch(tfn_frame *f, tfn__frame_batch *batch, tfn_error *err)
{
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&f->arena, f->n_cols, sizeof *batch->cols, &p, err));
    batch->cols = p;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc_zero(&f->arena, f->n_cols, sizeof(struct ArrowArray *), &p, err));
    struct ArrowArray **children = p;
    for (size_t i = 0; i < f->n_cols; i++) {
        tfn__frame_col *col = &batch->cols[i];
        children[i] = &col->array;
        TFN_RETURN_IF_ERROR(window_of(f, &batch->taken, i, &col->array, err));
        if (f->is_readable[i]) {
            TFN_RETURN_IF_ERROR(tfn__vec_of_arrow(f->schema.children[i], &col->array,
                                                  tfn_frame_get_name(f, i), decode, f, &f->arena,
                                                  &col->vec, err));
        }
    }
    batch->view = (struct ArrowArray){.length = batch->taken.length,
                                      .n_buffers = 1,
                                      .n_children = (int64_t)f->n_cols,
                                      .children = children};
    return TFN_OK;
}

static tfn_code check_batch(const tfn_frame *f, const struct ArrowArray *batch, tfn_error *err)
{
    int64_t end = 0;
    if (batch->length < 0 || batch->offset < 0 ||
        __builtin_add_overflow(batch->length, batch->offset, &end)) {
        return TFN_FAIL(err, TFN_INVALID, "the stream gave a batch of length %lld at offset %lld",
                        (long long)batch->length, (long long)batch->offset);
    }
    if (batch->n_children != (int64_t)f->n_cols || (f->n_cols > 0 && batch->children == NULL)) {
        return TFN_FAIL(err, TFN_INVALID,
                        "the stream gave a batch of %lld columns; its schema has %zu",
                        (long long)batch->n_children, f->n_cols);
    }
    return TFN_OK;
}

/* ---- the stream ---- */

static tfn_code fail_producer(struct ArrowArrayStream *stream, int error_code, tfn_error *err)
{
    const char *text = stream->get_last_error == NULL ? NULL : stream->get_last_error(stream);
    if (text != NULL && text[0] != '\0') {
        return TFN_FAIL(err, error_code == ENOMEM ? TFN_NO_MEMORY : TFN_IO,
                        "the stream's producer reports: %s", text);
    }
    return TFN_FAIL_SYS(err, error_code, "the stream's producer reports an error without a text");
}

/* Is all of a column's schema there, children and dictionaries too? */
static bool is_whole_schema(const struct ArrowSchema *schema)
{
    bool ok = schema != NULL && schema->format != NULL && schema->n_children >= 0 &&
              (schema->n_children == 0 || schema->children != NULL);
    for (int64_t i = 0; ok && i < schema->n_children; i++) {
        ok = is_whole_schema(schema->children[i]);
    }
    return ok && (schema->dictionary == NULL || is_whole_schema(schema->dictionary));
}

static tfn_code check_schema(const struct ArrowSchema *schema, tfn_error *err)
{
    if (schema->release == NULL || schema->format == NULL) {
        return TFN_FAIL(err, TFN_INVALID, "the stream gave no schema");
    }
    if (strcmp(schema->format, "+s") != 0) {
        return TFN_FAIL(err, TFN_INVALID,
                        "the stream is of Arrow type '%s'; a table or record batches were expected",
                        schema->format);
    }
    return is_whole_schema(schema)
               ? TFN_OK
               : TFN_FAIL(err, TFN_INVALID, "the stream's schema has incomplete columns");
}

static tfn_code read_schema(tfn_frame *f, struct ArrowArrayStream *stream, tfn_error *err)
{
    const int error_code = stream->get_schema(stream, &f->schema);
    if (error_code != 0) {
        f->schema.release = NULL;
        return fail_producer(stream, error_code, err);
    }
    TFN_RETURN_IF_ERROR(check_schema(&f->schema, err));
    f->n_cols = (size_t)f->schema.n_children;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&f->arena, f->n_cols, sizeof *f->types, &p, err));
    f->types = p;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc_zero(&f->arena, f->n_cols, sizeof *f->is_readable, &p, err));
    f->is_readable = p;
    for (size_t i = 0; i < f->n_cols; i++) {
        const tfn_str name = tfn_frame_get_name(f, i);
        f->is_readable[i] =
            tfn_type_of_arrow(f->schema.children[i], name, &f->types[i], NULL) == TFN_OK;
    }
    return TFN_OK;
}

/* Read one batch; *end at the end of the stream. */
static tfn_code read_batch(tfn_frame *f, struct ArrowArrayStream *stream, bool *end, tfn_error *err)
{
    *end = false;
    void *p = f->batches;
    const tfn_code rc =
        tfn_mem_grow(&p, &f->batch_capacity, f->n_batches + 1, sizeof *f->batches, err);
    f->batches = p;
    TFN_RETURN_IF_ERROR(rc);
    tfn__frame_batch *batch = &f->batches[f->n_batches];
    *batch = (tfn__frame_batch){0};
    const int error_code = stream->get_next(stream, &batch->taken);
    if (error_code != 0) {
        return fail_producer(stream, error_code, err);
    }
    if (batch->taken.release == NULL) {
        *end = true;
        return TFN_OK;
    }
    f->n_batches++; /* from here on the frame releases it */
    TFN_RETURN_IF_ERROR(check_batch(f, &batch->taken, err));
    if (batch->taken.length == 0) {
        batch->taken.release(&batch->taken);
        f->n_batches--;
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(prepare_batch(f, batch, err));
    if (__builtin_add_overflow(f->n_rows, batch->view.length, &f->n_rows)) {
        return TFN_FAIL(err, TFN_INVALID, "the stream gave more than 2^63 rows");
    }
    return TFN_OK;
}

tfn_code tfn_frame_read(struct ArrowArrayStream *stream, tfn_frame **out, tfn_error *err)
{
    *out = NULL;
    if (stream == NULL || stream->release == NULL) {
        return TFN_FAIL(err, TFN_INVALID, "the stream was released or read before");
    }
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_frame), &p, err));
    tfn_frame *f = p;
    atomic_init(&f->n_refs, 1);
    tfn_code rc = read_schema(f, stream, err);
    bool end = false;
    while (rc == TFN_OK && !end) {
        rc = read_batch(f, stream, &end, err);
    }
    if (rc != TFN_OK) {
        tfn_frame_release(f);
        return rc;
    }
    stream->release(stream);
    *out = f;
    return TFN_OK;
}
