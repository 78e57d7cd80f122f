/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The seam between yyjson and the rest: every allocation of yyjson's goes through base/mem.h.
 *
 * When memory is exhausted yyjson leaves out what was to be added and goes on. A text with a member
 * missing would be a lie, so each document that is filled has an allocator of its own, which
 * remembers a refusal; tfn_json_write looks at it once. That keeps the many places that add members
 * short.
 */

#include "base/json.h"

#include "base/mem.h"

#include "base/poison.h"

/* Context of the allocator of one document that is filled; NULL when one is parsed. */
typedef struct memory {
    bool was_refused;
} memory;

static void *refuse(void *context)
{
    memory *m = context;
    if (m != NULL) {
        m->was_refused = true;
    }
    return NULL;
}

static void *json_alloc(void *context, size_t n_bytes)
{
    void *p = NULL;
    return tfn_mem_alloc_uninit(n_bytes, 1, &p, NULL) == TFN_OK ? p : refuse(context);
}

static void *json_resize(void *context, void *p, size_t n_old, size_t n_bytes)
{
    (void)n_old;
    return tfn_mem_realloc_array(&p, n_bytes, 1, NULL) == TFN_OK ? p : refuse(context);
}

static void json_release(void *context, void *p)
{
    (void)context;
    tfn_mem_free(p);
}

const yyjson_alc tfn_json_alc = {json_alloc, json_resize, json_release, NULL};

tfn_code tfn_json_parse(tfn_str text, const char *what, yyjson_doc **out, tfn_error *err)
{
    *out = NULL;
    yyjson_read_err problem = {0};
    /* Without YYJSON_READ_INSITU yyjson does not write to the text. */
    *out = yyjson_read_opts((char *)(uintptr_t)text.p, text.n, YYJSON_READ_NOFLAG, &tfn_json_alc,
                            &problem);
    if (*out != NULL) {
        return TFN_OK;
    }
    if (problem.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION) {
        return TFN_FAIL(err, TFN_NO_MEMORY, "%s could not be read: memory is exhausted", what);
    }
    return TFN_FAIL(err, TFN_INVALID, "%s is not JSON: %s at byte %zu", what,
                    problem.msg == NULL ? "empty" : problem.msg, problem.pos);
}

/* An empty document, or a copy of `from`. */
static tfn_code create(yyjson_doc *from, yyjson_mut_doc **out, tfn_error *err)
{
    *out = NULL;
    void *context = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(memory), &context, err));
    yyjson_alc alc = tfn_json_alc;
    alc.ctx = context;
    *out = from == NULL ? yyjson_mut_doc_new(&alc) : yyjson_doc_mut_copy(from, &alc);
    if (*out == NULL) {
        tfn_mem_free(context);
        return TFN_FAIL(err, TFN_NO_MEMORY,
                        "a JSON document could not be begun: memory is exhausted");
    }
    return TFN_OK;
}

tfn_code tfn_json_create(yyjson_mut_doc **out, tfn_error *err)
{
    return create(NULL, out, err);
}

tfn_code tfn_json_copy(yyjson_doc *from, yyjson_mut_doc **out, tfn_error *err)
{
    return create(from, out, err);
}

void tfn_json_destroy(yyjson_mut_doc *doc)
{
    if (doc != NULL) {
        void *context = doc->alc.ctx;
        yyjson_mut_doc_free(doc);
        tfn_mem_free(context);
    }
}

tfn_code tfn_json_write(const yyjson_mut_doc *doc, char **text, tfn_error *err)
{
    *text = NULL;
    const memory *m = doc->alc.ctx;
    if (!m->was_refused) {
        *text = yyjson_mut_write_opts(doc, YYJSON_WRITE_NOFLAG, &tfn_json_alc, NULL, NULL);
    }
    if (*text == NULL) {
        return TFN_FAIL(err, TFN_NO_MEMORY, "an answer could not be written: memory is exhausted");
    }
    return TFN_OK;
}

bool tfn_json_add_str(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, tfn_str text)
{
    yyjson_mut_val *value = yyjson_mut_strncpy(doc, text.p == NULL ? "" : text.p, text.n);
    return yyjson_mut_obj_add_val(doc, object, key, value);
}

bool tfn_json_add_time(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, tfn_instant t)
{
    if (t.seconds == INT64_MIN) {
        return yyjson_mut_obj_add_null(doc, object, key);
    }
    char text[TFN_TIME_TEXT_BYTES];
    tfn_instant_format(t, text);
    return tfn_json_add_str(doc, object, key, tfn_str_of(text));
}

/* ---- writing into a buffer ---- */

/* The short escape of a character, or 0. */
static char short_escape_of(char c)
{
    switch (c) {
    case '"':
    case '\\':
        return c;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

static bool must_escape(char c)
{
    return c == '"' || c == '\\' || (unsigned char)c < 0x20u;
}

tfn_code tfn_json_add_text(tfn_buf *b, tfn_str text, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(tfn_buf_add(b, "\"", 1, err));
    size_t i_begin = 0;
    for (size_t i = 0; i < text.n; i++) {
        const char c = text.p[i];
        if (!must_escape(c)) {
            continue;
        }
        if (i > i_begin) {
            TFN_RETURN_IF_ERROR(tfn_buf_add(b, text.p + i_begin, i - i_begin, err));
        }
        const char letter = short_escape_of(c);
        if (letter != 0) {
            TFN_RETURN_IF_ERROR(tfn_buf_add(b, (const char[]){'\\', letter}, 2, err));
        } else {
            TFN_RETURN_IF_ERROR(tfn_buf_add_format(b, err, "\\u%04x", (unsigned)(unsigned char)c));
        }
        i_begin = i + 1;
    }
    if (text.n > i_begin) {
        TFN_RETURN_IF_ERROR(tfn_buf_add(b, text.p + i_begin, text.n - i_begin, err));
    }
    return tfn_buf_add(b, "\"", 1, err);
}
