/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_TESTS_HISTORY_H
#define TFN_TESTS_HISTORY_H

/*
 * Random histories: a few entity rows and a few source rows, made so that everything that can go
 * wrong in a point-in-time join is likely - equal times, equal created times, times a unit apart
 * from t and t - ttl, nulls, keys on one side only, units that differ, ends of the range.
 *
 * A history has two faces: Arrow columns for the engine (through arrow_make.h), and model_rows for
 * the model. Feature 0 is the row's own number, so an answer says which row won.
 */

#include <inttypes.h>

#include "model/model_join.h"
#include "prop/rng.h"
#include "unit/arrow_make.h"

enum {
    MAX_ROWS = 64,
    MAX_PARTS = 3,
    MAX_FEATURES = 5,
    MAX_POOL = 12,
    MAX_COLS = MAX_PARTS + 2 + MAX_FEATURES,
    UNIT_DATE = 4 /* behind tfn_unit's: a date column */
};

/* Values of one key part, of one kind; one index = one value, whatever the width. */
typedef struct part_kind {
    const char *type;   /* declared */
    const char *format; /* Arrow, in the spine and, if `other` is NULL, in the source */
    const char *other;  /* another format that may be read as the declared type */
    unsigned n_values;
} part_kind;

static const part_kind PART_KINDS[] = {
    {"int64", "l", NULL, 4},
    {"int64", "l", "s", 3},
    {"int64", "g", "l", 3},
    {"int32", "i", "l", 3},
    {"string", "u", "U", 4},
    {"bytes", "z", "Z", 4},
    {"bool", "b", NULL, 2},
    {"date", "tdD", NULL, 3},
    {"timestamp", "tsu:UTC", "tss:UTC", 3},
    {"int32", "c", "i", 3},
    {"timestamp", "tsn:", "tsm:UTC", 3},
};

/* A feature column as it lies in the source, and as what it is declared. */
typedef struct feature_kind {
    const char *type;
    const char *format;
    const char *item;
} feature_kind;

static const feature_kind FEATURE_KINDS[] = {
    {"bool", "b", NULL},
    {"int32", "i", NULL},
    {"int32", "c", NULL},
    {"int64", "i", NULL},
    {"int64", "l", NULL},
    {"float32", "f", NULL},
    {"float64", "g", NULL},
    {"float64", "f", NULL},
    {"float32", "g", NULL},
    {"float64", "l", NULL},
    {"string", "u", NULL},
    {"string", "U", NULL},
    {"bytes", "z", NULL},
    {"date", "tdD", NULL},
    {"timestamp", "tsn:UTC", NULL},
    {"timestamp", "tsu:UTC", NULL},
    {"timestamp", "tdD", NULL},
    {"int32", "l", NULL},
    {"array<int64>", "+l", "l"},
    {"array<string>", "+l", "u"},
    {"array<float64>", "+L", "f"},
    {"string", "n", NULL},
    {"int64", "n", NULL},
};

typedef struct time_column {
    unsigned unit; /* tfn_unit, or UNIT_DATE */
    int64_t raw[MAX_ROWS];
    int32_t days[MAX_ROWS];
    uint8_t valid[MAX_ROWS];
} time_column;

/* One side of a history. */
typedef struct history_rows {
    int64_t n;
    int64_t batch_rows;
    unsigned parts[MAX_PARTS][MAX_ROWS]; /* value index of each key part */
    uint8_t part_valid[MAX_PARTS][MAX_ROWS];
    time_column time;
    time_column created;
    model_row model[MAX_ROWS];
} history_rows;

typedef struct history {
    uint64_t seed;
    unsigned n_parts;
    const part_kind *parts[MAX_PARTS];
    bool part_is_other[MAX_PARTS]; /* the source uses the other format */
    unsigned n_features;
    const feature_kind *features[MAX_FEATURES];
    uint64_t feature_seed;
    bool has_created;
    int64_t ttl_us;
    bool filter_by_created;
    bool has_known_at;
    model_time known_at;
    model_time pool[MAX_POOL]; /* instants that columns draw from */
    unsigned n_pool;
    history_rows spine;
    history_rows source;
} history;

/* ---- times ---- */

static const int64_t UNIT_NANOS[] = {1000000000, 1000000, 1000, 1, INT64_C(86400000000000)};

/* Largest value of a unit, in that unit; dates: far enough, and none that microseconds lose. */
static int64_t unit_limit(unsigned unit)
{
    return unit == UNIT_DATE ? 50000000 : INT64_MAX;
}

static int64_t raw_of(model_time t, unsigned unit)
{
    const model_time scale = UNIT_NANOS[unit];
    const model_time raw = t / scale - (t % scale < 0 ? 1 : 0);
    const int64_t limit = unit_limit(unit);
    if (raw > limit) {
        return limit;
    }
    return raw < -(model_time)limit ? -limit : (int64_t)raw;
}

/* What an engine's instant can hold. */
static model_time clamp_to_instant(model_time t)
{
    const model_time most = (model_time)INT64_MAX * 1000000000;
    if (t > most) {
        return most;
    }
    return t < -most ? -most : t;
}

static void make_pool(rng *r, history *h)
{
    static const int64_t bases_s[] = {0,          1600000000,  -2208988800,  32503680000,
                                      9223372036, -9223372037, -46000000000, 9223372036854};
    static const int64_t steps[] = {1, 1000, 1000000, 1000000000, INT64_C(3600000000000)};
    model_time base = (model_time)bases_s[rng_below(r, rng_percent(r, 70) ? 3 : 8)] * 1000000000;
    if (rng_percent(r, 3)) {
        base = (model_time)INT64_MAX * (rng_percent(r, 50) ? 1000000000 : 1000);
        base = rng_percent(r, 50) ? -base : base;
    }
    const model_time step = steps[rng_below(r, 5)];
    h->n_pool = 2 + (unsigned)rng_below(r, MAX_POOL - 2);
    for (unsigned i = 0; i < h->n_pool; i++) {
        const int64_t k = (int64_t)rng_below(r, 9) - 4;
        h->pool[i] = base + k * step;
        if (h->ttl_us > 0 && rng_percent(r, 40)) {
            const int64_t edge = (int64_t)rng_below(r, 3) - 1;
            h->pool[i] -= (model_time)h->ttl_us * 1000 + edge * step;
        }
    }
}

static void make_times(rng *r, const history *h, history_rows *rows, time_column *c,
                       unsigned null_percent)
{
    (void)rows;
    for (int64_t i = 0; i < rows->n; i++) {
        c->valid[i] = rng_percent(r, null_percent) ? 0 : 1;
        c->raw[i] = raw_of(h->pool[rng_below(r, h->n_pool)], c->unit);
        if (rng_percent(r, 1)) {
            c->raw[i] = rng_percent(r, 50) ? unit_limit(c->unit) : -unit_limit(c->unit);
        }
        c->days[i] = c->unit == UNIT_DATE ? (int32_t)c->raw[i] : 0;
    }
}

static unsigned make_unit(rng *r)
{
    static const unsigned units[] = {2, 2, 2, 3, 3, 0, 1, UNIT_DATE};
    return units[rng_below(r, 8)];
}

/* ---- rows ---- */

static void make_keys(rng *r, const history *h, history_rows *rows, unsigned null_percent)
{
    for (int64_t i = 0; i < rows->n; i++) {
        rows->model[i].key = 0;
        for (unsigned p = 0; p < h->n_parts; p++) {
            rows->parts[p][i] = (unsigned)rng_below(r, h->parts[p]->n_values);
            rows->part_valid[p][i] = rng_percent(r, null_percent) ? 0 : 1;
            if (rows->part_valid[p][i] == 0 || rows->model[i].key < 0) {
                rows->model[i].key = -1;
            } else {
                rows->model[i].key = rows->model[i].key * 8 + rows->parts[p][i];
            }
        }
    }
}

static void make_rows(rng *r, const history *h, history_rows *rows, bool is_spine)
{
    const uint64_t most = rng_percent(r, 5) ? 3 : MAX_ROWS;
    rows->n = (int64_t)rng_below(r, most);
    rows->batch_rows = rng_percent(r, 30) ? 0 : 1 + (int64_t)rng_below(r, 9);
    rows->time.unit = make_unit(r);
    rows->created.unit = make_unit(r);
    const unsigned null_percent = rng_percent(r, 50) ? 8 : 0;
    make_keys(r, h, rows, null_percent);
    make_times(r, h, rows, &rows->time, is_spine ? 0 : null_percent);
    make_times(r, h, rows, &rows->created, null_percent);
    for (int64_t i = 0; i < rows->n; i++) {
        model_row *m = &rows->model[i];
        m->has_time = rows->time.valid[i] != 0;
        m->time = (model_time)rows->time.raw[i] * UNIT_NANOS[rows->time.unit];
        m->has_created = h->has_created && rows->created.valid[i] != 0;
        m->created = (model_time)rows->created.raw[i] * UNIT_NANOS[rows->created.unit];
    }
}

static int64_t make_ttl(rng *r)
{
    static const int64_t ttls[] = {0,
                                   0,
                                   1,
                                   1000,
                                   1000000,
                                   INT64_C(3600000000),
                                   INT64_C(86400000000),
                                   INT64_C(12623040000000000),
                                   INT64_MAX};
    return ttls[rng_below(r, 9)];
}

__attribute__((unused)) static void history_make(uint64_t seed, history *h)
{
    rng r = {seed};
    memset(h, 0, sizeof *h);
    h->seed = seed;
    h->n_parts = rng_percent(&r, 5) ? 0 : rng_percent(&r, 70) ? 1 : 2 + (unsigned)rng_below(&r, 2);
    for (unsigned p = 0; p < h->n_parts; p++) {
        h->parts[p] = &PART_KINDS[rng_below(&r, sizeof PART_KINDS / sizeof PART_KINDS[0])];
        h->part_is_other[p] = h->parts[p]->other != NULL && rng_percent(&r, 50);
    }
    h->n_features = 1 + (unsigned)rng_below(&r, MAX_FEATURES);
    for (unsigned f = 1; f < h->n_features; f++) {
        h->features[f] =
            &FEATURE_KINDS[rng_below(&r, sizeof FEATURE_KINDS / sizeof FEATURE_KINDS[0])];
    }
    h->feature_seed = rng_next(&r);
    h->has_created = rng_percent(&r, 60);
    h->filter_by_created = h->has_created && rng_percent(&r, 40);
    h->has_known_at = h->has_created && rng_percent(&r, 30);
    h->ttl_us = make_ttl(&r);
    make_pool(&r, h);
    h->known_at = clamp_to_instant(h->pool[rng_below(&r, h->n_pool)]);
    make_rows(&r, h, &h->spine, true);
    make_rows(&r, h, &h->source, false);
}

/* Another view over the keys and entity rows of `h`: a source, ttl and filters of its own. */
__attribute__((unused)) static void history_make_other_view(const history *h, history *out)
{
    *out = *h;
    rng r = {h->seed ^ 0x9e3779b97f4a7c15};
    for (unsigned p = 0; p < h->n_parts; p++) {
        out->part_is_other[p] = h->parts[p]->other != NULL && rng_percent(&r, 50);
    }
    out->feature_seed = rng_next(&r);
    out->has_created = rng_percent(&r, 60);
    out->filter_by_created = out->has_created && rng_percent(&r, 40);
    out->has_known_at = out->has_created && h->has_known_at;
    out->ttl_us = make_ttl(&r);
    make_rows(&r, out, &out->source, false);
}

/* The view of `h` once more, by other columns of its entity rows. */
__attribute__((unused)) static void history_make_other_keys(const history *h, history *out)
{
    *out = *h;
    rng r = {h->seed ^ 0xc2b2ae3d27d4eb4f};
    make_keys(&r, out, &out->spine, rng_percent(&r, 50) ? 8 : 0);
}

/* ---- Arrow ---- */

/* Memory of the columns of one side while its stream is made. */
typedef struct history_columns {
    make_col cols[MAX_COLS];
    size_t n_cols;
    char names[MAX_COLS][16];
    int64_t numbers[MAX_COLS][MAX_ROWS * 4];
    make_bytes texts[MAX_COLS][MAX_ROWS * 4];
    uint8_t valid[MAX_COLS][MAX_ROWS];
    uint8_t item_valid[MAX_COLS][MAX_ROWS * 4];
    int32_t lengths[MAX_COLS][MAX_ROWS];
} history_columns;

static const make_bytes TEXTS[] = {{"", 0},
                                   {"a", 1},
                                   {"a\0b", 3},
                                   {"a\0", 2},
                                   {"\xc3\xa9", 2},
                                   {"\xff\x01", 2},
                                   {"a longer text that is not kept inline", 37}};

static void put_number(void *values, const char *format, int64_t i, int64_t value)
{
    switch (format[0]) {
    case 'b':
        ((uint8_t *)values)[i] = value & 1;
        break;
    case 'c':
        ((int8_t *)values)[i] = (int8_t)value;
        break;
    case 's':
        ((int16_t *)values)[i] = (int16_t)value;
        break;
    case 'i':
        ((int32_t *)values)[i] = (int32_t)value;
        break;
    case 'f':
        ((float *)values)[i] = (float)value;
        break;
    case 'g':
        ((double *)values)[i] = (double)value;
        break;
    default:
        if (strcmp(format, "tdD") == 0) {
            ((int32_t *)values)[i] = (int32_t)value;
        } else {
            ((int64_t *)values)[i] = value;
        }
    }
}

static int64_t key_number(const part_kind *kind, const char *format, unsigned index)
{
    static const int64_t wide[] = {0, -1, INT64_MAX, INT64_MIN};
    static const int64_t small[] = {0, -1, 7};
    if (format[0] == 't' && format[1] == 's') { /* whole seconds, in the unit */
        return small[index] * (1000000000 / UNIT_NANOS[format[2] == 's'   ? 0
                                                       : format[2] == 'm' ? 1
                                                       : format[2] == 'u' ? 2
                                                                          : 3]);
    }
    return kind->n_values == 4 ? wide[index] : small[index];
}

static make_col *add_col(history_columns *c, const char *name, const char *format)
{
    make_col *col = &c->cols[c->n_cols];
    (void)snprintf(c->names[c->n_cols], sizeof c->names[0], "%s", name);
    *col = (make_col){.name = c->names[c->n_cols],
                      .format = format,
                      .values = c->numbers[c->n_cols],
                      .valid = c->valid[c->n_cols]};
    c->n_cols++;
    return col;
}

static void add_keys(const history *h, const history_rows *rows, bool is_source, history_columns *c)
{
    for (unsigned p = 0; p < h->n_parts; p++) {
        const part_kind *kind = h->parts[p];
        const size_t at = c->n_cols;
        const char name[] = {'k', (char)('0' + p), '\0'};
        make_col *col =
            add_col(c, name, is_source && h->part_is_other[p] ? kind->other : kind->format);
        memcpy(c->valid[at], rows->part_valid[p], sizeof rows->part_valid[p]);
        for (int64_t i = 0; i < rows->n; i++) {
            if (strchr("uUzZ", col->format[0]) != NULL) {
                c->texts[at][i] = TEXTS[rows->parts[p][i]];
                col->values = c->texts[at];
                col->is_bytes = true;
            } else {
                put_number(c->numbers[at], col->format, i,
                           key_number(kind, col->format, rows->parts[p][i]));
            }
        }
    }
}

static void add_times(const char *name, const time_column *t, history_columns *c)
{
    static const char *const formats[] = {"tss:UTC", "tsm:UTC", "tsu:UTC", "tsn:UTC", "tdD"};
    const size_t at = c->n_cols;
    make_col *col = add_col(c, name, formats[t->unit]);
    col->values = t->unit == UNIT_DATE ? (const void *)t->days : (const void *)t->raw;
    memcpy(c->valid[at], t->valid, sizeof t->valid);
}

static void put_feature_item(rng *r, const char *format, history_columns *c, size_t at, int64_t i)
{
    if (strchr("uUzZ", format[0]) != NULL) {
        const size_t n_texts = sizeof TEXTS / sizeof TEXTS[0];
        c->texts[at][i] = TEXTS[rng_below(r, format[0] == 'z' ? n_texts : 2)];
    } else {
        put_number(c->numbers[at], format, i, (int64_t)rng_below(r, 200) - 100);
    }
}

static void add_feature(const history *h, unsigned f, int64_t n, history_columns *c)
{
    rng r = {h->feature_seed + f};
    const feature_kind *kind = h->features[f];
    const size_t at = c->n_cols;
    const char name[] = {'f', (char)('0' + f), '\0'};
    make_col *col = add_col(c, name, f == 0 ? "l" : kind->format);
    const bool is_list = col->format[0] == '+';
    const char *item = is_list ? kind->item : col->format;
    if (strchr("uUzZ", item[0]) != NULL) {
        col->values = c->texts[at];
        col->is_bytes = true;
    }
    col->item = item;
    col->item_valid = c->item_valid[at];
    col->lengths = c->lengths[at];
    int64_t n_items = 0;
    for (int64_t i = 0; i < n; i++) {
        c->valid[at][i] = f == 0 || !rng_percent(&r, 15);
        if (f == 0) {
            c->numbers[at][i] = i;
        } else if (!is_list) {
            put_feature_item(&r, item, c, at, i);
        } else {
            c->lengths[at][i] = c->valid[at][i] ? (int32_t)rng_below(&r, 4) : 0;
            for (int32_t k = 0; k < c->lengths[at][i]; k++, n_items++) {
                c->item_valid[at][n_items] = !rng_percent(&r, 20);
                put_feature_item(&r, item, c, at, n_items);
            }
        }
    }
}

/* Columns: t, k0 ..., and, unless it is NULL, the keys of `other` as k0 ... again: columns are told by
 * their index. */
__attribute__((unused)) static void history_make_spine(const history *h, const history *other,
                                                       struct ArrowArrayStream *out)
{
    history_columns c; /* large: what is used is written first */
    c.n_cols = 0;
    add_times("t", &h->spine.time, &c);
    add_keys(h, &h->spine, false, &c);
    if (other != NULL) {
        add_keys(other, &other->spine, false, &c);
    }
    make_stream(c.cols, c.n_cols, h->spine.n, h->spine.batch_rows, out);
}

/* Columns: f0 ..., k0 ..., ts, created. */
__attribute__((unused)) static void history_make_source(const history *h,
                                                        struct ArrowArrayStream *out)
{
    history_columns c; /* large: what is used is written first */
    c.n_cols = 0;
    for (unsigned f = 0; f < h->n_features; f++) {
        add_feature(h, f, h->source.n, &c);
    }
    add_keys(h, &h->source, true, &c);
    add_times("ts", &h->source.time, &c);
    if (h->has_created) {
        add_times("created", &h->source.created, &c);
    }
    make_stream(c.cols, c.n_cols, h->source.n, h->source.batch_rows, out);
}

/* ---- text ---- */

static void print_rows(FILE *to, const history *h, const history_rows *rows, const char *name)
{
    fprintf(to, "%s: %" PRId64 " rows, batches of %" PRId64 ", unit %u, created unit %u\n", name,
            rows->n, rows->batch_rows, rows->time.unit, rows->created.unit);
    for (int64_t i = 0; i < rows->n; i++) {
        fprintf(to, "  %" PRId64 ": key (", i);
        for (unsigned p = 0; p < h->n_parts; p++) {
            if (rows->part_valid[p][i] != 0) {
                fprintf(to, " %u", rows->parts[p][i]);
            } else {
                fprintf(to, " null");
            }
        }
        fprintf(to, " ) time ");
        fprintf(to, rows->time.valid[i] ? "%" PRId64 : "null", rows->time.raw[i]);
        fprintf(to, " created ");
        fprintf(to, rows->model[i].has_created ? "%" PRId64 "\n" : "null\n", rows->created.raw[i]);
    }
}

/* A history as text, for the file that a failure leaves. */
__attribute__((unused)) static void history_print(FILE *to, const history *h)
{
    fprintf(to, "seed %" PRIu64 "\nkeys", h->seed);
    for (unsigned p = 0; p < h->n_parts; p++) {
        fprintf(to, " %s (%s / %s)", h->parts[p]->type, h->parts[p]->format,
                h->part_is_other[p] ? h->parts[p]->other : h->parts[p]->format);
    }
    fprintf(to, "\nttl_us %" PRId64 " filter_by_created %d known_at %d at %" PRId64 " s\nfeatures",
            h->ttl_us, h->filter_by_created, h->has_known_at, (int64_t)(h->known_at / 1000000000));
    for (unsigned f = 1; f < h->n_features; f++) {
        fprintf(to, " %s (%s)", h->features[f]->type, h->features[f]->format);
    }
    fprintf(to, "\n");
    print_rows(to, h, &h->spine, "spine");
    print_rows(to, h, &h->source, "source");
}

#endif
