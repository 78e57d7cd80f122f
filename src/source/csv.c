/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The columns of CSV files, and the reader that a scan uses.
 *
 * A CSV has no types, so DuckDB's sniffer looks at every file to its end when the source is opened.
 * A column gets the narrowest type that fits all files; a scan that declares another type gets the
 * cells parsed as that, and a cell that does not parse is an error that names its line. A file
 * without any value in a column has no say in its type (the sniffer calls it text). The scan itself
 * sniffs nothing: separator, quotes, formats and types are given, so what was found at opening is
 * what is read. Given columns are matched by place, so all files must have the same header.
 *
 * DuckDB renames equal names in a header (a, a_1); where that may have happened, the header is read
 * again as a row of data. A column without any value is of type null: it reads as anything.
 */

#include <string.h>

#include "base/mem.h"
#include "source/files_internal.h"

#include "base/poison.h"

enum { SAMPLE_ROWS = 20480, CELLS_OF_DIALECT = 6 };

typedef struct cell_pair {
    tfn_str name;
    tfn_str type;
} cell_pair;

/* What the sniffer says of one file, or of all so far. */
typedef struct sniffed {
    tfn_arena *arena;
    cell_pair *items;
    size_t n;
    size_t capacity;
    tfn_str dialect[CELLS_OF_DIALECT]; /* separator, quote, escape, skipped, dates, times */
} sniffed;

static tfn_code copy_text(tfn_arena *arena, tfn_str text, tfn_str *out, tfn_error *err)
{
    const char *copy = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_copy(arena, text.p, text.n, &copy, err));
    *out = (tfn_str){copy, text.n};
    return TFN_OK;
}

/* cells: the dialect, then name and type of one column */
static tfn_code take_sniffed(void *context, const tfn_str *cells, size_t n, tfn_error *err)
{
    (void)n;
    sniffed *s = context;
    void *items = s->items;
    const tfn_code rc = tfn_mem_grow(&items, &s->capacity, s->n + 1, sizeof(cell_pair), err);
    s->items = items;
    if (rc != TFN_OK) {
        return rc;
    }
    for (size_t i = 0; s->n == 0 && i < CELLS_OF_DIALECT; i++) {
        TFN_RETURN_IF_ERROR(copy_text(s->arena, cells[i], &s->dialect[i], err));
    }
    cell_pair *item = &s->items[s->n];
    TFN_RETURN_IF_ERROR(copy_text(s->arena, cells[CELLS_OF_DIALECT], &item->name, err));
    TFN_RETURN_IF_ERROR(copy_text(s->arena, cells[CELLS_OF_DIALECT + 1], &item->type, err));
    s->n++;
    return TFN_OK;
}

static tfn_code run(const tfn__files *f, tfn__duck *duck, duck_connection connection,
                    const tfn_buf *sql, tfn__row_fn take_row, void *context, tfn_error *err)
{
    const tfn__statement s = {
        .sql = sql->p, .label = f->base.label, .take_row = take_row, .context = context};
    return tfn__duck_execute(duck, connection, &s, err);
}

/* ---- sniffing ---- */

static tfn_code add_sniffer(tfn_buf *sql, const tfn__files *f, size_t i_file, tfn_str delimiter,
                            tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(
        sql,
        "SELECT Delimiter, Quote, Escape, SkipRows::VARCHAR, coalesce(DateFormat, ''), "
        "coalesce(TimestampFormat, ''), c.name, c.type FROM (SELECT *, unnest(Columns) AS c FROM "
        "sniff_csv(",
        err));
    TFN_RETURN_IF_ERROR(tfn__sql_add_text(sql, f->list.files[i_file].path, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(
        sql,
        ", header=true, sample_size=-1, auto_type_candidates=['BOOLEAN', 'BIGINT', "
        "'DOUBLE', 'DATE', 'TIMESTAMP', 'TIMESTAMPTZ', 'VARCHAR']",
        err));
    if (delimiter.n > 0) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, ", delim=", err));
        TFN_RETURN_IF_ERROR(tfn__sql_add_text(sql, delimiter, err));
    }
    return tfn_buf_add_text(sql, "))", err);
}

static tfn_code sniff(const tfn__files *f, tfn__duck *duck, duck_connection connection,
                      size_t i_file, tfn_str delimiter, sniffed *out, tfn_error *err)
{
    tfn_buf sql = {0};
    out->n = 0;
    tfn_code rc = add_sniffer(&sql, f, i_file, delimiter, err);
    if (rc == TFN_OK) {
        rc = run(f, duck, connection, &sql, take_sniffed, out, err);
    }
    tfn_buf_deinit(&sql);
    return rc;
}

/* The separator that the name of a file's only column holds; empty when there is none. */
static tfn_str separator_in(const sniffed *s)
{
    static const char *const separators[] = {",", ";", "\t", "|"};
    for (size_t i = 0; s->n == 1 && i < 4; i++) {
        if (memchr(s->items[0].name.p, separators[i][0], s->items[0].name.n) != NULL) {
            return tfn_str_of(separators[i]);
        }
    }
    return (tfn_str){0};
}

/* Read the file with as many columns as its header names: the error names the first line that has
 * another number. TFN_OK when there is none. */
static tfn_code find_ragged_line(const tfn__files *f, tfn__duck *duck, duck_connection connection,
                                 size_t i_file, tfn_str header, tfn_str separator, tfn_error *err)
{
    tfn_buf sql = {0};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_text(&sql, "SELECT count(*)::VARCHAR FROM read_csv(", err),
                      done);
    TFN_GOTO_IF_ERROR(rc, tfn__sql_add_files(&sql, f, NULL, i_file, 1, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_text(&sql, ", auto_detect=false, header=true, delim=", err),
                      done);
    TFN_GOTO_IF_ERROR(rc, tfn__sql_add_text(&sql, separator, err), done);
    TFN_GOTO_IF_ERROR(
        rc, tfn_buf_add_text(&sql, ", quote='\"', escape='\"', columns={'c0': 'VARCHAR'", err),
        done);
    size_t n = 0;
    for (size_t i = 0; i < header.n; i++) {
        if (header.p[i] == separator.p[0]) {
            n++;
            TFN_GOTO_IF_ERROR(rc, tfn_buf_add_format(&sql, err, ", 'c%zu': 'VARCHAR'", n), done);
        }
    }
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_text(&sql, "})", err), done);
    TFN_GOTO_IF_ERROR(rc, run(f, duck, connection, &sql, NULL, NULL, err), done);
done:
    tfn_buf_deinit(&sql);
    return rc;
}

/* A sniffer that a ragged line misled takes the whole header for one name. */
static tfn_code sniff_file(const tfn__files *f, tfn__duck *duck, duck_connection connection,
                           size_t i_file, sniffed *out, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(sniff(f, duck, connection, i_file, f->csv.delimiter, out, err));
    const tfn_str separator = separator_in(out);
    if (separator.n == 0) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(
        find_ragged_line(f, duck, connection, i_file, out->items[0].name, separator, err));
    return sniff(f, duck, connection, i_file, separator, out, err);
}

static bool is_any(tfn_str type, const char *a, const char *b)
{
    return tfn_str_is(type, a) || tfn_str_is(type, b);
}

/* The narrowest type that holds both; null is a column without a value. */
static tfn_str widen(tfn_str a, tfn_str b)
{
    static const char *const zoned = "TIMESTAMP WITH TIME ZONE";
    if (tfn_str_equal(a, b) || tfn_str_is(b, TFN__SOURCE_NULL_TYPE)) {
        return a;
    }
    if (tfn_str_is(a, TFN__SOURCE_NULL_TYPE)) {
        return b;
    }
    if (is_any(a, "BIGINT", "DOUBLE") && is_any(b, "BIGINT", "DOUBLE")) {
        return tfn_str_of("DOUBLE");
    }
    const bool a_is_time = is_any(a, "DATE", "TIMESTAMP") || tfn_str_is(a, zoned);
    const bool b_is_time = is_any(b, "DATE", "TIMESTAMP") || tfn_str_is(b, zoned);
    if (a_is_time && b_is_time) {
        return tfn_str_is(a, zoned) || tfn_str_is(b, zoned) ? tfn_str_of(zoned)
                                                            : tfn_str_of("TIMESTAMP");
    }
    return tfn_str_of("VARCHAR");
}

static tfn_code check_header(const tfn__files *f, size_t i_file, const sniffed *next,
                             const sniffed *all, tfn_error *err)
{
    const char *path = f->list.files[i_file].path.p;
    const char *first = f->list.files[0].path.p;
    if (next->n != all->n) {
        return TFN_FAIL(err, TFN_SCHEMA, "'%s': expected %zu columns as in '%s', found %zu", path,
                        all->n, first, next->n);
    }
    for (size_t i = 0; i < all->n; i++) {
        if (!tfn_str_equal(next->items[i].name, all->items[i].name)) {
            return TFN_FAIL(
                err, TFN_SCHEMA,
                "'%s': column %zu is named '%.*s', but '%.*s' in '%s'; the files of one "
                "source need the same header",
                path, i + 1, TFN_STR_ARG(next->items[i].name), TFN_STR_ARG(all->items[i].name),
                first);
        }
    }
    return TFN_OK;
}

static tfn_code keep_dialect(tfn__files *f, const sniffed *s, tfn_error *err)
{
    tfn_str kept[CELLS_OF_DIALECT];
    for (size_t i = 0; i < CELLS_OF_DIALECT; i++) {
        TFN_RETURN_IF_ERROR(copy_text(&f->base.arena, s->dialect[i], &kept[i], err));
    }
    const tfn_str quote = tfn_str_of("\"");
    const bool has_quote = !tfn_str_is(kept[1], "(empty)");
    const bool has_escape = !tfn_str_is(kept[2], "(empty)");
    f->csv = (tfn__csv_dialect){.delimiter = kept[0],
                                .quote = has_quote ? kept[1] : quote,
                                .escape = has_escape ? kept[2] : quote,
                                .n_skipped = kept[3],
                                .date_format = kept[4],
                                .time_format = kept[5]};
    return TFN_OK;
}

/* The formats of dates and times are those of the first file that has any. */
static tfn_code keep_formats(tfn__files *f, const sniffed *s, tfn_error *err)
{
    if (f->csv.date_format.n == 0) {
        TFN_RETURN_IF_ERROR(copy_text(&f->base.arena, s->dialect[4], &f->csv.date_format, err));
    }
    if (f->csv.time_format.n == 0) {
        TFN_RETURN_IF_ERROR(copy_text(&f->base.arena, s->dialect[5], &f->csv.time_format, err));
    }
    return TFN_OK;
}

/* ---- the reader ---- */

static tfn_code add_option(tfn_buf *sql, const char *name, tfn_str value, tfn_error *err)
{
    if (value.n == 0) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(tfn_buf_add_format(sql, err, ", %s=", name));
    return tfn__sql_add_text(sql, value, err);
}

static tfn_code add_dialect(tfn_buf *sql, const tfn__files *f, tfn_error *err)
{
    const tfn__csv_dialect *d = &f->csv;
    TFN_RETURN_IF_ERROR(add_option(sql, "delim", d->delimiter, err));
    TFN_RETURN_IF_ERROR(add_option(sql, "quote", d->quote, err));
    TFN_RETURN_IF_ERROR(add_option(sql, "escape", d->escape, err));
    return tfn_buf_add_format(sql, err, ", auto_detect=false, skip=%.*s",
                              TFN_STR_ARG(d->n_skipped));
}

tfn_code tfn__csv_add_reader(tfn_buf *sql, const tfn__files *f, const tfn_str *types,
                             tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, "read_csv(", err));
    TFN_RETURN_IF_ERROR(tfn__sql_add_files(sql, f, NULL, 0, f->list.n_files, err));
    TFN_RETURN_IF_ERROR(add_dialect(sql, f, err));
    TFN_RETURN_IF_ERROR(add_option(sql, "dateformat", f->csv.date_format, err));
    TFN_RETURN_IF_ERROR(add_option(sql, "timestampformat", f->csv.time_format, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_format(sql, err,
                                           ", header=true, hive_partitioning=%s, columns={",
                                           f->list.n_hive > 0 ? "true" : "false"));
    for (size_t i = 0; i < f->base.n_columns && !f->sql_columns[i].is_hive; i++) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, i > 0 ? ", " : "", err));
        TFN_RETURN_IF_ERROR(tfn__sql_add_text(sql, f->sql_columns[i].name, err));
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, ": ", err));
        TFN_RETURN_IF_ERROR(tfn__sql_add_text(sql, types[i], err));
    }
    return tfn_buf_add_text(sql, "})", err);
}

/* The first n columns of one file, as texts named c0, c1, ... */
static tfn_code add_text_reader(tfn_buf *sql, const tfn__files *f, size_t i_file, size_t n,
                                const char *has_header, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, "read_csv(", err));
    TFN_RETURN_IF_ERROR(tfn__sql_add_files(sql, f, NULL, i_file, 1, err));
    TFN_RETURN_IF_ERROR(add_dialect(sql, f, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_format(sql, err, ", header=%s, columns={", has_header));
    for (size_t i = 0; i < n; i++) {
        TFN_RETURN_IF_ERROR(
            tfn_buf_add_format(sql, err, "%s'c%zu': 'VARCHAR'", i > 0 ? ", " : "", i));
    }
    return tfn_buf_add_text(sql, "})", err);
}

static tfn_code add_own_reader(tfn_buf *sql, const tfn__files *f, tfn_error *err)
{
    void *types = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(f->base.n_columns, sizeof(tfn_str), &types, err));
    for (size_t i = 0; i < f->base.n_columns; i++) {
        ((tfn_str *)types)[i] = f->sql_columns[i].type;
    }
    const tfn_code rc = tfn__csv_add_reader(sql, f, types, err);
    tfn_mem_free(types);
    return rc;
}

tfn_str tfn__csv_type_of(tfn_type declared)
{
    static const char *const names[] = {
        [TFN_KIND_BOOL] = "BOOLEAN",
        [TFN_KIND_INT32] = "INTEGER",
        [TFN_KIND_INT64] = "BIGINT",
        [TFN_KIND_FLOAT32] = "FLOAT",
        [TFN_KIND_FLOAT64] = "DOUBLE",
        [TFN_KIND_STRING] = "VARCHAR",
        [TFN_KIND_BYTES] = "BLOB",
        [TFN_KIND_DATE] = "DATE",
        [TFN_KIND_TIMESTAMP] = "TIMESTAMP WITH TIME ZONE",
    };
    const size_t n_names = sizeof names / sizeof names[0];
    if (declared.is_list || declared.kind >= n_names) {
        return (tfn_str){0};
    }
    return tfn_str_of(names[declared.kind]);
}

/* ---- equal names ---- */

typedef struct header {
    sniffed *columns;
    size_t i;
    tfn_str *names;
} header;

static bool may_be_renamed(const sniffed *s)
{
    for (size_t i = 0; i < s->n; i++) {
        const tfn_str name = s->items[i].name;
        size_t n = name.n;
        while (n > 0 && name.p[n - 1] >= '0' && name.p[n - 1] <= '9') {
            n--;
        }
        if (n < name.n && n > 1 && name.p[n - 1] == '_') {
            return true;
        }
    }
    return false;
}

static tfn_code take_header_cell(void *context, const tfn_str *cells, size_t n, tfn_error *err)
{
    (void)n;
    header *h = context;
    if (h->i < h->columns->n) {
        TFN_RETURN_IF_ERROR(copy_text(h->columns->arena, cells[0], &h->names[h->i++], err));
    }
    return TFN_OK;
}

static tfn_code read_header(const tfn__files *f, tfn__duck *duck, duck_connection connection,
                            header *h, tfn_error *err)
{
    const size_t n = h->columns->n;
    tfn_buf sql = {0};
    tfn_code rc = tfn_buf_add_text(&sql, "SELECT unnest([", err);
    for (size_t i = 0; rc == TFN_OK && i < n; i++) {
        rc = tfn_buf_add_format(&sql, err, "%sc%zu", i > 0 ? ", " : "", i);
    }
    TFN_GOTO_IF_ERROR(rc, rc, done);
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_text(&sql, "]) FROM (SELECT * FROM ", err), done);
    TFN_GOTO_IF_ERROR(rc, add_text_reader(&sql, f, 0, n, "false", err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_text(&sql, " LIMIT 1)", err), done);
    TFN_GOTO_IF_ERROR(rc, run(f, duck, connection, &sql, take_header_cell, h, err), done);
done:
    tfn_buf_deinit(&sql);
    return rc;
}

static tfn_code check_names(const tfn__files *f, const header *h, tfn_error *err)
{
    for (size_t i = 0; i < h->i; i++) {
        for (size_t k = i + 1; k < h->i; k++) {
            if (tfn_str_equal(h->names[i], h->names[k])) {
                return TFN_FAIL(err, TFN_INVALID, "'%s': columns %zu and %zu are both named '%.*s'",
                                f->list.files[0].path.p, i + 1, k + 1, TFN_STR_ARG(h->names[i]));
            }
        }
    }
    return TFN_OK;
}

/* The names as they stand in the header; those of the sniffer where they cannot differ. */
static tfn_code find_names(const tfn__files *f, tfn__duck *duck, duck_connection connection,
                           sniffed *s, tfn_str **out, tfn_error *err)
{
    void *memory = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(s->arena, s->n + 1, sizeof(tfn_str), &memory, err));
    header h = {.columns = s, .names = memory};
    if (may_be_renamed(s)) {
        TFN_RETURN_IF_ERROR(read_header(f, duck, connection, &h, err));
        TFN_RETURN_IF_ERROR(check_names(f, &h, err));
    }
    const bool is_read = h.i == s->n;
    for (size_t i = 0; i < s->n; i++) {
        const bool is_named = is_read && h.names[i].n > 0;
        h.names[i] = is_named ? h.names[i] : s->items[i].name;
    }
    *out = h.names;
    return TFN_OK;
}

/* ---- columns without a value ---- */

typedef struct counts {
    bool *has_value;
    size_t n;
    size_t i;
} counts;

static tfn_code take_count(void *context, const tfn_str *cells, size_t n, tfn_error *err)
{
    (void)n;
    (void)err;
    counts *c = context;
    if (c->i < c->n) {
        c->has_value[c->i++] |= !tfn_str_is(cells[0], "0");
    }
    return TFN_OK;
}

/* Which text columns of a file without a value so far have one in its first n_rows rows (0 = all)?
 */
static tfn_code count_values(const tfn__files *f, tfn__duck *duck, duck_connection connection,
                             size_t i_file, size_t n_rows, counts *c, tfn_error *err)
{
    tfn_buf sql = {0};
    tfn_code rc = tfn_buf_add_text(&sql, "SELECT unnest([", err);
    bool has_any = false;
    for (size_t i = 0; rc == TFN_OK && i < c->n; i++) {
        has_any = has_any || !c->has_value[i];
        rc = c->has_value[i] ? tfn_buf_add_text(&sql, i > 0 ? ", 1" : "1", err)
                             : tfn_buf_add_format(&sql, err, "%scount(c%zu)", i > 0 ? ", " : "", i);
    }
    TFN_GOTO_IF_ERROR(rc, rc, done);
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_text(&sql, "])::VARCHAR FROM (SELECT * FROM ", err), done);
    TFN_GOTO_IF_ERROR(rc, add_text_reader(&sql, f, i_file, c->n, "true", err), done);
    if (n_rows > 0) {
        TFN_GOTO_IF_ERROR(rc, tfn_buf_add_format(&sql, err, " LIMIT %zu", n_rows), done);
    }
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_text(&sql, ")", err), done);
    c->i = 0;
    if (has_any) {
        TFN_GOTO_IF_ERROR(rc, run(f, duck, connection, &sql, take_count, c, err), done);
    }
done:
    tfn_buf_deinit(&sql);
    return rc;
}

/* Give the columns of a file that have no value the type null. */
static tfn_code find_null_columns(const tfn__files *f, tfn__duck *duck, duck_connection connection,
                                  size_t i_file, sniffed *s, tfn_error *err)
{
    void *memory = NULL;
    counts c = {.n = s->n};
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(c.n, sizeof(bool), &memory, err));
    c.has_value = memory;
    for (size_t i = 0; i < c.n; i++) {
        c.has_value[i] = !tfn_str_is(s->items[i].type, "VARCHAR");
    }
    tfn_code rc = count_values(f, duck, connection, i_file, SAMPLE_ROWS, &c, err);
    if (rc == TFN_OK) {
        rc = count_values(f, duck, connection, i_file, 0, &c, err);
    }
    for (size_t i = 0; rc == TFN_OK && i < c.n; i++) {
        if (!c.has_value[i]) {
            s->items[i].type = tfn_str_of(TFN__SOURCE_NULL_TYPE);
        }
    }
    tfn_mem_free(c.has_value);
    return rc;
}

/* ---- all of it ---- */

/* cells: name, type; context: the source. Adds what stands behind the columns of the file. */
typedef struct folder_columns {
    tfn__files *f;
    size_t n_file_columns;
    size_t i;
} folder_columns;

static tfn_code take_folder_column(void *context, const tfn_str *cells, size_t n, tfn_error *err)
{
    (void)n;
    folder_columns *c = context;
    if (c->i++ < c->n_file_columns) {
        return TFN_OK;
    }
    for (size_t i = 0; i < c->f->list.n_hive; i++) {
        if (tfn_str_equal(c->f->list.hive_names[i], cells[0])) {
            return tfn__files_add_column(c->f, cells[0], cells[0], cells[1], err);
        }
    }
    return TFN_OK;
}

static tfn_code add_folder_columns(tfn__files *f, tfn__duck *duck, duck_connection connection,
                                   tfn_error *err)
{
    if (f->list.n_hive == 0) {
        return TFN_OK;
    }
    folder_columns c = {.f = f, .n_file_columns = f->base.n_columns};
    tfn_buf sql = {0};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(
        rc,
        tfn_buf_add_text(&sql, "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM ",
                         err),
        done);
    TFN_GOTO_IF_ERROR(rc, add_own_reader(&sql, f, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_text(&sql, ")", err), done);
    TFN_GOTO_IF_ERROR(rc, run(f, duck, connection, &sql, take_folder_column, &c, err), done);
done:
    tfn_buf_deinit(&sql);
    return rc;
}

static tfn_code read_all(tfn__files *f, tfn__duck *duck, duck_connection connection, sniffed *all,
                         sniffed *next, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(sniff_file(f, duck, connection, 0, all, err));
    TFN_RETURN_IF_ERROR(keep_dialect(f, all, err));
    TFN_RETURN_IF_ERROR(find_null_columns(f, duck, connection, 0, all, err));
    for (size_t i = 1; i < f->list.n_files; i++) {
        TFN_RETURN_IF_ERROR(sniff_file(f, duck, connection, i, next, err));
        TFN_RETURN_IF_ERROR(keep_formats(f, next, err));
        TFN_RETURN_IF_ERROR(check_header(f, i, next, all, err));
        TFN_RETURN_IF_ERROR(find_null_columns(f, duck, connection, i, next, err));
        for (size_t k = 0; k < all->n; k++) {
            all->items[k].type = widen(all->items[k].type, next->items[k].type);
        }
    }
    tfn_str *names = NULL;
    TFN_RETURN_IF_ERROR(find_names(f, duck, connection, all, &names, err));
    TFN_RETURN_IF_ERROR(tfn__files_reserve(f, all->n + f->list.n_hive, err));
    for (size_t i = 0; i < all->n; i++) {
        const bool is_null = tfn_str_is(all->items[i].type, TFN__SOURCE_NULL_TYPE);
        const tfn_str type = is_null ? tfn_str_of("VARCHAR") : all->items[i].type;
        TFN_RETURN_IF_ERROR(tfn__files_add_column(f, names[i], all->items[i].name, type, err));
        f->base.columns[i].is_text = true;
        if (is_null) {
            f->base.columns[i].type = (tfn_type){0};
            f->base.columns[i].native_type = tfn_str_of(TFN__SOURCE_NULL_TYPE);
        }
    }
    return add_folder_columns(f, duck, connection, err);
}

tfn_code tfn__csv_read_columns(tfn__files *f, tfn__duck *duck, duck_connection connection,
                               tfn_error *err)
{
    tfn_arena arena = {0};
    sniffed all = {.arena = &arena};
    sniffed next = {.arena = &arena};
    const tfn_code rc = read_all(f, duck, connection, &all, &next, err);
    tfn_mem_free(all.items);
    tfn_mem_free(next.items);
    tfn_arena_deinit(&arena);
    return rc;
}
