/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_REGISTRY_DECODER_H
#define TFN_REGISTRY_DECODER_H

/*
 * The decoding of one document: shared by decode.c (entities, sources, views) and
 * decode_on_demand.c (what names views).
 *
 * All functions: TFN_NO_MEMORY, and what is said below.
 */

#include "registry/registry_internal.h"

typedef struct tfn__decoder {
    tfn_snapshot *s;
    const tfn__entry *entry;
    yyjson_val *root; /* dies with s->scratch; what a definition keeps is copied into s->arena */
    char subject[TFN__SUBJECT_BYTES];
} tfn__decoder;

/** A text, NUL-terminated; of a member of the document itself. */
TFN_NODISCARD tfn_code tfn__decode_str(const tfn__decoder *d, yyjson_val *value, tfn_str *out,
                                       tfn_error *err);
TFN_NODISCARD tfn_code tfn__decode_member(const tfn__decoder *d, const char *name, tfn_str *out,
                                          tfn_error *err);

/** Zeroed room for n structs. */
TFN_NODISCARD tfn_code tfn__decode_array(const tfn__decoder *d, size_t n, size_t size, void **out,
                                         tfn_error *err);
TFN_NODISCARD tfn_code tfn__decode_pairs(const tfn__decoder *d, yyjson_val *object,
                                         const tfn_name_pair **out, size_t *n_out, tfn_error *err);
TFN_NODISCARD tfn_code tfn__decode_names(const tfn__decoder *d, yyjson_val *array,
                                         const tfn_str **out, size_t *n_out, tfn_error *err);

/** The document's schema, all of it. Errors TFN_INVALID it is empty */
TFN_NODISCARD tfn_code tfn__decode_fields(const tfn__decoder *d, const tfn_feature_def **out,
                                          size_t *n_out, tfn_error *err);

/** The definition of an object that this one names. Errors TFN_NOT_FOUND, and its own */
TFN_NODISCARD tfn_code tfn__decode_resolve(const tfn__decoder *d, tfn_object_kind kind,
                                           tfn_str name, const void **out, tfn_error *err);

/** A whole on-demand view or service. Errors definitions.md section 4 */
TFN_NODISCARD tfn_code tfn__decode_on_demand(const tfn__decoder *d, const void **out,
                                             tfn_error *err);
TFN_NODISCARD tfn_code tfn__decode_service(const tfn__decoder *d, const void **out, tfn_error *err);

#endif
