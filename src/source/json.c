/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Newline JSON: one object a line. Its columns, and the rows that a scan reads.
 *
 * JSON knows numbers, texts and truth values, but no times and no widths, and its objects need not
 * have the same members. So the columns are found by reading all files once when the source is
 * opened (DuckDB's guess; times are found by us, because DuckDB knows fewer ways to write them),
 * and they are guesses: a scan reads every column as JSON and parses it as what is declared.
 *
 *      read_json(columns as JSON) -> c: the value, or null when it is not of the type
 *                                    t: the JSON text, from which the kernel tells "no value" from
 *                                       "a value of another kind", which is an error (scan.c)
 *
 *   declared      reads
 *   int32, int64  a number without fraction or exponent, exactly; or a text of such a number
 *   float         any number; NaN and Infinity, bare or as a text
 *   bool          true, false; or a text that says so
 *   timestamp     an ISO text; without zone it is UTC
 *   date          an ISO text without time
 *   string        a text. bytes: a text as DuckDB writes them (\xAA)
 *   decimal       a number, or a text
 *   json          anything, as it stands; a text is what is in it
 *   map, struct   an object, as JSON; or a text
 *   list of T     a list whose items are of one kind and read as T
 *
 * A missing member is null. Rows are numbered over all files in the order of the list, as CSV's.
 *
 * DuckDB tells names apart without regard to case, and renames the second (a, A_1); where that may
 * have happened the files are asked whether anything is called so, and the source is refused if not.
 */

#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "source/files_internal.h"

#include "base/poison.h"

static const char *const time_type = "TIMESTAMP WITH TIME ZONE";

static tfn_code run(const tfn__files *f, tfn__duck *duck, duck_connection connection,
                    const tfn_buf *sql, tfn__row_fn take_row, void *context, tfn_error *err)
{
    const tfn__statement s = {
        .sql = sql->p, .label = f->base.label, .take_row = take_row, .context = context};
    return tfn__duck_execute(duck, connection, &s, err);
}

/* "read_json([...], ..." of all files, still open for more options. */
static tfn_code add_reader(tfn_buf *sql, const tfn__files *f, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, "read_json(", err));
    TFN_RETURN_IF_ERROR(tfn__sql_add_files(sql, f, NULL, 0, f->list.n_files, err));
    return tfn_buf_add_format(sql, err,
                              ", format='newline_delimited', records=true, hive_partitioning=%s",
                              f->list.n_hive > 0 ? "true" : "false");
}

/* ---- what the columns are called, and DuckDB's guess ---- */

static void set_type(tfn__files *f, size_t i, const char *sql_type)
{
    f->sql_columns[i].type = tfn_str_of(sql_type);
    f->base.columns[i].native_type = f->sql_columns[i].type;
    f->base.columns[i].type = tfn__duck_type_read(f->sql_columns[i].type);
}

/* The table (column_name, column_type) that DuckDB makes of all the files, in pairs. */
typedef struct described {
    tfn_arena arena;
    tfn_str *cells;
    size_t n_cells;
    size_t capacity;
} described;

/* cells: name, type */
static tfn_code take_described(void *context, const tfn_str *cells, size_t n, tfn_error *err)
{
    (void)n;
    described *d = context;
    void *memory = d->cells;
    const tfn_code rc = tfn_mem_grow(&memory, &d->capacity, d->n_cells + 2, sizeof(tfn_str), err);
    d->cells = memory;
    if (rc != TFN_OK) {
        return rc;
    }
    for (size_t i = 0; i < 2; i++) {
        const char *copy = NULL;
        TFN_RETURN_IF_ERROR(tfn_arena_copy(&d->arena, cells[i].p, cells[i].n, &copy, err));
        d->cells[d->n_cells++] = (tfn_str){copy, cells[i].n};
    }
    return TFN_OK;
}

/* It reads all files to their ends, so it is asked once. */
static tfn_code describe(const tfn__files *f, tfn__duck *duck, duck_connection connection,
                         described *out, tfn_error *err)
{
    tfn_buf sql = {0};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(
        rc,
        tfn_buf_add_text(&sql, "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM ",
                         err),
        done);
    TFN_GOTO_IF_ERROR(rc, add_reader(&sql, f, err), done);
    TFN_GOTO_IF_ERROR(rc,
                      tfn_buf_add_format(&sql, err, ", sample_size=-1, maximum_sample_files=%zu))",
                                         f->list.n_files),
                      done);
    TFN_GOTO_IF_ERROR(rc, run(f, duck, connection, &sql, take_described, out, err), done);
done:
    tfn_buf_deinit(&sql);
    return rc;
}

static tfn_code add_column(tfn__files *f, tfn_str name, tfn_str type, tfn_error *err)
{
    const size_t i = f->base.n_columns;
    TFN_RETURN_IF_ERROR(tfn__files_add_column(f, name, name, type, err));
    if (f->sql_columns[i].is_hive) {
        return TFN_OK;
    }
    const tfn_type guess = f->base.columns[i].type;
    f->base.columns[i].is_text = true;
    if (guess.logical == TFN_LOGICAL_JSON) { /* no type that all values share: each is looked at */
        f->base.columns[i].type = (tfn_type){0};
    }
    if (guess.kind == TFN_KIND_TIMESTAMP && !guess.is_list) {
        set_type(f, i, time_type);
    } else if (guess.logical == TFN_LOGICAL_UUID) { /* a text is what it was written as */
        set_type(f, i, guess.is_list ? "VARCHAR[]" : "VARCHAR");
    } else if (tfn_str_is(type, "HUGEINT")) { /* its guess for some that are 64 bits wide */
        set_type(f, i, "BIGINT");
    } else if (tfn_str_is(type, "HUGEINT[]")) {
        set_type(f, i, "BIGINT[]");
    }
    return TFN_OK;
}

static tfn_code add_columns(tfn__files *f, const described *d, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn__files_reserve(f, d->n_cells / 2, err));
    for (size_t i = 0; i < d->n_cells; i += 2) {
        TFN_RETURN_IF_ERROR(add_column(f, d->cells[i], d->cells[i + 1], err));
    }
    return TFN_OK;
}

/* ---- names that DuckDB changed ---- */

/* Is `name` "other_12", whatever the case? */
static bool is_numbered(tfn_str name, tfn_str other)
{
    if (name.n < other.n + 2 || name.p[other.n] != '_') {
        return false;
    }
    for (size_t i = other.n + 1; i < name.n; i++) {
        if (!isdigit((unsigned char)name.p[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < other.n; i++) {
        if (tolower((unsigned char)name.p[i]) != tolower((unsigned char)other.p[i])) {
            return false;
        }
    }
    return true;
}

/* What one column holds: values, values that are no text, texts that are no times. */
typedef struct facts {
    tfn__files *f;
    const size_t *asked; /* indexes of the columns that the answer speaks of */
    size_t i;
} facts;

static bool is_zero(tfn_str digits)
{
    return tfn_str_is(digits, "0");
}

static tfn_code fail_renamed(const tfn__files *f, size_t i, tfn_error *err)
{
    const tfn_str name = f->base.columns[i].name;
    size_t n = name.n;
    while (n > 0 && name.p[n - 1] != '_') {
        n--;
    }
    return TFN_FAIL(err, TFN_INVALID,
                    "%.*s: members differ only in the case of '%.*s'; rename one of them",
                    TFN_STR_ARG(f->base.label), (int)(n > 0 ? n - 1 : 0), name.p);
}

static bool may_be_renamed(const tfn__files *f, size_t i)
{
    for (size_t k = 0; k < f->base.n_columns; k++) {
        if (k != i && is_numbered(f->base.columns[i].name, f->base.columns[k].name)) {
            return true;
        }
    }
    return false;
}

/* cells: number of values, of values that are no time */
static tfn_code take_facts(void *context, const tfn_str *cells, size_t n, tfn_error *err)
{
    (void)n;
    facts *c = context;
    const size_t i = c->asked[c->i++];
    tfn_source_column *column = &c->f->base.columns[i];
    if (!is_zero(cells[0])) {
        if (is_zero(cells[1])) {
            set_type(c->f, i, time_type);
        }
        return TFN_OK;
    }
    if (may_be_renamed(c->f, i)) {
        return fail_renamed(c->f, i, err);
    }
    column->type = (tfn_type){0};
    column->native_type = tfn_str_of(TFN__SOURCE_NULL_TYPE);
    return TFN_OK;
}

/* Texts may be times, columns of an unknown type may hold nothing, and names may not be the file's.
 */
static bool is_doubtful(const tfn__files *f, size_t i)
{
    const tfn_str type = f->sql_columns[i].type;
    const bool is_unknown = tfn_str_is(type, "JSON") || tfn_str_is(type, "\"NULL\"");
    return !f->sql_columns[i].is_hive &&
           (tfn_str_is(type, "VARCHAR") || is_unknown || may_be_renamed(f, i));
}

static tfn_code add_columns_as_json(tfn_buf *sql, const tfn__files *f, const size_t *indexes,
                                    size_t n, tfn_error *err)
{
    const char *before = ", columns={";
    for (size_t i = 0; i < n; i++) {
        bool is_new = !f->sql_columns[indexes[i]].is_hive;
        for (size_t k = 0; k < i; k++) {
            is_new = is_new && indexes[k] != indexes[i];
        }
        if (is_new) {
            TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, before, err));
            TFN_RETURN_IF_ERROR(tfn__sql_add_text(sql, f->sql_columns[indexes[i]].name, err));
            TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, ": 'JSON'", err));
            before = ", ";
        }
    }
    /* A reader needs one column, and the names of folders are no members. */
    const bool has_any = before[1] == ' ' && before[2] == '\0';
    return tfn_buf_add_text(sql, has_any ? "})" : ", columns={'': 'JSON'})", err);
}

static tfn_code add_facts(tfn_buf *sql, const tfn__files *f, const size_t *asked, size_t n,
                          tfn_error *err)
{
    TFN_RETURN_IF_ERROR(
        tfn_buf_add_text(sql, "SELECT f[1]::VARCHAR, f[2]::VARCHAR FROM (SELECT unnest([", err));
    for (size_t i = 0; i < n; i++) {
        tfn_buf name = {0};
        tfn_code rc = tfn__sql_add_name(&name, f->sql_columns[asked[i]].name, err);
        if (rc == TFN_OK) {
            const tfn_str c = tfn_buf_get_str(&name);
            rc = tfn_buf_add_format(
                sql, err,
                "%s[count(%.*s), count(%.*s) FILTER (json_type(%.*s) <> 'VARCHAR' OR NOT "
                "regexp_matches(%.*s->>'$', '^[0-9]{4,6}-[0-9]{2}-[0-9]{2}([T ]|$)') OR "
                "TRY_CAST(%.*s->>'$' AS %s) IS NULL)]",
                i > 0 ? ", " : "", TFN_STR_ARG(c), TFN_STR_ARG(c), TFN_STR_ARG(c), TFN_STR_ARG(c),
                TFN_STR_ARG(c), time_type);
        }
        tfn_buf_deinit(&name);
        TFN_RETURN_IF_ERROR(rc);
    }
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, "]) AS f FROM ", err));
    TFN_RETURN_IF_ERROR(add_reader(sql, f, err));
    TFN_RETURN_IF_ERROR(add_columns_as_json(sql, f, asked, n, err));
    return tfn_buf_add_text(sql, ")", err);
}

static tfn_code settle_doubts(tfn__files *f, tfn__duck *duck, duck_connection connection,
                              tfn_error *err)
{
    void *memory = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(f->base.n_columns + 1, sizeof(size_t), &memory, err));
    size_t *asked = memory;
    size_t n = 0;
    for (size_t i = 0; i < f->base.n_columns; i++) {
        if (is_doubtful(f, i)) {
            asked[n++] = i;
        }
    }
    facts c = {.f = f, .asked = asked};
    tfn_buf sql = {0};
    tfn_code rc = TFN_OK;
    if (n > 0) {
        TFN_GOTO_IF_ERROR(rc, add_facts(&sql, f, asked, n, err), done);
        TFN_GOTO_IF_ERROR(rc, run(f, duck, connection, &sql, take_facts, &c, err), done);
    }
done:
    tfn_buf_deinit(&sql);
    tfn_mem_free(asked);
    return rc;
}

tfn_code tfn__json_read_columns(tfn__files *f, tfn__duck *duck, duck_connection connection,
                                tfn_error *err)
{
    described d = {0};
    tfn_code rc = describe(f, duck, connection, &d, err);
    if (rc == TFN_OK) {
        rc = add_columns(f, &d, err);
    }
    tfn_mem_free(d.cells);
    tfn_arena_deinit(&d.arena);
    return rc == TFN_OK ? settle_doubts(f, duck, connection, err) : rc;
}

/* ---- the rows of a scan ---- */

/* What a scan's column is parsed as: what is declared, else what was found. */
static tfn_type wanted_type(const tfn__files *f, const tfn_scan *scan, size_t i, size_t i_column)
{
    const tfn_type declared = tfn__scan_get_type(scan, i);
    return declared.kind != TFN_KIND_NONE ? declared : f->base.columns[i_column].type;
}

static bool is_one_of(uint8_t kind, tfn_kind a, tfn_kind b)
{
    return kind == a || kind == b;
}

/* Kinds of JSON values (json_type) that may read as a type, as SQL texts. */
static const char *json_kinds_of(tfn_type want)
{
    if (want.logical == TFN_LOGICAL_DECIMAL) {
        return "'BIGINT', 'UBIGINT', 'HUGEINT', 'DOUBLE', 'VARCHAR'";
    }
    if (is_one_of(want.kind, TFN_KIND_STRING, TFN_KIND_BYTES) ||
        is_one_of(want.kind, TFN_KIND_DATE, TFN_KIND_TIMESTAMP)) {
        return "'VARCHAR'";
    }
    if (want.kind == TFN_KIND_BOOL) {
        return "'BOOLEAN', 'VARCHAR'";
    }
    return "'BIGINT', 'UBIGINT', 'HUGEINT', 'DOUBLE', 'VARCHAR'";
}

/* The same of lists (json_structure); '["NULL"]' is a list without a value. */
static const char *json_lists_of(tfn_type want)
{
    if (want.logical == TFN_LOGICAL_DECIMAL) {
        return "'[\"NULL\"]', '[\"BIGINT\"]', '[\"UBIGINT\"]', '[\"HUGEINT\"]', '[\"DOUBLE\"]', "
               "'[\"VARCHAR\"]'";
    }
    if (is_one_of(want.kind, TFN_KIND_INT32, TFN_KIND_INT64)) {
        return "'[\"NULL\"]', '[\"BIGINT\"]', '[\"UBIGINT\"]', '[\"HUGEINT\"]'";
    }
    if (is_one_of(want.kind, TFN_KIND_FLOAT32, TFN_KIND_FLOAT64)) {
        return "'[\"NULL\"]', '[\"BIGINT\"]', '[\"UBIGINT\"]', '[\"HUGEINT\"]', '[\"DOUBLE\"]'";
    }
    return want.kind == TFN_KIND_BOOL ? "'[\"NULL\"]', '[\"BOOLEAN\"]'"
                                      : "'[\"NULL\"]', '[\"VARCHAR\"]'";
}

/* An item that does not parse becomes null within the list, so the items are counted. */
static tfn_code add_list(tfn_buf *sql, tfn_str name, tfn_type want, tfn_error *err)
{
    const tfn_str word = tfn__csv_type_of((tfn_type){.kind = want.kind});
    return tfn_buf_add_format(
        sql, err,
        "CASE WHEN json_structure(%.*s) IN (%s) AND list_count(TRY_CAST(%.*s AS %.*s[])) = "
        "list_count(TRY_CAST(%.*s AS VARCHAR[])) THEN TRY_CAST(%.*s AS %.*s[]) END",
        TFN_STR_ARG(name), json_lists_of(want), TFN_STR_ARG(name), TFN_STR_ARG(word),
        TFN_STR_ARG(name), TFN_STR_ARG(name), TFN_STR_ARG(word));
}

static bool is_json(tfn_type type)
{
    return type.logical == TFN_LOGICAL_JSON || type.logical == TFN_LOGICAL_MAP ||
           type.logical == TFN_LOGICAL_STRUCT;
}

/* JSON as it stands, and within a text as well; maps and structs are objects. */
static tfn_code add_json(tfn_buf *sql, tfn_str name, tfn_type want, tfn_error *err)
{
    if (want.is_list) {
        return tfn_buf_add_format(
            sql, err,
            "CASE WHEN json_type(%.*s) = 'ARRAY' THEN TRY_CAST(%.*s AS JSON[])::VARCHAR[] END",
            TFN_STR_ARG(name), TFN_STR_ARG(name));
    }
    return tfn_buf_add_format(sql, err,
                              "CASE json_type(%.*s) WHEN 'VARCHAR' THEN %.*s->>'$' WHEN 'NULL' "
                              "THEN NULL %s %.*s::VARCHAR END",
                              TFN_STR_ARG(name), TFN_STR_ARG(name),
                              want.logical == TFN_LOGICAL_JSON ? "ELSE" : "WHEN 'OBJECT' THEN",
                              TFN_STR_ARG(name));
}

static tfn_code add_value(tfn_buf *sql, tfn_str name, tfn_type want, tfn_error *err)
{
    if (is_json(want)) {
        return add_json(sql, name, want, err);
    }
    if (want.is_list) {
        return add_list(sql, name, want, err);
    }
    tfn_buf text = {0};
    tfn_code rc = tfn_buf_add_format(&text, err, "(%.*s->>'$')", TFN_STR_ARG(name));
    if (rc == TFN_OK) {
        rc = tfn_buf_add_format(sql, err, "CASE WHEN json_type(%.*s) IN (%s) THEN ",
                                TFN_STR_ARG(name), json_kinds_of(want));
    }
    if (rc == TFN_OK) {
        rc = tfn__sql_add_cast(sql, tfn_buf_get_str(&text), tfn__csv_type_of(want), err);
    }
    tfn_buf_deinit(&text);
    return rc == TFN_OK ? tfn_buf_add_text(sql, " END", err) : rc;
}

/* "value AS c3", and for a member ", name AS t2": its JSON. */
static tfn_code add_scan_column(tfn_buf *sql, const tfn__files *f, const tfn_scan *scan, size_t i,
                                size_t i_column, size_t *n_texts, tfn_error *err)
{
    const tfn__sql_column *c = &f->sql_columns[i_column];
    const tfn_type want = wanted_type(f, scan, i, i_column);
    const bool is_null = tfn_source_column_is_null(&f->base.columns[i_column]);
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, ", ", err));
    if (c->is_hive || (is_null && want.kind == TFN_KIND_NONE)) {
        TFN_RETURN_IF_ERROR(tfn__sql_add_name(sql, c->name, err));
        return tfn_buf_add_format(sql, err, " AS c%zu", i);
    }
    tfn_buf name = {0};
    tfn_code rc = tfn__sql_add_name(&name, c->name, err);
    if (rc == TFN_OK) {
        rc = add_value(sql, tfn_buf_get_str(&name), want, err);
    }
    if (rc == TFN_OK) {
        rc = tfn_buf_add_format(sql, err, " AS c%zu, %.*s::VARCHAR AS t%zu", i,
                                TFN_STR_ARG(tfn_buf_get_str(&name)), *n_texts);
    }
    *n_texts += 1;
    tfn_buf_deinit(&name);
    return rc;
}

tfn_code tfn__json_build_scan(const tfn__files *f, const tfn_scan *scan, const size_t *indexes,
                              int run_id, tfn_arena *arena, tfn__scan_sql *out, tfn_error *err)
{
    void *memory = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, scan->n_columns + 1, sizeof(size_t), &memory, err));
    size_t *casts = memory;
    tfn_buf rows = {0};
    tfn_buf *sql = &out->text;
    tfn_code rc = TFN_OK;
    out->has_file_index = true;
    out->casts = casts;
    TFN_GOTO_IF_ERROR(
        rc, tfn_buf_add_format(sql, err, "SELECT sum(tiffin_scan(%d::UBIGINT, r, f", run_id), done);
    for (size_t i = 0; i < scan->n_columns; i++) {
        const size_t n_before = out->n_casts;
        TFN_GOTO_IF_ERROR(rc, tfn_buf_add_format(sql, err, ", c%zu", i), done);
        TFN_GOTO_IF_ERROR(rc, add_scan_column(&rows, f, scan, i, indexes[i], &out->n_casts, err),
                          done);
        if (out->n_casts > n_before) {
            casts[n_before] = i;
        }
    }
    for (size_t k = 0; k < out->n_casts; k++) {
        TFN_GOTO_IF_ERROR(rc, tfn_buf_add_format(sql, err, ", t%zu", k), done);
    }
    TFN_GOTO_IF_ERROR(
        rc,
        tfn_buf_add_text(
            sql, "))::VARCHAR FROM (SELECT row_number() OVER () - 1 AS r, file_index AS f", err),
        done);
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_str(sql, tfn_buf_get_str(&rows), err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_text(sql, " FROM ", err), done);
    TFN_GOTO_IF_ERROR(rc, add_reader(sql, f, err), done);
    TFN_GOTO_IF_ERROR(rc, add_columns_as_json(sql, f, indexes, scan->n_columns, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_text(sql, ")", err), done);
done:
    tfn_buf_deinit(&rows);
    return rc;
}
