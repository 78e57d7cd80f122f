/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/offline_fixture.h"

#include "base/hash.h"

#include "offline/keytable.c"

static tfn_key_plan plan_of(tfn_kind kind, size_t n_parts)
{
    const tfn_type types[2] = {{.kind = (uint8_t)kind}, {.kind = (uint8_t)kind}};
    tfn_key_plan plan;
    tfn_error err = {0};
    assert_ok(tfn_key_plan_init(&plan, types, n_parts, &err), err);
    return plan;
}

static uint32_t put(tfn__keytable *t, uint64_t hash, const char *text, size_t n)
{
    uint32_t entry = 0;
    tfn_error err = {0};
    assert_ok(tfn__keytable_put(t, hash, (tfn_str){text, n}, &entry, &err), err);
    return entry;
}

static void keys_are_numbered_as_they_first_come(void **state)
{
    (void)state;
    const tfn_key_plan plan = plan_of(TFN_KIND_STRING, 1);
    tfn__keytable t;
    tfn_error err = {0};
    assert_ok(tfn__keytable_init(&t, &plan, &err), err);
    char text[16];
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 5000; i++) {
            const int n = snprintf(text, sizeof text, "key %u", i);
            assert_int_equal(put(&t, tfn_hash64(text, (size_t)n), text, (size_t)n), i);
        }
    }
    assert_int_equal(t.n, 5000);
    const tfn_str last = tfn__keytable_get(&t, 4999);
    assert_true(tfn_str_is(last, "key 4999"));
    assert_true(tfn__keytable_get_bytes(&t) > 5000 * 8);
    tfn__keytable_deinit(&t);
}

static void keys_of_one_hash_are_told_apart_by_their_bytes(void **state)
{
    (void)state;
    const tfn_key_plan plan = plan_of(TFN_KIND_INT64, 1);
    tfn__keytable t;
    tfn_error err = {0};
    assert_ok(tfn__keytable_init(&t, &plan, &err), err);
    assert_int_equal(plan.fixed_bytes, 9);
    assert_int_equal(put(&t, 42, "012345678", 9), 0);
    assert_int_equal(put(&t, 42, "012345679", 9), 1); /* differs in the last byte */
    assert_int_equal(put(&t, 42, "112345678", 9), 2); /* differs in the first */
    assert_int_equal(put(&t, 42, "012345679", 9), 1);
    assert_int_equal(
        tfn__keytable_confirm(&t, tfn__keytable_probe(&t, 42, 0), 0, tfn_str_of("912345678")),
        TFN__NO_ENTRY);
    tfn__keytable_deinit(&t);
}

static void short_and_long_fixed_keys_are_compared_whole(void **state)
{
    (void)state;
    assert_true(tfn__keytable_same("abc", "abc", 3));
    assert_false(tfn__keytable_same("abc", "abd", 3));
    assert_true(tfn__keytable_same(NULL, NULL, 0));
    assert_true(tfn__keytable_same("0123456789abcdef", "0123456789abcdef", 16));
    assert_false(tfn__keytable_same("0123456789abcdef", "0123456789abcdeX", 16));
    assert_false(tfn__keytable_same("0123456X89abcdef", "0123456789abcdef", 16));
    assert_false(tfn__keytable_same("0123456789abcdef0", "0123456789abcdef1", 17));
}

static void the_empty_key_is_one_key(void **state)
{
    (void)state;
    const tfn_key_plan plan = plan_of(TFN_KIND_INT64, 0);
    tfn__keytable t;
    tfn_error err = {0};
    assert_ok(tfn__keytable_init(&t, &plan, &err), err);
    assert_int_equal(put(&t, 5, "", 0), 0);
    assert_int_equal(put(&t, 5, "", 0), 0);
    assert_int_equal(t.n, 1);
    tfn__keytable_deinit(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_numbered_as_they_first_come),
        cmocka_unit_test(keys_of_one_hash_are_told_apart_by_their_bytes),
        cmocka_unit_test(short_and_long_fixed_keys_are_compared_whole),
        cmocka_unit_test(the_empty_key_is_one_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
