/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_TESTS_REDIS_FIXTURE_H
#define TFN_TESTS_REDIS_FIXTURE_H

/*
 * Real redis-servers on free loopback ports, each in a folder of its own, ended by process id (and
 * by the kernel when the test dies). Include it first.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "base/time.h"
#include "online/redis_client.h"

#define assert_text(text, part)                                                                    \
    do {                                                                                           \
        if (strstr((text), (part)) == NULL) {                                                      \
            fail_msg("'%s' is not in '%s'", (part), (text));                                       \
        }                                                                                          \
    } while (0)
#define assert_ok(expr, err)                                                                       \
    do {                                                                                           \
        (err) = (tfn_error){0};                                                                    \
        if ((expr) != TFN_OK) {                                                                    \
            fail_msg("%s: %s", #expr, (err).message);                                              \
        }                                                                                          \
    } while (0)

enum { MAX_WAITS = 6000, MAX_SERVER_ARGS = 32 }; /* a minute of waiting for a condition */

typedef struct test_server {
    pid_t pid; /* 0: not running */
    int port;
    char folder[64];
    const char *args[MAX_SERVER_ARGS]; /* beyond --port and --dir */
    size_t n_args;
    bool has_tls; /* the port speaks TLS */
} test_server;

static inline tfn_str text(const char *s)
{
    return tfn_str_of(s);
}

/* Between two looks at a condition that another process brings about. */
static inline void wait_a_little(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
}

static inline int bind_loopback(int port, int *fd)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t n = sizeof(address);
    *fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(*fd >= 0);
    if (bind(*fd, (struct sockaddr *)&address, n) != 0) {
        return -1;
    }
    assert_int_equal(getsockname(*fd, (struct sockaddr *)&address, &n), 0);
    return ntohs(address.sin_port);
}

static inline bool is_free(int port)
{
    int fd = -1;
    const bool ok = bind_loopback(port, &fd) > 0;
    (void)close(fd);
    return ok;
}

/* A port that is free; in a cluster the one 10,000 above it is free, too. Both are below those that
 * the kernel gives to outgoing connections (32768 and up): one of these could take the port between
 * its probe and the server's start, or while the server is down. */
static inline int free_port(void)
{
    enum { FIRST_PORT = 12000, N_PORTS = 10000, BUS_OFFSET = 10000 };
    unsigned seed = (unsigned)getpid() * 2654435761U ^ (unsigned)(tfn_clock_monotonic_s() * 1e6);
    for (int attempt = 0; attempt < 1000; attempt++) {
        seed = seed * 1664525U + 1013904223U;
        const int port = FIRST_PORT + (int)((seed >> 8) % N_PORTS);
        if (is_free(port) && is_free(port + BUS_OFFSET)) {
            return port;
        }
    }
    fail_msg("no free port");
    return -1;
}

static inline bool listens(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const bool ok = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    (void)close(fd);
    return ok;
}

/* Run the program; the child ends with its parent. */
static inline pid_t spawn(const char *const *argv)
{
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
#ifdef __linux__
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
        const int null = open("/dev/null", O_RDWR);
        (void)dup2(null, 0);
        (void)dup2(null, 1);
        (void)execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    return pid;
}

/* What is not Redis: a child that serves a free port in its own way, and ends with its parent. */
static inline pid_t spawn_peer(void (*serve)(int listener, const char *bytes), const char *bytes,
                               int *port)
{
    int listener = -1;
    *port = bind_loopback(0, &listener);
    assert_int_equal(listen(listener, 1), 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
#ifdef __linux__
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
        serve(listener, bytes);
        _exit(0);
    }
    (void)close(listener);
    return pid;
}

static inline int run_program(const char *const *argv)
{
    int status = 0;
    const pid_t pid = spawn(argv);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline void server_start(test_server *s)
{
    if (s->port == 0) {
        s->port = free_port();
        (void)snprintf(s->folder, sizeof(s->folder), "/tmp/tiffin-redis-XXXXXX");
        assert_non_null(mkdtemp(s->folder));
    }
    char port[16];
    (void)snprintf(port, sizeof(port), "%d", s->port);
    const char *argv[MAX_SERVER_ARGS + 16] = {"redis-server", "--dir",  s->folder, "--bind",
                                              "127.0.0.1",    "--save", ""};
    size_t n = 7;
    for (size_t i = 0; i < s->n_args; i++) {
        argv[n++] = s->args[i];
    }
    argv[n++] = s->has_tls ? "--tls-port" : "--port";
    argv[n++] = port;
    s->pid = spawn(argv);
    for (int i = 0; i < MAX_WAITS && !listens(s->port); i++) {
        int status = 0;
        if (waitpid(s->pid, &status, WNOHANG) == s->pid) {
            s->pid = 0;
            fail_msg("redis-server ended at once (is it installed? tools/setup.sh test): %d",
                     WEXITSTATUS(status));
        }
        wait_a_little();
    }
    assert_true(listens(s->port));
}

static inline void server_signal(const test_server *s, int number)
{
    assert_int_equal(kill(s->pid, number), 0);
}

static inline void server_stop(test_server *s)
{
    if (s->pid != 0) {
        (void)kill(s->pid, SIGCONT);
        (void)kill(s->pid, SIGKILL);
        (void)waitpid(s->pid, NULL, 0);
        s->pid = 0;
    }
}

static inline void server_end(test_server *s)
{
    server_stop(s);
    if (s->port != 0) {
        const char *const argv[] = {"rm", "-rf", s->folder, NULL};
        assert_int_equal(run_program(argv), 0);
    }
}

static inline tfn_redis *connect_to(tfn_redis_config config, int port)
{
    const tfn_redis_address address = {"127.0.0.1", port};
    config.addresses = &address;
    config.n_addresses = 1;
    tfn_redis *redis = NULL;
    tfn_error err = {0};
    assert_ok(tfn_redis_create(&config, &redis, &err), err);
    return redis;
}

/* Words of one command, split at spaces; its first word after the name routes it. */
static inline tfn_code add_words(tfn_redis_batch *batch, const char *words, tfn_error *err)
{
    tfn_str args[64];
    size_t n = 0;
    while (*words != '\0') {
        const char *end = strchr(words, ' ');
        end = end == NULL ? words + strlen(words) : end;
        args[n++] = (tfn_str){words, (size_t)(end - words)};
        words = *end == ' ' ? end + 1 : end;
    }
    return tfn_redis_batch_add(batch, args[n > 1 ? 1 : 0], args, n, err);
}

/* One command in a batch of its own; what it answered as text: "nil", "7", "[2]", or its bytes. */
static inline tfn_code ask(tfn_redis *redis, const char *words, char answer[128], tfn_error *err)
{
    tfn_redis_batch *batch = NULL;
    answer[0] = '\0';
    tfn_code rc = tfn_redis_batch_create(redis, &batch, err);
    rc = rc == TFN_OK ? add_words(batch, words, err) : rc;
    rc = rc == TFN_OK ? tfn_redis_batch_run(batch, err) : rc;
    if (rc == TFN_OK) {
        const tfn_redis_reply *r = tfn_redis_batch_get_reply(batch, 0);
        if (r->type == TFN_REDIS_INTEGER) {
            (void)snprintf(answer, 128, "%lld", (long long)r->integer);
        } else if (r->type == TFN_REDIS_ARRAY) {
            (void)snprintf(answer, 128, "[%zu]", r->n_elements);
        } else if (r->type == TFN_REDIS_NIL) {
            (void)snprintf(answer, 128, "nil");
        } else {
            (void)snprintf(answer, 128, "%.*s", TFN_STR_ARG(r->text));
        }
    }
    tfn_redis_batch_destroy(batch);
    return rc;
}

#define assert_answer(redis, words, expected)                                                      \
    do {                                                                                           \
        tfn_error answer_err = {0};                                                                \
        char answer_text[128];                                                                     \
        assert_ok(ask((redis), (words), answer_text, &answer_err), answer_err);                    \
        assert_string_equal(answer_text, (expected));                                              \
    } while (0)

/* One batch of n replies of 200,000 bytes each: with enough of them more than sockets hold in either
 * direction, so it must be read while it is written. */
static inline void expect_large_batch(tfn_redis *redis, size_t n)
{
    enum { N_BYTES = 200 * 1000 };
    tfn_redis_batch *batch = NULL;
    tfn_error err = {0};
    char *bytes = malloc(N_BYTES);
    assert_non_null(bytes);
    memset(bytes, 'x', N_BYTES);
    assert_ok(tfn_redis_batch_create(redis, &batch, &err), err);
    for (size_t i = 0; i < n; i++) {
        const tfn_str args[] = {text("ECHO"), {bytes, N_BYTES}};
        assert_ok(tfn_redis_batch_add(batch, text(""), args, 2, &err), err);
    }
    assert_ok(tfn_redis_batch_run(batch, &err), err);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(tfn_redis_batch_get_reply(batch, i)->text.n, N_BYTES);
    }
    free(bytes);
    tfn_redis_batch_destroy(batch);
}

#endif
