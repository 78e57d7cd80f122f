/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The online store when things fail: the k-th allocation refused, the k-th system write or sync
 * failing, the writer killed at a random moment. What must hold afterwards is always the same: each
 * commit is whole or absent, what was acknowledged is there, and the next write goes on.
 *
 * A state of the store is a version: view "v" holds N_ROWS rows that all have the version as their
 * value, so a mixture is seen at once.
 *
 * TFN_KILLS says how many writers are killed (50), TFN_SEED decides when.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>

#include "base/mem.h"
#include "fault/disk_shim.h"
#include "fault/kill_writer.h"
#include "online/lmdb_push.h"
#include "prop/rng.h"
#include "unit/online_fixture.h"

enum { N_ROWS = 200, MIXED = -1, BROKEN = -2 };

/* ---- versions ---- */

/* How versions are written. */
enum { DIRECTLY = 0, AS_PUSH = 1, AS_SHARED_PUSH = 2, N_WAYS = 3 };
static int way = DIRECTLY;

static tfn_code push_version(tfn_lmdb *online, int64_t version, tfn_error *err)
{
    tfn__push *push = NULL;
    const tfn_online_sync sync =
        way == AS_SHARED_PUSH ? TFN_ONLINE_SYNC_BATCH : TFN_ONLINE_SYNC_FULL;
    TFN_RETURN_IF_ERROR(
        tfn__push_begin(online, sync, text("p"), text("empty"), two_fields, 2, &push, err));
    tfn_code rc = tfn__push_next_view(push, text("p"), text("v"), two_fields, 2, err);
    for (int64_t id = 0; rc == TFN_OK && id < N_ROWS; id++) {
        char key[9];
        const tfn_cell cells[2] = {{.bits = (uint64_t)version}, {.bytes = {"some label", 10}}};
        rc = tfn__push_put(push, key_of(id * 7919 % N_ROWS, key), cells, at(version), no_time, err);
    }
    if (rc != TFN_OK) {
        tfn__push_abort(push);
        return rc;
    }
    return tfn__push_commit(push, NULL, err);
}

static tfn_code write_version(tfn_lmdb *online, int64_t version, tfn_error *err)
{
    if (way != DIRECTLY) {
        return push_version(online, version, err);
    }
    tfn_lmdb_write *w = NULL;
    TFN_RETURN_IF_ERROR(tfn_lmdb_begin_write(online, text("p"), text("v"), two_fields, 2, &w, err));
    tfn_code rc = TFN_OK;
    for (int64_t id = 0; rc == TFN_OK && id < N_ROWS; id++) {
        char key[9];
        const tfn_cell cells[2] = {{.bits = (uint64_t)version}, {.bytes = {"some label", 10}}};
        rc = tfn_lmdb_put(w, key_of(id * 7919 % N_ROWS, key), cells, at(version), no_time, NULL,
                          err);
    }
    if (rc != TFN_OK) {
        tfn_lmdb_abort(w);
        return rc;
    }
    return tfn_lmdb_commit(w, err);
}

static tfn_code open_and_write(const char *store, int64_t version, tfn_error *err)
{
    tfn_lmdb *online = NULL;
    TFN_RETURN_IF_ERROR(tfn_lmdb_open(store, TFN_ONLINE_WRITE, &online, err));
    const tfn_code rc = write_version(online, version, err);
    tfn_lmdb_close(online);
    return rc;
}

/* The version that all rows have; 0 = no rows; MIXED. */
static tfn_code read_version(tfn_lmdb *online, int64_t *version, tfn_error *err)
{
    *version = 0;
    tfn_lmdb_read read;
    uint32_t generation = 0;
    TFN_RETURN_IF_ERROR(tfn_lmdb_begin_read(online, &read, err));
    tfn_code rc = tfn_lmdb_get_live(&read, text("p"), text("v"), &generation, err);
    for (int64_t id = 0; rc == TFN_OK && generation != 0 && id < N_ROWS; id++) {
        char key[9];
        tfn_row row;
        bool found = false;
        rc = tfn_lmdb_get(&read, generation, key_of(id, key), &row, &found, err);
        const int64_t value = rc == TFN_OK && found ? value_in(&row) : MIXED;
        if (id == 0) {
            *version = value;
        } else if (value != *version) {
            *version = MIXED;
        }
    }
    tfn_lmdb_end_read(&read);
    return rc;
}

/* What a process that comes later finds. */
static int64_t version_in(const char *store)
{
    tfn_error err = {0};
    tfn_lmdb *online = NULL;
    int64_t version = 0;
    tfn_code rc = tfn_lmdb_open(store, TFN_ONLINE_READ, &online, &err);
    if (rc == TFN_NOT_FOUND) {
        return 0;
    }
    if (rc == TFN_OK) {
        rc = read_version(online, &version, &err);
    }
    tfn_lmdb_close(online);
    if (rc != TFN_OK) {
        print_message("# %s\n", err.message);
    }
    return rc == TFN_OK ? version : BROKEN;
}

/* ---- the k-th allocation ---- */

#ifdef TFN_FAULT_INJECTION
static tfn_code write_then_read(const char *store, int64_t version, tfn_error *err)
{
    tfn_lmdb *online = NULL;
    TFN_RETURN_IF_ERROR(tfn_lmdb_open(store, TFN_ONLINE_WRITE, &online, err));
    int64_t found = 0;
    tfn_code rc = write_version(online, version, err);
    if (rc == TFN_OK) {
        rc = read_version(online, &found, err);
    }
    tfn_lmdb_close(online);
    return rc == TFN_OK && found != version ? TFN_CORRUPT : rc;
}

static void refuse_every_allocation(void)
{
    tfn_error err = {0};
    test_folder f;
    folder_make(&f);
    tfn_mem_fault_arm(0);
    ASSERT_OK(write_then_read(f.store, 1, &err), err);
    const int64_t n = tfn_mem_fault_count();
    assert_true(n > 5);
    int64_t version = 1;
    for (int round = 0; round < 2; round++) { /* making the store, then using it */
        for (int64_t k = 1; k <= n; k++) {
            if (round == 0) {
                store_remove(f.store);
                version = 0;
            }
            err = (tfn_error){0};
            tfn_mem_fault_arm(k);
            const tfn_code rc = write_then_read(f.store, version + 1, &err);
            tfn_mem_fault_arm(0);
            if (rc != TFN_OK) {
                assert_int_equal(rc, TFN_NO_MEMORY);
                assert_int_equal(err.code, TFN_NO_MEMORY);
            }
            const int64_t after = version_in(f.store);
            assert_true(after == version + 1 || (rc != TFN_OK && after == version));
            version = after;
        }
    }
    folder_remove(&f);
}

static void every_allocation_may_be_refused(void **state)
{
    (void)state;
    for (way = 0; way < N_WAYS; way++) {
        refuse_every_allocation();
    }
    way = DIRECTLY;
}

static void every_allocation_of_a_lookup_may_be_refused(void **state)
{
    (void)state;
    tfn_error err = {0};
    test_folder f;
    folder_make(&f);
    ASSERT_OK(open_and_write(f.store, 5, &err), err);
    tfn_code rc = TFN_NO_MEMORY;
    int64_t k = 0;
    while (rc != TFN_OK) {
        k++;
        tfn_lmdb *online = NULL;
        int64_t version = 0;
        err = (tfn_error){0};
        tfn_mem_fault_arm(k);
        rc = tfn_lmdb_open(f.store, TFN_ONLINE_READ, &online, &err);
        if (rc == TFN_OK) {
            rc = read_version(online, &version, &err);
            tfn_mem_fault_arm(0);
            int64_t again = 0;
            tfn_error second = {0};
            ASSERT_OK(read_version(online, &again, &second), second); /* the same handle goes on */
            assert_int_equal(again, 5);
        }
        tfn_mem_fault_arm(0);
        tfn_lmdb_close(online);
        assert_true(rc == TFN_NO_MEMORY || version == 5);
    }
    assert_true(k > 3);
    folder_remove(&f);
}
#endif

/* ---- the k-th write or sync ---- */

/*
 * In a child, so that each round begins with a process that has nothing open: write version 2 over
 * 1 with call k failing. Exit code: 0 = all calls were fine; 1 = one failed, as it should; else a
 * bug.
 */
static int write_with_failing_disk(const char *store, int k, int error)
{
    tfn_error err = {0};
    tfn_lmdb *online = NULL;
    int64_t version = 0;
    shim_arm(k, error);
    tfn_code rc = tfn_lmdb_open(store, TFN_ONLINE_WRITE, &online, &err);
    if (rc == TFN_OK) {
        rc = write_version(online, 2, &err);
    }
    const bool has_failed = atomic_load(&disk.count) >= k;
    shim_arm(0, 0);
    if (rc == TFN_OK) {
        tfn_lmdb_close(online);
        return has_failed ? 10 : 0;
    }
    if (rc != TFN_IO || !has_failed || strstr(err.message, store) == NULL) {
        (void)fprintf(stderr, "call %d: %s\n", k, err.message);
        return 11;
    }
    if (error == ENOSPC && strstr(err.message, "No space left") == NULL &&
        strstr(err.message, "Input/output") == NULL) {
        (void)fprintf(stderr, "call %d: %s\n", k, err.message);
        return 12;
    }
    /* The same handle reads on and writes on, unless there is none ... */
    tfn_code later = TFN_OK;
    if (online != NULL) {
        later = read_version(online, &version, &err);
        if (later != TFN_OK || version > 1) {
            (void)fprintf(stderr, "call %d, then reading: %s\n", k, err.message);
            return 13;
        }
        later = write_version(online, 3, &err);
        tfn_lmdb_close(online);
    } else { /* ... and then another does. */
        later = version_in(store) > 1 ? TFN_CORRUPT : open_and_write(store, 3, &err);
    }
    if (later != TFN_OK) {
        (void)fprintf(stderr, "call %d, later: %s\n", k, err.message);
        return 14;
    }
    return version_in(store) == 3 ? 1 : 15;
}

static int in_child(const char *store, int k, int error)
{
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(write_with_failing_disk(store, k, error));
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}

/* Fail call 1, 2, ... until a run needs fewer; give their number. */
static int fail_each_call(bool is_new, int error)
{
    for (int k = 1;; k++) {
        tfn_error err = {0};
        test_folder f;
        folder_make(&f);
        if (!is_new) {
            ASSERT_OK(open_and_write(f.store, 1, &err), err);
        }
        const int answer = in_child(f.store, k, error);
        assert_true(answer == 0 || answer == 1);
        assert_int_equal(version_in(f.store), answer == 1 ? 3 : 2);
        folder_remove(&f);
        if (answer == 0) {
            return k - 1;
        }
    }
}

static void every_write_and_sync_may_fail(void **state)
{
    (void)state;
    const int errors[] = {ENOSPC, EIO, 0};
    const char *const names[] = {"ENOSPC", "EIO", "half written"};
    for (size_t i = 0; i < 3; i++) {
        const int n_old = fail_each_call(false, errors[i]);
        const int n_new = fail_each_call(true, errors[i]);
        way = AS_SHARED_PUSH;
        const int n_push = fail_each_call(false, errors[i]);
        way = DIRECTLY;
        print_message("# %s: %d calls of a write, %d of one that makes the store, %d of a push\n",
                      names[i], n_old, n_new, n_push);
        assert_true(n_old >= 3 && n_new > n_old && n_push >= 3);
    }
}

/* A write whose last call, that of the head page, fails: LMDB then refuses all transactions. */
static void fail_head_page(tfn_lmdb *online, int64_t version)
{
    tfn_error err = {0};
    for (int k = 1;; k++) {
        shim_arm(k, EIO);
        const tfn_code rc = write_version(online, version, &err);
        const int n_calls = atomic_load(&disk.count);
        shim_arm(0, 0);
        assert_int_equal(rc, TFN_IO);
        tfn_lmdb_env *env = atomic_load(&online->env);
        MDB_txn *txn = NULL;
        const int lmdb_rc = mdb_txn_begin(env->lmdb, NULL, MDB_RDONLY, &txn);
        mdb_txn_abort(txn);
        if (lmdb_rc == MDB_PANIC) {
            assert_true(n_calls >= k);
            return;
        }
    }
}

static void a_read_that_is_open_outlives_a_failed_head_page(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn_lmdb *online = NULL;
    tfn_lmdb *other = NULL;
    tfn_lmdb_read read;
    tfn_row row;
    bool found = false;
    uint32_t generation = 0;
    int64_t version = 0;
    char key[9];
    test_folder f;
    folder_make(&f);
    ASSERT_OK(open_and_write(f.store, 1, &err), err);
    ASSERT_OK(tfn_lmdb_open(f.store, TFN_ONLINE_WRITE, &online, &err), err);
    ASSERT_OK(tfn_lmdb_open(f.store, TFN_ONLINE_READ, &other, &err), err);
    ASSERT_OK(tfn_lmdb_begin_read(other, &read, &err), err);
    ASSERT_OK(tfn_lmdb_get_live(&read, text("p"), text("v"), &generation, &err), err);
    fail_head_page(online, 2);

    assert_int_equal(write_version(online, 3, &err), TFN_IO); /* the file stays open for the read */
    assert_non_null(strstr(err.message, "end them and try again"));
    ASSERT_OK(tfn_lmdb_get(&read, generation, key_of(5, key), &row, &found, &err), err);
    assert_true(found && value_in(&row) == 1);
    tfn_lmdb_end_read(&read);

    ASSERT_OK(write_version(online, 3, &err), err);
    ASSERT_OK(read_version(other, &version, &err), err);
    assert_int_equal(version, 3);
    fail_head_page(online, 4); /* once more, met by pushes that share commits ... */
    way = AS_SHARED_PUSH;
    ASSERT_OK(write_version(online, 4, &err), err);
    way = DIRECTLY;
    fail_head_page(online, 5); /* ... and by a reader */
    ASSERT_OK(read_version(other, &version, &err), err);
    assert_int_equal(version, 4);
    ASSERT_OK(write_version(online, 5, &err), err);
    assert_int_equal(version_in(f.store), 5);
    tfn_lmdb_close(other);
    tfn_lmdb_close(online);
    folder_remove(&f);
}

/* ---- a group whose commit fails ---- */

enum { N_MEMBERS = 4 };

typedef struct member {
    pthread_t thread;
    tfn_lmdb *online;
    int64_t version;
    tfn_code rc;
    tfn_error err;
} member;

static void *push_as_member(void *arg)
{
    member *m = arg;
    m->rc = push_version(m->online, m->version, &m->err);
    return NULL;
}

static void push_as_group(tfn_lmdb *online, member *members, int fail_at)
{
    tfn__group *group = &atomic_load(&online->env)->group;
    tfn_lmdb_write *lock = write_begin(online, "lock");
    for (size_t i = 0; i < N_MEMBERS; i++) {
        members[i] = (member){.online = online, .version = members[i].version};
        assert_int_equal(pthread_create(&members[i].thread, NULL, push_as_member, &members[i]), 0);
        size_t n_joined = 0;
        while (n_joined <= i) {
            (void)sched_yield();
            (void)pthread_mutex_lock(&group->mutex);
            n_joined = group->n_joined;
            (void)pthread_mutex_unlock(&group->mutex);
        }
    }
    shim_arm(fail_at, ENOSPC);
    tfn_lmdb_abort(lock);
    for (size_t i = 0; i < N_MEMBERS; i++) {
        assert_int_equal(pthread_join(members[i].thread, NULL), 0);
    }
    shim_arm(0, 0);
}

static void a_group_whose_commit_fails_fails_for_all(void **state)
{
    (void)state;
    tfn_error err = {0};
    test_folder f;
    folder_make(&f);
    tfn_lmdb *online = store_open(&f, TFN_ONLINE_WRITE);
    member members[N_MEMBERS] = {{.version = 2}, {.version = 3}, {.version = 4}, {.version = 5}};
    int64_t version = 0;
    way = AS_SHARED_PUSH;
    ASSERT_OK(write_version(online, 1, &err), err);
    push_as_group(online, members, 1); /* the first page of the commit */
    for (size_t i = 0; i < N_MEMBERS; i++) {
        assert_int_equal(members[i].rc, TFN_IO);
        assert_non_null(strstr(members[i].err.message, "No space left"));
    }
    ASSERT_OK(read_version(online, &version, &err), err);
    assert_int_equal(version, 1);
    push_as_group(online, members, 0); /* there is space again */
    for (size_t i = 0; i < N_MEMBERS; i++) {
        ASSERT_OK(members[i].rc, members[i].err);
    }
    ASSERT_OK(read_version(online, &version, &err), err);
    assert_int_equal(version, 5);
    way = DIRECTLY;
    tfn_lmdb_close(online);
    folder_remove(&f);
}

/* A reader of what readers_go_on_when_head_pages_fail writes. */
typedef struct reader {
    pthread_t thread;
    tfn_lmdb *online;
    atomic_bool *is_to_end;
    uint64_t n_reads;
    char complaint[256];
} reader;

static void *read_on(void *argument)
{
    reader *r = argument;
    int64_t last = 0;
    while (!atomic_load(r->is_to_end) && r->complaint[0] == '\0') {
        tfn_error err = {0};
        int64_t version = 0;
        const tfn_code rc = read_version(r->online, &version, &err);
        if (rc != TFN_OK || version < last) {
            (void)snprintf(r->complaint, sizeof r->complaint, "%lld after %lld: %.180s",
                           (long long)version, (long long)last, err.message);
        }
        last = version;
        r->n_reads++;
    }
    return NULL;
}

/* A push whose environment was closed before the fork stays its own process's all the same. */
static void a_child_cannot_commit_a_push_begun_before_a_failed_head_page(void **state)
{
    (void)state;
    const tfn_online_sync syncs[2] = {TFN_ONLINE_SYNC_FULL, TFN_ONLINE_SYNC_BATCH};
    for (size_t i = 0; i < 2; i++) {
        tfn_error err = {0};
        tfn_lmdb *online = NULL;
        tfn__push *push = NULL;
        char key[9];
        const tfn_cell cells[2] = {{.bits = 5}, {.is_null = true}};
        test_folder f;
        folder_make(&f);
        ASSERT_OK(open_and_write(f.store, 1, &err), err);
        ASSERT_OK(tfn_lmdb_open(f.store, TFN_ONLINE_WRITE, &online, &err), err);
        ASSERT_OK(
            tfn__push_begin(online, syncs[i], text("p"), text("w"), two_fields, 2, &push, &err),
            err);
        ASSERT_OK(tfn__push_put(push, key_of(1, key), cells, at(1), no_time, &err), err);
        fail_head_page(online, 2);
        ASSERT_OK(write_version(online, 3, &err), err);
        const pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            const bool is_refused = tfn__push_commit(push, NULL, &err) == TFN_INVALID &&
                                    strstr(err.message, "begun before a fork") != NULL;
            _exit(is_refused ? 0 : 1);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        ASSERT_OK(tfn__push_commit(push, NULL, &err), err);
        assert_int_equal(value_now(online, "w", 1), 5);
        tfn_lmdb_close(online);
        folder_remove(&f);
    }
}

/* Every fourth write fails at its head page; the threads share handles, hence environments. */
static void readers_go_on_when_head_pages_fail(void **state)
{
    (void)state;
    enum { N_READERS = 3, N_VERSIONS = 200, HEAD_PAGE = 3 };
    tfn_error err = {0};
    tfn_lmdb *online = NULL;
    atomic_bool is_to_end = false;
    reader readers[N_READERS] = {0};
    test_folder f;
    folder_make(&f);
    ASSERT_OK(open_and_write(f.store, 1, &err), err);
    ASSERT_OK(tfn_lmdb_open(f.store, TFN_ONLINE_WRITE, &online, &err), err);
    for (size_t i = 0; i < N_READERS; i++) {
        readers[i].online = online;
        readers[i].is_to_end = &is_to_end;
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_on, &readers[i]), 0);
    }
    for (int64_t version = 2; version < N_VERSIONS; version++) {
        if (version % 4 == 0) {
            shim_arm(HEAD_PAGE, EIO);
            assert_int_equal(write_version(online, version, &err), TFN_IO);
            shim_arm(0, 0);
        }
        ASSERT_OK(write_version(online, version, &err), err);
    }
    atomic_store(&is_to_end, true);
    for (size_t i = 0; i < N_READERS; i++) {
        assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
        assert_string_equal(readers[i].complaint, "");
        assert_true(readers[i].n_reads > 0);
    }
    tfn_lmdb_close(online);
    assert_int_equal(version_in(f.store), N_VERSIONS - 1);
    folder_remove(&f);
}

/* ---- kill -9 ---- */

typedef struct version_writer {
    const char *store;
    int64_t version; /* the last one that was written */
} version_writer;

static void write_for_ever(const void *context, int to)
{
    const version_writer *w = context;
    tfn_error err = {0};
    tfn_lmdb *online = NULL;
    int64_t version = w->version;
    tfn_code rc = tfn_lmdb_open(w->store, TFN_ONLINE_WRITE, &online, &err);
    while (rc == TFN_OK) {
        version++;
        rc = write_version(online, version, &err);
        if (rc == TFN_OK && write(to, &version, sizeof version) != sizeof version) {
            rc = TFN_IO;
        }
    }
}

static void a_killed_writer_leaves_old_or_new(void **state)
{
    (void)state;
    rng r = {setting("TFN_SEED", 1)};
    const uint64_t n_kills = setting("TFN_KILLS", 50);
    print_message("# TFN_SEED=%llu\n", (unsigned long long)r.state);
    tfn_error err = {0};
    test_folder f;
    folder_make(&f);
    version_writer now = {.store = f.store};
    const killed_writer writer = {.write_for_ever = write_for_ever,
                                  .context = &now,
                                  .max_acknowledged = 3,
                                  .max_moment_ns = 4000000};
    for (uint64_t i = 0; i < n_kills; i++) {
        if (rng_percent(&r, 30)) { /* a new store, to be killed while it is made */
            store_remove(f.store);
            now.version = 0;
        }
        way = (int)(i % N_WAYS);
        int64_t acknowledged = now.version;
        kill_writer(&r, &writer, &acknowledged, sizeof acknowledged);
        const int64_t found = version_in(f.store);
        if (found != acknowledged && found != acknowledged + 1) {
            fail_msg("kill %llu: %lld was acknowledged, %lld is there", (unsigned long long)i,
                     (long long)acknowledged, (long long)found);
        }
        now.version = found + 1; /* the next run completes */
        ASSERT_OK(open_and_write(f.store, now.version, &err), err);
        assert_int_equal(version_in(f.store), now.version);
    }
    way = DIRECTLY;
    folder_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef TFN_FAULT_INJECTION
        cmocka_unit_test(every_allocation_may_be_refused),
        cmocka_unit_test(every_allocation_of_a_lookup_may_be_refused),
#endif
        cmocka_unit_test(every_write_and_sync_may_fail),
        cmocka_unit_test(a_read_that_is_open_outlives_a_failed_head_page),
        cmocka_unit_test(a_child_cannot_commit_a_push_begun_before_a_failed_head_page),
        cmocka_unit_test(readers_go_on_when_head_pages_fail),
        cmocka_unit_test(a_group_whose_commit_fails_fails_for_all),
        cmocka_unit_test(a_killed_writer_leaves_old_or_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
