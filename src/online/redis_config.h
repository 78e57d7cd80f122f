/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_ONLINE_REDIS_CONFIG_H
#define TFN_ONLINE_REDIS_CONFIG_H

/*
 * online_store of type redis, as it is configured: what Feast's keys say, and our time-outs.
 *
 * For users    docs/online-redis.md
 */

#include <stdint.h>

#include "base/arena.h"
#include "online/redis_client.h"

typedef struct tfn__redis_settings {
    tfn_redis_config client; /* texts in the arena */
    int64_t key_ttl_seconds; /* of a hash after a write; 0: for ever */
    tfn_arena arena;
} tfn__redis_settings;

/**
 * Read the settings.
 *
 * @param json  [borrow] online_store as a JSON object
 * @param out   [out] ends with tfn__redis_settings_deinit, also after an error
 *
 * Threads  any
 * Errors   TFN_INVALID names the key, what it may be and never what a password was .
 *          TFN_UNSUPPORTED a setting of Feast's that Tiffin does not have . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__redis_settings_init(const char *json, tfn__redis_settings *out,
                                                tfn_error *err);

/** Threads one at a time. Errors none. */
void tfn__redis_settings_deinit(tfn__redis_settings *settings);

#endif
