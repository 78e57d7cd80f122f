/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Arbitrary bytes as a text that is to be a uuid, a decimal, JSON or an object: the first byte
 * chooses. They are taken or refused with a sentence in UTF-8, and nothing else happens. What is a
 * map is JSON, too, and stays one with white space before it.
 */

#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "column/logical.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static tfn_code check(uint8_t logical, tfn_str text)
{
    tfn_error err = {0};
    const tfn_type type = {.kind = TFN_KIND_STRING, .logical = logical};
    const tfn_cell cell = {.bytes = text};
    const tfn_code rc = tfn_logical_check(type, &cell, &err);
    const bool is_fair = rc == TFN_OK || rc == TFN_SCHEMA || rc == TFN_NO_MEMORY;
    if (!is_fair || (tfn_str_is_utf8(text) && !tfn_str_is_utf8(tfn_str_of(err.message)))) {
        abort();
    }
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    const uint8_t logical = (uint8_t)(1 + data[0] % TFN_LOGICAL_STRUCT);
    const tfn_str text = {(const char *)data + 1, size - 1};
    const tfn_code rc = check(logical, text);
    if (rc != TFN_OK || logical < TFN_LOGICAL_JSON) {
        return 0;
    }
    tfn_buf spaced = {0};
    if (check(TFN_LOGICAL_JSON, text) == TFN_SCHEMA ||
        (tfn_buf_add_text(&spaced, " \n", NULL) == TFN_OK &&
         tfn_buf_add_str(&spaced, text, NULL) == TFN_OK &&
         check(logical, tfn_buf_get_str(&spaced)) == TFN_SCHEMA)) {
        abort();
    }
    tfn_buf_deinit(&spaced);
    return 0;
}
