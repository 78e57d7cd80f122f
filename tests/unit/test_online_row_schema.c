/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/online_fixture.h"

#include "online/row_schema.c"

static const tfn_row_field fields[] = {
    {{"a", 1}, {.kind = TFN_KIND_INT64}},
    {{"b", 1}, {.kind = TFN_KIND_TIMESTAMP, .unit = TFN_UNIT_US}},
    {{"", 0}, {.kind = TFN_KIND_STRING}},
    {{"d", 1}, {.kind = TFN_KIND_FLOAT32, .is_list = true}},
};
enum { N_FIELDS = sizeof fields / sizeof fields[0] };

static tfn_row_schema *make_schema(void)
{
    tfn_error err = {0};
    tfn_row_schema *schema = NULL;
    ASSERT_OK(tfn_row_schema_create(fields, N_FIELDS, &schema, &err), err);
    return schema;
}

static void a_schema_survives_packing(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn_row_schema *schema = make_schema();
    tfn_row_schema *again = NULL;
    ASSERT_OK(tfn_row_schema_unpack(tfn_buf_get_str(&schema->packed), &again, &err), err);
    assert_int_equal(again->n_fields, N_FIELDS);
    assert_int_equal(again->n_variable, 2);
    for (size_t i = 0; i < N_FIELDS; i++) {
        assert_true(tfn_str_equal(again->fields[i].name, fields[i].name));
        assert_true(tfn_type_same(again->fields[i].type, fields[i].type));
        assert_int_equal(again->fields[i].type.unit, fields[i].type.unit);
        assert_int_equal(again->slots[i].offset, schema->slots[i].offset);
    }
    tfn_row_schema_destroy(again);
    tfn_row_schema_destroy(schema);
}

static void slots_follow_the_bitmap_without_padding(void **state)
{
    (void)state;
    tfn_row_schema *schema = make_schema();
    assert_int_equal(schema->slots[0].offset, TFN_ROW_HEADER_BYTES + 1);
    assert_int_equal(schema->slots[1].offset, TFN_ROW_HEADER_BYTES + 1 + 8);
    assert_int_equal(schema->slots[2].offset, TFN_ROW_HEADER_BYTES + 1 + 16);
    assert_int_equal(schema->fixed_bytes, TFN_ROW_HEADER_BYTES + 1 + 32);
    tfn_row_schema_destroy(schema);
}

static void features_are_found_by_name_and_kind(void **state)
{
    (void)state;
    tfn_row_schema *schema = make_schema();
    const tfn_row_field wanted[] = {
        {{"d", 1}, {.kind = TFN_KIND_FLOAT32, .is_list = true}},
        {{"d", 1}, {.kind = TFN_KIND_FLOAT32}},     /* a list now, a number then */
        {{"a", 1}, {.kind = TFN_KIND_INT32}},       /* of another kind */
        {{"nowhere", 7}, {.kind = TFN_KIND_INT64}}, /* absent */
        {{"b", 1},
         {.kind = TFN_KIND_TIMESTAMP, .unit = TFN_UNIT_NS}}, /* the unit does not matter */
    };
    int32_t i_fields[5];
    tfn_row_schema_map(schema, wanted, 5, i_fields);
    assert_int_equal(i_fields[0], 3);
    assert_int_equal(i_fields[1], -1);
    assert_int_equal(i_fields[2], -1);
    assert_int_equal(i_fields[3], -1);
    assert_int_equal(i_fields[4], 1);
    tfn_row_schema_destroy(schema);
}

static void two_features_of_one_name_are_refused(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn_row_schema *schema = NULL;
    const tfn_row_field twice[] = {fields[0], fields[1], {{"a", 1}, {.kind = TFN_KIND_BOOL}}};
    ASSERT_FAILS(tfn_row_schema_create(twice, 3, &schema, &err), TFN_INVALID,
                 "two features are named 'a'", err);
    assert_null(schema);
}

static void types_that_no_row_holds_are_refused(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn_row_schema *schema = NULL;
    const tfn_type wrong[] = {{.kind = TFN_KIND_NONE}, {.kind = TFN_KIND_UUID}, {.kind = 99}};
    for (size_t i = 0; i < 3; i++) {
        const tfn_row_field field = {{"x", 1}, wrong[i]};
        ASSERT_FAILS(tfn_row_schema_create(&field, 1, &schema, &err), TFN_INVALID, "feature 'x'",
                     err);
    }
}

static void limits_are_named(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn_row_schema *schema = NULL;
    static char name[TFN_MAX_NAME_BYTES + 1];
    memset(name, 'n', sizeof name);
    tfn_row_field field = {{name, sizeof name}, {.kind = TFN_KIND_BOOL}};
    ASSERT_FAILS(tfn_row_schema_create(&field, 1, &schema, &err), TFN_LIMIT, "TFN_MAX_NAME_BYTES",
                 err);
    ASSERT_FAILS(tfn_row_schema_create(&field, TFN_MAX_FIELDS + 1, &schema, &err), TFN_LIMIT,
                 "TFN_MAX_FIELDS", err);
    field.name.n--;
    ASSERT_OK(tfn_row_schema_create(&field, 1, &schema, &err), err);
    tfn_row_schema_destroy(schema);
}

/* ---- damaged bytes ---- */

static void a_schema_cut_anywhere_is_refused(void **state)
{
    (void)state;
    tfn_row_schema *schema = make_schema();
    for (size_t n = 0; n < schema->packed.n; n++) {
        tfn_error err = {0};
        tfn_buf part = {0};
        tfn_row_schema *again = NULL;
        ASSERT_OK(tfn_buf_add(&part, schema->packed.p, n, &err), err);
        assert_int_equal(tfn_row_schema_unpack(tfn_buf_get_str(&part), &again, &err), TFN_CORRUPT);
        assert_null(again);
        tfn_buf_deinit(&part);
    }
    tfn_row_schema_destroy(schema);
}

static void damage(size_t i_byte, uint8_t value, tfn_code want, const char *fragment)
{
    tfn_error err = {0};
    tfn_row_schema *schema = make_schema();
    tfn_row_schema *again = NULL;
    schema->packed.p[i_byte] = (char)value;
    ASSERT_FAILS(tfn_row_schema_unpack(tfn_buf_get_str(&schema->packed), &again, &err), want,
                 fragment, err);
    tfn_row_schema_destroy(schema);
}

static void each_byte_of_a_schema_is_checked(void **state)
{
    (void)state;
    damage(0, 2, TFN_UNSUPPORTED, "upgrade tiffin");
    damage(0, 0, TFN_CORRUPT, "header");
    damage(1, 1, TFN_CORRUPT, "header");
    damage(7, 0xff, TFN_CORRUPT, "header");
    damage(4, N_FIELDS - 1, TFN_CORRUPT, "left over");
    damage(8, 77, TFN_CORRUPT, "at byte 8");    /* kind */
    damage(9, 2, TFN_CORRUPT, "at byte 8");     /* is_list */
    damage(10, 1, TFN_CORRUPT, "at byte 8");    /* a unit where there is none */
    damage(11, 1, TFN_CORRUPT, "at byte 8");    /* zero byte */
    damage(15, 0xff, TFN_CORRUPT, "cut short"); /* length of the name */
    damage(8 + 9 + 8, 'a', TFN_CORRUPT, "two features are named 'a'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_schema_survives_packing),
        cmocka_unit_test(slots_follow_the_bitmap_without_padding),
        cmocka_unit_test(features_are_found_by_name_and_kind),
        cmocka_unit_test(two_features_of_one_name_are_refused),
        cmocka_unit_test(types_that_no_row_holds_are_refused),
        cmocka_unit_test(limits_are_named),
        cmocka_unit_test(a_schema_cut_anywhere_is_refused),
        cmocka_unit_test(each_byte_of_a_schema_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
