/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_OFFLINE_SPINE_H
#define TFN_OFFLINE_SPINE_H

/* The index of the entity rows, as the kernel and the walk read it. */

#include <assert.h>

#include "offline/keytable.h"
#include "offline/offline.h"

#define TFN__NO_SLOT UINT32_MAX

/* What the kernel asks of a group, in half a cache line. */
typedef struct tfn__group {
    uint64_t hash; /* of its key */
    int64_t first; /* times of its first and last slot */
    int64_t last;
    uint32_t begin; /* its first slot; the next group's slots follow */
    uint32_t n;     /* slots, at least one */
} tfn__group;

static_assert(sizeof(tfn__group) == 32, "two groups are a cache line");

struct tfn_spine {
    tfn_key_plan plan;
    bool has_exact_hash; /* keys of equal hashes are equal */
    tfn__keytable keys;  /* key -> group; without its hashes */
    tfn__group *groups;
    uint32_t n_groups;
    int64_t *times;     /* of each slot, in `unit`: ascending and distinct within a group */
    uint32_t *row_slot; /* of each row, or TFN__NO_SLOT (a null in its key) */
    int64_t n_rows;
    int64_t n_rows_without_key;
    uint32_t n_slots;
    tfn_unit unit; /* the entity time column's own; dates are in seconds */
    int64_t time_min;
    int64_t time_max;
    double build_seconds;
};

/* A slot and its time. */
typedef struct tfn__place {
    uint32_t slot;
    int64_t time;
} tfn__place;

/** First slot of `g` whose time is >= `time`, which is at most g->last. Branch-free but for groups of one
 * or two slots, whose times stand in the group itself. */
static inline tfn__place tfn__spine_find(const tfn_spine *s, const tfn__group *g, int64_t time)
{
    if (g->n <= 2) {
        const bool is_second = g->first < time;
        return (tfn__place){g->begin + (is_second ? 1u : 0u), is_second ? g->last : g->first};
    }
    const int64_t *at = s->times + g->begin;
    size_t n = g->n;
    while (n > 1) {
        const size_t half = n / 2;
        at += half & -(size_t)(at[half - 1] < time); /* a conditional is compiled to a jump */
        n -= half;
    }
    at += *at < time ? 1 : 0;
    return (tfn__place){(uint32_t)(at - s->times), *at};
}

/** Bytes held from the heap. */
int64_t tfn__spine_get_bytes(const tfn_spine *s);

#endif
