/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/online_fixture.h"

#include "base/mem.h"

#include "online/row.c"

static const tfn_row_field every_type[] = {
    {{"bool", 4}, {.kind = TFN_KIND_BOOL}},
    {{"int32", 5}, {.kind = TFN_KIND_INT32}},
    {{"int64", 5}, {.kind = TFN_KIND_INT64}},
    {{"float32", 7}, {.kind = TFN_KIND_FLOAT32}},
    {{"float64", 7}, {.kind = TFN_KIND_FLOAT64}},
    {{"string", 6}, {.kind = TFN_KIND_STRING}},
    {{"bytes", 5}, {.kind = TFN_KIND_BYTES}},
    {{"date", 4}, {.kind = TFN_KIND_DATE}},
    {{"timestamp", 9}, {.kind = TFN_KIND_TIMESTAMP, .unit = TFN_UNIT_NS}},
    {{"list", 4}, {.kind = TFN_KIND_INT32, .is_list = true}},
};
enum { N_TYPES = sizeof every_type / sizeof every_type[0] };

static const char packed_list[] = "\x01\x00\x00\x00\x01\xf9\xff\xff\xff"; /* [-7] */

static const tfn_cell every_cell[N_TYPES] = {
    {.bits = 1},
    {.bits = (uint64_t)INT64_C(-2147483648)},
    {.bits = (uint64_t)INT64_MIN},
    {.bits = 0xFFC00001u},                  /* a NaN with a sign and a payload */
    {.bits = UINT64_C(0x8000000000000000)}, /* -0.0 */
    {.bytes = {"na\xc3\xafve", 6}},
    {.bytes = {"\0\xff\0", 3}},
    {.bits = (uint64_t)INT64_C(-719528)},
    {.bits = (uint64_t)INT64_MAX},
    {.bytes = {packed_list, sizeof packed_list - 1}},
};

static tfn_row_schema *make_schema(void)
{
    tfn_error err = {0};
    tfn_row_schema *schema = NULL;
    ASSERT_OK(tfn_row_schema_create(every_type, N_TYPES, &schema, &err), err);
    schema->id = 7;
    return schema;
}

static tfn_str encode(const tfn_row_schema *schema, const tfn_cell *cells, tfn_buf *buf)
{
    tfn_error err = {0};
    ASSERT_OK(tfn_row_encode(schema, cells, at(1000), at(2000), (tfn_str){0}, buf, &err), err);
    return tfn_buf_get_str(buf);
}

static void every_type_comes_back(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn_row_schema *schema = make_schema();
    tfn_buf buf = {0};
    tfn_row row;
    ASSERT_OK(tfn_row_open(schema, encode(schema, every_cell, &buf), &row, &err), err);
    for (uint32_t i = 0; i < N_TYPES; i++) {
        tfn_cell cell;
        tfn_row_get(&row, i, &cell);
        assert_false(cell.is_null);
        assert_true(cell.bits == every_cell[i].bits);
        assert_true(tfn_str_equal(cell.bytes, every_cell[i].bytes));
    }
    assert_int_equal(row.event.seconds, 1000);
    assert_int_equal(row.created.seconds, 2000);
    assert_int_equal(row.full_key.n, 0);
    tfn_buf_deinit(&buf);
    tfn_row_schema_destroy(schema);
}

static void nulls_come_back_and_take_no_bytes(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn_row_schema *schema = make_schema();
    tfn_buf buf = {0};
    for (uint32_t i_value = 0; i_value < N_TYPES; i_value++) { /* all null but one */
        tfn_cell cells[N_TYPES];
        for (uint32_t i = 0; i < N_TYPES; i++) {
            cells[i] = every_cell[i]; /* leftovers behind is_null must not matter */
            cells[i].is_null = i != i_value;
        }
        tfn_row row;
        ASSERT_OK(tfn_row_open(schema, encode(schema, cells, &buf), &row, &err), err);
        assert_int_equal(row.n_bytes, schema->fixed_bytes + cells[i_value].bytes.n);
        for (uint32_t i = 0; i < N_TYPES; i++) {
            tfn_cell cell;
            tfn_row_get(&row, i, &cell);
            assert_int_equal(cell.is_null, i != i_value);
        }
    }
    tfn_buf_deinit(&buf);
    tfn_row_schema_destroy(schema);
}

static void equal_arguments_give_equal_bytes(void **state)
{
    (void)state;
    tfn_row_schema *schema = make_schema();
    tfn_buf one = {0};
    tfn_buf two = {0};
    tfn_error err = {0};
    char *room = NULL;
    ASSERT_OK(tfn_buf_add_room(&two, 500, &room, &err), err);
    memset(room, 0x5a, 500); /* what the buffer held before must not show */
    tfn_cell cells[N_TYPES];
    memcpy(cells, every_cell, sizeof cells);
    cells[2].is_null = true;
    cells[5].is_null = true;
    const tfn_str a = encode(schema, cells, &one);
    cells[2].bits = 99;
    const tfn_str b = encode(schema, cells, &two);
    assert_true(tfn_str_equal(a, b));
    tfn_buf_deinit(&one);
    tfn_buf_deinit(&two);
    tfn_row_schema_destroy(schema);
}

static void times_from_the_first_to_the_last_year_fit(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn_row_schema *schema = make_schema();
    tfn_buf buf = {0};
    const tfn_instant times[] = {
        {253402300799, 999999999}, {-62135596800, 0}, {-1, 999999999}, {0, 0}, {INT64_MAX, 1}};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        tfn_row row;
        ASSERT_OK(tfn_row_encode(schema, every_cell, times[i], times[i], (tfn_str){0}, &buf, &err),
                  err);
        ASSERT_OK(tfn_row_open(schema, tfn_buf_get_str(&buf), &row, &err), err);
        assert_int_equal(tfn_instant_compare(row.event, times[i]), 0);
        assert_int_equal(tfn_instant_compare(row.created, times[i]), 0);
    }
    tfn_buf_deinit(&buf);
    tfn_row_schema_destroy(schema);
}

static void a_row_without_created_time_says_so(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn_row_schema *schema = make_schema();
    tfn_buf buf = {0};
    tfn_row row;
    ASSERT_OK(tfn_row_encode(schema, every_cell, at(5), no_time, (tfn_str){0}, &buf, &err), err);
    ASSERT_OK(tfn_row_open(schema, tfn_buf_get_str(&buf), &row, &err), err);
    assert_int_equal(tfn_instant_compare(row.created, TFN_INSTANT_NONE), 0);
    tfn_buf_deinit(&buf);
    tfn_row_schema_destroy(schema);
}

static void a_full_key_is_kept_between_slots_and_values(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn_row_schema *schema = make_schema();
    tfn_buf buf = {0};
    tfn_row row;
    ASSERT_OK(tfn_row_encode(schema, every_cell, at(5), at(6), text("the key"), &buf, &err), err);
    ASSERT_OK(tfn_row_open(schema, tfn_buf_get_str(&buf), &row, &err), err);
    assert_true(tfn_str_is(row.full_key, "the key"));
    assert_ptr_equal(row.full_key.p, buf.p + schema->fixed_bytes);
    tfn_cell cell;
    tfn_row_get(&row, 5, &cell);
    assert_true(tfn_str_equal(cell.bytes, every_cell[5].bytes));
    tfn_buf_deinit(&buf);
    tfn_row_schema_destroy(schema);
}

static void a_row_without_fields_is_a_header(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn_row_schema *schema = NULL;
    tfn_buf buf = {0};
    tfn_row row;
    ASSERT_OK(tfn_row_schema_create(NULL, 0, &schema, &err), err);
    ASSERT_OK(tfn_row_encode(schema, NULL, at(5), at(6), (tfn_str){0}, &buf, &err), err);
    assert_int_equal(buf.n, TFN_ROW_HEADER_BYTES);
    ASSERT_OK(tfn_row_open(schema, tfn_buf_get_str(&buf), &row, &err), err);
    tfn_buf_deinit(&buf);
    tfn_row_schema_destroy(schema);
}

static void wrong_times_are_refused(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn_row_schema *schema = make_schema();
    tfn_buf buf = {0};
    const tfn_str none = {0};
    ASSERT_FAILS(tfn_row_encode(schema, every_cell, no_time, at(1), none, &buf, &err), TFN_INVALID,
                 "needs an event time", err);
    ASSERT_FAILS(
        tfn_row_encode(schema, every_cell, (tfn_instant){1, 1000000000}, at(1), none, &buf, &err),
        TFN_INVALID, "event time", err);
    ASSERT_FAILS(tfn_row_encode(schema, every_cell, at(1), (tfn_instant){1, -1}, none, &buf, &err),
                 TFN_INVALID, "created time", err);
    tfn_buf_deinit(&buf);
    tfn_row_schema_destroy(schema);
}

static void a_row_above_the_limit_is_refused_before_it_is_built(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn_row_schema *schema = make_schema();
    tfn_buf buf = {0};
    tfn_cell cells[N_TYPES];
    memcpy(cells, every_cell, sizeof cells);
    cells[5].bytes = (tfn_str){"never read", TFN_MAX_ONLINE_ROW_BYTES};
    ASSERT_FAILS(tfn_row_encode(schema, cells, at(1), at(1), (tfn_str){0}, &buf, &err), TFN_LIMIT,
                 "TFN_MAX_ONLINE_ROW_BYTES", err);
    cells[6].bytes = (tfn_str){"never read", SIZE_MAX};
    ASSERT_FAILS(tfn_row_encode(schema, cells, at(1), at(1), (tfn_str){0}, &buf, &err), TFN_LIMIT,
                 "TFN_MAX_ONLINE_ROW_BYTES", err);
    tfn_buf_deinit(&buf);
    tfn_row_schema_destroy(schema);
}

/* ---- damaged rows ---- */

static void a_row_cut_anywhere_is_refused(void **state)
{
    (void)state;
    tfn_row_schema *schema = make_schema();
    tfn_buf buf = {0};
    const tfn_str whole = encode(schema, every_cell, &buf);
    for (size_t n = 0; n < whole.n; n++) {
        tfn_buf part = {0};
        tfn_error err = {0};
        tfn_row row;
        ASSERT_OK(tfn_buf_add(&part, whole.p, n, &err), err);
        assert_int_equal(tfn_row_open(schema, tfn_buf_get_str(&part), &row, &err), TFN_CORRUPT);
        tfn_buf_deinit(&part);
    }
    tfn_buf_deinit(&buf);
    tfn_row_schema_destroy(schema);
}

static void damage(size_t i_byte, uint8_t value, tfn_code want, const char *fragment)
{
    tfn_error err = {0};
    tfn_row_schema *schema = make_schema();
    tfn_buf buf = {0};
    (void)encode(schema, every_cell, &buf);
    buf.p[i_byte] = (char)value;
    tfn_row row;
    ASSERT_FAILS(tfn_row_open(schema, tfn_buf_get_str(&buf), &row, &err), want, fragment, err);
    tfn_buf_deinit(&buf);
    tfn_row_schema_destroy(schema);
}

static void each_part_of_the_header_is_checked(void **state)
{
    (void)state;
    damage(AT_VERSION, 2, TFN_UNSUPPORTED, "upgrade tiffin");
    damage(AT_VERSION, 0, TFN_CORRUPT, "version 0");
    damage(AT_FLAGS, 4, TFN_CORRUPT, "flags 4");
    damage(AT_FLAGS, HAS_CREATED | HAS_FULL_KEY, TFN_CORRUPT, "key");
    damage(AT_RESERVED, 1, TFN_CORRUPT, "do not exist");
    damage(AT_RESERVED + 1, 1, TFN_CORRUPT, "do not exist");
    damage(AT_SCHEMA_ID, 8, TFN_CORRUPT, "schema 8, expected 7");
    damage(AT_EVENT_NANOS + 3, 0x80, TFN_CORRUPT, "nanoseconds");
    damage(AT_CREATED_NANOS + 3, 0x7f, TFN_CORRUPT, "nanoseconds");
    damage(AT_TOTAL_BYTES, 0, TFN_CORRUPT, "bytes found");
    damage(AT_KEY_BYTES, 1, TFN_CORRUPT, "key");
    damage(AT_KEY_BYTES + 3, 0xff, TFN_CORRUPT, "key");
}

static void a_value_outside_of_the_row_is_refused(void **state)
{
    (void)state;
    tfn_row_schema *schema = make_schema();
    const size_t slot = schema->slots[5].offset;
    tfn_row_schema_destroy(schema);
    damage(slot, 0, TFN_CORRUPT, "feature 'string'");        /* in the header */
    damage(slot + 3, 0xff, TFN_CORRUPT, "feature 'string'"); /* far behind */
    damage(slot + 4, 0xff, TFN_CORRUPT, "feature 'string'"); /* too long */
    damage(slot + 7, 0xff, TFN_CORRUPT, "feature 'string'");
}

#ifdef TFN_FAULT_INJECTION
static void opening_and_reading_a_row_allocates_nothing(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn_row_schema *schema = make_schema();
    tfn_buf buf = {0};
    const tfn_str bytes = encode(schema, every_cell, &buf);
    tfn_mem_fault_arm(0);
    tfn_row row;
    tfn_cell cell;
    ASSERT_OK(tfn_row_open(schema, bytes, &row, &err), err);
    for (uint32_t i = 0; i < N_TYPES; i++) {
        tfn_row_get(&row, i, &cell);
    }
    (void)encode(schema, every_cell,
                 &buf); /* nor does encoding into a buffer that is large enough */
    assert_int_equal(tfn_mem_fault_count(), 0);
    tfn_buf_deinit(&buf);
    tfn_row_schema_destroy(schema);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_comes_back),
        cmocka_unit_test(nulls_come_back_and_take_no_bytes),
        cmocka_unit_test(equal_arguments_give_equal_bytes),
        cmocka_unit_test(times_from_the_first_to_the_last_year_fit),
        cmocka_unit_test(a_row_without_created_time_says_so),
        cmocka_unit_test(a_full_key_is_kept_between_slots_and_values),
        cmocka_unit_test(a_row_without_fields_is_a_header),
        cmocka_unit_test(wrong_times_are_refused),
        cmocka_unit_test(a_row_above_the_limit_is_refused_before_it_is_built),
        cmocka_unit_test(a_row_cut_anywhere_is_refused),
        cmocka_unit_test(each_part_of_the_header_is_checked),
        cmocka_unit_test(a_value_outside_of_the_row_is_refused),
#ifdef TFN_FAULT_INJECTION
        cmocka_unit_test(opening_and_reading_a_row_allocates_nothing),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
