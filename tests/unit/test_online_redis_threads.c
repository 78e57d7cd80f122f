/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * One client, eight threads, and a server that is stopped and started under them. Nobody gets a
 * reply that is another's; all get through again. Runs under ThreadSanitizer too.
 */

#include "unit/redis_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

enum { N_THREADS = 8, N_RESTARTS = 4, N_COMMANDS = 20 };

typedef struct shared {
    tfn_redis *redis;
    atomic_bool is_done;
    atomic_int n_wrong;
    atomic_int n_away;
    atomic_int n_answered[N_THREADS];
} shared;

typedef struct caller {
    shared *s;
    int id;
} caller;

/* Threads must not leave through cmocka's asserts: they count what is wrong. */
static void ask_once(const caller *c, tfn_redis_batch *batch, int round)
{
    char expected[N_COMMANDS][32];
    bool ok = true;
    tfn_redis_batch_clear(batch);
    for (int i = 0; i < N_COMMANDS; i++) {
        char words[64];
        (void)snprintf(expected[i], sizeof(expected[i]), "%d-%d-%d", c->id, round, i);
        (void)snprintf(words, sizeof(words), "ECHO %d-%d-%d", c->id, round, i);
        ok = ok && add_words(batch, words, NULL) == TFN_OK;
    }
    tfn_error err = {0};
    const tfn_code rc = ok ? tfn_redis_batch_run(batch, &err) : TFN_NO_MEMORY;
    if (rc == TFN_UNAVAILABLE) {
        (void)atomic_fetch_add(&c->s->n_away, 1);
        wait_a_little();
        return;
    }
    ok = rc == TFN_OK;
    for (size_t i = 0; ok && i < N_COMMANDS; i++) {
        const tfn_redis_reply *r = tfn_redis_batch_get_reply(batch, i);
        ok = r->type == TFN_REDIS_STRING && strcmp(r->text.p, expected[i]) == 0;
    }
    if (!ok) {
        (void)fprintf(stderr, "thread %d: %s\n", c->id, err.message);
    }
    (void)atomic_fetch_add(ok ? &c->s->n_answered[c->id] : &c->s->n_wrong, 1);
}

static void *call(void *context)
{
    const caller *c = (const caller *)context;
    tfn_redis_batch *batch = NULL;
    if (tfn_redis_batch_create(c->s->redis, &batch, NULL) != TFN_OK) {
        (void)atomic_fetch_add(&c->s->n_wrong, 1);
        return NULL;
    }
    for (int round = 0; !atomic_load(&c->s->is_done); round++) {
        ask_once(c, batch, round);
    }
    tfn_redis_batch_destroy(batch);
    return NULL;
}

static void wait_until_all_are_answered(shared *s)
{
    for (int i = 0; i < N_THREADS; i++) {
        const int before = atomic_load(&s->n_answered[i]);
        int n_waits = 0;
        for (; n_waits < MAX_WAITS && atomic_load(&s->n_answered[i]) == before; n_waits++) {
            wait_a_little();
        }
        assert_true(n_waits < MAX_WAITS);
    }
}

static void threads_share_a_client_while_the_server_restarts(void **state)
{
    (void)state;
    test_server server = {0};
    server_start(&server);
    shared s = {.redis = connect_to((tfn_redis_config){.timeout_ms = 20 * 1000}, server.port)};
    pthread_t threads[N_THREADS];
    caller callers[N_THREADS];
    for (int i = 0; i < N_THREADS; i++) {
        callers[i] = (caller){&s, i};
        assert_int_equal(pthread_create(&threads[i], NULL, call, &callers[i]), 0);
    }
    for (int i = 0; i < N_RESTARTS; i++) {
        wait_until_all_are_answered(&s);
        const int n_away = atomic_load(&s.n_away);
        server_stop(&server);
        for (int k = 0; k < MAX_WAITS && atomic_load(&s.n_away) < n_away + N_THREADS; k++) {
            wait_a_little();
        }
        assert_true(atomic_load(&s.n_away) >= n_away + N_THREADS);
        server_start(&server);
    }
    wait_until_all_are_answered(&s);
    atomic_store(&s.is_done, true);
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&s.n_wrong), 0);
    tfn_redis_destroy(s.redis);
    server_end(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_share_a_client_while_the_server_restarts),
    };
    return cmocka_run_group_tests_name("online redis threads", tests, NULL, NULL);
}
