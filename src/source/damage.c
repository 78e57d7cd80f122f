/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Where a Parquet file is damaged.
 *
 * DuckDB names the file whose page it could not decompress, and nothing when it could not read a
 * page's header; it never names a place in it. After such an error the columns of the scan are read
 * again, row group by row group, of the named file or of all, until one fails: that is the place. It
 * costs at most one more read of what was being read, on a path that ends in an error anyway, and
 * can be stopped as the scan can. When nothing fails any more, or looking fails in another way, the
 * first error stays as it is.
 */

#include <string.h>

#include "source/files_internal.h"

#include "base/poison.h"

enum { MAX_ROW_GROUPS = 100000 };

/* The row groups of a file, one behind the other. */
typedef struct probe {
    const tfn__files *f;
    const tfn__damage_hint *hint;
    size_t i_file;
    int64_t *n_rows; /* of each row group */
    size_t n_groups;
    tfn_arena arena;
} probe;

/* cells: rows of the next row group */
static tfn_code take_group(void *context, const tfn_str *cells, size_t n, tfn_error *err)
{
    (void)n;
    (void)err;
    probe *p = context;
    if (p->n_groups < MAX_ROW_GROUPS) {
        p->n_rows[p->n_groups++] = tfn__duck_number_of(cells[0]);
    }
    return TFN_OK;
}

static tfn_code run(probe *p, tfn__duck *duck, duck_connection connection, const char *sql,
                    tfn__row_fn take_row, tfn_error *err)
{
    const tfn__statement s = {.sql = sql,
                              .label = p->f->base.label,
                              .take_row = take_row,
                              .context = p,
                              .wants_stop = p->hint->wants_stop,
                              .stop_context = p->hint->stop_context};
    return tfn__duck_execute(duck, connection, &s, err);
}

static tfn_code list_groups(probe *p, tfn__duck *duck, duck_connection connection, tfn_error *err)
{
    tfn_buf sql = {0};
    void *memory = NULL;
    tfn_code rc = TFN_OK;
    if (p->n_rows == NULL) { /* for all files */
        TFN_GOTO_IF_ERROR(
            rc, tfn_arena_alloc(&p->arena, MAX_ROW_GROUPS, sizeof(int64_t), &memory, err), done);
        p->n_rows = memory;
    }
    TFN_GOTO_IF_ERROR(
        rc,
        tfn_buf_add_text(&sql, "SELECT max(row_group_num_rows)::VARCHAR FROM parquet_metadata(",
                         err),
        done);
    TFN_GOTO_IF_ERROR(rc, tfn__sql_add_files(&sql, p->f, NULL, p->i_file, 1, err), done);
    TFN_GOTO_IF_ERROR(
        rc, tfn_buf_add_text(&sql, ") GROUP BY row_group_id ORDER BY row_group_id", err), done);
    TFN_GOTO_IF_ERROR(rc, run(p, duck, connection, sql.p, take_group, err), done);
done:
    tfn_buf_deinit(&sql);
    return rc;
}

/* A hash needs every value, where a count would be answered from the footer. */
static tfn_code read_group(probe *p, tfn__duck *duck, duck_connection connection, int64_t first_row,
                           int64_t n_rows, tfn_error *err)
{
    const int64_t last_row = first_row + n_rows - 1;
    tfn_buf sql = {0};
    tfn_code rc = tfn_buf_add_text(&sql, "SELECT max(hash(0", err);
    for (size_t i = 0; rc == TFN_OK && i < p->hint->n_indexes; i++) {
        rc = tfn_buf_add_text(&sql, ", ", err);
        rc = rc == TFN_OK
                 ? tfn__sql_add_name(&sql, p->f->sql_columns[p->hint->indexes[i]].name, err)
                 : rc;
    }
    TFN_GOTO_IF_ERROR(rc, rc, done);
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_text(&sql, "))::VARCHAR FROM read_parquet(", err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__sql_add_files(&sql, p->f, NULL, p->i_file, 1, err), done);
    TFN_GOTO_IF_ERROR(
        rc,
        tfn_buf_add_format(&sql, err,
                           ", file_row_number=true, hive_partitioning=%s) WHERE file_row_number "
                           "BETWEEN %lld AND %lld",
                           p->f->list.n_hive > 0 ? "true" : "false", (long long)first_row,
                           (long long)last_row),
        done);
    TFN_GOTO_IF_ERROR(rc, run(p, duck, connection, sql.p, NULL, err), done);
done:
    tfn_buf_deinit(&sql);
    return rc;
}

/* Look through one file. TFN_CORRUPT: row group n_groups - 1 is damaged, and begins at `first_row`;
 * anything else but TFN_OK: looking itself came to an end. */
static tfn_code probe_file(probe *p, tfn__duck *duck, duck_connection connection,
                           int64_t *first_row)
{
    *first_row = 0;
    p->n_groups = 0;
    TFN_RETURN_IF_ERROR(list_groups(p, duck, connection, NULL));
    for (size_t i = 0; i < p->n_groups; i++) {
        const tfn_code rc = read_group(p, duck, connection, *first_row, p->n_rows[i], NULL);
        if (rc != TFN_OK) {
            p->n_groups = i + 1;
            return rc == TFN_IO || rc == TFN_CORRUPT ? TFN_CORRUPT : rc;
        }
        *first_row += p->n_rows[i];
    }
    return TFN_OK;
}

/* The file whose path the message holds in quotes; n_files when there is none. */
static size_t find_file(const tfn__files *f, const char *message)
{
    for (size_t i = 0; i < f->list.n_files; i++) {
        const tfn_str path = f->list.files[i].path;
        const char *at = strstr(message, path.p);
        if (at != NULL && at > message && at[-1] == '\'' && at[path.n] == '\'') {
            return i;
        }
    }
    return f->list.n_files;
}

tfn_code tfn__files_locate_damage(const tfn__files *f, tfn__duck *duck, duck_connection connection,
                                  const tfn__damage_hint *hint, tfn_code rc, tfn_error *err)
{
    if (err == NULL || f->list.format != TFN_FORMAT_PARQUET) {
        return rc;
    }
    probe p = {.f = f, .hint = hint};
    const size_t i_named = find_file(f, err->message);
    const bool is_named = i_named < f->list.n_files;
    const size_t i_end = is_named ? i_named + 1 : f->list.n_files;
    int64_t first_row = 0;
    tfn_code probed = TFN_OK;
    for (p.i_file = is_named ? i_named : 0; p.i_file < i_end && probed == TFN_OK; p.i_file++) {
        probed = probe_file(&p, duck, connection, &first_row);
    }
    if (probed == TFN_CORRUPT && p.n_groups > 0) {
        const size_t i_group = p.n_groups - 1;
        const int64_t last_row = first_row + p.n_rows[i_group];
        tfn_error_prepend(
            err, "'%s', row group %zu (rows %lld to %lld): ", f->list.files[p.i_file - 1].path.p,
            i_group + 1, (long long)first_row + 1, (long long)last_row);
        err->code = TFN_CORRUPT;
        rc = TFN_CORRUPT;
    }
    tfn_arena_deinit(&p.arena);
    return rc;
}
