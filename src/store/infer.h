/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_STORE_INFER_H
#define TFN_STORE_INFER_H

/*
 * What a definition leaves out and its source knows: the time column, the schema of a view, the
 * type of a join key. And what a definition says and its source denies: a missing file, column,
 * type.
 */

#include "base/json.h"
#include "base/map.h"
#include "store/store_internal.h"

/* An object that cannot be applied, and why. */
typedef struct tfn_refusal {
    tfn_str kind; /* both borrowed from the request document */
    tfn_str name;
    tfn_error error;
} tfn_refusal;

typedef struct tfn_inference {
    tfn_store *store;         /* [borrow] */
    tfn_snapshot *snapshot;   /* [borrow, NULL = nothing was applied yet] */
    yyjson_mut_doc *request;  /* [borrow] filled in place */
    yyjson_mut_val **objects; /* the request's objects, in order */
    size_t n_objects;
    tfn_map sources;  /* name -> index of the first data source of the request so named */
    tfn_map entities; /* likewise */
    tfn_refusal *refusals;
    size_t n_refusals;
    size_t refusal_capacity;
    struct tfn_opened_source *opened; /* each path is opened once */
    size_t n_opened;
    size_t opened_capacity;
} tfn_inference;

/**
 * Fill in and check every object of an apply request. Objects that cannot be are listed as
 * refusals; the others go on.
 *
 * Threads  one at a time
 * Errors   TFN_INVALID not such a request . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__infer(tfn_inference *inference, tfn_error *err);
void tfn__inference_deinit(tfn_inference *inference);

#endif
