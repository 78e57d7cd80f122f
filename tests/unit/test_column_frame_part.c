/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/column_make.h"

#include "column/frame_part.c"

static const int64_t ids[] = {1, 2, 3, 4, 5, 6, 7};
static const uint8_t id_valid[] = {1, 1, 0, 1, 1, 1, 0};
static const char *const names[] = {"a", NULL, "c", "", "e", "f", "g"};
static const int32_t lengths[] = {1, 0, 2, 1, 0, 1, 1};
static const double items[] = {1.5, 3.25, 3.5, 4.5, 6.5, 7.5};
static const uint8_t raw[] = {1, 0, 1, 1, 0, 1, 0};

/* Seven rows in batches of three: every kind of layout, with offsets. */
static tfn_frame *make_frame(void)
{
    const make_col cols[] = {
        {.name = "id", .format = "l", .values = ids, .valid = id_valid, .padding = 2},
        {.name = "name", .format = "u", .values = names},
        {.name = "items", .format = "+l", .item = "g", .lengths = lengths, .values = items},
        {.name = "flag", .format = "b", .values = raw, .padding = 3}};
    struct ArrowArrayStream stream;
    tfn_frame *f = NULL;
    tfn_error err = {0};
    make_stream(cols, 4, 7, 3, &stream);
    assert_ok(tfn_frame_read(&stream, &f, &err), err);
    return f;
}

/* Rows of `f` are rows[i] of the seven. */
static void expect_rows(const tfn_frame *f, const size_t *rows, size_t n_rows)
{
    assert_int_equal(tfn_frame_get_n_rows(f), n_rows);
    size_t i = 0;
    for (int64_t b = 0; b < tfn_frame_get_n_batches(f); b++) {
        tfn_vec v[4];
        tfn_error err = {0};
        for (size_t c = 0; c < 4; c++) {
            assert_ok(tfn_frame_get_vec(f, b, c, &v[c], &err), err);
        }
        for (int64_t k = 0; k < tfn_frame_get_batch_rows(f, b); k++, i++) {
            const size_t row = rows[i];
            assert_int_equal(tfn_vec_is_valid(&v[0], k), id_valid[row]);
            assert_int_equal(id_valid[row] ? tfn_vec_get_int(&v[0], k) : ids[row], ids[row]);
            assert_int_equal(tfn_vec_is_valid(&v[1], k), names[row] != NULL);
            if (names[row] != NULL) {
                assert_true(tfn_str_is(tfn_vec_get_str(&v[1], k), names[row]));
            }
            const tfn_range range = tfn_vec_get_list(&v[2], k);
            assert_int_equal(range.n, lengths[row]);
            if (range.n > 0) {
                assert_true((int)tfn_vec_get_float(v[2].child, range.begin) == (int)ids[row]);
            }
            assert_int_equal(tfn_vec_get_int(&v[3], k), raw[row]);
        }
    }
    assert_int_equal(i, n_rows);
}

static void a_slice_shows_its_rows(void **state)
{
    (void)state;
    static const size_t all[] = {0, 1, 2, 3, 4, 5, 6};
    tfn_frame *f = make_frame();
    tfn_error err = {0};
    for (int64_t begin = 0; begin <= 7; begin++) {
        for (int64_t n = 0; begin + n <= 7; n++) {
            for (int64_t most = 0; most < 4; most++) {
                tfn_frame *slice = NULL;
                assert_ok(tfn_frame_slice(f, begin, n, most, &slice, &err), err);
                expect_rows(slice, all + begin, (size_t)n);
                tfn_frame_release(slice);
            }
        }
    }
    tfn_frame_release(f);
}

static void a_slice_outlives_its_frame_and_is_sliced_again(void **state)
{
    (void)state;
    static const size_t rows[] = {2, 3};
    tfn_frame *f = make_frame();
    tfn_frame *first = NULL;
    tfn_frame *second = NULL;
    tfn_error err = {0};
    assert_ok(tfn_frame_slice(f, 1, 5, 2, &first, &err), err);
    assert_ok(tfn_frame_slice(first, 1, 2, 0, &second, &err), err);
    tfn_frame_release(f);
    tfn_frame_release(first);
    expect_rows(second, rows, 2);
    tfn_frame_release(second);
}

static void a_slice_is_exported_with_columns_beside_it(void **state)
{
    (void)state;
    static const size_t rows[] = {1, 2, 3, 4};
    tfn_frame *f = make_frame();
    tfn_frame *slice = NULL;
    tfn_frame *again = NULL;
    tfn_error err = {0};
    struct ArrowArrayStream stream;
    assert_ok(tfn_frame_slice(f, 1, 4, 2, &slice, &err), err);
    assert_ok(tfn_frame_export(slice, NULL, NULL, 0, &stream, &err), err);
    tfn_frame_release(slice);
    tfn_frame_release(f);
    assert_ok(tfn_frame_read(&stream, &again, &err), err);
    assert_int_equal(tfn_frame_get_n_batches(again), 2);
    expect_rows(again, rows, 4);
    tfn_frame_release(again);
}

static void rows_that_are_not_there_are_refused(void **state)
{
    (void)state;
    tfn_frame *f = make_frame();
    tfn_frame *slice = NULL;
    tfn_error err = {0};
    assert_int_equal(tfn_frame_slice(f, 5, 3, 0, &slice, &err), TFN_INVALID);
    assert_string_equal(err.message, "3 rows from row 5 of a table of 7 rows");
    assert_int_equal(tfn_frame_slice(f, -1, 1, 0, &slice, NULL), TFN_INVALID);
    assert_int_equal(tfn_frame_slice(f, 0, INT64_MAX, 0, &slice, NULL), TFN_INVALID);
    assert_null(slice);
    tfn_frame_release(f);
}

static void chosen_rows_are_copied(void **state)
{
    (void)state;
    static const uint32_t chosen[][7] = {{0, 1, 2, 3, 4, 5, 6}, {1, 2, 3, 6}, {6}, {0, 2, 4}};
    static const size_t counts[] = {7, 4, 1, 3};
    static const size_t columns[] = {0, 1, 2, 3};
    for (size_t i = 0; i < 4; i++) {
        tfn_frame *f = make_frame();
        tfn_frame *taken = NULL;
        tfn_error err = {0};
        size_t rows[7];
        for (size_t k = 0; k < counts[i]; k++) {
            rows[k] = chosen[i][k];
        }
        assert_ok(tfn_frame_take(f, columns, 4, chosen[i], counts[i], &taken, &err), err);
        tfn_frame_release(f);
        expect_rows(taken, rows, counts[i]);
        assert_int_equal(tfn_frame_get_n_batches(taken), 1);
        tfn_frame_release(taken);
    }
}

static void columns_are_taken_in_the_order_asked(void **state)
{
    (void)state;
    static const size_t columns[] = {3, 0};
    static const uint32_t row = 4;
    tfn_frame *f = make_frame();
    tfn_frame *taken = NULL;
    tfn_error err = {0};
    assert_ok(tfn_frame_take(f, columns, 2, &row, 1, &taken, &err), err);
    assert_true(tfn_str_is(tfn_frame_get_name(taken, 0), "flag"));
    assert_true(tfn_str_is(tfn_frame_get_name(taken, 1), "id"));
    tfn_frame_release(taken);
    tfn_frame_release(f);
}

static void a_value_that_no_type_holds_names_its_column(void **state)
{
    (void)state;
    static const uint64_t large[] = {1, UINT64_MAX};
    static const size_t column = 0;
    static const uint32_t rows[] = {0, 1};
    const make_col col = {.name = "big", .format = "L", .values = large};
    struct ArrowArrayStream stream;
    tfn_frame *f = NULL;
    tfn_frame *taken = NULL;
    tfn_error err = {0};
    make_stream(&col, 1, 2, 0, &stream);
    assert_ok(tfn_frame_read(&stream, &f, &err), err);
    assert_int_equal(tfn_frame_take(f, &column, 1, rows, 2, &taken, &err), TFN_SCHEMA);
    assert_non_null(strstr(err.message, "column 'big'"));
    assert_null(taken);
    tfn_frame_release(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slice_shows_its_rows),
        cmocka_unit_test(a_slice_outlives_its_frame_and_is_sliced_again),
        cmocka_unit_test(a_slice_is_exported_with_columns_beside_it),
        cmocka_unit_test(rows_that_are_not_there_are_refused),
        cmocka_unit_test(chosen_rows_are_copied),
        cmocka_unit_test(columns_are_taken_in_the_order_asked),
        cmocka_unit_test(a_value_that_no_type_holds_names_its_column),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
