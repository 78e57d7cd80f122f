/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Operational rows: how far each view is materialized, and the runs that brought it there.
 *
 * They are keyed by project and view, not by commit: a materialization changes what is online, not
 * what is defined, so it must not invalidate a snapshot. Setting a watermark and adding its run is
 * one transaction, written through to the disk before the call returns.
 */

#include <assert.h>

#include "registry/registry_internal.h"

#include "base/poison.h"

typedef struct found_watermark {
    bool is_found;
    tfn_watermark watermark;
} found_watermark;

static tfn_code read_watermark(void *context, sqlite3_stmt *row, tfn_error *err)
{
    (void)err;
    *(found_watermark *)context = (found_watermark){
        true,
        {tfn__sql_get_instant(row, 0), tfn__sql_get_instant(row, 2), tfn__sql_get_instant(row, 4)}};
    return TFN_OK;
}

static tfn_code read_flag(void *context, sqlite3_stmt *row, tfn_error *err)
{
    (void)row;
    (void)err;
    *(bool *)context = true;
    return TFN_OK;
}

tfn_code tfn_registry_get_watermark(tfn_registry *registry, tfn_str project, tfn_str view,
                                    bool *found, tfn_watermark *out, tfn_error *err)
{
    bool exists = false;
    tfn__database *d = NULL;
    found_watermark result = {false, {TFN_INSTANT_NONE, TFN_INSTANT_NONE, TFN_INSTANT_NONE}};
    const tfn__sql_value values[] = {tfn__sql_text(project), tfn__sql_text(view)};
    *found = false;
    *out = result.watermark;
    TFN_RETURN_IF_ERROR(tfn__registry_begin_read(registry, &exists, &d, err));
    if (!exists) {
        return TFN_OK;
    }
    const tfn_code rc =
        tfn__sql_run(d,
                     "SELECT start_s, start_ns, end_s, end_ns, created_s, created_ns FROM watermark"
                     " WHERE project = (SELECT id FROM project WHERE name = ?1) AND view = ?2",
                     values, 2, read_watermark, &result, err);
    tfn__registry_end_read(registry);
    if (rc == TFN_OK) {
        *found = result.is_found;
        *out = result.watermark;
    }
    return rc;
}

/* The two columns of an instant; nulls for TFN_INSTANT_NONE. */
static void put_instant(tfn__sql_value *values, tfn_instant t)
{
    const bool is_none = tfn_instant_compare(t, TFN_INSTANT_NONE) == 0;
    values[0] = is_none ? (tfn__sql_value){.type = 'n'} : tfn__sql_int(t.seconds);
    values[1] = is_none ? (tfn__sql_value){.type = 'n'} : tfn__sql_int(t.nanos);
}

static tfn_code require_view(tfn_registry *r, tfn__database *d, tfn_str project, tfn_str view,
                             int64_t *project_row, tfn_error *err)
{
    tfn__head head = {0};
    bool is_there = false;
    TFN_RETURN_IF_ERROR(tfn__state_get_head(d, project, &head, err));
    if (head.project == 0) {
        return tfn__registry_fail_unknown_project(r, d, project, err);
    }
    const tfn__sql_value values[] = {tfn__sql_int(head.project), tfn__sql_int(TFN_OBJECT_VIEW),
                                     tfn__sql_text(view)};
    TFN_RETURN_IF_ERROR(tfn__sql_run(d,
                                     "SELECT 1 FROM document WHERE project = ?1 AND kind = ?2 AND"
                                     " name = ?3 AND end_commit IS NULL",
                                     values, 3, read_flag, &is_there, err));
    if (!is_there) {
        char quoted[TFN__SUBJECT_BYTES];
        tfn__name_format(view, quoted);
        return TFN_FAIL(
            err, TFN_NOT_FOUND,
            "the feature view %s is no longer in the registry; it was removed meanwhile", quoted);
    }
    *project_row = head.project;
    return TFN_OK;
}

static tfn_code write_watermark(tfn__database *d, int64_t project, tfn_str view,
                                const tfn_watermark *watermark, tfn_error *err)
{
    tfn__sql_value values[8] = {tfn__sql_int(project), tfn__sql_text(view)};
    put_instant(&values[2], watermark->start);
    put_instant(&values[4], watermark->end);
    put_instant(&values[6], watermark->created_bound);
    return tfn__sql_run(d,
                        "INSERT OR REPLACE INTO watermark VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                        values, 8, NULL, NULL, err);
}

static tfn_code write_run(tfn__database *d, int64_t project, tfn_str view, const tfn_run *run,
                          tfn_error *err)
{
    tfn__sql_value values[15] = {tfn__sql_int(project), tfn__sql_text(view)};
    put_instant(&values[2], run->start);
    put_instant(&values[4], run->end);
    put_instant(&values[6], run->created_bound);
    put_instant(&values[8], run->started);
    put_instant(&values[10], run->finished);
    values[12] = tfn__sql_int(run->n_rows_read);
    values[13] = tfn__sql_int(run->n_rows_written);
    values[14] = tfn__sql_int(run->n_rows_ignored);
    return tfn__sql_run(
        d,
        "INSERT INTO run(project, view, start_s, start_ns, end_s, end_ns, created_s,"
        " created_ns, started_s, started_ns, finished_s, finished_ns, n_read,"
        " n_written, n_ignored) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,"
        " ?12, ?13, ?14, ?15)",
        values, 15, NULL, NULL, err);
}

tfn_code tfn_registry_set_watermark(tfn_registry *registry, tfn_str project, tfn_str view,
                                    const tfn_watermark *watermark, const tfn_run *run,
                                    tfn_error *err)
{
    tfn__database d = {0};
    int64_t project_row = 0;
    TFN_RETURN_IF_ERROR(tfn__registry_require_file(registry, project, err));
    TFN_RETURN_IF_ERROR(tfn__registry_begin_write(registry, &d, err));
    tfn_code rc = require_view(registry, &d, project, view, &project_row, err);
    if (rc == TFN_OK) {
        rc = write_watermark(&d, project_row, view, watermark, err);
    }
    if (rc == TFN_OK && run != NULL) {
        rc = write_run(&d, project_row, view, run, err);
    }
    if (rc == TFN_OK) {
        return tfn__registry_commit(registry, &d, err);
    }
    tfn__registry_abort(&d);
    return rc;
}

tfn_code tfn_registry_forget_watermark(tfn_registry *registry, tfn_str project, tfn_str view,
                                       tfn_error *err)
{
    tfn__database d = {0};
    tfn__head head = {0};
    TFN_RETURN_IF_ERROR(tfn__registry_require_file(registry, project, err));
    TFN_RETURN_IF_ERROR(tfn__registry_begin_write(registry, &d, err));
    tfn_code rc = tfn__state_get_head(&d, project, &head, err);
    if (rc == TFN_OK && head.project == 0) {
        rc = tfn__registry_fail_unknown_project(registry, &d, project, err);
    }
    if (rc == TFN_OK) {
        const tfn__sql_value values[] = {tfn__sql_int(head.project), tfn__sql_text(view)};
        rc = tfn__sql_run(&d, "DELETE FROM watermark WHERE project = ?1 AND view = ?2", values, 2,
                          NULL, NULL, err);
    }
    if (rc == TFN_OK) {
        return tfn__registry_commit(registry, &d, err);
    }
    tfn__registry_abort(&d);
    return rc;
}

/* ---- as bytes ---- */

/* Three instants (start, end, created bound): i64 seconds, i32 nanoseconds, little endian. */
enum { INSTANT_BYTES = 12 };
static_assert(3 * INSTANT_BYTES == TFN_WATERMARK_BYTES, "a watermark is three instants");

static void pack_instant(tfn_instant t, uint8_t *to)
{
    for (int i = 0; i < 8; i++) {
        to[i] = (uint8_t)((uint64_t)t.seconds >> (8 * i));
    }
    for (int i = 0; i < 4; i++) {
        to[8 + i] = (uint8_t)((uint32_t)t.nanos >> (8 * i));
    }
}

static tfn_instant unpack_instant(const uint8_t *from)
{
    uint64_t seconds = 0;
    uint32_t nanos = 0;
    for (int i = 0; i < 8; i++) {
        seconds |= (uint64_t)from[i] << (8 * i);
    }
    for (int i = 0; i < 4; i++) {
        nanos |= (uint32_t)from[8 + i] << (8 * i);
    }
    return (tfn_instant){(int64_t)seconds, (int32_t)nanos};
}

void tfn_watermark_pack(const tfn_watermark *watermark, uint8_t to[TFN_WATERMARK_BYTES])
{
    pack_instant(watermark->start, to);
    pack_instant(watermark->end, to + INSTANT_BYTES);
    pack_instant(watermark->created_bound, to + (size_t)2 * INSTANT_BYTES);
}

bool tfn_watermark_unpack(tfn_str bytes, tfn_watermark *out)
{
    *out = (tfn_watermark){TFN_INSTANT_NONE, TFN_INSTANT_NONE, TFN_INSTANT_NONE};
    if (bytes.n != TFN_WATERMARK_BYTES) {
        return false;
    }
    const uint8_t *from = (const uint8_t *)bytes.p;
    *out = (tfn_watermark){unpack_instant(from), unpack_instant(from + INSTANT_BYTES),
                           unpack_instant(from + (size_t)2 * INSTANT_BYTES)};
    return true;
}

/* ---- runs ---- */

typedef struct run_list {
    tfn_buf *out;
    size_t n;
} run_list;

/* Columns: view, five instants of two columns each, n_read, n_written, n_ignored. */
static tfn_code add_run(void *context, sqlite3_stmt *row, tfn_error *err)
{
    static const char *const times[] = {"start", "end", "created_bound", "started", "finished"};
    run_list *list = context;
    TFN_RETURN_IF_ERROR(
        tfn_buf_add_text(list->out, list->n > 0 ? ",{\"view\":" : "{\"view\":", err));
    list->n++;
    TFN_RETURN_IF_ERROR(tfn_json_add_text(list->out, tfn__sql_get_str(row, 0), err));
    for (int i = 0; i < 5; i++) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_format(list->out, err, ",\"%s\":", times[i]));
        TFN_RETURN_IF_ERROR(
            tfn__json_add_instant(list->out, tfn__sql_get_instant(row, 1 + 2 * i), err));
    }
    return tfn_buf_add_format(
        list->out, err, ",\"rows_read\":%lld,\"rows_written\":%lld,\"rows_ignored\":%lld}",
        (long long)sqlite3_column_int64(row, 11), (long long)sqlite3_column_int64(row, 12),
        (long long)sqlite3_column_int64(row, 13));
}

static tfn_code write_runs(tfn__database *d, tfn_str project, tfn_str view, int64_t limit,
                           tfn_buf *out, tfn_error *err)
{
    run_list list = {.out = out};
    const tfn__sql_value values[] = {tfn__sql_text(project), tfn__sql_text(view),
                                     tfn__sql_int(limit > 0 ? limit : -1)};
    TFN_RETURN_IF_ERROR(tfn_buf_add(out, "[", 1, err));
    TFN_RETURN_IF_ERROR(
        tfn__sql_run(d,
                     "SELECT view, start_s, start_ns, end_s, end_ns, created_s, created_ns,"
                     " started_s, started_ns, finished_s, finished_ns, n_read, n_written, n_ignored"
                     " FROM run WHERE project = (SELECT id FROM project WHERE name = ?1)"
                     " AND (?2 = '' OR view = ?2) ORDER BY id DESC LIMIT ?3",
                     values, 3, add_run, &list, err));
    return tfn_buf_add(out, "]", 1, err);
}

tfn_code tfn_registry_list_runs(tfn_registry *registry, tfn_str project, tfn_str view,
                                int64_t limit, tfn_buf *out, tfn_error *err)
{
    bool exists = false;
    tfn__database *d = NULL;
    TFN_RETURN_IF_ERROR(tfn__registry_begin_read(registry, &exists, &d, err));
    if (!exists) {
        return tfn_buf_add_text(out, "[]", err);
    }
    const tfn_code rc = write_runs(d, project, view, limit, out, err);
    tfn__registry_end_read(registry);
    return rc;
}
