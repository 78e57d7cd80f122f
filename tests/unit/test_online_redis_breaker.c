/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* When a node may be tried: time and jitter are arguments, so nothing waits here. */

#include "unit/base_make.h"

#include "online/redis_breaker.c"

static void fail_times(tfn__redis_breaker *b, int n, double now_s)
{
    for (int i = 0; i < n; i++) {
        tfn__redis_breaker_note_failure(b, now_s, 1, "why");
    }
}

static void two_failures_are_forgiven(void **state)
{
    (void)state;
    tfn__redis_breaker b = {0};
    assert_true(tfn__redis_breaker_allows(&b, 0, 1));
    fail_times(&b, 2, 10);
    assert_true(tfn__redis_breaker_allows(&b, 10, 1));
    tfn__redis_breaker_note_reply(&b);
    fail_times(&b, 2, 20);
    assert_true(tfn__redis_breaker_allows(&b, 20, 1));
}

static void the_third_in_a_row_opens(void **state)
{
    (void)state;
    tfn__redis_breaker b = {0};
    fail_times(&b, 1, 7);
    fail_times(&b, 2, 10);
    assert_true(b.is_open);
    assert_true(b.since_s == 7);
    assert_string_equal(b.reason, "why");
    assert_false(tfn__redis_breaker_allows(&b, 10, 1));
    assert_false(tfn__redis_breaker_allows(&b, 10.09, 1));
    assert_true(tfn__redis_breaker_allows(&b, 10.11, 1));
}

static void one_caller_tries(void **state)
{
    (void)state;
    tfn__redis_breaker b = {0};
    fail_times(&b, 3, 10);
    assert_true(tfn__redis_breaker_allows(&b, 11, 3));
    assert_false(tfn__redis_breaker_allows(&b, 11, 3));
    assert_false(tfn__redis_breaker_allows(&b, 13.9, 3));
    assert_true(tfn__redis_breaker_allows(&b, 14, 3)); /* the first was never heard of again */
    tfn__redis_breaker_note_reply(&b);
    assert_true(tfn__redis_breaker_allows(&b, 14, 3));
    assert_int_equal(b.n_failures, 0);
}

static void the_backoff_doubles_up_to_its_end(void **state)
{
    (void)state;
    tfn__redis_breaker b = {0};
    fail_times(&b, 3, 0);
    double now_s = 0;
    double expected_s = 0.1;
    for (int i = 0; i < 100; i++) {
        assert_true(b.next_try_s - now_s > expected_s * 0.999);
        assert_true(b.next_try_s - now_s < expected_s * 1.001);
        now_s = b.next_try_s;
        assert_true(tfn__redis_breaker_allows(&b, now_s, 1));
        fail_times(&b, 1, now_s);
        expected_s = expected_s * 2 < 5 ? expected_s * 2 : 5;
    }
}

static void jitter_takes_up_to_half(void **state)
{
    (void)state;
    tfn__redis_breaker b = {0};
    fail_times(&b, 2, 0);
    tfn__redis_breaker_note_failure(&b, 0, 0, "why");
    assert_false(tfn__redis_breaker_allows(&b, 0.049, 1));
    assert_true(tfn__redis_breaker_allows(&b, 0.051, 1));
}

static void stragglers_do_not_lengthen_it(void **state)
{
    (void)state;
    tfn__redis_breaker b = {0};
    fail_times(&b, 3, 10);
    fail_times(&b, 50, 10.05);
    assert_true(tfn__redis_breaker_allows(&b, 10.11, 1));
    fail_times(&b, 1, 10.2);
    assert_true(b.next_try_s > 10.39 && b.next_try_s < 10.41);
}

static void a_long_reason_is_cut(void **state)
{
    (void)state;
    tfn__redis_breaker b = {0};
    char reason[2 * TFN__REDIS_REASON_BYTES];
    memset(reason, 'x', sizeof(reason));
    reason[sizeof(reason) - 1] = '\0';
    tfn__redis_breaker_note_failure(&b, 0, 0, reason);
    assert_int_equal(strlen(b.reason), TFN__REDIS_REASON_BYTES - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_failures_are_forgiven),
        cmocka_unit_test(the_third_in_a_row_opens),
        cmocka_unit_test(one_caller_tries),
        cmocka_unit_test(the_backoff_doubles_up_to_its_end),
        cmocka_unit_test(jitter_takes_up_to_half),
        cmocka_unit_test(stragglers_do_not_lengthen_it),
        cmocka_unit_test(a_long_reason_is_cut),
    };
    return cmocka_run_group_tests_name("online redis breaker", tests, NULL, NULL);
}
