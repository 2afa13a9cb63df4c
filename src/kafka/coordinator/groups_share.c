/* groups_share.c: share groups as the coordinator sees them: the row of functions around the state machine in share/, the way from
 * what it changed to records, and the states of partitions that it wants made or removed. */
#include "kafka/coordinator/groups_share.h"

#include "kafka/coordinator/groups_internal.h"
#include "kafka/coordinator/share/share_group_records.h"

#include <stdio.h>

static share_group_t *of(const group_entry_t *entry) { return entry->state.share; }

share_group_t *groups_share(const group_entry_t *entry)
{
    return entry->type == &groups_type_share ? entry->state.share : NULL;
}

void groups__share_new(group_entry_t *entry)
{
    groups__broker_configure_share(entry);
    entry->type = &groups_type_share;
    entry->state.share = share_group_new(entry->id, &entry->config, &entry->groups->share_host, entry);
}

/* ---- storing --------------------------------------------------------------------------------------------------------- */

/* What time and the making of states have changed, for nobody who waits. */
static void flush(group_entry_t *entry)
{
    runtime_t *runtime = entry->groups->runtime;
    runtime_write_t *write = runtime_write_new(runtime);
    if (share_group_records_add(&write->batch, of(entry)))
        runtime_write_unheard(runtime, entry->partition, write);
    else
        runtime_write_drop(write);
}

/* What an input changed; `done` runs once it is stored, at once when it changed nothing. */
static void flush_for(group_entry_t *entry, runtime_write_t *write,
                      void (*done)(runtime_write_t *write, kafka_code_t error))
{
    runtime_t *runtime = entry->groups->runtime;
    write->batch = runtime_batch(groups_now(entry->groups).wall_ms);
    if (share_group_records_add(&write->batch, of(entry)))
        runtime_write_ahead(runtime, entry->partition, write, done);
    else
        done(write, KAFKA_NONE);
}

static void add_tombstones(const group_entry_t *entry, runtime_batch_t *batch)
{
    share_group_records_add_tombstones(batch, of(entry));
}

int groups__share_replay(kafka_groups_t *groups, int32_t partition, const record_t *stored, arena_t *arena)
{
    share_group_record_kind_t kind;
    bytes_t group_id;
    int err = share_group_record_group(stored->key, &kind, &group_id);
    if (err) return err == ERR_NOT_FOUND ? 0 : err; /* of a kind that this broker does not keep */
    group_entry_t *entry = map_get(&groups->entries, group_id);
    bool is_share = entry && entry->type == &groups_type_share;
    if (!stored->value.ptr && !is_share) return 0;
    if (!entry) entry = groups__entry_new(groups, group_id, partition);
    if (!stored->value.ptr && kind == SHARE_GROUP_RECORD_EPOCH) {
        entry->type->free(entry);
        groups__classic_new(entry);
        return 0;
    }
    if (!is_share) {
        entry->type->free(entry);
        groups__share_new(entry);
    }
    return share_group_record_load(of(entry), stored->key, stored->value, arena);
}

/* ---- states of partitions -------------------------------------------------------------------------------------------- */

static void on_states(share_job_t *job)
{
    group_entry_t *entry = job->user;
    tp_set_t made = {0}, failed = {0};
    for (size_t i = 0; i < job->count; i++) tp_set_add(job->items[i].error ? &failed : &made, job->items[i].tp);
    if (!entry->removed) {
        share_group_states_made(of(entry), &made);
        share_group_states_failed(of(entry), &failed);
        groups__settle(entry);
    }
    tp_set_deinit(&made);
    tp_set_deinit(&failed);
    group_entry_unref(entry);
}

static void add_items(share_job_t *job, size_t first, const tp_set_t *set, int32_t state_epoch, int64_t start_offset)
{
    for (size_t i = 0; i < set->count; i++)
        job->items[first + i] =
            (share_job_item_t){.tp = set->items[i], .state_epoch = state_epoch, .start_offset = start_offset};
}

/* What is new to the group begins where share.auto.offset.reset says; what a topic has grown by, at its start. */
static share_job_t *want_states(group_entry_t *entry)
{
    tp_set_t fresh = {0}, grown = {0};
    share_job_t *job = NULL;
    share_group_want_states(of(entry), groups_now(entry->groups), &fresh, &grown);
    if (fresh.count + grown.count > 0) {
        job = share_job_new(entry->groups->kafka, SHARE_JOB_INITIALIZE, entry->id, fresh.count + grown.count, on_states,
                            entry);
        add_items(job, 0, &fresh, of(entry)->epoch, -1);
        add_items(job, fresh.count, &grown, of(entry)->epoch, 0);
        group_entry_ref(entry);
    }
    tp_set_deinit(&fresh);
    tp_set_deinit(&grown);
    return job;
}

void groups__share_topic_gone(group_entry_t *entry, kafka_uuid_t topic)
{
    if (entry->type != &groups_type_share || !share_group_find_topic(of(entry), topic)) return;
    share_group_states_gone(of(entry), topic);
    groups__settle(entry);
}

/* ---- heartbeats ------------------------------------------------------------------------------------------------------ */

static kafka_code_t refuse(bytes_t group_id, const char *form, char *message)
{
    snprintf(message, CONSUMER_MESSAGE_BYTES, form, (int)MIN(group_id.len, (size_t)250), (const char *)group_id.ptr);
    return KAFKA_GROUP_ID_NOT_FOUND;
}

kafka_code_t groups_find_share(kafka_groups_t *groups, bytes_t group_id, groups_share_asker_t asker,
                               group_entry_t **ret_entry, char message[CONSUMER_MESSAGE_BYTES])
{
    group_entry_t *entry;
    bool makes = asker == GROUPS_SHARE_MAKES;
    kafka_code_t error = groups_find(groups, group_id, &entry);
    if (error != KAFKA_NONE) return error;
    if (makes && !groups_have_room(groups, CONSUMER_MEMBER_BYTES_MAX)) return KAFKA_COORDINATOR_NOT_AVAILABLE;
    if (!entry && asker == GROUPS_SHARE_STAYS) return refuse(group_id, "Share group %.*s not found.", message);
    if (!entry && !makes) return refuse(group_id, "Group %.*s not found.", message);
    if (!entry) {
        entry = groups_create(groups, group_id);
        entry->type->free(entry);
        groups__share_new(entry);
    }
    if (!groups_share(entry)) return refuse(group_id, "Group %.*s is not a share group.", message);
    *ret_entry = entry;
    return KAFKA_NONE;
}

static void on_beat_written(runtime_write_t *write, kafka_code_t error)
{
    groups_share_beat_t *beat = CONTAINER_OF(write, groups_share_beat_t, write);
    group_entry_t *entry = beat->entry;
    record_builder_deinit(&write->batch.builder);
    beat->done(beat, error, NULL); /* `beat` may be gone */
    group_entry_unref(entry);
}

void groups_share_heartbeat(group_entry_t *entry, const share_heartbeat_t *in, groups_share_beat_t *beat)
{
    share_reply_t reply;
    ASSERT(entry->type == &groups_type_share);
    groups__broker_configure_share(entry);
    share_heartbeat(of(entry), in, groups_now(entry->groups), &reply);
    if (reply.error != KAFKA_NONE) {
        groups__settle(entry);
        beat->done(beat, reply.error, reply.message);
        return;
    }
    beat->accepted(beat, entry, &reply);
    share_job_t *job = in->member_epoch == SHARE_EPOCH_LEAVE ? NULL : want_states(entry);
    beat->entry = entry;
    group_entry_ref(entry);
    group_entry_ref(entry);
    flush_for(entry, &beat->write, on_beat_written);
    groups__settle(entry);
    group_entry_unref(entry);
    if (job) share_job_run(job);
}

/* ---- administration -------------------------------------------------------------------------------------------------- */

/* A job of an administrator, with what it has to tell afterwards. */
typedef struct change {
    group_entry_t *entry;
    void (*told)(share_job_t *job); /* of the job that was handed in */
    void *told_user;
} change_t;

static void run_change(group_entry_t *entry, share_job_t *job, void (*done)(share_job_t *job))
{
    change_t *change = mem_zalloc(sizeof(*change));
    *change = (change_t){entry, job->done, job->user};
    group_entry_ref(entry);
    job->done = done;
    job->user = change;
    groups__settle(entry); /* stores that it has begun */
    share_job_run(job);
}

static void end_change(share_job_t *job)
{
    change_t *change = job->user;
    group_entry_t *entry = change->entry;
    if (!entry->removed) groups__settle(entry);
    job->user = change->told_user;
    change->told(job);
    mem_free(change);
    group_entry_unref(entry);
}

static void on_altered(share_job_t *job)
{
    group_entry_t *entry = ((change_t *)job->user)->entry;
    tp_set_t made = {0};
    for (size_t i = 0; i < job->count; i++) {
        if (!job->items[i].error) tp_set_add(&made, job->items[i].tp);
    }
    if (!entry->removed) share_group_states_made(of(entry), &made);
    tp_set_deinit(&made);
    end_change(job);
}

void groups_share_alter(group_entry_t *entry, share_job_t *job)
{
    share_group_t *g = of(entry);
    for (size_t i = 0; i < job->count; i++) {
        const kafka_topic_t *topic = kafka_topic_by_id(entry->groups->kafka, job->items[i].tp.topic);
        if (topic) (void)share_group_topic(g, topic->id, kafka_topic_name(topic));
        job->items[i].state_epoch = g->epoch;
    }
    run_change(entry, job, on_altered);
}

/* A topic of which a state could not be removed is still being given up. */
static void on_forgotten(share_job_t *job)
{
    group_entry_t *entry = ((change_t *)job->user)->entry;
    for (size_t i = 0, run; i < job->count && !entry->removed; i += run) {
        bool failed = false;
        for (run = 0; i + run < job->count && kafka_uuid_eq(job->items[i].tp.topic, job->items[i + run].tp.topic);
             run++)
            failed = failed || job->items[i + run].error;
        if (!failed) share_group_states_gone(of(entry), job->items[i].tp.topic);
    }
    end_change(job);
}

void groups_share_forget(group_entry_t *entry, share_job_t *job)
{
    for (size_t i = 0; i < job->count; i++) share_group_states_deleting(of(entry), job->items[i].tp.topic);
    run_change(entry, job, on_forgotten);
}

typedef struct deletion {
    group_entry_t *entry;
    void (*done)(void *user, kafka_code_t error);
    void *user;
} deletion_t;

static void remove_group(deletion_t *deletion)
{
    groups_removal_t *removal = groups_removal_new(deletion->entry, deletion->done, deletion->user);
    groups_removal_add_group(removal);
    groups_removal_run(removal);
}

static void on_states_gone(share_job_t *job)
{
    deletion_t *deletion = job->user;
    kafka_code_t error = KAFKA_NONE;
    for (size_t i = 0; i < job->count && !error; i++) error = job->items[i].error;
    if (error)
        deletion->done(deletion->user, error);
    else
        remove_group(deletion);
    group_entry_unref(deletion->entry);
    mem_free(deletion);
}

void groups_share_delete(group_entry_t *entry, void (*done)(void *user, kafka_code_t error), void *user)
{
    share_group_t *g = of(entry);
    tp_set_t all = {0};
    deletion_t *deletion = mem_zalloc(sizeof(*deletion));
    *deletion = (deletion_t){entry, done, user};
    tp_set_copy(&all, &g->initialized);
    for (size_t i = 0; i < g->initializing.count; i++) tp_set_add(&all, g->initializing.items[i]);
    share_job_t *job =
        share_job_new(entry->groups->kafka, SHARE_JOB_DELETE, entry->id, all.count, on_states_gone, deletion);
    add_items(job, 0, &all, 0, 0);
    tp_set_deinit(&all);
    group_entry_ref(entry);
    groups_share_forget(entry, job);
}

/* ---- the row --------------------------------------------------------------------------------------------------------- */

static const char *state_text(const group_entry_t *entry) { return share_group_state_text(of(entry)); }
static bytes_t protocol_type(const group_entry_t *entry) { return BYTES_LIT("share"); }
static bool is_empty(const group_entry_t *entry) { return of(entry)->members_count == 0; }
static bool subscribed(const group_entry_t *entry, bytes_t topic) { return share_group_subscribed(of(entry), topic); }
static size_t kept_bytes(const group_entry_t *entry) { return of(entry)->kept_bytes; }

/* Members of the classic protocol have no business here. */
static void join(group_entry_t *entry, const group_join_t *in)
{
    groups_request_t *request = in->request;
    group_join_reply_t reply = {.error = KAFKA_INCONSISTENT_GROUP_PROTOCOL,
                                .generation = -1,
                                .leader = BYTES_LIT(""),
                                .member_id = in->member_id};
    request->joined(request, NULL, &reply);
}

static void sync(group_entry_t *entry, const group_sync_t *in)
{
    groups_request_t *request = in->request;
    group_sync_reply_t reply = {.error = KAFKA_UNKNOWN_MEMBER_ID, .assignment = BYTES_LIT("")};
    request->synced(request, &reply);
}

static kafka_code_t heartbeat(group_entry_t *entry, bytes_t member_id, bytes_t instance_id, int32_t generation)
{
    return KAFKA_UNKNOWN_MEMBER_ID;
}

static kafka_code_t leave(group_entry_t *entry, group_leaver_t *leavers, size_t count)
{
    return KAFKA_UNKNOWN_MEMBER_ID;
}

/* Share groups have no committed offsets. */
static kafka_code_t commit_check(group_entry_t *entry, const groups_committer_t *by)
{
    return KAFKA_GROUP_ID_NOT_FOUND;
}

static kafka_code_t fetch_check(group_entry_t *entry, bytes_t member_id, int32_t member_epoch)
{
    return KAFKA_GROUP_ID_NOT_FOUND;
}

static bool unused_since(const group_entry_t *entry, const group_offset_t *offset, int64_t *ret_ms)
{
    *ret_ms = offset->commit_ms;
    return true;
}

static bool never(const group_entry_t *entry)
{
    return false;
} /* it has got somewhere, and stays until it is deleted */

static bool is_unused(const group_entry_t *entry)
{
    const share_group_t *g = of(entry);
    return g->epoch <= 1 && g->members_count == 0 && g->states.count == 0;
}

static void start(group_entry_t *entry) { share_group_load_end(of(entry), groups_now(entry->groups)); }
static int64_t deadline_ms(const group_entry_t *entry) { return share_group_deadline_ms(of(entry)); }
static void tick(group_entry_t *entry) { share_group_tick(of(entry), groups_now(entry->groups)); }
static void kill_group(group_entry_t *entry, kafka_code_t error) {}
static void free_group(group_entry_t *entry) { share_group_free(of(entry)); }

const groups_type_t groups_type_share = {
    .name = "share",
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
    .may_expire = never,
    .flush = flush,
    .add_tombstones = add_tombstones,
    .is_unused = is_unused,
    .start = start,
    .deadline_ms = deadline_ms,
    .tick = tick,
    .kill = kill_group,
    .free = free_group,
};
