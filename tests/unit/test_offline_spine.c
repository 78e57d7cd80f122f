/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/offline_fixture.h"

#include "unit/crew_make.h"

#include "offline/spine.c"

static const size_t KEY_COLUMN[] = {0, 1, 2};

static tfn_code create(const make_col *cols, size_t n_cols, int64_t n_rows, int64_t batch_rows,
                       tfn_kind key, tfn_spine **out, tfn_error *err)
{
    struct ArrowArrayStream stream;
    make_stream(cols, n_cols, n_rows, batch_rows, &stream);
    tfn_frame *frame = frame_of_stream(&stream);
    const tfn_type types[] = {{.kind = (uint8_t)key}, {.kind = TFN_KIND_STRING}};
    const tfn_code rc = tfn_spine_create(frame, KEY_COLUMN, types, n_cols - 1, n_cols - 1,
                                         &(tfn_crew){.n_threads = 2}, out, err);
    tfn_frame_release(frame);
    return rc;
}

static void rows_of_one_key_and_time_share_a_slot(void **state)
{
    (void)state;
    const int64_t k[] = {5, 7, 5, 5, 7, 5, 9};
    const uint8_t k_valid[] = {1, 1, 1, 1, 1, 1, 0};
    const int64_t t[] = {30, -1, 10, 30, -1, 20, 1};
    const make_col cols[] = {{.name = "k", .format = "l", .values = k, .valid = k_valid},
                             {.name = "t", .format = "tsu:UTC", .values = t}};
    for (int64_t batch_rows = 0; batch_rows < 4; batch_rows++) {
        tfn_spine *s = NULL;
        tfn_error err = {0};
        assert_ok(create(cols, 2, 7, batch_rows, TFN_KIND_INT64, &s, &err), err);
        static const uint32_t slots[] = {2, 3, 0, 2, 3, 1, TFN__NO_SLOT};
        static const int64_t times[] = {10, 20, 30, -1};
        assert_memory_equal(s->row_slot, slots, sizeof slots);
        assert_memory_equal(s->times, times, sizeof times);
        assert_int_equal(tfn_spine_get_n_rows(s), 7);
        assert_int_equal(tfn_spine_get_n_groups(s), 2);
        assert_int_equal(tfn_spine_get_n_slots(s), 4);
        assert_int_equal(s->n_rows_without_key, 1);
        tfn_instant first = {0};
        tfn_instant last = {0};
        assert_true(tfn_spine_get_time_range(s, &first, &last));
        assert_int_equal(tfn_instant_compare(first, tfn_instant_of(-1, TFN_UNIT_US)), 0);
        assert_int_equal(tfn_instant_compare(last, tfn_instant_of(30, TFN_UNIT_US)), 0);
        tfn_spine_destroy(s);
    }
}

static void the_first_time_not_before_is_found(void **state)
{
    (void)state;
    int64_t k[33];
    int64_t t[33];
    for (int64_t n = 1; n <= 33; n++) {
        for (int64_t i = 0; i < n; i++) {
            k[i] = 1;
            t[i] = i * 10;
        }
        const make_col cols[] = {{.name = "k", .format = "l", .values = k},
                                 {.name = "t", .format = "tsu:UTC", .values = t}};
        tfn_spine *s = NULL;
        tfn_error err = {0};
        assert_ok(create(cols, 2, n, 0, TFN_KIND_INT64, &s, &err), err);
        assert_int_equal(s->groups[0].first, 0);
        assert_int_equal(s->groups[0].last, (n - 1) * 10);
        for (int64_t x = -5; x <= s->groups[0].last; x++) {
            const int64_t expected = x <= 0 ? 0 : (x + 9) / 10;
            const tfn__place place = tfn__spine_find(s, &s->groups[0], x);
            assert_int_equal(place.slot, expected);
            assert_int_equal(place.time, expected * 10);
        }
        assert_int_equal(tfn__spine_find(s, &s->groups[0], INT64_MIN).slot, 0);
        tfn_spine_destroy(s);
    }
}

static void large_groups_are_sorted_too(void **state)
{
    (void)state;
    enum { ROWS = 5000 };
    static int64_t k[ROWS];
    static int64_t t[ROWS];
    for (int64_t i = 0; i < ROWS; i++) {
        k[i] = i % 2;
        t[i] = (i * 7919) % 1000 - 500;
    }
    const make_col cols[] = {{.name = "k", .format = "l", .values = k},
                             {.name = "t", .format = "tsm:UTC", .values = t}};
    tfn_spine *s = NULL;
    tfn_error err = {0};
    assert_ok(create(cols, 2, ROWS, 700, TFN_KIND_INT64, &s, &err), err);
    for (int64_t i = 0; i < ROWS; i++) {
        assert_int_equal(s->times[s->row_slot[i]], t[i]);
    }
    for (uint32_t i = 1; i < s->n_slots; i++) {
        assert_true(i == s->groups[1].begin || s->times[i - 1] < s->times[i]);
    }
    tfn_spine_destroy(s);
}

/* Rows enough for several parts and, with one key, for a group that all threads sort. */
static void the_index_does_not_depend_on_the_number_of_threads(void **state)
{
    (void)state;
    enum { ROWS = 150000, KEYS = 3 };
    static const int64_t n_keys[KEYS] = {1, 700, 100000};
    static const int n_threads[] = {1, 2, 7};
    static int64_t k[ROWS];
    static int64_t t[ROWS];
    static uint8_t valid[ROWS];
    const tfn_type type = {.kind = TFN_KIND_INT64};
    for (int m = 0; m < KEYS; m++) {
        for (int64_t i = 0; i < ROWS; i++) {
            k[i] = i * 7919 % n_keys[m];
            t[i] = i * 104729 % 90001 * 1000 - 500;
            valid[i] = i % 1000 == 0 ? 0 : 1;
        }
        const make_col cols[] = {{.name = "k", .format = "l", .values = k, .valid = valid},
                                 {.name = "t", .format = "tsu:UTC", .values = t}};
        struct ArrowArrayStream stream;
        make_stream(cols, 2, ROWS, 4000, &stream);
        tfn_frame *frame = frame_of_stream(&stream);
        tfn_spine *spines[3] = {0};
        tfn_error err = {0};
        for (int i = 0; i < 3; i++) {
            assert_ok(tfn_spine_create(frame, KEY_COLUMN, &type, 1, 1,
                                       &(tfn_crew){.n_threads = n_threads[i]}, &spines[i], &err),
                      err);
            const tfn_spine *s = spines[i];
            assert_int_equal(s->n_groups, spines[0]->n_groups);
            assert_int_equal(s->n_slots, spines[0]->n_slots);
            assert_int_equal(s->n_rows_without_key, ROWS / 1000);
            assert_memory_equal(s->row_slot, spines[0]->row_slot, ROWS * sizeof *s->row_slot);
            assert_memory_equal(s->times, spines[0]->times, s->n_slots * sizeof *s->times);
            assert_memory_equal(s->groups, spines[0]->groups, s->n_groups * sizeof *s->groups);
        }
        for (int64_t i = 0; i < ROWS; i++) {
            assert_true(valid[i] == 0 ? spines[0]->row_slot[i] == TFN__NO_SLOT
                                      : spines[0]->times[spines[0]->row_slot[i]] == t[i]);
        }
        for (uint32_t i = 1; i < spines[0]->groups[0].n; i++) {
            assert_true(spines[0]->times[i - 1] < spines[0]->times[i]);
        }
        for (int i = 0; i < 3; i++) {
            tfn_spine_destroy(spines[i]);
        }
        tfn_frame_release(frame);
    }
}

static void a_null_entity_time_names_its_row_and_column(void **state)
{
    (void)state;
    const int64_t k[] = {1, 2, 3, 4};
    const uint8_t k_valid[] = {1, 1, 0, 1}; /* a null key does not excuse it */
    const int64_t t[] = {1, 2, 3, 4};
    const uint8_t t_valid[] = {1, 1, 0, 0};
    const make_col cols[] = {
        {.name = "k", .format = "l", .values = k, .valid = k_valid},
        {.name = "event_timestamp", .format = "tsn:UTC", .values = t, .valid = t_valid}};
    tfn_spine *s = NULL;
    tfn_error err = {0};
    assert_int_equal(create(cols, 2, 4, 1, TFN_KIND_INT64, &s, &err), TFN_INVALID);
    assert_null(s);
    assert_text(err.message, "'event_timestamp' is null in row 2");
}

static void a_time_column_of_another_type_is_named(void **state)
{
    (void)state;
    const int64_t k[] = {1};
    const char *t[] = {"2013-01-01"};
    const make_col cols[] = {{.name = "k", .format = "l", .values = k},
                             {.name = "when", .format = "u", .values = t}};
    tfn_spine *s = NULL;
    tfn_error err = {0};
    assert_int_equal(create(cols, 2, 1, 0, TFN_KIND_INT64, &s, &err), TFN_SCHEMA);
    assert_text(err.message, "'when': expected timestamp, found string");
}

static void a_key_column_of_another_type_is_named_with_both(void **state)
{
    (void)state;
    const char *k[] = {"a"};
    const int64_t t[] = {1};
    const make_col cols[] = {{.name = "plane", .format = "u", .values = k},
                             {.name = "t", .format = "tsu:UTC", .values = t}};
    tfn_spine *s = NULL;
    tfn_error err = {0};
    assert_int_equal(create(cols, 2, 1, 0, TFN_KIND_INT64, &s, &err), TFN_SCHEMA);
    assert_text(err.message, "'plane' of the entity rows: expected int64, found string");
}

static void keys_of_floats_that_hold_whole_numbers_are_read(void **state)
{
    (void)state;
    const double k[] = {1.0, 2.0, 1.0};
    const double fraction[] = {1.5};
    const int64_t t[] = {1, 2, 3};
    const make_col cols[] = {{.name = "k", .format = "g", .values = k},
                             {.name = "t", .format = "tsu:UTC", .values = t}};
    tfn_spine *s = NULL;
    tfn_error err = {0};
    assert_ok(create(cols, 2, 3, 0, TFN_KIND_INT64, &s, &err), err);
    assert_int_equal(tfn_spine_get_n_groups(s), 2);
    tfn_spine_destroy(s);
    const make_col bad[] = {{.name = "k", .format = "g", .values = fraction}, cols[1]};
    assert_int_equal(create(bad, 2, 1, 0, TFN_KIND_INT64, &s, &err), TFN_SCHEMA);
    assert_text(err.message, "1.5 is not a whole number");
}

static void dates_may_be_entity_times(void **state)
{
    (void)state;
    const int64_t k[] = {1, 1};
    const int32_t t[] = {1, 0};
    const make_col cols[] = {{.name = "k", .format = "l", .values = k},
                             {.name = "t", .format = "tdD", .values = t}};
    tfn_spine *s = NULL;
    tfn_error err = {0};
    assert_ok(create(cols, 2, 2, 0, TFN_KIND_INT64, &s, &err), err);
    assert_int_equal(s->times[1], 86400);
    assert_int_equal(s->unit, TFN_UNIT_S);
    tfn_spine_destroy(s);
}

static void a_frame_without_rows_has_no_slots(void **state)
{
    (void)state;
    const make_col cols[] = {{.name = "k", .format = "l"}, {.name = "t", .format = "tsu:UTC"}};
    tfn_spine *s = NULL;
    tfn_error err = {0};
    assert_ok(create(cols, 2, 0, 0, TFN_KIND_INT64, &s, &err), err);
    tfn_instant first = {0};
    tfn_instant last = {0};
    assert_false(tfn_spine_get_time_range(s, &first, &last));
    assert_int_equal(tfn_spine_get_n_slots(s), 0);
    tfn_spine_destroy(s);
    tfn_spine_destroy(NULL);
}

static void composite_keys_differ_where_any_part_does(void **state)
{
    (void)state;
    const int64_t a[] = {1, 1, 2, 1};
    const char *b[] = {"x", "y", "x", "x"};
    const int64_t t[] = {1, 1, 1, 2};
    const make_col cols[] = {{.name = "a", .format = "l", .values = a},
                             {.name = "b", .format = "u", .values = b},
                             {.name = "t", .format = "tsu:UTC", .values = t}};
    tfn_spine *s = NULL;
    tfn_error err = {0};
    assert_ok(create(cols, 3, 4, 0, TFN_KIND_INT64, &s, &err), err);
    assert_int_equal(tfn_spine_get_n_groups(s), 3);
    assert_int_equal(s->row_slot[3], s->row_slot[0] + 1);
    tfn_spine_destroy(s);
}

/* One large group beside small ones: all steps are taken, on one thread and on several. */
static void every_tick_of_building_may_stop_it(void **state)
{
    (void)state;
    enum { MANY = 90000, OF_LARGE = 66000, STEP = 7 };
    static int64_t k[MANY];
    static int64_t t[MANY];
    for (int64_t i = 0; i < MANY; i++) {
        k[i] = i < OF_LARGE ? 0 : i / 4;
        t[i] = i * 104729 % 90001;
    }
    const make_col cols[] = {{.name = "k", .format = "l", .values = k},
                             {.name = "t", .format = "tsu:UTC", .values = t}};
    struct ArrowArrayStream stream;
    make_stream(cols, 2, MANY, 20000, &stream);
    tfn_frame *frame = frame_of_stream(&stream);
    const tfn_type type = {.kind = TFN_KIND_INT64};
    for (int n_threads = 1; n_threads < 4; n_threads += 2) {
        tfn_code rc = TFN_CANCELLED;
        tfn_error err = {0};
        int64_t n_stops = 0;
        for (int64_t at = 0; rc != TFN_OK; at += n_threads == 1 ? 1 : STEP) {
            tfn_crew crew;
            stopping s;
            tfn_spine *spine = NULL;
            make_stopping_crew(&crew, n_threads, at, &s);
            rc = tfn_spine_create(frame, KEY_COLUMN, &type, 1, 1, &crew, &spine, &err);
            assert_true(rc == TFN_OK || rc == TFN_CANCELLED);
            assert_true(rc == TFN_OK ? s.n_ticks <= at : s.n_ticks == at + 1);
            assert_true((rc == TFN_OK) == (spine != NULL));
            n_stops += rc == TFN_CANCELLED ? 1 : 0;
            tfn_spine_destroy(spine);
        }
        assert_true(n_stops >= 5);
        assert_string_equal(err.message, "a step was stopped");
    }
    tfn_frame_release(frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_one_key_and_time_share_a_slot),
        cmocka_unit_test(the_first_time_not_before_is_found),
        cmocka_unit_test(large_groups_are_sorted_too),
        cmocka_unit_test(the_index_does_not_depend_on_the_number_of_threads),
        cmocka_unit_test(a_null_entity_time_names_its_row_and_column),
        cmocka_unit_test(a_time_column_of_another_type_is_named),
        cmocka_unit_test(a_key_column_of_another_type_is_named_with_both),
        cmocka_unit_test(keys_of_floats_that_hold_whole_numbers_are_read),
        cmocka_unit_test(dates_may_be_entity_times),
        cmocka_unit_test(a_frame_without_rows_has_no_slots),
        cmocka_unit_test(composite_keys_differ_where_any_part_does),
        cmocka_unit_test(every_tick_of_building_may_stop_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
