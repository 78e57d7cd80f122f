/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Statistics of a join that was done in parts.
 *
 * Parts follow each other, so what they held in memory does not add up: bytes, and with them groups
 * and slots, are those of the largest part. What was read and found does.
 */

#include "offline/offline.h"

#include "base/poison.h"

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void add_scan(tfn_scan_stats *sum, const tfn_scan_stats *more)
{
    sum->n_files = most(sum->n_files, more->n_files);
    sum->n_rows += more->n_rows;
    sum->n_rows_in_files = most(sum->n_rows_in_files, more->n_rows_in_files);
    sum->n_bytes_in_files = most(sum->n_bytes_in_files, more->n_bytes_in_files);
    sum->seconds += more->seconds;
}

void tfn_join_stats_add(tfn_join_stats *sum, const tfn_join_stats *more)
{
    sum->two_step = more->two_step;
    sum->n_spine_rows += more->n_spine_rows;
    sum->n_spine_rows_without_key += more->n_spine_rows_without_key;
    sum->n_spine_rows_matched += more->n_spine_rows_matched;
    sum->n_groups = most(sum->n_groups, more->n_groups);
    sum->n_slots = most(sum->n_slots, more->n_slots);
    sum->n_winners += more->n_winners;
    sum->n_rows_read += more->n_rows_read;
    sum->n_rows_without_time += more->n_rows_without_time;
    sum->n_rows_infinite_time += more->n_rows_infinite_time;
    sum->n_rows_without_key += more->n_rows_without_key;
    sum->n_rows_not_known += more->n_rows_not_known;
    sum->n_rows_without_match += more->n_rows_without_match;
    sum->n_rows_too_late += more->n_rows_too_late;
    sum->n_rows_expired += more->n_rows_expired;
    sum->n_rows_eligible += more->n_rows_eligible;
    sum->n_rows_saturated += more->n_rows_saturated;
    sum->bytes_index = most(sum->bytes_index, more->bytes_index);
    sum->bytes_slots = most(sum->bytes_slots, more->bytes_slots);
    sum->bytes_values = most(sum->bytes_values, more->bytes_values);
    add_scan(&sum->scans[0], &more->scans[0]);
    add_scan(&sum->scans[1], &more->scans[1]);
    sum->n_slots_looked_at += more->n_slots_looked_at;
    sum->n_slots_won += more->n_slots_won;
    sum->n_slots_expired += more->n_slots_expired;
    sum->n_slots_created_later += more->n_slots_created_later;
    sum->seconds_index += more->seconds_index;
    sum->seconds_scan += more->seconds_scan;
    sum->seconds_walk += more->seconds_walk;
    sum->seconds_values += more->seconds_values;
    sum->seconds_output += more->seconds_output;
}
