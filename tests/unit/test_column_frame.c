/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/column_make.h"

/* The file under test forbids free() behind it. */
static void free_second(struct ArrowArray *array)
{
    free(array);
}

#include "column/frame.c"

static tfn_frame *read_frame(const make_col *cols, size_t n_cols, int64_t n_rows,
                             int64_t batch_rows)
{
    struct ArrowArrayStream stream;
    tfn_frame *f = NULL;
    tfn_error err = {0};
    make_stream(cols, n_cols, n_rows, batch_rows, &stream);
    assert_ok(tfn_frame_read(&stream, &f, &err), err);
    assert_null(stream.release);
    return f;
}

static tfn_vec vec_at(const tfn_frame *f, int64_t i_batch, size_t i_col)
{
    tfn_vec v;
    tfn_error err = {0};
    assert_ok(tfn_frame_get_vec(f, i_batch, i_col, &v, &err), err);
    return v;
}

static void assert_str(tfn_str found, const char *wanted)
{
    assert_int_equal(found.n, strlen(wanted));
    assert_memory_equal(found.p, wanted, found.n);
}

static const int64_t ids[] = {1, 2, 3, 4, 5};
static const char *const names[] = {"a", NULL, "c", "d", "e"};

static void a_stream_is_read_batch_by_batch(void **state)
{
    (void)state;
    const make_col cols[] = {{.name = "id", .format = "l", .values = ids, .padding = 2},
                             {.name = "name", .format = "u", .values = names}};
    tfn_frame *f = read_frame(cols, 2, 5, 2);
    assert_int_equal(tfn_frame_get_n_rows(f), 5);
    assert_int_equal(tfn_frame_get_n_batches(f), 3);
    assert_int_equal(tfn_frame_get_batch_rows(f, 0), 2);
    assert_int_equal(tfn_frame_get_batch_rows(f, 2), 1);
    assert_int_equal(tfn_frame_get_n_cols(f), 2);
    assert_str(tfn_frame_get_name(f, 1), "name");
    tfn_type type;
    tfn_error err = {0};
    assert_ok(tfn_frame_get_type(f, 0, &type, &err), err);
    assert_int_equal(type.kind, TFN_KIND_INT64);
    for (int64_t row = 0; row < 5; row++) {
        const tfn_vec id = vec_at(f, row / 2, 0);
        const tfn_vec name = vec_at(f, row / 2, 1);
        assert_int_equal(tfn_vec_get_int(&id, row % 2), ids[row]);
        assert_int_equal(tfn_vec_is_valid(&name, row % 2), names[row] != NULL);
    }
    assert_ptr_equal(tfn_frame_retain(f), f);
    tfn_frame_release(f);
    tfn_frame_release(f);
    tfn_frame_release(NULL);
}

static void columns_are_found_by_name(void **state)
{
    (void)state;
    const make_col cols[] = {{.name = "a", .format = "l", .values = ids},
                             {.name = "b", .format = "l", .values = ids},
                             {.name = "a", .format = "l", .values = ids}};
    tfn_frame *f = read_frame(cols, 3, 1, 0);
    assert_int_equal(tfn_frame_find(f, tfn_str_of("b")), 1);
    assert_int_equal(tfn_frame_find(f, tfn_str_of("c")), -1);
    assert_int_equal(tfn_frame_find(f, tfn_str_of("a")), -2);
    assert_int_equal(tfn_frame_find(f, tfn_str_of("")), -1);
    tfn_frame_release(f);
}

static void an_empty_stream_is_a_frame_with_columns(void **state)
{
    (void)state;
    const make_col cols[] = {{.name = "a", .format = "l", .values = ids}};
    tfn_frame *f = read_frame(cols, 1, 0, 0);
    assert_int_equal(tfn_frame_get_n_rows(f), 0);
    assert_int_equal(tfn_frame_get_n_batches(f), 0);
    assert_int_equal(tfn_frame_get_n_cols(f), 1);
    tfn_frame_release(f);
    f = read_frame(cols, 0, 0, 0);
    assert_int_equal(tfn_frame_get_n_cols(f), 0);
    tfn_frame_release(f);
}

static void types_that_tiffin_does_not_have_fail_only_when_read(void **state)
{
    (void)state;
    const make_col cols[] = {{.name = "a", .format = "l", .values = ids},
                             {.name = "price", .format = "l", .values = ids}};
    struct ArrowArrayStream stream;
    tfn_frame *f = NULL;
    tfn_error err = {0};
    make_stream(cols, 2, 2, 0, &stream);
    make_stream_state *made = stream.private_data;
    const char *format = made->schema.children[1]->format;
    made->schema.children[1]->format = "tDu";
    assert_ok(tfn_frame_read(&stream, &f, &err), err);
    tfn_vec v;
    tfn_type type;
    assert_int_equal(tfn_frame_get_vec(f, 0, 1, &v, &err), TFN_SCHEMA);
    assert_text(err.message, "column 'price' is of Arrow type duration");
    assert_int_equal(tfn_frame_get_type(f, 1, &type, &err), TFN_SCHEMA);
    assert_ok(tfn_frame_get_vec(f, 0, 0, &v, &err), err);
    f->schema.children[1]->format = format;
    tfn_frame_release(f);
}

static void dictionaries_are_decoded(void **state)
{
    (void)state;
    const char *words[] = {"red", "green", NULL};
    const make_col dictionary = {.format = "U", .values = words, .padding = 1};
    const uint8_t indices[] = {1, 0, 2, 1, 9};
    const uint8_t ok[] = {1, 1, 1, 1, 0};
    const make_col cols[] = {{.name = "colour",
                              .format = "C",
                              .values = indices,
                              .valid = ok,
                              .dictionary = &dictionary,
                              .n_dictionary = 3,
                              .padding = 2}};
    tfn_frame *f = read_frame(cols, 1, 5, 3);
    tfn_type type;
    tfn_error err = {0};
    assert_ok(tfn_frame_get_type(f, 0, &type, &err), err);
    assert_int_equal(type.kind, TFN_KIND_STRING);
    tfn_vec v = vec_at(f, 0, 0);
    assert_str(tfn_vec_get_str(&v, 0), "green");
    assert_str(tfn_vec_get_str(&v, 1), "red");
    assert_false(tfn_vec_is_valid(&v, 2));
    v = vec_at(f, 1, 0);
    assert_int_equal(v.n, 2);
    assert_str(tfn_vec_get_str(&v, 0), "green");
    assert_false(tfn_vec_is_valid(&v, 1));
    tfn_frame_release(f);
}

static void dictionaries_inside_lists_and_dictionaries_are_decoded(void **state)
{
    (void)state;
    const char *words[] = {"x", "y"};
    const make_col inner = {.format = "u", .values = words};
    const int16_t middle_indices[] = {1, 0, 1};
    const make_col middle = {
        .format = "s", .values = middle_indices, .dictionary = &inner, .n_dictionary = 2};
    const int64_t indices[] = {2, 1, 0};
    const make_col cols[] = {
        {.name = "twice",
         .format = "l",
         .values = indices,
         .dictionary = &middle,
         .n_dictionary = 3},
        {.name = "tags",
         .format = "+l",
         .item = "s",
         .values = middle_indices,
         .lengths = (const int32_t[]){1, 0, 2},
         .dictionary = &inner,
         .n_dictionary = 2,
         .padding = 1},
    };
    tfn_frame *f = read_frame(cols, 2, 3, 0);
    tfn_vec v = vec_at(f, 0, 0);
    assert_str(tfn_vec_get_str(&v, 0), "y");
    assert_str(tfn_vec_get_str(&v, 1), "x");
    v = vec_at(f, 0, 1);
    assert_true(v.type.is_list);
    const tfn_range range = tfn_vec_get_list(&v, 2);
    assert_int_equal(range.n, 2);
    assert_str(tfn_vec_get_str(v.child, range.begin), "x");
    assert_str(tfn_vec_get_str(v.child, range.begin + 1), "y");
    tfn_frame_release(f);
}

static void a_dictionary_index_out_of_range_is_refused(void **state)
{
    (void)state;
    const char *words[] = {"red"};
    const make_col dictionary = {.format = "u", .values = words};
    const int8_t indices[] = {0, -1};
    const make_col cols[] = {{.name = "colour",
                              .format = "c",
                              .values = indices,
                              .dictionary = &dictionary,
                              .n_dictionary = 1}};
    struct ArrowArrayStream stream;
    tfn_frame *f = NULL;
    tfn_error err = {0};
    make_stream(cols, 1, 2, 0, &stream);
    assert_int_equal(tfn_frame_read(&stream, &f, &err), TFN_INVALID);
    assert_text(err.message, "column 'colour': dictionary index -1 of a dictionary of 1 values");
    assert_null(f);
    assert_non_null(stream.release);
    stream.release(&stream);
}

/* Give the one batch of a stream an offset, a length and a validity bitmap of its own. */
static void slice_batch(struct ArrowArrayStream *stream, int64_t offset, int64_t length,
                        const uint8_t *bits)
{
    struct ArrowArray *batch = &((make_stream_state *)stream->private_data)->batches[0];
    batch->offset = offset;
    batch->length = length;
    batch->buffers[0] = bits;
    batch->null_count = bits == NULL ? 0 : -1;
}

static void a_batch_with_an_offset_slices_its_columns(void **state)
{
    (void)state;
    const char *words[] = {"red", "green"};
    const make_col dictionary = {.format = "u", .values = words};
    const uint8_t indices[] = {0, 1, 0, 1, 0};
    const make_col cols[] = {{.name = "id", .format = "l", .values = ids, .padding = 1},
                             {.name = "name", .format = "u", .values = names},
                             {.name = "colour",
                              .format = "C",
                              .values = indices,
                              .dictionary = &dictionary,
                              .n_dictionary = 2}};
    struct ArrowArrayStream stream;
    tfn_frame *f = NULL;
    tfn_error err = {0};
    make_stream(cols, 3, 5, 0, &stream);
    slice_batch(&stream, 1, 3, NULL);
    assert_ok(tfn_frame_read(&stream, &f, &err), err);
    assert_int_equal(tfn_frame_get_n_rows(f), 3);
    tfn_vec v = vec_at(f, 0, 0);
    assert_int_equal(v.n, 3);
    assert_int_equal(tfn_vec_get_int(&v, 0), 2);
    v = vec_at(f, 0, 1);
    assert_false(tfn_vec_is_valid(&v, 0));
    assert_str(tfn_vec_get_str(&v, 2), "d");
    v = vec_at(f, 0, 2);
    assert_int_equal(v.n, 3);
    assert_str(tfn_vec_get_str(&v, 0), "green");
    tfn_frame_release(f);
}

static void null_rows_of_a_batch_are_nulls_in_every_column(void **state)
{
    (void)state;
    static const uint8_t bits[] = {0x1b}; /* row 2 of the struct is null */
    const uint8_t ok[] = {1, 1, 1, 0, 1};
    const make_col cols[] = {
        {.name = "id", .format = "l", .values = ids, .padding = 3},
        {.name = "id2", .format = "l", .values = ids, .valid = ok, .padding = 1},
        {.name = "none", .format = "n"}};
    struct ArrowArrayStream stream;
    tfn_frame *f = NULL;
    tfn_error err = {0};
    make_stream(cols, 3, 5, 0, &stream);
    slice_batch(&stream, 1, 4, bits);
    assert_ok(tfn_frame_read(&stream, &f, &err), err);
    tfn_vec v = vec_at(f, 0, 0);
    assert_true(tfn_vec_is_valid(&v, 0));
    assert_false(tfn_vec_is_valid(&v, 1));
    assert_true(tfn_vec_is_valid(&v, 2));
    v = vec_at(f, 0, 1);
    assert_true(tfn_vec_is_valid(&v, 0));
    assert_false(tfn_vec_is_valid(&v, 1));
    assert_false(tfn_vec_is_valid(&v, 2));
    assert_true(tfn_vec_is_valid(&v, 3));
    assert_int_equal(f->batches[0].cols[1].array.null_count, 2);
    v = vec_at(f, 0, 2);
    assert_int_equal(v.n, 4);
    tfn_frame_release(f);
}

static void a_producers_error_is_passed_on(void **state)
{
    (void)state;
    const make_col cols[] = {{.name = "a", .format = "l", .values = ids}};
    struct ArrowArrayStream stream;
    tfn_frame *f = NULL;
    tfn_error err = {0};
    make_failing_stream(cols, 1, 3, EIO, "the disk is on fire", &stream);
    assert_int_equal(tfn_frame_read(&stream, &f, &err), TFN_IO);
    assert_text(err.message, "the disk is on fire");
    assert_null(f);
    stream.release(&stream);
    make_failing_stream(cols, 1, 3, EIO, "", &stream);
    assert_int_equal(tfn_frame_read(&stream, &f, &err), TFN_IO);
    assert_int_equal(err.sys_errno, EIO);
    stream.release(&stream);
    make_stream(cols, 1, 1, 0, &stream);
    struct ArrowSchema schema;
    assert_int_equal(stream.get_schema(&stream, &schema), 0);
    schema.release(&schema);
    assert_int_equal(tfn_frame_read(&stream, &f, &err), TFN_IO); /* asked twice */
    stream.release(&stream);
}

static void streams_that_break_the_protocol_are_refused(void **state)
{
    (void)state;
    const make_col cols[] = {{.name = "a", .format = "l", .values = ids},
                             {.name = "b", .format = "l", .values = ids}};
    struct ArrowArrayStream stream = {0};
    tfn_frame *f = NULL;
    tfn_error err = {0};
    assert_int_equal(tfn_frame_read(NULL, &f, &err), TFN_INVALID);
    assert_int_equal(tfn_frame_read(&stream, &f, &err), TFN_INVALID);
    assert_text(err.message, "released");
    for (int i = 0; i < 5; i++) {
        make_stream(cols, 2, 3, 0, &stream);
        struct ArrowSchema *schema = &((make_stream_state *)stream.private_data)->schema;
        struct ArrowArray *batch = ((make_stream_state *)stream.private_data)->batches;
        if (i == 0) {
            schema->format = "l";
        } else if (i == 1) {
            batch->n_children = 1;
        } else if (i == 2) {
            batch->length = -1;
        } else if (i == 3) {
            batch->length = 4;
        } else {
            batch->offset = INT64_MAX;
        }
        struct ArrowArray *second = batch->children[1];
        assert_int_equal(tfn_frame_read(&stream, &f, &err), TFN_INVALID);
        assert_text(err.message, i == 0   ? "of Arrow type 'l'"
                                 : i == 1 ? "a batch of 1 columns; its schema has 2"
                                 : i == 2 ? "length -1"
                                 : i == 3 ? "column 'a': an array of 3 rows in a batch of 4"
                                          : "at offset 9223372036854775807");
        if (i == 1) { /* what the spoiled batch no longer knew of */
            second->release(second);
            free_second(second);
        }
        stream.release(&stream);
    }
}

/* A map, which Tiffin hands on without reading it, and a list: what is inside is looked at too. */
static void columns_that_lack_what_is_inside_of_them_are_refused(void **state)
{
    (void)state;
    const int32_t lengths[] = {1, 0, 2};
    const make_col cols[] = {
        {.name = "a", .format = "+l", .item = "l", .values = ids, .lengths = lengths}};
    for (int i = 0; i < 2; i++) {
        struct ArrowArrayStream stream;
        tfn_frame *f = NULL;
        tfn_error err = {0};
        make_stream(cols, 1, 3, 0, &stream);
        make_stream_state *made = stream.private_data;
        struct ArrowArray *list = made->batches[0].children[0];
        struct ArrowArray *items = list->children[0];
        if (i == 0) {
            made->schema.children[0]->children[0]->format = NULL;
        } else {
            made->schema.children[0]->format = "+m";
            list->n_children = 0;
        }
        assert_int_equal(tfn_frame_read(&stream, &f, &err), TFN_INVALID);
        assert_text(err.message, i == 0 ? "incomplete columns" : "column 'a': an array lacks");
        assert_null(f);
        if (i == 1) {
            items->release(items);
            free_second(items);
        }
        stream.release(&stream);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_that_lack_what_is_inside_of_them_are_refused),
        cmocka_unit_test(a_stream_is_read_batch_by_batch),
        cmocka_unit_test(columns_are_found_by_name),
        cmocka_unit_test(an_empty_stream_is_a_frame_with_columns),
        cmocka_unit_test(types_that_tiffin_does_not_have_fail_only_when_read),
        cmocka_unit_test(dictionaries_are_decoded),
        cmocka_unit_test(dictionaries_inside_lists_and_dictionaries_are_decoded),
        cmocka_unit_test(a_dictionary_index_out_of_range_is_refused),
        cmocka_unit_test(a_batch_with_an_offset_slices_its_columns),
        cmocka_unit_test(null_rows_of_a_batch_are_nulls_in_every_column),
        cmocka_unit_test(a_producers_error_is_passed_on),
        cmocka_unit_test(streams_that_break_the_protocol_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
