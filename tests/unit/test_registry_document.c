/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/registry_fixture.h"

#include "registry/document.c"

/* The canonical form of a document, in the arena. */
static tfn_code canonicalise(const char *document, tfn_snapshot *state, tfn_arena *a,
                             tfn__entry *out, tfn_error *err)
{
    yyjson_val *root = NULL;
    TFN_RETURN_IF_ERROR(tfn__json_read(a, text(document), "a document", &root, err));
    return tfn__document_canonicalise(root, state, a, out, err);
}

static void assert_canonical(const char *document, const char *expected, const char *hash)
{
    char found[TFN_HASH_TEXT_BYTES];
    tfn_arena a = {0};
    tfn_snapshot *nothing = NULL;
    tfn__entry entry;
    tfn_error err = {0};
    assert_int_equal(tfn__snapshot_create(text("p"), 0, &nothing, &err), TFN_OK);
    if (canonicalise(document, nothing, &a, &entry, &err) != TFN_OK) {
        fail_msg("%s", err.message);
    }
    assert_string_equal(entry.body.p, expected);
    tfn_hash128_format(entry.hash, found);
    assert_string_equal(found, hash);
    tfn_snapshot_release(nothing);
    tfn_arena_deinit(&a);
}

#define DIGEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* Golden: these bytes and hashes are stored in registries and never change. */
static void canonical_forms_and_hashes_never_change(void **state)
{
    (void)state;
    assert_canonical(
        "{\"name\":\"flights\",\"kind\":\"project\"}",
        "{\"description\":\"\",\"kind\":\"project\",\"name\":\"flights\",\"owner\":\"\","
        "\"tags\":{}}",
        "a2bb519c8d6b55e9b9c1925fde4e3682");
    assert_canonical(
        " {\"tags\":{\"b\":\"2\",\"a\":\"1\"},\"kind\":\"entity\",\"name\":\"plane\"} ",
        "{\"description\":\"\",\"join_key\":\"plane\",\"kind\":\"entity\",\"name\":"
        "\"plane\",\"owner\":\"\",\"tags\":{\"a\":\"1\",\"b\":\"2\"},\"value_type\":"
        "\"unknown\"}",
        "a63be6f47ea38c76d5179213c08b462b");
    assert_canonical(
        SOURCE,
        "{\"created_timestamp_column\":\"created\",\"date_partition_column\":\"\","
        "\"description\":\"\",\"field_mapping\":{},\"format\":\"\",\"kind\":"
        "\"data_source\",\"name\":\"planes\",\"owner\":\"\",\"path\":\"planes.parquet\","
        "\"tags\":{},\"timestamp_field\":\"ts\",\"type\":\"file\"}",
        "7f28f423621f205709b09d77696a19f7");
    assert_canonical(
        "{\"kind\":\"data_source\",\"name\":\"planes\",\"path\":\"s3://b/planes.parquet\","
        "\"s3_endpoint_override\":\"http://h\"}",
        "{\"created_timestamp_column\":\"\",\"date_partition_column\":\"\",\"description\":\"\","
        "\"field_mapping\":{},\"format\":\"\",\"kind\":\"data_source\",\"name\":\"planes\","
        "\"owner\":\"\",\"path\":\"s3://b/planes.parquet\",\"s3_endpoint_override\":\"http://h\","
        "\"tags\":{},\"timestamp_field\":\"\",\"type\":\"file\"}",
        "83e40e87095197f2f64ec1048ea56174");
    assert_canonical(PUSH,
                     "{\"batch_source\":\"planes\",\"description\":\"\",\"kind\":\"data_source\","
                     "\"name\":\"planes_push\",\"owner\":\"\",\"tags\":{},\"type\":\"push\"}",
                     "11ac32a92b109631e9c2b296305a7ff4");
    assert_canonical(
        "{\"kind\":\"feature_view\",\"name\":\"v\",\"source\":\"s\",\"ttl_us\":null,"
        "\"schema\":[{\"dtype\":\"array<int64>\",\"name\":\"\\u00e9\\u0001\\n\\/\"}]}",
        "{\"description\":\"\",\"entities\":[],\"inferred\":[],\"join_keys\":[],\"kind\":"
        "\"feature_view\",\"name\":\"v\",\"offline\":false,\"online\":true,\"owner\":"
        "\"\",\"schema\":[{\"description\":\"\",\"dtype\":\"array<int64>\",\"name\":"
        "\"\xc3\xa9\\u0001\\n/\",\"tags\":{}}],\"source\":\"s\",\"tags\":{},\"ttl_us\":0}",
        "cf4c5f01d0b6fb5c74c6da0ef5bc0936");
    assert_canonical("{\"kind\":\"feature_service\",\"name\":\"m\",\"features\":[{\"view\":\"v\","
                     "\"features\":[\"b\",\"a\"],\"join_key_map\":{\"k\":\"c\"}}]}",
                     "{\"description\":\"\",\"features\":[{\"features\":[\"b\",\"a\"],"
                     "\"join_key_map\":{\"k\":\"c\"},\"name_alias\":\"\",\"view\":\"v\"}],\"kind\":"
                     "\"feature_service\",\"name\":\"m\",\"owner\":\"\",\"tags\":{}}",
                     "c24c083e120166800bc02d56757839b8");
    assert_canonical(
        "{\"kind\":\"feature_service\",\"name\":\"m\",\"features\":[{\"view\":\"v\","
        "\"features\":[\"b\"]}],\"logging_config\":{\"destination\":{\"path\":\"logs\","
        "\"partition_by\":[\"k\"]}}}",
        "{\"description\":\"\",\"features\":[{\"features\":[\"b\"],"
        "\"join_key_map\":{},\"name_alias\":\"\",\"view\":\"v\"}],\"kind\":"
        "\"feature_service\",\"logging_config\":{\"destination\":{\"partition_by\":[\"k\"],"
        "\"path\":\"logs\",\"type\":\"file\"},\"sample_rate_millionths\":1000000},"
        "\"name\":\"m\",\"owner\":\"\",\"tags\":{}}",
        "4bcd157fc4fac21871d983b4964c553d");
}

static void canonical_forms_of_later_kinds_never_change(void **state)
{
    (void)state;
    assert_canonical(
        "{\"kind\":\"saved_dataset\",\"name\":\"d\",\"path\":\"d.parquet\",\"features\":[\"v:b\"],"
        "\"manifest\":{\"z\":[1,{\"y\":null,\"a\":\"t\"}],\"b\":-5,\"a\":{},\"c\":[true]}}",
        "{\"description\":\"\",\"feature_service\":\"\",\"features\":[\"v:b\"],"
        "\"full_feature_names\":false,\"join_keys\":[],\"kind\":\"saved_dataset\",\"manifest\":{"
        "\"a\":{},\"b\":-5,\"c\":[true],\"z\":[1,{\"a\":\"t\",\"y\":null}]},"
        "\"max_event_timestamp\":\"\",\"min_event_timestamp\":\"\",\"name\":\"d\",\"owner\":\"\","
        "\"path\":\"d.parquet\",\"tags\":{}}",
        "199c9d1ca78331fd6dd4160b6f5edfe5");
    assert_canonical(
        "{\"kind\":\"data_source\",\"type\":\"request\",\"name\":\"r\",\"schema\":[{\"name\":"
        "\"km\","
        "\"dtype\":\"float64\"}]}",
        "{\"description\":\"\",\"kind\":\"data_source\",\"name\":\"r\",\"owner\":\"\",\"schema\":["
        "{\"description\":\"\",\"dtype\":\"float64\",\"name\":\"km\",\"tags\":{}}],\"tags\":{},"
        "\"type\":\"request\"}",
        "d487b54c340b79f62b90cecb90ea64e3");
    assert_canonical(
        "{\"kind\":\"on_demand_feature_view\",\"name\":\"o\",\"sources\":[{\"view\":\"v\"}],"
        "\"schema\":[{\"name\":\"x\",\"dtype\":\"int64\"}],\"function\":{\"name\":\"f\",\"module\":"
        "\"m\",\"hash\":\"" DIGEST "\"}}",
        "{\"aggregations\":[],\"description\":\"\",\"entities\":[],\"function\":{\"hash\":\"" DIGEST
        "\",\"module\":\"m\",\"name\":\"f\",\"source\":\"\"},\"kind\":\"on_demand_feature_view\","
        "\"mode\":\"pandas\",\"name\":\"o\",\"owner\":\"\",\"request_sources\":[],\"schema\":[{"
        "\"description\":\"\",\"dtype\":\"int64\",\"name\":\"x\",\"tags\":{}}],\"singleton\":false,"
        "\"sources\":[{\"features\":[],\"join_key_map\":{},\"name_alias\":\"\",\"view\":\"v\"}],"
        "\"tags\":{},\"write_to_online_store\":false}",
        "cf5fa787af8a13be1ac8fc379a39386f");
}

static void forms_of_foreign_objects_never_change(void **state)
{
    (void)state;
    assert_canonical(
        "{\"kind\":\"data_source\",\"type\":\"foreign\",\"name\":\"w\",\"class\":"
        "\"BigQuerySource\","
        "\"missing\":\"no BigQuery\",\"content\":{\"table\":\"t\",\"n\":{\"b\":1,\"a\":[]}}}",
        "{\"batch_source\":\"\",\"class\":\"BigQuerySource\",\"content\":{\"n\":{\"a\":[],\"b\":1},"
        "\"table\":\"t\"},\"created_timestamp_column\":\"\",\"date_partition_column\":\"\","
        "\"description\":\"\",\"field_mapping\":{},\"kind\":\"data_source\",\"missing\":"
        "\"no BigQuery\",\"name\":\"w\",\"owner\":\"\",\"tags\":{},\"timestamp_field\":\"\","
        "\"type\":\"foreign\"}",
        "2c5ab50647680289b1c6b1a8a4c82156");
    assert_canonical(
        "{\"kind\":\"feature_view\",\"name\":\"v\",\"source\":\"s\",\"foreign\":{\"class\":"
        "\"StreamFeatureView\",\"content\":{\"mode\":\"spark\"},\"missing\":\"no streams\"}}",
        "{\"description\":\"\",\"entities\":[],\"foreign\":{\"class\":\"StreamFeatureView\","
        "\"content\":{\"mode\":\"spark\"},\"missing\":\"no streams\"},\"inferred\":[],"
        "\"join_keys\":[],\"kind\":\"feature_view\",\"name\":\"v\",\"offline\":false,\"online\":"
        "true,"
        "\"owner\":\"\",\"schema\":[],\"source\":\"s\",\"tags\":{},\"ttl_us\":0}",
        "7087078e12f3665a95719120dee1d093");
    assert_canonical(
        "{\"kind\":\"permission\",\"name\":\"p\",\"content\":{\"types\":[\"Entity\"]}}",
        "{\"content\":{\"types\":[\"Entity\"]},\"description\":\"\",\"kind\":\"permission\","
        "\"name\":\"p\",\"owner\":\"\",\"tags\":{}}",
        "fd1235b9ae175d2819106efff4f929ba");
    assert_canonical("{\"kind\":\"validation_reference\",\"name\":\"r\"}",
                     "{\"content\":{},\"description\":\"\",\"kind\":\"validation_reference\","
                     "\"name\":\"r\",\"owner\":\"\",\"tags\":{}}",
                     "9bd2890f4e828d275b36bf43acdaac1d");
}

static void check_order(const member *members, size_t n)
{
    assert_true(n <= MAX_MEMBERS);
    for (size_t i = 1; i < n; i++) {
        assert_true(strcmp(members[i - 1].name, members[i].name) < 0);
    }
}

static void tables_are_in_byte_order(void **state)
{
    (void)state;
    check_order(TABLE(project_members));
    check_order(TABLE(entity_members));
    check_order(TABLE(file_members));
    check_order(TABLE(push_members));
    check_order(TABLE(request_members));
    check_order(TABLE(foreign_source_members));
    check_order(TABLE(foreign_members));
    check_order(TABLE(kept_members));
    check_order(TABLE(view_members));
    check_order(TABLE(on_demand_members));
    check_order(TABLE(function_members));
    check_order(TABLE(input_members));
    check_order(TABLE(service_members));
    check_order(TABLE(logging_members));
    check_order(TABLE(destination_members));
    check_order(TABLE(saved_dataset_members));
    check_order(TABLE(field_members));
    check_order(TABLE(projection_members));
}

#define VIEW_OF(members)                                                                           \
    "{\"kind\":\"feature_view\",\"name\":\"v\",\"source\":\"planes\"," members "}"
#define SOURCE_OF(members) "{\"kind\":\"data_source\",\"name\":\"s\"," members "}"
#define FIELD_OF(members) VIEW_OF("\"schema\":[{" members "}]")
#define SERVICE_OF(members) "{\"kind\":\"feature_service\",\"name\":\"m\"," members "}"

#define LOGGED_BY(members)                                                                         \
    SERVICE_OF("\"features\":[{\"view\":\"v\",\"features\":[\"a\"]}],\"logging_config\":{" members \
               "}")
#define LOGGED_TO(members) LOGGED_BY("\"destination\":{" members "}")
#define DATASET_OF(members) "{\"kind\":\"saved_dataset\",\"name\":\"d\"," members "}"

typedef struct bad_document {
    const char *document;
    tfn_code code;
    const char *part;
} bad_document;

static const bad_document bad_documents[] = {
    {"5", TFN_INVALID, "a definition must be an object, not a whole number"},
    {DATASET_OF("\"path\":\"\""), TFN_INVALID, "saved dataset 'd': 'path' is empty"},
    {DATASET_OF("\"path\":\"p\",\"manifest\":[]"), TFN_INVALID,
     "saved dataset 'd': 'manifest' must be an object, not an array"},
    {DATASET_OF("\"path\":\"p\",\"manifest\":{\"a\":[0.5]}"), TFN_INVALID,
     "saved dataset 'd': 'manifest' holds a number that is not a whole one"},
    {DATASET_OF("\"path\":\"p\",\"manifest\":{\"a\":18446744073709551615}"), TFN_INVALID,
     "'manifest' holds a number that is not a whole one of int64"},
    {DATASET_OF("\"path\":\"p\",\"manifest\":{\"a\":1,\"b\":2,\"a\":3}"), TFN_INVALID,
     "saved dataset 'd': 'manifest' has 'a' twice"},
    {DATASET_OF("\"path\":\"p\",\"manifest\":{\"a\":[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]}"),
     TFN_LIMIT, "saved dataset 'd': 'manifest' is nested more than 16 deep"},
    {"{}", TFN_INVALID, "has no 'kind'"},
    {"{\"kind\":\"table\",\"name\":\"x\"}", TFN_INVALID, "the definition of 'x': there is no kind"},
    {"{\"kind\":\"entity\"}", TFN_INVALID, "a definition of kind 'entity' has no 'name'"},
    {"{\"kind\":\"entity\",\"name\":\"\"}", TFN_INVALID, "the name is empty"},
    {"{\"kind\":\"entity\",\"name\":\"a\\u0000b\"}", TFN_INVALID, "NUL"},
    {"{\"kind\":\"project\",\"name\":\"_p\"}", TFN_INVALID, "begins with a letter or digit"},
    {"{\"kind\":\"project\",\"name\":\"a b\"}", TFN_INVALID, "letters, digits"},
    {"{\"kind\":\"entity\",\"name\":\"e\",\"valuetype\":\"int64\"}", TFN_INVALID,
     "entity 'e' has the member 'valuetype', which Tiffin does not know; did you mean "
     "'value_type'?"},
    {"{\"kind\":\"entity\",\"name\":\"e\",\"owner\":5}", TFN_INVALID,
     "entity 'e': 'owner' must be a text, not a whole number"},
    {"{\"kind\":\"entity\",\"name\":\"e\",\"owner\":\"\",\"owner\":\"\"}", TFN_INVALID,
     "has the member 'owner' twice"},
    {"{\"kind\":\"entity\",\"name\":\"e\",\"tags\":{\"a\":1}}", TFN_INVALID,
     "'tags' has a whole number for 'a'; it must be a text"},
    {"{\"kind\":\"entity\",\"name\":\"e\",\"tags\":[]}", TFN_INVALID,
     "an object of texts, not an array"},
    {"{\"kind\":\"entity\",\"name\":\"e\",\"tags\":{\"a\":\"1\",\"a\":\"2\"}}", TFN_INVALID,
     "'tags' has 'a' twice"},
    {"{\"kind\":\"entity\",\"name\":\"e\",\"value_type\":\"float64\"}", TFN_INVALID,
     "entity 'e' has the value_type float64, which cannot be a key"},
    {"{\"kind\":\"entity\",\"name\":\"e\",\"value_type\":\"array<int64>\"}", TFN_INVALID,
     "cannot be a key"},
    {SOURCE_OF("\"type\":\"kafka\""), TFN_INVALID,
     "has the type 'kafka'; there are 'file', 'push', 'request' and 'foreign'"},
    {SOURCE_OF("\"format\":\"\""), TFN_INVALID, "data source 's' has no 'path'"},
    {SOURCE_OF("\"path\":\"\""), TFN_INVALID, "'path' is empty"},
    {SOURCE_OF("\"path\":\"p\",\"format\":\"delta\""), TFN_INVALID,
     "data source 's' has the format 'delta'; there are 'parquet', 'csv' and 'json'"},
    {SOURCE_OF("\"path\":\"p\",\"field_mapping\":{\"a\":\"x\",\"b\":\"x\"}"), TFN_INVALID,
     "'field_mapping' maps two names to 'x'"},
    {SOURCE_OF("\"path\":\"p\",\"field_mapping\":{\"a\":\"\"}"), TFN_INVALID, "is empty"},
    {SOURCE_OF("\"path\":\"p\",\"batch_source\":\"x\""), TFN_INVALID, "the member 'batch_source'"},
    {SOURCE_OF("\"type\":\"push\""), TFN_INVALID, "has no 'batch_source'"},
    {"{\"kind\":\"feature_view\",\"name\":\"a:b\",\"source\":\"s\"}", TFN_INVALID,
     "cannot contain ':'"},
    {"{\"kind\":\"feature_view\",\"name\":\"a@b\",\"source\":\"s\"}", TFN_INVALID,
     "cannot contain '@'"},
    {"{\"kind\":\"feature_view\",\"name\":\"v\"}", TFN_INVALID, "has no 'source'"},
    {VIEW_OF("\"ttl_us\":-5"), TFN_INVALID,
     "feature view 'v' has a negative ttl (-5 microseconds)"},
    {VIEW_OF("\"ttl_us\":1.5"), TFN_INVALID, "a whole number of microseconds, not a number with"},
    {VIEW_OF("\"ttl_us\":9223372036854775808"), TFN_INVALID, "more than 9223372036854775807"},
    {VIEW_OF("\"online\":1"), TFN_INVALID, "'online' must be true or false"},
    {VIEW_OF("\"entities\":[\"a\",\"a\"]"), TFN_INVALID, "'entities' has 'a' twice"},
    {VIEW_OF("\"entities\":[1]"), TFN_INVALID, "'entities' must hold texts"},
    {VIEW_OF("\"entities\":\"a\""), TFN_INVALID,
     "'entities' must be an array of texts, not a text"},
    {VIEW_OF("\"schema\":{}"), TFN_INVALID, "'schema' must be an array of fields, not an object"},
    {VIEW_OF("\"schema\":[1]"), TFN_INVALID, "'schema' must hold objects"},
    {FIELD_OF("\"name\":\"f\""), TFN_INVALID, "field 'f' of feature view 'v' has no 'dtype'"},
    {FIELD_OF("\"dtype\":\"int64\""), TFN_INVALID, "has no 'name'"},
    {FIELD_OF("\"name\":\"f\",\"dtype\":\"scalar_map\""), TFN_INVALID,
     "field 'f' of feature view 'v': 'scalar_map'"},
    {FIELD_OF("\"name\":\"f\",\"dtype\":\"struct<a:int64>\""), TFN_INVALID, "struct<"},
    {FIELD_OF("\"name\":\"f\",\"dtype\":\"set<map>\""), TFN_INVALID, "set<map>"},
    {FIELD_OF("\"name\":\"f\",\"dtype\":\"int64\",\"length\":3"), TFN_INVALID,
     "field 'f' of feature view 'v' has the member 'length'"},
    {FIELD_OF("\"name\":\"f\",\"dtype\":\"int64\"},{\"name\":\"f\",\"dtype\":\"bool\""),
     TFN_INVALID, "feature view 'v' has the field 'f' twice"},
    {VIEW_OF("\"foreign\":3"), TFN_INVALID, "'foreign' must be an object, not a whole number"},
    {VIEW_OF("\"foreign\":{}"), TFN_INVALID, "feature view 'v' has no 'class'"},
    {SOURCE_OF("\"type\":\"foreign\",\"class\":\"KafkaSource\""), TFN_INVALID,
     "data source 's' has no 'missing'"},
    {SOURCE_OF("\"type\":\"foreign\",\"missing\":\"m\",\"class\":\"C\",\"content\":[]"),
     TFN_INVALID, "'content' must be an object, not an array"},
    {SERVICE_OF("\"features\":[]"), TFN_INVALID, "an array of at least one projection"},
    {SERVICE_OF("\"features\":[{\"features\":[\"a\"]}]"), TFN_INVALID, "has no 'view'"},
    {SERVICE_OF("\"features\":[{\"view\":\"v\",\"features\":[\"a\",\"a\"]}]"), TFN_INVALID,
     "projection 'v' of feature service 'm': 'features' has 'a' twice"},
    {SERVICE_OF("\"features\":[{\"view\":\"v\",\"name_alias\":\"x:y\"}]"), TFN_INVALID,
     "cannot contain ':'"},
    {SERVICE_OF("\"features\":[{\"view\":\"v\",\"features\":[\"a\"]}],\"logging_config\":1"),
     TFN_INVALID, "'logging_config' must be an object, not a whole number"},
    {LOGGED_BY("\"sample_rate_millionths\":5"), TFN_INVALID, "has no 'destination'"},
    {LOGGED_TO(""), TFN_INVALID, "has no 'path'"},
    {LOGGED_TO("\"path\":\"\""), TFN_INVALID, "'path' is empty"},
    {LOGGED_TO("\"path\":\"p\",\"table\":\"t\""), TFN_INVALID, "has the member 'table'"},
    {LOGGED_TO("\"path\":\"p\",\"type\":\"bigquery\""), TFN_UNSUPPORTED,
     "feature service 'm' logs to a destination of type 'bigquery'"},
    {LOGGED_TO(
         "\"path\":\"p\"},\"sample_rate_millionths\":1000001,\"destination\":{\"path\":\"p\""),
     TFN_INVALID, "twice"},
    {LOGGED_BY("\"destination\":{\"path\":\"p\"},\"sample_rate_millionths\":1000001"), TFN_INVALID,
     "'sample_rate_millionths' 1000001; a share is from 0 to 1000000"},
    {LOGGED_BY("\"destination\":{\"path\":\"p\"},\"sample_rate_millionths\":-1"), TFN_INVALID,
     "'sample_rate_millionths' -1"},
    {LOGGED_BY("\"destination\":{\"path\":\"p\"},\"sample_rate_millionths\":0.5"), TFN_INVALID,
     "must be a whole number of millionths"},
    {SERVICE_OF("\"features\":[\"v\"]"), TFN_INVALID, "'features' must hold objects, not a text"},
};

static void what_a_document_may_not_say_is_refused_by_name(void **state)
{
    (void)state;
    tfn_snapshot *nothing = NULL;
    assert_int_equal(tfn__snapshot_create(text("p"), 0, &nothing, NULL), TFN_OK);
    for (size_t i = 0; i < sizeof bad_documents / sizeof *bad_documents; i++) {
        const bad_document *bad = &bad_documents[i];
        tfn_arena a = {0};
        tfn__entry entry;
        tfn_error err = {0};
        const tfn_code rc = canonicalise(bad->document, nothing, &a, &entry, &err);
        if (rc != bad->code || strstr(err.message, bad->part) == NULL) {
            fail_msg("%s\n  expected '%s'\n  found %d '%s'", bad->document, bad->part, rc,
                     err.message);
        }
        tfn_arena_deinit(&a);
    }
    tfn_snapshot_release(nothing);
}

static void names_have_a_limit(void **state)
{
    (void)state;
    char name[TFN_MAX_NAME_BYTES + 2];
    memset(name, 'x', sizeof name);
    assert_int_equal(tfn__name_check(TFN_OBJECT_VIEW, (tfn_str){name, TFN_MAX_NAME_BYTES}, NULL),
                     TFN_OK);
    assert_int_equal(tfn__name_check(TFN_OBJECT_VIEW, (tfn_str){name, sizeof name - 1}, NULL),
                     TFN_LIMIT);
    name[3] = (char)0xff;
    assert_int_equal(tfn__name_check(TFN_OBJECT_VIEW, (tfn_str){name, 10}, NULL), TFN_INVALID);
}

static void a_view_is_completed_from_its_entities(void **state)
{
    fixture *f = *state;
    tfn_str body = {0};
    apply(f, EVERYTHING);
    tfn_snapshot *s = get_snapshot(f);
    assert_fine(f, tfn_snapshot_get_document(s, TFN_OBJECT_VIEW, text("history"), &body, &f->err));
    assert_has(body.p, "\"join_keys\":[\"tailnum\"]");
    assert_has(body.p,
               "\"schema\":[{\"description\":\"\",\"dtype\":\"string\",\"name\":\"tailnum\","
               "\"tags\":{}},{");
    tfn_snapshot_release(s);
    assert_refused(f, OBJECTS(VIEW_WITH("history", ",\"join_keys\":[\"plane\"]")), TFN_INVALID,
                   "feature view 'history': 'join_keys' are not those of its entities");
}

static void a_service_that_names_no_features_has_all(void **state)
{
    fixture *f = *state;
    tfn_str body = {0};
    apply(f, EVERYTHING);
    tfn_snapshot *s = get_snapshot(f);
    assert_fine(f, tfn_snapshot_get_document(s, TFN_OBJECT_SERVICE, text("model"), &body, &f->err));
    assert_has(body.p, "\"features\":[\"delay\",\"legs\"]");
    tfn_snapshot_release(s);
}

static void what_was_described_can_be_applied_again(void **state)
{
    fixture *f = *state;
    tfn_buf request = {0};
    apply(f, EVERYTHING);
    tfn_snapshot *s = get_snapshot(f);
    assert_fine(f, tfn_buf_add_text(&request, "{\"objects\":[", &f->err));
    assert_fine(f, tfn_snapshot_describe(s, TFN_OBJECT_VIEW, text("history"), &request, &f->err));
    assert_fine(f, tfn_buf_add_text(&request, "]}", &f->err));
    assert_has(apply(f, request.p), "\"changes\":[]");
    tfn_buf_deinit(&request);
    tfn_snapshot_release(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_forms_and_hashes_never_change),
        cmocka_unit_test(canonical_forms_of_later_kinds_never_change),
        cmocka_unit_test(forms_of_foreign_objects_never_change),
        cmocka_unit_test(tables_are_in_byte_order),
        cmocka_unit_test(what_a_document_may_not_say_is_refused_by_name),
        cmocka_unit_test(names_have_a_limit),
        TEST(a_view_is_completed_from_its_entities),
        TEST(a_service_that_names_no_features_has_all),
        TEST(what_was_described_can_be_applied_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
