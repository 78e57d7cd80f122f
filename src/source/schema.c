/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The columns of Parquet files.
 *
 * Two answers of DuckDB's are laid side by side: DESCRIBE (names and types as a scan will give
 * them, folder columns last) and parquet_schema (what stands in every file's footer). The second is
 * needed because DuckDB renames equal names silently, says nothing of columns of nothing but nulls,
 * and casts a later file's column to the first file's type, rounding where that loses something. So
 * here: equal names are refused, and a later file's column must be of the same type or one that
 * widens exactly.
 *
 * A footer is a tree in depth-first order; each node says how many children it has. Only the top
 * level has names for us; of nested columns the types of the leaves are compared.
 */

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "source/files_internal.h"

#include "base/poison.h"

enum { MAX_DEPTH = 128 };

static const char *const null_type = "\"NULL\"";

/* A column at the top of the first file's tree. */
typedef struct top {
    tfn_str name;
    tfn_str type; /* scalars: DuckDB's word; nested: the leaves', each behind a '/' */
    size_t last_file;
} top;

typedef struct reader {
    tfn__files *f;
    tfn_arena arena;
    top *tops;
    size_t n_tops;
    size_t capacity;
    tfn_map by_name;
    /* DESCRIBE, in pairs of name and type */
    tfn_str *described;
    size_t n_described;
    size_t described_capacity;
    /* the file being read */
    size_t i_file;
    size_t n_left[MAX_DEPTH]; /* children still to come, per level */
    size_t depth;             /* 0: the next row is a root */
    tfn_str name;
    tfn_buf type;
} reader;

static tfn_str file_name(const reader *r, size_t i)
{
    return r->f->list.files[i].path;
}

static tfn_code copy_text(reader *r, tfn_str text, tfn_str *out, tfn_error *err)
{
    const char *copy = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_copy(&r->arena, text.p, text.n, &copy, err));
    *out = (tfn_str){copy, text.n};
    return TFN_OK;
}

/* ---- types of different files ---- */

static int rank_of(tfn_str type)
{
    static const char *const integers[] = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT"};
    for (int i = 0; i < 4; i++) {
        if (tfn_str_is(type, integers[i])) {
            return i + 1;
        }
    }
    return 0;
}

/* May a later file's column be cast to the first file's type without loss? */
static bool is_exact(tfn_str first, tfn_str later)
{
    if (tfn_str_equal(first, later) || tfn_str_is(later, null_type)) {
        return true;
    }
    if (tfn_str_is(first, "DOUBLE") && tfn_str_is(later, "FLOAT")) {
        return true;
    }
    return rank_of(later) > 0 && rank_of(later) < rank_of(first);
}

/* Our word where there is one. */
static void describe_type(tfn_str type, char *out, size_t n_out)
{
    char text[TFN_TYPE_TEXT_BYTES];
    const tfn_type ours = tfn__duck_type_read(type);
    tfn_type_format(ours, text);
    const tfn_str word = tfn_str_is(type, null_type)  ? tfn_str_of("null")
                         : ours.kind != TFN_KIND_NONE ? tfn_str_of(text)
                                                      : type;
    const size_t n = word.n < n_out - 1 ? word.n : n_out - 1;
    memcpy(out, word.p, n);
    out[n] = '\0';
}

static tfn_code fail_types(const reader *r, const top *first, tfn_str found, tfn_error *err)
{
    char expected_text[80];
    char found_text[80];
    describe_type(first->type, expected_text, sizeof expected_text);
    describe_type(found, found_text, sizeof found_text);
    return TFN_FAIL(err, TFN_SCHEMA, "'%s': column '%.*s': expected %s as in '%s', found %s",
                    file_name(r, r->i_file).p, TFN_STR_ARG(first->name), expected_text,
                    file_name(r, 0).p, found_text);
}

/* ---- trees ---- */

static tfn_code add_top(reader *r, tfn_error *err)
{
    uint32_t before = 0;
    if (tfn_map_get(&r->by_name, r->name, &before)) {
        return TFN_FAIL(err, TFN_INVALID, "'%s': columns %u and %zu are both named '%.*s'",
                        file_name(r, 0).p, before + 1, r->n_tops + 1, TFN_STR_ARG(r->name));
    }
    void *tops = r->tops;
    const tfn_code rc = tfn_mem_grow(&tops, &r->capacity, r->n_tops + 1, sizeof(top), err);
    r->tops = tops;
    if (rc != TFN_OK) {
        return rc;
    }
    top *t = &r->tops[r->n_tops];
    *t = (top){.name = r->name};
    TFN_RETURN_IF_ERROR(copy_text(r, tfn_buf_get_str(&r->type), &t->type, err));
    TFN_RETURN_IF_ERROR(tfn_map_put(&r->by_name, t->name, (uint32_t)r->n_tops, err));
    r->n_tops++;
    return TFN_OK;
}

static tfn_code end_top(reader *r, tfn_error *err)
{
    if (r->i_file == 0) {
        return add_top(r, err);
    }
    uint32_t i = 0;
    if (!tfn_map_get(&r->by_name, r->name, &i)) {
        return TFN_OK; /* a column that the first file does not have is not read */
    }
    top *first = &r->tops[i];
    if (first->last_file == r->i_file) {
        return TFN_FAIL(err, TFN_INVALID, "'%s': two columns are named '%.*s'",
                        file_name(r, r->i_file).p, TFN_STR_ARG(r->name));
    }
    first->last_file = r->i_file;
    const tfn_str found = tfn_buf_get_str(&r->type);
    return is_exact(first->type, found) ? TFN_OK : fail_types(r, first, found, err);
}

static tfn_code end_file(reader *r, tfn_error *err)
{
    for (size_t i = 0; i < r->n_tops; i++) {
        if (r->tops[i].last_file != r->i_file) {
            return TFN_FAIL(err, TFN_SCHEMA, "'%s': there is no column '%.*s', which '%s' has",
                            file_name(r, r->i_file).p, TFN_STR_ARG(r->tops[i].name),
                            file_name(r, 0).p);
        }
    }
    r->i_file++;
    return TFN_OK;
}

static size_t number_of(tfn_str digits)
{
    size_t n = 0;
    for (size_t i = 0; i < digits.n && digits.p[i] >= '0' && digits.p[i] <= '9'; i++) {
        n = n * 10 + (size_t)(digits.p[i] - '0');
    }
    return n;
}

/* Begin a node at the top, or add a leaf's type to the one that it belongs to. */
static tfn_code enter_node(reader *r, const tfn_str *cells, size_t n_children, tfn_error *err)
{
    if (r->depth == 1) {
        TFN_RETURN_IF_ERROR(copy_text(r, cells[0], &r->name, err));
        tfn_buf_clear(&r->type);
    }
    if (n_children > 0) {
        return TFN_OK;
    }
    if (r->depth > 1) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(&r->type, "/", err));
    }
    return tfn_buf_add_str(&r->type, cells[2], err);
}

/* cells: name, number of children, type */
static tfn_code take_node(void *context, const tfn_str *cells, size_t n, tfn_error *err)
{
    (void)n;
    reader *r = context;
    const size_t n_children = number_of(cells[1]);
    if (r->i_file >= r->f->list.n_files || r->depth >= MAX_DEPTH) {
        return TFN_FAIL(err, TFN_IO, "%.*s: the schema of a file is not a tree",
                        TFN_STR_ARG(r->f->base.label));
    }
    if (r->depth > 0) {
        TFN_RETURN_IF_ERROR(enter_node(r, cells, n_children, err));
        r->n_left[r->depth - 1]--;
    }
    const bool is_root = r->depth == 0;
    if (is_root || n_children > 0) {
        r->n_left[r->depth++] = n_children;
    }
    while (r->depth > 1 && r->n_left[r->depth - 1] == 0) {
        r->depth--;
    }
    if (!is_root && r->depth == 1) {
        TFN_RETURN_IF_ERROR(end_top(r, err));
    }
    if (r->depth == 1 && r->n_left[0] == 0) {
        r->depth = 0;
        TFN_RETURN_IF_ERROR(end_file(r, err));
    }
    return TFN_OK;
}

/* cells: name, type */
static tfn_code take_described(void *context, const tfn_str *cells, size_t n, tfn_error *err)
{
    (void)n;
    reader *r = context;
    void *described = r->described;
    const tfn_code rc = tfn_mem_grow(&described, &r->described_capacity, 2 * r->n_described + 2,
                                     sizeof(tfn_str), err);
    r->described = described;
    if (rc != TFN_OK) {
        return rc;
    }
    TFN_RETURN_IF_ERROR(copy_text(r, cells[0], &r->described[2 * r->n_described], err));
    TFN_RETURN_IF_ERROR(copy_text(r, cells[1], &r->described[2 * r->n_described + 1], err));
    r->n_described++;
    return TFN_OK;
}

/* ---- the two questions ---- */

static tfn_code ask(reader *r, tfn__duck *duck, duck_connection connection, const char *before,
                    size_t n_files, const char *after, tfn__row_fn take_row, tfn_error *err)
{
    tfn_buf sql = {0};
    tfn_code rc = tfn_buf_add_text(&sql, before, err);
    if (rc == TFN_OK) {
        rc = tfn__sql_add_files(&sql, r->f, NULL, 0, n_files, err);
    }
    if (rc == TFN_OK) {
        rc = tfn_buf_add_text(&sql, after, err);
    }
    if (rc == TFN_OK) {
        const tfn__statement s = {
            .sql = sql.p, .label = r->f->base.label, .take_row = take_row, .context = r};
        rc = tfn__duck_execute(duck, connection, &s, err);
    }
    tfn_buf_deinit(&sql);
    return rc;
}

static bool is_hive_name(const tfn__files *f, tfn_str name)
{
    for (size_t i = 0; i < f->list.n_hive; i++) {
        if (tfn_str_equal(f->list.hive_names[i], name)) {
            return true;
        }
    }
    return false;
}

/* DESCRIBE gives the columns of the footer in its order, then those of all folders on the path; of
 * these only the ones below the source's own root are ours. */
static tfn_code add_columns(reader *r, tfn_error *err)
{
    tfn__files *f = r->f;
    if (r->n_described < r->n_tops) {
        return TFN_FAIL(err, TFN_IO, "%.*s: the footer has %zu columns, but %zu can be read",
                        TFN_STR_ARG(f->base.label), r->n_tops, r->n_described);
    }
    TFN_RETURN_IF_ERROR(tfn__files_reserve(f, r->n_described, err));
    for (size_t i = 0; i < r->n_described; i++) {
        const tfn_str sql_name = r->described[2 * i];
        const tfn_str type = r->described[2 * i + 1];
        if (i >= r->n_tops && !is_hive_name(f, sql_name)) {
            continue;
        }
        const tfn_str name = i < r->n_tops ? r->tops[i].name : sql_name;
        TFN_RETURN_IF_ERROR(tfn__files_add_column(f, name, sql_name, type, err));
        if (i < r->n_tops && tfn_str_is(r->tops[i].type, null_type)) {
            tfn_source_column *c = &f->base.columns[f->base.n_columns - 1];
            c->type = (tfn_type){0};
            c->native_type = tfn_str_of(TFN__SOURCE_NULL_TYPE);
        }
    }
    return TFN_OK;
}

tfn_code tfn__parquet_read_columns(tfn__files *f, tfn__duck *duck, duck_connection connection,
                                   tfn_error *err)
{
    reader r = {.f = f};
    const bool has_hive = f->list.n_hive > 0;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(
        rc,
        ask(&r, duck, connection,
            "SELECT name, coalesce(num_children, 0)::VARCHAR, coalesce(duckdb_type, type) "
            "FROM parquet_schema(",
            f->list.n_files, ")", take_node, err),
        done);
    TFN_GOTO_IF_ERROR(
        rc,
        ask(&r, duck, connection,
            "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM read_parquet(",
            has_hive ? f->list.n_files : 1,
            has_hive ? ", hive_partitioning=true))" : ", hive_partitioning=false))", take_described,
            err),
        done);
    TFN_GOTO_IF_ERROR(rc, add_columns(&r, err), done);
done:
    tfn_mem_free(r.tops);
    tfn_mem_free(r.described);
    tfn_map_deinit(&r.by_name);
    tfn_buf_deinit(&r.type);
    tfn_arena_deinit(&r.arena);
    return rc;
}
