/* txns_markers.c: the second phase of a transaction's end: a marker in each of its partitions, one a step, and then that all are
 * there. What cannot be written now is tried again: nobody else would do it.
 *
 * Invariant: COMPLETE is stored only when every partition that is still there has its marker, so that no record of the transaction
 * stays undecided. */
#include "kafka/coordinator/txn/txns_internal.h"

#define RETRY_MS 100

static void on_completed(txns_entry_t *entry, kafka_code_t error);

static void forget_marks(txns_entry_t *entry)
{
    mem_free(entry->marks);
    entry->marks = NULL;
    entry->marks_count = 0;
}

static bool all_written(const txns_entry_t *entry)
{
    for (int32_t i = 0; i < entry->marks_count; i++) {
        if (!entry->marks[i].written) return false;
    }
    return true;
}

/* Each was tried. */
static void end_round(txns_entry_t *entry)
{
    bool under_way = entry->marks_next < entry->marks_count || entry->marks_left > 0;
    if (!entry->marking || under_way || entry->removed) return;
    if (!all_written(entry)) {
        entry->marking = false;
        slice_stop(&entry->slice);
        io_timer_start(&entry->retry_timer, RETRY_MS, 0);
        return;
    }
    entry->marking = false;
    slice_stop(&entry->slice);
    forget_marks(entry);
    txn_complete(&entry->txn, txns_now_ms(entry->txns), &entry->next);
    txns__store(entry, on_completed);
}

/* Where the topic is gone nothing is left to decide; where a newer epoch or coordinator was, it has been decided. Until the broker is
 * ready its topics are still being read from the tree: one that is not known then may come. */
static bool needs_another_try(const kafka_t *kafka, kafka_code_t error)
{
    if (error == KAFKA_UNKNOWN_TOPIC_OR_PARTITION) return !kafka->ready;
    return error && error != KAFKA_INVALID_PRODUCER_EPOCH && error != KAFKA_TRANSACTION_COORDINATOR_FENCED;
}

static void on_marked(txn_marker_write_t *write, kafka_code_t error)
{
    txns_mark_t *mark = CONTAINER_OF(write, txns_mark_t, write);
    txns_entry_t *entry = mark->entry;
    mark->written = !needs_another_try(entry->txns->kafka, error);
    entry->marks_left--;
    end_round(entry);
    txns__entry_unref(entry);
}

static int32_t coordinator_epoch(const txns_entry_t *entry)
{
    partition_t *partition;
    const kafka_topic_t *topic = runtime_topic(entry->txns->runtime);
    if (!topic || kafka_topic_partition_get(topic, entry->partition, &partition) != KAFKA_NONE) return 0;
    return partition_leader_epoch(partition);
}

static void write_mark(txns_entry_t *entry, txns_mark_t *mark)
{
    record_marker_t marker = {
        .producer_id = entry->txn.now.producer_id,
        .producer_epoch = entry->txn.now.producer_epoch,
        .coordinator_epoch = coordinator_epoch(entry),
        .commits = entry->txn.now.state == TXN_PREPARE_COMMIT,
    };
    if (mark->written) return;
    entry->marks_left++;
    txns__entry_ref(entry);
    txn_marker_write(entry->txns->kafka, mark->topic, mark->index, &marker, &mark->write, on_marked);
}

/* The entry may be gone when the last one is written. */
static slice_state_t step(slice_t *slice)
{
    txns_entry_t *entry = CONTAINER_OF(slice, txns_entry_t, slice);
    if (entry->marks_next == entry->marks_count) {
        end_round(entry);
        return SLICE_ENDED;
    }
    txns_mark_t *mark = &entry->marks[entry->marks_next];
    entry->marks_left++; /* ours: the round does not end inside of the step */
    entry->marks_next++;
    write_mark(entry, mark);
    entry->marks_left--;
    return SLICE_MORE;
}

static void begin_round(txns_entry_t *entry)
{
    entry->marks_next = 0;
    entry->marking = true;
    slice_run(&entry->txns->kafka->slices, &entry->slice);
}

static void try_again(io_timer_t *timer)
{
    txns_entry_t *entry = CONTAINER_OF(timer, txns_entry_t, retry_timer);
    begin_round(entry);
}

/* What could not be stored, for all markers are there, is stored later, or by who reads the partition back. */
static void on_completed(txns_entry_t *entry, kafka_code_t error)
{
    if (!error || entry->removed) return;
    entry->txn.pending = true;
    io_timer_start(&entry->retry_timer, RETRY_MS, 0);
}

void txns__write_markers(txns_entry_t *entry)
{
    size_t cursor = 0;
    entry->txn.pending = true;
    entry->slice = (slice_t){.step = step};
    io_timer_init(entry->txns->kafka->loop, &entry->retry_timer, try_again);
    entry->marks = mem_zalloc(sizeof(entry->marks[0]) * (size_t)(entry->txn.parts.count + 1));
    entry->marks_count = 0;
    for (const txn_topic_t *t; (t = txn_parts_next(&entry->txn.parts, &cursor));) {
        for (int32_t i = 0; i < t->count; i++)
            entry->marks[entry->marks_count++] =
                (txns_mark_t){.entry = entry, .topic = t->name, .index = t->indexes[i]};
    }
    begin_round(entry);
}

void txns__markers_stop(txns_entry_t *entry)
{
    slice_stop(&entry->slice);
    if (entry->retry_timer.due_ns) io_timer_stop(&entry->retry_timer);
}
