/* groups_classic.c: groups of the classic protocol as the coordinator sees them: the row of functions around the state machine
 * in classic/, and the way from its wish to store to a record. The group changes when its record is written (group_stored). */
#include "kafka/coordinator/groups_internal.h"

static group_t *of(const group_entry_t *entry) { return entry->state.classic; }

/* ---- the host of the state machine ---- */

static void on_joined(void *user, group_t *group, void *request, const group_join_reply_t *reply)
{
    groups_request_t *waiting = request;
    waiting->joined(waiting, group, reply);
}

static void on_synced(void *user, group_t *group, void *request, const group_sync_reply_t *reply)
{
    groups_request_t *waiting = request;
    waiting->synced(waiting, reply);
}

/* `flush` looks through the group's stores once the input is over. */
static void on_store(void *user, group_t *group, group_store_t *store) {}

static void on_random(void *user, void *out, size_t bytes)
{
    const group_entry_t *entry = user;
    io_random(entry->groups->kafka->loop, out, bytes);
}

void groups__classic_init(kafka_groups_t *groups)
{
    const kafka_broker_config_t *config = &groups->kafka->config;
    groups->config = (group_config_t){
        .session_timeout_ms_min = (int32_t)config->group_min_session_timeout_ms,
        .session_timeout_ms_max = (int32_t)config->group_max_session_timeout_ms,
        .initial_rebalance_delay_ms = (int32_t)config->group_initial_rebalance_delay_ms,
        .new_member_join_timeout_ms = group_config_default.new_member_join_timeout_ms,
        .members_max = (int32_t)config->group_max_size,
    };
    groups->host = (group_host_t){on_joined, on_synced, on_store, on_random};
}

void groups__classic_new(group_entry_t *entry)
{
    kafka_groups_t *groups = entry->groups;
    entry->type = &groups_type_classic;
    entry->state.classic = group_new(entry->id, &groups->config, &groups->host, entry, groups_now(groups));
}

/* ---- storing ---- */

typedef struct store_write {
    runtime_write_t write;
    group_entry_t *entry;
    group_store_t *store;
} store_write_t;

/* The group is still this one: no other protocol takes over what is being stored. */
static void on_stored(runtime_write_t *write, kafka_code_t error)
{
    store_write_t *w = CONTAINER_OF(write, store_write_t, write);
    group_entry_t *entry = w->entry;
    ASSERT(entry->type == &groups_type_classic);
    group_stored(of(entry), w->store, error, groups_now(entry->groups));
    record_builder_deinit(&w->write.batch.builder);
    mem_free(w);
    /* Within `flush` this is one level deeper, and no more: what it finds it finishes. */
    groups__settle(entry);
    group_entry_unref(entry);
}

static void start_store(group_entry_t *entry, group_store_t *store)
{
    store_write_t *w = mem_zalloc(sizeof(*w));
    w->entry = entry;
    w->store = store;
    w->write.batch = runtime_batch(groups_now(entry->groups).wall_ms);
    store->started = true;
    group_entry_ref(entry);
    group_records_add_group(&w->write.batch, of(entry), store);
    runtime_write(entry->groups->runtime, entry->partition, &w->write, on_stored);
}

static group_store_t *next_store(const group_t *group)
{
    LIST_EACH(&group->stores, store, group_store_t, node) {
        if (!store->started) return store;
    }
    return NULL;
}

static void flush(group_entry_t *entry)
{
    for (group_store_t *store; (store = next_store(of(entry)));) start_store(entry, store);
}

static void add_tombstones(const group_entry_t *entry, runtime_batch_t *batch)
{
    group_records_add_group_tombstone(batch, entry->id);
}

/* ---- playing back ---- */

/* The last record counts. One without a value says nothing about a group that has another protocol by now. */
int groups__classic_replay(kafka_groups_t *groups, int32_t partition, const group_record_t *record)
{
    group_entry_t *entry = map_get(&groups->entries, record->group_id);
    if (!entry) entry = groups__entry_new(groups, record->group_id, partition);
    if (record->tombstone && entry->type != &groups_type_classic) return 0;
    entry->type->free(entry);
    groups__classic_new(entry);
    return record->tombstone ? 0 : group_record_load(of(entry), record->group);
}

/* ---- the row ---- */

static const char *state_text(const group_entry_t *entry) { return group_state_text(of(entry)->state); }
static bytes_t protocol_type(const group_entry_t *entry) { return of(entry)->protocol_type; }
static bool is_empty(const group_entry_t *entry) { return of(entry)->state == GROUP_EMPTY; }
static bool subscribed(const group_entry_t *entry, bytes_t topic) { return group_subscribed(of(entry), topic); }
static size_t kept_bytes(const group_entry_t *entry) { return of(entry)->kept_bytes; }

static void join(group_entry_t *entry, const group_join_t *in) { group_join(of(entry), in, groups_now(entry->groups)); }
static void sync(group_entry_t *entry, const group_sync_t *in) { group_sync(of(entry), in, groups_now(entry->groups)); }

static kafka_code_t heartbeat(group_entry_t *entry, bytes_t member_id, bytes_t instance_id, int32_t generation)
{
    return group_heartbeat(of(entry), member_id, instance_id, generation, groups_now(entry->groups));
}

static kafka_code_t leave(group_entry_t *entry, group_leaver_t *leavers, size_t count)
{
    return group_leave(of(entry), leavers, count, groups_now(entry->groups));
}

static kafka_code_t commit_check(group_entry_t *entry, const groups_committer_t *by)
{
    kafka_code_t error = group_commit_check(of(entry), by->member_id, by->instance_id, by->generation,
                                            by->transactional, groups_now(entry->groups));
    groups__settle(entry);
    return error;
}

/* OffsetFetch names members of the consumer protocol alone. */
static kafka_code_t fetch_check(group_entry_t *entry, bytes_t member_id, int32_t member_epoch) { return KAFKA_NONE; }

static bool unused_since(const group_entry_t *entry, const group_offset_t *offset, int64_t *ret_ms)
{
    const group_t *g = of(entry);
    *ret_ms = offset->commit_ms;
    if (!g->protocol_type.ptr) return true; /* a simple consumer's: from the commit on */
    if (g->state == GROUP_EMPTY) {
        if (g->state_since_ms != -1) *ret_ms = g->state_since_ms;
        return true;
    }
    return g->state == GROUP_STABLE && bytes_eq(g->protocol_type, BYTES_LIT("consumer"));
}

static bool may_expire(const group_entry_t *entry)
{
    const group_t *g = of(entry);
    return g->state == GROUP_EMPTY && list_empty(&g->pending) && list_empty(&g->stores);
}

static bool is_unused(const group_entry_t *entry)
{
    return !of(entry)->protocol_type.ptr && of(entry)->generation == 0;
}

static void start(group_entry_t *entry) { group_load_end(of(entry), groups_now(entry->groups)); }
static int64_t deadline_ms(const group_entry_t *entry) { return group_deadline_ms(of(entry)); }
static void tick(group_entry_t *entry) { group_tick(of(entry), groups_now(entry->groups)); }
static void kill_group(group_entry_t *entry, kafka_code_t error)
{
    group_kill(of(entry), error, groups_now(entry->groups));
}
static void free_group(group_entry_t *entry) { group_free(of(entry)); }

const groups_type_t groups_type_classic = {
    .name = "classic",
    .state_text = state_text,
    .protocol_type = protocol_type,
    .is_empty = is_empty,
    .subscribed = subscribed,
    .kept_bytes = kept_bytes,
    .join = join,
    .sync = sync,
    .heartbeat = heartbeat,
    .leave = leave,
    .commit_check = commit_check,
    .fetch_check = fetch_check,
    .unused_since = unused_since,
    .may_expire = may_expire,
    .flush = flush,
    .add_tombstones = add_tombstones,
    .is_unused = is_unused,
    .start = start,
    .deadline_ms = deadline_ms,
    .tick = tick,
    .kill = kill_group,
    .free = free_group,
};
