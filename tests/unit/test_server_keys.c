/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#include "unit/base_make.h"

#include <stdlib.h>

#include "server/keys.c"

static const int64_t SECOND = 1000000000;
static char folder[64];
static char path[128];

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/tiffin_keys_XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/keys.json", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(path);
    assert_int_equal(rmdir(folder), 0);
    return 0;
}

/* As the Python writer does: a new file takes the name. */
static void write_text(const char *text)
{
    char temporary[160];
    (void)snprintf(temporary, sizeof temporary, "%s.new", path);
    FILE *file = fopen(temporary, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(temporary, path), 0);
}

typedef struct entry {
    const char *key; /* whole: "tfk_<id>_<secret>" */
    const char *scopes;
    const char *rate;
} entry;

static void write_keys(const entry *entries, size_t n)
{
    tfn_buf text = {0};
    tfn_error err = {0};
    assert_ok(tfn_buf_add_text(&text, "{\"version\": 1, \"keys\": [", &err), err);
    for (size_t i = 0; i < n; i++) {
        uint8_t digest[SHA256_DIGEST_LENGTH];
        const tfn_str id = id_of(tfn_str_of(entries[i].key));
        (void)SHA256((const unsigned char *)entries[i].key, strlen(entries[i].key), digest);
        assert_ok(tfn_buf_add_format(&text, &err,
                                     "%s{\"id\": \"%.*s\", \"name\": \"n\", \"scopes\": [%s], "
                                     "\"rate_per_second\": %s, \"sha256\": \"",
                                     i == 0 ? "" : ", ", TFN_STR_ARG(id), entries[i].scopes,
                                     entries[i].rate),
                  err);
        for (size_t k = 0; k < sizeof digest; k++) {
            assert_ok(tfn_buf_add_format(&text, &err, "%02x", digest[k]), err);
        }
        assert_ok(tfn_buf_add_text(&text, "\"}", &err), err);
    }
    assert_ok(tfn_buf_add_text(&text, "]}", &err), err);
    write_text(text.p);
    tfn_buf_deinit(&text);
}

static tfn_keys *open_keys(void)
{
    tfn_keys *keys = NULL;
    tfn_error err = {0};
    assert_ok(tfn_keys_open(path, &keys, &err), err);
    return keys;
}

static tfn_verdict check_headers(tfn_keys *keys, const char *authorization, const char *x_api_key)
{
    bool is_admin = false;
    int32_t retry_after_s = 0;
    return tfn_keys_check(keys, tfn_str_of(authorization), tfn_str_of(x_api_key), TFN_SCOPE_READ, 0,
                          &is_admin, &retry_after_s);
}

static tfn_verdict check_scope(tfn_keys *keys, const char *whole, tfn_scope scope, bool *is_admin)
{
    int32_t retry_after_s = 0;
    return tfn_keys_check(keys, (tfn_str){0}, tfn_str_of(whole), scope, 0, is_admin,
                          &retry_after_s);
}

static void a_missing_file_has_no_keys(void **state)
{
    (void)state;
    tfn_keys *keys = open_keys();
    assert_false(tfn_keys_any(keys));
    assert_int_equal(check_headers(keys, "Bearer tfk_a_x", ""), TFN_KEY_WRONG);
    assert_int_equal(check_headers(keys, "", ""), TFN_KEY_MISSING);
    tfn_keys_destroy(keys);
}

static void a_key_is_found_in_either_header(void **state)
{
    (void)state;
    write_keys((entry[]){{"tfk_a1_se_cret-1", "\"read\"", "null"}}, 1);
    tfn_keys *keys = open_keys();
    assert_true(tfn_keys_any(keys));
    assert_int_equal(check_headers(keys, "Bearer tfk_a1_se_cret-1", ""), TFN_KEY_GOOD);
    assert_int_equal(check_headers(keys, " bEARER   tfk_a1_se_cret-1 ", ""), TFN_KEY_GOOD);
    assert_int_equal(check_headers(keys, "", "tfk_a1_se_cret-1"), TFN_KEY_GOOD);
    assert_int_equal(check_headers(keys, "Basic eDp5", "tfk_a1_se_cret-1"), TFN_KEY_GOOD);
    assert_int_equal(check_headers(keys, "Basic eDp5", ""), TFN_KEY_MISSING);
    assert_int_equal(check_headers(keys, "Bearer ", ""), TFN_KEY_MISSING);
    assert_int_equal(check_headers(keys, "Bearer tfk_a1_se_cret-2", "tfk_a1_se_cret-1"),
                     TFN_KEY_WRONG);
    const tfn_str id = tfn_keys_get_id(tfn_str_of("Bearer tfk_a1_se_cret-1"), (tfn_str){0});
    assert_true(tfn_str_is(id, "a1"));
    assert_int_equal(tfn_keys_get_id((tfn_str){0}, tfn_str_of("tfk_\"_x")).n, 0);
    tfn_keys_destroy(keys);
}

static void what_was_not_handed_out_is_wrong(void **state)
{
    (void)state;
    static const char *const wrong[] = {"tfk_a1_secret",   "tfk_a1_secret-12",
                                        "tfk_a2_secret-1", "tfk_a1",
                                        "tfk_a1_",         "tfk_",
                                        "a1_secret-1",     "x",
                                        "tfk__secret-1"};
    char endless[5000];
    memset(endless, 'x', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    write_keys((entry[]){{"tfk_a1_secret-1", "\"read\"", "null"}}, 1);
    tfn_keys *keys = open_keys();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(check_headers(keys, "", wrong[i]), TFN_KEY_WRONG);
    }
    assert_int_equal(check_headers(keys, "", endless), TFN_KEY_WRONG);
    tfn_keys_destroy(keys);
}

static void scopes_say_what_a_key_may_do(void **state)
{
    (void)state;
    bool is_admin = true;
    write_keys((entry[]){{"tfk_r_1", "\"read\"", "null"},
                         {"tfk_w_1", "\"write\"", "null"},
                         {"tfk_rw_1", "\"read\", \"write\"", "null"},
                         {"tfk_a_1", "\"admin\"", "null"}},
               4);
    tfn_keys *keys = open_keys();
    assert_int_equal(check_scope(keys, "tfk_r_1", TFN_SCOPE_READ, &is_admin), TFN_KEY_GOOD);
    assert_false(is_admin);
    assert_int_equal(check_scope(keys, "tfk_r_1", TFN_SCOPE_WRITE, &is_admin), TFN_KEY_SCOPE);
    assert_int_equal(check_scope(keys, "tfk_r_1", TFN_SCOPE_ADMIN, &is_admin), TFN_KEY_SCOPE);
    assert_int_equal(check_scope(keys, "tfk_w_1", TFN_SCOPE_READ, &is_admin), TFN_KEY_SCOPE);
    assert_int_equal(check_scope(keys, "tfk_rw_1", TFN_SCOPE_WRITE, &is_admin), TFN_KEY_GOOD);
    assert_int_equal(check_scope(keys, "tfk_rw_1", TFN_SCOPE_ADMIN, &is_admin), TFN_KEY_SCOPE);
    assert_int_equal(check_scope(keys, "tfk_a_1", TFN_SCOPE_READ, &is_admin), TFN_KEY_GOOD);
    assert_true(is_admin);
    assert_int_equal(check_scope(keys, "tfk_a_1", TFN_SCOPE_ADMIN, &is_admin), TFN_KEY_GOOD);
    tfn_keys_destroy(keys);
}

static tfn_verdict check_at(tfn_keys *keys, const char *whole, int64_t now_ns,
                            int32_t *retry_after_s)
{
    bool is_admin = false;
    return tfn_keys_check(keys, (tfn_str){0}, tfn_str_of(whole), TFN_SCOPE_READ, now_ns, &is_admin,
                          retry_after_s);
}

static void a_rate_is_one_seconds_requests_and_then_even(void **state)
{
    (void)state;
    int32_t retry = 0;
    const int64_t now = 77 * SECOND;
    write_keys((entry[]){{"tfk_five_1", "\"read\"", "5"},
                         {"tfk_slow_1", "\"read\"", "0.1"},
                         {"tfk_free_1", "\"read\"", "null"}},
               3);
    tfn_keys *keys = open_keys();
    for (int i = 0; i < 5; i++) {
        assert_int_equal(check_at(keys, "tfk_five_1", now, &retry), TFN_KEY_GOOD);
    }
    assert_int_equal(check_at(keys, "tfk_five_1", now, &retry), TFN_KEY_RATE);
    assert_int_equal(retry, 1);
    assert_int_equal(check_at(keys, "tfk_five_1", now + SECOND / 5 - 1, &retry), TFN_KEY_RATE);
    assert_int_equal(check_at(keys, "tfk_five_1", now + SECOND / 5, &retry), TFN_KEY_GOOD);
    assert_int_equal(check_at(keys, "tfk_five_1", now + SECOND / 5, &retry), TFN_KEY_RATE);
    assert_int_equal(check_at(keys, "tfk_slow_1", now, &retry), TFN_KEY_GOOD);
    assert_int_equal(check_at(keys, "tfk_slow_1", now, &retry), TFN_KEY_RATE);
    assert_int_equal(retry, 10);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(check_at(keys, "tfk_free_1", now, &retry), TFN_KEY_GOOD);
    }
    /* Another state of the file does not fill the bucket. */
    write_keys((entry[]){{"tfk_new_1", "\"read\"", "null"}, {"tfk_five_1", "\"read\"", "5"}}, 2);
    tfn_keys_refresh(keys);
    assert_int_equal(check_at(keys, "tfk_new_1", now, &retry), TFN_KEY_GOOD);
    assert_int_equal(check_at(keys, "tfk_five_1", now + SECOND / 5, &retry), TFN_KEY_RATE);
    tfn_keys_destroy(keys);
}

static void a_changed_file_is_read_again(void **state)
{
    (void)state;
    write_keys((entry[]){{"tfk_a_1", "\"read\"", "null"}}, 1);
    tfn_keys *keys = open_keys();
    write_keys((entry[]){{"tfk_b_1", "\"read\"", "null"}}, 1);
    assert_int_equal(check_headers(keys, "", "tfk_a_1"), TFN_KEY_GOOD);
    tfn_keys_refresh(keys);
    assert_int_equal(check_headers(keys, "", "tfk_a_1"), TFN_KEY_WRONG);
    assert_int_equal(check_headers(keys, "", "tfk_b_1"), TFN_KEY_GOOD);
    assert_null(keys->retired); /* no check was under way */
    write_text("{\"version\": 1, \"keys\": [");
    tfn_keys_refresh(keys);
    tfn_keys_refresh(keys);
    assert_int_equal(check_headers(keys, "", "tfk_b_1"), TFN_KEY_GOOD);
    assert_true(keys->has_complained);
    assert_int_equal(unlink(path), 0);
    tfn_keys_refresh(keys);
    assert_false(tfn_keys_any(keys));
    assert_int_equal(check_headers(keys, "", "tfk_b_1"), TFN_KEY_WRONG);
    tfn_keys_destroy(keys);
}

static void a_table_that_a_check_holds_is_kept(void **state)
{
    (void)state;
    write_keys((entry[]){{"tfk_a_1", "\"read\"", "null"}}, 1);
    tfn_keys *keys = open_keys();
    counter *c = enter(keys);
    write_keys((entry[]){{"tfk_b_1", "\"read\"", "null"}}, 1);
    tfn_keys_refresh(keys);
    assert_non_null(keys->retired);
    leave(c);
    tfn_keys_refresh(keys);
    assert_null(keys->retired);
    tfn_keys_destroy(keys);
}

static void refuse_file(const char *text, const char *sentence)
{
    tfn_keys *keys = NULL;
    tfn_error err = {0};
    write_text(text);
    assert_int_equal(tfn_keys_open(path, &keys, &err), TFN_CORRUPT);
    assert_int_equal(err.code, TFN_CORRUPT);
    assert_null(keys);
    assert_text(err.message, sentence);
    assert_text(err.message, path);
}

static void a_damaged_file_is_refused(void **state)
{
    (void)state;
#define SHA "\"sha256\": \"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\""
    refuse_file("", "is empty");
    refuse_file("nonsense", "is not JSON");
    refuse_file("[]", "is no file of API keys of version 1");
    refuse_file("{\"version\": 2, \"keys\": []}", "is no file of API keys of version 1");
    refuse_file("{\"version\": 1, \"keys\": [{}]}", "key number 1 is damaged");
    refuse_file("{\"version\": 1, \"keys\": [{\"id\": \"A\", \"scopes\": [\"read\"], " SHA "}]}",
                "key number 1 is damaged");
    refuse_file("{\"version\": 1, \"keys\": [{\"id\": \"a\", \"scopes\": [], " SHA "}]}",
                "key number 1 is damaged");
    refuse_file("{\"version\": 1, \"keys\": [{\"id\": \"a\", \"scopes\": [\"root\"], " SHA "}]}",
                "key number 1 is damaged");
    refuse_file("{\"version\": 1, \"keys\": [{\"id\": \"a\", \"scopes\": [\"read\"], "
                "\"rate_per_second\": 0, " SHA "}]}",
                "key number 1 is damaged");
    refuse_file("{\"version\": 1, \"keys\": [{\"id\": \"a\", \"scopes\": [\"read\"], "
                "\"sha256\": \"00\"}]}",
                "key number 1 is damaged");
    refuse_file("{\"version\": 1, \"keys\": [{\"id\": \"a\", \"scopes\": [\"read\"], " SHA
                "}, {\"id\": \"a\", \"scopes\": [\"read\"], " SHA "}]}",
                "key number 2 is damaged, or there twice");
}

/* ---- threads ---- */

typedef struct crew {
    tfn_keys *keys;
    _Atomic bool is_over;
    _Atomic int64_t n_good;
    _Atomic int64_t n_bad;
} crew;

static void *check_often(void *context)
{
    crew *c = context;
    while (!atomic_load(&c->is_over)) {
        /* In every state of the file. */
        const bool is_good = check_headers(c->keys, "", "tfk_stays_1") == TFN_KEY_GOOD;
        (void)atomic_fetch_add(is_good ? &c->n_good : &c->n_bad, 1);
    }
    return NULL;
}

static void checks_go_on_while_the_file_changes(void **state)
{
    (void)state;
    enum { N_THREADS = 3, N_CHANGES = 200 };
    write_keys((entry[]){{"tfk_stays_1", "\"read\"", "1000000"}}, 1);
    crew c = {.keys = open_keys()};
    pthread_t threads[N_THREADS];
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, check_often, &c), 0);
    }
    for (int i = 0; i < N_CHANGES || atomic_load(&c.n_good) == 0; i++) {
        write_keys((entry[]){{"tfk_stays_1", "\"read\", \"write\"", "null"},
                             {"tfk_goes_1", "\"write\"", "null"}},
                   1 + (size_t)(i % 2));
        tfn_keys_refresh(c.keys);
    }
    atomic_store(&c.is_over, true);
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(c.n_bad, 0);
    tfn_keys_refresh(c.keys);
    assert_null(c.keys->retired);
    tfn_keys_destroy(c.keys);
}

typedef struct rush {
    tfn_keys *keys;
    _Atomic int64_t n_good;
} rush;

static void *spend(void *context)
{
    enum { N_TRIES = 1000 };
    rush *r = context;
    for (int i = 0; i < N_TRIES; i++) {
        int32_t retry = 0;
        (void)atomic_fetch_add(
            &r->n_good, check_at(r->keys, "tfk_fast_1", SECOND, &retry) == TFN_KEY_GOOD ? 1 : 0);
    }
    return NULL;
}

static void threads_share_a_rate_exactly(void **state)
{
    (void)state;
    enum { N_THREADS = 4 };
    write_keys((entry[]){{"tfk_fast_1", "\"read\"", "500"}}, 1);
    rush r = {.keys = open_keys()};
    pthread_t threads[N_THREADS];
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, spend, &r), 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(r.n_good, 500);
    tfn_keys_destroy(r.keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_missing_file_has_no_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_key_is_found_in_either_header, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_not_handed_out_is_wrong, set_up, tear_down),
        cmocka_unit_test_setup_teardown(scopes_say_what_a_key_may_do, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_rate_is_one_seconds_requests_and_then_even, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_changed_file_is_read_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_table_that_a_check_holds_is_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(checks_go_on_while_the_file_changes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(threads_share_a_rate_exactly, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
