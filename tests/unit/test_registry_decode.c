/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/registry_fixture.h"

#include "registry/decode.c"

static const tfn_view_def *find_view(fixture *f, tfn_snapshot *s, const char *name)
{
    const tfn_view_def *view = NULL;
    assert_fine(f, tfn_snapshot_find_view(s, text(name), &view, &f->err));
    return view;
}

static void a_view_knows_its_keys_its_features_and_its_file(void **state)
{
    fixture *f = *state;
    apply(f, EVERYTHING);
    tfn_snapshot *s = get_snapshot(f);
    const tfn_view_def *view = find_view(f, s, "history");
    assert_int_equal(view->n_keys, 1);
    assert_string_equal(view->keys[0].name.p, "tailnum");
    assert_string_equal(view->keys[0].entity.p, "plane");
    assert_int_equal(view->keys[0].type.kind, TFN_KIND_STRING);
    assert_int_equal(view->n_features, 2);
    assert_string_equal(view->features[1].name.p, "legs");
    assert_int_equal(view->features[1].type.kind, TFN_KIND_INT64);
    assert_int_equal(tfn_view_find_feature(view, text("legs")), 1);
    assert_int_equal(tfn_view_find_feature(view, text("tailnum")), -1);
    assert_int_equal(tfn_view_find_key(view, text("tailnum")), 0);
    assert_int_equal(view->ttl_us, 0);
    assert_true(view->online);
    assert_false(view->offline);
    assert_string_equal(view->source->path.p, "planes.parquet");
    assert_string_equal(view->source->created_timestamp_column.p, "created");
    assert_null(view->push_source);
    assert_ptr_equal(view, find_view(f, s, "history"));
    tfn_snapshot_release(s);
}

static void a_service_knows_its_views(void **state)
{
    fixture *f = *state;
    const tfn_service_def *service = NULL;
    apply(f,
          OBJECTS(ENTITY "," SOURCE "," VIEW ","
                         "{\"kind\":\"feature_service\",\"name\":\"model\",\"features\":[{\"view\":"
                         "\"history\",\"name_alias\":\"origin\",\"features\":[\"legs\"],"
                         "\"join_key_map\":{\"tailnum\":\"other\"}},{\"view\":\"history\"}]}"));
    tfn_snapshot *s = get_snapshot(f);
    assert_fine(f, tfn_snapshot_find_service(s, text("model"), &service, &f->err));
    assert_int_equal(service->n_projections, 2);
    const tfn_projection_def *first = &service->projections[0];
    assert_ptr_equal(first->view, find_view(f, s, "history"));
    assert_string_equal(first->name_alias.p, "origin");
    assert_int_equal(first->n_features, 1);
    assert_string_equal(first->features[0].p, "legs");
    assert_int_equal(first->n_join_key_map, 1);
    assert_string_equal(first->join_key_map[0].from.p, "tailnum");
    assert_string_equal(first->join_key_map[0].to.p, "other");
    assert_int_equal(service->projections[1].n_features, 2);
    tfn_snapshot_release(s);
}

static void a_push_source_reads_its_batch_source(void **state)
{
    fixture *f = *state;
    apply(f,
          OBJECTS(ENTITY
                  "," SOURCE "," PUSH ","
                  "{\"kind\":\"feature_view\",\"name\":\"v\",\"entities\":[\"plane\"],\"source\":"
                  "\"planes_push\",\"schema\":[" FIELDS "]}"));
    tfn_snapshot *s = get_snapshot(f);
    const tfn_view_def *view = find_view(f, s, "v");
    assert_string_equal(view->source->name.p, "planes");
    assert_string_equal(view->push_source->name.p, "planes_push");
    tfn_snapshot_release(s);
}

static void a_view_without_entities_has_no_keys(void **state)
{
    fixture *f = *state;
    apply(f, OBJECTS(SOURCE ",{\"kind\":\"feature_view\",\"name\":\"v\",\"source\":\"planes\","
                            "\"schema\":[" FIELDS "]}"));
    tfn_snapshot *s = get_snapshot(f);
    assert_int_equal(find_view(f, s, "v")->n_keys, 0);
    tfn_snapshot_release(s);
}

static void a_mapped_feature_is_found_in_its_column(void **state)
{
    fixture *f = *state;
    apply(f,
          OBJECTS("{\"kind\":\"data_source\",\"name\":\"s\",\"path\":\"p\",\"timestamp_field\":"
                  "\"ts\",\"field_mapping\":{\"dep_delay\":\"delay\"}},"
                  "{\"kind\":\"feature_view\",\"name\":\"v\",\"source\":\"s\",\"schema\":[" FIELDS
                  "]}"));
    tfn_snapshot *s = get_snapshot(f);
    const tfn_source_def *source = find_view(f, s, "v")->source;
    assert_string_equal(tfn_source_def_get_column(source, text("delay")).p, "dep_delay");
    assert_string_equal(tfn_source_def_get_column(source, text("legs")).p, "legs");
    tfn_snapshot_release(s);
}

static void the_schema_gives_an_unknown_entity_its_type(void **state)
{
    fixture *f = *state;
    const char *unknown =
        OBJECTS("{\"kind\":\"entity\",\"name\":\"id\"}," SOURCE
                ",{\"kind\":\"feature_view\",\"name\":\"v\",\"entities\":[\"id\"],"
                "\"source\":\"planes\",\"schema\":[" FIELDS "]}");
    assert_refused(f, unknown, TFN_SCHEMA,
                   "the type of the join key 'id' is not known; give the entity 'id' a value_type");
    apply(f, OBJECTS("{\"kind\":\"entity\",\"name\":\"id\"}," SOURCE
                     ",{\"kind\":\"feature_view\",\"name\":\"v\",\"entities\":[\"id\"],\"source\":"
                     "\"planes\",\"schema\":[{\"name\":\"id\",\"dtype\":\"int32\"}," FIELDS "]}"));
    tfn_snapshot *s = get_snapshot(f);
    assert_int_equal(find_view(f, s, "v")->keys[0].type.kind, TFN_KIND_INT32);
    tfn_snapshot_release(s);
}

static void layout_depends_on_names_types_and_order_alone(void **state)
{
    fixture *f = *state;
    apply(f, EVERYTHING);
    tfn_snapshot *s = get_snapshot(f);
    const tfn_view_def *first = find_view(f, s, "history");
    apply(f, OBJECTS(VIEW_WITH("history", ",\"ttl_us\":7,\"description\":\"d\"")));
    tfn_snapshot *s2 = get_snapshot(f);
    const tfn_view_def *second = find_view(f, s2, "history");
    assert_memory_not_equal(&first->hash, &second->hash, sizeof first->hash);
    assert_memory_equal(&first->layout, &second->layout, sizeof first->layout);
    apply(f, OBJECTS("{\"kind\":\"feature_view\",\"name\":\"history\",\"entities\":[\"plane\"],"
                     "\"source\":\"planes\",\"schema\":[{\"name\":\"legs\",\"dtype\":\"int64\"},"
                     "{\"name\":\"delay\",\"dtype\":\"float64\"}]}"));
    tfn_snapshot *s3 = get_snapshot(f);
    assert_memory_not_equal(&first->layout, &find_view(f, s3, "history")->layout,
                            sizeof first->layout);
    tfn_snapshot_release(s);
    tfn_snapshot_release(s2);
    tfn_snapshot_release(s3);
}

#define VIEW_OF(entities, schema)                                                                  \
    "{\"kind\":\"feature_view\",\"name\":\"v\",\"entities\":[" entities "],\"source\":\"planes\"," \
    "\"schema\":[" schema "]}"
#define SERVICE_OF(projection)                                                                     \
    "{\"kind\":\"feature_service\",\"name\":\"m\",\"features\":[" projection "]}"

static const struct {
    const char *request;
    tfn_code code;
    const char *part;
} bad_states[] = {
    {OBJECTS(SOURCE "," VIEW_OF("\"plain\"", FIELDS)), TFN_NOT_FOUND,
     "feature view 'v' uses the entity 'plain', which project 'flights' does not have; there are "
     "none"},
    {OBJECTS(ENTITY "," SOURCE "," VIEW_OF("\"plain\"", FIELDS)), TFN_NOT_FOUND,
     "does not have; did you mean 'plane'?"},
    {OBJECTS(VIEW_OF("", FIELDS)), TFN_NOT_FOUND, "feature view 'v' uses the data source 'planes'"},
    {OBJECTS("{\"kind\":\"entity\",\"name\":\"jet\",\"join_key\":\"tailnum\",\"value_type\":"
             "\"string\"}," ENTITY "," SOURCE "," VIEW_OF("\"plane\",\"jet\"", FIELDS)),
     TFN_INVALID,
     "feature view 'v' has two entities with the join key 'tailnum': 'plane' and 'jet'"},
    {OBJECTS(ENTITY "," SOURCE
                    "," VIEW_OF("\"plane\"", "{\"name\":\"tailnum\",\"dtype\":\"int64\"}," FIELDS)),
     TFN_SCHEMA,
     "has the join key 'tailnum' as int64 in its schema, but the entity 'plane' is string"},
    {OBJECTS("{\"kind\":\"entity\",\"name\":\"k\"}," SOURCE
             "," VIEW_OF("\"k\"", "{\"name\":\"k\",\"dtype\":\"float32\"}," FIELDS)),
     TFN_SCHEMA, "the join key 'k' is float32, which cannot be a key"},
    {OBJECTS("{\"kind\":\"entity\",\"name\":\"k\"}," SOURCE
             "," VIEW_OF("\"k\"", "{\"name\":\"k\",\"dtype\":\"array<int64>\"}," FIELDS)),
     TFN_SCHEMA, "array<int64>, which cannot be a key"},
    {OBJECTS(SOURCE "," VIEW_OF("", "")), TFN_INVALID,
     "feature view 'v' has no features: its schema names no field"},
    {OBJECTS(ENTITY "," SOURCE "," VIEW_OF("\"plane\"", "")), TFN_INVALID, "join keys only"},
    {OBJECTS(SOURCE "," VIEW_OF("", "{\"name\":\"ts\",\"dtype\":\"timestamp\"}")), TFN_INVALID,
     "has the feature 'ts', which is the timestamp_field of its data source 'planes'"},
    {OBJECTS(SOURCE "," VIEW_OF("", "{\"name\":\"created\",\"dtype\":\"timestamp\"}")), TFN_INVALID,
     "which is the created_timestamp_column"},
    {OBJECTS("{\"kind\":\"data_source\",\"name\":\"s\",\"path\":\"p\",\"timestamp_field\":\"t\","
             "\"created_timestamp_column\":\"t\"}"),
     TFN_INVALID, "data source 's' has 't' as timestamp_field and as created_timestamp_column"},
    {OBJECTS("{\"kind\":\"data_source\",\"name\":\"planes\",\"path\":\"p\"}," VIEW_OF("", FIELDS)),
     TFN_INVALID, "reads the data source 'planes', which has no timestamp_field"},
    {OBJECTS(
         "{\"kind\":\"data_source\",\"name\":\"planes\",\"path\":\"p\",\"timestamp_field\":\"t\","
         "\"field_mapping\":{\"legs\":\"n_legs\"}}," VIEW_OF("", FIELDS)),
     TFN_INVALID, "has the feature 'legs', which the field_mapping of its data source renames to "},
    {OBJECTS(PUSH), TFN_NOT_FOUND, "data source 'planes_push' uses the data source 'planes'"},
    {OBJECTS("{\"kind\":\"data_source\",\"type\":\"push\",\"name\":\"a\",\"batch_source\":\"b\"},"
             "{\"kind\":\"data_source\",\"type\":\"push\",\"name\":\"b\",\"batch_source\":\"a\"}"),
     TFN_INVALID, "data source 'a' has the batch_source 'b', which is a push source"},
    {OBJECTS("{\"kind\":\"data_source\",\"type\":\"push\",\"name\":\"a\",\"batch_source\":\"a\"}"),
     TFN_INVALID, "which is a push source; it must be a file source"},
    {OBJECTS(SERVICE_OF("{\"view\":\"w\"}")), TFN_NOT_FOUND,
     "feature service 'm' uses the feature view 'w'"},
    {OBJECTS(ENTITY "," SOURCE "," VIEW
                    "," SERVICE_OF("{\"view\":\"history\",\"features\":[\"legz\"]}")),
     TFN_NOT_FOUND,
     "the feature 'legz', which the feature view 'history' does not have; did you mean"},
    {OBJECTS(ENTITY "," SOURCE "," VIEW
                    "," SERVICE_OF("{\"view\":\"history\",\"features\":[\"tailnum\"]}")),
     TFN_INVALID, "which is a join key and no feature"},
    {OBJECTS(ENTITY "," SOURCE "," VIEW
                    "," SERVICE_OF("{\"view\":\"history\",\"join_key_map\":{\"tail\":\"x\"}}")),
     TFN_INVALID, "maps 'tail', which is no join key of the feature view 'history'; there is"},
};

static void what_does_not_hold_together_is_refused(void **state)
{
    fixture *f = *state;
    for (size_t i = 0; i < sizeof bad_states / sizeof *bad_states; i++) {
        assert_refused(f, bad_states[i].request, bad_states[i].code, bad_states[i].part);
    }
    assert_int_equal(access(f->path, F_OK), -1); /* refused requests make no file */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_view_knows_its_keys_its_features_and_its_file),
        TEST(a_service_knows_its_views),
        TEST(a_push_source_reads_its_batch_source),
        TEST(a_view_without_entities_has_no_keys),
        TEST(a_mapped_feature_is_found_in_its_column),
        TEST(the_schema_gives_an_unknown_entity_its_type),
        TEST(layout_depends_on_names_types_and_order_alone),
        TEST(what_does_not_hold_together_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
