/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/online_fixture.h"

#include "online/admin.c"

static void an_engine_that_offers_none_of_it_is_a_sentence(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn_arena arena = {0};
    tfn_online_census census = {.n_views = 1};
    tfn_online_vacuumed removed = {.n_views = 1};
    int64_t n_bytes = 0;
    char hash[33];
    const tfn_online_engine none = {0};
    tfn_online online = {.engine = &none};
    const tfn_online_watch watch = {0};
    const tfn_online_vacuum vacuum = {0};
    ASSERT_FAILS(tfn_online_take_census(&online, watch, &arena, &census, &err), TFN_UNSUPPORTED,
                 "stats) is for online stores of type lmdb", err);
    assert_int_equal(census.n_views, 0);
    ASSERT_FAILS(tfn_online_run_vacuum(&online, &vacuum, &arena, &removed, &err), TFN_UNSUPPORTED,
                 "vacuum is for online stores of type lmdb", err);
    assert_int_equal(removed.n_views, 0);
    ASSERT_FAILS(
        tfn_online_write_backup(&online, "x", text("p"), NULL, 0, watch, hash, &n_bytes, &err),
        TFN_UNSUPPORTED, "backup is for", err);
    ASSERT_FAILS(tfn_online_read_backup(&online, "x", text("p"), NULL, 0, watch, NULL, NULL, &err),
                 TFN_UNSUPPORTED, "restore is for", err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_engine_that_offers_none_of_it_is_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
