/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/offline_fixture.h"

#include "offline/budget.c"

static const tfn_type TYPES[] = {{.kind = TFN_KIND_FLOAT64}, {.kind = TFN_KIND_STRING}};

static tfn_budget budget_of(int64_t limit_bytes)
{
    const tfn_join_view join = fixture_view();
    const tfn_budget_view view = {.join = &join};
    return tfn_budget_of(&view, 1, 1, limit_bytes, 2);
}

static void without_a_limit_everything_fits(void **state)
{
    (void)state;
    const tfn_budget b = budget_of(0);
    assert_true(tfn_budget_fits(&b, INT64_MAX));
    assert_int_equal(b.reader_bytes, 512 * MB);
}

static void a_row_takes_its_index_its_work_and_its_answer(void **state)
{
    (void)state;
    const tfn_budget b = budget_of(0);
    /* index 12 + 48 + 9 * 3 / 2, work 44 (a slot, its answer and a winner), an int64 and its bit */
    assert_int_equal(b.row_bytes, 73 + 44 + 9);
    assert_int_equal(b.part_row_bytes, b.row_bytes + 12 + 9); /* and a copy of key, time, number */
}

static void the_reader_gets_at_most_half(void **state)
{
    (void)state;
    assert_int_equal(budget_of(100 * MB).reader_bytes, 50 * MB);
    assert_int_equal(budget_of(INT64_C(10000) * MB).reader_bytes, 512 * MB);
    assert_int_equal(budget_of(20 * MB).reader_bytes, 16 * MB); /* but what it cannot do without */
}

static void views_share_an_index_and_work_one_after_the_other(void **state)
{
    (void)state;
    tfn_join_view join[2] = {fixture_view(), fixture_view()};
    join[1].n_features = 2;
    join[1].feature_types = TYPES;
    const tfn_budget_view shared[] = {{&join[0], 0}, {&join[1], 0}};
    const tfn_budget_view apart[] = {{&join[0], 0}, {&join[1], 1}};
    const tfn_budget one = tfn_budget_of(shared, 2, 1, 0, 1);
    const tfn_budget two = tfn_budget_of(apart, 2, 2, 0, 1);
    assert_int_equal(two.row_bytes - one.row_bytes, 73);
    /* answer 12 + record of a double (9) and a text (17 + 64) = 104; both answers: 9 + 77 */
    assert_int_equal(one.row_bytes, 73 + 12 + 96 + 9 + 77);
}

static void parts_are_as_large_as_fits(void **state)
{
    (void)state;
    const tfn_budget b = budget_of(100 * MB);
    const int64_t n = tfn_budget_get_part_rows(&b);
    assert_true(b.fixed_bytes + n * b.part_row_bytes <= 100 * MB);
    assert_true(b.fixed_bytes + (n + 1) * b.part_row_bytes > 100 * MB);
    assert_true(tfn_budget_fits(&b, n));
    assert_false(tfn_budget_fits(&b, INT64_MAX));
    assert_false(tfn_budget_fits(&b, 2 * n));
}

static void the_least_limit_is_one_that_does(void **state)
{
    (void)state;
    const tfn_budget small = budget_of(1);
    assert_int_equal(tfn_budget_get_part_rows(&small), 0);
    const tfn_budget b = budget_of(tfn_budget_get_least_limit(&small, 1000000));
    assert_int_equal(tfn_budget_get_part_rows(&b), TFN_BUDGET_LEAST_ROWS);
    const tfn_budget less = budget_of(tfn_budget_get_least_limit(&small, 1000000) - 1);
    assert_true(tfn_budget_get_part_rows(&less) < TFN_BUDGET_LEAST_ROWS);
}

/* From some 32 MiB on the reader takes half of the limit, and in the end no more than usual. */
static void the_least_limit_of_many_features_is_one_that_does(void **state)
{
    (void)state;
    tfn_type types[40000];
    for (size_t i = 0; i < 40000; i++) {
        types[i] = (tfn_type){.kind = TFN_KIND_FLOAT64};
    }
    tfn_join_view join = fixture_view();
    join.feature_types = types;
    const tfn_budget_view view = {.join = &join};
    for (join.n_features = 50; join.n_features <= 40000; join.n_features += 750) {
        const tfn_budget small = tfn_budget_of(&view, 1, 1, 1, 2);
        const int64_t limit_bytes = tfn_budget_get_least_limit(&small, 1000000);
        const tfn_budget b = tfn_budget_of(&view, 1, 1, limit_bytes, 2);
        assert_int_equal(tfn_budget_get_part_rows(&b), TFN_BUDGET_LEAST_ROWS);
        const tfn_budget less = tfn_budget_of(&view, 1, 1, limit_bytes - 2, 2);
        assert_true(tfn_budget_get_part_rows(&less) < TFN_BUDGET_LEAST_ROWS);
    }
}

static void what_a_part_took_is_learned(void **state)
{
    (void)state;
    tfn_budget b = budget_of(100 * MB);
    const int64_t reckoned = b.part_row_bytes;
    tfn_budget_learn(&b, &(tfn_budget_use){0});
    assert_int_equal(b.part_row_bytes, reckoned);
    tfn_budget_learn(&b, &(tfn_budget_use){.n_rows = 100, .index_bytes = 1}); /* repeated keys */
    assert_true(b.part_row_bytes < reckoned && b.part_row_bytes >= reckoned / 2);
    const tfn_budget_use texts = {.n_rows = 100, .work_bytes = 100000, .output_bytes = 90000};
    tfn_budget_learn(&b, &texts); /* long texts */
    assert_true(b.part_row_bytes > 1900 + 900);
}

static void the_largest_view_is_what_a_part_took(void **state)
{
    (void)state;
    tfn_budget_use use = {0};
    tfn_budget_use_view(&use, &(tfn_join_stats){.two_step = true,
                                                .n_slots = 10,
                                                .bytes_slots = 240,
                                                .bytes_values = 1000,
                                                .bytes_index = 7});
    assert_int_equal(use.work_bytes, 1120);
    tfn_budget_use_view(&use, &(tfn_join_stats){.n_slots = 10, .bytes_slots = 240});
    assert_int_equal(use.work_bytes, 1120);
    tfn_budget_use_view(&use,
                        &(tfn_join_stats){.n_slots = 10, .bytes_slots = 240, .bytes_values = 1000});
    assert_int_equal(use.work_bytes, 1360); /* one step: records while there are slots */
    assert_int_equal(use.index_bytes, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_limit_everything_fits),
        cmocka_unit_test(a_row_takes_its_index_its_work_and_its_answer),
        cmocka_unit_test(the_reader_gets_at_most_half),
        cmocka_unit_test(views_share_an_index_and_work_one_after_the_other),
        cmocka_unit_test(parts_are_as_large_as_fits),
        cmocka_unit_test(the_least_limit_is_one_that_does),
        cmocka_unit_test(the_least_limit_of_many_features_is_one_that_does),
        cmocka_unit_test(what_a_part_took_is_learned),
        cmocka_unit_test(the_largest_view_is_what_a_part_took),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
