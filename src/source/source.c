/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * What all sources share: dispatch, the check of a scan against the columns, the first and last
 * time.
 *
 * A scan is checked here before its reader sees it: every column must be there, under one name
 * only, and readable as declared. Readers may rely on that; what only the data can tell (a CSV cell
 * that is no number) they report themselves.
 *
 * The first and last time come from an ordinary scan of the one column, a worker's minimum and
 * maximum at a time: exact in the column's own unit, and without infinities, which SQL's min and
 * max would return.
 */

#include "source/source.h"

#include <string.h>

#include "base/mem.h"
#include "source/files.h"
#include "source/source_internal.h"

#include "base/poison.h"

enum { MAX_NAMES_IN_MESSAGE = 20 };

int tfn_source_get_n_workers(const tfn_source *s, int n_threads)
{
    return s->verbs->get_n_workers(s, n_threads);
}

bool tfn_source_can_rescan(const tfn_source *s)
{
    return s->verbs->can_rescan(s);
}

const tfn_source_column *tfn_source_get_columns(const tfn_source *s, size_t *n_columns)
{
    *n_columns = s->n_columns;
    return s->columns;
}

int64_t tfn_source_find_column(const tfn_source *s, tfn_str name)
{
    uint32_t i = 0;
    return tfn_map_get(&s->by_name, name, &i) ? (int64_t)i : -1;
}

tfn_str tfn_source_get_label(const tfn_source *s)
{
    return s->label;
}

tfn_code tfn_source_scan(tfn_source *s, const tfn_scan *scan, tfn_scan_stats *stats, tfn_error *err)
{
    tfn_scan_stats unused = {0};
    if (stats == NULL) {
        stats = &unused;
    }
    *stats = (tfn_scan_stats){.n_rows_in_files = -1};
    if (scan->i_time >= (int64_t)scan->n_columns) {
        return TFN_FAIL(err, TFN_INVALID,
                        "column %lld was named as the time of a scan of %zu columns",
                        (long long)scan->i_time, scan->n_columns);
    }
    if (s->is_once && s->is_used) {
        return TFN_FAIL(
            err, TFN_INVALID,
            "%.*s is a stream, which can be read only once; pass a table to read it again",
            TFN_STR_ARG(s->label));
    }
    s->is_used = true;
    const double begin_s = tfn_clock_monotonic_s();
    const tfn_code rc = s->verbs->scan(s, scan, stats, err);
    stats->seconds = tfn_clock_monotonic_s() - begin_s;
    return rc;
}

tfn_code tfn_source_explain(tfn_source *s, const tfn_scan *scan, tfn_buf *out, tfn_error *err)
{
    return s->verbs->explain(s, scan, out, err);
}

void tfn_source_destroy(tfn_source *s)
{
    if (s != NULL) {
        s->verbs->destroy(s);
    }
}

tfn_code tfn__source_init(tfn_source *s, const tfn_source_verbs *verbs, tfn_str label,
                          tfn_error *err)
{
    s->verbs = verbs;
    const char *copy = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_copy(&s->arena, label.p, label.n, &copy, err));
    s->label = (tfn_str){copy, label.n};
    return TFN_OK;
}

void tfn__source_deinit(tfn_source *s)
{
    tfn_map_deinit(&s->by_name);
    tfn_arena_deinit(&s->arena);
}

tfn_code tfn__source_index(tfn_source *s, tfn_error *err)
{
    void *twins = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc_zero(&s->arena, s->n_columns + 1, sizeof(uint32_t), &twins, err));
    s->twins = twins;
    for (size_t i = 0; i < s->n_columns; i++) {
        uint32_t first = 0;
        if (tfn_map_get(&s->by_name, s->columns[i].name, &first)) {
            s->twins[first] = (uint32_t)i;
        } else {
            TFN_RETURN_IF_ERROR(tfn_map_put(&s->by_name, s->columns[i].name, (uint32_t)i, err));
        }
    }
    return TFN_OK;
}

/* ---- the check of a scan ---- */

static tfn_code missing_column(const tfn_source *s, tfn_str name, tfn_error *err)
{
    char names[512];
    size_t n = 0;
    size_t i = 0;
    for (; i < s->n_columns && i < MAX_NAMES_IN_MESSAGE; i++) {
        const tfn_str column = s->columns[i].name;
        if (n + column.n + 3 > sizeof names) {
            break;
        }
        if (i > 0) {
            memcpy(names + n, ", ", 2);
            n += 2;
        }
        memcpy(names + n, column.p, column.n);
        n += column.n;
    }
    names[n] = '\0';
    return TFN_FAIL(err, TFN_SCHEMA, "%.*s: there is no column '%.*s'; found %s%s",
                    TFN_STR_ARG(s->label), TFN_STR_ARG(name), n > 0 ? names : "no columns",
                    i < s->n_columns ? ", ..." : "");
}

bool tfn_source_column_is_null(const tfn_source_column *c)
{
    return c->type.kind == TFN_KIND_NONE && tfn_str_is(c->native_type, TFN__SOURCE_NULL_TYPE);
}

/* Everything is its own text; a text may be anything; "inf" was taken for a date, and "0" and "1"
 * for integers. What a guess says of all cells and would lose something (1.5 as an integer) is
 * refused as in a typed file. */
static bool can_parse(tfn_type declared, tfn_type guess)
{
    switch ((tfn_kind)declared.kind) {
    case TFN_KIND_STRING:
    case TFN_KIND_BYTES:
        return true;
    case TFN_KIND_FLOAT32:
    case TFN_KIND_FLOAT64:
        return guess.kind == TFN_KIND_STRING || guess.kind == TFN_KIND_DATE;
    case TFN_KIND_BOOL:
        return guess.kind == TFN_KIND_STRING || guess.kind == TFN_KIND_INT64;
    default:
        return guess.kind == TFN_KIND_STRING;
    }
}

/* A JSON member without one type: which value does not read as declared, the scan says. */
static bool is_mixed_json(const tfn_source_column *c)
{
    return c->is_text && (tfn_str_starts_with(c->native_type, "JSON") ||
                          tfn_str_starts_with(c->native_type, "\"NULL\"["));
}

bool tfn_source_column_can_read(const tfn_source_column *c, tfn_type declared)
{
    if (tfn_source_column_is_null(c)) {
        return true;
    }
    if (c->type.kind == TFN_KIND_NONE || declared.kind == TFN_KIND_NONE) {
        return c->type.kind != TFN_KIND_NONE ||
               (declared.kind != TFN_KIND_NONE && is_mixed_json(c));
    }
    const bool is_object =
        c->type.logical == TFN_LOGICAL_MAP || c->type.logical == TFN_LOGICAL_STRUCT;
    const bool is_parsed =
        c->is_text && !is_object && !declared.is_list && can_parse(declared, c->type);
    const bool is_decimal = c->type.logical == TFN_LOGICAL_DECIMAL && tfn_type_is_float(declared);
    const bool is_digits = c->is_text && declared.logical == TFN_LOGICAL_DECIMAL &&
                           (c->type.kind == TFN_KIND_INT64 || c->type.kind == TFN_KIND_FLOAT64);
    const bool is_number = (is_decimal || is_digits) && c->type.is_list == declared.is_list;
    return is_parsed || is_number || tfn_type_can_read(declared, c->type);
}

static tfn_code check_type(const tfn_source *s, const tfn_source_column *c, tfn_type want,
                           tfn_error *err)
{
    if (tfn_source_column_can_read(c, want)) {
        return TFN_OK;
    }
    char expected[TFN_TYPE_TEXT_BYTES];
    char found[TFN_TYPE_TEXT_BYTES];
    tfn_type_format(want, expected);
    tfn_type_format(c->type, found);
    if (c->type.kind == TFN_KIND_NONE) {
        return TFN_FAIL(
            err, TFN_SCHEMA,
            "%.*s: column '%.*s': expected %s, found %.*s, a type that Tiffin does not have",
            TFN_STR_ARG(s->label), TFN_STR_ARG(c->name),
            want.kind == TFN_KIND_NONE ? "one of Tiffin's types" : expected,
            TFN_STR_ARG(c->native_type));
    }
    return TFN_FAIL(err, TFN_SCHEMA, "%.*s: column '%.*s': expected %s, found %s",
                    TFN_STR_ARG(s->label), TFN_STR_ARG(c->name), expected, found);
}

static tfn_code check_one_name(const tfn_source *s, size_t i, tfn_error *err)
{
    if (s->twins[i] == 0) {
        return TFN_OK;
    }
    return TFN_FAIL(err, TFN_INVALID, "%.*s: columns %zu and %zu are both named '%.*s'",
                    TFN_STR_ARG(s->label), i + 1, (size_t)s->twins[i] + 1,
                    TFN_STR_ARG(s->columns[i].name));
}

tfn_code tfn__source_resolve(const tfn_source *s, const tfn_scan *scan, size_t *indexes,
                             tfn_error *err)
{
    for (size_t i = 0; i < scan->n_columns; i++) {
        const int64_t at = tfn_source_find_column(s, scan->columns[i]);
        if (at < 0) {
            return missing_column(s, scan->columns[i], err);
        }
        TFN_RETURN_IF_ERROR(check_one_name(s, (size_t)at, err));
        tfn_type want = tfn__scan_get_type(scan, i);
        if ((int64_t)i == scan->i_time && want.kind == TFN_KIND_NONE) {
            want = (tfn_type){.kind = TFN_KIND_TIMESTAMP};
        }
        TFN_RETURN_IF_ERROR(check_type(s, &s->columns[at], want, err));
        if (indexes != NULL) {
            indexes[i] = (size_t)at;
        }
    }
    return TFN_OK;
}

tfn_code tfn_source_check(const tfn_source *s, const tfn_scan *scan, tfn_error *err)
{
    return tfn__source_resolve(s, scan, NULL, err);
}

/* ---- first and last time ---- */

typedef struct extremes {
    bool has_any;
    tfn_unit unit;
    int64_t min;
    int64_t max;
} extremes;

/* Unit of a time vector's values; dates are turned into seconds by `value_of`. */
static int64_t value_of(const tfn_vec *v, int64_t i)
{
    const int64_t raw = tfn_vec_get_int(v, i);
    return v->type.kind == TFN_KIND_DATE ? raw * 86400 : raw;
}

static bool is_infinite(const tfn_vec *v, int64_t i)
{
    const int64_t raw = tfn_vec_get_int(v, i);
    if (!v->has_infinity) {
        return false;
    }
    return v->type.kind == TFN_KIND_DATE ? raw == INT32_MAX || raw == -INT32_MAX
                                         : raw == INT64_MAX || raw == -INT64_MAX;
}

static tfn_code take_extremes(void *context, int worker, const tfn_chunk *chunk, tfn_error *err)
{
    (void)err;
    extremes *e = (extremes *)context + worker;
    const tfn_vec *v = &chunk->cols[0];
    e->unit = v->type.kind == TFN_KIND_DATE ? TFN_UNIT_S : (tfn_unit)v->type.unit;
    for (int64_t i = 0; i < chunk->n; i++) {
        if (!tfn_vec_is_valid(v, i) || is_infinite(v, i)) {
            continue;
        }
        const int64_t value = value_of(v, i);
        e->min = !e->has_any || value < e->min ? value : e->min;
        e->max = !e->has_any || value > e->max ? value : e->max;
        e->has_any = true;
    }
    return TFN_OK;
}

tfn_code tfn_source_get_time_range(tfn_source *s, tfn_str column, bool *is_empty,
                                   tfn_instant *first, tfn_instant *last, tfn_error *err)
{
    *is_empty = true;
    *first = TFN_INSTANT_NONE;
    *last = TFN_INSTANT_NONE;
    const int n_workers = tfn_source_get_n_workers(s, 0);
    void *memory = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array((size_t)n_workers, sizeof(extremes), &memory, err));
    extremes *all = memory;
    const tfn_type type = {.kind = TFN_KIND_TIMESTAMP};
    const tfn_scan scan = {.columns = &column,
                           .n_columns = 1,
                           .types = &type,
                           .i_time = 0,
                           .what = "looking for the first and last time",
                           .consume = take_extremes,
                           .context = all};
    const tfn_code rc = tfn_source_scan(s, &scan, NULL, err);
    for (int i = 0; rc == TFN_OK && i < n_workers; i++) {
        if (!all[i].has_any) {
            continue;
        }
        const tfn_instant min = tfn_instant_of(all[i].min, all[i].unit);
        const tfn_instant max = tfn_instant_of(all[i].max, all[i].unit);
        *first = *is_empty || tfn_instant_compare(min, *first) < 0 ? min : *first;
        *last = *is_empty || tfn_instant_compare(max, *last) > 0 ? max : *last;
        *is_empty = false;
    }
    tfn_mem_free(all);
    return rc;
}

/* ---- JSON for explain ---- */

/* "event_timestamp >= 2013-01-01T00:00:00Z and event_timestamp <= ...", or "". */
static tfn_code add_predicate(tfn_buf *out, const tfn_scan *scan, tfn_error *err)
{
    if (scan->i_time < 0) {
        return TFN_OK;
    }
    const tfn_str name = scan->columns[scan->i_time];
    char text[TFN_TIME_TEXT_BYTES];
    if (scan->has_time_min) {
        tfn_instant_format(scan->time_min, text);
        TFN_RETURN_IF_ERROR(tfn_buf_add_format(out, err, "%.*s >= %s", TFN_STR_ARG(name), text));
    }
    if (scan->has_time_max) {
        tfn_instant_format(scan->time_max, text);
        TFN_RETURN_IF_ERROR(tfn_buf_add_format(
            out, err, "%s%.*s <= %s", scan->has_time_min ? " and " : "", TFN_STR_ARG(name), text));
    }
    return TFN_OK;
}

tfn_code tfn__json_add_scan(tfn_buf *out, const tfn_scan *scan, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, "\"columns\":[", err));
    for (size_t i = 0; i < scan->n_columns; i++) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, i > 0 ? "," : "", err));
        TFN_RETURN_IF_ERROR(tfn_json_add_text(out, scan->columns[i], err));
    }
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, "],\"predicate\":", err));
    tfn_buf predicate = {0};
    tfn_code rc = add_predicate(&predicate, scan, err);
    if (rc == TFN_OK) {
        rc = tfn_json_add_text(out, tfn_buf_get_str(&predicate), err);
    }
    tfn_buf_deinit(&predicate);
    return rc;
}
