/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * JSON columns as Arrow memory.
 *
 *   column -> survey: one look at every value: which type they share, how many bytes of text
 *          -> fill: buffers of exactly that size
 *   frame { arena: columns and their buffers | references } -> stream, schema, array
 *
 * Two passes, because a column of a million whole numbers turns into one of fractions at its last
 * value. What both passes allocate is bounded by the size of the text: a value takes at least two
 * bytes of JSON and at most eight here, beside its bit of validity.
 *
 * Texts have 64-bit offsets, so no column is too long for them. Each exported struct holds a
 * reference to the frame, so that any of them may be moved and released alone.
 *
 * Rejected: reading every column as declared. A column that is not the view's is passed over
 * whatever it holds, and one that is gets its sentence from the engine, which names both types.
 */

#include "server/frame_json.h"

#include <errno.h> /* IWYU pragma: keep - ENOMEM */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/time.h"

#include "base/poison.h"

enum { MAX_BUFFERS = 3, SECONDS_PER_DAY = 86400 };

/* One node of the frame: the root, a column, or the items of a column of lists. */
typedef struct column {
    const char *name;
    const char *format;
    int64_t n;
    int64_t n_nulls;
    const void *buffers[MAX_BUFFERS]; /* [0] validity; NULL without nulls */
    int64_t n_buffers;
    struct column *children;
    size_t n_children;
} column;

typedef struct frame {
    atomic_size_t n_refs;
    tfn_arena arena;
    column root;
    bool is_read; /* the batch was given out */
} frame;

/* ---- giving out ---- */

static frame *retain(frame *f)
{
    atomic_fetch_add_explicit(&f->n_refs, 1, memory_order_relaxed);
    return f;
}

static void release(frame *f)
{
    if (atomic_fetch_sub_explicit(&f->n_refs, 1, memory_order_acq_rel) == 1) {
        tfn_arena_deinit(&f->arena);
        tfn_mem_free(f);
    }
}

typedef struct schema_node {
    frame *f;
    struct ArrowSchema *pointers[1]; /* n of them, and behind them the n children */
} schema_node;

typedef struct array_node {
    frame *f;
    struct ArrowArray *pointers[1];
} array_node;

static void release_schema(struct ArrowSchema *schema)
{
    schema_node *node = schema->private_data;
    for (int64_t i = 0; i < schema->n_children; i++) {
        if (schema->children[i]->release != NULL) {
            schema->children[i]->release(schema->children[i]);
        }
    }
    release(node->f);
    tfn_mem_free(node);
    schema->release = NULL;
}

static void release_array(struct ArrowArray *array)
{
    array_node *node = array->private_data;
    for (int64_t i = 0; i < array->n_children; i++) {
        if (array->children[i]->release != NULL) {
            array->children[i]->release(array->children[i]);
        }
    }
    release(node->f);
    tfn_mem_free(node);
    array->release = NULL;
}

/* Both nodes have a pointer to each child and, aligned behind those, the zeroed children. */
static tfn_code allocate_node(size_t n_children, size_t n_child_bytes, void **out, tfn_error *err)
{
    const size_t n_bytes = sizeof(schema_node) + n_children * (sizeof(void *) + n_child_bytes);
    return tfn_mem_alloc_array(1, n_bytes, out, err);
}

/* On error nothing is left: a struct under construction can be released. */
static tfn_code export_schema(frame *f, const column *c, struct ArrowSchema *out, tfn_error *err)
{
    *out = (struct ArrowSchema){0};
    void *p = NULL;
    TFN_RETURN_IF_ERROR(allocate_node(c->n_children, sizeof(struct ArrowSchema), &p, err));
    schema_node *node = p;
    node->f = retain(f);
    struct ArrowSchema **pointers = node->pointers;
    struct ArrowSchema *children = (void *)(pointers + c->n_children);
    for (size_t i = 0; i < c->n_children; i++) {
        pointers[i] = &children[i];
    }
    *out = (struct ArrowSchema){.format = c->format,
                                .name = c->name,
                                .flags = ARROW_FLAG_NULLABLE,
                                .n_children = (int64_t)c->n_children,
                                .children = c->n_children > 0 ? pointers : NULL,
                                .release = release_schema,
                                .private_data = node};
    for (size_t i = 0; i < c->n_children; i++) {
        const tfn_code rc = export_schema(f, &c->children[i], &children[i], err);
        if (rc != TFN_OK) {
            release_schema(out);
            return rc;
        }
    }
    return TFN_OK;
}

static tfn_code export_array(frame *f, column *c, struct ArrowArray *out, tfn_error *err)
{
    *out = (struct ArrowArray){0};
    void *p = NULL;
    TFN_RETURN_IF_ERROR(allocate_node(c->n_children, sizeof(struct ArrowArray), &p, err));
    array_node *node = p;
    node->f = retain(f);
    struct ArrowArray **pointers = node->pointers;
    struct ArrowArray *children = (void *)(pointers + c->n_children);
    for (size_t i = 0; i < c->n_children; i++) {
        pointers[i] = &children[i];
    }
    *out = (struct ArrowArray){.length = c->n,
                               .null_count = c->n_nulls,
                               .n_buffers = c->n_buffers,
                               .buffers = c->n_buffers > 0 ? c->buffers : NULL,
                               .n_children = (int64_t)c->n_children,
                               .children = c->n_children > 0 ? pointers : NULL,
                               .release = release_array,
                               .private_data = node};
    for (size_t i = 0; i < c->n_children; i++) {
        const tfn_code rc = export_array(f, &c->children[i], &children[i], err);
        if (rc != TFN_OK) {
            release_array(out);
            return rc;
        }
    }
    return TFN_OK;
}

static int stream_get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
    frame *f = stream->private_data;
    return export_schema(f, &f->root, out, NULL) == TFN_OK ? 0 : ENOMEM;
}

static int stream_get_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
    frame *f = stream->private_data;
    *out = (struct ArrowArray){0};
    if (f->is_read) {
        return 0;
    }
    if (export_array(f, &f->root, out, NULL) != TFN_OK) {
        return ENOMEM;
    }
    f->is_read = true;
    return 0;
}

static const char *stream_get_last_error(struct ArrowArrayStream *stream)
{
    (void)stream;
    return "memory is exhausted"; /* the one error there is */
}

static void stream_release(struct ArrowArrayStream *stream)
{
    release(stream->private_data);
    *stream = (struct ArrowArrayStream){0};
}

/* ---- what is said of values ---- */

/* What the values of a column have in common, from the least. */
typedef enum shape {
    SHAPE_NOTHING = 0, /* nulls alone */
    SHAPE_BOOL = 1,
    SHAPE_WHOLE = 2,
    SHAPE_REAL = 3,
    SHAPE_TEXT = 4,
    SHAPE_LIST = 5,
    SHAPE_OBJECT = 6
} shape;

static const char *const WORDS[] = {"null",   "true or false", "a number", "a number",
                                    "a text", "a list",        "an object"};

/* Where a value stands. */
typedef struct place {
    tfn_str column;
    int64_t row;
    int64_t item; /* -1: it stands in no list */
} place;

/* "column 'rate', row 3 (counted from 0): ". Returns `code`. */
static tfn_code fail_at(const place *at, tfn_code code, tfn_error *err)
{
    if (at->item >= 0) {
        tfn_error_prepend(err, "item %" PRId64 ": ", at->item);
    }
    tfn_error_prepend(
        err, "column '%.*s', row %" PRId64 " (counted from 0): ", TFN_STR_ARG(at->column), at->row);
    return code;
}

static bool is_beyond_int64(yyjson_val *v)
{
    return yyjson_is_uint(v) && yyjson_get_uint(v) > INT64_MAX;
}

static shape shape_of(yyjson_val *v)
{
    switch (yyjson_get_type(v)) {
    case YYJSON_TYPE_BOOL:
        return SHAPE_BOOL;
    case YYJSON_TYPE_NUM:
        return yyjson_is_real(v) || is_beyond_int64(v) ? SHAPE_REAL : SHAPE_WHOLE;
    case YYJSON_TYPE_STR:
        return SHAPE_TEXT;
    case YYJSON_TYPE_ARR:
        return SHAPE_LIST;
    case YYJSON_TYPE_OBJ:
        return SHAPE_OBJECT;
    default:
        return SHAPE_NOTHING;
    }
}

/* ---- survey ---- */

typedef struct survey {
    shape kind;
    int64_t n;       /* values */
    int64_t n_nulls; /* among them */
    size_t n_bytes;  /* of texts */
} survey;

static tfn_code look_at(yyjson_val *v, const place *at, survey *s, tfn_error *err)
{
    const shape found = shape_of(v);
    s->n++;
    if (found == SHAPE_NOTHING) {
        s->n_nulls++;
        return TFN_OK;
    }
    if (found == SHAPE_OBJECT || (found == SHAPE_LIST && at->item >= 0)) {
        const tfn_code rc = TFN_FAIL(err, TFN_INVALID,
                                     "%s; a value is a text, a number, true, false, null, or a "
                                     "list of these",
                                     found == SHAPE_OBJECT ? "an object" : "a list in a list");
        return fail_at(at, rc, err);
    }
    const bool is_number = found == SHAPE_WHOLE || found == SHAPE_REAL;
    const bool was_number = s->kind == SHAPE_WHOLE || s->kind == SHAPE_REAL;
    if (s->kind != SHAPE_NOTHING && s->kind != found && !(is_number && was_number)) {
        const tfn_code rc = TFN_FAIL(err, TFN_INVALID,
                                     "%s, where a value before it is %s; the values of a column "
                                     "have one type",
                                     WORDS[found], WORDS[s->kind]);
        return fail_at(at, rc, err);
    }
    s->kind = found > s->kind ? found : s->kind;
    s->n_bytes += found == SHAPE_TEXT ? yyjson_get_len(v) : 0;
    return TFN_OK;
}

/* `items` is of all the lists in the column together. */
static tfn_code survey_column(yyjson_val *values, tfn_str name, survey *rows, survey *items,
                              tfn_error *err)
{
    place at = {.column = name, .item = -1};
    yyjson_arr_iter i_row = yyjson_arr_iter_with(values);
    for (yyjson_val *v = yyjson_arr_iter_next(&i_row); v != NULL;
         v = yyjson_arr_iter_next(&i_row)) {
        TFN_RETURN_IF_ERROR(look_at(v, &at, rows, err));
        yyjson_arr_iter i_item = {0};
        (void)yyjson_arr_iter_init(v, &i_item); /* no list: no items */
        for (yyjson_val *item = yyjson_arr_iter_next(&i_item); item != NULL;
             item = yyjson_arr_iter_next(&i_item)) {
            at.item++;
            TFN_RETURN_IF_ERROR(look_at(item, &at, items, err));
        }
        at.row++;
        at.item = -1;
    }
    return TFN_OK;
}

/* ---- base64 ---- */

/* Six bits of a character, or -1. */
static int32_t digit_of(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    const int32_t plus = c == '+' ? 62 : -1;
    return c == '/' ? 63 : plus;
}

/* RFC 4648, padded. At most text.n bytes are written. */
static tfn_code decode_base64(tfn_str text, char *out, size_t *n_out, tfn_error *err)
{
    size_t n = text.n;
    while (n > 0 && text.n - n < 2 && text.p[n - 1] == '=') {
        n--;
    }
    uint32_t bits = 0;
    *n_out = 0;
    bool is_good = text.n % 4 == 0 && n % 4 != 1;
    for (size_t i = 0; i < n && is_good; i++) {
        const int32_t digit = digit_of(text.p[i]);
        is_good = digit >= 0;
        bits = bits << 6 | (uint32_t)(digit & 63);
        if (i % 4 != 0) {
            out[(*n_out)++] = (char)(bits >> (6 - 2 * (i % 4)) & 255);
        }
    }
    if (!is_good) {
        return TFN_FAIL(err, TFN_INVALID,
                        "the text is no base64; bytes are written as padded base64 (RFC 4648)");
    }
    return TFN_OK;
}

/* ---- fill ---- */

/* The buffers of one column of plain values while they are filled. */
typedef struct sink {
    shape kind;
    tfn_value_kind declared;
    int64_t i;
    uint8_t *validity; /* NULL: nothing is null */
    union {
        uint8_t *bits;
        int32_t *days;
        int64_t *numbers; /* whole numbers, times, offsets */
        double *reals;
    } values;
    char *bytes;
    size_t n_bytes;
} sink;

static void set_bit(uint8_t *bits, int64_t i)
{
    bits[i >> 3] = (uint8_t)(bits[i >> 3] | 1u << (i & 7));
}

static tfn_code put_real(yyjson_val *v, double *out, tfn_error *err)
{
    const double bound = 9223372036854775808.0; /* 2^63; a double below it is an int64 */
    *out = yyjson_get_num(v);
    if (yyjson_is_real(v)) {
        return TFN_OK;
    }
    if (is_beyond_int64(v)) {
        const uint64_t value = yyjson_get_uint(v);
        return *out < 2 * bound && (uint64_t)*out == value
                   ? TFN_OK
                   : TFN_FAIL(err, TFN_INVALID,
                              "%" PRIu64 " lies beyond int64, and no float64 has that value",
                              value);
    }
    const int64_t value = yyjson_get_sint(v);
    return *out < bound && (int64_t)*out == value
               ? TFN_OK
               : TFN_FAIL(err, TFN_INVALID,
                          "%" PRId64 " stands in a column with fractions, and no float64 has that "
                          "value",
                          value);
}

static tfn_code put_date(tfn_str text, int32_t *out, tfn_error *err)
{
    tfn_instant t = {0};
    TFN_RETURN_IF_ERROR(tfn_instant_parse(text, &t, err));
    const int64_t days = tfn_instant_to(t, TFN_UNIT_S) / SECONDS_PER_DAY;
    if (t.nanos != 0 || days * SECONDS_PER_DAY != t.seconds || days != (int32_t)days) {
        return TFN_FAIL(err, TFN_INVALID, "'%.*s' has a time of day, and the column is of dates",
                        TFN_STR_ARG(text));
    }
    *out = (int32_t)days;
    return TFN_OK;
}

static tfn_code put_time(tfn_str text, int64_t *out, tfn_error *err)
{
    tfn_instant t = {0};
    TFN_RETURN_IF_ERROR(tfn_instant_parse(text, &t, err));
    *out = tfn_instant_to(t, TFN_UNIT_US);
    return TFN_OK;
}

/* A text: bytes behind those of the texts before it. */
static tfn_code put_bytes(sink *s, tfn_str text, tfn_error *err)
{
    size_t n = text.n;
    if (s->declared == TFN_VALUE_BYTES) {
        TFN_RETURN_IF_ERROR(decode_base64(text, s->bytes + s->n_bytes, &n, err));
    } else if (n > 0) {
        memcpy(s->bytes + s->n_bytes, text.p, n);
    }
    s->n_bytes += n;
    return TFN_OK;
}

static tfn_code put_text(sink *s, tfn_str text, tfn_error *err)
{
    if (s->declared == TFN_VALUE_DATE) {
        return put_date(text, &s->values.days[s->i], err);
    }
    if (s->declared == TFN_VALUE_TIMESTAMP) {
        return put_time(text, &s->values.numbers[s->i], err);
    }
    return put_bytes(s, text, err);
}

static tfn_code put_value(sink *s, yyjson_val *v, tfn_error *err)
{
    switch (s->kind) {
    case SHAPE_BOOL:
        if (yyjson_get_bool(v)) {
            set_bit(s->values.bits, s->i);
        }
        return TFN_OK;
    case SHAPE_WHOLE:
        s->values.numbers[s->i] = yyjson_get_sint(v);
        return TFN_OK;
    case SHAPE_REAL:
        return put_real(v, &s->values.reals[s->i], err);
    case SHAPE_TEXT:
        return put_text(s, tfn_json_get_str(v), err);
    default:
        return TFN_OK; /* nulls alone, and lists, have no values of their own */
    }
}

static bool has_offsets(shape kind, tfn_value_kind declared)
{
    return kind == SHAPE_TEXT && declared != TFN_VALUE_DATE && declared != TFN_VALUE_TIMESTAMP;
}

static tfn_code put(sink *s, yyjson_val *v, const place *at, tfn_error *err)
{
    if (shape_of(v) != SHAPE_NOTHING) {
        const tfn_code rc = put_value(s, v, err);
        if (rc != TFN_OK) {
            return fail_at(at, rc, err);
        }
        if (s->validity != NULL) {
            set_bit(s->validity, s->i);
        }
    }
    s->i++;
    if (has_offsets(s->kind, s->declared)) {
        s->values.numbers[s->i] = (int64_t)s->n_bytes;
    }
    return TFN_OK;
}

static const char *format_of(shape kind, tfn_value_kind declared)
{
    switch (kind) {
    case SHAPE_BOOL:
        return "b";
    case SHAPE_WHOLE:
        return declared == TFN_VALUE_TIMESTAMP ? "tss:UTC" : "l";
    case SHAPE_REAL:
        return "g";
    case SHAPE_TEXT:
        if (declared == TFN_VALUE_DATE) {
            return "tdD";
        }
        if (declared == TFN_VALUE_TIMESTAMP) {
            return "tsu:UTC";
        }
        return declared == TFN_VALUE_BYTES ? "Z" : "U";
    default:
        return "n";
    }
}

static size_t bits_bytes(int64_t n)
{
    return ((size_t)n + 7) / 8;
}

static tfn_code allocate_values(tfn_arena *arena, const survey *found, sink *s, column *out,
                                tfn_error *err)
{
    void *p = NULL;
    const size_t n = (size_t)found->n + (has_offsets(s->kind, s->declared) ? 1 : 0);
    const bool is_bool = s->kind == SHAPE_BOOL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(arena, is_bool ? bits_bytes(found->n) : n,
                                             is_bool ? 1 : sizeof(int64_t), &p, err));
    s->values.numbers = p;
    out->buffers[1] = p;
    out->n_buffers = 2;
    if (has_offsets(s->kind, s->declared)) {
        TFN_RETURN_IF_ERROR(tfn_arena_alloc(arena, found->n_bytes, 1, &p, err));
        s->bytes = p;
        out->buffers[2] = p;
        out->n_buffers = 3;
    }
    return TFN_OK;
}

static tfn_code begin_column(tfn_arena *arena, const survey *found, tfn_value_kind declared,
                             sink *s, column *out, tfn_error *err)
{
    *s = (sink){.kind = found->kind, .declared = declared};
    out->n = found->n;
    out->n_nulls = found->n_nulls;
    if (found->kind == SHAPE_NOTHING) {
        out->format = "n";
        return TFN_OK;
    }
    if (found->n_nulls > 0) {
        void *p = NULL;
        TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(arena, bits_bytes(found->n), 1, &p, err));
        s->validity = p;
        out->buffers[0] = p;
    }
    out->format = format_of(found->kind, declared);
    return allocate_values(arena, found, s, out, err);
}

static tfn_code fill_plain(tfn_arena *arena, yyjson_val *values, tfn_str name, const survey *found,
                           tfn_value_kind declared, column *out, tfn_error *err)
{
    sink s;
    TFN_RETURN_IF_ERROR(begin_column(arena, found, declared, &s, out, err));
    place at = {.column = name, .item = -1};
    yyjson_arr_iter i_row = yyjson_arr_iter_with(values);
    for (yyjson_val *v = yyjson_arr_iter_next(&i_row); v != NULL;
         v = yyjson_arr_iter_next(&i_row)) {
        TFN_RETURN_IF_ERROR(put(&s, v, &at, err));
        at.row++;
    }
    return TFN_OK;
}

/* Offsets and validity of the lists themselves. */
static tfn_code begin_lists(tfn_arena *arena, const survey *found, column *out, int64_t **offsets,
                            uint8_t **validity, tfn_error *err)
{
    void *p = NULL;
    *out = (column){.name = out->name,
                    .format = "+L",
                    .n = found->n,
                    .n_nulls = found->n_nulls,
                    .n_buffers = 2,
                    .n_children = 1};
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc_zero(arena, (size_t)found->n + 1, sizeof(int64_t), &p, err));
    *offsets = p;
    out->buffers[1] = p;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(arena, bits_bytes(found->n), 1, &p, err));
    *validity = p;
    out->buffers[0] = found->n_nulls > 0 ? p : NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(arena, 1, sizeof(column), &p, err));
    out->children = p;
    out->children->name = "item";
    return TFN_OK;
}

static tfn_code fill_lists(tfn_arena *arena, yyjson_val *values, tfn_str name, const survey *found,
                           const survey *items, tfn_value_kind declared, column *out,
                           tfn_error *err)
{
    int64_t *offsets = NULL;
    uint8_t *validity = NULL;
    sink s;
    TFN_RETURN_IF_ERROR(begin_lists(arena, found, out, &offsets, &validity, err));
    TFN_RETURN_IF_ERROR(begin_column(arena, items, declared, &s, out->children, err));
    place at = {.column = name, .item = -1};
    yyjson_arr_iter i_row = yyjson_arr_iter_with(values);
    for (yyjson_val *v = yyjson_arr_iter_next(&i_row); v != NULL;
         v = yyjson_arr_iter_next(&i_row)) {
        yyjson_arr_iter i_item = {0};
        if (yyjson_arr_iter_init(v, &i_item)) {
            set_bit(validity, at.row);
        }
        for (yyjson_val *item = yyjson_arr_iter_next(&i_item); item != NULL;
             item = yyjson_arr_iter_next(&i_item)) {
            at.item++;
            TFN_RETURN_IF_ERROR(put(&s, item, &at, err));
        }
        at.row++;
        at.item = -1;
        offsets[at.row] = s.i;
    }
    return TFN_OK;
}

/* ---- all columns ---- */

static tfn_code read_column(tfn_arena *arena, tfn_str name, yyjson_val *values,
                            tfn_value_kind declared, column *out, tfn_error *err)
{
    if (memchr(name.p, '\0', name.n) != NULL) {
        return TFN_FAIL(err, TFN_INVALID, "the name of column '%s' of df contains a NUL character",
                        name.p);
    }
    if (!yyjson_is_arr(values)) {
        return TFN_FAIL(err, TFN_INVALID, "column '%.*s' of df is %s; expected a list of values",
                        TFN_STR_ARG(name), WORDS[shape_of(values)]);
    }
    survey rows = {0};
    survey items = {0};
    TFN_RETURN_IF_ERROR(tfn_arena_copy(arena, name.p, name.n, &out->name, err));
    TFN_RETURN_IF_ERROR(survey_column(values, name, &rows, &items, err));
    return rows.kind == SHAPE_LIST
               ? fill_lists(arena, values, name, &rows, &items, declared, out, err)
               : fill_plain(arena, values, name, &rows, declared, out, err);
}

/* All columns have the length of the first. */
static tfn_code check_length(const column *root, size_t i, tfn_error *err)
{
    const column *c = &root->children[i];
    if (c->n == root->children[0].n) {
        return TFN_OK;
    }
    return TFN_FAIL(err, TFN_INVALID,
                    "column '%s' of df has %" PRId64 " values, and column '%s' has %" PRId64
                    "; all columns need equally many",
                    c->name, c->n, root->children[0].name, root->children[0].n);
}

static tfn_code read_columns(frame *f, yyjson_val *columns, const tfn_map *by_name,
                             const tfn_declared *declared, tfn_error *err)
{
    const size_t n = yyjson_obj_size(columns);
    if (n > TFN_MAX_FIELDS) {
        return TFN_FAIL(err, TFN_LIMIT, "df has %zu columns; at most %d are taken", n,
                        (int)TFN_MAX_FIELDS);
    }
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&f->arena, n, sizeof(column), &p, err));
    f->root = (column){.name = "", .format = "+s", .n_buffers = 1, .children = p, .n_children = n};
    yyjson_obj_iter iter = yyjson_obj_iter_with(columns);
    for (size_t i = 0; i < n; i++) {
        yyjson_val *key = yyjson_obj_iter_next(&iter);
        const tfn_str name = tfn_json_get_str(key);
        uint32_t i_declared = 0;
        const tfn_value_kind kind =
            tfn_map_get(by_name, name, &i_declared) ? declared[i_declared].kind : TFN_VALUE_NULL;
        TFN_RETURN_IF_ERROR(read_column(&f->arena, name, yyjson_obj_iter_get_val(key), kind,
                                        &f->root.children[i], err));
        TFN_RETURN_IF_ERROR(check_length(&f->root, i, err));
    }
    f->root.n = n > 0 ? f->root.children[0].n : 0;
    return TFN_OK;
}

static tfn_code map_names(const tfn_declared *declared, size_t n, tfn_map *out, tfn_error *err)
{
    for (size_t i = n; i-- > 0;) { /* of two with one name the first counts */
        TFN_RETURN_IF_ERROR(tfn_map_put(out, declared[i].name, (uint32_t)i, err));
    }
    return TFN_OK;
}

tfn_code tfn_frame_json_read(yyjson_val *columns, const tfn_declared *declared, size_t n_declared,
                             struct ArrowArrayStream *out, int64_t *n_rows, tfn_error *err)
{
    *out = (struct ArrowArrayStream){0};
    *n_rows = 0;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(frame), &p, err));
    frame *f = p;
    atomic_init(&f->n_refs, 1);
    tfn_map by_name = {0};
    tfn_code rc = map_names(declared, n_declared, &by_name, err);
    if (rc == TFN_OK) {
        rc = read_columns(f, columns, &by_name, declared, err);
    }
    tfn_map_deinit(&by_name);
    if (rc != TFN_OK) {
        release(f);
        return rc;
    }
    *n_rows = f->root.n;
    *out = (struct ArrowArrayStream){.get_schema = stream_get_schema,
                                     .get_next = stream_get_next,
                                     .get_last_error = stream_get_last_error,
                                     .release = stream_release,
                                     .private_data = f};
    return TFN_OK;
}
