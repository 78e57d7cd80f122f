/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * A source of files, local or on S3: the list, the columns, the verbs. The list and the identity of its files are
 * taken before the columns are read, and checked again after: what the columns say is true of those
 * files.
 */

#include "source/files.h"

#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/mem.h"
#include "source/files_internal.h"
#include "source/remote.h"

#include "base/poison.h"

tfn_code tfn__files_reserve(tfn__files *f, size_t n_columns, tfn_error *err)
{
    if (n_columns > TFN_MAX_FIELDS) {
        return TFN_FAIL(err, TFN_LIMIT, "%.*s: %zu columns; at most %d can be read",
                        TFN_STR_ARG(f->base.label), n_columns, TFN_MAX_FIELDS);
    }
    void *memory = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&f->base.arena, n_columns + 1,
                                             sizeof(tfn_source_column), &memory, err));
    f->base.columns = memory;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc_zero(&f->base.arena, n_columns + 1, sizeof(tfn__sql_column), &memory, err));
    f->sql_columns = memory;
    return TFN_OK;
}

static tfn_code copy_into(tfn_arena *arena, tfn_str text, tfn_str *out, tfn_error *err)
{
    const char *copy = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_copy(arena, text.p, text.n, &copy, err));
    *out = (tfn_str){copy, text.n};
    return TFN_OK;
}

static bool is_same_ignoring_case(tfn_str a, const char *b)
{
    return a.n == strlen(b) && strncasecmp(a.p, b, a.n) == 0;
}

tfn_code tfn__files_add_column(tfn__files *f, tfn_str name, tfn_str sql_name, tfn_str sql_type,
                               tfn_error *err)
{
    if (is_same_ignoring_case(name, "file_row_number") ||
        is_same_ignoring_case(name, "file_index")) {
        return TFN_FAIL(err, TFN_INVALID,
                        "%.*s: a column is named '%.*s', a name that the reader needs for itself; "
                        "rename it",
                        TFN_STR_ARG(f->base.label), TFN_STR_ARG(name));
    }
    tfn_source_column *c = &f->base.columns[f->base.n_columns];
    tfn__sql_column *s = &f->sql_columns[f->base.n_columns];
    TFN_RETURN_IF_ERROR(copy_into(&f->base.arena, name, &c->name, err));
    TFN_RETURN_IF_ERROR(copy_into(&f->base.arena, sql_name, &s->name, err));
    TFN_RETURN_IF_ERROR(copy_into(&f->base.arena, sql_type, &s->type, err));
    c->native_type = s->type;
    c->type = tfn__duck_type_read(s->type);
    for (size_t i = 0; i < f->list.n_hive; i++) {
        s->is_hive = s->is_hive || tfn_str_equal(f->list.hive_names[i], name);
    }
    f->base.n_columns++;
    return TFN_OK;
}

/* ---- the verbs ---- */

static int get_n_workers(const tfn_source *s, int n_threads)
{
    return tfn__duck_get_n_threads(((const tfn__files *)s)->duckdb, n_threads);
}

static bool can_rescan(const tfn_source *s)
{
    return ((const tfn__files *)s)->list.format == TFN_FORMAT_PARQUET;
}

static void destroy(tfn_source *s)
{
    tfn__files *f = (tfn__files *)s;
    tfn__file_list_deinit(&f->list);
    tfn__source_deinit(s);
    tfn_mem_free(f);
}

static const tfn_source_verbs files_verbs = {.get_n_workers = get_n_workers,
                                             .can_rescan = can_rescan,
                                             .scan = tfn__files_scan,
                                             .explain = tfn__files_explain,
                                             .destroy = destroy};

/* ---- connections ---- */

tfn_code tfn__files_begin(const tfn__files *f, tfn__duck **duck, duck_connection *connection,
                          tfn_error *err)
{
    *connection = NULL;
    TFN_RETURN_IF_ERROR(tfn__duck_get(f->duckdb, duck, err));
    TFN_RETURN_IF_ERROR(tfn__duck_connect(*duck, connection, err));
    if (f->path.n == 0) {
        return TFN_OK;
    }
    tfn__s3_access access;
    tfn_code rc = tfn__s3_resolve(tfn__duck_get_s3(f->duckdb), f->endpoint, &access, err);
    if (rc == TFN_OK) {
        rc = tfn__remote_begin(*duck, *connection, &access, tfn__s3_get_bucket(f->path), err);
    }
    if (rc != TFN_OK) {
        tfn__duck_disconnect(*duck, connection);
    }
    return rc;
}

void tfn__files_end(const tfn__files *f, tfn__duck *duck, duck_connection *connection)
{
    if (f->path.n > 0 && *connection != NULL) {
        tfn__remote_end(duck, tfn__s3_get_bucket(f->path));
    }
    tfn__duck_disconnect(duck, connection);
}

tfn_code tfn__files_check(const tfn__files *f, tfn__duck *duck, duck_connection connection,
                          tfn_error *err)
{
    return f->list.is_remote ? tfn__remote_list_check(&f->list, duck, connection, err)
                             : tfn__file_list_check(&f->list, err);
}

/* ---- opening ---- */

static tfn_code read_columns(tfn__files *f, tfn__duck *duck, duck_connection connection,
                             tfn_error *err)
{
    const tfn_format format = f->list.format;
    return format == TFN_FORMAT_CSV    ? tfn__csv_read_columns(f, duck, connection, err)
           : format == TFN_FORMAT_JSON ? tfn__json_read_columns(f, duck, connection, err)
                                       : tfn__parquet_read_columns(f, duck, connection, err);
}

/* With the list of local files in hand (mistakes in paths need no DuckDB), or none yet. */
static tfn_code open_files(tfn__files *f, tfn_error *err)
{
    tfn__duck *duck = NULL;
    duck_connection connection = NULL;
    tfn_code rc = TFN_OK;
    TFN_RETURN_IF_ERROR(tfn__files_begin(f, &duck, &connection, err));
    if (f->path.n > 0) {
        TFN_GOTO_IF_ERROR(rc, tfn__remote_list_init(&f->list, duck, connection, f->path, err),
                          done);
    }
    TFN_GOTO_IF_ERROR(rc, read_columns(f, duck, connection, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__source_index(&f->base, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__files_check(f, duck, connection, err), done);
done:
    tfn__files_end(f, duck, &connection);
    return rc;
}

static tfn_code make_files(tfn_duckdb *d, tfn_str path, tfn_format format, tfn__files **out,
                           tfn_error *err)
{
    void *memory = NULL;
    *out = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn__files), &memory, err));
    tfn__files *f = memory;
    f->duckdb = d;
    f->n_rows = -1;
    f->list.format = format;
    const tfn_code rc = tfn__source_init(&f->base, &files_verbs, path, err);
    if (rc != TFN_OK) {
        destroy(&f->base);
        return rc;
    }
    *out = f;
    return TFN_OK;
}

tfn_code tfn_source_of_objects(tfn_duckdb *d, tfn_str path, tfn_format format, tfn_str s3_endpoint,
                               tfn_source **out, tfn_error *err)
{
    *out = NULL;
    tfn__files *f = NULL;
    tfn_buf full = {0};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, make_files(d, path, format, &f, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__s3_add_path(&full, path, err), done);
    TFN_GOTO_IF_ERROR(rc, copy_into(&f->base.arena, tfn_buf_get_str(&full), &f->path, err), done);
    TFN_GOTO_IF_ERROR(rc, copy_into(&f->base.arena, s3_endpoint, &f->endpoint, err), done);
    TFN_GOTO_IF_ERROR(rc, open_files(f, err), done);
    *out = &f->base;
    f = NULL;
done:
    tfn_buf_deinit(&full);
    if (f != NULL) {
        destroy(&f->base);
    }
    return rc;
}

tfn_code tfn_source_of_files(tfn_duckdb *d, const char *base_path, tfn_str path, tfn_format format,
                             tfn_source **out, tfn_error *err)
{
    *out = NULL;
    tfn_str scheme = {0};
    if (tfn__path_get_scheme(path, &scheme) && !tfn_str_is(scheme, "file")) {
        return tfn_source_of_objects(d, path, format, (tfn_str){0}, out, err);
    }
    tfn__files *f = NULL;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, make_files(d, path, format, &f, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__file_list_init(&f->list, base_path, path, format, err), done);
    TFN_GOTO_IF_ERROR(rc, open_files(f, err), done);
    *out = &f->base;
    f = NULL;
done:
    if (f != NULL) {
        destroy(&f->base);
    }
    return rc;
}
