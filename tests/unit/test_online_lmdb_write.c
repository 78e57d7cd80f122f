/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Tests named in docs/semantics/write-rule.md are the proof of its sentences. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/online_fixture.h"

#include "base/limits.h"
#include "online/lmdb_write.c"

static test_folder folder;

static int open_store(void **state)
{
    folder_make(&folder);
    *state = store_open(&folder, TFN_ONLINE_WRITE);
    return 0;
}

static int close_store(void **state)
{
    tfn_lmdb_close(*state);
    folder_remove(&folder);
    return 0;
}

/* Number of commits that the file has seen. */
static size_t n_commits(tfn_lmdb *online)
{
    MDB_envinfo info;
    assert_int_equal(mdb_env_info(atomic_load(&online->env)->lmdb, &info), 0);
    return info.me_last_txnid;
}

/* ---- the write rule ---- */

static void a_first_row_is_written(void **state)
{
    assert_int_equal(put_alone(*state, "v", 1, 10, at(100), at(5)), TFN_ONLINE_WRITTEN);
    assert_int_equal(value_now(*state, "v", 1), 10);
}

static void a_greater_event_time_replaces(void **state)
{
    (void)put_alone(*state, "v", 1, 10, at(100), at(999));
    assert_int_equal(put_alone(*state, "v", 1, 11, at(101), at(1)), TFN_ONLINE_WRITTEN);
    assert_int_equal(value_now(*state, "v", 1), 11);
    /* ... by a nanosecond too. */
    assert_int_equal(put_alone(*state, "v", 1, 12, (tfn_instant){101, 1}, no_time),
                     TFN_ONLINE_WRITTEN);
    assert_int_equal(value_now(*state, "v", 1), 12);
}

static void a_smaller_event_time_is_older(void **state)
{
    (void)put_alone(*state, "v", 1, 10, (tfn_instant){100, 1}, no_time);
    assert_int_equal(put_alone(*state, "v", 1, 11, at(100), at(999)), TFN_ONLINE_OLDER);
    assert_int_equal(value_now(*state, "v", 1), 10);
}

static void on_equal_event_times_the_greater_created_time_wins(void **state)
{
    (void)put_alone(*state, "v", 1, 10, at(100), at(5));
    assert_int_equal(put_alone(*state, "v", 1, 11, at(100), at(4)), TFN_ONLINE_OLDER);
    assert_int_equal(put_alone(*state, "v", 1, 12, at(100), (tfn_instant){5, 1}),
                     TFN_ONLINE_WRITTEN);
    assert_int_equal(value_now(*state, "v", 1), 12);
}

static void a_missing_created_time_is_the_lowest(void **state)
{
    (void)put_alone(*state, "v", 1, 10, at(100), at(-1000000));
    assert_int_equal(put_alone(*state, "v", 1, 11, at(100), no_time), TFN_ONLINE_OLDER);
    (void)put_alone(*state, "v", 2, 10, at(100), no_time);
    assert_int_equal(put_alone(*state, "v", 2, 11, at(100), at(-1000000)), TFN_ONLINE_WRITTEN);
    assert_int_equal(value_now(*state, "v", 2), 11);
}

static void on_an_equal_pair_the_later_one_wins(void **state)
{
    (void)put_alone(*state, "v", 1, 10, at(100), at(5));
    assert_int_equal(put_alone(*state, "v", 1, 11, at(100), at(5)), TFN_ONLINE_WRITTEN);
    assert_int_equal(value_now(*state, "v", 1), 11);
    (void)put_alone(*state, "v", 2, 10, at(100), no_time);
    assert_int_equal(put_alone(*state, "v", 2, 11, at(100), no_time), TFN_ONLINE_WRITTEN);
    assert_int_equal(value_now(*state, "v", 2), 11);
}

static void within_one_write_the_later_put_wins_a_tie_too(void **state)
{
    tfn_lmdb_write *w = write_begin(*state, "v");
    assert_int_equal(put(w, 1, 10, "x", at(100), no_time), TFN_ONLINE_WRITTEN);
    assert_int_equal(put(w, 1, 11, "x", at(100), no_time), TFN_ONLINE_WRITTEN);
    assert_int_equal(put(w, 1, 12, "x", at(99), no_time), TFN_ONLINE_OLDER);
    commit(w);
    assert_int_equal(value_now(*state, "v", 1), 11);
    assert_int_equal(count_now(*state, "v"), 1);
}

static void an_identical_row_is_the_same_and_not_written(void **state)
{
    (void)put_alone(*state, "v", 1, 10, at(100), at(5));
    const size_t before = n_commits(*state);
    assert_int_equal(put_alone(*state, "v", 1, 10, at(100), at(5)), TFN_ONLINE_SAME);
    assert_int_equal(n_commits(*state), before);
}

static void a_second_identical_run_leaves_the_file_as_it_is(void **state)
{
    size_t before = 0;
    for (int run = 0; run < 2; run++) {
        tfn_lmdb_write *w = write_begin(*state, "v");
        for (int64_t id = 0; id < 1000; id++) {
            (void)put(w, id, id, "x", at(id), no_time);
        }
        const tfn_online_stats stats = tfn_lmdb_get_stats(w);
        assert_int_equal(stats.n_written, run == 0 ? 1000 : 0);
        assert_int_equal(stats.n_same, run == 0 ? 0 : 1000);
        assert_int_equal(stats.n_older, 0);
        commit(w);
        if (run == 0) {
            before = n_commits(*state);
        }
    }
    assert_int_equal(n_commits(*state), before);
}

static void keys_are_independent_of_each_other(void **state)
{
    tfn_lmdb_write *w = write_begin(*state, "v");
    const int64_t ids[] = {5, -3, 9, 0, INT64_MIN, INT64_MAX, 7, -3};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        (void)put(w, ids[i], (int64_t)i, "x", at((int64_t)i), no_time);
    }
    commit(w);
    assert_int_equal(count_now(*state, "v"), 7);
    assert_int_equal(value_now(*state, "v", 5), 0);
    assert_int_equal(value_now(*state, "v", -3), 7);
    assert_int_equal(value_now(*state, "v", INT64_MIN), 4);
    assert_int_equal(value_now(*state, "v", INT64_MAX), 5);
    assert_int_equal(value_now(*state, "v", 6), NO_ROW);
}

static void a_late_row_of_another_schema_follows_the_same_rule(void **state)
{
    tfn_error err = {0};
    (void)put_alone(*state, "v", 1, 10, at(100), at(5));
    const tfn_row_field three[3] = {
        two_fields[1], {{"extra", 5}, {.kind = TFN_KIND_BOOL}}, two_fields[0]};
    const tfn_cell cells[3] = {{.is_null = true}, {.bits = 1}, {.bits = 20}};
    const tfn_instant times[] = {at(99), at(100)};
    const tfn_online_outcome want[] = {TFN_ONLINE_OLDER, TFN_ONLINE_WRITTEN};
    for (int i = 0; i < 2; i++) {
        tfn_lmdb_write *w = NULL;
        tfn_online_outcome outcome = TFN_ONLINE_SAME;
        char key[9];
        ASSERT_OK(tfn_lmdb_begin_write(*state, text("p"), text("v"), three, 3, &w, &err), err);
        ASSERT_OK(tfn_lmdb_put(w, key_of(1, key), cells, times[i], at(5), &outcome, &err), err);
        assert_int_equal(outcome, want[i]);
        commit(w);
    }
    tfn_lmdb_read read = read_begin(*state);
    tfn_row row;
    assert_true(find(&read, "v", 1, &row));
    assert_int_equal(row.schema->n_fields, 3);
    assert_int_equal(tfn_row_schema_find(row.schema, text("value"), two_fields[0].type), 2);
    tfn_lmdb_end_read(&read);
}

/* ---- whole or absent ---- */

static void nothing_is_seen_before_commit_nor_after_abort(void **state)
{
    (void)put_alone(*state, "v", 1, 10, at(100), no_time);
    tfn_lmdb_write *w = write_begin(*state, "v");
    (void)put(w, 1, 11, "x", at(101), no_time);
    (void)put(w, 2, 12, "x", at(101), no_time);
    assert_int_equal(value_now(*state, "v", 1), 10);
    tfn_lmdb_abort(w);
    assert_int_equal(value_now(*state, "v", 1), 10);
    assert_int_equal(value_now(*state, "v", 2), NO_ROW);
    tfn_lmdb_abort(NULL);
}

static void a_write_of_no_rows_makes_the_view_exist(void **state)
{
    tfn_lmdb_read read = read_begin(*state);
    assert_int_equal(live(&read, "v"), 0);
    tfn_lmdb_end_read(&read);
    commit(write_begin(*state, "v"));
    read = read_begin(*state);
    assert_int_not_equal(live(&read, "v"), 0);
    tfn_lmdb_end_read(&read);
    assert_int_equal(count_now(*state, "v"), 0);
}

static void an_aborted_write_gives_its_numbers_back(void **state)
{
    tfn_lmdb_abort(write_begin(*state, "v"));
    (void)put_alone(*state, "w", 1, 10, at(1), no_time);
    tfn_lmdb_read read = read_begin(*state);
    assert_int_equal(live(&read, "v"), 0);
    assert_int_equal(live(&read, "w"), 1);
    tfn_lmdb_end_read(&read);
}

static void a_refused_row_leaves_the_write_alive(void **state)
{
    tfn_error err = {0};
    char key[9];
    tfn_lmdb_write *w = write_begin(*state, "v");
    (void)put(w, 1, 10, "x", at(1), no_time);
    const tfn_cell cells[2] = {{.bits = 1}, {.bytes = {"x", TFN_MAX_ONLINE_ROW_BYTES}}};
    ASSERT_FAILS(tfn_lmdb_put(w, key_of(2, key), cells, at(1), no_time, NULL, &err), TFN_LIMIT,
                 "TFN_MAX_ONLINE_ROW_BYTES", err);
    ASSERT_FAILS(tfn_lmdb_put(w, key_of(2, key), cells, no_time, no_time, NULL, &err), TFN_INVALID,
                 "event time", err);
    ASSERT_FAILS(
        tfn_lmdb_put(w, (tfn_str){key, TFN_MAX_KEY_BYTES + 1}, cells, at(1), no_time, NULL, &err),
        TFN_LIMIT, "TFN_MAX_KEY_BYTES", err);
    (void)put(w, 3, 30, "x", at(1), no_time);
    commit(w);
    assert_int_equal(value_now(*state, "v", 1), 10);
    assert_int_equal(value_now(*state, "v", 3), 30);
    assert_int_equal(count_now(*state, "v"), 2);
}

/* ---- several views ---- */

static void next(tfn_lmdb_write *w, const char *view)
{
    tfn_error err = {0};
    ASSERT_OK(tfn_lmdb_next_view(w, text("p"), text(view), two_fields, 2, &err), err);
}

static void all_views_of_a_write_are_seen_together(void **state)
{
    const size_t before = n_commits(*state);
    tfn_lmdb_write *w = write_begin(*state, "v");
    (void)put(w, 1, 10, "x", at(1), no_time);
    next(w, "w");
    (void)put(w, 1, 20, "x", at(1), no_time);
    (void)put(w, 2, 21, "x", at(1), no_time);
    next(w, "empty");
    next(w, "v");
    assert_int_equal(put(w, 1, 11, "x", at(0), no_time), TFN_ONLINE_OLDER);
    (void)put(w, 3, 12, "x", at(1), no_time);
    assert_int_equal(value_now(*state, "v", 1), NO_ROW);
    commit(w);
    assert_int_equal(n_commits(*state), before + 1);
    assert_int_equal(value_now(*state, "v", 1), 10);
    assert_int_equal(value_now(*state, "v", 3), 12);
    assert_int_equal(value_now(*state, "w", 1), 20);
    assert_int_equal(count_now(*state, "v"), 2);
    assert_int_equal(count_now(*state, "w"), 2);
    tfn_lmdb_read read = read_begin(*state);
    assert_int_not_equal(live(&read, "empty"), 0);
    assert_int_equal(count_now(*state, "empty"), 0);
    tfn_lmdb_end_read(&read);
}

static void an_aborted_write_leaves_no_view_behind(void **state)
{
    (void)put_alone(*state, "v", 1, 10, at(1), no_time);
    tfn_lmdb_write *w = write_begin(*state, "v");
    (void)put(w, 1, 11, "x", at(2), no_time);
    next(w, "w");
    (void)put(w, 1, 20, "x", at(1), no_time);
    tfn_lmdb_abort(w);
    tfn_lmdb_read read = read_begin(*state);
    assert_int_equal(live(&read, "w"), 0);
    tfn_lmdb_end_read(&read);
    assert_int_equal(value_now(*state, "v", 1), 10);
}

static void a_next_view_that_cannot_be_ends_the_write(void **state)
{
    tfn_error err = {0};
    const tfn_row_field twice[2] = {two_fields[0], two_fields[0]};
    tfn_lmdb_write *w = write_begin(*state, "v");
    (void)put(w, 1, 10, "x", at(1), no_time);
    ASSERT_FAILS(tfn_lmdb_next_view(w, text("p"), text("w"), twice, 2, &err), TFN_INVALID,
                 "two features are named 'value'", err);
    char key[9];
    const tfn_cell cells[2] = {{.bits = 1}, {.is_null = true}};
    assert_int_not_equal(tfn_lmdb_put(w, key_of(2, key), cells, at(1), no_time, NULL, &err),
                         TFN_OK);
    assert_int_not_equal(tfn_lmdb_delete(w, key_of(2, key), NULL, &err), TFN_OK);
    assert_int_not_equal(tfn_lmdb_next_view(w, text("p"), text("w"), two_fields, 2, &err), TFN_OK);
    assert_int_not_equal(tfn_lmdb_commit(w, &err), TFN_OK);
    assert_int_equal(value_now(*state, "v", 1), NO_ROW);
}

/* ---- deletions ---- */

static bool delete_in(tfn_lmdb_write *w, int64_t id)
{
    tfn_error err = {0};
    char key[9];
    bool was_there = false;
    ASSERT_OK(tfn_lmdb_delete(w, key_of(id, key), &was_there, &err), err);
    return was_there;
}

static void a_deleted_key_has_no_row(void **state)
{
    tfn_lmdb_write *w = write_begin(*state, "v");
    for (int64_t id = 0; id < 5; id++) {
        (void)put(w, id, 10 + id, "x", at(100), no_time);
    }
    commit(w);
    w = write_begin(*state, "v");
    assert_true(delete_in(w, 4)); /* the last key of the database */
    assert_true(delete_in(w, 1));
    assert_false(delete_in(w, 1));
    assert_false(delete_in(w, 99));
    assert_int_equal(tfn_lmdb_get_stats(w).n_deleted, 2);
    assert_int_equal(tfn_lmdb_get_stats(w).n_absent, 2);
    assert_int_equal(value_now(*state, "v", 1), 11);
    commit(w);
    assert_int_equal(value_now(*state, "v", 1), NO_ROW);
    assert_int_equal(value_now(*state, "v", 4), NO_ROW);
    assert_int_equal(value_now(*state, "v", 3), 13);
    assert_int_equal(count_now(*state, "v"), 3);
}

static void a_row_after_a_deletion_is_a_first_one(void **state)
{
    (void)put_alone(*state, "v", 1, 10, at(100), no_time);
    tfn_lmdb_write *w = write_begin(*state, "v");
    assert_true(delete_in(w, 1));
    assert_int_equal(put(w, 1, 11, "x", at(1), no_time), TFN_ONLINE_WRITTEN);
    assert_int_equal(put(w, 2, 12, "x", at(1), no_time), TFN_ONLINE_WRITTEN);
    assert_true(delete_in(w, 2));
    commit(w);
    assert_int_equal(value_now(*state, "v", 1), 11);
    assert_int_equal(value_now(*state, "v", 2), NO_ROW);
    assert_int_equal(count_now(*state, "v"), 1);
}

static void deleting_in_vain_leaves_the_file_as_it_is(void **state)
{
    (void)put_alone(*state, "v", 1, 10, at(100), no_time);
    const size_t before = n_commits(*state);
    tfn_lmdb_write *w = write_begin(*state, "v");
    assert_false(delete_in(w, 2));
    next(w, "never written");
    assert_false(delete_in(w, 2));
    commit(w);
    assert_int_equal(n_commits(*state), before);
    tfn_lmdb_read read = read_begin(*state);
    assert_int_equal(live(&read, "never written"), 0);
    tfn_lmdb_end_read(&read);
}

static void a_write_that_only_deletes_needs_no_fields(void **state)
{
    tfn_error err = {0};
    char key[9];
    bool was_there = false;
    (void)put_alone(*state, "v", 1, 10, at(100), no_time);
    (void)put_alone(*state, "v", 2, 20, at(100), no_time);
    tfn_lmdb_write *w = NULL;
    ASSERT_OK(tfn_lmdb_begin_write(*state, text("p"), text("v"), NULL, 0, &w, &err), err);
    ASSERT_OK(tfn_lmdb_delete(w, key_of(1, key), &was_there, &err), err);
    assert_true(was_there);
    commit(w);
    tfn__view record;
    tfn_lmdb_read read = read_begin(*state);
    ASSERT_OK(tfn__view_get(read.env, read.txn, text("p"), text("v"), &record, &err), err);
    tfn_lmdb_end_read(&read);
    assert_int_equal(record.n_rows, 1);
    assert_int_equal(record.schema_id, 1); /* of the last rows, not of the deletion */
}

/* ---- names, modes, keys ---- */

static void a_handle_for_reading_refuses_to_write(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn_lmdb *reader = store_open(&folder, TFN_ONLINE_READ);
    tfn_lmdb_write *w = NULL;
    ASSERT_FAILS(tfn_lmdb_begin_write(reader, text("p"), text("v"), two_fields, 2, &w, &err),
                 TFN_INVALID, "opened for reading only", err);
    ASSERT_FAILS(tfn_lmdb_drop_view(reader, text("p"), text("v"), NULL, &err), TFN_INVALID,
                 "opened for reading only", err);
    tfn_lmdb_close(reader);
}

static void names_with_a_zero_byte_or_too_long_are_refused(void **state)
{
    tfn_error err = {0};
    tfn_lmdb_write *w = NULL;
    static char name[TFN_MAX_NAME_BYTES + 1];
    memset(name, 'n', sizeof name);
    ASSERT_FAILS(
        tfn_lmdb_begin_write(*state, (tfn_str){"a\0b", 3}, text("v"), two_fields, 2, &w, &err),
        TFN_INVALID, "of them zero", err);
    ASSERT_FAILS(tfn_lmdb_begin_write(*state, text("p"), (tfn_str){name, sizeof name}, two_fields,
                                      2, &w, &err),
                 TFN_LIMIT, "TFN_MAX_NAME_BYTES", err);
}

static void a_schema_that_cannot_be_takes_no_lock(void **state)
{
    tfn_error err = {0};
    tfn_lmdb_write *w = NULL;
    const tfn_row_field twice[2] = {two_fields[0], two_fields[0]};
    ASSERT_FAILS(tfn_lmdb_begin_write(*state, text("p"), text("v"), twice, 2, &w, &err),
                 TFN_INVALID, "two features are named 'value'", err);
    (void)put_alone(*state, "v", 1, 1, at(1), no_time);
}

static void long_keys_are_kept_in_full(void **state)
{
    tfn_error err = {0};
    static char key[3000];
    memset(key, TFN_KIND_STRING, sizeof key);
    const tfn_cell cells[2] = {{.bits = 77}, {.is_null = true}};
    tfn_lmdb_write *w = write_begin(*state, "v");
    for (size_t n = 390; n < 410; n++) {
        ASSERT_OK(tfn_lmdb_put(w, (tfn_str){key, n}, cells, at((int64_t)n), no_time, NULL, &err),
                  err);
    }
    tfn_online_outcome outcome = TFN_ONLINE_WRITTEN;
    ASSERT_OK(tfn_lmdb_put(w, (tfn_str){key, 409}, cells, at(1), no_time, &outcome, &err), err);
    assert_int_equal(outcome, TFN_ONLINE_OLDER);
    commit(w);
    assert_int_equal(count_now(*state, "v"), 20);
    tfn_lmdb_read read = read_begin(*state);
    for (size_t n = 389; n < 411; n++) {
        tfn_row row;
        bool found = false;
        ASSERT_OK(tfn_lmdb_get(&read, live(&read, "v"), (tfn_str){key, n}, &row, &found, &err),
                  err);
        assert_int_equal(found, n >= 390 && n < 410);
        if (found) {
            assert_int_equal(row.event.seconds, n);
            assert_int_equal(row.full_key.n, n <= 396 ? 0 : n);
        }
    }
    tfn_lmdb_end_read(&read);
}

static void two_long_keys_of_one_hash_are_not_mixed_up(void **state)
{
    tfn_error err = {0};
    static char key[500];
    static char other[500];
    memset(key, TFN_KIND_STRING, sizeof key);
    memset(other, TFN_KIND_BYTES, sizeof other);
    const tfn_str asked = {key, sizeof key};
    const tfn_cell cells[2] = {{.bits = 77}, {.is_null = true}};
    tfn_lmdb_write *w = write_begin(*state, "v");
    /* As if `other` had the hash of `key`: its row under that hash. */
    tfn__row_key row_key;
    ASSERT_OK(tfn__row_key_make(w->record.generation, asked, &row_key, &err), err);
    ASSERT_OK(assign_schema(w, &err), err);
    ASSERT_OK(tfn_row_encode(w->schema, cells, at(1), no_time, (tfn_str){other, sizeof other},
                             &w->row, &err),
              err);
    ASSERT_OK(append(w, &row_key, tfn_buf_get_str(&w->row), &err), err);
    w->has_puts = true;
    w->is_changed = true;
    ASSERT_FAILS(tfn_lmdb_put(w, asked, cells, at(2), no_time, NULL, &err), TFN_CONFLICT,
                 "the same hash", err);
    bool was_there = true;
    ASSERT_OK(tfn_lmdb_delete(w, asked, &was_there, &err), err);
    assert_false(was_there);
    commit(w);
    tfn_lmdb_read read = read_begin(*state);
    tfn_row row;
    bool found = true;
    ASSERT_OK(tfn_lmdb_get(&read, live(&read, "v"), asked, &row, &found, &err), err);
    assert_false(found);
    tfn_lmdb_end_read(&read);
}

static void the_empty_key_has_one_row(void **state)
{
    tfn_error err = {0};
    const tfn_cell cells[2] = {{.bits = 77}, {.is_null = true}};
    const tfn_str none = {0};
    for (int64_t second = 1; second < 3; second++) {
        tfn_lmdb_write *w = write_begin(*state, "v");
        ASSERT_OK(tfn_lmdb_put(w, none, cells, at(second), no_time, NULL, &err), err);
        commit(w);
    }
    assert_int_equal(count_now(*state, "v"), 1);
    tfn_lmdb_read read = read_begin(*state);
    tfn_row row;
    bool found = false;
    ASSERT_OK(tfn_lmdb_get(&read, live(&read, "v"), none, &row, &found, &err), err);
    assert_true(found);
    assert_int_equal(row.event.seconds, 2);
    tfn_lmdb_end_read(&read);
}

static void a_damaged_row_stops_the_write_with_a_sentence(void **state)
{
    tfn_error err = {0};
    char key[9];
    const tfn_cell cells[2] = {{.bits = 77}, {.is_null = true}};
    tfn_lmdb_write *w = write_begin(*state, "v");
    tfn__row_key row_key;
    ASSERT_OK(tfn__row_key_make(w->record.generation, key_of(1, key), &row_key, &err), err);
    tfn_buf_clear(&w->row);
    ASSERT_OK(tfn_buf_add_text(&w->row, "not a row", &err), err);
    ASSERT_OK(append(w, &row_key, tfn_buf_get_str(&w->row), &err), err);
    ASSERT_FAILS(tfn_lmdb_put(w, key_of(1, key), cells, at(2), no_time, NULL, &err), TFN_CORRUPT,
                 "a header alone has 40", err);
    tfn_lmdb_abort(w);
}

int main(void)
{
#define IN_STORE(test) cmocka_unit_test_setup_teardown(test, open_store, close_store)
    const struct CMUnitTest tests[] = {
        IN_STORE(a_first_row_is_written),
        IN_STORE(a_greater_event_time_replaces),
        IN_STORE(a_smaller_event_time_is_older),
        IN_STORE(on_equal_event_times_the_greater_created_time_wins),
        IN_STORE(a_missing_created_time_is_the_lowest),
        IN_STORE(on_an_equal_pair_the_later_one_wins),
        IN_STORE(within_one_write_the_later_put_wins_a_tie_too),
        IN_STORE(an_identical_row_is_the_same_and_not_written),
        IN_STORE(a_second_identical_run_leaves_the_file_as_it_is),
        IN_STORE(keys_are_independent_of_each_other),
        IN_STORE(a_late_row_of_another_schema_follows_the_same_rule),
        IN_STORE(nothing_is_seen_before_commit_nor_after_abort),
        IN_STORE(a_write_of_no_rows_makes_the_view_exist),
        IN_STORE(an_aborted_write_gives_its_numbers_back),
        IN_STORE(a_refused_row_leaves_the_write_alive),
        IN_STORE(all_views_of_a_write_are_seen_together),
        IN_STORE(an_aborted_write_leaves_no_view_behind),
        IN_STORE(a_next_view_that_cannot_be_ends_the_write),
        IN_STORE(a_deleted_key_has_no_row),
        IN_STORE(a_row_after_a_deletion_is_a_first_one),
        IN_STORE(deleting_in_vain_leaves_the_file_as_it_is),
        IN_STORE(a_write_that_only_deletes_needs_no_fields),
        IN_STORE(a_handle_for_reading_refuses_to_write),
        IN_STORE(names_with_a_zero_byte_or_too_long_are_refused),
        IN_STORE(a_schema_that_cannot_be_takes_no_lock),
        IN_STORE(long_keys_are_kept_in_full),
        IN_STORE(two_long_keys_of_one_hash_are_not_mixed_up),
        IN_STORE(the_empty_key_has_one_row),
        IN_STORE(a_damaged_row_stops_the_write_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
