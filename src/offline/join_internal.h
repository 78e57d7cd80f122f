/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_OFFLINE_JOIN_INTERNAL_H
#define TFN_OFFLINE_JOIN_INTERNAL_H

/* One join while it runs, or while it is explained. */

#include "offline/columns.h"
#include "offline/kernel.h"
#include "offline/pick.h"
#include "offline/radix.h"
#include "offline/slots.h"
#include "offline/spine.h"
#include "offline/values.h"

enum { TFN__JOIN_WHAT_BYTES = 256 };

typedef struct tfn__join {
    const tfn_spine *spine;
    tfn_key_plan keys; /* the spine's, with the source's names for messages */
    const tfn_join_view *view;
    tfn_source *source;
    tfn_offline_opts opts;
    tfn_crew crew; /* works between the scans */
    char what[TFN__JOIN_WHAT_BYTES];
    bool two_step;
    tfn__columns columns;
    tfn__record_plan plan;
    tfn__slot *slots;
    tfn__kernel kernel;
    uint32_t *answer;    /* per slot: its record, or TFN__NO_SLOT */
    tfn__entry *winners; /* (position, slot that got it first) */
    size_t n_winners;
    uint64_t *positions; /* two steps: of winners, ascending */
    tfn__pick pick;
    char *records; /* one step: per slot; two steps: per winner */
} tfn__join;

/** Check that view, spine and source fit, and decide the form. Errors as tfn_join_run; end is
 * needed all the same. */
TFN_NODISCARD tfn_code tfn__join_begin(tfn__join *j, const tfn_spine *spine,
                                       const tfn_join_view *view, tfn_source *source,
                                       const tfn_offline_opts *opts, tfn_error *err);
void tfn__join_end(tfn__join *j);

/** What the scans ask for; consumer, label and ranges are still to be set. The first one needs a
 * spine that has slots. */
tfn_scan tfn__join_first_scan(const tfn__join *j);
tfn_scan tfn__join_second_scan(const tfn__join *j);

#endif
