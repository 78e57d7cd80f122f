/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * A table of the keys of a frame, and nothing else: no times, no rows.
 *
 * Cost: one hash and one lookup per row of the frame; one lookup per source row.
 */

#include "offline/keyset.h"

#include "offline/keytable.h"
#include "offline/room.h"

#include "base/poison.h"

struct tfn_keyset {
    tfn__keytable table;
};

void tfn_keyset_destroy(tfn_keyset *s)
{
    if (s != NULL) {
        tfn__keytable_deinit(&s->table);
        tfn_mem_free(s);
    }
}

static tfn_code check_type(const tfn_frame *frame, size_t i_col, tfn_type want, tfn_error *err)
{
    tfn_type found = {0};
    TFN_RETURN_IF_ERROR(tfn_frame_get_type(frame, i_col, &found, err));
    if (tfn_type_can_read_key(want, found)) {
        return TFN_OK;
    }
    char want_text[TFN_TYPE_TEXT_BYTES];
    char found_text[TFN_TYPE_TEXT_BYTES];
    tfn_type_format(want, want_text);
    tfn_type_format(found, found_text);
    return TFN_FAIL(err, TFN_SCHEMA, "column '%.*s' of the keys: expected %s, found %s",
                    TFN_STR_ARG(tfn_frame_get_name(frame, i_col)), want_text, found_text);
}

static tfn_code add_batch(tfn_keyset *s, const tfn_frame *frame, int64_t i_batch,
                          const size_t *key_cols, const tfn_key_plan *plan, tfn_keys *keys,
                          tfn_error *err)
{
    tfn_vec cols[TFN_MAX_KEY_PARTS];
    for (size_t i = 0; i < plan->n_parts; i++) {
        TFN_RETURN_IF_ERROR(tfn_frame_get_vec(frame, i_batch, key_cols[i], &cols[i], err));
    }
    const int64_t n = tfn_frame_get_batch_rows(frame, i_batch);
    TFN_RETURN_IF_ERROR(tfn_keys_encode(keys, plan, cols, n, err));
    for (int64_t i = 0; i < n; i++) {
        if (keys->ok[i] != 0) {
            uint32_t entry = 0;
            TFN_RETURN_IF_ERROR(
                tfn__keytable_put(&s->table, keys->hashes[i], tfn_keys_get(keys, i), &entry, err));
        }
    }
    return TFN_OK;
}

static tfn_code fill(tfn_keyset *s, const tfn_frame *frame, const size_t *key_cols,
                     const tfn_key_plan *plan, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn__keytable_init(&s->table, plan, err));
    for (size_t i = 0; i < plan->n_parts; i++) {
        TFN_RETURN_IF_ERROR(check_type(frame, key_cols[i], plan->parts[i], err));
    }
    tfn_keys keys = {0};
    tfn_code rc = TFN_OK;
    for (int64_t i = 0; i < tfn_frame_get_n_batches(frame) && rc == TFN_OK; i++) {
        rc = add_batch(s, frame, i, key_cols, plan, &keys, err);
    }
    tfn_keys_deinit(&keys);
    if (rc != TFN_OK) {
        tfn_error_prepend(err, "the keys asked for: ");
    }
    return rc;
}

tfn_code tfn_keyset_create(const tfn_frame *frame, const size_t *key_cols, const tfn_key_plan *plan,
                           tfn_keyset **out, tfn_error *err)
{
    *out = NULL;
    tfn_keyset *s = NULL;
    TFN_RETURN_IF_ERROR(tfn__room_zero(1, sizeof *s, &s, err));
    const tfn_code rc = fill(s, frame, key_cols, plan, err);
    if (rc != TFN_OK) {
        tfn_keyset_destroy(s);
        return rc;
    }
    *out = s;
    return TFN_OK;
}

int64_t tfn_keyset_get_n(const tfn_keyset *s)
{
    return s->table.n;
}

bool tfn_keyset_has(const tfn_keyset *s, uint64_t hash, tfn_str key)
{
    const uint32_t tag = tfn__keytable_tag(hash);
    const uint64_t at = tfn__keytable_probe(&s->table, hash, tag);
    return tfn__keytable_confirm(&s->table, at, tag, key) != TFN__NO_ENTRY;
}
