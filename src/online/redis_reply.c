/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Replies: libvalkey's parser calls these functions for each value that it has read, and what they
 * return is the reply. An array's elements stand in one piece, so a value inside an array needs no
 * memory but its bytes; all of it is in the batch's arena and is never freed one by one.
 *
 * We speak RESP2. A peer that sends types of RESP3 unasked gets them read as their nearest kin.
 */

#include <valkey/valkey.h>

#include "online/redis_client_internal.h"

#include "base/poison.h"

/* Where the value goes: its place in the array that it is in, or a place of its own. */
static tfn_redis_reply *place_of(const valkeyReadTask *task)
{
    if (task->parent != NULL) {
        const tfn_redis_reply *array = (const tfn_redis_reply *)task->parent->obj;
        /* Elements are const for readers only; this is their writer. */
        return (tfn_redis_reply *)(uintptr_t)(array->elements + task->idx);
    }
    void *place = NULL;
    const tfn_code rc =
        tfn_arena_alloc_zero((tfn_arena *)task->privdata, 1, sizeof(tfn_redis_reply), &place, NULL);
    return rc == TFN_OK ? (tfn_redis_reply *)place : NULL;
}

static void *create_string(const valkeyReadTask *task, char *bytes, size_t n_bytes)
{
    tfn_redis_reply *reply = place_of(task);
    const char *copy = NULL;
    if (reply == NULL ||
        tfn_arena_copy((tfn_arena *)task->privdata, bytes, n_bytes, &copy, NULL) != TFN_OK) {
        return NULL;
    }
    reply->type = task->type == VALKEY_REPLY_ERROR    ? TFN_REDIS_ERROR
                  : task->type == VALKEY_REPLY_STATUS ? TFN_REDIS_STATUS
                                                      : TFN_REDIS_STRING;
    reply->text = (tfn_str){copy, n_bytes};
    return reply;
}

static void *create_array(const valkeyReadTask *task, size_t n_elements)
{
    tfn_redis_reply *reply = place_of(task);
    void *elements = NULL;
    if (reply == NULL || tfn_arena_alloc_zero((tfn_arena *)task->privdata, n_elements,
                                              sizeof(tfn_redis_reply), &elements, NULL) != TFN_OK) {
        return NULL;
    }
    reply->type = TFN_REDIS_ARRAY;
    reply->elements = (const tfn_redis_reply *)elements;
    reply->n_elements = n_elements;
    return reply;
}

static void *create_integer(const valkeyReadTask *task, long long value)
{
    tfn_redis_reply *reply = place_of(task);
    if (reply != NULL) {
        reply->type = TFN_REDIS_INTEGER;
        reply->integer = (int64_t)value;
    }
    return reply;
}

static void *create_nil(const valkeyReadTask *task)
{
    tfn_redis_reply *reply = place_of(task);
    if (reply != NULL) {
        reply->type = TFN_REDIS_NIL;
    }
    return reply;
}

/* As text: that is how it was sent. */
static void *create_double(const valkeyReadTask *task, double value, char *text, size_t n_bytes)
{
    (void)value;
    return create_string(task, text, n_bytes);
}

static void *create_bool(const valkeyReadTask *task, int value)
{
    return create_integer(task, value);
}

static void free_nothing(void *reply)
{
    (void)reply; /* the arena's */
}

void tfn__redis_reply_into(tfn__redis_connection *connection, tfn_arena *arena)
{
    /* lint: allow mutable-global - the parser's type of it has no const; nobody writes it */
    static valkeyReplyObjectFunctions functions = {
        .createString = create_string,
        .createArray = create_array,
        .createInteger = create_integer,
        .createDouble = create_double,
        .createNil = create_nil,
        .createBool = create_bool,
        .freeObject = free_nothing,
    };
    valkeyReader *reader = connection->context->reader;
    reader->fn = &functions;
    reader->privdata = arena;
    reader->maxelements = TFN__REDIS_MAX_ELEMENTS;
    reader->maxdepth = TFN__REDIS_MAX_DEPTH;
}
