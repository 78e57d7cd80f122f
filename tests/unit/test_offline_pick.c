/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/offline_fixture.h"

#include "offline/pick.c"

enum { WINNERS = 5 };

static const uint64_t POSITIONS[WINNERS] = {3, 4, 2047, 2048, UINT64_C(1) << 40};

/* A pick of one int64 feature. */
typedef struct picking {
    tfn__pick pick;
    tfn__record_plan plan;
    char *records;
    tfn_str name;
} picking;

static void begin_pick(picking *p)
{
    static const tfn_type type = {.kind = TFN_KIND_INT64};
    tfn_error err = {0};
    void *memory = NULL;
    *p = (picking){.name = {"v", 1}};
    assert_ok(tfn__record_plan_init(&p->plan, &p->name, &type, 1, &err), err);
    assert_ok(tfn_mem_alloc_array(WINNERS, p->plan.stride, &memory, &err), err);
    p->records = memory;
    p->pick = (tfn__pick){.positions = POSITIONS,
                          .n_winners = WINNERS,
                          .plan = &p->plan,
                          .records = p->records,
                          .source_label = {"rows", 4}};
    assert_ok(tfn__pick_init(&p->pick, 1, &err), err);
}

static void end_pick(picking *p)
{
    tfn__pick_deinit(&p->pick);
    tfn__record_plan_deinit(&p->plan);
    tfn_mem_free(p->records);
}

static void consume(picking *p, uint64_t first, const uint64_t *positions, int64_t n)
{
    int64_t values[4096];
    for (int64_t i = 0; i < n; i++) {
        values[i] = (int64_t)(positions != NULL ? positions[i] : first + (uint64_t)i);
    }
    const tfn_vec v = {.type = {.kind = TFN_KIND_INT64},
                       .layout = TFN_LAYOUT_FIXED,
                       .number = TFN_NUMBER_I64,
                       .n = n,
                       .data = values};
    const tfn_chunk chunk = {
        .n = n, .n_cols = 1, .cols = &v, .first_position = first, .positions = positions};
    tfn_error err = {0};
    assert_ok(tfn__pick_consume(&p->pick, 0, &chunk, &err), err);
}

static int64_t picked(const picking *p, size_t rank)
{
    int64_t value = 0;
    memcpy(&value, p->records + rank * p->plan.stride, sizeof value);
    return value;
}

static void winners_are_found_in_runs(void **state)
{
    (void)state;
    picking p;
    begin_pick(&p);
    consume(&p, 5, NULL, 2042);
    assert_int_equal(tfn__pick_get_n_found(&p.pick), 0); /* 5 .. 2046 holds none */
    consume(&p, 0, NULL, 5);
    consume(&p, 2047, NULL, 4096);
    consume(&p, UINT64_C(1) << 40, NULL, 1);
    assert_int_equal(tfn__pick_get_n_found(&p.pick), WINNERS);
    for (size_t i = 0; i < WINNERS; i++) {
        assert_int_equal(picked(&p, i), POSITIONS[i]);
    }
    end_pick(&p);
}

static void winners_are_found_among_positions_in_any_order(void **state)
{
    (void)state;
    static const uint64_t ascending[] = {1, 3, 9, 2047, UINT64_C(1) << 40};
    static const uint64_t jumping[] = {5000, 2048, 6000, 4, 1};
    picking p;
    begin_pick(&p);
    consume(&p, 0, ascending, 5);
    consume(&p, 0, jumping, 5);
    assert_int_equal(tfn__pick_get_n_found(&p.pick), WINNERS);
    for (size_t i = 0; i < WINNERS; i++) {
        assert_int_equal(picked(&p, i), POSITIONS[i]);
    }
    end_pick(&p);
}

static void close_winners_share_a_range_and_files_do_not(void **state)
{
    (void)state;
    tfn_position_range ranges[TFN__PICK_MAX_RANGES];
    assert_int_equal(tfn__pick_ranges(POSITIONS, WINNERS, ranges), 2);
    assert_true(ranges[0].first == 3 && ranges[0].last == 2048);
    assert_true(ranges[1].first == POSITIONS[4] && ranges[1].last == POSITIONS[4]);
    assert_int_equal(tfn__pick_ranges(POSITIONS, 0, ranges), 0);
}

static void ranges_stay_few_however_winners_are_spread(void **state)
{
    (void)state;
    enum { MANY = 5000 };
    static uint64_t positions[MANY];
    for (uint64_t i = 0; i < MANY; i++) {
        positions[i] = i * 100000 + (i % 2 == 0 ? 0 : 50000);
    }
    tfn_position_range ranges[TFN__PICK_MAX_RANGES];
    const size_t n = tfn__pick_ranges(positions, MANY, ranges);
    assert_in_range(n, 1, TFN__PICK_MAX_RANGES);
    assert_true(ranges[0].first == positions[0] && ranges[n - 1].last == positions[MANY - 1]);
    for (size_t i = 1; i < n; i++) {
        assert_true(ranges[i - 1].last < ranges[i].first);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(winners_are_found_in_runs),
        cmocka_unit_test(winners_are_found_among_positions_in_any_order),
        cmocka_unit_test(close_winners_share_a_range_and_files_do_not),
        cmocka_unit_test(ranges_stay_few_however_winners_are_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
