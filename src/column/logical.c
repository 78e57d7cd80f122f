/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "column/logical.h"

#include <ctype.h>

#include "base/json.h"

#include "base/poison.h"

enum { UUID_DIGITS = 32, MAX_QUOTED_BYTES = 60 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_uuid(tfn_str text)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    const bool has_hyphens = text.n == sizeof form - 1;
    bool is = has_hyphens || text.n == UUID_DIGITS;
    for (size_t i = 0; i < text.n && is; i++) {
        is = has_hyphens && form[i] == '-' ? text.p[i] == '-'
                                           : isxdigit((unsigned char)text.p[i]) != 0;
    }
    return is;
}

/* How many digits a text has at its beginning. */
static size_t count_digits(tfn_str text)
{
    size_t n = 0;
    while (n < text.n && is_digit(text.p[n])) {
        n++;
    }
    return n;
}

static tfn_str behind(tfn_str text, size_t n)
{
    return (tfn_str){text.p + n, text.n - n};
}

static tfn_str behind_sign(tfn_str text)
{
    return behind(text, text.n > 0 && (text.p[0] == '+' || text.p[0] == '-') ? 1 : 0);
}

static bool is_decimal(tfn_str text)
{
    text = behind_sign(text);
    if (tfn_str_is(text, "NaN") || tfn_str_is(text, "Infinity")) {
        return true;
    }
    size_t n_digits = count_digits(text);
    text = behind(text, n_digits);
    if (text.n > 0 && text.p[0] == '.') {
        const size_t n_fraction = count_digits(behind(text, 1));
        text = behind(text, 1 + n_fraction);
        n_digits += n_fraction;
    }
    if (n_digits > 0 && text.n > 1 && (text.p[0] == 'e' || text.p[0] == 'E')) {
        text = behind_sign(behind(text, 1));
        const size_t n_exponent = count_digits(text);
        return n_exponent > 0 && n_exponent == text.n;
    }
    return n_digits > 0 && text.n == 0;
}

static tfn_code check_json(tfn_str text, bool is_object, bool *is, tfn_error *err)
{
    yyjson_read_err why = {0};
    char *bytes = (char *)(uintptr_t)text.p; /* not written to without YYJSON_READ_INSITU */
    yyjson_doc *doc = yyjson_read_opts(bytes, text.n, YYJSON_READ_NOFLAG, &tfn_json_alc, &why);
    *is = doc != NULL && (!is_object || yyjson_is_obj(yyjson_doc_get_root(doc)));
    yyjson_doc_free(doc);
    return why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION
               ? TFN_FAIL(err, TFN_NO_MEMORY, "JSON could not be checked: memory is exhausted")
               : TFN_OK;
}

static tfn_code check_text(uint8_t logical, tfn_str text, tfn_error *err)
{
    static const char *const expected[] = {
        [TFN_LOGICAL_UUID] = "uuid such as 0a0b0c0d-0000-4000-8000-000000000000",
        [TFN_LOGICAL_TIME_UUID] = "uuid such as 0a0b0c0d-0000-1000-8000-000000000000",
        [TFN_LOGICAL_DECIMAL] = "decimal number such as 12.50",
        [TFN_LOGICAL_JSON] = "JSON value",
        [TFN_LOGICAL_MAP] = "JSON object",
        [TFN_LOGICAL_STRUCT] = "JSON object",
    };
    bool is = true;
    switch (logical) {
    case TFN_LOGICAL_UUID:
    case TFN_LOGICAL_TIME_UUID:
        is = is_uuid(text);
        break;
    case TFN_LOGICAL_DECIMAL:
        is = is_decimal(text);
        break;
    case TFN_LOGICAL_JSON:
    case TFN_LOGICAL_MAP:
    case TFN_LOGICAL_STRUCT:
        TFN_RETURN_IF_ERROR(check_json(text, logical != TFN_LOGICAL_JSON, &is, err));
        break;
    default:
        break;
    }
    if (is) {
        return TFN_OK;
    }
    size_t n = text.n < MAX_QUOTED_BYTES ? text.n : MAX_QUOTED_BYTES;
    while (n > 0 && n < text.n && ((unsigned char)text.p[n] & 0xC0) == 0x80) {
        n--; /* not within a character */
    }
    return TFN_FAIL(err, TFN_SCHEMA, "'%.*s%s' is no %s", (int)n, text.p, n < text.n ? "..." : "",
                    expected[logical]);
}

tfn_code tfn_logical_check(tfn_type type, const tfn_cell *cell, tfn_error *err)
{
    if (type.logical == TFN_LOGICAL_NONE || cell->is_null) {
        return TFN_OK;
    }
    if (!type.is_list) {
        return check_text(type.logical, cell->bytes, err);
    }
    tfn_list list;
    TFN_RETURN_IF_ERROR(tfn_list_open(type, cell->bytes, &list, err));
    for (uint32_t i = 0; i < list.n; i++) {
        const tfn_cell item = tfn_list_get(&list, i);
        if (!item.is_null) {
            TFN_RETURN_IF_ERROR(check_text(type.logical, item.bytes, err));
        }
    }
    return TFN_OK;
}
