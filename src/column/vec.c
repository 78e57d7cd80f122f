/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Accessors of vectors: one switch over the layout per value.
 *
 * The int64 case of tfn_vec_get_int is inlined in the header; kernels that must be faster than a
 * call per value (keys, gathers) look at `layout` and `number` once per chunk and loop over the
 * memory themselves. Values are loaded with memcpy: producers may hand out unaligned buffers.
 */

#include "column/vec.h"

#include <assert.h>

#include "base/poison.h"

enum { MILLIS_PER_DAY = 86400000, VIEW_BYTES = 16, VIEW_INLINE_BYTES = 12 };

/* Load one value of type T at element i of p. */
#define LOAD(T, value, p, i)                                                                       \
    memcpy(&(value), (const char *)(p) + (size_t)(i) * sizeof(T), sizeof(T))

static int64_t floor_div_day(int64_t millis)
{
    return millis / MILLIS_PER_DAY - (millis % MILLIS_PER_DAY < 0 ? 1 : 0);
}

static int64_t load_signed(const tfn_vec *v, int64_t at)
{
    int8_t i8 = 0;
    int16_t i16 = 0;
    int32_t i32 = 0;
    int64_t i64 = 0;
    switch (v->number) {
    case TFN_NUMBER_I8:
        LOAD(int8_t, i8, v->data, at);
        return i8;
    case TFN_NUMBER_I16:
        LOAD(int16_t, i16, v->data, at);
        return i16;
    case TFN_NUMBER_I32:
        LOAD(int32_t, i32, v->data, at);
        return i32;
    default:
        LOAD(int64_t, i64, v->data, at);
        return v->number == TFN_NUMBER_DATE64 ? floor_div_day(i64) : i64;
    }
}

static uint64_t load_unsigned(const tfn_vec *v, int64_t at)
{
    uint8_t u8 = 0;
    uint16_t u16 = 0;
    uint32_t u32 = 0;
    uint64_t u64 = 0;
    switch (v->number) {
    case TFN_NUMBER_U8:
        LOAD(uint8_t, u8, v->data, at);
        return u8;
    case TFN_NUMBER_U16:
        LOAD(uint16_t, u16, v->data, at);
        return u16;
    case TFN_NUMBER_U32:
        LOAD(uint32_t, u32, v->data, at);
        return u32;
    default:
        LOAD(uint64_t, u64, v->data, at);
        return u64;
    }
}

static bool is_unsigned(const tfn_vec *v)
{
    return v->number >= TFN_NUMBER_U8 && v->number <= TFN_NUMBER_U64;
}

int64_t tfn__vec_get_int_other(const tfn_vec *v, int64_t i)
{
    const int64_t at = v->offset + i;
    if (v->layout == TFN_LAYOUT_BITS) {
        return (((const uint8_t *)v->data)[at >> 3] >> (at & 7)) & 1;
    }
    assert(v->layout == TFN_LAYOUT_FIXED);
    return is_unsigned(v) ? (int64_t)load_unsigned(v, at) : load_signed(v, at);
}

/* IEEE 754 half precision: 1 sign, 5 exponent (bias 15), 10 fraction bits. */
static double double_of_half(uint16_t half)
{
    const uint64_t sign = (uint64_t)(half >> 15) << 63;
    const uint64_t exponent = (half >> 10) & 31u;
    const uint64_t fraction = half & 1023u;
    uint64_t bits = 0;
    if (exponent == 0) { /* zero and subnormals: fraction * 2^-24 */
        const double magnitude = (double)fraction / 16777216.0;
        return sign != 0 ? -magnitude : magnitude;
    }
    if (exponent == 31) {
        bits = sign | UINT64_C(0x7ff) << 52 | fraction << 42;
    } else {
        bits = sign | (exponent + 1023 - 15) << 52 | fraction << 42;
    }
    double value = 0;
    memcpy(&value, &bits, sizeof value);
    return value;
}

double tfn_vec_get_float(const tfn_vec *v, int64_t i)
{
    const int64_t at = v->offset + i;
    uint16_t f16 = 0;
    float f32 = 0;
    double f64 = 0;
    switch (v->number) {
    case TFN_NUMBER_F64:
        LOAD(double, f64, v->data, at);
        return f64;
    case TFN_NUMBER_F32:
        LOAD(float, f32, v->data, at);
        return (double)f32;
    case TFN_NUMBER_F16:
        LOAD(uint16_t, f16, v->data, at);
        return double_of_half(f16);
    case TFN_NUMBER_U64:
        return (double)load_unsigned(v, at);
    default:
        return (double)tfn_vec_get_int(v, i);
    }
}

/* Arrow's view: i32 length | 12 bytes inline, or 4 bytes prefix, i32 buffer, i32 offset. */
static tfn_str str_of_arrow_view(const tfn_vec *v, int64_t at)
{
    const char *view = (const char *)v->data + (size_t)at * VIEW_BYTES;
    int32_t n = 0;
    memcpy(&n, view, sizeof n);
    if (n <= VIEW_INLINE_BYTES) {
        return (tfn_str){view + 4, (size_t)n};
    }
    int32_t i_buffer = 0;
    int32_t offset = 0;
    memcpy(&i_buffer, view + 8, sizeof i_buffer);
    memcpy(&offset, view + 12, sizeof offset);
    return (tfn_str){(const char *)v->buffers[i_buffer] + offset, (size_t)n};
}

/* DuckDB's string: u32 length | 12 bytes inline, or 4 bytes prefix and a pointer. */
static tfn_str str_of_duck(const tfn_vec *v, int64_t at)
{
    const char *string = (const char *)v->data + (size_t)at * VIEW_BYTES;
    uint32_t n = 0;
    memcpy(&n, string, sizeof n);
    if (n <= VIEW_INLINE_BYTES) {
        return (tfn_str){string + 4, n};
    }
    const char *p = NULL;
    memcpy(&p, string + 8, sizeof p);
    return (tfn_str){p, n};
}

/* Offsets i and i + 1 of a 32- or 64-bit offset layout. */
static tfn_range offsets_at(const tfn_vec *v, int64_t at)
{
    if (v->layout == TFN_LAYOUT_OFFSET32) {
        int32_t ends[2] = {0, 0};
        memcpy(ends, (const char *)v->data + (size_t)at * sizeof ends[0], sizeof ends);
        return (tfn_range){ends[0], (int64_t)ends[1] - ends[0]};
    }
    int64_t ends[2] = {0, 0};
    memcpy(ends, (const char *)v->data + (size_t)at * sizeof ends[0], sizeof ends);
    return (tfn_range){ends[0], ends[1] - ends[0]};
}

tfn_str tfn_vec_get_str(const tfn_vec *v, int64_t i)
{
    const int64_t at = v->offset + i;
    switch (v->layout) {
    case TFN_LAYOUT_OFFSET32:
    case TFN_LAYOUT_OFFSET64: {
        const tfn_range range = offsets_at(v, at);
        return (tfn_str){v->bytes + range.begin, (size_t)range.n};
    }
    case TFN_LAYOUT_ARROW_VIEW:
        return str_of_arrow_view(v, at);
    case TFN_LAYOUT_DUCK_STRING:
        return str_of_duck(v, at);
    case TFN_LAYOUT_FIXED_BYTES:
        return (tfn_str){(const char *)v->data + at * v->list_width, (size_t)v->list_width};
    default:
        assert(!"a vector of strings has one of these layouts");
        return (tfn_str){NULL, 0};
    }
}

tfn_range tfn_vec_get_list(const tfn_vec *v, int64_t i)
{
    const int64_t at = v->offset + i;
    switch (v->layout) {
    case TFN_LAYOUT_OFFSET32:
    case TFN_LAYOUT_OFFSET64:
        return offsets_at(v, at);
    case TFN_LAYOUT_DUCK_LIST: {
        uint64_t entry[2] = {0, 0};
        memcpy(entry, (const char *)v->data + (size_t)at * sizeof entry, sizeof entry);
        return (tfn_range){(int64_t)entry[0], (int64_t)entry[1]};
    }
    case TFN_LAYOUT_FIXED_LIST:
        return (tfn_range){at * v->list_width, v->list_width};
    default:
        assert(!"a vector of lists has one of these layouts");
        return (tfn_range){0, 0};
    }
}
