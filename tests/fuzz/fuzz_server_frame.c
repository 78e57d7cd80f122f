/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Frames of rows as clients send them in JSON (`df` of a push): columns called "raw", "at" and "day"
 * are declared as bytes, timestamp and date, others as nothing.
 *
 * What is taken is Arrow memory that holds together: as many values as rows in every column, nulls
 * counted right, offsets that rise and end at the last byte or item. What is refused has a sentence.
 * Every value is touched, so that a buffer that is too short is seen by ASan.
 */

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/json.h"
#include "server/frame_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static const tfn_declared declared[] = {
    {{"raw", 3}, TFN_VALUE_BYTES}, {{"at", 2}, TFN_VALUE_TIMESTAMP}, {{"day", 3}, TFN_VALUE_DATE}};

static volatile uint64_t sum; /* of all that was read, so that it is read */

static void touch(const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    for (size_t i = 0; i < n; i++) {
        sum += p[i];
    }
}

static int64_t count_unset(const uint8_t *bits, int64_t n)
{
    int64_t n_unset = 0;
    for (int64_t i = 0; i < n; i++) {
        n_unset += (bits[i >> 3] >> (i & 7) & 1) == 0 ? 1 : 0;
    }
    return n_unset;
}

/* Of n values, or lists: from 0 on, never down. */
static int64_t end_of_offsets(const void *buffer, int64_t n)
{
    const int64_t *offsets = buffer;
    assert(offsets[0] == 0);
    for (int64_t i = 0; i < n; i++) {
        assert(offsets[i] <= offsets[i + 1]);
    }
    return offsets[n];
}

/* Bytes of one value; 0: another layout. */
static size_t width_of(const char *format)
{
    if (strcmp(format, "tdD") == 0) {
        return sizeof(int32_t);
    }
    const bool is_wide = strcmp(format, "l") == 0 || strcmp(format, "g") == 0 ||
                         strcmp(format, "tsu:UTC") == 0 || strcmp(format, "tss:UTC") == 0;
    return is_wide ? sizeof(int64_t) : 0;
}

static void check_values(const char *format, const struct ArrowArray *array)
{
    const size_t n = (size_t)array->length;
    if (width_of(format) > 0) {
        touch(array->buffers[1], n * width_of(format));
    } else if (strcmp(format, "b") == 0) {
        touch(array->buffers[1], (n + 7) / 8);
    } else if (strcmp(format, "+L") == 0) {
        assert(array->n_children == 1);
        assert(end_of_offsets(array->buffers[1], array->length) == array->children[0]->length);
    } else if (strcmp(format, "U") == 0 || strcmp(format, "Z") == 0) {
        touch(array->buffers[2], (size_t)end_of_offsets(array->buffers[1], array->length));
    } else {
        assert(strcmp(format, "n") == 0 || strcmp(format, "+s") == 0);
    }
}

static void check_column(const struct ArrowSchema *schema, const struct ArrowArray *array)
{
    assert(array->offset == 0 && array->n_children == schema->n_children);
    if (strcmp(schema->format, "n") == 0) {
        assert(array->null_count == array->length);
    } else if (array->buffers[0] == NULL) {
        assert(array->null_count == 0);
    } else {
        assert(array->null_count == count_unset(array->buffers[0], array->length));
    }
    check_values(schema->format, array);
    for (int64_t i = 0; i < array->n_children; i++) {
        const bool is_root = strcmp(schema->format, "+s") == 0;
        assert(!is_root || array->children[i]->length == array->length);
        check_column(schema->children[i], array->children[i]);
    }
}

static void check_frame(struct ArrowArrayStream *stream, int64_t n_rows)
{
    struct ArrowSchema schema;
    struct ArrowArray array;
    int rc = stream->get_schema(stream, &schema);
    assert(rc == 0);
    rc = stream->get_next(stream, &array);
    assert(rc == 0);
    (void)rc;
    stream->release(stream); /* what was given out lives on */
    assert(array.length == n_rows);
    (void)n_rows;
    check_column(&schema, &array);
    array.release(&array);
    schema.release(&schema);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    yyjson_doc *doc = NULL;
    tfn_error err = {0};
    if (tfn_json_parse((tfn_str){(const char *)bytes, n_bytes}, "a frame", &doc, &err) != TFN_OK) {
        return 0;
    }
    yyjson_val *root = yyjson_doc_get_root(doc);
    if (yyjson_is_obj(root)) { /* callers have looked */
        struct ArrowArrayStream stream;
        int64_t n_rows = 0;
        const tfn_code rc = tfn_frame_json_read(root, declared, sizeof declared / sizeof *declared,
                                                &stream, &n_rows, &err);
        if (rc == TFN_OK) {
            check_frame(&stream, n_rows);
        } else {
            assert(rc == TFN_INVALID || rc == TFN_LIMIT);
            assert(stream.release == NULL && err.message[0] != '\0');
        }
    }
    yyjson_doc_free(doc);
    return 0;
}
