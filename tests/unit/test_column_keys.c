/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/column_make.h"

#include "column/keys.c"

static const tfn_type bool_type = {.kind = TFN_KIND_BOOL};
static const tfn_type int32_type = {.kind = TFN_KIND_INT32};
static const tfn_type int64_type = {.kind = TFN_KIND_INT64};
static const tfn_type string_type = {.kind = TFN_KIND_STRING};
static const tfn_type date_type = {.kind = TFN_KIND_DATE};
static const tfn_type micros_type = {.kind = TFN_KIND_TIMESTAMP, .unit = TFN_UNIT_US};

static tfn_key_plan plan_of(const tfn_type *parts, size_t n_parts)
{
    tfn_key_plan plan;
    tfn_error err = {0};
    assert_ok(tfn_key_plan_init(&plan, parts, n_parts, &err), err);
    return plan;
}

/* Every row with a key has the bytes and hash that a single key gets. */
static void assert_as_cells(const tfn_key_plan *plan, const tfn_vec *cols, const tfn_keys *keys)
{
    tfn_buf buf = {0};
    tfn_error err = {0};
    for (int64_t i = 0; i < keys->n; i++) {
        tfn_cell cells[TFN_MAX_KEY_PARTS];
        bool has_null = false;
        for (size_t k = 0; k < plan->n_parts; k++) {
            assert_ok(tfn_cell_of_vec(&cols[k], i, plan->parts[k], NULL, &cells[k], &err), err);
            has_null = has_null || cells[k].is_null;
        }
        assert_int_equal(keys->ok[i], !has_null);
        if (!has_null) {
            tfn_buf_clear(&buf);
            assert_ok(tfn_key_encode_cells(plan, cells, &buf, &err), err);
            const tfn_str key = tfn_keys_get(keys, i);
            assert_int_equal(key.n, buf.n);
            assert_memory_equal(key.p, buf.p, buf.n);
            assert_true(keys->hashes[i] == tfn_key_hash(plan, key));
        }
    }
    tfn_buf_deinit(&buf);
}

enum { N_MANY = 2500 }; /* more than two blocks */

static void columns_of_every_key_type_are_encoded_as_single_keys(void **state)
{
    (void)state;
    static int64_t numbers[N_MANY];
    static int32_t days[N_MANY];
    static uint8_t bits[N_MANY];
    static uint8_t ok[N_MANY];
    static const char *words[N_MANY];
    static const char *const choice[] = {"", "a", "N104UW", "a rather long tail number", NULL};
    for (int64_t i = 0; i < N_MANY; i++) {
        numbers[i] = (i - 1000) * (INT64_C(1) << (i % 40));
        days[i] = (int32_t)(i - 1200);
        bits[i] = i % 3 == 0;
        ok[i] = i % 7 != 0;
        words[i] = choice[i % 5];
    }
    const make_col cols[] = {
        {.format = "l", .values = numbers, .valid = ok, .padding = 5},
        {.format = "tdD", .values = days},
        {.format = "b", .values = bits, .padding = 3},
        {.format = "u", .values = words},
        {.format = "tsn:", .values = numbers},
        {.format = "i", .values = days, .valid = ok},
    };
    const tfn_type types[] = {int64_type,  date_type,   bool_type,
                              string_type, micros_type, int32_type};
    made_vec made[6];
    tfn_vec vecs[6];
    for (size_t i = 0; i < 6; i++) {
        vecs[i] = *make_vec(&cols[i], N_MANY, &made[i]);
    }
    tfn_keys keys = {0};
    tfn_error err = {0};
    tfn_type ns_type = micros_type;
    ns_type.unit = TFN_UNIT_NS; /* so that cells lose nothing against the column */
    for (size_t begin = 0; begin < 6; begin++) {
        for (size_t n_parts = 1; begin + n_parts <= 6; n_parts++) {
            tfn_type parts[6];
            for (size_t k = 0; k < n_parts; k++) {
                parts[k] = begin + k == 4 ? ns_type : types[begin + k];
            }
            const tfn_key_plan plan = plan_of(parts, n_parts);
            assert_ok(tfn_keys_encode(&keys, &plan, vecs + begin, N_MANY, &err), err);
            assert_int_equal(keys.n, N_MANY);
            assert_as_cells(&plan, vecs + begin, &keys);
        }
    }
    tfn_keys_deinit(&keys);
    for (size_t i = 0; i < 6; i++) {
        end_vec(&made[i]);
    }
}

static void the_width_of_the_data_does_not_matter(void **state)
{
    (void)state;
    const int8_t i8[] = {-1, 5};
    const int16_t i16[] = {-1, 5};
    const int32_t i32[] = {-1, 5};
    const int64_t i64[] = {-1, 5};
    const float f32[] = {-1, 5};
    const double f64[] = {-1, 5};
    const make_col cols[] = {{.format = "c", .values = i8},  {.format = "s", .values = i16},
                             {.format = "i", .values = i32}, {.format = "l", .values = i64},
                             {.format = "f", .values = f32}, {.format = "g", .values = f64}};
    const uint8_t u8[] = {1, 5};
    const uint16_t u16[] = {1, 5};
    const uint32_t u32[] = {1, 5};
    const uint64_t u64[] = {1, 5};
    const make_col unsigned_cols[] = {{.format = "C", .values = u8},
                                      {.format = "S", .values = u16},
                                      {.format = "I", .values = u32},
                                      {.format = "L", .values = u64}};
    const tfn_type parts[] = {int32_type, int64_type};
    for (size_t p = 0; p < 2; p++) {
        const tfn_key_plan plan = plan_of(&parts[p], 1);
        const char *minus_one =
            p == 0 ? "\2\x7f\xff\xff\xff" : "\3\x7f\xff\xff\xff\xff\xff\xff\xff";
        const char *one = p == 0 ? "\2\x80\0\0\1" : "\3\x80\0\0\0\0\0\0\1";
        for (size_t i = 0; i < 10; i++) {
            made_vec made;
            tfn_keys keys = {0};
            tfn_error err = {0};
            const tfn_vec *v = make_vec(i < 6 ? &cols[i] : &unsigned_cols[i - 6], 2, &made);
            assert_ok(tfn_keys_encode(&keys, &plan, v, 2, &err), err);
            assert_true(keys.ok[0] && keys.ok[1]);
            assert_memory_equal(tfn_keys_get(&keys, 0).p, i < 6 ? minus_one : one,
                                plan.fixed_bytes);
            assert_true(keys.hashes[1] == tfn_key_hash(&plan, tfn_keys_get(&keys, 1)));
            tfn_keys_deinit(&keys);
            end_vec(&made);
        }
    }
}

/* Which of n rows have a key. */
static void assert_ok_rows(tfn_type part, const make_col *col, int64_t n, const uint8_t *wanted)
{
    const tfn_key_plan plan = plan_of(&part, 1);
    made_vec made;
    tfn_keys keys = {0};
    tfn_error err = {0};
    const tfn_vec *v = make_vec(col, n, &made);
    assert_ok(tfn_keys_encode(&keys, &plan, v, n, &err), err);
    assert_memory_equal(keys.ok, wanted, (size_t)n);
    tfn_keys_deinit(&keys);
    end_vec(&made);
}

static void values_that_the_declared_type_cannot_hold_match_nothing(void **state)
{
    (void)state;
    const int64_t wide[] = {INT32_MIN, (int64_t)INT32_MIN - 1, INT32_MAX, (int64_t)INT32_MAX + 1};
    const make_col wide_col = {.format = "l", .values = wide};
    assert_ok_rows(int32_type, &wide_col, 4, (const uint8_t[]){1, 0, 1, 0});
    const uint64_t large[] = {INT64_MAX, UINT64_C(1) << 63, UINT64_MAX, 5};
    const make_col large_col = {.format = "L", .values = large};
    assert_ok_rows(int64_type, &large_col, 4, (const uint8_t[]){1, 0, 0, 1});
    assert_ok_rows(int32_type, &large_col, 4, (const uint8_t[]){0, 0, 0, 1});
    const double floats[] = {1e300, -9223372036854775808.0, 9223372036854775808.0, -0.0};
    const make_col float_col = {.format = "g", .values = floats};
    assert_ok_rows(int64_type, &float_col, 4, (const uint8_t[]){0, 1, 0, 1});
    assert_ok_rows(int32_type, &float_col, 4, (const uint8_t[]){0, 0, 0, 1});
}

static void nan_is_a_null_and_a_fraction_is_an_error(void **state)
{
    (void)state;
    const double zero = 0.0;
    const double floats[] = {3.0, zero / zero, 1.0 / zero, 2.5};
    const uint8_t ok[] = {1, 1, 1, 0};
    const make_col col = {.format = "g", .values = floats, .valid = ok};
    assert_ok_rows(int64_type, &col, 4, (const uint8_t[]){1, 0, 0, 0});
    const make_col fraction = {.format = "g", .values = floats};
    const tfn_type parts[] = {string_type, int64_type};
    const char *words[] = {"a", "b", "c", "d"};
    const make_col text = {.format = "u", .values = words};
    made_vec made[2];
    tfn_vec vecs[2] = {*make_vec(&text, 4, &made[0]), *make_vec(&fraction, 4, &made[1])};
    tfn_keys keys = {0};
    tfn_error err = {0};
    tfn_key_plan plan = plan_of(&int64_type, 1);
    assert_int_equal(tfn_keys_encode(&keys, &plan, &vecs[1], 4, &err), TFN_SCHEMA);
    assert_string_equal(err.message, "key column 1 of 1: value 2.5 is not a whole number, as int64 "
                                     "keys must be");
    plan = plan_of(parts, 2);
    assert_int_equal(tfn_keys_encode(&keys, &plan, vecs, 4, &err), TFN_SCHEMA);
    assert_text(err.message, "key column 2 of 2: value 2.5");
    tfn_keys_deinit(&keys);
    end_vec(&made[0]);
    end_vec(&made[1]);
}

static void a_column_of_another_kind_is_refused(void **state)
{
    (void)state;
    const int64_t numbers[] = {1};
    const char *words[] = {"1"};
    const make_col number_col = {.format = "l", .values = numbers};
    const make_col text_col = {.format = "u", .values = words};
    const tfn_key_plan text_plan = plan_of(&string_type, 1);
    const tfn_key_plan number_plan = plan_of(&int64_type, 1);
    made_vec made;
    tfn_keys keys = {0};
    tfn_error err = {0};
    assert_int_equal(tfn_keys_encode(&keys, &text_plan, make_vec(&number_col, 1, &made), 1, &err),
                     TFN_SCHEMA);
    assert_string_equal(err.message, "key column 1 of 1: declared as string, found int64");
    end_vec(&made);
    assert_int_equal(tfn_keys_encode(&keys, &number_plan, make_vec(&text_col, 1, &made), 1, &err),
                     TFN_SCHEMA);
    end_vec(&made);
    tfn_keys_deinit(&keys);
}

static void columns_of_nulls_have_no_keys(void **state)
{
    (void)state;
    const make_col none = {.format = "n"};
    const uint8_t wanted[] = {0, 0};
    assert_ok_rows(int64_type, &none, 2, wanted);
    assert_ok_rows(string_type, &none, 2, wanted);
    assert_ok_rows(micros_type, &none, 2, wanted);
}

static void a_null_in_any_part_means_no_key(void **state)
{
    (void)state;
    const int64_t numbers[] = {1, 2, 3};
    const char *words[] = {"a", NULL, "c"};
    const make_col number_col = {
        .format = "l", .values = numbers, .valid = (const uint8_t[]){1, 1, 0}};
    const make_col text_col = {.format = "u", .values = words};
    made_vec made[2];
    tfn_vec vecs[2] = {*make_vec(&number_col, 3, &made[0]), *make_vec(&text_col, 3, &made[1])};
    const tfn_type parts[] = {int64_type, string_type};
    const tfn_key_plan plan = plan_of(parts, 2);
    tfn_keys keys = {0};
    tfn_error err = {0};
    assert_ok(tfn_keys_encode(&keys, &plan, vecs, 3, &err), err);
    assert_memory_equal(keys.ok, ((const uint8_t[]){1, 0, 0}), 3);
    assert_int_equal(tfn_keys_get(&keys, 0).n, 9 + 4);
    assert_int_equal(tfn_keys_get(&keys, 1).n, 0);
    tfn_keys_deinit(&keys);
    end_vec(&made[0]);
    end_vec(&made[1]);
}

static void the_empty_key_matches_every_row(void **state)
{
    (void)state;
    const tfn_key_plan plan = plan_of(NULL, 0);
    tfn_keys keys = {0};
    tfn_error err = {0};
    assert_ok(tfn_keys_encode(&keys, &plan, NULL, 3, &err), err);
    for (int64_t i = 0; i < 3; i++) {
        assert_true(keys.ok[i]);
        assert_int_equal(tfn_keys_get(&keys, i).n, 0);
        assert_non_null(tfn_keys_get(&keys, i).p);
        assert_true(keys.hashes[i] == tfn_key_hash(&plan, tfn_keys_get(&keys, i)));
    }
    assert_ok(tfn_keys_encode(&keys, &plan, NULL, 0, &err), err);
    assert_int_equal(keys.n, 0);
    tfn_keys_deinit(&keys);
}

static void dates_match_timestamps_and_infinite_times_nothing(void **state)
{
    (void)state;
    const int32_t days[] = {-1, 3, INT32_MAX};
    const int64_t micros[] = {-86400000000, 259200000000, INT64_MAX};
    const make_col day_col = {.format = "tdD", .values = days};
    const make_col time_col = {.format = "tsu:", .values = micros};
    const tfn_key_plan plan = plan_of(&micros_type, 1);
    made_vec made[2];
    tfn_keys keys[2] = {{0}, {0}};
    tfn_error err = {0};
    (void)make_vec(&day_col, 3, &made[0]);
    (void)make_vec(&time_col, 3, &made[1]);
    for (int i = 0; i < 2; i++) {
        made[i].vec.has_infinity = true;
        assert_ok(tfn_keys_encode(&keys[i], &plan, &made[i].vec, 3, &err), err);
        assert_memory_equal(keys[i].ok, ((const uint8_t[]){1, 1, 0}), 3);
    }
    for (int64_t i = 0; i < 2; i++) {
        assert_memory_equal(tfn_keys_get(&keys[0], i).p, tfn_keys_get(&keys[1], i).p, 13);
        assert_true(keys[0].hashes[i] == keys[1].hashes[i]);
    }
    for (int i = 0; i < 2; i++) {
        tfn_keys_deinit(&keys[i]);
        end_vec(&made[i]);
    }
}

static void keys_are_reused_between_plans_and_sizes(void **state)
{
    (void)state;
    const int64_t numbers[] = {1, 2, 3, 4};
    const char *words[] = {"one", "two", "three", "four"};
    const make_col number_col = {.format = "l", .values = numbers};
    const make_col text_col = {.format = "u", .values = words};
    const tfn_key_plan number_plan = plan_of(&int64_type, 1);
    const tfn_key_plan text_plan = plan_of(&string_type, 1);
    made_vec made[2];
    const tfn_vec *number = make_vec(&number_col, 4, &made[0]);
    const tfn_vec *text = make_vec(&text_col, 4, &made[1]);
    tfn_keys keys = {0};
    tfn_error err = {0};
    for (int64_t n = 1; n <= 4; n++) {
        assert_ok(tfn_keys_encode(&keys, &number_plan, number, n, &err), err);
        assert_as_cells(&number_plan, number, &keys);
        assert_ok(tfn_keys_encode(&keys, &text_plan, text, n, &err), err);
        assert_as_cells(&text_plan, text, &keys);
    }
    tfn_keys_deinit(&keys);
    end_vec(&made[0]);
    end_vec(&made[1]);
}

static void too_long_keys_are_refused(void **state)
{
    (void)state;
    static char zeros[TFN_MAX_KEY_BYTES + 1];
    make_bytes texts[] = {{zeros, TFN_MAX_KEY_BYTES / 2}, {zeros, TFN_MAX_KEY_BYTES / 2}};
    const make_col col = {.format = "z", .values = texts, .is_bytes = true};
    const tfn_type bytes_type = {.kind = TFN_KIND_BYTES};
    const tfn_type parts[] = {bytes_type, bytes_type};
    const tfn_key_plan one = plan_of(parts, 1);
    const tfn_key_plan two = plan_of(parts, 2);
    made_vec made;
    tfn_keys keys = {0};
    tfn_error err = {0};
    const tfn_vec *v = make_vec(&col, 1, &made);
    assert_int_equal(tfn_keys_encode(&keys, &one, v, 1, &err), TFN_LIMIT);
    assert_text(err.message, "65539 bytes");
    end_vec(&made);
    texts[0].n = TFN_MAX_KEY_BYTES / 4; /* fits once, not twice */
    v = make_vec(&col, 1, &made);
    const tfn_vec twice[] = {*v, *v};
    assert_ok(tfn_keys_encode(&keys, &one, v, 1, &err), err);
    assert_int_equal(tfn_keys_encode(&keys, &two, twice, 1, &err), TFN_LIMIT);
    end_vec(&made);
    texts[0].n = TFN_MAX_KEY_BYTES + 1;
    v = make_vec(&col, 1, &made);
    assert_int_equal(tfn_keys_encode(&keys, &one, v, 1, &err), TFN_LIMIT);
    end_vec(&made);
    tfn_keys_deinit(&keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_of_every_key_type_are_encoded_as_single_keys),
        cmocka_unit_test(the_width_of_the_data_does_not_matter),
        cmocka_unit_test(values_that_the_declared_type_cannot_hold_match_nothing),
        cmocka_unit_test(nan_is_a_null_and_a_fraction_is_an_error),
        cmocka_unit_test(a_column_of_another_kind_is_refused),
        cmocka_unit_test(columns_of_nulls_have_no_keys),
        cmocka_unit_test(a_null_in_any_part_means_no_key),
        cmocka_unit_test(the_empty_key_matches_every_row),
        cmocka_unit_test(dates_match_timestamps_and_infinite_times_nothing),
        cmocka_unit_test(keys_are_reused_between_plans_and_sizes),
        cmocka_unit_test(too_long_keys_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
