/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/column_make.h"

#include "column/cell.c"

static const tfn_type int32_type = {.kind = TFN_KIND_INT32};
static const tfn_type int64_type = {.kind = TFN_KIND_INT64};
static const tfn_type float32_type = {.kind = TFN_KIND_FLOAT32};
static const tfn_type float64_type = {.kind = TFN_KIND_FLOAT64};
static const tfn_type date_type = {.kind = TFN_KIND_DATE};
static const tfn_type strings_type = {.kind = TFN_KIND_STRING, .is_list = true};
static const tfn_type int32s_type = {.kind = TFN_KIND_INT32, .is_list = true};

static tfn_type time_type(tfn_unit unit)
{
    return (tfn_type){.kind = TFN_KIND_TIMESTAMP, .unit = (uint8_t)unit};
}

static tfn_cell cell_of(const tfn_vec *v, int64_t i, tfn_type want)
{
    tfn_error err = {0};
    tfn_cell cell;
    assert_ok(tfn_cell_of_vec(v, i, want, NULL, &cell, &err), err);
    return cell;
}

static double as_double(tfn_cell cell)
{
    double value = 0;
    memcpy(&value, &cell.bits, sizeof value);
    return value;
}

static void integers_are_widened_and_range_checked(void **state)
{
    (void)state;
    const int64_t values[] = {-5, INT32_MAX, (int64_t)INT32_MAX + 1, INT64_MIN};
    const uint8_t ok[] = {1, 1, 1, 1};
    const make_col col = {.format = "l", .values = values, .valid = ok};
    made_vec made;
    const tfn_vec *v = make_vec(&col, 4, &made);
    assert_int_equal((int64_t)cell_of(v, 0, int32_type).bits, -5);
    assert_int_equal((int64_t)cell_of(v, 0, int64_type).bits, -5);
    assert_int_equal((int64_t)cell_of(v, 1, int32_type).bits, INT32_MAX);
    tfn_cell cell;
    tfn_error err = {0};
    assert_int_equal(tfn_cell_of_vec(v, 2, int32_type, NULL, &cell, &err), TFN_SCHEMA);
    assert_string_equal(err.message, "value 2147483648 does not fit int32");
    assert_int_equal(tfn_cell_of_vec(v, 3, int32_type, NULL, &cell, &err), TFN_SCHEMA);
    assert_text(err.message, "-9223372036854775808");
    assert_true(as_double(cell_of(v, 1, float64_type)) == 2147483647.0);
    end_vec(&made);
    const uint64_t large[] = {UINT64_MAX};
    const make_col unsigned_col = {.format = "L", .values = large};
    v = make_vec(&unsigned_col, 1, &made);
    assert_int_equal(tfn_cell_of_vec(v, 0, int64_type, NULL, &cell, &err), TFN_SCHEMA);
    assert_string_equal(err.message, "value 18446744073709551615 does not fit int64");
    assert_true(as_double(cell_of(v, 0, float64_type)) == 18446744073709551615.0);
    end_vec(&made);
}

static void floats_are_rounded_to_the_declared_width(void **state)
{
    (void)state;
    const double values[] = {0.1, -2.5};
    const make_col col = {.format = "g", .values = values};
    made_vec made;
    const tfn_vec *v = make_vec(&col, 2, &made);
    const uint64_t bits = cell_of(v, 0, float32_type).bits;
    float narrow = 0;
    memcpy(&narrow, &bits, sizeof narrow);
    assert_true(narrow == 0.1f);
    assert_int_equal(bits >> 32, 0);
    assert_true(as_double(cell_of(v, 1, float64_type)) == -2.5);
    end_vec(&made);
}

static void times_change_unit_by_floor_or_saturation(void **state)
{
    (void)state;
    const int64_t values[] = {-1, 1500, INT64_MAX / 1000 + 1};
    const make_col col = {.format = "tsm:", .values = values};
    made_vec made;
    const tfn_vec *v = make_vec(&col, 3, &made);
    assert_int_equal((int64_t)cell_of(v, 0, time_type(TFN_UNIT_S)).bits, -1);
    assert_int_equal((int64_t)cell_of(v, 1, time_type(TFN_UNIT_S)).bits, 1);
    assert_int_equal((int64_t)cell_of(v, 1, time_type(TFN_UNIT_NS)).bits, 1500000000);
    assert_int_equal((int64_t)cell_of(v, 2, time_type(TFN_UNIT_US)).bits, INT64_MAX);
    end_vec(&made);
}

static void a_date_is_its_midnight(void **state)
{
    (void)state;
    const int32_t values[] = {1, -1, INT32_MAX};
    const make_col col = {.format = "tdD", .values = values};
    made_vec made;
    const tfn_vec *v = make_vec(&col, 3, &made);
    assert_int_equal((int64_t)cell_of(v, 0, time_type(TFN_UNIT_US)).bits, 86400000000);
    assert_int_equal((int64_t)cell_of(v, 1, time_type(TFN_UNIT_S)).bits, -86400);
    assert_int_equal((int64_t)cell_of(v, 2, time_type(TFN_UNIT_NS)).bits, INT64_MAX);
    assert_int_equal((int64_t)cell_of(v, 1, date_type).bits, -1);
    made.vec.has_infinity = true;
    assert_int_equal((int64_t)cell_of(v, 2, time_type(TFN_UNIT_S)).bits, INT64_MAX);
    end_vec(&made);
    const int64_t millis[] = {INT64_MAX};
    const make_col far = {.format = "tdm", .values = millis};
    tfn_cell cell;
    tfn_error err = {0};
    v = make_vec(&far, 1, &made);
    assert_int_equal(tfn_cell_of_vec(v, 0, date_type, NULL, &cell, &err), TFN_SCHEMA);
    assert_text(err.message, "does not fit date");
    end_vec(&made);
}

static void infinite_times_stay_infinite_in_any_unit(void **state)
{
    (void)state;
    const int64_t values[] = {INT64_MAX, -INT64_MAX};
    const make_col col = {.format = "tsu:", .values = values};
    made_vec made;
    (void)make_vec(&col, 2, &made);
    made.vec.has_infinity = true;
    for (int unit = TFN_UNIT_S; unit <= TFN_UNIT_NS; unit++) {
        assert_int_equal((int64_t)cell_of(&made.vec, 0, time_type((tfn_unit)unit)).bits, INT64_MAX);
        assert_int_equal((int64_t)cell_of(&made.vec, 1, time_type((tfn_unit)unit)).bits,
                         -INT64_MAX);
    }
    end_vec(&made);
}

static void nulls_and_columns_of_nulls_are_null_cells(void **state)
{
    (void)state;
    const char *words[] = {NULL, "x"};
    const make_col col = {.format = "u", .values = words};
    const make_col none = {.format = "n"};
    made_vec made;
    const tfn_vec *v = make_vec(&col, 2, &made);
    assert_true(cell_of(v, 0, (tfn_type){.kind = TFN_KIND_STRING}).is_null);
    assert_int_equal(cell_of(v, 1, (tfn_type){.kind = TFN_KIND_STRING}).bytes.n, 1);
    end_vec(&made);
    v = make_vec(&none, 2, &made);
    assert_true(cell_of(v, 1, int64_type).is_null);
    assert_true(cell_of(v, 1, strings_type).is_null);
    end_vec(&made);
}

static void a_list_of_integers_packs_and_reads_back(void **state)
{
    (void)state;
    const int64_t items[] = {7, -1, 0, 9};
    const make_col col = {.format = "+l",
                          .item = "l",
                          .values = items,
                          .item_valid = (const uint8_t[]){1, 1, 0, 1},
                          .lengths = (const int32_t[]){3, 1},
                          .padding = 2};
    made_vec made;
    tfn_buf scratch = {0};
    tfn_cell cell;
    tfn_error err = {0};
    const tfn_vec *v = make_vec(&col, 2, &made);
    assert_ok(tfn_cell_of_vec(v, 0, int32s_type, &scratch, &cell, &err), err);
    /* as docs/formats/online-row.md shows it */
    static const uint8_t wanted[] = {3,    0,    0,    0,    0x03, 7, 0, 0, 0,
                                     0xff, 0xff, 0xff, 0xff, 0,    0, 0, 0};
    assert_int_equal(cell.bytes.n, sizeof wanted);
    assert_memory_equal(cell.bytes.p, wanted, sizeof wanted);
    tfn_list list;
    assert_ok(tfn_list_open(int32s_type, cell.bytes, &list, &err), err);
    assert_int_equal(list.n, 3);
    assert_int_equal((int64_t)tfn_list_get(&list, 1).bits, -1);
    assert_true(tfn_list_get(&list, 2).is_null);
    end_vec(&made);
    tfn_buf_deinit(&scratch);
}

static void a_list_of_strings_packs_and_reads_back(void **state)
{
    (void)state;
    const char *items[] = {"ab", NULL, "", "c"};
    const make_col col = {
        .format = "+L", .item = "u", .values = items, .lengths = (const int32_t[]){0, 4}};
    made_vec made;
    tfn_buf scratch = {0};
    tfn_cell cell;
    tfn_error err = {0};
    tfn_list list;
    const tfn_vec *v = make_vec(&col, 2, &made);
    assert_ok(tfn_cell_of_vec(v, 0, strings_type, &scratch, &cell, &err), err);
    assert_false(cell.is_null);
    assert_ok(tfn_list_open(strings_type, cell.bytes, &list, &err), err);
    assert_int_equal(list.n, 0);
    assert_ok(tfn_cell_of_vec(v, 1, strings_type, &scratch, &cell, &err), err);
    static const uint8_t wanted[] = {4, 0, 0, 0, 0x0d, 0, 0, 0, 0, 2, 0, 0,   0,   2,
                                     0, 0, 0, 2, 0,    0, 0, 3, 0, 0, 0, 'a', 'b', 'c'};
    assert_int_equal(cell.bytes.n, sizeof wanted);
    assert_memory_equal(cell.bytes.p, wanted, sizeof wanted);
    assert_ok(tfn_list_open(strings_type, cell.bytes, &list, &err), err);
    assert_int_equal(tfn_list_get(&list, 0).bytes.n, 2);
    assert_true(tfn_list_get(&list, 1).is_null);
    assert_false(tfn_list_get(&list, 2).is_null);
    assert_int_equal(tfn_list_get(&list, 2).bytes.n, 0);
    assert_int_equal(tfn_list_get(&list, 3).bytes.p[0], 'c');
    end_vec(&made);
    tfn_buf_deinit(&scratch);
}

static void a_bool_list_has_a_byte_per_item(void **state)
{
    (void)state;
    const uint8_t items[] = {1, 0, 1};
    const make_col col = {.format = "+w:3", .item = "b", .values = items};
    const tfn_type type = {.kind = TFN_KIND_BOOL, .is_list = true};
    made_vec made;
    tfn_buf scratch = {0};
    tfn_cell cell;
    tfn_error err = {0};
    tfn_list list;
    const tfn_vec *v = make_vec(&col, 1, &made);
    assert_ok(tfn_cell_of_vec(v, 0, type, &scratch, &cell, &err), err);
    assert_int_equal(cell.bytes.n, 4 + 1 + 3);
    assert_ok(tfn_list_open(type, cell.bytes, &list, &err), err);
    assert_int_equal(tfn_list_get(&list, 0).bits, 1);
    assert_int_equal(tfn_list_get(&list, 1).bits, 0);
    end_vec(&made);
    tfn_buf_deinit(&scratch);
}

static void a_value_out_of_range_inside_a_list_is_an_error(void **state)
{
    (void)state;
    const int64_t items[] = {INT64_MAX};
    const make_col col = {
        .format = "+l", .item = "l", .values = items, .lengths = (const int32_t[]){1}};
    made_vec made;
    tfn_buf scratch = {0};
    tfn_cell cell;
    tfn_error err = {0};
    const tfn_vec *v = make_vec(&col, 1, &made);
    assert_int_equal(tfn_cell_of_vec(v, 0, int32s_type, &scratch, &cell, &err), TFN_SCHEMA);
    assert_true(cell.is_null);
    end_vec(&made);
    tfn_buf_deinit(&scratch);
}

static void spoiled_packed_lists_are_corrupt(void **state)
{
    (void)state;
    static const uint8_t ints[] = {2, 0, 0, 0, 0x03, 1, 0, 0, 0, 2, 0, 0, 0};
    static const uint8_t texts[] = {1, 0, 0, 0, 0x01, 0, 0, 0, 0, 1, 0, 0, 0, 'a'};
    tfn_list list;
    tfn_error err = {0};
    assert_ok(tfn_list_open(int32s_type, (tfn_str){(const char *)ints, sizeof ints}, &list, &err),
              err);
    for (size_t n = 0; n < sizeof ints; n++) {
        assert_int_equal(tfn_list_open(int32s_type, (tfn_str){(const char *)ints, n}, &list, &err),
                         TFN_CORRUPT);
    }
    for (size_t n = 0; n < sizeof texts; n++) {
        assert_int_equal(
            tfn_list_open(strings_type, (tfn_str){(const char *)texts, n}, &list, &err),
            TFN_CORRUPT);
    }
    uint8_t spoiled[sizeof texts];
    memcpy(spoiled, texts, sizeof texts);
    spoiled[5] = 1; /* first offset is not 0 */
    const tfn_str bytes = {(const char *)spoiled, sizeof spoiled};
    assert_int_equal(tfn_list_open(strings_type, bytes, &list, &err), TFN_CORRUPT);
    spoiled[5] = 0;
    spoiled[9] = 9; /* ends behind the bytes */
    assert_int_equal(tfn_list_open(strings_type, bytes, &list, &err), TFN_CORRUPT);
    memset(spoiled, 0xff, 4); /* four billion items */
    assert_int_equal(tfn_list_open(int32s_type, bytes, &list, &err), TFN_CORRUPT);
    assert_int_equal(tfn_list_open(strings_type, bytes, &list, &err), TFN_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_widened_and_range_checked),
        cmocka_unit_test(floats_are_rounded_to_the_declared_width),
        cmocka_unit_test(times_change_unit_by_floor_or_saturation),
        cmocka_unit_test(a_date_is_its_midnight),
        cmocka_unit_test(infinite_times_stay_infinite_in_any_unit),
        cmocka_unit_test(nulls_and_columns_of_nulls_are_null_cells),
        cmocka_unit_test(a_list_of_integers_packs_and_reads_back),
        cmocka_unit_test(a_list_of_strings_packs_and_reads_back),
        cmocka_unit_test(a_bool_list_has_a_byte_per_item),
        cmocka_unit_test(a_value_out_of_range_inside_a_list_is_an_error),
        cmocka_unit_test(spoiled_packed_lists_are_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
