/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * From a path of objects to a list of them.
 *
 *      path -> DuckDB's glob() of everything below the fixed part -> our rules -> sort by bytes ->
 *      identity
 *
 * The rules are those of local files (file_list.c): the same names are taken and skipped, and the
 * same order decides positions. DuckDB lists, we choose. A path without a pattern is a folder if
 * anything lies below it, else one object; where listing is forbidden it is one object.
 *
 * The identity of an object is its size, the second of its last change and its ETag, as a HEAD
 * request tells them. DuckDB gives the first two as columns (read_blob, which asks for no content
 * that is not read). The ETag it keeps to itself, but it writes what it was answered into its log of
 * requests: so that log is switched on for the one statement, read, and emptied again. It lives in
 * DuckDB's memory only. The ETag is what tells two contents of equal size within one second apart;
 * a DuckDB that has no such log is believed without.
 *
 * During one scan DuckDB itself compares the ETag of every answer with that of the first.
 */

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "source/files_internal.h"
#include "source/remote.h"

#include "base/poison.h"

/* ---- listing ---- */

typedef struct lister {
    tfn__file_list *list;
    size_t n_root;       /* bytes before what the pattern speaks of */
    const char *pattern; /* NULL: everything below */
    bool takes_any_name;
    bool has_any;
    size_t n_found[TFN_FORMAT_JSON + 1];
} lister;

static tfn_code add_object(lister *l, tfn_str path, tfn_error *err)
{
    tfn__file_list *list = l->list;
    if (list->n_files >= TFN_MAX_FILES) {
        return TFN_FAIL(err, TFN_LIMIT, "more than %d objects in one source", TFN_MAX_FILES);
    }
    const char *copy = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_copy(&list->arena, path.p, path.n, &copy, err));
    void *files = list->files;
    const tfn_code rc =
        tfn_mem_grow(&files, &list->capacity, list->n_files + 1, sizeof(tfn__file), err);
    list->files = files;
    if (rc != TFN_OK) {
        return rc;
    }
    list->files[list->n_files++] = (tfn__file){.path = {copy, path.n}};
    return TFN_OK;
}

/* cells: path of an object */
static tfn_code take_object(void *context, const tfn_str *cells, size_t n, tfn_error *err)
{
    (void)n;
    lister *l = context;
    const tfn_str path = cells[0];
    if (path.n <= l->n_root) {
        return TFN_OK;
    }
    l->has_any = true;
    char *key = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_copy_bytes(path.p + l->n_root, path.n - l->n_root, &key, err));
    const tfn_format found = tfn__format_of_name(path);
    const bool is_wanted =
        l->list->format == TFN_FORMAT_AUTO ? found != TFN_FORMAT_AUTO : found == l->list->format;
    const bool is_match = tfn__s3_match(l->pattern != NULL ? l->pattern : "", key);
    tfn_mem_free(key);
    if (!is_match) {
        return TFN_OK;
    }
    l->n_found[found]++;
    return is_wanted || l->takes_any_name ? add_object(l, path, err) : TFN_OK;
}

static tfn_code list_below(lister *l, tfn__duck *duck, duck_connection connection, tfn_str root,
                           tfn_error *err)
{
    tfn_buf sql = {0};
    tfn_buf pattern = {0};
    tfn_code rc = TFN_OK;
    l->n_root = root.n;
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_str(&pattern, root, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_text(&pattern, "**", err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_text(&sql, "SELECT file FROM glob(", err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__sql_add_text(&sql, tfn_buf_get_str(&pattern), err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_text(&sql, ")", err), done);
    const tfn__statement s = {.sql = sql.p, .label = root, .take_row = take_object, .context = l};
    TFN_GOTO_IF_ERROR(rc, tfn__duck_execute(duck, connection, &s, err), done);
done:
    tfn_buf_deinit(&sql);
    tfn_buf_deinit(&pattern);
    return rc;
}

static tfn_code list_pattern(lister *l, tfn__duck *duck, duck_connection connection, tfn_str path,
                             size_t n_fixed, tfn_error *err)
{
    while (n_fixed > 0 && path.p[n_fixed - 1] != '/') {
        n_fixed--;
    }
    l->pattern = path.p + n_fixed;
    l->takes_any_name = l->list->format != TFN_FORMAT_AUTO;
    l->list->root_bytes = n_fixed;
    TFN_RETURN_IF_ERROR(list_below(l, duck, connection, (tfn_str){path.p, n_fixed}, err));
    return tfn__file_list_settle(l->list, l->n_found, path.p, true, err);
}

static tfn_code list_one(lister *l, tfn_str path, tfn_error *err)
{
    tfn__file_list *list = l->list;
    list->format = list->format != TFN_FORMAT_AUTO ? list->format : tfn__format_of_name(path);
    if (list->format == TFN_FORMAT_AUTO) {
        return TFN_FAIL(
            err, TFN_IO,
            "'%.*s': nothing lies below it, and the format of an object cannot be told "
            "from this name; expected .parquet, .pq, .csv, .json, .ndjson or .jsonl, or "
            "a stated file_format",
            TFN_STR_ARG(path));
    }
    list->root_bytes = path.n;
    return add_object(l, path, err);
}

static tfn_code list_path(lister *l, tfn__duck *duck, duck_connection connection, tfn_str path,
                          tfn_error *err)
{
    size_t n_fixed = 0;
    while (n_fixed < path.n && strchr("*?[", path.p[n_fixed]) == NULL) {
        n_fixed++;
    }
    if (n_fixed < path.n) {
        return list_pattern(l, duck, connection, path, n_fixed, err);
    }
    tfn_buf root = {0};
    tfn_error why = {0};
    const bool is_folder = tfn_str_ends_with(path, "/");
    tfn_code rc = tfn_buf_add_format(&root, err, "%.*s%s", TFN_STR_ARG(path), is_folder ? "" : "/");
    if (rc == TFN_OK) {
        l->list->root_bytes = root.n;
        rc = list_below(l, duck, connection, tfn_buf_get_str(&root), &why);
        /* Objects may be readable where they may not be listed; reading will tell. */
        const bool is_forbidden = rc == TFN_IO && !is_folder && strstr(why.message, "HTTP 403");
        rc = rc == TFN_OK || is_forbidden ? TFN_OK : tfn_error_move(err, &why);
    }
    tfn_buf_deinit(&root);
    if (rc != TFN_OK) {
        return rc;
    }
    return l->has_any || is_folder ? tfn__file_list_settle(l->list, l->n_found, path.p, false, err)
                                   : list_one(l, path, err);
}

/* ---- identity ---- */

typedef struct identities {
    const tfn__file_list *list;
    tfn__identity *items; /* one per file of the list */
} identities;

static int compare_path(const void *path, const void *file)
{
    return tfn_str_compare(*(const tfn_str *)path, ((const tfn__file *)file)->path);
}

static tfn__identity *find_identity(const identities *all, tfn_str path)
{
    const tfn__file *f =
        bsearch(&path, all->list->files, all->list->n_files, sizeof(tfn__file), compare_path);
    return f != NULL ? &all->items[f - all->list->files] : NULL;
}

/* cells: path, size, microseconds of the last change */
static tfn_code take_size(void *context, const tfn_str *cells, size_t n, tfn_error *err)
{
    (void)n;
    (void)err;
    tfn__identity *id = find_identity(context, cells[0]);
    if (id != NULL) {
        id->size = tfn__duck_number_of(cells[1]);
        id->mtime_ns = tfn__duck_number_of(cells[2]) * 1000;
    }
    return TFN_OK;
}

/* cells: path, ETag */
static tfn_code take_etag(void *context, const tfn_str *cells, size_t n, tfn_error *err)
{
    (void)n;
    (void)err;
    tfn__identity *id = find_identity(context, cells[0]);
    if (id != NULL && cells[1].n > 0) {
        id->etag = tfn_hash128_of(cells[1].p, cells[1].n);
        id->has_etag = true;
    }
    return TFN_OK;
}

static tfn_code run(tfn__duck *duck, duck_connection connection, const char *sql, tfn_str label,
                    tfn__row_fn take_row, void *context, tfn_error *err)
{
    const tfn__statement s = {.sql = sql, .label = label, .take_row = take_row, .context = context};
    return tfn__duck_execute(duck, connection, &s, err);
}

static tfn_code ask_sizes(identities *all, tfn__duck *duck, duck_connection connection,
                          tfn_error *err)
{
    const tfn__files files = {.list = *all->list};
    tfn_buf sql = {0};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(
        rc,
        tfn_buf_add_text(
            &sql,
            "SELECT filename, size::VARCHAR, epoch_us(last_modified)::VARCHAR FROM read_blob(",
            err),
        done);
    TFN_GOTO_IF_ERROR(rc, tfn__sql_add_files(&sql, &files, NULL, 0, files.list.n_files, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_text(&sql, ")", err), done);
    TFN_GOTO_IF_ERROR(
        rc, run(duck, connection, sql.p, all->list->files[0].path, take_size, all, err), done);
done:
    tfn_buf_deinit(&sql);
    return rc;
}

/* The last answer that this connection got for each object; host/bucket/key or bucket.host/key. */
static tfn_code ask_etags(identities *all, tfn__duck *duck, duck_connection connection,
                          tfn_str bucket, tfn_error *err)
{
    tfn_buf sql = {0};
    tfn_buf root = {0};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_format(&root, err, "/%.*s/", TFN_STR_ARG(bucket)), done);
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_text(&sql, "SELECT 's3:/' || CASE WHEN starts_with(p, ", err),
                      done);
    TFN_GOTO_IF_ERROR(rc, tfn__sql_add_text(&sql, tfn_buf_get_str(&root), err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_buf_add_text(&sql, ") THEN p ELSE '/' || ", err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__sql_add_text(&sql, bucket, err), done);
    TFN_GOTO_IF_ERROR(
        rc,
        tfn_buf_add_text(
            &sql,
            " || p END, arg_max(e, t) FROM (SELECT timestamp AS t, "
            "url_decode(regexp_replace(request.url, '^[a-z]+://[^/]*', '')) AS p, "
            "coalesce(response.headers['ETag'], response.headers['etag']) AS e "
            "FROM duckdb_logs_parsed('HTTP') WHERE connection_id = current_connection_id()) "
            "WHERE e IS NOT NULL GROUP BY 1",
            err),
        done);
    TFN_GOTO_IF_ERROR(rc, run(duck, connection, sql.p, bucket, take_etag, all, err), done);
done:
    tfn_buf_deinit(&sql);
    tfn_buf_deinit(&root);
    return rc;
}

/* HEAD every object once. */
static tfn_code identify(identities *all, tfn__duck *duck, duck_connection connection,
                         tfn_error *err)
{
    static const char *const empty_log = "CALL truncate_duckdb_logs()";
    const tfn_str label = tfn_str_of("DuckDB's log of requests");
    const tfn_str bucket = tfn__s3_get_bucket(all->list->files[0].path);
    tfn_error why = {0};
    tfn__remote_lock_log(duck);
    bool has_log = run(duck, connection, empty_log, label, NULL, NULL, NULL) == TFN_OK;
    has_log = has_log && run(duck, connection, "CALL enable_logging('HTTP')", label, NULL, NULL,
                             NULL) == TFN_OK;
    tfn_code rc = ask_sizes(all, duck, connection, err);
    if (has_log) {
        if (rc == TFN_OK && ask_etags(all, duck, connection, bucket, &why) == TFN_NO_MEMORY) {
            rc = tfn_error_move(err, &why);
        }
        (void)run(duck, connection, "CALL disable_logging()", label, NULL, NULL, NULL);
        (void)run(duck, connection, empty_log, label, NULL, NULL, NULL);
    }
    tfn__remote_unlock_log(duck);
    return rc;
}

static tfn_code make_identities(const tfn__file_list *list, identities *out, tfn_error *err)
{
    void *memory = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(list->n_files, sizeof(tfn__identity), &memory, err));
    *out = (identities){.list = list, .items = memory};
    for (size_t i = 0; i < list->n_files; i++) {
        out->items[i] = (tfn__identity){.size = -1};
    }
    return TFN_OK;
}

static tfn_code keep_identities(tfn__file_list *list, const identities *all, tfn_error *err)
{
    for (size_t i = 0; i < list->n_files; i++) {
        tfn__file *f = &list->files[i];
        f->identity = all->items[i];
        if (f->identity.size < 0) {
            return TFN_FAIL(err, TFN_IO, "'%s': the server does not tell its size", f->path.p);
        }
        if (f->identity.size == 0) {
            return TFN_FAIL(err, TFN_IO, "'%s' is empty (0 bytes)", f->path.p);
        }
        list->n_bytes += f->identity.size;
    }
    return TFN_OK;
}

/* ---- the two verbs ---- */

tfn_code tfn__remote_list_init(tfn__file_list *list, tfn__duck *duck, duck_connection connection,
                               tfn_str path, tfn_error *err)
{
    lister l = {.list = list};
    identities all = {0};
    list->is_remote = true;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, list_path(&l, duck, connection, path, err), done);
    tfn__file_list_sort(list);
    TFN_GOTO_IF_ERROR(rc, tfn__file_list_find_hive(list, err), done);
    TFN_GOTO_IF_ERROR(rc, make_identities(list, &all, err), done);
    TFN_GOTO_IF_ERROR(rc, identify(&all, duck, connection, err), done);
    TFN_GOTO_IF_ERROR(rc, keep_identities(list, &all, err), done);
done:
    tfn_mem_free(all.items);
    return rc;
}

tfn_code tfn__remote_list_check(const tfn__file_list *list, tfn__duck *duck,
                                duck_connection connection, tfn_error *err)
{
    identities all = {0};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, make_identities(list, &all, err), done);
    TFN_GOTO_IF_ERROR(rc, identify(&all, duck, connection, err), done);
    for (size_t i = 0; i < list->n_files; i++) {
        const tfn__identity *before = &list->files[i].identity;
        const tfn__identity *now = &all.items[i];
        const bool has_etags = before->has_etag && now->has_etag;
        if (before->size != now->size || before->mtime_ns != now->mtime_ns ||
            (has_etags && memcmp(&before->etag, &now->etag, sizeof now->etag) != 0)) {
            rc = TFN_FAIL(err, TFN_IO, "'%s' changed while it was read; read again",
                          list->files[i].path.p);
            goto done;
        }
    }
done:
    tfn_mem_free(all.items);
    return rc;
}
