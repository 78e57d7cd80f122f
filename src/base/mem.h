/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_BASE_MEM_H
#define TFN_BASE_MEM_H

/*
 * The only door to the heap. Sizes are checked for overflow; every allocation may be refused, in
 * tests at a chosen count.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/**
 * n * size bytes, zeroed. n * size == 0 gives a valid pointer to one byte.
 *
 * @param out  [own] on TFN_OK: ends with tfn_mem_free. On error: NULL.
 *
 * Threads  any
 * Errors   TFN_NO_MEMORY (also when n * size overflows)
 */
TFN_NODISCARD tfn_code tfn_mem_alloc_array(size_t n, size_t size, void **out, tfn_error *err);

/**
 * As tfn_mem_alloc_array, contents undefined (large arrays that are filled at once).
 *
 * Threads  any
 * Errors   TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_mem_alloc_uninit(size_t n, size_t size, void **out, tfn_error *err);

/**
 * Resize `*p` (NULL allowed) to n * size bytes; new bytes are undefined. On error `*p` is as it
 * was.
 *
 * Threads  any
 * Errors   TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_mem_realloc_array(void **p, size_t n, size_t size, tfn_error *err);

/**
 * Make `*p` hold at least `n_wanted` items of `size` bytes, growing by halves; `*capacity` in
 * items.
 *
 * Threads  any
 * Errors   TFN_NO_MEMORY; then `*p` and `*capacity` are as they were
 */
TFN_NODISCARD tfn_code tfn_mem_grow(void **p, size_t *capacity, size_t n_wanted, size_t size,
                                    tfn_error *err);

/**
 * Copy of a NUL-terminated string, or of n bytes with a NUL added.
 *
 * @param out  [own] ends with tfn_mem_free
 *
 * Threads  any
 * Errors   TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_mem_copy_text(const char *text, char **out, tfn_error *err);
TFN_NODISCARD tfn_code tfn_mem_copy_bytes(const void *bytes, size_t n_bytes, char **out,
                                          tfn_error *err);

/** Give memory back; NULL is fine. Threads any. Errors none. */
void tfn_mem_free(void *p);

/** a * b and a + b for sizes from input; false when they overflow. Threads any. Errors none. */
static inline bool tfn_mem_mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool tfn_mem_add(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

#ifdef TFN_FAULT_INJECTION
/*
 * Test builds only. The k-th allocation from now on (1 = the next) is refused, once; 0 switches
 * refusal off. The count of allocations since the last call is returned by tfn_mem_fault_count.
 * All threads share one counter.
 */
void tfn_mem_fault_arm(int64_t k);
int64_t tfn_mem_fault_count(void);
#endif

#endif
