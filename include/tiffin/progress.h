/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TIFFIN_PROGRESS_H
#define TIFFIN_PROGRESS_H

/** How a long call tells how far it is, and how it is asked to stop. */

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tfn_progress {
    const char *what;   /* what is being done to which object, e.g. "reading weather"; UTF-8 */
    int64_t rows_done;  /* of this step; never negative */
    int64_t rows_total; /* -1 = unknown */
} tfn_progress;

/**
 * Called on the caller's own thread about every 50 ms while a long call runs.
 *
 * @param context   [borrow] what was given with the callback
 * @param progress  [borrow] valid during the call
 * @return 0 to go on; anything else ends the long call with TFN_CANCELLED
 *
 * Threads  the caller's
 * Errors   none
 */
typedef int (*tfn_tick_fn)(void *context, const tfn_progress *progress);

#ifdef __cplusplus
}
#endif

#endif
