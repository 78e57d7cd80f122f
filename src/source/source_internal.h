/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SOURCE_SOURCE_INTERNAL_H
#define TFN_SOURCE_SOURCE_INTERNAL_H

/* What every kind of source is made of: a table of verbs and the columns. */

#include "base/arena.h"
#include "base/json.h"
#include "base/map.h"
#include "source/source.h"

typedef struct tfn_source_verbs {
    int (*get_n_workers)(const tfn_source *s, int n_threads);
    bool (*can_rescan)(const tfn_source *s);
    tfn_code (*scan)(tfn_source *s, const tfn_scan *scan, tfn_scan_stats *stats, tfn_error *err);
    tfn_code (*explain)(tfn_source *s, const tfn_scan *scan, tfn_buf *out, tfn_error *err);
    void (*destroy)(tfn_source *s); /* ends the struct too */
} tfn_source_verbs;

/* First member of each kind's own struct. */
struct tfn_source {
    const tfn_source_verbs *verbs;
    tfn_arena arena; /* label, names, column table */
    tfn_str label;
    tfn_source_column *columns;
    size_t n_columns;
    tfn_map by_name; /* -> first column of the name */
    uint32_t *twins; /* per column: another one of the same name, or 0 */
    bool is_once;    /* a second scan is refused */
    bool is_used;
};

/** Text of an all-null column's native type; its kind is NONE, and it reads as anything. */
#define TFN__SOURCE_NULL_TYPE "null"

/** Copy the label into the arena of a zeroed source. Errors TFN_NO_MEMORY. */
TFN_NODISCARD tfn_code tfn__source_init(tfn_source *s, const tfn_source_verbs *verbs, tfn_str label,
                                        tfn_error *err);
void tfn__source_deinit(tfn_source *s);

/** Index the columns by name, once all are there. Errors TFN_NO_MEMORY. */
TFN_NODISCARD tfn_code tfn__source_index(tfn_source *s, tfn_error *err);

/**
 * Look up the columns of a scan and check their types.
 *
 * @param indexes  [out, NULL allowed] scan->n_columns of them
 *
 * Errors   TFN_SCHEMA missing, of another type, of a type that Tiffin does not have
 *          TFN_INVALID several columns have the name
 */
TFN_NODISCARD tfn_code tfn__source_resolve(const tfn_source *s, const tfn_scan *scan,
                                           size_t *indexes, tfn_error *err);

/** The type that a column is declared to have in this scan; kind NONE = any. */
static inline tfn_type tfn__scan_get_type(const tfn_scan *scan, size_t i)
{
    return scan->types != NULL ? scan->types[i] : (tfn_type){0};
}

TFN_NODISCARD tfn_code tfn__json_add_scan(tfn_buf *out, const tfn_scan *scan, tfn_error *err);

#endif
