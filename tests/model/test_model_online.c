/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* The slow twin of the online store against cases worked out by hand. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/model_online.h"

static const model_online_time missing = {.is_missing = true};

static model_online_row row(int64_t event, model_online_time created, uint64_t features)
{
    return (model_online_row){
        .view = 1, .key = 2, .event = {.seconds = event}, .created = created, .features = features};
}

static void rows_are_ordered_by_event_then_created(void **state)
{
    (void)state;
    model_online m = {0};
    const model_online_time five = {.seconds = 5};
    const model_online_time six = {.seconds = 6};
    assert_int_equal(model_online_put(&m, row(10, five, 1)), MODEL_ONLINE_WRITTEN);
    assert_int_equal(model_online_put(&m, row(9, six, 2)), MODEL_ONLINE_OLDER);
    assert_int_equal(model_online_put(&m, row(10, missing, 2)), MODEL_ONLINE_OLDER);
    assert_int_equal(model_online_put(&m, row(10, five, 1)), MODEL_ONLINE_SAME);
    assert_int_equal(model_online_put(&m, row(10, five, 3)), MODEL_ONLINE_WRITTEN);
    assert_int_equal(model_online_put(&m, row(10, six, 4)), MODEL_ONLINE_WRITTEN);
    assert_int_equal(model_online_put(&m, row(11, missing, 5)), MODEL_ONLINE_WRITTEN);
    assert_int_equal(model_online_find(&m, 1, 2)->features, 5);
}

static void nanoseconds_and_missing_times_count(void **state)
{
    (void)state;
    model_online m = {0};
    model_online_row first = row(-1, missing, 1);
    first.event.nanos = 1;
    assert_int_equal(model_online_put(&m, first), MODEL_ONLINE_WRITTEN);
    assert_int_equal(model_online_put(&m, row(-1, missing, 2)), MODEL_ONLINE_OLDER);
    assert_int_equal(model_online_put(&m, row(0, missing, 2)), MODEL_ONLINE_WRITTEN);
    assert_int_equal(model_online_put(&m, row(0, missing, 2)), MODEL_ONLINE_SAME);
    assert_int_equal(model_online_put(&m, row(0, missing, 3)), MODEL_ONLINE_WRITTEN);
}

static void views_are_counted_and_dropped_alone(void **state)
{
    (void)state;
    model_online m = {0};
    for (int view = 0; view < 3; view++) {
        for (int key = 0; key < 4; key++) {
            (void)model_online_put(&m, (model_online_row){.view = view, .key = key});
        }
    }
    model_online_drop(&m, 1);
    assert_int_equal(model_online_count(&m, 0), 4);
    assert_int_equal(model_online_count(&m, 1), 0);
    assert_null(model_online_find(&m, 1, 0));
    assert_non_null(model_online_find(&m, 2, 3));
}

static void load(model_online *m, int64_t event, uint64_t features)
{
    model_online built = *m;
    (void)model_online_put_loaded(&built, row(event, missing, features));
    model_online_flip(m, 1, &built);
}

static void a_rollback_returns_and_replays_what_was_pushed(void **state)
{
    (void)state;
    static model_online m;
    assert_false(model_online_rollback(&m, 1, false));
    load(&m, 10, 1);
    assert_false(model_online_rollback(&m, 1, false));
    load(&m, 20, 2);
    assert_int_equal(model_online_put(&m, row(15, missing, 3)), MODEL_ONLINE_OLDER);
    assert_true(model_online_rollback(&m, 1, false));
    assert_int_equal(model_online_find(&m, 1, 2)->features, 3);
    assert_true(model_online_rollback(&m, 1, false));
    assert_int_equal(model_online_find(&m, 1, 2)->features, 2);
    assert_true(model_online_delete(&m, 1, 2));
    assert_true(model_online_rollback(&m, 1, true));
    assert_int_equal(model_online_find(&m, 1, 2)->features, 3);
    assert_true(model_online_rollback(&m, 1, false));
    assert_null(model_online_find(&m, 1, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_ordered_by_event_then_created),
        cmocka_unit_test(nanoseconds_and_missing_times_count),
        cmocka_unit_test(views_are_counted_and_dropped_alone),
        cmocka_unit_test(a_rollback_returns_and_replays_what_was_pushed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
