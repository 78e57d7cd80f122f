/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The row codec: rows are built once by the writer and read in place, straight from the map.
 *
 *   +--------+-------------+-------------------------+----------+---------------------------+
 *   | header | null bitmap | one slot per field      | full key | variable-length values    |
 *   | 40     | (n + 7) / 8 | 1, 4 or 8 bytes, packed | 0 or n   | in field order            |
 *   +--------+-------------+-------------------------+----------+---------------------------+
 *
 * Invariants
 *  1. Equal arguments give equal bytes: unused bits, slots of nulls and reserved bytes are zero.
 *     The write rule compares rows by their bytes.
 *  2. tfn_row_open checks everything that tfn_row_get relies on, so that a get is a load and two
 *     branches. What lies inside a packed list is tfn_list_open's to check.
 *  3. Times are seconds and nanoseconds, so 9999-12-31 fits whatever the unit of the data.
 *
 * Rejected: a checksum per row (LMDB writes a page before the pointer to it; the price is a pass
 * over each row read); offsets per field for all fields (4 bytes per number for nothing).
 */

#include "online/row.h"

#include <assert.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "online/bytes.h"

#include "base/poison.h"

/* docs/formats/online-row.md, "Header". */
enum {
    AT_VERSION = 0,
    AT_FLAGS = 1,
    AT_RESERVED = 2, /* two zero bytes */
    AT_SCHEMA_ID = 4,
    AT_EVENT_SECONDS = 8,
    AT_EVENT_NANOS = 16,
    AT_CREATED_NANOS = 20,
    AT_CREATED_SECONDS = 24,
    AT_TOTAL_BYTES = 32,
    AT_KEY_BYTES = 36,
    AT_BITMAP = TFN_ROW_HEADER_BYTES
};
static_assert(AT_KEY_BYTES + 4 == AT_BITMAP, "the header has no hole at its end");

enum { HAS_CREATED = 1, HAS_FULL_KEY = 2, ALL_FLAGS = 3 };
enum { MAX_NANOS = 999999999 };

/* ---- write ---- */

static tfn_code check_time(const char *what, tfn_instant t, tfn_error *err)
{
    if (t.nanos < 0 || t.nanos > MAX_NANOS) {
        return TFN_FAIL(err, TFN_INVALID,
                        "the %s time of an online row has %d nanoseconds; 0 to 999999999 fit", what,
                        (int)t.nanos);
    }
    return TFN_OK;
}

/* Bytes of the whole row; may exceed the limit, never wraps: 65,536 fields of less than 2^32. */
static tfn_code measure(const tfn_row_schema *schema, const tfn_cell *cells, tfn_str full_key,
                        size_t *out, tfn_error *err)
{
    size_t n_total = schema->fixed_bytes + full_key.n;
    for (uint32_t i = 0; i < schema->n_variable && n_total <= TFN_MAX_ONLINE_ROW_BYTES; i++) {
        const tfn_cell *cell = &cells[schema->variable[i]];
        if (!cell->is_null && !tfn_mem_add(n_total, cell->bytes.n, &n_total)) {
            n_total = SIZE_MAX;
        }
    }
    *out = n_total;
    if (n_total > TFN_MAX_ONLINE_ROW_BYTES) {
        return TFN_FAIL(err, TFN_LIMIT,
                        "an online row may have TFN_MAX_ONLINE_ROW_BYTES = %d bytes; this one has "
                        "more: %zu or above",
                        TFN_MAX_ONLINE_ROW_BYTES, n_total);
    }
    return TFN_OK;
}

static void write_header(const tfn_row_schema *schema, tfn_instant event, tfn_instant created,
                         size_t n_key, size_t n_total, uint8_t *row)
{
    const bool has_created = tfn_instant_compare(created, TFN_INSTANT_NONE) != 0;
    row[AT_VERSION] = TFN_ROW_VERSION;
    row[AT_FLAGS] = (uint8_t)((has_created ? HAS_CREATED : 0) | (n_key > 0 ? HAS_FULL_KEY : 0));
    tfn__set_u32(row + AT_SCHEMA_ID, schema->id);
    tfn__set_u64(row + AT_EVENT_SECONDS, (uint64_t)event.seconds);
    tfn__set_u32(row + AT_EVENT_NANOS, (uint32_t)event.nanos);
    if (has_created) {
        tfn__set_u32(row + AT_CREATED_NANOS, (uint32_t)created.nanos);
        tfn__set_u64(row + AT_CREATED_SECONDS, (uint64_t)created.seconds);
    }
    tfn__set_u32(row + AT_TOTAL_BYTES, (uint32_t)n_total);
    tfn__set_u32(row + AT_KEY_BYTES, (uint32_t)n_key);
}

/* Write field i; variable-length bytes go to *at, which moves behind them. */
static void write_field(const tfn_row_schema *schema, uint32_t i, const tfn_cell *cell, size_t *at,
                        uint8_t *row)
{
    if (cell->is_null) {
        return;
    }
    row[AT_BITMAP + i / 8] = (uint8_t)(row[AT_BITMAP + i / 8] | 1u << (i % 8));
    const tfn_row_slot slot = schema->slots[i];
    uint8_t *to = row + slot.offset;
    if (slot.is_variable) {
        tfn__set_u32(to, (uint32_t)*at);
        tfn__set_u32(to + 4, (uint32_t)cell->bytes.n);
        if (cell->bytes.n > 0) {
            memcpy(row + *at, cell->bytes.p, cell->bytes.n);
        }
        *at += cell->bytes.n;
    } else if (slot.width == 8) {
        tfn__set_u64(to, cell->bits);
    } else if (slot.width == 4) {
        tfn__set_u32(to, (uint32_t)cell->bits);
    } else {
        to[0] = cell->bits != 0;
    }
}

tfn_code tfn_row_encode(const tfn_row_schema *schema, const tfn_cell *cells, tfn_instant event,
                        tfn_instant created, tfn_str full_key, tfn_buf *out, tfn_error *err)
{
    tfn_buf_clear(out);
    if (tfn_instant_compare(event, TFN_INSTANT_NONE) == 0) {
        return TFN_FAIL(err, TFN_INVALID, "an online row needs an event time, this one has none");
    }
    TFN_RETURN_IF_ERROR(check_time("event", event, err));
    TFN_RETURN_IF_ERROR(check_time("created", created, err));
    size_t n_total = 0;
    TFN_RETURN_IF_ERROR(measure(schema, cells, full_key, &n_total, err));
    char *room = NULL;
    TFN_RETURN_IF_ERROR(tfn_buf_add_room(out, n_total, &room, err));
    uint8_t *row = (uint8_t *)room;
    memset(row, 0, schema->fixed_bytes);
    write_header(schema, event, created, full_key.n, n_total, row);
    size_t at = schema->fixed_bytes;
    if (full_key.n > 0) {
        memcpy(row + at, full_key.p, full_key.n);
        at += full_key.n;
    }
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        write_field(schema, i, &cells[i], &at, row);
    }
    assert(at == n_total);
    return TFN_OK;
}

void tfn_row_set_schema_id(char *row, uint32_t id)
{
    tfn__set_u32((uint8_t *)row + AT_SCHEMA_ID, id);
}

/* ---- read ---- */

tfn_code tfn_row_get_schema_id(tfn_str bytes, uint32_t *out, tfn_error *err)
{
    *out = 0;
    const uint8_t *row = (const uint8_t *)bytes.p;
    if (bytes.n < TFN_ROW_HEADER_BYTES) {
        return TFN_FAIL(err, TFN_CORRUPT, "online row: %zu bytes, a header alone has %d", bytes.n,
                        TFN_ROW_HEADER_BYTES);
    }
    if (row[AT_VERSION] > TFN_ROW_VERSION) {
        return TFN_FAIL(
            err, TFN_UNSUPPORTED,
            "online row: layout version %u, this Tiffin reads version %d; upgrade tiffin",
            (unsigned)row[AT_VERSION], TFN_ROW_VERSION);
    }
    *out = tfn__get_u32(row + AT_SCHEMA_ID);
    return TFN_OK;
}

static tfn_instant event_of(const uint8_t *row)
{
    return (tfn_instant){(int64_t)tfn__get_u64(row + AT_EVENT_SECONDS),
                         (int32_t)tfn__get_u32(row + AT_EVENT_NANOS)};
}

static tfn_instant created_of(const uint8_t *row)
{
    if ((row[AT_FLAGS] & HAS_CREATED) == 0) {
        return TFN_INSTANT_NONE;
    }
    return (tfn_instant){(int64_t)tfn__get_u64(row + AT_CREATED_SECONDS),
                         (int32_t)tfn__get_u32(row + AT_CREATED_NANOS)};
}

tfn_code tfn_row_get_times(tfn_str bytes, tfn_instant *event, tfn_instant *created, tfn_error *err)
{
    uint32_t schema_id = 0;
    *event = TFN_INSTANT_NONE;
    *created = TFN_INSTANT_NONE;
    TFN_RETURN_IF_ERROR(tfn_row_get_schema_id(bytes, &schema_id, err));
    *event = event_of((const uint8_t *)bytes.p);
    *created = created_of((const uint8_t *)bytes.p);
    return TFN_OK;
}

static tfn_code check_header(const tfn_row_schema *schema, tfn_str bytes, tfn_error *err)
{
    uint32_t id = 0;
    TFN_RETURN_IF_ERROR(tfn_row_get_schema_id(bytes, &id, err));
    const uint8_t *row = (const uint8_t *)bytes.p;
    if (row[AT_VERSION] != TFN_ROW_VERSION || (row[AT_FLAGS] & ~ALL_FLAGS) != 0 ||
        row[AT_RESERVED] != 0 || row[AT_RESERVED + 1] != 0) {
        return TFN_FAIL(err, TFN_CORRUPT, "online row: version %u and flags %u do not exist",
                        (unsigned)row[AT_VERSION], (unsigned)row[AT_FLAGS]);
    }
    if (id != schema->id) {
        return TFN_FAIL(err, TFN_CORRUPT, "online row: schema %u, expected %u", (unsigned)id,
                        (unsigned)schema->id);
    }
    const uint64_t n_key = tfn__get_u32(row + AT_KEY_BYTES);
    if (tfn__get_u32(row + AT_TOTAL_BYTES) != bytes.n || bytes.n < schema->fixed_bytes + n_key ||
        (n_key > 0) != ((row[AT_FLAGS] & HAS_FULL_KEY) != 0)) {
        return TFN_FAIL(err, TFN_CORRUPT,
                        "online row: %zu bytes found, %u written, %u of them fixed and %u key",
                        bytes.n, (unsigned)tfn__get_u32(row + AT_TOTAL_BYTES),
                        (unsigned)schema->fixed_bytes, (unsigned)n_key);
    }
    if (tfn__get_u32(row + AT_EVENT_NANOS) > MAX_NANOS ||
        tfn__get_u32(row + AT_CREATED_NANOS) > MAX_NANOS) {
        return TFN_FAIL(err, TFN_CORRUPT, "online row: a time has over 999999999 nanoseconds");
    }
    return TFN_OK;
}

static tfn_code check_variable(const tfn_row_schema *schema, tfn_str bytes, tfn_error *err)
{
    const uint8_t *row = (const uint8_t *)bytes.p;
    const uint64_t begin = schema->fixed_bytes + (uint64_t)tfn__get_u32(row + AT_KEY_BYTES);
    for (uint32_t k = 0; k < schema->n_variable; k++) {
        const uint32_t i = schema->variable[k];
        const uint64_t at = tfn__get_u32(row + schema->slots[i].offset);
        const uint64_t n = tfn__get_u32(row + schema->slots[i].offset + 4);
        if (!tfn_row_is_null(row, i) && (at < begin || at + n > bytes.n)) {
            return TFN_FAIL(err, TFN_CORRUPT,
                            "online row: feature '%.*s' is said to be bytes %llu to %llu of %zu",
                            TFN_STR_ARG(schema->fields[i].name), (unsigned long long)at,
                            (unsigned long long)(at + n), bytes.n);
        }
    }
    return TFN_OK;
}

tfn_code tfn_row_open(const tfn_row_schema *schema, tfn_str bytes, tfn_row *out, tfn_error *err)
{
    *out = (tfn_row){.created = TFN_INSTANT_NONE};
    TFN_RETURN_IF_ERROR(check_header(schema, bytes, err));
    TFN_RETURN_IF_ERROR(check_variable(schema, bytes, err));
    const uint8_t *row = (const uint8_t *)bytes.p;
    out->schema = schema;
    out->bytes = row;
    out->n_bytes = bytes.n;
    out->event = event_of(row);
    out->created = created_of(row);
    if ((row[AT_FLAGS] & HAS_FULL_KEY) != 0) {
        out->full_key = (tfn_str){bytes.p + schema->fixed_bytes, tfn__get_u32(row + AT_KEY_BYTES)};
    }
    return TFN_OK;
}
