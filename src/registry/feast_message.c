/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The bytes are walked once before protobuf-c reads them. It recurses once for each message in a
 * message, and a data source may hold a data source, so a file of some hundred kilobytes could take
 * the whole stack; the walk bounds the depth. It also makes sure that texts are UTF-8 and hold no
 * NUL, which protobuf-c neither looks at nor could keep (its texts are C's).
 *
 * A message of two bytes becomes a struct of some hundred, so memory is bounded as well: in
 * proportion to the file, from what real files take. What protobuf-c gives back while it reads is
 * not counted back, as its interface does not say how much that is.
 */

#include "registry/feast_message.h"

#include <stdint.h>

#include "base/limits.h"
#include "base/mem.h"
#include "registry/feast_file.h"

#include "base/poison.h"

enum {
    MAX_DEPTH = 32,
    MAX_BYTES_PER_BYTE = 64, /* real files take 5 to 15 */
    MIN_BYTES = 1 << 20,
    VARINT = 0,
    EIGHT_BYTES = 1,
    COUNTED = 2,
    FOUR_BYTES = 5,
};

/* ---- the walk ---- */

typedef struct cursor {
    const uint8_t *next;
    const uint8_t *end;
} cursor;

typedef struct tag {
    uint32_t id;
    uint32_t wire_type;
} tag;

static bool read_varint(cursor *c, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64 && c->next < c->end; shift += 7) {
        const uint8_t byte = *c->next++;
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            return true;
        }
    }
    return false;
}

/* One field; `value` is what a counted one holds, else empty. */
static bool read_field(cursor *c, tag *t, tfn_str *value)
{
    uint64_t n = 0;
    *value = (tfn_str){0};
    if (!read_varint(c, &n) || n > UINT32_MAX || n >> 3 == 0) {
        return false;
    }
    *t = (tag){(uint32_t)(n >> 3), (uint32_t)(n & 7)};
    switch (t->wire_type) {
    case VARINT:
        return read_varint(c, &n);
    case EIGHT_BYTES:
        n = 8;
        break;
    case FOUR_BYTES:
        n = 4;
        break;
    case COUNTED:
        if (!read_varint(c, &n)) {
            return false;
        }
        break;
    default: /* groups, which no message of Feast's has */
        return false;
    }
    if (n > (uint64_t)(c->end - c->next)) {
        return false;
    }
    *value = (tfn_str){(const char *)c->next, (size_t)n};
    c->next += n;
    return true;
}

static cursor cursor_of(tfn_str bytes)
{
    const uint8_t *p = (const uint8_t *)bytes.p;
    return (cursor){p, bytes.n == 0 ? p : p + bytes.n};
}

static bool is_text(tfn_str value)
{
    return value.n == 0 || (memchr(value.p, 0, value.n) == NULL && tfn_str_is_utf8(value));
}

/* The recursion is bounded by MAX_DEPTH. `*is_deep` tells why it is false. */
static bool is_message(const ProtobufCMessageDescriptor *type, tfn_str bytes, int depth,
                       bool *is_deep)
{
    cursor c = cursor_of(bytes);
    if (depth > MAX_DEPTH) {
        *is_deep = true;
        return false;
    }
    while (c.next < c.end) {
        tag t = {0};
        tfn_str value = {0};
        if (!read_field(&c, &t, &value)) {
            return false;
        }
        const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(type, t.id);
        if (field == NULL) {
            continue;
        }
        const bool is_inner = field->type == PROTOBUF_C_TYPE_MESSAGE;
        const bool is_counted = is_inner || field->type == PROTOBUF_C_TYPE_STRING ||
                                field->type == PROTOBUF_C_TYPE_BYTES;
        if (is_counted && t.wire_type != COUNTED) {
            return false;
        }
        if (field->type == PROTOBUF_C_TYPE_STRING && !is_text(value)) {
            return false;
        }
        if (is_inner && !is_message(field->descriptor, value, depth + 1, is_deep)) {
            return false;
        }
    }
    return true;
}

static bool has_objects_or_version(tfn_str bytes)
{
    enum { SCHEMA_VERSION = 3 };
    cursor c = cursor_of(bytes);
    tag t = {0};
    tfn_str value = {0};
    while (c.next < c.end && read_field(&c, &t, &value)) {
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(&feast__registry__descriptor, t.id);
        if (field == NULL || value.n == 0) {
            continue;
        }
        if (t.id == SCHEMA_VERSION ? tfn_str_is(value, "1")
                                   : field->label == PROTOBUF_C_LABEL_REPEATED) {
            return true;
        }
    }
    return false;
}

bool tfn_feast_is_registry(tfn_str bytes)
{
    bool is_deep = false;
    return bytes.n <= TFN_MAX_APPLY_BYTES && has_objects_or_version(bytes) &&
           is_message(&feast__registry__descriptor, bytes, 0, &is_deep);
}

/* ---- reading ---- */

static void *alloc_counted(void *context, size_t n_bytes)
{
    tfn__feast_message *m = context;
    void *p = NULL;
    if (n_bytes > m->n_bytes_left) {
        m->was_limited = true;
        return NULL;
    }
    if (tfn_mem_alloc_uninit(n_bytes, 1, &p, NULL) != TFN_OK) {
        m->was_refused = true;
        return NULL;
    }
    m->n_bytes_left -= n_bytes;
    return p;
}

static void release(void *context, void *p)
{
    (void)context;
    tfn_mem_free(p);
}

static tfn_code fail_reading(const tfn__feast_message *m, tfn_str bytes, bool is_deep,
                             tfn_error *err)
{
    if (m->was_refused) {
        return TFN_FAIL(err, TFN_NO_MEMORY,
                        "Feast's registry of %zu bytes could not be read: memory is exhausted",
                        bytes.n);
    }
    if (is_deep) {
        return TFN_FAIL(err, TFN_LIMIT,
                        "Feast's registry of %zu bytes is nested more than %d deep, which Feast "
                        "never writes; check where the file comes from",
                        bytes.n, MAX_DEPTH);
    }
    if (m->was_limited) {
        return TFN_FAIL(err, TFN_LIMIT,
                        "Feast's registry of %zu bytes needs more than %d times its size in "
                        "memory, which Feast's never do; check where the file comes from",
                        bytes.n, MAX_BYTES_PER_BYTE);
    }
    return TFN_FAIL(err, TFN_CORRUPT,
                    "the %zu bytes are no registry of Feast: they are damaged or something else; "
                    "give the file that `registry` names in Feast's feature_store.yaml",
                    bytes.n);
}

tfn_code tfn__feast_message_init(tfn__feast_message *out, tfn_str bytes, tfn_error *err)
{
    bool is_deep = false;
    *out = (tfn__feast_message){.heap = {alloc_counted, release, out}};
    if (bytes.n > TFN_MAX_APPLY_BYTES) {
        return TFN_FAIL(err, TFN_LIMIT, "Feast's registry has %zu bytes; %d are possible", bytes.n,
                        TFN_MAX_APPLY_BYTES);
    }
    out->n_bytes_left = bytes.n * MAX_BYTES_PER_BYTE + MIN_BYTES;
    if (has_objects_or_version(bytes) &&
        is_message(&feast__registry__descriptor, bytes, 0, &is_deep)) {
        out->registry = feast__registry__unpack(&out->heap, bytes.n, (const uint8_t *)bytes.p);
    }
    return out->registry != NULL ? TFN_OK : fail_reading(out, bytes, is_deep, err);
}

void tfn__feast_message_deinit(tfn__feast_message *m)
{
    if (m->registry != NULL) {
        feast__registry__free_unpacked(m->registry, &m->heap);
    }
    m->registry = NULL;
}
