/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_ONLINE_REDIS_CLIENT_INTERNAL_H
#define TFN_ONLINE_REDIS_CLIENT_INTERNAL_H

/*
 * What the files of the Redis client share.
 *
 *   redis_client.c      settings, scans of all masters
 *   redis_batch.c       commands in, replies out; rounds: route, exchange, judge
 *   redis_topology.c    which node: the server, the sentinels' master, the slot's owner
 *   redis_slots.c       the slot map of a cluster
 *   redis_node.c        one server: idle connections, breaker
 *   redis_breaker.c     when a node may be tried
 *   redis_exchange.c    bytes out and replies in, of several connections at once
 *   redis_connection.c  connecting, AUTH, SELECT
 *   redis_tls.c         TLS around a connection
 *   redis_reply.c       replies in an arena, made by libvalkey's parser
 *
 * Locks: tfn_redis.lock (list of nodes, master, slot map), then none; a node's lock (idle
 * connections, breaker). Never two at once, none during I/O. Both survive a fork: what they guard is
 * whole at every instant.
 *
 * Two kinds of errors: functions that speak of a connection leave the bare reason ("Connection
 * refused"); those that speak of a node make the sentence.
 */

#include <poll.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/lock.h"
#include "online/redis_client.h"

struct valkeyContext;
struct ssl_st;
struct ssl_ctx_st;

enum {
    TFN__REDIS_SLOTS = 16384,
    TFN__REDIS_MAX_IDLE = 64,          /* connections that a node keeps */
    TFN__REDIS_MAX_ELEMENTS = 1 << 20, /* of one array in a reply */
    TFN__REDIS_MAX_DEPTH = 16,         /* of arrays in arrays */
    TFN__REDIS_REASON_BYTES = 192
};

/* ---- breaker ---- */

/** When a node may be tried. Zeroed: closed. Guarded by its node's lock. */
typedef struct tfn__redis_breaker {
    uint32_t n_failures; /* in a row */
    uint32_t n_openings; /* in a row: the exponent of the back-off */
    bool is_open;
    bool is_tried; /* open, and somebody is trying */
    double since_s;
    double next_try_s;
    char reason[TFN__REDIS_REASON_BYTES];
} tfn__redis_breaker;

/** May a caller try now? When open and due, yes to one of them, and for `try_s` to no other. */
bool tfn__redis_breaker_allows(tfn__redis_breaker *breaker, double now_s, double try_s);
void tfn__redis_breaker_note_reply(tfn__redis_breaker *breaker);
/** Who was let through did not try: the next one may. */
void tfn__redis_breaker_note_untried(tfn__redis_breaker *breaker, double now_s);
/** `jitter`: 0 to 1. */
void tfn__redis_breaker_note_failure(tfn__redis_breaker *breaker, double now_s, double jitter,
                                     const char *reason);

/* ---- nodes ---- */

typedef struct tfn__redis_connection {
    struct tfn__redis_connection *next; /* in its node's list of idle ones */
    struct valkeyContext *context;
    struct ssl_st *ssl; /* NULL: plain; owned by the context */
    int pid;            /* of the process that made it */
    bool is_fresh;      /* nothing was asked through it yet */
} tfn__redis_connection;

typedef struct tfn__redis_node {
    struct tfn__redis_node *next;
    tfn_redis *redis;
    char *host;
    int port;
    bool is_sentinel;
    tfn_lock lock; /* all that follows */
    tfn__redis_connection *idle;
    size_t n_idle;
    tfn__redis_breaker breaker;
    uint64_t random;
} tfn__redis_node;

/** Who owns which slot. Immutable once published; shared by reference. */
typedef struct tfn__redis_slots {
    atomic_size_t n_references;
    size_t n_masters;
    tfn__redis_node **masters;
    uint16_t owners[TFN__REDIS_SLOTS]; /* 1 + place in masters; 0: nobody */
} tfn__redis_slots;

struct tfn_redis {
    tfn_redis_config config; /* texts and addresses in `arena` */
    tfn_arena arena;         /* used while the client is made only */
    struct ssl_ctx_st *tls;  /* NULL: plain */
    tfn_lock lock;           /* all that follows */
    tfn__redis_node *nodes;  /* grows at its head; nodes live as long as the client */
    tfn__redis_node *master; /* behind sentinels; NULL: to be asked for */
    tfn__redis_slots *slots; /* NULL: to be asked for */
    double refreshed_s;      /* when master or slots were last asked for */
};

/** The node of an address, made when new. */
TFN_NODISCARD tfn_code tfn__redis_get_node(tfn_redis *redis, tfn_str host, int port,
                                           bool is_sentinel, tfn__redis_node **out, tfn_error *err);
void tfn__redis_node_destroy(tfn__redis_node *node);

/**
 * An idle connection or a new one.
 *
 * @param is_fresh  true: a new one, and the idle ones are ended
 * @param out       [own] ends with tfn__redis_node_give
 *
 * Errors   TFN_UNAVAILABLE . TFN_INVALID user, password, database . TFN_NO_MEMORY; a sentence
 */
TFN_NODISCARD tfn_code tfn__redis_node_take(tfn__redis_node *node, bool is_fresh, double deadline_s,
                                            tfn__redis_connection **out, tfn_error *err);
/** Back to the idle ones after all its replies came (the breaker closes); else it is ended. */
void tfn__redis_node_give(tfn__redis_node *node, tfn__redis_connection *connection, bool is_whole);
/** Back to the idle ones, when nothing was asked through it. */
void tfn__redis_node_put_back(tfn__redis_node *node, tfn__redis_connection *connection);
/** Nothing was asked after all: if this caller was the one that may try, another may. */
void tfn__redis_node_put_off_trial(tfn__redis_node *node);
/** Count a failure, and make `err`, which holds its reason, a sentence. Returns its code. */
tfn_code tfn__redis_node_fail(tfn__redis_node *node, tfn_error *err);

/** Count a failure of a node that was not ready in time; `why` is a sentence already. */
void tfn__redis_node_note_late(tfn__redis_node *node, const tfn_error *why);

/**
 * One command, one reply.
 *
 * @param deadline_s  no later than that, and within the time-outs
 * @param reply  [borrow until the arena is reset] may be an error reply
 *
 * Errors   as tfn_redis_batch_run
 */
TFN_NODISCARD tfn_code tfn__redis_node_ask(tfn__redis_node *node, const tfn_str *args,
                                           size_t n_args, double deadline_s, tfn_arena *arena,
                                           const tfn_redis_reply **reply, tfn_error *err);

/* ---- topology ---- */

/** One state of what is known. */
typedef struct tfn__redis_topology {
    tfn__redis_node *only;   /* not in a cluster */
    tfn__redis_slots *slots; /* [own one reference] in a cluster */
} tfn__redis_topology;

/** Ends with tfn__redis_topology_release. Asks sentinels or nodes, until deadline_s, when nothing is
 * known. */
TFN_NODISCARD tfn_code tfn__redis_topology_get(tfn_redis *redis, double deadline_s,
                                               tfn__redis_topology *out, tfn_error *err);
void tfn__redis_topology_release(tfn__redis_topology *topology);
/** Ask again until deadline_s, unless that was done a moment ago. Errors as tfn_redis_batch_run. */
TFN_NODISCARD tfn_code tfn__redis_topology_refresh(tfn_redis *redis, double deadline_s,
                                                   tfn_error *err);

uint16_t tfn__redis_slot_of(tfn_str key);
/** Owner of a slot; NULL: nobody. */
tfn__redis_node *tfn__redis_slots_get_owner(const tfn__redis_slots *slots, uint16_t slot);
/** Read the reply of CLUSTER SLOTS. @param asked the node that answered. @param out [own a ref]. */
TFN_NODISCARD tfn_code tfn__redis_slots_create(tfn_redis *redis, const tfn__redis_node *asked,
                                               const tfn_redis_reply *reply, tfn__redis_slots **out,
                                               tfn_error *err);
void tfn__redis_slots_release(tfn__redis_slots *slots);

/* ---- connections ---- */

/** Errors: the bare reason; TFN_INVALID: a sentence without the address. */
TFN_NODISCARD tfn_code tfn__redis_connect(const tfn__redis_node *node, double deadline_s,
                                          tfn__redis_connection **out, tfn_error *err);
void tfn__redis_connection_destroy(tfn__redis_connection *connection);
/** Is an idle connection of this process, open, and silent? */
bool tfn__redis_connection_is_usable(const tfn__redis_connection *connection);

TFN_NODISCARD tfn_code tfn__redis_tls_create(const tfn_redis_config *config,
                                             struct ssl_ctx_st **out, tfn_error *err);
void tfn__redis_tls_destroy(struct ssl_ctx_st *tls);
/** Shake hands. Errors: the bare reason. */
TFN_NODISCARD tfn_code tfn__redis_tls_begin(const tfn__redis_node *node,
                                            tfn__redis_connection *connection, double deadline_s,
                                            tfn_error *err);
/** Bytes that OpenSSL holds already, so that poll says nothing of them. */
bool tfn__redis_tls_has_pending(const tfn__redis_connection *connection);
/** What OpenSSL says of the last failure; NULL: nothing. */
const char *tfn__redis_tls_get_reason(void);

/** SIGPIPE of this thread held back: OpenSSL writes without MSG_NOSIGNAL. */
typedef struct tfn__redis_sigpipe {
    bool is_held;
    bool was_pending;
} tfn__redis_sigpipe;
void tfn__redis_sigpipe_hold(tfn__redis_sigpipe *guard);
void tfn__redis_sigpipe_let(tfn__redis_sigpipe *guard);

/** Let the connection's parser make replies in `arena`. */
void tfn__redis_reply_into(tfn__redis_connection *connection, tfn_arena *arena);

/** Append a command in the protocol's form. */
TFN_NODISCARD tfn_code tfn__redis_format(tfn_buf *bytes, const tfn_str *args, size_t n_args,
                                         tfn_error *err);

/** What goes out on one connection, and what comes in. */
typedef struct tfn__redis_lane {
    tfn__redis_node *node;
    tfn__redis_connection *connection;
    tfn_str request;
    size_t n_sent; /* bytes */
    size_t n_wanted;
    size_t n_replies;
    const tfn_redis_reply **replies; /* n_wanted */
    tfn_error err;                   /* code is TFN_OK unless the connection is of no more use */
    bool is_dead;                    /* err: the peer closed it, rather than was silent or wrong */
    bool is_late;                    /* it answered that it is not ready: no sign of health */
} tfn__redis_lane;

/** Send all, read all. `polls` has n_lanes places. Each lane's err says how it ended. */
void tfn__redis_exchange(tfn__redis_lane *lanes, size_t n_lanes, struct pollfd *polls,
                         tfn_arena *arena, double deadline_s);

double tfn__redis_seconds(int64_t ms);

#endif
