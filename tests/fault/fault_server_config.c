/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The server's settings with every allocation refused in turn: a configuration with everything in it
 * and a file of keys are read, checked and shown. A run must end with TFN_OK (the refused one was not
 * needed) or TFN_NO_MEMORY; leaks and stray accesses are AddressSanitizer's to find.
 */

#include "unit/base_make.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "server/config.h"

static char folder[] = "/tmp/tiffin_config_XXXXXX";
static char yaml_path[64];
static char keys_path[64];

static const char YAML[] =
    "project: p\n"
    "registry: {path: r.db, foo: 1}\n"
    "x: &x {a: 1, b: [2, 3.5, yes]}\n"
    "s3: {<<: *x, region: eu, secret_access_key: s}\n"
    "online_store: {type: redis, connection_string: 'a:1,password=s,t,ssl=true'}\n"
    "offline_store: {memory_limit: 1GB, temp_directory: $HOME/tmp}\n"
    "feature_server: {port: 0, limits: {max_body: 1MiB}, access_log: {path: '-'}, 2020-01-01: 3}\n"
    "coerce_tz_aware: no\n";

static const char KEYS[] =
    "{\"version\": 1, \"keys\": [{\"id\": \"a\", \"name\": \"n\", \"scopes\": [\"read\"], "
    "\"sha256\": \"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"}]}";

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static tfn_code load_and_print(tfn_error *err)
{
    const char *const argv[] = {
        "-c", folder, "--host", "0.0.0.0", "--keys", keys_path, "--limit=max_jobs=3"};
    enum { ARGC = sizeof argv / sizeof *argv };
    tfn_server_config config;
    char *warning = NULL;
    char *json = NULL;
    tfn_server_config_init(&config);
    tfn_code rc =
        tfn_server_config_load(&config, ARGC, (char *const *)(uintptr_t)argv, &warning, err);
    if (rc == TFN_OK) {
        rc = tfn_server_config_print(&config, &json, err);
    }
    tfn_mem_free(json);
    tfn_mem_free(warning);
    tfn_server_config_deinit(&config);
    return rc;
}

static void settings_survive_every_refusal(void **state)
{
    (void)state;
    tfn_error err = {0};
    tfn_mem_fault_arm(0);
    assert_ok(load_and_print(&err), err);
    const int64_t n_allocations = tfn_mem_fault_count();
    assert_true(n_allocations > 0);
    for (int64_t k = 1; k <= n_allocations; k++) {
        err = (tfn_error){0};
        tfn_mem_fault_arm(k);
        const tfn_code rc = load_and_print(&err);
        assert_true(rc == TFN_OK || rc == TFN_NO_MEMORY);
        assert_int_equal(rc, err.code);
        assert_true(rc == TFN_OK || err.message[0] != '\0');
    }
    tfn_mem_fault_arm(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(settings_survive_every_refusal)};
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    (void)snprintf(yaml_path, sizeof yaml_path, "%s/feature_store.yaml", folder);
    (void)snprintf(keys_path, sizeof keys_path, "%s/keys.json", folder);
    write_text(yaml_path, YAML);
    write_text(keys_path, KEYS);
    const int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(yaml_path);
    (void)unlink(keys_path);
    (void)rmdir(folder);
    return n_failed;
}
