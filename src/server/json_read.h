/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_JSON_READ_H
#define TFN_SERVER_JSON_READ_H

/* The JSON of a request, read into the arena of its context. */

#include <yyjson.h>

#include "base/arena.h"
#include "base/str.h"

/**
 * Parse. Depth costs nothing: the parser does not call itself. NaN and Infinity are numbers, as
 * Python's JSON has them, and so is what no double can hold.
 *
 * @param text     [borrow until the call returns]
 * @param root     [borrow until the arena is reset] with its texts; NULL on failure
 * @param problem  [out] what is wrong, and at which byte, or that memory is exhausted
 * @return         true when *root is set
 *
 * Cost     memory of about four times the text, from the arena
 * Threads  one at a time per arena
 * Errors   none: they are in `problem`
 */
bool tfn_json_read(tfn_arena *arena, tfn_str text, yyjson_val **root, yyjson_read_err *problem);

#endif
