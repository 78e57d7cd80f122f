/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_MISSES_H
#define TFN_SERVER_MISSES_H

/*
 * Requests that made no sense, of one context, and why: a client that asks again and again for what
 * is not there is told so without a search of the registry. They hold for one state of the registry.
 */

#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum { TFN_MOST_MISSES = 64, TFN_MOST_MISSED_KEY_BYTES = 1024 };

/** What a request names that is not there. */
typedef enum tfn_missing {
    TFN_MISSING_NOTHING = 0, /* something else is wrong with it */
    TFN_MISSING_SERVICE = 1,
    TFN_MISSING_VIEW = 2,
    TFN_MISSING_FEATURE = 3 /* its view is there */
} tfn_missing;

typedef struct tfn_miss {
    uint64_t hash;
    int64_t commit;
    char *key; /* [own] n_key bytes; NULL: a free place */
    size_t n_key;
    char *sentence; /* [own] */
    tfn_code code;
    tfn_missing missing;
} tfn_miss;

/** Zeroed = empty. A new one takes the place of an older one of equal hash. */
typedef struct tfn_misses {
    tfn_miss items[TFN_MOST_MISSES];
} tfn_misses;

/** @return [borrow until the next note] NULL: there is none. Threads one at a time. Errors none. */
const tfn_miss *tfn_misses_find(const tfn_misses *misses, tfn_str key, uint64_t hash,
                                int64_t commit);

/**
 * Remember one. A long key is not: what is kept is bounded.
 *
 * @param key  [copy] what the request is found by
 * @param why  [copy] its code and sentence
 *
 * Threads  one at a time
 * Errors   none: without memory it is not remembered
 */
void tfn_misses_note(tfn_misses *misses, tfn_str key, uint64_t hash, int64_t commit,
                     tfn_missing missing, const tfn_error *why);

/** Threads one at a time. Errors none. */
void tfn_misses_clear(tfn_misses *misses);

#endif
