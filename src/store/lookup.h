/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_STORE_LOOKUP_H
#define TFN_STORE_LOOKUP_H

/*
 * What lookup.c and answer.c share: a request compiled against one snapshot (a plan), and the rows
 * that one run found.
 */

#include <stdatomic.h>

#include "base/lock.h"
#include "column/key.h"
#include "online/online.h"
#include "store/request.h"
#include "store/store_internal.h"

typedef struct tfn_lookup_view {
    const tfn_selected_view *selected;
    tfn_key_plan key_plan;
    const uint32_t *i_keys; /* selected key k is column i_keys[k] of the plan's keys */
    const tfn_row_field *wanted;
    tfn_online_query *query; /* [own] */
} tfn_lookup_view;

typedef struct tfn_lookup_key {
    tfn_str name; /* NUL-terminated */
    tfn_type type;
} tfn_lookup_key;

/* Immutable; reference counted. */
typedef struct tfn_lookup_plan {
    _Atomic int32_t n_owners;
    tfn_store *store;    /* [own] one reference: keeps the online store, and so row schemas, open */
    uint64_t generation; /* of the snapshot */
    tfn_selection selection;
    tfn_arena arena;
    tfn_lookup_key *keys; /* distinct key columns over all views, in order of first use */
    size_t n_keys;
    tfn_lookup_view *views; /* one per selected view */
} tfn_lookup_plan;

tfn_lookup_plan *tfn__lookup_plan_retain(tfn_lookup_plan *plan);
void tfn__lookup_plan_release(tfn_lookup_plan *plan);

struct tfn_answer {
    tfn_arena arena;
    tfn_lookup_plan *plan;
    size_t n_rows;
    tfn_cell *keys;       /* n_rows x plan->n_keys */
    uint8_t *key_units;   /* unit of each, where it is a timestamp */
    tfn_found_row *found; /* plan's views x n_rows; rows are copies in the arena */
    bool *expired;        /* likewise: the row is too old to be given out */
    const char **warnings;
    size_t n_warnings;
};

#endif
