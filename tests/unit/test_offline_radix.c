/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/offline_fixture.h"

#include "prop/rng.h"

#include "offline/radix.c"

enum { MOST = 3000 };

static int compare_entries(const void *a, const void *b)
{
    const tfn__entry *x = a;
    const tfn__entry *y = b;
    if (x->key != y->key) {
        return x->key < y->key ? -1 : 1;
    }
    return (x->value > y->value) - (x->value < y->value);
}

/* Back to the order of the values, which were given in the first order. */
static void shuffle_back(tfn__entry *entries, size_t n)
{
    tfn__entry sorted[MOST];
    memcpy(sorted, entries, n * sizeof *entries);
    for (size_t i = 0; i < n; i++) {
        entries[sorted[i].value] = sorted[i];
    }
}

static void check_sort(rng *r, size_t n, uint64_t mask)
{
    tfn__entry entries[MOST];
    tfn__entry expected[MOST];
    tfn__entry scratch[MOST];
    for (size_t i = 0; i < n; i++) {
        entries[i] = (tfn__entry){rng_next(r) & mask, (uint32_t)i};
        expected[i] = entries[i];
    }
    qsort(expected, n, sizeof *expected, compare_entries);
    tfn__radix_sort(entries, scratch, n);
    for (size_t i = 0; i < n; i++) {
        assert_true(entries[i].key == expected[i].key);
        assert_int_equal(entries[i].value, expected[i].value); /* stable */
    }
    for (int n_threads = 1; n_threads <= 7; n_threads += 3) {
        shuffle_back(entries, n);
        tfn_error err = {0};
        assert_ok(tfn__radix_sort_parallel(entries, scratch, n, &(tfn_crew){.n_threads = n_threads},
                                           &err),
                  err);
        for (size_t i = 0; i < n; i++) {
            assert_true(entries[i].key == expected[i].key);
            assert_int_equal(entries[i].value, expected[i].value);
        }
    }
}

static void any_number_of_keys_is_sorted_and_equal_ones_keep_their_order(void **state)
{
    (void)state;
    rng r = {7};
    static const uint64_t masks[] = {0,      1,          0xff,       0xff00,
                                     0xffff, 0xff0000ff, UINT64_MAX, UINT64_MAX << 60};
    static const size_t sizes[] = {0, 1, 2, 47, 48, 49, 257, MOST};
    for (size_t m = 0; m < 8; m++) {
        for (size_t s = 0; s < 8; s++) {
            check_sort(&r, sizes[s], masks[m]);
        }
    }
}

static void signed_numbers_keep_their_order_as_keys(void **state)
{
    (void)state;
    static const int64_t ascending[] = {INT64_MIN, -5, -1, 0, 1, INT64_MAX};
    for (size_t i = 0; i < 6; i++) {
        assert_true(i == 0 || tfn__entry_key(ascending[i - 1]) < tfn__entry_key(ascending[i]));
        assert_true(tfn__entry_number(tfn__entry_key(ascending[i])) == ascending[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_of_keys_is_sorted_and_equal_ones_keep_their_order),
        cmocka_unit_test(signed_numbers_keep_their_order_as_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
