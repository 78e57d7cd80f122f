/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The two names of a type: Feast's number and our text. Numbers are places in the table, as Feast
 * gives them out one after the other; a number that no text stands at has no type of ours (nested
 * lists, maps of scalars, zoned times, pictures). Dates are read back as timestamps, as Feast has
 * no number for them: the one pair that does not come back as it went.
 *
 * Cost: one step from number to text, at most as many comparisons as there are types back.
 */

#include "registry/feast_types.h"

#include <stddef.h>

#include "base/poison.h"

enum { TIMESTAMP = 8 };

static const char *const texts[] = {
    [1] = "bytes",
    [2] = "string",
    [3] = "int32",
    [4] = "int64",
    [5] = "float64",
    [6] = "float32",
    [7] = "bool",
    [TIMESTAMP] = "timestamp",
    [11] = "array<bytes>",
    [12] = "array<string>",
    [13] = "array<int32>",
    [14] = "array<int64>",
    [15] = "array<float64>",
    [16] = "array<float32>",
    [17] = "array<bool>",
    [18] = "array<timestamp>",
    [20] = "map",
    [21] = "array<map>",
    [22] = "set<bytes>",
    [23] = "set<string>",
    [24] = "set<int32>",
    [25] = "set<int64>",
    [26] = "set<float64>",
    [27] = "set<float32>",
    [28] = "set<bool>",
    [29] = "set<timestamp>",
    [32] = "json",
    [33] = "array<json>",
    [34] = "struct",
    [35] = "array<struct>",
    [36] = "uuid",
    [37] = "time_uuid",
    [38] = "array<uuid>",
    [39] = "array<time_uuid>",
    [40] = "set<uuid>",
    [41] = "set<time_uuid>",
    [44] = "decimal",
    [45] = "array<decimal>",
    [46] = "set<decimal>",
};

enum { N_TEXTS = sizeof texts / sizeof texts[0] };

/* Types of ours that share a number with another. */
static const struct {
    const char *text;
    int number;
} others[] = {
    {"date", TIMESTAMP},
    {"array<date>", TIMESTAMP + 10},
    {"set<date>", TIMESTAMP + 21},
};

const char *tfn__feast_type_text(int value_type)
{
    return value_type < 0 || value_type >= N_TEXTS ? NULL : texts[value_type];
}

int tfn__feast_type_number(tfn_str text)
{
    for (int i = 0; i < N_TEXTS; i++) {
        if (texts[i] != NULL && tfn_str_is(text, texts[i])) {
            return i;
        }
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (tfn_str_is(text, others[i].text)) {
            return others[i].number;
        }
    }
    return 0;
}
