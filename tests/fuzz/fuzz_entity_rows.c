/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Entity rows and a source as anybody may hand them over, through the whole join.
 *
 * Input: two Arrow streams (arrow_bytes.h), then a few bytes of what is asked. Nothing may be read
 * that is not there, nothing may leak, a failure has a sentence; and all forms of a source - a frame
 * read in two steps or in one, a stream - give the same cells, or the same code.
 */

#include <assert.h>

#include "column/cell.h"
#include "column/frame.h"
#include "fuzz/arrow_bytes.h"
#include "offline/offline.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

enum { MAX_KEYS = 3, MAX_FEATURES = 4 };

/* What is asked of two frames. */
typedef struct question {
    size_t key_cols[MAX_KEYS];
    tfn_type key_types[MAX_KEYS];
    tfn_str key_names[MAX_KEYS];
    size_t time_col;
    tfn_str feature_names[MAX_FEATURES];
    tfn_type feature_types[MAX_FEATURES];
    tfn_join_view view;
} question;

static void check_failed(tfn_code rc, const tfn_error *err)
{
    assert(rc == TFN_OK || err->message[0] != '\0');
    (void)rc;
    (void)err;
}

static tfn_frame *read_frame(input *in)
{
    struct ArrowArrayStream stream;
    tfn_frame *frame = NULL;
    tfn_error err = {0};
    byte_stream_make(in, &stream);
    const tfn_code rc = tfn_frame_read(&stream, &frame, &err);
    check_failed(rc, &err);
    if (stream.release != NULL) {
        assert(rc != TFN_OK);
        stream.release(&stream);
    }
    return frame;
}

/* The type that a column has, or now and then another one that it may be declared as. */
static tfn_type draw_type(input *in, const tfn_frame *frame, size_t i_col)
{
    tfn_type type = {0};
    if (tfn_frame_get_type(frame, i_col, &type, NULL) != TFN_OK || type.kind == TFN_KIND_NONE ||
        is_breach(in)) {
        type = (tfn_type){.kind = (uint8_t)(1 + take_byte(in) % 9)};
        type.unit = take_byte(in) % 4;
    }
    return type;
}

static void draw_question(input *in, const tfn_frame *spine, const tfn_frame *source, question *q)
{
    const size_t n_spine = tfn_frame_get_n_cols(spine);
    const size_t n_source = tfn_frame_get_n_cols(source);
    *q = (question){.time_col = take_byte(in) < 224 ? 0 : take_byte(in) % n_spine};
    const size_t n_keys = take_byte(in) % (MAX_KEYS + 1);
    for (size_t i = 0; i < n_keys; i++) {
        const size_t i_col = take_byte(in) % n_source;
        q->key_cols[i] = take_byte(in) % n_spine;
        q->key_types[i] = draw_type(in, spine, q->key_cols[i]);
        q->key_names[i] = tfn_frame_get_name(source, i_col);
    }
    const size_t n_features = take_byte(in) % (MAX_FEATURES + 1);
    for (size_t i = 0; i < n_features; i++) {
        const size_t i_col = take_byte(in) % n_source;
        q->feature_names[i] = tfn_frame_get_name(source, i_col);
        q->feature_types[i] = draw_type(in, source, i_col);
    }
    q->view = (tfn_join_view){
        .label = tfn_str_of("fuzzed"),
        .n_keys = n_keys,
        .key_columns = q->key_names,
        .key_types = q->key_types,
        .timestamp_field = tfn_frame_get_name(source, 0),
        .n_features = n_features,
        .feature_columns = q->feature_names,
        .feature_types = q->feature_types,
        .ttl_us = take_byte(in) < 128 ? 0 : take_number(in) & INT64_MAX,
    };
    if (take_byte(in) >= 160) {
        q->view.created_column = tfn_frame_get_name(source, take_byte(in) % n_source);
        q->view.filter_by_created = take_byte(in) >= 128;
        q->view.has_known_at = take_byte(in) >= 160;
        q->view.known_at = (tfn_instant){take_number(in), 0};
    }
}

static void check_same_column(tfn_column *a, tfn_column *b, int64_t n_rows)
{
    const tfn_vec *vecs[2] = {tfn_column_get_vec(a), tfn_column_get_vec(b)};
    const tfn_type type = tfn_column_get_type(a);
    tfn_buf scratch[2] = {{0}};
    assert(vecs[0]->n == n_rows && vecs[1]->n == n_rows);
    for (int64_t i = 0; i < n_rows; i++) {
        tfn_cell cells[2];
        for (size_t k = 0; k < 2; k++) {
            const tfn_code rc = tfn_cell_of_vec(vecs[k], i, type, &scratch[k], &cells[k], NULL);
            assert(rc == TFN_OK);
            (void)rc;
        }
        assert(cells[0].is_null == cells[1].is_null);
        assert(cells[0].is_null ||
               (cells[0].bits == cells[1].bits && tfn_str_equal(cells[0].bytes, cells[1].bytes)));
    }
    tfn_buf_deinit(&scratch[0]);
    tfn_buf_deinit(&scratch[1]);
}

static void release_columns(tfn_column **columns)
{
    for (size_t i = 0; i < MAX_FEATURES; i++) {
        tfn_column_release(columns[i]);
    }
}

static void drain(struct ArrowArrayStream *stream)
{
    struct ArrowSchema schema;
    struct ArrowArray batch;
    if (stream->get_schema(stream, &schema) == 0) {
        schema.release(&schema);
    }
    while (stream->get_next(stream, &batch) == 0 && batch.release != NULL) {
        batch.release(&batch);
    }
    stream->release(stream);
}

static void export_answer(tfn_frame *frame, const question *q, tfn_column **columns)
{
    struct ArrowArrayStream stream;
    tfn_error err = {0};
    const tfn_code rc =
        tfn_frame_export(frame, q->feature_names, columns, q->view.n_features, &stream, &err);
    check_failed(rc, &err);
    if (rc == TFN_OK) {
        drain(&stream);
    }
}

/* The three ways of a source: a frame read twice, a frame read once, a stream. */
enum { TWO_STEPS, ONE_STEP, STREAM, N_WAYS };

static tfn_code open_source(int way, tfn_frame *rows, input *in, tfn_source **out, tfn_error *err)
{
    if (way != STREAM) {
        return tfn_source_of_frame(rows, tfn_str_of("the source"), out, err);
    }
    struct ArrowArrayStream stream;
    byte_stream_make(in, &stream);
    const tfn_code rc = tfn_source_of_stream(&stream, tfn_str_of("the source"), out, err);
    if (rc != TFN_OK && stream.release != NULL) {
        stream.release(&stream);
    }
    return rc;
}

/* `again` is the input as it was before `rows` were drawn from it. */
static void join(tfn_frame *frame, const tfn_spine *spine, tfn_frame *rows, input again,
                 const question *q)
{
    tfn_column *out[N_WAYS][MAX_FEATURES] = {{0}};
    tfn_code codes[N_WAYS];
    tfn_error errors[N_WAYS] = {{0}};
    for (int i = 0; i < N_WAYS; i++) {
        const tfn_offline_opts opts = {.n_threads = 1, .force_one_step = i == ONE_STEP};
        tfn_source *source = NULL;
        codes[i] = open_source(i, rows, &again, &source, &errors[i]);
        if (codes[i] == TFN_OK) {
            codes[i] = tfn_join_run(spine, &q->view, source, &opts, out[i], NULL, &errors[i]);
        }
        check_failed(codes[i], &errors[i]);
        tfn_source_destroy(source);
        if (codes[i] != codes[0]) {
            (void)fprintf(stderr, "two steps: '%s'; way %d: '%s'\n", errors[0].message, i,
                          errors[i].message);
            abort();
        }
    }
    if (codes[0] == TFN_OK) {
        for (size_t i = 0; i < q->view.n_features; i++) {
            check_same_column(out[TWO_STEPS][i], out[ONE_STEP][i], tfn_frame_get_n_rows(frame));
            check_same_column(out[TWO_STEPS][i], out[STREAM][i], tfn_frame_get_n_rows(frame));
        }
        export_answer(frame, q, out[0]);
    }
    for (int i = 0; i < N_WAYS; i++) {
        release_columns(out[i]);
    }
}

static void ask(input *in, tfn_frame *frame, tfn_frame *rows, input again)
{
    question q;
    tfn_spine *spine = NULL;
    tfn_error err = {0};
    draw_question(in, frame, rows, &q);
    const tfn_code rc = tfn_spine_create(frame, q.key_cols, q.key_types, q.view.n_keys, q.time_col,
                                         &(tfn_crew){.n_threads = 1}, &spine, &err);
    check_failed(rc, &err);
    if (rc == TFN_OK) {
        join(frame, spine, rows, again, &q);
    }
    tfn_spine_destroy(spine);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    input in = {bytes, n_bytes};
    tfn_frame *frame = read_frame(&in);
    const input again = in;
    tfn_frame *rows = frame == NULL ? NULL : read_frame(&in);
    if (rows != NULL) {
        ask(&in, frame, rows, again);
    }
    tfn_frame_release(rows);
    tfn_frame_release(frame);
    assert(bags_alive == 0);
    return 0;
}
