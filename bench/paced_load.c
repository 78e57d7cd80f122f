/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Requests at a given rate, and how long their answers take: an open loop.
 *
 *   paced_load PORT REQUESTS RATE SECONDS N_CONNECTIONS
 *
 * REQUESTS is a file of whole HTTP/1.1 requests, each behind its length (u32, little endian); they are
 * sent in turn, over and over, to 127.0.0.1:PORT over N_CONNECTIONS that are kept. RATE is requests a second.
 *
 * When a request is due is settled beforehand: gaps are exponential (clients that know nothing of each
 * other), from a generator with a fixed seed. A server that falls behind delays no schedule: a
 * request that finds all connections busy waits, and its latency counts from when it was due. So
 * a pause of the server is felt by all who would have come meanwhile (no coordinated omission).
 * Latencies of the first tenth of the time are not counted: caches fill, threads wake.
 *
 * One thread that never sleeps, for a core of its own: its clock is not the scheduler's. Answers must be
 * 200 with a Content-Length; anything else ends the program with a sentence. Prints one line of JSON:
 * how many were answered and counted, the rate, latencies in microseconds.
 */

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_CONNECTIONS = 1000,
    MAX_HEAD_BYTES = 4096,
    CHUNK_BYTES = 1 << 16,
    MAX_EVENTS = 64,
    WAIT_S = 10 /* for the last answers */
};

typedef struct requests {
    unsigned char *bytes;
    struct one_request {
        const unsigned char *p;
        size_t n;
    } *each;
    size_t n;
} requests;

typedef struct connection {
    int fd;
    int64_t due_ns; /* of the request under way */
    char head[MAX_HEAD_BYTES + 1];
    size_t n_head;    /* bytes of the head so far */
    size_t n_to_come; /* bytes of the body that are not here yet; meaningful behind the head */
    int has_head;
} connection;

typedef struct load {
    requests requests;
    connection *connections;
    size_t *idle; /* a stack of connections */
    size_t n_idle, n_connections;
    int epoll;
    int64_t start_ns, end_ns, counted_from_ns;
    int64_t due_ns; /* of the next request */
    double gap_ns;  /* mean */
    uint64_t random;
    size_t n_sent, n_answered;
    int64_t *latencies_ns;
    size_t n_latencies, max_latencies;
} load;

static void fail(const char *what, const char *why)
{
    (void)fprintf(stderr, "paced_load: %s: %s\n", what, why);
    exit(1);
}

static _Noreturn void fail_errno(const char *what)
{
    perror(what);
    exit(1);
}

static void *allocate(size_t n, size_t size)
{
    void *p = calloc(n > 0 ? n : 1, size);
    if (p == NULL) {
        fail("memory", "none is left");
    }
    return p;
}

static int64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static uint32_t length_at(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static requests read_requests(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        fail(path, "cannot be read");
    }
    const long n_bytes = ftell(file);
    if (n_bytes < 0 || fseek(file, 0, SEEK_SET) != 0) {
        fail(path, "cannot be read");
    }
    requests all = {.bytes = allocate((size_t)n_bytes, 1)};
    if (fread(all.bytes, 1, (size_t)n_bytes, file) != (size_t)n_bytes) {
        fail(path, "cannot be read");
    }
    (void)fclose(file);
    all.each = allocate((size_t)n_bytes / sizeof(uint32_t), sizeof *all.each);
    for (size_t at = 0; at + sizeof(uint32_t) <= (size_t)n_bytes;) {
        const size_t n = length_at(all.bytes + at);
        at += sizeof(uint32_t);
        if (n > (size_t)n_bytes - at) {
            fail(path, "the last request is cut short");
        }
        all.each[all.n].p = all.bytes + at;
        all.each[all.n++].n = n;
        at += n;
    }
    if (all.n == 0) {
        fail(path, "there is no request in it");
    }
    return all;
}

static double number(const char *text, const char *name, double least, double greatest)
{
    char *end = NULL;
    const double found = strtod(text, &end);
    if (end == text || *end != '\0' || !(found >= least && found <= greatest)) {
        fail(name, "is no number that makes sense");
    }
    return found;
}

/* ---- connections ---- */

static int connect_to(uint16_t port)
{
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int on = 1;
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        fail_errno("connect");
    }
    return fd;
}

static void open_connections(load *l, uint16_t port)
{
    l->connections = allocate(l->n_connections, sizeof *l->connections);
    l->idle = allocate(l->n_connections, sizeof *l->idle);
    l->epoll = epoll_create1(0);
    for (size_t i = 0; i < l->n_connections; i++) {
        l->connections[i].fd = connect_to(port);
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = i};
        if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->connections[i].fd, &event) != 0) {
            fail_errno("epoll");
        }
        l->idle[l->n_idle++] = i;
    }
}

/* ---- sending: when it is due ---- */

/** An exponential gap; the generator is Knuth's, 53 bits of it are used. */
static int64_t next_gap_ns(load *l)
{
    l->random = l->random * 6364136223846793005U + 1442695040888963407U;
    const double uniform = ((double)(l->random >> 11) + 0.5) * 0x1p-53;
    return (int64_t)(-log(uniform) * l->gap_ns);
}

/** The socket is empty (its last answer has come), so that a request fits into it at once. */
static void send_next(load *l)
{
    connection *c = &l->connections[l->idle[--l->n_idle]];
    const size_t i = l->n_sent++ % l->requests.n;
    c->due_ns = l->due_ns;
    c->n_head = 0;
    c->has_head = 0;
    const ssize_t n = send(c->fd, l->requests.each[i].p, l->requests.each[i].n, MSG_NOSIGNAL);
    if (n < 0 || (size_t)n != l->requests.each[i].n) {
        n < 0 ? fail_errno("send") : fail("send", "a request does not fit into a socket's buffer");
    }
    l->due_ns += next_gap_ns(l);
}

/* ---- receiving ---- */

static size_t content_length(const char *head)
{
    static const char name[] = "\r\nContent-Length:";
    for (const char *p = head; (p = strstr(p, "\r\n")) != NULL; p += 2) {
        if (strncasecmp(p, name, sizeof name - 1) == 0) {
            return (size_t)strtoull(p + sizeof name - 1, NULL, 10);
        }
    }
    fail("answer", "it has no Content-Length");
    return 0;
}

/** Take bytes of the head; returns how many of them belong to it. */
static size_t take_head(connection *c, const char *bytes, size_t n)
{
    const size_t before = c->n_head;
    const size_t room = MAX_HEAD_BYTES - before;
    const size_t n_copied = n < room ? n : room;
    memcpy(c->head + before, bytes, n_copied);
    c->n_head += n_copied;
    c->head[c->n_head] = '\0';
    const char *end = strstr(c->head, "\r\n\r\n");
    if (end == NULL) {
        if (c->n_head == MAX_HEAD_BYTES) {
            fail("answer", "its head is longer than 4096 bytes");
        }
        return n_copied;
    }
    if (strncmp(c->head, "HTTP/1.1 200 ", 13) != 0) {
        c->head[strcspn(c->head, "\r\n")] = '\0';
        fail("answer", c->head);
    }
    c->has_head = 1;
    c->n_to_come = content_length(c->head);
    return (size_t)(end + 4 - c->head) - before;
}

static void note_answer(load *l, size_t i)
{
    const connection *c = &l->connections[i];
    l->n_answered++;
    if (c->due_ns >= l->counted_from_ns && l->n_latencies < l->max_latencies) {
        l->latencies_ns[l->n_latencies++] = now_ns() - c->due_ns;
    }
    l->idle[l->n_idle++] = i;
}

static void receive(load *l, size_t i)
{
    static char chunk[CHUNK_BYTES];
    connection *c = &l->connections[i];
    const ssize_t got = recv(c->fd, chunk, sizeof chunk, 0);
    if (got <= 0) {
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        got < 0 ? fail_errno("receive") : fail("receive", "the server closed a connection");
    }
    size_t n = (size_t)got, at = 0;
    if (!c->has_head) {
        at = take_head(c, chunk, n);
    }
    if (!c->has_head) {
        return;
    }
    if (n - at > c->n_to_come) {
        fail("answer", "it is longer than its Content-Length");
    }
    c->n_to_come -= n - at;
    if (c->n_to_come == 0) {
        note_answer(l, i);
    }
}

/* ---- the run ---- */

static void run(load *l)
{
    struct epoll_event events[MAX_EVENTS];
    for (;;) {
        const int64_t now = now_ns();
        while (l->due_ns <= now && l->due_ns < l->end_ns && l->n_idle > 0) {
            send_next(l);
        }
        if (l->due_ns >= l->end_ns && l->n_idle == l->n_connections) {
            return;
        }
        if (now > l->end_ns + (int64_t)WAIT_S * 1000000000) {
            fail("answers", "the last ones did not come within 10 s");
        }
        const int n = epoll_wait(l->epoll, events, MAX_EVENTS, 0);
        for (int i = 0; i < n; i++) {
            receive(l, (size_t)events[i].data.u64);
        }
    }
}

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double percentile_us(const load *l, double share)
{
    size_t i = (size_t)((double)l->n_latencies * share);
    if (i >= l->n_latencies) {
        i = l->n_latencies - 1;
    }
    return (double)l->latencies_ns[i] / 1e3;
}

static void report(load *l)
{
    if (l->n_latencies == 0) {
        fail("run", "no answer was counted: too few requests, or too short");
    }
    qsort(l->latencies_ns, l->n_latencies, sizeof *l->latencies_ns, compare);
    const double seconds = (double)(l->end_ns - l->start_ns) / 1e9;
    (void)printf("{\"answered\": %zu, \"counted\": %zu, \"rate\": %.1f, \"median\": %.1f, "
                 "\"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f}\n",
                 l->n_answered, l->n_latencies, (double)l->n_sent / seconds, percentile_us(l, 0.5),
                 percentile_us(l, 0.99), percentile_us(l, 0.999), percentile_us(l, 1.0));
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fail("usage", "paced_load PORT REQUESTS RATE SECONDS N_CONNECTIONS");
    }
    const uint16_t port = (uint16_t)number(argv[1], "PORT", 1, 65535);
    const double rate = number(argv[3], "RATE", 1, 1e6);
    const double seconds = number(argv[4], "SECONDS", 0.1, 3600);
    load l = {.requests = read_requests(argv[2]),
              .n_connections = (size_t)number(argv[5], "N_CONNECTIONS", 1, MAX_CONNECTIONS),
              .gap_ns = 1e9 / rate,
              .random = 1,
              .max_latencies = (size_t)(rate * seconds * 1.5) + 1000};
    l.latencies_ns = allocate(l.max_latencies, sizeof *l.latencies_ns);
    open_connections(&l, port);
    l.start_ns = now_ns();
    l.due_ns = l.start_ns;
    l.end_ns = l.start_ns + (int64_t)(seconds * 1e9);
    l.counted_from_ns = l.start_ns + (int64_t)(seconds * 1e8);
    run(&l);
    report(&l);
    for (size_t i = 0; i < l.n_connections; i++) {
        (void)close(l.connections[i].fd);
    }
    (void)close(l.epoll);
    free(l.connections);
    free(l.idle);
    free(l.latencies_ns);
    free(l.requests.each);
    free(l.requests.bytes);
    return 0;
}
