/* share_state_tidy.c: what is done for the states from time to time. Those that have not been stored for long are, so that what lies
 * before them in the log becomes redundant; the redundant part of the log is cut off; states of topics that have gone are
 * removed. */
#include "kafka/coordinator/share/share_state_internal.h"

#include "base/slog.h"

#define SOON_MS 1

/* ---- snapshots of what does not change ------------------------------------------------------------------------------- */

/* The oldest snapshot of the partition, if it is too old; NULL too when there are none but such as were made here. */
static share_state_entry_t *next_cold(kafka_share_states_t *states, const share_state_partition_t *p, int64_t now_ms)
{
    share_state_entry_t *entry = LIST_FIRST(&p->entries, share_state_entry_t, node);
    if (!entry || p->cold == p->count) return NULL;
    int64_t age_ms = now_ms - entry->snapshot.written_ms;
    return age_ms >= states->kafka->config.share_coordinator_cold_partition_snapshot_interval_ms ? entry : NULL;
}

static void snapshot_cold(kafka_share_states_t *states, share_state_entry_t *entry, int64_t now_ms)
{
    runtime_write_t *write = runtime_write_new(states->runtime);
    share_snapshot_t snapshot = {entry->snapshot.epoch + 1, entry->snapshot.created_ms, now_ms};
    share_state_records_add_snapshot(&write->batch, &entry->key, &snapshot, &entry->value);
    share_state_value_t value = entry->value;
    share_state__take_snapshot(states, entry, &snapshot, &value, runtime_next_offset(states->runtime, entry->index));
    runtime_write_unheard(states->runtime, entry->index, write);
}

bool share_state__expire(void *user, bool begins)
{
    kafka_share_states_t *states = user;
    if (begins) states->cold_next = 0;
    if (states->cold_next >= states->partitions_count) return false;
    int64_t now_ms = runtime_now(states->runtime).wall_ms;
    share_state_entry_t *entry = NULL;
    if (runtime_check_partition(states->runtime, states->cold_next) == KAFKA_NONE)
        entry = next_cold(states, &states->partitions[states->cold_next], now_ms);
    if (entry)
        snapshot_cold(states, entry, now_ms);
    else
        states->cold_next++;
    return true;
}

/* ---- the redundant part of the log ----------------------------------------------------------------------------------- */

/* All before the oldest of the last snapshots; without any, all before what was seen last. */
static int64_t redundant_before(const share_state_partition_t *p)
{
    const share_state_entry_t *oldest = LIST_FIRST(&p->entries, share_state_entry_t, node);
    return oldest ? oldest->snapshot_offset : p->offset_seen;
}

static void prune_partition(kafka_share_states_t *states, int32_t index)
{
    partition_t *partition;
    int64_t low_watermark;
    share_state_partition_t *p = &states->partitions[index];
    int64_t offset = redundant_before(p);
    if (offset <= 0 || offset <= p->pruned_to) return;
    if (runtime_check_partition(states->runtime, index) != KAFKA_NONE) return;
    kafka_code_t error = kafka_topic_partition_get(runtime_topic(states->runtime), index, &partition);
    if (!error) error = partition_delete_records(partition, offset, &low_watermark);
    if (!error)
        p->pruned_to = offset;
    else
        slog(SLOG_WARN, "kafka", "what is redundant of the state of share groups cannot be cut off yet",
             "partition=%s-%d offset=%" PRId64 " error=%s", SHARE_STATE_TOPIC, (int)index, offset,
             kafka_error_name(error));
}

static slice_state_t prune_step(slice_t *slice)
{
    kafka_share_states_t *states = CONTAINER_OF(slice, kafka_share_states_t, prune);
    bool ended = states->kafka->slices.closed || states->prune_next >= states->partitions_count;
    if (!ended) prune_partition(states, states->prune_next++);
    states->pruning = !ended;
    return ended ? SLICE_ENDED : SLICE_MORE;
}

static void prune(kafka_share_states_t *states)
{
    if (states->pruning) return;
    states->pruning = true;
    states->prune_next = 0;
    states->prune = (slice_t){.step = prune_step};
    slice_run(&states->kafka->slices, &states->prune);
}

/* ---- topics that have gone ------------------------------------------------------------------------------------------- */

static void remove_state(kafka_share_states_t *states, share_state_entry_t *entry)
{
    int32_t index = entry->index;
    runtime_write_t *write = runtime_write_new(states->runtime);
    share_state_records_add_tombstone(&write->batch, &entry->key);
    share_state__take_tombstone(states, entry, runtime_next_offset(states->runtime, index));
    runtime_write_unheard(states->runtime, index, write);
}

/* Each goes to the end of the list, so that those that come or go meanwhile do no harm. */
static void sweep_next(kafka_share_states_t *states)
{
    share_state_entry_t *entry = LIST_FIRST(&states->all, share_state_entry_t, all_node);
    list_remove(&entry->all_node);
    list_push_back(&states->all, &entry->all_node);
    bool gone = !map_get(&states->kafka->topics_by_id, bytes_of(&entry->key.topic_id, sizeof(entry->key.topic_id)));
    if (gone && runtime_check_partition(states->runtime, entry->index) == KAFKA_NONE) remove_state(states, entry);
}

static slice_state_t sweep_step(slice_t *slice)
{
    kafka_share_states_t *states = CONTAINER_OF(slice, kafka_share_states_t, sweep);
    bool ended = states->kafka->slices.closed || states->sweep_left == 0 || list_empty(&states->all);
    if (!ended) {
        states->sweep_left--;
        sweep_next(states);
    }
    states->sweeping = !ended;
    return ended ? SLICE_ENDED : SLICE_MORE;
}

static void sweep(kafka_share_states_t *states)
{
    if (!states->kafka->opened) return; /* not all topics are known yet */
    states->sweep_left = states->entries.count;
    if (states->sweeping) return;
    states->sweeping = true;
    states->sweep = (slice_t){.step = sweep_step};
    slice_run(&states->kafka->slices, &states->sweep);
}

/* The topic is among the others until all have heard. */
static void on_topic_deleted(kafka_topic_listener_t *listener, kafka_topic_t *topic)
{
    kafka_share_states_t *states = CONTAINER_OF(listener, kafka_share_states_t, listener);
    if (states->entries.count > 0) io_timer_start(&states->sweep_timer, SOON_MS, 0);
}

static void on_sweep(io_timer_t *timer) { sweep(CONTAINER_OF(timer, kafka_share_states_t, sweep_timer)); }

/* ---- timers ---------------------------------------------------------------------------------------------------------- */

static void on_prune(io_timer_t *timer)
{
    kafka_share_states_t *states = CONTAINER_OF(timer, kafka_share_states_t, prune_timer);
    sweep(states);
    prune(states);
}

void share_state__tidy_start(kafka_share_states_t *states)
{
    io_loop_t *loop = states->kafka->loop;
    int64_t every_ms = states->kafka->config.share_coordinator_state_topic_prune_interval_ms;
    uint32_t bounded_ms = (uint32_t)MIN(MAX(every_ms, 1), INT32_MAX);
    io_timer_init(loop, &states->prune_timer, on_prune);
    io_timer_init(loop, &states->sweep_timer, on_sweep);
    io_timer_start(&states->prune_timer, bounded_ms, bounded_ms);
    states->listener.deleted = on_topic_deleted;
    kafka_topic_listen(states->kafka, &states->listener);
}

void share_state__tidy_stop(kafka_share_states_t *states)
{
    list_remove(&states->listener.node);
    io_timer_stop(&states->prune_timer);
    io_timer_stop(&states->sweep_timer);
    slice_stop(&states->prune);
    slice_stop(&states->sweep);
}
