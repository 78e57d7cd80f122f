/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_OFFLINE_SPINE_H
#define TFN_OFFLINE_SPINE_H

/* The index of the entity rows, as the kernel and the walk read it. */

#include "offline/keytable.h"
#include "offline/offline.h"

#define TFN__NO_SLOT UINT32_MAX

struct tfn_spine {
    tfn_key_plan plan;
    tfn__keytable groups;  /* key -> group */
    uint32_t *group_begin; /* n_groups + 1: first slot of each group */
    int64_t *times;        /* of each slot, in `unit`: ascending and distinct within a group */
    uint32_t *row_slot;    /* of each row, or TFN__NO_SLOT (a null in its key) */
    int64_t n_rows;
    int64_t n_rows_without_key;
    uint32_t n_slots;
    tfn_unit unit; /* the entity time column's own; dates are in seconds */
    int64_t time_min;
    int64_t time_max;
    double build_seconds;
};

/** First slot of `group` whose time is >= `time`, or group_begin[group + 1]: branch-free. */
static inline uint32_t tfn__spine_find(const tfn_spine *s, uint32_t group, int64_t time)
{
    const int64_t *at = s->times + s->group_begin[group];
    size_t n = s->group_begin[group + 1] - s->group_begin[group];
    while (n > 1) {
        const size_t half = n / 2;
        at += half & -(size_t)(at[half - 1] < time); /* a conditional is compiled to a jump */
        n -= half;
    }
    return (uint32_t)(at - s->times) + (*at < time ? 1u : 0u);
}

/** Bytes held from the heap. */
int64_t tfn__spine_get_bytes(const tfn_spine *s);

#endif
