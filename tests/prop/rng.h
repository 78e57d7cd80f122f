/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_TESTS_RNG_H
#define TFN_TESTS_RNG_H

/* Random numbers for tests: splitmix64, its state passed along, so that a seed is a history. */

#include <stdbool.h>
#include <stdint.h>

typedef struct rng {
    uint64_t state;
} rng;

__attribute__((unused)) static uint64_t rng_next(rng *r)
{
    r->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t x = r->state;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* 0 .. n - 1; n > 0. */
__attribute__((unused)) static uint64_t rng_below(rng *r, uint64_t n)
{
    return rng_next(r) % n;
}

/* True in n of 100 cases. */
__attribute__((unused)) static bool rng_percent(rng *r, unsigned n)
{
    return rng_below(r, 100) < n;
}

#endif
