/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_TESTS_SERVER_CLIENT_H
#define TFN_TESTS_SERVER_CLIENT_H

/* A client of exact bytes: what it sends is what the test says. Include unit/base_make.h before. */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { CLIENT_REPLY_BYTES = 1 << 20, CLIENT_PATIENCE_S = 20 };

typedef struct client {
    int fd;
    char *text; /* what came and was not read yet */
    size_t n;
} client;

typedef struct client_reply {
    int status; /* 0: the connection was closed instead */
    char *head; /* NUL-terminated */
    char *body; /* likewise */
    size_t n_body;
} client_reply;

static inline client client_of(int fd)
{
    client c = {.fd = fd, .text = malloc(CLIENT_REPLY_BYTES)};
    if (c.fd < 0 || c.text == NULL) {
        abort(); /* no test can go on without */
    }
    return c;
}

static inline client client_dial(int32_t port)
{
    client c = client_of(socket(AF_INET, SOCK_STREAM, 0));
    const struct timeval patience = {.tv_sec = CLIENT_PATIENCE_S};
    assert_int_equal(setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(c.fd, (const struct sockaddr *)&to, sizeof to) != 0) {
        (void)close(c.fd);
        c.fd = -1;
    }
    return c;
}

static inline void client_close(client *c)
{
    if (c->fd >= 0) {
        (void)close(c->fd);
    }
    free(c->text);
    *c = (client){.fd = -1};
}

static inline void client_send_bytes(client *c, const void *bytes, size_t n)
{
    const char *p = bytes;
    while (n > 0 && c->fd >= 0) {
        const ssize_t n_sent = send(c->fd, p, n, MSG_NOSIGNAL);
        if (n_sent < 0) {
            return; /* the server is gone; its reply tells why */
        }
        p += n_sent;
        n -= (size_t)n_sent;
    }
}

static inline void client_send(client *c, const char *text)
{
    client_send_bytes(c, text, strlen(text));
}

/* More bytes, or false at the end. */
static inline bool client_fill(client *c)
{
    assert_true(c->n < CLIENT_REPLY_BYTES - 1);
    const ssize_t n = recv(c->fd, c->text + c->n, CLIENT_REPLY_BYTES - 1 - c->n, 0);
    if (n <= 0) {
        return false;
    }
    c->n += (size_t)n;
    c->text[c->n] = '\0';
    return true;
}

static inline void client_reply_end(client_reply *r)
{
    free(r->head);
    free(r->body);
    *r = (client_reply){0};
}

static inline char *client_cut(client *c, size_t n)
{
    char *piece = malloc(n + 1);
    if (piece == NULL) {
        abort();
    }
    memcpy(piece, c->text, n);
    piece[n] = '\0';
    memmove(c->text, c->text + n, c->n - n);
    c->n -= n;
    c->text[c->n] = '\0';
    return piece;
}

/* The next reply; status 0 when the connection ended before one began. Its body must have a length, and
 * is left out after HEAD. */
static inline client_reply client_read(client *c, bool is_head)
{
    client_reply r = {0};
    c->text[c->n] = '\0';
    const char *end = NULL;
    while ((end = strstr(c->text, "\r\n\r\n")) == NULL) {
        if (!client_fill(c)) {
            assert_int_equal(c->n, 0);
            r.head = client_cut(c, 0);
            r.body = client_cut(c, 0);
            return r;
        }
    }
    r.head = client_cut(c, (size_t)(end - c->text) + 4);
    r.status = (int)strtol(r.head + strlen("HTTP/1.1 "), NULL, 10);
    const char *length = strstr(r.head, "Content-Length: ");
    r.n_body = length == NULL || is_head ? 0 : (size_t)strtol(length + 16, NULL, 10);
    while (c->n < r.n_body) {
        assert_true(client_fill(c));
    }
    r.body = client_cut(c, r.n_body);
    return r;
}

/* The next reply has this status, and its body this part. */
static inline void client_expect(client *c, int status, const char *part)
{
    client_reply r = client_read(c, false);
    if (r.status != status || (part != NULL && strstr(r.body, part) == NULL)) {
        fail_msg("expected %d with '%s', got %d: %s%s", status, part == NULL ? "" : part, r.status,
                 r.head == NULL ? "" : r.head, r.body == NULL ? "" : r.body);
    }
    client_reply_end(&r);
}

/* Nothing more comes. */
static inline void client_expect_end(client *c)
{
    assert_int_equal(c->n, 0);
    assert_false(client_fill(c));
}

#endif
