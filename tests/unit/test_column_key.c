/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/column_make.h"

#include "column/key.c"

static const tfn_type bool_type = {.kind = TFN_KIND_BOOL};
static const tfn_type int32_type = {.kind = TFN_KIND_INT32};
static const tfn_type int64_type = {.kind = TFN_KIND_INT64};
static const tfn_type string_type = {.kind = TFN_KIND_STRING};
static const tfn_type bytes_type = {.kind = TFN_KIND_BYTES};
static const tfn_type date_type = {.kind = TFN_KIND_DATE};
static const tfn_type nanos_type = {.kind = TFN_KIND_TIMESTAMP, .unit = TFN_UNIT_NS};

static tfn_key_plan plan_of(const tfn_type *parts, size_t n_parts)
{
    tfn_key_plan plan;
    tfn_error err = {0};
    assert_ok(tfn_key_plan_init(&plan, parts, n_parts, &err), err);
    return plan;
}

static tfn_cell of_bits(int64_t value)
{
    return (tfn_cell){.bits = (uint64_t)value};
}

static tfn_cell of_text(const char *p, size_t n)
{
    return (tfn_cell){.bytes = {p, n}};
}

static void hex_of(tfn_str bytes, char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < bytes.n; i++) {
        text[2 * i] = digits[(unsigned char)bytes.p[i] >> 4];
        text[2 * i + 1] = digits[(unsigned char)bytes.p[i] & 15];
    }
    text[2 * bytes.n] = '\0';
}

/* docs/formats/entity-key.md, "Examples" */
static void the_examples_of_the_format_page_hold(void **state)
{
    (void)state;
    const struct {
        size_t n_parts;
        tfn_type parts[2];
        tfn_cell cells[2];
        const char *hex;
    } cases[] = {
        {0, {{0}}, {{0}}, ""},
        {1, {bool_type}, {of_bits(0)}, "0100"},
        {1, {bool_type}, {of_bits(1)}, "0101"},
        {1, {int32_type}, {of_bits(0)}, "0280000000"},
        {1, {int32_type}, {of_bits(-1)}, "027FFFFFFF"},
        {1, {int64_type}, {of_bits(1)}, "038000000000000001"},
        {1, {int64_type}, {of_bits(INT64_MIN)}, "030000000000000000"},
        {1, {string_type}, {of_text("", 0)}, "060001"},
        {1, {string_type}, {of_text("N104UW", 6)}, "064E31303455570001"},
        {1, {bytes_type}, {of_text("a\0b", 3)}, "076100FF620001"},
        {1, {date_type}, {of_bits(1)}, "0880000001"},
        {1, {nanos_type}, {of_bits(500000000)}, "0980000000000000001DCD6500"},
        {1, {nanos_type}, {of_bits(-1)}, "097FFFFFFFFFFFFFFF3B9AC9FF"},
        {2, {string_type, int32_type}, {of_text("a", 1), of_bits(7)}, "066100010280000007"},
    };
    tfn_buf buf = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const tfn_key_plan plan = plan_of(cases[i].parts, cases[i].n_parts);
        tfn_error err = {0};
        char hex[100];
        tfn_buf_clear(&buf);
        assert_ok(tfn_key_encode_cells(&plan, cases[i].cells, &buf, &err), err);
        hex_of(tfn_buf_get_str(&buf), hex);
        assert_string_equal(hex, cases[i].hex);
        if (plan.is_fixed) {
            assert_int_equal(plan.fixed_bytes, buf.n);
        }
        tfn_arena arena = {0};
        tfn_cell back[2];
        assert_ok(tfn_key_decode(&plan, tfn_buf_get_str(&buf), &arena, back, &err), err);
        for (size_t k = 0; k < plan.n_parts; k++) {
            assert_false(back[k].is_null);
            assert_true(back[k].bits == cases[i].cells[k].bits);
            assert_true(tfn_str_equal(back[k].bytes, cases[i].cells[k].bytes));
        }
        tfn_arena_deinit(&arena);
    }
    tfn_buf_deinit(&buf);
}

static void a_key_is_appended_and_a_refused_one_leaves_the_buffer(void **state)
{
    (void)state;
    const tfn_key_plan plan = plan_of(&string_type, 1);
    tfn_buf buf = {0};
    tfn_error err = {0};
    assert_ok(tfn_buf_add_text(&buf, "gen", &err), err);
    tfn_cell cell = of_text("k", 1);
    assert_ok(tfn_key_encode_cells(&plan, &cell, &buf, &err), err);
    assert_int_equal(buf.n, 3 + 4);
    void *zeros = NULL;
    assert_ok(tfn_mem_alloc_array(TFN_MAX_KEY_BYTES + 1, 1, &zeros, &err), err);
    cell = of_text(zeros, TFN_MAX_KEY_BYTES / 2); /* each zero takes two bytes */
    assert_int_equal(tfn_key_encode_cells(&plan, &cell, &buf, &err), TFN_LIMIT);
    assert_int_equal(buf.n, 3 + 4);
    cell = of_text(zeros, TFN_MAX_KEY_BYTES + 1);
    assert_int_equal(tfn_key_encode_cells(&plan, &cell, &buf, &err), TFN_LIMIT);
    assert_text(err.message, "65537 bytes; at most 65536");
    assert_int_equal(buf.n, 3 + 4);
    cell = of_text(zeros, TFN_MAX_KEY_BYTES / 2 - 2);
    assert_ok(tfn_key_encode_cells(&plan, &cell, &buf, &err), err);
    tfn_mem_free(zeros);
    tfn_buf_deinit(&buf);
}

static void plans_know_their_fixed_size(void **state)
{
    (void)state;
    const tfn_type parts[] = {bool_type, int32_type, int64_type, date_type, nanos_type};
    tfn_key_plan plan = plan_of(parts, 5);
    assert_true(plan.is_fixed);
    assert_int_equal(plan.fixed_bytes, 2 + 5 + 9 + 5 + 13);
    const tfn_type mixed[] = {int64_type, string_type};
    plan = plan_of(mixed, 2);
    assert_false(plan.is_fixed);
    assert_int_equal(plan.fixed_bytes, 0);
    plan = plan_of(NULL, 0);
    assert_true(plan.is_fixed);
    assert_int_equal(plan.fixed_bytes, 0);
}

static void types_that_are_no_keys_and_too_many_parts_are_refused(void **state)
{
    (void)state;
    tfn_key_plan plan;
    tfn_error err = {0};
    const tfn_type type = {.kind = TFN_KIND_FLOAT64};
    assert_int_equal(tfn_key_plan_init(&plan, &type, 1, &err), TFN_SCHEMA);
    assert_text(err.message, "float64");
    tfn_type parts[TFN_MAX_KEY_PARTS + 1];
    for (size_t i = 0; i <= TFN_MAX_KEY_PARTS; i++) {
        parts[i] = int64_type;
    }
    assert_int_equal(tfn_key_plan_init(&plan, parts, TFN_MAX_KEY_PARTS, &err), TFN_OK);
    assert_int_equal(tfn_key_plan_init(&plan, parts, TFN_MAX_KEY_PARTS + 1, &err), TFN_LIMIT);
}

/* Encode `small` and `large` and check their order. */
static void assert_before(const tfn_key_plan *plan, const tfn_cell *small, const tfn_cell *large)
{
    tfn_buf a = {0};
    tfn_buf b = {0};
    tfn_error err = {0};
    assert_ok(tfn_key_encode_cells(plan, small, &a, &err), err);
    assert_ok(tfn_key_encode_cells(plan, large, &b, &err), err);
    assert_true(tfn_str_compare(tfn_buf_get_str(&a), tfn_buf_get_str(&b)) < 0);
    assert_true(tfn_str_compare(tfn_buf_get_str(&b), tfn_buf_get_str(&a)) > 0);
    tfn_buf_deinit(&a);
    tfn_buf_deinit(&b);
}

static void byte_order_is_the_order_of_integers_and_times(void **state)
{
    (void)state;
    static const int64_t values[] = {INT64_MIN,   INT64_MIN + 1,
                                     -4294967296, -1000000001,
                                     -1000000000, -999999999,
                                     -256,        -2,
                                     -1,          0,
                                     1,           255,
                                     256,         999999999,
                                     1000000000,  1000000001,
                                     4294967296,  INT64_MAX - 1,
                                     INT64_MAX};
    const tfn_key_plan int64_plan = plan_of(&int64_type, 1);
    const tfn_key_plan nanos_plan = plan_of(&nanos_type, 1);
    const tfn_key_plan int32_plan = plan_of(&int32_type, 1);
    for (size_t i = 0; i + 1 < sizeof values / sizeof values[0]; i++) {
        const tfn_cell small = of_bits(values[i]);
        const tfn_cell large = of_bits(values[i + 1]);
        assert_before(&int64_plan, &small, &large);
        assert_before(&nanos_plan, &small, &large);
        if (values[i] >= INT32_MIN && values[i + 1] <= INT32_MAX) {
            assert_before(&int32_plan, &small, &large);
        }
    }
}

static void byte_order_is_the_order_of_texts_and_composites(void **state)
{
    (void)state;
    const struct {
        const char *p;
        size_t n;
    } texts[] = {{"", 0},       {"\0", 1},      {"\0\0", 2}, {"\0\1", 2},     {"\0\xff", 2},
                 {"\1", 1},     {"\1\0", 2},    {"a", 1},    {"a\0", 2},      {"a\0b", 3},
                 {"a\1", 2},    {"ab", 2},      {"b", 1},    {"\xc3\xa9", 2}, {"\xff", 1},
                 {"\xff\0", 2}, {"\xff\xff", 2}};
    const tfn_type parts[] = {string_type, int32_type};
    const tfn_key_plan plan = plan_of(&string_type, 1);
    const tfn_key_plan composite = plan_of(parts, 2);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        for (size_t k = i + 1; k < sizeof texts / sizeof texts[0]; k++) {
            const tfn_cell small[] = {of_text(texts[i].p, texts[i].n), of_bits(INT32_MAX)};
            const tfn_cell large[] = {of_text(texts[k].p, texts[k].n), of_bits(INT32_MIN)};
            assert_before(&plan, small, large);
            assert_before(&composite, small, large);
        }
        const tfn_cell small[] = {of_text(texts[i].p, texts[i].n), of_bits(-1)};
        const tfn_cell large[] = {of_text(texts[i].p, texts[i].n), of_bits(0)};
        assert_before(&composite, small, large);
    }
}

static void a_timestamp_has_one_form_for_all_units(void **state)
{
    (void)state;
    static const int64_t values[] = {-3, -3000, -3000000, -3000000000};
    tfn_buf first = {0};
    for (int unit = TFN_UNIT_S; unit <= TFN_UNIT_NS; unit++) {
        const tfn_type type = {.kind = TFN_KIND_TIMESTAMP, .unit = (uint8_t)unit};
        const tfn_key_plan plan = plan_of(&type, 1);
        const tfn_cell cell = of_bits(values[unit]);
        tfn_buf buf = {0};
        tfn_error err = {0};
        assert_ok(tfn_key_encode_cells(&plan, &cell, unit == 0 ? &first : &buf, &err), err);
        if (unit > 0) {
            assert_true(tfn_str_equal(tfn_buf_get_str(&first), tfn_buf_get_str(&buf)));
        }
        tfn_cell back;
        assert_ok(tfn_key_decode(&plan, tfn_buf_get_str(&first), NULL, &back, &err), err);
        assert_int_equal((int64_t)back.bits, values[unit]);
        tfn_buf_deinit(&buf);
    }
    tfn_buf_deinit(&first);
}

static void assert_corrupt(const tfn_type *parts, size_t n_parts, const char *bytes, size_t n,
                           const char *text)
{
    const tfn_key_plan plan = plan_of(parts, n_parts);
    tfn_arena arena = {0};
    tfn_cell cells[2];
    tfn_error err = {0};
    assert_int_equal(tfn_key_decode(&plan, (tfn_str){bytes, n}, &arena, cells, &err), TFN_CORRUPT);
    assert_text(err.message, text);
    tfn_arena_deinit(&arena);
}

static void spoiled_keys_are_corrupt(void **state)
{
    (void)state;
    const tfn_type two[] = {int32_type, string_type};
    assert_corrupt(&int32_type, 1, "", 0, "part 1: missing");
    assert_corrupt(&int32_type, 1, "\x03\x80\0\0\0", 5, "another type");
    assert_corrupt(&int32_type, 1, "\x02\x80\0\0", 4, "cut short");
    assert_corrupt(&int32_type, 1, "\x02\x80\0\0\0\0", 6, "left over");
    assert_corrupt(NULL, 0, "x", 1, "left over");
    assert_corrupt(&bool_type, 1, "\1\2", 2, "neither 0 nor 1");
    assert_corrupt(&nanos_type, 1, "\x09\x80\0\0\0\0\0\0\0\x3b\x9a\xca\0", 13, "nanoseconds");
    assert_corrupt(&string_type, 1, "\6ab", 3, "no proper end");
    assert_corrupt(&string_type, 1, "\6ab\0", 4, "no proper end");
    assert_corrupt(&string_type, 1, "\6a\0\2b\0\1", 7, "no proper end");
    assert_corrupt(&string_type, 1, "\6", 1, "no proper end");
    assert_corrupt(two, 2, "\x02\x80\0\0\0", 5, "part 2: missing");
}

static void the_hash_of_equal_keys_is_equal_and_spreads(void **state)
{
    (void)state;
    const tfn_type kinds[] = {bool_type, int32_type, int64_type, date_type, nanos_type};
    for (size_t i = 0; i < 5; i++) {
        const tfn_key_plan plan = plan_of(&kinds[i], 1);
        uint64_t hashes[2];
        for (int64_t value = 0; value <= 1; value++) {
            const tfn_cell cell = of_bits(value);
            tfn_buf buf = {0};
            tfn_error err = {0};
            assert_ok(tfn_key_encode_cells(&plan, &cell, &buf, &err), err);
            hashes[value] = tfn_key_hash(&plan, tfn_buf_get_str(&buf));
            assert_true(hashes[value] == tfn_key_hash(&plan, tfn_buf_get_str(&buf)));
            tfn_buf_deinit(&buf);
        }
        assert_true(hashes[0] != hashes[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_format_page_hold),
        cmocka_unit_test(a_key_is_appended_and_a_refused_one_leaves_the_buffer),
        cmocka_unit_test(plans_know_their_fixed_size),
        cmocka_unit_test(types_that_are_no_keys_and_too_many_parts_are_refused),
        cmocka_unit_test(byte_order_is_the_order_of_integers_and_times),
        cmocka_unit_test(byte_order_is_the_order_of_texts_and_composites),
        cmocka_unit_test(a_timestamp_has_one_form_for_all_units),
        cmocka_unit_test(spoiled_keys_are_corrupt),
        cmocka_unit_test(the_hash_of_equal_keys_is_equal_and_spreads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
