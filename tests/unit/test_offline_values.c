/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/offline_fixture.h"

#include <math.h>

#include "unit/crew_make.h"

#include "offline/values.c"

enum { ROWS = 6 };

/* Every row of a vector into a record of its own and back into a column. */
typedef struct round_trip {
    tfn_frame *frame;
    tfn__record_plan plan;
    char *records;
    tfn__writer writer;
    tfn_str name;
    tfn_column *out;
} round_trip;

static void locate_in_order(const void *context, int64_t begin, int64_t n, const char **records)
{
    const round_trip *t = context;
    for (int64_t i = 0; i < n; i++) {
        records[i] = t->records + (size_t)(begin + i) * t->plan.stride;
    }
}

static tfn_code run_trip(const make_col *col, int64_t n, const char *type, round_trip *t,
                         tfn_error *err)
{
    *t = (round_trip){.name = tfn_str_of(col->name)};
    t->frame = frame_of_cols(col, 1, n);
    tfn_type want = {0};
    tfn_vec v = {0};
    void *p = NULL;
    assert_ok(tfn_type_parse(tfn_str_of(type), &want, err), *err);
    assert_ok(tfn_frame_get_vec(t->frame, 0, 0, &v, err), *err);
    want.unit = v.type.unit;
    assert_ok(tfn__record_plan_init(&t->plan, &t->name, &want, 1, err), *err);
    assert_ok(tfn_mem_alloc_array((size_t)n, t->plan.stride, &p, err), *err);
    t->records = p;
    const tfn__way way = tfn__record_way(&t->plan.fields[0], &v);
    for (int64_t i = 0; i < n; i++) {
        assert_ok(tfn__record_put(&t->plan.fields[0], way, &v, i,
                                  t->records + (size_t)i * t->plan.stride, &t->writer, err),
                  *err);
    }
    return tfn__records_take(&t->plan, n, locate_in_order, t, &(tfn_crew){.n_threads = 2}, &t->out,
                             err);
}

static void end_trip(round_trip *t)
{
    tfn_column_release(t->out);
    tfn__record_plan_deinit(&t->plan);
    tfn__writer_deinit(&t->writer);
    tfn_mem_free(t->records);
    tfn_frame_release(t->frame);
}

static void check_trip(const make_col *col, int64_t n, const char *type)
{
    round_trip t;
    tfn_error err = {0};
    tfn_vec v = {0};
    assert_ok(run_trip(col, n, type, &t, &err), err);
    assert_ok(tfn_frame_get_vec(t.frame, 0, 0, &v, &err), err);
    for (int64_t i = 0; i < n; i++) {
        tfn_buf scratch[2] = {{0}};
        tfn_cell got = {0};
        tfn_cell want = {0};
        const tfn_type out_type = tfn_column_get_type(t.out);
        assert_ok(tfn_cell_of_vec(tfn_column_get_vec(t.out), i, out_type, &scratch[0], &got, &err),
                  err);
        assert_ok(tfn_cell_of_vec(&v, i, out_type, &scratch[1], &want, &err), err);
        assert_int_equal(got.is_null, want.is_null);
        assert_true(got.is_null || (got.bits == want.bits && tfn_str_equal(got.bytes, want.bytes)));
        tfn_buf_deinit(&scratch[0]);
        tfn_buf_deinit(&scratch[1]);
    }
    end_trip(&t);
}

static const uint8_t SOME[] = {1, 0, 1, 1, 1, 0};

static void fixed_width_values_come_back_as_they_were(void **state)
{
    (void)state;
    const uint8_t bools[] = {1, 0, 0, 1, 0, 1};
    const int64_t i64[] = {INT64_MIN, 1, INT64_MAX, 0, -1, 5};
    const int32_t i32[] = {INT32_MIN, 1, INT32_MAX, 0, -1, 5};
    const uint16_t u16[] = {0, 1, UINT16_MAX, 3, 4, 5};
    const double f64[] = {-0.0, 1, 1e308, (double)NAN, -(double)INFINITY, 5};
    const float f32[] = {-0.0f, 1, 1e38f, NAN, -INFINITY, 5};
    const make_col cols[] = {
        {.name = "c", .format = "b", .values = bools, .valid = SOME},
        {.name = "c", .format = "l", .values = i64, .valid = SOME},
        {.name = "c", .format = "i", .values = i32, .valid = SOME},
        {.name = "c", .format = "S", .values = u16, .valid = SOME},
        {.name = "c", .format = "g", .values = f64, .valid = SOME},
        {.name = "c", .format = "f", .values = f32, .valid = SOME, .padding = 3},
        {.name = "c", .format = "tdD", .values = i32, .valid = SOME},
        {.name = "c", .format = "tsn:UTC", .values = i64},
        {.name = "c", .format = "i", .values = i32, .valid = SOME},
        {.name = "c", .format = "f", .values = f32, .valid = SOME},
        {.name = "c", .format = "g", .values = f64, .valid = SOME},
        {.name = "c", .format = "n"},
    };
    static const char *const types[] = {"bool",    "int64",   "int32",   "int32",
                                        "float64", "float32", "date",    "timestamp",
                                        "int64",   "float64", "float32", "int64"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        check_trip(&cols[i], ROWS, types[i]);
    }
}

static void texts_and_lists_come_back_as_they_were(void **state)
{
    (void)state;
    const char *texts[] = {"", NULL, "a", "longer than twelve bytes", "b", NULL};
    const int64_t items[] = {1, 2, 3, 4, 5};
    const int32_t lengths[] = {0, 0, 2, 3, 0, 0};
    const make_col cols[] = {
        {.name = "c", .format = "u", .values = texts},
        {.name = "c", .format = "Z", .values = texts},
        {.name = "c",
         .format = "+l",
         .values = items,
         .lengths = lengths,
         .item = "l",
         .valid = SOME},
        {.name = "c", .format = "n"},
    };
    static const char *const types[] = {"string", "bytes", "array<int64>", "array<string>"};
    for (size_t i = 0; i < 4; i++) {
        check_trip(&cols[i], ROWS, types[i]);
    }
}

static void expect_misfit(const make_col *col, const char *type, const char *part)
{
    round_trip t;
    tfn_error err = {0};
    assert_int_equal(run_trip(col, 1, type, &t, &err), TFN_SCHEMA);
    assert_text(err.message, part);
    assert_null(t.out);
    end_trip(&t);
}

static void a_value_that_does_not_fit_is_named(void **state)
{
    (void)state;
    const int64_t wide[] = {-2147483649};
    const uint64_t huge[] = {UINT64_MAX};
    const int32_t length[] = {1};
    const make_col narrow = {.name = "c", .format = "l", .values = wide};
    const make_col unsigned_col = {.name = "c", .format = "L", .values = huge};
    const make_col list = {
        .name = "c", .format = "+l", .values = wide, .lengths = length, .item = "l"};
    expect_misfit(&narrow, "int32", "column 'c': value -2147483649 does not fit int32");
    expect_misfit(&unsigned_col, "int64", "value 18446744073709551615 does not fit int64");
    expect_misfit(&unsigned_col, "int32", "18446744073709551615 does not fit int32");
    expect_misfit(&list, "array<int32>", "-2147483649");
}

static void a_zeroed_record_is_a_row_of_nulls_and_so_is_none(void **state)
{
    (void)state;
    const tfn_str names[] = {{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}};
    const tfn_type types[] = {{.kind = TFN_KIND_BOOL},
                              {.kind = TFN_KIND_STRING},
                              {.kind = TFN_KIND_FLOAT32},
                              {.kind = TFN_KIND_INT64}};
    round_trip t = {0};
    tfn_column *out[4];
    tfn_error err = {0};
    void *p = NULL;
    assert_ok(tfn__record_plan_init(&t.plan, names, types, 4, &err), err);
    assert_int_equal(t.plan.stride, (16 + 8 + 4 + 1 + 4 + 7) / 8 * 8);
    assert_ok(tfn_mem_alloc_array(2000, t.plan.stride, &p, &err), err);
    t.records = p;
    assert_ok(tfn__records_take(&t.plan, 2000, locate_in_order, &t, &(tfn_crew){.n_threads = 3},
                                out, &err),
              err);
    for (size_t f = 0; f < 4; f++) {
        assert_int_equal(tfn_column_get_n_rows(out[f]), 2000);
        for (int64_t i = 0; i < 2000; i += 333) {
            assert_false(tfn_vec_is_valid(tfn_column_get_vec(out[f]), i));
        }
        tfn_column_release(out[f]);
    }
    tfn_mem_free(t.records);
    tfn__record_plan_deinit(&t.plan);
}

/* Enough rows for several parts; the last part and the last byte of the bitmap are not full. */
static void columns_of_many_rows_are_gathered_by_several_threads(void **state)
{
    (void)state;
    enum { MANY = 10011 };
    static int64_t numbers[MANY];
    static uint8_t valid[MANY];
    static const char *texts[MANY];
    static const char *const words[] = {"", "short", "longer than sixteen bytes", NULL, "x"};
    for (int64_t i = 0; i < MANY; i++) {
        numbers[i] = i * 7919 % 1000;
        valid[i] = i % 3 == 0 ? 0 : 1;
        texts[i] = words[i % 5];
    }
    const make_col ints = {.name = "c", .format = "l", .values = numbers, .valid = valid};
    const make_col strings = {.name = "c", .format = "u", .values = texts};
    check_trip(&ints, MANY, "int64");
    check_trip(&ints, MANY, "int32");
    check_trip(&strings, MANY, "string");
    numbers[8000] =
        INT64_MAX; /* the first of two that do not fit, in another part than the second */
    numbers[10000] = INT64_MAX - 1;
    valid[8000] = valid[10000] = 1;
    round_trip t;
    tfn_error err = {0};
    assert_int_equal(run_trip(&ints, MANY, "int32", &t, &err), TFN_SCHEMA);
    assert_text(err.message, "value 9223372036854775807 does not fit int32");
    end_trip(&t);
}

static void room_for_text_is_used_again(void **state)
{
    (void)state;
    const char *texts[] = {"twenty bytes of text", "short", "twenty-one bytes here", NULL, "x"};
    const make_col col = {.name = "c", .format = "u", .values = texts};
    tfn_frame *frame = frame_of_cols(&col, 1, 5);
    tfn_vec v = {0};
    tfn_error err = {0};
    const tfn_str name = {"c", 1};
    const tfn_type type = {.kind = TFN_KIND_STRING};
    tfn__record_plan plan;
    tfn__writer writer = {0};
    assert_ok(tfn_frame_get_vec(frame, 0, 0, &v, &err), err);
    assert_ok(tfn__record_plan_init(&plan, &name, &type, 1, &err), err);
    char record[64] = {0};
    const char *first = NULL;
    for (int64_t i = 0; i < 5; i++) {
        assert_ok(tfn__record_put(&plan.fields[0], TFN__WAY_TEXT, &v, i, record, &writer, &err),
                  err);
        tfn__text text;
        memcpy(&text, record, sizeof text);
        first = i == 0 ? text.p : first;
        assert_ptr_equal(text.p, first); /* 32 bytes hold all of them */
        assert_int_equal(record[plan.fields[0].state_at],
                         texts[i] == NULL ? TFN__STATE_NULL : TFN__STATE_VALUE);
    }
    tfn__writer_deinit(&writer);
    tfn__record_plan_deinit(&plan);
    tfn_frame_release(frame);
}

static void every_tick_of_gathering_may_stop_it(void **state)
{
    (void)state;
    enum { MANY = 12000 };
    const tfn_str names[] = {{"a", 1}, {"b", 1}};
    const tfn_type types[] = {{.kind = TFN_KIND_INT64}, {.kind = TFN_KIND_STRING}};
    round_trip t = {0};
    tfn_error err = {0};
    void *p = NULL;
    assert_ok(tfn__record_plan_init(&t.plan, names, types, 2, &err), err);
    assert_ok(tfn_mem_alloc_array(MANY, t.plan.stride, &p, &err), err);
    t.records = p;
    for (int n_threads = 1; n_threads < 4; n_threads++) {
        tfn_code rc = TFN_CANCELLED;
        int64_t n_stops = 0;
        for (int64_t at = 0; rc != TFN_OK; at++) {
            tfn_crew crew;
            stopping s;
            tfn_column *out[2];
            make_stopping_crew(&crew, n_threads, at, &s);
            rc = tfn__records_take(&t.plan, MANY, locate_in_order, &t, &crew, out, &err);
            assert_true(rc == TFN_OK || rc == TFN_CANCELLED);
            assert_true(rc == TFN_OK ? s.n_ticks <= at : s.n_ticks == at + 1);
            for (int i = 0; i < 2; i++) {
                assert_true((rc == TFN_OK) == (out[i] != NULL));
                tfn_column_release(out[i]);
            }
            n_stops += rc == TFN_CANCELLED ? 1 : 0;
        }
        assert_true(n_stops >= 2);
        assert_string_equal(err.message, "a step was stopped");
    }
    tfn_mem_free(t.records);
    tfn__record_plan_deinit(&t.plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_width_values_come_back_as_they_were),
        cmocka_unit_test(texts_and_lists_come_back_as_they_were),
        cmocka_unit_test(a_value_that_does_not_fit_is_named),
        cmocka_unit_test(a_zeroed_record_is_a_row_of_nulls_and_so_is_none),
        cmocka_unit_test(columns_of_many_rows_are_gathered_by_several_threads),
        cmocka_unit_test(room_for_text_is_used_again),
        cmocka_unit_test(every_tick_of_gathering_may_stop_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
