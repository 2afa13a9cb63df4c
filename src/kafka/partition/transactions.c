/* transactions.c: what a partition knows of transactions: where those that are open began (producer_state.h), the markers that
 * end them, and which were aborted (the log's index).
 *
 *      first offset of a transaction      marker         high watermark
 *   ---|------------------------------------|------------------|-----
 *      ^ last stable offset until the marker is below the high watermark
 *
 * Invariant: the last stable offset is never above the first record of a transaction whose marker readers may not see yet, so
 * who reads up to it can be told of every record there whether it counts. */
#include "kafka/partition/partition_internal.h"

/* ---- the last stable offset ------------------------------------------------------------------------------------------ */

/* Ended, but its marker is not below the high watermark yet. */
typedef struct decided {
    list_t node;
    int64_t first_offset, marker_offset;
} decided_t;

int64_t partition_last_stable_offset(const partition_t *partition)
{
    int64_t first = producers_open_offset(&partition->producers);
    LIST_EACH(&partition->decided, d, decided_t, node) first = MIN(first, d->first_offset);
    /* Records of a transaction may have been deleted while it was open. */
    first = MAX(first, log_start_offset(partition->log));
    return MIN(first, partition->high_watermark);
}

void partition__decided_below(partition_t *partition, int64_t high_watermark)
{
    decided_t *d;
    while ((d = LIST_FIRST(&partition->decided, decided_t, node)) && d->marker_offset < high_watermark) {
        list_remove(&d->node);
        mem_free(d);
    }
}

static void add_decided(partition_t *partition, const log_aborted_t *ended)
{
    decided_t *d = mem_alloc(sizeof(*d));
    d->first_offset = ended->first_offset;
    d->marker_offset = ended->last_offset;
    list_push_back(&partition->decided, &d->node);
}

/* ---- markers --------------------------------------------------------------------------------------------------------- */

static kafka_code_t append_marker(partition_t *partition, const record_marker_t *marker, int64_t now_ms,
                                  int64_t *ret_offset)
{
    record_builder_t builder = RECORD_BUILDER_INIT;
    size_t bytes;
    uint8_t *batch = record_marker_build(&builder, marker, now_ms, &bytes);
    int err = log_append(partition->log, batch, bytes, partition->leader_epoch, ret_offset);
    record_builder_deinit(&builder);
    if (err && err != ERR_STATE) partition__write_refused(partition, err);
    return partition__error(err);
}

kafka_code_t partition_end_transaction(partition_t *partition, const record_marker_t *marker)
{
    log_aborted_t ended;
    int64_t offset, now_ms = io_wall_ms(partition->topic->kafka->loop);
    kafka_code_t error = producers_check_marker(&partition->producers, marker);
    if (!error) error = append_marker(partition, marker, now_ms, &offset);
    if (error) return error;
    if (producers_note_marker(&partition->producers, marker, offset, now_ms, &ended)) {
        add_decided(partition, &ended);
        int err = marker->commits ? 0 : log_aborted_add(partition->log, &ended);
        if (err) return partition__error(err); /* the log has failed: what it holds is found again when it is opened */
    }
    partition__appended(partition);
    return KAFKA_NONE;
}

kafka_code_t partition_aborted(partition_t *partition, int64_t from, int64_t to,
                               void (*each)(void *user, const log_aborted_t *aborted), void *user)
{
    int err = log_aborted_find(partition->log, from, to, each, user);
    if (err && err != ERR_FILES) partition__unreadable(partition, from, err);
    return partition__error(err);
}

bool partition_has_open(const partition_t *partition, int64_t producer_id, int16_t epoch)
{
    return producers_is_open(&partition->producers, producer_id, epoch);
}

uint32_t partition_guard(const partition_t *partition, int64_t producer_id)
{
    return producers_guard(&partition->producers, producer_id);
}

void partition_each_producer(const partition_t *partition,
                             void (*each)(void *user, const partition_producer_t *producer), void *user)
{
    size_t cursor = 0;
    for (map_entry_t *e; (e = map_next(&partition->producers.by_id, &cursor));) {
        const producer_t *p = e->value;
        int32_t last_sequence = p->batches_count ? p->batches[p->batches_count - 1].last_sequence : -1;
        each(user, &(partition_producer_t){p->id, p->epoch, last_sequence, p->timestamp_ms, p->coordinator_epoch,
                                           p->txn_first_offset});
    }
}

/* ---- when the log is opened ------------------------------------------------------------------------------------------ */

static int read_marker(partition_t *partition, const batch_header_t *batch, record_marker_t *ret_marker)
{
    log_slice_t slice;
    int err =
        log_find(partition->log, batch->base_offset, batch_last_offset(batch) + 1, batch_bytes(batch), true, &slice);
    if (err) return err;
    uint8_t *bytes = mem_alloc(batch_bytes(batch));
    ssize_t n = io_file_read(slice.file, slice.position, bytes, batch_bytes(batch));
    err = n == (ssize_t)batch_bytes(batch) ? record_marker_read(bytes_of(bytes, (size_t)n), ret_marker) : ERR_IO;
    mem_free(bytes);
    log_slice_release(slice.segment);
    return err;
}

int partition__replay_control(partition_t *partition, const batch_header_t *batch)
{
    record_marker_t marker;
    log_aborted_t ended;
    int err = read_marker(partition, batch, &marker);
    if (err) return err == ERR_NOT_FOUND ? 0 : err;
    int64_t timestamp_ms = batch->max_timestamp;
    if (!producers_note_marker(&partition->producers, &marker, batch->base_offset, timestamp_ms, &ended)) return 0;
    return marker.commits ? 0
                          : log_aborted_add(partition->log, &ended); /* where it is there already, nothing is added */
}
