/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/offline_fixture.h"

#include <pthread.h>

#include "offline/slots.c"

static tfn__rank rank_of(int64_t event, int64_t created, uint64_t position)
{
    return (tfn__rank){event, created, position};
}

static bool offer(tfn__slot *slot, tfn__rank rank)
{
    if (!tfn__slot_offer(slot, rank)) {
        return false;
    }
    tfn__slot_unlock(slot, rank.position);
    return true;
}

static void the_order_of_rows_is_total(void **state)
{
    (void)state;
    assert_true(tfn__rank_beats(rank_of(2, 0, 0), rank_of(1, 9, 9)));
    assert_true(tfn__rank_beats(rank_of(1, 2, 0), rank_of(1, 1, 9)));
    assert_true(tfn__rank_beats(rank_of(1, INT64_MIN + 1, 0), rank_of(1, TFN__NO_CREATED, 9)));
    assert_true(tfn__rank_beats(rank_of(1, 1, 2), rank_of(1, 1, 1)));
    assert_false(tfn__rank_beats(rank_of(1, 1, 1), rank_of(1, 1, 1)));
}

static void an_empty_slot_takes_even_the_lowest_row(void **state)
{
    (void)state;
    tfn__slot *slots = NULL;
    tfn_error err = {0};
    assert_ok(tfn__slots_create(2, &slots, &err), err);
    assert_true(tfn__slot_get(&slots[0]).position == TFN_POSITION_NONE);
    assert_true(offer(&slots[0], rank_of(INT64_MIN, TFN__NO_CREATED, 0)));
    assert_false(offer(&slots[0], rank_of(INT64_MIN, TFN__NO_CREATED, 0)));
    assert_true(offer(&slots[0], rank_of(INT64_MIN, TFN__NO_CREATED, TFN_POSITION_NONE - 1)));
    assert_true(tfn__slot_get(&slots[0]).position == TFN_POSITION_NONE - 1);
    assert_true(tfn__slot_get(&slots[1]).position == TFN_POSITION_NONE);
    tfn_mem_free(slots);
}

enum { THREADS = 7, OFFERS = 4000 };

typedef struct offering {
    tfn__slot *slot;
    int64_t *value; /* belongs to the slot: written under its lock */
    int i_thread;
} offering;

static tfn__rank rank_number(int64_t i)
{
    return rank_of((i * 31) % 50, (i * 17) % 5, (uint64_t)i);
}

static void *offer_many(void *argument)
{
    const offering *o = argument;
    for (int64_t i = o->i_thread; i < OFFERS; i += THREADS) {
        const tfn__rank rank = rank_number(i);
        if (tfn__slot_offer(o->slot, rank)) {
            *o->value = i;
            tfn__slot_unlock(o->slot, rank.position);
        }
    }
    return NULL;
}

static void the_best_row_wins_whoever_comes_first(void **state)
{
    (void)state;
    tfn__slot *slot = NULL;
    int64_t value = -1;
    tfn_error err = {0};
    assert_ok(tfn__slots_create(1, &slot, &err), err);
    pthread_t threads[THREADS];
    offering offerings[THREADS];
    for (int t = 0; t < THREADS; t++) {
        offerings[t] = (offering){slot, &value, t};
        assert_int_equal(pthread_create(&threads[t], NULL, offer_many, &offerings[t]), 0);
    }
    for (int t = 0; t < THREADS; t++) {
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    }
    int64_t best = 0;
    for (int64_t i = 1; i < OFFERS; i++) {
        best = tfn__rank_beats(rank_number(i), rank_number(best)) ? i : best;
    }
    assert_int_equal(value, best);
    assert_true(tfn__slot_get(slot).position == (uint64_t)best);
    tfn_mem_free(slot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_order_of_rows_is_total),
        cmocka_unit_test(an_empty_slot_takes_even_the_lowest_row),
        cmocka_unit_test(the_best_row_wins_whoever_comes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
