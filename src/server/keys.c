/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * API keys: an immutable table, published by one pointer, and replaced when the file changed.
 *
 * A check reads the pointer and takes no lock. What a replaced table needs is to outlive the checks
 * that began before: each check counts itself in and out of one of a few counters, chosen by its thread so
 * that threads do not share cache lines. Once every counter was seen at zero since the table was
 * replaced, no check can hold it, and the next refresh gives it back. A busy counter only delays that.
 *
 * A rate is kept as one number per key, the time at which its bucket would be full again (the generic
 * cell rate algorithm): a request moves it one interval on, unless that would lie more than a
 * second's requests ahead. One compare-and-swap, no clock of its own.
 *
 * Time tells nothing about secrets: every key is hashed whole, and compared in constant time, an unknown
 * one with a dummy. Which ids exist is no secret.
 */

#include "server/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"

#include "base/poison.h"

enum {
    MAX_FILE_BYTES = 16 * 1024 * 1024,
    MAX_KEY_BYTES = 256, /* of a presented key; ours have 60 */
    MAX_ID_BYTES = 64,
    FILE_VERSION = 1,
    N_COUNTERS = 16,
    CACHE_LINE_BYTES = 64
};

static const int64_t NS_PER_SECOND = 1000000000;
static const double MAX_RATE = 1e6; /* requests per second; above it a limit limits nothing */
static const char PREFIX[] = "tfk_";

typedef struct key {
    uint8_t sha256[SHA256_DIGEST_LENGTH];
    uint32_t scopes;         /* bits of tfn_scope */
    int64_t interval_ns;     /* between requests at the full rate; 0 = no limit */
    int64_t ahead_ns;        /* how far full_at may lie ahead */
    _Atomic int64_t full_at; /* monotonic ns */
} key;

typedef struct table {
    tfn_map by_id; /* -> index into keys; ids live in doc */
    key *keys;
    size_t n;
    yyjson_doc *doc;    /* NULL: no keys */
    struct table *next; /* retired before this one */
    uint32_t seen_idle; /* bits: counters that were zero since it was retired */
} table;

/* What tells one state of the file from another. */
typedef struct stamp {
    bool exists;
    struct timespec mtime;
    ino_t inode;
    off_t n_bytes;
} stamp;

typedef struct counter {
    _Atomic int64_t n; /* checks under way */
    char padding[CACHE_LINE_BYTES - sizeof(int64_t)];
} counter;

struct tfn_keys {
    counter counters[N_COUNTERS];
    _Atomic(table *) current;
    char *path;
    table *retired;
    stamp stamp;
    bool has_complained;
};

/* ---- the file ---- */

static bool is_hex_digest(tfn_str text, uint8_t out[SHA256_DIGEST_LENGTH])
{
    static const char digits[] = "0123456789abcdef";
    if (text.n != 2 * (size_t)SHA256_DIGEST_LENGTH) {
        return false;
    }
    for (size_t i = 0; i < text.n; i++) {
        const char *at = text.p[i] == '\0' ? NULL : strchr(digits, text.p[i]);
        if (at == NULL) {
            return false;
        }
        out[i / 2] = (uint8_t)((out[i / 2] << 4) | (at - digits));
    }
    return true;
}

static bool is_id(tfn_str id)
{
    for (size_t i = 0; i < id.n; i++) {
        if (!((id.p[i] >= '0' && id.p[i] <= '9') || (id.p[i] >= 'a' && id.p[i] <= 'z'))) {
            return false;
        }
    }
    return id.n > 0 && id.n <= MAX_ID_BYTES;
}

static bool read_scopes(yyjson_val *scopes, uint32_t *out)
{
    static const struct {
        const char *name;
        uint32_t bits;
    } known[] = {{"read", TFN_SCOPE_READ},
                 {"write", TFN_SCOPE_WRITE},
                 {"admin", TFN_SCOPE_READ | TFN_SCOPE_WRITE | TFN_SCOPE_ADMIN}};
    size_t n_known = 0;
    yyjson_arr_iter items = yyjson_arr_iter_with(scopes);
    for (yyjson_val *v = yyjson_arr_iter_next(&items); v != NULL;
         v = yyjson_arr_iter_next(&items)) {
        for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
            if (tfn_str_is(tfn_json_get_str(v), known[i].name)) {
                *out |= known[i].bits;
                n_known++;
            }
        }
    }
    return n_known > 0 && n_known == yyjson_arr_size(scopes);
}

static bool read_rate(yyjson_val *rate, key *out)
{
    if (rate == NULL || yyjson_is_null(rate)) {
        return true;
    }
    const double per_second = yyjson_is_num(rate) ? yyjson_get_num(rate) : 0;
    if (!(per_second >= 1e-6 && per_second <= MAX_RATE)) {
        return false;
    }
    out->interval_ns = (int64_t)((double)NS_PER_SECOND / per_second);
    out->ahead_ns = out->interval_ns > NS_PER_SECOND ? out->interval_ns : NS_PER_SECOND;
    return true;
}

static tfn_code read_key(table *t, yyjson_val *object, const char *path, tfn_error *err)
{
    key *k = &t->keys[t->n];
    uint32_t i = 0;
    const tfn_str id = tfn_json_get_member(object, "id");
    const bool is_good = is_id(id) &&
                         is_hex_digest(tfn_json_get_member(object, "sha256"), k->sha256) &&
                         read_scopes(yyjson_obj_get(object, "scopes"), &k->scopes) &&
                         read_rate(yyjson_obj_get(object, "rate_per_second"), k);
    if (!is_good || tfn_map_get(&t->by_id, id, &i)) {
        return TFN_FAIL(
            err, TFN_CORRUPT,
            "%s: key number %zu is damaged, or there twice; restore the file, or revoke "
            "and create keys anew with `tiffin keys`",
            path, t->n + 1);
    }
    return tfn_map_put(&t->by_id, id, (uint32_t)t->n++, err);
}

static tfn_code read_document(table *t, const char *path, tfn_error *err)
{
    void *p = NULL;
    yyjson_val *root = yyjson_doc_get_root(t->doc);
    yyjson_val *list = yyjson_obj_get(root, "keys");
    const int64_t version = yyjson_get_sint(yyjson_obj_get(root, "version"));
    if (!yyjson_is_arr(list) || version != FILE_VERSION) {
        return TFN_FAIL(err, TFN_CORRUPT,
                        "%s is no file of API keys of version %d; was it made by `tiffin keys` of "
                        "another release?",
                        path, FILE_VERSION);
    }
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(yyjson_arr_size(list), sizeof(key), &p, err));
    t->keys = p;
    yyjson_arr_iter items = yyjson_arr_iter_with(list);
    for (yyjson_val *v = yyjson_arr_iter_next(&items); v != NULL;
         v = yyjson_arr_iter_next(&items)) {
        TFN_RETURN_IF_ERROR(read_key(t, v, path, err));
    }
    return TFN_OK;
}

static void destroy_table(table *t)
{
    if (t != NULL) {
        tfn_map_deinit(&t->by_id);
        tfn_mem_free(t->keys);
        yyjson_doc_free(t->doc);
        tfn_mem_free(t);
    }
}

/* A table of the file's text; an empty one for an empty text. */
static tfn_code make_table(tfn_str text, const char *path, table **out, tfn_error *err)
{
    void *p = NULL;
    *out = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(table), &p, err));
    table *t = p;
    tfn_code rc = TFN_OK;
    if (text.n > 0) {
        rc = tfn_json_parse(text, path, &t->doc, err);
        rc = rc == TFN_INVALID ? TFN_CORRUPT : rc;
        if (err != NULL && rc == TFN_CORRUPT) {
            err->code = rc;
        }
    }
    if (rc == TFN_OK && t->doc != NULL) {
        rc = read_document(t, path, err);
    }
    if (rc != TFN_OK) {
        destroy_table(t);
        return rc;
    }
    *out = t;
    return TFN_OK;
}

/* The state of the file that is read: of the open one, not of what takes its name meanwhile. */
static tfn_code read_file(const char *path, tfn_buf *out, stamp *of, tfn_error *err)
{
    struct stat status;
    char what[PATH_MAX + 32];
    *of = (stamp){0};
    (void)snprintf(what, sizeof what, "the API keys in %s", path);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        return TFN_OK;
    }
    if (fd < 0) {
        return TFN_FAIL_SYS(err, errno, "cannot read %s", what);
    }
    tfn_code rc = TFN_OK;
    if (fstat(fd, &status) != 0) {
        rc = TFN_FAIL_SYS(err, errno, "cannot read %s", what);
    } else {
        *of = (stamp){true, status.st_mtim, status.st_ino, status.st_size};
        rc = tfn_buf_add_file(out, fd, what, err);
    }
    if (rc == TFN_OK && out->n == 0) {
        rc = TFN_FAIL(err, TFN_CORRUPT,
                      "%s is empty; a file without keys is {\"version\": %d, "
                      "\"keys\": []}",
                      path, FILE_VERSION);
    }
    (void)close(fd);
    return rc;
}

static tfn_code load(const char *path, table **out, stamp *of, tfn_error *err)
{
    tfn_buf text;
    tfn_buf_init(&text, MAX_FILE_BYTES);
    *out = NULL;
    tfn_code rc = read_file(path, &text, of, err);
    if (rc == TFN_LIMIT) {
        tfn_error_prepend(err, "%s: ", path);
    }
    if (rc == TFN_OK) {
        rc = make_table(tfn_buf_get_str(&text), path, out, err);
    }
    tfn_buf_deinit(&text);
    return rc;
}

/* ---- opening and following the file ---- */

tfn_code tfn_keys_open(const char *path, tfn_keys **out, tfn_error *err)
{
    void *p = NULL;
    table *first = NULL;
    *out = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_keys), &p, err));
    tfn_keys *keys = p;
    tfn_code rc = tfn_mem_copy_text(path, &keys->path, err);
    if (rc == TFN_OK) {
        rc = load(path, &first, &keys->stamp, err);
    }
    if (rc != TFN_OK) {
        tfn_keys_destroy(keys);
        return rc;
    }
    atomic_store_explicit(&keys->current, first, memory_order_release);
    *out = keys;
    return TFN_OK;
}

void tfn_keys_destroy(tfn_keys *keys)
{
    if (keys == NULL) {
        return;
    }
    destroy_table(atomic_load_explicit(&keys->current, memory_order_acquire));
    while (keys->retired != NULL) {
        table *t = keys->retired;
        keys->retired = t->next;
        destroy_table(t);
    }
    tfn_mem_free(keys->path);
    tfn_mem_free(keys);
}

static stamp look(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        return (stamp){0};
    }
    return (stamp){true, status.st_mtim, status.st_ino, status.st_size};
}

static bool is_same(const stamp *a, const stamp *b)
{
    return a->exists == b->exists && a->inode == b->inode && a->n_bytes == b->n_bytes &&
           a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec;
}

/* A key that stays keeps what it has used of its rate. */
static void carry_over(table *from, table *to)
{
    yyjson_val *list = yyjson_obj_get(yyjson_doc_get_root(to->doc), "keys");
    for (size_t i = 0; i < to->n; i++) {
        uint32_t before = 0;
        if (tfn_map_get(&from->by_id, tfn_json_get_member(yyjson_arr_get(list, i), "id"),
                        &before)) {
            const int64_t full_at =
                atomic_load_explicit(&from->keys[before].full_at, memory_order_relaxed);
            atomic_store_explicit(&to->keys[i].full_at, full_at, memory_order_relaxed);
        }
    }
}

/* Give back the tables that no check can hold any more. */
static void collect(tfn_keys *keys)
{
    uint32_t idle = 0;
    for (unsigned i = 0; i < N_COUNTERS; i++) {
        if (atomic_load_explicit(&keys->counters[i].n, memory_order_seq_cst) == 0) {
            idle |= 1u << i;
        }
    }
    table **at = &keys->retired;
    while (*at != NULL) {
        table *t = *at;
        t->seen_idle |= idle;
        if (t->seen_idle == (1u << N_COUNTERS) - 1) {
            *at = t->next;
            destroy_table(t);
        } else {
            at = &t->next;
        }
    }
}

void tfn_keys_refresh(tfn_keys *keys)
{
    table *next = NULL;
    tfn_error err = {0};
    const stamp now = look(keys->path);
    collect(keys);
    if (is_same(&now, &keys->stamp)) {
        return;
    }
    stamp of_read = {0};
    if (load(keys->path, &next, &of_read, &err) != TFN_OK) {
        if (!keys->has_complained) {
            (void)fprintf(stderr, "tiffin-server: the API keys stay as they were: %s\n",
                          err.message);
        }
        keys->has_complained = true;
        return;
    }
    keys->has_complained = false;
    keys->stamp = of_read;
    table *before = atomic_load_explicit(&keys->current, memory_order_relaxed);
    carry_over(before, next);
    atomic_store_explicit(&keys->current, next, memory_order_seq_cst);
    before->next = keys->retired;
    keys->retired = before;
    collect(keys);
}

/* ---- checks ---- */

static counter *enter(tfn_keys *keys)
{
    const uint64_t thread = tfn_hash_mix((uint64_t)(uintptr_t)pthread_self());
    counter *c = &keys->counters[thread % N_COUNTERS];
    (void)atomic_fetch_add_explicit(&c->n, 1, memory_order_seq_cst);
    return c;
}

static void leave(counter *c)
{
    (void)atomic_fetch_sub_explicit(&c->n, 1, memory_order_release);
}

bool tfn_keys_any(const tfn_keys *keys)
{
    /* Counting a check does not change the keys. */
    tfn_keys *counted = (tfn_keys *)(uintptr_t)keys;
    counter *c = enter(counted);
    const bool any = atomic_load_explicit(&counted->current, memory_order_seq_cst)->n > 0;
    leave(c);
    return any;
}

static tfn_str trim(tfn_str text)
{
    while (text.n > 0 && (text.p[0] == ' ' || text.p[0] == '\t')) {
        text = (tfn_str){text.p + 1, text.n - 1};
    }
    while (text.n > 0 && (text.p[text.n - 1] == ' ' || text.p[text.n - 1] == '\t')) {
        text.n--;
    }
    return text;
}

/* The key that a request presents: "Bearer KEY", else X-Api-Key; empty: none. */
static tfn_str presented(tfn_str authorization, tfn_str x_api_key)
{
    static const char scheme[] = "bearer";
    enum { N_SCHEME = sizeof scheme - 1 };
    tfn_str value = trim(authorization);
    bool is_bearer = value.n > N_SCHEME && value.p[N_SCHEME] == ' ';
    for (size_t i = 0; is_bearer && i < N_SCHEME; i++) {
        is_bearer = (value.p[i] | ' ') == scheme[i];
    }
    return is_bearer ? trim((tfn_str){value.p + N_SCHEME, value.n - N_SCHEME}) : trim(x_api_key);
}

static tfn_str id_of(tfn_str whole)
{
    const size_t n_prefix = sizeof PREFIX - 1;
    if (!tfn_str_starts_with(whole, PREFIX)) {
        return (tfn_str){0};
    }
    const char *begin = whole.p + n_prefix;
    const char *end = memchr(begin, '_', whole.n - n_prefix);
    return (tfn_str){begin, end == NULL ? 0 : (size_t)(end - begin)};
}

tfn_str tfn_keys_get_id(tfn_str authorization, tfn_str x_api_key)
{
    const tfn_str id = id_of(presented(authorization, x_api_key));
    return is_id(id) ? id : (tfn_str){0};
}

/* NULL: unknown, or not what was handed out. Both take equally long. */
static key *find(const table *t, tfn_str whole)
{
    static const uint8_t dummy[SHA256_DIGEST_LENGTH] = {0};
    uint8_t digest[SHA256_DIGEST_LENGTH];
    uint32_t i = 0;
    const bool is_short = whole.n <= MAX_KEY_BYTES;
    const bool is_known = tfn_map_get(&t->by_id, id_of(whole), &i);
    (void)SHA256((const unsigned char *)whole.p, is_short ? whole.n : MAX_KEY_BYTES, digest);
    const bool is_equal =
        CRYPTO_memcmp(digest, is_known ? t->keys[i].sha256 : dummy, sizeof digest) == 0;
    return is_known && is_short && is_equal ? &t->keys[i] : NULL;
}

/* Take one request from the key's bucket; false: it is empty, and *wait_ns says until when. */
static bool take(key *k, int64_t now_ns, int64_t *wait_ns)
{
    if (k->interval_ns == 0) {
        return true;
    }
    int64_t full_at = atomic_load_explicit(&k->full_at, memory_order_relaxed);
    for (;;) {
        const int64_t next = (full_at > now_ns ? full_at : now_ns) + k->interval_ns;
        if (next - now_ns > k->ahead_ns) {
            *wait_ns = next - now_ns - k->ahead_ns;
            return false;
        }
        if (atomic_compare_exchange_weak_explicit(&k->full_at, &full_at, next, memory_order_relaxed,
                                                  memory_order_relaxed)) {
            return true;
        }
    }
}

static tfn_verdict judge(const table *t, tfn_str whole, tfn_scope scope, int64_t now_ns,
                         bool *is_admin, int32_t *retry_after_s)
{
    int64_t wait_ns = 0;
    key *k = find(t, whole);
    if (k == NULL) {
        return TFN_KEY_WRONG;
    }
    if (!take(k, now_ns, &wait_ns)) {
        const int64_t wait_s = (wait_ns + NS_PER_SECOND - 1) / NS_PER_SECOND;
        *retry_after_s = wait_s > INT32_MAX ? INT32_MAX : (int32_t)wait_s;
        return TFN_KEY_RATE;
    }
    if ((k->scopes & (uint32_t)scope) != (uint32_t)scope) {
        return TFN_KEY_SCOPE;
    }
    *is_admin = (k->scopes & (uint32_t)TFN_SCOPE_ADMIN) != 0;
    return TFN_KEY_GOOD;
}

tfn_verdict tfn_keys_check(tfn_keys *keys, tfn_str authorization, tfn_str x_api_key,
                           tfn_scope scope, int64_t now_ns, bool *is_admin, int32_t *retry_after_s)
{
    const tfn_str whole = presented(authorization, x_api_key);
    *is_admin = false;
    *retry_after_s = 0;
    if (whole.n == 0) {
        return TFN_KEY_MISSING;
    }
    counter *c = enter(keys);
    const table *t = atomic_load_explicit(&keys->current, memory_order_seq_cst);
    const tfn_verdict verdict = judge(t, whole, scope, now_ns, is_admin, retry_after_s);
    leave(c);
    return verdict;
}
