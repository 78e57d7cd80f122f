/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * yyjson over an arena: its two or three allocations come from the context's block, so that a
 * request allocates nothing of the system once that block has grown to what requests need.
 *
 * The document itself is not kept: it lies in the arena, as everything that it points to.
 */

#include "server/json_read.h"

#include <string.h>

#include "base/poison.h"

static void *arena_alloc(void *context, size_t n_bytes)
{
    void *p = NULL;
    return tfn_arena_alloc(context, n_bytes, 1, &p, NULL) == TFN_OK ? p : NULL;
}

static void *arena_resize(void *context, void *p, size_t n_old, size_t n_bytes)
{
    if (n_bytes <= n_old) {
        return p;
    }
    void *grown = arena_alloc(context, n_bytes);
    if (grown != NULL) {
        memcpy(grown, p, n_old);
    }
    return grown;
}

static void arena_release(void *context, void *p)
{
    (void)context;
    (void)p; /* with the arena */
}

bool tfn_json_read(tfn_arena *arena, tfn_str text, yyjson_val **root, yyjson_read_err *problem)
{
    const yyjson_alc memory = {arena_alloc, arena_resize, arena_release, arena};
    *problem = (yyjson_read_err){0};
    /* Without YYJSON_READ_INSITU yyjson does not write to the text. */
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)text.p, text.n,
                                       YYJSON_READ_ALLOW_INF_AND_NAN, &memory, problem);
    *root = doc == NULL ? NULL : yyjson_doc_get_root(doc);
    return doc != NULL;
}
