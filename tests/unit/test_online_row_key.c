/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/online_fixture.h"

#include "online/row_key.c"

static char long_key[TFN_MAX_KEY_BYTES + 1];

static tfn__row_key make(uint32_t generation, const char *p, size_t n)
{
    tfn_error err = {0};
    tfn__row_key key;
    ASSERT_OK(tfn__row_key_make(generation, (tfn_str){p, n}, &key, &err), err);
    return key;
}

static void the_generation_comes_first_and_sorts(void **state)
{
    (void)state;
    const tfn__row_key low = make(0x01020304, "\x06z", 2);
    const tfn__row_key high = make(0x01020305,
                                   "\x06"
                                   "a",
                                   2);
    assert_memory_equal(low.bytes, "\x01\x02\x03\x04\x06z", 6);
    assert_int_equal(low.n, 6);
    assert_true(memcmp(low.bytes, high.bytes, 6) < 0);
}

static void the_empty_key_is_the_generation_alone(void **state)
{
    (void)state;
    const tfn__row_key key = make(9, NULL, 0);
    assert_int_equal(key.n, 4);
    assert_false(key.is_hashed);
}

static void keys_are_plain_up_to_400_bytes_and_hashed_above(void **state)
{
    (void)state;
    memset(long_key, TFN_KIND_STRING, sizeof long_key);
    const tfn__row_key plain = make(9, long_key, 396);
    assert_int_equal(plain.n, 400);
    assert_false(plain.is_hashed);
    const tfn__row_key hashed = make(9, long_key, 397);
    assert_int_equal(hashed.n, 4 + 1 + 16);
    assert_true(hashed.is_hashed);
    assert_int_equal(hashed.bytes[4], 0xFF);
}

static void a_hashed_key_is_never_a_plain_one(void **state)
{
    (void)state;
    /* A plain key begins with a tag, all of which are small. */
    for (int kind = TFN_KIND_BOOL; kind <= TFN_KIND_UUID; kind++) {
        assert_true(kind < HASHED_MARK);
    }
}

static void different_long_keys_have_different_hashes(void **state)
{
    (void)state;
    memset(long_key, TFN_KIND_STRING, sizeof long_key);
    const tfn__row_key one = make(9, long_key, 1000);
    long_key[999] = 'x';
    const tfn__row_key two = make(9, long_key, 1000);
    assert_memory_not_equal(one.bytes, two.bytes, one.n);
}

static void a_key_above_the_limit_is_refused(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn__row_key key;
    const tfn_str largest = {long_key, TFN_MAX_KEY_BYTES};
    const tfn_str larger = {long_key, TFN_MAX_KEY_BYTES + 1};
    ASSERT_OK(tfn__row_key_make(1, largest, &key, &err), err);
    ASSERT_FAILS(tfn__row_key_make(1, larger, &key, &err), TFN_LIMIT, "TFN_MAX_KEY_BYTES", err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_generation_comes_first_and_sorts),
        cmocka_unit_test(the_empty_key_is_the_generation_alone),
        cmocka_unit_test(keys_are_plain_up_to_400_bytes_and_hashed_above),
        cmocka_unit_test(a_hashed_key_is_never_a_plain_one),
        cmocka_unit_test(different_long_keys_have_different_hashes),
        cmocka_unit_test(a_key_above_the_limit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
