/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Streams that Tiffin gives out: a frame's columns, columns of our own, or both side by side.
 *
 *   stream -> state { frame (reference), columns (references), names, place }
 *   schema or array -> node { frame (reference), children, dictionary }     one per exported struct
 *
 * Nothing is copied but the small structs. Buffers, formats, names and metadata of the frame are
 * pointed to; every node holds its own reference to the frame, so that each exported struct may
 * be moved and released alone, in any order, on any thread.
 *
 * Invariant: a struct under construction already has `release` set and its children zeroed, so
 * releasing it is the one way to undo.
 */

#include "column/frame.h"

#include <assert.h>
#include <errno.h> /* IWYU pragma: keep */

#include "base/mem.h"
#include "column/column_internal.h"

#include "base/poison.h"

/* ---- schemas ---- */

typedef struct schema_node {
    tfn_frame *frame;
    struct ArrowSchema dictionary;
    struct ArrowSchema **pointers;
    struct ArrowSchema children[]; /* behind them, the pointers to them */
} schema_node;

static void release_schema(struct ArrowSchema *schema)
{
    schema_node *node = schema->private_data;
    for (int64_t i = 0; i < schema->n_children; i++) {
        if (node->children[i].release != NULL) {
            node->children[i].release(&node->children[i]);
        }
    }
    if (node->dictionary.release != NULL) {
        node->dictionary.release(&node->dictionary);
    }
    tfn_frame_release(node->frame);
    tfn_mem_free(node);
    schema->release = NULL;
}

/* Bytes of a node with n children and n pointers to them behind its head. */
static bool node_bytes(size_t n_head, size_t n_child, int64_t n_children, size_t *out)
{
    size_t n_tail = 0;
    return n_children >= 0 && tfn_mem_mul((size_t)n_children, n_child + sizeof(void *), &n_tail) &&
           tfn_mem_add(n_head, n_tail, out);
}

static tfn_code fail_children(int64_t n_children, tfn_error *err)
{
    return TFN_FAIL(err, TFN_INVALID, "a column with %lld children cannot be given back",
                    (long long)n_children);
}

/* A schema of from's own fields with n_more children to be filled by the caller behind from's. */
static tfn_code wrap_schema(tfn_frame *f, const struct ArrowSchema *from, int64_t n_more,
                            struct ArrowSchema *out, tfn_error *err)
{
    *out = (struct ArrowSchema){0};
    const int64_t n_children = from->n_children + n_more;
    size_t n_bytes = 0;
    if (!node_bytes(sizeof(schema_node), sizeof(struct ArrowSchema), n_children, &n_bytes)) {
        return fail_children(n_children, err);
    }
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, n_bytes, &p, err));
    schema_node *node = p;
    node->frame = tfn_frame_retain(f);
    node->pointers = (struct ArrowSchema **)(void *)&node->children[n_children];
    for (int64_t i = 0; i < n_children; i++) {
        node->pointers[i] = &node->children[i];
    }
    *out = (struct ArrowSchema){.format = from->format,
                                .name = from->name,
                                .metadata = from->metadata,
                                .flags = from->flags,
                                .n_children = n_children,
                                .children = n_children > 0 ? node->pointers : NULL,
                                .release = release_schema,
                                .private_data = node};
    tfn_code rc = TFN_OK;
    for (int64_t i = 0; i < from->n_children && rc == TFN_OK; i++) {
        rc = wrap_schema(f, from->children[i], 0, &node->children[i], err);
    }
    if (rc == TFN_OK && from->dictionary != NULL) {
        rc = wrap_schema(f, from->dictionary, 0, &node->dictionary, err);
        out->dictionary = &node->dictionary;
    }
    if (rc != TFN_OK) {
        release_schema(out);
    }
    return rc;
}

/* ---- arrays ---- */

typedef struct array_node {
    tfn_frame *frame;
    const void *no_buffers[1]; /* of structs: there is no validity */
    struct ArrowArray dictionary;
    struct ArrowArray **pointers;
    struct ArrowArray children[]; /* behind them, the pointers to them */
} array_node;

static void release_array(struct ArrowArray *array)
{
    array_node *node = array->private_data;
    for (int64_t i = 0; i < array->n_children; i++) {
        if (node->children[i].release != NULL) {
            node->children[i].release(&node->children[i]);
        }
    }
    if (node->dictionary.release != NULL) {
        node->dictionary.release(&node->dictionary);
    }
    tfn_frame_release(node->frame);
    tfn_mem_free(node);
    array->release = NULL;
}

/* As wrap_schema. */
static tfn_code wrap_array(tfn_frame *f, const struct ArrowArray *from, int64_t n_more,
                           struct ArrowArray *out, tfn_error *err)
{
    *out = (struct ArrowArray){0};
    const int64_t n_children = from->n_children + n_more;
    size_t n_bytes = 0;
    if (!node_bytes(sizeof(array_node), sizeof(struct ArrowArray), n_children, &n_bytes)) {
        return fail_children(n_children, err);
    }
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, n_bytes, &p, err));
    array_node *node = p;
    node->frame = tfn_frame_retain(f);
    node->pointers = (struct ArrowArray **)(void *)&node->children[n_children];
    for (int64_t i = 0; i < n_children; i++) {
        node->pointers[i] = &node->children[i];
    }
    *out = *from;
    out->n_children = n_children;
    out->children = n_children > 0 ? node->pointers : NULL;
    out->dictionary = NULL;
    out->buffers = from->buffers == NULL ? node->no_buffers : from->buffers;
    out->release = release_array;
    out->private_data = node;
    tfn_code rc = TFN_OK;
    for (int64_t i = 0; i < from->n_children && rc == TFN_OK; i++) {
        rc = wrap_array(f, from->children[i], 0, &node->children[i], err);
    }
    if (rc == TFN_OK && from->dictionary != NULL) {
        rc = wrap_array(f, from->dictionary, 0, &node->dictionary, err);
        out->dictionary = &node->dictionary;
    }
    if (rc != TFN_OK) {
        release_array(out);
    }
    return rc;
}

/* ---- the stream ---- */

typedef struct stream_state {
    tfn_frame *frame; /* NULL: columns alone */
    tfn_column **columns;
    char **names;
    size_t n_columns;
    int64_t n_rows;
    int64_t batch_rows; /* columns alone */
    int64_t i_batch;
    int64_t i_row;
    tfn_error error;
} stream_state;

static void destroy_state(stream_state *state)
{
    for (size_t i = 0; i < state->n_columns; i++) {
        tfn_column_release(state->columns[i]);
        tfn_mem_free(state->names[i]);
    }
    tfn_mem_free(state->columns);
    tfn_mem_free(state->names);
    tfn_frame_release(state->frame);
    tfn_mem_free(state);
}

static void release_stream(struct ArrowArrayStream *stream)
{
    destroy_state(stream->private_data);
    stream->release = NULL;
}

static const char *get_last_error(struct ArrowArrayStream *stream)
{
    const stream_state *state = stream->private_data;
    return state->error.code == TFN_OK ? NULL : state->error.message;
}

static int errno_of(tfn_code rc)
{
    if (rc == TFN_OK) {
        return 0;
    }
    return rc == TFN_NO_MEMORY ? ENOMEM : EINVAL;
}

static tfn_code put_schema(stream_state *state, struct ArrowSchema *out, tfn_error *err)
{
    const struct ArrowSchema no_frame = {.format = "+s", .name = ""};
    const struct ArrowSchema *from = state->frame == NULL ? &no_frame : &state->frame->schema;
    TFN_RETURN_IF_ERROR(wrap_schema(state->frame, from, (int64_t)state->n_columns, out, err));
    schema_node *node = out->private_data;
    assert(node != NULL);
    for (size_t i = 0; i < state->n_columns; i++) {
        struct ArrowSchema *child = &node->children[(size_t)from->n_children + i];
        const tfn_code rc = tfn_column_export(state->columns[i], tfn_str_of(state->names[i]), 0, 0,
                                              child, NULL, err);
        if (rc != TFN_OK) {
            release_schema(out);
            return rc;
        }
    }
    return TFN_OK;
}

static int get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    stream_state *state = stream->private_data;
    state->error = (tfn_error){0};
    return errno_of(put_schema(state, out, &state->error));
}

static tfn_code put_batch(stream_state *state, const struct ArrowArray *from,
                          struct ArrowArray *out, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(wrap_array(state->frame, from, (int64_t)state->n_columns, out, err));
    array_node *node = out->private_data;
    assert(node != NULL);
    for (size_t i = 0; i < state->n_columns; i++) {
        struct ArrowArray *child = &node->children[(size_t)from->n_children + i];
        const tfn_code rc = tfn_column_export(state->columns[i], (tfn_str){0}, state->i_row,
                                              from->length, NULL, child, err);
        if (rc != TFN_OK) {
            release_array(out);
            return rc;
        }
    }
    state->i_row += from->length;
    state->i_batch++;
    return TFN_OK;
}

static int get_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    stream_state *state = stream->private_data;
    state->error = (tfn_error){0};
    *out = (struct ArrowArray){0};
    const int64_t n_left = state->n_rows - state->i_row;
    if (n_left == 0) {
        return 0;
    }
    if (state->frame != NULL) {
        const struct ArrowArray *from = &state->frame->batches[state->i_batch].view;
        return errno_of(put_batch(state, from, out, &state->error));
    }
    const struct ArrowArray from = {
        .length = state->batch_rows > 0 && state->batch_rows < n_left ? state->batch_rows : n_left,
        .n_buffers = 1};
    return errno_of(put_batch(state, &from, out, &state->error));
}

static tfn_code check_lengths(const tfn_str *names, tfn_column *const *columns, size_t n_columns,
                              int64_t n_rows, tfn_error *err)
{
    for (size_t i = 0; i < n_columns; i++) {
        const int64_t n = tfn_column_get_n_rows(columns[i]);
        if (n != n_rows) {
            return TFN_FAIL(err, TFN_INVALID, "column '%.*s' has %lld rows beside %lld rows",
                            TFN_STR_ARG(names[i]), (long long)n, (long long)n_rows);
        }
    }
    return TFN_OK;
}

/* Names and columns into the state, one after the other, so that it can be destroyed at any time.
 */
static tfn_code keep_columns(stream_state *state, const tfn_str *names, tfn_column *const *columns,
                             size_t n_columns, tfn_error *err)
{
    void *p = NULL;
    tfn_code rc = tfn_mem_alloc_array(n_columns, sizeof *state->columns, &p, err);
    state->columns = p;
    if (rc == TFN_OK) {
        rc = tfn_mem_alloc_array(n_columns, sizeof *state->names, &p, err);
        state->names = p;
    }
    for (size_t i = 0; i < n_columns && rc == TFN_OK; i++) {
        rc = tfn_mem_copy_bytes(names[i].p, names[i].n, &state->names[i], err);
        if (rc == TFN_OK) {
            state->columns[i] = tfn_column_retain(columns[i]);
            state->n_columns = i + 1;
        }
    }
    return rc;
}

static tfn_code begin_stream(tfn_frame *f, const tfn_str *names, tfn_column *const *columns,
                             size_t n_columns, int64_t n_rows, int64_t batch_rows,
                             struct ArrowArrayStream *out, tfn_error *err)
{
    *out = (struct ArrowArrayStream){0};
    TFN_RETURN_IF_ERROR(check_lengths(names, columns, n_columns, n_rows, err));
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(stream_state), &p, err));
    stream_state *state = p;
    state->n_rows = n_rows;
    state->batch_rows = batch_rows;
    const tfn_code rc = keep_columns(state, names, columns, n_columns, err);
    if (rc != TFN_OK) {
        destroy_state(state);
        return rc;
    }
    state->frame = tfn_frame_retain(f);
    *out = (struct ArrowArrayStream){.get_schema = get_schema,
                                     .get_next = get_next,
                                     .get_last_error = get_last_error,
                                     .release = release_stream,
                                     .private_data = state};
    return TFN_OK;
}

tfn_code tfn_frame_export(tfn_frame *f, const tfn_str *names, tfn_column *const *extra,
                          size_t n_extra, struct ArrowArrayStream *out, tfn_error *err)
{
    return begin_stream(f, names, extra, n_extra, f->n_rows, 0, out, err);
}

tfn_code tfn_columns_export(const tfn_str *names, tfn_column *const *columns, size_t n_columns,
                            int64_t n_rows, int64_t batch_rows, struct ArrowArrayStream *out,
                            tfn_error *err)
{
    return begin_stream(NULL, names, columns, n_columns, n_rows, batch_rows, out, err);
}
