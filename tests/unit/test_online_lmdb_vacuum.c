/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/online_fixture.h"

#include "online/lmdb_vacuum.c"
#include "unit/online_admin_fixture.h"

static test_folder folder;

static int open_store(void **state)
{
    folder_make(&folder);
    *state = engine_open(&folder);
    return 0;
}

static int close_store(void **state)
{
    tfn_online_close(*state);
    folder_remove(&folder);
    return 0;
}

/* Views named in `orphans` are orphans of "p"; others keep rows from `keep_from_s` on. */
typedef struct rules {
    tfn_online *online;
    const char *orphan;
    int64_t keep_from_s;
    int n_calls;
    int defined_at; /* the call from which on the orphan is defined again; 0: never */
} rules;

static tfn_code judge(void *context, tfn_str project, tfn_str view, tfn_online_verdict *out,
                      tfn_error *err)
{
    rules *r = context;
    (void)err;
    r->n_calls++;
    *out = (tfn_online_verdict){.keep_from = TFN_INSTANT_NONE};
    if (!tfn_str_is(project, "p")) {
        out->is_kept = true;
        return TFN_OK;
    }
    const bool is_defined = r->defined_at != 0 && r->n_calls >= r->defined_at;
    out->is_orphan = r->orphan != NULL && tfn_str_is(view, r->orphan) && !is_defined;
    if (r->keep_from_s != 0) {
        out->keep_from = at(r->keep_from_s);
    }
    return TFN_OK;
}

static tfn_online_vacuumed vacuum_with(rules *r, bool is_dry_run, bool drops_previous,
                                       tfn_arena *arena)
{
    tfn_error err = {0};
    tfn_online_vacuumed out = {0};
    const tfn_online_vacuum vacuum = {.judge = judge,
                                      .judge_context = r,
                                      .is_dry_run = is_dry_run,
                                      .drops_previous = drops_previous};
    ASSERT_OK(tfn_online_run_vacuum(r->online, &vacuum, arena, &out, &err), err);
    return out;
}

static void an_empty_place_has_nothing_to_vacuum(void **state)
{
    tfn_arena arena = {0};
    rules r = {.online = *state};
    assert_int_equal(vacuum_with(&r, false, true, &arena).n_views, 0);
    tfn_arena_deinit(&arena);
    fill(*state, "v", 0, 1, 1, 1);
}

static void expired_rows_go_and_others_stay(void **state)
{
    tfn_arena arena = {0};
    fill(*state, "v", 0, 10000, 1, 50); /* more than one transaction of them */
    fill(*state, "v", 10000, 10100, 2, 100);
    fill(*state, "v", 20000, 20010, 3, 99);
    rules r = {.online = *state, .keep_from_s = 100};
    assert_int_equal(vacuum_with(&r, true, false, &arena).views[0].n_expired, 10010);
    assert_int_equal(rows_of(*state, "v"), 10110);
    assert_int_equal(vacuum_with(&r, false, false, &arena).views[0].n_expired, 10010);
    assert_int_equal(rows_of(*state, "v"), 100);
    assert_int_equal(value_of(*state, "v", 0), NO_ROW);
    assert_int_equal(value_of(*state, "v", 20009), NO_ROW);
    assert_int_equal(value_of(*state, "v", 10099), 2);
    assert_int_equal(vacuum_with(&r, false, false, &arena).views[0].n_expired, 0);
    assert_int_equal(census_of(*state, &arena).views[0].live.n_rows, 100);
    tfn_arena_deinit(&arena);
}

static void an_expired_row_that_was_pushed_since_stays(void **state)
{
    tfn_error err = {0};
    tfn_arena arena = {0};
    key_list keys = {0};
    uint32_t generation = 0;
    uint64_t n_rows = 0;
    rules r = {.online = *state, .keep_from_s = 100};
    const tfn_online_vacuum vacuum = {.judge = judge, .judge_context = &r};
    tfn_online_vacuumed out = {0};
    vacuum_run run = {.online = *state, .vacuum = &vacuum, .arena = &arena, .out = &out};
    const tfn__named_view view = {.project = text("p"), .view = text("v")};
    fill(*state, "v", 0, 10, 1, 50);
    ASSERT_OK(tfn__lmdb_engine_get(*state, TFN_ONLINE_WRITE, &run.lmdb, &err), err);
    ASSERT_OK(find_expired(&run, &view, at(100), &generation, &keys, &err), err);
    assert_int_equal(keys.n, 10);
    fill(*state, "v", 3, 4, 2, 200); /* now, before they are removed */
    ASSERT_OK(remove_expired(&run, &view, generation, at(100), &keys, &n_rows, &err), err);
    assert_int_equal(n_rows, 9);
    assert_int_equal(value_of(*state, "v", 3), 2);
    assert_int_equal(rows_of(*state, "v"), 1);
    tfn_buf_deinit(&keys.bytes);
    tfn_buf_deinit(&keys.last);
    tfn_arena_deinit(&arena);
}

static void orphans_go_whole_and_other_projects_stay(void **state)
{
    tfn_error err = {0};
    tfn_arena arena = {0};
    fill(*state, "gone", 0, 100, 1, 50);
    load(*state, "gone", 0, 120, 2, 60);
    fill(*state, "v", 0, 5, 1, 50);
    ASSERT_OK(fill_rows(*state, "q", "gone", TFN_ONLINE_PUSH, 0, 7, 1, 1, &err), err);
    rules r = {.online = *state, .orphan = "gone"};
    tfn_online_vacuumed done = vacuum_with(&r, true, false, &arena);
    assert_int_equal(done.n_views, 2);
    assert_true(done.views[0].is_orphan);
    assert_int_equal(done.views[0].n_orphaned, 120);
    assert_int_equal(done.views[0].n_previous, 100);
    assert_int_equal(done.n_unnamed, 0);
    assert_int_equal(rows_of(*state, "gone"), 120);
    done = vacuum_with(&r, false, false, &arena);
    assert_int_equal(done.views[0].n_orphaned, 120);
    assert_int_equal(done.views[0].n_previous, 100);
    assert_int_equal(done.n_unnamed, 0);
    const tfn_online_census census = census_of(*state, &arena);
    assert_int_equal(census.n_views, 2);
    assert_int_equal(census.n_orphans, 0);
    assert_int_equal(census.views[0].live.n_rows + census.views[1].live.n_rows, 12);
    tfn_arena_deinit(&arena);
}

static void an_orphan_that_is_defined_again_meanwhile_stays(void **state)
{
    tfn_arena arena = {0};
    fill(*state, "gone", 0, 100, 1, 50);
    rules r = {.online = *state, .orphan = "gone", .defined_at = 2};
    const tfn_online_vacuumed done = vacuum_with(&r, false, false, &arena);
    assert_false(done.views[0].is_orphan);
    assert_int_equal(done.views[0].n_orphaned, 0);
    assert_int_equal(rows_of(*state, "gone"), 100);
    tfn_arena_deinit(&arena);
}

static void previous_generations_go_when_asked_for(void **state)
{
    tfn_arena arena = {0};
    fill(*state, "v", 0, 100, 1, 50);
    load(*state, "v", 0, 100, 2, 60);
    rules r = {.online = *state};
    assert_int_equal(vacuum_with(&r, false, false, &arena).views[0].n_previous, 0);
    assert_int_equal(vacuum_with(&r, true, true, &arena).views[0].n_previous, 100);
    assert_int_equal(census_of(*state, &arena).views[0].previous.n_rows, 100);
    assert_int_equal(vacuum_with(&r, false, true, &arena).views[0].n_previous, 100);
    const tfn_online_census census = census_of(*state, &arena);
    assert_int_equal(census.views[0].previous_generation, 0);
    assert_int_equal(census.n_orphans, 0);
    assert_int_equal(value_of(*state, "v", 99), 2);
    tfn_arena_deinit(&arena);
}

static void dead_builds_go_and_living_ones_stay(void **state)
{
    tfn_error err = {0};
    tfn_arena arena = {0};
    tfn_lmdb *lmdb = NULL;
    tfn_lmdb_env *env = NULL;
    MDB_txn *txn = NULL;
    tfn__view record = {0};
    tfn__turn turn = {0};
    fill(*state, "v", 0, 10, 1, 50);
    fill(*state, "w", 0, 20, 1, 50);
    ASSERT_OK(tfn__lmdb_engine_get(*state, TFN_ONLINE_WRITE, &lmdb, &err), err);
    ASSERT_OK(tfn__write_begin_txn(lmdb, &env, &txn, &err), err);
    ASSERT_OK(tfn__view_get(env, txn, text("p"), text("w"), &record, &err), err);
    const uint32_t built = record.generation;
    ASSERT_OK(tfn__view_remove(env, txn, text("p"), text("w"), &err), err);
    ASSERT_OK(tfn__view_get(env, txn, text("p"), text("v"), &record, &err), err);
    record.building_generation = built; /* w's rows, as if they were loaded for v */
    ASSERT_OK(tfn__view_put(env, txn, text("p"), text("v"), &record, &err), err);
    assert_int_equal(mdb_txn_commit(txn), 0);

    rules r = {.online = *state};
    ASSERT_OK(tfn__turn_begin(lmdb->path, TFN__TURN_LOAD, text("p"), text("v"), true, &turn, &err),
              err);
    assert_int_equal(vacuum_with(&r, true, false, &arena).n_unnamed, 0);
    assert_int_equal(vacuum_with(&r, false, false, &arena).n_unnamed, 0);
    assert_int_equal(census_of(*state, &arena).views[0].building.n_rows, 20);
    tfn__turn_end(&turn);
    assert_int_equal(vacuum_with(&r, true, false, &arena).n_unnamed, 20);
    assert_int_equal(vacuum_with(&r, false, false, &arena).n_unnamed, 20);
    assert_int_equal(census_of(*state, &arena).views[0].building_generation, 0);
    tfn_arena_deinit(&arena);
}

static void a_stopped_vacuum_can_be_done_again(void **state)
{
    tfn_error err = {0};
    tfn_arena arena = {0};
    tfn_online_vacuumed out = {0};
    rules r = {.online = *state, .keep_from_s = 100};
    int left = 2;
    const tfn_online_vacuum vacuum = {
        .judge = judge, .judge_context = &r, .watch = {stop_at, &left}};
    fill(*state, "v", 0, 10000, 1, 50);
    ASSERT_FAILS(tfn_online_run_vacuum(*state, &vacuum, &arena, &out, &err), TFN_CANCELLED,
                 "what was removed until then stays removed", err);
    assert_int_equal(out.views[0].n_expired, EXPIRE_ROWS);
    assert_int_equal(rows_of(*state, "v"), 10000 - EXPIRE_ROWS);
    assert_int_equal(vacuum_with(&r, false, false, &arena).views[0].n_expired, 10000 - EXPIRE_ROWS);
    tfn_arena_deinit(&arena);
}

#define IN_STORE(test) cmocka_unit_test_setup_teardown(test, open_store, close_store)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_STORE(an_empty_place_has_nothing_to_vacuum),
        IN_STORE(expired_rows_go_and_others_stay),
        IN_STORE(an_expired_row_that_was_pushed_since_stays),
        IN_STORE(orphans_go_whole_and_other_projects_stay),
        IN_STORE(an_orphan_that_is_defined_again_meanwhile_stays),
        IN_STORE(previous_generations_go_when_asked_for),
        IN_STORE(dead_builds_go_and_living_ones_stay),
        IN_STORE(a_stopped_vacuum_can_be_done_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
