/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Registry files of Feast: what is in one, what taking it over would change, and doing it. */

#include "registry/feast_file.h"
#include "store/store_internal.h"
#include "tiffin/feast.h"

#include "base/poison.h"

/* End a call that collected its answer in a buffer. */
static tfn_code take_answer(tfn_code rc, tfn_buf *buf, char **answer, tfn_error *err)
{
    if (rc == TFN_OK) {
        rc = tfn_buf_take_text(buf, answer, err);
    }
    tfn_buf_deinit(buf);
    return rc;
}

static tfn_str choose_project(const tfn_store *store, const char *project)
{
    return project == NULL ? tfn__store_get_project(store) : tfn_str_of(project);
}

tfn_code tfn_store_list_feast_projects(tfn_store *store, const void *bytes, size_t n_bytes,
                                       char **answer, tfn_error *err)
{
    (void)store;
    *answer = NULL;
    tfn_buf buf = {0};
    const tfn_code rc = tfn_feast_list_projects((tfn_str){bytes, n_bytes}, &buf, err);
    return take_answer(rc, &buf, answer, err);
}

tfn_code tfn_store_plan_feast(tfn_store *store, const void *bytes, size_t n_bytes,
                              const char *project, char **answer, tfn_error *err)
{
    *answer = NULL;
    tfn_registry *registry = NULL;
    tfn_buf request = {0};
    tfn_buf buf = {0};
    const tfn_str name = choose_project(store, project);
    TFN_RETURN_IF_ERROR(tfn__store_get_registry(store, &registry, err));
    tfn_code rc = tfn_feast_read((tfn_str){bytes, n_bytes}, name, &request, err);
    if (rc == TFN_OK) {
        rc = tfn_registry_plan(registry, name, tfn_buf_get_str(&request), &buf, err);
    }
    tfn_buf_deinit(&request);
    return take_answer(rc, &buf, answer, err);
}

tfn_code tfn_store_import_feast(tfn_store *store, const void *bytes, size_t n_bytes,
                                const char *project, char **answer, tfn_error *err)
{
    *answer = NULL;
    tfn_registry *registry = NULL;
    tfn_buf buf = {0};
    const tfn_str file = {bytes, n_bytes};
    TFN_RETURN_IF_ERROR(tfn__store_get_registry(store, &registry, err));
    const tfn_code rc =
        tfn_registry_import_feast(registry, file, choose_project(store, project), &buf, err);
    return take_answer(rc, &buf, answer, err);
}
