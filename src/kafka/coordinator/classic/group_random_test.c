/* group_random_test.c: simulated consumers of one group do random things from a seed: join, sync, heartbeat,
 * leave, die, restart. After every step the counts agree with the members, no request is answered twice, and
 * once the clients behave again the group becomes stable with all of them in the same generation. */
#include "kafka/coordinator/classic/group_test_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define CLIENTS 6
#define STEPS   600
#define SEEDS   60

typedef struct client {
    char id[TEST_TEXT_MAX];
    char instance[8]; /* "" for dynamic clients */
    int request;      /* parked, or 0 */
    bool syncing;
    bool stable;
    int32_t generation;
} client_t;

typedef struct world {
    test_host_t *h;
    client_t clients[CLIENTS];
    uint64_t random;
} world_t;

static uint32_t pick(world_t *w, uint32_t below)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(w->random >> 33) % below;
}

static void check(world_t *w)
{
    group_t *g = w->h->group;
    size_t members = 0, joining = 0;
    bool leader_found = false;
    LIST_EACH(&g->members, m, group_member_t, node) {
        members++;
        joining += m->join_request != NULL;
        leader_found = leader_found || m == g->leader;
        assert_ptr_equal(group_find(g, m->id), m);
        assert_true(m->deadline_ms != GROUP_NEVER_MS || m->join_request || m->sync_request);
        if (m->sync_request) assert_int_equal(g->state, GROUP_COMPLETING_REBALANCE);
    }
    assert_int_equal(members, g->members_count);
    assert_int_equal(joining, g->members_joining);
    assert_int_equal(g->by_id.count, members);
    assert_int_equal(leader_found, members > 0);
    if (g->state == GROUP_EMPTY) assert_int_equal(members, 0);
    if (g->state == GROUP_STABLE || g->state == GROUP_COMPLETING_REBALANCE) assert_true(members > 0);
}

static const char *instance_of(const client_t *c) { return c->instance[0] ? c->instance : NULL; }

static void join(world_t *w, client_t *c)
{
    static const char *const preferences[] = {"range,roundrobin", "roundrobin,range"};
    c->syncing = c->stable = false;
    c->request = test_join(w->h, (test_member_t){.id = c->id,
                                                 .instance = instance_of(c),
                                                 .protocols = preferences[pick(w, 2)],
                                                 .rebalance_ms = 20000});
}

/* What a client does with a reply that has come. */
static void react(world_t *w, client_t *c)
{
    if (!c->request || test_error(w->h, c->request) == NO_REPLY) return;
    const test_reply_t *r = &w->h->replies[c->request];
    c->request = 0;
    if (r->error == KAFKA_MEMBER_ID_REQUIRED) {
        snprintf(c->id, sizeof(c->id), "%s", r->member_id);
    } else if (r->error == KAFKA_UNKNOWN_MEMBER_ID || r->error == KAFKA_FENCED_INSTANCE_ID) {
        c->id[0] = '\0';
    } else if (r->error == KAFKA_NONE && !c->syncing) {
        snprintf(c->id, sizeof(c->id), "%s", r->member_id);
        c->generation = r->generation;
        c->syncing = true;
        c->request = test_sync(w->h, c->id, instance_of(c), c->generation, NULL);
    } else if (r->error == KAFKA_NONE) {
        c->stable = true;
    }
}

static void heartbeat(world_t *w, client_t *c)
{
    bytes_t instance = c->instance[0] ? bytes_str(c->instance) : BYTES_NULL;
    kafka_code_t error = group_heartbeat(w->h->group, bytes_str(c->id), instance, c->generation, w->h->now);
    if (error == KAFKA_NONE) return;
    if (error == KAFKA_UNKNOWN_MEMBER_ID || error == KAFKA_FENCED_INSTANCE_ID) c->id[0] = '\0';
    c->stable = false;
}

static void behave(world_t *w, client_t *c)
{
    react(w, c);
    if (c->request) return;
    if (c->stable) heartbeat(w, c);
    if (!c->stable) join(w, c);
}

static void misbehave(world_t *w, client_t *c)
{
    switch (pick(w, 5)) {
    case 0: /* die and forget all */
        c->id[0] = '\0';
        c->request = 0;
        c->stable = c->syncing = false;
        break;
    case 1: test_leave(w->h, c->id, NULL); break;
    case 2: test_sync(w->h, c->id, instance_of(c), (int32_t)pick(w, 3) + w->h->group->generation - 1, "x=y"); break;
    case 3: join(w, c); break; /* a second time, the first still parked */
    case 4: test_host_flush(w->h); break;
    }
}

static bool all_stable(world_t *w)
{
    for (int i = 0; i < CLIENTS; i++) {
        if (!w->clients[i].stable || w->clients[i].generation != w->h->group->generation) return false;
    }
    return w->h->group->state == GROUP_STABLE && w->h->group->members_count == CLIENTS;
}

static void run(uint64_t seed)
{
    world_t w = {.h = test_host_new(), .random = seed * 7919 + 1};
    if (seed % 3 == 0) w.h->config.initial_rebalance_delay_ms = 3000;
    w.h->hold_stores = seed % 2;
    for (int i = 0; i < CLIENTS / 2; i++) snprintf(w.clients[i].instance, sizeof(w.clients[i].instance), "i%d", i);
    for (int step = 0; step < STEPS; step++) {
        client_t *c = &w.clients[pick(&w, CLIENTS)];
        pick(&w, 4) ? behave(&w, c) : misbehave(&w, c);
        if (w.h->stores_count > 32) test_host_flush(w.h);
        check(&w);
        test_host_advance(w.h, pick(&w, 2) ? 0 : pick(&w, 3000));
        check(&w);
    }
    w.h->hold_stores = false;
    test_host_flush(w.h);
    for (int second = 0; second < 600 && !all_stable(&w); second++) {
        for (int i = 0; i < CLIENTS; i++) behave(&w, &w.clients[i]);
        test_host_advance(w.h, 1000);
        check(&w);
    }
    assert_true(all_stable(&w));
    test_host_free(w.h);
}

static void any_history_ends_stable_once_the_clients_behave(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) run(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_history_ends_stable_once_the_clients_behave)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
