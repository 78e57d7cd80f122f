/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/registry_fixture.h"

#include "registry/watermark.c"

/* 9999-12-31T23:59:59.999999999Z: the latest time that anybody writes down. */
static const tfn_instant far_end = {253402300799, 999999999};

static void set(fixture *f, tfn_instant start, tfn_instant end, tfn_instant bound)
{
    const tfn_watermark mark = {start, end, bound};
    const tfn_run run = {.start = start,
                         .end = end,
                         .created_bound = bound,
                         .started = {10, 0},
                         .finished = {12, 500000000},
                         .n_rows_read = 7,
                         .n_rows_written = 5,
                         .n_rows_ignored = 2};
    assert_fine(f, tfn_registry_set_watermark(f->registry, text("flights"), text("history"), &mark,
                                              &run, &f->err));
}

static bool get(fixture *f, tfn_watermark *mark)
{
    bool found = false;
    assert_fine(f, tfn_registry_get_watermark(f->registry, text("flights"), text("history"), &found,
                                              mark, &f->err));
    return found;
}

static const char *runs(fixture *f, const char *view, int64_t limit)
{
    tfn_buf_clear(&f->answer);
    assert_fine(f, tfn_registry_list_runs(f->registry, text("flights"), text(view), limit,
                                          &f->answer, &f->err));
    return answer_of(f);
}

static void a_watermark_comes_back_exactly(void **state)
{
    fixture *f = *state;
    tfn_watermark mark;
    assert_false(get(f, &mark)); /* no file */
    assert_string_equal(runs(f, "", 0), "[]");
    apply(f, EVERYTHING);
    assert_false(get(f, &mark));
    set(f, TFN_INSTANT_NONE, far_end, (tfn_instant){-1, 1});
    assert_true(get(f, &mark));
    assert_int_equal(tfn_instant_compare(mark.start, TFN_INSTANT_NONE), 0);
    assert_int_equal(tfn_instant_compare(mark.end, far_end), 0);
    assert_int_equal(tfn_instant_compare(mark.created_bound, (tfn_instant){-1, 1}), 0);
    set(f, (tfn_instant){1, 0}, (tfn_instant){2, 0}, TFN_INSTANT_NONE);
    assert_true(get(f, &mark));
    assert_int_equal(mark.end.seconds, 2); /* replaced, not merged: the caller decides */
}

static void runs_are_listed_newest_first(void **state)
{
    fixture *f = *state;
    apply(f, EVERYTHING);
    set(f, TFN_INSTANT_NONE, (tfn_instant){1, 0}, TFN_INSTANT_NONE);
    set(f, (tfn_instant){1, 0}, far_end, TFN_INSTANT_NONE);
    assert_string_equal(
        runs(f, "history", 1),
        "[{\"view\":\"history\",\"start\":\"1970-01-01T00:00:01Z\",\"end\":"
        "\"9999-12-31T23:59:59.999999999Z\",\"created_bound\":null,\"started\":"
        "\"1970-01-01T00:00:10Z\",\"finished\":\"1970-01-01T00:00:12.500Z\",\"rows_read\":7,"
        "\"rows_written\":5,\"rows_ignored\":2}]");
    assert_has(runs(f, "", 0), "},{\"view\":\"history\",\"start\":null");
    assert_string_equal(runs(f, "other", 0), "[]");
}

static void a_forgotten_watermark_leaves_its_runs(void **state)
{
    fixture *f = *state;
    tfn_watermark mark;
    apply(f, EVERYTHING);
    set(f, TFN_INSTANT_NONE, far_end, TFN_INSTANT_NONE);
    assert_fine(
        f, tfn_registry_forget_watermark(f->registry, text("flights"), text("history"), &f->err));
    assert_false(get(f, &mark));
    assert_has(runs(f, "", 0), "\"view\":\"history\"");
    assert_fine(
        f, tfn_registry_forget_watermark(f->registry, text("flights"), text("history"), &f->err));
}

static void a_removed_view_takes_its_watermark_with_it(void **state)
{
    fixture *f = *state;
    tfn_watermark mark;
    apply(f, EVERYTHING);
    set(f, TFN_INSTANT_NONE, far_end, TFN_INSTANT_NONE);
    apply(f, OBJECTS(VIEW_WITH("history", ",\"ttl_us\":5")));
    assert_true(get(f, &mark)); /* a change keeps it */
    apply(f, "{\"objects\":[" ENTITY "," SOURCE "],\"delete_missing\":true}");
    assert_false(get(f, &mark));
    apply(f, EVERYTHING);
    assert_false(get(f, &mark));
}

static void teardown_forgets_watermarks_and_runs(void **state)
{
    fixture *f = *state;
    tfn_watermark mark;
    apply(f, EVERYTHING);
    set(f, TFN_INSTANT_NONE, far_end, TFN_INSTANT_NONE);
    assert_fine(f,
                tfn_registry_teardown(f->registry, text("flights"), text(""), &f->answer, &f->err));
    assert_false(get(f, &mark));
    assert_string_equal(runs(f, "", 0), "[]");
}

static void a_watermark_needs_its_view(void **state)
{
    fixture *f = *state;
    const tfn_watermark mark = {0};
    assert_failed(f,
                  tfn_registry_set_watermark(f->registry, text("flights"), text("history"), &mark,
                                             NULL, &f->err),
                  TFN_NOT_FOUND, "there is no registry at");
    assert_int_equal(access(f->path, F_OK), -1);
    apply(f, OBJECTS(ENTITY));
    assert_failed(f,
                  tfn_registry_set_watermark(f->registry, text("flights"), text("history"), &mark,
                                             NULL, &f->err),
                  TFN_NOT_FOUND, "the feature view 'history' is no longer in the registry");
    assert_failed(f, tfn_registry_forget_watermark(f->registry, text("x"), text("v"), &f->err),
                  TFN_NOT_FOUND, "project 'x'");
}

static void a_watermark_as_bytes_comes_back_exactly(void **state)
{
    (void)state;
    const tfn_watermark mark = {TFN_INSTANT_NONE, far_end, {-5, 7}};
    tfn_watermark back = {0};
    uint8_t bytes[TFN_WATERMARK_BYTES];
    tfn_watermark_pack(&mark, bytes);
    assert_true(tfn_watermark_unpack((tfn_str){(const char *)bytes, sizeof bytes}, &back));
    assert_int_equal(tfn_instant_compare(back.start, mark.start), 0);
    assert_int_equal(tfn_instant_compare(back.end, mark.end), 0);
    assert_int_equal(tfn_instant_compare(back.created_bound, mark.created_bound), 0);
    assert_false(tfn_watermark_unpack((tfn_str){(const char *)bytes, sizeof bytes - 1}, &back));
    assert_int_equal(tfn_instant_compare(back.end, TFN_INSTANT_NONE), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_watermark_comes_back_exactly),
        TEST(runs_are_listed_newest_first),
        TEST(a_forgotten_watermark_leaves_its_runs),
        TEST(a_removed_view_takes_its_watermark_with_it),
        TEST(teardown_forgets_watermarks_and_runs),
        TEST(a_watermark_needs_its_view),
        TEST(a_watermark_as_bytes_comes_back_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
