/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * When a node may be tried.
 *
 * Two failures are forgiven: the next call tries again. The third in a row opens the breaker; calls
 * are refused at once until the back-off is over. Then one caller tries. If nobody hears of its
 * outcome (its thread is gone: a fork), the next one is let through after the time that a try takes.
 * Failures of calls that were under way when the breaker opened do not lengthen the back-off.
 *
 * Time and randomness are arguments.
 */

#include <stdio.h>

#include "online/redis_client_internal.h"

#include "base/poison.h"

static const uint32_t MAX_FORGIVEN = 2;
static const double FIRST_BACKOFF_S = 0.1;
static const double MAX_BACKOFF_S = 5.0;

bool tfn__redis_breaker_allows(tfn__redis_breaker *breaker, double now_s, double try_s)
{
    if (!breaker->is_open) {
        return true;
    }
    if (now_s < breaker->next_try_s) {
        return false;
    }
    breaker->is_tried = true;
    breaker->next_try_s = now_s + try_s;
    return true;
}

void tfn__redis_breaker_note_reply(tfn__redis_breaker *breaker)
{
    if (breaker->n_failures > 0) {
        *breaker = (tfn__redis_breaker){0};
    }
}

void tfn__redis_breaker_note_untried(tfn__redis_breaker *breaker, double now_s)
{
    if (breaker->is_open && breaker->is_tried) {
        breaker->is_tried = false;
        breaker->next_try_s = now_s;
    }
}

void tfn__redis_breaker_note_failure(tfn__redis_breaker *breaker, double now_s, double jitter,
                                     const char *reason)
{
    (void)snprintf(breaker->reason, sizeof(breaker->reason), "%s", reason);
    if (breaker->n_failures == 0) {
        breaker->since_s = now_s;
    }
    if (breaker->n_failures < UINT32_MAX) {
        breaker->n_failures++;
    }
    if (breaker->n_failures <= MAX_FORGIVEN || (breaker->is_open && !breaker->is_tried)) {
        return;
    }
    double backoff_s = FIRST_BACKOFF_S;
    for (uint32_t i = 0; i < breaker->n_openings && backoff_s < MAX_BACKOFF_S; i++) {
        backoff_s *= 2;
    }
    backoff_s = backoff_s < MAX_BACKOFF_S ? backoff_s : MAX_BACKOFF_S;
    breaker->n_openings++;
    breaker->is_open = true;
    breaker->is_tried = false;
    breaker->next_try_s = now_s + backoff_s * (0.5 + jitter / 2);
}
