/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The slot map of a cluster: which master owns each of 16,384 slots. Read from CLUSTER SLOTS, which
 * Redis 3 to 8 and Valkey answer alike; immutable once made, and shared by counting references, so
 * that a batch keeps the map that it was routed by while another thread publishes a newer one.
 *
 * A key's slot is CRC-16 (XMODEM) of the key, or of what stands between its first '{' and the next
 * '}' if that is not empty.
 */

#include <string.h>

#include "base/mem.h"
#include "online/redis_client_internal.h"

#include "base/poison.h"

/* Four bits at a time: a table of 16, which fits a cache line, for keys of some ten bytes. */
static uint16_t crc16(tfn_str bytes)
{
    static const uint16_t by_nibble[16] = {0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5,
                                           0x60c6, 0x70e7, 0x8108, 0x9129, 0xa14a, 0xb16b,
                                           0xc18c, 0xd1ad, 0xe1ce, 0xf1ef};
    uint16_t crc = 0;
    for (size_t i = 0; i < bytes.n; i++) {
        const unsigned byte = (unsigned char)bytes.p[i];
        crc = (uint16_t)((crc << 4) ^ by_nibble[((unsigned)(crc >> 12) ^ (byte >> 4)) & 15]);
        crc = (uint16_t)((crc << 4) ^ by_nibble[((unsigned)(crc >> 12) ^ byte) & 15]);
    }
    return crc;
}

uint16_t tfn__redis_slot_of(tfn_str key)
{
    const char *open = key.n == 0 ? NULL : (const char *)memchr(key.p, '{', key.n);
    if (open != NULL) {
        const size_t n_left = key.n - (size_t)(open + 1 - key.p);
        const char *close = n_left == 0 ? NULL : (const char *)memchr(open + 1, '}', n_left);
        if (close != NULL && close > open + 1) {
            key = (tfn_str){open + 1, (size_t)(close - open - 1)};
        }
    }
    return (uint16_t)(crc16(key) % TFN__REDIS_SLOTS);
}

tfn__redis_node *tfn__redis_slots_get_owner(const tfn__redis_slots *slots, uint16_t slot)
{
    const uint16_t place = slots->owners[slot];
    return place == 0 ? NULL : slots->masters[place - 1];
}

void tfn__redis_slots_release(tfn__redis_slots *slots)
{
    if (slots != NULL &&
        atomic_fetch_sub_explicit(&slots->n_references, 1, memory_order_acq_rel) == 1) {
        tfn_mem_free(slots->masters);
        tfn_mem_free(slots);
    }
}

static tfn_code fail_shape(const tfn__redis_node *asked, tfn_error *err)
{
    return TFN_FAIL(err, TFN_CORRUPT,
                    "Redis at %s:%d answered CLUSTER SLOTS with something that is no slot map",
                    asked->host, asked->port);
}

/* One entry: first slot, last slot, [host, port, ...] of the master, replicas... */
static tfn_code add_range(tfn_redis *redis, const tfn__redis_node *asked,
                          const tfn_redis_reply *entry, tfn__redis_slots *slots, tfn_error *err)
{
    if (entry->type != TFN_REDIS_ARRAY || entry->n_elements < 3 ||
        entry->elements[0].type != TFN_REDIS_INTEGER ||
        entry->elements[1].type != TFN_REDIS_INTEGER ||
        entry->elements[2].type != TFN_REDIS_ARRAY || entry->elements[2].n_elements < 2) {
        return fail_shape(asked, err);
    }
    const int64_t first = entry->elements[0].integer;
    const int64_t last = entry->elements[1].integer;
    const tfn_redis_reply *master = entry->elements[2].elements;
    if (first < 0 || last < first || last >= TFN__REDIS_SLOTS ||
        master[1].type != TFN_REDIS_INTEGER || master[1].integer < 1 || master[1].integer > 65535) {
        return fail_shape(asked, err);
    }
    /* A node that does not know its own address says nothing: it is the one that we asked. */
    const tfn_str host = master[0].text.n == 0 || tfn_str_is(master[0].text, "?")
                             ? tfn_str_of(asked->host)
                             : master[0].text;
    tfn__redis_node *node = NULL;
    TFN_RETURN_IF_ERROR(
        tfn__redis_get_node(redis, host, (int)master[1].integer, false, &node, err));
    size_t place = 0;
    while (place < slots->n_masters && slots->masters[place] != node) {
        place++;
    }
    if (place == slots->n_masters) {
        slots->masters[slots->n_masters++] = node;
    }
    for (int64_t slot = first; slot <= last; slot++) {
        slots->owners[slot] = (uint16_t)(place + 1);
    }
    return TFN_OK;
}

tfn_code tfn__redis_slots_create(tfn_redis *redis, const tfn__redis_node *asked,
                                 const tfn_redis_reply *reply, tfn__redis_slots **out,
                                 tfn_error *err)
{
    *out = NULL;
    if (reply->type != TFN_REDIS_ARRAY || reply->n_elements > TFN__REDIS_SLOTS) {
        return fail_shape(asked, err);
    }
    void *memory = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn__redis_slots), &memory, err));
    tfn__redis_slots *slots = (tfn__redis_slots *)memory;
    atomic_init(&slots->n_references, 1);
    void *masters = NULL;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(
        rc, tfn_mem_alloc_array(reply->n_elements, sizeof(tfn__redis_node *), &masters, err), done);
    slots->masters = (tfn__redis_node **)masters;
    for (size_t i = 0; i < reply->n_elements; i++) {
        TFN_GOTO_IF_ERROR(rc, add_range(redis, asked, &reply->elements[i], slots, err), done);
    }
done:
    if (rc != TFN_OK) {
        tfn__redis_slots_release(slots);
        return rc;
    }
    *out = slots;
    return TFN_OK;
}
