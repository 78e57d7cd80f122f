/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Data sources for Feast. Each stands in the project's list, in every view on it and in every
 * projection of those; Feast reads a view's from the view. So each is made where it is needed, from
 * its document, over what stood there; in a new place, over what the list had, which brings options
 * along that we do not know.
 *
 * A foreign source has its options in its content, under the names of its constructor. When the
 * base says of it what the document says, the options stay as they are, whatever the class; else
 * the class must be one whose options we know.
 */

#include "registry/feast_write.h"

#include <string.h>

#include "registry/feast_read.h"
#include "registry/registry_internal.h"

#include "base/poison.h"

enum { NAME_BYTES = 256, MAX_DEPTH = 2 /* a push or stream, its batch source */ };

/* ---- classes ---- */

typedef tfn_code (*write_options)(tfn__feast_writer *w, yyjson_val *content, Feast__DataSource *out,
                                  tfn_error *err);

typedef struct source_class {
    const char *name;
    const char *path; /* of its Python class, for a new one */
    Feast__DataSource__Type type;
    bool is_always_named; /* Feast writes the class of an inner one, too */
    Feast__DataSource__OptionsCase options;
    write_options write;
} source_class;

/* A new options message of a class, or a copy of the one that is there. */
#define OPTIONS(member, message)                                                                   \
    const bool has = out->options_case == class_options;                                           \
    Feast__##message *to = NULL;                                                                   \
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, has ? out->member : NULL, descriptor, &to, err));       \
    out->member = to;                                                                              \
    out->options_case = class_options

static tfn_code write_table(tfn__feast_writer *w, yyjson_val *content, Feast__DataSource *out,
                            tfn_error *err)
{
    const bool is_trino = out->type == FEAST__DATA_SOURCE__TYPE__TRINO;
    const Feast__DataSource__OptionsCase class_options =
        is_trino ? FEAST__DATA_SOURCE__OPTIONS_TRINO : FEAST__DATA_SOURCE__OPTIONS_BIGQUERY;
    const ProtobufCMessageDescriptor *descriptor = &feast__table_options__descriptor;
    OPTIONS(bigquery, TableOptions); /* one place for all members of the union */
    to->table = tfn__feast_member(w, content, "table");
    to->query = tfn__feast_member(w, content, "query");
    return TFN_OK;
}

static tfn_code write_schema_table(tfn__feast_writer *w, yyjson_val *content,
                                   Feast__DataSource *out, tfn_error *err)
{
    const bool is_redshift = out->type == FEAST__DATA_SOURCE__TYPE__REDSHIFT;
    const Feast__DataSource__OptionsCase class_options =
        is_redshift ? FEAST__DATA_SOURCE__OPTIONS_REDSHIFT : FEAST__DATA_SOURCE__OPTIONS_SNOWFLAKE;
    const ProtobufCMessageDescriptor *descriptor = &feast__schema_table_options__descriptor;
    OPTIONS(redshift, SchemaTableOptions);
    to->table = tfn__feast_member(w, content, "table");
    to->query = tfn__feast_member(w, content, "query");
    to->schema = tfn__feast_member(w, content, "schema");
    to->database = tfn__feast_member(w, content, "database");
    return TFN_OK;
}

static tfn_code write_athena(tfn__feast_writer *w, yyjson_val *content, Feast__DataSource *out,
                             tfn_error *err)
{
    const Feast__DataSource__OptionsCase class_options = FEAST__DATA_SOURCE__OPTIONS_ATHENA;
    const ProtobufCMessageDescriptor *descriptor = &feast__athena_options__descriptor;
    OPTIONS(athena, AthenaOptions);
    to->table = tfn__feast_member(w, content, "table");
    to->query = tfn__feast_member(w, content, "query");
    to->database = tfn__feast_member(w, content, "database");
    to->data_source = tfn__feast_member(w, content, "data_source");
    return TFN_OK;
}

static tfn_code write_spark(tfn__feast_writer *w, yyjson_val *content, Feast__DataSource *out,
                            tfn_error *err)
{
    static const char default_format[] = "%Y-%m-%d";
    const Feast__DataSource__OptionsCase class_options = FEAST__DATA_SOURCE__OPTIONS_SPARK;
    const ProtobufCMessageDescriptor *descriptor = &feast__spark_options__descriptor;
    OPTIONS(spark, SparkOptions);
    to->table = tfn__feast_member(w, content, "table");
    to->query = tfn__feast_member(w, content, "query");
    to->path = tfn__feast_member(w, content, "path");
    to->file_format = tfn__feast_member(w, content, "file_format");
    to->date_partition_column_format =
        tfn__feast_member(w, content, "date_partition_column_format");
    if (to->date_partition_column_format[0] == '\0') {
        to->date_partition_column_format = (char *)(uintptr_t)default_format;
    }
    return TFN_OK;
}

/* ---- streams ---- */

static tfn_code write_format(tfn__feast_writer *w, yyjson_val *format, Feast__StreamFormat **out,
                             tfn_error *err)
{
    const tfn_str class = tfn__json_get_str(yyjson_obj_get(format, "class"));
    if (class.n == 0) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, NULL, &feast__stream_format__descriptor, out, err));
    if (tfn_str_is(class, "ProtoFormat")) {
        (*out)->format_case = FEAST__STREAM_FORMAT__FORMAT_PROTO;
        TFN_RETURN_IF_ERROR(
            tfn__feast_copy(w, NULL, &feast__class_format__descriptor, &(*out)->proto, err));
        (*out)->proto->class_path = tfn__feast_member(w, format, "class_path");
        return TFN_OK;
    }
    const bool is_avro = tfn_str_is(class, "AvroFormat");
    (*out)->format_case =
        is_avro ? FEAST__STREAM_FORMAT__FORMAT_AVRO : FEAST__STREAM_FORMAT__FORMAT_JSON;
    TFN_RETURN_IF_ERROR(
        tfn__feast_copy(w, NULL, &feast__schema_format__descriptor, &(*out)->avro, err));
    (*out)->avro->schema_json = tfn__feast_member(w, format, "schema_json");
    return TFN_OK;
}

static tfn_code write_kafka(tfn__feast_writer *w, yyjson_val *content, Feast__DataSource *out,
                            tfn_error *err)
{
    const Feast__DataSource__OptionsCase class_options = FEAST__DATA_SOURCE__OPTIONS_KAFKA;
    const ProtobufCMessageDescriptor *descriptor = &feast__kafka_options__descriptor;
    OPTIONS(kafka, KafkaOptions);
    to->bootstrap_servers = tfn__feast_member(w, content, "kafka_bootstrap_servers");
    if (to->bootstrap_servers[0] == '\0') { /* as it was called before */
        to->bootstrap_servers = tfn__feast_member(w, content, "bootstrap_servers");
    }
    to->topic = tfn__feast_member(w, content, "topic");
    TFN_RETURN_IF_ERROR(
        write_format(w, yyjson_obj_get(content, "message_format"), &to->message_format, err));
    return tfn__feast_set_duration(w, yyjson_obj_get(content, "watermark_delay_threshold"),
                                   &to->watermark_delay_threshold, err);
}

static tfn_code write_kinesis(tfn__feast_writer *w, yyjson_val *content, Feast__DataSource *out,
                              tfn_error *err)
{
    const Feast__DataSource__OptionsCase class_options = FEAST__DATA_SOURCE__OPTIONS_KINESIS;
    const ProtobufCMessageDescriptor *descriptor = &feast__kinesis_options__descriptor;
    OPTIONS(kinesis, KinesisOptions);
    to->region = tfn__feast_member(w, content, "region");
    to->stream_name = tfn__feast_member(w, content, "stream_name");
    return write_format(w, yyjson_obj_get(content, "record_format"), &to->record_format, err);
}

/* ---- custom classes: JSON ---- */

/* The members of each class's configuration; those that the content lacks are null. */
typedef struct configuration {
    const char *class_name;
    const char *members[6]; /* as the file has them */
    const char *lacking;    /* what stands for one that is lacking */
} configuration;

static const configuration configurations[] = {
    {"PostgreSQLSource", {"name", "query", "table"}, "\"\""},
    {"ClickhouseSource", {"name", "query", "table"}, "\"\""},
    {"CouchbaseColumnarSource", {"name", "query", "database", "scope", "collection"}, "\"\""},
    {"MsSqlServerSource", {"table_ref", "connection_string"}, "null"},
    {"OracleSource", {"table_ref"}, "null"},
};

static const configuration *configuration_of(const char *class_name)
{
    for (size_t i = 0; i < sizeof configurations / sizeof *configurations; i++) {
        const char *end = strrchr(class_name, '.');
        if (strcmp(end == NULL ? class_name : end + 1, configurations[i].class_name) == 0) {
            return &configurations[i];
        }
    }
    return NULL;
}

static tfn_code write_member(const char *key, tfn_str value, const char *lacking, tfn_buf *b,
                             tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(b, b->n == 0 ? "{" : ", ", err));
    TFN_RETURN_IF_ERROR(tfn_json_add_text(b, tfn_str_of(key), err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(b, ": ", err));
    return value.n == 0 ? tfn_buf_add_text(b, lacking, err) : tfn_json_add_text(b, value, err);
}

static tfn_code write_members(const configuration *c, yyjson_val *content, const char *name,
                              tfn_buf *b, tfn_error *err)
{
    for (size_t i = 0; i < sizeof c->members / sizeof *c->members && c->members[i] != NULL; i++) {
        const char *key = c->members[i];
        tfn_str value = tfn__json_get_str(yyjson_obj_get(content, key));
        if (strcmp(key, "name") == 0) {
            value = tfn_str_of(name);
        } else if (strcmp(key, "connection_string") == 0) {
            value = tfn__json_get_str(yyjson_obj_get(content, "connection_str"));
        }
        TFN_RETURN_IF_ERROR(write_member(key, value, c->lacking, b, err));
    }
    return tfn_buf_add_text(b, "}", err);
}

static tfn_code write_custom(tfn__feast_writer *w, yyjson_val *content, Feast__DataSource *out,
                             tfn_error *err)
{
    const Feast__DataSource__OptionsCase class_options = FEAST__DATA_SOURCE__OPTIONS_CUSTOM;
    const ProtobufCMessageDescriptor *descriptor = &feast__custom_options__descriptor;
    tfn_buf b = {0};
    const char *bytes = NULL;
    OPTIONS(custom, CustomOptions);
    tfn_code rc = write_members(configuration_of(out->class_name), content, out->name, &b, err);
    if (rc == TFN_OK) {
        rc = tfn_arena_copy(&w->arena, tfn_buf_get_str(&b).p, b.n, &bytes, err);
    }
    to->configuration = (ProtobufCBinaryData){b.n, (uint8_t *)(uintptr_t)bytes};
    tfn_buf_deinit(&b);
    return rc;
}

/* ---- classes of ours ---- */

static tfn_code write_delta(tfn__feast_writer *w, yyjson_val *content, Feast__DataSource *out,
                            tfn_error *err)
{
    const Feast__DataSource__OptionsCase class_options = FEAST__DATA_SOURCE__OPTIONS_FILE;
    const ProtobufCMessageDescriptor *descriptor = &feast__file_options__descriptor;
    OPTIONS(file, FileOptions);
    to->uri = tfn__feast_member(w, content, "path");
    to->s3_endpoint_override = tfn__feast_member(w, content, "s3_endpoint_override");
    TFN_RETURN_IF_ERROR(
        tfn__feast_copy(w, NULL, &feast__file_format__descriptor, &to->format, err));
    to->format->format_case = FEAST__FILE_FORMAT__FORMAT_DELTA;
    return tfn__feast_copy(w, NULL, &feast__empty__descriptor, &to->format->delta, err);
}

#define CONTRIB "feast.infra.offline_stores.contrib."

static const source_class classes[] = {
    {"FileSource", "feast.infra.offline_stores.file_source.FileSource",
     FEAST__DATA_SOURCE__TYPE__FILE, false, FEAST__DATA_SOURCE__OPTIONS_FILE, write_delta},
    {"PushSource", "feast.data_source.PushSource", FEAST__DATA_SOURCE__TYPE__PUSH, false,
     FEAST__DATA_SOURCE__OPTIONS__NOT_SET, NULL},
    {"RequestSource", "feast.data_source.RequestSource", FEAST__DATA_SOURCE__TYPE__REQUEST, false,
     FEAST__DATA_SOURCE__OPTIONS_REQUEST, NULL},
    {"BigQuerySource", "feast.infra.offline_stores.bigquery_source.BigQuerySource",
     FEAST__DATA_SOURCE__TYPE__BIGQUERY, false, FEAST__DATA_SOURCE__OPTIONS_BIGQUERY, write_table},
    {"RedshiftSource", "feast.infra.offline_stores.redshift_source.RedshiftSource",
     FEAST__DATA_SOURCE__TYPE__REDSHIFT, false, FEAST__DATA_SOURCE__OPTIONS_REDSHIFT,
     write_schema_table},
    {"SnowflakeSource", "feast.infra.offline_stores.snowflake_source.SnowflakeSource",
     FEAST__DATA_SOURCE__TYPE__SNOWFLAKE, false, FEAST__DATA_SOURCE__OPTIONS_SNOWFLAKE,
     write_schema_table},
    {"SparkSource", CONTRIB "spark_offline_store.spark_source.SparkSource",
     FEAST__DATA_SOURCE__TYPE__SPARK, true, FEAST__DATA_SOURCE__OPTIONS_SPARK, write_spark},
    {"TrinoSource", CONTRIB "trino_offline_store.trino_source.TrinoSource",
     FEAST__DATA_SOURCE__TYPE__TRINO, false, FEAST__DATA_SOURCE__OPTIONS_TRINO, write_table},
    {"AthenaSource", CONTRIB "athena_offline_store.athena_source.AthenaSource",
     FEAST__DATA_SOURCE__TYPE__ATHENA, false, FEAST__DATA_SOURCE__OPTIONS_ATHENA, write_athena},
    {"KafkaSource", "feast.data_source.KafkaSource", FEAST__DATA_SOURCE__TYPE__KAFKA, false,
     FEAST__DATA_SOURCE__OPTIONS_KAFKA, write_kafka},
    {"KinesisSource", "feast.data_source.KinesisSource", FEAST__DATA_SOURCE__TYPE__KINESIS, false,
     FEAST__DATA_SOURCE__OPTIONS_KINESIS, write_kinesis},
    {"PostgreSQLSource", CONTRIB "postgres_offline_store.postgres_source.PostgreSQLSource",
     FEAST__DATA_SOURCE__TYPE__CUSTOM, true, FEAST__DATA_SOURCE__OPTIONS_CUSTOM, write_custom},
    {"ClickhouseSource", CONTRIB "clickhouse_offline_store.clickhouse_source.ClickhouseSource",
     FEAST__DATA_SOURCE__TYPE__CUSTOM, true, FEAST__DATA_SOURCE__OPTIONS_CUSTOM, write_custom},
    {"CouchbaseColumnarSource",
     CONTRIB "couchbase_offline_store.couchbase_source.CouchbaseColumnarSource",
     FEAST__DATA_SOURCE__TYPE__CUSTOM, true, FEAST__DATA_SOURCE__OPTIONS_CUSTOM, write_custom},
    {"MsSqlServerSource", CONTRIB "mssql_offline_store.mssqlserver_source.MsSqlServerSource",
     FEAST__DATA_SOURCE__TYPE__CUSTOM, true, FEAST__DATA_SOURCE__OPTIONS_CUSTOM, write_custom},
    {"OracleSource", CONTRIB "oracle_offline_store.oracle_source.OracleSource",
     FEAST__DATA_SOURCE__TYPE__CUSTOM, true, FEAST__DATA_SOURCE__OPTIONS_CUSTOM, write_custom},
};

static const source_class *class_of(tfn_str name)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (tfn_str_is(name, classes[i].name)) {
            return &classes[i];
        }
    }
    return NULL;
}

/* The class of a document; NULL for a foreign one that we do not know. */
static const source_class *class_of_document(yyjson_val *document)
{
    yyjson_val *type = yyjson_obj_get(document, "type");
    if (yyjson_equals_str(type, "push")) {
        return class_of(tfn_str_of("PushSource"));
    }
    if (yyjson_equals_str(type, "request")) {
        return class_of(tfn_str_of("RequestSource"));
    }
    if (yyjson_equals_str(type, "foreign")) {
        return class_of(tfn__json_get_str(yyjson_obj_get(document, "class")));
    }
    return class_of(tfn_str_of("FileSource"));
}

/* The class that is there stays when it is of that name, wherever its module is; and so does none,
 * as older files have it, where the type says enough. */
static void set_class(const source_class *class, bool has_base, Feast__DataSource *out)
{
    const char *dot = strrchr(out->class_name, '.');
    const bool is_said = class->type != FEAST__DATA_SOURCE__TYPE__CUSTOM &&
                         out->type == class->type && out->class_name[0] == '\0';
    if (strcmp(dot == NULL ? out->class_name : dot + 1, class->name) != 0 &&
        !(has_base && is_said)) {
        out->class_name = (char *)(uintptr_t) class->path;
    }
    out->type = class->type;
}

/* ---- what the types have of their own ---- */

static tfn_code write_file(tfn__feast_writer *w, yyjson_val *document, Feast__DataSource *out,
                           tfn_error *err)
{
    const Feast__DataSource__OptionsCase class_options = FEAST__DATA_SOURCE__OPTIONS_FILE;
    const ProtobufCMessageDescriptor *descriptor = &feast__file_options__descriptor;
    const tfn_str format = tfn__json_get_str(yyjson_obj_get(document, "format"));
    const bool is_parquet = tfn_str_is(format, "parquet");
    if (format.n > 0 && !is_parquet) {
        return tfn__feast_refuse(document,
                                 "its files are CSV or JSON, and Feast reads Parquet; "
                                 "write the rows to Parquet, and apply that",
                                 err);
    }
    OPTIONS(file, FileOptions);
    to->uri = tfn__feast_member(w, document, "path");
    to->s3_endpoint_override = tfn__feast_member(w, document, "s3_endpoint_override");
    const Feast__FileFormat__FormatCase wanted =
        is_parquet ? FEAST__FILE_FORMAT__FORMAT_PARQUET : FEAST__FILE_FORMAT__FORMAT__NOT_SET;
    if (to->format != NULL && to->format->format_case == wanted) {
        return TFN_OK; /* also one of a kind that we do not know */
    }
    to->format = NULL;
    if (!is_parquet) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(
        tfn__feast_copy(w, NULL, &feast__file_format__descriptor, &to->format, err));
    to->format->format_case = wanted;
    return tfn__feast_copy(w, NULL, &feast__empty__descriptor, &to->format->parquet, err);
}

static tfn_code write_request(tfn__feast_writer *w, yyjson_val *document, Feast__DataSource *out,
                              tfn_error *err)
{
    const Feast__DataSource__OptionsCase class_options = FEAST__DATA_SOURCE__OPTIONS_REQUEST;
    const ProtobufCMessageDescriptor *descriptor = &feast__request_options__descriptor;
    tfn__feast_fields lists[2] = {{0}};
    OPTIONS(request, RequestOptions);
    const tfn__feast_fields before[2] = {{0}, {to->schema, to->n_schema}};
    TFN_RETURN_IF_ERROR(tfn__feast_write_schema(w, document, NULL, before, lists, err));
    to->schema = lists[1].list;
    to->n_schema = lists[1].n;
    return TFN_OK;
}

static bool says_the_same(const tfn__feast_writer *w, yyjson_val *document)
{
    yyjson_val *before = tfn__feast_before(w, document);
    return before != NULL &&
           tfn__json_equal(yyjson_obj_get(before, "class"), yyjson_obj_get(document, "class")) &&
           tfn__json_equal(yyjson_obj_get(before, "content"), yyjson_obj_get(document, "content"));
}

static tfn_code write_foreign(tfn__feast_writer *w, yyjson_val *document, Feast__DataSource *out,
                              bool has_base, tfn_error *err)
{
    const source_class *class = class_of_document(document);
    yyjson_val *content = yyjson_obj_get(document, "content");
    if (has_base && says_the_same(w, document)) {
        return TFN_OK;
    }
    if (class == NULL || class->write == NULL) {
        return tfn__feast_refuse(
            document,
            "what its class has of its own is not known here; keep it as Feast's file has "
            "it, or make it one of Feast's own classes",
            err);
    }
    if (yyjson_get_len(yyjson_obj_get(content, "connection_ref")) > 0 ||
        yyjson_get_len(yyjson_obj_get(content, "table_format")) > 0) {
        return tfn__feast_refuse(document,
                                 "its connection_ref or table_format is kept here as a text; apply "
                                 "it without, or import it from Feast's file",
                                 err);
    }
    set_class(class, has_base, out);
    out->timestamp_field_type = tfn__feast_member(w, content, "timestamp_field_type");
    return class->write(w, content, out, err);
}

/* ---- one source ---- */

bool tfn__feast_is_unlisted(yyjson_val *document)
{
    const tfn_str name = tfn__json_get_str(yyjson_obj_get(document, "name"));
    return tfn_str_starts_with(name, "__input_schema__") || tfn_str_is(name, "__no_source__");
}

yyjson_val *tfn__feast_batch_of(const tfn__feast_writer *w, yyjson_val *source)
{
    const char *behind = yyjson_get_str(yyjson_obj_get(source, "batch_source"));
    return behind == NULL || behind[0] == '\0' ? NULL : tfn__feast_document(w, &w->sources, behind);
}

static tfn_code write_columns(tfn__feast_writer *w, yyjson_val *document, Feast__DataSource *out,
                              tfn_error *err)
{
    /* A push has the columns of what it stands before, unless Feast's was given its own. */
    const bool is_push = yyjson_equals_str(yyjson_obj_get(document, "type"), "push");
    const Feast__DataSource *behind = out->batch_source;
    if (is_push && behind != NULL && strcmp(behind->timestamp_field, out->timestamp_field) != 0) {
        return TFN_OK;
    }
    yyjson_val *from = is_push ? tfn__feast_batch_of(w, document) : document;
    out->timestamp_field = tfn__feast_member(w, from, "timestamp_field");
    out->created_timestamp_column = tfn__feast_member(w, from, "created_timestamp_column");
    out->date_partition_column = tfn__feast_member(w, from, "date_partition_column");
    return tfn__feast_set_pairs(w, yyjson_obj_get(from, "field_mapping"), &out->field_mapping,
                                &out->n_field_mapping, err);
}

static tfn_code write_own(tfn__feast_writer *w, yyjson_val *document, Feast__DataSource *out,
                          bool has_base, tfn_error *err)
{
    const source_class *class = class_of_document(document);
    yyjson_val *type = yyjson_obj_get(document, "type");
    if (yyjson_equals_str(type, "foreign")) {
        return write_foreign(w, document, out, has_base, err);
    }
    set_class(class, has_base, out);
    if (yyjson_equals_str(type, "push")) {
        return TFN_OK;
    }
    return yyjson_equals_str(type, "request") ? write_request(w, document, out, err)
                                              : write_file(w, document, out, err);
}

static const Feast__DataSource *find_base(const tfn__feast_writer *w, const char *name,
                                          const Feast__DataSource *there)
{
    uint32_t i = 0;
    if (there != NULL && strcmp(tfn__feast_source_name(there), name) == 0) {
        return there;
    }
    return tfn_map_get(&w->base_sources, tfn_str_of(name), &i) ? w->base->data_sources[i] : NULL;
}

/* What the place says: who has the class and the project, and when it was made. */
static tfn_code write_place(tfn__feast_writer *w, yyjson_val *document, tfn__feast_place place,
                            const Feast__DataSource *base, bool was_there, Feast__DataSource *out,
                            tfn_error *err)
{
    bool is_same = false;
    const source_class *class = class_of_document(document);
    char *const empty = (char *)(uintptr_t)protobuf_c_empty_string;
    out->project = place == TFN__FEAST_LISTED ? w->project : empty;
    if (place == TFN__FEAST_INNER && was_there) {
        out->class_name = base->class_name;
    } else if (place == TFN__FEAST_INNER && class != NULL && !class->is_always_named) {
        out->class_name = empty;
    }
    TFN_RETURN_IF_ERROR(
        tfn__feast_copy(w, out->meta, &feast__source_meta__descriptor, &out->meta, err));
    TFN_RETURN_IF_ERROR(tfn__feast_is_same(w, (const void *)base, &out->base, &is_same, err));
    return tfn__feast_set_times(w, document, !is_same, &out->meta->created,
                                &out->meta->last_updated, err);
}

/* The recursion is bounded: what stands behind a source has nothing behind it. */
static tfn_code write_at(tfn__feast_writer *w, yyjson_val *document, tfn__feast_place place,
                         const Feast__DataSource *there, int depth, Feast__DataSource **out,
                         tfn_error *err)
{
    const Feast__DataSource *base = find_base(w, tfn__feast_member(w, document, "name"), there);
    yyjson_val *behind = tfn__feast_batch_of(w, document);
    Feast__DataSource *to = NULL;
    TFN_RETURN_IF_ERROR(tfn__feast_copy(w, base, &feast__data_source__descriptor, &to, err));
    if (base == NULL || base->name[0] != '\0' ||
        base->options_case != FEAST__DATA_SOURCE__OPTIONS_FILE) {
        to->name = tfn__feast_member(w, document, "name"); /* a nameless file has its path's */
    }
    TFN_RETURN_IF_ERROR(write_own(w, document, to, base != NULL, err));
    TFN_RETURN_IF_ERROR(write_columns(w, document, to, err));
    to->description = tfn__feast_member(w, document, "description");
    to->owner = tfn__feast_member(w, document, "owner");
    TFN_RETURN_IF_ERROR(
        tfn__feast_set_pairs(w, yyjson_obj_get(document, "tags"), &to->tags, &to->n_tags, err));
    if (behind != NULL && depth < MAX_DEPTH) {
        TFN_RETURN_IF_ERROR(write_at(w, behind, TFN__FEAST_INNER, to->batch_source, depth + 1,
                                     &to->batch_source, err));
    } else {
        to->batch_source = NULL;
    }
    *out = to;
    return write_place(w, document, place, base, base != NULL && base == there, to, err);
}

tfn_code tfn__feast_write_source(tfn__feast_writer *w, yyjson_val *document, tfn__feast_place place,
                                 const Feast__DataSource *base, Feast__DataSource **out,
                                 tfn_error *err)
{
    return write_at(w, document, place, base, 1, out, err);
}

tfn_code tfn__feast_make_source(tfn__feast_writer *w, yyjson_val *document, const void *base,
                                void **out, tfn_error *err)
{
    Feast__DataSource *source = NULL;
    const tfn_code rc = tfn__feast_write_source(w, document, TFN__FEAST_LISTED, base, &source, err);
    *out = source;
    return rc;
}
