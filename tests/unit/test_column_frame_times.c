/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/column_make.h"

#include "column/frame_times.c"

static tfn_frame *frame_of_texts(const char *const *texts, int64_t n_rows, int64_t batch_rows)
{
    const make_col cols[] = {{.name = "t", .format = "u", .values = texts, .padding = 1}};
    struct ArrowArrayStream stream;
    tfn_frame *f = NULL;
    tfn_error err = {0};
    make_stream(cols, 1, n_rows, batch_rows, &stream);
    assert_ok(tfn_frame_read(&stream, &f, &err), err);
    return f;
}

static tfn_type type_of(const tfn_frame *f)
{
    tfn_type type = {0};
    tfn_error err = {0};
    assert_ok(tfn_frame_get_type(f, 0, &type, &err), err);
    return type;
}

static int64_t time_at(const tfn_frame *f, int64_t i_batch, int64_t i_row)
{
    tfn_vec v = {0};
    tfn_error err = {0};
    assert_ok(tfn_frame_get_vec(f, i_batch, 0, &v, &err), err);
    return tfn_vec_is_valid(&v, i_row) ? tfn_vec_get_int(&v, i_row) : INT64_MIN;
}

static void texts_become_microseconds_and_nulls_stay(void **state)
{
    (void)state;
    static const char *const texts[] = {"1970-01-01", NULL, "1970-01-01T00:00:01Z",
                                        "1970-01-01 02:00:00.000001+02:00", "9999-12-31"};
    tfn_frame *f = frame_of_texts(texts, 5, 2);
    tfn_error err = {0};
    assert_ok(tfn_frame_read_times(f, 0, &err), err);
    assert_int_equal(type_of(f).kind, TFN_KIND_TIMESTAMP);
    assert_int_equal(type_of(f).unit, TFN_UNIT_US);
    assert_int_equal(time_at(f, 0, 0), 0);
    assert_int_equal(time_at(f, 0, 1), INT64_MIN);
    assert_int_equal(time_at(f, 1, 0), 1000000);
    assert_int_equal(time_at(f, 1, 1), 1);
    assert_int_equal(time_at(f, 2, 0), INT64_C(253402214400000000));
    tfn_frame_release(f);
}

static void one_text_with_nanoseconds_makes_all_nanoseconds(void **state)
{
    (void)state;
    static const char *const texts[] = {"1970-01-01T00:00:01", "1970-01-01T00:00:00.000000001"};
    tfn_frame *f = frame_of_texts(texts, 2, 1);
    tfn_error err = {0};
    assert_ok(tfn_frame_read_times(f, 0, &err), err);
    assert_int_equal(type_of(f).unit, TFN_UNIT_NS);
    assert_int_equal(time_at(f, 0, 0), 1000000000);
    assert_int_equal(time_at(f, 1, 0), 1);
    tfn_frame_release(f);
}

static void what_is_exported_are_the_texts(void **state)
{
    (void)state;
    static const char *const texts[] = {"1970-01-02"};
    tfn_frame *f = frame_of_texts(texts, 1, 0);
    tfn_error err = {0};
    assert_ok(tfn_frame_read_times(f, 0, &err), err);
    struct ArrowArrayStream stream;
    assert_ok(tfn_frame_export(f, NULL, NULL, 0, &stream, &err), err);
    tfn_frame_release(f);
    tfn_frame *back = NULL;
    assert_ok(tfn_frame_read(&stream, &back, &err), err);
    tfn_vec v = {0};
    assert_ok(tfn_frame_get_vec(back, 0, 0, &v, &err), err);
    assert_int_equal(v.type.kind, TFN_KIND_STRING);
    const tfn_str text = tfn_vec_get_str(&v, 0);
    assert_int_equal(text.n, 10);
    assert_memory_equal(text.p, "1970-01-02", 10);
    tfn_frame_release(back);
}

static void a_text_that_is_no_time_is_named_and_changes_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {"1970-01-01", "1970-01-02", "yesterday"};
    tfn_frame *f = frame_of_texts(texts, 3, 2);
    tfn_error err = {0};
    assert_int_equal(tfn_frame_read_times(f, 0, &err), TFN_INVALID);
    assert_non_null(strstr(err.message, "column 't', row 2 (counted from 0): 'yesterday' is not"));
    assert_int_equal(type_of(f).kind, TFN_KIND_STRING);
    tfn_frame_release(f);
}

static void years_without_nanoseconds_are_refused_only_beside_nanoseconds(void **state)
{
    (void)state;
    static const char *const texts[] = {"1970-01-01T00:00:00.000000001", "9999-12-31"};
    tfn_frame *f = frame_of_texts(texts, 2, 0);
    tfn_error err = {0};
    assert_int_equal(tfn_frame_read_times(f, 0, &err), TFN_INVALID);
    assert_non_null(strstr(err.message, "row 1 (counted from 0): '9999-12-31' has no 64-bit"));
    tfn_frame_release(f);
}

static void a_column_of_numbers_is_refused_and_no_rows_are_fine(void **state)
{
    (void)state;
    static const int64_t numbers[] = {1};
    const make_col cols[] = {{.name = "n", .format = "l", .values = numbers}};
    struct ArrowArrayStream stream;
    tfn_frame *f = NULL;
    tfn_error err = {0};
    make_stream(cols, 1, 1, 0, &stream);
    assert_ok(tfn_frame_read(&stream, &f, &err), err);
    assert_int_equal(tfn_frame_read_times(f, 0, &err), TFN_SCHEMA);
    tfn_frame_release(f);
    static const char *const texts[] = {"x"};
    f = frame_of_texts(texts, 0, 0);
    assert_ok(tfn_frame_read_times(f, 0, &err), err);
    assert_int_equal(type_of(f).kind, TFN_KIND_TIMESTAMP);
    tfn_frame_release(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_become_microseconds_and_nulls_stay),
        cmocka_unit_test(one_text_with_nanoseconds_makes_all_nanoseconds),
        cmocka_unit_test(what_is_exported_are_the_texts),
        cmocka_unit_test(a_text_that_is_no_time_is_named_and_changes_nothing),
        cmocka_unit_test(years_without_nanoseconds_are_refused_only_beside_nanoseconds),
        cmocka_unit_test(a_column_of_numbers_is_refused_and_no_rows_are_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
