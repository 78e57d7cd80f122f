/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Lookups, answers and online writes through the public C API. */

#include "unit/store_fixture.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static const char facts[] =
    "{\"features\":[\"plane_facts:maker\",\"plane_facts:age\",\"plane_facts:delays\"]}";

static int setup(void **state)
{
    store_fixture *f = malloc(sizeof *f);
    store_setup(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    store_teardown(*state);
    free(*state);
    return 0;
}

static tfn_answer *look_up(tfn_lookup *lookup, const tfn_value *keys, size_t n_rows,
                           const tfn_time *at)
{
    tfn_answer *answer = NULL;
    tfn_lookup_opts opts = {.struct_size = sizeof opts};
    if (at != NULL) {
        opts.at = *at;
    }
    assert_ok(tfn_lookup_run(lookup, keys, n_rows, &opts, &answer, err));
    return answer;
}

static void values_come_back_in_the_order_asked_with_their_status(void **state)
{
    store_fixture *f = *state;
    store_open(f, TFN_ONLINE_TTL_IGNORE);
    store_load_planes(f);
    tfn_lookup *lookup = NULL;
    assert_ok(tfn_store_prepare(f->store, facts, &lookup, err));
    assert_string_equal(tfn_lookup_get_key_name(lookup, 0), "tailnum");
    assert_null(tfn_lookup_get_key_name(lookup, 1));
    assert_int_equal(tfn_lookup_get_key_kind(lookup, 0), TFN_VALUE_STRING);
    const tfn_value keys[] = {text_value("N619AA"),
                              text_value("N14228"),
                              text_value("nobody"),
                              text_value("N14228"),
                              {.kind = TFN_VALUE_NULL}};
    tfn_answer *answer = look_up(lookup, keys, 5, NULL);
    assert_int_equal(tfn_answer_get_n_rows(answer), 5);
    assert_int_equal(tfn_answer_get_n_columns(answer), 4);
    assert_string_equal(tfn_answer_get_name(answer, 1), "maker");
    assert_string_equal(tfn_answer_get_name(answer, 2), "age");
    assert_null(tfn_answer_get_name(answer, 4));
    assert_int_equal(tfn_lookup_get_n_features(lookup), 3);
    size_t i_read = 7;
    assert_null(tfn_answer_get_view(answer, 0, &i_read));
    assert_int_equal(i_read, 7);
    assert_string_equal(tfn_answer_get_view(answer, 3, &i_read), "plane_facts");
    assert_int_equal(i_read, 0);
    assert_null(tfn_answer_get_view(answer, 4, NULL));
    tfn_value value;
    assert_int_equal(tfn_answer_get(answer, 0, 1, &value), TFN_STATUS_NULL_VALUE);
    assert_int_equal(tfn_answer_get(answer, 1, 1, &value), TFN_STATUS_PRESENT);
    assert_int_equal(value.n, 6);
    assert_memory_equal(value.text, "BOEING", 6);
    assert_int_equal(tfn_answer_get(answer, 3, 2, &value), TFN_STATUS_PRESENT);
    assert_int_equal(value.integer, 14);
    assert_int_equal(tfn_answer_get(answer, 2, 2, &value), TFN_STATUS_NOT_FOUND);
    assert_int_equal(tfn_answer_get(answer, 4, 2, &value), TFN_STATUS_NOT_FOUND);
    assert_int_equal(tfn_answer_get(answer, 4, 0, &value), TFN_STATUS_NULL_VALUE);
    assert_int_equal(tfn_answer_get_event_time(answer, 1, 1).seconds, STORE_T0_S);
    assert_int_equal(tfn_answer_get_event_time(answer, 2, 1).is_set, 0);
    assert_null(tfn_answer_get_warning(answer, 0));
    tfn_answer_destroy(answer);
    tfn_lookup_destroy(lookup);
}

static void lists_are_read_item_by_item(void **state)
{
    store_fixture *f = *state;
    store_open(f, TFN_ONLINE_TTL_IGNORE);
    store_load_planes(f);
    tfn_lookup *lookup = NULL;
    assert_ok(tfn_store_prepare(f->store, facts, &lookup, err));
    const tfn_value keys[] = {text_value("N14228"), text_value("N24211")};
    tfn_answer *answer = look_up(lookup, keys, 2, NULL);
    tfn_value list;
    tfn_value item;
    assert_int_equal(tfn_answer_get(answer, 0, 3, &list), TFN_STATUS_PRESENT);
    assert_int_equal(list.kind, TFN_VALUE_LIST);
    assert_int_equal(list.n, 2);
    tfn_value_get_item(&list, 1, &item);
    assert_int_equal(item.kind, TFN_VALUE_FLOAT64);
    assert_true(item.real == -2.5);
    tfn_value_get_item(&list, 2, &item);
    assert_int_equal(item.kind, TFN_VALUE_NULL);
    assert_int_equal(tfn_answer_get(answer, 1, 3, &list), TFN_STATUS_PRESENT);
    assert_int_equal(list.n, 0);
    tfn_answer_destroy(answer);
    tfn_lookup_destroy(lookup);
}

static void old_values_are_null_only_when_the_ttl_is_enforced(void **state)
{
    store_fixture *f = *state;
    store_open(f, TFN_ONLINE_TTL_ENFORCE);
    store_load_planes(f);
    tfn_lookup *lookup = NULL;
    assert_ok(tfn_store_prepare(f->store, facts, &lookup, err));
    const tfn_value keys[] = {text_value("N14228")};
    const tfn_time just_in_time = {STORE_T0_S + 3600, 0, 1};
    const tfn_time too_late = {STORE_T0_S + 3600, 1, 1};
    tfn_value value;
    tfn_answer *answer = look_up(lookup, keys, 1, &just_in_time);
    assert_int_equal(tfn_answer_get(answer, 0, 2, &value), TFN_STATUS_PRESENT);
    tfn_answer_destroy(answer);
    answer = look_up(lookup, keys, 1, &too_late);
    assert_int_equal(tfn_answer_get(answer, 0, 2, &value), TFN_STATUS_OUTSIDE_MAX_AGE);
    assert_int_equal(value.kind, TFN_VALUE_NULL);
    assert_int_equal(tfn_answer_get_event_time(answer, 0, 2).seconds, STORE_T0_S);
    tfn_answer_destroy(answer);
    tfn_lookup_destroy(lookup);
}

static tfn_status status_with(tfn_lookup *lookup, int64_t now_s, int64_t max_age_us)
{
    const tfn_value keys[] = {text_value("N14228")};
    const tfn_lookup_opts opts = {
        .struct_size = sizeof opts, .at = {now_s, 0, 1}, .max_age_us = max_age_us};
    tfn_answer *answer = NULL;
    tfn_value value;
    assert_ok(tfn_lookup_run(lookup, keys, 1, &opts, &answer, err));
    const tfn_status status = tfn_answer_get(answer, 0, 2, &value);
    assert_int_equal(value.kind, status == TFN_STATUS_PRESENT ? TFN_VALUE_INT64 : TFN_VALUE_NULL);
    tfn_answer_destroy(answer);
    return status;
}

static void a_max_age_holds_whatever_the_policy(void **state)
{
    store_fixture *f = *state;
    static const tfn_online_ttl policies[] = {TFN_ONLINE_TTL_ABSENT, TFN_ONLINE_TTL_IGNORE,
                                              TFN_ONLINE_TTL_ENFORCE};
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        store_open(f, policies[i]);
        store_load_planes(f);
        tfn_lookup *lookup = NULL;
        assert_ok(tfn_store_prepare(f->store, facts, &lookup, err));
        assert_int_equal(status_with(lookup, STORE_T0_S + 60, 60000000), TFN_STATUS_PRESENT);
        assert_int_equal(status_with(lookup, STORE_T0_S + 60, 59999999),
                         TFN_STATUS_OUTSIDE_MAX_AGE);
        /* The ttl is an hour. A longer max_age does not undo what is enforced. */
        const bool is_enforced = policies[i] == TFN_ONLINE_TTL_ENFORCE;
        assert_int_equal(status_with(lookup, STORE_T0_S + 7200, INT64_C(86400000000)),
                         is_enforced ? TFN_STATUS_OUTSIDE_MAX_AGE : TFN_STATUS_PRESENT);
        assert_int_equal(status_with(lookup, STORE_T0_S + 7200, INT64_MAX),
                         is_enforced ? TFN_STATUS_OUTSIDE_MAX_AGE : TFN_STATUS_PRESENT);
        tfn_lookup_destroy(lookup);
        tfn_store_close(f->store);
        f->store = NULL;
    }
}

static void options_that_make_no_sense_are_refused(void **state)
{
    store_fixture *f = *state;
    store_open(f, TFN_ONLINE_TTL_IGNORE);
    store_load_planes(f);
    tfn_lookup *lookup = NULL;
    assert_ok(tfn_store_prepare(f->store, facts, &lookup, err));
    const tfn_value keys[] = {text_value("N14228")};
    tfn_answer *answer = NULL;
    tfn_error err = {0};
    const tfn_lookup_opts negative = {.struct_size = sizeof negative, .max_age_us = -1};
    assert_int_equal(tfn_lookup_run(lookup, keys, 1, &negative, &answer, &err), TFN_INVALID);
    assert_non_null(strstr(err.message, "max_age is -1 microseconds"));
    const tfn_lookup_opts unsized = {.max_age_us = 1};
    assert_int_equal(tfn_lookup_run(lookup, keys, 1, &unsized, &answer, &err), TFN_INVALID);
    assert_non_null(strstr(err.message, "struct_size"));
    assert_null(answer);
    tfn_lookup_destroy(lookup);
}

static void columns_are_read_in_pieces(void **state)
{
    store_fixture *f = *state;
    store_open(f, TFN_ONLINE_TTL_IGNORE);
    store_load_planes(f);
    tfn_lookup *lookup = NULL;
    assert_ok(tfn_store_prepare(f->store, facts, &lookup, err));
    const tfn_value keys[] = {text_value("N14228"), text_value("nobody"), text_value("N24211"),
                              text_value("N24211"), text_value("N619AA")};
    tfn_answer *answer = look_up(lookup, keys, 5, NULL);
    for (size_t i_column = 0; i_column < 5; i_column++) { /* the last one is not there */
        for (size_t begin = 0; begin < 7; begin++) {
            tfn_value values[7];
            int32_t statuses[7];
            tfn_answer_get_values(answer, i_column, begin, 7, values, statuses);
            for (size_t i = 0; i < 7; i++) {
                tfn_value alone;
                assert_int_equal(tfn_answer_get(answer, begin + i, i_column, &alone), statuses[i]);
                assert_int_equal(alone.kind, values[i].kind);
                assert_int_equal(alone.integer, values[i].integer);
                assert_ptr_equal(alone.text, values[i].text);
                assert_true(statuses[i] == TFN_STATUS_INVALID || (begin + i < 5 && i_column < 4));
            }
        }
    }
    tfn_value values[1];
    tfn_answer_get_values(answer, 2, SIZE_MAX, 1, values, NULL);
    assert_int_equal(values[0].kind, TFN_VALUE_NULL);
    tfn_answer_destroy(answer);
    tfn_lookup_destroy(lookup);
}

static void equal_keys_one_behind_the_other_give_equal_rows(void **state)
{
    enum { N_ROWS = 100 };
    store_fixture *f = *state;
    store_open(f, TFN_ONLINE_TTL_IGNORE);
    store_load_planes(f);
    tfn_lookup *lookup = NULL;
    assert_ok(tfn_store_prepare(f->store, facts, &lookup, err));
    tfn_value keys[N_ROWS];
    for (size_t i = 0; i < N_ROWS; i++) { /* runs of one key, of nulls, of what nobody has */
        static const char *const names[] = {"N14228", "N24211", NULL, "nobody"};
        const char *name = names[i / 13 % 4];
        keys[i] = name == NULL ? (tfn_value){.kind = TFN_VALUE_NULL} : text_value(name);
    }
    tfn_answer *answer = look_up(lookup, keys, N_ROWS, NULL);
    for (size_t i = 0; i < N_ROWS; i++) {
        static const int64_t ages[] = {14, 15, 0, 0};
        tfn_value value;
        const bool is_there = i / 13 % 4 < 2;
        assert_int_equal(tfn_answer_get(answer, i, 2, &value),
                         is_there ? TFN_STATUS_PRESENT : TFN_STATUS_NOT_FOUND);
        assert_int_equal(value.integer, ages[i / 13 % 4]);
    }
    tfn_answer_destroy(answer);
    tfn_lookup_destroy(lookup);
}

static void an_absent_ttl_policy_serves_old_values_and_says_so(void **state)
{
    store_fixture *f = *state;
    store_open(f, TFN_ONLINE_TTL_ABSENT);
    store_load_planes(f);
    tfn_lookup *lookup = NULL;
    assert_ok(tfn_store_prepare(f->store, facts, &lookup, err));
    const tfn_value keys[] = {text_value("N14228")};
    tfn_answer *answer = look_up(lookup, keys, 1, NULL);
    tfn_value value;
    assert_int_equal(tfn_answer_get(answer, 0, 2, &value), TFN_STATUS_PRESENT);
    assert_non_null(strstr(tfn_answer_get_warning(answer, 0), "online_ttl: enforce"));
    tfn_answer_destroy(answer);
    tfn_lookup_destroy(lookup);
}

static void a_view_that_was_never_loaded_is_said_and_not_found(void **state)
{
    store_fixture *f = *state;
    store_open(f, TFN_ONLINE_TTL_ENFORCE);
    tfn_lookup *lookup = NULL;
    assert_ok(tfn_store_prepare(f->store, "{\"features\":[\"never_loaded:width\"]}", &lookup, err));
    const tfn_value keys[] = {text_value("N14228"), {.kind = TFN_VALUE_INT64, .integer = 3}};
    tfn_answer *answer = look_up(lookup, keys, 1, NULL);
    tfn_value value;
    assert_int_equal(tfn_answer_get(answer, 0, 2, &value), TFN_STATUS_NOT_FOUND);
    assert_non_null(strstr(tfn_answer_get_warning(answer, 0), "nothing was ever written to it"));
    assert_int_equal(tfn_lookup_get_n_views(lookup), 1);
    tfn_answer_destroy(answer);
    tfn_lookup_destroy(lookup);
}

static void keys_of_the_wrong_type_are_refused_by_name(void **state)
{
    store_fixture *f = *state;
    store_open(f, TFN_ONLINE_TTL_ENFORCE);
    tfn_lookup *lookup = NULL;
    assert_ok(tfn_store_prepare(f->store, "{\"features\":[\"never_loaded:width\"]}", &lookup, err));
    const tfn_value keys[] = {text_value("N14228"), text_value("three")};
    tfn_answer *answer = NULL;
    tfn_error err = {0};
    assert_int_equal(tfn_lookup_run(lookup, keys, 1, NULL, &answer, &err), TFN_INVALID);
    assert_non_null(strstr(err.message, "'seat_id'"));
    assert_non_null(strstr(err.message, "'three'"));
    const tfn_value number_as_text[] = {text_value("N14228"), text_value("3")};
    answer = look_up(lookup, number_as_text, 1, NULL);
    tfn_value value;
    assert_int_equal(tfn_answer_get(answer, 0, 1, &value), TFN_STATUS_PRESENT);
    assert_int_equal(value.integer, 3);
    tfn_answer_destroy(answer);
    tfn_lookup_destroy(lookup);
}

static void unknown_names_are_errors_that_name_what_there_is(void **state)
{
    store_fixture *f = *state;
    store_open(f, TFN_ONLINE_TTL_ENFORCE);
    static const struct {
        const char *request;
        tfn_code code;
        const char *fragment;
    } cases[] = {
        {"{\"features\":[\"plane_facts:wings\"]}", TFN_NOT_FOUND, "age, maker, delays"},
        {"{\"features\":[\"plane_fact:age\"]}", TFN_NOT_FOUND, "plane_facts"},
        {"{\"features\":[\"age\"]}", TFN_INVALID, "view:feature"},
        {"{\"features\":[]}", TFN_INVALID, "no feature"},
        {"{\"service\":\"modle\"}", TFN_NOT_FOUND, "model"},
        {"{\"features\":[\"plane_facts:age\",\"plane_facts:age\"]}", TFN_INVALID, "'age'"},
        {"{]", TFN_INVALID, "not JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tfn_lookup *lookup = NULL;
        tfn_error err = {0};
        assert_int_equal(tfn_store_prepare(f->store, cases[i].request, &lookup, &err),
                         cases[i].code);
        assert_null(lookup);
        if (strstr(err.message, cases[i].fragment) == NULL) {
            fail_msg("'%s' does not say '%s'", err.message, cases[i].fragment);
        }
    }
}

static void a_service_gives_its_features_under_full_names_when_asked(void **state)
{
    store_fixture *f = *state;
    store_open(f, TFN_ONLINE_TTL_IGNORE);
    store_load_planes(f);
    tfn_lookup *lookup = NULL;
    assert_ok(tfn_store_prepare(f->store, "{\"service\":\"model\",\"full_feature_names\":true}",
                                &lookup, err));
    const tfn_value keys[] = {text_value("N24211")};
    tfn_answer *answer = look_up(lookup, keys, 1, NULL);
    assert_string_equal(tfn_answer_get_name(answer, 1), "plane_facts__maker");
    assert_string_equal(tfn_answer_get_name(answer, 2), "plane_facts__age");
    tfn_answer_destroy(answer);
    tfn_lookup_destroy(lookup);
}

static void a_projection_maps_join_keys_and_renames_the_view(void **state)
{
    store_fixture *f = *state;
    store_open(f, TFN_ONLINE_TTL_IGNORE);
    store_load_planes(f);
    tfn_lookup *lookup = NULL;
    assert_ok(tfn_store_prepare(
        f->store,
        "{\"projections\":[{\"view\":\"plane_facts\",\"name_alias\":\"spare\",\"features\":["
        "\"age\"],"
        "\"join_key_map\":{\"tailnum\":\"spare_tailnum\"}}],\"full_feature_names\":true}",
        &lookup, err));
    assert_string_equal(tfn_lookup_get_key_name(lookup, 0), "spare_tailnum");
    const tfn_value keys[] = {text_value("N24211")};
    tfn_answer *answer = look_up(lookup, keys, 1, NULL);
    assert_string_equal(tfn_answer_get_name(answer, 1), "spare__age");
    tfn_value value;
    assert_int_equal(tfn_answer_get(answer, 0, 1, &value), TFN_STATUS_PRESENT);
    assert_int_equal(value.integer, 15);
    tfn_answer_destroy(answer);
    tfn_lookup_destroy(lookup);
}

static void a_lookup_follows_later_applies(void **state)
{
    store_fixture *f = *state;
    store_open(f, TFN_ONLINE_TTL_ENFORCE);
    store_load_planes(f);
    tfn_lookup *lookup = NULL;
    assert_ok(tfn_store_prepare(f->store, "{\"features\":[\"plane_facts:age\"]}", &lookup, err));
    store_define(
        f, "{\"objects\":["
           "{\"kind\":\"feature_view\",\"name\":\"plane_facts\",\"entities\":[\"plane\"],"
           "\"join_keys\":[\"tailnum\"],\"source\":\"planes\",\"ttl_us\":0,\"schema\":["
           "{\"name\":\"age\",\"dtype\":\"int64\"},{\"name\":\"seats\",\"dtype\":\"int32\"}]},"
           "{\"kind\":\"feature_service\",\"name\":\"model\",\"features\":["
           "{\"view\":\"plane_facts\",\"name_alias\":\"\",\"features\":[\"age\"],"
           "\"join_key_map\":{}}]}]}");
    tfn_lookup *fresh =
        NULL; /* prepare looks at the file, so the new commit is known from here on */
    assert_ok(tfn_store_prepare(
        f->store, "{\"features\":[\"plane_facts:seats\",\"plane_facts:age\"]}", &fresh, err));
    const tfn_value keys[] = {text_value("N24211")};
    tfn_value value;
    tfn_answer *answer = look_up(lookup, keys, 1, NULL); /* ttl is gone: nothing expires */
    assert_int_equal(tfn_answer_get(answer, 0, 1, &value), TFN_STATUS_PRESENT);
    tfn_answer_destroy(answer);
    answer = look_up(fresh, keys, 1, NULL); /* rows written before the feature existed */
    assert_int_equal(tfn_answer_get(answer, 0, 1, &value), TFN_STATUS_NOT_FOUND);
    assert_int_equal(tfn_answer_get_event_time(answer, 0, 1).is_set, 1);
    assert_int_equal(tfn_answer_get(answer, 0, 2, &value), TFN_STATUS_PRESENT);
    tfn_answer_destroy(answer);
    tfn_lookup_destroy(fresh);
    tfn_lookup_destroy(lookup);
}

static void an_answer_is_a_table_with_statuses(void **state)
{
    store_fixture *f = *state;
    store_open(f, TFN_ONLINE_TTL_IGNORE);
    store_load_planes(f);
    tfn_lookup *lookup = NULL;
    assert_ok(tfn_store_prepare(f->store, facts, &lookup, err));
    const tfn_value keys[] = {text_value("N14228"), text_value("nobody")};
    tfn_answer *answer = look_up(lookup, keys, 2, NULL);
    struct ArrowArrayStream stream;
    assert_ok(tfn_answer_export(answer, 1, &stream, err));
    tfn_answer_destroy(answer);
    tfn_lookup_destroy(lookup);
    struct ArrowSchema schema;
    struct ArrowArray batch;
    assert_int_equal(stream.get_schema(&stream, &schema), 0);
    assert_int_equal(schema.n_children, 1 + 3 * 3);
    assert_string_equal(schema.children[2]->name, "maker__status");
    assert_string_equal(schema.children[3]->name, "maker__event_timestamp");
    assert_int_equal(stream.get_next(&stream, &batch), 0);
    assert_int_equal(batch.length, 2);
    const int32_t *statuses = batch.children[2]->buffers[1];
    assert_int_equal(statuses[0], TFN_STATUS_PRESENT);
    assert_int_equal(statuses[1], TFN_STATUS_NOT_FOUND);
    schema.release(&schema);
    batch.release(&batch);
    stream.release(&stream);
}

static void a_second_identical_write_changes_nothing(void **state)
{
    store_fixture *f = *state;
    store_open(f, TFN_ONLINE_TTL_IGNORE);
    store_load_planes(f);
    struct ArrowArrayStream planes;
    char *report = NULL;
    store_make_planes(&planes);
    assert_ok(tfn_store_write_online(f->store, "plane_facts", &planes, &report, err));
    assert_non_null(strstr(report, "\"rows_same\":3"));
    assert_non_null(strstr(report, "\"rows_written\":0"));
    tfn_text_destroy(report);
}

static void bad_frames_are_refused_whole_with_row_and_column(void **state)
{
    store_fixture *f = *state;
    store_open(f, TFN_ONLINE_TTL_IGNORE);
    static const char *tailnums[] = {"N14228", NULL};
    static const int64_t times[] = {INT64_C(1356998400000000), INT64_C(1356998400000000)};
    static const int64_t far[] = {INT64_C(1356998400000000), INT64_C(7258118400000000)};
    static const char *good[] = {"N14228", "N24211"};
    static const int64_t ages[] = {1, 2};
    const make_col null_key[] = {{.name = "tailnum", .format = "u", .values = tailnums},
                                 {.name = "event_timestamp", .format = "tsu:", .values = times},
                                 {.name = "created", .format = "tsu:", .values = times},
                                 {.name = "age", .format = "l", .values = ages}};
    const make_col far_time[] = {{.name = "tailnum", .format = "u", .values = good},
                                 {.name = "event_timestamp", .format = "tsu:", .values = far},
                                 {.name = "created", .format = "tsu:", .values = times},
                                 {.name = "age", .format = "l", .values = ages}};
    const make_col text_age[] = {{.name = "tailnum", .format = "u", .values = good},
                                 {.name = "event_timestamp", .format = "tsu:", .values = times},
                                 {.name = "created", .format = "tsu:", .values = times},
                                 {.name = "age", .format = "u", .values = good}};
    const struct {
        const make_col *columns;
        size_t n_columns;
        tfn_code code;
        const char *fragment;
    } cases[] = {{null_key, 4, TFN_INVALID, "row 1"},
                 {far_time, 4, TFN_INVALID, "2200-01-01"},
                 {text_age, 4, TFN_SCHEMA, "'age'"},
                 {null_key, 1, TFN_SCHEMA, "'event_timestamp'"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ArrowArrayStream stream;
        char *report = NULL;
        tfn_error err = {0};
        make_stream(cases[i].columns, cases[i].n_columns, 2, 0, &stream);
        assert_int_equal(tfn_store_write_online(f->store, "plane_facts", &stream, &report, &err),
                         cases[i].code);
        if (stream.release != NULL) {
            stream.release(&stream);
        }
        assert_null(report);
        if (strstr(err.message, cases[i].fragment) == NULL) {
            fail_msg("'%s' does not say '%s'", err.message, cases[i].fragment);
        }
    }
    tfn_lookup *lookup = NULL;
    assert_ok(tfn_store_prepare(f->store, facts, &lookup, err));
    const tfn_value keys[] = {text_value("N14228")};
    tfn_answer *answer = look_up(lookup, keys, 1, NULL);
    tfn_value value;
    assert_int_equal(tfn_answer_get(answer, 0, 2, &value), TFN_STATUS_NOT_FOUND);
    tfn_answer_destroy(answer);
    tfn_lookup_destroy(lookup);
}

static void a_lookup_outlives_its_store_and_works_after_a_fork(void **state)
{
    store_fixture *f = *state;
    store_open(f, TFN_ONLINE_TTL_IGNORE);
    store_load_planes(f);
    tfn_lookup *lookup = NULL;
    assert_ok(tfn_store_prepare(f->store, facts, &lookup, err));
    const tfn_value keys[] = {text_value("N14228")};
    tfn_value value;
    tfn_answer_destroy(look_up(lookup, keys, 1, NULL)); /* the parent has everything open */
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        tfn_answer *answer = NULL;
        const bool ok = tfn_lookup_run(lookup, keys, 1, NULL, &answer, NULL) == TFN_OK &&
                        tfn_answer_get(answer, 0, 2, &value) == TFN_STATUS_PRESENT;
        _exit(ok ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    tfn_store_close(f->store);
    f->store = NULL;
    tfn_answer *answer = look_up(lookup, keys, 1, NULL);
    assert_int_equal(tfn_answer_get(answer, 0, 2, &value), TFN_STATUS_PRESENT);
    tfn_answer_destroy(answer);
    tfn_lookup_destroy(lookup);
}

enum { N_THREADS = 4, RUNS_PER_THREAD = 200 };

/* Every answer is some state that was: the age is 14, or what a push made of it. */
static void *run_lookups(void *context)
{
    tfn_lookup *lookup = context;
    const tfn_value keys[] = {text_value("N14228"), text_value("nobody")};
    const tfn_lookup_opts opts = {.struct_size = sizeof opts, .max_age_us = INT64_MAX};
    for (int i = 0; i < RUNS_PER_THREAD; i++) {
        tfn_answer *answer = NULL;
        tfn_value value;
        if (tfn_lookup_run(lookup, keys, 2, &opts, &answer, NULL) != TFN_OK ||
            tfn_answer_get(answer, 0, 2, &value) != TFN_STATUS_PRESENT || value.integer < 14 ||
            tfn_answer_get(answer, 1, 2, &value) != TFN_STATUS_NOT_FOUND) {
            return lookup;
        }
        tfn_answer_destroy(answer);
    }
    return NULL;
}

/* Write the row of one plane, newer with each i. */
static void push_plane(store_fixture *f, int64_t i)
{
    static const char *tailnum[] = {"N14228"};
    const int64_t time[] = {INT64_C(1356998400000000) + i};
    const int64_t age[] = {14 + i};
    const make_col columns[] = {{.name = "tailnum", .format = "u", .values = tailnum},
                                {.name = "event_timestamp", .format = "tsu:", .values = time},
                                {.name = "created", .format = "tsu:", .values = time},
                                {.name = "age", .format = "l", .values = age}};
    struct ArrowArrayStream stream;
    char *report = NULL;
    make_stream(columns, 4, 1, 0, &stream);
    assert_ok(tfn_store_write_online(f->store, "plane_facts", &stream, &report, err));
    tfn_text_destroy(report);
}

static void commit_another_ttl(const store_fixture *f, int i)
{
    char request[512];
    (void)snprintf(request, sizeof request,
                   "{\"objects\":[{\"kind\":\"feature_view\",\"name\":\"plane_facts\","
                   "\"entities\":[\"plane\"],\"join_keys\":[\"tailnum\"],\"source\":\"planes\","
                   "\"ttl_us\":%d,\"schema\":[{\"name\":\"age\",\"dtype\":\"int64\"},"
                   "{\"name\":\"maker\",\"dtype\":\"string\"},"
                   "{\"name\":\"delays\",\"dtype\":\"array<float64>\"}]}]}",
                   3600000 + i);
    store_define(f, request);
    tfn_lookup *fresh = NULL; /* looks at the file, so that the others know of it too */
    assert_ok(tfn_store_prepare(f->store, facts, &fresh, err));
    tfn_lookup_destroy(fresh);
}

static void many_threads_share_one_lookup_while_others_commit_and_push(void **state)
{
    store_fixture *f = *state;
    store_open(f, TFN_ONLINE_TTL_IGNORE);
    store_load_planes(f);
    tfn_lookup *lookup = NULL;
    assert_ok(tfn_store_prepare(f->store, facts, &lookup, err));
    pthread_t threads[N_THREADS];
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, run_lookups, lookup), 0);
    }
    for (int i = 0; i < 10; i++) {
        push_plane(f, i + 1);
        commit_another_ttl(f, i);
    }
    for (int i = 0; i < N_THREADS; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    const tfn_value keys[] = {text_value("N14228")};
    tfn_answer *answer = look_up(lookup, keys, 1, NULL);
    tfn_value value;
    assert_int_equal(tfn_answer_get(answer, 0, 2, &value), TFN_STATUS_PRESENT);
    assert_int_equal(value.integer, 24);
    tfn_answer_destroy(answer);
    tfn_lookup_destroy(lookup);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        STORE_TEST(values_come_back_in_the_order_asked_with_their_status),
        STORE_TEST(lists_are_read_item_by_item),
        STORE_TEST(old_values_are_null_only_when_the_ttl_is_enforced),
        STORE_TEST(a_max_age_holds_whatever_the_policy),
        STORE_TEST(options_that_make_no_sense_are_refused),
        STORE_TEST(columns_are_read_in_pieces),
        STORE_TEST(equal_keys_one_behind_the_other_give_equal_rows),
        STORE_TEST(an_absent_ttl_policy_serves_old_values_and_says_so),
        STORE_TEST(a_view_that_was_never_loaded_is_said_and_not_found),
        STORE_TEST(keys_of_the_wrong_type_are_refused_by_name),
        STORE_TEST(unknown_names_are_errors_that_name_what_there_is),
        STORE_TEST(a_service_gives_its_features_under_full_names_when_asked),
        STORE_TEST(a_projection_maps_join_keys_and_renames_the_view),
        STORE_TEST(a_lookup_follows_later_applies),
        STORE_TEST(an_answer_is_a_table_with_statuses),
        STORE_TEST(a_second_identical_write_changes_nothing),
        STORE_TEST(bad_frames_are_refused_whole_with_row_and_column),
        STORE_TEST(a_lookup_outlives_its_store_and_works_after_a_fork),
        STORE_TEST(many_threads_share_one_lookup_while_others_commit_and_push),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
