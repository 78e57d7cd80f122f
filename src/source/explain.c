/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * What a scan of files would read, from footers alone: rows, row groups, how many of those the time
 * bounds leave, the bytes of the wanted columns in them, and the first and last time. DuckDB prunes
 * by the same statistics. CSV and JSON files have no footer: only their sizes are known.
 */

#include <stdio.h>
#include <string.h>

#include "source/files_internal.h"

#include "base/poison.h"

enum { MAX_PATHS = 5, MAX_NUMBERS = 7 };

/* One row of numbers as texts; a null is 0 and not there. */
typedef struct numbers {
    long long values[MAX_NUMBERS];
    bool is_there[MAX_NUMBERS];
} numbers;

/* Up to 18 digits, perhaps after a minus: what int64 holds of microseconds until the year 33658. */
static long long number_of(tfn_str text)
{
    const size_t n_sign = text.n > 0 && text.p[0] == '-' ? 1 : 0;
    long long n = 0;
    for (size_t i = n_sign; i < text.n && i < 18 + n_sign; i++) {
        n = n * 10 + (text.p[i] - '0');
    }
    return n_sign > 0 ? -n : n;
}

static tfn_code take_numbers(void *context, const tfn_str *cells, size_t n, tfn_error *err)
{
    (void)err;
    numbers *out = context;
    for (size_t i = 0; i < n && i < MAX_NUMBERS; i++) {
        out->values[i] = number_of(cells[i]);
        out->is_there[i] = cells[i].n > 0;
    }
    return TFN_OK;
}

static tfn_code ask(const tfn__files *f, tfn__duck *duck, duck_connection connection,
                    const tfn_buf *sql, numbers *out, tfn_error *err)
{
    const tfn__statement s = {
        .sql = sql->p, .label = f->base.label, .take_row = take_numbers, .context = out};
    return tfn__duck_execute(duck, connection, &s, err);
}

tfn_code tfn__files_count_rows(tfn__files *f, tfn__duck *duck, duck_connection connection,
                               tfn_error *err)
{
    if (f->n_rows >= 0 || f->list.format != TFN_FORMAT_PARQUET) {
        return TFN_OK;
    }
    tfn_buf sql = {0};
    numbers n = {0};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(
        rc,
        tfn_buf_add_text(&sql, "SELECT sum(num_rows)::VARCHAR FROM parquet_file_metadata(", err),
        done);
    TFN_GOTO_IF_ERROR(rc, tfn__sql_add_files(&sql, f, NULL, 0, f->list.n_files, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_text(&sql, ")", err), done);
    TFN_GOTO_IF_ERROR(rc, ask(f, duck, connection, &sql, &n, err), done);
    f->n_rows = n.values[0];
done:
    tfn_buf_deinit(&sql);
    return rc;
}

/* "coalesce(TRY_CAST(stats_max_value AS TIMESTAMPTZ) >= make_timestamptz(..), true) AND ...": one
 * second is added on each side, for statistics in other units. */
static tfn_code add_kept(tfn_buf *sql, const tfn_scan *scan, tfn_error *err)
{
    const int64_t slack_us = 1000000;
    const int64_t limit = INT64_C(9200000000000000000);
    const int64_t min = tfn_time_sub(tfn_instant_to(scan->time_min, TFN_UNIT_US), slack_us);
    const int64_t max = tfn_time_add(tfn_instant_to(scan->time_max, TFN_UNIT_US), slack_us);
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, "true", err));
    if (scan->has_time_min && min > -limit && min < limit) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_format(sql, err,
                                               " AND coalesce(TRY_CAST(stats_max_value AS "
                                               "TIMESTAMPTZ) >= make_timestamptz(%lld), true)",
                                               (long long)min));
    }
    if (scan->has_time_max && max > -limit && max < limit) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_format(sql, err,
                                               " AND coalesce(TRY_CAST(stats_min_value AS "
                                               "TIMESTAMPTZ) <= make_timestamptz(%lld), true)",
                                               (long long)max));
    }
    return TFN_OK;
}

/* " OR path_in_schema = 'c' OR starts_with(path_in_schema, 'c, ')": a column, or the parts of a list. */
static tfn_code add_is_column(tfn_buf *sql, tfn_str name, tfn_error *err)
{
    tfn_buf list = {0};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_text(sql, " OR path_in_schema = ", err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__sql_add_text(sql, name, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_text(sql, " OR starts_with(path_in_schema, ", err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_str(&list, name, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_text(&list, ", ", err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__sql_add_text(sql, tfn_buf_get_str(&list), err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_text(sql, ")", err), done);
done:
    tfn_buf_deinit(&list);
    return rc;
}

/* Whether a row of parquet_metadata is of a column of the scan. Parts of a list are called "c, list,
 * element"; only names with a comma of their own need a look each. One list of a thousand names costs
 * DuckDB 25 ms, a thousand comparisons 200. */
static tfn_code add_is_wanted(tfn_buf *sql, const tfn_scan *scan, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, "list_contains([", err));
    for (size_t i = 0; i < scan->n_columns; i++) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, i > 0 ? ", " : "", err));
        TFN_RETURN_IF_ERROR(tfn__sql_add_text(sql, scan->columns[i], err));
    }
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, "], split_part(path_in_schema, ', ', 1))", err));
    for (size_t i = 0; i < scan->n_columns; i++) {
        const tfn_str name = scan->columns[i];
        if (memchr(name.p, ',', name.n) != NULL) {
            TFN_RETURN_IF_ERROR(add_is_column(sql, name, err));
        }
    }
    return TFN_OK;
}

/* " FILTER (path_in_schema = 't')", or of nothing where the scan has no time. */
static tfn_code add_time_filter(tfn_buf *sql, const tfn_scan *scan, tfn_error *err)
{
    if (scan->i_time < 0) {
        return tfn_buf_add_text(sql, " FILTER (false)", err);
    }
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, " FILTER (path_in_schema = ", err));
    TFN_RETURN_IF_ERROR(tfn__sql_add_text(sql, scan->columns[scan->i_time], err));
    return tfn_buf_add_text(sql, ")", err);
}

/* One row per row group: n rows, whether the time bounds keep it, bytes of the scan's columns, first
 * and last time. */
static tfn_code add_groups_table(tfn_buf *sql, const tfn__files *f, const tfn_scan *scan,
                                 tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(
        sql, "(SELECT any_value(row_group_num_rows) AS n, coalesce(bool_and(", err));
    TFN_RETURN_IF_ERROR(add_kept(sql, scan, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, ")", err));
    TFN_RETURN_IF_ERROR(add_time_filter(sql, scan, err));
    TFN_RETURN_IF_ERROR(
        tfn_buf_add_text(sql, ", true) AS kept, sum(total_compressed_size) FILTER (", err));
    TFN_RETURN_IF_ERROR(add_is_wanted(sql, scan, err));
    TFN_RETURN_IF_ERROR(
        tfn_buf_add_text(sql, ") AS bytes, min(TRY_CAST(stats_min_value AS TIMESTAMPTZ))", err));
    TFN_RETURN_IF_ERROR(add_time_filter(sql, scan, err));
    TFN_RETURN_IF_ERROR(
        tfn_buf_add_text(sql, " AS first, max(TRY_CAST(stats_max_value AS TIMESTAMPTZ))", err));
    TFN_RETURN_IF_ERROR(add_time_filter(sql, scan, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(sql, " AS last FROM parquet_metadata(", err));
    TFN_RETURN_IF_ERROR(tfn__sql_add_files(sql, f, NULL, 0, f->list.n_files, err));
    return tfn_buf_add_text(sql, ") GROUP BY file_name, row_group_id)", err);
}

/* Of all row groups: their number; of those kept: number, rows, bytes; first and last time of all,
 * if every row group has them. */
static tfn_code count_groups(const tfn__files *f, const tfn_scan *scan, tfn__duck *duck,
                             duck_connection connection, numbers *out, tfn_error *err)
{
    tfn_buf sql = {0};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(
        rc,
        tfn_buf_add_text(
            &sql,
            "SELECT count(*)::VARCHAR, (count(*) FILTER (kept))::VARCHAR, "
            "coalesce(sum(n) FILTER (kept), 0)::VARCHAR, "
            "coalesce(sum(bytes) FILTER (kept), 0)::VARCHAR, "
            "(CASE WHEN count(first) = count(*) THEN epoch_us(min(first)) END)::VARCHAR, "
            "(CASE WHEN count(last) = count(*) THEN epoch_us(max(last)) END)::VARCHAR FROM ",
            err),
        done);
    TFN_GOTO_IF_ERROR(rc, add_groups_table(&sql, f, scan, err), done);
    TFN_GOTO_IF_ERROR(rc, ask(f, duck, connection, &sql, out, err), done);
done:
    tfn_buf_deinit(&sql);
    return rc;
}

/* Some versions cannot put all statistics into words (times at the ends of int64), but can read the
 * files: then nothing is said of row groups. */
static tfn_code add_groups(const tfn__files *f, const tfn_scan *scan, tfn__duck *duck,
                           duck_connection connection, tfn_buf *out, tfn_error *err)
{
    numbers n = {0};
    tfn_error why = {0};
    const tfn_code rc = count_groups(f, scan, duck, connection, &n, &why);
    if (rc == TFN_SCHEMA || rc == TFN_IO) {
        return TFN_OK;
    }
    if (rc != TFN_OK) {
        return tfn_error_move(err, &why);
    }
    TFN_RETURN_IF_ERROR(
        tfn_buf_add_format(out, err,
                           "\"row_groups\":%lld,\"row_groups_to_read\":%lld,\"rows_to_read\":%lld,"
                           "\"bytes_to_read\":%lld,",
                           n.values[0], n.values[1], n.values[2], n.values[3]));
    if (!n.is_there[4] || !n.is_there[5]) {
        return TFN_OK;
    }
    return tfn_buf_add_format(out, err, "\"first_time_us\":%lld,\"last_time_us\":%lld,",
                              n.values[4], n.values[5]);
}

static tfn_code add_paths(tfn_buf *out, const tfn__files *f, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, "\"paths\":[", err));
    for (size_t i = 0; i < f->list.n_files && i < MAX_PATHS; i++) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, i > 0 ? "," : "", err));
        TFN_RETURN_IF_ERROR(tfn_json_add_text(out, f->list.files[i].path, err));
    }
    return tfn_buf_add_text(out, "],", err);
}

/* Does DuckDB before 2.0 cut the nanoseconds of this column? Only the footer could tell; it is said
 * of every time with zone. */
static bool may_lose_nanos(const tfn__files *f, size_t i_column, const char *version)
{
    return tfn_str_is(f->sql_columns[i_column].type, "TIMESTAMP WITH TIME ZONE") &&
           strncmp(version, "1.", 2) == 0 && f->list.format == TFN_FORMAT_PARQUET;
}

static tfn_code explain_connected(tfn__files *f, const tfn_scan *scan, tfn__duck *duck,
                                  duck_connection connection, tfn_buf *out, tfn_error *err)
{
    const char *version = duck->api.do_library_version();
    version += version[0] == 'v' ? 1 : 0;
    const bool is_parquet = f->list.format == TFN_FORMAT_PARQUET;
    TFN_RETURN_IF_ERROR(tfn__files_count_rows(f, duck, connection, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, "{\"source\":", err));
    TFN_RETURN_IF_ERROR(tfn_json_add_text(out, f->base.label, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_format(
        out, err,
        ",\"reader\":\"DuckDB %s\",\"format\":\"%s\",\"files\":%zu,\"rows\":%lld,\"bytes\":%lld,",
        version, tfn__format_get_name(f->list.format), f->list.n_files, (long long)f->n_rows,
        (long long)f->list.n_bytes));
    TFN_RETURN_IF_ERROR(add_paths(out, f, err));
    const int64_t i_time =
        scan->i_time >= 0 ? tfn_source_find_column(&f->base, scan->columns[scan->i_time]) : -1;
    if (is_parquet) {
        TFN_RETURN_IF_ERROR(add_groups(f, scan, duck, connection, out, err));
    }
    if (is_parquet && i_time >= 0) {
        TFN_RETURN_IF_ERROR(
            tfn_buf_add_format(out, err, "\"may_lose_nanoseconds\":%s,",
                               may_lose_nanos(f, (size_t)i_time, version) ? "true" : "false"));
    }
    TFN_RETURN_IF_ERROR(tfn__json_add_scan(out, scan, err));
    return tfn_buf_add_text(out, "}", err);
}

tfn_code tfn__files_explain(tfn_source *s, const tfn_scan *scan, tfn_buf *out, tfn_error *err)
{
    tfn__files *f = (tfn__files *)s;
    tfn__duck *duck = NULL;
    duck_connection connection = NULL;
    TFN_RETURN_IF_ERROR(tfn__files_begin(f, &duck, &connection, err));
    const tfn_code rc = explain_connected(f, scan, duck, connection, out, err);
    tfn__files_end(f, duck, &connection);
    return rc;
}
