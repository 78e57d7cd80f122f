/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_BASE_JSON_H
#define TFN_BASE_JSON_H

/* JSON through yyjson, with our allocator, our errors and our slices. */

#include <stdbool.h>

#include <yyjson.h>

#include "base/buf.h"
#include "base/str.h"
#include "base/time.h"

/** An allocator for yyjson over base/mem.h, so that its allocations can be refused in tests. */
extern const yyjson_alc tfn_json_alc;

static inline tfn_str tfn_json_get_str(yyjson_val *value)
{
    return (tfn_str){yyjson_get_str(value), yyjson_get_len(value)};
}

/** Text member of an object; empty when it is missing or no text. */
static inline tfn_str tfn_json_get_member(yyjson_val *object, const char *key)
{
    return tfn_json_get_str(yyjson_obj_get(object, key));
}

/**
 * Parse.
 *
 * @param text  [borrow] not changed
 * @param what  for messages, e.g. "the request"
 * @param out   [own] ends with yyjson_doc_free
 *
 * Threads  any
 * Errors   TFN_INVALID `what` is not JSON: reason and byte . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_json_parse(tfn_str text, const char *what, yyjson_doc **out,
                                      tfn_error *err);

/**
 * A document to be filled: empty, or a copy of a parsed one. It remembers a refused allocation, so
 * members may be added without a look at each; tfn_json_write tells.
 *
 * @param out  [own] ends with tfn_json_destroy
 *
 * Threads  one at a time per document
 * Errors   TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_json_create(yyjson_mut_doc **out, tfn_error *err);
TFN_NODISCARD tfn_code tfn_json_copy(yyjson_doc *from, yyjson_mut_doc **out, tfn_error *err);
void tfn_json_destroy(yyjson_mut_doc *doc);

/**
 * Write a document as text.
 *
 * @param text  [own] ends with tfn_mem_free
 *
 * Errors   TFN_NO_MEMORY, also when something could not be added before: a text is whole or is none
 */
TFN_NODISCARD tfn_code tfn_json_write(const yyjson_mut_doc *doc, char **text, tfn_error *err);

/**
 * Append a text as JSON: quoted, with escapes for what JSON does not allow bare. UTF-8 stays as it
 * is; hashes are taken of these bytes, so they never change.
 *
 * Threads  one at a time per buffer
 * Errors   as tfn_buf_add; what was appended before the error stays
 */
TFN_NODISCARD tfn_code tfn_json_add_text(tfn_buf *out, tfn_str text, tfn_error *err);

/** Add members; false when memory is exhausted. Text is copied. */
bool tfn_json_add_str(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, tfn_str text);
/** ISO 8601, or null for TFN_INSTANT_NONE. */
bool tfn_json_add_time(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, tfn_instant t);

#endif
