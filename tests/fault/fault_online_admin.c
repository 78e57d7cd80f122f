/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Vacuum, backup and restore when memory is refused or the disk is full: the k-th allocation, the
 * k-th write. What must hold afterwards: the error is clean, each view is old or new as a whole,
 * what was not to be removed is there, and the same work done again succeeds.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/uio.h> /* IWYU pragma: keep */

#include "base/mem.h"
#include "unit/online_fixture.h"

#include "unit/online_admin_fixture.h"

enum { N_ROWS = 300, OLD = 1, NEW = 2 };

/* ---- a disk that is full from its k-th write on ---- */

static atomic_int writes_left; /* 0: there is room */

ssize_t full_pwrite(int fd, const void *bytes, size_t n, off_t at_byte) __asm__("pwrite");
ssize_t full_writev(int fd, const struct iovec *parts, int n) __asm__("writev");
ssize_t full_write(int fd, const void *bytes, size_t n) __asm__("write");

static bool is_full(void)
{
    const int left = atomic_load(&writes_left);
    if (left == 1) {
        errno = ENOSPC;
        return true;
    }
    if (left > 1) {
        atomic_store(&writes_left, left - 1);
    }
    return false;
}

ssize_t full_pwrite(int fd, const void *bytes, size_t n, off_t at_byte)
{
    return is_full() ? -1 : syscall(SYS_pwrite64, fd, bytes, n, at_byte);
}

ssize_t full_writev(int fd, const struct iovec *parts, int n)
{
    return is_full() ? -1 : syscall(SYS_writev, fd, parts, n);
}

ssize_t full_write(int fd, const void *bytes, size_t n)
{
    const bool is_ours = fd > 2; /* cmocka prints */
    return is_ours && is_full() ? -1 : syscall(SYS_write, fd, bytes, n);
}

/* ---- the work ---- */

typedef struct world {
    test_folder here;
    test_folder there;
    tfn_online *online;
} world;

static tfn_code keep_new(void *context, tfn_str project, tfn_str view, tfn_online_verdict *out,
                         tfn_error *err)
{
    (void)context;
    (void)project;
    (void)err;
    *out = (tfn_online_verdict){.is_orphan = tfn_str_is(view, "gone"), .keep_from = at(40)};
    return TFN_OK;
}

static tfn_code run_vacuum(world *w, tfn_error *err)
{
    tfn_arena arena = {0};
    tfn_online_vacuumed out = {0};
    const tfn_online_vacuum vacuum = {.judge = keep_new, .drops_previous = true};
    const tfn_code rc = tfn_online_run_vacuum(w->online, &vacuum, &arena, &out, err);
    tfn_arena_deinit(&arena);
    return rc;
}

static tfn_code run_census(world *w, tfn_error *err)
{
    tfn_arena arena = {0};
    tfn_online_census out = {0};
    const tfn_code rc = tfn_online_take_census(w->online, no_watch, &arena, &out, err);
    tfn_arena_deinit(&arena);
    return rc;
}

static tfn_code run_backup(world *w, tfn_error *err)
{
    char folder[400];
    char hash[33];
    int64_t n_bytes = 0;
    bool is_made = false;
    int lock = -1;
    tfn_online_copy views[2] = {{.view = text("v")}, {.view = text("gone")}};
    (void)snprintf(folder, sizeof folder, "%s/backup", w->there.root);
    TFN_RETURN_IF_ERROR(tfn_backup_folder_make(folder, &is_made, &lock, err));
    tfn_code rc = tfn_online_write_backup(w->online, folder, text("p"), views, 2, no_watch, hash,
                                          &n_bytes, err);
    if (rc == TFN_OK) {
        rc = tfn_backup_folder_seal(folder, text("{}"), err);
    }
    if (rc == TFN_OK) {
        rc = tfn_online_check_backup(folder, hash, n_bytes, no_watch, err);
    }
    tfn_backup_folder_clear(folder, is_made); /* so that a broken one leaves nothing */
    tfn_backup_folder_unlock(lock);
    return rc;
}

static tfn_code run_restore(world *w, tfn_error *err)
{
    tfn_online_copy view = {.view = text("v")};
    return tfn_online_read_backup(w->online, w->there.root, text("p"), &view, 1, no_watch, NULL,
                                  NULL, err);
}

/* v: N_ROWS of OLD in the backup, of NEW online, and some expired; gone: an orphan. */
static void make_world(world *w)
{
    tfn_error err = {0};
    char hash[33];
    int64_t n_bytes = 0;
    *w = (world){0};
    folder_make(&w->here);
    folder_make(&w->there);
    w->online = engine_open(&w->here);
    fill(w->online, "v", 0, N_ROWS, OLD, 50);
    tfn_online_copy view = {.view = text("v")};
    ASSERT_OK(tfn_online_write_backup(w->online, w->there.root, text("p"), &view, 1, no_watch, hash,
                                      &n_bytes, &err),
              err);
    ASSERT_OK(tfn_backup_folder_seal(w->there.root, text("{}"), &err), err);
    fill(w->online, "v", 0, N_ROWS, NEW, 60);
    fill(w->online, "v", N_ROWS, N_ROWS + 20, NEW, 30);
    fill(w->online, "gone", 0, 20, NEW, 60);
}

static void destroy_world(world *w)
{
    tfn_online_close(w->online);
    folder_remove(&w->here);
    remove_in(w->there.root, "backup.json");
    store_remove(w->there.root);
}

/* The value that all of v's rows have. */
static int64_t version_of(tfn_online *online)
{
    const int64_t first = value_of(online, "v", 0);
    for (int64_t id = 1; id < N_ROWS; id++) {
        assert_int_equal(value_of(online, "v", id), first);
    }
    return first;
}

typedef tfn_code (*work_fn)(world *w, tfn_error *err);

/* Fail step 1, 2, ... until the work needs fewer. */
static void fail_each(work_fn work, void (*arm)(int k), tfn_code wanted, int64_t after)
{
    world w;
    make_world(&w);
    tfn_code rc = wanted;
    int k = 0;
    while (rc != TFN_OK) {
        tfn_error err = {0};
        k++;
        arm(k);
        rc = work(&w, &err);
        arm(0);
        if (rc != TFN_OK && (rc != wanted || err.code != wanted)) {
            fail_msg("step %d: %s", k, err.message);
        }
        if (rc != TFN_OK && wanted == TFN_IO) { /* LMDB may want the file opened again */
            tfn_online_close(w.online);
            w.online = engine_open(&w.here);
        }
        const int64_t version = version_of(w.online);
        assert_true(version == NEW || version == after);
        assert_true(rc != TFN_OK || version == after);
        assert_true(k < 20000);
    }
    tfn_error err = {0};
    fill(w.online, "v", 0, N_ROWS, 3, 70);
    assert_int_equal(version_of(w.online), 3);
    ASSERT_OK(run_vacuum(&w, &err), err);
    tfn_arena arena = {0};
    const tfn_online_census census = census_of(w.online, &arena);
    assert_int_equal(census.n_views, 1);
    assert_int_equal(census.n_orphans, 0);
    assert_int_equal(census.views[0].live.n_rows, N_ROWS);
    tfn_arena_deinit(&arena);
    destroy_world(&w);
}

/* ---- the k-th allocation ---- */

#ifdef TFN_FAULT_INJECTION
static void arm_allocation(int k)
{
    tfn_mem_fault_arm(k);
}

static void every_allocation_may_be_refused(void **state)
{
    (void)state;
    fail_each(run_census, arm_allocation, TFN_NO_MEMORY, NEW);
    fail_each(run_vacuum, arm_allocation, TFN_NO_MEMORY, NEW);
    fail_each(run_backup, arm_allocation, TFN_NO_MEMORY, NEW);
    fail_each(run_restore, arm_allocation, TFN_NO_MEMORY, OLD);
}
#endif

/* ---- the k-th write ---- */

static void arm_disk(int k)
{
    atomic_store(&writes_left, k);
}

static void the_disk_may_be_full_at_every_write(void **state)
{
    (void)state;
    fail_each(run_vacuum, arm_disk, TFN_IO, NEW);
    fail_each(run_backup, arm_disk, TFN_IO, NEW);
    fail_each(run_restore, arm_disk, TFN_IO, OLD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef TFN_FAULT_INJECTION
        cmocka_unit_test(every_allocation_may_be_refused),
#endif
        cmocka_unit_test(the_disk_may_be_full_at_every_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
