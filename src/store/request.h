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
    struct tfn_resolution *resolution; /* [borrow] NULL: on-demand views are refused */
} tfn_selection;

/**
 * Resolve a request against a state of the registry.
 *
 * @param snapshot  [borrow] retained by the selection
 * @param request   [borrow] {"features": ["view:feature", ...]} or {"service": name} or
 *                  {"projections": [{"view", "name_alias", "features", "join_key_map", "names"},
 *                  ...]}; and "full_feature_names": bool. "names" are those of the outputs, one per
 *                  feature
 * @param out       [out] zeroed or not; ends with tfn__selection_deinit, also after an error
 *
 * Errors   TFN_INVALID not such a request, a malformed reference, two outputs of one name
 *          TFN_NOT_FOUND no such view, feature or service: names what there is
 *          TFN_UNSUPPORTED an on-demand view: its request must be resolved first . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__selection_init(tfn_snapshot *snapshot, const char *request,
                                           tfn_selection *out, tfn_error *err);
void tfn__selection_deinit(tfn_selection *selection);

/**
 * The same for a request that may name on-demand views: what it asks for goes to `resolution`, and
 * the selection holds what must be read from stores and sources to compute it (on_demand.h).
 *
 * @param resolution  [borrow] empty; ends with tfn__resolution_deinit, also after an error
 *
 * Errors   as tfn__selection_init but for TFN_UNSUPPORTED
 */
TFN_NODISCARD tfn_code tfn__selection_init_resolved(tfn_snapshot *snapshot, const char *request,
                                                    struct tfn_resolution *resolution,
                                                    tfn_selection *out, tfn_error *err);

/**
 * The selected view of these key columns, added when it is new. For on_demand.c.
 *
 * @param projection  [borrow] of a stored view; its alias and features do not matter
 *
 * Errors   TFN_INVALID it maps what is no join key . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn__selection_need_view(tfn_selection *s,
                                                const tfn_projection_def *projection,
                                                size_t *i_view, tfn_error *err);

/** The output of a feature under a name that is made of the view's and its own, added when it is
 * new. Errors TFN_NOT_FOUND no such feature . TFN_NO_MEMORY */
TFN_NODISCARD tfn_code tfn__selection_need_output(tfn_selection *s, size_t i_view, tfn_str feature,
                                                  const tfn_selected_output **out, tfn_error *err);

/** "feature view 'v' has no feature 'f'; it has: ..." */
TFN_NODISCARD tfn_code tfn__selection_fail_feature(const tfn_projection_def *projection,
                                                   tfn_str feature, tfn_error *err);

/** TFN_INVALID "two features would be called ..."; the views that they are of. */
TFN_NODISCARD tfn_code tfn__selection_fail_twins(const tfn_selection *s, tfn_str name,
                                                 tfn_str first, tfn_str second, tfn_error *err);

/** Into the arena: "<view><between><feature>", NUL-terminated. */
TFN_NODISCARD tfn_code tfn__selection_join_names(tfn_selection *s, tfn_str view,
                                                 const char *between, tfn_str feature, tfn_str *out,
                                                 tfn_error *err);

#endif
