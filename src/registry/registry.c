/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The handle: one reading connection, and the newest snapshot of each project that was asked for.
 *
 *   get_snapshot --(cache_lock, some instructions)--> cached snapshot, retained
 *        | older than a second, or a commit was made through this handle
 *        v
 *   reader_lock: is the path still the same file? head of the project? load if it moved; publish
 *
 * Writers open a connection of their own for each transaction and close it, so nothing of them is
 * held between calls, and a writer that waits for another process blocks no reader.
 *
 * Invariants
 *  1. A thread that takes both locks takes reader_lock first.
 *  2. write_seq grows before the call that made a commit returns. A cached snapshot is good without
 *     a look only when it was looked at under the current write_seq. So what a thread commits,
 *     every thread of this process sees from then on.
 *  3. When a periodic look is due, one thread looks; the others take what is cached, so a slow disk
 *     stalls one lookup, not all.
 *
 * After a fork the child must not use the parent's connection. It notices by owner_pid when it
 * first needs to look at the file; then it closes the inherited connection (which holds locks of
 * the parent's process only, so closing gives up nothing of the parent's) and opens its own. Locks
 * that another thread of the parent held at that instant are made anew. cache_lock is a spin lock
 * and not a mutex for this reason: a child that finds it taken can tell that its owner is not in
 * this process.
 */

#include "registry/registry_internal.h"

#include <sched.h>
#include <unistd.h>

#include "base/mem.h"

#include "base/poison.h"

enum { BUSY_MS = 10000, SPINS_BEFORE_YIELD = 200 };

static const double look_every_s = 1.0;

/* ---- locks and forks ---- */

/* Make the inherited handle this process's own, if it is not. One thread does it, others wait. */
static void adopt(tfn_registry *r)
{
    const int64_t pid = (int64_t)getpid();
    int64_t owner = atomic_load_explicit(&r->owner_pid, memory_order_acquire);
    while (owner != pid) {
        if (owner != -pid && atomic_compare_exchange_strong(&r->owner_pid, &owner, -pid)) {
            const bool was_free = pthread_mutex_trylock(&r->reader_lock) == 0;
            if (was_free) {
                tfn__database_close(&r->reader);
                pthread_mutex_unlock(&r->reader_lock);
            } else { /* in use at the fork: its memory is given up */
                r->reader.db = NULL;
                pthread_mutex_init(&r->reader_lock, NULL);
            }
            atomic_store_explicit(&r->cache_lock, 0, memory_order_release);
            atomic_store_explicit(&r->owner_pid, pid, memory_order_release);
        }
        (void)sched_yield();
        owner = atomic_load_explicit(&r->owner_pid, memory_order_acquire);
    }
}

static void lock_cache(tfn_registry *r)
{
    for (uint32_t n_spins = 1;; n_spins++) {
        uint32_t is_free = 0;
        if (atomic_compare_exchange_weak_explicit(&r->cache_lock, &is_free, 1, memory_order_acquire,
                                                  memory_order_relaxed)) {
            return;
        }
        if (n_spins % SPINS_BEFORE_YIELD == 0) {
            adopt(r);
            (void)sched_yield();
        }
    }
}

static void unlock_cache(tfn_registry *r)
{
    atomic_store_explicit(&r->cache_lock, 0, memory_order_release);
}

/* ---- open, close ---- */

tfn_code tfn_registry_open(const char *path, tfn_registry_mode mode, const tfn_clock *clock,
                           tfn_registry **out, tfn_error *err)
{
    *out = NULL;
    void *p = NULL;
    tfn__database *d = NULL;
    bool exists = false;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_registry), &p, err));
    tfn_registry *r = p;
    r->mode = mode;
    r->clock = clock == NULL ? (tfn_clock){0} : *clock;
    r->busy_ms = BUSY_MS;
    atomic_init(&r->owner_pid, (int64_t)getpid());
    pthread_mutex_init(&r->reader_lock, NULL);
    tfn_code rc = tfn_mem_copy_text(path, &r->path, err);
    if (rc == TFN_OK) {
        rc = tfn_mem_copy_text(path, &r->given_path, err);
    }
    if (rc == TFN_OK) {
        rc = tfn__feast_find(r, err);
    }
    if (rc == TFN_OK) {
        rc = tfn__registry_begin_read(r, &exists, &d, err);
    }
    if (rc == TFN_OK && exists) {
        tfn__registry_end_read(r);
    }
    if (rc != TFN_OK) {
        tfn_registry_close(r);
        return rc;
    }
    *out = r;
    return TFN_OK;
}

void tfn_registry_close(tfn_registry *registry)
{
    if (registry == NULL) {
        return;
    }
    adopt(registry);
    for (size_t i = 0; i < registry->n_cached; i++) {
        tfn_snapshot_release(registry->cached[i].snapshot);
    }
    tfn_mem_free(registry->cached);
    tfn__database_close(&registry->reader);
    pthread_mutex_destroy(&registry->reader_lock);
    tfn_mem_free(registry->path);
    tfn_mem_free(registry->given_path);
    tfn_mem_free(registry->feast.path);
    tfn__feast_forget_failures(registry);
    tfn_mem_free(registry->feast.failures);
    tfn_mem_free(registry);
}

const char *tfn_registry_get_path(const tfn_registry *registry)
{
    return registry->given_path;
}

/* ---- connections ---- */

static tfn_code renew_reader(tfn_registry *r, bool is_lenient, bool *exists, tfn_error *err)
{
    tfn__file_id now = {0};
    TFN_RETURN_IF_ERROR(tfn__feast_follow(r, is_lenient, err));
    TFN_RETURN_IF_ERROR(tfn__database_look(r->path, &now, err));
    if (r->reader.db != NULL && !tfn__database_is_current(&r->reader, &now)) {
        tfn__database_close(&r->reader);
    }
    if (r->reader.db == NULL && now.exists) {
        TFN_RETURN_IF_ERROR(tfn__database_open_reader(&r->reader, r->path, r->busy_ms, err));
        r->n_readers++;
        r->reader.serial = r->n_readers;
    }
    *exists = r->reader.db != NULL;
    return TFN_OK;
}

/* With reader_lock held; releases it unless there is a file. */
static tfn_code begin_read_locked(tfn_registry *r, bool is_lenient, bool *exists,
                                  tfn__database **out, tfn_error *err)
{
    const tfn_code rc = renew_reader(r, is_lenient, exists, err);
    if (rc != TFN_OK || !*exists) {
        pthread_mutex_unlock(&r->reader_lock);
    }
    *out = *exists ? &r->reader : NULL;
    return rc;
}

tfn_code tfn__registry_begin_read(tfn_registry *r, bool *exists, tfn__database **out,
                                  tfn_error *err)
{
    *exists = false;
    *out = NULL;
    adopt(r);
    pthread_mutex_lock(&r->reader_lock);
    return begin_read_locked(r, false, exists, out, err);
}

tfn_code tfn__registry_follow(tfn_registry *r, tfn_str project, tfn_error *err)
{
    if (r->feast.path == NULL || r->mode != TFN_REGISTRY_CREATE) {
        return TFN_OK;
    }
    adopt(r);
    pthread_mutex_lock(&r->reader_lock);
    tfn_code rc = tfn__feast_follow(r, false, err);
    if (rc == TFN_OK) {
        rc = tfn__feast_check(r, project, err);
    }
    pthread_mutex_unlock(&r->reader_lock);
    return rc;
}

void tfn__registry_end_read(tfn_registry *r)
{
    tfn__sql_rollback(&r->reader);
    if (r->reader.db != NULL && !sqlite3_get_autocommit(r->reader.db)) {
        tfn__database_close(&r->reader); /* even that needed memory; the next reader opens anew */
    }
    pthread_mutex_unlock(&r->reader_lock);
}

tfn_code tfn__registry_begin_write(tfn_registry *r, tfn__database *d, tfn_error *err)
{
    if (r->mode != TFN_REGISTRY_CREATE) {
        return TFN_FAIL(err, TFN_UNSUPPORTED, "the registry '%s' was opened for reading only",
                        r->path);
    }
    return tfn__registry_begin_own_write(r, d, err);
}

tfn_code tfn__registry_begin_own_write(tfn_registry *r, tfn__database *d, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn__database_open_writer(d, r->path, r->busy_ms, err));
    const tfn_code rc = tfn__sql_run(d, "BEGIN IMMEDIATE", NULL, 0, NULL, NULL, err);
    if (rc != TFN_OK) {
        tfn__database_close(d);
    }
    return rc;
}

tfn_code tfn__registry_commit(tfn_registry *r, tfn__database *d, tfn_error *err)
{
    const tfn_code rc = tfn__sql_run(d, "COMMIT", NULL, 0, NULL, NULL, err);
    atomic_fetch_add_explicit(&r->write_seq, 1, memory_order_release);
    tfn__registry_abort(d);
    return rc;
}

void tfn__registry_abort(tfn__database *d)
{
    tfn__sql_rollback(d);
    tfn__database_close(d);
}

/* ---- snapshots ---- */

static tfn_code add_project_name(void *context, sqlite3_stmt *row, tfn_error *err)
{
    tfn_buf *names = context;
    char quoted[TFN__SUBJECT_BYTES];
    tfn__name_format(tfn__sql_get_str(row, 0), quoted);
    return tfn_buf_add_format(names, err, "%s%s", names->n > 0 ? ", " : "", quoted);
}

tfn_code tfn__registry_fail_unknown_project(tfn_registry *r, tfn__database *d, tfn_str project,
                                            tfn_error *err)
{
    char quoted[TFN__SUBJECT_BYTES];
    tfn__name_format(project, quoted);
    if (d == NULL) {
        return TFN_FAIL(err, TFN_NOT_FOUND,
                        "project %s: there is no registry at '%s' yet; run `tiffin apply`", quoted,
                        r->path);
    }
    tfn_buf names = {0};
    tfn_code rc = tfn__sql_run(d, "SELECT name FROM project WHERE head > 0 ORDER BY name LIMIT 5",
                               NULL, 0, add_project_name, &names, err);
    if (rc == TFN_OK) {
        rc = TFN_FAIL(
            err, TFN_NOT_FOUND,
            "project %s: nothing was applied to it in the registry '%s', which holds %s; run "
            "`tiffin apply`, or check the project's name",
            quoted, r->path, names.n > 0 ? names.p : "no project");
    }
    tfn_buf_deinit(&names);
    return rc;
}

tfn_code tfn__registry_require_file(tfn_registry *r, tfn_str project, tfn_error *err)
{
    tfn__file_id id = {0};
    TFN_RETURN_IF_ERROR(tfn__database_look(r->path, &id, err));
    return id.exists ? TFN_OK : tfn__registry_fail_unknown_project(r, NULL, project, err);
}

/* Under cache_lock. */
static tfn__cached *find_cached(const tfn_registry *r, tfn_str project)
{
    for (size_t i = 0; i < r->n_cached; i++) {
        if (tfn_str_equal(r->cached[i].snapshot->project, project)) {
            return &r->cached[i];
        }
    }
    return NULL;
}

/* The cached snapshot, retained, or NULL; `*is_good` when no look at the file is due. */
static tfn_snapshot *take_cached(tfn_registry *r, tfn_str project, bool *is_good, bool *is_own_due)
{
    const double now_s = tfn_clock_monotonic_s();
    const uint64_t write_seq = atomic_load_explicit(&r->write_seq, memory_order_acquire);
    tfn_snapshot *found = NULL;
    *is_good = false;
    *is_own_due = true;
    lock_cache(r);
    const tfn__cached *cached = find_cached(r, project);
    if (cached != NULL) {
        found = tfn_snapshot_retain(cached->snapshot);
        *is_own_due = cached->write_seq < write_seq;
        *is_good = !*is_own_due && now_s < cached->next_look_s;
    }
    unlock_cache(r);
    return found;
}

/* Put a snapshot into the cache (retained for it), replacing the project's older one. The file was
 * looked at when `write_seq` was current. With reader_lock held, so the array has one writer. */
static tfn_code publish(tfn_registry *r, tfn_snapshot *s, uint64_t write_seq, tfn_error *err)
{
    tfn__cached fresh = {s, write_seq, tfn_clock_monotonic_s() + look_every_s};
    tfn_snapshot *replaced = NULL;
    void *grown = NULL;
    if (r->n_cached == r->cached_capacity) {
        const size_t n = r->cached_capacity * 2 + 4;
        TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(n, sizeof *r->cached, &grown, err));
        for (size_t i = 0; i < r->n_cached; i++) {
            ((tfn__cached *)grown)[i] = r->cached[i];
        }
        r->cached_capacity = n;
    }
    (void)tfn_snapshot_retain(s);
    lock_cache(r);
    tfn__cached *old_array = grown == NULL ? NULL : r->cached;
    if (grown != NULL) {
        r->cached = grown;
    }
    tfn__cached *slot = find_cached(r, s->project);
    if (slot != NULL) {
        replaced = slot->snapshot;
        *slot = fresh;
    } else {
        r->cached[r->n_cached] = fresh;
        r->n_cached++;
    }
    unlock_cache(r);
    tfn_mem_free(old_array);
    tfn_snapshot_release(replaced);
    return TFN_OK;
}

static tfn_code find_project(tfn_registry *r, tfn__database *d, tfn_str project, tfn__head *head,
                             tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn__sql_run(d, "BEGIN", NULL, 0, NULL, NULL, err));
    TFN_RETURN_IF_ERROR(tfn__state_get_head(d, project, head, err));
    return head->project > 0 ? TFN_OK : tfn__registry_fail_unknown_project(r, d, project, err);
}

/* Head of the project into `*out`: `old` again when it has not moved. Inside begin_read. */
static tfn_code load_head(tfn_registry *r, tfn__database *d, tfn_str project, tfn_snapshot *old,
                          tfn_snapshot **out, tfn_error *err)
{
    tfn__head head = {0};
    TFN_RETURN_IF_ERROR(find_project(r, d, project, &head, err));
    if (old != NULL && old->commit == head.commit && old->file_serial == d->serial) {
        *out = tfn_snapshot_retain(old);
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(tfn__state_load(d, project, head.project, head.commit, true, out, err));
    (*out)->file_serial = d->serial;
    (*out)->generation = atomic_fetch_add(&r->n_generations, 1) + 1;
    return TFN_OK;
}

static tfn_code look(tfn_registry *r, tfn_str project, bool is_lenient, tfn__database *d,
                     tfn_snapshot *old, tfn_snapshot **out, tfn_error *err)
{
    if (d == NULL) {
        return tfn__registry_fail_unknown_project(r, NULL, project, err);
    }
    const uint64_t write_seq = atomic_load_explicit(&r->write_seq, memory_order_acquire);
    tfn_code rc = is_lenient ? TFN_OK : tfn__feast_check(r, project, err);
    if (rc == TFN_OK) {
        rc = load_head(r, d, project, old, out, err);
    }
    if (rc == TFN_OK) {
        rc = publish(r, *out, write_seq, err);
    }
    tfn__registry_end_read(r);
    if (rc != TFN_OK) {
        tfn_snapshot_release(*out);
        *out = NULL;
    }
    return rc;
}

tfn_code tfn_registry_get_snapshot(tfn_registry *registry, tfn_str project, tfn_freshness freshness,
                                   tfn_snapshot **out, tfn_error *err)
{
    bool is_good = false;
    bool is_own_due = false;
    bool exists = false;
    tfn__database *d = NULL;
    *out = NULL;
    tfn_snapshot *cached = take_cached(registry, project, &is_good, &is_own_due);
    if (is_good && freshness == TFN_CACHED) {
        *out = cached;
        return TFN_OK;
    }
    adopt(registry);
    if (cached != NULL && freshness == TFN_CACHED && !is_own_due) {
        if (pthread_mutex_trylock(&registry->reader_lock) != 0) {
            *out = cached; /* somebody else is looking */
            return TFN_OK;
        }
    } else {
        pthread_mutex_lock(&registry->reader_lock);
    }
    const bool is_lenient = cached != NULL && freshness == TFN_CACHED;
    tfn_code rc = begin_read_locked(registry, is_lenient, &exists, &d, err);
    if (rc == TFN_OK) {
        rc = look(registry, project, is_lenient, d, cached, out, err);
    }
    tfn_snapshot_release(cached);
    return rc;
}

/* ---- the past ---- */

tfn_code tfn__registry_begin_project(tfn_registry *r, tfn_str project, tfn__database **out,
                                     tfn__head *head, tfn_error *err)
{
    bool exists = false;
    TFN_RETURN_IF_ERROR(tfn__registry_begin_read(r, &exists, out, err));
    if (!exists) {
        return tfn__registry_fail_unknown_project(r, NULL, project, err);
    }
    tfn_code rc = tfn__feast_check(r, project, err);
    if (rc == TFN_OK) {
        rc = find_project(r, *out, project, head, err);
    }
    if (rc != TFN_OK) {
        tfn__registry_end_read(r);
    }
    return rc;
}

static tfn_code store_int(void *context, sqlite3_stmt *row, tfn_error *err)
{
    (void)err;
    *(int64_t *)context = sqlite3_column_int64(row, 0);
    return TFN_OK;
}

static tfn_code load_past(tfn_registry *r, tfn__database *d, tfn_str project, tfn__head head,
                          int64_t commit, const tfn_instant *time, tfn_snapshot **out,
                          tfn_error *err)
{
    char quoted[TFN__SUBJECT_BYTES];
    tfn__name_format(project, quoted);
    if (time != NULL) {
        const tfn__sql_value values[] = {tfn__sql_int(head.project), tfn__sql_int(time->seconds),
                                         tfn__sql_int(time->nanos)};
        commit = 0;
        TFN_RETURN_IF_ERROR(
            tfn__sql_run(d,
                         "SELECT coalesce(max(number), 0) FROM commits WHERE project = ?1"
                         " AND (time_s < ?2 OR (time_s = ?2 AND time_ns <= ?3))",
                         values, 3, store_int, &commit, err));
        if (commit == 0) {
            char text[TFN_TIME_TEXT_BYTES];
            tfn_instant_format(*time, text);
            return TFN_FAIL(err, TFN_NOT_FOUND,
                            "project %s had no commit yet at %s; `tiffin registry log` lists them",
                            quoted, text);
        }
    }
    if (commit < 1 || commit > head.commit) {
        return TFN_FAIL(err, TFN_NOT_FOUND, "project %s has no commit %lld; there are 1 to %lld",
                        quoted, (long long)commit, (long long)head.commit);
    }
    TFN_RETURN_IF_ERROR(
        tfn__state_load(d, project, head.project, commit, commit == head.commit, out, err));
    (*out)->generation = atomic_fetch_add(&r->n_generations, 1) + 1;
    return TFN_OK;
}

static tfn_code get_past(tfn_registry *r, tfn_str project, int64_t commit, const tfn_instant *time,
                         tfn_snapshot **out, tfn_error *err)
{
    tfn__database *d = NULL;
    tfn__head head = {0};
    *out = NULL;
    TFN_RETURN_IF_ERROR(tfn__registry_begin_project(r, project, &d, &head, err));
    const tfn_code rc = load_past(r, d, project, head, commit, time, out, err);
    tfn__registry_end_read(r);
    return rc;
}

tfn_code tfn_registry_get_snapshot_at_commit(tfn_registry *registry, tfn_str project,
                                             int64_t commit, tfn_snapshot **out, tfn_error *err)
{
    return get_past(registry, project, commit, NULL, out, err);
}

tfn_code tfn_registry_get_snapshot_at_time(tfn_registry *registry, tfn_str project,
                                           tfn_instant time, tfn_snapshot **out, tfn_error *err)
{
    return get_past(registry, project, 0, &time, out, err);
}
