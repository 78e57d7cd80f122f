/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Arena: a list of blocks, newest first; a piece is cut from the newest block.
 *
 *   first -> [block 64 KiB | pieces ... next        end] -> [older block] -> NULL
 *
 * Invariants
 *  1. next and end lie in `first`, or all three are NULL.
 *  2. n_bytes is the sum of the blocks' sizes, headers included.
 *  3. Under ASan the rest of a block behind `next` and the gap after each piece are poisoned.
 */

#include "base/arena.h"

#include <stdbool.h>
#include <string.h>

#include "base/mem.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION((p), (n))
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
enum { GAP_BYTES = 16 };
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
enum { GAP_BYTES = 0 };
#endif

#include "base/poison.h"

enum {
    ALIGN_BYTES = 16,
    BLOCK_BYTES = 64 * 1024 /* first block; later ones are as large as all before, up to 1 MiB */,
    BLOCK_MAX_BYTES = 1024 * 1024
};

struct tfn_arena_block {
    tfn_arena_block *older;
    size_t n_bytes;
};

static char *block_begin(tfn_arena_block *block)
{
    return (char *)block + ((sizeof *block + ALIGN_BYTES - 1) & ~(size_t)(ALIGN_BYTES - 1));
}

void tfn_arena_init(tfn_arena *a, size_t max_bytes)
{
    *a = (tfn_arena){.max_bytes = max_bytes};
}

static void free_blocks_until(tfn_arena *a, const tfn_arena_block *keep)
{
    while (a->first != keep) {
        tfn_arena_block *older = a->first->older;
        a->n_bytes -= a->first->n_bytes;
        UNPOISON(a->first, a->first->n_bytes);
        tfn_mem_free(a->first);
        a->first = older;
    }
}

void tfn_arena_deinit(tfn_arena *a)
{
    free_blocks_until(a, NULL);
    a->next = NULL;
    a->end = NULL;
}

void tfn_arena_reset(tfn_arena *a)
{
    if (a->first == NULL) {
        return;
    }
    tfn_arena_block *newest = a->first;
    a->first = newest->older;
    newest->older = NULL;
    a->n_bytes -= newest->n_bytes;
    free_blocks_until(a, NULL);
    a->first = newest;
    a->n_bytes = newest->n_bytes;
    a->next = block_begin(newest);
    a->end = (char *)newest + newest->n_bytes;
    POISON(a->next, (size_t)(a->end - a->next));
}

/* A new first block with room for a piece: of n_wanted bytes if the ceiling allows. */
static tfn_code add_block(tfn_arena *a, size_t n_piece, size_t n_wanted, tfn_error *err)
{
    size_t n_least = 0;
    if (!tfn_mem_add(n_piece, sizeof(tfn_arena_block) + ALIGN_BYTES, &n_least)) {
        return TFN_FAIL(err, TFN_NO_MEMORY, "%zu bytes were asked for in one piece", n_piece);
    }
    const size_t n_room = a->max_bytes > 0 ? a->max_bytes - a->n_bytes : SIZE_MAX;
    n_wanted = n_wanted > n_room ? n_room : n_wanted;
    const size_t n_block = n_wanted > n_least ? n_wanted : n_least;
    if (n_block > n_room) {
        return TFN_FAIL(err, TFN_LIMIT, "this call may hold %zu bytes; it needs at least %zu more",
                        a->max_bytes, n_piece);
    }
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_uninit(n_block, 1, &p, err));
    tfn_arena_block *block = p;
    block->older = a->first;
    block->n_bytes = n_block;
    a->first = block;
    a->n_bytes += n_block;
    a->next = block_begin(block);
    a->end = (char *)block + n_block;
    POISON(a->next, (size_t)(a->end - a->next));
    return TFN_OK;
}

tfn_code tfn_arena_reserve(tfn_arena *a, size_t n_bytes, tfn_error *err)
{
    const bool has_room = a->first != NULL && (size_t)(a->end - a->next) >= n_bytes;
    return has_room ? TFN_OK : add_block(a, n_bytes, 0, err);
}

tfn_code tfn_arena_alloc(tfn_arena *a, size_t n, size_t size, void **out, tfn_error *err)
{
    *out = NULL;
    size_t n_bytes = 0;
    size_t n_piece = 0;
    if (!tfn_mem_mul(n, size, &n_bytes) ||
        !tfn_mem_add(n_bytes, ALIGN_BYTES - 1 + GAP_BYTES, &n_piece)) {
        return TFN_FAIL(err, TFN_NO_MEMORY, "%zu items of %zu bytes were asked for", n, size);
    }
    n_piece &= ~(size_t)(ALIGN_BYTES - 1);
    if (a->first == NULL || (size_t)(a->end - a->next) < n_piece) {
        const size_t n_grown = a->n_bytes < BLOCK_BYTES ? BLOCK_BYTES : a->n_bytes;
        TFN_RETURN_IF_ERROR(
            add_block(a, n_piece, n_grown > BLOCK_MAX_BYTES ? BLOCK_MAX_BYTES : n_grown, err));
    }
    UNPOISON(a->next, n_bytes);
    *out = a->next;
    a->next += n_piece;
    return TFN_OK;
}

tfn_code tfn_arena_alloc_zero(tfn_arena *a, size_t n, size_t size, void **out, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(a, n, size, out, err));
    memset(*out, 0, n * size);
    return TFN_OK;
}

tfn_code tfn_arena_copy(tfn_arena *a, const void *bytes, size_t n_bytes, const char **out,
                        tfn_error *err)
{
    *out = NULL;
    void *p = NULL;
    size_t n_total = 0;
    if (!tfn_mem_add(n_bytes, 1, &n_total)) {
        return TFN_FAIL(err, TFN_NO_MEMORY, "%zu bytes were asked for", n_bytes);
    }
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(a, n_total, 1, &p, err));
    if (n_bytes > 0) {
        memcpy(p, bytes, n_bytes);
    }
    ((char *)p)[n_bytes] = '\0';
    *out = p;
    return TFN_OK;
}

tfn_arena_mark tfn_arena_get_mark(const tfn_arena *a)
{
    return (tfn_arena_mark){a->first, a->next, a->end};
}

void tfn_arena_rewind(tfn_arena *a, tfn_arena_mark mark)
{
    free_blocks_until(a, mark.first);
    a->next = mark.next;
    a->end = mark.end;
    if (a->next != NULL) {
        POISON(a->next, (size_t)(a->end - a->next));
    }
}
