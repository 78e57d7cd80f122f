/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_REGISTRY_DEFINITION_H
#define TFN_REGISTRY_DEFINITION_H

/*
 * What a definition says, decoded and resolved: a view knows the types of its keys and the file
 * source that it reads, an on-demand view and a service the views that they name.
 *
 * All structs, arrays and texts here are [borrow until the snapshot is released], immutable, and
 * may be read by any thread. Their text form is docs/formats/definitions.md.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/str.h"
#include "column/type.h"

/* Values are stored in the registry: never change one. */
typedef enum tfn_object_kind {
    TFN_OBJECT_NONE = 0, /* not said, or not known */
    TFN_OBJECT_PROJECT = 1,
    TFN_OBJECT_ENTITY = 2,
    TFN_OBJECT_SOURCE = 3,
    TFN_OBJECT_VIEW = 4,
    TFN_OBJECT_SERVICE = 5,
    TFN_OBJECT_ON_DEMAND_VIEW = 6,
    TFN_OBJECT_SAVED_DATASET = 7,
    TFN_OBJECT_VALIDATION_REFERENCE = 8,
    TFN_OBJECT_PERMISSION = 9
} tfn_object_kind;

/**
 * As in documents: "project", "entity", "data_source", "feature_view", "on_demand_feature_view",
 * "feature_service", "saved_dataset", "validation_reference", "permission"; and as in sentences:
 * "project", "entity", "data source", "feature view", "on-demand feature view", "feature service",
 * "saved dataset", "validation reference", "permission".
 *
 * Threads  any
 * Errors   none: other values give "object"
 */
const char *tfn_object_kind_name(tfn_object_kind kind);
const char *tfn_object_kind_words(tfn_object_kind kind);

/**
 * Read a document's word for a kind.
 *
 * Threads  any
 * Errors   TFN_INVALID names the text and the kinds that exist
 */
TFN_NODISCARD tfn_code tfn_object_kind_parse(tfn_str text, tfn_object_kind *out, tfn_error *err);

typedef struct tfn_project_def {
    tfn_str name;
    tfn_str description;
    tfn_str owner;
    tfn_hash128 hash;
} tfn_project_def;

typedef struct tfn_entity_def {
    tfn_str name;
    tfn_str join_key;
    tfn_type type; /* kind NONE: unknown; the views that use it have the type in their schema */
    tfn_hash128 hash;
} tfn_entity_def;

typedef struct tfn_name_pair {
    tfn_str from;
    tfn_str to;
} tfn_name_pair;

typedef struct tfn_feature_def {
    tfn_str name;
    tfn_type type; /* never NONE */
} tfn_feature_def;

typedef struct tfn_source_def {
    tfn_str name;
    bool is_push;
    bool is_request;               /* what the caller of a request brings along */
    tfn_str batch_source;          /* push only: name of a file source; all below are empty then */
    const tfn_feature_def *fields; /* request only; all below are empty then */
    size_t n_fields;
    tfn_str path;
    tfn_str format;      /* "parquet", "csv", "json", or "" = by extension */
    tfn_str s3_endpoint; /* of this source alone; "" = as the store says */
    tfn_str timestamp_field;
    tfn_str created_timestamp_column;   /* "" = none */
    tfn_str date_partition_column;      /* "" = none */
    const tfn_name_pair *field_mapping; /* column in the file -> name of the feature */
    size_t n_field_mapping;
    tfn_str missing; /* "" = can be read; else what is missing, a sentence; `path` is empty then */
    tfn_hash128 hash;
} tfn_source_def;

/**
 * The column of the file that holds a feature, join key or time: field_mapping read backwards.
 *
 * @return [borrow until the snapshot is released, or as long as `name`] `name` itself when unmapped
 *
 * Threads  any
 * Errors   none
 */
tfn_str tfn_source_def_get_column(const tfn_source_def *source, tfn_str name);

typedef struct tfn_key_def {
    tfn_str name;   /* the join key, a column of the source and of the spine */
    tfn_type type;  /* never NONE */
    tfn_str entity; /* the entity that brings it */
} tfn_key_def;

typedef struct tfn_view_def {
    tfn_str name;
    tfn_hash128 hash;   /* of the whole document */
    tfn_hash128 layout; /* of names and types of keys and features, in order, and nothing else */
    const tfn_key_def
        *keys; /* in the order of the view's entities; n_keys 0 = one row, empty key */
    size_t n_keys;
    const tfn_feature_def *features; /* in the schema's order, entity columns left out */
    size_t n_features;
    int64_t ttl_us; /* 0 = unbounded */
    bool online;
    bool offline;
    const tfn_source_def *source;      /* the file source that is read; never a push source */
    const tfn_source_def *push_source; /* NULL = none */
    tfn_str missing; /* "" = can be run; else what is missing, a sentence: then, and only then, a
                        key's type may be NONE, there may be no feature and no time column */
} tfn_view_def;

/** Index of a feature by exact name, or -1. Threads any. Errors none. Cost a scan of the features.
 */
int64_t tfn_view_find_feature(const tfn_view_def *view, tfn_str name);

/** Index of a join key by exact name, or -1. Threads any. Errors none. */
int64_t tfn_view_find_key(const tfn_view_def *view, tfn_str name);

typedef struct tfn_on_demand_def tfn_on_demand_def;

/* One view as a service (or a request, or an on-demand view) sees it: one of the first two. */
typedef struct tfn_projection_def {
    const tfn_view_def *view;
    const tfn_on_demand_def *on_demand;
    tfn_str name_alias;      /* "" = the view's name */
    const tfn_str *features; /* names, always written out */
    size_t n_features;
    const tfn_name_pair *join_key_map; /* join key of the view -> column of the spine */
    size_t n_join_key_map;
} tfn_projection_def;

/* A training set that was written down; what it was made from stands in its document only. */
typedef struct tfn_saved_dataset_def {
    tfn_str name;
    tfn_hash128 hash;
    tfn_str path; /* a Parquet file, or a folder of them */
} tfn_saved_dataset_def;

typedef enum tfn_on_demand_mode {
    TFN_ON_DEMAND_PANDAS = 1, /* a frame in, a frame out */
    TFN_ON_DEMAND_PYTHON = 2  /* a dict of lists in and out; singleton: a dict per row */
} tfn_on_demand_mode;

/* Features that a function makes of other features, and of what a request brings along. */
struct tfn_on_demand_def {
    tfn_str name;
    tfn_hash128 hash; /* of the whole document */
    const tfn_projection_def *sources;
    size_t n_sources;
    const tfn_source_def *const *requests;
    size_t n_requests;
    const tfn_feature_def *outputs; /* in the schema's order, at least one */
    size_t n_outputs;
    tfn_on_demand_mode mode;
    bool is_singleton;
    tfn_str module;        /* where the function lives: "features" */
    tfn_str function;      /* its name there */
    tfn_str function_hash; /* SHA-256 of its source, 64 hex digits */
};

/** Index of an output by exact name, or -1. Threads any. Errors none. */
int64_t tfn_on_demand_find_output(const tfn_on_demand_def *view, tfn_str name);

/* What is kept and shown, and not acted on: a validation reference, a permission. */
typedef struct tfn_kept_def {
    tfn_str name;
    tfn_hash128 hash;
} tfn_kept_def;

typedef struct tfn_service_def {
    tfn_str name;
    tfn_hash128 hash;
    const tfn_projection_def *projections;
    size_t n_projections;
} tfn_service_def;

#endif
