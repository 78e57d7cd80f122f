/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* What a backup says of watermarks. (Its rows: test_online_lmdb_backup.c, test_online_admin.py) */

#include "unit/store_fixture.h"

#include "store/backup.c"

static const tfn_watermark watermark = {.start = {.seconds = STORE_T0_S},
                                        .end = {.seconds = STORE_T0_S + 9},
                                        .created_bound = {.seconds = STORE_T0_S}};

static int setup(void **state)
{
    static store_fixture f;
    store_setup(&f);
    store_open(&f, TFN_ONLINE_TTL_IGNORE);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    store_teardown(*state);
    return 0;
}

/* As a materialization: one row, in a generation of its own. */
static void load(tfn_online *online, int64_t event_s)
{
    const tfn_online_view view = {.project = tfn_str_of("fleet"),
                                  .name = tfn_str_of("plane_facts")};
    const tfn_row_field field = {{"age", 3}, {.kind = TFN_KIND_INT64}};
    const tfn_cell cell = {.bits = 1};
    tfn_online_write *write = NULL;
    assert_ok(tfn_online_begin_write(online, &view, &field, 1, TFN_ONLINE_LOAD, 1, &write, err));
    assert_ok(tfn_online_put(write, tfn_str_of("key"), &cell, (tfn_instant){.seconds = event_s},
                             TFN_INSTANT_NONE, err));
    assert_ok(tfn_online_commit(write, NULL, err));
}

/* Back up a view of two generations; between its watermark and its rows, it is rolled back. */
static void back_up(store_fixture *f, bool is_rolled_back, bool *has_watermark)
{
    char folder[80];
    bool is_made = false;
    int lock = -1;
    tfn_registry *registry = NULL;
    tfn_online *online = NULL;
    tfn_online_rolled_back done;
    const tfn_online_watch no_watch = {NULL, NULL};
    const tfn_str project = tfn_str_of("fleet");
    const tfn_str view = tfn_str_of("plane_facts");
    (void)snprintf(folder, sizeof folder, "%s/backup", f->folder);
    backup_run run = {.store = f->store, .folder = folder};
    assert_ok(tfn__store_get_registry(f->store, &registry, err));
    assert_ok(tfn__store_get_online(f->store, &online, err));
    load(online, 1);
    load(online, 2);
    assert_ok(tfn_registry_set_watermark(registry, project, view, &watermark, NULL, err));
    assert_ok(tfn__store_get_snapshot(f->store, TFN_FRESH, &run.snapshot, err));
    assert_ok(choose_views(&run, online, err));
    if (is_rolled_back) {
        assert_ok(tfn_online_rollback(online, project, view, (tfn_str){0}, TFN_ONLINE_REPLAY, &done,
                                      err));
    }
    assert_ok(tfn_backup_folder_make(folder, &is_made, &lock, err));
    assert_ok(write_folder(&run, online, no_watch, err));
    tfn_backup_folder_unlock(lock);
    *has_watermark = false;
    for (size_t i = 0; i < run.n_views; i++) {
        *has_watermark = *has_watermark || run.has_watermark[i];
    }
    tfn_json_destroy(run.doc);
    tfn_snapshot_release(run.snapshot);
    tfn_arena_deinit(&run.arena);
}

static void a_watermark_is_kept_with_its_rows(void **state)
{
    bool has_watermark = false;
    back_up(*state, false, &has_watermark);
    assert_true(has_watermark);
}

static void a_watermark_of_rows_that_were_taken_back_is_not_kept(void **state)
{
    bool has_watermark = true;
    back_up(*state, true, &has_watermark);
    assert_false(has_watermark);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_watermark_is_kept_with_its_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(a_watermark_of_rows_that_were_taken_back_is_not_kept, setup,
                                        teardown),
    };
    return cmocka_run_group_tests_name("store_backup", tests, NULL, NULL);
}
