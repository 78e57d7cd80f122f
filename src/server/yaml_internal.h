/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_YAML_INTERNAL_H
#define TFN_SERVER_YAML_INTERNAL_H

/* Between yaml.c, which reads events, and yaml_scalar.c, which knows what a scalar is. */

#include "server/yaml.h"

typedef enum tfn__yaml_outcome {
    TFN__YAML_KNOWN = 0,
    TFN__YAML_NO_VALUE = 1, /* e.g. !!int with letters */
    TFN__YAML_NO_TAG = 2    /* one that safe_load does not know */
} tfn__yaml_outcome;

/**
 * Decide what the scalar node->text is, and set its kind and value.
 *
 * @param tag  [borrow, nullable] full tag, e.g. "tag:yaml.org,2002:int"; NULL = by its looks
 *
 * Threads  any
 * Errors   none: the outcome
 */
tfn__yaml_outcome tfn__yaml_resolve(tfn_yaml *node, const char *tag);

#endif
