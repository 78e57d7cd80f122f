/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/offline_fixture.h"

#include "offline/parts.c"

enum { MANY = 50000 };

static void *make_room(int64_t n, size_t size)
{
    void *p = NULL;
    tfn_error err = {0};
    assert_ok(tfn_mem_alloc_array((size_t)n, size, &p, &err), err);
    return p;
}

/* n rows (row number, time), in batches. */
static tfn_frame *make_frame(const int64_t *times, int64_t n, int64_t batch_rows)
{
    int64_t *numbers = make_room(n, sizeof *numbers);
    for (int64_t i = 0; i < n; i++) {
        numbers[i] = i;
    }
    const make_col cols[] = {{.name = "row", .format = "l", .values = numbers},
                             {.name = "t", .format = "tsu:UTC", .values = times}};
    struct ArrowArrayStream stream;
    make_stream(cols, 2, n, batch_rows, &stream);
    tfn_mem_free(numbers);
    return frame_of_stream(&stream);
}

static const size_t COLUMNS[] = {1, 0};

static tfn_parts *begin_parts(tfn_frame *frame, tfn_parts_order order)
{
    tfn_parts *parts = NULL;
    tfn_error err = {0};
    assert_ok(tfn_parts_create(frame, 1, order, COLUMNS, 2, &parts, &err), err);
    return parts;
}

static tfn_frame *next_part(tfn_parts *parts, int64_t max_rows)
{
    tfn_frame *part = NULL;
    tfn_error err = {0};
    assert_ok(tfn_parts_next(parts, max_rows, max_rows, &part, &err), err);
    return part;
}

static int64_t number_in(const tfn_frame *f, size_t i_col, int64_t i_row)
{
    tfn_vec v = {0};
    tfn_error err = {0};
    int64_t i_batch = 0;
    while (i_row >= tfn_frame_get_batch_rows(f, i_batch)) {
        i_row -= tfn_frame_get_batch_rows(f, i_batch);
        i_batch++;
    }
    assert_ok(tfn_frame_get_vec(f, i_batch, i_col, &v, &err), err);
    return tfn_vec_get_int(&v, i_row);
}

static void times_are_looked_at_once(void **state)
{
    (void)state;
    static const int64_t up[] = {-5, -5, 0, 7};
    static const int64_t down[] = {7, 0, 9};
    tfn_error err = {0};
    tfn_parts_times times = {0};
    tfn_frame *frame = make_frame(up, 4, 3);
    assert_ok(tfn_parts_times_read(frame, 1, &times, &err), err);
    assert_true(times.ascends && times.first == -5 && times.last == 7 && times.unit == TFN_UNIT_US);
    tfn_frame_release(frame);
    frame = make_frame(down, 3, 0);
    assert_ok(tfn_parts_times_read(frame, 1, &times, &err), err);
    assert_true(!times.ascends && times.first == 0 && times.last == 9);
    tfn_frame_release(frame);
    frame = make_frame(down, 0, 0);
    assert_ok(tfn_parts_times_read(frame, 1, &times, &err), err);
    assert_true(times.ascends && times.first == 0 && times.last == 0);
    tfn_frame_release(frame);
}

static void the_span_of_parts_by_rows_is_added_up(void **state)
{
    (void)state;
    static const int64_t times[] = {0, 10, 3, 1, 100, 0, INT64_MIN, INT64_MAX};
    tfn_error err = {0};
    int64_t span = 0;
    tfn_frame *frame = make_frame(times, 6, 4);
    assert_ok(tfn_parts_times_span(frame, 1, 2, &span, &err), err);
    assert_int_equal(span, 10 + 2 + 100);
    assert_ok(tfn_parts_times_span(frame, 1, 6, &span, &err), err);
    assert_int_equal(span, 100);
    tfn_frame_release(frame);
    frame = make_frame(times, 8, 3);
    assert_ok(tfn_parts_times_span(frame, 1, 4, &span, &err), err);
    assert_true(span == INT64_MAX);
    tfn_frame_release(frame);
}

static void parts_by_rows_follow_each_other(void **state)
{
    (void)state;
    static const int64_t times[] = {5, 4, 3, 2, 1, 0, 9};
    tfn_frame *frame = make_frame(times, 7, 3);
    tfn_parts *parts = begin_parts(frame, TFN_PARTS_BY_ROWS);
    static const int64_t wanted[] = {3, 3, 1};
    int64_t i_row = 0;
    for (size_t i = 0; i < 3; i++) {
        tfn_frame *part = next_part(parts, 3);
        assert_int_equal(tfn_frame_get_n_rows(part), wanted[i]);
        for (int64_t k = 0; k < wanted[i]; k++) {
            assert_int_equal(number_in(part, 0, k), i_row++);
        }
        tfn_frame_release(part);
        assert_int_equal(tfn_parts_get_n_rows_done(parts), i_row);
    }
    assert_null(next_part(parts, 3));
    tfn_parts_destroy(parts);
    tfn_frame_release(frame);
}

/* Cut by time; check that every row is in one part, in order, in the part that the route says, and
 * that parts follow each other in time. */
static int64_t expect_parts_by_time(const int64_t *times, int64_t n, int64_t max_rows)
{
    tfn_frame *frame = make_frame(times, n, n / 3 + 1);
    tfn_parts *parts = begin_parts(frame, TFN_PARTS_BY_TIME);
    int64_t *part_of_row = make_room(n, sizeof *part_of_row);
    uint32_t *route = make_room(n, sizeof *route);
    int64_t n_parts = 0;
    int64_t n_seen = 0;
    int64_t last = INT64_MIN;
    tfn_frame *part = next_part(parts, max_rows);
    for (; part != NULL; part = next_part(parts, max_rows)) {
        const int64_t n_part = tfn_frame_get_n_rows(part);
        assert_true(n_part > 0 && n_part <= max_rows);
        int64_t greatest = INT64_MIN;
        int64_t before = -1;
        for (int64_t k = 0; k < n_part; k++) {
            const int64_t time = number_in(part, 0, k);
            const int64_t row = number_in(part, 1, k);
            assert_true(row > before && times[row] == time && time >= last);
            greatest = time > greatest ? time : greatest;
            part_of_row[row] = n_parts;
            before = row;
        }
        last = greatest;
        n_seen += n_part;
        n_parts++;
        tfn_frame_release(part);
    }
    assert_int_equal(n_seen, n);
    tfn_error err = {0};
    const int64_t half = n / 2;
    assert_ok(tfn_parts_route(parts, 0, half, route, &err), err);
    assert_ok(tfn_parts_route(parts, half, n - half, route + half, &err), err);
    for (int64_t i = 0; i < n; i++) {
        assert_int_equal(route[i], part_of_row[i]);
    }
    tfn_mem_free(part_of_row);
    tfn_mem_free(route);
    tfn_parts_destroy(parts);
    tfn_frame_release(frame);
    return n_parts;
}

static void parts_by_time_hold_every_row_once(void **state)
{
    (void)state;
    static const int64_t times[] = {5, 4, INT64_MAX, 2, 5, INT64_MIN, 9, 5, 5};
    for (int64_t most = 1; most < 11; most++) {
        const int64_t n_parts = expect_parts_by_time(times, 9, most);
        assert_int_equal(n_parts, (9 + most - 1) / most);
    }
}

static void rows_of_one_instant_are_cut_too(void **state)
{
    (void)state;
    static const int64_t times[8] = {0};
    assert_int_equal(expect_parts_by_time(times, 8, 3), 3);
}

static void many_rows_are_cut_by_a_sample(void **state)
{
    (void)state;
    static int64_t times[MANY];
    for (int64_t i = 0; i < MANY; i++) {
        times[i] = (i * 7919) % MANY;
    }
    times[17] = INT64_MAX; /* one row of the far future */
    const int64_t n_parts = expect_parts_by_time(times, MANY, 6000);
    assert_true(n_parts >= 9 && n_parts <= 11);
    for (int64_t i = 0; i < MANY; i++) {
        times[i] = i % 2; /* two instants */
    }
    assert_true(expect_parts_by_time(times, MANY, 6000) <= 11);
}

static void no_part_is_empty_however_small_it_must_be(void **state)
{
    (void)state;
    static int64_t times[MANY];
    tfn_frame *frame = make_frame(times, MANY, 0);
    tfn_parts *parts = begin_parts(frame, TFN_PARTS_BY_TIME);
    for (int i = 0; i < 3; i++) { /* fewer rows than the sample can tell apart */
        tfn_frame *part = next_part(parts, 1);
        assert_in_range(tfn_frame_get_n_rows(part), 1, 3 * MANY / SAMPLE);
        tfn_frame_release(part);
    }
    tfn_parts_destroy(parts);
    tfn_frame_release(frame);
}

static void a_null_time_is_named_with_its_row(void **state)
{
    (void)state;
    static const int64_t times[] = {1, 2, 3};
    static const uint8_t valid[] = {1, 1, 0};
    const make_col cols[] = {{.name = "k", .format = "l", .values = times},
                             {.name = "t", .format = "tsu:UTC", .values = times, .valid = valid}};
    struct ArrowArrayStream stream;
    make_stream(cols, 2, 3, 2, &stream);
    tfn_frame *frame = frame_of_stream(&stream);
    tfn_error err = {0};
    tfn_parts_times unused;
    assert_int_equal(tfn_parts_times_read(frame, 1, &unused, &err), TFN_INVALID);
    assert_text(err.message, "'t' is null in row 2 (counted from 0)");
    err = (tfn_error){0};
    assert_int_equal(tfn_parts_times_read(frame, 0, &unused, &err), TFN_SCHEMA);
    assert_text(err.message, "'k': expected timestamp, found int64");
    tfn_frame_release(frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_looked_at_once),
        cmocka_unit_test(the_span_of_parts_by_rows_is_added_up),
        cmocka_unit_test(parts_by_rows_follow_each_other),
        cmocka_unit_test(parts_by_time_hold_every_row_once),
        cmocka_unit_test(rows_of_one_instant_are_cut_too),
        cmocka_unit_test(many_rows_are_cut_by_a_sample),
        cmocka_unit_test(no_part_is_empty_however_small_it_must_be),
        cmocka_unit_test(a_null_time_is_named_with_its_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
