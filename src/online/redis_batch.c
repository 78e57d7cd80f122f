/* Copyright The Tiffin Authors. SPDX-License-Identifier: Apache-2.0 */

/*
 * A batch: commands in one buffer, already in the protocol's form; then rounds of
 *
 *   route      pending commands are dealt out to lanes, one per node
 *   exchange   all lanes at once (redis_exchange.c)
 *   judge      replies that are final are kept; redirections, delays and lanes that died leave their
 *              commands pending
 *
 * until nothing is pending or the time is over. With one server and nothing special there is one
 * round and one lane, whose request is the buffer itself.
 *
 * A lane that dies is given one more round: over a new connection if the old one was idle before
 * (the server may have closed it), or to wherever the refreshed topology sends its commands. What
 * it had answered is kept. A node that refuses or is silent ends the batch, unless the topology has
 * moved its commands to another.
 */

#include <assert.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/time.h"
#include "online/redis_client_internal.h"

#include "base/poison.h"

static const size_t MAX_BATCH_BYTES = (size_t)1 << 30;
static const size_t MAX_REPLY_BYTES = (size_t)1 << 30;
static const size_t MAX_COMMANDS = (size_t)1 << 24;
static const double FIRST_PAUSE_S = 0.002;
static const double MAX_PAUSE_S = 0.05;
enum { MAX_FREE_ROUNDS = 4, MAX_FAILURES = 2 };

typedef struct command {
    size_t begin; /* in batch.bytes */
    size_t n_bytes;
    const tfn_redis_reply *reply; /* NULL: pending */
    tfn__redis_node *moved_to;    /* MOVED or ASK; NULL: by the topology */
    uint32_t lane;
    uint16_t slot;
    bool is_asking; /* goes to moved_to behind ASKING, once */
} command;

/* What of a lane belongs to the batch: which command each reply is for. */
typedef struct cargo {
    size_t *commands; /* per reply; ASKING_REPLY for the reply of ASKING */
    size_t n_replies; /* that will come */
    size_t n_bytes;
    char *bytes; /* NULL: the batch's own buffer */
} cargo;

static const size_t ASKING_REPLY = SIZE_MAX;
static const char ASKING[] = "*1\r\n$6\r\nASKING\r\n";

struct tfn_redis_batch {
    tfn_redis *redis;
    tfn_buf bytes;
    command *commands;
    size_t n_commands;
    size_t cap_commands;
    tfn_arena arena; /* replies, and what a round needs */
    tfn__redis_lane *lanes;
    cargo *cargoes;
    struct pollfd *polls;
    size_t n_lanes;
    size_t cap_lanes, cap_cargoes, cap_polls;
};

/* What a run knows while it goes round. */
typedef struct run_state {
    double end_s;
    int n_rounds;
    int n_failures;        /* rounds that ended with a node that failed */
    bool is_fresh;         /* connect anew: an idle connection was dead */
    bool must_refresh;     /* the topology is not what we thought */
    bool must_pause;       /* somebody asked for time */
    tfn__redis_node *late; /* why something is pending: it is loading its data; or NULL */
    tfn_error put_off;     /* why something is pending, as a sentence */
} run_state;

/* ---- a batch ---- */

tfn_code tfn_redis_batch_create(tfn_redis *redis, tfn_redis_batch **out, tfn_error *err)
{
    *out = NULL;
    void *memory = NULL;
    TFN_RETURN_IF_ERROR(tfn_mem_alloc_array(1, sizeof(tfn_redis_batch), &memory, err));
    tfn_redis_batch *batch = (tfn_redis_batch *)memory;
    batch->redis = redis;
    tfn_buf_init(&batch->bytes, MAX_BATCH_BYTES);
    tfn_arena_init(&batch->arena, MAX_REPLY_BYTES);
    *out = batch;
    return TFN_OK;
}

void tfn_redis_batch_destroy(tfn_redis_batch *batch)
{
    if (batch == NULL) {
        return;
    }
    tfn_buf_deinit(&batch->bytes);
    tfn_arena_deinit(&batch->arena);
    tfn_mem_free(batch->commands);
    tfn_mem_free(batch->lanes);
    tfn_mem_free(batch->cargoes);
    tfn_mem_free(batch->polls);
    tfn_mem_free(batch);
}

void tfn_redis_batch_clear(tfn_redis_batch *batch)
{
    tfn_buf_clear(&batch->bytes);
    tfn_arena_reset(&batch->arena);
    batch->n_commands = 0;
}

tfn_code tfn_redis_batch_add(tfn_redis_batch *batch, tfn_str routing_key, const tfn_str *args,
                             size_t n_args, tfn_error *err)
{
    assert(n_args > 0);
    if (batch->n_commands == MAX_COMMANDS) {
        return TFN_FAIL(err, TFN_LIMIT, "a batch holds at most %zu commands; run it in parts",
                        MAX_COMMANDS);
    }
    void *commands = batch->commands;
    TFN_RETURN_IF_ERROR(
        tfn_mem_grow(&commands, &batch->cap_commands, batch->n_commands + 1, sizeof(command), err));
    batch->commands = (command *)commands;
    const size_t begin = batch->bytes.n;
    TFN_RETURN_IF_ERROR(tfn__redis_format(&batch->bytes, args, n_args, err));
    batch->commands[batch->n_commands++] = (command){
        .begin = begin,
        .n_bytes = batch->bytes.n - begin,
        .slot =
            batch->redis->config.kind == TFN_REDIS_CLUSTER ? tfn__redis_slot_of(routing_key) : 0,
    };
    return TFN_OK;
}

size_t tfn_redis_batch_get_count(const tfn_redis_batch *batch)
{
    return batch->n_commands;
}

const tfn_redis_reply *tfn_redis_batch_get_reply(const tfn_redis_batch *batch, size_t i)
{
    assert(i < batch->n_commands && batch->commands[i].reply != NULL);
    return batch->commands[i].reply;
}

/* ---- route ---- */

static tfn_code add_lane(tfn_redis_batch *batch, tfn__redis_node *node, tfn_error *err)
{
    const size_t n = batch->n_lanes + 1;
    void *lanes = batch->lanes;
    TFN_RETURN_IF_ERROR(tfn_mem_grow(&lanes, &batch->cap_lanes, n, sizeof(tfn__redis_lane), err));
    batch->lanes = (tfn__redis_lane *)lanes;
    void *cargoes = batch->cargoes;
    TFN_RETURN_IF_ERROR(tfn_mem_grow(&cargoes, &batch->cap_cargoes, n, sizeof(cargo), err));
    batch->cargoes = (cargo *)cargoes;
    void *polls = batch->polls;
    TFN_RETURN_IF_ERROR(tfn_mem_grow(&polls, &batch->cap_polls, n, sizeof(struct pollfd), err));
    batch->polls = (struct pollfd *)polls;
    batch->lanes[batch->n_lanes] = (tfn__redis_lane){.node = node};
    batch->cargoes[batch->n_lanes] = (cargo){0};
    batch->n_lanes = n;
    return TFN_OK;
}

static tfn_code deal(tfn_redis_batch *batch, const tfn__redis_topology *topology, run_state *run,
                     size_t *n_dealt, tfn_error *err)
{
    batch->n_lanes = 0;
    *n_dealt = 0;
    size_t lane = 0;
    for (size_t i = 0; i < batch->n_commands; i++) {
        command *c = &batch->commands[i];
        if (c->reply != NULL) {
            continue;
        }
        tfn__redis_node *node = c->moved_to != NULL ? c->moved_to
                                : topology->only != NULL
                                    ? topology->only
                                    : tfn__redis_slots_get_owner(topology->slots, c->slot);
        if (node == NULL) {
            c->lane = UINT32_MAX; /* waits for the next round */
            run->must_refresh = run->must_pause = true;
            (void)TFN_FAIL(&run->put_off, TFN_UNAVAILABLE,
                           "no node of the cluster serves slot %u; check that all its masters run",
                           (unsigned)c->slot);
            continue;
        }
        if (lane >= batch->n_lanes || batch->lanes[lane].node != node) {
            for (lane = 0; lane < batch->n_lanes && batch->lanes[lane].node != node; lane++) {
            }
            if (lane == batch->n_lanes) {
                TFN_RETURN_IF_ERROR(add_lane(batch, node, err));
            }
        }
        c->lane = (uint32_t)lane;
        batch->cargoes[lane].n_replies += c->is_asking ? 2 : 1;
        batch->cargoes[lane].n_bytes += c->n_bytes + (c->is_asking ? sizeof(ASKING) - 1 : 0);
        ++*n_dealt;
    }
    return TFN_OK;
}

static tfn_code make_room(tfn_redis_batch *batch, size_t i_lane, bool is_whole, tfn_error *err)
{
    cargo *load = &batch->cargoes[i_lane];
    tfn__redis_lane *lane = &batch->lanes[i_lane];
    void *commands = NULL;
    void *replies = NULL;
    TFN_RETURN_IF_ERROR(
        tfn_arena_alloc(&batch->arena, load->n_replies, sizeof(size_t), &commands, err));
    TFN_RETURN_IF_ERROR(tfn_arena_alloc_zero(&batch->arena, load->n_replies,
                                             sizeof(const tfn_redis_reply *), &replies, err));
    load->commands = (size_t *)commands;
    lane->replies = (const tfn_redis_reply **)replies;
    if (is_whole) {
        lane->request = tfn_buf_get_str(&batch->bytes);
        return TFN_OK;
    }
    void *bytes = NULL;
    TFN_RETURN_IF_ERROR(tfn_arena_alloc(&batch->arena, load->n_bytes, 1, &bytes, err));
    load->bytes = (char *)bytes;
    lane->request = (tfn_str){load->bytes, load->n_bytes};
    return TFN_OK;
}

static void load_bytes(cargo *load, const char *bytes, size_t n_bytes, size_t *at)
{
    if (load->bytes != NULL) {
        memcpy(load->bytes + *at, bytes, n_bytes);
        *at += n_bytes;
    }
}

static void load_lane(tfn_redis_batch *batch, size_t i_lane)
{
    cargo *load = &batch->cargoes[i_lane];
    size_t at = 0;
    size_t n = 0;
    for (size_t i = 0; i < batch->n_commands; i++) {
        const command *c = &batch->commands[i];
        if (c->reply != NULL || c->lane != i_lane) {
            continue;
        }
        if (c->is_asking) {
            load->commands[n++] = ASKING_REPLY;
            load_bytes(load, ASKING, sizeof(ASKING) - 1, &at);
        }
        load->commands[n++] = i;
        load_bytes(load, batch->bytes.p + c->begin, c->n_bytes, &at);
    }
    assert(n == load->n_replies);
    batch->lanes[i_lane].n_wanted = n;
}

/* Lanes, filled but not connected. */
static tfn_code route(tfn_redis_batch *batch, run_state *run, tfn_error *err)
{
    tfn__redis_topology topology;
    size_t n_dealt = 0;
    tfn_code rc = TFN_OK;
    batch->n_lanes = 0;
    TFN_RETURN_IF_ERROR(tfn__redis_topology_get(batch->redis, run->end_s, &topology, err));
    TFN_GOTO_IF_ERROR(rc, deal(batch, &topology, run, &n_dealt, err), done);
    const bool is_whole = batch->n_lanes == 1 && n_dealt == batch->n_commands &&
                          batch->cargoes[0].n_replies == n_dealt;
    for (size_t i = 0; i < batch->n_lanes; i++) {
        TFN_GOTO_IF_ERROR(rc, make_room(batch, i, is_whole, err), done);
        load_lane(batch, i);
    }
done:
    tfn__redis_topology_release(&topology);
    return rc;
}

/* ---- exchange ---- */

static void give_all(tfn_redis_batch *batch)
{
    for (size_t i = 0; i < batch->n_lanes; i++) {
        tfn__redis_lane *lane = &batch->lanes[i];
        if (lane->is_late && lane->err.code == TFN_OK) {
            tfn__redis_node_put_back(lane->node, lane->connection);
        } else {
            tfn__redis_node_give(lane->node, lane->connection, lane->err.code == TFN_OK);
        }
        lane->connection = NULL;
    }
}

static tfn_code connect_all(tfn_redis_batch *batch, run_state *run, tfn_error *err)
{
    const bool is_fresh = run->is_fresh;
    run->is_fresh = false;
    for (size_t i = 0; i < batch->n_lanes; i++) {
        tfn__redis_lane *lane = &batch->lanes[i];
        const tfn_code rc =
            tfn__redis_node_take(lane->node, is_fresh, run->end_s, &lane->connection, err);
        if (rc != TFN_OK) {
            for (size_t k = 0; k < i; k++) { /* nothing was asked through these */
                tfn__redis_node_put_off_trial(batch->lanes[k].node);
                tfn__redis_node_put_back(batch->lanes[k].node, batch->lanes[k].connection);
                batch->lanes[k].connection = NULL;
            }
            return rc;
        }
    }
    return TFN_OK;
}

/* ---- judge ---- */

static tfn_str word_of(tfn_str *text)
{
    size_t n = 0;
    while (n < text->n && text->p[n] != ' ') {
        n++;
    }
    const tfn_str word = {text->p, n};
    const size_t n_passed = n < text->n ? n + 1 : n;
    *text = (tfn_str){text->p + n_passed, text->n - n_passed};
    return word;
}

/* "MOVED 3999 127.0.0.1:6381": an empty host is the one that says so. */
static tfn_code redirect(tfn_redis_batch *batch, command *c, const tfn__redis_node *from,
                         tfn_str text, tfn_error *err)
{
    const tfn_str kind = word_of(&text);
    (void)word_of(&text); /* the slot */
    const tfn_str address = word_of(&text);
    size_t colon = address.n;
    while (colon > 0 && address.p[colon - 1] != ':') {
        colon--;
    }
    int port = 0;
    for (size_t i = colon; i < address.n && port < 65536; i++) {
        const char digit = address.p[i];
        port = digit >= '0' && digit <= '9' ? port * 10 + (digit - '0') : 65536;
    }
    if (colon == 0 || port < 1 || port > 65535) {
        return TFN_FAIL(err, TFN_CORRUPT, "Redis at %s:%d redirects to no address ('%.*s')",
                        from->host, from->port, TFN_STR_ARG(address));
    }
    tfn_str host = {address.p, colon - 1};
    if (host.n == 0 || tfn_str_is(host, "?")) {
        host = tfn_str_of(from->host);
    }
    TFN_RETURN_IF_ERROR(tfn__redis_get_node(batch->redis, host, port, false, &c->moved_to, err));
    c->is_asking = tfn_str_is(kind, "ASK");
    return TFN_OK;
}

/* Only time helps; and it may be long, so that the breaker counts it in the end. */
static bool is_loading(tfn_str text)
{
    return tfn_str_starts_with(text, "LOADING") || tfn_str_starts_with(text, "MASTERDOWN");
}

static bool is_put_off(tfn_str text)
{
    return is_loading(text) || tfn_str_starts_with(text, "TRYAGAIN") ||
           tfn_str_starts_with(text, "CLUSTERDOWN");
}

static tfn_code judge_error(tfn_redis_batch *batch, command *c, tfn__redis_lane *lane,
                            const tfn_redis_reply *reply, run_state *run, tfn_error *err)
{
    tfn__redis_node *node = lane->node;
    const tfn_redis_kind kind = batch->redis->config.kind;
    const bool is_moved = tfn_str_starts_with(reply->text, "MOVED ");
    if (kind == TFN_REDIS_CLUSTER && (is_moved || tfn_str_starts_with(reply->text, "ASK "))) {
        run->must_refresh = run->must_refresh || is_moved;
        (void)TFN_FAIL(&run->put_off, TFN_UNAVAILABLE,
                       "Redis at %s:%d redirects without end (%.*s); check the cluster's slots",
                       node->host, node->port, TFN_STR_ARG(reply->text));
        return redirect(batch, c, node, reply->text, err);
    }
    if (is_moved) {
        return TFN_FAIL(err, TFN_INVALID,
                        "Redis at %s:%d is a node of a cluster; use redis_type: redis_cluster",
                        node->host, node->port);
    }
    if (tfn_str_starts_with(reply->text, "NOAUTH")) {
        return TFN_FAIL(err, TFN_INVALID,
                        "Redis at %s:%d asks for a password, and none is configured", node->host,
                        node->port);
    }
    const bool is_demoted =
        kind != TFN_REDIS_SINGLE && tfn_str_starts_with(reply->text, "READONLY");
    if (is_demoted || is_put_off(reply->text)) {
        run->must_pause = true;
        run->must_refresh =
            run->must_refresh || is_demoted || tfn_str_starts_with(reply->text, "CLUSTERDOWN");
        c->moved_to = NULL;
        c->is_asking = false;
        if (is_loading(reply->text)) {
            lane->is_late = true;
            run->late = node;
        }
        (void)TFN_FAIL(&run->put_off, TFN_UNAVAILABLE, "Redis at %s:%d is not ready: %.*s",
                       node->host, node->port, TFN_STR_ARG(reply->text));
        return TFN_OK;
    }
    c->reply = reply; /* the caller's */
    return TFN_OK;
}

static tfn_code judge_lane(tfn_redis_batch *batch, size_t i_lane, run_state *run, tfn_error *err)
{
    tfn__redis_lane *lane = &batch->lanes[i_lane];
    for (size_t i = 0; i < lane->n_replies; i++) {
        const size_t i_command = batch->cargoes[i_lane].commands[i];
        if (i_command == ASKING_REPLY) {
            continue;
        }
        command *c = &batch->commands[i_command];
        if (lane->replies[i]->type == TFN_REDIS_ERROR) {
            TFN_RETURN_IF_ERROR(judge_error(batch, c, lane, lane->replies[i], run, err));
        } else {
            c->reply = lane->replies[i];
        }
    }
    return TFN_OK;
}

/* A lane that ended early. TFN_OK: its commands are pending, and may go again. */
static tfn_code judge_failure(tfn_redis_batch *batch, size_t i_lane, run_state *run, tfn_error *err)
{
    tfn__redis_lane *lane = &batch->lanes[i_lane];
    if (lane->is_dead && !lane->connection->is_fresh) {
        run->is_fresh = true; /* it was idle and closed: says nothing of the node */
        (void)TFN_FAIL(&run->put_off, TFN_UNAVAILABLE,
                       "Redis at %s:%d hangs up again and again: %s", lane->node->host,
                       lane->node->port, lane->err.message);
        return TFN_OK;
    }
    const tfn_code rc = tfn__redis_node_fail(lane->node, &lane->err);
    (void)tfn_error_move(err, &lane->err);
    return rc;
}

static void forget_redirections(tfn_redis_batch *batch)
{
    for (size_t i = 0; i < batch->n_commands; i++) {
        batch->commands[i].moved_to = NULL;
        batch->commands[i].is_asking = false;
    }
}

static bool is_pending(const tfn_redis_batch *batch)
{
    for (size_t i = 0; i < batch->n_commands; i++) {
        if (batch->commands[i].reply == NULL) {
            return true;
        }
    }
    return false;
}

/* One round. An error that a refreshed topology may cure: TFN_UNAVAILABLE. */
static tfn_code go_round(tfn_redis_batch *batch, run_state *run, tfn_error *err)
{
    run->must_pause = run->must_refresh = false;
    run->late = NULL;
    TFN_RETURN_IF_ERROR(route(batch, run, err));
    TFN_RETURN_IF_ERROR(connect_all(batch, run, err));
    const double timeout_s = tfn__redis_seconds(batch->redis->config.timeout_ms);
    const double now_s = tfn_clock_monotonic_s();
    const double end_s = run->end_s < now_s + timeout_s ? run->end_s : now_s + timeout_s;
    tfn__redis_exchange(batch->lanes, batch->n_lanes, batch->polls, &batch->arena, end_s);
    tfn_code worst = TFN_OK;
    for (size_t i = 0; i < batch->n_lanes; i++) {
        tfn_error failure = {0};
        tfn_code rc = judge_lane(batch, i, run, &failure);
        if (rc == TFN_OK && batch->lanes[i].err.code != TFN_OK) {
            rc = judge_failure(batch, i, run, &failure);
        }
        if (rc != TFN_OK && (worst == TFN_OK || worst == TFN_UNAVAILABLE)) {
            worst = rc;
            (void)tfn_error_move(err, &failure);
        }
    }
    give_all(batch);
    return worst;
}

static void pause_a_while(const run_state *run)
{
    double pause_s = FIRST_PAUSE_S;
    for (int i = 0; i < run->n_rounds && pause_s < MAX_PAUSE_S; i++) {
        pause_s *= 2;
    }
    const double left_s = run->end_s - tfn_clock_monotonic_s();
    pause_s = pause_s < left_s ? pause_s : left_s;
    if (pause_s > 0) {
        const struct timespec wait = {.tv_nsec = (long)(pause_s * 1e9)};
        (void)nanosleep(&wait, NULL); /* a signal that ends it early does no harm */
    }
}

static bool is_over(const run_state *run, double least_s)
{
    return run->end_s - tfn_clock_monotonic_s() <= least_s;
}

/* The time is over: why something is pending. */
static tfn_code give_up(const run_state *run, tfn_error *failure)
{
    if (run->late != NULL) {
        tfn__redis_node_note_late(run->late, &run->put_off);
    }
    *failure = run->put_off;
    return failure->code;
}

/* After a round that left something pending, or failed: may another one help? */
static tfn_code prepare_next(tfn_redis_batch *batch, run_state *run, tfn_code rc,
                             tfn_error *failure)
{
    if (rc != TFN_OK) {
        const bool is_curable = rc == TFN_UNAVAILABLE &&
                                batch->redis->config.kind != TFN_REDIS_SINGLE &&
                                ++run->n_failures < MAX_FAILURES;
        if (!is_curable) {
            return rc;
        }
        forget_redirections(batch);
        run->must_refresh = true;
        run->put_off = *failure;
    }
    /* A round that begins at the last moment would tell of its time-out, not of what it waited for. */
    const double least_s = run->must_pause ? 2 * MAX_PAUSE_S : 0;
    if (is_over(run, least_s)) {
        return give_up(run, failure);
    }
    if (run->must_pause || run->n_rounds >= MAX_FREE_ROUNDS) {
        pause_a_while(run);
    }
    if (run->must_refresh) {
        tfn_error why = {0};
        const tfn_code asked = tfn__redis_topology_refresh(batch->redis, run->end_s, &why);
        /* Nobody there to ask: the next round goes by what is known, and its outcome is told. */
        if (asked != TFN_OK && asked != TFN_UNAVAILABLE) {
            return tfn_error_move(failure, &why);
        }
        if (is_over(run, 0)) {
            return give_up(run, failure);
        }
    }
    run->n_rounds++;
    return TFN_OK;
}

tfn_code tfn_redis_batch_run(tfn_redis_batch *batch, tfn_error *err)
{
    const tfn_redis_config *config = &batch->redis->config;
    run_state run = {.end_s = tfn_clock_monotonic_s() +
                              tfn__redis_seconds(config->connect_timeout_ms + config->timeout_ms)};
    tfn_arena_reset(&batch->arena);
    forget_redirections(batch);
    for (size_t i = 0; i < batch->n_commands; i++) {
        batch->commands[i].reply = NULL;
    }
    while (is_pending(batch)) {
        tfn_error failure = {0};
        tfn_code rc = go_round(batch, &run, &failure);
        if (rc == TFN_OK && !is_pending(batch)) {
            return TFN_OK;
        }
        rc = prepare_next(batch, &run, rc, &failure);
        if (rc != TFN_OK) {
            return tfn_error_move(err, &failure);
        }
    }
    return TFN_OK;
}
