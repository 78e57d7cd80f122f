/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Manifests and what verification finds, through the public C API. Files only look like Parquet. */

#include "unit/store_fixture.h"

#include "base/json.h"
#include "tiffin/dataset.h"

static const char maker[] = "{\"features\":[\"plane_facts:maker\"],\"full_feature_names\":true}";

static int setup(void **state)
{
    store_fixture *f = malloc(sizeof *f);
    store_setup(f);
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

static void write_parquet(const store_fixture *f, const char *name, const char *middle)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", f->folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fprintf(file, "PAR1%sfoot", middle), (int)strlen(middle) + 8);
    assert_int_equal(fwrite("\4\0\0\0PAR1", 1, 8, file), 8);
    assert_int_equal(fclose(file), 0);
}

static void remove_file(const store_fixture *f, const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", f->folder, name);
    assert_int_equal(remove(path), 0);
}

static void make_spine(const char *second, int64_t batch_rows, struct ArrowArrayStream *out)
{
    const char *tailnums[] = {"N14228", second, NULL};
    static const int64_t times[] = {INT64_C(1356998460000000), INT64_C(1356998400000000),
                                    INT64_C(1356998520000000)};
    const make_col columns[] = {
        {.name = "tailnum", .format = "u", .values = tailnums},
        {.name = "event_timestamp", .format = "tsu:UTC", .values = times},
    };
    make_stream(columns, 2, 3, batch_rows, out);
}

static tfn_code try_manifest(const store_fixture *f, const tfn_manifest_request *request,
                             int64_t batch_rows, char **answer, tfn_error *err)
{
    struct ArrowArrayStream spine;
    make_spine("N24211", batch_rows, &spine);
    const tfn_code rc = tfn_store_make_manifest(f->store, request, &spine, answer, err);
    if (spine.release != NULL) {
        spine.release(&spine);
    }
    return rc;
}

static char *make_manifest(const store_fixture *f, const char *features, int64_t batch_rows)
{
    const tfn_manifest_request request = {
        .struct_size = sizeof request, .features = features, .writer = "test 1"};
    char *answer = NULL;
    assert_ok(try_manifest(f, &request, batch_rows, &answer, err));
    return answer;
}

/* The 32 digits of the manifest's own hash. */
static void get_hash(const char *answer, char hash[33])
{
    yyjson_doc *doc = NULL;
    assert_ok(tfn_json_parse(tfn_str_of(answer), "the answer", &doc, err));
    yyjson_val *manifest = yyjson_obj_get(yyjson_doc_get_root(doc), "manifest");
    const tfn_str text = tfn_json_get_member(manifest, "hash");
    assert_int_equal(text.n, 32);
    memcpy(hash, text.p, 32);
    hash[32] = '\0';
    yyjson_doc_free(doc);
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("no '%s' in %s", part, text);
    }
}

static void a_manifest_says_what_decides_the_rows(void **state)
{
    const store_fixture *f = *state;
    write_parquet(f, "planes.parquet", "rows");
    char *answer = make_manifest(f, maker, 0);
    assert_has(answer, "\"features\":[\"plane_facts:maker\"],\"full_feature_names\":true,"
                       "\"join_keys\":[\"tailnum\"],\"max_event_timestamp\":"
                       "\"2013-01-01T00:02:00Z\",\"min_event_timestamp\":\"2013-01-01T00:00:00Z\","
                       "\"rows\":3,\"time_column\":\"event_timestamp\"");
    assert_has(answer, "\"kind\":\"entity\",\"name\":\"plane\"");
    assert_has(answer, "\"kind\":\"data_source\",\"name\":\"planes\"");
    assert_has(answer, "\"kind\":\"feature_view\",\"name\":\"plane_facts\"");
    assert_has(answer, "\"path\":\"planes.parquet\",\"checksum_of\":\"content\"");
    assert_has(answer, "\"writer\":\"test 1\"");
    assert_null(strstr(answer, "never_loaded"));
    tfn_text_destroy(answer);
}

static void on_demand_views_and_what_they_take_decide_the_rows(void **state)
{
    store_fixture *f = *state;
    write_parquet(f, "planes.parquet", "rows");
    store_define(f, store_on_demand);
    char *answer = make_manifest(f, "{\"service\":\"mixed\"}", 0);
    assert_has(answer, "{\"asked\":{\"feature_service\":\"mixed\","
                       "\"features\":[\"chain:z\",\"plane_facts:age\",\"rates:y\"],"
                       "\"full_feature_names\":false,"
                       "\"join_keys\":[\"tailnum\",\"other_tailnum\"]");
    assert_has(answer, "\"kind\":\"data_source\",\"name\":\"trip\"");
    assert_has(answer, "\"kind\":\"on_demand_feature_view\",\"name\":\"chain\"");
    assert_has(answer, "\"kind\":\"on_demand_feature_view\",\"name\":\"rates\"");
    assert_has(answer, "\"kind\":\"feature_view\",\"name\":\"plane_facts\"");
    assert_null(strstr(answer, "\"bare\""));
    const char *sources = strstr(answer, "\"sources\":[");
    assert_non_null(sources);
    assert_has(sources, "\"path\":\"planes.parquet\",\"checksum_of\":\"content\"");
    assert_null(strstr(sources, "\"name\":\"trip\""));
    tfn_text_destroy(answer);
}

static void request_data_alone_have_no_source_files(void **state)
{
    store_fixture *f = *state;
    store_define(f, store_on_demand);
    char *answer = make_manifest(f, "{\"features\":[\"bare:w\"]}", 0);
    assert_has(answer, "\"features\":[\"bare:w\"],\"full_feature_names\":false,\"join_keys\":[]");
    assert_has(answer, "\"sources\":[]");
    assert_has(answer, "\"kind\":\"data_source\",\"name\":\"trip\"");
    tfn_text_destroy(answer);
}

static void only_names_look_at_no_file(void **state)
{
    const store_fixture *f = *state;
    const tfn_manifest_request request = {
        .struct_size = sizeof request, .features = "{\"service\":\"model\"}", .names_only = 1};
    char *answer = NULL;
    assert_ok(try_manifest(f, &request, 0, &answer, err)); /* there is no planes.parquet */
    assert_has(answer, "\"feature_service\":\"model\",\"features\":[\"plane_facts:maker\","
                       "\"plane_facts:age\"]");
    assert_null(strstr(answer, "manifest"));
    tfn_text_destroy(answer);
}

static void the_same_again_has_the_same_hash_and_anything_else_another(void **state)
{
    store_fixture *f = *state;
    char first[33];
    char other[33];
    write_parquet(f, "planes.parquet", "rows");
    char *answer = make_manifest(f, maker, 0);
    get_hash(answer, first);
    tfn_text_destroy(answer);
    answer = make_manifest(f, maker, 1); /* batches do not count */
    get_hash(answer, other);
    assert_string_equal(first, other);
    tfn_text_destroy(answer);
    answer =
        make_manifest(f, "{\"features\":[\"plane_facts:age\"],\"full_feature_names\":true}", 0);
    get_hash(answer, other);
    assert_string_not_equal(first, other);
    tfn_text_destroy(answer);
    write_parquet(f, "planes.parquet", "sowr");
    answer = make_manifest(f, maker, 0);
    get_hash(answer, other);
    assert_string_not_equal(first, other);
    tfn_text_destroy(answer);
    write_parquet(f, "planes.parquet", "rows"); /* as it was, but younger */
    store_define(f,
                 "{\"objects\":[{\"kind\":\"entity\",\"name\":\"plane\",\"join_key\":\"tailnum\","
                 "\"value_type\":\"string\",\"description\":\"x\"}]}");
    answer = make_manifest(f, maker, 0);
    get_hash(answer, other);
    assert_string_not_equal(first, other);
    tfn_text_destroy(answer);
}

static void what_is_missing_is_said(void **state)
{
    const store_fixture *f = *state;
    tfn_manifest_request request = {.struct_size = sizeof request, .features = maker};
    tfn_error err = {0};
    char *answer = NULL;
    assert_int_equal(try_manifest(f, &request, 0, &answer, &err), TFN_IO);
    assert_has(err.message, "data source 'planes': ");
    assert_has(err.message, "planes.parquet");
    assert_null(answer);
    request.features = "{\"features\":[\"nothing:x\"]}";
    assert_int_equal(try_manifest(f, &request, 0, &answer, &err), TFN_NOT_FOUND);
    request.features = "5";
    assert_int_equal(try_manifest(f, &request, 0, &answer, &err), TFN_INVALID);
    request.struct_size = 8;
    assert_int_equal(try_manifest(f, &request, 0, &answer, &err), TFN_INVALID);
    assert_has(err.message, "a request of 8 bytes");
}

/* ---- verification ---- */

/* Store the answer's manifest as dataset "d" of `path`, with the files that are there now. */
static void save_dataset(store_fixture *f, const char *path, const char *answer)
{
    char full[256];
    char *files = NULL;
    (void)snprintf(full, sizeof full, "%s/%s", f->folder, path);
    assert_ok(tfn_dataset_describe_files(full, &files, err));
    const char *manifest = strstr(answer, "\"manifest\":") + strlen("\"manifest\":");
    tfn_buf request = {0};
    /* The manifest is the answer's last member: all but its own last brace and the answer's. */
    assert_ok(tfn_buf_add_format(&request, err,
                                 "{\"objects\":[{\"kind\":\"saved_dataset\",\"name\":\"d\","
                                 "\"path\":\"%s\",\"manifest\":%.*s,\"data\":{\"files\":%s}}}]}",
                                 path, (int)strlen(manifest) - 2, manifest, files));
    store_define(f, request.p);
    tfn_buf_deinit(&request);
    tfn_text_destroy(files);
}

static char *verify(const store_fixture *f, const char *second)
{
    const tfn_verify_request request = {
        .struct_size = sizeof request, .name = "d", .writer = "test 1"};
    struct ArrowArrayStream spine = {.release = NULL};
    char *answer = NULL;
    if (second != NULL) {
        make_spine(second, 2, &spine);
    }
    assert_ok(
        tfn_store_verify_dataset(f->store, &request, second != NULL ? &spine : NULL, &answer, err));
    return answer;
}

static void assert_verified(const store_fixture *f, const char *part)
{
    char *answer = verify(f, NULL);
    assert_has(answer, part);
    tfn_text_destroy(answer);
}

static void verification_says_what_changed(void **state)
{
    store_fixture *f = *state;
    write_parquet(f, "planes.parquet", "rows");
    write_parquet(f, "d.parquet", "saved");
    char *made = make_manifest(f, maker, 0);
    save_dataset(f, "d.parquet", made);
    tfn_text_destroy(made);
    char *answer = verify(f, "N24211");
    assert_string_equal(
        answer, "{\"dataset\":\"d\",\"checked\":{\"data_files\":1,\"definitions\":3,"
                "\"source_files\":1},\"data_files\":[],\"definitions\":[],\"source_files\":[],"
                "\"entity_rows\":{\"status\":\"same\"},\"engine\":[],\"is_intact\":true,"
                "\"inputs_are_same\":true}");
    tfn_text_destroy(answer);
    answer = verify(f, "N619AA");
    assert_has(answer, "\"entity_rows\":{\"status\":\"changed\"}");
    assert_has(answer, "\"inputs_are_same\":false");
    tfn_text_destroy(answer);
    write_parquet(f, "d.parquet", "sav3d");
    assert_verified(f, "\"data_files\":[{\"path\":\"\",\"status\":\"changed\"}]");
    remove_file(f, "d.parquet");
    assert_verified(f, "\"data_files\":[{\"path\":\"\",\"status\":\"missing\"}]");
    write_parquet(f, "planes.parquet", "other");
    assert_verified(f, "\"source_files\":[{\"path\":\"planes.parquet\",\"source\":\"planes\","
                       "\"status\":\"changed\"}]");
    remove_file(f, "planes.parquet");
    assert_verified(f, "\"source_files\":[{\"path\":\"planes.parquet\",\"source\":\"planes\","
                       "\"status\":\"missing\"},{\"path\":\"planes.parquet\",\"reason\":");
    store_define(f,
                 "{\"objects\":[{\"kind\":\"entity\",\"name\":\"plane\",\"join_key\":\"tailnum\","
                 "\"value_type\":\"string\",\"description\":\"x\"}],"
                 "\"delete\":[{\"kind\":\"feature_service\",\"name\":\"model\"},"
                 "{\"kind\":\"feature_view\",\"name\":\"plane_facts\"}]}");
    assert_verified(f, "\"definitions\":[{\"kind\":\"entity\",\"name\":\"plane\",\"status\":"
                       "\"changed\"},{\"kind\":\"feature_view\",\"name\":\"plane_facts\","
                       "\"status\":\"missing\"}]");
}

static void a_folder_of_files_is_compared_file_by_file(void **state)
{
    store_fixture *f = *state;
    char command[160];
    (void)snprintf(command, sizeof command, "mkdir '%s/out'", f->folder);
    assert_int_equal(system(command), 0);
    write_parquet(f, "planes.parquet", "rows");
    write_parquet(f, "out/part-0.parquet", "one");
    write_parquet(f, "out/part-1.parquet", "two");
    char *made = make_manifest(f, maker, 0);
    save_dataset(f, "out", made);
    tfn_text_destroy(made);
    assert_verified(f, "\"data_files\":[]");
    write_parquet(f, "out/part-2.parquet", "three");
    remove_file(f, "out/part-0.parquet");
    assert_verified(f, "\"data_files\":[{\"path\":\"part-0.parquet\",\"status\":\"missing\"},"
                       "{\"path\":\"part-2.parquet\",\"status\":\"new\"}]");
}

static void what_cannot_be_verified_is_said(void **state)
{
    store_fixture *f = *state;
    tfn_verify_request request = {.struct_size = sizeof request, .name = "nobody"};
    tfn_error err = {0};
    char *answer = NULL;
    assert_int_equal(tfn_store_verify_dataset(f->store, &request, NULL, &answer, &err),
                     TFN_NOT_FOUND);
    assert_has(err.message, "has no saved dataset 'nobody'");
    store_define(f, "{\"objects\":[{\"kind\":\"saved_dataset\",\"name\":\"d\",\"path\":\"d\"}]}");
    request.name = "d";
    assert_int_equal(tfn_store_verify_dataset(f->store, &request, NULL, &answer, &err),
                     TFN_INVALID);
    assert_has(err.message, "saved dataset 'd' has no manifest");
    request.struct_size = 1;
    assert_int_equal(tfn_store_verify_dataset(f->store, &request, NULL, &answer, &err),
                     TFN_INVALID);
}

static void a_table_has_a_hash(void **state)
{
    (void)state;
    struct ArrowArrayStream table;
    char *first = NULL;
    char *second = NULL;
    make_spine("N24211", 0, &table);
    assert_ok(tfn_dataset_hash_table(&table, &first, err));
    make_spine("N24211", 1, &table);
    assert_ok(tfn_dataset_hash_table(&table, &second, err));
    assert_string_equal(first, second);
    tfn_text_destroy(first);
    tfn_text_destroy(second);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_manifest_says_what_decides_the_rows),
        TEST(on_demand_views_and_what_they_take_decide_the_rows),
        TEST(request_data_alone_have_no_source_files),
        TEST(only_names_look_at_no_file),
        TEST(the_same_again_has_the_same_hash_and_anything_else_another),
        TEST(what_is_missing_is_said),
        TEST(verification_says_what_changed),
        TEST(a_folder_of_files_is_compared_file_by_file),
        TEST(what_cannot_be_verified_is_said),
        TEST(a_table_has_a_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
