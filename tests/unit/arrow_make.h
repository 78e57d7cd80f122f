/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_TESTS_ARROW_MAKE_H
#define TFN_TESTS_ARROW_MAKE_H

/*
 * Arrow streams from C arrays, for tests. Uses nothing of src/, so that it can be wrong only on its
 * own account. Include it BEFORE any .c file of the library (those forbid malloc behind them).
 *
 *     const int64_t ids[] = {1, 2, 3};
 *     const char *names[] = {"a", NULL, "c"};                  NULL: a null
 *     const uint8_t ok[] = {1, 1, 0};                          0: a null
 *     const make_col cols[] = {
 *         {.name = "id", .format = "l", .values = ids},
 *         {.name = "name", .format = "u", .values = names},
 *         {.name = "ts", .format = "tsu:UTC", .values = times, .valid = ok},
 *         {.name = "tags", .format = "+l", .lengths = (int32_t[]){2, 0, 1}, .item = "l",
 *          .values = (int64_t[]){1, 2, 3}},
 *     };
 *     struct ArrowArrayStream stream;
 *     make_stream(cols, 4, 3, 0, &stream);                     0: everything in one batch
 *
 * `values` by format
 *   b                    uint8_t 0/1, packed to bits here
 *   c C s S i I l L e f g tdD tdm ts?:   C values of the width of the format
 *   u U z Z              const char *[] (NUL-terminated; NULL is a null), or make_bytes[] when
 *                        .is_bytes (pointer and length; NULL pointer is a null)
 *   n                    nothing
 *   +l +L +w:N           the items of all rows one after the other (of format `item`), `lengths`
 *                        (+w: not needed); a null row has length 0 (+w: N); `item_valid` for nulls
 * With `dictionary` (another make_col of `n_dictionary` values) `values` are the indices and
 * `format` is the index type.
 *
 * make_stream copies everything; `padding` rows of rubbish are put before and after each column of
 * each batch and skipped by its offset, so that code that forgets offsets is seen.
 *
 * make_failing_stream: the same rows, and then an error with this text instead of the end.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tiffin/arrow.h"

#define MAKE_UNUSED __attribute__((unused))

typedef struct make_bytes {
    const char *p;
    size_t n;
} make_bytes;

typedef struct make_col {
    const char *name;
    const char *format;
    const void *values;
    const uint8_t *valid;   /* 1 byte per row, 0 = null; NULL = no nulls */
    const int32_t *lengths; /* lists */
    const char *item;       /* lists: format of the items */
    const uint8_t *item_valid;
    const char *metadata; /* schema metadata of the column, in Arrow's binary form */
    const struct make_col *dictionary;
    int64_t n_dictionary;
    int64_t padding;
    bool is_bytes;
} make_col;

/* ---- memory: a list of pieces per node ---- */

typedef struct make_node {
    void *pieces[8];
    int n_pieces;
} make_node;

MAKE_UNUSED static void *make_alloc(make_node *node, size_t n_bytes)
{
    void *p = calloc(n_bytes > 0 ? n_bytes : 1, 1);
    if (p == NULL || node->n_pieces == 8) {
        abort();
    }
    node->pieces[node->n_pieces++] = p;
    return p;
}

MAKE_UNUSED static void make_free_node(make_node *node)
{
    for (int i = 0; i < node->n_pieces; i++) {
        free(node->pieces[i]);
    }
    free(node);
}

MAKE_UNUSED static make_node *make_new_node(void)
{
    make_node *node = calloc(1, sizeof *node);
    if (node == NULL) {
        abort();
    }
    return node;
}

MAKE_UNUSED static void make_release_array(struct ArrowArray *array)
{
    for (int64_t i = 0; i < array->n_children; i++) {
        if (array->children[i]->release != NULL) {
            array->children[i]->release(array->children[i]);
        }
        free(array->children[i]);
    }
    if (array->dictionary != NULL) {
        if (array->dictionary->release != NULL) {
            array->dictionary->release(array->dictionary);
        }
        free(array->dictionary);
    }
    make_free_node(array->private_data);
    array->release = NULL;
}

MAKE_UNUSED static void make_release_schema(struct ArrowSchema *schema)
{
    for (int64_t i = 0; i < schema->n_children; i++) {
        if (schema->children[i]->release != NULL) {
            schema->children[i]->release(schema->children[i]);
        }
        free(schema->children[i]);
    }
    if (schema->dictionary != NULL) {
        if (schema->dictionary->release != NULL) {
            schema->dictionary->release(schema->dictionary);
        }
        free(schema->dictionary);
    }
    make_free_node(schema->private_data);
    schema->release = NULL;
}

/* ---- arrays ---- */

/* Bytes per value of a fixed-width format; 0 for all others. */
MAKE_UNUSED static size_t make_width(const char *format)
{
    switch (format[0]) {
    case 'c':
    case 'C':
        return 1;
    case 's':
    case 'S':
    case 'e':
        return 2;
    case 'i':
    case 'I':
    case 'f':
        return 4;
    case 'l':
    case 'L':
    case 'g':
        return 8;
    case 't':
        return strcmp(format, "tdD") == 0 || strcmp(format, "tts") == 0 ? 4 : 8;
    default:
        return 0;
    }
}

MAKE_UNUSED static void make_array(const make_col *col, int64_t begin, int64_t n,
                                   struct ArrowArray *out);

MAKE_UNUSED static make_bytes make_text_at(const make_col *col, int64_t i)
{
    if (col->is_bytes) {
        return ((const make_bytes *)col->values)[i];
    }
    const char *text = ((const char *const *)col->values)[i];
    return (make_bytes){text, text == NULL ? 0 : strlen(text)};
}

MAKE_UNUSED static bool make_is_valid(const make_col *col, int64_t i)
{
    const bool is_text = strchr("uUzZ", col->format[0]) != NULL && col->dictionary == NULL;
    return (col->valid == NULL || col->valid[i] != 0) &&
           (!is_text || make_text_at(col, i).p != NULL);
}

MAKE_UNUSED static void make_set_bit(uint8_t *bits, int64_t i)
{
    bits[i / 8] = (uint8_t)(bits[i / 8] | 1u << (i % 8));
}

/* Offsets of `pad + n + pad` rows into `offsets` (4 or 8 bytes each); padding rows are empty. */
MAKE_UNUSED static void make_put_offset(void *offsets, bool wide, int64_t i, int64_t value)
{
    if (wide) {
        ((int64_t *)offsets)[i] = value;
    } else {
        ((int32_t *)offsets)[i] = (int32_t)value;
    }
}

MAKE_UNUSED static void make_text_buffers(const make_col *col, int64_t begin, int64_t n,
                                          make_node *node, const void **buffers)
{
    const bool wide = col->format[0] == 'U' || col->format[0] == 'Z';
    const int64_t pad = col->padding;
    size_t n_bytes = 0;
    for (int64_t i = 0; i < n; i++) {
        n_bytes += make_text_at(col, begin + i).n;
    }
    void *offsets = make_alloc(node, (size_t)(n + 2 * pad + 1) * (wide ? 8 : 4));
    char *bytes = make_alloc(node, n_bytes + 2);
    int64_t at = 0;
    for (int64_t i = 0; i < pad; i++) { /* one byte of rubbish in the last padding row */
        make_put_offset(offsets, wide, i, 0);
    }
    if (pad > 0) {
        bytes[at++] = '#';
    }
    for (int64_t i = 0; i < n; i++) {
        const make_bytes text = make_text_at(col, begin + i);
        make_put_offset(offsets, wide, pad + i, at);
        if (text.n > 0) {
            memcpy(bytes + at, text.p, text.n);
        }
        at += (int64_t)text.n;
    }
    for (int64_t i = 0; i <= pad; i++) {
        make_put_offset(offsets, wide, pad + n + i, at);
    }
    buffers[1] = offsets;
    buffers[2] = bytes;
}

MAKE_UNUSED static void make_list_children(const make_col *col, int64_t begin, int64_t n,
                                           make_node *node, const void **buffers,
                                           struct ArrowArray *out)
{
    const bool wide = col->format[1] == 'L';
    const bool fixed = col->format[1] == 'w';
    const int64_t width = fixed ? strtol(col->format + 3, NULL, 10) : 0;
    const int64_t pad = col->padding;
    int64_t first = 0;
    for (int64_t i = 0; i < begin; i++) {
        first += fixed ? width : col->lengths[i];
    }
    int64_t n_items = 0;
    if (!fixed) {
        void *offsets = make_alloc(node, (size_t)(n + 2 * pad + 1) * (wide ? 8 : 4));
        for (int64_t i = 0; i < n; i++) {
            make_put_offset(offsets, wide, pad + i, n_items);
            n_items += col->lengths[begin + i];
        }
        for (int64_t i = 0; i <= pad; i++) {
            make_put_offset(offsets, wide, pad + n + i, n_items);
        }
        buffers[1] = offsets;
    } else {
        n_items = n * width;
    }
    make_col item = {.name = "item",
                     .format = col->item,
                     .values = col->values,
                     .valid = col->item_valid,
                     .is_bytes = col->is_bytes,
                     .dictionary = col->dictionary,
                     .n_dictionary = col->n_dictionary,
                     .padding = fixed ? 0 : pad};
    out->n_children = 1;
    out->children = make_alloc(node, sizeof *out->children);
    out->children[0] = calloc(1, sizeof **out->children);
    if (out->children[0] == NULL) {
        abort();
    }
    make_array(&item, first, n_items, out->children[0]);
}

/* Rows begin .. begin + n - 1 of a column as an array. */
MAKE_UNUSED static void make_array(const make_col *col, int64_t begin, int64_t n,
                                   struct ArrowArray *out)
{
    make_node *node = make_new_node();
    const bool is_list = col->format[0] == '+';
    const bool is_fixed_list = is_list && col->format[1] == 'w';
    const bool is_dictionary = !is_list && col->dictionary != NULL;
    const int64_t pad = is_fixed_list ? 0 : col->padding;
    const int64_t n_all = n + 2 * pad;
    memset(out, 0, sizeof *out);
    out->private_data = node;
    out->release = make_release_array;
    out->length = n;
    out->offset = pad;
    out->buffers = make_alloc(node, 3 * sizeof *out->buffers);
    if (col->format[0] == 'n') {
        out->null_count = n;
        return;
    }
    uint8_t *validity = make_alloc(node, (size_t)(n_all + 7) / 8);
    for (int64_t i = 0; i < n; i++) {
        if (make_is_valid(col, begin + i)) {
            make_set_bit(validity, pad + i);
        } else {
            out->null_count++;
        }
    }
    out->buffers[0] = out->null_count > 0 ? validity : NULL;
    out->n_buffers = 2;
    const size_t width = make_width(col->format);
    if (is_list) {
        out->n_buffers = is_fixed_list ? 1 : 2;
        make_list_children(col, begin, n, node, out->buffers, out);
    } else if (col->format[0] == 'b') {
        uint8_t *bits = make_alloc(node, (size_t)(n_all + 7) / 8);
        for (int64_t i = 0; i < n; i++) {
            if (((const uint8_t *)col->values)[begin + i] != 0) {
                make_set_bit(bits, pad + i);
            }
        }
        out->buffers[1] = bits;
    } else if (width > 0) {
        char *values = make_alloc(node, (size_t)n_all * width);
        memset(values, 0x5a, (size_t)n_all * width);
        if (n > 0) {
            memcpy(values + (size_t)pad * width, (const char *)col->values + (size_t)begin * width,
                   (size_t)n * width);
        }
        out->buffers[1] = values;
    } else {
        out->n_buffers = 3;
        make_text_buffers(col, begin, n, node, out->buffers);
    }
    if (is_dictionary) {
        out->dictionary = calloc(1, sizeof *out->dictionary);
        if (out->dictionary == NULL) {
            abort();
        }
        make_array(col->dictionary, 0, col->n_dictionary, out->dictionary);
    }
}

/* ---- schemas ---- */

MAKE_UNUSED static char *make_copy_text(make_node *node, const char *text)
{
    const size_t n = strlen(text) + 1;
    char *copy = make_alloc(node, n);
    memcpy(copy, text, n);
    return copy;
}

MAKE_UNUSED static size_t make_metadata_bytes(const char *metadata)
{
    int32_t n_pairs = 0;
    memcpy(&n_pairs, metadata, 4);
    size_t at = 4;
    for (int32_t i = 0; i < 2 * n_pairs; i++) {
        int32_t n = 0;
        memcpy(&n, metadata + at, 4);
        at += 4 + (size_t)n;
    }
    return at;
}

MAKE_UNUSED static void make_schema(const make_col *col, struct ArrowSchema *out)
{
    make_node *node = make_new_node();
    memset(out, 0, sizeof *out);
    out->private_data = node;
    out->release = make_release_schema;
    out->format = make_copy_text(node, col->format);
    out->name = make_copy_text(node, col->name == NULL ? "" : col->name);
    out->flags = ARROW_FLAG_NULLABLE;
    if (col->metadata != NULL) {
        const size_t n = make_metadata_bytes(col->metadata);
        char *metadata = make_alloc(node, n);
        memcpy(metadata, col->metadata, n);
        out->metadata = metadata;
    }
    if (col->format[0] == '+') {
        const make_col item = {.name = "item", .format = col->item, .dictionary = col->dictionary};
        out->n_children = 1;
        out->children = make_alloc(node, sizeof *out->children);
        out->children[0] = calloc(1, sizeof **out->children);
        if (out->children[0] == NULL) {
            abort();
        }
        make_schema(&item, out->children[0]);
    } else if (col->dictionary != NULL) {
        out->dictionary = calloc(1, sizeof *out->dictionary);
        if (out->dictionary == NULL) {
            abort();
        }
        make_schema(col->dictionary, out->dictionary);
    }
}

/* ---- record batches and streams ---- */

MAKE_UNUSED static void make_batch_schema(const make_col *cols, size_t n_cols,
                                          struct ArrowSchema *out)
{
    make_node *node = make_new_node();
    memset(out, 0, sizeof *out);
    out->private_data = node;
    out->release = make_release_schema;
    out->format = make_copy_text(node, "+s");
    out->name = make_copy_text(node, "");
    out->n_children = (int64_t)n_cols;
    out->children = make_alloc(node, n_cols * sizeof *out->children);
    for (size_t i = 0; i < n_cols; i++) {
        out->children[i] = calloc(1, sizeof **out->children);
        if (out->children[i] == NULL) {
            abort();
        }
        make_schema(&cols[i], out->children[i]);
    }
}

MAKE_UNUSED static void make_batch(const make_col *cols, size_t n_cols, int64_t begin, int64_t n,
                                   struct ArrowArray *out)
{
    make_node *node = make_new_node();
    memset(out, 0, sizeof *out);
    out->private_data = node;
    out->release = make_release_array;
    out->length = n;
    out->n_buffers = 1;
    out->buffers = make_alloc(node, sizeof *out->buffers);
    out->n_children = (int64_t)n_cols;
    out->children = make_alloc(node, n_cols * sizeof *out->children);
    for (size_t i = 0; i < n_cols; i++) {
        out->children[i] = calloc(1, sizeof **out->children);
        if (out->children[i] == NULL) {
            abort();
        }
        make_array(&cols[i], begin, n, out->children[i]);
    }
}

typedef struct make_stream_state {
    struct ArrowSchema schema; /* kept until it is asked for */
    struct ArrowArray *batches;
    int64_t n_batches;
    int64_t next;
    int error_code; /* given instead of the end */
    char error_text[200];
} make_stream_state;

MAKE_UNUSED static int make_stream_get_schema(struct ArrowArrayStream *stream,
                                              struct ArrowSchema *out)
{
    make_stream_state *state = stream->private_data;
    if (state->schema.release == NULL) {
        return EINVAL; /* asked twice: not needed by our tests */
    }
    *out = state->schema;
    state->schema.release = NULL;
    return 0;
}

MAKE_UNUSED static int make_stream_get_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    make_stream_state *state = stream->private_data;
    memset(out, 0, sizeof *out);
    if (state->next < state->n_batches) {
        *out = state->batches[state->next];
        state->batches[state->next++].release = NULL;
        return 0;
    }
    return state->error_code;
}

MAKE_UNUSED static const char *make_stream_get_last_error(struct ArrowArrayStream *stream)
{
    const make_stream_state *state = stream->private_data;
    return state->error_text[0] == '\0' ? NULL : state->error_text;
}

MAKE_UNUSED static void make_stream_release(struct ArrowArrayStream *stream)
{
    make_stream_state *state = stream->private_data;
    if (state->schema.release != NULL) {
        state->schema.release(&state->schema);
    }
    for (int64_t i = 0; i < state->n_batches; i++) {
        if (state->batches[i].release != NULL) {
            state->batches[i].release(&state->batches[i]);
        }
    }
    free(state->batches);
    free(state);
    stream->release = NULL;
}

/* A stream of n_rows rows in batches of batch_rows (0 = one batch; no rows: no batch). */
MAKE_UNUSED static void make_stream(const make_col *cols, size_t n_cols, int64_t n_rows,
                                    int64_t batch_rows, struct ArrowArrayStream *out)
{
    make_stream_state *state = calloc(1, sizeof *state);
    const int64_t step = batch_rows > 0 ? batch_rows : (n_rows > 0 ? n_rows : 1);
    if (state == NULL) {
        abort();
    }
    make_batch_schema(cols, n_cols, &state->schema);
    state->n_batches = (n_rows + step - 1) / step;
    state->batches = calloc((size_t)state->n_batches + 1, sizeof *state->batches);
    if (state->batches == NULL) {
        abort();
    }
    for (int64_t i = 0; i < state->n_batches; i++) {
        const int64_t n_left = n_rows - i * step;
        make_batch(cols, n_cols, i * step, n_left < step ? n_left : step, &state->batches[i]);
    }
    *out = (struct ArrowArrayStream){.get_schema = make_stream_get_schema,
                                     .get_next = make_stream_get_next,
                                     .get_last_error = make_stream_get_last_error,
                                     .release = make_stream_release,
                                     .private_data = state};
}

/* As make_stream, but after the last batch comes an error instead of the end. */
MAKE_UNUSED static void make_failing_stream(const make_col *cols, size_t n_cols, int64_t n_rows,
                                            int error_code, const char *text,
                                            struct ArrowArrayStream *out)
{
    make_stream(cols, n_cols, n_rows, 0, out);
    make_stream_state *state = out->private_data;
    state->error_code = error_code;
    (void)snprintf(state->error_text, sizeof state->error_text, "%s", text);
}

#endif
