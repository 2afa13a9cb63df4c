/* groups.c: the coordinator's table of groups, the life of its topic, and the way from a group's wish to a
 * stored record. See groups.h. */
#include "base/num.h"
#include "kafka/coordinator/groups_migrate.h"

#define NS_PER_MS 1000000

/* ---- the host of the state machines ----------------------------------------------------------------- */

static void on_joined(void *user, group_t *group, void *request, const group_join_reply_t *reply)
{
    kafka_join_group_reply(request, group, reply);
}

static void on_synced(void *user, group_t *group, void *request, const group_sync_reply_t *reply)
{
    kafka_sync_group_reply(request, reply);
}

/* groups_settle looks through the group's stores once the input is over. */
static void on_store(void *user, group_t *group, group_store_t *store) {}

static void on_random(void *user, void *out, size_t bytes)
{
    const group_entry_t *entry = user;
    io_random(entry->groups->kafka->loop, out, bytes);
}

group_now_t groups_now(const kafka_groups_t *groups)
{
    io_loop_t *loop = groups->kafka->loop;
    return (group_now_t){.mono_ms = (int64_t)(io_now_ns(loop) / NS_PER_MS), .wall_ms = io_wall_ms(loop)};
}

/* ---- entries ---------------------------------------------------------------------------------------- */

static void on_timer(io_timer_t *timer)
{
    group_entry_t *entry = CONTAINER_OF(timer, group_entry_t, timer);
    entry->timer_due_ms = GROUP_NEVER_MS;
    group_tick(entry->group, groups_now(entry->groups));
    if (entry->cgroup) cgroup_tick(entry->cgroup, groups_now(entry->groups));
    if (entry->cgroup) groups_downgrade(entry, true);
    groups_settle(entry);
}

group_t *groups__group_new(kafka_groups_t *groups, group_entry_t *entry, bytes_t group_id)
{
    return group_new(group_id, &groups->config, &groups->host, entry, groups_now(groups));
}

group_entry_t *groups__entry_new(kafka_groups_t *groups, bytes_t group_id)
{
    group_entry_t *entry = mem_zalloc(sizeof(*entry));
    entry->groups = groups;
    entry->refs = 1;
    entry->partition = group_records_partition(group_id, groups->partitions_count);
    entry->timer_due_ms = GROUP_NEVER_MS;
    list_init(&entry->applying);
    io_timer_init(groups->kafka->loop, &entry->timer, on_timer);
    entry->group = groups__group_new(groups, entry, group_id);
    void *previous = map_put(&groups->entries, entry->group->id, entry);
    ASSERT(previous == NULL);
    return entry;
}

static void count_kept(group_entry_t *entry, size_t bytes)
{
    entry->groups->kept_bytes += bytes - entry->kept_bytes;
    entry->kept_bytes = bytes;
}

bool groups_have_room(const kafka_groups_t *groups, size_t bytes)
{
    return groups->kept_bytes + bytes <= groups->kept_bytes_max;
}

group_entry_t *groups_create(kafka_groups_t *groups, bytes_t group_id) { return groups__entry_new(groups, group_id); }

void group_entry_unref(group_entry_t *entry)
{
    if (--entry->refs > 0) return;
    ASSERT(entry->removed);
    count_kept(entry, 0);
    group_offsets_deinit(&entry->offsets);
    group_free(entry->group);
    if (entry->cgroup) cgroup_free(entry->cgroup);
    mem_free(entry);
}

void groups_remove(group_entry_t *entry)
{
    map_remove(&entry->groups->entries, entry->group->id);
    entry->removed = true;
    io_timer_stop(&entry->timer);
    group_kill(entry->group, KAFKA_NOT_COORDINATOR, groups_now(entry->groups));
    group_entry_unref(entry);
}

group_entry_t *groups_next(const kafka_groups_t *groups, size_t *cursor)
{
    map_entry_t *e = map_next(&groups->entries, cursor);
    return e ? e->value : NULL;
}

const group_config_t *groups_config(const kafka_groups_t *groups) { return &groups->config; }

uint32_t kafka_groups_count(const kafka_groups_t *groups) { return (uint32_t)groups->entries.count; }

/* ---- finding ---------------------------------------------------------------------------------------- */

int16_t groups_find(kafka_groups_t *groups, bytes_t group_id, group_entry_t **ret_entry)
{
    if (!groups->topic || groups->stopped) return KAFKA_COORDINATOR_NOT_AVAILABLE;
    const groups_partition_t *p = &groups->partitions[group_records_partition(group_id, groups->partitions_count)];
    if (p->state == GROUPS_LOADING) return KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
    if (p->state == GROUPS_FAILED) return KAFKA_NOT_COORDINATOR;
    *ret_entry = map_get(&groups->entries, group_id);
    return KAFKA_NONE;
}

bool groups_loaded(const kafka_groups_t *groups) { return groups->partitions_loading == 0; }

/* ---- writing ---------------------------------------------------------------------------------------- */

/* As the original maps an append's failure for group clients. */
static int16_t client_error(int16_t error)
{
    switch (error) {
    case KAFKA_UNKNOWN_TOPIC_OR_PARTITION:
    case KAFKA_NOT_ENOUGH_REPLICAS:
    case KAFKA_REQUEST_TIMED_OUT: return KAFKA_COORDINATOR_NOT_AVAILABLE;
    case KAFKA_NOT_LEADER_OR_FOLLOWER:
    case KAFKA_KAFKA_STORAGE_ERROR: return KAFKA_NOT_COORDINATOR;
    case KAFKA_MESSAGE_TOO_LARGE:
    case KAFKA_RECORD_LIST_TOO_LARGE:
    case KAFKA_INVALID_FETCH_SIZE: return KAFKA_UNKNOWN_SERVER_ERROR;
    default: return error;
    }
}

static void on_committed(partition_commit_t *commit, int16_t error)
{
    groups_write_t *write = CONTAINER_OF(commit, groups_write_t, commit);
    write->done(write, client_error(error));
}

static int16_t append(kafka_groups_t *groups, int32_t index, groups_write_t *write, partition_t **ret_partition)
{
    if (!groups->topic) return KAFKA_COORDINATOR_NOT_AVAILABLE;
    int16_t error = kafka_topic_partition_get(groups->topic, index, ret_partition);
    if (error != KAFKA_NONE) return error;
    size_t bytes;
    uint8_t *batch = record_builder_finish(&write->records.builder, 0, RECORD_NO_PRODUCER, &bytes);
    if (bytes > (size_t)groups->topic->config.max_message_bytes) return KAFKA_MESSAGE_TOO_LARGE;
    arena_t arena;
    arena_init(&arena, 0);
    partition_appended_t appended;
    error = partition_append(*ret_partition, batch, bytes, PARTITION_COORDINATOR, &arena, &appended);
    arena_deinit(&arena);
    return error;
}

void groups_write(kafka_groups_t *groups, int32_t index, groups_write_t *write,
                  void (*done)(groups_write_t *write, int16_t error))
{
    write->done = done;
    partition_t *partition = NULL;
    int16_t error = append(groups, index, write, &partition);
    if (error == KAFKA_NONE && partition_needs_commit(partition)) {
        partition_commit(partition, &write->commit, on_committed);
    } else {
        done(write, client_error(error));
    }
}

typedef struct store_write {
    groups_write_t write;
    group_entry_t *entry;
    group_store_t *store;
} store_write_t;

static void on_stored(groups_write_t *write, int16_t error)
{
    store_write_t *w = CONTAINER_OF(write, store_write_t, write);
    group_entry_t *entry = w->entry;
    group_stored(entry->group, w->store, error, groups_now(entry->groups));
    record_builder_deinit(&w->write.records.builder);
    mem_free(w);
    /* Within groups_settle's own loop this is one level deeper, and no more: what it finds it finishes. */
    groups_settle(entry);
    group_entry_unref(entry);
}

static void start_store(group_entry_t *entry, group_store_t *store)
{
    store_write_t *w = mem_zalloc(sizeof(*w));
    w->entry = entry;
    w->store = store;
    w->write.records = (group_records_t){RECORD_BUILDER_INIT, io_wall_ms(entry->groups->kafka->loop)};
    store->started = true;
    group_entry_ref(entry);
    group_records_add_group(&w->write.records, entry->group, store);
    groups_write(entry->groups, entry->partition, &w->write, on_stored);
}

static group_store_t *next_store(const group_t *group)
{
    LIST_EACH(&group->stores, store, group_store_t, node) {
        if (!store->started) return store;
    }
    return NULL;
}

static void set_timer(group_entry_t *entry)
{
    int64_t due_ms = group_deadline_ms(entry->group);
    if (entry->cgroup) due_ms = MIN(due_ms, cgroup_deadline_ms(entry->cgroup));
    if (entry->removed || due_ms >= entry->timer_due_ms) return; /* an early run is harmless: it sets the next */
    entry->timer_due_ms = due_ms;
    int64_t now_ms = groups_now(entry->groups).mono_ms;
    io_timer_start(&entry->timer, (uint64_t)MAX(due_ms - now_ms, 0), 0);
}

void groups_settle(group_entry_t *entry)
{
    group_entry_ref(entry);
    for (group_store_t *store; (store = next_store(entry->group));) start_store(entry, store);
    if (entry->cgroup) groups__flush_consumer(entry);
    count_kept(entry, entry->group->kept_bytes + (entry->cgroup ? entry->cgroup->kept_bytes : 0));
    set_timer(entry);
    group_entry_unref(entry);
}

/* ---- the topic -------------------------------------------------------------------------------------- */

static void wake_waiters(kafka_groups_t *groups, int16_t error)
{
    groups->creating = false;
    while (!list_empty(&groups->waiters)) {
        groups_waiter_t *waiter = LIST_FIRST(&groups->waiters, groups_waiter_t, node);
        list_remove(&waiter->node);
        waiter->ready(waiter, error);
    }
}

static void on_topic_asked(void *user, kafka_topic_t *topic, int16_t error, const char *message)
{
    kafka_groups_t *groups = user;
    /* That it is there is told by the listener; another may have made it meanwhile. */
    bool there = error == KAFKA_NONE || error == KAFKA_TOPIC_ALREADY_EXISTS;
    wake_waiters(groups, there && groups->topic ? KAFKA_NONE : KAFKA_COORDINATOR_NOT_AVAILABLE);
}

void groups_need_topic(kafka_groups_t *groups, groups_waiter_t *waiter,
                       void (*ready)(groups_waiter_t *waiter, int16_t error))
{
    waiter->ready = ready;
    list_init(&waiter->node);
    if (groups->topic || groups->stopped) {
        ready(waiter, groups->topic ? KAFKA_NONE : KAFKA_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    list_push_back(&groups->waiters, &waiter->node);
    if (groups->creating) return;
    groups->creating = true;
    const kafka_broker_config_t *config = &groups->kafka->config;
    char segment_bytes[NUM_I64_CHARS_MAX];
    size_t segment_chars = num_format_i64(segment_bytes, config->offsets_topic_segment_bytes);
    const kafka_setting_t overrides[] = {
        {BYTES_LIT("cleanup.policy"), BYTES_LIT("compact")},
        {BYTES_LIT("compression.type"), BYTES_LIT("producer")},
        {BYTES_LIT("segment.bytes"), bytes_of(segment_bytes, segment_chars)},
    };
    kafka_topic_spec_t spec = {
        .name = BYTES_LIT(GROUPS_TOPIC),
        .partitions_count = (int32_t)config->offsets_topic_num_partitions,
        .replication_factor = 1, /* offsets.topic.replication.factor asks for 3, and there is one broker */
        .overrides = overrides,
        .overrides_count = ARRAY_LEN(overrides),
    };
    kafka_topic_create(groups->kafka, &spec, on_topic_asked, groups);
}

static kafka_groups_t *of_listener(kafka_topic_listener_t *listener)
{
    return CONTAINER_OF(listener, kafka_groups_t, listener);
}

static void on_topic_created(kafka_topic_listener_t *listener, kafka_topic_t *topic)
{
    kafka_groups_t *groups = of_listener(listener);
    groups->topics_version++;
    topic_patterns_created(groups->cgroup_host.patterns, kafka_topic_name(topic));
    if (groups->stopped || !bytes_eq(kafka_topic_name(topic), BYTES_LIT(GROUPS_TOPIC))) return;
    groups->topic = topic;
    groups->partitions_count = topic->partitions_count;
    groups->partitions = mem_zalloc(sizeof(groups->partitions[0]) * (size_t)topic->partitions_count);
    groups__load_start(groups);
}

/* Consumer groups must hear of it. (Groups stay where they are, should it be __consumer_offsets that grew.)
 */
static void on_topic_grown(kafka_topic_listener_t *listener, kafka_topic_t *topic, int32_t first)
{
    of_listener(listener)->topics_version++;
}

static void on_partition_online(kafka_topic_listener_t *listener, kafka_topic_t *topic, int32_t index)
{
    kafka_groups_t *groups = of_listener(listener);
    if (topic == groups->topic) groups__load_again(groups, index);
}

static void forget_all(kafka_groups_t *groups)
{
    groups__load_stop(groups);
    for (size_t cursor = 0; groups->entries.count > 0; cursor = 0) groups_remove(groups_next(groups, &cursor));
    mem_free(groups->partitions);
    groups->partitions = NULL;
    groups->topic = NULL;
    groups->partitions_count = 0;
}

static void on_topic_deleted(kafka_topic_listener_t *listener, kafka_topic_t *topic)
{
    kafka_groups_t *groups = of_listener(listener);
    groups->topics_version++;
    topic_patterns_deleted(groups->cgroup_host.patterns, kafka_topic_name(topic));
    if (topic == groups->topic) {
        forget_all(groups);
    } else {
        groups__forget_topic(groups, kafka_topic_name(topic));
    }
}

/* ---- life ------------------------------------------------------------------------------------------- */

static void on_expiry_timer(io_timer_t *timer) { groups__expire(CONTAINER_OF(timer, kafka_groups_t, expiry_timer)); }

kafka_groups_t *kafka_groups_new(kafka_t *kafka)
{
    kafka_groups_t *groups = mem_zalloc(sizeof(*groups));
    const kafka_broker_config_t *config = &kafka->config;
    groups->kafka = kafka;
    groups->config = (group_config_t){
        .session_timeout_ms_min = (int32_t)config->group_min_session_timeout_ms,
        .session_timeout_ms_max = (int32_t)config->group_max_session_timeout_ms,
        .initial_rebalance_delay_ms = (int32_t)config->group_initial_rebalance_delay_ms,
        .new_member_join_timeout_ms = group_config_default.new_member_join_timeout_ms,
        .members_max = (int32_t)config->group_max_size,
    };
    groups->kept_bytes_max = (size_t)MIN(io_memory_bytes() / GROUPS_MEMORY_SHARE, (uint64_t)GROUPS_BYTES_MAX);
    groups->host = (group_host_t){on_joined, on_synced, on_store, on_random};
    groups__consumer_init(groups);
    list_init(&groups->waiters);
    groups->listener.created = on_topic_created;
    groups->listener.grown = on_topic_grown;
    groups->listener.online = on_partition_online;
    groups->listener.deleted = on_topic_deleted;
    kafka_topic_listen(kafka, &groups->listener);
    io_timer_init(kafka->loop, &groups->expiry_timer, on_expiry_timer);
    int64_t interval_ms = MIN(config->offsets_retention_check_interval_ms, INT32_MAX);
    io_timer_start(&groups->expiry_timer, (uint64_t)interval_ms, (uint32_t)interval_ms);
    return groups;
}

void kafka_groups_stop(kafka_groups_t *groups)
{
    if (groups->stopped) return;
    groups->stopped = true;
    list_remove(&groups->listener.node);
    io_timer_stop(&groups->expiry_timer);
    io_timer_stop(&groups->patterns_timer);
    wake_waiters(groups, KAFKA_COORDINATOR_NOT_AVAILABLE);
    forget_all(groups);
}

void kafka_groups_free(kafka_groups_t *groups)
{
    kafka_groups_stop(groups);
    groups__consumer_deinit(groups);
    map_deinit(&groups->entries);
    buf_deinit(&groups->load_buf);
    mem_free(groups);
}
