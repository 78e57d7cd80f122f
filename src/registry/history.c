/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Reading what happened: the log, one commit, the projects.
 *
 * A commit's changes are not stored: they are the rows that it began and the rows that it ended. A
 * row ended and one begun under the same name is a change, one alone a removal or an addition.
 */

#include "registry/registry_internal.h"

#include "base/poison.h"

/* ---- log ---- */

typedef struct log_writer {
    tfn_buf *out;
    size_t n;
} log_writer;

/* Columns: number, time_s, time_ns, message, n_added, n_changed, n_removed. Without the closing
 * brace, as `show` goes on. */
static tfn_code add_commit(tfn_buf *out, sqlite3_stmt *row, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_format(
        out, err, "{\"commit\":%lld,\"time\":", (long long)sqlite3_column_int64(row, 0)));
    TFN_RETURN_IF_ERROR(tfn__json_add_instant(out, tfn__sql_get_instant(row, 1), err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, ",\"message\":", err));
    TFN_RETURN_IF_ERROR(tfn_json_add_text(out, tfn__sql_get_str(row, 3), err));
    return tfn_buf_add_format(out, err, ",\"n_added\":%lld,\"n_changed\":%lld,\"n_removed\":%lld",
                              (long long)sqlite3_column_int64(row, 4),
                              (long long)sqlite3_column_int64(row, 5),
                              (long long)sqlite3_column_int64(row, 6));
}

static tfn_code add_log_row(void *context, sqlite3_stmt *row, tfn_error *err)
{
    log_writer *w = context;
    TFN_RETURN_IF_ERROR(tfn_buf_add(w->out, ",", w->n > 0 ? 1 : 0, err));
    w->n++;
    TFN_RETURN_IF_ERROR(add_commit(w->out, row, err));
    return tfn_buf_add(w->out, "}", 1, err);
}

static tfn_code write_log(tfn__database *d, int64_t project, int64_t limit, tfn_buf *out,
                          tfn_error *err)
{
    log_writer w = {.out = out};
    const tfn__sql_value values[] = {tfn__sql_int(project), tfn__sql_int(limit > 0 ? limit : -1)};
    TFN_RETURN_IF_ERROR(tfn_buf_add(out, "[", 1, err));
    TFN_RETURN_IF_ERROR(tfn__sql_run(d,
                                     "SELECT number, time_s, time_ns, message, n_added, n_changed,"
                                     " n_removed FROM commits WHERE project = ?1"
                                     " ORDER BY number DESC LIMIT ?2",
                                     values, 2, add_log_row, &w, err));
    return tfn_buf_add(out, "]", 1, err);
}

tfn_code tfn_registry_log(tfn_registry *registry, tfn_str project, int64_t limit, tfn_buf *out,
                          tfn_error *err)
{
    tfn__database *d = NULL;
    tfn__head head = {0};
    TFN_RETURN_IF_ERROR(tfn__registry_begin_project(registry, project, &d, &head, err));
    const tfn_code rc = write_log(d, head.project, limit, out, err);
    tfn__registry_end_read(registry);
    return rc;
}

/* ---- one commit ---- */

/* Rows come by kind and name, an ended one before the one begun in its place. */
typedef struct show_writer {
    tfn_buf *out;
    tfn_arena arena;   /* holds the row that waits for its other half */
    tfn_arena scratch; /* for the comparison */
    int64_t commit;
    size_t n_rows;
    size_t n_changes;
    bool is_waiting;
    tfn_object_kind kind;
    tfn_str name;
    tfn_str before;
    tfn_str after;
} show_writer;

static tfn_code flush_change(show_writer *w, tfn_error *err)
{
    if (!w->is_waiting) {
        return TFN_OK;
    }
    w->is_waiting = false;
    TFN_RETURN_IF_ERROR(tfn_buf_add(w->out, ",", w->n_changes > 0 ? 1 : 0, err));
    w->n_changes++;
    TFN_RETURN_IF_ERROR(
        tfn__diff_add_change(w->out, &w->scratch, w->kind, w->name, w->before, w->after, err));
    tfn_arena_reset(&w->arena);
    tfn_arena_reset(&w->scratch);
    return TFN_OK;
}

static tfn_code copy_text(show_writer *w, tfn_str text, tfn_str *out, tfn_error *err)
{
    out->n = text.n;
    return tfn_arena_copy(&w->arena, text.p, text.n, &out->p, err);
}

/* Columns: kind, name, body, first_commit. */
static tfn_code add_version(void *context, sqlite3_stmt *row, tfn_error *err)
{
    show_writer *w = context;
    const tfn_object_kind kind = (tfn_object_kind)sqlite3_column_int(row, 0);
    const tfn_str name = tfn__sql_get_str(row, 1);
    const bool is_begun = sqlite3_column_int64(row, 3) == w->commit;
    const bool is_pair =
        w->is_waiting && is_begun && kind == w->kind && tfn_str_equal(name, w->name);
    if (!is_pair) {
        TFN_RETURN_IF_ERROR(flush_change(w, err));
        w->kind = kind;
        w->before = (tfn_str){0};
        w->after = (tfn_str){0};
        TFN_RETURN_IF_ERROR(copy_text(w, name, &w->name, err));
    }
    w->is_waiting = true;
    return copy_text(w, tfn__sql_get_str(row, 2), is_begun ? &w->after : &w->before, err);
}

static tfn_code add_head_row(void *context, sqlite3_stmt *row, tfn_error *err)
{
    show_writer *w = context;
    w->n_rows++;
    return add_commit(w->out, row, err);
}

static tfn_code write_show(tfn__database *d, int64_t project, show_writer *w, tfn_error *err)
{
    const tfn__sql_value values[] = {tfn__sql_int(project), tfn__sql_int(w->commit)};
    TFN_RETURN_IF_ERROR(tfn__sql_run(d,
                                     "SELECT number, time_s, time_ns, message, n_added, n_changed,"
                                     " n_removed FROM commits WHERE project = ?1 AND number = ?2",
                                     values, 2, add_head_row, w, err));
    if (w->n_rows == 0) {
        return TFN_FAIL(err, TFN_NOT_FOUND,
                        "there is no commit %lld in this project; `tiffin registry log` lists them",
                        (long long)w->commit);
    }
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(w->out, ",\"changes\":[", err));
    TFN_RETURN_IF_ERROR(
        tfn__sql_run(d,
                     "SELECT kind, name, body, first_commit FROM document"
                     " WHERE project = ?1 AND (first_commit = ?2 OR end_commit = ?2)"
                     " ORDER BY kind, name, first_commit",
                     values, 2, add_version, w, err));
    TFN_RETURN_IF_ERROR(flush_change(w, err));
    return tfn_buf_add_text(w->out, "]}", err);
}

tfn_code tfn_registry_show(tfn_registry *registry, tfn_str project, int64_t commit, tfn_buf *out,
                           tfn_error *err)
{
    tfn__database *d = NULL;
    tfn__head head = {0};
    show_writer w = {.out = out, .commit = commit};
    TFN_RETURN_IF_ERROR(tfn__registry_begin_project(registry, project, &d, &head, err));
    const tfn_code rc = write_show(d, head.project, &w, err);
    tfn__registry_end_read(registry);
    tfn_arena_deinit(&w.arena);
    tfn_arena_deinit(&w.scratch);
    return rc;
}

/* ---- projects ---- */

/* Columns: name, head, body, created_s, created_ns, updated_s, updated_ns. */
static tfn_code add_project(void *context, sqlite3_stmt *row, tfn_error *err)
{
    log_writer *w = context;
    const tfn_str body = tfn__sql_get_str(row, 2);
    tfn__entry entry = {.kind = TFN_OBJECT_PROJECT,
                        .body = body,
                        .hash = tfn_hash128_of(body.p, body.n),
                        .created = tfn__sql_get_instant(row, 3),
                        .updated = tfn__sql_get_instant(row, 5)};
    if (body.n == 0) {
        return TFN_FAIL(err, TFN_CORRUPT,
                        "the registry is damaged: a project has an empty document");
    }
    TFN_RETURN_IF_ERROR(tfn_buf_add(w->out, ",", w->n > 0 ? 1 : 0, err));
    w->n++;
    TFN_RETURN_IF_ERROR(tfn__snapshot_describe_entry(&entry, w->out, err));
    w->out->n--; /* its closing brace */
    return tfn_buf_add_format(w->out, err, ",\"commit\":%lld}",
                              (long long)sqlite3_column_int64(row, 1));
}

tfn_code tfn_registry_list_projects(tfn_registry *registry, tfn_buf *out, tfn_error *err)
{
    bool exists = false;
    tfn__database *d = NULL;
    log_writer w = {.out = out};
    TFN_RETURN_IF_ERROR(tfn__registry_begin_read(registry, &exists, &d, err));
    if (!exists) {
        return tfn_buf_add_text(out, "[]", err);
    }
    tfn_code rc = tfn_buf_add(out, "[", 1, err);
    if (rc == TFN_OK) {
        rc = tfn__sql_run(d,
                          "SELECT p.name, p.head, d.body, d.created_s, d.created_ns, d.updated_s,"
                          " d.updated_ns FROM project p JOIN document d ON d.project = p.id"
                          " AND d.kind = 1 AND d.end_commit IS NULL ORDER BY p.name",
                          NULL, 0, add_project, &w, err);
    }
    if (rc == TFN_OK) {
        rc = tfn_buf_add(out, "]", 1, err);
    }
    tfn__registry_end_read(registry);
    return rc;
}
