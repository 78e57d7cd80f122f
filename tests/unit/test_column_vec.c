/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/column_make.h"

#include "column/vec.c"

static void integers_of_every_width_widen(void **state)
{
    (void)state;
    const int8_t i8[] = {0, -128, 127};
    const int16_t i16[] = {0, -32768, 32767};
    const int32_t i32[] = {0, INT32_MIN, INT32_MAX};
    const int64_t i64[] = {0, INT64_MIN, INT64_MAX};
    const uint8_t u8[] = {0, 1, 255};
    const uint16_t u16[] = {0, 1, 65535};
    const uint32_t u32[] = {0, 1, UINT32_MAX};
    const uint64_t u64[] = {0, 1, INT64_MAX};
    const struct {
        tfn_number number;
        const void *data;
        int64_t second;
        int64_t third;
    } cases[] = {
        {TFN_NUMBER_I8, i8, -128, 127},
        {TFN_NUMBER_I16, i16, -32768, 32767},
        {TFN_NUMBER_I32, i32, INT32_MIN, INT32_MAX},
        {TFN_NUMBER_I64, i64, INT64_MIN, INT64_MAX},
        {TFN_NUMBER_U8, u8, 1, 255},
        {TFN_NUMBER_U16, u16, 1, 65535},
        {TFN_NUMBER_U32, u32, 1, UINT32_MAX},
        {TFN_NUMBER_U64, u64, 1, INT64_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const tfn_vec v = {.layout = TFN_LAYOUT_FIXED,
                           .number = (uint8_t)cases[i].number,
                           .n = 2,
                           .offset = 1,
                           .data = cases[i].data};
        assert_int_equal(tfn_vec_get_int(&v, 0), cases[i].second);
        assert_int_equal(tfn_vec_get_int(&v, 1), cases[i].third);
        assert_true(tfn_vec_fits(&v, 1));
        assert_true(tfn_vec_get_float(&v, 0) == (double)cases[i].second);
        assert_true(tfn_vec_get_float(&v, 1) == (double)cases[i].third);
    }
}

static void uint64_above_int64_does_not_fit_but_is_a_float(void **state)
{
    (void)state;
    const uint64_t values[] = {UINT64_MAX, UINT64_C(1) << 63};
    const tfn_vec v = {
        .layout = TFN_LAYOUT_FIXED, .number = TFN_NUMBER_U64, .n = 2, .data = values};
    assert_false(tfn_vec_fits(&v, 0));
    assert_false(tfn_vec_fits(&v, 1));
    assert_true(tfn_vec_get_float(&v, 1) == 9223372036854775808.0);
}

static void values_need_not_be_aligned(void **state)
{
    (void)state;
    char memory[40] = {0};
    const int64_t value = 0x0102030405060708;
    const double number = 2.5;
    memcpy(memory + 1 + 8, &value, sizeof value);
    tfn_vec v = {.layout = TFN_LAYOUT_FIXED, .number = TFN_NUMBER_I64, .n = 2, .data = memory + 1};
    assert_int_equal(tfn_vec_get_int(&v, 1), value);
    memcpy(memory + 3, &number, sizeof number);
    v.number = TFN_NUMBER_F64;
    v.data = memory + 3;
    assert_true(tfn_vec_get_float(&v, 0) == 2.5);
}

static void bits_are_read_from_the_lowest(void **state)
{
    (void)state;
    const uint8_t bits[] = {0x80, 0x01};
    const uint8_t validity[] = {0xff, 0x02};
    const tfn_vec v = {
        .layout = TFN_LAYOUT_BITS, .n = 3, .offset = 7, .data = bits, .validity = validity};
    assert_int_equal(tfn_vec_get_int(&v, 0), 1);
    assert_int_equal(tfn_vec_get_int(&v, 1), 1);
    assert_int_equal(tfn_vec_get_int(&v, 2), 0);
    assert_true(tfn_vec_is_valid(&v, 0));
    assert_false(tfn_vec_is_valid(&v, 1));
    assert_true(tfn_vec_is_valid(&v, 2));
    const tfn_vec slice = tfn_vec_slice(&v, 1, 2);
    assert_int_equal(slice.n, 2);
    assert_false(tfn_vec_is_valid(&slice, 0));
    assert_int_equal(tfn_vec_get_int(&slice, 1), 0);
}

static void a_vector_without_layout_is_null_everywhere(void **state)
{
    (void)state;
    const tfn_vec v = {.layout = TFN_LAYOUT_NONE, .n = 3};
    assert_false(tfn_vec_is_valid(&v, 0));
    assert_false(tfn_vec_is_valid(&v, 2));
}

static void half_floats_widen_exactly(void **state)
{
    (void)state;
    const uint16_t halves[] = {0x3c00, 0xc000, 0x7bff, 0x0001, 0x0400,
                               0x7c00, 0xfc00, 0x7e00, 0x8000};
    const tfn_vec v = {
        .layout = TFN_LAYOUT_FIXED, .number = TFN_NUMBER_F16, .n = 9, .data = halves};
    assert_true(tfn_vec_get_float(&v, 0) == 1.0);
    assert_true(tfn_vec_get_float(&v, 1) == -2.0);
    assert_true(tfn_vec_get_float(&v, 2) == 65504.0);
    assert_true(tfn_vec_get_float(&v, 3) == 1.0 / 16777216.0);
    assert_true(tfn_vec_get_float(&v, 4) == 1.0 / 16384.0);
    assert_true(tfn_vec_get_float(&v, 5) > 1e300);
    assert_true(tfn_vec_get_float(&v, 6) < -1e300);
    const double nan = tfn_vec_get_float(&v, 7);
    assert_true(nan != nan);
    const double minus_zero = tfn_vec_get_float(&v, 8);
    assert_true(minus_zero == 0.0 && 1.0 / minus_zero < 0.0);
}

static void milliseconds_of_date64_become_days_also_before_1970(void **state)
{
    (void)state;
    const int64_t values[] = {0, 86400000, -86400000, -1, 86399999};
    const tfn_vec v = {.type = {.kind = TFN_KIND_DATE},
                       .layout = TFN_LAYOUT_FIXED,
                       .number = TFN_NUMBER_DATE64,
                       .n = 5,
                       .data = values};
    const int64_t days[] = {0, 1, -1, -1, 0};
    for (int64_t i = 0; i < 5; i++) {
        assert_int_equal(tfn_vec_get_int(&v, i), days[i]);
    }
}

static void infinite_times_are_told_apart_only_where_they_exist(void **state)
{
    (void)state;
    const int64_t values[] = {INT64_MAX, -INT64_MAX, 5};
    tfn_vec v = {.type = {.kind = TFN_KIND_TIMESTAMP},
                 .layout = TFN_LAYOUT_FIXED,
                 .number = TFN_NUMBER_I64,
                 .has_infinity = true,
                 .n = 3,
                 .data = values};
    assert_true(tfn_vec_is_infinite(&v, 0));
    assert_true(tfn_vec_is_infinite(&v, 1));
    assert_false(tfn_vec_is_infinite(&v, 2));
    v.has_infinity = false;
    assert_false(tfn_vec_is_infinite(&v, 0));
    const int32_t days[] = {INT32_MAX, -INT32_MAX, 0};
    v = (tfn_vec){.type = {.kind = TFN_KIND_DATE},
                  .layout = TFN_LAYOUT_FIXED,
                  .number = TFN_NUMBER_I32,
                  .has_infinity = true,
                  .n = 3,
                  .data = days};
    assert_true(tfn_vec_is_infinite(&v, 0));
    assert_true(tfn_vec_is_infinite(&v, 1));
    assert_false(tfn_vec_is_infinite(&v, 2));
}

static void assert_str(tfn_str found, const char *wanted)
{
    assert_int_equal(found.n, strlen(wanted));
    assert_memory_equal(found.p, wanted, found.n);
}

static void strings_of_offsets_views_and_fixed_width(void **state)
{
    (void)state;
    const int32_t narrow[] = {0, 1, 1, 4};
    const int64_t wide[] = {0, 1, 1, 4};
    tfn_vec v = {
        .layout = TFN_LAYOUT_OFFSET32, .n = 2, .offset = 1, .data = narrow, .bytes = "abcd"};
    assert_str(tfn_vec_get_str(&v, 0), "");
    assert_str(tfn_vec_get_str(&v, 1), "bcd");
    v.layout = TFN_LAYOUT_OFFSET64;
    v.data = wide;
    assert_str(tfn_vec_get_str(&v, 1), "bcd");
    v = (tfn_vec){.layout = TFN_LAYOUT_FIXED_BYTES, .list_width = 2, .n = 2, .data = "abcd"};
    assert_str(tfn_vec_get_str(&v, 1), "cd");
}

static void arrow_views_are_inline_up_to_12_bytes(void **state)
{
    (void)state;
    struct {
        int32_t n;
        char inlined[12];
    } short_view = {12, {'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l'}};
    struct {
        int32_t n;
        char prefix[4];
        int32_t i_buffer;
        int32_t offset;
    } long_view = {13, {'n', 'o', 't', ' '}, 1, 2};
    char views[32];
    memcpy(views, &short_view, 16);
    memcpy(views + 16, &long_view, 16);
    const void *buffers[] = {"wrong one", "__thirteen byte__"};
    const tfn_vec v = {.layout = TFN_LAYOUT_ARROW_VIEW, .n = 2, .data = views, .buffers = buffers};
    assert_str(tfn_vec_get_str(&v, 0), "abcdefghijkl");
    assert_str(tfn_vec_get_str(&v, 1), "thirteen byte");
}

static void duck_strings_are_inline_up_to_12_bytes(void **state)
{
    (void)state;
    char strings[32] = {0};
    const uint32_t n_short = 12;
    const uint32_t n_long = 13;
    const char *text = "thirteen byte";
    memcpy(strings, &n_short, 4);
    memcpy(strings + 4, "abcdefghijkl", 12);
    memcpy(strings + 16, &n_long, 4);
    memcpy(strings + 20, text, 4);
    memcpy(strings + 24, &text, sizeof text);
    const tfn_vec v = {.layout = TFN_LAYOUT_DUCK_STRING, .n = 2, .data = strings};
    assert_str(tfn_vec_get_str(&v, 0), "abcdefghijkl");
    assert_str(tfn_vec_get_str(&v, 1), "thirteen byte");
}

static void lists_of_every_layout(void **state)
{
    (void)state;
    const int32_t narrow[] = {0, 2, 5};
    const int64_t wide[] = {0, 2, 5};
    const uint64_t duck[] = {9, 9, 3, 2, 0, 3};
    tfn_vec v = {.layout = TFN_LAYOUT_OFFSET32, .n = 2, .data = narrow};
    assert_int_equal(tfn_vec_get_list(&v, 1).begin, 2);
    assert_int_equal(tfn_vec_get_list(&v, 1).n, 3);
    v.layout = TFN_LAYOUT_OFFSET64;
    v.data = wide;
    assert_int_equal(tfn_vec_get_list(&v, 1).begin, 2);
    assert_int_equal(tfn_vec_get_list(&v, 1).n, 3);
    v = (tfn_vec){.layout = TFN_LAYOUT_DUCK_LIST, .n = 2, .offset = 1, .data = duck};
    assert_int_equal(tfn_vec_get_list(&v, 0).begin, 3);
    assert_int_equal(tfn_vec_get_list(&v, 1).n, 3);
    v = (tfn_vec){.layout = TFN_LAYOUT_FIXED_LIST, .n = 2, .offset = 4, .list_width = 3};
    assert_int_equal(tfn_vec_get_list(&v, 1).begin, 15);
    assert_int_equal(tfn_vec_get_list(&v, 1).n, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_of_every_width_widen),
        cmocka_unit_test(uint64_above_int64_does_not_fit_but_is_a_float),
        cmocka_unit_test(values_need_not_be_aligned),
        cmocka_unit_test(bits_are_read_from_the_lowest),
        cmocka_unit_test(a_vector_without_layout_is_null_everywhere),
        cmocka_unit_test(half_floats_widen_exactly),
        cmocka_unit_test(milliseconds_of_date64_become_days_also_before_1970),
        cmocka_unit_test(infinite_times_are_told_apart_only_where_they_exist),
        cmocka_unit_test(strings_of_offsets_views_and_fixed_width),
        cmocka_unit_test(arrow_views_are_inline_up_to_12_bytes),
        cmocka_unit_test(duck_strings_are_inline_up_to_12_bytes),
        cmocka_unit_test(lists_of_every_layout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
