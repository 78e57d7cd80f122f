/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_TEST_ONLINE_FIXTURE_H
#define TFN_TEST_ONLINE_FIXTURE_H

/*
 * A store in a folder of its own, and short ways to write and read rows of one simple view.
 * Include after cmocka.h.
 */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "column/cell.h"
#include "online/lmdb.h"

typedef struct test_folder {
    char root[256];  /* made by mkdtemp */
    char store[300]; /* root/data/online: not there yet */
} test_folder;

static inline tfn_str text(const char *s)
{
    return tfn_str_of(s);
}

static inline void folder_make(test_folder *f)
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(f->root, sizeof f->root, "%s/tiffin-online-XXXXXX",
                   base != NULL && strlen(base) < 200 ? base : P_tmpdir);
    assert_non_null(mkdtemp(f->root));
    const size_t n = strlen(f->root);
    memcpy(f->store, f->root, n);
    memcpy(f->store + n, "/data/online", sizeof "/data/online");
}

static inline void remove_in(const char *folder, const char *name)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    (void)remove(path);
}

/* Files by which loads take turns. */
static inline void remove_turns(const char *store)
{
    DIR *folder = opendir(store);
    const struct dirent *entry = folder != NULL ? readdir(folder) : NULL;
    while (entry != NULL) {
        if (strncmp(entry->d_name, ".load-", 6) == 0 || strncmp(entry->d_name, ".turn-", 6) == 0) {
            remove_in(store, entry->d_name);
        }
        entry = readdir(folder);
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
}

static inline void store_remove(const char *store)
{
    remove_turns(store);
    remove_in(store, "data.mdb");
    remove_in(store, "lock.mdb");
    (void)rmdir(store);
}

static inline void folder_remove(const test_folder *f)
{
    store_remove(f->store);
    remove_in(f->root, "data");
    assert_int_equal(rmdir(f->root), 0);
}

static inline void write_file(const char *path, const void *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        fail_msg("'%s' cannot be written", path);
        return;
    }
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

#define ASSERT_OK(expr, err)                                                                       \
    do {                                                                                           \
        if ((expr) != TFN_OK) {                                                                    \
            fail_msg("%s", (err).message);                                                         \
            abort(); /* (never reached: for checkers, which do not know fail_msg) */               \
        }                                                                                          \
    } while (0)

#define ASSERT_FAILS(expr, want, fragment, err)                                                    \
    do {                                                                                           \
        (err) = (tfn_error){0};                                                                    \
        assert_int_equal((expr), (want));                                                          \
        assert_int_equal((err).code, (want));                                                      \
        if (strstr((err).message, (fragment)) == NULL) {                                           \
            fail_msg("'%s' is not in '%s'", (fragment), (err).message);                            \
        }                                                                                          \
    } while (0)

/* ---- one view of (value int64, label string) under int keys ---- */

static const tfn_row_field two_fields[2] = {
    {{"value", 5}, {.kind = TFN_KIND_INT64}},
    {{"label", 5}, {.kind = TFN_KIND_STRING}},
};

static const tfn_instant no_time = {INT64_MIN, 0};

static inline tfn_instant at(int64_t seconds)
{
    return (tfn_instant){seconds, 0};
}

/* An encoded int64 key; `to` holds 9 bytes. */
static inline tfn_str key_of(int64_t id, char to[9])
{
    const uint64_t flipped = (uint64_t)id ^ ((uint64_t)1 << 63);
    to[0] = TFN_KIND_INT64;
    for (int i = 0; i < 8; i++) {
        to[1 + i] = (char)(uint8_t)(flipped >> (56 - 8 * i));
    }
    return (tfn_str){to, 9};
}

static inline tfn_lmdb *store_open(const test_folder *f, tfn_online_mode mode)
{
    tfn_error err = {0};
    tfn_lmdb *online = NULL;
    ASSERT_OK(tfn_lmdb_open(f->store, mode, &online, &err), err);
    return online;
}

static inline tfn_lmdb_write *write_begin(tfn_lmdb *online, const char *view)
{
    tfn_error err = {0};
    tfn_lmdb_write *w = NULL;
    ASSERT_OK(tfn_lmdb_begin_write(online, text("p"), text(view), two_fields, 2, &w, &err), err);
    return w;
}

static inline tfn_online_outcome put(tfn_lmdb_write *w, int64_t id, int64_t value,
                                     const char *label, tfn_instant event, tfn_instant created)
{
    tfn_error err = {0};
    tfn_online_outcome outcome = TFN_ONLINE_WRITTEN;
    char key[9];
    const tfn_cell cells[2] = {
        {.bits = (uint64_t)value},
        {.is_null = label == NULL, .bytes = tfn_str_of(label)},
    };
    ASSERT_OK(tfn_lmdb_put(w, key_of(id, key), cells, event, created, &outcome, &err), err);
    return outcome;
}

static inline void commit(tfn_lmdb_write *w)
{
    tfn_error err = {0};
    ASSERT_OK(tfn_lmdb_commit(w, &err), err);
}

static inline tfn_online_outcome put_alone(tfn_lmdb *online, const char *view, int64_t id,
                                           int64_t value, tfn_instant event, tfn_instant created)
{
    tfn_lmdb_write *w = write_begin(online, view);
    const tfn_online_outcome outcome = put(w, id, value, "x", event, created);
    commit(w);
    return outcome;
}

static inline tfn_lmdb_read read_begin(tfn_lmdb *online)
{
    tfn_error err = {0};
    tfn_lmdb_read read;
    ASSERT_OK(tfn_lmdb_begin_read(online, &read, &err), err);
    return read;
}

static inline uint32_t live(const tfn_lmdb_read *read, const char *view)
{
    tfn_error err = {0};
    uint32_t generation = 0;
    ASSERT_OK(tfn_lmdb_get_live(read, text("p"), text(view), &generation, &err), err);
    return generation;
}

static inline bool find(const tfn_lmdb_read *read, const char *view, int64_t id, tfn_row *row)
{
    tfn_error err = {0};
    bool found = false;
    char key[9];
    ASSERT_OK(tfn_lmdb_get(read, live(read, view), key_of(id, key), row, &found, &err), err);
    return found;
}

static inline int64_t value_in(const tfn_row *row)
{
    tfn_cell cell;
    tfn_row_get(row, 0, &cell);
    assert_false(cell.is_null);
    return (int64_t)cell.bits;
}

enum { NO_ROW = -999 };

/* `value` of a key now, or NO_ROW. */
static inline int64_t value_now(tfn_lmdb *online, const char *view, int64_t id)
{
    tfn_lmdb_read read = read_begin(online);
    tfn_row row;
    const int64_t value = find(&read, view, id, &row) ? value_in(&row) : NO_ROW;
    tfn_lmdb_end_read(&read);
    return value;
}

static inline uint64_t count_now(tfn_lmdb *online, const char *view)
{
    tfn_error err = {0};
    tfn_lmdb_read read = read_begin(online);
    uint64_t n_rows = 0;
    ASSERT_OK(tfn_lmdb_count(&read, text("p"), text(view), &n_rows, &err), err);
    tfn_lmdb_end_read(&read);
    return n_rows;
}

#endif
