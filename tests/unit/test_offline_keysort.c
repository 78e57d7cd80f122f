/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/offline_fixture.h"

#include "prop/rng.h"

#include "offline/keysort.c"

enum { MOST = 500, LONG = 60 };

static void check_sorted(const tfn_str *keys, size_t n)
{
    tfn__entry order[MOST];
    tfn__entry scratch[MOST];
    bool is_seen[MOST] = {false};
    tfn__keysort(keys, order, scratch, n);
    for (size_t i = 0; i < n; i++) {
        assert_false(is_seen[order[i].value]);
        is_seen[order[i].value] = true;
        assert_true(i == 0 || tfn_str_compare(keys[order[i - 1].value], keys[order[i].value]) < 0);
    }
}

/* Keys of random length over few letters, each ended by its own number, so none begins another. */
static void keys_with_long_shared_beginnings_are_sorted_by_bytes(void **state)
{
    (void)state;
    static char bytes[MOST][LONG + 4];
    tfn_str keys[MOST];
    rng r = {11};
    static const size_t sizes[] = {0, 1, 2, 12, 13, 100, MOST};
    for (size_t s = 0; s < 7; s++) {
        for (size_t i = 0; i < sizes[s]; i++) {
            const size_t n_shared = rng_below(&r, LONG);
            memset(bytes[i], 'a', n_shared);
            bytes[i][n_shared] = (char)(rng_percent(&r, 50) ? 0xff : 'b');
            bytes[i][n_shared + 1] = (char)(i >> 8);
            bytes[i][n_shared + 2] = (char)i;
            keys[i] = (tfn_str){bytes[i], n_shared + 3};
        }
        check_sorted(keys, sizes[s]);
    }
}

static void keys_of_one_length_are_sorted_by_their_last_byte_too(void **state)
{
    (void)state;
    static char bytes[MOST][9];
    tfn_str keys[MOST];
    for (size_t i = 0; i < MOST; i++) {
        const size_t k = (i * 331) % MOST;
        memset(bytes[i], 3, 9);
        bytes[i][7] = (char)(k >> 8);
        bytes[i][8] = (char)k;
        keys[i] = (tfn_str){bytes[i], 9};
    }
    check_sorted(keys, MOST);
}

static void the_one_empty_key_is_sorted(void **state)
{
    (void)state;
    const tfn_str key = {NULL, 0};
    check_sorted(&key, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_with_long_shared_beginnings_are_sorted_by_bytes),
        cmocka_unit_test(keys_of_one_length_are_sorted_by_their_last_byte_too),
        cmocka_unit_test(the_one_empty_key_is_sorted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
