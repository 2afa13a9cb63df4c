/* group_test_host.c: see group_test_host.h. */
#include "kafka/coordinator/classic/group_test_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void copy_text(char out[TEST_TEXT_MAX], bytes_t b)
{
    snprintf(out, TEST_TEXT_MAX, "%.*s", (int)b.len, b.ptr ? (const char *)b.ptr : "");
}

static test_reply_t *answer(test_host_t *h, void *request)
{
    uintptr_t n = (uintptr_t)request;
    assert_in_range(n, 1, h->requests);
    assert_int_equal(h->replies[n].answers, 0);
    h->replies[n].answers++;
    return &h->replies[n];
}

static void on_joined(void *user, group_t *g, void *request, const group_join_reply_t *reply)
{
    test_reply_t *r = answer(user, request);
    r->error = reply->error;
    r->generation = reply->generation;
    r->skip_assignment = reply->skip_assignment;
    r->with_members = reply->with_members;
    copy_text(r->protocol, reply->protocol_name);
    copy_text(r->leader, reply->leader);
    copy_text(r->member_id, reply->member_id);
    if (!reply->with_members) return;
    LIST_EACH(&g->members, m, group_member_t, node) {
        assert_non_null(group_member_metadata(m, reply->protocol_name).ptr);
        r->members++;
    }
}

static void on_synced(void *user, group_t *g, void *request, const group_sync_reply_t *reply)
{
    test_reply_t *r = answer(user, request);
    r->error = reply->error;
    copy_text(r->protocol, reply->protocol_name);
    copy_text(r->assignment, reply->assignment);
}

static void on_store(void *user, group_t *g, group_store_t *store)
{
    test_host_t *h = user;
    assert_in_range(h->stores_count, 0, ARRAY_LEN(h->stores) - 1);
    h->stores[h->stores_count++] = store;
    if (store->kind == GROUP_STORE_EMPTY) h->stored_empty++;
    if (store->kind == GROUP_STORE_ASSIGNMENT) h->stored_assignment++;
    if (store->kind == GROUP_STORE_STATIC) h->stored_static++;
}

static void on_random(void *user, void *out, size_t bytes)
{
    test_host_t *h = user;
    for (size_t i = 0; i < bytes; i++) {
        h->random = h->random * 6364136223846793005u + 1442695040888963407u;
        ((uint8_t *)out)[i] = (uint8_t)(h->random >> 56);
    }
}

test_host_t *test_host_new(void)
{
    test_host_t *h = mem_zalloc(sizeof(*h));
    h->config = group_config_default;
    h->host = (group_host_t){on_joined, on_synced, on_store, on_random};
    h->now = (runtime_now_t){1000, 1700000000000};
    h->group = group_new(BYTES_LIT("g"), &h->config, &h->host, h, h->now);
    return h;
}

void test_host_free(test_host_t *h)
{
    group_kill(h->group, KAFKA_NOT_COORDINATOR, h->now);
    for (int i = 1; i <= h->requests; i++) assert_int_equal(h->replies[i].answers, 1);
    group_free(h->group);
    mem_free(h);
}

void test_host_flush(test_host_t *h)
{
    while (h->stores_count) {
        group_store_t *store = h->stores[0];
        memmove(h->stores, h->stores + 1, sizeof(h->stores[0]) * (size_t)--h->stores_count);
        group_stored(h->group, store, h->store_error, h->now);
    }
}

static void after_input(test_host_t *h)
{
    if (!h->hold_stores) test_host_flush(h);
}

void test_host_advance(test_host_t *h, int64_t ms)
{
    int64_t end = h->now.mono_ms + ms;
    while (h->group->state != GROUP_DEAD && group_deadline_ms(h->group) <= end) {
        int64_t due = MAX(group_deadline_ms(h->group), h->now.mono_ms);
        h->now.wall_ms += due - h->now.mono_ms;
        h->now.mono_ms = due;
        group_tick(h->group, h->now);
        assert_true(group_deadline_ms(h->group) > due);
        after_input(h);
    }
    h->now.wall_ms += end - h->now.mono_ms;
    h->now.mono_ms = end;
}

static bytes_t or_null(const char *s) { return s ? bytes_str(s) : BYTES_NULL; }

int test_join(test_host_t *h, test_member_t member)
{
    group_protocol_t protocols[8];
    char metadata[8][TEST_TEXT_MAX];
    size_t count = 0;
    const char *at = member.protocols ? member.protocols : "range";
    while (*at) {
        size_t len = strcspn(at, ",");
        snprintf(metadata[count], TEST_TEXT_MAX, "m-%.*s", (int)len, at);
        protocols[count] = (group_protocol_t){bytes_of(at, len), bytes_str(metadata[count])};
        if (count == 0 && member.metadata) protocols[0].metadata = bytes_str(member.metadata);
        count++;
        at += len + (at[len] == ',');
    }
    int version = member.version ? member.version : 9;
    assert_in_range(h->requests, 0, TEST_REQUESTS_MAX - 2);
    uintptr_t request = (uintptr_t)++h->requests;
    group_join_t join = {
        .member_id = or_null(member.id ? member.id : ""),
        .instance_id = or_null(member.instance),
        .client_id = BYTES_LIT("client"),
        .client_host = BYTES_LIT("/127.0.0.1"),
        .protocol_type = bytes_str(member.type ? member.type : "consumer"),
        .protocols = protocols,
        .protocols_count = count,
        .session_timeout_ms = member.session_ms ? member.session_ms : 10000,
        .rebalance_timeout_ms = member.rebalance_ms ? member.rebalance_ms : 60000,
        .member_id_required = version >= 4,
        .skip_assignment_known = version >= 9,
        .request = (void *)request,
    };
    group_join(h->group, &join, h->now);
    after_input(h);
    return (int)request;
}

int test_sync(test_host_t *h, const char *id, const char *instance, int32_t generation, const char *assignments)
{
    group_assignment_t table[64];
    size_t count = 0;
    for (const char *at = assignments; at && *at;) {
        size_t name = strcspn(at, "="), value = strcspn(at + name + 1, " ");
        table[count++] = (group_assignment_t){bytes_of(at, name), bytes_of(at + name + 1, value)};
        at += name + 1 + value;
        at += *at == ' ';
    }
    uintptr_t request = (uintptr_t)++h->requests;
    group_sync_t sync = {
        .member_id = bytes_str(id),
        .instance_id = or_null(instance),
        .generation = generation,
        .assignments = table,
        .assignments_count = count,
        .request = (void *)request,
    };
    group_sync(h->group, &sync, h->now);
    after_input(h);
    return (int)request;
}

kafka_code_t test_heartbeat(test_host_t *h, const char *id, int32_t generation)
{
    return group_heartbeat(h->group, bytes_str(id), BYTES_NULL, generation, h->now);
}

kafka_code_t test_leave(test_host_t *h, const char *id, const char *instance)
{
    group_leaver_t leaver = {.member_id = bytes_str(id), .instance_id = or_null(instance)};
    kafka_code_t error = group_leave(h->group, &leaver, 1, h->now);
    after_input(h);
    return error ? error : leaver.error;
}

int test_error(test_host_t *h, int request)
{
    return h->replies[request].answers ? h->replies[request].error : NO_REPLY;
}

int test_join_twice(test_host_t *h, test_member_t member)
{
    int first = test_join(h, member);
    assert_int_equal(test_error(h, first), KAFKA_MEMBER_ID_REQUIRED);
    member.id = h->replies[first].member_id;
    return test_join(h, member);
}

void test_stable_group(test_host_t *h, int count, char (*ids)[TEST_TEXT_MAX])
{
    int joins[64], syncs[64];
    char assignments[64 * 2 * TEST_TEXT_MAX] = "";
    for (int i = 0; i < count; i++) joins[i] = test_join_twice(h, (test_member_t){.protocols = "range,roundrobin"});
    test_host_advance(h, 0);
    for (int i = 0; i < count; i++) {
        assert_int_equal(test_error(h, joins[i]), KAFKA_NONE);
        memcpy(ids[i], h->replies[joins[i]].member_id, TEST_TEXT_MAX);
        size_t at = strlen(assignments);
        snprintf(assignments + at, sizeof(assignments) - at, "%s%s=a%d", i ? " " : "", ids[i], i);
    }
    for (int i = count - 1; i >= 0; i--) {
        syncs[i] = test_sync(h, ids[i], NULL, h->group->generation, i == 0 ? assignments : NULL);
    }
    for (int i = 0; i < count; i++) assert_int_equal(test_error(h, syncs[i]), KAFKA_NONE);
    assert_int_equal(h->group->state, GROUP_STABLE);
}
