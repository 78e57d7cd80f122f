/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Arbitrary bytes as a configuration: first as YAML, then as the feature_store.yaml of a server. What
 * is read can be shown, as JSON that is JSON; what is refused has a sentence that is a text.
 */

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "server/config.h"
#include "server/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void check_is_json(tfn_str text)
{
    yyjson_doc *doc = NULL;
    check(tfn_json_parse(text, "an answer", &doc, NULL) == TFN_OK);
    yyjson_doc_free(doc);
}

static void check_sentence(const tfn_error *err, tfn_code rc)
{
    check(err->code == rc && err->message[0] != '\0');
    check(tfn_str_is_utf8(tfn_str_of(err->message)));
}

static void read_yaml(tfn_str text)
{
    enum { MAX_SHOWN_BYTES = 1 << 20 };
    tfn_arena arena = {0};
    tfn_buf shown;
    const tfn_yaml *root = NULL;
    tfn_error err = {0};
    tfn_buf_init(&shown, MAX_SHOWN_BYTES);
    tfn_code rc = tfn_yaml_read(text, "seed.yaml", &arena, &root, &err);
    if (rc == TFN_OK) {
        (void)tfn_yaml_is_true(root);
        check(tfn_yaml_add_repr(root, &shown, &err) == TFN_OK);
        check(tfn_str_is_utf8(tfn_buf_get_str(&shown)));
        tfn_buf_clear(&shown);
        rc = tfn_yaml_add_json(root, &shown, &err);
        check(rc == TFN_OK || rc == TFN_LIMIT);
    } else {
        check_sentence(&err, rc);
    }
    tfn_buf_deinit(&shown);
    tfn_arena_deinit(&arena);
}

static void read_config(tfn_str text)
{
    char path[] = "/tmp/tiffin_yaml_XXXXXX";
    const int fd = mkstemp(path);
    check(fd >= 0 && write(fd, text.p, text.n) == (ssize_t)text.n);
    (void)close(fd);
    tfn_server_config config;
    tfn_error err = {0};
    char *warning = NULL;
    char *json = NULL;
    tfn_server_config_init(&config);
    tfn_code rc = tfn_server_config_read(&config, "/repo", path, &warning, &err);
    (void)unlink(path);
    if (rc == TFN_OK) {
        check(config.store.project != NULL && config.keys_path != NULL);
        rc = tfn_server_config_print(&config, &json, &err);
    }
    if (rc == TFN_OK) {
        check_is_json(tfn_str_of(json));
    } else {
        check_sentence(&err, rc);
    }
    tfn_mem_free(json);
    tfn_mem_free(warning);
    tfn_server_config_deinit(&config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const tfn_str text = {(const char *)data, size};
    read_yaml(text);
    read_config(text);
    return 0;
}
