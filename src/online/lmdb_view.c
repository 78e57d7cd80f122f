/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Database `views`: (project, view) -> its live generation. And the counters of database `meta`.
 *
 *   key     project | 0x00 | view                        up to 400 bytes
 *           0xFF | XXH3-128 of that                       above
 *   value   u32 generation | u32 schema id of the last write | u64 rows | u32 previous generation
 *           u32 generation that is being built | u32 bytes of project | u32 bytes of view | project | view
 *
 * The names are in the value too: they are compared at each look-up (so neither a hash nor a name
 * with a zero byte can be mistaken), and a project's views can be listed.
 */

#include <string.h>

#include "base/hash.h"
#include "base/limits.h"
#include "online/bytes.h"
#include "online/lmdb_generation.h"

#include "base/poison.h"

enum {
    VIEW_KEY_BYTES = 400,
    NAME_MARK = 0xFF, /* never begins UTF-8 text */
    AT_GENERATION = 0,
    AT_SCHEMA_ID = 4,
    AT_ROWS = 8,
    AT_PREVIOUS = 16,
    AT_BUILDING = 20,
    AT_PROJECT_BYTES = 24,
    AT_VIEW_BYTES = 28,
    AT_NAMES = 32,
    MAX_NAMES_BYTES = 2 * TFN_MAX_NAME_BYTES
};

typedef struct view_key {
    size_t n;
    uint8_t bytes[MAX_NAMES_BYTES + 1];
} view_key;

tfn_code tfn__view_check_names(tfn_str project, tfn_str view, tfn_error *err)
{
    const bool has_zero = (project.n > 0 && memchr(project.p, 0, project.n) != NULL) ||
                          (view.n > 0 && memchr(view.p, 0, view.n) != NULL);
    if (has_zero || project.n > TFN_MAX_NAME_BYTES || view.n > TFN_MAX_NAME_BYTES) {
        return TFN_FAIL(
            err, has_zero ? TFN_INVALID : TFN_LIMIT,
            "names of projects and views may have TFN_MAX_NAME_BYTES = %d bytes, none of "
            "them zero; the project's has %zu, the view's %zu",
            TFN_MAX_NAME_BYTES, project.n, view.n);
    }
    return TFN_OK;
}

static tfn_code make_key(tfn_str project, tfn_str view, view_key *out, tfn_error *err)
{
    out->n = 0;
    if (project.n > TFN_MAX_NAME_BYTES || view.n > TFN_MAX_NAME_BYTES) {
        return TFN_FAIL(err, TFN_LIMIT,
                        "the name of a project or view has more than TFN_MAX_NAME_BYTES = %d bytes",
                        TFN_MAX_NAME_BYTES);
    }
    if (project.n > 0) {
        memcpy(out->bytes, project.p, project.n);
    }
    out->bytes[project.n] = 0;
    if (view.n > 0) {
        memcpy(out->bytes + project.n + 1, view.p, view.n);
    }
    out->n = project.n + 1 + view.n;
    if (out->n > VIEW_KEY_BYTES) {
        const tfn_hash128 hash = tfn_hash128_of(out->bytes, out->n);
        out->bytes[0] = NAME_MARK;
        memcpy(out->bytes + 1, hash.bytes, sizeof hash.bytes);
        out->n = 1 + sizeof hash.bytes;
    }
    return TFN_OK;
}

/* Read a value of `views`; the names borrow it. */
static tfn_code parse_record(const char *path, MDB_val value, tfn__view *out, tfn_str *project,
                             tfn_str *view, tfn_error *err)
{
    *out = (tfn__view){0};
    const uint8_t *p = value.mv_data;
    const char *names = value.mv_data;
    const size_t n_names = value.mv_size < AT_NAMES ? 0 : value.mv_size - AT_NAMES;
    if (value.mv_size < AT_NAMES ||
        (uint64_t)tfn__get_u32(p + AT_PROJECT_BYTES) + tfn__get_u32(p + AT_VIEW_BYTES) != n_names ||
        (tfn__get_u32(p + AT_GENERATION) == 0 && tfn__get_u32(p + AT_BUILDING) == 0)) {
        return TFN_FAIL(err, TFN_CORRUPT,
                        "online store at '%s': a view's record of %zu bytes does not fit", path,
                        value.mv_size);
    }
    *project = (tfn_str){names + AT_NAMES, tfn__get_u32(p + AT_PROJECT_BYTES)};
    *view = (tfn_str){names + AT_NAMES + project->n, tfn__get_u32(p + AT_VIEW_BYTES)};
    *out = (tfn__view){
        .generation = tfn__get_u32(p + AT_GENERATION),
        .schema_id = tfn__get_u32(p + AT_SCHEMA_ID),
        .n_rows = tfn__get_u64(p + AT_ROWS),
        .previous_generation = tfn__get_u32(p + AT_PREVIOUS),
        .building_generation = tfn__get_u32(p + AT_BUILDING),
    };
    return TFN_OK;
}

tfn_code tfn__view_get(const tfn_lmdb_env *env, MDB_txn *txn, tfn_str project, tfn_str view,
                       tfn__view *out, tfn_error *err)
{
    *out = (tfn__view){0};
    view_key name;
    TFN_RETURN_IF_ERROR(make_key(project, view, &name, err));
    MDB_val key = tfn__val(name.bytes, name.n);
    MDB_val value = {0};
    const int rc = mdb_get(txn, env->views, &key, &value);
    if (rc == MDB_NOTFOUND) {
        return TFN_OK;
    }
    if (rc != 0) {
        return tfn__lmdb_fail(env->path, rc, "looking for a view", err);
    }
    tfn__view found;
    tfn_str its_project = {0};
    tfn_str its_view = {0};
    TFN_RETURN_IF_ERROR(parse_record(env->path, value, &found, &its_project, &its_view, err));
    if (tfn_str_equal(project, its_project) && tfn_str_equal(view, its_view)) {
        *out = found;
    }
    return TFN_OK;
}

tfn_code tfn__view_put(const tfn_lmdb_env *env, MDB_txn *txn, tfn_str project, tfn_str view,
                       const tfn__view *record, tfn_error *err)
{
    view_key name;
    TFN_RETURN_IF_ERROR(make_key(project, view, &name, err));
    uint8_t bytes[AT_NAMES + MAX_NAMES_BYTES] = {0};
    tfn__set_u32(bytes + AT_GENERATION, record->generation);
    tfn__set_u32(bytes + AT_SCHEMA_ID, record->schema_id);
    tfn__set_u64(bytes + AT_ROWS, record->n_rows);
    tfn__set_u32(bytes + AT_PREVIOUS, record->previous_generation);
    tfn__set_u32(bytes + AT_BUILDING, record->building_generation);
    tfn__set_u32(bytes + AT_PROJECT_BYTES, (uint32_t)project.n);
    tfn__set_u32(bytes + AT_VIEW_BYTES, (uint32_t)view.n);
    if (project.n > 0) {
        memcpy(bytes + AT_NAMES, project.p, project.n);
    }
    if (view.n > 0) {
        memcpy(bytes + AT_NAMES + project.n, view.p, view.n);
    }
    MDB_val key = tfn__val(name.bytes, name.n);
    MDB_val value = tfn__val(bytes, AT_NAMES + project.n + view.n);
    const int rc = mdb_put(txn, env->views, &key, &value, 0);
    return rc == 0 ? TFN_OK : tfn__lmdb_fail(env->path, rc, "writing a view's record", err);
}

tfn_code tfn__meta_take_number(const tfn_lmdb_env *env, MDB_txn *txn, const char *counter,
                               uint32_t *out, tfn_error *err)
{
    *out = 0;
    uint32_t next = 1;
    MDB_val key = tfn__val(counter, strlen(counter));
    MDB_val value = {0};
    int rc = mdb_get(txn, env->meta, &key, &value);
    if (rc == 0 && value.mv_size == 4) {
        next = tfn__get_u32(value.mv_data);
    }
    if ((rc == 0 && value.mv_size != 4) || next == 0 || next == UINT32_MAX) {
        return TFN_FAIL(err, TFN_CORRUPT, "online store at '%s': counter '%s' has no next number",
                        env->path, counter);
    }
    uint8_t bytes[4];
    tfn__set_u32(bytes, next + 1);
    value = tfn__val(bytes, sizeof bytes);
    if (rc == 0 || rc == MDB_NOTFOUND) {
        rc = mdb_put(txn, env->meta, &key, &value, 0);
    }
    if (rc != 0) {
        return tfn__lmdb_fail(env->path, rc, "writing a counter", err);
    }
    *out = next;
    return TFN_OK;
}

tfn_code tfn__view_remove(const tfn_lmdb_env *env, MDB_txn *txn, tfn_str project, tfn_str view,
                          tfn_error *err)
{
    view_key name;
    TFN_RETURN_IF_ERROR(make_key(project, view, &name, err));
    MDB_val key = tfn__val(name.bytes, name.n);
    const int rc = mdb_del(txn, env->views, &key, NULL);
    return rc == 0 || rc == MDB_NOTFOUND
               ? TFN_OK
               : tfn__lmdb_fail(env->path, rc, "removing a view's record", err);
}

/* ---- list ---- */

tfn_code tfn__view_each(const tfn_lmdb_env *env, MDB_txn *txn, tfn__view_visit *visit,
                        void *context, tfn_error *err)
{
    MDB_cursor *cursor = NULL;
    MDB_val key = {0};
    MDB_val value = {0};
    int lmdb_rc = mdb_cursor_open(txn, env->views, &cursor);
    if (lmdb_rc != 0) {
        return tfn__lmdb_fail(env->path, lmdb_rc, "listing views", err);
    }
    tfn_code rc = TFN_OK;
    lmdb_rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    while (rc == TFN_OK && lmdb_rc == 0) {
        tfn__view record;
        tfn_str project = {0};
        tfn_str view = {0};
        rc = parse_record(env->path, value, &record, &project, &view, err);
        if (rc == TFN_OK) {
            rc = visit(context, project, view, &record, err);
        }
        if (rc == TFN_OK) {
            lmdb_rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        }
    }
    mdb_cursor_close(cursor);
    if (rc == TFN_OK && lmdb_rc != MDB_NOTFOUND) {
        rc = tfn__lmdb_fail(env->path, lmdb_rc, "listing views", err);
    }
    return rc;
}

/* ---- remove ---- */

/* Drop the records of a project's views, or of the one view of that name: what they named is swept
 * afterwards, in short transactions. */
static tfn_code drop_in_txn(const tfn_lmdb_env *env, MDB_txn *txn, tfn_str project,
                            const tfn_str *only, uint64_t *n_rows, bool *is_changed, tfn_error *err)
{
    MDB_cursor *cursor = NULL;
    int lmdb_rc = mdb_cursor_open(txn, env->views, &cursor);
    if (lmdb_rc != 0) {
        return tfn__lmdb_fail(env->path, lmdb_rc, "listing views", err);
    }
    tfn_code rc = TFN_OK;
    MDB_val key = {0};
    MDB_val value = {0};
    lmdb_rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    while (rc == TFN_OK && lmdb_rc == 0) {
        tfn__view record;
        tfn_str its_project = {0};
        tfn_str its_view = {0};
        rc = parse_record(env->path, value, &record, &its_project, &its_view, err);
        if (rc == TFN_OK && tfn_str_equal(project, its_project) &&
            (only == NULL || tfn_str_equal(*only, its_view))) {
            *is_changed = true;
            *n_rows += record.n_rows;
            lmdb_rc = mdb_cursor_del(cursor, 0);
        }
        if (rc == TFN_OK && lmdb_rc == 0) {
            lmdb_rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        }
    }
    mdb_cursor_close(cursor);
    if (rc == TFN_OK && lmdb_rc != 0 && lmdb_rc != MDB_NOTFOUND) {
        rc = tfn__lmdb_fail(env->path, lmdb_rc, "removing a view", err);
    }
    return rc;
}

static tfn_code drop(tfn_lmdb *online, tfn_str project, const tfn_str *only, uint64_t *n_rows,
                     tfn_error *err)
{
    uint64_t n_dropped = 0;
    bool is_changed = false;
    tfn_lmdb_env *env = NULL;
    MDB_txn *txn = NULL;
    TFN_RETURN_IF_ERROR(tfn__write_begin_txn(online, &env, &txn, err));
    tfn_code rc = drop_in_txn(env, txn, project, only, &n_dropped, &is_changed, err);
    if (rc == TFN_OK && !is_changed) {
        mdb_txn_abort(txn);
    } else {
        rc = tfn__write_end_txn(env, txn, rc, "removing a view", err);
    }
    if (n_rows != NULL) {
        *n_rows = rc == TFN_OK ? n_dropped : 0;
    }
    return rc == TFN_OK ? tfn__generation_sweep(online, NULL, err) : rc;
}

tfn_code tfn_lmdb_drop_view(tfn_lmdb *online, tfn_str project, tfn_str view, uint64_t *n_rows,
                            tfn_error *err)
{
    return drop(online, project, &view, n_rows, err);
}

tfn_code tfn_lmdb_drop_project(tfn_lmdb *online, tfn_str project, uint64_t *n_rows, tfn_error *err)
{
    return drop(online, project, NULL, n_rows, err);
}
