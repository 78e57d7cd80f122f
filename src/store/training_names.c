/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Which columns of the entity rows a training set uses: join keys by name, and the time.
 *
 * Every sentence names what was looked for and what is there.
 */

#include "store/training_set.h"

#include "base/poison.h"

static tfn_code list_columns(const tfn_frame *frame, tfn_buf *out, tfn_error *err)
{
    for (size_t i = 0; i < tfn_frame_get_n_cols(frame); i++) {
        TFN_RETURN_IF_ERROR(tfn_buf_add_text(out, i == 0 ? "" : ", ", err));
        TFN_RETURN_IF_ERROR(tfn_buf_add_str(out, tfn_frame_get_name(frame, i), err));
    }
    return TFN_OK;
}

static tfn_code no_such_column(const tfn__training_set *t, tfn_str column, const char *needed_by,
                               tfn_error *err)
{
    tfn_buf columns = {0};
    const tfn_code rc = list_columns(t->frame, &columns, err);
    if (rc == TFN_OK) {
        (void)TFN_FAIL(err, TFN_SCHEMA,
                       "the entity rows have no column '%.*s', %s; they have: %.*s",
                       TFN_STR_ARG(column), needed_by, TFN_STR_ARG(tfn_buf_get_str(&columns)));
    }
    tfn_buf_deinit(&columns);
    return rc == TFN_OK ? TFN_SCHEMA : rc;
}

tfn_code tfn__training_find_column(const tfn__training_set *t, tfn_str column,
                                   const char *needed_by, size_t *out, tfn_error *err)
{
    const int64_t i = tfn_frame_find(t->frame, column);
    if (i == TFN_FRAME_AMBIGUOUS) {
        return TFN_FAIL(err, TFN_INVALID,
                        "the entity rows have two columns named '%.*s'; rename one of them",
                        TFN_STR_ARG(column));
    }
    if (i < 0) {
        return no_such_column(t, column, needed_by, err);
    }
    *out = (size_t)i;
    return TFN_OK;
}

static bool is_time(const tfn__training_set *t, size_t i_column)
{
    tfn_type type = {0};
    return tfn_frame_get_type(t->frame, i_column, &type, NULL) == TFN_OK && tfn_type_is_time(type);
}

/* A column that was named may hold texts: those are read as times. */
static tfn_code check_time_column(const tfn__training_set *t, tfn_error *err)
{
    if (is_time(t, t->time_column)) {
        return TFN_OK;
    }
    tfn_type type = {0};
    TFN_RETURN_IF_ERROR(tfn_frame_get_type(t->frame, t->time_column, &type, err));
    if (type.kind == TFN_KIND_STRING && !type.is_list) {
        const tfn_code rc = tfn_frame_read_times(t->frame, t->time_column, err);
        if (rc != TFN_OK) {
            tfn_error_prepend(err, "the entity rows' time ");
        }
        return rc;
    }
    char text[TFN_TYPE_TEXT_BYTES];
    tfn_type_format(type, text);
    return TFN_FAIL(
        err, TFN_SCHEMA,
        "the entity rows' time column '%.*s' holds %s; expected timestamp, date or ISO 8601 text",
        TFN_STR_ARG(tfn_frame_get_name(t->frame, t->time_column)), text);
}

/* "event_timestamp", else the only column that holds times. */
tfn_code tfn__training_find_time(tfn__training_set *t, tfn_error *err)
{
    if (t->request->time_column != NULL) {
        TFN_RETURN_IF_ERROR(tfn__training_find_column(t, tfn_str_of(t->request->time_column),
                                                      "which was named as the time column",
                                                      &t->time_column, err));
        return check_time_column(t, err);
    }
    const tfn_str usual = tfn_str_of("event_timestamp");
    if (tfn_frame_find(t->frame, usual) != TFN_FRAME_NO_COLUMN) {
        TFN_RETURN_IF_ERROR(tfn__training_find_column(t, usual, "", &t->time_column, err));
        return check_time_column(t, err);
    }
    size_t n_found = 0;
    tfn_buf candidates = {0};
    tfn_code rc = TFN_OK;
    for (size_t i = 0; i < tfn_frame_get_n_cols(t->frame); i++) {
        if (is_time(t, i)) {
            t->time_column = i;
            TFN_GOTO_IF_ERROR(rc,
                              tfn_buf_add_format(&candidates, err, "%s%.*s",
                                                 n_found == 0 ? "" : ", ",
                                                 TFN_STR_ARG(tfn_frame_get_name(t->frame, i))),
                              done);
            n_found++;
        }
    }
    if (n_found == 0) {
        rc = no_such_column(t, usual, "and no other column that holds times", err);
    } else if (n_found > 1) {
        rc = TFN_FAIL(
            err, TFN_INVALID,
            "the entity rows have several columns that hold times (%.*s); call the one that "
            "is meant 'event_timestamp', or name it as time_column",
            TFN_STR_ARG(tfn_buf_get_str(&candidates)));
    }
done:
    tfn_buf_deinit(&candidates);
    return rc;
}

tfn_code tfn__training_check_names(const tfn__training_set *t, tfn_error *err)
{
    for (size_t i = 0; i < t->selection.n_outputs; i++) {
        const tfn_str name = t->selection.outputs[i].name;
        if (tfn_frame_find(t->frame, name) != TFN_FRAME_NO_COLUMN) {
            return TFN_FAIL(
                err, TFN_INVALID,
                "the entity rows already have a column '%.*s', and a feature would get the "
                "same name; rename the column%s",
                TFN_STR_ARG(name),
                t->selection.full_names ? "" : ", or pass full_feature_names=True");
        }
    }
    return TFN_OK;
}
