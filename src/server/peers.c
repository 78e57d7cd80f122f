/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The open connections.
 *
 * A connection belongs to the thread that serves it; the thread that tends them all may only end it,
 * by shutting its socket down, which the server's thread then sees as an end of the stream. Both agree
 * through one word, `doing`: whoever changes it from "sending" decides whether the request is handled
 * or is late, so a client never sees two answers.
 *
 * Invariants
 *  1. A socket is closed by its owner after tfn_peers_remove, so a number that is in the list is
 *     never another connection's.
 *  2. The lock is held for the time of a walk, never while something waits.
 */

#include "server/peers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/poison.h"

enum {
    LINGER_MS = 2000,
    LINGER_EVERY_MS = 10,
    LINGER_MAX_READS = 64, /* of LINGER_READ_BYTES, of one socket and turn */
    LINGER_READ_BYTES = 65536,
    TEND_EVERY_MS = 250,
    ONE_TOO_MANY_MS = 1000,
    GONE_MS = 1000, /* longer than any step of a worker, between what it read and what it says */
    PHASE_BITS = 3,
    REFUSAL_BYTES = 1024
};

static uint64_t pack(tfn_peer_phase phase, int64_t since_ms)
{
    return (uint64_t)since_ms << PHASE_BITS | (uint64_t)phase;
}

static tfn_peer_phase phase_of(uint64_t doing)
{
    return (tfn_peer_phase)(doing & ((1U << PHASE_BITS) - 1));
}

static int64_t since_of(uint64_t doing)
{
    return (int64_t)(doing >> PHASE_BITS);
}

int64_t tfn_peers_now_ms(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void tfn_peers_init(tfn_peers *peers, const tfn_limits *limits)
{
    *peers = (tfn_peers){.limits = limits};
    pthread_mutex_init(&peers->lock, NULL);
}

void tfn_peers_deinit(tfn_peers *peers)
{
    for (size_t i = 0; i < peers->n_lingering; i++) {
        (void)close(peers->lingering[i].fd);
    }
    peers->n_lingering = 0;
    pthread_mutex_destroy(&peers->lock);
}

/* ---- the list ---- */

void tfn_peers_add(tfn_peers *peers, tfn_peer *peer)
{
    atomic_init(&peer->doing, pack(TFN_PEER_SILENT, tfn_peers_now_ms()));
    pthread_mutex_lock(&peers->lock);
    peer->prev = NULL;
    peer->next = peers->first;
    if (peers->first != NULL) {
        peers->first->prev = peer;
    }
    peers->first = peer;
    peers->n_peers++;
    peer->is_one_too_many = peers->n_peers > peers->limits->max_connections;
    pthread_mutex_unlock(&peers->lock);
}

void tfn_peers_remove(tfn_peers *peers, tfn_peer *peer)
{
    pthread_mutex_lock(&peers->lock);
    if (peer->prev != NULL) {
        peer->prev->next = peer->next;
    } else {
        peers->first = peer->next;
    }
    if (peer->next != NULL) {
        peer->next->prev = peer->prev;
    }
    peers->n_peers--;
    pthread_mutex_unlock(&peers->lock);
}

bool tfn_peer_set(tfn_peer *peer, tfn_peer_phase phase, int64_t now_ms)
{
    uint64_t old = atomic_load_explicit(&peer->doing, memory_order_relaxed);
    do {
        if (phase_of(old) == TFN_PEER_OVERSTAYED) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&peer->doing, &old, pack(phase, now_ms),
                                                    memory_order_acq_rel, memory_order_relaxed));
    return true;
}

int32_t tfn_peers_count_busy(tfn_peers *peers, int64_t now_ms, int64_t quiet_ms)
{
    int32_t n = 0;
    pthread_mutex_lock(&peers->lock);
    for (tfn_peer *peer = peers->first; peer != NULL; peer = peer->next) {
        const uint64_t doing = atomic_load_explicit(&peer->doing, memory_order_acquire);
        const tfn_peer_phase phase = phase_of(doing);
        n += (phase != TFN_PEER_SILENT && phase != TFN_PEER_OVERSTAYED) ||
             (phase == TFN_PEER_SILENT && now_ms - since_of(doing) < quiet_ms);
    }
    pthread_mutex_unlock(&peers->lock);
    return n;
}

/* ---- answers past the library ---- */

static const char *reason_of(int32_t status)
{
    switch (status) {
    case 408:
        return "Request Timeout";
    case 413:
        return "Content Too Large";
    default:
        return "Service Unavailable";
    }
}

void tfn_peer_refuse(const tfn_peer *peer, int32_t status, const char *sentence)
{
    if (peer->is_tls) {
        return;
    }
    static const char head[] = "{\"detail\":\"";
    static const char tail[] = "\"}";
    char text[REFUSAL_BYTES];
    const int n =
        snprintf(text, sizeof text,
                 "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: application/json\r\n"
                 "Content-Length: %zu\r\n\r\n%s%s%s",
                 (int)status, reason_of(status), strlen(sentence) + sizeof head + sizeof tail - 2,
                 head, sentence, tail);
    if (n > 0 && (size_t)n < sizeof text) {
        (void)send(peer->fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL); /* best effort */
    }
}

/* ---- who overstays ---- */

/* Send one away, if it still does what it was seen to do. */
static bool send_away(tfn_peer *peer, uint64_t seen)
{
    const uint64_t away = pack(TFN_PEER_OVERSTAYED, since_of(seen));
    return atomic_compare_exchange_strong_explicit(&peer->doing, &seen, away, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

/* How long a connection may do what it does. */
static int64_t patience_ms(const tfn_limits *limits, const tfn_peer *peer, tfn_peer_phase phase)
{
    switch (phase) {
    case TFN_PEER_SILENT:
        return peer->is_one_too_many ? ONE_TOO_MANY_MS : limits->idle_ms;
    case TFN_PEER_SENDING:
        return limits->request_ms;
    case TFN_PEER_TAKING:
        return (int64_t)limits->idle_ms + limits->request_ms;
    case TFN_PEER_WAITING: /* for us, not we for it */
    case TFN_PEER_OVERSTAYED:
        break;
    }
    return INT64_MAX;
}

/*
 * Whether the client has said its last word and we have read it. libmicrohttpd (epoll, edges) reads
 * what came and waits; when the end of the stream came together with it, nothing wakes it again.
 */
static bool has_ended(const tfn_peer *peer)
{
    char byte = 0;
    return recvfrom(peer->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT, NULL, NULL) == 0;
}

/* Nobody waits for an answer of ours: it sends, or is silent, and will do so no more. */
static bool is_gone(const tfn_peer *peer, tfn_peer_phase phase, int64_t took_ms)
{
    return (phase == TFN_PEER_SILENT || phase == TFN_PEER_SENDING) && took_ms > GONE_MS &&
           has_ended(peer);
}

/* True when a request was ended with 408. */
static bool tend_peer(const tfn_limits *limits, tfn_peer *peer, int64_t now_ms)
{
    const uint64_t doing = atomic_load_explicit(&peer->doing, memory_order_acquire);
    const tfn_peer_phase phase = phase_of(doing);
    if (is_gone(peer, phase, now_ms - since_of(doing)) && send_away(peer, doing)) {
        (void)shutdown(peer->fd, SHUT_RDWR);
        return false;
    }
    if (now_ms - since_of(doing) <= patience_ms(limits, peer, phase) || !send_away(peer, doing)) {
        return false;
    }
    char sentence[REFUSAL_BYTES / 2];
    if (phase == TFN_PEER_SENDING) {
        (void)snprintf(
            sentence, sizeof sentence,
            "The request was not complete %d ms after it began; send it faster, or raise the "
            "limit request_seconds.",
            (int)limits->request_ms);
        tfn_peer_refuse(peer, 408, sentence);
    } else if (phase == TFN_PEER_SILENT && peer->is_one_too_many) {
        (void)snprintf(
            sentence, sizeof sentence,
            "This server has its %d connections already; try again later, or raise the limit "
            "max_connections.",
            (int)limits->max_connections);
        tfn_peer_refuse(peer, 503, sentence);
    }
    (void)shutdown(peer->fd, SHUT_RDWR);
    return phase == TFN_PEER_SENDING;
}

/* Read what came. True when nothing more is to be read. */
static bool drink(int fd)
{
    char waste[LINGER_READ_BYTES];
    for (int i = 0; i < LINGER_MAX_READS; i++) {
        const ssize_t n = recv(fd, waste, sizeof waste, MSG_DONTWAIT);
        if (n <= 0) {
            return n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
        }
    }
    return false;
}

/* Keep a socket of ours for a while, or close it. */
static void add_lingering(tfn_peers *peers, tfn_lingering one)
{
    pthread_mutex_lock(&peers->lock);
    const bool has_room = peers->n_lingering < TFN_PEERS_MAX_LINGERING;
    if (has_room) {
        peers->lingering[peers->n_lingering++] = one;
    }
    pthread_mutex_unlock(&peers->lock);
    if (!has_room) {
        (void)close(one.fd);
    }
}

/* They are taken out of the list while they are read: workers add to it meanwhile. */
static size_t take_lingering(tfn_peers *peers, tfn_lingering taken[TFN_PEERS_MAX_LINGERING])
{
    pthread_mutex_lock(&peers->lock);
    const size_t n = peers->n_lingering;
    memcpy(taken, peers->lingering, n * sizeof *taken);
    peers->n_lingering = 0;
    pthread_mutex_unlock(&peers->lock);
    return n;
}

/* True when there are any left. */
static bool tend_lingering(tfn_peers *peers, int64_t now_ms)
{
    tfn_lingering taken[TFN_PEERS_MAX_LINGERING];
    const size_t n = take_lingering(peers, taken);
    bool is_any_left = false;
    for (size_t i = 0; i < n; i++) {
        if (drink(taken[i].fd) || now_ms > taken[i].until_ms) {
            (void)close(taken[i].fd);
        } else {
            add_lingering(peers, taken[i]);
            is_any_left = true;
        }
    }
    return is_any_left;
}

int32_t tfn_peers_tend(tfn_peers *peers, int64_t now_ms, uint32_t *n_late)
{
    *n_late = 0;
    pthread_mutex_lock(&peers->lock);
    for (tfn_peer *peer = peers->first; peer != NULL; peer = peer->next) {
        *n_late += tend_peer(peers->limits, peer, now_ms);
    }
    pthread_mutex_unlock(&peers->lock);
    return tend_lingering(peers, now_ms) ? LINGER_EVERY_MS : TEND_EVERY_MS;
}

void tfn_peers_linger(tfn_peers *peers, int fd)
{
    const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy >= 0) {
        add_lingering(peers,
                      (tfn_lingering){.fd = copy, .until_ms = tfn_peers_now_ms() + LINGER_MS});
    }
}
