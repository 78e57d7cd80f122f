/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_STORE_SOURCE_FACTS_H
#define TFN_STORE_SOURCE_FACTS_H

/*
 * Data sources as an apply request (or, behind it, the registry) names them, and their files: what
 * infer.c looks things up in. Each path is opened once, however many views read it.
 */

#include "store/infer.h"

/* What is needed of a source definition, from the request or from the registry. */
typedef struct tfn_source_facts {
    tfn_str name;
    tfn_str path;
    tfn_str format;
    tfn_str s3_endpoint;
    tfn_str timestamp_field;
    tfn_str created;
    tfn_str partition;
    yyjson_mut_val *mapping;      /* request: object, or NULL */
    const tfn_source_def *stored; /* registry, or NULL */
} tfn_source_facts;

/* A source that was opened, or why it could not be. */
typedef struct tfn_opened_source {
    char *name; /* of the definition; several definitions of one path share `source` */
    char *path;
    char *format;
    char *s3_endpoint;
    tfn_source *source;
    bool owns_source;
    tfn_error error; /* code != TFN_OK: it could not be opened, and why */
} tfn_opened_source;

/** Text member of a document; empty when it is missing or no text. */
static inline tfn_str tfn__member(yyjson_mut_val *object, const char *key)
{
    yyjson_mut_val *value = yyjson_mut_obj_get(object, key);
    return (tfn_str){yyjson_mut_get_str(value), yyjson_mut_get_len(value)};
}

static inline tfn_str tfn__text_of(yyjson_mut_val *value)
{
    return (tfn_str){yyjson_mut_get_str(value), yyjson_mut_get_len(value)};
}

/** The object of the request that a map (in->sources, in->entities) names, or NULL. */
yyjson_mut_val *tfn__find_object(const tfn_inference *in, const tfn_map *map, tfn_str name);

/** Find a source by name and follow a push source to its batch source; false: no such source (the
 * registry says so). */
bool tfn__find_source(const tfn_inference *in, tfn_str name, tfn_source_facts *out);

/** Name of the feature that a column of the file becomes. */
tfn_str tfn__mapped_name(const tfn_source_facts *facts, tfn_str column);

/** Index of the file's column that holds this feature, key or time, or -1. */
int64_t tfn__find_column(const tfn_source_facts *facts, const tfn_source *source, tfn_str name);

/** Column i of a source. */
const tfn_source_column *tfn__column_at(const tfn_source *source, size_t i);

/**
 * Open a source, once per definition and once per path. Why it cannot be opened is kept in `out`,
 * and told to everybody who asks for it.
 *
 * Errors   TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__open_source(tfn_inference *in, const tfn_source_facts *facts,
                                        tfn_opened_source *out, tfn_error *err);

/** Set the sentence for a column that is missing, or of a type that is not expected. */
tfn_code tfn__no_such_column(const tfn_source_facts *facts, const tfn_source *source,
                             tfn_str column, const char *what, tfn_error *err);
tfn_code tfn__wrong_type(const tfn_source_facts *facts, const tfn_source *source,
                         const tfn_source_column *column, const char *expected, tfn_error *err);

/** A column that says when must be there, and hold times; `err` says if not. */
tfn_code tfn__check_time_column(const tfn_source_facts *facts, const tfn_source *source,
                                tfn_str column, const char *what, tfn_error *err);

#endif
