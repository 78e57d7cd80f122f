/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* The cache of resolved requests. */

#include "unit/server_read_fixture.h"

#include "server/lookups.c"

static int setup(void **state)
{
    static read_fixture f;
    read_setup(&f);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    read_teardown(*state);
    return 0;
}

static tfn_instant fixed_time(void *context)
{
    return tfn_instant_of(*(int64_t *)context, TFN_UNIT_US);
}

static tfn_known *get_known(read_fixture *f, const tfn_asked *asked, int64_t now_us)
{
    const tfn_clock clock = {fixed_time, &now_us};
    tfn_known *known = NULL;
    assert_ok(tfn_lookups_get(f->context.lookups, f->store.store, asked, &clock, &f->context.arena,
                              &known, err));
    return known;
}

static void equal_requests_share_one_lookup_and_others_do_not(void **state)
{
    read_fixture *f = *state;
    const tfn_str age[] = {tfn_str_of("plane_facts:age")};
    const tfn_str both[] = {tfn_str_of("plane_facts:age"), tfn_str_of("plane_facts:maker")};
    const tfn_str swapped[] = {both[1], both[0]};
    const tfn_asked asked[] = {
        {.features = age, .n_features = 1},  {.features = age, .n_features = 1, .full_names = true},
        {.features = both, .n_features = 2}, {.features = swapped, .n_features = 2},
        {.service = tfn_str_of("model")},    {.service = tfn_str_of("model"), .full_names = true}};
    const tfn_known *known[6];
    for (size_t i = 0; i < 6; i++) {
        known[i] = get_known(f, &asked[i], 0);
        for (size_t k = 0; k < i; k++) {
            assert_ptr_not_equal(known[i], known[k]);
        }
    }
    for (size_t i = 0; i < 6; i++) {
        assert_ptr_equal(get_known(f, &asked[i], INT64_C(1000000000000)), known[i]);
    }
    assert_int_equal(tfn_lookups_get_n(f->context.lookups), 6);
}

static void the_least_recently_used_one_goes(void **state)
{
    read_fixture *f = *state;
    tfn_lookups *lookups = f->context.lookups;
    tfn_str features[TFN_MOST_LOOKUPS + 2];
    for (size_t i = 0; i < TFN_MOST_LOOKUPS + 2; i++) { /* one key each, without a real lookup */
        features[i] = (tfn_str){"x", 1};
        tfn_str key = {0};
        const tfn_asked asked = {.features = features, .n_features = i + 1};
        assert_ok(make_key(&asked, &f->context.arena, &key, err));
        void *p = NULL;
        assert_ok(tfn_mem_alloc_array(1, sizeof(entry), &p, err));
        entry *e = p;
        e->hash = tfn_hash64(key.p, key.n);
        e->n_key = key.n;
        assert_ok(tfn_mem_copy_bytes(key.p, key.n, &e->key, err));
        if (lookups->n == TFN_MOST_LOOKUPS) {
            remove_entry(lookups, lookups->oldest);
        }
        add_entry(lookups, e);
    }
    assert_int_equal(tfn_lookups_get_n(lookups), TFN_MOST_LOOKUPS);
    for (size_t i = 0; i < TFN_MOST_LOOKUPS + 2; i++) {
        tfn_str key = {0};
        const tfn_asked asked = {.features = features, .n_features = i + 1};
        assert_ok(make_key(&asked, &f->context.arena, &key, err));
        assert_true((find(lookups, key, tfn_hash64(key.p, key.n)) != NULL) == (i >= 2));
    }
    size_t n = 0;
    for (const entry *e = lookups->oldest; e != NULL; e = e->newer) {
        n++;
    }
    assert_int_equal(n, TFN_MOST_LOOKUPS);
}

static void what_is_forgotten_is_resolved_anew(void **state)
{
    read_fixture *f = *state;
    const tfn_asked asked = {.service = tfn_str_of("model")};
    const tfn_asked other = {.service = tfn_str_of("model"), .full_names = true};
    tfn_known *known = get_known(f, &asked, 0);
    const tfn_known *kept = get_known(f, &other, 0);
    tfn_lookups_forget(f->context.lookups, known);
    assert_int_equal(tfn_lookups_get_n(f->context.lookups), 1);
    assert_ptr_equal(get_known(f, &other, 0), kept);
    assert_non_null(get_known(f, &asked, 0)->lookup);
}

static void what_needs_python_is_tried_again_after_a_second(void **state)
{
    read_fixture *f = *state;
    const tfn_asked asked = {.service = tfn_str_of("mixed")};
    const entry *e = (const entry *)get_known(f, &asked, 5);
    assert_null(e->known.lookup);
    assert_string_equal(e->known.on_demand, "rates");
    assert_int_equal(((const entry *)get_known(f, &asked, 1000005))->made_us, 5);
    assert_int_equal(((const entry *)get_known(f, &asked, 1000006))->made_us, 1000006);
}

static tfn_code refuse(read_fixture *f, const tfn_asked *asked, tfn_error *error)
{
    const tfn_clock clock = {0};
    tfn_known *known = NULL;
    *error = (tfn_error){0};
    const tfn_code rc = tfn_lookups_get(f->context.lookups, f->store.store, asked, &clock,
                                        &f->context.arena, &known, error);
    assert_true((rc == TFN_OK) == (known != NULL));
    return rc;
}

static size_t count_misses(const read_fixture *f)
{
    size_t n = 0;
    for (size_t i = 0; i < TFN_MOST_MISSES; i++) {
        n += f->context.lookups->misses.items[i].key != NULL ? 1 : 0;
    }
    return n;
}

static void what_makes_no_sense_is_refused_as_before_until_the_next_apply(void **state)
{
    read_fixture *f = *state;
    const tfn_str bad[] = {tfn_str_of("plane_facts:zz")};
    const tfn_asked service = {.service = tfn_str_of("nobody")};
    const tfn_asked feature = {.features = bad, .n_features = 1};
    tfn_error first;
    tfn_error second;
    assert_int_equal(refuse(f, &service, &first), TFN_NOT_FOUND);
    assert_int_equal(tfn_lookups_get_missing(f->context.lookups), TFN_MISSING_SERVICE);
    assert_int_equal(refuse(f, &feature, &second), TFN_NOT_FOUND);
    assert_int_equal(tfn_lookups_get_missing(f->context.lookups), TFN_MISSING_FEATURE);
    assert_int_equal(count_misses(f), 2);
    assert_int_equal(refuse(f, &service, &second), TFN_NOT_FOUND);
    assert_string_equal(first.message, second.message);
    assert_int_equal(tfn_lookups_get_missing(f->context.lookups), TFN_MISSING_SERVICE);
    assert_int_equal(tfn_lookups_get_n(f->context.lookups), 0);
    store_define(&f->store, "{\"objects\":[{\"kind\":\"feature_service\",\"name\":\"nobody\","
                            "\"features\":[{\"view\":\"plane_facts\",\"name_alias\":\"\","
                            "\"features\":[\"age\"],\"join_key_map\":{}}]}]}");
    assert_int_equal(refuse(f, &service, &second), TFN_OK);
}

static void refusals_are_bounded(void **state)
{
    read_fixture *f = *state;
    enum { N_NAMES = 1000, LONG = 2 * TFN_MOST_MISSED_KEY_BYTES };
    char name[LONG + 1];
    tfn_error error;
    for (int i = 0; i < N_NAMES; i++) {
        (void)snprintf(name, sizeof name, "nobody_%d", i);
        const tfn_asked asked = {.service = tfn_str_of(name)};
        assert_int_equal(refuse(f, &asked, &error), TFN_NOT_FOUND);
    }
    const size_t n = count_misses(f);
    assert_in_range(n, TFN_MOST_MISSES / 2, TFN_MOST_MISSES);
    memset(name, 'x', LONG);
    name[LONG] = '\0';
    const tfn_asked asked = {.service = tfn_str_of(name)};
    assert_int_equal(refuse(f, &asked, &error), TFN_NOT_FOUND);
    assert_int_equal(count_misses(f), n);
}

static void numbers_are_drawn_evenly(void **state)
{
    read_fixture *f = *state;
    double sum = 0;
    for (int i = 0; i < 10000; i++) {
        const double number = tfn_lookups_draw(f->context.lookups);
        assert_true(number >= 0 && number < 1);
        sum += number;
    }
    assert_true(sum > 4700 && sum < 5300);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(equal_requests_share_one_lookup_and_others_do_not),
        TEST(the_least_recently_used_one_goes),
        TEST(what_is_forgotten_is_resolved_anew),
        TEST(what_needs_python_is_tried_again_after_a_second),
        TEST(what_makes_no_sense_is_refused_as_before_until_the_next_apply),
        TEST(refusals_are_bounded),
        TEST(numbers_are_drawn_evenly),
#undef TEST
    };
    return cmocka_run_group_tests_name("server_lookups", tests, NULL, NULL);
}
