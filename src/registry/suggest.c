/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * Names in sentences, and what to say about one that does not exist.
 *
 * Near means: the number of inserted, dropped, changed or swapped characters (bytes, without case)
 * is at most a third of the name, and at least one is allowed. Names longer than MAX_COMPARED bytes
 * are never near, which bounds the work per name.
 */

#include "registry/registry_internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/poison.h"

enum {
    MAX_COMPARED = 64,
    MAX_SHOWN = 3,
    MAX_NAME_SHOWN = 100 /* bytes of a name in a sentence */
};

void tfn__name_format(tfn_str name, char text[TFN__SUBJECT_BYTES])
{
    size_t n = name.n;
    if (n > MAX_NAME_SHOWN) {
        n = MAX_NAME_SHOWN;
        while (n > 0 && ((unsigned char)name.p[n] & 0xC0u) == 0x80u) {
            n--;
        }
    }
    (void)snprintf(text, TFN__SUBJECT_BYTES, "'%.*s%s'", (int)n, name.p == NULL ? "" : name.p,
                   n < name.n ? "..." : "");
}

void tfn__subject_format(tfn_object_kind kind, tfn_str name, char text[TFN__SUBJECT_BYTES])
{
    char quoted[TFN__SUBJECT_BYTES];
    tfn__name_format(name, quoted);
    (void)snprintf(text, TFN__SUBJECT_BYTES, "%s %.*s", tfn_object_kind_words(kind),
                   TFN__SUBJECT_BYTES - 32, quoted);
}

static int fold(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : (unsigned char)c;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* Edits between two names (optimal string alignment), by three rows of the usual table. */
static int distance_between(tfn_str a, tfn_str b)
{
    int rows[3][MAX_COMPARED + 1];
    for (size_t j = 0; j <= b.n; j++) {
        rows[0][j] = (int)j;
    }
    for (size_t i = 1; i <= a.n; i++) {
        int *row = rows[i % 3];
        const int *above = rows[(i + 2) % 3];
        const int *above2 = rows[(i + 1) % 3];
        row[0] = (int)i;
        for (size_t j = 1; j <= b.n; j++) {
            const bool same = fold(a.p[i - 1]) == fold(b.p[j - 1]);
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + (same ? 0 : 1));
            const bool is_swap = i > 1 && j > 1 && fold(a.p[i - 1]) == fold(b.p[j - 2]) &&
                                 fold(a.p[i - 2]) == fold(b.p[j - 1]);
            if (is_swap) {
                row[j] = least(row[j], above2[j - 2] + 1);
            }
        }
    }
    return rows[a.n % 3][b.n];
}

typedef struct near_names {
    tfn_str names[MAX_SHOWN];
    int distances[MAX_SHOWN];
    size_t n;
} near_names;

static void consider(near_names *near, tfn_str name, int distance)
{
    size_t i = near->n;
    while (i > 0 && near->distances[i - 1] > distance) {
        i--;
    }
    if (i >= MAX_SHOWN) {
        return;
    }
    const size_t n_kept = near->n < MAX_SHOWN ? near->n : MAX_SHOWN - 1;
    for (size_t j = n_kept; j > i; j--) {
        near->names[j] = near->names[j - 1];
        near->distances[j] = near->distances[j - 1];
    }
    near->names[i] = name;
    near->distances[i] = distance;
    near->n = n_kept + 1;
}

/* "'a', 'b' or 'c'" after what is in `text`. */
static void add_names(char *text, const tfn_str *names, size_t n, const char *last_word)
{
    for (size_t i = 0; i < n; i++) {
        char quoted[TFN__SUBJECT_BYTES];
        tfn__name_format(names[i], quoted);
        const size_t used = strlen(text);
        const char *between = i == 0 ? "" : i + 1 == n ? last_word : ", ";
        /* A name that does not fit whole is left out. */
        if (used + strlen(between) + strlen(quoted) + 16 < TFN__HINT_BYTES) {
            (void)snprintf(text + used, TFN__HINT_BYTES - used, "%s%s", between, quoted);
        }
    }
}

void tfn__hint_format(tfn_str wanted, tfn__name_fn get, const void *context, size_t n,
                      char text[TFN__HINT_BYTES])
{
    text[0] = '\0';
    if (n == 0) {
        (void)snprintf(text, TFN__HINT_BYTES, "; there are none");
        return;
    }
    near_names near = {0};
    const int allowed = wanted.n < 6 ? 1 + (wanted.n > 3) : (int)(wanted.n / 3);
    for (size_t i = 0; i < n && wanted.n <= MAX_COMPARED; i++) {
        const tfn_str name = get(context, i);
        const int distance = name.n <= MAX_COMPARED ? distance_between(wanted, name) : MAX_COMPARED;
        if (distance <= allowed) {
            consider(&near, name, distance);
        }
    }
    assert(near.n <= MAX_SHOWN);
    if (near.n > 0) {
        (void)snprintf(text, TFN__HINT_BYTES, "; did you mean ");
        add_names(text, near.names, near.n, " or ");
        (void)snprintf(text + strlen(text), TFN__HINT_BYTES - strlen(text), "?");
        return;
    }
    tfn_str first[MAX_SHOWN];
    const size_t n_shown = n < MAX_SHOWN ? n : MAX_SHOWN;
    for (size_t i = 0; i < n_shown; i++) {
        first[i] = get(context, i);
    }
    (void)snprintf(text, TFN__HINT_BYTES, n == 1 ? "; there is " : "; there are ");
    add_names(text, first, n_shown, n > n_shown ? ", " : " and ");
    if (n > n_shown) {
        (void)snprintf(text + strlen(text), TFN__HINT_BYTES - strlen(text), " and %zu more",
                       n - n_shown);
    }
}
