/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Loads and rollbacks when things fail: the k-th allocation refused, the k-th system write or sync
 * failing, the loader killed at a random moment. Afterwards a view is as before or as after, what
 * was pushed meanwhile is there, and the next load goes on and leaves nothing behind.
 *
 * A state is a version: view "v" holds N_ROWS rows of one value, loaded in many transactions, and
 * one key that is pushed. TFN_KILLS says how many loaders are killed (50), TFN_SEED decides when.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/wait.h>

#include "base/mem.h"
#include "fault/disk_shim.h"
#include "fault/kill_writer.h"
#include "prop/rng.h"
#include "unit/online_fixture.h"

#define TFN_BUILD_BATCH_BYTES ((size_t)2000)
#include "online/lmdb_build.c"

enum { N_ROWS = 100, PUSHED = 1000, MIXED = -1, BROKEN = -2 };

/* ---- versions ---- */

static tfn_code put_rows(tfn_lmdb_load *l, int64_t n_rows, int64_t version, tfn_error *err)
{
    for (int64_t id = 0; id < n_rows; id++) {
        char key[9];
        const tfn_cell cells[2] = {{.bits = (uint64_t)version}, {.bytes = {"some label", 10}}};
        TFN_RETURN_IF_ERROR(
            tfn_lmdb_load_put(l, key_of(id, key), cells, at(version), no_time, NULL, err));
    }
    return TFN_OK;
}

static tfn_code load_rows(tfn_lmdb *online, int64_t n_rows, int64_t version, tfn_error *err)
{
    tfn_lmdb_load *l = NULL;
    TFN_RETURN_IF_ERROR(tfn_lmdb_load_begin(online, text("p"), text("v"), two_fields, 2,
                                            (uint64_t)n_rows, &l, err));
    const tfn_code rc = put_rows(l, n_rows, version, err);
    if (rc != TFN_OK) {
        tfn_lmdb_load_abort(l);
        return rc;
    }
    return tfn_lmdb_load_commit(l, err);
}

static tfn_code load_version(tfn_lmdb *online, int64_t version, tfn_error *err)
{
    return load_rows(online, N_ROWS, version, err);
}

static tfn_code push_value(tfn_lmdb *online, int64_t value, tfn_error *err)
{
    tfn_lmdb_write *w = NULL;
    char key[9];
    const tfn_cell cells[2] = {{.bits = (uint64_t)value}, {.is_null = true}};
    TFN_RETURN_IF_ERROR(tfn_lmdb_begin_write(online, text("p"), text("v"), two_fields, 2, &w, err));
    const tfn_code rc = tfn_lmdb_put(w, key_of(PUSHED, key), cells, at(value), no_time, NULL, err);
    if (rc != TFN_OK) {
        tfn_lmdb_abort(w);
        return rc;
    }
    return tfn_lmdb_commit(w, err);
}

static tfn_code roll_back(tfn_lmdb *online, tfn_error *err)
{
    tfn_online_rolled_back done;
    return tfn_lmdb_rollback(online, text("p"), text("v"), text("mark"), TFN_ONLINE_REPLAY, &done,
                             err);
}

static tfn_code get_value(const tfn_lmdb_read *read, uint32_t generation, int64_t id,
                          int64_t *value, tfn_error *err)
{
    char key[9];
    tfn_row row;
    bool found = false;
    TFN_RETURN_IF_ERROR(tfn_lmdb_get(read, generation, key_of(id, key), &row, &found, err));
    *value = found ? value_in(&row) : 0;
    return TFN_OK;
}

/* The version that all rows have, 0 = no rows, MIXED; and the pushed value. */
static tfn_code read_version(tfn_lmdb *online, int64_t *version, int64_t *pushed, tfn_error *err)
{
    tfn_lmdb_read read;
    uint32_t generation = 0;
    *version = 0;
    *pushed = 0;
    TFN_RETURN_IF_ERROR(tfn_lmdb_begin_read(online, &read, err));
    tfn_code rc = tfn_lmdb_get_live(&read, text("p"), text("v"), &generation, err);
    for (int64_t id = 0; rc == TFN_OK && id < N_ROWS; id++) {
        int64_t value = 0;
        rc = get_value(&read, generation, id, &value, err);
        *version = id == 0 || value == *version ? value : MIXED;
    }
    if (rc == TFN_OK) {
        rc = get_value(&read, generation, PUSHED, pushed, err);
    }
    tfn_lmdb_end_read(&read);
    return rc;
}

/* What a process that comes later finds. */
static int64_t version_in(const char *store, int64_t *pushed)
{
    tfn_error err = {0};
    tfn_lmdb *online = NULL;
    int64_t version = 0;
    *pushed = 0;
    tfn_code rc = tfn_lmdb_open(store, TFN_ONLINE_READ, &online, &err);
    if (rc == TFN_NOT_FOUND) {
        return 0;
    }
    if (rc == TFN_OK) {
        rc = read_version(online, &version, pushed, &err);
    }
    tfn_lmdb_close(online);
    if (rc != TFN_OK) {
        print_message("# %s\n", err.message);
    }
    return rc == TFN_OK ? version : BROKEN;
}

/* A load goes on in what is left, and leaves two generations. */
static void load_and_check(const char *store, int64_t version)
{
    tfn_error err = {0};
    tfn_lmdb *online = NULL;
    int64_t found = 0;
    int64_t pushed = 0;
    MDB_stat rows;
    ASSERT_OK(tfn_lmdb_open(store, TFN_ONLINE_WRITE, &online, &err), err);
    ASSERT_OK(load_version(online, version, &err), err);
    ASSERT_OK(read_version(online, &found, &pushed, &err), err);
    assert_int_equal(found, version);
    tfn_lmdb_read read = read_begin(online);
    assert_int_equal(mdb_stat(read.txn, read.env->rows, &rows), 0);
    tfn_lmdb_end_read(&read);
    assert_true(rows.ms_entries <= (size_t)2 * (N_ROWS + 1));
    tfn_lmdb_close(online);
}

/* ---- the k-th allocation ---- */

#ifdef TFN_FAULT_INJECTION
/* Two loads with a push between them, rolled back. */
static tfn_code load_push_load_roll_back(const char *store, int64_t version, tfn_error *err)
{
    tfn_lmdb *online = NULL;
    TFN_RETURN_IF_ERROR(tfn_lmdb_open(store, TFN_ONLINE_WRITE, &online, err));
    tfn_code rc = load_version(online, version, err);
    if (rc == TFN_OK) {
        rc = push_value(online, version, err);
    }
    if (rc == TFN_OK) {
        rc = load_version(online, version + 1, err);
    }
    if (rc == TFN_OK) {
        rc = roll_back(online, err);
    }
    tfn_lmdb_close(online);
    return rc;
}

static void every_allocation_may_be_refused(void **state)
{
    (void)state;
    tfn_error err = {0};
    int64_t pushed = 0;
    test_folder f;
    folder_make(&f);
    tfn_mem_fault_arm(0);
    ASSERT_OK(load_push_load_roll_back(f.store, 1, &err), err);
    const int64_t n = tfn_mem_fault_count();
    assert_int_equal(version_in(f.store, &pushed), 1);
    assert_int_equal(pushed, 1);
    assert_true(n > 20);
    int64_t version = 1;
    for (int64_t k = 1; k <= n; k++) {
        err = (tfn_error){0};
        const int64_t pushed_before = pushed;
        tfn_mem_fault_arm(k);
        const tfn_code rc = load_push_load_roll_back(f.store, version + 1, &err);
        tfn_mem_fault_arm(0);
        if (rc != TFN_OK) {
            assert_int_equal(rc, TFN_NO_MEMORY);
            assert_int_equal(err.code, TFN_NO_MEMORY);
        }
        const int64_t after = version_in(f.store, &pushed);
        assert_true(after >= version && after <= version + 2);
        assert_true(rc != TFN_OK || after == version + 1);
        assert_true(pushed == version + 1 || (rc != TFN_OK && pushed == pushed_before));
        version += 3;
        load_and_check(f.store, version);
    }
    folder_remove(&f);
}
#endif

/* ---- the k-th write or sync ---- */

/*
 * In a child: over version 1 load version 2, with call k failing. Exit code: 0 = all calls were
 * fine; 1 = the load failed, as it should; 2 = it was done before the call that failed (removing
 * what is no longer needed); else a bug.
 */
static int load_with_failing_disk(const char *store, int k, int error)
{
    tfn_error err = {0};
    tfn_lmdb *online = NULL;
    int64_t version = 0;
    int64_t pushed = 0;
    if (tfn_lmdb_open(store, TFN_ONLINE_WRITE, &online, &err) != TFN_OK) {
        return 10;
    }
    shim_arm(k, error);
    const tfn_code rc = load_version(online, 2, &err);
    const bool has_failed = atomic_load(&disk.count) >= k;
    shim_arm(0, 0);
    tfn_lmdb_close(online);
    if (version_in(store, &pushed) != (rc == TFN_OK ? 2 : 1) || pushed != 1) {
        return 11;
    }
    if (rc != TFN_OK && (rc != TFN_IO || !has_failed || strstr(err.message, store) == NULL)) {
        (void)fprintf(stderr, "call %d: %s\n", k, err.message);
        return 12;
    }
    if (tfn_lmdb_open(store, TFN_ONLINE_WRITE, &online, &err) != TFN_OK ||
        load_version(online, 3, &err) != TFN_OK ||
        read_version(online, &version, &pushed, &err) != TFN_OK || version != 3 || pushed != 1) {
        (void)fprintf(stderr, "call %d, later: %s\n", k, err.message);
        return 13;
    }
    tfn_lmdb_close(online);
    if (!has_failed) {
        return 0;
    }
    return rc == TFN_OK ? 2 : 1;
}

/* The same, but the handle of the load that failed goes on: version 3 through it. */
static int load_again_with_the_handle(const char *store, int k, int error)
{
    tfn_error err = {0};
    tfn_lmdb *online = NULL;
    int64_t version = 0;
    int64_t pushed = 0;
    if (tfn_lmdb_open(store, TFN_ONLINE_WRITE, &online, &err) != TFN_OK) {
        return 10;
    }
    shim_arm(k, error);
    const tfn_code rc = load_version(online, 2, &err);
    const bool has_failed = atomic_load(&disk.count) >= k;
    shim_arm(0, 0);
    err = (tfn_error){0};
    if (load_version(online, 3, &err) != TFN_OK ||
        read_version(online, &version, &pushed, &err) != TFN_OK || version != 3 || pushed != 1) {
        (void)fprintf(stderr, "call %d, the next load: %s\n", k, err.message);
        return 11;
    }
    tfn_lmdb_close(online);
    if (!has_failed) {
        return 0;
    }
    return rc == TFN_OK ? 2 : 1;
}

typedef int load_in_child(const char *store, int k, int error);

static int in_child(load_in_child *body, const char *store, int k, int error)
{
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(body(store, k, error));
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}

static void fail_every_call(load_in_child *body)
{
    const int errors[] = {ENOSPC, EIO, 0};
    for (size_t i = 0; i < 3; i++) {
        int n_failed = 0;
        int answer = 1;
        for (int k = 1; answer != 0; k++) {
            tfn_error err = {0};
            test_folder f;
            folder_make(&f);
            tfn_lmdb *online = store_open(&f, TFN_ONLINE_WRITE);
            ASSERT_OK(load_version(online, 1, &err), err);
            ASSERT_OK(push_value(online, 1, &err), err);
            tfn_lmdb_close(online);
            answer = in_child(body, f.store, k, errors[i]);
            assert_in_range(answer, 0, 2);
            n_failed += answer == 1;
            load_and_check(f.store, 4);
            folder_remove(&f);
        }
        print_message("# errno %d: %d calls of a load failed\n", errors[i], n_failed);
        assert_true(n_failed > 10);
    }
}

static void every_write_and_sync_of_a_load_may_fail(void **state)
{
    (void)state;
    fail_every_call(load_with_failing_disk);
}

static void after_a_load_that_failed_its_handle_loads_again(void **state)
{
    (void)state;
    fail_every_call(load_again_with_the_handle);
}

/* ---- kill -9 ---- */

typedef struct progress {
    int64_t version;
    int64_t pushed;
} progress;

typedef struct loader {
    const char *store;
    progress done;
} loader;

static bool acknowledge(int to, progress done)
{
    return write(to, &done, sizeof done) == sizeof done;
}

/* A push, a load, a push, ... */
static void load_for_ever(const void *context, int to)
{
    const loader *l = context;
    progress done = l->done;
    tfn_error err = {0};
    tfn_lmdb *online = NULL;
    bool goes_on = tfn_lmdb_open(l->store, TFN_ONLINE_WRITE, &online, &err) == TFN_OK;
    while (goes_on) {
        done.pushed++;
        goes_on = push_value(online, done.pushed, &err) == TFN_OK && acknowledge(to, done);
        done.version++;
        goes_on =
            goes_on && load_version(online, done.version, &err) == TFN_OK && acknowledge(to, done);
    }
}

static void a_killed_loader_leaves_old_or_new(void **state)
{
    (void)state;
    rng r = {setting("TFN_SEED", 1)};
    const uint64_t n_kills = setting("TFN_KILLS", 50);
    print_message("# TFN_SEED=%llu\n", (unsigned long long)r.state);
    test_folder f;
    folder_make(&f);
    loader now = {.store = f.store};
    const killed_writer writer = {.write_for_ever = load_for_ever,
                                  .context = &now,
                                  .max_acknowledged = 4,
                                  .max_moment_ns = 30000000};
    for (uint64_t i = 0; i < n_kills; i++) {
        progress done = now.done;
        kill_writer(&r, &writer, &done, sizeof done);
        int64_t pushed = 0;
        const int64_t version = version_in(f.store, &pushed);
        const bool is_right = (version == done.version || version == done.version + 1) &&
                              (pushed == done.pushed || pushed == done.pushed + 1);
        if (!is_right) {
            fail_msg("kill %llu: version %lld, push %lld were acknowledged; %lld, %lld are there",
                     (unsigned long long)i, (long long)done.version, (long long)done.pushed,
                     (long long)version, (long long)pushed);
        }
        now.done = (progress){version + 1, pushed};
        load_and_check(f.store, now.done.version);
    }
    folder_remove(&f);
}

/* Load some rows and die of the k-th write or sync, once it is made. Returns whether it died. */
static bool load_and_die(const char *store, int64_t n_rows, int64_t version, int k)
{
    int status = 0;
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        tfn_error err = {0};
        tfn_lmdb *online = NULL;
        bool is_done = tfn_lmdb_open(store, TFN_ONLINE_WRITE, &online, &err) == TFN_OK;
        shim_arm(k, SHIM_KILLED);
        is_done = is_done && load_rows(online, n_rows, version, &err) == TFN_OK;
        _exit(is_done ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status);
}

/* The store is open all the time: no opening makes up for what the dead one left undone. */
static void die_after_every_call(int64_t n_rows)
{
    tfn_error err = {0};
    test_folder f;
    folder_make(&f);
    tfn_lmdb *online = store_open(&f, TFN_ONLINE_WRITE);
    int64_t version = 1;
    ASSERT_OK(load_rows(online, n_rows, version, &err), err);
    int k = 1;
    while (load_and_die(f.store, n_rows, version + 1, k)) {
        version += 2;
        ASSERT_OK(load_rows(online, n_rows, version, &err), err);
        assert_int_equal(value_now(online, "v", n_rows - 1), version);
        k++;
    }
    assert_true(k > 3);
    tfn_lmdb_close(online);
    folder_remove(&f);
}

static void a_load_of_many_commits_may_end_after_any_call(void **state)
{
    (void)state;
    die_after_every_call(N_ROWS);
}

/* Its builder may die between its only commit and telling readers of it: they see the state before,
 * without a trace of a build, until the next writer finds the commit. */
static void a_load_of_one_commit_may_end_after_any_call(void **state)
{
    (void)state;
    die_after_every_call(N_ROWS / 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef TFN_FAULT_INJECTION
        cmocka_unit_test(every_allocation_may_be_refused),
#endif
        cmocka_unit_test(every_write_and_sync_of_a_load_may_fail),
        cmocka_unit_test(after_a_load_that_failed_its_handle_loads_again),
        cmocka_unit_test(a_killed_loader_leaves_old_or_new),
        cmocka_unit_test(a_load_of_many_commits_may_end_after_any_call),
        cmocka_unit_test(a_load_of_one_commit_may_end_after_any_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
