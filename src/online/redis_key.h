/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_ONLINE_REDIS_KEY_H
#define TFN_ONLINE_REDIS_KEY_H

/*
 * Feast's names of things in Redis: the key of a hash, the fields in it.
 *
 * Format    docs/formats/redis.md, "Keys" and "Fields"
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "column/key.h"
#include "online/online.h"

/** Can Feast's keys hold join keys of this type? (int32 int64 string bytes timestamp) */
bool tfn__redis_can_be_key(tfn_type type);

/** What keys of one view have in common. Made in an arena, immutable. */
typedef struct tfn__redis_keys {
    tfn_key_plan plan; /* of the encoded keys; times in seconds */
    bool has_times;
    uint32_t order[TFN_MAX_KEY_PARTS]; /* parts in the order of Feast: by name */
    tfn_str head;                      /* number and names of the join keys */
    tfn_str project;
} tfn__redis_keys;

/**
 * Prepare the keys of a view.
 *
 * @param view   [borrow] project and names of keys must outlive `out`
 * @param arena  [borrow] holds what `out` points to
 *
 * Threads  any
 * Errors   TFN_UNSUPPORTED a join key of a type that Feast's keys cannot hold . TFN_LIMIT .
 *          TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__redis_keys_init(const tfn_online_view *view, tfn_arena *arena,
                                            tfn__redis_keys *out, tfn_error *err);

/**
 * Append the key of a hash: Feast's entity key (version 3) and the project's name.
 *
 * @param key      [borrow] as column/key.h encodes it
 * @param scratch  [borrow] for unescaped texts
 * @param is_kept  [out] false: a time with a fraction of a second, which Feast's keys do not have;
 *                 nothing was appended
 *
 * Threads  one at a time per buffer and arena
 * Errors   TFN_CORRUPT not such a key . TFN_LIMIT . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__redis_keys_add(const tfn__redis_keys *keys, tfn_str key,
                                           tfn_arena *scratch, tfn_buf *out, bool *is_kept,
                                           tfn_error *err);

/** Is this an entity key, followed by exactly this project's name? Threads any. Errors none. */
bool tfn__redis_key_is_of(tfn_str redis_key, tfn_str project);

enum { TFN__REDIS_FIELD_BYTES = 4 };

/**
 * Field of a feature: murmur3 (x86, 32 bit, seed 0) of "view:feature", little endian.
 *
 * @param scratch  overwritten
 *
 * Threads  one at a time per buffer
 * Errors   TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__redis_field_of(tfn_str view, tfn_str feature, tfn_buf *scratch,
                                           uint8_t out[TFN__REDIS_FIELD_BYTES], tfn_error *err);

#endif
