/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * A view on its own: its columns and its source, without entity rows.
 *
 * Views whose events become one set of entity rows must have their keys in one order, so the order
 * is the caller's to give.
 */

#include "store/view_rows.h"

#include "base/poison.h"

/* The view's keys, in another order. Names and types of `rows->view` are replaced. */
static tfn_code order_keys(tfn__view_rows *rows, const tfn_selected_view *selected,
                           const tfn_str *key_order, tfn_arena *arena, tfn_error *err)
{
    const size_t n = rows->view.n_keys;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, n, sizeof(tfn_str), &p, err));
    tfn_str *columns = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, n, sizeof(tfn_type), &p, err));
    tfn_type *types = p;
    for (size_t i = 0; i < n; i++) {
        size_t from = 0;
        while (from + 1 < n && !tfn_str_equal(selected->key_columns[from], key_order[i])) {
            from++;
        }
        columns[i] = rows->view.key_columns[from];
        types[i] = rows->view.key_types[from];
    }
    rows->view.key_columns = columns;
    rows->view.key_types = types;
    rows->key_names = key_order;
    return TFN_OK;
}

tfn_code tfn__view_rows_init(tfn_store *store, const tfn_selected_view *selected,
                             const tfn_str *key_order, size_t n_features, tfn_time known_at,
                             tfn_arena *arena, tfn__view_rows *out, tfn_error *err)
{
    *out = (tfn__view_rows){.key_names = selected->key_columns};
    TFN_RETURN_IF_ERROR(tfn__store_compile_view(selected->view, selected->features, n_features,
                                                arena, &out->view, err));
    out->view.has_known_at = known_at.is_set != 0;
    out->view.known_at = tfn__instant_of_time(known_at);
    if (key_order != NULL) {
        TFN_RETURN_IF_ERROR(order_keys(out, selected, key_order, arena, err));
    }
    return tfn__store_open_source(store, selected->view->source, &out->source, err);
}

void tfn__view_rows_deinit(tfn__view_rows *rows)
{
    tfn_source_destroy(rows->source);
    rows->source = NULL;
}

tfn_code tfn__check_window(const char *what, tfn_time start, tfn_time end, tfn_error *err)
{
    const tfn_instant first = tfn__instant_of_time(start);
    const tfn_instant last = tfn__instant_of_time(end);
    if (start.is_set == 0 || end.is_set == 0 || tfn_instant_compare(first, last) <= 0) {
        return TFN_OK;
    }
    char first_text[TFN_TIME_TEXT_BYTES];
    char last_text[TFN_TIME_TEXT_BYTES];
    tfn_instant_format(first, first_text);
    tfn_instant_format(last, last_text);
    return TFN_FAIL(err, TFN_INVALID, "%s from %s to %s: the window ends before it starts", what,
                    first_text, last_text);
}
