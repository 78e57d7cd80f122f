/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_TESTS_FEAST_FIXTURE_H
#define TFN_TESTS_FEAST_FIXTURE_H

/*
 * A registry file of Feast, made with the generated messages: project "flights" with an object of
 * most kinds, and project "other" with an entity. A test may change the objects before it packs.
 */

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "feast.pb-c.h"

/* protobuf-c's texts are not const. */
#define TEXT(literal) ((char *)(uintptr_t)(literal))

enum { N_FEAST_SOURCES = 6, N_FEAST_VIEWS = 4, N_FEAST_ON_DEMAND = 2 };

typedef struct feast_file {
    Feast__Registry registry;
    Feast__Project project, *projects[1];
    Feast__ProjectSpec project_spec;
    Feast__Entity entity[3], *entities[3];
    Feast__EntitySpec entity_spec[3];
    Feast__Pair pair, *pairs[1];
    Feast__DataSource source[N_FEAST_SOURCES], *sources[N_FEAST_SOURCES];
    Feast__DataSource hidden; /* stands behind Kafka only */
    Feast__FileFormat parquet;
    Feast__Empty empty;
    Feast__FileOptions file, hidden_file;
    Feast__KafkaOptions kafka;
    Feast__StreamFormat avro;
    Feast__SchemaFormat avro_schema;
    Feast__Duration five_minutes, day;
    Feast__CustomOptions custom;
    Feast__TableOptions table;
    Feast__RequestOptions request;
    Feast__Field key, delay, legs, nested, distance;
    Feast__Field *keys[1], *features[2], *odd[2], *request_fields[1];
    Feast__FeatureView view[N_FEAST_VIEWS], *views[N_FEAST_VIEWS];
    Feast__FeatureViewSpec view_spec[N_FEAST_VIEWS], *derived_from[1];
    Feast__StreamView stream, *streams[1];
    Feast__StreamViewSpec stream_spec;
    Feast__Aggregation sum, *sums[1];
    Feast__LabelView label, *labels[1];
    Feast__LabelViewSpec label_spec;
    Feast__UserFunction function;
    Feast__Transformation transformation;
    Feast__OnDemandView on_demand[N_FEAST_ON_DEMAND], *on_demands[N_FEAST_ON_DEMAND];
    Feast__OnDemandViewSpec on_demand_spec[N_FEAST_ON_DEMAND];
    Feast__OnDemandSource input[2], *inputs[2];
    Feast__OnDemandInput input_value[2];
    Feast__Projection whole, part, *parts[2];
    Feast__FeatureService service, *services[1];
    Feast__FeatureServiceSpec service_spec;
    Feast__LoggingConfig logging;
    Feast__FileDestination destination;
    Feast__SavedDataset dataset, *datasets[1];
    Feast__SavedDatasetSpec dataset_spec;
    Feast__SavedDatasetMeta dataset_meta;
    Feast__Storage storage;
    Feast__Timestamp time;
    Feast__ValidationReference reference, *references[1];
    Feast__Permission permission, *permissions[1];
    Feast__PermissionSpec permission_spec;
    Feast__Policy policy;
    Feast__Names roles;
    int32_t types[2], actions[1];
    char *entity_names[1], *dummies[1], *names[1];
} feast_file;

static inline void make_entities(feast_file *f)
{
    static const char *const names[] = {"plane", "__dummy", "elsewhere"};
    for (size_t i = 0; i < 3; i++) {
        feast__entity__init(&f->entity[i]);
        feast__entity_spec__init(&f->entity_spec[i]);
        f->entity[i].spec = &f->entity_spec[i];
        f->entity_spec[i].name = TEXT(names[i]);
        f->entity_spec[i].project = TEXT(i == 2 ? "other" : "flights");
        f->entities[i] = &f->entity[i];
    }
    f->entity_spec[0].join_key = TEXT("tailnum");
    f->entity_spec[0].value_type = 2;
    f->entity_spec[0].n_tags = 1;
    f->entity_spec[0].tags = f->pairs;
    f->registry.n_entities = 3;
    f->registry.entities = f->entities;
    feast__project__init(&f->project);
    feast__project_spec__init(&f->project_spec);
    f->project.spec = &f->project_spec;
    f->project_spec.name = TEXT("flights");
    f->project_spec.description = TEXT("what flies");
    f->projects[0] = &f->project;
    f->registry.n_projects = 1;
    f->registry.projects = f->projects;
}

static inline void make_source(feast_file *f, size_t i, const char *name, int type,
                               const char *class_name)
{
    feast__data_source__init(&f->source[i]);
    f->source[i].name = TEXT(name);
    f->source[i].project = TEXT("flights");
    f->source[i].type = (Feast__DataSource__Type)type;
    f->source[i].class_name = TEXT(class_name);
    f->source[i].timestamp_field = TEXT("ts");
    f->sources[i] = &f->source[i];
}

static inline void make_sources(feast_file *f)
{
    make_source(f, 0, "planes", FEAST__DATA_SOURCE__TYPE__FILE, "feast.FileSource");
    f->source[0].options_case = FEAST__DATA_SOURCE__OPTIONS_FILE;
    f->source[0].file = &f->file;
    f->source[0].created_timestamp_column = TEXT("created");
    f->file.uri = TEXT("planes.parquet");
    f->file.format = &f->parquet;
    make_source(f, 1, "push", FEAST__DATA_SOURCE__TYPE__PUSH, "feast.data_source.PushSource");
    f->source[1].batch_source = &f->source[0];
    make_source(f, 2, "kafka", FEAST__DATA_SOURCE__TYPE__KAFKA, "");
    f->source[2].options_case = FEAST__DATA_SOURCE__OPTIONS_KAFKA;
    f->source[2].kafka = &f->kafka;
    f->source[2].batch_source = &f->hidden;
    feast__data_source__init(&f->hidden);
    f->hidden.type = FEAST__DATA_SOURCE__TYPE__FILE;
    f->hidden.options_case = FEAST__DATA_SOURCE__OPTIONS_FILE;
    f->hidden.file = &f->hidden_file;
    f->hidden.timestamp_field = TEXT("ts");
    f->hidden_file.uri = TEXT("hidden.parquet");
    make_source(f, 3, "own", FEAST__DATA_SOURCE__TYPE__CUSTOM, "my.own.MySource");
    f->source[3].options_case = FEAST__DATA_SOURCE__OPTIONS_CUSTOM;
    f->source[3].custom = &f->custom;
    static uint8_t json[] = "{\"name\":\"own\",\"query\":\"\",\"rate\":0.5,\"n\":[1,null,true]}";
    f->custom.configuration = (ProtobufCBinaryData){sizeof json - 1, json};
    make_source(f, 4, "bq", FEAST__DATA_SOURCE__TYPE__BIGQUERY, "feast.x.BigQuerySource");
    f->source[4].options_case = FEAST__DATA_SOURCE__OPTIONS_BIGQUERY;
    f->source[4].bigquery = &f->table;
    f->table.table = TEXT("a.b");
    make_source(f, 5, "trip", FEAST__DATA_SOURCE__TYPE__REQUEST, "");
    f->source[5].options_case = FEAST__DATA_SOURCE__OPTIONS_REQUEST;
    f->source[5].request = &f->request;
    f->registry.n_data_sources = N_FEAST_SOURCES;
    f->registry.data_sources = f->sources;
}

static inline Feast__Field make_field(const char *name, int value_type)
{
    Feast__Field field;
    feast__field__init(&field);
    field.name = TEXT(name);
    field.value_type = value_type;
    return field;
}

static inline void make_view(feast_file *f, size_t i, const char *name, Feast__DataSource *source)
{
    feast__feature_view__init(&f->view[i]);
    feast__feature_view_spec__init(&f->view_spec[i]);
    f->view[i].spec = &f->view_spec[i];
    f->view_spec[i].name = TEXT(name);
    f->view_spec[i].project = TEXT("flights");
    f->view_spec[i].version = TEXT("latest");
    f->view_spec[i].n_entities = 1;
    f->view_spec[i].entities = f->entity_names;
    f->view_spec[i].n_entity_columns = 1;
    f->view_spec[i].entity_columns = f->keys;
    f->view_spec[i].n_features = 2;
    f->view_spec[i].features = f->features;
    f->view_spec[i].batch_source = source;
    f->view_spec[i].online = true;
    f->views[i] = &f->view[i];
}

static inline void make_views(feast_file *f)
{
    make_view(f, 0, "history", &f->source[0]);
    f->view_spec[0].ttl = &f->day;
    make_view(f, 1, "odd", &f->source[0]);
    f->view_spec[1].features = f->odd;
    make_view(f, 2, "off", &f->source[0]);
    f->view_spec[2].stream_source = &f->source[1];
    f->view_spec[2].disabled = true;
    f->view_spec[2].mode = TEXT("PYTHON");
    make_view(f, 3, "derived", &f->source[0]);
    f->view_spec[3].n_source_views = 1;
    f->view_spec[3].source_views = f->derived_from;
    f->derived_from[0] = &f->view_spec[0];
    f->registry.n_feature_views = N_FEAST_VIEWS;
    f->registry.feature_views = f->views;
}

static inline void make_stream_and_label(feast_file *f)
{
    f->stream.spec = &f->stream_spec;
    f->stream_spec.name = TEXT("sums");
    f->stream_spec.project = TEXT("flights");
    f->stream_spec.n_entities = 1;
    f->stream_spec.entities = f->entity_names;
    f->stream_spec.n_entity_columns = 1;
    f->stream_spec.entity_columns = f->keys;
    f->stream_spec.n_features = 2;
    f->stream_spec.features = f->features;
    f->stream_spec.stream_source = &f->source[2];
    f->stream_spec.function = &f->function;
    f->stream_spec.n_aggregations = 1;
    f->stream_spec.aggregations = f->sums;
    f->stream_spec.tiling_hop_size = &f->five_minutes;
    f->sum.column = TEXT("delay");
    f->sum.function = TEXT("sum");
    f->sum.time_window = &f->day;
    f->streams[0] = &f->stream;
    f->registry.n_stream_views = 1;
    f->registry.stream_views = f->streams;
    f->label.spec = &f->label_spec;
    f->label_spec.name = TEXT("labels");
    f->label_spec.project = TEXT("flights");
    f->label_spec.n_features = 2;
    f->label_spec.features = f->features;
    f->label_spec.labeler_field = TEXT("legs");
    f->label_spec.conflict_policy = 1;
    f->label_spec.n_entities = 1;
    f->label_spec.entities = f->dummies;
    f->labels[0] = &f->label;
    f->registry.n_label_views = 1;
    f->registry.label_views = f->labels;
}

static inline void make_on_demand(feast_file *f)
{
    for (size_t i = 0; i < N_FEAST_ON_DEMAND; i++) {
        feast__on_demand_view__init(&f->on_demand[i]);
        feast__on_demand_view_spec__init(&f->on_demand_spec[i]);
        f->on_demand[i].spec = &f->on_demand_spec[i];
        f->on_demand_spec[i].name = TEXT(i == 0 ? "speed" : "stored");
        f->on_demand_spec[i].project = TEXT("flights");
        f->on_demand_spec[i].n_sources = 2;
        f->on_demand_spec[i].sources = f->inputs;
        f->on_demand_spec[i].n_features = 1;
        f->on_demand_spec[i].features = f->request_fields;
        f->on_demand_spec[i].n_entities = 1;
        f->on_demand_spec[i].entities = f->dummies;
        f->on_demand_spec[i].transformation = &f->transformation;
        f->on_demands[i] = &f->on_demand[i];
        feast__on_demand_source__init(&f->input[i]);
        feast__on_demand_input__init(&f->input_value[i]);
        f->input[i].value = &f->input_value[i];
        f->inputs[i] = &f->input[i];
    }
    f->on_demand_spec[1].write_to_online_store = true;
    f->transformation.kind_case = FEAST__TRANSFORMATION__KIND_FUNCTION;
    f->transformation.function = &f->function;
    f->function.name = TEXT("speed");
    f->function.source = TEXT("@view(\n    x=\"def \",\n)\ndef speed(a):\n    return a\n");
    f->input_value[0].source_case = FEAST__ON_DEMAND_INPUT__SOURCE_PROJECTION;
    f->input_value[0].projection = &f->whole;
    f->input_value[1].source_case = FEAST__ON_DEMAND_INPUT__SOURCE_REQUEST;
    f->input_value[1].request = &f->source[5];
    f->registry.n_on_demand_views = N_FEAST_ON_DEMAND;
    f->registry.on_demand_views = f->on_demands;
    f->whole.view = TEXT("history");
    f->whole.n_features = 2;
    f->whole.features = f->features;
    f->part.view = TEXT("history");
    f->part.name_alias = TEXT("h");
    f->part.n_features = 1;
    f->part.features = f->features;
    f->part.n_join_key_map = 1;
    f->part.join_key_map = f->pairs;
    f->service.spec = &f->service_spec;
    f->service_spec.name = TEXT("model");
    f->service_spec.project = TEXT("flights");
    f->service_spec.n_features = 2;
    f->service_spec.features = f->parts;
    f->service_spec.logging_config = &f->logging;
    f->logging.sample_rate = 0.1F;
    f->logging.file = &f->destination;
    f->destination.path = TEXT("logs");
    f->services[0] = &f->service;
    f->registry.n_feature_services = 1;
    f->registry.feature_services = f->services;
}

static inline void make_kept(feast_file *f)
{
    f->dataset.spec = &f->dataset_spec;
    f->dataset.meta = &f->dataset_meta;
    f->dataset_spec.name = TEXT("set");
    f->dataset_spec.project = TEXT("flights");
    f->dataset_spec.storage = &f->storage;
    f->storage.file = &f->file;
    f->dataset_meta.min_event = &f->time;
    f->time.seconds = 86400;
    f->datasets[0] = &f->dataset;
    f->registry.n_saved_datasets = 1;
    f->registry.saved_datasets = f->datasets;
    f->reference.name = TEXT("ref");
    f->reference.project = TEXT("flights");
    f->reference.dataset_name = TEXT("set");
    f->references[0] = &f->reference;
    f->registry.n_validation_references = 1;
    f->registry.validation_references = f->references;
    f->permission.spec = &f->permission_spec;
    f->permission_spec.name = TEXT("readers");
    f->permission_spec.project = TEXT("flights");
    f->permission_spec.n_types = 2;
    f->permission_spec.types = f->types;
    f->types[1] = 99; /* newer than this release */
    f->permission_spec.n_actions = 1;
    f->permission_spec.actions = f->actions;
    f->actions[0] = 4;
    f->permission_spec.policy = &f->policy;
    f->policy.kind_case = FEAST__POLICY__KIND_ROLES;
    f->policy.roles = &f->roles;
    f->roles.n_names = 1;
    f->roles.names = f->names;
    f->permissions[0] = &f->permission;
    f->registry.n_permissions = 1;
    f->registry.permissions = f->permissions;
}

/* Empty messages of everything that is there once; fields and texts that others point to. */
static inline void begin_feast_file(feast_file *f)
{
    memset(f, 0, sizeof *f);
    feast__registry__init(&f->registry);
    f->registry.schema_version = TEXT("1");
    feast__pair__init(&f->pair);
    f->pair.key = TEXT("tailnum");
    f->pair.value = TEXT("craft");
    f->pairs[0] = &f->pair;
    feast__file_format__init(&f->parquet);
    feast__empty__init(&f->empty);
    f->parquet.format_case = FEAST__FILE_FORMAT__FORMAT_PARQUET;
    f->parquet.parquet = &f->empty;
    feast__file_options__init(&f->file);
    feast__file_options__init(&f->hidden_file);
    feast__kafka_options__init(&f->kafka);
    f->kafka.topic = TEXT("t");
    f->kafka.message_format = &f->avro;
    f->kafka.watermark_delay_threshold = &f->five_minutes;
    feast__stream_format__init(&f->avro);
    f->avro.format_case = FEAST__STREAM_FORMAT__FORMAT_AVRO;
    f->avro.avro = &f->avro_schema;
    feast__schema_format__init(&f->avro_schema);
    feast__duration__init(&f->five_minutes);
    f->five_minutes.seconds = 300;
    feast__duration__init(&f->day);
    f->day.seconds = 86400;
    f->day.nanos = 5000;
    feast__custom_options__init(&f->custom);
    feast__table_options__init(&f->table);
    feast__request_options__init(&f->request);
    f->request.n_schema = 1;
    f->request.schema = f->request_fields;
    f->key = make_field("tailnum", 2);
    f->delay = make_field("delay", 5);
    f->legs = make_field("legs", 4);
    f->nested = make_field("nested", 42);
    f->distance = make_field("distance", 6);
    f->keys[0] = &f->key;
    f->features[0] = f->odd[0] = &f->delay;
    f->features[1] = &f->legs;
    f->odd[1] = &f->nested;
    f->request_fields[0] = &f->distance;
    f->entity_names[0] = TEXT("plane");
    f->dummies[0] = TEXT("__dummy");
    f->names[0] = TEXT("r");
}

static inline void begin_single_messages(feast_file *f)
{
    feast__stream_view__init(&f->stream);
    feast__stream_view_spec__init(&f->stream_spec);
    feast__aggregation__init(&f->sum);
    f->sums[0] = &f->sum;
    feast__label_view__init(&f->label);
    feast__label_view_spec__init(&f->label_spec);
    feast__user_function__init(&f->function);
    feast__transformation__init(&f->transformation);
    feast__projection__init(&f->whole);
    feast__projection__init(&f->part);
    f->parts[0] = &f->whole;
    f->parts[1] = &f->part;
    feast__feature_service__init(&f->service);
    feast__feature_service_spec__init(&f->service_spec);
    feast__logging_config__init(&f->logging);
    feast__file_destination__init(&f->destination);
    feast__saved_dataset__init(&f->dataset);
    feast__saved_dataset_spec__init(&f->dataset_spec);
    feast__saved_dataset_meta__init(&f->dataset_meta);
    feast__storage__init(&f->storage);
    feast__timestamp__init(&f->time);
    feast__validation_reference__init(&f->reference);
    feast__permission__init(&f->permission);
    feast__permission_spec__init(&f->permission_spec);
    feast__policy__init(&f->policy);
    feast__names__init(&f->roles);
}

/* Everything; `f` must not move afterwards. */
static inline void make_feast_file(feast_file *f)
{
    begin_feast_file(f);
    begin_single_messages(f);
    make_entities(f);
    make_sources(f);
    make_views(f);
    make_stream_and_label(f);
    make_on_demand(f);
    make_kept(f);
}

/* The bytes, in a buffer that ends with tfn_buf_deinit. */
static inline tfn_buf pack_feast_file(const feast_file *f)
{
    tfn_buf out = {0};
    char *room = NULL;
    const size_t n = feast__registry__get_packed_size(&f->registry);
    const tfn_code rc = tfn_buf_add_room(&out, n, &room, NULL);
    assert(rc == TFN_OK);
    (void)rc;
    (void)feast__registry__pack(&f->registry, (uint8_t *)room);
    return out;
}

#endif
