/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Arbitrary bytes as a registry file of Feast (docs/formats/feast-registry.md). What is one can be
 * listed and read, project by project, into a request that is JSON; what is none is refused with a
 * reason. A request is judged as an apply is: what a document of it is refused for has a sentence.
 * What is accepted can be written over the bytes that it came from, which gives a file again.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "registry/feast_file.h"
#include "registry/registry_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok) {
        abort();
    }
}

/* Documents of a state, laid over the file. */
static void check_writing(tfn_str bytes, tfn_str project, const tfn__proposal *p)
{
    tfn_buf documents = {0};
    tfn_buf out = {0};
    tfn_error err = {0};
    check(tfn_buf_add_text(&documents, "[", NULL) == TFN_OK);
    for (size_t i = 0; i < p->n_changed; i++) {
        check(tfn_buf_add_text(&documents, i == 0 ? "" : ",", NULL) == TFN_OK);
        check(tfn__snapshot_describe_entry(p->changed[i], &documents, NULL) == TFN_OK);
    }
    check(tfn_buf_add_text(&documents, "]", NULL) == TFN_OK);
    const tfn_feast_writing writing = {
        .base = bytes, .project = project, .documents = tfn_buf_get_str(&documents)};
    const tfn_code rc = tfn_feast_write(&writing, &out, &err);
    check(rc == TFN_OK || (rc == TFN_UNSUPPORTED && err.message[0] != '\0'));
    check(rc != TFN_OK || tfn_feast_is_registry(tfn_buf_get_str(&out)));
    tfn_buf_deinit(&out);
    tfn_buf_deinit(&documents);
}

static void check_request(tfn_str bytes, tfn_str project, tfn_str request)
{
    tfn_snapshot *nothing = NULL;
    tfn__proposal p = {0};
    tfn_error err = {0};
    check(tfn__snapshot_create(project, 0, &nothing, NULL) == TFN_OK);
    const tfn_code rc = tfn__proposal_init(&p, nothing, request, &err);
    check(rc == TFN_OK || (tfn__is_refusal(rc) && err.message[0] != '\0'));
    for (size_t i = 0; i < p.n_refusals; i++) {
        check(p.refusals[i].code != TFN_OK && p.refusals[i].reason.n > 0);
    }
    if (rc == TFN_OK && p.n_refusals == 0) {
        check_writing(bytes, project, &p);
    }
    tfn__proposal_deinit(&p);
    tfn_snapshot_release(nothing);
}

static void check_project(tfn_str bytes, tfn_str project)
{
    tfn_buf request = {0};
    tfn_error err = {0};
    check(tfn_feast_read(bytes, project, &request, &err) == TFN_OK);
    check_request(bytes, project, tfn_buf_get_str(&request));
    tfn_buf_deinit(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { MAX_PROJECTS = 8 };
    const tfn_str bytes = {(const char *)data, size};
    tfn_buf names = {0};
    tfn_error err = {0};
    const bool is_registry = tfn_feast_is_registry(bytes);
    const tfn_code rc = tfn_feast_list_projects(bytes, &names, &err);
    check(rc == TFN_OK || ((rc == TFN_CORRUPT || rc == TFN_LIMIT) && err.message[0] != '\0'));
    check(rc != TFN_OK || is_registry);
    if (rc == TFN_OK) {
        tfn_arena a = {0};
        yyjson_val *root = NULL;
        check(tfn__json_read(&a, tfn_buf_get_str(&names), "projects", &root, NULL) == TFN_OK);
        for (size_t i = 0; i < yyjson_arr_size(root) && i < MAX_PROJECTS; i++) {
            check_project(bytes, tfn__json_get_str(yyjson_arr_get(root, i)));
        }
        tfn_arena_deinit(&a);
    }
    tfn_buf_deinit(&names);
    return 0;
}
