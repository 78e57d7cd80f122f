/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_REGISTRY_FEAST_WRITE_H
#define TFN_REGISTRY_FEAST_WRITE_H

/*
 * What the files that write Feast's registry share.
 *
 *   feast_write.c            documents and a base -> a file: which objects stay, go and come
 *   feast_write_message.c    messages, texts, maps, times: copies that documents are laid over
 *   feast_write_source.c     data sources, listed and inside of views
 *   feast_write_view.c       feature views of all classes; fields
 *   feast_write_on_demand.c  on-demand views and their functions
 *   feast_write_service.c    services, projections
 *   feast_write_kept.c       projects, entities, and what is kept and not run
 *
 * The base is never changed: a message that a document says something about is copied (its struct
 * alone, so unknown fields and whatever no document says come along), and the copy points to parts
 * that are borrowed from the base, or made in the arena. Everything lives as long as the arena and
 * the base do, and is only read when the file is packed.
 */

#include <stdbool.h>

#include <yyjson.h>

#include "base/arena.h"
#include "base/map.h"
#include "registry/feast_file.h"
#include "registry/feast_message.h"

/* A view as projections see it. */
typedef struct tfn__feast_seen {
    Feast__Field **features;
    size_t n_features;
    yyjson_val *source; /* document of the batch source; NULL: it has none */
    const char *type;   /* as projections name it */
} tfn__feast_seen;

typedef struct tfn__feast_writer {
    const tfn_feast_writing *asked;
    tfn_arena arena;
    const Feast__Registry *base; /* never NULL; may have nothing */
    char *project;
    yyjson_val *documents; /* array */
    yyjson_val *functions; /* object, or NULL */
    yyjson_val **by_place; /* the documents */
    tfn_map sources;       /* name -> place of its document */
    tfn_map entities;
    tfn_map views;         /* of both kinds */
    tfn__feast_seen *seen; /* by place; filled for views before services are written */
    tfn_map base_sources;  /* name -> place in base->data_sources, of this project */
    yyjson_val *before;    /* documents that the base says, or NULL */
    tfn_map before_places; /* name of a data source -> place among them */
    yyjson_val **before_by_place;
    bool has_nul; /* a text that was taken holds a NUL, which would end it in Feast's file */
} tfn__feast_writer;

/* ---- feast_write_message.c ---- */

/**
 * A copy of a message, or an empty one.
 *
 * @param base  [borrow, nullable] the message
 * @param type  its descriptor
 * @param out   [borrow] a pointer to a message, in the arena
 *
 * Errors   TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__feast_copy(tfn__feast_writer *w, const void *base,
                                       const ProtobufCMessageDescriptor *type, void *out,
                                       tfn_error *err);

/** Do two messages of one type have the same bytes? NULL is like none. Errors TFN_NO_MEMORY */
TFN_NODISCARD tfn_code tfn__feast_is_same(tfn__feast_writer *w, const ProtobufCMessage *a,
                                          const ProtobufCMessage *b, bool *out, tfn_error *err);

/** n zeroed items in the arena; `out` is a pointer to them. Errors TFN_NO_MEMORY */
TFN_NODISCARD tfn_code tfn__feast_alloc(tfn__feast_writer *w, size_t n, size_t size, void *out,
                                        tfn_error *err);

/** Text of a JSON value, borrowed; "" for what is no text. Sets has_nul. */
char *tfn__feast_text(tfn__feast_writer *w, yyjson_val *value);
/** The same of a member. */
char *tfn__feast_member(tfn__feast_writer *w, yyjson_val *object, const char *key);

/** Pairs of an object; those of before stay when they say the same. Errors TFN_NO_MEMORY */
TFN_NODISCARD tfn_code tfn__feast_set_pairs(tfn__feast_writer *w, yyjson_val *object,
                                            Feast__Pair ***pairs, size_t *n, tfn_error *err);
/** Texts of an array. Errors TFN_NO_MEMORY */
TFN_NODISCARD tfn_code tfn__feast_set_texts(tfn__feast_writer *w, yyjson_val *array, char ***texts,
                                            size_t *n, tfn_error *err);
/** A duration; the one of before stays when it says the same. Errors TFN_NO_MEMORY */
TFN_NODISCARD tfn_code tfn__feast_set_us(tfn__feast_writer *w, int64_t us,
                                         Feast__Duration **duration, tfn_error *err);
/** The same of {"microseconds": n}; nothing of anything else. Errors TFN_NO_MEMORY */
TFN_NODISCARD tfn_code tfn__feast_set_duration(tfn__feast_writer *w, yyjson_val *value,
                                               Feast__Duration **duration, tfn_error *err);
/** A time; TFN_INSTANT_NONE sets none. Errors TFN_NO_MEMORY */
TFN_NODISCARD tfn_code tfn__feast_set_instant(tfn__feast_writer *w, tfn_instant t,
                                              Feast__Timestamp **time, tfn_error *err);
/** A text member as a time; none, or no time: nothing is set. Errors TFN_NO_MEMORY */
TFN_NODISCARD tfn_code tfn__feast_set_time(tfn__feast_writer *w, yyjson_val *document,
                                           const char *key, Feast__Timestamp **time,
                                           tfn_error *err);
/** Times of an object: those that it lacks, and the last update if it has changed. Errors
 * TFN_NO_MEMORY */
TFN_NODISCARD tfn_code tfn__feast_set_times(tfn__feast_writer *w, yyjson_val *document,
                                            bool is_changed, Feast__Timestamp **created,
                                            Feast__Timestamp **updated, tfn_error *err);

/** TFN_UNSUPPORTED "feature view 'v': " and a sentence. */
tfn_code tfn__feast_refuse(yyjson_val *document, const char *sentence, tfn_error *err);

/* ---- feast_write.c ---- */

/** The document of an object, or NULL. */
yyjson_val *tfn__feast_document(const tfn__feast_writer *w, const tfn_map *kind, const char *name);

/** What the base says of a data source, as a document; or NULL. */
yyjson_val *tfn__feast_before(const tfn__feast_writer *w, yyjson_val *document);

/* ---- feast_write_source.c ---- */

/* Where a data source stands decides what Feast writes of it. */
typedef enum tfn__feast_place {
    TFN__FEAST_LISTED = 0,  /* project and class */
    TFN__FEAST_IN_VIEW = 1, /* class */
    TFN__FEAST_INNER = 2    /* neither */
} tfn__feast_place;

/** Is it a source that Feast does not list: one that an on-demand view has for itself, or the one
 * that stands for none? */
bool tfn__feast_is_unlisted(yyjson_val *document);

/** Document of the source behind a view's: the batch source of a push or stream; or NULL. */
yyjson_val *tfn__feast_batch_of(const tfn__feast_writer *w, yyjson_val *source);

/**
 * A data source.
 *
 * @param document  [borrow] its document
 * @param base      [borrow, nullable] what stands at that place; used when it has the same name
 * @param out       [out] [borrow]
 *
 * Errors   TFN_UNSUPPORTED Feast cannot express it . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__feast_write_source(tfn__feast_writer *w, yyjson_val *document,
                                               tfn__feast_place place,
                                               const Feast__DataSource *base,
                                               Feast__DataSource **out, tfn_error *err);

/* ---- what makes one object each: `base` is that of before, or NULL ---- */

typedef tfn_code (*tfn__feast_make)(tfn__feast_writer *w, yyjson_val *document, const void *base,
                                    void **out, tfn_error *err);

tfn_code tfn__feast_make_source(tfn__feast_writer *w, yyjson_val *document, const void *base,
                                void **out, tfn_error *err);
tfn_code tfn__feast_make_view(tfn__feast_writer *w, yyjson_val *document, const void *base,
                              void **out, tfn_error *err);
tfn_code tfn__feast_make_stream_view(tfn__feast_writer *w, yyjson_val *document, const void *base,
                                     void **out, tfn_error *err);
tfn_code tfn__feast_make_label_view(tfn__feast_writer *w, yyjson_val *document, const void *base,
                                    void **out, tfn_error *err);
tfn_code tfn__feast_make_on_demand(tfn__feast_writer *w, yyjson_val *document, const void *base,
                                   void **out, tfn_error *err);
tfn_code tfn__feast_make_service(tfn__feast_writer *w, yyjson_val *document, const void *base,
                                 void **out, tfn_error *err);
tfn_code tfn__feast_make_project(tfn__feast_writer *w, yyjson_val *document, const void *base,
                                 void **out, tfn_error *err);
tfn_code tfn__feast_make_entity(tfn__feast_writer *w, yyjson_val *document, const void *base,
                                void **out, tfn_error *err);
tfn_code tfn__feast_make_saved_dataset(tfn__feast_writer *w, yyjson_val *document, const void *base,
                                       void **out, tfn_error *err);
tfn_code tfn__feast_make_validation_reference(tfn__feast_writer *w, yyjson_val *document,
                                              const void *base, void **out, tfn_error *err);
tfn_code tfn__feast_make_permission(tfn__feast_writer *w, yyjson_val *document, const void *base,
                                    void **out, tfn_error *err);

/* ---- feast_write_view.c ---- */

/* Fields of a message. */
typedef struct tfn__feast_fields {
    Feast__Field **list;
    size_t n;
} tfn__feast_fields;

/** One field of a schema. `base` is nullable. Errors TFN_UNSUPPORTED its type . TFN_NO_MEMORY */
TFN_NODISCARD tfn_code tfn__feast_write_field(tfn__feast_writer *w, yyjson_val *document,
                                              yyjson_val *field, const Feast__Field *base,
                                              Feast__Field **out, tfn_error *err);

/**
 * A schema as two lists: fields named like one of `keys`, and all others.
 *
 * @param keys  [borrow, nullable] array of names
 * @param base  [borrow] fields of before, columns and features; they are found by name
 *
 * Errors   TFN_UNSUPPORTED a type . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__feast_write_schema(tfn__feast_writer *w, yyjson_val *document,
                                               yyjson_val *keys, const tfn__feast_fields base[2],
                                               tfn__feast_fields out[2], tfn_error *err);

/** Names of entities; Feast's dummy one for none. Errors TFN_NO_MEMORY */
TFN_NODISCARD tfn_code tfn__feast_write_entities(tfn__feast_writer *w, yyjson_val *names,
                                                 char ***entities, size_t *n, tfn_error *err);
/** The column of the dummy entity; before's if it has one. Errors TFN_NO_MEMORY */
TFN_NODISCARD tfn_code tfn__feast_write_dummy_column(tfn__feast_writer *w,
                                                     const tfn__feast_fields *base,
                                                     tfn__feast_fields *out, tfn_error *err);

/** Aggregations of a view's content. Errors TFN_NO_MEMORY */
TFN_NODISCARD tfn_code tfn__feast_write_aggregations(tfn__feast_writer *w, yyjson_val *content,
                                                     Feast__Aggregation ***list, size_t *n,
                                                     tfn_error *err);

/* What only Feast knows of a view, whatever its class. */
typedef struct tfn__feast_switches {
    char **version;
    char **org;
    char **mode; /* NULL: it is not written here */
    protobuf_c_boolean *disabled;
    protobuf_c_boolean *enable_validation; /* NULL: the class has none */
} tfn__feast_switches;

void tfn__feast_write_switches(tfn__feast_writer *w, yyjson_val *content,
                               const tfn__feast_switches *to);

/* ---- feast_write_on_demand.c ---- */

/**
 * A function as Feast has it: before's if it has the same source, else the one that was given.
 *
 * @param document  [borrow] of its view
 * @param function  [borrow] as the view has it
 * @param base      [borrow, nullable]
 *
 * Errors   TFN_UNSUPPORTED there is none: says why . TFN_INVALID the given one is no base64
 *          TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__feast_write_function(tfn__feast_writer *w, yyjson_val *document,
                                                 yyjson_val *function,
                                                 const Feast__UserFunction *base, const char *mode,
                                                 Feast__UserFunction **out, tfn_error *err);

/* ---- feast_write_service.c ---- */

/** A projection, of a view whose fields are known (tfn__feast_see_views). `base` is nullable.
 * Errors TFN_INVALID no such view or feature . TFN_UNSUPPORTED . TFN_NO_MEMORY */
TFN_NODISCARD tfn_code tfn__feast_write_projection(tfn__feast_writer *w, yyjson_val *projection,
                                                   const Feast__Projection *base,
                                                   Feast__Projection **out, tfn_error *err);

#endif
