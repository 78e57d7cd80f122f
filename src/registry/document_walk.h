/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_REGISTRY_DOCUMENT_WALK_H
#define TFN_REGISTRY_DOCUMENT_WALK_H

/*
 * The walk over one document that checks it and writes its canonical form: shared by document.c
 * (the objects and their tables) and member.c (values).
 */

#include "base/limits.h"
#include "registry/registry_internal.h"

enum { TFN__WALK_SUBJECT_BYTES = 2 * TFN__SUBJECT_BYTES };

/* A join key of the view that is being written. */
typedef struct tfn__walk_key {
    tfn_str name;
    tfn_type type; /* NONE: only the view's own schema can say */
} tfn__walk_key;

typedef struct tfn__walk {
    char subject[TFN__WALK_SUBJECT_BYTES]; /* "feature view 'x'", "field 'f' of feature view 'x'" */
    tfn_object_kind kind;
    yyjson_val *document;
    yyjson_val *parent; /* the object whose members are being written */
    tfn_snapshot *state;
    tfn_buf out;
    tfn__walk_key keys[TFN_MAX_KEY_PARTS]; /* views: from the entities */
    size_t n_keys;
    bool are_keys_known; /* every entity exists */
} tfn__walk;

/**
 * Check a value and append it to w->out; NULL stands for a missing (or null) value.
 *
 * Errors   TFN_INVALID, TFN_LIMIT: one sentence that names w->subject and the member .
 * TFN_NO_MEMORY
 */
typedef tfn_code (*tfn__member_fn)(tfn__walk *w, const char *name, yyjson_val *value,
                                   tfn_error *err);

tfn_code tfn__member_write_text(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err);
tfn_code tfn__member_write_name(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err);
tfn_code tfn__member_write_module(tfn__walk *w, const char *name, yyjson_val *value,
                                  tfn_error *err);
tfn_code tfn__member_write_join_key(tfn__walk *w, const char *name, yyjson_val *value,
                                    tfn_error *err);
tfn_code tfn__member_write_alias(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err);
tfn_code tfn__member_write_online(tfn__walk *w, const char *name, yyjson_val *value,
                                  tfn_error *err);
tfn_code tfn__member_write_offline(tfn__walk *w, const char *name, yyjson_val *value,
                                   tfn_error *err);
tfn_code tfn__member_write_ttl(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err);
tfn_code tfn__member_write_rate(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err);
tfn_code tfn__member_write_destination_type(tfn__walk *w, const char *name, yyjson_val *value,
                                            tfn_error *err);
tfn_code tfn__member_write_format(tfn__walk *w, const char *name, yyjson_val *value,
                                  tfn_error *err);
tfn_code tfn__member_write_type(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err);
tfn_code tfn__member_write_value_type(tfn__walk *w, const char *name, yyjson_val *value,
                                      tfn_error *err);
tfn_code tfn__member_write_path(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err);
tfn_code tfn__member_write_source_type(tfn__walk *w, const char *name, yyjson_val *value,
                                       tfn_error *err);
tfn_code tfn__member_write_mode(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err);
tfn_code tfn__member_write_singleton(tfn__walk *w, const char *name, yyjson_val *value,
                                     tfn_error *err);
tfn_code tfn__member_write_stored(tfn__walk *w, const char *name, yyjson_val *value,
                                  tfn_error *err);
tfn_code tfn__member_write_aggregations(tfn__walk *w, const char *name, yyjson_val *value,
                                        tfn_error *err);
tfn_code tfn__member_write_digest(tfn__walk *w, const char *name, yyjson_val *value,
                                  tfn_error *err);
tfn_code tfn__member_write_map(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err);
tfn_code tfn__member_write_name_map(tfn__walk *w, const char *name, yyjson_val *value,
                                    tfn_error *err);
tfn_code tfn__member_write_names(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err);
/** true or false; false when missing. */
tfn_code tfn__member_write_flag(tfn__walk *w, const char *name, yyjson_val *value, tfn_error *err);
/** Any JSON object of whole numbers, texts, flags, nulls and arrays: members sorted (object.c). */
tfn_code tfn__member_write_object(tfn__walk *w, const char *name, yyjson_val *value,
                                  tfn_error *err);

/** "feature view 'x': 'ttl_us' must be a whole number, not a text"; `value` NULL: "has no ...". */
tfn_code tfn__member_fail_type(const tfn__walk *w, const char *name, const char *expected,
                               yyjson_val *value, tfn_error *err);

/** Not empty, not too long, no NUL. `what` names it in the sentence. */
TFN_NODISCARD tfn_code tfn__member_check_name(const tfn__walk *w, const char *what, tfn_str name,
                                              tfn_error *err);

/** Append as it is. */
TFN_NODISCARD tfn_code tfn__member_add(tfn__walk *w, const char *text, tfn_error *err);

#endif
