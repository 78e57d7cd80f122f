/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/column_make.h"

#include <pthread.h>

#include "column/stream.c"

static const int64_t ids[] = {1, 2, 3, 4, 5};
static const char *const names[] = {"a", NULL, "c", "d", "e"};
/* One pair, "k" -> "vv". */
static const char metadata[] = {1, 0, 0, 0, 1, 0, 0, 0, 'k', 2, 0, 0, 0, 'v', 'v'};

static tfn_frame *read_frame(const make_col *cols, size_t n_cols, int64_t n_rows,
                             int64_t batch_rows)
{
    struct ArrowArrayStream stream;
    tfn_frame *f = NULL;
    tfn_error err = {0};
    make_stream(cols, n_cols, n_rows, batch_rows, &stream);
    assert_ok(tfn_frame_read(&stream, &f, &err), err);
    return f;
}

static tfn_column *count_column(int64_t n)
{
    tfn_builder *b = NULL;
    tfn_column *c = NULL;
    tfn_error err = {0};
    assert_ok(tfn_builder_create((tfn_type){.kind = TFN_KIND_INT64}, n, &b, &err), err);
    for (int64_t i = 0; i < n; i++) {
        const tfn_cell cell = {.is_null = i == 1, .bits = (uint64_t)(i * 10)};
        assert_ok(tfn_builder_add(b, &cell, &err), err);
    }
    assert_ok(tfn_builder_finish(&b, &c, &err), err);
    return c;
}

static void a_frame_and_more_columns_come_out_side_by_side(void **state)
{
    (void)state;
    const make_col cols[] = {
        {.name = "id", .format = "l", .values = ids, .metadata = metadata, .padding = 1},
        {.name = "name", .format = "u", .values = names}};
    tfn_frame *f = read_frame(cols, 2, 5, 2);
    tfn_column *extra = count_column(5);
    const tfn_str name = tfn_str_of("count");
    struct ArrowArrayStream stream;
    tfn_error err = {0};
    assert_ok(tfn_frame_export(f, &name, &extra, 1, &stream, &err), err);
    tfn_frame_release(f);
    tfn_column_release(extra);
    /* reading it back is the easiest way to look at it */
    assert_ok(tfn_frame_read(&stream, &f, &err), err);
    assert_int_equal(tfn_frame_get_n_rows(f), 5);
    assert_int_equal(tfn_frame_get_n_batches(f), 3);
    assert_int_equal(tfn_frame_get_n_cols(f), 3);
    assert_int_equal(tfn_frame_find(f, tfn_str_of("count")), 2);
    assert_memory_equal(f->schema.children[0]->metadata, metadata, sizeof metadata);
    for (int64_t row = 0; row < 5; row++) {
        tfn_vec v;
        assert_ok(tfn_frame_get_vec(f, row / 2, 0, &v, &err), err);
        assert_int_equal(tfn_vec_get_int(&v, row % 2), ids[row]);
        assert_ok(tfn_frame_get_vec(f, row / 2, 1, &v, &err), err);
        assert_int_equal(tfn_vec_is_valid(&v, row % 2), names[row] != NULL);
        assert_ok(tfn_frame_get_vec(f, row / 2, 2, &v, &err), err);
        assert_int_equal(tfn_vec_is_valid(&v, row % 2), row != 1);
        assert_true(row == 1 || tfn_vec_get_int(&v, row % 2) == row * 10);
    }
    tfn_frame_release(f);
}

static void buffers_are_shared_not_copied(void **state)
{
    (void)state;
    const make_col cols[] = {{.name = "id", .format = "l", .values = ids}};
    tfn_frame *f = read_frame(cols, 1, 5, 0);
    struct ArrowArrayStream stream;
    struct ArrowArray array;
    tfn_error err = {0};
    assert_ok(tfn_frame_export(f, NULL, NULL, 0, &stream, &err), err);
    assert_int_equal(stream.get_next(&stream, &array), 0);
    assert_ptr_equal(array.children[0]->buffers[1], f->batches[0].taken.children[0]->buffers[1]);
    array.release(&array);
    assert_int_equal(stream.get_next(&stream, &array), 0);
    assert_null(array.release); /* the end, as often as one asks */
    assert_int_equal(stream.get_next(&stream, &array), 0);
    assert_null(array.release);
    assert_null(stream.get_last_error(&stream));
    stream.release(&stream);
    tfn_frame_release(f);
}

static void a_frame_can_be_exported_more_than_once(void **state)
{
    (void)state;
    const make_col cols[] = {{.name = "id", .format = "l", .values = ids}};
    tfn_frame *f = read_frame(cols, 1, 5, 0);
    for (int i = 0; i < 2; i++) {
        struct ArrowArrayStream stream;
        tfn_frame *again = NULL;
        tfn_error err = {0};
        assert_ok(tfn_frame_export(f, NULL, NULL, 0, &stream, &err), err);
        assert_ok(tfn_frame_read(&stream, &again, &err), err);
        assert_int_equal(tfn_frame_get_n_rows(again), 5);
        tfn_frame_release(again);
    }
    tfn_frame_release(f);
}

static void dictionaries_come_out_as_they_came_in(void **state)
{
    (void)state;
    const char *words[] = {"red", "green"};
    const make_col dictionary = {.format = "u", .values = words};
    const uint8_t indices[] = {1, 0, 1};
    const make_col cols[] = {{.name = "colour",
                              .format = "C",
                              .values = indices,
                              .dictionary = &dictionary,
                              .n_dictionary = 2}};
    tfn_frame *f = read_frame(cols, 1, 3, 0);
    struct ArrowArrayStream stream;
    struct ArrowSchema schema;
    struct ArrowArray array;
    tfn_error err = {0};
    assert_ok(tfn_frame_export(f, NULL, NULL, 0, &stream, &err), err);
    tfn_frame_release(f);
    assert_int_equal(stream.get_schema(&stream, &schema), 0);
    assert_int_equal(stream.get_next(&stream, &array), 0);
    stream.release(&stream);
    assert_string_equal(schema.children[0]->format, "C");
    assert_string_equal(schema.children[0]->dictionary->format, "u");
    assert_int_equal(((const uint8_t *)array.children[0]->buffers[1])[0], 1);
    assert_int_equal(array.children[0]->dictionary->length, 2);
    schema.release(&schema);
    array.release(&array);
}

static void children_may_be_moved_out_and_released_in_any_order(void **state)
{
    (void)state;
    const make_col cols[] = {{.name = "id", .format = "l", .values = ids},
                             {.name = "tags",
                              .format = "+l",
                              .item = "l",
                              .values = ids,
                              .lengths = (const int32_t[]){1, 0, 2, 1, 1}}};
    tfn_frame *f = read_frame(cols, 2, 5, 0);
    tfn_column *extra = count_column(5);
    const tfn_str name = tfn_str_of("count");
    struct ArrowArrayStream stream;
    struct ArrowSchema schema;
    struct ArrowArray array;
    struct ArrowArray children[3];
    tfn_error err = {0};
    assert_ok(tfn_frame_export(f, &name, &extra, 1, &stream, &err), err);
    tfn_frame_release(f);
    tfn_column_release(extra);
    assert_int_equal(stream.get_schema(&stream, &schema), 0);
    assert_int_equal(stream.get_next(&stream, &array), 0);
    stream.release(&stream);
    assert_int_equal(array.n_children, 3);
    for (int i = 0; i < 3; i++) {
        children[i] = *array.children[i];
        array.children[i]->release = NULL;
    }
    struct ArrowSchema second = *schema.children[1];
    schema.children[1]->release = NULL;
    array.release(&array);
    schema.release(&schema);
    assert_int_equal(((const int64_t *)children[2].buffers[1])[4], 40);
    children[2].release(&children[2]);
    struct ArrowArray items = *children[1].children[0];
    children[1].children[0]->release = NULL;
    children[1].release(&children[1]);
    assert_int_equal(((const int64_t *)items.buffers[1])[4], 5);
    children[0].release(&children[0]);
    items.release(&items);
    assert_string_equal(second.name, "tags");
    second.release(&second);
}

static void columns_of_another_length_are_refused(void **state)
{
    (void)state;
    const make_col cols[] = {{.name = "id", .format = "l", .values = ids}};
    tfn_frame *f = read_frame(cols, 1, 5, 0);
    tfn_column *extra = count_column(4);
    const tfn_str name = tfn_str_of("count");
    struct ArrowArrayStream stream;
    tfn_error err = {0};
    assert_int_equal(tfn_frame_export(f, &name, &extra, 1, &stream, &err), TFN_INVALID);
    assert_string_equal(err.message, "column 'count' has 4 rows beside 5 rows");
    assert_null(stream.release);
    assert_int_equal(tfn_columns_export(&name, &extra, 1, 3, 0, &stream, &err), TFN_INVALID);
    tfn_column_release(extra);
    tfn_frame_release(f);
}

static void columns_alone_come_in_batches(void **state)
{
    (void)state;
    tfn_column *column = count_column(5);
    const tfn_str name = tfn_str_of("count");
    static const int64_t sizes[] = {0, 2, 5, 9};
    static const int64_t n_batches[] = {1, 3, 1, 1};
    for (int i = 0; i < 4; i++) {
        struct ArrowArrayStream stream;
        tfn_frame *f = NULL;
        tfn_vec v;
        tfn_error err = {0};
        assert_ok(tfn_columns_export(&name, &column, 1, 5, sizes[i], &stream, &err), err);
        assert_ok(tfn_frame_read(&stream, &f, &err), err);
        assert_int_equal(tfn_frame_get_n_batches(f), n_batches[i]);
        assert_int_equal(tfn_frame_get_n_rows(f), 5);
        assert_ok(tfn_frame_get_vec(f, n_batches[i] - 1, 0, &v, &err), err);
        assert_int_equal(tfn_vec_get_int(&v, v.n - 1), 40);
        tfn_frame_release(f);
    }
    tfn_column_release(column);
}

static void no_columns_and_no_rows_are_fine(void **state)
{
    (void)state;
    struct ArrowArrayStream stream;
    tfn_frame *f = NULL;
    tfn_error err = {0};
    assert_ok(tfn_columns_export(NULL, NULL, 0, 7, 0, &stream, &err), err);
    assert_ok(tfn_frame_read(&stream, &f, &err), err);
    assert_int_equal(tfn_frame_get_n_rows(f), 7);
    tfn_frame_release(f);
    assert_ok(tfn_columns_export(NULL, NULL, 0, 0, 0, &stream, &err), err);
    assert_ok(tfn_frame_read(&stream, &f, &err), err);
    assert_int_equal(tfn_frame_get_n_batches(f), 0);
    tfn_frame_release(f);
}

static void *read_and_release(void *context)
{
    struct ArrowArrayStream *stream = context;
    struct ArrowArray array;
    int64_t n_rows = 0;
    while (stream->get_next(stream, &array) == 0 && array.release != NULL) {
        n_rows += array.length;
        array.release(&array);
    }
    stream->release(stream);
    return n_rows == 5 ? context : NULL;
}

static void streams_of_one_frame_are_read_by_several_threads(void **state)
{
    (void)state;
    enum { N_THREADS = 4 };
    const make_col cols[] = {{.name = "id", .format = "l", .values = ids}};
    tfn_frame *f = read_frame(cols, 1, 5, 1);
    tfn_column *extra = count_column(5);
    const tfn_str name = tfn_str_of("count");
    struct ArrowArrayStream streams[N_THREADS];
    pthread_t threads[N_THREADS];
    tfn_error err = {0};
    for (int i = 0; i < N_THREADS; i++) {
        assert_ok(tfn_frame_export(f, &name, &extra, 1, &streams[i], &err), err);
    }
    tfn_frame_release(f);
    tfn_column_release(extra);
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_and_release, &streams[i]), 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
        void *ok = NULL;
        assert_int_equal(pthread_join(threads[i], &ok), 0);
        assert_non_null(ok);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_and_more_columns_come_out_side_by_side),
        cmocka_unit_test(buffers_are_shared_not_copied),
        cmocka_unit_test(a_frame_can_be_exported_more_than_once),
        cmocka_unit_test(dictionaries_come_out_as_they_came_in),
        cmocka_unit_test(children_may_be_moved_out_and_released_in_any_order),
        cmocka_unit_test(columns_of_another_length_are_refused),
        cmocka_unit_test(columns_alone_come_in_batches),
        cmocka_unit_test(no_columns_and_no_rows_are_fine),
        cmocka_unit_test(streams_of_one_frame_are_read_by_several_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
