/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * LMDB environments of this process: opened once each, shared by all handles, left alone after a
 * fork.
 *
 *   handle (tfn_lmdb) --.
 *   handle ---------------+--> environment (data.mdb by device and inode) --> map, pooled reads
 *   handle, other path ---'
 *
 * Why a process-wide table: LMDB locks its reader table with fcntl, and closing any descriptor of a
 * file drops all of a process's fcntl locks on it. A second environment of one file would therefore
 * free the first one's reader slots, and a writer would overwrite pages that are being read. The
 * table is keyed by the file, not by its path, and by process.
 *
 * Invariants
 *  1. At most one entry per (device, inode, pid). Opening, closing and n_handles are under the
 *     table's mutex. An entry keeps data.mdb open, so its inode is not given to another file.
 *  2. A child never touches a parent's entry: closing it would clear the parent's reader slots, and
 *     its locks are not the child's. The fork handlers raise `n_forks`; an entry whose epoch is
 *     another is the parent's. Handles get a new entry at their next use, and the old one stays in
 *     memory until the child ends.
 *  3. The fork handlers hold the mutex across the fork, so the child finds the table whole.
 *  4. Opening takes LMDB's write lock only when the store is being made: a long write elsewhere
 *     does not keep anybody from opening.
 *  5. A write of a head page that failed makes LMDB refuse every transaction of this process until
 *     the environment is closed (MDB_PANIC). So the first who meets that closes it, as soon as no
 *     transaction is left in it, and handles get a new one at their next use, as after a fork.
 *     Nobody is counted on the way in but those who make a transaction: an idle one that was taken
 *     is missing from the pool, and a write that fails has left LMDB when its lock is free again.
 *  6. A reader's environment is opened for writing too if that is permitted, since the process may
 *     ask to write later and cannot open it twice; opening a store that exists writes no data.
 */

#include <assert.h>
#include <errno.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "online/lmdb_push.h"

#include "base/poison.h"

enum { MAX_READERS = 1024, REVIVE_WAIT_MS = 1000 };

/* Address space asked for: halved until the system grants it. */
#ifndef TFN_ONLINE_MAP_BYTES
#define TFN_ONLINE_MAP_BYTES ((size_t)1 << 40)
#endif
static const size_t min_map_bytes = (size_t)1 << 20;

/* lint: allow mutable-global - one of the two tables of the process (ARCHITECTURE.md) */
static struct {
    pthread_mutex_t mutex; /* lock 3 of ARCHITECTURE.md */
    tfn_lmdb_env *first;
    bool has_fork_handlers;
    _Atomic uint32_t n_forks;
} table = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* ---- forks ---- */

static void before_fork(void)
{
    (void)pthread_mutex_lock(&table.mutex);
}

static void after_fork_in_parent(void)
{
    (void)pthread_mutex_unlock(&table.mutex);
}

static void after_fork_in_child(void)
{
    (void)atomic_fetch_add_explicit(&table.n_forks, 1, memory_order_relaxed);
    (void)pthread_mutex_unlock(&table.mutex);
}

static uint32_t current_epoch(void)
{
    return atomic_load_explicit(&table.n_forks, memory_order_relaxed);
}

bool tfn__lmdb_is_ours(const tfn_lmdb_env *env)
{
    return atomic_load_explicit(&env->epoch, memory_order_acquire) == current_epoch();
}

static tfn_code watch_forks(tfn_error *err)
{
    if (table.has_fork_handlers) {
        return TFN_OK;
    }
    if (pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) != 0) {
        return TFN_FAIL(err, TFN_NO_MEMORY, "memory is exhausted: forks cannot be watched");
    }
    table.has_fork_handlers = true;
    return TFN_OK;
}

/* ---- open ---- */

static int open_lmdb_once(tfn_lmdb_env *env, unsigned flags, size_t map_bytes)
{
    int rc = mdb_env_create(&env->lmdb);
    if (rc != 0) {
        env->lmdb = NULL;
        return rc;
    }
    rc = mdb_env_set_maxdbs(env->lmdb, TFN__ONLINE_DATABASES);
    if (rc == 0) {
        rc = mdb_env_set_maxreaders(env->lmdb, MAX_READERS);
    }
    if (rc == 0) {
        rc = mdb_env_set_mapsize(env->lmdb, map_bytes);
    }
    if (rc == 0) {
        rc = mdb_env_open(env->lmdb, env->path, flags | MDB_NOTLS, 0666);
    }
    if (rc != 0) {
        mdb_env_close(env->lmdb);
        env->lmdb = NULL;
    }
    return rc;
}

static int open_lmdb_flags(tfn_lmdb_env *env, unsigned flags)
{
    size_t map_bytes = TFN_ONLINE_MAP_BYTES;
    int rc = open_lmdb_once(env, flags, map_bytes);
    while (rc == ENOMEM && map_bytes > min_map_bytes) {
        map_bytes /= 2;
        rc = open_lmdb_once(env, flags, map_bytes);
    }
    return rc;
}

static bool is_refusal(int rc)
{
    return rc == EACCES || rc == EPERM || rc == EROFS;
}

/* True when nobody can have the store open for writing: a copy in a folder that we cannot write. */
static bool has_no_lock_file(const char *path)
{
    tfn_buf file = {0};
    struct stat lock;
    const bool has_none = tfn_buf_add_format(&file, NULL, "%s/lock.mdb", path) == TFN_OK &&
                          stat(file.p, &lock) != 0 && errno == ENOENT;
    tfn_buf_deinit(&file);
    return has_none;
}

static tfn_code open_lmdb(tfn_lmdb_env *env, tfn_online_mode mode, tfn_error *err)
{
    int rc = open_lmdb_flags(env, 0);
    if (is_refusal(rc) && mode == TFN_ONLINE_READ) {
        env->is_read_only = true;
        const bool is_copy = has_no_lock_file(env->path);
        rc = open_lmdb_flags(env, MDB_RDONLY);
        if (is_refusal(rc) && is_copy) {
            rc = open_lmdb_flags(env, MDB_RDONLY | MDB_NOLOCK);
        } else if (is_refusal(rc)) {
            return TFN_FAIL_SYS(err, rc,
                                "online store at '%s': lock.mdb cannot be written; readers need "
                                "write permission on it, so that a writer knows of them",
                                env->path);
        }
    }
    if (rc == ENOMEM) {
        return TFN_FAIL(err, TFN_LIMIT,
                        "online store at '%s': no address space to map it; raise the limit (ulimit "
                        "-v)",
                        env->path);
    }
    return rc == 0 ? TFN_OK : tfn__lmdb_fail(env->path, rc, "opening it", err);
}

/* Data is there after a crash even if the file's last pages were never used; less than the two head
 * pages is no store. */
static tfn_code identify(tfn_lmdb_env *env, tfn_error *err)
{
    int fd = -1;
    struct stat data;
    const int rc = mdb_env_get_fd(env->lmdb, &fd);
    if (rc != 0 || fstat(fd, &data) != 0) {
        return TFN_FAIL_SYS(err, rc != 0 ? rc : errno, "online store at '%s': data.mdb is gone",
                            env->path);
    }
    env->device = data.st_dev;
    env->inode = data.st_ino;
    env->pid = getpid();
    atomic_store_explicit(&env->epoch, current_epoch(), memory_order_relaxed);
    return TFN_OK;
}

static void destroy_env(tfn_lmdb_env *env)
{
    if (env == NULL) {
        return;
    }
    for (size_t i = 0; i < TFN__ONLINE_IDLE_READS; i++) {
        MDB_txn *txn = atomic_load_explicit(&env->idle[i], memory_order_acquire);
        if (txn != NULL) {
            mdb_txn_abort(txn);
        }
    }
    if (env->lmdb != NULL) {
        mdb_env_close(env->lmdb);
    }
    tfn__schema_cache_deinit(env);
    (void)pthread_mutex_destroy(&env->schema_mutex);
    tfn__group_deinit(&env->group);
    tfn_mem_free(env->path);
    tfn_mem_free(env);
}

static tfn_code create_env(const char *path, tfn_online_mode mode, tfn_lmdb_env **out,
                           tfn_error *err)
{
    *out = NULL;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_lmdb_env), &p, err));
    tfn_lmdb_env *env = p;
    tfn_code rc = TFN_OK;
    if (pthread_mutex_init(&env->schema_mutex, NULL) != 0) {
        tfn_mem_free(env);
        return TFN_FAIL(err, TFN_NO_MEMORY, "memory is exhausted: no mutex can be made");
    }
    TFN_GOTO_IF_ERROR(rc, tfn__group_init(&env->group, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn_mem_copy_text(path, &env->path, err), done);
    TFN_GOTO_IF_ERROR(rc, open_lmdb(env, mode, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__format_open(env, mode, err), done);
    TFN_GOTO_IF_ERROR(rc, identify(env, err), done);
    (void)mdb_reader_check(env->lmdb, NULL); /* frees slots of processes that died; only helps */
    *out = env;
    env = NULL;
done:
    destroy_env(env);
    return rc;
}

static tfn_lmdb_env *find_env(const struct stat *data)
{
    const pid_t pid = getpid();
    tfn_lmdb_env *env = table.first;
    while (env != NULL && (env->device != data->st_dev || env->inode != data->st_ino ||
                           env->pid != pid || !tfn__lmdb_is_ours(env))) {
        env = env->next;
    }
    return env;
}

/* Under the table's mutex: the environment of a folder, with one more handle on it. */
static tfn_code acquire_env(const char *path, tfn_online_mode mode, tfn_lmdb_env **out,
                            tfn_error *err)
{
    *out = NULL;
    int what = TFN__FOLDER_MISSING;
    struct stat data;
    TFN_RETURN_IF_ERROR(watch_forks(err));
    TFN_RETURN_IF_ERROR(tfn__folder_inspect(path, &what, &data, err));
    if (mode == TFN_ONLINE_READ && (what != TFN__FOLDER_STORE || data.st_size == 0)) {
        return tfn__lmdb_nothing_yet(path, err);
    }
    if (what != TFN__FOLDER_STORE) {
        TFN_RETURN_IF_ERROR(tfn__format_make(path, err));
    }
    tfn_lmdb_env *env = what == TFN__FOLDER_STORE ? find_env(&data) : NULL;
    if (env == NULL) {
        TFN_RETURN_IF_ERROR(create_env(path, mode, &env, err));
        assert(env != NULL);
        env->next = table.first;
        table.first = env;
    } else if (mode == TFN_ONLINE_WRITE && env->is_read_only) {
        return TFN_FAIL(err, TFN_IO,
                        "online store at '%s': this process may only read it; the folder or its "
                        "files are not writable",
                        path);
    }
    env->n_handles++;
    *out = env;
    return TFN_OK;
}

/* Under the table's mutex. */
static void release_env(tfn_lmdb_env *env)
{
    env->n_handles--;
    if (env->n_handles > 0) {
        return;
    }
    tfn_lmdb_env **link = &table.first;
    while (*link != env) {
        link = &(*link)->next;
    }
    *link = env->next;
    destroy_env(env);
}

tfn_code tfn_lmdb_open(const char *path, tfn_online_mode mode, tfn_lmdb **out, tfn_error *err)
{
    *out = NULL;
    if (path[0] == '\0') {
        return TFN_FAIL(err, TFN_INVALID, "online_store.path is empty; name a folder");
    }
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_lmdb), &p, err));
    tfn_lmdb *online = p;
    online->mode = mode;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn_mem_copy_text(path, &online->path, err), done);
    tfn_lmdb_env *env = NULL;
    (void)pthread_mutex_lock(&table.mutex);
    rc = acquire_env(path, mode, &env, err);
    (void)pthread_mutex_unlock(&table.mutex);
    if (rc != TFN_OK) {
        goto done;
    }
    atomic_store_explicit(&online->env, env, memory_order_release);
    *out = online;
    online = NULL;
done:
    tfn_lmdb_close(online);
    return rc;
}

void tfn_lmdb_close(tfn_lmdb *online)
{
    if (online == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&table.mutex);
    tfn_lmdb_env *env = atomic_load_explicit(&online->env, memory_order_acquire);
    if (env != NULL && tfn__lmdb_is_ours(env)) {
        release_env(env);
    }
    (void)pthread_mutex_unlock(&table.mutex);
    tfn_mem_free(online->path);
    tfn_mem_free(online);
}

/* ---- after a failed write of a head page ---- */

/* Under the table's mutex. EBUSY: there are transactions in it. */
static int bury(tfn_lmdb_env *env)
{
    atomic_store_explicit(&env->is_dying, true, memory_order_seq_cst);
    if (!tfn__read_end_idle(env)) {
        return EBUSY;
    }
    MDB_txn *txn = NULL; /* refused, but not before the write that failed has given the lock back */
    const int rc = mdb_txn_begin(env->lmdb, NULL, 0, &txn);
    if (rc == 0) {
        mdb_txn_abort(txn);
        atomic_store_explicit(&env->is_dying, false, memory_order_seq_cst);
        return 0;
    }
    mdb_env_close(env->lmdb);
    env->lmdb = NULL;
    atomic_store_explicit(&env->epoch, (uint32_t)TFN__ONLINE_BURIED, memory_order_release);
    return 0;
}

tfn_code tfn__lmdb_revive(tfn_lmdb_env *env, tfn_error *err)
{
    const struct timespec moment = {0, 1000000};
    int rc = EBUSY;
    for (int i = 0; i < REVIVE_WAIT_MS && rc != 0; i++) {
        if (i > 0) {
            (void)nanosleep(&moment, NULL);
        }
        (void)pthread_mutex_lock(&table.mutex);
        rc = tfn__lmdb_is_ours(env) ? bury(env) : 0; /* somebody else may have been first */
        (void)pthread_mutex_unlock(&table.mutex);
    }
    return rc == 0 ? TFN_OK : tfn__lmdb_fail(env->path, MDB_PANIC, "opening it again", err);
}

static tfn_code reopen(tfn_lmdb *online, tfn_lmdb_env **out, tfn_error *err)
{
    tfn_code rc = TFN_OK;
    (void)pthread_mutex_lock(&table.mutex);
    tfn_lmdb_env *env = atomic_load_explicit(&online->env, memory_order_acquire);
    if (!tfn__lmdb_is_ours(env)) { /* another thread may have been first */
        rc = acquire_env(online->path, online->mode, &env, err);
        if (rc == TFN_OK) {
            atomic_store_explicit(&online->env, env, memory_order_release);
        }
    }
    (void)pthread_mutex_unlock(&table.mutex);
    *out = env;
    return rc;
}

tfn_code tfn__lmdb_get_env(tfn_lmdb *online, tfn_lmdb_env **out, tfn_error *err)
{
    *out = atomic_load_explicit(&online->env, memory_order_acquire);
    return tfn__lmdb_is_ours(*out) ? TFN_OK : reopen(online, out, err);
}
