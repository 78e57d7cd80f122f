/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Data sources of Feast's registry. A file has each twice and more: in the project's list, and
 * inside every view that reads it. The list comes first; what stands only inside views (older
 * Feasts listed none) is taken from there, once for each name.
 *
 * Files of Parquet, pushes and requests are sources of ours; all others are `foreign`, with the
 * content and the sentence that python/tiffin/registry/foreign_source.py gives the class. A class
 * that is not known there keeps its name and its configuration.
 */

#include "registry/feast_read.h"

#include <stdio.h>
#include <string.h>

#include "base/poison.h"

enum { MAX_JSON_DEPTH = 8, SENTENCE_BYTES = 256, NUMBER_BYTES = 40 };

const char tfn__feast_no_source[] = "__no_source__";

/* ---- classes ---- */

/* A class of Feast's: the system as sentences call it (NULL: it can be run), and its type there. */
typedef struct source_class {
    const char *name;
    const char *system;
    int type;
    bool is_stream;
} source_class;

/* The first of a type is what a source without a class is. */
static const source_class classes[] = {
    {"FileSource", NULL, FEAST__DATA_SOURCE__TYPE__FILE, false},
    {"PushSource", NULL, FEAST__DATA_SOURCE__TYPE__PUSH, false},
    {"RequestSource", NULL, FEAST__DATA_SOURCE__TYPE__REQUEST, false},
    {"BigQuerySource", "BigQuery", FEAST__DATA_SOURCE__TYPE__BIGQUERY, false},
    {"RedshiftSource", "Redshift", FEAST__DATA_SOURCE__TYPE__REDSHIFT, false},
    {"SnowflakeSource", "Snowflake", FEAST__DATA_SOURCE__TYPE__SNOWFLAKE, false},
    {"SparkSource", "Spark", FEAST__DATA_SOURCE__TYPE__SPARK, false},
    {"TrinoSource", "Trino", FEAST__DATA_SOURCE__TYPE__TRINO, false},
    {"AthenaSource", "Athena", FEAST__DATA_SOURCE__TYPE__ATHENA, false},
    {"KafkaSource", "Kafka", FEAST__DATA_SOURCE__TYPE__KAFKA, true},
    {"KinesisSource", "Kinesis", FEAST__DATA_SOURCE__TYPE__KINESIS, true},
    {"IcebergSource", "Iceberg tables", FEAST__DATA_SOURCE__TYPE__ICEBERG, false},
    {"DataSource", "such sources", FEAST__DATA_SOURCE__TYPE__CUSTOM, false},
    {"PostgreSQLSource", "PostgreSQL", FEAST__DATA_SOURCE__TYPE__CUSTOM, false},
    {"ClickhouseSource", "ClickHouse", FEAST__DATA_SOURCE__TYPE__CUSTOM, false},
    {"MsSqlServerSource", "SQL Server", FEAST__DATA_SOURCE__TYPE__CUSTOM, false},
    {"OracleSource", "Oracle", FEAST__DATA_SOURCE__TYPE__CUSTOM, false},
    {"CouchbaseColumnarSource", "Couchbase", FEAST__DATA_SOURCE__TYPE__CUSTOM, false},
};
enum { N_CLASSES = sizeof classes / sizeof *classes };

/* The last part of its class's path, or else what its type is called. */
static const char *class_name_of(const Feast__DataSource *source)
{
    const char *dot = strrchr(source->class_name, '.');
    const char *name = dot == NULL ? source->class_name : dot + 1;
    for (size_t i = 0; i < N_CLASSES && name[0] == '\0'; i++) {
        if (classes[i].type == (int)source->type) {
            name = classes[i].name;
        }
    }
    return name[0] == '\0' ? "DataSource" : name;
}

static const source_class *class_of(const char *name)
{
    for (size_t i = 0; i < N_CLASSES; i++) {
        if (strcmp(classes[i].name, name) == 0) {
            return &classes[i];
        }
    }
    return NULL;
}

const char *tfn__feast_source_name(const Feast__DataSource *source)
{
    const bool is_file = source->options_case == FEAST__DATA_SOURCE__OPTIONS_FILE;
    return source->name[0] == '\0' && is_file ? source->file->uri : source->name;
}

/* ---- what a class has of its own ---- */

static void put_format(tfn__feast_reading *r, yyjson_mut_val *content, const char *key,
                       const Feast__StreamFormat *format)
{
    if (format == NULL || format->format_case == FEAST__STREAM_FORMAT__FORMAT__NOT_SET) {
        return;
    }
    yyjson_mut_val *object = yyjson_mut_obj_add_obj(r->doc, content, key);
    switch (format->format_case) {
    case FEAST__STREAM_FORMAT__FORMAT_AVRO:
        tfn__feast_put(r, object, "class", "AvroFormat");
        tfn__feast_put(r, object, "schema_json", format->avro->schema_json);
        break;
    case FEAST__STREAM_FORMAT__FORMAT_PROTO:
        tfn__feast_put(r, object, "class", "ProtoFormat");
        tfn__feast_put(r, object, "class_path", format->proto->class_path);
        break;
    default:
        tfn__feast_put(r, object, "class", "JsonFormat");
        tfn__feast_put(r, object, "schema_json", format->json->schema_json);
        break;
    }
}

static yyjson_mut_val *copy_json(tfn__feast_reading *r, yyjson_val *value, int depth);

static yyjson_mut_val *copy_members(tfn__feast_reading *r, yyjson_val *value, int depth)
{
    yyjson_mut_val *object = yyjson_mut_obj(r->doc);
    yyjson_obj_iter members = yyjson_obj_iter_with(value);
    for (yyjson_val *key = yyjson_obj_iter_next(&members); key != NULL;
         key = yyjson_obj_iter_next(&members)) {
        const tfn_str name = tfn_json_get_str(key);
        (void)yyjson_mut_obj_add(object, yyjson_mut_strncpy(r->doc, name.p, name.n),
                                 copy_json(r, yyjson_obj_iter_get_val(key), depth + 1));
    }
    return object;
}

static yyjson_mut_val *copy_items(tfn__feast_reading *r, yyjson_val *value, int depth)
{
    yyjson_mut_val *array = yyjson_mut_arr(r->doc);
    yyjson_arr_iter items = yyjson_arr_iter_with(value);
    for (yyjson_val *item = yyjson_arr_iter_next(&items); item != NULL;
         item = yyjson_arr_iter_next(&items)) {
        (void)yyjson_mut_arr_append(array, copy_json(r, item, depth + 1));
    }
    return array;
}

/* Documents have whole numbers only: a fraction becomes its text. The recursion is bounded. */
static yyjson_mut_val *copy_json(tfn__feast_reading *r, yyjson_val *value, int depth)
{
    if (depth > MAX_JSON_DEPTH) {
        return yyjson_mut_str(r->doc, "...");
    }
    if (yyjson_is_obj(value)) {
        return copy_members(r, value, depth);
    }
    if (yyjson_is_arr(value)) {
        return copy_items(r, value, depth);
    }
    if (yyjson_is_str(value)) {
        return yyjson_mut_strncpy(r->doc, yyjson_get_str(value), yyjson_get_len(value));
    }
    if (yyjson_is_sint(value)) {
        return yyjson_mut_sint(r->doc, yyjson_get_sint(value));
    }
    if (yyjson_is_bool(value)) {
        return yyjson_mut_bool(r->doc, yyjson_get_bool(value));
    }
    if (!yyjson_is_num(value)) {
        return yyjson_mut_null(r->doc);
    }
    if (yyjson_is_uint(value) && yyjson_get_uint(value) <= (uint64_t)INT64_MAX) {
        return yyjson_mut_sint(r->doc, (int64_t)yyjson_get_uint(value));
    }
    char text[NUMBER_BYTES];
    (void)snprintf(text, sizeof text, "%.17g", yyjson_get_num(value));
    return yyjson_mut_strcpy(r->doc, text);
}

/* A custom class's configuration is JSON of its own; null and "" mean that it was not given. */
static void put_configuration(tfn__feast_reading *r, yyjson_mut_val *content,
                              const Feast__CustomOptions *custom)
{
    yyjson_doc *parsed = NULL;
    tfn_error why = {0};
    const tfn_str bytes = {(const char *)custom->configuration.data, custom->configuration.len};
    const tfn_code rc = tfn_json_parse(bytes, "a configuration", &parsed, &why);
    if (rc == TFN_NO_MEMORY) {
        r->was_refused = true;
        return;
    }
    yyjson_obj_iter members = yyjson_obj_iter_with(yyjson_doc_get_root(parsed));
    for (yyjson_val *key = yyjson_obj_iter_next(&members); key != NULL;
         key = yyjson_obj_iter_next(&members)) {
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        tfn_str name = tfn_json_get_str(key);
        if (yyjson_is_null(value) || yyjson_equals_str(value, "") || tfn_str_is(name, "name")) {
            continue;
        }
        if (tfn_str_is(name, "connection_string")) { /* as the constructor calls it */
            name = tfn_str_of("connection_str");
        }
        (void)yyjson_mut_obj_add(content, yyjson_mut_strncpy(r->doc, name.p, name.n),
                                 copy_json(r, value, 1));
    }
    if (!yyjson_is_obj(yyjson_doc_get_root(parsed)) && bytes.n > 0 && tfn_str_is_utf8(bytes)) {
        (void)tfn_json_add_str(r->doc, content, "configuration", bytes);
    }
    yyjson_doc_free(parsed);
}

static void put_table(tfn__feast_reading *r, yyjson_mut_val *content,
                      const Feast__TableOptions *options)
{
    tfn__feast_put_some(r, content, "table", options->table);
    tfn__feast_put_some(r, content, "query", options->query);
}

static void put_schema_table(tfn__feast_reading *r, yyjson_mut_val *content,
                             const Feast__SchemaTableOptions *options)
{
    tfn__feast_put_some(r, content, "table", options->table);
    tfn__feast_put_some(r, content, "query", options->query);
    tfn__feast_put_some(r, content, "schema", options->schema);
    tfn__feast_put_some(r, content, "database", options->database);
}

static void put_spark(tfn__feast_reading *r, yyjson_mut_val *content,
                      const Feast__SparkOptions *options)
{
    tfn__feast_put_some(r, content, "table", options->table);
    tfn__feast_put_some(r, content, "query", options->query);
    tfn__feast_put_some(r, content, "path", options->path);
    tfn__feast_put_some(r, content, "file_format", options->file_format);
    if (strcmp(options->date_partition_column_format, "%Y-%m-%d") != 0) { /* Feast's default */
        tfn__feast_put_some(r, content, "date_partition_column_format",
                            options->date_partition_column_format);
    }
}

static void put_athena(tfn__feast_reading *r, yyjson_mut_val *content,
                       const Feast__AthenaOptions *options)
{
    tfn__feast_put_some(r, content, "table", options->table);
    tfn__feast_put_some(r, content, "query", options->query);
    tfn__feast_put_some(r, content, "database", options->database);
    tfn__feast_put_some(r, content, "data_source", options->data_source);
}

static void put_kafka(tfn__feast_reading *r, yyjson_mut_val *content,
                      const Feast__KafkaOptions *options)
{
    tfn__feast_put_some(r, content, "kafka_bootstrap_servers", options->bootstrap_servers);
    tfn__feast_put_some(r, content, "topic", options->topic);
    put_format(r, content, "message_format", options->message_format);
    if (options->watermark_delay_threshold != NULL) {
        tfn__feast_put_duration(r, content, "watermark_delay_threshold",
                                options->watermark_delay_threshold);
    }
}

static void put_kinesis(tfn__feast_reading *r, yyjson_mut_val *content,
                        const Feast__KinesisOptions *options)
{
    tfn__feast_put_some(r, content, "region", options->region);
    tfn__feast_put_some(r, content, "stream_name", options->stream_name);
    put_format(r, content, "record_format", options->record_format);
}

/* A file that is not Parquet: Delta. */
static void put_delta(tfn__feast_reading *r, yyjson_mut_val *content,
                      const Feast__FileOptions *options)
{
    tfn__feast_put_some(r, content, "path", options->uri);
    tfn__feast_put(r, content, "file_format", "DeltaFormat");
    tfn__feast_put_some(r, content, "s3_endpoint_override", options->s3_endpoint_override);
}

static void put_content(tfn__feast_reading *r, yyjson_mut_val *object,
                        const Feast__DataSource *source)
{
    yyjson_mut_val *content = yyjson_mut_obj_add_obj(r->doc, object, "content");
    switch (source->options_case) {
    case FEAST__DATA_SOURCE__OPTIONS_FILE:
        put_delta(r, content, source->file);
        break;
    case FEAST__DATA_SOURCE__OPTIONS_BIGQUERY:
        put_table(r, content, source->bigquery);
        break;
    case FEAST__DATA_SOURCE__OPTIONS_TRINO:
        put_table(r, content, source->trino);
        break;
    case FEAST__DATA_SOURCE__OPTIONS_REDSHIFT:
        put_schema_table(r, content, source->redshift);
        break;
    case FEAST__DATA_SOURCE__OPTIONS_SNOWFLAKE:
        put_schema_table(r, content, source->snowflake);
        break;
    case FEAST__DATA_SOURCE__OPTIONS_SPARK:
        put_spark(r, content, source->spark);
        break;
    case FEAST__DATA_SOURCE__OPTIONS_ATHENA:
        put_athena(r, content, source->athena);
        break;
    case FEAST__DATA_SOURCE__OPTIONS_KAFKA:
        put_kafka(r, content, source->kafka);
        break;
    case FEAST__DATA_SOURCE__OPTIONS_KINESIS:
        put_kinesis(r, content, source->kinesis);
        break;
    case FEAST__DATA_SOURCE__OPTIONS_CUSTOM:
        put_configuration(r, content, source->custom);
        break;
    default: /* nothing that is known of it: it stays in Feast's bytes */
        break;
    }
    tfn__feast_put_some(r, content, "timestamp_field_type", source->timestamp_field_type);
}

/* ---- one source ---- */

static void put_missing(tfn__feast_reading *r, yyjson_mut_val *object, const char *class_name)
{
    char text[SENTENCE_BYTES];
    const source_class *class = class_of(class_name);
    const char *system = class == NULL || class->system == NULL ? "such sources" : class->system;
    if (class != NULL && class->is_stream) {
        (void)snprintf(text, sizeof text,
                       "this release takes no rows from %s; push them to a PushSource in its place",
                       system);
    } else {
        (void)snprintf(text, sizeof text,
                       "this release reads no %s; a FileSource reads the Parquet files that it "
                       "exports",
                       system);
    }
    (void)yyjson_mut_obj_add_strcpy(r->doc, object, "missing", text);
}

static void put_columns(tfn__feast_reading *r, yyjson_mut_val *object,
                        const Feast__DataSource *source)
{
    tfn__feast_put(r, object, "timestamp_field", source->timestamp_field);
    tfn__feast_put(r, object, "created_timestamp_column", source->created_timestamp_column);
    tfn__feast_put(r, object, "date_partition_column", source->date_partition_column);
    tfn__feast_put_pairs(r, object, "field_mapping", source->field_mapping,
                         source->n_field_mapping);
}

static bool is_delta(const Feast__FileOptions *file)
{
    return file->format != NULL && file->format->format_case == FEAST__FILE_FORMAT__FORMAT_DELTA;
}

static void add_file(tfn__feast_reading *r, yyjson_mut_val *object, const Feast__DataSource *source)
{
    const Feast__FileFormat *format = source->file->format;
    const bool is_parquet =
        format != NULL && format->format_case == FEAST__FILE_FORMAT__FORMAT_PARQUET;
    tfn__feast_put(r, object, "type", "file");
    tfn__feast_put(r, object, "path", source->file->uri);
    tfn__feast_put(r, object, "format", is_parquet ? "parquet" : "");
    tfn__feast_put(r, object, "s3_endpoint_override", source->file->s3_endpoint_override);
    put_columns(r, object, source);
}

static void add_request(tfn__feast_reading *r, yyjson_mut_val *object,
                        const Feast__RequestOptions *request)
{
    tfn__feast_put(r, object, "type", "request");
    yyjson_mut_val *schema = yyjson_mut_obj_add_arr(r->doc, object, "schema");
    for (size_t i = 0; i < request->n_schema; i++) {
        if (tfn__feast_field_type(request->schema[i]) != NULL) {
            tfn__feast_add_field(r, schema, request->schema[i]);
        }
    }
}

static void add_foreign(tfn__feast_reading *r, yyjson_mut_val *object,
                        const Feast__DataSource *source)
{
    const char *class_name = class_name_of(source);
    tfn__feast_put(r, object, "type", "foreign");
    tfn__feast_put(r, object, "class", class_name);
    put_missing(r, object, class_name);
    put_content(r, object, source);
    tfn__feast_put(r, object, "batch_source",
                   source->batch_source == NULL ? ""
                                                : tfn__feast_source_name(source->batch_source));
    put_columns(r, object, source);
}

/* A request whose fields are all of types that this release does not have is foreign, too. */
static bool has_usable_field(const Feast__RequestOptions *request)
{
    bool has = false;
    for (size_t i = 0; i < request->n_schema && !has; i++) {
        has = tfn__feast_field_type(request->schema[i]) != NULL;
    }
    return has;
}

static void add_source(tfn__feast_reading *r, const Feast__DataSource *source)
{
    yyjson_mut_val *object =
        tfn__feast_add_object(r, "data_source", tfn__feast_source_name(source), source->description,
                              source->owner, source->tags, source->n_tags);
    const bool is_file = source->options_case == FEAST__DATA_SOURCE__OPTIONS_FILE;
    const bool is_request = source->options_case == FEAST__DATA_SOURCE__OPTIONS_REQUEST;
    if (is_file && !is_delta(source->file) && source->file->uri[0] != '\0') {
        add_file(r, object, source);
    } else if (is_request && has_usable_field(source->request)) {
        add_request(r, object, source->request);
    } else if (source->type == FEAST__DATA_SOURCE__TYPE__PUSH && source->batch_source != NULL) {
        tfn__feast_put(r, object, "type", "push");
        tfn__feast_put(r, object, "batch_source", tfn__feast_source_name(source->batch_source));
    } else {
        add_foreign(r, object, source);
    }
}

/* ---- all of them ---- */

/* One source, unless its name is there. */
static void take_one(tfn__feast_reading *r, const Feast__DataSource *source)
{
    uint32_t i = 0;
    const tfn_str name = tfn_str_of(tfn__feast_source_name(source));
    if (name.n == 0 || tfn_map_get(&r->sources, name, &i)) {
        return;
    }
    if (tfn_map_put(&r->sources, name, 1, NULL) != TFN_OK) {
        r->was_refused = true;
        return;
    }
    add_source(r, source);
}

/* A source and what stands behind it. */
static void take_source(tfn__feast_reading *r, const Feast__DataSource *source)
{
    for (; source != NULL; source = source->batch_source) {
        take_one(r, source);
    }
}

static void take_from_views(tfn__feast_reading *r)
{
    const Feast__Registry *f = r->registry;
    for (size_t i = 0; i < f->n_feature_views; i++) {
        const Feast__FeatureViewSpec *spec = f->feature_views[i]->spec;
        if (spec != NULL && tfn__feast_is_wanted(r, spec->project)) {
            take_source(r, spec->stream_source);
            take_source(r, spec->batch_source);
        }
    }
    for (size_t i = 0; i < f->n_stream_views; i++) {
        const Feast__StreamViewSpec *spec = f->stream_views[i]->spec;
        if (spec != NULL && tfn__feast_is_wanted(r, spec->project)) {
            take_source(r, spec->stream_source);
            take_source(r, spec->batch_source);
        }
    }
    for (size_t i = 0; i < f->n_label_views; i++) {
        const Feast__LabelViewSpec *spec = f->label_views[i]->spec;
        if (spec != NULL && tfn__feast_is_wanted(r, spec->project)) {
            take_source(r, spec->source);
        }
    }
}

static void take_from_on_demand_views(tfn__feast_reading *r)
{
    const Feast__Registry *f = r->registry;
    for (size_t i = 0; i < f->n_on_demand_views; i++) {
        const Feast__OnDemandViewSpec *spec = f->on_demand_views[i]->spec;
        if (spec == NULL || !tfn__feast_is_wanted(r, spec->project)) {
            continue;
        }
        for (size_t k = 0; k < spec->n_sources; k++) {
            const Feast__OnDemandInput *input = spec->sources[k]->value;
            if (input != NULL && input->source_case == FEAST__ON_DEMAND_INPUT__SOURCE_REQUEST) {
                take_source(r, input->request);
            }
        }
    }
}

void tfn__feast_read_sources(tfn__feast_reading *r)
{
    const Feast__Registry *f = r->registry;
    for (size_t i = 0; i < f->n_data_sources; i++) {
        if (tfn__feast_is_wanted(r, f->data_sources[i]->project)) {
            take_one(r, f->data_sources[i]);
        }
    }
    for (size_t i = 0; i < f->n_data_sources; i++) {
        if (tfn__feast_is_wanted(r, f->data_sources[i]->project)) {
            take_source(r, f->data_sources[i]->batch_source);
        }
    }
    take_from_views(r);
    take_from_on_demand_views(r);
}

void tfn__feast_read_no_source(tfn__feast_reading *r)
{
    if (!r->lacks_source) {
        return;
    }
    yyjson_mut_val *object =
        tfn__feast_add_object(r, "data_source", tfn__feast_no_source, "", "", NULL, 0);
    tfn__feast_put(r, object, "type", "foreign");
    tfn__feast_put(r, object, "class", "DataSource");
    tfn__feast_put(r, object, "missing", "views on it have no source of their own in Feast");
}
