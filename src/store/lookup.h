/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_STORE_LOOKUP_H
#define TFN_STORE_LOOKUP_H

/*
 * What lookup_plan.c, lookup.c and the files of answers share: a request compiled against one
 * snapshot (a plan), and the rows that one run found.
 */

#include <stdatomic.h>

#include "base/lock.h"
#include "column/key.h"
#include "online/online.h"
#include "store/request.h"
#include "store/store_internal.h"

/* Key columns of which an entity key is made. Views that have the same ones share it. */
typedef struct tfn_lookup_key_set {
    tfn_key_plan key_plan;
    const uint32_t *i_keys; /* part k is column i_keys[k] of the plan's keys */
} tfn_lookup_key_set;

typedef struct tfn_lookup_view {
    const tfn_selected_view *selected;
    const char *name; /* of the view, not an alias */
    size_t i_key_set;
    const tfn_row_field *wanted;
    tfn_online_query *query; /* [own] */
    /* Sentences for answers, made here so that no run spends time on them. */
    const char *warning_of_nothing; /* nothing was ever written to it */
    const char *warning_of_age;     /* it serves values that are older than its ttl */
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
    tfn_lookup_key_set *key_sets;
    size_t n_key_sets;
    tfn_lookup_view *views; /* one per selected view */
} tfn_lookup_plan;

/**
 * Compile a request.
 *
 * @param out  [own] one reference: tfn__lookup_plan_release
 *
 * Threads  any
 * Errors   as tfn_store_prepare
 */
TFN_NODISCARD tfn_code tfn__lookup_plan_create(tfn_store *store, tfn_snapshot *snapshot,
                                               const char *request, tfn_lookup_plan **out,
                                               tfn_error *err);
tfn_lookup_plan *tfn__lookup_plan_retain(tfn_lookup_plan *plan);
void tfn__lookup_plan_release(tfn_lookup_plan *plan);

/* Immutable once it is given out; reference counted. */
struct tfn_answer {
    _Atomic int32_t n_owners;
    tfn_arena arena;
    tfn_lookup_plan *plan;
    size_t n_rows;
    tfn_cell *keys;        /* n_rows x plan->n_keys */
    uint8_t *key_units;    /* unit of each, where it is a timestamp */
    tfn_found_row *found;  /* plan's views x n_rows; rows are copies in the arena */
    bool *expired;         /* likewise: the row is too old to be given out */
    const char **warnings; /* of the plan */
    size_t n_warnings;
};

/* One feature of the answer, to be read row by row. */
typedef struct tfn__feature_column {
    const tfn_found_row *found;
    const bool *expired;
    size_t i_feature; /* of the view's wanted ones */
    tfn_type declared;
} tfn__feature_column;

static inline tfn__feature_column tfn__feature_column_of(const tfn_answer *answer, size_t i_output)
{
    const tfn_selected_output *output = &answer->plan->selection.outputs[i_output];
    const size_t i_first = output->i_view * answer->n_rows;
    return (tfn__feature_column){
        .found = answer->found + i_first,
        .expired = answer->expired + i_first,
        .i_feature = output->i_feature,
        .declared = answer->plan->views[output->i_view].wanted[output->i_feature].type};
}

/** A feature's cell, its type (with the unit that the row has), and its status. */
static inline tfn_status tfn__feature_get(const tfn__feature_column *column, size_t i_row,
                                          tfn_type *type, tfn_cell *cell)
{
    const tfn_found_row *found = &column->found[i_row];
    *cell = (tfn_cell){.is_null = true};
    *type = column->declared;
    if (found->i_fields == NULL) {
        return TFN_STATUS_NOT_FOUND;
    }
    if (column->expired[i_row]) {
        return TFN_STATUS_OUTSIDE_MAX_AGE;
    }
    const int32_t i_field = found->i_fields[column->i_feature];
    if (i_field < 0) {
        return TFN_STATUS_NOT_FOUND;
    }
    tfn_row_get(&found->row, (uint32_t)i_field, cell);
    *type = found->row.schema->fields[i_field].type;
    return cell->is_null ? TFN_STATUS_NULL_VALUE : TFN_STATUS_PRESENT;
}

#endif
