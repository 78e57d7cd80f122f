/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * The yardstick of lookups: LMDB alone, in C, reading the rows that a lookup reads.
 *
 *   raw_gets FOLDER DATABASE KEYS N_BATCHES
 *
 * KEYS is a file of encoded keys, each behind its length (u32, little endian), in the order asked.
 * It is cut into N_BATCHES batches of equal size. A batch is one read transaction, renewed, and one
 * mdb_get a key; of each value one byte of every cache line is read, as whoever decodes the row
 * will. Nothing else is timed. Prints one line of JSON: median and 99th percentile of a batch in
 * microseconds, and how many keys were found.
 *
 * Linked with LMDB and the C library only: no line of Tiffin takes part.
 */

#include <lmdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CACHE_LINE_BYTES = 64, MAX_DATABASES = 8 };

typedef struct keys {
    unsigned char *bytes;
    MDB_val *keys;
    size_t n;
} keys;

static void fail(const char *what, const char *why)
{
    (void)fprintf(stderr, "raw_gets: %s: %s\n", what, why);
    exit(1);
}

static void check(int rc, const char *what)
{
    if (rc != 0) {
        fail(what, mdb_strerror(rc));
    }
}

static void *allocate(size_t n, size_t size)
{
    void *p = calloc(n > 0 ? n : 1, size);
    if (p == NULL) {
        fail("memory", "none is left");
    }
    return p;
}

static uint32_t length_at(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static keys read_keys(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        fail(path, "cannot be read");
    }
    const long n_bytes = ftell(file);
    rewind(file);
    keys all = {.bytes = allocate((size_t)n_bytes, 1)};
    if (fread(all.bytes, 1, (size_t)n_bytes, file) != (size_t)n_bytes) {
        fail(path, "cannot be read");
    }
    (void)fclose(file);
    const size_t n_most = (size_t)n_bytes / sizeof(uint32_t);
    all.keys = allocate(n_most, sizeof *all.keys);
    for (size_t at = 0; at + sizeof(uint32_t) <= (size_t)n_bytes;) {
        const size_t n = length_at(all.bytes + at);
        at += sizeof(uint32_t);
        if (n > (size_t)n_bytes - at) {
            fail(path, "the last key is cut short");
        }
        all.keys[all.n++] = (MDB_val){n, all.bytes + at};
        at += n;
    }
    return all;
}

static double now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* One batch; `touched` keeps the reads from being optimised away. */
static size_t get_all(MDB_txn *txn, MDB_dbi rows, MDB_val *batch, size_t n, uint64_t *touched)
{
    size_t n_found = 0;
    for (size_t i = 0; i < n; i++) {
        MDB_val value;
        const int rc = mdb_get(txn, rows, &batch[i], &value);
        if (rc == MDB_NOTFOUND) {
            continue;
        }
        check(rc, "mdb_get");
        const unsigned char *bytes = value.mv_data;
        for (size_t k = 0; k < value.mv_size; k += CACHE_LINE_BYTES) {
            *touched += bytes[k];
        }
        *touched += value.mv_size > 0 ? bytes[value.mv_size - 1] : 0;
        n_found++;
    }
    return n_found;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fail("usage", "raw_gets FOLDER DATABASE KEYS N_BATCHES");
    }
    const keys all = read_keys(argv[3]);
    const size_t n_batches = strtoul(argv[4], NULL, 10);
    const size_t n_rows = n_batches > 0 ? all.n / n_batches : 0;
    if (n_rows == 0) {
        fail(argv[4], "there are not that many batches of keys");
    }
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    MDB_dbi rows = 0;
    check(mdb_env_create(&env), "environment");
    check(mdb_env_set_maxdbs(env, MAX_DATABASES), "environment");
    check(mdb_env_open(env, argv[1], MDB_RDONLY | MDB_NORDAHEAD, 0), argv[1]);
    check(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), "transaction");
    check(mdb_dbi_open(txn, argv[2], 0, &rows), argv[2]);
    check(mdb_txn_commit(txn), "transaction");
    check(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), "transaction");
    mdb_txn_reset(txn);
    double *spent_us = allocate(n_batches, sizeof *spent_us);
    uint64_t touched = 0;
    size_t n_found = 0;
    for (size_t i = 0; i < n_batches; i++) {
        const double start_us = now_us();
        check(mdb_txn_renew(txn), "transaction");
        n_found += get_all(txn, rows, all.keys + i * n_rows, n_rows, &touched);
        mdb_txn_reset(txn);
        spent_us[i] = now_us() - start_us;
    }
    qsort(spent_us, n_batches, sizeof *spent_us, compare);
    const size_t i_p99 = n_batches * 99 / 100;
    (void)printf("{\"median\": %.3f, \"p99\": %.3f, \"found\": %zu, \"touched\": %llu}\n",
                 spent_us[n_batches / 2], spent_us[i_p99 < n_batches ? i_p99 : n_batches - 1],
                 n_found, (unsigned long long)touched);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    free(spent_us);
    free(all.keys);
    free(all.bytes);
    return 0;
}
