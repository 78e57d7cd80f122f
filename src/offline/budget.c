/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * What a training set needs in memory.
 *
 *   limit >= reader + own + rows x (indexes + work of the largest view + answers)
 *
 *   index     kept: slot number and time, and the table of keys as if every row had its own
 *   work      one view at a time: slots, winners and their positions, then records and texts; or,
 *             before that, what sorting an index takes. The steps follow each other, so the largest
 *             counts (join.c, invariant 3)
 *   answers   of all views
 *
 * Keys that repeat and rows that share a winner make it less; nothing but long texts makes it more.
 * So a part is never too large but for texts, and after each part tfn_budget_learn says what rows
 * really take.
 */

#include "offline/budget.h"

#include "offline/radix.h"
#include "offline/slots.h"

#include "base/poison.h"

enum {
    MB = 1 << 20,
    READER_LEAST_BYTES = 16 * MB, /* measured: decision 010 */
    READER_BYTES = 256 * MB,
    READER_THREAD_BYTES = 128 * MB,
    OWN_BYTES = 2 * MB,           /* names, plans, the sample of parts.c, write buffer of spool.c */
    OWN_THREAD_BYTES = 256 << 10, /* a chunk's keys, times and groups */
    TEXT_BYTES = 64,
    TEXT_KEY_BYTES = 32,
    INDEX_ROW_BYTES = 12,  /* row_slot, times */
    TABLE_KEY_BYTES = 48,  /* buckets at most half full, hash, begin, and room to grow */
    BUILD_ROW_BYTES = 44,  /* row_time, two entries, place */
    ANSWER_ROW_BYTES = 12, /* answer, position */
    /* Slot, answer, winner; later both winners and the scratch they are sorted with. */
    WALK_ROW_BYTES = (int)(sizeof(tfn__slot) + 4 + sizeof(tfn__entry))
};

static bool is_text(tfn_type type)
{
    return type.is_list || type.kind == TFN_KIND_STRING || type.kind == TFN_KIND_BYTES;
}

static int64_t key_bytes(const tfn_join_view *view)
{
    int64_t n = 0;
    for (size_t i = 0; i < view->n_keys; i++) {
        const tfn_type type = view->key_types[i];
        n += is_text(type) ? TEXT_KEY_BYTES : (int64_t)tfn_type_width(type) + 1;
    }
    return n;
}

/* Of one winner; values.c has the layout. */
static int64_t record_bytes(const tfn_join_view *view)
{
    int64_t n = 0;
    for (size_t i = 0; i < view->n_features; i++) {
        n += is_text(view->feature_types[i]) ? 16 + 1 + TEXT_BYTES : 8 + 1;
    }
    return (n + 7) / 8 * 8;
}

static int64_t output_bytes(const tfn_join_view *view)
{
    int64_t n_bits = 0;
    for (size_t i = 0; i < view->n_features; i++) {
        const tfn_type type = view->feature_types[i];
        const int64_t n = is_text(type) ? 4 + TEXT_BYTES : (int64_t)tfn_type_width(type);
        n_bits += 8 * n + 1;
    }
    return (n_bits + 7) / 8;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

tfn_budget tfn_budget_of(const tfn_budget_view *views, size_t n_views, size_t n_indexes,
                         int64_t limit_bytes, int n_threads)
{
    int64_t index = 0;
    int64_t work = BUILD_ROW_BYTES;
    int64_t output = 0;
    int64_t copy = 8 + 4; /* of a part by time: its times and row numbers */
    size_t n_seen = 0;
    for (size_t i = 0; i < n_views && n_views > 0; i++) {
        const tfn_join_view *view = views[i].join;
        if (views[i].i_index >= n_seen && n_seen < n_indexes) {
            index += INDEX_ROW_BYTES + TABLE_KEY_BYTES + key_bytes(view) * 3 / 2;
            copy += key_bytes(view);
            n_seen++;
        }
        work = most(work, most(WALK_ROW_BYTES, ANSWER_ROW_BYTES + record_bytes(view)));
        output += output_bytes(view);
    }
    tfn_budget b = {.limit_bytes = limit_bytes,
                    .row_bytes = index + work + output,
                    .part_row_more_bytes = most(output, copy)};
    b.part_row_bytes = b.row_bytes + b.part_row_more_bytes;
    const int64_t usual = READER_BYTES + (int64_t)n_threads * READER_THREAD_BYTES;
    b.usual_reader_bytes = usual;
    b.reader_bytes =
        limit_bytes == 0 ? usual : least(usual, most(limit_bytes / 2, READER_LEAST_BYTES));
    b.fixed_bytes = b.reader_bytes + OWN_BYTES + (int64_t)n_threads * OWN_THREAD_BYTES;
    return b;
}

int64_t tfn_budget_get_part_rows(const tfn_budget *b)
{
    const int64_t n = (b->limit_bytes - b->fixed_bytes) / b->part_row_bytes;
    return n > 0 ? n : 0;
}

bool tfn_budget_fits(const tfn_budget *b, int64_t n_rows)
{
    int64_t n_bytes = 0;
    return b->limit_bytes == 0 || (!__builtin_mul_overflow(n_rows, b->row_bytes, &n_bytes) &&
                                   n_bytes <= b->limit_bytes - b->fixed_bytes);
}

int64_t tfn_budget_get_least_limit(const tfn_budget *b, int64_t n_rows)
{
    const int64_t own_bytes = b->fixed_bytes - b->reader_bytes;
    const int64_t need = own_bytes + least(n_rows, TFN_BUDGET_LEAST_ROWS) * b->part_row_bytes;
    if (need <= READER_LEAST_BYTES) {
        return READER_LEAST_BYTES + need;
    }
    return least(2 * need, b->usual_reader_bytes + need);
}

void tfn_budget_use_view(tfn_budget_use *use, const tfn_join_stats *stats)
{
    const int64_t walk = stats->n_slots * WALK_ROW_BYTES;
    const int64_t values = stats->bytes_values + stats->n_slots * ANSWER_ROW_BYTES;
    const int64_t one_step = stats->two_step ? 0 : stats->bytes_slots;
    use->work_bytes = most(use->work_bytes, most(walk, values + one_step));
    use->index_bytes = most(use->index_bytes, stats->bytes_index);
}

void tfn_budget_learn(tfn_budget *b, const tfn_budget_use *use)
{
    if (use->n_rows <= 0) {
        return;
    }
    const int64_t work = most(use->work_bytes, use->n_rows * BUILD_ROW_BYTES);
    const int64_t used = use->index_bytes + work + use->output_bytes;
    const int64_t per_row = used / use->n_rows + used / use->n_rows / 8 + 1; /* an eighth: waste */
    const int64_t output = use->output_bytes / use->n_rows + 1;
    b->part_row_more_bytes = most(b->part_row_more_bytes, output);
    /* A part of few keys or texts says little of the next: never down to less than a half. */
    b->part_row_bytes = most(per_row + b->part_row_more_bytes, b->part_row_bytes / 2);
}
