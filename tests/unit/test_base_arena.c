/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/base_make.h"

#include "base/arena.c"

static void pieces_are_aligned_and_apart(void **state)
{
    (void)state;
    tfn_arena a = {0};
    tfn_error err = {0};
    char *last_end = NULL;
    for (size_t n = 0; n < 200; n++) {
        void *p = NULL;
        assert_ok(tfn_arena_alloc(&a, n, 7, &p, &err), err);
        assert_int_equal((uintptr_t)p % 16, 0);
        memset(p, (int)n, n * 7);
        assert_true(last_end == NULL || (char *)p >= last_end || a.first->older != NULL);
        last_end = (char *)p + n * 7;
    }
    tfn_arena_deinit(&a);
    assert_int_equal(a.n_bytes, 0);
    assert_null(a.first);
    tfn_arena_deinit(&a);
}

static void large_pieces_get_their_own_block(void **state)
{
    (void)state;
    tfn_arena a = {0};
    tfn_error err = {0};
    void *small = NULL;
    void *large = NULL;
    assert_ok(tfn_arena_alloc(&a, 1, 10, &small, &err), err);
    assert_ok(tfn_arena_alloc_zero(&a, 3, BLOCK_MAX_BYTES, &large, &err), err);
    assert_int_equal(((char *)large)[3 * BLOCK_MAX_BYTES - 1], 0);
    assert_true(a.n_bytes >= 3 * BLOCK_MAX_BYTES + BLOCK_BYTES);
    tfn_arena_deinit(&a);
}

static void what_is_reserved_comes_from_one_block_of_that_size(void **state)
{
    (void)state;
    tfn_arena a = {0};
    tfn_error err = {0};
    void *p = NULL;
    enum { N_BYTES = 4096 };
    assert_ok(tfn_arena_reserve(&a, N_BYTES, &err), err);
    const tfn_arena_block *block = a.first;
    assert_true(a.n_bytes < BLOCK_BYTES);
    assert_ok(tfn_arena_alloc(&a, 1, N_BYTES - GAP_BYTES, &p, &err), err);
    assert_ptr_equal(a.first, block);
    assert_ok(tfn_arena_reserve(&a, 0, &err), err); /* there is nothing to reserve */
    assert_ptr_equal(a.first, block);
    assert_ok(tfn_arena_alloc(&a, 1, N_BYTES, &p, &err), err); /* grows as ever */
    assert_true(a.n_bytes >= BLOCK_BYTES);
    assert_int_equal(tfn_arena_reserve(&a, SIZE_MAX, &err), TFN_NO_MEMORY);
    tfn_arena_deinit(&a);
}

static void sizes_that_overflow_are_refused(void **state)
{
    (void)state;
    tfn_arena a = {0};
    tfn_error err = {0};
    void *p = &p;
    const char *text = NULL;
    assert_int_equal(tfn_arena_alloc(&a, SIZE_MAX, 2, &p, &err), TFN_NO_MEMORY);
    assert_null(p);
    assert_int_equal(tfn_arena_alloc(&a, SIZE_MAX, 1, &p, &err), TFN_NO_MEMORY);
    assert_int_equal(tfn_arena_copy(&a, "", SIZE_MAX, &text, &err), TFN_NO_MEMORY);
    assert_null(text);
    assert_int_equal(a.n_bytes, 0);
    tfn_arena_deinit(&a);
}

static void the_ceiling_holds(void **state)
{
    (void)state;
    tfn_arena a;
    tfn_error err = {0};
    void *p = NULL;
    tfn_arena_init(&a, 100000);
    assert_ok(tfn_arena_alloc(&a, 1, 50000, &p, &err), err);
    assert_int_equal(tfn_arena_alloc(&a, 1, 60000, &p, &err), TFN_LIMIT);
    assert_null(p);
    assert_text(err.message, "100000 bytes");
    assert_ok(tfn_arena_alloc(&a, 1, 10000, &p, &err), err);
    assert_true(a.n_bytes <= 100000);
    tfn_arena_deinit(&a);
}

static void a_ceiling_below_a_block_still_gives_room(void **state)
{
    (void)state;
    tfn_arena a;
    tfn_error err = {0};
    void *p = NULL;
    tfn_arena_init(&a, 4096);
    assert_ok(tfn_arena_alloc(&a, 1, 1000, &p, &err), err);
    assert_ok(tfn_arena_alloc(&a, 1, 1000, &p, &err), err);
    assert_int_equal(tfn_arena_alloc(&a, 1, 4000, &p, &err), TFN_LIMIT);
    assert_true(a.n_bytes <= 4096);
    tfn_arena_deinit(&a);
}

static void copies_end_with_a_zero(void **state)
{
    (void)state;
    tfn_arena a = {0};
    tfn_error err = {0};
    const char *text = NULL;
    assert_ok(tfn_arena_copy(&a, "hello, world", 5, &text, &err), err);
    assert_string_equal(text, "hello");
    assert_ok(tfn_arena_copy(&a, NULL, 0, &text, &err), err);
    assert_string_equal(text, "");
    tfn_arena_deinit(&a);
}

static void a_reset_arena_keeps_one_block(void **state)
{
    (void)state;
    tfn_arena a = {0};
    tfn_error err = {0};
    void *p = NULL;
    tfn_arena_reset(&a);
    assert_int_equal(a.n_bytes, 0);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 100; i++) {
            assert_ok(tfn_arena_alloc(&a, 1, 5000, &p, &err), err);
            memset(p, 1, 5000);
        }
        tfn_arena_reset(&a);
        assert_non_null(a.first);
        assert_null(a.first->older);
        assert_int_equal(a.n_bytes, a.first->n_bytes);
    }
    tfn_arena_deinit(&a);
}

static void a_rewound_arena_gives_the_same_places_again(void **state)
{
    (void)state;
    tfn_arena a = {0};
    tfn_error err = {0};
    void *first = NULL;
    void *again = NULL;
    void *p = NULL;
    const tfn_arena_mark empty = tfn_arena_get_mark(&a);
    assert_ok(tfn_arena_alloc(&a, 1, 100, &p, &err), err);
    memset(p, 7, 100);
    const tfn_arena_mark mark = tfn_arena_get_mark(&a);
    assert_ok(tfn_arena_alloc(&a, 1, 100, &first, &err), err);
    for (int i = 0; i < 100; i++) {
        void *more = NULL;
        assert_ok(tfn_arena_alloc(&a, 1, 5000, &more, &err), err);
    }
    tfn_arena_rewind(&a, mark);
    assert_int_equal(a.n_bytes, a.first->n_bytes);
    assert_ok(tfn_arena_alloc(&a, 1, 100, &again, &err), err);
    assert_ptr_equal(first, again);
    assert_int_equal(((char *)p)[99], 7);
    tfn_arena_rewind(&a, empty);
    assert_int_equal(a.n_bytes, 0);
    assert_ok(tfn_arena_alloc(&a, 1, 100, &again, &err), err);
    tfn_arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_and_apart),
        cmocka_unit_test(large_pieces_get_their_own_block),
        cmocka_unit_test(what_is_reserved_comes_from_one_block_of_that_size),
        cmocka_unit_test(sizes_that_overflow_are_refused),
        cmocka_unit_test(the_ceiling_holds),
        cmocka_unit_test(a_ceiling_below_a_block_still_gives_room),
        cmocka_unit_test(copies_end_with_a_zero),
        cmocka_unit_test(a_reset_arena_keeps_one_block),
        cmocka_unit_test(a_rewound_arena_gives_the_same_places_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
