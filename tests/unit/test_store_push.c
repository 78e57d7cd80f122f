/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Pushes through the public C API: all views of a source or none, and what is said of bad rows. */

#include "unit/store_fixture.h"

#include <pthread.h>

static const char pushed_views[] =
    "{\"objects\":["
    "{\"kind\":\"data_source\",\"name\":\"planes_push\",\"type\":\"push\","
    "\"batch_source\":\"planes\"},"
    "{\"kind\":\"feature_view\",\"name\":\"aged\",\"entities\":[\"plane\"],"
    "\"join_keys\":[\"tailnum\"],\"source\":\"planes_push\",\"schema\":["
    "{\"name\":\"age\",\"dtype\":\"int64\"}]},"
    "{\"kind\":\"feature_view\",\"name\":\"made\",\"entities\":[\"plane\"],"
    "\"join_keys\":[\"tailnum\"],\"source\":\"planes_push\",\"schema\":["
    "{\"name\":\"maker\",\"dtype\":\"string\"},"
    "{\"name\":\"delays\",\"dtype\":\"array<int32>\"}]},"
    "{\"kind\":\"feature_view\",\"name\":\"stored\",\"entities\":[\"plane\"],\"online\":false,"
    "\"join_keys\":[\"tailnum\"],\"source\":\"planes_push\",\"schema\":["
    "{\"name\":\"age\",\"dtype\":\"int64\"}]},"
    "{\"kind\":\"data_source\",\"name\":\"nobody_push\",\"type\":\"push\","
    "\"batch_source\":\"planes\"}"
    "]}";

static int setup(void **state)
{
    store_fixture *f = malloc(sizeof *f);
    store_setup(f);
    store_define(f, pushed_views);
    store_open(f, TFN_ONLINE_TTL_IGNORE);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    store_teardown(*state);
    free(*state);
    return 0;
}

static const char *const keys[] = {"N1", "N2"};
static const char *const one_key[] = {"N1", NULL};
static const int64_t times[] = {INT64_C(1356998400000000), INT64_C(1356998400000000)};
static const int64_t ages[] = {7, 8};
static const char *const makers[] = {"BOEING", "AIRBUS"};
static const int32_t lengths[] = {1, 1};
static const int64_t delays[] = {5, 6};

enum { TAILNUM, TIME, CREATED, AGE, MAKER, DELAYS, N_COLUMNS };

/* A frame of two rows that fits; columns may be replaced before it is made. */
static void fill(make_col columns[N_COLUMNS])
{
    columns[TAILNUM] = (make_col){.name = "tailnum", .format = "u", .values = keys};
    columns[TIME] = (make_col){.name = "event_timestamp", .format = "tsu:", .values = times};
    columns[CREATED] = (make_col){.name = "created", .format = "tsu:", .values = times};
    columns[AGE] = (make_col){.name = "age", .format = "l", .values = ages};
    columns[MAKER] = (make_col){.name = "maker", .format = "u", .values = makers};
    columns[DELAYS] = (make_col){
        .name = "delays", .format = "+l", .item = "l", .lengths = lengths, .values = delays};
}

static tfn_code begin(const store_fixture *f, const make_col *columns, int64_t n_rows,
                      const char *source, bool check_only, tfn_push **push, tfn_error *err)
{
    const tfn_push_request request = {
        .struct_size = sizeof request, .source = source, .check_only = check_only};
    struct ArrowArrayStream stream;
    make_stream(columns, N_COLUMNS, n_rows, 1, &stream);
    const tfn_code rc = tfn_store_begin_push(f->store, &request, &stream, push, err);
    if (stream.release != NULL) {
        stream.release(&stream);
    }
    assert_true((rc == TFN_OK) == (*push != NULL));
    return rc;
}

/* Statuses of N1's age and maker. */
static void assert_found(const store_fixture *f, tfn_status age, tfn_status maker)
{
    tfn_lookup *lookup = NULL;
    tfn_answer *answer = NULL;
    tfn_value value;
    assert_ok(
        tfn_store_prepare(f->store, "{\"features\":[\"aged:age\",\"made:maker\"]}", &lookup, err));
    const tfn_value key = text_value("N1");
    assert_ok(tfn_lookup_run(lookup, &key, 1, NULL, &answer, err));
    assert_int_equal(tfn_answer_get(answer, 0, 1, &value), age);
    assert_int_equal(tfn_answer_get(answer, 0, 2, &value), maker);
    tfn_answer_destroy(answer);
    tfn_lookup_destroy(lookup);
}

static void a_push_reaches_every_online_view_of_the_source(void **state)
{
    store_fixture *f = *state;
    make_col columns[N_COLUMNS];
    fill(columns);
    tfn_push *push = NULL;
    char *report = NULL;
    assert_ok(begin(f, columns, 2, "planes_push", false, &push, err));
    assert_found(f, TFN_STATUS_NOT_FOUND, TFN_STATUS_NOT_FOUND);
    assert_ok(tfn_push_commit(push, &report, err));
    assert_string_equal(report, "{\"rows_read\":2,\"rows_written\":4,\"rows_older\":0,"
                                "\"rows_same\":0,\"views\":[\"aged\",\"made\"]}");
    tfn_text_destroy(report);
    assert_found(f, TFN_STATUS_PRESENT, TFN_STATUS_PRESENT);
}

static void a_check_or_an_aborted_push_writes_nothing(void **state)
{
    store_fixture *f = *state;
    static const int64_t far[] = {INT64_C(1356998400000000), INT64_C(7258118400000000)};
    make_col columns[N_COLUMNS];
    fill(columns);
    tfn_push *push = NULL;
    char *report = NULL;
    assert_ok(begin(f, columns, 2, "planes_push", false, &push, err));
    tfn_push_abort(push);
    columns[TIME].values = far; /* ahead of the clock, which only serving minds */
    assert_ok(begin(f, columns, 2, "planes_push", true, &push, err));
    assert_ok(tfn_push_commit(push, &report, err));
    assert_non_null(strstr(report, "\"rows_written\":0"));
    assert_non_null(strstr(report, "[\"aged\",\"made\",\"stored\"]"));
    tfn_text_destroy(report);
    tfn_push_abort(NULL);
    assert_found(f, TFN_STATUS_NOT_FOUND, TFN_STATUS_NOT_FOUND);
}

static void a_frame_without_rows_is_pushed_without_a_look_at_it(void **state)
{
    store_fixture *f = *state;
    make_col columns[N_COLUMNS];
    fill(columns);
    columns[AGE].format = "u";
    columns[AGE].values = makers;
    tfn_push *push = NULL;
    char *report = NULL;
    assert_ok(begin(f, columns, 0, "planes_push", false, &push, err));
    assert_ok(tfn_push_commit(push, &report, err));
    assert_non_null(strstr(report, "\"rows_read\":0"));
    tfn_text_destroy(report);
}

static void times_may_be_texts(void **state)
{
    store_fixture *f = *state;
    static const char *const texts[] = {"2013-01-01T00:00:00Z", "2013-01-01 01:00:00.5+01:00"};
    make_col columns[N_COLUMNS];
    fill(columns);
    columns[TIME].format = "u";
    columns[TIME].values = texts;
    columns[CREATED].format = "u";
    columns[CREATED].values = texts;
    tfn_push *push = NULL;
    char *report = NULL;
    assert_ok(begin(f, columns, 2, "planes_push", false, &push, err));
    assert_ok(tfn_push_commit(push, &report, err));
    tfn_text_destroy(report);
    assert_found(f, TFN_STATUS_PRESENT, TFN_STATUS_PRESENT);
}

static void whole_floats_are_integers_and_nan_is_null(void **state)
{
    store_fixture *f = *state;
    static const double reals[] = {0.0 / 1.0, 3.0};
    make_col columns[N_COLUMNS];
    fill(columns);
    columns[AGE].format = "g";
    columns[AGE].values = reals;
    tfn_push *push = NULL;
    char *report = NULL;
    assert_ok(begin(f, columns, 2, "planes_push", false, &push, err));
    assert_ok(tfn_push_commit(push, &report, err));
    tfn_text_destroy(report);
    assert_found(f, TFN_STATUS_PRESENT, TFN_STATUS_PRESENT);
    static const double nan_and_one[] = {(double)__builtin_nanf(""), 1.0};
    static const int64_t later[] = {INT64_C(1356998401000000), INT64_C(1356998401000000)};
    columns[AGE].values = nan_and_one;
    columns[TIME].values = later;
    assert_ok(begin(f, columns, 2, "planes_push", false, &push, err));
    assert_ok(tfn_push_commit(push, &report, err));
    tfn_text_destroy(report);
    assert_found(f, TFN_STATUS_NULL_VALUE, TFN_STATUS_PRESENT);
}

/* A column in place of a good one, and what is to be said of it. */
typedef struct mistake {
    size_t i_column;
    make_col column;
    tfn_code code;
    const char *fragment;
} mistake;

static const uint8_t second_null[] = {1, 0};
static const double fraction[] = {1.0, 2.5};
static const int64_t far[] = {INT64_C(1356998400000000), INT64_C(7258118400000000)};
static const uint64_t huge[] = {1, UINT64_C(9223372036854775808)};
static const int64_t wide[] = {1, INT64_C(1099511627776)};
static const char *const no_times[] = {"2013-01-01", "soon"};

static const mistake mistakes[] = {
    {TAILNUM,
     {.name = "tailnum", .format = "u", .values = one_key},
     TFN_INVALID,
     "writing to 'aged': column 'tailnum', row 1 (counted from 0): null; a join key needs a value"},
    {TAILNUM,
     {.name = "tailnum", .format = "l", .values = ages},
     TFN_SCHEMA,
     "column 'tailnum' of the frame holds int64; expected string"},
    {TAILNUM,
     {.name = "tail", .format = "u", .values = keys},
     TFN_SCHEMA,
     "the frame has no column 'tailnum', the join key of feature view 'aged'"},
    {TIME,
     {.name = "event_timestamp", .format = "tsu:", .values = times, .valid = second_null},
     TFN_INVALID,
     "column 'event_timestamp', row 1 (counted from 0): null; a row needs its event time"},
    {TIME,
     {.name = "event_timestamp", .format = "tsu:", .values = far},
     TFN_INVALID,
     "column 'event_timestamp', row 1 (counted from 0): 2200-01-01T00:00:00Z is more than 300 "
     "seconds ahead of the clock"},
    {TIME,
     {.name = "event_timestamp", .format = "u", .values = no_times},
     TFN_INVALID,
     "column 'event_timestamp', row 1 (counted from 0): 'soon' is not a time"},
    {CREATED,
     {.name = "made_at", .format = "tsu:", .values = times},
     TFN_SCHEMA,
     "'created', the created_timestamp_column of"},
    {AGE,
     {.name = "age", .format = "L", .values = huge},
     TFN_SCHEMA,
     "column 'age', row 1 (counted from 0): value 9223372036854775808 does not fit int64"},
    {AGE,
     {.name = "age", .format = "g", .values = fraction},
     TFN_SCHEMA,
     "column 'age', row 1 (counted from 0): value 2.5 is no whole number, as int64 must be"},
    {AGE,
     {.name = "tailnum", .format = "u", .values = keys},
     TFN_INVALID,
     "the frame has two columns named 'tailnum'"},
    {MAKER,
     {.name = "maker", .format = "l", .values = ages},
     TFN_SCHEMA,
     "writing to 'made': column 'maker' of the frame holds int64; expected string"},
    {DELAYS,
     {.name = "delays", .format = "+l", .item = "l", .lengths = lengths, .values = wide},
     TFN_SCHEMA,
     "writing to 'made': column 'delays', row 1 (counted from 0): value 1099511627776 does not"},
};

static void a_mistake_in_any_view_changes_none(void **state)
{
    store_fixture *f = *state;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        make_col columns[N_COLUMNS];
        fill(columns);
        columns[mistakes[i].i_column] = mistakes[i].column;
        tfn_push *push = NULL;
        tfn_error err = {0};
        const tfn_code rc = begin(f, columns, 2, "planes_push", false, &push, &err);
        if (rc != mistakes[i].code || strstr(err.message, mistakes[i].fragment) == NULL) {
            fail_msg("case %zu: %s, '%s' does not say '%s'", i, tfn_code_name(rc), err.message,
                     mistakes[i].fragment);
        }
        assert_found(f, TFN_STATUS_NOT_FOUND, TFN_STATUS_NOT_FOUND);
    }
}

static void keys_of_numbers_say_which_number(void **state)
{
    store_fixture *f = *state;
    store_define(f, "{\"objects\":[{\"kind\":\"entity\",\"name\":\"row\",\"join_key\":\"row_id\","
                    "\"value_type\":\"int32\"},"
                    "{\"kind\":\"feature_view\",\"name\":\"rows\",\"entities\":[\"plane\",\"row\"],"
                    "\"join_keys\":[\"tailnum\",\"row_id\"],\"source\":\"planes\",\"schema\":["
                    "{\"name\":\"age\",\"dtype\":\"int64\"}]}]}");
    static const double nan_id[] = {(double)__builtin_nanf(""), 1.0};
    static const double big_id[] = {1.0, 4e9};
    const struct {
        make_col column;
        const char *fragment;
    } cases[] = {
        {{.name = "row_id", .format = "l", .values = wide}, "row 1 (counted from 0): value 10995"},
        {{.name = "row_id", .format = "L", .values = huge}, "value 9223372036854775808 does not"},
        {{.name = "row_id", .format = "g", .values = fraction}, "value 2.5 is no whole number"},
        {{.name = "row_id", .format = "g", .values = nan_id},
         "row 0 (counted from 0): NaN; a join"},
        {{.name = "row_id", .format = "g", .values = big_id},
         "value 4000000000 does not fit int32"},
        {{.name = "row_id", .format = "n"}, "row 0 (counted from 0): null; a join key"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        make_col columns[N_COLUMNS];
        fill(columns);
        columns[MAKER] = cases[i].column;
        struct ArrowArrayStream stream;
        char *report = NULL;
        tfn_error err = {0};
        make_stream(columns, N_COLUMNS, 2, 0, &stream);
        assert_int_not_equal(tfn_store_write_online(f->store, "rows", &stream, &report, &err),
                             TFN_OK);
        if (stream.release != NULL) {
            stream.release(&stream);
        }
        if (strstr(err.message, cases[i].fragment) == NULL ||
            strstr(err.message, "column 'row_id'") == NULL) {
            fail_msg("'%s' does not say '%s'", err.message, cases[i].fragment);
        }
    }
}

static void targets_that_make_no_sense_are_refused(void **state)
{
    store_fixture *f = *state;
    const struct {
        tfn_push_request request;
        tfn_code code;
        const char *fragment;
    } cases[] = {
        {{.struct_size = 3, .source = "planes_push"}, TFN_INVALID, "3 bytes"},
        {{.struct_size = sizeof(tfn_push_request)}, TFN_INVALID, "and not both"},
        {{.struct_size = sizeof(tfn_push_request), .source = "planes_push", .view = "aged"},
         TFN_INVALID,
         "and not both"},
        {{.struct_size = sizeof(tfn_push_request), .source = "planes_pus"},
         TFN_NOT_FOUND,
         "planes_push"},
        {{.struct_size = sizeof(tfn_push_request), .source = "planes"},
         TFN_NOT_FOUND,
         "is no push source"},
        {{.struct_size = sizeof(tfn_push_request), .source = "nobody_push"},
         TFN_NOT_FOUND,
         "no feature view has the push source 'nobody_push'"},
        {{.struct_size = sizeof(tfn_push_request), .view = "stored"}, TFN_INVALID, "online=False"},
        {{.struct_size = sizeof(tfn_push_request), .view = "agde"}, TFN_NOT_FOUND, "aged"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ArrowArrayStream stream;
        tfn_push *push = NULL;
        tfn_error err = {0};
        store_make_planes(&stream);
        assert_int_equal(tfn_store_begin_push(f->store, &cases[i].request, &stream, &push, &err),
                         cases[i].code);
        assert_non_null(stream.release); /* a frame that was not read is still the caller's */
        stream.release(&stream);
        assert_null(push);
        if (strstr(err.message, cases[i].fragment) == NULL) {
            fail_msg("'%s' does not say '%s'", err.message, cases[i].fragment);
        }
    }
}

/* A row of more than TFN_MAX_ONLINE_ROW_BYTES fits its types; only the online store says no. */
static void a_rehearsal_finds_what_the_online_store_refuses(void **state)
{
    store_fixture *f = *state;
    enum { N_BYTES = (64 << 20) + 1 };
    char *large = malloc(N_BYTES);
    assert_non_null(large);
    memset(large, 'x', N_BYTES - 1);
    large[N_BYTES - 1] = '\0';
    const char *const texts[] = {"BOEING", large};
    make_col columns[N_COLUMNS];
    fill(columns);
    columns[MAKER].values = texts;
    for (int32_t rehearse = 0; rehearse < 2; rehearse++) {
        const tfn_push_request request = {
            .struct_size = sizeof request, .source = "planes_push", .rehearse = rehearse};
        struct ArrowArrayStream stream;
        tfn_push *push = NULL;
        char *report = NULL;
        tfn_error err = {0};
        make_stream(columns, N_COLUMNS, 2, 1, &stream);
        tfn_code rc = tfn_store_begin_push(f->store, &request, &stream, &push, &err);
        assert_int_equal(rc, rehearse ? TFN_LIMIT : TFN_OK);
        rc = rehearse ? rc : tfn_push_commit(push, &report, &err);
        assert_int_equal(rc, TFN_LIMIT);
        assert_non_null(strstr(err.message, "writing to 'made': row 1 (counted from 0): "));
        if (stream.release != NULL) {
            stream.release(&stream);
        }
    }
    free(large);
    assert_found(f, TFN_STATUS_NOT_FOUND, TFN_STATUS_NOT_FOUND);
}

enum { N_THREADS = 4, N_PUSHES = 8 };

typedef struct pusher {
    const store_fixture *f;
    pthread_t thread;
    int64_t first_age;
    int n_failed;
} pusher;

/* The same two keys from every thread, each push a microsecond later than all before in its own. */
static void *push_many(void *argument)
{
    pusher *p = argument;
    for (int i = 0; i < N_PUSHES; i++) {
        const int64_t at[] = {times[0] + i * N_THREADS + p->first_age, times[0] + i};
        const int64_t age[] = {p->first_age + i * N_THREADS, 1};
        make_col columns[N_COLUMNS];
        fill(columns);
        columns[TIME].values = at;
        columns[AGE].values = age;
        tfn_push *push = NULL;
        char *report = NULL;
        tfn_error err = {0};
        tfn_code rc = begin(p->f, columns, 2, "planes_push", false, &push, &err);
        if (rc == TFN_OK) {
            rc = tfn_push_commit(push, &report, &err);
        }
        tfn_text_destroy(report);
        p->n_failed += rc != TFN_OK;
    }
    return NULL;
}

static void threads_push_into_one_store_and_the_newest_row_stays(void **state)
{
    store_fixture *f = *state;
    pusher pushers[N_THREADS];
    for (int i = 0; i < N_THREADS; i++) {
        pushers[i] = (pusher){.f = f, .first_age = i};
        assert_int_equal(pthread_create(&pushers[i].thread, NULL, push_many, &pushers[i]), 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_join(pushers[i].thread, NULL), 0);
        assert_int_equal(pushers[i].n_failed, 0);
    }
    tfn_lookup *lookup = NULL;
    tfn_answer *answer = NULL;
    tfn_value value;
    const tfn_value key = text_value("N1");
    assert_ok(tfn_store_prepare(f->store, "{\"features\":[\"aged:age\"]}", &lookup, err));
    assert_ok(tfn_lookup_run(lookup, &key, 1, NULL, &answer, err));
    assert_int_equal(tfn_answer_get(answer, 0, 1, &value), TFN_STATUS_PRESENT);
    assert_int_equal(value.integer, N_THREADS * N_PUSHES - 1);
    tfn_answer_destroy(answer);
    tfn_lookup_destroy(lookup);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
        TEST(a_push_reaches_every_online_view_of_the_source),
        TEST(a_check_or_an_aborted_push_writes_nothing),
        TEST(a_frame_without_rows_is_pushed_without_a_look_at_it),
        TEST(times_may_be_texts),
        TEST(whole_floats_are_integers_and_nan_is_null),
        TEST(a_rehearsal_finds_what_the_online_store_refuses),
        TEST(a_mistake_in_any_view_changes_none),
        TEST(keys_of_numbers_say_which_number),
        TEST(targets_that_make_no_sense_are_refused),
        TEST(threads_push_into_one_store_and_the_newest_row_stays),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
