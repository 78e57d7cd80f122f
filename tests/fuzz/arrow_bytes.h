/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_TESTS_ARROW_BYTES_H
#define TFN_TESTS_ARROW_BYTES_H

/*
 * Arrow streams from fuzzed bytes: any schema, any values, and every breach of the protocol that a
 * reader can see. The C data interface does not carry the sizes of buffers, so what an array says
 * of its own memory is true here wherever nobody could check it: buffers have exactly the bytes
 * that offset and length (as they were before a breach) need, and a byte more is ASan's business.
 *
 *   bytes -> schema: columns of a drawn format, lists, dictionaries | a breach now and then
 *         -> up to four batches, each in a bag of memory of its own that goes with its release
 *
 * `bags_alive` counts what was not released: a leak of the reader that LeakSanitizer may not see.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tiffin/arrow.h"

enum { BYTES_MAX_COLS = 7, BYTES_MAX_ROWS = 24, BYTES_MAX_PIECES = 512 };

/* What is left of the input; zeros behind its end. */
typedef struct input {
    const uint8_t *p;
    size_t n;
} input;

static uint8_t take_byte(input *in)
{
    if (in->n == 0) {
        return 0;
    }
    in->n--;
    return *in->p++;
}

/* Once in 32, so that most of a stream can be read. */
static bool is_breach(input *in)
{
    return take_byte(in) >= 248;
}

static int64_t take_number(input *in)
{
    static const int64_t ends[] = {INT64_MAX, INT64_MIN, INT64_MAX - 1, INT64_MIN + 1,
                                   INT32_MAX, INT32_MIN, 1LL << 53,     1704067200000000};
    const uint8_t kind = take_byte(in);
    if (kind >= 240) {
        return ends[kind & 7];
    }
    return kind < 128 ? kind % 5 : (int64_t)(int8_t)take_byte(in);
}

/* ---- memory ---- */

static int bags_alive;

typedef struct bag {
    void *pieces[BYTES_MAX_PIECES];
    size_t n;
} bag;

static bag *bag_create(void)
{
    bag *b = calloc(1, sizeof *b);
    if (b == NULL) {
        abort();
    }
    bags_alive++;
    return b;
}

static void bag_destroy(bag *b)
{
    for (size_t i = 0; i < b->n; i++) {
        free(b->pieces[i]);
    }
    free(b);
    bags_alive--;
}

static void *bag_take(bag *b, size_t n_bytes)
{
    void *p = calloc(n_bytes > 0 ? n_bytes : 1, 1);
    if (p == NULL || b->n == BYTES_MAX_PIECES) {
        abort();
    }
    b->pieces[b->n++] = p;
    return p;
}

/* Only the outermost array or schema owns the bag; its children end with it. */
static void release_array(struct ArrowArray *array)
{
    if (array->private_data != NULL) {
        bag_destroy(array->private_data);
    }
    array->release = NULL;
}

static void release_schema(struct ArrowSchema *schema)
{
    if (schema->private_data != NULL) {
        bag_destroy(schema->private_data);
    }
    schema->release = NULL;
}

/* ---- columns ---- */

typedef struct column {
    const char *format;
    const char *item; /* lists: of the items; dictionaries: of the values */
    bool is_dictionary;
    const char *name;
} column;

/* Formats with data; those behind the first N_PLAIN are not flat. */
static const char *const FORMATS[] = {
    "l", "u", "tsu:UTC", "tsn:", "i",   "g", "b",   "tdD", "tsm:UTC", "tss:", "f",  "z",
    "U", "c", "S",       "L",    "tdm", "e", "w:3", "vu",  "n",       "+l",   "+L", "+w:2"};
static const char *const STRANGE_FORMATS[] = {
    "d:10,2", "ttu", "tDu", "+vl", "", "ts", "tsx:UTC", "w:99999999999", "w:", "+w:-1", "?", "tsu"};
enum { N_FORMATS = 24, N_FLAT = 18, N_STRANGE = 12 };

static column draw_column(input *in, size_t i_col)
{
    static const char *const names[] = {"t", "k", "j", "c", "f", "g", "h"};
    column col = {.name = names[i_col % 7]};
    col.format = i_col == 0 ? FORMATS[2] : FORMATS[take_byte(in) % N_FORMATS];
    if (is_breach(in)) {
        col.format = STRANGE_FORMATS[take_byte(in) % N_STRANGE];
    }
    col.item = FORMATS[take_byte(in) % N_FLAT];
    col.is_dictionary = strlen(col.format) == 1 && take_byte(in) >= 224;
    if (is_breach(in)) { /* no name, or one that another column may have */
        col.name = take_byte(in) < 128 ? NULL : "k";
    }
    return col;
}

static size_t width_of(const char *format)
{
    if (strcmp(format, "w:3") == 0) {
        return 3;
    }
    if (format[0] == 't') {
        return strcmp(format, "tdD") == 0 || strcmp(format, "tts") == 0 ? 4 : 8;
    }
    return strchr("cC", format[0]) != NULL    ? 1
           : strchr("sSe", format[0]) != NULL ? 2
           : strchr("fiI", format[0]) != NULL ? 4
                                              : 8;
}

static void put_offset(void *offsets, bool is_wide, size_t i, int64_t value)
{
    if (is_wide) {
        ((int64_t *)offsets)[i] = value;
    } else {
        ((int32_t *)offsets)[i] = (int32_t)value;
    }
}

/* n + 1 offsets that grow; returns the last one. */
static int64_t draw_offsets(input *in, size_t n, bool is_wide, bag *b, struct ArrowArray *out)
{
    void *offsets = bag_take(b, (n + 1) * (is_wide ? 8 : 4));
    int64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        put_offset(offsets, is_wide, i, at);
        at += take_byte(in) % 4;
    }
    put_offset(offsets, is_wide, n, at);
    if (is_breach(in) && n > 0) { /* lists: an end that is checked; strings: bytes are there */
        put_offset(offsets, is_wide, n, out->n_buffers == 2 ? take_number(in) : at);
    }
    out->buffers[1] = offsets;
    return at;
}

static void draw_text(input *in, size_t n, bag *b, struct ArrowArray *out)
{
    char *text = bag_take(b, n);
    for (size_t i = 0; i < n; i++) {
        text[i] = (char)("ab\0\xc3\xa9\xff"[take_byte(in) % 6]);
    }
    out->buffers[2] = text;
}

/* 16 bytes each, up to 12 of them the text itself; longer ones point into the first data buffer. */
static void draw_views(input *in, size_t n, bag *b, struct ArrowArray *out)
{
    static const char data[] = "a text of more than twelve bytes";
    char *views = bag_take(b, n * 16);
    for (size_t i = 0; i < n; i++) {
        const int32_t n_bytes = take_byte(in) % 30;
        const int32_t where[2] = {0, take_byte(in) % 3};
        memcpy(views + i * 16, &n_bytes, 4);
        memcpy(views + i * 16 + 4, data, 12);
        if (n_bytes > 12) {
            memcpy(views + i * 16 + 4, data + where[1], 4);
            memcpy(views + i * 16 + 8, where, 8);
        }
    }
    int64_t *sizes = bag_take(b, sizeof *sizes);
    *sizes = sizeof data;
    char *copy = bag_take(b, sizeof data);
    memcpy(copy, data, sizeof data);
    out->buffers[1] = views;
    out->buffers[2] = copy;
    out->buffers[3] = sizes;
    out->n_buffers = 4;
}

static void draw_fixed(input *in, const char *format, size_t n, bag *b, struct ArrowArray *out)
{
    const size_t width = format[0] == 'b' ? 0 : width_of(format);
    char *values = bag_take(b, width == 0 ? (n + 7) / 8 : n * width);
    for (size_t i = 0; i < (width == 0 ? (n + 7) / 8 : n); i++) {
        const int64_t number = take_number(in);
        const double real = (double)number / 2;
        const float narrow = (float)real;
        if (width == 0) {
            values[i] = (char)number;
        } else if (format[0] == 'g') {
            memcpy(values + i * width, &real, width);
        } else if (format[0] == 'f') {
            memcpy(values + i * width, &narrow, width);
        } else {
            memcpy(values + i * width, &number, width);
        }
    }
    out->buffers[1] = values;
}

/* Breaches of an array that its own numbers show. */
static void breach_array(input *in, struct ArrowArray *out)
{
    switch (take_byte(in) % 10) {
    case 0:
        out->length = -1;
        break;
    case 1:
        out->offset = -1;
        break;
    case 2:
        out->offset = INT64_MAX;
        break;
    case 3:
        out->n_buffers += take_byte(in) < 128 ? 1 : -1;
        break;
    case 4:
        out->buffers = NULL;
        break;
    case 5:
        out->buffers[1] = NULL;
        break;
    case 6:
        out->null_count = 1;
        out->buffers[0] = NULL;
        break;
    case 7:
        out->n_children = take_byte(in) % 3;
        out->children = NULL;
        break;
    case 8:
        out->dictionary = NULL;
        break;
    default:
        out->buffers[2] = NULL;
        break;
    }
}

static void draw_array(input *in, const column *col, int64_t length, bag *b,
                       struct ArrowArray *out);

static void draw_items(input *in, const column *col, int64_t n, bag *b, struct ArrowArray *out)
{
    const column item = {.format = col->item};
    out->n_children = 1;
    out->children = bag_take(b, sizeof *out->children);
    out->children[0] = bag_take(b, sizeof **out->children);
    draw_array(in, &item, n, b, out->children[0]);
    if (is_breach(in)) {
        out->children[0] = NULL;
    }
}

static void draw_data(input *in, const column *col, size_t n, bag *b, struct ArrowArray *out)
{
    const char letter = col->format[0];
    if (letter == 'n' || letter == '\0') {
        out->n_buffers = 0;
    } else if (strcmp(col->format, "+w:2") == 0) {
        out->n_buffers = 1;
        draw_items(in, col, (int64_t)n * 2, b, out);
    } else if (letter == '+') {
        out->n_buffers = 2;
        draw_items(in, col, draw_offsets(in, n, col->format[1] == 'L', b, out), b, out);
    } else if (letter == 'v') {
        draw_views(in, n, b, out);
    } else if (strchr("uUzZ", letter) != NULL) {
        out->n_buffers = 3;
        draw_text(in, (size_t)draw_offsets(in, n, letter == 'U' || letter == 'Z', b, out), b, out);
    } else {
        draw_fixed(in, col->format, n, b, out);
    }
}

/* The three values of a dictionary; indices are any numbers. */
static void draw_dictionary(input *in, const column *col, bag *b, struct ArrowArray *out)
{
    const column values = {.format = col->item};
    out->dictionary = bag_take(b, sizeof *out->dictionary);
    draw_array(in, &values, 3, b, out->dictionary);
}

static void draw_array(input *in, const column *col, int64_t length, bag *b, struct ArrowArray *out)
{
    memset(out, 0, sizeof *out);
    out->length = length;
    out->offset = take_byte(in) % 4 == 3 ? take_byte(in) % 9 : 0;
    out->release = release_array;
    out->n_buffers = 2;
    out->buffers = bag_take(b, 4 * sizeof *out->buffers);
    const size_t n = (size_t)(out->offset + out->length);
    draw_data(in, col, n, b, out);
    if (out->n_buffers > 0 && take_byte(in) >= 128) {
        uint8_t *bits = bag_take(b, (n + 7) / 8);
        for (size_t i = 0; i < (n + 7) / 8; i++) {
            bits[i] = (uint8_t)~take_byte(in);
        }
        out->buffers[0] = bits;
        out->null_count = -1;
    }
    if (col->is_dictionary) {
        draw_dictionary(in, col, b, out);
    }
    if (is_breach(in)) {
        breach_array(in, out);
    }
}

/* ---- streams ---- */

typedef struct byte_stream {
    input *in;
    column cols[BYTES_MAX_COLS];
    size_t n_cols;
    int n_batches;
} byte_stream;

static struct ArrowSchema *draw_schema(input *in, const char *format, const char *name, bag *b)
{
    struct ArrowSchema *schema = bag_take(b, sizeof *schema);
    schema->format = is_breach(in) ? NULL : format;
    schema->name = name;
    schema->flags = ARROW_FLAG_NULLABLE;
    schema->release = release_schema;
    return schema;
}

static struct ArrowSchema *draw_column_schema(input *in, const column *col, bag *b)
{
    struct ArrowSchema *schema = draw_schema(in, col->format, col->name, b);
    if (col->format[0] == '+') {
        schema->n_children = 1;
        schema->children = bag_take(b, sizeof *schema->children);
        schema->children[0] = draw_schema(in, col->item, "item", b);
    }
    if (col->is_dictionary) {
        schema->dictionary = draw_schema(in, col->item, NULL, b);
    }
    return schema;
}

static int byte_stream_get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    const byte_stream *s = stream->private_data;
    memset(out, 0, sizeof *out);
    if (is_breach(s->in)) {
        return 5;
    }
    bag *b = bag_create();
    out->private_data = b;
    out->release = release_schema;
    out->format = is_breach(s->in) ? "l" : "+s";
    out->n_children = (int64_t)s->n_cols;
    out->children = bag_take(b, s->n_cols * sizeof *out->children);
    for (size_t i = 0; i < s->n_cols; i++) {
        out->children[i] = draw_column_schema(s->in, &s->cols[i], b);
    }
    if (is_breach(s->in)) {
        out->children[take_byte(s->in) % s->n_cols] = NULL;
    }
    return 0;
}

static int byte_stream_get_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    byte_stream *s = stream->private_data;
    memset(out, 0, sizeof *out);
    if (is_breach(s->in)) {
        return 5;
    }
    if (s->n_batches-- == 0) {
        return 0;
    }
    const int64_t n_rows = take_byte(s->in) % BYTES_MAX_ROWS;
    bag *b = bag_create();
    const column rows = {.format = ""};
    draw_array(s->in, &rows, n_rows, b, out);
    const int64_t n = out->length > 0 ? n_rows + 9 : 1; /* an offset has at most 8 */
    out->private_data = b;
    out->n_buffers = 1;
    if (out->buffers != NULL && take_byte(s->in) >= 224) { /* rows that are null as a whole */
        uint8_t *bits = bag_take(b, (size_t)(n + 7) / 8);
        bits[0] = take_byte(s->in);
        out->buffers[0] = bits;
        out->null_count = -1;
    }
    out->n_children = (int64_t)s->n_cols - (is_breach(s->in) ? 1 : 0);
    out->children = bag_take(b, s->n_cols * sizeof *out->children);
    for (size_t i = 0; i < s->n_cols; i++) {
        out->children[i] = bag_take(b, sizeof **out->children);
        draw_array(s->in, &s->cols[i], is_breach(s->in) ? n_rows / 2 : n, b, out->children[i]);
    }
    return 0;
}

static const char *byte_stream_get_last_error(struct ArrowArrayStream *stream)
{
    const byte_stream *s = stream->private_data;
    return take_byte(s->in) < 128 ? NULL : "the producer had enough";
}

static void byte_stream_release(struct ArrowArrayStream *stream)
{
    free(stream->private_data);
    stream->release = NULL;
}

/* A stream whose content is drawn from `in` while it is read; `in` must outlive it. */
static void byte_stream_make(input *in, struct ArrowArrayStream *out)
{
    byte_stream *s = calloc(1, sizeof *s);
    if (s == NULL) {
        abort();
    }
    s->in = in;
    s->n_cols = 1 + take_byte(in) % BYTES_MAX_COLS;
    s->n_batches = take_byte(in) % 5;
    for (size_t i = 0; i < s->n_cols; i++) {
        s->cols[i] = draw_column(in, i);
    }
    *out = (struct ArrowArrayStream){.get_schema = byte_stream_get_schema,
                                     .get_next = byte_stream_get_next,
                                     .get_last_error = byte_stream_get_last_error,
                                     .release = byte_stream_release,
                                     .private_data = s};
}

#endif
