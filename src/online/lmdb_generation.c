/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * What becomes of generations: one record of `views` says which are live, previous and being built;
 * all others are leftovers, and are swept.
 *
 *   building --flip--> live --flip--> previous --next flip--> (no name) --sweep--> gone
 *        `--builder dies: forget_build ----------------------------^
 *
 * Invariants
 *  1. A number without a name never gets one again (numbers are given once, and only the building
 *     one becomes live), so what is found nameless may be removed at any later time, in steps.
 *  2. A build belongs to whoever has the view's TFN__TURN_LOAD. Who gets that turn and finds a
 *     build knows that its builder is dead.
 *  3. `generations` speaks of previous generations only.
 */

#include <string.h>

#include "online/bytes.h"
#include "online/lmdb_generation.h"

#include "base/poison.h"

enum { AT_ROWS = 0, AT_MARK = 8, MAX_RECORD = AT_MARK + TFN__MARK_BYTES };

/* Entries that one transaction of a sweep removes: others wait for the lock some 20 ms. */
enum { SWEEP_ENTRIES = 32768 };

/* ---- records ---- */

tfn_code tfn__generation_get(const tfn_lmdb_env *env, MDB_txn *txn, uint32_t generation,
                             tfn__generation *out, tfn_error *err)
{
    *out = (tfn__generation){0};
    uint8_t bytes[TFN__GENERATION_BYTES];
    tfn__set_u32_be(bytes, generation);
    MDB_val key = tfn__val(bytes, sizeof bytes);
    MDB_val value = {0};
    const int rc = mdb_get(txn, env->generations, &key, &value);
    if (rc != 0 && rc != MDB_NOTFOUND) {
        return tfn__lmdb_fail(env->path, rc, "looking for a generation", err);
    }
    if (rc != 0 || value.mv_size < AT_MARK || value.mv_size > MAX_RECORD) {
        return TFN_FAIL(err, TFN_CORRUPT,
                        "online store at '%s': the record of generation %u has %zu bytes; expected "
                        "%d to %d",
                        env->path, (unsigned)generation, rc == 0 ? value.mv_size : 0, AT_MARK,
                        MAX_RECORD);
    }
    const uint8_t *p = value.mv_data;
    out->n_rows = tfn__get_u64(p + AT_ROWS);
    out->n_mark = value.mv_size - AT_MARK;
    memcpy(out->mark, p + AT_MARK, out->n_mark);
    return TFN_OK;
}

static int put_generation(const tfn_lmdb_env *env, MDB_txn *txn, uint32_t generation,
                          uint64_t n_rows, tfn_str mark)
{
    uint8_t bytes[TFN__GENERATION_BYTES];
    uint8_t record[MAX_RECORD];
    tfn__set_u32_be(bytes, generation);
    tfn__set_u64(record + AT_ROWS, n_rows);
    if (mark.n > 0) {
        memcpy(record + AT_MARK, mark.p, mark.n);
    }
    MDB_val key = tfn__val(bytes, sizeof bytes);
    MDB_val value = tfn__val(record, AT_MARK + mark.n);
    return mdb_put(txn, env->generations, &key, &value, 0);
}

static int remove_generation(const tfn_lmdb_env *env, MDB_txn *txn, uint32_t generation)
{
    uint8_t bytes[TFN__GENERATION_BYTES];
    tfn__set_u32_be(bytes, generation);
    MDB_val key = tfn__val(bytes, sizeof bytes);
    const int rc = mdb_del(txn, env->generations, &key, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

tfn_code tfn__generation_flip(const tfn_lmdb_env *env, MDB_txn *txn, tfn_str project, tfn_str view,
                              tfn__view *record, uint32_t to, uint64_t n_rows, tfn_str mark,
                              tfn_error *err)
{
    int rc = remove_generation(env, txn, to);
    if (rc == 0 && record->generation != 0) {
        rc = put_generation(env, txn, record->generation, record->n_rows, mark);
    }
    if (rc != 0) {
        return tfn__lmdb_fail(env->path, rc, "writing the record of a generation", err);
    }
    record->previous_generation = record->generation;
    record->generation = to;
    record->n_rows = n_rows;
    record->building_generation = 0;
    return tfn__view_put(env, txn, project, view, record, err);
}

/* ---- dead builds ---- */

static tfn_code forget_in_txn(const tfn_lmdb_env *env, MDB_txn *txn, tfn_str project, tfn_str view,
                              bool *is_changed, tfn_error *err)
{
    tfn__view record;
    TFN_RETURN_IF_ERROR(tfn__view_get(env, txn, project, view, &record, err));
    *is_changed = record.building_generation != 0;
    if (!*is_changed) {
        return TFN_OK;
    }
    record.building_generation = 0;
    return record.generation == 0 ? tfn__view_remove(env, txn, project, view, err)
                                  : tfn__view_put(env, txn, project, view, &record, err);
}

tfn_code tfn__generation_forget_build(tfn_lmdb *online, tfn_str project, tfn_str view,
                                      bool *is_changed, tfn_error *err)
{
    *is_changed = false;
    tfn_lmdb_env *env = NULL;
    MDB_txn *txn = NULL;
    TFN_RETURN_IF_ERROR(tfn__write_begin_txn(online, &env, &txn, err));
    const tfn_code rc = forget_in_txn(env, txn, project, view, is_changed, err);
    if (rc == TFN_OK && !*is_changed) {
        mdb_txn_abort(txn);
        return TFN_OK;
    }
    return tfn__write_end_txn(env, txn, rc, "forgetting a broken load", err);
}

/* ---- sweep ---- */

static tfn_code add_named(void *context, tfn_str project, tfn_str view, const tfn__view *record,
                          tfn_error *err)
{
    (void)project;
    (void)view;
    const uint32_t numbers[] = {record->generation, record->previous_generation,
                                record->building_generation};
    return tfn_buf_add(context, numbers, sizeof numbers, err);
}

static bool is_named(const tfn_buf *named, uint32_t generation)
{
    bool is_found = false;
    for (size_t i = 0; i < named->n && !is_found; i += sizeof generation) {
        is_found = memcmp(named->p + i, &generation, sizeof generation) == 0;
    }
    return is_found;
}

/* The first generation in a database that has no name, or 0. Skips from one to the next. */
static int find_nameless(MDB_cursor *cursor, const tfn_buf *named, uint32_t *out)
{
    *out = 0;
    uint8_t bytes[TFN__GENERATION_BYTES];
    MDB_val key = {0};
    MDB_val value = {0};
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    while (rc == 0) {
        if (key.mv_size < sizeof bytes) {
            return MDB_CORRUPTED;
        }
        const uint32_t generation = tfn__get_u32_be(key.mv_data);
        if (!is_named(named, generation)) {
            *out = generation;
            return 0;
        }
        if (generation == UINT32_MAX) {
            return 0;
        }
        tfn__set_u32_be(bytes, generation + 1);
        key = tfn__val(bytes, sizeof bytes);
        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* Remove entries of a generation, from the one at the cursor on. */
static int remove_some(MDB_cursor *cursor, uint32_t generation, uint64_t max, uint64_t *n_removed)
{
    MDB_val key = {0};
    MDB_val value = {0};
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_GET_CURRENT);
    while (rc == 0 && *n_removed < max && key.mv_size >= TFN__GENERATION_BYTES &&
           tfn__get_u32_be(key.mv_data) == generation) {
        rc = mdb_cursor_del(cursor, 0);
        if (rc == 0) {
            *n_removed += 1;
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT); /* the one behind the deleted */
        }
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* Look for nameless generations in a database, and remove up to max of their entries. */
static int sweep_database(MDB_txn *txn, MDB_dbi dbi, const tfn_buf *named, uint64_t max,
                          bool *is_found, uint64_t *n_removed)
{
    *n_removed = 0;
    uint32_t generation = 0;
    MDB_cursor *cursor = NULL;
    int rc = mdb_cursor_open(txn, dbi, &cursor);
    if (rc != 0) {
        return rc;
    }
    do {
        rc = find_nameless(cursor, named, &generation);
        *is_found = *is_found || (rc == 0 && generation != 0);
        if (rc == 0 && generation != 0) {
            rc = remove_some(cursor, generation, max, n_removed);
        }
    } while (rc == 0 && generation != 0 && *n_removed < max);
    mdb_cursor_close(cursor);
    return rc;
}

/* One step in a transaction, of whatever kind: with max = 0 it only looks. */
static tfn_code sweep_in_txn(const tfn_lmdb_env *env, MDB_txn *txn, uint64_t max, bool *is_found,
                             uint64_t *n_rows, tfn_error *err)
{
    *is_found = false;
    *n_rows = 0;
    uint64_t n_removed = 0;
    tfn_buf named = {0};
    tfn_code rc = tfn__view_each(env, txn, add_named, &named, err);
    if (rc == TFN_OK) {
        int lmdb_rc = sweep_database(txn, env->rows, &named, max, is_found, n_rows);
        if (lmdb_rc == 0) {
            lmdb_rc =
                sweep_database(txn, env->changes, &named, max - *n_rows, is_found, &n_removed);
        }
        if (lmdb_rc == 0) {
            lmdb_rc = sweep_database(txn, env->generations, &named, max - *n_rows - n_removed,
                                     is_found, &n_removed);
        }
        rc = lmdb_rc == 0 ? TFN_OK : tfn__lmdb_fail(env->path, lmdb_rc, TFN__DOING_SWEEP, err);
    }
    tfn_buf_deinit(&named);
    return rc;
}

/* Without the write lock: most calls find nothing to do. */
static tfn_code look(tfn_lmdb *online, bool *is_found, tfn_error *err)
{
    tfn_lmdb_read read = {0};
    uint64_t n_rows = 0;
    TFN_RETURN_IF_ERROR(tfn_lmdb_begin_read(online, &read, err));
    const tfn_code rc = sweep_in_txn(read.env, read.txn, 0, is_found, &n_rows, err);
    tfn_lmdb_end_read(&read);
    return rc;
}

static tfn_code sweep_step(tfn_lmdb *online, bool *is_found, uint64_t *n_rows, tfn_error *err)
{
    tfn_lmdb_env *env = NULL;
    MDB_txn *txn = NULL;
    TFN_RETURN_IF_ERROR(tfn__write_begin_txn(online, &env, &txn, err));
    const tfn_code rc = sweep_in_txn(env, txn, SWEEP_ENTRIES, is_found, n_rows, err);
    if (rc == TFN_OK && !*is_found) {
        mdb_txn_abort(txn);
        return TFN_OK;
    }
    return tfn__write_end_txn(env, txn, rc, TFN__DOING_SWEEP, err);
}

tfn_code tfn__generation_sweep(tfn_lmdb *online, uint64_t *n_rows, tfn_error *err)
{
    if (n_rows != NULL) {
        *n_rows = 0;
    }
    bool is_found = false;
    TFN_RETURN_IF_ERROR(look(online, &is_found, err));
    while (is_found) {
        uint64_t n = 0;
        TFN_RETURN_IF_ERROR(sweep_step(online, &is_found, &n, err));
        if (n_rows != NULL) {
            *n_rows += n;
        }
    }
    return TFN_OK;
}

void tfn__generation_try_sweep(tfn_lmdb *online)
{
    tfn_error ignored = {0};
    const tfn_code rc = tfn__generation_sweep(online, NULL, &ignored);
    (void)rc;
}

void tfn__generation_try_forget(tfn_lmdb *online, tfn_str project, tfn_str view)
{
    bool is_changed = false;
    tfn_error ignored = {0};
    if (tfn__generation_forget_build(online, project, view, &is_changed, &ignored) == TFN_OK) {
        tfn__generation_try_sweep(online);
    }
}

/* ---- reclaim ---- */

/* Names of views with a build: u64 bytes of project, u64 bytes of view, project, view. */
static tfn_code add_building(void *context, tfn_str project, tfn_str view, const tfn__view *record,
                             tfn_error *err)
{
    tfn_buf *names = context;
    const uint64_t sizes[] = {project.n, view.n};
    if (record->building_generation == 0) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(tfn_buf_add(names, sizes, sizeof sizes, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_str(names, project, err));
    return tfn_buf_add_str(names, view, err);
}

static tfn_code list_builds(tfn_lmdb *online, tfn_buf *names, tfn_error *err)
{
    tfn_lmdb_read read = {0};
    TFN_RETURN_IF_ERROR(tfn_lmdb_begin_read(online, &read, err));
    const tfn_code rc = tfn__view_each(read.env, read.txn, add_building, names, err);
    tfn_lmdb_end_read(&read);
    return rc;
}

/* Forget one view's build, unless its builder has the turn. */
static tfn_code forget_dead(tfn_lmdb *online, tfn_str project, tfn_str view, bool *is_changed,
                            tfn_error *err)
{
    *is_changed = false;
    tfn__turn turn = {0};
    TFN_RETURN_IF_ERROR(
        tfn__turn_begin(online->path, TFN__TURN_LOAD, project, view, false, &turn, err));
    const tfn_code rc = turn.is_held
                            ? tfn__generation_forget_build(online, project, view, is_changed, err)
                            : TFN_OK;
    tfn__turn_end(&turn);
    return rc;
}

static tfn_code forget_all_dead(tfn_lmdb *online, const tfn_buf *names, uint64_t *n_builds,
                                tfn_error *err)
{
    size_t i = 0;
    while (i < names->n) {
        uint64_t sizes[2];
        bool is_changed = false;
        memcpy(sizes, names->p + i, sizeof sizes);
        i += sizeof sizes;
        const tfn_str project = {names->p + i, (size_t)sizes[0]};
        const tfn_str view = {names->p + i + sizes[0], (size_t)sizes[1]};
        i += project.n + view.n;
        TFN_RETURN_IF_ERROR(forget_dead(online, project, view, &is_changed, err));
        *n_builds += is_changed;
    }
    return TFN_OK;
}

tfn_code tfn__lmdb_reclaim(tfn_lmdb *online, tfn__reclaimed *out, tfn_error *err)
{
    tfn__reclaimed done = {0};
    tfn_buf names = {0};
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, list_builds(online, &names, err), done);
    TFN_GOTO_IF_ERROR(rc, forget_all_dead(online, &names, &done.n_builds, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__generation_sweep(online, &done.n_rows, err), done);
done:
    tfn_buf_deinit(&names);
    if (out != NULL) {
        *out = done;
    }
    return rc;
}
