/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * One table of the server's settings, for both places that they come from.
 *
 * The command line has texts and YAML has numbers; numbers are made texts again before they come
 * here, so that each kind of value has one parser, one range and one sentence.
 */

#include "server/config_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#include "base/poison.h"

typedef enum kind {
    KIND_TEXT,
    KIND_PATH,     /* joined to its base, but for "-" */
    KIND_COUNT_32, /* a whole number, int32_t */
    KIND_COUNT_64, /* int64_t */
    KIND_BYTES,    /* a size, int64_t */
    KIND_SECONDS,  /* with a fraction; kept in ms, int32_t */
    KIND_SHARE     /* 0 .. 1, double */
} kind;

struct tfn__setting {
    const char *name;
    tfn__setting_group group;
    kind kind;
    int64_t min;
    int64_t max; /* of seconds: in ms */
    size_t offset;
};

#define AT(member) offsetof(tfn_server_config, member)

enum { MAX_SECONDS_MS = 24 * 60 * 60 * 1000, MAX_NUMBER_BYTES = 64 };

static const double MS_PER_SECOND = 1000;
static const int64_t MAX_ROWS = 1000000000;
static const int64_t MAX_BYTES = 1099511627776; /* 1 TiB */

static const tfn__setting SETTINGS[] = {
    {"host", TFN__SETTING_SERVER, KIND_TEXT, 1, 255, AT(host)},
    {"port", TFN__SETTING_SERVER, KIND_COUNT_32, 0, 65535, AT(port)},
    {"unix_socket", TFN__SETTING_SERVER, KIND_PATH, 1, 107, AT(unix_path)},
    {"workers", TFN__SETTING_SERVER, KIND_COUNT_32, 1, 256, AT(n_workers)},
    {"jobs", TFN__SETTING_SERVER, KIND_COUNT_32, 1, 256, AT(n_jobs)},
    {"tls_key", TFN__SETTING_SERVER, KIND_PATH, 1, 4095, AT(tls_key)},
    {"tls_cert", TFN__SETTING_SERVER, KIND_PATH, 1, 4095, AT(tls_cert)},
    {"keys", TFN__SETTING_SERVER, KIND_PATH, 1, 4095, AT(keys_path)},
    {"python", TFN__SETTING_SERVER, KIND_TEXT, 1, 4095, AT(python)},
    {"path", TFN__SETTING_ACCESS_LOG, KIND_PATH, 1, 4095, AT(access_log_path)},
    {"sample_rate", TFN__SETTING_ACCESS_LOG, KIND_SHARE, 0, 1, AT(access_log_rate)},
    {"path", TFN__SETTING_FEATURE_LOG, KIND_PATH, 1, 4095, AT(feature_log_path)},
    {"queue", TFN__SETTING_FEATURE_LOG, KIND_BYTES, 4096, INT64_MAX, AT(feature_log_queue_bytes)},
    {"max_body", TFN__SETTING_LIMIT, KIND_BYTES, 1024, INT64_MAX, AT(limits.max_body_bytes)},
    {"max_bodies", TFN__SETTING_LIMIT, KIND_BYTES, 1024, INT64_MAX, AT(limits.max_bodies_bytes)},
    {"max_answer", TFN__SETTING_LIMIT, KIND_BYTES, 65536, INT64_MAX, AT(limits.max_answer_bytes)},
    {"max_entity_rows", TFN__SETTING_LIMIT, KIND_COUNT_64, 1, INT64_MAX,
     AT(limits.max_entity_rows)},
    {"max_features", TFN__SETTING_LIMIT, KIND_COUNT_64, 1, INT64_MAX, AT(limits.max_features)},
    {"max_header", TFN__SETTING_LIMIT, KIND_BYTES, 1024, INT64_MAX, AT(limits.max_header_bytes)},
    {"max_connections", TFN__SETTING_LIMIT, KIND_COUNT_32, 1, 1000000, AT(limits.max_connections)},
    {"max_jobs", TFN__SETTING_LIMIT, KIND_COUNT_32, 1, 1000000, AT(limits.max_jobs)},
    {"request_seconds", TFN__SETTING_LIMIT, KIND_SECONDS, 1, MAX_SECONDS_MS, AT(limits.request_ms)},
    {"idle_seconds", TFN__SETTING_LIMIT, KIND_SECONDS, 1, MAX_SECONDS_MS, AT(limits.idle_ms)},
    {"drain_seconds", TFN__SETTING_LIMIT, KIND_SECONDS, 0, MAX_SECONDS_MS, AT(limits.drain_ms)},
};

enum { N_SETTINGS = sizeof SETTINGS / sizeof *SETTINGS };

/* The ceiling of a setting whose row says INT64_MAX: those of the two kinds that would not fit. */
static int64_t max_of(const tfn__setting *setting)
{
    if (setting->max != INT64_MAX) {
        return setting->max;
    }
    return setting->kind == KIND_BYTES ? MAX_BYTES : MAX_ROWS;
}

const tfn__setting *tfn__setting_find(tfn__setting_group group, tfn_str name)
{
    for (size_t i = 0; i < N_SETTINGS; i++) {
        if (SETTINGS[i].group == group && tfn_str_is(name, SETTINGS[i].name)) {
            return &SETTINGS[i];
        }
    }
    return NULL;
}

tfn_code tfn__setting_list(tfn__setting_group group, tfn_arena *arena, const char **out,
                           tfn_error *err)
{
    tfn_buf names = {0};
    tfn_code rc = TFN_OK;
    for (size_t i = 0; rc == TFN_OK && i < N_SETTINGS; i++) {
        if (SETTINGS[i].group == group) {
            rc =
                tfn_buf_add_format(&names, err, "%s%s", names.n == 0 ? "" : ", ", SETTINGS[i].name);
        }
    }
    if (rc == TFN_OK) {
        rc = tfn_arena_copy(arena, names.p, names.n, out, err);
    }
    tfn_buf_deinit(&names);
    return rc;
}

/* ---- values ---- */

/* A whole number with an optional minus; false: it is none, or beyond 64 bits. */
static bool read_whole(tfn_str text, int64_t *out)
{
    const bool is_negative = text.n > 0 && text.p[0] == '-';
    *out = 0;
    for (size_t i = is_negative ? 1 : 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9' || __builtin_mul_overflow(*out, 10, out) ||
            __builtin_sub_overflow(*out, text.p[i] - '0', out)) {
            return false;
        }
    }
    return text.n > (is_negative ? 1 : 0) &&
           (is_negative || !__builtin_mul_overflow(*out, -1, out));
}

/* Digits, a point, an exponent: what strtod would take besides (hex, inf, nan) is no number here. */
static bool read_decimal(tfn_str text, double *out)
{
    char digits[MAX_NUMBER_BYTES];
    if (text.n == 0 || text.n >= sizeof digits) {
        return false;
    }
    for (size_t i = 0; i < text.n; i++) {
        if (strchr("0123456789.eE+-", text.p[i]) == NULL || text.p[i] == '\0') {
            return false;
        }
        digits[i] = text.p[i];
    }
    digits[text.n] = '\0';
    char *end = NULL;
    *out = strtod(digits, &end);
    return end == digits + text.n;
}

static tfn_str trim(tfn_str text)
{
    while (text.n > 0 && (text.p[0] == ' ' || text.p[0] == '\t')) {
        text = (tfn_str){text.p + 1, text.n - 1};
    }
    while (text.n > 0 && (text.p[text.n - 1] == ' ' || text.p[text.n - 1] == '\t')) {
        text.n--;
    }
    return text;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_unit(tfn_str text, const char *unit)
{
    bool is_same = text.n == strlen(unit);
    for (size_t i = 0; is_same && i < text.n; i++) {
        is_same = lower(text.p[i]) == unit[i];
    }
    return is_same;
}

bool tfn__read_size(tfn_str text, int64_t *out_bytes)
{
    static const struct {
        const char *name;
        double bytes;
    } units[] = {
        {"", 1},      {"b", 1},      {"kb", 1e3},      {"mb", 1e6},         {"gb", 1e9},
        {"tb", 1e12}, {"kib", 1024}, {"mib", 1048576}, {"gib", 1073741824}, {"tib", 1099511627776}};
    const tfn_str all = trim(text);
    tfn_str number = all;
    while (number.n > 0 && strchr("tkmgib \t", lower(number.p[number.n - 1])) != NULL &&
           number.p[number.n - 1] != '\0') {
        number.n--;
    }
    const tfn_str unit = trim((tfn_str){all.p + number.n, all.n - number.n});
    double count = 0;
    *out_bytes = 0;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (is_unit(unit, units[i].name) && read_decimal(number, &count)) {
            count *= units[i].bytes;
            const bool fits = count >= 1 && count < 9223372036854775808.0;
            *out_bytes = fits ? (int64_t)count : 0;
            return fits;
        }
    }
    return false;
}

tfn_code tfn__join_path(tfn_arena *arena, const char *base, tfn_str path, const char **out,
                        tfn_error *err)
{
    if (base == NULL || path.n == 0 || path.p[0] == '/') {
        return tfn_arena_copy(arena, path.p, path.n, out, err);
    }
    const tfn_str head = tfn_str_of(base);
    const size_t n_slash = head.n == 0 || tfn_str_ends_with(head, "/") ? 0 : 1;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(arena, head.n + path.n + 2, 1, &p, err));
    char *joined = p;
    memcpy(joined, head.p, head.n);
    joined[head.n] = '/';
    memcpy(joined + head.n + n_slash, path.p, path.n);
    *out = joined;
    return TFN_OK;
}

/* ---- putting them where they belong ---- */

static tfn_code refuse(const tfn__setting *setting, tfn_str value, const char *where,
                       tfn_error *err)
{
    const long long min = (long long)setting->min;
    const long long max = (long long)max_of(setting);
    switch (setting->kind) {
    case KIND_TEXT:
    case KIND_PATH:
        return TFN_FAIL(err, TFN_INVALID, "%s must be a %s of 1 to %lld bytes of UTF-8, not '%.*s'",
                        where, setting->kind == KIND_PATH ? "path" : "name", max,
                        TFN_STR_ARG(value));
    case KIND_COUNT_32:
    case KIND_COUNT_64:
        return TFN_FAIL(err, TFN_INVALID, "%s must be a whole number from %lld to %lld, not '%.*s'",
                        where, min, max, TFN_STR_ARG(value));
    case KIND_BYTES:
        return TFN_FAIL(err, TFN_INVALID,
                        "%s must be a size from %lld bytes to 1 TiB, e.g. 16MiB, not '%.*s'", where,
                        min, TFN_STR_ARG(value));
    case KIND_SECONDS:
        return TFN_FAIL(
            err, TFN_INVALID, "%s must be a number of seconds %s and up to %lld, not '%.*s'", where,
            min == 0 ? "from 0" : "above 0", max / (long long)MS_PER_SECOND, TFN_STR_ARG(value));
    case KIND_SHARE:
        break;
    }
    return TFN_FAIL(err, TFN_INVALID, "%s must be a share from 0 to 1, e.g. 0.01, not '%.*s'",
                    where, TFN_STR_ARG(value));
}

static tfn_code put_text(tfn_server_config *config, const tfn__setting *setting, tfn_str value,
                         const char *base, const char *where, tfn_error *err)
{
    const char **out = (const char **)(void *)((char *)config + setting->offset);
    const char *text = NULL;
    const bool is_path = setting->kind == KIND_PATH && !tfn_str_is(value, "-");
    if (value.n == 0 || memchr(value.p, '\0', value.n) != NULL || !tfn_str_is_utf8(value)) {
        return refuse(setting, value, where, err);
    }
    TFN_RETURN_IF_ERROR(tfn__join_path(&config->arena, is_path ? base : NULL, value, &text, err));
    if (strlen(text) > (size_t)setting->max) {
        return refuse(setting, tfn_str_of(text), where, err);
    }
    *out = text;
    return TFN_OK;
}

/* Whole numbers of every kind, in the unit in which they are kept; false: none, or out of range. */
static bool read_number(const tfn__setting *setting, tfn_str value, int64_t *out)
{
    double seconds = 0;
    bool is_number = false;
    if (setting->kind == KIND_BYTES) {
        is_number = tfn__read_size(value, out);
    } else if (setting->kind == KIND_SECONDS) {
        is_number = read_decimal(value, &seconds) && seconds >= 0 &&
                    seconds * MS_PER_SECOND <= (double)setting->max;
        *out = is_number ? (int64_t)(seconds * MS_PER_SECOND + 0.5) : 0;
    } else {
        is_number = read_whole(value, out);
    }
    return is_number && *out >= setting->min && *out <= max_of(setting);
}

static tfn_code put_number(tfn_server_config *config, const tfn__setting *setting, tfn_str value,
                           const char *where, tfn_error *err)
{
    void *out = (char *)config + setting->offset;
    int64_t number = 0;
    if (!read_number(setting, value, &number)) {
        return refuse(setting, value, where, err);
    }
    if (setting->kind == KIND_COUNT_64 || setting->kind == KIND_BYTES) {
        *(int64_t *)out = number;
    } else {
        *(int32_t *)out = (int32_t)number;
    }
    return TFN_OK;
}

static tfn_code put_share(tfn_server_config *config, const tfn__setting *setting, tfn_str value,
                          const char *where, tfn_error *err)
{
    double share = 0;
    if (!read_decimal(value, &share) || !(share >= 0 && share <= 1)) {
        return refuse(setting, value, where, err);
    }
    *(double *)(void *)((char *)config + setting->offset) = share;
    return TFN_OK;
}

/* A Unix socket replaces the address, unless one was given as well. */
static void choose_address(tfn_server_config *config, size_t offset)
{
    if (offset == AT(host) || offset == AT(port)) {
        config->is_address_said = true;
        config->host = config->host == NULL ? "127.0.0.1" : config->host;
    } else if (offset == AT(unix_path) && !config->is_address_said) {
        config->host = NULL;
    }
}

tfn_code tfn__setting_put(tfn_server_config *config, const tfn__setting *setting, tfn_str value,
                          const char *base, const char *where, tfn_error *err)
{
    switch (setting->kind) {
    case KIND_TEXT:
    case KIND_PATH:
        TFN_RETURN_IF_ERROR(put_text(config, setting, value, base, where, err));
        break;
    case KIND_SHARE:
        TFN_RETURN_IF_ERROR(put_share(config, setting, value, where, err));
        break;
    case KIND_COUNT_32:
    case KIND_COUNT_64:
    case KIND_BYTES:
    case KIND_SECONDS:
        TFN_RETURN_IF_ERROR(put_number(config, setting, value, where, err));
        break;
    }
    choose_address(config, setting->offset);
    return TFN_OK;
}
