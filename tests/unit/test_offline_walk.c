/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/offline_fixture.h"

#include "base/mem.h"

#include "offline/walk.c"

static void offer(tfn__slot *slot, int64_t event, uint64_t position)
{
    const tfn__rank rank = {event, TFN__NO_CREATED, position};
    assert_true(tfn__slot_offer(slot, rank));
    tfn__slot_unlock(slot, position);
}

static tfn__age microseconds(int64_t ttl_us)
{
    return (tfn__age){1000, 1000, (tfn__wide)ttl_us * 1000};
}

static void the_best_row_is_carried_until_a_better_one_or_its_age_ends_it(void **state)
{
    (void)state;
    const int64_t rows[][2] = {{1, 10}, {1, 20}, {1, 30}, {1, 40}, {1, 50}, {2, 20}};
    tfn_spine *spine = spine_of(rows, 6);
    tfn__slot *slots = NULL;
    tfn_error err = {0};
    assert_ok(tfn__slots_create(spine->n_slots, &slots, &err), err);
    offer(&slots[1], 15, 100); /* seen from 20 on */
    offer(&slots[2], 12, 101); /* comes later, is older: never wins */
    offer(&slots[3], 38, 102);
    const tfn__age age = microseconds(12);
    uint32_t origins[6];
    tfn__entry winners[6];
    assert_int_equal(tfn__walk(spine, slots, &age, origins, winners), 2);
    static const uint32_t expected[] = {TFN__NO_SLOT, 1, TFN__NO_SLOT, 3, 3, TFN__NO_SLOT};
    assert_memory_equal(origins, expected, sizeof expected);
    assert_true(winners[0].key == 100 && winners[0].value == 1);
    assert_true(winners[1].key == 102 && winners[1].value == 3);
    const tfn__age unbounded = microseconds(0);
    assert_int_equal(tfn__walk(spine, slots, &unbounded, origins, NULL), 2);
    assert_int_equal(origins[2], 1);
    tfn_mem_free(slots);
    tfn_spine_destroy(spine);
}

static void age_is_exact_at_the_ends_of_the_range(void **state)
{
    (void)state;
    const tfn__age age = {1000000000, 1, (tfn__wide)INT64_MAX * 1000}; /* event s, entity ns */
    assert_false(tfn__age_expired(&age, 0, INT64_MAX));
    assert_true(tfn__age_expired(&age, INT64_MIN, INT64_MIN));
    const tfn__age one = {1, 1, 1000};
    assert_false(tfn__age_expired(&one, INT64_MIN, INT64_MIN + 1000));
    assert_true(tfn__age_expired(&one, INT64_MIN, INT64_MIN + 1001));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_row_is_carried_until_a_better_one_or_its_age_ends_it),
        cmocka_unit_test(age_is_exact_at_the_ends_of_the_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
