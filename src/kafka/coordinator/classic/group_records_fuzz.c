/* Feeds hostile bytes to what reads __consumer_offsets and __share_group_state: records are decoded, groups loaded from them, their
 * members' subscriptions searched, and what was loaded lives through its sessions. */
#include "kafka/coordinator/classic/group_records.h"
#include "kafka/coordinator/consumer/consumer_records.h"
#include "kafka/coordinator/share/share_group_records.h"
#include "kafka/coordinator/share/share_state_records.h"

#include "kafka/errors.h"
#include "kafka_schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_joined(void *user, group_t *g, void *request, const group_join_reply_t *reply) {}
static void on_synced(void *user, group_t *g, void *request, const group_sync_reply_t *reply) {}
static void on_store(void *user, group_t *g, group_store_t *store) {}
static void on_random(void *user, void *out, size_t bytes) { memset(out, 0, bytes); }

static void load(const group_record_t *record)
{
    const group_host_t host = {on_joined, on_synced, on_store, on_random};
    runtime_now_t now = {1, 1};
    group_t *g = group_new(record->group_id, &group_config_default, &host, NULL, now);
    if (group_record_load(g, record->group) == 0) {
        group_load_end(g, now);
        (void)group_subscribed(g, BYTES_LIT("t"));
        for (int i = 0; i < 100 && group_deadline_ms(g) != GROUP_NEVER_MS; i++) {
            now.mono_ms = MAX(now.mono_ms, group_deadline_ms(g));
            group_tick(g, now);
            while (!list_empty(&g->stores)) group_stored(g, LIST_FIRST(&g->stores, group_store_t, node), 0, now);
        }
    }
    group_kill(g, KAFKA_NOT_COORDINATOR, now);
    group_free(g);
}

static bool find_topic(void *user, bytes_t name, kafka_uuid_t *ret_id, int32_t *ret_partitions_count)
{
    *ret_id = (kafka_uuid_t){{1}};
    *ret_partitions_count = 3;
    return name.len == 1;
}

static uint64_t topics_version(void *user) { return 1; }

static void each_topic(void *user, void (*each)(void *arg, bytes_t name), void *arg) { each(arg, BYTES_LIT("t")); }
static bool topic_exists(void *user, bytes_t name) { return name.len == 1; }
static void scan_wanted(void *user) {}

/* A consumer-protocol group from one record; then it is stored again, and time passes. */
static void load_consumer(bytes_t key, bytes_t value, arena_t *arena)
{
    const consumer_config_t config = {45000, 5000, 100};
    const topic_patterns_host_t patterns_host = {each_topic, topic_exists, scan_wanted};
    consumer_host_t host = {.topic = find_topic, .topics_version = topics_version};
    consumer_record_kind_t kind;
    bytes_t group_id;
    if (consumer_record_group(key, &kind, &group_id) != 0) return;
    host.patterns = topic_patterns_new(&patterns_host, NULL);
    consumer_group_t *g = consumer_group_new(group_id, &config, &host, NULL);
    if (consumer_record_load(g, key, value, arena) == 0) {
        consumer_load_end(g, (runtime_now_t){1, 1});
        (void)consumer_subscribed(g, BYTES_LIT("t"));
        consumer_tick(g, (runtime_now_t){1000000, 1});
        runtime_batch_t records = {RECORD_BUILDER_INIT, 1};
        (void)consumer_records_add(&records, g);
        record_builder_deinit(&records.builder);
    }
    consumer_group_free(g);
    topic_patterns_free(host.patterns);
}

/* The same of a share group. */
static void load_share(bytes_t key, bytes_t value, arena_t *arena)
{
    const consumer_config_t config = {45000, 5000, 100};
    const share_group_host_t host = {find_topic, topics_version};
    share_group_record_kind_t kind;
    bytes_t group_id;
    tp_set_t fresh = {0}, grown = {0};
    if (share_group_record_group(key, &kind, &group_id) != 0) return;
    share_group_t *g = share_group_new(group_id, &config, &host, NULL);
    if (share_group_record_load(g, key, value, arena) == 0) {
        share_group_load_end(g, (runtime_now_t){1, 1});
        share_group_want_states(g, (runtime_now_t){1, 1}, &fresh, &grown);
        share_group_states_made(g, &fresh);
        share_group_assign(g);
        share_group_tick(g, (runtime_now_t){1000000, 1});
        runtime_batch_t records = {RECORD_BUILDER_INIT, 1};
        (void)share_group_records_add(&records, g);
        record_builder_deinit(&records.builder);
    }
    tp_set_deinit(&fresh);
    tp_set_deinit(&grown);
    share_group_free(g);
}

/* A share partition's state, laid over itself. */
static void load_state(bytes_t key, bytes_t value, arena_t *arena)
{
    share_state_record_t record;
    size_t count;
    if (share_state_record_decode(key, value, arena, &record) != 0) return;
    const share_state_value_t *v = &record.value;
    mem_free(
        share_state_batches_lay(v->batches, v->batches_count, v->batches, v->batches_count, v->start_offset, &count));
}

/* The key's length, the key, the value. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || (size_t)data[0] + 1 > size) return 0;
    bytes_t key = bytes_of(data + 1, data[0]);
    bytes_t value = bytes_of(data + 1 + key.len, size - 1 - key.len);
    arena_t arena;
    arena_init(&arena, MIB(16));
    group_record_t record;
    if (group_record_decode(key, value, &arena, &record) == 0 && record.kind == GROUP_RECORD_GROUP) load(&record);
    load_consumer(key, value, &arena);
    load_share(key, value, &arena);
    load_state(key, value, &arena);
    arena_deinit(&arena);
    return 0;
}
