/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_SERVER_PEERS_H
#define TFN_SERVER_PEERS_H

/*
 * The open connections: what each is doing and since when, so that those which overstay are ended,
 * and a stop knows when nobody waits any more. Knows sockets, and nothing of any HTTP library.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "server/config.h"

/** What a connection is doing. */
typedef enum tfn_peer_phase {
    TFN_PEER_SILENT = 0,    /* between two requests; or the first line of one is not complete */
    TFN_PEER_SENDING = 1,   /* the first line of a request is here, the end of its body not yet */
    TFN_PEER_WAITING = 2,   /* for its answer */
    TFN_PEER_TAKING = 3,    /* its answer, which is complete */
    TFN_PEER_OVERSTAYED = 4 /* it was sent away */
} tfn_peer_phase;

enum { TFN_PEER_NAME_BYTES = 64 };

typedef struct tfn_peer tfn_peer;
struct tfn_peer {
    tfn_peer *next; /* under the lock of its list */
    tfn_peer *prev;
    int fd;
    bool is_tls;            /* nothing may be written past the library */
    bool is_one_too_many;   /* beyond limits.max_connections: its first request is refused */
    _Atomic uint64_t doing; /* milliseconds since when << 3 | tfn_peer_phase */
    char name[TFN_PEER_NAME_BYTES]; /* address, for the access log; empty until it is asked for */
};

enum { TFN_PEERS_MAX_LINGERING = 64 };

/** A socket that the library has closed, and that is read until the client has closed it, too. */
typedef struct tfn_lingering {
    int fd;
    int64_t until_ms;
} tfn_lingering;

typedef struct tfn_peers {
    const tfn_limits *limits;
    pthread_mutex_t lock;
    tfn_peer *first;
    int32_t n_peers;
    tfn_lingering lingering[TFN_PEERS_MAX_LINGERING];
    size_t n_lingering;
} tfn_peers;

/** @param limits [borrow until deinit]. Threads one at a time. Errors none. */
void tfn_peers_init(tfn_peers *peers, const tfn_limits *limits);
void tfn_peers_deinit(tfn_peers *peers);

/** Milliseconds of a clock that never goes back. Threads any. Errors none. */
int64_t tfn_peers_now_ms(void);

/** A connection came, or is about to be closed: its socket is not touched after tfn_peers_remove.
 * Threads any. Errors none. */
void tfn_peers_add(tfn_peers *peers, tfn_peer *peer);
void tfn_peers_remove(tfn_peers *peers, tfn_peer *peer);

/**
 * Say what a connection does from now on.
 *
 * @return false: it was sent away meanwhile, and nothing may be written any more
 *
 * Threads  the one that serves the connection
 * Errors   none
 */
bool tfn_peer_set(tfn_peer *peer, tfn_peer_phase phase, int64_t now_ms);

/**
 * Answer past the library, where it cannot: best effort, and the connection must be closed next.
 *
 * Threads  the one that serves the connection, or who set TFN_PEER_OVERSTAYED
 * Errors   none: a client that does not take it sees the connection close
 */
void tfn_peer_refuse(const tfn_peer *peer, int32_t status, const char *sentence);

/**
 * Keep a copy of a socket open for some seconds after its owner closed it, and read what still
 * comes: else the kernel resets the connection, and the client loses the answer it was sent.
 *
 * Threads  any
 * Errors   none: without room, it is closed at once
 */
void tfn_peers_linger(tfn_peers *peers, int fd);

/**
 * Send away who overstays: silent ones after idle_ms, senders after request_ms (408), one too many
 * after a second (503), who does not take an answer after idle_ms and request_ms, who closed their
 * side after a second. Reads lingering sockets.
 *
 * @param n_late  [out] requests that were ended with 408
 * @return how many milliseconds from now it should be called again
 *
 * Threads  one at a time
 * Errors   none
 */
int32_t tfn_peers_tend(tfn_peers *peers, int64_t now_ms, uint32_t *n_late);

/** Connections that wait for an answer, send, or were not silent for quiet_ms. Threads any. */
int32_t tfn_peers_count_busy(tfn_peers *peers, int64_t now_ms, int64_t quiet_ms);

#endif
