/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/base_make.h"

#include <stdio.h>

#include "base/map.c"

static void an_empty_map_has_nothing(void **state)
{
    (void)state;
    tfn_map m = {0};
    uint32_t value = 7;
    assert_false(tfn_map_get(&m, tfn_str_of("x"), &value));
    assert_int_equal(value, 0);
    tfn_map_deinit(&m);
}

static void what_is_put_is_found_and_replaced(void **state)
{
    (void)state;
    enum { N_NAMES = 1000, NAME_BYTES = 16 };
    static char names[N_NAMES][NAME_BYTES];
    tfn_map m = {0};
    tfn_error err = {0};
    uint32_t value = 0;
    for (uint32_t i = 0; i < N_NAMES; i++) {
        (void)snprintf(names[i], NAME_BYTES, "name %u", i);
        assert_ok(tfn_map_put(&m, tfn_str_of(names[i]), i, &err), err);
    }
    assert_int_equal(m.n, N_NAMES);
    for (uint32_t i = 0; i < N_NAMES; i++) {
        assert_true(tfn_map_get(&m, tfn_str_of(names[i]), &value));
        assert_int_equal(value, i);
    }
    assert_false(tfn_map_get(&m, tfn_str_of("name"), &value));
    assert_ok(tfn_map_put(&m, tfn_str_of("name 5"), 99, &err), err);
    assert_int_equal(m.n, N_NAMES);
    assert_true(tfn_map_get(&m, tfn_str_of(names[5]), &value));
    assert_int_equal(value, 99);
    tfn_map_deinit(&m);
    assert_null(m.cells);
}

static void the_empty_key_is_a_key(void **state)
{
    (void)state;
    tfn_map m = {0};
    tfn_error err = {0};
    uint32_t value = 0;
    assert_ok(tfn_map_put(&m, (tfn_str){NULL, 0}, 3, &err), err);
    assert_true(tfn_map_get(&m, tfn_str_of(""), &value));
    assert_int_equal(value, 3);
    assert_ok(tfn_map_put(&m, tfn_str_of(""), 4, &err), err);
    assert_int_equal(m.n, 1);
    tfn_map_deinit(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_has_nothing),
        cmocka_unit_test(what_is_put_is_found_and_replaced),
        cmocka_unit_test(the_empty_key_is_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
