/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_OFFLINE_KERNEL_H
#define TFN_OFFLINE_KERNEL_H

/* The join's kernel: chunks of the source in, best rows in the slots out. */

#include "offline/block.h"
#include "offline/slots.h"
#include "offline/spine.h"
#include "offline/values.h"
#include "offline/walk.h"

/* What one thread keeps while it consumes. */
typedef struct tfn__kernel_worker {
    tfn__block block;
    int64_t need[TFN__BLOCK_ROWS];   /* per listed row: earliest entity time that may see it */
    uint32_t place[TFN__BLOCK_ROWS]; /* its bucket, then its group, then its slot */
    tfn__way *ways;                  /* one step: per feature */
    tfn__writer writer;
    int64_t n_without_match;
    int64_t n_too_late;
    int64_t n_expired;
    int64_t n_eligible;
    int64_t n_saturated;
} tfn__kernel_worker;

typedef struct tfn__kernel {
    const tfn_spine *spine;
    tfn__slot *slots;
    tfn__block_rule rule;
    bool filter_by_created;
    tfn__rescale event_up;   /* event unit -> entity unit */
    tfn__rescale created_up; /* created unit -> entity unit */
    tfn__age age;
    const tfn__record_plan *plan; /* one step: how values lie in records; NULL in two steps */
    char *records;                /* one step: a record per slot */
    tfn__kernel_worker *workers;
    int n_workers;
} tfn__kernel;

/**
 * Make workers. The other members are the caller's.
 *
 * Errors   TFN_NO_MEMORY; deinit is needed all the same
 */
TFN_NODISCARD tfn_code tfn__kernel_init(tfn__kernel *k, int n_workers, tfn_error *err);
void tfn__kernel_deinit(tfn__kernel *k);

/** A tfn_chunk_fn; context is the kernel. Errors as tfn__block_read and tfn__record_put. */
TFN_NODISCARD tfn_code tfn__kernel_consume(void *context, int worker, const tfn_chunk *chunk,
                                           tfn_error *err);

#endif
