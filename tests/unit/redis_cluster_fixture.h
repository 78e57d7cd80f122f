/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */
#ifndef TFN_TESTS_REDIS_CLUSTER_FIXTURE_H
#define TFN_TESTS_REDIS_CLUSTER_FIXTURE_H

/* Three masters on loopback that share the slots. Include it first. */

#include "unit/redis_fixture.h"

enum { N_NODES = 3, N_SLOTS = 16384 };

typedef struct test_cluster {
    test_server nodes[N_NODES];
    tfn_redis *direct[N_NODES]; /* to each node by itself */
    char ids[N_NODES][64];
} test_cluster;

static inline void must(tfn_redis *redis, const char *words)
{
    char answer[128];
    tfn_error err = {0};
    assert_ok(ask(redis, words, answer, &err), err);
    if (strcmp(answer, "OK") != 0) {
        fail_msg("%s: %s", words, answer);
    }
}

static inline bool knows_all(tfn_redis *direct)
{
    const tfn_str args[] = {text("CLUSTER"), text("INFO")};
    tfn_redis_batch *batch = NULL;
    tfn_error err = {0};
    assert_ok(tfn_redis_batch_create(direct, &batch, &err), err);
    assert_ok(tfn_redis_batch_add(batch, text(""), args, 2, &err), err);
    assert_ok(tfn_redis_batch_run(batch, &err), err);
    const char *info = tfn_redis_batch_get_reply(batch, 0)->text.p;
    const bool ok = strstr(info, "cluster_state:ok") != NULL &&
                    strstr(info, "cluster_slots_assigned:16384") != NULL &&
                    strstr(info, "cluster_known_nodes:3") != NULL;
    tfn_redis_batch_destroy(batch);
    return ok;
}

static inline void cluster_start(test_cluster *c)
{
    char words[128];
    for (int i = 0; i < N_NODES; i++) {
        c->nodes[i] = (test_server){
            .args = {"--cluster-enabled", "yes", "--cluster-node-timeout", "60000"}, .n_args = 4};
        server_start(&c->nodes[i]);
        c->direct[i] = connect_to((tfn_redis_config){.timeout_ms = 60 * 1000}, c->nodes[i].port);
        tfn_error err = {0};
        char id[128];
        assert_ok(ask(c->direct[i], "CLUSTER MYID", id, &err), err);
        (void)snprintf(c->ids[i], sizeof(c->ids[i]), "%.60s", id);
        (void)snprintf(words, sizeof(words), "CLUSTER SET-CONFIG-EPOCH %d", i + 1);
        must(c->direct[i], words);
        (void)snprintf(words, sizeof(words), "CLUSTER ADDSLOTSRANGE %d %d", i * N_SLOTS / N_NODES,
                       (i + 1) * N_SLOTS / N_NODES - 1);
        must(c->direct[i], words);
    }
    for (int i = 1; i < N_NODES; i++) {
        (void)snprintf(words, sizeof(words), "CLUSTER MEET 127.0.0.1 %d", c->nodes[i].port);
        must(c->direct[0], words);
    }
    for (int i = 0; i < N_NODES; i++) {
        int n_waits = 0;
        for (; n_waits < MAX_WAITS && !knows_all(c->direct[i]); n_waits++) {
            wait_a_little();
        }
        assert_true(n_waits < MAX_WAITS);
    }
}

static inline void cluster_end(test_cluster *c)
{
    for (int i = 0; i < N_NODES; i++) {
        tfn_redis_destroy(c->direct[i]);
        server_end(&c->nodes[i]);
    }
}

/* How a resharding tool moves a slot: both sides told, keys migrated one by one, then all told. */
static inline void begin_move(test_cluster *c, int slot, int from, int to)
{
    char words[128];
    (void)snprintf(words, sizeof(words), "CLUSTER SETSLOT %d IMPORTING %s", slot, c->ids[from]);
    must(c->direct[to], words);
    (void)snprintf(words, sizeof(words), "CLUSTER SETSLOT %d MIGRATING %s", slot, c->ids[to]);
    must(c->direct[from], words);
}

/* Move some of the slot's keys; how many there were. */
static inline size_t move_keys(test_cluster *c, int slot, int from, int to)
{
    char words[128];
    tfn_redis_batch *batch = NULL;
    tfn_error err = {0};
    assert_ok(tfn_redis_batch_create(c->direct[from], &batch, &err), err);
    (void)snprintf(words, sizeof(words), "CLUSTER GETKEYSINSLOT %d 5", slot);
    assert_ok(add_words(batch, words, &err), err);
    assert_ok(tfn_redis_batch_run(batch, &err), err);
    const tfn_redis_reply *keys = tfn_redis_batch_get_reply(batch, 0);
    for (size_t i = 0; i < keys->n_elements; i++) {
        (void)snprintf(words, sizeof(words), "MIGRATE 127.0.0.1 %d %s 0 5000 REPLACE",
                       c->nodes[to].port, keys->elements[i].text.p);
        must(c->direct[from], words);
    }
    const size_t n_keys = keys->n_elements;
    tfn_redis_batch_destroy(batch);
    return n_keys;
}

static inline void end_move(test_cluster *c, int slot, int to)
{
    char words[128];
    (void)snprintf(words, sizeof(words), "CLUSTER SETSLOT %d NODE %s", slot, c->ids[to]);
    must(c->direct[to], words);
    for (int i = 0; i < N_NODES; i++) {
        must(c->direct[i], words);
    }
}

#endif
