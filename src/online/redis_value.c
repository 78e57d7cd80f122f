/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Feast's values, written and read by hand: the message has one member at a time, a scalar or a
 * message with one repeated member, so a library for any message would be most of the cost.
 *
 *   scalar   tag, value                                  3800                 false
 *   string   tag, number of bytes, bytes                 120161               "a"
 *   list     tag, number of bytes, then if not empty:
 *              numbers  tag, number of bytes, packed     6a030a0101           [1]
 *              texts    per item tag, number of bytes, bytes
 *   null     nothing at all                                                  null
 *            time: the least number of seconds      4080808080808080808001     null
 *
 * We write what protobuf's own writer writes, byte for byte. We read what any writer may write:
 * members in any order, unknown ones between them, numbers packed or one by one; the last one of
 * several values counts.
 *
 * Bytes come from outside, so each number of bytes is held against what is left before it is used,
 * and nothing is allocated that the bytes do not pay for.
 */

#include "online/redis_value.h"

#include <string.h>

#include "online/bytes.h"

#include "base/poison.h"

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };
enum { VARINT_MAX_BYTES = 10, LIST_ITEM_TAG = 1 << 3 };
enum { LAST_SCALAR = 8 };                   /* of the members before there were meanings */
enum { LIST_OFFSET = 10, SET_OFFSET = 21 }; /* int64_val is 4, int64_list_val 14, the set 25 */

static const int64_t FIRST_SECOND = -62135596800; /* 0001-01-01 */
static const int64_t LAST_SECOND = 253402300799;  /* 9999-12-31T23:59:59 */

/* Number of the member that holds a scalar of this kind (feast.types.Value), 0: there is none. */
static uint32_t member_of(uint8_t kind)
{
    switch (kind) {
    case TFN_KIND_BYTES:
        return 1;
    case TFN_KIND_STRING:
        return 2;
    case TFN_KIND_INT32:
        return 3;
    case TFN_KIND_INT64:
        return 4;
    case TFN_KIND_FLOAT64:
        return 5;
    case TFN_KIND_FLOAT32:
        return 6;
    case TFN_KIND_BOOL:
        return 7;
    case TFN_KIND_TIMESTAMP:
        return 8;
    default:
        return 0;
    }
}

/* The same of texts with a meaning: alone, in a list, in a set. Maps and structs are messages. */
static const uint32_t logical_members[][3] = {
    [TFN_LOGICAL_UUID] = {36, 38, 40},    [TFN_LOGICAL_TIME_UUID] = {37, 39, 41},
    [TFN_LOGICAL_DECIMAL] = {44, 45, 46}, [TFN_LOGICAL_JSON] = {32, 33, 0},
    [TFN_LOGICAL_MAP] = {0, 0, 0},        [TFN_LOGICAL_STRUCT] = {0, 0, 0},
};

/* Number of the member that holds values of a type, 0: there is none. */
static uint32_t member_of_type(tfn_type type)
{
    static const uint32_t offsets[] = {0, LIST_OFFSET, SET_OFFSET};
    const int shape = (int)type.is_list + (int)type.is_set; /* a set is a list, too */
    if (type.logical != TFN_LOGICAL_NONE) {
        return logical_members[type.logical][shape];
    }
    const uint32_t scalar = member_of(type.kind);
    return scalar == 0 ? 0 : scalar + offsets[shape];
}

/* How its numbers are written. */
static uint32_t wire_of(uint8_t kind)
{
    switch (kind) {
    case TFN_KIND_BYTES:
    case TFN_KIND_STRING:
        return WIRE_BYTES;
    case TFN_KIND_FLOAT64:
        return WIRE_FIXED64;
    case TFN_KIND_FLOAT32:
        return WIRE_FIXED32;
    default:
        return WIRE_VARINT;
    }
}

bool tfn__redis_can_keep(tfn_type type)
{
    return member_of_type(type) != 0;
}

/* ---- write ---- */

static size_t write_varint(uint64_t x, uint8_t *out)
{
    size_t n = 0;
    while (x >= 0x80) {
        out[n++] = (uint8_t)(x | 0x80);
        x >>= 7;
    }
    out[n++] = (uint8_t)x;
    return n;
}

static size_t varint_bytes(uint64_t x)
{
    size_t n = 1;
    while (x >= 0x80) {
        x >>= 7;
        n++;
    }
    return n;
}

static tfn_code add_varint(tfn_buf *out, uint64_t x, tfn_error *err)
{
    uint8_t bytes[VARINT_MAX_BYTES];
    return tfn_buf_add(out, bytes, write_varint(x, bytes), err);
}

static uint64_t tag_of(uint32_t member, uint32_t wire)
{
    return (uint64_t)member << 3 | wire;
}

/* The number that stands for a cell: times are in seconds. */
static uint64_t number_of(tfn_type type, uint64_t bits)
{
    if (type.kind != TFN_KIND_TIMESTAMP) {
        return bits;
    }
    return (uint64_t)tfn_time_convert((int64_t)bits, (tfn_unit)type.unit, TFN_UNIT_S);
}

static size_t number_bytes(tfn_type type, uint64_t bits)
{
    const uint32_t wire = wire_of(type.kind);
    if (wire == WIRE_FIXED64) {
        return 8;
    }
    return wire == WIRE_FIXED32 ? 4 : varint_bytes(number_of(type, bits));
}

static size_t write_number(tfn_type type, uint64_t bits, uint8_t *out)
{
    const uint32_t wire = wire_of(type.kind);
    if (wire == WIRE_FIXED64) {
        tfn__set_u64(out, bits);
        return 8;
    }
    if (wire == WIRE_FIXED32) {
        tfn__set_u32(out, (uint32_t)bits);
        return 4;
    }
    return write_varint(number_of(type, bits), out);
}

static tfn_code add_bytes(uint64_t tag, tfn_str bytes, tfn_buf *out, tfn_error *err)
{
    TFN_RETURN_IF_ERROR(add_varint(out, tag, err));
    TFN_RETURN_IF_ERROR(add_varint(out, bytes.n, err));
    return tfn_buf_add(out, bytes.p, bytes.n, err);
}

static tfn_code add_scalar(tfn_type type, const tfn_cell *cell, tfn_buf *out, tfn_error *err)
{
    const uint32_t wire = wire_of(type.kind);
    const uint64_t tag = tag_of(member_of_type(type), wire);
    if (wire == WIRE_BYTES) {
        return add_bytes(tag, cell->bytes, out, err);
    }
    uint8_t bytes[1 + VARINT_MAX_BYTES] = {(uint8_t)tag}; /* below 0x80 */
    const size_t n = 1 + write_number(type, cell->bits, bytes + 1);
    return tfn_buf_add(out, bytes, n, err);
}

/* Bytes of the items of a list, without their tags. */
static tfn_code measure_items(const tfn_list *list, size_t *n_out, tfn_error *err)
{
    const bool is_text = wire_of(list->item.kind) == WIRE_BYTES;
    *n_out = 0;
    for (uint32_t i = 0; i < list->n; i++) {
        const tfn_cell item = tfn_list_get(list, i);
        if (item.is_null) {
            return TFN_FAIL(err, TFN_UNSUPPORTED,
                            "item %u of a list is null, and Feast's layout in Redis keeps no nulls "
                            "in lists; leave it out, or use the LMDB store",
                            (unsigned)i);
        }
        *n_out += is_text ? 1 + varint_bytes(item.bytes.n) + item.bytes.n
                          : number_bytes(list->item, item.bits);
    }
    return TFN_OK;
}

static tfn_code add_numbers(const tfn_list *list, size_t n_bytes, tfn_buf *out, tfn_error *err)
{
    char *room = NULL;
    TFN_RETURN_IF_ERROR(add_varint(out, tag_of(1, WIRE_BYTES), err));
    TFN_RETURN_IF_ERROR(add_varint(out, n_bytes, err));
    TFN_RETURN_IF_ERROR(tfn_buf_add_room(out, n_bytes, &room, err));
    uint8_t *to = (uint8_t *)room;
    for (uint32_t i = 0; i < list->n; i++) {
        to += write_number(list->item, tfn_list_get(list, i).bits, to);
    }
    return TFN_OK;
}

static tfn_code add_list(tfn_type type, const tfn_cell *cell, tfn_buf *out, tfn_error *err)
{
    tfn_list list;
    size_t n_items = 0;
    TFN_RETURN_IF_ERROR(tfn_list_open(type, cell->bytes, &list, err));
    TFN_RETURN_IF_ERROR(measure_items(&list, &n_items, err));
    const bool is_text = wire_of(type.kind) == WIRE_BYTES;
    const size_t n_head = is_text || list.n == 0 ? 0 : 1 + varint_bytes(n_items);
    TFN_RETURN_IF_ERROR(add_varint(out, tag_of(member_of_type(type), WIRE_BYTES), err));
    TFN_RETURN_IF_ERROR(add_varint(out, n_head + n_items, err));
    if (!is_text) {
        return list.n == 0 ? TFN_OK : add_numbers(&list, n_items, out, err);
    }
    for (uint32_t i = 0; i < list.n; i++) {
        TFN_RETURN_IF_ERROR(
            add_bytes(tag_of(1, WIRE_BYTES), tfn_list_get(&list, i).bytes, out, err));
    }
    return TFN_OK;
}

tfn_code tfn__redis_value_add(tfn_type type, const tfn_cell *cell, tfn_buf *out, tfn_error *err)
{
    if (cell->is_null && type.kind == TFN_KIND_TIMESTAMP && !type.is_list) {
        const tfn_cell nat = {.bits = (uint64_t)INT64_MIN};
        const tfn_type seconds = {.kind = TFN_KIND_TIMESTAMP, .unit = TFN_UNIT_S};
        return add_scalar(seconds, &nat, out, err);
    }
    if (cell->is_null) {
        return TFN_OK;
    }
    return type.is_list ? add_list(type, cell, out, err) : add_scalar(type, cell, out, err);
}

/* ---- read ---- */

/* One member of a message: its number, how it was written, and what. */
typedef struct member {
    uint32_t number;
    uint32_t wire;
    uint64_t bits; /* WIRE_VARINT, WIRE_FIXED64, WIRE_FIXED32 */
    tfn_str bytes; /* WIRE_BYTES */
} member;

static tfn_code corrupt(const char *what, tfn_error *err)
{
    return TFN_FAIL(err, TFN_CORRUPT, "no protobuf message as Feast writes it: %s", what);
}

static bool take_varint(tfn_str *rest, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < rest->n && i < VARINT_MAX_BYTES; i++) {
        const uint64_t byte = (uint8_t)rest->p[i];
        *out |= (byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *rest = (tfn_str){rest->p + i + 1, rest->n - i - 1};
            return true;
        }
    }
    return false;
}

static bool take_bytes(tfn_str *rest, uint64_t n_bytes, tfn_str *out)
{
    if (n_bytes > rest->n) {
        return false;
    }
    *out = (tfn_str){rest->p, (size_t)n_bytes};
    *rest = (tfn_str){rest->p + n_bytes, rest->n - (size_t)n_bytes};
    return true;
}

/* A number in one of the three forms. */
static bool take_number(tfn_str *rest, uint32_t wire, uint64_t *out)
{
    tfn_str bytes;
    if (wire == WIRE_VARINT) {
        return take_varint(rest, out);
    }
    if (!take_bytes(rest, wire == WIRE_FIXED64 ? 8 : 4, &bytes)) {
        return false;
    }
    const uint8_t *p = (const uint8_t *)bytes.p;
    *out = wire == WIRE_FIXED64 ? tfn__get_u64(p) : tfn__get_u32(p);
    return true;
}

static tfn_code take_member(tfn_str *rest, member *out, tfn_error *err)
{
    uint64_t tag = 0;
    *out = (member){0};
    if (!take_varint(rest, &tag) || tag >> 3 == 0 || tag >> 3 > UINT32_MAX >> 3) {
        return corrupt("a member without a number", err);
    }
    out->number = (uint32_t)(tag >> 3);
    out->wire = (uint32_t)(tag & 7);
    bool is_whole = false;
    if (out->wire == WIRE_BYTES) {
        is_whole = take_varint(rest, &out->bits) && take_bytes(rest, out->bits, &out->bytes);
    } else if (out->wire == WIRE_VARINT || out->wire == WIRE_FIXED32 || out->wire == WIRE_FIXED64) {
        is_whole = take_number(rest, out->wire, &out->bits);
    }
    return is_whole ? TFN_OK : corrupt("a member that is cut short", err);
}

/* A number of a message as the bits of a cell: protobuf keeps the low bits of what is too large. */
static uint64_t bits_of(uint8_t kind, uint64_t number)
{
    if (kind == TFN_KIND_INT32) {
        return (uint64_t)(int64_t)(int32_t)(uint32_t)number;
    }
    return kind == TFN_KIND_BOOL ? number != 0 : number;
}

/* The kind that a member of another type is read as, where nothing is lost; NONE: not at all. */
static uint8_t kind_of_member(uint32_t number, uint8_t wanted)
{
    if (number == member_of(wanted)) {
        return wanted;
    }
    if (wanted == TFN_KIND_INT64 && number == member_of(TFN_KIND_INT32)) {
        return TFN_KIND_INT32;
    }
    if (wanted == TFN_KIND_FLOAT64 && number == member_of(TFN_KIND_FLOAT32)) {
        return TFN_KIND_FLOAT32;
    }
    return TFN_KIND_NONE;
}

static uint64_t widen(uint8_t kind, uint8_t wanted, uint64_t bits)
{
    if (kind != TFN_KIND_FLOAT32 || wanted != TFN_KIND_FLOAT64) {
        return bits;
    }
    const uint32_t narrow = (uint32_t)bits;
    float value = 0;
    memcpy(&value, &narrow, sizeof value);
    const double wide = (double)value;
    memcpy(&bits, &wide, sizeof bits);
    return bits;
}

/* ---- read lists ---- */

/* Call by call the items of a list's message; a pass counts, or fills. */
typedef struct list_pass {
    uint8_t kind;   /* as it was written */
    uint8_t wanted; /* as it is packed */
    uint32_t n;
    size_t n_bytes;  /* of texts */
    uint8_t *values; /* NULL: count only */
    uint8_t *texts;
} list_pass;

static void pass_number(list_pass *pass, uint64_t number)
{
    if (pass->values != NULL) {
        const uint64_t bits = widen(pass->kind, pass->wanted, bits_of(pass->kind, number));
        const size_t width = tfn_type_width((tfn_type){.kind = pass->wanted});
        uint8_t *to = pass->values + (size_t)pass->n * width;
        if (width == 8) {
            tfn__set_u64(to, bits);
        } else if (width == 4) {
            tfn__set_u32(to, (uint32_t)bits);
        } else {
            to[0] = (uint8_t)bits;
        }
    }
    pass->n++;
}

static void pass_text(list_pass *pass, tfn_str bytes)
{
    pass->n_bytes += bytes.n;
    pass->n++;
    if (pass->values != NULL) {
        if (bytes.n > 0) {
            memcpy(pass->texts + pass->n_bytes - bytes.n, bytes.p, bytes.n);
        }
        tfn__set_u32(pass->values + (size_t)pass->n * 4, (uint32_t)pass->n_bytes);
    }
}

static tfn_code pass_items(list_pass *pass, tfn_str rest, tfn_error *err)
{
    const uint32_t wire = wire_of(pass->kind);
    while (rest.n > 0) {
        member item;
        TFN_RETURN_IF_ERROR(take_member(&rest, &item, err));
        if (item.number != 1) {
            continue;
        }
        if (wire == WIRE_BYTES && item.wire == WIRE_BYTES) {
            if (pass->kind == TFN_KIND_STRING && !tfn_str_is_utf8(item.bytes)) {
                return corrupt("a string that is not UTF-8", err);
            }
            pass_text(pass, item.bytes);
        } else if (item.wire == wire) {
            pass_number(pass, item.bits);
        } else if (item.wire == WIRE_BYTES) {
            uint64_t number = 0;
            while (item.bytes.n > 0) {
                if (!take_number(&item.bytes, wire, &number)) {
                    return corrupt("a list that is cut short", err);
                }
                pass_number(pass, number);
            }
        } else {
            return corrupt("a list of something else than it says", err);
        }
    }
    return TFN_OK;
}

/* The packed list (column/cell.h): number of items, validity, values or offsets, texts. */
static tfn_code read_list(uint8_t kind, uint8_t wanted, tfn_str bytes, tfn_arena *arena,
                          tfn_cell *out, tfn_error *err)
{
    list_pass count = {.kind = kind, .wanted = wanted};
    TFN_RETURN_IF_ERROR(pass_items(&count, bytes, err));
    const bool is_text = wire_of(kind) == WIRE_BYTES;
    const size_t n = count.n;
    const size_t n_validity = (n + 7) / 8;
    const size_t n_values = is_text ? (n + 1) * 4 : n * tfn_type_width((tfn_type){.kind = wanted});
    const size_t n_total = 4 + n_validity + n_values + count.n_bytes;
    void *p = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(arena, n_total, 1, &p, err));
    uint8_t *packed = p;
    tfn__set_u32(packed, count.n);
    for (size_t i = 0; i < n; i++) {
        packed[4 + i / 8] = (uint8_t)(packed[4 + i / 8] | 1u << (i % 8));
    }
    list_pass fill = {.kind = kind,
                      .wanted = wanted,
                      .values = packed + 4 + n_validity,
                      .texts = packed + 4 + n_validity + n_values};
    TFN_RETURN_IF_ERROR(pass_items(&fill, bytes, err));
    out->bytes = (tfn_str){(const char *)packed, n_total};
    return TFN_OK;
}

/* ---- read values ---- */

/* The kind that a member holds for a type. Lists are sets, too, and a text without a meaning has any:
 * so a definition may be made more precise. NONE: something else. */
static uint8_t kind_of_value(uint32_t number, tfn_type type)
{
    if (number == member_of_type(type)) {
        return type.kind;
    }
    if (!type.is_list) {
        return number <= LIST_OFFSET ? kind_of_member(number, type.kind) : TFN_KIND_NONE;
    }
    const bool is_set = number > SET_OFFSET;
    const bool is_list = number > LIST_OFFSET && number <= LIST_OFFSET + LAST_SCALAR;
    if (!is_list && !(is_set && type.is_set)) {
        return TFN_KIND_NONE;
    }
    return kind_of_member(number - (is_set ? SET_OFFSET : LIST_OFFSET), type.kind);
}

static tfn_code read_member(tfn_type type, const member *value, tfn_arena *arena, tfn_cell *out,
                            bool *is_type, tfn_error *err)
{
    const uint8_t kind = kind_of_value(value->number, type);
    *is_type = kind != TFN_KIND_NONE;
    *out = (tfn_cell){.is_null = !*is_type};
    if (!*is_type) {
        return TFN_OK;
    }
    if (value->wire != (type.is_list ? WIRE_BYTES : wire_of(kind))) {
        return corrupt("a value of another form than its type has", err);
    }
    if (type.is_list) {
        return read_list(kind, type.kind, value->bytes, arena, out, err);
    }
    if (kind == TFN_KIND_STRING && !tfn_str_is_utf8(value->bytes)) {
        return corrupt("a string that is not UTF-8", err);
    }
    out->bits = value->wire == WIRE_BYTES ? 0 : widen(kind, type.kind, bits_of(kind, value->bits));
    out->bytes = value->bytes;
    return TFN_OK;
}

/* feast.types.Value: 19 says null; newer members exist. */
enum { MEMBER_NULL = 19 };

tfn_code tfn__redis_value_read(tfn_type type, tfn_str bytes, tfn_arena *arena, tfn_cell *out,
                               bool *is_type, tfn_error *err)
{
    member last = {.number = MEMBER_NULL};
    *out = (tfn_cell){.is_null = true};
    *is_type = true;
    while (bytes.n > 0) {
        TFN_RETURN_IF_ERROR(take_member(&bytes, &last, err));
    }
    if (last.number == MEMBER_NULL) {
        return TFN_OK;
    }
    TFN_RETURN_IF_ERROR(read_member(type, &last, arena, out, is_type, err));
    if (type.kind == TFN_KIND_TIMESTAMP && !type.is_list && out->bits == (uint64_t)INT64_MIN) {
        out->is_null = true; /* how Feast writes NaT */
    }
    return TFN_OK;
}

/* ---- times ---- */

enum { SECONDS_TAG = 1 << 3, NANOS_TAG = 2 << 3, MAX_NANOS = 999999999, PAIR_VERSION = 1 };

bool tfn__redis_time_fits(tfn_instant time)
{
    return time.seconds >= FIRST_SECOND && time.seconds <= LAST_SECOND;
}

size_t tfn__redis_time_write(tfn_instant time, uint8_t out[TFN__REDIS_TIME_MAX_BYTES])
{
    size_t n = 0;
    if (time.seconds != 0) {
        out[n++] = SECONDS_TAG;
        n += write_varint((uint64_t)time.seconds, out + n);
    }
    if (time.nanos != 0) {
        out[n++] = NANOS_TAG;
        n += write_varint((uint64_t)time.nanos, out + n);
    }
    return n;
}

tfn_code tfn__redis_time_read(tfn_str bytes, tfn_instant *out, tfn_error *err)
{
    *out = (tfn_instant){0};
    while (bytes.n > 0) {
        member part;
        TFN_RETURN_IF_ERROR(take_member(&bytes, &part, err));
        if (part.wire == WIRE_VARINT && part.number == 1) {
            out->seconds = (int64_t)part.bits;
        } else if (part.wire == WIRE_VARINT && part.number == 2) {
            out->nanos = (int32_t)(uint32_t)part.bits;
        }
    }
    if (out->nanos < 0 || out->nanos > MAX_NANOS || !tfn__redis_time_fits(*out)) {
        return corrupt("an event time that cannot be", err);
    }
    return TFN_OK;
}

/* Version, event seconds and nanoseconds, created seconds and nanoseconds; little endian. */
void tfn__redis_pair_write(tfn_instant event, tfn_instant created,
                           uint8_t out[TFN__REDIS_PAIR_BYTES])
{
    out[0] = PAIR_VERSION;
    tfn__set_u64(out + 1, (uint64_t)event.seconds);
    tfn__set_u32(out + 9, (uint32_t)event.nanos);
    tfn__set_u64(out + 13, (uint64_t)created.seconds);
    tfn__set_u32(out + 21, (uint32_t)created.nanos);
}

tfn_instant tfn__redis_pair_read(tfn_str bytes, tfn_instant event)
{
    uint8_t expected[TFN__REDIS_PAIR_BYTES];
    if (bytes.n != TFN__REDIS_PAIR_BYTES) {
        return TFN_INSTANT_NONE;
    }
    const uint8_t *p = (const uint8_t *)bytes.p;
    const tfn_instant created = {(int64_t)tfn__get_u64(p + 13), (int32_t)tfn__get_u32(p + 21)};
    tfn__redis_pair_write(event, created, expected);
    const bool is_time = created.nanos >= 0 && created.nanos <= MAX_NANOS;
    return is_time && memcmp(expected, p, sizeof expected) == 0 ? created : TFN_INSTANT_NONE;
}
