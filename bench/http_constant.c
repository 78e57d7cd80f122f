/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The yardstick of the feature server: libmicrohttpd alone, answering every POST with the same bytes.
 *
 *   http_constant PORT FILE
 *
 * Listens on 127.0.0.1 and serves until it gets SIGTERM.
 * The shape is the server's own: one thread of libmicrohttpd (epoll), keep-alive, a request's body is
 * read to its end, the answer is JSON with a Content-Length. What a server must do beyond that (parse, look
 * up, write) is what a comparison with it shows. The response is made once and shared by all requests,
 * which is the least that the library can do.
 *
 * Linked with libmicrohttpd and the C library only: no line of Tiffin takes part.
 */

#include <microhttpd.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CONNECTIONS = 1000 };

static void fail(const char *what, const char *why)
{
    (void)fprintf(stderr, "http_constant: %s: %s\n", what, why);
    exit(1);
}

/** The whole file as a response, which owns the bytes. */
static struct MHD_Response *read_response(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        fail(path, "cannot be read");
    }
    const long n_bytes = ftell(file);
    char *bytes = n_bytes > 0 ? malloc((size_t)n_bytes) : NULL;
    if (bytes == NULL || fseek(file, 0, SEEK_SET) != 0 ||
        fread(bytes, 1, (size_t)n_bytes, file) != (size_t)n_bytes) {
        fail(path, "is empty or cannot be read");
    }
    (void)fclose(file);
    struct MHD_Response *response =
        MHD_create_response_from_buffer((size_t)n_bytes, bytes, MHD_RESPMEM_MUST_FREE);
    if (response == NULL ||
        MHD_add_response_header(response, "Content-Type", "application/json") != MHD_YES) {
        fail("response", "no memory is left");
    }
    return response;
}

/** Called at the header, then for parts of the body, then at its end. */
static enum MHD_Result answer(void *response, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *n_upload_bytes, void **state)
{
    (void)url;
    (void)version;
    (void)upload;
    static char has_begun;
    if (*state == NULL) {
        *state = &has_begun;
        return MHD_YES;
    }
    if (*n_upload_bytes > 0) {
        *n_upload_bytes = 0;
        return MHD_YES;
    }
    if (strcmp(method, "POST") != 0) {
        return MHD_NO;
    }
    return MHD_queue_response(connection, MHD_HTTP_OK, response);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fail("usage", "http_constant PORT FILE");
    }
    char *end = NULL;
    const unsigned long port = strtoul(argv[1], &end, 10);
    if (*end != '\0' || port == 0 || port > UINT16_MAX) {
        fail(argv[1], "is no port");
    }
    sigset_t ends;
    (void)sigemptyset(&ends);
    (void)sigaddset(&ends, SIGTERM);
    (void)sigaddset(&ends, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &ends, NULL);
    (void)signal(SIGPIPE, SIG_IGN);

    struct MHD_Response *response = read_response(argv[2]);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct MHD_Daemon *daemon =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, answer, response,
                         MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address,
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned)MAX_CONNECTIONS, MHD_OPTION_END);
    if (daemon == NULL) {
        fail(argv[1], "cannot be listened on");
    }
    int got = 0;
    (void)sigwait(&ends, &got);
    MHD_stop_daemon(daemon);
    MHD_destroy_response(response);
    return 0;
}
