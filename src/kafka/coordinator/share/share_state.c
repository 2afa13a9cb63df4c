/* share_state.c: what leaders and the group coordinator ask of the states: who is refused, and what a request makes of a state. A
 * change is in memory as soon as its record is in the log; its reply waits until the record counts as written. */
#include "kafka/coordinator/share/share_state_internal.h"

#define RETRY_MS 10

enum { REQUEST_READ, REQUEST_WRITE, REQUEST_INITIALIZE, REQUEST_DELETE, REQUEST_SUMMARY };

static const char negative_partition[] = "The partition id cannot be a negative number.";
static const char negative_leader_epoch[] = "The leader epoch cannot be a negative number.";
static const char negative_state_epoch[] = "The state epoch cannot be a negative number.";
static const char no_state_to_read[] = "Read operation on uninitialized share partition not allowed.";
static const char no_state_to_write[] = "Write operation on uninitialized share partition not allowed.";
static const char bad_batches[] = "The state batches must have a first offset that is not behind their last one.";

typedef struct refusal {
    kafka_code_t error;
    const char *message; /* NULL: the code's own */
} refusal_t;

static const refusal_t fine = {KAFKA_NONE, NULL};

static kafka_share_states_t *states_of(const share_state_request_t *request) { return request->kafka->share_states; }

static void end(share_state_request_t *request, kafka_code_t error, const char *message,
                const share_state_value_t *value)
{
    request->done(request, error, message, value);
}

static share_state_entry_t *find(const share_state_request_t *request)
{
    char name[SHARE_STATE_NAME_BYTES_MAX];
    return map_get(&states_of(request)->entries, share_state__name(&request->key, name));
}

/* ---- who is refused, in the original's order ------------------------------------------------------------------------- */

static refusal_t check_topic(const share_state_request_t *request)
{
    const kafka_topic_t *topic = kafka_topic_by_id(request->kafka, request->key.topic_id);
    bool there = topic && request->key.partition < topic->partitions_count;
    return there ? fine : (refusal_t){KAFKA_UNKNOWN_TOPIC_OR_PARTITION, NULL};
}

static refusal_t check_read(const share_state_request_t *request, const share_state_entry_t *entry)
{
    int32_t leader_epoch = request->value.leader_epoch;
    if (request->key.partition < 0) return (refusal_t){KAFKA_INVALID_REQUEST, negative_partition};
    if (leader_epoch < 0) return (refusal_t){KAFKA_INVALID_REQUEST, negative_leader_epoch};
    if (!entry) return (refusal_t){KAFKA_INVALID_REQUEST, no_state_to_read};
    if (entry->value.leader_epoch > leader_epoch) return (refusal_t){KAFKA_FENCED_LEADER_EPOCH, NULL};
    return check_topic(request);
}

static bool batches_are_valid(const share_state_value_t *value)
{
    if (value->batches_count > SHARE_STATE_BATCHES_MAX) return false;
    for (size_t i = 0; i < value->batches_count; i++) {
        if (!share_state_batch_is_valid(&value->batches[i])) return false;
    }
    return true;
}

static refusal_t check_write(const share_state_request_t *request, const share_state_entry_t *entry)
{
    const share_state_value_t *value = &request->value;
    if (request->key.partition < 0) return (refusal_t){KAFKA_INVALID_REQUEST, negative_partition};
    if (value->leader_epoch < 0) return (refusal_t){KAFKA_INVALID_REQUEST, negative_leader_epoch};
    if (value->state_epoch < 0) return (refusal_t){KAFKA_INVALID_REQUEST, negative_state_epoch};
    if (!entry) return (refusal_t){KAFKA_INVALID_REQUEST, no_state_to_write};
    if (entry->value.leader_epoch > value->leader_epoch) return (refusal_t){KAFKA_FENCED_LEADER_EPOCH, NULL};
    if (entry->value.state_epoch > value->state_epoch) return (refusal_t){KAFKA_FENCED_STATE_EPOCH, NULL};
    if (!batches_are_valid(value)) return (refusal_t){KAFKA_INVALID_REQUEST, bad_batches};
    return check_topic(request);
}

static refusal_t check_initialize(const share_state_request_t *request, const share_state_entry_t *entry)
{
    int32_t state_epoch = request->value.state_epoch;
    if (request->key.partition < 0) return (refusal_t){KAFKA_INVALID_REQUEST, negative_partition};
    if (state_epoch < 0) return (refusal_t){KAFKA_INVALID_REQUEST, negative_state_epoch};
    if (entry && entry->value.state_epoch > state_epoch) return (refusal_t){KAFKA_FENCED_STATE_EPOCH, NULL};
    if (!entry && states_of(request)->entries.count >= SHARE_STATES_MAX)
        return (refusal_t){KAFKA_COORDINATOR_NOT_AVAILABLE, NULL};
    return check_topic(request);
}

static refusal_t check_summary(const share_state_request_t *request)
{
    if (request->key.partition < 0) return (refusal_t){KAFKA_INVALID_REQUEST, negative_partition};
    return check_topic(request);
}

/* ---- storing --------------------------------------------------------------------------------------------------------- */

/* A read that was stored tells what is there now. */
static void on_stored(runtime_write_t *write, kafka_code_t error)
{
    share_state_request_t *request = CONTAINER_OF(write, share_state_request_t, write);
    record_builder_deinit(&write->batch.builder);
    const share_state_entry_t *entry = NULL;
    if (!error && request->kind == REQUEST_READ) {
        entry = find(request);
        if (!entry) error = KAFKA_NOT_COORDINATOR; /* its partition was lost meanwhile */
    }
    end(request, error, NULL, entry ? &entry->value : NULL);
}

static int64_t now_ms(const share_state_request_t *request) { return runtime_now(states_of(request)->runtime).wall_ms; }

static void begin_write(share_state_request_t *request) { request->write.batch = runtime_batch(now_ms(request)); }

static void store(share_state_request_t *request, int32_t index)
{
    runtime_write_ahead(states_of(request)->runtime, index, &request->write, on_stored);
}

static int64_t next_offset(const share_state_request_t *request, int32_t index)
{
    return runtime_next_offset(states_of(request)->runtime, index);
}

static void store_snapshot(share_state_request_t *request, share_state_entry_t *entry, int32_t epoch,
                           const share_state_value_t *value)
{
    int64_t at_ms = now_ms(request);
    share_snapshot_t snapshot = {epoch, at_ms, at_ms};
    begin_write(request);
    share_state_records_add_snapshot(&request->write.batch, &entry->key, &snapshot, value);
    share_state__take_snapshot(states_of(request), entry, &snapshot, value, next_offset(request, entry->index));
    store(request, entry->index);
}

/* `change` has its final numbers, and batches that are in order. */
static void store_change(share_state_request_t *request, share_state_entry_t *entry, share_state_value_t *change)
{
    int64_t updates_max = request->kafka->config.share_coordinator_snapshot_update_records_per_snapshot;
    if (entry->updates_count < updates_max) {
        begin_write(request);
        share_state_records_add_update(&request->write.batch, &entry->key, entry->snapshot.epoch, change);
        share_state__take_update(entry, change);
        store(request, entry->index);
        return;
    }
    share_state_value_t whole = *change;
    whole.state_epoch = entry->value.state_epoch;
    whole.batches = share_state_batches_lay(entry->value.batches, entry->value.batches_count, change->batches,
                                            change->batches_count, change->start_offset, &whole.batches_count);
    store_snapshot(request, entry, entry->snapshot.epoch + 1, &whole);
    mem_free((void *)whole.batches);
}

/* A start that lies behind ours says nothing of how much is complete from ours on. */
static int32_t complete_count(const share_state_value_t *now, const share_state_value_t *asked)
{
    if (asked->start_offset == now->start_offset)
        return MAX(asked->delivery_complete_count, now->delivery_complete_count);
    return asked->start_offset < now->start_offset ? now->delivery_complete_count : asked->delivery_complete_count;
}

static void change(share_state_request_t *request, share_state_entry_t *entry, int32_t leader_epoch)
{
    const share_state_value_t *now = &entry->value, *asked = &request->value;
    share_state_value_t next = {.leader_epoch = leader_epoch,
                                .start_offset = MAX(asked->start_offset, now->start_offset),
                                .delivery_complete_count = complete_count(now, asked)};
    next.batches =
        share_state_batches_lay(NULL, 0, asked->batches, asked->batches_count, next.start_offset, &next.batches_count);
    if (now->batches_count + next.batches_count > SHARE_STATE_BATCHES_MAX)
        end(request, KAFKA_UNKNOWN_SERVER_ERROR, NULL, NULL);
    else
        store_change(request, entry, &next);
    mem_free((void *)next.batches);
}

/* ---- requests -------------------------------------------------------------------------------------------------------- */

/* A leader that is new here is stored before it hears the state, so that the one before it is fenced from then on. */
static void serve_read(share_state_request_t *request, share_state_entry_t *entry)
{
    int32_t leader_epoch = request->value.leader_epoch;
    if (entry->value.leader_epoch == leader_epoch) {
        end(request, KAFKA_NONE, NULL, &entry->value);
        return;
    }
    request->value = (share_state_value_t){.start_offset = entry->value.start_offset,
                                           .delivery_complete_count = entry->value.delivery_complete_count};
    change(request, entry, leader_epoch);
}

static void serve_initialize(share_state_request_t *request, share_state_entry_t *entry, int32_t index)
{
    char name[SHARE_STATE_NAME_BYTES_MAX];
    int32_t epoch = entry ? entry->snapshot.epoch + 1 : 0;
    if (!entry)
        entry =
            share_state__entry_new(states_of(request), &request->key, share_state__name(&request->key, name), index);
    share_state_value_t value = {.state_epoch = request->value.state_epoch,
                                 .leader_epoch = entry->value.leader_epoch, /* whoever was fenced stays so */
                                 .start_offset = request->value.start_offset,
                                 .delivery_complete_count = request->value.start_offset == -1 ? -1 : 0};
    store_snapshot(request, entry, epoch, &value);
}

static void serve_delete(share_state_request_t *request, share_state_entry_t *entry)
{
    if (!entry) {
        end(request, KAFKA_NONE, NULL, NULL);
        return;
    }
    int32_t index = entry->index;
    begin_write(request);
    share_state_records_add_tombstone(&request->write.batch, &entry->key);
    share_state__take_tombstone(states_of(request), entry, next_offset(request, index));
    store(request, index);
}

static void serve_summary(share_state_request_t *request, const share_state_entry_t *entry)
{
    share_state_value_t value = {.start_offset = -1, .delivery_complete_count = -1};
    if (entry) value = entry->value;
    value.batches = NULL;
    value.batches_count = 0;
    end(request, KAFKA_NONE, NULL, &value);
}

static refusal_t check(const share_state_request_t *request, const share_state_entry_t *entry)
{
    switch (request->kind) {
    case REQUEST_READ: return check_read(request, entry);
    case REQUEST_WRITE: return check_write(request, entry);
    case REQUEST_INITIALIZE: return check_initialize(request, entry);
    default: return check_summary(request);
    }
}

static void serve(share_state_request_t *request, int32_t index)
{
    share_state_entry_t *entry = find(request);
    refusal_t refusal = check(request, entry);
    if (refusal.error) {
        end(request, refusal.error, refusal.message, NULL);
        return;
    }
    switch (request->kind) {
    case REQUEST_READ: serve_read(request, entry); break;
    case REQUEST_WRITE: change(request, entry, entry->value.leader_epoch); break;
    case REQUEST_INITIALIZE: serve_initialize(request, entry, index); break;
    case REQUEST_DELETE: serve_delete(request, entry); break;
    case REQUEST_SUMMARY: serve_summary(request, entry); break;
    default: UNREACHABLE();
    }
}

/* ---- when they are served -------------------------------------------------------------------------------------------- */

static void await_load(share_state_request_t *request)
{
    kafka_share_states_t *states = states_of(request);
    list_push_back(&states->waiting, &request->node);
    if (states->retry_timer.due_ns == 0) io_timer_start(&states->retry_timer, RETRY_MS, 0);
}

static void attempt(share_state_request_t *request)
{
    char name[SHARE_STATE_NAME_BYTES_MAX];
    int32_t index;
    kafka_code_t error = runtime_check(states_of(request)->runtime, share_state__name(&request->key, name), &index);
    if (error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS)
        await_load(request);
    else if (error)
        end(request, error, NULL, NULL);
    else
        serve(request, index);
}

static void attempt_all(kafka_share_states_t *states)
{
    list_t now;
    list_init(&now);
    list_splice_back(&now, &states->waiting);
    while (!list_empty(&now)) {
        share_state_request_t *request = LIST_FIRST(&now, share_state_request_t, node);
        list_remove(&request->node);
        attempt(request);
    }
}

static void on_retry(io_timer_t *timer) { attempt_all(CONTAINER_OF(timer, kafka_share_states_t, retry_timer)); }

static void on_topic(runtime_waiter_t *waiter, kafka_code_t error)
{
    share_state_request_t *request = CONTAINER_OF(waiter, share_state_request_t, waiter);
    if (error)
        end(request, error, NULL, NULL);
    else
        attempt(request);
}

static void begin(kafka_t *kafka, int kind, const share_state_key_t *key, share_state_request_t *request,
                  share_state_done_t done)
{
    request->kafka = kafka;
    request->kind = kind;
    request->key = *key;
    request->done = done;
    if (key->group_id.len == 0 || key->group_id.len > INT16_MAX)
        end(request, KAFKA_INVALID_GROUP_ID, NULL, NULL);
    else
        runtime_need_topic(states_of(request)->runtime, &request->waiter, on_topic);
}

void share_state_read(kafka_t *kafka, const share_state_key_t *key, int32_t leader_epoch,
                      share_state_request_t *request, share_state_done_t done)
{
    request->value = (share_state_value_t){.leader_epoch = leader_epoch};
    begin(kafka, REQUEST_READ, key, request, done);
}

void share_state_write(kafka_t *kafka, const share_state_key_t *key, const share_state_value_t *value,
                       share_state_request_t *request, share_state_done_t done)
{
    request->value = *value;
    begin(kafka, REQUEST_WRITE, key, request, done);
}

void share_state_initialize(kafka_t *kafka, const share_state_key_t *key, int32_t state_epoch, int64_t start_offset,
                            share_state_request_t *request, share_state_done_t done)
{
    request->value = (share_state_value_t){.state_epoch = state_epoch, .start_offset = start_offset};
    begin(kafka, REQUEST_INITIALIZE, key, request, done);
}

void share_state_delete(kafka_t *kafka, const share_state_key_t *key, share_state_request_t *request,
                        share_state_done_t done)
{
    begin(kafka, REQUEST_DELETE, key, request, done);
}

void share_state_summary(kafka_t *kafka, const share_state_key_t *key, int32_t leader_epoch,
                         share_state_request_t *request, share_state_done_t done)
{
    request->value = (share_state_value_t){.leader_epoch = leader_epoch};
    begin(kafka, REQUEST_SUMMARY, key, request, done);
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

kafka_share_states_t *kafka_share_states_new(kafka_t *kafka)
{
    kafka_share_states_t *states = mem_zalloc(sizeof(*states));
    states->kafka = kafka;
    states->entries = MAP_INIT;
    list_init(&states->all);
    list_init(&states->waiting);
    io_timer_init(kafka->loop, &states->retry_timer, on_retry);
    states->runtime = runtime_new(kafka, SHARE_STATE_TOPIC, &share_state__machine, states,
                                  kafka->config.share_coordinator_cold_partition_snapshot_interval_ms);
    share_state__tidy_start(states);
    return states;
}

runtime_t *share_states_runtime(const kafka_share_states_t *states) { return states->runtime; }

void kafka_share_states_stop(kafka_share_states_t *states)
{
    if (states->stopped) return;
    states->stopped = true;
    share_state__tidy_stop(states);
    runtime_stop(states->runtime);
    io_timer_stop(&states->retry_timer);
    attempt_all(states); /* each hears that there is no coordinator */
}

void kafka_share_states_free(kafka_share_states_t *states)
{
    kafka_share_states_stop(states);
    runtime_free(states->runtime);
    map_deinit(&states->entries);
    mem_free(states->partitions);
    mem_free(states);
}
