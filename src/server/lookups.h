/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_LOOKUPS_H
#define TFN_SERVER_LOOKUPS_H

/*
 * Requests that were resolved before, of one context: what was asked for -> a prepared lookup. The
 * number is bounded; the one that was not used for longest goes. Finding one allocates nothing.
 */

#include "base/arena.h"
#include "base/time.h"
#include "server/exchange.h"
#include "server/feature_log.h"
#include "server/misses.h"

enum { TFN_MOST_LOOKUPS = 1024 /* that a context keeps */ };

/** What a request asks for: a service, or features ("view:feature"), in this order. */
typedef struct tfn_asked {
    tfn_str service; /* p == NULL: features */
    const tfn_str *features;
    size_t n_features;
    bool full_names; /* "view__feature" */
} tfn_asked;

/** A request that was resolved. */
typedef struct tfn_known {
    tfn_lookup *lookup;    /* NULL: only Python can answer it */
    const char *on_demand; /* then: the first on-demand view that it needs */
    tfn_log_wish wish;     /* zeroed unless it is of a service that is logged */
    int64_t commit;        /* whose definitions the wish follows; -1 before the first answer */
} tfn_known;

/** @param out  [own] ends with tfn_lookups_destroy. Threads one at a time. Errors TFN_NO_MEMORY. */
TFN_NODISCARD tfn_code tfn_lookups_create(tfn_lookups **out, tfn_error *err);
void tfn_lookups_destroy(tfn_lookups *lookups);

/**
 * The lookup of a request: as it was resolved before, or resolved now. One that needs Python is
 * resolved anew when it is older than a second, because an apply may have changed that. One that
 * made no sense is refused as before until the next apply.
 *
 * @param clock    [borrow] looked at when one needs Python, or is resolved
 * @param scratch  for the key that it is found by
 * @param out      [borrow until the next call on `lookups`]
 *
 * Threads  one at a time
 * Errors   as tfn_store_prepare, but for on-demand views . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_lookups_get(tfn_lookups *lookups, tfn_store *store,
                                       const tfn_asked *asked, const tfn_clock *clock,
                                       tfn_arena *scratch, tfn_known **out, tfn_error *err);

/** What was not there, when tfn_lookups_get said TFN_NOT_FOUND. Threads one at a time. Errors none. */
tfn_missing tfn_lookups_get_missing(const tfn_lookups *lookups);

/** Resolve it anew next time. Threads one at a time. Errors none. */
void tfn_lookups_forget(tfn_lookups *lookups, tfn_known *known);

/**
 * Bring the wish of a lookup up to the definitions that an answer followed.
 *
 * Threads  one at a time
 * Errors   as tfn_log_wish_read; then nothing is wished until the next commit
 */
TFN_NODISCARD tfn_code tfn_lookups_follow(tfn_lookups *lookups, tfn_store *store, tfn_known *known,
                                          int64_t commit, tfn_arena *scratch, tfn_error *err);

/** A number in 0 .. 1 to sample by; never the same row of numbers in two contexts. */
double tfn_lookups_draw(tfn_lookups *lookups);

/** How many there are. Threads one at a time. Errors none. */
size_t tfn_lookups_get_n(const tfn_lookups *lookups);

#endif
