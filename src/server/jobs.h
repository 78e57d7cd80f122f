/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_JOBS_H
#define TFN_SERVER_JOBS_H

/*
 * Threads for what may block: a bounded queue, and one thread per context. Whoever adds an item
 * waits for nothing: a full queue says no.
 */

#include "server/exchange.h"

typedef struct tfn_jobs tfn_jobs;

/**
 * Do an item; it then belongs to nobody here.
 *
 * @param context  [borrow] of this thread, may_block set; NULL: the queue is being stopped, say so
 *                 to whoever waits
 */
typedef void tfn_job_runner(void *owner, tfn_context *context, void *item);

/**
 * @param contexts    [borrow until destroyed] one per thread
 * @param max_waiting items that may wait; those that run are not counted
 * @param out         [own] ends with tfn_jobs_destroy
 *
 * Threads  one at a time
 * Errors   TFN_IO no thread could be started . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_jobs_create(tfn_context *contexts, size_t n_contexts, size_t max_waiting,
                                       tfn_job_runner *run, void *owner, tfn_jobs **out,
                                       tfn_error *err);

/**
 * Add an item, unless the queue is full or being stopped.
 *
 * @param item  [take, when true] run exactly once
 *
 * Threads  any
 * Errors   none: false
 */
bool tfn_jobs_try_add(tfn_jobs *jobs, void *item);

/** Items that wait. Threads any. Errors none. */
size_t tfn_jobs_get_waiting(tfn_jobs *jobs);

/** From now on no item is taken; those that run are finished, those that wait are run with no
 * context. Threads one at a time, while others may still add. NULL is fine. */
void tfn_jobs_stop(tfn_jobs *jobs);

/** Stops first. Threads one at a time, when nobody adds any more. NULL is fine. */
void tfn_jobs_destroy(tfn_jobs *jobs);

#endif
