/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/offline_fixture.h"

#include "base/mem.h"

#include "unit/crew_make.h"

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

static size_t walk(const tfn_spine *spine, const tfn__slot *slots, const tfn__age *age,
                   uint32_t *origins, tfn__entry *winners)
{
    size_t n_winners = 0;
    tfn_error err = {0};
    assert_ok(tfn__walk(spine, slots, age, &(tfn_crew){.n_threads = 2}, origins, winners,
                        &n_winners, &err),
              err);
    return n_winners;
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
    assert_int_equal(walk(spine, slots, &age, origins, winners), 2);
    static const uint32_t expected[] = {TFN__NO_SLOT, 1, TFN__NO_SLOT, 3, 3, TFN__NO_SLOT};
    assert_memory_equal(origins, expected, sizeof expected);
    assert_true(winners[0].key == 100 && winners[0].value == 1);
    assert_true(winners[1].key == 102 && winners[1].value == 3);
    const tfn__age unbounded = microseconds(0);
    assert_int_equal(walk(spine, slots, &unbounded, origins, NULL), 2);
    assert_int_equal(origins[2], 1);
    tfn_mem_free(slots);
    tfn_spine_destroy(spine);
}

/* Slots enough for several parts; a group of 50,000 lies over the border of two. */
static void answers_do_not_depend_on_the_number_of_threads(void **state)
{
    (void)state;
    enum { MANY = 120000, LARGE = 50000, PER_GROUP = 7 };
    static int64_t k[MANY];
    static int64_t t[MANY];
    for (int64_t i = 0; i < MANY; i++) {
        k[i] = i < LARGE ? 0 : i / PER_GROUP;
        t[i] = i * 10;
    }
    const make_col cols[] = {{.name = "k", .format = "l", .values = k},
                             {.name = "t", .format = "tsu:UTC", .values = t}};
    tfn_frame *frame = frame_of_cols(cols, 2, MANY);
    static const size_t key = 0;
    const tfn_type type = {.kind = TFN_KIND_INT64};
    tfn_spine *spine = NULL;
    tfn__slot *slots = NULL;
    tfn_error err = {0};
    assert_ok(tfn_spine_create(frame, &key, &type, 1, 1, &(tfn_crew){.n_threads = 1}, &spine, &err),
              err);
    assert_int_equal(spine->n_slots, MANY);
    assert_ok(tfn__slots_create(spine->n_slots, &slots, &err), err);
    for (uint32_t i = 0; i < MANY; i += 5) {
        offer(&slots[i], spine->times[i] - 3, i);
    }
    const tfn__age age = microseconds(25);
    static uint32_t origins[2][MANY];
    static tfn__entry winners[2][MANY];
    size_t n_winners[2] = {0};
    static const int n_threads[2] = {1, 7};
    for (int i = 0; i < 2; i++) {
        assert_ok(tfn__walk(spine, slots, &age, &(tfn_crew){.n_threads = n_threads[i]}, origins[i],
                            winners[i], &n_winners[i], &err),
                  err);
    }
    assert_int_equal(n_winners[0], MANY / 5);
    assert_int_equal(n_winners[1], MANY / 5);
    assert_memory_equal(origins[0], origins[1], sizeof origins[0]);
    for (size_t i = 0; i < n_winners[0]; i++) {
        assert_true(winners[0][i].key == winners[1][i].key);
        assert_int_equal(winners[0][i].value, winners[1][i].value);
    }
    tfn_mem_free(slots);
    tfn_spine_destroy(spine);
    tfn_frame_release(frame);
}

static void every_tick_of_a_walk_may_stop_it(void **state)
{
    (void)state;
    enum { MANY = 200000 };
    static int64_t k[MANY];
    static int64_t t[MANY];
    for (int64_t i = 0; i < MANY; i++) {
        k[i] = i / 3;
        t[i] = i;
    }
    const make_col cols[] = {{.name = "k", .format = "l", .values = k},
                             {.name = "t", .format = "tsu:UTC", .values = t}};
    tfn_frame *frame = frame_of_cols(cols, 2, MANY);
    static const size_t key = 0;
    const tfn_type type = {.kind = TFN_KIND_INT64};
    tfn_spine *spine = NULL;
    tfn__slot *slots = NULL;
    tfn_error err = {0};
    assert_ok(tfn_spine_create(frame, &key, &type, 1, 1, &(tfn_crew){.n_threads = 1}, &spine, &err),
              err);
    assert_ok(tfn__slots_create(spine->n_slots, &slots, &err), err);
    const tfn__age age = microseconds(25);
    static uint32_t origins[MANY];
    for (int n_threads = 1; n_threads < 4; n_threads++) {
        tfn_code rc = TFN_CANCELLED;
        int64_t n_stops = 0;
        for (int64_t at = 0; rc != TFN_OK; at++) {
            tfn_crew crew;
            stopping s;
            size_t n_winners = 0;
            make_stopping_crew(&crew, n_threads, at, &s);
            rc = tfn__walk(spine, slots, &age, &crew, origins, NULL, &n_winners, &err);
            assert_true(rc == TFN_OK ? s.n_ticks <= at : s.n_ticks == at + 1);
            assert_true(rc == TFN_OK || rc == TFN_CANCELLED);
            n_stops += rc == TFN_CANCELLED ? 1 : 0;
        }
        assert_true(n_stops >= 3);
        assert_string_equal(err.message, "a step was stopped");
    }
    tfn_mem_free(slots);
    tfn_spine_destroy(spine);
    tfn_frame_release(frame);
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
        cmocka_unit_test(answers_do_not_depend_on_the_number_of_threads),
        cmocka_unit_test(every_tick_of_a_walk_may_stop_it),
        cmocka_unit_test(age_is_exact_at_the_ends_of_the_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
