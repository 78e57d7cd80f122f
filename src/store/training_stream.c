/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * A training set as an Arrow stream: batches are computed when they are asked for.
 *
 * A stream can say of an error only a number and a sentence; whoever wants the code uses the handle
 * (tfn_training_next) instead.
 */

#include <errno.h> /* IWYU pragma: keep */

#include "base/mem.h"
#include "store/training_set.h"

#include "base/poison.h"

typedef struct training_stream {
    tfn_training *training;
    tfn_tick_fn tick;
    void *tick_context;
    tfn_error error;
} training_stream;

static int errno_of(tfn_code rc)
{
    switch (rc) {
    case TFN_OK:
        return 0;
    case TFN_NO_MEMORY:
        return ENOMEM;
    case TFN_CANCELLED:
        return ECANCELED;
    case TFN_IO:
        return EIO;
    default:
        return EINVAL;
    }
}

static int get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    training_stream *s = stream->private_data;
    s->error = (tfn_error){0};
    return errno_of(tfn_training_get_schema(s->training, s->tick, s->tick_context, out, &s->error));
}

static int get_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    training_stream *s = stream->private_data;
    s->error = (tfn_error){0};
    return errno_of(tfn_training_next(s->training, s->tick, s->tick_context, out, &s->error));
}

static const char *get_last_error(struct ArrowArrayStream *stream)
{
    const training_stream *s = stream->private_data;
    return s->error.code == TFN_OK ? NULL : s->error.message;
}

static void release_stream(struct ArrowArrayStream *stream)
{
    training_stream *s = stream->private_data;
    tfn_training_end(s->training);
    tfn_mem_free(s);
    stream->release = NULL;
}

tfn_code tfn__training_export(tfn_training *t, tfn_tick_fn tick, void *tick_context,
                              struct ArrowArrayStream *out, tfn_error *err)
{
    void *p = NULL;
    const tfn_code rc = tfn_mem_alloc_array(1, sizeof(training_stream), &p, err);
    if (rc != TFN_OK) {
        tfn_training_end(t);
        return rc;
    }
    training_stream *s = p;
    s->training = t;
    s->tick = tick;
    s->tick_context = tick_context;
    *out = (struct ArrowArrayStream){.get_schema = get_schema,
                                     .get_next = get_next,
                                     .get_last_error = get_last_error,
                                     .release = release_stream,
                                     .private_data = s};
    return TFN_OK;
}
