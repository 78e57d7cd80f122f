/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* feast_write*.c: documents over a file of Feast, and over none. */

#include "unit/registry_fixture.h"

#include "unit/feast_fixture.h"

#include "base/json.h"
#include "registry/feast_file.h"
#include "registry/feast_message.h"
#include "registry/registry_internal.h"

typedef struct write_fixture {
    feast_file file;
    tfn_buf bytes;     /* of the base */
    tfn_buf documents; /* what the base says, completed as an apply completes it */
    tfn_buf out;
    tfn__feast_message written;
    tfn_error err;
} write_fixture;

static int set_up_file(void **state)
{
    write_fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    make_feast_file(&f->file);
    f->file.input[0].key = TEXT("history");
    f->file.input[1].key = f->file.source[5].name;
    *state = f;
    return 0;
}

static int tear_down_file(void **state)
{
    write_fixture *f = *state;
    tfn__feast_message_deinit(&f->written);
    tfn_buf_deinit(&f->bytes);
    tfn_buf_deinit(&f->documents);
    tfn_buf_deinit(&f->out);
    free(f);
    return 0;
}

static void must(const write_fixture *f, tfn_code rc)
{
    if (rc != TFN_OK) {
        fail_msg("%s", f->err.message);
    }
}

/* Read the base, and apply what it says to nothing. */
static void read_documents(write_fixture *f)
{
    tfn_buf request = {0};
    tfn_snapshot *nothing = NULL;
    tfn__proposal p = {0};
    f->bytes = pack_feast_file(&f->file);
    must(f, tfn_feast_read(tfn_buf_get_str(&f->bytes), text("flights"), &request, &f->err));
    must(f, tfn__snapshot_create(text("flights"), 0, &nothing, &f->err));
    must(f, tfn__proposal_init(&p, nothing, tfn_buf_get_str(&request), &f->err));
    must(f, tfn__proposal_check(&p, &f->err));
    assert_int_equal(p.n_refusals, 0);
    for (size_t i = 0; i < p.n_changed; i++) {
        must(f, tfn_buf_add_text(&f->documents, i == 0 ? "[" : ",", &f->err));
        must(f, tfn__snapshot_describe_entry(p.changed[i], &f->documents, &f->err));
    }
    must(f, tfn_buf_add_text(&f->documents, "]", &f->err));
    tfn__proposal_deinit(&p);
    tfn_snapshot_release(nothing);
    tfn_buf_deinit(&request);
}

static tfn_code write_over(write_fixture *f, tfn_str base, tfn_str documents, const char *functions)
{
    const tfn_feast_writing writing = {.base = base,
                                       .project = text("flights"),
                                       .documents = documents,
                                       .functions = text(functions),
                                       .now = {1700000000, 5},
                                       .random = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                                  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    tfn__feast_message_deinit(&f->written);
    tfn_buf_clear(&f->out);
    const tfn_code rc = tfn_feast_write(&writing, &f->out, &f->err);
    if (rc == TFN_OK) {
        must(f, tfn__feast_message_init(&f->written, tfn_buf_get_str(&f->out), &f->err));
    }
    return rc;
}

static void write_back(write_fixture *f)
{
    read_documents(f);
    must(f, write_over(f, tfn_buf_get_str(&f->bytes), tfn_buf_get_str(&f->documents), NULL));
}

static void assert_same(const void *a, const void *b)
{
    uint8_t bytes[2][8192];
    const size_t n = protobuf_c_message_get_packed_size(a);
    assert_true(n <= sizeof bytes[0]);
    assert_int_equal(protobuf_c_message_get_packed_size(b), n);
    (void)protobuf_c_message_pack(a, bytes[0]);
    (void)protobuf_c_message_pack(b, bytes[1]);
    assert_memory_equal(bytes[0], bytes[1], n);
}

/* ---- over the file that the documents came from ---- */

static void fill_times(feast_file *f)
{
    static Feast__Times times;
    static Feast__ViewMeta view_meta;
    static Feast__OnDemandMeta meta;
    static Feast__SourceMeta source_meta;
    feast__times__init(&times);
    feast__view_meta__init(&view_meta);
    feast__on_demand_meta__init(&meta);
    feast__source_meta__init(&source_meta);
    times.created = times.last_updated = &f->time;
    view_meta.created = view_meta.last_updated = &f->time;
    meta.created = meta.last_updated = &f->time;
    source_meta.created = source_meta.last_updated = &f->time;
    view_meta.state = 4;
    view_meta.current_version_number = 3;
    for (size_t i = 0; i < N_FEAST_VIEWS; i++) {
        f->view[i].meta = &view_meta;
        f->view_spec[i].version = TEXT("latest");
    }
    for (size_t i = 0; i < N_FEAST_ON_DEMAND; i++) {
        f->on_demand[i].meta = &meta;
        f->on_demand_spec[i].version = TEXT("latest");
    }
    for (size_t i = 0; i < N_FEAST_SOURCES; i++) {
        f->source[i].meta = &source_meta;
    }
    f->service.meta = &times;
    f->entity[0].meta = &times;
}

static void views_keep_their_meta_and_fields_their_places(void **state)
{
    write_fixture *f = *state;
    fill_times(&f->file);
    write_back(f);
    const Feast__Registry *r = f->written.registry;
    assert_int_equal(r->n_feature_views, N_FEAST_VIEWS);
    for (size_t i = 0; i < N_FEAST_VIEWS; i++) {
        const Feast__FeatureViewSpec *spec = r->feature_views[i]->spec;
        assert_string_equal(spec->name, f->file.view_spec[i].name);
        assert_int_equal(r->feature_views[i]->meta->state, 4);
        assert_int_equal(r->feature_views[i]->meta->current_version_number, 3);
        assert_int_equal(spec->n_features, f->file.view_spec[i].n_features);
        for (size_t k = 0; k < spec->n_features; k++) {
            assert_same(spec->features[k], f->file.view_spec[i].features[k]);
        }
    }
}

static void other_projects_stay_and_so_do_functions(void **state)
{
    write_fixture *f = *state;
    f->file.function.body = (ProtobufCBinaryData){3, (uint8_t *)TEXT("abc")};
    write_back(f);
    const Feast__Registry *r = f->written.registry;
    assert_int_equal(r->n_entities, 3);
    assert_same(r->entities[2], &f->file.entity[2]);
    assert_same(r->on_demand_views[0]->spec->transformation, &f->file.transformation);
    assert_int_equal(r->n_on_demand_views, N_FEAST_ON_DEMAND);
    assert_same(r->validation_references[0], &f->file.reference);
    assert_same(r->permissions[0]->spec, &f->file.permission_spec);
    assert_same(r->saved_datasets[0]->spec, &f->file.dataset_spec);
}

static void a_second_writing_changes_nothing_but_the_file_itself(void **state)
{
    write_fixture *f = *state;
    tfn__feast_message before = {0};
    tfn_buf first = {0};
    write_back(f);
    must(f, tfn_buf_add_str(&first, tfn_buf_get_str(&f->out), &f->err));
    must(f, tfn__feast_message_init(&before, tfn_buf_get_str(&first), &f->err));
    must(f, write_over(f, tfn_buf_get_str(&first), tfn_buf_get_str(&f->documents), NULL));
    assert_int_equal(f->out.n, first.n);
    assert_memory_equal(f->out.p, first.p, first.n);
    tfn__feast_message_deinit(&before);
    tfn_buf_deinit(&first);
}

/* A field of number 1000 with one byte, as a newer Feast might write it. */
static uint8_t unknown_byte = 7;
static ProtobufCMessageUnknownField unknown = {
    .tag = 1000, .wire_type = PROTOBUF_C_WIRE_TYPE_VARINT, .len = 1, .data = &unknown_byte};

static void add_unknown(ProtobufCMessage *message)
{
    message->n_unknown_fields = 1;
    message->unknown_fields = &unknown;
}

static void assert_unknown(const ProtobufCMessage *message)
{
    assert_int_equal(message->n_unknown_fields, 1);
    assert_int_equal(message->unknown_fields[0].tag, 1000);
}

static void unknown_fields_stay_at_every_level(void **state)
{
    write_fixture *f = *state;
    add_unknown(&f->file.registry.base);
    add_unknown(&f->file.entity_spec[0].base);
    add_unknown(&f->file.source[0].base);
    add_unknown(&f->file.file.base);
    add_unknown(&f->file.view_spec[0].base);
    add_unknown(&f->file.delay.base);
    add_unknown(&f->file.stream_spec.base);
    add_unknown(&f->file.sum.base);
    add_unknown(&f->file.label_spec.base);
    add_unknown(&f->file.on_demand_spec[0].base);
    add_unknown(&f->file.whole.base);
    add_unknown(&f->file.service_spec.base);
    add_unknown(&f->file.part.base);
    add_unknown(&f->file.logging.base);
    add_unknown(&f->file.permission_spec.base);
    write_back(f);
    const Feast__Registry *r = f->written.registry;
    const Feast__FeatureServiceSpec *service = r->feature_services[0]->spec;
    assert_unknown(&r->base);
    assert_unknown(&r->entities[0]->spec->base);
    assert_unknown(&r->data_sources[0]->base);
    assert_unknown(&r->data_sources[0]->file->base);
    assert_unknown(&r->feature_views[0]->spec->base);
    assert_unknown(&r->feature_views[0]->spec->features[0]->base);
    assert_unknown(&r->stream_views[0]->spec->base);
    assert_unknown(&r->stream_views[0]->spec->aggregations[0]->base);
    assert_unknown(&r->label_views[0]->spec->base);
    assert_unknown(&r->on_demand_views[0]->spec->base);
    assert_unknown(&r->on_demand_views[0]->spec->sources[0]->value->projection->base);
    assert_unknown(&service->base);
    assert_unknown(&service->features[1]->base);
    assert_unknown(&service->logging_config->base);
    assert_unknown(&r->permissions[0]->spec->base);
}

static void what_has_no_document_goes(void **state)
{
    write_fixture *f = *state;
    read_documents(f);
    must(f, write_over(f, tfn_buf_get_str(&f->bytes), text("[]"), NULL));
    const Feast__Registry *r = f->written.registry;
    assert_int_equal(r->n_entities, 2); /* the dummy one, and another project's */
    assert_string_equal(r->entities[0]->spec->name, "__dummy");
    assert_string_equal(r->entities[1]->spec->project, "other");
    assert_int_equal(r->n_data_sources, 0);
    assert_int_equal(r->n_feature_views, 0);
    assert_int_equal(r->n_stream_views, 0);
    assert_int_equal(r->n_label_views, 0);
    assert_int_equal(r->n_on_demand_views, 0);
    assert_int_equal(r->n_feature_services, 0);
    assert_int_equal(r->n_saved_datasets, 0);
    assert_int_equal(r->n_permissions, 0);
    assert_int_equal(r->n_projects, 1);
}

/* ---- over nothing ---- */

static const char view_documents[] =
    "[{\"kind\":\"entity\",\"name\":\"plane\",\"join_key\":\"tailnum\",\"value_type\":\"string\","
    "\"created_timestamp\":\"1970-01-02T00:00:00Z\","
    "\"last_updated_timestamp\":\"1970-01-03T00:00:00Z\"},"
    "{\"kind\":\"data_source\",\"name\":\"planes\",\"type\":\"file\",\"path\":\"p.parquet\","
    "\"timestamp_field\":\"ts\",\"created_timestamp_column\":\"made\"},"
    "{\"kind\":\"data_source\",\"name\":\"push\",\"type\":\"push\",\"batch_source\":\"planes\"},"
    "{\"kind\":\"feature_view\",\"name\":\"history\",\"entities\":[],\"join_keys\":[],\"source\":"
    "\"push\",\"ttl_us\":1500000,\"online\":true,"
    "\"schema\":[{\"name\":\"delay\",\"dtype\":\"array<float32>\"}]},"
    "{\"kind\":\"feature_service\",\"name\":\"model\",\"features\":[{\"view\":\"history\","
    "\"features\":[\"delay\"],\"name_alias\":\"\",\"join_key_map\":{}}]}]";

static void a_new_file_is_as_feast_would_write_it(void **state)
{
    write_fixture *f = *state;
    must(f, write_over(f, text(""), text(view_documents), NULL));
    const Feast__Registry *r = f->written.registry;
    const Feast__FeatureViewSpec *view = r->feature_views[0]->spec;
    const Feast__Projection *projection = r->feature_services[0]->spec->features[0];
    assert_string_equal(r->schema_version, "1");
    assert_string_equal(r->version_id, "ffffffff-ffff-4fff-bfff-ffffffffffff");
    assert_int_equal(r->last_updated->seconds, 1700000000);
    assert_string_equal(r->projects[0]->spec->name, "flights");
    assert_string_equal(r->project_metadata[0]->uuid, "00000000-0000-4000-8000-000000000000");
    assert_int_equal(r->n_entities, 2);
    assert_int_equal(r->entities[0]->meta->created->seconds, 86400);
    assert_int_equal(r->entities[0]->meta->last_updated->seconds, 172800);
    assert_string_equal(r->entities[1]->spec->name, "__dummy");
    assert_string_equal(view->entities[0], "__dummy");
    assert_string_equal(view->entity_columns[0]->name, "__dummy_id");
    assert_int_equal(view->features[0]->value_type, 16);
    assert_int_equal(view->ttl->seconds, 1);
    assert_int_equal(view->ttl->nanos, 500000000);
    assert_string_equal(view->version, "latest");
    assert_string_equal(view->stream_source->class_name, "feast.data_source.PushSource");
    assert_string_equal(view->stream_source->timestamp_field, "ts");
    assert_string_equal(view->stream_source->project, "");
    assert_string_equal(view->batch_source->file->uri, "p.parquet");
    assert_string_equal(r->data_sources[0]->project, "flights");
    assert_string_equal(projection->timestamp_field, "made");
    assert_string_equal(projection->batch_source->class_name, "");
    assert_string_equal(projection->view_type, "featureView");
}

#define ON_DEMAND                                                                                  \
    "[{\"kind\":\"data_source\",\"name\":\"asked\",\"type\":\"request\",\"schema\":[{\"name\":"    \
    "\"distance\",\"dtype\":\"float64\"}]},{\"kind\":\"on_demand_feature_view\",\"name\":"         \
    "\"speed\","                                                                                   \
    "\"sources\":[],\"request_sources\":[\"asked\"],\"entities\":[],\"schema\":[{\"name\":\"s\","  \
    "\"dtype\":\"float64\"}],\"mode\":\"pandas\",\"singleton\":false,\"function\":{\"module\":"    \
    "\"m\",\"name\":\"a.speed\",\"source\":\"def speed(): ...\",\"hash\":\"\"}}]"

static void a_function_comes_from_those_that_are_given(void **state)
{
    write_fixture *f = *state;
    must(f, write_over(f, text(""), text(ON_DEMAND),
                       "{\"speed\":{\"body\":\"AAEC/w==\",\"source\":\"@x\\ndef speed(): ...\"}}"));
    const Feast__OnDemandViewSpec *view = f->written.registry->on_demand_views[0]->spec;
    const Feast__UserFunction *function = view->transformation->function;
    assert_string_equal(function->name, "speed");
    assert_string_equal(function->source, "@x\ndef speed(): ...");
    assert_string_equal(function->mode, "pandas");
    assert_int_equal(function->body.len, 4);
    assert_memory_equal(function->body.data, "\0\1\2\xff", 4);
    assert_string_equal(view->sources[0]->value->request->name, "asked");
}

static void refuse(write_fixture *f, const char *documents, const char *functions, tfn_code code,
                   const char *part)
{
    assert_int_equal(write_over(f, text(""), text(documents), functions), code);
    if (strstr(f->err.message, part) == NULL) {
        fail_msg("%s", f->err.message);
    }
    assert_int_equal(f->out.n, 0);
}

static void what_feast_cannot_have_is_refused_by_name(void **state)
{
    write_fixture *f = *state;
    refuse(f, ON_DEMAND, NULL, TFN_UNSUPPORTED, "on-demand feature view 'speed'");
    refuse(f, ON_DEMAND, "{\"speed\":{\"missing\":\"because\"}}", TFN_UNSUPPORTED, "because");
    refuse(f, ON_DEMAND, "{\"speed\":{\"body\":\"***\"}}", TFN_INVALID, "base64");
    refuse(f, "[{\"kind\":\"data_source\",\"name\":\"c\",\"format\":\"csv\",\"path\":\"p\"}]", NULL,
           TFN_UNSUPPORTED, "data source 'c'");
    refuse(f, "[{\"kind\":\"data_source\",\"name\":\"c\",\"type\":\"foreign\",\"class\":\"Odd\"}]",
           NULL, TFN_UNSUPPORTED, "its class");
    refuse(f, "[{\"kind\":\"validation_reference\",\"name\":\"v\"}]", NULL, TFN_UNSUPPORTED,
           "profiler");
    refuse(f, "[{\"kind\":\"entity\",\"name\":\"e\",\"description\":\"a\\u0000b\"}]", NULL,
           TFN_UNSUPPORTED, "code 0");
    refuse(f, "{}", NULL, TFN_INVALID, "array");
    refuse(f, "[", NULL, TFN_INVALID, "JSON");
    assert_int_equal(write_over(f, text("no file of Feast"), text("[]"), NULL), TFN_CORRUPT);
}

#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_file, tear_down_file)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILE_TEST(views_keep_their_meta_and_fields_their_places),
        FILE_TEST(other_projects_stay_and_so_do_functions),
        FILE_TEST(a_second_writing_changes_nothing_but_the_file_itself),
        FILE_TEST(unknown_fields_stay_at_every_level),
        FILE_TEST(what_has_no_document_goes),
        FILE_TEST(a_new_file_is_as_feast_would_write_it),
        FILE_TEST(a_function_comes_from_those_that_are_given),
        FILE_TEST(what_feast_cannot_have_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
