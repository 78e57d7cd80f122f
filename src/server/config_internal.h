/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_CONFIG_INTERNAL_H
#define TFN_SERVER_CONFIG_INTERNAL_H

/* What the files of the settings share: config.c, config_options.c, config_read.c, settings.c. */

#include "base/str.h"
#include "server/config.h"

/** A setting of the server that both the command line and `feature_server` know. */
typedef struct tfn__setting tfn__setting;

/** Which of them: those of the server itself, of its limits, its access log, its feature logs. */
typedef enum tfn__setting_group {
    TFN__SETTING_SERVER = 0,
    TFN__SETTING_LIMIT = 1,
    TFN__SETTING_ACCESS_LOG = 2,
    TFN__SETTING_FEATURE_LOG = 3
} tfn__setting_group;

/** By its name in the YAML file; NULL: there is none. Threads any. Errors none. */
const tfn__setting *tfn__setting_find(tfn__setting_group group, tfn_str name);

/**
 * Put a value, given as text, into the settings.
 *
 * @param base   [borrow, nullable] folder that a relative path starts at; NULL = as it is
 * @param where  [borrow] what the value is called in messages, e.g. "--port"
 *
 * Errors   TFN_INVALID says what the value may be . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__setting_put(tfn_server_config *config, const tfn__setting *setting,
                                        tfn_str value, const char *base, const char *where,
                                        tfn_error *err);

/** "max_body, max_entity_rows, ...", for messages. [borrow] */
TFN_NODISCARD tfn_code tfn__setting_list(tfn__setting_group group, tfn_arena *arena,
                                         const char **out, tfn_error *err);

/**
 * A size as people write it: "16MiB", "1.5GB", "4096". As the Python SDK's to_bytes.
 *
 * @return false: it is none, or not within 1 .. 2^63 - 1
 */
bool tfn__read_size(tfn_str text, int64_t *out_bytes);

/** base "/" path, or a copy of `path` when it is absolute or there is no base. */
TFN_NODISCARD tfn_code tfn__join_path(tfn_arena *arena, const char *base, tfn_str path,
                                      const char **out, tfn_error *err);

#endif
