/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/base_make.h"

#include "base/mem.c"

static void arrays_are_zeroed(void **state)
{
    (void)state;
    void *p = NULL;
    tfn_error err = {0};
    assert_ok(tfn_mem_alloc_array(7, 3, &p, &err), err);
    for (size_t i = 0; i < 21; i++) {
        assert_int_equal(((char *)p)[i], 0);
    }
    tfn_mem_free(p);
    tfn_mem_free(NULL);
}

static void no_items_are_a_valid_pointer(void **state)
{
    (void)state;
    void *p = NULL;
    tfn_error err = {0};
    assert_ok(tfn_mem_alloc_array(0, 8, &p, &err), err);
    assert_non_null(p);
    assert_ok(tfn_mem_realloc_array(&p, 0, 8, &err), err);
    assert_non_null(p);
    tfn_mem_free(p);
    assert_ok(tfn_mem_alloc_uninit(8, 0, &p, &err), err);
    assert_non_null(p);
    tfn_mem_free(p);
}

static void sizes_that_overflow_are_refused(void **state)
{
    (void)state;
    void *p = &p;
    tfn_error err = {0};
    assert_int_equal(tfn_mem_alloc_array(SIZE_MAX / 2, 3, &p, &err), TFN_NO_MEMORY);
    assert_null(p);
    assert_text(err.message, "3 bytes");
    p = &err;
    assert_int_equal(tfn_mem_alloc_uninit(SIZE_MAX, 2, &p, &err), TFN_NO_MEMORY);
    assert_null(p);
    assert_ok(tfn_mem_alloc_uninit(1, 1, &p, &err), err);
    void *before = p;
    assert_int_equal(tfn_mem_realloc_array(&p, SIZE_MAX, 2, &err), TFN_NO_MEMORY);
    assert_ptr_equal(p, before);
    char *text = NULL;
    assert_int_equal(tfn_mem_copy_bytes("x", SIZE_MAX, &text, &err), TFN_NO_MEMORY);
    assert_null(text);
    tfn_mem_free(p);
}

static void arrays_grow_by_halves_and_keep_their_contents(void **state)
{
    (void)state;
    void *p = NULL;
    size_t capacity = 0;
    tfn_error err = {0};
    assert_ok(tfn_mem_grow(&p, &capacity, 1, sizeof(int), &err), err);
    assert_int_equal(capacity, 8);
    ((int *)p)[7] = 42;
    const void *before = p;
    assert_ok(tfn_mem_grow(&p, &capacity, 8, sizeof(int), &err), err);
    assert_ptr_equal(p, before);
    assert_ok(tfn_mem_grow(&p, &capacity, 9, sizeof(int), &err), err);
    assert_int_equal(capacity, 12);
    assert_ok(tfn_mem_grow(&p, &capacity, 100, sizeof(int), &err), err);
    assert_int_equal(capacity, 100);
    assert_int_equal(((int *)p)[7], 42);
    assert_int_equal(tfn_mem_grow(&p, &capacity, SIZE_MAX, sizeof(int), &err), TFN_NO_MEMORY);
    assert_int_equal(capacity, 100);
    assert_int_equal(((int *)p)[7], 42);
    tfn_mem_free(p);
}

static void texts_and_bytes_are_copied_with_an_end(void **state)
{
    (void)state;
    char *copy = NULL;
    tfn_error err = {0};
    assert_ok(tfn_mem_copy_text("hello", &copy, &err), err);
    assert_string_equal(copy, "hello");
    tfn_mem_free(copy);
    assert_ok(tfn_mem_copy_bytes("a\0b", 3, &copy, &err), err);
    assert_memory_equal(copy, "a\0b\0", 4);
    tfn_mem_free(copy);
    assert_ok(tfn_mem_copy_bytes(NULL, 0, &copy, &err), err);
    assert_string_equal(copy, "");
    tfn_mem_free(copy);
}

static void checked_sums_and_products(void **state)
{
    (void)state;
    size_t out = 0;
    assert_true(tfn_mem_mul(3, 4, &out));
    assert_int_equal(out, 12);
    assert_false(tfn_mem_mul(SIZE_MAX, 2, &out));
    assert_true(tfn_mem_add(SIZE_MAX - 1, 1, &out));
    assert_true(out == SIZE_MAX);
    assert_false(tfn_mem_add(SIZE_MAX, 1, &out));
}

#ifdef TFN_FAULT_INJECTION
static void the_chosen_allocation_is_refused_once(void **state)
{
    (void)state;
    void *p = NULL;
    tfn_error err = {0};
    tfn_mem_fault_arm(2);
    assert_ok(tfn_mem_alloc_array(1, 1, &p, &err), err);
    tfn_mem_free(p);
    assert_int_equal(tfn_mem_alloc_array(1, 1, &p, &err), TFN_NO_MEMORY);
    assert_null(p);
    assert_ok(tfn_mem_alloc_array(1, 1, &p, &err), err);
    tfn_mem_free(p);
    assert_int_equal(tfn_mem_fault_count(), 3);
    tfn_mem_fault_arm(0);
    assert_int_equal(tfn_mem_fault_count(), 0);
}
#endif

static void a_large_block_begins_at_a_cache_line_and_may_grow(void **state)
{
    (void)state;
    enum { LARGE = 5 << 20 };
    tfn_error err = {0};
    void *p = NULL;
    assert_ok(tfn_mem_alloc_uninit(LARGE, 1, &p, &err), err);
    assert_int_equal((uintptr_t)p % 64, 0);
    memset(p, 7, LARGE);
    assert_ok(tfn_mem_realloc_array(&p, 2 * LARGE, 1, &err), err);
    assert_int_equal(((char *)p)[LARGE - 1], 7);
    tfn_mem_free(p);
    assert_ok(tfn_mem_alloc_array(LARGE, 1, &p, &err), err);
    for (int i = 0; i < LARGE; i += 4096) {
        assert_int_equal(((char *)p)[i], 0);
    }
    tfn_mem_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_block_begins_at_a_cache_line_and_may_grow),
        cmocka_unit_test(arrays_are_zeroed),
        cmocka_unit_test(no_items_are_a_valid_pointer),
        cmocka_unit_test(sizes_that_overflow_are_refused),
        cmocka_unit_test(arrays_grow_by_halves_and_keep_their_contents),
        cmocka_unit_test(texts_and_bytes_are_copied_with_an_end),
        cmocka_unit_test(checked_sums_and_products),
#ifdef TFN_FAULT_INJECTION
        cmocka_unit_test(the_chosen_allocation_is_refused_once),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
