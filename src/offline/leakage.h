/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_OFFLINE_LEAKAGE_H
#define TFN_OFFLINE_LEAKAGE_H

/*
 * What a training set may not know: rows whose winner was written after the entity's time, and
 * columns that repeat one another. Each takes a training set piece by piece.
 */

#include <stdbool.h>
#include <stdint.h>

#include "column/vec.h"

enum { TFN_LEAKAGE_MAX_EXAMPLES = 5 };

/* Rows of one kind: how many, and the first few. */
typedef struct tfn_leakage_rows {
    int64_t n;
    size_t n_examples;
    int64_t examples[TFN_LEAKAGE_MAX_EXAMPLES];
} tfn_leakage_rows;

/* A zeroed struct is the beginning. */
typedef struct tfn_leakage {
    int64_t n_rows;
    int64_t n_matched;              /* rows that have a winner */
    tfn_leakage_rows created_later; /* the winner was created after the entity time */
} tfn_leakage;

/**
 * Count the next rows of a training set.
 *
 * @param entity   [borrow] entity times: timestamp or date, without nulls
 * @param event    [borrow] event time of each row's winner; of it only whether it is null: no winner
 * @param created  [borrow, NULL = the source has none] its created time; rows as many as `entity`
 *
 * Units    any; compared as exact instants
 * Nulls    a missing created time is not later
 * Cost     O(rows)
 * Threads  one at a time per struct
 * Errors   none
 */
void tfn_leakage_add(tfn_leakage *l, const tfn_vec *entity, const tfn_vec *event,
                     const tfn_vec *created);

/* How alike two columns are. A zeroed struct with `max_different` set is the beginning. */
typedef struct tfn_likeness {
    int64_t max_different; /* more differences than this: they are not alike */
    int64_t n_both;        /* rows in which both have a value */
    int64_t n_different;   /* of these */
    int64_t n_common;      /* of these, both have `common`; or some fewer, see leakage.c */
    bool varies;           /* the first column has two different values in such rows */
    bool has_first;
    tfn_vec first; /* where its first value stands */
    int64_t i_first;
    int64_t n_votes;
    tfn_vec common; /* where the value stands that the first column has in most rows, if one has */
    int64_t i_common;
} tfn_likeness;

/** Rows that tell whether the columns are alike: where not both have the value that the first one
 * has in more than half of all rows. */
int64_t tfn_likeness_get_n_telling(const tfn_likeness *l);

/** Can values of two types be the same: numbers and numbers, texts and texts, times and times? */
bool tfn_likeness_is_possible(tfn_type a, tfn_type b);

/**
 * Compare the next rows of two columns.
 *
 * @param a  [borrow as long as the struct] of types for which tfn_likeness_is_possible
 * @param b  [borrow] as many rows as a
 * @return   false once more than max_different rows differ: nothing more need be compared
 *
 * Units    numbers by value, in float32 if one of them is; times as instants
 * Nulls    rows in which either is null or NaN are passed over
 * Cost     O(rows), and little for columns that are not alike
 * Threads  one at a time per struct
 * Errors   none
 */
bool tfn_likeness_add(tfn_likeness *l, const tfn_vec *a, const tfn_vec *b);

#endif
