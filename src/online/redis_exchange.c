/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Bytes out and replies in, of several connections at once: everything is sent as far as the sockets
 * take it, and replies are read while the rest waits, so neither a peer that answers before it has
 * read all, nor a slow one among several, stops the others. One deadline for all.
 *
 * Plain connections are written to with MSG_NOSIGNAL, without a copy. Through TLS the bytes go into
 * libvalkey's buffer once (its tls.c writes from there), with SIGPIPE held back.
 */

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <valkey/valkey.h>

#include "base/mem.h"
#include "base/time.h"
#include "online/redis_client_internal.h"

#include "base/poison.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* where SO_NOSIGPIPE does it */
#endif

enum { MAX_HEAD_BYTES = 24 }; /* "*", or "$", digits of a size_t, "\r\n" */

/* "$17\r\n": where it ends. The digits are written from behind. */
static char *write_head(char *at, char kind, size_t n)
{
    char digits[MAX_HEAD_BYTES];
    size_t i = sizeof(digits);
    do {
        digits[--i] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    *at++ = kind;
    memcpy(at, digits + i, sizeof(digits) - i);
    at += sizeof(digits) - i;
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

/* The hot loop of a batch: room for the most that it can be is taken once. */
tfn_code tfn__redis_format(tfn_buf *bytes, const tfn_str *args, size_t n_args, tfn_error *err)
{
    size_t n_most = MAX_HEAD_BYTES;
    bool fits = true;
    for (size_t i = 0; i < n_args; i++) {
        fits = fits && tfn_mem_add(n_most, args[i].n, &n_most) &&
               tfn_mem_add(n_most, MAX_HEAD_BYTES + 2, &n_most);
    }
    if (!fits) {
        return TFN_FAIL(err, TFN_LIMIT, "a command of Redis is longer than memory");
    }
    char *room = NULL;
    TFN_RETURN_IF_ERROR(tfn_buf_add_room(bytes, n_most, &room, err));
    char *at = write_head(room, '*', n_args);
    for (size_t i = 0; i < n_args; i++) {
        at = write_head(at, '$', args[i].n);
        if (args[i].n > 0) {
            memcpy(at, args[i].p, args[i].n);
            at += args[i].n;
        }
        *at++ = '\r';
        *at++ = '\n';
    }
    bytes->n -= n_most - (size_t)(at - room);
    *at = '\0'; /* as a tfn_buf ends */
    return TFN_OK;
}

/* Why libvalkey gave the connection up. */
static void end_lane(tfn__redis_lane *lane)
{
    const valkeyContext *context = lane->connection->context;
    const char *reason = context->errstr;
    tfn_code code = TFN_UNAVAILABLE;
    if (context->err == VALKEY_ERR_PROTOCOL) {
        code = TFN_CORRUPT;
    } else if (context->err == VALKEY_ERR_OOM) {
        code = TFN_NO_MEMORY;
    } else if (context->err == VALKEY_ERR_EOF) {
        reason = "it closed the connection";
    } else if (lane->connection->ssl != NULL && tfn__redis_tls_get_reason() != NULL) {
        reason = tfn__redis_tls_get_reason();
    }
    lane->is_dead = code == TFN_UNAVAILABLE;
    (void)TFN_FAIL(&lane->err, code, "%s", reason);
}

static void send_plain(tfn__redis_lane *lane)
{
    while (lane->n_sent < lane->request.n) {
        const ssize_t n = send(lane->connection->context->fd, lane->request.p + lane->n_sent,
                               lane->request.n - lane->n_sent, MSG_NOSIGNAL);
        if (n >= 0) {
            lane->n_sent += (size_t)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if (errno != EINTR) {
            const bool is_gone = errno == EPIPE || errno == ECONNRESET;
            (void)TFN_FAIL_SYS(&lane->err, errno, "%s",
                               is_gone ? "it closed the connection" : "sending");
            lane->err.code = TFN_UNAVAILABLE;
            lane->is_dead = true;
            return;
        }
    }
}

static void send_tls(tfn__redis_lane *lane)
{
    valkeyContext *context = lane->connection->context;
    if (lane->n_sent == 0 &&
        valkeyAppendFormattedCommand(context, lane->request.p, lane->request.n) != VALKEY_OK) {
        end_lane(lane);
        return;
    }
    /* What OpenSSL has not taken yet is libvalkey's; one byte kept back says that there is some. */
    int is_done = 0;
    lane->n_sent = lane->request.n - 1;
    if (valkeyBufferWrite(context, &is_done) != VALKEY_OK) {
        end_lane(lane);
    } else if (is_done) {
        lane->n_sent = lane->request.n;
    }
}

static void send_some(tfn__redis_lane *lane)
{
    if (lane->connection->ssl != NULL) {
        send_tls(lane);
    } else {
        send_plain(lane);
    }
}

static void read_some(tfn__redis_lane *lane)
{
    valkeyContext *context = lane->connection->context;
    do {
        if (valkeyBufferRead(context) != VALKEY_OK) {
            end_lane(lane);
            return;
        }
        while (lane->n_replies < lane->n_wanted) {
            void *reply = NULL;
            if (valkeyGetReplyFromReader(context, &reply) != VALKEY_OK) {
                end_lane(lane);
                return;
            }
            if (reply == NULL) {
                break;
            }
            lane->replies[lane->n_replies++] = (const tfn_redis_reply *)reply;
        }
    } while (lane->n_replies < lane->n_wanted && tfn__redis_tls_has_pending(lane->connection));
    if (lane->n_replies == lane->n_wanted && context->reader->len > context->reader->pos) {
        (void)TFN_FAIL(&lane->err, TFN_CORRUPT, "it sent more replies than it was asked for");
    }
}

static bool is_open(const tfn__redis_lane *lane)
{
    return lane->err.code == TFN_OK &&
           (lane->n_replies < lane->n_wanted || lane->n_sent < lane->request.n);
}

static size_t fill_polls(const tfn__redis_lane *lanes, size_t n_lanes, struct pollfd *polls)
{
    size_t n_open = 0;
    for (size_t i = 0; i < n_lanes; i++) {
        const bool open = is_open(&lanes[i]);
        const bool is_sending = open && lanes[i].n_sent < lanes[i].request.n;
        polls[i] = (struct pollfd){
            .fd = open ? lanes[i].connection->context->fd : -1, /* -1: poll passes it over */
            .events = (short)(POLLIN | (is_sending ? POLLOUT : 0)),
        };
        n_open += open;
    }
    return n_open;
}

static void time_out(tfn__redis_lane *lanes, size_t n_lanes, double waited_s)
{
    for (size_t i = 0; i < n_lanes; i++) {
        if (is_open(&lanes[i])) {
            (void)TFN_FAIL(&lanes[i].err, TFN_UNAVAILABLE, "it did not answer within %.0f ms",
                           waited_s * 1000);
        }
    }
}

static bool any_tls(const tfn__redis_lane *lanes, size_t n_lanes)
{
    for (size_t i = 0; i < n_lanes; i++) {
        if (lanes[i].connection->ssl != NULL) {
            return true;
        }
    }
    return false;
}

static void run(tfn__redis_lane *lanes, size_t n_lanes, struct pollfd *polls, double deadline_s)
{
    const double began_s = tfn_clock_monotonic_s();
    for (size_t i = 0; i < n_lanes; i++) {
        send_some(&lanes[i]);
    }
    while (fill_polls(lanes, n_lanes, polls) > 0) {
        const double left_s = deadline_s - tfn_clock_monotonic_s();
        if (left_s <= 0) {
            time_out(lanes, n_lanes, deadline_s - began_s);
            return;
        }
        const int n_ready = poll(polls, (nfds_t)n_lanes, (int)ceil(left_s * 1000));
        if (n_ready < 0 && errno != EINTR) {
            const int why = errno;
            for (size_t i = 0; i < n_lanes; i++) {
                if (is_open(&lanes[i])) {
                    (void)TFN_FAIL_SYS(&lanes[i].err, why, "poll");
                }
            }
            return;
        }
        for (size_t i = 0; n_ready > 0 && i < n_lanes; i++) {
            if ((polls[i].revents & POLLOUT) != 0 && polls[i].fd >= 0) {
                send_some(&lanes[i]);
            }
            if ((polls[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && is_open(&lanes[i])) {
                read_some(&lanes[i]);
            }
        }
    }
}

void tfn__redis_exchange(tfn__redis_lane *lanes, size_t n_lanes, struct pollfd *polls,
                         tfn_arena *arena, double deadline_s)
{
    tfn__redis_sigpipe guard = {0};
    const bool is_tls = any_tls(lanes, n_lanes);
    if (is_tls) {
        tfn__redis_sigpipe_hold(&guard);
    }
    for (size_t i = 0; i < n_lanes; i++) {
        tfn__redis_reply_into(lanes[i].connection, arena);
    }
    run(lanes, n_lanes, polls, deadline_s);
    if (is_tls) {
        tfn__redis_sigpipe_let(&guard);
    }
}
