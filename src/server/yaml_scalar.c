/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * What a scalar is, by YAML 1.1 as PyYAML's resolver and SafeConstructor have it, and how values are
 * shown as Python and as JSON.
 *
 * The forms are small regular languages; each has a matcher that walks the text once. They are those of
 * PyYAML's table, oddities included: 1e5 is a text (no point), 08 is a text (no octal), 1:30 is
 * ninety, 0b_ looks like a number and is none.
 */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "base/json.h"
#include "server/yaml_internal.h"

#include "base/poison.h"

enum { MAX_NUMBER_BYTES = 128, MAX_REPR_BYTES = 256, BASE_60 = 60 };

/* ---- matchers: each takes what it can from *p, and returns how much that was ---- */

static size_t take(const char **p, const char *accepted)
{
    const size_t n = strspn(*p, accepted);
    *p += n;
    return n;
}

static bool take_one(const char **p, const char *accepted)
{
    if (**p == '\0' || strchr(accepted, **p) == NULL) {
        return false;
    }
    (*p)++;
    return true;
}

/* Between min and max digits. */
static bool take_digits(const char **p, size_t min, size_t max)
{
    size_t n = 0;
    while (n < max && **p >= '0' && **p <= '9') {
        (*p)++;
        n++;
    }
    return n >= min;
}

static bool is_one_of(const char *text, const char *const *words)
{
    for (size_t i = 0; words[i] != NULL; i++) {
        if (strcmp(text, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_null(const char *text)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL", NULL};
    return is_one_of(text, words);
}

static bool is_truth(const char *text, bool *truth)
{
    static const char *const yes[] = {"yes",  "Yes", "YES", "true", "True",
                                      "TRUE", "on",  "On",  "ON",   NULL};
    static const char *const no[] = {"no",    "No",  "NO",  "false", "False",
                                     "FALSE", "off", "Off", "OFF",   NULL};
    *truth = is_one_of(text, yes);
    return *truth || is_one_of(text, no);
}

/* (:[0-5]?[0-9])+ */
static bool take_sixtieths(const char **p)
{
    size_t n = 0;
    while (**p == ':') {
        (*p)++;
        n++;
        const bool has_two = **p >= '0' && **p <= '5' && (*p)[1] >= '0' && (*p)[1] <= '9';
        if (!take_digits(p, 1, has_two ? 2 : 1)) {
            return false;
        }
    }
    return n > 0;
}

/* 0b[0-1_]+ | 0x[0-9a-fA-F_]+ | 0[0-7_]+ | 0 | [1-9][0-9_]* | [1-9][0-9_]*(:[0-5]?[0-9])+ */
static bool is_int(const char *p)
{
    (void)take_one(&p, "+-");
    if (p[0] == '0' && (p[1] == 'b' || p[1] == 'x')) {
        const char *digits = p[1] == 'b' ? "01_" : "0123456789abcdefABCDEF_";
        p += 2;
        return take(&p, digits) > 0 && *p == '\0';
    }
    if (*p == '0') {
        p++;
        (void)take(&p, "01234567_");
        return *p == '\0';
    }
    if (!take_one(&p, "123456789")) {
        return false;
    }
    (void)take(&p, "0123456789_");
    return *p == '\0' || (take_sixtieths(&p) && *p == '\0');
}

/* ([eE][-+][0-9]+)? and the end */
static bool is_exponent(const char *p)
{
    if (*p == '\0') {
        return true;
    }
    return take_one(&p, "eE") && take_one(&p, "+-") && take(&p, "0123456789") > 0 && *p == '\0';
}

static bool is_named_float(const char *text)
{
    static const char *const infinities[] = {".inf", ".Inf", ".INF", NULL};
    static const char *const nans[] = {".nan", ".NaN", ".NAN", NULL};
    const char *p = text;
    (void)take_one(&p, "+-");
    return is_one_of(p, infinities) || is_one_of(text, nans);
}

/* [-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]+)? | \.[0-9][0-9_]*([eE][-+][0-9]+)?
   | [-+]?[0-9][0-9_]*(:[0-5]?[0-9])+\.[0-9_]* | [-+]?\.(inf|Inf|INF) | \.(nan|NaN|NAN) */
static bool is_float(const char *text)
{
    static const char digits[] = "0123456789_";
    const char *p = text;
    if (p[0] == '.' && p[1] >= '0' && p[1] <= '9') {
        p++;
        (void)take(&p, digits);
        return is_exponent(p);
    }
    (void)take_one(&p, "+-");
    if (!take_digits(&p, 1, 1)) {
        return is_named_float(text);
    }
    (void)take(&p, digits);
    const bool has_sixtieths = *p == ':';
    if ((has_sixtieths && !take_sixtieths(&p)) || !take_one(&p, ".")) {
        return false;
    }
    (void)take(&p, digits);
    return has_sixtieths ? *p == '\0' : is_exponent(p);
}

/* ([ \t]*(Z|[-+][0-9][0-9]?(:[0-9][0-9])?))? and the end */
static bool is_zone(const char *p)
{
    if (*p == '\0') {
        return true;
    }
    (void)take(&p, " \t");
    if (take_one(&p, "Z")) {
        return *p == '\0';
    }
    if (!take_one(&p, "+-") || !take_digits(&p, 1, 2)) {
        return false;
    }
    return *p == '\0' || (take_one(&p, ":") && take_digits(&p, 2, 2) && *p == '\0');
}

/* A date, or a date and a time. */
static bool is_time(const char *text)
{
    const char *p = text;
    if (!take_digits(&p, 4, 4) || !take_one(&p, "-") || !take_digits(&p, 1, 2) ||
        !take_one(&p, "-") || !take_digits(&p, 1, 2)) {
        return false;
    }
    if (*p == '\0') {
        enum { DATE_BYTES = 10 };
        return p - text == DATE_BYTES;
    }
    if (!take_one(&p, "Tt") && take(&p, " \t") == 0) {
        return false;
    }
    if (!take_digits(&p, 1, 2) || !take_one(&p, ":") || !take_digits(&p, 2, 2) ||
        !take_one(&p, ":") || !take_digits(&p, 2, 2)) {
        return false;
    }
    if (take_one(&p, ".")) {
        (void)take(&p, "0123456789");
    }
    return is_zone(p);
}

/* ---- values ---- */

static int digit_of(char c)
{
    enum { TEN = 10 };
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return (c | ' ') >= 'a' && (c | ' ') <= 'f' ? (c | ' ') - 'a' + TEN : -1;
}

typedef enum number {
    NUMBER_READ,
    NUMBER_BIG, /* beyond 64 bits */
    NUMBER_NONE
} number;

/* *out = *out * base + digits, downwards from 0, since there is one more number below it. */
static number add_digits(const char **p, int base, int64_t *out)
{
    bool is_big = false;
    size_t n = 0;
    int64_t value = 0;
    for (; **p != '\0' && **p != ':'; (*p)++) {
        const int digit = digit_of(**p);
        if (**p == '_') {
            continue;
        }
        if (digit < 0 || digit >= base) {
            return NUMBER_NONE;
        }
        n++;
        is_big = is_big || __builtin_mul_overflow(value, base, &value) ||
                 __builtin_sub_overflow(value, digit, &value);
    }
    is_big = is_big || __builtin_mul_overflow(*out, BASE_60, out) ||
             __builtin_add_overflow(*out, value, out);
    if (n == 0) {
        return NUMBER_NONE;
    }
    return is_big ? NUMBER_BIG : NUMBER_READ;
}

static int base_of(const char **p)
{
    enum { BINARY = 2, OCTAL = 8, DECIMAL = 10, HEX = 16 };
    if (**p != '0') {
        return DECIMAL;
    }
    if ((*p)[1] == 'b' || (*p)[1] == 'x') {
        *p += 2;
        return (*p)[-1] == 'b' ? BINARY : HEX;
    }
    return OCTAL;
}

/* As SafeConstructor.construct_yaml_int. */
static number read_int(const char *p, int64_t *out)
{
    const bool is_negative = *p == '-';
    (void)take_one(&p, "+-");
    const int base = base_of(&p);
    number result = add_digits(&p, base, out);
    while (result != NUMBER_NONE && *p == ':') {
        p++;
        const number next = add_digits(&p, base, out);
        result = next == NUMBER_READ ? result : next;
    }
    if (result == NUMBER_READ && !is_negative && __builtin_mul_overflow(*out, -1, out)) {
        return NUMBER_BIG;
    }
    return result;
}

static bool read_plain_float(const char *text, size_t n, double *out)
{
    char digits[MAX_NUMBER_BYTES];
    size_t n_digits = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] != '_' && n_digits < sizeof digits - 1) {
            digits[n_digits++] = text[i];
        }
    }
    digits[n_digits] = '\0';
    char *end = NULL;
    *out = strtod(digits, &end);
    return n_digits > 0 && *end == '\0' && strspn(digits, "0123456789.eE+-") == n_digits;
}

/* As SafeConstructor.construct_yaml_float. */
static bool read_float(const char *p, double *out)
{
    const double sign = *p == '-' ? -1 : 1;
    (void)take_one(&p, "+-");
    if (p[0] == '.' && (p[1] | ' ') == 'i') {
        *out = sign * (double)INFINITY;
        return true;
    }
    if (p[0] == '.' && (p[1] | ' ') == 'n') {
        *out = (double)NAN;
        return true;
    }
    double all = 0;
    for (;;) {
        const size_t n = strcspn(p, ":");
        double part = 0;
        if (!read_plain_float(p, n, &part)) {
            return false;
        }
        all = all * (double)BASE_60 + part;
        p += n;
        if (*p == '\0') {
            *out = sign * all;
            return true;
        }
        p++;
    }
}

static tfn__yaml_outcome set_int(tfn_yaml *node)
{
    node->kind = TFN_YAML_INT;
    switch (read_int(node->text.p, &node->integer)) {
    case NUMBER_READ:
        return TFN__YAML_KNOWN;
    case NUMBER_BIG:
        node->kind = TFN_YAML_BIG;
        return TFN__YAML_KNOWN;
    case NUMBER_NONE:
        break;
    }
    return TFN__YAML_NO_VALUE;
}

static tfn__yaml_outcome set_float(tfn_yaml *node)
{
    node->kind = TFN_YAML_FLOAT;
    return read_float(node->text.p, &node->real) ? TFN__YAML_KNOWN : TFN__YAML_NO_VALUE;
}

/* By its looks: in the order of PyYAML's resolvers. */
static tfn__yaml_outcome resolve_plain(tfn_yaml *node)
{
    const char *text = node->text.p;
    if (strlen(text) != node->text.n) { /* a zero byte: no number, no word */
        return TFN__YAML_KNOWN;
    }
    if (is_truth(text, &node->truth)) {
        node->kind = TFN_YAML_BOOL;
    } else if (is_float(text)) {
        return set_float(node);
    } else if (is_int(text)) {
        return set_int(node);
    } else if (strcmp(text, "<<") == 0) {
        node->is_merge = true;
    } else if (is_null(text)) {
        node->kind = TFN_YAML_NULL;
    } else if (is_time(text)) {
        node->kind = TFN_YAML_TIME;
    } else if (strcmp(text, "=") == 0) {
        return TFN__YAML_NO_TAG; /* "value", which safe_load cannot construct */
    }
    return TFN__YAML_KNOWN;
}

static tfn__yaml_outcome resolve_tagged(tfn_yaml *node, const char *tag)
{
    const char *text = node->text.p;
    if (strcmp(tag, YAML_STR_TAG) == 0) {
        return TFN__YAML_KNOWN;
    }
    if (strcmp(tag, YAML_NULL_TAG) == 0) {
        node->kind = TFN_YAML_NULL;
        return TFN__YAML_KNOWN;
    }
    if (strcmp(tag, YAML_BOOL_TAG) == 0) {
        node->kind = TFN_YAML_BOOL;
        return is_truth(text, &node->truth) ? TFN__YAML_KNOWN : TFN__YAML_NO_VALUE;
    }
    if (strcmp(tag, YAML_INT_TAG) == 0) {
        return set_int(node);
    }
    if (strcmp(tag, YAML_FLOAT_TAG) == 0) {
        return set_float(node);
    }
    if (strcmp(tag, YAML_TIMESTAMP_TAG) == 0) {
        node->kind = TFN_YAML_TIME;
        return is_time(text) ? TFN__YAML_KNOWN : TFN__YAML_NO_VALUE;
    }
    if (strcmp(tag, "tag:yaml.org,2002:merge") == 0) {
        node->is_merge = true;
        return TFN__YAML_KNOWN;
    }
    return TFN__YAML_NO_TAG;
}

tfn__yaml_outcome tfn__yaml_resolve(tfn_yaml *node, const char *tag)
{
    node->kind = TFN_YAML_TEXT;
    return tag == NULL ? resolve_plain(node) : resolve_tagged(node, tag);
}

/* ---- questions ---- */

bool tfn_yaml_is_text(const tfn_yaml *value, const char *text)
{
    return value != NULL && value->kind == TFN_YAML_TEXT && tfn_str_is(value->text, text);
}

bool tfn_yaml_is_true(const tfn_yaml *value)
{
    switch (value->kind) {
    case TFN_YAML_NULL:
        return false;
    case TFN_YAML_BOOL:
        return value->truth;
    case TFN_YAML_INT:
        return value->integer != 0;
    case TFN_YAML_FLOAT:
        return value->real != 0;
    case TFN_YAML_TEXT:
        return value->text.n > 0;
    case TFN_YAML_LIST:
    case TFN_YAML_MAP:
        return value->n > 0;
    case TFN_YAML_BIG:
    case TFN_YAML_TIME:
        break;
    }
    return true;
}

/* ---- shown as Python and as JSON ---- */

/* Shortest decimal digits that read back as the same number, as "d.ddde+XX". */
static void shortest(double value, char *text, size_t n_bytes)
{
    enum { MAX_DIGITS = 17 };
    for (int n = 0; n < MAX_DIGITS; n++) {
        (void)snprintf(text, n_bytes, "%.*e", n, value);
        if (strtod(text, NULL) == value) {
            return;
        }
    }
}

/* As Python's repr and json.dumps show a finite number: an exponent below 1e-4 and from 1e16 on. */
static tfn_code add_finite(double value, tfn_buf *out, tfn_error *err)
{
    enum { MIN_POINT = -4, MAX_POINT = 16 };
    char text[MAX_NUMBER_BYTES];
    shortest(value, text, sizeof text);
    char *e = strchr(text, 'e');
    const int exponent = (int)strtol(e + 1, NULL, 10);
    const int n_digits = (int)(e - text) - (value < 0 || signbit(value) ? 1 : 0);
    const int n_behind = n_digits > 1 ? n_digits - 2 : 0; /* digits behind the point of "d.ddd" */
    if (exponent < MIN_POINT || exponent >= MAX_POINT) {
        *e = '\0';
        return tfn_buf_add_format(out, err, "%se%c%02d", text, exponent < 0 ? '-' : '+',
                                  abs(exponent));
    }
    const int n_decimals = n_behind - exponent;
    return tfn_buf_add_format(out, err, "%.*f", n_decimals < 1 ? 1 : n_decimals, value);
}

static tfn_code add_float(double value, bool is_json, tfn_buf *out, tfn_error *err)
{
    if (isnan(value)) {
        return tfn_buf_add_text(out, is_json ? "NaN" : "nan", err);
    }
    if (isinf(value)) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, value < 0 ? "-" : "", err));
        return tfn_buf_add_text(out, is_json ? "Infinity" : "inf", err);
    }
    return add_finite(value, out, err);
}

/* Bytes of the UTF-8 character at i. */
static size_t n_bytes_of(tfn_str text, size_t i)
{
    enum { CONTINUES = 0x80, MASK = 0xC0 };
    size_t n = 1;
    while (i + n < text.n && ((unsigned char)text.p[i + n] & MASK) == CONTINUES) {
        n++;
    }
    return n;
}

static tfn_code add_quoted(tfn_str text, tfn_buf *out, tfn_error *err)
{
    enum { SPACE = 0x20, DELETE = 0x7f };
    const bool has_single = text.n > 0 && memchr(text.p, '\'', text.n) != NULL;
    const bool has_double = text.n > 0 && memchr(text.p, '"', text.n) != NULL;
    const char quote = has_single && !has_double ? '"' : '\'';
    TFN_RETURN_IF_ERROR(tfn_buf_add(out, &quote, 1, err));
    for (size_t i = 0; i < text.n; i++) {
        const unsigned char c = (unsigned char)text.p[i];
        if (c == '\n' || c == '\t' || c == '\r') {
            const char *escape = c == '\n' ? "\\n" : "\\t";
            TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, c == '\r' ? "\\r" : escape, err));
        } else if (c < SPACE || c == DELETE) {
            TFN_RETURN_IF_ERROR(tfn_buf_add_format(out, err, "\\x%02x", c));
        } else {
            const bool is_escaped = c == '\\' || c == (unsigned char)quote;
            const size_t n = n_bytes_of(text, i); /* whole, so that no cut is within one */
            TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, is_escaped ? "\\" : "", err));
            TFN_RETURN_IF_ERROR(tfn_buf_add(out, &text.p[i], n, err));
            i += n - 1;
        }
    }
    return tfn_buf_add(out, &quote, 1, err);
}

/* datetime.date(2020, 1, 2); what has a time, as it was written. */
static tfn_code add_time(tfn_str text, tfn_buf *out, tfn_error *err)
{
    if (text.n != strlen("2020-01-02")) {
        return tfn_buf_add_str(out, text, err);
    }
    return tfn_buf_add_format(out, err, "datetime.date(%ld, %ld, %ld)", strtol(text.p, NULL, 10),
                              strtol(text.p + 5, NULL, 10), strtol(text.p + 8, NULL, 10));
}

static tfn_code add_scalar(const tfn_yaml *value, bool is_json, tfn_buf *out, tfn_error *err)
{
    switch (value->kind) {
    case TFN_YAML_NULL:
        return tfn_buf_add_text(out, is_json ? "null" : "None", err);
    case TFN_YAML_BOOL:
        if (is_json) {
            return tfn_buf_add_text(out, value->truth ? "true" : "false", err);
        }
        return tfn_buf_add_text(out, value->truth ? "True" : "False", err);
    case TFN_YAML_INT:
        return tfn_buf_add_format(out, err, "%lld", (long long)value->integer);
    case TFN_YAML_BIG: /* whoever reads the JSON refuses a text where it wants a number */
        return is_json ? tfn_json_add_text(out, value->text, err)
                       : tfn_buf_add_str(out, value->text, err);
    case TFN_YAML_FLOAT:
        return add_float(value->real, is_json, out, err);
    case TFN_YAML_TIME:
        return is_json ? tfn_json_add_text(out, value->text, err) : add_time(value->text, out, err);
    case TFN_YAML_TEXT:
    case TFN_YAML_LIST:
    case TFN_YAML_MAP:
        break;
    }
    return is_json ? tfn_json_add_text(out, value->text, err) : add_quoted(value->text, out, err);
}

static tfn_code add_value(const tfn_yaml *value, bool is_json, tfn_buf *out, tfn_error *err)
{
    const bool is_map = value->kind == TFN_YAML_MAP;
    if (!is_map && value->kind != TFN_YAML_LIST) {
        return add_scalar(value, is_json, out, err);
    }
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, is_map ? "{" : "[", err));
    for (size_t i = 0; i < value->n; i++) {
        const tfn_yaml_item *item = &value->items[i];
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, i == 0 ? "" : ", ", err));
        if (is_map && is_json) {
            TFN_RETURN_IF_ERROR(tfn_json_add_text(out, item->name, err));
        } else if (is_map) {
            TFN_RETURN_IF_ERROR(add_scalar(item->key, false, out, err));
        }
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, is_map ? ": " : "", err));
        TFN_RETURN_IF_ERROR(add_value(item->value, is_json, out, err));
    }
    return tfn_buf_add_text(out, is_map ? "}" : "]", err);
}

tfn_code tfn_yaml_add_json(const tfn_yaml *value, tfn_buf *out, tfn_error *err)
{
    return add_value(value, true, out, err);
}

tfn_code tfn_yaml_add_repr(const tfn_yaml *value, tfn_buf *out, tfn_error *err)
{
    tfn_buf shown;
    tfn_buf_init(&shown, MAX_REPR_BYTES);
    tfn_error problem = {0};
    tfn_code rc = add_value(value, false, &shown, &problem);
    if (rc == TFN_OK || rc == TFN_LIMIT) { /* what fits is enough to know it by */
        const bool is_cut = rc == TFN_LIMIT;
        rc = tfn_buf_add_str(out, tfn_buf_get_str(&shown), err);
        if (rc == TFN_OK && is_cut) {
            rc = tfn_buf_add_text(out, "...", err);
        }
    } else {
        rc = tfn_error_move(err, &problem);
    }
    tfn_buf_deinit(&shown);
    return rc;
}
