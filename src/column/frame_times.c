/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * A text column of a frame, read as times.
 *
 *   texts --tfn_instant_parse--> microseconds --(a text had nanoseconds)--> again, in nanoseconds
 *
 * Like a dictionary column, it gets a decoded twin that readers see from then on; what is exported
 * are the texts. Microseconds hold every year that can be written; nanoseconds are used only where a
 * text has them, because they end in 2262.
 *
 * Invariant: nothing of the frame changes before every text was read.
 *
 * Cost: one parse per text (two where there are nanoseconds), 8 bytes per row.
 */

#include <string.h>

#include "base/mem.h"
#include "column/column_internal.h"

#include "base/poison.h"

enum { NANOS_PER_US = 1000 };

/* Twins on their way into a frame, one per batch. */
typedef struct reading {
    const tfn_frame *frame;
    size_t i_col;
    tfn_type type;
    bool needs_nanos; /* found out while reading microseconds */
    tfn_column **twins;
} reading;

static void drop_twins(reading *r)
{
    for (size_t i = 0; i < r->frame->n_batches && r->twins != NULL; i++) {
        tfn_column_release(r->twins[i]);
        r->twins[i] = NULL;
    }
}

static tfn_code read_text(reading *r, tfn_str text, int64_t i_row, tfn_cell *out, tfn_error *err)
{
    const tfn_str name = tfn_frame_get_name(r->frame, r->i_col);
    const tfn_unit unit = (tfn_unit)r->type.unit;
    tfn_instant t = {0};
    const tfn_code rc = tfn_instant_parse(text, &t, err);
    if (rc != TFN_OK) {
        tfn_error_prepend(err, "column '%.*s', row %lld (counted from 0): ", TFN_STR_ARG(name),
                          (long long)i_row);
        return rc;
    }
    r->needs_nanos = r->needs_nanos || t.nanos % NANOS_PER_US != 0;
    const int64_t value = tfn_instant_to(t, unit);
    if (tfn_instant_compare(tfn_instant_of(value, unit), t) != 0 && unit == TFN_UNIT_NS) {
        return TFN_FAIL(
            err, TFN_INVALID,
            "column '%.*s', row %lld (counted from 0): '%.*s' has no 64-bit nanoseconds "
            "(those end in 2262), and another row has a time with nanoseconds",
            TFN_STR_ARG(name), (long long)i_row, TFN_STR_ARG(text));
    }
    *out = (tfn_cell){.bits = (uint64_t)value};
    return TFN_OK;
}

static tfn_code read_batch(reading *r, size_t i_batch, int64_t i_row, tfn_error *err)
{
    const tfn_vec *texts = &r->frame->batches[i_batch].cols[r->i_col].vec;
    tfn_builder *builder = NULL;
    tfn_code rc = TFN_OK;
    TFN_GOTO_IF_ERROR(rc, tfn_builder_create(r->type, texts->n, &builder, err), done);
    for (int64_t i = 0; i < texts->n; i++) {
        tfn_cell cell = {.is_null = true};
        if (tfn_vec_is_valid(texts, i)) {
            TFN_GOTO_IF_ERROR(rc, read_text(r, tfn_vec_get_str(texts, i), i_row + i, &cell, err),
                              done);
        }
        TFN_GOTO_IF_ERROR(rc, tfn_builder_add(builder, &cell, err), done);
    }
    TFN_GOTO_IF_ERROR(rc, tfn_builder_finish(&builder, &r->twins[i_batch], err), done);
done:
    tfn_builder_destroy(builder);
    return rc;
}

static tfn_code read_column(reading *r, tfn_unit unit, tfn_error *err)
{
    r->type = (tfn_type){.kind = TFN_KIND_TIMESTAMP, .unit = (uint8_t)unit};
    int64_t i_row = 0;
    for (size_t i = 0; i < r->frame->n_batches; i++) {
        TFN_RETURN_IF_ERROR(read_batch(r, i, i_row, err));
        i_row += r->frame->batches[i].view.length;
    }
    return TFN_OK;
}

/* From here on readers see the twins. Nothing can fail once there is room. */
static tfn_code put_twins(tfn_frame *f, reading *r, tfn_error *err)
{
    void *p = f->decoded;
    const tfn_code rc =
        tfn_mem_grow(&p, &f->decoded_capacity, f->n_decoded + f->n_batches, sizeof *r->twins, err);
    f->decoded = p;
    TFN_RETURN_IF_ERROR(rc);
    for (size_t i = 0; i < f->n_batches; i++) {
        f->batches[i].cols[r->i_col].vec = *tfn_column_get_vec(r->twins[i]);
        f->decoded[f->n_decoded++] = r->twins[i];
        r->twins[i] = NULL;
    }
    f->types[r->i_col] = r->type;
    return TFN_OK;
}

tfn_code tfn_frame_read_times(tfn_frame *f, size_t i_col, tfn_error *err)
{
    tfn_type found = {0};
    TFN_RETURN_IF_ERROR(tfn_frame_get_type(f, i_col, &found, err));
    if (found.kind != TFN_KIND_STRING || found.is_list) {
        return TFN_FAIL(err, TFN_SCHEMA, "column '%.*s' holds no texts",
                        TFN_STR_ARG(tfn_frame_get_name(f, i_col)));
    }
    reading r = {.frame = f, .i_col = i_col};
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(f->n_batches, sizeof *r.twins, &p, err));
    r.twins = p;
    tfn_code rc = read_column(&r, TFN_UNIT_US, err);
    if (rc == TFN_OK && r.needs_nanos) {
        drop_twins(&r);
        rc = read_column(&r, TFN_UNIT_NS, err);
    }
    if (rc == TFN_OK) {
        rc = put_twins(f, &r, err);
    }
    drop_twins(&r);
    tfn_mem_free(r.twins);
    return rc;
}
