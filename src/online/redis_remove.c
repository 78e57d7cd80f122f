/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Rows that go from Redis. A project's keys end in its name, but so may others ("a" and "data"), and
 * a key may hold any bytes: each that matches is walked through before it counts.
 */

#include "online/redis_internal.h"
#include "online/redis_script.h"

#include "base/poison.h"

typedef struct drop_run {
    redis_engine *engine;
    tfn_str project;
    tfn_redis_batch *batch;
    uint64_t n_rows;
} drop_run;

static tfn_code count_dropped(drop_run *run, tfn_error *err)
{
    for (size_t i = 0; i < tfn_redis_batch_get_count(run->batch); i++) {
        const tfn_redis_reply *reply = tfn_redis_batch_get_reply(run->batch, i);
        if (reply->type != TFN_REDIS_INTEGER) {
            return TFN_FAIL(err, TFN_IO, "Redis refused to remove a row of project '%.*s': %.*s",
                            TFN_STR_ARG(run->project), TFN_STR_ARG(reply->text));
        }
        run->n_rows += (uint64_t)reply->integer;
    }
    return TFN_OK;
}

static tfn_code drop_keys(void *context, const tfn_str *keys, size_t n_keys, tfn_error *err)
{
    drop_run *run = context;
    tfn_redis_batch_clear(run->batch);
    for (size_t i = 0; i < n_keys; i++) {
        if (!tfn__redis_key_is_of(keys[i], run->project)) {
            continue;
        }
        const tfn_str args[] = {tfn_str_of("EVAL"), tfn_str_of(TFN__REDIS_DROP_SCRIPT),
                                tfn_str_of("1"), keys[i]};
        TFN_RETURN_IF_ERROR(
            tfn_redis_batch_add(run->batch, keys[i], args, sizeof args / sizeof args[0], err));
    }
    if (tfn_redis_batch_get_count(run->batch) == 0) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(tfn_redis_batch_run(run->batch, err));
    return count_dropped(run, err);
}

/* "*" and the name, in which nothing is a wildcard. */
static tfn_code add_pattern(tfn_str project, tfn_buf *out, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, "*", err));
    for (size_t i = 0; i < project.n; i++) {
        const char escaped[2] = {'\\', project.p[i]};
        TFN_RETURN_IF_ERROR(tfn_buf_add(out, escaped, sizeof escaped, err));
    }
    return TFN_OK;
}

tfn_code tfn__redis_drop_project(tfn_online *online, tfn_str project, uint64_t *n_rows,
                                 tfn_error *err)
{
    drop_run run = {.engine = (redis_engine *)online, .project = project};
    tfn_buf pattern = {0};
    tfn_code rc = TFN_OK;
    if (n_rows != NULL) {
        *n_rows = 0;
    }
    TFN_GOTO_IF_ERROR(rc, add_pattern(project, &pattern, err), done);
    TFN_GOTO_IF_ERROR(rc, tfn__redis_take_batch(run.engine, &run.batch, err), done);
    TFN_GOTO_IF_ERROR(
        rc, tfn_redis_scan(run.engine->client, tfn_buf_get_str(&pattern), drop_keys, &run, err),
        done);
    if (n_rows != NULL) {
        *n_rows = run.n_rows;
    }
done:
    tfn__redis_give_batch(run.engine, run.batch);
    tfn_buf_deinit(&pattern);
    return rc;
}
