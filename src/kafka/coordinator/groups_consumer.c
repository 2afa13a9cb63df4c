/* groups_consumer.c: groups of the consumer protocol (KIP-848) as the coordinator sees them: the row of functions around the
 * state machine in consumer/, and the way from what it changed to records. The group changes with the input; the reply waits
 * for the write. */
#include "kafka/coordinator/groups_migrate.h"

#include <stdio.h>

static consumer_group_t *of(const group_entry_t *entry) { return entry->state.consumer; }

void groups__consumer_new(group_entry_t *entry)
{
    groups__broker_configure(entry);
    entry->type = &groups_type_consumer;
    entry->state.consumer = consumer_group_new(entry->id, &entry->config, &entry->groups->consumer_host, entry);
}

/* ---- storing ---- */

/* What heartbeats and time have changed, for nobody who waits. */
static void flush(group_entry_t *entry)
{
    runtime_t *runtime = entry->groups->runtime;
    runtime_write_t *write = runtime_write_new(runtime);
    if (consumer_records_add(&write->batch, of(entry))) {
        runtime_write_unheard(runtime, entry->partition, write);
    } else {
        runtime_write_drop(write);
    }
}

/* What an input changed; `done` runs once it is stored, at once when it changed nothing. */
static void flush_for(group_entry_t *entry, runtime_write_t *write,
                      void (*done)(runtime_write_t *write, kafka_code_t error))
{
    runtime_t *runtime = entry->groups->runtime;
    write->batch = runtime_batch(groups_now(entry->groups).wall_ms);
    if (consumer_records_add(&write->batch, of(entry))) {
        runtime_write_ahead(runtime, entry->partition, write, done);
    } else {
        done(write, KAFKA_NONE);
    }
}

static void add_tombstones(const group_entry_t *entry, runtime_batch_t *batch)
{
    consumer_records_add_tombstones(batch, of(entry));
}

int groups__consumer_replay(kafka_groups_t *groups, int32_t partition, const record_t *stored, arena_t *arena)
{
    consumer_record_kind_t kind;
    bytes_t group_id;
    int err = consumer_record_group(stored->key, &kind, &group_id);
    if (err) return err == ERR_NOT_FOUND ? 0 : err; /* of a kind that this broker does not keep */
    group_entry_t *entry = map_get(&groups->entries, group_id);
    bool is_consumer = entry && entry->type == &groups_type_consumer;
    if (!stored->value.ptr && !is_consumer) return 0;
    if (!entry) entry = groups__entry_new(groups, group_id, partition);
    if (!stored->value.ptr && kind == CONSUMER_RECORD_EPOCH) {
        entry->type->free(entry);
        groups__classic_new(entry);
        return 0;
    }
    if (!is_consumer) {
        entry->type->free(entry);
        groups__consumer_new(entry);
    }
    return consumer_record_load(of(entry), stored->key, stored->value, arena);
}

/* ---- heartbeats of the consumer protocol ---- */

static kafka_code_t refuse(bytes_t group_id, const char *form, kafka_code_t error, char *message)
{
    snprintf(message, CONSUMER_MESSAGE_BYTES, form, (int)group_id.len, (const char *)group_id.ptr);
    return error;
}

kafka_code_t groups_find_consumer(kafka_groups_t *groups, bytes_t group_id, bool joining, group_entry_t **ret_entry,
                                  char message[CONSUMER_MESSAGE_BYTES])
{
    group_entry_t *entry;
    kafka_code_t error = groups_find(groups, group_id, &entry);
    if (error != KAFKA_NONE) return error;
    if (joining && !groups_have_room(groups, CONSUMER_MEMBER_BYTES_MAX)) return KAFKA_COORDINATOR_NOT_AVAILABLE;
    if (!entry && joining) entry = groups_create(groups, group_id);
    if (!entry) return refuse(group_id, "Group %.*s not found.", KAFKA_GROUP_ID_NOT_FOUND, message);
    bool is_consumer = entry->type == &groups_type_consumer;
    if (!is_consumer && (!joining || entry->type != &groups_type_classic))
        return refuse(group_id, "Group %.*s is not a consumer group.", KAFKA_GROUP_ID_NOT_FOUND, message);
    if (!is_consumer && !groups_become_consumer(entry)) error = groups_upgrade(entry, message);
    *ret_entry = entry;
    return error;
}

static void on_beat_written(runtime_write_t *write, kafka_code_t error)
{
    groups_beat_t *beat = CONTAINER_OF(write, groups_beat_t, write);
    group_entry_t *entry = beat->entry;
    record_builder_deinit(&write->batch.builder);
    beat->done(beat, error, NULL); /* `beat` may be gone */
    group_entry_unref(entry);
}

void groups_consumer_heartbeat(group_entry_t *entry, const consumer_heartbeat_t *in, groups_beat_t *beat)
{
    consumer_reply_t reply;
    ASSERT(entry->type == &groups_type_consumer);
    groups__broker_configure(entry);
    consumer_heartbeat(of(entry), in, groups_now(entry->groups), &reply);
    if (reply.error != KAFKA_NONE) {
        groups_downgrade(entry, false); /* if it was upgraded for this member, who does not come */
        groups__settle(entry);
        beat->done(beat, reply.error, reply.message);
        return;
    }
    beat->accepted(beat, entry, &reply);
    beat->entry = entry;
    group_entry_ref(entry);
    group_entry_ref(entry);
    flush_for(entry, &beat->write, on_beat_written);
    /* Behind what has just been written: the last member of this protocol may have left. */
    if (!entry->removed) groups_downgrade(entry, true);
    groups__settle(entry);
    group_entry_unref(entry);
}

/* ---- members that speak the classic protocol ---- */

typedef struct consumer_join {
    runtime_write_t write;
    groups_request_t *request;
    group_entry_t *entry;
    arena_t arena; /* what the reply refers to */
    group_join_reply_t reply;
} consumer_join_t;

static void reply_join(groups_request_t *request, bytes_t member_id, kafka_code_t error)
{
    group_join_reply_t reply = {.error = error, .generation = -1, .leader = BYTES_LIT(""), .member_id = member_id};
    request->joined(request, NULL, &reply);
}

static void on_join_written(runtime_write_t *write, kafka_code_t error)
{
    consumer_join_t *j = CONTAINER_OF(write, consumer_join_t, write);
    group_entry_t *entry = j->entry;
    record_builder_deinit(&write->batch.builder);
    if (error == KAFKA_NONE) {
        j->request->joined(j->request, NULL, &j->reply);
    } else {
        reply_join(j->request, j->reply.member_id, error);
    }
    arena_deinit(&j->arena);
    mem_free(j);
    group_entry_unref(entry);
}

static void write_join(group_entry_t *entry, groups_request_t *request, const consumer_join_reply_t *reply)
{
    consumer_join_t *j = mem_zalloc(sizeof(*j));
    arena_init(&j->arena, 0);
    j->request = request;
    j->entry = entry;
    j->reply = (group_join_reply_t){
        .generation = reply->generation,
        .protocol_type = BYTES_LIT("consumer"),
        .protocol_name = arena_copy(&j->arena, reply->protocol_name),
        .leader = BYTES_LIT(""), /* the coordinator assigns */
        .member_id = arena_copy(&j->arena, reply->member_id),
    };
    group_entry_ref(entry);
    flush_for(entry, &j->write, on_join_written);
}

/* What the member reads and owns stands in the first of its protocols, as in all others. */
static kafka_code_t read_subscription(const kafka_groups_t *groups, const group_join_t *join, arena_t *arena,
                                      tp_set_t *owned, consumer_subscription_t *subscription)
{
    if (join->protocols_count == 0) return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    bool is_consumer = bytes_eq(join->protocol_type, BYTES_LIT("consumer"));
    if (!is_consumer) return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    int err = groups_read_subscription(groups, join->protocols[0].metadata, arena, owned, subscription);
    return err ? KAFKA_UNKNOWN_SERVER_ERROR : KAFKA_NONE; /* the original does not expect it either */
}

static consumer_join_reply_t classic_join(group_entry_t *entry, const group_join_t *in)
{
    tp_set_t owned = {0};
    consumer_subscription_t subscription;
    consumer_join_reply_t reply = {.member_id = BYTES_LIT("")};
    arena_t arena;
    kafka_uuid_t id;
    char new_id[KAFKA_UUID_CHARS + 1];
    io_random(entry->groups->kafka->loop, id.bytes, sizeof(id.bytes));
    kafka_uuid_format(id, new_id);
    arena_init(&arena, 0);
    reply.error = read_subscription(entry->groups, in, &arena, &owned, &subscription);
    if (reply.error == KAFKA_NONE)
        consumer_classic_join(of(entry), in, &subscription, bytes_str(new_id), groups_now(entry->groups), &reply);
    if (reply.error != KAFKA_NONE) {
        reply_join(in->request, reply.member_id, reply.error); /* which may be `new_id` */
    } else {
        write_join(entry, in->request, &reply);
    }
    tp_set_deinit(&owned);
    arena_deinit(&arena);
    return reply;
}

static void join(group_entry_t *entry, const group_join_t *in)
{
    if (groups_become_classic(entry)) {
        entry->type->join(entry, in);
        return;
    }
    consumer_join_reply_t reply = classic_join(entry, in);
    /* The last member of the consumer protocol has been replaced: the others need not join again for that. */
    if (reply.replaced_consumer && !entry->removed) groups_downgrade(entry, false);
}

/* The member asks what the coordinator has assigned to it. */
static void sync(group_entry_t *entry, const group_sync_t *in)
{
    groups_request_t *request = in->request;
    const consumer_member_t *m = NULL;
    arena_t arena;
    group_sync_reply_t reply = {.assignment = BYTES_LIT("")};
    arena_init(&arena, 0);
    reply.error = consumer_classic_sync(of(entry), in, groups_now(entry->groups), &m);
    if (reply.error == KAFKA_NONE) {
        reply.protocol_type = in->protocol_type;
        reply.protocol_name = in->protocol_name;
        reply.assignment = groups_write_assignment(entry->groups, &m->assigned, &m->protocols[0], &arena);
    }
    request->synced(request, &reply);
    arena_deinit(&arena);
}

static kafka_code_t heartbeat(group_entry_t *entry, bytes_t member_id, bytes_t instance_id, int32_t generation)
{
    return consumer_classic_heartbeat(of(entry), member_id, instance_id, generation, groups_now(entry->groups));
}

static kafka_code_t leave(group_entry_t *entry, group_leaver_t *leavers, size_t count)
{
    consumer_leave(of(entry), leavers, count);
    flush(entry);
    groups_downgrade(entry, true);
    return KAFKA_NONE;
}

/* ---- the rest of the row ---- */

static const char *state_text(const group_entry_t *entry) { return consumer_state_text(of(entry)); }
static bytes_t protocol_type(const group_entry_t *entry) { return BYTES_LIT("consumer"); }
static bool is_empty(const group_entry_t *entry) { return of(entry)->members_count == 0; }
static bool subscribed(const group_entry_t *entry, bytes_t topic) { return consumer_subscribed(of(entry), topic); }
static size_t kept_bytes(const group_entry_t *entry) { return of(entry)->kept_bytes; }

static kafka_code_t commit_check(group_entry_t *entry, const groups_committer_t *by)
{
    return consumer_commit_check(of(entry), by->member_id, by->generation, by->api_version);
}

static kafka_code_t fetch_check(group_entry_t *entry, bytes_t member_id, int32_t member_epoch)
{
    return consumer_fetch_check(of(entry), member_id, member_epoch);
}

/* As the original: from the commit on, but for what is being read. */
static bool unused_since(const group_entry_t *entry, const group_offset_t *offset, int64_t *ret_ms)
{
    *ret_ms = offset->commit_ms;
    return true;
}

static bool is_unused(const group_entry_t *entry) { return false; }
static void start(group_entry_t *entry) { consumer_load_end(of(entry), groups_now(entry->groups)); }
static int64_t deadline_ms(const group_entry_t *entry) { return consumer_deadline_ms(of(entry)); }

static void tick(group_entry_t *entry)
{
    consumer_tick(of(entry), groups_now(entry->groups));
    groups_downgrade(entry, true);
}

/* None of its requests is parked. */
static void kill_group(group_entry_t *entry, kafka_code_t error) {}
static void free_group(group_entry_t *entry) { consumer_group_free(of(entry)); }

const groups_type_t groups_type_consumer = {
    .name = "consumer",
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
    .may_expire = is_empty,
    .flush = flush,
    .add_tombstones = add_tombstones,
    .is_unused = is_unused,
    .start = start,
    .deadline_ms = deadline_ms,
    .tick = tick,
    .kill = kill_group,
    .free = free_group,
};
