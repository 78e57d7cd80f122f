/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_ONLINE_REDIS_CLIENT_H
#define TFN_ONLINE_REDIS_CLIENT_H

/*
 * The connection to Redis or Valkey: commands in batches, to one server, to the master behind
 * sentinels, or to all nodes of a cluster. Knows nothing of features; redis_engine.c is built on it.
 *
 * A batch is one round trip: its commands are grouped by node, sent to all nodes, and then the
 * replies of all nodes are awaited together. Time-outs are of the whole batch.
 *
 * Commands must bear being run twice. A connection that dies after a command left and before its
 * reply came says nothing about whether the command ran; the batch then sends it once more.
 *
 * What is away answers at once. Each node has a breaker: after three failures in a row, calls get
 * TFN_UNAVAILABLE without any I/O until a back-off of 0.1 s, doubled up to 5 s and jittered, is
 * over; then one caller tries, and the first reply closes the breaker.
 *
 * libvalkey connects, speaks TLS and parses replies. Its cluster calls are not used: their
 * pipelines do not follow MOVED and ASK, wait for one node after the other, and belong to one
 * thread; a slot map is less code than working around that (docs/decisions/008-libvalkey.md).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

/** One per online handle: nodes, their idle connections and breakers. */
typedef struct tfn_redis tfn_redis;
/** Commands that leave together, and their replies. */
typedef struct tfn_redis_batch tfn_redis_batch;

/* ---- configuration ---- */

typedef enum tfn_redis_kind {
    TFN_REDIS_SINGLE = 0,  /* one server; addresses[0] */
    TFN_REDIS_CLUSTER = 1, /* any node of it that answers tells the others */
    TFN_REDIS_SENTINEL = 2 /* addresses are the sentinels' */
} tfn_redis_kind;

/** How much of a server's certificate is checked. */
typedef enum tfn_redis_verify {
    TFN_REDIS_VERIFY_HOST = 0,  /* signed by a trusted authority, for the name that we connect to */
    TFN_REDIS_VERIFY_CHAIN = 1, /* signed by a trusted authority */
    TFN_REDIS_VERIFY_NONE = 2
} tfn_redis_verify;

typedef struct tfn_redis_address {
    const char *host; /* name, IPv4 or IPv6 address without brackets */
    int port;
} tfn_redis_address;

enum {
    TFN_REDIS_CONNECT_TIMEOUT_MS = 1000, /* defaults */
    TFN_REDIS_TIMEOUT_MS = 2000,
    TFN_REDIS_MAX_TIMEOUT_MS = 3600 * 1000
};

/** All-zero means defaults, but for addresses. Texts that are NULL are not given. */
typedef struct tfn_redis_config {
    tfn_redis_kind kind;
    const tfn_redis_address *addresses;
    size_t n_addresses;
    int database; /* 0 in a cluster */

    const char *username; /* of ACLs; NULL: the default user */
    const char *password;
    const char *sentinel_master;   /* name of the master that sentinels watch */
    const char *sentinel_username; /* for the sentinels themselves */
    const char *sentinel_password;

    bool use_tls;
    tfn_redis_verify verify;
    const char *ca_path;   /* file or folder of authorities, PEM; NULL: the system's */
    const char *cert_path; /* client certificate and key, PEM: both or none */
    const char *key_path;

    int64_t connect_timeout_ms; /* of one connection, TLS included; 0: the default */
    int64_t timeout_ms;         /* for the replies of a batch; all of it takes at most both; 0:
                                   the default */
    uint64_t seed;              /* of the jitter */
} tfn_redis_config;

/* ---- client ---- */

/**
 * Make a client. No I/O but reading certificates: it connects when first used.
 *
 * @param config  [copy]
 * @param out     [own] ends with tfn_redis_destroy; shared by all threads. After a fork the child
 *                uses it too: it closes its copies of the parent's sockets and connects itself
 *
 * Threads  any
 * Errors   TFN_INVALID a setting makes no sense, or a certificate cannot be used; the sentence names
 *          the setting . TFN_NO_MEMORY
 */
TFN_NODISCARD tfn_code tfn_redis_create(const tfn_redis_config *config, tfn_redis **out,
                                        tfn_error *err);

/** NULL is fine. All its batches are gone. Threads one at a time. Errors none. */
void tfn_redis_destroy(tfn_redis *redis);

/* ---- batches ---- */

typedef enum tfn_redis_type {
    TFN_REDIS_NIL = 0,
    TFN_REDIS_STRING = 1, /* text: any bytes */
    TFN_REDIS_STATUS = 2, /* text: "OK" */
    TFN_REDIS_ERROR = 3,  /* text: "NOSCRIPT No matching script." */
    TFN_REDIS_INTEGER = 4,
    TFN_REDIS_ARRAY = 5
} tfn_redis_type;

/** A reply; everything in it is borrowed until the batch is cleared, run again or destroyed. */
typedef struct tfn_redis_reply tfn_redis_reply;
struct tfn_redis_reply {
    tfn_redis_type type;
    tfn_str text; /* NUL-terminated behind n */
    int64_t integer;
    const tfn_redis_reply *elements; /* in one piece */
    size_t n_elements;
};

/** Empty batch. @param out [own] ends with tfn_redis_batch_destroy. Threads any. Errors
 * TFN_NO_MEMORY. */
TFN_NODISCARD tfn_code tfn_redis_batch_create(tfn_redis *redis, tfn_redis_batch **out,
                                              tfn_error *err);

/** NULL is fine. Threads one at a time. Errors none. */
void tfn_redis_batch_destroy(tfn_redis_batch *batch);

/** Forget commands and replies, but keep the memory. Threads one at a time. Errors none. */
void tfn_redis_batch_clear(tfn_redis_batch *batch);

/**
 * Add a command; the n-th added has reply n.
 *
 * @param routing_key  [borrow] its key: decides the node of a cluster (with its {tag}, if it has
 *                     one); not looked at otherwise
 * @param args         [copy] n_args words, any bytes
 *
 * Cost     a copy; allocates only while the batch grows
 * Threads  one at a time
 * Errors   TFN_LIMIT the batch would pass 1 GiB, or 16 M commands . TFN_NO_MEMORY. The batch is as
 *          it was
 */
TFN_NODISCARD tfn_code tfn_redis_batch_add(tfn_redis_batch *batch, tfn_str routing_key,
                                           const tfn_str *args, size_t n_args, tfn_error *err);

/**
 * Send all commands and wait for all replies. Follows MOVED and ASK, and repeats, within the
 * time-out, what a node put off (TRYAGAIN, CLUSTERDOWN, LOADING, MASTERDOWN; behind sentinels also
 * READONLY). Any other error of Redis is a reply: the caller judges it.
 *
 * Commands of the same node run in the order in which they were added (not across a repetition);
 * there is no atomicity. May be called again: everything is then sent again.
 *
 * Shape    for batches of up to some thousand commands: they are held in memory, as are replies
 * Cost     a write and as many reads as the replies need; no lock is held meanwhile
 * Threads  one at a time per batch; different batches at once
 * Errors   TFN_UNAVAILABLE a node is away, refuses connections, does not answer in time, or is not
 *          ready; the sentence says since when, why and when it is tried next
 *          TFN_INVALID user or password refused, no such database
 *          TFN_CORRUPT a peer that does not speak the protocol . TFN_NO_MEMORY
 *          After an error some commands may have run; there are no replies
 */
TFN_NODISCARD tfn_code tfn_redis_batch_run(tfn_redis_batch *batch, tfn_error *err);

/** Number of commands. Threads as the batch. Errors none. */
size_t tfn_redis_batch_get_count(const tfn_redis_batch *batch);

/**
 * Reply of the i-th command, after a run that succeeded.
 *
 * @return [borrow until the batch is cleared, run again or destroyed] never NULL
 *
 * Threads  one at a time (the batch's)
 * Errors   none
 */
const tfn_redis_reply *tfn_redis_batch_get_reply(const tfn_redis_batch *batch, size_t i);

/* ---- all masters ---- */

/** Handles some keys; what it returns, unless TFN_OK, ends the scan and is its result. */
typedef tfn_code (*tfn_redis_keys_fn)(void *context, const tfn_str *keys, size_t n_keys,
                                      tfn_error *err);

/**
 * Go through the keys that match a pattern, on every master. A key may come twice, and one that is
 * made or moved meanwhile may be missed: Redis promises no more.
 *
 * @param pattern  [borrow] of Redis, with \\ before what is meant literally
 * @param fn       gets borrowed keys, some at a time; may run batches of its own
 *
 * Cost     O(keys of the servers), a round trip per 1,000
 * Threads  any
 * Errors   as tfn_redis_batch_run; and fn's
 */
TFN_NODISCARD tfn_code tfn_redis_scan(tfn_redis *redis, tfn_str pattern, tfn_redis_keys_fn fn,
                                      void *context, tfn_error *err);

#endif
