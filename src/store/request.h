/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_STORE_REQUEST_H
#define TFN_STORE_REQUEST_H

/*
 * What a caller asked for, resolved: which features of which views, under which names, in which
 * order. Training sets and lookups read the same request text, here and nowhere else.
 */

#include "base/arena.h"
#include "registry/snapshot.h"

/* One view as asked for: the same view under two aliases is two of these. */
typedef struct tfn_selected_view {
    const tfn_view_def *view;
    tfn_str name;               /* alias, else the view's name */
    const tfn_str *key_columns; /* view->n_keys columns of the spine or of the entity rows */
    uint32_t *features;         /* indices into view->features, in the order first asked */
    size_t n_features;
    size_t feature_capacity;
} tfn_selected_view;

/* One column of the answer. */
typedef struct tfn_selected_output {
    tfn_str name; /* NUL-terminated: "feature" or "view__feature" */
    uint32_t i_view;
    uint32_t i_feature; /* index into that selected view's `features` */
} tfn_selected_output;

typedef struct tfn_selection {
    tfn_arena arena;
    tfn_snapshot *snapshot;
    tfn_selected_view *views;
    size_t n_views;
    size_t view_capacity;
    tfn_selected_output *outputs;
    size_t n_outputs;
    size_t output_capacity;
    bool full_names;
} tfn_selection;

/**
 * Resolve a request against a state of the registry.
 *
 * @param snapshot  [borrow] retained by the selection
 * @param request   [borrow] {"features": ["view:feature", ...]} or {"service": name} or
 *                  {"projections": [{"view", "name_alias", "features", "join_key_map"}, ...]}; and
 *                  "full_feature_names": bool
 * @param out       [out] zeroed or not; ends with tfn__selection_deinit, also after an error
 *
 * Errors   TFN_INVALID not such a request, a malformed reference, two outputs of one name
 *          TFN_NOT_FOUND no such view, feature or service: names what there is . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__selection_init(tfn_snapshot *snapshot, const char *request,
                                           tfn_selection *out, tfn_error *err);
void tfn__selection_deinit(tfn_selection *selection);

#endif
