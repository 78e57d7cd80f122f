/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/* Administration goes to the engine, if it offers it. */

#include "online/admin.h"

#include "online/engine.h"

#include "base/poison.h"

static tfn_code get_admin(const tfn_online *online, const char *verb,
                          const tfn_online_admin_engine **out, tfn_error *err)
{
    *out = online->engine->admin;
    if (*out == NULL) {
        return TFN_FAIL(err, TFN_UNSUPPORTED,
                        "%s is for online stores of type lmdb; a server of its own, as Redis is, "
                        "has its own tools for it",
                        verb);
    }
    return TFN_OK;
}

tfn_code tfn_online_take_census(tfn_online *online, tfn_online_watch watch, tfn_arena *arena,
                                tfn_online_census *out, tfn_error *err)
{
    const tfn_online_admin_engine *admin = NULL;
    *out = (tfn_online_census){0};
    TFN_RETURN_IF_ERROR(get_admin(online, "counting every row (stats)", &admin, err));
    return admin->take_census(online, watch, arena, out, err);
}

tfn_code tfn_online_run_vacuum(tfn_online *online, const tfn_online_vacuum *vacuum,
                               tfn_arena *arena, tfn_online_vacuumed *out, tfn_error *err)
{
    const tfn_online_admin_engine *admin = NULL;
    *out = (tfn_online_vacuumed){0};
    TFN_RETURN_IF_ERROR(get_admin(online, "vacuum", &admin, err));
    return admin->run_vacuum(online, vacuum, arena, out, err);
}

tfn_code tfn_online_write_backup(tfn_online *online, const char *folder, tfn_str project,
                                 tfn_online_copy *views, size_t n_views, tfn_online_watch watch,
                                 char *hash, int64_t *n_bytes, tfn_error *err)
{
    const tfn_online_admin_engine *admin = NULL;
    TFN_RETURN_IF_ERROR(get_admin(online, "backup", &admin, err));
    return admin->write_backup(online, folder, project, views, n_views, watch, hash, n_bytes, err);
}

tfn_code tfn_online_read_backup(tfn_online *online, const char *folder, tfn_str project,
                                tfn_online_copy *views, size_t n_views, tfn_online_watch watch,
                                tfn_code (*before)(void *context, tfn_error *err),
                                void *before_context, tfn_error *err)
{
    const tfn_online_admin_engine *admin = NULL;
    TFN_RETURN_IF_ERROR(get_admin(online, "restore", &admin, err));
    return admin->read_backup(online, folder, project, views, n_views, watch, before,
                              before_context, err);
}
