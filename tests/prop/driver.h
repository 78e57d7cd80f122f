/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_TESTS_DRIVER_H
#define TFN_TESTS_DRIVER_H

/*
 * What the property tests of offline/ share: a history as view, spine and source of the engine, the
 * comparison of cells, and the loop over seeds.
 *
 * TFN_HISTORIES  how many (10,000; 1,000 under TSan); TFN_SEED  the first one. A history that fails
 * is written to tests/prop/regress/NAME-SEED.txt; TFN_SEED=SEED TFN_HISTORIES=1 runs it again.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "offline/offline.h"
#include "prop/history.h"

/* A history in the engine's terms. */
typedef struct driven {
    tfn_str key_columns[MAX_PARTS];
    tfn_type key_types[MAX_PARTS];
    size_t key_indexes[MAX_PARTS];
    tfn_str feature_columns[MAX_FEATURES];
    tfn_type feature_types[MAX_FEATURES];
    char names[MAX_PARTS + MAX_FEATURES][16];
    tfn_join_view view;
} driven;

static tfn_type type_named(const char *text)
{
    tfn_type type = {0};
    tfn_error err = {0};
    if (tfn_type_parse(tfn_str_of(text), &type, &err) != TFN_OK) {
        fail_msg("%s", err.message);
    }
    return type;
}

static tfn_instant instant_of(model_time t)
{
    const model_time scale = 1000000000;
    const model_time seconds = t / scale - (t % scale < 0 ? 1 : 0);
    return (tfn_instant){(int64_t)seconds, (int32_t)(t - seconds * scale)};
}

static void drive(const history *h, driven *d)
{
    memset(d, 0, sizeof *d);
    for (unsigned p = 0; p < h->n_parts; p++) {
        (void)snprintf(d->names[p], sizeof d->names[p], "k%u", p);
        d->key_columns[p] = tfn_str_of(d->names[p]);
        d->key_types[p] = type_named(h->parts[p]->type);
        d->key_indexes[p] = 1 + p;
    }
    for (unsigned f = 0; f < h->n_features; f++) {
        char *name = d->names[MAX_PARTS + f];
        (void)snprintf(name, sizeof d->names[0], "f%u", f);
        d->feature_columns[f] = tfn_str_of(name);
        d->feature_types[f] = type_named(f == 0 ? "int64" : h->features[f]->type);
    }
    d->view = (tfn_join_view){
        .label = tfn_str_of("history"),
        .n_keys = h->n_parts,
        .key_columns = d->key_columns,
        .key_types = d->key_types,
        .timestamp_field = tfn_str_of("ts"),
        .created_column = h->has_created ? tfn_str_of("created") : (tfn_str){0},
        .n_features = h->n_features,
        .feature_columns = d->feature_columns,
        .feature_types = d->feature_types,
        .ttl_us = h->ttl_us,
        .filter_by_created = h->filter_by_created,
        .has_known_at = h->has_known_at,
        .known_at = instant_of(h->known_at),
    };
}

static tfn_frame *frame_of(struct ArrowArrayStream *stream)
{
    tfn_frame *frame = NULL;
    tfn_error err = {0};
    if (tfn_frame_read(stream, &frame, &err) != TFN_OK) {
        fail_msg("%s", err.message);
    }
    return frame;
}

/* Where a row of a frame is: batch and row in it. */
static tfn_vec vec_at(const tfn_frame *frame, size_t i_col, int64_t *i_row)
{
    tfn_vec v = {0};
    tfn_error err = {0};
    int64_t i_batch = 0;
    while (*i_row >= tfn_frame_get_batch_rows(frame, i_batch)) {
        *i_row -= tfn_frame_get_batch_rows(frame, i_batch);
        i_batch++;
    }
    if (tfn_frame_get_vec(frame, i_batch, i_col, &v, &err) != TFN_OK) {
        fail_msg("%s", err.message);
    }
    return v;
}

/* Is row i of an answer's column what the source has in i_source (-1: null)? */
static bool same_cell(tfn_column *column, int64_t i, const tfn_frame *source, size_t i_col,
                      int64_t i_source)
{
    tfn_buf scratch[2] = {{0}};
    tfn_cell got = {0};
    tfn_cell want = {.is_null = true};
    const tfn_type type = tfn_column_get_type(column);
    tfn_code rc = tfn_cell_of_vec(tfn_column_get_vec(column), i, type, &scratch[0], &got, NULL);
    if (rc == TFN_OK && i_source >= 0) {
        const tfn_vec v = vec_at(source, i_col, &i_source);
        rc = tfn_cell_of_vec(&v, i_source, type, &scratch[1], &want, NULL);
    }
    const bool same =
        rc == TFN_OK && got.is_null == want.is_null &&
        (got.is_null || (got.bits == want.bits && tfn_str_equal(got.bytes, want.bytes)));
    tfn_buf_deinit(&scratch[0]);
    tfn_buf_deinit(&scratch[1]);
    return same;
}

static uint64_t number_of_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL || text[0] == '\0' ? otherwise : strtoull(text, NULL, 10);
}

static void keep_failure(const char *name, const history *h, const char *why)
{
    char path[1024];
    const char *root = getenv("TIFFIN_SOURCE_ROOT");
    (void)snprintf(path, sizeof path, "%s-%" PRIu64 ".txt", name, h->seed);
    if (root != NULL) {
        (void)snprintf(path, sizeof path, "%s/tests/prop/regress", root);
        (void)mkdir(path, 0777);
        (void)snprintf(path, sizeof path, "%s/tests/prop/regress/%s-%" PRIu64 ".txt", root, name,
                       h->seed);
    }
    FILE *file = fopen(path, "w");
    if (file != NULL) {
        fprintf(file, "%s\n", why);
        history_print(file, h);
        (void)fclose(file);
    }
    history_print(stderr, h);
    fail_msg("seed %" PRIu64 " (kept in %s): %s", h->seed, path, why);
}

#ifdef __SANITIZE_THREAD__
enum {
    DEFAULT_HISTORIES = 1000
}; /* there is more to find in fewer: each takes ten times as long */
#else
enum { DEFAULT_HISTORIES = 10000 };
#endif

/* Run `check` on many histories; it returns NULL, or what is wrong. */
static void check_histories(const char *name, const char *(*check)(const history *h))
{
    const uint64_t first = number_of_environment("TFN_SEED", 1);
    const uint64_t n = number_of_environment("TFN_HISTORIES", DEFAULT_HISTORIES);
    print_message("# %s: seeds %" PRIu64 " .. %" PRIu64 "\n", name, first, first + n - 1);
    for (uint64_t seed = first; seed < first + n; seed++) {
        history h;
        history_make(seed, &h);
        const char *why = check(&h);
        if (why != NULL) {
            keep_failure(name, &h, why);
        }
    }
}

#endif
