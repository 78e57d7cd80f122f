/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/offline_fixture.h"

#include "offline/join_stats.c"

static void counts_add_up_and_bytes_are_of_the_largest(void **state)
{
    (void)state;
    tfn_join_stats sum = {0};
    const tfn_join_stats first = {.two_step = true,
                                  .n_spine_rows = 5,
                                  .n_slots = 4,
                                  .n_rows_read = 100,
                                  .n_rows_eligible = 60,
                                  .n_rows_expired = 40,
                                  .bytes_index = 70,
                                  .scans = {{.n_files = 2, .n_rows = 100, .seconds = 0.5}},
                                  .seconds_scan = 0.5};
    const tfn_join_stats second = {.two_step = true,
                                   .n_spine_rows = 7,
                                   .n_slots = 3,
                                   .n_rows_read = 50,
                                   .n_rows_eligible = 50,
                                   .bytes_index = 60,
                                   .scans = {{.n_files = 2, .n_rows = 50, .seconds = 0.25}},
                                   .seconds_scan = 0.25};
    tfn_join_stats_add(&sum, &first);
    tfn_join_stats_add(&sum, &second);
    assert_true(sum.two_step);
    assert_int_equal(sum.n_spine_rows, 12);
    assert_int_equal(sum.n_rows_read, 150);
    assert_int_equal(sum.n_rows_eligible + sum.n_rows_expired, sum.n_rows_read);
    assert_int_equal(sum.n_slots, 4);
    assert_int_equal(sum.bytes_index, 70);
    assert_int_equal(sum.scans[0].n_files, 2);
    assert_int_equal(sum.scans[0].n_rows, 150);
    assert_true(sum.scans[0].seconds == 0.75 && sum.seconds_scan == 0.75);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_add_up_and_bytes_are_of_the_largest)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
