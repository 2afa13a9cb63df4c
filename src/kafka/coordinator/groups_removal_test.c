/* groups_removal_test.c: when offsets and groups go, to the millisecond, and what of them is read back; and offsets that the bridge has
 * appended. On the simulator: a coordinator of one partition. */
#include "kafka/coordinator/groups_internal.h"
#include "kafka/partition/partition_test_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define RETENTION_MINUTES 10
#define RETENTION_MS      (RETENTION_MINUTES * 60000)
#define GROUP             BYTES_LIT("g")
#define TOPIC             BYTES_LIT("orders")

typedef struct world {
    partition_host_t *host;
    kafka_groups_t *groups;
} world_t;

/* The loop knows what time it is when it has something to do. */
static void pass(const world_t *w, uint64_t ms)
{
    sim_run_for(w->host->sim, ms);
    io_loop_wake(w->host->kafka.loop);
    sim_run_for(w->host->sim, 0);
}

static world_t *world_new(uint64_t seed)
{
    world_t *w = calloc(1, sizeof(*w));
    w->host = partition_host_new(seed);
    w->host->topic.name = GROUPS_TOPIC;
    w->host->topic.name_len = sizeof(GROUPS_TOPIC) - 1;
    w->host->kafka.config.offsets_retention_minutes = RETENTION_MINUTES;
    w->host->kafka.config.offsets_retention_check_interval_ms = INT32_MAX; /* the tests begin the rounds */
    w->host->topic.config.segment_bytes = 1 << 20;
    partition_host_start(w->host);
    w->host->state.leader = w->host->kafka.broker_id;
    w->groups = w->host->kafka.groups = kafka_groups_new(&w->host->kafka);
    LIST_EACH(&w->host->kafka.topic_listeners, listener, kafka_topic_listener_t, node)
        listener->created(listener, &w->host->topic);
    pass(w, 100);
    return w;
}

static void world_free(world_t *w)
{
    kafka_groups_free(w->groups);
    partition_host_stop(w->host);
    partition_host_free(w->host);
    free(w);
}

static int64_t now_ms(const world_t *w) { return groups_now(w->groups).wall_ms; }

static group_entry_t *find(const world_t *w)
{
    group_entry_t *entry = NULL;
    assert_int_equal(groups_find(w->groups, GROUP, &entry), KAFKA_NONE);
    return entry;
}

static group_entry_t *find_or_create(const world_t *w)
{
    group_entry_t *entry = find(w);
    return entry ? entry : groups_create(w->groups, GROUP);
}

/* As OffsetCommit does it. */
static void commit(const world_t *w, int32_t partition, int64_t offset, int64_t commit_ms, int64_t expire_ms)
{
    group_entry_t *entry = find_or_create(w);
    group_offset_t o = {offset, -1, BYTES_LIT(""), commit_ms, expire_ms};
    runtime_write_t *write = runtime_write_new(w->groups->runtime);
    group_records_add_offset(&write->batch, GROUP, TOPIC, partition, &o);
    runtime_write_unheard(w->groups->runtime, 0, write);
    groups_offset_put(entry, TOPIC, partition, &o);
}

/* -1 = there is none. */
static int64_t committed(const world_t *w, int32_t partition)
{
    const group_entry_t *entry = find(w);
    const group_offset_t *offset = entry ? group_offsets_get(&entry->offsets, TOPIC, partition) : NULL;
    return offset ? offset->offset : -1;
}

static void expire(const world_t *w)
{
    for (bool begins = true; groups__expire(w->groups, begins);) begins = false;
}

static int64_t log_end(const world_t *w) { return partition_log_end_offset(w->host->p); }

static void read_back(const world_t *w)
{
    runtime_lost(w->groups->runtime, 0);
    runtime_gained(w->groups->runtime, 0);
    pass(w, 100);
}

/* ---- retention ---- */

static void an_offset_goes_when_its_retention_has_passed_and_its_group_with_it(void **state)
{
    world_t *w = world_new(1);
    commit(w, 0, 7, now_ms(w) - RETENTION_MS + 1, -1);
    expire(w);
    assert_int_equal(committed(w, 0), 7);
    commit(w, 0, 7, now_ms(w) - RETENTION_MS, -1);
    expire(w);
    assert_null(find(w));
    read_back(w);
    assert_null(find(w));
    world_free(w);
}

static void an_offset_may_bring_a_time_of_its_own(void **state)
{
    world_t *w = world_new(2);
    commit(w, 0, 7, now_ms(w) - 2 * RETENTION_MS, now_ms(w) + 1);
    expire(w);
    assert_int_equal(committed(w, 0), 7);
    commit(w, 0, 7, now_ms(w), now_ms(w));
    expire(w);
    assert_int_equal(committed(w, 0), -1);
    world_free(w);
}

static void a_group_stays_as_long_as_one_of_its_offsets(void **state)
{
    world_t *w = world_new(3);
    commit(w, 0, 7, now_ms(w) - RETENTION_MS, -1);
    commit(w, 1, 8, now_ms(w), -1);
    int64_t end = log_end(w);
    expire(w);
    assert_int_equal(log_end(w), end + 1); /* one tombstone, none for the group */
    assert_int_equal(committed(w, 0), -1);
    assert_int_equal(committed(w, 1), 8);
    read_back(w);
    assert_int_equal(committed(w, 0), -1);
    assert_int_equal(committed(w, 1), 8);
    world_free(w);
}

/* Its commits are still to come. */
static void a_group_with_an_open_transaction_stays(void **state)
{
    world_t *w = world_new(4);
    commit(w, 0, 7, now_ms(w) - RETENTION_MS, -1);
    group_offset_t pending = {9, -1, BYTES_LIT(""), now_ms(w), -1};
    groups_offset_put_pending(find(w), 5, TOPIC, 0, &pending);
    int64_t end = log_end(w);
    expire(w);
    assert_int_equal(log_end(w), end + 1);
    assert_non_null(find(w));
    assert_int_equal(committed(w, 0), -1);
    groups_txn_end(w->groups, 0, 5, true);
    assert_int_equal(committed(w, 0), 9);
    world_free(w);
}

static bool subscribed_to_all(const group_entry_t *entry, bytes_t topic) { return true; }

/* However long ago they were committed: whoever reads the topic would begin anew. */
static void offsets_of_a_topic_that_members_read_stay(void **state)
{
    world_t *w = world_new(9);
    commit(w, 0, 7, now_ms(w) - RETENTION_MS, -1);
    group_entry_t *entry = find(w);
    const groups_type_t *type = entry->type;
    groups_type_t subscribed = *type;
    subscribed.subscribed = subscribed_to_all;
    entry->type = &subscribed;
    expire(w);
    assert_int_equal(committed(w, 0), 7);
    entry->type = type;
    expire(w);
    assert_null(find(w));
    world_free(w);
}

/* ---- removals ---- */

/* It began while the removal was written. */
static void a_removal_leaves_the_group_to_a_transaction_that_is_open(void **state)
{
    world_t *w = world_new(10);
    commit(w, 0, 7, now_ms(w), -1);
    groups_removal_t *removal = groups_removal_new(find(w), NULL, NULL);
    groups_removal_add_group(removal);
    group_offset_t pending = {9, -1, BYTES_LIT(""), now_ms(w), -1};
    groups_offset_put_pending(find(w), 5, TOPIC, 0, &pending);
    groups_removal_run(removal);
    pass(w, 100);
    assert_int_equal(committed(w, 0), -1);
    assert_non_null(find(w));
    groups_txn_end(w->groups, 0, 5, true);
    assert_int_equal(committed(w, 0), 9);
    world_free(w);
}

static void what_is_committed_again_before_its_tombstone_stays(void **state)
{
    for (int changed = 0; changed < 3; changed++) { /* nothing, the offset, the time alone */
        world_t *w = world_new(5);
        int64_t at_ms = now_ms(w);
        commit(w, 0, 7, at_ms, -1);
        commit(w, 2, 3, at_ms, -1);
        groups_removal_t *removal = groups_removal_new(find(w), NULL, NULL);
        groups_removal_add_offset(removal, TOPIC, 0);
        groups_removal_add_offset(removal, TOPIC, 1); /* there is none */
        groups_removal_add_offset(removal, TOPIC, 2);
        if (changed) commit(w, 0, 7 + (changed == 1), at_ms + (changed == 2), -1);
        groups_removal_run(removal);
        pass(w, 100);
        int64_t expected = changed == 0 ? -1 : 7 + (changed == 1);
        assert_int_equal(committed(w, 0), expected);
        assert_int_equal(committed(w, 2), -1);
        read_back(w);
        assert_int_equal(committed(w, 0), expected);
        world_free(w);
    }
}

/* More tombstones than fit a batch. */
static void a_group_of_many_offsets_goes_whole(void **state)
{
    world_t *w = world_new(6);
    for (int32_t p = 0; p < 10000; p++) {
        group_offset_t o = {p, -1, BYTES_LIT(""), now_ms(w), -1};
        groups_offset_put(find_or_create(w), TOPIC, p, &o);
    }
    groups_removal_t *removal = groups_removal_new(find(w), NULL, NULL);
    groups_removal_add_group(removal);
    groups_removal_run(removal);
    pass(w, 1000);
    assert_null(find(w));
    world_free(w);
}

/* ---- offsets that the bridge has appended ---- */

static void apply(const world_t *w, int64_t offset)
{
    buf_t bytes = BUF_INIT;
    kafka_produce_t record;
    kafka_commit_t c = {GROUP, TOPIC, 0, offset, BYTES_LIT("")};
    kafka_commit_record(&c, now_ms(w), &bytes, &record);
    assert_int_equal(groups_outbox_check(&w->host->kafka, &record), KAFKA_NONE);
    groups_outbox_apply(&w->host->kafka, &record);
    buf_deinit(&bytes);
}

static kafka_code_t settled(const world_t *w)
{
    group_entry_t *entry;
    return groups_find_settled(w->groups, GROUP, &entry);
}

/* Until then nobody is told of it, and nobody is told of what it replaces. */
static void an_offset_of_the_bridge_counts_from_stable_storage_on(void **state)
{
    world_t *w = world_new(7);
    commit(w, 0, 1, now_ms(w), -1);
    w->host->topic.config.flush_messages = 1;
    partition_configure(w->host->p);
    commit(w, 1, 1, now_ms(w), -1); /* what the sync is for */
    uint32_t refs = find(w)->refs;
    apply(w, 41);
    apply(w, 42);
    assert_int_equal(committed(w, 0), 1);
    assert_int_equal(settled(w), KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    pass(w, 1000);
    assert_int_equal(settled(w), KAFKA_NONE);
    assert_int_equal(committed(w, 0), 42);
    assert_int_equal(find(w)->refs, refs);
    w->host->topic.config.flush_messages = INT64_MAX;
    partition_configure(w->host->p);
    apply(w, 43); /* is stable as it is */
    assert_int_equal(committed(w, 0), 43);
    world_free(w);
}

static void an_offset_that_never_was_stable_is_not_taken_over(void **state)
{
    world_t *w = world_new(8);
    w->host->topic.config.flush_messages = 1;
    partition_configure(w->host->p);
    commit(w, 1, 1, now_ms(w), -1); /* what the sync is for */
    group_entry_t *entry = find(w);
    apply(w, 42);
    assert_false(list_empty(&entry->applying));
    group_entry_ref(entry);
    runtime_lost(w->groups->runtime, 0);
    assert_true(list_empty(&entry->applying));
    assert_null(group_offsets_get(&entry->offsets, TOPIC, 0));
    group_entry_unref(entry);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_offset_goes_when_its_retention_has_passed_and_its_group_with_it),
        cmocka_unit_test(an_offset_may_bring_a_time_of_its_own),
        cmocka_unit_test(a_group_stays_as_long_as_one_of_its_offsets),
        cmocka_unit_test(a_group_with_an_open_transaction_stays),
        cmocka_unit_test(offsets_of_a_topic_that_members_read_stay),
        cmocka_unit_test(a_removal_leaves_the_group_to_a_transaction_that_is_open),
        cmocka_unit_test(what_is_committed_again_before_its_tombstone_stays),
        cmocka_unit_test(a_group_of_many_offsets_goes_whole),
        cmocka_unit_test(an_offset_of_the_bridge_counts_from_stable_storage_on),
        cmocka_unit_test(an_offset_that_never_was_stable_is_not_taken_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
