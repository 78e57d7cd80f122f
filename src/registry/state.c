/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Rows of the file -> one state of a project.
 *
 * A document row is valid from first_commit up to, not including, end_commit (null: still). So the
 * state after commit c is the rows with first_commit <= c and (end_commit is null or > c); for the
 * head that is exactly what the partial index document_head holds. Each body is checked against its
 * hash, so damage is found here and not as a strange definition.
 */

#include "registry/registry_internal.h"

#include <string.h>

#include "base/poison.h"

static tfn_code read_head(void *context, sqlite3_stmt *row, tfn_error *err)
{
    (void)err;
    *(tfn__head *)context = (tfn__head){sqlite3_column_int64(row, 0), sqlite3_column_int64(row, 1)};
    return TFN_OK;
}

tfn_code tfn__state_get_head(tfn__database *d, tfn_str project, tfn__head *out, tfn_error *err)
{
    *out = (tfn__head){0};
    const tfn__sql_value name = tfn__sql_text(project);
    return tfn__sql_run(d, "SELECT id, head FROM project WHERE name = ?1", &name, 1, read_head, out,
                        err);
}

static tfn_code copy_text(tfn_snapshot *s, tfn_str text, tfn_str *out, tfn_error *err)
{
    out->n = text.n;
    return tfn_arena_copy(&s->arena, text.p, text.n, &out->p, err);
}

static tfn_code fail_damaged(const tfn_snapshot *s, const tfn__entry *entry, tfn_error *err)
{
    char subject[TFN__SUBJECT_BYTES];
    tfn__subject_format(entry->kind, entry->name, subject);
    return TFN_FAIL(
        err, TFN_CORRUPT,
        "the registry is damaged: the stored document of %s (commit %lld) does not match "
        "its hash",
        subject, (long long)s->commit);
}

/* Columns: kind, name, body, hash, created_s, created_ns, updated_s, updated_ns. */
static tfn_code add_row(void *context, sqlite3_stmt *row, tfn_error *err)
{
    tfn_snapshot *s = context;
    tfn__entry entry = {.kind = (tfn_object_kind)sqlite3_column_int(row, 0),
                        .created = tfn__sql_get_instant(row, 4),
                        .updated = tfn__sql_get_instant(row, 6)};
    if ((int)entry.kind < TFN_OBJECT_PROJECT || (int)entry.kind >= TFN__N_KINDS) {
        entry.kind = TFN_OBJECT_NONE;
        return fail_damaged(s, &entry, err);
    }
    TFN_RETURN_IF_ERROR(copy_text(s, tfn__sql_get_str(row, 1), &entry.name, err));
    TFN_RETURN_IF_ERROR(copy_text(s, tfn__sql_get_str(row, 2), &entry.body, err));
    const tfn_str hash = tfn__sql_get_str(row, 3);
    entry.hash = tfn_hash128_of(entry.body.p, entry.body.n);
    if (hash.n != sizeof entry.hash.bytes || memcmp(hash.p, entry.hash.bytes, hash.n) != 0) {
        return fail_damaged(s, &entry, err);
    }
    return tfn__snapshot_add(s, &entry, err);
}

static const char select_head[] =
    "SELECT kind, name, body, hash, created_s, created_ns, updated_s, updated_ns FROM document"
    " WHERE project = ?1 AND end_commit IS NULL ORDER BY kind, name";
static const char select_past[] =
    "SELECT kind, name, body, hash, created_s, created_ns, updated_s, updated_ns FROM document"
    " WHERE project = ?1 AND first_commit <= ?2 AND (end_commit IS NULL OR end_commit > ?2)"
    " ORDER BY kind, name";

tfn_code tfn__state_load(tfn__database *d, tfn_str project, int64_t project_row, int64_t commit,
                         bool is_head, tfn_snapshot **out, tfn_error *err)
{
    *out = NULL;
    tfn_snapshot *s = NULL;
    const tfn__sql_value values[] = {tfn__sql_int(project_row), tfn__sql_int(commit)};
    tfn_code rc = tfn__snapshot_create(project, commit, &s, err);
    if (rc == TFN_OK && commit > 0) {
        rc = tfn__sql_run(d, is_head ? select_head : select_past, values, is_head ? 1 : 2, add_row,
                          s, err);
    }
    if (rc != TFN_OK) {
        tfn_snapshot_release(s);
        return rc;
    }
    *out = s;
    return TFN_OK;
}
