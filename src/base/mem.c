/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Heap access, with overflow checks and, in test builds, refusal of the k-th allocation.
 *
 * Blocks of several megabytes are spine, slots and records of a join, which are read at random: they
 * begin at a cache line and ask for large pages (on S50, 8 % of all core seconds;
 * docs/decisions/007-join-speed.md). They are the heap's like all others.
 *
 * The fault counter is the one exception to "no mutable globals" besides the two tables named in
 * ARCHITECTURE.md; it exists only when TFN_FAULT_INJECTION is defined, which no shipped build does.
 */

#define TFN_ALLOW_MALLOC

#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifdef TFN_FAULT_INJECTION
#include <stdatomic.h>
#endif

#include "base/poison.h"

enum { CACHE_LINE_BYTES = 64, LARGE_PAGE_BYTES = 2 << 20, LARGE_BLOCK_BYTES = 4 << 20 };

#ifdef TFN_FAULT_INJECTION
static _Atomic int64_t fault_at;    /* lint: allow mutable-global - test builds only */
static _Atomic int64_t fault_count; /* lint: allow mutable-global - test builds only */

void tfn_mem_fault_arm(int64_t k)
{
    atomic_store(&fault_count, 0);
    atomic_store(&fault_at, k);
}

int64_t tfn_mem_fault_count(void)
{
    return atomic_load(&fault_count);
}

static bool refused(void)
{
    const int64_t n = atomic_fetch_add(&fault_count, 1) + 1;
    return n == atomic_load(&fault_at);
}
#else
static bool refused(void)
{
    return false;
}
#endif

/* Ask for large pages where a block covers them whole. Advice: what becomes of it is not looked at. */
static void advise_large_pages(void *p, size_t n_bytes)
{
#ifdef MADV_HUGEPAGE
    const uintptr_t begin =
        ((uintptr_t)p + LARGE_PAGE_BYTES - 1) & ~(uintptr_t)(LARGE_PAGE_BYTES - 1);
    const uintptr_t end = ((uintptr_t)p + n_bytes) & ~(uintptr_t)(LARGE_PAGE_BYTES - 1);
    if (n_bytes >= LARGE_BLOCK_BYTES && begin < end) {
        (void)madvise((void *)begin, end - begin, MADV_HUGEPAGE);
    }
#else
    (void)p;
    (void)n_bytes;
#endif
}

static tfn_code no_memory(size_t n, size_t size, tfn_error *err)
{
    return TFN_FAIL(err, TFN_NO_MEMORY,
                    "%zu items of %zu bytes were asked for; memory is exhausted", n, size);
}

tfn_code tfn_mem_alloc_array(size_t n, size_t size, void **out, tfn_error *err)
{
    *out = NULL;
    size_t n_bytes = 0;
    if (!tfn_mem_mul(n, size, &n_bytes) || refused()) {
        return no_memory(n, size, err);
    }
    void *p = calloc(1, n_bytes > 0 ? n_bytes : 1);
    if (p == NULL) {
        return no_memory(n, size, err);
    }
    advise_large_pages(p, n_bytes);
    *out = p;
    return TFN_OK;
}

tfn_code tfn_mem_alloc_uninit(size_t n, size_t size, void **out, tfn_error *err)
{
    *out = NULL;
    size_t n_bytes = 0;
    if (!tfn_mem_mul(n, size, &n_bytes) || n_bytes < LARGE_BLOCK_BYTES) {
        return tfn_mem_realloc_array(out, n, size, err);
    }
    void *p = NULL;
    if (refused() || posix_memalign(&p, CACHE_LINE_BYTES, n_bytes) != 0) {
        return no_memory(n, size, err);
    }
    advise_large_pages(p, n_bytes);
    *out = p;
    return TFN_OK;
}

tfn_code tfn_mem_realloc_array(void **p, size_t n, size_t size, tfn_error *err)
{
    size_t n_bytes = 0;
    if (!tfn_mem_mul(n, size, &n_bytes) || refused()) {
        return no_memory(n, size, err);
    }
    void *grown = realloc(*p, n_bytes > 0 ? n_bytes : 1);
    if (grown == NULL) {
        return no_memory(n, size, err);
    }
    advise_large_pages(grown, n_bytes);
    *p = grown;
    return TFN_OK;
}

tfn_code tfn_mem_grow(void **p, size_t *capacity, size_t n_wanted, size_t size, tfn_error *err)
{
    if (n_wanted <= *capacity) {
        return TFN_OK;
    }
    size_t n = *capacity + *capacity / 2;
    if (n < n_wanted) {
        n = n_wanted;
    }
    if (n < 8) {
        n = 8;
    }
    TFN_RETURN_IF_ERROR(tfn_mem_realloc_array(p, n, size, err));
    *capacity = n;
    return TFN_OK;
}

tfn_code tfn_mem_copy_text(const char *text, char **out, tfn_error *err)
{
    return tfn_mem_copy_bytes(text, strlen(text), out, err);
}

tfn_code tfn_mem_copy_bytes(const void *bytes, size_t n_bytes, char **out, tfn_error *err)
{
    *out = NULL;
    size_t n_total = 0;
    if (!tfn_mem_add(n_bytes, 1, &n_total)) {
        return no_memory(n_bytes, 1, err);
    }
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_uninit(n_total, 1, &p, err));
    if (n_bytes > 0) {
        memcpy(p, bytes, n_bytes);
    }
    ((char *)p)[n_bytes] = '\0';
    *out = p;
    return TFN_OK;
}

void tfn_mem_free(void *p)
{
    free(p);
}
