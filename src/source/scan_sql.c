/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The statement of a scan.
 *
 *   Parquet, all rows, or one file:
 *     SELECT sum(tiffin_scan(RUN, file_row_number[, file_index], columns ...))
 *     FROM read_parquet([...], file_row_number=true, ...) WHERE time bounds AND row ranges
 *   Parquet, row ranges in several files: the same, one branch per file, under UNION ALL: DuckDB
 * skips row groups by row number, but not by pairs of file and row number. CSV: the same over
 * (SELECT row_number() OVER () ..., columns FROM read_csv(...)): DuckDB numbers the rows of all
 * files in the order of the list, reading on one thread at a time. A text column that is declared
 * to be something else comes twice, parsed (TRY_CAST) and as text: a row with a text but no value
 * is an error. Giving the type to read_csv instead would not do: it reads unparsable times as
 * nulls, or names the wrong column, in some versions. JSON: much the same, in json.c.
 *
 * Bounds are written in the column's own type, so that DuckDB compares them with the statistics of
 * row groups. A bound that the type cannot hold is left out: rows outside may come. Folder columns
 * get no bound, because DuckDB would drop files from the list and so shift file_index.
 *
 * Row ranges are merged, nearest first, until there are few enough: more rows may come.
 */

#include <stdio.h>
#include <stdlib.h>

#include "source/files_internal.h"

#include "base/poison.h"

enum { MAX_RANGES = 256, MAX_BRANCHES = 64 };

/* ---- files ---- */

/* DuckDB takes * ? [ in a name for a pattern; in brackets they stand for themselves. */
static tfn_code add_path(tfn_buf *sql, tfn_str path, tfn_error *err)
{
    tfn_buf escaped = {0};
    tfn_code rc = TFN_OK;
    for (size_t i = 0; rc == TFN_OK && i < path.n; i++) {
        const char c = path.p[i];
        const bool is_special = c == '*' || c == '?' || c == '[';
        rc = is_special ? tfn_buf_add_format(&escaped, err, "[%c]", c)
                        : tfn_buf_add(&escaped, &c, 1, err);
    }
    if (rc == TFN_OK) {
        rc = tfn__sql_add_text(sql, tfn_buf_get_str(&escaped), err);
    }
    tfn_buf_deinit(&escaped);
    return rc;
}

tfn_code tfn__sql_add_files(tfn_buf *sql, const tfn__files *f, const uint32_t *chosen, size_t begin,
                            size_t n, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, "[", err));
    for (size_t i = begin; i < begin + n; i++) {
        const size_t i_file = chosen != NULL ? chosen[i] : i;
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, i > begin ? "," : "", err));
        TFN_RETURN_IF_ERROR(add_path(sql, f->list.files[i_file].path, err));
    }
    return tfn_buf_add_text(sql, "]", err);
}

/* ---- time bounds ---- */

/* Largest number of units that DuckDB's type holds as a finite time, a little less. */
static bool is_usable(int64_t value, tfn_kind kind)
{
    const int64_t limit = kind == TFN_KIND_DATE ? INT64_C(100000000) : INT64_C(9200000000000000000);
    return value > -limit && value < limit;
}

static int64_t bound_of(tfn_instant t, tfn_type type)
{
    if (type.kind != TFN_KIND_DATE) {
        return tfn_instant_to(t, (tfn_unit)type.unit);
    }
    const int64_t days = t.seconds / 86400;
    return t.seconds % 86400 < 0 ? days - 1 : days;
}

static tfn_code add_bound(tfn_buf *sql, const tfn__sql_column *c, const tfn__duck_type *t,
                          const char *relation, tfn_instant at, bool *has_any, tfn_error *err)
{
    const int64_t value = bound_of(at, t->type);
    if (!is_usable(value, (tfn_kind)t->type.kind)) {
        return TFN_OK;
    }
    /* The formats are the table's own, each with one %lld. */
    static const char *const hole = "%lld";
    const tfn_str format = tfn_str_of(t->literal);
    size_t at_hole = 0;
    while (!tfn_str_starts_with((tfn_str){format.p + at_hole, format.n - at_hole}, hole)) {
        at_hole++;
    }
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, *has_any ? " AND " : "", err));
    TFN_RETURN_IF_ERROR(tfn__sql_add_name(sql, c->name, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, relation, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add(sql, format.p, at_hole, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_format(sql, err, "%lld", (long long)value));
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, format.p + at_hole + 4, err));
    *has_any = true;
    return TFN_OK;
}

tfn_code tfn__sql_add_time_bounds(tfn_buf *sql, const tfn__files *f, const tfn_scan *scan,
                                  size_t i_column, tfn_error *err)
{
    const tfn__sql_column *c = &f->sql_columns[i_column];
    const tfn__duck_type *t = tfn__duck_type_find_name(c->type);
    if (t == NULL || t->literal == NULL || c->is_hive) {
        return TFN_OK;
    }
    bool has_any = false;
    if (scan->has_time_min) {
        TFN_RETURN_IF_ERROR(add_bound(sql, c, t, " >= ", scan->time_min, &has_any, err));
    }
    if (scan->has_time_max) {
        TFN_RETURN_IF_ERROR(add_bound(sql, c, t, " <= ", scan->time_max, &has_any, err));
    }
    return TFN_OK;
}

/* ---- row ranges ---- */

static uint64_t file_of(uint64_t position)
{
    return position >> TFN__ROW_BITS;
}

static uint64_t row_of(uint64_t position)
{
    return position & ((UINT64_C(1) << TFN__ROW_BITS) - 1);
}

static int compare_gaps(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

/*
 * Ranges cut at file borders, then merged over their smallest gaps until at most MAX_RANGES and one
 * per file are left: sort the gaps, keep the widest.
 */
typedef struct range_list {
    tfn_position_range *items;
    size_t n;
} range_list;

static tfn_code cut_ranges(const tfn__files *f, const tfn_scan *scan, tfn_arena *arena,
                           range_list *out, tfn_error *err)
{
    size_t n_max = 0;
    for (size_t i = 0; i < scan->n_ranges; i++) {
        n_max += 1 + (size_t)(file_of(scan->ranges[i].last) - file_of(scan->ranges[i].first));
    }
    n_max = n_max < scan->n_ranges + f->list.n_files ? n_max : scan->n_ranges + f->list.n_files;
    void *memory = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc(arena, n_max + 1, sizeof(tfn_position_range), &memory, err));
    out->items = memory;
    const uint64_t last_row = (UINT64_C(1) << TFN__ROW_BITS) - 1;
    for (size_t i = 0; i < scan->n_ranges; i++) {
        const tfn_position_range r = scan->ranges[i];
        for (uint64_t k = file_of(r.first); k <= file_of(r.last) && k < f->list.n_files; k++) {
            const uint64_t base = k << TFN__ROW_BITS;
            out->items[out->n++] =
                (tfn_position_range){r.first > base ? r.first : base,
                                     r.last < base + last_row ? r.last : base + last_row};
        }
    }
    return TFN_OK;
}

static bool is_mergeable(const range_list *list, size_t i)
{
    return file_of(list->items[i].last) == file_of(list->items[i + 1].first);
}

static tfn_code merge_ranges(range_list *list, tfn_arena *arena, tfn_error *err)
{
    if (list->n <= MAX_RANGES) {
        return TFN_OK;
    }
    void *memory = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, list->n, sizeof(uint64_t), &memory, err));
    uint64_t *gaps = memory;
    size_t n_gaps = 0;
    for (size_t i = 0; i + 1 < list->n; i++) {
        if (is_mergeable(list, i)) {
            gaps[n_gaps++] = list->items[i + 1].first - list->items[i].last;
        }
    }
    qsort(gaps, n_gaps, sizeof gaps[0], compare_gaps);
    /* Gaps 0 .. MAX_RANGES - 1 stay open; of those as wide as the last of them, as many as stand
     * there. */
    const uint64_t narrowest = n_gaps > MAX_RANGES ? gaps[MAX_RANGES - 1] : 0;
    size_t n_ties = 0;
    while (n_gaps > MAX_RANGES && n_ties < MAX_RANGES &&
           gaps[MAX_RANGES - 1 - n_ties] == narrowest) {
        n_ties++;
    }
    size_t n = 1;
    for (size_t i = 1; i < list->n; i++) {
        tfn_position_range *last = &list->items[n - 1];
        const tfn_position_range next = list->items[i];
        const bool is_same_file = file_of(last->last) == file_of(next.first);
        const uint64_t gap = next.first - last->last;
        const bool is_tie = is_same_file && gap == narrowest && n_ties > 0;
        n_ties -= is_tie ? 1 : 0;
        if (is_same_file && gap <= narrowest && !is_tie) {
            last->last = next.last;
        } else {
            list->items[n++] = next;
        }
    }
    list->n = n;
    return TFN_OK;
}

/* Files that the ranges touch, ascending. */
static tfn_code choose_files(const range_list *list, tfn_arena *arena, tfn__scan_sql *out,
                             tfn_error *err)
{
    void *memory = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, list->n + 1, sizeof(uint32_t), &memory, err));
    uint32_t *chosen = memory;
    for (size_t i = 0; i < list->n; i++) {
        const uint32_t i_file = (uint32_t)file_of(list->items[i].first);
        if (out->n_chosen == 0 || chosen[out->n_chosen - 1] != i_file) {
            chosen[out->n_chosen++] = i_file;
        }
    }
    out->chosen = chosen;
    return TFN_OK;
}

static tfn_code add_ranges_of_file(tfn_buf *sql, const range_list *list, uint32_t i_file,
                                   tfn_error *err)
{
    const char *before = "(";
    for (size_t i = 0; i < list->n; i++) {
        const tfn_position_range r = list->items[i];
        if (file_of(r.first) == i_file) {
            TFN_RETURN_IF_ERROR(tfn_buf_add_format(
                sql, err, "%sfile_row_number BETWEEN %llu AND %llu", before,
                (unsigned long long)row_of(r.first), (unsigned long long)row_of(r.last)));
            before = " OR ";
        }
    }
    return tfn_buf_add_text(sql, ")", err);
}

/* ---- Parquet ---- */

static bool is_enum(tfn_str sql_type)
{
    return tfn_str_starts_with(sql_type, "ENUM(");
}

/* A column as DuckDB gives it, but for types that we have as texts: those are cast, and objects
 * written as JSON. A decimal number may be read as a float, too. */
static tfn_code add_column(tfn_buf *sql, const tfn__files *f, size_t i_column, tfn_type want,
                           tfn_error *err)
{
    const tfn__sql_column *c = &f->sql_columns[i_column];
    const tfn_type found = f->base.columns[i_column].type;
    const bool is_object = found.logical == TFN_LOGICAL_MAP || found.logical == TFN_LOGICAL_STRUCT;
    const bool is_number = found.logical == TFN_LOGICAL_DECIMAL && tfn_type_is_float(want);
    if (is_object) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, "to_json(", err));
    }
    TFN_RETURN_IF_ERROR(tfn__sql_add_name(sql, c->name, err));
    if (is_object) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, found.is_list ? ")::JSON[]" : ")", err));
    }
    const bool is_cast = found.logical != TFN_LOGICAL_NONE || is_enum(c->type);
    return is_cast ? tfn_buf_add_format(sql, err, "::%s%s", is_number ? "DOUBLE" : "VARCHAR",
                                        found.is_list ? "[]" : "")
                   : TFN_OK;
}

/* The predicate; `ranges` NULL = none. */
static tfn_code add_where(tfn_buf *sql, const tfn__files *f, const tfn_scan *scan,
                          const size_t *indexes, const range_list *ranges, uint32_t i_file,
                          tfn_error *err)
{
    tfn_buf times = {0};
    tfn_code rc = TFN_OK;
    if (scan->i_time >= 0) {
        rc = tfn__sql_add_time_bounds(&times, f, scan, indexes[scan->i_time], err);
    }
    if (rc == TFN_OK && (times.n > 0 || ranges != NULL)) {
        rc = tfn_buf_add_text(sql, " WHERE ", err);
    }
    if (rc == TFN_OK && times.n > 0) {
        rc = tfn_buf_add_str(sql, tfn_buf_get_str(&times), err);
    }
    if (rc == TFN_OK && ranges != NULL) {
        rc = tfn_buf_add_text(sql, times.n > 0 ? " AND " : "", err);
        rc = rc == TFN_OK ? add_ranges_of_file(sql, ranges, i_file, err) : rc;
    }
    tfn_buf_deinit(&times);
    return rc;
}

/* "tiffin_scan(...) FROM read_parquet(...) WHERE ..." of the chosen files begin .. begin + n - 1.
 */
static tfn_code add_parquet_branch(tfn_buf *sql, const tfn__files *f, const tfn_scan *scan,
                                   const size_t *indexes, const tfn__scan_sql *s, int run_id,
                                   const range_list *ranges, size_t begin, size_t n, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(
        tfn_buf_add_format(sql, err, "SELECT tiffin_scan(%d::UBIGINT, file_row_number", run_id));
    if (s->has_file_index && n == 1) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_format(sql, err, ", %zu::UBIGINT", begin));
    } else if (s->has_file_index) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, ", file_index", err));
    }
    for (size_t i = 0; i < scan->n_columns; i++) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, ", ", err));
        TFN_RETURN_IF_ERROR(add_column(sql, f, indexes[i], tfn__scan_get_type(scan, i), err));
    }
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, ") AS k FROM read_parquet(", err));
    TFN_RETURN_IF_ERROR(tfn__sql_add_files(sql, f, s->chosen, begin, n, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_format(sql, err,
                                           ", file_row_number=true, hive_partitioning=%s)",
                                           f->list.n_hive > 0 ? "true" : "false"));
    const uint32_t i_file = s->chosen != NULL ? s->chosen[begin] : (uint32_t)begin;
    return add_where(sql, f, scan, indexes, n == 1 ? ranges : NULL, i_file, err);
}

static tfn_code add_parquet(const tfn__files *f, const tfn_scan *scan, const size_t *indexes,
                            int run_id, tfn_arena *arena, tfn__scan_sql *out, tfn_error *err)
{
    range_list ranges = {0};
    size_t n_files = f->list.n_files;
    if (scan->n_ranges > 0) {
        TFN_RETURN_IF_ERROR(cut_ranges(f, scan, arena, &ranges, err));
        TFN_RETURN_IF_ERROR(merge_ranges(&ranges, arena, err));
        TFN_RETURN_IF_ERROR(choose_files(&ranges, arena, out, err));
        n_files = out->n_chosen;
    }
    out->has_file_index = f->list.n_files > 1;
    if (n_files == 0) {
        return TFN_OK; /* ranges outside of all files: nothing to read */
    }
    const bool has_branches = scan->n_ranges > 0 && n_files <= MAX_BRANCHES;
    const size_t n_per_branch = has_branches ? 1 : n_files;
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(&out->text, "SELECT sum(k)::VARCHAR FROM (", err));
    for (size_t begin = 0; begin < n_files; begin += n_per_branch) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(&out->text, begin > 0 ? " UNION ALL " : "", err));
        TFN_RETURN_IF_ERROR(add_parquet_branch(&out->text, f, scan, indexes, out, run_id,
                                               scan->n_ranges > 0 ? &ranges : NULL, begin,
                                               n_per_branch, err));
    }
    return tfn_buf_add_text(&out->text, ")", err);
}

/* ---- CSV ---- */

/* DuckDB's types of the columns of the file, and which columns of the scan are cast from text. */
typedef struct csv_plan {
    tfn_str *types;
    size_t *casts;
    size_t n_casts;
} csv_plan;

static bool is_text_wanted(tfn_type want)
{
    return (want.kind == TFN_KIND_STRING || want.kind == TFN_KIND_BYTES) && !want.is_list;
}

static tfn_code plan_csv(const tfn__files *f, const tfn_scan *scan, const size_t *indexes,
                         tfn_arena *arena, csv_plan *out, tfn_error *err)
{
    void *memory = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc(arena, f->base.n_columns + 1, sizeof(tfn_str), &memory, err));
    out->types = memory;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, scan->n_columns + 1, sizeof(size_t), &memory, err));
    out->casts = memory;
    for (size_t i = 0; i < f->base.n_columns; i++) {
        out->types[i] = f->sql_columns[i].type;
    }
    const tfn_str text = tfn_str_of("VARCHAR");
    for (size_t i = 0; i < scan->n_columns; i++) {
        const tfn_type want = tfn__scan_get_type(scan, i);
        const bool is_guess_wrong = want.kind != TFN_KIND_NONE &&
                                    !tfn_type_can_read(want, f->base.columns[indexes[i]].type);
        if (is_text_wanted(want) || is_guess_wrong) {
            out->types[indexes[i]] = text;
        }
    }
    for (size_t i = 0; i < scan->n_columns; i++) {
        const bool is_any = tfn__scan_get_type(scan, i).kind == TFN_KIND_NONE;
        const bool is_text = tfn_str_equal(out->types[indexes[i]], text);
        const bool was_text = tfn_str_equal(f->sql_columns[indexes[i]].type, text);
        if (is_text && !is_text_wanted(tfn__scan_get_type(scan, i)) && !(is_any && was_text)) {
            out->casts[out->n_casts++] = i;
        }
    }
    return TFN_OK;
}

/* "TRY_CAST(text AS type)". DuckDB's cast rounds 1.5 to an integer and cuts the time off a date;
 * such texts are no values of the type, so they are null here, and so an error. */
tfn_code tfn__sql_add_cast(tfn_buf *sql, tfn_str text, tfn_str type, tfn_error *err)
{
    const bool is_integer = tfn_str_is(type, "BIGINT") || tfn_str_is(type, "INTEGER");
    const bool is_date = tfn_str_is(type, "DATE");
    const bool is_guarded = is_integer || is_date;
    if (is_guarded) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, "CASE WHEN regexp_full_match(", err));
        TFN_RETURN_IF_ERROR(tfn_buf_add_str(sql, text, err));
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(
            sql, is_integer ? ", '\\s*[-+]?[0-9]+\\s*') THEN " : ", '[^:]*') THEN ", err));
    }
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, "TRY_CAST(", err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_str(sql, text, err));
    return tfn_buf_add_format(sql, err, " AS %.*s)%s", TFN_STR_ARG(type), is_guarded ? " END" : "");
}

/* A cast for a cast column, else its name (texts as bytes: "name::BLOB"). */
static tfn_code add_csv_column(tfn_buf *sql, const tfn__files *f, const tfn_scan *scan, size_t i,
                               size_t i_column, bool is_cast, tfn_error *err)
{
    const tfn_type want = tfn__scan_get_type(scan, i);
    const tfn_str found = f->sql_columns[i_column].type;
    const bool keeps_type =
        want.kind == TFN_KIND_NONE ||
        (!tfn_str_is(found, "VARCHAR") && tfn_type_can_read(want, f->base.columns[i_column].type));
    const tfn_str type = keeps_type ? found : tfn__csv_type_of(want);
    if (is_cast) {
        tfn_buf name = {0};
        tfn_code rc = tfn__sql_add_name(&name, f->sql_columns[i_column].name, err);
        if (rc == TFN_OK) {
            rc = tfn__sql_add_cast(sql, tfn_buf_get_str(&name), type, err);
        }
        tfn_buf_deinit(&name);
        return rc;
    }
    TFN_RETURN_IF_ERROR(tfn__sql_add_name(sql, f->sql_columns[i_column].name, err));
    const bool is_bytes = want.kind == TFN_KIND_BYTES && !want.is_list;
    return tfn_buf_add_text(sql, is_bytes ? "::BLOB" : "", err);
}

static bool is_cast_column(const csv_plan *plan, size_t i)
{
    for (size_t k = 0; k < plan->n_casts; k++) {
        if (plan->casts[k] == i) {
            return true;
        }
    }
    return false;
}

/* The inner SELECT: r the row, f the file, c0 .. the columns, t0 .. the texts of the cast ones. */
static tfn_code add_csv_rows(tfn_buf *sql, const tfn__files *f, const tfn_scan *scan,
                             const size_t *indexes, const csv_plan *plan, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(
        tfn_buf_add_text(sql, "(SELECT row_number() OVER () - 1 AS r, file_index AS f", err));
    for (size_t i = 0; i < scan->n_columns; i++) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, ", ", err));
        TFN_RETURN_IF_ERROR(
            add_csv_column(sql, f, scan, i, indexes[i], is_cast_column(plan, i), err));
        TFN_RETURN_IF_ERROR(tfn_buf_add_format(sql, err, " AS c%zu", i));
    }
    for (size_t k = 0; k < plan->n_casts; k++) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, ", ", err));
        TFN_RETURN_IF_ERROR(
            tfn__sql_add_name(sql, f->sql_columns[indexes[plan->casts[k]]].name, err));
        TFN_RETURN_IF_ERROR(tfn_buf_add_format(sql, err, " AS t%zu", k));
    }
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, " FROM ", err));
    TFN_RETURN_IF_ERROR(tfn__csv_add_reader(sql, f, plan->types, err));
    return tfn_buf_add_text(sql, ")", err);
}

static tfn_code add_csv(const tfn__files *f, const tfn_scan *scan, const size_t *indexes,
                        int run_id, tfn_arena *arena, tfn__scan_sql *out, tfn_error *err)
{
    csv_plan plan = {0};
    tfn_buf *sql = &out->text;
    TFN_RETURN_IF_ERROR(plan_csv(f, scan, indexes, arena, &plan, err));
    out->has_file_index = true;
    out->casts = plan.casts;
    out->n_casts = plan.n_casts;
    TFN_RETURN_IF_ERROR(
        tfn_buf_add_format(sql, err, "SELECT sum(tiffin_scan(%d::UBIGINT, r, f", run_id));
    for (size_t i = 0; i < scan->n_columns; i++) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_format(sql, err, ", c%zu", i));
    }
    for (size_t k = 0; k < plan.n_casts; k++) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_format(sql, err, ", t%zu", k));
    }
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, "))::VARCHAR FROM ", err));
    return add_csv_rows(sql, f, scan, indexes, &plan, err);
}

tfn_code tfn__scan_sql_build(const tfn__files *f, const tfn_scan *scan, const size_t *indexes,
                             int run_id, tfn_arena *arena, tfn__scan_sql *out, tfn_error *err)
{
    if (f->list.format == TFN_FORMAT_CSV) {
        return add_csv(f, scan, indexes, run_id, arena, out, err);
    }
    if (f->list.format == TFN_FORMAT_JSON) {
        return tfn__json_build_scan(f, scan, indexes, run_id, arena, out, err);
    }
    return add_parquet(f, scan, indexes, run_id, arena, out, err);
}
