/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_REGISTRY_FEAST_TYPES_H
#define TFN_REGISTRY_FEAST_TYPES_H

/*
 * Feast's types by number (its ValueType), as texts of ours: `float64`, `array<string>`. The one
 * table of both directions, for the registry file of Feast.
 */

#include "base/str.h"

/**
 * The type of a number, as documents have it; NULL for one that no document can have. Whether this
 * release has the type is for tfn_type_parse to say.
 *
 * @return  [borrow] static
 *
 * Threads  any
 * Errors   none
 */
const char *tfn__feast_type_text(int value_type);

/**
 * The number of a type; 0 for none. Feast has no date: it travels as UNIX_TIMESTAMP, 8.
 *
 * @param text  [borrow]
 *
 * Threads  any
 * Errors   none
 */
int tfn__feast_type_number(tfn_str text);

#endif
