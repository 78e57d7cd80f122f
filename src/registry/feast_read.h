/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_REGISTRY_FEAST_READ_H
#define TFN_REGISTRY_FEAST_READ_H

/*
 * What the files that read Feast's registry share.
 *
 *   feast_read.c            a file -> a request: projects, entities, what is kept and not run
 *   feast_read_source.c     data sources, wherever they stand
 *   feast_read_view.c       feature views of all classes; fields
 *   feast_read_on_demand.c  on-demand views, services, projections
 *
 * Members are added without a look at each: the JSON document remembers a refused allocation
 * (base/json.h), and whoever writes it out learns. Texts are borrowed from the message, which lives
 * until then.
 */

#include <stdbool.h>

#include "base/json.h"
#include "base/map.h"
#include "registry/feast_message.h"

typedef struct tfn__feast_reading {
    const Feast__Registry *registry;
    tfn_str project;
    yyjson_mut_doc *doc;
    yyjson_mut_val *objects; /* the request's */
    tfn_map sources;         /* names of those that are in objects */
    tfn_map views;           /* feature views and on-demand ones: tfn__feast_read_on_demand */
    bool was_refused;        /* memory, for the map */
    bool lacks_source;       /* a view reads none: it needs tfn__feast_no_source */
} tfn__feast_reading;

/* A data source that stands for none: Feast has views without one, documents have not. */
extern const char tfn__feast_no_source[];

/* Feast's entity of views that have none. */
extern const char tfn__feast_dummy_entity[];

/* ---- feast_read.c ---- */

/**
 * tfn_feast_read of a message that is read already.
 *
 * @param message  [borrow] for the log of commits; NULL: none
 */
TFN_NODISCARD tfn_code tfn__feast_read_project(const Feast__Registry *registry, tfn_str project,
                                               const char *message, tfn_buf *request,
                                               tfn_error *err);

/**
 * Names of projects in byte order.
 *
 * @param out  [own] array, its texts borrowed from the message; ends with tfn_mem_free. NULL for
 * none
 *
 * Errors   TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__feast_get_projects(const Feast__Registry *registry, const char ***out,
                                               size_t *n, tfn_error *err);

/** Is it the project that is read? */
bool tfn__feast_is_wanted(const tfn__feast_reading *r, const char *project);

/** Begin an object of the request: kind, name, description, owner and tags, which all have. */
yyjson_mut_val *tfn__feast_add_object(tfn__feast_reading *r, const char *kind, const char *name,
                                      const char *description, const char *owner,
                                      Feast__Pair **tags, size_t n_tags);

/** A member; borrows both texts. */
void tfn__feast_put(tfn__feast_reading *r, yyjson_mut_val *object, const char *key,
                    const char *text);
/** The same, left out when it is empty. */
void tfn__feast_put_some(tfn__feast_reading *r, yyjson_mut_val *object, const char *key,
                         const char *text);
/** A map of texts as an object, and texts as an array. */
void tfn__feast_put_pairs(tfn__feast_reading *r, yyjson_mut_val *object, const char *key,
                          Feast__Pair **pairs, size_t n);
void tfn__feast_put_texts(tfn__feast_reading *r, yyjson_mut_val *object, const char *key,
                          char **texts, size_t n);
/** {"microseconds": n}; null for no duration. */
void tfn__feast_put_duration(tfn__feast_reading *r, yyjson_mut_val *object, const char *key,
                             const Feast__Duration *duration);
/** A duration in microseconds; what does not fit is the nearest that does. NULL is 0. */
int64_t tfn__feast_get_us(const Feast__Duration *duration);

/* ---- feast_read_source.c ---- */

/** All data sources: those that the project lists, then those that only stand inside views. */
void tfn__feast_read_sources(tfn__feast_reading *r);

/** The data source that stands for none, if a view needs it. After everything else. */
void tfn__feast_read_no_source(tfn__feast_reading *r);

/** Name of a source; the path of a file that has none. */
const char *tfn__feast_source_name(const Feast__DataSource *source);

/* ---- feast_read_view.c ---- */

/** Feature views, stream views, label views. */
void tfn__feast_read_views(tfn__feast_reading *r);

/** The type of a field as documents have it, or NULL: none that this release has. */
const char *tfn__feast_field_type(const Feast__Field *field);

/** A field as an element of a schema. Its type is one that this release has. */
void tfn__feast_add_field(tfn__feast_reading *r, yyjson_mut_val *schema, const Feast__Field *field);

/** Fields of a type that this release does not have, in words; out is empty for none. Cut at
 * `n_bytes`. */
void tfn__feast_name_odd_fields(Feast__Field **fields, size_t n, char *out, size_t n_bytes);

/** Entities of a view but for the dummy one. */
void tfn__feast_put_entities(tfn__feast_reading *r, yyjson_mut_val *object, char **entities,
                             size_t n);

/** Aggregations as a Python object of ours becomes them; nothing for none. */
void tfn__feast_put_aggregations(tfn__feast_reading *r, yyjson_mut_val *content,
                                 Feast__Aggregation **aggregations, size_t n);

/* ---- feast_read_on_demand.c ---- */

/** On-demand views and feature services. */
void tfn__feast_read_on_demand(tfn__feast_reading *r);
void tfn__feast_read_services(tfn__feast_reading *r);

/** The function of a transformation, or the one that stood there before there were any; or NULL. */
const Feast__UserFunction *tfn__feast_get_function(const Feast__Transformation *transformation,
                                                   const Feast__UserFunction *older);

/** A function as documents have it: its name, its source without decorators, and the hash of that.
 * Feast does not say in which module it is. */
void tfn__feast_put_function(tfn__feast_reading *r, yyjson_mut_val *object,
                             const Feast__UserFunction *function);

#endif
