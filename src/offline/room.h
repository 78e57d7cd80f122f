/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_OFFLINE_ROOM_H
#define TFN_OFFLINE_ROOM_H

/* Memory for a member of a struct that owns it: what was made before a refusal is ended by the
 * struct's own deinit, so the maker may return at once. */

#include <string.h>

#include "base/mem.h"

/**
 * n items of `size` bytes (zeroed, or not), written to a member.
 *
 * @param member  address of a pointer to any type of object; set to NULL on error. [own] by whoever
 *                holds the member: ends with tfn_mem_free
 *
 * Errors   TFN_NO_MEMORY
 */
TFN_NODISCARD static inline tfn_code tfn__room(size_t n, size_t size, void *member, tfn_error *err)
{
    void *p = NULL;
    const tfn_code rc = tfn_mem_alloc_uninit(n, size, &p, err);
    memcpy(member, &p, sizeof p);
    return rc;
}

TFN_NODISCARD static inline tfn_code tfn__room_zero(size_t n, size_t size, void *member,
                                                    tfn_error *err)
{
    void *p = NULL;
    const tfn_code rc = tfn_mem_alloc_array(n, size, &p, err);
    memcpy(member, &p, sizeof p);
    return rc;
}

/** Make a member hold at least n_wanted items; as tfn_mem_grow. */
TFN_NODISCARD static inline tfn_code tfn__room_grow(void *member, size_t *capacity, size_t n_wanted,
                                                    size_t size, tfn_error *err)
{
    void *p = NULL;
    memcpy(&p, member, sizeof p);
    const tfn_code rc = tfn_mem_grow(&p, capacity, n_wanted, size, err);
    memcpy(member, &p, sizeof p);
    return rc;
}

#endif
