/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/column_make.h"

#include "column/column.c"

static void *filled(const void *values, size_t n, size_t size)
{
    void *p = NULL;
    tfn_error err = {0};
    assert_ok(tfn_mem_alloc_array(n, size, &p, &err), err);
    memcpy(p, values, n * size);
    return p;
}

static tfn_column *int64s(const int64_t *values, int64_t n, uint8_t *validity)
{
    tfn_column *c = NULL;
    tfn_error err = {0};
    assert_ok(tfn_column_of_fixed((tfn_type){.kind = TFN_KIND_INT64}, n,
                                  filled(values, (size_t)n, sizeof *values), validity, &c, &err),
              err);
    return c;
}

static void a_column_of_fixed_memory_reads_like_a_vector(void **state)
{
    (void)state;
    const int64_t values[] = {5, 6, 7};
    const uint8_t bits = 0x05;
    tfn_column *c = int64s(values, 3, filled(&bits, 1, 1));
    assert_int_equal(tfn_column_get_n_rows(c), 3);
    assert_int_equal(tfn_column_get_type(c).kind, TFN_KIND_INT64);
    const tfn_vec *v = tfn_column_get_vec(c);
    assert_int_equal(tfn_vec_get_int(v, 0), 5);
    assert_false(tfn_vec_is_valid(v, 1));
    assert_true(tfn_vec_is_valid(v, 2));
    tfn_column_release(c);
    tfn_column_release(NULL);
    assert_null(tfn_column_retain(NULL));
}

static void a_bitmap_without_nulls_is_dropped(void **state)
{
    (void)state;
    const int64_t values[] = {5, 6, 7};
    const uint8_t bits = 0x0f;
    tfn_column *c = int64s(values, 3, filled(&bits, 1, 1));
    assert_null(tfn_column_get_vec(c)->validity);
    tfn_column_release(c);
}

static void bools_of_one_byte_are_packed(void **state)
{
    (void)state;
    uint8_t values[19];
    for (size_t i = 0; i < sizeof values; i++) {
        values[i] = (uint8_t)(i % 3 == 0 ? i + 1 : 0);
    }
    tfn_column *c = NULL;
    tfn_error err = {0};
    assert_ok(tfn_column_of_fixed((tfn_type){.kind = TFN_KIND_BOOL}, 19, filled(values, 19, 1),
                                  NULL, &c, &err),
              err);
    for (int64_t i = 0; i < 19; i++) {
        assert_int_equal(tfn_vec_get_int(tfn_column_get_vec(c), i), i % 3 == 0);
    }
    tfn_column_release(c);
    assert_ok(tfn_column_of_fixed((tfn_type){.kind = TFN_KIND_BOOL}, 0, filled(values, 0, 1), NULL,
                                  &c, &err),
              err);
    assert_int_equal(tfn_column_get_n_rows(c), 0);
    tfn_column_release(c);
}

static void unset_bits_are_counted_at_any_offset(void **state)
{
    (void)state;
    uint8_t bits[40];
    for (size_t i = 0; i < sizeof bits; i++) {
        bits[i] = (uint8_t)(i * 37 + 11);
    }
    for (int64_t begin = 0; begin < 70; begin++) {
        for (int64_t n = 0; begin + n <= 320; n += 13) {
            int64_t wanted = 0;
            for (int64_t i = begin; i < begin + n; i++) {
                wanted += ((bits[i / 8] >> (i % 8)) & 1) == 0;
            }
            assert_int_equal(tfn__bits_count_unset(bits, begin, n), wanted);
        }
    }
}

static void a_window_is_exported_without_a_copy(void **state)
{
    (void)state;
    const int64_t values[] = {5, 6, 7, 8};
    const uint8_t bits = 0x0d;
    tfn_column *c = int64s(values, 4, filled(&bits, 1, 1));
    struct ArrowSchema schema;
    struct ArrowArray array;
    tfn_error err = {0};
    assert_ok(tfn_column_export(c, tfn_str_of("n"), 1, 2, &schema, &array, &err), err);
    assert_string_equal(schema.format, "l");
    assert_string_equal(schema.name, "n");
    assert_int_equal(schema.flags, ARROW_FLAG_NULLABLE);
    assert_int_equal(array.length, 2);
    assert_int_equal(array.offset, 1);
    assert_int_equal(array.null_count, 1);
    assert_int_equal(array.n_buffers, 2);
    assert_ptr_equal(array.buffers[1], tfn_column_get_vec(c)->data);
    tfn_column_release(c); /* the array keeps the memory */
    assert_int_equal(((const int64_t *)array.buffers[1])[1], 6);
    array.release(&array);
    schema.release(&schema);
    assert_null(array.release);
    assert_null(schema.release);
}

static void rows_without_nulls_export_no_bitmap(void **state)
{
    (void)state;
    const int64_t values[] = {5, 6, 7, 8};
    const uint8_t bits = 0x0e;
    tfn_column *c = int64s(values, 4, filled(&bits, 1, 1));
    struct ArrowArray array;
    tfn_error err = {0};
    assert_ok(tfn_column_export(c, tfn_str_of("n"), 1, 3, NULL, &array, &err), err);
    assert_int_equal(array.null_count, 0);
    assert_null(array.buffers[0]);
    array.release(&array);
    tfn_column_release(c);
}

static void each_type_has_its_arrow_format(void **state)
{
    (void)state;
    static const struct {
        tfn_type type;
        bool wide;
        const char *format;
    } cases[] = {
        {{.kind = TFN_KIND_NONE}, false, "n"},
        {{.kind = TFN_KIND_BOOL}, false, "b"},
        {{.kind = TFN_KIND_INT32}, false, "i"},
        {{.kind = TFN_KIND_INT64}, false, "l"},
        {{.kind = TFN_KIND_FLOAT32}, false, "f"},
        {{.kind = TFN_KIND_FLOAT64}, false, "g"},
        {{.kind = TFN_KIND_STRING}, false, "u"},
        {{.kind = TFN_KIND_STRING}, true, "U"},
        {{.kind = TFN_KIND_BYTES}, false, "z"},
        {{.kind = TFN_KIND_BYTES}, true, "Z"},
        {{.kind = TFN_KIND_DATE}, false, "tdD"},
        {{.kind = TFN_KIND_TIMESTAMP, .unit = TFN_UNIT_S}, false, "tss:UTC"},
        {{.kind = TFN_KIND_TIMESTAMP, .unit = TFN_UNIT_MS}, false, "tsm:UTC"},
        {{.kind = TFN_KIND_TIMESTAMP, .unit = TFN_UNIT_US}, false, "tsu:UTC"},
        {{.kind = TFN_KIND_TIMESTAMP, .unit = TFN_UNIT_NS}, false, "tsn:UTC"},
        {{.kind = TFN_KIND_INT64, .is_list = true}, false, "+l"},
        {{.kind = TFN_KIND_INT64, .is_list = true}, true, "+L"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(format_of(cases[i].type, cases[i].wide), cases[i].format);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_column_of_fixed_memory_reads_like_a_vector),
        cmocka_unit_test(a_bitmap_without_nulls_is_dropped),
        cmocka_unit_test(bools_of_one_byte_are_packed),
        cmocka_unit_test(unset_bits_are_counted_at_any_offset),
        cmocka_unit_test(a_window_is_exported_without_a_copy),
        cmocka_unit_test(rows_without_nulls_export_no_bitmap),
        cmocka_unit_test(each_type_has_its_arrow_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
