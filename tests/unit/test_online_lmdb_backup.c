/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Backup and restore together, since each is the other's proof. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "unit/online_fixture.h"

#include "online/lmdb_admin.h"
#include "unit/online_admin_fixture.h"

typedef struct two_places {
    test_folder here;
    test_folder there; /* its root is the backup's folder */
    tfn_online *online;
    char hash[33];
    int64_t n_bytes;
} two_places;

static int open_places(void **state)
{
    static two_places places;
    folder_make(&places.here);
    folder_make(&places.there);
    places.online = engine_open(&places.here);
    *state = &places;
    return 0;
}

static int close_places(void **state)
{
    two_places *p = *state;
    tfn_online_close(p->online);
    folder_remove(&p->here);
    store_remove(p->there.root);
    remove_in(p->there.root, "backup.json");
    (void)rmdir(p->there.root);
    return 0;
}

static tfn_code back_up(two_places *p, tfn_online_copy *views, size_t n, tfn_online_watch watch,
                        tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_online_write_backup(p->online, p->there.root, text("p"), views, n,
                                                watch, p->hash, &p->n_bytes, err));
    return tfn_backup_folder_seal(p->there.root, text("{}"), err);
}

static tfn_code bring_back(two_places *p, tfn_online_copy *views, size_t n, tfn_online_watch watch,
                           tfn_error *err)
{
    return tfn_online_read_backup(p->online, p->there.root, text("p"), views, n, watch, NULL, NULL,
                                  err);
}

static void live_rows_of_the_views_come_back_and_nothing_else(void **state)
{
    two_places *p = *state;
    tfn_error err = {0};
    tfn_arena arena = {0};
    fill(p->online, "v", 0, 1000, 1, 50);
    load(p->online, "v", 0, 1000, 2, 60);
    fill(p->online, "w", 0, 20, 5, 50);
    fill(p->online, "x", 0, 30, 6, 50);
    ASSERT_OK(fill_rows(p->online, "q", "v", TFN_ONLINE_PUSH, 0, 7, 9, 1, &err), err);
    tfn_online_copy views[3] = {{.view = text("w")}, {.view = text("v")}, {.view = text("none")}};
    ASSERT_OK(back_up(p, views, 3, no_watch, &err), err);
    assert_int_equal(views[0].n_rows, 20);
    assert_int_equal(views[1].n_rows, 1000);
    assert_false(views[2].is_known);
    ASSERT_OK(tfn_online_check_backup(p->there.root, p->hash, p->n_bytes, no_watch, &err), err);

    fill(p->online, "v", 0, 1010, 3, 70);
    fill(p->online, "w", 0, 1, 7, 70);
    ASSERT_OK(bring_back(p, views, 2, no_watch, &err), err);
    assert_int_equal(views[1].n_rows, 1000);
    assert_int_equal(views[1].n_replaced, 1010);
    assert_int_equal(value_of(p->online, "v", 999), 2);
    assert_int_equal(value_of(p->online, "v", 1009), NO_ROW);
    assert_int_equal(value_of(p->online, "w", 0), 5);
    assert_int_equal(value_of(p->online, "x", 29), 6);
    assert_int_equal(rows_of(p->online, "v"), 1000);
    const tfn_online_census census = census_of(p->online, &arena);
    assert_int_equal(census.n_orphans, 0);
    assert_int_equal(census.n_views, 4);
    tfn_arena_deinit(&arena);
}

/* The schemas of the two stores have other numbers. */
static void rows_follow_their_schemas(void **state)
{
    two_places *p = *state;
    tfn_error err = {0};
    const tfn_row_field other[1] = {{{"value", 5}, {.kind = TFN_KIND_FLOAT64}}};
    const tfn_online_view where = {.project = text("p"), .name = text("first")};
    tfn_online_write *w = NULL;
    char key[9];
    const tfn_cell cell = {.bits = 0};
    ASSERT_OK(tfn_online_begin_write(p->online, &where, other, 1, TFN_ONLINE_PUSH, 1, &w, &err),
              err);
    ASSERT_OK(tfn_online_put(w, key_of(1, key), &cell, at(1), no_time, &err), err);
    ASSERT_OK(tfn_online_commit(w, NULL, &err), err); /* schema 1 here */
    fill(p->online, "v", 0, 10, 1, 50);               /* schema 2 here, 1 in the backup */
    tfn_online_copy view = {.view = text("v")};
    ASSERT_OK(back_up(p, &view, 1, no_watch, &err), err);
    ASSERT_OK(bring_back(p, &view, 1, no_watch, &err), err);
    assert_int_equal(value_of(p->online, "v", 9), 1);
}

/* Called by a restore once its rows are loaded: writers go on. */
static tfn_code push_meanwhile(void *context, tfn_error *err)
{
    two_places *p = context;
    tfn_online_write *w = NULL;
    char key[9];
    const tfn_online_view where = {.project = text("p"), .name = text("v")};
    TFN_RETURN_IF_ERROR(fill_rows(p->online, "p", "v", TFN_ONLINE_PUSH, 1, 3, 33, 90, err));
    TFN_RETURN_IF_ERROR(
        fill_rows(p->online, "p", "v", TFN_ONLINE_PUSH, 3, 4, 44, 10, err)); /* older */
    TFN_RETURN_IF_ERROR(
        tfn_online_begin_write(p->online, &where, NULL, 0, TFN_ONLINE_PUSH, 1, &w, err));
    TFN_RETURN_IF_ERROR(tfn_online_delete(w, key_of(5, key), err));
    return tfn_online_commit(w, NULL, err);
}

static void what_is_pushed_meanwhile_is_done_to_the_restored_rows(void **state)
{
    two_places *p = *state;
    tfn_error err = {0};
    fill(p->online, "v", 0, 1000, 1, 50);
    tfn_online_copy view = {.view = text("v")};
    ASSERT_OK(back_up(p, &view, 1, no_watch, &err), err);
    fill(p->online, "v", 0, 1000, 2, 60);
    ASSERT_OK(tfn_online_read_backup(p->online, p->there.root, text("p"), &view, 1, no_watch,
                                     push_meanwhile, p, &err),
              err);
    assert_int_equal(value_of(p->online, "v", 0), 1);
    assert_int_equal(value_of(p->online, "v", 1), 33);
    assert_int_equal(value_of(p->online, "v", 3), 1); /* the push was older than the backup's row */
    assert_int_equal(value_of(p->online, "v", 5), NO_ROW);
    assert_int_equal(rows_of(p->online, "v"), 999);
}

static void a_rollback_returns_to_what_was_replaced(void **state)
{
    two_places *p = *state;
    tfn_error err = {0};
    tfn_online_rolled_back back = {0};
    fill(p->online, "v", 0, 100, 1, 50);
    tfn_online_copy view = {.view = text("v")};
    ASSERT_OK(back_up(p, &view, 1, no_watch, &err), err);
    fill(p->online, "v", 0, 100, 2, 60);
    ASSERT_OK(bring_back(p, &view, 1, no_watch, &err), err);
    ASSERT_OK(tfn_online_rollback(p->online, text("p"), text("v"), (tfn_str){0}, TFN_ONLINE_REPLAY,
                                  &back, &err),
              err);
    assert_int_equal(value_of(p->online, "v", 99), 2);
}

static tfn_code refuse(void *context, tfn_error *err)
{
    (void)context;
    return TFN_FAIL(err, TFN_IO, "not now");
}

static void a_restore_that_fails_or_is_stopped_changes_nothing(void **state)
{
    two_places *p = *state;
    tfn_error err = {0};
    tfn_arena arena = {0};
    fill(p->online, "v", 0, 40000, 1, 50);
    tfn_online_copy views[2] = {{.view = text("v")}, {.view = text("none")}};
    ASSERT_OK(back_up(p, views, 1, no_watch, &err), err);
    fill(p->online, "v", 0, 10, 2, 60);
    for (int calls = 1; calls <= 3; calls++) {
        int left = calls;
        const tfn_online_watch watch = {stop_at, &left};
        ASSERT_FAILS(bring_back(p, views, 1, watch, &err), TFN_CANCELLED, "nothing was changed",
                     err);
    }
    ASSERT_FAILS(tfn_online_read_backup(p->online, p->there.root, text("p"), views, 1, no_watch,
                                        refuse, NULL, &err),
                 TFN_IO, "not now", err);
    ASSERT_FAILS(bring_back(p, views, 2, no_watch, &err), TFN_CORRUPT,
                 "the backup has no rows of view 'none'", err);
    assert_int_equal(value_of(p->online, "v", 0), 2);
    assert_int_equal(rows_of(p->online, "v"), 40000);
    const tfn_online_census census = census_of(p->online, &arena);
    assert_int_equal(census.n_orphans, 0);
    assert_int_equal(census.views[0].building_generation, 0);
    assert_int_equal(census.views[0].previous_generation, 0);
    ASSERT_OK(bring_back(p, views, 1, no_watch, &err), err);
    assert_int_equal(value_of(p->online, "v", 0), 1);
    tfn_arena_deinit(&arena);
}

static void a_store_is_no_backup_of_itself(void **state)
{
    two_places *p = *state;
    tfn_error err = {0};
    fill(p->online, "v", 0, 10, 1, 50);
    tfn_online_copy view = {.view = text("v")};
    ASSERT_FAILS(tfn_online_read_backup(p->online, p->here.store, text("p"), &view, 1, no_watch,
                                        NULL, NULL, &err),
                 TFN_INVALID, "is the online store itself", err);
}

static void a_stopped_backup_leaves_nothing(void **state)
{
    two_places *p = *state;
    tfn_error err = {0};
    fill(p->online, "v", 0, 10, 1, 50);
    tfn_online_copy view = {.view = text("v")};
    int left = 1;
    const tfn_online_watch watch = {stop_at, &left};
    ASSERT_FAILS(back_up(p, &view, 1, watch, &err), TFN_CANCELLED, "nothing is left of it", err);
    bool is_made = true;
    int lock = -1;
    ASSERT_OK(tfn_backup_folder_make(p->there.root, &is_made, &lock, &err), err); /* it is empty */
    tfn_backup_folder_unlock(lock);
    assert_false(is_made);
}

static void a_second_backup_to_one_folder_is_refused(void **state)
{
    two_places *p = *state;
    tfn_error err = {0};
    bool is_made = false;
    int lock = -1;
    int second = -1;
    char file[420];
    ASSERT_OK(tfn_backup_folder_make(p->there.root, &is_made, &lock, &err), err);
    (void)snprintf(file, sizeof file, "%s/.new-backup.json", p->there.root);
    write_file(file, "{}", 2); /* the first one is being sealed: to a look, as if it was killed */
    ASSERT_FAILS(tfn_backup_folder_make(p->there.root, &is_made, &second, &err), TFN_CONFLICT,
                 "another backup is being written to folder", err);
    assert_int_equal(second, -1);
    assert_int_equal(access(file, F_OK), 0);
    tfn_backup_folder_unlock(lock);
    ASSERT_OK(tfn_backup_folder_make(p->there.root, &is_made, &second, &err), err);
    assert_int_not_equal(access(file, F_OK), 0); /* now it was */
    tfn_backup_folder_unlock(second);
}

/* A child of a fork inherits the descriptor. */
static void a_lock_ends_though_a_child_has_it(void **state)
{
    two_places *p = *state;
    tfn_error err = {0};
    bool is_made = false;
    int lock = -1;
    ASSERT_OK(tfn_backup_folder_make(p->there.root, &is_made, &lock, &err), err);
    const int inherited = dup(lock);
    tfn_backup_folder_unlock(lock);
    ASSERT_OK(tfn_backup_folder_make(p->there.root, &is_made, &lock, &err), err);
    tfn_backup_folder_unlock(lock);
    (void)close(inherited);
}

static void a_folder_is_sealed_once_and_read_back(void **state)
{
    two_places *p = *state;
    tfn_error err = {0};
    tfn_buf text_read = {0};
    bool is_made = false;
    int lock = -1;
    char deep[400];
    (void)snprintf(deep, sizeof deep, "%s/a", p->there.root);
    fill(p->online, "v", 0, 1, 1, 50);
    char file[420];
    (void)snprintf(file, sizeof file, "%s/" TFN_BACKUP_NEW_DATA, deep);
    ASSERT_FAILS(tfn_backup_folder_read(deep, &text_read, &err), TFN_NOT_FOUND,
                 "there is no backup at", err);
    ASSERT_OK(tfn_backup_folder_make(deep, &is_made, &lock, &err), err);
    assert_true(is_made);
    tfn_backup_folder_unlock(lock);
    ASSERT_FAILS(tfn_backup_folder_seal(deep, text("{}"), &err), TFN_IO, "cannot be made", err);
    write_file(file, "rows", 4);
    ASSERT_OK(tfn_backup_folder_seal(deep, text("{}"), &err), err);
    ASSERT_OK(tfn_backup_folder_read(deep, &text_read, &err), err);
    assert_true(tfn_str_is(tfn_buf_get_str(&text_read), "{}"));
    ASSERT_FAILS(tfn_backup_folder_make(deep, &is_made, &lock, &err), TFN_INVALID,
                 "; name a folder", err);
    (void)snprintf(file, sizeof file, "%s/backup.json", deep);
    assert_int_equal(unlink(file), 0); /* data.mdb alone may be somebody's store */
    ASSERT_FAILS(tfn_backup_folder_make(deep, &is_made, &lock, &err), TFN_INVALID,
                 "holds 'data.mdb'", err);
    (void)snprintf(file, sizeof file, "%s/.new-backup.json", deep);
    write_file(file, "{}", 2); /* but not beside this */
    ASSERT_OK(tfn_backup_folder_make(deep, &is_made, &lock, &err), err);
    assert_false(is_made);
    tfn_backup_folder_clear(deep, true);
    tfn_backup_folder_unlock(lock);
    ASSERT_OK(tfn_backup_folder_make(p->there.root, &is_made, &lock, &err), err);
    tfn_backup_folder_unlock(lock);
    ASSERT_FAILS(tfn_backup_folder_make("", &is_made, &lock, &err), TFN_INVALID, "has no name",
                 err);
    tfn_buf_deinit(&text_read);
}

#define IN_PLACES(test) cmocka_unit_test_setup_teardown(test, open_places, close_places)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACES(live_rows_of_the_views_come_back_and_nothing_else),
        IN_PLACES(rows_follow_their_schemas),
        IN_PLACES(what_is_pushed_meanwhile_is_done_to_the_restored_rows),
        IN_PLACES(a_rollback_returns_to_what_was_replaced),
        IN_PLACES(a_restore_that_fails_or_is_stopped_changes_nothing),
        IN_PLACES(a_store_is_no_backup_of_itself),
        IN_PLACES(a_stopped_backup_leaves_nothing),
        IN_PLACES(a_second_backup_to_one_folder_is_refused),
        IN_PLACES(a_lock_ends_though_a_child_has_it),
        IN_PLACES(a_folder_is_sealed_once_and_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
