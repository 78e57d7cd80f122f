/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_REGISTRY_FEAST_FILE_H
#define TFN_REGISTRY_FEAST_FILE_H

/*
 * Feast's registry file: one protobuf message with the objects of many projects (feast.proto), to
 * and from definition documents. What becomes of each member: docs/formats/feast-registry.md.
 *
 *   file of Feast --read--> apply request (documents) --> a commit of ours
 *   documents + the file they came from --write--> file of Feast
 *
 * Reading loses nothing that Tiffin acts on; writing begins with the file that was read, so what no
 * document has (unknown fields, pickled functions, versions, intervals, other projects) stays.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"
#include "base/time.h"

/**
 * Is it a registry file of Feast: a message that can be read, of schema version 1 or with objects?
 * An empty text is none.
 *
 * Cost     one pass over it, no memory
 * Threads  any
 * Errors   none
 */
bool tfn_feast_is_registry(tfn_str bytes);

/**
 * The projects of a file: `["a","b"]`, each once, in byte order; those that have objects, too, for
 * which the file has no project object.
 *
 * @param out  [out] JSON appended
 *
 * Threads  any
 * Errors   TFN_CORRUPT no such file . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_feast_list_projects(tfn_str bytes, tfn_buf *out, tfn_error *err);

/**
 * The objects of one project, as a request of tfn_registry_apply that makes the state so:
 * {"objects":[...], "delete_missing":true}. What Tiffin does not run is there, as `foreign`, with
 * the sentence that says so. Feast's dummy entity is not. By kind and name: two files that say the
 * same of a project give the same bytes.
 *
 * @param bytes    [borrow] the file
 * @param project  [borrow] names one
 * @param request  [out] JSON appended
 *
 * Cost     in proportion to the file
 * Threads  any
 * Errors   TFN_CORRUPT no such file . TFN_NOT_FOUND no such project: names those that there are
 *          TFN_LIMIT nested too deep, or needs too much memory . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_feast_read(tfn_str bytes, tfn_str project, tfn_buf *request,
                                      tfn_error *err);

typedef struct tfn_feast_writing {
    tfn_str base;      /* a file of Feast whose other contents stay; empty: none */
    tfn_str project;   /* whose objects are written; those it has in base and not here go */
    tfn_str documents; /* JSON: array of all documents of the state, with their timestamps */
    tfn_str functions; /* JSON: object, view -> {"body": base64 of its function as Feast pickles it,
                          "source": its text with decorators}, or {"missing": why there is none};
                          may be empty. Where base has one of the same source, that is kept */
    tfn_instant now;   /* `last_updated` of the file */
    uint8_t random[32]; /* for the ids of the file and of a project that is new in it */
} tfn_feast_writing;

/**
 * A file of Feast with the objects of one project as documents say.
 *
 * @param bytes  [out] the file appended
 *
 * Cost     in proportion to base and documents
 * Threads  any
 * Errors   TFN_CORRUPT base is no such file . TFN_INVALID documents are none
 *          TFN_UNSUPPORTED names what Feast cannot express, or an on-demand view whose function is
 *          in neither place . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_feast_write(const tfn_feast_writing *writing, tfn_buf *bytes,
                                       tfn_error *err);

#endif
