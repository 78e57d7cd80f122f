/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Fields of a hash in Redis, as anybody may have written them.
 *
 * Input: u8 kind | u8 is_list | bytes. Read as a value, as an event time, as a pair and as a key;
 * a value that was read, written again, reads the same.
 */

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "online/redis_key.h"
#include "online/redis_value.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static void write_again(tfn_type type, const tfn_cell *cell, tfn_arena *arena)
{
    tfn_buf buf = {0};
    tfn_cell again;
    bool is_type = false;
    const tfn_code written = tfn__redis_value_add(type, cell, &buf, NULL);
    assert(written == TFN_OK);
    (void)written;
    const tfn_code read =
        tfn__redis_value_read(type, tfn_buf_get_str(&buf), arena, &again, &is_type, NULL);
    assert(read == TFN_OK && is_type);
    (void)read;
    assert(again.is_null == cell->is_null && again.bits == cell->bits);
    assert(tfn_str_equal(again.bytes, cell->bytes));
    tfn_buf_deinit(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    if (n_bytes < 2) {
        return 0;
    }
    const tfn_str value = {(const char *)bytes + 2, n_bytes - 2};
    const tfn_type type = {.kind = bytes[0] % (TFN_KIND_TIMESTAMP + 1), .is_list = bytes[1] & 1};
    tfn_arena arena = {0};
    tfn_cell cell;
    tfn_instant time = {0};
    bool is_type = false;
    if (tfn__redis_can_keep(type) &&
        tfn__redis_value_read(type, value, &arena, &cell, &is_type, NULL) == TFN_OK && is_type) {
        write_again(type, &cell, &arena);
    }
    if (tfn__redis_time_read(value, &time, NULL) == TFN_OK) {
        uint8_t again[TFN__REDIS_TIME_MAX_BYTES];
        tfn_instant same = {0};
        const size_t n = tfn__redis_time_write(time, again);
        const tfn_code rc = tfn__redis_time_read((tfn_str){(const char *)again, n}, &same, NULL);
        assert(rc == TFN_OK && tfn_instant_compare(time, same) == 0);
        (void)rc;
    }
    (void)tfn__redis_pair_read(value, time);
    (void)tfn__redis_key_is_of(value, tfn_str_of("p"));
    tfn_arena_deinit(&arena);
    return 0;
}
