/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/offline_fixture.h"

#include "offline/block.c"

/* A chunk of key, event and created time, as DuckDB would hand it over, and how to read it. */
typedef struct reading {
    int64_t keys[4];
    int64_t events[4];
    int64_t created[4];
    uint8_t key_validity;
    uint8_t event_validity;
    uint8_t created_validity;
    tfn_vec cols[3];
    tfn_chunk chunk;
    tfn_str names[3];
    tfn__columns columns;
    tfn_key_plan plan;
    tfn__block_rule rule;
} reading;

static tfn_vec vec_of(const int64_t *values, const uint8_t *validity, tfn_kind kind)
{
    return (tfn_vec){
        .type = {.kind = (uint8_t)kind, .unit = kind == TFN_KIND_TIMESTAMP ? TFN_UNIT_US : 0},
        .layout = TFN_LAYOUT_FIXED,
        .number = TFN_NUMBER_I64,
        .has_infinity = kind == TFN_KIND_TIMESTAMP,
        .n = 4,
        .validity = validity,
        .data = values};
}

static void begin_reading(reading *r)
{
    tfn_error err = {0};
    *r = (reading){.keys = {1, 2, 3, 4},
                   .events = {10, 20, 30, 40},
                   .created = {11, 21, 31, 41},
                   .key_validity = 15,
                   .event_validity = 15,
                   .created_validity = 15,
                   .names = {{"k", 1}, {"ts", 2}, {"made", 4}}};
    r->cols[0] = vec_of(r->keys, &r->key_validity, TFN_KIND_INT64);
    r->cols[1] = vec_of(r->events, &r->event_validity, TFN_KIND_TIMESTAMP);
    r->cols[2] = vec_of(r->created, &r->created_validity, TFN_KIND_TIMESTAMP);
    r->chunk = (tfn_chunk){.n = 4, .n_cols = 3, .cols = r->cols};
    r->columns = (tfn__columns){.names = r->names,
                                .n = 3,
                                .n_keys = 1,
                                .has_created = true,
                                .i_created = 2,
                                .i_features = 3,
                                .event_unit = TFN_UNIT_US,
                                .created_unit = TFN_UNIT_US};
    assert_ok(tfn_key_plan_init(&r->plan, &FIXTURE_INT64, 1, &err), err);
    r->rule = (tfn__block_rule){.columns = &r->columns,
                                .keys = &r->plan,
                                .source_label = {"rows.parquet", 12},
                                .known = tfn__bounds_of(NULL, NULL, TFN_UNIT_US)};
}

static tfn_code read_rows(reading *r, tfn__block **out, tfn_error *err)
{
    *out = test_calloc(1, sizeof **out);
    return tfn__block_read(*out, &r->rule, &r->chunk, 0, 4, err);
}

static void end_block(tfn__block *b)
{
    tfn__block_deinit(b);
    test_free(b);
}

static void rows_without_time_or_key_are_counted_and_not_listed(void **state)
{
    (void)state;
    reading r;
    tfn__block *b = NULL;
    tfn_error err = {0};
    begin_reading(&r);
    r.event_validity = 14;   /* row 0 */
    r.events[1] = INT64_MAX; /* infinity */
    r.key_validity = 11;     /* row 2 */
    assert_ok(read_rows(&r, &b, &err), err);
    assert_int_equal(b->n_rows, 1);
    assert_int_equal(b->rows[0], 3);
    assert_int_equal(b->counts.n_read, 4);
    assert_int_equal(b->counts.n_without_time, 1);
    assert_int_equal(b->counts.n_infinite_time, 1);
    assert_int_equal(b->counts.n_without_key, 1);
    end_block(b);
}

static void an_infinitely_late_created_time_is_never_known_an_early_one_always(void **state)
{
    (void)state;
    reading r;
    tfn__block *b = NULL;
    tfn_error err = {0};
    begin_reading(&r);
    r.created[0] = INT64_MAX;
    r.created[1] = -INT64_MAX;
    r.created_validity = 11; /* row 2 */
    assert_ok(read_rows(&r, &b, &err), err);
    assert_int_equal(b->n_rows, 4); /* nobody asked */
    assert_int_equal(b->created[0], INT64_MAX);
    assert_int_equal(b->created[1], TFN__NO_CREATED + 1);
    assert_int_equal(b->created[2], TFN__NO_CREATED);
    end_block(b);
    r.rule.created_required = true;
    assert_ok(read_rows(&r, &b, &err), err);
    assert_int_equal(b->n_rows, 2);
    assert_int_equal(b->rows[0], 1);
    assert_int_equal(b->rows[1], 3);
    assert_int_equal(b->counts.n_not_known, 2);
    end_block(b);
    const tfn_instant until = tfn_instant_of(40, TFN_UNIT_US);
    r.rule.known = tfn__bounds_of(NULL, &until, TFN_UNIT_US);
    assert_ok(read_rows(&r, &b, &err), err);
    assert_int_equal(b->n_rows, 1);
    assert_int_equal(b->rows[0], 1);
    end_block(b);
}

static void a_unit_finer_than_announced_is_refused_and_a_coarser_one_read(void **state)
{
    (void)state;
    reading r;
    tfn__block *b = NULL;
    tfn_error err = {0};
    begin_reading(&r);
    r.cols[1].type.unit = TFN_UNIT_MS;
    assert_ok(read_rows(&r, &b, &err), err);
    assert_int_equal(b->event[3], 40000);
    end_block(b);
    r.cols[1].type.unit = TFN_UNIT_NS;
    assert_int_equal(read_rows(&r, &b, &err), TFN_SCHEMA);
    assert_text(err.message, "source 'rows.parquet', column 'ts'");
    end_block(b);
}

static void a_key_that_cannot_be_read_names_the_source(void **state)
{
    (void)state;
    reading r;
    tfn__block *b = NULL;
    tfn_error err = {0};
    const double values[] = {1, 2, 2.5, 4};
    begin_reading(&r);
    r.cols[0].type.kind = TFN_KIND_FLOAT64;
    r.cols[0].number = TFN_NUMBER_F64;
    r.cols[0].data = values;
    assert_int_equal(read_rows(&r, &b, &err), TFN_SCHEMA);
    assert_text(err.message, "rows.parquet");
    assert_text(err.message, "2.5");
    end_block(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_without_time_or_key_are_counted_and_not_listed),
        cmocka_unit_test(an_infinitely_late_created_time_is_never_known_an_early_one_always),
        cmocka_unit_test(a_unit_finer_than_announced_is_refused_and_a_coarser_one_read),
        cmocka_unit_test(a_key_that_cannot_be_read_names_the_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
