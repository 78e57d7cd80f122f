/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/supervisor.c"

/* A socket that a service manager listens on; name[0] is '@' for the abstract space. */
static int listen_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t n = strlen(name);
    memcpy(address.sun_path, name, n);
    if (name[0] == '@') {
        address.sun_path[0] = '\0';
    }
    const int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)),
                     0);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    return fd;
}

static void expect_told(int fd, const char *words)
{
    char got[64] = {0};
    assert_int_equal(recv(fd, got, sizeof got - 1, MSG_DONTWAIT), (int)strlen(words));
    assert_string_equal(got, words);
}

static void nobody_who_did_not_ask_is_told(void **state)
{
    (void)state;
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
    assert_int_equal(tfn_supervisor_tell("READY=1", NULL), TFN_OK);
}

static void a_manager_that_listens_at_a_path_is_told(void **state)
{
    (void)state;
    char folder[] = "/tmp/tfn_supervisor_XXXXXX";
    assert_non_null(mkdtemp(folder));
    char name[64];
    (void)snprintf(name, sizeof name, "%s/notify", folder);
    const int fd = listen_at(name);
    assert_int_equal(tfn_supervisor_tell("READY=1", NULL), TFN_OK);
    assert_int_equal(tfn_supervisor_tell("STOPPING=1", NULL), TFN_OK);
    expect_told(fd, "READY=1");
    expect_told(fd, "STOPPING=1");
    assert_int_equal(close(fd), 0);
    assert_int_equal(unlink(name), 0);
    assert_int_equal(rmdir(folder), 0);
}

#ifdef __linux__
static void a_manager_in_the_abstract_space_is_told(void **state)
{
    (void)state;
    char name[64];
    (void)snprintf(name, sizeof name, "@tfn_supervisor_%d", (int)getpid());
    const int fd = listen_at(name);
    assert_int_equal(tfn_supervisor_tell("READY=1", NULL), TFN_OK);
    expect_told(fd, "READY=1");
    assert_int_equal(close(fd), 0);
}
#endif

static void a_manager_that_is_gone_is_an_error_with_its_address(void **state)
{
    (void)state;
    assert_int_equal(setenv("NOTIFY_SOCKET", "/tmp/tfn_supervisor_nobody/notify", 1), 0);
    tfn_error err = {0};
    assert_int_equal(tfn_supervisor_tell("READY=1", &err), TFN_IO);
    assert_non_null(strstr(err.message, "cannot be told 'READY=1' at '/tmp/tfn_supervisor_nobody"));
}

static void what_is_no_address_is_refused(void **state)
{
    (void)state;
    char long_name[200];
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[0] = '/';
    long_name[sizeof long_name - 1] = '\0';
    const char *const bad[] = {"", "/", "relative", long_name};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(setenv("NOTIFY_SOCKET", bad[i], 1), 0);
        tfn_error err = {0};
        assert_int_equal(tfn_supervisor_tell("READY=1", &err), TFN_INVALID);
        assert_non_null(strstr(err.message, "NOTIFY_SOCKET is '"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_who_did_not_ask_is_told),
        cmocka_unit_test(a_manager_that_listens_at_a_path_is_told),
#ifdef __linux__
        cmocka_unit_test(a_manager_in_the_abstract_space_is_told),
#endif
        cmocka_unit_test(a_manager_that_is_gone_is_an_error_with_its_address),
        cmocka_unit_test(what_is_no_address_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
