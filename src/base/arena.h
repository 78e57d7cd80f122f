/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_BASE_ARENA_H
#define TFN_BASE_ARENA_H

/*
 * An arena: memory for one request, one join call or one parse, given back all at once.
 *
 * A zeroed struct is an empty arena. It never leaves the thread that uses it. Under ASan pieces are
 * separated by a poisoned gap, so an overrun from one piece into the next is seen.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct tfn_arena_block tfn_arena_block;

typedef struct tfn_arena {
    tfn_arena_block *first; /* newest block; older ones are linked behind it */
    char *next;             /* first unused byte of the newest block */
    char *end;
    size_t n_bytes;   /* bytes held from the heap */
    size_t max_bytes; /* ceiling on n_bytes; 0 = none */
} tfn_arena;

/** A place in an arena to which it can be rewound. */
typedef struct tfn_arena_mark {
    tfn_arena_block *first;
    char *next;
    char *end;
} tfn_arena_mark;

/**
 * Empty arena with a ceiling (0 = none). Allocates nothing.
 *
 * Threads  one at a time
 * Errors   none
 */
void tfn_arena_init(tfn_arena *a, size_t max_bytes);

/** Give everything back; the arena is empty and usable. Threads one at a time. Errors none. */
void tfn_arena_deinit(tfn_arena *a);

/** Forget all pieces but keep the newest block for reuse. Threads one at a time. Errors none. */
void tfn_arena_reset(tfn_arena *a);

/**
 * Make room: pieces of n_bytes in all (each rounded up to 16) then come from one block, which is no
 * larger than that. What is not sure to be needed is better left to the arena's own growth.
 *
 * Threads  one at a time
 * Errors   as tfn_arena_alloc
 */
TFN_NODISCARD tfn_code tfn_arena_reserve(tfn_arena *a, size_t n_bytes, tfn_error *err);

/**
 * n * size bytes, aligned to 16, contents undefined.
 *
 * @param out  [borrow until the arena is rewound, reset or deinit'ed]
 *
 * Threads  one at a time
 * Errors   TFN_NO_MEMORY . TFN_LIMIT the arena's ceiling would be passed
 */
TFN_NODISCARD tfn_code tfn_arena_alloc(tfn_arena *a, size_t n, size_t size, void **out,
                                       tfn_error *err);

/** As tfn_arena_alloc, zeroed. */
TFN_NODISCARD tfn_code tfn_arena_alloc_zero(tfn_arena *a, size_t n, size_t size, void **out,
                                            tfn_error *err);

/** Copy of n bytes with a NUL added. Errors as tfn_arena_alloc. */
TFN_NODISCARD tfn_code tfn_arena_copy(tfn_arena *a, const void *bytes, size_t n_bytes,
                                      const char **out, tfn_error *err);

/** Remember a place, and go back to it: all pieces made since are gone. */
tfn_arena_mark tfn_arena_get_mark(const tfn_arena *a);
void tfn_arena_rewind(tfn_arena *a, tfn_arena_mark mark);

#endif
