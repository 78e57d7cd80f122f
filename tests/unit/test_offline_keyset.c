/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/offline_fixture.h"

#include "offline/keyset.c"

static const tfn_type TYPES[] = {{.kind = TFN_KIND_INT64}, {.kind = TFN_KIND_STRING}};

static tfn_code keyset_of(const make_col *cols, int64_t n, tfn_keyset **out, tfn_error *err)
{
    tfn_frame *frame = frame_of_cols(cols, 2, n);
    static const size_t key_cols[] = {0, 1};
    tfn_key_plan plan;
    tfn_code rc = tfn_key_plan_init(&plan, TYPES, 2, err);
    if (rc == TFN_OK) {
        rc = tfn_keyset_create(frame, key_cols, &plan, out, err);
    }
    tfn_frame_release(frame);
    return rc;
}

static bool has(const tfn_keyset *keys, int64_t number, const char *text)
{
    tfn_key_plan plan;
    tfn_error err = {0};
    tfn_buf key = {0};
    const tfn_cell cells[] = {{.bits = (uint64_t)number}, {.bytes = tfn_str_of(text)}};
    assert_ok(tfn_key_plan_init(&plan, TYPES, 2, &err), err);
    assert_ok(tfn_key_encode_cells(&plan, cells, &key, &err), err);
    const tfn_str bytes = tfn_buf_get_str(&key);
    const bool is_there = tfn_keyset_has(keys, tfn_key_hash(&plan, bytes), bytes);
    tfn_buf_deinit(&key);
    return is_there;
}

static void keys_are_there_once_and_nulls_are_not(void **state)
{
    (void)state;
    static const double numbers[] = {1, 2, 1, 3}; /* floats of whole numbers, as pandas has them */
    static const char *const texts[] = {"a", "b", "a", NULL};
    const make_col cols[] = {{.name = "n", .format = "g", .values = numbers},
                             {.name = "t", .format = "u", .values = texts}};
    tfn_keyset *keys = NULL;
    tfn_error err = {0};
    assert_ok(keyset_of(cols, 4, &keys, &err), err);
    assert_int_equal(tfn_keyset_get_n(keys), 2);
    assert_true(has(keys, 1, "a"));
    assert_true(has(keys, 2, "b"));
    assert_false(has(keys, 2, "a"));
    assert_false(has(keys, 3, ""));
    tfn_keyset_destroy(keys);
    tfn_keyset_destroy(NULL);
}

static void a_column_of_another_type_is_named(void **state)
{
    (void)state;
    static const int64_t numbers[] = {1};
    const make_col cols[] = {{.name = "n", .format = "l", .values = numbers},
                             {.name = "t", .format = "l", .values = numbers}};
    tfn_keyset *keys = NULL;
    tfn_error err = {0};
    assert_int_equal(keyset_of(cols, 1, &keys, &err), TFN_SCHEMA);
    assert_text(err.message, "column 't' of the keys: expected string, found int64");
    assert_null(keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_there_once_and_nulls_are_not),
        cmocka_unit_test(a_column_of_another_type_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
