/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Counting the store: one pass over database `rows`, in key order, in one read transaction.
 *
 *   rows:  | generation 3 ............ | generation 5 .. | generation 9 ... |
 *               live of view a            no view's          previous of b
 *
 * Rows of a generation lie together, so the place that counts them is looked for once a generation.
 * Of a row only the header is read. The read stays open to the end (one state is counted), which
 * keeps pages that are freed meanwhile from being used again: the file may grow by what is written
 * during the count.
 */

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "online/lmdb_admin.h"

#include "base/poison.h"

enum { ROWS_PER_TICK = 16384 };

/* ---- rows ---- */

typedef struct place {
    uint32_t generation;
    tfn_online_count *count;
} place;

typedef struct census_run {
    tfn_online_census *out;
    place *places;
    size_t n_places;
} census_run;

static void count_init(tfn_online_count *count)
{
    *count = (tfn_online_count){.oldest = TFN_INSTANT_NONE, .newest = TFN_INSTANT_NONE};
}

static void add_place(census_run *run, uint32_t generation, tfn_online_count *count)
{
    if (generation != 0) {
        run->places[run->n_places++] = (place){generation, count};
    }
}

/* Where rows of each generation are counted. */
static tfn_code make_places(census_run *run, const tfn_lmdb_read *read, tfn_arena *arena,
                            tfn_error *err)
{
    tfn__named_view *views = NULL;
    size_t n = 0;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn__views_list(read->env, read->txn, arena, &views, &n, err));
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(arena, n, sizeof *run->out->views, &p, err));
    run->out->views = p;
    run->out->n_views = n;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, 3 * n, sizeof(place), &p, err));
    run->places = p;
    count_init(&run->out->orphans);
    for (size_t i = 0; i < n; i++) {
        tfn_online_view_count *view = &run->out->views[i];
        view->project = views[i].project;
        view->view = views[i].view;
        view->generation = views[i].record.generation;
        view->previous_generation = views[i].record.previous_generation;
        count_init(&view->live);
        count_init(&view->previous);
        view->building_generation = views[i].record.building_generation;
        count_init(&view->building);
        add_place(run, view->generation, &view->live);
        add_place(run, view->previous_generation, &view->previous);
        add_place(run, view->building_generation, &view->building);
    }
    return TFN_OK;
}

static tfn_online_count *find_place(census_run *run, uint32_t generation)
{
    for (size_t i = 0; i < run->n_places; i++) {
        if (run->places[i].generation == generation) {
            return run->places[i].count;
        }
    }
    run->out->n_orphans++;
    return &run->out->orphans;
}

static tfn_code count_row(tfn_online_count *count, MDB_val key, MDB_val value, tfn_error *err)
{
    tfn_instant event = TFN_INSTANT_NONE;
    tfn_instant created = TFN_INSTANT_NONE;
    TFN_RETURN_IF_ERROR(tfn_row_get_times(tfn__val_str(value), &event, &created, err));
    if (count->n_rows == 0 || tfn_instant_compare(event, count->oldest) < 0) {
        count->oldest = event;
    }
    if (count->n_rows == 0 || tfn_instant_compare(event, count->newest) > 0) {
        count->newest = event;
    }
    count->n_rows++;
    count->n_key_bytes += key.mv_size;
    count->n_value_bytes += value.mv_size;
    return TFN_OK;
}

static tfn_code count_rows(census_run *run, const tfn_lmdb_read *read, MDB_cursor *cursor,
                           tfn_online_watch watch, tfn_error *err)
{
    MDB_stat stat;
    MDB_val key = {0};
    MDB_val value = {0};
    uint32_t generation = 0;
    tfn_online_count *count = NULL;
    uint64_t n_rows = 0;
    int rc = mdb_stat(read->txn, read->env->rows, &stat);
    if (rc == 0) {
        rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    }
    while (rc == 0) {
        if (n_rows % ROWS_PER_TICK == 0) {
            TFN_RETURN_IF_ERROR(tfn__watch_tell(watch, "counting online rows", n_rows,
                                                (int64_t)stat.ms_entries,
                                                "stopped while counting online rows", err));
        }
        if (count == NULL || tfn__generation_of(key) != generation) {
            generation = tfn__generation_of(key);
            count = find_place(run, generation);
        }
        TFN_RETURN_IF_ERROR(count_row(count, key, value, err));
        n_rows++;
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    return rc == MDB_NOTFOUND ? TFN_OK : tfn__lmdb_fail(read->env->path, rc, "counting rows", err);
}

/* ---- the file ---- */

/* Pages on the list of free ones: each entry begins with how many it names. */
static int count_free_pages(MDB_txn *txn, size_t *n_pages)
{
    enum { FREE_DATABASE = 0 }; /* LMDB's own, as its tool mdb_stat reads it */
    MDB_cursor *cursor = NULL;
    MDB_val key = {0};
    MDB_val value = {0};
    *n_pages = 0;
    int rc = mdb_cursor_open(txn, FREE_DATABASE, &cursor);
    if (rc != 0) {
        return rc;
    }
    rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    while (rc == 0) {
        size_t n = 0;
        if (value.mv_size >= sizeof n) {
            memcpy(&n, value.mv_data, sizeof n);
        }
        *n_pages += n;
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static tfn_code measure_file(const tfn_lmdb_read *read, tfn_online_census *out, tfn_error *err)
{
    int fd = -1;
    size_t n_pages = 0;
    MDB_stat stat_rows = {0};
    MDB_stat stat_changes = {0};
    struct stat file;
    int rc = mdb_env_get_fd(read->env->lmdb, &fd);
    if (rc == 0) {
        rc = fstat(fd, &file) == 0 ? 0 : errno;
    }
    if (rc == 0) {
        rc = mdb_stat(read->txn, read->env->rows, &stat_rows);
    }
    if (rc == 0) {
        rc = mdb_stat(read->txn, read->env->changes, &stat_changes);
    }
    if (rc == 0) {
        rc = count_free_pages(read->txn, &n_pages);
    }
    if (rc != 0) {
        return tfn__lmdb_fail(read->env->path, rc, "measuring its file", err);
    }
    out->file_bytes = (int64_t)file.st_size;
    out->free_bytes = (int64_t)(n_pages * stat_rows.ms_psize);
    out->change_bytes = (int64_t)((stat_changes.ms_branch_pages + stat_changes.ms_leaf_pages +
                                   stat_changes.ms_overflow_pages) *
                                  stat_changes.ms_psize);
    return TFN_OK;
}

/* ---- readers ---- */

typedef struct open_reads {
    int64_t n;
    size_t oldest;     /* number of the commit that the oldest sees */
    pid_t own_pid;     /* of the census's own read, which is not counted: its process */
    size_t own_commit; /* and what it sees */
    bool is_own_met;
} open_reads;

/* LMDB lists readers as text: "pid thread commit", with "-" for a slot that reads nothing now. Of
 * several slots like the own one, whichever comes first is left out: they count alike. */
static int note_reader(const char *line, void *context)
{
    open_reads *reads = context;
    const char *last = strrchr(line, ' ');
    char *end = NULL;
    const unsigned long long commit = last != NULL ? strtoull(last, &end, 10) : 0;
    if (last == NULL || end <= last + 1) { /* nothing is read (the heading's end is no number) */
        return 0;
    }
    if (!reads->is_own_met && commit == reads->own_commit &&
        strtoll(line, NULL, 10) == (long long)reads->own_pid) {
        reads->is_own_met = true;
    } else {
        reads->oldest = reads->n == 0 || commit < reads->oldest ? (size_t)commit : reads->oldest;
        reads->n++;
    }
    return 0;
}

/* The read keeps the environment from being closed meanwhile (lmdb_env.c, invariant 5). */
static tfn_code list_readers(const tfn_lmdb_read *read, tfn_online_census *out, tfn_error *err)
{
    const tfn_lmdb_env *env = read->env;
    open_reads reads = {.own_pid = env->pid, .own_commit = mdb_txn_id(read->txn)};
    MDB_envinfo info;
    int rc = mdb_env_info(env->lmdb, &info);
    if (rc == 0) {
        rc = mdb_reader_list(env->lmdb, note_reader, &reads);
        rc = rc < 0 ? rc : 0; /* (it gives what the callback gave) */
    }
    if (rc != 0) {
        return tfn__lmdb_fail(env->path, rc, "listing its readers", err);
    }
    out->n_reads = reads.n;
    out->n_commits_old = reads.n == 0 || reads.oldest > info.me_last_txnid
                             ? 0
                             : (int64_t)(info.me_last_txnid - reads.oldest);
    return TFN_OK;
}

/* ---- all ---- */

static tfn_code count_read(const tfn_lmdb_read *read, tfn_online_watch watch, tfn_arena *arena,
                           tfn_online_census *out, tfn_error *err)
{
    census_run run = {.out = out};
    MDB_cursor *cursor = NULL;
    TFN_RETURN_IF_ERROR(make_places(&run, read, arena, err));
    TFN_RETURN_IF_ERROR(measure_file(read, out, err));
    const int rc = mdb_cursor_open(read->txn, read->env->rows, &cursor);
    if (rc != 0) {
        return tfn__lmdb_fail(read->env->path, rc, "counting rows", err);
    }
    const tfn_code code = count_rows(&run, read, cursor, watch, err);
    mdb_cursor_close(cursor);
    return code;
}

tfn_code tfn__lmdb_take_census(tfn_online *online, tfn_online_watch watch, tfn_arena *arena,
                               tfn_online_census *out, tfn_error *err)
{
    *out = (tfn_online_census){.file_bytes = -1};
    count_init(&out->orphans);
    tfn_lmdb_read read = {0};
    TFN_RETURN_IF_ERROR(tfn__lmdb_engine_begin_read(online, &read, err));
    if (read.txn == NULL) {
        return TFN_OK;
    }
    tfn_code rc = list_readers(&read, out, err);
    if (rc == TFN_OK) {
        rc = count_read(&read, watch, arena, out, err);
    }
    tfn_lmdb_end_read(&read);
    return rc;
}
