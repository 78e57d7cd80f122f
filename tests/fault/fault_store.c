/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The lookup path, and a check for leaks, with every allocation refused in turn: a clean error or the right answer, no leak
 * (ASan), and the store as it was.
 */

#include "unit/store_fixture.h"

#include "base/mem.h"
#include "tiffin/dataset.h"

static const char request[] =
    "{\"features\":[\"plane_facts:maker\",\"plane_facts:age\",\"plane_facts:delays\"],"
    "\"full_feature_names\":true}";

/* Open, prepare, look up, read, export, close. */
static tfn_code read_once(const store_fixture *f, tfn_error *err)
{
    const tfn_store_opts opts = {.struct_size = sizeof opts,
                                 .project = "fleet",
                                 .registry_path = f->registry_path,
                                 .online_path = f->online_path,
                                 .online_ttl = TFN_ONLINE_TTL_ENFORCE};
    const tfn_value keys[] = {text_value("N14228"), text_value("nobody")};
    const tfn_lookup_opts at = {
        .struct_size = sizeof at, .at = {STORE_T0_S + 60, 0, 1}, .max_age_us = 3600000000};
    tfn_store *store = NULL;
    tfn_lookup *lookup = NULL;
    tfn_answer *answer = NULL;
    struct ArrowArrayStream stream = {.release = NULL};
    tfn_code rc = tfn_store_open(&opts, &store, err);
    if (rc == TFN_OK) {
        rc = tfn_store_prepare(store, request, &lookup, err);
    }
    if (rc == TFN_OK) {
        rc = tfn_lookup_run(lookup, keys, 2, &at, &answer, err);
    }
    if (rc == TFN_OK) {
        tfn_value value;
        assert_int_equal(tfn_answer_get(answer, 0, 2, &value), TFN_STATUS_PRESENT);
        assert_int_equal(value.integer, 14);
        rc = tfn_answer_export(answer, 1, &stream, err);
    }
    if (stream.release != NULL) {
        stream.release(&stream);
    }
    tfn_answer_destroy(answer);
    tfn_lookup_destroy(lookup);
    tfn_store_close(store);
    return rc;
}

/* Allocations of one warm run of n rows, and of reading all its values. */
static int64_t count_allocations(tfn_lookup *lookup, size_t n_rows)
{
    tfn_value *keys = malloc((n_rows + 1) * sizeof *keys);
    assert_non_null(keys);
    for (size_t i = 0; i < n_rows; i++) {
        keys[i] = text_value(i % 3 == 0 ? "N14228" : i % 3 == 1 ? "N24211" : "nobody");
    }
    tfn_answer *answer = NULL;
    tfn_mem_fault_arm(0);
    assert_ok(tfn_lookup_run(lookup, keys, n_rows, NULL, &answer, err));
    for (size_t i = 0; i < tfn_answer_get_n_columns(answer); i++) {
        for (size_t i_row = 0; i_row < n_rows; i_row++) {
            tfn_value value;
            (void)tfn_answer_get(answer, i_row, i, &value);
        }
    }
    const int64_t n = tfn_mem_fault_count();
    tfn_answer_destroy(answer);
    free(keys);
    return n;
}

/* A prepared run allocates its answer and blocks of memory, which double: nothing per value. */
static void a_run_allocates_blocks_and_nothing_per_row_or_feature(void **state)
{
    (void)state;
    store_fixture f;
    store_setup(&f);
    store_open(&f, TFN_ONLINE_TTL_ENFORCE);
    store_load_planes(&f);
    tfn_lookup *one = NULL;
    tfn_lookup *three = NULL;
    assert_ok(tfn_store_prepare(f.store, "{\"features\":[\"plane_facts:age\"]}", &one, err));
    assert_ok(tfn_store_prepare(f.store, request, &three, err));
    (void)count_allocations(one, 3); /* opens what is opened once */
    (void)count_allocations(three, 3);
    const int64_t n_least = count_allocations(one, 1);
    assert_true(n_least <= 2); /* the answer and its first block */
    assert_int_equal(count_allocations(three, 1), n_least);
    assert_int_equal(count_allocations(three, 100), n_least);
    assert_int_equal(count_allocations(one, 1000), count_allocations(three, 1000));
    assert_true(count_allocations(three, 10000) <= n_least + 6); /* blocks of up to a MiB */
    tfn_lookup_destroy(three);
    tfn_lookup_destroy(one);
    store_teardown(&f);
}

/* Resolve a request for a chain of on-demand views. */
static tfn_code resolve_once(const store_fixture *f, tfn_error *err)
{
    const tfn_store_opts opts = {
        .struct_size = sizeof opts, .project = "fleet", .registry_path = f->registry_path};
    tfn_store *store = NULL;
    char *answer = NULL;
    tfn_code rc = tfn_store_open(&opts, &store, err);
    if (rc == TFN_OK) {
        rc = tfn_store_resolve(store, "{\"service\":\"mixed\",\"full_feature_names\":true}",
                               &answer, err);
    }
    assert_true((rc == TFN_OK) == (answer != NULL));
    tfn_text_destroy(answer);
    tfn_store_close(store);
    return rc;
}

static tfn_code write_once(const store_fixture *f, tfn_error *err)
{
    struct ArrowArrayStream planes;
    char *report = NULL;
    store_make_planes(&planes);
    const tfn_code rc = tfn_store_write_online(f->store, "plane_facts", &planes, &report, err);
    if (planes.release != NULL) {
        planes.release(&planes);
    }
    assert_true((rc == TFN_OK) == (report != NULL));
    tfn_text_destroy(report);
    return rc;
}

static void define_push(const store_fixture *f)
{
    store_define(f, "{\"objects\":["
                    "{\"kind\":\"data_source\",\"name\":\"planes_push\",\"type\":\"push\","
                    "\"batch_source\":\"planes\"},"
                    "{\"kind\":\"feature_view\",\"name\":\"aged\",\"entities\":[\"plane\"],"
                    "\"join_keys\":[\"tailnum\"],\"source\":\"planes_push\",\"schema\":["
                    "{\"name\":\"age\",\"dtype\":\"int64\"}]},"
                    "{\"kind\":\"feature_view\",\"name\":\"made\",\"entities\":[\"plane\"],"
                    "\"join_keys\":[\"tailnum\"],\"source\":\"planes_push\",\"schema\":["
                    "{\"name\":\"maker\",\"dtype\":\"string\"}]}]}");
}

/* Two rows to both views, with times as texts. */
static tfn_code push_once(const store_fixture *f, tfn_error *err)
{
    static const char *const keys[] = {"N1", "N2"};
    static const char *const times[] = {"2013-01-01T00:00:00Z", "2013-01-01T00:00:00.000000001Z"};
    static const double ages[] = {1.0, 2.0};
    const make_col columns[] = {{.name = "tailnum", .format = "u", .values = keys},
                                {.name = "event_timestamp", .format = "u", .values = times},
                                {.name = "created", .format = "u", .values = times},
                                {.name = "age", .format = "g", .values = ages},
                                {.name = "maker", .format = "u", .values = keys}};
    const tfn_push_request asked = {
        .struct_size = sizeof asked, .source = "planes_push", .rehearse = 1};
    struct ArrowArrayStream frame;
    tfn_push *push = NULL;
    char *report = NULL;
    make_stream(columns, 5, 2, 1, &frame);
    tfn_code rc = tfn_store_begin_push(f->store, &asked, &frame, &push, err);
    if (frame.release != NULL) {
        frame.release(&frame);
    }
    assert_true((rc == TFN_OK) == (push != NULL));
    if (rc == TFN_OK) {
        rc = tfn_push_commit(push, &report, err);
    }
    assert_true((rc == TFN_OK) == (report != NULL));
    tfn_text_destroy(report);
    return rc;
}

/* A manifest of plane_facts, whose source file write_source made. */
static tfn_code make_manifest_of(const store_fixture *f, const char *features, tfn_error *err)
{
    const tfn_manifest_request of = {.struct_size = sizeof of, .features = features, .writer = "w"};
    struct ArrowArrayStream planes;
    char *answer = NULL;
    store_make_planes(&planes);
    const tfn_code rc = tfn_store_make_manifest(f->store, &of, &planes, &answer, err);
    if (planes.release != NULL) {
        planes.release(&planes);
    }
    assert_true((rc == TFN_OK) == (answer != NULL));
    tfn_text_destroy(answer);
    return rc;
}

/* Of the dataset that define_dataset made. */
static tfn_code verify_once(const store_fixture *f, tfn_error *err)
{
    const tfn_verify_request of = {.struct_size = sizeof of, .name = "d", .writer = "w"};
    struct ArrowArrayStream planes;
    char *answer = NULL;
    store_make_planes(&planes);
    const tfn_code rc = tfn_store_verify_dataset(f->store, &of, &planes, &answer, err);
    if (planes.release != NULL) {
        planes.release(&planes);
    }
    assert_true((rc == TFN_OK) == (answer != NULL));
    tfn_text_destroy(answer);
    return rc;
}

static void write_source(const store_fixture *f)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/planes.parquet", f->folder);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite("PAR1foot\4\0\0\0PAR1", 1, 16, file), 16);
    assert_int_equal(fclose(file), 0);
}

static void define_dataset(const store_fixture *f)
{
    store_define(f, "{\"objects\":[{\"kind\":\"saved_dataset\",\"name\":\"d\",\"path\":"
                    "\"planes.parquet\",\"manifest\":{\"data\":{\"files\":[{\"path\":\"\","
                    "\"checksum\":\"0\",\"bytes\":3}]},\"definitions\":[{\"kind\":\"entity\","
                    "\"name\":\"plane\",\"hash\":\"0\"}],\"sources\":[{\"name\":\"planes\","
                    "\"path\":\"*.parquet\",\"format\":\"\",\"files\":[{\"path\":\"gone.parquet\","
                    "\"checksum\":\"0\",\"checksum_of\":\"footer\",\"bytes\":3}]}]}}]}");
}

typedef tfn_code (*scenario_fn)(const store_fixture *f, tfn_error *err);

static void refuse_each_allocation(const store_fixture *f, scenario_fn scenario)
{
    tfn_error error = {0};
    tfn_mem_fault_arm(0);
    assert_int_equal(scenario(f, &error), TFN_OK);
    const int64_t n_allocations = tfn_mem_fault_count();
    assert_true(n_allocations > 10);
    for (int64_t k = 1; k <= n_allocations; k++) {
        error = (tfn_error){0};
        tfn_mem_fault_arm(k);
        const tfn_code rc = scenario(f, &error);
        tfn_mem_fault_arm(0);
        if (rc != TFN_OK && rc != TFN_NO_MEMORY) {
            fail_msg("allocation %lld of %lld refused: %s: %s", (long long)k,
                     (long long)n_allocations, tfn_code_name(rc), error.message);
        }
    }
    error = (tfn_error){0};
    assert_int_equal(scenario(f, &error), TFN_OK);
}

static void a_lookup_survives_every_refused_allocation(void **state)
{
    (void)state;
    store_fixture f;
    store_setup(&f);
    store_open(&f, TFN_ONLINE_TTL_ENFORCE);
    store_load_planes(&f);
    refuse_each_allocation(&f, read_once);
    store_teardown(&f);
}

static void an_online_write_survives_every_refused_allocation(void **state)
{
    (void)state;
    store_fixture f;
    store_setup(&f);
    store_open(&f, TFN_ONLINE_TTL_ENFORCE);
    refuse_each_allocation(&f, write_once);
    refuse_each_allocation(&f, read_once);
    store_teardown(&f);
}

static void a_push_survives_every_refused_allocation(void **state)
{
    (void)state;
    store_fixture f;
    store_setup(&f);
    define_push(&f);
    store_open(&f, TFN_ONLINE_TTL_ENFORCE);
    refuse_each_allocation(&f, push_once);
    store_teardown(&f);
}

static tfn_code make_manifest_once(const store_fixture *f, tfn_error *err)
{
    return make_manifest_of(f, "{\"service\":\"model\"}", err);
}

/* With on-demand views, one of which reads another. */
static tfn_code make_on_demand_manifest_once(const store_fixture *f, tfn_error *err)
{
    return make_manifest_of(f, "{\"service\":\"mixed\"}", err);
}

static void a_manifest_survives_every_refused_allocation(void **state)
{
    (void)state;
    store_fixture f;
    store_setup(&f);
    store_open(&f, TFN_ONLINE_TTL_ENFORCE);
    write_source(&f);
    refuse_each_allocation(&f, make_manifest_once);
    store_define(&f, store_on_demand);
    refuse_each_allocation(&f, make_on_demand_manifest_once);
    define_dataset(&f);
    refuse_each_allocation(&f, verify_once);
    store_teardown(&f);
}

/* As far as there is no DuckDB needed: the spine is read and indexed, the file is not there. */
static tfn_code check_leakage_once(const store_fixture *f, tfn_error *err)
{
    static const char *keys[] = {"N14228"};
    static const int64_t times[] = {STORE_T0_S};
    const make_col columns[] = {{.name = "tailnum", .format = "u", .values = keys},
                                {.name = "event_timestamp", .format = "tss:UTC", .values = times}};
    const tfn_historical_request asked = {.struct_size = sizeof asked, .features = request};
    struct ArrowArrayStream spine;
    char *report = NULL;
    make_stream(columns, 2, 1, 0, &spine);
    const tfn_code rc = tfn_store_check_leakage(f->store, &asked, &spine, &report, err);
    if (spine.release != NULL) {
        spine.release(&spine);
    }
    assert_null(report);
    return rc == TFN_IO ? TFN_OK : rc;
}

static void a_check_for_leaks_survives_every_refused_allocation(void **state)
{
    (void)state;
    store_fixture f;
    store_setup(&f);
    store_open(&f, TFN_ONLINE_TTL_IGNORE);
    refuse_each_allocation(&f, check_leakage_once);
    store_teardown(&f);
}

static void resolving_survives_every_refused_allocation(void **state)
{
    (void)state;
    store_fixture f;
    store_setup(&f);
    store_define(&f, store_on_demand);
    refuse_each_allocation(&f, resolve_once);
    store_teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_allocates_blocks_and_nothing_per_row_or_feature),
        cmocka_unit_test(a_lookup_survives_every_refused_allocation),
        cmocka_unit_test(an_online_write_survives_every_refused_allocation),
        cmocka_unit_test(a_push_survives_every_refused_allocation),
        cmocka_unit_test(a_manifest_survives_every_refused_allocation),
        cmocka_unit_test(a_check_for_leaks_survives_every_refused_allocation),
        cmocka_unit_test(resolving_survives_every_refused_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
