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
    return tfn__age_of(TFN_UNIT_US, TFN_UNIT_US, ttl_us);
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
    const tfn__age age = tfn__age_of(TFN_UNIT_S, TFN_UNIT_NS, INT64_MAX);
    assert_false(tfn__age_expired(&age, 0, INT64_MAX));
    assert_true(tfn__age_expired(&age, INT64_MIN, INT64_MIN));
    const tfn__age one = tfn__age_of(TFN_UNIT_NS, TFN_UNIT_NS, 1);
    assert_false(tfn__age_expired(&one, INT64_MIN, INT64_MIN + 1000));
    assert_true(tfn__age_expired(&one, INT64_MIN, INT64_MIN + 1001));
    assert_false(tfn__age_expired(&one, INT64_MIN, INT64_MIN + 999)); /* t - ttl has no int64 */
}

/* A ttl of no whole units of the times decides as exact arithmetic does. */
static void one_unit_and_exact_arithmetic_decide_alike(void **state)
{
    (void)state;
    static const int64_t ttls_us[] = {1, 999, 1000, 1500, 2000, 1999999, 2000000, 2500000};
    static const tfn_unit units[] = {TFN_UNIT_S, TFN_UNIT_MS, TFN_UNIT_US, TFN_UNIT_NS};
    for (size_t u = 0; u < 4; u++) {
        for (size_t i = 0; i < 8; i++) {
            const tfn__age quick = tfn__age_of(units[u], units[u], ttls_us[i]);
            tfn__age exact = quick;
            exact.has_one_unit = false;
            const int64_t ttl = ttls_us[i] * tfn_unit_per_second(units[u]) / 1000000;
            for (int64_t event = -ttl - 3; event <= 3 - ttl; event++) {
                assert_int_equal(tfn__age_expired(&quick, event, 0),
                                 tfn__age_expired(&exact, event, 0));
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_row_is_carried_until_a_better_one_or_its_age_ends_it),
        cmocka_unit_test(one_unit_and_exact_arithmetic_decide_alike),
        cmocka_unit_test(age_is_exact_at_the_ends_of_the_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
