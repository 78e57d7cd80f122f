/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Rules of docs/semantics/generations.md, one test each. Batches are small, so that a load of a few
 * rows takes many transactions. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "unit/online_fixture.h"

/* What another process does just before a load in place gets the write lock. */
static void (*before_write)(tfn_lmdb *online);

static tfn_code begin_write_late(tfn_lmdb *online, tfn_str project, tfn_str view,
                                 const tfn_row_field *fields, size_t n_fields, tfn_lmdb_write **out,
                                 tfn_error *err)
{
    if (before_write != NULL) {
        before_write(online);
    }
    return tfn_lmdb_begin_write(online, project, view, fields, n_fields, out, err);
}

#define TFN_BUILD_BATCH_BYTES ((size_t)400)
#define TFN_LOAD_MAX_IN_PLACE_ROWS 20
#include "online/lmdb_build.c"
#define tfn_lmdb_begin_write begin_write_late
#include "online/lmdb_load.c"
#undef tfn_lmdb_begin_write

typedef struct fixture {
    test_folder folder;
    tfn_lmdb *online;
} fixture;

static int set_up(void **state)
{
    static fixture f;
    before_write = NULL;
    folder_make(&f.folder);
    f.online = store_open(&f.folder, TFN_ONLINE_WRITE);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    tfn_lmdb_close(f->online);
    folder_remove(&f->folder);
    return 0;
}

static tfn_lmdb_load *load_begin(tfn_lmdb *online, const char *view, uint64_t n_rows)
{
    tfn_error err = {0};
    tfn_lmdb_load *l = NULL;
    ASSERT_OK(tfn_lmdb_load_begin(online, text("p"), text(view), two_fields, 2, n_rows, &l, &err),
              err);
    return l;
}

static tfn_online_outcome load_put(tfn_lmdb_load *l, int64_t id, int64_t value, tfn_instant event)
{
    tfn_error err = {0};
    tfn_online_outcome outcome = TFN_ONLINE_WRITTEN;
    char key[9];
    const tfn_cell cells[2] = {{.bits = (uint64_t)value}, {.bytes = tfn_str_of("a label")}};
    ASSERT_OK(tfn_lmdb_load_put(l, key_of(id, key), cells, event, no_time, &outcome, &err), err);
    return outcome;
}

static void load_commit(tfn_lmdb_load *l)
{
    tfn_error err = {0};
    ASSERT_OK(tfn_lmdb_load_commit(l, &err), err);
}

/* Rows first .. first + n - 1 of one value. */
static void load_rows(tfn_lmdb *online, const char *view, int64_t first, int64_t n, int64_t value,
                      tfn_instant event)
{
    tfn_lmdb_load *l = load_begin(online, view, (uint64_t)n);
    for (int64_t id = first; id < first + n; id++) {
        (void)load_put(l, id, value, event);
    }
    load_commit(l);
}

static uint32_t live_now(tfn_lmdb *online, const char *view)
{
    tfn_lmdb_read read = read_begin(online);
    const uint32_t generation = live(&read, view);
    tfn_lmdb_end_read(&read);
    return generation;
}

static tfn_online_previous previous_now(tfn_lmdb *online, const char *view)
{
    tfn_error err = {0};
    tfn_online_previous previous;
    tfn_lmdb_read read = read_begin(online);
    ASSERT_OK(tfn_lmdb_get_previous(&read, text("p"), text(view), &previous, &err), err);
    tfn_lmdb_end_read(&read);
    return previous;
}

static tfn_online_rolled_back roll_back(tfn_lmdb *online, const char *view,
                                        tfn_online_pushes pushes)
{
    tfn_error err = {0};
    tfn_online_rolled_back done;
    ASSERT_OK(tfn_lmdb_rollback(online, text("p"), text(view), text("later"), pushes, &done, &err),
              err);
    return done;
}

/* Rows in the file, of whatever generation. */
static size_t rows_in_file(tfn_lmdb *online)
{
    MDB_stat stat_rows;
    tfn_lmdb_read read = read_begin(online);
    assert_int_equal(mdb_stat(read.txn, read.env->rows, &stat_rows), 0);
    tfn_lmdb_end_read(&read);
    return stat_rows.ms_entries;
}

static void delete_key(tfn_lmdb *online, const char *view, int64_t id)
{
    tfn_error err = {0};
    char key[9];
    tfn_lmdb_write *w = write_begin(online, view);
    ASSERT_OK(tfn_lmdb_delete(w, key_of(id, key), NULL, &err), err);
    commit(w);
}

/* Number of commits that the file has seen. */
static size_t n_commits(tfn_lmdb *online)
{
    MDB_envinfo info;
    assert_int_equal(mdb_env_info(atomic_load(&online->env)->lmdb, &info), 0);
    return info.me_last_txnid;
}

/* ---- building ---- */

static void a_first_load_is_one_generation(void **state)
{
    fixture *f = *state;
    tfn_lmdb_load *l = load_begin(f->online, "v", 100);
    for (int64_t id = 0; id < 100; id++) {
        assert_int_equal(load_put(l, id, 7, at(1)), TFN_ONLINE_WRITTEN);
        assert_int_equal(live_now(f->online, "v"), 0); /* nothing is seen before the end */
    }
    load_commit(l);
    assert_int_equal(count_now(f->online, "v"), 100);
    assert_int_equal(value_now(f->online, "v", 99), 7);
    assert_int_equal(previous_now(f->online, "v").generation, 0);
}

static void an_empty_load_makes_a_view_known(void **state)
{
    fixture *f = *state;
    load_commit(load_begin(f->online, "v", 0));
    assert_true(live_now(f->online, "v") != 0);
    assert_int_equal(count_now(f->online, "v"), 0);
}

static void a_load_under_a_tenth_stays_in_its_generation(void **state)
{
    fixture *f = *state;
    load_rows(f->online, "v", 0, 100, 1, at(1));
    const uint32_t before = live_now(f->online, "v");
    load_rows(f->online, "v", 0, 9, 2, at(2));
    assert_int_equal(live_now(f->online, "v"), before);
    assert_int_equal(value_now(f->online, "v", 8), 2);
    load_rows(f->online, "v", 0, 10, 3, at(3));
    assert_true(live_now(f->online, "v") > before);
    assert_int_equal(value_now(f->online, "v", 9), 3);
    assert_int_equal(value_now(f->online, "v", 10), 1);
    assert_int_equal(count_now(f->online, "v"), 100);
}

static void a_load_of_many_rows_is_built_though_under_a_tenth(void **state)
{
    fixture *f = *state;
    load_rows(f->online, "v", 0, 300, 1, at(1));
    const uint32_t before = live_now(f->online, "v");
    load_rows(f->online, "v", 0, TFN_LOAD_MAX_IN_PLACE_ROWS, 2, at(2));
    assert_int_equal(live_now(f->online, "v"), before);
    load_rows(f->online, "v", 0, TFN_LOAD_MAX_IN_PLACE_ROWS + 1, 3, at(3));
    assert_true(live_now(f->online, "v") > before);
    assert_int_equal(count_now(f->online, "v"), 300);
    assert_int_equal(value_now(f->online, "v", TFN_LOAD_MAX_IN_PLACE_ROWS), 3);
}

static void keys_outside_of_a_load_stay(void **state)
{
    fixture *f = *state;
    load_rows(f->online, "v", 0, 50, 1, at(1));
    load_rows(f->online, "v", 25, 50, 2, at(2));
    assert_int_equal(count_now(f->online, "v"), 75);
    assert_int_equal(value_now(f->online, "v", 24), 1);
    assert_int_equal(value_now(f->online, "v", 25), 2);
    assert_int_equal(value_now(f->online, "v", 74), 2);
}

static void rows_of_a_load_follow_the_write_rule(void **state)
{
    fixture *f = *state;
    load_rows(f->online, "v", 0, 20, 1, at(5));
    tfn_lmdb_load *l = load_begin(f->online, "v", 4);
    assert_int_equal(load_put(l, 0, 1, at(5)), TFN_ONLINE_SAME);
    assert_int_equal(load_put(l, 1, 2, at(4)), TFN_ONLINE_OLDER);
    assert_int_equal(load_put(l, 2, 3, at(5)), TFN_ONLINE_WRITTEN); /* the later of an equal pair */
    assert_int_equal(load_put(l, 3, 4, at(6)), TFN_ONLINE_WRITTEN);
    const tfn_online_stats stats = tfn_lmdb_load_get_stats(l);
    load_commit(l);
    assert_int_equal(stats.n_written, 2);
    assert_int_equal(stats.n_older, 1);
    assert_int_equal(stats.n_same, 1);
    const int64_t expected[] = {1, 1, 3, 4, 1};
    for (int64_t id = 0; id < 5; id++) {
        assert_int_equal(value_now(f->online, "v", id), expected[id]);
    }
}

static void a_load_that_changes_nothing_leaves_the_file_as_it_is(void **state)
{
    fixture *f = *state;
    load_rows(f->online, "v", 0, 100, 1, at(5));
    load_rows(f->online, "v", 0, 100, 2, at(6));
    const uint32_t before = live_now(f->online, "v");
    MDB_envinfo info[2];
    assert_int_equal(mdb_env_info(atomic_load(&f->online->env)->lmdb, &info[0]), 0);
    load_rows(f->online, "v", 0, 100, 2, at(6));
    load_rows(f->online, "v", 0, 100, 9, at(4));
    load_rows(f->online, "v", 0, 5, 2, at(6)); /* in place */
    assert_int_equal(mdb_env_info(atomic_load(&f->online->env)->lmdb, &info[1]), 0);
    assert_int_equal(info[1].me_last_txnid, info[0].me_last_txnid);
    assert_int_equal(live_now(f->online, "v"), before);
    assert_true(previous_now(f->online, "v").generation != 0);
}

static void rows_in_any_order_and_under_long_keys_are_loaded(void **state)
{
    fixture *f = *state;
    tfn_error err = {0};
    char key[2][500];
    for (int round = 1; round <= 2; round++) {
        tfn_lmdb_load *l = load_begin(f->online, "v", 60);
        for (int64_t i = 0; i < 60; i++) {
            const int64_t id = i * 37 % 60;
            memset(key[0], 'k', sizeof key[0]);
            key[0][0] = TFN_KIND_STRING;
            key[0][1] = (char)('0' + id);
            const tfn_str bytes = {key[0], id % 3 == 0 ? sizeof key[0] : 10};
            const tfn_cell cells[2] = {{.bits = (uint64_t)(id + round)}, {.is_null = true}};
            ASSERT_OK(tfn_lmdb_load_put(l, bytes, cells, at(round), no_time, NULL, &err), err);
        }
        load_commit(l);
        assert_int_equal(count_now(f->online, "v"), 60);
    }
    tfn_lmdb_read read = read_begin(f->online);
    for (int64_t id = 0; id < 60; id++) {
        tfn_row row;
        bool found = false;
        memset(key[1], 'k', sizeof key[1]);
        key[1][0] = TFN_KIND_STRING;
        key[1][1] = (char)('0' + id);
        const tfn_str bytes = {key[1], id % 3 == 0 ? sizeof key[1] : 10};
        ASSERT_OK(tfn_lmdb_get(&read, live(&read, "v"), bytes, &row, &found, &err), err);
        assert_true(found);
        assert_int_equal(value_in(&row), id + 2);
    }
    tfn_lmdb_end_read(&read);
}

static void an_aborted_load_leaves_nothing(void **state)
{
    fixture *f = *state;
    load_rows(f->online, "v", 0, 50, 1, at(1));
    tfn_lmdb_load *l = load_begin(f->online, "v", 50);
    for (int64_t id = 0; id < 40; id++) {
        (void)load_put(l, id, 2, at(2));
    }
    assert_true(rows_in_file(f->online) > 50);
    tfn_lmdb_load_abort(l);
    assert_int_equal(rows_in_file(f->online), 50);
    assert_int_equal(value_now(f->online, "v", 0), 1);
    load_rows(f->online, "v", 0, 50, 3, at(2));
    assert_int_equal(value_now(f->online, "v", 49), 3);
}

/* ---- pushes meanwhile ---- */

/* Begin a load of rows 0 .. 49 and stop between two of its transactions. */
static tfn_lmdb_load *load_half(fixture *f)
{
    tfn_lmdb_load *l = load_begin(f->online, "v", 50);
    for (int64_t id = 0; id < 25 || l->build.txn != NULL; id++) {
        (void)load_put(l, id, 2, at(20));
    }
    return l;
}

static void load_rest(tfn_lmdb_load *l)
{
    char key[9];
    int64_t id = 0;
    while (tfn_str_compare(key_of(id, key), tfn__row_key_tail(&l->last)) <= 0) {
        id++;
    }
    for (; id < 50; id++) {
        (void)load_put(l, id, 2, at(20));
    }
    load_commit(l);
}

static void pushes_go_on_while_a_load_is_built(void **state)
{
    fixture *f = *state;
    load_rows(f->online, "v", 0, 50, 1, at(1));
    tfn_lmdb_load *l = load_half(f);
    assert_int_equal(put_alone(f->online, "v", 3, 100, at(30), no_time), TFN_ONLINE_WRITTEN);
    assert_int_equal(value_now(f->online, "v", 3), 100); /* readable at once */
    (void)put_alone(f->online, "v", 4, 101, at(10), no_time);
    (void)put_alone(f->online, "v", 49, 102, at(30), no_time);
    (void)put_alone(f->online, "v", 77, 103, at(1), no_time);
    load_rest(l);
    assert_int_equal(value_now(f->online, "v", 3), 100);
    assert_int_equal(value_now(f->online, "v", 4), 2); /* older than the load's */
    assert_int_equal(value_now(f->online, "v", 49), 102);
    assert_int_equal(value_now(f->online, "v", 77), 103);
    assert_int_equal(count_now(f->online, "v"), 51);
}

static void a_push_during_a_load_wins_a_tie_with_it(void **state)
{
    fixture *f = *state;
    load_rows(f->online, "v", 0, 50, 1, at(1));
    (void)put_alone(f->online, "v", 1, 99, at(20), no_time); /* before: the load is later */
    tfn_lmdb_load *l = load_half(f);
    (void)put_alone(f->online, "v", 2, 100, at(20), no_time);
    load_rest(l);
    assert_int_equal(value_now(f->online, "v", 1), 2);
    assert_int_equal(value_now(f->online, "v", 2), 100);
}

static void a_key_deleted_during_a_load_is_gone(void **state)
{
    fixture *f = *state;
    load_rows(f->online, "v", 0, 50, 1, at(1));
    tfn_lmdb_load *l = load_half(f);
    delete_key(f->online, "v", 3);
    delete_key(f->online, "v", 4);
    (void)put_alone(f->online, "v", 4, 100, at(5), no_time); /* after a deletion all is new */
    load_rest(l);
    assert_int_equal(value_now(f->online, "v", 3), NO_ROW);
    assert_int_equal(value_now(f->online, "v", 4), 100);
    assert_int_equal(count_now(f->online, "v"), 49);
}

/* Deletions alone make no view, and leave the record of the build as it is. */
static void a_key_deleted_during_a_first_load_is_gone(void **state)
{
    fixture *f = *state;
    tfn_lmdb_load *l = load_half(f);
    delete_key(f->online, "v", 3);
    assert_int_equal(live_now(f->online, "v"), 0);
    load_rest(l);
    assert_int_equal(value_now(f->online, "v", 3), NO_ROW);
    assert_int_equal(value_now(f->online, "v", 4), 2);
    assert_int_equal(count_now(f->online, "v"), 49);
}

static void a_push_into_a_view_whose_first_load_is_built_is_kept(void **state)
{
    fixture *f = *state;
    tfn_lmdb_load *l = load_half(f);
    (void)put_alone(f->online, "v", 3, 100, at(30), no_time);
    assert_int_equal(count_now(f->online, "v"), 1);
    load_rest(l);
    assert_int_equal(count_now(f->online, "v"), 50);
    assert_int_equal(value_now(f->online, "v", 3), 100);
}

static void many_changes_are_replayed_in_steps(void **state)
{
    fixture *f = *state;
    load_rows(f->online, "v", 0, 50, 1, at(1));
    tfn_lmdb_load *l = load_half(f);
    tfn_lmdb_write *w = write_begin(f->online, "v");
    for (int64_t id = 1000; id < 1000 + 2 * TFN_BUILD_REPLAY_CHANGES + 5; id++) {
        (void)put(w, id, id, "x", at(2), no_time);
    }
    commit(w);
    load_rest(l);
    assert_int_equal(count_now(f->online, "v"), 50 + 2 * TFN_BUILD_REPLAY_CHANGES + 5);
    assert_int_equal(value_now(f->online, "v", 1000 + 2 * TFN_BUILD_REPLAY_CHANGES),
                     1000 + 2 * TFN_BUILD_REPLAY_CHANGES);
}

static void a_view_dropped_during_a_load_is_a_conflict(void **state)
{
    fixture *f = *state;
    tfn_error err = {0};
    load_rows(f->online, "v", 0, 50, 1, at(1));
    tfn_lmdb_load *l = load_half(f);
    ASSERT_OK(tfn_lmdb_drop_view(f->online, text("p"), text("v"), NULL, &err), err);
    ASSERT_FAILS(tfn_lmdb_load_commit(l, &err), TFN_CONFLICT,
                 "view 'v' was removed from the online store while it was loaded", err);
    assert_int_equal(live_now(f->online, "v"), 0);
    assert_int_equal(rows_in_file(f->online), 0);
}

static void drop_v(tfn_lmdb *online)
{
    tfn_error err = {0};
    ASSERT_OK(tfn_lmdb_drop_view(online, text("p"), text("v"), NULL, &err), err);
}

static void drop_v_and_push(tfn_lmdb *online)
{
    before_write = NULL;
    drop_v(online);
    (void)put_alone(online, "v", 1000, 100, at(30), no_time);
}

/* Dropped before the load changed anything: it has no build yet, or never gets one. */
static void a_view_dropped_while_a_load_compares_is_a_conflict(void **state)
{
    fixture *f = *state;
    tfn_error err = {0};
    char key[9];
    const char *sentence = "view 'v' was removed from the online store while it was loaded";
    const tfn_cell cells[2] = {{.bits = 2}, {.bytes = tfn_str_of("a label")}};
    void (*const drops[2])(tfn_lmdb *) = {drop_v, drop_v_and_push};
    for (size_t i = 0; i < 2; i++) {
        load_rows(f->online, "v", 0, 50, 1, at(1));
        tfn_lmdb_load *l = load_begin(f->online, "v", 50);
        assert_int_equal(load_put(l, 0, 1, at(1)), TFN_ONLINE_SAME);
        drops[i](f->online);
        ASSERT_FAILS(tfn_lmdb_load_put(l, key_of(1, key), cells, at(2), no_time, NULL, &err),
                     TFN_CONFLICT, sentence, err);
        tfn_lmdb_load_abort(l);
        assert_int_equal(count_now(f->online, "v"), i);
        drop_v(f->online);

        load_rows(f->online, "v", 0, 50, 1, at(1));
        l = load_begin(f->online, "v", 50);
        assert_int_equal(load_put(l, 0, 1, at(1)), TFN_ONLINE_SAME);
        drops[i](f->online);
        ASSERT_FAILS(tfn_lmdb_load_commit(l, &err), TFN_CONFLICT, sentence, err);
        assert_int_equal(count_now(f->online, "v"), i);
        drop_v(f->online);
    }
}

static void a_view_dropped_before_a_load_in_place_is_a_conflict(void **state)
{
    fixture *f = *state;
    tfn_error err = {0};
    tfn_lmdb_load *l = NULL;
    void (*const drops[2])(tfn_lmdb *) = {drop_v, drop_v_and_push};
    for (size_t i = 0; i < 2; i++) {
        load_rows(f->online, "v", 0, 50, 1, at(1));
        before_write = drops[i];
        ASSERT_FAILS(
            tfn_lmdb_load_begin(f->online, text("p"), text("v"), two_fields, 2, 2, &l, &err),
            TFN_CONFLICT, "view 'v' was removed from the online store while it was loaded", err);
        before_write = NULL;
        assert_null(l);
        assert_int_equal(count_now(f->online, "v"), i);
        drop_v(f->online);
    }
}

/* ---- turns, dead builds ---- */

static void only_the_previous_generation_is_kept(void **state)
{
    fixture *f = *state;
    for (int64_t i = 1; i <= 4; i++) {
        load_rows(f->online, "v", 0, 50, i, at(i));
    }
    assert_int_equal(rows_in_file(f->online), 100);
    assert_int_equal(previous_now(f->online, "v").n_rows, 50);
}

static void a_build_whose_process_died_is_reclaimed(void **state)
{
    fixture *f = *state;
    tfn_error err = {0};
    load_rows(f->online, "v", 0, 50, 1, at(1));
    const pid_t child = fork();
    if (child == 0) {
        (void)load_half(f);
        (void)raise(SIGKILL);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_true(rows_in_file(f->online) > 50);
    assert_int_equal(value_now(f->online, "v", 0), 1);
    (void)put_alone(f->online, "v", 3, 100, at(30), no_time);

    tfn__reclaimed done;
    ASSERT_OK(tfn__lmdb_reclaim(f->online, &done, &err), err);
    assert_int_equal(done.n_builds, 1);
    assert_true(done.n_rows > 0);
    assert_int_equal(rows_in_file(f->online), 50);
    load_rows(f->online, "v", 0, 50, 2, at(20));
    assert_int_equal(value_now(f->online, "v", 3), 100);
    assert_int_equal(value_now(f->online, "v", 4), 2);
}

static void the_next_load_reclaims_a_dead_build_too(void **state)
{
    fixture *f = *state;
    const pid_t child = fork();
    if (child == 0) {
        (void)load_half(f);
        (void)raise(SIGKILL);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_true(rows_in_file(f->online) > 0);
    assert_int_equal(live_now(f->online, "v"), 0);
    load_rows(f->online, "v", 100, 5, 2, at(20));
    assert_int_equal(rows_in_file(f->online), 5);
}

static void a_build_that_goes_on_is_not_reclaimed(void **state)
{
    fixture *f = *state;
    tfn_error err = {0};
    tfn__reclaimed done;
    tfn_lmdb_load *l = load_half(f);
    ASSERT_OK(tfn__lmdb_reclaim(f->online, &done, &err), err);
    assert_int_equal(done.n_builds, 0);
    assert_int_equal(done.n_rows, 0);
    load_rest(l);
    assert_int_equal(count_now(f->online, "v"), 50);
}

static void loads_of_two_views_do_not_disturb_each_other(void **state)
{
    fixture *f = *state;
    tfn_lmdb_load *first = load_half(f);
    load_rows(f->online, "w", 0, 50, 5, at(1));
    load_rest(first);
    assert_int_equal(count_now(f->online, "v"), 50);
    assert_int_equal(value_now(f->online, "v", 49), 2);
    assert_int_equal(value_now(f->online, "w", 49), 5);
}

/* ---- rollback ---- */

static void a_rollback_returns_to_the_previous_generation(void **state)
{
    fixture *f = *state;
    load_rows(f->online, "v", 0, 50, 1, at(1));
    tfn_error err = {0};
    tfn_lmdb_load *l = load_begin(f->online, "v", 60);
    ASSERT_OK(tfn_lmdb_load_mark(l, text("of the first"), &err), err);
    for (int64_t id = 0; id < 60; id++) {
        (void)load_put(l, id, 2, at(2));
    }
    load_commit(l);
    const tfn_online_previous previous = previous_now(f->online, "v");
    assert_int_equal(previous.n_rows, 50);
    assert_memory_equal(previous.mark, "of the first", previous.n_mark);
    const tfn_online_rolled_back done = roll_back(f->online, "v", TFN_ONLINE_REPLAY);
    assert_int_equal(done.n_rows, 50);
    assert_int_equal(done.n_replayed, 0);
    assert_int_equal(value_now(f->online, "v", 0), 1);
    assert_int_equal(value_now(f->online, "v", 55), NO_ROW);
    assert_int_equal(count_now(f->online, "v"), 50);
}

static void a_rollback_of_a_rollback_goes_back_again(void **state)
{
    fixture *f = *state;
    load_rows(f->online, "v", 0, 50, 1, at(1));
    load_rows(f->online, "v", 0, 60, 2, at(2));
    (void)roll_back(f->online, "v", TFN_ONLINE_REPLAY);
    const tfn_online_previous previous = previous_now(f->online, "v");
    assert_memory_equal(previous.mark, "later", previous.n_mark);
    (void)put_alone(f->online, "v", 5, 100, at(9), no_time);
    assert_int_equal(roll_back(f->online, "v", TFN_ONLINE_REPLAY).n_rows, 60);
    assert_int_equal(value_now(f->online, "v", 0), 2);
    assert_int_equal(value_now(f->online, "v", 5), 100);
}

static void a_rollback_replays_what_was_pushed_and_deleted_since(void **state)
{
    fixture *f = *state;
    load_rows(f->online, "v", 0, 50, 1, at(1));
    load_rows(f->online, "v", 0, 50, 2, at(20));
    /* older than what is live, but not than what the previous generation has */
    assert_int_equal(put_alone(f->online, "v", 3, 100, at(10), no_time), TFN_ONLINE_OLDER);
    (void)put_alone(f->online, "v", 4, 101, at(30), no_time);
    (void)put_alone(f->online, "v", 5, 102, at(0), no_time);
    delete_key(f->online, "v", 6);
    load_rows(f->online, "v", 7, 2, 9, at(40)); /* of a load: not replayed */
    const tfn_online_rolled_back done = roll_back(f->online, "v", TFN_ONLINE_REPLAY);
    assert_int_equal(done.n_replayed, 4);
    assert_int_equal(done.n_rows, 49);
    const int64_t expected[] = {100, 101, 1, NO_ROW, 1, 1};
    for (int64_t id = 3; id <= 8; id++) {
        assert_int_equal(value_now(f->online, "v", id), expected[id - 3]);
    }
}

static void what_is_noted_already_leaves_the_file_as_it_is(void **state)
{
    fixture *f = *state;
    load_rows(f->online, "v", 0, 50, 1, at(1));
    load_rows(f->online, "v", 0, 50, 2, at(20));
    size_t before = 0;
    for (int i = 0; i < 2; i++) {
        before = n_commits(f->online);
        (void)put_alone(f->online, "v", 3, 100, at(30), no_time);
        (void)put_alone(f->online, "v", 4, 101, at(10), no_time); /* older than what is live */
        delete_key(f->online, "v", 1000);
    }
    assert_int_equal(n_commits(f->online), before);
    (void)put_alone(f->online, "v", 4, 102, at(9), no_time); /* older than what is noted */
    assert_int_equal(n_commits(f->online), before);
    (void)roll_back(f->online, "v", TFN_ONLINE_REPLAY);
    assert_int_equal(value_now(f->online, "v", 3), 100);
    assert_int_equal(value_now(f->online, "v", 4), 101);
}

static void a_rollback_may_drop_what_was_pushed(void **state)
{
    fixture *f = *state;
    load_rows(f->online, "v", 0, 50, 1, at(1));
    load_rows(f->online, "v", 0, 50, 2, at(20));
    (void)put_alone(f->online, "v", 4, 101, at(30), no_time);
    delete_key(f->online, "v", 6);
    (void)roll_back(f->online, "v", TFN_ONLINE_DROP);
    assert_int_equal(value_now(f->online, "v", 4), 1);
    assert_int_equal(value_now(f->online, "v", 6), 1);
    (void)roll_back(f->online, "v", TFN_ONLINE_REPLAY); /* they are in what was left */
    assert_int_equal(value_now(f->online, "v", 4), 101);
    assert_int_equal(value_now(f->online, "v", 6), NO_ROW);
}

static void without_a_previous_generation_a_rollback_says_so(void **state)
{
    fixture *f = *state;
    tfn_error err = {0};
    tfn_online_rolled_back done;
    const char *sentence = "view 'v' has no previous generation online";
    ASSERT_FAILS(tfn_lmdb_rollback(f->online, text("p"), text("v"), text(""), TFN_ONLINE_REPLAY,
                                   &done, &err),
                 TFN_NOT_FOUND, sentence, err);
    load_rows(f->online, "v", 0, 50, 1, at(1));
    ASSERT_FAILS(tfn_lmdb_rollback(f->online, text("p"), text("v"), text(""), TFN_ONLINE_REPLAY,
                                   &done, &err),
                 TFN_NOT_FOUND, sentence, err);
    assert_int_equal(count_now(f->online, "v"), 50);
}

static void a_load_after_a_rollback_replaces_what_was_left(void **state)
{
    fixture *f = *state;
    load_rows(f->online, "v", 0, 50, 1, at(1));
    load_rows(f->online, "v", 0, 50, 2, at(2));
    (void)roll_back(f->online, "v", TFN_ONLINE_REPLAY);
    load_rows(f->online, "v", 0, 50, 3, at(3));
    (void)roll_back(f->online, "v", TFN_ONLINE_REPLAY);
    assert_int_equal(value_now(f->online, "v", 0), 1);
    assert_int_equal(rows_in_file(f->online), 100);
}

/* ---- leftovers ---- */

/* A process begins to load view v, and dies. */
static void die_loading(fixture *f)
{
    const uint64_t n_before = rows_in_file(f->online);
    const pid_t child = fork();
    if (child == 0) {
        (void)load_half(f);
        (void)raise(SIGKILL);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_true(rows_in_file(f->online) > n_before);
}

static void a_rollback_removes_a_dead_build(void **state)
{
    fixture *f = *state;
    load_rows(f->online, "v", 0, 50, 1, at(1));
    load_rows(f->online, "v", 0, 50, 2, at(2));
    die_loading(f);
    (void)roll_back(f->online, "v", TFN_ONLINE_REPLAY);
    assert_int_equal(rows_in_file(f->online), 100);
}

/* A load that stays in its generation has no sweep at its end. */
static void a_small_load_removes_what_others_left(void **state)
{
    fixture *f = *state;
    tfn_error err = {0};
    bool is_changed = false;
    load_rows(f->online, "w", 0, 50, 1, at(1));
    die_loading(f);
    ASSERT_OK(tfn__generation_forget_build(f->online, text("p"), text("v"), &is_changed, &err),
              err); /* and whoever does so dies before the sweep */
    assert_true(is_changed);
    load_rows(f->online, "w", 0, 1, 2, at(2));
    assert_int_equal(rows_in_file(f->online), 50);
}

#define IN_STORE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_STORE(a_first_load_is_one_generation),
        IN_STORE(an_empty_load_makes_a_view_known),
        IN_STORE(a_load_under_a_tenth_stays_in_its_generation),
        IN_STORE(a_load_of_many_rows_is_built_though_under_a_tenth),
        IN_STORE(keys_outside_of_a_load_stay),
        IN_STORE(rows_of_a_load_follow_the_write_rule),
        IN_STORE(a_load_that_changes_nothing_leaves_the_file_as_it_is),
        IN_STORE(rows_in_any_order_and_under_long_keys_are_loaded),
        IN_STORE(an_aborted_load_leaves_nothing),
        IN_STORE(pushes_go_on_while_a_load_is_built),
        IN_STORE(a_push_during_a_load_wins_a_tie_with_it),
        IN_STORE(a_key_deleted_during_a_load_is_gone),
        IN_STORE(a_key_deleted_during_a_first_load_is_gone),
        IN_STORE(a_push_into_a_view_whose_first_load_is_built_is_kept),
        IN_STORE(many_changes_are_replayed_in_steps),
        IN_STORE(a_view_dropped_during_a_load_is_a_conflict),
        IN_STORE(a_view_dropped_while_a_load_compares_is_a_conflict),
        IN_STORE(a_view_dropped_before_a_load_in_place_is_a_conflict),
        IN_STORE(only_the_previous_generation_is_kept),
        IN_STORE(a_build_whose_process_died_is_reclaimed),
        IN_STORE(the_next_load_reclaims_a_dead_build_too),
        IN_STORE(a_build_that_goes_on_is_not_reclaimed),
        IN_STORE(loads_of_two_views_do_not_disturb_each_other),
        IN_STORE(a_rollback_returns_to_the_previous_generation),
        IN_STORE(a_rollback_of_a_rollback_goes_back_again),
        IN_STORE(a_rollback_replays_what_was_pushed_and_deleted_since),
        IN_STORE(what_is_noted_already_leaves_the_file_as_it_is),
        IN_STORE(a_rollback_may_drop_what_was_pushed),
        IN_STORE(without_a_previous_generation_a_rollback_says_so),
        IN_STORE(a_load_after_a_rollback_replaces_what_was_left),
        IN_STORE(a_rollback_removes_a_dead_build),
        IN_STORE(a_small_load_removes_what_others_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
