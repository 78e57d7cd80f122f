/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/registry_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "unit/feast_fixture.h"

#include "registry/feast_import.c"

static feast_file made; /* messages point into it */

/* Written long ago, so that nobody waits until it is still; each time at another time. */
static void put_feast_file(const char *path, const feast_file *file)
{
    static time_t second = 1000; /* a clock of this test */
    tfn_buf bytes = pack_feast_file(file);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes.p, 1, bytes.n, out), bytes.n);
    assert_int_equal(fclose(out), 0);
    tfn_buf_deinit(&bytes);
    second++;
    const struct timespec times[2] = {{second, 0}, {second, 0}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void import(fixture *f, tfn_str bytes)
{
    tfn_buf_clear(&f->answer);
    assert_fine(
        f, tfn_registry_import_feast(f->registry, bytes, text("flights"), &f->answer, &f->err));
}

static int64_t commit_of(fixture *f, tfn_registry *r)
{
    tfn_snapshot *s = NULL;
    assert_fine(f, tfn_registry_get_snapshot(r, text("flights"), TFN_FRESH, &s, &f->err));
    const int64_t commit = tfn_snapshot_get_commit(s);
    tfn_snapshot_release(s);
    return commit;
}

static bool has_view(fixture *f, tfn_registry *r, const char *name, tfn_freshness freshness)
{
    tfn_snapshot *s = NULL;
    const tfn_view_def *view = NULL;
    tfn_error ignored = {0};
    assert_fine(f, tfn_registry_get_snapshot(r, text("flights"), freshness, &s, &f->err));
    const bool has = tfn_snapshot_find_view(s, text(name), &view, &ignored) == TFN_OK;
    tfn_snapshot_release(s);
    return has;
}

/* ---- import ---- */

static void an_import_is_one_commit_and_keeps_the_file(void **state)
{
    fixture *f = *state;
    make_feast_file(&made);
    tfn_buf bytes = pack_feast_file(&made);
    tfn_buf kept = {0};
    bool found = true;
    assert_fine(f,
                tfn_registry_get_feast_file(f->registry, text("flights"), &kept, &found, &f->err));
    assert_false(found);
    import(f, tfn_buf_get_str(&bytes));
    assert_int_equal(commit_of(f, f->registry), 1);
    assert_true(has_view(f, f->registry, "history", TFN_CACHED));
    assert_fine(f,
                tfn_registry_get_feast_file(f->registry, text("flights"), &kept, &found, &f->err));
    assert_true(found);
    assert_int_equal(kept.n, bytes.n);
    assert_memory_equal(kept.p, bytes.p, bytes.n);
    import(f, tfn_buf_get_str(&bytes));
    assert_int_equal(commit_of(f, f->registry), 1); /* nothing to change */
    tfn_buf_clear(&f->answer);
    assert_fine(f, tfn_registry_log(f->registry, text("flights"), 0, &f->answer, &f->err));
    assert_non_null(strstr(answer_of(f), "imported from Feast's registry"));
    tfn_buf_clear(&kept);
    assert_fine(f, tfn_registry_get_feast_file(f->registry, text("other"), &kept, &found, &f->err));
    assert_false(found);
    tfn_buf_deinit(&kept);
    tfn_buf_deinit(&bytes);
}

static void a_refused_import_makes_no_file(void **state)
{
    fixture *f = *state;
    make_feast_file(&made);
    made.view_spec[0].name = TEXT("a:b");
    tfn_buf bytes = pack_feast_file(&made);
    const tfn_str file = tfn_buf_get_str(&bytes);
    assert_failed(
        f, tfn_registry_import_feast(f->registry, file, text("flights"), &f->answer, &f->err),
        TFN_INVALID, "a:b");
    assert_int_equal(f->answer.n, 0);
    assert_failed(f,
                  tfn_registry_import_feast(f->registry, file, text("nobody"), &f->answer, &f->err),
                  TFN_NOT_FOUND, "no project 'nobody'");
    assert_int_not_equal(access(f->path, F_OK), 0);
    tfn_buf_deinit(&bytes);
}

/* ---- follow ---- */

static tfn_registry *open_feasts(fixture *f, char path[160])
{
    const tfn_clock clock = {tell_time, f};
    tfn_registry *r = NULL;
    (void)snprintf(path, 160, "%s/feast.db", f->folder);
    put_feast_file(path, &made);
    assert_fine(f, tfn_registry_open(path, TFN_REGISTRY_READ, &clock, &r, &f->err));
    return r;
}

static void a_registry_of_feast_is_read_as_it_is(void **state)
{
    fixture *f = *state;
    char path[160];
    char ours[180];
    make_feast_file(&made);
    tfn_buf before = pack_feast_file(&made);
    tfn_registry *r = open_feasts(f, path);
    assert_string_equal(tfn_registry_get_path(r), path);
    assert_true(has_view(f, r, "history", TFN_CACHED));
    tfn_buf_clear(&f->answer);
    assert_fine(f, tfn_registry_list_projects(r, &f->answer, &f->err));
    assert_non_null(strstr(answer_of(f), "\"other\""));
    (void)snprintf(ours, sizeof ours, "%s.tiffin", path);
    assert_int_equal(access(ours, R_OK), 0);
    tfn_buf after = {0};
    assert_fine(f, read_file(path, &after, &f->err));
    assert_int_equal(after.n, before.n);
    assert_memory_equal(after.p, before.p, before.n);
    assert_failed(f,
                  tfn_registry_import_feast(r, tfn_buf_get_str(&before), text("flights"),
                                            &f->answer, &f->err),
                  TFN_UNSUPPORTED, "is Feast's own");
    tfn_buf_deinit(&before);
    tfn_buf_deinit(&after);
    tfn_registry_close(r);
}

static void what_feast_changes_is_taken_over_and_our_commits_stay_until_then(void **state)
{
    fixture *f = *state;
    char path[160];
    make_feast_file(&made);
    tfn_registry_close(open_feasts(f, path));
    const tfn_clock clock = {tell_time, f};
    tfn_registry *r = NULL;
    assert_fine(f, tfn_registry_open(path, TFN_REGISTRY_CREATE, &clock, &r, &f->err));
    assert_int_equal(commit_of(f, r), 1);
    tfn_buf_clear(&f->answer);
    assert_fine(f, tfn_registry_apply(r, text("flights"),
                                      text(OBJECTS("{\"kind\":\"entity\",\"name\":\"mine\"}")),
                                      &f->answer, &f->err));
    assert_int_equal(commit_of(f, r), 2);
    made.registry.version_id = TEXT("another write"); /* of the same objects */
    put_feast_file(path, &made);
    assert_int_equal(commit_of(f, r), 2);
    made.view_spec[0].name = TEXT("past"); /* history's name; two projections and a view use it */
    made.whole.view = TEXT("past");
    made.part.view = TEXT("past");
    put_feast_file(path, &made);
    assert_true(has_view(f, r, "past", TFN_FRESH));
    assert_false(has_view(f, r, "history", TFN_FRESH));
    assert_int_equal(commit_of(f, r), 3);
    tfn_registry_close(r);
}

static void a_file_that_goes_bad_fails_who_asks_anew_and_nobody_else(void **state)
{
    fixture *f = *state;
    char path[160];
    tfn_snapshot *s = NULL;
    make_feast_file(&made);
    tfn_registry *r = open_feasts(f, path);
    assert_true(has_view(f, r, "history", TFN_FRESH));
    made.view_spec[0].name = TEXT("a:b");
    put_feast_file(path, &made);
    assert_failed(f, tfn_registry_get_snapshot(r, text("flights"), TFN_FRESH, &s, &f->err),
                  TFN_INVALID, "taking over project 'flights' of Feast's registry");
    tfn_error err = {0};
    pthread_mutex_lock(&r->reader_lock);
    assert_int_equal(tfn__feast_follow(r, true, &err), TFN_OK); /* as a periodic look does */
    pthread_mutex_unlock(&r->reader_lock);
    assert_true(has_view(f, r, "history", TFN_CACHED));
    made.view_spec[0].name = TEXT("history");
    put_feast_file(path, &made);
    assert_true(has_view(f, r, "history", TFN_FRESH));
    tfn_registry_close(r);
}

static void a_project_that_is_refused_stops_no_other(void **state)
{
    fixture *f = *state;
    char path[160];
    tfn_snapshot *s = NULL;
    make_feast_file(&made);
    made.view_spec[0].name = TEXT("a:b");
    tfn_registry *r = open_feasts(f, path);
    for (int i = 0; i < 2; i++) {
        assert_failed(f, tfn_registry_get_snapshot(r, text("flights"), TFN_CACHED, &s, &f->err),
                      TFN_INVALID, "taking over project 'flights' of Feast's registry");
        assert_fine(f, tfn_registry_get_snapshot(r, text("other"), TFN_CACHED, &s, &f->err));
        assert_int_equal(tfn_snapshot_get_commit(s), 1);
        tfn_snapshot_release(s);
        tfn_registry_close(r);
        const tfn_clock clock = {tell_time, f};
        assert_fine(f, tfn_registry_open(path, TFN_REGISTRY_CREATE, &clock, &r, &f->err));
    }
    assert_failed(f, tfn_registry_apply(r, text("flights"), text(OBJECTS("")), &f->answer, &f->err),
                  TFN_INVALID, "taking over project 'flights'");
    tfn_registry_close(r);
}

static void a_file_that_vanishes_leaves_what_was_taken_over(void **state)
{
    fixture *f = *state;
    char path[160];
    const tfn_clock clock = {tell_time, f};
    make_feast_file(&made);
    tfn_registry *r = open_feasts(f, path);
    assert_int_equal(remove(path), 0);
    assert_true(has_view(f, r, "history", TFN_FRESH));
    tfn_registry_close(r);
    assert_fine(f, tfn_registry_open(path, TFN_REGISTRY_READ, &clock, &r, &f->err));
    assert_true(has_view(f, r, "history", TFN_FRESH));
    tfn_registry_close(r);
}

/* A link into a folder that is not there: not even root can make that file. */
static void a_place_that_cannot_be_written_is_named(void **state)
{
    fixture *f = *state;
    char path[160];
    char beside[180];
    tfn_registry *r = NULL;
    make_feast_file(&made);
    (void)snprintf(path, sizeof path, "%s/feast.db", f->folder);
    (void)snprintf(beside, sizeof beside, "%s.tiffin", path);
    put_feast_file(path, &made);
    assert_int_equal(symlink("/there/is/no/such/folder", beside), 0);
    assert_failed(f, tfn_registry_open(path, TFN_REGISTRY_READ, NULL, &r, &f->err), TFN_IO,
                  "is read through a registry of Tiffin's beside it, which must be writable");
    assert_int_equal(unlink(beside), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_import_is_one_commit_and_keeps_the_file),
        TEST(a_refused_import_makes_no_file),
        TEST(a_registry_of_feast_is_read_as_it_is),
        TEST(what_feast_changes_is_taken_over_and_our_commits_stay_until_then),
        TEST(a_file_that_goes_bad_fails_who_asks_anew_and_nobody_else),
        TEST(a_project_that_is_refused_stops_no_other),
        TEST(a_file_that_vanishes_leaves_what_was_taken_over),
        TEST(a_place_that_cannot_be_written_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
