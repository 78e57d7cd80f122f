/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* feast_message.c and feast_read*.c: a file of Feast becomes these documents. */

#include "unit/registry_fixture.h"

#include "unit/feast_fixture.h"

#include "base/json.h"
#include "registry/feast_file.h"

typedef struct read_fixture {
    feast_file file;
    tfn_buf bytes;
    tfn_buf out;
    yyjson_doc *request;
    tfn_error err;
} read_fixture;

static int set_up_file(void **state)
{
    read_fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    make_feast_file(&f->file);
    *state = f;
    return 0;
}

static int tear_down_file(void **state)
{
    read_fixture *f = *state;
    tfn_buf_deinit(&f->bytes);
    tfn_buf_deinit(&f->out);
    yyjson_doc_free(f->request);
    free(f);
    return 0;
}

static tfn_str pack(read_fixture *f)
{
    tfn_buf_deinit(&f->bytes);
    f->bytes = pack_feast_file(&f->file);
    return tfn_buf_get_str(&f->bytes);
}

static void read_flights(read_fixture *f)
{
    yyjson_doc_free(f->request);
    f->request = NULL;
    tfn_buf_clear(&f->out);
    if (tfn_feast_read(pack(f), text("flights"), &f->out, &f->err) != TFN_OK ||
        tfn_json_parse(tfn_buf_get_str(&f->out), "it", &f->request, &f->err) != TFN_OK) {
        fail_msg("%s", f->err.message);
    }
}

static yyjson_val *find(const read_fixture *f, const char *kind, const char *name)
{
    yyjson_val *objects = yyjson_obj_get(yyjson_doc_get_root(f->request), "objects");
    yyjson_arr_iter items = yyjson_arr_iter_with(objects);
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        if (yyjson_equals_str(yyjson_obj_get(item, "kind"), kind) &&
            yyjson_equals_str(yyjson_obj_get(item, "name"), name)) {
            return item;
        }
    }
    return NULL;
}

/* The document has these members, and this one is so; the order of members does not matter. */
static void assert_member(const read_fixture *f, const char *kind, const char *name,
                          const char *member, const char *expected)
{
    yyjson_doc *wanted = yyjson_read(expected, strlen(expected), 0);
    yyjson_val *found = yyjson_obj_get(find(f, kind, name), member);
    assert_non_null(wanted);
    if (found == NULL || !yyjson_equals(found, yyjson_doc_get_root(wanted))) {
        char *shown = found == NULL ? NULL : yyjson_val_write(found, 0, NULL);
        fail_msg("%s '%s': %s is %s", kind, name, member, shown == NULL ? "missing" : shown);
    }
    yyjson_doc_free(wanted);
}

static void assert_no_member(const read_fixture *f, const char *kind, const char *name,
                             const char *member)
{
    assert_non_null(find(f, kind, name));
    assert_null(yyjson_obj_get(find(f, kind, name), member));
}

#define FIELD(name, dtype)                                                                         \
    "{\"name\":\"" name "\",\"dtype\":\"" dtype "\",\"description\":\"\",\"tags\":{}}"

/* ---- bytes ---- */

static void a_registry_is_told_from_other_bytes(void **state)
{
    read_fixture *f = *state;
    const tfn_str bytes = pack(f);
    assert_true(tfn_feast_is_registry(bytes));
    assert_true(tfn_feast_is_registry(text("\x1a\x01\x31"))); /* an empty one, of version 1 */
    assert_false(tfn_feast_is_registry(text("")));
    assert_false(tfn_feast_is_registry(text("x")));
    assert_false(tfn_feast_is_registry(text("project: flights\nregistry: data/registry.db\n")));
    assert_false(tfn_feast_is_registry((tfn_str){bytes.p, bytes.n - 1}));
    assert_false(tfn_feast_is_registry((tfn_str){"SQLite format 3\0\x10", 18}));
    assert_false(tfn_feast_is_registry(text("\x0a\x03\x0a\x01\xff"))); /* a name with no UTF-8 */
}

static void expect_refused(read_fixture *f, tfn_str bytes, tfn_code expected, const char *part)
{
    f->err = (tfn_error){0};
    tfn_buf_clear(&f->out);
    assert_int_equal(tfn_feast_read(bytes, text("flights"), &f->out, &f->err), expected);
    if (strstr(f->err.message, part) == NULL) {
        fail_msg("%s", f->err.message);
    }
    assert_int_equal(f->out.n, 0);
}

static void damaged_bytes_are_refused_in_words(void **state)
{
    read_fixture *f = *state;
    const tfn_str bytes = pack(f);
    expect_refused(f, text(""), TFN_CORRUPT, "the 0 bytes are no registry of Feast");
    for (size_t n = 1; n < bytes.n; n++) {
        tfn_buf_clear(&f->out);
        const tfn_code rc =
            tfn_feast_read((tfn_str){bytes.p, n}, text("flights"), &f->out, &f->err);
        assert_true(rc == TFN_OK || rc == TFN_CORRUPT || rc == TFN_NOT_FOUND);
    }
}

static void nesting_is_bounded(void **state)
{
    read_fixture *f = *state;
    enum { DEEP = 3000 };
    static Feast__DataSource chain[DEEP];
    for (size_t i = 0; i < DEEP; i++) {
        feast__data_source__init(&chain[i]);
        chain[i].name = TEXT("s");
        chain[i].project = TEXT("flights");
        chain[i].batch_source = i + 1 < DEEP ? &chain[i + 1] : NULL;
    }
    f->file.sources[0] = &chain[0];
    expect_refused(f, pack(f), TFN_LIMIT, "nested more than 32 deep");
    assert_false(tfn_feast_is_registry(tfn_buf_get_str(&f->bytes)));
}

static void memory_is_bounded_by_the_size_of_the_file(void **state)
{
    read_fixture *f = *state;
    enum { MANY = 200000 };
    tfn_buf bytes = {0};
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(tfn_buf_add(&bytes, "\x32\x02\x0a\x00", 4, NULL), TFN_OK);
    }
    expect_refused(f, tfn_buf_get_str(&bytes), TFN_LIMIT, "times its size in memory");
    tfn_buf_deinit(&bytes);
}

/* ---- projects ---- */

static void projects_are_listed_by_name_with_and_without_an_object(void **state)
{
    read_fixture *f = *state;
    assert_int_equal(tfn_feast_list_projects(pack(f), &f->out, &f->err), TFN_OK);
    assert_string_equal(f->out.p, "[\"flights\",\"other\"]");
    tfn_buf_clear(&f->out);
    assert_int_equal(tfn_feast_read(tfn_buf_get_str(&f->bytes), text("flight"), &f->out, &f->err),
                     TFN_NOT_FOUND);
    assert_string_equal(f->err.message,
                        "Feast's registry has no project 'flight'; did you mean 'flights'?");
    read_flights(f);
    assert_non_null(find(f, "project", "flights"));
    assert_null(find(f, "entity", "elsewhere"));
    assert_member(f, "project", "flights", "description", "\"what flies\"");
}

/* ---- objects ---- */

static void entities_come_without_the_dummy(void **state)
{
    read_fixture *f = *state;
    read_flights(f);
    assert_null(find(f, "entity", "__dummy"));
    assert_member(f, "entity", "plane", "join_key", "\"tailnum\"");
    assert_member(f, "entity", "plane", "value_type", "\"string\"");
    assert_member(f, "entity", "plane", "tags", "{\"tailnum\":\"craft\"}");
    f->file.entity_spec[0].value_type = 5; /* no key is a double here */
    read_flights(f);
    assert_member(f, "entity", "plane", "value_type", "\"unknown\"");
}

static void each_data_source_comes_once(void **state)
{
    read_fixture *f = *state;
    read_flights(f);
    assert_member(f, "data_source", "planes", "format", "\"parquet\"");
    assert_member(f, "data_source", "planes", "path", "\"planes.parquet\"");
    assert_member(f, "data_source", "planes", "created_timestamp_column", "\"created\"");
    assert_member(f, "data_source", "push", "batch_source", "\"planes\"");
    assert_member(f, "data_source", "hidden.parquet", "type", "\"file\"");
    assert_member(f, "data_source", "trip", "schema", "[" FIELD("distance", "float32") "]");
    yyjson_val *objects = yyjson_obj_get(yyjson_doc_get_root(f->request), "objects");
    size_t n_sources = 0;
    yyjson_arr_iter items = yyjson_arr_iter_with(objects);
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        n_sources += yyjson_equals_str(yyjson_obj_get(item, "kind"), "data_source") ? 1 : 0;
    }
    assert_int_equal(n_sources, N_FEAST_SOURCES + 2); /* hidden.parquet, and what stands for none */
}

static void other_sources_are_foreign_with_what_they_have(void **state)
{
    read_fixture *f = *state;
    read_flights(f);
    assert_member(f, "data_source", "kafka", "class", "\"KafkaSource\"");
    assert_member(f, "data_source", "kafka", "batch_source", "\"hidden.parquet\"");
    assert_member(f, "data_source", "kafka", "content",
                  "{\"topic\":\"t\",\"message_format\":{\"class\":\"AvroFormat\",\"schema_json\":"
                  "\"\"},\"watermark_delay_threshold\":{\"microseconds\":300000000}}");
    assert_member(f, "data_source", "kafka", "missing",
                  "\"this release takes no rows from Kafka; push them to a PushSource in its "
                  "place\"");
    assert_member(f, "data_source", "bq", "content", "{\"table\":\"a.b\"}");
    assert_member(f, "data_source", "own", "class", "\"MySource\"");
    assert_member(f, "data_source", "own", "content", "{\"rate\":\"0.5\",\"n\":[1,null,true]}");
}

static void views_come_with_their_fields_and_reasons(void **state)
{
    read_fixture *f = *state;
    read_flights(f);
    assert_member(f, "feature_view", "history", "schema",
                  "[" FIELD("tailnum",
                            "string") "," FIELD("delay", "float64") "," FIELD("legs", "int64") "]");
    assert_member(f, "feature_view", "history", "ttl_us", "86400000005");
    assert_member(f, "feature_view", "history", "source", "\"planes\"");
    assert_no_member(f, "feature_view", "history", "foreign");
    assert_member(f, "feature_view", "off", "source", "\"push\"");
    assert_member(f, "feature_view", "off", "foreign",
                  "{\"class\":\"FeatureView\",\"content\":{\"disabled\":true,\"mode\":\"python\"},"
                  "\"missing\":\"it is disabled (enabled=False)\"}");
    assert_member(f, "feature_view", "derived", "foreign",
                  "{\"class\":\"FeatureView\",\"content\":{\"sink_source\":\"planes\","
                  "\"source_views\":[\"history\"]},\"missing\":\"this release computes no view "
                  "from another; write its rows to files, and read these\"}");
}

static void a_field_of_no_type_of_ours_is_kept_beside_the_schema(void **state)
{
    read_fixture *f = *state;
    read_flights(f);
    assert_member(f, "feature_view", "odd", "schema",
                  "[" FIELD("tailnum", "string") "," FIELD("delay", "float64") "]");
    assert_member(
        f, "feature_view", "odd", "foreign",
        "{\"class\":\"FeatureView\",\"content\":{\"fields\":[{\"name\":\"nested\","
        "\"value_type\":42,\"description\":\"\",\"tags\":{}}]},\"missing\":\"this release "
        "does not have the types of its fields 'nested' (type 42 of Feast); write them "
        "to its source in another form\"}");
}

static void stream_and_label_views_keep_their_class(void **state)
{
    read_fixture *f = *state;
    read_flights(f);
    yyjson_val *foreign = yyjson_obj_get(find(f, "feature_view", "sums"), "foreign");
    assert_true(yyjson_equals_str(yyjson_obj_get(foreign, "class"), "StreamFeatureView"));
    assert_true(yyjson_equals_str(
        yyjson_obj_get(foreign, "missing"),
        "this release does not run the function and the aggregations of a stream feature view; "
        "push what it would make to a PushSource with a FeatureView on it"));
    yyjson_val *content = yyjson_obj_get(foreign, "content");
    assert_null(yyjson_obj_get(content, "tiling_hop_size")); /* Feast's default */
    assert_int_equal(yyjson_arr_size(yyjson_obj_get(content, "aggregations")), 1);
    assert_member(f, "feature_view", "labels", "source", "\"__no_source__\"");
    assert_member(f, "feature_view", "labels", "entities", "[]");
    assert_member(f, "data_source", "__no_source__", "class", "\"DataSource\"");
}

static void on_demand_views_have_their_function_as_text(void **state)
{
    read_fixture *f = *state;
    read_flights(f);
    assert_member(f, "on_demand_feature_view", "speed", "sources",
                  "[{\"view\":\"history\",\"name_alias\":\"\",\"join_key_map\":{},\"features\":[]}"
                  "]");
    assert_member(f, "on_demand_feature_view", "speed", "request_sources", "[\"trip\"]");
    assert_member(f, "on_demand_feature_view", "speed", "mode", "\"pandas\"");
    assert_member(f, "on_demand_feature_view", "speed", "function",
                  "{\"module\":\"\",\"name\":\"speed\",\"source\":\"def speed(a):\\n    return "
                  "a\\n\",\"hash\":"
                  "\"17c970419078abb65e6ac0ca04d03f87adaec238975cbb356e3467d9eb37f7af\"}");
    /* One that would be stored has no form among on-demand views of ours. */
    assert_null(find(f, "on_demand_feature_view", "stored"));
    yyjson_val *foreign = yyjson_obj_get(find(f, "feature_view", "stored"), "foreign");
    assert_true(yyjson_equals_str(yyjson_obj_get(foreign, "class"), "OnDemandFeatureView"));
}

static void services_list_their_features(void **state)
{
    read_fixture *f = *state;
    read_flights(f);
    assert_member(f, "feature_service", "model", "features",
                  "[{\"view\":\"history\",\"name_alias\":\"\",\"join_key_map\":{},\"features\":["
                  "\"delay\",\"legs\"]},{\"view\":\"history\",\"name_alias\":\"h\","
                  "\"join_key_map\":{\"tailnum\":\"craft\"},\"features\":[\"delay\"]}]");
    assert_member(f, "feature_service", "model", "logging_config",
                  "{\"sample_rate_millionths\":100000,\"destination\":{\"type\":\"file\",\"path\":"
                  "\"logs\",\"s3_endpoint_override\":\"\",\"partition_by\":[]}}");
}

static void what_is_not_run_is_kept(void **state)
{
    read_fixture *f = *state;
    read_flights(f);
    assert_member(f, "saved_dataset", "set", "path", "\"planes.parquet\"");
    assert_member(f, "saved_dataset", "set", "min_event_timestamp",
                  "\"1970-01-02T00:00:00+00:00\"");
    assert_member(f, "saved_dataset", "set", "max_event_timestamp", "\"\"");
    assert_member(f, "validation_reference", "ref", "content", "{\"dataset_name\":\"set\"}");
    assert_member(f, "permission", "readers", "content",
                  "{\"types\":[\"FeatureView\",99],\"name_patterns\":[],\"actions\":["
                  "\"READ_ONLINE\"],\"policy\":{\"class\":\"RoleBasedPolicy\",\"roles\":[\"r\"]},"
                  "\"required_tags\":{}}");
}

#define TEST_OF_FILE(name) cmocka_unit_test_setup_teardown(name, set_up_file, tear_down_file)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF_FILE(a_registry_is_told_from_other_bytes),
        TEST_OF_FILE(damaged_bytes_are_refused_in_words),
        TEST_OF_FILE(nesting_is_bounded),
        TEST_OF_FILE(memory_is_bounded_by_the_size_of_the_file),
        TEST_OF_FILE(projects_are_listed_by_name_with_and_without_an_object),
        TEST_OF_FILE(entities_come_without_the_dummy),
        TEST_OF_FILE(each_data_source_comes_once),
        TEST_OF_FILE(other_sources_are_foreign_with_what_they_have),
        TEST_OF_FILE(views_come_with_their_fields_and_reasons),
        TEST_OF_FILE(a_field_of_no_type_of_ours_is_kept_beside_the_schema),
        TEST_OF_FILE(stream_and_label_views_keep_their_class),
        TEST_OF_FILE(on_demand_views_have_their_function_as_text),
        TEST_OF_FILE(services_list_their_features),
        TEST_OF_FILE(what_is_not_run_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
