/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_TESTS_MODEL_JOIN_H
#define TFN_TESTS_MODEL_JOIN_H

/*
 * The point-in-time join as it is defined: docs/semantics/point-in-time.md, in two nested loops.
 * Times are nanoseconds in 128 bits, so that every int64 of every unit is exact. Keys are numbers
 * that stand for key values. It uses nothing of the engine and changes only with that page.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

__extension__ typedef __int128 model_time;

typedef struct model_row {
    int64_t key;   /* -1: a null in it */
    bool has_time; /* false: null or infinite */
    bool has_created;
    model_time time;
    model_time created;
} model_row;

typedef struct model_join_rule {
    model_time ttl; /* 0 = unbounded */
    bool filter_by_created;
    bool has_known_at;
    model_time known_at;
} model_join_rule;

/* winners[i]: index of the source row that entity row i gets, or -1. Position = index. */
void model_join(const model_row *spine, size_t n_spine, const model_row *source, size_t n_source,
                const model_join_rule *rule, int64_t *winners);

/* Is `a`, at a later position than `b`, to be preferred? (event time, created time, position) */
bool model_beats(const model_row *a, const model_row *b);

#endif
