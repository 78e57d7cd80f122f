/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* A whole server in this process: started, asked, drained, with and without keys and TLS. */

#include "unit/base_make.h"

#include "unit/server_client.h"

#include "server/server.c"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { N_ANSWERS = 200 };

static char folder[] = "/tmp/tiffin-server-XXXXXX";
static char registry[64];
static char online[64];
static char keys[64];
static char unix_path[64];
static char access_log[64];
static char feature_log[64];
static tfn_server_config config;

static void in_folder(char path[64], const char *name)
{
    (void)snprintf(path, 64, "%s/%s", folder, name);
}

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    in_folder(registry, "registry.db");
    in_folder(online, "online");
    in_folder(keys, "keys.json");
    in_folder(unix_path, "socket");
    in_folder(access_log, "access.log");
    in_folder(feature_log, "feature_logs");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

static int begin(void **state)
{
    (void)state;
    tfn_server_config_init(&config);
    config.store.project = "demo";
    config.store.registry_path = registry;
    config.store.online_path = online;
    config.keys_path = keys;
    config.feature_log_path = feature_log;
    config.port = 0;
    config.n_workers = 2;
    config.n_jobs = 2;
    return 0;
}

static int end(void **state)
{
    (void)state;
    tfn_server_config_deinit(&config);
    return 0;
}

static tfn_server *start(void)
{
    tfn_server *server = NULL;
    tfn_error err = {0};
    assert_ok(tfn_server_start(&config, &server, &err), err);
    return server;
}

static void get(client *c, const char *path)
{
    char text[256];
    (void)snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);
    client_send(c, text);
}

static void apply(const char *project)
{
    tfn_store_opts opts = {
        .struct_size = sizeof opts, .project = project, .registry_path = registry};
    tfn_store *store = NULL;
    char *answer = NULL;
    tfn_error err = {0};
    assert_ok(tfn_store_open(&opts, &store, &err), err);
    assert_ok(tfn_store_apply(store,
                              "{\"objects\": [{\"kind\": \"entity\", \"name\": \"driver\", "
                              "\"join_key\": \"driver_id\", \"value_type\": \"int64\"}]}",
                              &answer, &err),
              err);
    tfn_text_destroy(answer);
    tfn_store_close(store);
}

static void health_and_readiness_differ_until_there_is_a_registry(void **state)
{
    (void)state;
    tfn_server *server = start();
    client c = client_dial(tfn_server_get_port(server));
    get(&c, "/health");
    client_expect(&c, 200, "");
    get(&c, "/ready");
    client_expect(&c, 503, "run `tiffin apply`");
    client_send(&c, "POST /refresh HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    client_expect(&c, 404, "NOT_FOUND");
    apply("demo");
    client_send(&c, "POST /refresh HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    client_expect(&c, 200, "");
    get(&c, "/ready");
    client_expect(&c, 200, "");
    get(&c, "/metrics");
    client_expect(&c, 200, "tiffin_requests_total{path=\"/ready\",status=\"200\"} 1");
    get(&c, "/nowhere");
    client_expect(&c, 404, "Not Found");
    client_close(&c);
    tfn_server_destroy(server);
}

static void a_registry_that_cannot_be_read_is_unwell(void **state)
{
    (void)state;
    config.store.registry_path = folder; /* no file */
    tfn_server *server = start();
    client c = client_dial(tfn_server_get_port(server));
    get(&c, "/health");
    client_expect(&c, 503, folder);
    client_close(&c);
    tfn_server_destroy(server);
}

static void a_drained_server_takes_no_connection_and_says_that_it_is_not_ready(void **state)
{
    (void)state;
    tfn_server *server = start();
    const int32_t port = tfn_server_get_port(server);
    client c = client_dial(port);
    get(&c, "/health");
    client_expect(&c, 200, "");
    atomic_store(&server->is_draining, true);
    get(&c, "/ready");
    client_expect(&c, 503, "is being stopped");
    tfn_server_drain(server);
    client after = client_dial(port);
    assert_int_equal(after.fd, -1);
    client_close(&after);
    client_close(&c);
    tfn_server_destroy(server);
}

static void a_port_that_is_taken_is_an_error_and_leaves_nothing(void **state)
{
    (void)state;
    const int other = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    assert_int_equal(bind(other, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(other, 1), 0);
    assert_int_equal(getsockname(other, (struct sockaddr *)&at, &n), 0);
    config.port = ntohs(at.sin_port);
    tfn_server *server = NULL;
    tfn_error err = {0};
    assert_int_equal(tfn_server_start(&config, &server, &err), TFN_IO);
    assert_text(err.message, "which another program has");
    assert_null(server);
    (void)close(other);
}

static void a_socket_that_another_server_put_there_stays(void **state)
{
    (void)state;
    config.unix_path = unix_path;
    tfn_server *server = start();
    assert_int_equal(unlink(unix_path), 0);
    const int other = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    memcpy(to.sun_path, unix_path, sizeof unix_path);
    assert_int_equal(bind(other, (const struct sockaddr *)&to, sizeof to), 0);
    tfn_server_drain(server);
    tfn_server_destroy(server);
    assert_int_equal(access(unix_path, F_OK), 0);
    assert_int_equal(unlink(unix_path), 0);
    (void)close(other);
}

static void a_unix_socket_serves_beside_tcp_and_is_removed(void **state)
{
    (void)state;
    config.unix_path = unix_path;
    config.access_log_path = access_log;
    config.access_log_rate = 1;
    tfn_server *server = start();
    client c = client_of(socket(AF_UNIX, SOCK_STREAM, 0));
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    memcpy(to.sun_path, unix_path, sizeof unix_path);
    assert_int_equal(connect(c.fd, (const struct sockaddr *)&to, sizeof to), 0);
    for (int i = 0; i < N_ANSWERS; i++) {
        get(&c, "/health?q=secret");
        client_expect(&c, 200, "");
    }
    client_close(&c);
    c = client_dial(tfn_server_get_port(server));
    get(&c, "/health");
    client_expect(&c, 200, "");
    client_close(&c);
    tfn_server_reopen_logs(server);
    tfn_server_drain(server);
    assert_int_equal(access(unix_path, F_OK), -1);
    tfn_server_destroy(server);
    FILE *file = fopen(access_log, "r");
    assert_non_null(file);
    char line[512];
    int n_unix = 0;
    int n_tcp = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        n_unix += strstr(line, "\"peer\":\"unix\"") != NULL;
        n_tcp += strstr(line, "\"peer\":\"127.0.0.1:") != NULL;
        assert_null(strstr(line, "secret"));
    }
    assert_int_equal(fclose(file), 0);
    assert_int_equal(n_unix, N_ANSWERS);
    assert_int_equal(n_tcp, 1);
}

static void keys_are_asked_for_once_there_is_one(void **state)
{
    (void)state;
    /* SHA-256 of "tfk_0123456789abcdef_" and 64 zeros is not needed: no request here shows a key that is good. */
    const int fd = open(keys, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    const char *text =
        "{\"version\": 1, \"keys\": [{\"id\": \"0123456789abcdef\", \"name\": \"n\", "
        "\"scopes\": [\"read\"], \"rate_per_second\": null, \"sha256\": \"00000000000000000000"
        "00000000000000000000000000000000000000000000\", \"created\": "
        "\"2026-11-27T00:00:00Z\"}]}";
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
    tfn_server *server = start();
    client c = client_dial(tfn_server_get_port(server));
    get(&c, "/health");
    client_expect(&c, 200, "");
    get(&c, "/metrics");
    client_expect(&c, 401, "asks for an API key");
    client_send(&c,
                "GET /metrics HTTP/1.1\r\nHost: a\r\nX-Api-Key: tfk_0123456789abcdef_x\r\n\r\n");
    client_expect(&c, 401, "unknown or was revoked");
    client_close(&c);
    tfn_server_destroy(server);
    assert_int_equal(unlink(keys), 0);
}

static void a_key_file_that_is_none_stops_the_start(void **state)
{
    (void)state;
    config.tls_key = registry; /* a database */
    config.tls_cert = registry;
    tfn_server *server = NULL;
    tfn_error err = {0};
    assert_int_equal(tfn_server_start(&config, &server, &err), TFN_INVALID);
    assert_text(err.message, "TLS cannot be served with the key");
    assert_text(err.message, "both must be PEM, and made for each other: ");
    assert_null(strchr(err.message, '\n'));
    assert_true(err.message[strlen(err.message) - 1] != '.');
    config.tls_key = "/nonexistent/key.pem";
    assert_int_equal(tfn_server_start(&config, &server, &err), TFN_IO);
    assert_text(err.message, "/nonexistent/key.pem");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(health_and_readiness_differ_until_there_is_a_registry,
                                        begin, end),
        cmocka_unit_test_setup_teardown(a_registry_that_cannot_be_read_is_unwell, begin, end),
        cmocka_unit_test_setup_teardown(
            a_drained_server_takes_no_connection_and_says_that_it_is_not_ready, begin, end),
        cmocka_unit_test_setup_teardown(a_port_that_is_taken_is_an_error_and_leaves_nothing, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_socket_that_another_server_put_there_stays, begin, end),
        cmocka_unit_test_setup_teardown(a_unix_socket_serves_beside_tcp_and_is_removed, begin, end),
        cmocka_unit_test_setup_teardown(keys_are_asked_for_once_there_is_one, begin, end),
        cmocka_unit_test_setup_teardown(a_key_file_that_is_none_stops_the_start, begin, end),
    };
    return cmocka_run_group_tests_name("server_server", tests, set_up, tear_down);
}
