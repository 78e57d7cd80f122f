/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_ONLINE_BYTES_H
#define TFN_ONLINE_BYTES_H

/*
 * Integers in stored bytes, at any alignment, on any machine: little endian in values, big endian
 * in keys (so that they sort). Compilers turn each into one or two instructions.
 */

#include <stddef.h>
#include <stdint.h>

static inline uint32_t tfn__get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t tfn__get_u64(const uint8_t *p)
{
    return (uint64_t)tfn__get_u32(p) | (uint64_t)tfn__get_u32(p + 4) << 32;
}

static inline void tfn__set_u32(uint8_t *p, uint32_t x)
{
    for (size_t i = 0; i < 4; i++) {
        p[i] = (uint8_t)(x >> (8 * i));
    }
}

static inline void tfn__set_u64(uint8_t *p, uint64_t x)
{
    for (size_t i = 0; i < 8; i++) {
        p[i] = (uint8_t)(x >> (8 * i));
    }
}

static inline uint32_t tfn__get_u32_be(const uint8_t *p)
{
    return (uint32_t)p[3] | (uint32_t)p[2] << 8 | (uint32_t)p[1] << 16 | (uint32_t)p[0] << 24;
}

static inline void tfn__set_u32_be(uint8_t *p, uint32_t x)
{
    for (size_t i = 0; i < 4; i++) {
        p[i] = (uint8_t)(x >> (24 - 8 * i));
    }
}

#endif
