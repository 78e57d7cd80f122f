/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Leaks that single rows show, counted in one pass without memory of its own.
 *
 *   entity time t, winner created at c:  c > t   what was not yet written cannot be served
 *
 * Columns are alike if they have the same value in almost every row in which both have one. Columns
 * that are not differ within the first rows, so comparing a label with a thousand features costs
 * little more than looking at it.
 */

#include "offline/leakage.h"

#include "offline/times.h"

#include "base/poison.h"

enum { DAY_SECONDS = 86400 };

/* Nanoseconds since 1970 of a valid row; exact. */
static tfn__wide nanos_of(const tfn_vec *v, int64_t i)
{
    const int64_t value = tfn_vec_get_int(v, i);
    if (v->type.kind == TFN_KIND_DATE) {
        return tfn__wide_of(value * DAY_SECONDS, tfn__nanos_per_unit(TFN_UNIT_S));
    }
    return tfn__wide_of(value, tfn__nanos_per_unit((tfn_unit)v->type.unit));
}

static void list_row(tfn_leakage_rows *rows, int64_t i_row)
{
    rows->n++;
    if (rows->n_examples < TFN_LEAKAGE_MAX_EXAMPLES) {
        rows->examples[rows->n_examples++] = i_row;
    }
}

void tfn_leakage_add(tfn_leakage *l, const tfn_vec *entity, const tfn_vec *event,
                     const tfn_vec *created)
{
    for (int64_t i = 0; i < entity->n; i++) {
        if (!tfn_vec_is_valid(event, i)) {
            continue;
        }
        l->n_matched++;
        const tfn__wide t = nanos_of(entity, i);
        if (created != NULL && tfn_vec_is_valid(created, i) && nanos_of(created, i) > t) {
            list_row(&l->created_later, l->n_rows + i);
        }
    }
    l->n_rows += entity->n;
}

/* ---- likeness ---- */

typedef enum family {
    FAMILY_NONE = 0,
    FAMILY_INTEGER,
    FAMILY_FLOAT,
    FAMILY_TEXT,
    FAMILY_BYTES,
    FAMILY_TIME
} family;

static family family_of(tfn_type type)
{
    static const uint8_t families[] = {
        [TFN_KIND_BOOL] = FAMILY_INTEGER,  [TFN_KIND_INT32] = FAMILY_INTEGER,
        [TFN_KIND_INT64] = FAMILY_INTEGER, [TFN_KIND_FLOAT32] = FAMILY_FLOAT,
        [TFN_KIND_FLOAT64] = FAMILY_FLOAT, [TFN_KIND_STRING] = FAMILY_TEXT,
        [TFN_KIND_BYTES] = FAMILY_BYTES,   [TFN_KIND_DATE] = FAMILY_TIME,
        [TFN_KIND_TIMESTAMP] = FAMILY_TIME};
    const bool is_known = !type.is_list && type.kind < sizeof families / sizeof families[0];
    return is_known ? (family)families[type.kind] : FAMILY_NONE;
}

static bool is_number(family f)
{
    return f == FAMILY_INTEGER || f == FAMILY_FLOAT;
}

bool tfn_likeness_is_possible(tfn_type a, tfn_type b)
{
    const family left = family_of(a);
    const family right = family_of(b);
    return left != FAMILY_NONE && (left == right || (is_number(left) && is_number(right)));
}

/* NaN is what pandas has for null. */
static bool has_value(const tfn_vec *v, int64_t i)
{
    if (!tfn_vec_is_valid(v, i)) {
        return false;
    }
    if (family_of(v->type) != FAMILY_FLOAT) {
        return true;
    }
    const double value = tfn_vec_get_float(v, i);
    return value == value;
}

static bool same_number(const tfn_vec *a, int64_t i, const tfn_vec *b, int64_t k)
{
    if (family_of(a->type) == FAMILY_INTEGER && family_of(b->type) == FAMILY_INTEGER) {
        return tfn_vec_fits(a, i) == tfn_vec_fits(b, k) &&
               tfn_vec_get_int(a, i) == tfn_vec_get_int(b, k);
    }
    const double left = tfn_vec_get_float(a, i);
    const double right = tfn_vec_get_float(b, k);
    if (a->type.kind == TFN_KIND_FLOAT32 || b->type.kind == TFN_KIND_FLOAT32) {
        return (float)left == (float)right;
    }
    return left == right;
}

static bool same_value(const tfn_vec *a, int64_t i, const tfn_vec *b, int64_t k)
{
    switch (family_of(a->type)) {
    case FAMILY_TEXT:
    case FAMILY_BYTES:
        return tfn_str_equal(tfn_vec_get_str(a, i), tfn_vec_get_str(b, k));
    case FAMILY_TIME:
        return nanos_of(a, i) == nanos_of(b, k);
    case FAMILY_INTEGER:
    case FAMILY_FLOAT:
        return same_number(a, i, b, k);
    case FAMILY_NONE:
        break;
    }
    return false;
}

/*
 * The majority vote of Boyer and Moore: if a value stands in more than half of the rows, it is
 * `common` at the end. Up to the last change of mind at most half of the rows have it, so the rows
 * that n_common has missed are no more than those in which the column has another value.
 */
static void vote(tfn_likeness *l, const tfn_vec *a, const tfn_vec *b, int64_t i)
{
    if (l->n_votes == 0) {
        l->common = *a;
        l->i_common = i;
        l->n_common = 0;
    }
    const bool is_common = same_value(&l->common, l->i_common, a, i);
    l->n_votes += is_common ? 1 : -1;
    l->n_common += is_common && same_value(a, i, b, i) ? 1 : 0;
}

bool tfn_likeness_add(tfn_likeness *l, const tfn_vec *a, const tfn_vec *b)
{
    for (int64_t i = 0; i < a->n && l->n_different <= l->max_different; i++) {
        if (!has_value(a, i) || !has_value(b, i)) {
            continue;
        }
        l->n_both++;
        l->n_different += same_value(a, i, b, i) ? 0 : 1;
        if (!l->has_first) {
            l->first = *a;
            l->i_first = i;
            l->has_first = true;
        }
        vote(l, a, b, i);
        l->varies = l->varies || !same_value(&l->first, l->i_first, a, i);
    }
    return l->n_different <= l->max_different;
}

int64_t tfn_likeness_get_n_telling(const tfn_likeness *l)
{
    return l->n_common > l->n_both - l->n_common ? l->n_both - l->n_common : l->n_both;
}
