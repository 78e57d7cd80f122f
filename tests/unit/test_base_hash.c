/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/base_make.h"

#include "base/hash.c"

/* Values of xxHash's own reference implementation: they are part of stored formats. */
static void hashes_are_those_of_xxh3(void **state)
{
    (void)state;
    assert_true(tfn_hash64("", 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(tfn_hash64(NULL, 0) == UINT64_C(0x2d06800538d394c2));
    char text[TFN_HASH_TEXT_BYTES];
    tfn_hash128_format(tfn_hash128_of("", 0), text);
    assert_string_equal(text, "99aa06d3014798d86001c324468d497f");
    tfn_hash128_format(tfn_hash128_of("a", 1), text);
    assert_string_equal(text, "a96faf705af16834e6c632b61e964e1f");
    assert_true(tfn_hash64("a", 1) == UINT64_C(0xe6c632b61e964e1f));
}

static void pieces_hash_like_the_whole(void **state)
{
    (void)state;
    enum { N = 5000 };
    uint8_t bytes[N];
    for (size_t i = 0; i < N; i++) {
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    }
    tfn_hasher hasher;
    for (size_t n = 0; n < N; n = n * 3 + 1) {
        const tfn_hash128 whole = tfn_hash128_of(bytes, n);
        for (size_t step = 1; step < N; step *= 4) {
            tfn_hasher_begin(&hasher);
            for (size_t at = 0; at < n; at += step) {
                tfn_hasher_add(&hasher, bytes + at, n - at < step ? n - at : step);
            }
            tfn_hasher_add(&hasher, NULL, 0);
            const tfn_hash128 found = tfn_hasher_end(&hasher);
            assert_memory_equal(found.bytes, whole.bytes, sizeof whole.bytes);
        }
    }
}

static void the_mix_spreads_small_numbers(void **state)
{
    (void)state;
    enum { N = 4096 };
    static uint8_t buckets[N];
    size_t n_used = 0;
    for (uint64_t i = 0; i < N; i++) {
        uint8_t *bucket = &buckets[tfn_hash_mix(i) & (N - 1)];
        n_used += *bucket == 0;
        *bucket = 1;
    }
    assert_in_range(n_used, N / 2, N); /* a random function uses 63 % */
    n_used = 0;
    memset(buckets, 0, sizeof buckets);
    for (uint64_t i = 0; i < N; i++) { /* high bits, too */
        uint8_t *bucket = &buckets[tfn_hash_mix(i << 40) >> 52];
        n_used += *bucket == 0;
        *bucket = 1;
    }
    assert_in_range(n_used, N / 2, N);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_are_those_of_xxh3),
        cmocka_unit_test(pieces_hash_like_the_whole),
        cmocka_unit_test(the_mix_spreads_small_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
