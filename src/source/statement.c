/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Running one SQL statement on the caller's thread, and turning DuckDB's errors into ours.
 *
 * The statement runs through DuckDB's pending interface: the caller's thread executes tasks itself,
 * and between two tasks (some 50 vectors) it can ask whether to stop. An interrupted query still
 * has to be run to its end, which comes within milliseconds.
 *
 * A sentence of DuckDB's keeps its first line and its file names; SQL, hints on DuckDB's own
 * options and "LINE 1:" tails go. A CSV error is rebuilt from its parts: file, line, column,
 * expected, found; one of JSON likewise.
 */

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/time.h"
#include "source/remote.h"

#include "base/poison.h"

enum { MAX_ROW_CELLS = 64 };

static const double TICK_S = 0.05;

/* ---- SQL text ---- */

static tfn_code add_quoted(tfn_buf *sql, tfn_str text, char quote, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add(sql, &quote, 1, err));
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == quote) {
            TFN_RETURN_IF_ERROR(tfn_buf_add(sql, &quote, 1, err));
        }
        TFN_RETURN_IF_ERROR(tfn_buf_add(sql, text.p + i, 1, err));
    }
    return tfn_buf_add(sql, &quote, 1, err);
}

tfn_code tfn__sql_add_name(tfn_buf *sql, tfn_str name, tfn_error *err)
{
    return add_quoted(sql, name, '"', err);
}

tfn_code tfn__sql_add_text(tfn_buf *sql, tfn_str text, tfn_error *err)
{
    return add_quoted(sql, text, '\'', err);
}

/* ---- errors ---- */

typedef struct error_kind {
    const char *head;
    tfn_code code;
} error_kind;

static const error_kind error_kinds[] = {
    {"Conversion Error: ", TFN_SCHEMA},
    {"Mismatch Type Error: ", TFN_SCHEMA},
    {"Out of Range Error: ", TFN_SCHEMA},
    {"Binder Error: ", TFN_SCHEMA},
    {"Out of Memory Error: ", TFN_NO_MEMORY},
    {"INTERRUPT Error: ", TFN_CANCELLED},
    {"Interrupt Error: ", TFN_CANCELLED},
    {"Catalog Error: ", TFN_UNSUPPORTED},
    {"Not implemented Error: ", TFN_UNSUPPORTED},
    {"Missing Extension Error: ", TFN_UNSUPPORTED},
    {"Extension Autoloading Error: ", TFN_UNSUPPORTED},
    {"IO Error: ", TFN_IO},
    {"Permission Error: ", TFN_IO},
    {"HTTP Error: ", TFN_IO},
    {"Invalid Input Error: ", TFN_IO},
    {"Invalid Error: ", TFN_IO},
};

static tfn_code split_kind(const char **text)
{
    for (size_t i = 0; i < sizeof error_kinds / sizeof error_kinds[0]; i++) {
        const size_t n = strlen(error_kinds[i].head);
        if (strncmp(*text, error_kinds[i].head, n) == 0) {
            *text += n;
            return error_kinds[i].code;
        }
    }
    return TFN_IO;
}

/* What stands between `before` and the first `after` behind it; empty when not found. */
static tfn_str between(const char *text, const char *before, const char *after)
{
    const char *begin = strstr(text, before);
    if (begin == NULL) {
        return (tfn_str){0};
    }
    begin += strlen(before);
    const char *end = strstr(begin, after);
    return (tfn_str){begin, end != NULL ? (size_t)(end - begin) : strlen(begin)};
}

/* Our word for a column type of a CSV scan. */
static const char *word_of(tfn_str sql_type)
{
    static const char *const words[][2] = {
        {"BIGINT", "int64"},        {"INTEGER", "int32"},
        {"DOUBLE", "float64"},      {"FLOAT", "float32"},
        {"BOOLEAN", "bool"},        {"DATE", "date"},
        {"VARCHAR", "string"},      {"BLOB", "bytes"},
        {"TIMESTAMP", "timestamp"}, {"TIMESTAMP WITH TIME ZONE", "timestamp"},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (tfn_str_is(sql_type, words[i][0])) {
            return words[i][1];
        }
    }
    return NULL;
}

static tfn_code fail_csv(const char *text, tfn_str label, tfn_error *err)
{
    const tfn_str file = between(text, "\n  file = ", "\n");
    const tfn_str name = file.n > 0 ? file : label;
    const tfn_str line = between(text, "CSV Error on Line: ", "\n");
    const tfn_str column = between(text, "converting column \"", "\". Could not convert");
    if (column.n > 0) {
        const tfn_str found = between(text, "Could not convert string \"", "\" to '");
        const char *tail = strstr(text, "\" to '");
        const tfn_str type = tail != NULL ? between(tail, "\" to '", "'") : (tfn_str){0};
        const char *word = word_of(type);
        return TFN_FAIL(err, TFN_SCHEMA,
                        "%.*s, line %.*s: column '%.*s': expected %.*s, found '%.*s'",
                        TFN_STR_ARG(name), TFN_STR_ARG(line), TFN_STR_ARG(column),
                        TFN_STR_ARG(word != NULL ? tfn_str_of(word) : type), TFN_STR_ARG(found));
    }
    const tfn_str expected = between(text, "Expected Number of Columns: ", " Found:");
    if (expected.n > 0) {
        return TFN_FAIL(err, TFN_SCHEMA, "%.*s, line %.*s: expected %.*s columns, found %.*s",
                        TFN_STR_ARG(name), TFN_STR_ARG(line), TFN_STR_ARG(expected),
                        TFN_STR_ARG(between(text, " Found: ", "\n")));
    }
    if (strstr(text, "not utf-8") != NULL || strstr(text, "Invalid unicode") != NULL) {
        return TFN_FAIL(err, TFN_SCHEMA, "%.*s, line %.*s: expected UTF-8 text, found other bytes",
                        TFN_STR_ARG(name), TFN_STR_ARG(line));
    }
    const char *original = strstr(text, "\nOriginal Line: ");
    const char *reason = original != NULL ? strchr(original + 1, '\n') : NULL;
    const tfn_str sentence = reason != NULL ? between(reason, "\n", "\n") : between(text, "", "\n");
    return TFN_FAIL(err, TFN_SCHEMA, "%.*s, line %.*s: %.*s", TFN_STR_ARG(name), TFN_STR_ARG(line),
                    TFN_STR_ARG(sentence));
}

/* DuckDB counts lines of JSON from somewhere near, so the sentence says no more. */
static tfn_code fail_json(const char *text, tfn_str label, tfn_error *err)
{
    static const char *const wanted = "expected one JSON object a line";
    const tfn_str file = between(text, "in file \"", "\"");
    const tfn_str name = file.n > 0 ? file : label;
    const tfn_str line = between(text, " in line ", ":");
    const tfn_str found = between(text, "Expected OBJECT, but got ", ":");
    const tfn_str twin = between(text, "has duplicate key \"", "\"");
    if (twin.n > 0) {
        return TFN_FAIL(err, TFN_INVALID, "'%.*s': two members of an object are both named '%.*s'",
                        TFN_STR_ARG(name), TFN_STR_ARG(twin));
    }
    if (found.n > 0) {
        return TFN_FAIL(err, TFN_IO, "'%.*s': %s, found %.*s near line %.*s", TFN_STR_ARG(name),
                        wanted, TFN_STR_ARG(found), TFN_STR_ARG(line));
    }
    if (line.n == 0) {
        return TFN_FAIL(err, TFN_IO, "'%.*s': %s", TFN_STR_ARG(name), wanted);
    }
    const char *reason = strchr(line.p + line.n, ' ');
    return TFN_FAIL(err, TFN_IO,
                    "'%.*s' is not newline JSON (one object a line): %.*s near line %.*s",
                    TFN_STR_ARG(name), TFN_STR_ARG(between(reason != NULL ? reason : "", " ", ".")),
                    TFN_STR_ARG(line));
}

static bool is_about_json(const char *text)
{
    return strncmp(text, "Malformed JSON ", 15) == 0 ||
           strncmp(text, "JSON transform error ", 21) == 0 ||
           strstr(text, "expected records, but got non-record JSON") != NULL;
}

tfn_code tfn__duck_fail(const char *text, tfn_str label, tfn_error *err)
{
    if (text == NULL) {
        return TFN_FAIL(err, TFN_IO, "%.*s: DuckDB gives no reason", TFN_STR_ARG(label));
    }
    tfn_code code = split_kind(&text);
    if (code == TFN_CANCELLED) {
        return TFN_FAIL(err, code, "reading %.*s was stopped", TFN_STR_ARG(label));
    }
    if (code == TFN_NO_MEMORY && strstr(text, " used)") != NULL) {
        return TFN_FAIL(
            err, TFN_LIMIT,
            "reading %.*s needs more memory than DuckDB may use here (%.*s used); raise "
            "memory_limit",
            TFN_STR_ARG(label), TFN_STR_ARG(between(text, " (", " used)")));
    }
    if (tfn__remote_is_about(text)) {
        return tfn__remote_fail(text, label, err);
    }
    if (strncmp(text, "CSV Error on Line: ", 19) == 0) {
        return fail_csv(text, label, err);
    }
    if (strncmp(text, "Failed to read file \"", 21) == 0) {
        return TFN_FAIL(err, TFN_CORRUPT, "'%.*s' is damaged: %.*s",
                        TFN_STR_ARG(between(text, "\"", "\"")),
                        TFN_STR_ARG(between(text, "\": ", "\n")));
    }
    if (is_about_json(text)) {
        return fail_json(text, label, err);
    }
    if (strncmp(text, "Error when sniffing file", 24) == 0) {
        return TFN_FAIL(err, TFN_IO,
                        "'%.*s' does not look like a CSV file: no separator fits its lines",
                        TFN_STR_ARG(between(text, "\"", "\"")));
    }
    if (strstr(text, "schema mismatch") != NULL) {
        code = TFN_SCHEMA;
    }
    const tfn_str sentence = between(text, "", "\n");
    return TFN_FAIL(err, code, "%.*s: %.*s", TFN_STR_ARG(label), TFN_STR_ARG(sentence));
}

/* ---- running ---- */

/* duckdb_string_t: length, then up to 12 bytes in place, or a prefix and a pointer. */
static tfn_str text_at(const void *data, uint64_t i)
{
    const char *p = (const char *)data + i * 16;
    uint32_t n = 0;
    memcpy(&n, p, sizeof n);
    if (n <= 12) {
        return (tfn_str){p + 4, n};
    }
    const char *pointer = NULL;
    memcpy(&pointer, p + 8, sizeof pointer);
    return (tfn_str){pointer, n};
}

static tfn_code take_chunk(const duck_api *api, duck_chunk chunk, const tfn__statement *s,
                           tfn_error *err)
{
    const uint64_t n_rows = api->do_data_chunk_get_size(chunk);
    const uint64_t n_cells = api->do_data_chunk_get_column_count(chunk);
    tfn_str cells[MAX_ROW_CELLS];
    for (uint64_t i = 0; i < n_rows; i++) {
        for (uint64_t k = 0; k < n_cells && k < MAX_ROW_CELLS; k++) {
            duck_vector v = api->do_data_chunk_get_vector(chunk, k);
            const uint64_t *validity = api->do_vector_get_validity(v);
            const bool is_valid = validity == NULL || ((validity[i / 64] >> (i % 64)) & 1u) != 0;
            cells[k] = is_valid ? text_at(api->do_vector_get_data(v), i) : (tfn_str){0};
        }
        TFN_RETURN_IF_ERROR(s->take_row(s->context, cells, (size_t)n_cells, err));
    }
    return TFN_OK;
}

static tfn_code take_rows(const duck_api *api, const duck_result *result, const tfn__statement *s,
                          tfn_error *err)
{
    tfn_code rc = TFN_OK;
    duck_chunk chunk = s->take_row != NULL ? api->do_fetch_chunk(*result) : NULL;
    while (chunk != NULL) {
        rc = take_chunk(api, chunk, s, err);
        api->do_destroy_data_chunk(&chunk);
        chunk = rc == TFN_OK ? api->do_fetch_chunk(*result) : NULL;
    }
    return rc;
}

/* Execute tasks until the query is finished; ask now and then whether to stop. Returns the last
 * state. */
static int run_tasks(tfn__duck *duck, duck_connection connection, duck_pending pending,
                     const tfn__statement *s, bool *is_stopped)
{
    const duck_api *api = &duck->api;
    const struct timespec pause = {.tv_nsec = 500000};
    double last_s = tfn_clock_monotonic_s();
    int state = api->do_pending_execute_task(pending);
    while (!api->do_pending_execution_is_finished(state)) {
        if (state == DUCK_NO_TASKS_AVAILABLE) {
            (void)nanosleep(&pause, NULL);
        }
        const double now_s = tfn_clock_monotonic_s();
        if (s->wants_stop != NULL && !*is_stopped && now_s - last_s >= TICK_S) {
            last_s = now_s;
            if (s->wants_stop(s->stop_context)) {
                *is_stopped = true;
                api->do_interrupt(connection);
            }
        }
        state = api->do_pending_execute_task(pending);
    }
    return state;
}

static tfn_code execute_prepared(tfn__duck *duck, duck_connection connection,
                                 duck_prepared prepared, const tfn__statement *s, tfn_error *err)
{
    const duck_api *api = &duck->api;
    duck_pending pending = NULL;
    if (api->do_pending_prepared(prepared, &pending) != DUCK_SUCCESS) {
        const tfn_code failed = tfn__duck_fail(api->do_pending_error(pending), s->label, err);
        api->do_destroy_pending(&pending);
        return failed;
    }
    bool is_stopped = false;
    duck_result result = {0};
    tfn_code rc = TFN_OK;
    if (run_tasks(duck, connection, pending, s, &is_stopped) == DUCK_PENDING_ERROR) {
        rc = tfn__duck_fail(api->do_pending_error(pending), s->label, err);
    } else if (api->do_execute_pending(pending, &result) != DUCK_SUCCESS) {
        rc = tfn__duck_fail(api->do_result_error(&result), s->label, err);
    } else if (is_stopped) {
        rc = TFN_FAIL(err, TFN_CANCELLED, "reading %.*s was stopped", TFN_STR_ARG(s->label));
    } else {
        rc = take_rows(api, &result, s, err);
    }
    api->do_destroy_result(&result);
    api->do_destroy_pending(&pending);
    return rc;
}

int64_t tfn__duck_number_of(tfn_str cell)
{
    int64_t n = 0;
    for (size_t i = 0; i < cell.n && cell.p[i] >= '0' && cell.p[i] <= '9'; i++) {
        n = n * 10 + (cell.p[i] - '0');
    }
    return n;
}

tfn_code tfn__duck_execute(tfn__duck *duck, duck_connection connection, const tfn__statement *s,
                           tfn_error *err)
{
    const duck_api *api = &duck->api;
    duck_prepared prepared = NULL;
    tfn_code rc = TFN_OK;
    if (api->do_prepare(connection, s->sql, &prepared) != DUCK_SUCCESS) {
        rc = tfn__duck_fail(api->do_prepare_error(prepared), s->label, err);
    } else {
        rc = execute_prepared(duck, connection, prepared, s, err);
    }
    api->do_destroy_prepare(&prepared);
    return rc;
}
