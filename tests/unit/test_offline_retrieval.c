/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/offline_fixture.h"

#include "offline/retrieval.c"

enum { ROWS = 60 };

/* Entity rows (k, t) whose times go up, or back and forth; source rows (k, t) with value t. */
typedef struct world {
    tfn_frame *frame;
    tfn_source *source;
    size_t key;
    tfn_retrieval_view view;
    int64_t expected[ROWS];
} world;

static void set_up(world *w, bool ascends)
{
    int64_t k[ROWS];
    int64_t t[ROWS];
    int64_t source[ROWS][4];
    for (int i = 0; i < ROWS; i++) {
        k[i] = i % 2;
        t[i] = 10 * (ascends ? i : i * 7 % ROWS);
        source[i][0] = i % 3; /* one key of them is nobody's */
        source[i][1] = 10 * i - 1;
        source[i][2] = NONE;
        source[i][3] = 10 * i - 1;
    }
    const make_col cols[] = {{.name = "label", .format = "l", .values = t},
                             {.name = "k", .format = "l", .values = k},
                             {.name = "t", .format = "tsu:UTC", .values = t}};
    struct ArrowArrayStream stream;
    make_stream(cols, 3, ROWS, 17, &stream);
    w->frame = frame_of_stream(&stream);
    w->source = source_of((const int64_t(*)[4])source, ROWS);
    w->key = 1;
    w->view = (tfn_retrieval_view){fixture_view(), &w->key, w->source};
    for (int i = 0; i < ROWS; i++) {
        w->expected[i] = NONE;
        for (int j = 0; j < ROWS; j++) {
            if (source[j][0] == k[i] && source[j][1] <= t[i]) {
                w->expected[i] = source[j][3];
            }
        }
    }
}

static void tear_down(world *w)
{
    tfn_source_destroy(w->source);
    tfn_frame_release(w->frame);
}

static tfn_retrieval *begin(world *w, int64_t part_rows, bool is_by_time)
{
    const tfn_retrieval_opts opts = {
        .n_threads = 1, .force_part_rows = part_rows, .force_by_time = is_by_time};
    tfn_retrieval *r = NULL;
    tfn_error err = {0};
    assert_ok(tfn_retrieval_create(w->frame, 2, &w->view, 1, &opts, &r, &err), err);
    return r;
}

/* Rows of the next piece, compared; 0 at the end. */
static int64_t expect_piece(const world *w, tfn_retrieval *r, const tfn_retrieval_watch *watch,
                            int64_t i_row)
{
    tfn_frame *rows = NULL;
    tfn_column *column = NULL;
    tfn_error err = {0};
    assert_ok(tfn_retrieval_next(r, watch, &rows, &column, &err), err);
    const int64_t n = rows == NULL ? 0 : tfn_frame_get_n_rows(rows);
    for (int64_t i = 0; i < n; i++) {
        assert_int_equal(value_at(column, i), w->expected[i_row + i]);
    }
    assert_true((rows == NULL) == (column == NULL));
    tfn_column_release(column);
    tfn_frame_release(rows);
    return n;
}

static void the_first_piece_leaves_before_the_last_part(void **state)
{
    (void)state;
    world w;
    set_up(&w, true);
    tfn_retrieval *r = begin(&w, 25, false);
    size_t n_parts = 0;
    assert_int_equal(tfn_retrieval_get_plan(r)->n_parts, 3);
    assert_int_equal(expect_piece(&w, r, NULL, 0), 25);
    (void)tfn_retrieval_get_parts(r, &n_parts);
    assert_int_equal(n_parts, 1);
    assert_int_equal(expect_piece(&w, r, NULL, 25), 25);
    assert_int_equal(expect_piece(&w, r, NULL, 50), 10);
    assert_int_equal(expect_piece(&w, r, NULL, 60), 0);
    assert_int_equal(expect_piece(&w, r, NULL, 60), 0);
    const tfn_retrieval_part *parts = tfn_retrieval_get_parts(r, &n_parts);
    assert_int_equal(n_parts, 3);
    assert_true(parts[0].n_rows == 25 && parts[2].n_rows == 10 && parts[1].bytes > 0);
    assert_int_equal(tfn_retrieval_get_stats(r, 0)->n_spine_rows, ROWS);
    assert_int_equal(tfn_retrieval_get_spool_bytes(r), 0);
    tfn_retrieval_destroy(r);
    tear_down(&w);
}

static void parts_by_time_leave_in_the_order_of_the_rows(void **state)
{
    (void)state;
    world w;
    set_up(&w, false);
    tfn_retrieval *r = begin(&w, 7, true);
    size_t n_parts = 0;
    assert_int_equal(expect_piece(&w, r, NULL, 0), ROWS);
    (void)tfn_retrieval_get_parts(r, &n_parts);
    assert_int_equal(n_parts, 9);
    assert_true(tfn_retrieval_get_spool_bytes(r) >= ROWS * 9);
    assert_int_equal(expect_piece(&w, r, NULL, ROWS), 0);
    tfn_retrieval_destroy(r);
    tear_down(&w);
}

typedef struct watched {
    int n_ticks;
    int n_looks;
    int stop_at; /* 0: never */
    bool saw_part;
} watched;

static int tick(void *context, const tfn_progress *progress)
{
    watched *seen = context;
    seen->n_ticks++;
    seen->saw_part = seen->saw_part || strncmp(progress->what, "part ", 5) == 0;
    return seen->n_ticks == seen->stop_at ? 1 : 0;
}

static tfn_code look(void *context, size_t i_view, const tfn_spine *spine,
                     const tfn_offline_opts *opts, tfn_error *err)
{
    (void)opts;
    (void)err;
    watched *seen = context;
    assert_int_equal(i_view, 0);
    assert_int_equal(tfn_spine_get_n_rows(spine), 20);
    seen->n_looks++;
    return TFN_OK;
}

static void the_first_part_is_shown(void **state)
{
    (void)state;
    world w;
    set_up(&w, true);
    watched seen = {0};
    const tfn_retrieval_watch watch = {tick, &seen, look, &seen};
    tfn_retrieval *r = begin(&w, 20, false);
    for (int64_t i = 0; i < ROWS; i += 20) {
        assert_int_equal(expect_piece(&w, r, &watch, i), 20);
    }
    assert_int_equal(seen.n_looks, 1);
    tfn_retrieval_destroy(r);
    seen = (watched){0};
    tfn_error err = {0};
    r = begin(&w, 20, true);
    assert_ok(tfn_retrieval_explain(r, look, &seen, &err), err);
    assert_int_equal(seen.n_looks, 1);
    tfn_retrieval_destroy(r);
    tear_down(&w);
}

static void a_tick_may_stop_it_anywhere(void **state)
{
    (void)state;
    world w;
    set_up(&w, false);
    watched seen = {.stop_at = -1};
    const tfn_retrieval_watch watch = {.tick = tick, .tick_context = &seen};
    tfn_retrieval *r = begin(&w, 7, true);
    assert_int_equal(expect_piece(&w, r, &watch, 0), ROWS);
    tfn_retrieval_destroy(r);
    const int n_ticks = seen.n_ticks;
    assert_true(n_ticks > 9); /* one per part at least, and the reading */
    for (int k = 1; k <= n_ticks; k++) {
        tfn_frame *rows = NULL;
        tfn_column *column = NULL;
        tfn_error err = {0};
        seen = (watched){.stop_at = k};
        r = begin(&w, 7, true);
        assert_int_equal(tfn_retrieval_next(r, &watch, &rows, &column, &err), TFN_CANCELLED);
        assert_true(rows == NULL && column == NULL);
        tfn_retrieval_destroy(r);
    }
    tear_down(&w);
}

static void a_folder_that_is_not_there_is_told(void **state)
{
    (void)state;
    world w;
    set_up(&w, false);
    char folder[] = "/no/such/folder";
    const tfn_retrieval_opts opts = {
        .force_part_rows = 7, .force_by_time = true, .spool_folder = folder};
    tfn_retrieval *r = NULL;
    tfn_frame *rows = NULL;
    tfn_column *column = NULL;
    tfn_error err = {0};
    assert_ok(tfn_retrieval_create(w.frame, 2, &w.view, 1, &opts, &r, &err), err);
    folder[0] = '?'; /* it was copied */
    assert_int_equal(tfn_retrieval_next(r, NULL, &rows, &column, &err), TFN_IO);
    assert_text(err.message, "'/no/such/folder'");
    tfn_retrieval_destroy(r);
    tear_down(&w);
}

static void an_error_of_a_later_part_ends_it(void **state)
{
    (void)state;
    world w;
    set_up(&w, true);
    struct ArrowArrayStream stream;
    const int64_t none[1] = {0};
    const make_col cols[] = {{.name = "k", .format = "l", .values = none},
                             {.name = "ts", .format = "tsu:UTC", .values = none},
                             {.name = "created", .format = "tsu:UTC", .values = none},
                             {.name = "v", .format = "l", .values = none}};
    make_stream(cols, 4, 1, 0, &stream); /* can be read once: the second part fails */
    tfn_source *once = NULL;
    tfn_error err = {0};
    assert_ok(tfn_source_of_stream(&stream, tfn_str_of("a pipe"), &once, &err), err);
    w.view.source = once;
    tfn_retrieval *r = begin(&w, 20, false);
    tfn_frame *rows = NULL;
    tfn_column *column = NULL;
    assert_ok(tfn_retrieval_next(r, NULL, &rows, &column, &err), err);
    tfn_frame_release(rows);
    tfn_column_release(column);
    assert_int_equal(tfn_retrieval_next(r, NULL, &rows, &column, &err), TFN_INVALID);
    assert_text(err.message, "a pipe is a stream");
    assert_true(rows == NULL && column == NULL);
    tfn_retrieval_destroy(r);
    tfn_source_destroy(once);
    tear_down(&w);
}

static void no_rows_are_one_piece_of_none(void **state)
{
    (void)state;
    world w;
    set_up(&w, true);
    tfn_frame *none = NULL;
    tfn_frame *rows = NULL;
    tfn_column *column = NULL;
    tfn_retrieval *r = NULL;
    tfn_error err = {0};
    const tfn_retrieval_opts opts = {.limit_bytes = 1, .force_part_rows = 5};
    assert_ok(tfn_frame_slice(w.frame, 0, 0, 0, &none, &err), err);
    assert_ok(tfn_retrieval_create(none, 2, &w.view, 1, &opts, &r, &err), err);
    assert_ok(tfn_retrieval_next(r, NULL, &rows, &column, &err), err);
    assert_int_equal(tfn_frame_get_n_rows(rows), 0);
    assert_int_equal(tfn_column_get_n_rows(column), 0);
    tfn_frame_release(rows);
    tfn_column_release(column);
    assert_ok(tfn_retrieval_next(r, NULL, &rows, &column, &err), err);
    assert_null(rows);
    tfn_retrieval_destroy(r);
    tfn_frame_release(none);
    tear_down(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_piece_leaves_before_the_last_part),
        cmocka_unit_test(parts_by_time_leave_in_the_order_of_the_rows),
        cmocka_unit_test(the_first_part_is_shown),
        cmocka_unit_test(a_tick_may_stop_it_anywhere),
        cmocka_unit_test(a_folder_that_is_not_there_is_told),
        cmocka_unit_test(an_error_of_a_later_part_ends_it),
        cmocka_unit_test(no_rows_are_one_piece_of_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
