/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include "unit/base_make.h"

#include <stdlib.h>

#include "server/listen.c"

enum { N = 3 };

static void close_fds(int *fds)
{
    close_all(fds, N);
}

static void all_sockets_of_a_free_port_listen_on_the_same_one(void **state)
{
    (void)state;
    static const char *const hosts[] = {"127.0.0.1", "localhost", "::1"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        int fds[N];
        int32_t port = 0;
        tfn_error err = {0};
        if (tfn_listen_tcp(hosts[i], &port, N, fds, &err) != TFN_OK && i == 2) {
            continue; /* no IPv6 here */
        }
        assert_int_equal(err.code, TFN_OK);
        assert_true(port > 0);
        for (size_t k = 0; k < N; k++) {
            assert_int_equal(get_port(fds[k]), port);
            assert_true((fcntl(fds[k], F_GETFL) & O_NONBLOCK) != 0);
            assert_true((fcntl(fds[k], F_GETFD) & FD_CLOEXEC) != 0);
        }
        close_fds(fds);
    }
}

static void a_port_that_another_holds_and_a_host_that_is_none_are_named(void **state)
{
    (void)state;
    const int other = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(other, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(other, 1), 0);
    int32_t port = get_port(other);
    int fds[N];
    tfn_error err = {0};
    assert_int_equal(tfn_listen_tcp("127.0.0.1", &port, N, fds, &err), TFN_IO);
    assert_text(err.message, "which another program has");
    assert_text(err.message, "--port");
    assert_int_equal(fds[0], -1);
    (void)close(other);
    assert_int_equal(tfn_listen_tcp("192.0.2.1", &port, N, fds, &err), TFN_IO);
    assert_text(err.message, "cannot listen on 192.0.2.1");
    assert_text(err.message, "give an address of this machine (--host)");
    assert_int_equal(tfn_listen_tcp("no such host", &port, N, fds, &err), TFN_INVALID);
    assert_text(err.message, "--host");
}

static void whether_somebody_listens_on_a_port_is_seen(void **state)
{
    (void)state;
    int fds[N];
    int32_t port = 0;
    tfn_error err = {0};
    assert_ok(tfn_listen_tcp("127.0.0.1", &port, N, fds, &err), err);
    assert_true(tfn_listen_is_taken("127.0.0.1", port));
    assert_true(tfn_listen_is_taken("localhost", port));
    close_fds(fds);
    assert_false(tfn_listen_is_taken("127.0.0.1", port));
    assert_false(tfn_listen_is_taken("127.0.0.1", 0));
    assert_false(tfn_listen_is_taken("192.0.2.1", port)); /* not of this machine */
    assert_false(tfn_listen_is_taken("no such host", port));
}

static void a_unix_socket_is_for_its_group_and_replaces_one_that_nobody_answers_on(void **state)
{
    (void)state;
    char folder[] = "/tmp/tiffin-listen-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char path[64];
    (void)snprintf(path, sizeof path, "%s/s", folder);
    int fds[N];
    tfn_error err = {0};
    assert_ok(tfn_listen_unix(path, N, fds, &err), err);
    struct stat at = {0};
    assert_int_equal(stat(path, &at), 0);
    assert_int_equal(at.st_mode & 0777, UNIX_MODE);
    int second[N];
    assert_int_equal(tfn_listen_unix(path, N, second, &err), TFN_IO);
    assert_text(err.message, "listens on the Unix socket");
    assert_int_equal(second[0], -1);
    close_fds(fds); /* as after a kill: the file stays */
    err = (tfn_error){0};
    assert_ok(tfn_listen_unix(path, N, fds, &err), err);
    close_fds(fds);
    assert_int_equal(unlink(path), 0);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(tfn_listen_unix(path, N, fds, &err), TFN_IO);
    assert_text(err.message, "no Unix socket; it is left alone");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
    char longer[200];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(tfn_listen_unix(longer, N, fds, &err), TFN_INVALID);
    assert_text(err.message, "199 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_sockets_of_a_free_port_listen_on_the_same_one),
        cmocka_unit_test(a_port_that_another_holds_and_a_host_that_is_none_are_named),
        cmocka_unit_test(whether_somebody_listens_on_a_port_is_seen),
        cmocka_unit_test(a_unix_socket_is_for_its_group_and_replaces_one_that_nobody_answers_on),
    };
    return cmocka_run_group_tests_name("server_listen", tests, NULL, NULL);
}
